"""End-to-end protection against the autosar-e2e library, and the receiver's judgement of counters."""

import numpy as np
import pytest
from e2e import p01

from hil.codec import e2e
from hil.codec.e2e import E2eState, E2eStatus, Protection
from hil.codec.mapping import load_bus
from hil.errors import InputError
from hil.kernel import view, zeros
from hil.tick import Frame, FrameBits

LINE = Protection(0x100, False, 8, 0, 8, 4, 14, 3, 0x1234, 0, 0)


def config(line: Protection = LINE):
    return view(e2e.table([line])).config[0]


def frame(payload: bytes = bytes(8), frame_id: int = 0x100, bits: int = 0):
    made = zeros(Frame)[0]
    made["id"], made["bits"], made["dlc"] = frame_id, bits, len(payload)
    made["payload"][: len(payload)] = np.frombuffer(payload, np.uint8)
    return made


def sent(counter: int, cfg=None):
    made = frame(b"\0\0\x01\x02\x03\x04\x05\x06")
    e2e.protect(made, config() if cfg is None else cfg, counter)
    return made


@pytest.mark.parametrize("length", [2, 3, 5, 8, 64])
def test_a_protected_frame_is_byte_for_byte_that_of_the_reference_library(length):
    rng = np.random.default_rng(length)
    for _ in range(50):
        data_id, counter = int(rng.integers(0, 65536)), int(rng.integers(0, 15))
        body = bytes(rng.integers(0, 256, length, dtype=np.uint8))
        ours = frame(body)
        e2e.protect(ours, config(LINE._replace(length=length, data_id=data_id)), counter)
        theirs = bytearray(body)
        theirs[1] = (theirs[1] & 0xF0) | counter
        p01.e2e_p01_protect(theirs, data_id, data_id_mode=p01.E2E_P01_DATAID_BOTH, increment_counter=False)
        assert bytes(ours["payload"][:length]) == bytes(theirs)
        assert p01.e2e_p01_check(bytearray(ours["payload"][:length]), data_id)


def test_the_check_value_of_the_plain_crc_comes_out_with_its_start_and_final_exclusive_or():
    # SAE J1850 CRC-8 over "123456789" is 0x4B; here the data id brings "1" and "2", the CRC's own byte is left out
    made = frame(b"\x003456789")
    assert e2e.crc_of(made, config(LINE._replace(data_id=0x3231, init=0xFF, xor_out=0xFF))) == 0x4B


def test_the_counter_goes_round_after_14_as_the_reference_library_has_it():
    cfg, theirs = config(), bytearray(8)
    counter = 0
    for _ in range(40):
        p01.e2e_p01_protect(theirs, 0x1234)
        counter = e2e.next_counter(counter, cfg)
        assert counter == theirs[1] & 0x0F


def test_counters_in_order_are_good_and_every_other_step_has_its_name():
    cfg, state = config(), zeros(E2eState)[0]
    steps = [
        (7, E2eStatus.OK),  # first heard
        (8, E2eStatus.OK),
        (8, E2eStatus.REPEATED),
        (11, E2eStatus.OK),  # two lost, step of 3 allowed
        (0, E2eStatus.WRONG_SEQUENCE),  # step of 4
        (1, E2eStatus.OK),  # judged from the jump
        (0, E2eStatus.WRONG_SEQUENCE),  # backwards
    ]
    assert [e2e.check(sent(c), cfg, state) for c, _ in steps] == [s for _, s in steps]
    for counter in (1, 2, 3, *range(4, 15), 0, 1):
        assert e2e.check(sent(counter), cfg, state) == E2eStatus.OK


def test_a_wrong_bit_anywhere_is_an_error_and_leaves_the_counter_remembered():
    cfg, state = config(), zeros(E2eState)[0]
    e2e.check(sent(3), cfg, state)
    for bit in range(64):
        broken = sent(4)
        broken["payload"][bit // 8] ^= 1 << (bit % 8)
        assert e2e.check(broken, cfg, state) == E2eStatus.ERROR
    assert e2e.check(sent(4), cfg, state) == E2eStatus.OK


def test_counter_15_is_an_error_though_its_crc_is_right():
    assert e2e.check(sent(15), config(), zeros(E2eState)[0]) == E2eStatus.ERROR


def test_another_message_with_the_same_bytes_is_an_error_by_its_data_id():
    other = config(LINE._replace(data_id=0x1235))
    assert e2e.check(sent(1, other), config(), zeros(E2eState)[0]) == E2eStatus.ERROR


def test_a_short_frame_is_an_error():
    short = sent(1)
    short["dlc"] = 7
    assert e2e.check(short, config(), zeros(E2eState)[0]) == E2eStatus.ERROR


@pytest.mark.parametrize("bits", [FrameBits.LOST, FrameBits.ERROR, FrameBits.EXTENDED])
def test_a_lost_or_foreign_frame_brings_no_new_data_and_changes_nothing(bits):
    state, gone = zeros(E2eState)[0], sent(5)
    gone["bits"] = bits
    assert e2e.check(gone, config(), state) == E2eStatus.NO_NEW_DATA
    assert state["heard"] == 0


def test_a_table_finds_a_frame_by_identifier_and_kind():
    made = e2e.table([LINE, LINE._replace(id=0x200), LINE._replace(extended=True)])[0]
    assert e2e.find(made, frame(frame_id=0x200)) == 1
    assert e2e.find(made, frame(bits=FrameBits.EXTENDED)) == 2
    assert e2e.find(made, frame(frame_id=0x300)) == -1


def test_more_protected_messages_than_a_table_holds_are_refused():
    with pytest.raises(InputError, match="holds 256"):
        e2e.table([LINE] * 257)


def test_records_without_a_table_are_as_many_as_wanted_and_each_its_own():
    lines = [LINE._replace(id=identifier, data_id=identifier) for identifier in range(100)]
    made = e2e.configs(lines)
    assert len(made) == 100
    assert [int(e2e.crc_of(frame(), made[i])) for i in (0, 99)] == [
        int(e2e.crc_of(frame(), config(lines[i]))) for i in (0, 99)
    ]
    assert int(made[99]["id"]) == 99


def test_the_bench_file_protects_with_profile_1a_numbers_and_no_data_id_twice():
    lines = load_bus("dbc/bench.quantities.yaml").e2e.lines()
    assert [line.id for line in lines] == [0x0F0, 0x100, 0x101, 0x105, 0x110]
    assert {(x.init, x.xor_out, x.crc_byte, x.counter_start, x.counter_max) for x in lines} == {(0, 0, 0, 8, 14)}
    assert len({x.data_id for x in lines}) == len(lines)
