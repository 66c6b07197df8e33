"""A DBC as people write it made into one that the library reads: same lines, every change noted."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hil.codec.repair import mux
from hil.codec.repair.attributes import Attributes
from hil.codec.repair.index import Index
from hil.codec.repair.messages import INDEPENDENT, UNREAD, MessageText, read_message, read_signal
from hil.codec.repair.names import clean_name, integer
from hil.codec.repair.scan import Notes, Statement, cut, tidy
from hil.codec.repair.tables import Tables
from hil.errors import Problem

# of the bus, its messages and signals they say nothing: not read, so nothing to repair
_IGNORED = frozenset(
    "NS_ NS_DESC_ BS_ EV_ ENVVAR_DATA_ EV_DATA_ BA_REL_ BA_DEF_REL_ BA_DEF_DEF_REL_ BA_DEF_SGTYPE_ BA_SGTYPE_ CAT_ "
    "CAT_DEF_ FILTER SGTYPE_ SGTYPE_VAL_ SIG_GROUP_ SIG_TYPE_REF_ SIGTYPE_VALTYPE_ BU_BO_REL_ BU_EV_REL_ BU_SG_REL_".split()
)
_MESSAGE = re.compile(r"\n[^\n\"]{0,20}\d+[ \t]+\w+[ \t]*:[ \t]*\d+[ \t]+\w+")
_UNENDED = frozenset({"VERSION", "NS_", "NS_DESC_", "BS_", "BU_", "BO_", "SG_"})

__all__ = ["UNREAD", "Line", "Repaired", "all_of", "block", "named", "repair"]


@dataclass(frozen=True, slots=True)
class Line:
    """One rewritten statement and the line it stands in."""

    line: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """The rewritten statements, what was done, and the messages by the names given here.

    The long names, the places and the multiplexing are only in ``messages``: the text holds none of them.
    """

    lines: tuple[Line, ...]
    notes: tuple[Problem, ...]
    messages: dict[str, MessageText]
    statements: int
    place: Notes

    def text(self, without: frozenset[int] = frozenset()) -> str:
        """The text for the library; the statements of these indices are left out. Line numbers are the file's."""
        out: list[str] = []
        line = 1
        for index, item in enumerate(self.lines):
            if index in without:
                continue
            out.append("\n" * (item.line - line) if item.line > line else " ")
            out.append(item.text)
            line = max(item.line, line) + item.text.count("\n")
        return "".join(out) + "\n"


def repair(text: str, path: str) -> Repaired:
    """Read ``text`` with tolerance and rewrite it. Never raises; time and memory grow with the length of the text."""
    clean, notes = tidy(text, path)
    statements, stray = cut(clean)
    for at in stray:
        end = clean.find("\n", at)
        notes.add(at, "text that belongs to no statement; left out", found=clean[at : end if end >= 0 else len(clean)])
    for index, statement in enumerate(statements):
        if not statement.ended and statement.kind not in _UNENDED:
            last = index == len(statements) - 1
            what = "the last statement is cut off" if last else "no ';' at the end of the statement"
            notes.add(statement.at, what, found=statement.text)
    pass_ = _Pass(notes)
    lines = tuple(pass_.lines(statements))
    found = sorted(notes.found, key=lambda p: (p.line, p.column))
    return Repaired(lines, tuple(found), pass_.messages, len(statements), notes)


