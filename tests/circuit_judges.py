"""Judges of the plant's high-voltage circuit: Kirchhoff, Joule and one capacitor, derived a second time.

Each takes the copies (``circuit``), healthy or mutated, as plain Python, and raises where a law is broken. Cheapest first.
"""

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import plant_rig

PLUS, MINUS, PRECHARGE = 0, 1, 2
SOURCE_OHM = 0.05
ALL_POLES = tuple(itertools.product((0, 1), repeat=3))
MAINS = ((1, 1, 0), (1, 1, 1))
INF = math.inf


def params(**changes: float) -> SimpleNamespace:
    """A circuit in which everything is there and nothing is small."""
    made = {
        "wiring_ohm": 0.02, "fuse_ohm": 0.003, "contact_ohm": 0.007, "precharge_ohm": 40.0, "link_f": 1e-3,
        "link_s": 1.0 / 500.0, "active_s": 1.0 / 70.0, "standing_w": 0.0, "fusing_a2": 500.0**2, "fuse_s": 0.2,
    }  # fmt: skip
    return SimpleNamespace(**{**made, **changes})


def state(copies: Any, **changes: float) -> SimpleNamespace:
    s = SimpleNamespace()
    copies.circuit.begin(s)
    for name, value in changes.items():
        setattr(s, name, value)
    return s


def close(got: float, want: float, tolerance: float = 1e-9) -> bool:
    """Relative, absolute below one; not a number only if it is wanted."""
    if not math.isfinite(want):
        return got == want or (math.isnan(want) and math.isnan(got))
    return abs(got - want) <= tolerance * max(1.0, abs(want))


def path_by_hand(p: Any, pole: tuple[int, ...], blown: int) -> float:
    """Conductances of the two upper branches added up, the rest in series."""
    upper_s = pole[PLUS] / p.contact_ohm + pole[PRECHARGE] / (p.contact_ohm + p.precharge_ohm)
    if blown or not pole[MINUS] or upper_s == 0.0:
        return INF
    return SOURCE_OHM + p.wiring_ohm + p.fuse_ohm + p.contact_ohm + 1.0 / upper_s


def across_by_hand(p: Any, pole: tuple[int, ...]) -> float:
    """The active discharge works with both mains open."""
    return p.link_s + p.active_s * (pole[PLUS] + pole[MINUS] == 0)


def judge_begin(copies: Any) -> None:
    """Discharged, whole, cold, no energies; the nodes behind the mains float."""
    s = vars(state(copies))
    assert all(math.isnan(s.pop(f"behind_{side}_v")) for side in ("plus", "minus"))
    assert len(s) == 13
    assert set(s.values()) == {0.0}


def judge_path(copies: Any) -> None:
    """Path, conductance across the link and what counts as direct, for every way the poles and the fuse can stand."""
    p = params()
    for pole in ALL_POLES:
        assert close(copies.circuit.link_s(p, pole), across_by_hand(p, pole))
        for blown in (0, 1):
            s = state(copies, blown=blown)
            assert close(copies.circuit.path_ohm(s, p, pole, SOURCE_OHM), path_by_hand(p, pole, blown), 1e-14)
            assert copies.circuit.direct(s, pole) == (pole[:2] == (1, 1) and not blown)


def judge_power(copies: Any) -> None:
    """The smaller root of R i^2 - E i + P, or the current of the greatest power; negative power feeds in."""
    for volt, ohm, watt in itertools.product((3.0, 13.2, 400.0), (0.01, 0.5, 2.0), (-50.0, 1.0, 4.4, 500.0, 1e6)):
        roots = np.roots([ohm, -volt, watt])
        want = float(roots.real.min()) if abs(roots.imag).max() == 0.0 else volt / (2.0 * ohm)
        assert close(copies.circuit.power_current(volt, ohm, watt), want)
    assert copies.circuit.power_current(13.2, 0.5, 0.0) == 0.0
    assert copies.circuit.power_current(0.0, 0.5, 10.0) == 0.0
    assert copies.circuit.power_current(0.0, 0.5, -10.0) == 0.0
    assert copies.circuit.power_current(-1.0, 0.5, 10.0) == 0.0
    assert copies.circuit.power_current(0.5, 0.5, 1e-3) > 0.0


