"""Damage as files suffer it and as the malicious make it: one edit after the other on bytes, all of it by given numbers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

MOST = 1 << 17  # bytes a damaged input may have
HUGE = (
    b"99999999999999999999",
    b"2147483648",
    b"4294967295",
    b"1e308",
    b"1e999999999",
    b"9" * 5000,
    b"-1",
    b"0",
    b"nan",
)
_POWERS = ((4, 31), (4, 30), (8, 31), (8, 40), (8, 62), (8, 63))
WORDS = (
    *((1 << bit).to_bytes(size, "little") for size, bit in _POWERS),
    b"\xff" * 4,
    b"\xff" * 8,
    bytes(8),
)
OPENERS = (
    b"[",
    b"{",
    b"(",
    b"- ",
    b"? ",
    b"a: ",
    b"<a>",
    b"not ",
    b"-",
    b"abs(",
    b'"',
    b"&x ",
    b"*x ",
    b"!",
    b"0x",
    b".",
    b"*a",
)
_NUMBER = re.compile(rb"\d+")


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: ``how`` names it, ``place`` (0..1) is where, ``amount`` how much, ``piece`` what is put in."""

    how: str
    place: float
    amount: int
    piece: bytes = b""


def edited(content: bytes, other: bytes, edits: Sequence[Edit]) -> bytes:
    """``content`` after all edits, cut to ``MOST`` bytes; ``other`` is what ``splice`` takes the rest from."""
    for edit in edits:
        content = EDITS[edit.how](content, other, int(edit.place * len(content)), edit)[:MOST]
    return content


def _flip(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + bytes(b ^ (edit.amount % 255 + 1) for b in content[at : at + 1]) + content[at + 1 :]


def _delete(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + content[at + edit.amount :]


def _insert(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + edit.piece + content[at:]


def _over(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + edit.piece + content[at + len(edit.piece) :]


def _cut(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at]


def _behead(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[at:]


def _double(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    start, end = _line(content, at)
    return (
        content[:end] + content[start:end] * min(1 + edit.amount % 50, MOST // max(end - start, 1) + 1) + content[end:]
    )


def _join(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    """A very long line: one line without its end, over and over."""
    start, end = _line(content, at)
    line = content[start:end].rstrip(b"\r\n")
    return content[:start] + line * min(1 + edit.amount * 40, MOST // max(len(line), 1) + 1) + content[end:]


def _splice(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + other[int(edit.amount / 256 * len(other)) :]


def _number(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    """The next number in the text becomes one that is too large."""
    found = _NUMBER.search(content, at)
    if found is None:
        return content
    return content[: found.start()] + HUGE[edit.amount % len(HUGE)] + content[found.end() :]


def _word(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    """A length or count of a binary header becomes one that is too large; at whole words, where those stand."""
    word = WORDS[edit.amount % len(WORDS)]
    return content[: at & ~3] + word + content[(at & ~3) + len(word) :]


def _nul(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + bytes(len(content[at : at + edit.amount])) + content[at + edit.amount :]


def _nest(content: bytes, other: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + OPENERS[edit.amount % len(OPENERS)] * (1 + edit.amount * 20) + content[at:]


def _line(content: bytes, at: int) -> tuple[int, int]:
    end = content.find(b"\n", at) + 1
    return content.rfind(b"\n", 0, at) + 1, end or len(content)


EDITS: Mapping[str, Callable[[bytes, bytes, int, Edit], bytes]] = MappingProxyType(
    {
        "flip": _flip,
        "delete": _delete,
        "insert": _insert,
        "over": _over,
        "cut": _cut,
        "behead": _behead,
        "double": _double,
        "join": _join,
        "splice": _splice,
        "number": _number,
        "word": _word,
        "nul": _nul,
        "nest": _nest,
    }
)
