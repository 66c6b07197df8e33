"""When a tick happens: at once in virtual time, at absolute monotonic deadlines in real time."""

import ctypes
import gc
import os
import time
from collections.abc import Callable

from hil.errors import InputError, Problem

SPIN_NS = 150_000  # a sleep of Linux wakes up to about 100 us late; the last stretch is waited out awake
SPIN_SHARE = 4  # never awake for more than a quarter of the wait
BUSY_NS = 200_000_000  # an overrun bench is made to sleep after this long without one
BREATH_SHARE = 16  # ... for 1/16 of it: the kernel stops a FIFO thread that uses over 95 % of a second
PRIORITY = 50  # above user programs, below the kernel's own interrupt threads at 50 and more on PREEMPT_RT
LOCK_CURRENT_AND_FUTURE = 1 | 2  # MCL_CURRENT, MCL_FUTURE of mlockall(2)


class VirtualClock:
    """Virtual time: no tick ever waits, none is ever late."""

    def start(self) -> None:
        """Nothing to fix: time is what the ticks say it is."""

    def wait(self, t_ns: int) -> int:
        """Return at once; lateness 0."""
        return 0


class RealClock:
    """Real time, ``speed`` times as fast: tick t starts at origin + t / speed on the monotonic clock.

    Deadlines are absolute, so that lateness never adds up. The wait is a sleep and then a short spin; a thread that
    never sleeps would be stopped by the kernel's real-time throttling (sched(7), ``sched_rt_runtime_us``).
    """

    def __init__(
        self,
        speed: float = 1.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        """``now_ns`` and ``sleep_s`` are the time base, in case it is not the machine's own.

        Raises:
            InputError: ``speed`` is not a positive finite number.
        """
        if not 0.0 < speed < float("inf"):
            raise InputError(Problem("speed of the clock", expected="more than 0", found=str(speed)))
        self._speed, self._now_ns, self._sleep_s = speed, now_ns, sleep_s
        self._origin_ns = self._slept_ns = now_ns()

    def start(self) -> None:
        """Tick 0 is now."""
        self._origin_ns = self._slept_ns = self._now_ns()

    def wait(self, t_ns: int) -> int:
        """Return at ``t_ns`` of the run, never before; the result is the lateness in ns of real time, at least 0."""
        deadline_ns = self._origin_ns + (t_ns if self._speed == 1.0 else round(t_ns / self._speed))
        now_ns = self._now_ns()
        left_ns = deadline_ns - now_ns
        if left_ns > 0:
            awake_ns = min(SPIN_NS, left_ns // SPIN_SHARE)
            self._sleep_s((left_ns - awake_ns) * 1e-9)
            self._slept_ns = now_ns = self._now_ns()
        elif now_ns - self._slept_ns > BUSY_NS:
            self._sleep_s((now_ns - self._slept_ns) // BREATH_SHARE * 1e-9)
            self._slept_ns = now_ns = self._now_ns()
        while now_ns < deadline_ns:
            if deadline_ns - now_ns > SPIN_NS:  # the sleep was cut short
                self._sleep_s((deadline_ns - now_ns - SPIN_NS) * 1e-9)
            now_ns = self._now_ns()
        return now_ns - deadline_ns


def realtime_priority(priority: int = PRIORITY) -> str:
    """Ask for all that keeps a tick on time and say what was granted; what is refused is not an error.

    SCHED_FIFO for the calling thread, all memory locked, and the objects alive now taken out of garbage collection.
    """
    return ", ".join((_fifo(priority), _locked(), _frozen()))


def _fifo(priority: int) -> str:
    if not hasattr(os, "sched_setscheduler"):
        return "no SCHED_FIFO (not on this system)"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"no SCHED_FIFO ({error.strerror})"
    return f"SCHED_FIFO {priority}"


def _locked() -> str:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        refused = libc.mlockall(LOCK_CURRENT_AND_FUTURE)
    except (OSError, AttributeError, TypeError):
        return "memory not locked (not on this system)"
    return f"memory not locked ({os.strerror(ctypes.get_errno())})" if refused else "memory locked"


def _frozen() -> str:
    gc.collect()
    gc.freeze()
    return f"{gc.get_freeze_count()} objects out of garbage collection"
