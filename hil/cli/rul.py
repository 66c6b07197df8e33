"""``hil rul``: how long cells will live, from early-life curves or from the fade of their capacity."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.bar import Bar, busy
from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import ExitCode, InputError, Problem, about

if TYPE_CHECKING:
    from hil.analysis.rul.curves import Curves
    from hil.analysis.rul.fade import History

_EPILOG = """\b
Examples:
  hil rul curves.npz --out life.html
  hil rul cell7.csv --end-of-life "80 %" --json
  hil rul cell7.csv --end-of-life "1.4 Ah" --out fade.html
  hil rul curves.npz --set train --train mine.json --nominal "1.1 Ah" \\
      --cell "maker, type" --source "our lab, 2026" --licence internal

\b
Exit codes: 0 told, 2 bad input, 3 no end of life in sight.
"""


@main.command("rul", epilog=_EPILOG)
@click.argument("data", type=EXISTING)
@click.option("--set", "only", help="The set of an npz to take; default: all of them.")
@click.option(
    "--model", "model_path", type=EXISTING, help="Model file; default: the one that ships, for A123 LFP cells."
)
@click.option("--nominal", help="Nominal capacity, such as '1.1 Ah'; default: the model's, or the first of a CSV.")
@click.option("--level", type=float, default=0.9, show_default=True, help="Probability of the intervals.")
@click.option("--end-of-life", "end", default="80 %", show_default=True, help="Of a CSV: a share of nominal, or Ah.")
@click.option("--train", "train_to", type=EXISTING, help="Train on cells with known lives and write the model here.")
@click.option("--cell", help="With --train: which cell, for the model file.")
@click.option("--source", help="With --train: where the data come from.")
@click.option("--licence", help="With --train: the licence of the data.")
@click.option("--out", type=EXISTING, help="Write a page with plots here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, nothing else.")
@FORCE
@click.pass_context
def rul(
    ctx: click.Context, data: Path, only: str | None, model_path: Path | None, nominal: str | None, level: float, end: str,
    train_to: Path | None, cell: str | None, source: str | None, licence: str | None, out: Path | None,
    as_json: bool, force: bool,
) -> None:  # fmt: skip
    """Foretell the end of life of cells, with intervals.

    An .npz of early-life curves (laid out like Severson's) goes through a trained model; a CSV with columns cycle and
    capacity_ah is extrapolated by its fade.
    """
    from hil.analysis.rul.curves import load_capacity
    from hil.analysis.rul.fade import History

    for path in (out, train_to):
        if path is not None:
            refuse_existing(path, force)
    nominal_ah = None if nominal is None else _charge("--nominal", nominal)
    loaded = load_capacity(data)
    origin = (cell, source, licence, end)
    if isinstance(loaded, History):
        if train_to is not None:
            raise InputError(Problem("--train needs early-life curves", str(data), expected="an .npz"))
        code = _forecast(loaded, _limit(loaded, end, nominal_ah), level, out, as_json)
    else:
        sets = _chosen(data, loaded, only)
        if train_to is not None:
            _train(sets, nominal_ah, origin, train_to, as_json)
            return
        code = _predict(sets, model_path, nominal_ah, level, out, as_json)
    ctx.exit(int(code))


def _charge(option: str, text: str) -> float:
    """An option's text as Ah, more than 0."""
    from hil.units import parse_quantity

    with about(option):
        value = parse_quantity(text, "Ah")
        if not 1e-6 <= value <= 1e6:
            raise InputError(Problem("", expected="1 uAh to 1 MAh", found=repr(text)))
    return value


def _limit(history: "History", text: str, nominal_ah: float | None) -> float:
    """The end of life in Ah: a share of the nominal capacity (default the first cycle's), or Ah as written."""
    from hil.units import parse_quantity

    if text.strip().casefold().endswith("ah"):
        return _charge("--end-of-life", text)
    with about("--end-of-life"):
        share = parse_quantity(text, "1")
        if not 0.0 < share < 1.0:
            raise InputError(Problem("", expected="a share between 0 and 1, or Ah", found=repr(text)))
    return share * (nominal_ah if nominal_ah is not None else float(history.capacity_ah[0]))


def _chosen(data: Path, sets: "tuple[Curves, ...]", only: str | None) -> "tuple[Curves, ...]":
    from hil.errors import nearest

    found = tuple(one for one in sets if only is None or one.name == only)
    if not found:
        names = [one.name for one in sets]
        raise InputError(
            Problem(
                "--set: no such set",
                str(data),
                expected=", ".join(names),
                found=repr(only),
                nearest=nearest(str(only), names) or "",
            )
        )
    return found


def _forecast(history: "History", limit_ah: float, level: float, out: Path | None, as_json: bool) -> ExitCode:
    from hil.analysis.rul.fade import forecast
    from hil.analysis.rul.page import cycles_text, forecast_fields, write_forecast

    with busy("fitting fade laws"):
        made = forecast(history, limit_ah, level)
    if out is not None:
        write_forecast(history, made, out)
    if as_json:
        click.echo(json.dumps(forecast_fields(history, made), indent=2))
    else:
        click.echo(
            f"{history.name}: {len(history.cycles)} cycles, now at {made.now:.0f}, end of life at {limit_ah:.4g} Ah"
        )
        if made.ended is not None:
            click.echo(f"  met at cycle {made.ended:.0f}")
        else:
            low, high = cycles_text(made.end_low), cycles_text(made.end_high)
            click.echo(f"  met at cycle {cycles_text(made.end_median)}, {100 * level:.0f} % interval {low} to {high}")
        _written(out)
    return ExitCode.PASS if made.end_median < float("inf") else ExitCode.UNDECIDED


def _predict(
    sets: "tuple[Curves, ...]",
    model_path: Path | None,
    nominal_ah: float | None,
    level: float,
    out: Path | None,
    as_json: bool,
) -> ExitCode:
    from hil.analysis.rul.model import SHIPPED, load_rul_model, predict
    from hil.analysis.rul.page import Predicted, prediction_fields, write_predictions

    model = load_rul_model(model_path or SHIPPED)
    made = [Predicted(one, predict(model, one, level, nominal_ah)) for one in sets]
    if out is not None:
        write_predictions(model, made, out)
    if as_json:
        about_model = {
            "cell": model.trained_on.cell,
            "source": model.trained_on.source,
            "licence": model.trained_on.licence,
        }
        click.echo(json.dumps({"model": about_model, "sets": prediction_fields(made)}, indent=2))
    else:
        for one in made:
            _print(one)
        _written(out)
    return ExitCode.PASS


def _print(one: Any) -> None:
    click.echo(f"{one.curves.name}: life in cycles, {100 * one.cells[0].level:.0f} % interval")
    for p in one.cells:
        told = f"  outside the training: {', '.join(o.feature for o in p.outside)}" if p.outside else ""
        truth = "" if one.curves.life is None else f"  came true {one.curves.life[p.cell]:6.0f}"
        click.echo(f"  cell {p.cell:3d}  {p.life:6.0f}  {p.life_low:6.0f} to {p.life_high:6.0f}{truth}{told}")
    for name, s in one.scores():
        likely = f"{s.likely_low} to {s.likely_high} are likely"
        click.echo(
            f"  {name}: RMSE {s.rmse_cycles:.1f} cycles, mean error {100 * s.mape:.1f} %, "
            f"{s.covered} of {s.cells} in the interval ({likely})"
        )


def _written(out: Path | None) -> None:
    if out is not None:
        click.echo(f"written: {out}")


def _train(
    sets: "tuple[Curves, ...]",
    nominal_ah: float | None,
    origin: tuple[str | None, str | None, str | None, str],
    to: Path,
    as_json: bool,
) -> None:
    from hil.analysis.rul.model import save_rul_model
    from hil.analysis.rul.train import Origin, train

    cell, source, licence, end = origin
    needed = (("--nominal", nominal_ah), ("--cell", cell), ("--source", source), ("--licence", licence))
    missing = [
        Problem(f"--train needs {name}", expected="what the model file says of its data")
        for name, value in needed
        if not value
    ]
    if len(sets) > 1:
        missing.append(Problem("--train needs --set", expected=" or ".join(one.name for one in sets)))
    if missing or nominal_ah is None:
        raise InputError(missing)
    with Bar("training") as show:
        model = train(
            sets[0], nominal_ah, Origin(str(cell), str(source), str(licence), f"capacity below {end} of nominal"), show
        )
    save_rul_model(model, to)
    e = model.left_out_errors
    if as_json:
        told = {"cells": model.trained_on.cells, "strength": model.strength, **e.model_dump()}
        click.echo(json.dumps(told, indent=2))
    else:
        errors = f"RMSE {e.rmse_cycles:.1f} cycles, mean error {100 * e.mape:.1f} %"
        click.echo(
            f"{model.trained_on.cells} cells; each left out: {errors}, {100 * e.coverage:.0f} % in the 90 % interval"
        )
        _written(to)
