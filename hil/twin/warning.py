"""Early warning: is one cell losing charge that it should not? Three tests per cell on the delta filters' innovations.

An innovation over its sigma is white noise of variance 1 while the cell is healthy and the model right. What is left of
correlation in practice is measured (lag 1, over hours) and divides every statistic: the variance of a mean of an AR(1)
process is that of white noise times (1 + r) / (1 - r) (G. Box, G. Jenkins, Time Series Analysis, 1970, chapter 2).

    departure  CUSUM, E. S. Page, Biometrika 41 (1954) 100: a sudden fall of the voltage, a hard short
    mean       EWMA, S. W. Roberts, Technometrics 1 (1959) 239: the mean difference to the peers, minutes
    leak       generalised likelihood ratio, A. Willsky and H. Jones, IEEE Trans. AC-21 (1976) 108: the current that, had
               it begun at a given time, explains the innovations best, with its sigma. The innovations of the filter
               that knows no leak are enough: B. Friedland, IEEE Trans. AC-14 (1969) 359, eq. 26 to 31

A leak acts twice: it lowers the voltage at once by its polarisation, and it takes charge. ``STAGES`` hypotheses of
when it began are kept, each started anew when it has grown older than its ``restart_s``, the long ones in turn: a short
is noticed against what the filter had learned until then, so that a capacity not known to a per cent does not hide it.
"""

import math
from statistics import NormalDist
from typing import Annotated, Any

from hil.kernel import F64, I64, Floats, Ints, kernel
from hil.tick import CELLS
from hil.twin import deltas
from hil.twin.cells import BLOCK, DEGC, PER_COULOMB, SOC
from hil.twin.deltas import CAPACITY, CHARGE, GROW, OFFSET, DeltaState
from hil.twin.tables import COLDEST_DEGC, PAIRS, R0, ROWS, STEP_K, CellTables

LIVES_S = (60.0, 1200.0, *(54000.0,) * 6)  # of the hypotheses
STAGES = len(LIVES_S)
DAYS_BETWEEN = 1000.0  # false alarms of a healthy pack, per test
DEPARTURE, MEAN, LEAK = 1, 2, 4  # bits of a cell's warning


class WarningParams:
    """Thresholds; where they come from is told in ``fill``."""

    peers: F64  # 1: there are some; without, the allowance stands for what is left of correlation in the CUSUM
    least_inflation: F64  # of the variance of a mean: filters on a bent OCV leave more than they say
    departure_allowance: F64  # sigma
    departure_limit: F64
    mean_s: F64  # time constant of the EWMA
    mean_limit: F64  # sigma
    mean_least_v: F64  # healthy cells differ by as much from what their filters expect, for minutes
    leak_limit: Annotated[Floats, STAGES]  # sigma
    least_leak_a: F64  # healthy cells differ by as much
    first_s: F64  # after the pack's filter has settled: until then the delta filters find their place, nothing counts
    clip_sigma: F64  # one window counts at most this many sigma
    memory_s: F64  # over which variance and correlation of the innovations are measured
    alike: F64  # their correlation at the start
    restart_s: Annotated[Floats, STAGES]
    first_age_s: Annotated[Floats, STAGES]  # so that those of one life start one after the other


class WarningState:
    """Statistics per cell; ``told`` keeps the bits of the tests that a cell has failed since ``start``."""

    at_s: F64
    learned_s: F64  # since the pack's filter has settled
    due: I64  # next stage to take the last window; STAGES: none
    departure: Annotated[Floats, CELLS]
    mean_sigma: Annotated[Floats, CELLS]
    mean_v: Annotated[Floats, CELLS]
    before: Annotated[Floats, CELLS]  # last innovation, sigma
    spread: Annotated[Floats, CELLS]  # mean square of the innovations, sigma^2
    alike: Annotated[Floats, CELLS]  # mean product of one with the next
    inflation: Annotated[Floats, CELLS]  # of the variance of a mean, at least 1
    age_s: Annotated[Floats, STAGES]
    answer_ohm: Annotated[Floats, STAGES, PAIRS]  # of the RC pairs to the leak of a stage
    sense: Annotated[Floats, STAGES, deltas.STATES, CELLS]  # error of the filter's states per ampere
    score: Annotated[Floats, STAGES, CELLS]
    info: Annotated[Floats, STAGES, CELLS]
    leak_a: Annotated[Floats, CELLS]
    leak_sigma_a: Annotated[Floats, CELLS]
    best_a: Annotated[Floats, CELLS]  # the same, of the stages that have taken the last window so far
    best_sigma_a: Annotated[Floats, CELLS]
    told: Annotated[Ints, CELLS]
    told_s: Annotated[Floats, CELLS]  # when the first of them was; NaN


