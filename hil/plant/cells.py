"""Electrochemistry of the groups in series, in a form of its own.

Polarisation is three charge stores fed by the cell current and leaking through their resistor (q' = i - q / tau,
v = q R / tau), stepped by the implicit midpoint rule, which keeps the energy balance exact. Hysteresis is a stack of
stop operators (Prandtl 1928, Ishlinskii 1944; Brokate and Sprekels, Hysteresis and Phase Transitions, 1996, ch. 2).
Their weights give the exponential major loop of the cell file; at rest one of each pair leans either way, so that
the first move in any direction follows the file's exponential too; minor loops close; a last narrow stop is the
instantaneous part. The OCV is read every step, by pieces; the resistances change slowly and are read by ``refresh``.
"""

import math
from typing import Annotated

from hil.kernel import F64, I64, Floats, Ints, Ints32, kernel
from hil.plant.tables import STOPS, CellsParams, activated, along
from hil.tick import CELLS

KELVIN = 273.15
READ_AGAIN_K, READ_AGAIN_SOC = 0.01, 1e-4  # how far a group moves before its tables are read again


class CellsState:
    """The groups. Charges in C, ``soc`` is the true one; ``*_j`` are energies since ``begin``."""

    soc: Annotated[Floats, CELLS]
    q1_c: Annotated[Floats, CELLS]
    q2_c: Annotated[Floats, CELLS]
    q3_c: Annotated[Floats, CELLS]
    stop: Annotated[Floats, STOPS, CELLS]  # -1 after discharge .. +1 after charge
    sign: Annotated[Floats, CELLS]  # instantaneous part, -1 .. +1
    read_degc: Annotated[Floats, CELLS]  # where ``refresh`` last read the tables
    read_soc: Annotated[Floats, CELLS]
    row: Annotated[Ints, CELLS]  # temperature row of the tables
    row_weight: Annotated[Floats, CELLS]
    r0_ohm: Annotated[Floats, CELLS]
    s1_per_f: Annotated[Floats, CELLS]  # R1 / tau1
    leak1_hz: Annotated[Floats, CELLS]  # 1 / tau1
    s2_per_f: Annotated[Floats, CELLS]
    leak2_hz: Annotated[Floats, CELLS]
    s3_per_f: Annotated[Floats, CELLS]
    leak3_hz: Annotated[Floats, CELLS]
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
    parallel_s: Annotated[Floats, CELLS]  # internal short, self-discharge and balancing resistor in force
    joint_ohm: Annotated[Floats, CELLS]  # extra resistance of the busbar joint on its plus side, inside its sense wires
    bleed_share: Annotated[Floats, CELLS]  # share of the balancing resistor in parallel_s
    divider: Annotated[Floats, CELLS]  # 1 / (1 + R0 parallel_s)
    heat_j: Annotated[Floats, CELLS]  # made since the thermal chain last took it
    chemical_j: Annotated[Floats, CELLS]  # released (negative: taken up)
    made_j: Annotated[Floats, CELLS]  # heat in the group
    bleed_j: Annotated[Floats, CELLS]  # made in the balancing resistor
    joint_j: Annotated[Floats, CELLS]  # made in the joint, of what was delivered; half of it warms either neighbour
    delivered_j: Annotated[Floats, CELLS]  # into the stack's circuit
    n_joints: I64  # with an extra resistance
    # of the last step, at its middle
    moved: Annotated[Floats, CELLS]  # SoC, then gamma times it
    extra_a: Annotated[Floats, CELLS]  # through parallel_s
    stored_a: Annotated[Floats, CELLS]  # current that changed the SoC
    polarised_v: Annotated[Floats, CELLS]
    leaked_w: Annotated[Floats, CELLS]
    before_v: Annotated[Floats, CELLS]  # hysteresis at its start
    values: Annotated[Floats, 7]  # of the tables last read
    source_v: F64  # the stack seen from its terminals: voltage and resistance
    source_ohm: F64
    throughput_c: F64  # through the terminals of the stack, signed


@kernel
def refresh(s: CellsState, p: CellsParams, temperature_degc: Floats) -> None:
    """Read the slow tables of every group that has moved by READ_AGAIN_K or READ_AGAIN_SOC since it last did so.

    With the A123 cell that is at most 0.1 % of a resistance. What a new resistance adds to the energy in a polarisation
    store is taken from the heat.
    """
    for c in range(p.n_cells):
        degc = temperature_degc[c]
        if abs(degc - s.read_degc[c]) < READ_AGAIN_K and abs(s.soc[c] - s.read_soc[c]) < READ_AGAIN_SOC:
            continue
        stored_j = _stored_j(s, c)
        _read(s, p, c, degc)
        stored_j -= _stored_j(s, c)
        s.heat_j[c] += stored_j
        s.made_j[c] += stored_j


