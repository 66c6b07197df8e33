"""How fast the twin is: the full cell model for N cells per call from Python, beside C, numpy and PyBaMM in one run.

Method. One pack step is OCV, three RC pairs, hysteresis, resistance by temperature and state of charge, heat and the
thermal chain of N cells: one call of the twin's kernel from Python (``us_96``: microseconds for 96 cells). Baselines of
the same run: the same model written in C (tools/bench/twin_cells.c, compiled with ``cc -O3 -march=native``, called
through ctypes), a vectorised numpy version of the 2-RC reference step of the field (no hysteresis, no heat), and
PyBaMM's Thevenin model for one cell, where it is installed. The C version must give the same voltages as the twin within
1e-9 V, else the tool stops. Twin and C are timed in turns, best of ``--repeat`` rounds each, the ratio from the medians of
the rounds. ``linearity_1e6`` is the cost per cell of a million cells over that of 10,000. ``estimators_us_96`` is what the
whole twin stage of a tick costs for 96 cells less the cell model: pack filter, delta filters, health, early warning.

Example: python tools/bench/twin_speed.py --json
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import which
from time import perf_counter_ns
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from hil.files.pack import PackModel, load_pack  # noqa: E402
from hil.image import table  # noqa: E402
from hil.kernel import Floats, Rows, kernel, zeros  # noqa: E402
from hil.tick import COLUMNS as ROW_WIDTH  # noqa: E402
from hil.twin import cells, tables  # noqa: E402
from hil.twin import step as twin  # noqa: E402

PACK = ROOT / "scenarios" / "packs" / "a123_96s40p.yaml"
DT_S = 0.01
SIZES = (96, 10_000, 1_000_000)
LIMITS = {"us_96": 3.0, "vs_c_96": 3.0, "vs_c_10000": 3.0, "linearity_1e6": 1.5, "estimators_us_96": 10.0}


@kernel
def pack_step(made: Rows[tables.CellTables], x: Floats, w: Floats, n: int, current_a: float) -> None:
    """What is called once a step."""
    cells.step(made[0], x, w, n, current_a, current_a, 1.0, 25.0, True)


@kernel
def twin_stage(states: Rows[twin.TwinState], fixed: Rows[twin.TwinParams], row: Floats, k: int) -> None:
    """The whole twin stage of a tick."""
    twin.step(states[0], fixed[0], k * fixed[0].dt_ns, row)


def made_tables(pack: PackModel) -> Any:
    """The example pack's tables for steps of DT_S."""
    made = zeros(tables.CellTables)
    coolant = pack.thermal.to_coolant or pack.cell.surface_heat_transfer_w_per_k * pack.parallel
    tables.fill(np.asarray(made)[0], pack.cell, pack.parallel, DT_S, (pack.thermal.between_groups, coolant))
    return made


def spread(n: int) -> tuple[Any, Any, Any]:
    """SoC, temperature and resistance factor of ``n`` cells: each different, the same every time."""
    turn = np.arange(n) * 0.6180339887498949 % 1.0
    return 0.3 + 0.4 * turn, 15.0 + 20.0 * (turn * 7.0 % 1.0), 0.95 + 0.1 * (turn * 3.0 % 1.0)


