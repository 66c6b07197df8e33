"""The timeline of a run as arrays: step groups, set points, ramps, profiles and waits; one kernel writes ``intent.*``
and says which messages the steps ask for.

Group 0 is the preparation (``given``); the end of its wait is t = 0 of the steps. Every later wait ends one group and
begins the next, whose steps count from that instant.
"""

from enum import IntEnum
from typing import Annotated

from hil.checks.program import Program, Stack, evaluate
from hil.codec.layout import MESSAGES
from hil.kernel import F64, I64, Floats, Ints, Rows, kernel
from hil.tick import GROUPS

STEPS = 512
SAMPLES = 65536


class StepKind(IntEnum):
    """What a step row does to its columns."""

    SET = 0  # value from then on; NaN releases
    RAMP = 1  # from where the shown value is, at a rate, to the value
    PLAY = 2  # samples held for a period each
    SEND = 3  # one frame of a message


SET, RAMP, PLAY, SEND = int(StepKind.SET), int(StepKind.RAMP), int(StepKind.PLAY), int(StepKind.SEND)


class StepRow:
    """One step lowered to ``n`` columns of intent.*; ``source`` is the shown column a ramp starts from.

    Of a message to be sent, ``column`` is its number among those that the bench sends.
    """

    kind: I64
    group: I64
    t_ns: I64  # after the group's start
    column: I64
    n: I64
    source: I64
    value: F64
    rate: F64  # unit per second, positive
    sample: I64  # PLAY: first cumulated sample, count, period
    count: I64
    period_ns: I64


class WaitRow:
    """The wait that ends a group: program range, and how long it may take."""

    used: I64
    start: I64
    stop: I64
    t_ns: I64  # when it begins, after the group's start
    timeout_ns: I64


class TimelineParams:
    """All steps of a run; ``integral`` holds running sums of profile samples times their period, unit * s."""

    dt_ns: I64
    n_steps: I64
    n_groups: I64
    col_time_scenario: I64
    col_intent: I64  # first column and count of the intent range, reset to unknown at the start
    n_intent: I64
    end_ns: Annotated[Ints, GROUPS]  # last step, ramp, profile or fault window of each group, after its start
    step: Annotated[Rows[StepRow], STEPS]
    wait: Annotated[Rows[WaitRow], GROUPS]
    integral: Annotated[Floats, SAMPLES]
    program: Program


class TimelineState:
    """Which groups have begun (-1 = not), how far each step is, and which wait expired (-1 = none)."""

    group_t_ns: Annotated[Ints, GROUPS]
    phase: Annotated[Ints, STEPS]  # 0 not begun, 1 running, 2 over
    v0: Annotated[Floats, STEPS]
    begun_ns: Annotated[Ints, STEPS]
    group: I64
    expired: I64
    done: I64
    asked: Annotated[Ints, MESSAGES]  # 1 = a step of this tick asks for a frame of this message
    stack: Stack


@kernel
def begin(s: TimelineState, p: TimelineParams, i: int, t_ns: int, row: Floats) -> None:
    """Start step ``i``: setting and sending act at once and are over, a ramp latches where it starts from."""
    step = p.step[i]
    s.phase[i] = 1
    s.begun_ns[i] = t_ns
    if step.kind == SET:
        for c in range(step.n):
            row[step.column + c] = step.value
        s.phase[i] = 2
    elif step.kind == SEND:
        s.asked[step.column] = 1
        s.phase[i] = 2
    elif step.kind == RAMP:
        s.v0[i] = row[step.column]
        if s.v0[i] != s.v0[i]:
            s.v0[i] = row[step.source]


@kernel
def integral_at(p: TimelineParams, step: StepRow, t_ns: int) -> float:
    """Integral of the profile from its start to ``t_ns``, exact for samples held for their period."""
    k = min(t_ns // step.period_ns, step.count)
    whole = float(p.integral[step.sample + k])
    if k >= step.count:
        return whole
    part = (t_ns - k * step.period_ns) / step.period_ns
    return whole + part * (float(p.integral[step.sample + k + 1]) - whole)


@kernel
def advance(s: TimelineState, p: TimelineParams, i: int, t_ns: int, row: Floats) -> None:
    """Move a running ramp or profile to ``t_ns``."""
    step = p.step[i]
    since_ns = t_ns - s.begun_ns[i]
    if step.kind == RAMP:
        moved = step.rate * since_ns * 1e-9
        gap = step.value - s.v0[i]
        value = step.value if abs(gap) <= moved else s.v0[i] + (moved if gap > 0 else -moved)
        for c in range(step.n):
            row[step.column + c] = value
        if value == step.value:
            s.phase[i] = 2
    else:
        mean = (integral_at(p, step, since_ns + p.dt_ns) - integral_at(p, step, since_ns)) / (p.dt_ns * 1e-9)
        for c in range(step.n):
            row[step.column + c] = mean
        if since_ns >= step.count * step.period_ns:
            s.phase[i] = 2


@kernel
def follow_wait(s: TimelineState, p: TimelineParams, t_ns: int, row: Floats) -> int:
    """End the running group when its wait is met, or note that it expired; 1 when either happened."""
    wait = p.wait[s.group]
    begun_ns = s.group_t_ns[s.group] + wait.t_ns
    if wait.used == 0 or t_ns < begun_ns or s.expired >= 0:
        return 0
    if evaluate(p.program, s.stack, wait.start, wait.stop, 0, t_ns * 1e-9, row)[0] == 1.0:
        s.group += 1
        s.group_t_ns[s.group] = t_ns
        return 1
    if t_ns - begun_ns >= wait.timeout_ns:
        s.expired = s.group
        return 1
    return 0


@kernel
def at(s: TimelineState, p: TimelineParams, t_ns: int, row: Floats) -> int:
    """Write ``intent.*`` and ``time.scenario`` for the tick at ``t_ns``; how many groups or waits changed."""
    s.asked[:] = 0
    happened = 0
    if s.group_t_ns[0] < 0:
        s.group_t_ns[0] = t_ns
        happened += 1
    happened += follow_wait(s, p, t_ns, row)
    running = 0
    for i in range(p.n_steps):
        if s.phase[i] == 2 or p.step[i].group > s.group:
            continue
        if s.phase[i] == 0 and t_ns >= s.group_t_ns[p.step[i].group] + p.step[i].t_ns:
            begin(s, p, i, t_ns, row)
        if s.phase[i] == 1:
            advance(s, p, i, t_ns, row)
        if s.phase[i] != 2:
            running += 1
    if s.group >= 1:
        row[p.col_time_scenario] = (t_ns - s.group_t_ns[1]) * 1e-9
    last = s.group == p.n_groups - 1 and t_ns >= s.group_t_ns[s.group] + p.end_ns[s.group]
    s.done = 1 if last and running == 0 else 0
    return happened
