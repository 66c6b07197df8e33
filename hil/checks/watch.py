"""What the automata of all checks hold and remember: the records, and the words for their states."""

from enum import IntEnum
from typing import Annotated

import numpy as np

from hil.checks.program import Program, Stack
from hil.kernel import F64, I32, I64, Floats, Ints, Ints32, Rows, kernel

CHECKS = 128
WATCHES = 1024
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


class Check:
    """One check; its instances are ``count`` watches from ``first``.

    RESPONSE: ``a`` is when, ``b`` is then. NEVER: ``a`` must not hold while ``b`` (empty = always). Else ``a`` must.
    """

    kind: I32
    first: I32
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
    overrun_s: F64  # a lateness above this is trouble; infinite = recorded only
    resolution_s: F64  # two times nearer than this are equal
    zero_current_a: F64  # below this the current counts as interrupted
    error_state: F64  # label of ERROR
    n_dtc: I64
    dtc: Annotated[Ints, DTC_CAPACITY]  # columns of reported.dtc_*
    dtc_t: Annotated[Ints, DTC_CAPACITY]
    col_time_scenario: I64
    col_time_lateness: I64
    col_time_frames_lost: I64
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
    standing_s: F64  # response: first trigger that found the reaction standing; else: first violation
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
