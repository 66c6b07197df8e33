"""Cases: a scenario with its parameters filled in, one run each, with a stable id."""

import itertools
import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from hil.errors import InputError, Problem, nearest
from hil.files import Document, KeyPath
from hil.scenario.schema import Each, Scenario

PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")
MOST_CASES = 100_000
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Case:
    """One run: its id (``cell=47`` or ``case``) and the value of every parameter as text."""

    id: str
    values: dict[str, str]


def expand(scenario: Scenario, cells: int, document: Document | None = None) -> list[Case]:
    """The product of all parameters, in file order; one case without any.

    Raises:
        InputError: more than ``MOST_CASES`` of them, with the place in ``document``.
    """
    names = list(scenario.params)
    lists: list[list[str]] = []
    for name in names:
        parameter = scenario.params[name]
        lists.append([str(i) for i in range(cells)] if isinstance(parameter, Each) else [str(v) for v in parameter])
    total = math.prod(len(one) for one in lists)
    if total > MOST_CASES:
        most = f"at most {MOST_CASES} in one file"
        found = f"{' * '.join(str(len(one)) for one in lists[:12])}{' * ...' if len(lists) > 12 else ''} cases"
        what = "too many combinations of parameters"
        if document is None:
            raise InputError(Problem(what, expected=most, found=found))
        raise InputError(document.problem(("params",), what, on_key=True, expected=most, found=found))
    cases = []
    for chosen in itertools.product(*lists):
        values = dict(zip(names, chosen, strict=True))
        text = ",".join(f"{n}={v}" for n, v in values.items()) or "case"
        cases.append(Case(re.sub(r"[^\w=.,+-]", "_", text), values))
    return cases


def fill(text: str, case: Case, document: Document, at: KeyPath) -> str:
    """``text`` with every ``$name`` replaced.

    Raises:
        InputError: the scenario has no such parameter.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in case.values:
            close = nearest(name, case.values) or ""
            raise InputError(
                document.problem(at, f"unknown parameter ${name}", expected="one of params", nearest=close)
            )
        return case.values[name]

    return PARAMETER.sub(value, text)


def unused(scenario: Scenario, document: Document) -> list[Any]:
    """Problems for parameters that no step and no expectation uses."""
    body = repr(scenario.steps) + repr(scenario.expect)
    used = set(PARAMETER.findall(body))
    return [
        document.problem(
            ("params", name), f"parameter {name} is never used", on_key=True, expected=f"${name} somewhere"
        )
        for name in scenario.params
        if name not in used
    ]
