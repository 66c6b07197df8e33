"""State of health, once a tick: capacity from rest to rest, resistance from every step of the current.

Capacity needs a SoC that does not come from counting, else it proves itself. The SoC filter mixes voltage and count, so
its SoC is not used: at a rest the measured voltage less what the model holds for polarisation and hysteresis is an
OCV, and the table read backwards is an *anchor*. Its sigma is half the SoC between OCV - sigma and OCV + sigma: wide
on the plateau of LFP, so that such pairs weigh next to nothing, and narrow at its ends. Between two anchors the
current is counted as measured, without the filter's bias, which has been learned with the nominal capacity.

``Seen`` is what a tick gives. ``residual_v`` leaves out what the SoC is; OCV(soc) + residual is the measured OCV
whatever the SoC believed.
"""

import math
from typing import Any

from hil.kernel import F64, I64, Floats, Rows, kernel
from hil.twin import capacity, resistance
from hil.twin.cells import SOC_LEAST, SOC_MOST
from hil.twin.tables import COLDEST_DEGC, EFFICIENCY, ROWS, STEP_K, CellTables

SEEN = 10  # fields of ``Seen``, in its order
OUT = 8  # outputs, in the order of HealthState from capacity_ah on
WIDEST = 0.289  # sigma of a SoC of which nothing is known: evenly spread over 0..1


class Seen:
    """A tick as the estimators see it; means over the cells whose voltage is known, discharge positive."""

    dt_s: F64  # since the tick before
    flowed_a: F64  # measured current that flowed in it, bleed currents included; NaN: not known
    now_a: F64  # measured current at its end
    degc: F64
    soc: F64  # of the model, as in the prediction
    residual_v: F64  # measured less predicted; NaN: not known
    polarisation_v: F64  # of all RC pairs, in the prediction
    ohmic_v: F64  # drop over R0, in the prediction
    r0_ohm: F64  # nominal R0 at this temperature and SoC
    corrected_v: F64  # what corrections have added to the model's voltage since the tick before


class HealthParams:
    """What a rest is, and how well voltage and charge are known; one standard deviation each."""

    capacity: capacity.CapacityParams
    resistance: resistance.ResistanceParams
    nominal_c: F64  # capacity of the group
    rest_a: F64  # below it a current is rest
    rest_least_s: F64  # shortest rest that gives an anchor
    rest_enough_s: F64  # a rest as long gives it at once, a shorter one at its end
    settled_v: F64  # most polarisation left in an anchor
    average_s: F64  # over which the OCV of a rest is averaged
    ocv_sigma_v: F64  # of the OCV table: the same at every visit
    soc_sigma: F64  # of its SoC, what full and empty are: the same at every visit
    rest_sigma_v: F64  # of a rest: relaxation and hysteresis not modelled, another at each
    zero_sigma_a: F64  # zero of the current
    count_sigma: F64  # of the charge between two anchors, share of nominal, whatever the current was
    efficiency_sigma: F64  # of the coulombic efficiency
    lost_a: F64  # current that may have flowed while it was not known
    move_least: F64  # least charge of a pair, share of nominal
    sharper: F64  # times the sigma of another is a much sharper anchor


class HealthState:
    """The rest that lasts, the last anchor, the charge since, and the estimates."""

    seen: Seen
    capacity: capacity.CapacityState
    resistance: resistance.ResistanceState
    rest_s: F64  # how long it has lasted
    rest_ocv_v: F64  # NaN: none yet
    rest_degc: F64  # temperature then
    rest_spread_v2: F64  # variance of what is another at each rest
    tried: I64  # 1 when this rest has been long enough
    anchored: I64  # 1 when the last anchor is of this rest
    soc: F64  # of the last anchor, NaN: none
    soc_fixed: F64  # its sigma that comes back at every visit
    soc_random2: F64  # its variance that does not
    turned: F64  # sign of the charge of the pair that ended there; 0: none did
    out_c: F64  # since the anchor, efficiency taken into account
    stored_c: F64  # of it by charging
    lost_c: F64
    since_s: F64
    passed_c: F64  # through the cell since the last pair, either way
    capacity_ah: F64
    capacity_sigma_ah: F64
    soh_capacity: F64
    soh_capacity_sigma: F64
    resistance_ohm: F64
    resistance_sigma_ohm: F64
    resistance_growth: F64
    resistance_growth_sigma: F64


