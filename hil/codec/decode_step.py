"""Received frames -> ``reported.*``: last known value, and when it last changed.

A frame that was lost, is an error frame, is too short, or fails its end-to-end check changes nothing; the last two are
counted in ``reported.frames_bad``, protected messages that have fallen silent in ``reported.messages_silent``. A
quantity's companion time is the end of the frame that last changed it; to be heard first is a change. The scan vector is
published when all its frames of one counter have arrived, with the instant it was sampled: end of the scan's first frame
minus the declared latency.
"""

from typing import Annotated

import numpy as np

from hil.codec import bits, e2e, layout
from hil.codec.e2e import E2eState, E2eStatus, E2eTable
from hil.codec.layout import NO_EDGE, SIGNALS, Cut, Layout
from hil.kernel import F64, I32, I64, Floats, Ints32, Rows, kernel
from hil.tick import CELLS, Frame, FrameBits, Frames

SCAN_GROUPS = 257  # groups of the scan's message: one that is always there, 256 that its multiplexer brings
COMBINES = 16
PARTS = 8
UNUSABLE = int(FrameBits.LOST | FrameBits.ERROR | FrameBits.REMOTE)
OK, NO_NEW_DATA = int(E2eStatus.OK), int(E2eStatus.NO_NEW_DATA)
OPEN, CLOSED, PARTIAL = 0.0, 1.0, 2.0


class Target:
    """What becomes of one listed signal: (raw * factor + offset) * scale + shift, into a column or the scan.

    ``kind`` (``hil.codec.plan.Kind``) says what the raw number is.
    """

    column: I32  # -1 = none
    tcolumn: I32  # -1 = not timed
    scan: I32  # element of the scan vector, -1 = none
    has_unknown: I32
    kind: I32
    unknown: I64  # raw number that means NaN
    factor: F64
    offset: F64
    scale: F64
    shift: F64


class Combine:
    """One quantity made of others."""

    column: I32
    tcolumn: I32
    n: I32
    part: Annotated[Ints32, PARTS]
    tpart: Annotated[Ints32, PARTS]


class CodecParams:
    """The receiving side of a bus, lowered to arrays."""

    layout: Layout
    target: Annotated[Rows[Target], SIGNALS]
    protection: Annotated[Ints32, layout.MESSAGES]  # index in ``e2e``, -1 = none
    e2e: E2eTable
    n_combines: I64
    combine: Annotated[Rows[Combine], COMBINES]
    scan_message: I64  # -1 = none
    scan_counter: Cut
    scan_count: I64  # elements of the vector
    scan_latency_ns: I64
    scan_groups: I64  # groups that bring elements
    scan_needed: Annotated[Ints32, SCAN_GROUPS]
    scan_column: I64
    scan_tcolumn: I64
    scan_counter_column: I64
    scan_counter_tcolumn: I64
    col_reported_frames_bad: I64
    tcol_reported_frames_bad: I64
    col_reported_messages_silent: I64
    tcol_reported_messages_silent: I64


class CodecState:
    """What the receiver remembers; all zero at the start."""

    bad: I64  # frames refused since the run began
    bad_ns: I64  # end of the last one
    e2e: Annotated[Rows[E2eState], e2e.MESSAGES]
    scan_heard: I64
    scan_counter: I64
    scan_first_ns: I64  # end of the scan's first frame
    scan_seen: Annotated[Ints32, SCAN_GROUPS]
    scan_arrived: I64  # groups that bring elements and have arrived
    scan_value: Annotated[Floats, CELLS]


@kernel
def _set(row: Floats, column: int, tcolumn: int, value: float, t_s: float) -> None:
    """Write a value, and its time when it differs from what stood there or was never heard."""
    if tcolumn >= 0:
        old = row[column]
        differs = value != old and not (np.isnan(value) and np.isnan(old))
        if differs or np.isnan(row[tcolumn]):
            row[tcolumn] = t_s
    row[column] = value


@kernel
def _take_group(s: CodecState, p: CodecParams, group: int, frame: Frame, row: Floats) -> None:
    first = p.layout.group_first[group]
    t_s = frame.t_ns * 1e-9
    for signal in range(first, first + p.layout.group_count[group]):
        target = p.target[signal]
        if target.column < 0 and target.scan < 0:
            continue
        raw = layout.raw_of(p.layout, signal, frame)
        value = bits.scaled(raw, target.kind, target.factor, target.offset) * target.scale + target.shift
        if (target.has_unknown and raw == target.unknown) or p.layout.reach[signal] > frame.dlc:
            value = np.nan
        if target.scan >= 0:
            s.scan_value[target.scan] = value
        if target.column >= 0:
            _set(row, target.column, target.tcolumn, value, t_s)


