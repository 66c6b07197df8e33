"""The rest of the bus: frames the bench sends in the place of the vehicle, cyclic, with counter and CRC.

A message is due at phase, phase + period, ...; the tick that reaches or passes that instant sends it, once, so that a
tick never sends a burst. Values come from ``command.*`` and are rounded to the nearest raw number (halves to even)
and held inside the range the DBC declares for the signal, else inside what its bits hold.
"""

import math
from dataclasses import replace
from typing import Annotated

import numpy as np

from hil.codec import bits, e2e, layout
from hil.codec.database import Database, Message, Signal
from hil.codec.decode import misread, wanted
from hil.codec.e2e import E2eTable
from hil.codec.layout import MESSAGES, SIGNALS, Layout
from hil.codec.mapping import E2e, Line, Quantities
from hil.errors import InputError, Problem
from hil.image import Quantity, Table
from hil.kernel import F64, I32, I64, Floats, Ints, Ints32, Rows, kernel, view, zeros
from hil.tick import FRAMES, FrameBits, Frames, Node

SENT = int(FrameBits.SENT)
BENCH = int(Node.BENCH)


class Source:
    """Where one listed signal comes from: raw = ((row[column] - shift) / scale - offset) / factor."""

    column: I32  # -1 = the signal stays 0 (counter and CRC are written by the protection)
    factor: F64
    offset: F64
    scale: F64
    shift: F64
    low: I64  # raw limits
    high: I64
    otherwise: I64  # raw number while the quantity is unknown


class RestbusParams:
    """The sending side of a bus, lowered to arrays."""

    layout: Layout
    source: Annotated[Rows[Source], SIGNALS]
    period_ns: Annotated[Ints, MESSAGES]
    phase_ns: Annotated[Ints, MESSAGES]
    protection: Annotated[Ints32, MESSAGES]  # index in ``e2e``, -1 = none
    e2e: E2eTable


class RestbusState:
    """What the sender remembers; all zero at the start."""

    cycle: Annotated[Ints, MESSAGES]  # number of the next cycle to send
    counter: Annotated[Ints, MESSAGES]  # counter of the next frame


@kernel
def _raw(source: Source, row: Floats) -> int:
    value = row[source.column]
    if np.isnan(value):
        return source.otherwise
    scaled = ((value - source.shift) / source.scale - source.offset) / source.factor
    if scaled <= source.low:
        return source.low
    if scaled >= source.high:
        return source.high
    return int(np.rint(scaled))


@kernel
def _send(s: RestbusState, p: RestbusParams, message: int, t_ns: int, row: Floats, tx: Frames) -> None:
    if tx.n >= FRAMES:
        tx.lost += 1
        return
    frame = tx.slot[tx.n]
    layout.begin(p.layout, message, frame)
    frame.t_ns = t_ns
    frame.bits |= SENT
    frame.source = BENCH
    group = p.layout.group0[message]
    first = p.layout.group_first[group]
    for signal in range(first, first + p.layout.group_count[group]):
        source = p.source[signal]
        if source.column >= 0:
            cut = p.layout.cut[signal]
            bits.pack(frame.payload, cut.start, cut.width, cut.big, _raw(source, row))
    guard = p.protection[message]
    if guard >= 0:
        config = p.e2e.config[guard]
        e2e.protect(frame, config, s.counter[message])
        s.counter[message] = e2e.next_counter(s.counter[message], config)
    tx.n += 1


@kernel
def step(s: RestbusState, p: RestbusParams, t_ns: int, row: Floats, tx: Frames) -> None:
    """Append the frames that are due at ``t_ns`` to ``tx``; a full list counts them as lost."""
    for message in range(p.layout.n_messages):
        due_ns = p.phase_ns[message] + s.cycle[message] * p.period_ns[message]
        if t_ns >= due_ns:
            s.cycle[message] = (t_ns - p.phase_ns[message]) // p.period_ns[message] + 1
            _send(s, p, message, t_ns, row, tx)


