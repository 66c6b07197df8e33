"""How near the twin comes to measured cells, on data its fit did not see; the twin's own kernel on the cell file of the fit.

Method. Every figure is the RMS of the twin's voltage less the measured one, mV. The twin starts rested at a known SoC and
gets only current and temperature; its SoC is the charge count of the test with the test's own capacity and coulombic
efficiency, as in Plett's ESC toolbox.

* ``a123_block_mv``: A123 26650, DYN s1 (repeated UDDS), 5-95 % SoC; all temperatures fitted with every other 1500 s of it
  left out, judged on these. Plett's in-sample figures are the limits; their mean below 10 mV is required, 8 mV the goal.
* ``a123_leave_one_out_mv``: fitted to the other temperatures, this one interpolated by the cell file's own law; nothing of
  it is used, not its OCV, not its resistance. Other temperatures found in DIR are predicted from the fit of the five.
* ``panasonic_mv``: Panasonic 18650PF, fitted to trips 1-5, all samples of trips 6-11 together.
* ``lg_m50_mv``: LG M50 at 25 degC, constant 0.5C and 1C, from a fit that sees pulses, relaxation and the other rates.
* ``soc_rmse_pct``: error of the estimated SoC on Panasonic trips 6-11, started 20 % wrong (hil.analysis.soc_accuracy);
  ``soc_lfp``: the same on the A123 at 25 degC, with the filter's own sigma.

Figures that DIR has no data for are null, with the reason under ``absent``; ``goals`` holds each limit and whether it is
reached. Takes some minutes on two cores.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from hil.analysis import soc_accuracy  # noqa: E402
from hil.analysis.fit.cells import a123, options_of  # noqa: E402
from hil.analysis.fit.data import CellData  # noqa: E402
from hil.analysis.fit.fitting import fit_cell  # noqa: E402
from hil.analysis.fit.judge import TestError, error_of, errors_of, halved  # noqa: E402
from hil.analysis.fit.solve import FitOptions  # noqa: E402
from hil.analysis.fit.write import cell_of, tables_text  # noqa: E402
from hil.errors import InputError  # noqa: E402
from hil.files.cell import CellModel  # noqa: E402

GIVEN_DEGC = (-25.0, -5.0, 5.0, 25.0, 45.0)
LEFT_OUT_DEGC = (-5.0, 5.0, 25.0)
PLETT_MV: Mapping[str, float] = {"-25": 29.7, "-5": 13.4, "5": 12.1, "25": 15.2, "45": 7.9}
MEAN_MV, LEFT_OUT_MV, PANASONIC_MV, LG_MV = 10.0, 20.0, 11.0, 25.0
SOC_PCT: Mapping[str, float] = {"clean": 0.5, "bias": 1.0, "gain": 1.0}
RATES = ("0.5C", "1C")
Made = dict[str, Any]
EXAMPLES = """examples:
  python tools/bench/twin_accuracy.py
  python tools/bench/twin_accuracy.py --json > accuracy.json
  python tools/bench/twin_accuracy.py --data /measured/cells --jobs 4
  python tools/bench/twin_accuracy.py --only a123 --json"""


def fitted(data: CellData, options: FitOptions) -> CellModel:
    """The cell as its file says it."""
    return cell_of(tables_text(fit_cell(data, options)))


def milli(value: float) -> float:
    """Volts as mV with two decimals."""
    return round(1e3 * value, 2)


def pooled(errors: list[TestError]) -> float:
    """RMS over all samples of several tests, V."""
    return float(np.sqrt(np.average([e.rmse_v**2 for e in errors], weights=[e.samples for e in errors])))


def given(folder: Path) -> tuple[float, ...]:
    """Temperatures that a fit may use. Raises InputError when there is none of them."""
    found = tuple(t for t in a123.temperatures(folder) if t in GIVEN_DEGC)
    if not found:
        raise InputError(f"{folder}: no A123 test at -25, -5, 5, 25 or 45 degC")
    return found


def a123_blocks(folder: Path) -> Made:
    """Every other 1500 s of every temperature."""
    half = halved(a123.read(folder, given(folder)))
    if half is None:
        raise InputError(f"{folder}: the drive cycles are too short to hold blocks out")
    cell = fitted(half, options_of(folder))
    errors = [error_of(cell, t) for t in half.tests if t.use == "test"]
    return {"a123_block_mv": {f"{e.temperature_degc:g}": milli(e.rmse_v) for e in errors}}


def a123_left_out(folder: Path, temperature_degc: float) -> Made:
    """One temperature from the others."""
    others = tuple(t for t in given(folder) if t != temperature_degc)
    if not (min(others, default=1e3) < temperature_degc < max(others, default=-1e3)):
        raise InputError(f"{temperature_degc:g} degC does not lie between others")
    cell = fitted(a123.read(folder, others), options_of(folder))
    error = error_of(cell, a123.drive_test(folder, temperature_degc))
    return {"a123_leave_one_out_mv": {f"{temperature_degc:g}": milli(error.rmse_v)}}


def a123_unseen(folder: Path) -> Made:
    """Temperatures that no fit was given, from the fit of those that were."""
    unseen = [t for t in a123.temperatures(folder) if t not in GIVEN_DEGC]
    if not unseen:
        return {"a123_unseen_degc": []}
    cell = fitted(a123.read(folder, given(folder)), options_of(folder))
    errors = [error_of(cell, a123.drive_test(folder, t)) for t in unseen]
    return {
        "a123_unseen_degc": unseen,
        "a123_leave_one_out_mv": {f"{e.temperature_degc:g}": milli(e.rmse_v) for e in errors},
    }


def held_out(folder: Path, name: str) -> list[TestError]:
    """Errors of the tests that the data set's module holds out."""
    layout = import_module(f"hil.analysis.fit.cells.{name}")
    data: CellData = layout.read(folder)
    cell = fitted(data, options_of(folder))
    tests = tuple(t for t in data.tests if t.use == "test")
    return list(errors_of(cell, replace(data, tests=tests)))


