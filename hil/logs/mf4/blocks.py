"""The blocks of an ASAM MDF 4 file and the tree they make, walked so that a damaged block costs what hangs on it alone.

A block begins with ``##``, two letters, 4 bytes unused, its length (u64) and the number of its links (u64); then the
links (u64, places in the file, 0 = none) and its data. Nothing of it is believed: every link is looked at before it is
followed, no block is visited twice. Where a chain is broken, blocks that hang nowhere are looked for in the whole file;
they are taken when one chain alone is broken, so that it is clear where they belong.
"""

import struct
from dataclasses import dataclass, field

from hil.logs.log import Skip

HEAD = struct.Struct("<4s4xQQ")  # signature, length, number of links
FINISHED, UNFINISHED = b"MDF     ", b"UnFinMF "
FIRST = 64  # place of the block HD, behind the identification
KEPT = 100  # skips named; more are only counted
LAYOUT = {
    "HD": (6, 32),
    "DG": (4, 8),
    "CG": (6, 32),
    "CN": (8, 72),
    "CC": (4, 24),
    "CA": (1, 24),
}  # links, bytes of data
TEXTS, LISTS, DATA = ("TX", "MD"), ("DL", "LD", "HL"), ("DT", "DZ", "SD", "DV", "RD")
OTHERS = ("FH", "SI", "AT", "EV", "CH", "SR", "DI", "RI", "GD")
KNOWN = frozenset(b"##" + kind.encode() for kind in (*LAYOUT, *TEXTS, *LISTS, *DATA, *OTHERS))
LINEAR, RATIONAL = 1, 2  # types of conversion
VALUES = {LINEAR: 2, RATIONAL: 6}


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its kind, its links, where its data begin and where it ends as far as the file goes."""

    at: int
    kind: str
    links: tuple[int, ...]
    data: int
    end: int


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a record. ``conversion`` is the type and its values, None for none; ``width`` counts bytes of an array."""

    at: int
    name: str
    kind: int
    sync: int
    data_type: int
    bit_offset: int
    byte_offset: int
    bit_count: int
    data: int
    conversion: tuple[int, tuple[float, ...]] | None
    width: int


@dataclass(slots=True, eq=False)
class Group:
    """A channel group: records of ``size`` bytes and ``invalid`` more; ``cycles`` of them, if the recorder wrote it down."""

    at: int
    record_id: int
    cycles: int
    flags: int
    size: int
    invalid: int
    channels: list[Channel] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class DataGroup:
    """Channel groups whose records lie in one stream, behind ``id_size`` bytes that tell whose each is."""

    at: int
    data: int
    id_size: int
    groups: list[Group] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Chain:
    """Blocks linked one to the next, and whether a link led nowhere."""

    blocks: list[Block]
    broken: bool = False


