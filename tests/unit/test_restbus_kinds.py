"""Send types one by one, values of every kind, pages, suppression and capacity of the rest of the bus."""

import struct
from dataclasses import replace

import cantools
import numpy as np
import pytest
from restbus_rig import CAR, MS, Sender, message, raw_of, signal

from hil.codec import e2e, restbus
from hil.errors import InputError
from hil.kernel import zeros
from hil.tick import COLUMNS, FRAMES, FrameBits, Frames, Node

ONE = {"M.S": 0}
OTHER = int(Node.OTHER)


def one(word: str = "", *, signal_word: str = "", start: float | None = None, **more) -> Sender:
    return Sender((message("M", signal(send_type=signal_word, start_value=start), send_type=word, **more),), ONE)


def test_a_cyclic_message_does_not_care_for_changes():
    assert one("Cyclic", cycle_ms=10).sent_at(range(30), {3: {0: 7}}) == [0, 10, 20]


def test_a_spontaneous_message_goes_out_in_the_tick_of_the_change_and_not_before():
    sender = one("Spontaneous", cycle_ms=10)
    assert sender.sent_at(range(30), {3: {0: 7}, 4: {0: 7.2}, 20: {0: 8}, 21: {0: 7}}) == [3, 20, 21]


def test_a_value_that_goes_back_before_the_least_distance_is_over_is_not_sent():
    sender = one("Spontaneous", delay_ns=5 * MS)
    changes = {0: {0: 1}, 2: {0: 2}, 3: {0: 1}, 10: {0: 2}, 12: {0: 3}}
    assert sender.sent_at(range(30), changes) == [0, 10, 15]


def test_cyclic_and_spontaneous_keeps_its_grid_beside_the_changes():
    sender = one("CyclicAndSpontaneous", cycle_ms=10)
    assert sender.sent_at(range(31), {3: {0: 7}, 20: {0: 8}}) == [0, 3, 10, 20, 30]


def test_a_change_repeats_at_the_fast_cycle_and_a_new_change_starts_the_repetitions_anew():
    sender = one("SpontaneousWithRepetition", fast_ms=4, repetitions=2)
    assert sender.sent_at(range(40), {1: {0: 7}, 20: {0: 8}, 22: {0: 9}}) == [1, 5, 9, 20, 22, 26, 30]


def test_if_active_is_sent_while_a_value_differs_from_the_start_value():
    sender = one("IfActive", cycle_ms=5, start=3)
    sender.row[0] = 3
    assert sender.sent_at(range(40), {4: {0: 7}, 17: {0: 8}, 21: {0: 3}}) == [4, 9, 14, 19]


def test_the_inactive_value_of_the_file_is_the_one_at_which_nothing_is_sent():
    sender = Sender((message("M", signal(start_value=3, inactive_value=9), send_type="IfActive", cycle_ms=5),), ONE)
    sender.row[0] = 9
    assert sender.sent_at(range(40), {4: {0: 3}, 17: {0: 9}}) == [4, 9, 14]


def test_if_active_with_repetition_tells_that_it_has_ended():
    sender = one("IfActiveWithRepetition", cycle_ms=5, repetitions=2)
    assert sender.sent_at(range(40), {4: {0: 7}, 12: {0: 0}}) == [4, 9, 12, 17]


def test_the_fast_cycle_stands_in_for_the_slow_one_while_active():
    sender = one("CyclicIfActiveFast", cycle_ms=20, fast_ms=5)
    assert sender.sent_at(range(65), {6: {0: 7}, 30: {0: 0}}) == [0, 6, 11, 16, 21, 26, 40, 60]


def test_a_signals_own_send_type_makes_its_cyclic_message_go_out_at_once():
    signals = (signal("A", send_type="OnChange"), signal("B", start=8))
    sender = Sender((message("M", *signals, send_type="Cyclic", cycle_ms=10),), {"M.A": 0, "M.B": 1})
    assert sender.sent_at(range(30), {3: {1: 7}, 6: {0: 7}}) == [0, 6, 10, 20]


