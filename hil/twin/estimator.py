"""SoC estimator: an extended Kalman filter on the mean cell voltage that stays honest on the flat plateau of LFP.

State errors: soc, v1, v2, hysteresis h, bias of the current, offset of the voltage model. The last two are what makes
sigma honest. An error of the voltage model (a fit has 5 to 15 mV) does not average out at 100 samples a second, so it
is a state of its own that only fades as charge moves; on 1 mV per per cent of SoC it forbids more than that knows.
The same holds for the current's zero and gain. White noise is counted by its density (V^2 s): the tick does not matter.

The OCV is bent, so its slope is the secant over one cloud of sqrt(3) sigma (statistical linearisation: S. Sarkka,
Bayesian Filtering and Smoothing, Cambridge 2013, ch. 5), and a surprise beyond ``gate`` sigma is given less weight.
"""

import math
from typing import Annotated, Any

from hil.kernel import F64, Floats, kernel
from hil.twin.model import ModelParams, ModelState, ocv_at

N = 6
SOC, V1, V2, H, BIAS, OFFSET = range(N)


class FilterParams:
    """One standard deviation of everything that is not known, and for how long it stays the same."""

    soc_sigma: F64  # of the guess the twin starts from
    rest_sigma_v: F64  # of each polarisation at the start
    h_sigma: F64  # of the hysteresis state at the start: evenly spread over -1..1
    bias_sigma_a: F64  # zero of the current
    gain_sigma: F64  # gain of the current, and of the capacity
    bias_tau_s: F64
    offset_sigma_v: F64  # error of the voltage model
    offset_soc: F64  # SoC moved after which that error is another one
    noise_v2s: F64  # density of the mean voltage's noise
    polarisation_s: F64  # density of the relative error of the polarisation
    bend_s: F64  # how long the linearisation's error stays the same
    clip_v: F64  # a cell counts at most this far from the mean of all: one faulted cell is not a change of SoC
    gate: F64  # surprise, in sigma, beyond which a measurement loses weight
    span_least: F64  # least half width of the secant, SoC
    lost_sigma_a: F64  # current not known while it was not measured


class FilterState:
    """Covariance of the state errors and what goes with it."""

    bias_a: F64  # measured current less true current
    offset_v: F64  # measured mean voltage less the model's
    centre_v: F64  # mean residual of the last row, NaN before the first
    lost_s: F64  # how long the current has not been known
    slope_v: F64  # OCV per SoC, secant over the cloud
    bend_v: F64  # mean of the OCV over the cloud less the OCV at its middle
    bend_v2: F64  # variance of the OCV around the secant
    cov: Annotated[Floats, N, N]
    keep: Annotated[Floats, N]  # diagonal of the transition matrix
    from_bias: Annotated[Floats, N]  # its column of the bias, without the diagonal
    watch: Annotated[Floats, N]  # measurement row
    cross: Annotated[Floats, N]  # cov times watch
    change: Annotated[Floats, N]  # the correction


def fill(p: Any, capacity_ah: float) -> None:
    """Fill a FilterParams record for a group of ``capacity_ah`` (currents scale with it).

    Sources: 8 mV is the error left by the fit of LFP cells (scenarios/packs, 8 to 15 mV RMS); zero and gain of a
    current sensor 0.1 A and 0.5 % at 100 Ah (IVT-S class), with 1 % of capacity; 0.58 = evenly spread over -1..1.
    """
    p["soc_sigma"], p["rest_sigma_v"], p["h_sigma"] = 0.10, 0.002, 0.58
    p["bias_sigma_a"], p["gain_sigma"], p["bias_tau_s"] = 0.001 * capacity_ah, 0.011, 3600.0
    p["offset_sigma_v"], p["offset_soc"] = 0.008, 0.10
    p["noise_v2s"] = 2.0 * 0.001**2 * 1.0  # 1 mV over 1 s
    p["polarisation_s"] = 2.0 * 0.10**2 * 20.0  # 10 % over 20 s
    p["bend_s"], p["clip_v"], p["gate"], p["span_least"] = 2.0, 0.02, 3.0, 0.005
    p["lost_sigma_a"] = capacity_ah


def start(s: Any, p: Any) -> None:
    """Put the filter where it knows as little as ``p`` says."""
    s["bias_a"], s["offset_v"], s["centre_v"], s["lost_s"] = 0.0, 0.0, math.nan, 0.0
    s["cov"][:] = 0.0
    names = ("soc_sigma", "rest_sigma_v", "rest_sigma_v", "h_sigma", "bias_sigma_a", "offset_sigma_v")
    for i, name in enumerate(names):
        s["cov"][i, i] = p[name] ** 2


