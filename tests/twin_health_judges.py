"""Judges of the twin's state of health: capacity, resistance, what a tick makes of a rest, and what the stage tells them.

Each takes the copies of ``capacity``, ``resistance``, ``health`` and ``step``, healthy or mutated, as plain Python, and
raises where a law is broken. Total least squares is held against polynomials and their roots, least squares against sums,
the table read backwards against a fine grid.
"""

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from twin_rig import GRID, Drive, cell

from hil.campaign.mutate.plain import as_object
from hil.kernel import zeros
from hil.twin import cells, tables

NAN = math.nan
AH = 5.0


def made(of: Any) -> Any:
    """A record of a class, every number of it another one than 0, so that what is not set is seen."""
    record = np.asarray(zeros(of))[0]
    for name in record.dtype.names or ():
        if record.dtype[name].names is None:
            record[name] = 7
    return record


def check(record: Any, **wanted: Any) -> None:
    """The fields of a record or an object, exactly or nearly."""
    for name, value in wanted.items():
        found = record[name] if isinstance(record, np.void) else getattr(record, name)
        assert found == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name


# --- capacity -----------------------------------------------------------------------------------------------------


def lines(twin: Any, **of_params: Any) -> tuple[Any, Any]:
    """State and params of the capacity, started."""
    c = twin.capacity
    p, s = made(c.CapacityParams), made(c.CapacityState)
    c.fill(p)
    for name, value in of_params.items():
        p[name] = value
    c.start(s, p)
    return as_object(s), as_object(p)


def judge_capacity_numbers(twin: Any) -> None:
    """What is not known before the first pair, and what a start leaves."""
    s, p = lines(twin)
    check(p, prior_sigma=0.1, gain_sigma=0.005, gate=4.0, memory_cycles=5.0, fade_per_cycle=0.002)
    check(
        s, sums=[0.0, 100.0, 0.0, 0.0], weight=100.0, fixed=0.0, since_cycles=0.0, off=0.0, soh=1.0, sigma=0.1, pairs=0
    )
    assert (twin.capacity.LEAST, twin.capacity.MOST, twin.capacity.PAIR) == (0.05, 2.0, 6)


GOOD = (0.5, 0.45, 0.01, 0.02, 0.003, 0.5)
ENDS = ((1e-6, 2.0), (0.0, 4.0), (1e-9, 1e3), (1e-9, 1e3), (0.0, 1.0), (0.0, 1e6))


def judge_pairs_taken(twin: Any) -> None:
    """What a pair is: each number may be at its ends, and no further; on either side for x and y."""
    for k, ends in enumerate(ENDS):
        for end, beyond in zip(ends, (np.nextafter(ends[0], -9.0), np.nextafter(ends[1], 1e9)), strict=True):
            for sign in (1.0, -1.0) if k < 2 else (1.0,):
                for value, taken in ((end, True), (beyond, k == 1 and end == 0.0), (NAN, False)):
                    s, p = lines(twin)
                    given = list(GOOD)
                    given[k] = sign * value
                    assert twin.capacity.add(s, p, *given) is taken
                    assert s.pairs == taken
                    assert taken or (s.soh, s.weight, s.sigma) == (1.0, pytest.approx(100.0), 0.1)


class Line:
    """The same line by polynomials: every pair's cost is one of degree 4, the least is a root of the derivative."""

    def __init__(self, p: Any) -> None:
        self.p, self.least = p, 1.0 / p.prior_sigma**2
        self.cost, self.weight = Polynomial([0.0, 0.0, self.least, 0.0, 0.0]), self.least
        self.fixed = self.since_cycles = self.off = 0.0
        self.soh, self.sigma = 1.0, p.prior_sigma

    def find(self) -> None:
        """The lowest point between 0.05 and 2."""
        ends = np.array([-0.95, 1.0])
        roots = self.cost.deriv().roots()
        inside = roots[(np.abs(roots.imag) < 1e-9) & (roots.real > ends[0]) & (roots.real < ends[1])].real
        at = np.concatenate((inside, ends))
        best = float(at[np.argmin(self.cost(at))])
        curve = float(self.cost.deriv(2)(best))
        self.soh, self.sigma = 1.0 + best, math.sqrt(2.0 / curve) if curve > 0.0 else 2.0

    def add(self, x: float, y: float, sigma_x: float, sigma_y: float, fixed: float, cycles: float) -> None:
        p = self.p
        keep = max(math.exp(-cycles / p.memory_cycles), min(self.least / self.weight, 1.0))
        self.since_cycles = keep * (self.since_cycles + cycles * self.weight)
        self.cost, self.weight, self.fixed, self.off = (
            keep * v for v in (self.cost, self.weight, self.fixed, self.off)
        )
        apart = (y - self.soh * x) ** 2 / (sigma_y**2 + self.soh**2 * sigma_x**2 + self.sigma**2 * x**2)
        variance = Polynomial([sigma_y**2, 0.0, sigma_x**2]) * max(apart / p.gate**2, 1.0)
        before = self.cost
        for _ in range(3):
            here = variance(self.soh)
            slope, curve = variance.deriv()(self.soh) / here, variance.deriv(2)(self.soh) / here
            u = Polynomial([1.0 - self.soh, 1.0])
            weight = (1.0 - slope * u + max(slope**2 - curve / 2.0, slope**2 / 2.0) * u**2) / here
            self.cost = before + Polynomial([y - x, -x]) ** 2 * weight
            self.find()
        self.weight += x**2 / here
        self.fixed += abs(x) * fixed / here
        self.off += x * (y - self.soh * x) / here
        apart2 = (p.gain_sigma * self.soh) ** 2 + (self.fixed**2 + self.off**2) / self.weight**2
        self.sigma = math.sqrt(self.sigma**2 + apart2 + (p.fade_per_cycle * self.since_cycles / self.weight) ** 2)


