"""Records: what goes in comes out, the policy keeps what matters, and the same run gives the same bytes."""

from pathlib import Path

import numpy as np
import pytest
import record_rig as rig

from hil.errors import BenchError, InputError
from hil.kernel import zeros
from hil.records.layout import BLOCK, NARROW
from hil.records.reader import read
from hil.records.writer import McapSink, Policy, ThreadedSink
from hil.tick import COLUMNS, FrameBits, Link


def test_every_row_frame_event_and_verdict_comes_back_as_it_was_put(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 150, events={70: "second step"})
    record = read(tmp_path / "r.mcap")
    assert record.complete and record.lost_bytes == 0
    assert record.row_times_ns.tolist() == [t * rig.TICK_NS for t in range(1, 151)]
    for tick in (1, 64, 65, 150):
        wanted = [rig.value(tick, c) for c in range(record.table.recorded)]
        np.testing.assert_array_equal(record.rows[tick - 1], wanted)
    received = record.frames[record.frames["bits"] & FrameBits.SENT == 0]
    assert received["t_ns"].tolist() == [rig.frame_ns(t) for t in range(1, 151)]
    assert [int.from_bytes(bytes(f["payload"][:8]), "little") for f in received] == list(range(1, 151))
    sent = record.frames[record.frames["bits"] & FrameBits.SENT > 0]
    assert set(sent["id"].tolist()) == {0x18FF50E5}
    assert set(sent["bits"].tolist()) == {FrameBits.SENT | FrameBits.EXTENDED}
    assert record.events == [{"t_ns": 70 * rig.TICK_NS, "kind": "step", "text": "second step"}]
    assert record.verdicts == [rig.verdict()]


def test_the_files_and_identities_a_run_stands_on_come_back(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 3)
    record = read(tmp_path / "r.mcap")
    assert record.attachments["scenario.yaml"] == "scenario: made up\n"
    assert record.metadata == {name: dict(values) for name, values in rig.IDENTITY.items()}
    assert record.table == rig.make_table()


