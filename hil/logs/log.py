"""What reading a log gives: the frames, and an honest account of what could not be read."""

from dataclasses import dataclass, field

from hil.logs.trace import Trace


@dataclass(frozen=True, slots=True)
class Skip:
    """One stretch of the file that was not understood.

    ``where`` is ``line 12`` or ``byte 4096``; ``amount`` counts lines, bytes or objects as ``what`` says.
    """

    where: str
    what: str
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Log:
    """A log as read. ``skipped`` is empty when every line or object was understood.

    ``facts`` are what the file says of itself (recorder, start time, version), as text. ``unreadable`` counts all that was
    skipped, also where ``skipped`` keeps only the first ones.
    """

    format: str
    trace: Trace
    skipped: tuple[Skip, ...] = ()
    unreadable: int = 0
    facts: dict[str, str] = field(default_factory=dict)
