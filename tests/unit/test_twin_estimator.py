"""The twin's SoC estimator: it converges where the voltage says something, and says so where it does not."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from twin_rig import CAPACITY_C, SERIES, Drive, Simulation, cell

from hil.files.pack import load_pack

NAN = float("nan")
PACK = Path(__file__).parents[2] / "scenarios" / "packs" / "a123_96s40p.yaml"
DEGC = np.array([25.0, 25.0])


def flat(slope_v: float = 0.02) -> SimpleNamespace:
    """The rig's cell on a plateau of ``slope_v`` per SoC."""
    made = cell()
    made.ocv_v = np.tile(3.28 + slope_v * np.asarray(made.soc), (3, 1))
    return made


def drive(
    d: Drive,
    sim: Simulation,
    seconds: int,
    *,
    offset_v: float = 0.0,
    bias_a: float = 0.0,
    dt_s: float = 1.0,
    amplitude: float = 1.0,
    begin_s: float = 0.0,
) -> np.ndarray:
    """(error of SoC, sigma) per row of a drive seen by a sensor with ``bias_a``, cells off by ``offset_v``."""
    out, current = [], 0.0
    for k in range(int(seconds / dt_s)):
        t_s = begin_s + k * dt_s
        if k:
            sim.flow(current, DEGC, dt_s, parts=2)
        current = amplitude * (20.0, -12.0, 0.0, 6.0, -16.0)[int(t_s / 20.0) % 5]
        d.tick(t_s, current + bias_a, sim.cells(current, DEGC) + offset_v, DEGC)
        out.append((d.soc() - sim.soc, d.sigma()))
    return np.array(out)


@pytest.mark.parametrize("wrong", [-0.20, -0.10, -0.05, 0.05, 0.10, 0.20])
def test_on_a_slope_a_wrong_start_is_found_out_and_sigma_covers_the_error(wrong: float) -> None:
    d, sim = Drive().start(0.5 + wrong), Simulation(0.5)
    got = drive(d, sim, 300)
    assert abs(got[-1, 0]) < 0.15 * abs(wrong) + 0.004, (
        "a tenth may be hysteresis or an offset: nothing tells them apart"
    )
    assert got[-1, 1] < 0.035
    assert np.all(np.abs(got[:, 0]) <= 2.5 * got[:, 1])


@pytest.mark.parametrize("offset_v", [-0.008, 0.0, 0.008])
@pytest.mark.parametrize("wrong", [-0.08, 0.08])
def test_on_the_plateau_sigma_stays_honest(offset_v: float, wrong: float) -> None:
    d, sim = Drive(of=flat()).start(0.5 + wrong), Simulation(0.5, of=flat())
    got = drive(d, sim, 1200, offset_v=offset_v)
    assert np.all(np.abs(got[:, 0]) <= 2.0 * got[:, 1])
    assert got[-1, 1] > 0.05, "8 mV of model error on 20 mV of whole range cannot know the SoC better"


@pytest.mark.parametrize("bias_a", [-0.02, 0.02])
def test_a_zero_error_of_the_current_stays_within_sigma(bias_a: float) -> None:
    d, sim = Drive().start(0.45), Simulation(0.5)
    got = drive(d, sim, 1500, bias_a=bias_a, offset_v=0.003)
    assert np.all(np.abs(got[:, 0]) <= 3.0 * got[:, 1])
    assert abs(got[-1, 0]) < 0.02


def test_sigma_does_not_depend_on_how_often_one_looks() -> None:
    sigmas = []
    for dt_s in (0.1, 1.0):
        sigmas.append(drive(Drive(dt_s=dt_s).start(0.45), Simulation(0.5), 60, dt_s=dt_s)[-1, 1])
    assert sigmas[0] == pytest.approx(sigmas[1], rel=0.03)


