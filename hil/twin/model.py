"""The twin's cell model: two RC pairs solved by exact exponentials, and one-state hysteresis.

    v   = OCV(soc, T) + M h - M0 s - R0 i - v1 - v2         i > 0 discharges, s = sign of the last current not at rest
    vk' = a vk + Rk (1 - a) i                               a = exp(-dt / tauk)
    h'  = g h - (1 - g) sign(i)                             g = exp(-|gamma eta i dt / Q|)
    soc' = soc - eta i dt / Q                               eta = coulombic efficiency in charge, else 1

Source: G. Plett, Battery Management Systems vol. 1, Artech House 2015, chapter 2; the current stands still between
two samples. One SoC serves the pack; polarisation, hysteresis and resistances exist once per *zone*, which is what one
temperature sensor stands for; a group between two sensors takes the straight line between their voltages.
"""

import math
from typing import Annotated, Any

import numpy as np

from hil.files.cell import MOST_KNOTS, MOST_SOC_POINTS, MOST_TEMPERATURES
from hil.kernel import F64, I64, Floats, Ints, kernel
from hil.tick import CELLS, TEMPS

ROWS = MOST_TEMPERATURES + 1  # the table of one temperature has an empty row after it
ZONES = TEMPS + 1  # the place after the last zone is the mean zone, which the estimator uses
SOC_LEAST, SOC_MOST = -0.1, 1.1  # the OCV is read on straight lines a little beyond its table, then held


class ModelParams:
    """Numbers of a group (``parallel`` cells): tables [temperature][soc], uniform in SoC from 0 to 1."""

    n_rows: I64  # temperatures of the tables
    n_points: I64  # SoC points of the OCV
    n_knots: I64  # SoC points of the other tables
    n_zones: I64
    n_cells: I64
    capacity_c: F64
    rest_a: F64  # below it a current is rest and M0 keeps its sign
    temps_degc: Annotated[Floats, ROWS]
    ocv_v: Annotated[Floats, ROWS, MOST_SOC_POINTS]
    r0_ohm: Annotated[Floats, ROWS, MOST_KNOTS]
    r1_ohm: Annotated[Floats, ROWS, MOST_KNOTS]
    tau1_s: Annotated[Floats, ROWS, MOST_KNOTS]
    r2_ohm: Annotated[Floats, ROWS, MOST_KNOTS]
    tau2_s: Annotated[Floats, ROWS, MOST_KNOTS]
    m_v: Annotated[Floats, ROWS, MOST_KNOTS]
    gamma: Annotated[Floats, ROWS]
    m0_v: Annotated[Floats, ROWS]
    efficiency: Annotated[Floats, ROWS]
    left: Annotated[Ints, CELLS]  # zones a group lies between, and how far it is on the way to the second
    right: Annotated[Ints, CELLS]
    share: Annotated[Floats, CELLS]


class ModelState:
    """The twin's picture of the pack."""

    soc: F64
    sign: F64  # of the last current not at rest, 0 before the first
    polarisation_v: F64  # R0 i + v1 + v2, mean of the zones
    dt_s: F64  # the step that the coefficients were made for
    due: I64  # zone whose coefficients are made anew next
    ocv_v: Annotated[Floats, ROWS]  # at ``soc``, per temperature of the table
    voltage_v: Annotated[Floats, ZONES]
    temperature_degc: Annotated[Floats, ZONES]
    v1_v: Annotated[Floats, ZONES]
    v2_v: Annotated[Floats, ZONES]
    h: Annotated[Floats, ZONES]  # -1 after long discharge, +1 after long charge
    table_row: Annotated[Ints, ZONES]
    table_weight: Annotated[Floats, ZONES]
    r0_ohm: Annotated[Floats, ZONES]
    gain1_ohm: Annotated[Floats, ZONES]  # R1 (1 - a1)
    decay1: Annotated[Floats, ZONES]  # a1
    gain2_ohm: Annotated[Floats, ZONES]
    decay2: Annotated[Floats, ZONES]
    m_v: Annotated[Floats, ZONES]
    m0_v: Annotated[Floats, ZONES]
    gamma: Annotated[Floats, ZONES]
    efficiency: Annotated[Floats, ZONES]


