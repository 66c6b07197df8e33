"""A DBC as plain frozen dataclasses: all the rest of the codec needs, nothing of the library that read it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.errors import InputError, Problem, nearest
from hil.tick import PAYLOAD


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. Physical value = raw * factor + offset; ``minimum``/``maximum`` are physical, None = not declared.

    ``start`` follows ``hil.codec.bits``. ``mux_values`` are the selector's values that bring it, empty = always.
    ``labels`` is the value table as (raw number, text).
    """

    name: str
    start: int
    length: int
    big: bool
    signed: bool
    factor: float
    offset: float
    minimum: float | None
    maximum: float | None
    unit: str
    labels: tuple[tuple[int, str], ...]
    comment: str
    selector: bool
    mux_values: tuple[int, ...]

    @property
    def raw_range(self) -> tuple[int, int]:
        """Smallest and greatest raw number that fits."""
        if self.signed:
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
    """One message. ``cycle_ns`` is None when it is not cyclic; each cycle brings ``frames_per_cycle`` frames."""

    name: str
    id: int
    extended: bool
    fd: bool
    length: int
    senders: tuple[str, ...]
    cycle_ns: int | None
    frames_per_cycle: int
    on_change: bool
    comment: str
    signals: tuple[Signal, ...]

    def signal(self, name: str) -> Signal | None:
        """The signal of that name, or None."""
        return next((s for s in self.signals if s.name == name), None)

    @property
    def selector(self) -> Signal | None:
        """The multiplexer, or None."""
        return next((s for s in self.signals if s.selector), None)


@dataclass(frozen=True, slots=True)
class Database:
    """One bus: ``bit_rate`` in bit/s, None when the file does not say."""

    path: Path
    bit_rate: int | None
    nodes: tuple[str, ...]
    messages: tuple[Message, ...]

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


def load(path: Path | str) -> Database:
    """Read a DBC file.

    Raises:
        InputError: no such file, not a DBC (with line and column where known), nested multiplexing, floating-point
            signals, a signal that lies outside its message. Overlaps and ranges are left to ``tools/dbc_lint.py``.
    """
    path = Path(path)
    read = _parse(path)
    problems: list[Problem] = []
    messages = tuple(_message(m, path, problems) for m in read.messages)
    if problems:
        raise InputError(problems)
    attributes = read.dbc.attributes if read.dbc is not None else {}
    rate = int(attributes["Baudrate"].value) if "Baudrate" in attributes else None
    return Database(path, rate, tuple(n.name for n in read.nodes), messages)


def _parse(path: Path) -> Any:
    import cantools  # a second to import; replay and the tick itself do not need it

    try:
        text = path.read_text(encoding="cp1252", errors="replace")
    except OSError as error:
        raise InputError(Problem("cannot read", str(path), found=error.strerror or type(error).__name__)) from None
    try:
        # not strict: its first overlap would hide all other problems; the lint tells them all, with their names
        return cantools.database.load_string(text, database_format="dbc", strict=False)
    except Exception as error:  # noqa: BLE001  # its parsers raise a dozen unrelated types on a broken file
        told = str(error)
        place = re.search(r"line (\d+), column (\d+)", told)
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
        message = "not a DBC file: " + (" ".join(told.split())[:200] or type(error).__name__)
        raise InputError(Problem(message, str(path), line, column)) from None


def _message(read: Any, path: Path, problems: list[Problem]) -> Message:
    attributes = read.dbc.attributes if read.dbc is not None else {}
    frames = int(attributes["FramesPerCycle"].value) if "FramesPerCycle" in attributes else 1
    signals = tuple(_signal(s, read.name, path, problems) for s in read.signals)
    last = 8 * min(read.length, PAYLOAD)
    if read.length > PAYLOAD:
        what = f"{read.name}: too long"
        problems.append(Problem(what, str(path), expected=f"at most {PAYLOAD} bytes", found=f"{read.length}"))
    for signal in signals:
        if not 1 <= signal.length <= 64 or max(signal.positions()) >= last or min(signal.positions()) < 0:
            what = f"{read.name}.{signal.name}: lies outside its message of {read.length} bytes"
            problems.append(Problem(what, str(path), found=f"start {signal.start}, {signal.length} bits"))
    cycle_ms = read.cycle_time or 0
    return Message(
        name=read.name,
        id=int(read.frame_id),
        extended=bool(read.is_extended_frame),
        fd=bool(read.is_fd),
        length=int(read.length),
        senders=tuple(read.senders),
        cycle_ns=int(cycle_ms) * 1_000_000 if cycle_ms > 0 else None,
        frames_per_cycle=frames,
        on_change="OnChange" in (read.send_type or ""),
        comment=read.comment or "",
        signals=signals,
    )


def _signal(read: Any, message: str, path: Path, problems: list[Problem]) -> Signal:
    name = f"{message}.{read.name}"
    if read.conversion.is_float:
        problems.append(Problem(f"{name}: floating-point signals are not handled", str(path), expected="an integer"))
    if read.is_multiplexer and read.multiplexer_ids:
        problems.append(Problem(f"{name}: nested multiplexing is not handled", str(path), expected="one selector"))
    return Signal(
        name=read.name,
        start=int(read.start),
        length=int(read.length),
        big=read.byte_order == "big_endian",
        signed=bool(read.is_signed),
        factor=float(read.conversion.scale),
        offset=float(read.conversion.offset),
        minimum=None if read.minimum is None else float(read.minimum),
        maximum=None if read.maximum is None else float(read.maximum),
        unit=read.unit or "",
        labels=tuple((int(k), str(v)) for k, v in sorted((read.choices or {}).items())),
        comment=read.comment or "",
        selector=bool(read.is_multiplexer),
        mux_values=tuple(sorted(read.multiplexer_ids or ())),
    )
