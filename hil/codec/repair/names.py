"""Names, identifiers and numbers as a DBC must write them, made from what files really hold."""

import math
import re
from collections.abc import Container
from decimal import Decimal, InvalidOperation

from hil.codec.repair.scan import KEYWORDS

EXTENDED = 1 << 31
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(NUMBER)
_RESERVED = frozenset(KEYWORDS)


def clean_name(name: str) -> str:
    """A name of letters, digits and ``_`` that begins with no digit and is no keyword: others become ``_``."""
    out = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    return "_" + out if out[0].isdigit() or out in _RESERVED else out


def unique(name: str, taken: Container[str]) -> str:
    """The name, or with ``_2``, ``_3``... one that is not taken, the first where they are taken without gaps.

    By halving: a file with one name ten thousand times must not take the square of that.
    """
    if name not in taken:
        return name
    low, high = 1, 2
    while f"{name}_{high}" in taken:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if f"{name}_{middle}" in taken else (low, middle)
    return f"{name}_{high}"


def clean_id(number: int) -> tuple[int, str]:
    """The identifier as a DBC writes it (bit 31 = extended), and what was wrong with it, "" = nothing.

    A negative number is that of a program that writes signed 32 bits. Above 0x7FF without bit 31 it is extended.
    """
    out = number & 0xFFFFFFFF if -(1 << 31) <= number < 0 else number
    told = "a negative identifier; taken as unsigned" if out != number else ""
    bare = out & ~EXTENDED if 0 <= out < 1 << 32 else out
    extended = out != bare
    if not 0 <= bare < 1 << 29:
        return (bare & 0x1FFFFFFF) | EXTENDED, "the identifier has more than 29 bits; the lower 29 are taken"
    if bare > 0x7FF and not extended:
        return bare | EXTENDED, "the identifier has more than 11 bits but not bit 31; taken as extended"
    return out, told


def quoted(string: str) -> str:
    """A string, with its quotes or without, in quotes; a backslash before the closing quote would open it again."""
    inner = string[1:-1] if len(string) > 1 and string[0] == string[-1] == '"' else string
    return '"' + inner.rstrip("\\") + '"'


def integer(text: str) -> int | None:
    """A whole number of at most 20 digits (``0x`` too, ``2.0`` too), None when it is none."""
    if len(text) > 24:
        return None
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    value = decimal(text)
    return int(value) if value is not None and value == value.to_integral_value() else None


def decimal(text: str) -> Decimal | None:
    """A number that a float can hold, None when it is none."""
    if not _NUMBER.fullmatch(text) or len(text) > 400:
        return None
    try:
        value = Decimal(text)
        return value if math.isfinite(float(value)) and abs(value.adjusted()) < 400 else None
    except (InvalidOperation, OverflowError, ValueError):
        return None


def number_text(text: str) -> str | None:
    """The number in a spelling that every reader takes (``.25`` -> ``0.25``), None when it is no finite number."""
    text = text.strip()
    if decimal(text) is None:
        return None
    return re.sub(r"^([-+]?)\.", r"\g<1>0.", text)
