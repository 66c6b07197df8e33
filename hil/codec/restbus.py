"""The rest of the bus: which messages the bench sends in the place of real nodes, planned from the DBC and its companions.

``params`` lowers a bus to arrays; ``step``, ``hear``, ``ask`` and ``trigger`` are what a tick calls (``hil.codec.restbus_step``).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from hil.codec import e2e, layout
from hil.codec.decode import misread, wanted
from hil.codec.encode import limits
from hil.codec.mapping import E2e, Line, Quantities
from hil.codec.nouns import Database, Message, Signal
from hil.codec.plan import folded, readable
from hil.codec.restbus_step import (
    FLOAT,
    RANGES,
    TURNS,
    WHOLE,
    WIDE,
    RestbusParams,
    RestbusState,
    Rule,
    Source,
    ask,
    hear,
    step,
    trigger,
)
from hil.codec.sending import NOTHING, Cycle, Send, Sending, load_of, pages, phases, sending
from hil.errors import InputError, Problem, nearest
from hil.files import KeyPath
from hil.image import Quantity, Table
from hil.kernel import Rows, view, zeros

__all__ = [
    "RestbusParams",
    "RestbusState",
    "Rules",
    "WhenHeard",
    "ask",
    "check",
    "hear",
    "limits",
    "misfits",
    "params",
    "phases_of",
    "sent_messages",
    "step",
    "suppressions",
    "trigger",
]

Sources = Mapping[tuple[str, str], Line]
CLASSIC = 8  # payload bytes of a frame that is not CAN FD


class WhenHeard(StrEnum):
    """What the bench does about a message of its own that it hears from another node."""

    SUPPRESS = "suppress"  # stops sending it for the rest of the run
    RESUME = "resume"  # stops, and sends again after ``resume_after`` silent cycles
    IGNORE = "ignore"  # sends on; the frames are counted all the same


@dataclass(frozen=True, slots=True)
class Rules:
    """What a bench file says about the rest of the bus.

    ``suppress`` names messages or identifiers never sent; ``cycles`` gives messages a cycle time, ns, that the DBC has not
    or has otherwise.
    """

    senders: tuple[str, ...] = ("Bench",)
    suppress: tuple[str | int, ...] = ()
    when_heard: WhenHeard = WhenHeard.SUPPRESS
    resume_after: int = 5
    cycles: Mapping[str, int] = field(default_factory=dict)


def sent_messages(db: Database, rules: Rules = Rules()) -> list[Message]:
    """The messages the nodes of ``rules`` send, with their cycles, in the order that is their number.

    Raises:
        InputError: ``misfits`` finds any.
    """
    wrong = misfits(db, rules)
    if wrong:
        raise InputError(replace(problem, path=str(db.path)) for _, problem in wrong)
    return [replace(m, cycle_ns=rules.cycles.get(m.name, m.cycle_ns)) for m in _of_senders(db, rules)]


def _of_senders(db: Database, rules: Rules) -> list[Message]:
    return [m for m in db.messages if set(m.senders) & set(rules.senders)]


def misfits(db: Database, rules: Rules) -> list[tuple[KeyPath, Problem]]:
    """What the rules name and the database does not have, with its place among the rules.

    A node is one that the file lists or that sends a message: files list fewer than they use, and SYM lists none.
    """
    nodes = tuple(dict.fromkeys((*db.nodes, *(name for m in db.messages for name in m.senders))))
    sent = _of_senders(db, rules)
    names = [m.name for m in sent]
    out: list[tuple[KeyPath, Problem]] = []
    for index, name in enumerate(rules.senders):
        if name not in nodes:
            problem = Problem(f"no node {name!r}", expected=", ".join(nodes), nearest=nearest(name, nodes) or "")
            out.append((("senders", index), problem))
    for index, one in enumerate(rules.suppress):
        if not any(one in (m.name, m.id) for m in sent):
            shown = one if isinstance(one, str) else f"0x{one:X}"
            problem = Problem(f"suppress: no message {shown} that is sent here", nearest=nearest(str(one), names) or "")
            out.append((("suppress", index), problem))
    for name in rules.cycles:
        if name not in names:
            problem = Problem(f"cycles: no message {name} that is sent here", nearest=nearest(name, names) or "")
            out.append((("cycles", name), problem))
    return out


def check(db: Database, rules: Rules) -> None:
    """Raises InputError for what ``params`` refuses whatever the tick and the quantities are."""
    messages = sent_messages(db, rules)
    _planned(messages, _suppressed(messages, rules), db, None)


def params(
    db: Database,
    quantities: Quantities,
    protected: E2e,
    table: Table,
    tick_ns: int | None = None,
    rules: Rules = Rules(),
) -> Rows[RestbusParams]:
    """Plan every message that the nodes of ``rules`` send; without ``tick_ns`` no phases are chosen.

    Raises:
        InputError: no such node, message or identifier; a send type is not understood or lacks its time; a frame is
            too long; a cycle is shorter than a tick of ``tick_ns``; a signal is mapped to no ``command.*`` quantity or
            is another node's; more than fits.
    """
    messages = sent_messages(db, rules)
    never = _suppressed(messages, rules)
    by_signal = {(line.message.name, line.signal.name): line for line in quantities.transmit}
    _refuse(messages, by_signal, quantities, table)
    plans = _planned(messages, never, db, tick_ns)
    made = zeros(RestbusParams)
    record = view(made)
    listed = layout.fill_layout(record.layout, messages)
    record.stop_when_heard = int(rules.when_heard != WhenHeard.IGNORE)
    record.column_suppressed, record.column_heard = _column(table, "suppressed"), _column(table, "heard")
    e2e.fill_table(record.e2e, protected.lines())
    names = [name for name, _ in protected.protections]
    chosen = phases_of(messages, plans, tick_ns)
    at = _Room()
    for index, (message, plan) in enumerate(zip(messages, plans, strict=True)):
        rule = record.rule[index]
        own = [i for i, (number, _, _) in enumerate(listed) if number == index]
        rule.first, rule.count = own[0] if own else 0, len(own)
        rule.protection = names.index(message.name) if message.name in names else -1
        rule.never = int(message.name in never)
        rule.phase_ns, rule.frames = chosen[index], max(1, message.frames_per_cycle)
        _fill_times(rule, plan, rules)
        signals = [listed[i][2] for i in own]
        _fill_signals(record, rule, message, signals, plan, by_signal, table, at)
    return made


def _planned(messages: Sequence[Message], never: set[str], db: Database, tick_ns: int | None) -> list[Sending]:
    """How each is sent; one that never is, is not asked."""
    problems: list[Problem] = []
    plans: list[Sending] = []
    for m in messages:
        plan = Sending(NOTHING, 0, 0, 0, 0, 0, {})
        try:
            plan = plan if m.name in never else sending(m)
        except InputError as error:
            problems += [replace(problem, path=str(db.path)) for problem in error.problems]
        if m.name not in never and not m.fd and m.length > CLASSIC:
            what = f"{m.name}: {m.length} bytes do not go into one frame of classic CAN"
            expected = f"at most {CLASSIC} bytes, CAN FD (VFrameFormat), or the message under restbus.suppress"
            problems.append(Problem(what, str(db.path), expected=expected))
        for cycle_ns in {plan.period_ns, plan.fast_ns} - {0}:
            if tick_ns is not None and cycle_ns < tick_ns:
                what = f"{m.name}: is due every {cycle_ns / 1e6:g} ms, a tick takes {tick_ns / 1e6:g} ms"
                problems.append(Problem(what, str(db.path)))
        plans.append(plan)
    if problems:
        raise InputError(problems)
    return plans


def _column(table: Table, name: str) -> int:
    quantity = table.find(f"restbus.{name}")
    return -1 if quantity is None else quantity.start


def phases_of(messages: Sequence[Message], plans: Sequence[Sending], tick_ns: int | None) -> list[int]:
    """The first due instant of each message, ns; chosen to spread the load over the ticks where the DBC gives none."""
    out = [m.start_delay_ns for m in messages]
    cyclic = [i for i, plan in enumerate(plans) if plan.period_ns]
    if tick_ns is None or not cyclic:
        return out
    cycles = [Cycle(plans[i].period_ns, load_of(messages[i]), messages[i].start_delay_ns) for i in cyclic]
    for i, phase_ns in zip(cyclic, phases(cycles, tick_ns), strict=True):
        out[i] = phase_ns
    return out


def suppressions(states: Rows[RestbusState], messages: Sequence[Message], rules: Rules = Rules()) -> list[str]:
    """One sentence for each message the bench holds back as its state stands, for the end of a run."""
    s = np.asarray(states)[0]
    out = []
    for index, message in enumerate(messages):
        held = f"{int(s['held'][index])} frames held back"
        if message.name in rules.suppress or message.id in rules.suppress:
            out.append(f"{message.name}: suppressed by the bench file, {held}")
        elif s["silent"][index]:
            t_s = int(s["heard_ns"][index]) * 1e-9
            out.append(f"{message.name}: another node sends it, last heard at {t_s:.3f} s, {held}")
    return out


def _suppressed(messages: Sequence[Message], rules: Rules) -> set[str]:
    return {m.name for m in messages if m.name in rules.suppress or m.id in rules.suppress}


def _refuse(messages: Sequence[Message], by_signal: Sources, quantities: Quantities, table: Table) -> None:
    problems: list[Problem] = []
    own = {m.name for m in messages}
    for line in by_signal.values():
        quantity = wanted(line.quantity, "command.", table)
        found = [quantity] if isinstance(quantity, Problem) else [Problem(text) for text in misread(line, quantity)]
        if isinstance(quantity, Quantity) and (line.index or 0) >= quantity.count:
            found.append(Problem(f"{line.quantity} has {quantity.count} elements, no {line.index}"))
        if line.message.name not in own:
            found.append(Problem(f"{line.message.name}: is sent by {', '.join(line.message.senders)}"))
        if line.signal.is_float and line.signal.length not in (32, 64):
            found.append(Problem(f"{line.message.name}.{line.signal.name}: floats of 16 bits are not sent"))
        if line.signal.factor == 0.0:
            found.append(Problem(f"{line.message.name}.{line.signal.name}: its factor is 0, no value has a raw number"))
        at = quantities.document.place(line.at)
        path = str(quantities.document.path)
        problems += [replace(problem, path=path, line=at.line, column=at.column) for problem in found]
    if problems:
        raise InputError(problems)


def _fill_times(rule: Rule, plan: Sending, rules: Rules) -> None:
    rule.send, rule.repetitions = int(plan.send & ~Send.IF_TIMED), plan.repetitions
    rule.period_ns, rule.fast_ns, rule.repeat_ns = plan.period_ns, plan.fast_ns, plan.repeat_ns
    rule.delay_ns = plan.delay_ns
    if rules.when_heard == WhenHeard.RESUME:
        rule.resume_ns = rules.resume_after * (plan.period_ns or plan.fast_ns)


class _Room:
    """Next free place of the shared lists."""

    def __init__(self) -> None:
        self.ranges = 0
        self.turns = 0

    def take(self, what: str, count: int) -> int:
        """First of ``count`` places. Raises InputError when they do not fit."""
        most = {"ranges": RANGES, "turns": TURNS}[what]
        first: int = getattr(self, what)
        if first + count > most:
            raise InputError(f"{first + count} multiplexer {what} of sent messages, a plan holds {most}")
        setattr(self, what, first + count)
        return first


def _fill_signals(
    record: RestbusParams,
    rule: Rule,
    message: Message,
    signals: Sequence[Signal],
    plan: Sending,
    by_signal: Sources,
    table: Table,
    at: _Room,
) -> None:
    driven = [s.name for s in signals if (message.name, s.name) in by_signal]
    turns = pages(message, driven)
    turning = sorted({name for page in turns for name in page})
    rule.pages, rule.page_width = len(turns), len(turning)
    rule.page_first = at.take("turns", len(turns) * len(turning))
    for number, page in enumerate(turns):
        for place, name in enumerate(turning):
            record.page_value[rule.page_first + number * len(turning) + place] = folded(page.get(name, 0))
    places = {s.name: rule.first + i for i, s in enumerate(signals)}
    for signal in signals:
        source = record.source[places[signal.name]]
        _fill_source(source, by_signal.get((message.name, signal.name)), signal, table)
        source.turn = turning.index(signal.name) if signal.name in turning else -1
        source.home = _home(signal, message, turns)
        if source.column >= 0:
            source.send = int(plan.signals.get(signal.name, NOTHING))
        source.above = -1
        if signal.mux_signal:
            above = places[signal.mux_signal]
            ranges = readable(signals[above - rule.first], signal.mux_ranges)
            source.above, source.range_count = above, len(ranges)
            source.range_first = at.take("ranges", len(ranges))
            for k, (low, high) in enumerate(ranges, source.range_first):
                record.range_low[k], record.range_high[k] = low, high


def _home(signal: Signal, message: Message, turns: Sequence[dict[str, int]]) -> int:
    """First page whose values bring the signal, as far as they turn."""
    for number, page in enumerate(turns):
        at: Signal | None = signal
        while at is not None and at.mux_signal:
            value = page.get(at.mux_signal)
            if value is not None and not at.brought_by(value):
                break
            at = message.signal(at.mux_signal)
        else:
            return number
    return 0


def _fill_source(source: Source, line: Line | None, signal: Signal, table: Table) -> None:
    start = _pattern(signal, signal.start_value or 0.0)
    source.column, source.otherwise = -1, start
    source.inactive = start if signal.inactive_value is None else _pattern(signal, signal.inactive_value)
    source.kind = FLOAT if signal.is_float else WIDE if signal.length == 64 and not signal.signed else WHOLE
    source.factor = source.scale = 1.0
    if line is not None:
        quantity = table.find(line.quantity)
        if quantity is None:
            raise InputError(f"no quantity {line.quantity!r}")
        source.column = quantity.start + (line.index or 0)
        source.factor, source.offset = signal.factor, signal.offset
        source.scale, source.shift = line.scale, line.offset
        source.otherwise = folded(line.otherwise)
        if signal.is_float:
            source.low, source.high = _float_limits(signal)
        else:
            low, high = limits(signal)
            source.low, source.high = low, high
            source.lowest, source.highest = folded(low), folded(high)
    source.start = start if signal.start_value is not None else source.otherwise


def _pattern(signal: Signal, raw: float) -> int:
    """A start value as the raw number that ``hil.codec.bits`` packs."""
    if signal.is_float:
        kinds = {16: (np.float16, np.uint16), 32: (np.float32, np.uint32), 64: (np.float64, np.int64)}
        value, as_int = kinds[signal.length]
        return int(np.array([raw], value).view(as_int)[0])
    low, high = signal.raw_range
    return folded(min(max(int(raw), low), high))


def _float_limits(signal: Signal) -> tuple[float, float]:
    if signal.minimum is None or signal.maximum is None or signal.minimum >= signal.maximum or signal.factor == 0.0:
        return -math.inf, math.inf
    low, high = sorted((x - signal.offset) / signal.factor for x in (signal.minimum, signal.maximum))
    return low, high
