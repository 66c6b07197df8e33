"""BLF, the binary logging format: containers one after the other, each inflated and walked by a kernel."""

import struct
import zlib
from collections.abc import Callable

import numpy as np

from hil.errors import InputError, Problem
from hil.logs.blf import objects
from hil.logs.blf.inflating import inflate
from hil.logs.dates import date_ns
from hil.logs.growing import Growing
from hil.logs.log import Log, Skip
from hil.logs.moment import iso
from hil.logs.recognise import BLF_OBJECT

Progress = Callable[[float], None]

MAGIC = b"LOGG"
MARK = b"LOBJ"
FILE_HEADER = struct.Struct("<4sL8BQQLL8H8H")  # signature, size, application, sizes, counts, first and last time
OBJECT = struct.Struct("<4sHHLL")  # signature, header size, header version, object size, type
CONTAINER = struct.Struct("<H6xL4x")  # compression, uncompressed size; follows OBJECT
HEADER_SIZE = 144  # bytes of the file header in every file known
BODY = OBJECT.size + CONTAINER.size
STORED = 0
LARGEST = 1 << 28  # bytes of one container inflated; a larger one is taken for damaged
NO_HEADER = FILE_HEADER.unpack(bytes(FILE_HEADER.size))
CHUNK = 1 << 20  # bytes walked at once where objects lie outside containers
KEPT = 100  # skips named; more are only counted
NAMES = {
    3: "overload frame",
    4: "bus statistics",
    31: "driver error",
    65: "application text",
    96: "marker",
    115: "statistics",
}


def read_blf(content: bytes, on_progress: Progress | None = None) -> Log:
    """Read a BLF file. Times are absolute when the header has a start time (taken as UTC), to the nanosecond.

    A file without its header is read as well, then without a start time; of files joined to one each has its own. A broken
    container or object is skipped and named with its byte offset, the walk goes on at the next signature. A
    container that fails its checksum is skipped whole, for nothing tells which of its bytes are right; of one cut off
    at the end of the file (a recorder that was killed) everything there is kept.

    Raises:
        InputError: the content is not BLF.
    """
    headless = not content.startswith(MAGIC)
    if BLF_OBJECT.search(content) is None if headless else len(content) < FILE_HEADER.size:
        raise InputError(Problem("not a BLF file", expected="LOGG and a header of 144 bytes", found=repr(content[:8])))
    return _Reader(content, on_progress or _silent).read()


def _silent(_: float) -> None:
    """Tell nobody."""


def _start_ns(header: tuple[int, ...]) -> int | None:
    """The first SYSTEMTIME of the header as ns since 1970; 0 when it is not set, None when it is no date."""
    year, month, _, day, hour, minute, second, milli = header[14:22]
    if year < 1990 and not any((month, day, hour)):
        return 0
    day_ns = date_ns(year, month, day)
    if day_ns is None or hour > 23 or minute > 59 or second > 59 or milli > 999:
        return None
    return day_ns + ((hour * 60 + minute) * 60 + second) * 10**9 + milli * 10**6


