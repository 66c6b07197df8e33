"""What a BPX file holds, as far as a cell file needs it: electrodes, capacity, voltage limits, heat, and what is missing."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hil.analysis.bpx.functions import Floats, function_of
from hil.analysis.bpx.ocv import KELVIN, Electrode, electrode_capacity_ah, open_circuit_v, slope_v_per_k
from hil.errors import InputError, Problem, printable

CAPACITIES_AGREE = 0.005  # electrodes that differ by more are told
CAPACITIES_DIFFER = 0.05  # by more than this the limits cannot belong to one cell
POINTS = 201
ROOM_DEGC = 25.0
SIDES = ("Negative electrode", "Positive electrode")


@dataclass(frozen=True, slots=True)
class Thermal:
    """Heat, as far as the file has it; None = not in the file."""

    mass_kg: float | None
    heat_capacity_j_per_k: float | None
    surface_m2: float | None
    heat_transfer_w_per_m2_k: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """One cell of a BPX file. ``document`` is the file as BPX 1 has it; ``notes`` say what is missing or not used."""

    path: Path
    document: dict[str, Any]
    title: str
    references: str
    licence: str
    model: str
    negative: Electrode
    positive: Electrode
    nominal_ah: float
    lower_v: float
    upper_v: float
    reference_degc: float
    thermal: Thermal
    knows_temperature: bool
    knows_entropy: bool
    notes: tuple[str, ...]

    @property
    def capacity_ah(self) -> float:
        """Charge between the stoichiometry limits, the mean of the two electrodes."""
        return 0.5 * (self.negative.capacity_ah + self.positive.capacity_ah)

    def ocv_v(self, soc: Floats, temperature_degc: float) -> Floats:
        """OCV over SoC at a temperature."""
        return open_circuit_v(self.positive, self.negative, soc, temperature_degc, self.reference_degc)

    def docv_dt_v_per_k(self, soc: Floats) -> Floats:
        """Slope of the OCV over temperature, over SoC."""
        return slope_v_per_k(self.positive, self.negative, soc)


class _Reader:
    """Reads numbers of a document and gathers what is wrong with it."""

    def __init__(self, document: Mapping[str, Any], path: Path) -> None:
        self.document, self.path = document, path
        self.problems: list[Problem] = []

    def section(self, *keys: str) -> Mapping[str, Any]:
        """The mapping at ``keys``, empty where there is none."""
        at: Any = self.document
        for key in keys:
            at = at.get(key) if isinstance(at, Mapping) else None
        return at if isinstance(at, Mapping) else {}

    def wrong(self, where: str, expected: str, found: str) -> None:
        """Take down one more problem."""
        self.problems.append(Problem(where, str(self.path), expected=expected, found=found))

    def number(self, section: str, key: str, *, above: float = 0.0, needed: bool = True) -> float:
        """A number above ``above``; NaN where it is absent, a problem when it is ``needed``."""
        value = self.section("Parameterisation", section).get(key)
        if value is None and not needed:
            return math.nan
        found = _float(value)
        if not above < found < math.inf:
            shown = "nothing" if value is None else repr(value)[:60]
            self.wrong(f"{section} > {key}", f"a number above {max(above, 0.0):g}", shown)
            return math.nan
        return found

    def text(self, *keys: str) -> str:
        """A text on one line, empty where there is none."""
        value = self.section(*keys[:-1]).get(keys[-1])
        return printable(" ".join(value.split())) if isinstance(value, str) else ""


def _float(value: object) -> float:
    """The number that ``value`` is, NaN for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def parameters_of(document: dict[str, Any], path: Path, notes: tuple[str, ...] = ()) -> Parameters:
    """The cell of a BPX document of version 1.

    Raises InputError with every quantity that is missing or wrong: without these there is no OCV over SoC.
    """
    reader = _Reader(document, path)
    sides = [_electrode(reader, name) for name in SIDES]
    lower_v = reader.number("Cell", "Lower voltage cut-off [V]")
    upper_v = reader.number("Cell", "Upper voltage cut-off [V]")
    nominal_ah = reader.number("Cell", "Nominal cell capacity [A.h]")
    reference_k = reader.number("Cell", "Reference temperature [K]", needed=False)
    negative, positive = sides
    if reader.problems or negative is None or positive is None:
        raise InputError(reader.problems)
    knows_temperature = any("activation energy" in key and value for key, value in _leaves(document))
    made = Parameters(
        path=path,
        document=document,
        title=reader.text("Header", "Title") or path.stem,
        references=reader.text("Header", "References"),
        licence=reader.text("Header", "License") or reader.text("Header", "Licence"),
        model=reader.text("Header", "Model"),
        negative=negative,
        positive=positive,
        nominal_ah=nominal_ah,
        lower_v=lower_v,
        upper_v=upper_v,
        reference_degc=ROOM_DEGC if math.isnan(reference_k) else reference_k - KELVIN,
        thermal=_thermal(reader),
        knows_temperature=knows_temperature,
        knows_entropy=any("Entropic" in key and value != 0 for key, value in _leaves(document)),
        notes=notes,
    )
    _refuse(reader, made)
    return _noted(made, reader, math.isnan(reference_k))


