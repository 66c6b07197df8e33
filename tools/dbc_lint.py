"""Check a DBC file: what the loader repairs, overlaps, ranges, senders, cycle times, bus load in the worst case.

    python -m tools.dbc_lint dbc/bench.dbc
    python -m tools.dbc_lint --json --load-limit 0.25 dbc/bench.dbc

Exit codes: 0 nothing found, 1 something found, 2 the file cannot be read.
"""

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from hil.codec import database
from hil.codec.bus_load import worst_load
from hil.codec.nouns import Database, Message, Signal
from hil.errors import InputError, Problem

NO_SENDER = frozenset({"Vector__XXX", ""})
EXAMPLE = "\b\nExample:\n  python -m tools.dbc_lint --json --load-limit 0.25 dbc/bench.dbc"


@dataclass(frozen=True, slots=True)
class Places:
    """Where messages and signals stand in the text of a DBC: (message, signal) or (message, "") -> line."""

    path: str
    lines: dict[tuple[str, str], int]

    @staticmethod
    def read(path: Path) -> "Places":
        """Find the BO_ and SG_ lines; the first of a name counts."""
        lines: dict[tuple[str, str], int] = {}
        message = ""
        for number, text in enumerate(path.read_text(encoding="cp1252", errors="replace").splitlines(), 1):
            found = re.match(r"\s*(?:BO_\s+\d+\s+(\w+)\s*:|SG_\s+(\w+))", text)
            if found and found[1]:
                message = found[1]
            if found:
                lines.setdefault((message, found[2] or ""), number)
        return Places(str(path), lines)

    def problem(
        self, message: Message, signal: Signal | None, what: str, expected: str = "", found: str = ""
    ) -> Problem:
        """A Problem at the line of the signal, else of the message."""
        name = message.name if signal is None else f"{message.name}.{signal.name}"
        line = self.lines.get((message.name, signal.name if signal else ""), 0)
        return Problem(f"{name}: {what}", self.path, line, 1 if line else 0, expected, found)


def ranges(db: Database, places: Places) -> Iterator[Problem]:
    """Declared ranges and value tables hold what the bits can hold; factors are not 0; selectors reach their groups."""
    for m in db.messages:
        for s in m.signals:
            if s.factor == 0.0 or not math.isfinite(s.factor):
                yield places.problem(m, s, "the factor loses the value", found=f"{s.factor:g}")
                continue
            low, high = sorted(raw * s.factor + s.offset for raw in s.raw_range)
            slack = abs(s.factor) * 1e-6  # decimal texts do not multiply exactly
            if s.minimum is None or s.maximum is None or (s.minimum, s.maximum) == (0.0, 0.0):
                yield places.problem(m, s, "no range declared", f"within [{low:g}, {high:g}]")
            elif s.minimum > s.maximum:
                yield places.problem(m, s, "the range is upside down", found=f"[{s.minimum:g}, {s.maximum:g}]")
            elif s.minimum < low - slack or s.maximum > high + slack:
                found = f"[{s.minimum:g}, {s.maximum:g}]"
                yield places.problem(m, s, "the range is wider than the bits", f"within [{low:g}, {high:g}]", found)
            for raw, text in s.labels:
                if not s.raw_range[0] <= raw <= s.raw_range[1]:
                    yield places.problem(m, s, f"value {text!r} does not fit", f"raw {s.raw_range}", str(raw))
            mux = m.signal(s.mux_signal)
            if mux is not None and s.mux_ranges[-1][1] > mux.raw_range[1]:
                yield places.problem(m, s, "the multiplexer cannot reach its group", found=str(s.mux_ranges[-1][1]))


def traffic(db: Database, places: Places, bit_rate: int, load_limit: float) -> Iterator[Problem]:
    """Every message has a sender and a cycle time, and all together stay below the load limit."""
    for m in db.messages:
        unknown = [s for s in m.senders if s not in db.nodes]
        if not m.senders or set(m.senders) & NO_SENDER:
            yield places.problem(m, None, "has no sender", ", ".join(db.nodes))
        elif unknown:
            yield places.problem(m, None, "its sender is no node", ", ".join(db.nodes), ", ".join(unknown))
        if m.cycle_ns is None:
            yield places.problem(m, None, "has no cycle time", "GenMsgCycleTime above 0")
        if m.fd or m.length > 8:
            yield places.problem(m, None, "the load of CAN FD frames is not computed", "at most 8 bytes")
    load = worst_load(db, bit_rate)
    if load >= load_limit:
        expected = f"below {100 * load_limit:g} %"
        yield Problem("bus load in the worst case", places.path, 0, 0, expected, f"{100 * load:.1f} %")


def lint(path: Path, bit_rate: int | None, load_limit: float) -> tuple[list[Problem], float]:
    """All problems of a file, by line, and its worst-case load. Raises InputError when it cannot be read."""
    db = database.load(path)
    places = Places.read(path)
    rate = bit_rate or db.bit_rate
    if not rate:
        raise InputError(Problem("no bit rate", str(path), expected="the attribute Baudrate, or --bit-rate"))
    found = [
        *db.notes,  # names and identifiers used twice, overlaps, and all else that had to be repaired
        *ranges(db, places),
        *traffic(db, places, rate, load_limit),
    ]
    return sorted(found, key=lambda p: p.line), worst_load(db, rate)


def _fields(problem: Problem) -> dict[str, str | int]:
    names = ("path", "line", "column", "message", "expected", "found", "nearest")
    return {name: getattr(problem, name) for name in names}


@click.command(epilog=EXAMPLE)
@click.argument("dbc", type=click.Path(path_type=Path))
@click.option("--bit-rate", type=click.IntRange(min=1), help="Bit/s; without it the file's own Baudrate.")
@click.option("--load-limit", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Greatest bus load.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def main(dbc: Path, bit_rate: int | None, load_limit: float, as_json: bool) -> None:
    """Check a DBC file: repairs, overlaps, ranges, senders, cycle times, worst-case bus load.

    Exit codes: 0 nothing found, 1 something found, 2 the file cannot be read.
    """
    load: float | None = None
    try:
        problems, load = lint(dbc, bit_rate, load_limit)
        code = 1 if problems else 0
    except InputError as error:
        problems, code = list(error.problems), 2
    if as_json:
        out = {"file": str(dbc), "exit": code, "worst_load": load, "problems": [_fields(p) for p in problems]}
        click.echo(json.dumps(out, indent=2))
    else:
        for problem in problems:
            click.echo(str(problem), err=code == 2)
        if load is not None:
            click.echo(f"{dbc}: {len(problems)} problems, bus load at most {100 * load:.1f} %")
    sys.exit(code)


if __name__ == "__main__":
    main()
