"""Capacity from pairs (SoC moved, charge moved): recursive weighted total least squares with fading memory.

Both numbers of a pair are uncertain: x = SoC by voltage at one rest less that at the next, y = charge counted between
them over the nominal capacity. The slope q of y = q x is the state of health. The line nearest to all pairs in both
directions, each in units of its own sigmas, has the least

    J(q) = (q - 1)^2 / prior^2 + sum g (y - q x)^2 / D(q),   D(q) = sy^2 + q^2 sx^2

The denominators differ from pair to pair, so no sum can be kept of it. With 1 / D as its parabola around the estimate
of the moment, though, each term is a polynomial of degree 4 in q - 1, and J is four running sums. g fades with the
charge moved since.

The problem, fading memory and the sigma by J's curvature are those of G. Plett, Recursive approximate weighted total
least squares estimation of battery cell total capacity, J. Power Sources 196 (2011) 2319. His approximation (each pair
moved along a perpendicular common to all, six sums) is right where sx / sy is the same for all pairs. Rests on LFP's
plateau and at its ends differ by a factor of ten, and there it gave blunt pairs tens of times their weight (A123 cells,
see the page below); the parabola weighs each by its own sigmas.

J's curvature is not all of sigma: a gain error of the current, an error of the OCV table that comes back in every
pair, and the loss of capacity since the remembered pairs do not average out. Each is added on its own;
docs/explanation/state-of-health.md has the equations.
"""

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from hil.kernel import F64, I64, Floats, Rows, kernel, zeros

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

    sums: Annotated[Floats, 4]  # coefficients of J at (q - 1) to the power of 1 to 4
    weight: F64  # sum of w x^2, w = 1 / variance of y - q x, and what is left of the nominal capacity's
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
    s["sums"][1] = s["weight"] = 1.0 / p["prior_sigma"] ** 2
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
    by_both = solve(s, x, y, sigma_x * sigma_x * less, sigma_y * sigma_y * less)
    s.weight += x * x * by_both
    s.fixed += abs(x) * sigma_fixed * by_both
    s.pairs += 1
    s.off += x * (y - s.soh * x) * by_both
    judge(s, p)
    return True


@kernel
def fade(s: CapacityState, p: CapacityParams, cycles: float) -> None:
    """Forget by ``cycles``, but never so much that less is known than before the first pair."""
    least = 1.0 / (p.prior_sigma * p.prior_sigma)
    keep = max(math.exp(-cycles / p.memory_cycles), min(least / s.weight, 1.0))
    for i in range(4):
        s.sums[i] *= keep
    s.since_cycles = keep * (s.since_cycles + cycles * s.weight)
    s.fixed *= keep
    s.off *= keep
    s.weight *= keep


@kernel
def solve(s: CapacityState, x: float, y: float, variance_x: float, variance_y: float) -> float:
    """Add a pair to J and find its least; returns 1 / D of the pair there.

    The parabola 1 / D (1 - steep u + bent u^2) is laid around the estimate that the pair leads to, so it is laid three
    times. Where y's variance is the larger one its bend is that of an exponential, not of 1 / D: with the latter a pair
    would have a second least far away; at 10 % from the middle the difference is 0.1 % of the weight.
    """
    e, one_over = y - x, 0.0
    c1, c2, c3, c4 = s.sums[0], s.sums[1], s.sums[2], s.sums[3]
    for _ in range(3):
        q = s.soh
        d, one_over = q - 1.0, 1.0 / (variance_y + q * q * variance_x)
        share = q * q * variance_x * one_over  # of the variance that is x's
        steep, bent = 2.0 * share / q, max(4.0 * share - 1.0, 2.0 * share) * share / (q * q)
        t0 = one_over * (1.0 + steep * d + bent * d * d)
        t1, t2 = -one_over * (steep + 2.0 * bent * d), one_over * bent
        s.sums[0] = c1 + e * e * t1 - 2.0 * e * x * t0
        s.sums[1] = c2 + e * e * t2 - 2.0 * e * x * t1 + x * x * t0
        s.sums[2] = c3 - 2.0 * e * x * t2 + x * x * t1
        s.sums[3] = c4 + x * x * t2
        descend(s)
    return one_over


@kernel
def descend(s: CapacityState) -> None:
    """The least of J by Newton's steps kept within a bracket, and the sigma by its curvature there."""
    a1, a2, a3, a4 = s.sums[0], 2.0 * s.sums[1], 3.0 * s.sums[2], 4.0 * s.sums[3]
    low, high, v, curve = LEAST - 1.0, MOST - 1.0, s.soh - 1.0, 0.0
    for _ in range(60):
        slope = ((a4 * v + a3) * v + a2) * v + a1
        curve = (3.0 * a4 * v + 2.0 * a3) * v + a2
        low, high = (v, high) if slope < 0.0 else (low, v)
        next_v = v - slope / curve if curve > 0.0 else low
        if not low < next_v < high:
            next_v = 0.5 * (low + high)
        moved = abs(next_v - v)
        v = next_v
        if moved <= 1e-14:
            break
    s.soh = 1.0 + v
    s.sigma = math.sqrt(2.0 / curve) if curve > 0.0 else MOST


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
