"""Capacity by total least squares: against hand arithmetic, against the cost it minimises, and what its sigma is worth."""

import math

import numpy as np
import pytest

from hil.kernel import zeros
from hil.twin import capacity

EXACT = {"gain_sigma": 0.0, "fade_per_cycle": 0.0, "memory_cycles": 1e12, "prior_sigma": 1e6, "gate": 1e9}


def pairs_of(x, y, sigma_x, sigma_y, fixed=0.0, cycles=0.0):
    x = np.asarray(x, float)
    return np.column_stack([x, y, *(np.broadcast_to(v, x.shape) for v in (sigma_x, sigma_y, fixed, cycles))])


def one(**of_params):
    """(state, params) arrays of one record, started, and their first records."""
    states, fixed = zeros(capacity.CapacityState), zeros(capacity.CapacityParams)
    p = np.asarray(fixed)[0]
    capacity.fill(p)
    for name, value in of_params.items():
        p[name] = value
    capacity.start(np.asarray(states)[0], p)
    return states, fixed, np.asarray(states)[0], p


def cost(q, x, y, sigma_x, sigma_y):
    """The exact cost of a line through the origin with errors in both directions."""
    return np.sum((y - q * x) ** 2 / (sigma_y**2 + q**2 * sigma_x**2))


@pytest.mark.parametrize("slope", [0.5, 0.8, 1.0, 1.3])
def test_pairs_without_noise_give_their_slope(slope):
    x = np.array([0.3, -0.7, 0.5])
    soh, _ = capacity.track(pairs_of(x, slope * x, 0.01, 0.002), **EXACT)[-1]
    assert soh == pytest.approx(slope, abs=1e-9)


def test_two_pairs_by_hand():
    # x = (1, 1), y = (0.88, 0.92), both sigmas 0.01: total least squares of a line through the origin,
    # tan(2 a) = 2 Sxy / (Sxx - Syy) = 3.6 / 0.3792, q = tan(a)
    soh, sigma = capacity.track(pairs_of([1.0, 1.0], [0.88, 0.92], 0.01, 0.01), **EXACT)[-1]
    assert soh == pytest.approx(math.tan(math.atan2(3.6, 0.3792) / 2.0), abs=1e-5)  # the first parabola is at 0.88
    # J = 1e4 (1.6208 - 3.6 q + 2 q^2) / (1 + q^2), sigma^2 = 2 / J''; and the mean of what is left of each pair
    h = 1e-4
    j = [1e4 * (1.6208 - 3.6 * q + 2.0 * q * q) / (1.0 + q * q) for q in (soh - h, soh, soh + h)]
    curved = 2.0 / ((j[0] - 2.0 * j[1] + j[2]) / h**2)
    w = [1.0 / (1.0 + q * q) for q in (0.88, soh)]
    off = w[1] * (0.92 - soh) / sum(w)  # nothing was left of the first one
    assert sigma == pytest.approx(math.sqrt(curved + off**2), rel=0.01)


def test_before_the_first_pair_the_capacity_is_nominal_with_the_prior_sigma():
    _, _, s, p = one()
    assert (s["soh"], s["sigma"], s["pairs"]) == (1.0, 0.10, 0)
    assert capacity.track(np.empty((0, capacity.PAIR))).shape == (0, 2)
    assert p["prior_sigma"] == 0.10


def test_a_weak_first_pair_is_mixed_with_the_prior_by_their_variances():
    # prior 1 +- 0.1; a pair x = 1, y = 0.9 whose y - q x has a variance of 0.01 as well: halfway
    side = 0.1 / math.sqrt(2.0)
    soh, sigma = capacity.track(pairs_of([1.0], [0.9], side, side), gain_sigma=0.0, fade_per_cycle=0.0)[-1]
    assert soh == pytest.approx(0.95, abs=0.002)  # the variance of y - q x is a little less at q = 0.95
    assert sigma == pytest.approx(math.sqrt(0.005 + 0.025**2), rel=0.05)


def test_pairs_are_forgotten_by_the_charge_that_has_moved_since():
    # one strong pair at 1.0 remembered by exp(-2) against the same pair at 0.8: WLS weights 0.1353 and 1
    pairs = np.vstack([pairs_of([1.0], [1.0], 1e-7, 0.01), pairs_of([1.0], [0.8], 1e-7, 0.01, cycles=10.0)])
    soh, _ = capacity.track(pairs, **{**EXACT, "memory_cycles": 5.0})[-1]
    kept = math.exp(-2.0)
    assert soh == pytest.approx((kept + 0.8) / (kept + 1.0), abs=1e-6)


