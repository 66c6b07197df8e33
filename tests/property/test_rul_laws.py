"""Laws of remaining life and of advice that hold whatever the numbers are."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.analysis.advice.condition import Condition, Life
from hil.analysis.advice.rules import RULES, advise, below, life_below, life_quantile
from hil.analysis.rul.fade import History, forecast
from hil.analysis.rul.features import features
from hil.analysis.rul.model import SHIPPED, load_rul_model, predict
from hil.analysis.rul.ridge import jackknife_plus
from tests.rul_rig import fading, make_curves

MODEL = load_rul_model(SHIPPED)
SCALES = st.floats(0.01, 1000.0)


@given(SCALES, st.integers(0, 50))
def test_features_of_a_cell_scaled_in_ah_are_the_same(scale: float, seed: int) -> None:
    one, many = (
        features(make_curves(4, seed), 1.1).values,
        features(make_curves(4, seed, scale=scale), 1.1 * scale).values,
    )
    assert np.allclose(one, many, rtol=1e-9, atol=1e-9)


@given(st.lists(st.floats(0.01, 0.95), min_size=2, max_size=5, unique=True), st.integers(0, 20))
def test_an_interval_of_a_higher_level_holds_that_of_a_lower(levels: list[float], seed: int) -> None:
    curves = make_curves(3, seed)
    made = [predict(MODEL, curves, level) for level in sorted(levels)]
    for narrow, wide in pairwise(made):
        for a, b in zip(narrow, wide, strict=True):
            assert b.life_low <= a.life_low <= a.life_high <= b.life_high


@given(st.integers(0, 1000), st.integers(19, 60), st.floats(0.3, 0.9))
def test_jackknife_plus_covers_new_draws_of_the_same_kind(seed: int, n: int, level: float) -> None:
    """The mean of n draws as the model: the guarantee is on average, so a hundred new draws at once are counted."""
    uniform = np.random.SeedSequence(seed).generate_state(n + 100, np.uint32) / 2.0**32
    y, new = uniform[:n], uniform[n:]
    without = (y.sum() - y) / (n - 1)
    low, high = jackknife_plus(np.repeat(without[:, None], 1, axis=1), y - without, level)
    covered = float(np.mean((new >= low) & (new <= high)))
    assert covered >= 2.0 * level - 1.0 - 0.25
    assert math.isfinite(low[0])


@settings(max_examples=8)
@given(st.floats(0.7, 1.4), st.floats(0.4, 0.8), SCALES, st.floats(0.1, 10.0))
def test_a_forecast_knows_no_unit(p: float, seen: float, ah: float, stretch: float) -> None:
    """Capacity in other units and cycles counted otherwise: the same forecast in the new units."""
    history = fading(p, 300.0, seen * 300.0, step=6.0)
    one = forecast(history, 1.6)
    other = forecast(History("x", history.cycles * stretch + 17.0, history.capacity_ah * ah), 1.6 * ah)
    for a, b in ((one.end_low, other.end_low), (one.end_median, other.end_median), (one.end_high, other.end_high)):
        assert math.isinf(a) == math.isinf(b)
        assert math.isinf(a) or math.isclose(a * stretch + 17.0, b, rel_tol=1e-6)


@settings(max_examples=8)
@given(st.floats(0.7, 1.4), st.floats(0.4, 0.8), st.lists(st.floats(0.1, 0.99), min_size=2, max_size=3, unique=True))
def test_a_forecast_widens_with_the_level_and_a_lower_limit_ends_later(
    p: float, seen: float, levels: list[float]
) -> None:
    history = fading(p, 300.0, seen * 300.0, step=6.0)
    narrow, wide = (forecast(history, 1.6, level) for level in (min(levels), max(levels)))
    assert now_or(history) <= wide.end_low <= narrow.end_low <= narrow.end_median <= narrow.end_high <= wide.end_high
    assert forecast(history, 1.5).end_median >= narrow.end_median


def now_or(history: History) -> float:
    return float(history.cycles[-1]) - 1e-9


@given(st.floats(1.0, 1e4), st.floats(0.05, 0.99), st.floats(1.01, 50.0), st.floats(0.1, 0.99), st.floats(0.01, 0.5))
def test_the_distribution_of_a_life_rises_and_its_quantile_turns_it_round(
    median: float, low: float, high: float, level: float, p: float
) -> None:
    life = Life(median, low * median, high * median, level)
    at = [life_below(life, x * median) for x in (0.0, 0.01, 0.5, 1.0, 1.5, 100.0)]
    assert at == sorted(at)
    assert 0.0 <= at[0] <= at[-1] <= 1.0
    assert math.isclose(life_below(life, life_quantile(life, p)), p, rel_tol=1e-6, abs_tol=1e-9)


UNIT = st.floats(0.0, 2.0) | st.just(math.nan)
SIGMA = st.floats(0.0, 1.0) | st.just(math.nan)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    n = draw(st.integers(1, 8))
    row = lambda values: np.array(draw(st.lists(values, min_size=n, max_size=n)))  # noqa: E731
    maybe = lambda values: draw(st.sampled_from([None, row(values), row(values)[:1]]))  # noqa: E731
    life = Life(*sorted_life(draw(st.lists(st.floats(0.0, 1e5), min_size=3, max_size=3))), draw(st.floats(0.01, 0.99)))
    return Condition(
        "drawn", n, maybe(UNIT), maybe(SIGMA), maybe(UNIT), maybe(SIGMA), maybe(UNIT), maybe(SIGMA),
        maybe(st.sampled_from([0.0, 1.0, 2.0, math.nan])), maybe(st.floats(1e-6, 1e6) | st.just(math.nan)), maybe(SIGMA),
        life if draw(st.booleans()) else None, draw(st.none() | st.floats(0.1, 500.0)), 3.6,
        draw(st.none() | st.floats(0.01, 5.0)), draw(st.none() | st.floats(0.01, 10.0)), draw(st.none() | st.integers(1, 8)),
        draw(st.sampled_from([None, 0.0, 1.0, 2.0])),
    )  # fmt: skip


def sorted_life(values: list[float]) -> tuple[float, float, float]:
    low, median, high = sorted(values)
    return median + 1.0, low, high + 1.0


@given(conditions())
def test_whatever_the_condition_every_rule_answers_and_every_confidence_is_a_probability(condition: Condition) -> None:
    advices, judged = advise(condition)
    assert [j.rule for j in judged] == [r.name for r in RULES]
    assert all(a.confidence is None or 0.0 <= a.confidence <= 1.0 for a in advices)
    assert [a.urgency for a in advices] == sorted(a.urgency for a in advices)
    acting = {j.rule for j in judged if j.state == "act"}
    assert {a.rule for a in advices} == acting
    for advice in advices:
        assert "nan" not in f"{advice.what} {advice.why} {advice.when.text}"


@given(st.floats(0.5, 1.0), st.floats(0.001, 0.1), st.floats(0.0, 0.2))
def test_a_worse_capacity_is_never_less_likely_at_its_end(value: float, sigma: float, loss: float) -> None:
    a, b = below(value, sigma, 0.8), below(value - loss, sigma, 0.8)
    assert a is not None
    assert b is not None
    assert b >= a


@given(st.permutations(range(5)))
def test_the_order_of_the_groups_does_not_matter(order: list[int]) -> None:
    base = Condition(
        "p", 5, np.array([0.95, 0.94, 0.85, 0.95, 0.96]), np.array([0.01]), np.array([1.2, 1.5, 1.2, 1.21, 1.19]),
        np.array([0.03]), np.array([0.5, 0.52, 0.49, 0.58, 0.5]), np.array([0.01]),
    )  # fmt: skip
    mixed = replace(
        base,
        soh_capacity=base.soh_capacity[order],
        resistance_growth=base.resistance_growth[order],
        cell_soc=base.cell_soc[order],
    )  # type: ignore[index]
    first, second = advise(base)[0], advise(mixed)[0]
    assert [(a.rule, a.confidence) for a in first] == [(a.rule, a.confidence) for a in second]


@settings(max_examples=30)
@given(st.lists(st.floats(1e-6, 1e6), min_size=8, max_size=30), st.floats(1e-6, 1e6), st.floats(1e-3, 1e6))
def test_whatever_the_capacities_a_forecast_is_ordered_and_its_band_is_numbers(
    q: list[float], limit_ah: float, step: float
) -> None:
    made = forecast(History("x", np.arange(len(q)) * step, np.array(q)), limit_ah)
    assert made.end_low <= made.end_median <= made.end_high
    assert not math.isnan(made.end_median)
    assert np.isfinite(made.low_ah).all()
    assert np.isfinite(made.high_ah).all()
    assert (made.low_ah <= made.high_ah).all()