def test_without_a_send_type_the_signals_decide_and_then_the_cycle_time():
    assert one("NoMsgSendType", cycle_ms=10).sent_at(range(25), {3: {0: 1}}) == [0, 10, 20]
    assert one("NoMsgSendType", cycle_ms=10, signal_word="OnWrite").sent_at(range(25), {3: {0: 1}}) == [3]
    assert one("NoMsgSendType").sent_at(range(25), {3: {0: 1}}) == []
    assert one("", cycle_ms=10).sent_at(range(25)) == [0, 10, 20]


def test_a_trigger_sends_once_and_waits_for_the_least_distance():
    sender = one("NoMsgSendType", delay_ns=5 * MS)
    sent = []
    for t in range(20):
        if t in (2, 3, 15):
            restbus.trigger(sender.s[0], 0)
        sent += [t] if sender.step(t) else []
    assert sent == [2, 7, 15]


def test_an_event_that_finds_no_room_is_sent_in_the_next_tick_a_cyclic_frame_is_lost():
    tx = zeros(Frames)
    tx[0]["n"] = FRAMES
    for word, sent in (("Spontaneous", [1]), ("Cyclic", [10])):
        sender = one(word, cycle_ms=10)
        sender.row[0] = 4
        lost = int(tx[0]["lost"])
        restbus.step(sender.s[0], sender.p[0], 0, sender.row, tx[0])
        assert tx[0]["lost"] == lost + 1
        assert sender.sent_at(range(1, 15)) == sent


def test_a_start_delay_is_the_phase_and_a_start_value_goes_out_until_a_source_says_more():
    signals = (signal("A", start_value=9), signal("B", start=8, start_value=300, length=9), signal("C", start=20))
    sender = Sender((message("M", *signals, cycle_ms=10, start_delay_ns=4 * MS),), {"M.A": 0}, tick_ns=MS, otherwise=77)
    sender.row[0] = np.nan
    assert sender.sent_at(range(20)) == [4, 14]
    ((_, payload),) = sender.step(24)
    assert [raw_of(s, payload) for s in signals] == [77, 300, 0]
    sender.row[0] = 5
    assert sender.step(34)[0][1][0] == 5


def test_a_source_stands_where_an_overlapping_start_value_would_cover_it():
    signals = (signal("A"), signal("Word", length=16, start_value=0xFFFF))
    assert Sender((message("M", *signals, cycle_ms=10),), {"M.A": 0}).step(0, {0: 3})[0][1][:2] == b"\x03\xff"


DBC = """VERSION ""
BU_: Car
BO_ 256 M: 40 Car
 SG_ F : 7|32@0- (0.5,1) [0|0] "" Car
 SG_ D : 32|64@1- (1,0) [0|0] "" Car
 SG_ U : 96|64@1+ (1,0) [0|0] "" Car
 SG_ N : 167|12@0- (0.1,-5) [0|0] "" Car
SIG_VALTYPE_ 256 F : 1;
SIG_VALTYPE_ 256 D : 2;
"""


def test_floats_and_wide_numbers_go_out_as_cantools_reads_them():
    signals = (
        signal("F", start=7, length=32, big=True, signed=True, is_float=True, factor=0.5, offset=1.0),
        signal("D", start=32, length=64, signed=True, is_float=True),
        signal("U", start=96, length=64),
        signal("N", start=167, length=12, big=True, signed=True, factor=0.1, offset=-5.0),
    )
    m = message("M", *signals, id=256, length=40, fd=True, cycle_ms=1)
    sender = Sender((m,), {f"M.{s.name}": k for k, s in enumerate(signals)})
    reference = cantools.database.load_string(DBC, "dbc").messages[0]
    for t, row in enumerate(
        (
            (1.5, -1e300, 2.0**63 + 2.0**12, -17.3),
            (-0.25, 0.1, 2.0**64, 199.7),
            (1e9, np.pi, 3.0, -209.8),
            (7, 0, -1, 1e9),
        )
    ):
        ((_, payload),) = sender.step(t, dict(enumerate(row)))
        read = reference.decode(payload)
        assert read["F"] == struct.unpack(">f", struct.pack(">f", (row[0] - 1.0) / 0.5))[0] * 0.5 + 1.0
        assert read["D"] == row[1]
        assert read["U"] == min(max(int(row[2]), 0), 2**64 - 1)
        assert read["N"] == pytest.approx(min(row[3], 2047 * 0.1 - 5), abs=1e-9)


