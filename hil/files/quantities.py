"""Field types for models of files: quantities written as text with a unit (``voltage: 4.25 V``), held as numbers.

``Annotated[float, Quantity("V/s", above=0)]`` makes one more where the list below has none. Bounds are in its unit.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hil.errors import InputError, Problem
from hil.units import KINDS, NUMBER, expected_text, format_quantity, parse_quantity, parse_time_ns


@dataclass(frozen=True, slots=True)
class Quantity:
    """Marks a float field as a quantity in ``unit``: text in the file, a number in the model.

    ``at_least``, ``above`` and ``at_most`` bound it. Only text is taken (a ratio may be a bare number), so that a
    number without unit never slips in; what is wrong is raised as InputError, which pydantic collects.
    """

    unit: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None

    def read(self, found: object) -> float:
        """The number that ``found`` stands for. Raises InputError when it is no such quantity or out of bounds."""
        if self.unit == "1" and isinstance(found, int | float) and not isinstance(found, bool):
            value = float(found)
        elif isinstance(found, str):
            value = parse_quantity(found, self.unit)
        else:
            raise InputError(Problem("", expected=expected_text(self.unit), found=_shown(found)))
        self._check(value, found)
        return value

    def _check(self, value: float, found: object) -> None:
        """Bounds, written so that NaN meets none of them."""
        bounds = (
            ("at least", self.at_least, self.at_least is None or value >= self.at_least),
            ("more than", self.above, self.above is None or value > self.above),
            ("at most", self.at_most, self.at_most is None or value <= self.at_most),
            ("a known number", None, not math.isnan(value)),
        )
        for words, bound, met in bounds:
            if not met:
                expected = words if bound is None else f"{words} {format_quantity(bound, self.unit)}"
                raise InputError(Problem("", expected=expected, found=_shown(found)))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Text in, float out; nothing of the source type's own rules applies."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What an editor should offer: text with a number and a unit, and an example."""
        return _json_schema(self.unit)


@dataclass(frozen=True, slots=True)
class TimeNs:
    """Marks an int field as a time: ``100 ms`` in the file, exact integer nanoseconds in the model."""

    at_least_ns: int | None = 0
    at_most_ns: int | None = None

    def read(self, found: object) -> int:
        """The time in ns. Raises InputError when ``found`` is no time, no whole nanosecond, or out of bounds."""
        if not isinstance(found, str):
            raise InputError(Problem("", expected=expected_text("s"), found=_shown(found)))
        t_ns = parse_time_ns(found)
        if self.at_least_ns is not None and t_ns < self.at_least_ns:
            bound = format_quantity(self.at_least_ns / 1e9, "s")
            raise InputError(Problem("", expected=f"at least {bound}", found=_shown(found)))
        if self.at_most_ns is not None and t_ns > self.at_most_ns:
            bound = format_quantity(self.at_most_ns / 1e9, "s")
            raise InputError(Problem("", expected=f"at most {bound}", found=_shown(found)))
        return t_ns

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Text in, int out."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What an editor should offer."""
        return _json_schema("s")


def quantity(
    unit: str, *, at_least: float | None = None, above: float | None = None, at_most: float | None = None
) -> Quantity:
    """The marker for a field in ``unit``, to stand in ``Annotated[float, ...]``."""
    return Quantity(unit, at_least, above, at_most)


def _json_schema(unit: str) -> dict[str, Any]:
    kind = KINDS.get(unit)
    text: dict[str, Any] = {"type": "string", "pattern": rf"^\s*{NUMBER}\s*\S.*$"}
    if unit == "1":
        text = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": rf"^\s*{NUMBER}\s*(\S.*)?$"}]}
    text["description"] = f"{kind.noun} with its unit" if kind else f"a quantity in {unit}"
    text["examples"] = [kind.example] if kind else [f"1 {unit}"]
    return text


def _shown(found: object) -> str:
    """What stood in the file, short."""
    if isinstance(found, dict | list):
        return "a mapping" if isinstance(found, dict) else "a list"
    if found is None:
        return "nothing"
    return str(found).lower() if isinstance(found, bool) else repr(found)[:60]


Voltage = Annotated[float, Quantity("V")]
Current = Annotated[float, Quantity("A")]
Temperature = Annotated[float, Quantity("degC")]
TemperatureDifference = Annotated[float, Quantity("K")]
Ratio = Annotated[float, Quantity("1")]
Resistance = Annotated[float, Quantity("ohm", at_least=0.0)]
Capacitance = Annotated[float, Quantity("F", at_least=0.0)]
Inductance = Annotated[float, Quantity("H", at_least=0.0)]
Charge = Annotated[float, Quantity("Ah")]
Energy = Annotated[float, Quantity("Wh")]
Power = Annotated[float, Quantity("W")]
Frequency = Annotated[float, Quantity("Hz", above=0.0)]
BitRate = Annotated[float, Quantity("bit/s", above=0.0)]
VoltageRate = Annotated[float, Quantity("V/s")]
CurrentRate = Annotated[float, Quantity("A/s")]
TemperatureRate = Annotated[float, Quantity("degC/s")]
Torque = Annotated[float, Quantity("N*m")]
Pressure = Annotated[float, Quantity("Pa")]
Mass = Annotated[float, Quantity("kg", at_least=0.0)]
Length = Annotated[float, Quantity("m", at_least=0.0)]
HeatCapacity = Annotated[float, Quantity("J/K", above=0.0)]
ThermalConductance = Annotated[float, Quantity("W/K", at_least=0.0)]
Duration = Annotated[int, TimeNs()]
Period = Annotated[int, TimeNs(at_least_ns=1)]
TimeOffset = Annotated[int, TimeNs(at_least_ns=None)]
