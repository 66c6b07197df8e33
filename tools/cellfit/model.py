"""The cell model that is fitted, and its terms as columns of a linear problem.

    v   = OCV(z) + M(z) h - R0(z) i - v1 - v2
    z'  = z - eta i dt / Q                          eta = coulombic efficiency when charging, else 1
    vk' = a vk + R_k(z) (1 - a) i                   a = exp(-dt / tau_k)
    h'  = g h - (1 - g) sign(i)                     g = exp(-|gamma eta i dt / Q|)

with i > 0 discharging (Plett, Battery Management Systems vol. 1 (2015), chapter 2, one-state hysteresis; its
instantaneous part M0 came out at nothing for this cell and is left out). R0, R1, R2 and M are straight lines between
knots of SoC; given tau1, tau2 and gamma the model is linear in them.
"""

from __future__ import annotations

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


def make_drive(trace: Trace, start_soc: float, capacity_ah: float, efficiency: float,
               ocv: tuple[Floats, Floats]) -> Drive:
    """A test with its SoC counted from `start_soc`; `ocv` is (soc, volts). Raises ValueError off a uniform clock."""
    steps = np.diff(trace.time_s)
    dt_s = float(np.median(steps))
    if np.max(np.abs(steps - dt_s)) > 0.05 * dt_s:
        raise ValueError(f"expected samples every {dt_s:g} s, found steps from {steps.min():g} to {steps.max():g} s")
    moved_ah = effective_current(trace.current_a, efficiency) * dt_s / 3600.0
    soc = start_soc - (np.cumsum(moved_ah) - moved_ah[0]) / capacity_ah
    ocv_v = np.interp(soc, *ocv)
    return Drive(dt_s, trace.current_a, trace.voltage_v, soc, ocv_v, capacity_ah, efficiency)


def hysteresis_state(drive: Drive, gamma: float) -> Floats:
    """h at every sample, shape (n,), from 0: every test starts after a dither, which leaves no hysteresis."""
    moved = np.abs(effective_current(drive.current_a, drive.efficiency)) * drive.dt_s / (3600.0 * drive.capacity_ah)
    decay = np.exp(-gamma * moved)
    push = (decay - 1.0) * np.sign(drive.current_a)
    state = 0.0
    out = [state]
    for g, p in zip(decay[1:].tolist(), push[1:].tolist(), strict=True):
        state = g * state + p
        out.append(state)
    return np.array(out)


def hats(soc: Floats, knots: Floats) -> Floats:
    """Weights (n, knots) of straight-line interpolation on uniform `knots`, held at the ends."""
    place = np.clip((soc - knots[0]) / (knots[1] - knots[0]), 0.0, knots.size - 1.0)
    return np.maximum(1.0 - np.abs(place[:, None] - np.arange(knots.size)), 0.0)


def columns(drive: Drive, shape: Shape, knots: Floats) -> Floats:
    """The matrix A with v - OCV = A p, shape (n, 4 K), p = [R0 knots, R1 knots, R2 knots, M knots]."""
    weight = hats(drive.soc, knots)
    drop = weight * drive.current_a[:, None]
    blocks = [-drop]
    for tau_s in (shape.tau1_s, shape.tau2_s):
        a = np.exp(-drive.dt_s / tau_s)
        blocks.append(-lfilter([1.0 - a], [1.0, -a], drop, axis=0))
    blocks.append(weight * hysteresis_state(drive, shape.gamma)[:, None])
    return np.hstack(blocks)


def window(drive: Drive, low: float = 0.05, high: float = 0.95) -> NDArray[np.bool_]:
    """Which samples lie in the SoC window that is fitted and that errors are quoted for."""
    return (drive.soc >= low) & (drive.soc <= high)
