"""Supervision in time, and corruption that knows the protection: exactly one thing about a frame is wrong."""

import numpy as np
import pytest
from e2e_rig import bytes_of, config, frame, line

from hil.codec import e2e
from hil.codec.e2e import E2eState, E2eStatus
from hil.codec.e2e.corrupt import Corruption, corrupt, remember, repeat
from hil.codec.e2e.plan import Protection
from hil.kernel import zeros

BODY = bytes(range(0x30, 0x40))
MS = 1_000_000
LINES = {
    "autosar-p01": line("autosar-p01", 0x100, 8, data_id=0x123),
    "autosar-p02": line("autosar-p02", 0x100, 8, data_ids=tuple(range(7, 23))),
    "autosar-p04": line("autosar-p04", 0x100, 16, data_id=0x0A0B0C0D),
    "autosar-p05": line("autosar-p05", 0x100, 16, data_id=0x1234),
    "honda": line("honda", 0x33D, 5),
    "hyundai-canfd": line("hyundai-canfd", 0x100, 16),
    "toyota": line("toyota", 0x100, 8, counter={"start": 4, "length": 4}),
}


def sent(one: Protection, counter: int, t_ns: int = 0) -> np.void:
    made = frame(BODY[: one.length], one.id, one.extended, t_ns)
    e2e.protect(made, config(one), counter)
    return made


def heard(one: Protection, *frames: np.void) -> list[E2eStatus]:
    """What a receiver says that heard counter 0 and then these frames."""
    state = zeros(E2eState)[0]
    assert e2e.check(sent(one, 0), config(one), state) == E2eStatus.OK
    return [E2eStatus(e2e.check(f, config(one), state)) for f in frames]


def spoiled(one: Protection, counter: int, kind: Corruption, argument: int = 0) -> np.void:
    made = sent(one, counter)
    corrupt(made, config(one), int(kind), argument)
    return made


@pytest.fixture(params=LINES, name="one")
def every_kind_of_line(request: pytest.FixtureRequest) -> Protection:
    return LINES[request.param]


def test_a_wrong_crc_changes_every_bit_of_the_checksum_and_no_other(one):
    good, bad = sent(one, 1), spoiled(one, 1, Corruption.CRC)
    differ = int.from_bytes(bytes_of(good), "little") ^ int.from_bytes(bytes_of(bad), "little")
    assert differ == sum(1 << bit for bit in one.crc.positions())
    assert heard(one, bad) == [E2eStatus.ERROR]


def test_a_stuck_counter_is_a_repetition_with_new_data(one):
    stuck = spoiled(one, 1, Corruption.STUCK, 0)
    assert heard(one, stuck) == [E2eStatus.REPEATED]
    assert e2e.counter_of(stuck, config(one)) == 0


def test_a_jump_is_a_wrong_sequence_and_nothing_else(one):
    assert heard(one, spoiled(one, 1, Corruption.JUMP, 1), sent(one, 3)) == [E2eStatus.WRONG_SEQUENCE, E2eStatus.OK]
    assert heard(one, spoiled(one, 1, Corruption.JUMP, -1)) == [E2eStatus.REPEATED]
    last = one.counter_max
    assert e2e.counter_of(spoiled(one, last, Corruption.JUMP, 1), config(one)) == 0


def test_a_jump_inside_max_delta_is_taken():
    one = LINES["autosar-p01"]._replace(max_delta=3)
    assert heard(one, spoiled(one, 1, Corruption.JUMP, 2)) == [E2eStatus.OK]
    assert heard(one, spoiled(one, 1, Corruption.JUMP, 3)) == [E2eStatus.WRONG_SEQUENCE]


def test_another_data_id_is_an_error_here_and_good_to_its_owner(one):
    other = one.data_id ^ 0x11
    masked = spoiled(one, 1, Corruption.DATA_ID, other)
    assert heard(one, masked) == [E2eStatus.ERROR]
    assert e2e.counter_of(masked, config(one)) == 1
    ids = tuple(other & 0xFF for _ in one.data_ids)
    owner = one._replace(data_id=other, data_ids=ids)
    assert e2e.check(masked, config(owner), zeros(E2eState)[0]) == E2eStatus.OK


def test_the_own_data_id_is_no_corruption():
    one = LINES["autosar-p05"]
    assert bytes_of(spoiled(one, 1, Corruption.DATA_ID, 0x1234)) == bytes_of(sent(one, 1))


def test_a_repeated_frame_has_the_contents_of_the_first_and_its_own_identifier_and_time(one):
    kept, later = zeros(type_of_frame())[0], sent(one, 1, 50)
    remember(sent(one, 0), kept)
    repeat(later, kept)
    assert bytes_of(later) == bytes_of(sent(one, 0))
    assert (int(later["id"]), int(later["t_ns"])) == (one.id, 50)
    assert heard(one, later) == [E2eStatus.REPEATED]


def type_of_frame():
    from hil.tick import Frame

    return Frame


