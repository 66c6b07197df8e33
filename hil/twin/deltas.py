"""What makes one cell differ from its peers: a small Kalman filter per cell on the difference of its residual.

After G. Plett, "Efficient battery pack state estimation using bar-delta filtering", EVS24 (2009): the pack's filter takes
what all cells share, a delta filter what one cell alone shows. Its states, per cell, all against the pack:

    soc       state of charge                            applied to the twin's cell
    growth    resistance over the nominal one            applied to the twin's cell
    capacity  relative, so that soc rises by it times the charge that left
    offset    of the channel and of this cell's OCV      walks as the cell's SoC moves

A difference is averaged over a window (1 s) before the filter takes it, so that a tick costs a few additions and the
filter's answer does not depend on the tick. Process noise stands for how unlike healthy cells are; every number of it
is a parameter. The OCV is bent: its slope is the secant over one cloud of sqrt(3) sigma and what the secant leaves out is
noise (statistical linearisation: S. Sarkka, Bayesian Filtering and Smoothing, Cambridge 2013, chapter 5).

A cell without peers (fewer than ``FEWEST``) has no difference: its whole residual is taken, nothing is applied, soc and
growth are *considered* (S. F. Schmidt, 1966: their variance counts but is never reduced, because the pack's filter sees
the same voltage), and the offset is the error of the voltage model, which is far larger; only 10 to 95 % SoC is looked at,
where fits are held to their figures.
"""

import math
from typing import Annotated, Any

from hil.kernel import F64, I64, Floats, kernel
from hil.tick import CELLS
from hil.twin.cells import ASIDE_A, BLOCK, DEGC, GROWTH, PER_COULOMB, SOC, SOC_LEAST, SOC_MOST, STOP, V1, V2, V3
from hil.twin.tables import COLDEST_DEGC, R0, ROWS, STEP_K, STOPS, CellTables, M

FEWEST = 4  # known cells that make a group: with fewer, no majority says which one is off
CHARGE, GROW, CAPACITY, OFFSET = range(4)  # states
STATES = 4
SS, SG, SC, SO, GG, GC, GO, CC, CO, OO = range(10)  # covariance, upper triangle
PAIRS = 10


class DeltaParams:
    """One standard deviation of everything in which healthy cells differ, and how fast it changes."""

    peers: I64  # 1: differences to the pack are taken and applied; 0: the cells have no peers
    window_s: F64
    charge_sigma: F64  # SoC at the start
    growth_sigma: F64  # at the start
    capacity_sigma: F64  # at the start; it does not change
    offset_sigma_v: F64  # at the start
    noise_v: F64  # of one sample; samples closer than ``sample_s`` count as one
    sample_s: F64
    floor_v2s: F64  # density of what no average removes faster
    mismatch_s: F64  # density of the relative error of the polarisation, of which
    fade_s: F64  # this long something stays after it has gone: cells do not relax alike
    charge_per_soc: F64  # walk of the SoC difference per SoC moved: what the linearisation forgets
    offset_v2: F64  # walk of the offset per SoC moved
    growth_per_soc: F64  # walk of the growth per SoC moved
    growth_per_s: F64  # and per time
    bleed_sigma: F64  # relative, of a known balancing current
    unseen_v2s: F64  # walk of the offset and of the SoC of a cell that is not heard: it may have been balanced, or
    unseen_soc2s: F64  # read by another channel, per s
    steady_s: F64  # the SoC moved is that of its mean over this time: there and back is nowhere
    settle_s: F64
    settled_soc: F64  # the pack's filter is believed once it corrects itself by less
    slope_sigma_v: F64  # error of an OCV's slope per SoC, beside that of reading it at a wrong SoC
    slope_error: F64  # and relative
    least_sigma: F64  # no SoC difference is taken for better known than this where slopes are judged,
    plateau_v: F64  # slope per SoC at which half of what a filter would learn of the SoC is believed
    hidden_v: F64  # unless it would show: be more than this
    soc_step: F64  # SoC over which the slope of an OCV becomes another one
    soc_from: F64  # the window of SoC where the voltage model is good for this
    soc_to: F64
    gate: F64  # surprise, in sigma, beyond which a window loses weight