def pairs_of(seed: int, sigma_x: float, sigma_y: float) -> Any:
    """Pairs (n, 6) of a cell at 0.85, either way, one of them wrong by far."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 0.9, 12) * rng.choice([-1.0, 1.0], 12)
    y = 0.85 * x + sigma_y * rng.normal(size=12)
    y[7] *= 1.4
    kinds = np.column_stack([sigma_x * rng.uniform(0.5, 2.0, 12), sigma_y * rng.uniform(0.5, 2.0, 12)])
    return np.column_stack([x, y, kinds, rng.uniform(0.0, 0.01, 12), rng.uniform(0.0, 2.0, 12)])


def judge_lines(twin: Any) -> None:
    """Each pair against the polynomials: estimate, sigma and every sum."""
    for seed, sigma_x, sigma_y in ((1, 0.01, 0.002), (2, 0.003, 0.03), (3, 0.06, 0.06), (4, 0.2, 0.01)):
        s, p = lines(twin, fade_per_cycle=0.01)
        want = Line(p)
        for one in pairs_of(seed, sigma_x, sigma_y):
            assert twin.capacity.add(s, p, *one) is True
            want.add(*one)
            assert s.soh == pytest.approx(want.soh, abs=1e-9)
            assert s.sigma == pytest.approx(want.sigma, rel=1e-7)
            assert np.allclose(s.sums, want.cost.coef[1:], rtol=1e-7, atol=1e-6)
            check(s, weight=want.weight, since_cycles=want.since_cycles)
            assert (s.fixed, s.off) == pytest.approx((want.fixed, want.off), rel=1e-6)
        assert s.pairs == 12
    s, p = lines(twin, prior_sigma=1e3, gate=1e9)
    want = Line(p)
    for one in ((0.5, 0.3, 0.02, 0.02, 0.0, 0.0), (0.6, 0.7, 0.03, 0.02, 0.0, 0.0), (0.4, 0.1, 0.02, 0.04, 0.0, 0.0)):
        twin.capacity.add(s, p, *one)
        want.add(*one)
        assert s.soh == pytest.approx(want.soh, abs=1e-9)


def judge_least_cost(twin: Any) -> None:
    """The least of a quartic from wherever one starts, also over a hump; at an end where it falls all the way."""
    humped = Polynomial([0.0, 0.0, -0.3, 0.1, 1.0])
    for cost, least in (
        (Polynomial([0.0, 1.0, 8.0, 0.0, 0.0]), -0.0625),
        (Polynomial([0.0, -3.0, 1.0, -2.0, 4.0]), None),
        (Polynomial([0.0, 5.0, 3.0, 1.0, 2.0]), None),
        (Polynomial([0.0, 99.0, 1.0, 0.0, 0.0]), -0.95),
        (Polynomial([0.0, -99.0, 1.0, 0.0, 0.0]), 1.0),
        (Polynomial([0.0, -9.0, -1.0, 0.0, 0.0]), 1.0),
        (Polynomial([0.0, 9.0, -1.0, 0.0, 0.0]), -0.95),
        (humped, None),
    ):
        for start in (0.05, 0.4, 0.9, 1.2, 2.0):
            s, _ = lines(twin)
            s.sums[:], s.soh = cost.coef[1:], start
            twin.capacity.descend(s)
            v, slope, bend = s.soh - 1.0, cost.deriv(), cost.deriv(2)
            if least is None:
                assert abs(slope(v)) < 1e-9
                assert bend(v) > 0.0
                nearest = min(
                    (r.real for r in slope.roots() if abs(r.imag) < 1e-9 and bend(r.real) > 0.0),
                    key=lambda r: abs(r - v),
                )
                assert v == pytest.approx(nearest, abs=1e-9)
            else:
                assert v == pytest.approx(least, abs=1e-9)
            assert s.sigma == pytest.approx(math.sqrt(2.0 / bend(v)) if bend(v) > 0.0 else 2.0, rel=1e-6)


def judge_track(twin: Any) -> None:
    """Many pairs at once give what they give one after the other; what is no table of pairs is refused."""
    c, pairs = twin.capacity, pairs_of(5, 0.02, 0.01)
    s, p = lines(twin, gate=3.0)
    out = np.zeros((12, 2))
    want = []
    for one in pairs:
        c.add(s, p, *one)
        want.append((s.soh, s.sigma))
    s, p = lines(twin, gate=3.0)
    c._track([s], [p], pairs, out)
    assert np.array_equal(out, want)
    handed: list[Any] = []
    plain, c._track = (
        c._track,
        lambda states, fixed, given, into: handed.append((states, fixed, given)) or into.fill(3.0),
    )
    try:
        assert np.all(c.track(np.asfortranarray(pairs), gate=3.0) == np.full((12, 2), 3.0))
        assert c.track(np.empty((0, 6))).shape == (0, 2)
    finally:
        c._track = plain
    states, fixed, given = handed[0]
    assert given.flags.c_contiguous
    assert np.array_equal(given, pairs)
    check(np.asarray(fixed)[0], gate=3.0, prior_sigma=0.1)
    check(np.asarray(states)[0], soh=1.0, weight=100.0)
    for wrong in (np.ones((3, 5)), np.ones(6), np.ones((2, 6, 6))):
        with pytest.raises(ValueError, match="pairs of 6 numbers, found shape"):
            c.track(wrong)


# --- resistance ---------------------------------------------------------------------------------------------------


def grown(twin: Any, **of_params: float) -> tuple[Any, Any]:
    """State and params of the resistance, started."""
    r = twin.resistance
    p, s = made(r.ResistanceParams), made(r.ResistanceState)
    r.fill(p, AH)
    for name, value in of_params.items():
        p[name] = value
    r.start(s, p)
    return as_object(s), as_object(p)


def judge_resistance_numbers(twin: Any) -> None:
    """What is not known of R0, and what a start leaves."""
    s, p = grown(twin)
    check(p, prior_sigma=0.5, table_sigma=0.03, gain_sigma=0.005, noise_v=0.002, least_v=1e-5, gate=4.0)
    check(p, keep=0.998, keep_noise=0.99, excite_a=0.5, longest_s=2.0)
    check(s, growth=1.0, sigma=0.5, steps=0, noise_v2=4e-6, spread=62500.0, apart_v=NAN, drop_v=0.0, current_a=0.0)


def judge_growth(twin: Any) -> None:
    """Least squares by sums: what was seen counts by ``keep``, no surprise by more than the gate, all within bounds."""
    rng = np.random.default_rng(3)
    for of_params in (
        {"gate": 1e9, "keep": 0.9, "prior_sigma": 30.0},
        {"gate": 2.0, "keep": 0.8, "noise_v": 0.01, "table_sigma": 0.2, "gain_sigma": 0.1, "keep_noise": 0.7},
        {"gate": 1e9, "keep": 0.5, "prior_sigma": 0.3, "least_v": 0.02, "noise_v": 0.03},
    ):
        s, p = grown(twin, **of_params)
        info, noise2, growth = s.noise_v2 / p.prior_sigma**2, p.noise_v**2, 1.0
        info = noise2 / p.prior_sigma**2
        for k in range(25):
            u = rng.uniform(0.05, 0.3) * rng.choice([-1.0, 1.0])
            d = 1.7 * u + 0.01 * rng.normal() + (3.0 if k == 11 else 0.0) - (40.0 if k == 17 else 0.0)
            twin.resistance.learn(s, p, d, u)
            total = 1.0 + u * u / info
            off = float(
                np.clip(d - growth * u, -p.gate * math.sqrt(noise2 * total), p.gate * math.sqrt(noise2 * total))
            )
            growth = float(np.clip(growth + u * off / (info + u * u), 0.05, 20.0))
            noise2 = max(p.keep_noise * noise2 + (1.0 - p.keep_noise) * off**2 / total, p.least_v**2)
            info = max(p.keep * (info + u * u), noise2 / p.prior_sigma**2)
            check(s, growth=growth, noise_v2=noise2, spread=1.0 / info, steps=k + 1)
            known = p.table_sigma**2 + p.gain_sigma**2
            check(s, sigma=math.sqrt(noise2 / info + known * growth**2))
    assert (twin.resistance.LEAST, twin.resistance.MOST) == (0.05, 20.0)


def judge_steps_of_current(twin: Any) -> None:
    """What is handed to least squares: changes of both sides, from steps of at least C/10 at most 2 s apart."""
    r = twin.resistance
    handed: list[tuple[float, float]] = []
    plain, r.learn = r.learn, lambda s, p, moved_v, u: handed.append((moved_v, u))
    try:
        s, p = grown(twin)
        sample = (0.1, 1.0, 0.02, 0.03, 0.02, 0.5)  # first: nothing to compare with
        assert r.step(s, p, *sample) is False
        check(s, apart_v=-0.01, drop_v=0.02, current_a=1.0)
        for dt_s, now_a, used in (
            (0.1, 1.5, True),
            (2.0, 0.5, True),
            (2.1, 1.5, False),
            (0.0, 1.5, False),
            (-1.0, 1.5, False),
            (0.1, 1.4, False),
            (0.1, 0.6, False),
            (0.1, -3.0, True),
        ):
            s.apart_v, s.drop_v, s.current_a = -0.01, 0.02, 1.0
            count = len(handed)
            assert r.step(s, p, dt_s, now_a, 0.05, 0.02, 0.03, 0.007) is used
            assert len(handed) == count + used
            check(s, apart_v=0.03, drop_v=0.03 * now_a, current_a=now_a)
            if used:
                assert handed[-1] == pytest.approx((0.03 + 0.01 + 0.007, 0.02 - 0.03 * now_a))
        for wrong in range(1, 6):
            for value in (NAN, math.inf):
                s.apart_v, s.drop_v, s.current_a = -0.01, 0.02, 1.0
                given = [0.1, 5.0, 0.05, 0.02, 0.03, 0.007]
                given[wrong] = value
                assert r.step(s, p, *given) is False
        assert len(handed) == 3
    finally:
        r.learn = plain


# --- health: from tick to tick ------------------------------------------------------------------------------------


@cache
def table_of(kind: str = "rig") -> Any:
    """Cell tables as an object: the rig's cell, or one whose OCV is given by name; nothing writes to them."""
    record = np.asarray(zeros(tables.CellTables))[0]
    of = cell()
    if kind != "rig":
        of.ocv_v = np.array([OCVS[kind] + 0.001 * k for k in (0.0, 1.0, 3.0)])
    tables.fill(record, of, 1, 1.0, (0.0, 1.0))
    return as_object(record)


