"""Fault rows and where they act. A row that is not active changes nothing; the ranges it touches are rewritten from
their source each tick, so that ending a fault removes it.
"""

from enum import IntEnum
from typing import Annotated

from hil.codec.e2e import E2eTable, counter_of
from hil.codec.e2e.corrupt import Corruption, corrupt, remember, repeat
from hil.kernel import F64, I64, Floats, Ints, Rows, kernel, uniform
from hil.tick import GROUPS, Frame, FrameBits, Frames

ROWS = 64  # column faults and frame faults of one scenario
DELAYED = 128  # frames that can be held back at once
LOST = int(FrameBits.LOST)


class Point(IntEnum):
    """Injection points, in the order of a tick."""

    RECEIVE = 0  # bus -> bench
    PLANT = 1  # inside the emulated pack
    STIMULUS = 2  # bench -> wires of the DUT
    TRANSMIT = 3  # bench -> frames to the DUT


class ColumnKind(IntEnum):
    """What a column fault does to each of its columns."""

    LINEAR = 0  # value * gain + offset
    HOLD = 1  # the value it had when the fault began
    NOISE = 2  # value + gain * uniform(-1, 1)


class FrameKind(IntEnum):
    """What a frame fault does to each frame of its id."""

    LOSE = 0  # with probability ``argument``
    DELAY = 1  # by ``argument`` nanoseconds
    WRONG_CRC = 2  # inverts the CRC
    FREEZE_COUNTER = 3  # repeats the counter of the first frame, with a CRC that fits
    FLIP_BIT = 4  # flips payload bit ``argument`` (little endian), CRC left as it was
    JUMP_COUNTER = 5  # moves the counter on by ``argument`` more than it should, with a CRC that fits
    WRONG_DATA_ID = 6  # protects it under data id ``argument``
    REPEAT_FIRST = 7  # gives it the contents of the first frame, counter and CRC included


LINEAR, HOLD, NOISE = int(ColumnKind.LINEAR), int(ColumnKind.HOLD), int(ColumnKind.NOISE)
LOSE, DELAY, WRONG_CRC = int(FrameKind.LOSE), int(FrameKind.DELAY), int(FrameKind.WRONG_CRC)
FREEZE, FLIP = int(FrameKind.FREEZE_COUNTER), int(FrameKind.FLIP_BIT)
JUMP, OTHER_ID, REPEAT = int(FrameKind.JUMP_COUNTER), int(FrameKind.WRONG_DATA_ID), int(FrameKind.REPEAT_FIRST)
CORRUPT_CRC, CORRUPT_STUCK = int(Corruption.CRC), int(Corruption.STUCK)
CORRUPT_JUMP, CORRUPT_ID = int(Corruption.JUMP), int(Corruption.DATA_ID)
RECEIVE = int(Point.RECEIVE)


class ColumnFault:
    """One row of the column table; the window is in ns after its step group's start, ``t_off`` < 0 = until the end."""

    point: I64
    kind: I64
    group: I64
    t_on_ns: I64
    t_off_ns: I64
    column: I64
    n: I64
    gain: F64
    offset: F64


class FrameFault:
    """One row of the frame table; ``protection`` indexes the E2E table, -1 = the message has none."""

    point: I64
    kind: I64
    group: I64
    t_on_ns: I64
    t_off_ns: I64
    id: I64
    protection: I64
    argument: F64


class FaultParams:
    """All faults of a run."""

    n_columns: I64
    n_frames: I64
    seed: I64
    on_columns: Annotated[Rows[ColumnFault], ROWS]
    on_frames: Annotated[Rows[FrameFault], ROWS]
    e2e: E2eTable


class FaultState:
    """Starts of the step groups, what holding and freezing faults remember, and frames held back."""

    group_t_ns: Annotated[Ints, GROUPS]
    held: Annotated[Floats, ROWS]
    holding: Annotated[Ints, ROWS]
    counter: Annotated[Ints, ROWS]  # of the first frame; -1 = none yet
    first: Annotated[Rows[Frame], ROWS]  # the first frame of a fault that repeats it
    n_active: I64
    n_delayed: I64
    delayed: Annotated[Rows[Frame], DELAYED]


@kernel
def schedule(s: FaultState, p: FaultParams, group_t_ns: Ints) -> None:
    """Take over when the step groups began (ns, -1 = not yet)."""
    for i in range(GROUPS):
        s.group_t_ns[i] = group_t_ns[i]


@kernel
def active(s: FaultState, group: int, t_on_ns: int, t_off_ns: int, t_ns: int) -> bool:
    """True inside the window [on, off) of a group that has begun."""
    start = s.group_t_ns[group]
    if start < 0 or t_ns < start + t_on_ns:
        return False
    return t_off_ns < 0 or t_ns < start + t_off_ns


