"""The one YAML loader: YAML 1.2 core schema, plain data only, every value with its line and column.

Not known here, on purpose: yes/no/on/off, sexagesimal numbers, dates, ``1_000``, merge keys, tags. PyYAML only
parses; what the text means is decided here. Limits hold while the events come in: a hostile file fails unexpanded.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

import yaml

from hil.errors import InputError, Problem, nearest

TYPE_NAMES: Mapping[type, str] = MappingProxyType(
    {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true/false",
        int: "a whole number",
        float: "a number",
    }
)

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32
TOO_DEEP = "nested too deep"
MAX_NODES = 200_000
MAX_ALIASES = 100
MAX_PROBLEMS = 100

KeyPath = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Mapping[str, bool] = MappingProxyType(
    {
        "true": True,
        "True": True,
        "TRUE": True,
        "false": False,
        "False": False,
        "FALSE": False,
    }
)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_START = frozenset("+-.0123456789")


class Place(NamedTuple):
    """Where a value and its key stand, counted from 1; list items and the root have no key: the same place."""

    line: int
    column: int
    key_line: int
    key_column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded file: ``value`` is made of dict, list, str, int, float, bool and None only.

    ``positions`` maps the path of keys and indices to its Place; what an alias repeats is placed at the alias.
    """

    path: Path
    value: Any
    positions: Mapping[KeyPath, Place]

    def place(self, at: KeyPath) -> Place:
        """Where ``at`` stands, or the nearest thing around it that has a place."""
        while at not in self.positions and at:
            at = at[:-1]
        return self.positions.get(at, Place(1, 1, 1, 1))

    def problem(
        self, at: KeyPath, message: str, *, on_key: bool = False, expected: str = "", found: str = "", nearest: str = ""
    ) -> Problem:
        """A Problem at the value at ``at``, or at its key."""
        place = self.place(at)
        line, column = (place.key_line, place.key_column) if on_key else (place.line, place.column)
        return Problem(message, str(self.path), line, column, expected, found, nearest)