OCVS = {
    "line": 3.0 + GRID,
    "bent": np.where(GRID < 0.5, 3.0 + GRID, np.where(GRID < 0.6, 4.0 - GRID, 2.8 + GRID)),
    "level": np.clip(3.0 + GRID, 3.1, 3.9),
    "falling ends": 3.5 - 0.4 * np.cos(9.0 * GRID),
    "flat": np.full(GRID.size, 3.3),
}


def ill(twin: Any, **of_params: float) -> tuple[Any, Any]:
    """State and params of the health, started."""
    h = twin.health
    p, s = np.asarray(zeros(h.HealthParams))[0], made(h.HealthState)
    h.fill(p, AH)
    for name, value in of_params.items():
        p[name] = value
    h.start(s, p)
    return as_object(s), as_object(p)


def judge_health_numbers(twin: Any) -> None:
    """What a rest is and how well it is known; a start knows the nominal numbers alone."""
    s, p = ill(twin)
    check(p, nominal_c=18000.0, rest_a=0.1, rest_least_s=600.0, rest_enough_s=3600.0, settled_v=0.003, average_s=60.0)
    check(p, ocv_sigma_v=0.004, rest_sigma_v=0.004, soc_sigma=0.005, zero_sigma_a=0.005, count_sigma=5e-4)
    check(p, efficiency_sigma=1e-3, lost_a=5.0, move_least=0.15, sharper=2.0)
    check(p.capacity, prior_sigma=0.1)
    check(p.resistance, excite_a=0.5)
    nothing = (
        "rest_s rest_degc rest_spread_v2 soc_fixed soc_random2 turned passed_c tried anchored out_c stored_c lost_c"
    )
    check(s, **dict.fromkeys(f"{nothing} since_s".split(), 0.0))
    check(s, **dict.fromkeys("rest_ocv_v soc resistance_ohm resistance_sigma_ohm".split(), NAN))
    check(s, capacity_ah=5.0, capacity_sigma_ah=0.5, soh_capacity=1.0, soh_capacity_sigma=0.1)
    check(s, resistance_growth=1.0, resistance_growth_sigma=0.5)
    check(s.capacity, soh=1.0)
    check(s.resistance, growth=1.0, steps=0)
    assert (twin.health.SEEN, twin.health.OUT, twin.health.WIDEST) == (10, 8, 0.289)


