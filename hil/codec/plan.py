"""A database compiled to arrays: the one plan that bulk decoder, per-tick stages and encoder stand on.

Signals are listed message by message, and within a message group by group. Group 0 of a message comes with every frame;
every other group comes when one multiplexer reads certain values. A group is the set of signals that the same
multiplexer brings for the same values, so a signal is listed once, whatever its ranges. A multiplexer's values are cut into
*edges*, disjoint intervals on which the same groups come; groups and multiplexers stand in the order in which a frame
unfolds, outermost first.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hil.codec.nouns import Message, Signal
from hil.errors import InputError

EXTENDED_KEY = 1 << 29  # tells an 11-bit from a 29-bit identifier of the same number
MOST_MESSAGES = 32767
EXACT_BITS = 53  # whole numbers a float64 holds exactly

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]


class Kind(IntEnum):
    """How a raw number becomes a value."""

    UNSIGNED = 0  # raw * factor + offset in float64
    SIGNED = 1
    WHOLE_UNSIGNED = 2  # in int64, for whole factors and offsets whose product float64 could not hold
    WHOLE_SIGNED = 3
    FLOAT16 = 4
    FLOAT32 = 5
    FLOAT64 = 6
    WIDE_UNSIGNED = 7  # as WHOLE, in 128 bits
    WIDE_SIGNED = 8


@dataclass(frozen=True, slots=True)
class Listed:
    """One listed signal and where it stands: index of its message and of its group."""

    message: int
    group: int
    signal: Signal


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Arrays of a compiled database: M messages, G groups, S signals, X multiplexers, E edges, B branches.

    ``word``, ``left`` and ``right`` place a signal in 64-bit words: from word ``word`` (byte-swapped for a big-endian one)
    shifted left, then right; ``left`` < 0 when it reaches into the next word. ``reach`` is the number of payload bytes a
    signal needs.
    """

    messages: tuple[Message, ...]
    listed: tuple[Listed, ...]
    sorted_key: Int64s  # identifier keys, ascending
    order: Int32s  # message of each key
    group0: Int32s  # (M + 1,) first group
    mux0: Int32s  # (M + 1,) first multiplexer
    signal0: Int32s  # (G + 1,) first signal
    group_mux: Int32s  # (G,) multiplexer that brings it, -1 = always there
    mux_group: Int32s  # (X,) group the multiplexer is in
    mux_signal: Int32s  # (X,) its index among the listed signals
    edge0: Int32s  # (X + 1,) first edge
    edge_low: Int64s  # (E,)
    edge_high: Int64s  # (E,) inclusive
    branch0: Int32s  # (E + 1,) first branch
    branch: Int32s  # (B,) group
    start: Int32s  # (S,) as in hil.codec.bits
    width: Int32s
    big: Int32s
    kind: Int32s
    word: Int32s
    left: Int32s
    right: Int32s
    reach: Int32s
    factor: Float64s
    offset: Float64s

    def message_of(self, name: str) -> int:
        """Index of the message of that name, -1 = none."""
        return next((i for i, m in enumerate(self.messages) if m.name == name), -1)


def key_of(message: Message) -> int:
    """Identifier and its length as one number."""
    return message.id + (EXTENDED_KEY if message.extended else 0)


def compile_plan(messages: Sequence[Message]) -> Plan:
    """Compile messages, in the order given. Of two with one identifier the first takes the frames.

    Raises:
        InputError: a multiplexer that does not exist or hangs on itself; more than ``MOST_MESSAGES``.
    """
    keys = [key_of(m) for m in messages]
    if len(messages) > MOST_MESSAGES:
        raise InputError(f"{len(messages)} messages, a plan holds {MOST_MESSAGES}")
    first: dict[int, int] = {}
    for index, key in enumerate(keys):
        first.setdefault(key, index)
    order = [index for _, index in sorted(first.items())]
    draft = _Draft()
    for index, message in enumerate(messages):
        draft.add(index, message)
    signals = [entry.signal for entry in draft.listed]
    places = [_place(s) for s in signals]
    return Plan(
        tuple(messages),
        tuple(draft.listed),
        np.array([keys[i] for i in order], np.int64),
        _ints(order),
        _ints(draft.group0),
        _ints(draft.mux0),
        _ints(draft.signal0),
        _ints(draft.group_mux),
        _ints(draft.mux_group),
        _ints(draft.mux_signal),
        _ints(draft.edge0),
        np.array([low for low, _ in draft.edges], np.int64),
        np.array([high for _, high in draft.edges], np.int64),
        _ints(draft.branch0),
        _ints(draft.branches),
        _ints(s.start for s in signals),
        _ints(s.length for s in signals),
        _ints(int(s.big) for s in signals),
        _ints(kind_of(s) for s in signals),
        _ints(p[0] for p in places),
        _ints(p[1] for p in places),
        _ints(p[2] for p in places),
        _ints(reach_of(s) for s in signals),
        np.array([s.factor for s in signals], np.float64),
        np.array([s.offset for s in signals], np.float64),
    )


