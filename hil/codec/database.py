"""From a file's bytes to the nouns of ``hil.codec.nouns``, by way of the library that reads the formats."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hil.codec import repair
from hil.codec.database_messages import make_message
from hil.codec.nouns import Database, Message
from hil.codec.repair import layout as repair_layout
from hil.codec.repair import limits as repair_limits
from hil.codec.repair import sym as repair_sym
from hil.codec.repair.names import clean_name, unique
from hil.errors import InputError, Problem
from hil.tick import PAYLOAD

FORMATS = ("dbc", "kcd", "sym", "arxml")
LARGEST = 64 << 20  # bytes; the largest database known to us has 0.3 MB
_TRIES = 8


def load(path: Path | str, strict: bool = False) -> Database:
    """Read a CAN database: DBC, KCD, SYM or ARXML, told by suffix, else by content.

    What a DBC writes that no reader should take is repaired, and ``notes`` tells each repair with its line.

    Raises:
        InputError: no such file, not a database, nothing in it can be read; with ``strict`` also when there is any
            note, all of them at once. Never anything else.
    """
    loaded = _read(Path(path))
    if strict and loaded.notes:
        raise InputError(loaded.notes)
    return loaded


def _read(path: Path) -> Database:
    """The database of a file, format by suffix, else by content. Raises InputError only."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(Problem("cannot read", str(path), found=error.strerror or type(error).__name__)) from None
    if len(content) > LARGEST:
        raise InputError(Problem("too large for a database", str(path), expected=f"at most {LARGEST} bytes"))
    notes: list[Problem] = []
    text = _decoded(content, str(path), notes)
    kind = format_of(path, text)
    if kind == "dbc":
        return _dbc(path, text, notes)
    return _other(path, text, kind, notes)


def _decoded(content: bytes, path: str, notes: list[Problem]) -> str:
    """UTF-16 and UTF-8 with their mark, UTF-8 where it is valid, else Windows-1252 as the vendors' programs write it."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    bad = text.count("\ufffd")
    if bad:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        what = "bytes that are no text; shown as \ufffd"
        notes.append(Problem(what, path, line, 1, "UTF-8 or Windows-1252", f"{bad} of them"))
    return text


def format_of(path: Path, text: str) -> str:
    """dbc, kcd, sym or arxml. Raises InputError when it is none."""
    suffix = path.suffix.lower().lstrip(".")
    if suffix in FORMATS:
        return suffix
    head = text[:20_000]
    marks = {"NetworkDefinition": "kcd", "<AUTOSAR": "arxml", "FormatVersion=": "sym"}
    for mark, kind in marks.items():
        if mark in head:
            return kind
    if re.search(r"^\s*(?:VERSION\s+\"|BU_\s*:|BO_\s+\d|NS_\s*:)", text, re.MULTILINE):
        return "dbc"
    raise InputError(Problem("not a CAN database", str(path), 1, 1, "a .dbc, .kcd, .sym or .arxml file"))


def _dbc(path: Path, text: str, notes: list[Problem]) -> Database:
    repaired = repair.repair(text, str(path))
    notes.extend(repaired.notes)
    if not repaired.statements:
        found = text[:40].splitlines()[0] if text.strip() else "an empty file"
        raise InputError(Problem("not a DBC file", str(path), 1, 1, "VERSION, BU_, BO_ ...", repr(found)))
    unread = [p for p in repaired.notes if p.message.startswith(repair.UNREAD)]
    if not repaired.messages and unread:
        first = replace(unread[0], message=f"not a DBC file: {unread[0].message}")
        raise InputError([first, *(p for p in repaired.notes[:20] if p is not unread[0])])
    database = _parsed(repaired, str(path), notes)
    messages = [make_message(m, repaired.messages[m.name]) for m in database.messages]
    named, places = _long_names(messages, repaired, notes)
    fitting = repair_layout.fit(named, str(path), lambda m, s: places.get((m, s), (0, 0)), notes)
    nodes = tuple(dict.fromkeys(node.name for node in database.nodes))
    return _finished(path, _bit_rate(database), nodes, fitting, notes)


def _finished(
    path: Path, rate: int | None, nodes: tuple[str, ...], messages: tuple[Message, ...], notes: list[Problem]
) -> Database:
    ordered = tuple(sorted(notes, key=lambda p: (p.line, p.column)))
    return Database(path, rate, nodes, messages, ordered)


def _parsed(repaired: repair.Repaired, path: str, notes: list[Problem]) -> Any:
    """What the library makes of the repaired text; statements that it still refuses are left out, and noted."""
    from cantools.database.can.formats import dbc  # a second to import; replay and the tick itself do not need it

    without: frozenset[int] = frozenset()
    for attempt in range(_TRIES + 2):
        try:
            return dbc.load_string(repaired.text(without), strict=False)
        except Exception as error:  # noqa: BLE001  # its parsers raise a dozen unrelated types on a broken file
            line, column, told = _told(error)
        more = repair.block(repaired, line, without) if line and attempt < _TRIES else frozenset()
        more = more or repair.named(repaired, told) - without
        what = "a statement that the library refuses; left out"
        if not more:
            more = repair.all_of(repaired, frozenset({"BA_", "BA_DEF_"}))
            what = "the library refuses the attributes; all left out"
        if not more - without:
            more = repair.all_of(repaired, frozenset({"BU_", "BO_", "SG_"}), other=True)
            what = "the library refuses something; all but messages and signals left out"
        if not more - without:
            break
        notes.append(Problem(what, path, line, column, "", told))
        without = without | more
    raise InputError([Problem("not a DBC file that can be read", path, line, column, "", told), *notes])


def _told(error: Exception) -> tuple[int, int, str]:
    """Line, column (0 = not said) and text of a library's error."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    place = re.search(r"line (\d+), column (\d+)", text)
    return (int(place[1]), int(place[2]), text) if place else (0, 0, text)


