"""The group of commands, its errors and its exit codes."""

from pathlib import Path
from typing import Any

import click

from hil import __version__
from hil.errors import CellbenchError, ExitCode, InputError, Problem

EXISTING = click.Path(path_type=Path)
FORCE = click.option("--force", is_flag=True, help="Replace the output where there is one already.")


def refuse_existing(out: Path, force: bool) -> None:
    """Nothing is replaced by accident: a shell's ``*.blf`` may name a recording where an output is meant.

    Raises:
        InputError: ``out`` is a file with contents and ``force`` is not given.
    """
    try:
        there = out.is_file() and out.stat().st_size > 0
    except OSError:
        return  # a place that cannot be looked at: writing there tells why
    if there and not force:
        raise InputError(Problem("there is such a file already", str(out), expected="another name, or --force"))


class Group(click.Group):
    """Turns the project's errors into one clear line each and the right exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CellbenchError as error:
            click.echo(f"hil: {error}".replace("\n", "\nhil: "), err=True)
            ctx.exit(int(error.exit_code))
        except KeyboardInterrupt:
            kept = "; what was recorded is kept" if ctx.invoked_subcommand == "run" else ""
            click.echo(f"hil: interrupted{kept}", err=True)
            ctx.exit(int(ExitCode.INTERRUPTED))


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="cellbench")
def main() -> None:
    """Cellbench: test a battery management system on a bench, or its virtual twin in virtual time.

    \b
    Examples:
      hil run scenarios/cell_overvoltage.yaml
      hil run scenarios/*.yaml --out results --json
      hil check scenarios/*.yaml
      hil judge results/record.mcap scenarios/cell_overvoltage.yaml
      hil log decode drive.blf --dbc vehicle.dbc --out drive.parquet
      hil replay drive.blf --into virtual-bms
      hil fit my_cell --out my_cell.cell.yaml

    \b
    Exit codes: 0 pass, 1 fail, 2 bad input, 3 not exercised or inconclusive, 4 bench error, 130 interrupted.
    """
