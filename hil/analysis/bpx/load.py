"""Reads a BPX file: JSON, then our own grammar for its functions, then the ``bpx`` package's schema, then the cell."""

import copy
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hil.analysis.bpx.functions import function_of
from hil.analysis.bpx.parameters import Parameters, parameters_of
from hil.errors import InputError, Problem

DEEPEST = 16  # levels of objects and lists; BPX needs half of them
LARGEST = 32 << 20  # bytes
INSTALL = "pip install 'cellbench[reference]'"


def load_bpx(path: Path) -> Parameters:
    """The cell of a BPX file, of version 1 or older. Needs the package ``bpx``.

    Raises InputError: no file, no JSON, a quantity that is missing or wrong (all of them, with file and field), or the
    package is not installed.
    """
    text = _text(path)
    document = parse_document(text, path)
    current, notes = _validated(document, text, path)
    return parameters_of(current, path, notes)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(Problem("the file is too large for BPX", str(path), expected=f"at most {LARGEST} bytes"))
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read the BPX file: {error}", str(path))) from error


def parse_document(text: str, path: Path) -> dict[str, Any]:
    """The JSON object of a BPX file whose every function is one of the grammar; pure, needs no package.

    Raises InputError with file, and line where it is known.
    """
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"no JSON: {error.msg}", str(path), error.lineno, error.colno)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(f"no BPX: {error}", str(path))) from error
    if not isinstance(document, dict) or not isinstance(document.get("Parameterisation"), dict):
        expected = 'an object with "Header" and "Parameterisation"'
        raise InputError(Problem("no BPX file", str(path), expected=expected, found=type(document).__name__))
    if _deeper(document, DEEPEST):
        raise InputError(Problem("no BPX file", str(path), expected=f"at most {DEEPEST} levels", found="more"))
    problems = [
        _placed(problem, keys, text, path) for keys, problem in _bad_functions(document["Parameterisation"], ())
    ]
    if problems:
        raise InputError(problems)
    return document


def _deeper(document: Any, levels: int) -> bool:
    """Whether a document has more than so many levels."""
    at: list[Any] = [document]
    for _ in range(levels):
        nested = [v.values() if isinstance(v, dict) else v for v in at]
        at = [inner for group in nested for inner in group if isinstance(inner, dict | list)]
        if not at:
            return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"{key!r} stands twice in one object")
        made[key] = value
    return made


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _bad_functions(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Problem]]:
    """Every text below ``value`` that is no expression of x; a description is no function."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).lower() != "description":
                yield from _bad_functions(inner, (*keys, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from _bad_functions(inner, keys)
    elif isinstance(value, str):
        try:
            function_of(value, " > ".join(keys))
        except InputError as error:
            yield keys, error.problems[0]


def _placed(problem: Problem, keys: tuple[str, ...], text: str, path: Path) -> Problem:
    """The problem with file and line: the keys are looked for one after another.

    The package names a key below "Parameterisation" without it.
    """
    outside = bool(keys) and keys[0] in ("Header", "State", "Validation")
    at = 0 if outside else max(0, text.find('"Parameterisation"'))
    for key in keys:
        found = text.find(json.dumps(key, ensure_ascii=False), at)
        at = found if found >= 0 else at
    line = text.count("\n", 0, at) + 1 if at else 0
    return Problem(problem.message, str(path), line, 0, problem.expected, problem.found, problem.nearest)


def _validated(document: dict[str, Any], text: str, path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The document in the form of BPX 1 as the package ``bpx`` sees it, and what the package had to say."""
    bpx = require_bpx()
    from pydantic import ValidationError

    told: list[warnings.WarningMessage]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            model = bpx.parse_bpx_obj(copy.deepcopy(document))  # the package changes what it is given
        except ValidationError as error:
            raise InputError(_problems(error.errors(include_url=False), document, text, path)) from error
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise InputError(Problem(f"refused by the package bpx: {error}", str(path))) from error
        except bpx.ExpressionParser.ParseException as error:
            raise InputError(Problem(f"refused by the package bpx: {error}", str(path))) from error
    current = model.model_dump(by_alias=True, exclude_none=True)
    notes = [" ".join(str(w.message).split()) for w in told if issubclass(w.category, UserWarning)]
    notes = ["a file of BPX 0.x, converted by the package bpx" if "legacy" in note else note for note in notes]
    return _plain(current), tuple(dict.fromkeys(notes))


def require_bpx() -> Any:
    """The package ``bpx``. Raises InputError with the command that installs it when it is not there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the package itself imports
            import bpx
    except ImportError as error:
        raise InputError(Problem(f"BPX needs the package bpx: {INSTALL}", found=str(error))) from error
    return bpx


def _problems(errors: list[Any], document: Mapping[str, Any], text: str, path: Path) -> list[Problem]:
    """One Problem a field; what pydantic says of each branch of a union is joined."""
    by_field: dict[tuple[str, ...], list[Any]] = {}
    for error in errors:
        by_field.setdefault(_field(error["loc"], document), []).append(error)
    made = []
    for keys, group in by_field.items():
        what = "; ".join(dict.fromkeys(e["msg"].removeprefix("Value error, ") for e in group))
        missing = all(e["type"] == "missing" for e in group)
        found = "" if missing else repr(group[0]["input"])[:60]
        plain = Problem(" > ".join(keys) or "BPX", expected="" if not missing else "a value", found=found or "nothing")
        plain = plain if missing else Problem(f"{plain.message}: {what}", found=plain.found)
        made.append(_placed(plain, keys, text, path))
    return made


def _field(loc: tuple[Any, ...], document: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of a field without the names that pydantic gives to the branches of a union."""
    known = set(_keys(document))
    last_is_new = bool(loc) and str(loc[-1]).endswith("]")
    return tuple(
        str(k) for n, k in enumerate(loc) if str(k) in known or (n == len(loc) - 1 and (last_is_new or " " in str(k)))
    ) or tuple(str(k) for k in loc)


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)


def _plain(value: Any) -> Any:
    """Mappings, lists, numbers and plain text only: the package's own kinds of text stay behind."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, str) else value
