"""The plan of some messages (``hil.codec.plan``) as one record: the part that decoder, sender and raw plans share."""

from collections.abc import Sequence
from typing import Annotated

from hil.codec import bits
from hil.codec.nouns import Message, Signal
from hil.codec.plan import EXTENDED_KEY, Plan, compile_plan
from hil.errors import InputError
from hil.kernel import I32, I64, Ints, Ints32, Rows, kernel
from hil.tick import Frame, FrameBits

MESSAGES = 256
GROUPS = 2048
SIGNALS = 4096
MULTIPLEXERS = 128
EDGES = 2048
BRANCHES = 4096
EXTENDED = int(FrameBits.EXTENDED)
FD = int(FrameBits.FD)
REMOTE = int(FrameBits.REMOTE)
NO_EDGE = -1
PGN_KEY = 1 << 31  # tells a parameter group from an identifier


class Cut:
    """Place of one signal in a payload, as ``hil.codec.bits`` takes it."""

    start: I32
    width: I32
    big: I32
    signed: I32


class Multiplexer:
    """One multiplexer: where it lies, the payload bytes it needs, the group it is in, and its edges."""

    cut: Cut
    reach: I32
    group: I32
    edge_first: I32
    edge_count: I32


class Layout:
    """Messages, groups, multiplexers and signals; ``order`` sorts the messages by identifier key for the search."""

    n_messages: I64
    n_keys: I64
    has_j1939: I64
    n_groups: I64
    n_signals: I64
    sorted_key: Annotated[Ints, 2 * MESSAGES]  # identifiers, then parameter groups of J1939
    order: Annotated[Ints32, 2 * MESSAGES]
    id: Annotated[Ints32, MESSAGES]
    bits: Annotated[Ints32, MESSAGES]  # FrameBits of a frame of this message
    length: Annotated[Ints32, MESSAGES]  # bytes
    group0: Annotated[Ints32, MESSAGES + 1]  # the group that is always there; groups up to the next message's follow
    mux0: Annotated[Ints32, MESSAGES + 1]
    group_first: Annotated[Ints32, GROUPS]  # first signal
    group_count: Annotated[Ints32, GROUPS]
    group_mux: Annotated[Ints32, GROUPS]  # multiplexer that brings it, -1 = always there
    multiplexer: Annotated[Rows[Multiplexer], MULTIPLEXERS]
    edge_low: Annotated[Ints, EDGES]
    edge_high: Annotated[Ints, EDGES]
    branch_first: Annotated[Ints32, EDGES + 1]
    branch: Annotated[Ints32, BRANCHES]
    cut: Annotated[Rows[Cut], SIGNALS]
    reach: Annotated[Ints32, SIGNALS]  # payload bytes a signal needs


@kernel
def parameter_group(identifier: int) -> int:
    """Key of the parameter group (PGN) that a 29-bit identifier of SAE J1939 names, whoever sends it to whom."""
    group = (int(identifier) >> 8) & 0x3FFFF
    if (group >> 8) & 0xFF < 240:  # the low byte is the destination
        group &= 0x3FF00
    return group + PGN_KEY


@kernel
def _message_of(p: Layout, key: int) -> int:
    low, high = 0, p.n_keys
    while low < high:
        middle = (low + high) >> 1
        if p.sorted_key[middle] < key:
            low = middle + 1
        else:
            high = middle
    if low < p.n_keys and p.sorted_key[low] == key:
        return int(p.order[low])
    return -1


@kernel
def find(p: Layout, frame: Frame) -> int:
    """Index of the message with the frame's very identifier, -1 when the layout has none."""
    return _message_of(p, frame.id + (EXTENDED_KEY if frame.bits & EXTENDED else 0))


@kernel
def find_received(p: Layout, frame: Frame) -> int:
    """Index of the message a received frame is, -1 for none; one of J1939 by its parameter group, whoever sends it."""
    message = find(p, frame)
    if message < 0 and p.has_j1939 and frame.bits & EXTENDED:
        return _message_of(p, parameter_group(frame.id))
    return message


