"""The model that is fitted: its hysteresis, its lags on any clock, its terms against the equations spelled out."""

import math

import numpy as np
import pytest

from hil.analysis.fit import model, ocv
from hil.analysis.fit.data import SOC, OcvTable, Test, Trace
from hil.errors import InputError
from hil.twin.offline import predict
from tests import fit_rig as rig

SHAPE = model.Shape(rig.TAUS_S, rig.GAMMA)
CURRENT_A = ([4.0] * 25 + [0.0] * 15 + [-2.5] * 12 + [1.5] * 60 + [0.0] * 40) * 20


def table() -> OcvTable:
    fine = np.linspace(0.0, 1.0, 4001)
    return OcvTable(fine, rig.ocv_v(fine), None, rig.CAPACITY_AH)


def drive(trace: Trace, start_soc: float) -> model.Drive:
    return model.make_drive(Test("made", "drive", 25.0, trace, start_soc, rig.CAPACITY_AH), table())


def test_terms_times_tables_are_the_equations_spelled_out() -> None:
    trace = rig.spelled_out(CURRENT_A, 4.0, 0.9)
    made = drive(trace, 0.9)
    said = made.ocv_v + model.columns(made, SHAPE, rig.KNOTS.size) @ rig.TABLES.ravel()
    assert np.max(np.abs(said - trace.voltage_v)) < 4e-4  # 8 stops here, 400 there


def test_the_twin_says_of_the_same_numbers_what_the_fit_says() -> None:
    time_s, current_a = 4.0 * np.arange(len(CURRENT_A)), np.array(CURRENT_A)
    twin = predict(rig.truth(), time_s, current_a, np.full(time_s.size, 25.0), 0.9)
    made = model.make_drive(
        Test("made", "drive", 25.0, Trace(time_s, current_a, twin.voltage_v), 0.9, rig.CAPACITY_AH),
        OcvTable(SOC, rig.ocv_v(SOC), None, rig.CAPACITY_AH),
    )
    said = made.ocv_v + model.columns(made, SHAPE, rig.KNOTS.size) @ rig.TABLES.ravel()
    assert made.soc == pytest.approx(twin.soc, abs=1e-9)
    assert np.max(np.abs(said - twin.voltage_v)) < 2e-5


def test_a_lag_is_exact_on_any_clock() -> None:
    steps = np.array([1.0, 3.0, 0.5, 7.0])
    signal = np.array([[1.0, -2.0, 0.5, 4.0, 9.0]])
    x, expected = 0.0, [0.0]
    for k, dt in enumerate(steps):
        a = math.exp(-dt / 5.0)
        x = a * x + (1.0 - a) * signal[0, k]
        expected.append(x)
    assert model.lag(signal, steps, 5.0)[0] == pytest.approx(expected, abs=1e-15)
    even = np.ones(4)
    uneven = even + np.array([0.0, 2e-3, 0.0, 0.0])
    assert model.lag(signal, even, 5.0) == pytest.approx(model.lag(signal, uneven, 5.0), abs=5e-3)


def test_a_lag_refuses_a_clock_that_does_not_fit_the_signal() -> None:
    with pytest.raises(ValueError, match="a step between any two samples"):
        model.lag(np.zeros((5, 3)), np.ones(4), 5.0)


def test_a_warm_cell_has_the_resistance_of_arrhenius_law() -> None:
    trace = Trace(np.arange(4.0), np.array([2.0, 2.0, 2.0, 2.0]), np.full(4, 3.5))
    degc = np.array([25.0, 35.0, 45.0, 25.0])
    made = model.make_drive(Test("warm", "drive", 25.0, trace, 0.5, 5.0, cell_degc=degc), table())
    slopes = np.array([3000.0, 0.0])
    terms = model.Terms(made, 3, slopes_k=slopes).matrix(model.Shape((10.0,), 5.0))
    factor = np.exp(3000.0 * (1.0 / (degc + 273.15) - 1.0 / 298.15))
    assert terms[:, :3].sum(axis=1) == pytest.approx(-2.0 * factor, rel=1e-12)