@kernel
def along(grid: Floats, row: int, count: int, soc: float) -> float:
    """Value of ``grid[row]`` on the straight lines between ``count`` even points from 0 to 1, also beyond them."""
    x = soc * (count - 1)
    i = min(max(int(x), 0), count - 2)
    return float(grid[row, i] + (x - i) * (grid[row, i + 1] - grid[row, i]))


@kernel
def ocv_at(p: ModelParams, row: int, weight: float, soc: float) -> float:
    """OCV at ``soc`` and at the temperature that lies ``weight`` of the way from ``row`` to the next, V."""
    low = along(p.ocv_v, row, p.n_points, soc)
    return float(low + weight * (along(p.ocv_v, row + 1, p.n_points, soc) - low))


@kernel
def _knot(p: ModelParams, grid: Floats, row: int, weight: float, soc: float) -> float:
    """Value of a table of knots at ``soc``, held at its ends."""
    within = min(max(soc, 0.0), 1.0)
    low = along(grid, row, p.n_knots, within)
    return float(low + weight * (along(grid, row + 1, p.n_knots, within) - low))


@kernel
def _between(values: Floats, row: int, weight: float) -> float:
    """Value of a table by temperature."""
    return float(values[row] + weight * (values[row + 1] - values[row]))


@kernel
def refresh(s: ModelState, p: ModelParams, z: int) -> None:
    """Make the coefficients of zone ``z`` for its temperature, the SoC and the step as they stand.

    ``table_row`` is never the last row, so that it has a next one; with one temperature the weight of that is 0.
    """
    row, weight = 0, 0.0
    while row < p.n_rows - 2 and s.temperature_degc[z] >= p.temps_degc[row + 1]:
        row += 1
    if p.n_rows > 1:
        width = p.temps_degc[row + 1] - p.temps_degc[row]
        weight = min(max((s.temperature_degc[z] - p.temps_degc[row]) / width, 0.0), 1.0)
    s.table_row[z], s.table_weight[z] = row, weight
    s.r0_ohm[z] = _knot(p, p.r0_ohm, row, weight, s.soc)
    s.decay1[z] = math.exp(-s.dt_s / _knot(p, p.tau1_s, row, weight, s.soc))
    s.decay2[z] = math.exp(-s.dt_s / _knot(p, p.tau2_s, row, weight, s.soc))
    s.gain1_ohm[z] = _knot(p, p.r1_ohm, row, weight, s.soc) * (1.0 - s.decay1[z])
    s.gain2_ohm[z] = _knot(p, p.r2_ohm, row, weight, s.soc) * (1.0 - s.decay2[z])
    s.m_v[z] = _knot(p, p.m_v, row, weight, s.soc)
    s.m0_v[z] = _between(p.m0_v, row, weight)
    s.gamma[z] = _between(p.gamma, row, weight)
    s.efficiency[z] = _between(p.efficiency, row, weight)


@kernel
def refresh_all(s: ModelState, p: ModelParams) -> None:
    """Make the coefficients of all zones and of the mean zone."""
    for z in range(p.n_zones):
        refresh(s, p, z)
    refresh_mean(s, p)


@kernel
def refresh_mean(s: ModelState, p: ModelParams) -> None:
    """Put the mean temperature into the mean zone and make its coefficients."""
    total = 0.0
    for z in range(p.n_zones):
        total += s.temperature_degc[z]
    s.temperature_degc[p.n_zones] = total / p.n_zones
    refresh(s, p, p.n_zones)


@kernel
def refresh_next(s: ModelState, p: ModelParams) -> None:
    """Make the coefficients of one zone after the other, one a tick: a constant cost, and all are young enough.

    32 zones at 10 ms: temperature and SoC are at most 0.33 s old, in which neither moves by a thousandth of the range.
    """
    if s.due >= p.n_zones:
        s.due = 0
        refresh_mean(s, p)
    else:
        refresh(s, p, s.due)
        s.due += 1


