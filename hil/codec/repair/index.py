"""What a statement about a message or signal refers to, found with tolerance."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hil.codec.repair.messages import MessageText, SignalText
from hil.codec.repair.names import EXTENDED, clean_name, integer
from hil.codec.repair.scan import Notes
from hil.errors import nearest


@dataclass(slots=True)
class Index:
    """The messages by the identifiers of the file; ``ignored`` are those left out, of which nobody need be told."""

    messages: Mapping[str, MessageText]
    ignored: set[int]
    nodes: frozenset[str]
    by_id: dict[int, list[MessageText]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for message in self.messages.values():
            self.by_id.setdefault(message.declared_id, []).append(message)

    def find(self, number: str, at: int, what: str, notes: Notes) -> list[MessageText]:
        """The messages of an identifier; none is noted. Bit 31 too much or too few is forgiven, and noted."""
        value = integer(number)
        if value in self.by_id:
            return self.by_id[value]
        if value is None or value in self.ignored:
            return []
        other = self.by_id.get(value ^ EXTENDED, [])
        if other:
            notes.add(at, f"{what}: bit 31 of the identifier is not that of {other[0].name}; taken as it", found=number)
        else:
            notes.add(at, f"{what} of a message that does not exist; left out", found=number)
        return other

    def pair(self, number: str, name: str, at: int, what: str, notes: Notes) -> tuple[MessageText, SignalText] | None:
        """The first signal of that name in the messages of that identifier; none is noted."""
        messages = self.find(number, at, what, notes)
        for message in messages:
            signal = message.declared.get(name) or message.signals.get(clean_name(name))
            if signal is not None:
                return message, signal
        if messages:
            full = f"{messages[0].name}.{name}"
            close = nearest(name, messages[0].signals) or ""
            notes.add(at, f"{what} of a signal that does not exist: {full}; left out", close=close)
        return None
