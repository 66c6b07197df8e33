"""From a loaded document to a model: every error of the validator becomes a Problem with file, line and column.

Unions. The validator reports the errors of every branch. Only those of the branch the author most likely meant are
kept: first a branch whose shape fits (a mapping where a mapping stands), then the fewest unknown and missing keys,
then the fewest errors, then the order of declaration. Where no branch has the right shape, one Problem names what each
would have taken. A discriminated union (``Field(discriminator=...)``) leaves nothing to guess: prefer it for files.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, Tag, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

from hil.errors import InputError, Problem
from hil.files.wording import at_text, branch_problem, problem_of
from hil.files.yaml12 import Document, KeyPath, load_document, nearest_file

_MAX_ERRORS = 5000

M = TypeVar("M", bound=BaseModel)
_SCALARS = frozenset({"bool", "int", "float", "str"})
_NAMED = frozenset({"fields", "choices", "computed_fields", "arguments_schema"})
_OPAQUE = frozenset(
    {"metadata", "default", "default_factory", "serialization", "config", "expected", "ref", "schema_ref", "cls"}
)


def _make_scalars_strict(schema: Any) -> None:
    """Walk a core schema in place; nested models went through this on their own, a second time changes nothing."""
    if isinstance(schema, dict):
        if schema["type"] in _SCALARS:
            schema["strict"] = True
        for key, inner in schema.items():
            if key in _NAMED and isinstance(inner, dict):  # by the author's names, which may be "type" or "default"
                for named in inner.values():
                    _make_scalars_strict(named)
            elif key not in _OPAQUE and not (isinstance(inner, dict) and "type" not in inner):
                _make_scalars_strict(inner)
    elif isinstance(schema, list | tuple):
        for inner in schema:
            _make_scalars_strict(inner)


class Strict(BaseModel):
    """The base of every model of a file: frozen, unknown keys are errors, no scalar is converted into another.

    ``"5"`` is no number and ``"yes"`` no boolean; a whole number makes a float, a list a tuple, text an Enum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make the scalars strict, and only them: strict as a whole would also refuse a list for a tuple."""
        schema = handler(source)
        _make_scalars_strict(schema)
        return schema


def load_model(path: Path | str, model: type[M]) -> tuple[M, Document]:
    """Load a file and validate it. Raises InputError with every problem and its place."""
    document = load_document(path)
    return validate(document, model), document


def validate(document: Document, model: type[M]) -> M:
    """The model made from a document already loaded. Raises InputError with every problem, in file order."""
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        problems = _problems(document, model, error)
    raise InputError(problems)


def json_schema(model: type[BaseModel]) -> str:
    """The JSON Schema of a file's model as text; the same model always gives the same text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(mode="validation")}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def resolve(document: Document, at: KeyPath, relative: str) -> Path:
    """The file that ``relative`` names, seen from the folder of the document; ``at`` is the key that names it.

    Raises InputError at that key's value when there is no such file, with the nearest name in that folder.
    """
    try:
        target = document.path.parent / relative
        if target.is_file():
            return target
        message = "is a folder" if target.is_dir() else "no such file"
    except (OSError, ValueError):
        raise InputError(document.problem(at, f"{at_text(at)}: no file name", found=repr(relative[:60]))) from None
    close = nearest_file(target)
    suggestion = (Path(relative).parent / close).as_posix() if close and message == "no such file" else ""
    found = f"{relative!r} (looked in {target.parent.as_posix()})"
    message = f"{at_text(at)}: {message}"
    raise InputError(document.problem(at, message, expected="a file", found=found, nearest=suggestion))


@dataclass(frozen=True, slots=True)
class _Located:
    """One error with its ``loc`` split into steps: a key or index of the document, or the label of a union's branch."""

    error: ErrorDetails
    steps: tuple[tuple[str | int, bool], ...]

    @property
    def path(self) -> KeyPath:
        """Where it is in the document; for a missing key the path of that key."""
        return tuple(step for step, is_label in self.steps if not is_label)


def _problems(document: Document, model: type[BaseModel], failed: ValidationError) -> list[Problem]:
    errors = failed.errors(include_url=False)
    located = [_locate(document.value, error) for error in errors[:_MAX_ERRORS]]
    problems: list[Problem] = []
    for kept in _choose(located, 0):
        if isinstance(kept, _Branches):
            problems.append(branch_problem(document, kept.errors[0].path, [one.error for one in kept.errors]))
        else:
            names = _field_names(model, kept.steps) if kept.error["type"] == "extra_forbidden" else ()
            problems.extend(problem_of(document, kept.path, kept.error, names))
    unique = dict.fromkeys(problems)
    ordered = sorted(unique, key=lambda problem: (problem.line, problem.column))
    if len(errors) > _MAX_ERRORS:
        ordered.append(Problem(f"{len(errors) - _MAX_ERRORS} more errors, not shown", str(document.path)))
    return ordered