def test_float_limits_hold_and_an_unknown_float_is_its_declared_raw_number():
    s = signal("S", length=32, signed=True, is_float=True, minimum=-1.0, maximum=2.0)
    sender = Sender((message("M", s, cycle_ms=1),), ONE, otherwise=0x7FC00000)
    for t, (value, sent) in enumerate(((0.5, 0.5), (-9.0, -1.0), (np.inf, 2.0))):
        assert struct.unpack("<f", sender.step(t, {0: value})[0][1][:4])[0] == sent
    assert np.isnan(struct.unpack("<f", sender.step(5, {0: np.nan})[0][1][:4])[0])
    with pytest.raises(InputError, match=r"M\.S: floats of 16 bits are not sent"):
        Sender((message("M", signal(length=16, is_float=True), cycle_ms=1),), ONE)


def test_an_fd_message_is_flagged_and_an_extended_one_too():
    m = message("M", signal(), id=0x18FF1234, extended=True, fd=True, length=64, cycle_ms=10)
    sender, tx = Sender((m,)), zeros(Frames)
    restbus.step(sender.s[0], sender.p[0], 0, sender.row, tx[0])
    frame = tx[0]["slot"][0]
    assert frame["bits"] == FrameBits.SENT | FrameBits.FD | FrameBits.EXTENDED
    assert (frame["dlc"], frame["id"]) == (64, 0x18FF1234)


PAGED = (
    signal("Mux", selector=True),
    signal("A", start=8, mux_signal="Mux", mux_ranges=((0, 0), (3, 5))),
    signal("B", start=8, mux_signal="Mux", mux_ranges=((1, 2),)),
    signal("C", start=8, mux_signal="Mux", mux_ranges=((9, 9),)),
    signal("Always", start=16),
)


def test_groups_take_turns_when_nothing_drives_the_multiplexer():
    m = message("M", *PAGED, cycle_ms=10)
    sender = Sender((m,), {"M.A": 0, "M.B": 1, "M.C": 2, "M.Always": 3})
    sent = [sender.step(10 * k, {0: 50, 1: 60, 2: 70, 3: 80})[0][1][:3] for k in range(4)]
    assert [tuple(p) for p in sent] == [(0, 50, 80), (1, 60, 80), (9, 70, 80), (0, 50, 80)]


def test_the_group_of_the_multiplexers_value_goes_out_when_a_quantity_drives_it():
    sender = Sender((message("M", *PAGED, cycle_ms=10),), {"M.Mux": 0, "M.A": 1, "M.B": 2, "M.C": 3})
    sent = [sender.step(10 * k, {0: v, 1: 50, 2: 60, 3: 70})[0][1][:2] for k, v in enumerate((4, 2, 9, 7))]
    assert [tuple(p) for p in sent] == [(4, 50), (2, 60), (9, 70), (7, 0)]


def test_a_change_in_another_group_sends_that_group_and_the_turn_goes_on_as_before():
    m = message("M", *PAGED, cycle_ms=100, send_type="CyclicAndSpontaneous")
    sender = Sender((m,), {"M.A": 0, "M.B": 1, "M.C": 2})
    sent = {}
    for t in range(0, 320, 10):
        for _, payload in sender.step(t, {110: {0: 5}, 130: {0: 4, 1: 6}}.get(t)):
            sent[t] = tuple(payload[:2])
    assert sent == {0: (0, 0), 100: (1, 0), 110: (0, 5), 130: (0, 4), 140: (1, 6), 200: (9, 0), 300: (0, 4)}