@kernel
def _read_edge(p: Layout, mux: int, frame: Frame) -> int:
    cut = p.multiplexer[mux].cut
    if frame.dlc < p.multiplexer[mux].reach:
        return NO_EDGE
    value = bits.unpack(frame.payload, cut.start, cut.width, cut.big, cut.signed)
    low = p.multiplexer[mux].edge_first
    end = low + p.multiplexer[mux].edge_count
    high = end
    while low < high:  # the first edge that ends at or after the value
        middle = (low + high) >> 1
        if p.edge_high[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < end and p.edge_low[low] <= value else NO_EDGE


@kernel
def edge_of(p: Layout, mux: int, frame: Frame) -> int:
    """Edge that the multiplexer reads in this frame; NO_EDGE when its value brings nothing or it is not there itself.

    What the edge brings are the groups ``branch[branch_first[edge]:branch_first[edge + 1]]``.
    """
    edge = _read_edge(p, mux, frame)
    group = p.multiplexer[mux].group
    while edge != NO_EDGE and p.group_mux[group] >= 0:
        above = p.group_mux[group]
        upper = _read_edge(p, above, frame)
        there = False
        if upper != NO_EDGE:
            for k in range(p.branch_first[upper], p.branch_first[upper + 1]):
                there = there or p.branch[k] == group
        if not there:
            return NO_EDGE
        group = p.multiplexer[above].group
    return edge


@kernel
def raw_of(p: Layout, signal: int, frame: Frame) -> int:
    """Raw number of one listed signal."""
    cut = p.cut[signal]
    return bits.unpack(frame.payload, cut.start, cut.width, cut.big, cut.signed)


@kernel
def begin(p: Layout, message: int, frame: Frame) -> None:
    """Identifier, length and an all-zero payload."""
    frame.id = p.id[message]
    frame.bits = p.bits[message]
    frame.dlc = p.length[message]
    frame.payload[:] = 0


def fill_layout(record: Layout, messages: Sequence[Message]) -> list[tuple[int, Message, Signal]]:
    """Write the layout of ``messages`` into a view of one record; what was listed, as (message index, message, signal).

    Raises:
        InputError: as ``hil.codec.plan.compile_plan``; two messages of one identifier; more of something than fits.
    """
    plan = compile_plan(messages)
    if len(plan.order) != len(messages):
        twice = next(m for i, m in enumerate(messages) if i not in plan.order)
        raise InputError(f"{twice.name}: identifier 0x{twice.id:X} stands twice")
    for what, count, most in (
        ("messages", len(messages), MESSAGES),
        ("multiplexed groups", len(plan.group_mux), GROUPS),
        ("signals", len(plan.listed), SIGNALS),
        ("multiplexers", len(plan.mux_signal), MULTIPLEXERS),
        ("multiplexer ranges", len(plan.edge_low), EDGES),
        ("multiplexer branches", len(plan.branch), BRANCHES),
    ):
        if count > most:
            raise InputError(f"{count} {what}, a plan holds {most}")
    record.n_messages, record.n_groups, record.n_signals = len(messages), len(plan.group_mux), len(plan.listed)
    _fill_messages(record, plan)
    record.group_first[: record.n_groups] = plan.signal0[:-1]
    record.group_count[: record.n_groups] = plan.signal0[1:] - plan.signal0[:-1]
    record.group_mux[: record.n_groups] = plan.group_mux
    for index, entry in enumerate(plan.listed):
        _set_cut(record.cut[index], entry.signal)
    record.reach[: record.n_signals] = plan.reach
    for index, signal in enumerate(plan.mux_signal):
        mux = record.multiplexer[index]
        _set_cut(mux.cut, plan.listed[signal].signal)
        mux.reach = plan.reach[signal]
        mux.group = plan.mux_group[index]
        mux.edge_first, mux.edge_count = plan.edge0[index], plan.edge0[index + 1] - plan.edge0[index]
    record.edge_low[: len(plan.edge_low)] = plan.edge_low
    record.edge_high[: len(plan.edge_high)] = plan.edge_high
    record.branch_first[: len(plan.branch0)] = plan.branch0
    record.branch[: len(plan.branch)] = plan.branch
    return [(entry.message, plan.messages[entry.message], entry.signal) for entry in plan.listed]


def _fill_messages(record: Layout, plan: Plan) -> None:
    n = len(plan.messages)
    keys = dict(zip(plan.sorted_key.tolist(), plan.order.tolist(), strict=True))
    record.has_j1939 = int(any(m.j1939 for m in plan.messages))
    for index, message in enumerate(plan.messages):
        if message.j1939:
            keys.setdefault(int(parameter_group(message.id)), index)
    record.n_keys = len(keys)
    for place, (key, index) in enumerate(sorted(keys.items())):
        record.sorted_key[place], record.order[place] = key, index
    record.group0[: n + 1], record.mux0[: n + 1] = plan.group0, plan.mux0
    for index, message in enumerate(plan.messages):
        record.id[index], record.length[index] = message.id, message.length
        record.bits[index] = (EXTENDED if message.extended else 0) | (FD if message.fd else 0)


def _set_cut(cut: Cut, signal: Signal) -> None:
    cut.start, cut.width = signal.start, signal.length
    cut.big, cut.signed = int(signal.big), int(signal.signed and not signal.is_float)