def panasonic(folder: Path) -> Made:
    """Trips 6-11 from trips 1-5."""
    return {"panasonic_mv": milli(pooled(held_out(folder, "panasonic")))}


def lg_m50(folder: Path) -> Made:
    """Rate tests at 25 degC; each rate over all its cells."""
    errors = [e for e in held_out(folder, "lg_m50") if e.temperature_degc == 25.0]
    by_rate = {rate: [e for e in errors if e.name.endswith("_" + rate.replace(".", "p"))] for rate in RATES}
    return {"lg_m50_mv": {rate: milli(pooled(found)) if found else None for rate, found in by_rate.items()}}


def soc(folder: Path) -> Made:
    """Estimated SoC on the Panasonic; the folder is DIR itself."""
    return {"soc_rmse_pct": dict(soc_accuracy.soc_rmse_pct(folder))}


def soc_lfp(folder: Path) -> Made:
    """The same on the A123, with the filter's own sigma; the folder is DIR itself."""
    return {"soc_lfp": {case: dict(found) for case, found in soc_accuracy.lfp(folder).items()}}


def jobs(data: Path, only: tuple[str, ...]) -> dict[str, tuple[Callable[..., Made], tuple[Any, ...]]]:
    """What is run, by name, longest first."""
    cell = data / "a123_lfp"
    every: dict[str, tuple[Callable[..., Made], tuple[Any, ...]]] = {
        "a123 blocks": (a123_blocks, (cell,)),
        **{f"a123 without {t:g} degC": (a123_left_out, (cell, t)) for t in LEFT_OUT_DEGC},
        "a123 other temperatures": (a123_unseen, (cell,)),
        "lg_m50": (lg_m50, (data / "lg_m50",)),
        "panasonic": (panasonic, (data / "panasonic_18650pf",)),
        "soc": (soc, (data,)),
        "soc lfp": (soc_lfp, (data,)),
    }
    return {name: job for name, job in every.items() if not only or name.split()[0] in only}


