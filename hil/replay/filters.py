"""Which frames of a log are sent, and under which identifier and channel. Every frame left out is counted by reason."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from hil.codec.nouns import Database
from hil.errors import InputError, Problem, nearest
from hil.logs.trace import Trace
from hil.tick import FrameBits

Mask = NDArray[np.bool_]
EXTENDED, SENT = int(FrameBits.EXTENDED), int(FrameBits.SENT)
NOT_FRAMES = int(FrameBits.ERROR | FrameBits.LOST)
STANDARD_MAX, EXTENDED_MAX = 0x7FF, 0x1FFFFFFF
SHOWN = 60  # characters of an argument that an error repeats
_DIGITS = 18  # what is longer is no number anybody means, and from 4300 on Python refuses to read it
_NUMBER = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)"
_RULE = re.compile(rf"({_NUMBER})(?:(-|/)({_NUMBER}))?")
_WHOLE = re.compile(rf"\s*0*([0-9]{{1,{_DIGITS}}})\s*")


def whole_number(text: str) -> int | None:
    """The number from 0 on that ``text`` writes in decimal digits, leading zeros or not; None for anything else."""
    matched = _WHOLE.fullmatch(text)
    return None if matched is None else int(matched[1])


def shortened(text: str) -> str:
    """``text`` as an error repeats it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


@dataclass(frozen=True, slots=True)
class Ids:
    """One set of identifiers: ``low <= id & mask <= high``, of one kind or (both flags) of both."""

    low: int
    high: int
    mask: int
    standard: bool
    extended: bool

    def matches(self, trace: Trace) -> Mask:
        """Which frames are of this set."""
        is_extended = (trace.bits & EXTENDED) != 0
        masked = trace.id & np.int32(self.mask)
        kind = (is_extended & self.extended) | (~is_extended & self.standard)
        found: Mask = kind & (masked >= self.low) & (masked <= self.high)
        return found


@dataclass(frozen=True, slots=True)
class Filter:
    """What is let through. ``ids``: (wanted, set) pairs; empty tuples let everything through."""

    ids: tuple[tuple[bool, Ids], ...] = ()
    directions: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()

    def reasons(self, trace: Trace) -> list[tuple[str, Mask]]:
        """(why, frames it takes out), each frame under its first reason only: a partition of what is left out."""
        out: list[tuple[str, Mask]] = []
        left = np.ones(len(trace), bool)
        tests: list[tuple[str, Callable[[], Mask]]] = [
            ("error frame", lambda: (trace.bits & NOT_FRAMES) != 0),
            ("direction", lambda: self._other_direction(trace)),
            ("channel", lambda: ~np.isin(trace.channel, self.channels) if self.channels else ~left & False),
            ("id", lambda: ~wanted(trace, self.ids)),
        ]
        for reason, test in tests:
            taken = left & test()
            out.append((reason, taken))
            left = left & ~taken
        return out

    def _other_direction(self, trace: Trace) -> Mask:
        if not self.directions:
            return np.zeros(len(trace), bool)
        sent = (trace.bits & SENT) != 0
        wanted_kinds = np.zeros(len(trace), bool)
        for direction in self.directions:
            wanted_kinds |= sent if direction == "tx" else ~sent
        return ~wanted_kinds


def wanted(trace: Trace, rules: Sequence[tuple[bool, Ids]]) -> Mask:
    """Frames that match any rule that lets through (all, if there is none) and no rule that keeps out."""
    positive = [ids for yes, ids in rules if yes]
    through = np.zeros(len(trace), bool) if positive else np.ones(len(trace), bool)
    for ids in positive:
        through |= ids.matches(trace)
    for yes, ids in rules:
        if not yes:
            through &= ~ids.matches(trace)
    return through


def parse_rules(texts: Sequence[str], db: Database | None) -> tuple[tuple[bool, Ids], ...]:
    """Rules as people write them: ``0x123``, ``0x100-0x1FF``, ``0x100/0x7F0`` (value/mask), ``BMS_*``, each with ``!``.

    A comma separates several. Numbers up to 0x7FF written with fewer than 8 digits are 11-bit identifiers, all others
    29-bit ones; a range from one kind to the other takes both.

    Raises:
        InputError: not such a rule; a name without a DBC or not in it; nothing can match.
    """
    rules: list[tuple[bool, Ids]] = []
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        plain = text.removeprefix("!").strip()
        rules += [(not text.startswith("!"), ids) for ids in _parse(plain, text, db)]
    return tuple(rules)


