"""``hil bpx``: what is in a BPX file, and a cell file made from it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.bar import Bar, busy
from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import BenchError, ExitCode, about
from hil.units import parse_quantity

if TYPE_CHECKING:
    from hil.analysis.bpx.parameters import Parameters

_EPILOG = """\b
Examples:
  hil bpx scenarios/packs/lg_m50_chen2020.bpx.json
  hil bpx cell.bpx.json --out cell.yaml
  hil bpx cell.bpx.json --out cell.yaml --mass "68 g" --heat-capacity "64 J/K" --heat-transfer "0.05 W/K"

\b
Exit codes: 0 read, and written where asked; 2 the file cannot be imported, with every reason; 4 the solver gave up.
"""


@main.command("bpx", epilog=_EPILOG)
@click.argument("file", type=EXISTING)
@click.option("--out", type=EXISTING, help="Cell file to write; without it the BPX file is only checked and told.")
@click.option(
    "--model", type=click.Choice(["SPMe", "DFN"]), help="Physics model for the tests; default: the file's own."
)
@click.option(
    "--temperature", "degc", multiple=True, help="Temperature of a virtual test, such as '-10 degC'; repeatable."
)
@click.option("--rate", type=float, default=1.0, show_default=True, help="C-rate of the virtual tests.")
@click.option("--mass", help="Mass of the cell, such as '68 g', in place of the file's.")
@click.option("--heat-capacity", help="Heat capacity of the cell, such as '64 J/K'.")
@click.option("--heat-transfer", help="Heat transfer from the surface, such as '0.05 W/K'.")
@click.option("--licence", default="", help="Licence of the parameters, for the cell file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, nothing else.")
@FORCE
@click.pass_context
def bpx(ctx: click.Context, /, file: Path, out: Path | None, as_json: bool, force: bool, **options: Any) -> None:
    """Tell what is in a BPX file; with --out make a cell file of it.

    OCV, capacity and heat follow from the file; resistances and time constants from virtual tests on PyBaMM (about a
    minute). Needs pip install 'cellbench[reference]'.
    """
    from hil.analysis.bpx.load import load_bpx
    from hil.files.shipped import located

    if out is not None:
        refuse_existing(out, force)
    cell = load_bpx(located(file))
    told = _told(cell)
    if out is not None:
        told["rows"] = _written(cell, out, options)
        told["out"] = str(out)
    if as_json:
        click.echo(json.dumps({"exit": 0, **told}, indent=2))
    else:
        _print(told)
    ctx.exit(int(ExitCode.PASS))


def _told(cell: "Parameters") -> dict[str, Any]:
    import numpy as np

    empty, half, full = cell.ocv_v(np.array([0.0, 0.5, 1.0]), cell.reference_degc).tolist()
    t = cell.thermal
    return {
        "path": str(cell.path),
        "title": cell.title,
        "model": cell.model,
        "references": cell.references,
        "capacity_ah": cell.capacity_ah,
        "nominal_ah": cell.nominal_ah,
        "reference_degc": cell.reference_degc,
        "ocv_v": {"0": empty, "50": half, "100": full},
        "voltage_limits_v": [cell.lower_v, cell.upper_v],
        "mass_kg": t.mass_kg,
        "heat_capacity_j_per_k": t.heat_capacity_j_per_k,
        "notes": list(cell.notes),
    }


def _written(cell: "Parameters", out: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
    from hil.analysis.bpx.cell_file import cell_text, comments
    from hil.analysis.bpx.convert import chosen_temperatures, convert, heat_of
    from hil.analysis.reference.plant import require_pybamm

    units = (("mass", "kg"), ("heat_capacity", "J/K"), ("heat_transfer", "W/K"))
    heat = heat_of(cell, *(_quantity(options, name, unit) for name, unit in units))
    with about("--temperature"):
        degc = chosen_temperatures(cell, [parse_quantity(text, "degC") for text in options["degc"]] or None)
    model = options["model"] or (cell.model if cell.model in ("SPMe", "DFN") else "DFN")
    with busy("loading PyBaMM"):
        version = str(require_pybamm().__version__)
    if not 0.05 <= options["rate"] <= 5.0:
        raise click.BadParameter("0.05 to 5 is what a virtual test can do", param_hint="--rate")
    with Bar(f"virtual tests of {cell.path.name}, {model}") as progress:
        fields, rows = convert(cell, heat, model, degc, options["rate"], progress)
    fields["licence"] = options["licence"] or fields["licence"]
    opening = comments(cell, rows, model, version, options["rate"], options["licence"] or cell.licence)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(cell_text(opening, fields, heat, rows), encoding="utf-8", newline="\n")
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror}") from error
    return [
        {
            "temperature_degc": r.temperature_degc,
            "fit_rms_mv": 1e3 * r.circuit.rms_v,
            "held_out_rms_mv": 1e3 * r.held.rms,
            "held_out_max_mv": 1e3 * r.held.largest,
            "fitted_down_to_soc": max(r.circuit.least_soc, 0.0),
            "left_out": not r.good,
        }
        for r in rows
    ]


def _quantity(options: dict[str, Any], name: str, unit: str) -> float | None:
    text = options[name]
    if text is None:
        return None
    with about(f"--{name.replace('_', '-')}"):
        return parse_quantity(text, unit)


def _print(told: dict[str, Any]) -> None:
    v = told["ocv_v"]
    click.echo(f"{told['path']}: {told['title']} (model {told['model']})")
    click.echo(f"  capacity {told['capacity_ah']:.4g} Ah ({told['nominal_ah']:g} Ah nominal)")
    click.echo(f"  OCV {v['0']:.3f} V at 0 %, {v['50']:.3f} V at 50 %, {v['100']:.3f} V at 100 % SoC")
    for note in told["notes"]:
        click.echo(f"  note: {note}")
    for r in told.get("rows", ()):
        click.echo(
            f"  {r['temperature_degc']:5g} degC: {r['held_out_rms_mv']:.1f} mV rms on a drive cycle not fitted to "
            f"(largest {r['held_out_max_mv']:+.0f} mV), fit {r['fit_rms_mv']:.1f} mV"
            + ("; left out of the file" if r["left_out"] else "")
        )
    if "out" in told:
        click.echo(f"written: {told['out']}")
