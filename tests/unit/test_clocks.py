"""Clocks: never early, no accumulated lateness, and never a thread that does not sleep."""

import subprocess
import sys
import time

import pytest

from hil.clocks import RealClock, VirtualClock, realtime_priority
from hil.errors import InputError

MS = 1_000_000


class Machine:
    """A time base of its own: asking costs 1 us, a sleep takes what was asked and ``late_ns`` more."""

    def __init__(self, late_ns=60_000, cut_short=False):
        self.t_ns, self.late_ns, self.cut_short = 5_000 * MS, late_ns, cut_short
        self.asked, self.slept_ns = 0, 0

    def now_ns(self):
        self.asked += 1
        self.t_ns += 1_000
        return self.t_ns

    def sleep_s(self, seconds):
        span_ns = round(seconds * 1e9)
        if self.cut_short:
            self.cut_short, span_ns = False, span_ns // 10
        self.slept_ns += span_ns
        self.t_ns += span_ns + self.late_ns

    def work(self, span_ns):
        self.t_ns += span_ns


def clock_on(machine, speed=1.0):
    clock = RealClock(speed, machine.now_ns, machine.sleep_s)
    clock.start()
    return clock, machine.t_ns


def test_virtual_time_never_waits_and_is_never_late():
    clock = VirtualClock()
    clock.start()
    assert [clock.wait(t_ns) for t_ns in (0, 10 * MS, 10**15)] == [0, 0, 0]


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_a_tick_starts_at_its_deadline_and_not_before(speed):
    machine = Machine()
    clock, origin_ns = clock_on(machine, speed)
    for k in range(1, 100):
        late_ns = clock.wait(k * 10 * MS)
        deadline_ns = origin_ns + k * 10 * MS / speed
        assert 0 <= machine.t_ns - deadline_ns <= 2_000
        assert late_ns == pytest.approx(machine.t_ns - deadline_ns, abs=1)
        machine.work(2 * MS)


def test_it_sleeps_most_of_the_time_and_is_awake_for_a_short_stretch_only():
    machine = Machine(late_ns=0)
    clock, _ = clock_on(machine)
    for k in range(1, 101):
        clock.wait(k * 10 * MS)
    assert machine.slept_ns >= 0.98 * 1_000 * MS
    assert machine.asked <= 100 * 153


def test_even_very_short_ticks_leave_most_of_the_wait_asleep():
    machine = Machine(late_ns=0)
    clock, origin_ns = clock_on(machine)
    for k in range(1, 1001):
        clock.wait(k * 100_000)
    assert machine.slept_ns >= 0.7 * (machine.t_ns - origin_ns)


def test_a_sleep_that_is_cut_short_is_resumed():
    machine = Machine(cut_short=True)
    clock, origin_ns = clock_on(machine)
    clock.wait(10 * MS)
    assert machine.t_ns >= origin_ns + 10 * MS
    assert machine.asked < 200


def test_one_late_tick_does_not_move_the_next():
    machine = Machine()
    clock, origin_ns = clock_on(machine)
    clock.wait(10 * MS)
    machine.work(13 * MS)
    assert 3 * MS <= clock.wait(20 * MS) <= 3.01 * MS
    assert clock.wait(30 * MS) <= 2_000
    assert machine.t_ns - origin_ns <= 30.01 * MS


def test_a_bench_that_always_overruns_still_sleeps_over_5_percent():
    machine = Machine(late_ns=0)
    clock, origin_ns = clock_on(machine)
    for k in range(1, 1001):
        machine.work(15 * MS)
        assert clock.wait(k * 10 * MS) > 0
    assert machine.slept_ns >= 0.05 * (machine.t_ns - origin_ns)


def test_start_fixes_tick_0_anew():
    machine = Machine()
    clock, _ = clock_on(machine)
    machine.work(1_000 * MS)
    clock.start()
    assert clock.wait(10 * MS) <= 2_000


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_is_no_speed_is_refused(speed):
    with pytest.raises(InputError, match="speed"):
        RealClock(speed)


def test_on_the_machines_own_clock_no_tick_is_early():
    clock = RealClock(speed=2.0)
    before_ns = time.monotonic_ns()
    clock.start()
    for k in range(1, 6):
        late_ns = clock.wait(k * 4 * MS)
        assert late_ns >= 0
        assert time.monotonic_ns() >= before_ns + k * 2 * MS


def test_asking_for_real_time_priority_reports_what_was_granted():
    """In a process of its own: what is granted stays granted."""
    program = "from hil.clocks import realtime_priority as ask; import os; print(ask(7), '|', os.sched_getscheduler(0))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    text, policy = done.stdout.split("|")
    assert ("SCHED_FIFO 7" in text) == (int(policy) == 1)
    assert "memory" in text
    assert "out of garbage collection" in text
    assert callable(realtime_priority)
