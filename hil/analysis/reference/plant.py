"""A physics model of one cell (PyBaMM) that is stepped like a plant: a current in, voltage, temperature and SoC out.

For offline comparison only: a step takes about a millisecond. PyBaMM's current is positive in discharge, like ours.
"""

import copy
import math
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hil.analysis.bpx.load import INSTALL, load_bpx
from hil.analysis.bpx.ocv import KELVIN, electrode_capacity_ah
from hil.analysis.bpx.parameters import Parameters
from hil.errors import BenchError, InputError, Problem, nearest

MODELS = ("SPM", "SPMe", "DFN")
THERMAL = ("isothermal", "lumped")
TOLERANCE = 1e-6
VOLTAGE = "Voltage [V]"
AT_ONCE = "non-positive at initial conditions"  # how PyBaMM says so
TEMPERATURE = "Volume-averaged cell temperature [C]"
_CURRENT, _AMBIENT, _INITIAL = "Current function [A]", "Ambient temperature [K]", "Initial temperature [K]"
_NEGATIVE, _POSITIVE = (f"Initial concentration in {side} electrode [mol.m-3]" for side in ("negative", "positive"))
_CUTOFFS = ("Lower voltage cut-off [V]", "Upper voltage cut-off [V]")
_NO_CUTOFFS = MappingProxyType(dict(zip(_CUTOFFS, (0.0, 10.0), strict=True)))


class Step(NamedTuple):
    """The cell at the end of a step."""

    voltage_v: float
    temperature_degc: float
    soc: float


@dataclass(frozen=True, slots=True, eq=False)
class ParameterSet:
    """Parameters of one cell: ``values`` are PyBaMM's, the stoichiometries are those at 0 and 100 % SoC."""

    name: str
    values: Any
    negative_empty: float
    negative_full: float
    positive_empty: float
    positive_full: float
    capacity_ah: float
    missing_heat: tuple[str, ...] = ()


def require_pybamm() -> Any:
    """The package ``pybamm``. Raises InputError with the command that installs it when it is not there.

    Its telemetry, which asks on a terminal and else reports over the network, is off unless the environment says so.
    """
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the package itself imports
            import pybamm
    except ImportError as error:
        raise InputError(Problem(f"the reference mode needs PyBaMM: {INSTALL}", found=str(error))) from error
    return pybamm


def parameter_set(name: str) -> ParameterSet:
    """The parameters that ``name`` means: one of PyBaMM's sets, such as ``Chen2020``, or a BPX file (``.json``).

    Raises InputError: no such set or file, or a set that is no lithium-ion full cell of one material an electrode.
    """
    pybamm = require_pybamm()
    path = Path(name)
    if path.suffix.lower() == ".json":
        return bpx_set(load_bpx(path))
    known = sorted(pybamm.parameter_sets.keys())
    if name not in known:
        expected = "a parameter set of PyBaMM, or a BPX file with the suffix .json"
        close = nearest(name, known) or ""
        raise InputError(Problem("no such parameters", expected=expected, found=repr(name), nearest=close))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the search for the stoichiometries
        try:
            values = pybamm.ParameterValues(name)
            low_n, high_n, low_p, high_p = (float(x) for x in pybamm.lithium_ion.get_min_max_stoichiometries(values))
            capacity_ah = electrode_capacity_ah(
                float(values["Electrode height [m]"] * values["Electrode width [m]"])
                * float(values["Number of electrodes connected in parallel to make a cell"]),
                float(values["Negative electrode thickness [m]"]),
                float(values["Negative electrode active material volume fraction"]),
                float(values["Maximum concentration in negative electrode [mol.m-3]"]),
                (low_n, high_n),
            )
        except (KeyError, ValueError, TypeError, AttributeError, pybamm.SolverError) as error:
            expected = "a lithium-ion cell of two electrodes with one active material each"
            raise InputError(
                Problem(f"parameters {name} cannot be used here", expected=expected, found=str(error)[:120])
            ) from error
    return ParameterSet(f"PyBaMM {name}", values, low_n, high_n, high_p, low_p, capacity_ah)