def judge_place(twin: Any) -> None:
    """Where a temperature lies in rows of 2.5 K from -40 degC on; beyond the last it is the last."""
    for degc, row, share in (
        (-40.0, 0, 0.0),
        (-41.0, 0, 0.0),
        (-38.75, 0, 0.5),
        (23.0, 25, 0.2),
        (86.0, 50, 0.4),
        (87.5, 50, 1.0),
        (400.0, 50, 1.0),
        (NAN, 0, 0.0),
    ):
        assert twin.health.place(degc) == pytest.approx((row, share), abs=1e-9)
        assert isinstance(twin.health.place(degc)[0], int)


def extended(t: Any, row: int, share: float) -> tuple[Any, Any]:
    """OCV as a polyline over SoC from -0.1 to 1.1, its ends on straight lines."""
    volts = (1.0 - share) * t.ocv_v[row, :201] + share * t.ocv_v[row + 1, :201]
    low, high = volts[0] - 20.0 * (volts[1] - volts[0]), volts[-1] + 20.0 * (volts[-1] - volts[-2])
    return np.concatenate(([-0.1], GRID, [1.1])), np.concatenate(([low], volts, [high]))


def judge_ocv(twin: Any) -> None:
    """OCV between the points and the rows of the table, and beyond its ends."""
    t = table_of()
    for row, share in ((25, 0.2), (30, 0.9)):
        soc, volts = extended(t, row, share)
        for at in (-0.2, -0.1, -0.04, 0.0, 0.003, 0.4021, 0.9999, 1.0, 1.07, 1.1, 1.3):
            assert twin.health.ocv_of(t, row, share, at) == pytest.approx(np.interp(at, soc, volts), abs=1e-12)
        for k in (0, 7, 199, 200):
            assert twin.health.ocv_at(t, row, share, k) == pytest.approx(volts[k + 1], abs=1e-12)


def judge_span(twin: Any) -> None:
    """The table read backwards, against a grid of SoC: the first that is high enough, the last that is low enough."""
    for kind, degc in (("rig", 23.0), ("line", 31.0), ("bent", 25.0), ("falling ends", 25.0)):
        t = table_of(kind)
        place = (degc + 40.0) / 2.5
        soc, volts = extended(t, int(place), place - int(place))
        fine = np.linspace(-0.1, 1.1, 48_001)
        ocv = np.interp(fine, soc, volts)
        for middle in np.linspace(volts[1:-1].min() - 0.01, volts[1:-1].max() + 0.01, 9):
            if kind == "falling ends" and not volts[1] < middle < volts[-2]:
                continue  # beyond a table's first and last point there is no telling which branch is meant
            for half in (0.002, 0.02):
                if kind == "falling ends" and not volts[1] < middle - half < middle + half < volts[-2]:
                    continue
                least, most = twin.health.span(t, degc, middle - half, middle + half)
                high, low = fine[ocv >= middle - half], fine[ocv <= middle + half]
                assert least == pytest.approx(high[0] if high.size else 1.1, abs=3e-5)
                assert most == pytest.approx(low[-1] if low.size else -0.1, abs=3e-5)


