"""One step of the twin: move the picture on, predict the measurement of this row, learn from it, write ``twin.*``.

Row k's ``measured.*`` belongs to the pins as they have stood since t_(k-1). The current measured in row k-1 flowed up
to that instant, the one of row k flows at it: the state moves by the former, the voltage drop is the latter's.
"""

import math
from typing import Annotated, Any

import numpy as np

from hil.files.pack import PackModel
from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, Rows, kernel, zeros
from hil.tick import CELLS
from hil.twin import estimator, model


class TwinState:
    """What the twin believes."""

    t_ns: I64  # of the last row
    rows: I64  # since the start
    current_a: F64  # last known measured current
    current_known: I64  # 1 when the last row's current was known
    model: model.ModelState
    filter: estimator.FilterState
    predicted_v: Annotated[Floats, CELLS]


class TwinParams:
    """Pack numbers, what is not known about them, and columns."""

    model: model.ModelParams
    filter: estimator.FilterParams
    col_measured_cell_voltage: I64
    col_measured_temperature: I64
    col_measured_pack_current: I64
    col_twin_cell_voltage: I64
    col_twin_soc: I64
    col_twin_soc_sigma: I64
    col_twin_pack_voltage: I64


def params(pack: PackModel, table: Table) -> Rows[TwinParams]:
    """The params of a run: nominal numbers of the pack file, columns of ``table``.

    Raises ValueError where the table was laid out for another number of cells or sensors.
    """
    return from_cell(pack.cell, pack.parallel, pack.temperature_sensors.cells, table)


def from_cell(cell: Any, parallel: int, sensor_cells: tuple[int, ...], table: Table) -> Rows[TwinParams]:
    """The same from a cell alone (a CellModel or any object with its attributes); see ``params``."""
    if table.temps != len(sensor_cells):
        raise ValueError(f"the table has {table.temps} temperature sensors, the pack {len(sensor_cells)}")
    if not all(0 <= c < table.cells for c in sensor_cells):
        raise ValueError(f"the table has {table.cells} cells, a sensor sits on cell {max(sensor_cells)}")
    made = zeros(TwinParams)
    p = np.asarray(made)[0]
    bind(p, table)
    model.fill(p["model"], cell, parallel, table.cells, sensor_cells)
    estimator.fill(p["filter"], cell.capacity_ah * parallel)
    return made


def start(states: Rows[TwinState], fixed: Rows[TwinParams], soc_guess: float, temperature_degc: float) -> None:
    """Begin at rest with a guess: SoC (0..1), one temperature until the sensors are heard, hysteresis unknown.

    Takes arrays of one record; views into a larger record will do. ``twin.soc_sigma`` starts at 10 %: the caller's
    guess should be as bad as a real one, several per cent off.
    """
    s, p = _one(states), _one(fixed)
    s["t_ns"], s["rows"], s["current_a"], s["current_known"] = 0, 0, 0.0, 0
    s["predicted_v"][:] = math.nan
    m = s["model"]
    for name in ("sign", "polarisation_v", "dt_s", "due", "v1_v", "v2_v", "h"):
        m[name] = 0
    m["soc"] = soc_guess
    m["temperature_degc"][:] = temperature_degc
    estimator.start(s["filter"], p["filter"])


def _one(records: Any) -> Any:
    return records if isinstance(records, np.void) else np.asarray(records)[0]


@kernel
def step(s: TwinState, p: TwinParams, t_ns: int, row: Floats) -> None:
    """Write ``twin.*`` for the instant that ``measured.*`` of this row was sampled.

    With the current unknown the voltages are unknown (NaN), and ``twin.soc_sigma`` grows by what may have flowed.
    """
    m, mp = s.model, p.model
    read_temperatures(m, mp, row, p.col_measured_temperature)
    moved = move(s, p, t_ns)
    current_a = row[p.col_measured_pack_current]
    known = current_a == current_a
    if known:
        model.predict(m, mp, current_a - s.filter.bias_a)
        s.current_a = current_a
    s.current_known = 1 if known else 0
    total = 0.0
    for c in range(mp.n_cells):
        at = model.voltage_of(m, mp, c) if known else np.nan
        s.predicted_v[c] = at
        row[p.col_twin_cell_voltage + c] = at
        total += at
    row[p.col_twin_pack_voltage] = total
    if known and moved:
        residual_v = mean_residual(s, p, row)
        if residual_v == residual_v:
            estimator.learn(s.filter, p.filter, m, mp, residual_v)
            change = s.filter.change
            model.correct(m, mp, change[estimator.SOC], change[estimator.V1], change[estimator.V2], change[estimator.H])
    row[p.col_twin_soc] = m.soc
    row[p.col_twin_soc_sigma] = math.sqrt(max(s.filter.cov[estimator.SOC, estimator.SOC], 0.0))


@kernel
def read_temperatures(m: model.ModelState, mp: model.ModelParams, row: Floats, column: int) -> None:
    """Take the temperatures that are known; an unknown one stays what it was."""
    for z in range(mp.n_zones):
        degc = row[column + z]
        if degc == degc:
            m.temperature_degc[z] = degc


@kernel
def move(s: TwinState, p: TwinParams, t_ns: int) -> bool:
    """Bring the state to this row's instant with the current that flowed; False in the first row."""
    m, mp = s.model, p.model
    since_s = (t_ns - s.t_ns) * 1e-9 if s.rows > 0 else 0.0
    s.t_ns = t_ns
    s.rows += 1
    if since_s != m.dt_s or s.rows == 1:
        m.dt_s = since_s
        model.refresh_all(m, mp)
    else:
        model.refresh_next(m, mp)
    if since_s <= 0.0:
        return False
    current_a = s.current_a - s.filter.bias_a
    left = model.advance(m, mp, current_a)
    estimator.forget(s.filter, p.filter, m, mp, current_a, left)
    if s.current_known == 0:
        estimator.lose(s.filter, p.filter, m, mp)
    else:
        s.filter.lost_s = 0.0
    return True


@kernel
def mean_residual(s: TwinState, p: TwinParams, row: Floats) -> float:
    """Mean of measured less predicted over the known cells, V; NaN when none is known.

    A cell further than ``clip_v`` from the last row's mean counts as that far; when most are, all of them have moved
    and the mean is the plain one.
    """
    f = s.filter
    clip_v = p.filter.clip_v
    clipped, whole, count, far = 0.0, 0.0, 0, 0
    for c in range(p.model.n_cells):
        residual = row[p.col_measured_cell_voltage + c] - s.predicted_v[c]
        if residual == residual:
            away = residual - f.centre_v
            whole += residual
            clipped += min(max(away, -clip_v), clip_v)
            far += 1 if abs(away) > clip_v else 0
            count += 1
    if count == 0:
        return np.nan
    first = f.centre_v != f.centre_v
    f.centre_v = whole / count if first or 2 * far > count else f.centre_v + clipped / count
    return f.centre_v
