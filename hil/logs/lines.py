"""What every reader of text logs shares: lines out of bytes, exact times, payload bytes, frames and skips collected.

A dialect is a class with ``rows`` and ``take(line)``; ``take`` adds the line's frame to ``rows`` and returns "" when it
understood the line (a frame, a header, a comment), else what is wrong with it. One line that is not understood never costs
another line's frame.
"""

import re
from array import array
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import product
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hil.logs import mf4
from hil.logs.log import Log, Skip
from hil.logs.moment import DAY_NS
from hil.logs.trace import SLACK, Int64, Trace, places
from hil.tick import FrameBits

Progress = Callable[[float], None] | None
Reader = Callable[[bytes, Progress], Log]

EXTENDED = int(FrameBits.EXTENDED)
FD = int(FrameBits.FD)
SENT = int(FrameBits.SENT)
ERROR = int(FrameBits.ERROR)
REMOTE = int(FrameBits.REMOTE)
SWITCHED = int(FrameBits.BITRATE_SWITCH)
PASSIVE = int(FrameBits.ERROR_STATE)

SECOND_NS = 1_000_000_000
EPOCH_NS = 100_000_000 * SECOND_NS  # 1973: a log that counts from its own zero would have run three years
LIMIT_NS = 1 << 62  # half of int64, so that differences of two times fit as well
MOST_SKIPS = 100
MOST_BYTES = 64
LONGEST = 4096  # characters; a frame of 64 bytes with all its fields takes less than 500
REPORT_EVERY = 8192  # lines between two reports of progress
LENGTHS: tuple[int, ...] = tuple(mf4.LENGTHS.tolist())  # payload of each CAN FD length code
TENS: tuple[int, ...] = tuple(10**digits for digits in range(10))
SCALE = tuple(reversed(TENS))
HEX = MappingProxyType(
    {"".join(d): int("".join(d), 16) for n in (1, 2) for d in product("0123456789ABCDEFabcdef", repeat=n)}
)
DEC = MappingProxyType({text: n for n in range(256) for text in (str(n), f"{n:02d}", f"{n:03d}")})


class Wrap(NamedTuple):
    """A clock that starts again at zero each ``period_ns``; a step back of more than ``tolerance_ns`` is such a start."""

    period_ns: int
    tolerance_ns: int


