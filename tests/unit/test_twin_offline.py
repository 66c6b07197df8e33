"""The twin over a recording: its clocks, and what it refuses."""

import numpy as np
import pytest

from hil.twin.offline import ALIKE, _clocks, predict
from tests import fit_rig as rig


@pytest.mark.parametrize("jitter", [0.0, 0.004, 0.02, 0.3])
@pytest.mark.parametrize("count", [0, 1, 2, 400])
def test_clocks_are_stretches_of_like_steps_without_gap_or_overlap(jitter: float, count: int) -> None:
    rng = np.random.default_rng(count)
    steps = 0.1 * np.exp(jitter * rng.standard_normal(count))
    parts = rng.integers(1, 4, count)
    found = _clocks(steps, parts)
    assert [k for first, last, _ in found for k in range(first, last)] == list(range(count))
    for first, last, dt_s in found:
        assert np.all(np.abs(steps[first:last] - steps[first]) <= ALIKE * steps[first])
        assert dt_s == pytest.approx(np.average(steps[first:last], weights=parts[first:last]))
        if last < count:
            assert abs(steps[last] - steps[first]) > ALIKE * steps[first]


def test_a_jittering_clock_says_the_same_as_an_even_one() -> None:
    current_a = np.array(([4.0] * 25 + [0.0] * 15 + [-2.5] * 12) * 4)
    even_s = 0.1 * np.arange(current_a.size)
    jitter_s = np.append(0.005 * np.sin(7.0 * np.arange(current_a.size - 1)), 0.0)
    first, second = (
        predict(rig.truth(), time_s, current_a, np.full(even_s.size, 25.0), 0.6)
        for time_s in (even_s, even_s + jitter_s - jitter_s[0])
    )
    assert np.max(np.abs(first.voltage_v - second.voltage_v)) < 2e-4
    assert first.soc[-1] == pytest.approx(second.soc[-1], abs=1e-6)


def test_a_time_that_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="does not rise after sample 1"):
        predict(rig.truth(), np.array([0.0, 1.0, 1.0]), np.zeros(3), 25.0, 0.5)
