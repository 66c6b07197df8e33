"""Requirements as automata: constant work per tick and instance, whatever the length of the windows.

Nothing here depends on anything but (t_ns, row, params, own state), so the same code judges online and a recording.

Obligations of ``when/then`` that are pending at the same time need no queue: they end together when the reaction comes,
and the oldest has the earliest deadline and the longest delay, so it decides for all. One hold window (``stays``) can
follow, for a trigger that comes while the reaction stands is not exercised.
"""

import numpy as np

from hil.checks.milestones import milestones
from hil.checks.program import Entry, evaluate
from hil.checks.watch import Check, CheckParams, CheckState, Watch, start
from hil.kernel import Floats, kernel

__all__ = ["decided", "start", "step"]

_RESPONSE, _NEVER, _ALWAYS, _SHARE = 0, 1, 2, 3
_IDLE, _PENDING, _HOLD = 0, 1, 2
_PASS, _INCONCLUSIVE, _FAIL = 1, 2, 3
_LATE, _MISSING, _UNKNOWN, _DROPPED, _DROPPED_UNKNOWN = 1, 2, 3, 4, 5
_TROUBLE, _UNSURE_TRIGGER, _UNSURE_TIME, _UNSURE_HOLD = 6, 7, 8, 9


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
    milestones(s, p, t, row)
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
    lost = row[p.col_time_frames_lost]
    if lost > s.lost_last:
        s.trouble = 1
    if lost == lost:
        s.lost_last = lost
    s.rows += s.judging
    return was == 0 and s.judging == 1


@kernel
def _responses(s: CheckState, p: CheckParams, c: Check, t: float, row: Floats, first: bool) -> int:
    done = 0
    when = (np.nan, 0.0, 1.0, t, 0.0, np.nan)
    then = when
    for i in range(c.instances):
        w = s.watch[c.first + i]
        if i == 0 or c.a_each == 1:
            when = evaluate(p.program, s.stack, c.a_start, c.a_stop, i, t, row)
        if i == 0 or c.b_each == 1:
            then = evaluate(p.program, s.stack, c.b_start, c.b_stop, i, t, row)
            _follow(w, then)
        if when[0] == 0.0 and when[2] == 0.0 and w.when_last == 0 and w.phase == _IDLE and w.possible_last == 0:
            continue
        known = s.watch[c.first + i * c.b_each]
        if first and w.when_last == 1:
            w.stood = 1
        rose = when[0] == 1.0 and w.when_last != 1
        _possible(s, w, when)
        if when[0] == when[0]:
            w.when_last = int(when[0])
        if s.judging == 0:
            continue
        if w.phase != _IDLE:  # first, so that a trigger in the row that ends an obligation finds the watch free
            done += _advance(s, p, c, w, known, t, when, then, False)
        if rose and _triggered(s, p, w, known, when, then, row):
            done += _advance(s, p, c, w, known, t, when, then, True)
    return done


@kernel
def _advance(
    s: CheckState, p: CheckParams, c: Check, w: Watch, known: Watch, t: float, when: Entry, then: Entry, fresh: bool
) -> int:
    """One row of the obligation that is open; a reaction without a hold window closes in the same row."""
    w.window_trouble |= s.trouble
    done = 0
    if w.phase == _PENDING:
        done += _pending(s, p, c, w, known, t, when, then, fresh)
    if w.phase == _HOLD:
        done += _holding(s, p, c, w, t, then)
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
def _triggered(s: CheckState, p: CheckParams, w: Watch, known: Watch, when: Entry, then: Entry, row: Floats) -> bool:
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
    """One row of an open obligation: the reaction in its best and worst case against the deadline in both."""
    t0 = w.open_t_s[0]
    new = False
    if when[1] == 1.0 and w.t0_high_s == np.inf:
        w.t0_high_s = (t0 if fresh else max(when[3], s.t_last_s)) + when[4]
    if then[0] != 1.0:
        w.react_s = np.nan
    elif np.isnan(w.react_s):
        new = True
        w.react_s = known.then_since_s
        if w.react_s < t0 - p.resolution_s:  # it had stood before the trigger and was only unknown for a while
            _dissolve(s, w)
            return 0
    if then[2] == 1.0 and then[0] == then[0] and np.isnan(w.possible_s):
        w.possible_s = (w.react_s if then[0] == 1.0 else max(then[3], s.t_last_s)) - then[4]
    within = c.within_s + p.resolution_s
    possibly = w.possible_s - w.t0_high_s <= within  # false without any reaction, true without a sure trigger
    if then[1] == 1.0:
        sure = w.react_s if new else max(then[3], s.t_last_s)
        if sure + then[4] - w.t0_low_s <= within:
            w.phase, w.until_s = _HOLD, w.react_s + c.stays_s
            return 0
        if possibly:
            return _close(s, c, w, _INCONCLUSIVE, _UNSURE_TIME, t)
        return _close(s, c, w, _FAIL, _LATE, t)
    latest = t0 + w.t0_u_s if w.t0_high_s == np.inf else w.t0_high_s
    if t <= latest + within + c.grace_s:
        return 0
    if possibly:
        return _close(s, c, w, _INCONCLUSIVE, _UNSURE_TIME, t)
    if w.t0_high_s == np.inf:
        return _close(s, c, w, _INCONCLUSIVE, _UNSURE_TRIGGER, t)
    return _close(s, c, w, _FAIL, _MISSING if then[0] == then[0] else _UNKNOWN, t)


