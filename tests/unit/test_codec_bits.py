"""bits against layouts worked out by hand and against a bit-by-bit oracle."""

import numpy as np
import pytest

from hil.codec import bits
from hil.kernel import plain


def payload(*head: int) -> np.ndarray:
    out = np.zeros(64, np.uint8)
    out[: len(head)] = head
    return out


@pytest.mark.parametrize(
    ("data", "start", "length", "big", "signed", "raw"),
    [
        ((0x12, 0x34), 0, 16, 0, 0, 0x3412),  # little endian: first byte is the low one
        ((0x12, 0x34), 7, 16, 1, 0, 0x1234),  # big endian: bit 7 of byte 0 is the highest
        ((0b1011_0000,), 4, 4, 0, 0, 0b1011),
        ((0b0000_1011,), 3, 4, 1, 0, 0b1011),
        ((0b1000_0000, 0b0000_0001), 7, 2, 0, 0, 0b11),  # over a byte border
        ((0b0000_0001, 0b1000_0000), 0, 2, 1, 0, 0b11),
        ((0xFF,), 0, 8, 0, 1, -1),
        ((0x80,), 0, 8, 0, 1, -128),
        ((0xF8, 0x07), 3, 8, 0, 1, -1),  # eight signed bits over two bytes
        ((0x10,), 4, 1, 0, 1, -1),
        ((0xFF,) * 8, 0, 64, 0, 1, -1),
        ((0, 0, 0, 0, 0, 0, 0, 0x80), 0, 64, 0, 1, -(2**63)),
        ((0x7F, *(0xFF,) * 7), 7, 64, 1, 1, 2**63 - 1),
        ((0xFF,) * 8, 0, 64, 0, 0, -1),  # no unsigned 64 bits: the same bits as an int64
    ],
)
@pytest.mark.parametrize("call", [bits.unpack, plain(bits.unpack)])
def test_a_signal_is_read_from_the_bits_its_layout_names(call, data, start, length, big, signed, raw):
    assert call(payload(*data), start, length, big, signed) == raw


def test_a_signal_in_the_last_byte_of_a_64_byte_payload_is_read():
    data = payload()
    data[62:] = (0x34, 0x12)
    assert bits.unpack(data, 496, 16, 0, 0) == 0x1234


@pytest.mark.parametrize("big", [0, 1])
def test_writing_a_signal_leaves_every_other_bit_as_it_was(big):
    for background in (0x00, 0xFF):
        data = np.full(64, background, np.uint8)
        start, length = (19, 13)
        bits.pack(data, start, length, big, 0x0AAA)
        assert bits.unpack(data, start, length, big, 0) == 0x0AAA
        bits.pack(data, start, length, big, 0x1FFF if background else 0)
        assert (data == background).all()


def test_writing_takes_only_the_low_bits_of_a_raw_number():
    data = payload()
    bits.pack(data, 4, 4, 0, 0x1F3)
    assert list(data[:2]) == [0x30, 0]


@pytest.mark.parametrize("big", [0, 1])
def test_reading_agrees_with_a_walk_over_single_bits(big):
    rng = np.random.default_rng(5)
    for _ in range(300):
        data = payload(*rng.integers(0, 256, 8))
        length = int(rng.integers(1, 64))
        first = int(rng.integers(0, 65 - length))
        text = "".join(f"{b:08b}" for b in data[:8])
        if big:
            start, wanted = (first // 8) * 8 + 7 - first % 8, int(text[first : first + length], 2)
        else:
            start, wanted = first, (int.from_bytes(bytes(data[:8]), "little") >> first) & ((1 << length) - 1)
        assert bits.unpack(data, start, length, big, 0) == wanted
        again = payload()
        bits.pack(again, start, length, big, wanted)
        assert bits.unpack(again, start, length, big, 0) == wanted
        assert sum(int(b).bit_count() for b in again) == wanted.bit_count()