class _Pass:
    """Reads messages first, for everything else refers to them, and then the rest in the order of the file."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.messages: dict[str, MessageText] = {}
        self._ignored: set[int] = set()
        self._nodes: dict[str, None] = {}

    def lines(self, statements: list[Statement]) -> Iterator[Line]:
        """All rewritten statements in order."""
        made: dict[int, str] = {}  # offset of the statement -> its new text
        self._frames(statements, made)
        self._same_ids()
        index = Index(self.messages, self._ignored, frozenset(self._nodes))
        attributes, tables = Attributes(index, self.notes), Tables(index, self.notes)
        for kind, learn in (("BA_DEF_", attributes.learn), ("BA_DEF_DEF_", attributes.default),
                            ("VAL_TABLE_", tables.value_table), ("SG_MUL_VAL_", tables.mux_values)):  # fmt: skip
            for statement in statements:
                if statement.kind == kind:
                    learn(statement)
        rewrites = {
            "CM_": tables.comment,
            "VAL_": tables.labels,
            "SIG_VALTYPE_": tables.value_type,
            "BO_TX_BU_": tables.senders,
            "BA_DEF_": attributes.definition,
            "BA_": attributes.value,
        }
        for statement in statements:
            rewrite = rewrites.get(statement.kind)
            new = rewrite(statement) if rewrite else None
            if new:
                made[statement.at] = new
        mux.resolve(self.messages.values(), tables, self.notes)
        kept = [s for s in statements if s.at in made]
        for statement in _messages_whole(kept):
            yield Line(self.notes.place(statement.at)[0], statement.kind, made[statement.at])

    def _frames(self, statements: list[Statement], made: dict[int, str]) -> None:
        message: MessageText | None = None
        skipped = between = False  # its message was left out; another statement stands before it
        for statement in statements:
            if statement.kind == "BU_":
                made[statement.at] = self._bus_nodes(statement)
                between = True
            elif statement.kind == "BO_":
                skipped, between = INDEPENDENT in statement.text, False
                read = None if skipped else read_message(statement, self.messages, self.notes)
                message = read[0] if read else None
                if read is not None:
                    self.messages[read[0].name] = read[0]
                    made[statement.at] = read[1]
                else:
                    words = statement.text.split(None, 2)
                    number = integer(words[1]) if len(words) > 1 else None
                    self._ignored.update(() if number is None else (number,))
                    skipped = True  # said once, for the message
            elif statement.kind == "SG_" and message is not None:
                if between:
                    what = f"a signal behind other statements; taken as one of {message.name}"
                    self.notes.add(statement.at, what, found=statement.text)
                self._signal(statement, message, made)
                if _MESSAGE.search(
                    statement.text
                ):  # a message whose keyword is damaged: what follows is not of this one
                    message = None
            elif statement.kind == "SG_" and not skipped:
                self.notes.add(statement.at, "a signal outside any message; left out", found=statement.text)
            elif statement.kind not in _IGNORED:
                between = True

    def _signal(self, statement: Statement, message: MessageText, made: dict[int, str]) -> None:
        read = read_signal(statement, message, self.notes)
        if read is not None:
            message.signals[read[0].name] = read[0]
            message.declared.setdefault(read[0].declared, read[0])
            made[statement.at] = read[1]

    def _bus_nodes(self, statement: Statement) -> str:
        names: list[str] = []
        for word in statement.text[3:].replace(":", " ", 1).replace(",", " ").split():
            name = clean_name(word)
            if name != word:
                self.notes.add(statement.at, f"node {word}: not a name; now {name}")
            if name in self._nodes:
                self.notes.add(statement.at, "a node stands twice", found=word)
                continue
            names.append(name)
            self._nodes[name] = None
        return f"BU_: {' '.join(self._nodes)}"

    def _same_ids(self) -> None:
        seen: dict[int, MessageText] = {}
        for message in self.messages.values():
            first = seen.setdefault(message.id, message)
            if first is not message:
                number = message.id & 0x1FFFFFFF
                what = f"{message.name}: identifier 0x{number:X} is also that of {first.name}"
                self.notes.add(message.at, what)


def _messages_whole(statements: list[Statement]) -> Iterator[Statement]:
    """The statements with those between two signals of a message put behind the last of them."""
    held: list[Statement] = []
    after: list[int] = [0] * (len(statements) + 1)  # signals from here to the next message
    for index in range(len(statements) - 1, -1, -1):
        kind = statements[index].kind
        after[index] = 0 if kind == "BO_" else after[index + 1] + (kind == "SG_")
    for index, statement in enumerate(statements):
        if statement.kind not in ("BO_", "SG_") and after[index]:
            held.append(statement)
            continue
        yield statement
        if not after[index + 1]:
            yield from held
            held = []


def all_of(repaired: Repaired, kinds: frozenset[str], other: bool = False) -> frozenset[int]:
    """The indices of all statements of these kinds, of all other kinds with ``other``."""
    return frozenset(i for i, item in enumerate(repaired.lines) if (item.kind in kinds) != other)


def named(repaired: Repaired, told: str) -> frozenset[int]:
    """The indices of the statements that an error names, as in ``VAL_ 12 Signal``."""
    heads = {" ".join(words) for words in re.findall(r"(VAL_|SIG_VALTYPE_) (\d+) (\w+)", told)}
    return frozenset(i for i, item in enumerate(repaired.lines) if " ".join(item.text.split(None, 3)[:3]) in heads)


def block(repaired: Repaired, line: int, without: frozenset[int]) -> frozenset[int]:
    """The index of the statement of a line that is not left out yet; with a message its signals."""
    left = [i for i, item in enumerate(repaired.lines) if item.line <= line and i not in without]
    if not left:
        return frozenset()
    out = {left[-1]}
    if repaired.lines[left[-1]].kind == "BO_":
        for index in range(left[-1] + 1, len(repaired.lines)):
            if repaired.lines[index].kind != "SG_":
                break
            out.add(index)
    return frozenset(out)
