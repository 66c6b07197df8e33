"""What the judges of the twin share: records that are not empty, tables, cells in the middle of anything, stand-ins."""

import copy
import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from twin_rig import CAPACITY_C, GRID, cell

from hil.campaign.mutate.plain import as_object
from hil.kernel import zeros
from hil.twin import tables
from hil.twin.cells import ASIDE_A, CELL_ROWS, DEGC, GROWTH, PER_COULOMB, SOC, STOP, V1, V3

NAN = math.nan


def made(of: Any) -> Any:
    """A record of a class, every number of it another one than 0, so that what is not set is seen."""
    record = np.asarray(zeros(of))[0]
    for name in record.dtype.names or ():
        if record.dtype[name].names is None:
            record[name] = 7
    return record


def check(record: Any, **wanted: Any) -> None:
    """The fields of a record or an object, exactly or nearly."""
    for name, value in wanted.items():
        found = record[name] if isinstance(record, np.void) else getattr(record, name)
        assert found == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name


@cache
def table_of(kind: str = "rig") -> Any:
    """Cell tables as an object: the rig's cell, or one whose OCV is given by name; nothing writes to them."""
    record = np.asarray(zeros(tables.CellTables))[0]
    of = cell()
    if kind != "rig":
        of.ocv_v = np.array([OCVS[kind] + 0.001 * k for k in (0.0, 1.0, 3.0)])
    tables.fill(record, of, 1, 1.0, (0.0, 1.0))
    return as_object(record)


OCVS = {
    "line": 3.0 + GRID,
    "bent": np.where(GRID < 0.5, 3.0 + GRID, np.where(GRID < 0.6, 4.0 - GRID, 2.8 + GRID)),
    "level": np.clip(3.0 + GRID, 3.1, 3.9),
    "falling ends": 3.5 - 0.4 * np.cos(9.0 * GRID),
    "flat": np.full(GRID.size, 3.3),
}


def extended(t: Any, row: int, share: float) -> tuple[Any, Any]:
    """OCV as a polyline over SoC from -0.1 to 1.1, its ends on straight lines."""
    volts = (1.0 - share) * t.ocv_v[row, :201] + share * t.ocv_v[row + 1, :201]
    low, high = volts[0] - 20.0 * (volts[1] - volts[0]), volts[-1] + 20.0 * (volts[-1] - volts[-2])
    return np.concatenate(([-0.1], GRID, [1.1])), np.concatenate(([low], volts, [high]))


def spied(twin: Any, name: str, module: str = "health") -> Any:
    """A stand-in for a function of a copy, which keeps what it is given; ``calls`` and ``undo``."""
    where = getattr(twin, module)
    plain, calls = getattr(where, name), []
    setattr(where, name, lambda *given: calls.append(given))
    return SimpleNamespace(calls=calls, undo=lambda: setattr(where, name, plain))


def some_cells(n: int, seed: int, mean_soc: float = 0.5) -> np.ndarray:
    """Cells in the middle of anything, as the kernels have them."""
    rng = np.random.default_rng(seed)
    x = np.zeros((-(-n // 96), CELL_ROWS, 96))
    for row, low, high in ((SOC, -0.02, 0.02), (DEGC, -45.0, 90.0), (GROWTH, 0.7, 1.6), (ASIDE_A, -0.2, 0.4)):
        x[:, row] = rng.uniform(low, high, x[:, row].shape)
    x[:, SOC] += mean_soc
    x[:, V1 : V3 + 1] = 0.02 * rng.normal(size=x[:, V1 : V3 + 1].shape)
    x[:, STOP : STOP + 8] = rng.uniform(-1.0, 1.0, x[:, STOP : STOP + 8].shape)
    x[:, PER_COULOMB] = rng.uniform(0.9, 1.1, x[:, PER_COULOMB].shape) / (0.5 * CAPACITY_C)
    return x


@cache
def bumpy(kind: str = "rig") -> Any:
    """Tables of which no row is like the next, with nothing beyond their last knot; nothing writes to them."""
    t, rng = copy.deepcopy(table_of(kind)), np.random.default_rng(9)
    for part in (t.at, t.ohm, t.tau_s, t.ocv_v):
        part[:] *= rng.uniform(0.9, 1.1, part.shape if part is not t.ocv_v else (part.shape[0], 1))
    t.at[:, 11:] = NAN
    return t


def of(x: np.ndarray, row: int, n: int) -> np.ndarray:
    """A row of the cells, one after the other."""
    return x[:, row].ravel()[:n].copy()
