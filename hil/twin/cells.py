"""The twin's cell model for any number of cells: RC pairs by exact exponentials, hysteresis, heat and its neighbours.

    v   = OCV(soc, T) + M h - M0 s - R0 i - v1 - v2 - v3    i > 0 discharges, s = sign of the last current not at rest
    vk' = a vk + Rk (1 - a) i                               a = exp(-dt / tauk)
    soc' = soc - eta i dt / Q                               eta = coulombic efficiency in charge, else 1
    h   = sum of stop operators, each moved by the SoC and held at -1 and 1
    q   = i (OCV - v) - i T dOCV/dT                         heat: Bernardi, J. Electrochem. Soc. 132 (1985) 5

Sources: G. Plett, Battery Management Systems vol. 1, Artech House 2015, chapter 2; stop operators (Prandtl, Ishlinskii):
M. Brokate and J. Sprekels, Hysteresis and Phase Transitions, Springer 1996, chapter 2. The current stands still between
two samples.

N cells are an array [block][row][cell of the block] (the rows below): what one block needs lies together and stays in
the processor's nearest cache, so that a million cells cost a million times one. Cell c is [c // BLOCK, row, c % BLOCK].
"""

import math

from hil.kernel import Floats, kernel
from hil.twin.tables import (
    COLDEST_DEGC,
    COLUMNS,
    DECAY1,
    DECAY2,
    DECAY3,
    EFFICIENCY,
    GAIN1,
    GAIN2,
    GAIN3,
    GAMMA,
    KELVIN,
    M0,
    R0,
    ROWS,
    STEP_K,
    STOPS,
    CellTables,
    M,
)

# rows of a block: state, what is set from outside, and what a step leaves
SOC, V1, V2, V3, DEGC, STOP = 0, 1, 2, 3, 4, 5
ASIDE_A = STOP + STOPS  # current of the cell alone: its balancing resistor
PER_COULOMB, GROWTH = ASIDE_A + 1, ASIDE_A + 2  # 1 / capacity; resistance over the nominal one
VOLTAGE, SLOPE = ASIDE_A + 3, ASIDE_A + 4  # terminal voltage; OCV per SoC
CELL_ROWS, BLOCK = ASIDE_A + 5, 96
# rows of the scratch of a block, after the columns of the tables
BY_M0, BY_GAMMA, BY_EFFICIENCY = COLUMNS + M0, COLUMNS + GAMMA, COLUMNS + EFFICIENCY
MOVED, HYSTERESIS, ROW, SHARE, HEAT_W = range(COLUMNS + 3, COLUMNS + 8)
SCRATCH_ROWS = COLUMNS + 8
SOC_LEAST, SOC_MOST = -0.1, 1.1  # the OCV is read on straight lines a little beyond its table, then held


@kernel
def look(t: CellTables, x: Floats, w: Floats, count: int) -> None:
    """Coefficients of ``count`` cells from ``first`` on, at their temperature and SoC."""
    for i in range(count):
        y = min(max((x[DEGC, i] - COLDEST_DEGC) * (1.0 / STEP_K), 0.0), ROWS - 1.0)
        z = min(max(x[SOC, i], 0.0), 1.0) * (t.n_knots - 1)
        row, k = min(int(y), ROWS - 2), min(int(z), t.n_knots - 2)
        a, b = z - k, y - row
        low, low_next, high, high_next = t.at[row, k], t.at[row, k + 1], t.at[row + 1, k], t.at[row + 1, k + 1]
        for j in range(COLUMNS):
            cold = low[j] + a * (low_next[j] - low[j])
            warm = high[j] + a * (high_next[j] - high[j])
            w[j, i] = cold + b * (warm - cold)
        for j in range(3):
            w[COLUMNS + j, i] = t.of_degc[row, j] + b * (t.of_degc[row + 1, j] - t.of_degc[row, j])
        w[ROW, i], w[SHARE, i] = row, b


@kernel
def _move(t: CellTables, x: Floats, w: Floats, count: int, current_a: float) -> None:
    """SoC and polarisation after a step with ``current_a`` through the stack."""
    for i in range(count):
        flow = current_a + x[ASIDE_A, i]
        stored = flow * w[BY_EFFICIENCY, i] if flow < 0.0 else flow
        left = stored * t.dt_s * x[PER_COULOMB, i]
        scaled = flow * x[GROWTH, i]
        x[V1, i] = w[DECAY1, i] * x[V1, i] + w[GAIN1, i] * scaled
        x[V2, i] = w[DECAY2, i] * x[V2, i] + w[GAIN2, i] * scaled
        x[V3, i] = w[DECAY3, i] * x[V3, i] + w[GAIN3, i] * scaled
        x[SOC, i] = min(max(x[SOC, i] - left, SOC_LEAST), SOC_MOST)
        w[MOVED, i] = -left * w[BY_GAMMA, i]


