"""What happens to a group that gets too hot: decomposition, gas, a vent, a separator that gives way.

Four reactions on one temperature (Hatchard et al. 2001, Kim et al. 2007; numbers and sources in the abuse file). What is
left of reactant j falls by

    SEI, electrolyte   x' = -k x
    anode              x' = -k exp(-z / z_ref) x,   z = z_start + x_start - x
    cathode            x' = -k x (1 - x)

with k = A exp(-E / R T), and the heat is H_j W_j V times the fall, exactly, so that nothing is made that was not there.
Each step is the closed form at the temperature and layer of its start, so x stays within 0 and 1 for any length; it is
halved until it warms the group by at most STEP_K and grows the layer by at most a tenth of z_ref. That puts the
instant of runaway within 0.2 % of a stiff solver's (a test says so).

Below ``cold_degc`` a fresh group would warm itself by less than COLD_K_PER_S and is passed over. With a time constant
of ten minutes to the coolant that leaves out less than a millikelvin.
"""

import math
from typing import Annotated

from hil.files.abuse import AbuseModel, AnodeModel, CathodeModel
from hil.files.pack import PackModel
from hil.kernel import F64, I64, Floats, Ints, kernel
from hil.tick import CELLS

GAS_J_PER_MOL_K = 8.314462618  # CODATA 2018
KELVIN = 273.15
REACTIONS = 4
SEI, ANODE, CATHODE, ELECTROLYTE = 0, 1, 2, 3
STEP_K = 1.0
COLD_K_PER_S = 1e-6
NEVER_DEGC = 1e9


class AbuseParams:
    """Reactions of one group in the order above. ``cold_degc`` is NEVER_DEGC where the pack has no such model."""

    n_cells: I64
    cold_degc: F64
    rate_hz: Annotated[Floats, REACTIONS]
    activation_k: Annotated[Floats, REACTIONS]  # activation energy over the gas constant
    heat_j: Annotated[Floats, REACTIONS]  # of a group, for all of a reactant
    start: Annotated[Floats, REACTIONS]  # left in a fresh cell
    layer: F64  # z_start
    layer_reference: F64
    heat_capacity_j_per_k: F64
    separator_degc: F64
    broken_s: F64  # conductance of a group whose separators gave way
    vent_degc: F64
    gas_mol_per_j: F64
    per_volume_m3: F64  # 1 / free volume, 0 without an enclosure
    breathing_hz: F64
    relief_hz: F64
    opens_pa: F64
    closes_pa: F64


class AbuseState:
    """What is left, what came of it; amounts and energies since ``begin``."""

    left: Annotated[Floats, REACTIONS, CELLS]
    released_j: Annotated[Floats, CELLS]  # heat of the reactions
    broken_s: Annotated[Floats, CELLS]
    vented: Annotated[Ints, CELLS]
    given_mol: Annotated[Floats, CELLS]  # gas that left the group
    n_vented: I64
    power_w: F64  # of all reactions, mean of the last step
    inside_mol: F64  # gas in the enclosure beyond the air
    lost_mol: F64  # that left it
    relief: I64  # valve open
    pressure_pa: F64  # above ambient
    rate_now_hz: Annotated[Floats, REACTIONS]
    left_next: Annotated[Floats, REACTIONS]


@kernel
def advance(s: AbuseState, p: AbuseParams, temperature_degc: Floats, heat_j: Floats, dt_s: float) -> None:
    """React over ``dt_s`` from the temperatures as they stand; the heat is added to ``heat_j`` of each group."""
    total_j = 0.0
    for c in range(p.n_cells):
        if temperature_degc[c] >= p.cold_degc:
            made_j = _react(s, p, c, temperature_degc[c] + KELVIN, dt_s)
            heat_j[c] += made_j
            s.released_j[c] += made_j
            total_j += made_j
    s.power_w = total_j / dt_s


@kernel
def _react(s: AbuseState, p: AbuseParams, c: int, kelvin: float, dt_s: float) -> float:
    """React one group over ``dt_s`` in steps that keep their limits; the heat made, J."""
    most_j, most_layer = STEP_K * p.heat_capacity_j_per_k, 0.1 * p.layer_reference
    made_j, to_do_s, step_s = 0.0, dt_s, dt_s
    while to_do_s > 0.0:
        step_s = min(step_s, to_do_s)
        _rates(s, p, c, kelvin)
        heat_j = _try(s, p, c, step_s)
        while (heat_j > most_j or s.left[ANODE, c] - s.left_next[ANODE] > most_layer) and step_s > 1e-9:
            step_s *= 0.5
            heat_j = _try(s, p, c, step_s)
        for k in range(REACTIONS):
            s.left[k, c] = s.left_next[k]
        made_j += heat_j
        kelvin += heat_j / p.heat_capacity_j_per_k
        to_do_s -= step_s
        step_s *= 2.0
    return made_j


@kernel
def _rates(s: AbuseState, p: AbuseParams, c: int, kelvin: float) -> None:
    """Rate constants at a temperature into ``rate_now_hz``, the anode's behind its layer."""
    for k in range(REACTIONS):
        s.rate_now_hz[k] = p.rate_hz[k] * math.exp(-p.activation_k[k] / kelvin)
    layer = p.layer + p.start[ANODE] - s.left[ANODE, c]
    s.rate_now_hz[ANODE] *= math.exp(-layer / p.layer_reference)


