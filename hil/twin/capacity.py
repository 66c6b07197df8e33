"""Capacity from pairs (SoC moved, charge moved): approximate weighted total least squares with fading memory.

Both numbers of a pair are uncertain: x = SoC by voltage at one rest less that at the next, y = charge counted between
them over the nominal capacity. The slope q of y = q x is the state of health. With every pair moved to the line
along the perpendicular of a picture in which both sigmas are alike, the cost needs six running sums only:

    J(q) = sum g (y - q x)^2 / (1 + q^2)^2 (q^2 / sx^2 + 1 / sy^2)
    dJ/dq = 2 / (1 + q^2)^3 (c5 q^4 + (2 c4 - c1 - c6) q^3 + 3 (c2 - c5) q^2 + (c1 - 2 c3 + c6) q - c2)

c1..c3 = sums of g x x, g x y, g y y over sy^2, c4..c6 over sx^2; g fades with the charge moved since. Source: G. Plett,
Recursive approximate weighted total least squares estimation of battery cell total capacity, J. Power Sources 196
(2011) 2319. Three things are different here. The nominal capacity is no pair but a term of its own, so that it weighs
what its sigma says beside pairs of any kind. The scale of y that makes both sigmas alike is taken from the sums (k^2 =
c1 / c4) whenever q is wanted, so none need be chosen before the first pair. And the cost's curvature, which gives the
variance 2 / J'' of what is random, is not all of sigma: a gain error of the current, an error of the OCV table that
comes back in every pair, and the loss of capacity since the remembered pairs do not average out. Each is added on its
own; docs/explanation/state-of-health.md has the equations.
"""

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from hil.kernel import F64, I64, Floats, Rows, kernel, zeros

XX_Y, XY_Y, YY_Y, XX_X, XY_X, YY_X = range(6)  # c1 to c6
LEAST, MOST = 0.05, 2.0  # states of health looked for
LEAST_X = 1e-6  # SoC moved in a pair
PAIR = 6  # numbers of a pair, see ``add``


class CapacityParams:
    """What is not known of the capacity, all relative to the nominal one, one standard deviation each."""

    prior_sigma: F64  # of the nominal capacity, before the first pair
    gain_sigma: F64  # of the current
    memory_cycles: F64  # full cycles after which a pair counts 1/e
    fade_per_cycle: F64  # capacity a full cycle may cost
    gate: F64  # surprise, in sigma, beyond which a pair loses weight


class CapacityState:
    """Sums of the pairs remembered, and what they say."""

    sums: Annotated[Floats, 6]
    prior: F64  # weight left of the nominal capacity
    weight: F64  # it and the sum of w x^2, w = 1 / variance of y - q x
    fixed: F64  # sum of w |x| times the sigma that comes back in every pair
    since_cycles: F64  # sum of w x^2 times the full cycles since
    off: F64  # sum of w x times what y - q x was when the pair had just been taken
    soh: F64  # capacity over nominal
    sigma: F64  # of soh
    pairs: I64  # taken so far


def fill(p: Any) -> None:
    """Fill a CapacityParams record.

    Sources: a new cell is within a few per cent of its name, one at 80 % is worn out, so 10 % covers both at two
    sigma; gain 0.5 % as in the SoC filter (IVT-S class); NASA's B0005 to B0007 lose 0.15 to 0.3 % a cycle, Severson's
    LFP cells 0.01 to 0.1 %: with 0.2 %, five cycles of memory are 1 % behind.
    """
    p["prior_sigma"], p["gain_sigma"], p["gate"] = 0.10, 0.005, 4.0
    p["memory_cycles"], p["fade_per_cycle"] = 5.0, 0.002


def start(s: Any, p: Any) -> None:
    """Forget all pairs: nominal capacity, known to ``prior_sigma``."""
    s["sums"][:] = 0.0
    s["prior"] = s["weight"] = 1.0 / p["prior_sigma"] ** 2
    s["fixed"], s["since_cycles"], s["off"] = 0.0, 0.0, 0.0
    s["soh"], s["sigma"], s["pairs"] = 1.0, p["prior_sigma"], 0