def run_all(work: Mapping[str, tuple[Callable[..., Made], tuple[Any, ...]]], processes: int) -> tuple[Made, Made]:
    """(figures, reasons of those that are absent), with a line on standard error for each job done."""
    figures: Made = {}
    absent: Made = {}
    began = perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        running = {}
        for name, (function, arguments) in work.items():
            if arguments[0].is_dir():
                running[pool.submit(function, *arguments)] = name
            else:
                absent[name] = f"{arguments[0]}: no such folder"
        for done in as_completed(running):
            name = running[done]
            try:
                for key, value in done.result().items():
                    figures[key] = {**figures.get(key, {}), **value} if isinstance(value, dict) else value
            except (InputError, ImportError) as error:
                absent[name] = str(error)
            except (OSError, ValueError, ArithmeticError) as error:  # one set must not take the others with it
                absent[name] = f"failed: {type(error).__name__}: {error}"
            print(f"{name}: {perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return figures, dict(sorted(absent.items()))


def goals(figures: Made) -> list[Made]:
    """Every limit with the figure, and whether it is reached; a figure that is not there reaches nothing."""
    blocks = figures["a123_block_mv"] or {}
    wanted: list[tuple[str, Any, float]] = [(f"a123_block_mv {t}", blocks.get(t), PLETT_MV[t]) for t in PLETT_MV]
    wanted.append(("a123_block_mean_mv", figures["a123_block_mean_mv"], MEAN_MV))
    left = figures["a123_leave_one_out_mv"] or {}
    keys = list(dict.fromkeys([*(f"{t:g}" for t in LEFT_OUT_DEGC), *left]))
    wanted += [(f"a123_leave_one_out_mv {t}", left.get(t), LEFT_OUT_MV) for t in keys]
    wanted.append(("panasonic_mv", figures["panasonic_mv"], PANASONIC_MV))
    wanted += [(f"lg_m50_mv {rate}", (figures["lg_m50_mv"] or {}).get(rate), LG_MV) for rate in RATES]
    wanted += [(f"soc_rmse_pct {k}", (figures["soc_rmse_pct"] or {}).get(k), limit) for k, limit in SOC_PCT.items()]
    out = []
    for name, value, limit in wanted:
        reached = (
            value is not None and value < limit if not name.startswith("soc") else value is not None and value <= limit
        )
        why = "" if reached else "not measured, see absent" if value is None else f"{value:g} is not below {limit:g}"
        out.append({"figure": name, "value": value, "limit": limit, "reached": reached, "reason": why})
    return out


def report(figures: Made, absent: Made) -> Made:
    """All keys in their order, null where there is no figure."""
    blocks = figures.get("a123_block_mv")
    mean = None if not blocks else round(sum(blocks.values()) / len(blocks), 2)
    left = figures.get("a123_leave_one_out_mv")
    out: Made = {
        "a123_block_mv": blocks,
        "a123_block_mean_mv": mean,
        "a123_leave_one_out_mv": None if left is None else {k: left[k] for k in sorted(left, key=float)},
        "a123_unseen_degc": figures.get("a123_unseen_degc"),
        "panasonic_mv": figures.get("panasonic_mv"),
        "lg_m50_mv": figures.get("lg_m50_mv"),
        "soc_rmse_pct": figures.get("soc_rmse_pct"),
        "soc_lfp": figures.get("soc_lfp"),
        "absent": absent,
    }
    out["goals"] = goals(out)
    out["reached"] = all(goal["reached"] for goal in out["goals"])
    return out


def default_data() -> Path:
    """$CELLBENCH_DATA, else ../shared/data beside the checkout; the folder of cells in it."""
    return Path(os.environ.get("CELLBENCH_DATA") or ROOT.parent / "shared" / "data") / "cells"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns 0 when there are figures, whatever they are, 2 when DIR is not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=default_data(),
        metavar="DIR",
        help="folder that holds a123_lfp, panasonic_18650pf, lg_m50 (default: cells in $CELLBENCH_DATA or ../shared/data)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument(
        "--only", action="append", choices=("a123", "lg_m50", "panasonic", "soc"), help="only this; repeatable"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        print(f"error: {options.data}: no such folder", file=sys.stderr)
        return 2
    figures, absent = run_all(jobs(options.data, tuple(options.only or ())), max(1, options.jobs))
    told = report(figures, absent)
    if options.json:
        print(json.dumps(told, indent=2))
        return 0
    for goal in told["goals"]:
        value = "-" if goal["value"] is None else f"{goal['value']:g}"
        print(
            f"{goal['figure']:28s} {value:>8s}  below {goal['limit']:g}: {'yes' if goal['reached'] else 'NO'} {goal['reason']}"
        )
    for name, reason in absent.items():
        print(f"absent: {name}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
