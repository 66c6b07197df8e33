"""``hil fit``: a cell file from measurements."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil.cli.bar import Bar
from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from hil.analysis.fit.data import CellData
    from hil.analysis.fit.pipeline import Outcome
    from hil.analysis.fit.solve import FitOptions

_EPILOG = """\b
Examples:
  hil fit data/cells/a123_lfp --out a123.cell.yaml --plot a123.svg
  hil fit my_cell/fit.yaml --pairs 2 --out my_cell.cell.yaml
  hil fit my_cell --out my_cell.cell.yaml --json > my_cell.json

\b
Exit codes: 0 written and released; 1 not released (written only with --allow-poor); 2 bad input; 130 interrupted.
"""


@main.command("fit", epilog=_EPILOG)
@click.argument("data", type=EXISTING)
@click.option("--out", type=EXISTING, required=True, help="Cell file to write.")
@click.option("--pairs", type=click.IntRange(2, 3), default=3, show_default=True, help="RC pairs.")
@click.option("--plot", type=EXISTING, help="Also draw measurement, fit and residual: .svg, .png or .pdf.")
@click.option("--allow-poor", is_flag=True, help="Write a fit that is not released too, marked 'released: false'.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@FORCE
@click.pass_context
def fit(
    ctx: click.Context,
    data: Path,
    out: Path,
    pairs: int,
    plot: Path | None,
    allow_poor: bool,
    as_json: bool,
    force: bool,
) -> None:
    """Fit a cell file to measurements and judge it on some that the fit did not see.

    DATA is a folder in a known layout (A123 26650, Panasonic 18650PF, LG M50, Leaf), or a fit.yaml or its folder.
    """
    from hil.analysis.fit import plot as plots

    for target in (out, plot):
        if target is not None:
            refuse_existing(target, force)
    if plot is not None:
        plots.need(plot)
    cell_data, options = _data(data, pairs)
    from hil.analysis.fit.pipeline import make

    with Bar(f"fitting {cell_data.cell}") as show:
        outcome = make(cell_data, options, show)
    released = outcome.report.verdict.released
    if released or allow_poor:
        _write(out, outcome.text)
    if plot is not None:
        plots.draw(outcome.cell, cell_data, plot)
    _tell(outcome, out if released or allow_poor else None, plot, as_json)
    ctx.exit(int(ExitCode.PASS if released else ExitCode.FAIL))


def _data(path: Path, pairs: int) -> "tuple[CellData, FitOptions]":
    """What DATA holds, and how it is fitted."""
    from dataclasses import replace

    from hil.analysis.fit import manifest
    from hil.analysis.fit.cells import cell_of_folder, options_of
    from hil.analysis.fit.solve import FitOptions

    if not path.exists():
        raise InputError(Problem("no such file or folder", str(path), expected="measurements of a cell"))
    told = manifest.find(path)
    if told is not None:
        return manifest.load_manifest(told), FitOptions(pairs=pairs)
    return cell_of_folder(path), replace(options_of(path), pairs=pairs)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            Problem(error.strerror or "cannot be written", str(out), expected="a place to write")
        ) from error


def _tell(outcome: "Outcome", out: Path | None, plot: Path | None, as_json: bool) -> None:
    from hil.analysis.fit.write import plain

    told = plain(outcome.report)
    verdict = outcome.report.verdict
    if as_json:
        paths = {"out": None if out is None else str(out), "plot": None if plot is None else str(plot)}
        shape = outcome.fitted.shape
        fields = {"cell": outcome.cell.cell, **told, **paths}
        fields |= {"taus_s": [round(tau, 3) for tau in shape.taus_s], "gamma": round(shape.gamma, 4)}
        click.echo(json.dumps(fields, indent=2))
        return
    seen = [e for e in outcome.report.whole or verdict.errors if e.use == "fit"]
    for e in (*seen, *(e for e in verdict.errors if e.use == "test")):
        held = "held out" if e.use == "test" else "fitted"
        click.echo(f"{e.name}: {1e3 * e.rmse_v:.1f} mV, worst {1e3 * e.worst_v:.0f} mV, {held}")
    held_out = "none" if verdict.held_out_v is None else f"{1e3 * verdict.held_out_v:.1f} mV"
    click.echo(
        f"training {1e3 * verdict.training_v:.1f} mV, worst held out {held_out}, limit {1e3 * verdict.limit_v:.1f} mV"
    )
    for reason in verdict.reasons:
        click.echo(f"not released: {reason}", err=True)
    if out is None:
        click.echo("not released: nothing written (--allow-poor writes it, marked)", err=True)
    else:
        click.echo(f"written: {out}")
    if plot is not None:
        click.echo(f"plot: {plot}")