def test_what_a_protection_does_not_have_cannot_be_corrupted():
    leaf = line("sae-j1850", 0x100, 8, crc={"byte": 7})
    for kind in (Corruption.STUCK, Corruption.JUMP, Corruption.DATA_ID):
        assert bytes_of(spoiled(leaf, 0, kind, 3)) == bytes_of(sent(leaf, 0))
    assert not leaf.uses_data_id()


def test_nothing_heard_is_no_new_data_with_or_without_a_timeout():
    for timeout in ("0 ms", "50 ms"):
        cfg = config(line("autosar-p01", 0x100, 8, data_id=1, timeout=timeout))
        assert e2e.supervise(zeros(E2eState)[0], cfg, 0) == E2eStatus.NO_NEW_DATA


def test_silence_longer_than_the_timeout_is_no_new_data_and_the_next_frame_ends_it():
    one = line("autosar-p01", 0x100, 8, data_id=1, timeout="50 ms")
    cfg, state = config(one), zeros(E2eState)[0]
    e2e.check(sent(one, 0, 100 * MS), cfg, state)
    assert e2e.supervise(state, cfg, 100 * MS) == E2eStatus.OK
    assert e2e.supervise(state, cfg, 150 * MS) == E2eStatus.OK
    assert e2e.supervise(state, cfg, 150 * MS + 1) == E2eStatus.NO_NEW_DATA
    e2e.check(sent(one, 1, 200 * MS), cfg, state)
    assert e2e.supervise(state, cfg, 200 * MS) == E2eStatus.OK


def test_between_frames_the_status_is_that_of_the_last_one_and_the_time_of_the_last_good_one_is_kept():
    one = line("autosar-p01", 0x100, 8, data_id=1, timeout="50 ms")
    cfg, state = config(one), zeros(E2eState)[0]
    said = []
    for t_ms, made in ((10, sent(one, 0, 10 * MS)), (20, sent(one, 0, 20 * MS)), (30, sent(one, 9, 30 * MS))):
        e2e.check(made, cfg, state)
        said.append(E2eStatus(e2e.supervise(state, cfg, t_ms * MS)))
    broken = spoiled(one, 10, Corruption.CRC)
    broken["t_ns"] = 40 * MS
    e2e.check(broken, cfg, state)
    said.append(E2eStatus(e2e.supervise(state, cfg, 45 * MS)))
    assert said == [E2eStatus.OK, E2eStatus.REPEATED, E2eStatus.WRONG_SEQUENCE, E2eStatus.ERROR]
    assert (int(state["good_ns"]), int(state["seen_ns"])) == (10 * MS, 40 * MS)


def test_without_a_timeout_the_last_status_stands_for_ever():
    one = line("autosar-p01", 0x100, 8, data_id=1)
    cfg, state = config(one), zeros(E2eState)[0]
    e2e.check(sent(one, 0, 0), cfg, state)
    assert e2e.supervise(state, cfg, 10**18) == E2eStatus.OK


def test_a_frame_of_another_message_or_a_lost_one_does_not_end_a_silence():
    one = line("autosar-p01", 0x100, 8, data_id=1, timeout="50 ms")
    cfg, state = config(one), zeros(E2eState)[0]
    e2e.check(sent(one, 0, 0), cfg, state)
    gone, foreign = sent(one, 1, 90 * MS), sent(one._replace(id=0x101), 1, 90 * MS)
    gone["bits"] = 16
    for made in (gone, foreign):
        assert e2e.check(made, cfg, state) == E2eStatus.NO_NEW_DATA
    assert e2e.supervise(state, cfg, 100 * MS) == E2eStatus.NO_NEW_DATA


def test_a_checksum_without_a_counter_says_ok_or_error_only():
    one = line("chrysler", 0x100, 8)
    good = sent(one, 0)
    state = zeros(E2eState)[0]
    assert [e2e.check(good, config(one), state) for _ in range(3)] == [E2eStatus.OK] * 3
    assert e2e.check(spoiled(one, 0, Corruption.CRC), config(one), state) == E2eStatus.ERROR


def test_a_counter_without_a_checksum_is_supervised_too():
    one = line("counter-only", 0x100, 8, counter={"start": 60, "length": 4}, counter_max=9)
    cfg, state = config(one), zeros(E2eState)[0]
    assert one.counter_max == 9
    said = [e2e.check(sent(one, c), cfg, state) for c in (8, 9, 0, 0, 2)]
    ok, repeated, wrong = E2eStatus.OK, E2eStatus.REPEATED, E2eStatus.WRONG_SEQUENCE
    assert said == [ok, ok, ok, repeated, wrong]
    assert bytes_of(sent(one, 5)) == BODY[:7] + bytes([0x57])


def test_a_wrong_data_id_or_length_written_in_the_payload_is_an_error_even_with_a_fitting_crc():
    one = LINES["autosar-p04"]
    for other in (one._replace(data_id=one.data_id ^ 1), one._replace(length_field=None)):
        made = frame(BODY, one.id)
        e2e.protect(made, config(other), 1)
        assert heard(one, made) == [E2eStatus.ERROR]
