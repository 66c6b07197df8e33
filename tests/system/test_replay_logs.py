"""A CAN log judged by a scenario's expectations, and a log that the virtual BMS reacts to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from runs import ROOT, written

import hil.cli.replay  # noqa: F401  # registers the command
from hil.campaign.judging_logs import LogOptions, into_virtual, judge_log
from hil.campaign.replaying import replay_record
from hil.campaign.run import Options, Screen, run_all
from hil.cli.group import main
from hil.errors import ExitCode, InputError
from hil.records.reader import Record, read
from hil.tick import FrameBits

EPOCH_S = 1_700_000_000  # a log has the time of day; a record counts from the start of the run
OVERVOLTAGE = """\
scenario: what a log says about an overvoltage
pack: {scenarios}/packs/a123_96s40p.yaml
bms: {scenarios}/bms/reference.limits.yaml
steps:
  - at: 0 s
    request: NORMAL
expect:
  - id: REPORTED
    when: reported.cell_voltage_max > 3.8 V
    then: reported.dtc_cell_ov == ON
    within: 3 s
    informational: true
  - id: NEVER
    never: reported.discharge_current_limit > 0 A while reported.state == ERROR
  - id: WIRE
    when: reported.cell_voltage_max > 3.8 V
    then: measured.contactor_main == OPEN
    within: 3 s
  - id: SHOWN
    when: shown.cell_voltage[0] > 3.8 V
    then: measured.contactor_main == OPEN
    within: 1 s
  - id: WRONG
    always: reported.cell_voltage_max < 3.5 V
"""


def candump(record: Record, path: Path) -> Path:
    """The bus of a record as a candump log, as another device would have written it: whole microseconds, time of day."""
    lines = []
    for f in sorted(record.frames, key=lambda f: int(f["t_ns"])):
        if f["bits"] & (FrameBits.LOST | FrameBits.FAULT):
            continue
        payload = bytes(f["payload"][: int(f["dlc"])]).hex().upper()
        t_us = EPOCH_S * 1_000_000 + round(int(f["t_ns"]) / 1000)
        lines.append(f"({t_us // 1_000_000}.{t_us % 1_000_000:06d}) can0 {int(f['id']):03X}#{payload}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def overvoltage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """A run in which a cell goes over its limit, and its bus as a log."""
    folder = tmp_path_factory.mktemp("ov")
    options = Options(folder, only=("cell=47",))
    run_all([ROOT / "scenarios" / "cell_overvoltage.yaml"], options, Screen(quiet=True))
    record = read(folder / "record.mcap")
    return record, candump(record, folder / "ov.log")


@pytest.fixture(scope="module")
def judged(overvoltage: tuple[Record, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("judged")
    scenario = folder / "log.yaml"
    scenario.write_text(OVERVOLTAGE.format(scenarios=ROOT / "scenarios"))
    return judge_log(overvoltage[1], scenario, LogOptions(folder / "out")), folder / "out"


def by_id(outcome: Any) -> dict[str, dict[str, Any]]:
    return {c["id"]: c for c in outcome.cases[0]["checks"]}


def test_what_was_reported_decides_and_what_a_log_lacks_is_inconclusive(judged: tuple[Any, Path]) -> None:
    checks = by_id(judged[0])
    told = {name: check["status"] for name, check in checks.items()}
    assert told == {
        "REPORTED": "PASS",
        "NEVER": "PASS",
        "WIRE": "INCONCLUSIVE",
        "SHOWN": "INCONCLUSIVE",
        "WRONG": "FAIL",
    }
    assert "measured.contactor_main" in checks["WIRE"]["reason"]
    assert "shown.cell_voltage" in checks["SHOWN"]["reason"]
    assert judged[0].exit_code == ExitCode.FAIL


def test_the_log_holds_the_reaction_at_the_instant_of_its_frame(
    overvoltage: tuple[Record, Path], judged: tuple[Any, Path]
) -> None:
    """The record knows when the code was heard; the log's time counts from its first frame."""
    record, _ = overvoltage
    zero_s = round(float(record.frames["t_ns"].min()) / 1000) * 1e-6
    t1_s = by_id(judged[0])["REPORTED"]["t1_s"]
    times, values = record.column("reported.dtc_cell_ov.t")
    heard_s = values[-1] - zero_s
    assert t1_s == pytest.approx(heard_s, abs=2e-6)
    assert times[-1] > heard_s


