"""The ports: when (Clock), what is wired (Bench, Dut), where it is recorded (Sink). Everything concrete hides behind these."""

from typing import Protocol

from hil.kernel import Floats, Rows
from hil.tick import DutLink, Link


class Clock(Protocol):
    """When a tick happens."""

    def start(self) -> None:
        """Fix the instant of tick 0."""

    def wait(self, t_ns: int) -> int:
        """Return at nominal time ``t_ns`` of the run; the result is the lateness in ns, 0 in virtual time."""


class Bench(Protocol):
    """What is wired: exactly one read and one write per tick."""

    def open(self) -> None:
        """Claim and check everything; nothing energised yet. Raises BenchError."""

    def read(self, t_ns: int, link: Rows[Link]) -> None:
        """Fill ``rx``, ``instruments``, ``coils``, ``poles`` and ``bleed`` in place with what happened up to ``t_ns``."""

    def write(self, t_ns: int, link: Rows[Link]) -> None:
        """Apply ``pins`` and send ``tx``."""

    def make_safe(self) -> None:
        """Bring all outputs into their safe state. Idempotent, never raises, runs on every exit path."""

    def identity(self) -> dict[str, str]:
        """What is plugged in: hardware, software and calibration versions as text."""


class Sink(Protocol):
    """Where a run is recorded."""

    def put(self, t_ns: int, row: Floats, links: Rows[Link]) -> None:
        """Take one finished tick; the arguments are only valid during the call."""

    def event(self, t_ns: int, kind: str, text: str) -> None:
        """Take one event (step started, fault active, verdict decided, limiter acted ...)."""

    def close(self) -> None:
        """Write what is pending and finish the record."""


class Dut(Protocol):
    """A device under test at any level, stepped by the bench in the bench's time."""

    def reset(self, nvm: bytes) -> None:
        """Power on with this non-volatile image (empty = factory new)."""

    def step(self, t_ns: int, dt_ns: int, port: Rows[DutLink]) -> None:
        """Run one task activation at ``t_ns``: read ``rx`` and ``wires_in``, fill ``tx`` and ``wires_out``."""

    def nvm(self) -> bytes:
        """The non-volatile image as it stands."""

    def identity(self) -> dict[str, str]:
        """Hardware, software and calibration version, level."""
