"""Judges of the delta filters: a window against matrices with Joseph's form of the update, tables against numpy.

Each takes the copies of ``deltas``, healthy or mutated, as plain Python, and raises where a law is broken.
"""

import copy
import math
from typing import Any

import numpy as np
import pytest
from twin_judge_rig import bumpy, extended, made, of, some_cells, table_of
from twin_rig import KNOTS

from hil.campaign.mutate.plain import as_object
from hil.twin import tables
from hil.twin.cells import ASIDE_A, DEGC, GROWTH, PER_COULOMB, SOC, STOP, V1, V3

NAN = math.nan


FIELDS = "SS SG SC SO GG GC GO CC CO OO".split()


UPPER = np.triu_indices(4)


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


JUDGES = (
    judge_delta_numbers,
    judge_common,
    judge_bounds,
    judge_windows,
    judge_alone,
    judge_unsettled,
    judge_peers_at_the_ends,
    judge_slopes,
    judge_peers,
)
