"""Finding what can be trusted in an MCAP file, whole, cut off or damaged.

Only pieces whose checksum is right are handed out: chunks and attachments carry one of their own, metadata carries
ours. Where something is broken the walk looks for the next piece that checks, so that one bad block costs one block.
"""

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Header, McapRecord, Message, MessageIndex, Metadata
from mcap.stream_reader import breakup_chunk

from hil.errors import InputError, Problem

MAGIC = b"\x89MCAP0\r\n"
HEAD = 9  # opcode and length of a record
FOOTER = HEAD + 20
CHECKSUM = "crc32"  # key in each metadata record; the format has no checksum for them
_READ: Mapping[Opcode, Callable[[ReadDataStream], McapRecord]] = MappingProxyType(
    {
        Opcode.HEADER: Header.read,
        Opcode.CHUNK: Chunk.read,
        Opcode.MESSAGE_INDEX: MessageIndex.read,
        Opcode.ATTACHMENT: Attachment.read,
        Opcode.METADATA: Metadata.read,
    }
)
# A chunk, attachment or metadata record shorter than 2^40 bytes may start where this matches.
_CANDIDATE = re.compile(rb"[\x06\x09\x0c].{5}\x00{3}", re.DOTALL)
_BROKEN = (McapError, EOFError, ValueError, RuntimeError, struct.error, MemoryError, OverflowError)


@dataclass(slots=True)
class Scan:
    """What was found, in file order.

    ``groups`` are the messages chunk by chunk as (channel, log time in ns, content). ``finished``: the file ends as the
    format wants, with every checksum right. ``lost_bytes`` lie in ``holes`` damaged stretches; a cut-off end is one.
    """

    size: int
    groups: list[list[Message]] = field(default_factory=list)
    topics: dict[int, str] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    finished: bool = False
    lost_bytes: int = 0
    holes: int = 0


def checksum(name: str, values: Mapping[str, str]) -> str:
    """The checksum of a metadata record: CRC-32 over its name, sorted keys and values, eight hex digits."""
    text = name + "".join(f"\0{key}\0{values[key]}" for key in sorted(values) if key != CHECKSUM)
    return f"{zlib.crc32(text.encode()):08x}"


def scan(path: Path) -> Scan:
    """Walk through the file and keep what checks.

    Raises:
        InputError: the file cannot be read or holds nothing of an MCAP file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(Problem(f"cannot read the record: {error.strerror}", str(path))) from error
    found = Scan(len(content))
    at = len(MAGIC) if content.startswith(MAGIC) else 0
    end, whole = _walk(content, at, found)
    found.finished = whole and found.holes == 0 and at > 0 and _ends_well(content, end)
    if not (found.groups or found.attachments or at):
        raise InputError(Problem("not an MCAP record", str(path)))
    return found


def _walk(content: bytes, at: int, found: Scan) -> tuple[int, bool]:
    """Take piece after piece; returns where the data section ended and whether it said so itself."""
    while at < len(content):
        opcode, end = _head(content, at)
        if opcode == Opcode.DATA_END and end == at + HEAD + 4:
            return at, True
        piece = _piece(content, at, opcode, end)
        if piece is None:
            resumed = _resume(content, at, opcode, end)
            found.lost_bytes += resumed - at
            found.holes += 1
            at = resumed
            continue
        _take(piece, found)
        at = end
    return at, False


def _head(content: bytes, at: int) -> tuple[int, int]:
    """Opcode and end of the record that starts here; (0, 0) when there is none."""
    if at + HEAD > len(content):
        return 0, 0
    opcode, length = struct.unpack_from("<BQ", content, at)
    end = at + HEAD + length
    return (opcode, end) if end <= len(content) else (0, 0)


def _piece(content: bytes, at: int, opcode: int, end: int) -> list[McapRecord] | None:
    """The records in this one when its checksum is right, else None; nothing of interest is an empty list."""
    if opcode not in _READ:
        return None
    body = content[at + HEAD : end]
    stream = ReadDataStream(BytesIO(body))
    try:
        record = _READ[Opcode(opcode)](stream)
        if stream.count != len(body):
            return None  # the length is what broke: believing it would jump over what follows
        if isinstance(record, Chunk):
            return _unpacked(record)
        if isinstance(record, Attachment):
            return [record] if zlib.crc32(body[:-4]) == struct.unpack("<I", body[-4:])[0] else None
        if isinstance(record, Metadata):
            return [record] if record.metadata.get(CHECKSUM) == checksum(record.name, record.metadata) else None
    except _BROKEN:
        return None
    return []


def _unpacked(chunk: Chunk) -> list[McapRecord] | None:
    # A checksum of 0 is the format's word for "not checked"; the writer here always checks.
    known = chunk.compression in ("lz4", "") and chunk.uncompressed_crc != 0
    return list(breakup_chunk(chunk, validate_crc=True)) if known else None


def _resume(content: bytes, at: int, opcode: int, end: int) -> int:
    """Where the next piece that checks starts after the broken one at ``at``; the end of the file when none does."""
    if opcode and end < len(content):
        following, stop = _head(content, end)
        if following == Opcode.DATA_END or _piece(content, end, following, stop) is not None:
            return end
    for match in _CANDIDATE.finditer(content, at + 1):
        start = match.start()
        kind, stop = _head(content, start)
        if kind and _piece(content, start, kind, stop) is not None:
            return start
    return len(content)


def _take(piece: list[McapRecord], found: Scan) -> None:
    messages: list[Message] = []
    for record in piece:
        if isinstance(record, Message):
            messages.append(record)
        elif isinstance(record, Channel):
            found.topics[record.id] = record.topic
        elif isinstance(record, Attachment):
            found.attachments[record.name] = record.data
        elif isinstance(record, Metadata):
            found.metadata[record.name] = {k: v for k, v in record.metadata.items() if k != CHECKSUM}
    if messages:
        found.groups.append(messages)


def _ends_well(content: bytes, data_end: int) -> bool:
    """True when the data section, the summary and the closing magic are intact."""
    footer = len(content) - len(MAGIC) - FOOTER
    if not content.endswith(MAGIC) or footer < data_end:
        return False
    stored = struct.unpack_from("<I", content, data_end + HEAD)[0]
    if stored and stored != zlib.crc32(memoryview(content)[:data_end]):
        return False
    opcode, length, start, _, crc = struct.unpack_from("<BQQQI", content, footer)
    if opcode != Opcode.FOOTER or length != 20 or not data_end <= start <= footer:
        return False
    return bool(crc == zlib.crc32(memoryview(content)[start : footer + FOOTER - 4]))