@kernel
def _turn(t: CellTables, x: Floats, w: Floats, count: int) -> None:
    """Stop operators by the SoC moved, and the hysteresis they make."""
    for i in range(count):
        w[HYSTERESIS, i] = 0.0
    for k in range(STOPS):
        rate, weight = t.stop_rate[k], t.stop_weight[k]
        for i in range(count):
            at = min(max(x[STOP + k, i] + w[MOVED, i] * rate, -1.0), 1.0)
            x[STOP + k, i] = at
            w[HYSTERESIS, i] += weight * at


@kernel
def _read(t: CellTables, x: Floats, w: Floats, count: int, current_a: float, sign: float) -> None:
    """Terminal voltage, slope of the OCV, polarisation and heat of a block with ``current_a`` flowing."""
    for i in range(count):
        row, b = int(w[ROW, i]), w[SHARE, i]
        place = x[SOC, i] * (t.n_points - 1)
        p = min(max(int(place), 0), t.n_points - 2)
        low = t.ocv_v[row, p] + b * (t.ocv_v[row + 1, p] - t.ocv_v[row, p])
        high = t.ocv_v[row, p + 1] + b * (t.ocv_v[row + 1, p + 1] - t.ocv_v[row, p + 1])
        ocv = low + (place - p) * (high - low)
        flow = current_a + x[ASIDE_A, i]
        polarisation = w[R0, i] * x[GROWTH, i] * flow + x[V1, i] + x[V2, i] + x[V3, i]
        lag = w[M, i] * w[HYSTERESIS, i] - w[BY_M0, i] * sign
        x[SLOPE, i] = (high - low) * (t.n_points - 1)
        x[VOLTAGE, i] = ocv + lag - polarisation
        w[HEAT_W, i] = flow * (polarisation - lag - (x[DEGC, i] + KELVIN) * t.docv_dt_v_per_k[p])


@kernel
def _warm(
    t: CellTables, x: Floats, w: Floats, count: int, from_left_w: float, right_degc: float, coolant_degc: float
) -> float:
    """Temperatures of a block after a step: heat made, to both neighbours and to the coolant.

    ``from_left_w`` comes from the block before, ``right_degc`` is the first cell of the next one (NaN: none). Returns
    what goes to the next block, W: what one cell loses the other gets.
    """
    share = t.dt_s / t.heat_j_per_k
    for i in range(count):
        here = x[DEGC, i]
        next_degc = x[DEGC, i + 1] if i + 1 < count else right_degc
        to_right_w = t.between_w_per_k * (here - next_degc) if next_degc == next_degc else 0.0
        kept_w = from_left_w - to_right_w - t.coolant_w_per_k * (here - coolant_degc) + w[HEAT_W, i]
        x[DEGC, i] = here + share * kept_w
        from_left_w = to_right_w
    return from_left_w


@kernel
def step(
    t: CellTables,
    x: Floats,
    w: Floats,
    n: int,
    flowed_a: float,
    now_a: float,
    sign: float,
    coolant_degc: float,
    fresh: bool,
) -> None:
    """One step of ``n`` cells: ``flowed_a`` has flowed for ``t.dt_s``, ``now_a`` flows at its end.

    ``x`` [blocks][CELL_ROWS][BLOCK], ``sign`` of the last current not at rest. ``w`` [1 or blocks][SCRATCH_ROWS][BLOCK]:
    one will do for all blocks in turn; with one for each, a step that is not ``fresh`` takes the coefficients that the
    last one left there, because temperature and SoC hardly move in a few ticks.
    """
    flow_w = 0.0
    for first in range(0, n, BLOCK):
        count, block = min(BLOCK, n - first), first // BLOCK
        one, at = x[block], w[block % w.shape[0]]
        if fresh:
            look(t, one, at, count)
        _move(t, one, at, count, flowed_a)
        _turn(t, one, at, count)
        _read(t, one, at, count, now_a, sign)
        right_degc = x[block + 1, DEGC, 0] if first + BLOCK < n else math.nan
        flow_w = _warm(t, one, at, count, flow_w, right_degc, coolant_degc)


@kernel
def read(t: CellTables, x: Floats, w: Floats, n: int, now_a: float, sign: float) -> None:
    """Voltages of ``n`` cells as they stand with ``now_a`` flowing; no time passes."""
    for first in range(0, n, BLOCK):
        count, block = min(BLOCK, n - first), first // BLOCK
        one, at = x[block], w[block % w.shape[0]]
        look(t, one, at, count)
        for i in range(count):
            at[MOVED, i] = 0.0
        _turn(t, one, at, count)
        _read(t, one, at, count, now_a, sign)