@kernel
def _try(s: AbuseState, p: AbuseParams, c: int, dt_s: float) -> float:
    """What would be left after ``dt_s`` at constant rates, into ``left_next``; the heat that would make, J."""
    heat_j = 0.0
    for k in range(REACTIONS):
        left = s.left[k, c]
        kept = math.exp(-s.rate_now_hz[k] * dt_s)
        s.left_next[k] = left * kept / (1.0 - left + left * kept) if k == CATHODE else left * kept
        heat_j += p.heat_j[k] * (left - s.left_next[k])
    return heat_j


@kernel
def settle(s: AbuseState, p: AbuseParams, temperature_degc: Floats, ambient_degc: float, dt_s: float) -> None:
    """Open vents and break separators of groups that are hot enough; bring the enclosure's gas over ``dt_s``.

    A vented group gives off all gas of the heat so far, later as it comes. The gas is ideal and as warm as the
    coolant: p = n R T / V above ambient. It leaves in proportion to what is inside.
    """
    made_mol = 0.0
    for c in range(p.n_cells):
        if temperature_degc[c] >= p.separator_degc:
            s.broken_s[c] = p.broken_s
        if temperature_degc[c] >= p.vent_degc and s.vented[c] == 0:
            s.vented[c] = 1
            s.n_vented += 1
        if s.vented[c] != 0:
            out_mol = p.gas_mol_per_j * s.released_j[c] - s.given_mol[c]
            s.given_mol[c] += out_mol
            made_mol += out_mol
    if s.n_vented == 0:
        return
    rate_hz = p.breathing_hz + (p.relief_hz if s.relief != 0 else 0.0)
    kept = math.exp(-rate_hz * dt_s)
    before_mol = s.inside_mol
    s.inside_mol = before_mol * kept + made_mol * (1.0 - kept) / (rate_hz * dt_s)
    s.lost_mol += before_mol + made_mol - s.inside_mol
    s.pressure_pa = s.inside_mol * GAS_J_PER_MOL_K * (ambient_degc + KELVIN) * p.per_volume_m3
    if s.pressure_pa > p.opens_pa:
        s.relief = 1
    elif s.pressure_pa < p.closes_pa:
        s.relief = 0


@kernel
def begin(s: AbuseState, p: AbuseParams) -> None:
    """Fresh cells in a zeroed state, an enclosure with nothing but air."""
    for k in range(REACTIONS):
        for c in range(p.n_cells):
            s.left[k, c] = p.start[k]


def fill(record: AbuseParams, pack: PackModel) -> None:
    """Fill the params from the pack file; without an abuse file nothing ever happens."""
    record.n_cells = pack.series
    record.cold_degc = record.separator_degc = record.vent_degc = NEVER_DEGC
    record.breathing_hz = 1.0
    abuse = pack.abuse
    if abuse is None:
        return
    record.heat_capacity_j_per_k = pack.cell.heat_capacity_j_per_k * pack.parallel
    volume_m3 = record.heat_capacity_j_per_k / abuse.volumetric_heat_capacity
    reactions = abuse.reactions
    for k, one in enumerate((reactions.sei, reactions.anode, reactions.cathode, reactions.electrolyte)):
        record.rate_hz[k], record.activation_k[k] = one.rate, one.activation_energy / GAS_J_PER_MOL_K
        record.heat_j[k] = one.heat * one.content * volume_m3
        record.start[k] = 1.0 - one.start if isinstance(one, CathodeModel) else one.start
        if isinstance(one, AnodeModel):
            record.layer, record.layer_reference = one.layer, one.layer_reference
    record.cold_degc = _cold_degc(record)
    _fill_failure(record, pack, abuse)


def _fill_failure(record: AbuseParams, pack: PackModel, abuse: AbuseModel) -> None:
    """Separator, vent and enclosure."""
    whole_j = sum(float(record.heat_j[k] * record.start[k]) for k in range(REACTIONS))
    if abuse.separator is not None:
        half_v = pack.cell.ocv_v[0][len(pack.cell.soc) // 2]
        record.separator_degc = abuse.separator.collapse
        record.broken_s = pack.capacity_ah * 3600.0 / half_v / (abuse.separator.discharge * 1e-9)
    if abuse.vent is not None:
        record.vent_degc = abuse.vent.temperature
        record.gas_mol_per_j = abuse.vent.gas * pack.capacity_ah / whole_j if whole_j > 0.0 else 0.0
    housing = pack.enclosure
    if housing is not None:
        record.per_volume_m3 = 1.0 / housing.free_volume
        record.breathing_hz, record.relief_hz = 1e9 / housing.breathing, 1e9 / housing.relief
        record.opens_pa, record.closes_pa = housing.opens, housing.closes


def _cold_degc(record: AbuseParams) -> float:
    """Where a fresh group begins to warm itself by COLD_K_PER_S, by halving between -100 and 300 degC."""
    low, high = -100.0, 300.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        heat_w = 0.0
        for k in range(REACTIONS):
            left = record.start[k] * (1.0 - record.start[k] if k == CATHODE else 1.0)
            hidden = math.exp(-record.layer / record.layer_reference) if k == ANODE else 1.0
            rate_hz = record.rate_hz[k] * math.exp(-record.activation_k[k] / (middle + KELVIN))
            heat_w += float(record.heat_j[k] * left * hidden * rate_hz)
        if heat_w < COLD_K_PER_S * record.heat_capacity_j_per_k:
            low = middle
        else:
            high = middle
    return low
