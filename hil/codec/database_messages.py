"""One message of the library made into the noun of ``hil.codec.nouns``."""

import math
from collections.abc import Mapping
from typing import Any

from hil.codec.nouns import Message, Signal
from hil.codec.repair.messages import MessageText
from hil.codec.repair.tables import merged

_FD_LENGTHS = frozenset({12, 16, 20, 24, 32, 48, 64})  # ISO 11898-1: the lengths above 8 that a frame can have


WIDEST = 1 << 64  # no raw number reaches it


def make_message(read: Any, info: MessageText | None) -> Message:
    """The noun of the library's message; ``info`` holds the multiplexing of a DBC, None: the library's own is taken."""
    attributes = _attributes(read)
    cycle_ms = _positive(read.cycle_time)
    send_type = _choice(attributes, "GenMsgSendType") or str(read.send_type or "")
    return Message(
        name=read.name,
        id=int(read.frame_id),
        extended=bool(read.is_extended_frame),
        fd=bool(read.is_fd) or _is_fd(read, attributes),
        length=min(int(read.length), 64),
        senders=tuple(read.senders),
        cycle_ns=_ns(cycle_ms) or None,
        frames_per_cycle=max(int(_positive(attributes.get("FramesPerCycle"))), 1),
        on_change="OnChange" in send_type,
        send_type=send_type,
        fast_cycle_ns=_ns(_positive(attributes.get("GenMsgCycleTimeFast"))) or None,
        repetitions=int(_positive(attributes.get("GenMsgNrOfRepetition"))),
        delay_ns=_ns(_positive(attributes.get("GenMsgDelayTime"))),
        start_delay_ns=_ns(_positive(attributes.get("GenMsgStartDelayTime"))),
        comment=read.comment or "",
        signals=tuple(_signal(s, info) for s in read.signals),
        j1939=bool(read.is_extended_frame) and _is_j1939(read, attributes),
    )


def _is_fd(read: Any, attributes: Mapping[str, Any]) -> bool:
    """A file without VFrameFormat cannot say that a frame is CAN FD; a length that only CAN FD has says it for it.

    Not for J1939, whose messages above 8 bytes go out in several frames.
    """
    return "VFrameFormat" not in attributes and not _is_j1939(read, attributes) and read.length in _FD_LENGTHS


def _is_j1939(read: Any, attributes: Mapping[str, Any]) -> bool:
    return read.protocol == "j1939" or "J1939" in str(attributes.get("ProtocolType", ""))


def _attributes(read: Any) -> dict[str, Any]:
    """Attribute values by name: those of the object, else the defaults of their definitions; of a DBC only."""
    if read.dbc is None:
        return {}
    definitions = read.dbc.attribute_definitions or {}
    out = {name: one.default_value for name, one in definitions.items() if one.default_value is not None}
    for name, one in (read.dbc.attributes or {}).items():
        out[name] = one.value
    choices = {name: one.choices for name, one in definitions.items() if one.choices}
    for name in out.keys() & choices.keys():
        if isinstance(out[name], int) and 0 <= out[name] < len(choices[name]):
            out[name] = choices[name][out[name]]
    return out


def _choice(attributes: Mapping[str, Any], name: str) -> str:
    return str(attributes.get(name, ""))


def _positive(value: Any) -> float:
    """A number above 0 that a time or a count can be, else 0."""
    good = isinstance(value, int | float) and math.isfinite(value) and 0 < value < 1e9
    return float(value) if good else 0.0


def _ns(ms: float) -> int:
    return round(ms * 1e6)


def _finite(value: Any) -> float | None:
    """The number, None when there is none or it is not finite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _signal(read: Any, info: MessageText | None) -> Signal:
    scale, offset = read.conversion.scale, read.conversion.offset
    is_float = bool(read.conversion.is_float)
    selector, mux_signal, mux_ranges = _multiplexed(read, info)
    attributes = _attributes(read)
    start_value = read.raw_initial if read.raw_initial is not None else attributes.get("GenSigStartValue")
    return Signal(
        name=read.name,
        start=int(read.start),
        length=int(read.length),
        big=read.byte_order == "big_endian",
        signed=bool(read.is_signed),
        is_float=is_float,
        factor=float(scale),
        offset=float(offset),
        # as the library chooses: a factor written 2 always, one written 2.0 only together with a whole offset
        exact=not is_float and float(scale).is_integer() and (isinstance(scale, int) or float(offset).is_integer()),
        minimum=_finite(read.minimum),
        maximum=_finite(read.maximum),
        unit=read.unit or "",
        labels=tuple((int(k), str(v)) for k, v in sorted((read.choices or {}).items()) if abs(k) < WIDEST),
        comment=read.comment or "",
        selector=selector,
        mux_signal=mux_signal,
        mux_ranges=mux_ranges,
        send_type=_choice(attributes, "GenSigSendType"),
        start_value=_finite(start_value),
        inactive_value=_finite(attributes.get("GenSigInactiveValue")),
    )


def _multiplexed(read: Any, info: MessageText | None) -> tuple[bool, str, tuple[tuple[int, int], ...]]:
    """Is it a multiplexer, which one brings it, for which of that one's values."""
    if info is not None:
        its = info.signals[read.name]
        return its.selector, its.mux_signal, its.mux_ranges
    if not read.multiplexer_signal or not read.multiplexer_ids:
        return bool(read.is_multiplexer), "", ()
    ranges = merged([(int(i), int(i)) for i in read.multiplexer_ids])
    return bool(read.is_multiplexer), read.multiplexer_signal, ranges