def test_the_example_pack_finds_its_soc_near_empty_and_keeps_its_doubt_on_the_plateau() -> None:
    pack = load_pack(PACK)
    sensors = pack.temperature_sensors.cells
    degc = np.full(len(sensors), 25.0)
    ends = {}
    for true, guess in ((0.12, 0.20), (0.50, 0.58)):
        d = Drive(of=pack.cell, series=pack.series, sensors=sensors, parallel=pack.parallel).start(guess)
        sim = Simulation(true, pack.cell, sensors, pack.series, pack.parallel)
        for k in range(240):
            current = (80.0, 0.0, -60.0)[(k // 15) % 3]
            d.tick(float(k), current, sim.cells(current, degc), degc)
            assert abs(d.soc() - sim.soc) <= 2.0 * d.sigma()
            sim.flow(current, degc, 1.0, parts=1)
        ends[true] = (abs(d.soc() - sim.soc), d.sigma())
    assert ends[0.12][1] < 0.04
    assert ends[0.12][0] < 0.03
    assert ends[0.50][1] > 0.04


def test_one_faulted_cell_does_not_move_the_soc() -> None:
    results = []
    for fault_v in (0.0, 0.8):
        d, sim = Drive().start(0.5), Simulation(0.5)
        current = 10.0
        for k in range(120):
            cells_v = sim.cells(current, DEGC)
            cells_v[2] += fault_v if k >= 60 else 0.0
            d.tick(float(k), current, cells_v, DEGC)
            sim.flow(current, DEGC, 1.0, parts=2)
        results.append(d.soc())
    assert abs(results[1] - results[0]) < 0.01, "5 cells; a plain mean would be off by 160 mV, a third of the range"


def test_an_unknown_cell_is_left_out_of_the_mean() -> None:
    known, part = Drive().start(0.45), Drive().start(0.45)
    sim = Simulation(0.5)
    for k in range(60):
        cells_v = sim.cells(0.0, DEGC)
        known.tick(float(k), 0.0, cells_v, DEGC)
        cells_v[1] = NAN
        part.tick(float(k), 0.0, cells_v, DEGC)
    assert part.soc() == pytest.approx(known.soc(), abs=1e-5)


def test_without_any_cell_voltage_the_twin_counts_and_sigma_never_shrinks() -> None:
    d = Drive().start(0.5)
    sigmas = []
    for k in range(100):
        d.tick(float(k), 20.0, NAN)
        sigmas.append(d.sigma())
    assert d.soc() == pytest.approx(0.5 - 20.0 * 99.0 / CAPACITY_C, abs=1e-12)
    assert all(b >= a for a, b in pairwise(sigmas))
    assert sigmas[0] == pytest.approx(np.hypot(0.10, 0.005)), "the guess, and the OCV table along the SoC"


def test_sigma_grows_by_what_may_have_flowed_while_the_current_was_unknown() -> None:
    d = Drive().start(0.5)
    d.tick(0.0, 0.0, NAN)
    before = d.sigma()
    for k in range(1, 61):
        d.tick(float(k), NAN, np.full(SERIES, 3.3))
    d.tick(61.0, 0.0, NAN)
    may_have_flowed = 20.0 * 60.0 / CAPACITY_C  # 1C for the 60 s after the last known current
    assert d.sigma() ** 2 - before**2 == pytest.approx(may_have_flowed**2, rel=1e-3)


def test_after_a_gap_in_the_current_the_estimate_comes_back() -> None:
    d, sim = Drive().start(0.5), Simulation(0.5)
    drive(d, sim, 60)
    for k in range(60, 360):
        sim.flow(-20.0, DEGC, 1.0, parts=1)
        d.tick(float(k), NAN, sim.cells(-20.0, DEGC), DEGC)
    assert abs(d.soc() - sim.soc) < 2.0 * d.sigma()
    got = drive(d, sim, 300, begin_s=360.0)
    assert abs(got[-1, 0]) < 0.035
    assert np.all(np.abs(got[:, 0]) < 3.0 * got[:, 1])


def test_a_surprise_is_given_less_weight_and_no_false_certainty() -> None:
    d = Drive().start(0.5)
    for k in range(20):
        d.tick(float(k), 0.0, np.full(SERIES, 3.24))
    calm = d.soc()
    d.tick(20.0, 0.0, np.full(SERIES, 4.24))
    assert abs(d.soc() - calm) < 0.05
    assert d.sigma() > 0.0


def test_the_covariance_stays_symmetric_and_positive_over_a_long_run() -> None:
    d = Drive().start(0.6)
    for k in range(20000):
        d.tick(k * 0.01, 20.0 if (k // 500) % 2 else -20.0, np.full(SERIES, 3.25))
    cov = np.array(d.s["filter"]["cov"])
    assert np.allclose(cov, cov.T, rtol=1e-9, atol=1e-18)
    scale = 1.0 / np.sqrt(np.diag(cov))
    assert np.linalg.eigvalsh(cov * np.outer(scale, scale)).min() > -1e-9
