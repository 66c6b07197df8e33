"""One step of the twin: move the picture on, predict the measurement of this row, learn from it, write ``twin.*``.

Row k's ``measured.*`` belongs to the pins as they have stood since t_(k-1). The current measured in row k-1 flowed up
to that instant, the one of row k flows at it: the state moves by the former, the voltage drop is the latter's.
"""

import math
from typing import Any

import numpy as np

from hil.files.pack import PackModel
from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, Rows, kernel, zeros
from hil.twin import cells, estimator, health, pack, tables, watch


class TwinState:
    """What the twin believes."""

    t_ns: I64  # of the last row
    rows: I64  # since the start
    current_a: F64  # last known measured current
    current_known: I64  # 1 when the last row's current was known
    corrected_v: F64  # what the filter added to the model's mean voltage after the last row
    pack: pack.PackState
    filter: estimator.FilterState
    health: health.HealthState
    watch: watch.WatchState


class TwinParams:
    """Pack numbers, what is not known about them, and columns."""

    dt_ns: I64
    pack: pack.PackParams
    filter: estimator.FilterParams
    health: health.HealthParams
    watch: watch.WatchParams
    col_measured_cell_voltage: I64
    col_measured_temperature: I64
    col_measured_pack_current: I64
    col_measured_balancing_current: I64
    col_measured_coolant_temperature: I64
    col_twin_cell_voltage: I64
    col_twin_cell_soc: I64
    col_twin_cell_temperature: I64
    col_twin_soc: I64
    col_twin_soc_sigma: I64
    col_twin_pack_voltage: I64
    col_twin_capacity: I64
    col_twin_capacity_sigma: I64
    col_twin_soh_capacity: I64
    col_twin_soh_capacity_sigma: I64
    col_twin_resistance: I64
    col_twin_resistance_sigma: I64
    col_twin_resistance_growth: I64
    col_twin_resistance_growth_sigma: I64


def params(model: PackModel, table: Table, dt_ns: int) -> Rows[TwinParams]:
    """The params of a run with ticks of ``dt_ns``: nominal numbers of the pack file, columns of ``table``.

    Raises ValueError where the table was laid out for another number of cells or sensors.
    """
    made = from_cell(model.cell, model.parallel, model.temperature_sensors.cells, table, dt_ns)
    p = np.asarray(made)[0]["pack"]
    surface = model.cell.surface_heat_transfer_w_per_k * model.parallel
    coolant = model.thermal.to_coolant if model.thermal.to_coolant is not None else surface
    tables.fill(p["cell"], model.cell, model.parallel, dt_ns * 1e-9, (model.thermal.between_groups, coolant))
    p["busbar_ohm"], p["coolant_degc"] = model.wiring.busbars, model.thermal.coolant_temperature
    return made


def from_cell(
    cell: Any,
    parallel: int,
    sensor_cells: tuple[int, ...],
    table: Table,
    dt_ns: int,
    sensors: estimator.Sensors | None = None,
) -> Rows[TwinParams]:
    """The same from a cell alone (a CellModel or any object with its attributes) in still air; see ``params``."""
    if table.temps != len(sensor_cells):
        raise ValueError(f"the table has {table.temps} temperature sensors, the pack {len(sensor_cells)}")
    if not all(0 <= c < table.cells for c in sensor_cells):
        raise ValueError(f"the table has {table.cells} cells, a sensor sits on cell {max(sensor_cells)}")
    made = zeros(TwinParams)
    p = np.asarray(made)[0]
    bind(p, table)
    p["dt_ns"] = dt_ns
    pack.fill(p["pack"], table.cells, sensor_cells, dt_ns * 1e-9)
    surface = cell.surface_heat_transfer_w_per_k * parallel
    tables.fill(p["pack"]["cell"], cell, parallel, dt_ns * 1e-9, (0.0, surface))
    p["pack"]["coolant_degc"] = math.nan
    estimator.fill(p["filter"], cell.capacity_ah * parallel, sensors)
    health.fill(p["health"], cell.capacity_ah * parallel)
    watch.fill(p["watch"], table, cell.capacity_ah * parallel, sensor_cells)
    return made


def start(states: Rows[TwinState], fixed: Rows[TwinParams], soc_guess: float, temperature_degc: float) -> None:
    """Begin at rest with a guess: SoC (0..1), one temperature until the sensors are heard, hysteresis unknown.

    Takes arrays of one record; views into a larger record will do. ``twin.soc_sigma`` starts at 10 %: the caller's
    guess should be as bad as a real one, several per cent off.
    """
    s, p = _one(states), _one(fixed)
    s["t_ns"], s["rows"], s["current_a"], s["current_known"], s["corrected_v"] = 0, 0, 0.0, 0, 0.0
    pack.start(s["pack"], p["pack"], soc_guess, temperature_degc)
    estimator.start(s["filter"], p["filter"])
    health.start(s["health"], p["health"])
    watch.start(s["watch"], p["watch"])


