"""Errors of a cell file on tests, by the twin's own kernel, and whether the fit may be released.

A fit is released when what it never saw is met about as well as what it saw: no held-out test may have more than
``HELD_OUT_RATIO`` times the training error, or ``HELD_OUT_MARGIN_V`` above it where that is more. Fits of 10-s pulses alone
miss discharges by 20 to 110 times their training error and look perfect; sound fits of the same cells stay below twice.
"""

from dataclasses import dataclass, replace

import numpy as np

from hil.analysis.fit.data import CellData, Kind, Test, Use
from hil.files.cell import CellModel
from hil.twin.offline import Prediction, predict

HELD_OUT_RATIO = 3.0
HELD_OUT_MARGIN_V = 0.010
BLOCK_S = 1500.0  # about one drive cycle: even blocks fit and odd blocks test where no test is held out
LEAST_BLOCKS = 4
SLOW_KINDS = ("ocv", "relaxation", "constant_current", "drive")


@dataclass(frozen=True)
class TestError:
    """How far the twin is from one test: over the samples that count, RMS and greatest, V."""

    name: str
    kind: Kind
    use: Use
    temperature_degc: float
    rmse_v: float
    worst_v: float
    samples: int

    __test__ = False


@dataclass(frozen=True)
class Verdict:
    """Errors of all tests, over all that was fitted together, of the worst held-out test, and why not to release."""

    errors: tuple[TestError, ...]
    training_v: float
    held_out_v: float | None
    limit_v: float
    reasons: tuple[str, ...]

    @property
    def released(self) -> bool:
        """Whether nothing speaks against the fit."""
        return not self.reasons


def prediction_of(cell: CellModel, test: Test) -> Prediction:
    """The twin over a test, with the SoC of the test's own charge count (its capacity and coulombic efficiency)."""
    own = cell.model_copy(
        update={
            "capacity_ah": test.capacity_ah,
            "coulombic_efficiency": (test.efficiency,) * len(cell.temperatures_degc),
        }
    )
    trace = test.trace
    degc = np.full(trace.time_s.size, test.temperature_degc) if test.cell_degc is None else test.cell_degc
    return predict(own, trace.time_s, trace.current_a, degc, test.start_soc)


def error_of(cell: CellModel, test: Test) -> TestError:
    """Error of the twin on one test. A test without a sample in its window has NaN errors and no samples."""
    counted = test.counted()
    error_v = (prediction_of(cell, test).voltage_v - test.trace.voltage_v)[counted]
    rmse_v = float(np.sqrt(np.mean(error_v**2))) if error_v.size else float("nan")
    worst_v = float(np.max(np.abs(error_v))) if error_v.size else float("nan")
    return TestError(test.name, test.kind, test.use, test.temperature_degc, rmse_v, worst_v, error_v.size)


def errors_of(cell: CellModel, data: CellData) -> tuple[TestError, ...]:
    """Errors of all tests that have samples, in the order of the data."""
    return tuple(e for e in (error_of(cell, test) for test in data.tests) if e.samples)


def halved(data: CellData) -> CellData | None:
    """The data with every other block of the drive tests held out; None when none is long enough."""
    tests: list[Test] = []
    for test in data.tests:
        elapsed_s = test.trace.time_s - test.trace.time_s[0]
        if test.kind != "drive" or test.use != "fit" or elapsed_s[-1] < LEAST_BLOCKS * BLOCK_S:
            tests.append(test)
            continue
        even = elapsed_s // BLOCK_S % 2 == 0
        seen, unseen = (even, ~even) if test.used is None else (even & test.used, ~even & test.used)
        tests.append(replace(test, name=f"{test.name}, even blocks", used=seen))
        tests.append(replace(test, name=f"{test.name}, odd blocks", use="test", used=unseen))
    return replace(data, tests=tuple(tests)) if len(tests) > len(data.tests) else None


def judge(errors: tuple[TestError, ...]) -> Verdict:
    """What the errors of fitted and held-out tests say of the fit."""
    seen = [e for e in errors if e.use == "fit"]
    held = [e for e in errors if e.use == "test"]
    training_v = float(np.sqrt(np.average([e.rmse_v**2 for e in seen], weights=[e.samples for e in seen])))
    limit_v = max(HELD_OUT_RATIO * training_v, training_v + HELD_OUT_MARGIN_V)
    reasons = [
        f"{e.name}, held out: {1e3 * e.rmse_v:.1f} mV, training {1e3 * training_v:.1f} mV, limit {1e3 * limit_v:.1f} mV"
        for e in held
        if e.rmse_v > limit_v
    ]
    if not held:
        reasons.append("nothing was held out: mark a test with use: test, or give a drive test of 6000 s or more")
    if not any(e.kind in SLOW_KINDS for e in seen):
        reasons.append(
            "fitted to pulses alone: add relaxation, constant-current, OCV or drive data, or the slow mode is a guess"
        )
    worst_v = max((e.rmse_v for e in held), default=None)
    return Verdict(errors, training_v, worst_v, limit_v, tuple(reasons))
