"""What a log says of its bus: identifiers with their periods, and how much of the bit time was used."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.logs.trace import Trace
from hil.tick import FrameBits

WINDOW_NS = 1_000_000_000  # of the busiest stretch
# Bits of ISO 11898-1 frames: start, identifier, control, CRC, delimiters, acknowledge, end, 3 bits of intermission.
CLASSIC, CLASSIC_EXTENDED = 47, 67
STUFFED, STUFFED_EXTENDED = (
    34,
    54,
)  # of these, without payload, between start and CRC: one stuff bit after each 4 at most
FD_SLOW, FD_SLOW_EXTENDED = 29, 48  # bits of a CAN FD frame at the nominal rate, intermission included
FD_HEAD, FD_HEAD_EXTENDED = 17, 36  # of these, the ones that can be stuffed
FD_FAST = 1 + 4 + 4 + 1  # error state, length code, stuff count, CRC delimiter
FD_CRC_SHORT, FD_CRC_LONG = 17 + 5, 21 + 6  # with their fixed stuff bits; the long one above 16 bytes


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier on one channel; ``period_ns`` is the median time between its frames, None for a single frame."""

    id: int
    extended: bool
    channel: int
    count: int
    period_ns: int | None
    length: int


def identifiers(trace: Trace) -> list[Identifier]:
    """Every identifier of data and remote frames by channel, ascending; the length is the greatest seen."""
    frames = trace.select(np.flatnonzero(trace.bits & FrameBits.ERROR == 0))
    extended = (frames.bits & FrameBits.EXTENDED != 0).astype(np.int64)
    key = frames.channel.astype(np.int64) << 32 | extended << 30 | frames.id
    order = np.argsort(key, kind="stable")
    keys, starts, counts = np.unique(key[order], return_index=True, return_counts=True)
    out = []
    for one, start, count in zip(keys.tolist(), starts.tolist(), counts.tolist(), strict=True):
        rows = order[start : start + count]
        gaps = np.diff(np.sort(frames.t_ns[rows]))
        period_ns = int(np.median(gaps)) if count > 1 else None
        longest = int(frames.dlc[rows].max())
        out.append(Identifier(one & 0x1FFFFFFF, bool(one >> 30 & 1), one >> 32, count, period_ns, longest))
    return out


def wire_ns(trace: Trace, bit_rate: int, data_bit_rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest time of each frame on the wire in ns: without stuff bits, and with as many as there can be.

    An error frame counts as 20 to 31 bits: error flags, delimiter and intermission (ISO 11898-1, 10.4.4).
    """
    bits, payload = trace.bits, np.where(trace.bits & FrameBits.REMOTE, 0, trace.dlc.astype(np.int64)) * 8
    extended, fd = bits & FrameBits.EXTENDED != 0, bits & FrameBits.FD != 0
    least = np.where(extended, CLASSIC_EXTENDED, CLASSIC) + payload
    most = least + (np.where(extended, STUFFED_EXTENDED, STUFFED) + payload - 1) // 4
    fault = bits & FrameBits.ERROR != 0
    bit_ns, data_bit_ns = 1e9 / bit_rate, 1e9 / data_bit_rate
    low, high = np.where(fault, 20, least) * bit_ns, np.where(fault, 31, most) * bit_ns
    slow = np.where(extended, FD_SLOW_EXTENDED, FD_SLOW)
    fast = FD_FAST + payload + np.where(payload > 128, FD_CRC_LONG, FD_CRC_SHORT)
    fast_ns = np.where(bits & FrameBits.BITRATE_SWITCH, data_bit_ns, bit_ns)
    head_stuff = (np.where(extended, FD_HEAD_EXTENDED, FD_HEAD) - 1) // 4
    low_fd = slow * bit_ns + fast * fast_ns
    high_fd = low_fd + head_stuff * bit_ns + (5 + payload) // 4 * fast_ns
    return np.where(fd & ~fault, low_fd, low), np.where(fd & ~fault, high_fd, high)


@dataclass(frozen=True, slots=True)
class Load:
    """Share of bit time used: least and greatest mean over the log, and the greatest of its busiest second."""

    least: float
    most: float
    busiest: float


def bus_load(trace: Trace, bit_rate: int, data_bit_rate: int) -> Load | None:
    """Load of one bus by the times of its frames; None for a log without duration."""
    if trace.duration_ns == 0:
        return None
    low, high = wire_ns(trace, bit_rate, data_bit_rate)
    second = (trace.t_ns - trace.t_ns.min()) // WINDOW_NS
    # Sorted by second, so that a gap of years costs nothing.
    _, where = np.unique(second, return_inverse=True)
    busiest = np.bincount(where, weights=high).max() / min(WINDOW_NS, trace.duration_ns)
    return Load(float(low.sum() / trace.duration_ns), float(high.sum() / trace.duration_ns), float(busiest))