def _one(records: Any) -> Any:
    return records if isinstance(records, np.void) else np.asarray(records)[0]


@kernel
def step(s: TwinState, p: TwinParams, t_ns: int, row: Floats) -> None:
    """Write ``twin.*`` for the instant that ``measured.*`` of this row was sampled.

    With the current unknown the voltages are unknown (NaN), and ``twin.soc_sigma`` grows by what may have flowed.
    """
    current_a = row[p.col_measured_pack_current]
    known = current_a == current_a
    now_a = (current_a if known else s.current_a) - s.filter.bias_a
    flowed_a = s.current_a if s.current_known != 0 else math.nan
    before_ns = s.t_ns
    moved = move(s, p, t_ns, now_a, row)
    pack.find_mean(s.pack, p.pack)
    s.current_known = 1 if known else 0
    if known:
        s.current_a = current_a
    write_cells(s, p, known, now_a, row)
    residual_v = mean_residual(s, p, row)
    if moved:
        judge_health(s, p, (t_ns - before_ns) * 1e-9, flowed_a, current_a, now_a, residual_v)
    s.corrected_v = 0.0
    if known and moved and residual_v == residual_v:
        learn(s, p, now_a, residual_v)
    write_health(s.health, p, row)
    sigma = estimator.sigma(s.filter, p.filter)
    row[p.col_twin_soc], row[p.col_twin_soc_sigma] = s.pack.soc, sigma
    at = (t_ns * 1e-9, now_a if known else math.nan, residual_v, sigma)
    since_s = (t_ns - before_ns) * 1e-9 if moved else 0.0
    watch.step(s.watch, p.watch, p.pack.cell, s.pack.rows, row, at, since_s, p.pack.n_cells)


@kernel
def judge_health(
    s: TwinState, p: TwinParams, dt_s: float, flowed_a: float, current_a: float, now_a: float, residual_v: float
) -> None:
    """Give the health estimators what this row says of the mean cell: currents as measured, voltages as predicted."""
    seen, middle, at = s.health.seen, s.pack.middle, s.pack.middle_at
    aside_a = middle[cells.ASIDE_A, 0]
    seen.dt_s, seen.flowed_a, seen.now_a = dt_s, flowed_a + aside_a, current_a + aside_a
    seen.degc, seen.soc, seen.residual_v = middle[cells.DEGC, 0], s.pack.soc, residual_v
    seen.polarisation_v = middle[cells.V1, 0] + middle[cells.V2, 0] + middle[cells.V3, 0]
    seen.r0_ohm = at[tables.R0, 0]
    seen.ohmic_v = seen.r0_ohm * middle[cells.GROWTH, 0] * (now_a + aside_a)
    seen.corrected_v = s.corrected_v
    health.step(s.health, p.health, p.pack.cell)


@kernel
def write_health(h: health.HealthState, p: TwinParams, row: Floats) -> None:
    """Capacity and resistance, with their sigmas."""
    row[p.col_twin_capacity], row[p.col_twin_capacity_sigma] = h.capacity_ah, h.capacity_sigma_ah
    row[p.col_twin_soh_capacity], row[p.col_twin_soh_capacity_sigma] = h.soh_capacity, h.soh_capacity_sigma
    row[p.col_twin_resistance], row[p.col_twin_resistance_sigma] = h.resistance_ohm, h.resistance_sigma_ohm
    row[p.col_twin_resistance_growth] = h.resistance_growth
    row[p.col_twin_resistance_growth_sigma] = h.resistance_growth_sigma


@kernel
def learn(s: TwinState, p: TwinParams, now_a: float, residual_v: float) -> None:
    """The pack filter takes the mean residual, and every group what it has learned."""
    k, mean, at = s.pack, s.pack.middle, s.pack.middle_at
    polarisation_v = at[tables.R0, 0] * now_a + mean[cells.V1, 0] + mean[cells.V2, 0] + mean[cells.V3, 0]
    estimator.learn(s.filter, p.filter, p.pack.cell, at, k.soc, polarisation_v, residual_v)
    change = s.filter.change
    pack.correct(k, p.pack, change[0], change[1], change[2], change[3], change[4])
    row, share, before = int(at[cells.ROW, 0]), at[cells.SHARE, 0], k.soc
    k.soc = min(max(before + change[estimator.SOC], cells.SOC_LEAST), cells.SOC_MOST)
    risen_v = estimator.ocv_at(p.pack.cell, row, share, k.soc) - estimator.ocv_at(p.pack.cell, row, share, before)
    s.corrected_v = risen_v - change[1] - change[2] - change[3] + at[tables.M, 0] * change[4]


