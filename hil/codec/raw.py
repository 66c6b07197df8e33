"""Frames <-> raw numbers in a flat vector, for nodes that think in raw numbers (the BMS, virtual nodes).

A node names the signals it wants and gives each a slot; the plan knows where the bits are. End-to-end protection is
left to the caller (``hil.codec.e2e``).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from hil.codec import bits, layout
from hil.codec.layout import NO_EDGE, REMOTE, Layout
from hil.codec.nouns import Database
from hil.errors import InputError
from hil.kernel import Ints, Ints32, Rows, kernel, view, zeros
from hil.tick import Frame


class RawPlan:
    """A layout and, per listed signal, its slot (-1 = none)."""

    layout: Layout
    slot: Annotated[Ints32, layout.SIGNALS]


def raw_plan(db: Database, names: Mapping[str, int], messages: Sequence[str]) -> Rows[RawPlan]:
    """Plan ``messages`` (their place in the sequence is their number) with ``{"BMS_State.State": slot}``.

    Raises:
        InputError: an unknown message or signal, a signal of a message not listed, a negative slot, too many.
    """
    made = zeros(RawPlan)
    record = view(made)
    for name, slot in names.items():
        message, _ = db.pair(name)
        if message.name not in messages:
            raise InputError(f"{name}: its message is not in the plan ({', '.join(messages)})")
        if slot < 0:
            raise InputError(f"{name}: slot {slot} is negative")
    record.slot[:] = -1
    for index, (_, message, signal) in enumerate(layout.fill_layout(record.layout, [db.message(m) for m in messages])):
        record.slot[index] = names.get(f"{message.name}.{signal.name}", -1)
    return made


@kernel
def _encode_group(plan: RawPlan, group: int, slots: Ints, frame: Frame) -> None:
    first = plan.layout.group_first[group]
    for signal in range(first, first + plan.layout.group_count[group]):
        slot = plan.slot[signal]
        if slot >= 0:
            cut = plan.layout.cut[signal]
            bits.pack(frame.payload, cut.start, cut.width, cut.big, slots[slot])


@kernel
def encode(plan: RawPlan, message: int, slots: Ints, frame: Frame) -> None:
    """Fill identifier, length and payload of message number ``message``; signals without a slot stay 0.

    Of a multiplexed message the groups go out that the multiplexers' slots name. Time and source are the caller's.
    """
    layout.begin(plan.layout, message, frame)
    _encode_group(plan, plan.layout.group0[message], slots, frame)
    for mux in range(plan.layout.mux0[message], plan.layout.mux0[message + 1]):
        edge = layout.edge_of(plan.layout, mux, frame)
        if edge != NO_EDGE:
            for k in range(plan.layout.branch_first[edge], plan.layout.branch_first[edge + 1]):
                _encode_group(plan, plan.layout.branch[k], slots, frame)


@kernel
def _decode_group(plan: RawPlan, group: int, frame: Frame, slots: Ints) -> None:
    first = plan.layout.group_first[group]
    for signal in range(first, first + plan.layout.group_count[group]):
        slot = plan.slot[signal]
        if slot >= 0 and plan.layout.reach[signal] <= frame.dlc:
            slots[slot] = layout.raw_of(plan.layout, signal, frame)


@kernel
def decode(plan: RawPlan, frame: Frame, slots: Ints) -> int:
    """Write the frame's signals into their slots; the message's number, -1 for none of the plan's or a short frame."""
    message = layout.find_received(plan.layout, frame)
    if message < 0 or frame.dlc < plan.layout.length[message] or frame.bits & REMOTE:
        return -1
    _decode_group(plan, plan.layout.group0[message], frame, slots)
    for mux in range(plan.layout.mux0[message], plan.layout.mux0[message + 1]):
        edge = layout.edge_of(plan.layout, mux, frame)
        if edge != NO_EDGE:
            for k in range(plan.layout.branch_first[edge], plan.layout.branch_first[edge + 1]):
                _decode_group(plan, plan.layout.branch[k], frame, slots)
    return message