def bpx_set(cell: Parameters) -> ParameterSet:
    """The parameters of a BPX file; SoC runs between the stoichiometry limits of the file.

    Raises InputError where PyBaMM cannot take them: a file of an SPM, or one that is partial.
    """
    pybamm = require_pybamm()
    parts = cell.document["Parameterisation"]
    absent = [name for name in ("Electrolyte", "Separator") if name not in parts]
    absent += [
        f"{side} electrode > Porosity"
        for side in ("Negative", "Positive")
        if "Porosity" not in parts[f"{side} electrode"]
    ]
    if absent:
        message = f"a BPX file of model {cell.model} without {', '.join(absent)} gives an OCV, and nothing to simulate"
        raise InputError(Problem(message, str(cell.path), expected="the parameters of a DFN or SPMe"))
    document = copy.deepcopy(cell.document)
    section = document["Parameterisation"]["Cell"]
    # PyBaMM looks these up in any case; without heat none of them is used, and with heat a missing one is refused
    heat = {"External surface area [m2]": 1e-3, "Volume [m3]": 1e-5, "Density [kg.m-3]": 2000.0}
    heat["Specific heat capacity [J.K-1.kg-1]"] = 1000.0
    missing = tuple(name for name in heat if name not in section)
    document["Parameterisation"]["Cell"] = {
        "Reference temperature [K]": cell.reference_degc + KELVIN,
        **heat,
        **section,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is missing has been told as a note on the file
        try:
            values = pybamm.ParameterValues.create_from_bpx_obj(document)
        except (KeyError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            raise InputError(Problem(f"PyBaMM cannot take these parameters: {error}", str(cell.path))) from error
    return ParameterSet(
        f"BPX {cell.title}",
        values,
        cell.negative.at_empty,
        cell.negative.at_full,
        cell.positive.at_empty,
        cell.positive.at_full,
        cell.capacity_ah,
        missing,
    )


class ReferencePlant:
    """One cell of a PyBaMM model, stepped with its state kept.

    ``ended`` says which limit of the model ended it, empty while it runs; no step is possible after that until
    ``reset``. ``began_v`` is the voltage at the start of the last step, with its current already flowing: what a sample
    taken there shows. ``cutoffs=False`` leaves the voltage limits out, for tests on the model alone.
    """

    def __init__(
        self,
        parameters: ParameterSet,
        model: str = "SPMe",
        soc: float = 1.0,
        temperature_degc: float = 25.0,
        *,
        thermal: str = "isothermal",
        cutoffs: bool = True,
    ) -> None:
        """Build the model (half a second) and reset it.

        Raises InputError: PyBaMM is missing, no such model, or heat asked of parameters that have none.
        """
        pybamm = require_pybamm()
        for what, name, known in (("model", model, MODELS), ("thermal option", thermal, THERMAL)):
            if name not in known:
                raise InputError(Problem(f"no such {what}", expected=", ".join(known), found=repr(name)))
        if thermal != "isothermal" and parameters.missing_heat:
            absent = ", ".join(parameters.missing_heat)
            raise InputError(Problem(f"{parameters.name}: a lumped thermal model needs {absent}", found="nothing"))
        self.parameters, self.model, self.thermal = parameters, model, thermal
        values = parameters.values.copy()
        self._most = tuple(
            float(values[f"Maximum concentration in {s} electrode [mol.m-3]"]) for s in ("negative", "positive")
        )
        values.update(dict.fromkeys((_CURRENT, _AMBIENT, _INITIAL, _NEGATIVE, _POSITIVE), "[input]"))
        values.update({} if cutoffs else dict(_NO_CUTOFFS))
        self._nothing = pybamm.EmptySolution
        solver = pybamm.IDAKLUSolver(rtol=TOLERANCE, atol=TOLERANCE, output_variables=[VOLTAGE, TEMPERATURE])
        built = getattr(pybamm.lithium_ion, model)({"thermal": thermal})
        self._simulation = pybamm.Simulation(built, parameter_values=values, solver=solver)
        try:
            self._simulation.build()
        except KeyError as error:
            message = f"{parameters.name} lacks a parameter of the {model} with the thermal option {thermal}"
            raise InputError(Problem(message, found=str(error.args[0])[:160])) from error
        self._failures = (pybamm.SolverError, pybamm.ModelError)
        self.reset(soc, temperature_degc)

    def reset(self, soc: float, temperature_degc: float) -> None:
        """A rested cell at a SoC (0 to 1) and a temperature, which is the surroundings' too."""
        if not 0.0 <= soc <= 1.0:
            raise InputError(Problem("state of charge", expected="0 to 1", found=f"{soc:g}"))
        if not -KELVIN < temperature_degc < 200.0:
            raise InputError(Problem("temperature", expected="-273 to 200 degC", found=f"{temperature_degc:g}"))
        p = self.parameters
        x = p.negative_empty + soc * (p.negative_full - p.negative_empty)
        y = p.positive_empty + soc * (p.positive_full - p.positive_empty)
        kelvin = temperature_degc + KELVIN
        self._inputs = {_AMBIENT: kelvin, _INITIAL: kelvin, _NEGATIVE: x * self._most[0], _POSITIVE: y * self._most[1]}
        self._solution = self._nothing()
        self.soc, self.temperature_degc, self.time_s = soc, temperature_degc, 0.0
        self.ended, self.began_v = "", math.nan

    def step(self, current_a: float, dt_s: float) -> Step:
        """Let a constant current (positive discharges) flow for ``dt_s``; the cell at the end, or where it ended.

        Where the current alone passes a limit at once there is no step: the voltage is NaN, and ``began_v`` too.
        Raises InputError when it ended before, BenchError when the solver gives up.
        """
        if self.ended:
            raise InputError(Problem(f"the reference cell ended at {self.time_s:g} s: {self.ended}"))
        if not dt_s > 0.0:
            raise InputError(Problem("time step", expected="more than 0 s", found=f"{dt_s:g} s"))
        inputs = self._inputs | {_CURRENT: float(current_a)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # events inside a step are reported through ``ended``
            try:
                solution = self._simulation.step(dt_s, save=False, starting_solution=self._solution, inputs=inputs)
            except self._failures as error:
                if AT_ONCE in str(error):
                    self.ended, self.began_v = _events(str(error)), math.nan
                    return Step(math.nan, self.temperature_degc, self.soc)
                message = f"{self.parameters.name}, {self.model}: no solution at {self.time_s:g} s with {current_a:g} A"
                raise BenchError(f"{message}: {str(error)[:200]}") from error
        before_s, self.time_s, self._solution = self.time_s, float(solution.t[-1]), solution
        self.began_v = float(solution[VOLTAGE].data[0])
        if solution.termination != "final time":
            self.ended = str(solution.termination).removeprefix("event: ")
        self.soc -= current_a * (self.time_s - before_s) / 3600.0 / self.parameters.capacity_ah
        self.temperature_degc = float(solution[TEMPERATURE].data[-1])
        return Step(float(solution[VOLTAGE].data[-1]), self.temperature_degc, self.soc)


def _events(message: str) -> str:
    """The names of the limits in PyBaMM's message, such as ``Maximum voltage [V]``."""
    named = re.search(r"Events \[(.*?'?)\] are", message)
    return named[1].replace("'", "") if named else "a limit of the model"