@kernel
def add(
    s: CapacityState,
    p: CapacityParams,
    x: float,
    y: float,
    sigma_x: float,
    sigma_y: float,
    sigma_fixed: float,
    cycles: float,
) -> bool:
    """Take a pair: SoC ``x`` and charge ``y`` (share of nominal) moved, both > 0 when it went out; solve again.

    ``sigma_fixed`` is the part of the sigma of y - q x that is the same in every pair (it is in ``sigma_x`` and
    ``sigma_y`` too, the gain of the current is in none); ``cycles`` full cycles have passed since the last pair.
    False, and nothing changed, for what is no pair: not known, not moved, more than twice the cell, without a sigma.
    """
    moved = LEAST_X <= abs(x) <= 2.0 and abs(y) <= 2.0 * MOST and 0.0 <= cycles <= 1e6
    if not (moved and 1e-9 <= sigma_x <= 1e3 and 1e-9 <= sigma_y <= 1e3 and 0.0 <= sigma_fixed <= 1.0):
        return False
    fade(s, p, cycles)
    variance = sigma_y * sigma_y + s.soh * s.soh * sigma_x * sigma_x
    surprise = y - s.soh * x
    known = variance + s.sigma * s.sigma * x * x
    less = max(surprise * surprise / (p.gate * p.gate * known), 1.0)
    by_y, by_x, by_both = 1.0 / (less * sigma_y * sigma_y), 1.0 / (less * sigma_x * sigma_x), 1.0 / (less * variance)
    s.sums[XX_Y] += x * x * by_y
    s.sums[XY_Y] += x * y * by_y
    s.sums[YY_Y] += y * y * by_y
    s.sums[XX_X] += x * x * by_x
    s.sums[XY_X] += x * y * by_x
    s.sums[YY_X] += y * y * by_x
    s.weight += x * x * by_both
    s.fixed += abs(x) * sigma_fixed * by_both
    s.pairs += 1
    solve(s)
    s.off += x * (y - s.soh * x) * by_both
    judge(s, p)
    return True


@kernel
def fade(s: CapacityState, p: CapacityParams, cycles: float) -> None:
    """Forget by ``cycles``, but never so much that less is known than before the first pair."""
    least = 1.0 / (p.prior_sigma * p.prior_sigma)
    keep = max(math.exp(-cycles / p.memory_cycles), min(least / s.weight, 1.0))
    for i in range(6):
        s.sums[i] *= keep
    s.since_cycles = keep * (s.since_cycles + cycles * s.weight)
    s.fixed *= keep
    s.off *= keep
    s.prior *= keep
    s.weight *= keep


@kernel
def solve(s: CapacityState) -> None:
    """The least of J + prior (q - 1)^2, by Newton's steps kept in a bracket; ``sigma`` is the one of its curvature.

    Here q is k times the state of health; value is half of the derivative times (1 + q^2)^3.
    """
    k = math.sqrt(s.sums[XX_Y] / s.sums[XX_X])
    c1, c2, c3 = s.sums[XX_X], s.sums[XY_Y] / k, s.sums[YY_Y]
    c5, c6 = k * s.sums[XY_X], k * k * s.sums[YY_X]
    third, second, first = c1 - c6, 3.0 * (c2 - c5), c1 - 2.0 * c3 + c6  # of the quartic; c4 = c1 in this scale
    low, high, q = LEAST * k, MOST * k, s.soh * k
    prior, slope = s.prior / (k * k), 0.0
    for _ in range(60):
        far, square = q - k, 1.0 + q * q
        value = (((c5 * q + third) * q + second) * q + first) * q - c2 + prior * far * square**3
        slope = ((4.0 * c5 * q + 3.0 * third) * q + 2.0 * second) * q + first
        slope += prior * (square + 6.0 * q * far) * square**2
        low, high = (q, high) if value < 0.0 else (low, q)
        next_q = q - value / slope if slope > 0.0 else low
        if not low < next_q < high:
            next_q = 0.5 * (low + high)
        moved = abs(next_q - q)
        q = next_q
        if moved <= 1e-14 * k:
            break
    s.soh = q / k
    s.sigma = math.sqrt((1.0 + q * q) ** 3 / slope) / k if slope > 0.0 else MOST


@kernel
def judge(s: CapacityState, p: CapacityParams) -> None:
    """Add to the sigma what does not average out: gain, what comes back in every pair, and being behind.

    A capacity that falls leaves the mean of what is remembered behind: by what a cycle may cost, and by as much as
    the pairs remembered were off on one side.
    """
    gain = p.gain_sigma * s.soh
    fixed, off = s.fixed / s.weight, s.off / s.weight
    behind = p.fade_per_cycle * s.since_cycles / s.weight
    s.sigma = math.sqrt(s.sigma * s.sigma + gain * gain + fixed * fixed + behind * behind + off * off)


def track(pairs: NDArray[np.float64], **of_params: float) -> NDArray[np.float64]:
    """State of health after each pair, offline: ``pairs`` (n, 6) as ``add`` takes them, result (n, 2): soh, sigma.

    ``of_params`` replaces fields of CapacityParams. Raises ValueError for another shape or another field.
    """
    if pairs.ndim != 2 or pairs.shape[1] != PAIR:
        raise ValueError(f"pairs of {PAIR} numbers, found shape {pairs.shape}")
    fixed, states = zeros(CapacityParams), zeros(CapacityState)
    p, out = np.asarray(fixed)[0], np.empty((len(pairs), 2))
    fill(p)
    for name, value in of_params.items():
        p[name] = value
    start(np.asarray(states)[0], p)
    _track(states, fixed, np.ascontiguousarray(pairs, np.float64), out)
    return out


@kernel
def _track(states: Rows[CapacityState], fixed: Rows[CapacityParams], pairs: Floats, out: Floats) -> None:
    s, p = states[0], fixed[0]
    for i in range(len(pairs)):
        one = pairs[i]
        add(s, p, one[0], one[1], one[2], one[3], one[4], one[5])
        out[i, 0], out[i, 1] = s.soh, s.sigma
