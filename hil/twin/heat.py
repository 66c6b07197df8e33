"""Unexpected heat: what a temperature sensor says against the twin's heat balance, and the signs of a thermal runaway.

At each sensor the energy that came from nowhere is

    E = C T + integral of (to the coolant + to the neighbours - heat by the current)

with the twin's capacities, conductances and polarisations. Its slope, smoothed twice over ``smooth_s``, is the heat nobody
accounts for, W. What all sensors have in common (a coolant warmer than said, reversible heat) is taken off, and so is what
a sensor has shown for hours (its offset); the rest is judged against what a sensor that drifts by ``drift_k`` and a heat
off by ``heat_error`` would feign.

A runaway is a temperature that rises by 1 K/s over 3 s, the criterion of GB 38031-2020 annex C; gas in the enclosure is
the other sign. ``heat`` is the precursor: a self-heating cell passes 0.5 K/min long before it vents.
"""

import math
from typing import Annotated, Any

from hil.kernel import F64, I64, Floats, Ints, kernel
from hil.tick import TEMPS
from hil.twin.cells import ASIDE_A, BLOCK, DEGC, GROWTH
from hil.twin.deltas import DeltaState
from hil.twin.tables import CellTables

HEAT, RUNAWAY, GAS = 8, 16, 32  # bits of a warning, beside those of ``hil.twin.warning``
FEWEST = 4  # sensors that have something in common


class HeatParams:
    """What a healthy pack may show."""

    n_zones: I64
    smooth_s: F64
    drift_k: F64  # of a sensor within hours, one standard deviation
    usual_s: F64  # over which a sensor's usual heat is learned
    first_s: F64  # no judgement before
    heat_error: F64  # of the heat by the current, relative
    limit_sigma: F64
    slope_s: F64  # over which the temperature's slope is taken
    runaway_k_per_s: F64
    gas_pa: F64
    gas_hold_s: F64
    sensor_cell: Annotated[Ints, TEMPS]


class HeatState:
    """Balance per sensor."""

    started: I64
    waited_s: F64
    common_w: F64  # unexpected at all sensors alike
    gas_s: F64  # how long the gas has been above its limit
    told_gas: I64
    sum_degc: Annotated[Floats, TEMPS]
    known_s: Annotated[Floats, TEMPS]
    before_degc: Annotated[Floats, TEMPS]  # of the last window; NaN before the first
    energy_j: Annotated[Floats, TEMPS]
    slow_j: Annotated[Floats, TEMPS]
    raw_w: Annotated[Floats, TEMPS]  # smoothed twice
    usual_w: Annotated[Floats, TEMPS]  # of it, for hours
    age_s: Annotated[Floats, TEMPS]
    unexpected_w: Annotated[Floats, TEMPS]
    limit_w: Annotated[Floats, TEMPS]
    made_w: Annotated[Floats, TEMPS]  # most heat by the current, smoothed, of the last hours
    lag_degc: Annotated[Floats, TEMPS]
    told: Annotated[Ints, TEMPS]


def fill(p: Any, sensor_cells: tuple[int, ...]) -> None:
    """Fill a HeatParams record. 0.15 K of drift within two hours and 20 % of heat are assumed (all of it for
    a sensor without peers); 500 Pa is a vented cell in any pack's enclosure."""
    p["n_zones"] = len(sensor_cells)
    p["sensor_cell"][: len(sensor_cells)] = sensor_cells
    p["smooth_s"], p["drift_k"], p["heat_error"], p["limit_sigma"] = (
        30.0,
        0.15,
        0.2 if len(sensor_cells) >= FEWEST else 1.0,
        6.0,
    )
    p["usual_s"], p["first_s"] = 7200.0, 600.0
    p["slope_s"], p["runaway_k_per_s"], p["gas_pa"], p["gas_hold_s"] = 3.0, 1.0, 500.0, 2.0


def start(s: Any) -> None:
    """No balance yet."""
    for name in s.dtype.names:
        s[name] = 0
    s["before_degc"] = math.nan


