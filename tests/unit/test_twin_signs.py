"""Flip every sign of the twin, one at a time: each must show against an independent simulation or matrix filter.

Every ``+``, ``-``, ``+=``, ``-=`` and unary minus of the twin's three modules is flipped in a fresh copy of the source,
which then runs as plain Python in place of the compiled one.
"""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from twin_filter_oracle import propagated, secant, updated
from twin_rig import CAPACITY_C, KNOTS, PARALLEL, SENSORS, SERIES, Drive, Simulation, cell

import hil.twin
from hil.files.cell import MOST_TEMPERATURES

FOLDER = Path(hil.twin.__file__).parent
MODULES = ("model", "estimator", "step")
NAN = float("nan")


class Flip(ast.NodeTransformer):
    """Flip sign number ``target``; ``found`` lists them all with their place."""

    def __init__(self, target: int = -1) -> None:
        self.target, self.found = target, list[str]()

    def _hit(self, node: Any) -> bool:
        self.found.append(f"{node.lineno}: {ast.unparse(node)}")
        return len(self.found) - 1 == self.target

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub) and self._hit(node):
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub) and self._hit(node):
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return node.operand if isinstance(node.op, ast.USub) and self._hit(node) else node


class Bare(ast.NodeTransformer):
    """Take decorators and imports of sibling modules away, so that the copies call each other as plain Python."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = []
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module and node.module.startswith("hil.twin") else node


@cache
def tree(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text()


def signs() -> list[tuple[str, int, str]]:
    """(module, number, place and text) of every sign."""
    out = []
    for name in MODULES:
        flip = Flip()
        flip.visit(ast.parse(tree(name)))
        out += [(name, k, text) for k, text in enumerate(flip.found)]
    return out


def loaded(module: str = "", number: int = -1) -> SimpleNamespace:
    """Fresh copies of the three modules, one sign of one of them flipped."""
    made: dict[str, Any] = {}
    for name in MODULES:
        parsed = ast.parse(tree(name))
        if name == module:
            parsed = Flip(number).visit(parsed)
        parsed = ast.fix_missing_locations(Bare().visit(parsed))
        fresh = ModuleType(f"twin_copy_{name}")
        if "model" in made:
            fresh.__dict__.update({k: v for k, v in vars(made["model"]).items() if not k.startswith("__")})
            fresh.__dict__.update(made)
        exec(compile(parsed, f"{name}.py", "exec"), fresh.__dict__)  # noqa: S102 - a copy of our own source
        made[name] = fresh
    return SimpleNamespace(**made)


def plain(record: Any) -> SimpleNamespace:
    """A record as an object with attributes: array fields are views, numbers are Python numbers."""
    one = record if isinstance(record, np.void) else np.asarray(record)[0]
    out = SimpleNamespace()
    for name in one.dtype.names:
        value = one[name]
        nested = isinstance(value, np.void) and value.dtype.names
        setattr(out, name, plain(value) if nested else value if isinstance(value, np.ndarray) else value.item())
    return out


def drive(twin: SimpleNamespace) -> Drive:
    return Drive(stage=twin.step, as_record=plain)


def check_drive(twin: SimpleNamespace) -> None:
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


def check_table(twin: SimpleNamespace) -> None:
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
        got = Drive(stage=twin.step, of=at_temperatures(degc), as_record=plain).start(0.5).tick(0.0, 10.0, NAN, 60.0)
        assert np.abs(got - (np.interp(0.5, of.soc, ocv) - 10.0 * 0.004 - 0.002)).max() < 1e-9
    many = Drive(stage=twin.step, series=70, sensors=tuple(range(64)), as_record=plain).start(0.5)
    for k in range(3):
        assert np.isfinite(many.tick(float(k), 10.0, 3.2, 25.0 + np.arange(64) * 0.1)).all()


def random_filter(twin: SimpleNamespace, seed: int, soc: float) -> SimpleNamespace:
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


def check_propagation(twin: SimpleNamespace) -> None:
    """The covariance against F P F' + Q in matrices, with bias and offset fading."""
    for seed, current, left in ((1, 20.0, 0.02), (2, -15.0, -0.03)):
        r = random_filter(twin, seed, 0.5)
        twin.estimator.forget(r.f, r.fp, r.m, r.mp, current, left)
        want = propagated(r.cov, r.fp, r.zone, current, left, 1.0, CAPACITY_C)
        scale = np.sqrt(np.diag(want))
        assert np.abs((r.f.cov - want) / np.outer(scale, scale)).max() < 1e-9
        assert abs(r.f.bias_a - 0.3 * np.exp(-1.0 / 3600.0)) < 1e-12
        assert abs(r.f.offset_v - 0.004 * np.exp(-abs(left) / 0.1)) < 1e-12


def check_loss(twin: SimpleNamespace) -> None:
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


def check_update(twin: SimpleNamespace) -> None:
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


def check_correction(twin: SimpleNamespace) -> None:
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


def check_bias(twin: SimpleNamespace) -> None:
    """A known bias is taken off the current: in the voltage drop and in the charge."""
    d, clean = drive(twin).start(0.5), drive(twin).start(0.5)
    d.s.filter.bias_a = 3.0
    for k in range(5):
        got, want = d.tick(float(k), 13.0), clean.tick(float(k), 10.0)
    assert np.abs(got - want).max() < 1e-4
    assert abs(d.soc() - clean.soc()) < 1e-6


def check_mean(twin: SimpleNamespace) -> None:
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


def check_convergence(twin: SimpleNamespace) -> None:
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


CHECKS: tuple[Callable[[SimpleNamespace], None], ...] = (
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


def first_failure(twin: SimpleNamespace) -> str:
    """Name of the first check that fails or cannot run, empty when all hold."""
    for check in CHECKS:
        try:
            check(twin)
        except Exception:  # noqa: BLE001 - a flipped sign may end in any error; each one shows it
            return check.__name__
    return ""


def test_the_twin_as_it_is_passes_every_check() -> None:
    for check in CHECKS:
        check(loaded())


@pytest.mark.parametrize("name", MODULES)
def test_every_flipped_sign_is_noticed(name: str) -> None:
    survivors = [
        f"{name}.py:{text}"
        for module, number, text in signs()
        if module == name and not first_failure(loaded(module, number))
    ]
    assert survivors == []  # none is equivalent


def test_the_signs_are_found_at_all() -> None:
    counts = [sum(module == name for module, _, _ in signs()) for name in MODULES]
    assert counts[0] > 40
    assert counts[1] > 40
    assert counts[2] > 10
