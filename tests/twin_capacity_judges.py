"""Judges of capacity and resistance: total least squares against polynomials and their roots, least squares against sums.

Each takes the copies of ``capacity`` and ``resistance``, healthy or mutated, as plain Python, and raises where a law is broken.
"""

import math
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from twin_judge_rig import check, made

from hil.campaign.mutate.plain import as_object

NAN = math.nan
AH = 5.0


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


def judge_least_near(twin: Any) -> None:
    """Of two lows the one on the side of the start, and no stop half-way where a step only turns the sign."""
    two, third = [0.0, -0.3, 0.1, 1.0], 0.95 / 3.0
    for sums, start, least in (
        (two, 0.05, -0.42660956),
        (two, 0.4, -0.42660956),
        (two, 1.2, 0.35160956),
        (two, 1.3, 0.35160956),
        ([0.42, 0.4, -2.0 / 3.0, 0.0], 1.0 + third, -0.3),
    ):
        s, _ = lines(twin)
        s.sums[:], s.soh = sums, start
        twin.capacity.descend(s)
        assert s.soh - 1.0 == pytest.approx(least, abs=1e-6)
        a1, a2, a3, a4 = sums
        v = s.soh - 1.0
        assert abs(a1 + 2.0 * a2 * v + 3.0 * a3 * v**2 + 4.0 * a4 * v**3) < 5e-14


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


JUDGES = (
    judge_capacity_numbers,
    judge_resistance_numbers,
    judge_steps_of_current,
    judge_pairs_taken,
    judge_growth,
    judge_least_cost,
    judge_least_near,
    judge_track,
    judge_lines,
)
