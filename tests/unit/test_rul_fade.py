"""End of life from the fade of capacity: laws with a known end, histories that say nothing, and what is refused."""

import math

import numpy as np
import pytest

from hil.analysis.rul.fade import HORIZON, LEAST_CYCLES, History, end_of_life, forecast
from hil.errors import InputError
from tests.rul_rig import exponential, fading

LIMIT_AH = 1.6
CASES = [
    (p, end, seen, seed) for p in (0.6, 1.0, 1.5) for end in (300.0, 700.0) for seen in (0.5, 0.75) for seed in (1, 2)
]


def test_the_intervals_hold_the_end_of_cells_that_follow_a_law() -> None:
    inside, ratios = 0, []
    for p, end, seen, seed in CASES:
        truth = end_of_life(fading(p, end, 1.5 * end, seed), LIMIT_AH)
        assert truth is not None
        assert truth == pytest.approx(end, rel=0.1)
        made = forecast(fading(p, end, seen * end, seed), LIMIT_AH)
        inside += made.end_low <= truth <= made.end_high
        ratios.append(made.end_median / truth)
        assert made.end_low < made.end_median < made.end_high
    assert inside >= 0.85 * len(CASES)
    assert 0.85 < float(np.median(ratios)) < 1.15


def test_the_interval_is_narrower_the_nearer_the_end() -> None:
    widths = []
    for seen in (0.4, 0.6, 0.8):
        made = forecast(fading(1.0, 600.0, seen * 600.0), LIMIT_AH)
        widths.append(made.end_high - made.end_low)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < 200.0


def test_a_straight_line_without_noise_is_continued() -> None:
    n = np.arange(0.0, 200.0, 2.0)
    made = forecast(History("line", n, 2.0 - 0.001 * n), LIMIT_AH)
    assert made.end_median == pytest.approx(400.0, rel=0.02)
    assert made.exponent == pytest.approx(1.0, abs=0.05)


def test_a_fade_that_feeds_itself_ends_before_a_straight_line_would() -> None:
    history = exponential(2.0, 600.0, 400.0)
    made = forecast(history, LIMIT_AH)
    q, n = history.capacity_ah, history.cycles
    straight = n[-1] * (2.0 - LIMIT_AH) / (2.0 - q[-5:].mean())
    assert made.end_median < straight
    assert made.end_low <= 600.0 <= made.end_high


def test_a_cell_that_does_not_fade_has_no_end_in_sight() -> None:
    n = np.arange(0.0, 100.0)
    made = forecast(History("new", n, 2.0 + 1e-3 * np.sin(n)), LIMIT_AH)
    assert math.isinf(made.end_median)
    assert math.isinf(made.end_high)
    assert np.isfinite(made.trend_ah).all()


def test_what_ended_is_told_with_its_cycle_and_nothing_is_foretold() -> None:
    history = fading(1.0, 400.0, 500.0, noise_ah=0.0)
    made = forecast(history, LIMIT_AH)
    assert made.ended is not None
    assert 398.0 <= made.ended <= 402.0
    assert made.end_low == made.end_median == made.end_high == made.ended


def test_one_low_reading_is_no_end_of_life_and_neither_is_one_that_recovers() -> None:
    n = np.arange(0.0, 40.0)
    q = np.full(40, 1.9)
    q[20] = 1.0
    assert end_of_life(History("dip", n, q), LIMIT_AH) is None
    q[10:18] = 1.5  # eight in a row, then a rest brings it back
    assert end_of_life(History("rest", n, q), LIMIT_AH) is None
    q[30:] = 1.5
    assert end_of_life(History("end", n, q), LIMIT_AH) == 30.0


def test_the_capacity_ahead_stays_above_zero_and_its_band_holds_the_middle() -> None:
    made = forecast(exponential(3.0, 300.0, 250.0), 0.4)
    assert (made.low_ah >= 0.0).all()
    assert (made.low_ah <= made.trend_ah).all()
    assert (made.trend_ah <= made.high_ah).all()
    assert made.cycles[-1] <= 4.0 * made.now + 1e-9
    assert made.end_median < HORIZON * made.now


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cycles": np.arange(4.0), "capacity_ah": np.ones(4)}, f"at least {LEAST_CYCLES}"),
        ({"cycles": np.zeros(9)}, "cycles must rise"),
        ({"capacity_ah": np.append(np.ones(8), np.nan)}, "1e-06 to 1e"),
        ({"capacity_ah": np.full(9, 1e-300)}, "1e-06 to 1e"),
        ({"capacity_ah": np.append(np.ones(8), -1.0)}, "1e-06 to 1e"),
    ],
)
def test_what_is_no_history_is_refused(change: dict[str, np.ndarray], told: str) -> None:
    sound = {"cycles": np.arange(9.0), "capacity_ah": np.linspace(2.0, 1.9, 9)}
    with pytest.raises(InputError, match=told):
        forecast(History("x", **(sound | change)), 1.6)


@pytest.mark.parametrize(("limit_ah", "level"), [(0.0, 0.9), (math.nan, 0.9), (1.6, 0.0), (1.6, 1.0), (1.6, math.nan)])
def test_a_limit_or_level_that_is_none_is_refused(limit_ah: float, level: float) -> None:
    with pytest.raises(InputError):
        forecast(History("x", np.arange(9.0), np.linspace(2.0, 1.9, 9)), limit_ah, level)