@kernel
def _dissolve(s: CheckState, w: Watch) -> None:
    """The obligation was none: its reaction had stood all along."""
    w.phase = _IDLE
    w.n_standing += 1
    if w.n_standing == 1:
        w.standing_s, w.standing_since_s = w.open_t_s[0], w.react_s
    s.n_open -= 1


@kernel
def _holding(s: CheckState, p: CheckParams, c: Check, w: Watch, t: float, then: Entry) -> int:
    """One row of the hold window [reaction, reaction + stays): a fall inside it breaks the requirement."""
    end = w.until_s - p.resolution_s
    if then[0] != 1.0:
        fell = then[3] if then[0] == 0.0 else t
        if fell < end:
            if then[0] != then[0]:
                return _close(s, c, w, _FAIL, _DROPPED_UNKNOWN, t)
            if then[2] == 0.0:
                return _close(s, c, w, _FAIL, _DROPPED, t)
            w.unsure = 1
    elif then[1] == 0.0 and t < end:
        w.unsure = 1
    if t < end:
        return 0
    if w.unsure == 1:
        return _close(s, c, w, _INCONCLUSIVE, _UNSURE_HOLD, t)
    return _close(s, c, w, _PASS, 0, t)


@kernel
def _close(s: CheckState, c: Check, w: Watch, outcome: int, cause: int, t: float) -> int:
    """End the open obligation; the worst outcome stays, among equals the smallest margin."""
    if w.window_trouble == 1:
        outcome, cause = _INCONCLUSIVE, _TROUBLE
    w.phase = _IDLE
    s.n_open -= 1
    w.n_passed += 1 if outcome == _PASS else 0
    delay = w.react_s - w.open_t_s[0]
    margin = np.inf if np.isnan(delay) else c.within_s - delay
    if outcome > w.outcome or (outcome == w.outcome and margin < w.margin):
        w.outcome, w.cause, w.margin, w.decided_s = outcome, cause, margin, t
        for i in range(4):
            w.kept_t_s[i] = w.open_t_s[i]
    return 1


@kernel
def _samples(s: CheckState, p: CheckParams, c: Check, t: float, row: Floats) -> int:
    """One row of ``never``, ``always`` and the share of time; how many instances were violated for the first time."""
    done = 0
    during = (1.0, 1.0, 1.0, t, 0.0, 0.0)
    a = during
    for i in range(c.instances):
        if i == 0 or c.a_each == 1:
            a = evaluate(p.program, s.stack, c.a_start, c.a_stop, i, t, row)
        if c.b_stop > c.b_start and (i == 0 or c.b_each == 1):
            during = evaluate(p.program, s.stack, c.b_start, c.b_stop, i, t, row)
        done += _sample(s, c, s.watch[c.first + i], t, a, during)
    return done


@kernel
def _sample(s: CheckState, c: Check, w: Watch, t: float, a: Entry, during: Entry) -> int:
    value, low, high, distance = a[0], a[1], a[2], a[5]
    if c.kind == _NEVER:
        value, low, high, distance = 1.0 - a[0], 1.0 - a[2], 1.0 - a[1], -a[5]
    if during[0] != 1.0:
        if during[0] == 0.0 and during[2] == 1.0 and low == 0.0 and value == value:
            w.unsure = 1  # the while may have held, and then this sample may be a violation
        return 0
    w.n_samples += 1
    if value != value or s.trouble == 1:
        return 0
    w.n_known += 1
    w.n_passed += 1 if value == 1.0 else 0
    w.n_sure += 1 if low == 1.0 else 0
    if distance < w.margin:
        w.margin, w.worst_s = distance, t
    if high == 1.0 or during[1] == 0.0:
        w.n_possible += 1
        return 0
    if c.kind == _SHARE or w.outcome == _FAIL:
        return 0
    w.outcome = _FAIL
    w.decided_s = t
    w.standing_s = max(min(a[3], t), s.t_last_s)
    return 1
