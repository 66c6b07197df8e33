"""Electrochemistry of the groups in series, in a form of its own.

Polarisation is two charge stores fed by the cell current and leaking through their resistor (q' = i - q / tau,
v = q R / tau), stepped by the implicit midpoint rule, which keeps the energy balance exact. Hysteresis is a stack of
stop operators (Prandtl 1928, Ishlinskii 1944; Brokate and Sprekels, Hysteresis and Phase Transitions, 1996, ch. 2).
Their weights give the exponential major loop of the cell file; at rest one of each pair leans either way, so that
the first move in any direction follows the file's exponential too; minor loops close; a last narrow stop is the
instantaneous part. The OCV is read every step, by pieces; the resistances change slowly and are read by ``refresh``.
"""

import math
from typing import Annotated

import numpy as np

from hil.files.cell import MOST_KNOTS, MOST_SOC_POINTS, MOST_TEMPERATURES
from hil.files.pack import PackModel
from hil.kernel import F64, I64, Floats, Ints, Ints32, kernel, normal, stream_seed
from hil.tick import CELLS

STOPS = 12  # pairs of the STOP_ENDS below
STOP_ENDS = (0.22, 0.55, 1.0, 1.65, 2.6, 4.6)  # where the straight pieces of 2 (1 - exp(-x)) end, x = gamma dSoC
SIGN_WIDTH = 2e-5  # SoC over which the instantaneous part of the hysteresis turns round
KELVIN = 273.15
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
    r0_ohm: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]  # of a nominal group, like the next ones
    r1_ohm: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]
    tau1_s: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]
    r2_ohm: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]
    tau2_s: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]
    m_v: Annotated[Floats, MOST_TEMPERATURES, MOST_KNOTS]
    gamma: Annotated[Floats, MOST_TEMPERATURES]
    m0_v: Annotated[Floats, MOST_TEMPERATURES]
    efficiency: Annotated[Floats, MOST_TEMPERATURES]
    stop_rate: Annotated[Floats, STOPS]  # stop movement per gamma dSoC
    stop_weight: Annotated[Floats, STOPS]  # sum 1
    sign_rate: F64  # movement of the instantaneous stop per SoC
    bleed_s: F64  # conductance of a balancing resistor
    capacity_c: Annotated[Floats, CELLS]  # coulomb, with scatter
    r_factor: Annotated[Floats, CELLS]
    soc_offset: Annotated[Floats, CELLS]


class CellsState:
    """The groups. Charges in C, ``soc`` is the true one; ``*_j`` are energies since ``begin``."""

    soc: Annotated[Floats, CELLS]
    q1_c: Annotated[Floats, CELLS]
    q2_c: Annotated[Floats, CELLS]
    stop: Annotated[Floats, STOPS, CELLS]  # -1 after discharge .. +1 after charge
    sign: Annotated[Floats, CELLS]  # instantaneous part, -1 .. +1
    row: Annotated[Ints, CELLS]  # temperature row of the tables, from ``refresh``
    row_weight: Annotated[Floats, CELLS]
    r0_ohm: Annotated[Floats, CELLS]
    s1_per_f: Annotated[Floats, CELLS]  # R1 / tau1
    leak1_hz: Annotated[Floats, CELLS]  # 1 / tau1
    s2_per_f: Annotated[Floats, CELLS]
    leak2_hz: Annotated[Floats, CELLS]
    m_v: Annotated[Floats, CELLS]
    m0_v: Annotated[Floats, CELLS]
    gamma: Annotated[Floats, CELLS]
    efficiency: Annotated[Floats, CELLS]
    entropic_v: Annotated[Floats, CELLS]  # T dOCV/dT
    ocv_v: Annotated[Floats, CELLS]
    piece_v: Annotated[Floats, CELLS]  # OCV = piece_v + piece_slope_v * soc from piece_from up to piece_to
    piece_slope_v: Annotated[Floats, CELLS]
    piece_from: Annotated[Floats, CELLS]
    piece_to: Annotated[Floats, CELLS]
    hysteresis_v: Annotated[Floats, CELLS]
    emf_v: Annotated[Floats, CELLS]  # OCV + hysteresis - polarisation: the terminal voltage without R0
    parallel_s: Annotated[Floats, CELLS]  # internal short plus balancing resistor in force
    bleed_share: Annotated[Floats, CELLS]  # share of the balancing resistor in parallel_s
    divider: Annotated[Floats, CELLS]  # 1 / (1 + R0 parallel_s)
    heat_j: Annotated[Floats, CELLS]  # made since the thermal chain last took it
    chemical_j: Annotated[Floats, CELLS]  # released (negative: taken up)
    made_j: Annotated[Floats, CELLS]  # heat in the group
    bleed_j: Annotated[Floats, CELLS]  # made in the balancing resistor
    delivered_j: Annotated[Floats, CELLS]  # into the stack's circuit
    # of the last step, at its middle
    moved: Annotated[Floats, CELLS]  # SoC, then gamma times it
    extra_a: Annotated[Floats, CELLS]  # through parallel_s
    stored_a: Annotated[Floats, CELLS]  # current that changed the SoC
    polarised_v: Annotated[Floats, CELLS]
    leaked_w: Annotated[Floats, CELLS]
    before_v: Annotated[Floats, CELLS]  # hysteresis at its start
    source_v: F64  # the stack seen from its terminals: voltage and resistance
    source_ohm: F64
    throughput_c: F64  # through the terminals of the stack, signed


