"""What the DUT's converters read, against Ohm's and Kirchhoff's laws worked out by hand."""

import numpy as np
import pytest
from harness_rig import EXACT, IDEAL, Wires

from hil.errors import InputError
from hil.tick import CELLS, OpenWireTest
from hil.virtual import harness
from hil.virtual.harness import FrontEnd, Sensor, Sensors

UP, DOWN = OpenWireTest.PULL_UP, OpenWireTest.PULL_DOWN
FIVE = [3.0, 3.2, 3.4, 3.6, 3.7]  # taps at 0, 3.0, 6.2, 9.6, 13.2, 16.9 V
# Moves a lone open wire by 1 uA x 1 Mohm = 1 V; the microamperes drop up to 0.5 mV in the filters.
GENTLE = {"test_current_a": 1e-6, "input_ohm": 2e6}


def test_clean_wires_read_each_cell_to_the_code():
    volts = [0.0, 0.0001, 2.5, 3.33334, 3.33336, 5.73]
    assert Wires(volts).codes() == [0, 1, 25000, 33333, 33334, 57300]


def test_the_test_current_moves_no_clean_wire():
    assert Wires(FIVE).codes(test=UP) == Wires(FIVE).codes(test=DOWN) == [30000, 32000, 34000, 36000, 37000]


def test_an_open_wire_floats_halfway_between_its_neighbours():
    wires = Wires(FIVE)
    wires.pins.sense_open[2] = 1  # halfway between 3.0 and 9.6 V: both cells read 3.3 V, their sum stays
    assert wires.codes() == [30000, 33000, 33000, 36000, 37000]


def test_adjacent_open_wires_share_the_voltage_between_the_intact_ones():
    wires = Wires(FIVE)
    wires.pins.sense_open[2:4] = 1  # 13.2 - 3.0 over three cells
    assert wires.codes() == [30000, 34000, 34000, 34000, 37000]


def test_the_test_current_moves_an_open_wire_by_current_times_half_the_input_resistance():
    wires = Wires(FIVE, **GENTLE)
    wires.pins.sense_open[2] = 1
    np.testing.assert_allclose(wires.codes(test=UP), [30000, 43000, 23000, 36000, 37000], atol=5)
    np.testing.assert_allclose(wires.codes(test=DOWN), [30000, 23000, 43000, 36000, 37000], atol=5)


def test_the_test_current_moves_two_adjacent_open_wires_together():
    wires = Wires(FIVE, **GENTLE)
    wires.pins.sense_open[2:4] = 1  # ladder: I R j (m + 1 - j) / 2 = 2 V at both, the cell between them sees nothing
    np.testing.assert_allclose(wires.codes(test=UP), [30000, 54000, 34000, 14000, 37000], atol=5)


@pytest.mark.parametrize("wire", range(1, 5))
def test_the_full_test_current_drives_the_cells_beside_an_open_wire_to_the_ends_of_the_range(wire):
    wires = Wires(FIVE)
    wires.pins.sense_open[wire] = 1
    up, down = wires.codes(test=UP), wires.codes(test=DOWN)
    assert (up[wire - 1], up[wire]) == (57300, 0)
    assert (down[wire - 1], down[wire]) == (0, 57300)
    assert up[wire] - down[wire] < -4000  # the 400 mV criterion of the data sheet


def test_an_open_bottom_wire_reads_nothing_and_a_pull_down_finds_it():
    wires = Wires(FIVE)
    wires.pins.sense_open[0] = 1
    assert (wires.codes()[0], wires.codes(test=UP)[0], wires.codes(test=DOWN)[0]) == (0, 0, 57300)
    assert wires.codes()[1:] == [32000, 34000, 36000, 37000]


def test_an_open_top_wire_reads_nothing_and_a_pull_up_finds_it():
    wires = Wires(FIVE)
    wires.pins.sense_open[5] = 1
    assert (wires.codes()[4], wires.codes(test=UP)[4], wires.codes(test=DOWN)[4]) == (0, 57300, 0)