@kernel
def move(s: TwinState, p: TwinParams, t_ns: int, now_a: float, row: Floats) -> bool:
    """Bring the picture to this row's instant with the current that flowed; False in the first row."""
    k, q = s.pack, p.pack
    take_aside(s, p, row)
    steps = (t_ns - s.t_ns + p.dt_ns // 2) // p.dt_ns if s.rows > 0 else 0
    s.t_ns = t_ns
    s.rows += 1
    if s.rows == 1:
        pack.take_temperatures(k, q, row, p.col_measured_temperature, 1.0)
    pack.turn_sign(k, q, now_a)
    if steps <= 0:
        cells.read(q.cell, k.rows, k.scratch, q.n_cells, now_a, k.sign)
        return False
    coolant = row[p.col_measured_coolant_temperature]
    coolant_degc = coolant if coolant == coolant else q.coolant_degc
    if coolant_degc != coolant_degc:
        coolant_degc = k.middle[cells.DEGC, 0]
    flowed_a = s.current_a - s.filter.bias_a
    for i in range(steps):
        at_end_a = now_a if i == steps - 1 else flowed_a
        k.age_steps += 1
        fresh = k.age_steps >= q.fresh_steps
        cells.step(q.cell, k.rows, k.scratch, q.n_cells, flowed_a, at_end_a, k.sign, coolant_degc, fresh)
        if fresh:
            k.age_steps = 0
            pack.take_temperatures(k, q, row, p.col_measured_temperature, q.follow)
        left = flowed_a * q.cell.dt_s / q.cell.capacity_c
        if flowed_a < 0.0:
            left *= k.middle_at[cells.BY_EFFICIENCY, 0]
        estimator.forget(s.filter, p.filter, q.cell, k.middle_at, flowed_a, left)
        if s.current_known == 0:
            estimator.lose(s.filter, p.filter, q.cell, k.middle_at)
        else:
            s.filter.lost_s = 0.0
    return True


@kernel
def take_aside(s: TwinState, p: TwinParams, row: Floats) -> None:
    """Balancing currents as measured; one that is not known is taken as none."""
    for c in range(p.pack.n_cells):
        aside_a = row[p.col_measured_balancing_current + c]
        known_a = aside_a if aside_a == aside_a else 0.0
        s.pack.rows[c // cells.BLOCK, cells.ASIDE_A, c % cells.BLOCK] = known_a


@kernel
def write_cells(s: TwinState, p: TwinParams, known: bool, now_a: float, row: Floats) -> None:
    """What is said of every group, and their sum less what the busbars take; NaN where the current is not known."""
    total = 0.0
    for c in range(p.pack.n_cells):
        b, i = c // cells.BLOCK, c % cells.BLOCK
        at_v = s.pack.rows[b, cells.VOLTAGE, i] if known else math.nan
        total += at_v
        row[p.col_twin_cell_voltage + c] = at_v
        row[p.col_twin_cell_soc + c] = s.pack.rows[b, cells.SOC, i]
        row[p.col_twin_cell_temperature + c] = s.pack.rows[b, cells.DEGC, i]
    row[p.col_twin_pack_voltage] = total - p.pack.busbar_ohm * now_a


@kernel
def mean_residual(s: TwinState, p: TwinParams, row: Floats) -> float:
    """Mean of measured less predicted over the known cells, V; NaN when none is known.

    A cell further than ``clip_v`` from the last row's mean counts as that far; when most are, all of them have moved
    and the mean is the plain one.
    """
    f = s.filter
    clip_v = p.filter.clip_v
    clipped, whole, count, far = 0.0, 0.0, 0, 0
    for c in range(p.pack.n_cells):
        residual = row[p.col_measured_cell_voltage + c] - row[p.col_twin_cell_voltage + c]
        if residual == residual:
            away = residual - f.centre_v
            whole += residual
            clipped += min(max(away, -clip_v), clip_v)
            far += 1 if abs(away) > clip_v else 0
            count += 1
    if count == 0:
        return math.nan
    first = f.centre_v != f.centre_v
    f.centre_v = whole / count if first or 2 * far > count else f.centre_v + clipped / count
    return f.centre_v