def fill(p: Any, delta: Any, capacity_ah: float, cells: int) -> None:
    """Fill a WarningParams record for groups of ``capacity_ah`` whose delta filters have the params ``delta``.

    All limits follow from one number: a healthy pack gives one false alarm in ``DAYS_BETWEEN`` days per test, if its
    innovations are what the filter says. For the CUSUM with an allowance of k sigma D. Siegmund (Sequential Analysis,
    Springer 1985, eq. 2.57) gives the mean time between alarms as (exp(2kb) - 2kb - 1) / 2k^2 windows, b = limit + 1.166;
    for the others it is the Gaussian tail over the number of looks that tell something new: ten per time constant, ten
    per life of the youngest stage. ``least_leak_a``: healthy cells
    differ in self-discharge by far less than 0.05 % of the charge an hour (100 ohm on 2.5 Ah takes 1.3 %). A cell
    without peers cannot tell a leak from the current's zero, its capacity or the model: 25 % an hour, a hard short.
    """
    looks = DAYS_BETWEEN * 86400.0 / delta["window_s"] * cells
    k = 1.0 if delta["peers"] else 2.0  # a model of no peers is off for minutes
    p["departure_allowance"], p["clip_sigma"] = k, 4.0
    p["departure_limit"] = math.log(2.0 * k * k * looks) / (2.0 * k) - 1.166
    p["mean_s"], p["restart_s"] = 300.0, LIVES_S
    p["first_age_s"] = [_share_of_turn(stage) * LIVES_S[stage] for stage in range(STAGES)]
    p["mean_least_v"] = 0.001 if delta["peers"] else 0.05
    p["mean_limit"] = _sigmas(looks * delta["window_s"] * 10.0 / p["mean_s"])
    p["leak_limit"] = [_sigmas(looks * delta["window_s"] * 10.0 / life_s) for life_s in p["restart_s"]]
    p["least_leak_a"] = (0.0005 if delta["peers"] else 0.25) * capacity_ah
    p["first_s"], p["least_inflation"], p["peers"] = 3600.0, 1.35, float(delta["peers"])
    p["memory_s"], p["alike"] = 7200.0, 0.0 if delta["peers"] else 0.9


def _share_of_turn(stage: int) -> float:
    """Age of a stage at the start over its life: those of one life are spread evenly over it."""
    return LIVES_S[:stage].count(LIVES_S[stage]) / LIVES_S.count(LIVES_S[stage])


def _sigmas(looks: float) -> float:
    """What a standard Gaussian exceeds once in ``looks``."""
    return -NormalDist().inv_cdf(1.0 / looks)


def start(s: Any, p: Any) -> None:
    """Nothing suspected, nothing known."""
    for name in s.dtype.names:
        s[name] = 0
    s["spread"], s["alike"], s["inflation"] = 1.0, p["alike"], p["least_inflation"]
    s["leak_sigma_a"], s["told_s"] = math.inf, math.nan
    s["due"], s["age_s"] = STAGES, p["first_age_s"]


