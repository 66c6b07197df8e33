"""Fits of a cell whose numbers are known: what comes back, how well it says it is known, and what is not released."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.analysis.fit.between import file_rows, temperatures_between
from hil.analysis.fit.data import SOC, CellData, OcvTable, Test, Trace
from hil.analysis.fit.fitting import bounds_for, drives_of, fit_cell, fit_order
from hil.analysis.fit.judge import errors_of, halved, judge
from hil.analysis.fit.pipeline import BY_BLOCK, BY_TEST, make
from hil.analysis.fit.solve import FitOptions
from hil.analysis.fit.uncertainty import correlation_time, sigmas_of
from hil.analysis.fit.write import cell_of, tables_text
from hil.errors import InputError
from hil.twin.offline import predict
from tests import fit_rig as rig


def sound(noise_v: float = 0.0005) -> list[Test]:
    return [*rig.pulses(noise_v), rig.relaxation(noise_v), rig.discharge(0.5, "fit", noise_v)]


def with_noise(tests: list[Test], noise_v: float, seed: int) -> list[Test]:
    rng = np.random.default_rng(seed)
    out = []
    for test in tests:
        v = test.trace.voltage_v + noise_v * rng.standard_normal(test.trace.voltage_v.size)
        out.append(replace(test, trace=replace(test.trace, voltage_v=v)))
    return out


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10_000), st.sampled_from([0.0003, 0.001]))
def test_a_fit_finds_what_made_the_data_as_well_as_it_says(seed: int, noise_v: float) -> None:
    fitted = fit_cell(rig.data(with_noise(sound(0.0), noise_v, seed)))
    sigmas = sigmas_of(fitted)
    z = (fitted.rows[25.0].tables - rig.TABLES) / sigmas.tables[25.0]
    assert np.nanmax(np.abs(z)) < 6.0
    assert np.sqrt(np.nanmean(z**2)) < 2.2
    relative = np.log(np.array([*fitted.shape.taus_s, fitted.shape.gamma]) / [*rig.TAUS_S, rig.GAMMA])
    assert np.max(np.abs(relative / [*sigmas.taus, sigmas.gamma])) < 6.0
    assert np.max(np.abs(relative[:3])) < 0.05
    inner = slice(1, 10)
    assert fitted.rows[25.0].tables[:, inner] == pytest.approx(rig.TABLES[:, inner], rel=0.12)


def test_less_noise_is_less_uncertainty() -> None:
    small, large = (sigmas_of(fit_cell(rig.data(with_noise(sound(0.0), v, 1)))) for v in (0.0003, 0.003))
    assert np.nanmedian(large.tables[25.0] / small.tables[25.0]) == pytest.approx(10.0, rel=0.4)


def test_pulses_alone_do_not_know_the_slow_mode_and_say_so() -> None:
    sigmas = sigmas_of(fit_cell(rig.data(rig.pulses())))
    assert np.nanmin(sigmas.tables[25.0][3]) > 0.5 * rig.OHMS[3].max()
    known = sigmas_of(fit_cell(rig.data(sound())))
    assert np.nanmax(known.tables[25.0][3]) < 0.05 * rig.OHMS[3].max()


def test_residuals_that_follow_each_other_count_for_fewer() -> None:
    rng = np.random.default_rng(4)
    white = rng.standard_normal(40_000)
    red = np.zeros(white.size)
    for k in range(1, white.size):
        red[k] = 0.9 * red[k - 1] + white[k]
    assert correlation_time(white) == pytest.approx(1.0, abs=0.15)
    assert correlation_time(red) == pytest.approx(19.0, rel=0.2)  # (1 + 0.9) / (1 - 0.9)
    assert correlation_time(np.ones(100)) == 1.0


def test_a_fit_of_pulses_alone_looks_perfect_and_is_refused() -> None:
    verdict = make(rig.data([*rig.pulses(), rig.discharge(1.0, "test")])).report.verdict
    assert verdict.training_v < 0.001
    assert verdict.held_out_v is not None
    assert verdict.held_out_v > 0.02
    assert not verdict.released
    assert any("1C, held out" in reason for reason in verdict.reasons)
    assert any("pulses alone" in reason for reason in verdict.reasons)


def test_pulses_alone_are_refused_where_nothing_else_was_measured() -> None:
    verdict = make(rig.data(rig.pulses())).report.verdict
    assert not verdict.released
    assert any("nothing was held out" in reason for reason in verdict.reasons)


def test_with_relaxation_and_a_constant_current_the_same_cell_is_released() -> None:
    outcome = make(rig.data([*sound(), rig.discharge(1.0, "test")]))
    verdict = outcome.report.verdict
    assert verdict.released, verdict.reasons
    assert verdict.held_out_v == pytest.approx(0.0005, abs=0.0003)
    assert outcome.report.held_out_by == BY_TEST
    assert outcome.cell.fit["released"] is True


def test_drive_tests_are_held_out_by_blocks_where_nothing_else_is() -> None:
    current = np.concatenate((rig.drive_current(150), np.zeros(600)))
    drive = rig.made_test("drive", "drive", rig.recorded(current, 0.95), 0.95)
    data = rig.data([drive, rig.relaxation()])
    half = halved(data)
    assert half is not None
    seen, unseen = half.tests[0].used, half.tests[1].used
    assert seen is not None
    assert unseen is not None
    assert np.all(seen ^ unseen)
    assert seen[:1500].all()
    assert unseen[1500:3000].all()
    outcome = make(data)
    assert outcome.report.held_out_by == BY_BLOCK
    assert outcome.report.verdict.released, outcome.report.verdict.reasons
    assert outcome.report.whole is not None
    assert {e.name for e in outcome.report.whole} == {"drive", "relaxation"}


def test_short_drive_tests_are_not_cut() -> None:
    short = rig.made_test("drive", "drive", rig.recorded(rig.drive_current(20), 0.95), 0.95)
    assert halved(rig.data([short])) is None


def two_temperatures() -> CellData:
    cell = rig.truth((5.0, 25.0))
    ocv = OcvTable(SOC, rig.ocv_v(SOC), 2.0 * np.interp(SOC, rig.KNOTS, rig.M_V), rig.CAPACITY_AH)
    current = ([3.0] * 120 + [0.0] * 360) * 4
    tests = [
        rig.made_test(
            f"{t:g}", "relaxation", rig.recorded(current, 0.95, 10.0, 0.0003, t, cell, seed=int(t)), 0.95, "fit", t
        )
        for t in (5.0, 25.0)
    ]
    return rig.data(tests, {5.0: ocv, 25.0: ocv})


def test_temperatures_share_time_constants_and_resistance_falls_with_temperature() -> None:
    fitted = fit_cell(two_temperatures())
    cold, warm = fitted.rows[5.0].tables[:-1], fitted.rows[25.0].tables[:-1]
    assert np.all(cold >= warm - 1e-12)
    middle = slice(4, 9)
    expected = np.exp(rig.ARRHENIUS_K * (1.0 / 278.15 - 1.0 / 298.15))
    assert (cold / warm)[:, middle].mean() == pytest.approx(expected, rel=0.05)
    between = cell_of(tables_text(fitted))
    current = ([3.0] * 120 + [0.0] * 360) * 4
    unseen = rig.recorded(current, 0.95, 10.0, 0.0, 15.0, rig.truth((5.0, 25.0)))
    test = rig.made_test("15", "relaxation", unseen, 0.95, "test", 15.0)
    assert errors_of(between, rig.data([test]))[0].rmse_v < 0.002


def test_a_cell_that_warmed_up_is_fitted_at_its_own_temperature() -> None:
    cell = rig.truth((5.0, 25.0))
    current = np.array(([3.0] * 120 + [0.0] * 360) * 4)
    degc = np.linspace(25.0, 12.0, current.size)
    said = predict(cell, 10.0 * np.arange(current.size), current, degc, 0.95)
    trace = Trace(10.0 * np.arange(current.size), current, said.voltage_v)
    data = two_temperatures()
    drifting = replace(rig.made_test("drift", "relaxation", trace, 0.95), cell_degc=degc)
    fitted = fit_cell(replace(data, tests=(data.tests[0], drifting)))
    middle = slice(4, 9)
    assert fitted.rows[25.0].tables[0, middle] == pytest.approx(rig.OHMS[0, middle], rel=0.05)


def test_a_cell_that_warmed_up_has_the_ocv_of_its_own_temperature() -> None:
    cold, warm = (OcvTable(SOC, rig.ocv_v(SOC) + 0.001 * t, None, rig.CAPACITY_AH) for t in (5.0, 25.0))
    degc = np.array([25.0, 15.0, 5.0, 0.0])
    trace = Trace(np.arange(4.0), np.zeros(4), np.full(4, 3.7))
    test = replace(rig.made_test("warm", "relaxation", trace, 0.5), cell_degc=degc)
    drive = drives_of(rig.data([test], {5.0: cold, 25.0: warm}), 25.0)[0]
    assert drive.ocv_v - rig.ocv_v(0.5) == pytest.approx([0.025, 0.015, 0.005, 0.005], abs=1e-4)


def test_bounds_hold_and_come_from_the_temperature_nearer_to_25() -> None:
    data = two_temperatures()
    warm = np.full((5, 11), 0.03)
    bounds = bounds_for(data, FitOptions(), 5.0, {25.0: warm})
    assert np.all(bounds.least[:4] == 0.03)
    assert bounds.greatest[4, -1] <= 0.009
    assert fit_order((-25.0, -5.0, 5.0, 25.0, 45.0)) == [25.0, 5.0, -5.0, -25.0, 45.0]
    assert fit_order((0.0, 10.0)) == [10.0, 0.0]


def test_what_is_written_reads_back_as_the_same_numbers() -> None:
    outcome = make(rig.data([*sound(), rig.discharge(1.0, "test")]))
    row = outcome.fitted.rows[25.0]
    assert outcome.cell.capacity_ah == rig.CAPACITY_AH
    assert outcome.cell.ocv_v[0] == pytest.approx(row.ocv_v.tolist(), abs=5.1e-5)
    for k, name in enumerate(("r0_ohm", "r1_ohm", "r2_ohm", "r3_ohm")):
        assert getattr(outcome.cell, name)[0] == pytest.approx(row.tables[k].tolist(), abs=6e-8)
    assert outcome.cell.hysteresis.gamma[0] == pytest.approx(outcome.fitted.shape.gamma, abs=6e-4)
    assert [t["test"] for t in outcome.cell.fit["held_out"]] == ["1C"]


def test_two_pairs_make_a_file_without_a_third() -> None:
    cell = make(rig.data(sound()), FitOptions(pairs=2)).cell
    assert cell.r3_ohm is None
    assert cell.r2_ohm[0][5] > 0.0


def test_a_correction_of_the_ocv_takes_up_what_its_table_has_wrong() -> None:
    wrong = rig.ocv_v(SOC) + 0.006 * np.sin(25.0 * SOC)
    data = rig.data(sound(), {25.0: OcvTable(SOC, wrong, np.zeros(SOC.size) + 0.03, rig.CAPACITY_AH)})
    as_given, corrected = (
        judge(errors_of(cell_of(tables_text(fit_cell(data, FitOptions(ocv_sigma_v=sigma)))), data)).training_v
        for sigma in (0.0, 0.01)
    )
    assert corrected < 0.5 * as_given


def test_nothing_to_fit_is_said() -> None:
    with pytest.raises(InputError, match="nothing to fit"):
        fit_cell(rig.data([rig.discharge(1.0, "test")]))
    outside = replace(rig.discharge(1.0, "fit"), window=(0.99, 1.0))
    with pytest.raises(InputError, match="no sample within the SoC window at 25 degC"):
        fit_cell(rig.data([outside]))
    with pytest.raises(InputError, match="no open-circuit voltage"):
        fit_cell(replace(rig.data([rig.discharge(1.0, "fit")]), ocv={}))


def test_rows_between_cut_the_widest_gap_first_and_fill_the_file_at_most() -> None:
    assert temperatures_between([-25.0, -5.0, 5.0, 25.0, 45.0]) == [-15.0, 15.0, 35.0]
    assert temperatures_between([-25.0, 5.0, 25.0, 45.0]) == [-15.0, -5.0, 15.0, 35.0]
    assert temperatures_between([25.0]) == []
    assert temperatures_between([20.0, 25.0]) == []
    assert len(temperatures_between([-40.0, 60.0])) == 6


def test_rows_between_fall_with_temperature_and_meet_arrhenius_law() -> None:
    fitted = fit_cell(two_temperatures())
    rows = file_rows(fitted)
    assert [r.temperature_degc for r in rows] == [5.0, 15.0, 25.0]
    cold, middle, warm = (r.tables[:-1] for r in rows)
    share = (1 / 278.15 - 1 / 288.15) / (1 / 278.15 - 1 / 298.15)
    assert middle == pytest.approx(np.exp((1 - share) * np.log(cold) + share * np.log(warm)), rel=1e-9)
    assert [r.fitted for r in rows] == [True, False, True]
    assert cell_of(tables_text(fitted)).temperatures_degc == (5.0, 15.0, 25.0)
