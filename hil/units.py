"""Quantities as people write them (``4.25 V``) to SI numbers and back.

Number and unit are split before any unit library sees them: it would refuse ``25 degC`` as a product with an offset
unit and read ``0 Nm`` as number-metre. The library (pint) is imported on the first unit that the small table below does
not hold, and reckons in fractions, so that ``57 %`` is the float nearest 0.57. Nothing here is called in a tick.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from hil.errors import InputError, Problem, nearest

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_SPLIT = re.compile(rf"({NUMBER})\s*(\D.*)?", re.ASCII | re.DOTALL)
_NAME = r"(?:[A-Za-z_]+|%)(?:\^-?[1-4])?"
_UNIT = re.compile(rf"(?:1/)?{_NAME}(?:[*/]{_NAME})*")
_MAX_CHARS = 80
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """What a unit measures, for messages: a noun with its article, and an example as people write it."""

    noun: str
    example: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "V": Kind("a voltage", "4.25 V"),
        "A": Kind("a current", "100 A"),
        "s": Kind("a time", "100 ms"),
        "degC": Kind("a temperature", "25 degC"),
        "K": Kind("a temperature difference", "5 K"),
        "1": Kind("a ratio", "60 %"),
        "ohm": Kind("a resistance", "5 kohm"),
        "F": Kind("a capacitance", "1 mF"),
        "H": Kind("an inductance", "10 uH"),
        "Ah": Kind("a charge", "40 Ah"),
        "Wh": Kind("an energy", "30 kWh"),
        "J": Kind("an energy", "50 J"),
        "W": Kind("a power", "100 kW"),
        "Hz": Kind("a frequency", "50 Hz"),
        "bit/s": Kind("a bit rate", "500 kbit/s"),
        "V/s": Kind("a voltage rate", "50 mV/s"),
        "A/s": Kind("a current rate", "100 A/s"),
        "degC/s": Kind("a temperature rate", "2 degC/min"),
        "1/s": Kind("a rate", "1 %/s"),
        "N*m": Kind("a torque", "5 Nm"),
        "Pa": Kind("a pressure", "30 kPa"),
        "kg": Kind("a mass", "70 g"),
        "m": Kind("a length", "26 mm"),
        "J/K": Kind("a heat capacity", "75 J/K"),
        "W/K": Kind("a thermal conductance", "2 W/K"),
        "K/W": Kind("a thermal resistance", "3 K/W"),
        "J/mol": Kind("a molar energy", "1.4e5 J/mol"),
        "J/kg": Kind("a specific energy", "2.5e5 J/kg"),
        "J/K/m^3": Kind("a volumetric heat capacity", "2.6e6 J/K/m^3"),
        "kg/m^3": Kind("a density", "610 kg/m^3"),
        "mol/Ah": Kind("an amount of gas per charge", "0.1 mol/Ah"),
        "m^3": Kind("a volume", "60 l"),
    }
)

# Spellings the library does not know or reads as something else ("Nm" is number-metre there).
_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "Nm": "N*m",
        "mNm": "mN*m",
        "kNm": "kN*m",
        "As": "A*s",
        "mAs": "mA*s",
        "Ws": "W*s",
        "kWs": "kW*s",
        "Ohm": "ohm",
        "mOhm": "mohm",
        "uOhm": "uohm",
        "kOhm": "kohm",
        "MOhm": "megaohm",
        "Mohm": "megaohm",
        "ddegC": "delta_degC",
        "dK": "delta_degC",
        "%": "percent",
    }
)
_LETTERS = str.maketrans(
    {"µ": "u", "μ": "u", "Ω": "ohm", "\u2126": "ohm", "°": "deg", "·": "*", "⋅": "*", "²": "^2", "−": "-"}
)

# (written, wanted) -> factor: the common ones, so that a usual run never loads the library. A test compares both.
_COMMON: Mapping[tuple[str, str], Fraction] = MappingProxyType(
    {
        ("V", "V"): Fraction(1),
        ("mV", "V"): Fraction(1, 1000),
        ("kV", "V"): Fraction(1000),
        ("uV", "V"): Fraction(1, 10**6),
        ("A", "A"): Fraction(1),
        ("mA", "A"): Fraction(1, 1000),
        ("kA", "A"): Fraction(1000),
        ("uA", "A"): Fraction(1, 10**6),
        ("s", "s"): Fraction(1),
        ("ms", "s"): Fraction(1, 1000),
        ("us", "s"): Fraction(1, 10**6),
        ("ns", "s"): Fraction(1, 10**9),
        ("min", "s"): Fraction(60),
        ("h", "s"): Fraction(3600),
        ("degC", "degC"): Fraction(1),
        ("K", "K"): Fraction(1),
        ("delta_degC", "K"): Fraction(1),
        ("%", "1"): Fraction(1, 100),
        ("ohm", "ohm"): Fraction(1),
        ("mohm", "ohm"): Fraction(1, 1000),
        ("mOhm", "ohm"): Fraction(1, 1000),
        ("Ohm", "ohm"): Fraction(1),
        ("kohm", "ohm"): Fraction(1000),
        ("kOhm", "ohm"): Fraction(1000),
        ("F", "F"): Fraction(1),
        ("mF", "F"): Fraction(1, 1000),
        ("uF", "F"): Fraction(1, 10**6),
        ("nF", "F"): Fraction(1, 10**9),
        ("Ah", "Ah"): Fraction(1),
        ("mAh", "Ah"): Fraction(1, 1000),
        ("W", "W"): Fraction(1),
        ("kW", "W"): Fraction(1000),
        ("Hz", "Hz"): Fraction(1),
        ("kHz", "Hz"): Fraction(1000),
        ("V/s", "V/s"): Fraction(1),
        ("mV/s", "V/s"): Fraction(1, 1000),
        ("A/s", "A/s"): Fraction(1),
        ("1/s", "1/s"): Fraction(1),
        ("J/mol", "J/mol"): Fraction(1),
        ("J/kg", "J/kg"): Fraction(1),
        ("J/K/m^3", "J/K/m^3"): Fraction(1),
        ("kg/m^3", "kg/m^3"): Fraction(1),
        ("mol/Ah", "mol/Ah"): Fraction(1),
        ("l", "m^3"): Fraction(1, 1000),
        ("Pa", "Pa"): Fraction(1),
        ("kPa", "Pa"): Fraction(1000),
    }
)

# Right dimension, wrong meaning.
_AMBIGUOUS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("C", "Ah"): "C could be coulomb or C-rate; write Ah or A*s",
        ("J", "N*m"): "J is an energy, not a torque",
        ("Nm", "J"): "Nm is a torque, not an energy",
    }
)


@lru_cache(maxsize=8192)
def parse_quantity(text: str, unit: str) -> float:
    """The number that ``text`` stands for, in ``unit`` (such as ``V``, ``degC``, ``K``, ``Ah``, ``1``, ``mV/s``).

    ``degC`` wants an absolute temperature, ``K`` a difference (``5 K``, ``5 delta_degC``), ``1`` a number or ``%``.
    Everything else needs its unit, zero too. Raises InputError when the text is no quantity of that kind.
    """
    value = _exact(text, unit)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise _refuse(text, unit, "the number is too large")
    return number


@lru_cache(maxsize=8192)
def parse_time_ns(text: str) -> int:
    """The time in integer nanoseconds, without rounding: ``0.1 s`` is 100000000.

    Raises InputError when the text is no time, is not a whole number of nanoseconds, or does not fit 64 bits.
    """
    exact_ns = _exact(text, "s") * 10**9
    if exact_ns.denominator != 1:
        raise _refuse(text, "s", "not a whole number of nanoseconds")
    if abs(exact_ns.numerator) > _INT64_MAX:
        raise _refuse(text, "s", "more than 292 years")
    return exact_ns.numerator


def expected_text(unit: str) -> str:
    """What a field of this unit wants, for messages: ``a voltage such as '4.25 V'``."""
    kind = KINDS.get(unit)
    return f"{kind.noun} such as {kind.example!r}" if kind else f"a quantity in {_short(unit)}"


def format_quantity(value: float, unit: str) -> str:
    """The value as people read it, four significant digits, with an engineering prefix: ``4.25 V``, ``200 ms``.

    NaN is ``unknown``. Ratios are shown in per cent; temperatures, hours of charge and compound units get no prefix.
    """
    if math.isnan(value):
        return "unknown" if unit == "1" else f"unknown {unit}"
    if unit == "1":
        return f"{_digits(value * 100)} %"
    plain = (
        value == 0 or math.isinf(value) or unit not in {"V", "A", "s", "ohm", "F", "H", "W", "Wh", "J", "Hz", "Pa", "m"}
    )
    if plain or (unit == "s" and abs(value) >= 1):
        return f"{_digits(value)} {unit}"
    # Rounded to the digits shown first, so that 0.99999 becomes 1 V and not 1000 mV.
    exponent = math.floor(math.log10(abs(float(f"{value:.3e}"))))
    step = max(-4, min(3, exponent // 3))
    prefix = ("p", "n", "u", "m", "", "k", "M", "G")[step + 4]
    return f"{_digits(value * 10.0 ** (-3 * step))} {prefix}{unit}"


def _digits(value: float) -> str:
    """Four significant digits, never in exponent form between 1e-4 and 1e15, no trailing zeros."""
    rounded = float(f"{value:.3e}") if math.isfinite(value) else value
    return f"{rounded + 0.0:.15g}"


def _exact(text: str, unit: str) -> Fraction:
    """The exact value in ``unit``; InputError says what was wrong."""
    stripped = text.strip()
    if len(stripped) > _MAX_CHARS:
        raise _refuse(text, unit, f"more than {_MAX_CHARS} characters")
    match = _SPLIT.fullmatch(stripped.replace("−", "-"))
    if match is None:
        raise _refuse(text, unit)
    number, written = Fraction(match[1]), (match[2] or "").translate(_LETTERS).replace("**", "^").replace(" ", "")
    if not written:
        if unit != "1":
            raise _refuse(text, unit, "the unit is missing")
        return number
    factor, offset = _conversion(text, written, unit)
    return number * factor + offset


def _conversion(text: str, written: str, unit: str) -> tuple[Fraction, Fraction]:
    """Factor and offset from the written unit to ``unit``; ``text`` is only quoted."""
    common = _COMMON.get((written, unit))
    if common is not None:
        return common, Fraction(0)
    ambiguous = _AMBIGUOUS.get((written, unit))
    if ambiguous:
        raise _refuse(text, unit, ambiguous)
    # The wanted unit may be data too: a record brings its own table of quantities.
    if not _UNIT.fullmatch(written) or not (unit == "1" or (len(unit) <= _MAX_CHARS and _UNIT.fullmatch(unit))):
        raise _refuse(text, unit)
    converted = _with_library(written, unit)
    if converted is None:
        names = {have for have, want in _COMMON if want == unit}
        raise _refuse(text, unit, close=None if written in names else nearest(written, names), unit_found=written)
    return converted


@lru_cache(maxsize=1)
def _registry() -> Any:
    """The one unit registry, in exact fractions. Made on first need: loading it takes a third of a second."""
    import pint

    return pint.UnitRegistry(non_int_type=Fraction)


@lru_cache(maxsize=1024)
def _with_library(written: str, unit: str) -> tuple[Fraction, Fraction] | None:
    """Factor and offset between two units, None when the written one is unknown or measures something else."""
    registry = _registry()
    try:
        have = registry.parse_units(_spelled(written))
        want = registry.parse_units(_spelled(unit))
        # Root units and not only dimensions: for the library rpm, Hz and bit/s are all 1/s.
        if registry.get_root_units(have)[1] != registry.get_root_units(want)[1]:
            return None
        if not _same_scale(have, unit, registry):
            return None
        offset = Fraction(registry.convert(Fraction(0), have, want))
        return Fraction(registry.convert(Fraction(1), have, want)) - offset, offset
    except _registry_errors():
        return None


def _registry_errors() -> tuple[type[Exception], ...]:
    """What the library raises on text that is no unit; its parser leaks those of the Python tokenizer too."""
    import tokenize

    import pint

    return (
        pint.PintError,
        tokenize.TokenError,
        SyntaxError,
        ArithmeticError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    )


def _same_scale(have: Any, unit: str, registry: Any) -> bool:
    """False when an absolute temperature meets a difference; kelvin may be either, as target it is a difference."""
    scales = (registry.degC, registry.degF)
    return have in (*scales, registry.kelvin) if unit == "degC" else have not in scales


def _spelled(unit: str) -> str:
    names = re.split(r"([*/])", unit)
    return "".join(part if part in "*/" else f"({_spelling(part)})" for part in names)


def _spelling(name: str) -> str:
    base, mark, power = name.partition("^")
    return f"({_SPELLINGS.get(base, base)})" + (f"**({power})" if mark else "")


def _refuse(text: str, unit: str, why: str = "", close: str | None = None, unit_found: str = "") -> InputError:
    """The error for a text that is no quantity of ``unit``."""
    found = repr(_short(text)) + (f" ({why})" if why else "")
    suggestion = (
        f"{text.strip()[: -len(unit_found)].strip()} {close}" if close and text.strip().endswith(unit_found) else ""
    )
    return InputError(Problem("", expected=expected_text(unit), found=found, nearest=suggestion))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 3] + "..."
