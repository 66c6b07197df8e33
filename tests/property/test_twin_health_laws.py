"""Laws of the health estimators: total least squares and its limits, recursive against batch least squares."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.kernel import zeros
from hil.twin import capacity, resistance

EXACT = {"gain_sigma": 0.0, "fade_per_cycle": 0.0, "memory_cycles": 1e12, "prior_sigma": 1e6, "gate": 1e9}
FEW = settings(max_examples=60, deadline=None)
SOH = st.floats(0.6, 1.3)
SIGMA = st.floats(0.001, 0.02)


@st.composite
def noisy(draw, sigma_x, sigma_y):
    """(soh, x, y): up to 30 pairs whose errors are within two sigma."""
    n = draw(st.integers(2, 30))
    soh = draw(SOH)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    true = rng.uniform(0.3, 0.9, n) * rng.choice([-1.0, 1.0], n)
    return soh, true + sigma_x * rng.uniform(-2, 2, n), soh * true + sigma_y * rng.uniform(-2, 2, n)


def last(x, y, sigma_x, sigma_y, **of_params):
    n = len(x)
    pairs = np.column_stack([x, y, np.full(n, sigma_x), np.full(n, sigma_y), np.zeros(n), np.zeros(n)])
    return capacity.track(pairs, **{**EXACT, **of_params})[-1]


@FEW
@given(SIGMA, st.data())
def test_x_and_y_change_places(sigma, data):
    _, x, y = data.draw(noisy(sigma, sigma))
    there, back = last(x, y, sigma, sigma)[0], last(y, x, sigma, sigma)[0]
    assert there * back == pytest.approx(1.0, abs=2e-3)


@FEW
@given(SIGMA, st.floats(0.6, 1.6), st.data())
def test_a_unit_of_y_is_a_unit_of_the_slope(sigma, unit, data):
    _, x, y = data.draw(noisy(sigma, 2.0 * sigma))
    soh, scaled = last(x, y, sigma, 2.0 * sigma)[0], last(x, unit * y, sigma, 2.0 * unit * sigma)[0]
    assert scaled == pytest.approx(min(max(unit * soh, capacity.LEAST), capacity.MOST), rel=2e-3)


@FEW
@given(SIGMA, SIGMA, st.data())
def test_the_order_of_the_pairs_and_the_direction_of_the_current_do_not_matter(sigma_x, sigma_y, data):
    _, x, y = data.draw(noisy(sigma_x, sigma_y))
    soh = last(x, y, sigma_x, sigma_y)[0]
    assert last(x[::-1], y[::-1], sigma_x, sigma_y)[0] == pytest.approx(soh, abs=2e-3)
    assert last(-x, -y, sigma_x, sigma_y)[0] == pytest.approx(soh, abs=1e-9)


@FEW
@given(SIGMA, st.data())
def test_with_x_exact_it_is_weighted_least_squares(sigma_y, data):
    _, x, y = data.draw(noisy(0.0, sigma_y))
    soh, sigma = last(x, y, 1e-9, sigma_y)
    assert soh == pytest.approx(np.sum(x * y) / np.sum(x * x), abs=1e-6)
    assert sigma >= sigma_y / math.sqrt(np.sum(x * x)) * (1.0 - 1e-6)


@FEW
@given(SIGMA, st.data())
def test_with_y_exact_it_is_weighted_least_squares_of_the_inverse(sigma_x, data):
    _, x, y = data.draw(noisy(sigma_x, 0.0))
    assert last(x, y, sigma_x, 1e-9)[0] == pytest.approx(np.sum(y * y) / np.sum(x * y), abs=2e-3)


@FEW
@given(SIGMA, SIGMA, st.data())
def test_it_lies_within_its_own_sigma_of_the_truth(sigma_x, sigma_y, data):
    true, x, y = data.draw(noisy(sigma_x, sigma_y))
    soh, sigma = last(x, y, sigma_x, sigma_y)
    assert abs(soh - true) < 2.0 * math.sqrt(len(x)) * sigma  # errors up to two sigma, all on one side


@FEW
@given(st.lists(st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 6), min_size=1, max_size=20))
def test_whatever_comes_in_the_estimate_stays_finite_and_within_its_bounds(pairs):
    out = capacity.track(np.array(pairs))
    assert np.all(np.isfinite(out))
    assert np.all((out[:, 0] >= capacity.LEAST) & (out[:, 0] <= capacity.MOST))


@FEW
@given(st.floats(0.3, 3.0), st.integers(5, 60), st.integers(0, 2**32))
def test_recursive_least_squares_is_the_batch_solution(growth, n, seed):
    rng = np.random.default_rng(seed)
    u = rng.uniform(0.05, 0.5, n) * rng.choice([-1.0, 1.0], n)
    d = growth * u + 1e-3 * rng.normal(size=n)
    states, fixed = zeros(resistance.ResistanceState), zeros(resistance.ResistanceParams)
    s, p = np.asarray(states)[0], np.asarray(fixed)[0]
    resistance.fill(p, 5.0)
    p["gate"], p["keep"], p["prior_sigma"] = 1e9, 0.9, 10.0
    resistance.start(s, p)
    spread = float(s["spread"])
    for one_d, one_u in zip(d, u, strict=True):
        resistance.learn(states[0], fixed[0], one_d, one_u)
    kept = 0.9 ** np.arange(n)[::-1]
    start = 0.9 ** (n - 1) / spread
    batch = (start + np.sum(kept * u * d)) / (start + np.sum(kept * u * u))
    assert s["growth"] == pytest.approx(batch, rel=1e-9)
    assert s["spread"] == pytest.approx(1.0 / (start + np.sum(kept * u * u)) / 0.9, rel=1e-9)
