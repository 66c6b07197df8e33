"""A SYM file made into one that the library reads: version 5 spelled as version 6, and slips in multiplexers."""

import re

from hil.errors import Problem

_MUX_OF_NOTHING = re.compile(r"^Mux=\s*(\S+)\s+\d+,0\s.*$")
_BARE_HEX = re.compile(r"^(Mux=.*\s)([A-Fa-f][0-9A-Fa-f]*h)(.*)$")
_VERSION_5 = (
    (re.compile(r"^FormatVersion=5\.\d"), "FormatVersion=6.0"),
    (re.compile(r"^enum\s+"), "Enum="),
    (re.compile(r"^DLC="), "Len="),
)


def repair(text: str, path: str) -> tuple[str, list[Problem]]:
    """The text with the same line numbers, and what was changed in it."""
    notes: list[Problem] = []
    old = re.search(r"^FormatVersion=5", text, re.MULTILINE) is not None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if old:
            for pattern, new in _VERSION_5:
                line = pattern.sub(new, line)
            if line.startswith("FormatVersion"):
                notes.append(Problem("version 5 of the format; read as version 6", path, number, 1))
        hexadecimal = _BARE_HEX.match(line)
        if hexadecimal:  # the library wants a digit first
            line = f"{hexadecimal[1]}0{hexadecimal[2]}{hexadecimal[3]}"
        nothing = _MUX_OF_NOTHING.match(line)
        if nothing:
            what = f"{nothing[1]}: a multiplexer of 0 bits; left out, its signals are always there"
            notes.append(Problem(what, path, number, 1, "1 bit or more"))
            line = ""
        lines[number - 1] = line
    return "\n".join(lines), notes