def test_the_record_of_a_judged_log_has_the_frames_and_unknown_instruments(
    overvoltage: tuple[Record, Path], judged: tuple[Any, Path]
) -> None:
    record = read(judged[1] / "record.mcap")
    assert record.complete
    assert len(record.frames) == len(overvoltage[1].read_text().splitlines())
    assert np.isnan(record.column("measured.contactor_main")[1]).all()
    assert np.isnan(record.column("shown.cell_voltage[3]")[1]).all()
    assert (judged[1] / "report.html").exists()
    assert json.loads((judged[1] / "verdicts.json").read_text())[0]["checks"] == record.verdicts
    with pytest.raises(InputError, match="judge the log again"):
        replay_record(judged[1] / "record.mcap")


@pytest.mark.parametrize(
    ("options", "status"),
    [({"start_s": 1.0}, "FAIL"), ({"start_s": 1e4}, "NOT_EXERCISED"), ({"trigger": "reported.state == ERROR"}, "FAIL")],
)
def test_judging_begins_where_it_is_told(
    overvoltage: tuple[Record, Path], tmp_path: Path, options: dict[str, Any], status: str
) -> None:
    scenario = tmp_path / "log.yaml"
    scenario.write_text(OVERVOLTAGE.format(scenarios=ROOT / "scenarios"))
    outcome = judge_log(overvoltage[1], scenario, LogOptions(tmp_path / "out", **options))
    assert by_id(outcome)["WRONG"]["status"] == status
    assert bool(outcome.cases[0]["notes"]) == (status == "NOT_EXERCISED")


def test_the_virtual_bms_does_what_the_vehicle_of_a_log_asks(tmp_path: Path) -> None:
    """A run goes to NORMAL and to STANDBY by its requests; their log alone makes another BMS do the same."""
    steps = "steps:\n  - at: 1500 ms\n    request: STANDBY\n  - at: 2 s\n    mark: over\n"
    drive = written(tmp_path, "always: measured.pack_current < 90 A", change=("steps:\n", steps))
    run_all([drive], Options(tmp_path / "first"), Screen(quiet=True))
    first = read(tmp_path / "first" / "record.mcap")
    log = candump(first, tmp_path / "vehicle.log")
    outcome = into_virtual(log, None, LogOptions(tmp_path / "out"))
    second = read(tmp_path / "out" / "record.mcap")
    assert any("BMS's own" in note for note in outcome.cases[0]["notes"])
    for record in (first, second):
        _, state = record.column("reported.state")
        assert {1.0, 3.0} <= set(state[~np.isnan(state)])  # STANDBY, NORMAL
    others = second.frames[second.frames["source"] == 2]
    assert set(others["id"].tolist()) == {0x0F0}
    requests = first.frames[(first.frames["id"] == 0x0F0)]
    assert len(others) >= len(requests) - 2
    replayed = replay_record(tmp_path / "out" / "record.mcap")
    assert replayed.same, "\n".join(replayed.lines())


def test_an_empty_log_and_a_channel_without_frames_are_refused(
    tmp_path: Path, overvoltage: tuple[Record, Path]
) -> None:
    with pytest.raises(InputError, match="no frames of channel 7"):
        judge_log(overvoltage[1], ROOT / "scenarios" / "wrong_crc.yaml", LogOptions(tmp_path, channel=7))


