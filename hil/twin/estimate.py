"""The whole stage of the twin over a recording of one cell: what it would have said of the state of charge, and how sure.

The very kernel of a tick, fed through a row of the process image, with the recording's clock as the tick.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.image import table
from hil.kernel import Floats, Ints, Rows, kernel, zeros
from hil.tick import COLUMNS
from hil.twin import step as twin
from hil.twin.estimator import SOC, Sensors

CURRENT, VOLTAGE, TEMPERATURE, TWIN_SOC, TWIN_SIGMA = range(5)
NAMES = (
    "measured.pack_current",
    "measured.cell_voltage",
    "measured.temperature",
    "twin.soc",
    "twin.soc_sigma",
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The twin's answer at every sample, each of shape (samples,): SoC, its sigma, and what it takes for the zero."""

    soc: NDArray[np.float64]
    soc_sigma: NDArray[np.float64]
    bias_a: NDArray[np.float64]


def estimate(
    cell: Any,
    dt_s: float,
    measured: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    guess: tuple[float, float],
    sensors: Sensors | None = None,
) -> Estimate:
    """Follow a recording of ``cell`` (a CellModel) sampled every ``dt_s``.

    ``measured``: current (discharge positive, A), voltage (V) and temperature (degC), each of shape (samples,), NaN where
    unknown. ``guess``: the SoC the twin starts from and its standard deviation. Raises ValueError for other shapes.
    """
    if len({len(values) for values in measured}) != 1 or measured[0].ndim != 1:
        raise ValueError(f"one value per sample: shapes {[values.shape for values in measured]}")
    made = table(1, 1)
    fixed = twin.from_cell(cell, 1, (0,), made, round(dt_s * 1e9), sensors)
    states = zeros(twin.TwinState)
    twin.start(states, fixed, guess[0], float(measured[TEMPERATURE][0]))
    np.asarray(states)[0]["filter"]["cov"][SOC, SOC] = guess[1] ** 2
    columns = np.array([q.start for q in (made.find(name) for name in NAMES) if q is not None])
    out = np.empty((3, measured[0].size))
    _follow(states, fixed, np.full(COLUMNS, np.nan), np.ascontiguousarray(measured), columns, out)
    return Estimate(out[0], out[1], out[2])


@kernel
def _follow(
    states: Rows[twin.TwinState],
    fixed: Rows[twin.TwinParams],
    row: Floats,
    measured: Floats,
    columns: Ints,
    out: Floats,
) -> None:
    """One row of the process image per sample."""
    s, p = states[0], fixed[0]
    for k in range(measured.shape[1]):
        for i in range(TEMPERATURE + 1):
            row[columns[i]] = measured[i, k]
        twin.step(s, p, k * p.dt_ns, row)
        out[0, k], out[1, k], out[2, k] = row[columns[TWIN_SOC]], row[columns[TWIN_SIGMA]], s.filter.bias_a
