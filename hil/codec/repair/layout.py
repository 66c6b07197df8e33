"""Signals against their frames and each other: whatever format they came from."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from hil.codec.nouns import Message, Signal
from hil.codec.plan import readable
from hil.codec.repair.names import unique
from hil.codec.repair.scan import short
from hil.errors import Problem
from hil.tick import PAYLOAD

Where = Callable[[str, str], tuple[int, int]]  # message and signal ("" = the message) -> line and column
_REPORTED = 200  # overlaps told of one message
_COMPARED = 1_000_000  # pairs looked at in one message: 1,400 signals, some seconds


def fit(messages: Iterable[Message], path: str, where: Where, notes: list[Problem]) -> tuple[Message, ...]:
    """The messages with every signal inside 64 bytes; signals outside are left out, what sticks out is noted."""
    out: list[Message] = []
    for message in messages:
        kept: list[Signal] = []
        for signal in message.signals:
            name = f"{message.name}.{signal.name}"
            found = f"start {signal.start}, {signal.length} bits"
            if not 1 <= signal.length <= 64 or signal.start < 0 or signal.start >= 8 * PAYLOAD:
                what = f"{name}: left out, no frame holds it"
                notes.append(Problem(what, path, *where(message.name, signal.name), "", found))
                continue
            reach = max(signal.positions()) // 8 + 1
            if reach > PAYLOAD:
                what = f"{name}: left out, no frame is that long"
                notes.append(Problem(what, path, *where(message.name, signal.name), "", found))
                continue
            if reach > message.length:
                what = f"{name}: lies outside its message of {message.length} bytes; read from frames of {reach} bytes"
                notes.append(Problem(what, path, *where(message.name, signal.name), "", found))
            kept.append(signal)
        kept = _brought(message, kept, path, where, notes)
        notes.extend(overlaps(message, kept, path, where))
        out.append(replace(message, signals=tuple(kept)))
    return tuple(out)


def _brought(message: Message, signals: list[Signal], path: str, where: Where, notes: list[Problem]) -> list[Signal]:
    """The signals, those whose multiplexer was left out always there; one that no frame can bring is noted."""
    by_name = {s.name: s for s in signals}
    out: list[Signal] = []
    for signal in signals:
        name, place = f"{message.name}.{signal.name}", where(message.name, signal.name)
        above = by_name.get(signal.mux_signal)
        if signal.mux_signal and above is None:
            notes.append(
                Problem(f"{name}: its multiplexer {signal.mux_signal} is left out; it is always there", path, *place)
            )
            signal = replace(signal, mux_signal="", mux_ranges=())
        elif above is not None and not readable(above, signal.mux_ranges):
            low, high = above.raw_range
            found = short(", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in signal.mux_ranges))
            what = f"{name}: no frame brings it, {above.name} never has that value"
            notes.append(Problem(what, path, *place, f"{low} to {high}", found))
        out.append(signal)
    return out


def overlaps(message: Message, signals: list[Signal], path: str, where: Where) -> list[Problem]:
    """Bits that two signals share which can be in the same frame: one Problem for each later signal."""
    out: list[Problem] = []
    masks = [sum(1 << p for p in s.positions()) for s in signals]
    left = _COMPARED
    order = sorted(range(len(signals)), key=lambda i: (where(message.name, signals[i].name), i))
    for rank, j in enumerate(order):
        for i in order[:rank]:
            shared = masks[i] & masks[j]
            if shared and together(message, signals[i], signals[j]):
                bit = (shared & -shared).bit_length() - 1
                place = where(message.name, signals[j].name)
                what = f"{message.name}.{signals[j].name}: overlaps {signals[i].name}"
                out.append(Problem(what, path, *place, "", f"bit {bit} in both"))
                break
        left -= rank
        if len(out) >= _REPORTED or left < 0:
            what = f"{message.name}: too many signals or overlaps; the rest is not compared"
            out.append(Problem(what, path, *where(message.name, "")))
            break
    return out


def together(message: Message, a: Signal, b: Signal) -> bool:
    """False when some multiplexer, theirs or one further up, brings only one of the two at a time."""
    ways = _way(message, a)
    for name, ranges in _way(message, b).items():
        if name in ways and not any(lo <= high and low <= hi for low, high in ways[name] for lo, hi in ranges):
            return False
    return True


def _way(message: Message, signal: Signal) -> dict[str, tuple[tuple[int, int], ...]]:
    out: dict[str, tuple[tuple[int, int], ...]] = {}
    while signal.mux_signal and signal.mux_signal not in out:
        out[signal.mux_signal] = signal.mux_ranges
        parent = message.signal(signal.mux_signal)
        if parent is None:
            break
        signal = parent
    return out


def once(messages: Iterable[Message], path: str, where: Where, notes: list[Problem]) -> tuple[Message, ...]:
    """The messages with every name used once: later ones become ``Name_2``, and multiplexers follow the first."""
    out: list[Message] = []
    names: set[str] = set()
    for message in messages:
        name = unique(message.name, names)
        names.add(name)
        taken: set[str] = set()
        signals: list[Signal] = []
        for signal in message.signals:
            new = unique(signal.name, taken)
            taken.add(new)
            if new != signal.name:
                what = f"{message.name}.{signal.name}: the name stands twice; this one is now {new}"
                notes.append(Problem(what, path, *where(message.name, signal.name)))
            signals.append(replace(signal, name=new))
        if name != message.name:
            what = f"{message.name}: the name stands twice; this one is now {name}"
            notes.append(Problem(what, path, *where(message.name, "")))
        out.append(replace(message, name=name, signals=tuple(signals)))
    return tuple(out)
