"""Whole runs: the scenarios pass on the healthy BMS, find the named defects, and are the same every time."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runs import HIL, QUICK, ROOT, SCENARIOS, checks_of, environment, hil, is_slow, written

from hil.campaign.run import Options, Outcome, Screen, run_all
from hil.errors import ExitCode
from hil.records.reader import read

WANTED = {
    "one cell overvoltage": "cell_overvoltage",
    "all cells overvoltage": "all_cells_overvoltage",
    "cell undervoltage": "cell_undervoltage",
    "overtemperature": "overtemperature",
    "overcurrent discharge": "overcurrent_discharge",
    "charge in the cold": "charge_in_the_cold",
    "precharge never completes": "precharge_never_completes",
    "contactor welded": "contactor_welded",
    "sense wire open": "sense_wire_open",
    "vehicle message lost": "vehicle_message_lost",
    "wrong CRC": "wrong_crc",
    "frozen counter with valid CRC": "frozen_counter",
    "UDDS drive": "udds_drive",
}

# What finds each defect that the requirements name: (scenario, case).
FOUND_BY = {
    "ov_never_trips": ("cell_overvoltage", "cell=47"),
    "ov_debounce_10x": ("cell_overvoltage", "cell=47"),
    "contactor_stays_closed_on_error": ("cell_overvoltage", "cell=47"),
    "reports_open_but_closed": ("cell_overvoltage", "cell=47"),
    "uv_threshold_low_200mv": ("cell_undervoltage", "case"),
    "alive_counter_ignored": ("frozen_counter", "case"),
}


def scenario(name: str) -> Path:
    return ROOT / "scenarios" / f"{name}.yaml"


def ran(path: Path, out: Path, **options: Any) -> Outcome:
    return run_all([path], Options(out, **options), Screen(quiet=True))


def statuses(outcome: Outcome) -> list[tuple[str, str]]:
    return [(check["id"], check["status"]) for case in outcome.cases for check in case["checks"]]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Every quick scenario run in two processes that differ in hash seed and working directory."""
    folders = []
    for seed in ("1", "4242"):
        home = tmp_path_factory.mktemp(f"seed{seed}")
        done = subprocess.run(
            [*HIL, "run", *map(str, QUICK), "--out", str(home / "out"), "--json"],
            cwd=home,
            env=environment(PYTHONHASHSEED=seed),
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode in (0, 1), done.stderr[-2000:]
        folders.append(home / "out")
    return folders[0], folders[1]


def test_the_scenarios_that_must_be_there_are_there() -> None:
    assert {name for name in WANTED.values() if not scenario(name).is_file()} == set()


@pytest.mark.parametrize("path", QUICK, ids=lambda p: p.stem)
def test_a_scenario_passes_on_the_healthy_bms(path: Path, twice: tuple[Path, Path]) -> None:
    cases = [c for c in json.loads((twice[0] / "verdicts.json").read_text()) if c["name"] == path.stem]
    bad = [(c["case"], k["id"], k["status"], k["reason"]) for c in cases for k in c["checks"] if k["status"] != "PASS"]
    assert cases
    assert all(c["checks"] for c in cases)
    assert bad == []


@pytest.mark.parametrize("path", QUICK, ids=lambda p: p.stem)
def test_a_scenario_gives_the_same_bytes_in_another_process(path: Path, twice: tuple[Path, Path]) -> None:
    one, two = (sorted((out / path.stem).rglob("record.mcap")) for out in twice)
    assert [p.relative_to(twice[0]) for p in one] == [p.relative_to(twice[1]) for p in two]
    assert one
    for left, right in zip(one, two, strict=True):
        assert left.read_bytes() == right.read_bytes(), left.parent.name


def test_all_verdicts_are_the_same_bytes_in_another_process(twice: tuple[Path, Path]) -> None:
    first, second = ((out / "verdicts.json").read_bytes() for out in twice)
    assert first == second
    assert str(twice[0]).encode() not in first


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in SCENARIOS if is_slow(p)], ids=lambda p: p.stem)
def test_a_slow_scenario_passes_on_the_healthy_bms(path: Path, tmp_path: Path) -> None:
    outcome = ran(path, tmp_path)
    assert outcome.cases
    assert {s for _, s in statuses(outcome)} == {"PASS"}


@pytest.mark.parametrize("defect", FOUND_BY)
def test_a_named_defect_makes_a_scenario_fail(defect: str, tmp_path: Path) -> None:
    name, case = FOUND_BY[defect]
    outcome = ran(scenario(name), tmp_path, defects=(defect,), only=(case,))
    assert "FAIL" in {s for _, s in statuses(outcome)}
    assert outcome.exit_code is ExitCode.FAIL


