"""Health from tick to tick: what a rest is, what its OCV says of the SoC, which pairs are made; and whole lives."""

import math

import numpy as np
import pytest
from health_rig import CAPACITY_AH, FLAT, R0_OHM, SLOPED, SOC, Rig, Sensors, life

from hil.twin import health
from hil.twin.cells import SOC_LEAST, SOC_MOST

LINE = 3.0 + 1.0 * SOC  # 10 mV per % of SoC
QUIET = Sensors()


def tick(dt_s, flowed_a, now_a, soc, residual_v=0.0, degc=25.0, polarisation_v=0.0):
    return [dt_s, flowed_a, now_a, degc, soc, residual_v, polarisation_v, R0_OHM * now_a, R0_OHM, 0.0]


def rest(soc, seconds=900.0, residual_v=0.0, believed=None, **more):
    """Ticks of 10 s at rest in which the voltage says ``soc``; the model may believe another."""
    believed = soc if believed is None else believed
    return [tick(10.0, 0.0, 0.0, believed, residual_v + soc - believed, **more)] * int(seconds / 10.0)


def drive(ah, amps=5.0, soc=0.5):
    """One tick that moves ``ah`` (positive: out) with ``amps`` at its end."""
    return [tick(abs(ah) / abs(amps) * 3600.0, math.copysign(amps, ah), amps, soc)]


def test_from_one_rest_to_the_next_the_slope_is_the_capacity():
    rig = Rig(LINE)
    rig.follow([*rest(0.9), *drive(2.4), *rest(0.3), *drive(-1.0)])  # 2.4 Ah for 60 %: 4 Ah
    assert rig.s["capacity"]["pairs"] == 1
    assert rig.s["soh_capacity"] == pytest.approx(0.8, abs=0.006)  # a little of the nominal is left in it
    assert rig.s["capacity_ah"] == pytest.approx(CAPACITY_AH * rig.s["soh_capacity"], rel=1e-12)
    assert rig.s["capacity_sigma_ah"] == pytest.approx(CAPACITY_AH * rig.s["soh_capacity_sigma"], rel=1e-12)
    assert 0.008 < rig.s["soh_capacity_sigma"] < 0.03


def test_the_pair_s_sigmas_by_hand():
    rig = Rig(LINE)
    rig.p["capacity"]["prior_sigma"], rig.p["capacity"]["fade_per_cycle"] = 1e3, 0.0
    rig.p["capacity"]["gain_sigma"] = 0.0
    health.start(rig.s, rig.p)
    rig.follow([*rest(0.9, polarisation_v=0.002), *drive(3.0), *rest(0.3, polarisation_v=0.002), *drive(-1.0)])
    c = rig.s["capacity"]
    # an anchor: table 4 mV, rest 4 mV and 2 mV left: on 1 V per 1 that is 0.004 (and 0.005 of SoC), hypot(0.004, 0.002)
    assert rig.s["soc_fixed"] == pytest.approx(math.hypot(0.004, 0.005), rel=1e-3)
    assert rig.s["soc_random2"] == pytest.approx(0.004**2 + 0.002**2, rel=1e-3)
    seconds = 3.0 / 5.0 * 3600.0 + 900.0
    zero = 0.001 * seconds / 3600.0
    y2 = zero**2 + 0.0005**2
    x2 = 2.0 * (0.005**2 + 0.004**2 + 0.004**2 + 0.002**2)
    assert c["weight"] == pytest.approx(0.36 / (y2 + x2), rel=1e-3)
    assert c["fixed"] / c["weight"] == pytest.approx(math.sqrt(2.0 * (0.004**2 + 0.005**2) + zero**2) / 0.6, rel=1e-3)
    assert rig.s["soh_capacity"] == pytest.approx(1.0, abs=1e-4)


def test_the_soc_believed_is_not_used():
    outs = []
    for off in (0.0, 0.08, -0.15):
        rig = Rig(SLOPED)
        a = np.interp([0.9, 0.3], SOC, SLOPED)
        b = np.interp([0.9 + off, 0.3 + off], SOC, SLOPED)
        ticks = []
        for k, moved in ((0, drive(2.4)), (1, drive(-1.0))):
            ticks += [tick(10.0, 0.0, 0.0, (0.9, 0.3)[k] + off, a[k] - b[k])] * 90 + moved
        outs.append(rig.follow(ticks)[-1, 2])
    assert outs[0] == pytest.approx(0.8, abs=0.01)
    assert outs[1:] == pytest.approx([outs[0]] * 2, abs=1e-9)


