"""Requirements as automata: constant work per tick and instance, whatever the length of the windows.

Nothing here depends on anything but (t_ns, row, params, own state), so the same code judges online and a recording.

Obligations of ``when/then`` that are pending at the same time need no queue: they end together when the reaction comes,
and the oldest has the earliest deadline and the longest delay, so it decides for all. One hold window (``stays``) can
follow, for a trigger that comes while the reaction stands is not exercised.
"""

from enum import IntEnum
from typing import Annotated

import numpy as np

from hil.checks.program import Entry, Program, Stack, evaluate
from hil.kernel import F64, I32, I64, Floats, Ints, Ints32, Rows, kernel

CHECKS = 128
WATCHES = 2048
DTC_CAPACITY = 64


class Kind(IntEnum):
    """Form of a check."""

    RESPONSE = 0
    NEVER = 1
    ALWAYS = 2
    SHARE = 3


class Phase(IntEnum):
    """Where a response stands."""

    IDLE = 0
    PENDING = 1
    HOLD = 2


class Outcome(IntEnum):
    """How an obligation ended; the worst one is kept."""

    NONE = 0
    PASS = 1
    INCONCLUSIVE = 2
    FAIL = 3


class Cause(IntEnum):
    """Why an obligation ended so."""

    NONE = 0
    LATE = 1  # the reaction came after the deadline
    MISSING = 2  # known not to stand at the deadline
    UNKNOWN = 3  # unknown at the deadline
    DROPPED = 4  # did not hold for ``stays``
    DROPPED_UNKNOWN = 5  # became unknown while it had to hold
    TROUBLE = 6  # the bench overran or lost frames in the window
    UNSURE_TRIGGER = 7  # within its uncertainty the trigger may not have fired
    UNSURE_TIME = 8  # the delay meets the limit within its uncertainty only
    UNSURE_HOLD = 9  # within its uncertainty the reaction may not have held


_RESPONSE, _NEVER, _ALWAYS, _SHARE = 0, 1, 2, 3
_IDLE, _PENDING, _HOLD = 0, 1, 2
_PASS, _INCONCLUSIVE, _FAIL = 1, 2, 3


class Check:
    """One check; its instances are ``count`` watches from ``base``.

    RESPONSE: ``a`` is when, ``b`` is then. NEVER: ``a`` must not hold while ``b`` (empty = always). Else ``a`` must hold.
    """

    kind: I32
    base: I32
    instances: I32
    a_start: I32
    a_stop: I32
    a_each: I32  # 1: differs between instances
    b_start: I32
    b_stop: I32
    b_each: I32
    spare: I32
    within_s: F64
    stays_s: F64
    grace_s: F64  # largest time uncertainty of the reaction: how long after the deadline it may still be seen


class CheckParams:
    """All checks of a run."""

    n_checks: I64
    n_watches: I64
    check: Annotated[Rows[Check], CHECKS]
    program: Program
    from_scenario: I64  # 1: judge only once time.scenario is known
    lost_column: I64  # frames the bench lost since the run began, -1 = it cannot lose any
    overrun_s: F64  # a lateness above this is trouble; infinite = recorded only
    resolution_s: F64  # two times nearer than this are equal
    zero_current_a: F64  # below this the current counts as interrupted
    error_state: F64  # label of ERROR
    n_dtc: I64
    dtc: Annotated[Ints, DTC_CAPACITY]  # columns of reported.dtc_*
    dtc_t: Annotated[Ints, DTC_CAPACITY]
    col_time_scenario: I64
    col_time_lateness: I64
    col_reported_state: I64
    tcol_reported_state: I64
    col_measured_coil_main_plus: I64
    tcol_measured_coil_main_plus: I64
    col_measured_coil_main_minus: I64
    tcol_measured_coil_main_minus: I64
    col_measured_contactor_main: I64
    tcol_measured_contactor_main: I64
    col_measured_pack_current: I64


