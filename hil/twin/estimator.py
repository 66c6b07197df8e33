"""SoC estimator: an extended Kalman filter on the mean cell voltage that stays honest on the flat plateau of LFP.

State errors: soc, v1, v2, v3, hysteresis h, bias of the current, offset of the voltage sensors, misfit of the voltage
model. The last three are what makes sigma honest. An error of the model (a fit has 5 to 15 mV) does not average out at
100 samples a second, so it is a state of its own that only fades as charge moves, and a sensor's offset does not fade
at all; on 1 mV per per cent of SoC they forbid more than that knows. The same holds for the current's zero and gain.
What a fit leaves within minutes is counted as noise of its density (V^2 s), so the tick does not matter.

The OCV is bent, so its slope is the secant over one cloud of sqrt(3) sigma (statistical linearisation: S. Sarkka,
Bayesian Filtering and Smoothing, Cambridge 2013, ch. 5), and a surprise beyond ``gate`` sigma is given less weight.
No line stands for a knee, though: at first sight, and when surprises do not end, the SoC is weighed on a grid instead.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from hil.kernel import F64, Floats, kernel
from hil.twin import cells, tables
from hil.twin.tables import CellTables

N = 8
SOC, V1, V2, V3, H, BIAS, OFFSET, MISFIT = range(N)
GRID = 201  # SoC points of a sight
DOUBT = 0.01  # weight of "anything may be" beside the guess, at its peak


class FilterParams:
    """One standard deviation of everything that is not known, and for how long it stays the same."""

    soc_sigma: F64  # of the guess the twin starts from
    rest_sigma_v: F64  # of each polarisation at the start
    h_sigma: F64  # of the hysteresis state at the start: evenly spread over -1..1
    h_error: F64  # of the hysteresis model, share of the half width
    bias_sigma_a: F64  # zero of the current
    gain_sigma: F64  # gain of the current, and of the capacity
    bias_tau_s: F64
    offset_sigma_v: F64  # of the voltage sensors, all cells alike
    misfit_sigma_v: F64  # error of the voltage model
    misfit_soc: F64  # SoC moved after which that error is another one
    table_soc: F64  # error of the OCV table along the SoC, which no voltage can show
    noise_v2s: F64  # density of the mean voltage's noise
    polarisation_s: F64  # density of the relative error of the polarisation
    bend_s: F64  # how long the linearisation's error stays the same
    clip_v: F64  # a cell counts at most this far from the mean of all: one faulted cell is not a change of SoC
    gate: F64  # surprise, in sigma, beyond which a measurement loses weight
    span_least: F64  # least half width of the secant, SoC
    lost_sigma_a: F64  # current not known while it was not measured
    strange_s: F64  # surprises beyond the gate for so long are no outliers: the SoC is sought anew


class FilterState:
    """Covariance of the state errors and what goes with it."""

    bias_a: F64  # measured current less true current
    offset_v: F64  # measured mean voltage less the true one
    misfit_v: F64  # true voltage less the model's
    centre_v: F64  # mean residual of the last row, NaN before the first
    lost_s: F64  # how long the current has not been known
    strange_s: F64  # how long surprises have been beyond the gate; starts at the limit: the first sight
    slope_v: F64  # OCV per SoC, secant over the cloud
    bend_v: F64  # mean of the OCV over the cloud less the OCV at its middle
    bend_v2: F64  # variance of the OCV around the secant
    cov: Annotated[Floats, N, N]
    keep: Annotated[Floats, N]  # diagonal of the transition matrix
    from_bias: Annotated[Floats, N]  # its column of the bias, without the diagonal
    watch: Annotated[Floats, N]  # measurement row
    cross: Annotated[Floats, N]  # cov times watch
    change: Annotated[Floats, N]  # the correction


@dataclass(frozen=True, slots=True)
class Sensors:
    """One standard deviation of what the measuring chain does wrong for long: zero and gain of the current, cell voltage.

    The defaults are those of a 0.1 A and 0.5 % sensor at 100 Ah (IVT-S class) and of a cell monitor's 1 mV.
    """

    zero_a: float
    gain: float = 0.005
    offset_v: float = 0.001

    @staticmethod
    def usual(capacity_ah: float) -> "Sensors":
        """Of a chain made for groups of ``capacity_ah``: currents scale with it."""
        return Sensors(0.001 * capacity_ah)


def fill(p: Any, capacity_ah: float, sensors: Sensors | None = None) -> None:
    """Fill a FilterParams record for a group of ``capacity_ah`` measured by ``sensors``.

    Sources: 8 mV is the error left by the fit of LFP cells (scenarios/packs, 4 to 15 mV RMS); 1 % of capacity goes with
    the gain; 0.58 = evenly spread over -1..1.
    """
    seen = sensors or Sensors.usual(capacity_ah)
    p["soc_sigma"], p["rest_sigma_v"], p["h_sigma"], p["h_error"] = 0.10, 0.002, 0.58, 0.15
    p["bias_sigma_a"], p["gain_sigma"], p["bias_tau_s"] = seen.zero_a, math.hypot(0.01, seen.gain), 3600.0
    p["offset_sigma_v"], p["misfit_sigma_v"], p["misfit_soc"], p["table_soc"] = seen.offset_v, 0.008, 0.10, 0.005
    p["noise_v2s"] = 2.0 * 0.003**2 * 100.0  # what is left of a fit within minutes: 3 mV over 100 s
    p["polarisation_s"] = 2.0 * 0.10**2 * 20.0  # 10 % over 20 s
    p["bend_s"], p["clip_v"], p["gate"], p["span_least"] = 2.0, 0.02, 3.0, 0.005
    p["lost_sigma_a"], p["strange_s"] = capacity_ah, 120.0


def start(s: Any, p: Any) -> None:
    """Put the filter where it knows as little as ``p`` says."""
    s["bias_a"], s["offset_v"], s["misfit_v"], s["centre_v"], s["lost_s"] = 0.0, 0.0, 0.0, math.nan, 0.0
    s["strange_s"] = p["strange_s"]
    s["cov"][:] = 0.0
    rest = ("rest_sigma_v",) * tables.PAIRS
    names = ("soc_sigma", *rest, "h_sigma", "bias_sigma_a", "offset_sigma_v", "misfit_sigma_v")
    for i, name in enumerate(names):
        s["cov"][i, i] = p[name] ** 2


@kernel
def forget(s: FilterState, p: FilterParams, t: CellTables, at: Floats, current_a: float, left: float) -> None:
    """Propagate the covariance over one step in which ``current_a`` flowed and the SoC ``left`` went out.

    ``at``: coefficients of the mean cell, [column][0].
    """
    efficiency = at[cells.BY_EFFICIENCY, 0] if current_a < 0.0 else 1.0
    fade = math.exp(-abs(left) / p.misfit_soc)
    drift = math.exp(-t.dt_s / p.bias_tau_s)
    s.keep[SOC], s.keep[H] = 1.0, math.exp(-abs(at[cells.BY_GAMMA, 0] * left))
    s.keep[BIAS], s.keep[OFFSET], s.keep[MISFIT] = drift, 1.0, fade
    s.from_bias[SOC] = efficiency * t.dt_s / t.capacity_c
    for pair in range(tables.PAIRS):
        s.keep[V1 + pair] = at[tables.DECAY1 + 2 * pair, 0]
        s.from_bias[V1 + pair] = -at[tables.GAIN1 + 2 * pair, 0]
    for i in range(N):
        for j in range(N):
            s.cov[i, j] = s.keep[i] * s.cov[i, j] + s.from_bias[i] * s.cov[BIAS, j]
    for j in range(N):
        for i in range(N):
            s.cov[i, j] = s.keep[j] * s.cov[i, j] + s.from_bias[j] * s.cov[i, BIAS]
    s.cov[H, H] += (1.0 - s.keep[H] * s.keep[H]) * p.h_error * p.h_error
    gain_a = p.gain_sigma * current_a
    s.cov[BIAS, BIAS] += (1.0 - drift * drift) * (p.bias_sigma_a * p.bias_sigma_a + gain_a * gain_a)
    s.cov[MISFIT, MISFIT] += (1.0 - fade * fade) * p.misfit_sigma_v * p.misfit_sigma_v
    s.bias_a *= drift
    s.misfit_v *= fade


@kernel
def blur(s: FilterState, i: int, sigma: float, keep: float) -> None:
    """Let the variance of state ``i`` rise towards ``sigma`` squared, ``keep`` of the gap is left; it never falls."""
    s.cov[i, i] += max(sigma * sigma - s.cov[i, i], 0.0) * (1.0 - keep)


@kernel
def lose(s: FilterState, p: FilterParams, t: CellTables, at: Floats) -> None:
    """The current over one step was not measured, so charge, polarisation and hysteresis have moved unseen.

    The sigma of the charge grows with the time lost, not with its root: a current not seen does not average out.
    """
    until_s = s.lost_s + t.dt_s
    rate = p.lost_sigma_a / t.capacity_c
    s.cov[SOC, SOC] += (until_s * until_s - s.lost_s * s.lost_s) * rate * rate
    for pair in range(tables.PAIRS):
        decay = at[tables.DECAY1 + 2 * pair, 0]
        blur(s, V1 + pair, p.lost_sigma_a * at[tables.GAIN1 + 2 * pair, 0] / (1.0 - decay), decay * decay)
    blur(s, H, p.h_sigma, math.exp(-2.0 * at[cells.BY_GAMMA, 0] * rate * t.dt_s))
    s.lost_s = until_s


@kernel
def ocv_at(t: CellTables, row: int, share: float, soc: float) -> float:
    """OCV at ``soc`` and ``share`` of the way from the tables' temperature ``row`` to the next, V."""
    place = soc * (t.n_points - 1)
    p = min(max(int(place), 0), t.n_points - 2)
    low = t.ocv_v[row, p] + share * (t.ocv_v[row + 1, p] - t.ocv_v[row, p])
    high = t.ocv_v[row, p + 1] + share * (t.ocv_v[row + 1, p + 1] - t.ocv_v[row, p + 1])
    return float(low + (place - p) * (high - low))


