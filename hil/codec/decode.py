"""Received frames -> ``reported.*``: last known value, and when it last changed.

A frame that was lost, is an error frame, is too short, or fails its end-to-end check changes nothing; the last two are
counted in ``reported.frames_bad``. A quantity's companion time is the end of the frame that last changed it; to be
heard first is a change. The scan vector is published when all its frames of one counter have arrived, with the instant
it was sampled: end of the scan's first frame minus the declared latency.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np

from hil.codec import bits, e2e, layout
from hil.codec.database import Database, Message, Signal
from hil.codec.e2e import E2eState, E2eStatus, E2eTable
from hil.codec.layout import NO_EDGE, SIGNALS, Cut, Layout
from hil.codec.mapping import E2e, Line, Quantities
from hil.codec.plan import kind_of, stripped
from hil.errors import InputError, Problem, nearest
from hil.image import SWITCHED, Quantity, Table, bind
from hil.kernel import F64, I32, I64, Floats, Ints32, Rows, kernel, view, zeros
from hil.tick import CELLS, Frame, FrameBits, Frames

SCAN_GROUPS = 257  # groups of the scan's message: one that is always there, 256 that its multiplexer brings
COMBINES = 16
PARTS = 8
UNUSABLE = int(FrameBits.LOST | FrameBits.ERROR | FrameBits.REMOTE)
OK = int(E2eStatus.OK)
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
        if target.has_unknown and raw == target.unknown:
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
def decode(s: CodecState, p: CodecParams, rx: Frames, row: Floats) -> None:
    """Take the frames of one tick, in order, into ``reported.*``; frames of no known message are passed over."""
    for i in range(rx.n):
        frame = rx.slot[i]
        if frame.bits & UNUSABLE:
            continue
        message = layout.find(p.layout, frame)
        if message < 0:
            continue
        if _accepted(s, p, message, frame):
            _take(s, p, message, frame, row)
        else:
            s.bad += 1
            s.bad_ns = frame.t_ns
    row[p.col_reported_frames_bad] = float(s.bad)
    row[p.tcol_reported_frames_bad] = s.bad_ns * 1e-9
    _combine_all(p, row)


def params(db: Database, quantities: Quantities, protected: E2e, table: Table) -> Rows[CodecParams]:
    """Lower a bus to arrays for one process image.

    Elements of a vector that the pack does not have are left out; frames with none of its cells are not waited for.

    Raises:
        InputError: a quantity is not in the table or not under ``reported.``, its labels differ from the DBC's value
            table, an element of a vector has no signal, or more than fits.
    """
    made = zeros(CodecParams)
    record = view(made)
    bind(made[0], table)
    by_signal = _kept(quantities, table)
    kept = {m.name: {s for name, s in by_signal if name == m.name} for m in db.messages}
    messages = [stripped(m, kept[m.name]) for m in db.messages if kept[m.name]]
    listed = layout.fill_layout(record.layout, messages)
    record.target["column"], record.target["tcolumn"], record.target["scan"] = -1, -1, -1
    for index, (_, message, signal) in enumerate(listed):
        line = by_signal.get((message.name, signal.name))
        if line is not None:
            _fill_target(record.target[index], line, table, line in quantities.scan)
    e2e.fill_table(record.e2e, protected.lines())
    names = [name for name, _ in protected.protections]
    record.protection[:] = -1
    for index, message in enumerate(messages):
        if message.name in names:
            record.protection[index] = names.index(message.name)
    _fill_scan(record, quantities, messages, listed, table)
    _fill_combines(record, quantities, table)
    return made


def _kept(quantities: Quantities, table: Table) -> dict[tuple[str, str], Line]:
    """Lines whose element the pack has, by (message, signal). Raises InputError with everything that does not fit."""
    problems: list[Problem] = []
    kept: dict[tuple[str, str], Line] = {}
    have: dict[str, set[int]] = {}
    for line in (*quantities.receive, *quantities.scan):
        quantity = wanted(line.quantity, "reported.", table)
        if isinstance(quantity, Problem):
            problems.append(_placed(quantities, line, quantity))
            continue
        have.setdefault(line.quantity, set()).add(line.index or 0)
        if (line.index or 0) < quantity.count:
            problems += [_placed(quantities, line, Problem(text)) for text in misread(line, quantity)]
            kept[line.message.name, line.signal.name] = line
    for name, indices in have.items():
        quantity = wanted(name, "reported.", table)
        missing = [] if isinstance(quantity, Problem) else sorted(set(range(quantity.count)) - indices)
        if missing:
            problems.append(Problem(f"{name}[{missing[0]}] has no signal", str(quantities.document.path)))
    if problems:
        raise InputError(dict.fromkeys(problems))
    return kept


def wanted(name: str, prefix: str, table: Table) -> Quantity | Problem:
    """The quantity of that name under ``prefix``, or what is wrong with it."""
    quantity = table.find(name)
    if quantity is not None and name.startswith(prefix):
        return quantity
    close = nearest(name, (n for n in table.names() if n.startswith(prefix))) or ""
    return Problem(f"no quantity {name!r} here", expected=f"a quantity under {prefix}*", nearest=close)


def misread(line: Line, quantity: Quantity) -> list[str]:
    """What is wrong between a signal and the quantity it becomes."""
    name = f"{line.message.name}.{line.signal.name}"
    texts = []
    if line.unknown is not None and not line.signal.raw_range[0] <= line.unknown <= line.signal.raw_range[1]:
        texts.append(f"{name}: unknown {line.unknown} does not fit the signal")
    labels = {raw: text for raw, text in line.signal.labels if raw != line.unknown}
    if quantity.labels and labels and labels != dict(enumerate(quantity.labels)):
        texts.append(f"{name}: value table {labels} differs from the labels of {quantity.name} {quantity.labels}")
    return texts


def _placed(quantities: Quantities, line: Line, problem: Problem) -> Problem:
    place = quantities.document.place(line.at)
    return replace(problem, path=str(quantities.document.path), line=place.line, column=place.column)


def _fill_target(target: Target, line: Line, table: Table, in_scan: bool) -> None:
    quantity = table.find(line.quantity)
    if quantity is None:
        raise InputError(f"no quantity {line.quantity!r}")
    index = line.index or 0
    if in_scan:
        target.scan = index
    else:
        target.column, target.tcolumn = quantity.start + index, quantity.time_column(index)
    target.factor, target.offset = line.signal.factor, line.signal.offset
    target.kind = kind_of(line.signal)
    target.scale, target.shift = line.scale, line.offset
    target.has_unknown = int(line.unknown is not None)
    target.unknown = line.unknown or 0


def _fill_scan(
    record: CodecParams,
    quantities: Quantities,
    messages: Sequence[Message],
    listed: Sequence[tuple[int, Message, Signal]],
    table: Table,
) -> None:
    record.scan_message = -1
    scan = quantities.file.scan
    if scan is None:
        return
    vector = table.find(scan.quantity)
    counter = wanted(scan.counter_quantity, "reported.", table)
    if vector is None or isinstance(counter, Problem):
        raise InputError(quantities.document.problem(("scan", "counter_quantity"), f"no {scan.counter_quantity!r}"))
    name = quantities.scan[0].message.name
    message = next(i for i, m in enumerate(messages) if m.name == name)
    record.scan_message, record.scan_latency_ns = message, scan.latency
    signal = quantities.scan[0].message.signal(scan.counter.partition(".")[2])
    if signal is None or vector.count > CELLS:
        raise InputError(f"{scan.quantity}: no counter, or more than {CELLS} elements")
    cut = record.scan_counter
    cut.start, cut.width, cut.big, cut.signed = signal.start, signal.length, int(signal.big), 0
    record.scan_count, record.scan_column, record.scan_tcolumn = vector.count, vector.start, vector.time_start
    record.scan_counter_column, record.scan_counter_tcolumn = counter.start, counter.time_start
    if record.layout.mux0[message + 1] - record.layout.mux0[message] > 1:
        raise InputError(f"{name}: a scan's message has one multiplexer at most")
    first = int(record.layout.group0[message])
    count = int(record.layout.group0[message + 1]) - first
    if count > SCAN_GROUPS:
        raise InputError(f"{name}: {count} groups, a scan holds {SCAN_GROUPS}")
    for number in range(count):
        at = int(record.layout.group_first[first + number])
        inside = range(at, at + int(record.layout.group_count[first + number]))
        brings = any(record.target[i]["scan"] >= 0 for i in inside)  # type: ignore[index]  # a numpy record
        record.scan_needed[number] = int(brings and (number > 0 or count == 1))
    record.scan_groups = int(record.scan_needed.sum())


def _fill_combines(record: CodecParams, quantities: Quantities, table: Table) -> None:
    combines = quantities.file.combine
    if len(combines) > COMBINES:
        raise InputError(f"{len(combines)} combined quantities, a plan holds {COMBINES}")
    record.n_combines = len(combines)
    for k, (name, combined) in enumerate(combines.items()):
        found = [wanted(n, "reported.", table) for n in (name, *combined.of)]
        problems = [
            quantities.document.problem(("combine", name), q.message, expected=q.expected, nearest=q.nearest)
            for q in found
            if isinstance(q, Problem)
        ]
        if problems:
            raise InputError(problems)
        target, *parts = [q for q in found if isinstance(q, Quantity)]
        if target.labels != SWITCHED:
            raise InputError(quantities.document.problem(("combine", name), f"{name}: its labels are not {SWITCHED}"))
        c = record.combine[k]
        c.column, c.tcolumn, c.n = target.start, target.time_start, len(parts)
        for i, part in enumerate(parts):
            c.part[i], c.tpart[i] = part.start, part.time_start
