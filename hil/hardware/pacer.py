"""The wall clock of a replay: absolute deadlines, a sleep, then a short spin."""

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SPIN_NS = 150_000  # a sleep of Linux wakes up to about 100 us late; the last stretch is waited out awake
WORTH_NS = 50_000  # a sleep shorter than this wakes too late to be of use
BUSY_NS = 200_000_000  # a thread that has been awake for so long is made to sleep ...
BREATH_NS = 10_000_000  # ... so long: the kernel stops a FIFO thread that uses over 95 % of a second
PRIORITY = 50  # above user programs, not above the kernel's own interrupt threads
SET_TIMER_SLACK, GET_TIMER_SLACK = 29, 30  # prctl(2)


class WallPacer:
    """Replay time is monotonic time since ``restart``; lateness never adds up, for all deadlines are absolute."""

    def __init__(
        self,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        """``now_ns`` and ``sleep_s`` are the time base, in case it is not the machine's own."""
        self._clock_ns, self._sleep_s = now_ns, sleep_s
        self._origin_ns = self._slept_ns = now_ns()

    def restart(self, at_ns: int) -> None:
        """It is ``at_ns`` now."""
        self._slept_ns = self._clock_ns()
        self._origin_ns = self._slept_ns - at_ns

    def now_ns(self) -> int:
        """ns since the start."""
        return self._clock_ns() - self._origin_ns

    def sleep_until(self, t_ns: int) -> None:
        """Return at ``t_ns``, never before it; at once when it has passed."""
        deadline_ns = t_ns + self._origin_ns
        now_ns = self._clock_ns()
        while (left_ns := deadline_ns - now_ns) > SPIN_NS + WORTH_NS:  # again when the sleep was cut short
            self._sleep_s((left_ns - SPIN_NS) * 1e-9)
            self._slept_ns = now_ns = self._clock_ns()
        if now_ns - self._slept_ns > BUSY_NS:
            self._sleep_s(BREATH_NS * 1e-9)
            self._slept_ns = now_ns = self._clock_ns()
        while now_ns < deadline_ns:
            now_ns = self._clock_ns()


@contextmanager
def undisturbed(priority: int | None = PRIORITY) -> Iterator[str]:
    """Without garbage collection, with the finest timers the system gives, and ahead of ordinary programs if allowed.

    Gives the text of what was granted; what is refused is not an error. Everything is as it was afterwards. Holds for
    the calling thread and threads it starts inside. ``priority`` is that of SCHED_FIFO, None = leave scheduling alone.
    Linux lets a sleep of an ordinary thread run 50 us over, so that wake-ups can be bundled (prctl(2), timer slack).
    """
    collecting, slack = gc.isenabled(), _timer_slack(1)
    before, granted = _first_in_line(priority)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield granted
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
        if before is not None:
            os.sched_setscheduler(0, *before)
        if slack is not None:
            _timer_slack(slack)


def _first_in_line(priority: int | None) -> tuple[tuple[int, os.sched_param] | None, str]:
    """Ask for SCHED_FIFO; returns how it was, None when nothing changed, and what was granted."""
    if priority is None:
        return None, "ordinary scheduling"
    if not hasattr(os, "sched_setscheduler"):
        return None, "ordinary scheduling (no SCHED_FIFO on this system)"
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return None, f"ordinary scheduling (SCHED_FIFO refused: {error.strerror})"
    return before, f"SCHED_FIFO {priority}"


def _timer_slack(slack_ns: int) -> int | None:
    """Set the calling thread's timer slack; returns what it was, None where there is no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    before = int(libc.prctl(GET_TIMER_SLACK, 0, 0, 0, 0))
    if before < 0 or libc.prctl(SET_TIMER_SLACK, ctypes.c_ulong(slack_ns), 0, 0, 0) != 0:
        return None
    return before