@kernel
def on_columns(s: FaultState, p: FaultParams, point: int, t_ns: int, row: Floats) -> None:
    """Transform the columns of every active fault at ``point``, in table order."""
    for i in range(p.n_columns):
        f = p.on_columns[i]
        if f.point != point:
            continue
        if not active(s, f.group, f.t_on_ns, f.t_off_ns, t_ns):
            s.holding[i] = 0
            continue
        for c in range(f.column, f.column + f.n):
            if f.kind == LINEAR:
                row[c] = (row[c] if f.gain != 0.0 else 0.0) * f.gain + f.offset
            elif f.kind == NOISE:
                row[c] += f.gain * (2.0 * uniform(p.seed, i, t_ns, c) - 1.0)
            else:
                if s.holding[i] == 0:
                    s.holding[i], s.held[i] = 1, row[c]
                row[c] = s.held[i]


@kernel
def on_frames(s: FaultState, p: FaultParams, point: int, t_ns: int, frames: Frames) -> None:
    """Transform the frames of every active fault at ``point``; lost frames stay, marked, so that a record shows them."""
    for i in range(p.n_frames):
        f = p.on_frames[i]
        if f.point != point:
            continue
        on = active(s, f.group, f.t_on_ns, f.t_off_ns, t_ns)
        if not on:
            s.counter[i] = -1
            continue
        for j in range(frames.n):
            frame = frames.slot[j]
            if frame.id == f.id and frame.bits & LOST == 0:
                touch(s, p, f, i, frame)
    if point == RECEIVE and s.n_delayed > 0:
        release(s, t_ns, frames)


@kernel
def touch(s: FaultState, p: FaultParams, f: FrameFault, i: int, frame: Frame) -> None:
    """Apply one frame fault to one frame."""
    if f.kind == LOSE:
        if f.argument >= 1.0 or uniform(p.seed, i, frame.t_ns, frame.id) < f.argument:
            frame.bits |= LOST
    elif f.kind == DELAY:
        hold_back(s, frame, int(f.argument))
    elif f.kind == FLIP:
        bit = int(f.argument)
        frame.payload[bit >> 3] ^= 1 << (bit & 7)
    elif f.kind == REPEAT:
        if s.counter[i] < 0:
            s.counter[i] = 0
            remember(frame, s.first[i])
        repeat(frame, s.first[i])
    elif f.protection >= 0:
        spoil(s, p, f, i, frame)


@kernel
def spoil(s: FaultState, p: FaultParams, f: FrameFault, i: int, frame: Frame) -> None:
    """Apply one fault of the protection to one protected frame."""
    cfg = p.e2e.config[f.protection]
    if f.kind == WRONG_CRC:
        corrupt(frame, cfg, CORRUPT_CRC, 0)
    elif f.kind == FREEZE:
        if s.counter[i] < 0:
            s.counter[i] = counter_of(frame, cfg)
        corrupt(frame, cfg, CORRUPT_STUCK, s.counter[i])
    elif f.kind == JUMP:
        corrupt(frame, cfg, CORRUPT_JUMP, int(f.argument))
    elif f.kind == OTHER_ID:
        corrupt(frame, cfg, CORRUPT_ID, int(f.argument))


@kernel
def copy_frame(source: Frame, target: Frame) -> None:
    """All fields of one frame."""
    target.t_ns, target.id, target.bits = source.t_ns, source.id, source.bits
    target.dlc, target.source = source.dlc, source.source
    for b in range(source.dlc):
        target.payload[b] = source.payload[b]


@kernel
def hold_back(s: FaultState, frame: Frame, delay_ns: int) -> None:
    """Mark the frame lost here and keep a copy that arrives ``delay_ns`` later; with no room it is only lost."""
    if s.n_delayed < DELAYED:
        kept = s.delayed[s.n_delayed]
        copy_frame(frame, kept)
        kept.t_ns += delay_ns
        s.n_delayed += 1
    frame.bits |= LOST


@kernel
def release(s: FaultState, t_ns: int, frames: Frames) -> None:
    """Append the frames whose delay is over, keep the others in order."""
    kept = 0
    for i in range(s.n_delayed):
        frame = s.delayed[i]
        if frame.t_ns <= t_ns:
            if frames.n < len(frames.slot):
                copy_frame(frame, frames.slot[frames.n])
                frames.n += 1
            else:
                frames.lost += 1
        else:
            if kept != i:
                copy_frame(frame, s.delayed[kept])
            kept += 1
    s.n_delayed = kept
