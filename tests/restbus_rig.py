"""A bus built from nouns, a sender on it, and what it should do: send types in plain Python, from docs/reference/restbus.md."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hil.codec import restbus
from hil.codec.mapping import E2e, Line, Quantities
from hil.codec.nouns import Database, Message, Signal
from hil.files.yaml12 import Document
from hil.image import Line as QuantityLine
from hil.image import Table, table
from hil.kernel import zeros
from hil.tick import COLUMNS, Frames

MS = 1_000_000
SIGNAL = Signal(
    name="S",
    start=0,
    length=8,
    big=False,
    signed=False,
    is_float=False,
    factor=1.0,
    offset=0.0,
    exact=True,
    minimum=None,
    maximum=None,
    unit="",
    labels=(),
    comment="",
    selector=False,
    mux_signal="",
    mux_ranges=(),
    send_type="",
    start_value=None,
)
MESSAGE = Message(
    name="M",
    id=0x100,
    extended=False,
    fd=False,
    length=8,
    senders=("Car",),
    cycle_ns=None,
    frames_per_cycle=1,
    on_change=False,
    send_type="",
    fast_cycle_ns=None,
    repetitions=0,
    delay_ns=0,
    start_delay_ns=0,
    comment="",
    signals=(),
)
CAR = restbus.Rules(senders=("Car",))


def signal(name: str = "S", **changes) -> Signal:
    return replace(SIGNAL, name=name, **changes)


def message(name: str = "M", *signals: Signal, cycle_ms: float | None = None, fast_ms: float | None = None, **changes):
    """A message of the car; its identifier follows from its name when none is given."""
    changes.setdefault("id", 0x100 + sum(name.encode()) % 0x600)
    times = {"cycle_ns": cycle_ms, "fast_cycle_ns": fast_ms}
    changes |= {key: round(ms * MS) for key, ms in times.items() if ms is not None}
    return replace(MESSAGE, name=name, signals=signals, **changes)


def image(count: int = 40, *more: str) -> Table:
    """A table of ``count`` columns ``command.x``, and of what else is named."""
    lines = [QuantityLine("command.x", "1", "", count), *(QuantityLine(name, "1", "") for name in more)]
    return table(1, 1, tuple(lines))


@dataclass
class Sender:
    """The code under test: ``sources`` maps "Message.Signal" to an element of ``command.x``."""

    messages: tuple[Message, ...]
    sources: dict[str, int] = field(default_factory=dict)
    rules: restbus.Rules = CAR
    tick_ns: int | None = None
    otherwise: int = 0
    more: tuple[str, ...] = ()
    protections: tuple = ()

    def __post_init__(self) -> None:
        self.db = Database(Path("car.dbc"), 500_000, ("Car", "Other"), self.messages)
        document = Document(Path("car.quantities.yaml"), {}, {})
        lines = []
        for name, index in self.sources.items():
            m, s = self.db.pair(name)
            lines.append(Line(m, s, "command.x", index, 1.0, 0.0, None, self.otherwise, ("transmit", name)))
        quantities = Quantities(None, document, (), (), tuple(lines), ())
        self.table = image(40, *self.more)
        e2e = E2e(None, self.protections)
        self.p = restbus.params(self.db, quantities, e2e, self.table, self.tick_ns, self.rules)
        self.s = zeros(restbus.RestbusState)
        self.row = np.full(COLUMNS, np.nan)
        self.row[:40] = 0.0

    def step(self, t_ms: float, values: dict[int, float] | None = None):
        """Frames of one tick as (message name, payload bytes)."""
        for index, value in (values or {}).items():
            self.row[index] = value
        tx = zeros(Frames)
        restbus.step(self.s[0], self.p[0], round(t_ms * MS), self.row, tx[0])
        names = {(m.id, m.extended): m.name for m in self.messages}
        sent = tx[0]["slot"][: tx[0]["n"]]
        return [(names[int(f["id"]), bool(f["bits"] & 1)], bytes(f["payload"][: f["dlc"]])) for f in sent]

    def sent_at(self, times_ms, values=None):
        """The instants, ms, at which something goes out; ``values`` maps instants to changes of the row."""
        return [t for t in times_ms if self.step(t, (values or {}).get(t))]

    def hear(self, *frames: tuple[int, int, int], t_ms: float = 0.0) -> None:
        """Frames from the bus as (id, bits, source)."""
        rx = zeros(Frames)
        for identifier, bits, source in frames:
            slot = rx[0]["slot"][rx[0]["n"]]
            slot["id"], slot["bits"], slot["source"], slot["t_ns"] = identifier, bits, source, round(t_ms * MS)
            rx[0]["n"] += 1
        restbus.hear(self.s[0], self.p[0], rx[0])


def raw_of(s: Signal, payload: bytes) -> int:
    """A little-endian unsigned signal, bit by bit."""
    assert not s.big and not s.signed
    return sum(((payload[n >> 3] >> (n & 7)) & 1) << (n - s.start) for n in range(s.start, s.start + s.length))


@dataclass(frozen=True)
class Word:
    """What a send type means, said once more: the oracle does not read the code's table."""

    cyclic: bool = False
    change: bool = False
    active: bool = False
    again: bool = False  # a change repeats
    after: bool = False  # repeats after the last active value


