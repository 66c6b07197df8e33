"""The engine: what becomes of every frame."""

import errno
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hil.errors import InputError
from hil.kernel import view, zeros
from hil.logs.trace import from_bytes
from hil.replay.feed import CHUNK, Marks
from hil.replay.filters import Filter, parse_remap, parse_rules, wanted
from hil.replay.lateness import Lateness
from hil.replay.player import Ended, Player
from hil.replay.ports import KEY_EXTENDED, Answer, VirtualPacer
from hil.replay.schedule import Timing, plan, scaled, totals, turns
from hil.replay.targets import Collecting, Spread
from hil.replay.wire import BitRates, durations_ns
from hil.tick import Frame
from hil.virtual import bus
from tests.replay_rig import BRS, EXT, FD, REMOTE, Listing, Time, random_trace, rows_of, trace_of, wall_of


def parts(n: int = 100, loops: int = 1):
    made = plan(random_trace(3, n), Filter(), Timing())
    return made, turns([made], loops)


def full() -> OSError:
    return BlockingIOError(errno.ENOBUFS, "no room")


def test_a_full_bus_is_offered_the_frame_again_and_nothing_is_lost() -> None:
    made, all_parts = parts(5)
    target = Listing([full(), full(), None, None, full()])
    report = Player(target, VirtualPacer()).play(all_parts)
    assert (report.sent, report.retries, report.failed) == (5, 3, {})
    assert [s[2] for s in target.sent] == [made.trace.payload(i) for i in range(5)]


def test_a_bus_that_never_takes_anything_costs_one_waiting_time_and_every_frame_counts_as_failed() -> None:
    _, all_parts = parts(10)
    target = Listing([full() for _ in range(100_000)])
    report = Player(target, VirtualPacer(), retry_for_ns=50_000_000).play(all_parts)
    assert (report.sent, sum(report.failed.values()), report.unsent) == (0, 10, 0)
    assert report.adds_up
    assert report.retries < 40  # not ten times the waiting


def test_a_refused_frame_is_counted_with_its_reason_and_the_others_go_on() -> None:
    _, all_parts = parts(3)
    report = Player(Listing([None, OSError("gone")]), VirtualPacer()).play(all_parts)
    assert (report.sent, report.failed) == (2, {"gone": 1})
    assert report.adds_up


def test_identifiers_that_others_send_are_left_to_them() -> None:
    rows = [(0, 0x10, 0, b"a"), (1, 0x10, EXT, b"b"), (2, 0x11, 0, b"c"), (3, 0x10, 0, b"d")]
    target = Listing(others={0x10, 0x11 | KEY_EXTENDED})
    player = Player(target, VirtualPacer(), suppress_heard=True)
    report = player.play(turns([plan(trace_of(rows), Filter(), Timing())]))
    assert [s[2] for s in target.sent] == [b"b", b"c"]
    assert report.suppressed == {"heard live": 2}
    assert report.adds_up


@pytest.mark.parametrize("after", [0, 1, 40, 77])
def test_a_stop_ends_cleanly_and_the_rest_counts_as_unsent(after: int) -> None:
    _, all_parts = parts(100, 2)
    target = Listing()
    report = Player(target, wall_of(Time()), stop=lambda: len(target.sent) >= after).play(all_parts)
    assert report.ended is Ended.INTERRUPTED
    assert report.sent == len(target.sent)
    assert report.unsent == report.planned - report.sent > 0
    assert report.adds_up


def test_an_endless_loop_is_prepared_only_as_far_as_needed() -> None:
    made = plan(random_trace(3, 10), Filter(), Timing())
    target = Listing()
    report = Player(target, wall_of(Time()), stop=lambda: len(target.sent) >= 95).play(turns([made], None))
    assert report.ended is Ended.INTERRUPTED
    once = [(int(made.trace.id[i]), int(made.trace.bits[i]), made.trace.payload(i)) for i in range(10)]
    assert target.sent == (once * 20)[: report.sent]


def close_together(n: int):
    """Frames so close that no wait between them is worth a look at anything else."""
    return plan(trace_of([(300_000 * k, k, 0, b"") for k in range(n)]), Filter(), Timing())


def test_a_stop_is_heard_where_frames_are_close_together_and_none_is_late() -> None:
    target = Listing()
    pacer = wall_of(Time(look_ns=10, over_ns=0))
    report = Player(target, pacer, stop=lambda: len(target.sent) >= 40).play(turns([close_together(1000)]))
    assert report.ended is Ended.INTERRUPTED
    assert 40 <= report.sent < 40 + CHUNK


