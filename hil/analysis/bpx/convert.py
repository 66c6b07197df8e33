"""A cell file from a BPX file: OCV by arithmetic, resistances by virtual tests on PyBaMM, errors on cycles not fitted to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.analysis.bpx import ecm
from hil.analysis.bpx.parameters import Parameters
from hil.analysis.reference.compare import Distance, Trace, distance, run, twin_beside
from hil.analysis.reference.plant import ReferencePlant, bpx_set
from hil.analysis.reference.profile import Profile, load_profile
from hil.errors import InputError, Problem, printable
from hil.files.cell import MOST_TEMPERATURES, CellModel
from hil.files.shipped import shipped

Floats = NDArray[np.float64]
TEMPERATURES_DEGC = (-10.0, 0.0, 10.0, 25.0, 45.0)
SOC = np.linspace(0.0, 1.0, 201)
KNOTS = np.linspace(0.0, 1.0, 21)
HELD_SOC = (0.9, 0.5, 0.2)
HELD_PEAK_C = 2.0
CYCLE = "scenarios/cycles/udds.csv"
MOST_HELD_V = (
    0.1  # a temperature whose held-out error is larger is left out: the circuit does not describe the cell there
)
ASSUMED_W_PER_M2_K = 10.0  # still to slow air


@dataclass(frozen=True, slots=True)
class Heat:
    """What a cell file must have of heat, and for each number where it comes from."""

    mass_kg: float
    heat_capacity_j_per_k: float
    surface_heat_transfer_w_per_k: float
    sources: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One temperature: the circuit, and the twin on the finished file against PyBaMM over the held-out cycles."""

    temperature_degc: float
    circuit: ecm.Circuit
    held: Distance

    @property
    def good(self) -> bool:
        """Whether the circuit may stand for the cell at this temperature."""
        return self.held.rms <= MOST_HELD_V


def heat_of(
    cell: Parameters,
    mass_kg: float | None = None,
    heat_capacity_j_per_k: float | None = None,
    surface_heat_transfer_w_per_k: float | None = None,
) -> Heat:
    """Heat of the cell: what is given, else what the file has.

    The heat transfer coefficient alone, which most files lack, is assumed. Raises InputError naming every number that
    is neither in the file nor given.
    """
    t = cell.thermal
    surface: float | None = None
    if t.surface_m2 is not None:
        surface = t.surface_m2 * (t.heat_transfer_w_per_m2_k or ASSUMED_W_PER_M2_K)
    area = f"on the file's {1e4 * t.surface_m2:.4g} cm2" if t.surface_m2 is not None else ""
    in_file = {
        "mass_kg": "density times volume of the file",
        "heat_capacity_j_per_k": "specific heat capacity of the file times its mass",
        "surface_heat_transfer_w_per_k": f"{t.heat_transfer_w_per_m2_k:g} W/(m2 K) of the file {area}"
        if t.heat_transfer_w_per_m2_k is not None
        else f"assumed: {ASSUMED_W_PER_M2_K:g} W/(m2 K), still to slow air, {area}",
    }
    wanted = (
        ("mass_kg", mass_kg, t.mass_kg, "density and volume", "--mass"),
        ("heat_capacity_j_per_k", heat_capacity_j_per_k, t.heat_capacity_j_per_k, "specific heat", "--heat-capacity"),
        (
            "surface_heat_transfer_w_per_k",
            surface_heat_transfer_w_per_k,
            surface,
            "external surface area",
            "--heat-transfer",
        ),
    )
    values, sources, problems = dict[str, float](), dict[str, str](), list[Problem]()
    for name, given, found, what, option in wanted:
        value = given if given is not None else found
        if value is None or not value > 0.0:
            problems.append(
                Problem(f"no {what} in the file", str(cell.path), expected=f"it, or {option}", found="nothing")
            )
            continue
        values[name] = value
        sources[name] = "given on import" if given is not None else in_file[name]
    if problems:
        raise InputError(problems)
    return Heat(**values, sources=sources)


def chosen_temperatures(cell: Parameters, temperatures_degc: Sequence[float] | None) -> tuple[float, ...]:
    """The temperatures of the virtual tests, rising; the reference alone when the file knows no other.

    Raises InputError for more than a cell file takes, or temperatures where no cell works.
    """
    if not cell.knows_temperature:
        return (cell.reference_degc,)
    chosen = tuple(sorted(set(TEMPERATURES_DEGC if temperatures_degc is None else temperatures_degc)))
    if len(chosen) > MOST_TEMPERATURES:
        raise InputError(Problem("temperatures", expected=f"at most {MOST_TEMPERATURES}", found=str(len(chosen))))
    outside = [t for t in chosen if not -40.0 <= t <= 80.0]
    if outside or not chosen:
        raise InputError(
            Problem("temperatures", expected="-40 to 80 degC", found=f"{outside[0]:g} degC" if outside else "none")
        )
    return chosen


