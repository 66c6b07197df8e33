"""Which format a log has, by its content. File names are never trusted: extensions are shared by many dialects."""

import re
import zlib
from contextlib import suppress

from hil.errors import InputError, Problem
from hil.logs.lines import lines_of
from hil.logs.text import FORMATS, TextFormat

HEAD = 1 << 16  # bytes that are looked at
LINES = 400  # lines that are looked at; all, where none of them is a frame
WINDOWS = 16  # places looked at behind a begin that is no log
LONGEST = 4096
_HEADER_WORTH = 20  # a header line speaks for a format as much as this many frames
_GZIP = b"\x1f\x8b"
_BINARY = ((b"LOGG", "blf"), (b"MDF     ", "mf4"), (b"UnFinMF ", "mf4"), (b"\x89MCAP0", "mcap"))
CANDUMP = re.compile(
    r"\s*\(-?\d{1,20}(?:\.\d{1,9})?\)\s+\S{1,16}\s+(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})#(?:R|#[0-9A-Fa-f]|[0-9A-Fa-f]{2}|\s|$)",
    re.ASCII,
)
BLF_OBJECT = re.compile(rb"LOBJ(?:\x10\0\x01\0|[\x20-\x30]\0[\x01\x02]\0)")  # signature, sizes of header and version
_BLOCKS = (  # what begins the blocks of a binary format, to be told by where its first bytes are damaged
    (BLF_OBJECT, "blf"),
    (re.compile(rb"##(?:HD|DG|CG|CN)\0\0\0\0"), "mf4"),
)
_PACKED = (
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a file packed by bzip2"),
    (b"\xfd7zXZ\0", "a file packed by xz"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
)
_OTHERS = (  # what is often taken for a log, and what it is
    (re.compile(r"\s*(?:VERSION\s+\"|BO_\s+\d|BU_:|NS_\s*:)", re.ASCII), "a DBC database"),
    (re.compile(r"\s*(?:FormatVersion=|<\?xml|\{\\rtf|%PDF)", re.ASCII), "a document or database"),
)


def form_of(content: bytes, name: str = "") -> str:
    """The format of a whole file: by its first bytes as ``recognise``, or where these are damaged by what stands behind."""
    try:
        return recognise(content[:HEAD], name)
    except InputError:
        if any(content.startswith(magic) for magic, _ in _PACKED):
            raise
        for pattern, form in _BLOCKS:
            if pattern.search(content):
                return form
        places = range(HEAD, len(content), max(HEAD, len(content) // WINDOWS + 1))
        for at in (*places, max(HEAD, len(content) - HEAD)):
            with suppress(InputError):
                return recognise(content[at : at + HEAD], name)
        raise


def is_gzip(head: bytes) -> bool:
    """Whether the content is gzip-compressed."""
    return head[:2] == _GZIP


def recognise(head: bytes, name: str = "") -> str:
    """The name of the format that the first bytes of a file (64 kB are enough) are of; ``name`` is for the message only.

    Names: ``blf``, ``mf4``, ``mcap`` (own record), ``candump`` and those of ``hil.logs.text.TEXT_FORMATS``. Text may stand
    behind banners, comments, blank lines and a byte order mark, in 8-bit or 16-bit characters, and may be damaged: lines
    are counted, none decides alone. Raises InputError naming what was looked for and the first line when nothing fits.
    """
    if is_gzip(head):
        head = _unzipped(head[:HEAD])
        if not head:
            raise InputError(Problem("the gzip file cannot be inflated", name, expected="a CAN log"))
    head = head[:HEAD]
    for magic, form in _BINARY:
        if head.startswith(magic):
            return form
    if head and not head.strip(b"\r\n"):
        return "candump"  # the one format without any header: without frames it is empty lines
    lines = [line[:LONGEST] for line in lines_of(head) if line.strip("\0 \t\x1a")]
    for shown in (lines[:LINES], lines[LINES:]):
        scores = {form.name: _score(form, shown) for form in FORMATS}
        scores["candump"] = sum(CANDUMP.match(line) is not None for line in shown)
        best = max(scores, key=lambda form: scores[form])
        if scores[best] > 0:
            return best
    raise InputError(_refusal(head, lines[:LINES], name))


def _score(form: TextFormat, lines: list[str]) -> int:
    frames = sum(bool(form.frame(line)) for line in lines)
    headers = sum(bool(form.header(line)) for line in lines[:100])
    if form.weak and not headers and frames * 2 <= len(lines):
        return 0
    return frames + _HEADER_WORTH * min(headers, 3)


def _unzipped(head: bytes) -> bytes:
    """What can be inflated of a piece of gzip."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD)
    except zlib.error:
        return b""


def _refusal(head: bytes, lines: list[str], name: str) -> Problem:
    for magic, what in _PACKED:
        if head.startswith(magic):
            return Problem(f"this is {what}", name, expected="a CAN log as it is or packed by gzip: unpack it first")
    if not head.strip(b"\0 \t\r\n"):
        return Problem("the file is empty, or holds only zeros", name, expected="a CAN log")
    first = lines[0].strip() if lines else repr(head[:40])
    for pattern, what in _OTHERS:
        if any(pattern.match(line) for line in lines[:40]):
            return Problem(f"this is {what}, not a CAN log", name, expected="a CAN log", found=repr(first[:80]))
    known = sorted({form.name for form in FORMATS} | {"blf", "mf4", "mcap", "candump"})
    return Problem(
        f"no line looks like a frame of a known log format (looked for {', '.join(known)})",
        name,
        expected="a CAN log",
        found=f"first line {first[:80]!r}",
    )
