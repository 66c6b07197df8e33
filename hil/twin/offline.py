"""The twin's own kernel over a recording of one cell, without any help from the measured voltage.

This is what accuracy is judged by: the same step as in a tick, at the recording's own sample times.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.kernel import Floats, Ints, Rows, kernel, zeros
from hil.twin import cells
from hil.twin.tables import CellTables, fill, tabulate

LONGEST_S = 60.0  # a longer interval is cut: the coefficients are read at its start
ALIKE = 0.01  # intervals that differ by less are one clock with jitter: their mean is used


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the twin says of a recording, each of shape (samples,); SoC counts from 0 to 1."""

    voltage_v: NDArray[np.float64]
    soc: NDArray[np.float64]
    temperature_degc: NDArray[np.float64]


def predict(
    cell: Any,
    time_s: NDArray[np.float64],
    current_a: NDArray[np.float64],
    temperature_degc: NDArray[np.float64] | float,
    soc: float,
) -> Prediction:
    """Voltage of ``cell`` (a CellModel or any object with its attributes) over a recording that starts rested at ``soc``.

    ``time_s`` rises strictly; ``current_a`` (discharge positive) holds from its sample to the next one. A temperature
    per sample is taken as measured; a single one is where the cell starts and what surrounds it, and the cell warms
    by its own heat. Hysteresis starts in its middle, as after a dither.

    Raises ValueError for lengths that differ, a time that does not rise, or values that are not finite.
    """
    given = np.asarray(temperature_degc, np.float64)
    degc = np.broadcast_to(given, time_s.shape) if given.ndim == 0 else given
    _check(time_s, current_a, degc, soc)
    made = zeros(CellTables)
    t = np.asarray(made)[0]
    fill(t, cell, 1, 1.0, (0.0, cell.surface_heat_transfer_w_per_k))
    x, w = np.zeros((1, cells.CELL_ROWS, cells.BLOCK)), np.zeros((1, cells.SCRATCH_ROWS, cells.BLOCK))
    x[0, cells.SOC], x[0, cells.DEGC] = soc, degc[0]
    x[0, cells.PER_COULOMB], x[0, cells.GROWTH] = 1.0 / t["capacity_c"], 1.0
    out = np.empty((3, time_s.size))
    signs = _signs(current_a, float(t["rest_a"]))
    parts = np.maximum(np.ceil(np.diff(time_s) / LONGEST_S), 1.0).astype(np.int64)
    measured = np.full(time_s.size, np.nan) if given.ndim == 0 else degc
    surround = float(degc[0])
    _begin(made, x, w, current_a[0], signs[0], out)
    for first, last, dt_s in _clocks(np.diff(time_s) / parts, parts):
        tabulate(t, dt_s)
        _run(made, x, w, parts, current_a, measured, signs, surround, first, last, out)
    return Prediction(out[0], out[1], out[2])


def _check(time_s: Any, current_a: Any, degc: Any, soc: float) -> None:
    if not time_s.shape == current_a.shape == degc.shape or time_s.ndim != 1 or time_s.size == 0:
        raise ValueError(f"one value per sample: shapes {time_s.shape}, {current_a.shape}, {degc.shape}")
    if not (np.all(np.isfinite(time_s)) and np.all(np.isfinite(current_a)) and np.all(np.isfinite(degc))):
        raise ValueError("time, current and temperature are finite")
    if np.any(np.diff(time_s) <= 0.0):
        raise ValueError(f"the time does not rise after sample {int(np.argmax(np.diff(time_s) <= 0.0))}")
    if not cells.SOC_LEAST <= soc <= cells.SOC_MOST:
        raise ValueError(f"a state of charge is between {cells.SOC_LEAST} and {cells.SOC_MOST}, found {soc}")


def _signs(current_a: NDArray[np.float64], rest_a: float) -> NDArray[np.float64]:
    """Sign of the last current not at rest, at every sample; 0 before the first."""
    busy = np.abs(current_a) > rest_a
    last = np.maximum.accumulate(np.where(busy, np.arange(current_a.size), -1))
    return np.where(last >= 0, np.sign(current_a[np.maximum(last, 0)]), 0.0)


def _clocks(steps_s: NDArray[np.float64], parts: NDArray[np.int64]) -> list[tuple[int, int, float]]:
    """(first, last + 1, step) of every stretch of intervals with one clock."""
    out, first, begin = list[tuple[int, int, float]](), 0, -1.0
    for k, step_s in enumerate([*steps_s.tolist(), -1.0]):  # one pass: a jittering clock has as many stretches as steps
        if abs(step_s - begin) > ALIKE * begin or k == steps_s.size:
            if k:
                out.append((first, k, float(np.average(steps_s[first:k], weights=parts[first:k]))))
            first, begin = k, step_s
    return out


@kernel
def _keep(x: Floats, out: Floats, at: int) -> None:
    out[0, at], out[1, at], out[2, at] = x[0, cells.VOLTAGE, 0], x[0, cells.SOC, 0], x[0, cells.DEGC, 0]


@kernel
def _begin(tables: Rows[CellTables], x: Floats, w: Floats, current_a: float, sign: float, out: Floats) -> None:
    cells.read(tables[0], x, w, 1, current_a, sign)
    _keep(x, out, 0)


@kernel
def _run(
    tables: Rows[CellTables],
    x: Floats,
    w: Floats,
    parts: Ints,
    current_a: Floats,
    measured_degc: Floats,
    signs: Floats,
    surround_degc: float,
    first: int,
    last: int,
    out: Floats,
) -> None:
    """Intervals ``first`` to ``last`` - 1, all of the tables' step."""
    t = tables[0]
    for k in range(first, last):
        for part in range(parts[k]):
            now_a = current_a[k + 1] if part == parts[k] - 1 else current_a[k]
            cells.step(t, x, w, 1, current_a[k], now_a, signs[k + 1], surround_degc, True)
        if measured_degc[k + 1] == measured_degc[k + 1]:
            x[0, cells.DEGC, 0] = measured_degc[k + 1]
        _keep(x, out, k + 1)
