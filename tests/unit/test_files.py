"""The loader: YAML 1.2, plain data, and every error with its place."""

import math
import os
from pathlib import Path
from typing import Any

import pytest

from hil.errors import InputError
from hil.files import (
    load_document,
    load_text,
)


def problems_of(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_text(text, "f.yaml")
    return str(caught.value).splitlines()


SCALARS: list[tuple[str, Any]] = [
    ("yes", "yes"),
    ("No", "No"),
    ("on", "on"),
    ("OFF", "OFF"),
    ("y", "y"),
    ("true", True),
    ("FALSE", False),
    ("tRue", "tRue"),
    ("12:30", "12:30"),
    ("1:30:00", "1:30:00"),
    ("010", 10),
    ("0o10", 8),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("-0x1F", "-0x1F"),
    ("1_000", "1_000"),
    ("+5", 5),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e3", 1000.0),
    ("-1.5E-2", -0.015),
    ("1e", "1e"),
    (".", "."),
    ("-", [None]),
    ("NaN", "NaN"),
    ("nan", "nan"),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("+.inf", math.inf),
    ("inf", "inf"),
    ("=", "="),
    ("<<", "<<"),
    ("~", None),
    ("null", None),
    ("NULL", None),
    ("nUll", "nUll"),
    ("", None),
    ("2026-01-01", "2026-01-01"),
    ("'5'", "5"),
    ('"true"', "true"),
    ("4.25 V", "4.25 V"),
    ("60 %", "60 %"),
    ("18446744073709551615", 2**64 - 1),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_means_what_the_1_2_core_schema_says(text: str, value: Any) -> None:
    loaded = load_text(text).value

    assert loaded == value
    assert type(loaded) is type(value)


def test_not_a_number_is_written_with_a_dot() -> None:
    assert math.isnan(load_text(".NaN").value)


def test_the_key_on_stays_text() -> None:
    assert load_text("on: yes\nno: off").value == {"on": "yes", "no": "off"}


def test_every_key_and_value_has_its_place() -> None:
    document = load_text("a:\n  b: [1,\n    x]\n'c':   4")

    assert document.positions[("a",)] == (2, 3, 1, 1)
    assert document.positions[("a", "b")] == (2, 6, 2, 3)
    assert document.positions[("a", "b", 1)] == (3, 5, 3, 5)
    assert document.positions[("c",)] == (4, 8, 4, 1)
    assert document.place(("a", "b", 7, "z")) == document.positions[("a", "b")]


def test_columns_count_characters_not_bytes() -> None:
    assert load_text("äöü: µ\nb: {ß: 1}").positions[("b", "ß")] == (2, 8, 2, 5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2", "f.yaml:2:1: the key 'a' stands twice: found the first one on line 1"),
        ("a: !x 1", "f.yaml:1:4: tags are not allowed: found '!x'"),
        ("a: !!str 1", "f.yaml:1:4: tags are not allowed: found 'tag:yaml.org,2002:str'"),
        ("a: ! 1", "f.yaml:1:4: tags are not allowed: found '!'"),
        ("a: !m {b: 1}", "f.yaml:1:4: tags are not allowed: found '!m'"),
        ("1: x", "f.yaml:1:1: a key must be text; put it in quotes: found '1'"),
        ("a: {null: x}", "f.yaml:1:5: a key must be text; put it in quotes: found 'null'"),
        ("? [a]\n: x", "f.yaml:1:3: a key must be text: found a list"),
        ("? {a: 1}\n: x", "f.yaml:1:3: a key must be text: found a mapping"),
        ("a: &x q\n*x : 1", "f.yaml:2:1: a key must be text: found '*x'"),
        ("<<: {a: 1}", "f.yaml:1:1: merge keys are not YAML 1.2; repeat the keys: found '<<'"),
        ("a: &x [*x]", "f.yaml:1:8: an alias inside what it names: found '*x'"),
        ("a: &volt 1\nb: *vol", "f.yaml:2:4: unknown alias: found '*vol'; did you mean 'volt'?"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins: expected one document in a file"),
        ("%YAML 1.1\n---\na: 1", "f.yaml:1:1: the file declares another YAML version: expected YAML 1.2, found 1.1"),
        ("a: 18446744073709551616", "f.yaml:1:4: the number is too large: expected a whole number of at most 64 bits, "
         "found '18446744073709551616'"),
        ("a: 1e999", "f.yaml:1:4: the number is too large: expected a finite number, or .inf, found '1e999'"),
        ("a: 1\nb: x\x07", "f.yaml:2:5: not YAML: this character is not allowed: found U+0007"),
    ],
)  # fmt: skip
def test_what_yaml_1_2_data_may_not_hold_is_refused_where_it_stands(text: str, line: str) -> None:
    assert problems_of(text) == [line]


def test_quotes_make_any_text_a_key() -> None:
    assert load_text("'1': a\n'<<': b\n'': c").value == {"1": "a", "<<": "b", "": "c"}


def test_a_syntax_error_has_a_place() -> None:
    (line,) = problems_of("a: 1\nb: [1, 2\nc: 3\n")

    assert line.startswith("f.yaml:3:2: not YAML: ")


def test_all_problems_are_told_at_once_and_in_order() -> None:
    lines = problems_of("a: !x 1\na: {1: 2}\nb: !y 2")

    assert [line.split(": ")[0] for line in lines] == ["f.yaml:1:4", "f.yaml:2:1", "f.yaml:2:5", "f.yaml:3:4"]


def test_an_alias_repeats_a_value() -> None:
    document = load_text("a: &x {b: [1, 2]}\nc: *x")

    assert document.value == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert document.place(("c", "b", 0)) == (2, 4, 2, 1)


@pytest.mark.timeout(60)  # expanded, it would be three thousand million values
def test_an_alias_bomb_fails_before_it_expands() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 11)]

    (line,) = problems_of("\n".join(lines))

    assert "too many values" in line


