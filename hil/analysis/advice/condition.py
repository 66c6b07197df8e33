"""The condition of a pack: what advice is made from, out of a file or out of the twin's estimates in a record."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hil.errors import InputError, Problem
from hil.files import Charge, Current, Quantity, Strict, Voltage, load_model

if TYPE_CHECKING:
    from hil.records.reader import Record

Floats = NDArray[np.float64]
MOST_GROUPS = 100_000
TWIN: Mapping[str, str] = MappingProxyType(
    {
        "soh_capacity": "twin.soh_capacity",
        "soh_capacity_sigma": "twin.soh_capacity_sigma",
        "resistance_growth": "twin.resistance_growth",
        "resistance_growth_sigma": "twin.resistance_growth_sigma",
        "cell_soc": "twin.cell_soc",
        "cell_soc_sigma": "twin.cell_soc_sigma",
    }
)
"""Which quantity of a record holds which field of ``Condition``. A quantity that is not there is unknown, no error."""
CELL_WARNING, PACK_WARNING, WARNED_CELL = "twin.cell_warning", "twin.warning", "twin.warning_cell"
LEAK, LEAK_SIGMA, CELL_VOLTAGE = "twin.leak_current", "twin.leak_sigma", "twin.cell_voltage"
GRAVE_BITS = 8 + 16
"""Of the tests whose sum ``CELL_WARNING`` is, those that are an alarm: heat, runaway. Any other is a suspicion."""
GRAVE = ("HEAT", "GAS", "RUNAWAY")
"""States of ``PACK_WARNING`` that are an alarm; NONE is none, any other a suspicion."""
CLEAR_LEAK = 3.0
"""A leak of fewer standard deviations than this is no short."""


@dataclass(frozen=True, slots=True)
class Life:
    """Cycles left: the median and the ends of the central interval of probability ``level``; ``high`` may be inf."""

    median: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Condition:
    """A pack of ``n`` groups in series. Arrays are (n,), or (1,) where only the pack as a whole is known; NaN: unknown.

    ``soh_capacity`` is the capacity over that when new, ``resistance_growth`` the resistance over that when new (1: as
    new), ``cell_soc`` 0 to 1, each with one standard deviation. ``warning`` is the state of the early warning: 0 none, 1
    suspected, 2 alarm; ``pack_warning`` the same where it is known of no group. ``short_ohm`` is the estimate of an
    internal short with the standard deviation of its logarithm; NaN where none was found.
    ``capacity_ah`` is that of a group when new.
    """

    name: str
    n: int
    soh_capacity: Floats | None = None
    soh_capacity_sigma: Floats | None = None
    resistance_growth: Floats | None = None
    resistance_growth_sigma: Floats | None = None
    cell_soc: Floats | None = None
    cell_soc_sigma: Floats | None = None
    warning: Floats | None = None
    short_ohm: Floats | None = None
    short_log_sigma: Floats | None = None
    life: Life | None = None
    capacity_ah: float | None = None
    voltage_v: float = 3.6
    balancing_current_a: float | None = None
    cycles_per_day: float | None = None
    groups_per_module: int | None = None
    pack_warning: float | None = None

    def place(self, group: int) -> str:
        """A group as people find it: numbered from 1, with its module where that is known."""
        if self.n == 1:
            return "the pack"
        module = "" if self.groups_per_module is None else f" (module {group // self.groups_per_module + 1})"
        return f"group {group + 1}{module}"


Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Level = Annotated[int, Field(ge=0, le=2)]
PerGroup = Number | Annotated[tuple[Number, ...], Field(min_length=1, max_length=MOST_GROUPS)]


class LifeModel(Strict):
    """Cycles left, as ``hil rul --json`` gives them; ``high`` is left out when no end is in sight."""

    median: Positive
    low: NotNegative
    high: Positive | None = None
    level: Annotated[float, Field(gt=0.0, lt=1.0)]

    @model_validator(mode="after")
    def _order(self) -> "LifeModel":
        if self.low > self.median or (self.high is not None and self.high < self.median):
            raise InputError(
                Problem("", expected="low <= median <= high", found=f"{self.low:g}, {self.median:g}, {self.high}")
            )
        return self


class ShortModel(Strict):
    """An internal short that was found in ``group`` (from 1); ``log_sigma`` is the standard deviation of ln(resistance)."""

    group: Annotated[int, Field(ge=1)]
    resistance: Annotated[float, Quantity("ohm", above=0.0)]
    log_sigma: NotNegative | None = None


class ConditionModel(Strict):
    """A condition file. Values per group are a list, one for each, or one number for the pack as a whole."""

    pack: Annotated[str, Field(min_length=1)]
    soh_capacity: PerGroup | None = None
    soh_capacity_sigma: PerGroup | None = None
    resistance_growth: PerGroup | None = None
    resistance_growth_sigma: PerGroup | None = None
    cell_soc: PerGroup | None = None
    cell_soc_sigma: PerGroup | None = None
    warning: Level | Annotated[tuple[Level, ...], Field(min_length=1, max_length=MOST_GROUPS)] | None = None
    shorts: tuple[ShortModel, ...] | None = None
    remaining: LifeModel | None = None
    capacity: Charge | None = None
    voltage: Voltage = 3.6
    balancing_current: Current | None = None
    cycles_per_day: Positive | None = None
    groups_per_module: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _sizes(self) -> "ConditionModel":
        sizes = {name: len(v) for name in GROUPED if isinstance(v := getattr(self, name), tuple)}
        n, problems = max(sizes.values(), default=1), []
        for name, size in sizes.items():
            if size != n:
                problems.append(Problem(name, expected=f"{n} values, as many as the longest list", found=f"{size}"))
        for name in GROUPED:
            low, high = BOUNDS[name]
            for value in np.ravel(getattr(self, name) if getattr(self, name) is not None else []).tolist():
                if not low <= value <= high:
                    problems.append(Problem(name, expected=f"{low:g} to {high:g}", found=f"{value:g}"))
                    break
        for short in self.shorts or ():
            if short.group > n:
                problems.append(Problem("shorts: group", expected=f"1 to {n}", found=f"{short.group}"))
        for name in ("capacity", "voltage", "balancing_current"):
            if (value := getattr(self, name)) is not None and value <= 0:
                problems.append(Problem(name, expected="more than 0", found=f"{value:g}"))
        if problems:
            raise InputError(problems)
        return self


GROUPED = ("soh_capacity", "soh_capacity_sigma", "resistance_growth", "resistance_growth_sigma", "cell_soc",
           "cell_soc_sigma", "warning")  # fmt: skip
BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "soh_capacity": (0.0, 2.0),
        "resistance_growth": (0.0, 100.0),
        "cell_soc": (-0.1, 1.1),
        "warning": (0.0, 2.0),
        **dict.fromkeys(("soh_capacity_sigma", "resistance_growth_sigma", "cell_soc_sigma"), (0.0, 10.0)),
    }
)


def load_condition(path: Path | str) -> Condition:
    """Load a condition file (YAML or JSON). Raises InputError with every problem and its place."""
    made = load_model(path, ConditionModel)[0]
    values: dict[str, Any] = {
        name: np.atleast_1d(np.array(v, np.float64)) for name in GROUPED if (v := getattr(made, name)) is not None
    }
    n = max([len(v) for v in values.values()] + [short.group for short in made.shorts or ()], default=1)
    if made.shorts is not None:
        values["short_ohm"], values["short_log_sigma"] = np.full((2, n), math.nan)
        for short in made.shorts:
            values["short_ohm"][short.group - 1] = short.resistance
            values["short_log_sigma"][short.group - 1] = math.nan if short.log_sigma is None else short.log_sigma
    left = made.remaining
    life = None
    if left is not None:
        life = Life(left.median, left.low, math.inf if left.high is None else left.high, left.level)
    return Condition(
        made.pack,
        n,
        **values,
        life=life,
        capacity_ah=made.capacity,
        voltage_v=made.voltage,
        balancing_current_a=made.balancing_current,
        cycles_per_day=made.cycles_per_day,
        groups_per_module=made.groups_per_module,
    )


def condition_of(record: "Record") -> Condition:
    """What the twin knew at the end of a run: of each quantity the last known value, of warnings the worst.

    What the record does not hold, or never knew, is unknown. A short is a leak at the cell's voltage; its resistance is
    known by the factor by which the leak is.
    """
    found = {name: _taken(record, quantity, worst=False) for name, quantity in TWIN.items()}
    found["warning"] = _cell_levels(_taken(record, CELL_WARNING, worst=True, bits=True))
    found["short_ohm"], found["short_log_sigma"] = _shorts(record)
    values: dict[str, Any] = {name: v for name, v in found.items() if v is not None}
    n = max((len(v) for v in values.values()), default=1)
    fitting = {name: v for name, v in values.items() if len(v) in (1, n)}
    level, cell = _pack_level(record)
    if level is not None and level > 0 and cell is not None and 0 <= cell < n and n > 1:
        told = fitting.get("warning", np.zeros(n)).copy()
        told[cell] = max(told[cell], level) if math.isfinite(told[cell]) else level
        fitting["warning"], level = told, None
    return Condition(record.path.name, n, **fitting, pack_warning=level)


def _cell_levels(bits: Floats | None) -> Floats | None:
    """0 none, 1 suspected, 2 alarm, from the sum of tests failed."""
    if bits is None:
        return None
    grave = np.array([bool(int(b) & GRAVE_BITS) if math.isfinite(b) else False for b in bits.tolist()])
    return np.where(np.isnan(bits), math.nan, np.where(grave, 2.0, np.where(bits > 0, 1.0, 0.0)))


def _pack_level(record: "Record") -> tuple[float | None, int | None]:
    """The level of the pack's warning, and the cell it names where it names one."""
    state, cell = _taken(record, PACK_WARNING, worst=True), _taken(record, WARNED_CELL, worst=False)
    quantity = record.table.find(PACK_WARNING)
    if state is None or quantity is None:
        return None, None
    number = int(state[0])
    label = quantity.labels[number] if 0 <= number < len(quantity.labels) else ""
    level = 2.0 if label in GRAVE else 0.0 if number <= 0 else 1.0
    return level, None if cell is None else int(cell[0])