def judge_load(copies: Any) -> None:
    """Behind both mains the load takes its current and its power; never more than drags the link to nothing."""
    source = 13.2
    for pole, standing, load in itertools.product(ALL_POLES, (0.0, 20.0), (0.0, 15.0, -9.0, 1e5)):
        p, s = params(standing_w=standing), state(copies, load_a=load)
        path = path_by_hand(p, pole, 0)
        drawn = copies.circuit.load_current(s, p, pole, source, path)
        if pole not in MAINS:
            assert drawn == 0.0
            continue
        link = (source - path * drawn) / (1.0 + path * across_by_hand(p, pole))
        if load > 1e4:
            assert close(drawn, source / path)
        else:
            assert close((drawn - load) * link, standing)


def judge_settled(copies: Any) -> None:
    """What the stack gives is what the load and the leak across the link take; else the capacitor decides."""
    source = 13.2
    for pole, blown, standing in itertools.product(ALL_POLES, (0, 1), (0.0, 20.0)):
        p, s = params(standing_w=standing), state(copies, blown=blown, link_v=9.0, load_a=15.0)
        path = path_by_hand(p, pole, blown)
        current, link = copies.circuit.settled(s, p, pole, source, SOURCE_OHM)
        if pole in MAINS and not blown:
            assert close(source - path * current, link)
            assert close(current, link * p.link_s + 15.0 + standing / link)
        else:
            assert link == 9.0
            assert close(current, (source - 9.0) / path)


def judge_closing(copies: Any) -> None:
    """The peak of an inrush is the difference over the path, either way; the highest is kept, and all are counted."""
    p = params()
    s = state(copies, link_v=3.0)
    path = path_by_hand(p, MAINS[0], 0)
    for n, (link, want) in enumerate(((12.0, 1.2), (16.2, 3.0), (13.0, 3.0)), 1):
        s.link_v = link
        copies.circuit.closing(s, p, MAINS[0], 13.2, SOURCE_OHM)
        assert s.inrushes == n
        assert close(s.inrush_a, want / path)
    for pole in set(ALL_POLES) - set(MAINS):
        copies.circuit.closing(s, p, pole, 100.0, SOURCE_OHM)
    assert s.inrushes == 3


def judge_fuse(copies: Any) -> None:
    """x' = (i^2 - x) / T reaches what melts at the time given; below it never, above it at once."""
    p = params()
    for mean_a2, before in itertools.product((1.01 * p.fusing_a2, 4.0 * p.fusing_a2), (0.0, 0.5 * p.fusing_a2)):
        at = copies.circuit.fuse_time(state(copies, fuse_a2=before), p, mean_a2, 0.01)
        assert close(mean_a2 + (before - mean_a2) * math.exp(-at / p.fuse_s), p.fusing_a2)
    for mean_a2, before, want in (
        (0.99 * p.fusing_a2, 0.9 * p.fusing_a2, 0.01),
        (p.fusing_a2, 0.0, 0.01),
        (0.0, 1.01 * p.fusing_a2, 0.0),
        (0.0, p.fusing_a2, 0.0),
        (4.0 * p.fusing_a2, p.fusing_a2, 0.0),
        (4.0 * p.fusing_a2, 1.5 * p.fusing_a2, 0.0),
    ):
        assert copies.circuit.fuse_time(state(copies, fuse_a2=before), p, mean_a2, 0.01) == want


def judge_alone(copies: Any) -> None:
    """Cut off, the link falls with its time constant, what it loses is booked, and the fuse cools."""
    p = params()
    for pole in ((0, 0, 0), (1, 0, 0), (0, 1, 0)):
        s = state(copies, link_v=12.0, link_j=0.5, mean_a=3.0, mean_a2=9.0, fuse_a2=100.0, path_j=2.0, source_j=4.0)
        assert copies.circuit.advance(s, p, pole, 13.2, SOURCE_OHM, 0.03) == 0.03
        left = math.exp(-0.03 * across_by_hand(p, pole) / p.link_f)
        assert close(s.link_v, 12.0 * left)
        assert close(s.link_j, 0.5 + 0.5 * p.link_f * 144.0 * (1.0 - left**2), 1e-12)
        assert (s.mean_a, s.mean_a2, s.blown, s.path_j, s.source_j) == (0.0, 0.0, 0, 2.0, 4.0)
        assert close(s.fuse_a2, 100.0 * math.exp(-0.03 / p.fuse_s))