@pytest.mark.parametrize("gap_ns", [0, None])
def test_progress_is_told_where_there_is_never_a_wait(gap_ns: int | None) -> None:
    made = plan(close_together(200).trace, Filter(), Timing(gap_ns=gap_ns))
    told: list[tuple[int, bool]] = []
    player = Player(Listing(), wall_of(Time(10, 0)), on_progress=lambda sent, spare: told.append((sent, spare)))
    player.play(turns([made]))
    assert [sent for sent, _ in told] == list(range(0, 200, CHUNK))
    assert not any(spare for _, spare in told)


def test_a_replay_that_ends_early_accounts_for_logs_and_rounds_it_never_came_to() -> None:
    first, second = parts(100)[0], plan(random_trace(5, 50), Filter(directions=("rx",)), Timing())
    second = replace(second, left_out={"direction": 7}, added=2)
    plans, loops = [first, second], 1000
    target = Listing()
    player = Player(target, wall_of(Time()), stop=lambda: len(target.sent) >= 10)
    report = player.play(turns(plans, loops), totals(plans, loops))
    assert (report.planned, report.added, report.left_out) == (150_000, 2000, {"direction": 7})
    assert report.unsent == 150_000 - report.sent
    assert report.adds_up
    assert totals(plans, None) is None


class Script:
    def __init__(self, *answers: Answer) -> None:
        self.answers, self.places = list(answers), []

    def ask(self, where: str) -> Answer:
        self.places.append(where)
        return self.answers.pop(0)


def test_stepping_asks_before_each_frame_until_told_to_go_on() -> None:
    _, all_parts = parts(6)
    target, script = Listing(), Script(Answer.STEP, Answer.STEP, Answer.CONTINUE)
    report = Player(target, VirtualPacer(), marks=Marks(every=True), controls=script).play(all_parts)
    assert (len(script.places), report.sent) == (3, 6)
    assert script.places[1].startswith("frame 2 of log 1, ")


def test_stepping_back_sends_frames_once_more_and_counts_them() -> None:
    made, all_parts = parts(6)
    target, late = Listing(), Lateness()
    script = Script(Answer.STEP, Answer.STEP, Answer.BACK, Answer.BACK, Answer.STEP, Answer.CONTINUE)
    report = Player(target, VirtualPacer(), late, marks=Marks(every=True), controls=script).play(all_parts)
    assert [int(place.split()[1]) for place in script.places] == [1, 2, 3, 2, 1, 2]
    sent = [0, 1, 0, 1, 2, 3, 4, 5]
    assert [s[2] for s in target.sent] == [made.trace.payload(i) for i in sent]
    assert (report.planned, report.sent, report.added, report.unsent) == (8, 8, 2, 0)
    assert report.lateness.n == 8
    assert report.lateness.max_ns == 0
    assert report.adds_up


def test_a_step_back_goes_over_the_edges_of_what_was_prepared_and_ends_at_the_first_frame() -> None:
    made, all_parts = parts(CHUNK + 3)
    marks = Marks(lambda part: np.arange(CHUNK + 3) == CHUNK)
    target = Listing()
    script = Script(*[Answer.BACK] * (CHUNK + 5), Answer.CONTINUE, Answer.CONTINUE)
    report = Player(target, VirtualPacer(), marks=marks, controls=script).play(all_parts)
    assert [int(place.split()[1]) for place in script.places][: CHUNK + 6] == [*range(CHUNK + 1, 0, -1), *[1] * 5]
    assert [s[2] for s in target.sent] == [made.trace.payload(i) for i in (*range(CHUNK), *range(CHUNK + 3))]
    assert report.adds_up


def test_a_file_has_a_frame_once_however_often_it_was_stepped_over() -> None:
    made, all_parts = parts(6)
    got = []
    target = Collecting(got.append)
    script = Script(Answer.STEP, Answer.STEP, Answer.BACK, Answer.CONTINUE)
    Player(target, VirtualPacer(), marks=Marks(every=True), controls=script).play(all_parts)
    target.close()
    assert got[0].t_ns.tolist() == made.due_ns.tolist()


def test_a_breakpoint_stops_before_its_frame_and_without_anybody_ends_the_replay() -> None:
    made, all_parts = parts(100)
    marks = Marks(lambda part: np.arange(len(part.plan.trace)) == 70)
    report = Player(Listing(), VirtualPacer(), marks=marks).play(all_parts)
    assert (report.ended, report.sent, report.unsent) == (Ended.BREAKPOINT, 70, 30)
    assert report.where.startswith(f"frame 71 of log 1, {made.due_ns[70] / 1e9:.6f} s, id 0x{int(made.trace.id[70]):X}")


