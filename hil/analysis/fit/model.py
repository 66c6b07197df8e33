"""The cell model that is fitted, and its terms as columns of a linear problem.

    v      = OCV(z) + M(z) h - R0(z) i - v1 - v2 (- v3)
    z'     = z - eta i dt / Q                       eta = coulombic efficiency when charging, else 1
    vk'    = a vk + (1 - a) Rk(z) i                 a = exp(-dt / tau_k)

with i > 0 discharging and flowing until the next sample, as in `hil/twin`. The tables are straight lines between knots
of SoC; given the time constants and gamma the model is linear in them. h (-1 discharged .. +1 charged) is a stack of stop
operators (Prandtl-Ishlinskii; Brokate and Sprekels, Hysteresis and Phase Transitions, 1996, ch. 2) whose major branch
after a full reversal is 2 (1 - exp(-gamma |dz|)): the same major loop as the one-state equation of Plett, Battery
Management Systems vol. 1 (2015), ch. 2, but minor loops close. On drive cycles that is what the cell does: the one-state h
is driven off by regeneration pulses, from which the cell comes back.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from hil.analysis.fit.data import Bools, Floats, Ints, OcvTable, Test
from hil.kernel import kernel

KELVIN = 273.15


@dataclass(frozen=True)
class Drive:
    """A test on the model's inputs: arrays of shape (n,), `steps_s` (n - 1,), `ocv_v` the OCV read at `soc`.

    `inverse_k` (n,) is 1/T less that at the nominal temperature, 0 where the cell's own was not measured.
    """

    name: str
    steps_s: Floats
    current_a: Floats
    voltage_v: Floats
    soc: Floats
    ocv_v: Floats
    inverse_k: Floats
    used: Bools
    weight: float


@dataclass(frozen=True)
class Shape:
    """The parameters that the model is not linear in; `gamma` per full capacity moved."""

    taus_s: tuple[float, ...]
    gamma: float


def make_drive(test: Test, ocv: OcvTable) -> Drive:
    """A test with its SoC counted and the OCV of its nominal temperature read along it."""
    soc, nominal_k = test.soc(), test.temperature_degc + KELVIN
    inverse = np.zeros(soc.size) if test.cell_degc is None else 1.0 / (test.cell_degc + KELVIN) - 1.0 / nominal_k
    trace = test.trace
    return Drive(
        test.name,
        np.diff(trace.time_s),
        trace.current_a,
        trace.voltage_v,
        soc,
        read_ocv(ocv.soc, ocv.ocv_v, soc),
        inverse,
        test.counted(),
        test.weight,
    )


def read_ocv(grid: Floats, values_v: Floats, soc: Floats) -> Floats:
    """OCV at `soc`, V: straight lines, going on beyond the table as far as -0.1 and 1.1, as the twin reads it."""
    at = np.clip(soc, -0.1, 1.1)
    k = np.clip(np.floor(at * (grid.size - 1)).astype(np.int64), 0, grid.size - 2)
    out: Floats = values_v[k] + (at * (grid.size - 1) - k) * (values_v[k + 1] - values_v[k])
    return out


def stop_stack(count: int = 8, reach: float = 4.0) -> tuple[Floats, Floats]:
    """(span in gamma dz from one end stop to the other, weight) of each stop, weights summing to 1; as many as in the twin.

    Straight pieces of the branch 2 (1 - exp(-x)), with ends spaced so that each piece rises alike.
    """
    ends = -np.log(np.linspace(1.0, np.exp(-reach), count + 1))
    slopes = np.append(np.diff(2.0 * (1.0 - np.exp(-ends))) / np.diff(ends), 0.0)
    weights = -np.diff(slopes) * ends[1:] / 2.0
    return ends[1:], weights / weights.sum()


def loop_state(soc: Floats, gamma: float) -> Floats:
    """h along `soc`, shape (n,), from 0: every test starts after a dither, which leaves no hysteresis.

    A stop moves with the charge and is held at -1 and 1. While the current keeps its sign that is one clip, so only
    the reversals are walked through one after the other.
    """
    moved = gamma * np.diff(soc, prepend=soc[0])
    starts = np.flatnonzero(np.diff(np.sign(moved), prepend=0.0))
    starts = starts if starts.size and starts[0] == 0 else np.concatenate(([0], starts))
    run = np.repeat(np.arange(starts.size), np.diff(starts, append=moved.size))
    total = np.cumsum(moved)
    before = np.concatenate(([0.0], total[starts[1:] - 1]))
    within = total - before[run]
    whole = np.diff(before, append=total[-1]).tolist()
    out = np.zeros(moved.size)
    for span, weight in zip(*stop_stack(), strict=True):
        at, begun = 0.0, []
        for step in whole:
            begun.append(at)
            at = min(max(at + 2.0 * step / span, -1.0), 1.0)
        out += weight * np.clip(np.array(begun)[run] + 2.0 * within / span, -1.0, 1.0)
    return out


def hats(soc: Floats, count: int) -> Floats:
    """Weights (count, n) of straight-line interpolation on `count` even knots from 0 to 1, held at the ends."""
    place = np.clip(soc * (count - 1), 0.0, count - 1.0)
    weights: Floats = np.maximum(1.0 - np.abs(place - np.arange(count)[:, None]), 0.0)
    return weights


def lag(signal: Floats, steps_s: Floats, tau_s: float) -> Floats:
    """x' = a x + (1 - a) signal from x = 0, a = exp(-dt / tau), along the last axis; shape of `signal` (..., n).

    `steps_s` has shape (n - 1,); raises ValueError for another.
    """
    if signal.shape[-1:] != (steps_s.size + 1,):
        raise ValueError(f"a step between any two samples: {signal.shape} and {steps_s.shape}")
    if np.ptp(steps_s) < 1e-3 * steps_s[0]:
        a = float(np.exp(-float(np.mean(steps_s)) / tau_s))
        return np.asarray(lfilter([0.0, 1.0 - a], [1.0, -a], signal), dtype=np.float64)
    out = np.zeros(signal.shape)
    _lag(signal.reshape(-1, signal.shape[-1]), np.exp(-steps_s / tau_s), out.reshape(-1, signal.shape[-1]))
    return out


@kernel
def _lag(signal: Floats, decays: Floats, out: Floats) -> None:
    for row in range(signal.shape[0]):
        for k in range(decays.size):
            out[row, k + 1] = decays[k] * out[row, k] + (1.0 - decays[k]) * signal[row, k]


class Terms:
    """The terms of one drive at the samples `at`, for any shape; what the last two shapes have made is kept.

    A search moves one parameter of the shape at a time, so most terms are those of the step before. `slopes_k`
    (pairs + 1,) are d ln R / d(1/T) in K, for tests in which the cell warmed up.
    """

    def __init__(self, drive: Drive, knots: int, at: Ints | None = None, slopes_k: Floats | None = None) -> None:
        """All samples when `at` is None."""
        self.drive, self.at, self.slopes_k = drive, np.arange(drive.soc.size) if at is None else at, slopes_k
        self._weight = hats(drive.soc, knots)
        self._driven = -self._weight * drive.current_a
        self._made: dict[int, list[tuple[float, Floats]]] = {}

    def matrix(self, shape: Shape) -> Floats:
        """The matrix A with v - OCV = A p, shape (samples, (pairs + 2) knots), p = [R0, R1, R2, (R3), M] at the knots."""
        parts = [self._term(k, tau) for k, tau in enumerate((0.0, *shape.taus_s))]
        return np.vstack([*parts, self._term(-1, shape.gamma)]).T

    def _term(self, row: int, value: float) -> Floats:
        kept = self._made.setdefault(row, [])
        for known, term in kept:
            if known == value:
                return term
        term = self._make(row, value)[:, self.at]
        self._made[row] = [*kept[-1:], (value, term)]
        return term

    def _make(self, row: int, value: float) -> Floats:
        if row < 0:
            return self._weight * loop_state(self.drive.soc, value)
        driven = self._driven
        if self.slopes_k is not None and np.any(self.drive.inverse_k):
            driven = driven * np.exp(self.slopes_k[row] * self.drive.inverse_k)
        return lag(driven, self.drive.steps_s, value) if row else driven


def columns(drive: Drive, shape: Shape, knots: int, slopes_k: Floats | None = None) -> Floats:
    """The matrix of `Terms` over all samples of a drive."""
    return Terms(drive, knots, slopes_k=slopes_k).matrix(shape)