@kernel
def _along(grid: Floats, row: int, weight: float, knot: int, part: float) -> float:
    """Bilinear value of a table [temperature][knot]."""
    low = grid[row, knot] + part * (grid[row, knot + 1] - grid[row, knot])
    if weight == 0.0:
        return float(low)
    high = grid[row + 1, knot] + part * (grid[row + 1, knot + 1] - grid[row + 1, knot])
    return float(low + weight * (high - low))


@kernel
def refresh(s: CellsState, p: CellsParams, temperature_degc: Floats) -> None:
    """Read all slow tables for the SoC and temperature of each group; held flat outside the tables."""
    last = p.n_knots - 1
    for c in range(p.n_cells):
        degc = temperature_degc[c]
        row, weight = 0, 0.0
        while row < p.n_rows - 2 and degc >= p.temps_degc[row + 1]:
            row += 1
        if p.n_rows > 1:
            weight = (degc - p.temps_degc[row]) / (p.temps_degc[row + 1] - p.temps_degc[row])
            weight = min(max(weight, 0.0), 1.0)
        x = min(max(s.soc[c], 0.0), 1.0) * last
        knot = min(int(x), last - 1)
        part = x - knot
        s.row[c], s.row_weight[c] = row, weight
        factor = p.r_factor[c]
        s.r0_ohm[c] = factor * _along(p.r0_ohm, row, weight, knot, part)
        s.leak1_hz[c] = 1.0 / _along(p.tau1_s, row, weight, knot, part)
        s.leak2_hz[c] = 1.0 / _along(p.tau2_s, row, weight, knot, part)
        s.s1_per_f[c] = factor * _along(p.r1_ohm, row, weight, knot, part) * s.leak1_hz[c]
        s.s2_per_f[c] = factor * _along(p.r2_ohm, row, weight, knot, part) * s.leak2_hz[c]
        s.m_v[c] = _along(p.m_v, row, weight, knot, part)
        high = min(row + 1, p.n_rows - 1)
        s.gamma[c] = p.gamma[row] + weight * (p.gamma[high] - p.gamma[row])
        s.m0_v[c] = p.m0_v[row] + weight * (p.m0_v[high] - p.m0_v[row])
        s.efficiency[c] = p.efficiency[row] + weight * (p.efficiency[high] - p.efficiency[row])
        point = min(int(min(max(s.soc[c], 0.0), 1.0) * (p.n_points - 1) + 0.5), p.n_points - 1)
        s.entropic_v[c] = (degc + KELVIN) * p.docv_dt_v_per_k[point]
    _reread(s, p)


