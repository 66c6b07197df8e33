"""Fits the A123 26650 LFP cell to measured tests and writes the cell file that plant and twin run on.

Reads DATA/cells/a123_lfp (OCV tests S1-S4, dynamic tests s1-s3, five temperatures). About a minute.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from pathlib import Path

from tools.cellfit.a123 import Result, fit_all, load_tests
from tools.cellfit.data import DataMissing
from tools.cellfit.model import columns
from tools.cellfit.write import cell_yaml

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = "example: python -m tools.fit_a123 --data ../shared/data --out scenarios/packs/a123_26650.cell.yaml"


def say(line: str) -> None:
    """Progress, on the error stream: the cell file may go to standard output."""
    print(line, file=sys.stderr, flush=True)


def default_data() -> Path:
    """$CELLBENCH_DATA, else ../shared/data beside the checkout."""
    return Path(os.environ.get("CELLBENCH_DATA") or ROOT.parent / "shared" / "data")


def plot(results: dict[int, Result], file: Path, folder: Path) -> None:
    """Measured and modelled drive cycles and the resistances, one row per temperature. Needs matplotlib."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(12, 3 * len(results)), layout="constrained")
    axes = figure.subplots(len(results), 2, squeeze=False)
    for (temperature_degc, result), (left, right) in zip(results.items(), axes, strict=True):
        drive = load_tests(folder, temperature_degc).cycles
        model_v = drive.ocv_v + columns(drive, result.fit.shape, result.fit.knots) @ result.fit.tables.ravel()
        left.plot(drive.soc, drive.voltage_v, lw=0.5, label="measured")
        left.plot(drive.soc, model_v, lw=0.5, label="model")
        left.set(title=f"{temperature_degc} degC, {1e3 * result.rmse_v:.1f} mV", xlabel="SoC", ylabel="V")
        left.legend()
        for values, name in zip(result.fit.tables, ("R0", "R1", "R2"), strict=False):
            right.plot(result.fit.knots, 1e3 * values, marker=".", label=name)
        right.set(xlabel="SoC", ylabel="mohm")
        right.legend()
    figure.savefig(file)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns 0, or 2 when the data or matplotlib are not there."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.fit_a123",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=default_data(),
        metavar="DIR",
        help="folder that holds cells/a123_lfp (default: $CELLBENCH_DATA or ../shared/data)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="cell file to write (default: standard output)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw model against measurement")
    options = parser.parse_args(arguments)
    if options.plot is not None and importlib.util.find_spec("matplotlib") is None:
        say("error: --plot needs matplotlib, which is not installed")
        return 2
    folder = options.data / "cells" / "a123_lfp"
    try:
        results = fit_all(folder, say)
    except DataMissing as missing:
        say(f"error: {missing}")
        return 2
    text = cell_yaml(results)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
        say(f"wrote {options.out}")
    if options.plot is not None:
        plot(results, options.plot, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