@kernel
def _stored_j(s: CellsState, c: int) -> float:
    """Energy in the polarisation stores of a group, J."""
    first = s.s1_per_f[c] * s.q1_c[c] * s.q1_c[c]
    return float(0.5 * (first + s.s2_per_f[c] * s.q2_c[c] * s.q2_c[c] + s.s3_per_f[c] * s.q3_c[c] * s.q3_c[c]))


@kernel
def _read(s: CellsState, p: CellsParams, c: int, degc: float) -> None:
    """Read all tables for one group's SoC and temperature, then its OCV, hysteresis and EMF as they stand."""
    row, weight, bent = 0, 0.0, 0.0
    while row < p.n_rows - 2 and degc >= p.temps_degc[row + 1]:
        row += 1
    if p.n_rows > 1:
        cold, warm = p.temps_degc[row], p.temps_degc[row + 1]
        weight = min(max((degc - cold) / (warm - cold), 0.0), 1.0)
        bent = weight * (warm + KELVIN) / (cold + weight * (warm - cold) + KELVIN)
    at = min(max(s.soc[c], 0.0), 1.0) * (p.n_knots - 1)
    knot = min(int(at), p.n_knots - 2)
    part = at - knot
    s.read_degc[c], s.read_soc[c] = degc, s.soc[c]
    s.row[c], s.row_weight[c] = row, weight
    factor, x = p.r_factor[c], s.values
    activated(p.pairs, row, bent, knot, part, x)
    s.r0_ohm[c] = factor * x[0]
    s.s1_per_f[c], s.leak1_hz[c] = factor * x[1] / x[2], 1.0 / x[2]
    s.s2_per_f[c], s.leak2_hz[c] = factor * x[3] / x[4], 1.0 / x[4]
    s.s3_per_f[c], s.leak3_hz[c] = factor * x[5] / x[6], 1.0 / x[6]
    s.m_v[c] = along(p.m_v, row, weight, knot, part)
    high = min(row + 1, p.n_rows - 1)
    s.gamma[c] = p.gamma[row] + weight * (p.gamma[high] - p.gamma[row])
    s.m0_v[c] = p.m0_v[row] + weight * (p.m0_v[high] - p.m0_v[row])
    s.efficiency[c] = p.efficiency[row] + weight * (p.efficiency[high] - p.efficiency[row])
    point = int(min(max(s.soc[c], 0.0), 1.0) * (p.n_points - 1) + 0.5)
    s.entropic_v[c] = (degc + KELVIN) * p.docv_dt_v_per_k[point]
    _find_piece(s, p, c)
    s.ocv_v[c] = s.piece_v[c] + s.piece_slope_v[c] * s.soc[c]
    s.hysteresis_v[c] = s.m0_v[c] * s.sign[c]
    for j in range(STOPS):
        s.hysteresis_v[c] += s.m_v[c] * p.stop_weight[j] * s.stop[j, c]
    s.emf_v[c] = s.ocv_v[c] + s.hysteresis_v[c] - _polarisation_v(s, c)


@kernel
def _polarisation_v(s: CellsState, c: int) -> float:
    """Voltage of the three polarisation stores of a group."""
    return float(s.s1_per_f[c] * s.q1_c[c] + s.s2_per_f[c] * s.q2_c[c] + s.s3_per_f[c] * s.q3_c[c])


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
def latch(s: CellsState, p: CellsParams, bleed: Ints32, row: Floats, columns: Ints, broken_s: Floats) -> None:
    """Take faults and balancing switches, in force from now on; with ``source`` after.

    ``columns``: the row's first column of shorts (S), self-discharge (A at half charge) and joint resistances (ohm).
    ``broken_s``: conductance of each separator that has given way.
    """
    shorts, leaks, joints = columns[0], columns[1], columns[2]
    ohms, s.n_joints = 0.0, 0
    for c in range(p.n_cells):
        inner = row[shorts + c] + row[leaks + c] / p.nominal_v + broken_s[c]
        parallel = inner + (p.bleed_s if bleed[c] != 0 else 0.0)
        s.bleed_share[c] = (parallel - inner) / parallel if parallel > 0.0 else 0.0
        s.parallel_s[c] = parallel
        s.divider[c] = 1.0 / (1.0 + s.r0_ohm[c] * parallel)
        joint = row[joints + c]
        s.joint_ohm[c] = joint
        s.n_joints += 1 if joint > 0.0 else 0
    for c in range(p.n_cells):
        ohms += s.r0_ohm[c] * s.divider[c] + s.joint_ohm[c]
    s.source_ohm = ohms


