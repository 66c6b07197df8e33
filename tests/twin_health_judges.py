"""Judges of the twin's state of health: what a tick makes of a rest, anchors and pairs.

Each takes the copies of ``health``, healthy or mutated, as plain Python, and raises where a law is broken. The
table read backwards is held against a fine grid.
"""

import math
from typing import Any

import numpy as np
import pytest
from twin_judge_rig import check, extended, made, spied, table_of

from hil.campaign.mutate.plain import as_object
from hil.kernel import zeros

NAN = math.nan
AH = 5.0


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


JUDGES = (
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
    judge_ocv,
    judge_span_ends,
    judge_span,
)