def judge_span_ends(twin: Any) -> None:
    """Beyond the table on straight lines as far as the cell model goes; a level end holds; points of the table exactly."""
    t, span = table_of("line"), twin.health.span
    for low_v, high_v, want in (
        (3.40, 3.42, (0.40, 0.42)),
        (3.0, 4.0, (0.0, 1.0)),
        (2.95, 4.05, (-0.05, 1.05)),
        (2.94, 2.96, (-0.06, -0.04)),
        (4.04, 4.06, (1.04, 1.06)),
        (1.0, 9.0, (-0.1, 1.1)),
        (1.0, 1.1, (-0.1, -0.1)),
        (8.0, 9.0, (1.1, 1.1)),
    ):
        assert span(t, 5.0, low_v, high_v) == pytest.approx(want, abs=1e-9)
    level = table_of("level")
    for low_v, high_v, want in (
        (3.05, 3.5, (0.0, 0.5)),
        (3.5, 3.95, (0.5, 1.0)),
        (3.95, 3.99, (1.1, 1.0)),
        (3.0, 3.05, (0.0, -0.1)),
    ):
        assert span(level, 5.0, low_v, high_v) == pytest.approx(want, abs=1e-9)
    assert span(table_of("flat"), 5.0, 3.2, 3.4) == (0.0, 1.0)


def judge_charge(twin: Any) -> None:
    """Charge out counts whole, charge in by the efficiency of its temperature; what is not known may have flowed."""
    t = table_of()
    s, p = ill(twin)
    eta = float(np.interp(17.0, [5.0, 25.0], [0.93, 0.95]))
    for flowed_a, dt_s, now in (
        (3.0, 10.0, (30.0, 0.0, 0.0, 10.0, 30.0)),
        (-2.0, 5.0, (30.0 - 10.0 * eta, 10.0 * eta, 0.0, 15.0, 40.0)),
        (NAN, 4.0, (30.0 - 10.0 * eta, 10.0 * eta, 20.0, 19.0, 40.0)),
        (math.inf, 1.0, (30.0 - 10.0 * eta, 10.0 * eta, 25.0, 20.0, 40.0)),
        (0.0, 1.0, (30.0 - 10.0 * eta, 10.0 * eta, 25.0, 21.0, 40.0)),
        (0.5, 1.0, (30.5 - 10.0 * eta, 10.0 * eta, 25.0, 22.0, 40.5)),
    ):
        s.seen.flowed_a, s.seen.degc = flowed_a, 17.0
        twin.health.count(s, p, t, dt_s)
        assert (s.out_c, s.stored_c, s.lost_c, s.since_s, s.passed_c) == pytest.approx(now, rel=1e-9)


def spied(twin: Any, name: str, module: str = "health") -> Any:
    """A stand-in for a function of a copy, which keeps what it is given; ``calls`` and ``undo``."""
    where = getattr(twin, module)
    plain, calls = getattr(where, name), []
    setattr(where, name, lambda *given: calls.append(given))
    return SimpleNamespace(calls=calls, undo=lambda: setattr(where, name, plain))


def rest_tick(s: Any, residual_v: float = 0.01, polarisation_v: float = 0.001, degc: float = 25.0) -> None:
    s.seen.soc, s.seen.residual_v, s.seen.polarisation_v, s.seen.degc = 0.5, residual_v, polarisation_v, degc


def judge_rest(twin: Any) -> None:
    """When a rest has settled, what its OCV averages to, and when it gives its anchor: once, and not when disturbed."""
    t, at_v = table_of("line"), 3.501
    spy = spied(twin, "anchor")
    try:
        s, p = ill(twin)
        for dt_s, residual_v, polarisation_v, degc, want in (
            (599.0, 0.01, 0.0, 25.0, NAN),
            (1.0, 0.01, 0.003, 25.0, NAN),
            (0.0, 0.01, -0.003, 25.0, NAN),
            (0.0, 0.01, 0.001, NAN, NAN),
            (0.0, NAN, 0.001, 25.0, NAN),
            (0.0, 0.01, 0.0029, 25.0, at_v + 0.01),
        ):
            rest_tick(s, residual_v, polarisation_v, degc)
            twin.health.rest(s, p, t, dt_s)
            check(s, rest_ocv_v=want)
        check(s, rest_s=600.0, rest_degc=25.0, rest_spread_v2=0.004**2 + 0.0029**2)
        rest_tick(s, 0.05, -0.002, 24.0)
        twin.health.rest(s, p, t, 20.0)
        now_v = 3.0 + 0.5 + 0.001 * 19.0 / 20.0
        check(
            s,
            rest_ocv_v=0.75 * (at_v + 0.01) + 0.25 * (now_v + 0.05),
            rest_degc=24.0,
            rest_spread_v2=0.004**2 + 0.002**2,
        )
        for dt_s, tried in ((2979.0, 0), (1.0, 1), (100.0, 1)):
            twin.health.rest(s, p, t, dt_s)
            assert s.tried == tried
            assert len(spy.calls) == tried
        assert spy.calls[0] == (s, p, t)
    finally:
        spy.undo()


