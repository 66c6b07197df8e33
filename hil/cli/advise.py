"""``hil advise``: what maintenance a pack needs, when, why, and how sure that is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import ExitCode

if TYPE_CHECKING:
    from hil.analysis.advice.condition import Condition

_EPILOG = """\b
Examples:
  hil advise condition.yaml
  hil advise condition.yaml --out maintenance.html
  hil advise results/record.mcap --json

\b
Exit codes: 0 nothing urgent, 1 out of service or an inspection at once, 2 bad input, 3 no rule could be judged.
"""


@main.command("advise", epilog=_EPILOG)
@click.argument("condition", type=EXISTING)
@click.option("--out", type=EXISTING, help="Write a page with plots here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, nothing else.")
@FORCE
@click.pass_context
def advise(ctx: click.Context, condition: Path, out: Path | None, as_json: bool, force: bool) -> None:
    """Advise maintenance from a pack's condition: a condition file (YAML or JSON), or a record with the twin's estimates.

    Each advice says what to do, when, why, and with which probability.
    """
    from hil.analysis.advice.page import fields, share, write_page
    from hil.analysis.advice.rules import advise as advise_on

    if out is not None:
        refuse_existing(out, force)
    found = _load(condition)
    advices, judged = advise_on(found)
    if out is not None:
        write_page(found, advices, judged, out)
    if as_json:
        click.echo(json.dumps(fields(found, advices, judged), indent=2))
    else:
        click.echo(f"{found.name}: {len(advices)} advice{'' if len(advices) == 1 else 's'}")
        for a in advices:
            click.echo(f"  {a.place}: {a.what}, {a.when.text} (probability {share(a.confidence)})")
            click.echo(f"    {a.why}")
        for j in judged:
            if j.state == "unknown":
                click.echo(f"  not judged: {j.rule}; {j.note}")
        if out is not None:
            click.echo(f"written: {out}")
    if all(j.state == "unknown" for j in judged):
        ctx.exit(int(ExitCode.UNDECIDED))
    ctx.exit(int(ExitCode.FAIL if any(a.urgency <= 1 for a in advices) else ExitCode.PASS))


def _load(path: Path) -> "Condition":
    from hil.analysis.advice.condition import condition_of, load_condition

    if path.suffix.casefold() == ".mcap":
        from hil.records.reader import read

        return condition_of(read(path))
    return load_condition(path)