def _parse(plain: str, text: str, db: Database | None) -> list[Ids]:
    matched = _RULE.fullmatch(plain)
    if matched is None:
        return _by_name(plain, text, db)
    first, sign, second = matched[1], matched[2], matched[3]
    a, wide_a = _number(first, text)
    if sign is None:
        return [Ids(a, a, -1, not wide_a, wide_a)]
    b, wide_b = _number(second, text)
    if sign == "/":
        wide = wide_a or wide_b
        return [Ids(a & b, a & b, b, not wide, wide)]
    if a > b:
        what = f"identifiers {shortened(text)!r}"
        raise InputError(Problem(what, expected="the smaller number first", found=shortened(plain)))
    return [Ids(a, b, -1, not wide_a, wide_b)]


def _number(text: str, whole: str) -> tuple[int, bool]:
    """The number, and whether it is a 29-bit identifier."""
    is_hex = text[:2] in ("0x", "0X")
    value = int(text, 16) if is_hex else whole_number(text)
    if value is None or value > EXTENDED_MAX:
        what = f"identifiers {shortened(whole)!r}"
        raise InputError(Problem(what, expected="at most 0x1FFFFFFF", found=shortened(text)))
    return value, value > STANDARD_MAX or (is_hex and len(text) >= 10)


def _by_name(name: str, text: str, db: Database | None) -> list[Ids]:
    if db is None:
        what = "a number, a range 0x100-0x1FF or value/mask; names need --dbc"
        raise InputError(Problem(f"identifiers {shortened(text)!r}", expected=what, found=shortened(name) or "nothing"))
    found = [m for m in db.messages if fnmatchcase(m.name, name)]
    if not found:
        close = nearest(name, (m.name for m in db.messages)) or ""
        raise InputError(Problem(f"no message {shortened(name)!r}", str(db.path), nearest=close))
    return [Ids(m.id, m.id, -1, not m.extended, m.extended) for m in found]


@dataclass(frozen=True, slots=True)
class Remap:
    """New identifiers and channels. ``ids``: (from, to), the new kind is the one of ``to``; ``channels``: (from, to)."""

    ids: tuple[tuple[Ids, Ids], ...] = ()
    channels: tuple[tuple[int, int], ...] = ()

    def apply(self, trace: Trace) -> Trace:
        """The frames renamed; each frame by the first line that fits it, never twice."""
        if self.ids:
            identifiers, bits = trace.id.copy(), trace.bits.copy()
            for source, to in reversed(self.ids):
                hit = source.matches(trace)
                identifiers[hit] = to.low
                bits[hit] = (trace.bits[hit] & ~EXTENDED) | (EXTENDED if to.extended else 0)
            trace = replace(trace, id=identifiers, bits=bits)
        if self.channels:
            channel = trace.channel.copy()
            for old, new in reversed(self.channels):
                channel[trace.channel == old] = new
            trace = replace(trace, channel=channel)
        return trace


def parse_remap(ids: Sequence[str], channels: Sequence[str], db: Database | None) -> Remap:
    """``0x100=0x200`` or names; ``0=1``. Raises InputError when a line is not of that form."""
    pairs: list[tuple[Ids, Ids]] = []
    for text in ids:
        left, sign, right = text.partition("=")
        old, new = _parse(left.strip(), text, db) if sign else [], _parse(right.strip(), text, db) if sign else []
        if len(old) != 1 or len(new) != 1 or new[0].low != new[0].high or new[0].mask != -1:
            raise InputError(Problem(f"identifier map {shortened(text)!r}", expected="OLD=NEW such as 0x100=0x200"))
        pairs.append((old[0], new[0]))
    lanes: list[tuple[int, int]] = []
    for text in channels:
        left, _, right = text.partition("=")
        old_lane, new_lane = whole_number(left), whole_number(right)
        if old_lane is None or new_lane is None or max(old_lane, new_lane) > 255:
            expected = "OLD=NEW such as 0=1, each 0 to 255"
            raise InputError(Problem(f"channel map {shortened(text)!r}", expected=expected))
        lanes.append((old_lane, new_lane))
    return Remap(tuple(pairs), tuple(lanes))