def test_with_every_wire_cut_nothing_is_read():
    wires = Wires(FIVE)
    wires.pins.sense_open[:6] = 1
    for test in (OpenWireTest.NONE, UP, DOWN):
        assert wires.codes(test=test) == [0, 0, 0, 0, 0]


def test_bleeding_drops_voltage_on_the_cells_two_wires_and_lifts_the_neighbours():
    wires = Wires([3.3] * 5)
    wires.bleed[2] = 1  # 3.3 V / (33 + 2 x 0.5 ohm) = 97.06 mA: 48.53 mV a wire
    assert wires.codes() == [33000, 33485, 32029, 33485, 33000]


def test_the_wire_between_two_bleeding_cells_carries_only_the_difference():
    wires = Wires([3.3] * 4)
    wires.bleed[1:3] = 1  # 3.3 V / (33 + 0.5 ohm) = 98.51 mA through each resistor
    assert wires.codes() == [33493, 32507, 32507, 33493]


def test_a_bleed_resistor_pulls_an_open_wire_to_its_other_end():
    wires = Wires(FIVE)
    wires.pins.sense_open[3] = 1
    wires.bleed[2] = 1  # wire 3 hangs on wire 2 through 33 ohm
    np.testing.assert_allclose(wires.codes(), [30000, 32000, 0, 57300, 37000], atol=1)  # 7.0 V is beyond the range


def test_a_negative_or_huge_voltage_stays_at_the_ends_of_the_range():
    assert Wires([-0.2, 5.8, np.inf, -np.inf]).codes() == [0, 57300, 57300, 0]


def test_an_unknown_cell_voltage_reads_no_code_and_spoils_no_other():
    wires = Wires([3.0, np.nan, 3.4])
    assert wires.codes() == [30000, harness.NO_CODE, 34000]
    wires.bleed[0] = 1
    assert wires.codes()[1:] == [harness.NO_CODE, 34000]


def test_the_same_seed_and_instant_give_the_same_codes():
    first, again, other = (Wires([3.3] * 96, seed, FrontEnd(), Sensors()) for seed in (7, 7, 8))
    first.read(t_ns=5)
    first.read(t_ns=30)
    assert first.read(t_ns=10_000_000).tobytes() == again.read(t_ns=10_000_000).tobytes()
    assert first.codes(t_ns=10_000_000) != other.codes(t_ns=10_000_000)
    assert first.codes(t_ns=10_000_000) != first.codes(t_ns=20_000_000)


def test_noise_and_systematic_errors_are_as_large_as_stated():
    wires = Wires([3.3] * 96, 3, FrontEnd())
    codes = np.array([wires.codes(t_ns=k) for k in range(200)])
    assert 2.85 < codes.std(axis=0).mean() < 3.2  # 0.3 mV rms and 0.29 codes of rounding
    errors = codes.mean(axis=0) - 33000
    assert 2.5 < errors.std() < 6.0  # 0.3 mV and 80 ppm of 3.3 V: 4.0 codes
    assert np.abs(errors).max() < 22  # total measurement error of the data sheet, 2.2 mV


def test_thermistor_codes_are_the_divider_ratio():
    wires = Wires(FIVE)
    wires.pins.thermistor_ohm[:4] = [10e3, 30e3, 5e3, 1e3]  # 1/2, 3/4, 1/3, 1/11 of 4095
    assert list(wires.read().temp_code[:4]) == [2048, 3071, 1365, 372]


def test_a_shorted_a_broken_and_an_unknown_thermistor_read_the_ends_of_the_scale():
    wires = Wires(FIVE)
    wires.pins.thermistor_ohm[:4] = [0.0, np.inf, np.nan, 1e9]
    assert list(wires.read().temp_code[:4]) == [0, 4095, 4095, 4095]


