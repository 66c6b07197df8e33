"""The objects inside a BLF container: found by one kernel, spread into the columns of a trace by a second.

The binary logging format has no public specification; the layouts are those on which the open readers agree. An object
begins with ``LOBJ``, header size (u16), header version (u16), object size (u32), type (u32); then flags (u32), time (u64
at byte 24, in 10 us or ns as the flags say) in header versions 1 and 2 alike, and at ``header size`` its own fields,
which ``layouts`` names for every type that is a frame. Objects lie one after the other; some types are padded to whole
words, some with ``size % 4`` bytes, some not at all, so that the next signature is looked for in the 8 bytes after an
object's end.

The kernels call only small functions of few arrays: counted references of arrays cost more than the walk itself.
"""

import numpy as np
from numpy.typing import NDArray

from hil.kernel import Bytes, Ints, Ints32, kernel
from hil.tick import FrameBits

MESSAGE, ERROR, CONTAINER, ERROR_EXT = 1, 2, 10, 73
MESSAGE2, FD_MESSAGE, FD_MESSAGE_64, FD_ERROR_64 = 86, 100, 101, 104
BASE = 16  # bytes of the header every object has
HEADER = 32  # bytes of header version 1; version 2 has 40
WINDOW = 8  # bytes in which the signature must begin after the end of an object
SIGNATURE = 0x4A424F4C  # "LOBJ"
LONGEST = 1 << 26  # bytes; an object that says it is longer is taken for damaged
SMALLEST = HEADER + 4  # bytes of the smallest frame, for reserving room
NOTED = 64  # damaged places kept by offset
TYPES = 256
OVERLOAD, STATISTIC, DRIVER_ERROR, CLOCK, TEXT, MARKER, ETHERNET_STATISTIC = 3, 4, 31, 51, 65, 96, 115  # no frames
FRAMES, BAD, NEED, LOST = 0, 1, 2, 3  # indexes of the tally
TALLY = 4
EXTENDED, REMOTE, SENT = int(FrameBits.EXTENDED), int(FrameBits.REMOTE), int(FrameBits.SENT)
FD, BRS, ESI, FAULT = int(FrameBits.FD), int(FrameBits.BITRATE_SWITCH), int(FrameBits.ERROR_STATE), int(FrameBits.ERROR)

# Columns of a layout: offsets count from the end of the header; -1 = the type has no such field.
LEAST, MOST, CHANNEL_HIGH, IDENT, CODE, CODE_MASK, VALID, EXTRA, PAYLOAD, ALWAYS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
FLAGS = 10  # five pairs of byte offset and mask: sent, remote, FD, bit rate switch, error state
FIELDS = FLAGS + 10


def layouts() -> NDArray[np.int64]:
    """Where each type of frame has its fields, ``(TYPES, FIELDS)``; ``MOST`` = 0 for a type that is no frame.

    ``LEAST`` and ``MOST`` are the sizes its part after the header can have. ``VALID`` is the count of payload bytes that
    were kept, ``EXTRA`` the offset from the object's begin to further data behind the payload (0 = none).
    """
    none = (0, 0)
    rows: dict[int, tuple[int, ...]] = {
        MESSAGE: (16, 16, 1, 4, 3, 255, -1, -1, 8, 0, 2, 1, 2, 0x80, *none, *none, *none),
        MESSAGE2: (8, 80, 1, 4, 3, 255, -1, -1, 8, 0, 2, 1, 2, 0x80, *none, *none, *none),
        ERROR: (4, 16, 1, -1, -1, 0, -1, -1, 4, FAULT, *none, *none, *none, *none, *none),
        ERROR_EXT: (24, 40, 1, 16, 10, 15, -1, -1, 24, FAULT, *none, *none, *none, *none, *none),
        FD_MESSAGE: (20, 96, 1, 4, 3, 255, 14, -1, 20, 0, 2, 1, 2, 0x80, 13, 1, 13, 2, 13, 4),
        FD_MESSAGE_64: (40, 1024, -1, 4, 1, 255, 2, 35, 40, 0, 34, 255, 12, 0x10, 13, 0x10, 13, 0x20, 13, 0x40),
        FD_ERROR_64: (44, 1024, -1, 12, 1, 255, 2, 10, 44, FAULT, *none, *none, 8, 0x80, 8, 0x40, 8, 0x20),
    }
    out = np.zeros((TYPES, FIELDS), np.int64)
    for kind, row in rows.items():
        out[kind] = row
    return out


@kernel
def _u8(data: Bytes, at: int) -> int:
    return np.int64(data[at])  # type: ignore[return-value]  # 64 bits, which Python calls int