WORDS = {
    "Cyclic": Word(cyclic=True),
    "Spontaneous": Word(change=True),
    "IfActive": Word(active=True),
    "IfActiveWithRepetition": Word(active=True, after=True),
    "CyclicIfActiveFast": Word(cyclic=True, active=True),
    "CyclicAndSpontaneous": Word(cyclic=True, change=True),
    "SpontaneousWithRepetition": Word(change=True, again=True),
    "CyclicAndTriggered": Word(cyclic=True, change=True, again=True),
    "OnChange": Word(cyclic=True, change=True),
    "OnChangeAndIfActive": Word(change=True, active=True),
    "OnChangeAndIfActiveWithRepetition": Word(change=True, active=True, again=True, after=True),
}


class Oracle:
    """One message without multiplexer: send types by their description, one tick after the other, no arrays."""

    def __init__(self, m: Message, word: Word, start: dict[str, int]):
        self.m, self.word = m, word
        self.last = dict(start)
        self.inactive = {s.name: int(s.start_value or 0) for s in m.signals}
        self.next_plain = m.start_delay_ns
        self.next_fast = self.next_again = self.previous = None
        self.again_left = 0
        self.was_active = self.triggered = False
        self.period = m.cycle_ns if word.cyclic else None
        fast = m.fast_cycle_ns or m.cycle_ns
        self.fast = fast if word.active and not (self.period and fast >= self.period) else None
        self.gap = m.fast_cycle_ns or m.delay_ns or m.cycle_ns

    def step(self, t: int, now: dict[str, int]) -> bool:
        plain = self.period is not None and t >= self.next_plain
        while plain and self.next_plain <= t:
            self.next_plain += self.period
        changed = self.word.change and now != self.last
        active = self.word.active and now != self.inactive
        if active and not self.was_active:
            self.next_fast = t
        if self.was_active and not active and self.word.after:
            self.again_left, self.next_again = self.m.repetitions, t
        self.was_active = active
        in_fast = active and self.fast is not None
        fast_due = in_fast and t >= self.next_fast
        again_due = self.again_left > 0 and t >= self.next_again
        plain = plain and not in_fast
        clear = self.previous is None or t - self.previous >= self.m.delay_ns
        if not plain and not (clear and (changed or self.triggered or fast_due or again_due)):
            return False
        self.previous = t
        self.last = dict(now)
        while fast_due and self.next_fast <= t:
            self.next_fast += self.fast
        if again_due:
            self.again_left, self.next_again = self.again_left - 1, t + self.gap
        if self.word.again and (changed or self.triggered):
            self.again_left, self.next_again = self.m.repetitions, t + self.gap
        self.triggered = False
        return True
