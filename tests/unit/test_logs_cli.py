"""hil log: info, convert and decode, their exit codes and what they tell."""

import csv
import json
import struct
from pathlib import Path
from typing import Any

import can
import numpy as np
import pytest
from click.testing import CliRunner, Result

import hil.cli.logs
from hil.cli.group import main
from hil.logs.load import bus_load, identifiers, wire_ns
from hil.logs.read import read_log
from hil.logs.trace import from_bytes
from hil.logs.write import write_log
from hil.tick import FrameBits

assert hil.cli.logs.log is not None  # registers the commands

DBC = """VERSION ""
BU_: BMS
BO_ 256 Pack: 8 BMS
 SG_ Voltage : 0|16@1+ (0.1,0) [0|0] "V" Vector__XXX
 SG_ Current : 16|16@1- (0.1,0) [0|0] "A" Vector__XXX
BO_ 257 Cells: 8 BMS
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" Vector__XXX
 SG_ First m0 : 8|16@1+ (1,0) [0|0] "mV" Vector__XXX
 SG_ Second m1 : 8|16@1+ (1,0) [0|0] "mV" Vector__XXX
VAL_ 257 Page 0 "first" 1 "second" ;
"""
START_NS = 1_700_000_000 * 10**9


def hil_log(*words: Any) -> Result:
    return CliRunner().invoke(main, ["log", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """bms.dbc and drive.blf: 50 frames of each message and 10 of none, 10 ms apart, on two channels."""
    (tmp_path / "bms.dbc").write_text(DBC)
    t_ns, ids, payloads, channels = [], [], [], []
    for i in range(50):
        base = START_NS + i * 10_000_000
        t_ns += [base, base + 1_000_000]
        ids += [256, 257]
        payloads += [struct.pack("<Hh4x", 4000 + i, -10 * i), struct.pack("<BH5x", i % 2, 3000 + i)]
        channels += [0, 1]
        if i % 5 == 0:
            t_ns.append(base + 2_000_000)
            ids.append(0x700)
            payloads.append(b"\1")
            channels.append(0)
    trace = from_bytes(t_ns, ids, np.zeros(len(ids), np.int32), payloads, channels, absolute=True)
    write_log(trace, tmp_path / "drive.blf")
    return tmp_path


def test_info_as_json_has_the_facts(folder: Path) -> None:
    result = hil_log("info", folder / "drive.blf", "--json", "--dbc", folder / "bms.dbc")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["format"], told["frames"], told["skipped"], told["errors"], told["exit"]) == ("blf", 110, 0, 0, 0)
    assert told["start"] == "2023-11-14T22:13:20.000000000Z"
    assert told["duration_s"] == 0.491
    ids = {one["id"]: one for one in told["ids"]}
    assert ids["100"] == {
        "id": "100",
        "extended": False,
        "channel": 0,
        "count": 50,
        "period_ms": 10.0,
        "length": 8,
        "name": "Pack",
    }
    assert (ids["700"]["period_ms"], ids["700"]["name"], ids["101"]["channel"]) == (50.0, None, 1)
    assert [(c["channel"], c["frames"]) for c in told["channels"]] == [(0, 60), (1, 50)]
    # 50 frames of 8 bytes are 50 * 111 bits without stuffing, at most 24 more each: of 500 kbit/s over 0.49 s.
    load = told["channels"][1]["bus_load"]
    assert load["least"] == pytest.approx(50 * 111 / 500_000 / 0.49, rel=1e-3)
    assert load["most"] == pytest.approx(50 * 135 / 500_000 / 0.49, rel=1e-3)


def test_info_of_several_files_is_a_list_and_the_worst_code_wins(folder: Path) -> None:
    (folder / "not.log").write_text("nothing of the kind\n" * 20)
    result = hil_log("info", folder / "not.log", folder / "drive.blf", "--json")
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert [one["exit"] for one in told] == [2, 0]
    assert "not.log" in result.stderr


def test_info_as_text_names_channels_and_skips(folder: Path) -> None:
    (folder / "x.log").write_text("(1.0) can7 123#11\nbroken\n(2.0) can7 123#1122\n")
    result = hil_log("info", folder / "x.log")
    assert result.exit_code == 3
    assert "candump, 2 frames" in result.stdout
    assert "channel 7 (can7): 2 frames, bus load" in result.stdout
    assert "line 2: line that is no frame" in result.stdout


@pytest.mark.parametrize("name", ["x.asc", "x.log.gz", "x.trc", "x.mf4", "x.csv"])
def test_convert_writes_what_the_suffix_names(folder: Path, name: str) -> None:
    result = hil_log("convert", folder / "drive.blf", folder / name)
    assert result.exit_code == 0, result.output
    assert f"written: {folder / name}, 110 frames" in result.stdout
    before, after = read_log(folder / "drive.blf").trace, read_log(folder / name).trace
    assert after.t_ns.tolist() == before.t_ns.tolist()
    assert after.id.tolist() == before.id.tolist()
    assert [after.payload(i) for i in range(110)] == [before.payload(i) for i in range(110)]
    assert ("channels are not kept" in result.stderr) == (name == "x.csv")


def test_convert_of_a_damaged_log_writes_the_rest_and_says_so(folder: Path) -> None:
    (folder / "x.log").write_text("(1.0) can0 123#11\nbroken\n(2.0) can0 123#1122\n")
    result = hil_log("convert", folder / "x.log", folder / "y.blf")
    assert result.exit_code == 3
    assert "line 2: skipped" in result.stderr
    with can.BLFReader(folder / "y.blf") as log:
        assert [bytes(m.data) for m in log] == [b"\x11", b"\x11\x22"]


def test_convert_refuses_its_own_input_and_unknown_suffixes_before_reading(folder: Path) -> None:
    assert hil_log("convert", folder / "drive.blf", folder / "drive.blf").exit_code == 2
    result = hil_log("convert", folder / "none.blf", folder / "x.xyz")
    assert result.exit_code == 2
    assert "x.xyz" in result.stderr


def test_a_recording_named_where_an_output_is_meant_is_left_alone(folder: Path) -> None:
    other = folder / "other.log"
    other.write_text("(1.0) can0 123#11\n")
    result = hil_log("convert", folder / "drive.blf", other)
    assert result.exit_code == 2
    assert "other.log: there is such a file already: expected another name, or --force" in result.stderr
    assert other.read_text() == "(1.0) can0 123#11\n"
    assert hil_log("convert", folder / "drive.blf", other, "--force").exit_code == 0
    assert len(read_log(other).trace) == 110


def test_what_holds_nothing_is_an_output_as_it_is(folder: Path) -> None:
    (folder / "empty.log").touch()
    assert hil_log("convert", folder / "drive.blf", folder / "empty.log").exit_code == 0


@pytest.mark.parametrize("place", ["a" * 300, "drive.blf/x"], ids=["long", "in a file"])
@pytest.mark.parametrize("command", ["convert", "decode"])
def test_an_output_that_cannot_be_made_is_told_in_one_line(folder: Path, command: str, place: str) -> None:
    words = ["convert", folder / "drive.blf", folder / f"{place}.log"]
    if command == "decode":
        words = ["decode", folder / "drive.blf", "--dbc", folder / "bms.dbc", "--out", folder / f"{place}.csv"]
    result = hil_log(*words)
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (4, True)
    assert result.stderr.startswith("hil: cannot write")


def test_a_database_that_cannot_be_looked_at_is_told_in_one_line(folder: Path) -> None:
    result = hil_log("info", folder / "drive.blf", "--dbc", f"1={'a' * 300}")
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (2, True)


def test_decode_to_csv_has_a_row_a_frame_and_empty_fields_elsewhere(folder: Path) -> None:
    result = hil_log("decode", folder / "drive.blf", "--dbc", folder / "bms.dbc", "--out", folder / "x.csv")
    assert result.exit_code == 0, result.output
    assert "10 of 110 frames are in no database" in result.stderr
    with (folder / "x.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == [
        "time [s]",
        "Pack.Voltage [V]",
        "Pack.Current [A]",
        "Cells.Page",
        "Cells.First [mV]",
        "Cells.Second [mV]",
    ]
    assert rows[:4] == [
        ["1700000000.000000000", "400.0", "0.0", "", "", ""],
        ["1700000000.001000000", "", "", "0.0", "3000.0", ""],
        ["1700000000.010000000", "400.1", "-1.0", "", "", ""],
        ["1700000000.011000000", "", "", "1.0", "", "3001.0"],
    ]
    assert len(rows) == 100


def test_decode_to_parquet_keeps_units_labels_and_source(folder: Path) -> None:
    import pyarrow.parquet as parquet

    assert (
        hil_log("decode", folder / "drive.blf", "--dbc", folder / "bms.dbc", "--out", folder / "x.parquet").exit_code
        == 0
    )
    table = parquet.read_table(folder / "x.parquet")
    assert table.num_rows == 100
    assert table.column("Cells.Second").null_count == 75
    assert table.schema.field("Pack.Voltage").metadata[b"unit"] == b"V"
    assert json.loads(table.schema.field("Cells.Page").metadata[b"labels"]) == ["0=first", "1=second"]
    assert table.schema.metadata[b"source"] == b"drive.blf"
    assert table.column("t_ns").to_pylist() == [START_NS + i // 2 * 10_000_000 + i % 2 * 1_000_000 for i in range(100)]


def test_decode_to_mf4_and_mcap_groups_by_message(folder: Path) -> None:
    from asammdf import MDF
    from mcap_ros2.reader import read_ros2_messages

    for name in ("x.mf4", "x.mcap"):
        assert (
            hil_log("decode", folder / "drive.blf", "--dbc", folder / "bms.dbc", "--out", folder / name).exit_code == 0
        )
    with MDF(folder / "x.mf4") as file:
        voltage = file.get("Voltage")
        assert voltage.unit == "V"
        assert voltage.samples.tolist() == pytest.approx([400 + i / 10 for i in range(50)], abs=1e-9)
        assert voltage.timestamps[:2].tolist() == [0.0, 0.01]
        assert file.header.start_time.timestamp() == 1_700_000_000
        assert file.get("Second").samples.tolist() == [3000 + i for i in range(1, 50, 2)]
    found = [(m.channel.topic, m.ros_msg) for m in read_ros2_messages(folder / "x.mcap")]
    assert {topic for topic, _ in found} == {"/Pack", "/Cells", "/Cells/2", "/Cells/3"}
    assert [m.current for topic, m in found if topic == "/Pack"] == pytest.approx([-i for i in range(50)])


def test_decode_of_chosen_signals_and_a_database_for_each_channel(folder: Path) -> None:
    words = ["--dbc", f"1={folder / 'bms.dbc'}", "--out", folder / "x.csv"]
    assert hil_log("decode", folder / "drive.blf", *words, "--signal", "Cells.*").exit_code == 0
    header = (folder / "x.csv").read_text().splitlines()[0]
    assert header == "time [s],1:Cells.Page,1:Cells.First [mV],1:Cells.Second [mV]"
    assert len((folder / "x.csv").read_text().splitlines()) == 51
    refused = hil_log("decode", folder / "drive.blf", *words)
    assert refused.exit_code == 2
    assert "x.csv: there is such a file already: expected another name, or --force" in refused.stderr
    words.append("--force")
    result = hil_log("decode", folder / "drive.blf", *words, "--signal", "Voltaje")
    assert result.exit_code == 2
    assert "did you mean 'Voltage'" in result.stderr
    assert (
        hil_log("decode", folder / "drive.blf", "--dbc", f"300={folder / 'bms.dbc'}", "--out", "x.csv").exit_code == 2
    )


def test_decode_to_mcap_of_times_before_zero_keeps_their_distances_and_tells(folder: Path) -> None:
    from mcap.reader import make_reader

    (folder / "x.log").write_text("(-1.5) can0 100#0A0000000000\n(-1.0) can0 100#140000000000\n(2.0) can0 100#14\n")
    words = ["decode", folder / "x.log", "--dbc", folder / "bms.dbc", "--out"]
    result = hil_log(*words, folder / "y.mcap")
    assert "times began 1.500000000 s before zero; all are written that much later" in result.stderr
    with (folder / "y.mcap").open("rb") as stream:
        assert [m.log_time for _, _, m in make_reader(stream).iter_messages()] == [0, 500_000_000, 3_500_000_000]
    assert "before zero" not in hil_log(*words, folder / "y.csv").stderr


def test_one_identifier_in_two_databases_is_refused_and_both_are_named(folder: Path) -> None:
    (folder / "other.dbc").write_text(DBC.replace("257", "513").replace("Pack", "Inverter"))
    words = ["decode", folder / "drive.blf", "--dbc", folder / "bms.dbc", "--dbc", folder / "other.dbc"]
    result = hil_log(*words, "--out", folder / "x.csv")
    assert result.exit_code == 2
    assert f"identifier 0x100 is in two databases: Pack of {folder / 'bms.dbc'}, and Inverter" in result.stderr
    assert str(folder / "other.dbc") in result.stderr
    assert "N=FILE" in result.stderr
    assert not (folder / "x.csv").exists()
    words[3], words[5] = f"0={words[3]}", f"1={words[5]}"
    assert hil_log(*words, "--out", folder / "x.csv").exit_code == 0


def test_decode_with_a_database_of_another_bus_says_that_nothing_fits(folder: Path) -> None:
    (folder / "other.dbc").write_text(DBC.replace("256", "512").replace("257", "513"))
    result = hil_log("decode", folder / "drive.blf", "--dbc", folder / "other.dbc", "--out", folder / "x.csv")
    assert result.exit_code == 0
    assert "no frame of the log is in the databases" in result.stderr


def test_rows_of_one_time_stay_apart(folder: Path) -> None:
    (folder / "x.log").write_text("(1.0) can0 100#0A0000000000\n(1.0) can0 100#140000000000\n")
    assert hil_log("decode", folder / "x.log", "--dbc", folder / "bms.dbc", "--out", folder / "y.csv").exit_code == 0
    rows = (folder / "y.csv").read_text().splitlines()[1:]
    assert rows == ["1.000000000,1.0,0.0", "1.000000000,2.0,0.0"]


def test_bits_on_the_wire_by_hand() -> None:
    E, F, B = int(FrameBits.EXTENDED), int(FrameBits.FD), int(FrameBits.BITRATE_SWITCH)
    trace = from_bytes([0, 1, 2, 3], [1, 1, 1, 1], [0, E, F | B, F], [bytes(8), bytes(0), bytes(64), bytes(8)])
    low, high = wire_ns(trace, 1_000_000, 4_000_000)
    # ISO 11898-1: a standard frame of 8 bytes has 108 bits and 3 of intermission, at most (34 + 64 - 1) / 4 stuff bits.
    assert (low[0], high[0]) == (111_000, 135_000)
    assert (low[1], high[1]) == (67_000, 80_000)
    # 29 slow bits; 10 + 512 + 21 + 6 fast ones at a quarter of the time.
    assert low[2] == 29_000 + (10 + 512 + 27) * 250
    assert low[3] == (29 + 10 + 64 + 22) * 1000
    assert (high > low).all()


def test_the_busiest_second_and_logs_without_duration() -> None:
    t_ns = [0, *[5_000_000_000 + i * 1_000_000 for i in range(100)], 9_999_999_999]
    trace = from_bytes(t_ns, [1] * 102, [0] * 102, [bytes(8)] * 102)
    load = bus_load(trace, 500_000, 2_000_000)
    assert load is not None
    assert load.busiest == pytest.approx(100 * 135 / 500_000)
    assert load.least == pytest.approx(102 * 111 / 500_000 / 10, rel=1e-6)
    assert bus_load(trace.select(slice(0, 1)), 500_000, 2_000_000) is None


def test_identifiers_keep_lengths_and_channels_apart() -> None:
    E = int(FrameBits.EXTENDED)
    trace = from_bytes([5, 1, 3, 10], [1, 1, 1, 1], [0, E, 0, 0], [b"", b"ab", b"abc", b"a"], [0, 0, 0, 1])
    found = [(i.id, i.extended, i.channel, i.count, i.period_ns, i.length) for i in identifiers(trace)]
    assert found == [(1, False, 0, 2, 2, 3), (1, True, 0, 1, None, 2), (1, False, 1, 1, None, 1)]
