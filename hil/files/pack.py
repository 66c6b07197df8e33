"""Pack files: what the plant, the twin and the harness share is these numbers, never code.

A pack file is written by people, so its quantities carry units as text; the cell file it names is made by a fit
(hil/files/cell.py).
"""

import math
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from hil.errors import InputError, Problem
from hil.files.abuse import AbuseModel
from hil.files.cell import CellModel
from hil.files.quantities import (
    Capacitance,
    Duration,
    Period,
    Pressure,
    Quantity,
    Resistance,
    Temperature,
    ThermalConductance,
)
from hil.files.validate import Strict, load_model, resolve

MOST_CELLS = 192
MOST_SENSORS = 64
NO_SCATTER = "the spread between groups is not known"

Sigma = Annotated[float, Quantity("1", at_least=0.0, at_most=0.5)]
PositiveResistance = Annotated[float, Quantity("ohm", above=0.0)]
PositiveCapacitance = Annotated[float, Quantity("F", above=0.0)]


class ScatterModel(Strict):
    """Spread between groups, one standard deviation each: capacity and resistance relative, SoC absolute.

    A pack file may leave it out if its cell file has the measured ``spread`` of cells: that of a group's mean is then
    taken, which is smaller by the square root of the cells in parallel, and groups balanced to the same SoC.
    """

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


class EnclosureModel(Strict):
    """The pack's housing as vent gas meets it: free volume, breathing membrane, relief valve.

    Gas above ambient leaves through the membrane with the time constant ``breathing``; the valve opens above ``opens``
    and closes below ``closes``, and while it is open gas leaves with ``relief`` too.
    """

    free_volume: Annotated[float, Quantity("m^3", above=0.0)]
    breathing: Period
    opens: Pressure
    closes: Pressure
    relief: Period

    @model_validator(mode="after")
    def _closes_below(self) -> "EnclosureModel":
        if not 0.0 < self.closes <= self.opens:
            raise InputError(Problem("closes", expected="more than 0 Pa, at most opens", found=f"{self.closes:g} Pa"))
        return self


class _PackBase(Strict):
    """Everything but the cell and how it decomposes."""

    pack: str
    series: Annotated[int, Field(ge=1, le=MOST_CELLS)]
    parallel: Annotated[int, Field(ge=1)]
    scatter: ScatterModel | None = None
    wiring: WiringModel
    thermal: ThermalModel
    temperature_sensors: SensorsModel
    hv: HvModel
    isolation: IsolationModel
    balancing: BalancingModel
    enclosure: EnclosureModel | None = None

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
    """A pack file as written: ``cell`` names a cell file relative to it, ``abuse`` an abuse file."""

    cell: str
    abuse: str | None = None


class PackModel(_PackBase):
    """A pack with its cell; without ``abuse`` its cells never decompose."""

    cell: CellModel
    abuse: AbuseModel | None = None

    @model_validator(mode="after")
    def _scatter_known(self) -> "PackModel":
        if self.scatter is None and self.cell.spread is None:
            raise InputError(Problem(NO_SCATTER, expected="scatter, or a cell file with spread"))
        return self

    @property
    def group_scatter(self) -> ScatterModel:
        """Spread between groups: the pack file's, else the cells' measured one over sqrt(parallel), balanced."""
        if self.scatter is not None:
            return self.scatter
        spread = self.cell.spread
        assert spread is not None
        averaged = math.sqrt(self.parallel)
        source = f"cell file ({spread.source})" + (f", over the square root of {self.parallel}" * (self.parallel > 1))
        return ScatterModel(
            capacity_sigma=spread.capacity_sigma / averaged,
            resistance_sigma=spread.resistance_sigma / averaged,
            soc_sigma=0.0,
            source=source,
        )

    @property
    def abuse_label(self) -> str:
        """What stands behind the pack's runaway, in words: ``LCO 18650, four reactions, surrogate for LFP``."""
        if self.abuse is None:
            return "none"
        if self.abuse.chemistry == self.cell.chemistry:
            return self.abuse.abuse
        return f"{self.abuse.abuse}, surrogate for {self.cell.chemistry or self.cell.cell}"

    @property
    def capacity_ah(self) -> float:
        """Nominal capacity of a group, Ah."""
        return self.cell.capacity_ah * self.parallel


def load_pack(path: Path | str) -> PackModel:
    """Load a pack file and the files it names. Raises InputError with every problem of each and its place."""
    written, document = load_model(path, PackFile)
    _, cell = load_model(resolve(document, ("cell",), written.cell), CellModel)
    if written.scatter is None and cell.value.get("spread") is None:
        raise InputError(document.problem((), NO_SCATTER, expected="scatter, or a cell file with spread"))
    named = {"cell": cell.value}
    if written.abuse is not None:
        named["abuse"] = load_model(resolve(document, ("abuse",), written.abuse), AbuseModel)[1].value
    return PackModel.model_validate({**document.value, **named})
