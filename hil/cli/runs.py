"""Commands on scenarios and their records. Heavy imports live inside the commands, so that ``hil --help`` is instant."""

import json
import sys
from pathlib import Path

import click

from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import ExitCode


@main.command()
@click.argument("scenarios", nargs=-1, required=True, type=EXISTING)
@click.option("--bench", type=EXISTING, help="Bench file; default: the virtual bench that ships with Cellbench.")
@click.option("--out", type=EXISTING, default=Path("results"), show_default=True, help="Folder for the results.")
@click.option("--clock", type=click.Choice(["virtual", "real"]), default="virtual", show_default=True)
@click.option(
    "--speed", type=click.FloatRange(0.01, 1000.0), default=1.0, show_default=True, help="Factor of real time."
)
@click.option("--defect", "defects", multiple=True, help="Seed a named defect into the virtual BMS; repeatable.")
@click.option("--case", "only", multiple=True, help="Run only the cases with this id; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON, nothing else.")
def run(
    scenarios: tuple[Path, ...],
    bench: Path | None,
    out: Path,
    clock: str,
    speed: float,
    defects: tuple[str, ...],
    only: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run scenario files and judge them.

    \b
    Examples:
      hil run scenarios/cell_overvoltage.yaml
      hil run scenarios/cell_overvoltage.yaml --defect ov_never_trips
      hil run scenarios/wrong_crc.yaml --clock real --speed 2
    """
    from hil.campaign.run import Options, Screen, run_all

    options = Options(out, bench, clock, speed, defects, only)
    screen = Screen(quiet=as_json)
    outcome = run_all(list(scenarios), options, screen)
    if as_json:
        click.echo(json.dumps(outcome.cases, indent=1))
    else:
        screen.table(outcome)
    sys.exit(int(outcome.exit_code))


@main.command()
@click.argument("scenarios", nargs=-1, required=True, type=EXISTING)
@click.option("--bench", type=EXISTING, help="Bench file to check against.")
@click.option("--json", "as_json", is_flag=True)
def check(scenarios: tuple[Path, ...], bench: Path | None, as_json: bool) -> None:
    """Check scenario files without running them: every error at once, each with file:line:column.

    \b
    Example:
      hil check scenarios/*.yaml
    """
    from hil.assemble import problems_of

    problems = [(path, problem) for path in scenarios for problem in problems_of(path, bench)]
    if as_json:
        keys = ("path", "line", "column", "message", "expected", "found", "nearest")
        click.echo(json.dumps([{k: getattr(p, k) for k in keys} for _, p in problems], indent=1))
    else:
        for _, problem in problems:
            click.echo(f"hil: {problem}", err=True)
        if not problems:
            click.echo(f"{len(scenarios)} file{'s' if len(scenarios) != 1 else ''} checked, no errors")
    sys.exit(int(ExitCode.BAD_INPUT if problems else ExitCode.PASS))


@main.command()
@click.option("--bench", "of_bench", is_flag=True, help="The schema of bench files instead.")
def schema(of_bench: bool) -> None:
    """Print the JSON Schema of scenario files, for editors.

    \b
    Example:
      hil schema > scenario.schema.json
    """
    from hil.files import json_schema
    from hil.scenario.schema import BenchFile, Scenario

    click.echo(json_schema(BenchFile if of_bench else Scenario), nl=False)


@main.command("list")
@click.argument("paths", nargs=-1, type=EXISTING)
@click.option("--json", "as_json", is_flag=True)
def list_(paths: tuple[Path, ...], as_json: bool) -> None:
    """List scenarios with their cases, tags and requirements (default: the ones that ship with Cellbench).

    \b
    Example:
      hil list scenarios/ --json
    """
    from hil.assemble import listing

    found = listing(list(paths))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for entry in found:
        tags = " ".join(f"#{tag}" for tag in entry["tags"])
        click.echo(f"{entry['path']}  {len(entry['cases'])} case{'s' if len(entry['cases']) != 1 else ''}  {tags}")
        click.echo(f"    {entry['scenario']}  [{', '.join(entry['requirements'])}]")


@main.command()
@click.argument("record", type=EXISTING)
@click.argument("scenario", type=EXISTING)
@click.option("--json", "as_json", is_flag=True)
def judge(record: Path, scenario: Path, as_json: bool) -> None:
    """Judge a record again, by the same code as the run; only the record and the scenario are needed.

    \b
    Example:
      hil judge results/record.mcap scenarios/cell_overvoltage.yaml
    """
    from hil.campaign.judge import judge_record
    from hil.campaign.run import Screen

    outcome = judge_record(record, scenario)
    if as_json:
        click.echo(json.dumps(outcome.cases, indent=1))
    else:
        Screen(quiet=False).table(outcome)
    sys.exit(int(outcome.exit_code))


@main.command()
@click.argument("record", type=EXISTING)
@click.option("--out", type=EXISTING, help="Where to write; default: beside it, with .recovered before the suffix.")
def recover(record: Path, out: Path | None) -> None:
    """Finish a record that was cut off by a kill or a full disk; everything readable is kept.

    \b
    Example:
      hil recover results/record.mcap
    """
    from hil.records.recover import recover as recover_record

    target = out or record.with_suffix(".recovered" + record.suffix)
    click.echo(str(recover_record(record, target)))


@main.command()
@click.argument("record", type=EXISTING)
@click.option("--plot", "names", multiple=True, help="Quantity to plot, such as shown.cell_voltage[3]; repeatable.")
@click.option("--out", type=EXISTING, default=Path("plot.html"), show_default=True, help="Where the plot goes.")
def show(record: Path, names: tuple[str, ...], out: Path) -> None:
    """Tell what is in a record; plot chosen quantities.

    \b
    Example:
      hil show results/record.mcap --plot measured.pack_current --plot reported.state
    """
    from hil.analysis.show import plot, summary
    from hil.records.reader import read

    loaded = read(record)
    click.echo(summary(loaded))
    if names:
        plot(loaded, list(names), out)
        click.echo(f"plot: {out}")


@main.command()
@click.argument("record", type=EXISTING)
@click.argument("out", type=EXISTING)
@FORCE
def export(record: Path, out: Path, force: bool) -> None:
    """Export a record by suffix: .mcap (named fields), .mf4, .parquet, .csv, .blf, .asc.

    \b
    Example:
      hil export results/record.mcap drive.mf4
    """
    from hil.analysis.export import export as export_record
    from hil.records.reader import read

    refuse_existing(out, force)
    with click.progressbar(length=100, label=f"writing {out.name}") as bar:
        export_record(read(record), out, lambda share: bar.update(max(0, round(share * 100) - bar.pos)))
    click.echo(f"written: {out}")
