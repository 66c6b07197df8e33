"""The cell model that is fitted, and its terms as columns of a linear problem.

    v   = OCV(z) + M(z) h - R0(z) i - R1(z) i1 - R2(z) i2
    z'  = z - eta i dt / Q                          eta = coulombic efficiency when charging, else 1
    ik' = a ik + (1 - a) i                          a = exp(-dt / tau_k)

with i > 0 discharging. R0, R1, R2 and M are straight lines between knots of SoC; given tau1, tau2 and gamma the model
is linear in them. h (-1 discharged .. +1 charged) is a stack of stop operators (Prandtl-Ishlinskii; Brokate and
Sprekels, Hysteresis and Phase Transitions, 1996, ch. 2) whose major branch after a full reversal is
2 (1 - exp(-gamma |dz|)): the same major loop as the one-state equation of Plett, Battery Management Systems vol. 1
(2015), ch. 2, but minor loops close. On drive cycles that is what the cell does: the one-state h is driven off by
regeneration pulses, from which the cell comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from .data import Floats, Trace


@dataclass(frozen=True)
class Drive:
    """A test on a uniform clock: arrays of shape (n,), `ocv_v` the OCV table read at `soc`."""

    dt_s: float
    current_a: Floats
    voltage_v: Floats
    soc: Floats
    ocv_v: Floats
    capacity_ah: float
    efficiency: float


@dataclass(frozen=True)
class Shape:
    """The parameters that the model is not linear in; `gamma` per full capacity moved."""

    tau1_s: float
    tau2_s: float
    gamma: float


def effective_current(current_a: Floats, efficiency: float) -> Floats:
    """The current that changes the stored charge: a charging current counts `efficiency` times."""
    return np.where(current_a < 0.0, efficiency * current_a, current_a)


def make_drive(
    trace: Trace, start_soc: float, capacity_ah: float, efficiency: float, ocv: tuple[Floats, Floats]
) -> Drive:
    """A test with its SoC counted from `start_soc`; `ocv` is (soc, volts). Raises ValueError off a uniform clock."""
    steps = np.diff(trace.time_s)
    dt_s = float(np.median(steps))
    if np.max(np.abs(steps - dt_s)) > 0.05 * dt_s:
        raise ValueError(f"expected samples every {dt_s:g} s, found steps from {steps.min():g} to {steps.max():g} s")
    moved_ah = effective_current(trace.current_a, efficiency) * dt_s / 3600.0
    soc = start_soc - (np.cumsum(moved_ah) - moved_ah[0]) / capacity_ah
    ocv_v = np.interp(soc, *ocv)
    return Drive(dt_s, trace.current_a, trace.voltage_v, soc, ocv_v, capacity_ah, efficiency)


def stop_stack(count: int = 16, reach: float = 5.0) -> tuple[Floats, Floats]:
    """(span in gamma dz from one end stop to the other, weight) of each stop, weights summing to 1.

    Straight pieces of the branch 2 (1 - exp(-x)), with ends spaced so that each piece rises alike.
    """
    ends = -np.log(np.linspace(1.0, np.exp(-reach), count + 1))
    slopes = np.append(np.diff(2.0 * (1.0 - np.exp(-ends))) / np.diff(ends), 0.0)
    weights = -np.diff(slopes) * ends[1:] / 2.0
    return ends[1:], weights / weights.sum()


def loop_state(drive: Drive, gamma: float) -> Floats:
    """h at every sample, shape (n,), from 0: every test starts after a dither, which leaves no hysteresis.

    A stop moves with the charge and is held at -1 and 1. While the current keeps its sign that is one clip, so only
    the reversals are walked through one after the other.
    """
    moved = gamma * np.diff(drive.soc, prepend=drive.soc[0])
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


def one_state(drive: Drive, gamma: float) -> Floats:
    """Plett's h at every sample, shape (n,), from 0: h' = g h - (1 - g) sign(i), g = exp(-gamma |dz|)."""
    decay = np.exp(-gamma * np.abs(np.diff(drive.soc, prepend=drive.soc[0])))
    push = (decay - 1.0) * np.sign(drive.current_a)
    state, out = 0.0, []
    for g, p in zip(decay.tolist(), push.tolist(), strict=True):
        state = g * state + p
        out.append(state)
    return np.array(out)


def hats(soc: Floats, knots: Floats) -> Floats:
    """Weights (n, knots) of straight-line interpolation on uniform `knots`, held at the ends."""
    place = np.clip((soc - knots[0]) / (knots[1] - knots[0]), 0.0, knots.size - 1.0)
    weights: Floats = np.maximum(1.0 - np.abs(place[:, None] - np.arange(knots.size)), 0.0)
    return weights


def columns(drive: Drive, shape: Shape, knots: Floats, state: Callable[[Drive, float], Floats] = loop_state) -> Floats:
    """The matrix A with v - OCV = A p, shape (n, 4 K), p = [R0 knots, R1 knots, R2 knots, M knots]; `state` gives h."""
    weight = hats(drive.soc, knots)
    signals = [-drive.current_a]
    for tau_s in (shape.tau1_s, shape.tau2_s):
        a = np.exp(-drive.dt_s / tau_s)
        signals.append(-np.asarray(lfilter([1.0 - a], [1.0, -a], drive.current_a), dtype=np.float64))
    signals.append(state(drive, shape.gamma))
    return np.hstack([weight * signal[:, None] for signal in signals])


def window(drive: Drive, low: float = 0.05, high: float = 0.95) -> NDArray[np.bool_]:
    """Which samples lie in the SoC window that is fitted and that errors are quoted for."""
    return (drive.soc >= low) & (drive.soc <= high)