def integrated(p: Any, pole: tuple[int, ...], source: float, drawn: float, link: float, dt_s: float) -> SimpleNamespace:
    """The link and everything that is booked, by Runge and Kutta in small steps."""
    path, across = path_by_hand(p, pole, 0), across_by_hand(p, pole)
    upper = path - SOURCE_OHM - p.wiring_ohm - p.fuse_ohm - p.contact_ohm
    branch = (upper / (p.precharge_ohm + p.contact_ohm)) ** 2 * p.precharge_ohm * pole[PRECHARGE]

    def rates(x: np.ndarray) -> np.ndarray:
        v = x[0]
        i = (source - v) / path
        return np.array([(i - across * v - drawn) / p.link_f, i, i * i, across * v * v, drawn * v])

    x, h = np.array([link, 0.0, 0.0, 0.0, 0.0]), dt_s / 400
    for _ in range(400):
        k1 = rates(x)
        k2 = rates(x + 0.5 * h * k1)
        k3 = rates(x + 0.5 * h * k2)
        x = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + rates(x + h * k3))
    return SimpleNamespace(
        link_v=x[0], mean_a=x[1] / dt_s, mean_a2=x[2] / dt_s, source_j=source * x[1],
        path_j=(path - branch) * x[2], precharge_j=branch * x[2], link_j=x[3], load_j=x[4],
    )  # fmt: skip


def judge_charge(copies: Any) -> None:
    """Voltage, charge, losses and the balance of energy against small steps, and the balance to rounding."""
    source, booked = 13.2, ("source_j", "path_j", "precharge_j", "link_j", "load_j")
    for pole, load, standing, dt_s in (
        ((0, 1, 1), 0.0, 0.0, 0.02),
        ((1, 1, 0), 25.0, 0.0, 2e-4),
        ((1, 1, 1), -12.0, 30.0, 1e-4),
    ):
        p = params(standing_w=standing)
        s = state(copies, link_v=4.0, load_a=load, fuse_a2=50.0, **dict.fromkeys(booked, 1.0))
        drawn = copies.circuit.load_current(s, p, pole, source, path_by_hand(p, pole, 0))
        want = integrated(p, pole, source, drawn, 4.0, dt_s)
        assert copies.circuit.advance(s, p, pole, source, SOURCE_OHM, dt_s) == dt_s
        assert s.blown == 0
        assert s.precharge_j > 1.0 if pole[PRECHARGE] else s.precharge_j == 1.0
        for name, value in vars(want).items():
            assert close(getattr(s, name) - (name in booked), value, 1e-6), name
        stored = 0.5 * p.link_f * (s.link_v**2 - 16.0)
        given, *taken = (getattr(s, name) - 1.0 for name in booked)
        assert abs(given - sum(taken) - stored) < 1e-12 * max(1.0, given)
        assert close(s.fuse_a2, s.mean_a2 + (50.0 - s.mean_a2) * math.exp(-dt_s / p.fuse_s))


def judge_fusing(copies: Any) -> None:
    """What the fuse is judged by: the mean square against small steps; and which currents can melt it at all."""
    for pole, drawn, dt_s in (((0, 1, 1), 0.0, 0.02), ((1, 1, 0), 25.0, 1e-4), ((1, 1, 0), -70.0, 3e-4)):
        p, s = params(), state(copies, link_v=4.0)
        path, across = path_by_hand(p, pole, 0), across_by_hand(p, pole)
        got = copies.circuit._mean_a2(s, p, path, across, 13.2, drawn, dt_s)
        assert close(got, integrated(p, pole, 13.2, drawn, 4.0, dt_s).mean_a2, 1e-6)
    p = params(link_s=0.01)
    path = path_by_hand(p, MAINS[0], 0)
    for first, settled, before, wanted in (
        (499.9, 499.9, 0.0, False),
        (500.1, 0.0, 0.0, True),
        (-500.1, 0.0, 0.0, True),
        (0.0, 500.1, 0.0, True),
        (0.0, -500.1, 0.0, True),
        (0.0, -499.9, 0.0, False),
        (1.0, 1.0, p.fusing_a2, True),
        (1.0, 1.0, 0.999 * p.fusing_a2, False),
    ):
        s = state(copies, link_v=300.0 - path * first, fuse_a2=before)
        drawn = settled - 0.01 * (300.0 - path * settled)
        assert copies.circuit._may_melt(s, p, path, 0.01, 300.0, drawn) == wanted


