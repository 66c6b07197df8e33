"""Where the signals of some messages lie, as one record: the part that decoder, sender and raw plans share.

Signals are listed message by message, and within a message group by group: group 0 comes with every frame, group
``1 + v`` comes when the multiplexer reads ``v``. A signal that several values bring is listed in each.
"""

from collections.abc import Sequence
from typing import Annotated

from hil.codec import bits
from hil.codec.database import Message, Signal
from hil.errors import InputError
from hil.kernel import I32, I64, Ints, Ints32, Rows, kernel
from hil.tick import Frame, FrameBits

MESSAGES = 64
GROUPS = 1024
SIGNALS = 2048
EXTENDED = int(FrameBits.EXTENDED)
EXTENDED_KEY = 1 << 29  # tells an 11-bit from a 29-bit identifier of the same number
NO_GROUP = -1


class Cut:
    """Place of one signal in a payload, as ``hil.codec.bits`` takes it."""

    start: I32
    width: I32
    big: I32
    signed: I32


class Layout:
    """Messages, groups and signals; ``order`` sorts the messages by identifier key for the search."""

    n_messages: I64
    n_signals: I64
    sorted_key: Annotated[Ints, MESSAGES]
    order: Annotated[Ints32, MESSAGES]
    id: Annotated[Ints32, MESSAGES]
    extended: Annotated[Ints32, MESSAGES]
    length: Annotated[Ints32, MESSAGES]  # bytes
    group0: Annotated[Ints32, MESSAGES]  # index of the message's first group
    groups: Annotated[Ints32, MESSAGES]  # 1 + greatest multiplexer value + 1; 1 = not multiplexed
    selector: Annotated[Rows[Cut], MESSAGES]  # the multiplexer; width 0 = none
    group_first: Annotated[Ints32, GROUPS]
    group_count: Annotated[Ints32, GROUPS]
    cut: Annotated[Rows[Cut], SIGNALS]


@kernel
def find(p: Layout, frame: Frame) -> int:
    """Index of the frame's message, -1 when the layout has none (binary search)."""
    key = frame.id + (EXTENDED_KEY if frame.bits & EXTENDED else 0)
    low, high = 0, p.n_messages
    while low < high:
        middle = (low + high) >> 1
        if p.sorted_key[middle] < key:
            low = middle + 1
        else:
            high = middle
    if low < p.n_messages and p.sorted_key[low] == key:
        return int(p.order[low])
    return -1


@kernel
def group_of(p: Layout, message: int, frame: Frame) -> int:
    """Index of the multiplexed group the frame brings; NO_GROUP when there is none for it."""
    if p.groups[message] <= 1:
        return NO_GROUP
    cut = p.selector[message]
    value = bits.unpack(frame.payload, cut.start, cut.width, cut.big, cut.signed)
    if value < 0 or value >= p.groups[message] - 1:
        return NO_GROUP
    return int(p.group0[message]) + 1 + value


@kernel
def raw_of(p: Layout, signal: int, frame: Frame) -> int:
    """Raw number of one listed signal."""
    cut = p.cut[signal]
    return bits.unpack(frame.payload, cut.start, cut.width, cut.big, cut.signed)


@kernel
def begin(p: Layout, message: int, frame: Frame) -> None:
    """Identifier, length and an all-zero payload."""
    frame.id = p.id[message]
    frame.bits = EXTENDED if p.extended[message] else 0
    frame.dlc = p.length[message]
    frame.payload[:] = 0


def fill_layout(record: Layout, messages: Sequence[Message]) -> list[tuple[int, Message, Signal]]:
    """Write the layout of ``messages`` into a view of one record; what was listed, as (message index, message, signal).

    Raises:
        InputError: two messages of one identifier, or more messages, groups or signals than fit.
    """
    keys = [m.id + (EXTENDED_KEY if m.extended else 0) for m in messages]
    if len(set(keys)) != len(keys):
        twice = next(m for i, m in enumerate(messages) if keys[i] in keys[:i])
        raise InputError(f"{twice.name}: identifier 0x{twice.id:X} stands twice")
    _fits("messages", len(messages), MESSAGES)
    record.n_messages = len(messages)
    order = sorted(range(len(messages)), key=lambda i: keys[i])
    for place, index in enumerate(order):
        record.order[place] = index
        record.sorted_key[place] = keys[index]
    listed: list[tuple[int, Message, Signal]] = []
    at_group = 0
    for index, message in enumerate(messages):
        groups = _groups(message)
        _fits("multiplexed groups", at_group + len(groups), GROUPS)
        record.id[index], record.extended[index] = message.id, int(message.extended)
        record.length[index] = message.length
        record.group0[index], record.groups[index] = at_group, len(groups)
        if message.selector is not None:
            _set_cut(record.selector[index], message.selector)
        for group in groups:
            record.group_first[at_group], record.group_count[at_group] = len(listed), len(group)
            at_group += 1
            _fits("signals", len(listed) + len(group), SIGNALS)
            for signal in group:
                _set_cut(record.cut[len(listed)], signal)
                listed.append((index, message, signal))
    record.n_signals = len(listed)
    return listed


def _groups(message: Message) -> list[list[Signal]]:
    groups = [[s for s in message.signals if not s.mux_values]]
    if message.selector is not None:
        greatest = max((max(s.mux_values) for s in message.signals if s.mux_values), default=-1)
        _fits(f"multiplexer values of {message.name}", greatest + 1, GROUPS)
        groups += [[s for s in message.signals if value in s.mux_values] for value in range(greatest + 1)]
    return groups


def _set_cut(cut: Cut, signal: Signal) -> None:
    cut.start, cut.width = signal.start, signal.length
    cut.big, cut.signed = int(signal.big), int(signal.signed)


def _fits(what: str, count: int, most: int) -> None:
    if count > most:
        raise InputError(f"{count} {what}, a plan holds {most}")
