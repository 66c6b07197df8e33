"""Judges of the twin: laws that its three modules keep, each against an independent simulation or filter in matrices.

Each takes the modules (``step``, ``model``, ``estimator``), healthy or mutated, as plain Python, and raises where a law is
broken. Cheapest first.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from twin_filter_oracle import propagated, secant, updated
from twin_rig import CAPACITY_C, KNOTS, PARALLEL, SENSORS, SERIES, Drive, Simulation, cell

from hil.campaign.mutate.plain import as_object
from hil.files.pack import MOST_TEMPERATURES

NAN = float("nan")


def drive(twin: Any) -> Drive:
    return Drive(stage=twin.step, as_record=as_object)


def check_drive(twin: Any) -> None:
    """Predictions without any cell voltage, against the independent simulation: SoC from 10.15 % to below 10 %."""
    d, sim = drive(twin).start(0.1015, 12.0), Simulation(0.1015)
    degc, current = np.array([43.0, 12.0]), 0.0
    for k in range(100):
        if k:
            sim.flow(current, np.minimum(degc, 45.0), 1.0, parts=2)
        degc = np.array([50.0, 12.5]) if k >= 56 else degc
        current = 0.0 if 54 <= k < 62 else (20.0, 0.0, -15.0, 30.0)[(k // 14) % 4]
        got = d.tick(float(k), current, NAN, degc)
        if not 56 <= k < 60:
            assert np.abs(got - sim.cells(current, np.minimum(degc, 45.0))).max() < 3e-4
        assert abs(d.soc() - sim.soc) < 2e-5
        assert abs(float(d.columns("twin.pack_voltage")[0]) - got.sum()) < 1e-9


def at_temperatures(degc: tuple[float, ...]) -> SimpleNamespace:
    """The rig's OCV at 25 degC, 8 mohm a cell and 2 mV of M0 at each of some temperatures."""
    of, n = cell(), len(degc)
    of.temperatures_degc, of.ocv_v, of.r0_ohm = degc, np.tile(of.ocv_v[1], (n, 1)), np.full((n, 11), 0.008)
    for name in ("r1_ohm", "tau1_s", "r2_ohm", "tau2_s"):
        setattr(of, name, np.full((n, 11), 1.0))
    of.hysteresis = SimpleNamespace(m_v=np.zeros((n, 11)), gamma=(50.0,) * n, m0_v=(0.002,) * n)
    of.coulombic_efficiency = (1.0,) * n
    return of


def check_table(twin: Any) -> None:
    """The OCV at rest within its table and on straight lines beyond; held resistances; room for every sensor."""
    of = cell()
    ocv = np.asarray(of.ocv_v)[1]
    for soc in (-0.05, 0.0, 0.333, 0.9975, 1.0, 1.04):
        steps = soc * 200.0
        by_hand = np.interp(soc, of.soc, ocv) + min(steps, 0.0) * (ocv[1] - ocv[0])
        by_hand += max(steps - 200.0, 0.0) * (ocv[200] - ocv[199])
        d = drive(twin).start(soc)
        assert abs(d.tick(0.0, 0.0)[0] - by_hand) < 1e-9
        ohm = np.interp(soc, KNOTS, of.r0_ohm[1]) / PARALLEL
        m0_v = 0.004
        assert abs(d.tick(0.0, -10.0)[0] - by_hand - 10.0 * ohm - m0_v) < 1e-9
        assert abs(d.s.model.polarisation_v + 10.0 * ohm) < 1e-12
    for degc in (25.0,), tuple(np.linspace(-20.0, 50.0, MOST_TEMPERATURES)):
        got = (
            Drive(stage=twin.step, of=at_temperatures(degc), as_record=as_object).start(0.5).tick(0.0, 10.0, NAN, 60.0)
        )
        assert np.abs(got - (np.interp(0.5, of.soc, ocv) - 10.0 * 0.004 - 0.002)).max() < 1e-9
    many = Drive(stage=twin.step, series=70, sensors=tuple(range(64)), as_record=as_object).start(0.5)
    for k in range(3):
        assert np.isfinite(many.tick(float(k), 10.0, 3.2, 25.0 + np.arange(64) * 0.1)).all()


