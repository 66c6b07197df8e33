"""A classic CAN bus in virtual time: arbitration, exact frame lengths with stuff bits, and nothing else.

Frames handed over wait until the bus is free; then the lowest identifier among those waiting wins, as the wired AND of
the arbitration field decides it (ISO 11898-1, 10.4): an 11-bit frame beats a 29-bit one with the same leading 11 bits,
equal identifiers go in the order they were handed over. A frame's length is counted from its bits: header, payload and
CRC-15 with every stuff bit, then CRC delimiter, acknowledge and end of frame. Three bits of intermission follow.

Every frame is acknowledged and none is corrupted: errors on the wire are the business of the frame faults.
"""

from typing import Annotated

import numpy as np

from hil.errors import InputError, Problem
from hil.kernel import I64, Ints, Ints32, Rows, kernel, view, zeros
from hil.tick import FRAMES, Frame, FrameBits, Frames

QUEUE = 128  # frames that can wait, all nodes together
LONGEST = 8  # payload bytes of a classic frame
INTERMISSION = 3  # recessive bits between frames (ISO 11898-1, 10.4.6)
TAIL = 10  # CRC delimiter, ACK slot, ACK delimiter, 7 bits end of frame: never stuffed
HEADER = 19  # SOF, 11 identifier bits, RTR, IDE, r0, 4 DLC bits
HEADER_EXTENDED = 39  # SOF, 11, SRR, IDE, 18, RTR, r1, r0, 4
CRC_BITS = 15
POLYNOMIAL = 0x4599  # x15 + x14 + x10 + x8 + x7 + x4 + x3 + 1 (ISO 11898-1, 10.4.2.6)
IDLE = 4  # stuffing state after one recessive bit, see ``_stuffed``
EXTENDED = int(FrameBits.EXTENDED)
REFUSED = int(FrameBits.FD) | int(FrameBits.BITRATE_SWITCH) | int(FrameBits.ERROR)
LOST = int(FrameBits.LOST)


class BusParams:
    """Bit rate, how many frames may wait, and the tables that count bits a byte at a time."""

    bit_rate: I64  # bit/s
    depth: I64  # frames that may wait, at most QUEUE
    crc: Annotated[Ints32, 256]  # CRC-15 of one byte
    stuff: Annotated[Ints32, 2048]  # [state * 256 + byte] -> stuff bits * 8 + next state


class BusState:
    """The frames that wait and the one on the wire; all zero at the start."""

    now_ns: I64  # advanced up to here
    busy_ns: I64  # bit time used up to now_ns: frames and intermissions
    free_ns: I64  # end of the last intermission
    used_ns: I64  # bit time used up to free_ns
    sending: I64  # 1 while ``wire`` holds a frame
    end_ns: I64  # end of that frame
    n: I64  # frames waiting
    order: I64  # frames taken so far
    sent: I64  # frames that have ended
    overflow: I64  # frames that found no room to wait
    refused: I64  # frames this bus cannot carry: FD, error flag, payload over 8 bytes, identifier out of range
    ready_ns: Annotated[Ints, QUEUE]
    rank: Annotated[Ints, QUEUE]
    place: Annotated[Ints, QUEUE]
    waiting: Annotated[Rows[Frame], QUEUE]
    wire: Annotated[Rows[Frame], 1]


@kernel
def frame_bits(p: BusParams, frame: Frame) -> int:
    """Bits of a classic data frame on the wire, stuff bits included, from start of frame to end of frame."""
    # The header is filled up with leading bits to whole bytes: zeros for the CRC, whose register starts at zero, and
    # alternating bits ending in a recessive one for stuffing, which is what an idle bus looks like.
    name = np.int64(frame.id)  # a header of 39 bits does not fit the field's own type
    if frame.bits & EXTENDED:
        head = ((name >> 18) << 27) | (3 << 25) | ((name & 0x3FFFF) << 7) | frame.dlc
        n_head, fill, length = 5, 1 << 39, HEADER_EXTENDED
    else:
        head = (name << 7) | frame.dlc
        n_head, fill, length = 3, 21 << 19, HEADER
    crc, state, stuffed = 0, IDLE, 0
    for i in range(n_head):
        shift = 8 * (n_head - 1 - i)
        crc = ((crc << 8) ^ p.crc[((crc >> 7) ^ (head >> shift)) & 0xFF]) & 0x7FFF
        found = p.stuff[state * 256 + (((head | fill) >> shift) & 0xFF)]
        stuffed, state = stuffed + (found >> 3), found & 7
    for i in range(frame.dlc):
        byte = np.int64(frame.payload[i])
        crc = ((crc << 8) ^ p.crc[((crc >> 7) ^ byte) & 0xFF]) & 0x7FFF
        found = p.stuff[state * 256 + byte]
        stuffed, state = stuffed + (found >> 3), found & 7
    # The CRC's last 7 bits and one filling bit that ends the run, so that it never makes a stuff bit itself.
    found = p.stuff[state * 256 + (crc >> 7)]
    stuffed, state = stuffed + (found >> 3), found & 7
    stuffed += p.stuff[state * 256 + ((crc & 0x7F) << 1 | (~crc & 1))] >> 3
    return int(length + 8 * frame.dlc + CRC_BITS + stuffed + TAIL)


