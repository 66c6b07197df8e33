"""Whose fault it was is in the type: the author of a file, the bench, or us. Exit codes follow from it."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What a command tells the shell."""

    PASS = 0
    FAIL = 1
    BAD_INPUT = 2
    UNDECIDED = 3
    BENCH = 4
    INTERRUPTED = 130

    @staticmethod
    def combine(codes: Iterable[int]) -> "ExitCode":
        """The one code of many runs: 130 > 1 > 4 > 3 > 0; bad input aborts before anything, so it stands above all.

        Nothing run at all is UNDECIDED, never a pass. Raises ValueError for a number that is no exit code.
        """
        seen = {ExitCode(code) for code in codes}
        worst_first = (2, 130, 1, 4, 3, 0)
        return next((ExitCode(code) for code in worst_first if code in seen), ExitCode.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file or an argument: where, what, what was expected, what was found.

    ``path`` is empty when no file is known; ``line`` and ``column`` count from 1, 0 = unknown.
    """

    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    expected: str = ""
    found: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        """One line: ``file:line:column: what: expected ..., found ...; did you mean 'x'?``."""
        place = self.path
        if self.line:
            place = ":".join(part for part in (self.path, str(self.line), str(self.column or 1)) if part)
        facts = [f"expected {self.expected}"] if self.expected else []
        facts += [f"found {self.found}"] if self.found else []
        parts = [part for part in (place, self.message, ", ".join(facts)) if part]
        text = ": ".join(parts) + (f"; did you mean {self.nearest!r}?" if self.nearest else "")
        return " ".join(text.splitlines())


class CellbenchError(Exception):
    """Every error this project raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.BENCH


class InputError(CellbenchError, ValueError):
    """The author's fault: a file, an argument or a value is wrong. ``problems`` holds all of them, in file order.

    It is a ValueError too, so that a validator of a model may raise it and validation goes on to find the rest.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BAD_INPUT

    def __init__(self, problems: "str | Problem | Iterable[Problem]") -> None:
        """Take a plain sentence, one Problem, or all problems found."""
        if isinstance(problems, str):
            problems = Problem(problems)
        listed = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(listed)
        self.problems: tuple[Problem, ...] = listed

    def __str__(self) -> str:
        """All problems, one a line."""
        return "\n".join(str(problem) for problem in self.problems)


class BenchError(CellbenchError):
    """The bench could not do its job: an instrument, a link, a file system or a device failed."""

    exit_code: ClassVar[ExitCode] = ExitCode.BENCH


class InternalError(CellbenchError):
    """Our fault: a promise inside the program was broken. Ends like a bench error, for no verdict can be trusted."""

    exit_code: ClassVar[ExitCode] = ExitCode.BENCH


def printable(line: str) -> str:
    """The text as one line that steers no terminal and can be encoded."""
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else "?" for c in line)


@contextmanager
def about(what: str) -> Iterator[None]:
    """What is wrong inside is told as wrong with ``what``, an option or an argument as it was written."""
    try:
        yield
    except InputError as error:
        raise InputError(
            [replace(p, message=f"{what}: {p.message}" if p.message else what) for p in error.problems]
        ) from error


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, None when nothing is close.

    Letter case and ``-`` against ``_`` do not count as differences, so that ``Fail-Safe`` finds ``fail_safe``.
    """
    folded: dict[str, str] = {}
    for candidate in sorted(set(candidates)):
        folded.setdefault(_fold(candidate), candidate)
    match = difflib.get_close_matches(_fold(name), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None


def _fold(name: str) -> str:
    return name[:80].casefold().replace("-", "_")