def fill(p: Any, capacity_ah: float) -> None:
    """Fill a HealthParams record for a group of ``capacity_ah``.

    Sources: rest below C/50 for ten minutes and 3 mV, chosen: the slow pair of the fitted cells (200 to 2000 s) has
    then to be as good as settled; 4 mV and 4 mV, together the 5 to 8 mV that fits leave at rest; 0.5 % of SoC, chosen,
    for where a slow test ended; zero 0.1 A at 100 Ah (IVT-S class); 0.1 % of efficiency is what is left of a measured one.
    """
    capacity.fill(p["capacity"])
    resistance.fill(p["resistance"], capacity_ah)
    p["nominal_c"] = 3600.0 * capacity_ah
    p["rest_a"], p["rest_least_s"], p["rest_enough_s"] = capacity_ah / 50.0, 600.0, 3600.0
    p["settled_v"], p["average_s"] = 0.003, 60.0
    p["ocv_sigma_v"], p["rest_sigma_v"], p["soc_sigma"] = 0.004, 0.004, 0.005
    p["zero_sigma_a"], p["count_sigma"], p["efficiency_sigma"] = 0.001 * capacity_ah, 5e-4, 1e-3
    p["lost_a"], p["move_least"], p["sharper"] = capacity_ah, 0.15, 2.0


def start(s: Any, p: Any) -> None:
    """Nothing known but the nominal numbers."""
    capacity.start(s["capacity"], p["capacity"])
    resistance.start(s["resistance"], p["resistance"])
    for name in (
        "rest_s",
        "rest_degc",
        "rest_spread_v2",
        "soc_fixed",
        "soc_random2",
        "turned",
        "passed_c",
        "tried",
        "anchored",
    ):
        s[name] = 0
    for name in ("out_c", "stored_c", "lost_c", "since_s"):
        s[name] = 0.0
    s["rest_ocv_v"], s["soc"] = math.nan, math.nan
    s["resistance_ohm"], s["resistance_sigma_ohm"] = math.nan, math.nan
    s["capacity_ah"] = p["nominal_c"] / 3600.0
    s["capacity_sigma_ah"] = s["capacity_ah"] * p["capacity"]["prior_sigma"]
    s["soh_capacity"], s["soh_capacity_sigma"] = 1.0, p["capacity"]["prior_sigma"]
    s["resistance_growth"], s["resistance_growth_sigma"] = 1.0, p["resistance"]["prior_sigma"]


@kernel
def step(s: HealthState, p: HealthParams, t: CellTables) -> None:
    """Take the tick in ``s.seen``; the outputs stand in ``s``, ``capacity_ah`` to ``resistance_growth_sigma``."""
    seen, r = s.seen, s.resistance
    dt_s = seen.dt_s if seen.dt_s > 0.0 else 0.0
    resting = abs(seen.now_a) < p.rest_a
    if not resting and s.rest_s > 0.0:
        if s.rest_ocv_v == s.rest_ocv_v and (s.tried == 0 or s.anchored != 0):
            anchor(s, p, t)
        s.rest_s, s.rest_ocv_v, s.tried, s.anchored = 0.0, math.nan, 0, 0
    count(s, p, t, dt_s)
    if resting:
        rest(s, p, t, dt_s)
    resistance.step(r, p.resistance, dt_s, seen.now_a, seen.residual_v, seen.ohmic_v, seen.r0_ohm, seen.corrected_v)
    s.resistance_growth, s.resistance_growth_sigma = r.growth, r.sigma
    s.resistance_ohm, s.resistance_sigma_ohm = r.growth * seen.r0_ohm, r.sigma * seen.r0_ohm


@kernel
def count(s: HealthState, p: HealthParams, t: CellTables, dt_s: float) -> None:
    """Count the charge of a tick; one whose current is not known is counted as one that may have been lost."""
    charge_c = s.seen.flowed_a * dt_s
    s.since_s += dt_s
    if not math.isfinite(charge_c):
        s.lost_c += p.lost_a * dt_s
        return
    s.passed_c += abs(charge_c)
    if charge_c < 0.0:
        row, share = place(s.seen.degc)
        low, high = t.of_degc[row, EFFICIENCY], t.of_degc[row + 1, EFFICIENCY]
        charge_c *= low + share * (high - low)
        s.stored_c -= charge_c
    s.out_c += charge_c


