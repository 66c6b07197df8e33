"""The nouns of mutation: what is mutated and by whom it is judged, one mutant, what became of it."""

import difflib
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

MODULE_LEVEL = "<module>"
"""The function of what stands outside all functions."""


class Status(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNREACHED = "unreached"  # survived, for no judge executes the statement
    EQUIVALENT = "equivalent"  # declared so, and no judge noticed: not counted
    WRONGLY_DECLARED = "declared equivalent, but killed"
    TIMED_OUT = "timed out"  # by the wall clock: says nothing about the judges


@dataclass(frozen=True, slots=True)
class Target:
    """What is mutated, and who judges. Only names and texts, so that a worker can be given it.

    Give either ``judges`` (``module:NAME`` of a tuple of callables that take the copies, cheapest first) or ``tests``
    (arguments of pytest, cheapest first, run on a copy of the source tree). ``paths`` are folders below ``root`` that
    the judges are imported from, ``tree`` what of ``root`` the test suite needs. ``also`` names modules that are
    copied with the mutated ones, not mutated themselves. ``compiled``: kernels that are not copied run compiled, which
    pays where judges run whole scenarios. ``left_out`` maps ``module:function`` patterns (as of
    ``fnmatch``) to the reason why they are not mutated. ``least_pct`` is the kill score asked for.
    """

    name: str
    title: str
    root: str
    modules: tuple[str, ...]
    judges: str = ""
    tests: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    tree: tuple[str, ...] = ("hil", "tests", "tools", "dbc", "scenarios", "pyproject.toml")
    compiled: bool = False
    left_out: dict[str, str] = field(default_factory=dict)
    equivalents: str = ""
    least_pct: float = 95.0

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Target":
        """The target that ``to_dict`` gave, after JSON has made lists of its tuples."""
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Target(**made)

    def within(self, place: str) -> Path:
        """A path below the root."""
        return Path(self.root) / place


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: bytes ``start`` to ``end`` of the module's UTF-8 source become ``mutated``.

    ``line`` and ``column`` count from 1; ``statement`` is the line of the innermost statement of a function around
    it, 0 at module level; ``text`` is that statement's first line.
    """

    module: str
    function: str
    line: int
    column: int
    operator: str
    number: int
    original: str
    mutated: str
    start: int
    end: int
    statement: int
    text: str

    @property
    def id(self) -> str:
        """``module:function:line:column:operator:number``, stable as long as the source is."""
        return f"{self.module}:{self.function}:{self.line}:{self.column}:{self.operator}:{self.number}"

    def applied(self, source: str) -> str:
        """The module's source with this one change."""
        content = source.encode()
        return (content[: self.start] + self.mutated.encode() + content[self.end :]).decode()

    def diff(self, source: str) -> str:
        """The change as a unified diff without context."""
        path = self.module.replace(".", "/") + ".py"
        lines = difflib.unified_diff(
            source.splitlines(), self.applied(source).splitlines(), f"a/{path}", f"b/{path}", lineterm="", n=0
        )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a mutant: ``by`` names the judge that noticed, ``why`` is the first line of what it said."""

    mutant: Mutant
    status: Status
    by: str = ""
    why: str = ""