def ours(pack: PackModel, n: int) -> tuple[Callable[[], Any], Any]:
    """(one step, array of the cells) of the twin."""
    made, blocks = made_tables(pack), -(-n // cells.BLOCK)
    x, w = np.zeros((blocks, cells.CELL_ROWS, cells.BLOCK)), np.zeros((1, cells.SCRATCH_ROWS, cells.BLOCK))
    of = np.arange(n)
    for r, values in zip((cells.SOC, cells.DEGC, cells.GROWTH), spread(n), strict=True):
        x[of // cells.BLOCK, r, of % cells.BLOCK] = values
    x[:, cells.PER_COULOMB] = 1.0 / np.asarray(made)[0]["capacity_c"]
    return (lambda: pack_step(made, x, w, n, 80.0)), x


class CTables(ctypes.Structure):
    """As in twin_cells.c."""

    _fields_ = (
        [(name, ctypes.c_long) for name in ("n_points", "n_knots")]
        + [(name, ctypes.c_double) for name in ("dt_s", "heat_j_per_k", "between", "coolant")]
        + [(name, ctypes.c_void_p) for name in ("at", "of_degc", "ocv", "docv_dt", "rate", "weight")]
    )


def in_c(library: Any, pack: PackModel, n: int) -> tuple[Callable[[], Any], Any]:
    """(one step, voltages) of the C version; all arrays are kept alive by the function returned."""
    made = np.asarray(made_tables(pack))[0]
    keep = [
        np.ascontiguousarray(made[name])
        for name in ("at", "of_degc", "ocv_v", "docv_dt_v_per_k", "stop_rate", "stop_weight")
    ]
    rows = np.zeros((10 + tables.STOPS, n))
    rows[0], rows[4], rows[-3] = spread(n)
    rows[-4] = 1.0 / made["capacity_c"]
    pointers = (ctypes.c_void_p * len(rows))(*(r.ctypes.data for r in rows))
    numbers = (made["dt_s"], made["heat_j_per_k"], made["between_w_per_k"], made["coolant_w_per_k"])
    fixed = CTables(int(made["n_points"]), int(made["n_knots"]), *numbers, *(a.ctypes.data for a in keep))
    call = library.step
    call.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long] + [ctypes.c_double] * 4
    at, cells_at = ctypes.addressof(fixed), ctypes.addressof(pointers)

    def step(_: Any = (keep, rows, fixed, pointers)) -> None:
        call(at, cells_at, n, 80.0, 80.0, 1.0, 25.0)

    return step, rows[-2]


def compiled(folder: Path) -> Any | None:
    """The C version as a library, None where there is no compiler."""
    compiler = which("cc") or which("gcc") or which("clang")
    if compiler is None:
        return None
    out = folder / "twin_cells.so"
    source = Path(__file__).with_name("twin_cells.c")
    flags = ["-O3", "-march=native", "-std=c11", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(out), str(source), "-lm"], check=True)
    return ctypes.CDLL(str(out))


def in_numpy(pack: PackModel, n: int) -> Callable[[], Any]:
    """The field's reference step: two RC pairs, SoC, a table of the OCV and R0, one set of numbers per cell."""
    soc, ocv = spread(n)[0], np.asarray(pack.cell.ocv_v[0])
    grid, v1, v2 = np.linspace(0.0, 1.0, ocv.size), np.zeros(n), np.zeros(n)
    r0, a1, b1, a2, b2 = (np.full(n, value) for value in (5e-4, 0.999, 1e-7, 0.9999, 1e-8))
    per_c = np.full(n, DT_S / (pack.capacity_ah * 3600.0))

    def step() -> Any:
        nonlocal soc, v1, v2
        soc = soc - 80.0 * per_c
        v1, v2 = a1 * v1 + b1 * 80.0, a2 * v2 + b2 * 80.0
        return np.interp(soc, grid, ocv) - v1 - v2 - r0 * 80.0

    return step


def time_us(step: Callable[[], Any], calls: int) -> float:
    """Mean of ``calls`` calls, us."""
    began = perf_counter_ns()
    for _ in range(calls):
        step()
    return (perf_counter_ns() - began) / calls * 1e-3


def in_turns(steps: list[Callable[[], Any]], calls: int, repeat: int) -> list[list[float]]:
    """Times of each step, one round of each after the other."""
    out: list[list[float]] = [[] for _ in steps]
    for _ in range(repeat):
        for times, step in zip(out, steps, strict=True):
            times.append(time_us(step, calls))
    return out