class Blocks:
    """A file of blocks, and the account of what in it could not be read."""

    def __init__(self, content: bytes) -> None:
        """Look at the identification; nothing else is read yet."""
        self.content = content
        self.skips: list[Skip] = []
        self.unreadable = 0
        self.seen: set[int] = set()  # places of blocks that something leads to
        self.taken: set[int] = set()  # and of those whose records are read
        unfinished = sum(a == b for a, b in zip(content[:8], UNFINISHED, strict=False)) > 6  # one may be damaged
        (flags,) = struct.unpack_from("<H", content.ljust(FIRST, b"\0"), 60)
        self.unfinished = flags if unfinished else 0

    def skip(self, at: int, what: str, amount: int = 1) -> None:
        """Count what could not be read, and name the first."""
        self.unreadable += 1
        if len(self.skips) < KEPT:
            self.skips.append(Skip(f"byte {at}", what, amount))

    def block(self, at: int, *kinds: str) -> Block | None:
        """The block at a place, None when there is none of these kinds. One wrong letter in its signature is forgiven."""
        content = self.content
        if at < FIRST or at + HEAD.size > len(content):
            return None
        found, length, count = HEAD.unpack_from(content, at)
        kind = next((k for k in kinds if _alike(found, b"##" + k.encode())), None)
        if kind is None:
            return None
        if kind in LAYOUT:
            usual, rest = LAYOUT[kind]
            exact = length == HEAD.size + 8 * count + rest or kind in ("CC", "CA")
            count = count if usual <= count < 64 and exact else usual
            length = max(length if exact else 0, HEAD.size + 8 * count + rest)
        data = at + HEAD.size + 8 * count
        if data > len(content) or (kind in LAYOUT and data + LAYOUT[kind][1] > len(content)):
            return None
        links = struct.unpack_from(f"<{count}Q", content, at + HEAD.size)
        return Block(at, kind, links, data, min(max(at + length, data), len(content)))

    def tree(self) -> list[DataGroup]:
        """All data groups with their channel groups and channels."""
        header = self.block(FIRST, "HD")
        if header is None:
            self.skip(FIRST, "no header block")
        chain = self._chain(header.links[0] if header else 0, "DG", FIRST)
        whole = header is not None and not chain.broken
        for block in self._strays("DG"):
            if self.block(block.links[1], "CG"):
                if whole:
                    self.skip(block.at, "a data group that nothing leads to; it is read all the same")
                chain.blocks.append(block)
        made = [self._data_group(block) for block in chain.blocks]
        inner = self._children([block.links[1] for block in chain.blocks], chain.blocks, "CG")
        groups: list[tuple[Block, Group]] = []
        for data_group, blocks in zip(made, inner, strict=True):
            pairs = [(block, self._group(block)) for block in blocks]
            data_group.groups += [group for _, group in pairs]
            groups += pairs
        channels = self._children([block.links[1] for block, _ in groups], [block for block, _ in groups], "CN")
        for (_, group), found in zip(groups, channels, strict=True):
            group.channels += [self._channel(block) for block in found]
        return made

    def _children(self, firsts: list[int], owners: list[Block], kind: str) -> list[list[Block]]:
        """The chains that begin at these places; what hangs nowhere goes to the broken one if there is only one."""
        chains = [self._chain(first, kind, owner.at) for first, owner in zip(firsts, owners, strict=True)]
        if kind == "CN":
            for chain in chains:
                self._composed(chain)
        broken = [chain for chain in chains if chain.broken]
        if len(broken) == 1:
            broken[0].blocks += self._strays(kind)
        return [chain.blocks for chain in chains]

    def _chain(self, at: int, kind: str, owner: int) -> _Chain:
        chain = _Chain([])
        while at:
            block = self.block(at, kind) if at not in self.seen else None
            if block is None:
                self.skip(owner, f"a link to byte {at}, where no block {kind} begins that it can mean")
                chain.broken = True
                break
            self.seen.add(at)
            chain.blocks.append(block)
            owner, at = at, block.links[0]
        return chain

    def _composed(self, chain: _Chain) -> None:
        """The channels that channels of this chain are composed of, and theirs."""
        for block in chain.blocks:  # grows while it is walked
            at = block.links[1]
            if not at or self.block(at, "CA"):
                continue
            inner = self._chain(at, "CN", block.at)
            chain.blocks += inner.blocks
            chain.broken |= inner.broken

    def _strays(self, *kinds: str) -> list[Block]:
        """Blocks of these kinds that nothing visited leads to, in order of their places (whole words)."""
        found = []
        for kind in kinds:
            at = self.content.find(b"##" + kind.encode(), FIRST)
            while at >= 0:
                block = self.block(at, kind) if at % 8 == 0 and at not in self.seen else None
                if block is not None and self._sound(block):
                    found.append(block)
                at = self.content.find(b"##" + kind.encode(), at + 4)
        self.seen.update(block.at for block in found)
        return sorted(found, key=lambda block: block.at)

    def _sound(self, block: Block) -> bool:
        """Whether length and number of links agree, which those of bytes that only look like a block do not."""
        _, length, count = HEAD.unpack_from(self.content, block.at)
        links, rest = LAYOUT.get(block.kind, (0, 0))
        exact = length == HEAD.size + 8 * count + rest if links else count == 0
        return bool(exact and HEAD.size <= length <= len(self.content) - block.at)

    def stray_data(self) -> list[Block]:
        """Blocks of records that no list leads to."""
        return self._strays("DT", "DZ", "DV")

    def _data_group(self, block: Block) -> DataGroup:
        return DataGroup(block.at, block.links[2], self.content[block.data])

    def _group(self, block: Block) -> Group:
        record_id, cycles, flags, size, invalid = struct.unpack_from("<QQH6xLL", self.content, block.data)
        return Group(block.at, record_id, cycles, flags, size, invalid)

    def _channel(self, block: Block) -> Channel:
        kind, sync, data_type, bit, byte, bits = struct.unpack_from("<BBBBLL", self.content, block.data)
        name = self.text(block.links[2])
        width = bits // 8 * self._elements(block.links[1]) if bits % 8 == 0 else 0
        conversion = self._conversion(block.links[4])
        return Channel(block.at, name, kind, sync, data_type, bit, byte, bits, block.links[5], conversion, width)

    def _elements(self, at: int) -> int:
        """How many elements an array has; 1 for what is none."""
        block = self.block(at, "CA") if at else None
        if block is None:
            return 1
        (dimensions,) = struct.unpack_from("<H", self.content, block.data + 2)
        if dimensions != 1 or block.data + 24 > len(self.content):
            return 1
        (count,) = struct.unpack_from("<Q", self.content, block.data + 16)
        return int(count) if count <= 64 else 1

    def _conversion(self, at: int) -> tuple[int, tuple[float, ...]] | None:
        if not at:
            return None
        block = self.block(at, "CC")
        if block is None:
            return (-1, ())
        kind, count = self.content[block.data], VALUES.get(self.content[block.data], 0)
        if block.data + 24 + 8 * count > len(self.content):
            return (-1, ())
        return (kind, struct.unpack_from(f"<{count}d", self.content, block.data + 24)) if kind else None

    def text(self, at: int) -> str:
        """What a text block says, empty when there is none."""
        block = self.block(at, *TEXTS) if at else None
        if block is None:
            return ""
        return (
            self.content[block.data : min(block.end, block.data + 1000)].partition(b"\0")[0].decode("utf-8", "replace")
        )


def _alike(found: bytes, wanted: bytes) -> bool:
    """Whether this is the signature, or became what it is by one damaged byte."""
    if found == wanted:
        return True
    return found not in KNOWN and sum(a != b for a, b in zip(found, wanted, strict=True)) == 1
