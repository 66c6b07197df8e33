"""The stream of records of an MDF 4 data group: its blocks one after the other, inflated, with gaps where one is damaged."""

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hil.kernel import Bytes, Ints, Ints32, kernel
from hil.logs.mf4.blocks import DATA, HEAD, LISTS, Block, Blocks

Matrix = NDArray[np.uint8]
PACKED = struct.Struct("<2sBxLQQ")  # original kind, method, parameter, length before and after
LARGEST = 1 << 28  # bytes of one block inflated; a larger one is taken for damaged
FARTHEST = 1 << 40  # bytes; nothing is taken to be longer
EQUAL = 1  # flag of a list: all its blocks are of one length
TRANSPOSED = 1  # bit of the method: columns of bytes, one after the other
OPEN_LENGTH = 4  # of the identification's flags: the last block's length was not written
CHAIN = 6  # records one behind the other that make a place believed after damage
PLACES, BAD = 0, 1  # of the tally
NOTED = 64  # damaged places kept


@dataclass(frozen=True, slots=True)
class Part:
    """A block of records by its place; ``length`` of it inflated when the list that names it says so, else -1.

    ``owner`` is the place of the block that leads to it.
    """

    at: int
    owner: int
    length: int = -1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes of the stream without a gap: where they begin in the stream, and the file's block they are from first."""

    start: int
    at: int
    data: bytes


def parts(blocks: Blocks, at: int, owner: int) -> tuple[list[Part], bool]:
    """The blocks of records that a link leads to, alone or through lists; and whether the list was broken."""
    out: list[Part] = []
    while at:
        block = blocks.block(at, *DATA, *LISTS) if at not in blocks.seen else None
        if block is None:
            blocks.skip(owner, f"a link to byte {at}, where no block of data begins that it can mean")
            return out, True
        blocks.seen.add(at)
        if block.kind in DATA:
            out.append(Part(at, owner))
            break
        if not block.links:
            blocks.skip(at, "a list of data blocks that names none")
            return out, True
        owner, at = at, block.links[0]
        if block.kind != "HL":
            listed = _listed(blocks, block)
            blocks.seen.update(part.at for part in listed)
            out += listed
    return out, False


def _listed(blocks: Blocks, block: Block) -> list[Part]:
    """The parts one list names; links to nothing stay in, so that what they meant is missed."""
    content, links = blocks.content, block.links[1:]
    wide = block.kind == "LD"
    if block.data + 16 > len(content):
        return [Part(link, block.at) for link in links if link]
    flags, count = struct.unpack_from("<LL", content, block.data)
    if wide or count < len(links):
        links = links[: max(1, count)]
    room = (len(content) - block.data - 8) // 8
    numbers = struct.unpack_from(f"<{min(room, len(links))}Q", content, block.data + 8)
    if flags & EQUAL:
        lengths = [numbers[0]] * len(links)
    else:
        lengths = [b - a for a, b in pairwise(numbers)]
    lengths += [-1] * (len(links) - len(lengths))
    return [Part(at, block.at, n if 0 < n <= LARGEST else -1) for at, n in zip(links, lengths, strict=True) if at]


