"""The limits file of a BMS: tiers, debounce, delays and the source of each, in one language-neutral place.

The Python BMS is configured from it, scenarios resolve ``limits.<entry>.<key>`` from it through ``lookup``, and the C
table is generated from it. A reaction budget is always computed (``budget_ns``), never written.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hil.errors import InputError, Problem, nearest
from hil.files.quantities import (
    Current,
    Duration,
    Period,
    Quantity,
    Resistance,
    Temperature,
    TimeNs,
    Voltage,
)
from hil.files.validate import Strict, load_model

Kelvin = Annotated[float, Quantity("K", above=0.0)]
Share = Annotated[float, Quantity("1", at_least=0.0, at_most=1.0)]


class Timing(Strict):
    """Times of one protection, and what it does: ``open`` the contactors or only ``warn``."""

    debounce: Duration
    heal: Duration
    delay: Duration
    actuator: Duration
    bus_period: Duration
    margin: Duration
    reaction: Literal["open", "warn"]
    source: str


class VoltageLimit(Timing):
    """One voltage limit with hysteresis."""

    MSL: Voltage
    release: Voltage


class VoltageTiers(VoltageLimit):
    """Three voltage limits."""

    MOL: Voltage
    RSL: Voltage


class TemperatureTiers(Timing):
    """Three temperature limits with hysteresis."""

    MOL: Temperature
    RSL: Temperature
    MSL: Temperature
    release: Temperature


class CurrentLimit(Timing):
    """One current limit, a magnitude, with hysteresis."""

    MSL: Current
    release: Current


class CurrentTiers(CurrentLimit):
    """Three current limits, magnitudes."""

    MOL: Current
    RSL: Current


class ResistanceLimit(Timing):
    """A resistance that must not be fallen below."""

    MSL: Resistance
    release: Resistance


class SensorBand(Timing):
    """A thermistor outside this band is broken (open) or shorted."""

    open_below: Temperature
    short_above: Temperature


class WeldCheck(Strict):
    """``settle`` after opening the link must have left the pack's voltage by more than ``below``, a share of it;
    before precharge it must not ``rise`` by that share.
    """

    settle: Duration
    below: Share
    rise: Share
    source: str


class Limits(Strict):
    """All protections of the BMS."""

    cell_ov: VoltageTiers
    cell_uv: VoltageTiers
    cell_deep_uv: VoltageLimit
    ot_discharge: TemperatureTiers
    ot_charge: TemperatureTiers
    ut_discharge: TemperatureTiers
    ut_charge: TemperatureTiers
    oc_discharge: CurrentTiers
    oc_charge: CurrentTiers
    plausibility_sum: VoltageLimit
    cell_spread: VoltageLimit
    open_wire: VoltageLimit
    thermistor: SensorBand
    contactor_feedback: Timing
    weld_check: WeldCheck
    break_inhibit: CurrentLimit
    request_timeout: Timing
    request_crc: Timing
    request_counter: Timing
    isolation_warning: ResistanceLimit
    isolation_fault: ResistanceLimit

    @model_validator(mode="after")
    def _order(self) -> "Limits":
        problems = [
            *_rising("cell_ov", self.cell_ov, ("release", "MSL")),
            *_rising("cell_ov", self.cell_ov, ("MOL", "RSL", "MSL")),
            *_rising("cell_uv", self.cell_uv, ("MSL", "RSL", "MOL")),
            *_rising("cell_uv", self.cell_uv, ("MSL", "release")),
            *_rising("cell_deep_uv", self.cell_deep_uv, ("MSL", "release")),
        ]
        for name in ("ot_discharge", "ot_charge", "oc_discharge", "oc_charge"):
            problems += _rising(name, getattr(self, name), ("MOL", "RSL", "MSL"))
            problems += _rising(name, getattr(self, name), ("release", "MSL"))
        for name in ("ut_discharge", "ut_charge"):
            problems += _rising(name, getattr(self, name), ("MSL", "RSL", "MOL"))
            problems += _rising(name, getattr(self, name), ("MSL", "release"))
        for name in ("isolation_warning", "isolation_fault"):
            problems += _rising(name, getattr(self, name), ("MSL", "release"))
        if problems:
            raise InputError(problems)
        return self


def _rising(name: str, entry: Any, keys: tuple[str, ...]) -> list[Problem]:
    values = [getattr(entry, key) for key in keys]
    if all(a <= b for a, b in pairwise(values)):
        return []
    return [Problem(name, expected=" <= ".join(keys), found=", ".join(f"{v:g}" for v in values))]


class BmsTiming(Strict):
    """The schedule: task, its phase off the bench's tick, cell image; how faults are counted."""

    task: Period
    phase: Duration
    cell_image: Period
    startup: Duration
    debounce: Literal["reset", "leaky"]
    counts: Literal["new_samples", "calls"]
    source: str

    @model_validator(mode="after")
    def _whole(self) -> "BmsTiming":
        if self.cell_image % self.task or self.cell_image < 2 * self.task:
            expected = "a multiple of the task's period, at least two (the open-wire test uses the second)"
            raise InputError(Problem("cell_image", expected=expected, found=f"{self.cell_image / self.task:g} periods"))
        return self