def _electrode(reader: _Reader, name: str) -> Electrode | None:
    """One electrode; None when something of it is wrong, which the reader has then."""
    section, before = reader.section("Parameterisation", name), len(reader.problems)
    if "Particle" in section:
        expected = "one active material, whose OCP gives the OCV over SoC"
        reader.wrong(f"{name} > Particle", expected, "a blend of several")
        return None
    least = reader.number(name, "Minimum stoichiometry", above=-1e-12)
    most = reader.number(name, "Maximum stoichiometry")
    active = (
        reader.number(name, "Surface area per unit volume [m-1]") * reader.number(name, "Particle radius [m]") / 3.0
    )
    pairs = reader.number("Cell", "Number of electrode pairs connected in parallel to make a cell")
    area_m2 = reader.number("Cell", "Electrode area [m2]") * pairs
    thickness_m, most_mol = reader.number(name, "Thickness [m]"), reader.number(name, "Maximum concentration [mol.m-3]")
    functions = []
    for key, absent in (("OCP [V]", None), ("Entropic change coefficient [V.K-1]", 0.0)):
        value = section.get(key)
        try:
            functions.append(function_of(absent if value is None else value, f"{name} > {key}"))
        except InputError as error:
            problem = error.problems[0]
            reader.wrong(problem.message, problem.expected, "nothing" if value is None else problem.found)
    if not least < most <= 1.0 and len(reader.problems) == before:
        reader.wrong(f"{name} > Maximum stoichiometry", f"more than the minimum {least:g}, at most 1", f"{most:g}")
    if len(reader.problems) > before:
        return None
    empty, full = (least, most) if name == SIDES[0] else (most, least)
    return Electrode(
        functions[0],
        functions[1],
        empty,
        full,
        electrode_capacity_ah(area_m2, thickness_m, active, most_mol, (least, most)),
    )


def _thermal(reader: _Reader) -> Thermal:
    def known(key: str) -> float | None:
        value = reader.number("Cell", key, needed=False)
        return None if math.isnan(value) else value

    volume_m3, density_kg_per_m3 = known("Volume [m3]"), known("Density [kg.m-3]")
    heat_j_per_kg_k = known("Specific heat capacity [J.K-1.kg-1]")
    mass_kg = None if volume_m3 is None or density_kg_per_m3 is None else volume_m3 * density_kg_per_m3
    surroundings = _float(reader.section("State", "Thermal environment").get("Heat transfer coefficient [W.m-2.K-1]"))
    return Thermal(
        mass_kg,
        None if mass_kg is None or heat_j_per_kg_k is None else mass_kg * heat_j_per_kg_k,
        known("External surface area [m2]"),
        surroundings if 0.0 < surroundings < math.inf else None,
    )


