"""The twin's picture of the pack: all groups in series, their temperatures between the sensors, and the mean cell.

Every group is a cell of ``hil.twin.cells``. What flows through all of them is one current; a balancing resistor adds
its own to a group. The *mean cell* has the mean SoC and temperature; the pack filter takes its coefficients from there.
"""

import math
from typing import Annotated, Any

import numpy as np

from hil.kernel import F64, I64, Floats, Ints, kernel
from hil.tick import CELLS, TEMPS
from hil.twin import cells, tables
from hil.twin.tables import CellTables

BLOCKS = CELLS // cells.BLOCK
FRESH_S = 0.08  # how old coefficients and temperatures may be: SoC and temperature move by less than 1e-3 in it
FOLLOW_S = 5.0  # time constant with which modelled temperatures follow the sensors: their own, in a pack


class PackParams:
    """Numbers of the groups, and which temperature sensors stand for each."""

    n_cells: I64
    n_zones: I64
    cell: CellTables
    busbar_ohm: F64  # all of them in series
    coolant_degc: F64  # where none is measured
    fresh_steps: I64  # coefficients and temperatures are made anew every so many
    follow: F64  # share of a sensor's difference that is taken over then
    sensor_cell: Annotated[Ints, TEMPS]
    left: Annotated[Ints, CELLS]  # zones a group lies between, and how far it is on the way to the second
    right: Annotated[Ints, CELLS]
    share: Annotated[Floats, CELLS]


class PackState:
    """Rows of the groups (see ``hil.twin.cells``), scratch, and the mean cell as a block of one."""

    sign: F64  # of the last current not at rest, 0 before the first
    age_steps: I64  # of coefficients and temperatures
    soc: F64  # mean of the groups
    rows: Annotated[Floats, BLOCKS, cells.CELL_ROWS, cells.BLOCK]
    scratch: Annotated[Floats, BLOCKS, cells.SCRATCH_ROWS, cells.BLOCK]
    off_k: Annotated[Floats, TEMPS]  # sensor less model
    middle: Annotated[Floats, cells.CELL_ROWS, 1]
    middle_at: Annotated[Floats, cells.SCRATCH_ROWS, 1]  # its coefficients


@kernel
def turn_sign(s: PackState, p: PackParams, current_a: float) -> None:
    """Note the direction of a current that is not rest."""
    if abs(current_a) > p.cell.rest_a:
        s.sign = 1.0 if current_a > 0.0 else -1.0


@kernel
def take_temperatures(s: PackState, p: PackParams, row: Floats, column: int, share: float) -> None:
    """Move the groups' temperatures by ``share`` of what the sensors say more; an unknown sensor says nothing."""
    for z in range(p.n_zones):
        c = p.sensor_cell[z]
        off = row[column + z] - s.rows[c // cells.BLOCK, cells.DEGC, c % cells.BLOCK]
        s.off_k[z] = off if abs(off) < 1000.0 else 0.0
    for c in range(p.n_cells):
        off = s.off_k[p.left[c]]
        off += p.share[c] * (s.off_k[p.right[c]] - off)
        s.rows[c // cells.BLOCK, cells.DEGC, c % cells.BLOCK] += share * off


@kernel
def find_mean(s: PackState, p: PackParams) -> None:
    """Mean state of the groups, and the coefficients there."""
    for r in range(cells.GROWTH + 1):
        if cells.STOP <= r < cells.ASIDE_A:
            continue  # no coefficient hangs on the stops
        total = 0.0
        for first in range(0, p.n_cells, cells.BLOCK):
            block = s.rows[first // cells.BLOCK]
            for i in range(min(cells.BLOCK, p.n_cells - first)):
                total += block[r, i]
        s.middle[r, 0] = total / p.n_cells
    s.soc = s.middle[cells.SOC, 0]
    cells.look(p.cell, s.middle, s.middle_at, 1)


@kernel
def correct(s: PackState, p: PackParams, soc: float, v1_v: float, v2_v: float, v3_v: float, h: float) -> None:
    """Add what the pack filter learned to every group."""
    for first in range(0, p.n_cells, cells.BLOCK):
        block = s.rows[first // cells.BLOCK]
        for i in range(min(cells.BLOCK, p.n_cells - first)):
            block[cells.SOC, i] = min(max(block[cells.SOC, i] + soc, cells.SOC_LEAST), cells.SOC_MOST)
            block[cells.V1, i] += v1_v
            block[cells.V2, i] += v2_v
            block[cells.V3, i] += v3_v
        for k in range(tables.STOPS):
            for i in range(min(cells.BLOCK, p.n_cells - first)):
                block[cells.STOP + k, i] = min(max(block[cells.STOP + k, i] + h, -1.0), 1.0)


def fill(p: Any, series: int, sensor_cells: tuple[int, ...], dt_s: float) -> None:
    """Fill the layout of a PackParams record of ``series`` groups.

    ``sensor_cells`` is the group each temperature sensor sits on; a group between two sensors lies between their
    zones, one beyond the outermost sensor belongs to it.
    """
    p["n_cells"], p["n_zones"] = series, len(sensor_cells)
    p["sensor_cell"][: len(sensor_cells)] = sensor_cells
    p["fresh_steps"] = max(int(FRESH_S / dt_s + 0.5), 1)
    p["follow"] = -math.expm1(-p["fresh_steps"] * dt_s / FOLLOW_S)
    order = np.argsort(sensor_cells, kind="stable")
    places = np.asarray(sensor_cells)[order]
    for c in range(series):
        after = int(np.searchsorted(places, c, side="left"))
        left, right = max(after - 1, 0), min(after, len(places) - 1)
        width = places[right] - places[left]
        p["left"][c], p["right"][c] = order[left], order[right]
        p["share"][c] = min(max((c - places[left]) / width, 0.0), 1.0) if width > 0 else 0.0


def start(s: Any, p: Any, soc: float, temperature_degc: float) -> None:
    """At rest, every group alike."""
    s["sign"], s["age_steps"], s["soc"] = 0.0, 0, soc
    for name in ("rows", "scratch", "off_k", "middle", "middle_at"):
        s[name][:] = 0.0
    rows = s["rows"]
    rows[:, cells.SOC], rows[:, cells.DEGC] = soc, temperature_degc
    rows[:, cells.PER_COULOMB], rows[:, cells.GROWTH] = 1.0 / p["cell"]["capacity_c"], 1.0