def convert(
    cell: Parameters,
    heat: Heat,
    model: str,
    temperatures_degc: Sequence[float],
    rate: float = 1.0,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Any], tuple[Row, ...]]:
    """(the fields of a cell file, the rows of all temperatures).

    The file has the temperatures that are ``good`` alone. Raises InputError when PyBaMM cannot take the parameters, or
    no temperature is good; BenchError when its solver gives up.
    """
    plant = ReferencePlant(bpx_set(cell), model, cutoffs=False)
    shares = len(temperatures_degc)
    circuits: list[ecm.Circuit] = []
    for k, degc in enumerate(temperatures_degc):
        circuits.append(_circuit(cell, plant, degc, rate, _part(progress, 0.5 * k / shares, 0.5 / shares)))
    fields = fields_of(cell, heat, temperatures_degc, circuits)
    try:
        model_of = CellModel.model_validate(fields)
    except ValueError as error:
        raise InputError(Problem(f"no cell file can be made of these parameters: {error}", str(cell.path))) from error
    rows = []
    for k, (degc, circuit) in enumerate(zip(temperatures_degc, circuits, strict=True)):
        held = _held(model_of, plant, degc, _part(progress, 0.5 + 0.5 * k / shares, 0.5 / shares))
        rows.append(Row(degc, circuit, held))
    kept = [row for row in rows if row.good]
    if not kept:
        told = ", ".join(f"{r.held.rms:.3f} V at {r.temperature_degc:g} degC" for r in rows)
        message = "the circuit does not follow the physics model on a drive cycle at any temperature"
        expected = f"at most {MOST_HELD_V:g} V rms"
        raise InputError(Problem(message, str(cell.path), expected=expected, found=told))
    fields = fields_of(cell, heat, [r.temperature_degc for r in kept], [r.circuit for r in kept])
    return fields, tuple(rows)


def _part(progress: Callable[[float], None], first: float, share: float) -> Callable[[float], None]:
    """Progress of one part of the work, as progress of the whole."""
    return lambda done: progress(first + share * done)


def _circuit(
    cell: Parameters, plant: ReferencePlant, degc: float, rate: float, progress: Callable[[float], None]
) -> ecm.Circuit:
    plant.reset(1.0, degc)
    test = run(plant, Profile("staircase", *ecm.staircase(cell.capacity_ah, rate)), progress)
    try:
        return ecm.fit(
            ecm.Test(test.time_s, test.current_a, test.voltage_v, test.soc, cell.ocv_v(test.soc, degc)), KNOTS
        )
    except ValueError as error:
        message = f"the virtual test at {degc:g} degC ended too early ({test.ended})"
        raise InputError(Problem(message, str(cell.path), expected="a lower rate, or a higher temperature")) from error


def _held(cell: CellModel, plant: ReferencePlant, degc: float, progress: Callable[[float], None]) -> Distance:
    """The twin against the model over a UDDS of 2C peak from each of three SoC, all samples together."""
    cycle = load_profile(shipped(CYCLE))
    scaled = cycle.current_a * (HELD_PEAK_C * plant.parameters.capacity_ah / float(np.abs(cycle.current_a).max()))
    pairs: list[tuple[Trace, Trace]] = []
    for n, soc in enumerate(HELD_SOC):
        plant.reset(soc, degc)
        part = _part(progress, n / len(HELD_SOC), 1.0 / len(HELD_SOC))
        trace = run(plant, Profile(cycle.name, cycle.time_s, scaled), part)
        pairs.append((trace, twin_beside(cell, trace, held=True)))
    found = distance(
        np.concatenate([trace.time_s for trace, _ in pairs]),
        np.concatenate([twin.voltage_v for _, twin in pairs]),
        np.concatenate([trace.voltage_v for trace, _ in pairs]),
    )
    assert found is not None  # three cycles have samples
    return found


def fields_of(
    cell: Parameters, heat: Heat, temperatures_degc: Sequence[float], circuits: Sequence[ecm.Circuit]
) -> dict[str, Any]:
    """The fields of the cell file, in its order; plain lists of floats."""
    rows, knots = len(temperatures_degc), len(KNOTS)
    fields: dict[str, Any] = {
        "cell": cell.title,
        "source": f"BPX file {printable(cell.path.name)}" + (f"; {cell.references}" if cell.references else ""),
        "licence": cell.licence or "not stated in the BPX file",
        "capacity_ah": cell.capacity_ah,
        "mass_kg": heat.mass_kg,
        "heat_capacity_j_per_k": heat.heat_capacity_j_per_k,
        "surface_heat_transfer_w_per_k": heat.surface_heat_transfer_w_per_k,
        "temperatures_degc": list(temperatures_degc),
        "soc": SOC.tolist(),
        "ocv_v": [cell.ocv_v(SOC, t).tolist() for t in temperatures_degc],
    }
    if cell.knows_entropy:
        fields["docv_dt_v_per_k"] = cell.docv_dt_v_per_k(SOC).tolist()
    fields["soc_knots"] = KNOTS.tolist()
    fields["r0_ohm"] = [c.resistance_ohm[0].tolist() for c in circuits]
    for n in (1, 2, 3):
        fields[f"r{n}_ohm"] = [c.resistance_ohm[n].tolist() for c in circuits]
        fields[f"tau{n}_s"] = [[float(c.tau_s[n - 1])] * knots for c in circuits]
    fields["hysteresis"] = {"m_v": [[0.0] * knots] * rows, "gamma": [10.0] * rows, "m0_v": [0.0] * rows}
    fields["coulombic_efficiency"] = [1.0] * rows
    return fields
