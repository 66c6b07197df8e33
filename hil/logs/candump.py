"""Logs of ``candump -l``: lines ``(seconds) interface id#payload``, parsed from bytes by one kernel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hil.kernel import Bytes, Ints, Ints32, kernel
from hil.logs.devices import numbered
from hil.logs.growing import Growing
from hil.logs.lines import EPOCH_NS, text_of
from hil.logs.log import Log, Skip
from hil.tick import FrameBits

Progress = Callable[[float], None]

BLOCK = 1 << 22  # bytes parsed between two reports of progress
HEAD = 1 << 16  # bytes by which the ends of lines are told
NEWLINE = 10
NAMES = 256  # interfaces told apart
NOTED = 100  # damaged lines kept by number
FRAMES, WORDS, LINES, BAD, KNOWN, LAST, PLACE = 0, 1, 2, 3, 4, 5, 6  # indexes of the tally
TALLY = 7
EXTENDED, REMOTE, SENT = int(FrameBits.EXTENDED), int(FrameBits.REMOTE), int(FrameBits.SENT)
FD, BRS, ESI, FAULT = int(FrameBits.FD), int(FrameBits.BITRATE_SWITCH), int(FrameBits.ERROR_STATE), int(FrameBits.ERROR)
ERROR_FLAG = 0x20000000  # in the identifier of an error message (linux/can.h)


def read_candump(content: bytes, on_progress: Progress | None = None) -> Log:
    """Read a log of ``candump -l``. Interfaces keep the number in their name (``devices.numbered``); the facts name them.

    FD frames (``##``), remote frames (``#R8``), error messages (identifier bit 0x20000000; their class and bytes are
    kept), directions (`` T``, `` R``), raw length codes (``_F``) and fractions of a second of any length to the ns are
    understood. A line that is none of this is skipped, counted and named by its number; an empty line and a comment
    (``# ..``, ``; ..``, ``// ..``) are nothing.
    """
    content = _plain(content)
    data = np.frombuffer(content, np.uint8)
    columns, tally = Growing.of(0, 0), np.zeros(TALLY, np.int64)
    bad, names = np.zeros(NOTED, np.int64), np.zeros(2 * NAMES, np.int64)
    for start in range(0, len(content), BLOCK):
        stop = min(start + BLOCK, len(content))
        ends = np.flatnonzero(data[start:stop] == NEWLINE) + start
        if stop == len(content) and content[-1] != NEWLINE:
            ends = np.append(ends, stop)
        if len(ends):
            n, words, first = int(tally[FRAMES]), int(tally[WORDS]), int(tally[PLACE])
            # A line of L characters makes at most L / 16 + 1 words.
            columns.ensure(n + len(ends), words + len(ends) + (int(ends[-1]) - first) // 16)
            c = columns
            parse(data, ends, c.t_ns, c.id, c.bits, c.dlc, c.channel, c.at, c.raw, tally, bad, names)
        if on_progress:
            on_progress(stop / len(content))
    n, damaged = int(tally[FRAMES]), int(tally[BAD])
    skips = tuple(Skip(f"line {line}", "line that is no frame") for line in bad[: min(damaged, NOTED)].tolist())
    known = names[: 2 * int(tally[KNOWN])].reshape(-1, 2).tolist()
    texts = [content[start : start + length].decode("utf-8", "replace") for start, length in known]
    # Most times decide: a clock may be set while a recorder runs.
    absolute = bool(np.count_nonzero(columns.t_ns[:n] >= EPOCH_NS) * 2 > n)
    trace = columns.trace(n, int(tally[WORDS]), absolute=absolute)
    counts = np.bincount(trace.channel, minlength=len(texts)).tolist()
    named = _unique(texts, counts)
    numbers = numbered(named)
    channels = np.array([numbers[name] for name in named], np.uint8)
    if len(channels):
        trace = replace(trace, channel=channels[trace.channel])
    facts = {f"channel {number}": name for name, number in sorted(numbers.items(), key=lambda item: item[1])}
    if not n:
        facts["note"] = "the file was recognised but holds no frame"
    return Log("candump", trace, skips, damaged, facts)


def _plain(content: bytes) -> bytes:
    """The content with one byte a character and lines that end with LF: not so are files that other systems have saved."""
    if content[:3] == b"\xef\xbb\xbf" or b"\0" in content[:8]:
        content = text_of(content).encode("latin-1", "replace")
    if content.count(b"\r(", 0, HEAD) > content.count(b"\n", 0, HEAD):
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content


def _unique(names: list[str], counts: list[int]) -> dict[str, int]:
    """Frames by name; names that only bytes outside UTF-8 tell apart get their place behind."""
    out: dict[str, int] = {}
    for place, (name, count) in enumerate(zip(names, counts, strict=True)):
        out[f"{name}#{place}" if name in out else name] = count
    return out


@kernel
def _u8(data: Bytes, at: int) -> int:
    return np.int64(data[at])  # type: ignore[return-value]  # 64 bits, which Python calls int


@kernel
def _hex(byte: int) -> int:
    """Value of a hexadecimal digit, -1 when it is none."""
    if 48 <= byte <= 57:
        return byte - 48
    if 65 <= byte <= 70:
        return byte - 55
    if 97 <= byte <= 102:
        return byte - 87
    return -1


@kernel
def _blank(data: Bytes, p: int, end: int) -> int:
    """The first place from ``p`` that is no blank."""
    while p < end and (data[p] == 32 or data[p] == 9):
        p += 1
    return p


@kernel
def _time(data: Bytes, p: int, end: int) -> tuple[int, int]:
    """``(12.345)`` at ``p``: ns and the place after it, -1 when it is no time."""
    negative = p + 1 < end and data[p] == 40 and data[p + 1] == 45
    first = p + 2 if negative else p + 1
    if p >= end or data[p] != 40:
        return 0, -1
    p, seconds, fraction, scale = first, 0, 0, 1_000_000_000
    while p < end and 48 <= data[p] <= 57:
        seconds = seconds * 10 + (_u8(data, p) - 48)
        p += 1
    if p == first or p - first > 10 or seconds > 9_000_000_000:
        return 0, -1
    if p < end and data[p] == 46:
        p += 1
        while p < end and 48 <= data[p] <= 57:
            if scale > 1:
                fraction = fraction * 10 + (_u8(data, p) - 48)
                scale //= 10
            p += 1
    if p >= end or data[p] != 41:
        return 0, -1
    t_ns = seconds * 1_000_000_000 + fraction * scale
    return (-t_ns if negative else t_ns), p + 1


@kernel
def _comment(data: Bytes, p: int, end: int) -> bool:
    """Whether a comment stands at ``p``: ``#`` or ``;``, but no damaged ``(`` before a time, or ``//``; nor with zeros in it."""
    for i in range(p, end):
        if data[i] == 0:
            return False
    following = data[p + 1] if p + 1 < end else 32
    if data[p] == 35 or data[p] == 59:
        return not 48 <= following <= 57
    return bool(data[p] == 47 and following == 47)


@kernel
def _word_end(data: Bytes, p: int, end: int) -> int:
    """The first blank from ``p``, or ``end``."""
    while p < end and data[p] != 32 and data[p] != 9:
        p += 1
    return p


@kernel
def _equal(data: Bytes, a: int, b: int, length: int) -> bool:
    i = 0
    while i < length and data[a + i] == data[b + i]:
        i += 1
    return i == length


@kernel
def _identifier(data: Bytes, p: int, end: int) -> tuple[int, int, int]:
    """``123#``: identifier, bits and the place after the ``#``, -1 when it is none."""
    first, value = p, 0
    while p < end and data[p] != 35:
        digit = _hex(_u8(data, p))
        if digit < 0 or p - first == 8:
            return 0, 0, -1
        value = value << 4 | digit
        p += 1
    if p in (first, end):
        return 0, 0, -1
    if value & ERROR_FLAG and p - first == 8:
        return value & 0x1FFFFFFF, FAULT, p + 1
    if p - first > 3:
        return value & 0x1FFFFFFF, EXTENDED, p + 1
    return value, 0, p + 1 if value <= 0x7FF else -1


@kernel
def _kind(data: Bytes, p: int, end: int) -> tuple[int, int, int]:
    """What stands behind the ``#``: bits, length of a remote frame, and where the payload begins, -1 when broken."""
    if p < end and data[p] == 35:
        flags = _hex(_u8(data, p + 1)) if p + 1 < end else -1
        return FD | (BRS if flags & 1 else 0) | (ESI if flags & 2 else 0), 0, p + 2 if flags >= 0 else -1
    if p < end and (data[p] == 82 or data[p] == 114):
        digit = _hex(_u8(data, p + 1)) if p + 1 < end else -1
        if digit == 8 and p + 3 < end and data[p + 2] == 95 and _hex(_u8(data, p + 3)) > 8:
            return REMOTE, 8, p + 4
        return REMOTE, max(digit, 0), -1 if digit > 8 else p + 2 if digit >= 0 else p + 1
    return 0, 0, p


@kernel
def _payload(data: Bytes, p: int, end: int, raw: Bytes, to: int, longest: int) -> tuple[int, int]:
    """Pairs of hex digits into ``raw`` from ``to`` on: how many, and the place after them, -1 when broken."""
    n = 0
    while p < end and data[p] != 32 and data[p] != 9:
        high, low = _hex(_u8(data, p)), _hex(_u8(data, p + 1)) if p + 1 < end else -1
        if high >= 0 and low >= 0 and n < longest:
            raw[to + n] = high << 4 | low
            n += 1
            p += 2
        elif data[p] == 46 and n > 0:
            p += 1
        elif data[p] == 95 and n == 8 and longest == 8 and low > 8:
            return n, p + 2
        else:
            return n, -1
    return n, p


@kernel
def _direction(data: Bytes, p: int, end: int) -> int:
    """SENT behind `` T``, 0 behind `` R`` or nothing, -1 when something else stands there."""
    p = _blank(data, p, end)
    if p == end:
        return 0
    if p + 1 < end:
        return -1
    mark = data[p] | 32
    return SENT if mark == 116 else 0 if mark == 114 else -1


@kernel
def parse(
    data: Bytes, ends: Ints, t_ns: Ints, ids: Ints32, bits: Ints32, dlc: Bytes, channel: Bytes, at: Ints, raw: Bytes,
    tally: Ints, bad: Ints, names: Ints,
) -> None:  # fmt: skip
    """Append the frames of the lines that end at ``ends``; the first begins at ``tally[PLACE]``.

    The columns must have room for all. ``bad`` takes the numbers of the first damaged lines; ``names`` holds start and
    length of each interface's name.
    """
    place, n, word, last, known = tally[PLACE], tally[FRAMES], tally[WORDS], tally[LAST], tally[KNOWN]
    for line in range(len(ends)):
        start, end = place, ends[line]
        place = end + 1
        while end > start and (data[end - 1] == 13 or data[end - 1] == 32 or data[end - 1] == 9):
            end -= 1
        start = _blank(data, start, end)
        if start == end or (data[start] != 40 and _comment(data, start, end)):
            continue
        stamp, p = _time(data, start, end)
        name = _blank(data, p, end) if p >= 0 else end
        after = _word_end(data, name, end)
        ident, about, p = _identifier(data, _blank(data, after, end), end)
        more, length, p = _kind(data, p, end) if p >= 0 else (0, 0, -1)
        if p >= 0 and not more & REMOTE:
            length, p = _payload(data, p, end, raw, word * 8, 64 if more & FD else 8)
        sent = _direction(data, p, end) if p >= 0 else -1
        if sent >= 0:
            size = after - name
            if names[2 * last + 1] != size or not _equal(data, names[2 * last], name, size):
                last = 0
                while last < known and (names[2 * last + 1] != size or not _equal(data, names[2 * last], name, size)):
                    last += 1
                if last == known and known < NAMES:
                    names[2 * last], names[2 * last + 1], known = name, size, known + 1
        if sent < 0 or last == NAMES:
            if tally[BAD] < NOTED:
                bad[tally[BAD]] = tally[LINES] + line + 1
            tally[BAD] += 1
            last = min(last, NAMES - 1)
            continue
        t_ns[n], channel[n], ids[n], bits[n], dlc[n], at[n] = stamp, last, ident, about | more | sent, length, word
        filled = word + (length + 7) // 8
        for i in range(word * 8 if more & REMOTE else word * 8 + length, filled * 8):
            raw[i] = 0
        n, word = n + 1, filled
    tally[PLACE], tally[FRAMES], tally[WORDS], tally[LAST], tally[KNOWN] = place, n, word, last, known
    tally[LINES] += len(ends)