@kernel
def _place(where: Ints32, i: int) -> int:
    return np.int64(where[i])  # type: ignore[return-value]  # 64 bits, which Python calls int


@kernel
def _u16(data: Bytes, at: int) -> int:
    return _u8(data, at) | _u8(data, at + 1) << 8


@kernel
def _u32(data: Bytes, at: int) -> int:
    return _u16(data, at) | _u16(data, at + 2) << 16


@kernel
def signature_at(data: Bytes, at: int, stop: int) -> int:
    """The first place in [at, stop) where a whole signature begins, -1 when there is none."""
    for i in range(at, min(stop, len(data) - 3)):
        if data[i] == 0x4C and _u32(data, i) == SIGNATURE:
            return i
    return -1


@kernel
def length_of(code: int, fd: bool) -> int:
    """Payload bytes of a data length code (ISO 11898-1, table 5); codes over 8 mean 8 in a classic frame."""
    if code <= 8:
        return code
    if not fd:
        return 8
    if code >= 15:
        return 64
    return 12 + 4 * (code - 9) if code <= 12 else 32 + 16 * (code - 13)


@kernel
def _sound(data: Bytes, p: int, layout: Ints) -> bool:
    """Whether an object without a signature behind its end is believed: it or the next one is damaged.

    It is when it is a frame or the last object, its payload is all there and no other object begins inside it.
    """
    head, size, kind = _u16(data, p + 4), _u32(data, p + 8), _u32(data, p + 12)
    field = layout[kind, VALID]
    if layout[kind, MOST] == 0:
        if p + size + WINDOW <= len(data):
            return False
    elif field >= 0 and data[p + head + field] > size - head - layout[kind, PAYLOAD]:
        return False
    return signature_at(data, p + BASE, p + size) < 0


@kernel
def _plausible(head: int, size: int, kind: int, least: int, most: int) -> bool:
    """Whether an object of this type can have these sizes; ``most`` = 0 for a type that is no frame."""
    if head < BASE or size < head or size > LONGEST or kind < 1 or kind >= TYPES or kind == CONTAINER:
        return False
    return most == 0 or (head >= HEADER and least <= size - head <= most)


@kernel
def _skipped(tally: Ints, bad: Ints, p: int, lost: int) -> int:
    """Count a damaged place unless it belongs to the one before; always 1."""
    if lost == 0:
        if tally[BAD] < NOTED:
            bad[tally[BAD]] = p
        tally[BAD] += 1
    return 1


@kernel
def _disguised(data: Bytes, p: int, head: int, size: int, kind: int) -> bool:
    """Whether an object of a type that is no frame has everything of a frame of type CAN_MESSAGE but the type.

    These have no checksum: of a damaged type nothing else tells. Types common in logs are what they say.
    """
    if size - head != 16 or kind in (OVERLOAD, STATISTIC, DRIVER_ERROR, CLOCK):
        return False
    if kind in (TEXT, MARKER, ETHERNET_STATISTIC) or head < HEADER:
        return False
    b = p + head
    ident = _u32(data, b + 4)
    return _u16(data, b) <= 256 and data[b + 3] <= 8 and (ident < 0x800 or 1 << 31 <= ident < 5 << 29)


@kernel
def find(data: Bytes, whole: int, top: int, layout: Ints, where: Ints32, tally: Ints, others: Ints, bad: Ints) -> int:
    """Where the frames in ``data`` begin, into ``where``; returns where the search stopped. ``others`` counts other types.

    ``whole`` = 0: more data may follow; ``tally[NEED]`` bytes from where the search stopped hold the next object. ``top`` = 1:
    it also stops where a container begins. ``bad`` takes damaged places, none while ``tally[LOST]`` says they are counted.
    """
    last, p, n, lost, need = len(data), 0, 0, tally[LOST], 0
    found = signature_at(data, 0, WINDOW)
    while True:
        if found < 0:
            if p + WINDOW + 4 > last and whole == 0:
                need = WINDOW + 4
                break
            if p >= last or (last - p < BASE and lost == 0 and data[p] != 0x4C):
                p = last
                break
            lost = _skipped(tally, bad, p, lost)
            found = signature_at(data, p, last)
            if found < 0:
                p = last if whole else max(p, last - 3)
                break
        p = found
        if p + BASE > last:
            if whole:
                _skipped(tally, bad, p, lost)
                p = last
            need = HEADER
            break
        head, size, kind = _u16(data, p + 4), _u32(data, p + 8), _u32(data, p + 12)
        if top == 1 and (kind == CONTAINER or head == BASE):
            lost = 0
            break
        row = min(kind, TYPES - 1)
        most, end = layout[row, MOST], p + size
        good = _plausible(head, size, kind, layout[row, LEAST], most)
        if good and end + WINDOW + 4 > last and whole == 0:
            need = size + WINDOW + 4
            break
        good = good and end <= last and not (most == 0 and _disguised(data, p, head, size, kind))
        found = signature_at(data, end, end + WINDOW) if good else -1
        if good and found < 0:
            good = _sound(data, p, layout)
        if not good:
            p, lost = p + 4, _skipped(tally, bad, p, lost)
            found = signature_at(data, p, p + WINDOW)
            continue
        where[n] = p
        n, others[row], p, lost = n + (most > 0), others[row] + (most == 0), end, 0
    tally[FRAMES], tally[LOST], tally[NEED] = n, lost, need
    return p


