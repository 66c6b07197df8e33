"""A cell that ages, simulated without the twin's code, and what the twin would see of it."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from hil.kernel import zeros
from hil.twin import health, tables

CAPACITY_AH, R0_OHM, SOC = 5.0, 0.020, np.linspace(0.0, 1.0, 201)
PAIRS_OHM_S = ((0.010, 30.0), (0.015, 600.0))
SLOPED = 3.3 + 0.7 * SOC + 0.15 * np.tanh((SOC - 0.9) / 0.1) - 0.5 * np.exp(-SOC / 0.04)  # NMC-like
FLAT = 3.28 + 0.05 * SOC - 0.5 * np.exp(-SOC / 0.03) + 0.04 * np.tanh((SOC - 0.6) / 0.03)  # LFP-like: 0.5 mV per %


def cell(ocv_v: Any = SLOPED, efficiency: float = 1.0) -> Any:
    """What ``tables.fill`` wants of a cell file, one temperature."""
    one = np.ones((1, 2))
    (r1, tau1), (r2, tau2) = PAIRS_OHM_S
    grids = {"r0_ohm": R0_OHM, "r1_ohm": r1, "tau1_s": tau1, "r2_ohm": r2, "tau2_s": tau2}
    return SimpleNamespace(
        temperatures_degc=(25.0,), soc=SOC, soc_knots=(0.0, 1.0), ocv_v=np.array([ocv_v]), capacity_ah=CAPACITY_AH,
        heat_capacity_j_per_k=70.0, coulombic_efficiency=(efficiency,), **{k: v * one for k, v in grids.items()},
        hysteresis=SimpleNamespace(m_v=0.0 * one, m0_v=(0.0,), gamma=(1.0,)),
    )  # fmt: skip


class Rig:
    """The estimators of one group of ``CAPACITY_AH`` with their tables; ``p`` and ``s`` can be looked into."""

    def __init__(self, ocv_v: Any = SLOPED, efficiency: float = 1.0) -> None:
        self.tables, self.fixed = zeros(tables.CellTables), zeros(health.HealthParams)
        self.states = zeros(health.HealthState)
        tables.fill(np.asarray(self.tables)[0], cell(ocv_v, efficiency), 1, 1.0, (0.0, 1.0))
        self.p, self.s = np.asarray(self.fixed)[0], np.asarray(self.states)[0]
        health.fill(self.p, CAPACITY_AH)
        health.start(self.s, self.p)

    def follow(self, ticks: Any) -> Any:
        """Outputs (n, OUT) of ``ticks`` (n, SEEN)."""
        out = np.empty((len(ticks), health.OUT))
        health.follow(self.states, self.fixed, self.tables, np.ascontiguousarray(ticks, np.float64), out)
        return out


@dataclass(frozen=True)
class Sensors:
    """Errors of what is measured and of the model."""

    zero_a: float = 0.0
    gain: float = 0.0
    noise_a: float = 0.0
    noise_v: float = 0.0
    ocv_v: float = 0.0  # of the table, the same at every visit
    rest_v: float = 0.0  # hysteresis, another at each half cycle
    soc: float = 0.0  # of the filter's SoC


@dataclass(frozen=True)
class Aged:
    """Ticks of a life and the truth at each: capacity over nominal, R0 over nominal, the cycle."""

    ticks: Any
    soh: Any
    growth: Any
    cycle: Any


def life(cycles: int, soh: Any, growth: Any, sensors: Sensors, rng: Any, ocv_v: Any = SLOPED) -> Aged:
    """``cycles`` of driving at about 2 C, a rest, charging at 1 C, a rest; ``soh`` and ``growth`` by cycle."""
    amps, steps_s, half = [], [], []
    soc = top = 0.95
    for k in range(cycles):
        low, next_top = rng.uniform(0.03, 0.3), rng.uniform(0.85, 0.97)
        ah = CAPACITY_AH * soh[k]
        drive = np.repeat(rng.uniform(-0.5, 4.5, 400) * CAPACITY_AH, rng.integers(4, 15, 400))
        drive = drive[: np.searchsorted(np.cumsum(drive), (top - low) * ah * 3600.0)]
        left = top - drive.sum() / (3600.0 * ah)
        charge = np.full(int((next_top - left) * ah * 3600.0 / (10.0 * CAPACITY_AH)), -CAPACITY_AH)
        top = left + charge.size * 10.0 * CAPACITY_AH / (3600.0 * ah)
        rest = np.zeros(120)
        amps.append(np.concatenate([drive, rest, charge, rest]))
        steps_s.append(np.repeat([1.0, 30.0, 10.0, 30.0], [drive.size, 120, charge.size, 120]))
        half.append(np.repeat([2 * k, 2 * k + 1], [drive.size + 120, charge.size + 120]))
    a, hold_s, halves = np.concatenate(amps), np.concatenate(steps_s), np.concatenate(half)
    cycle = halves // 2
    moved = np.append(0.0, (a * hold_s)[:-1] / (3600.0 * CAPACITY_AH * soh[cycle[:-1]]))
    soc = 0.95 - np.cumsum(moved)
    seen_a = a * (1.0 + sensors.gain) + sensors.zero_a + sensors.noise_a * rng.normal(size=a.size)
    off_v = sensors.ocv_v * np.sin(7.0 * soc + 0.7) + sensors.rest_v * rng.normal(size=halves[-1] + 1)[halves]
    volts = np.interp(soc, SOC, ocv_v) + off_v - growth[cycle] * (R0_OHM * a + _pairs(a, hold_s))
    volts += sensors.noise_v * rng.normal(size=a.size)
    believed = soc + sensors.soc * np.sin(np.arange(a.size) / 3000.0)
    slow_v = _pairs(seen_a, hold_s)
    predicted = np.interp(believed, SOC, ocv_v) - R0_OHM * seen_a - slow_v
    ticks = np.column_stack([
        np.append(0.0, hold_s[:-1]), np.append(0.0, seen_a[:-1]), seen_a, np.full(a.size, 25.0), believed,
        volts - predicted, slow_v, R0_OHM * seen_a, np.full(a.size, R0_OHM), np.zeros(a.size),
    ])  # fmt: skip
    ticks[1:, 9] = np.diff(np.interp(believed, SOC, ocv_v) - np.interp(soc, SOC, ocv_v))
    return Aged(ticks, soh[cycle], growth[cycle], cycle)


def _pairs(a: Any, hold_s: Any) -> Any:
    """Voltage of the RC pairs at each sample, the current held from sample to sample."""
    out = np.zeros(a.size)
    for ohm, tau_s in PAIRS_OHM_S:
        decay = np.exp(-hold_s / tau_s)
        v = 0.0
        for k in range(1, a.size):
            v = decay[k - 1] * v + ohm * (1.0 - decay[k - 1]) * a[k - 1]
            out[k] += v
    return out
