"""Judges of the early warning: its statistics against arrays of all cells at once, leaks against matrices and closed forms.

Each takes the copies of ``warning`` and ``deltas``, healthy or mutated, as plain Python, and raises where a law is broken.
"""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from twin_delta_judges import filters
from twin_judge_rig import bumpy, check, made, of, some_cells, table_of

from hil.campaign.mutate.plain import as_object
from hil.twin.cells import DEGC, PER_COULOMB, SOC

NAN = math.nan


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


JUDGES = (
    judge_warning_numbers,
    judge_telling,
    judge_mean_needs_both,
    judge_whitened,
    judge_turns,
    judge_ripe,
    judge_first,
    judge_leaks,
)