def judge_end_of_rest(twin: Any) -> None:
    """A rest that ends gives its anchor if it has an OCV and has not been refused before; then it is forgotten."""
    t = table_of("line")
    spy = spied(twin, "anchor")
    try:
        for now_a, rest_s, ocv_v, tried, anchored, want in (
            (0.1, 700.0, 3.5, 0, 0, 1),
            (-0.1, 700.0, 3.5, 0, 0, 1),
            (0.1, 700.0, 3.5, 1, 0, 0),
            (0.1, 700.0, 3.5, 1, 1, 1),
            (0.1, 700.0, NAN, 0, 0, 0),
            (0.1, 0.0, 3.5, 0, 0, 0),
            (NAN, 700.0, 3.5, 0, 0, 1),
            (0.1, 0.5, 3.5, 0, 0, 1),
            (0.099, 700.0, 3.5, 0, 0, 0),
        ):
            s, p = ill(twin)
            rest_tick(s)
            s.seen.now_a, s.seen.dt_s, s.seen.flowed_a = now_a, 2.0, 0.0
            s.rest_s, s.rest_ocv_v, s.tried, s.anchored = rest_s, ocv_v, tried, anchored
            spy.calls.clear()
            twin.health.step(s, p, t)
            assert len(spy.calls) == want
            if now_a == 0.099:
                check(s, rest_s=702.0)
            elif rest_s > 0.0:
                check(s, rest_s=0.0, rest_ocv_v=NAN, tried=0, anchored=0)
            else:
                check(s, rest_ocv_v=3.5)
    finally:
        spy.undo()


def judge_tick(twin: Any) -> None:
    """What a tick hands on and what stands in the outputs; time that runs backwards is none."""
    t = table_of("line")
    spies = [spied(twin, "step", "resistance"), spied(twin, "count"), spied(twin, "rest")]
    try:
        for dt_s, want_s in ((0.25, 0.25), (0.0, 0.0), (-3.0, 0.0), (NAN, 0.0)):
            s, p = ill(twin)
            rest_tick(s, 0.011, 0.002)
            n = s.seen
            n.dt_s, n.now_a, n.ohmic_v, n.r0_ohm, n.corrected_v = dt_s, 0.05, 0.033, 0.02, 0.0044
            s.resistance.growth, s.resistance.sigma = 1.3, 0.07
            for spy in spies:
                spy.calls.clear()
            twin.health.step(s, p, t)
            assert spies[0].calls == [(s.resistance, p.resistance, want_s, 0.05, 0.011, 0.033, 0.02, 0.0044)]
            assert spies[1].calls == spies[2].calls == [(s, p, t, want_s)]
            check(s, resistance_growth=1.3, resistance_growth_sigma=0.07)
            check(s, resistance_ohm=0.026, resistance_sigma_ohm=0.0014)
    finally:
        for spy in spies:
            spy.undo()


def judge_soc_of_rest(twin: Any) -> None:
    """On 1 V per 1 the sigma of the SoC is that of the voltage; off the table by two sigma, or nowhere, it is none."""
    t = table_of("line")
    s, p = ill(twin)
    s.rest_degc, s.rest_spread_v2 = 5.0, 0.003**2
    fixed2, random2 = 0.004**2 + 0.005**2, 0.003**2
    off = 2.0 * math.sqrt(fixed2 + random2)
    for soc, known in (
        (0.4, True),
        (1.0 + 0.99 * off, True),
        (1.0 + 1.01 * off, False),
        (-1.01 * off, False),
        (-0.99 * off, True),
    ):
        s.rest_ocv_v = 3.0 + soc
        found = twin.health.soc_of_rest(s, p, t)
        assert found == pytest.approx((soc if known else NAN, math.sqrt(fixed2), random2), rel=1e-6, nan_ok=True)
    s.rest_spread_v2, s.rest_ocv_v = 0.28**2, 3.5
    assert twin.health.soc_of_rest(s, p, t)[0] == pytest.approx(0.5)
    s.rest_spread_v2 = 0.29**2
    assert math.isnan(twin.health.soc_of_rest(s, p, t)[0])
    s.rest_spread_v2, s.rest_ocv_v = 0.003**2, 3.3
    assert math.isnan(twin.health.soc_of_rest(s, p, table_of("flat"))[0])


def ready(twin: Any, **of_state: float) -> tuple[Any, Any]:
    """Health with an anchor at 0.8 behind it, 3000 C from there; the next one is given by hand."""
    s, p = ill(twin)
    s.soc, s.soc_fixed, s.soc_random2, s.since_s = 0.8, 0.006, 3e-5, 360.0
    s.out_c, s.stored_c, s.lost_c, s.passed_c, s.turned = 3000.0, 40.0, 20.0, 5000.0, 0.0
    for name, value in of_state.items():
        setattr(s, name, value)
    return s, p


