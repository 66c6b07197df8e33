"""BA_DEF_, BA_DEF_DEF_ and BA_ statements read with tolerance, so that no attribute stops a file from being read."""

import re
from dataclasses import dataclass, field

from hil.codec.repair.index import Index
from hil.codec.repair.names import clean_name, decimal, integer, number_text, quoted
from hil.codec.repair.scan import STRING, Notes, Statement

_TYPES = ("INT", "HEX", "FLOAT", "STRING", "ENUM")
_NUMBERS = ("INT", "HEX", "FLOAT")
_DEF = re.compile(r"BA_DEF_\s*(SG_|BO_|EV_|BU_)?\s*\"([^\"]*)\"\s*(\w+)\s*(.*)", re.DOTALL)
_DEFAULT = re.compile(rf"BA_DEF_DEF_\s*\"([^\"]*)\"\s*({STRING}|[^\s\";]+)\s*")
_BA = re.compile(
    r"BA_\s*\"([^\"]*)\"\s*(?:(?P<kind>BO_|SG_|BU_|EV_)\s*(?P<who>[^\s\"]+)\s+(?:(?P<signal>[^\s\"]+)\s+(?=\S))?)?"
    rf"(?P<value>{STRING}|[^\s\";]+)\s*$"
)
LONG_NAMES = ("SystemMessageLongSymbol", "SystemSignalLongSymbol")
# attributes that the library insists on having in one type: name -> types it takes, the type to make of others
_TYPED = {
    "GenMsgSendType": (("ENUM", "STRING"), "STRING"),
    "DBName": (("STRING",), "STRING"),
    "GenSigStartValue": (_NUMBERS, "FLOAT"),
    "GenMsgCycleTime": (_NUMBERS, "FLOAT"),
    "Baudrate": (_NUMBERS, "INT"),
    "SPN": (("INT", "HEX"), "INT"),
    "VFrameFormat": (("ENUM", "INT"), "INT"),
    **dict.fromkeys(LONG_NAMES, (("STRING",), "STRING")),
}


@dataclass(slots=True)
class Definition:
    """One BA_DEF_: its type as handed on and its texts."""

    kind: str
    type: str
    choices: tuple[str, ...]
    default: str = ""