def agree(pack: PackModel, library: Any) -> float:
    """Largest difference of the voltages of twin and C after a hundred steps of 500 cells, V."""
    (step, x), (c_step, volts) = ours(pack, 500), in_c(library, pack, 500)
    for _ in range(100):
        step()
        c_step()
    mine = x[:, cells.VOLTAGE].ravel()[:500]
    return float(np.abs(mine - volts).max())


def stage(pack: PackModel) -> Callable[[], Any]:
    """The whole twin stage of a tick on 96 cells with plausible measurements."""
    n, sensors = pack.series, pack.temperature_sensors.cells
    made = table(n, len(sensors))
    fixed, states = twin.params(pack, made, round(DT_S * 1e9)), zeros(twin.TwinState)
    twin.start(states, fixed, 0.5, 25.0)
    row = np.full(ROW_WIDTH, np.nan)
    for name, value in (("pack_current", 80.0), ("cell_voltage", 3.25), ("temperature", 25.0)):
        found = made.find(f"measured.{name}")
        assert found is not None
        row[found.start : found.start + found.count] = value + 0.001 * np.sin(np.arange(found.count))
    k = 0

    def step() -> None:
        nonlocal k
        twin_stage(states, fixed, row, k)
        k += 1

    return step


def thevenin_us(steps: int) -> float | None:
    """PyBaMM's Thevenin model of one cell, us a step; None where it is not installed."""
    try:
        from tools.bench.pybamm_thevenin import us_per_step
    except ImportError:
        return None
    return us_per_step(steps, DT_S)


def measure(repeat: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything the tool prints."""
    pack = load_pack(PACK)
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        library = compiled(Path(folder))
        if library is not None:
            out["c_difference_v"] = agree(pack, library)
            if out["c_difference_v"] > 1e-9:
                sys.exit(
                    f"twin_speed: twin and C differ by {out['c_difference_v']:.3g} V; the times would mean nothing"
                )
        for n in SIZES:
            say(f"{n} cells")
            steps = [ours(pack, n)[0], in_numpy(pack, n)]
            if library is not None:
                steps.append(in_c(library, pack, n)[0])
            calls = max(2_000_000 // n // 4, 3)
            in_turns(steps, min(calls, 100), 1)
            times = in_turns(steps, calls, repeat)
            out[f"us_{n}"], out[f"numpy_2rc_us_{n}"] = min(times[0]), min(times[1])
            if library is not None:
                out[f"c_us_{n}"] = min(times[2])
                out[f"vs_c_{n}"] = statistics.median(times[0]) / statistics.median(times[2])
    out["linearity_1e6"] = (out["us_1000000"] / 1e6) / (out["us_10000"] / 1e4)
    say("estimators")
    whole, alone = stage(pack), ours(pack, pack.series)[0]
    in_turns([whole, alone], 200, 1)
    times = in_turns([whole, alone], 5000, repeat)
    out["twin_stage_us_96"] = min(times[0])
    out["estimators_us_96"] = min(times[0]) - min(times[1])
    say("PyBaMM Thevenin, one cell")
    one_us = thevenin_us(300)
    out["pybamm_thevenin_us_per_cell"] = one_us
    out["vs_pybamm_96"] = None if one_us is None else 96.0 * one_us / out["us_96"]
    return {
        name: round(value, 4) if isinstance(value, float) and value > 1e-6 else value for name, value in out.items()
    }


def main() -> int:
    """Read the arguments, measure, print; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7, help="rounds of each (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else on standard output")
    chosen = parser.parse_args()
    if chosen.repeat < 1:
        parser.error("--repeat is at least 1")
    result = measure(chosen.repeat, lambda what: print(f"twin_speed: {what} ...", file=sys.stderr, flush=True))
    missed = [name for name, limit in LIMITS.items() if name in result and result[name] > limit]
    result["reached"] = not missed
    if chosen.json:
        print(json.dumps(result, indent=1))
    else:
        for name, value in result.items():
            limit = f"  (at most {LIMITS[name]:g})" if name in LIMITS else ""
            print(f"{name:30} {value}{limit}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
