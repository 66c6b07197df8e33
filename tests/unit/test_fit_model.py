"""The cell fit finds what made-up data were made from; the kept cell file is sane and its errors are true."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tools import fit_a123
from tools.cellfit import a123, data, ocv
from tools.cellfit import fit as fitting
from tools.cellfit import model as cell_model
from tools.cellfit.write import cell_yaml

ROOT = Path(__file__).parents[2]
KNOTS = np.linspace(0.0, 1.0, 11)
SOC = np.linspace(0.0, 1.0, 201)
TRUE = cell_model.Shape(tau1_s=12.0, tau2_s=240.0, gamma=9.0)
TABLES = np.array([0.012 - 0.003 * KNOTS, 0.008 + 0.004 * KNOTS, 0.02 - 0.005 * KNOTS, 0.03 - 0.01 * KNOTS])


def true_ocv(soc: Any) -> Any:
    return 3.2 + 0.15 * soc - 0.5 * np.exp(-soc / 0.04)


def drive_current() -> list[float]:
    """Pulses of both signs that empty a 2 Ah cell in about 4 h, with rests."""
    out: list[float] = []
    for k in range(75):
        out += [4.0] * 25 + [0.0] * 15 + [-2.5] * 12 + [1.5] * 60 + [0.0] * 40 + [0.4 + 0.01 * k] * 40
    return out


def branch_h(steps: list[float], gamma: float, stops: int = 400) -> list[float]:
    """Hysteresis by brute force: very many stops, one after the other, moved sample by sample (SoC rising = up)."""
    ends = -np.log(np.linspace(1.0, 1e-3, stops + 1)[1:])
    slopes = np.diff(2.0 * (1.0 - np.exp(-np.append(0.0, ends)))) / np.diff(np.append(0.0, ends))
    weights = -np.diff(np.append(slopes, 0.0)) * ends / 2.0
    weights /= weights.sum()
    state, out = np.zeros(stops), []
    for step in steps:
        state = np.clip(state + 2.0 * gamma * step / ends, -1.0, 1.0)
        out.append(float(weights @ state))
    return out


def made_trace(current_a: list[float], dt_s: float, start_soc: float, capacity_ah: float = 2.0) -> data.Trace:
    """The model of the docstring, one sample after the other, with its own interpolation."""
    soc, i1, i2, last = [start_soc], 0.0, 0.0, start_soc
    for i in current_a[1:]:
        last -= i * dt_s / 3600.0 / capacity_ah
        soc.append(last)
    h = branch_h([0.0, *np.diff(soc).tolist()], TRUE.gamma)
    out = []
    for i, z, state in zip(current_a, soc, h, strict=True):
        i1 += (1.0 - math.exp(-dt_s / TRUE.tau1_s)) * (i - i1)
        i2 += (1.0 - math.exp(-dt_s / TRUE.tau2_s)) * (i - i2)
        r0, r1, r2, m = (np.interp(z, KNOTS, row) for row in TABLES)
        out.append(float(true_ocv(z)) + m * state - r0 * i - r1 * i1 - r2 * i2)
    return data.Trace(np.arange(len(out)) * dt_s, np.array(current_a), np.array(out))


def made_drive(trace: data.Trace, start_soc: float) -> cell_model.Drive:
    fine = np.linspace(0.0, 1.0, 2001)
    return cell_model.make_drive(trace, start_soc, 2.0, 1.0, (fine, true_ocv(fine)))


def wide_bounds() -> fitting.Bounds:
    return fitting.Bounds(np.zeros((4, 11)), np.full((4, 11), np.inf))


def test_a_fit_finds_the_tables_time_constants_and_hysteresis_that_made_the_data() -> None:
    pulses = made_drive(made_trace(drive_current(), 1.0, 1.0), 1.0)
    slow = made_drive(made_trace([0.08] * 8900, 10.0, 1.0), 1.0)
    parts = [fitting.part(pulses), fitting.part(slow, 0.5)]
    found = fitting.fit_cell(parts, KNOTS, wide_bounds(), starts=((6.0, 120.0, 20.0),))
    assert found.rmse_v(pulses) < 3e-4
    assert (found.shape.tau1_s, found.shape.tau2_s) == pytest.approx((TRUE.tau1_s, TRUE.tau2_s), rel=0.04)
    assert found.shape.gamma == pytest.approx(TRUE.gamma, rel=0.08)
    inner = slice(1, 10)
    assert found.tables[0, inner] == pytest.approx(TABLES[0, inner], rel=0.02)
    assert found.tables[1:3, inner].sum(axis=0) == pytest.approx(TABLES[1:3, inner].sum(axis=0), rel=0.04)
    assert found.tables[3, inner] == pytest.approx(TABLES[3, inner], rel=0.06)


def test_bounds_hold_in_a_fit() -> None:
    pulses = made_drive(made_trace(drive_current()[:4000], 1.0, 1.0), 1.0)
    least, greatest = np.zeros((4, 11)), np.full((4, 11), np.inf)
    least[0], greatest[3] = 0.015, 0.005
    bounds = fitting.Bounds(least, greatest)
    found = fitting.fit_cell([fitting.part(pulses)], KNOTS, bounds, starts=((6.0, 120.0, 9.0),))
    assert found.tables[0].min() >= 0.015 - 1e-9
    assert found.tables[3].max() <= 0.005 + 1e-9
    assert found.tables.min() >= -1e-12


def test_hysteresis_is_that_of_many_stops_moved_one_sample_at_a_time() -> None:
    current = drive_current()[:6000]
    drive = made_drive(made_trace(current, 1.0, 0.9), 0.9)
    expected = branch_h([0.0, *np.diff(drive.soc).tolist()], 9.0)
    assert np.max(np.abs(cell_model.loop_state(drive, 9.0) - expected)) < 0.02


def test_the_branch_after_a_full_reversal_is_exponential_and_a_minor_loop_closes() -> None:
    down, up, back = np.linspace(1.0, 0.2, 801), np.linspace(0.2, 0.5, 301)[1:], np.linspace(0.5, 0.2, 301)[1:]
    soc = np.concatenate((down, up, back))
    drive = cell_model.Drive(1.0, -np.gradient(soc), soc, soc, soc, 2.0, 1.0)
    h = cell_model.loop_state(drive, 10.0)
    assert h[800] == pytest.approx(-1.0, abs=0.01)
    assert h[900] == pytest.approx(-1.0 + 2.0 * (1.0 - math.exp(-1.0)), abs=0.02)
    assert h[-1] == pytest.approx(h[800], abs=1e-9)


def test_the_one_state_equation_is_driven_off_by_a_pulse_that_the_loop_forgets() -> None:
    soc = np.concatenate((np.linspace(1.0, 0.3, 701), np.linspace(0.3, 0.35, 51)[1:], np.linspace(0.35, 0.3, 51)[1:]))
    drive = cell_model.Drive(1.0, -np.diff(soc, prepend=1.001), soc, soc, soc, 2.0, 1.0)
    state = cell_model.one_state(drive, 10.0)
    assert state[700] == pytest.approx(math.exp(-7.0) - 1.0, abs=1e-3)
    g = math.exp(-0.5)
    assert state[-1] == pytest.approx(g * (g * state[700] + (1.0 - g)) - (1.0 - g), abs=1e-9)
    assert state[-1] > state[700] + 0.3


def slow_tests(half_v: float, ohm: float) -> tuple[data.Trace, data.Trace, data.Trace, data.Trace]:
    """A 2 Ah cell with 98 % efficiency and a fixed half width: down, nothing left, up, nothing left; rests before."""
    rest, hours = np.zeros(10), 25.0
    samples = int(hours * 360)
    i = 2.0 / hours
    down, up = np.linspace(1.0, 0.0, samples), np.linspace(0.0, 1.0, samples)
    time_s = np.arange(samples + 10) * 10.0
    scale = hours * 3600.0 / (10.0 * samples)
    one = data.Trace(
        time_s,
        np.append(rest, np.full(samples, i * scale)),
        np.append(np.full(10, true_ocv(1.0)), true_ocv(down) - half_v - ohm * i),
    )
    three = data.Trace(
        time_s,
        np.append(rest, np.full(samples, -i * scale / 0.98)),
        np.append(np.full(10, true_ocv(0.0)), true_ocv(up) + half_v + ohm * i),
    )
    idle = data.Trace(time_s[:3], np.zeros(3), np.full(3, 3.3))
    return one, idle, three, idle


def test_ocv_width_capacity_and_efficiency_come_back_from_slow_branches() -> None:
    table = ocv.ocv_table(slow_tests(half_v=0.015, ohm=0.05), SOC)
    assert table.capacity_ah == pytest.approx(2.0, rel=1e-3)
    assert table.efficiency == pytest.approx(0.98, rel=1e-9)
    inner = (SOC > 0.02) & (SOC < 0.98)
    assert np.max(np.abs(table.ocv_v - true_ocv(SOC))[inner]) < 1e-3
    assert table.width_v[inner] == pytest.approx(2.0 * (0.015 + 0.05 * 0.08), abs=2e-3)
    assert np.all(np.diff(table.ocv_v) >= 0.0)
    assert table.ocv_v[0] >= true_ocv(0.0) - 1e-12
    assert table.ocv_v[-1] <= true_ocv(1.0) + 1e-12


def test_monotone_pools_what_falls_and_leaves_the_rest() -> None:
    assert ocv.monotone(np.array([1.0, 3.0, 2.0, 4.0])).tolist() == [1.0, 2.5, 2.5, 4.0]
    assert ocv.monotone(np.array([1.0, 5.0, 3.0, 1.0, 9.0])).tolist() == [1.0, 3.0, 3.0, 3.0, 9.0]
    assert ocv.monotone(np.array([3.0, 2.0, 1.0])).tolist() == [2.0, 2.0, 2.0]


def test_entropy_is_the_slope_of_the_tables_over_temperature() -> None:
    flat = np.zeros(201)
    tables = {t: ocv.OcvTable(SOC, true_ocv(SOC) + 2e-4 * t, flat, 2.0, 1.0) for t in (5, 25, 45)}
    assert ocv.entropy_v_per_k(tables) == pytest.approx(np.full(201, 2e-4), abs=1e-9)


def test_a_test_with_a_gap_in_its_clock_is_refused() -> None:
    trace = data.Trace(np.array([0.0, 1.0, 2.0, 9.0]), np.zeros(4), np.full(4, 3.3))
    with pytest.raises(ValueError, match="expected samples every 1 s"):
        made_drive(trace, 0.5)


def test_temperatures_are_fitted_from_25_degc_outwards() -> None:
    assert a123.fit_order((-25, -5, 5, 25, 45)) == [25, 5, -5, -25, 45]


def test_without_the_data_the_script_says_which_file_it_wants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit_a123.main(["--data", str(tmp_path)]) == 2
    assert "A123_OCV_P25_S1.csv.gz: no such file" in capsys.readouterr().err


def made_result() -> a123.Result:
    table = ocv.OcvTable(SOC, true_ocv(SOC), np.full(201, 0.03), 2.0, 0.99)
    return a123.Result(table, fitting.CellFit(KNOTS, TABLES, TRUE), 0.004, 0.005, 0.003, 0.017, 0.008)


def test_what_is_written_reads_back_as_the_same_numbers() -> None:
    read = yaml.safe_load(cell_yaml({25: made_result()}))
    assert read["capacity_ah"] == 2.0
    assert read["ocv_v"][0] == pytest.approx(true_ocv(SOC).tolist(), abs=5.1e-5)
    assert read["r0_ohm"][0] == pytest.approx(TABLES[0].tolist(), abs=5.1e-7)
    assert read["hysteresis"]["gamma"] == [9.0]
    assert read["fit"]["rmse_mv"] == {"25": 4.0}


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """The cell file that ships."""
    text = (ROOT / "scenarios" / "packs" / "a123_26650.cell.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def test_the_kept_cell_is_sane_everywhere_it_can_be_asked(kept: dict[str, Any]) -> None:
    shape = (len(kept["temperatures_degc"]), len(kept["soc_knots"]))
    ocv_v = np.array(kept["ocv_v"])
    assert ocv_v.shape == (shape[0], 201)
    assert np.all(np.diff(ocv_v, axis=1) >= 0.0)
    assert 2.0 < ocv_v.min() < ocv_v.max() < 3.65
    for name in ("r0_ohm", "r1_ohm", "r2_ohm"):
        values = np.array(kept[name])
        assert values.shape == shape
        assert values.min() > 5e-4
        assert np.all(np.diff(values, axis=0) <= 2e-6), f"{name} falls as the cell gets colder"
    tau1, tau2 = np.array(kept["tau1_s"]), np.array(kept["tau2_s"])
    assert 1.0 <= tau1.min() <= tau1.max() <= 60.0 <= tau2.min() <= tau2.max() <= 2000.0
    m_v = np.array(kept["hysteresis"]["m_v"])
    assert m_v.min() >= 0.0
    assert (ocv_v[:, -1] + m_v[:, -1]).max() < 3.62, "a rested full cell would look overcharged"
    assert 0.008 <= kept["r0_ohm"][3][5] <= 0.015
    assert max(kept["coulombic_efficiency"]) <= 1.0


def kept_fit(kept: dict[str, Any], temperature_degc: int) -> fitting.CellFit:
    k = kept["temperatures_degc"].index(temperature_degc)
    tables = np.array([kept["r0_ohm"][k], kept["r1_ohm"][k], kept["r2_ohm"][k], kept["hysteresis"]["m_v"][k]])
    shape = cell_model.Shape(kept["tau1_s"][k][0], kept["tau2_s"][k][0], kept["hysteresis"]["gamma"][k])
    return fitting.CellFit(np.array(kept["soc_knots"]), tables, shape)


@pytest.mark.shared_data
@pytest.mark.parametrize("temperature_degc", [-25, 25])
def test_the_errors_in_the_kept_file_are_those_of_its_tables_on_the_data(
    shared_data: Path, kept: dict[str, Any], temperature_degc: int
) -> None:
    tests = a123.load_tests(shared_data / "cells" / "a123_lfp", temperature_degc)
    k = kept["temperatures_degc"].index(temperature_degc)
    assert tests.ocv.ocv_v == pytest.approx(np.array(kept["ocv_v"][k]), abs=1e-4)
    cell = kept_fit(kept, temperature_degc)
    claimed = {name: kept["fit"][name][str(temperature_degc)] for name in ("rmse_mv", "one_state_rmse_mv")}
    assert 1e3 * cell.rmse_v(tests.cycles) == pytest.approx(claimed["rmse_mv"], abs=0.1)
    one_state_mv = 1e3 * cell.rmse_v(tests.cycles, state=cell_model.one_state)
    assert one_state_mv == pytest.approx(claimed["one_state_rmse_mv"], abs=0.1)


@pytest.mark.shared_data
def test_a_quick_fit_of_thinned_data_comes_close_to_the_kept_one(shared_data: Path, kept: dict[str, Any]) -> None:
    tests = a123.load_tests(shared_data / "cells" / "a123_lfp", 25)
    bounds = a123.bounds_for(tests.ocv, 25, {})
    found = fitting.fit_cell(a123.parts_of(tests, True), KNOTS, bounds, stride=50, starts=((15.0, 200.0, 10.0),))
    assert 1e3 * found.rmse_v(tests.cycles) == pytest.approx(kept["fit"]["rmse_mv"]["25"], abs=1.0)
    assert found.tables[0] == pytest.approx(np.array(kept["r0_ohm"][3]), rel=0.05)
    assert 1e3 * found.rmse_v(tests.cycles) <= 12.0