def kind_of(signal: Signal) -> Kind:
    """How the signal's raw number becomes its value.

    With a whole factor below 2^30 and an offset below 2^61 the product is exact and the result rounded once.
    """
    if signal.is_float:
        return {16: Kind.FLOAT16, 32: Kind.FLOAT32, 64: Kind.FLOAT64}[signal.length]
    low, high = signal.raw_range
    most = max(abs(low), high) * abs(signal.factor) + abs(signal.offset)
    plain = (signal.factor, signal.offset) == (1.0, 0.0)
    too_wide = abs(signal.factor) >= 1 << 30 or abs(signal.offset) >= 1 << 61
    if not signal.exact or plain or most <= 1 << EXACT_BITS or too_wide:
        return Kind.SIGNED if signal.signed else Kind.UNSIGNED
    if most >= 1 << 63 or high >= 1 << 63:
        return Kind.WIDE_SIGNED if signal.signed else Kind.WIDE_UNSIGNED
    return Kind.WHOLE_SIGNED if signal.signed else Kind.WHOLE_UNSIGNED


def first_bit(signal: Signal) -> int:
    """Its first bit counted along its own byte order: from bit 0 upwards, or from the top of byte 0 downwards."""
    return (signal.start >> 3) * 8 + 7 - (signal.start & 7) if signal.big else signal.start


def reach_of(signal: Signal) -> int:
    """Payload bytes the signal needs."""
    return (first_bit(signal) + signal.length + 7) // 8


def _place(signal: Signal) -> tuple[int, int, int]:
    first = first_bit(signal)
    word, inside = first >> 6, first & 63
    if inside + signal.length > 64:
        return word, -1, 64 - signal.length
    left = inside if signal.big else 64 - inside - signal.length
    return word, left, 64 - signal.length


def _ints(values: Iterable[int]) -> Int32s:
    return np.fromiter(values, np.int32)


class _Draft:
    """Lists in the making."""

    def __init__(self) -> None:
        self.listed: list[Listed] = []
        self.group0 = [0]
        self.mux0 = [0]
        self.signal0 = [0]
        self.group_mux: list[int] = []
        self.mux_group: list[int] = []
        self.mux_signal: list[int] = []
        self.edge0 = [0]
        self.edges: list[tuple[int, int]] = []
        self.branch0 = [0]
        self.branches: list[int] = []

    def add(self, index: int, message: Message) -> None:
        """List one message: group 0, then breadth first what its multiplexers bring."""
        children = _children(message)
        self._group(index, -1, children.pop("", {}).get((), []))
        at = self.mux0[-1]  # the next multiplexer to unfold
        while at < len(self.mux_signal):
            selector = self.listed[self.mux_signal[at]].signal
            below = children.pop(selector.name, {})
            numbers: dict[int, tuple[tuple[int, int], ...]] = {}
            for ranges, signals in below.items():
                numbers[len(self.group_mux)] = readable(selector, ranges)
                self._group(index, at, signals)
            self._edges(numbers)
            at += 1
        if children:
            name = sorted(children)[0]
            raise InputError(f"{message.name}: signals hang on the multiplexer {name!r}, which no frame brings")
        self.group0.append(len(self.group_mux))
        self.mux0.append(len(self.mux_signal))

    def _group(self, message: int, mux: int, signals: Sequence[Signal]) -> None:
        number = len(self.group_mux)
        self.group_mux.append(mux)
        for signal in sorted(signals, key=lambda s: (s.big, first_bit(s) >> 6, first_bit(s))):
            if signal.selector:
                self.mux_group.append(number)
                self.mux_signal.append(len(self.listed))
            self.listed.append(Listed(message, number, signal))
        self.signal0.append(len(self.listed))

    def _edges(self, groups: dict[int, tuple[tuple[int, int], ...]]) -> None:
        cuts = sorted({c for ranges in groups.values() for low, high in ranges for c in (low, high + 1)})
        for low, after in itertools.pairwise(cuts):
            here = [g for g, ranges in groups.items() if any(a <= low <= b for a, b in ranges)]
            if here:
                self.edges.append((low, after - 1))
                self.branches += here
                self.branch0.append(len(self.branches))
        self.edge0.append(len(self.edges))


def folded(raw: int) -> int:
    """An unsigned number of 64 bits as the int64 of the same bits."""
    return raw - (1 << 64) if raw >= 1 << 63 else raw


def readable(selector: Signal, ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """The part of the ranges that the multiplexer can read, as int64: 64 bits without a sign count on from below zero."""
    least, most = selector.raw_range
    out = []
    for low, high in ((max(a, least), min(b, most)) for a, b in ranges):
        if low < 1 << 63 and low <= high:
            out.append((low, min(high, (1 << 63) - 1)))
        if high >= 1 << 63 and low <= high:
            out.append((folded(max(low, 1 << 63)), folded(high)))
    return tuple(out)


def _children(message: Message) -> dict[str, dict[tuple[tuple[int, int], ...], list[Signal]]]:
    """Signals by the multiplexer that brings them and the values for which it does."""
    found: dict[str, dict[tuple[tuple[int, int], ...], list[Signal]]] = {}
    for signal in message.signals:
        ranges = signal.mux_ranges if signal.mux_signal else ()
        found.setdefault(signal.mux_signal, {}).setdefault(ranges, []).append(signal)
    return found


def stripped(message: Message, keep: set[str]) -> Message:
    """The message with only the signals named and the multiplexers they hang on."""
    wanted = set(keep)
    by_name = {s.name: s for s in message.signals}
    for name in keep:
        signal = by_name.get(name)
        while signal is not None and signal.mux_signal and signal.mux_signal not in wanted:
            wanted.add(signal.mux_signal)
            signal = by_name.get(signal.mux_signal)
    return replace(message, signals=tuple(s for s in message.signals if s.name in wanted))
