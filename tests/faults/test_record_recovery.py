"""A record that was cut, zeroed or bent: what is read is right, or it is not there; never silently wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import record_rig as rig
from mcap.reader import make_reader

from hil.errors import InputError
from hil.records import writer
from hil.records.reader import Record, read
from hil.records.recover import recover
from hil.records.writer import Policy

TICKS = 1500
RNG_SEED = 20240501


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records") / "whole.mcap"
    old = writer.FLUSH_BYTES
    try:
        writer.FLUSH_BYTES = 1 << 16  # many small blocks
        rig.write(path, TICKS, Policy(every=4), {700: "fault"})
    finally:
        writer.FLUSH_BYTES = old
    return path


def assert_nothing_is_wrong(found: Record, original: Record) -> None:
    """Every row, frame, event and verdict that was read stands, the same, in the original; identities too."""
    for times, values, all_times, all_values in (
        (found.row_times_ns, found.rows, original.row_times_ns, original.rows),
        (found.check_times_ns, found.checks, original.check_times_ns, original.checks),
    ):
        assert np.isin(times, all_times).all()
        np.testing.assert_array_equal(values, all_values[np.searchsorted(all_times, times)])
    known = {f.tobytes() for f in original.frames}
    assert all(f.tobytes() in known for f in found.frames)
    assert all(event in original.events for event in found.events)
    assert found.verdicts in ([], original.verdicts)
    assert found.attachments.items() <= original.attachments.items()
    assert {k: v for k, v in found.metadata.items() if k != "recovered"}.items() <= original.metadata.items()


def damaged_is_never_wrong(content: bytes, path: Path, original: Record) -> Record | None:
    path.write_bytes(content)
    try:
        found = read(path)
    except InputError:
        return None
    assert_nothing_is_wrong(found, original)
    return found


def test_a_record_cut_anywhere_gives_all_blocks_before_the_cut(whole: Path, tmp_path: Path) -> None:
    content, original = whole.read_bytes(), read(whole)
    ticks = []
    for cut in np.linspace(0, len(content) - 1, 60).astype(int).tolist():
        found = damaged_is_never_wrong(content[:cut], tmp_path / "cut.mcap", original)
        assert found is None or not found.complete
        ticks.append(len(found.check_times_ns) if found else 0)
    assert ticks == sorted(ticks), "a later cut may not lose more"
    assert ticks[30] > 0.35 * TICKS
    assert ticks[-1] == TICKS


def test_a_tail_of_zeros_as_after_a_power_cut_is_never_taken_for_data(whole: Path, tmp_path: Path) -> None:
    content, original = whole.read_bytes(), read(whole)
    for cut in np.linspace(100, len(content) - 1, 25).astype(int).tolist():
        zeroed = content[:cut] + bytes(len(content) - cut)
        found = damaged_is_never_wrong(zeroed, tmp_path / "zero.mcap", original)
        assert found is None or not found.complete


def test_a_flipped_bit_costs_at_most_its_own_block_and_is_noticed(whole: Path, tmp_path: Path) -> None:
    content, original = whole.read_bytes(), read(whole)
    rng = np.random.default_rng(RNG_SEED)
    places = [*rng.integers(0, len(content) * 8, 150).tolist(), *range(64, 64 + 40 * 8, 7)]
    worst = TICKS
    for bit in places:
        bent = bytearray(content)
        bent[bit // 8] ^= 1 << (bit % 8)
        found = damaged_is_never_wrong(bytes(bent), tmp_path / "bent.mcap", original)
        if found is not None:
            assert not found.complete, f"bit {bit} went unnoticed"
            worst = min(worst, len(found.check_times_ns))
    assert worst > 0.7 * TICKS


def test_a_recovered_record_opens_in_the_standard_reader_and_says_what_it_lost(whole: Path, tmp_path: Path) -> None:
    content, original = whole.read_bytes(), read(whole)
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(content[: len(content) * 2 // 3])
    result = recover(cut, tmp_path / "new.mcap")
    assert cut.read_bytes() == content[: len(content) * 2 // 3], "the original is evidence"
    assert not result.untouched and not result.has_verdicts and result.bytes_lost > 0
    with (tmp_path / "new.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        assert sum(1 for _ in reader.iter_messages()) == summary.statistics.message_count > 0
    found = read(tmp_path / "new.mcap")
    assert_nothing_is_wrong(found, original)
    assert len(found.check_times_ns) == result.ticks > TICKS // 2
    assert found.metadata["recovered"]["bytes_lost"] == str(result.bytes_lost)
    assert not found.complete
    assert "judge the record again" in str(result)


def test_recovering_twice_changes_nothing_more(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    (tmp_path / "cut.mcap").write_bytes(content[: len(content) // 2])
    recover(tmp_path / "cut.mcap", tmp_path / "a.mcap")
    recover(tmp_path / "cut.mcap", tmp_path / "again.mcap")
    second = recover(tmp_path / "a.mcap", tmp_path / "b.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "again.mcap").read_bytes()
    assert second.untouched


def test_a_finished_record_is_copied_byte_for_byte(whole: Path, tmp_path: Path) -> None:
    result = recover(whole, tmp_path / "copy.mcap")
    assert result.untouched and result.ticks == TICKS and result.ticks_lost == 0 and result.has_verdicts
    assert (tmp_path / "copy.mcap").read_bytes() == whole.read_bytes()


def test_ticks_missing_in_the_middle_are_counted(whole: Path, tmp_path: Path) -> None:
    bent = bytearray(whole.read_bytes())
    bent[bent.index(b"lz4", len(bent) // 2) + 100] ^= 0x10  # inside a block
    (tmp_path / "bent.mcap").write_bytes(bent)
    result = recover(tmp_path / "bent.mcap", tmp_path / "new.mcap")
    assert result.ticks_lost > 0 and result.ticks + result.ticks_lost == TICKS
    assert result.holes == 1 and result.has_verdicts


def test_recovering_onto_itself_or_from_nothing_is_refused(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name of its own"):
        recover(whole, whole)
    (tmp_path / "stub.mcap").write_bytes(whole.read_bytes()[:40])
    with pytest.raises(InputError, match="nothing to recover"):
        recover(tmp_path / "stub.mcap", tmp_path / "new.mcap")
    assert not (tmp_path / "new.mcap").exists()


WRITING = """
import sys
from pathlib import Path
import record_rig as rig
from hil.kernel import zeros
from hil.tick import Link
sink = rig.write(Path(sys.argv[1]), 2000, close=False)
print("writing", flush=True)
links, tick = zeros(Link), 2000
while True:
    tick += 1
    rig.fill_link(links, tick)
    sink.put(tick * rig.TICK_NS, rig.row(tick), links)
"""


def test_a_writer_that_is_killed_leaves_a_record_that_can_be_read(tmp_path: Path) -> None:
    root, path = Path(__file__).parents[2], tmp_path / "killed.mcap"
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"writing\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    result = recover(path, tmp_path / "whole.mcap")
    record = read(tmp_path / "whole.mcap")
    assert result.ticks >= 1500 and result.ticks_lost == 0
    assert record.check_times_ns.tolist() == [t * rig.TICK_NS for t in range(1, result.ticks + 1)]
    for tick in (1, result.ticks // 2, result.ticks):
        wanted = [rig.value(tick, c) for c in range(record.table.recorded)]
        np.testing.assert_array_equal(record.rows[tick - 1], wanted)
