"""The two files beside a DBC: what its signals mean (``*.quantities.yaml``), how it is protected (``*.e2e.yaml``)."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hil.codec import database
from hil.codec.e2e.file import E2e, load_e2e
from hil.codec.nouns import Database, Message, Signal
from hil.errors import InputError, Problem
from hil.files import Document, Duration, KeyPath, Strict, load_model, resolve

REST = "*"  # under ``unused``: every signal that no other line names
__all__ = ["Bus", "E2e", "Line", "Quantities", "load_bus", "load_e2e", "look_up"]


class Received(Strict):
    """quantity = DBC value * scale + offset; ``unknown`` is the raw number that becomes NaN."""

    quantity: str
    scale: float = 1.0
    offset: float = 0.0
    unknown: int | None = None


class Sent(Strict):
    """DBC value = (quantity - offset) / scale; ``otherwise`` is the raw number sent while the quantity is unknown."""

    quantity: str
    scale: float = 1.0
    offset: float = 0.0
    otherwise: int = 0


class Scan(Strict):
    """A vector sampled at one instant and sent in many frames; ``latency``: from there to its first frame's end."""

    signals: str
    counter: str
    quantity: str
    counter_quantity: str
    scale: float = 1.0
    offset: float = 0.0
    unknown: int | None = None
    latency: Duration = 0


class Combined(Strict):
    """A quantity made of others: OPEN when all are open, CLOSED when all are closed, else PARTIAL."""

    rule: Literal["all_or_partial"]
    of: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)]


class QuantityFile(Strict):
    """A ``*.quantities.yaml``."""

    dbc: str
    e2e: str
    receive: dict[str, Received] = Field(default_factory=dict)
    scan: Scan | None = None
    combine: dict[str, Combined] = Field(default_factory=dict)
    transmit: dict[str, Sent] = Field(default_factory=dict)
    unused: tuple[str, ...] = ()  # "*": all that no other line names


@dataclass(frozen=True, slots=True)
class Line:
    """One signal with its meaning; ``index`` is the element of a vector, None = the quantity itself.

    ``unknown`` is a raw number or None; ``at`` is where it stands in the file.
    """

    message: Message
    signal: Signal
    quantity: str
    index: int | None
    scale: float
    offset: float
    unknown: int | None
    otherwise: int
    at: KeyPath


@dataclass(frozen=True, slots=True)
class Quantities:
    """A quantities file, its names looked up in the DBC."""

    file: QuantityFile
    document: Document
    receive: tuple[Line, ...]
    scan: tuple[Line, ...]
    transmit: tuple[Line, ...]
    unused: tuple[tuple[Message, Signal], ...]


@dataclass(frozen=True, slots=True)
class Bus:
    """A DBC and its two companions."""

    db: Database
    quantities: Quantities
    e2e: E2e


def load_bus(path: Path | str, dbc: Path | None = None) -> Bus:
    """Read a ``*.quantities.yaml`` and the DBC and e2e files it names (relative to it).

    ``dbc`` is a database to take instead of the one it names; what that has beyond what the file names is passed over.

    Raises:
        InputError: any file is wrong; a name is unknown; a signal of the DBC is neither mapped, unused, multiplexer nor
            protection.
    """
    file, document = load_model(path, QuantityFile)
    if dbc is not None:
        file = file.model_copy(update={"unused": (REST,)})
    db = database.load(dbc or resolve(document, ("dbc",), file.dbc))
    e2e = load_e2e(resolve(document, ("e2e",), file.e2e), db)
    quantities = look_up(file, document, db)
    _complete(db, quantities, e2e)
    return Bus(db, quantities, e2e)