def random_filter(twin: Any, seed: int, soc: float) -> SimpleNamespace:
    """A filter and a model in the middle of something, every number another one."""
    rng = np.random.default_rng(seed)
    d = drive(twin).start(soc)
    d.tick(0.0, 10.0, NAN, [31.0, 12.0])
    d.tick(1.0, 10.0, NAN, [31.0, 12.0])
    f, m = d.s.filter, d.s.model
    root = rng.normal(size=(6, 6)) * np.array([0.05, 0.003, 0.003, 0.4, 0.05, 0.008])[:, None]
    f.cov[:] = root @ root.T
    f.bias_a, f.offset_v, f.lost_s, m.polarisation_v = 0.3, 0.004, 7.0, 0.11
    z = len(SENSORS)
    zone = SimpleNamespace(
        **{
            n: float(getattr(m, n)[z])
            for n in ("decay1", "decay2", "gain1_ohm", "gain2_ohm", "gamma", "efficiency", "m_v", "r0_ohm")
        }
    )
    return SimpleNamespace(d=d, f=f, m=m, fp=d.p.filter, mp=d.p.model, zone=zone, cov=np.array(f.cov), bias=f.bias_a)


def check_propagation(twin: Any) -> None:
    """The covariance against F P F' + Q in matrices, with bias and offset fading."""
    for seed, current, left in ((1, 20.0, 0.02), (2, -15.0, -0.03)):
        r = random_filter(twin, seed, 0.5)
        twin.estimator.forget(r.f, r.fp, r.m, r.mp, current, left)
        want = propagated(r.cov, r.fp, r.zone, current, left, 1.0, CAPACITY_C)
        scale = np.sqrt(np.diag(want))
        assert np.abs((r.f.cov - want) / np.outer(scale, scale)).max() < 1e-9
        assert abs(r.f.bias_a - 0.3 * np.exp(-1.0 / 3600.0)) < 1e-12
        assert abs(r.f.offset_v - 0.004 * np.exp(-abs(left) / 0.1)) < 1e-12


def check_loss(twin: Any) -> None:
    """What an unknown current adds: charge by the time lost, polarisation towards R I, hysteresis towards its start."""
    r = random_filter(twin, 3, 0.5)
    r.f.cov[:] *= 0.01
    before = np.diag(r.f.cov).copy()
    twin.estimator.lose(r.f, r.fp, r.m, r.mp)
    z, amps = r.zone, 20.0
    rate = amps / CAPACITY_C
    goal = [(amps * z.gain1_ohm / (1 - z.decay1)) ** 2, (amps * z.gain2_ohm / (1 - z.decay2)) ** 2, 0.58**2]
    keep = [z.decay1**2, z.decay2**2, np.exp(-2 * z.gamma * rate)]
    want = [before[0] + (8.0**2 - 7.0**2) * rate**2]
    want += [b + (g - b) * (1 - k) for b, g, k in zip(before[1:4], goal, keep, strict=True)]
    assert np.allclose(np.diag(r.f.cov)[:4], want, rtol=1e-9, atol=0.0)
    assert r.f.lost_s == 8.0