class Precharge(Strict):
    """Precharge ends when the link is ``end_within`` of the pack; a short when it is below ``short_below`` at
    ``short_after``; after ``timeout`` a try has failed."""

    timeout: Period
    end_within: Share
    short_after: Period
    short_below: Share
    tries: Annotated[int, Field(ge=1, le=3)]
    pause: Duration
    source: str


class Opening(Strict):
    """An opening on request waits at most ``wait`` for the current to fall below ``current``."""

    wait: Duration
    current: Current
    source: str


class Derating(Strict):
    """Current limits at full power; charging is seen from a current more negative than ``charge_seen_above``."""

    discharge_current: Current
    charge_current: Current
    charge_seen_above: Current
    source: str


class Balancing(Strict):
    """Cells ``above`` and more than ``difference`` over the lowest are bled while the current is small."""

    above: Voltage
    release: Voltage
    difference: Voltage
    current_below: Current
    source: str


class Supervision(Strict):
    """Supply below which the unit is off, and the time the interlock or wake line may be missing."""

    supply_min: Voltage
    interlock: Duration
    source: str


class ThermistorDivider(Strict):
    """An NTC to ground under a pull-up resistor: R = r25 exp(beta (1/T - 1/298.15 K))."""

    r25: Annotated[float, Quantity("ohm", above=0.0)]
    beta: Kelvin
    pull_up: Annotated[float, Quantity("ohm", above=0.0)]
    source: str


class SocModel(Strict):
    """Nominal capacity, and the state of charge of a unit without an NVM image."""

    capacity: Annotated[float, Quantity("Ah", above=0.0)]
    factory: Share
    source: str


class BmsLimits(Strict):
    """A whole limits file."""

    bms: str
    calibration: Annotated[int, Field(ge=0, le=0xFFFF)]
    timing: BmsTiming
    limits: Limits
    precharge: Precharge
    opening: Opening
    derating: Derating
    balancing: Balancing
    supervision: Supervision
    thermistor_divider: ThermistorDivider
    soc: SocModel


def load_limits(path: Path | str) -> BmsLimits:
    """Load a limits file. Raises InputError with every problem and its place."""
    model, _ = load_model(path, BmsLimits)
    return model


def budget_ns(entry: Timing, tick_ns: int) -> int:
    """Time a reaction may take from the fault at the pin to open poles, ns.

    Debounce + delay + actuator + bus period + 2 ticks + margin.
    """
    return entry.debounce + entry.delay + entry.actuator + entry.bus_period + 2 * tick_ns + entry.margin


def _values(model: BmsLimits) -> dict[str, tuple[float, str]]:
    """Every numeric key as ``entry.key`` -> (SI value, unit); times in s."""
    out: dict[str, tuple[float, str]] = {}
    groups: dict[str, Strict] = {name: getattr(model.limits, name) for name in Limits.model_fields}
    for name in BmsLimits.model_fields:
        if name not in groups and name != "limits" and isinstance(getattr(model, name), Strict):
            groups[name] = getattr(model, name)
    for name, entry in groups.items():
        for key, info in type(entry).model_fields.items():
            value = getattr(entry, key)
            if isinstance(value, str):
                continue
            unit = next((m.unit for m in info.metadata if isinstance(m, Quantity)), "1")
            if any(isinstance(m, TimeNs) for m in info.metadata):
                value, unit = value / 1e9, "s"
            out[f"{name}.{key}"] = (float(value), unit)
    return out


def names(model: BmsLimits) -> tuple[str, ...]:
    """Every name ``lookup`` knows: ``cell_ov.MSL`` ... ``precharge.timeout``, then the budgets."""
    budgets = [f"{n}.budget" for n in Limits.model_fields if isinstance(getattr(model.limits, n), Timing)]
    return (*_values(model), *budgets)


def lookup(model: BmsLimits, name: str, tick_ns: int) -> tuple[float, str]:
    """The SI value and the unit that ``limits.<name>`` stands for; times and budgets in s.

    Raises:
        InputError: an unknown name, with the nearest one.
    """
    entry, _, key = name.partition(".")
    if key == "budget":
        timing = getattr(model.limits, entry, None) if entry in Limits.model_fields else None
        if isinstance(timing, Timing):
            return budget_ns(timing, tick_ns) / 1e9, "s"
    found = _values(model).get(name)
    if found is None:
        raise InputError(Problem(f"no limit {name!r}", nearest=nearest(name, names(model)) or ""))
    return found
