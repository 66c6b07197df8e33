"""The thermistor curve against its equation by hand, and both directions against each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.protocols.ntc import degc_of, ohm_of


@pytest.mark.parametrize(
    ("degc", "ohm"),
    [
        (25.0, 10_000.0),
        (85.0, 10_000.0 * math.exp(-3435.0 * 60.0 / (298.15 * 358.15))),  # 1/T - 1/T25 = (T25 - T) / (T T25): 1451 ohm
        (0.0, 10_000.0 * math.exp(3435.0 * 25.0 / (298.15 * 273.15))),  # 28.7 kohm
    ],
)
def test_the_b_equation_at_tabulated_temperatures(degc, ohm):
    assert ohm_of(degc) == pytest.approx(ohm, rel=1e-12)
    assert degc_of(ohm) == pytest.approx(degc, abs=1e-9)


def test_a_25_to_85_degree_bead_has_its_data_sheet_ratio():
    assert ohm_of(85.0) == pytest.approx(1451.0, rel=1e-3)
    assert ohm_of(0.0) == pytest.approx(28_700.0, rel=3e-3)


@given(st.floats(-60.0, 200.0))
def test_there_and_back_is_the_same_temperature(degc):
    assert degc_of(ohm_of(degc)) == pytest.approx(degc, abs=1e-9)


@given(st.floats(-60.0, 200.0), st.floats(-60.0, 200.0))
def test_warmer_never_means_more_resistance(a, b):
    assert (ohm_of(a) >= ohm_of(b)) == (a <= b) or ohm_of(a) == ohm_of(b)


def test_broken_and_shorted_sensors_read_the_ends_of_the_range():
    assert degc_of(math.inf) == degc_of(1e12) == -60.0
    assert degc_of(0.0) == degc_of(-5.0) == degc_of(1e-9) == degc_of(0.05) == degc_of(1.0) == 200.0


def test_temperatures_beyond_the_range_are_held_at_its_ends():
    assert ohm_of(-273.15) == ohm_of(-300.0) == ohm_of(-60.0)
    assert ohm_of(math.inf) == ohm_of(200.0)


def test_unknown_stays_unknown():
    assert np.isnan([ohm_of(math.nan), degc_of(math.nan)]).all()


@given(st.floats(allow_nan=False))
def test_every_resistance_stands_for_a_temperature_in_range(ohm):
    assert -60.0 <= degc_of(ohm) <= 200.0
