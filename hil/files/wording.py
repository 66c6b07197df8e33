"""The words of a problem: what a validator's error means to the author of a file."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import ErrorDetails

from hil.errors import InputError, Problem, nearest
from hil.files.yaml12 import TYPE_NAMES, Document, KeyPath

_SHOWN_NAMES = 12


def at_text(at: KeyPath) -> str:
    """A path as people write it: ``steps[0].ramp.rate``; the root is ``the file``."""
    text = ""
    for step in at:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the file"


def problem_of(document: Document, at: KeyPath, error: ErrorDetails, names: Sequence[str]) -> list[Problem]:
    """The Problem of one error; one that raised InputError may hold several. ``names`` are the valid keys."""
    kind, context = error["type"], error.get("ctx", {})
    key, around = (str(at[-1]) if at else "", at_text(at[:-1]))
    if kind == "extra_forbidden":
        close = nearest(key, names) or ""
        allowed = "" if close or not names else f"one of {_listed(names)}"
        message = f"unknown key {key!r} in {around}"
        return [document.problem(at, message, on_key=True, expected=allowed, nearest=close)]
    if kind == "missing":
        return [document.problem(at[:-1], f"{around}: the key {key!r} is missing")]
    inner = context.get("error")
    if isinstance(inner, InputError):
        return [_placed(document, at, one) for one in inner.problems]
    if isinstance(inner, Exception):
        return [document.problem(at, f"{at_text(at)}: {inner}")]
    choices = _choices(error)
    found = _found(error["input"])
    close = (nearest(error["input"], choices) or "") if isinstance(error["input"], str) else ""
    return [document.problem(at, at_text(at), expected=_expected(error), found=found, nearest=close)]


def branch_problem(document: Document, at: KeyPath, errors: Sequence[ErrorDetails]) -> Problem:
    """One Problem for a union that nothing fits: all that it would have taken, each once."""
    wanted: dict[str, None] = {}
    choices: list[str] = []
    value = errors[0]["input"]
    for error in errors:
        inner = error.get("ctx", {}).get("error")
        said = [one.expected or one.message for one in inner.problems] if isinstance(inner, InputError) else []
        wanted.update(dict.fromkeys(said or [str(inner) if inner is not None else _expected(error)]))
        choices.extend(_choices(error))
    close = (nearest(value, choices) or "") if isinstance(value, str) else ""
    return document.problem(at, at_text(at), expected=" or ".join(wanted), found=_found(value), nearest=close)


def _placed(document: Document, at: KeyPath, problem: Problem) -> Problem:
    """A Problem raised without a place, at the value that was being validated."""
    if problem.line:
        return problem
    message = f"{at_text(at)}: {problem.message}" if problem.message else at_text(at)
    return document.problem(at, message, expected=problem.expected, found=problem.found, nearest=problem.nearest)


def _choices(error: ErrorDetails) -> list[str]:
    """The values an enum, a Literal or a tag would have taken, from the validator's ``'a', 'b' or 'c'``."""
    if error["type"] not in {"enum", "literal_error", "union_tag_invalid"}:
        return []
    context = error.get("ctx", {})
    text = str(context.get("expected_tags", context.get("expected", "")))
    return [part for part in text.replace("' or '", "', '").strip("'").split("', '") if part]


def _expected(error: ErrorDetails) -> str:
    """What the validator wanted, in the file's words."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "string_type":
        return "text"
    if kind in {"bool_type", "bool_parsing"}:
        return "true or false"
    if kind in {"int_type", "int_parsing", "int_from_float"}:
        return "a whole number"
    if kind in {"float_type", "float_parsing"}:
        return "a number"
    if kind in {"model_type", "dict_type", "model_attributes_type", "dataclass_type", "mapping_type"}:
        return "a mapping"
    if kind in {"list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type", "sequence_type"}:
        return "a list"
    if kind in {"enum", "literal_error", "union_tag_invalid"}:
        choices = _choices(error)
        return f"one of {_listed(choices)}" if len(choices) > 1 else repr(choices[0]) if choices else error["msg"]
    if kind in {"too_short", "too_long"}:
        bound, words = ("min_length", "at least") if kind == "too_short" else ("max_length", "at most")
        return f"{words} {context[bound]} items"
    return error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")


def _found(value: Any) -> str:
    """What stands in the file, short: scalars as they are, the rest by kind."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return f"{TYPE_NAMES[type(value)]} of {len(value)}" if value else f"{TYPE_NAMES[type(value)]}, empty"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
