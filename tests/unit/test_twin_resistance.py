"""Growth of R0 by recursive least squares: hand arithmetic, excitation, forgetting, noise, and what cannot be true."""

import math

import numpy as np
import pytest

from hil.kernel import zeros
from hil.twin import resistance

AH, R0 = 5.0, 0.02


class One:
    """One estimator, started; ``take`` gives it a sample of a cell with ``growth`` whose model has the nominal R0."""

    def __init__(self, **of_params):
        self.states, self.fixed = zeros(resistance.ResistanceState), zeros(resistance.ResistanceParams)
        self.s, self.p = np.asarray(self.states)[0], np.asarray(self.fixed)[0]
        resistance.fill(self.p, AH)
        for name, value in of_params.items():
            self.p[name] = value
        resistance.start(self.s, self.p)

    def take(self, amps, growth, off_v=0.0, dt_s=0.01, used=1.0, corrected_v=0.0):
        residual_v = off_v - (growth - used) * R0 * amps
        args = (dt_s, amps, residual_v, used * R0 * amps, R0, corrected_v)
        return resistance.step(self.states[0], self.fixed[0], *args)


def test_one_step_by_hand():
    one = One(prior_sigma=0.5, noise_v=0.1, table_sigma=0.0, gain_sigma=0.0, gate=1e9, keep=0.5)
    assert not one.take(0.0, 1.5)
    assert one.take(5.0, 1.5)
    # u = -0.1 V, d = -0.15 V, spread = 0.25 / 0.01 = 25: gain = 25 u / (1 + 25 u^2) = -2, growth = 1 + 2 * 0.05
    assert one.s["growth"] == pytest.approx(1.1, abs=1e-12)
    assert one.s["noise_v2"] == pytest.approx(0.99 * 0.01 + 0.01 * 0.05**2 / 1.25, rel=1e-12)
    assert one.s["spread"] == pytest.approx(min(25.0 / 1.25 / 0.5, 0.25 / one.s["noise_v2"]), rel=1e-12)
    assert one.s["sigma"] == pytest.approx(math.sqrt(one.s["spread"] * one.s["noise_v2"]), rel=1e-12)
    assert one.s["steps"] == 1


def test_before_the_first_step_it_is_nominal_with_the_prior_sigma():
    one = One()
    assert (one.s["growth"], one.s["sigma"], one.s["steps"]) == (1.0, 0.5, 0)