@kernel
def advance(s: ModelState, p: ModelParams, current_a: float) -> float:
    """Let ``current_a`` flow for ``s.dt_s``; returns the SoC that left (discharge positive), mean efficiency."""
    direction = 1.0 if current_a > 0.0 else (-1.0 if current_a < 0.0 else 0.0)
    step_soc = current_a * s.dt_s / p.capacity_c
    charging = direction < 0.0
    for z in range(p.n_zones):
        s.v1_v[z] = s.decay1[z] * s.v1_v[z] + s.gain1_ohm[z] * current_a
        s.v2_v[z] = s.decay2[z] * s.v2_v[z] + s.gain2_ohm[z] * current_a
    for z in range(p.n_zones):
        moved = step_soc * s.efficiency[z] if charging else step_soc
        g = math.exp(-abs(s.gamma[z] * moved))
        s.h[z] = g * s.h[z] - (1.0 - g) * direction
    left = step_soc * s.efficiency[p.n_zones] if charging else step_soc
    s.soc = min(max(s.soc - left, SOC_LEAST), SOC_MOST)
    return left


@kernel
def predict(s: ModelState, p: ModelParams, current_a: float) -> None:
    """Terminal voltage of every zone with ``current_a`` flowing, and the mean polarisation; V."""
    if abs(current_a) > p.rest_a:
        s.sign = 1.0 if current_a > 0.0 else -1.0
    for row in range(p.n_rows):
        s.ocv_v[row] = along(p.ocv_v, row, p.n_points, s.soc)
    total = 0.0
    for z in range(p.n_zones):
        row = s.table_row[z]
        low = s.ocv_v[row]
        ocv = low + s.table_weight[z] * (s.ocv_v[row + 1] - low)
        polarisation = s.r0_ohm[z] * current_a + s.v1_v[z] + s.v2_v[z]
        total += polarisation
        s.voltage_v[z] = ocv + s.m_v[z] * s.h[z] - s.m0_v[z] * s.sign - polarisation
    s.polarisation_v = total / p.n_zones


@kernel
def voltage_of(s: ModelState, p: ModelParams, c: int) -> float:
    """Predicted voltage of group ``c`` between its two zones, V."""
    at = s.voltage_v[p.left[c]]
    return float(at + p.share[c] * (s.voltage_v[p.right[c]] - at))


@kernel
def correct(s: ModelState, p: ModelParams, soc: float, v1_v: float, v2_v: float, h: float) -> None:
    """Add what the estimator learned to SoC and to polarisation and hysteresis of every zone."""
    s.soc = min(max(s.soc + soc, SOC_LEAST), SOC_MOST)
    for z in range(p.n_zones):
        s.v1_v[z] += v1_v
        s.v2_v[z] += v2_v
        s.h[z] = min(max(s.h[z] + h, -1.0), 1.0)


def fill(p: Any, cell: Any, parallel: int, series: int, sensor_cells: tuple[int, ...]) -> None:
    """Fill a ModelParams record from a CellModel (or any object with its attributes) of ``parallel`` cells a group.

    ``sensor_cells`` is the group each temperature sensor sits on; a group between two sensors lies between their
    zones, one beyond the outermost sensor belongs to it.
    """
    rows, points, knots = len(cell.temperatures_degc), len(cell.soc), len(cell.soc_knots)
    p["n_rows"], p["n_points"], p["n_knots"] = rows, points, knots
    p["n_zones"], p["n_cells"] = len(sensor_cells), series
    p["capacity_c"] = cell.capacity_ah * 3600.0 * parallel
    p["rest_a"] = 0.01 * cell.capacity_ah * parallel  # Q/100 per hour: Plett
    p["temps_degc"][:rows] = cell.temperatures_degc
    p["ocv_v"][:rows, :points] = cell.ocv_v
    for name, scale in (("r0_ohm", parallel), ("r1_ohm", parallel), ("tau1_s", 1), ("r2_ohm", parallel), ("tau2_s", 1)):
        p[name][:rows, :knots] = np.asarray(getattr(cell, name)) / scale
    p["m_v"][:rows, :knots] = cell.hysteresis.m_v
    p["gamma"][:rows], p["m0_v"][:rows] = cell.hysteresis.gamma, cell.hysteresis.m0_v
    p["efficiency"][:rows] = cell.coulombic_efficiency
    order = np.argsort(sensor_cells, kind="stable")
    places = np.asarray(sensor_cells)[order]
    for c in range(series):
        after = int(np.searchsorted(places, c, side="left"))
        left, right = max(after - 1, 0), min(after, len(places) - 1)
        width = places[right] - places[left]
        p["left"][c], p["right"][c] = order[left], order[right]
        p["share"][c] = min(max((c - places[left]) / width, 0.0), 1.0) if width > 0 else 0.0