def test_a_charge_counts_by_its_efficiency():
    rig = Rig(LINE, efficiency=0.98)
    rig.follow([*rest(0.3), *drive(-3.0), *rest(0.3 + 0.6 * 0.98), *drive(1.0)])
    assert rig.s["soh_capacity"] == pytest.approx(1.0, abs=1e-3)
    assert rig.s["capacity"]["pairs"] == 1


@pytest.mark.parametrize(
    ("second", "pairs"),
    [
        (rest(0.3, seconds=590.0), 0),  # too short
        (rest(0.3, polarisation_v=0.0031), 0),  # not settled
        (rest(0.3, polarisation_v=-0.0031), 0),
        (rest(0.3, residual_v=math.nan), 0),  # not seen
        (rest(0.3, degc=math.nan), 0),
        (rest(0.3), 1),
        ([tick(10.0, 0.09, 0.09, 0.3)] * 90, 1),  # below C/50 is rest
        ([tick(10.0, 0.11, 0.11, 0.3)] * 90, 0),
        ([tick(10.0, 0.0, math.nan, 0.3)] * 90, 0),
    ],
)
def test_what_is_a_rest(second, pairs):
    rig = Rig(LINE)
    rig.follow([*rest(0.9), *drive(3.0), *second, *drive(-1.0)])
    assert rig.s["capacity"]["pairs"] == pairs
    if pairs == 0:
        assert rig.s["soh_capacity"] == 1.0
        assert rig.s["soh_capacity_sigma"] == 0.10


def test_a_long_rest_gives_its_anchor_before_it_ends_and_its_end_is_where_counting_goes_on():
    rig = Rig(LINE)
    out = rig.follow([*rest(0.9), *drive(3.0), *rest(0.3, seconds=36_000.0)])
    changed = np.flatnonzero(np.diff(out[:, 3]))
    assert changed.size == 1
    assert changed[0] == 90 + 1 + 359 - 1  # 3600 s, ticks of 10 s
    assert rig.s["since_s"] == pytest.approx(36_000.0 - 3600.0)
    rig.follow(drive(-1.0))
    assert rig.s["since_s"] == pytest.approx(720.0)  # a night of the current's zero is not counted
    assert rig.s["turned"] == 1.0  # and the next pair still shares its anchor with the one before


def test_too_little_charge_keeps_the_better_anchor():
    rig = Rig(LINE)
    rig.follow([*rest(0.9), *drive(0.5), *rest(0.8, polarisation_v=0.002), *drive(0.1)])
    assert rig.s["soc"] == pytest.approx(0.9, abs=1e-6)  # the first one is sharper
    rig.p["rest_sigma_v"] = rig.p["ocv_sigma_v"] = 0.0001
    rig.p["soc_sigma"] = 0.004
    rig.follow([*rest(0.77), *drive(0.1)])
    assert rig.s["soc"] == pytest.approx(0.9, abs=1e-6)  # twice as sharp, no less
    rig.p["soc_sigma"] = 0.001
    rig.follow([*rest(0.75), *drive(0.1)])
    assert rig.s["soc"] == pytest.approx(0.75, abs=1e-6)
    assert rig.s["capacity"]["pairs"] == 0


def test_an_anchor_where_the_current_turned_round_counts_three_times_in_the_later_pair():
    ticks = [*rest(0.9), *drive(3.0), *rest(0.3)]
    weights = []
    for back in (drive(-3.0), drive(1.0)):
        rig = Rig(LINE)
        rig.p["capacity"]["memory_cycles"] = 1e12
        rig.follow([*ticks, *back])
        one = float(rig.s["capacity"]["weight"])
        rig.follow([*rest(0.9 if back[0][1] < 0 else 0.1), *drive(1.0)])
        weights.append(float(rig.s["capacity"]["weight"]) - one)
    zero, zero_short = 0.001 * (2160.0 + 900.0) / 3600.0, 0.001 * (720.0 + 900.0) / 3600.0
    stored = 0.001 * 0.6
    turned = 0.36 / (zero**2 + stored**2 + 0.0005**2 + 2 * 0.0064031**2 + 4 * 0.004**2)
    straight = 0.04 / (zero_short**2 + 0.0005**2 + 2 * 0.0064031**2 + 2 * 0.004**2)
    assert weights == pytest.approx([turned, straight], rel=2e-3)


def test_a_current_not_known_widens_the_pair_instead_of_spoiling_it():
    sigmas = []
    for lost_s in (0.0, 1.0, 3600.0):
        rig = Rig(LINE)
        gap = [tick(lost_s, math.nan, math.nan, 0.5)]
        rig.follow([*rest(0.9), *drive(3.0), *gap, *rest(0.3), *drive(-1.0)])
        assert math.isfinite(rig.s["soh_capacity"])
        sigmas.append(float(rig.s["soh_capacity_sigma"]))
    assert sigmas[1] == pytest.approx(sigmas[0], rel=0.01)
    assert sigmas[2] > 0.09  # an hour at 1 C may be the whole cell