def test_more_than_a_hundred_aliases_are_refused() -> None:
    assert len(load_text("a: &x 1\nb: [" + "*x, " * 100 + "]").value["b"]) == 100
    assert "too many aliases" in problems_of("a: &x 1\nb: [" + "*x, " * 101 + "]")[0]


def test_depth_is_bounded_and_counted_through_aliases() -> None:
    assert load_text("[" * 32 + "]" * 32).value
    assert "nested too deep" in problems_of("[" * 33 + "]" * 33)[0]
    assert "nested too deep" in problems_of("[" * 1_000_000)[0]
    assert "nested too deep" in problems_of("a: &x " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*x" + "]" * 20)[0]


def test_the_number_of_values_is_bounded() -> None:
    assert "too many values" in problems_of("[" + "1," * 200_000 + "]")[0]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a: 1\nb: \xff", ":2:4: not UTF-8: expected UTF-8 text, found byte 0xFF"),
        ("a: 1".encode("utf-16"), ":1:1: not UTF-8: expected UTF-8 text, found byte 0xFF"),
        (b"#" * (4 * 2**20 + 1), ": the file is too large: expected at most 4 MiB"),
    ],
)
def test_bytes_that_are_no_small_utf8_text_are_refused(tmp_path: Path, data: bytes, line: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_document(path)

    assert str(caught.value) == f"{path}{line}"


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")

    assert load_document(path).value == {"a": 1}


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text("a: 1")
    os.mkfifo(tmp_path / "pipe")
    expected = {
        "pakc.yaml": "no such file; did you mean 'pack.yaml'?",
        "pipe": "not a regular file",
        ".": "is a folder: expected a file",
        "x" * 5000: "cannot be read: found File name too long",
        "a\0b": "",
    }
    for name, words in expected.items():
        with pytest.raises(InputError) as caught:
            load_document(tmp_path / name)
        assert words in str(caught.value)
