"""How long frames take on the wire, every stuff bit counted, and when they fit at the earliest.

Classic frames: header, payload and CRC-15 are stuffed after five equal bits; CRC delimiter, acknowledge and end of frame
are not (ISO 11898-1, 10.4 and 10.5). FD frames: stuffed the same way up to the end of the payload, then stuff count and
CRC with a fixed stuff bit before every four bits; with bit-rate switch the part from ESI to the CRC delimiter goes
at the data rate (ISO 11898-1:2015, 10.4.2.3). Three bits of intermission follow every frame.
"""

from typing import NamedTuple

import numpy as np

from hil.kernel import Ints, kernel
from hil.logs.trace import Int64, Trace
from hil.tick import FrameBits

EXTENDED, FD, SWITCHED = int(FrameBits.EXTENDED), int(FrameBits.FD), int(FrameBits.BITRATE_SWITCH)
REMOTE = int(FrameBits.REMOTE)
TAIL = 10  # CRC delimiter, acknowledge slot and delimiter, 7 bits end of frame
INTERMISSION = 3
POLYNOMIAL = 0x4599


class BitRates(NamedTuple):
    """Bits per second of a bus; ``data`` holds for the payload of FD frames with bit-rate switch."""

    nominal: int
    data: int


@kernel
def _push(state: Ints, bit: int) -> None:
    """One bit into the stuffed part: state = last bit, its run, stuff bits so far, CRC-15."""
    crc = state[3]
    top = ((crc >> 14) & 1) ^ bit
    state[3] = ((crc << 1) & 0x7FFF) ^ (POLYNOMIAL if top else 0)
    _run(state, bit)


@kernel
def _run(state: Ints, bit: int) -> None:
    """Count one bit for stuffing alone."""
    if bit == state[0]:
        state[1] += 1
    else:
        state[0], state[1] = bit, 1
    if state[1] == 5:
        state[2] += 1
        state[0], state[1] = 1 - bit, 1


@kernel
def _field(state: Ints, value: int, length: int) -> None:
    for shift in range(length - 1, -1, -1):
        _push(state, (value >> shift) & 1)


@kernel
def _code(length: int) -> int:
    """DLC code of a payload length."""
    if length <= 8:
        return length
    if length <= 24:
        return 8 + (length - 8 + 3) // 4
    return 13 + (length - 32 + 15) // 16 if length > 32 else 13


@kernel
def _header(state: Ints, identifier: int, bits: int, length: int) -> int:
    """Start of frame to DLC; returns how many of these bits come before the bit-rate switch takes effect."""
    extended, fd, remote = bits & EXTENDED != 0, bits & FD != 0, bits & REMOTE != 0
    recessive = 1 if remote and not fd else 0
    _push(state, 0)
    if extended:
        _field(state, identifier >> 18, 11)
        _field(state, 3, 2)  # SRR, IDE
        _field(state, identifier & 0x3FFFF, 18)
    else:
        _field(state, identifier, 11)
    if fd:
        _push(state, 0)  # RRS
        if not extended:
            _push(state, 0)  # IDE
        _field(state, 2, 2)  # FDF, reserved
        _push(state, 1 if bits & SWITCHED else 0)
        nominal = (36 if extended else 17) + state[2]
        _push(state, 0)  # ESI
    else:
        _push(state, recessive)
        _push(state, 0)  # IDE of an 11-bit frame, r1 of a 29-bit frame
        _push(state, 0)
        nominal = 0
    _field(state, _code(length), 4)
    return int(nominal)


@kernel
def _bits(state: Ints, identifier: int, bits: int, length: int, words: Ints, at: int) -> int:
    """Nominal and data-phase bits of one frame, as nominal * 2**32 + data."""
    state[0], state[1], state[2], state[3] = 1, 1, 0, 0
    nominal = _header(state, identifier, bits, length)
    payload = 0 if bits & REMOTE else length
    for i in range(payload):
        _field(state, (words[at + (i >> 3)] >> (8 * (i & 7))) & 0xFF, 8)
    extended = bits & EXTENDED != 0
    if bits & FD == 0:
        header = 39 if extended else 19
        crc = state[3]
        for shift in range(14, -1, -1):
            # A run of five that ends with the last CRC bit is followed by a stuff bit like any other.
            _run(state, (crc >> shift) & 1)
        return int((header + 8 * payload + 15 + state[2] + TAIL) << 32)
    header = 41 if extended else 22
    crc_length = 17 if length <= 16 else 21
    fixed = 4 + crc_length + (4 + crc_length + 3) // 4
    stuffed = header + 8 * payload + state[2] + fixed
    if bits & SWITCHED:
        return int(((nominal + TAIL) << 32) + stuffed - nominal)
    return int((stuffed + TAIL) << 32)


@kernel
def _durations(identifiers: Ints, bits: Ints, lengths: Ints, words: Ints, at: Ints, rates: Ints, out: Ints) -> int:
    state = np.zeros(4, np.int64)
    for i in range(len(out)):
        both = _bits(state, identifiers[i], bits[i], lengths[i], words, at[i])
        slow, fast = (both >> 32) + INTERMISSION, both & 0xFFFFFFFF
        out[i] = (slow * 1_000_000_000 + rates[0] - 1) // rates[0] + (fast * 1_000_000_000 + rates[1] - 1) // rates[1]
    return 0


def durations_ns(trace: Trace, rates: BitRates) -> Int64:
    """Time each frame keeps the bus busy, intermission included, rounded up to whole ns."""
    out = np.zeros(len(trace), np.int64)
    ids, bits, lengths = (np.ascontiguousarray(c, np.int64) for c in (trace.id, trace.bits, trace.dlc))
    words, at = trace.words.view(np.int64), np.ascontiguousarray(trace.at)
    _durations(ids, bits, lengths, words, at, np.array(rates, np.int64), out)
    return out


def fitted(due_ns: Int64, channel: Int64, busy_ns: Int64) -> Int64:
    """The earliest times not before ``due_ns`` at which no frame starts before the one before it has ended.

    Each channel is a bus of its own; frames of one channel keep their order.
    """
    out = due_ns.copy()
    for one in np.unique(channel):
        mine = channel == one
        before = np.cumsum(busy_ns[mine]) - busy_ns[mine]
        out[mine] = np.maximum.accumulate(due_ns[mine] - before) + before
    return out
