"""Records of an MDF 4 data group, told apart: of one group in rows, of several by the number each begins with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hil.logs.mf4 import data as mf4_data
from hil.logs.mf4.blocks import Blocks, DataGroup, Group
from hil.logs.mf4.data import Matrix, Part, Stretch

VARIABLE_GROUP = 1  # flag: its records tell their own length
LONGEST_PAYLOAD = 64  # bytes of a frame
LONGEST = 1 << 20  # bytes of a record that tells its length
ID_SIZES = (1, 2, 4, 8)
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Records of several groups in one stream.

    ``data`` is the stream without its gaps; ``where`` and ``which`` are place and group of each record, in order;
    ``breaks`` are places behind which records are missing.
    """

    data: NDArray[np.uint8]
    where: Places
    which: NDArray[np.int32]
    breaks: Places
    groups: list[Group]


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """The records of one group as rows, without the number of the group; ``stream`` when they lie among others."""

    rows: Matrix
    where: Places
    stream: Stream | None = None

    def __len__(self) -> int:
        return len(self.rows)


def records_of(blocks: Blocks, group: DataGroup, listed: list[Part]) -> Iterator[tuple[Group, Records]]:
    """Each channel group of a data group with its records, but for groups that hold payloads of others."""
    before = blocks.unreadable
    first = group.groups[0] if group.groups else None
    row = group.id_size + (first.size + first.invalid if first else 0)
    held = mf4_data.stretches(blocks, listed, max(1, row))
    total = sum(len(stretch.data) for stretch in held)
    if first is None:
        if total:
            blocks.skip(group.at, f"{total} bytes of records that no channel group describes", total)
        return
    alone = len(group.groups) == 1
    if alone and (not group.id_size or total == first.cycles * (first.size + first.invalid)):
        made = [(first, _rows(blocks, first, held, before))]
    else:
        made = _told_apart(blocks, group, held, before)
    for one, records in made:
        expected = 0 if blocks.unfinished else one.cycles
        if expected and len(records) != expected and blocks.unreadable == before:
            blocks.skip(one.at, f"{expected} records should be there, {len(records)} are")
        yield one, records


def _rows(blocks: Blocks, group: Group, held: list[Stretch], before: int) -> Records:
    """Records of one length, one behind the other. ``before`` was counted before these data were looked at."""
    row = _row(blocks, group, sum(len(stretch.data) for stretch in held))
    pieces = []
    for stretch in held:
        begin = -stretch.start % row
        count = max(0, (len(stretch.data) - begin) // row)
        if count:
            pieces.append(np.frombuffer(stretch.data, np.uint8, count * row, begin).reshape(count, row))
        rest = len(stretch.data) - begin - count * row
        if rest and stretch is held[-1] and blocks.unreadable == before:
            blocks.skip(stretch.at, f"{rest} bytes behind the last whole record", rest)
    rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else np.zeros((0, row), np.uint8)
    return Records(rows, np.arange(len(rows), dtype=np.int64))


def _row(blocks: Blocks, group: Group, total: int) -> int:
    """Bytes of a record: what the group says, unless count and channels agree on something else."""
    row, cycles = group.size + group.invalid, 0 if blocks.unfinished else group.cycles
    if not cycles or (row and row * cycles == total):
        return max(1, row)
    needed = max((c.byte_offset + (c.bit_offset + c.bit_count + 7) // 8 for c in group.channels), default=1)
    guess = total // cycles if total % cycles == 0 else 0
    if guess == group.size and guess:
        return guess  # invalidation bits in blocks of their own
    if guess >= max(1, needed) and (row < needed or total % row):
        blocks.skip(group.at, f"records of {row} bytes by their group, of {guess} by their number; read as such")
        return guess
    return max(1, row)


def _told_apart(blocks: Blocks, group: DataGroup, held: list[Stretch], before: int) -> list[tuple[Group, Records]]:
    """Records of several groups. ``before`` was counted before these data were looked at."""
    groups = group.groups
    ids = np.array([g.record_id & (2**63 - 1) for g in groups], np.int64)
    variable = np.array([bool(g.flags & VARIABLE_GROUP) for g in groups])
    sizes = np.array([-1 if v else g.size + g.invalid for g, v in zip(groups, variable, strict=True)], np.int64)
    payload = {c.data for g in groups for c in g.channels if c.name.startswith("CAN_")}
    most = np.array([LONGEST_PAYLOAD if g.at in payload else LONGEST for g in groups], np.int64)
    id_size = group.id_size if group.id_size in ID_SIZES else 1
    places, kinds, breaks, base = [], [], [], 0
    least = id_size + int(np.where(variable, 4, sizes).min())  # no record takes fewer bytes, so there is room for all
    for number, stretch in enumerate(held):
        data = np.frombuffer(stretch.data, np.uint8)
        where, which = np.empty(len(data) // least + 2, np.int64), np.empty(len(data) // least + 2, np.int32)
        bad, tally = np.zeros(mf4_data.NOTED, np.int64), np.zeros(2, np.int64)
        lost = int(number > 0 or stretch.start > 0)
        end = mf4_data.split(data, lost, id_size, ids, sizes, most, where, which, bad, tally)
        count, found = int(tally[mf4_data.PLACES]), int(tally[mf4_data.BAD])
        for place in bad[:found].tolist():
            blocks.skip(stretch.at, f"damaged record {place} bytes into the data of this block")
        blocks.unreadable += max(0, found - mf4_data.NOTED)
        if end < len(data) and blocks.unreadable == before:
            blocks.skip(stretch.at, f"record cut off behind {end} bytes of data", len(data) - end)
        places.append(where[:count] + base)
        kinds.append(which[:count])
        breaks += [base, *(base + bad[:found])]
        base += len(data)
    joined = np.frombuffer(b"".join(stretch.data for stretch in held), np.uint8)
    none, no_kinds = np.zeros(0, np.int64), np.zeros(0, np.int32)
    at, of = np.concatenate([none, *places]), np.concatenate([no_kinds, *kinds])
    whole = not held or held[0].start == 0  # else records are missing before the first that is there
    stream = Stream(joined, at, of, np.array(breaks[1:] if whole else breaks, np.int64), groups)
    out = []
    for index, one in enumerate(groups):
        if not variable[index]:
            mine, size = at[of == index], int(sizes[index])
            rows = sliding_window_view(joined, size)[mine] if size and len(mine) else np.zeros((len(mine), 1), np.uint8)
            out.append((one, Records(rows, mine, stream)))
    return out