def hil_replay(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["replay", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a run that asks for NORMAL, and for STANDBY 1.5 s later."""
    folder = tmp_path_factory.mktemp("vehicle")
    steps = "steps:\n  - at: 1500 ms\n    request: STANDBY\n  - at: 2 s\n    mark: over\n"
    drive = written(folder, "always: measured.pack_current < 90 A", change=("steps:\n", steps))
    run_all([drive], Options(folder / "first"), Screen(quiet=True))
    return candump(read(folder / "first" / "record.mcap"), folder / "vehicle.log")


def reaction_to(log: Path, out: Path, *options: object) -> dict[str, Any]:
    result = hil_replay(log, "--into", "virtual-bms", "--results", out, "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)[0]["reaction"]


def states(told: dict[str, Any]) -> list[str]:
    return [change["value"] for change in told["changes"] if change["what"] == "state"]


def test_what_the_virtual_bms_did_is_told_and_nothing_judged_is_no_failure(vehicle: Path, tmp_path: Path) -> None:
    result = hil_replay(vehicle, "--into", "virtual-bms", "--results", tmp_path / "out")
    assert result.exit_code == 0, result.output
    head, *rest = result.stdout.splitlines()
    record = read(tmp_path / "out" / "record.mcap")
    given = int((record.frames["source"] == 2).sum())
    assert head.startswith("vehicle: the virtual BMS took ")
    assert abs(int(head.split()[5]) - given) <= 1
    assert rest[0] == "  at the start: STANDBY"
    assert [line.split()[-1] for line in rest if " state " in line and " s  " in line] == [
        "PRECHARGE",
        "NORMAL",
        "STANDBY",
    ]
    assert "  no trouble code was set" in rest
    assert f"record: {tmp_path / 'out' / 'record.mcap'}" in rest


def test_states_are_told_when_their_frames_came_and_follow_the_speed(vehicle: Path, tmp_path: Path) -> None:
    plain = reaction_to(vehicle, tmp_path / "plain")
    record = read(tmp_path / "plain" / "record.mcap")
    times_s, values = record.column("reported.state")
    for change in plain["changes"]:
        seen_s = times_s[np.flatnonzero(times_s >= change["time_s"] + plain["began_s"])[0]]
        word = dict(enumerate(record.table.find("reported.state").labels))[int(values[times_s == seen_s][0])]
        assert word == change["value"]
    fast = reaction_to(vehicle, tmp_path / "fast", "--speed", "2")
    assert states(fast)[-1] == "STANDBY"
    end = {name: told["changes"][-1]["time_s"] for name, told in (("plain", plain), ("fast", fast))}
    assert end["fast"] == pytest.approx(end["plain"] / 2, abs=0.15)
    assert fast["duration_s"] == pytest.approx(plain["duration_s"] / 2, abs=0.2)


def test_only_the_chosen_part_of_a_log_reaches_the_virtual_bms(vehicle: Path, tmp_path: Path) -> None:
    first_s = float(vehicle.read_text().split(")")[0].strip("("))
    asked = [line for line in vehicle.read_text().splitlines() if " 0F0#" in line]
    within = [line for line in asked if 0.2 <= float(line.split(")")[0].strip("(")) - first_s < 0.7]
    told = reaction_to(vehicle, tmp_path / "part", "--window", "200ms..700ms", "--id", "0x0F0")
    assert told["frames"] == len(within)
    nothing = reaction_to(vehicle, tmp_path / "no", "--id", "!0x0F0", "--window", "..500ms")
    assert nothing["frames"] == 0
    assert states(nothing) == []


def test_a_corrupted_request_is_no_request(vehicle: Path, tmp_path: Path) -> None:
    names = ("--dbc", ROOT / "dbc" / "bench.dbc", "--e2e", ROOT / "dbc" / "bench.e2e.yaml")
    whole = reaction_to(vehicle, tmp_path / "whole", *names, "--repair", "all")
    broken = reaction_to(vehicle, tmp_path / "broken", *names, "--corrupt", "crc:VEH_Request")
    assert "NORMAL" in states(whole)
    assert "NORMAL" not in states(broken)


def judged_by(log: Path, folder: Path, *options: object) -> dict[str, dict[str, Any]]:
    (folder / "log.yaml").write_text(OVERVOLTAGE.format(scenarios=ROOT / "scenarios"))
    result = hil_replay(log, "--expect", folder / "log.yaml", "--results", folder / "out", "--json", *options)
    assert result.exit_code in (0, 1, 3), result.output
    return {check["id"]: check for check in json.loads(result.stdout)[0]["checks"]}


def test_a_log_is_judged_as_the_options_change_it(overvoltage: tuple[Record, Path], tmp_path: Path) -> None:
    log = overvoltage[1]
    plain = judged_by(log, tmp_path)
    assert plain["WRONG"]["status"] == "FAIL"
    names = ("--dbc", ROOT / "dbc" / "bench.dbc", "--e2e", ROOT / "dbc" / "bench.e2e.yaml")
    set_low = judged_by(log, tmp_path, *names, "--set", "BMS_MinMax.CellVoltageMax=3.4 V")
    assert set_low["WRONG"]["status"] == "PASS"
    assert set_low["REPORTED"]["status"] == "NOT_EXERCISED"
    fast = judged_by(log, tmp_path, "--speed", "2")
    assert fast["REPORTED"]["t1_s"] == pytest.approx(plain["REPORTED"]["t1_s"] / 2, abs=2e-6)
    t0_s = plain["REPORTED"]["t0_s"]
    before = judged_by(log, tmp_path, "--window", f"..{t0_s - 0.5:.6f} s")
    assert before["REPORTED"]["status"] == "NOT_EXERCISED"
    later = judged_by(log, tmp_path, "--window", f"1 s..{t0_s + 1.5:.6f} s")
    assert later["REPORTED"]["t0_s"] == pytest.approx(t0_s - 1.0, abs=1e-6)  # scenario time 0 is where judging begins


def test_a_plan_that_changes_nothing_judges_the_same(overvoltage: tuple[Record, Path], tmp_path: Path) -> None:
    plain = judged_by(overvoltage[1], tmp_path)
    digest = json.loads((tmp_path / "out" / "verdicts.json").read_text())[0]["digest"]
    assert judged_by(overvoltage[1], tmp_path, "--id", "0x000-0x1FFFFFFF") == plain
    assert json.loads((tmp_path / "out" / "verdicts.json").read_text())[0]["digest"] == digest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--loop", "forever"), "--loop forever: expected a number"),
        (("--step",), "--step: expected no --expect and no --into"),
        (("--interface", "virtual", "--channel", "x"), "--interface: expected no --expect and no --into"),
        (("--fast",), "--fast: expected"),
        (("--out", "x.log"), "--out: expected"),
        (("--id", "0x7AB"), "no frame of the log is left"),
        (("--start-on", "BMS_State.State == 3"), "--dbc"),
    ],
)
def test_what_makes_no_sense_without_sending_is_refused(
    vehicle: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    result = hil_replay(vehicle, "--into", "virtual-bms", "--results", tmp_path / "out", *options)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert words in result.output + result.stderr


def test_a_record_run_again_is_never_changed(overvoltage: tuple[Record, Path]) -> None:
    result = hil_replay(overvoltage[0].path, "--into", "engine", "--speed", "2")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "a record is run again as it is" in result.output + result.stderr


def test_a_log_of_which_a_part_was_unreadable_is_judged_and_never_passes_as_whole(
    overvoltage: tuple[Record, Path], vehicle: Path, tmp_path: Path
) -> None:
    (tmp_path / "log.yaml").write_text(OVERVOLTAGE.format(scenarios=ROOT / "scenarios").split("  - id: NEVER")[0])
    lines = overvoltage[1].read_text().splitlines()
    damaged = tmp_path / "damaged.log"
    damaged.write_text("\n".join([*lines[:100], lines[100][:14], *lines[101:], ""]))
    judge = ("--expect", tmp_path / "log.yaml", "--results", tmp_path / "out")
    for options in ((), ("--id", "0x000-0x1FFFFFFF")):
        assert hil_replay(overvoltage[1], *judge, *options).exit_code == ExitCode.PASS
        assert hil_replay(damaged, *judge, *options).exit_code == ExitCode.UNDECIDED
    lines = vehicle.read_text().splitlines()
    damaged.write_text("\n".join([*lines[:100], lines[100][:14], *lines[101:], ""]))
    given = hil_replay(damaged, "--into", "virtual-bms", "--results", tmp_path / "out")
    assert given.exit_code == ExitCode.UNDECIDED
    assert "could not be read" in given.stdout


FOREIGN_DBC = """\
VERSION ""
BU_: Pack
BO_ 475 Battery: 8 Pack
 SG_ Voltage : 0|16@1+ (0.5,0) [0|500] "V" Vector__XXX
 SG_ Something : 16|8@1+ (1,0) [0|255] "" Vector__XXX
BO_ 476 Other: 8 Pack
 SG_ Else : 0|8@1+ (1,0) [0|255] "" Vector__XXX
"""
FOREIGN = {
    "car.dbc": FOREIGN_DBC,
    "car.e2e.yaml": "messages: {}\n",
    "car.quantities.yaml": "dbc: car.dbc\ne2e: car.e2e.yaml\n"
    'receive:\n  Battery.Voltage: {quantity: reported.pack_voltage}\nunused: ["*"]\n',
    "car.yaml": "bench: a car on the road\nquantities: car.quantities.yaml\n",
    "expect.yaml": f"""\
scenario: what a car says
pack: {ROOT}/scenarios/packs/a123_96s40p.yaml
bms: {ROOT}/scenarios/bms/reference.limits.yaml
steps:
  - at: 0 s
    request: NORMAL
expect:
  - {{id: LOW, always: reported.pack_voltage < 402 V}}
  - {{id: HIGH, always: reported.pack_voltage > 395 V}}
""",
}


def test_a_log_of_anybodys_bus_is_judged_with_a_bench_file_for_its_database(tmp_path: Path) -> None:
    for name, text in FOREIGN.items():
        (tmp_path / name).write_text(text)
    frames = [(k, 2 * (390 + k)) for k in range(10)]
    lines = [f"({k / 10:.6f}) can0 1DB#{raw & 255:02X}{raw >> 8:02X}FF0000000000\n" for k, raw in frames]
    (tmp_path / "car.log").write_text("".join(lines))
    options = ("--expect", tmp_path / "expect.yaml", "--bench", tmp_path / "car.yaml", "--results", tmp_path / "out")
    result = hil_replay(tmp_path / "car.log", *options, "--json")
    assert result.exit_code == ExitCode.FAIL, result.output
    checks = {check["id"]: check for check in json.loads(result.stdout)[0]["checks"]}
    assert (checks["LOW"]["status"], checks["LOW"]["margin"]) == ("PASS", pytest.approx(3.0))  # 399 V at most
    assert (checks["HIGH"]["status"], checks["HIGH"]["margin"]) == ("FAIL", pytest.approx(-5.0))
    assert result.exit_code == hil_replay(tmp_path / "car.log", *options, "--id", "0x1DB").exit_code


def test_a_log_is_decoded_by_the_database_given_where_it_has_the_bench_s_signals(
    overvoltage: tuple[Record, Path], tmp_path: Path
) -> None:
    text = (ROOT / "dbc" / "bench.dbc").read_text()
    old = "CellVoltageMax : 13|13@1+ (0.001,0)"
    assert old in text
    own = tmp_path / "own.dbc"
    own.write_text(
        text.replace(old, old.replace("0.001", "0.0005")).replace(
            "BO_ 274 ", FOREIGN_DBC.partition("Pack\n")[2] + "\nBO_ 274 "
        )
    )
    plain = judged_by(overvoltage[1], tmp_path)
    for options in ((), ("--id", "0x000-0x1FFFFFFF")):
        mine = judged_by(overvoltage[1], tmp_path, "--dbc", own, *options)
        assert (plain["WRONG"]["status"], mine["WRONG"]["status"]) == ("FAIL", "PASS")
    assert read(tmp_path / "out" / "record.mcap").attachments["bench.dbc"] == own.read_text()
    own.write_text(FOREIGN_DBC)
    result = hil_replay(overvoltage[1], "--expect", tmp_path / "log.yaml", "--dbc", own)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "or --bench with a quantities file" in result.stderr.splitlines()[0]


@pytest.mark.parametrize("how", [("--expect", "log.yaml"), ("--into", "virtual-bms"), ("--into", "engine")])
def test_progress_is_shown_while_a_log_is_judged_given_or_run_again(
    overvoltage: tuple[Record, Path],
    vehicle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: tuple[str, str],
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(Screen, "follow", lambda screen, title, work: work(seen.append))
    (tmp_path / "log.yaml").write_text(OVERVOLTAGE.format(scenarios=ROOT / "scenarios"))
    log = {"virtual-bms": vehicle, "engine": overvoltage[0].path}.get(how[1], overvoltage[1])
    value = tmp_path / how[1] if how[0] == "--expect" else how[1]
    options = () if how[1] == "engine" else ("--results", tmp_path / "out")
    hil_replay(log, how[0], value, *options)
    assert seen == sorted(seen)
    assert seen[-1] > 0


def test_it_is_told_that_nothing_was_judged(overvoltage: tuple[Record, Path], tmp_path: Path) -> None:
    (tmp_path / "log.yaml").write_text(OVERVOLTAGE.format(scenarios=ROOT / "scenarios"))
    late = hil_replay(
        overvoltage[1], "--expect", tmp_path / "log.yaml", "--results", tmp_path / "out", "--window", "1000 s.."
    )
    assert "nothing was judged: the log ends before 1000 s" in late.stdout


def test_a_record_in_the_results_is_not_written_over_while_it_is_given_to_the_bms(
    overvoltage: tuple[Record, Path],
) -> None:
    record = overvoltage[0].path
    before = record.read_bytes()
    result = hil_replay(record, "--into", "virtual-bms", "--results", record.parent)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "would overwrite the log" in result.stderr
    assert record.read_bytes() == before
