"""BO_ and SG_ statements read with tolerance: what can be meant is kept, what was changed is noted."""

import re
from dataclasses import dataclass, field

from hil.codec.repair.names import clean_id, clean_name, integer, number_text, quoted, unique
from hil.codec.repair.scan import Notes, Statement
from hil.tick import PAYLOAD

UNREAD = "a message that cannot be read; left out with its signals"
INDEPENDENT = "VECTOR__INDEPENDENT_SIG_MSG"  # holds signals of no message; every tool skips it
_BO = re.compile(r"BO_\s*(-?\w+)\s+([^:\n]{1,300}):\s*(\w+)\s*([^\s,;]+)?")
_SG = re.compile(
    r"SG_\s*(?P<name>[^:\"]{1,300}):\s*(?P<start>\d+)\s*\|\s*(?P<length>\d+)\s*@\s*(?P<order>\d)\s*(?P<sign>[+-]?)\s*"
    r"(?:\((?P<scale>[^()]*)\)\s*)?(?:\[(?P<range>[^\[\]]*)\]\s*)?(?P<unit>\"(?:\\\"|[^\"])*\")?\s*"
    r"(?P<to>[^\s,;\"]+(?:\s*,\s*[^\s,;\"]+)*)?\s*,?"
)
_MARK = re.compile(r"M|m(\d{1,20})(M?)")


@dataclass(slots=True)
class SignalText:
    """One SG_ statement as it will be read: ``mark`` is its multiplexer mark, ``declared`` its name in the file."""

    name: str
    declared: str
    at: int
    length: int
    mark: str
    long_name: str = ""
    selector: bool = False
    mux_signal: str = ""
    mux_ranges: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class MessageText:
    """One BO_ statement as it will be read; ``declared_id`` is the number in the file, ``id`` the repaired one."""

    name: str
    declared_id: int
    id: int
    at: int
    length: int
    long_name: str = ""
    signals: dict[str, SignalText] = field(default_factory=dict)  # by the name given here
    declared: dict[str, SignalText] = field(default_factory=dict)  # by the file's name, the first of each


def read_message(statement: Statement, taken: dict[str, MessageText], notes: Notes) -> tuple[MessageText, str] | None:
    """The message and its statement rewritten; None (noted) when it cannot be read."""
    found = _BO.match(statement.text)
    number = integer(found[1]) if found else None
    length = integer(found[3]) if found else None
    if found is None or number is None or length is None or length < 0 or not found[2].strip():
        notes.add(statement.at, UNREAD, "BO_ id name: length sender",
                  statement.text)  # fmt: skip
        return None
    name = _named(found[2].strip(), taken, statement.at, notes, found[2].strip())
    frame_id, told = clean_id(number)
    if told:
        notes.add(statement.at, f"{name}: {told}", found=f"{number} is now 0x{frame_id & 0x1FFFFFFF:X}")
    if length > PAYLOAD:
        what = f"{name}: the message is too long; signals within {PAYLOAD} bytes are kept"
        notes.add(statement.at, what, f"at most {PAYLOAD} bytes", str(length))
    if found[4] is None:
        notes.add(statement.at, f"{name}: no sender; taken as Vector__XXX")
    _left_over(statement, found.end(), name, notes)
    length = min(length, PAYLOAD)
    sender = clean_name(found[4] or "Vector__XXX")
    return MessageText(name, number, frame_id, statement.at, length), f"BO_ {frame_id} {name}: {length} {sender}"


def _named(
    declared: str, taken: dict[str, MessageText] | dict[str, SignalText], at: int, notes: Notes, path: str
) -> str:
    clean = clean_name(declared)
    if clean != declared:
        notes.add(at, f"{path}: not a name; now {clean}", "letters, digits and _, no digit first", declared)
    name = unique(clean, taken)
    if name != clean:
        notes.add(at, f"{path}: the name stands twice; this one is now {name}")
    return name


