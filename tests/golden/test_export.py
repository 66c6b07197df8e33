"""Exports, each read back by a library that has never seen this project."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record_rig as rig

from hil.analysis import export as room
from hil.analysis.export import export, field_names
from hil.errors import InputError
from hil.records.reader import Record, read
from hil.records.writer import Policy
from hil.tick import FrameBits

TICKS = 40


@pytest.fixture
def record(tmp_path: Path) -> Record:
    rig.write(tmp_path / "r.mcap", TICKS, events={5: "started"})
    return read(tmp_path / "r.mcap")


@pytest.fixture
def thinned(tmp_path: Path) -> Record:
    rig.write(tmp_path / "t.mcap", TICKS, Policy(every=10, around=0))
    return read(tmp_path / "t.mcap")


def test_mcap_rows_decode_by_field_name_with_the_values_that_were_put(record: Record, tmp_path: Path) -> None:
    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory

    export(record, tmp_path / "out.mcap")
    with (tmp_path / "out.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        rows = [(m.log_time, d) for _, _, m, d in reader.iter_decoded_messages(topics=["/rows"])]
        frames = [d for _, _, _, d in reader.iter_decoded_messages(topics=["/frames"])]
        names = {c.topic for c in reader.get_summary().channels.values()}
        events = [json.loads(m.data) for _, _, m in reader.iter_messages(topics=["/events"])]
    assert names == {"/rows", "/checks", "/frames", "/events", "/verdicts"}
    assert [t for t, _ in rows] == [t * rig.TICK_NS for t in range(1, TICKS + 1)]
    labels = rig.make_table().labels()
    for name, label in (("shown_cell_voltage_3", "shown.cell_voltage[3]"), ("reported_state_t", "reported.state.t")):
        column = labels.index(label)
        assert [getattr(d, name) for _, d in rows] == [rig.value(t, column) for t in range(1, TICKS + 1)]
    assert [f.t_ns for f in frames if not f.bits & FrameBits.SENT] == [rig.frame_ns(t) for t in range(1, TICKS + 1)]
    assert events == [{"t_ns": 5 * rig.TICK_NS, "kind": "step", "text": "started"}]


def test_mcap_field_names_follow_the_rules_of_the_message_language_and_stay_unique() -> None:
    assert field_names(["a.b[3]", "a.b[3].t", "a.b_3", "3x", "A  B"]) == ["a_b_3", "a_b_3_t", "a_b_3_v2", "x_3x", "a_b"]
    every = field_names(rig.make_table().labels())
    assert len(set(every)) == len(every)
    assert all(n[0].isalpha() and "__" not in n and not n.endswith("_") and n == n.lower() for n in every)


def test_csv_has_units_in_its_header_and_exact_numbers(record: Record, tmp_path: Path) -> None:
    export(record, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header[0] == "time [s]"
    column = header.index("shown.cell_voltage[3] [V]")
    index = rig.make_table().labels().index("shown.cell_voltage[3]")
    assert [float(r[column]) for r in rows] == [rig.value(t, index) for t in range(1, TICKS + 1)]
    assert [r[0] for r in rows][:2] == ["0.010000000", "0.020000000"]
    assert {r[1 + rig.UNKNOWN] for r in rows} == {"nan"}, "unknown is not empty"


def test_csv_leaves_empty_what_was_not_recorded(thinned: Record, tmp_path: Path) -> None:
    export(thinned, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert len(rows) == TICKS
    always, seldom = header.index("shown.cell_voltage[3] [V]"), header.index("shown.cell_voltage[4] [V]")
    assert all(r[always] for r in rows)
    assert [i for i, r in enumerate(rows) if r[seldom]] == [0, 10, 20, 30]


def test_parquet_keeps_values_units_and_the_difference_of_unknown_and_absent(thinned: Record, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    export(thinned, tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column("t_ns").to_pylist() == [t * rig.TICK_NS for t in range(1, TICKS + 1)]
    index = rig.make_table().labels().index("shown.cell_voltage[3]")
    wanted = [rig.value(t, index) for t in range(1, TICKS + 1)]
    assert table.column("shown.cell_voltage[3]").to_pylist() == wanted
    assert table.schema.field("shown.cell_voltage[3]").metadata[b"unit"] == b"V"
    assert table.column("shown.cell_voltage[4]").null_count == TICKS - 4
    unknown = table.column(1 + rig.UNKNOWN)
    assert unknown.null_count == TICKS - 4
    assert np.isnan(unknown.drop_null().to_numpy()).all()
    assert json.loads(table.schema.metadata[b"verdicts"]) == [rig.verdict()]


def test_mf4_has_channels_with_units_and_the_bus_in_the_standard_layout(thinned: Record, tmp_path: Path) -> None:
    import can
    from asammdf import MDF

    export(thinned, tmp_path / "out.mf4")
    with MDF(tmp_path / "out.mf4") as file:
        fast, slow = file.get("shown.cell_voltage[3]"), file.get("shown.cell_voltage[4]")
        labels = rig.make_table().labels()
        index = labels.index("shown.cell_voltage[3]")
        assert fast.unit == slow.unit == "V"
        assert fast.samples.tolist() == [rig.value(t, index) for t in range(1, TICKS + 1)]
        assert slow.samples.tolist() == [rig.value(t, index + 1) for t in (1, 11, 21, 31)]
        np.testing.assert_allclose(slow.timestamps, [0.01, 0.11, 0.21, 0.31], rtol=0, atol=1e-12)
        assert file.get("CAN_DataFrame.ID").samples.tolist().count(0x101) == TICKS
    with can.MF4Reader(tmp_path / "out.mf4") as log:
        frames = [m for m in log if m.arbitration_id == 0x101]
    assert [int.from_bytes(m.data, "little") for m in frames] == list(range(1, TICKS + 1))
    assert all(m.is_rx for m in frames)


def test_mf4_bus_frames_decode_by_a_dbc_in_the_measurement_tool(record: Record, tmp_path: Path) -> None:
    from asammdf import MDF

    dbc = 'VERSION ""\nBU_: BMS\nBO_ 257 Told: 8 BMS\n SG_ Tick : 0|32@1+ (0.5,0) [0|0] "V" Vector__XXX\n'
    (tmp_path / "told.dbc").write_text(dbc)
    export(record, tmp_path / "out.mf4")
    with MDF(tmp_path / "out.mf4") as file:
        decoded = file.extract_bus_logging({"CAN": [(str(tmp_path / "told.dbc"), 0)]})
        assert decoded.get("Tick").samples.tolist() == [t * 0.5 for t in range(1, TICKS + 1)]


@pytest.mark.parametrize(("name", "resolution_ns"), [("out.blf", 1), ("out.asc", 1000)])
def test_bus_logs_hold_every_frame_in_order_of_time(
    record: Record, tmp_path: Path, name: str, resolution_ns: int
) -> None:
    import can

    export(record, tmp_path / name)
    with can.LogReader(tmp_path / name) as log:
        frames = list(log)
    assert len(frames) == 2 * TICKS
    received = [m for m in frames if m.is_rx]
    for tick, message in enumerate(received, 1):
        assert (message.arbitration_id, message.is_extended_id) == (0x101, False)
        assert int.from_bytes(message.data, "little") == tick
        assert abs(round(message.timestamp * 1e9) - rig.frame_ns(tick)) <= resolution_ns / 2
    sent = [m for m in frames if not m.is_rx]
    assert {(m.arbitration_id, m.is_extended_id, m.dlc) for m in sent} == {(0x18FF50E5, True, 3)}
    assert [m.timestamp for m in frames] == sorted(m.timestamp for m in frames)


@pytest.mark.parametrize("suffix", [".mcap", ".csv", ".parquet", ".blf", ".asc"])
def test_the_same_record_exports_to_the_same_bytes(record: Record, tmp_path: Path, suffix: str) -> None:
    shares: list[float] = []
    export(record, tmp_path / f"a{suffix}", shares.append)
    export(record, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_frames_that_a_receive_fault_took_away_are_not_in_the_bus_log(record: Record, tmp_path: Path) -> None:
    import can

    taken: Any = record.frames.copy()
    taken["bits"][taken["id"] == 0x101] |= np.uint16(FrameBits.LOST)
    record.frames = taken
    export(record, tmp_path / "out.blf")
    with can.LogReader(tmp_path / "out.blf") as log:
        assert {m.arbitration_id for m in log} == {0x18FF50E5}


def test_an_unknown_suffix_names_the_nearest_and_leaves_nothing_behind(record: Record, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean '\.parquet'"):
        export(record, tmp_path / "out.parquett")
    with pytest.raises(InputError, match="other than the record's"):
        export(record, record.path)
    assert not list(tmp_path.glob("*out*"))


def test_a_missing_library_says_what_to_install(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "NEEDS", {".parquet": ("no_such_library_at_all",)})
    with pytest.raises(InputError, match=r"pip install 'cellbench\[export\]'"):
        export(record, tmp_path / "out.parquet")
