"""The text of a DBC cut into statements, with places: the first step of the repair. Nothing is understood here."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hil.errors import Problem

KEYWORDS = (
    "VERSION NS_ NS_DESC_ BS_ BU_ BO_ SG_ BO_TX_BU_ CM_ EV_ ENVVAR_DATA_ EV_DATA_ BA_ BA_DEF_ BA_DEF_DEF_ BA_REL_ "
    "BA_DEF_REL_ BA_DEF_DEF_REL_ BA_DEF_SGTYPE_ BA_SGTYPE_ BU_BO_REL_ BU_EV_REL_ BU_SG_REL_ CAT_ CAT_DEF_ FILTER "
    "SG_MUL_VAL_ SGTYPE_ SGTYPE_VAL_ SIG_GROUP_ SIG_TYPE_REF_ SIG_VALTYPE_ SIGTYPE_VALTYPE_ VAL_ VAL_TABLE_"
).split()
STRING = r'"(?:\\"|[^"])*?"'
_WORDS = "|".join(sorted(KEYWORDS, key=len, reverse=True))
_TOKEN = re.compile(rf'{STRING}|"|//[^\n]*|;|\b(?:{_WORDS})\b')
_STATEMENT_INSIDE = re.compile(
    r"\n[ \t]*(?:BO_[ \t]+\d|SG_[ \t]+[\w.-]{1,200}[ \t]*(?:[mM]\w{0,20}[ \t]*)?:|BA_[ \t]+\"|BA_DEF_|VAL_[ \t]+\w|"
    r"CM_[ \t]+(?:SG_|BO_|BU_|EV_|\")|VAL_TABLE_|SIG_VALTYPE_[ \t]|SG_MUL_VAL_[ \t]|BO_TX_BU_[ \t]|SIG_GROUP_[ \t])"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BARE = re.compile(rf"(?:[ \t]*(?:{_WORDS})\b)+[ \t]*(?:\n|$)")
_OPEN_KINDS = frozenset({"VERSION", "BU_", "BS_", "BO_", "SG_"})  # they end where the next begins, not with ';'
_OBJECTS = frozenset({"BO_", "SG_", "BU_", "EV_", "BU_SG_REL_", "BU_BO_REL_", "BU_EV_REL_"})
_HEAD = re.compile(rf"\w+\s*(?:{STRING})?\s*")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its keyword, its text without the ``;``, where it begins, whether the ``;`` was there."""

    kind: str
    text: str
    at: int
    ended: bool


@dataclass(slots=True)
class Notes:
    """The problems of one file, each at an offset of its text."""

    path: str
    text: str
    found: list[Problem] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)

    def place(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset."""
        if not self._lines:
            self._lines = [0, *(m.end() for m in re.finditer("\n", self.text))]
        line = bisect.bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def add(self, at: int, message: str, expected: str = "", found: str = "", close: str = "") -> None:
        """Note a problem at an offset; ``close`` is the nearest valid name."""
        line, column = self.place(at)
        self.found.append(Problem(message, self.path, line, column, expected, short(found), close))


def short(text: str) -> str:
    """At most 60 characters on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else flat[:57] + "..."


def tidy(text: str, path: str) -> tuple[str, Notes]:
    """The text with LF line ends, no control characters, no comments, every string closed; and what had to be done.

    Line numbers stay. A string is taken as unclosed when a whole statement begins on a later line inside it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a\x00")
    notes = Notes(path, text)
    strange = _CONTROL.findall(text)
    if strange:
        first = _CONTROL.search(text)
        places = f"{len(strange)} of them, the first 0x{ord(strange[0]):02X}"
        notes.add(first.start() if first else 0, "control characters; taken as blanks", found=places)
        text = _CONTROL.sub(" ", text)
    out: list[str] = []
    at = 0
    while (token := _TOKEN.search(text, at)) is not None:
        out.append(text[at : token.start()])
        piece, at = _closed(text, token, notes)
        out.append(piece)
    out.append(text[at:])
    whole = "".join(out)
    return whole, Notes(path, whole, notes.found)


def _closed(text: str, token: re.Match[str], notes: Notes) -> tuple[str, int]:
    """The token without comment and with both quotes; where to go on."""
    piece = token[0]
    if piece.startswith("//"):
        return " " * len(piece), token.end()
    if not piece.startswith('"'):
        return piece, token.end()
    unclosed = piece == '"'
    inside = _STATEMENT_INSIDE.search(text, token.start() + 1, len(text) if unclosed else token.end())
    if not unclosed and inside is None:
        return piece, token.end()
    end = inside.start() if inside else len(text)
    body = text[token.start() + 1 : end]
    if re.fullmatch(r"\s*;\s*", body):  # not an opening quote but one too many before the end
        notes.add(token.start(), "one quote too many; taken as text")
        return '""', token.start() + 1
    notes.add(token.start(), "text without closing quote; closed at the end of the statement", found=body)
    kept = body.rstrip().removesuffix(";").rstrip()
    return '"' + kept.rstrip("\\") + '"' + body[len(kept) :], end


def cut(text: str) -> tuple[list[Statement], list[int]]:
    """All statements of a tidied text in order, and the offsets of text that belongs to none."""
    out: list[Statement] = []
    stray: list[int] = []
    kind, start, free = "", 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] == ";":
            if kind:
                out.append(Statement(kind, text[start : token.start()], start, True))
            else:
                stray.extend(_stray(text, free, token.start()))
            kind, free = "", token.end()
        elif token[0][0] not in '"/' and _begins(text, kind, start, token):
            if kind:
                out.append(Statement(kind, text[start : token.start()], start, False))
            else:
                stray.extend(_stray(text, free, token.start()))
            kind, start = token[0], token.start()
    if kind:
        out.append(Statement(kind, text[start:], start, False))
    else:
        stray.extend(_stray(text, free, len(text)))
    return out, stray


def _begins(text: str, kind: str, start: int, token: re.Match[str]) -> bool:
    """True when the keyword begins a statement rather than being a part of the open one."""
    near = max(token.start() - 300, 0)  # bounded: a file of one long line must not take the square of its length
    line = text.rfind("\n", near, token.start()) + 1
    first = (line > 0 or near == 0) and not text[line : token.start()].strip()
    before = text[start : min(token.start(), start + 2000)] if kind else ""
    if kind == "NS_":
        return first and _BARE.match(text, line) is None
    if not kind or kind in _OPEN_KINDS:
        return first or not kind or ":" in before or (kind == "VERSION" and '"' in before)
    return first and not (token[0] in _OBJECTS and _HEAD.fullmatch(before))


def _stray(text: str, start: int, end: int) -> Iterator[int]:
    found = re.compile(r"\S").search(text, start, end)
    if found:
        yield found.start()
