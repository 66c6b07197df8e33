"""What the player needs from the outside: somewhere to send, something to wait with, someone to ask."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Protocol

from hil.logs.trace import Int64, Trace
from hil.tick import FrameBits

KEY_EXTENDED = 1 << 31  # in a key: 29-bit identifier


def key_of(identifier: int, extended: bool) -> int:
    """One number for an identifier and its kind, as ``Target.heard`` holds it."""
    return identifier | KEY_EXTENDED if extended else identifier


def keys_of(trace: Trace) -> list[int]:
    """``key_of`` of every frame."""
    extended = (trace.bits & int(FrameBits.EXTENDED)) != 0
    keys: list[int] = (trace.id.astype("int64") + extended * KEY_EXTENDED).tolist()
    return keys


class ReaderGone(OSError):
    """Whoever read what is sent has gone away; nothing that is sent from now on reaches anyone."""


class Target(Protocol):
    """Where frames go.

    ``prepare`` is called ahead of time, ``send`` in the moment: all that can be done before is done in ``prepare``.
    """

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[Any]:
        """One thing to send for each frame; ``due_ns`` counts from the start of the replay."""

    def send(self, item: Any) -> None:
        """Hand one over.

        Raises:
            BlockingIOError: no room now; trying again may help. Nothing was sent.
            ReaderGone: the receiver wants no more; the replay is over.
            OSError: it cannot be sent.
        """

    def flush(self) -> None:
        """Return when all that was handed over is on its way."""

    def heard(self) -> AbstractSet[int]:
        """Keys (``key_of``) of the identifiers others have sent; the set itself grows while frames come in."""

    @property
    def deaf(self) -> str:
        """Why others are not heard any more; empty while they are."""

    def close(self) -> None:
        """Finish and let go. Raises OSError when what was sent could not be kept."""


class Pacer(Protocol):
    """The time of a replay, in ns from its start."""

    def restart(self, at_ns: int) -> None:
        """It is ``at_ns`` now."""

    def now_ns(self) -> int:
        """The time."""

    def sleep_until(self, t_ns: int) -> None:
        """Return at ``t_ns`` or, when that has passed, at once."""


class VirtualPacer:
    """Virtual time: it is always exactly as late as the last frame that was waited for."""

    def __init__(self) -> None:
        self._now_ns = 0

    def restart(self, at_ns: int) -> None:
        """It is ``at_ns`` now."""
        self._now_ns = at_ns

    def now_ns(self) -> int:
        """The time last waited for."""
        return self._now_ns

    def sleep_until(self, t_ns: int) -> None:
        """Be there."""
        self._now_ns = max(self._now_ns, t_ns)


class Answer(Enum):
    """What to do after a stop at a breakpoint or between two frames."""

    CONTINUE = "continue"
    STEP = "step"
    BACK = "back"
    QUIT = "quit"


class Controls(Protocol):
    """Who decides at a breakpoint."""

    def ask(self, where: str) -> Answer:
        """``where`` tells what stopped the replay and which frame comes next."""


class StopAtBreak:
    """Nobody to ask: a breakpoint ends the replay."""

    def ask(self, where: str) -> Answer:
        """Quit."""
        return Answer.QUIT