class Watch:
    """One instance of one check. Times are seconds of the run; -1 and NaN are unknown."""

    when_last: I32  # last known value of the trigger
    phase: I32
    possible_last: I32  # 1: the trigger was possible in the last row
    outcome: I32  # worst so far
    cause: I32
    window_trouble: I32
    unsure: I32
    then_last: I32
    then_rose: I32  # 1: the reaction was seen to rise, 0: it stood when first known
    stood: I32  # 1: the trigger already stood when judging began
    possible_since_s: F64
    then_since_s: F64
    t0_low_s: F64  # earliest and latest instant of the oldest pending trigger
    t0_high_s: F64
    t0_u_s: F64
    possible_s: F64  # earliest instant of the reaction
    react_s: F64
    until_s: F64
    margin: F64
    decided_s: F64
    worst_s: F64  # when the smallest distance was seen
    standing_s: F64  # first trigger that found the reaction standing
    standing_since_s: F64
    standing_dtc: I64  # bits in the order of CheckParams.dtc
    n_edges: I64
    n_standing: I64
    n_passed: I64
    n_samples: I64
    n_known: I64
    n_sure: I64
    n_possible: I64
    open_t_s: Annotated[Floats, 4]  # t0..t3 of the open or last obligation
    kept_t_s: Annotated[Floats, 4]  # t0..t3 of the worst one


class CheckState:
    """Everything the checks remember."""

    judging: I64
    rows: I64  # judged so far
    n_open: I64
    trouble: I64
    lost_last: F64
    t_last_s: F64
    origin_s: F64  # run time of scenario time 0
    error_last: I64
    coils_last: I64
    open_last: I64
    flow_last: I64
    dtc_last: Annotated[Ints32, DTC_CAPACITY]
    event_s: Annotated[Floats, 3]  # last t1, t2, t3 event
    now_s: Annotated[Floats, 3]  # those of this row
    stack: Stack
    watch: Annotated[Rows[Watch], WATCHES]


@kernel
def start(s: CheckState) -> None:
    """Forget everything; before the first row."""
    s.judging, s.rows, s.n_open, s.trouble = 0, 0, 0, 0
    s.lost_last, s.t_last_s, s.origin_s = np.nan, -np.inf, np.nan
    s.error_last, s.coils_last, s.open_last, s.flow_last = -1, -1, -1, -1
    for i in range(DTC_CAPACITY):
        s.dtc_last[i] = -1
    for i in range(3):
        s.event_s[i], s.now_s[i] = np.nan, np.nan
    for i in range(WATCHES):
        w = s.watch[i]
        w.when_last, w.phase, w.possible_last, w.outcome, w.cause = -1, 0, 0, 0, 0
        w.window_trouble, w.unsure, w.then_last, w.then_rose, w.stood = 0, 0, -1, 0, 0
        w.possible_since_s, w.then_since_s, w.t0_low_s, w.t0_high_s = np.nan, np.nan, np.nan, np.nan
        w.t0_u_s, w.possible_s, w.react_s, w.until_s, w.margin = 0.0, np.nan, np.nan, np.nan, np.inf
        w.decided_s, w.worst_s, w.standing_s, w.standing_since_s = np.nan, np.nan, np.nan, np.nan
        w.standing_dtc, w.n_edges, w.n_standing, w.n_passed = 0, 0, 0, 0
        w.n_samples, w.n_known, w.n_sure, w.n_possible = 0, 0, 0, 0
        for j in range(4):
            w.open_t_s[j], w.kept_t_s[j] = np.nan, np.nan


@kernel
def step(s: CheckState, p: CheckParams, t_ns: int, row: Floats) -> int:
    """Judge one finished row; how many obligations (or first violations) were decided by it."""
    t = t_ns * 1e-9
    first = _begin(s, p, t, row)
    done = 0
    for i in range(p.n_checks):
        c = p.check[i]
        if c.kind == _RESPONSE:
            done += _responses(s, p, c, t, row, first)
        elif s.judging == 1:
            done += _samples(s, p, c, t, row)
    _milestones(s, p, t, row)
    s.t_last_s = t
    return done


