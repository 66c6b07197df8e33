"""Abuse files: the numbers by which an overheated cell decomposes, gives off gas and shorts inside.

The reactions are those of one published cell. A pack of another cell uses them by its heat capacity, so that the
adiabatic rise of temperature is the published cell's; where the chemistry differs too, they are a *surrogate*, and
``PackModel.abuse_label`` says so wherever the pack is named.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hil.files.quantities import Period, Quantity, Temperature
from hil.files.validate import Strict, load_model

Chemistry = Literal["LFP", "NMC", "NCA", "LMO", "LCO"]
Inside = Annotated[float, Quantity("1", above=0.0, at_most=0.999)]


class ReactionModel(Strict):
    """One reaction: k = ``rate`` exp(-``activation_energy`` / R T), heat ``heat`` times ``content`` of its reactant.

    ``start`` is what is left of the reactant in a fresh cell; of the cathode, whose reaction feeds on its own product,
    what has reacted.
    """

    rate: Annotated[float, Quantity("1/s", above=0.0)]
    activation_energy: Annotated[float, Quantity("J/mol", above=0.0)]
    heat: Annotated[float, Quantity("J/kg", at_least=0.0)]
    content: Annotated[float, Quantity("kg/m^3", at_least=0.0)]
    start: Annotated[float, Quantity("1", above=0.0, at_most=1.0)]
    source: str


class CathodeModel(ReactionModel):
    """Autocatalytic: rate law k a (1 - a)."""

    start: Inside


class AnodeModel(ReactionModel):
    """Slowed by the layer it grows: rate law k exp(-layer / ``layer_reference``) x, the layer growing as x falls."""

    layer: Annotated[float, Quantity("1", at_least=0.0)]
    layer_reference: Annotated[float, Quantity("1", above=0.0)]


class ReactionsModel(Strict):
    """The four reactions of Hatchard 2001 and Kim 2007; sei, anode and electrolyte fall by k x."""

    sei: ReactionModel
    anode: AnodeModel
    cathode: CathodeModel
    electrolyte: ReactionModel


class SeparatorModel(Strict):
    """At ``collapse`` a cell shorts inside, by what empties it from half charge in ``discharge``."""

    collapse: Temperature
    discharge: Period
    source: str


class VentModel(Strict):
    """At ``temperature`` a cell vents; ``gas`` is all it gives off, in proportion to the heat its reactions have made."""

    temperature: Temperature
    gas: Annotated[float, Quantity("mol/Ah", at_least=0.0)]
    source: str


class AbuseModel(Strict):
    """An abuse file. Without ``separator`` or ``vent`` that part does not happen."""

    abuse: str
    chemistry: Chemistry
    source: str
    volumetric_heat_capacity: Annotated[float, Quantity("J/K/m^3", above=0.0)] = Field(
        description="of the published cell; content over it is what a group has per J/K of its own"
    )
    reactions: ReactionsModel
    separator: SeparatorModel | None = None
    vent: VentModel | None = None


def load_abuse(path: Path | str) -> AbuseModel:
    """Load an abuse file. Raises InputError with every problem and its place."""
    return load_model(path, AbuseModel)[0]
