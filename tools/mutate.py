"""Change the code in one place at a time and see whether the judges notice: the kill score of a target.

    python -m tools.mutate --list
    python -m tools.mutate twin --sample 200
    python -m tools.mutate circuit --only '*:fuse_time:*'
    python -m tools.mutate safety --json > safety.json

A target is a line in tools/mutation_targets.py; docs/how-to/mutate.md tells how to add one. Exit codes: 0 the score is
what the target asks for, 1 it is below, 2 wrong usage or judges that do not hold on the code as it is, 4 a mutant timed out or
is declared equivalent and killed all the same.
"""

import os
import sys
from dataclasses import replace

import click

from hil.campaign.mutate.nouns import Target
from hil.campaign.mutate.operators import OPERATORS
from hil.campaign.mutate.report import to_json, to_text
from hil.campaign.mutate.run import Run, mutate, only, population_of
from hil.cli.bar import Bar
from hil.errors import CellbenchError, ExitCode, nearest
from tools.mutation_targets import TARGETS

EXAMPLES = """\b
Examples:
  python -m tools.mutate --list
  python -m tools.mutate twin --sample 200 --seed 3
  python -m tools.mutate circuit --only '*:fuse_time:*'
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False, metavar="[TARGET]")
@click.option(
    "--list", "listed", is_flag=True, help="Name all targets with the number of their mutants, and all operators."
)
@click.option("--sample", type=click.IntRange(min=1), help="Judge this many, spread over functions and operators.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the sample; the same seed draws the same.")
@click.option("--only", "pattern", metavar="PATTERN", help="Mutants whose id fits, e.g. '*:advance:*:boundary:*'.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--patience", type=click.FloatRange(min=0.1), help="Seconds after which a silent mutant times out.")
@click.option("--least", type=click.FloatRange(0.0, 100.0), help="Score asked for, in per cent; default: the target's.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON on standard output.")
def main(
    name: str | None,
    listed: bool,
    sample: int | None,
    seed: int,
    pattern: str | None,
    jobs: int,
    patience: float | None,
    least: float | None,
    as_json: bool,
) -> None:
    """Mutate TARGET and tell its kill score with every mutant that nobody noticed."""
    target = None if listed else _target(name)
    try:
        if target is None:
            _list()
            return
        population = population_of(target if least is None else replace(target, least_pct=least))
        if pattern is not None:
            population = only(population, pattern)
        with Bar(f"mutants of {target.name}") as show:
            run = mutate(population, sample or 0, seed, jobs, lambda done, of: show(done / of), patience)
    except CellbenchError as error:
        click.echo(str(error), err=True)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(int(ExitCode.INTERRUPTED))
    click.echo(to_json(run) if as_json else to_text(run), nl=False)
    sys.exit(int(_exit_code(run)))


def _exit_code(run: Run) -> ExitCode:
    if run.broken:
        return ExitCode.BENCH
    return ExitCode.PASS if run.score_pct >= run.population.target.least_pct else ExitCode.FAIL


def _target(name: str | None) -> Target:
    if name in TARGETS:
        return TARGETS[name]
    close = nearest(name, TARGETS) if name else None
    meant = f"; did you mean {close!r}?" if close else f"; one of {', '.join(TARGETS)}"
    raise click.UsageError(f"no target {name!r}{meant}" if name else "a target, or --list")


def _list() -> None:
    for target in TARGETS.values():
        count = len(population_of(target).mutants)
        click.echo(f"{target.name:12} {count:5} mutants, at least {target.least_pct:g} %  {target.title}")
    click.echo()
    for operator in OPERATORS:
        click.echo(f"{operator.name:12} {operator.meaning}")


if __name__ == "__main__":
    main()
