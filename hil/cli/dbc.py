"""``hil dbc``: what is in a CAN database, and what had to be repaired to read it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.group import EXISTING, main
from hil.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from hil.codec.nouns import Database

_EPILOG = """\b
Examples:
  hil dbc vehicle.dbc
  hil dbc --strict dbc/*.dbc
  hil dbc --json vehicle.dbc charger.kcd

\b
Exit codes: 0 all files read, 2 a file cannot be read (with --strict: or needed a repair).
"""


@main.command("dbc", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option("--strict", is_flag=True, help="Refuse a file that needs a repair.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@click.pass_context
def dbc(ctx: click.Context, files: tuple[Path, ...], strict: bool, as_json: bool) -> None:
    """Tell what is in CAN databases (.dbc, .kcd, .sym, .arxml) and every repair with file and line.

    Nothing is written: the files stay as they are.
    """
    told = [_told(path, strict) for path in files]
    code = ExitCode.BAD_INPUT if any(one["exit"] for one in told) else ExitCode.PASS
    if as_json:
        click.echo(json.dumps({"exit": int(code), "files": told}, indent=2))
    else:
        for one in told:
            _print(one)
    ctx.exit(int(code))


def _told(path: Path, strict: bool) -> dict[str, Any]:
    """One file as JSON fields: ``exit`` 0 or 2, ``errors``, ``repairs``, and ``content`` when it could be read."""
    from hil.codec import database

    try:
        db = database.load(path)
    except InputError as error:
        return _entry(path, 2, None, error.problems, ())
    return _entry(path, 2 if strict and db.notes else 0, _content(db), (), db.notes)


def _entry(
    path: Path, code: int, content: dict[str, Any] | None, errors: tuple[Problem, ...], repairs: tuple[Problem, ...]
) -> dict[str, Any]:
    return {
        "path": str(path),
        "exit": code,
        "content": content,
        "errors": [_fields(p) for p in errors],
        "repairs": [_fields(p) for p in repairs],
    }


def _content(db: "Database") -> dict[str, Any]:
    from hil.codec.bus_load import known_load

    return {
        "messages": len(db.messages),
        "signals": sum(len(m.signals) for m in db.messages),
        "multiplexed": sum(bool(m.selectors) for m in db.messages),
        "extended": sum(m.extended for m in db.messages),
        "fd": sum(m.fd for m in db.messages),
        "cyclic": sum(m.cycle_ns is not None for m in db.messages),
        "nodes": list(db.nodes),
        "bit_rate": db.bit_rate,
        "worst_load": known_load(db),
    }


def _fields(problem: Problem) -> dict[str, Any]:
    names = ("path", "line", "column", "message", "expected", "found", "nearest")
    return {name: getattr(problem, name) for name in names} | {"text": str(problem)}


def _print(one: dict[str, Any]) -> None:
    refused = bool(one["exit"])
    for problem in (*one["errors"], *one["repairs"]):
        click.echo(problem["text"], err=refused)
    has = one["content"]
    if has is None:
        return
    rate = f"{has['bit_rate']} bit/s" if has["bit_rate"] else "bit rate not said"
    load = "not known" if has["worst_load"] is None else f"at most {100 * has['worst_load']:.1f} %"
    kinds = f"{has['multiplexed']} multiplexed, {has['extended']} extended, {has['fd']} CAN FD, {has['cyclic']} cyclic"
    click.echo(f"{one['path']}: {has['messages']} messages ({kinds}), {has['signals']} signals")
    click.echo(f"  {rate}, bus load {load}, nodes: {', '.join(has['nodes']) or 'none'}")
    count = len(one["repairs"])
    repairs = f"{count} repair{'' if count == 1 else 's'}"
    if refused:
        click.echo(f"  refused: {repairs} needed", err=True)
    else:
        click.echo(f"  {repairs}" if count else "  nothing to repair")