def read_signal(statement: Statement, message: MessageText, notes: Notes) -> tuple[SignalText, str] | None:
    """The signal and its statement rewritten; None (noted) when it cannot be read or kept."""
    found = _SG.match(statement.text)
    words = found["name"].split() if found else []
    if found is None or not words:
        notes.add(statement.at, f"{message.name}: a signal that cannot be read; left out",
                  'SG_ name : start|length@order sign (factor,offset) [min|max] "unit" receivers', statement.text)  # fmt: skip
        return None
    mark = words.pop() if len(words) > 1 and _MARK.fullmatch(words[-1]) else ""
    declared = " ".join(words)
    start, length = found["start"], found["length"]
    path = f"{message.name}.{declared}"
    if len(length) > 9 or not 1 <= int(length) <= 64:
        notes.add(statement.at, f"{path}: left out, no number is that long", "1 to 64 bits", length)
        return None
    if len(start) > 9 or int(start) >= 8 * PAYLOAD:
        notes.add(statement.at, f"{path}: left out, it begins behind every frame", f"start below {8 * PAYLOAD}", start)
        return None
    scale = _scale(found["scale"], path, statement, notes)
    if scale is None:
        return None
    name = _named(declared, message.signals, statement.at, notes, path)
    signal = SignalText(name, declared, statement.at, int(length), mark)
    for what, part in (("unit", "unit"), ("sign", "sign"), ("receiver", "to")):
        if not found[part]:
            notes.add(statement.at, f"{message.name}.{name}: no {what}; taken as {_MISSING[part]}")
    if int(found["order"]) > 1:
        notes.add(statement.at, f"{message.name}.{name}: byte order taken as little endian", "0 or 1", found["order"])
    _left_over(statement, found.end(), f"{message.name}.{name}", notes)
    span = _range(found["range"], f"{message.name}.{name}", statement, notes)
    order, sign, unit = min(int(found["order"]), 1), found["sign"] or "+", quoted(found["unit"] or "")
    return signal, f"SG_ {name} : {int(start)}|{int(length)}@{order}{sign} ({scale}) [{span}] {unit} Vector__XXX"


_MISSING = {"unit": 'none ("")', "sign": "unsigned", "to": "Vector__XXX"}


def _scale(text: str | None, path: str, statement: Statement, notes: Notes) -> str | None:
    if text is None:
        notes.add(statement.at, f"{path}: no factor and offset; taken as (1,0)")
        return "1,0"
    parts = text.split(",")
    if len(parts) == 4:  # decimal commas
        parts = [f"{parts[0]}.{parts[1]}", f"{parts[2]}.{parts[3]}"]
        notes.add(statement.at, f"{path}: factor and offset with a decimal comma", found=f"({text})")
    good = [number_text(part) for part in parts]
    if len(good) != 2 or None in good:
        notes.add(statement.at, f"{path}: left out, its factor or offset is no number", "(factor,offset)", f"({text})")
        return None
    for part, fixed in zip(parts, good, strict=True):
        if fixed != part.strip() and fixed is not None:
            notes.add(
                statement.at, f"{path}: a number without a digit before its point", found=f"{part} is now {fixed}"
            )
    return ",".join(str(part) for part in good)


def _range(text: str | None, path: str, statement: Statement, notes: Notes) -> str:
    if text is None:
        notes.add(statement.at, f"{path}: no range")
        return "0|0"
    parts = text.split("|")
    good = [number_text(part) for part in parts]
    if len(good) != 2 or None in good:
        notes.add(statement.at, f"{path}: the range is not of two numbers; taken as not declared", found=f"[{text}]")
        return "0|0"
    return "|".join(str(part) for part in good)


def _left_over(statement: Statement, end: int, path: str, notes: Notes) -> None:
    rest = re.compile(r"\S").search(statement.text, end)
    if rest:
        notes.add(
            statement.at + rest.start(), f"{path}: text behind it; left out", found=statement.text[rest.start() :]
        )
