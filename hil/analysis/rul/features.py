"""Features of early life after Severson et al. (Nature Energy 4 (2019) 383): their "discharge model".

What a cell loses between cycles 10 and 100 shows in the shape of ``delta Q(V) = Q100(V) - Q10(V)`` long before it shows
in the capacity. All are taken relative to the nominal capacity, so that a cell scaled up in Ah has the same features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hil.analysis.rul.curves import Curves
from hil.errors import InputError, Problem

EARLY, LATE = 10, 100
FIRST_DISCHARGE = 2
GLITCH = 0.05
"""A discharge capacity further than this share from the cell's median is no capacity: a cycler writes such at a restart."""
LEAST = 1e-12
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "log_variance": "log10 of the variance of delta Q(V) / nominal capacity, over voltage",
        "log_minimum": "log10 of the magnitude of the minimum of delta Q(V) / nominal capacity",
        "log_skewness": "log10 of the magnitude of the skewness of delta Q(V)",
        "log_kurtosis": "log10 of the kurtosis of delta Q(V), 3 for a normal distribution",
        "capacity_2": "discharge capacity of cycle 2 / nominal capacity",
        "capacity_rise": "(largest discharge capacity of cycles 2 to 100 - that of cycle 2) / nominal capacity",
    }
)
NAMES = tuple(MEANINGS)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """``values`` (cells, NAMES); ``glitches`` how many discharge capacities were left out, of all cells."""

    values: Floats
    glitches: int


def delta_q(curves: Curves) -> Floats:
    """Q100(V) - Q10(V) in Ah, (cells, voltages). Raises InputError when one of the two cycles is not there."""
    missing = [cycle for cycle in (EARLY, LATE) if cycle not in curves.cycles]
    if missing:
        told = ", ".join(str(cycle) for cycle in curves.cycles[:30])
        raise InputError(
            [Problem(f"{curves.name}: cycle {cycle} is missing", found=f"cycles {told}") for cycle in missing]
        )
    at = {int(cycle): k for k, cycle in enumerate(curves.cycles)}
    return curves.capacity_ah[:, :, at[LATE]] - curves.capacity_ah[:, :, at[EARLY]]


def features(curves: Curves, nominal_ah: float) -> Features:
    """The features of each cell, finite.

    Raises:
        InputError: cycle 10 or 100 is missing, the curves of a cell do not differ, or its cycle 2 has no capacity.
    """
    delta = delta_q(curves) / nominal_ah
    whole, glitches = _discharges(curves)
    moved = delta - delta.mean(axis=1, keepdims=True)
    variance = (moved**2).mean(axis=1)
    flat = np.flatnonzero(variance <= LEAST**2)
    if len(flat):
        which = ", ".join(str(cell) for cell in flat[:8])
        raise InputError(
            Problem(f"{curves.name}: cycles {EARLY} and {LATE} are the same curve", found=f"cells {which}")
        )
    skewness = (moved**3).mean(axis=1) / variance**1.5
    kurtosis = (moved**4).mean(axis=1) / variance**2
    logs = [np.log10(np.maximum(np.abs(v), LEAST)) for v in (variance, delta.min(axis=1), skewness, kurtosis)]
    first = whole[:, 0] / nominal_ah
    rise = np.nanmax(whole[:, : LATE - FIRST_DISCHARGE + 1], axis=1) / nominal_ah - first
    return Features(np.column_stack([*logs, first, rise]), glitches)


def _discharges(curves: Curves) -> tuple[Floats, int]:
    """Discharge capacities in Ah with NaN for glitches, and how many they were. Cycle 2 must be a capacity."""
    whole = np.array(curves.discharge_ah, np.float64)
    known = np.isfinite(whole) & (whole > 0)
    dead = np.flatnonzero(~known.any(axis=1))
    if len(dead):
        raise InputError(Problem(f"{curves.name}: no discharge capacity at all", found=f"cell {dead[0]}"))
    median = np.nanmedian(np.where(known, whole, np.nan), axis=1, keepdims=True)
    known &= np.abs(whole - median) <= GLITCH * median
    if not known[:, 0].all():
        cell = int(np.flatnonzero(~known[:, 0])[0])
        found = f"cell {cell}: {whole[cell, 0]:.4g} Ah, its median is {median[cell, 0]:.4g} Ah"
        raise InputError(
            Problem(f"{curves.name}: discharge capacity of cycle 2", expected="one near the others", found=found)
        )
    return np.where(known, whole, np.nan), int((~known).sum())