def load_document(path: Path | str) -> Document:
    """Read one YAML file. Raises InputError with every problem: no file, size, encoding, syntax, what is forbidden."""
    path = Path(path)
    data = _read(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig")) + 1
        found = f"byte 0x{data[error.start]:02X}"
        raise InputError(Problem("not UTF-8", str(path), line, column, "UTF-8 text", found)) from None
    return load_text(text, path)


def load_text(text: str, path: Path | str = "<text>") -> Document:
    """As ``load_document``, from text already read; ``path`` is only named in messages and results."""
    path = Path(path)
    builder = _Builder(str(path))
    try:
        if len(text.encode("utf-8")) > MAX_BYTES:
            raise InputError(_too_large(path))
        for event in _events(text):
            builder.take(event)
    except UnicodeEncodeError:
        raise InputError(Problem("not text: a lone surrogate", str(path), expected="UTF-8 text")) from None
    except yaml.MarkedYAMLError as error:
        raise InputError([*builder.problems, _syntax(error, str(path))]) from None
    except yaml.reader.ReaderError as error:
        raise InputError([*builder.problems, _unreadable(error, text, str(path))]) from None
    if builder.problems:
        raise InputError(builder.problems)
    return Document(path, builder.root, MappingProxyType(builder.positions))


def nearest_file(path: Path) -> str | None:
    """The name most like ``path``'s among its neighbours in the same folder; None when there is none."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        return None
    return nearest(path.name, names)


def _read(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES; a device or pipe is refused, reading it might never end."""
    try:
        if path.is_dir():
            raise InputError(Problem("is a folder", str(path), expected="a file"))
        if not path.is_file():
            missing = not path.exists()
            close = nearest_file(path) if missing else None
            message = "no such file" if missing else "not a regular file"
            raise InputError(Problem(message, str(path), nearest=close or ""))
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(Problem("cannot be read", str(path), found=reason)) from None
    if len(data) > MAX_BYTES:
        raise InputError(_too_large(path))
    return data


def _too_large(path: Path) -> Problem:
    return Problem("the file is too large", str(path), expected=f"at most {MAX_BYTES // 2**20} MiB")


def _events(text: str) -> Iterator[yaml.Event]:
    """The parser's events, from the C parser where PyYAML was built with it."""
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        yield from yaml.parse(text, Loader=loader)
    except (ValueError, OverflowError) as error:  # the parser written in Python leaks these from "\\UFFFFFFFF"
        raise yaml.MarkedYAMLError(problem=str(error)) from None


def _syntax(error: yaml.MarkedYAMLError, path: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    if "nesting depth" in (error.problem or ""):  # the C parser looks ahead, and has a bound of its own far above ours
        return Problem(TOO_DEEP, path, line, column, expected=f"at most {MAX_DEPTH} levels")
    what = " ".join(part for part in (error.context, error.problem) if part)
    return Problem(f"not YAML: {what}", path, line, column)


def _unreadable(error: yaml.reader.ReaderError, text: str, path: str) -> Problem:
    """A character that YAML forbids. The C parser counts bytes, the other characters; so it is searched for instead."""
    code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
    at = text.find(chr(code)) if 0 <= code < 0x110000 else -1
    line, column = (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)) if at >= 0 else (0, 0)
    return Problem("not YAML: this character is not allowed", path, line, column, found=f"U+{code:04X}")


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been seen."""

    value: Any
    path: KeyPath
    place: Place
    anchor: str | None
    nodes_before: int
    height: int = 1
    key: str | None = None
    key_mark: tuple[int, int] = (0, 0)
    skip: bool = False


@dataclass(slots=True)
class _Anchored:
    """What an anchor names, with its size and height once expanded; ``done`` is False inside itself."""

    value: Any
    nodes: int
    height: int
    done: bool = True


@dataclass(slots=True)
class _Builder:
    """Builds plain data from events. Goes on after a problem where it can, so that all are found at once."""

    path: str
    root: Any = None
    positions: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    documents: int = 0
    nodes: int = 0
    aliases: int = 0

    def take(self, event: Any) -> None:
        """Fold one event in; raises InputError at once when going on would be unsafe or senseless."""
        kind = type(event)
        mark = event.start_mark
        here = (mark.line + 1, mark.column + 1)
        if kind is yaml.ScalarEvent:
            self._scalar(event, here)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open({} if kind is yaml.MappingStartEvent else [], event, here)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.AliasEvent:
            self._alias(event.anchor, here)
        elif kind is yaml.DocumentStartEvent:
            self._document(event, here)

    def _document(self, event: Any, here: tuple[int, int]) -> None:
        self.documents += 1
        if self.documents > 1:
            self._stop("a second document begins", here, expected="one document in a file")
        if event.version not in (None, (1, 2)):
            self._note("the file declares another YAML version", here, "YAML 1.2", ".".join(map(str, event.version)))
        self.anchors.clear()

    def _scalar(self, event: Any, here: tuple[int, int]) -> None:
        text = event.value
        self._count(1, here)
        if event.tag is not None:
            self._note("tags are not allowed", here, found=_short(event.tag))
        plain = event.implicit[0]
        parent = self.stack[-1] if self.stack else None
        if parent is not None and parent.key is None and type(parent.value) is dict:
            self._key(parent, text, plain, here)
            value: Any = text
        else:
            value = self._resolve(text, here) if plain else text
            self._add(value, here)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, 1, 0)

    def _resolve(self, text: str, here: tuple[int, int]) -> str | int | float | bool | None:
        """A plain scalar under the core schema."""
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if text[0] not in _NUMBER_START:
            return text
        if _INT.fullmatch(text):
            base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
            whole = int(text, base) if len(text) <= 40 else 2**64
            if not -(2**63) <= whole < 2**64:
                self._note("the number is too large", here, "a whole number of at most 64 bits", _short(text))
            return whole
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isinf(number):
                self._note("the number is too large", here, "a finite number, or .inf", _short(text))
            return number
        special = _SPECIAL.fullmatch(text)
        if special is None:
            return text
        return math.nan if special[1] is None else math.copysign(math.inf, -1.0 if special[1] == "-" else 1.0)

    def _key(self, parent: _Open, text: str, plain: bool, here: tuple[int, int]) -> None:
        parent.skip = True
        parent.key, parent.key_mark = text, here
        if plain and text == "<<":
            self._note("merge keys are not YAML 1.2; repeat the keys", here, found="'<<'")
        elif plain and not isinstance(self._resolve(text, here), str):
            self._note("a key must be text; put it in quotes", here, found=_short(text))
        elif text in parent.value:
            first = self.positions[(*parent.path, text)]
            self._note(f"the key {_short(text)} stands twice", here, found=f"the first one on line {first.key_line}")
        else:
            parent.skip = False

    def _open(self, value: Any, event: Any, here: tuple[int, int]) -> None:
        self._count(1, here)
        if event.tag is not None:
            self._note("tags are not allowed", here, found=_short(event.tag))
        parent = self.stack[-1] if self.stack else None
        if parent is not None and parent.key is None and type(parent.value) is dict:
            self._stop("a key must be text", here, found=TYPE_NAMES[type(value)])
        if len(self.stack) >= MAX_DEPTH:
            self._stop(TOO_DEEP, here, expected=f"at most {MAX_DEPTH} levels")
        path, place = self._slot(here)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, 1, 1, done=False)
        self.stack.append(_Open(value, path, place, event.anchor, self.nodes))

    def _close(self) -> None:
        done = self.stack.pop()
        if done.anchor is not None:
            self.anchors[done.anchor] = _Anchored(done.value, self.nodes - done.nodes_before + 1, done.height)
        self._place(done.value, done.path, done.place, done.height)

    def _alias(self, name: str, here: tuple[int, int]) -> None:
        target = self.anchors.get(name)
        self.aliases += 1
        if target is None:
            close = nearest(name, self.anchors) or ""
            self.problems.append(Problem("unknown alias", self.path, *here, found=_short("*" + name), nearest=close))
            raise InputError(self.problems)
        if not target.done:
            self._stop("an alias inside what it names", here, found=_short("*" + name))
        if self.aliases > MAX_ALIASES:
            self._stop("too many aliases", here, expected=f"at most {MAX_ALIASES}")
        if len(self.stack) + target.height > MAX_DEPTH:
            self._stop(TOO_DEEP, here, expected=f"at most {MAX_DEPTH} levels")
        self._count(target.nodes, here)
        parent = self.stack[-1]
        if parent.key is None and type(parent.value) is dict:
            self._stop("a key must be text", here, found=_short("*" + name))
        self._add(target.value, here, target.height)

    def _add(self, value: Any, here: tuple[int, int], height: int = 0) -> None:
        path, place = self._slot(here)
        self._place(value, path, place, height)

    def _slot(self, here: tuple[int, int]) -> tuple[KeyPath, Place]:
        """Path and place of the value that begins here."""
        if not self.stack:
            return (), Place(*here, *here)
        parent = self.stack[-1]
        if parent.key is not None:
            return (*parent.path, parent.key), Place(*here, *parent.key_mark)
        return (*parent.path, len(parent.value)), Place(*here, *here)

    def _place(self, value: Any, path: KeyPath, place: Place, height: int) -> None:
        """Put a finished value into what is open around it."""
        if not self.stack:
            self.root = value
            self.positions[()] = place
            return
        parent = self.stack[-1]
        parent.height = max(parent.height, height + 1)
        if parent.key is None:
            parent.value.append(value)
            self.positions[path] = place
            return
        if not parent.skip:
            parent.value[parent.key] = value
            self.positions[path] = place
        parent.key = None

    def _count(self, nodes: int, here: tuple[int, int]) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self._stop("the file holds too many values", here, expected=f"at most {MAX_NODES}, aliases expanded")

    def _note(self, message: str, here: tuple[int, int], expected: str = "", found: str = "") -> None:
        self.problems.append(Problem(message, self.path, *here, expected, found))
        if len(self.problems) >= MAX_PROBLEMS:
            raise InputError(self.problems)

    def _stop(self, message: str, here: tuple[int, int], expected: str = "", found: str = "") -> NoReturn:
        self._note(message, here, expected, found)
        raise InputError(self.problems)


def _short(text: str) -> str:
    """The text in quotes, cut to a readable length."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