@kernel
def decided(s: CheckState) -> bool:
    """True when no obligation is open: a run may end."""
    return s.n_open == 0


@kernel
def _begin(s: CheckState, p: CheckParams, t: float, row: Floats) -> bool:
    """Judging on or not, trouble of this row; True in the first judged row."""
    was = s.judging
    if was == 0 and (p.from_scenario == 0 or not np.isnan(row[p.col_time_scenario])):
        s.judging = 1
        s.origin_s = t - row[p.col_time_scenario] if p.from_scenario == 1 else 0.0
    s.trouble = 1 if row[p.col_time_lateness] > p.overrun_s else 0
    if p.lost_column >= 0:
        lost = row[p.lost_column]
        if lost > s.lost_last:
            s.trouble = 1
        s.lost_last = lost
    s.rows += s.judging
    return was == 0 and s.judging == 1


@kernel
def _responses(s: CheckState, p: CheckParams, c: Check, t: float, row: Floats, first: bool) -> int:
    done = 0
    when = evaluate(p.program, s.stack, c.a_start, c.a_stop, 0, t, row)
    then = evaluate(p.program, s.stack, c.b_start, c.b_stop, 0, t, row)
    for i in range(c.instances):
        w = s.watch[c.base + i]
        if i > 0 and c.a_each == 1:
            when = evaluate(p.program, s.stack, c.a_start, c.a_stop, i, t, row)
        if i > 0 and c.b_each == 1:
            then = evaluate(p.program, s.stack, c.b_start, c.b_stop, i, t, row)
        if i == 0 or c.b_each == 1:
            _follow(w, then)
        if when[0] == 0.0 and when[2] == 0.0 and w.when_last == 0 and w.phase == _IDLE and w.possible_last == 0:
            continue
        known = s.watch[c.base + i * c.b_each]
        if first and w.when_last == 1:
            w.stood = 1
        rose = when[0] == 1.0 and w.when_last != 1
        _possible(s, w, when)
        if when[0] == when[0]:
            w.when_last = int(when[0])
        if s.judging == 0:
            continue
        fresh = rose and _triggered(s, p, w, known, when, then, row)
        if w.phase != _IDLE:
            w.window_trouble |= s.trouble
        if w.phase == _PENDING:
            done += _pending(s, p, c, w, known, t, when, then, fresh)
        if w.phase == _HOLD:
            done += _holding(s, p, w, t, then)
    return done


@kernel
def _follow(w: Watch, then: Entry) -> None:
    """Since when the reaction stands; an unknown sample breaks it."""
    if then[0] == 1.0:
        if w.then_last != 1:
            w.then_rose = 1 if w.then_last == 0 else 0
            w.then_since_s = then[3]
        w.then_last = 1
    else:
        w.then_last = 0 if then[0] == 0.0 else -1


@kernel
def _possible(s: CheckState, w: Watch, when: Entry) -> None:
    """Since when the trigger may have stood within its uncertainty."""
    now = 1 if when[2] == 1.0 and when[0] == when[0] else 0
    if now == 1 and w.possible_last == 0:
        w.possible_since_s = (when[3] if when[0] == 1.0 else max(when[3], s.t_last_s)) - when[4]
    w.possible_last = now


