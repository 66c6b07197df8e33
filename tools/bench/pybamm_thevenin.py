"""How long PyBaMM's Thevenin model (OCV, R0, two RC pairs, one cell) takes for one step, where PyBaMM is installed.

A baseline for tools/bench/twin_speed.py: PyBaMM is a general solver of stiff equations, so the comparison holds only for
"advance one cell by one tick". The step alone is timed, without reading a voltage, which would cost PyBaMM more.

Example: python tools/bench/pybamm_thevenin.py
"""

import os
import statistics
import sys
import time
import warnings
from typing import Any

WARM_UP = 20


def us_per_step(n_steps: int, dt_s: float) -> float | None:
    """Median over ``n_steps`` steps of ``dt_s`` in microseconds; None where PyBaMM is not installed.

    IDAKLU, the quickest solver PyBaMM has for this; currents take turns, so that no step is a repetition. Raises
    ValueError for less than one step, or a step that is not above 0 s.
    """
    if n_steps < 1 or not dt_s > 0.0:
        raise ValueError(f"{n_steps} steps of {dt_s:g} s")
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    try:
        import pybamm
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _median_us(pybamm, n_steps, dt_s)


def _median_us(pybamm: Any, n_steps: int, dt_s: float) -> float:
    values = pybamm.ParameterValues("ECM_Example")
    name = "Current function [A]"
    values.update({name: "[input]"} | _second_pair(values))
    model = pybamm.equivalent_circuit.Thevenin(options={"number of rc elements": 2})
    simulation = pybamm.Simulation(model, parameter_values=values, solver=pybamm.IDAKLUSolver())
    solution, times_us = pybamm.EmptySolution(), list[float]()
    for k in range(WARM_UP + n_steps):
        inputs = {name: 1.0 + 0.1 * (k % 7)}
        begin = time.perf_counter_ns()
        solution = simulation.step(dt_s, save=False, starting_solution=solution, inputs=inputs)
        times_us.append((time.perf_counter_ns() - begin) / 1e3)
    return statistics.median(times_us[WARM_UP:])


def _second_pair(values: Any) -> dict[str, Any]:
    """The second RC pair, which the example set of parameters lacks: 0.3 mohm and 100 s, any number costs the same."""
    return {"R2 [Ohm]": 3e-4, "C2 [F]": 100.0 / 3e-4, "Element-2 initial overpotential [V]": 0.0}


def main() -> int:
    """Print the times of 10 ms and 1 s steps; 2 when PyBaMM is not installed."""
    for dt_s in (0.01, 1.0):
        found = us_per_step(500, dt_s)
        if found is None:
            print("PyBaMM is not installed: pip install 'cellbench[reference]'", file=sys.stderr)
            return 2
        print(f"PyBaMM Thevenin, 2 RC, one cell, {dt_s:g} s a step: {found:.0f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