class DeltaState:
    """The filter of every cell, and what the window so far has seen. Growth and SoC themselves are in the twin's cells."""

    fresh: I64  # 1 in the tick that closed a window
    waited_s: F64
    charge_c: F64  # through the stack in this window
    samples: F64
    mean_soc: F64
    steady_soc: F64  # the mean over ``steady_s``
    moved_soc: F64  # by which that has moved in this window
    unrest_soc: F64  # SoC by which the pack's filter corrects itself in ``settle_s``
    started: I64
    settled: I64  # 1 once the pack's filter has stopped finding its place: nothing is learned before
    closed_s: F64  # length of the last window
    moved_c: F64  # through the stack in it
    sum_v: Annotated[Floats, CELLS]
    known_s: Annotated[Floats, CELLS]
    sum_polarised_v: Annotated[Floats, CELLS]
    sum_aside_c: Annotated[Floats, CELLS]
    busy_v: Annotated[Floats, CELLS]  # most polarisation of the last ``fade_s``
    capacity: Annotated[Floats, CELLS]
    offset_v: Annotated[Floats, CELLS]
    cov: Annotated[Floats, PAIRS, CELLS]
    # of the last window, for the tests
    innovation_v: Annotated[Floats, CELLS]  # NaN: the cell was not known
    variance_v2: Annotated[Floats, CELLS]
    weight: Annotated[Floats, CELLS]  # 1 / variance, less beyond the gate
    slope_v: Annotated[Floats, CELLS]
    polarised_v: Annotated[Floats, CELLS]  # at growth 1
    gain: Annotated[Floats, STATES, CELLS]
    change: Annotated[Floats, STATES, CELLS]


def fill(p: Any, n: int, window_s: float = 1.0) -> None:
    """Fill a DeltaParams record for a pack of ``n`` cells in series.

    Sources. Resistance 8 % and capacity 2 %: the largest measured spreads of healthy cells (six LG M50 at 0 to 25 degC,
    2.6 to 8 %). Noise 1 mV a sample and 2 mV of channel offset: monitor ICs (their data sheets give 0.5 to 2 mV).
    Without peers: 8 mV over a tenth of the charge is what a fit leaves, 10 % over 20 s the polarisation's error, as in
    the pack's filter. The rest is assumed: 1 % over 10 s for the dynamics of one cell against another
    (the LG M50 relax apart by 1 to 2 % of what a pulse left), 0.2 mV of OCV
    over a tenth of the charge, 1 % of resistance over a tenth and over an hour.
    """
    peers = n >= FEWEST
    p["peers"], p["window_s"] = int(peers), window_s
    p["charge_sigma"], p["growth_sigma"], p["capacity_sigma"] = (0.02, 0.08, 0.02) if peers else (0.03, 0.10, 0.0)
    p["offset_sigma_v"] = 0.002 if peers else 0.008
    p["noise_v"], p["sample_s"], p["floor_v2s"] = 0.001, 0.1, 1e-9
    p["mismatch_s"] = 2.0 * 0.01**2 * 10.0 if peers else 2.0 * 0.10**2 * 20.0
    p["fade_s"] = 5.0
    p["offset_v2"] = 0.0003**2 / 0.1 if peers else 2.0 * 0.008**2 / 0.1
    p["charge_per_soc"] = 0.001**2 / 0.1 if peers else 0.0
    p["growth_per_soc"], p["growth_per_s"] = (0.01**2 / 0.1, 0.01**2 / 3600.0) if peers else (0.0, 0.0)
    p["bleed_sigma"], p["steady_s"], p["soc_step"], p["gate"] = 0.05, 300.0, 0.01, 4.0
    p["slope_sigma_v"], p["slope_error"], p["least_sigma"], p["hidden_v"] = 0.02, 0.05 if peers else 0.3, 0.01, 0.004
    p["plateau_v"] = 0.2
    p["unseen_v2s"], p["unseen_soc2s"] = 0.002**2 / 600.0, 0.005**2 / 600.0
    p["soc_from"], p["soc_to"] = (-1.0, 2.0) if peers else (0.1, 0.95)
    p["settle_s"], p["settled_soc"] = 60.0, 0.005


def start(s: Any, p: Any) -> None:
    """Put the filters of all cells where they know as little as ``p`` says; SoC and growth are left to the twin."""
    for name in s.dtype.names:
        s[name] = 0
    s["innovation_v"] = math.nan
    for at, name in ((SS, "charge_sigma"), (GG, "growth_sigma"), (CC, "capacity_sigma"), (OO, "offset_sigma_v")):
        s["cov"][at] = p[name] ** 2


