"""Judges of what the stage tells the health estimators, when, and what it writes of them.

Each takes the copies of ``step`` and ``health``, healthy or mutated, as plain Python, and raises where a law is broken.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from twin_judge_rig import check, extended, spied
from twin_rig import Drive

from hil.campaign.mutate.plain import as_object
from hil.twin import cells, tables

NAN = math.nan


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
    judge_told,
    judge_written,
    judge_corrected,
    judge_when_told,
)
