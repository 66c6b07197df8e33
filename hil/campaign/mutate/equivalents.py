"""Mutants declared to behave like the original, each with the reason: one reviewed file for a target.

A declaration names the mutant by what is written there, not by its line, so that moved code does not lose it. One that fits no
mutant, or more than it says, is an error; and so is one whose mutant a judge kills after all.
"""

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hil.campaign.mutate.nouns import Mutant
from hil.campaign.mutate.operators import OPERATORS
from hil.errors import InputError, Problem, nearest
from hil.files import Document, KeyPath, Strict, load_model

LEAST_REASON = 20  # characters: "equivalent" alone is none


class Declared(Strict):
    """One declaration. ``statement`` is a part of the statement's first line, where the rest fits several mutants."""

    module: str
    function: str
    operator: str
    original: str
    mutated: str
    statement: str = ""
    count: Annotated[int, Field(ge=1)] = 1
    reason: Annotated[str, Field(min_length=LEAST_REASON)]

    def fits(self, mutant: Mutant) -> bool:
        """Whether it speaks of this mutant; layout and parentheses that mean nothing do not count."""
        return (
            (self.module, self.function, self.operator) == (mutant.module, mutant.function, mutant.operator)
            and _plain(self.original) == _plain(mutant.original)
            and _plain(self.mutated) == _plain(mutant.mutated)
            and self.statement in mutant.text
        )


class Equivalents(Strict):
    """The file."""

    equivalents: tuple[Declared, ...]


@cache
def _plain(text: str) -> str:
    """The code as Python writes it; what is no code stays as it is."""
    try:
        return ast.unparse(ast.parse(text.strip()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text


def load_equivalents(path: Path) -> tuple[Equivalents, Document]:
    """Read the file. Raises InputError with every problem in it."""
    return load_model(path, Equivalents)


def declared_in(path: Path, mutants: Sequence[Mutant]) -> Mapping[str, str]:
    """The reason of every mutant declared equivalent, by id.

    Raises InputError for each declaration that fits none of ``mutants``, or not as many as its ``count``, and for each
    mutant that two declarations speak of.
    """
    made, document = load_equivalents(path)
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for k, entry in enumerate(made.equivalents):
        fitting = [m for m in mutants if entry.fits(m)]
        at = ("equivalents", k)
        if len(fitting) != entry.count:
            problems.append(_unfit(entry, fitting, mutants, document, at))
        problems += [document.problem(at, f"declared twice: {m.id}") for m in fitting if m.id in found]
        found |= {m.id: entry.reason for m in fitting}
    if problems:
        raise InputError(problems)
    return found


def _unfit(
    entry: Declared, fitting: Sequence[Mutant], mutants: Sequence[Mutant], document: Document, at: KeyPath
) -> Problem:
    """What is wrong with a declaration that does not fit as many mutants as it says."""
    names = [o.name for o in OPERATORS]
    functions = {m.function for m in mutants if m.module == entry.module}
    hint = ""
    if entry.operator not in names:
        hint = nearest(entry.operator, names) or ""
    elif entry.function not in functions:
        hint = nearest(entry.function, functions) or ""
    return document.problem(
        at,
        f"{entry.original!r} to {entry.mutated!r} in {entry.module}:{entry.function}, operator {entry.operator}",
        expected=f"{entry.count} such mutant{'s' if entry.count > 1 else ''}",
        found=", ".join(m.id for m in fitting[:5]) or "none: out of date?",
        nearest=hint,
    )
