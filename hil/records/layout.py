"""What is inside a record: topics, the layout of a block, and the block buffer that a tick fills.

A block message is a little-endian header ``<qIIII`` (first t_ns, rows, columns, kind, reserved), then int64 times, then
the values row by row. Frames are packed ``FRAME`` structs. Everything else is JSON. Times are nanoseconds of the run.
"""

import struct
from typing import Annotated

import numpy as np

from hil.kernel import F64, I32, I64, Bytes, Floats, Ints, Rows, kernel
from hil.tick import COLUMNS, Frames, Link

BLOCK = 64  # ticks a buffer can hold
NARROW = 1024  # columns that checks may use
BLOCK_FRAMES = 4096

ROWS, CHECKS, FRAMES, EVENTS, VERDICTS = "rows", "checks", "frames", "events", "verdicts"
RECOVERED = "recovered"  # metadata of a file that was finished after the fact
HEADER = struct.Struct("<qIIII")
FRAME = np.dtype(
    [("t_ns", "<i8"), ("id", "<u4"), ("bits", "<u2"), ("dlc", "u1"), ("source", "u1"), ("payload", "u1", 64)]
)
SCHEMAS = {
    ROWS: "header <qIIII: t0_ns, rows, columns, 0, 0; rows int64 t_ns; rows*columns float64 as in quantities.json",
    CHECKS: "as rows; the columns are listed in quantities.json under 'checks'",
    FRAMES: "structs <q I H B B 64s: t_ns, id, bits (1 extended 2 FD 8 error 16 lost 32 sent), dlc, source, payload",
    EVENTS: "JSON {t_ns, kind, text}",
    VERDICTS: "JSON list of verdicts",
}


class PackedFrame:
    """One frame in a block buffer."""

    t_ns: I64
    id: I32
    bits: I32
    dlc: I32
    source: I32
    payload: Annotated[Bytes, 64]


class Block:
    """Up to ``BLOCK`` ticks waiting to be written."""

    n: I64
    n_frames: I64
    lost_frames: I64
    recorded: I64  # full columns
    n_narrow: I64
    spare: F64
    column: Annotated[Ints, NARROW]
    t_ns: Annotated[Ints, BLOCK]
    rows: Annotated[Floats, BLOCK * COLUMNS]
    narrow: Annotated[Floats, BLOCK * NARROW]
    frame: Annotated[Rows[PackedFrame], BLOCK_FRAMES]


@kernel
def take_frames(b: Block, frames: Frames, bits: int) -> None:
    """Append the frames of one direction; what finds no room is counted."""
    for i in range(frames.n):
        if b.n_frames >= BLOCK_FRAMES:
            b.lost_frames += 1
            continue
        source, target = frames.slot[i], b.frame[b.n_frames]
        target.t_ns, target.id, target.bits = source.t_ns, source.id, source.bits | bits
        target.dlc, target.source = source.dlc, source.source
        for j in range(64):
            target.payload[j] = source.payload[j] if j < source.dlc else 0
        b.n_frames += 1


@kernel
def collect(blocks: Rows[Block], t_ns: int, row: Floats, links: Rows[Link]) -> int:
    """Copy one finished tick into the buffer; returns how many ticks it holds now."""
    b, link = blocks[0], links[0]
    start = b.n * b.recorded
    b.t_ns[b.n] = t_ns
    for i in range(b.recorded):
        b.rows[start + i] = row[i]
    start = b.n * b.n_narrow
    for i in range(b.n_narrow):
        b.narrow[start + i] = row[b.column[i]]
    take_frames(b, link.rx, 0)
    take_frames(b, link.tx, 32)
    b.n += 1
    return b.n