@kernel
def step(
    s: HeatState,
    p: HeatParams,
    d: DeltaState,
    t: CellTables,
    x: Floats,
    row: Floats,
    column: int,
    coolant_degc: float,
    gas_pa: float,
    dt_s: float,
    n: int,
) -> None:
    """Every tick of ``dt_s``, after the delta filters; ``row`` from ``column`` on: the sensors' temperatures.

    A coolant that is not known (NaN) is taken as the twin's mean temperature would have it: the common part goes off
    anyway. An unknown gas pressure is no sign.
    """
    for z in range(p.n_zones):
        degc = row[column + z]
        known = degc == degc
        s.sum_degc[z] += degc * dt_s if known else 0.0
        s.known_s[z] += dt_s if known else 0.0
    s.gas_s = s.gas_s + dt_s if gas_pa > p.gas_pa else 0.0
    s.told_gas = 1 if s.gas_s > p.gas_hold_s else s.told_gas
    if d.fresh == 0:
        return
    for z in range(p.n_zones):
        _balance(s, p, d, t, x, z, coolant_degc, n)
    _judge(s, p, t)


@kernel
def _balance(
    s: HeatState, p: HeatParams, d: DeltaState, t: CellTables, x: Floats, z: int, coolant_degc: float, n: int
) -> None:
    """Energy of a sensor's cell over the last window."""
    c, seconds = p.sensor_cell[z], d.closed_s
    one, i = x[c // BLOCK], c % BLOCK
    degc = s.sum_degc[z] / max(s.known_s[z], 1e-9) if s.known_s[z] > 0.5 * seconds else math.nan
    s.sum_degc[z], s.known_s[z] = 0.0, 0.0
    before = s.before_degc[z]
    s.before_degc[z] = degc
    if before != before:
        s.lag_degc[z] = degc
    if not (degc == degc and before == before):
        return
    flow_a = d.moved_c / seconds + one[ASIDE_A, i]
    made_w = flow_a * d.polarised_v[c] * one[GROWTH, i]
    out_w = t.coolant_w_per_k * (degc - coolant_degc) if coolant_degc == coolant_degc else 0.0
    if c > 0:
        out_w += t.between_w_per_k * (degc - x[(c - 1) // BLOCK, DEGC, (c - 1) % BLOCK])
    if c + 1 < n:
        out_w += t.between_w_per_k * (degc - x[(c + 1) // BLOCK, DEGC, (c + 1) % BLOCK])
    share = min(seconds / p.smooth_s, 1.0)
    s.energy_j[z] += t.heat_j_per_k * (degc - before) + (out_w - made_w) * seconds
    gap_j = s.energy_j[z] - s.slow_j[z]
    s.slow_j[z] += gap_j * share
    s.raw_w[z] += (gap_j / p.smooth_s - s.raw_w[z]) * share
    s.age_s[z] += seconds
    s.usual_w[z] += (s.raw_w[z] - s.usual_w[z]) * max(seconds / p.usual_s, min(seconds / s.age_s[z], 1.0))
    rises_w = abs(made_w) - s.made_w[z]
    s.made_w[z] += rises_w * (share if rises_w > 0.0 else seconds / p.usual_s)
    risen_k = degc - s.lag_degc[z]
    s.lag_degc[z] += risen_k * min(seconds / p.slope_s, 1.0)
    s.told[z] |= RUNAWAY if risen_k / p.slope_s > p.runaway_k_per_s else 0


@kernel
def _judge(s: HeatState, p: HeatParams, t: CellTables) -> None:
    """Unexpected heat less what is common (each sensor counts at most its limit), against its limit."""
    total = 0.0
    loss_w = (t.coolant_w_per_k + 2.0 * t.between_w_per_k) * p.drift_k
    for z in range(p.n_zones):
        error_w = p.heat_error * s.made_w[z]
        limit_w = p.limit_sigma * math.sqrt(loss_w * loss_w + error_w * error_w)
        s.limit_w[z] = limit_w
        total += min(max(s.raw_w[z] - s.usual_w[z] - s.common_w, -limit_w), limit_w)
    peers = p.n_zones >= FEWEST
    s.common_w = s.common_w + total / p.n_zones if peers else 0.0
    for z in range(p.n_zones):
        s.unexpected_w[z] = s.raw_w[z] - s.usual_w[z] - s.common_w
        s.told[z] |= HEAT if s.unexpected_w[z] > s.limit_w[z] and s.age_s[z] > p.first_s else 0