def test_a_change_in_the_group_whose_turn_it_is_takes_the_turn():
    m = message("M", *PAGED, cycle_ms=100, send_type="CyclicAndSpontaneous")
    sender = Sender((m,), {"M.A": 0, "M.B": 1, "M.C": 2})
    sent = [(t, p[0]) for t in range(0, 410, 10) for _, p in sender.step(t, {150: {1: 6}}.get(t))]
    assert sent == [(0, 0), (100, 1), (150, 1), (200, 9), (300, 0), (400, 1)]
    sender = Sender((m,), {"M.A": 0, "M.B": 1, "M.C": 2})
    sent = [(t, p[0]) for t in range(0, 410, 10) for _, p in sender.step(t, {150: {2: 6}}.get(t))]
    assert sent == [(0, 0), (100, 1), (150, 9), (200, 0), (300, 1), (400, 9)]


def test_repetitions_are_of_the_group_that_changed():
    m = message("M", *PAGED, fast_ms=10, send_type="SpontaneousWithRepetition", repetitions=2)
    sender = Sender((m,), {"M.A": 0, "M.B": 1, "M.C": 2})
    sent = [(t, *p[:2]) for t in range(0, 100, 5) for _, p in sender.step(t, {15: {1: 6}, 60: {2: 8}}.get(t))]
    assert sent == [(15, 1, 6), (25, 1, 6), (35, 1, 6), (60, 9, 8), (70, 9, 8), (80, 9, 8)]


def test_a_cycle_of_several_frames_sends_so_many_groups():
    sender = Sender((message("M", *PAGED, cycle_ms=10, frames_per_cycle=2),))
    assert [[p[0] for _, p in sender.step(10 * k)] for k in range(3)] == [[0, 1], [9, 0], [1, 9]]


def test_counter_and_checksum_go_with_the_frames_that_are_sent():
    protection = e2e.Protection(0x123, False, 8, 0, 8, 4, 14, 1, 0x77, 0, 0)
    m = message("M", signal(start=16), id=0x123, send_type="Spontaneous", fast_ms=5)
    sender = Sender((m,), ONE, protections=(("M", protection),))
    config = e2e.table([protection])[0]["config"][0]
    state, tx = zeros(e2e.E2eState), zeros(Frames)
    for t in range(40):
        tx[0]["n"] = 0
        sender.row[0] = t // 2
        restbus.step(sender.s[0], sender.p[0], t * MS, sender.row, tx[0])
        for frame in tx[0]["slot"][: tx[0]["n"]]:
            assert e2e.check(frame, config, state[0]) == e2e.E2eStatus.OK
    assert sender.s[0]["sent"][0] == 19
    assert state[0]["counter"] == 18 % 15


def test_a_message_another_node_sends_is_not_sent_again():
    sender = one("Cyclic", cycle_ms=10, id=0x55)
    assert sender.sent_at(range(20)) == [0, 10]
    sender.hear((0x55, 0, OTHER), t_ms=19)
    assert sender.sent_at(range(20, 500)) == []
    messages = restbus.sent_messages(sender.db, CAR)
    told = "M: another node sends it, last heard at 0.019 s, 48 frames held back"
    assert restbus.suppressions(sender.s, messages, CAR) == [told]


@pytest.mark.parametrize(
    "frame",
    [
        (0x55, int(FrameBits.SENT), OTHER),  # an adapter's echo
        (0x55, 0, int(Node.BENCH)),
        (0x55, int(FrameBits.LOST), OTHER),
        (0x55, int(FrameBits.ERROR), OTHER),
        (0x55, int(FrameBits.REMOTE), OTHER),
        (0x55, int(FrameBits.EXTENDED), OTHER),
        (0x56, 0, OTHER),
    ],
)
def test_neither_echo_nor_errors_nor_other_identifiers_silence_a_message(frame):
    sender = one("Cyclic", cycle_ms=10, id=0x55)
    sender.hear(frame)
    assert sender.sent_at(range(20)) == [0, 10]


