"""A record run again gives the same verdicts and the same digest, from the record alone; a changed one tells where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from runs import ROOT, written

import hil.cli.replay  # noqa: F401  # registers the command
from hil.campaign.replaying import Replayed, replay_record
from hil.campaign.run import Options, Screen, run_all
from hil.cli.group import main
from hil.errors import ExitCode, InputError
from hil.records.layout import FRAME, FRAMES, HEADER, INPUTS, ROWS
from hil.records.reader import Record, read
from hil.records.scan import scan
from hil.records.writer import start_file
from hil.tick import FrameBits

LATE_AND_LOST = """\
steps:
  - at: 100 ms
    fault: {kind: frame_loss, target: BMS_Pack, probability: 50 %, for: 500 ms}
  - at: 200 ms
    fault: {kind: frame_delay, target: BMS_State, delay: 37 ms, for: 400 ms}
"""
CURRENT = "always: measured.pack_current < 90 A"


def recorded(folder: Path, scenario: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    outcome = run_all([scenario], Options(folder / "out", **options), Screen(quiet=True))
    return folder / "out" / "record.mcap", outcome.cases[0]


def alone(record: Path, folder: Path) -> Path:
    """The record by itself in another folder: nothing else of the run is there."""
    moved = folder / "elsewhere" / "found.mcap"
    moved.parent.mkdir()
    record.rename(moved)
    return moved


def check_same(replayed: Replayed, case: dict[str, Any]) -> None:
    assert replayed.digest == replayed.replayed_digest == case["digest"], "\n".join(replayed.lines())
    assert replayed.same
    assert replayed.exit_code == ExitCode.PASS
    assert replayed.summary["checks"] == case["checks"]
    assert replayed.differences == []


@pytest.mark.parametrize("every", [1, 10])
def test_a_record_run_again_gives_the_same_digest_whatever_rows_it_keeps(tmp_path: Path, every: int) -> None:
    change = ("steps:\n", f"record: {{every: {every}}}\nsteps:\n")
    record, case = recorded(tmp_path, written(tmp_path, CURRENT, change=change))
    moved = alone(record, tmp_path)
    (tmp_path / "written.yaml").unlink()
    check_same(replay_record(moved), case)


def test_receive_faults_act_again_on_the_frames_as_they_were_heard(tmp_path: Path) -> None:
    expect = "always: reported.pack_voltage > 200 V"
    record, case = recorded(tmp_path, written(tmp_path, expect, change=("steps:\n", LATE_AND_LOST)))
    bits = read(record).frames["bits"]
    assert ((bits & FrameBits.LOST) > 0).sum() > 20  # lost and late ones
    assert ((bits & FrameBits.FAULT) > 0).sum() > 10  # the late ones when they came
    check_same(replay_record(record), case)


def test_a_run_in_real_time_keeps_its_lateness_and_replays_the_same_at_once(tmp_path: Path) -> None:
    record, case = recorded(tmp_path, written(tmp_path, CURRENT), clock="real", speed=20.0)
    _, late_s = read(record).column("time.lateness")
    assert (late_s > 0.0).any()
    check_same(replay_record(record), case)


def test_a_scenario_with_a_profile_and_a_parameter_needs_nothing_but_its_record(tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text("# A\n3\n-2\n5\n")
    change = ("    current: 5 A", "    current: {play: short.csv, period: 100 ms}")
    scenario = written(tmp_path, "always: shown.cell_voltage[$cell] > 2 V", change=change)
    scenario.write_text(scenario.read_text().replace("seed: 3", "seed: 3\nparams: {cell: [7]}"))
    record, case = recorded(tmp_path, scenario)
    (tmp_path / "short.csv").unlink()
    assert case["checks"][0]["status"] == "PASS"
    check_same(replay_record(record), case)


def test_a_run_that_tripped_or_waited_in_vain_ends_the_same_way_again(tmp_path: Path) -> None:
    change = ("    current: 5 A", "    wait: {until: reported.state == ERROR, within: 300 ms}")
    record, case = recorded(tmp_path, written(tmp_path, CURRENT, change=change))
    assert case["checks"][-1]["id"] == "wait-1"
    check_same(replay_record(record), case)


def rewritten(record: Path, out: Path, topic: str, change: Callable[[bytearray], None], nth: int = 1) -> Path:
    """The record with one message of ``topic`` changed, all its checksums right."""
    found = scan(record)
    with out.open("wb") as stream:
        writer, channels = start_file(stream, found.attachments, found.metadata)
        seen = 0
        for group in found.groups:
            for message in group:
                name, data = found.topics[message.channel_id], bytearray(message.data)
                if name == topic:
                    seen += 1
                    if seen == nth:
                        change(data)
                writer.add_message(channels[name], message.log_time, bytes(data), message.publish_time)
            writer.flush()
        writer.finish()
    return out


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("run")
    record, _ = recorded(folder, written(folder, CURRENT))
    return read(record)


def test_a_changed_row_is_told_by_its_column_and_tick(run_once: Record, tmp_path: Path) -> None:
    column = run_once.table.labels().index("truth.soc")

    def change(data: bytearray) -> None:
        _, n, width, _, _ = HEADER.unpack_from(data)
        values = np.frombuffer(data, "<f8", n * width, HEADER.size + 8 * n).reshape(n, width)
        values[2, column] += 1e-12

    replayed = replay_record(rewritten(run_once.path, tmp_path / "tampered.mcap", ROWS, change))
    assert not replayed.same
    assert replayed.exit_code == ExitCode.FAIL
    assert [d.what for d in replayed.differences] == ["truth.soc"]
    assert replayed.differences[0].time_s == run_once.row_times_ns[2] * 1e-9
    assert "in all 1 values of 1 columns in 1 full rows" in replayed.differences[0].more
    assert any("NOT the same" in line for line in replayed.lines())


def test_a_changed_frame_makes_the_bench_half_report_something_else(run_once: Record, tmp_path: Path) -> None:
    seen: list[int] = []

    def change(data: bytearray) -> None:
        frames: Any = np.frombuffer(data, FRAME)
        index = int(np.flatnonzero((frames["id"] == 0x111) & (frames["bits"] == 0))[0])  # state of charge, no CRC
        frames["payload"][index][0] ^= 1
        seen.append(int(frames["t_ns"][index]))

    replayed = replay_record(rewritten(run_once.path, tmp_path / "tampered.mcap", FRAMES, change, nth=3))
    assert replayed.exit_code == ExitCode.FAIL
    first = replayed.differences[0]
    assert first.what == "reported.soc"
    assert first.time_s is not None
    assert first.time_s >= seen[0] * 1e-9
    assert json.loads(json.dumps(replayed.as_dict()))["same"] is False


def test_changed_readings_are_noticed(run_once: Record, tmp_path: Path) -> None:
    """Readings stand apart from the rows when rows are thinned; the digest is of rows, which no longer fit."""

    def change(data: bytearray) -> None:
        _, n, words, readings, _ = HEADER.unpack_from(data)
        assert readings > 0
        changes = np.frombuffer(data, "<i2", n * readings, HEADER.size + 8 * n * words + 24).reshape(n, readings)
        changes[70 - 64, 0] += 10  # 1 mV from a tick on whose full row is kept

    replayed = replay_record(rewritten(run_once.path, tmp_path / "tampered.mcap", INPUTS, change, nth=2))
    assert replayed.exit_code == ExitCode.FAIL
    assert any(d.what.startswith("measured.cell_voltage[0]") for d in replayed.differences)


def test_a_record_with_a_hole_says_from_where_it_cannot_be_run_again(run_once: Record, tmp_path: Path) -> None:
    found = scan(run_once.path)
    holed = tmp_path / "holed.mcap"
    with holed.open("wb") as stream:
        writer, channels = start_file(stream, found.attachments, found.metadata)
        for message in (m for group in found.groups for m in group):
            name = found.topics[message.channel_id]
            if message.log_time != 64 * 10_000_000 or name not in (ROWS, FRAMES, INPUTS, "checks"):
                writer.add_message(channels[name], message.log_time, message.data, message.publish_time)
        writer.finish()
    with pytest.raises(InputError, match=r"lost ticks.*tick 64 at 0\.640000 s"):
        replay_record(holed)


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(b"(1.0) can0 123#00\n")
    with pytest.raises(InputError, match="not an MCAP record"):
        replay_record(path)


def test_shipped_scenarios_replay_the_same(tmp_path: Path) -> None:
    record, case = recorded(tmp_path, ROOT / "scenarios" / "wrong_crc.yaml")
    check_same(replay_record(record), case)


def test_a_golden_record_is_compared_with_the_new_run_and_not_with_the_record_run_again(
    run_once: Record, tmp_path: Path
) -> None:
    column = run_once.table.labels().index("truth.soc")

    def change(data: bytearray) -> None:
        _, n, width, _, _ = HEADER.unpack_from(data)
        np.frombuffer(data, "<f8", n * width, HEADER.size + 8 * n).reshape(n, width)[2, column] += 1.0

    tampered = rewritten(run_once.path, tmp_path / "tampered.mcap", ROWS, change)
    old, golden = tampered.read_bytes(), tmp_path / "golden.mcap"

    def told(*options: str) -> dict[str, Any]:
        result = CliRunner().invoke(main, ["replay", str(tampered), "--golden", str(golden), "--json", *options])
        return json.loads(result.stdout)

    golden.write_bytes(run_once.path.read_bytes())
    made = told()
    assert (made["same"], made["golden"]["same"]) == (False, True)
    golden.unlink()
    assert told("--update")["golden"]["same"]
    assert read(golden).digest == run_once.digest
    assert tampered.read_bytes() == old
