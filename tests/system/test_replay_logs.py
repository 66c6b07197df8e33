"""A CAN log judged by a scenario's expectations, and a log that the virtual BMS reacts to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import ROOT, written

from hil.campaign.judging_logs import LogOptions, into_virtual, judge_log
from hil.campaign.replaying import replay_record
from hil.campaign.run import Options, Screen, run_all
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