def _locate(value: Any, error: ErrorDetails) -> _Located:
    """Tell keys from labels. A label may be spelled like a key, so all readings are tried and the best one taken:
    the one that ends at the very object the validator complained about, then the one with the fewest labels."""
    missing = error["type"] == "missing"
    loc = error["loc"][:-1] if missing else error["loc"]
    readings: list[tuple[tuple[tuple[str | int, bool], ...], Any]] = [((), value)]
    for element in loc:
        longer = []
        for steps, at in readings[:16]:
            inner = _step(at, element)
            if inner is not _ABSENT:
                longer.append(((*steps, (element, False)), inner))
            longer.append(((*steps, (element, True)), at))
        readings = longer

    def cost(reading: tuple[tuple[tuple[str | int, bool], ...], Any]) -> tuple[bool, int]:
        return reading[1] is not error["input"], sum(is_label for _, is_label in reading[0])

    steps, _ = min(readings, key=cost)
    return _Located(error, (*steps, (error["loc"][-1], False)) if missing else steps)


_ABSENT = object()


def _step(value: Any, element: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(element, _ABSENT)
    if isinstance(value, list) and isinstance(element, int) and 0 <= element < len(value):
        return value[element]
    return _ABSENT


@dataclass(frozen=True, slots=True)
class _Branches:
    """A union none of whose branches has the shape of what stands there."""

    errors: tuple[_Located, ...]


_Kept = _Located | _Branches


def _choose(errors: Sequence[_Located], depth: int) -> list[_Kept]:
    """The errors worth telling, of errors that share their first ``depth`` steps."""
    kept: list[_Kept] = [one for one in errors if len(one.steps) == depth]
    groups: dict[tuple[str | int, bool], list[_Located]] = {}
    for one in errors:
        if len(one.steps) > depth:
            groups.setdefault(one.steps[depth], []).append(one)
    branches: list[list[_Located]] = []
    for (_, is_label), group in groups.items():
        if is_label:
            branches.append(group)
        else:
            kept.extend(_choose(group, depth + 1))
    if len(branches) > 1:
        fitting = [branch for branch in branches if not _stops_here(branch, depth)]
        if not fitting:
            return [*kept, _Branches(tuple(one for branch in branches for one in branch))]
        branches = [min(fitting, key=_cost)]
    for branch in branches:
        kept.extend(_choose(branch, depth + 1))
    return kept


def _stops_here(branch: Sequence[_Located], depth: int) -> bool:
    """True when a branch refused the value as a whole, having seen nothing inside it."""
    return any(all(is_label for _, is_label in one.steps[depth:]) for one in branch)


def _cost(branch: Sequence[_Located]) -> tuple[int, int]:
    """How far a branch is from what was written: unknown and missing keys, a wrong tag value, then all errors."""
    strange = sum(one.error["type"] in {"missing", "extra_forbidden", "literal_error"} for one in branch)
    return strange, len(branch)


def _field_names(model: type[BaseModel], steps: Sequence[tuple[str | int, bool]]) -> tuple[str, ...]:
    """The keys allowed where an unknown key stands: follow the annotations along the steps to it."""
    types: list[Any] = [(model, "")]
    for element, is_label in steps[:-1]:
        leaves = [leaf for one in types for leaf in _leaves(one)]
        if is_label:
            types = [leaf for leaf in leaves if _is_labelled(leaf, str(element))] or leaves
        else:
            types = [inner for one, _ in leaves for inner in _inside(one, element)]
    models = [one for entry in types for one, _ in _leaves(entry) if _is_model(one)]
    return tuple(dict.fromkeys(name for one in models for name in _names(one)))


def _leaves(entry: Any) -> list[tuple[Any, str]]:
    """(type, tag) of a type without Annotated, aliases, unions and None around it."""
    kind, tag = entry if isinstance(entry, tuple) else (entry, "")
    if hasattr(kind, "__value__"):
        return _leaves((kind.__value__, tag))
    origin: Any = get_origin(kind)
    if origin is Annotated:
        inner, *marks = get_args(kind)
        tags = [mark.tag for mark in marks if isinstance(mark, Tag)]
        return _leaves((inner, tags[0] if tags else tag))
    if origin in (Union, UnionType):
        return [leaf for one in get_args(kind) for leaf in _leaves((one, tag))]
    return [(kind, tag)]


def _inside(kind: Any, element: str | int) -> list[Any]:
    """What may stand at a key or index of a type."""
    if _is_model(kind):
        return [info.annotation for name, info in kind.model_fields.items() if _key_of(name, info) == element]
    args = get_args(kind)
    if isinstance(element, int):
        fixed = [one for one in args if one is not Ellipsis]
        return [fixed[element]] if len(fixed) > 1 and element < len(fixed) else fixed[:1]
    return list(args[1:2])


def _is_labelled(leaf: tuple[Any, str], label: str) -> bool:
    """True when a branch's label means this type: its name, its tag, or the Literal of one of its fields."""
    kind, tag = leaf
    if tag == label or not isinstance(kind, type):
        return tag == label
    if label == kind.__name__ or label.endswith((f", {kind.__name__}]", f"[{kind.__name__}]")):
        return True
    return _is_model(kind) and any(
        get_origin(info.annotation) is Literal and label in map(_plain, get_args(info.annotation))
        for info in cast(type[BaseModel], kind).model_fields.values()
    )


def _plain(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _names(kind: type[BaseModel]) -> list[str]:
    return [_key_of(name, info) for name, info in kind.model_fields.items()]


def _key_of(name: str, info: Any) -> str:
    """How a field is spelled in the file."""
    alias = info.validation_alias if isinstance(info.validation_alias, str) else info.alias
    return alias or name
