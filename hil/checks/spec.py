"""What a check is before it is compiled: the text of its expressions and where they stand in a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hil.errors import InputError, Problem


class Where(NamedTuple):
    """A place in a file, line and column from 1; 0 = unknown."""

    path: str = ""
    line: int = 0
    column: int = 0


class Uncertainty(NamedTuple):
    """Half widths of a channel: of its value in the quantity's unit, of its time in seconds."""

    amount: float = 0.0
    time_s: float = 0.0


NOWHERE = Where()
NONE = Uncertainty()


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One entry of ``expect``. Exactly one of ``when``, ``never`` and ``always`` is set.

    * ``when`` / ``then`` / ``within`` / ``stays``: every rise of ``when`` asks for ``then`` within the time, and
      for ``then`` to hold for ``stays`` without a gap.
    * ``never`` / ``during`` (written ``never: X while Y``, or as two keys): X must not hold while Y holds.
    * ``always`` / ``share`` (written ``always`` and ``for: 95 %``): holds at every sample, or at that share
      of the known ones.

    ``each`` is ``""`` or ``"all"``: one instance per cell, wire or sensor, addressed as ``[each]``. ``where`` is the
    place of the entry, ``places`` the place of single texts by the names above. ``reported_only_ok`` marks an
    informational requirement, whose reaction may rest on ``reported.*`` alone.
    """

    id: str
    when: str = ""
    then: str = ""
    within: str = ""
    stays: str = ""
    never: str = ""
    during: str = ""
    always: str = ""
    share: str = ""
    each: str = ""
    reported_only_ok: bool = False
    where: Where = NOWHERE
    places: Mapping[str, Where] = field(default_factory=dict)

    def place(self, part: str) -> Where:
        """Where the text of that name stands, else where the entry stands."""
        return self.places.get(part, self.where)


@dataclass(frozen=True, slots=True)
class Source:
    """One expression text and its place; makes the errors that point into it."""

    text: str
    where: Where = NOWHERE

    def problem(
        self, at: int, message: str, *, expected: str = "", found: str = "", close: str | None = None
    ) -> InputError:
        """The error for what stands ``at`` characters into the text."""
        column = self.where.column + at if self.where.column else at + 1
        line = self.where.line or (0 if self.where.path else 1)
        return InputError(Problem(message, self.where.path, line, column, expected, found, close or ""))
