"""Numbers in a KCD, SYM or ARXML file that would make the library write out more than memory holds."""

import re

from hil.errors import Problem

LARGEST = 9_999  # bits or bytes; a CAN FD frame has 512 bits
MOST_IDS = 4_096  # messages made of one range of identifiers
_TOO_LARGE = {
    "kcd": re.compile(r"\b(?:length|offset|count)\s*=\s*[\"']\s*\+?(\d[\d_]{4,})"),
    "sym": re.compile(
        # anywhere in a line: the library's grammar does not go by lines
        r"(?:(?:Len|DLC)\s*=\s*|(?:Var|Mux)\s*=[^,\n]{0,300}?[ \t]|(?:Var|Mux)\s*=[^,\n]{0,300},[ \t]*|"
        r"Sig\s*=\s*\S{1,300}[ \t]+)(\d{5,})",
    ),
    "arxml": re.compile(r"<(?:LENGTH|FRAME-LENGTH|START-POSITION|BIT-LENGTH)>\s*\+?(\d[\d_]{5,})"),
}
# Would hide a number from the patterns above; no program writes a digit so. Entities of a file's own could hide it too.
_WRITTEN_OUT = re.compile(r"&#(?:0*(?:4[89]|5[0-7]|95)|x0*(?:3[0-9]|5[fF]));|<!ENTITY\b")
_DIGITS = 400
_LONG = re.compile(rf"\d{{{_DIGITS + 1}}}")  # the library's tokens take the square of a number's length
_ID_RANGE = re.compile(r"ID\s*=\s*([0-9A-Fa-f]{1,8})h\s*-\s*([0-9A-Fa-f]{1,8})h", re.MULTILINE)


def too_large(text: str, kind: str, path: str) -> Problem | None:
    """The first length, place or range of identifiers that no CAN frame has; None when there is none."""
    if kind != "sym" and (hidden := _WRITTEN_OUT.search(text)) is not None:
        what = "a digit or letter written as a number of XML"
        return Problem(what, path, *_place(text, hidden.start()), "the character itself", hidden[0][:40])
    long = _LONG.search(text) if kind == "sym" else None
    if long is not None:
        expected, start = f"at most {_DIGITS} digits", f"{long[0][:20]}..."
        return Problem("a number that is too long", path, *_place(text, long.start()), expected, start)
    found = _TOO_LARGE[kind].search(text)
    if found is not None:
        return Problem(
            "a number that no CAN frame has", path, *_place(text, found.start(1)), f"at most {LARGEST}", found[1]
        )
    for ids in _ID_RANGE.finditer(text) if kind == "sym" else ():
        if int(ids[2], 16) - int(ids[1], 16) >= MOST_IDS:
            what = "a range of identifiers that is too wide"
            return Problem(what, path, *_place(text, ids.start()), f"at most {MOST_IDS} identifiers", ids[0])
    return None


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
