"""Cell and pack files: what the plant, the twin and the harness share is these numbers, never code.

A cell file is produced by a fit, so its arrays are bare numbers with the unit in the key. A pack file is written by
people, so its quantities carry units as text.
"""

import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hil.errors import InputError, Problem
from hil.files.quantities import (
    Capacitance,
    Duration,
    Period,
    Quantity,
    Resistance,
    Temperature,
    ThermalConductance,
)
from hil.files.validate import Strict, load_model, resolve

MOST_TEMPERATURES = 8
MOST_SOC_POINTS = 401
MOST_KNOTS = 41
MOST_CELLS = 192
MOST_SENSORS = 64

Vector = tuple[float, ...]
Grid = tuple[Vector, ...]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Sigma = Annotated[float, Quantity("1", at_least=0.0, at_most=0.2)]
PositiveResistance = Annotated[float, Quantity("ohm", above=0.0)]
PositiveCapacitance = Annotated[float, Quantity("F", above=0.0)]


def _uniform(values: Vector, what: str) -> Vector:
    """``values`` when they rise in equal steps from 0 to 1; raises InputError otherwise."""
    steps = [b - a for a, b in pairwise(values)]
    even = bool(steps) and all(abs(step - 1.0 / len(steps)) < 1e-9 for step in steps)
    if not even or abs(values[0]) > 1e-9:
        raise InputError(Problem("", expected=f"{what} in equal steps from 0 to 1", found=f"{len(values)} values"))
    return values


class HysteresisModel(Strict):
    """Hysteresis by its half width ``m_v``: the branch after a full reversal is 2 m (1 - exp(-gamma |dSoC|)).

    ``m0_v`` is the part that turns round at once.
    """

    m_v: Grid
    gamma: Vector
    m0_v: Vector


class CellModel(Strict):
    """One cell: OCV by temperature and SoC, and the tables of R0 and two RC pairs at knots of SoC.

    ``ocv_v`` is [temperature][soc]; ``r0_ohm`` ... ``tau2_s`` and ``hysteresis.m_v`` are [temperature][soc_knots];
    ``docv_dt_v_per_k`` is [soc], for the reversible heat only.
    """

    cell: str
    source: Any
    licence: str
    capacity_ah: Positive
    mass_kg: Positive
    heat_capacity_j_per_k: Positive
    surface_heat_transfer_w_per_k: Positive
    temperatures_degc: Annotated[Vector, Field(min_length=1, max_length=MOST_TEMPERATURES)]
    soc: Annotated[Vector, Field(min_length=2, max_length=MOST_SOC_POINTS)]
    ocv_v: Grid
    docv_dt_v_per_k: Vector | None = None
    soc_knots: Annotated[Vector, Field(min_length=2, max_length=MOST_KNOTS)]
    r0_ohm: Grid
    r1_ohm: Grid
    tau1_s: Grid
    r2_ohm: Grid
    tau2_s: Grid
    hysteresis: HysteresisModel
    coulombic_efficiency: Vector
    fit: dict[str, Any] = Field(default_factory=dict)

    @field_validator("soc")
    @classmethod
    def _soc_even(cls, values: Vector) -> Vector:
        return _uniform(values, "SoC points")

    @field_validator("soc_knots")
    @classmethod
    def _knots_even(cls, values: Vector) -> Vector:
        return _uniform(values, "SoC knots")

    @field_validator("temperatures_degc")
    @classmethod
    def _rising(cls, values: Vector) -> Vector:
        if any(not b > a for a, b in pairwise(values)):
            raise InputError(Problem("", expected="rising temperatures", found=str(list(values))))
        return values

    @model_validator(mode="after")
    def _shapes(self) -> "CellModel":
        rows, points, knots = len(self.temperatures_degc), len(self.soc), len(self.soc_knots)
        problems = _grid_problems("ocv_v", self.ocv_v, rows, points, least=0.0)
        for name in ("r0_ohm", "r1_ohm", "tau1_s", "r2_ohm", "tau2_s"):
            problems += _grid_problems(name, getattr(self, name), rows, knots, least=1e-12)
        problems += _grid_problems("hysteresis.m_v", self.hysteresis.m_v, rows, knots, least=0.0)
        for name, vector in (
            ("hysteresis.gamma", self.hysteresis.gamma),
            ("hysteresis.m0_v", self.hysteresis.m0_v),
            ("coulombic_efficiency", self.coulombic_efficiency),
        ):
            problems += _vector_problems(name, vector, rows, 0.0)
        if self.docv_dt_v_per_k is not None:
            problems += _vector_problems("docv_dt_v_per_k", self.docv_dt_v_per_k, points, -1.0)
        if max(self.coulombic_efficiency, default=1.0) > 1.0:
            problems.append(Problem("coulombic_efficiency", expected="at most 1", found="more"))
        if problems:
            raise InputError(problems)
        return self