@kernel
def terminal(s: CellsState, index: int, current_a: float) -> float:
    """Voltage between a group's sense wires at this instant with ``current_a`` through the stack, V."""
    inner_v = (s.emf_v[index] - s.r0_ohm[index] * current_a) * s.divider[index]
    return float(inner_v - s.joint_ohm[index] * current_a)


@kernel
def advance(s: CellsState, p: CellsParams, dt_s: float, mean_a: float, mean_a2: float) -> None:
    """Integrate over ``dt_s``: ``mean_a`` the mean stack current, ``mean_a2`` the mean of its square.

    Energies are booked at the middle of the step. The passes are apart because each alone runs four groups at a time.
    """
    _move(s, p, dt_s, mean_a)
    _turn(s, p)
    _read_ocv(s, p)
    _book(s, p, dt_s, mean_a, mean_a2)
    if s.n_joints > 0:
        _join(s, p, mean_a2 * dt_s)
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
        middle3 = (s.q3_c[c] + half * current) / (1.0 + half * s.leak3_hz[c])
        s.q1_c[c] = 2.0 * middle1 - s.q1_c[c]
        s.q2_c[c] = 2.0 * middle2 - s.q2_c[c]
        s.q3_c[c] = 2.0 * middle3 - s.q3_c[c]
        v1, v2, v3 = s.s1_per_f[c] * middle1, s.s2_per_f[c] * middle2, s.s3_per_f[c] * middle3
        s.soc[c] += moved
        s.moved[c] = moved
        s.extra_a[c], s.stored_a[c] = extra, stored
        s.polarised_v[c] = v1 + v2 + v3
        s.leaked_w[c] = v1 * s.leak1_hz[c] * middle1 + v2 * s.leak2_hz[c] * middle2 + v3 * s.leak3_hz[c] * middle3


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
    low = along(p.ocv_v, row, weight, point, 0.0)
    high = along(p.ocv_v, row, weight, point, 1.0)
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
        s.emf_v[c] = ocv + s.hysteresis_v[c] - _polarisation_v(s, c)
        aside_w = extra * (inner - r0 * current)
        made_w = r0 * (mean_a2 + extra * (mean_a + current)) + s.leaked_w[c] - current * (middle_h + s.entropic_v[c])
        made_w += (stored - current) * middle_ocv + aside_w * (1.0 - s.bleed_share[c])
        s.heat_j[c] += made_w * dt_s
        s.made_j[c] += made_w * dt_s
        s.bleed_j[c] += aside_w * s.bleed_share[c] * dt_s
        s.delivered_j[c] += (mean_a * inner - r0 * (mean_a2 + mean_a * extra)) * dt_s
        s.chemical_j[c] += (stored * middle_ocv - current * s.entropic_v[c]) * dt_s


@kernel
def _join(s: CellsState, p: CellsParams, square_a2s: float) -> None:
    """Heat of the joints by the integral of the squared current; a joint lies between two groups, the last at the end."""
    for c in range(p.n_cells):
        made_j = s.joint_ohm[c] * square_a2s
        s.joint_j[c] += made_j
        s.heat_j[c] += 0.5 * made_j
        s.heat_j[min(c + 1, p.n_cells - 1)] += 0.5 * made_j


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
        total += _stored_j(s, c)
    return total


@kernel
def begin(s: CellsState, p: CellsParams, soc: float, temperature_degc: Floats) -> None:
    """Put all groups of a zeroed state at rest at ``soc`` plus their scatter, on the middle of the hysteresis."""
    ohms = 0.0
    for c in range(p.n_cells):
        s.soc[c] = min(max(soc + p.soc_offset[c], 0.0), 1.0)
        s.divider[c], s.read_degc[c] = 1.0, math.inf
        for j in range(STOPS):
            s.stop[j, c] = 1.0 if j % 2 == 0 else -1.0
    refresh(s, p, temperature_degc)
    for c in range(p.n_cells):
        ohms += s.r0_ohm[c]
    s.source_ohm = ohms
    source(s, p)