def check_update(twin: Any) -> None:
    """Kalman gain and covariance against matrices, over slopes inside the table, at both ends and beyond."""
    of = cell()
    points = RegularGridInterpolator((of.temperatures_degc, of.soc), of.ocv_v)

    def ocv(soc: float) -> float:
        inside = min(max(soc, 0.0), 1.0)
        end = [points([[21.5, x]])[0] for x in ((0.0, 0.005) if soc < 0.0 else (0.995, 1.0))]
        return float(points([[21.5, inside]])[0] + (soc - inside) * (end[1] - end[0]) / 0.005)

    for seed, soc, residual in (
        (4, 0.5, 0.01),
        (5, 0.02, -0.005),
        (6, 0.99, 0.004),
        (7, -0.05, 0.003),
        (8, 1.06, 0.002),
        (9, 0.4, -0.9),
    ):
        for shrink in (1.0, 1e-4):
            r = random_filter(twin, seed, soc)
            r.m.soc = soc
            r.f.cov[:] *= shrink
            cov = np.array(r.f.cov)
            line = secant(ocv, soc, float(np.sqrt(cov[0, 0])), r.fp.span_least)
            surprise = residual - 0.004 - line.bend
            change, want = updated(cov, r.fp, line, r.zone, 0.11, 1.0, surprise)
            twin.estimator.learn(r.f, r.fp, r.m, r.mp, residual)
            scale = np.sqrt(np.diag(cov))
            assert np.allclose(r.f.change / scale, change / scale, rtol=1e-7, atol=1e-9)
            assert np.abs((r.f.cov - want) / np.outer(scale, scale)).max() < 1e-8
            assert abs(r.f.bias_a - 0.3 - change[4]) < 1e-9
            assert abs(r.f.offset_v - 0.004 - change[5]) < 1e-9


def check_correction(twin: Any) -> None:
    """What was learned is added to the pack's SoC and to every zone; h stays within its bounds."""
    d = drive(twin).start(0.5)
    d.tick(0.0, 0.0)
    m = d.s.model
    twin.model.correct(m, d.p.model, 0.01, 0.002, 0.003, 0.25)
    assert (m.soc, m.v1_v[1], m.v2_v[1], m.h[1]) == (0.51, 0.002, 0.003, 0.25)
    twin.model.correct(m, d.p.model, 0.0, 0.0, 0.0, -0.5)
    assert m.h[0] == -0.25
    twin.model.correct(m, d.p.model, 0.0, 0.0, 0.0, -5.0)
    assert m.h[0] == -1.0


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
    s.predicted_v[:SERIES] = 3.2 + 0.01 * np.arange(SERIES)
    for centre, residuals, want in (
        (NAN, [0.1, 0.2, 0.3, 0.4, 0.5], 0.3),
        (0.010, [0.011, 0.012, 0.013, 0.5, 0.014], 0.010 + (0.001 + 0.002 + 0.003 + 0.02 + 0.004) / 5),
        (0.010, [0.011, -0.7, 0.013, NAN, 0.014], 0.010 + (0.001 - 0.02 + 0.003 + 0.004) / 4),
        (0.010, [0.5, 0.6, 0.7, 0.012, 0.013], (0.5 + 0.6 + 0.7 + 0.012 + 0.013) / 5),
    ):
        s.filter.centre_v = centre
        d.columns("measured.cell_voltage")[:] = s.predicted_v[:SERIES] + np.array(residuals)
        assert abs(twin.step.mean_residual(s, d.p, row) - want) < 1e-12
        assert abs(s.filter.centre_v - want) < 1e-12


def check_convergence(twin: Any) -> None:
    """The whole loop: a start that is 12 % wrong is found out on a slope, and sigma covers what is left."""
    d, sim, current = drive(twin).start(0.62), Simulation(0.5), 0.0
    degc = np.array([31.0, 12.0])
    for k in range(60):
        if k:
            sim.flow(current, degc, 1.0, parts=2)
        current = (20.0, -15.0, 0.0)[(k // 8) % 3]
        d.tick(float(k), current, sim.cells(current, degc), degc)
        assert abs(d.soc() - sim.soc) < 2.5 * d.sigma()
    assert abs(d.soc() - sim.soc) < 0.03
    assert d.sigma() < 0.05


JUDGES: tuple[Callable[[Any], None], ...] = (
    check_table,
    check_correction,
    check_bias,
    check_mean,
    check_propagation,
    check_loss,
    check_update,
    check_drive,
    check_convergence,
)
