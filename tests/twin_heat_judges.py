"""Judges of unexpected heat and of the one call a tick: balances of all sensors at once, what is ranked and written.

Each takes the copies of ``heat``, ``watch`` and ``step``, healthy or mutated, as plain Python, and raises where a law is broken.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from twin_delta_judges import filters
from twin_judge_rig import check, made, of, some_cells, spied, table_of
from twin_rig import Drive

from hil.campaign.mutate.plain import as_object
from hil.image import table
from hil.twin import cells
from hil.twin.cells import ASIDE_A, DEGC, GROWTH

NAN = math.nan


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
    judge_heat_numbers,
    judge_gas,
    judge_watch_start,
    judge_rank,
    judge_watch_calls,
    judge_watch_written,
    judge_stage,
    judge_heat,
)