def test_an_infinite_current_is_not_known_and_does_no_harm_later():
    rig = Rig(LINE)
    rig.follow([*rest(0.9), tick(1.0, math.inf, 5.0, 0.5), *drive(2.4), *rest(0.3), *drive(-1.0)])
    assert rig.s["soh_capacity"] == pytest.approx(0.8, abs=0.006)


def test_time_that_runs_backwards_or_is_not_known_counts_nothing():
    rig = Rig(LINE)
    rig.follow([*rest(0.9), tick(-5.0, 5.0, 5.0, 0.5), tick(math.nan, 5.0, 5.0, 0.5)])
    assert rig.s["out_c"] == 0.0
    assert rig.s["since_s"] == 0.0


def test_reading_the_table_backwards():
    rig = Rig(LINE)
    t = rig.tables[0]
    assert health.span(t, 25.0, 3.40, 3.42) == pytest.approx((0.40, 0.42), abs=1e-12)
    assert health.span(t, 25.0, 3.0, 4.0) == pytest.approx((0.0, 1.0), abs=1e-12)
    assert health.span(t, 25.0, 2.95, 4.05) == pytest.approx((-0.05, 1.05), abs=1e-9)
    assert health.span(t, 25.0, 1.0, 9.0) == (SOC_LEAST, SOC_MOST)
    assert health.span(t, 25.0, 2.94, 2.96) == pytest.approx((-0.06, -0.04), abs=1e-9)
    assert health.span(t, 25.0, 4.04, 4.06) == pytest.approx((1.04, 1.06), abs=1e-9)


def test_a_table_that_is_not_monotone_is_read_as_wide_as_it_is():
    bent = np.where(SOC < 0.5, 3.0 + SOC, np.where(SOC < 0.6, 4.0 - SOC, 2.8 + SOC))  # falls from 3.5 to 3.4 V
    t = Rig(bent).tables[0]
    assert health.span(t, 25.0, 3.44, 3.46) == pytest.approx((0.44, 0.66), abs=0.006)


def test_a_level_end_of_the_table_holds():
    level = np.clip(3.0 + SOC, 3.1, 3.9)
    t = Rig(level).tables[0]
    assert health.span(t, 25.0, 3.05, 3.5) == pytest.approx((0.0, 0.5), abs=0.006)
    assert health.span(t, 25.0, 3.5, 3.95) == pytest.approx((0.5, 1.0), abs=0.006)


def test_a_voltage_off_the_table_is_no_anchor():
    for soc in (-0.03, 1.03):
        rig = Rig(LINE)
        rig.follow([*rest(0.5, believed=0.5), *drive(1.0)])
        rig.follow([*rest(soc, believed=0.5), *drive(1.0)])
        assert rig.s["soc"] == pytest.approx(0.5, abs=1e-6)


def test_the_plateau_is_no_anchor_and_a_flat_one_a_wide_one():
    rig = Rig(np.full(SOC.size, 3.3))
    rig.follow([*rest(0.5, believed=0.5, residual_v=0.0), *drive(1.0)])
    assert math.isnan(rig.s["soc"])
    wide, narrow = Rig(FLAT), Rig(FLAT)
    for one, soc in ((wide, 0.3), (narrow, 0.02)):
        one.follow([*[tick(10.0, 0.0, 0.0, soc)] * 90, *drive(1.0)])
    assert wide.s["soc_fixed"] > 5.0 * narrow.s["soc_fixed"]


def test_without_motion_nothing_is_learned():
    rig = Rig(SLOPED)
    out = rig.follow([*rest(0.5, seconds=100_000.0)])
    assert np.all(out[:, [2, 3, 6, 7]] == [1.0, 0.10, 1.0, 0.5])
    assert np.all(out[:, 4] == R0_OHM)
    assert np.all(out[:, 5] == 0.5 * R0_OHM)
    assert np.all(out[:, :2] == [CAPACITY_AH, 0.1 * CAPACITY_AH])


def test_start_forgets_everything():
    rig, fresh = Rig(SLOPED), Rig(SLOPED)
    rng = np.random.default_rng(1)
    rig.follow(life(3, np.ones(3), np.ones(3), QUIET, rng).ticks)
    assert rig.s["capacity"]["pairs"] > 0
    rig.s["seen"] = fresh.s["seen"]
    health.start(rig.s, rig.p)
    assert rig.s.tobytes() == fresh.s.tobytes()