def test_a_message_the_file_suppresses_is_never_sent_by_name_or_identifier():
    messages = tuple(message(f"M{k}", signal(), id=0x10 + k, cycle_ms=10) for k in range(3))
    sender = Sender(messages, rules=restbus.Rules(("Car",), ("M0", 0x12)), more=("restbus.suppressed", "restbus.heard"))
    assert [name for name, _ in sender.step(0)] == ["M1"]
    suppressed, heard = (sender.table.find(f"restbus.{name}").start for name in ("suppressed", "heard"))
    assert (sender.row[suppressed], sender.row[heard]) == (2, 0)
    sender.hear((0x11, 0, OTHER), (0x10, 0, OTHER), (0x99, 0, OTHER))
    assert sender.step(10) == []
    assert (sender.row[suppressed], sender.row[heard]) == (3, 2)
    with pytest.raises(InputError, match=r"suppress: no message 0x77.*\n.*no message MO that is sent here"):
        Sender(messages, rules=restbus.Rules(("Car",), (0x77, "MO")))


def test_a_suppressed_message_needs_no_send_type_that_is_understood():
    strange = message("M", signal(), send_type="OnTuesdays")
    with pytest.raises(InputError, match=r"M: unknown send type: expected one of Cyclic.*found OnTuesdays"):
        Sender((strange,))
    assert Sender((strange,), rules=restbus.Rules(("Car",), ("M",))).sent_at(range(20)) == []


def test_a_resumed_message_is_on_its_old_grid_and_is_sent_by_changes_too():
    messages = (message("M", signal(), id=0x55, send_type="CyclicAndSpontaneous", cycle_ms=10),)
    rules = restbus.Rules(("Car",), (), restbus.WhenHeard.RESUME, 3)
    sender = Sender(messages, ONE, rules)
    sender.hear((0x55, 0, OTHER), t_ms=5)
    assert sender.sent_at(range(5, 80), {20: {0: 1}, 47: {0: 2}}) == [40, 47, 50, 60, 70]


@pytest.mark.parametrize(
    ("length", "signed", "last", "turn"),
    [
        (8, False, (9, 10**19), [1, 9]),  # a range that goes on beyond what the multiplexer can have
        (4, False, (300, 300), [1]),  # one that it never has
        (64, False, ((1 << 63) + 5, (1 << 64) - 1), [1, (1 << 63) + 5]),
        (64, True, (-5, -5), [(1 << 64) - 5, 1]),
    ],
)
def test_a_multiplexer_takes_the_turns_that_its_bits_can_have(length, signed, last, turn):
    signals = (
        signal("X", selector=True, length=length, signed=signed),
        signal("P", start=64, mux_signal="X", mux_ranges=((1, 1),), start_value=7),
        signal("Q", start=64, mux_signal="X", mux_ranges=(last,), start_value=8),
    )
    sender = Sender((message("M", *signals, length=16, fd=True, cycle_ms=10),))
    sent = [sender.step(10 * k)[0][1] for k in range(4)]
    assert [int.from_bytes(payload[:8], "little") for payload in sent] == (turn * 4)[:4]
    brought = {1: 7}
    assert [payload[8] for payload in sent] == [brought.get(value, 8) for value in (turn * 4)[:4]]


def test_a_driven_multiplexer_of_64_bits_brings_what_stands_above_the_middle():
    signals = (
        signal("X", selector=True, length=64),
        signal("Q", start=64, mux_signal="X", mux_ranges=((1 << 63, (1 << 64) - 1),), start_value=8),
    )
    sender = Sender((message("M", *signals, length=16, fd=True, cycle_ms=10),), {"M.X": 0})
    assert [sender.step(10 * k, {0: value})[0][1][8] for k, value in enumerate((5.0, 2.0**63, 2.0**62))] == [0, 8, 0]


def test_the_number_sent_while_a_quantity_is_unknown_fits_its_signal():
    def sent(otherwise: int, **changes) -> bytes:
        sender = Sender((message("M", signal(**changes), cycle_ms=10),), ONE, otherwise=otherwise)
        return sender.step(0, {0: np.nan})[0][1]

    assert sent(255)[0] == 255
    assert sent(-1, signed=True)[0] == 255
    assert sent((1 << 64) - 2, length=64) == b"\xfe" + b"\xff" * 7
    assert sent(0xFFC00000, length=32, is_float=True, signed=True)[:4] == b"\x00\x00\xc0\xff"
    for otherwise, changes in ((256, {}), (-1, {}), (128, {"signed": True}), (1 << 64, {"length": 64})):
        with pytest.raises(InputError, match=f"otherwise {otherwise} does not fit the signal"):
            sent(otherwise, **changes)