def test_thinned_rows_keep_full_rate_around_events_and_check_columns_at_every_tick(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 300, Policy(every=10, around=5), {100: "fault"})
    record = read(tmp_path / "r.mcap")
    kept = set((record.row_times_ns // rig.TICK_NS).tolist())
    assert kept == set(range(1, 301, 10)) | set(range(95, 106))
    assert len(record.check_times_ns) == 300
    times, values = record.column(rig.SHOWN[2])
    column = rig.make_table().labels().index(rig.SHOWN[2])
    assert values.tolist() == [rig.value(t, column) for t in range(1, 301)]
    assert times[149] == 1.5


def test_an_event_at_the_edge_of_a_block_keeps_the_rows_after_it(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 2 * BLOCK, Policy(every=1000, around=4), {BLOCK: "fault"})
    kept = set((read(tmp_path / "r.mcap").row_times_ns // rig.TICK_NS).tolist())
    assert set(range(BLOCK + 1, BLOCK + 5)) <= kept


def test_a_column_that_is_not_in_the_record_is_a_key_error(tmp_path: Path) -> None:
    rig.write(tmp_path / "r.mcap", 3)
    with pytest.raises(KeyError, match="no_such"):
        read(tmp_path / "r.mcap").column("shown.no_such")


def test_the_same_run_twice_gives_the_same_bytes_and_digest(tmp_path: Path) -> None:
    first = rig.write(tmp_path / "a.mcap", 100, events={5: "x"})
    second = rig.write(tmp_path / "elsewhere" / "b.mcap", 100, events={5: "x"})
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "elsewhere" / "b.mcap").read_bytes()
    assert first.digest() == second.digest() == read(tmp_path / "a.mcap").digest


def test_the_digest_is_over_rows_and_frames_only(tmp_path: Path) -> None:
    plain = rig.write(tmp_path / "a.mcap", 100).digest()
    assert rig.write(tmp_path / "b.mcap", 100, events={5: "told"}).digest() == plain
    assert rig.write(tmp_path / "c.mcap", 101).digest() != plain


def test_a_record_without_check_columns_and_without_ticks_can_be_read(tmp_path: Path) -> None:
    table = rig.make_table()
    sink = McapSink(tmp_path / "none.mcap", table, [], Policy(), {}, {})
    sink.close()
    sink.close()
    assert read(tmp_path / "none.mcap").rows.shape == (0, table.recorded)
    sink = McapSink(tmp_path / "one.mcap", table, [], Policy(), {}, {})
    sink.put(rig.TICK_NS, rig.row(1), zeros(Link))
    sink.close()
    record = read(tmp_path / "one.mcap")
    assert record.rows.shape == (1, table.recorded) and record.checks.shape == (1, 0)


def test_too_many_check_columns_and_an_unwritable_place_are_bench_errors(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="checks use"):
        McapSink(tmp_path / "r.mcap", rig.make_table(), range(NARROW + 1), Policy(), {}, {})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BenchError, match="cannot write"):
        rig.write(tmp_path / "file" / "r.mcap", 1)


def test_a_file_that_is_no_record_is_the_authors_fault(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_bytes(b"no MCAP at all" * 10)
    with pytest.raises(InputError, match="not an MCAP record"):
        read(tmp_path / "x.mcap")
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "absent.mcap")


def test_the_writer_thread_writes_the_same_record_as_the_plain_sink(tmp_path: Path) -> None:
    wanted = rig.write(tmp_path / "a.mcap", 60)
    table = rig.make_table()
    columns = [table.labels().index(name) for name in rig.SHOWN]
    inner = McapSink(
        tmp_path / "b.mcap", table, columns, Policy(), {"scenario.yaml": "scenario: made up\n"}, rig.IDENTITY
    )
    sink = ThreadedSink(inner, depth=100)
    links, row = zeros(Link), np.empty(COLUMNS)
    for tick in range(1, 61):
        rig.fill_link(links, tick)
        row[:] = rig.row(tick)
        sink.put(tick * rig.TICK_NS, row, links)
        row[:] = -1.0
    sink.verdicts(60 * rig.TICK_NS, [rig.verdict()])
    sink.close()
    assert sink.overflowed == 0 and sink.digest() == wanted.digest()
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_a_frame_that_a_receive_fault_altered_is_kept_as_heard_and_as_seen(tmp_path: Path) -> None:
    """Lost: one struct with LOST. Altered: the original with LOST, then what the bench saw with FAULT. Late: FAULT alone."""
    sink = rig.write(tmp_path / "r.mcap", 0, close=False)
    links = zeros(Link)
    rig.fill_link(links, 1)
    link = np.asarray(links)[0]
    heard, rx = link["heard"]["rx"], link["rx"]
    for frames in (heard, rx):
        frames["slot"]["id"][:3], frames["slot"]["dlc"][:3] = (1, 2, 3), 2
        frames["n"] = 3
    heard["slot"]["payload"][:3] = rx["slot"]["payload"][:3]
    rx["slot"]["bits"][0] |= FrameBits.LOST
    rx["slot"]["payload"][1][1] ^= 0x40
    rx["slot"]["id"][3], rx["slot"]["dlc"][3], rx["n"] = 9, 0, 4  # a late one comes
    sink.put(rig.TICK_NS, rig.row(1), links)
    sink.close()
    frames = read(tmp_path / "r.mcap").frames
    lost, fault = int(FrameBits.LOST), int(FrameBits.FAULT)
    told = [(int(f["id"]), int(f["bits"]) & (lost | fault)) for f in frames if not f["bits"] & FrameBits.SENT]
    assert told == [(1, lost), (2, lost), (2, fault), (3, 0), (9, fault)]
    assert frames["payload"][2][1] == frames["payload"][1][1] ^ 0x40


def test_the_inputs_of_a_tick_come_back(tmp_path: Path) -> None:
    sink = rig.write(tmp_path / "r.mcap", 0, Policy(every=10), close=False)
    links = zeros(Link)
    link = np.asarray(links)[0]
    table = rig.make_table()
    lateness = table.labels().index("time.lateness")
    for tick in range(70):
        link["bleed"][:] = 0
        link["bleed"][[0, tick % rig.CELLS]] = 1
        link["coils"]["n"], link["heard"]["poles"]["n"] = tick % 2, 1
        link["coils"]["slot"]["t_ns"][0], link["coils"]["slot"]["wire"][0] = tick * 10 + 1, 2
        link["heard"]["poles"]["slot"]["t_ns"][0], link["heard"]["poles"]["slot"]["level"][0] = tick * 10 + 2, 1
        link["heard"]["rx"]["lost"] = tick
        link["instruments"]["cell_voltage_v"][:] = tick + 0.1
        link["instruments"]["bus_load"] = tick + 0.7
        row = rig.row(tick)
        row[lateness] = (1000 + tick) * 1e-9
        sink.put(tick * rig.TICK_NS, row, links)
    sink.close()
    inputs = read(tmp_path / "r.mcap").inputs
    assert inputs is not None
    assert inputs.words.shape == (70, 9)
    assert inputs.words[69].tolist() == [69 * rig.TICK_NS, 1069, 69, 0, 1, 1, 1 | 1 << (69 % 12), 0, 0]
    assert len(inputs.edges) == 70 + 35
    assert [tuple(e) for e in inputs.edges[:3].tolist()] == [(2, 0, 1), (11, 2, 0), (12, 0, 1)]
    assert inputs.readings.shape == (70, rig.CELLS + rig.TEMPS + 7)
    assert inputs.readings[69, 0] == 69.1
    assert inputs.readings[69, -1] == 69.7


def test_more_frames_than_a_buffer_holds_cut_a_block_early_and_none_is_lost(tmp_path: Path) -> None:
    sink = rig.write(tmp_path / "r.mcap", 0, close=False)
    links = zeros(Link)
    link = np.asarray(links)[0]
    for frames in (link["rx"], link["heard"]["rx"], link["tx"]):
        frames["n"] = len(frames["slot"])
    for tick in range(40):
        sink.put(tick * rig.TICK_NS, rig.row(tick), links)
    sink.close()
    assert sink.lost_frames() == 0
    assert len(read(tmp_path / "r.mcap").frames) == 40 * 2 * len(link["tx"]["slot"])


def test_readings_come_back_to_the_last_bit_whatever_they_are(tmp_path: Path) -> None:
    """Whole steps, jumps beyond 16 bits, unknown, infinite, -0, tiny and anything in between; across block borders."""
    sink = rig.write(tmp_path / "r.mcap", 0, Policy(every=10), close=False)
    links = zeros(Link)
    link = np.asarray(links)[0]
    random = np.random.default_rng(5)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, 1e300, 3.3, 32767e-4, 32768e-4, -32768e-4])
    expected = np.empty((150, rig.CELLS + 1))
    for tick in range(150):
        walk = np.rint(33000 + random.normal(0, 3, rig.CELLS)) * 1e-4
        walk[:4] = random.choice(odd, 4)
        walk[4] = random.normal()
        link["instruments"]["cell_voltage_v"][: rig.CELLS] = expected[tick, :-1] = walk
        link["instruments"]["bus_load"] = expected[tick, -1] = random.random()
        sink.put(tick * rig.TICK_NS, rig.row(tick), links)
    sink.close()
    inputs = read(tmp_path / "r.mcap").inputs
    assert inputs is not None
    found = np.ascontiguousarray(inputs.readings[:, [*range(rig.CELLS), -1]])
    same = found.view(np.int64) == expected.view(np.int64)
    assert same.all(), expected[~same][:5]