def test_ticks_of_any_length_give_the_same_capacity():
    rng = np.random.default_rng(2)
    aged = life(6, np.full(6, 0.9), np.ones(6), QUIET, rng)
    whole = Rig(SLOPED).follow(aged.ticks)
    halves = np.repeat(aged.ticks, 2, axis=0)
    halves[:, 0] *= 0.5
    halves[0::2, 2] = halves[0::2, 1]  # the current holds to the middle of a step
    halves[0::2, 9], halves[1::2, 5:7] = 0.0, aged.ticks[:, 5:7]
    other = Rig(SLOPED).follow(halves)
    assert other[-1, 2] == pytest.approx(whole[-1, 2], abs=2e-4)


LIFE = {"noise_a": 0.02, "noise_v": 0.001, "ocv_v": 0.004, "rest_v": 0.004, "soc": 0.02}


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(
    ("ocv_v", "soh_max", "soh_rms", "sigma_max"), [(SLOPED, 0.025, 0.016, 0.02), (FLAT, 0.12, 0.07, 0.13)]
)
def test_a_life_from_100_to_80_per_cent_stays_inside_three_sigma(sign, ocv_v, soh_max, soh_rms, sigma_max):
    n = 200
    sensors = Sensors(zero_a=0.005 * sign, gain=0.005 * sign, **LIFE)
    aged = life(n, np.linspace(1.0, 0.8, n), np.linspace(1.0, 1.5, n), sensors, np.random.default_rng(11), ocv_v)
    out = Rig(ocv_v).follow(aged.ticks)
    off, off_growth = out[:, 2] - aged.soh, out[:, 6] - aged.growth
    assert np.mean(np.abs(off) <= 3.0 * out[:, 3]) >= 0.99
    assert np.mean(np.abs(off_growth) <= 3.0 * out[:, 7]) >= 0.99
    run_in = aged.cycle >= 5
    assert np.sqrt(np.mean(off[run_in] ** 2)) < soh_rms
    assert np.max(np.abs(off[run_in])) < soh_max
    assert np.max(out[run_in, 3]) < sigma_max
    assert np.max(np.abs(off_growth[run_in])) < 0.03
    assert np.max(out[run_in, 7]) < 0.06


def test_a_perfect_life_is_followed_closely():
    n = 60
    aged = life(n, np.full(n, 0.85), np.full(n, 1.3), QUIET, np.random.default_rng(12))
    out = Rig(SLOPED).follow(aged.ticks)
    assert out[-1, 2] == pytest.approx(0.85, abs=0.002)
    assert out[-1, 6] == pytest.approx(1.3, abs=0.006)


def test_the_same_ticks_give_the_same_bytes():
    aged = life(4, np.ones(4), np.ones(4), Sensors(noise_v=0.001), np.random.default_rng(13))
    assert Rig(SLOPED).follow(aged.ticks).tobytes() == Rig(SLOPED).follow(aged.ticks).tobytes()


def test_a_cycle_is_twice_the_nominal_charge_either_way():
    rig = Rig(LINE)
    rig.follow([*rest(0.9), *drive(3.0), *rest(0.3), *drive(-3.0), *rest(0.9), *drive(1.0)])
    c = rig.s["capacity"]
    kept = math.exp(-0.3 / 5.0)  # 3 Ah of 10 Ah, before each of the two pairs
    assert c["since_cycles"] == pytest.approx(
        kept * (100.0 * 0.3 * kept + 0.3 * (pairs_before() + 100.0 * kept)), rel=0.01
    )


def pairs_before():
    """Weight of the first of two pairs, made again on its own."""
    again = Rig(LINE)
    again.follow([*rest(0.9), *drive(3.0), *rest(0.3), *drive(-3.0)])
    return float(again.s["capacity"]["weight"]) - 100.0 * math.exp(-0.3 / 5.0)


@pytest.mark.parametrize("soc", [-0.01, 0.0, 0.005, 0.995, 1.0, 1.01])
def test_full_and_empty_are_anchors_up_to_two_sigma_off_the_table(soc):
    rig = Rig(LINE)
    rig.follow([*rest(soc), *drive(1.0)])
    assert rig.s["soc"] == pytest.approx(soc, abs=1e-6)


def test_the_ocv_of_a_rest_is_averaged_and_follows():
    rig = Rig(LINE)
    rig.follow([*rest(0.5), *rest(0.5, seconds=10.0, residual_v=0.007)])
    assert rig.s["rest_ocv_v"] == pytest.approx(3.5 + 0.007 * 10.0 / 70.0, abs=1e-9)
    rig.follow([*rest(0.5, seconds=1200.0, residual_v=0.007), *drive(1.0)])
    assert rig.s["soc"] == pytest.approx(0.507, abs=1e-6)