@kernel
def duration_ns(p: BusParams, bits: int) -> int:
    """Time of so many bits, to the nearest ns."""
    return (bits * 1_000_000_000 + p.bit_rate // 2) // p.bit_rate


@kernel
def rank_of(frame: Frame) -> int:
    """Arbitration order, lowest wins: 11 bits, then RTR/SRR and IDE (recessive in a 29-bit frame), then 18 bits."""
    if frame.bits & EXTENDED:
        return ((frame.id >> 18) << 19) | (1 << 18) | (frame.id & 0x3FFFF)
    return frame.id << 19


@kernel
def is_carried(frame: Frame) -> bool:
    """True for what a classic bus can carry."""
    highest = 0x1FFFFFFF if frame.bits & EXTENDED else 0x7FF
    return frame.bits & REFUSED == 0 and 0 <= frame.dlc <= LONGEST and 0 <= frame.id <= highest


@kernel
def put(target: Rows[Frame], index: int, frame: Frame) -> None:
    """Copy a whole frame, payload beyond its length included."""
    target[index] = frame  # type: ignore[index]  # arrays of records take a record as a value


@kernel
def offer(s: BusState, p: BusParams, frames: Frames) -> None:
    """Queue ``frames``, each ready from its ``t_ns`` on, at the earliest from the instant the bus has been advanced to.

    Frames marked LOST never reach the wire. A full queue drops the newcomer and counts it in ``overflow``; what classic
    CAN cannot carry is counted in ``refused``.
    """
    for i in range(frames.n):
        frame = frames.slot[i]
        if frame.bits & LOST:
            continue
        if not is_carried(frame):
            s.refused += 1
        elif s.n >= p.depth:
            s.overflow += 1
        else:
            put(s.waiting, s.n, frame)
            s.ready_ns[s.n] = max(frame.t_ns, s.now_ns)
            s.rank[s.n] = rank_of(frame)
            s.place[s.n] = s.order
            s.n += 1
            s.order += 1


@kernel
def winner(s: BusState, start_ns: int) -> int:
    """Index of the waiting frame that wins an arbitration at ``start_ns``; -1 when none is ready."""
    best = -1
    for i in range(s.n):
        if s.ready_ns[i] > start_ns:
            continue
        if best < 0 or s.rank[i] < s.rank[best]:
            best = i
        elif s.rank[i] == s.rank[best]:
            earlier = s.ready_ns[i] < s.ready_ns[best]
            if earlier or (s.ready_ns[i] == s.ready_ns[best] and s.place[i] < s.place[best]):
                best = i
    return best


@kernel
def start_next(s: BusState, p: BusParams, until_ns: int) -> bool:
    """Put the winner of the next arbitration on the wire, if that is before ``until_ns``."""
    if s.n == 0:
        return False
    start_ns = s.ready_ns[0]
    for i in range(1, s.n):
        start_ns = min(start_ns, s.ready_ns[i])
    start_ns = max(start_ns, s.free_ns)
    if start_ns >= until_ns:  # a frame handed over at until_ns may still take part
        return False
    best = winner(s, start_ns)
    put(s.wire, 0, s.waiting[best])
    last = s.n - 1
    if best != last:
        put(s.waiting, best, s.waiting[last])
        s.ready_ns[best], s.rank[best], s.place[best] = s.ready_ns[last], s.rank[last], s.place[last]
    s.n = last
    bits = frame_bits(p, s.wire[0])
    s.end_ns = start_ns + duration_ns(p, bits)
    s.free_ns = start_ns + duration_ns(p, bits + INTERMISSION)
    s.used_ns += s.free_ns - start_ns
    s.sending = 1
    return True


@kernel
def advance(s: BusState, p: BusParams, until_ns: int, out: Frames) -> None:
    """Append to ``out`` every frame whose end lies at or before ``until_ns``, in order, ``t_ns`` = end of frame.

    All frames handed over before ``until_ns`` must have been offered. Advancing in several pieces gives what advancing
    once gives. A full ``out`` counts the frame in its ``lost``. ``busy_ns`` is exact at ``until_ns``.
    """
    while True:
        if s.sending == 0 and not start_next(s, p, until_ns):
            break
        if s.end_ns > until_ns:
            break
        s.sending = 0
        s.sent += 1
        if out.n >= FRAMES:
            out.lost += 1
            continue
        put(out.slot, out.n, s.wire[0])
        out.slot[out.n].t_ns = s.end_ns
        out.n += 1
    s.now_ns = max(s.now_ns, until_ns)
    s.busy_ns = s.used_ns - max(s.free_ns - s.now_ns, 0)


def params(bit_rate: int = 500_000, depth: int = QUEUE) -> Rows[BusParams]:
    """A bus of ``bit_rate`` bit/s (500 kbit/s: the usual powertrain bus) on which ``depth`` frames can wait.

    Raises:
        InputError: a bit rate classic CAN does not have (10 kbit/s to 1 Mbit/s), a depth outside 1 .. QUEUE.
    """
    if not 10_000 <= bit_rate <= 1_000_000:
        raise InputError(Problem("bit rate of the bus", expected="10000 to 1000000 bit/s", found=str(bit_rate)))
    if not 1 <= depth <= QUEUE:
        raise InputError(Problem("depth of the bus queue", expected=f"1 to {QUEUE} frames", found=str(depth)))
    made = zeros(BusParams)
    p = view(made)
    p.bit_rate, p.depth = bit_rate, depth
    p.crc[:] = [_crc_of_byte(byte) for byte in range(256)]
    p.stuff[:] = [_stuffed(state, byte) for state in range(8) for byte in range(256)]
    return made


def _crc_of_byte(byte: int) -> int:
    crc = byte << 7
    for _ in range(8):
        crc = (crc << 1) ^ (POLYNOMIAL if crc & 0x4000 else 0)
        crc &= 0x7FFF
    return crc


def _stuffed(state: int, byte: int) -> int:
    """State = 4 * last bit on the wire + length of its run - 1; a run of five is ended at once by the stuff bit."""
    last, run, count = state >> 2, (state & 3) + 1, 0
    for shift in range(7, -1, -1):
        bit = byte >> shift & 1
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            last, run, count = 1 - bit, 1, count + 1
    return count * 8 + last * 4 + run - 1