def look_up(file: QuantityFile, document: Document, db: Database) -> Quantities:
    """Find every signal a quantities file names. Raises InputError with all that are not there."""
    problems: list[Problem] = []
    receive: list[Line] = []
    for name, r in file.receive.items():
        found = _expand(name, ("receive", name), document, db, problems)
        receive += [Line(m, s, r.quantity, i, r.scale, r.offset, r.unknown, 0, ("receive", name)) for m, s, i in found]
    scan: list[Line] = []
    if file.scan is not None:
        c = file.scan
        found = _expand(c.signals, ("scan", "signals"), document, db, problems)
        scan = [Line(m, s, c.quantity, i, c.scale, c.offset, c.unknown, 0, ("scan",)) for m, s, i in found]
        counter = _expand(c.counter, ("scan", "counter"), document, db, problems)
        if counter and scan and counter[0][0] is not scan[0].message:
            problems.append(document.problem(("scan", "counter"), "the counter is not in the message of the signals"))
    transmit: list[Line] = []
    for name, t in file.transmit.items():
        found = _expand(name, ("transmit", name), document, db, problems)
        transmit += [
            Line(m, s, t.quantity, i, t.scale, t.offset, None, t.otherwise, ("transmit", name)) for m, s, i in found
        ]
    unused: list[tuple[Message, Signal]] = []
    for i, name in enumerate(file.unused):
        at: KeyPath = ("unused", i)
        if "." in name:
            unused += [(m, s) for m, s, _ in _expand(name, at, document, db, problems)]
        elif name != REST:
            unused += _whole(name, at, document, db, problems)
    for line in (*receive, *scan, *transmit):
        if line.scale == 0.0:
            problems.append(document.problem(line.at, "a scale of 0 loses the value"))
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Quantities(file, document, tuple(receive), tuple(scan), tuple(transmit), tuple(unused))


def _expand(
    name: str, at: KeyPath, document: Document, db: Database, problems: list[Problem]
) -> list[tuple[Message, Signal, int | None]]:
    """The signals a name stands for; one with ``*`` stands for every signal with decimal digits in that place."""
    if name.count("*") > 1:
        problems.append(document.problem(at, f"{name}: more than one '*'", on_key=True))
        return []
    if "*" not in name:
        try:
            message, signal = db.pair(name)
        except InputError as error:
            first = error.problems[0]
            problems.append(document.problem(at, first.message, on_key=True, nearest=first.nearest))
            return []
        return [(message, signal, None)]
    before, _, after = name.partition("*")
    wanted = re.compile(re.escape(before) + "([0-9]+)" + re.escape(after))
    out: list[tuple[Message, Signal, int | None]] = []
    for message in db.messages:
        for signal in message.signals:
            matched = wanted.fullmatch(f"{message.name}.{signal.name}")
            if matched:
                out.append((message, signal, int(matched[1])))
    if not out:
        problems.append(document.problem(at, f"{name}: no such signal", on_key=True))
    return out


def _whole(
    name: str, at: KeyPath, document: Document, db: Database, problems: list[Problem]
) -> list[tuple[Message, Signal]]:
    """A message as a whole: none of its signals means anything to the bench."""
    try:
        message = db.message(name)
    except InputError as error:
        first = error.problems[0]
        problems.append(
            document.problem(at, first.message, expected="a message or Message.Signal", nearest=first.nearest)
        )
        return []
    return [(message, signal) for signal in message.signals]


def _complete(db: Database, quantities: Quantities, e2e: E2e) -> None:
    """Every signal of the DBC is handled, so that none is forgotten by accident; none is handled twice."""
    lines = (*quantities.receive, *quantities.scan, *quantities.transmit)
    named = [(line.message.name, line.signal.name) for line in lines]
    named += [(m.name, s.name) for m, s in quantities.unused]
    if quantities.file.scan is not None:
        message, _, signal = quantities.file.scan.counter.partition(".")
        named.append((message, signal))
    guarded = {
        (name, signal)
        for name, p in e2e.file.messages.items()
        for signal in (p.crc, p.counter)
        if isinstance(signal, str)
    }
    counts = Counter(named)
    problems: list[Problem] = []
    path = str(quantities.document.path)
    for m in db.messages:
        for s in m.signals:
            count = counts[m.name, s.name]
            if count > 1:
                problems.append(Problem(f"{m.name}.{s.name}: named {count} times", path))
            forgotten = count == 0 and REST not in quantities.file.unused
            if forgotten and not s.selector and (m.name, s.name) not in guarded:
                what = f"{m.name}.{s.name}: not handled"
                problems.append(Problem(what, path, expected="a line under receive, scan, transmit or unused"))
    if problems:
        raise InputError(problems)
