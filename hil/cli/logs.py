"""``hil log``: what is in a CAN log, another format, its signals."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.bar import Bar
from hil.cli.group import EXISTING, FORCE, main, refuse_existing
from hil.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from hil.analysis.decoded import Bus, Decoding
    from hil.codec.nouns import Database
    from hil.logs.log import Log
    from hil.logs.trace import Trace

TOLD = 20  # skips and identifiers in the text; all of them with --json


@main.group("log")
def log() -> None:
    """CAN logs of every known format, recognised by their content.

    \b
    Exit codes: 0 all read, 2 a file cannot be read, 3 some of a file could not be read and was skipped.
    """


@log.command("info")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option("--dbc", "dbcs", multiple=True, metavar="[N=]FILE", help="Database that names identifiers; repeatable.")
@click.option(
    "--bit-rate", type=click.IntRange(1000), default=500_000, show_default=True, help="Bit/s, for the bus load."
)
@click.option(
    "--data-bit-rate", type=click.IntRange(1000), default=2_000_000, show_default=True, help="The same, CAN FD."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, nothing else: one object, for several files a list.")
def info(files: tuple[Path, ...], dbcs: tuple[str, ...], bit_rate: int, data_bit_rate: int, as_json: bool) -> None:
    """Tell what is in logs: format, frames, what was skipped, identifiers, duration, bus load, errors.

    \b
    Examples:
      hil log info drive.blf
      hil log info *.log --dbc vehicle.dbc
      hil log info charge.trc --json
    """
    from hil.logs.read import read_log

    buses = _buses(dbcs)
    told: list[dict[str, Any]] = []
    codes = []
    for path in files:
        try:
            with Bar(f"reading {path.name}") as progress:
                found = read_log(path, progress)
        except InputError as error:
            click.echo(f"hil: {error}".replace("\n", "\nhil: "), err=True)
            codes.append(ExitCode.BAD_INPUT)
            told.append({"path": str(path), "exit": 2, "error": str(error)})
            continue
        codes.append(_code(found))
        told.append(_described(path, found, buses, bit_rate, data_bit_rate))
        if not as_json:
            _print(told[-1])
    if as_json:
        click.echo(json.dumps(told if len(files) > 1 else told[0], indent=1))
    sys.exit(int(ExitCode.combine(codes)))


@log.command("convert")
@click.argument("source", type=EXISTING)
@click.argument("out", type=EXISTING)
@FORCE
def convert(source: Path, out: Path, force: bool) -> None:
    """Write a log in another format, by suffix: .blf, .mf4, .asc, .log (candump), .trc, .csv; text also with .gz.

    What the format cannot hold is told.

    \b
    Examples:
      hil log convert savvycan.csv drive.blf
      hil log convert drive.mf4 drive.log.gz
    """
    from hil.logs.read import read_log
    from hil.logs.write import suffix_of, write_log

    suffix_of(out)
    _distinct(source, out)
    refuse_existing(out, force)
    with Bar(f"reading {source.name}") as progress:
        found = read_log(source, progress)
    with Bar(f"writing {out.name}") as progress:
        notes = write_log(found.trace, out, progress)
    for note in notes:
        click.echo(f"hil: {out}: {note}", err=True)
    _tell_skips(source, found)
    click.echo(f"written: {out}, {len(found.trace)} frames")
    sys.exit(int(_code(found)))


@log.command("decode")
@click.argument("file", type=EXISTING)
@click.option("--dbc", "dbcs", multiple=True, required=True, metavar="[N=]FILE", help="Database; repeatable.")
@click.option("--out", type=EXISTING, required=True, help="Where to write: .mcap, .mf4, .parquet or .csv.")
@click.option(
    "--signal", "signals", multiple=True, metavar="GLOB", help="Only signals that fit, such as 'BMS_*.*Volt*'."
)
@FORCE
def decode(file: Path, dbcs: tuple[str, ...], out: Path, signals: tuple[str, ...], force: bool) -> None:
    """Decode a log's signals with databases. ``N=FILE`` is for the frames of channel N alone, as info counts channels.

    \b
    Examples:
      hil log decode drive.blf --dbc vehicle.dbc --out drive.mf4
      hil log decode drive.log --dbc 0=bms.dbc --dbc 1=drive.dbc --out drive.parquet
      hil log decode drive.asc --dbc bms.dbc --signal '*Voltage*' --out voltages.csv
    """
    from hil.analysis.decoded import decode_log, suffix_of, write_decoded
    from hil.logs.read import read_log

    suffix_of(out)
    _distinct(file, out)
    refuse_existing(out, force)
    buses = _buses(dbcs)
    with Bar(f"reading {file.name}") as progress:
        found = read_log(file, progress)
    with Bar("decoding") as progress:
        decoded = decode_log(found.trace, buses, signals, progress)
    about = {
        "source": file.name,
        "format": found.format,
        "databases": ", ".join(Path(b.database.path).name for b in buses),
    }
    with Bar(f"writing {out.name}") as progress:
        notes = write_decoded(decoded, out, about, progress)
    for note in notes:
        click.echo(f"hil: {out}: {note}", err=True)
    _tell_skips(file, found)
    _tell_decoded(decoded, len(found.trace))
    click.echo(f"written: {out}, {len(decoded.columns)} signals, {len(decoded.times_ns)} rows")
    sys.exit(int(_code(found)))


def _tell_decoded(decoded: "Decoding", frames: int) -> None:
    if not decoded.columns:
        click.echo("hil: no frame of the log is in the databases", err=True)
    elif decoded.unknown:
        click.echo(f"hil: {decoded.unknown} of {frames} frames are in no database", err=True)
    if decoded.short:
        click.echo(
            f"hil: {decoded.short} frames are shorter than their message; what they do not reach is nan", err=True
        )


def _code(found: "Log") -> ExitCode:
    return ExitCode.UNDECIDED if found.unreadable else ExitCode.PASS


def _tell_skips(path: Path, found: "Log") -> None:
    for skip in found.skipped[:TOLD]:
        click.echo(f"hil: {path}: {skip.where}: skipped: {skip.what}", err=True)
    if found.unreadable > min(TOLD, len(found.skipped)):
        click.echo(f"hil: {path}: {found.unreadable} places skipped in all", err=True)


def _distinct(source: Path, out: Path) -> None:
    from hil.files.places import same_file

    if same_file(out, source):
        raise InputError(Problem("the output needs a name other than the log's", str(out)))


def _buses(dbcs: tuple[str, ...]) -> "list[Bus]":
    """Databases of ``FILE`` or ``N=FILE``."""
    if not dbcs:
        return []
    from hil.analysis.decoded import Bus
    from hil.codec import database

    out = []
    for text in dbcs:
        number, equals, rest = text.partition("=")
        of_channel = bool(equals) and number.isascii() and number.isdigit() and not _there(Path(text))
        if of_channel and int(number) > 255:
            raise InputError(Problem("no such channel", text, expected="a number from 0 to 255", found=number))
        loaded: Database = database.load(Path(rest if of_channel else text))
        for problem in loaded.notes:
            click.echo(f"hil: {problem}", err=True)
        out.append(Bus(loaded, int(number) if of_channel else None))
    return out


def _there(path: Path) -> bool:
    """Whether there is such a file, as far as can be seen: ``exists`` raises for what may not be looked at."""
    try:
        return path.exists()
    except OSError:
        return False


def _described(path: Path, found: "Log", buses: "list[Bus]", bit_rate: int, data_bit_rate: int) -> dict[str, Any]:
    """One log as JSON fields."""
    import numpy as np

    from hil.logs.load import identifiers
    from hil.logs.moment import iso
    from hil.tick import FrameBits

    trace = found.trace
    names = {(b.channel, m.extended, m.id): m.name for b in buses for m in b.database.messages}
    ids = []
    for one in identifiers(trace):
        entry = {"id": f"{one.id:0{8 if one.extended else 3}X}", "extended": one.extended, "channel": one.channel}
        entry |= {"count": one.count, "period_ms": None if one.period_ns is None else one.period_ns / 1e6}
        entry |= {"length": one.length}
        if buses:
            general = names.get((None, one.extended, one.id))
            entry["name"] = names.get((one.channel, one.extended, one.id), general)
        ids.append(entry)
    counts = {
        name: int(np.count_nonzero(trace.bits & flag))
        for name, flag in (
            ("errors", FrameBits.ERROR),
            ("remote", FrameBits.REMOTE),
            ("fd", FrameBits.FD),
            ("sent", FrameBits.SENT),
        )
    }
    start = int(trace.t_ns.min()) if len(trace) else None
    channels = _channels(trace, found.facts, bit_rate, data_bit_rate)
    loads = [c["bus_load"] for c in channels if c["bus_load"]]
    return {
        "path": str(path),
        "format": found.format,
        "frames": len(trace),
        "skipped": found.unreadable,
        "skips": [{"where": s.where, "what": s.what, "amount": s.amount} for s in found.skipped],
        **counts,
        "ids": ids,
        "channels": channels,
        "start": iso(start) if trace.absolute and start is not None else None,
        "duration_s": trace.duration_ns / 1e9,
        "bit_rate": bit_rate,
        "bus_load": max(loads, key=lambda load: float(load["most"])) if loads else None,
        "facts": found.facts,
        "exit": int(_code(found)),
    }


def _channels(trace: "Trace", facts: dict[str, str], bit_rate: int, data_bit_rate: int) -> list[dict[str, Any]]:
    import numpy as np

    from hil.logs.load import bus_load

    out = []
    for channel in np.unique(trace.channel).tolist():
        part = trace.select(np.flatnonzero(trace.channel == channel))
        load = bus_load(part, bit_rate, data_bit_rate)
        shares = None
        if load:
            shares = {
                "least": round(load.least, 6),
                "most": round(load.most, 6),
                "busiest_second": round(load.busiest, 6),
            }
        out.append(
            {"channel": channel, "name": facts.get(f"channel {channel}"), "frames": len(part), "bus_load": shares}
        )
    return out


def _print(told: dict[str, Any]) -> None:
    """The same as text."""
    kinds = [
        f"{told[name]} {text}"
        for name, text in (("errors", "error"), ("remote", "remote"), ("fd", "CAN FD"))
        if told[name]
    ]
    lines = [f"{told['path']}: {told['format']}, {told['frames']} frames" + (f" ({', '.join(kinds)})" if kinds else "")]
    start = f" from {told['start']}" if told["start"] else ""
    lines.append(f"  {told['duration_s']:.3f} s{start}")
    for c in told["channels"]:
        name, load = f" ({c['name']})" if c["name"] else "", c["bus_load"]
        line = f"  channel {c['channel']}{name}: {c['frames']} frames"
        if load:
            line += f", bus load {load['least']:.1%} to {load['most']:.1%} of {told['bit_rate'] // 1000} kbit/s"
            line += f", busiest second at most {load['busiest_second']:.1%}"
        lines.append(line)
    for one in told["ids"]:
        period = "" if one["period_ms"] is None else f"{one['period_ms']:.3f} ms"
        text = f"  {one['id']:>8}  channel {one['channel']}  {one['count']:>8} x {one['length']:>2} bytes  {period:>14}"
        lines.append(f"{text}  {one.get('name') or ''}".rstrip())
    facts = [(name, text) for name, text in told["facts"].items() if not name.startswith("channel ")]
    lines += [f"  {name}: {text}" for name, text in facts]
    if told["skipped"]:
        lines.append(f"  skipped: {told['skipped']} places")
        lines += [f"    {s['where']}: {s['what']}" for s in told["skips"][:TOLD]]
    click.echo("\n".join(lines))
