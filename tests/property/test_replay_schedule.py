"""Laws of the schedule, each against plain Python on lists."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.replay.filters import Filter, parse_rules
from hil.replay.player import Player
from hil.replay.ports import VirtualPacer
from hil.replay.schedule import Cut, Timing, due_times, plan, scaled, turns
from hil.replay.wire import fitted
from tests.replay_rig import ERROR, EXT, SENT, Listing, Time, rows_of, trace_of, wall_of

frame = st.tuples(
    st.integers(0, 50).map(lambda k: k * 1_000_000),
    st.integers(0, 0x7FF),
    st.sampled_from([0, EXT, SENT, SENT | EXT, ERROR]),
    st.binary(max_size=8),
)
frames = st.lists(frame, max_size=40)
speeds = st.fractions(Fraction(1, 1000), Fraction(1000))
timings = st.builds(
    Timing,
    speeds,
    st.none() | st.integers(0, 10**7),
    st.none() | st.integers(0, 10**7),
)


@given(frames, timings, st.integers(1, 3), st.integers(0, 10**7))
@settings(max_examples=60)
def test_virtual_and_wall_clock_send_the_same_frames_in_the_same_order(rows, timing, loops, pause_ns) -> None:
    made = plan(trace_of(rows), Filter(), timing)
    virtual, wall = Listing(), Listing()
    one = Player(virtual, VirtualPacer()).play(turns([made], loops, pause_ns))
    two = Player(wall, wall_of(Time())).play(turns([made], loops, pause_ns))
    assert virtual.sent == wall.sent
    assert (one.sent, one.left_out) == (two.sent, two.left_out)
    assert one.adds_up
    assert two.adds_up


@given(frames)
def test_frames_come_in_order_of_time_and_equal_times_in_order_of_the_log(rows) -> None:
    kept = [r for r in rows if not r[2] & ERROR]
    expected = [r for _, r in sorted(enumerate(kept), key=lambda pair: (pair[1][0], pair[0]))]
    assert rows_of(plan(trace_of(rows), Filter(), Timing()).trace) == expected


@given(frames, st.sets(st.sampled_from(["rx", "tx"])), st.lists(st.integers(0, 0x7FF), max_size=3))
def test_every_frame_is_planned_or_left_out_for_exactly_one_reason(rows, directions, ids) -> None:
    chosen = Filter(parse_rules([hex(i) for i in ids], None), tuple(directions))
    made = plan(trace_of(rows), chosen, Timing(), Cut(5_000_000, 30_000_000))
    assert len(made.trace) + sum(made.left_out.values()) == len(rows)
    again = [chosen.reasons(trace_of(rows))]
    counted = sum(mask.astype(int) for _, mask in again[0])
    assert np.all(counted <= 1)


@given(st.lists(st.integers(0, 10**15), max_size=20), speeds)
def test_speed_divides_times_exactly_to_the_nearest_nanosecond(times, speed) -> None:
    got = scaled(np.array(sorted(times), np.int64), speed)
    for t, due in zip(sorted(times), got.tolist(), strict=True):
        exact = t / speed
        assert abs(due - exact) <= Fraction(1, 2)
        assert due - exact != Fraction(-1, 2)  # halves go up


@given(st.lists(st.integers(0, 10**10), max_size=20), st.integers(0, 10**9))
def test_long_gaps_are_cut_and_short_ones_stay(times, longest) -> None:
    ordered = sorted(times)
    got = due_times(np.array(ordered, np.int64), Timing(longest_gap_ns=longest)).tolist()
    now, before, expected = 0, 0, []
    for t in ordered:
        now, before = now + min(t - before, longest), t
        expected.append(now)
    assert got == expected


@given(frames, frames, timings, st.integers(0, 10**7))
def test_looping_is_playing_the_list_again_behind_itself(first, second, timing, pause_ns) -> None:
    plans = [plan(trace_of(rows), Filter(), timing) for rows in (first, second)]
    looped = [(p.plan, p.offset_ns) for p in turns(plans, 3, pause_ns)]
    if any(len(p.due_ns) for p in plans):
        assert looped == [(p.plan, p.offset_ns) for p in turns(plans * 3, 1, pause_ns)]
    else:
        assert len(looped) == 2  # nothing to send is not sent for ever


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 1), st.integers(1, 10**5)), max_size=30))
def test_fitted_frames_never_overlap_on_their_bus_and_start_as_early_as_that_allows(lines) -> None:
    lines = sorted(lines, key=lambda line: line[0])
    due, channel, busy = (np.array([line[k] for line in lines], np.int64) for k in range(3))
    got = fitted(due, channel, busy).tolist()
    free = {0: 0, 1: 0}
    for (wanted, bus, length), start in zip(lines, got, strict=True):
        assert start == max(wanted, free[bus])
        free[bus] = start + length


@given(frames, st.integers(0, 50), st.integers(1, 50))
def test_a_window_is_half_open_in_log_time(rows, start_ms, length_ms) -> None:
    zero = min((r[0] for r in rows), default=0)
    low, high = start_ms * 1_000_000, (start_ms + length_ms) * 1_000_000
    expected = sorted(r[0] for r in rows if low <= r[0] - zero < high and not r[2] & ERROR)
    got = plan(trace_of(rows), Filter(), Timing(), Cut(low, high))
    assert got.trace.t_ns.tolist() == expected