def _refuse(reader: _Reader, made: Parameters) -> None:
    """Raise InputError for values that are each well formed and together no cell."""
    soc = np.linspace(0.0, 1.0, POINTS)
    for name, side in zip(SIDES, (made.negative, made.positive), strict=True):
        for key, function in (("OCP [V]", side.ocp_v), ("Entropic change coefficient [V.K-1]", side.entropy_v_per_k)):
            if not np.isfinite(function(side.stoichiometry(soc))).all():
                reader.wrong(
                    f"{name} > {key}", "a finite value at every stoichiometry in use", "infinite or not a number"
                )
    if not reader.problems:
        ocv_v = made.ocv_v(soc, made.reference_degc)
        if not (ocv_v > 0.0).all() or ocv_v[-1] <= ocv_v[0]:
            found = f"{ocv_v[0]:.3f} V empty, {ocv_v[-1]:.3f} V full, at least {ocv_v.min():.3f} V"
            reader.wrong("OCV from the OCPs and stoichiometry limits", "above 0 V, higher at 100 % than at 0 %", found)
    for name, side in zip(SIDES, (made.negative, made.positive), strict=True):
        if not 1e-9 < side.capacity_ah < 1e9:
            reader.wrong(
                f"{name}: capacity between the stoichiometry limits", "1e-9 to 1e9 Ah", f"{side.capacity_ah:g} Ah"
            )
    if reader.problems:
        raise InputError(reader.problems)
    ratio = made.positive.capacity_ah / made.negative.capacity_ah - 1.0
    if abs(ratio) > CAPACITIES_DIFFER:
        found = f"{made.negative.capacity_ah:.4g} Ah negative, {made.positive.capacity_ah:.4g} Ah positive"
        reader.wrong("capacities between the stoichiometry limits", f"equal within {CAPACITIES_DIFFER:.0%}", found)
    if made.lower_v >= made.upper_v:
        reader.wrong("Cell > Upper voltage cut-off [V]", f"more than the lower, {made.lower_v:g}", f"{made.upper_v:g}")
    if reader.problems:
        raise InputError(reader.problems)


def _noted(made: Parameters, reader: _Reader, no_reference: bool) -> Parameters:
    """The same with a note for everything missing, assumed or not used."""
    notes = list(made.notes)
    if abs(made.positive.capacity_ah / made.negative.capacity_ah - 1.0) > CAPACITIES_AGREE:
        notes.append(
            f"the electrodes hold {made.negative.capacity_ah:.4g} Ah (negative) and {made.positive.capacity_ah:.4g} Ah "
            "(positive) between their limits; the mean is taken"
        )
    if no_reference:
        notes.append(f"no reference temperature: {ROOM_DEGC:g} degC assumed")
    if not made.knows_temperature:
        notes.append("no activation energy: resistances do not change with temperature")
    if not made.knows_entropy:
        notes.append("no entropic coefficient: OCV does not change with temperature, no reversible heat")
    absent = [
        name
        for name, value in (
            ("density or volume (mass)", made.thermal.mass_kg),
            ("specific heat capacity", made.thermal.heat_capacity_j_per_k),
            ("external surface area", made.thermal.surface_m2),
            ("heat transfer coefficient", made.thermal.heat_transfer_w_per_m2_k),
        )
        if value is None
    ]
    notes += [f"not in the file: {name}" for name in absent]
    if any(key.startswith("OCP (") for key, _ in _leaves(made.document)):
        notes.append("OCP branches of delithiation and lithiation are not imported: no hysteresis")
    for keys, what in (
        (("Parameterisation", "User-defined"), "user-defined parameters"),
        (("Validation",), "validation data"),
    ):
        if reader.section(*keys):
            notes.append(f"{what} are not used")
    values = {name: getattr(made, name) for name in Parameters.__slots__}
    return Parameters(**(values | {"notes": tuple(notes)}))


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a document whose value is no mapping, and tables under the key they belong to."""
    if not isinstance(value, Mapping) or set(value) == {"x", "y"}:
        yield key, value
        return
    for name, inner in value.items():
        yield from _leaves(inner, str(name))