@pytest.mark.parametrize("growth", [0.7, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("used", [1.0, 1.4])
def test_steps_without_noise_give_the_growth_whatever_the_prediction_used(growth, used):
    one = One()
    for k in range(400):
        one.take(5.0 * (k % 2), growth, off_v=0.03, used=used)
    assert one.s["growth"] == pytest.approx(growth, rel=1e-3)
    assert one.s["sigma"] == pytest.approx(growth * math.hypot(0.03, 0.005), rel=0.02)


def test_what_a_filter_corrects_between_two_samples_is_not_taken_for_resistance():
    one, off = One(gate=1e9, noise_v=0.02), 0.0
    for k in range(400):
        before, off = off, -0.02 * (k % 2)  # the residual's offset moves with the current, by the filter alone
        one.take(5.0 * (k % 2), 1.2, off_v=off, corrected_v=-(off - before))
    assert one.s["growth"] == pytest.approx(1.2, rel=1e-3)


def test_only_steps_that_excite_are_learned_from_and_only_they_forget():
    one = One()
    one.take(0.0, 2.0)
    assert not one.take(0.49, 2.0)  # C/10 is 0.5 A
    assert one.take(-0.02, 2.0)
    spread = float(one.s["spread"])
    for _ in range(10_000):
        one.take(-0.02, 2.0, off_v=0.001)
    assert one.s["spread"] == spread
    assert not one.take(5.0, 2.0, dt_s=2.1)  # too long ago
    assert not one.take(0.0, 2.0, dt_s=0.0)
    assert one.take(5.0, 2.0, dt_s=2.0)


def test_the_covariance_is_never_more_than_at_the_start():
    one = One(excite_a=0.001)
    for k in range(20_000):
        one.take(0.002 * (k % 2), 1.0)
        assert one.s["spread"] * one.s["noise_v2"] <= 0.25 * (1 + 1e-12)
    assert one.s["sigma"] < 0.51


def test_an_aged_value_is_forgotten():
    one, rng = One(), np.random.default_rng(3)
    for growth in (1.0, 1.5):
        for k in range(2500):
            one.take(5.0 * (k % 2), growth, off_v=0.001 * rng.normal())
    assert one.s["growth"] == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize("step_a", [0.5, 1.0, 2.0])  # once, twice and four times the least step used
def test_noise_of_the_current_makes_it_too_small_by_no_more_than_the_bound(step_a):
    noise_a = 0.025  # excite_a / 20: five times what it is made for
    one, rng, values = One(), np.random.default_rng(4), []
    amps = 0.0
    for _ in range(30_000):
        amps = step_a - amps
        seen_a = amps + noise_a * rng.normal()
        residual_v = -(1.3 * R0 * amps - R0 * seen_a)
        resistance.step(one.states[0], one.fixed[0], 0.01, seen_a, residual_v, R0 * seen_a, R0, 0.0)
        values.append(float(one.s["growth"]))
    low = 1.0 - np.mean(values[2000:]) / 1.3
    if step_a > 0.5:
        assert low == pytest.approx(2.0 * noise_a**2 / step_a**2, abs=0.0004)
    else:
        assert 0.03 < low < 1.2 * noise_a / one.p["excite_a"]


def test_sigma_covers_the_scatter_and_says_what_the_table_and_the_gain_may_be_off():
    score, rng = [], np.random.default_rng(6)
    for _ in range(60):
        one = One(table_sigma=0.0, gain_sigma=0.0)
        for k in range(1500):
            one.take(2.0 * (k % 2), 1.2, off_v=0.002 * rng.normal())
        score.append((one.s["growth"] - 1.2) / one.s["sigma"])
    assert 0.4 < np.std(score) < 1.1  # at most: the sigma of forgetting is on the safe side
    assert abs(np.mean(score)) < 0.5
    assert One().p["table_sigma"] == 0.03


def test_a_single_wrong_voltage_moves_it_little():
    one, rng = One(), np.random.default_rng(7)
    for k in range(1000):
        one.take(5.0 * (k % 2), 1.0, off_v=0.001 * rng.normal())
    before = float(one.s["growth"])
    one.take(5.0, 1.0, off_v=3.0)
    one.take(0.0, 1.0)
    assert abs(one.s["growth"] - before) < 0.01


@pytest.mark.parametrize("field", range(6))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_known_is_left_out_and_leaves_no_trace(field, value):
    one = One()
    for k in range(50):
        one.take(5.0 * (k % 2), 1.2)
    before = one.s["growth"], one.s["sigma"], one.s["steps"]
    args = [0.01, 5.0, 0.0, 0.1, R0, 0.0]
    args[field] = value
    taken = resistance.step(one.states[0], one.fixed[0], *args)
    assert not taken
    assert (one.s["growth"], one.s["sigma"], one.s["steps"]) == before
    for k in range(300):
        one.take(5.0 * (k % 2), 1.2)
    assert one.s["growth"] == pytest.approx(1.2, rel=1e-3)


def test_a_current_of_the_wrong_sign_ends_at_the_bound():
    one = One()
    for k in range(3000):
        amps = 5.0 * (k % 2)
        resistance.step(one.states[0], one.fixed[0], 0.01, -amps, -R0 * amps - R0 * amps, -R0 * amps, R0, 0.0)
    assert one.s["growth"] == resistance.LEAST
    assert math.isfinite(one.s["sigma"])