def test_the_replay_stands_still_while_somebody_thinks() -> None:
    time = Time()

    class Slow:
        def ask(self, where: str) -> Answer:
            time.t_ns += 3_600_000_000_000
            return Answer.CONTINUE

    _, all_parts = parts(100)
    late = Lateness()
    marks = Marks(lambda part: np.arange(100) == 50)
    Player(Listing(), wall_of(time), late, marks=marks, controls=Slow()).play(all_parts)
    assert late.per_frame().max() < 1_000_000


def test_the_wall_clock_pacer_is_never_early_sleeps_and_then_spins_a_little() -> None:
    time = Time(look_ns=700, over_ns=60_000)
    pacer = wall_of(time)
    pacer.restart(0)
    pacer.sleep_until(10_000_000)
    assert time.slept == 1
    assert 10_000_000 <= pacer.now_ns() < 10_000_000 + 3 * 700


def test_a_thread_that_would_spin_for_ever_is_made_to_sleep() -> None:
    time = Time()
    pacer = wall_of(time)
    pacer.restart(0)
    for k in range(1, 10_000):
        pacer.sleep_until(k * 100_000)  # each wait is shorter than a sleep is worth
    assert time.slept >= 4  # one second of this


def test_lateness_is_the_plain_difference_and_the_limit_is_inclusive() -> None:
    late = Lateness(limit_ns=30)
    late.add(np.array([0, 10, 20, 30]), np.array([10, 30, 50, 61]))
    assert late.per_frame().tolist() == [10, 20, 30, 31]
    made = late.summary()
    assert (made.p50_ns, made.p99_ns, made.max_ns, made.over, made.within) == (20, 31, 31, 1, False)


def test_percentiles_from_bins_agree_with_exact_ones_to_a_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).integers(0, 5_000_000, 10_000)
    exact, binned = Lateness(), Lateness()
    exact.add(np.zeros(len(values), np.int64), values)
    monkeypatch.setattr("hil.replay.lateness.EXACT", 100)
    for piece in np.split(values, 20):
        binned.add(np.zeros(len(piece), np.int64), piece)
    for name in ("p50_ns", "p99_ns", "p99_9_ns", "max_ns"):
        assert abs(getattr(exact.summary(), name) - getattr(binned.summary(), name)) <= 1000
    assert exact.summary().n == binned.summary().n == 10_000


def test_nothing_sent_has_no_percentiles() -> None:
    assert Lateness(5).summary().as_dict()["p99_us"] is None


@pytest.mark.parametrize("bits", [0, EXT])
def test_classic_frames_are_as_long_as_on_the_virtual_bus(bits: int) -> None:
    trace = random_trace(11, 200)
    trace = from_bytes(trace.t_ns, trace.id & 0x7FF, np.full(200, bits), [trace.payload(i) for i in range(200)])
    got = durations_ns(trace, BitRates(500_000, 500_000))
    p = bus.params(500_000)
    for i in range(200):
        f = zeros(Frame)
        one = view(f)
        one.id, one.bits, one.dlc = int(trace.id[i]), bits, int(trace.dlc[i])
        one.payload[: one.dlc] = list(trace.payload(i))
        assert got[i] == (bus.frame_bits(p[0], f[0]) + 3) * 2000