@kernel
def _bits(data: Bytes, b: int, layout: Ints, kind: int) -> int:
    """Flags of the frame whose own fields begin at ``b``; without EXTENDED."""
    out = layout[kind, ALWAYS]
    out |= SENT if data[b + layout[kind, FLAGS]] & layout[kind, FLAGS + 1] else 0
    out |= REMOTE if data[b + layout[kind, FLAGS + 2]] & layout[kind, FLAGS + 3] else 0
    out |= FD if data[b + layout[kind, FLAGS + 4]] & layout[kind, FLAGS + 5] else 0
    out |= BRS if data[b + layout[kind, FLAGS + 6]] & layout[kind, FLAGS + 7] else 0
    out |= ESI if data[b + layout[kind, FLAGS + 8]] & layout[kind, FLAGS + 9] else 0
    return int(out)


@kernel
def heads(
    data: Bytes, where: Ints32, count: int, first: int, zero_ns: int, layout: Ints, t_ns: Ints, ids: Ints32, bits: Ints32,
    channel: Bytes,
) -> None:  # fmt: skip
    """Time, identifier, flags and channel of the frames at ``where`` into the columns from ``first`` on."""
    for i in range(count):
        p = _place(where, i)
        kind, b, n = _u32(data, p + 12), p + _u16(data, p + 4), first + i
        low, high = _u32(data, p + 24), _u32(data, p + 28)
        stamp = low | high << 32
        t_ns[n] = zero_ns + (stamp * 10_000 if _u32(data, p + 16) == 1 else stamp)
        at = layout[kind, IDENT]
        ident = _u32(data, b + at) if at >= 0 else 0
        ids[n] = ident & 0x1FFFFFFF
        bits[n] = _bits(data, b, layout, kind) | (EXTENDED if ident >> 31 else 0)
        number = _u8(data, b)
        if layout[kind, CHANNEL_HIGH] > 0:
            number |= _u8(data, b + 1) << 8
        channel[n] = min(max(number - 1, 0), 255)


@kernel
def _kept(data: Bytes, p: int, b: int, layout: Ints, kind: int, length: int) -> int:
    """How many of the payload's ``length`` bytes the object really holds."""
    field, extra = layout[kind, VALID], layout[kind, EXTRA]
    before = b - p + layout[kind, PAYLOAD]
    end = _u32(data, p + 8)
    if extra >= 0 and data[b + extra] >= before:
        end = min(end, _u8(data, b + extra))
    kept = min(length, end - before)
    return int(max(0, min(kept, _u8(data, b + field)) if field >= 0 else kept))


@kernel
def payloads(
    data: Bytes, where: Ints32, count: int, first: int, word: int, layout: Ints, bits: Ints32, dlc: Bytes, at: Ints,
    raw: Bytes,
) -> int:  # fmt: skip
    """Lengths and payloads of the frames at ``where``, from word ``word`` on, zeros behind; returns the next free word.

    The length is what the length code says, or the bytes kept if they are more; what was not kept of it is zero.
    """
    for i in range(count):
        p = _place(where, i)
        kind, b, n = _u32(data, p + 12), p + _u16(data, p + 4), first + i
        fd = bits[n] & FD != 0
        field = layout[kind, CODE]
        code = _u8(data, b + field) & layout[kind, CODE_MASK] if field >= 0 else 0
        length = length_of(code, fd)
        field = layout[kind, VALID]
        if field >= 0:
            length = max(length, min(_u8(data, b + field), 64 if fd else 8))
        kept = 0 if bits[n] & REMOTE else _kept(data, p, b, layout, kind, length)
        source = b + layout[kind, PAYLOAD]
        dlc[n], at[n] = length, word
        to, following = word * 8, word + (length + 7) // 8
        for k in range(kept):
            raw[to + k] = data[source + k]
        for k in range(to + kept, following * 8):
            raw[k] = 0
        word = following
    return word
