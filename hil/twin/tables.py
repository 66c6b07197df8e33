"""What the twin knows of a cell, on even grids: temperature from -40 degC in steps of 2.5 K, state of charge from 0 to 1.

The cell file's tables are brought onto the grid once (Arrhenius for resistances and time constants, straight lines for
the rest, held outside the file's temperatures). ``tabulate`` then makes the coefficients of one step length, so that no
exponential is left to a step: at the grid points they are exact, between them a straight line is off by at most an
eighth of the square of what ln R changes over a step of the grid: 0.5 % at 50 kJ/mol and 0 degC.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from hil.files.cell import MOST_KNOTS, MOST_SOC_POINTS
from hil.kernel import F64, I64, Floats

COLDEST_DEGC, STEP_K, ROWS = -40.0, 2.5, 52  # up to 87.5 degC
PAIRS = 3
STOPS = 8  # of the hysteresis, see ``stop_stack``
KELVIN = 273.15
R0, GAIN1, DECAY1, GAIN2, DECAY2, GAIN3, DECAY3, M = range(8)  # by temperature and SoC
COLUMNS = 8
M0, GAMMA, EFFICIENCY = range(3)  # by temperature


class CellTables:
    """Numbers of a group of cells in parallel. ``at`` holds the coefficients of a step of ``dt_s`` at [T][soc]."""

    n_points: I64
    n_knots: I64
    dt_s: F64
    capacity_c: F64
    rest_a: F64  # below it a current is rest and M0 keeps its sign
    heat_j_per_k: F64
    between_w_per_k: F64  # to each neighbour
    coolant_w_per_k: F64
    ocv_v: Annotated[Floats, ROWS, MOST_SOC_POINTS]
    ohm: Annotated[Floats, ROWS, MOST_KNOTS, PAIRS]
    tau_s: Annotated[Floats, ROWS, MOST_KNOTS, PAIRS]
    at: Annotated[Floats, ROWS, MOST_KNOTS, COLUMNS]
    of_degc: Annotated[Floats, ROWS, 3]
    docv_dt_v_per_k: Annotated[Floats, MOST_SOC_POINTS]
    stop_rate: Annotated[Floats, STOPS]  # movement of a stop per gamma times SoC
    stop_weight: Annotated[Floats, STOPS]  # sum 1


def tabulate(t: Any, dt_s: float) -> None:
    """Make the coefficients of a step of ``dt_s``: decay a = exp(-dt / tau) and gain R (1 - a) of each pair.

    Raises ValueError for a step too long for the thermal chain, whose heat flows are those at the step's start.
    """
    fastest_hz = (2.0 * t["between_w_per_k"] + t["coolant_w_per_k"]) / t["heat_j_per_k"]
    if not (dt_s > 0.0 and dt_s * fastest_hz < 0.5):
        longest = 0.5 / fastest_hz if fastest_hz > 0.0 else np.inf
        raise ValueError(f"a step of {dt_s:g} s: this thermal chain wants more than 0 s and less than {longest:.4g} s")
    t["dt_s"] = dt_s
    share = dt_s / t["tau_s"]
    t["at"][..., DECAY1 : DECAY3 + 1 : 2] = np.exp(-share)
    t["at"][..., GAIN1 : GAIN3 + 1 : 2] = -t["ohm"] * np.expm1(-share)


def stop_stack() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(movement per gamma dSoC, weight) of each stop operator, shapes (STOPS,): pieces of 2 (1 - exp(-x)) up to x = 4.

    The branch after a full reversal is cut where it has risen by equal parts. A stop that goes from one end to the
    other within x = 2 / rate adds a straight piece, so its weight is the change of slope at that x.
    """
    reach = 4.0
    ends = -np.log1p(np.arange(1, STOPS + 1) / STOPS * np.expm1(-reach))
    rises = np.diff(-2.0 * np.expm1(-ends), prepend=0.0)
    slopes = np.append(rises / np.diff(ends, prepend=0.0), 0.0)
    weights = -np.diff(slopes) * ends / 2.0
    return 2.0 / ends, weights / weights.sum()


def _rows(degc: NDArray[np.float64], grid: NDArray[np.float64], arrhenius: bool) -> NDArray[np.float64]:
    """``grid`` [temperature][...] brought onto the rows of the tables."""
    wanted = np.clip(COLDEST_DEGC + STEP_K * np.arange(ROWS), degc[0], degc[-1])
    if degc.size == 1:
        return np.repeat(grid, ROWS, axis=0)
    low = np.clip(np.searchsorted(degc, wanted, side="right") - 1, 0, degc.size - 2)
    at, values = (1.0 / (degc + KELVIN), np.log(grid)) if arrhenius else (degc, grid)
    place = 1.0 / (wanted + KELVIN) if arrhenius else wanted
    share = ((place - at[low]) / (at[low + 1] - at[low])).reshape(-1, *(1,) * (grid.ndim - 1))
    mixed: NDArray[np.float64] = (1.0 - share) * values[low] + share * values[low + 1]
    return np.exp(mixed) if arrhenius else mixed


def fill(t: Any, cell: Any, parallel: int, dt_s: float, thermal: tuple[float, float]) -> None:
    """Fill a CellTables record from a CellModel (or any object with its attributes) of ``parallel`` cells a group.

    ``thermal``: conductance of a group to each neighbour and to the coolant, W/K.
    """
    degc = np.asarray(cell.temperatures_degc, np.float64)
    points, knots = len(cell.soc), len(cell.soc_knots)
    t["n_points"], t["n_knots"] = points, knots
    t["capacity_c"] = cell.capacity_ah * 3600.0 * parallel
    t["rest_a"] = 0.01 * cell.capacity_ah * parallel  # Q/100 per hour: Plett
    t["heat_j_per_k"] = cell.heat_capacity_j_per_k * parallel
    t["between_w_per_k"], t["coolant_w_per_k"] = thermal
    t["ocv_v"][:, :points] = _rows(degc, np.asarray(cell.ocv_v), False)
    at = t["at"][:, :knots]
    at[..., R0] = _rows(degc, np.asarray(cell.r0_ohm), True) / parallel
    t["tau_s"][:], t["ohm"][:] = 1.0, 0.0
    for pair, number in enumerate("123"):
        ohm, tau = getattr(cell, f"r{number}_ohm", None), getattr(cell, f"tau{number}_s", None)
        if ohm is not None:
            t["ohm"][:, :knots, pair] = _rows(degc, np.asarray(ohm), True) / parallel
            t["tau_s"][:, :knots, pair] = _rows(degc, np.asarray(tau), True)
    at[..., M] = _rows(degc, np.asarray(cell.hysteresis.m_v), False)
    by_row = ((M0, cell.hysteresis.m0_v), (GAMMA, cell.hysteresis.gamma), (EFFICIENCY, cell.coulombic_efficiency))
    for column, values in by_row:
        t["of_degc"][:, column] = _rows(degc, np.asarray(values, np.float64), False)
    entropy = getattr(cell, "docv_dt_v_per_k", None)
    if entropy is not None:
        t["docv_dt_v_per_k"][:points] = entropy
    t["stop_rate"], t["stop_weight"] = stop_stack()
    tabulate(t, dt_s)