@kernel
def _reread(s: CellsState, p: CellsParams) -> None:
    """OCV, hysteresis and EMF from the state as it stands."""
    for c in range(p.n_cells):
        _find_piece(s, p, c)
        s.ocv_v[c] = s.piece_v[c] + s.piece_slope_v[c] * s.soc[c]
        s.hysteresis_v[c] = s.m0_v[c] * s.sign[c]
        for j in range(STOPS):
            s.hysteresis_v[c] += s.m_v[c] * p.stop_weight[j] * s.stop[j, c]
        s.emf_v[c] = s.ocv_v[c] + s.hysteresis_v[c] - s.s1_per_f[c] * s.q1_c[c] - s.s2_per_f[c] * s.q2_c[c]


@kernel
def source(s: CellsState, p: CellsParams) -> None:
    """Thevenin voltage of the stack with its shorts and balancing resistors, from the EMFs as they stand.

    Four partial sums in a fixed order, because one chain of additions would take longer than all the rest.
    """
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = p.n_cells - p.n_cells % 4
    for k in range(0, whole, 4):
        a += s.emf_v[k] * s.divider[k]
        b += s.emf_v[k + 1] * s.divider[k + 1]
        c += s.emf_v[k + 2] * s.divider[k + 2]
        d += s.emf_v[k + 3] * s.divider[k + 3]
    for k in range(whole, p.n_cells):
        a += s.emf_v[k] * s.divider[k]
    s.source_v = (a + b) + (c + d)


@kernel
def latch(s: CellsState, p: CellsParams, bleed: Ints32, row: Floats, column: int) -> None:
    """Take shorts (``row`` from ``column``, S) and balancing switches, in force from now on; with ``source`` after."""
    for c in range(p.n_cells):
        short = row[column + c]
        parallel = short + (p.bleed_s if bleed[c] != 0 else 0.0)
        s.bleed_share[c] = (parallel - short) / parallel if parallel > 0.0 else 0.0
        s.parallel_s[c] = parallel
        s.divider[c] = 1.0 / (1.0 + s.r0_ohm[c] * parallel)
    ohms = 0.0
    for c in range(p.n_cells):
        ohms += s.r0_ohm[c] * s.divider[c]
    s.source_ohm = ohms


@kernel
def terminal(s: CellsState, index: int, current_a: float) -> float:
    """Terminal voltage of a group at this instant with ``current_a`` through the stack, V."""
    return float((s.emf_v[index] - s.r0_ohm[index] * current_a) * s.divider[index])


@kernel
def advance(s: CellsState, p: CellsParams, dt_s: float, mean_a: float, mean_a2: float) -> None:
    """Integrate over ``dt_s``: ``mean_a`` the mean stack current, ``mean_a2`` the mean of its square.

    Energies are booked at the middle of the step. The passes are apart because each alone runs four groups at a time.
    """
    _move(s, p, dt_s, mean_a)
    _turn(s, p)
    _read_ocv(s, p)
    _book(s, p, dt_s, mean_a, mean_a2)
    s.throughput_c += mean_a * dt_s


@kernel
def _move(s: CellsState, p: CellsParams, dt_s: float, mean_a: float) -> None:
    """Currents of the groups, SoC, polarisation by the implicit midpoint rule; leaves the middle of the step behind."""
    half = 0.5 * dt_s
    for c in range(p.n_cells):
        extra = s.parallel_s[c] * s.divider[c] * (s.emf_v[c] - s.r0_ohm[c] * mean_a)
        current = mean_a + extra
        stored = current * s.efficiency[c] if current < 0.0 else current
        moved = -stored * dt_s / p.capacity_c[c]
        middle1 = (s.q1_c[c] + half * current) / (1.0 + half * s.leak1_hz[c])
        middle2 = (s.q2_c[c] + half * current) / (1.0 + half * s.leak2_hz[c])
        s.q1_c[c] = 2.0 * middle1 - s.q1_c[c]
        s.q2_c[c] = 2.0 * middle2 - s.q2_c[c]
        v1, v2 = s.s1_per_f[c] * middle1, s.s2_per_f[c] * middle2
        s.soc[c] += moved
        s.moved[c] = moved
        s.extra_a[c], s.stored_a[c] = extra, stored
        s.polarised_v[c] = v1 + v2
        s.leaked_w[c] = v1 * s.leak1_hz[c] * middle1 + v2 * s.leak2_hz[c] * middle2