def _long_names(
    messages: list[Message], repaired: repair.Repaired, notes: list[Problem]
) -> tuple[list[Message], dict[tuple[str, str], tuple[int, int]]]:
    """The messages with the long names that attributes give, each once, and the places of all by these names."""
    places: dict[tuple[str, str], tuple[int, int]] = {}
    taken: set[str] = set()
    out: list[Message] = []
    for message in messages:
        info = repaired.messages[message.name]
        name = _long(info.long_name or info.name, taken, info.long_name)
        here = repaired.place.place(info.at)
        if info.long_name and name != info.long_name:
            notes.append(Problem(f"{info.name}: its long name is now {name}", repaired.place.path, *here))
        places[name, ""] = here
        known: set[str] = set()
        names: dict[str, str] = {"": ""}
        for signal in message.signals:
            its = info.signals[signal.name]
            names[signal.name] = _long(its.long_name or its.name, known, its.long_name)
            there = repaired.place.place(its.at)
            if its.long_name and names[signal.name] != its.long_name:
                what = f"{info.name}.{its.name}: its long name is now {names[signal.name]}"
                notes.append(Problem(what, repaired.place.path, *there))
            places[name, names[signal.name]] = there
        signals = tuple(replace(s, name=names[s.name], mux_signal=names[s.mux_signal]) for s in message.signals)
        out.append(replace(message, name=name, signals=signals))
    return out, places


def _long(name: str, taken: set[str], long_name: str) -> str:
    out = unique(clean_name(name) if long_name else name, taken)
    taken.add(out)
    return out


def _bit_rate(read: Any) -> int | None:
    """Bit/s of the first bus that says it, else the default of the attribute Baudrate."""
    for bus in read.buses:
        if bus.baudrate:
            return int(bus.baudrate)
    definitions = read.dbc.attribute_definitions if read.dbc is not None else {}
    default = definitions["Baudrate"].default_value if "Baudrate" in definitions else None
    return int(default) if isinstance(default, int | float) and default > 0 else None


def _other(path: Path, text: str, kind: str, notes: list[Problem]) -> Database:
    """A .kcd, .sym or .arxml file: taken as the library reads it, what it cannot is an InputError."""
    from cantools.database.can.formats import arxml, kcd, sym

    if kind == "sym":
        text, changed = repair_sym.repair(text + "\n", str(path))  # a comment ends with its line: the last one too
        notes.extend(changed)
    large = repair_limits.too_large(text, kind, str(path))
    if large is not None:
        raise InputError(large)
    readers = {"kcd": kcd.load_string, "sym": sym.load_string, "arxml": arxml.load_string}
    try:
        loaded = readers[kind](text, strict=False)
    except Exception as error:  # noqa: BLE001  # its parsers raise a dozen unrelated types on a broken file
        line, column, told = _told(error)
        raise InputError(
            Problem(f"not a {kind.upper()} file that can be read", str(path), line, column, "", told)
        ) from None
    words = _words(text)
    messages: list[Message] = []
    for one in loaded.messages:
        place = words.get(one.name, (0, 0))
        if one.is_container:
            notes.append(Problem(f"{one.name}: a container of other messages; left out", str(path), *place))
            continue
        if one.autosar is not None and one.autosar.is_secured:
            notes.append(Problem(f"{one.name}: secured; its authenticator is not checked", str(path), *place))
        if one.length > PAYLOAD:
            what = f"{one.name}: the message is too long; signals within {PAYLOAD} bytes are kept"
            notes.append(Problem(what, str(path), *place, f"at most {PAYLOAD} bytes", str(one.length)))
        messages.append(make_message(one, None))

    def where(message: str, signal: str) -> tuple[int, int]:
        return words.get(signal or message, (0, 0))

    named = repair_layout.once(messages, str(path), where, notes)
    fitting = repair_layout.fit(named, str(path), where, notes)
    nodes = tuple(dict.fromkeys(node.name for node in loaded.nodes))
    return _finished(path, _bit_rate(loaded), nodes, fitting, notes)


def _words(text: str) -> dict[str, tuple[int, int]]:
    """Line and column where each word first stands."""
    out: dict[str, tuple[int, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        for word in re.finditer(r"\w+", line):
            out.setdefault(word[0], (number, word.start() + 1))
    return out
