"""What is inside a record: topics, the layout of a block, and the block buffer that a tick fills.

A block message is a little-endian header ``<qIIII`` (first t_ns, rows, columns, kind, reserved), then int64 times, then
the values row by row. Frames are packed ``FRAME`` structs. ``inputs`` is what came in, tick by tick, enough to run the
bench half again. Everything else is JSON. Times are nanoseconds of the run.
"""

import struct
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from hil.kernel import F64, I32, I64, Bytes, Floats, Ints, Rows, kernel
from hil.tick import CELLS, COLUMNS, EDGES, TEMPS, Edges, Frame, FrameBits, Frames, Link

BLOCK = 64  # ticks a buffer can hold
NARROW = 1024  # columns that checks may use
BLOCK_FRAMES = 4096
ROOM = 512  # frames one tick can bring: received, altered or late, sent
SCALARS = (
    "pack_current_a",
    "pack_voltage_v",
    "link_voltage_v",
    "coolant_temperature_degc",
    "supply_v",
    "gas_pressure_pa",
    "bus_load",
)
"""Fields of ``Instruments`` that follow the cells and the temperatures in a row of readings, in this order."""
SEEN = CELLS + TEMPS + len(SCALARS)
STEPS = (1e-4, 1e-2, 1e-3)
"""Steps of cells (V), temperatures (K) and the scalars: what is a whole number of them is kept as the change of that number
since the tick before, all else as it is, like the first tick of a block; both come back to the last bit."""
AS_IT_IS = -32768  # in place of a change
MOST_STEPS = 1e15  # below 2^53
CELL_STEP, TEMP_STEP, SCALAR_STEP = STEPS
BLEED = 6  # first word of the balancing switches, one bit each
WORDS = BLEED + CELLS // 64
"""Integers a tick: t_ns, late_ns, frames lost so far, structs in ``frames``, coil edges, pole edges, switches."""

ROWS, CHECKS, FRAMES, EVENTS, VERDICTS, INPUTS = "rows", "checks", "frames", "events", "verdicts", "inputs"
RECOVERED = "recovered"  # metadata of a file that was finished after the fact
HEADER = struct.Struct("<qIIII")
FRAME = np.dtype(
    [("t_ns", "<i8"), ("id", "<u4"), ("bits", "<u2"), ("dlc", "u1"), ("source", "u1"), ("payload", "u1", 64)]
)
EDGE = np.dtype([("t_ns", "<i8"), ("wire", "<i4"), ("level", "<i4")])
SCHEMAS = {
    ROWS: "header <qIIII: t0_ns, rows, columns, 0, 0; rows int64 t_ns; rows*columns float64 as in quantities.json",
    CHECKS: "as rows; the columns are listed in quantities.json under 'checks'",
    FRAMES: "structs <q I H B B 64s: t_ns, id, bits (1 extended 2 FD 8 error 16 lost 32 sent 256 by a fault), dlc, source, "
    "payload",
    EVENTS: "JSON {t_ns, kind, text}",
    VERDICTS: "JSON list of verdicts",
    INPUTS: "header <qIIII: t0_ns, ticks, words, readings, edges; ticks*words int64; 3 float64 steps; ticks*readings int16 "
    "changes in steps, -32768 = a float64 of those that follow; edges of <q i i: t_ns, wire, level",
}


Ints16 = Annotated[NDArray[np.int16], "i2"]


class PackedFrame:
    """One frame in a block buffer."""

    t_ns: I64
    id: I32
    bits: I32
    dlc: I32
    source: I32
    payload: Annotated[Bytes, 64]


class PackedEdge:
    """One edge in a block buffer."""

    t_ns: I64
    wire: I32
    level: I32


class Block:
    """Up to ``BLOCK`` ticks waiting to be written."""

    n: I64
    n_frames: I64
    lost_frames: I64
    recorded: I64  # full columns
    n_narrow: I64
    n_cells: I64
    n_temps: I64
    n_edges: I64
    readings: I64  # readings of the instruments kept a tick; 0 = the full rows have them
    col_time_lateness: I64
    spare: F64
    column: Annotated[Ints, NARROW]
    t_ns: Annotated[Ints, BLOCK]
    rows: Annotated[Floats, BLOCK * COLUMNS]
    narrow: Annotated[Floats, BLOCK * NARROW]
    frame: Annotated[Rows[PackedFrame], BLOCK_FRAMES]
    word: Annotated[Ints, BLOCK * WORDS]
    n_as_it_is: I64
    change: Annotated[Ints16, BLOCK * SEEN]
    as_it_is: Annotated[Floats, BLOCK * SEEN]
    scalar: Annotated[Floats, len(SCALARS)]
    last: Annotated[Floats, SEEN]  # whole number of steps of the last reading that was one, in this block
    edge: Annotated[Rows[PackedEdge], BLOCK * EDGES * 2]


LOST, SENT, FAULT = int(FrameBits.LOST), int(FrameBits.SENT), int(FrameBits.FAULT)