@kernel
def forget(s: FilterState, p: FilterParams, m: ModelState, mp: ModelParams, current_a: float, left: float) -> None:
    """Propagate the covariance over ``m.dt_s`` in which ``current_a`` flowed and the SoC ``left`` went out."""
    z = mp.n_zones
    efficiency = m.efficiency[z] if current_a < 0.0 else 1.0
    fade = math.exp(-abs(left) / p.offset_soc)
    drift = math.exp(-m.dt_s / p.bias_tau_s)
    s.keep[SOC], s.keep[V1], s.keep[V2] = 1.0, m.decay1[z], m.decay2[z]
    s.keep[H], s.keep[BIAS], s.keep[OFFSET] = math.exp(-abs(m.gamma[z] * left)), drift, fade
    s.from_bias[SOC] = efficiency * m.dt_s / mp.capacity_c
    s.from_bias[V1], s.from_bias[V2] = -m.gain1_ohm[z], -m.gain2_ohm[z]
    for i in range(N):
        for j in range(N):
            s.cov[i, j] = s.keep[i] * s.cov[i, j] + s.from_bias[i] * s.cov[BIAS, j]
    for j in range(N):
        for i in range(N):
            s.cov[i, j] = s.keep[j] * s.cov[i, j] + s.from_bias[j] * s.cov[i, BIAS]
    gain_a = p.gain_sigma * current_a
    s.cov[BIAS, BIAS] += (1.0 - drift * drift) * (p.bias_sigma_a * p.bias_sigma_a + gain_a * gain_a)
    s.cov[OFFSET, OFFSET] += (1.0 - fade * fade) * p.offset_sigma_v * p.offset_sigma_v
    s.bias_a *= drift
    s.offset_v *= fade


@kernel
def blur(s: FilterState, i: int, sigma: float, keep: float) -> None:
    """Let the variance of state ``i`` rise towards ``sigma`` squared, ``keep`` of the gap is left; it never falls."""
    s.cov[i, i] += max(sigma * sigma - s.cov[i, i], 0.0) * (1.0 - keep)


@kernel
def lose(s: FilterState, p: FilterParams, m: ModelState, mp: ModelParams) -> None:
    """The current over ``m.dt_s`` was not measured, so charge, polarisation and hysteresis have moved unseen.

    The sigma of the charge grows with the time lost, not with its root: a current not seen does not average out.
    """
    until_s = s.lost_s + m.dt_s
    rate = p.lost_sigma_a / mp.capacity_c
    s.cov[SOC, SOC] += (until_s * until_s - s.lost_s * s.lost_s) * rate * rate
    z = mp.n_zones
    most1_v = p.lost_sigma_a * m.gain1_ohm[z] / (1.0 - m.decay1[z])
    most2_v = p.lost_sigma_a * m.gain2_ohm[z] / (1.0 - m.decay2[z])
    blur(s, V1, most1_v, m.decay1[z] * m.decay1[z])
    blur(s, V2, most2_v, m.decay2[z] * m.decay2[z])
    blur(s, H, p.h_sigma, math.exp(-2.0 * m.gamma[z] * rate * m.dt_s))
    s.lost_s = until_s


@kernel
def linearise(s: FilterState, p: FilterParams, m: ModelState, mp: ModelParams) -> None:
    """Secant, bend and scatter of the OCV over the cloud of SoC, within the table."""
    row, weight = m.table_row[mp.n_zones], m.table_weight[mp.n_zones]
    span = max(math.sqrt(3.0 * max(s.cov[SOC, SOC], 0.0)), p.span_least)
    down = max(m.soc - span, min(m.soc - p.span_least, 0.0)) - m.soc
    up = min(m.soc + span, max(m.soc + p.span_least, 1.0)) - m.soc
    middle_v = ocv_at(mp, row, weight, m.soc)
    down_v = ocv_at(mp, row, weight, m.soc + down) - middle_v
    up_v = ocv_at(mp, row, weight, m.soc + up) - middle_v
    s.slope_v = (up_v * up + down_v * down) / (up * up + down * down)
    off_down_v, off_up_v = down_v - s.slope_v * down, up_v - s.slope_v * up
    s.bend_v = (off_down_v + off_up_v) / 6.0
    s.bend_v2 = (off_down_v * off_down_v + off_up_v * off_up_v) / 6.0


@kernel
def learn(s: FilterState, p: FilterParams, m: ModelState, mp: ModelParams, residual_v: float) -> None:
    """Take ``residual_v`` = mean of measured less predicted cell voltages; the correction stands in ``s.change``."""
    z = mp.n_zones
    linearise(s, p, m, mp)
    s.watch[SOC], s.watch[V1], s.watch[V2] = s.slope_v, -1.0, -1.0
    s.watch[H], s.watch[BIAS], s.watch[OFFSET] = m.m_v[z], m.r0_ohm[z], 1.0
    surprise_v = residual_v - s.offset_v - s.bend_v
    polarisation_v2s = m.polarisation_v * m.polarisation_v * p.polarisation_s
    total = (p.noise_v2s + polarisation_v2s + s.bend_v2 * p.bend_s) / m.dt_s
    for i in range(N):
        cross = 0.0
        for j in range(N):
            cross += s.cov[i, j] * s.watch[j]
        s.cross[i] = cross
        total += s.watch[i] * cross
    total = max(total, surprise_v * surprise_v / (p.gate * p.gate))
    for i in range(N):
        s.change[i] = s.cross[i] / total * surprise_v
        for j in range(N):
            s.cov[i, j] -= s.cross[i] * s.cross[j] / total
    s.bias_a += s.change[BIAS]
    s.offset_v += s.change[OFFSET]