def test_a_check_whose_trigger_never_fires_is_not_exercised(tmp_path: Path) -> None:
    expect = (
        "when: shown.cell_voltage[3] > limits.cell_ov.MSL\n    then: measured.contactor_main == OPEN\n    within: 1 s"
    )
    outcome = ran(written(tmp_path, expect), tmp_path / "out")
    assert statuses(outcome) == [("A-1", "NOT_EXERCISED")]
    assert outcome.exit_code is ExitCode.UNDECIDED
    assert checks_of(tmp_path / "out")[0]["margin"] is None


def test_a_wait_that_expires_is_a_fail(tmp_path: Path) -> None:
    wait = ("mark: begin", "wait: {until: measured.pack_current > 50 A, within: 300 ms}")
    outcome = ran(written(tmp_path, change=wait), tmp_path / "out")
    assert ("wait-1", "FAIL") in statuses(outcome)
    assert outcome.exit_code is ExitCode.FAIL


def test_a_command_outside_the_envelope_ends_the_run_as_an_error_of_the_bench(tmp_path: Path) -> None:
    change = ("current: 5 A", "current: 120 A")
    path = written(tmp_path, change=change)
    path.write_text(path.read_text() + "envelope: {pack_current: [-100 A, 100 A]}\n")
    outcome = ran(path, tmp_path / "out")
    assert "ERROR" in {s for _, s in statuses(outcome)}
    assert outcome.exit_code is ExitCode.BENCH


def test_the_bench_stops_sending_what_it_hears_the_bms_send(tmp_path: Path) -> None:
    bench = bench_with(tmp_path, "{senders: [Bench, BMS]}")
    # the preparation takes longer than the slowest cycle of the BMS, a second
    path = written(tmp_path, "always: restbus.suppressed == 10 and restbus.heard > 10")
    outcome = ran(path, tmp_path / "out", bench=bench)
    assert statuses(outcome) == [("A-1", "PASS")]
    told = [e["text"] for e in read(tmp_path / "out" / "record.mcap").events if e["kind"] == "restbus"]
    assert len(told) == 10
    assert re.fullmatch(r"BMS_State: another node sends it, last heard at \d+\.\d+ s, \d+ frames held back", told[0])


def bench_with(folder: Path, restbus: str) -> Path:
    """The virtual bench with another ``restbus``."""
    text = (ROOT / "scenarios" / "benches" / "virtual.yaml").read_text().replace("../../dbc", str(ROOT / "dbc"))
    path = folder / "bench.yaml"
    path.write_text(f"{text}restbus: {restbus}\n")
    return path


def test_real_and_virtual_time_give_the_same_verdicts(tmp_path: Path) -> None:
    path = scenario("vehicle_message_lost")
    virtual = ran(path, tmp_path / "virtual")
    real = ran(path, tmp_path / "real", clock="real", speed=20.0)
    assert statuses(real) == statuses(virtual)
    assert {s for _, s in statuses(real)} == {"PASS"}


@pytest.mark.parametrize(("name", "case"), [("cell_overvoltage", "cell=95"), ("precharge_never_completes", "case")])
def test_a_record_judged_in_an_empty_folder_gives_the_same_verdicts(name: str, case: str, tmp_path: Path) -> None:
    ran(scenario(name), tmp_path / "out", only=(case,))
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(next((tmp_path / "out").rglob("record.mcap")), tmp_path / "alone.mcap")
    done = hil("judge", tmp_path / "alone.mcap", scenario(name), "--json", cwd=empty)
    assert done.returncode == 0, done.stderr
    again = [check for found in json.loads(done.stdout) for check in found["checks"]]
    assert again == checks_of(tmp_path / "out")
    assert list(empty.iterdir()) == []


def test_a_failed_run_is_judged_a_fail_again(tmp_path: Path) -> None:
    ran(scenario("cell_overvoltage"), tmp_path / "out", only=("cell=0",), defects=("ov_never_trips",))
    done = hil("judge", next((tmp_path / "out").rglob("record.mcap")), scenario("cell_overvoltage"), "--json")
    assert done.returncode == 1, done.stderr
    assert [check for found in json.loads(done.stdout) for check in found["checks"]] == checks_of(tmp_path / "out")


def test_a_record_holds_the_verdicts_of_its_run(tmp_path: Path) -> None:
    ran(written(tmp_path), tmp_path / "out")
    assert read(tmp_path / "out" / "record.mcap").verdicts == checks_of(tmp_path / "out")
