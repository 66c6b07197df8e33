"""Numbers in a KCD, SYM or ARXML file that would make the library write out more than memory holds.

They are looked for where the library finds them, whatever they look like: among the words of its own tokenizer for SYM,
in the elements and attributes of XML.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from xml.parsers import expat

from hil.errors import Problem

LARGEST: Mapping[str, int] = MappingProxyType({"kcd": 9_999, "sym": 9_999, "arxml": 99_999})
"""Bits or bytes; a CAN FD frame has 512 bits, an AUTOSAR file has the messages of other buses too."""
MOST_IDS = 4_096  # messages made of ranges of identifiers, in one file
MOST_DIGITS = 400  # of one number; a float written out has 309, and the library's time grows with their square
_ENDLESS = re.compile(rf"\d{{{MOST_DIGITS + 1},}}")
_ENTITY = re.compile(r"<!ENTITY\b")  # no database has one, and one entity of others is text without end
_IN_SYM: Mapping[str, tuple[int, ...]] = MappingProxyType({"Len": (0,), "Sig": (1, 2), "Var": (2, 4), "Mux": (1, 3)})
"""Where sizes and places stand behind ``Len=``, ``Sig=`` and so on, counted in words."""
_IN_KCD = ("length", "offset")
_IN_ARXML = frozenset(
    "LENGTH FRAME-LENGTH START-POSITION SELECTOR-FIELD-LENGTH SELECTOR-FIELD-START-POSITION AUTH-INFO-TX-LENGTH "
    "FRESHNESS-VALUE-LENGTH FRESHNESS-VALUE-TX-LENGTH".split()
)
_IN_ECU = ("ComBitPosition", "ComBitSize", "PduDlc")  # ends of the names of parameters


@dataclass(frozen=True, slots=True)
class _Number:
    """A size or place as it is written, and where."""

    text: str
    line: int
    column: int


def too_large(text: str, kind: str, path: str) -> Problem | None:
    """The first length, place or range of identifiers that no CAN frame has; None when there is none."""
    if kind == "sym":
        return _of_sym(text, path)
    entity = _ENTITY.search(text)
    if entity is not None:
        return Problem("an entity of the file's own", path, *_place(text, entity.start()), "its text itself")
    read: Callable[[str], float] = int if kind == "kcd" else _arxml_number
    return next((p for n in _numbers(text, kind) if (p := _refused(n, read, LARGEST[kind], path)) is not None), None)


def _refused(number: _Number, read: Callable[[str], float], most: int, path: str) -> Problem | None:
    try:
        value = read(number.text)
    except (ValueError, OverflowError):
        return None  # no number: the library says so itself
    if value <= most:
        return None
    what = "a number that no CAN frame has"
    return Problem(what, path, number.line, number.column, f"at most {most}", number.text[:40])


def _arxml_number(text: str) -> float:
    from cantools.database.can.formats.arxml.utils import parse_number_string

    return float(parse_number_string(text, True))


def _numbers(text: str, kind: str) -> list[_Number]:
    """The sizes and places of a KCD or ARXML file; of one that is no XML, those before it goes wrong."""
    found = _Elements(kind)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, given: found.start(tag, given, parser)
    parser.EndElementHandler = lambda tag: found.end()
    parser.CharacterDataHandler = found.text
    with suppress(expat.ExpatError, ValueError):  # the library says so itself
        parser.Parse(text, True)
    return found.numbers


@dataclass(slots=True)
class _Element:
    """An open element; ``text`` is what stands before its first child. The last two are what its children said."""

    tag: str
    line: int
    column: int
    text: list[str] = field(default_factory=list)
    childless: bool = True
    parameter: str = ""
    value: _Number | None = None


class _Elements:
    """Follows the elements of a file and keeps the numbers that are sizes or places."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.numbers: list[_Number] = []
        self._open: list[_Element] = []

    def start(self, tag: str, given: dict[str, str], parser: expat.XMLParserType) -> None:
        """An element begins."""
        line, column = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        if self._open:
            self._open[-1].childless = False
        self._open.append(_Element(tag.rpartition("}")[2], line, column))
        if self.kind == "kcd":
            self.numbers += [_Number(given[name], line, column) for name in _IN_KCD if name in given]

    def text(self, data: str) -> None:
        """A piece of text."""
        if self._open and self._open[-1].childless:
            self._open[-1].text.append(data)

    def end(self) -> None:
        """An element ends."""
        done = self._open.pop()
        if self.kind != "arxml":
            return
        number = _Number("".join(done.text), done.line, done.column)
        if done.tag in _IN_ARXML:
            self.numbers.append(number)
        elif done.tag == "DEFINITION-REF" and self._open:
            self._open[-1].parameter = number.text.strip()
        elif done.tag == "VALUE" and self._open:
            self._open[-1].value = number
        if done.value is not None and done.parameter.endswith(_IN_ECU):
            self.numbers.append(done.value)


def _of_sym(text: str, path: str) -> Problem | None:
    from cantools.database.can.formats.sym import SymParser60
    from textparser import TokenizeError

    endless = _ENDLESS.search(text)
    if endless is not None:
        what = f"a number of {endless.end() - endless.start()} digits"
        return Problem(what, path, *_place(text, endless.start()), f"at most {MOST_DIGITS}")
    try:
        tokens = SymParser60().tokenize(text)  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    except TokenizeError:
        return None  # the library says so itself
    for token in _sizes_of_sym(tokens):
        number = _Number(token.value, *_place(text, token.offset))
        problem = _refused(number, int, LARGEST["sym"], path)
        if problem is not None:
            return problem
    count = 0
    for first, last in _ranges_of_sym(tokens):
        try:
            count += int(last.value[1:-1], 16) - int(first.value[:-1], 16)
        except ValueError:
            continue
        if count >= MOST_IDS:
            what, found = "a range of identifiers that is too wide", f"{first.value} {last.value}"[:40]
            return Problem(what, path, *_place(text, first.offset), f"at most {MOST_IDS} identifiers", found)
    return None


def _sizes_of_sym(tokens: list[Any]) -> Iterator[Any]:
    for at, token in enumerate(tokens[:-1]):
        if token.kind in _IN_SYM and tokens[at + 1].kind == "=":
            words = tokens[at + 2 : at + 7]
            yield from (words[i] for i in _IN_SYM[token.kind] if i < len(words) and words[i].kind == "NUMBER")


def _ranges_of_sym(tokens: list[Any]) -> Iterator[tuple[Any, Any]]:
    for at in range(len(tokens) - 3):
        name, sign, first, last = tokens[at : at + 4]
        if (name.kind, sign.kind, first.kind, last.kind) == ("ID", "=", "HEXNUMBER", "HEXNUMBER"):
            yield first, last


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
