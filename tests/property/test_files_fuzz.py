"""Laws of the loader: any text loads or is refused with InputError, and plain data comes back as it was."""

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hil.errors import InputError, Problem
from hil.files import Duration, Ratio, Strict, Voltage, load_text, validate
from hil.units import parse_quantity, parse_time_ns

pytestmark = pytest.mark.timeout(120)  # for all draws of a test; a text that takes long alone takes far longer

PIECES = st.sampled_from(
    [
        "a",
        "b: ",
        ": ",
        "- ",
        "? ",
        "\n",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&x ",
        "*x",
        "!t ",
        "!!int ",
        "'",
        '"',
        "|",
        ">",
        "#",
        "%YAML 1.2\n",
        "---",
        "...",
        "<<",
        "=",
        "~",
        "1e3",
        "0x",
        "0o7",
        ".inf",
        "12:30",
        "010",
        "1_000",
        "\t",
        "\\U",
        "\\uD800",
        "\ufeff",
        "\x85",
        "\u2028",
        "\x00",
        "yes",
        "4.25 V",
        "\r",
        "𝄞",
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=60).map("".join))

PRINTABLE = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co", "Zl", "Zp"), exclude_characters="\ufeff"
)
STRINGS = st.text(PRINTABLE, max_size=20)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    STRINGS,
    st.sampled_from(["on", "yes", "12:30", "010", "1_000", "0x1F", ".5", "1e3", "NaN", "=", "<<", "null", "~", ""]),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(STRINGS, inner, max_size=5)),
    max_leaves=40,
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@settings(max_examples=400)
@given(TEXTS)
@example("[" * 5000)
@example("? " * 5000)
@example("- " * 5000)
@example("a: " * 5000)
@example("&x " * 5000)
@example('"\\UFFFFFFFF"')
@example("\ud800")
@example("!<tag> a")
@example("%TAG ! x\n--- !y z")
def test_any_text_loads_or_is_refused_as_bad_input(text: str) -> None:
    try:
        document = load_text(text)
    except InputError as error:
        told = str(error)
    else:
        told = str(document.place(()))
    assert told


class Model(Strict):
    a: Voltage | None = None
    b: tuple[Ratio, ...] = ()
    c: dict[str, int | Duration | list[str]] | None = None


@settings(max_examples=200)
@given(st.one_of(DATA, st.fixed_dictionaries({}, optional={"a": DATA, "b": DATA, "c": DATA, "d": DATA})))
def test_any_data_is_validated_or_refused_with_a_place(data: Any) -> None:
    document = load_text(json.dumps(data, ensure_ascii=False, allow_nan=True).replace("Infinity", ".inf"))
    problems: tuple[Problem, ...] = ()
    try:
        model: Model | None = validate(document, Model)
    except InputError as error:
        model, problems = None, error.problems
    assert (model is None) == bool(problems)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


@settings(max_examples=200)
@given(DATA)
def test_json_text_means_the_same_here_as_to_a_json_parser(data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False)
    if "Infinity" in text:
        return

    assert same(load_text(text).value, json.loads(text))


@settings(max_examples=200)
@given(DATA)
def test_quoted_yaml_from_another_emitter_comes_back_equal(data: Any) -> None:
    # A 1.1 emitter leaves 1.2 numbers such as "1e3" or "0o7" bare: force quotes round every string instead.
    dumper = type("Quoting", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    dumper.add_representer(str, lambda one, value: one.represent_scalar("tag:yaml.org,2002:str", value, style='"'))
    text = yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True, width=10_000)

    assert same(load_text(text).value, data)


@settings(max_examples=300)
@given(TEXTS, st.sampled_from(["V", "degC", "K", "1", "Ah", "N*m", "V/s"]))
@example("1e999 V", "V")
@example("5 V**9999", "V")
@example("5 a^4*a^4*a^4*a^4*a^4", "V")
def test_any_text_is_a_finite_quantity_or_bad_input(text: str, unit: str) -> None:
    try:
        value = parse_quantity(text, unit)
    except InputError:
        return
    assert math.isfinite(value)


UNITS = st.lists(
    st.sampled_from(["V", "m", "k", "A", "s", "/", "*", "%", "deg", "C", "1", "^", "2", "-", "in", "g", "_"])
)


@settings(max_examples=200)
@given(st.floats(-1e6, 1e6, allow_nan=False), UNITS.map("".join))
def test_any_unit_is_understood_or_bad_input(number: float, written: str) -> None:
    for unit in ("V", "degC", "1"):
        try:
            assert math.isfinite(parse_quantity(f"{number!r} {written}", unit))
        except InputError:
            continue


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_nanosecond_survives_as_seconds(t_ns: int) -> None:
    sign, whole = ("-" if t_ns < 0 else ""), abs(t_ns)

    assert parse_time_ns(f"{sign}{whole // 10**9}.{whole % 10**9:09d} s") == t_ns
    assert parse_time_ns(f"{t_ns} ns") == t_ns
