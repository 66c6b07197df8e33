"""The harness solves chains of disturbed wires; a dense matrix over every node of the drawing must agree."""

import numpy as np
from harness_rig import Wires, dense
from hypothesis import assume, given
from hypothesis import strategies as st

from hil.tick import OpenWireTest

VOLTS = st.lists(st.floats(2.0, 4.2), min_size=1, max_size=16)
TESTS = st.sampled_from(list(OpenWireTest))


def switches(data, count):
    return data.draw(st.lists(st.booleans(), min_size=count, max_size=count))


@given(VOLTS, st.data(), TESTS)
def test_open_wires_under_the_full_test_current_agree_with_nodal_analysis(volts, data, test):
    wires = Wires(volts)
    wires.pins.sense_open[: wires.n + 1] = switches(data, wires.n + 1)
    assume(not wires.pins.sense_open[: wires.n + 1].all())
    # 3 codes: rounding, and the input currents of intact wires, which are left out
    np.testing.assert_allclose(wires.codes(test=test), dense(wires, test), atol=3)


@given(VOLTS, st.data(), TESTS)
def test_open_wires_with_balancing_agree_with_nodal_analysis(volts, data, test):
    """A thousandth of the test current keeps the open ends within tens of volts, where the solution is exact."""
    wires = Wires(volts, test_current_a=1e-7)
    wires.pins.sense_open[: wires.n + 1] = switches(data, wires.n + 1)
    assume(not wires.pins.sense_open[: wires.n + 1].all())
    wires.bleed[: wires.n] = switches(data, wires.n)
    np.testing.assert_allclose(wires.codes(test=test), dense(wires, test), atol=5)


@given(VOLTS, st.data(), TESTS)
def test_corroded_wires_with_balancing_agree_with_nodal_analysis(volts, data, test):
    """From a milliohm to what is as good as cut, some of them open, balancing where it likes."""
    wires = Wires(volts, test_current_a=1e-6)
    count = wires.n + 1
    ohms = st.one_of(st.just(0.0), st.floats(1e-3, 100.0), st.floats(100.0, 1e6))
    wires.pins.sense_ohm[:count] = data.draw(st.lists(ohms, min_size=count, max_size=count))
    wires.pins.sense_open[:count] = switches(data, count)
    assume(not wires.pins.sense_open[:count].all())
    wires.bleed[: wires.n] = switches(data, wires.n)
    np.testing.assert_allclose(wires.codes(test=test), dense(wires, test), atol=5)


@given(VOLTS, TESTS)
def test_bleed_switches_of_an_intact_harness_change_no_sum(volts, test):
    """What the two outer wires lose is all that is missing; with the outer cells not bleeding that is nothing."""
    wires = Wires([3.3, *volts, 3.3])
    wires.bleed[1 : wires.n - 1] = 1
    assert abs(sum(wires.codes(test=test)) - round(sum([3.3, *volts, 3.3]) * 1e4)) <= wires.n / 2 + 1