@kernel
def _turn(s: CellsState, p: CellsParams) -> None:
    """Move the stops by the SoC moved (charging positive); ``before_v`` keeps the hysteresis voltage so far."""
    for c in range(p.n_cells):
        s.before_v[c] = s.hysteresis_v[c]
        sign = _held(s.sign[c] + s.moved[c] * p.sign_rate)
        s.sign[c] = sign
        s.hysteresis_v[c] = s.m0_v[c] * sign
        s.moved[c] *= s.gamma[c]
    for j in range(0, STOPS, 4):
        _turn_four(s, p, j)


@kernel
def _turn_four(s: CellsState, p: CellsParams, j: int) -> None:
    """Four stops of every group by ``moved`` (now gamma dSoC); four in a pass save three quarters of the traffic."""
    rate0, rate1, rate2, rate3 = p.stop_rate[j], p.stop_rate[j + 1], p.stop_rate[j + 2], p.stop_rate[j + 3]
    part0, part1, part2, part3 = p.stop_weight[j], p.stop_weight[j + 1], p.stop_weight[j + 2], p.stop_weight[j + 3]
    for c in range(p.n_cells):
        step = s.moved[c]
        at0 = _held(s.stop[j, c] + step * rate0)
        at1 = _held(s.stop[j + 1, c] + step * rate1)
        at2 = _held(s.stop[j + 2, c] + step * rate2)
        at3 = _held(s.stop[j + 3, c] + step * rate3)
        s.stop[j, c] = at0
        s.stop[j + 1, c] = at1
        s.stop[j + 2, c] = at2
        s.stop[j + 3, c] = at3
        s.hysteresis_v[c] += s.m_v[c] * ((part0 * at0 + part1 * at1) + (part2 * at2 + part3 * at3))


@kernel
def _held(x: float) -> float:
    """``x`` held between -1 and 1."""
    low = 1.0 if x > 1.0 else x
    return -1.0 if low < -1.0 else low


@kernel
def _read_ocv(s: CellsState, p: CellsParams) -> None:
    """Go to another piece of the OCV where the SoC has left the one in use."""
    for c in range(p.n_cells):
        if s.soc[c] < s.piece_from[c] or s.soc[c] >= s.piece_to[c]:
            _find_piece(s, p, c)


@kernel
def _find_piece(s: CellsState, p: CellsParams, index: int) -> None:
    """The straight piece of the OCV that holds at the group's SoC; the first and last reach on for ever."""
    steps = p.n_points - 1
    point = min(max(int(s.soc[index] * steps), 0), steps - 1)
    row, weight = s.row[index], s.row_weight[index]
    low = _along(p.ocv_v, row, weight, point, 0.0)
    high = _along(p.ocv_v, row, weight, point, 1.0)
    s.piece_slope_v[index] = (high - low) * steps
    s.piece_v[index] = low - (high - low) * point
    s.piece_from[index] = point / steps if point > 0 else -math.inf
    s.piece_to[index] = (point + 1) / steps if point < steps - 1 else math.inf