@kernel
def learn(
    s: DeltaState,
    p: DeltaParams,
    t: CellTables,
    x: Floats,
    residual_v: Floats,
    mean_residual_v: float,
    current_a: float,
    soc_sigma: float,
    dt_s: float,
    n: int,
) -> None:
    """Take one tick: ``residual_v`` measured less predicted of ``n`` cells (NaN: unknown), and the pack's robust mean.

    ``current_a`` flows through the stack (NaN: unknown), for ``dt_s``; ``soc_sigma`` is the pack filter's: with the mean
    SoC wrong, slopes are read at a wrong place. When a window closes, ``s.fresh`` is 1, the
    filters learn and ``x`` (SOC, GROWTH and with it V1 to V3) is corrected.
    """
    s.fresh = 0
    if not dt_s > 0.0:
        return
    centre_v = mean_residual_v if p.peers != 0 else 0.0
    for first in range(0, n, BLOCK):
        _gather(s, x[first // BLOCK], residual_v, centre_v, dt_s, first, min(BLOCK, n - first))
    flow_a = current_a if current_a == current_a else 0.0
    s.charge_c += flow_a * dt_s
    s.waited_s += dt_s
    s.samples += 1.0
    if s.waited_s < p.window_s * (1.0 - 1e-9):
        return
    _find_moved(s, p, x, n)
    for first in range(0, n, BLOCK):
        count = min(BLOCK, n - first)
        _move(s, p, x[first // BLOCK], first, count)
        _watch(s, p, t, x[first // BLOCK], soc_sigma, first, count)
        _correct(s, p, x[first // BLOCK], first, count)
    if p.peers != 0:
        _centre(s, n)
    _apply(s, x, n)
    s.fresh, s.closed_s, s.moved_c = 1, s.waited_s, s.charge_c
    s.waited_s, s.charge_c, s.samples = 0.0, 0.0, 0.0


@kernel
def _gather(
    s: DeltaState, one: Floats, residual_v: Floats, centre_v: float, dt_s: float, first: int, count: int
) -> None:
    """Add one tick of a block to the window."""
    for i in range(count):
        c = first + i
        away_v = residual_v[c] - centre_v
        known = away_v == away_v
        s.sum_v[c] += away_v * dt_s if known else 0.0
        s.known_s[c] += dt_s if known else 0.0
        s.sum_polarised_v[c] += (one[V1, i] + one[V2, i] + one[V3, i]) * dt_s
        s.sum_aside_c[c] += abs(one[ASIDE_A, i]) * dt_s


@kernel
def _find_moved(s: DeltaState, p: DeltaParams, x: Floats, n: int) -> None:
    """How far the mean SoC has gone for good, by current or by the pack filter's corrections."""
    total = 0.0
    for first in range(0, n, BLOCK):
        for i in range(min(BLOCK, n - first)):
            total += x[first // BLOCK, SOC, i]
    mean_soc = total / n
    corrected = abs(mean_soc - s.mean_soc + s.charge_c * x[0, PER_COULOMB, 0])
    was = s.steady_soc
    s.mean_soc = mean_soc
    if s.started == 0:
        s.steady_soc, s.moved_soc, s.unrest_soc = mean_soc, 0.0, 1.0
    else:
        s.steady_soc += (mean_soc - was) * min(s.waited_s / p.steady_s, 1.0)
        s.moved_soc = abs(s.steady_soc - was) + corrected
        s.unrest_soc += corrected - s.unrest_soc * min(s.waited_s / p.settle_s, 1.0)
    s.started = min(s.started + 1, 2)
    if s.unrest_soc < p.settled_soc:
        s.settled = 1


@kernel
def _move(s: DeltaState, p: DeltaParams, one: Floats, first: int, count: int) -> None:
    """States and covariance over a window: capacity turns into charge, the rest walks."""
    a = s.cov
    moved, seconds = s.moved_soc, s.waited_s
    for i in range(count):
        c = first + i
        left = s.charge_c * one[PER_COULOMB, i]
        aside = p.bleed_sigma * s.sum_aside_c[c] * one[PER_COULOMB, i]
        one[SOC, i] += s.capacity[c] * left
        a[SS, c] += left * (2.0 * a[SC, c] + left * a[CC, c]) + aside * aside * (3600.0 / seconds)
        a[SS, c] += p.charge_per_soc * moved
        a[SG, c] += left * a[GC, c]
        a[SC, c] += left * a[CC, c]
        a[SO, c] += left * a[CO, c]
        a[GG, c] += p.growth_per_soc * moved + p.growth_per_s * seconds
        a[OO, c] += p.offset_v2 * moved


@kernel
def _watch(s: DeltaState, p: DeltaParams, t: CellTables, one: Floats, soc_sigma: float, first: int, count: int) -> None:
    """Slope, polarisation and variance of the measurement of a window; innovation NaN where less than half is known."""
    seconds, mean_a = s.waited_s, s.charge_c / s.waited_s
    noise_v2 = p.noise_v * p.noise_v / max(min(s.samples, s.waited_s / p.sample_s), 1.0) + p.floor_v2s / seconds
    mismatch, fade = p.mismatch_s / seconds, math.exp(-seconds / p.fade_s)
    before = s.started > 1
    for i in range(count):
        c = first + i
        soc = one[SOC, i]
        y = min(max((one[DEGC, i] - COLDEST_DEGC) * (1.0 / STEP_K), 0.0), ROWS - 1.0)
        row = min(int(y), ROWS - 2)
        share = y - row
        h = 0.0
        for stop in range(STOPS):
            h += t.stop_weight[stop] * one[STOP + stop, i]
        ohm = _knot(t, row, share, soc, R0)
        polarised_v = s.sum_polarised_v[c] / seconds / one[GROWTH, i] + ohm * mean_a
        pull = polarised_v * one[GROWTH, i] / ohm
        here_v = _shown(t, row, share, soc, h, pull)
        down, up = _reach(soc, 0.005)
        down_v, up_v = _shown(t, row, share, soc + down, h, pull), _shown(t, row, share, soc + up, h, pull)
        slope_v = ((up_v - here_v) * up + (down_v - here_v) * down) / (up * up + down * down)
        down, up = _reach(soc, max(soc_sigma, 0.01))
        above = (_shown(t, row, share, soc + up, h, pull) - here_v) / up - slope_v
        below = (_shown(t, row, share, soc + down, h, pull) - here_v) / down - slope_v
        s.slope_v[c], s.polarised_v[c] = slope_v, polarised_v
        s.busy_v[c] = max(abs(polarised_v), fade * s.busy_v[c])
        s.variance_v2[c] = noise_v2 + mismatch * s.busy_v[c] * s.busy_v[c]
        away = soc - s.mean_soc
        least = min(p.least_sigma, p.hidden_v / max(abs(slope_v), 1e-3))
        bend = p.slope_sigma_v * p.slope_sigma_v + p.slope_error * p.slope_error * slope_v * slope_v
        bend += 0.5 * (above * above + below * below)
        wrong_v2 = bend * (away * away + max(s.cov[SS, c], least * least))
        s.cov[OO, c] += wrong_v2 * (min(2.0 * s.moved_soc / p.soc_step, 1.0) if before else 1.0)
        unseen_s = 0.0 if s.known_s[c] > 0.5 * seconds else seconds
        s.cov[OO, c] += p.unseen_v2s * unseen_s
        s.cov[SS, c] += p.unseen_soc2s * unseen_s
        known = s.known_s[c] > 0.5 * seconds and s.settled != 0 and p.soc_from < soc < p.soc_to
        s.innovation_v[c] = s.sum_v[c] / max(s.known_s[c], 1e-9) - s.offset_v[c] if known else math.nan
        s.sum_v[c], s.known_s[c], s.sum_polarised_v[c], s.sum_aside_c[c] = 0.0, 0.0, 0.0, 0.0


@kernel
def _reach(soc: float, span: float) -> tuple[float, float]:
    """How far to look down and up from ``soc``, within the OCV's table."""
    down = max(soc - span, min(soc - 0.005, 0.0)) - soc
    return down, min(soc + span, max(soc + 0.005, 1.0)) - soc


@kernel
def _shown(t: CellTables, row: int, share: float, soc: float, h: float, pull: float) -> float:
    """Voltage at ``soc``: OCV and hysteresis ``h`` less the polarisation, ``pull`` times R0; the OCV's ends reach on."""
    place = soc * (t.n_points - 1)
    k = min(max(int(place), 0), t.n_points - 2)
    low = t.ocv_v[row, k] + share * (t.ocv_v[row + 1, k] - t.ocv_v[row, k])
    high = t.ocv_v[row, k + 1] + share * (t.ocv_v[row + 1, k + 1] - t.ocv_v[row, k + 1])
    ocv_v = low + (place - k) * (high - low)
    return float(ocv_v + h * _knot(t, row, share, soc, M) - pull * _knot(t, row, share, soc, R0))


@kernel
def _knot(t: CellTables, row: int, share: float, soc: float, column: int) -> float:
    """A coefficient between two knots of SoC and two rows of the tables."""
    place = min(max(soc, 0.0), 1.0) * (t.n_knots - 1)
    k = min(int(place), t.n_knots - 2)
    low = t.at[row, k, column] + share * (t.at[row + 1, k, column] - t.at[row, k, column])
    high = t.at[row, k + 1, column] + share * (t.at[row + 1, k + 1, column] - t.at[row, k + 1, column])
    return float(low + (place - k) * (high - low))


@kernel
def _correct(s: DeltaState, p: DeltaParams, one: Floats, first: int, count: int) -> None:
    """Kalman update of every known cell of a block."""
    a, ug = s.cov, float(p.peers)
    for i in range(count):
        c = first + i
        h, g = s.slope_v[c], -s.polarised_v[c]
        known = s.innovation_v[c] == s.innovation_v[c]
        surprise_v = s.innovation_v[c] if known else 0.0
        us = ug * h * h / (h * h + p.plateau_v * p.plateau_v)  # share of the best gain that is taken
        cs = a[SS, c] * h + a[SG, c] * g + a[SO, c]
        cg = a[SG, c] * h + a[GG, c] * g + a[GO, c]
        cc = a[SC, c] * h + a[GC, c] * g + a[CO, c]
        co = a[SO, c] * h + a[GO, c] * g + a[OO, c]
        total = s.variance_v2[c] + h * cs + g * cg + co
        s.variance_v2[c] = total
        weight = 1.0 / max(total, surprise_v * surprise_v / (p.gate * p.gate)) if known else 0.0
        s.weight[c] = weight
        ks, kg, kc, ko = cs * weight * us, cg * weight * ug, cc * weight * us, co * weight
        s.gain[CHARGE, c], s.gain[GROW, c], s.gain[CAPACITY, c], s.gain[OFFSET, c] = ks, kg, kc, ko
        slow, grow, both = us * (2.0 - us), ug * (2.0 - ug), us + ug - us * ug
        a[SS, c] -= weight * cs * cs * slow
        a[SG, c] -= weight * cs * cg * both
        a[SC, c] -= weight * cs * cc * slow
        a[GG, c] -= weight * cg * cg * grow
        a[GC, c] -= weight * cg * cc * both
        a[CC, c] -= weight * cc * cc * slow
        a[SO, c] -= weight * cs * co
        a[GO, c] -= weight * cg * co
        a[CO, c] -= weight * cc * co
        a[OO, c] -= weight * co * co
        s.change[CHARGE, c] = ks * surprise_v
        s.change[GROW, c] = kg * surprise_v
        s.change[CAPACITY, c] = kc * surprise_v
        s.change[OFFSET, c] = ko * surprise_v


@kernel
def _centre(s: DeltaState, n: int) -> None:
    """Take off the changes what all cells have in common, which belongs to the pack's filter.

    A cell counts at most three mean magnitudes of the others: one that runs away moves no other.
    """
    for j in range(STATES):
        size, largest, count = 0.0, 0.0, 0
        for c in range(n):
            size += abs(s.change[j, c])
            largest = max(largest, abs(s.change[j, c]))
            count += 1 if s.weight[c] > 0.0 else 0
        most, common = 3.0 * (size - largest) / max(count - 1, 1), 0.0
        for c in range(n):
            common += min(max(s.change[j, c], -most), most)
        common /= max(count, 1)
        for c in range(n):
            s.change[j, c] -= common if s.weight[c] > 0.0 else 0.0


@kernel
def _apply(s: DeltaState, x: Floats, n: int) -> None:
    """Give every cell its change; polarisation goes with the resistance."""
    for c in range(n):
        one, i = x[c // BLOCK], c % BLOCK
        growth = min(max(one[GROWTH, i] + s.change[GROW, c], 0.2), 5.0)
        rises = growth / one[GROWTH, i]
        one[SOC, i] = min(max(one[SOC, i] + s.change[CHARGE, c], SOC_LEAST), SOC_MOST)
        one[GROWTH, i] = growth
        one[V1, i] *= rises
        one[V2, i] *= rises
        one[V3, i] *= rises
        s.capacity[c] += s.change[CAPACITY, c]
        s.offset_v[c] += s.change[OFFSET, c]