def test_a_node_that_no_list_names_is_one_when_it_sends():
    sender = Sender((message("M", signal(), senders=("Unlisted",), cycle_ms=10),), rules=restbus.Rules(("Unlisted",)))
    assert [name for name, _ in sender.step(0)] == ["M"]
    with pytest.raises(InputError, match=r"no node 'Unlist': expected Car, Other, Unlisted; did you mean 'Unlisted'"):
        Sender(sender.messages, rules=restbus.Rules(("Unlist",)))


def test_a_message_that_needs_several_frames_of_classic_can_is_refused():
    long = message("M", signal(), cycle_ms=10, length=20)
    with pytest.raises(InputError, match="M: 20 bytes do not go into one frame of classic CAN"):
        Sender((long,))
    assert Sender((long,), rules=restbus.Rules(("Car",), ("M",))).step(0) == []
    assert len(Sender((replace(long, fd=True),)).step(0)) == 1


def test_as_many_messages_as_a_plan_holds_and_one_more_is_refused():
    full = tuple(message(f"M{k}", signal(), id=k, cycle_ms=256) for k in range(256))
    sender = Sender(full, tick_ns=MS)
    assert sorted(name for t in range(256) for name, _ in sender.step(t)) == sorted(m.name for m in full)
    with pytest.raises(InputError, match="257 messages, a plan holds 256"):
        Sender((*full, message("N", id=999, cycle_ms=10)))


def test_forty_messages_at_a_tick_of_one_millisecond_never_burst():
    cycles = [10, 20, 20, 50, 100, 100, 200, 500] * 5
    messages = tuple(message(f"M{k}", signal(), id=k, cycle_ms=c) for k, c in enumerate(cycles))
    spread, plain = Sender(messages, tick_ns=MS), Sender(messages)
    bursts = [len(spread.step(t)) for t in range(1000)]
    assert sum(bursts) == sum(1000 // c for c in cycles) == sum(len(plain.step(t)) for t in range(1000))
    assert max(bursts) == 2  # 1.24 frames a tick on average: no plan has less
    assert max(len(plain.step(t)) for t in range(1000, 2000)) == 40


def test_what_lacks_its_times_or_is_due_too_often_is_refused_by_name():
    for changes, said in (
        ({"send_type": "Cyclic"}, "M: has no cycle time"),
        ({"send_type": "IfActive"}, "M: has no cycle time for while it is active"),
        ({"send_type": "SpontaneousWithRepetition", "repetitions": 2}, "M: repeats, but has no time between"),
        ({"send_type": "Cyclic", "cycle_ms": 5}, "M: is due every 5 ms, a tick takes 10 ms"),
        ({"send_type": "IfActive", "fast_ms": 2}, "M: is due every 2 ms, a tick takes 10 ms"),
    ):
        with pytest.raises(InputError, match=said):
            Sender((message("M", signal(), **changes),), tick_ns=10 * MS)


def test_every_message_that_cannot_be_sent_is_named_and_the_file_can_give_it_a_cycle():
    messages = (message("A", signal(), id=1), message("B", signal(), id=2), message("C", signal(), id=3, cycle_ms=20))
    with pytest.raises(InputError, match=r"A: has no cycle time(.|\n)*B: has no cycle time"):
        Sender(messages)
    rules = restbus.Rules(("Car",), ("B",), cycles={"A": 10 * MS, "C": 5 * MS})
    sender = Sender(messages, rules=rules)
    assert [[name for name, _ in sender.step(t)] for t in range(0, 15, 5)] == [["A", "C"], ["C"], ["A", "C"]]
    with pytest.raises(InputError, match="cycles: no message D that is sent here"):
        Sender(messages, rules=restbus.Rules(("Car",), cycles={"D": MS}))


def test_the_row_is_left_alone_when_the_image_has_no_counts():
    sender = one("Cyclic", cycle_ms=10)
    sender.row[:] = np.arange(COLUMNS)
    sender.step(0)
    assert (sender.row == np.arange(COLUMNS)).all()