@kernel
def linearise(s: FilterState, p: FilterParams, t: CellTables, at: Floats, soc: float) -> None:
    """Secant, bend and scatter of the OCV over the cloud of SoC, within the table."""
    row, share = int(at[cells.ROW, 0]), at[cells.SHARE, 0]
    span = max(math.sqrt(3.0 * max(s.cov[SOC, SOC], 0.0)), p.span_least)
    down = max(soc - span, min(soc - p.span_least, 0.0)) - soc
    up = min(soc + span, max(soc + p.span_least, 1.0)) - soc
    middle_v = ocv_at(t, row, share, soc)
    down_v = ocv_at(t, row, share, soc + down) - middle_v
    up_v = ocv_at(t, row, share, soc + up) - middle_v
    s.slope_v = (up_v * up + down_v * down) / (up * up + down * down)
    off_down_v, off_up_v = down_v - s.slope_v * down, up_v - s.slope_v * up
    s.bend_v = (off_down_v + off_up_v) / 6.0
    s.bend_v2 = (off_down_v * off_down_v + off_up_v * off_up_v) / 6.0


@kernel
def learn(
    s: FilterState, p: FilterParams, t: CellTables, at: Floats, soc: float, polarisation_v: float, residual_v: float
) -> None:
    """Take ``residual_v`` = mean of measured less predicted cell voltages; the correction stands in ``s.change``."""
    s.watch[V1], s.watch[V2], s.watch[V3] = -1.0, -1.0, -1.0
    s.watch[H], s.watch[BIAS], s.watch[OFFSET], s.watch[MISFIT] = at[tables.M, 0], at[tables.R0, 0], 1.0, 1.0
    if s.strange_s >= p.strange_s:
        s.strange_s = 0.0
        sight(s, p, t, at, soc, residual_v)
        return
    linearise(s, p, t, at, soc)
    s.watch[SOC] = s.slope_v
    surprise_v = residual_v - s.offset_v - s.misfit_v - s.bend_v
    polarisation_v2s = polarisation_v * polarisation_v * p.polarisation_s
    total = (p.noise_v2s + polarisation_v2s + s.bend_v2 * p.bend_s) / t.dt_s
    for i in range(N):
        cross = 0.0
        for j in range(N):
            cross += s.cov[i, j] * s.watch[j]
        s.cross[i] = cross
        total += s.watch[i] * cross
    strange = surprise_v * surprise_v > p.gate * p.gate * total
    s.strange_s = s.strange_s + t.dt_s if strange else 0.0
    total = max(total, surprise_v * surprise_v / (p.gate * p.gate))
    for i in range(N):
        s.change[i] = s.cross[i] / total * surprise_v
        for j in range(N):
            s.cov[i, j] -= s.cross[i] * s.cross[j] / total
    s.bias_a += s.change[BIAS]
    s.offset_v += s.change[OFFSET]
    s.misfit_v += s.change[MISFIT]