def stretches(blocks: Blocks, listed: list[Part], row: int) -> list[Stretch]:
    """What the parts hold; what of them is damaged is counted and left out.

    Behind a gap of unknown length a record of ``row`` bytes is taken to begin.
    """
    out: list[Stretch] = []
    pending: list[bytes] = []
    start = position = first = 0

    def close() -> None:
        if pending:
            out.append(Stretch(start, first, b"".join(pending)))
        pending.clear()

    for part in listed:
        data, length, whole = _content(blocks, part)
        if data:
            if not pending:
                start, first = position, part.at
            pending.append(data)
        if not whole:
            close()
            length = length if length >= 0 else part.length
            length = length if length >= 0 else -(-len(data) // row) * row
        position += length if not whole else len(data)
    close()
    return out


def _content(blocks: Blocks, part: Part) -> tuple[bytes, int, bool]:
    """What a block holds, how long it should be (-1 = nobody knows), and whether that is all of it."""
    block = blocks.block(part.at, *DATA)
    if block is None:
        blocks.skip(part.owner, f"a link to byte {part.at}, where no block of data begins")
        return b"", -1, False
    if part.at in blocks.taken:
        blocks.skip(part.owner, f"a second link to the block of data at byte {part.at}")
        return b"", -1, False
    blocks.taken.add(part.at)
    if block.kind == "DZ":
        return _inflated(blocks, block)
    content = blocks.content
    _, length, _ = HEAD.unpack_from(content, block.at)
    end = block.at + length
    behind = -(-end // 8) * 8
    if (blocks.unfinished & OPEN_LENGTH or length == HEAD.size) and content[behind : behind + 2] != b"##":
        return content[block.data :], -1, True
    if end > len(content):
        blocks.skip(part.at, f"block of data of {length} bytes, cut off at the end of the file; what is there is read")
        return content[block.data :], min(length - HEAD.size, FARTHEST), False
    if length < HEAD.size:
        blocks.skip(part.at, f"block of data of {length} bytes, less than its head")
        return b"", -1, False
    return content[block.data : end], -1, True


def _inflated(blocks: Blocks, block: Block) -> tuple[bytes, int, bool]:
    """A deflated block. Its stream knows its own end and its checksum, so that wrong lengths in the head do no harm."""
    content, at = blocks.content, block.data
    if at + PACKED.size > len(content):
        blocks.skip(block.at, "deflated block cut off at the end of the file")
        return b"", -1, False
    _, method, width, length, packed = PACKED.unpack_from(content, at)
    length = length if 0 < length <= LARGEST else -1
    begin, stream, reason = at + PACKED.size, zlib.decompressobj(), ""
    data = b""
    try:
        # What lies behind is handed over too when it is little: the length in the head may be wrong.
        stop = begin + packed if 0 < packed <= len(content) - begin else len(content)
        data = stream.decompress(memoryview(content)[begin:stop], LARGEST)
        if not stream.eof and not stream.unconsumed_tail and stop < len(content):
            data += stream.decompress(memoryview(content)[stop:], LARGEST)
    except zlib.error as error:
        reason = str(error).rpartition(": ")[2]
    if stream.eof:
        return _straight(data, width) if method & TRANSPOSED else data, len(data), True
    cut = not reason and not stream.unconsumed_tail and begin + packed > len(content)
    if cut and not method & TRANSPOSED:
        blocks.skip(block.at, "deflated block cut off at the end of the file; what is there is read")
        return data, length, False
    reason = reason or ("too large" if stream.unconsumed_tail else "no end")
    blocks.skip(block.at, f"block of data that cannot be inflated ({reason})")
    return b"", length, False


def _straight(data: bytes, width: int) -> bytes:
    """Columns of bytes back to rows of ``width``; what fills no row stands behind."""
    rows = len(data) // width if width else 0
    if rows < 2:
        return data
    matrix = np.frombuffer(data, np.uint8, rows * width).reshape(width, rows)
    return matrix.T.tobytes() + data[rows * width :]


@kernel
def _end(data: Bytes, p: int, id_size: int, ids: Ints, sizes: Ints, most: Ints) -> int:
    """Where the record at ``p`` ends; -1 when it is none, -2 when it is cut off by the end of the data."""
    last = len(data)
    if p + id_size > last:
        return -2
    number = np.int64(0)
    for k in range(id_size):
        number |= np.int64(data[p + k]) << (8 * k)
    for g in range(len(ids)):
        if ids[g] == number:
            p += id_size
            size = sizes[g]
            if size < 0:
                if p + 4 > last:
                    return -2
                size = 4
                for k in range(4):
                    size += np.int64(data[p + k]) << (8 * k)
                if size - 4 > most[g]:
                    return -1
            return p + size if p + size <= last else -2
    return -1


@kernel
def _chained(data: Bytes, p: int, id_size: int, ids: Ints, sizes: Ints, most: Ints) -> bool:
    """Whether records follow each other from here on."""
    for _ in range(CHAIN):
        p = _end(data, p, id_size, ids, sizes, most)
        if p == -1:
            return False
        if p < 0 or p == len(data):
            return True
    return True


@kernel
def split(
    data: Bytes, lost: int, id_size: int, ids: Ints, sizes: Ints, most: Ints, where: Ints, which: Ints32, bad: Ints,
    tally: Ints,
) -> int:  # fmt: skip
    """Records of several groups in one stream: places into ``where``, groups into ``which``; returns where they end.

    ``sizes`` < 0: the record tells its length, at most ``most``. ``lost`` = 1: the data begin in the middle of a record.
    ``bad`` takes the places of damage.
    """
    p, n, last = 0, 0, len(data)
    while p < last:
        end = _end(data, p, id_size, ids, sizes, most)
        if end == -2 and not lost:
            break
        if lost or end == -1:
            if not lost:
                if tally[BAD] < NOTED:
                    bad[tally[BAD]] = p
                tally[BAD] += 1
                p += 1
            while p < last and not _chained(data, p, id_size, ids, sizes, most):
                p += 1
            lost = 0
            continue
        g = np.int64(0)
        number = np.int64(0)
        for k in range(id_size):
            number |= np.int64(data[p + k]) << (8 * k)
        while ids[g] != number:
            g += 1
        where[n], which[n] = p + id_size, g
        n, p = n + 1, end
    tally[PLACES] = n
    return p
