"""When each frame of a log is sent: pure functions from traces to due times.

A log's time starts at zero with its first frame (of the window, after the start trigger, before any filter), so that two
players with different filters on one log stay together. Frames are sent in the order of their due times; equal due
times keep the order of the log.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count

import numpy as np

from hil.errors import InputError, Problem
from hil.logs.trace import Int64, Trace
from hil.replay.filters import Filter, Mask
from hil.replay.wire import BitRates, durations_ns, fitted

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Timing:
    """How log time becomes replay time.

    ``speed`` divides it. ``gap_ns`` replaces it by ``burst`` frames at once each so often (0: as fast as possible). A silence
    longer than ``longest_gap_ns`` of log time is cut to that. ``fit``: no frame starts before the one before it on its bus
    has ended.
    """

    speed: Fraction = Fraction(1)
    gap_ns: int | None = None
    longest_gap_ns: int | None = None
    fit: BitRates | None = None
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of a log that is played: ``start_ns`` <= time < ``stop_ns`` after the log's first frame."""

    start_ns: int = 0
    stop_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One log, ready to be played once.

    ``due_ns`` rises and counts from the start of this log's turn; ``origin`` is each frame's index in the log as read.
    ``zero_ns`` is the log's time at that start; ``length_ns`` is when the next log may start. ``left_out`` counts the
    frames not planned by reason, ``added`` those that are planned but not in the log.
    """

    trace: Trace
    due_ns: Int64
    origin: Int64
    zero_ns: int
    length_ns: int
    left_out: dict[str, int] = field(default_factory=dict)
    added: int = 0

    @property
    def log_ns(self) -> Int64:
        """Log time of each frame since the start."""
        return self.trace.t_ns - self.zero_ns


@dataclass(frozen=True, slots=True)
class Part:
    """A plan in its place: its zero is ``offset_ns`` after the start; ``turn`` and ``log`` count from 0."""

    plan: Plan
    offset_ns: int
    turn: int
    log: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Frames of a whole replay: planned, of these not in the logs, and left out of the logs by reason (each log once)."""

    planned: int
    added: int
    left_out: dict[str, int]


def totals(plans: Sequence[Plan], loops: int | None = 1) -> Totals | None:
    """The totals of ``turns``; None when it never ends."""
    if loops is None:
        return None
    left_out: Counter[str] = Counter()
    for one in plans:
        left_out.update(one.left_out)
    planned, added = sum(len(one.due_ns) for one in plans), sum(one.added for one in plans)
    return Totals(loops * planned, loops * added, dict(left_out))


def plan(trace: Trace, chosen: Filter, timing: Timing, cut: Cut | None = None, trigger: Mask | None = None) -> Plan:
    """Choose and time the frames of one log.

    ``trigger`` marks the frames that may start the replay: everything before the first of them is left out, everything
    when there is none.
    """
    cut = cut or Cut()
    left_out: dict[str, int] = {}
    order = np.argsort(trace.t_ns, kind="stable")
    in_order = trace.select(order)
    keep, zero_ns = _span(in_order, cut, None if trigger is None else trigger[order], left_out)
    for reason, taken in chosen.reasons(in_order):
        taken &= keep
        left_out[reason] = int(np.count_nonzero(taken))
        keep &= ~taken
    picked = in_order.select(keep)
    due_ns = due_times(picked.t_ns - zero_ns, timing)
    if timing.fit is not None:
        due_ns = fitted(due_ns, picked.channel.astype(np.int64), durations_ns(picked, timing.fit))
    again = np.argsort(due_ns, kind="stable")  # buses that were fitted apart may have passed each other
    due_ns, picked, origin = due_ns[again], picked.select(again), order[keep][again]
    length_ns = int(due_ns[-1]) + (timing.gap_ns or 0) if len(due_ns) else 0
    return Plan(picked, due_ns, origin, zero_ns, length_ns, {reason: n for reason, n in left_out.items() if n})


def _span(trace: Trace, cut: Cut, trigger: Mask | None, left_out: dict[str, int]) -> tuple[Mask, int]:
    """Which frames of a trace in time order lie in the window and after the trigger, and the time of the first."""
    n = len(trace)
    if n == 0:
        return np.zeros(0, bool), 0
    t_ns = trace.t_ns - trace.t_ns[0]
    inside: Mask = t_ns >= cut.start_ns
    if cut.stop_ns is not None:
        inside &= t_ns < cut.stop_ns
    left_out["window"] = n - int(np.count_nonzero(inside))
    if trigger is not None:
        hits = np.flatnonzero(inside & trigger)
        before = inside & (np.arange(n) < (hits[0] if len(hits) else n))
        left_out["before trigger"] = int(np.count_nonzero(before))
        inside &= ~before
    first = np.flatnonzero(inside)
    return inside, int(trace.t_ns[first[0]]) if len(first) else 0


def due_times(t_ns: Int64, timing: Timing) -> Int64:
    """Replay time of log times that rise from 0 or later.

    Raises:
        InputError: slowed down so far, or gaps so long, that a time does not fit.
    """
    if timing.gap_ns is not None:
        if len(t_ns) * timing.gap_ns > INT64_MAX:
            raise InputError(Problem("gap of the replay", expected="a replay of less than 292 years"))
        return np.arange(len(t_ns), dtype=np.int64) // timing.burst * timing.gap_ns
    if timing.longest_gap_ns is not None and len(t_ns):
        gaps = np.diff(t_ns, prepend=np.int64(0))
        t_ns = np.cumsum(np.minimum(gaps, timing.longest_gap_ns))
    return scaled(t_ns, timing.speed)


def scaled(t_ns: Int64, speed: Fraction) -> Int64:
    """``t_ns / speed`` to the nearest ns, halves up, in integers throughout.

    Raises:
        InputError: speed is not above 0, or a result does not fit 64 bits.
    """
    if speed <= 0:
        raise InputError(Problem("speed of the replay", expected="more than 0", found=str(speed)))
    if speed == 1 or len(t_ns) == 0:
        return t_ns
    a, b = speed.denominator, speed.numerator  # t * a / b
    largest = int(np.abs(t_ns).max())
    if 2 * (max(largest, 1) * a + b) <= INT64_MAX:  # every number on the way fits, also where all times are 0
        return (2 * t_ns * a + b) // (2 * b)
    exact = [(2 * int(t) * a + b) // (2 * b) for t in t_ns]
    if max(exact) > INT64_MAX:
        raise InputError(Problem("speed of the replay", expected="a replay of less than 292 years", found=str(speed)))
    return np.array(exact, np.int64)


def turns(plans: Sequence[Plan], loops: int | None = 1, pause_ns: int = 0, delay_ns: int = 0) -> Iterator[Part]:
    """The playlist from first to last log, ``loops`` times (None: for ever), ``pause_ns`` between two logs.

    ``delay_ns`` goes by before all of it.

    A playlist without a single frame is played once, whatever ``loops`` says.

    Raises:
        InputError: a time of the playlist does not fit 64 bits.
    """
    empty = not any(len(p.due_ns) for p in plans)
    offset_ns = delay_ns
    for turn in count() if loops is None else range(loops):
        for log, one in enumerate(plans):
            if offset_ns + one.length_ns > INT64_MAX:
                raise InputError(Problem("pauses and rounds", expected="a replay of less than 292 years"))
            yield Part(one, offset_ns, turn, log)
            offset_ns += one.length_ns + pause_ns
        if empty:
            return