def test_a_remote_frame_and_an_fd_frame_have_their_known_lengths() -> None:
    # Remote, id 0x555 (alternating), length 0: 19 + 15 + 10 bits, CRC-15 of it counted by hand below.
    head = [0, *(int(c) for c in f"{0x555:011b}"), 1, 0, 0, 0, 0, 0, 0]
    crc = 0
    for bit in head:
        crc = ((crc << 1) ^ (0x4599 if ((crc >> 14) & 1) ^ bit else 0)) & 0x7FFF
    stuffed, last, run = 0, None, 0
    for bit in [*head, *(int(c) for c in f"{crc:015b}")]:
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed, last, run = stuffed + 1, 1 - bit, 1
    remote = trace_of([(0, 0x555, REMOTE, b"")])
    assert durations_ns(remote, BitRates(1_000_000, 1_000_000)).tolist() == [(19 + 15 + 10 + 3 + stuffed) * 1000]
    # FD, id 0x555, 8 bytes 0x55, no switch: 22 header bits + 64 + stuff count 4 + CRC 17 + 6 fixed + 10 + 3; the only
    # run of five is in the header: IDE RRS after the id's last 1 are 0 0, FDF 1, then 0 0 0 and code 1000.
    fd = trace_of([(0, 0x555, FD, b"\x55" * 8)])
    assert durations_ns(fd, BitRates(1_000_000, 1_000_000)).tolist() == [(22 + 64 + 4 + 17 + 6 + 10 + 3) * 1000]
    # the part from ESI to the CRC goes five times as fast
    fast = trace_of([(0, 0x555, FD | BRS, b"\x55" * 8)])
    slow_bits = 17 + 10 + 3
    assert durations_ns(fast, BitRates(1_000_000, 5_000_000)).tolist() == [slow_bits * 1000 + (113 - 17) * 200]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("0x100", [0]),
        ("0x100-0x1FF", [0, 1]),
        ("256-511", [0, 1]),
        ("0x100/0x7F0", [0]),
        ("!0x100", [1, 2, 3, 4]),
        ("0x00000100", [3]),
        ("0x18FF0000-0x18FFFFFF", [4]),
        ("0x100,0x18FF1234", [0, 4]),
        ("0x100-0x1FFFFFFF,!0x1F0", [0, 2, 3, 4]),
    ],
)
def test_identifier_rules(rule: str, expected: list[int]) -> None:
    ids = [(0x100, 0), (0x1F0, 0), (0x200, 0), (0x100, EXT), (0x18FF1234, EXT)]
    trace = trace_of([(0, i, b, b"") for i, b in ids])
    assert np.flatnonzero(wanted(trace, parse_rules([rule], None))).tolist() == expected


@pytest.mark.parametrize("rule", ["", "0x", "0x200-0x100", "0x20000000", "BMS_State", "1-2-3", "!"])
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(InputError):
        parse_rules([rule], None)


def test_remaps_change_each_frame_once_and_may_change_the_kind_of_identifier() -> None:
    trace = trace_of([(0, 1, 0, b""), (0, 2, 0, b""), (0, 3, EXT, b"")], channels=[0, 1, 0])
    made = parse_remap(["1=2", "2=0x18FF0001", "0x00000003=5"], ["0=1", "1=0"], None).apply(trace)
    assert list(zip(made.id.tolist(), made.bits.tolist(), made.channel.tolist(), strict=True)) == [
        (2, 0, 1),
        (0x18FF0001, EXT, 0),
        (5, 0, 1),
    ]


def test_channels_go_to_their_own_targets_and_the_rest_to_the_other() -> None:
    trace = trace_of([(k, k, 0, bytes([k])) for k in range(9)], channels=[0, 1, 2] * 3)
    one, rest = Listing(), Listing(others={7})
    report = Player(Spread({1: one}, rest), VirtualPacer()).play(turns([plan(trace, Filter(), Timing())]))
    assert [s[0] for s in one.sent] == [1, 4, 7]
    assert [s[0] for s in rest.sent] == [0, 2, 3, 5, 6, 8]
    assert (report.sent, report.heard) == (9, 1)


def test_a_collected_replay_is_the_plan_itself() -> None:
    made = plan(random_trace(9, 300), Filter(), Timing(Fraction(3)))
    got = []
    target = Collecting(got.append)
    Player(target, VirtualPacer()).play(turns([made]))
    target.close()
    assert [r[1:] for r in rows_of(got[0])] == [r[1:] for r in rows_of(made.trace)]
    assert got[0].t_ns.tolist() == made.due_ns.tolist()


@pytest.mark.parametrize(
    "speed", [Fraction(1, 10**20), Fraction(10**19), Fraction(2**62 + 1, 3), Fraction(3, 2**62 + 1)]
)
def test_a_speed_of_many_digits_leaves_the_first_frame_at_the_start(speed: Fraction) -> None:
    assert scaled(np.zeros(2, np.int64), speed).tolist() == [0, 0]


@pytest.mark.parametrize(("gap_ns", "pause_ns", "loops"), [(2**62, 0, 1), (None, 2**62, 4)])
def test_times_that_do_not_fit_are_refused(gap_ns: int | None, pause_ns: int, loops: int) -> None:
    trace = from_bytes([0, 1, 2], [1, 2, 3], [0, 0, 0], [b"", b"", b""])
    with pytest.raises(InputError, match="292 years"):
        list(turns([plan(trace, Filter(), Timing(gap_ns=gap_ns))], loops, pause_ns))