class _Reader:
    """One pass over the file."""

    def __init__(self, content: bytes, on_progress: Progress) -> None:
        self.content, self.on_progress = content, on_progress
        self.skips: list[Skip] = []
        self.unreadable = 0
        self.first, header = self._header()
        start_ns = _start_ns(header)
        if start_ns is None:
            self._skip(40, "start time that is no date")
        self.start_ns = self.told_ns = start_ns or 0
        self.facts = {"application": f"{header[2]}", "version": ".".join(map(str, header[6:10]))}
        hint = max(1024, min(header[12], len(content) // 8))
        self.columns = Growing.of(hint, hint)
        self.tally = np.zeros(objects.TALLY, np.int64)
        self.others = np.zeros(256, np.int64)
        self.bad = np.zeros(objects.NOTED, np.int64)
        self.where = np.empty(0, np.int32)
        self.layout = objects.layouts()
        self.frames = self.words = 0
        self.pending: list[bytes] = []
        self.pending_size = 0
        self.claimed = header[10]

    def read(self) -> Log:
        position, size = self.first, len(self.content)
        while 0 <= position < size:
            position = self._next(position)
            self.on_progress(min(1.0, position / size))
        self._flush()
        headless = size <= HEADER_SIZE and self.claimed != size
        if not self.unreadable and (headless or self.claimed > size):  # cut between two objects
            told = f"; its header says it has {self.claimed} bytes" if self.claimed > size else " behind its header"
            self._skip(size, f"the file ends here{told}")
        if self.told_ns:
            self.facts["start"] = iso(self.told_ns)
        named = [f"{NAMES.get(int(kind), f'type {kind}')}: {self.others[kind]}" for kind in np.flatnonzero(self.others)]
        if named:
            self.facts["objects that are no frames"] = ", ".join(named)
        trace = self.columns.trace(self.frames, self.words, absolute=bool(self.start_ns))
        return Log("blf", trace, tuple(self.skips), self.unreadable, self.facts)

    def _header(self) -> tuple[int, tuple[int, ...]]:
        """Where the objects begin, and the fields of the file's header; zeros where there is none."""
        content = self.content
        usual = content.find(MARK, FILE_HEADER.size, HEADER_SIZE + objects.WINDOW + 4)
        if content.startswith(MAGIC) or (usual >= 0 and content.find(MAGIC, 0, usual) < 0):
            header = FILE_HEADER.unpack_from(content)
            if header[0] != MAGIC:
                self._skip(0, "no signature LOGG")
            # the size in the header, unless it is damaged and the usual place shows it
            begin = header[1] if content[header[1] : header[1] + 4] == MARK else usual
            return begin if begin >= 0 else HEADER_SIZE, header
        return 0, NO_HEADER

    def _another(self, position: int, found: int) -> int:
        """Where the header of a further file begins that was joined to this one; -1 when there is none before ``found``."""
        at = self.content.rfind(MAGIC, position, found)
        if at < 0 or not FILE_HEADER.size <= found - at <= HEADER_SIZE + objects.WINDOW:
            return -1
        self._flush()
        if self.start_ns or not self.frames:  # else the times before count from another zero
            self.start_ns = _start_ns(FILE_HEADER.unpack_from(self.content, at)) or self.start_ns
        self.told_ns = self.told_ns or self.start_ns
        return at

    def _skip(self, offset: int, what: str) -> None:
        self.unreadable += 1
        if len(self.skips) < KEPT:
            self.skips.append(Skip(f"byte {offset}", what))

    def _next(self, position: int) -> int:
        """Read what lies at ``position``; where the next thing lies, the end of the file when there is none."""
        content = self.content
        found = content.find(MARK, position)
        end = found if found >= 0 else len(content)
        joined = self._another(position, end)
        end = joined if joined >= 0 else end
        if end - position > objects.WINDOW or (found < 0 and content[position : position + 1] == MARK[:1]):
            self._skip(position, f"{end - position} bytes that are no object")
            self._break()
        if found < 0:
            return len(content)
        if found + BODY > len(content):
            self._skip(found, "object cut off at the end of the file")
            return len(content)
        _, head, _, size, kind = OBJECT.unpack_from(content, found)
        if kind != objects.CONTAINER and head != objects.BASE:
            return self._plain(found)
        method, claimed = CONTAINER.unpack_from(content, found + OBJECT.size)
        return self._stored(found, size, claimed) if method == STORED else self._deflated(found, size, method)

    def _deflated(self, at: int, size: int, method: int) -> int:
        """A compressed container. Its stream knows its own end, so that a wrong size in the header does no harm."""
        content, whole = memoryview(self.content), len(self.content)
        for stop in (at + size, whole) if BODY <= size < whole - at else (whole,):
            try:
                data, stream = inflate(content[at + BODY : stop], LARGEST)
            except zlib.error as error:
                reason = str(error).rpartition(": ")[2]
                break
            if stream.eof:
                self._feed(data, at)
                following = stop - len(stream.unused_data)
                # What the header says wins where an object begins there: some writers leave bytes behind the stream.
                return at + size if size >= BODY and self.content[at + size : at + size + 4] == MARK else following
            whole_there = BODY <= size <= whole - at
            reason = "too large" if stream.unconsumed_tail else "no end" if whole_there else ""
        if not reason:
            self._skip(at, "container cut off at the end of the file; what is there is read")
            self._feed(data, at)
            self._break()
            return whole
        named = "" if method == 2 else f", compression method {method}"
        self._skip(at, f"container that cannot be inflated ({reason}{named})")
        self._break()
        return self._after(at, size)

    def _after(self, at: int, size: int) -> int:
        """Where to go on behind a container that cannot be read."""
        return at + size if size >= BODY and self._ends_well(at + size) else at + 4

    def _ends_well(self, end: int) -> bool:
        """Whether an object, or nothing, follows here."""
        behind = len(self.content) - end
        return 0 <= behind < objects.WINDOW or self.content.find(MARK, end, end + objects.WINDOW + 4) >= 0

    def _stored(self, at: int, size: int, claimed: int) -> int:
        """A container that is not compressed: its two sizes say the same, or the one is right that leads to an object."""
        content = self.content
        for length in (size - BODY, claimed):
            end = at + BODY + length
            if 0 <= length <= LARGEST and self._ends_well(end):
                self._feed(content[at + BODY : end], at)
                return end
        if at + size > len(content) and size == claimed + BODY and size <= LARGEST:
            self._skip(at, "container cut off at the end of the file; what is there is read")
            self._feed(content[at + BODY :], at)
            self._break()
            return len(content)
        self._skip(at, "container with a wrong size; its objects are read one by one")
        self._break()
        return at + BODY

    def _plain(self, at: int) -> int:
        """Objects outside containers."""
        self._flush()
        span = CHUNK
        while True:
            part = self.content[at : at + span]
            last = at + span >= len(self.content)
            stopped = self._walk(part, whole=last, top=True, origin=at, inside=False)
            if stopped or last:
                return at + max(stopped, 1)
            span = max(2 * span, int(self.tally[objects.NEED]))

    def _feed(self, data: bytes, origin: int) -> None:
        """Walk what a container holds, behind what its predecessor left unfinished."""
        self.pending.append(data)
        self.pending_size += len(data)
        if self.pending_size < self.tally[objects.NEED]:
            return
        joined = data if len(self.pending) == 1 else b"".join(self.pending)
        stopped = self._walk(joined, whole=False, top=False, origin=origin, inside=True)
        self.pending = [joined[stopped:]] if stopped < len(joined) else []
        self.pending_size = len(joined) - stopped

    def _flush(self) -> None:
        """Nothing follows what is pending."""
        joined, self.pending, self.pending_size = b"".join(self.pending), [], 0
        if joined:
            self._walk(joined, whole=True, top=False, origin=len(self.content), inside=True)
        self.tally[objects.NEED] = 0

    def _break(self) -> None:
        """Data are missing here: finish what is pending; what comes next may begin in the middle of an object."""
        self.tally[objects.LOST] = 1
        self._flush()
        self.tally[objects.LOST] = 1

    def _walk(self, data: bytes, *, whole: bool, top: bool, origin: int, inside: bool) -> int:
        view, tally, layout = np.frombuffer(data, np.uint8), self.tally, self.layout
        most = len(data) // objects.SMALLEST + 1
        if most > len(self.where):
            self.where = np.empty(most, np.int32)
        stopped = int(objects.find(view, int(whole), int(top), layout, self.where, tally, self.others, self.bad))
        c, n, first, where = self.columns, int(tally[objects.FRAMES]), self.frames, self.where
        c.ensure(first + n, self.words + 8 * n)
        objects.heads(view, where, n, first, self.start_ns, layout, c.t_ns, c.id, c.bits, c.channel)
        self.words = int(objects.payloads(view, where, n, first, self.words, layout, c.bits, c.dlc, c.at, c.raw))
        self.frames = first + n
        found = int(tally[objects.BAD])
        for offset in self.bad[:found].tolist():
            if inside:
                self._skip(origin, f"damaged object {offset} bytes into the data of this container")
            else:
                self._skip(origin + offset, "damaged object")
        self.unreadable += max(0, found - objects.NOTED)
        tally[objects.BAD] = 0
        return stopped