def test_what_comes_back_in_every_pair_and_the_gain_do_not_average_out():
    x = np.full(2000, 0.5)
    quiet = {**EXACT, "memory_cycles": 1e12}
    _, plain = capacity.track(pairs_of(x, 0.9 * x, 0.01, 0.001), **quiet)[-1]
    _, fixed = capacity.track(pairs_of(x, 0.9 * x, 0.01, 0.001, fixed=0.005), **quiet)[-1]
    _, gain = capacity.track(pairs_of(x, 0.9 * x, 0.01, 0.001), **{**quiet, "gain_sigma": 0.01})[-1]
    assert plain == pytest.approx(math.hypot(0.009, 0.001) / 0.5 / math.sqrt(2000), rel=0.02)
    assert math.sqrt(fixed**2 - plain**2) == pytest.approx(0.005 / 0.5, rel=1e-6)
    assert math.sqrt(gain**2 - plain**2) == pytest.approx(0.01 * 0.9, rel=1e-6)


def test_sigma_grows_by_what_the_cycles_since_the_pairs_may_have_cost():
    states, fixed, s, _ = one(**{**EXACT, "fade_per_cycle": 0.001, "memory_cycles": 5.0})
    capacity.add(states[0], fixed[0], 1.0, 1.0, 1e-6, 1e-6, 0.0, 0.0)
    before = float(s["sigma"])
    capacity.add(states[0], fixed[0], 1.0, 1.0, 1e3, 1e3, 0.0, 3.0)  # a pair that says nothing, three cycles later
    assert s["sigma"] == pytest.approx(math.hypot(before, 0.003), rel=1e-4)


def test_one_sided_misfit_is_part_of_the_sigma():
    n = 200
    soh = 1.0 - 0.003 * np.arange(n)
    out = capacity.track(pairs_of(np.full(n, 0.9), 0.9 * soh, 0.005, 0.001, cycles=1.0))
    behind = out[20:, 0] - soh[20:]
    assert behind.min() > 0.008  # five cycles of memory at 0.3 % a cycle
    assert np.all(np.abs(behind) < 2.0 * out[20:, 1])
    steady = capacity.track(pairs_of(np.full(n, 0.9), 0.9 * np.ones(n), 0.005, 0.001, cycles=1.0))
    assert steady[-1, 1] < 0.75 * out[-1, 1]


def test_less_is_never_known_than_before_the_first_pair():
    n = 500
    out = capacity.track(pairs_of(np.full(n, 0.2), 0.18 * np.ones(n), 0.3, 0.3, cycles=1.0), fade_per_cycle=0.0)
    assert np.all(out[:, 1] <= 0.10 + 0.02)
    assert np.all((out[:, 0] > 0.85) & (out[:, 0] <= 1.0))


def test_a_pair_that_cannot_be_true_hardly_counts():
    n = 20
    good = pairs_of(np.full(n, 0.6), np.full(n, 0.54), 0.01, 0.002)
    flipped = pairs_of([0.6], [-0.54], 0.01, 0.002)
    before = capacity.track(good, fade_per_cycle=0.0)
    after = capacity.track(np.vstack([good, flipped]), fade_per_cycle=0.0)
    assert abs(after[-1, 0] - before[-1, 0]) < before[-1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        (math.nan, 0.5, 0.01, 0.01, 0.0, 0.0),
        (0.5, math.nan, 0.01, 0.01, 0.0, 0.0),
        (math.inf, 0.5, 0.01, 0.01, 0.0, 0.0),
        (0.5, 0.5, 0.0, 0.01, 0.0, 0.0),
        (0.5, 0.5, 0.01, 0.0, 0.0, 0.0),
        (0.5, 0.5, -0.01, 0.01, 0.0, 0.0),
        (0.5, 0.5, math.nan, 0.01, 0.0, 0.0),
        (0.5, 0.5, 0.01, math.nan, 0.0, 0.0),
        (2.1, 0.5, 0.01, 0.01, 0.0, 0.0),
        (0.5, -4.1, 0.01, 0.01, 0.0, 0.0),
        (0.5, 0.5, 0.01, 0.01, -0.1, 0.0),
        (0.5, 0.5, 0.01, 0.01, 1.1, 0.0),
        (0.5, 0.5, 0.01, 0.01, 0.0, -1.0),
        (0.5, 0.5, 0.01, 0.01, 0.0, 1e7),
        (0.5, 0.5, 0.01, 0.01, math.nan, 0.0),
        (0.5, 0.5, 0.01, 0.01, 0.0, math.nan),
        (0.0, 0.5, 0.01, 0.01, 0.0, 0.0),
    ],
)
def test_a_pair_that_is_none_changes_nothing(wrong):
    states, fixed, s, _ = one()
    capacity.add(states[0], fixed[0], 0.5, 0.45, 0.01, 0.01, 0.0, 0.0)
    before = s.tobytes()
    assert not capacity.add(states[0], fixed[0], *wrong)
    assert s.tobytes() == before