@kernel
def place(degc: float) -> tuple[int, float]:
    """Row of the tables below ``degc``, and the share of the next one; an unknown temperature is the coldest."""
    y = min(max((degc - COLDEST_DEGC) * (1.0 / STEP_K), 0.0), ROWS - 1.0) if degc == degc else 0.0
    row = min(int(y), ROWS - 2)
    return row, y - row


@kernel
def ocv_at(t: CellTables, row: int, share: float, k: int) -> float:
    """OCV at point ``k`` of the table, V."""
    low: float = t.ocv_v[row, k]
    high: float = t.ocv_v[row + 1, k]
    return low + share * (high - low)


@kernel
def ocv_of(t: CellTables, row: int, share: float, soc: float) -> float:
    """OCV at ``soc``, V; on straight lines beyond the table's ends, as in the cell model."""
    z = min(max(soc, SOC_LEAST), SOC_MOST) * (t.n_points - 1)
    k = min(max(int(z), 0), t.n_points - 2)
    low = ocv_at(t, row, share, k)
    return low + (z - k) * (ocv_at(t, row, share, k + 1) - low)


@kernel
def rest(s: HealthState, p: HealthParams, t: CellTables, dt_s: float) -> None:
    """Go on with a rest: average its OCV once it has settled, and anchor when it has lasted long enough.

    At its end ``step`` reads it again, so that the zero of the current is not counted for a night.
    """
    seen = s.seen
    s.rest_s += dt_s
    settled = s.rest_s >= p.rest_least_s and abs(seen.polarisation_v) < p.settled_v
    if not settled:
        return
    row, share = place(seen.degc)
    ocv_v = ocv_of(t, row, share, seen.soc) + seen.residual_v
    if not math.isfinite(ocv_v) or seen.degc != seen.degc:
        return
    s.rest_degc = seen.degc
    first = s.rest_ocv_v != s.rest_ocv_v
    s.rest_ocv_v = ocv_v if first else s.rest_ocv_v + (ocv_v - s.rest_ocv_v) * dt_s / (dt_s + p.average_s)
    s.rest_spread_v2 = p.rest_sigma_v * p.rest_sigma_v + seen.polarisation_v * seen.polarisation_v
    if s.tried == 0 and s.rest_s >= p.rest_enough_s:
        s.tried = 1
        anchor(s, p, t)


@kernel
def span(t: CellTables, degc: float, low_v: float, high_v: float) -> tuple[float, float]:
    """Least SoC with an OCV of at least ``low_v``, and the most with one of at most ``high_v``.

    All between fits an OCV from ``low_v`` to ``high_v``, also where a table is not monotone. Beyond the table it is
    read on straight lines to the ends of the cell model, and held there.
    """
    row, share = place(degc)
    last = t.n_points - 1
    before, least, most = ocv_at(t, row, share, 0), SOC_MOST, SOC_LEAST
    first_v = before - ocv_at(t, row, share, 1)
    if low_v <= before:
        least = max(min((before - low_v) / first_v / last, 0.0), SOC_LEAST) if first_v < 0.0 else 0.0
    if high_v <= before and first_v < 0.0:
        most = max((before - high_v) / first_v / last, SOC_LEAST)
    for k in range(last):
        after = ocv_at(t, row, share, k + 1)
        if before < low_v <= after and least == SOC_MOST:
            least = (k + (low_v - before) / (after - before)) / last
        if before <= high_v < after:
            most = (k + (high_v - before) / (after - before)) / last
        before = after
    rise = before - ocv_at(t, row, share, last - 1)
    if high_v >= before:
        most = min(1.0 + (high_v - before) / rise / last, SOC_MOST) if rise > 0.0 else 1.0
    if least == SOC_MOST and rise > 0.0:
        least = min(1.0 + (low_v - before) / rise / last, SOC_MOST)
    return least, most


@kernel
def soc_of_rest(s: HealthState, p: HealthParams, t: CellTables) -> tuple[float, float, float]:
    """SoC by the OCV of the rest, its sigma that comes back at every visit, its variance that does not; NaN: none."""
    fixed_v2 = p.ocv_sigma_v * p.ocv_sigma_v
    sigma_v = math.sqrt(fixed_v2 + s.rest_spread_v2)
    least, most = span(t, s.rest_degc, s.rest_ocv_v - sigma_v, s.rest_ocv_v + sigma_v)
    half, soc = 0.5 * (most - least), 0.5 * (most + least)
    share = fixed_v2 / (sigma_v * sigma_v)
    fixed2, random2 = half * half * share + p.soc_sigma * p.soc_sigma, half * half * (1.0 - share)
    if not 0.0 < half <= WIDEST or abs(soc - 0.5) > 0.5 + 2.0 * math.sqrt(fixed2 + random2):
        soc = math.nan
    return soc, math.sqrt(fixed2), random2


