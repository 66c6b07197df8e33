"""Judges of what the twin says of single cells: delta filters, early warning, unexpected heat, and what they tell the row.

Each takes the copies of ``deltas``, ``warning``, ``heat``, ``watch`` and ``step``, healthy or mutated, as plain Python, and
raises where a law is broken. The filters are held against matrices with Joseph's form of the update, tables against numpy,
statistics against arrays of all cells at once.
"""

import copy
import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from twin_health_judges import check, extended, made, spied, table_of
from twin_rig import CAPACITY_C, KNOTS, Drive

from hil.campaign.mutate.plain import as_object
from hil.image import table
from hil.twin import cells, tables
from hil.twin.cells import ASIDE_A, CELL_ROWS, DEGC, GROWTH, PER_COULOMB, SOC, STOP, V1, V3

NAN = math.nan
FIELDS = "SS SG SC SO GG GC GO CC CO OO".split()
UPPER = np.triu_indices(4)


def some_cells(n: int, seed: int, mean_soc: float = 0.5) -> np.ndarray:
    """Cells in the middle of anything, as the kernels have them."""
    rng = np.random.default_rng(seed)
    x = np.zeros((-(-n // 96), CELL_ROWS, 96))
    for row, low, high in ((SOC, -0.02, 0.02), (DEGC, -45.0, 90.0), (GROWTH, 0.7, 1.6), (ASIDE_A, -0.2, 0.4)):
        x[:, row] = rng.uniform(low, high, x[:, row].shape)
    x[:, SOC] += mean_soc
    x[:, V1 : V3 + 1] = 0.02 * rng.normal(size=x[:, V1 : V3 + 1].shape)
    x[:, STOP : STOP + 8] = rng.uniform(-1.0, 1.0, x[:, STOP : STOP + 8].shape)
    x[:, PER_COULOMB] = rng.uniform(0.9, 1.1, x[:, PER_COULOMB].shape) / (0.5 * CAPACITY_C)
    return x


@cache
def bumpy(kind: str = "rig") -> Any:
    """Tables of which no row is like the next, with nothing beyond their last knot; nothing writes to them."""
    t, rng = copy.deepcopy(table_of(kind)), np.random.default_rng(9)
    for part in (t.at, t.ohm, t.tau_s, t.ocv_v):
        part[:] *= rng.uniform(0.9, 1.1, part.shape if part is not t.ocv_v else (part.shape[0], 1))
    t.at[:, 11:] = NAN
    return t


def of(x: np.ndarray, row: int, n: int) -> np.ndarray:
    """A row of the cells, one after the other."""
    return x[:, row].ravel()[:n].copy()


# --- delta filters ------------------------------------------------------------------------------------------------


def judge_delta_numbers(twin: Any) -> None:
    """In what healthy cells differ, with peers and without; a start knows no more."""
    q = twin.deltas
    p, s = made(q.DeltaParams), made(q.DeltaState)
    both = {"noise_v": 0.001, "sample_s": 0.1, "floor_v2s": 1e-9, "bleed_sigma": 0.05, "steady_s": 300.0, "gate": 4.0}
    both |= {"soc_step": 0.01, "slope_sigma_v": 0.02, "least_sigma": 0.01, "hidden_v": 0.004, "plateau_v": 0.2}
    both |= {
        "settle_s": 60.0,
        "fade_s": 5.0,
        "settled_soc": 0.005,
        "unseen_v2s": 4e-6 / 600.0,
        "unseen_soc2s": 25e-6 / 600.0,
    }
    for n, window, here in (
        (4, 1.0, {"peers": 1, "charge_sigma": 0.02, "growth_sigma": 0.08, "capacity_sigma": 0.02, "offset_sigma_v": 0.002,
                  "mismatch_s": 0.002, "offset_v2": 9e-7, "charge_per_soc": 1e-5, "growth_per_soc": 1e-3,
                  "growth_per_s": 1e-4 / 3600.0, "slope_error": 0.05, "soc_from": -1.0, "soc_to": 2.0}),
        (3, 2.5, {"peers": 0, "charge_sigma": 0.03, "growth_sigma": 0.1, "capacity_sigma": 0.0, "offset_sigma_v": 0.008,
                  "mismatch_s": 0.4, "offset_v2": 1.28e-3, "charge_per_soc": 0.0, "growth_per_soc": 0.0,
                  "growth_per_s": 0.0, "slope_error": 0.3, "soc_from": 0.1, "soc_to": 0.95}),
    ):  # fmt: skip
        q.fill(p, n, *([window] if window != 1.0 else []))
        for name, value in {**both, **here, "window_s": window}.items():
            assert float(p[name]) == pytest.approx(value, rel=1e-9, abs=1e-30), name
    q.start(s, p)
    assert np.isnan(s["innovation_v"]).all()
    want = np.zeros(10)
    want[[0, 4, 7, 9]] = 0.03**2, 0.1**2, 0.0, 0.008**2
    assert np.allclose(s["cov"], want[:, None], rtol=1e-12, atol=0.0)
    for name in s.dtype.names:
        assert name in ("innovation_v", "cov") or not s[name].any(), name
    assert [getattr(q, name) for name in FIELDS] == list(range(10))
    assert (q.CHARGE, q.GROW, q.CAPACITY, q.OFFSET, q.STATES, q.PAIRS, q.FEWEST) == (0, 1, 2, 3, 4, 10, 4)


def filters(twin: Any, n: int, seed: int, **of_params: float) -> tuple[Any, Any]:
    """State and params of filters in the middle of something, every number another one."""
    q = twin.deltas
    p, s = made(q.DeltaParams), made(q.DeltaState)
    q.fill(p, n)
    p["unseen_soc2s"], p["unseen_v2s"], p["mismatch_s"], p["floor_v2s"] = 1e-6, 2e-7, 0.02, 4e-7
    for name, value in of_params.items():
        p[name] = value
    q.start(s, p)
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(s["cov"].shape[1], 4, 4)) * np.array([0.02, 0.08, 0.02, 0.004])[:, None]
    s["cov"][:] = (root @ root.transpose(0, 2, 1))[:, *UPPER].T
    s["capacity"][:] = 0.02 * rng.normal(size=s["capacity"].shape)
    s["offset_v"][:] = 0.003 * rng.normal(size=s["offset_v"].shape)
    s["mean_soc"], s["steady_soc"], s["unrest_soc"] = 0.49, 0.47, 0.004
    return as_object(s), as_object(p)


def matrices(cov: np.ndarray, n: int) -> np.ndarray:
    """Covariances (n, 4, 4) of the upper triangles (10, cells)."""
    out = np.zeros((n, 4, 4))
    out[:, UPPER[0], UPPER[1]] = cov[:, :n].T
    out[:, UPPER[1], UPPER[0]] = cov[:, :n].T
    return out


def knots(t: Any, degc: float, soc: Any, column: int) -> np.ndarray:
    """A coefficient of a cell at ``degc``, held beyond the table."""
    y = float(np.clip((degc + 40.0) / 2.5, 0.0, 51.0))
    low, high = (np.interp(soc, KNOTS, t.at[r, :11, column]) for r in (int(y), min(int(y) + 1, 51)))
    return np.asarray(low + (y - int(y)) * (high - low))


def shown(t: Any, degc: float, soc: Any, h: float, pull: float) -> np.ndarray:
    """Voltage of a cell at ``soc``: its OCV's ends reach on for ever."""
    y = float(np.clip((degc + 40.0) / 2.5, 0.0, 51.0))
    row = min(int(y), 50)
    at, volts = extended(t, row, y - row)
    soc = np.asarray(soc)
    low, high = (volts[1] - volts[0]) / 0.1, (volts[-1] - volts[-2]) / 0.1
    ocv = np.interp(soc, at, volts) + low * np.minimum(soc + 0.1, 0.0) + high * np.maximum(soc - 1.1, 0.0)
    return np.asarray(ocv + h * knots(t, degc, soc, tables.M) - pull * knots(t, degc, soc, tables.R0))


def slopes(t: Any, degc: float, soc: float, h: float, pull: float, soc_sigma: float) -> tuple[float, float]:
    """Slope by least squares through the voltage at ``soc``, and the mean square of what wider secants differ by."""

    def at(span: float) -> tuple[np.ndarray, np.ndarray]:
        away = np.array([max(-span, min(-0.005, -soc)), min(span, max(0.005, 1.0 - soc))])
        return away, shown(t, degc, soc + away, h, pull) - shown(t, degc, soc, h, pull)

    away, rise = at(0.005)
    slope = float(np.linalg.lstsq(away[:, None], rise, rcond=None)[0][0])
    away, rise = at(max(soc_sigma, 0.01))
    return slope, float(np.mean((rise / away - slope) ** 2))


class Window:
    """What a window does to the filters and to the cells, by matrices."""

    def __init__(self, s: Any, p: Any, t: Any, x: np.ndarray, n: int) -> None:
        self.s, self.p, self.t, self.x, self.n = copy.deepcopy(s), p, t, x, n
        self.seconds = self.charge = self.samples = 0.0
        self.away, self.known, self.polarised, self.aside = (np.zeros(n) for _ in range(4))

    def tick(self, x: np.ndarray, residual_v: np.ndarray, mean_v: float, current_a: float, dt_s: float) -> None:
        self.x = x.copy()
        away = residual_v - (mean_v if self.p.peers else 0.0)
        self.away += np.nan_to_num(away) * dt_s
        self.known += np.isfinite(away) * dt_s
        self.polarised += sum(of(x, V1 + k, self.n) for k in range(3)) * dt_s
        self.aside += np.abs(of(x, ASIDE_A, self.n)) * dt_s
        self.charge += float(np.nan_to_num(current_a)) * dt_s
        self.seconds, self.samples = self.seconds + dt_s, self.samples + 1

    def close(self, soc_sigma: float) -> Any:
        """State and cells after the window."""
        s, p, n, x = self.s, self.p, self.n, self.x
        soc, growth, per_c = (of(x, row, n) for row in (SOC, GROWTH, PER_COULOMB))
        corrected = abs(soc.mean() - s.mean_soc + self.charge * per_c[0])
        moved, was = 0.0, s.steady_soc
        if s.started == 0:
            s.steady_soc, s.unrest_soc = soc.mean(), 1.0
        else:
            s.steady_soc = was + (soc.mean() - was) * min(self.seconds / p.steady_s, 1.0)
            moved = abs(s.steady_soc - was) + corrected
            s.unrest_soc = s.unrest_soc * (1.0 - min(self.seconds / p.settle_s, 1.0)) + corrected
        s.mean_soc, s.moved_soc, s.started = soc.mean(), moved, min(s.started + 1, 2)
        s.settled = int(s.settled or s.unrest_soc < p.settled_soc)
        soc += s.capacity[:n] * self.charge * per_c
        cov = self._walk(matrices(s.cov, n), per_c, moved)
        heard = self.known > 0.5 * self.seconds
        h = self._look(cov, soc, growth, soc_sigma, moved, heard)
        self._update(cov, h, soc, growth, heard)
        s.fresh, s.closed_s, s.moved_c, s.waited_s, s.charge_c, s.samples = 1, self.seconds, self.charge, 0.0, 0.0, 0.0
        return s

    def _walk(self, cov: np.ndarray, per_c: np.ndarray, moved: float) -> np.ndarray:
        p = self.p
        f = np.tile(np.eye(4), (self.n, 1, 1))
        f[:, 0, 2] = self.charge * per_c
        cov = f @ cov @ f.transpose(0, 2, 1)
        cov[:, 0, 0] += (p.bleed_sigma * self.aside * per_c) ** 2 * 3600.0 / self.seconds + p.charge_per_soc * moved
        cov[:, 1, 1] += p.growth_per_soc * moved + p.growth_per_s * self.seconds
        cov[:, 3, 3] += p.offset_v2 * moved
        return cov

    def _look(self, cov: Any, soc: Any, growth: Any, soc_sigma: float, moved: float, heard: Any) -> np.ndarray:
        """Rows of the measurement; variances and innovations into the state, errors of the slopes into ``cov``."""
        s, p, t, n = self.s, self.p, self.t, self.n
        noise = p.noise_v**2 / max(min(self.samples, self.seconds / p.sample_s), 1.0) + p.floor_v2s / self.seconds
        rows = np.zeros((n, 4))
        for c in range(n):
            degc = float(self.x[c // 96, DEGC, c % 96])
            lag = float(t.stop_weight @ self.x[c // 96, STOP : STOP + 8, c % 96])
            ohm = float(knots(t, degc, soc[c], tables.R0))
            polarised = self.polarised[c] / self.seconds / growth[c] + ohm * self.charge / self.seconds
            slope, bent2 = slopes(t, degc, soc[c], lag, polarised * growth[c] / ohm, soc_sigma)
            rows[c] = slope, -polarised, 0.0, 1.0
            s.slope_v[c], s.polarised_v[c] = slope, polarised
            s.busy_v[c] = max(abs(polarised), math.exp(-self.seconds / p.fade_s) * s.busy_v[c])
            s.variance_v2[c] = noise + p.mismatch_s / self.seconds * s.busy_v[c] ** 2
            least = min(p.least_sigma, p.hidden_v / max(abs(slope), 1e-3))
            wrong = p.slope_sigma_v**2 + (p.slope_error * slope) ** 2 + bent2
            wrong *= (soc[c] - s.mean_soc) ** 2 + max(cov[c, 0, 0], least**2)
            cov[c, 3, 3] += wrong * (min(2.0 * moved / p.soc_step, 1.0) if s.started > 1 else 1.0)
        cov[:, 3, 3] += np.where(heard, 0.0, p.unseen_v2s * self.seconds)
        cov[:, 0, 0] += np.where(heard, 0.0, p.unseen_soc2s * self.seconds)
        known = heard & (s.settled != 0) & (soc > p.soc_from) & (soc < p.soc_to)
        s.innovation_v[:n] = np.where(known, self.away / np.maximum(self.known, 1e-9) - s.offset_v[:n], NAN)
        return rows

    def _update(self, cov: Any, rows: Any, soc: Any, growth: Any, heard: Any) -> None:
        """Joseph's form, for any gain; then what all have in common is taken off, and the rest applied."""
        s, p, n = self.s, self.p, self.n
        innovation = s.innovation_v[:n]
        known, surprise = np.isfinite(innovation), np.nan_to_num(innovation)
        total = np.einsum("ci,cij,cj->c", rows, cov, rows) + s.variance_v2[:n]
        taken = np.maximum(total, (surprise / p.gate) ** 2)
        part = p.peers * rows[:, 0] ** 2 / (rows[:, 0] ** 2 + p.plateau_v**2)
        share = np.column_stack((part, np.full(n, float(p.peers)), part, np.ones(n)))
        gain = np.where(known[:, None], share * np.einsum("cij,cj->ci", cov, rows) / taken[:, None], 0.0)
        noise = taken - total + s.variance_v2[:n]
        keep = np.eye(4) - gain[:, :, None] * rows[:, None, :]
        cov = keep @ cov @ keep.transpose(0, 2, 1) + noise[:, None, None] * gain[:, :, None] * gain[:, None, :]
        s.variance_v2[:n], s.weight[:n], s.gain[:, :n] = total, np.where(known, 1.0 / taken, 0.0), gain.T
        s.cov[:, :n] = cov[:, *UPPER].T
        change = gain.T * surprise
        if p.peers:
            change = centred(change, known)
        s.change[:, :n] = change
        apply(s, self.x, n, change, soc, growth)


def centred(change: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Less what the known cells have in common, each counting at most three mean magnitudes of the others."""
    out, count = change.copy(), int(known.sum())
    for one in out:
        most = 3.0 * np.sort(np.abs(one))[:-1].sum() / max(count - 1, 1)
        one[known] -= np.clip(one, -most, most).sum() / max(count, 1)
    return out


def apply(s: Any, x: np.ndarray, n: int, change: np.ndarray, soc: np.ndarray, growth: np.ndarray) -> None:
    """The changes to the cells, polarisation with the resistance."""
    grown = np.clip(growth + change[1], 0.2, 5.0)
    at = np.arange(n)
    x[at // 96, SOC, at % 96] = np.clip(soc + change[0], -0.1, 1.1)
    x[at // 96, GROWTH, at % 96] = grown
    for k in range(3):
        x[at // 96, V1 + k, at % 96] *= grown / growth
    s.capacity[:n] += change[2]
    s.offset_v[:n] += change[3]


def same(found: Any, want: Any, n: int) -> None:
    """Two states of filters, of the first ``n`` cells; sums are empty after a window."""
    for name in "fresh waited_s charge_c samples mean_soc steady_soc moved_soc unrest_soc started settled".split():
        assert getattr(found, name) == pytest.approx(getattr(want, name), rel=1e-9, abs=1e-12), name
    assert (found.closed_s, found.moved_c) == pytest.approx((want.closed_s, want.moved_c))
    for name in "slope_v polarised_v busy_v variance_v2 innovation_v weight gain change capacity offset_v".split():
        a, b = (np.asarray(getattr(one, name))[..., :n] for one in (found, want))
        assert np.allclose(a, b, rtol=1e-7, atol=1e-10, equal_nan=True), name
    assert np.allclose(found.cov[:, :n], want.cov[:, :n], rtol=1e-7, atol=1e-12)
    assert np.array_equal(found.cov[:, n:], want.cov[:, n:])
    for name in "sum_v known_s sum_polarised_v sum_aside_c".split():
        assert not getattr(found, name).any(), name


def run_windows(
    twin: Any,
    n: int,
    seed: int,
    started: int,
    settled: int,
    mean_soc: float = 0.5,
    soc_sigma: float = 0.03,
    kind: str = "rig",
    known: float = 1.0,
    **of_params: float,
) -> None:
    """Windows of three ticks, with cells not heard and one far off, against the matrices."""
    t, rng = bumpy(kind), np.random.default_rng(seed)
    s, p = filters(twin, n, seed, **of_params)
    s.cov[:] *= known
    s.started, s.settled = started, settled
    x = some_cells(n, seed, mean_soc)
    if n > 3:
        x[0, DEGC, :2] = 99.0, -60.0
    for dts in ((0.3, 0.4, 0.3), (0.5, 0.45, 0.55)):
        window = Window(s, p, t, x, n)
        for k, dt_s in enumerate(dts):
            x[:, V1 : V3 + 1] *= 1.1
            x[:, ASIDE_A] *= -0.9
            residual = 0.004 * rng.normal(size=n)
            residual[1 % n] = 0.3
            residual[2 % n] = NAN if k != 1 else 0.01
            residual[3 % n] = NAN if k == 1 else -0.02
            current = (70.0, NAN, -20.0)[k]
            window.tick(x, residual, 0.003, current, dt_s)
            twin.deltas.learn(s, p, t, x, residual, 0.003, current, soc_sigma, dt_s, n)
            assert s.fresh == (k == 2)
        want = window.close(soc_sigma)
        same(s, want, n)
        assert np.allclose(x, window.x, rtol=1e-9, atol=1e-12)
        assert np.isnan(s.innovation_v[n:]).all()


def judge_peers(twin: Any) -> None:
    """Cells over two blocks, from the first window on."""
    run_windows(twin, 98, 1, 0, 1)


def judge_peers_at_the_ends(twin: Any) -> None:
    """Empty and full cells, whose tables end; a settled filter stays so."""
    run_windows(twin, 12, 2, 2, 1, 0.003, soc_step=10.0)
    run_windows(twin, 12, 3, 2, 1, 0.997, soc_sigma=0.001)
    run_windows(twin, 5, 4, 1, 1, -0.05, sample_s=3.0)
    run_windows(twin, 4, 5, 2, 1, 1.06, steady_s=0.9, settle_s=0.9)


def judge_slopes(twin: Any) -> None:
    """Where the SoC is well known, a slope counts as no better known than what would show: falling, level and steep ones."""
    run_windows(twin, 8, 12, 2, 1, 0.55, known=1e-9, sample_s=0.7)
    run_windows(twin, 8, 13, 2, 1, 0.45, kind="falling ends", known=1e-9, least_sigma=0.5)
    run_windows(twin, 4, 14, 2, 1, 0.55, kind="flat", known=1e-9, least_sigma=50.0)


def judge_alone(twin: Any) -> None:
    """Without peers nothing but the offset is learned, and only where the model is good."""
    run_windows(twin, 3, 6, 2, 1)
    run_windows(twin, 2, 7, 2, 1, 0.10)
    run_windows(twin, 1, 8, 1, 1, 0.95)


def judge_unsettled(twin: Any) -> None:
    """Before the pack's filter has found its place nobody is known; then they are for good."""
    run_windows(twin, 6, 9, 0, 0)
    run_windows(twin, 6, 10, 2, 0, settled_soc=1e-6)
    run_windows(twin, 6, 11, 2, 0, settled_soc=1.0)


def judge_windows(twin: Any) -> None:
    """A window closes when it is full, within rounding; time that stands or is not known is no tick."""
    t = table_of()
    for dt_s, count in ((0.1, 10), (0.25, 4), (0.3, 4), (1.0, 1), (2.0, 1)):
        s, p = filters(twin, 4, 1)
        x = some_cells(4, 1)
        for k in range(count):
            assert s.waited_s == pytest.approx(k * dt_s)
            twin.deltas.learn(s, p, t, x, np.zeros(4), 0.0, 1.0, 0.01, dt_s, 4)
            assert s.fresh == (k == count - 1)
        assert (s.closed_s, s.moved_c) == pytest.approx((count * dt_s, count * dt_s))
        before = copy.deepcopy(s)
        for nothing in (0.0, -1.0, NAN):
            s.fresh = 1
            twin.deltas.learn(s, p, t, x, np.full(4, 9.0), 0.0, 9.0, 0.01, nothing, 4)
            assert s.fresh == 0
        assert (s.samples, s.waited_s, s.charge_c) == (before.samples, before.waited_s, before.charge_c)
        assert not s.sum_v.any()


def judge_bounds(twin: Any) -> None:
    """Growth is held between 0.2 and 5, SoC within the cell model."""
    s, _ = filters(twin, 98, 3)
    x = some_cells(98, 3)
    s.change[:], s.weight[:] = 0.0, 1.0
    s.change[1, :4], s.change[0, 94:98] = (9.0, -9.0, 0.1, -0.1), (9.0, -9.0, 0.1, -0.1)
    want = x.copy()
    theirs = copy.deepcopy(s)
    apply(theirs, want, 98, s.change[:, :98].copy(), of(x, SOC, 98), of(x, GROWTH, 98))
    twin.deltas._apply(s, x, 98)
    assert np.allclose(x, want, rtol=1e-12, atol=1e-15)
    assert of(x, GROWTH, 2).tolist() == [5.0, 0.2]
    assert of(x, SOC, 96)[94:].tolist() == [1.1, -0.1]


def judge_common(twin: Any) -> None:
    """What all have in common is taken off the known ones; one that runs away, or none known, moves nobody."""
    for known in (
        np.ones(7, bool),
        np.array([1, 1, 0, 1, 0, 1, 1], bool),
        np.zeros(7, bool),
        np.arange(7) == 2,
        np.arange(7) > 4,
    ):
        for largest in (0.0, 50.0):
            s, _ = filters(twin, 7, 4)
            change = np.random.default_rng(5).normal(size=(4, 7)) * known + 0.2 * known
            change[:, 3] += largest * known[3]
            change[2, 6] -= 2.0 * largest * known[6]
            s.change[:, :7], s.weight[:7] = change, known
            twin.deltas._centre(s, 7)
            assert np.allclose(s.change[:, :7], centred(change, known), rtol=1e-12, atol=1e-14)


# --- early warning ------------------------------------------------------------------------------------------------


def limits(twin: Any, n: int = 96, window_s: float = 1.0) -> tuple[Any, Any]:
    """Params of the early warning, and of the filters it listens to."""
    q = made(twin.deltas.DeltaParams)
    twin.deltas.fill(q, n, window_s)
    p = made(twin.warning.WarningParams)
    twin.warning.fill(p, q, 2.5, n)
    return p, q


def judge_warning_numbers(twin: Any) -> None:
    """One false alarm in a thousand days and test, by Siegmund's formula and the Gaussian tail."""
    lives = np.array([60.0, 1200.0, *[54000.0] * 6])
    for n, window, k, alike, least_v, least_a in ((96, 2.0, 1.0, 0.0, 0.001, 0.00125), (3, 1.0, 2.0, 0.9, 0.05, 0.625)):
        p, _ = limits(twin, n, window)
        looks = 1000.0 * 86400.0 / window * n
        assert math.exp(2.0 * k * (p["departure_limit"] + 1.166)) / (2.0 * k * k) == pytest.approx(looks, rel=1e-9)
        assert p["mean_limit"] == pytest.approx(norm.isf(300.0 / (10.0 * looks * window)), rel=1e-9)
        assert np.allclose(p["leak_limit"], norm.isf(lives / (10.0 * looks * window)), rtol=1e-9)
        check(p, departure_allowance=k, clip_sigma=4.0, mean_s=300.0, memory_s=7200.0, alike=alike, first_s=3600.0)
        check(p, least_inflation=1.35, peers=float(n > 3))
        check(p, mean_least_v=least_v, least_leak_a=least_a, restart_s=lives)
        check(p, first_age_s=[0.0, 0.0, 0.0, 9000.0, 18000.0, 27000.0, 36000.0, 45000.0])
        s = made(twin.warning.WarningState)
        twin.warning.start(s, p)
        set_to = {"spread": 1.0, "alike": alike, "inflation": 1.35, "leak_sigma_a": math.inf, "told_s": NAN, "due": 8}
        for name in s.dtype.names:
            want = p["first_age_s"] if name == "age_s" else set_to.get(name, 0)
            assert np.array_equal(s[name], np.broadcast_to(want, s[name].shape), equal_nan=True), name
    w = twin.warning
    assert (w.DEPARTURE, w.MEAN, w.LEAK, w.STAGES, w.DAYS_BETWEEN) == (1, 2, 4, 8, 1000.0)


def listening(twin: Any, n: int, seed: int) -> tuple[Any, Any, Any]:
    """State and params of the warning, and a filter state that has just closed a window."""
    raw, _ = limits(twin, n)
    state = made(twin.warning.WarningState)
    twin.warning.start(state, raw)
    d, _ = filters(twin, n, seed)
    s, p = as_object(state), as_object(raw)
    p.first_s = 0.0
    heard(d, n, seed)
    return s, p, d


def heard(d: Any, n: int, seed: int) -> None:
    """A new window with other numbers for everything."""
    rng = np.random.default_rng(seed)
    d.fresh, d.closed_s, d.moved_c = 1, float(rng.uniform(0.9, 1.3)), float(rng.normal() * 20.0)
    d.innovation_v[:n] = 0.004 * rng.normal(size=n) - 0.001
    d.innovation_v[rng.integers(n)] = NAN
    d.innovation_v[0], d.innovation_v[n - 1] = -0.2, 0.2
    d.variance_v2[:n] = rng.uniform(1.0, 3.0, n) * 1e-5
    d.weight[:n] = rng.uniform(0.5, 1.0, n) * np.isfinite(d.innovation_v[:n]) / d.variance_v2[:n]
    d.slope_v[:n], d.polarised_v[:n] = rng.uniform(0.3, 0.9, n), rng.normal(0.0, 0.1, n)
    d.gain[:, :n] = rng.normal(0.0, 0.1, (4, n))


def judge_whitened(twin: Any) -> None:
    """Spread, correlation, CUSUM and EWMA of all cells, window after window; with peers the CUSUM knows the inflation."""
    for peers in (1.0, 0.0):
        whitened(twin, peers)


def whitened(twin: Any, peers: float) -> None:
    n = 7
    s, p, d = listening(twin, n, 1)
    p.peers, p.least_inflation = peers, 1.02
    p.memory_s, p.mean_s, p.departure_limit, p.mean_limit, p.mean_least_v = 9.0, 5.0, 1.0, 1.5, 0.0015
    e_last, spread, alike = np.zeros(n), np.ones(n), np.zeros(n)
    cusum, ewma, volts, told = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, int)
    for window in range(12):
        heard(d, n, 20 + window)
        if window > 6:
            d.innovation_v[1:4] = (-0.004, -0.0001, -0.006)
        twin.warning._whiten(s, p, d, n)
        known, seconds = np.isfinite(d.innovation_v[:n]), d.closed_s
        raw = np.where(known, -d.innovation_v[:n], 0.0)
        e = np.clip(raw / np.sqrt(d.variance_v2[:n]), -4.0, 4.0)
        spread = np.where(known, spread + (e**2 - spread) * seconds / 9.0, spread)
        alike = np.where(known, alike + (e * e_last - alike) * seconds / 9.0, alike)
        r = np.clip(alike / spread, 0.0, 0.98)
        inflation = np.maximum(spread * (1.0 + r) / (1.0 - r), 1.02)
        e_last = np.where(known, e, e_last)
        cusum = np.where(known, np.maximum(cusum + e / (np.sqrt(inflation) if peers else 1.0) - 1.0, 0.0), cusum)
        part = seconds / 5.0
        ewma = np.where(known, ewma + (e - ewma) * part, ewma)
        volts = np.where(known, volts + (np.clip(raw, -0.1, 0.1) - volts) * part, volts)
        told |= np.where(cusum > 1.0, 1, 0)
        told |= np.where((ewma > 1.5 * np.sqrt(inflation * part / (2.0 - part))) & (volts > 0.0015), 2, 0)
        for name, want in (("spread", spread), ("alike", alike), ("inflation", inflation), ("before", e_last)):
            assert np.allclose(getattr(s, name)[:n], want, rtol=1e-9, atol=1e-12), name
        for name, want in (("departure", cusum), ("mean_sigma", ewma), ("mean_v", volts), ("told", told)):
            assert np.allclose(getattr(s, name)[:n], want, rtol=1e-9, atol=1e-12), name
    assert 0 < np.count_nonzero(told & 1) < n
    assert 0 < np.count_nonzero(told & 2) < n
    d.innovation_v[:n], d.variance_v2[:n] = -0.004, 1e-5
    s.alike[:n], s.spread[:n] = 50.0, 1e-12
    p.memory_s = 1e15
    twin.warning._whiten(s, p, d, n)
    assert np.allclose(s.inflation[:n], 1.02), "no spread, no sigma"
    d.innovation_v[:n], s.alike[:n], s.spread[:n] = 0.0, 0.0, 0.0
    twin.warning._whiten(s, p, d, n)
    assert np.allclose(s.inflation[:n], 1.02), "none at all"
    s.alike[:n], s.spread[:n] = 50.0, 1.0
    twin.warning._whiten(s, p, d, n)
    assert np.allclose(s.inflation[:n], 1.98 / 0.02), "correlation is at most 0.98"


def judge_mean_needs_both(twin: Any) -> None:
    """A mean difference is told when it is many sigma and many volts, not for one of them."""
    for sigma_v, least_v, bits in ((1e-3, 1e-3, 2), (1e-3, 1e-1, 0), (1.0, 1e-3, 0)):
        s, p, d = listening(twin, 4, 2)
        p.mean_least_v, p.departure_limit, p.memory_s = least_v, 1e9, 1e12
        d.innovation_v[:4], d.variance_v2[:4], d.closed_s = -0.05, sigma_v**2, 30.0
        for _ in range(40):
            twin.warning._whiten(s, p, d, 4)
        assert s.told[:4].tolist() == [bits] * 4


def judge_telling(twin: Any) -> None:
    """Bits are kept, and the instant of the first."""
    s, _, _ = listening(twin, 4, 3)
    for at_s, bits, told, told_s in ((5.0, 0, 0, NAN), (6.0, 2, 2, 6.0), (7.0, 0, 2, 6.0), (8.0, 5, 7, 6.0)):
        s.at_s = at_s
        twin.warning._tell(s, 1, bits)
        check(s, told=[0, told, *[0] * (s.told.size - 2)])
        assert s.told_s[1] == pytest.approx(told_s, nan_ok=True)
    assert np.isnan(np.delete(s.told_s, 1)).all()


def judge_first(twin: Any) -> None:
    """Nothing counts before the pack's filter has been settled for a while, and all of it from then on."""
    t = table_of()
    s, p, d = listening(twin, 4, 6)
    x = some_cells(4, 6)
    p.first_s = 100.0
    for settled, dt_s, learned_s, due in (
        (0, 500.0, 0.0, 8),
        (1, 60.0, 60.0, 8),
        (0, 60.0, 60.0, 8),
        (1, 39.9, 99.9, 8),
    ):
        d.settled = settled
        twin.warning.step(s, p, d, t, x, dt_s, 4)
        assert (s.learned_s, s.due) == pytest.approx((learned_s, due))
        assert not s.info.any()
    s.learned_s = 90.0
    twin.warning.step(s, p, d, t, x, 10.0, 4)
    assert s.info[:, 0].all()
    assert s.before[0] == 4.0, "the other tests have taken the window too"


class Leaks:
    """What an ampere of leak would have done since each hypothesis began, by matrices for all cells at once."""

    def __init__(self, t: Any, x: np.ndarray, n: int, ages: np.ndarray) -> None:
        self.t, self.x, self.n, self.ages, self.since = t, x, n, ages.copy(), np.zeros(8)
        self.u, self.score, self.info = np.zeros((8, n, 4)), np.zeros((8, n)), np.zeros((8, n))

    def window(self, d: Any, lives: np.ndarray) -> None:
        n, per_c = self.n, of(self.x, PER_COULOMB, self.n)
        f = np.tile(np.eye(4), (n, 1, 1))
        f[:, 0, 2] = per_c * d.moved_c
        rows = np.column_stack((d.slope_v[:n], -d.polarised_v[:n], np.zeros(n), np.ones(n)))
        for stage in range(8):
            if self.ages[stage] >= lives[stage]:
                self.ages[stage] = self.since[stage] = 0.0
                self.u[stage], self.score[stage], self.info[stage] = 0.0, 0.0, 0.0
            self.ages[stage] += d.closed_s
            self.since[stage] += d.closed_s
            u = np.einsum("cij,cj->ci", f, self.u[stage])
            u[:, 0] -= per_c * d.closed_s
            shows = (rows * u).sum(axis=1) - self.direct(self.since[stage])
            self.u[stage] = u - d.gain[:, :n].T * shows[:, None]
            self.score[stage] += np.nan_to_num(shows * d.innovation_v[:n] * d.weight[:n])
            self.info[stage] += shows**2 * d.weight[:n]

    def direct(self, since_s: float) -> float:
        """R0 and what the RC pairs of the middle cell have come to by then."""
        middle = self.n // 2
        degc, soc = (float(self.x[middle // 96, row, middle % 96]) for row in (DEGC, SOC))
        row = int(np.clip(np.floor((degc + 40.0) / 2.5 + 0.5), 0, 51))
        knot = int(np.floor(np.clip(soc, 0.0, 1.0) * 10.0 + 0.5))
        rise = self.t.ohm[row, knot] * (1.0 - np.exp(-since_s / self.t.tau_s[row, knot]))
        return float(self.t.at[row, knot, 0] + rise.sum())


def judge_leaks(twin: Any) -> None:
    """Score and information of every hypothesis, begun anew when its time is up; the best of them gives the leak."""
    for n, seed, degc, soc in (
        (192, 1, 23.9, 0.449),
        (98, 5, 24.1, 0.3),
        (2, 2, 95.0, 1.2),
        (1, 3, -60.0, -0.2),
        (5, 4, 26.1, 0.66),
    ):
        t = bumpy()
        s, p, d = listening(twin, n, seed)
        x = some_cells(n, seed)
        x[(n // 2) // 96, DEGC, (n // 2) % 96], x[(n // 2) // 96, SOC, (n // 2) % 96] = degc, soc
        p.restart_s[:] = [1.5, 2.9, 4.0, 5.0, 6.0, 1e9, 1e9, 1e9]
        s.age_s[:] = [0.0, 0.0, 0.5, 0.0, 6.0, 1.0, 2.0, 3.0]
        p.restart_s[6:] = 70.0, 3.9
        d.settled = 1
        s.leak_a[:] = 9.0
        p.least_leak_a, p.leak_limit[:] = 0.01, np.linspace(0.4, 1.0, 8)
        want, told = Leaks(t, x, n, s.age_s), np.zeros(n, int)
        s.told[:n] = 0
        p.departure_limit = p.mean_limit = 1e9
        for window in range(4):
            heard(d, n, 30 + window)
            d.weight *= 1e-5 if n == 5 else 1.0
            if window == 3:
                p.restart_s[:] = 0.0
                d.innovation_v[n - 1], d.weight[n - 1] = NAN, 0.0
            twin.warning.step(s, p, d, t, x, 1e3, n)
            want.window(d, p.restart_s)
            assert np.allclose(s.sense[:, :, :n].transpose(0, 2, 1), want.u, rtol=1e-9, atol=1e-12)
            assert np.allclose(s.score[:, :n], want.score, rtol=1e-9, atol=1e-9)
            assert np.allclose(s.info[:, :n], want.info, rtol=1e-9, atol=1e-9)
            assert np.allclose(s.age_s, want.ages)
            with np.errstate(divide="ignore", invalid="ignore"):
                leak, sigma = want.score / want.info, np.sqrt(s.inflation[:n] / want.info)
            sigma = np.where(want.info > 0.0, sigma, math.inf)
            best, at = np.argmin(sigma, axis=0), np.arange(n)
            assert np.allclose(s.leak_sigma_a[:n], sigma[best, at], rtol=1e-9)
            assert np.allclose(s.leak_a[:n], np.where(np.isfinite(sigma[best, at]), leak[best, at], 0.0), rtol=1e-9)
            ripe = want.ages >= p.restart_s / 15.0
            told |= np.where((ripe[:, None] & (leak - 0.01 > p.leak_limit[:, None] * sigma)).any(axis=0), 4, 0)
            assert s.told[:n].tolist() == told.tolist()
        assert s.at_s == 4e3
        assert not s.sense[:, :, n:].any()
        assert np.all(s.leak_a[n:] == 9.0)


def judge_ripe(twin: Any) -> None:
    """A stage tells of a leak once a fifteenth of its life has counted, as its age and since the first tests."""
    for age_s, learned_s, least_a, told in (
        (4.0, 104.0, 0.1, 4),
        (3.9, 104.0, 0.1, 0),
        (4.0, 103.9, 0.1, 0),
        (50.0, 150.0, 0.1, 4),
        (50.0, 150.0, 0.7, 0),
    ):
        s, p, _ = listening(twin, 2, 7)
        p.first_s, p.restart_s[3], p.leak_limit[3], p.least_leak_a = 100.0, 60.0, 5.0, least_a
        s.age_s[3], s.learned_s = age_s, learned_s
        s.info[3, 1], s.score[3, 1], s.inflation[:2], s.best_sigma_a[:2] = 400.0, 300.0, 1.44, 9.0
        twin.warning._judge_leak(s, p, 3, 2)
        assert s.told[:2].tolist() == [0, told]
        assert (s.best_a[1], s.best_sigma_a[1], s.best_sigma_a[0]) == pytest.approx((0.75, 0.06, 9.0))


def judge_turns(twin: Any) -> None:
    """The stages take a window one after the other within its length; what they find stands when the last is through."""
    t = table_of()
    s, p, d = listening(twin, 4, 5)
    x = some_cells(4, 5)
    twin.warning.start(made(twin.warning.WarningState), limits(twin, 4)[0])
    d.closed_s, s.due = 2.0, 8
    d.fresh = 0
    twin.warning.step(s, p, d, t, x, 0.25, 4)
    assert (s.due, s.at_s, s.age_s[0]) == (8, 0.25, 0.0)
    assert not s.info.any()
    assert np.isinf(s.leak_sigma_a).all()
    d.fresh = 1
    s.leak_a[:], s.leak_sigma_a[:] = 5.0, 6.0
    for dt_s, due in ((0.5, 3), (0.2, 4), (0.48, 6), (0.5, 8), (0.5, 8)):
        twin.warning.step(s, p, d, t, x, dt_s, 4)
        d.fresh = 0
        assert s.due == due
        assert np.allclose(s.age_s - p.first_age_s, 2.0 * (np.arange(8) < due))
        assert np.all((s.info[:, 0] > 0.0) == (np.arange(8) < due))
        assert (s.leak_a[0] == 5.0) == (due < 8)
        assert (s.leak_sigma_a[0] == 6.0) == (due < 8)


# --- heat ---------------------------------------------------------------------------------------------------------


def judge_heat_numbers(twin: Any) -> None:
    """What a healthy pack may show at its sensors, with four of them and with fewer."""
    for sensors, error in (((3, 1, 7, 5), 0.2), ((3, 1, 7), 1.0)):
        p, s = made(twin.heat.HeatParams), made(twin.heat.HeatState)
        twin.heat.fill(p, sensors)
        check(p, n_zones=len(sensors), smooth_s=30.0, drift_k=0.15, heat_error=error, limit_sigma=6.0, usual_s=7200.0)
        check(p, first_s=600.0, slope_s=3.0, runaway_k_per_s=1.0, gas_pa=500.0, gas_hold_s=2.0)
        assert p["sensor_cell"].tolist() == [*sensors, *[7] * (p["sensor_cell"].size - len(sensors))]
        twin.heat.start(s)
        assert np.isnan(s["before_degc"]).all()
        assert not any(s[name].any() for name in s.dtype.names if name != "before_degc")
    h = twin.heat
    assert (h.HEAT, h.RUNAWAY, h.GAS, h.FEWEST) == (8, 16, 32, 4)


def thermal(twin: Any, sensors: tuple[int, ...], n: int) -> tuple[Any, Any, Any, Any]:
    """State and params of the heat, the tables with conductances, and filters that close a window every second."""
    raw_p, raw_s = made(twin.heat.HeatParams), made(twin.heat.HeatState)
    twin.heat.fill(raw_p, sensors)
    twin.heat.start(raw_s)
    p, s = as_object(raw_p), as_object(raw_s)
    p.usual_s, p.first_s, p.smooth_s = 15.0, 4.0, 3.0
    d, _ = filters(twin, n, 1)
    t = SimpleNamespace(heat_j_per_k=70.0, coolant_w_per_k=0.3, between_w_per_k=0.2)
    return s, p, t, d


class Balance:
    """The same balance for all sensors at once."""

    def __init__(self, sensors: tuple[int, ...], p: Any, t: Any, n: int) -> None:
        self.c, self.p, self.t, self.n, self.z = np.array(sensors), p, t, n, len(sensors)
        z = self.z
        self.before = np.full(z, NAN)
        self.energy, self.slow, self.raw, self.age, self.usual, self.made, self.lag = (np.zeros(z) for _ in range(7))
        self.common, self.told = 0.0, np.zeros(z, int)

    def window(self, degc: np.ndarray, x: np.ndarray, d: Any, coolant: float) -> None:
        t, p, seconds = self.t, self.p, d.closed_s
        every = of(x, DEGC, self.n)
        neighbours = np.concatenate(([NAN], every, [NAN]))
        flow = d.moved_c / seconds + of(x, ASIDE_A, self.n)[self.c]
        heat = flow * d.polarised_v[self.c] * of(x, GROWTH, self.n)[self.c]
        out = sum(np.nan_to_num(t.between_w_per_k * (degc - neighbours[self.c + k])) for k in (0, 2))
        out = out + np.nan_to_num(t.coolant_w_per_k * (degc - coolant))
        new = np.isnan(self.before)
        self.lag = np.where(new, degc, self.lag)
        goes = np.isfinite(degc) & ~new
        share = min(seconds / p.smooth_s, 1.0)
        gained = t.heat_j_per_k * (degc - self.before) + (out - heat) * seconds
        gap = self.energy + gained - self.slow
        raw = self.raw + (gap / p.smooth_s - self.raw) * share
        age = self.age + seconds
        usual = self.usual + (raw - self.usual) * np.maximum(seconds / p.usual_s, np.minimum(seconds / age, 1.0))
        rises = np.abs(heat) - self.made
        most = self.made + rises * np.where(rises > 0.0, share, seconds / p.usual_s)
        risen = degc - self.lag
        self.told |= np.where(goes & (risen / p.slope_s > p.runaway_k_per_s), 16, 0)
        new_of = {
            "energy": self.energy + gained,
            "slow": self.slow + gap * share,
            "raw": raw,
            "age": age,
            "usual": usual,
            "made": most,
            "lag": self.lag + risen * min(seconds / p.slope_s, 1.0),
        }
        for name, value in new_of.items():
            setattr(self, name, np.where(goes, value, getattr(self, name)))
        self.before = degc
        self.judge()

    def judge(self) -> None:
        p = self.p
        loss = (self.t.coolant_w_per_k + 2.0 * self.t.between_w_per_k) * p.drift_k
        self.limit = p.limit_sigma * np.hypot(loss, p.heat_error * self.made)
        off = self.raw - self.usual
        if self.z >= 4:
            self.common += np.clip(off - self.common, -self.limit, self.limit).mean()
        self.unexpected = off - self.common
        self.told |= np.where((self.unexpected > self.limit) & (self.age > p.first_s), 8, 0)


def judge_heat(twin: Any) -> None:
    """Sensors at the first, the last and both sides of a block's end: balances, limits and what is told."""
    for sensors, n, seed in (((0, 97, 40, 96, 95, 94, 1), 98, 1), ((2, 0, 4), 5, 2), ((0, 3, 2, 1), 4, 3)):
        s, p, t, d = thermal(twin, sensors, n)
        if n == 4:
            p.smooth_s = p.slope_s = 0.4
        rng = np.random.default_rng(seed)
        want, x = Balance(sensors, p, t, n), some_cells(n, seed)
        x[:, DEGC] = rng.uniform(20.0, 40.0, x[:, DEGC].shape)
        d.polarised_v[:n] = rng.normal(0.0, 0.05, n)
        degc = rng.uniform(25.0, 26.0, len(sensors))
        for window in range(14):
            d.closed_s, d.moved_c, d.fresh = float(rng.uniform(0.8, 1.2)), float(rng.normal() * 30.0), 0
            degc = degc + 0.02 * rng.normal(size=degc.size)
            degc[1] += 3.0 if window > 8 else 0.0
            degc[2] += 0.7 if window > 6 else 0.0
            coolant = NAN if window == 5 else 24.0
            row = np.full(40, NAN)
            if window == 3:
                row[9] = 30.0  # for less than half of the window
            twin.heat.step(s, p, d, t, x, row, 7, coolant, NAN, 0.3 * d.closed_s, n)
            seen = degc.copy()
            if window == 4:
                seen[0] = NAN
            if window == 3:
                seen[2] = NAN
            row[7 : 7 + len(sensors)] = seen
            d.fresh = 1
            twin.heat.step(s, p, d, t, x, row, 7, coolant, NAN, 0.7 * d.closed_s, n)
            want.window(seen, x, d, coolant)
            for (
                name
            ) in "energy_j slow_j raw_w usual_w age_s unexpected_w limit_w made_w lag_degc told before_degc".split():
                found, wanted = getattr(s, name)[: len(sensors)], getattr(want, name.rpartition("_")[0] or name)
                assert np.allclose(found, wanted, rtol=1e-9, atol=1e-9, equal_nan=True), name
            assert s.common_w == pytest.approx(want.common, abs=1e-9)
            assert not s.sum_degc.any()
            assert not s.known_s.any()
        if n != 4:
            assert want.told[1] & 16
            assert want.told[2] == 8
            assert want.told[0] == 0


def judge_gas(twin: Any) -> None:
    """Gas above 500 Pa for more than two seconds without a break, window or not; told for good."""
    s, p, t, d = thermal(twin, (0, 1), 2)
    d.fresh = 0
    for gas_pa, dt_s, held, told in (
        (500.0, 9.0, 0.0, 0),
        (501.0, 1.5, 1.5, 0),
        (NAN, 1.0, 0.0, 0),
        (501.0, 1.5, 1.5, 0),
        (501.0, 0.5, 2.0, 0),
        (501.0, 0.1, 2.1, 1),
        (0.0, 1.0, 0.0, 1),
    ):
        twin.heat.step(s, p, d, t, some_cells(2, 1), np.zeros(3), 0, 25.0, gas_pa, dt_s, 2)
        assert (s.gas_s, s.told_gas) == pytest.approx((held, told))
    assert s.sum_degc[:2].tolist() == [0.0, 0.0]
    assert s.known_s[0] == pytest.approx(14.6)
    twin.heat.step(s, p, d, t, some_cells(2, 1), np.array([NAN, 20.0, 30.0]), 1, 25.0, 0.0, 0.5, 2)
    assert s.sum_degc[:2] == pytest.approx([10.0, 15.0])


# --- one call a tick ----------------------------------------------------------------------------------------------


def watching(twin: Any) -> Any:
    """A watch of seven cells and two sensors, and the row it writes."""
    w, made_table = twin.watch, table(7, 2)
    raw_p, raw_s = made(w.WatchParams), made(w.WatchState)
    w.fill(raw_p, made_table, 2.5, (4, 1))
    w.start(raw_s, raw_p)
    return SimpleNamespace(
        raw_p=raw_p, raw_s=raw_s, p=as_object(raw_p), s=as_object(raw_s), row=np.full(5000, NAN), table=made_table
    )


def column(r: Any, name: str) -> np.ndarray:
    found = r.table.find(name)
    return np.asarray(r.row[found.start : found.start + found.count])


def judge_watch_start(twin: Any) -> None:
    """Numbers and columns of all three; a start knows of no cell and of no warning."""
    r = watching(twin)
    assert r.p.deltas.peers == 1
    assert r.p.warning.least_leak_a == pytest.approx(0.00125)
    assert r.p.warning.mean_limit == pytest.approx(norm.isf(300.0 / (10.0 * 1000.0 * 86400.0 * 7)))
    assert (r.p.heat.n_zones, r.p.heat.sensor_cell[:2].tolist()) == (2, [4, 1])
    check(r.s, level=0, cell=NAN, since_s=NAN)
    assert np.isnan(r.s.residual_v).all()
    assert r.s.deltas.cov[0, 0] == pytest.approx(0.02**2)
    assert r.s.warning.due == 8
    assert np.isnan(r.s.heat.before_degc).all()
    assert r.p.col_twin_warning == r.table.find("twin.warning").start


def judge_watch_calls(twin: Any) -> None:
    """What each of the three is given of a row."""
    r = watching(twin)
    column(r, "measured.cell_voltage")[:] = 3.0 + 0.1 * np.arange(7)
    column(r, "twin.cell_voltage")[:] = 2.5
    column(r, "measured.coolant_temperature")[:], column(r, "measured.gas_pressure")[:] = 21.0, 432.0
    x, t = some_cells(7, 1), table_of()
    r.s.warning.told[3] = 4
    spies = [spied(twin, *at) for at in (("learn", "deltas"), ("step", "warning"), ("step", "heat"))]
    try:
        twin.watch.step(r.s, r.p, t, x, r.row, (77.0, 5.0, 0.003, 0.02), 0.25, 7)
    finally:
        for spy in spies:
            spy.undo()
    (learn,), (warn,), (heat,) = (spy.calls for spy in spies)
    assert learn[:4] == (r.s.deltas, r.p.deltas, t, x)
    assert learn[4][:7] == pytest.approx(0.5 + 0.1 * np.arange(7))
    assert np.isnan(learn[4][7:]).all()
    assert learn[5:] == (0.003, 5.0, 0.02, 0.25, 7)
    assert warn == (r.s.warning, r.p.warning, r.s.deltas, t, x, 0.25, 7)
    assert heat[:5] == (r.s.heat, r.p.heat, r.s.deltas, t, x)
    assert heat[5] is r.row
    assert heat[6:] == (r.table.find("measured.temperature").start, 21.0, 432.0, 0.25, 7)
    assert column(r, "twin.warning")[0] == 2.0
    assert column(r, "twin.warning_since")[0] == 77.0


def judge_rank(twin: Any) -> None:
    """The gravest warning, the first cell that has it, since when there has been any; it never falls back."""
    none = [0] * 7
    for told, zones, gas, level, cell in (
        (none, [0, 0], 0, 0, NAN),
        ([0, 0, 2, 2, 0, 0, 0], [0, 0], 0, 1, 2.0),
        ([2, 0, 0, 6, 4, 0, 0], [0, 0], 0, 2, 3.0),
        ([2, 0, 0, 6, 4, 1, 7], [0, 0], 0, 3, 5.0),
        ([7, 0, 0, 0, 0, 0, 0], [0, 8], 0, 4, 1.0),
        ([7, 0, 0, 0, 0, 0, 0], [8, 8], 0, 4, 4.0),
        ([7, 0, 0, 0, 0, 0, 0], [8, 24], 0, 6, 1.0),
        ([7, 0, 0, 0, 0, 0, 0], [16, 24], 1, 6, 4.0),
        ([7, 0, 0, 0, 0, 0, 0], [8, 0], 1, 5, 4.0),
        (none, [0, 0], 1, 5, NAN),
    ):
        r = watching(twin)
        r.s.warning.told[:7], r.s.heat.told[:2], r.s.heat.told_gas = told, zones, gas
        twin.watch._rank(r.s, r.p, 50.0, 7)
        check(r.s, level=level, cell=cell, since_s=50.0 if level else NAN)
        r.s.warning.told[:7], r.s.heat.told[:2], r.s.heat.told_gas = none, [0, 0], 0
        twin.watch._rank(r.s, r.p, 60.0, 7)
        check(r.s, level=level, cell=cell, since_s=50.0 if level else NAN)
        r.s.level = 6
        r.s.warning.told[6], r.s.heat.told_gas = 1, 1
        twin.watch._rank(r.s, r.p, 70.0, 7)
        check(r.s, level=6, cell=cell)


def judge_watch_written(twin: Any) -> None:
    """The columns of single cells, over two blocks, and of the sensors."""
    w, made_table = twin.watch, table(98, 2)
    raw_p, raw_s = made(w.WatchParams), made(w.WatchState)
    w.fill(raw_p, made_table, 2.5, (97, 0))
    w.start(raw_s, raw_p)
    r = SimpleNamespace(p=as_object(raw_p), s=as_object(raw_s), row=np.full(9000, NAN), table=made_table)
    x, rng = some_cells(98, 4), np.random.default_rng(1)
    for name in ("leak_a", "leak_sigma_a"):
        getattr(r.s.warning, name)[:98] = rng.normal(size=98)
    r.s.warning.told[:98] = np.arange(98) % 8
    r.s.heat.unexpected_w[:2], r.s.heat.told[:2] = (1.5, 2.5), (8, 16)
    r.s.level, r.s.cell, r.s.since_s = 3, 17.0, 44.0
    w._write(r.s, r.p, x, r.row, 98)
    told = np.arange(98.0) % 8
    told[[97, 0]] += 8.0, 16.0
    for name, want in (
        ("twin.cell_resistance_growth", of(x, GROWTH, 98)),
        ("twin.leak_current", r.s.warning.leak_a[:98]),
        ("twin.leak_sigma", r.s.warning.leak_sigma_a[:98]),
        ("twin.cell_warning", told),
        ("twin.unexpected_heat", [1.5, 2.5]),
        ("twin.warning", [3.0]),
        ("twin.warning_cell", [17.0]),
        ("twin.warning_since", [44.0]),
    ):
        assert column(r, name).tolist() == list(want), name
    assert np.isfinite(r.row).sum() == 4 * 98 + 5


def judge_stage(twin: Any) -> None:
    """The stage watches every row: instant, the twin's current, mean residual, sigma, and the time that has moved."""
    d = Drive(stage=twin.step, as_record=as_object, sensors=(3, 1)).start(0.5)
    assert (d.p.watch.heat.n_zones, d.p.watch.heat.sensor_cell[:2].tolist()) == (2, [3, 1])
    assert d.p.watch.warning.least_leak_a == pytest.approx(0.01)
    assert np.isnan(np.asarray(d.states)[0]["watch"]["cell"])
    spy = spied(twin, "step", "watch")
    found = []
    try:
        for t_s, current in ((3.0, 20.0), (5.0, 10.0), (5.2, 9.0), (6.0, NAN), (7.0, 4.0)):
            d.s.filter.bias_a = 2.0
            d.tick(t_s, current, 3.2)
            found.append((*spy.calls[-1][5][:2], spy.calls[-1][6]))
            assert spy.calls[-1][5][3] == pytest.approx(d.sigma())
    finally:
        spy.undo()
    want = ((3.0, 18.0, 0.0), (5.0, 8.0, 2.0), (5.2, 7.0, 0.0), (6.0, NAN, 0.8), (7.0, 2.0, 1.0))
    assert found == [pytest.approx(w, nan_ok=True) for w in want]
    call = spy.calls[-1]
    assert call[0] is d.s.watch
    assert call[1] is d.p.watch
    assert call[2] is d.p.pack.cell
    assert call[3] is d.s.pack.rows
    assert call[4] is d.row
    assert call[5][2] == pytest.approx(d.s.filter.centre_v)
    assert call[7] == 5
    assert cells.BLOCK == 96


JUDGES = (
    judge_delta_numbers,
    judge_warning_numbers,
    judge_heat_numbers,
    judge_telling,
    judge_gas,
    judge_common,
    judge_bounds,
    judge_mean_needs_both,
    judge_whitened,
    judge_windows,
    judge_turns,
    judge_ripe,
    judge_first,
    judge_watch_start,
    judge_rank,
    judge_watch_calls,
    judge_watch_written,
    judge_stage,
    judge_heat,
    judge_alone,
    judge_unsettled,
    judge_peers_at_the_ends,
    judge_slopes,
    judge_leaks,
    judge_peers,
)