def params(
    db: Database,
    quantities: Quantities,
    protected: E2e,
    table: Table,
    sender: str = "Bench",
    tick_ns: int | None = None,
) -> Rows[RestbusParams]:
    """Plan every message that ``sender`` sends.

    Raises:
        InputError: no such node; a message is not cyclic, is multiplexed, or is due more often than a tick of
            ``tick_ns`` comes; a signal is mapped to no ``command.*`` quantity or is another node's; more than fits.
    """
    if sender not in db.nodes:
        raise InputError(Problem(f"no node {sender!r}", str(db.path), expected=", ".join(db.nodes)))
    messages = [m for m in db.messages if sender in m.senders]
    by_signal = {(line.message.name, line.signal.name): line for line in quantities.transmit}
    _refuse(messages, by_signal, quantities, table, tick_ns)
    made = zeros(RestbusParams)
    record = view(made)
    stripped = [replace(m, signals=tuple(s for s in m.signals if (m.name, s.name) in by_signal)) for m in messages]
    listed = layout.fill_layout(record.layout, stripped)
    record.source["column"] = -1
    for index, (_, message, signal) in enumerate(listed):
        _fill_source(record.source[index], by_signal[message.name, signal.name], signal, table)
    e2e.fill_table(record.e2e, protected.lines())
    names = [name for name, _ in protected.protections]
    record.protection[:] = -1
    for index, message in enumerate(messages):
        record.period_ns[index] = message.cycle_ns or 0
        if message.name in names:
            record.protection[index] = names.index(message.name)
    return made


def _refuse(
    messages: list[Message],
    by_signal: dict[tuple[str, str], Line],
    quantities: Quantities,
    table: Table,
    tick_ns: int | None,
) -> None:
    problems: list[Problem] = []
    own = {m.name for m in messages}
    path = str(quantities.document.path)
    for m in messages:
        if m.cycle_ns is None:
            problems.append(Problem(f"{m.name}: has no cycle time", path, expected="GenMsgCycleTime above 0"))
        elif tick_ns is not None and m.cycle_ns < tick_ns:
            what = f"{m.name}: is due every {m.cycle_ns / 1e6:g} ms, a tick takes {tick_ns / 1e6:g} ms"
            problems.append(Problem(what, path))
        if m.selector is not None:
            problems.append(Problem(f"{m.name}: multiplexed messages are not sent", path))
    for line in by_signal.values():
        quantity = wanted(line.quantity, "command.", table)
        found = [quantity] if isinstance(quantity, Problem) else [Problem(text) for text in misread(line, quantity)]
        if isinstance(quantity, Quantity) and (line.index or 0) >= quantity.count:
            found.append(Problem(f"{line.quantity} has {quantity.count} elements, no {line.index}"))
        if line.message.name not in own:
            found.append(Problem(f"{line.message.name}: is sent by {', '.join(line.message.senders)}"))
        at = quantities.document.place(line.at)
        problems += [replace(problem, path=path, line=at.line, column=at.column) for problem in found]
    if problems:
        raise InputError(problems)


def _fill_source(source: Source, line: Line, signal: Signal, table: Table) -> None:
    quantity = table.find(line.quantity)
    if quantity is None:
        raise InputError(f"no quantity {line.quantity!r}")
    source.column = quantity.start + (line.index or 0)
    source.factor, source.offset = signal.factor, signal.offset
    source.scale, source.shift = line.scale, line.offset
    source.low, source.high = limits(signal)
    source.otherwise = line.otherwise


def limits(signal: Signal) -> tuple[int, int]:
    """Raw limits: the declared physical range, never beyond what the bits hold; nothing declared: the bits'."""
    low, high = signal.raw_range
    if signal.minimum is None or signal.maximum is None or signal.minimum >= signal.maximum:
        return low, high
    ends = sorted((x - signal.offset) / signal.factor for x in (signal.minimum, signal.maximum))
    slack = 1e-6  # decimal ranges such as 655.34 / 0.02 do not divide exactly
    return max(low, math.ceil(ends[0] - slack)), min(high, math.floor(ends[1] + slack))