@kernel
def take_frame(b: Block, source: Frame, bits: int) -> None:
    """Append one frame; what finds no room is counted."""
    if b.n_frames >= BLOCK_FRAMES:
        b.lost_frames += 1
        return
    target = b.frame[b.n_frames]
    target.t_ns, target.id, target.bits = source.t_ns, source.id, source.bits | bits
    target.dlc, target.source = source.dlc, source.source
    for j in range(64):
        target.payload[j] = source.payload[j] if j < source.dlc else 0
    b.n_frames += 1


@kernel
def is_altered(heard: Frame, frame: Frame) -> bool:
    """True when the payload is no longer what was heard."""
    differs = 0
    for j in range(heard.dlc):
        differs |= heard.payload[j] ^ frame.payload[j]
    return differs != 0


@kernel
def take_received(b: Block, heard: Frames, rx: Frames) -> None:
    """Append the frames as heard, LOST where a receive fault removed or altered them, and FAULT what it put in place."""
    for i in range(heard.n):
        altered = is_altered(heard.slot[i], rx.slot[i])
        take_frame(b, heard.slot[i], LOST if altered else rx.slot[i].bits & LOST)
        if altered:
            take_frame(b, rx.slot[i], FAULT)
    for i in range(heard.n, rx.n):
        take_frame(b, rx.slot[i], FAULT)


@kernel
def take_edges(b: Block, edges: Edges) -> None:
    """Append the edges of one kind; a tick's fit by construction."""
    for i in range(edges.n):
        target = b.edge[b.n_edges]
        target.t_ns, target.wire, target.level = edges.slot[i].t_ns, edges.slot[i].wire, edges.slot[i].level
        b.n_edges += 1


@kernel
def take_inputs(b: Block, t_ns: int, row: Floats, link: Link, n_frames: int) -> None:
    """Append what came in besides frames; ``n_frames`` structs of this tick stand in ``frames``."""
    at = b.n * WORDS
    b.word[at], b.word[at + 1] = t_ns, int(np.rint(row[b.col_time_lateness] * 1e9))
    b.word[at + 2], b.word[at + 3] = link.heard.rx.lost, n_frames
    b.word[at + 4], b.word[at + 5] = link.coils.n, link.heard.poles.n
    for i in range(BLEED, WORDS):
        b.word[at + i] = 0
    for i in range(b.n_cells):
        b.word[at + BLEED + (i >> 6)] |= np.int64(link.bleed[i] != 0) << (i & 63)
    take_edges(b, link.coils)
    take_edges(b, link.heard.poles)
    if b.readings > 0:
        take_instruments(b, link)


@kernel
def take_readings(b: Block, values: Floats, n: int, at: int, step: float) -> None:
    """Append ``n`` readings of one kind, the first of them reading ``at`` of the tick. No branch in the first loop.

    A block's first tick is kept as it is; changes count from its whole numbers, from 0 where there is none.
    """
    steps, first, begins = 1.0 / step, b.n * b.readings + at, b.n == 0
    change, last = b.change, b.last
    odd = 0
    for i in range(n):
        value = values[i]
        number = np.rint(value * steps)
        apart = number - last[at + i]
        minus_zero = (value == 0.0) & (np.copysign(1.0, value) < 0.0)  # integers have none
        whole = (number * step == value) & (np.abs(number) <= MOST_STEPS) & (not minus_zero)
        near = whole & (np.abs(apart) <= 32767.0) & (not begins)
        last[at + i] = number if near or (whole and begins) else last[at + i]
        change[first + i] = np.int16(apart if near else AS_IT_IS)
        odd += 0 if near else 1
    if odd == 0:
        return
    for i in range(n):
        if change[first + i] == AS_IT_IS:
            b.as_it_is[b.n_as_it_is] = values[i]
            b.n_as_it_is += 1


@kernel
def take_instruments(b: Block, link: Link) -> None:
    """Append what the instruments read."""
    seen = link.instruments
    take_readings(b, seen.cell_voltage_v, b.n_cells, 0, CELL_STEP)
    take_readings(b, seen.temperature_degc, b.n_temps, b.n_cells, TEMP_STEP)
    b.scalar[0], b.scalar[1], b.scalar[2] = seen.pack_current_a, seen.pack_voltage_v, seen.link_voltage_v
    b.scalar[3], b.scalar[4], b.scalar[5] = seen.coolant_temperature_degc, seen.supply_v, seen.gas_pressure_pa
    b.scalar[6] = seen.bus_load
    take_readings(b, b.scalar, len(b.scalar), b.n_cells + b.n_temps, SCALAR_STEP)


@kernel
def collect(blocks: Rows[Block], t_ns: int, row: Floats, links: Rows[Link]) -> int:
    """Copy one finished tick into the buffer; returns how many ticks it holds now, BLOCK when no other fits."""
    b, link = blocks[0], links[0]
    start = b.n * b.recorded
    b.t_ns[b.n] = t_ns
    for i in range(b.recorded):
        b.rows[start + i] = row[i]
    start = b.n * b.n_narrow
    for i in range(b.n_narrow):
        b.narrow[start + i] = row[b.column[i]]
    before = b.n_frames
    take_received(b, link.heard.rx, link.rx)
    for i in range(link.tx.n):
        take_frame(b, link.tx.slot[i], SENT)
    take_inputs(b, t_ns, row, link, b.n_frames - before)
    b.n += 1
    return BLOCK if b.n_frames > BLOCK_FRAMES - ROOM else b.n