@kernel
def _scan_begins(s: CodecState, p: CodecParams, number: int, frame: Frame) -> None:
    """A new scan begins when the counter changes, or a group comes again: then the counter stands or went round."""
    cut = p.scan_counter
    counter = bits.unpack(frame.payload, cut.start, cut.width, cut.big, cut.signed)
    if s.scan_heard and counter == s.scan_counter and not s.scan_seen[number]:
        return
    s.scan_heard = 1
    s.scan_counter = counter
    s.scan_first_ns = frame.t_ns
    s.scan_arrived = 0
    s.scan_seen[:] = 0


@kernel
def _scan_ends(s: CodecState, p: CodecParams, number: int, frame: Frame, row: Floats) -> None:
    """Publish the vector when the last of its groups has arrived."""
    s.scan_seen[number] = 1
    if not p.scan_needed[number]:
        return
    s.scan_arrived += 1
    if s.scan_arrived != p.scan_groups:
        return
    for index in range(p.scan_count):
        row[p.scan_column + index] = s.scan_value[index]
    if p.scan_tcolumn >= 0:
        row[p.scan_tcolumn] = (s.scan_first_ns - p.scan_latency_ns) * 1e-9
    _set(row, p.scan_counter_column, p.scan_counter_tcolumn, float(s.scan_counter), frame.t_ns * 1e-9)


@kernel
def _scan_number(p: CodecParams, message: int, frame: Frame) -> int:
    """Which part of the scan the frame brings, counted in groups of its message; -1 = none."""
    if message != p.scan_message:
        return -1
    mux = p.layout.mux0[message]
    if mux == p.layout.mux0[message + 1]:
        return 0
    edge = layout.edge_of(p.layout, mux, frame)
    return int(p.layout.branch[p.layout.branch_first[edge]] - p.layout.group0[message]) if edge != NO_EDGE else -1


@kernel
def _take(s: CodecState, p: CodecParams, message: int, frame: Frame, row: Floats) -> None:
    group0 = p.layout.group0[message]
    mux, mux_end = p.layout.mux0[message], p.layout.mux0[message + 1]
    number = _scan_number(p, message, frame)
    if number >= 0:
        _scan_begins(s, p, number, frame)
    _take_group(s, p, group0, frame, row)
    for m in range(mux, mux_end):
        edge = layout.edge_of(p.layout, m, frame)
        if edge != NO_EDGE:
            for k in range(p.layout.branch_first[edge], p.layout.branch_first[edge + 1]):
                _take_group(s, p, p.layout.branch[k], frame, row)
    if number >= 0:
        _scan_ends(s, p, number, frame, row)


@kernel
def _accepted(s: CodecState, p: CodecParams, message: int, frame: Frame) -> bool:
    if frame.dlc < p.layout.length[message]:
        return False
    index = p.protection[message]
    return index < 0 or e2e.check(frame, p.e2e.config[index], s.e2e[index]) == OK


@kernel
def _combine_all(p: CodecParams, row: Floats) -> None:
    """OPEN when all parts are open, CLOSED when all are closed, unknown when one is unknown, else PARTIAL."""
    for k in range(p.n_combines):
        c = p.combine[k]
        n_closed, n_open, t_s = 0, 0, 0.0
        unknown = False
        for i in range(c.n):
            value = row[c.part[i]]
            unknown = unknown or np.isnan(value)
            n_closed += value == CLOSED
            n_open += value == OPEN
            if c.tpart[i] >= 0 and row[c.tpart[i]] > t_s:
                t_s = row[c.tpart[i]]
        if unknown:
            row[c.column] = np.nan
        elif n_closed == c.n:
            _set(row, c.column, c.tcolumn, CLOSED, t_s)
        elif n_open == c.n:
            _set(row, c.column, c.tcolumn, OPEN, t_s)
        else:
            _set(row, c.column, c.tcolumn, PARTIAL, t_s)


@kernel
def _supervise(s: CodecState, p: CodecParams, t_ns: int, row: Floats) -> None:
    """Count the protected messages that nothing was heard of for longer than their timeout, or ever."""
    silent = 0
    for message in range(p.layout.n_messages):
        index = p.protection[message]
        if index >= 0 and e2e.supervise(s.e2e[index], p.e2e.config[index], t_ns) == NO_NEW_DATA:
            silent += 1
    _set(row, p.col_reported_messages_silent, p.tcol_reported_messages_silent, float(silent), t_ns * 1e-9)


@kernel
def decode(s: CodecState, p: CodecParams, t_ns: int, rx: Frames, row: Floats) -> None:
    """Take the frames of the tick at ``t_ns``, in order, into ``reported.*``; those of no known message are passed over."""
    for i in range(rx.n):
        frame = rx.slot[i]
        if frame.bits & UNUSABLE:
            continue
        message = layout.find_received(p.layout, frame)
        if message < 0:
            continue
        if _accepted(s, p, message, frame):
            _take(s, p, message, frame, row)
        else:
            s.bad += 1
            s.bad_ns = frame.t_ns
    row[p.col_reported_frames_bad] = float(s.bad)
    row[p.tcol_reported_frames_bad] = s.bad_ns * 1e-9
    _supervise(s, p, t_ns, row)
    _combine_all(p, row)