def test_scalar_inputs_are_rounded_to_their_steps():
    wires = Wires(FIVE)
    pins = wires.pins
    pins.pack_current_a, pins.pack_voltage_v, pins.link_voltage_v = -123.4567, 317.004, 316.996
    pins.supply_v, pins.isolation_ohm, pins.hvil, pins.wake = 12.345, 4_999_600.0, 1, 1
    pins.auxiliary[:] = [1, 0, 1]
    seen = wires.read(t_ns=42)
    assert (seen.pack_current_ma, seen.pack_voltage_mv, seen.link_voltage_mv) == (-123460, 317000, 317000)
    assert (seen.supply_mv, seen.isolation_kohm, seen.hvil, seen.wake, seen.t_ns) == (12340, 5000, 1, 1, 42)
    assert list(seen.auxiliary) == [1, 0, 1]


def test_unknown_scalars_have_a_number_of_their_own_and_a_perfect_isolation_is_full_scale():
    wires = Wires(FIVE)
    wires.pins.pack_current_a = wires.pins.pack_voltage_v = wires.pins.link_voltage_v = np.nan
    wires.pins.supply_v = wires.pins.isolation_ohm = np.nan
    seen = wires.read()
    found = {seen.pack_current_ma, seen.pack_voltage_mv, seen.link_voltage_mv, seen.supply_mv, seen.isolation_kohm}
    assert found == {harness.NO_VALUE}
    wires.pins.isolation_ohm = np.inf
    assert wires.read().isolation_kohm == 50_000


def test_the_shunt_stays_within_its_stated_uncertainty():
    for seed in range(20):
        wires = Wires(FIVE, seed, IDEAL, Sensors())
        wires.pins.pack_current_a = 250.0
        assert abs(wires.read(t_ns=seed).pack_current_ma - 250_000) < 1_250 + 100  # 0.5 % + 0.1 A


def test_the_largest_stack_is_read_to_its_last_cell():
    volts = [3.0 + 0.001 * c for c in range(CELLS)]
    wires = Wires(volts)
    wires.pins.sense_open[CELLS] = 1
    wires.bleed[CELLS - 2] = 1
    assert wires.codes()[: CELLS - 3] == [30000 + 10 * c for c in range(CELLS - 3)]
    assert wires.codes()[CELLS - 1] == 0


@pytest.mark.parametrize(
    ("n_cells", "n_temps", "front_end", "sensors"),
    [
        (0, 4, IDEAL, EXACT),
        (CELLS + 1, 4, IDEAL, EXACT),
        (4, 0, IDEAL, EXACT),
        (4, 4, FrontEnd(sense_wire_ohm=0.0), EXACT),
        (4, 4, FrontEnd(code_v=float("nan")), EXACT),
        (4, 4, IDEAL, Sensors(supply=Sensor(0.0))),
    ],
)
def test_a_harness_that_cannot_be_is_refused(n_cells, n_temps, front_end, sensors):
    with pytest.raises(InputError, match="expected"):
        harness.params(n_cells, n_temps, 1, front_end, sensors)


def test_a_corroded_wire_drops_the_bleed_current_and_nothing_without_one():
    wires = Wires([3.3] * 6)
    wires.pins.sense_ohm[3] = 4.5
    assert wires.codes() == [33000] * 6
    wires.bleed[2] = 1
    # 3.3 V over 33 + 0.5 + 5 ohm: 85.7 mA, which takes 0.429 V off the balanced cell at this wire and gives it to the next
    current = 3.3 / 38.5
    found = wires.codes()
    assert found[3] == pytest.approx((3.3 + 5.0 * current) * 1e4, abs=2)
    assert found[2] == pytest.approx((3.3 - 5.5 * current) * 1e4, abs=2)


def test_a_corroded_wire_is_moved_by_the_open_wire_test():
    wires = Wires([3.3] * 6)
    wires.pins.sense_ohm[3] = 3000.0
    up, down = wires.codes(test=OpenWireTest.PULL_UP), wires.codes(test=OpenWireTest.PULL_DOWN)
    assert up[2] - down[2] == pytest.approx(2 * 100e-6 * 3000.0 * 1e4, rel=0.01)  # 0.6 V
