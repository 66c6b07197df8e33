"""Everything the twin says of single cells: delta filters, early warning, unexpected heat; one call a tick."""

import math
from typing import Annotated, Any

from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, kernel
from hil.tick import CELLS
from hil.twin import deltas, heat, warning
from hil.twin.cells import BLOCK, GROWTH
from hil.twin.tables import CellTables


class WatchParams:
    """Numbers of the three, and columns."""

    deltas: deltas.DeltaParams
    warning: warning.WarningParams
    heat: heat.HeatParams
    col_measured_cell_voltage: I64
    col_measured_temperature: I64
    col_measured_coolant_temperature: I64
    col_measured_gas_pressure: I64
    col_twin_cell_voltage: I64
    col_twin_cell_resistance_growth: I64
    col_twin_leak_current: I64
    col_twin_leak_sigma: I64
    col_twin_unexpected_heat: I64
    col_twin_cell_warning: I64
    col_twin_warning: I64
    col_twin_warning_cell: I64
    col_twin_warning_since: I64


class WatchState:
    """State of the three, and the warning that stands."""

    deltas: deltas.DeltaState
    warning: warning.WarningState
    heat: heat.HeatState
    level: I64  # index into WARNINGS
    cell: F64  # NaN: none, or no single one
    since_s: F64
    residual_v: Annotated[Floats, CELLS]


def fill(p: Any, table: Table, capacity_ah: float, sensor_cells: tuple[int, ...]) -> None:
    """Fill a WatchParams record for groups of ``capacity_ah``, with columns of ``table``."""
    bind(p, table)
    deltas.fill(p["deltas"], table.cells)
    warning.fill(p["warning"], p["deltas"], capacity_ah, table.cells)
    heat.fill(p["heat"], sensor_cells)


def start(s: Any, p: Any) -> None:
    """Nothing known of any cell, no warning."""
    deltas.start(s["deltas"], p["deltas"])
    warning.start(s["warning"], p["warning"])
    heat.start(s["heat"])
    s["level"], s["cell"], s["since_s"], s["residual_v"] = 0, math.nan, math.nan, math.nan


@kernel
def step(
    s: WatchState,
    p: WatchParams,
    t: CellTables,
    x: Floats,
    row: Floats,
    at: tuple[float, float, float, float],
    dt_s: float,
    n: int,
) -> None:
    """After the pack's filter: learn from this row, correct the cells ``x``, write what is found.

    ``at``: instant (s of the run), current through the stack (A, NaN: unknown), robust mean residual (V), sigma of the
    mean SoC. ``dt_s``: since the last row, 0 in the first.
    """
    at_s, current_a, centre_v, soc_sigma = at
    measured, predicted = p.col_measured_cell_voltage, p.col_twin_cell_voltage
    for c in range(n):
        s.residual_v[c] = row[measured + c] - row[predicted + c]
    deltas.learn(s.deltas, p.deltas, t, x, s.residual_v, centre_v, current_a, soc_sigma, dt_s, n)
    warning.step(s.warning, p.warning, s.deltas, t, x, dt_s, n)
    coolant_degc, gas_pa = row[p.col_measured_coolant_temperature], row[p.col_measured_gas_pressure]
    heat.step(s.heat, p.heat, s.deltas, t, x, row, p.col_measured_temperature, coolant_degc, gas_pa, dt_s, n)
    _rank(s, p, at_s, n)
    _write(s, p, x, row, n)


@kernel
def _rank(s: WatchState, p: WatchParams, at_s: float, n: int) -> None:
    """The gravest warning there is, the cell of it, and since when there has been any."""
    level, cell = s.level, s.cell
    for c in range(n):
        told = s.warning.told[c]
        if told != 0:
            mine = 3 if told & warning.DEPARTURE else 2 if told & warning.LEAK else 1
            if mine > level:
                level, cell = mine, float(c)
    for z in range(p.heat.n_zones):
        told = s.heat.told[z]
        if told != 0:
            mine = 6 if told & heat.RUNAWAY else 4
            if mine > level:
                level, cell = mine, float(p.heat.sensor_cell[z])
    if s.heat.told_gas != 0 and level < 5:
        level = 5
    s.since_s = at_s if level > 0 and s.level == 0 else s.since_s
    s.level, s.cell = level, cell


@kernel
def _write(s: WatchState, p: WatchParams, x: Floats, row: Floats, n: int) -> None:
    """The columns of ``twin.*`` that are ours."""
    for c in range(n):
        row[p.col_twin_cell_resistance_growth + c] = x[c // BLOCK, GROWTH, c % BLOCK]
        row[p.col_twin_leak_current + c] = s.warning.leak_a[c]
        sigma_a = s.warning.leak_sigma_a[c]
        row[p.col_twin_leak_sigma + c] = sigma_a if sigma_a < math.inf else math.nan
        row[p.col_twin_cell_warning + c] = s.warning.told[c]
    for z in range(p.heat.n_zones):
        row[p.col_twin_unexpected_heat + z] = s.heat.unexpected_w[z]
        row[p.col_twin_cell_warning + p.heat.sensor_cell[z]] += s.heat.told[z]
    row[p.col_twin_warning] = s.level
    row[p.col_twin_warning_cell] = s.cell
    row[p.col_twin_warning_since] = s.since_s
