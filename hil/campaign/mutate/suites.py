"""Test modules as judges in process: copied with the code under test, so that their imports give the mutants.

Cheaper than a suite in processes of its own, and as sharp as the tests are. Taken are test functions that need no fixtures; each
case of ``parametrize`` is a judge.
"""

import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hil.campaign.mutate.loading import Copies
from hil.errors import InputError, Problem


def judges_of(*modules: str, without: frozenset[str] = frozenset()) -> tuple[Callable[[Copies], None], ...]:
    """A judge for every test of modules that the target names under ``also``, in the order of their text.

    ``without`` names tests that are too slow as plain Python. Raises InputError for one that is not there.
    """
    known = {name for module in modules for name in vars(importlib.import_module(module))}
    if without - known:
        raise InputError(Problem("no such test to go without", found=", ".join(sorted(without - known))))
    return tuple(
        _judge(module, name, number, arguments)
        for module in modules
        for name, test in vars(importlib.import_module(module)).items()
        if name.startswith("test_") and callable(test) and name not in without
        for number, arguments in enumerate(_cases(test))
        if set(inspect.signature(test).parameters) == set(arguments)  # no fixture is wanted
    )


def _judge(module: str, name: str, number: int, arguments: Mapping[str, Any]) -> Callable[[Copies], None]:
    def judge(copies: Copies) -> None:
        getattr(copies[module], name)(**arguments)

    judge.__name__ = f"{module}::{name}" + (f"[{number}]" if arguments else "")
    return judge


def _cases(test: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The arguments of every case, one empty set where a test has no ``parametrize``."""
    sets: list[list[dict[str, Any]]] = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            names, values = mark.args[:2]
            names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
            sets.append([dict(zip(names, _row(value, len(names)), strict=True)) for value in values])
    for chosen in itertools.product(*sets):
        yield {name: value for part in chosen for name, value in part.items()}


def _row(value: Any, width: int) -> tuple[Any, ...]:
    """The values of one case, bare or as ``pytest.param``."""
    inner = getattr(value, "values", value)
    if inner is not value and not callable(inner):
        return tuple(inner)
    return (value,) if width == 1 else tuple(value)
