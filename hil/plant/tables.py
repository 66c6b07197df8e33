"""What the groups are made of: the cell file's tables, the scatter between groups, and how a table is read.

Between the temperatures of the file a resistance or time constant x follows Arrhenius' law, ln x straight over 1/T:
x = low (high / low)^w with w = (T - T_low) / (T_high - T_low) T_high / T. OCV, hysteresis and efficiency are straight
over T. Beyond the first and the last temperature, and below 0 and above 1 of SoC, the tables are held; between knots of
SoC they are straight.
"""

from typing import Annotated

import numpy as np

from hil.files.cell import MOST_KNOTS, MOST_SOC_POINTS, MOST_TEMPERATURES, PAIRS
from hil.files.pack import PackModel
from hil.kernel import F64, I64, Floats, kernel, normal, stream_seed
from hil.tick import CELLS

STOPS = 12  # pairs of the STOP_ENDS below
STOP_ENDS = (0.22, 0.55, 1.0, 1.65, 2.6, 4.6)  # where the straight pieces of 2 (1 - exp(-x)) end, x = gamma dSoC
SIGN_WIDTH = 2e-5  # SoC over which the instantaneous part of the hysteresis turns round
CAPACITY_CHANNEL, RESISTANCE_CHANNEL, SOC_CHANNEL = 0, 1, 2
LEAST_FACTOR = 0.2  # a scattered capacity or resistance is never below this share of the nominal one


class CellsParams:
    """Tables of the cell and scatter of the groups; ``n_*`` are the counts in use."""

    n_cells: I64
    n_rows: I64  # temperatures
    n_points: I64  # SoC points of the OCV
    n_knots: I64
    temps_degc: Annotated[Floats, MOST_TEMPERATURES]
    ocv_v: Annotated[Floats, MOST_TEMPERATURES, MOST_SOC_POINTS]
    docv_dt_v_per_k: Annotated[Floats, MOST_SOC_POINTS]
    pairs: Annotated[Floats, 7, MOST_TEMPERATURES, MOST_KNOTS]  # the file's PAIRS (ohm, s) of a nominal group
    m_v: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]
    gamma: Annotated[Floats, MOST_TEMPERATURES]
    m0_v: Annotated[Floats, MOST_TEMPERATURES]
    efficiency: Annotated[Floats, MOST_TEMPERATURES]
    stop_rate: Annotated[Floats, STOPS]  # stop movement per gamma dSoC
    stop_weight: Annotated[Floats, STOPS]  # sum 1
    sign_rate: F64  # movement of the instantaneous stop per SoC
    bleed_s: F64  # conductance of a balancing resistor
    nominal_v: F64  # OCV at half charge, where self-discharge currents are stated
    capacity_c: Annotated[Floats, CELLS]  # coulomb, with scatter
    r_factor: Annotated[Floats, CELLS]
    soc_offset: Annotated[Floats, CELLS]


@kernel
def along(grid: Floats, row: int, weight: float, knot: int, part: float) -> float:
    """Value of a table [temperature][knot], straight both ways: ``part`` of the way from ``knot`` to the next."""
    low = grid[row, knot] + part * (grid[row, knot + 1] - grid[row, knot])
    if weight == 0.0:
        return float(low)
    high = grid[row + 1, knot] + part * (grid[row + 1, knot + 1] - grid[row + 1, knot])
    return float(low + weight * (high - low))


@kernel
def activated(grids: Floats, row: int, bent: float, knot: int, part: float, values: Floats) -> None:
    """Values of all tables by Arrhenius' law; ``bent`` is the weight of the next temperature on a scale of 1/T."""
    for j in range(len(values)):
        low = grids[j, row, knot] + part * (grids[j, row, knot + 1] - grids[j, row, knot])
        values[j] = low
        if bent > 0.0 and low > 0.0:
            high = grids[j, row + 1, knot] + part * (grids[j, row + 1, knot + 1] - grids[j, row + 1, knot])
            values[j] = low * (high / low) ** bent


def stop_stack() -> tuple[list[float], list[float]]:
    """(movement per gamma dSoC, weight) of each stop; pairs are alike.

    The branch after a full reversal follows 2 (1 - exp(-x)) within 5 % of the half width, in straight pieces between
    the ``STOP_ENDS``: a stop of reach r adds w min(x, 2 r), so w is the change of slope at its end.
    """
    ends = np.array([0.0, *STOP_ENDS])
    branch = 2.0 * (1.0 - np.exp(-ends))
    slopes = np.append(np.diff(branch) / np.diff(ends), 0.0)
    weights = (slopes[:-1] - slopes[1:]) * ends[1:] / 2.0
    return list(np.repeat(2.0 / ends[1:], 2)), list(np.repeat(weights / weights.sum() / 2.0, 2))


def fill(record: CellsParams, pack: PackModel, seed: int) -> None:
    """Fill the params from the pack file; the scatter comes from the run's ``seed`` and the group's number only."""
    cell, parallel = pack.cell, pack.parallel
    rows, points, knots = len(cell.temperatures_degc), len(cell.soc), len(cell.soc_knots)
    record.n_cells, record.n_rows, record.n_points, record.n_knots = pack.series, rows, points, knots
    record.temps_degc[:rows] = cell.temperatures_degc
    record.ocv_v[:rows, :points] = cell.ocv_v
    if cell.docv_dt_v_per_k is not None:
        record.docv_dt_v_per_k[:points] = cell.docv_dt_v_per_k
    record.pairs[PAIRS.index("tau3_s"), :rows, :knots] = 1.0  # of 0 ohm, where the file has no third pair
    for j, name in enumerate(PAIRS):
        grid = getattr(cell, name)
        if grid is not None:
            record.pairs[j, :rows, :knots] = np.array(grid) / (parallel if name.endswith("_ohm") else 1)
    record.m_v[:rows, :knots] = cell.hysteresis.m_v
    record.gamma[:rows], record.m0_v[:rows] = cell.hysteresis.gamma, cell.hysteresis.m0_v
    record.efficiency[:rows] = cell.coulombic_efficiency
    record.stop_rate[:], record.stop_weight[:] = stop_stack()
    record.sign_rate = 2.0 / SIGN_WIDTH
    record.bleed_s = 1.0 / pack.balancing.resistance
    record.nominal_v = cell.ocv_v[0][points // 2]
    scatter = pack.group_scatter
    stream = stream_seed(seed, "plant.scatter")
    for c in range(pack.series):
        draw = [normal(stream, channel, 0, c) for channel in (CAPACITY_CHANNEL, RESISTANCE_CHANNEL, SOC_CHANNEL)]
        capacity = max(1.0 + scatter.capacity_sigma * draw[0], LEAST_FACTOR)
        record.capacity_c[c] = pack.capacity_ah * 3600.0 * capacity
        record.r_factor[c] = max(1.0 + scatter.resistance_sigma * draw[1], LEAST_FACTOR)
        record.soc_offset[c] = scatter.soc_sigma * draw[2]