@kernel
def anchor(s: HealthState, p: HealthParams, t: CellTables) -> None:
    """Read the SoC off the OCV of the rest; with the anchor before it makes a pair if enough charge has moved.

    A much sharper anchor stays in its place: counting goes on from there until another sharp one comes, or until the
    zero of the current has made it no better. With too little moved only a much sharper one takes its place.
    """
    soc, fixed, random2 = soc_of_rest(s, p, t)
    if soc != soc:
        return
    if s.anchored == 0 and s.soc == s.soc:
        drift = (p.zero_sigma_a * s.since_s + s.lost_c) / p.nominal_c
        known = math.sqrt(s.soc_fixed * s.soc_fixed + s.soc_random2 + drift * drift)
        sigma = math.sqrt(fixed * fixed + random2)
        moved = abs(s.out_c) >= p.move_least * p.nominal_c
        if moved:
            pair(s, p, soc, fixed, random2)
        if sigma > (known * p.sharper if moved else known / p.sharper):
            return
        s.turned = math.copysign(1.0, s.out_c) if moved else 0.0
    s.anchored = 1
    s.soc, s.soc_fixed, s.soc_random2 = soc, fixed, random2
    s.out_c, s.stored_c, s.lost_c, s.since_s = 0.0, 0.0, 0.0, 0.0


@kernel
def pair(s: HealthState, p: HealthParams, soc: float, fixed: float, random2: float) -> None:
    """Give the capacity what has moved since the anchor before.

    An anchor is in two pairs. When the charge has turned round there, its error pulls both the same way, and the
    variance of the two together is twice what it would be from two anchors: the later pair counts it three times.
    """
    times = 3.0 if s.turned * s.out_c < 0.0 else 1.0
    fixed2 = s.soc_fixed * s.soc_fixed + fixed * fixed
    zero = p.zero_sigma_a * s.since_s / p.nominal_c
    lost, stored = s.lost_c / p.nominal_c, p.efficiency_sigma * s.stored_c / p.nominal_c
    sigma_x = math.sqrt(fixed2 + times * s.soc_random2 + random2)
    sigma_y = math.sqrt(zero * zero + lost * lost + stored * stored + p.count_sigma * p.count_sigma)
    c = s.capacity
    same = math.sqrt(c.soh * c.soh * fixed2 + zero * zero + stored * stored)
    cycles = 0.5 * s.passed_c / p.nominal_c
    if capacity.add(c, p.capacity, s.soc - soc, s.out_c / p.nominal_c, sigma_x, sigma_y, same, cycles):
        s.soh_capacity, s.soh_capacity_sigma = c.soh, c.sigma
        s.capacity_ah = c.soh * p.nominal_c / 3600.0
        s.capacity_sigma_ah = c.sigma * p.nominal_c / 3600.0
        s.passed_c = 0.0


@kernel
def follow(
    states: Rows[HealthState], fixed: Rows[HealthParams], tables: Rows[CellTables], ticks: Floats, out: Floats
) -> None:
    """The same offline: ``ticks`` (n, SEEN) in the order of ``Seen``, ``out`` (n, OUT) in that of the outputs."""
    s = states[0]
    seen = s.seen
    for i in range(len(ticks)):
        one = ticks[i]
        seen.dt_s, seen.flowed_a, seen.now_a, seen.degc, seen.soc = one[0], one[1], one[2], one[3], one[4]
        seen.residual_v, seen.polarisation_v, seen.ohmic_v = one[5], one[6], one[7]
        seen.r0_ohm, seen.corrected_v = one[8], one[9]
        step(s, fixed[0], tables[0])
        to = out[i]
        to[0], to[1], to[2], to[3] = s.capacity_ah, s.capacity_sigma_ah, s.soh_capacity, s.soh_capacity_sigma
        to[4], to[5] = s.resistance_ohm, s.resistance_sigma_ohm
        to[6], to[7] = s.resistance_growth, s.resistance_growth_sigma
