"""Loading a scenario: the file, what it stands on (pack, limits, profiles), and its cases; all errors at once."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.files import Document, KeyPath, load_model, resolve
from hil.files.limits import BmsLimits, load_limits
from hil.files.pack import PackModel, load_pack
from hil.image import Table, table
from hil.scenario.cases import Case, expand, unused
from hil.scenario.schema import Play, Scenario

NEED = re.compile(r"^\s*(>=|<=|==|>|<)\s*(\d+)\s*$")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario with everything it stands on. ``profiles`` holds the samples of each CSV file by its path."""

    path: Path
    model: Scenario
    document: Document
    pack: PackModel
    pack_path: Path
    limits: BmsLimits
    limits_path: Path
    table: Table
    cases: list[Case]
    profiles: dict[Path, NDArray[np.float64]]


class Collector:
    """Collects problems so that all errors of a file are told at once."""

    def __init__(self) -> None:
        """Nothing wrong yet."""
        self.problems: list[Problem] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Take an InputError raised inside and go on."""
        try:
            yield
        except InputError as error:
            self.problems += [p for p in error.problems if p not in self.problems]

    def raise_if_any(self) -> None:
        """Raise all problems, in file order."""
        if self.problems:
            raise InputError(sorted(self.problems, key=lambda p: (p.path, p.line, p.column)))


def load(path: Path) -> Loaded:
    """Load and check one scenario file.

    Raises:
        InputError: every problem found, each with file:line:column.
    """
    model, document = load_model(path, Scenario)
    errors = Collector()
    pack_path = limits_path = path
    pack: PackModel | None = None
    limits: BmsLimits | None = None
    with errors.collecting():
        pack_path = resolve(document, ("pack",), model.pack)
        pack = load_pack(pack_path)
    with errors.collecting():
        limits_path = resolve(document, ("bms",), model.bms)
        limits = load_limits(limits_path)
    profiles: dict[Path, NDArray[np.float64]] = {}
    for index, step in enumerate(model.steps):
        if isinstance(step.current, Play):
            with errors.collecting():
                profile = resolve(document, ("steps", index, "current", "play"), step.current.play)
                profiles[profile] = read_profile(profile)
    errors.problems += unused(model, document)
    if not any(e.when for e in model.expect) and not any(s.mark is None for s in model.steps):
        errors.problems.append(document.problem((), "nothing happens", expected="a 'when' or a step that acts"))
    errors.raise_if_any()
    assert pack is not None
    assert limits is not None
    _check_needs(model, document, pack.series)
    made = table(pack.series, pack.temperature_sensors.count)
    cases = expand(model, pack.series, document)
    return Loaded(path, model, document, pack, pack_path, limits, limits_path, made, cases, profiles)


def _check_needs(model: Scenario, document: Document, cells: int) -> None:
    if model.needs.cells is None:
        return
    matched = NEED.match(model.needs.cells)
    at: KeyPath = ("needs", "cells")
    if matched is None:
        raise InputError(document.problem(at, "number of cells", expected="such as '>= 12'", found=model.needs.cells))
    compare: dict[str, Callable[[int, int], bool]] = {
        ">=": int.__ge__,
        "<=": int.__le__,
        "==": int.__eq__,
        ">": int.__gt__,
        "<": int.__lt__,
    }
    if not compare[matched[1]](cells, int(matched[2])):
        raise InputError(
            document.problem(at, "the pack does not meet this need", expected=matched[0], found=f"{cells} cells")
        )


def read_profile(path: Path) -> NDArray[np.float64]:
    """One value a line; lines that begin with # are notes.

    Raises:
        InputError: unreadable, empty, or a line that is no finite number, with its place.
    """
    values: list[float] = []
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read the profile: {error}", str(path))) from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            value = float(line)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise InputError(Problem("profile value", str(path), number, 1, "one number a line", repr(line[:40])))
        values.append(value)
    if not values:
        raise InputError(Problem("the profile is empty", str(path), expected="one number a line"))
    return np.array(values)