@dataclass(slots=True)
class Attributes:
    """All definitions, read in a first pass, and what rewrites the statements in the second."""

    index: Index
    notes: Notes
    known: dict[str, Definition] = field(default_factory=dict)

    def learn(self, statement: Statement) -> None:
        """Take in a BA_DEF_."""
        found = _DEF.match(statement.text)
        name, kind = (found[2], found[3].upper()) if found else ("", "")
        if found is None or kind not in _TYPES:
            self.notes.add(statement.at, "an attribute definition that cannot be read; left out",
                           ", ".join(_TYPES), statement.text)  # fmt: skip
            return
        choices = tuple(quoted(text)[1:-1] for text in re.findall(STRING, found[4])) if kind == "ENUM" else ()
        if kind == "ENUM" and not choices:
            self.notes.add(statement.at, f"attribute {name}: an ENUM without texts; taken as STRING")
            kind = "STRING"
        allowed, made = _TYPED.get(name, (_TYPES, ""))
        self.known[name] = Definition(found[1] or "", kind if kind in allowed else made, choices)

    def default(self, statement: Statement) -> None:
        """Take in a BA_DEF_DEF_."""
        found = _DEFAULT.match(statement.text)
        if found is None:
            self.notes.add(statement.at, "an attribute default that cannot be read; left out", found=statement.text)
            return
        definition = self.known.get(found[1])
        if definition is None:
            self.notes.add(statement.at, "default of an attribute that is not defined; left out", found=found[1])
            return
        value = _value(found[2], definition, as_text=True)
        if value is None and found[2] != '""':
            what = f"attribute {found[1]}: the default is none of its values; left out"
            self.notes.add(statement.at, what, _told(definition), found[2])
        definition.default = value or ""

    def definition(self, statement: Statement) -> str | None:
        """BA_DEF_ rewritten, with its default."""
        found = _DEF.match(statement.text)
        known = self.known.get(found[2]) if found else None
        if found is None or known is None or found[2] in LONG_NAMES or known.kind == "EV_":
            return None
        if found[2] == "VFrameFormat" and known.type == "INT" and not 0 <= (integer(known.default or "0") or 0) < 16:
            known.default = "0"
        default = known.default or ("0" if found[2] == "VFrameFormat" and known.type == "INT" else "")
        more = {"ENUM": " " + ",".join(f'"{c}"' for c in known.choices), "STRING": ""}.get(known.type, " 0 0")
        made = f"BA_DEF_ {known.kind} {quoted(found[2])} {known.type}{more};"
        return made + (f" BA_DEF_DEF_ {quoted(found[2])} {default};" if default else "")

    def value(self, statement: Statement) -> str | None:
        """BA_ rewritten; long names are kept in the index instead."""
        found = _BA.match(statement.text)
        if found is None:
            self.notes.add(statement.at, "an attribute that cannot be read; left out", found=statement.text)
            return None
        what = f"attribute {found[1]}"
        place = self._place(found, statement.at, what)
        definition = self.known.get(found[1])
        if place is None:
            return None
        if definition is None:
            self.notes.add(statement.at, f"{what}: not defined; left out", "a BA_DEF_ of it", found["value"])
            return None
        value = _value(found["value"], definition, as_text=False)
        if found[1] == "VFrameFormat" and not 0 <= (integer(value or "") or 0) < max(16, len(definition.choices)):
            value = None
        if value is None:
            self.notes.add(statement.at, f"{what}: none of its values; left out", _told(definition), found["value"])
            return None
        if definition.type == "ENUM" and found["value"].startswith('"'):
            self.notes.add(
                statement.at, f"{what}: the text instead of its number; taken as {value}", found=found["value"]
            )
        if found[1] in LONG_NAMES:
            self._long_name(found, value[1:-1])
            return None
        return f"BA_ {quoted(found[1])} {place}{value};"

    def _place(self, found: re.Match[str], at: int, what: str) -> str | None:
        """The object of the attribute as text, "" for the whole bus, None (noted) when it does not exist."""
        kind = found["kind"]
        if kind == "BO_":
            messages = self.index.find(found["who"], at, what, self.notes)
            return f"BO_ {messages[0].id} " if messages else None
        if kind == "SG_":
            pair = self.index.pair(found["who"], found["signal"] or "", at, what, self.notes)
            return f"SG_ {pair[0].id} {pair[1].name} " if pair else None
        if kind == "BU_":
            name = clean_name(found["who"])
            if name not in self.index.nodes and name != "Vector__XXX":
                self.notes.add(at, f"{what} of a node that does not exist; left out", found=found["who"])
                return None
            return f"BU_ {name} "
        return None if kind else ""

    def _long_name(self, found: re.Match[str], text: str) -> None:
        silent = Notes("", "")
        if found[1] == LONG_NAMES[0] and found["kind"] == "BO_":
            self.index.find(found["who"], 0, "", silent)[0].long_name = text
        elif found["kind"] == "SG_":
            pair = self.index.pair(found["who"], found["signal"], 0, "", silent)
            if pair is not None:
                pair[1].long_name = text


def _value(text: str, definition: Definition, as_text: bool) -> str | None:
    """The value as the type asks for it, None when it is none; of an ENUM its text or its number."""
    bare = text[1:-1] if text.startswith('"') else text
    if definition.choices and definition.type in _NUMBERS:  # an ENUM of numbers: a bare value is a place in the list
        place = None if text.startswith('"') else integer(bare)
        if place is not None and 0 <= place < len(definition.choices):
            bare = definition.choices[place]
        elif bare not in definition.choices:
            return None
    if definition.type == "STRING":
        return quoted(bare)
    if definition.type == "ENUM":
        number = definition.choices.index(bare) if bare in definition.choices else integer(bare)
        if number is None or not 0 <= number < len(definition.choices):
            return None
        return f'"{definition.choices[number]}"' if as_text else str(number)
    exact = decimal(bare)
    if exact is None or (definition.type != "FLOAT" and abs(exact) >= 10**20):
        return None
    return number_text(bare)


def _told(definition: Definition) -> str:
    return ", ".join(definition.choices) or f"{definition.type} value"