@kernel
def _triggered(
    s: CheckState, p: CheckParams, w: Watch, known: Watch, when: Entry, then: Entry, row: Floats
) -> bool:
    """Take one trigger; True when it opened an obligation."""
    w.n_edges += 1
    t0 = when[3]
    if then[0] == 1.0 and not (known.then_rose == 1 and known.then_since_s >= t0):
        _standing(p, w, known, t0, row)
        return False
    if w.phase != _IDLE:
        return False
    w.phase, w.window_trouble, w.unsure = _PENDING, 0, 0
    w.t0_low_s = min(t0 - when[4], w.possible_since_s)
    w.t0_high_s, w.t0_u_s = np.inf, when[4]
    w.possible_s, w.react_s = np.nan, np.nan
    w.open_t_s[0] = t0
    for i in range(3):
        w.open_t_s[i + 1] = s.event_s[i] if s.event_s[i] >= t0 else np.nan
    s.n_open += 1
    return True


@kernel
def _standing(p: CheckParams, w: Watch, known: Watch, t0: float, row: Floats) -> None:
    """A trigger that found the reaction standing; the first is remembered with the codes active then."""
    w.n_standing += 1
    if w.n_standing > 1:
        return
    w.standing_s, w.standing_since_s = t0, known.then_since_s
    for i in range(p.n_dtc):
        if row[p.dtc[i]] == 1.0:
            w.standing_dtc |= 1 << i


@kernel
def _pending(
    s: CheckState, p: CheckParams, c: Check, w: Watch, known: Watch, t: float, when: Entry, then: Entry, fresh: bool
) -> int:
    t0 = w.open_t_s[0]
    if when[1] == 1.0 and w.t0_high_s == np.inf:
        w.t0_high_s = (t0 if fresh else max(when[3], s.t_last_s)) + when[4]
    if then[2] == 1.0 and then[0] == then[0] and np.isnan(w.possible_s):
        w.possible_s = (known.then_since_s if then[0] == 1.0 else max(then[3], s.t_last_s)) - then[4]
    if then[0] == 1.0 and np.isnan(w.react_s):
        w.react_s = known.then_since_s
        if w.react_s < t0 - p.resolution_s:  # it had stood before the trigger and was only unknown for a while
            w.phase = _IDLE
            w.n_standing += 1
            s.n_open -= 1
            return 0
    best = w.possible_s - w.t0_high_s  # NaN without any reaction, -inf without a sure trigger
    possibly = best <= c.within_s + p.resolution_s
    if then[1] == 1.0:
        sure = known.then_since_s if fresh or w.react_s == known.then_since_s == then[3] else max(then[3], s.t_last_s)
        if sure + then[4] - w.t0_low_s <= c.within_s + p.resolution_s:
            w.phase, w.until_s = _HOLD, w.react_s + c.stays_s
            return 0
        if possibly:
            return _close(s, w, _INCONCLUSIVE, 8, c.within_s, t)
        return _close(s, w, _FAIL, 1, c.within_s, t)
    latest = t0 + w.t0_u_s if w.t0_high_s == np.inf else w.t0_high_s
    if t <= latest + c.within_s + c.grace_s + p.resolution_s:
        return 0
    if possibly:
        return _close(s, w, _INCONCLUSIVE, 8, c.within_s, t)
    if w.t0_high_s == np.inf:
        return _close(s, w, _INCONCLUSIVE, 7, c.within_s, t)
    return _close(s, w, _FAIL, 2 if then[0] == then[0] else 3, c.within_s, t)


@kernel
def _holding(s: CheckState, p: CheckParams, w: Watch, t: float, then: Entry) -> int:
    within = w.margin_limit_s
    if then[0] != 1.0:
        fell = then[3] if then[0] == 0.0 else t
        if fell < w.until_s - p.resolution_s:
            if then[0] != then[0]:
                return _close(s, w, _FAIL, 5, within, t)
            if then[2] == 0.0:
                return _close(s, w, _FAIL, 4, within, t)
            w.unsure = 1
    elif then[1] == 0.0 and t < w.until_s - p.resolution_s:
        w.unsure = 1
    if t < w.until_s - p.resolution_s:
        return 0
    if w.unsure == 1:
        return _close(s, w, _INCONCLUSIVE, 9, within, t)
    return _close(s, w, _PASS, 0, within, t)
