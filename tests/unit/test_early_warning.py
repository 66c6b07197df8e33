"""Shorts in the plant, driven by UDDS through the whole twin: found soon, named, and nothing else is told."""

import math
from pathlib import Path

import numpy as np
import pytest

from hil.files.pack import PackModel
from hil.image import WARNINGS
from tools.bench import early_warning
from tools.bench.warning_drive import Case, Drive
from tools.bench.warning_real import follow, runs

CELLS = 8
CYCLE = np.loadtxt(early_warning.ROOT / "scenarios" / "cycles" / "udds.csv")


@pytest.fixture(scope="module")
def pack() -> PackModel:
    """The bench's pack of single cells, eight of them."""
    whole = early_warning.one_parallel()
    sensors = whole.temperature_sensors.model_copy(update={"count": 4, "cells": (0, 2, 4, 6)})
    return whole.model_copy(update={"series": CELLS, "temperature_sensors": sensors})


@pytest.mark.parametrize(("ohm", "within_s"), [(1.0, 10.0), (10.0, 600.0)])
def test_a_short_in_a_drive_is_found_and_named(pack: PackModel, ohm: float, within_s: float) -> None:
    case = Case(soc=0.9, cell=5, from_s=4500.0, seed=2)
    found_s, what = early_warning.find_short(pack, case, ohm, 2.0 * within_s, CYCLE)
    assert found_s is not None and found_s <= within_s, what


def test_a_drive_with_balancing_and_a_swinging_coolant_is_quiet(pack: PackModel) -> None:
    """From the knee to a drive's end, over rest and charge, every second cell balanced, and a whole drive."""
    d = Drive(pack, Case(soc=0.3, balanced=2, swing_k=8.0, seed=3, dt_ms=1000), CYCLE)
    d.run(21600.0)
    assert WARNINGS[int(d.watch["level"])] == "NONE"
    assert float(d.s["course"]["ridden_s"]) > 9000.0 and math.isnan(d.watch["cell"])  # it went round


def test_a_heater_is_told_long_before_the_cell_vents(pack: PackModel) -> None:
    lead_s, what = early_warning.run_away(pack, 20.0, 3, CYCLE)
    assert lead_s is not None and lead_s > early_warning.LEAD_S, what
    assert what.startswith("HEAT")


def test_a_run_is_the_same_every_time(pack: PackModel) -> None:
    rows = []
    for _ in range(2):
        d = Drive(pack, Case(seed=4), CYCLE)
        d.run(60.0)
        rows.append(np.asarray(d.states).tobytes())
    assert rows[0] == rows[1]


def test_a_figure_that_is_not_reached_says_so() -> None:
    out = {"isc_1_ohm_s": 4.0, "isc_10_ohm_s": None, "isc_100_ohm_s": 9.0, "runaway_lead_s": 299.0, "false_alarms": 0}
    judged = early_warning.thresholds(out, {1.0: 10.0, 10.0: 600.0, 100.0: 8.0})
    assert [judged[k]["reached"] for k in out] == [True, False, False, False, True]
    assert early_warning.worst([1.0, 3.0]) == 3.0 and early_warning.worst([1.0, None]) is None


@pytest.mark.shared_data
def test_real_cells_give_no_warning(shared_data: Path) -> None:
    found, _ = runs(shared_data / "cells")
    picked = [run for run in found if run.name in ("A123 5 degC", "A123 25 degC")]
    assert len(picked) == 2
    for run in picked:
        since_s, kind, _ = follow(run)
        assert math.isnan(since_s), f"{run.name}: {WARNINGS[kind]} at {since_s:.0f} s"


def test_a_hard_short_of_a_real_run_would_be_told() -> None:
    """The absolute tests are not blind: half a volt that goes for good is told without peers too."""
    cell = early_warning.one_parallel().cell
    from tools.bench.warning_real import Run

    seconds = 5400
    made = Drive(early_warning.one_parallel(), Case(scatter=False, soc=0.9, dt_ms=1000), CYCLE)
    volts, current = np.empty(seconds), np.empty(seconds)
    for k in range(seconds):
        made.run(1.0)
        at = made.p["at"]
        volts[k] = made.s["row"][int(at["col_truth_cell_voltage"])]
        current[k] = made.s["row"][int(at["col_truth_pack_current"])]
    assert math.isnan(follow(Run("healthy", cell, 1.0, current, volts[None], 25.0, 0.9))[0])
    volts[4800:] -= 0.5
    since_s, kind, _ = follow(Run("short", cell, 1.0, current, volts[None], 25.0, 0.9))
    assert kind > 0 and since_s >= 4800.0
