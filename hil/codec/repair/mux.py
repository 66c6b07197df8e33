"""Which multiplexer brings which signal, from the marks of the SG_ statements and the SG_MUL_VAL_ statements."""

from collections.abc import Iterable

from hil.codec.repair.messages import MessageText, SignalText
from hil.codec.repair.scan import Notes
from hil.codec.repair.tables import Tables, merged

Explicit = dict[str, tuple[int, SignalText, list[tuple[int, int]]]]  # signal -> offset, its multiplexer, ranges


def resolve(messages: Iterable[MessageText], tables: Tables, notes: Notes) -> None:
    """Fill ``selector``, ``mux_signal`` and ``mux_ranges`` of every signal; whatever does not fit is noted.

    One multiplexer in a message: it brings every marked signal. Several: SG_MUL_VAL_ says which; where it does not, the
    only plain ``M`` does. A signal whose multiplexer cannot be told is always there: better seen than lost.
    """
    listed: dict[str, Explicit] = {}
    for statement, message, signal, parent_name, ranges in tables.ranges:
        parent = message.declared.get(parent_name)
        if parent is None or parent is signal:
            what = f"{message.name}.{signal.name}: its multiplexer does not exist; SG_MUL_VAL_ left out"
            notes.add(statement.at, what, found=parent_name)
            continue
        told = listed.setdefault(message.name, {})
        if signal.name in told and told[signal.name][1] is not parent:
            notes.add(statement.at, f"{message.name}.{signal.name}: a second multiplexer; left out", found=parent.name)
            continue
        told.setdefault(signal.name, (statement.at, parent, []))[2].extend(ranges)
    for message in messages:
        _message(message, listed.get(message.name, {}), notes)


def _message(message: MessageText, explicit: Explicit, notes: Notes) -> None:
    for signal in message.signals.values():
        signal.selector = signal.mark.endswith("M")
    selectors = [s for s in message.signals.values() if s.selector]
    roots = [s for s in selectors if s.mark == "M"]
    only = selectors[0] if len(selectors) == 1 else None
    for signal in message.signals.values():
        path = f"{message.name}.{signal.name}"
        if not signal.mark:
            if signal.name in explicit:
                notes.add(
                    explicit[signal.name][0], f"{path}: SG_MUL_VAL_ of a signal without a mark; it is always there"
                )
            continue
        own = [] if signal.mark == "M" else [(int(signal.mark[1:].rstrip("M")),) * 2]
        if signal.name in explicit and signal is not only:
            at, parent, ranges = explicit[signal.name]
            if not parent.selector:
                notes.add(at, f"{path}: {parent.name} is not marked as a multiplexer; taken as one")
                parent.selector = True
            ranges = ranges + own if parent is only else ranges
            signal.mux_signal, signal.mux_ranges = parent.name, merged([(a, b) for a, b in ranges])
        elif own and signal is not only:
            parent_or_none = only or (roots[0] if len(roots) == 1 else None)
            if parent_or_none is None:
                notes.add(signal.at, f"{path}: which multiplexer brings it is not said; it is always there")
                continue
            if only is None:
                notes.add(signal.at, f"{path}: no SG_MUL_VAL_ says which multiplexer; {parent_or_none.name} is taken")
            signal.mux_signal, signal.mux_ranges = parent_or_none.name, ((own[0][0], own[0][0]),)
    _break_loops(message, notes)


def _break_loops(message: MessageText, notes: Notes) -> None:
    for signal in message.signals.values():
        seen, at = {signal.name}, signal
        while at.mux_signal:
            at = message.signals[at.mux_signal]
            if at.name in seen:
                notes.add(at.at, f"{message.name}.{at.name}: multiplexers bring each other; it is always there")
                at.mux_signal, at.mux_ranges = "", ()
                break
            seen.add(at.name)
