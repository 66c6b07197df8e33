"""Open-circuit voltage over state of charge, from a slow discharge and a slow charge.

After Plett, Battery Management Systems vol. 1 (2015), section 2.10: both branches are brought to absolute state of
charge by coulomb counting (full = end of the charge at 25 degC, empty = end of the discharge at 25 degC), and
blended so that polarisation, equal and opposite in the two, cancels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hil.analysis.fit.data import Floats, OcvTable, Trace

LOW_MARGIN = 0.03  # SoC above the discharge branch's end that is starvation, not equilibrium: not used for the mean
HIGH_MARGIN = 0.10  # likewise below the charge branch's end, where the voltage limit was met by diffusion
MIN_CURRENT_A = 0.01  # below this a sample counts as rest


@dataclass(frozen=True)
class Branch:
    """One slow branch: `soc` rising, `voltage_v` beside it."""

    soc: Floats
    voltage_v: Floats

    def at(self, soc: Floats) -> Floats:
        """Voltage at `soc`, held at the ends."""
        return np.interp(soc, self.soc, self.voltage_v)


def efficiency_and_capacity(emptying: list[Trace], filling: list[Trace]) -> tuple[float, float]:
    """(coulombic efficiency, capacity in Ah) of a full round trip: `emptying` from full to empty, `filling` back.

    Efficiency is charge taken out over charge put in, over the whole trip, so it holds the current sensor's error too.
    """
    whole = emptying + filling
    efficiency = sum(t.flow_ah(1) for t in whole) / sum(t.flow_ah(-1) for t in whole)
    capacity_ah = sum(t.flow_ah(1) - efficiency * t.flow_ah(-1) for t in emptying)
    return efficiency, capacity_ah


def branch(trace: Trace, start_soc: float, capacity_ah: float, efficiency: float) -> Branch:
    """The slow part of a test as a branch, from `start_soc` at its first sample."""
    moved = np.concatenate(([0.0], trace.current_a[:-1] * np.diff(trace.time_s))) / 3600.0
    moved[moved < 0.0] *= efficiency
    soc = start_soc - np.cumsum(moved) / capacity_ah
    busy = np.abs(trace.current_a) > MIN_CURRENT_A
    order = np.argsort(soc[busy], kind="stable")
    return Branch(soc[busy][order], trace.voltage_v[busy][order])


def last_rest_v(trace: Trace) -> float:
    """Voltage of the last sample of the rest that a slow test starts with."""
    first_busy = int(np.argmax(np.abs(trace.current_a) > MIN_CURRENT_A))
    return float(trace.voltage_v[max(first_busy - 1, 0)])


def half_width(discharge: Branch, charge: Branch, soc: Floats) -> Floats:
    """Half the distance of the branches, V; outside their common middle it is held at the middle's edge."""
    low = max(discharge.soc[0], charge.soc[0]) + LOW_MARGIN
    high = min(discharge.soc[-1], charge.soc[-1]) - HIGH_MARGIN
    inside = np.clip(soc, low, high)
    return np.maximum(0.5 * (charge.at(inside) - discharge.at(inside)), 0.0)


def blend(discharge: Branch, charge: Branch, soc: Floats, rest_v: tuple[float, float]) -> tuple[Floats, Floats]:
    """(OCV, full width) on `soc`: the mean in the middle; below it the charge branch less the half width (the
    discharge there is starved, not in equilibrium), above it the discharge branch plus the half width. `rest_v` are
    the voltages of the rested empty and full cell, between which every OCV lies."""
    half = half_width(discharge, charge, soc)
    low_edge = max(discharge.soc[0], charge.soc[0]) + LOW_MARGIN
    high_edge = min(discharge.soc[-1], charge.soc[-1]) - HIGH_MARGIN
    ocv = 0.5 * (discharge.at(soc) + charge.at(soc))
    ocv = np.where(soc < low_edge, charge.at(soc) - half, ocv)
    ocv = np.where(soc > high_edge, discharge.at(soc) + half, ocv)
    return monotone(np.clip(ocv, *rest_v)), 2.0 * half


def monotone(values: Floats) -> Floats:
    """The nearest table that never falls (pool adjacent violators, unit weights)."""
    sums: list[float] = []
    counts: list[int] = []
    for value in values:
        sums.append(float(value))
        counts.append(1)
        while len(sums) > 1 and sums[-2] * counts[-1] > sums[-1] * counts[-2]:
            last_sum, last_count = sums.pop(), counts.pop()
            sums[-1] += last_sum
            counts[-1] += last_count
    return np.repeat(np.array(sums) / np.array(counts), counts)


def ocv_table(tests: tuple[Trace, Trace, Trace, Trace], soc: Floats) -> OcvTable:
    """The OCV at one temperature from tests S1..S4; `soc` rising from 0 to 1."""
    slow_discharge, emptying, slow_charge, filling = tests
    efficiency, capacity_ah = efficiency_and_capacity([slow_discharge, emptying], [slow_charge, filling])
    discharge = branch(slow_discharge, 1.0, capacity_ah, efficiency)
    charge = branch(slow_charge, 0.0, capacity_ah, efficiency)
    ocv, width = blend(discharge, charge, soc, (last_rest_v(slow_charge), last_rest_v(slow_discharge)))
    return OcvTable(soc, ocv, width, capacity_ah, efficiency)


def entropy_v_per_k(tables: Mapping[float, OcvTable], edge: float = 0.12) -> Floats:
    """dOCV/dT over SoC, V/K: the slope of a line through the tables of `tables` (degC -> table).

    Inside `edge` from empty and full the OCV is too steep for the SoC error between tests: there the slope is held.
    Smoothed over 5 % SoC. Only for the reversible heat; the OCV tables themselves already move with temperature.
    """
    warm = sorted(tables)
    soc = tables[warm[0]].soc
    slope: Floats = np.polyfit(np.array(warm, dtype=np.float64), np.array([tables[t].ocv_v for t in warm]), 1)[0]
    held = np.interp(np.clip(soc, edge, 1.0 - edge), soc, slope)
    reach = max(round(0.025 * (soc.size - 1)), 1)
    padded = np.pad(held, reach, mode="edge")
    return np.convolve(padded, np.full(2 * reach + 1, 1.0 / (2 * reach + 1)), mode="valid")
