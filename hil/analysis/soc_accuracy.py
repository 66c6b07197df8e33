"""How well the twin finds the state of charge of real cells, started 20 % wrong, with a current sensor that is off.

Panasonic NCR18650PF: trips 6 to 11, which the shipped cell's fit has not seen; the reference is the coulomb count of the
recording as it was measured. A123 26650: repeated UDDS at 25 degC, where the voltage hardly tells (a plateau of 20 mV); the
filter's own sigma is reported beside the error. All of it is the tick's own kernel (``hil.twin.estimate``).

The twin is told what its sensors are good for, once for all cases: a zero of 50 mA, a gain of 1 %, an offset of 5 mV.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.analysis.fit.cells import a123, panasonic
from hil.analysis.fit.data import Test
from hil.files.cell import CellModel, load_cell
from hil.files.shipped import shipped
from hil.twin.estimate import Estimate, estimate
from hil.twin.estimator import Sensors

WRONG = 0.20  # SoC the twin starts off, and its sigma
SETTLING_S = 600.0
SENSORS = Sensors(zero_a=0.05, gain=0.01, offset_v=0.005)
CASES = {"clean": (0.0, 1.0, 0.0), "bias": (0.05, 1.0, 0.005), "gain": (0.0, 1.01, 0.0)}
"""Error put on the measurement: zero of the current in A, its gain, offset of the voltage in V."""


@dataclass(frozen=True, slots=True)
class Course:
    """A recording with the SoC that is taken for true; arrays of shape (samples,)."""

    cell: CellModel
    dt_s: float
    current_a: NDArray[np.float64]
    voltage_v: NDArray[np.float64]
    degc: float
    soc: NDArray[np.float64]


def soc_rmse_pct(data: Path) -> Mapping[str, float]:
    """RMS error of the SoC in per cent after 600 s, Panasonic trips 6-11 in the folder ``data`` of cells, by case.

    Raises InputError where the recordings are absent or damaged.
    """
    course = panasonic_course(data / "panasonic_18650pf")
    return {name: round(100.0 * rms(course, followed(course, name)), 3) for name in CASES}


def lfp(data: Path) -> Mapping[str, Mapping[str, float]]:
    """A123 at 25 degC by case: RMS error and mean sigma in per cent after 600 s, share of all time inside 3 sigma.

    Raises InputError where the recordings are absent or damaged.
    """
    course = a123_course(data / "a123_lfp")
    out: dict[str, Mapping[str, float]] = {}
    for name in CASES:
        told = followed(course, name)
        settled = round(SETTLING_S / course.dt_s)
        out[name] = {
            "rmse_pct": round(100.0 * rms(course, told), 3),
            "sigma_pct": round(100.0 * float(np.mean(told.soc_sigma[settled:])), 3),
            "inside_3_sigma": round(float(np.mean(np.abs(told.soc - course.soc) <= 3.0 * told.soc_sigma)), 4),
        }
    return out


def panasonic_course(folder: Path) -> Course:
    """Trips 6-11, counted from where trips 1-5 and the OCV table put the begin of trip 1."""
    data = panasonic.read(folder)
    held = [test for test in data.tests if test.use == "test"]
    last = held[-1]  # the whole run, of which only the last trip counts
    return _course(_shipped("panasonic_18650pf"), last, begin=int(np.argmax(_of(held[0]))))


def a123_course(folder: Path) -> Course:
    """The drive cycles at 25 degC, from full."""
    return _course(_shipped("a123_26650"), a123.drive_test(folder, 25.0), begin=0)


def _of(test: Test) -> NDArray[np.bool_]:
    return np.ones(test.trace.time_s.size, np.bool_) if test.used is None else test.used


def _shipped(name: str) -> CellModel:
    return load_cell(shipped(f"scenarios/packs/{name}.cell.yaml"))


def _course(cell: CellModel, test: Test, begin: int) -> Course:
    """``test`` from sample ``begin`` on, with the capacity and efficiency its charge is counted by."""
    rows = len(cell.temperatures_degc)
    own: dict[str, Any] = {"capacity_ah": test.capacity_ah, "coulombic_efficiency": (test.efficiency,) * rows}
    t = test.trace
    dt_s = round(float(np.median(np.diff(t.time_s))), 3)
    part = slice(begin, None)
    return Course(
        cell.model_copy(update=own),
        dt_s,
        t.current_a[part],
        t.voltage_v[part],
        test.temperature_degc,
        test.soc()[part],
    )


def followed(course: Course, case: str) -> Estimate:
    """The twin over a course with a case's error on its sensors, started ``WRONG`` too low."""
    zero_a, gain, offset_v = CASES[case]
    measured = (course.current_a * gain + zero_a, course.voltage_v + offset_v, np.full(course.soc.size, course.degc))
    return estimate(course.cell, course.dt_s, measured, (float(course.soc[0]) - WRONG, WRONG), SENSORS)


def rms(course: Course, told: Estimate) -> float:
    """RMS error of the SoC after the settling time."""
    settled = round(SETTLING_S / course.dt_s)
    return float(np.sqrt(np.mean((told.soc - course.soc)[settled:] ** 2)))