def _shorts(record: "Record") -> tuple[Floats | None, Floats | None]:
    """Resistance and the standard deviation of its logarithm, where a leak stands clear of its own doubt."""
    leak, sigma = _taken(record, LEAK, worst=False), _taken(record, LEAK_SIGMA, worst=False)
    voltage = _taken(record, CELL_VOLTAGE, worst=False)
    if leak is None or voltage is None or len(voltage) != len(leak) or sigma is None or len(sigma) != len(leak):
        return None, None
    with np.errstate(divide="ignore", invalid="ignore"):
        clear = (leak > 0) & (leak > CLEAR_LEAK * sigma) & (voltage > 0)
        return np.where(clear, voltage / leak, math.nan), np.where(clear, sigma / leak, math.nan)


def _taken(record: "Record", name: str, worst: bool, bits: bool = False) -> Floats | None:
    """The last known value of each element, or the ``worst``: the greatest, or of ``bits`` all that were ever set."""
    quantity = record.table.find(name)
    if quantity is None:
        return None
    taken = np.full(quantity.count, math.nan)
    for i in range(quantity.count):
        values = _column(record, quantity.start + i)
        known = values[np.isfinite(values)]
        if len(known) and bits:
            taken[i] = float(np.bitwise_or.reduce(np.clip(known, 0, 2**31).astype(np.int64)))
        elif len(known):
            taken[i] = known.max() if worst else known[-1]
    return taken if np.isfinite(taken).any() else None


def _column(record: "Record", index: int) -> Floats:
    """A column at the best rate recorded; nothing where the record does not keep it."""
    if index in record.check_columns:
        return np.asarray(record.checks[:, record.check_columns.index(index)])
    return np.asarray(record.rows[:, index]) if index < record.table.recorded else np.empty(0)


def known_fields(condition: Condition) -> dict[str, Any]:
    """The fields that are known, as plain numbers for JSON; NaN becomes None."""
    told: dict[str, Any] = {}
    for field in fields(condition):
        value = getattr(condition, field.name)
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            value = [float(x) if math.isfinite(x) else None for x in value]
        elif isinstance(value, Life):
            high = value.high if math.isfinite(value.high) else None
            value = {"median": value.median, "low": value.low, "high": high, "level": value.level}
        told[field.name] = value
    return told