@kernel
def _book(s: CellsState, p: CellsParams, dt_s: float, mean_a: float, mean_a2: float) -> None:
    """New OCV and EMF, and where the energy of the step went."""
    for c in range(p.n_cells):
        r0, extra, stored = s.r0_ohm[c], s.extra_a[c], s.stored_a[c]
        current = mean_a + extra
        ocv = s.piece_v[c] + s.piece_slope_v[c] * s.soc[c]
        middle_ocv = 0.5 * (ocv + s.ocv_v[c])
        middle_h = 0.5 * (s.hysteresis_v[c] + s.before_v[c])
        inner = middle_ocv + middle_h - s.polarised_v[c]
        s.ocv_v[c] = ocv
        s.emf_v[c] = ocv + s.hysteresis_v[c] - s.s1_per_f[c] * s.q1_c[c] - s.s2_per_f[c] * s.q2_c[c]
        aside_w = extra * (inner - r0 * current)
        made_w = r0 * (mean_a2 + extra * (mean_a + current)) + s.leaked_w[c] - current * (middle_h + s.entropic_v[c])
        made_w += (stored - current) * middle_ocv + aside_w * (1.0 - s.bleed_share[c])
        s.heat_j[c] += made_w * dt_s
        s.made_j[c] += made_w * dt_s
        s.bleed_j[c] += aside_w * s.bleed_share[c] * dt_s
        s.delivered_j[c] += (mean_a * inner - r0 * (mean_a2 + mean_a * extra)) * dt_s
        s.chemical_j[c] += (stored * middle_ocv - current * s.entropic_v[c]) * dt_s


@kernel
def total(p: CellsParams, of_groups: Floats) -> float:
    """Sum over the groups, in four partial sums."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = p.n_cells - p.n_cells % 4
    for k in range(0, whole, 4):
        a += of_groups[k]
        b += of_groups[k + 1]
        c += of_groups[k + 2]
        d += of_groups[k + 3]
    for k in range(whole, p.n_cells):
        a += of_groups[k]
    return float((a + b) + (c + d))


@kernel
def polarisation_j(s: CellsState, p: CellsParams) -> float:
    """Energy in the polarisation stores of all groups, J."""
    total = 0.0
    for c in range(p.n_cells):
        total += 0.5 * (s.s1_per_f[c] * s.q1_c[c] ** 2 + s.s2_per_f[c] * s.q2_c[c] ** 2)
    return total


@kernel
def begin(s: CellsState, p: CellsParams, soc: float, temperature_degc: Floats) -> None:
    """Put all groups at rest at ``soc`` plus their scatter, on the middle of the hysteresis, energies 0."""
    ohms = 0.0
    for c in range(p.n_cells):
        s.soc[c] = min(max(soc + p.soc_offset[c], 0.0), 1.0)
        s.q1_c[c], s.q2_c[c], s.sign[c] = 0.0, 0.0, 0.0
        s.parallel_s[c], s.bleed_share[c], s.divider[c] = 0.0, 0.0, 1.0
        s.heat_j[c], s.chemical_j[c], s.made_j[c], s.bleed_j[c], s.delivered_j[c] = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(STOPS):
            s.stop[j, c] = 1.0 if j % 2 == 0 else -1.0
    s.throughput_c = 0.0
    refresh(s, p, temperature_degc)
    for c in range(p.n_cells):
        ohms += s.r0_ohm[c]
    s.source_ohm = ohms
    source(s, p)


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
    for name in ("r0_ohm", "r1_ohm", "r2_ohm"):
        getattr(record, name)[:rows, :knots] = np.array(getattr(cell, name)) / parallel
    for name in ("tau1_s", "tau2_s"):
        getattr(record, name)[:rows, :knots] = getattr(cell, name)
    record.m_v[:rows, :knots] = cell.hysteresis.m_v
    record.gamma[:rows], record.m0_v[:rows] = cell.hysteresis.gamma, cell.hysteresis.m0_v
    record.efficiency[:rows] = cell.coulombic_efficiency
    record.stop_rate[:], record.stop_weight[:] = stop_stack()
    record.sign_rate = 2.0 / SIGN_WIDTH
    record.bleed_s = 1.0 / pack.balancing.resistance
    stream = stream_seed(seed, "plant.scatter")
    for c in range(pack.series):
        draw = [normal(stream, channel, 0, c) for channel in (CAPACITY_CHANNEL, RESISTANCE_CHANNEL, SOC_CHANNEL)]
        capacity = max(1.0 + pack.scatter.capacity_sigma * draw[0], LEAST_FACTOR)
        record.capacity_c[c] = pack.capacity_ah * 3600.0 * capacity
        record.r_factor[c] = max(1.0 + pack.scatter.resistance_sigma * draw[1], LEAST_FACTOR)
        record.soc_offset[c] = pack.scatter.soc_sigma * draw[2]
