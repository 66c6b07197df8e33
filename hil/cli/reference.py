"""``hil reference``: a physics model as the plant, offline, beside the twin."""

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.bar import Bar, busy
from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import ExitCode, InputError, Problem, about
from hil.units import parse_quantity

if TYPE_CHECKING:
    from hil.analysis.reference.profile import Profile

_EPILOG = """\b
Examples:
  hil reference scenarios/cycles/udds.csv --parameters Chen2020 --cell cell.yaml
  hil reference drive.csv --parameters cell.bpx.json --model DFN --thermal lumped --cell cell.yaml --out compared
  hil reference results/record.mcap --scale 1/40 --step "1 s" --parameters Prada2013 --soc "70 %"

\b
Exit codes: 0 done, also when the model reached a limit before the end, which is told; 2 bad input; 4 the solver gave up.
"""


@main.command("reference", epilog=_EPILOG)
@click.argument("profile", type=EXISTING)
@click.option("--parameters", required=True, help="A parameter set of PyBaMM, such as Chen2020, or a BPX file (.json).")
@click.option("--cell", type=EXISTING, help="Cell file for the twin; without it the physics model runs alone.")
@click.option(
    "--model", type=click.Choice(["SPM", "SPMe", "DFN"]), default="SPMe", show_default=True, help="Physics model."
)
@click.option(
    "--thermal",
    type=click.Choice(["isothermal", "lumped"]),
    default="isothermal",
    show_default=True,
    help="Temperature held, or one temperature of the cell that warms by its own heat.",
)
@click.option("--soc", default="100 %", show_default=True, help="State of charge at the start.")
@click.option(
    "--temperature", default="25 degC", show_default=True, help="Of the cell at the start and of its surroundings."
)
@click.option(
    "--scale", default="1", show_default=True, help="Factor on the current; 1/40 for one cell of 40 in parallel."
)
@click.option("--period", default="1 s", show_default=True, help="Between samples of a profile of one number a line.")
@click.option("--step", "step_s", help="Mean the current over steps of this length, such as '1 s'.")
@click.option("--quantity", default="measured.pack_current", show_default=True, help="The current of a record.")
@click.option("--out", type=EXISTING, default=Path("reference"), show_default=True, help="Folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON, nothing else.")
@FORCE
@click.pass_context
def reference(ctx: click.Context, /, profile: Path, out: Path, as_json: bool, force: bool, **options: Any) -> None:
    """Step a physics model (PyBaMM) through a current profile, with the twin beside it.

    PROFILE is a table time,current (s, A, positive discharges), one number a line, or a record. Writes
    comparison.html, .csv and .json. Needs pip install 'cellbench[reference]'.
    """
    from hil.analysis.reference import compare
    from hil.analysis.reference.plant import ReferencePlant, parameter_set
    from hil.files.cell import load_cell
    from hil.files.shipped import located

    for suffix in ("html", "csv", "json"):
        refuse_existing(out / f"comparison.{suffix}", force)
    current = _profile(located(profile), options)
    cell = load_cell(located(options["cell"])) if options["cell"] is not None else None
    name = options["parameters"]
    with about("--soc"):
        soc = parse_quantity(options["soc"], "1")
    with about("--temperature"):
        degc = parse_quantity(options["temperature"], "degC")
    with busy(f"building the {options['model']}"):
        parameters = parameter_set(str(located(Path(name))) if name.endswith(".json") else name)
        plant = ReferencePlant(parameters, options["model"], soc, degc, thermal=options["thermal"])
    with Bar(f"{options['model']} over {current.name}") as progress:
        trace = compare.run(plant, current, progress)
    twin = None if cell is None else compare.twin_beside(cell, trace, held=options["thermal"] == "isothermal")
    told: dict[str, Any] = {
        "exit": 0,
        "profile": current.name,
        "parameters": parameters.name,
        "capacity_ah": parameters.capacity_ah,
        "model": options["model"],
        "thermal": options["thermal"],
        "cell": None if cell is None else cell.cell,
        **compare.fields(trace, twin),
    }
    compare.write(out, _about(told, options), told, trace, twin)
    click.echo(json.dumps(told, indent=2) if as_json else _text(told, out))
    ctx.exit(int(ExitCode.PASS))


def _profile(path: Path, options: dict[str, Any]) -> "Profile":
    from hil.analysis.reference.profile import load_profile

    try:
        scale = float(Fraction(options["scale"].replace(" ", "")))
    except (ValueError, ZeroDivisionError, OverflowError):
        problem = Problem("--scale", expected="a number or a fraction such as 1/40", found=repr(options["scale"]))
        raise InputError(problem) from None
    with about("--period"):
        period_s = parse_quantity(options["period"], "s")
    made = load_profile(path, scale=scale, period_s=period_s, quantity=options["quantity"])
    if options["step_s"] is None:
        return made
    with about("--step"):
        return made.resampled(parse_quantity(options["step_s"], "s"))


def _about(told: dict[str, Any], options: dict[str, Any]) -> dict[str, dict[str, str]]:
    groups = {
        "Profile": {
            "name": told["profile"],
            "scale": options["scale"],
            "start": f"{options['soc']}, {options['temperature']}",
        },
        "Physics model": {
            "parameters": told["parameters"],
            "model": f"{told['model']}, {told['thermal']}",
            "capacity": f"{told['capacity_ah']:.4g} Ah",
        },
    }
    if told["cell"] is not None:
        groups["Twin"] = {"cell": told["cell"]}
        for key, unit, label in (
            ("voltage", "mv", "voltage"),
            ("voltage_5_95", "mv", "voltage, 5-95 % SoC"),
            ("soc", "pct", "SoC"),
        ):
            if told[key] is not None:
                groups["Twin"][label] = _distance(told[key], unit)
    return groups


def _distance(found: dict[str, float], unit: str) -> str:
    shown = {"mv": "mV", "pct": "%", "k": "K"}[unit]
    largest, at = found[f"max_{unit}"], found["max_at_s"]
    rms, mean = found[f"rms_{unit}"], found[f"mean_{unit}"]
    return f"{rms:.2f} {shown} rms, {largest:+.2f} {shown} at most (at {at:g} s), {mean:+.2f} {shown} mean"


def _text(told: dict[str, Any], out: Path) -> str:
    lines = [
        f"{told['parameters']}, {told['model']}, {told['thermal']}: {told['duration_s']:g} s, {told['samples']} samples"
    ]
    if told["ended"]:
        lines.append(f"  ended before the profile: {told['ended']}")
    for key, unit, label in (
        ("voltage", "mv", "voltage"),
        ("voltage_5_95", "mv", "voltage, 5-95 % SoC"),
        ("temperature", "k", "temperature"),
        ("soc", "pct", "SoC"),
    ):
        if told[key] is not None:
            lines.append(f"  twin - physics model, {label}: {_distance(told[key], unit)}")
    lines.append(f"written: {out / 'comparison.html'}, .csv, .json")
    return "\n".join(lines)