def judge_anchor(twin: Any) -> None:
    """Which anchor stays: with enough moved any but a much blunter one, with too little only a much sharper one."""
    h = twin.health
    drift = (0.005 * 360.0 + 20.0) / 18000.0
    known = math.sqrt(0.006**2 + 3e-5 + drift**2)
    plain = h.soc_of_rest
    spy = spied(twin, "pair")
    try:
        for out_c, sigma, anchored, soc, paired, taken in (
            (2700.0, 1.99 * known, 0, 0.8, 1, True),
            (-2700.0, 1.99 * known, 0, 0.8, 1, True),
            (2700.0, 2.01 * known, 0, 0.8, 1, False),
            (2699.0, 0.49 * known, 0, 0.8, 0, True),
            (-2699.0, 0.51 * known, 0, 0.8, 0, False),
            (2700.0, 9.0 * known, 1, 0.8, 0, True),
            (2700.0, 9.0 * known, 0, NAN, 0, True),
        ):
            s, p = ready(twin, out_c=out_c, anchored=anchored, soc=soc, turned=5.0)
            fixed, random2 = 0.6 * sigma, 0.64 * sigma**2
            h.soc_of_rest = lambda *_, f=fixed, r=random2: (0.3, f, r)
            spy.calls.clear()
            h.anchor(s, p, None)
            assert spy.calls == [(s, p, 0.3, fixed, random2)] * paired
            if taken:
                check(s, anchored=1, soc=0.3, soc_fixed=fixed, soc_random2=random2)
                check(s, out_c=0.0, stored_c=0.0, lost_c=0.0, since_s=0.0, passed_c=5000.0)
                old = anchored == 1 or soc != soc
                assert s.turned == (5.0 if old else math.copysign(1.0, out_c) if paired else 0.0)
            else:
                check(s, anchored=0, soc=0.8, out_c=out_c, since_s=360.0, turned=5.0)
        long = (0.005 * 9000.0 + 200.0) / 18000.0
        for part, taken in ((1.99, True), (2.01, False)):
            s, p = ready(twin, since_s=9000.0, lost_c=200.0)
            sigma = part * math.sqrt(0.006**2 + 3e-5 + long**2)
            h.soc_of_rest = lambda *_, f=sigma: (0.3, f, 0.0)
            h.anchor(s, p, None)
            assert s.anchored == taken
        s, p = ready(twin)
        h.soc_of_rest = lambda *_: (NAN, 0.001, 0.0)
        h.anchor(s, p, None)
        check(s, anchored=0, soc=0.8, out_c=3000.0)
    finally:
        h.soc_of_rest = plain
        spy.undo()


def judge_pair(twin: Any) -> None:
    """The numbers of a pair, by hand, and what becomes of them; a pair that is refused leaves everything as it was."""
    add = twin.capacity.add
    asked: list[Any] = []

    def told(c: Any, p: Any, *given: float) -> bool:
        asked.append(given)
        c.soh, c.sigma = 0.9, 0.02
        return given[0] > 0.0

    twin.capacity.add = told
    try:
        for turned, out_c, times in ((0.0, 3000.0, 1.0), (1.0, 3000.0, 1.0), (-1.0, 3000.0, 3.0), (1.0, -3000.0, 3.0)):
            s, p = ready(twin, turned=turned, out_c=out_c)
            p.count_sigma, s.capacity.soh = 0.002, 0.8
            twin.health.pair(s, p, 0.65, 0.009, 7e-5)
            fixed2 = 0.006**2 + 0.009**2
            zero2, lost2, stored2 = ((v / 18000.0) ** 2 for v in (0.005 * 360.0, 20.0, 0.001 * 40.0))
            want = (0.15, out_c / 18000.0, math.sqrt(fixed2 + times * 3e-5 + 7e-5))
            want += (math.sqrt(zero2 + lost2 + stored2 + 0.002**2), math.sqrt(0.64 * fixed2 + zero2 + stored2))
            assert asked[-1] == pytest.approx((*want, 2500.0 / 18000.0), rel=1e-12)
            check(s, soh_capacity=0.9, soh_capacity_sigma=0.02, capacity_ah=4.5, capacity_sigma_ah=0.1, passed_c=0.0)
        s, p = ready(twin)
        p.efficiency_sigma, s.stored_c = 0.5, 4000.0
        twin.health.pair(s, p, 0.9, 0.009, 7e-5)
        assert asked[-1][3] == pytest.approx(math.sqrt((2000.0 / 18000.0) ** 2 + 1e-8 + lost2 + 25e-8), rel=1e-9)
        check(s, soh_capacity=1.0, soh_capacity_sigma=0.1, capacity_ah=5.0, passed_c=5000.0)
    finally:
        twin.capacity.add = add


def judge_follow(twin: Any) -> None:
    """Offline: the fields of a tick in the order of ``Seen``, the outputs in theirs."""
    h = twin.health
    s, p = ill(twin)
    names = "dt_s flowed_a now_a degc soc residual_v polarisation_v ohmic_v r0_ohm corrected_v".split()
    outputs = "capacity_ah capacity_sigma_ah soh_capacity soh_capacity_sigma resistance_ohm resistance_sigma_ohm "
    outputs += "resistance_growth resistance_growth_sigma"
    ticks, out, seen = np.arange(30.0).reshape(3, 10) + 0.5, np.zeros((3, 8)), []

    def tick(s: Any, p: Any, t: Any) -> None:
        seen.append([getattr(s.seen, name) for name in names] + [p, t])
        for k, name in enumerate(outputs.split()):
            setattr(s, name, 100.0 * len(seen) + k)

    plain, h.step = h.step, tick
    try:
        h.follow([s], [p], ["tables"], ticks, out)
    finally:
        h.step = plain
    assert seen == [[*one, p, "tables"] for one in ticks.tolist()]
    assert np.array_equal(out, 100.0 * np.arange(1, 4)[:, None] + np.arange(8))


# --- the stage ----------------------------------------------------------------------------------------------------