def test_only_absurd_pairs_end_at_the_bounds_and_stay_finite():
    for slope in (-1.0, 0.0, 5.0):
        x = np.full(50, 0.5)
        out = capacity.track(pairs_of(x, slope * x, 0.01, 0.01), **{**EXACT, "gate": 4.0, "prior_sigma": 0.1})
        assert np.all(np.isfinite(out))
        assert np.all((out[:, 0] >= capacity.LEAST) & (out[:, 0] <= capacity.MOST))


@pytest.mark.parametrize(("sigma_x", "sigma_y"), [(0.01, 0.001), (0.003, 0.01), (0.02, 0.02)])
def test_sigma_is_what_the_estimate_scatters_by(sigma_x, sigma_y):
    rng = np.random.default_rng(5)
    score, against = [], []
    for _ in range(300):
        soh = rng.uniform(0.8, 1.0)
        true = rng.uniform(0.2, 0.9, 40) * rng.choice([-1.0, 1.0], 40)
        x, y = true + sigma_x * rng.normal(size=40), soh * true + sigma_y * rng.normal(size=40)
        out = capacity.track(pairs_of(x, y, sigma_x, sigma_y), **EXACT)[-1]
        score.append((out[0] - soh) / out[1])
        grid = out[0] + np.linspace(-0.02, 0.02, 401)
        against.append(out[0] - grid[np.argmin([cost(q, x, y, sigma_x, sigma_y) for q in grid])])
    assert 0.7 < np.std(score) < 1.1
    assert abs(np.mean(score)) < 0.2
    assert np.max(np.abs(score)) < 4.0
    assert np.max(np.abs(against)) < 2e-4  # as good as the exact cost, which cannot be summed up


def test_shapes_and_fields_are_checked():
    with pytest.raises(ValueError, match="pairs of 6"):
        capacity.track(np.ones((3, 5)))
    with pytest.raises(ValueError, match="pairs of 6"):
        capacity.track(np.ones(6))
    with pytest.raises(ValueError):
        capacity.track(np.ones((1, 6)), no_such_field=1.0)


def test_sharp_and_blunt_pairs_each_weigh_by_their_own_sigmas():
    """What a perpendicular common to all pairs cannot: many blunt ones beside one that is sharp."""
    rng = np.random.default_rng(8)
    blunt_x = 0.2 + 0.06 * rng.normal(size=12)
    x, y = np.append(blunt_x, 0.95), np.append(np.full(12, 0.2), 0.9 * 0.95)
    sigma_x, sigma_y = np.append(np.full(12, 0.06), 0.007), np.append(np.full(12, 0.001), 0.012)
    soh = capacity.track(pairs_of(x, y, sigma_x, sigma_y), **{**EXACT, "prior_sigma": 0.1})[-1, 0]
    grid = np.linspace(0.85, 0.99, 14_001)
    exact = grid[np.argmin([cost(q, x, y, sigma_x, sigma_y) + (q - 1.0) ** 2 / 0.01 for q in grid])]
    assert soh == pytest.approx(exact, abs=0.001)
    assert soh == pytest.approx(0.9, abs=0.015)


def test_what_comes_back_in_every_pair_is_forgotten_with_its_pairs():
    states, fixed, s, _ = one(**{**EXACT, "memory_cycles": 5.0})
    capacity.add(states[0], fixed[0], 1.0, 1.0, 1e-7, 0.01, 0.01, 0.0)
    capacity.add(states[0], fixed[0], 1.0, 1.0, 1e-7, 0.01, 0.0, 5.0)
    assert s["fixed"] / s["weight"] == pytest.approx(0.01 * math.exp(-1.0) / (1.0 + math.exp(-1.0)), rel=1e-6)
