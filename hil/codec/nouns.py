"""A DBC as plain frozen dataclasses: all the rest of the codec needs, nothing of the library that read it."""

from dataclasses import dataclass
from pathlib import Path

from hil.errors import InputError, Problem, nearest


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. Physical value = raw * factor + offset; ``minimum``/``maximum`` are physical, None = not declared.

    ``start`` follows ``hil.codec.bits``. A float signal's raw number is its bit pattern. ``exact``: the factor is a
    whole number and multiplied as such. ``labels`` is the value table as (raw number, text).
    ``mux_signal`` is the name of the multiplexer that brings it, "" = it is always there; ``mux_ranges`` are that
    multiplexer's raw values, each pair inclusive. ``start_value`` is the raw number sent before anything else is known,
    ``inactive_value`` the one at which a signal sent while active is not.
    """

    name: str
    start: int
    length: int
    big: bool
    signed: bool
    is_float: bool
    factor: float
    offset: float
    exact: bool
    minimum: float | None
    maximum: float | None
    unit: str
    labels: tuple[tuple[int, str], ...]
    comment: str
    selector: bool
    mux_signal: str
    mux_ranges: tuple[tuple[int, int], ...]
    send_type: str
    start_value: float | None
    inactive_value: float | None = None

    def brought_by(self, value: int) -> bool:
        """True when this value of its multiplexer brings it."""
        return any(low <= value <= high for low, high in self.mux_ranges)

    @property
    def raw_range(self) -> tuple[int, int]:
        """Smallest and greatest raw number that fits."""
        if self.signed and not self.is_float:
            return -(1 << (self.length - 1)), (1 << (self.length - 1)) - 1
        return 0, (1 << self.length) - 1

    def positions(self) -> frozenset[int]:
        """The bits it covers, as 8 * byte + bit in byte."""
        if not self.big:
            return frozenset(range(self.start, self.start + self.length))
        first = (self.start >> 3) * 8 + 7 - (self.start & 7)  # counted from the top of byte 0
        return frozenset((n >> 3) * 8 + 7 - (n & 7) for n in range(first, first + self.length))


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``cycle_ns`` is None when it is not cyclic; each cycle brings ``frames_per_cycle`` frames.

    ``send_type`` is the file's word for when it is sent ("" = not said); ``fast_cycle_ns`` holds while a signal is active
    or for ``repetitions`` frames after an event; ``delay_ns`` is the least time between two frames, ``start_delay_ns``
    the time from the start to the first. A ``j1939`` message is known in logs by its parameter group, whatever its
    priority and addresses.
    """

    name: str
    id: int
    extended: bool
    fd: bool
    length: int
    senders: tuple[str, ...]
    cycle_ns: int | None
    frames_per_cycle: int
    on_change: bool
    send_type: str
    fast_cycle_ns: int | None
    repetitions: int
    delay_ns: int
    start_delay_ns: int
    comment: str
    signals: tuple[Signal, ...]
    j1939: bool = False

    def signal(self, name: str) -> Signal | None:
        """The signal of that name, or None."""
        return next((s for s in self.signals if s.name == name), None)

    @property
    def selectors(self) -> tuple[Signal, ...]:
        """Its multiplexers."""
        return tuple(s for s in self.signals if s.selector)


@dataclass(frozen=True, slots=True)
class Database:
    """One bus: ``bit_rate`` in bit/s, None when the file does not say; ``notes`` tell what had to be repaired."""

    path: Path
    bit_rate: int | None
    nodes: tuple[str, ...]
    messages: tuple[Message, ...]
    notes: tuple[Problem, ...] = ()

    def find(self, name: str) -> Message | None:
        """The message of that name, or None."""
        return next((m for m in self.messages if m.name == name), None)

    def message(self, name: str) -> Message:
        """The message of that name. Raises InputError with the nearest name."""
        found = self.find(name)
        if found is None:
            close = nearest(name, (m.name for m in self.messages)) or ""
            raise InputError(Problem(f"no message {name!r}", str(self.path), nearest=close))
        return found

    def pair(self, name: str) -> tuple[Message, Signal]:
        """The message and the signal that ``Message.Signal`` names. Raises InputError with the nearest name."""
        message = self.message(name.partition(".")[0])
        signal = message.signal(name.partition(".")[2])
        if signal is None:
            close = nearest(name, (f"{message.name}.{s.name}" for s in message.signals)) or ""
            raise InputError(Problem(f"no signal {name!r}", str(self.path), nearest=close))
        return message, signal