def _vector_problems(name: str, values: Vector, length: int, least: float) -> list[Problem]:
    if len(values) != length:
        return [Problem(name, expected=f"{length} values", found=f"{len(values)}")]
    wrong = [v for v in values if not (math.isfinite(v) and v >= least)]
    return [Problem(name, expected=f"finite values of at least {least:g}", found=repr(wrong[0]))] if wrong else []


def _grid_problems(name: str, grid: Grid, rows: int, columns: int, least: float) -> list[Problem]:
    if len(grid) != rows:
        return [Problem(name, expected=f"one row per temperature ({rows})", found=f"{len(grid)}")]
    return [p for k, row in enumerate(grid) for p in _vector_problems(f"{name}[{k}]", row, columns, least)]


class ScatterModel(Strict):
    """Spread between groups, one standard deviation each: capacity and resistance relative, SoC absolute."""

    capacity_sigma: Sigma
    resistance_sigma: Sigma
    soc_sigma: Sigma
    source: str


class WiringModel(Strict):
    """``busbars``: all conductors between the groups and the fuse, in series; the sense wires one by one."""

    busbars: Resistance
    sense_wire: Resistance
    sense_filter: Period


class ThermalModel(Strict):
    """Per group: to each neighbour, to the coolant (default: the cell's surface times cells in parallel)."""

    between_groups: ThermalConductance
    to_coolant: ThermalConductance | None = None
    coolant_temperature: Temperature


class SensorsModel(Strict):
    """Temperature sensors and the group each is fixed to."""

    count: Annotated[int, Field(ge=1, le=MOST_SENSORS)]
    cells: tuple[Annotated[int, Field(ge=0)], ...]


class ContactorModel(Strict):
    """Power contacts: touch after ``operate``, chatter ``bounces`` times within ``bounce``, open after ``release``."""

    resistance: PositiveResistance
    operate: Duration
    bounce: Duration
    bounces: Annotated[int, Field(ge=0, le=4)] = 1
    release: Duration


class FuseModel(Strict):
    """A fuse that melts at ``fusing_current`` after long, and at ``melting_integral`` of i^2 t when it is quick."""

    resistance: Resistance
    fusing_current: Annotated[float, Quantity("A", above=0.0)]
    melting_integral: Annotated[float, Quantity("A^2*s", above=0.0)]


class HvModel(Strict):
    """The high-voltage circuit behind the cells. ``active_discharge``, where given, acts while both mains are open."""

    link_capacitance: PositiveCapacitance
    link_bleed: PositiveResistance
    standing_load: PositiveResistance | None = None
    standing_power: Annotated[float, Quantity("W", at_least=0.0)] = 0.0
    active_discharge: PositiveResistance | None = None
    precharge: PositiveResistance
    contactor: ContactorModel
    fuse: FuseModel


class LeakModel(Strict):
    """A leak to chassis at ``position`` of the stack: 0 = minus rail, 1 = plus rail."""

    position: Annotated[float, Quantity("1", at_least=0.0, at_most=1.0)]
    resistance: PositiveResistance


class IsolationModel(Strict):
    """Rails to chassis: two resistances, the whole Y-capacitance, and leaks that stand from the start."""

    plus: PositiveResistance
    minus: PositiveResistance
    y_capacitance: Capacitance
    leaks: tuple[LeakModel, ...] = ()


class BalancingModel(Strict):
    """The balancing resistor across each group."""

    resistance: PositiveResistance


class _PackBase(Strict):
    """Everything but the cell."""

    pack: str
    series: Annotated[int, Field(ge=1, le=MOST_CELLS)]
    parallel: Annotated[int, Field(ge=1)]
    scatter: ScatterModel
    wiring: WiringModel
    thermal: ThermalModel
    temperature_sensors: SensorsModel
    hv: HvModel
    isolation: IsolationModel
    balancing: BalancingModel

    @model_validator(mode="after")
    def _sensors_fit(self) -> "_PackBase":
        sensors = self.temperature_sensors
        if len(sensors.cells) != sensors.count:
            raise InputError(
                Problem(
                    "temperature_sensors.cells",
                    expected=f"{sensors.count} group numbers",
                    found=str(len(sensors.cells)),
                )
            )
        if max(sensors.cells) >= self.series:
            raise InputError(
                Problem(
                    "temperature_sensors.cells", expected=f"groups below {self.series}", found=str(max(sensors.cells))
                )
            )
        return self


class PackFile(_PackBase):
    """A pack file as written: ``cell`` names a cell file relative to it."""

    cell: str


class PackModel(_PackBase):
    """A pack with its cell."""

    cell: CellModel

    @property
    def capacity_ah(self) -> float:
        """Nominal capacity of a group, Ah."""
        return self.cell.capacity_ah * self.parallel


def load_pack(path: Path | str) -> PackModel:
    """Load a pack file and the cell file it names. Raises InputError with every problem of the two and its place."""
    written, document = load_model(path, PackFile)
    _, cell = load_model(resolve(document, ("cell",), written.cell), CellModel)
    return PackModel.model_validate({**document.value, "cell": cell.value})