@kernel
def sight(s: FilterState, p: FilterParams, t: CellTables, at: Floats, soc: float, residual_v: float) -> None:
    """Weigh every SoC by the guess and by the voltage it would show; the SoC's mean and variance are taken over.

    Bayes' rule on a grid, the result a normal distribution of the same moments, independent of the other states.
    """
    row, share = int(at[cells.ROW, 0]), at[cells.SHARE, 0]
    base_v = ocv_at(t, row, share, soc) + residual_v - s.offset_v - s.misfit_v
    prior = max(s.cov[SOC, SOC], p.span_least * p.span_least)
    unsure_v2 = p.noise_v2s / max(t.dt_s, 1.0)
    for i in range(V1, N):
        unsure_v2 += s.watch[i] * s.watch[i] * s.cov[i, i]
    least = math.inf
    for j in range(GRID):
        off_v = ocv_at(t, row, share, j / (GRID - 1)) - base_v
        least = min(least, off_v * off_v)
    weight, first, second = 0.0, 0.0, 0.0
    for j in range(GRID):
        away = j / (GRID - 1) - soc
        off_v = ocv_at(t, row, share, j / (GRID - 1)) - base_v
        chance = math.exp(-0.5 * (off_v * off_v - least) / unsure_v2)
        chance *= DOUBT + math.exp(-0.5 * away * away / prior)
        weight += chance
        first += chance * away
        second += chance * away * away
    mean = first / weight
    for i in range(N):
        s.change[i] = 0.0
        s.cov[SOC, i], s.cov[i, SOC] = 0.0, 0.0
    s.change[SOC] = mean
    s.cov[SOC, SOC] = max(second / weight - mean * mean, p.span_least * p.span_least)


@kernel
def sigma(s: FilterState, p: FilterParams) -> float:
    """One standard deviation of the SoC: the filter's own, and the OCV table's along the SoC."""
    return math.sqrt(max(s.cov[SOC, SOC], 0.0) + p.table_soc * p.table_soc)
