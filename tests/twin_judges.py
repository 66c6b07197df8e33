"""Judges of the twin: laws of its pack, filter and stage, each against an independent simulation or filter in matrices.

Each takes the modules (``step``, ``pack``, ``estimator``), healthy or mutated, as plain Python, and raises where a law is
broken. Cheapest first. Those of the other modules are in
the other ``twin_*_judges``.
"""

import math
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import twin_capacity_judges
import twin_cell_judges
import twin_delta_judges
import twin_health_judges
import twin_heat_judges
import twin_told_judges
import twin_warning_judges
from twin_filter_oracle import propagated, secant, seen, updated, watched
from twin_rig import CAPACITY_C, GRID, PARALLEL, SERIES, Drive, Simulation, cell

from hil.campaign.mutate.plain import as_object
from hil.files.pack import PackModel, load_pack
from hil.files.shipped import shipped
from hil.image import table
from hil.kernel import zeros
from hil.twin import cells

NAN = float("nan")
WHERE = (32.5, 12.5)  # degC of the two sensors, on rows of the tables


def drive(twin: Any, **more: Any) -> Drive:
    return Drive(stage=twin.step, as_record=as_object, **more)


def check_drive(twin: Any) -> None:
    """Predictions without any cell voltage, against the independent simulation: SoC from 10.15 % to below 10 %."""
    d, sim = drive(twin).start(0.1015, 12.5), Simulation(0.1015)
    degc, current = np.array([42.5, 12.5]), 0.0
    for k in range(60):
        if k:
            sim.flow(current, degc, 1.0, parts=2)
        current = 0.0 if 34 <= k < 42 else (20.0, 0.0, -15.0, 30.0)[(k // 9) % 4]
        got = d.tick(float(k), current, NAN, degc)
        assert np.abs(got - sim.cells(current, degc)).max() < 3e-4
        assert np.abs(d.columns("twin.cell_soc") - sim.socs).max() < 2e-5
        assert abs(d.soc() - sim.soc) < 2e-5
        assert abs(float(d.columns("twin.pack_voltage")[0]) - got.sum()) < 1e-9


def check_layout(twin: Any) -> None:
    """Which sensors stand for which group, what a pack file says, and what is refused."""
    d = drive(twin, series=7, sensors=(4, 1)).start(0.5)
    p = d.p.pack
    assert (p.n_cells, p.n_zones) == (7, 2)
    assert p.sensor_cell[:2].tolist() == [4, 1]
    assert p.left[:7].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert p.right[:7].tolist() == [1, 1, 0, 0, 0, 0, 0]
    assert np.allclose(p.share[:7], [0.0, 0.0, 1 / 3, 2 / 3, 1.0, 0.0, 0.0])
    assert abs(p.follow - (1.0 - math.exp(-0.2))) < 1e-12
    assert d.p.dt_ns == 10**9
    assert math.isnan(p.coolant_degc)
    assert p.busbar_ohm == 0.0
    assert (p.cell.between_w_per_k, p.cell.coolant_w_per_k) == (0.0, PARALLEL * 1.0)
    for table_of, sensors, words in (
        ((5, 3), (0, 1), "3 temperature sensors, the pack 2"),
        ((5, 2), (0, 5), "on cell 5"),
    ):
        with pytest.raises(ValueError, match=words):
            twin.step.from_cell(cell(), 1, sensors, table(*table_of), 10**9)
    for sensors in ((-1, 5), (-1, 2)):
        with pytest.raises(ValueError, match=f"on cell {sensors[1]}"):
            twin.step.from_cell(cell(), 1, sensors, table(5, 2), 10**9)
    twin.step.from_cell(cell(), 1, (0, 4), table(5, 2), 10**9)


@cache
def example_pack() -> PackModel:
    return load_pack(shipped("scenarios/packs/a123_96s40p.yaml"))


def check_pack_file(twin: Any) -> None:
    """A pack file's numbers reach the tables."""
    model = example_pack()
    made = table(model.series, model.temperature_sensors.count)
    for between, coolant in ((model.thermal.between_groups, model.thermal.to_coolant), (3.0, None)):
        thermal = model.thermal.model_copy(update={"between_groups": between, "to_coolant": coolant})
        pack = model.model_copy(update={"thermal": thermal})
        p = np.asarray(twin.step.params(pack, made, 10**7))[0]
        cell_w = pack.cell.surface_heat_transfer_w_per_k * 40
        t = p["pack"]["cell"]
        assert (t["between_w_per_k"], t["coolant_w_per_k"]) == (between, cell_w if coolant is None else coolant)
        assert (p["pack"]["busbar_ohm"], p["pack"]["coolant_degc"]) == (0.004, 25.0)
        assert t["dt_s"] == 0.01
        assert p["filter"]["bias_sigma_a"] == pytest.approx(0.001 * pack.capacity_ah)


def check_sensors(twin: Any) -> None:
    """What the filter is told of the measuring chain."""
    made = table(5, 2)
    told = twin.estimator.Sensors(zero_a=0.3, gain=0.02, offset_v=0.004)
    f = np.asarray(twin.step.from_cell(cell(), 2, (3, 1), made, 10**9, told))[0]["filter"]
    assert (f["bias_sigma_a"], f["offset_sigma_v"]) == (0.3, 0.004)
    assert f["gain_sigma"] == pytest.approx(math.sqrt(0.01**2 + 0.02**2))
    f = np.asarray(twin.step.from_cell(cell(), 2, (3, 1), made, 10**9))[0]["filter"]
    usual = (0.02, math.sqrt(0.01**2 + 0.005**2), 0.001)
    assert (f["bias_sigma_a"], f["gain_sigma"], f["offset_sigma_v"]) == pytest.approx(usual)
    names = (
        "soc_sigma rest_sigma_v h_sigma h_error bias_tau_s misfit_sigma_v misfit_soc table_soc noise_v2s polarisation_s"
    )
    names += " bend_s clip_v gate span_least lost_sigma_a strange_s"
    numbers = (0.10, 0.002, 0.58, 0.15, 3600.0, 0.008, 0.10, 0.005, 1.8e-3, 0.4, 2.0, 0.02, 3.0, 0.005, 20.0, 120.0)
    assert [float(f[name]) for name in names.split()] == pytest.approx(list(numbers))


def check_start(twin: Any) -> None:
    """At rest, nothing known but the guess."""
    d = drive(twin).start(0.37, 12.5)
    s, q = np.asarray(d.states)[0], d.p.filter
    assert (s["t_ns"], s["rows"], s["current_a"], s["current_known"]) == (0, 0, 0.0, 0)
    assert (s["pack"]["sign"], s["pack"]["age_steps"], s["pack"]["soc"]) == (0.0, 0, 0.37)
    rows = s["pack"]["rows"][:, :, :SERIES]
    for row, value in (
        (cells.SOC, 0.37),
        (cells.DEGC, 12.5),
        (cells.PER_COULOMB, 1.0 / CAPACITY_C),
        (cells.GROWTH, 1.0),
    ):
        assert np.all(rows[:, row] == value)
    assert not rows[:, cells.V1 : cells.V3 + 1].any()
    f = s["filter"]
    sigmas = [q.soc_sigma, *[q.rest_sigma_v] * 3, q.h_sigma, q.bias_sigma_a, q.offset_sigma_v, q.misfit_sigma_v]
    assert np.allclose(f["cov"], np.diag(np.square(sigmas)), rtol=1e-12, atol=0.0)
    assert (f["bias_a"], f["offset_v"], f["misfit_v"], f["lost_s"], f["strange_s"]) == (0.0, 0.0, 0.0, 0.0, 120.0)
    assert math.isnan(f["centre_v"])
    part = np.asarray(zeros(twin.step.TwinState))[0]
    twin.step.start(part, np.asarray(d.fixed)[0], 0.37, 12.5)
    assert part["pack"]["soc"] == 0.37


MIDDLE_V = 0.1 * np.asarray(cell().ocv_v)[0] + 0.9 * np.asarray(cell().ocv_v)[1]  # 23 degC, between 5 and 25
BETWEEN = (33.5, 12.5)  # degC of the two sensors: 23 degC in the mean, between two rows of the tables
FILTER_S = 2.0  # step of the filter's judges


def random_filter(twin: Any, seed: int, soc: float) -> SimpleNamespace:
    """A filter in the middle of something, every number another one, and the mean cell's coefficients."""
    rng = np.random.default_rng(seed)
    d = drive(twin, dt_s=FILTER_S).start(soc)
    d.tick(0.0, 10.0, NAN, BETWEEN)
    d.tick(2.0, 10.0, NAN, BETWEEN)
    f, k = d.s.filter, d.s.pack
    root = rng.normal(size=(8, 8)) * np.array([0.05, 0.003, 0.003, 0.002, 0.4, 0.05, 0.004, 0.008])[:, None]
    f.cov[:] = root @ root.T
    f.bias_a, f.offset_v, f.misfit_v, f.lost_s, f.strange_s = 0.3, 0.004, 0.003, 7.0, 0.0
    at = k.middle_at[:, 0]
    zone = SimpleNamespace(decay=at[2:7:2], gain_ohm=at[1:6:2], r0_ohm=at[0], m_v=at[7], gamma=at[9], efficiency=at[10])
    return SimpleNamespace(
        d=d, f=f, k=k, fp=d.p.filter, t=d.p.pack.cell, at=k.middle_at, zone=zone, cov=np.array(f.cov)
    )


def check_propagation(twin: Any) -> None:
    """The covariance against F P F' + Q in matrices, with bias and misfit fading."""
    for seed, current, left in ((1, 20.0, 0.02), (2, -15.0, -0.03), (3, 0.0, 0.0)):
        r = random_filter(twin, seed, 0.5)
        twin.estimator.forget(r.f, r.fp, r.t, r.at, current, left)
        want = propagated(r.cov, r.fp, r.zone, current, left, FILTER_S, CAPACITY_C)
        scale = np.sqrt(np.diag(want))
        assert np.abs((r.f.cov - want) / np.outer(scale, scale)).max() < 1e-9
        assert abs(r.f.bias_a - 0.3 * np.exp(-2.0 / 3600.0)) < 1e-12
        assert abs(r.f.misfit_v - 0.003 * np.exp(-abs(left) / 0.1)) < 1e-12
        assert r.f.offset_v == 0.004


def check_loss(twin: Any) -> None:
    """What an unknown current adds: charge by the time lost, polarisation towards R I, hysteresis towards its start."""
    r = random_filter(twin, 3, 0.5)
    r.f.cov[:] *= 0.01
    before = np.diag(r.f.cov).copy()
    twin.estimator.lose(r.f, r.fp, r.t, r.at)
    z, amps = r.zone, 20.0
    rate = amps / CAPACITY_C
    goal = [*((amps * z.gain_ohm / (1 - z.decay)) ** 2), 0.58**2]
    keep = [*(z.decay**2), np.exp(-2 * z.gamma * rate * FILTER_S)]
    want = [before[0] + (9.0**2 - 7.0**2) * rate**2]
    want += [b + (g - b) * (1 - k) for b, g, k in zip(before[1:5], goal, keep, strict=True)]
    assert np.allclose(np.diag(r.f.cov)[:5], want, rtol=1e-9, atol=0.0)
    assert r.f.lost_s == 9.0
    r.f.cov[1, 1] = 100.0
    twin.estimator.lose(r.f, r.fp, r.t, r.at)
    assert r.f.cov[1, 1] == 100.0, "what is less known than that stays so"


def ocv_in_the_middle(soc: float) -> float:
    """OCV of the rig's cell at 23 degC, on straight lines beyond its ends."""
    low, high = (MIDDLE_V[1] - MIDDLE_V[0]) * 200.0, (MIDDLE_V[200] - MIDDLE_V[199]) * 200.0
    return float(np.interp(soc, GRID, MIDDLE_V) + min(soc, 0.0) * low + max(soc - 1.0, 0.0) * high)


STATES = ((4, 0.5, 0.01), (5, 0.02, -0.005), (6, 0.99, 0.004), (7, -0.05, 0.003), (8, 1.06, 0.002), (9, 0.4, -0.9))


def check_update(twin: Any) -> None:
    """Kalman gain and covariance against matrices, over slopes inside the table, at both ends and beyond."""
    for seed, soc, residual in STATES:
        for shrink in (1.0, 1e-4):
            r = random_filter(twin, seed, soc)
            r.f.cov[:] *= shrink
            cov = np.array(r.f.cov)
            line = secant(ocv_in_the_middle, soc, float(np.sqrt(cov[0, 0])), r.fp.span_least)
            surprise = residual - 0.007 - line.bend
            change, want = updated(cov, r.fp, line, r.zone, 0.11, FILTER_S, surprise)
            twin.estimator.learn(r.f, r.fp, r.t, r.at, soc, 0.11, residual)
            scale = np.sqrt(np.diag(cov))
            assert np.allclose(r.f.change / scale, change / scale, rtol=1e-7, atol=1e-9)
            assert np.abs((r.f.cov - want) / np.outer(scale, scale)).max() < 1e-8
            assert abs(r.f.bias_a - 0.3 - change[5]) < 1e-9
            assert abs(r.f.offset_v - 0.004 - change[6]) < 1e-9
            assert abs(r.f.misfit_v - 0.003 - change[7]) < 1e-9
            assert r.f.strange_s == (FILTER_S if residual == -0.9 else 0.0)


def check_sight(twin: Any) -> None:
    """The first look, and one after surprises that did not end: Bayes' rule on a grid."""
    for seed, soc, residual in ((4, 0.5, 0.05), (5, 0.02, -0.005), (6, 0.93, 0.2), (7, 1.05, -0.3), (8, 0.5, 3.0)):
        for shrink, dt_s in ((1.0, FILTER_S), (1e-7, FILTER_S), (1e-7, 0.25), (1e-7, 1.5), (1e-9, 1e4)):
            r = random_filter(twin, seed, soc)
            r.t.dt_s = dt_s
            r.f.cov[:] *= shrink
            cov = np.array(r.f.cov)
            r.f.strange_s = 120.0
            r.f.change[:] = 7.0
            twin.estimator.learn(r.f, r.fp, r.t, r.at, soc, 0.11, residual)
            mean, variance = seen(ocv_in_the_middle, soc, cov, r.fp, r.zone, dt_s, residual - 0.007)
            assert r.f.change[0] == pytest.approx(mean, rel=1e-6, abs=1e-9)
            assert not r.f.change[1:].any()
            want = cov.copy()
            want[0, :], want[:, 0] = 0.0, 0.0
            want[0, 0] = variance
            assert np.allclose(r.f.cov, want, rtol=1e-6, atol=0.0)
            assert (r.f.strange_s, r.f.bias_a, r.f.offset_v) == (0.0, 0.3, 0.004)
    r = random_filter(twin, 9, 0.5)
    r.f.strange_s = 117.0
    for k in range(3):
        twin.estimator.learn(r.f, r.fp, r.t, r.at, 0.5, 0.11, 0.9)
        assert r.f.strange_s == (119.0, 121.0, 0.0)[k]


def check_gate(twin: Any) -> None:
    """Three sigma and no less are strange."""
    for sigmas, strange in ((-2.9, False), (2.0, False), (3.1, True), (-3.1, True)):
        r = random_filter(twin, 4, 0.5)
        line = secant(ocv_in_the_middle, 0.5, float(np.sqrt(r.cov[0, 0])), r.fp.span_least)
        one, _ = updated(r.cov, r.fp, line, r.zone, 0.11, FILTER_S, 1e-9)
        h = watched(line.slope, r.zone)
        total = float(h @ r.cov @ h) * 1e-9 / float(h @ one)
        twin.estimator.learn(r.f, r.fp, r.t, r.at, 0.5, 0.11, 0.007 + line.bend + sigmas * math.sqrt(total))
        assert r.f.strange_s == (FILTER_S if strange else 0.0)


def check_sigma(twin: Any) -> None:
    """The published sigma holds the OCV table's own error."""
    r = random_filter(twin, 4, 0.5)
    r.f.cov[0, 0] = 0.03**2
    assert abs(twin.estimator.sigma(r.f, r.fp) - math.sqrt(0.03**2 + 0.005**2)) < 1e-12
    r.f.cov[0, 0] = -1e-18
    assert abs(twin.estimator.sigma(r.f, r.fp) - 0.005) < 1e-12


def check_correction(twin: Any) -> None:
    """What was learned is added to every group; SoC and stops stay within their bounds, the mean with them."""
    d = drive(twin, series=98, sensors=(3, 97)).start(0.5)
    d.tick(0.0, 0.0)
    k = d.s.pack
    twin.pack.correct(k, d.p.pack, 0.01, 0.002, 0.003, 0.004, 0.25)
    for b, i in ((0, 0), (0, 95), (1, 0), (1, 1)):
        assert k.rows[b, cells.SOC, i] == 0.51
        assert k.rows[b, cells.V1 : cells.V3 + 1, i].tolist() == [0.002, 0.003, 0.004]
        assert np.all(k.rows[b, cells.STOP : cells.STOP + 8, i] == 0.25)
    assert not k.rows[1, cells.V1, 2:].any()
    assert not k.rows[1, cells.STOP : cells.STOP + 8, 2:].any()
    for h, want in ((-0.5, -0.25), (-5.0, -1.0), (7.0, 1.0)):
        twin.pack.correct(k, d.p.pack, 0.0, 0.0, 0.0, 0.0, h)
        assert np.all(k.rows[1, cells.STOP : cells.STOP + 8, :2] == want)
    for soc, want in ((9.0, 1.1), (-9.0, -0.1)):
        twin.pack.correct(k, d.p.pack, soc, 0.0, 0.0, 0.0, 0.0)
        assert k.rows[0, cells.SOC, 50] == want


def check_learning(twin: Any) -> None:
    """The stage gives the filter the polarisation of the mean cell and every group what it learned."""
    d = drive(twin).start(0.5)
    for k in range(40):
        d.tick(float(k), 20.0, 3.2, WHERE)
    k, f = d.s.pack, d.s.filter
    asked: dict[str, Any] = {}
    before = (k.soc, k.rows.copy())
    plain = twin.estimator.learn

    def spy(*given: Any) -> None:
        asked["polarisation_v"], asked["soc"], asked["residual_v"] = given[5], given[4], given[6]
        f.change[:] = (0.02, 0.001, 0.002, 0.003, -0.3, 9.0, 9.0, 9.0)

    twin.estimator.learn = spy
    try:
        twin.step.learn(d.s, d.p, 15.0, 0.0123)
    finally:
        twin.estimator.learn = plain
    want_v = k.middle_at[0, 0] * 15.0 + k.middle[1:4, 0].sum()
    assert asked["polarisation_v"] == pytest.approx(want_v, rel=1e-12)
    assert (asked["soc"], asked["residual_v"]) == (before[0], 0.0123)
    assert k.soc == before[0] + 0.02
    stops = k.rows[0, cells.STOP : cells.STOP + 8, :SERIES]
    assert np.allclose(stops, np.maximum(before[1][0, cells.STOP : cells.STOP + 8, :SERIES] - 0.3, -1.0))
    moved = (k.rows - before[1])[0, :, :SERIES]
    for row, by in ((cells.SOC, 0.02), (cells.V1, 0.001), (cells.V2, 0.002), (cells.V3, 0.003)):
        assert np.allclose(moved[row], by)
    f.change[0] = 5.0
    twin.step.learn(d.s, d.p, 15.0, 0.0)
    assert k.soc <= 1.1 + f.change[0]


def check_mean_cell(twin: Any) -> None:
    """Mean state of the groups over two blocks."""
    d = drive(twin, series=98, sensors=(3, 97)).start(0.5)
    k = d.s.pack
    rng = np.random.default_rng(1)
    chosen = (0, 1, 2, 3, 4, cells.ASIDE_A, cells.PER_COULOMB, cells.GROWTH)
    for r in chosen:
        k.rows[:, r] = rng.uniform(0.1, 0.9, (2, 96))
    twin.pack.find_mean(k, d.p.pack)
    for r in chosen:
        every = np.concatenate((k.rows[0, r], k.rows[1, r, :2]))
        assert k.middle[r, 0] == pytest.approx(every.mean(), rel=1e-12)
    assert k.soc == k.middle[0, 0]


def check_temperatures(twin: Any) -> None:
    """Sensors pull the groups at and between them; one that is unknown, or mad, says nothing."""
    d = drive(twin, series=98, sensors=(97, 1)).start(0.5, 20.0)
    row = np.full(d.row.size, NAN)
    column = d.p.col_measured_temperature
    row[column : column + 2] = 30.0, 10.0
    twin.pack.take_temperatures(d.s.pack, d.p.pack, row, column, 0.25)
    got = [float(d.s.pack.rows[c // 96, cells.DEGC, c % 96]) for c in (0, 1, 49, 97)]
    assert got == pytest.approx([17.5, 17.5, 20.0, 22.5])
    for mad in (NAN, 5000.0, -5000.0):
        row[column] = mad
        twin.pack.take_temperatures(d.s.pack, d.p.pack, row, column, 0.25)
    assert d.s.pack.rows[1, cells.DEGC, 1] == pytest.approx(22.5)
    row[column] = float(d.s.pack.rows[1, cells.DEGC, 1]) + 1000.0
    twin.pack.take_temperatures(d.s.pack, d.p.pack, row, column, 0.25)
    row[column] = 22.5 + 999.0
    twin.pack.take_temperatures(d.s.pack, d.p.pack, row, column, 0.001)
    assert d.s.pack.rows[1, cells.DEGC, 1] == pytest.approx(22.5 + 0.999)
    row[column] = 22.5 + 0.999 + 1001.0
    twin.pack.take_temperatures(d.s.pack, d.p.pack, row, column, 0.001)
    assert d.s.pack.rows[1, cells.DEGC, 1] == pytest.approx(22.5 + 0.999), "mad too"


def check_zones(twin: Any) -> None:
    """Three sensors in any order: every group between the two that it lies between."""
    d = drive(twin, series=9, sensors=(6, 1, 4)).start(0.5, 20.0)
    row = np.full(d.row.size, NAN)
    column = d.p.col_measured_temperature
    row[column : column + 3] = 60.0, 30.0, 100.0
    twin.pack.take_temperatures(d.s.pack, d.p.pack, row, column, 1.0)
    want = np.interp(np.arange(9.0), [1.0, 4.0, 6.0], [30.0, 100.0, 60.0])
    assert np.allclose(d.s.pack.rows[0, cells.DEGC, :9], want, rtol=1e-12)


def check_sign(twin: Any) -> None:
    """M0 turns with a current above a hundredth of the capacity per hour: 0.2 A."""
    d = drive(twin).start(0.5)
    k = d.s.pack
    for current, want in ((0.2, 0.0), (0.21, 1.0), (-0.2, 1.0), (-0.21, -1.0), (0.0, -1.0)):
        twin.pack.turn_sign(k, d.p.pack, current)
        assert k.sign == want


def check_coolant(twin: Any) -> None:
    """Groups lose heat to the coolant measured, else to the pack file's, else to what they are themselves."""
    ends = {}
    for name, measured, default in (("measured", 0.0, 50.0), ("default", NAN, 50.0), ("none", NAN, NAN)):
        of = cell()
        of.heat_capacity_j_per_k, of.surface_heat_transfer_w_per_k = 50.0, 5.0
        d = drive(twin, of=of).start(0.5, 25.0)
        d.p.pack.coolant_degc = default
        d.columns("measured.coolant_temperature")[:] = measured
        for k in range(3):
            d.tick(float(k), 0.0, NAN, NAN)
        ends[name] = float(d.columns("twin.cell_temperature")[0])
    decay = (1.0 - 0.1) ** 2  # 10 W/K of two cells over 100 J/K
    assert ends["measured"] == pytest.approx(25.0 * decay)
    assert ends["default"] == pytest.approx(50.0 - 25.0 * decay)
    assert ends["none"] == pytest.approx(25.0)


def check_balancing(twin: Any) -> None:
    """A balancing current drains its own group alone, on top of the pack's; an unknown one is none."""
    d = drive(twin).start(0.5)
    aside = d.columns("measured.balancing_current")
    aside[:] = [0.0, 2.0, NAN, 0.0, 0.0]
    for k in range(11):
        d.tick(float(k), 10.0, NAN, 25.0)
    soc = d.columns("twin.cell_soc")
    assert soc[[0, 2, 3, 4]] == pytest.approx(np.full(4, 0.5 - 10.0 * 10.0 / CAPACITY_C), abs=1e-12)
    assert soc[1] == pytest.approx(0.5 - 12.0 * 10.0 / CAPACITY_C, abs=1e-12)
    volts = d.columns("twin.cell_voltage")
    assert volts[1] < volts[0] - 0.01
    assert abs(d.columns("twin.pack_voltage")[0] - volts.sum()) < 1e-9
    d.p.pack.busbar_ohm = 0.003
    d.tick(11.0, 10.0, NAN, 25.0)
    assert abs(d.columns("twin.pack_voltage")[0] - d.columns("twin.cell_voltage").sum() + 0.03) < 1e-9


def check_gap(twin: Any) -> None:
    """Rows left out are made up for; a row within half a tick of the last one moves nothing."""
    whole, gap = drive(twin).start(0.5), drive(twin).start(0.5)
    for k in range(5):
        want = whole.tick(float(k), 20.0, NAN, WHERE)
    gap.tick(0.0, 20.0, NAN, WHERE)
    assert gap.tick(4.0, 20.0, NAN, WHERE).tolist() == want.tolist()
    assert gap.sigma() == whole.sigma()
    assert gap.s.rows == 2
    soc = gap.soc()
    gap.tick(4.4, 20.0, 3.2, WHERE)
    assert gap.soc() == soc, "nothing moved, so nothing is learned"
    gap.tick(5.0, 20.0, NAN, WHERE)
    assert gap.soc() == pytest.approx(soc - 20.0 / CAPACITY_C, abs=1e-12)


def check_changing(twin: Any) -> None:
    """Over a gap the last current flows until the end of it, where the new one drops its voltage."""
    d, fine = drive(twin).start(0.5), drive(twin).start(0.5)
    for k, current in ((0, 20.0), (1, 20.0), (2, 20.0), (3, -30.0)):
        want = fine.tick(float(k), current, NAN, WHERE)
    d.tick(0.0, 20.0, NAN, WHERE)
    assert d.tick(3.0, -30.0, NAN, WHERE) == pytest.approx(want, abs=1e-12)


def check_forgetting(twin: Any) -> None:
    """The filter is told the charge that left the mean cell: less of it where a charge is not kept whole."""
    d = drive(twin, dt_s=FILTER_S).start(0.5)
    told: list[tuple[float, float]] = []
    plain = twin.estimator.forget

    def spy(*given: Any) -> None:
        told.append((given[4], given[5]))

    twin.estimator.forget = spy
    try:
        for k, current in enumerate((20.0, -10.0, 0.5, 0.0)):
            d.tick(FILTER_S * k, current, NAN, 25.0)
    finally:
        twin.estimator.forget = plain
    kept = (1.0, 0.95, 1.0)
    want = [(a, a * FILTER_S / CAPACITY_C * e) for a, e in zip((20.0, -10.0, 0.5), kept, strict=True)]
    assert np.allclose(told, want, rtol=1e-9, atol=0.0)


def check_freshness(twin: Any) -> None:
    """Coefficients and temperatures are made anew every 80 ms, counted over ticks and gaps alike."""
    for dt_s, steps in ((0.01, 8), (0.02, 4), (0.05, 2), (0.06, 1), (1.0, 1), (30.0, 1)):
        p = drive(twin, dt_s=dt_s).start(0.5).p.pack
        assert p.fresh_steps == steps
        assert p.follow == pytest.approx(1.0 - math.exp(-steps * dt_s / 5.0), rel=1e-12)
    d = drive(twin, dt_s=0.02).start(0.5)
    plain = twin.cells.step, twin.pack.take_temperatures
    flags: list[bool] = []
    taken: list[Any] = []
    twin.cells.step = lambda *given: flags.append(given[8])
    twin.pack.take_temperatures = lambda *given: taken.append((len(flags), given[4]))
    try:
        for t_s in (0.0, 0.02, 0.04, 0.06, 0.08, 0.10, 0.20, 0.22):
            d.tick(t_s, 5.0)
    finally:
        twin.cells.step, twin.pack.take_temperatures = plain
    assert [bool(f) for f in flags] == [k % 4 == 3 for k in range(11)]
    assert taken == [(0, 1.0), (4, d.p.pack.follow), (8, d.p.pack.follow)]
    assert d.s.pack.age_steps == 3


def check_following(twin: Any) -> None:
    """Temperatures follow the sensors by the share of each step, also over a gap."""
    d = drive(twin).start(0.5, 20.0)
    d.tick(0.0, 0.0, NAN, 20.0)
    d.tick(3.0, 0.0, NAN, 30.0)
    assert d.columns("twin.cell_temperature") == pytest.approx(np.full(SERIES, 30.0 - 10.0 * math.exp(-0.6)), abs=1e-6)


def check_restart(twin: Any) -> None:
    """A start forgets what was."""
    d = drive(twin).start(0.5)
    for k in range(5):
        d.tick(float(k), 20.0, 3.2, WHERE)
    states = np.asarray(d.states)[0]
    states["t_ns"], states["rows"], states["current_a"], states["current_known"] = 7, 7, 7.0, 1
    states["filter"]["cov"][:], states["pack"]["age_steps"] = 7.0, 7
    fresh = zeros(twin.step.TwinState)
    for of in (d.states, fresh):
        twin.step.start(of, d.fixed, 0.4, 25.0)
    assert np.asarray(d.states)["pack"].tobytes() == np.asarray(fresh)["pack"].tobytes()
    assert np.array_equal(states["filter"]["cov"], np.asarray(fresh)[0]["filter"]["cov"])
    for name in ("t_ns", "rows", "current_a", "current_known"):
        assert states[name] == 0


def check_unknown_current(twin: Any) -> None:
    """Predictions are unknown, the last current goes on, what may have flowed is counted, and then it is forgotten."""
    d = drive(twin).start(0.5)
    d.tick(0.0, 10.0, NAN, WHERE)
    assert np.isnan(d.tick(1.0, NAN, 3.2, WHERE)).all()
    assert np.isnan(d.columns("twin.pack_voltage")).all()
    assert np.isfinite(d.columns("twin.cell_soc")).all()
    assert d.s.current_known == 0
    assert d.s.filter.lost_s == 0.0
    d.tick(2.0, NAN, 3.2, WHERE)
    assert d.s.filter.lost_s == 1.0
    d.tick(3.0, 5.0, 3.2, WHERE)
    assert (d.s.filter.lost_s, d.s.current_known, d.s.current_a) == (2.0, 1, 5.0)
    d.tick(4.0, 5.0, NAN, WHERE)
    assert d.s.filter.lost_s == 0.0
    flowed = 3 * 10.0 + 5.0
    blind = drive(twin).start(0.5)
    for k, current in enumerate((10.0, NAN, NAN, 5.0, 5.0)):
        blind.tick(float(k), current, NAN, WHERE)
    assert blind.soc() == pytest.approx(0.5 - flowed / CAPACITY_C, abs=1e-12)


def check_first_row(twin: Any) -> None:
    """The first row sets the temperatures and moves nothing, whenever it comes."""
    d = drive(twin).start(0.5, 25.0)
    d.tick(77.0, 20.0, 3.2, [32.5, 12.5])
    assert d.columns("twin.cell_temperature") == pytest.approx([12.5, 12.5, 22.5, 32.5, 32.5])
    assert d.soc() == 0.5
    assert d.s.t_ns == 77_000_000_000
    assert d.s.filter.strange_s == 120.0, "not yet seen"


def check_bias(twin: Any) -> None:
    """A known bias is taken off the current: in the voltage drop and in the charge."""
    d, clean = drive(twin).start(0.5), drive(twin).start(0.5)
    d.s.filter.bias_a = 3.0
    for k in range(5):
        got, want = d.tick(float(k), 13.0), clean.tick(float(k), 10.0)
    assert np.abs(got - want).max() < 1e-4
    assert abs(d.soc() - clean.soc()) < 1e-6


def check_mean(twin: Any) -> None:
    """The robust mean of the residuals, by hand."""
    d = drive(twin).start(0.5)
    s, row = d.s, d.row
    said = d.columns("twin.cell_voltage")
    said[:] = 3.2 + 0.01 * np.arange(SERIES)
    for centre, residuals, want in (
        (NAN, [0.1, 0.2, 0.3, 0.4, 0.5], 0.3),
        (0.010, [0.011, 0.012, 0.013, 0.5, 0.014], 0.010 + (0.001 + 0.002 + 0.003 + 0.02 + 0.004) / 5),
        (0.010, [0.011, -0.7, 0.013, NAN, 0.014], 0.010 + (0.001 - 0.02 + 0.003 + 0.004) / 4),
        (0.010, [0.5, 0.6, 0.7, 0.012, 0.013], (0.5 + 0.6 + 0.7 + 0.012 + 0.013) / 5),
        (0.010, [-0.5, 0.6, -0.7, 0.012, 0.013], (-0.5 + 0.6 - 0.7 + 0.012 + 0.013) / 5),
        (0.010, [0.5, -0.6, 0.011, 0.012, 0.014], 0.010 + (0.001 + 0.002 + 0.004) / 5),
        (0.010, [0.5, -0.6, NAN, 0.012, 0.014], 0.010 + (0.002 + 0.004) / 4),
    ):
        s.filter.centre_v = centre
        d.columns("measured.cell_voltage")[:] = said + np.array(residuals)
        assert abs(twin.step.mean_residual(s, d.p, row) - want) < 1e-12
        assert abs(s.filter.centre_v - want) < 1e-12


def check_mean_of_none(twin: Any) -> None:
    """No cell known is no mean."""
    d = drive(twin).start(0.5)
    d.columns("measured.cell_voltage")[:] = NAN
    assert math.isnan(twin.step.mean_residual(d.s, d.p, d.row))


def check_convergence(twin: Any) -> None:
    """The whole loop: a start that is 12 % wrong is found out on a slope, and sigma covers what is left."""
    d, sim, current = drive(twin).start(0.62), Simulation(0.5), 0.0
    degc = np.array(WHERE)
    for k in range(60):
        if k:
            sim.flow(current, degc, 1.0, parts=2)
        current = (20.0, -15.0, 0.0)[(k // 8) % 3]
        d.tick(float(k), current, sim.cells(current, degc), degc)
        assert abs(d.soc() - sim.soc) < 2.5 * d.sigma()
    assert abs(d.soc() - sim.soc) < 0.03
    assert d.sigma() < 0.05


JUDGES: tuple[Callable[[Any], None], ...] = (
    *twin_cell_judges.JUDGES,
    *twin_capacity_judges.JUDGES,
    *twin_health_judges.JUDGES,
    *twin_told_judges.JUDGES,
    *twin_delta_judges.JUDGES,
    *twin_warning_judges.JUDGES,
    *twin_heat_judges.JUDGES,
    check_sigma,
    check_sign,
    check_sensors,
    check_start,
    check_layout,
    check_first_row,
    check_mean_of_none,
    check_mean,
    check_temperatures,
    check_zones,
    check_mean_cell,
    check_correction,
    check_propagation,
    check_loss,
    check_gap,
    check_changing,
    check_forgetting,
    check_following,
    check_freshness,
    check_restart,
    check_unknown_current,
    check_coolant,
    check_balancing,
    check_bias,
    check_learning,
    check_gate,
    check_update,
    check_sight,
    check_pack_file,
    check_drive,
    check_convergence,
)