def judge_told(twin: Any) -> None:
    """What the health estimators are told of the mean cell: currents with the bleed's, voltages as predicted."""
    d = Drive(stage=twin.step, as_record=as_object).start(0.5)
    rng = np.random.default_rng(6)
    d.s.pack.middle[:], d.s.pack.middle_at[:] = rng.uniform(0.2, 0.9, (2, *d.s.pack.middle.shape))[0], 0.0
    d.s.pack.middle_at[:] = rng.uniform(0.2, 0.9, d.s.pack.middle_at.shape)
    d.s.pack.soc, d.s.corrected_v = 0.47, 0.0123
    spy = spied(twin, "step")
    try:
        twin.step.judge_health(d.s, d.p, 0.25, 11.0, 13.0, 12.5, 0.031)
    finally:
        spy.undo()
    assert spy.calls == [(d.s.health, d.p.health, d.p.pack.cell)]
    m, r0 = d.s.pack.middle[:, 0], d.s.pack.middle_at[tables.R0, 0]
    aside = m[cells.ASIDE_A]
    check(d.s.health.seen, dt_s=0.25, flowed_a=11.0 + aside, now_a=13.0 + aside, degc=m[cells.DEGC], soc=0.47)
    check(d.s.health.seen, residual_v=0.031, polarisation_v=m[[cells.V1, cells.V2, cells.V3]].sum(), r0_ohm=r0)
    check(d.s.health.seen, ohmic_v=r0 * m[cells.GROWTH] * (12.5 + aside), corrected_v=0.0123)


def judge_when_told(twin: Any) -> None:
    """Told once a row that moved: time since the last one, currents as measured, NaN where one is not known."""
    d = Drive(stage=twin.step, as_record=as_object).start(0.5)
    d.s.filter.bias_a = 2.0
    spy = spied(twin, "judge_health", "step")
    try:
        for t_s, current in ((3.0, 20.0), (5.0, 10.0), (5.2, 9.0), (6.0, NAN), (7.0, 4.0), (8.0, 4.0)):
            d.tick(t_s, current, 3.2)
    finally:
        spy.undo()
    told = [given[2:7] for given in spy.calls]
    bias = d.s.filter.bias_a
    want = ((2.0, 20.0, 10.0), (0.8, 9.0, NAN), (1.0, NAN, 4.0), (1.0, 4.0, 4.0))
    assert [one[:3] for one in told] == [pytest.approx(w, nan_ok=True) for w in want]
    assert all(given[0] is d.s and given[1] is d.p for given in spy.calls)
    assert told[0][3] < 9.0
    assert told[1][3] == pytest.approx(9.0 - bias, abs=2.5), "the last current goes on"
    assert told[0][4] == told[0][4]
    assert math.isnan(told[1][4])


def judge_corrected(twin: Any) -> None:
    """What the filter added to the mean cell's voltage: the OCV's rise, less polarisation, and hysteresis; 0 else."""
    d = Drive(stage=twin.step, as_record=as_object).start(0.5)
    where = (33.5, 12.5)
    assert d.s.corrected_v == 0.0
    for k in range(3):
        d.tick(float(k), 20.0, NAN, where)
        assert d.s.corrected_v == 0.0
    k, t, plain = d.s.pack, d.p.pack.cell, twin.estimator.learn

    def told(*_: Any) -> None:
        d.s.filter.change[:] = (-0.07, 0.001, 0.002, 0.004, -0.3, 9.0, 8.0, 7.0)

    twin.estimator.learn = told
    try:
        before = k.soc
        twin.step.learn(d.s, d.p, 15.0, 0.0)
    finally:
        twin.estimator.learn = plain
    place = (float(k.middle[cells.DEGC, 0]) + 40.0) / 2.5
    soc, volts = extended(t, int(place), place - int(place))
    rise = np.interp(before - 0.07, soc, volts) - np.interp(before, soc, volts)
    assert d.s.corrected_v == pytest.approx(rise - 0.007 - 0.3 * k.middle_at[tables.M, 0], abs=1e-9)
    d.tick(3.0, NAN, 3.2, where)
    assert d.s.corrected_v == 0.0


def judge_written(twin: Any) -> None:
    """Eight numbers to their columns, every row; a run starts with the pack's nominal capacity."""
    d = Drive(stage=twin.step, as_record=as_object).start(0.5)
    check(np.asarray(d.states)[0]["health"], capacity_ah=20.0, capacity_sigma_ah=2.0, soh_capacity=1.0)
    assert d.p.health.nominal_c == 72000.0
    names = "capacity capacity_sigma soh_capacity soh_capacity_sigma resistance resistance_sigma resistance_growth "
    names = (names + "resistance_growth_sigma").split()
    fields = [n.replace("capacity", "capacity_ah", 1) if n == "capacity" else n for n in names]
    fields[1], fields[4], fields[5] = "capacity_sigma_ah", "resistance_ohm", "resistance_sigma_ohm"
    d.tick(0.0, 5.0, 3.2)
    assert d.columns("twin.capacity")[0] == 20.0
    h = SimpleNamespace(**{field: 10.0 + k for k, field in enumerate(fields)})
    d.row[:] = NAN
    twin.step.write_health(h, d.p, d.row)
    assert [float(d.columns(f"twin.{name}")[0]) for name in names] == [10.0 + k for k in range(8)]
    assert np.isfinite(d.row).sum() == 8


JUDGES = (
    judge_capacity_numbers,
    judge_resistance_numbers,
    judge_health_numbers,
    judge_place,
    judge_charge,
    judge_pair,
    judge_anchor,
    judge_soc_of_rest,
    judge_tick,
    judge_end_of_rest,
    judge_rest,
    judge_follow,
    judge_steps_of_current,
    judge_ocv,
    judge_span_ends,
    judge_pairs_taken,
    judge_growth,
    judge_told,
    judge_written,
    judge_corrected,
    judge_when_told,
    judge_least_cost,
    judge_track,
    judge_lines,
    judge_span,
)
