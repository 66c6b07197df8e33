"""Capacity and state of charge of a recording that holds no full discharge, told from how the OCV shows through.

A cell of constant resistances under the drive: v = OCV(z) - shift - R0 i - v1 - ... with z = start - Ah / Q. The resistances
and the shift follow from Q, start and the time constants by linear least squares; these are searched (variable projection).
The shift is what a table from a slow charge or discharge holds of polarisation and hysteresis.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls

from .data import Floats, Trace
from .model import lag

SAMPLES = 10_000
CAPACITY_SPAN = 1.3  # the capacity lies between the nominal one divided and multiplied by this
START_SOC = (0.9, 1.0)
TAUS_S = ((1.0, 5.0), (5.0, 200.0), (200.0, 4000.0))


@dataclass(frozen=True)
class Counted:
    """How a recording's SoC is counted: `capacity_ah`, `start_soc` at its first sample; `shift_v` is how far its OCV lies
    below the table, `rmse_v` what constant resistances leave."""

    capacity_ah: float
    start_soc: float
    shift_v: float
    rmse_v: float


def count_by_ocv(trace: Trace, soc: Floats, ocv_v: Floats, nominal_ah: float, shifted: bool = True) -> Counted:
    """The best count of a recording that starts rested and nearly full; `soc` (rising) and `ocv_v` are the OCV's table."""
    steps_s = np.diff(trace.time_s)
    moved_ah = np.concatenate(([0.0], np.cumsum(trace.current_a[:-1] * steps_s))) / 3600.0
    at = np.arange(0, trace.time_s.size, max(1, trace.time_s.size // SAMPLES))
    begin = np.array([np.log(nominal_ah), 0.995, *(0.5 * np.sum(np.log(t)) for t in TAUS_S)])
    span = np.log(CAPACITY_SPAN)
    low = [begin[0] - span, START_SOC[0], *(np.log(t[0]) for t in TAUS_S)]
    high = [begin[0] + span, START_SOC[1], *(np.log(t[1]) for t in TAUS_S)]

    def solved(x: Floats) -> tuple[Floats, Floats]:
        soc_at = x[1] - moved_ah[at] / np.exp(x[0])
        columns = [
            trace.current_a[at],
            *(lag(trace.current_a[None, :], steps_s, float(np.exp(t)))[0, at] for t in x[2:]),
        ]
        columns += [np.ones(at.size)] if shifted else []
        matrix, drop_v = np.column_stack(columns), np.interp(soc_at, soc, ocv_v) - trace.voltage_v[at]
        found, _ = nnls(matrix, drop_v)
        return found, drop_v - matrix @ found

    best = least_squares(lambda x: solved(x)[1], begin, bounds=(low, high), diff_step=1e-3, max_nfev=40)
    found, error_v = solved(best.x)
    shift_v = float(found[-1]) if shifted else 0.0
    return Counted(float(np.exp(best.x[0])), float(best.x[1]), shift_v, float(np.sqrt(np.mean(error_v**2))))
