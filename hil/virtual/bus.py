"""A deterministic classic CAN bus: arbitration by identifier, frame times by exact length with stuffing.

Source: ISO 11898-1 (frame format, bit stuffing, CRC-15 polynomial 0x4599, intermission of 3 bits).
"""

from typing import Annotated

import numpy as np

from hil.kernel import I64, Bytes, Ints, Rows, kernel, zeros
from hil.tick import FRAMES, Frame, FrameBits, Frames

QUEUE = 256
BITS = 160  # an extended frame of 8 bytes has 118 bits before stuffing
EXTENDED, UNUSABLE = int(FrameBits.EXTENDED), int(FrameBits.LOST | FrameBits.ERROR)
TAIL_BITS = 10  # CRC delimiter, acknowledge slot and delimiter, end of frame: never stuffed
INTERMISSION_BITS = 3


class BusParams:
    """``bit_ns``: length of one bit."""

    bit_ns: I64


class BusState:
    """Frames waiting at their controllers, and when the bus gets free."""

    n: I64
    free_ns: I64
    busy_ns: I64  # total time the bus was not idle, frames and intermissions
    offered: I64  # sequence number of the next frame
    overflowed: I64  # frames that found no room
    sequence: Annotated[Ints, QUEUE]
    bits: Annotated[Ints, QUEUE]
    frame: Annotated[Rows[Frame], QUEUE]
    scratch: Annotated[Bytes, BITS]


def params(bit_rate: int = 500_000) -> Rows[BusParams]:
    """``bit_rate`` in bit/s. Raises ValueError when a bit is no whole number of nanoseconds."""
    if bit_rate <= 0 or 1_000_000_000 % bit_rate:
        raise ValueError(f"a bit of {bit_rate} bit/s is no whole number of nanoseconds")
    made = zeros(BusParams)
    np.asarray(made)[0]["bit_ns"] = 1_000_000_000 // bit_rate
    return made


@kernel
def put_bits(out: Bytes, at: int, value: int, count: int) -> int:
    """Append ``count`` bits of ``value``, most significant first; returns the new length."""
    for i in range(count):
        out[at + i] = (value >> (count - 1 - i)) & 1
    return at + count


@kernel
def unstuffed(frame: Frame, out: Bytes) -> int:
    """The frame's bits from start of frame to the last CRC bit; returns how many."""
    n = put_bits(out, 0, 0, 1)
    if frame.bits & EXTENDED:
        n = put_bits(out, n, frame.id >> 18, 11)
        n = put_bits(out, n, 3, 2)
        n = put_bits(out, n, frame.id & 0x3FFFF, 18)
        n = put_bits(out, n, 0, 3)
    else:
        n = put_bits(out, n, frame.id, 11)
        n = put_bits(out, n, 0, 3)
    n = put_bits(out, n, frame.dlc, 4)
    for i in range(min(frame.dlc, 8)):
        n = put_bits(out, n, int(frame.payload[i]), 8)
    crc = 0
    for i in range(n):
        top = int(out[i]) ^ ((crc >> 14) & 1)
        crc = (crc << 1) & 0x7FFF
        if top:
            crc ^= 0x4599
    return put_bits(out, n, crc, 15)


@kernel
def frame_bits(frame: Frame, scratch: Bytes) -> int:
    """Bits on the wire from start to end of frame, stuff bits included, intermission not."""
    n = unstuffed(frame, scratch)
    stuffed, run, last = 0, 0, 2
    for i in range(n):
        bit = int(scratch[i])
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed += 1
            last = 1 - bit
            run = 1
    return n + stuffed + TAIL_BITS


@kernel
def rank(frame: Frame) -> int:
    """Arbitration order: lower wins. An extended frame loses against a standard one of the same first 11 bits."""
    if frame.bits & EXTENDED:
        return ((frame.id >> 18) << 19) | (1 << 18) | (frame.id & 0x3FFFF)
    return frame.id << 19


@kernel
def copy_into(source: Frame, target: Frame) -> None:
    """All fields of one frame."""
    target.t_ns, target.id, target.bits = source.t_ns, source.id, source.bits
    target.dlc, target.source = source.dlc, source.source
    for i in range(8):
        target.payload[i] = source.payload[i]


@kernel
def offer(s: BusState, p: BusParams, frames: Frames) -> None:
    """Hand frames to their controllers at their ``t_ns``; frames marked lost are never sent."""
    for i in range(frames.n):
        frame = frames.slot[i]
        if frame.bits & UNUSABLE:
            continue
        if s.n >= QUEUE:
            s.overflowed += 1
            continue
        copy_into(frame, s.frame[s.n])
        s.bits[s.n] = frame_bits(frame, s.scratch)
        s.sequence[s.n] = s.offered
        s.offered += 1
        s.n += 1


@kernel
def winner(s: BusState, start_ns: int) -> int:
    """Index of the frame that wins the bus at ``start_ns``."""
    best, best_rank = -1, 0
    for i in range(s.n):
        if s.frame[i].t_ns > start_ns:
            continue
        own = rank(s.frame[i])
        if best < 0 or own < best_rank or (own == best_rank and s.sequence[i] < s.sequence[best]):
            best, best_rank = i, own
    return best


@kernel
def advance(s: BusState, p: BusParams, until_ns: int, out: Frames) -> None:
    """Append to ``out`` every frame whose end lies at or before ``until_ns``; ``t_ns`` becomes its end."""
    while s.n > 0:
        earliest = s.frame[0].t_ns
        for i in range(1, s.n):
            earliest = min(earliest, s.frame[i].t_ns)
        start_ns = max(s.free_ns, earliest)
        chosen = winner(s, start_ns)
        end_ns = start_ns + s.bits[chosen] * p.bit_ns
        if end_ns > until_ns:
            return
        if out.n < FRAMES:
            copy_into(s.frame[chosen], out.slot[out.n])
            out.slot[out.n].t_ns = end_ns
            out.n += 1
        else:
            out.lost += 1
        s.free_ns = end_ns + INTERMISSION_BITS * p.bit_ns
        s.busy_ns += s.free_ns - start_ns
        s.n -= 1
        if chosen != s.n:
            copy_into(s.frame[s.n], s.frame[chosen])
            s.bits[chosen], s.sequence[chosen] = s.bits[s.n], s.sequence[s.n]