def test_hysteresis_is_that_of_many_stops_moved_one_sample_at_a_time() -> None:
    soc = drive(rig.spelled_out(CURRENT_A, 4.0, 0.9), 0.9).soc
    expected = rig.branch_h([0.0, *np.diff(soc).tolist()], 9.0)
    assert np.max(np.abs(model.loop_state(soc, 9.0) - expected)) < 0.03


def test_the_branch_after_a_full_reversal_is_exponential_and_a_minor_loop_closes() -> None:
    down, up, back = np.linspace(1.0, 0.2, 801), np.linspace(0.2, 0.5, 301)[1:], np.linspace(0.5, 0.2, 301)[1:]
    h = model.loop_state(np.concatenate((down, up, back)), 10.0)
    assert h[800] == pytest.approx(-1.0, abs=0.01)
    assert h[900] == pytest.approx(-1.0 + 2.0 * (1.0 - math.exp(-1.0)), abs=0.03)
    assert h[-1] == pytest.approx(h[800], abs=1e-9)


@pytest.mark.parametrize(
    ("time_s", "found"),
    [([0.0, 1.0, 1.0], "1 s in sample 3"), ([0.0, math.nan, 2.0], "not finite"), ([0.0, 1.0], "one length")],
)
def test_a_trace_that_is_none_is_refused(time_s: list[float], found: str) -> None:
    with pytest.raises(InputError, match=found):
        Trace(np.array(time_s), np.zeros(3), np.full(3, 3.3))


def slow_tests(half_v: float, ohm: float) -> tuple[Trace, Trace, Trace, Trace]:
    """A 2 Ah cell with 98 % efficiency and a fixed half width: down, nothing left, up, nothing left; rests before."""
    samples, hours = 9000, 25.0
    i = 2.0 / hours
    down, up = np.linspace(1.0, 0.0, samples), np.linspace(0.0, 1.0, samples)
    time_s = 10.0 * np.arange(samples + 10)
    scale = samples / (samples - 1)
    idle = Trace(time_s[:3], np.zeros(3), np.full(3, 3.3))

    def branch(way: int, soc: np.ndarray, efficiency: float) -> Trace:
        current_a = np.append(np.zeros(10), np.full(samples, way * i * scale / efficiency))
        voltage_v = np.append(np.full(10, rig.ocv_v(soc[0])), rig.ocv_v(soc) - way * (half_v + ohm * i))
        return Trace(time_s, current_a, voltage_v)

    return branch(1, down, 1.0), idle, branch(-1, up, 0.98), idle


def test_ocv_width_capacity_and_efficiency_come_back_from_slow_branches() -> None:
    made = ocv.ocv_table(slow_tests(half_v=0.015, ohm=0.05), SOC)
    assert made.capacity_ah == pytest.approx(2.0, rel=1e-3)
    assert made.efficiency == pytest.approx(0.98, rel=1e-9)
    inner = (SOC > 0.02) & (SOC < 0.98)
    assert np.max(np.abs(made.ocv_v - rig.ocv_v(SOC))[inner]) < 1e-3
    assert made.width_v is not None
    assert made.width_v[inner] == pytest.approx(2.0 * (0.015 + 0.05 * 0.08), abs=2e-3)
    assert np.all(np.diff(made.ocv_v) >= 0.0)
    assert made.ocv_v[0] >= rig.ocv_v(0.0) - 1e-12
    assert made.ocv_v[-1] <= rig.ocv_v(1.0) + 1e-12


def test_monotone_pools_what_falls_and_leaves_the_rest() -> None:
    assert ocv.monotone(np.array([1.0, 3.0, 2.0, 4.0])).tolist() == [1.0, 2.5, 2.5, 4.0]
    assert ocv.monotone(np.array([1.0, 5.0, 3.0, 1.0, 9.0])).tolist() == [1.0, 3.0, 3.0, 3.0, 9.0]
    assert ocv.monotone(np.array([3.0, 2.0, 1.0])).tolist() == [2.0, 2.0, 2.0]


def test_entropy_is_the_slope_of_the_tables_over_temperature() -> None:
    tables = {float(t): OcvTable(SOC, rig.ocv_v(SOC) + 2e-4 * t, None, 2.0) for t in (5, 25, 45)}
    assert ocv.entropy_v_per_k(tables) == pytest.approx(np.full(201, 2e-4), abs=1e-9)