MINUTE = Wrap(60 * SECOND_NS, 10_000_000)  # channels of one recorder may be 10 ms out of order
TIME_OF_DAY = Wrap(DAY_NS, DAY_NS // 2)


class Dialect(Protocol):
    """One way to write frames as lines."""

    rows: "Rows"

    def take(self, line: str) -> str:
        """Add the line's frame to ``rows``; "" when the line was understood, else what is wrong with it."""
        ...


class Rows:
    """Frames and skips of a log as they are read, and what its times mean.

    ``starts`` are added to the times behind them and make them absolute; ``wrap`` names a clock that starts again;
    ``delta`` says that each time counts from the frame before; ``epoch`` that times after 1973 are seconds of 1970.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.t_ns = array("q")
        self.identifiers = array("i")
        self.bits = array("i")
        self.channels = array("h")  # -1 where the file has 0 and others count from 1
        self.lengths = array("B")
        self.payload = bytearray()  # whole words of 8 bytes
        self.skipped: list[Skip] = []
        self.unreadable = 0
        self.facts: dict[str, str] = {}
        self.starts: list[tuple[int, int]] = []  # number of frames before it, ns since 1970
        self.wrap: Wrap | None = None
        self.delta = False
        self.epoch = False

    def add(
        self, t_ns: int, identifier: int, bits: int, payload: bytes, channel: int = 0, length: int | None = None
    ) -> str:
        """Keep one frame; returns what is wrong with it, "" for nothing. An id above 11 bits is an extended one."""
        if identifier > 0x7FF:
            if identifier > 0x1FFFFFFF:
                return "identifier above 29 bits"
            bits |= EXTENDED
        if length is None:
            length = len(payload)
        if length < 0:
            return f"a length of {str(length)[:20]}"
        if length > 8:
            if length > MOST_BYTES:
                return f"payload of {str(length)[:20]} bytes"
            if not bits & REMOTE:
                bits |= FD
        if not -LIMIT_NS < t_ns < LIMIT_NS:
            return "time out of range"
        if not -1 <= channel <= 255:
            return f"channel {channel} out of range"
        self.t_ns.append(t_ns)
        self.identifiers.append(identifier)
        self.bits.append(bits)
        self.channels.append(channel)
        self.lengths.append(length)
        self.payload += payload if length == 8 == len(payload) else payload.ljust((length + 7) // 8 * 8, b"\0")
        return ""

    @property
    def begun(self) -> bool:
        """Whether the frames that come next have a start of their own already."""
        return bool(self.starts) and self.starts[-1][0] == len(self.t_ns)

    def begin(self, start_ns: int) -> None:
        """The times of the frames that come count from here; a second start is that of a log joined to the first."""
        if self.begun:
            self.starts.pop()
        self.starts.append((len(self.t_ns), start_ns))

    def skip(self, line_number: int, problem: str, line: str) -> None:
        """Count a line that was not understood, and name it while there are few."""
        self.unreadable += 1
        if len(self.skipped) < MOST_SKIPS:
            shown = line.strip()[:60]
            self.skipped.append(Skip(f"line {line_number}", f"{problem}: {shown!r}"))

    def count(self, fact: str) -> str:
        """Add one to a fact that counts; returns "" so that a dialect can say: understood, and no frame."""
        self.facts[fact] = str(int(self.facts.get(fact, "0")) + 1)
        return ""

    def log(self) -> Log:
        """The log that was read."""
        trace = self._trace()
        backwards = int(np.count_nonzero(np.diff(trace.t_ns) < 0))
        if backwards:
            self.facts["backwards"] = str(backwards)
        if not len(trace):
            self.facts["note"] = "the file was recognised but holds no frame"
        return Log(self.name, trace, tuple(self.skipped), self.unreadable, self.facts)

    def _trace(self) -> Trace:
        t = np.array(self.t_ns, np.int64)
        # the first start holds for what stands before it too
        begins = [0, *(begin for begin, _ in self.starts[1:]), len(t)]
        for part, begin in enumerate(begins[:-1]):
            piece = slice(begin, begins[part + 1])
            if self.wrap:
                t[piece] = unwrap(t[piece], self.wrap)
            if self.delta:
                t[piece] = np.cumsum(t[piece])
            if self.starts:
                t[piece] += self.starts[part][1]
        absolute = bool(self.starts)
        if not absolute and self.epoch:
            absolute = bool(np.count_nonzero(t >= EPOCH_NS) * 2 > len(t))
        dlc = np.array(self.lengths, np.uint8)
        at, total = places(dlc)
        words = np.zeros(total + SLACK, np.uint64)
        words[:total] = np.frombuffer(self.payload, "<u8")
        ids, bits = np.array(self.identifiers, np.int32), np.array(self.bits, np.int32)
        return Trace(t, ids, bits, dlc, self._channels(), at, words, absolute)

    def _channels(self) -> NDArray[np.uint8]:
        """Channels from 0: a file that has 0 in one of eight frames counts from 0, in any other it is a damaged number."""
        channels = np.array(self.channels, np.int16)
        if np.count_nonzero(channels < 0) * 8 > len(channels):
            channels += 1
            self.facts["channel numbers"] = "from 0 in the file"
        return channels.clip(0, 255).astype(np.uint8)


def read_lines(content: bytes, dialect: Dialect, on_progress: Progress) -> Log:
    """Read all lines of ``content`` with ``dialect``. Never raises for what a line says."""
    lines = lines_of(content)
    rows, take, total = dialect.rows, dialect.take, len(lines)
    for number, line in enumerate(lines, 1):
        if on_progress is not None and number % REPORT_EVERY == 0:
            on_progress(number / total)
        try:
            problem = take(line) if len(line) <= LONGEST else f"a line of {len(line)} characters"
        except (ValueError, KeyError, IndexError):  # a field that is no number, or a missing one
            problem = "not a frame"
        # zeros overwrote something, also where what stands before them is understood
        if (problem or "\0" in line) and (stripped := line.strip()):
            zeros = stripped.count("\0")
            rows.skip(number, f"{zeros} NUL bytes" if zeros else problem, line)
    if on_progress is not None:
        on_progress(1.0)
    return rows.log()


_COLOUR = re.compile(r"\x1b\[[\d;]{0,20}m", re.ASCII)  # of a terminal whose output was kept


def lines_of(content: bytes) -> list[str]:
    """The lines of a file, whatever its line ends and however mixed; its bytes as Latin-1 unless it is UTF-16."""
    text = text_of(content)
    if "\x1b[" in text:
        text = _COLOUR.sub("", text)
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def text_of(content: bytes) -> str:
    """The text of a file without its byte order mark: UTF-16 where every other byte is zero, else one character a byte.

    The mark alone decides nothing: two damaged bytes may look like one.
    """
    sample = content[: 2 * (min(len(content), 1024) // 2)]
    pairs = len(sample) // 2
    if pairs >= 4:
        marked = sample[:2] in (b"\xff\xfe", b"\xfe\xff")
        enough = pairs * (0.5 if marked else 0.9)
        low, high = sample[1::2].count(0), sample[::2].count(0)
        if low > enough and high < pairs // 8 + 1:
            return content.decode("utf-16-le", "replace").removeprefix("\ufeff")
        if high > enough and low < pairs // 8 + 1:
            return content.decode("utf-16-be", "replace").removeprefix("\ufeff")
    return content.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def decimal_ns(whole: str, part: str) -> int:
    """Nanoseconds of ``whole.part`` seconds, exactly; digits after the ninth are cut off."""
    if len(part) > 9:
        part = part[:9]
    return int(whole) * SECOND_NS + int(part) * SCALE[len(part)] if part else int(whole) * SECOND_NS


_NUMBER = re.compile(r"\s*([+-]?)(\d{1,20})(?:[.,](\d{0,30}))?\s*$", re.ASCII)


def scaled_ns(text: str, unit_ns: int = SECOND_NS) -> int:
    """Nanoseconds of a decimal number of units, exactly, cut off below a nanosecond. ValueError when it is no number."""
    whole, _, part = text.partition(".")
    if whole.isdigit() and len(whole) < 14 and part.isdigit() and len(part) < 10:
        return int(whole) * unit_ns + int(part) * unit_ns // TENS[len(part)]
    if match := _NUMBER.match(text):
        sign, whole, part = match.group(1), match.group(2), match.group(3) or ""
        value = int(whole) * unit_ns + (int(part) * unit_ns // 10 ** len(part) if part else 0)
        return -value if sign == "-" else value
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise ValueError(f"{text!r} is no number of seconds")
    return int(number * unit_ns)


def clock_ns(hours: str, minutes: str, seconds: str, part: str = "") -> int:
    """Nanoseconds since midnight. ValueError for a time that no clock shows."""
    h, m, s = int(hours), int(minutes), int(seconds)
    if h > 23 or m > 59 or s > 60:
        raise ValueError(f"{hours}:{minutes}:{seconds} is no time of day")
    return (h * 3600 + m * 60) * SECOND_NS + decimal_ns(str(s), part)


def data_bytes(tokens: list[str], length: int) -> bytes:
    """The first ``length`` tokens, each one or two hex digits, as bytes. KeyError when one is none."""
    return bytes(map(HEX.__getitem__, tokens[:length]))


def spaced_bytes(text: str) -> bytes:
    """All tokens of one or two hex digits between white space as bytes. KeyError when one is none."""
    try:
        payload = bytes.fromhex(text)
    except ValueError:
        payload = b""
    return payload if payload else bytes(map(HEX.__getitem__, text.split()))


def hex_payload(text: str, length: int) -> bytes | None:
    """``length`` bytes from the front of ``text``, hex digits between spaces; None when fewer are there or one is wrong."""
    if not 0 <= length <= MOST_BYTES:
        return None
    end = length * 3 - 1
    if length and len(text) >= end and (len(text) == end or text[end].isspace()):
        try:
            payload = bytes.fromhex(text[:end])
        except ValueError:
            payload = b""
        if len(payload) == length:
            return payload
    tokens = text.split(None, length)[:length]
    if len(tokens) < length:
        return None
    try:
        return data_bytes(tokens, length)
    except KeyError:
        return None


def too_few(text: str, length: int) -> str:
    """The sentence for a payload that is shorter than announced or holds something that is no byte."""
    if not 0 <= length <= MOST_BYTES:
        return f"a length of {str(length)[:20]}"
    given = 0
    for token in text.split(None, length)[:length]:
        if token not in HEX:
            return f"{token[:12]!r} is no data byte"
        given += 1
    return f"{given} data bytes given, {length} announced"


def unwrap(t: Int64, wrap: Wrap) -> Int64:
    """Times of a clock that starts again, made to go on.

    One single time out of line (a damaged digit) is no new start: the frame after it goes on where the one before was.
    """
    out = t.copy()
    for at in np.flatnonzero(np.diff(t) < -wrap.tolerance_ns):
        first = int(at) + 1  # the first frame that is earlier than the one before it
        low = first + 1 < len(t) and t[first + 1] >= t[at] - wrap.tolerance_ns and t[first + 1] - t[at] < SECOND_NS
        high = (
            at > 0
            and t[first] >= t[at - 1]
            and t[at] - t[at - 1] > wrap.tolerance_ns
            and t[first] - t[at - 1] < SECOND_NS
        )
        if not low and not high:
            out[first:] += wrap.period_ns
    return out