@kernel
def step(s: WarningState, p: WarningParams, d: DeltaState, t: CellTables, x: Floats, dt_s: float, n: int) -> None:
    """After ``deltas.learn`` of every tick of ``dt_s``. The stages take a window one after the other, within its length."""
    s.at_s += dt_s
    s.learned_s += dt_s if d.settled != 0 else 0.0
    if s.learned_s < p.first_s:
        return
    if d.fresh != 0:
        _whiten(s, p, d, n)
        s.due = 0
        for c in range(n):
            s.best_a[c], s.best_sigma_a[c] = 0.0, math.inf
    if s.due >= STAGES:
        return
    last = min(s.due + 1 + int(STAGES * dt_s / d.closed_s), STAGES)
    for stage in range(s.due, last):
        if s.age_s[stage] >= p.restart_s[stage]:
            _restart(s, stage, n)
        s.age_s[stage] += d.closed_s
        direct_ohm = _answer(s, t, x, stage, d.closed_s, n)
        for first in range(0, n, BLOCK):
            _score(s, d, x[first // BLOCK], stage, direct_ohm, first, min(BLOCK, n - first))
        _judge_leak(s, p, stage, n)
    s.due = last
    if last == STAGES:
        for c in range(n):
            s.leak_a[c], s.leak_sigma_a[c] = s.best_a[c], s.best_sigma_a[c]


@kernel
def _whiten(s: WarningState, p: WarningParams, d: DeltaState, n: int) -> None:
    """Innovations in sigma: their spread and correlation, CUSUM and EWMA. A falling voltage counts as positive."""
    slow, mean_share = d.closed_s / p.memory_s, d.closed_s / p.mean_s
    mean_v2 = mean_share / (2.0 - mean_share)
    for c in range(n):
        known = d.innovation_v[c] == d.innovation_v[c]
        e = -d.innovation_v[c] / math.sqrt(d.variance_v2[c]) if known else 0.0
        e = min(max(e, -p.clip_sigma), p.clip_sigma)
        part = slow if known else 0.0
        s.spread[c] += (e * e - s.spread[c]) * part
        s.alike[c] += (e * s.before[c] - s.alike[c]) * part
        r = min(max(s.alike[c] / max(s.spread[c], 1e-9), 0.0), 0.98)
        s.inflation[c] = max(s.spread[c] * (1.0 + r) / (1.0 - r), p.least_inflation)
        s.before[c] = e if known else s.before[c]
        sigma = math.sqrt(s.inflation[c])
        rise = e / max(1.0, sigma * p.peers) - p.departure_allowance if known else 0.0
        s.departure[c] = max(s.departure[c] + rise, 0.0)
        s.mean_sigma[c] += (e - s.mean_sigma[c]) * (mean_share if known else 0.0)
        fall_v = min(max(-d.innovation_v[c] if known else 0.0, -0.1), 0.1)
        s.mean_v[c] += (fall_v - s.mean_v[c]) * (mean_share if known else 0.0)
        bits = DEPARTURE if s.departure[c] > p.departure_limit else 0
        differs = s.mean_sigma[c] > p.mean_limit * sigma * math.sqrt(mean_v2) and s.mean_v[c] > p.mean_least_v
        bits += MEAN if differs else 0
        _tell(s, c, bits)


@kernel
def _tell(s: WarningState, c: int, bits: int) -> None:
    """Keep what cell ``c`` has failed, and when first."""
    s.told_s[c] = s.at_s if bits != 0 and s.told[c] == 0 else s.told_s[c]
    s.told[c] |= bits


@kernel
def _restart(s: WarningState, stage: int, n: int) -> None:
    """The leak of this stage begins now."""
    s.age_s[stage] = 0.0
    for k in range(PAIRS):
        s.answer_ohm[stage, k] = 0.0
    for c in range(n):
        s.score[stage, c], s.info[stage, c] = 0.0, 0.0
        for j in range(deltas.STATES):
            s.sense[stage, j, c] = 0.0


@kernel
def _answer(s: WarningState, t: CellTables, x: Floats, stage: int, seconds: float, n: int) -> float:
    """Voltage lost at once per ampere of leak since the stage began: R0 and the RC pairs, those of the middle cell.

    A cell's own would differ by its growth, which is nothing beside what a leak's sigma is.
    """
    middle = n // 2
    one, i = x[middle // BLOCK], middle % BLOCK
    row = int(min(max((one[DEGC, i] - COLDEST_DEGC) / STEP_K + 0.5, 0.0), ROWS - 1.0))
    knot = int(min(max(one[SOC, i], 0.0), 1.0) * (t.n_knots - 1) + 0.5)
    total = t.at[row, knot, R0]
    for k in range(PAIRS):
        decay = math.exp(-seconds / t.tau_s[row, knot, k])
        s.answer_ohm[stage, k] = decay * s.answer_ohm[stage, k] + (1.0 - decay) * t.ohm[row, knot, k]
        total += s.answer_ohm[stage, k]
    return float(total)


@kernel
def _score(s: WarningState, d: DeltaState, one: Floats, stage: int, direct_ohm: float, first: int, count: int) -> None:
    """Friedland's recursion: what one ampere would have done to the states and to this innovation, and their product."""
    u = s.sense[stage]
    for i in range(count):
        c = first + i
        charge = u[CHARGE, c] + one[PER_COULOMB, i] * (d.moved_c * u[CAPACITY, c] - d.closed_s)
        shows = d.slope_v[c] * charge - d.polarised_v[c] * u[GROW, c] + u[OFFSET, c] - direct_ohm
        u[CHARGE, c] = charge - d.gain[CHARGE, c] * shows
        u[GROW, c] -= d.gain[GROW, c] * shows
        u[CAPACITY, c] -= d.gain[CAPACITY, c] * shows
        u[OFFSET, c] -= d.gain[OFFSET, c] * shows
        known = d.innovation_v[c] == d.innovation_v[c]
        s.score[stage, c] += shows * d.innovation_v[c] * d.weight[c] if known else 0.0
        s.info[stage, c] += shows * shows * d.weight[c]


@kernel
def _judge_leak(s: WarningState, p: WarningParams, stage: int, n: int) -> None:
    """The leak of a stage, once a fifteenth of its life has counted, against its sigma.

    The stage that knows best gives the leak of the row.
    """
    ripe = min(s.age_s[stage], s.learned_s - p.first_s) >= p.restart_s[stage] / 15.0
    for c in range(n):
        info = s.info[stage, c]
        if info > 0.0:
            leak_a, sigma_a = s.score[stage, c] / info, math.sqrt(s.inflation[c] / info)
            leaks = leak_a - p.least_leak_a > p.leak_limit[stage] * sigma_a
            _tell(s, c, LEAK if ripe and leaks else 0)
            if sigma_a < s.best_sigma_a[c]:
                s.best_a[c], s.best_sigma_a[c] = leak_a, sigma_a
