"""Quantities as people write them. Expected values by hand."""

import json
import math
import subprocess
import sys
from fractions import Fraction

import pint
import pytest

from hil import units
from hil.errors import InputError
from hil.units import format_quantity, parse_quantity, parse_time_ns

GOOD = [
    ("4.25 V", "V", 4.25),
    ("4.25V", "V", 4.25),
    ("-100 A", "A", -100.0),
    ("−100 A", "A", -100.0),
    ("100 ms", "s", 0.1),
    ("25 degC", "degC", 25.0),
    ("25 °C", "degC", 25.0),
    ("-40 degC", "degC", -40.0),
    ("77 degF", "degC", 25.0),
    ("298.15 K", "degC", 25.0),
    ("5 K", "K", 5.0),
    ("5 delta_degC", "K", 5.0),
    ("60 %", "1", 0.6),
    ("57%", "1", 0.57),
    ("0.5", "1", 0.5),
    ("50 mV/s", "V/s", 0.05),
    ("3 degC/min", "degC/s", 0.05),
    ("3 K/min", "degC/s", 0.05),
    ("5 kohm", "ohm", 5000.0),
    ("5 kOhm", "ohm", 5000.0),
    ("0.25 mOhm", "ohm", 0.00025),
    ("5 MΩ", "ohm", 5e6),
    ("10 µF", "F", 1e-5),
    ("10 μF", "F", 1e-5),
    ("40 Ah", "Ah", 40.0),
    ("3600 mAh", "Ah", 3.6),
    ("3600 A*s", "Ah", 1.0),
    ("0 Nm", "N*m", 0.0),
    ("2.5 Nm", "N*m", 2.5),
    ("1e3 mV", "V", 1.0),
    ("2.5E-1 V", "V", 0.25),
    (".5 V", "V", 0.5),
    ("60 1/min", "Hz", 1.0),
    ("500 kbit/s", "bit/s", 500_000.0),
    ("1 %/s", "1/s", 0.01),
    ("2 W/K", "W/K", 2.0),
]


@pytest.mark.parametrize(("text", "unit", "expected"), GOOD)
def test_text_becomes_the_nearest_float_in_the_wanted_unit(text: str, unit: str, expected: float) -> None:
    assert parse_quantity(text, unit) == expected


BAD = [
    ("4.25 A", "V"),
    ("0", "V"),
    ("4.25", "V"),
    ("V", "V"),
    ("", "V"),
    ("4.25 V 3", "V"),
    ("4,25 V", "V"),
    ("1_000 V", "V"),
    ("0x10 V", "V"),
    ("nan V", "V"),
    ("inf V", "V"),
    ("٣ V", "V"),
    ("1e999 V", "V"),
    ("1e9999999999 V", "V"),
    ("5 V^999999", "V"),
    ("5 V)(", "V"),
    ("5 __import__", "V"),
    ("5 degC", "K"),
    ("5 delta_degC", "degC"),
    ("60 rpm", "Hz"),
    ("500 Hz", "bit/s"),
    ("2 C", "Ah"),
    ("5 J", "N*m"),
    ("5 rad", "1"),
    ("5 V", "1"),
    ("1" * 200 + " V", "V"),
    ("5 V", ""),
    ("5 V", "../../../x"),
    ("5 V", "V)("),
    ("5 V", "no_such_unit"),
    ("5 V", "*".join(["V"] * 5000)),
    ("5 V", "x" * 100_000),
]


@pytest.mark.parametrize(("text", "unit"), BAD)
def test_what_is_no_such_quantity_is_refused(text: str, unit: str) -> None:
    with pytest.raises(InputError, match="expected") as caught:
        parse_quantity(text, unit)
    assert len(str(caught.value)) < 300


def test_the_message_names_the_kind_an_example_and_what_was_found() -> None:
    with pytest.raises(InputError) as caught:
        parse_quantity("4.25 A", "V")

    assert str(caught.value) == "expected a voltage such as '4.25 V', found '4.25 A'"


def test_a_slip_in_the_unit_gets_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        parse_quantity("40 ah", "Ah")

    assert caught.value.problems[0].nearest == "40 Ah"


@pytest.mark.parametrize(
    ("text", "t_ns"),
    [
        ("0.1 s", 100_000_000),
        ("100 ms", 100_000_000),
        ("1 h", 3_600_000_000_000),
        ("0.000000001 s", 1),
        ("9007199.254740993 s", 9_007_199_254_740_993),  # 2**53 + 1 ns: no float holds it
        ("-3 us", -3_000),
        ("0 s", 0),
    ],
)
def test_times_are_exact_nanoseconds(text: str, t_ns: int) -> None:
    assert parse_time_ns(text) == t_ns


@pytest.mark.parametrize("text", ["1.5 ns", "0.1", "0", "1e30 s", "5 V", "1e-10 s", ""])
def test_a_time_that_is_no_whole_nanosecond_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_time_ns(text)


def test_the_table_of_common_units_agrees_with_the_unit_library() -> None:
    registry = pint.UnitRegistry()
    spelling = {"%": "percent", "1": "dimensionless", "Ohm": "ohm", "mOhm": "mohm", "kOhm": "kohm"}
    for (written, wanted), factor in units._COMMON.items():
        if written == wanted:
            assert factor == Fraction(1)
            continue
        have, want = spelling.get(written, written), spelling.get(wanted, wanted)

        assert registry.Quantity(1.0, have).to(want).magnitude == pytest.approx(float(factor), rel=1e-12), written


def test_every_kind_has_an_example_of_its_own_unit() -> None:
    for unit, kind in units.KINDS.items():
        assert math.isfinite(parse_quantity(kind.example, unit))


def test_a_usual_file_never_loads_the_unit_library() -> None:
    code = (
        "import sys, json; from hil.units import parse_quantity as p, parse_time_ns as t; "
        "v = [p('4.25 V', 'V'), p('60 %', '1'), p('25 degC', 'degC'), t('100 ms')]; "
        "print(json.dumps([v, 'pint' in sys.modules]))"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert json.loads(out) == [[4.25, 0.6, 25.0, 100_000_000], False]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4.25, "V", "4.25 V"),
        (0.2, "s", "200 ms"),
        (90.5, "s", "90.5 s"),
        (5000.0, "ohm", "5 kohm"),
        (0.00025, "ohm", "250 uohm"),
        (0.99999999, "V", "1 V"),
        (999.96, "V", "1 kV"),
        (-0.0005, "A", "-500 uA"),
        (25.0, "degC", "25 degC"),
        (0.6, "1", "60 %"),
        (0.0, "A", "0 A"),
        (-0.0, "A", "0 A"),
        (100.0, "Ah", "100 Ah"),
        (math.nan, "V", "unknown V"),
        (math.inf, "V", "inf V"),
    ],
)
def test_people_read_four_digits_and_a_prefix(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text