def judge_melting(copies: Any) -> None:
    """A current that melts the fuse within the step ends it there; the fuse then stands at what melts it."""
    p, dt_s = params(), 0.5
    for load in (700.0, -700.0):
        source = 200.0
        s = state(copies, load_a=load, link_v=source - load * path_by_hand(p, MAINS[0], 0))
        done = copies.circuit.advance(s, p, MAINS[0], source, SOURCE_OHM, dt_s)
        assert s.blown == 1
        assert 0.1 < done < 0.4
        assert abs(done + p.fuse_s * math.log(1.0 - p.fusing_a2 / load**2)) < 0.01
        assert close(s.fuse_a2, p.fusing_a2, 1e-2)
        early = state(copies, load_a=load, link_v=source - load * path_by_hand(p, MAINS[0], 0))
        assert copies.circuit.advance(early, p, MAINS[0], source, SOURCE_OHM, 0.01) == 0.01
        assert early.blown == 0
        assert close(early.mean_a, load, 1e-2)
        assert close(early.source_j, 0.01 * source * early.mean_a)
    at_once = state(copies, fuse_a2=p.fusing_a2, load_a=1.0, link_v=13.2)
    assert copies.circuit.advance(at_once, p, MAINS[0], 13.2, SOURCE_OHM, dt_s) == 1e-9
    assert at_once.blown == 1
    rushing = state(copies, link_v=200.0)  # the link alone drives it, and it is over in a moment
    assert copies.circuit.advance(rushing, p, MAINS[0], 13.2, SOURCE_OHM, dt_s) == dt_s
    assert rushing.blown == 0


def judge_nodes(copies: Any) -> None:
    """What can be measured behind fuse and mains, for every way the poles stand, with the fuse whole and blown."""
    p, pack, amps, link = params(), 13.2, 20.0, 11.0
    for pole, blown in itertools.product(ALL_POLES, (0, 1)):
        s = state(copies, blown=blown, behind_plus_v=1.0, behind_minus_v=1.0)
        upper, lower = pole[PLUS] + pole[PRECHARGE] > 0, pole[MINUS] == 1
        fused = copies.circuit.nodes(s, p, pole, pack, amps, link)
        assert close(fused, (link if upper and lower else 0.0) if blown else pack - 0.003 * amps)
        minus = 0.007 * amps if lower else fused - link if upper else math.nan
        assert close(s.behind_minus_v, minus)
        assert close(s.behind_plus_v, minus + link)


def judge_file(copies: Any) -> None:
    """The params from a pack file, what is not there being no conductance."""
    record = SimpleNamespace()
    copies.circuit.fill(record, plant_rig.model())
    want = (1e-3, 0.3e-3, 0.2e-3, 100.0, 1e-3, 1 / 50e3, 0.0, 0.0, 560.0**2, 60000.0 / 560.0**2)
    assert all(close(got, x, 1e-14) for got, x in zip(vars(record).values(), want, strict=True))
    more = {"standing_load": "2 kohm", "active_discharge": "70 ohm", "standing_power": "30 W"}
    copies.circuit.fill(record, plant_rig.model(hv=more))
    assert close(record.link_s, 1 / 50e3 + 1 / 2e3, 1e-14)
    assert close(record.active_s, 1 / 70.0, 1e-14)
    assert record.standing_w == 30.0


JUDGES: tuple[Callable[[Any], None], ...] = (
    judge_begin,
    judge_path,
    judge_power,
    judge_load,
    judge_settled,
    judge_closing,
    judge_fuse,
    judge_alone,
    judge_nodes,
    judge_fusing,
    judge_melting,
    judge_charge,
    judge_file,
)
