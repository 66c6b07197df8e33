"""The options of ``hil replay`` looked at together, and the files they name, before anything is read, sent or written."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hil.cli.group import refuse_existing
from hil.errors import BenchError, InputError, Problem
from hil.logs.write import suffix_of

WHERE = "one of --interface, --out, --stdout, --dry-run, --expect, --into"


def check_all(logs: Sequence[Path], chosen: Mapping[str, Any]) -> None:
    """Refuse options without the one they need. Raises InputError."""
    changing = chosen["changes"] or chosen["corrupt"] or chosen["renumber"] or chosen["repair"] == "all"
    needs = [
        ("update", chosen["update"], chosen["golden"], "--golden, the file to write"),
        ("tolerance", chosen["tolerance"], chosen["golden"], "--golden, the file to compare with"),
        ("ignore", chosen["ignore"], chosen["golden"], "--golden, the file to compare with"),
        ("out-of-range", chosen["out_of_range"] != "error", chosen["changes"], "--set, a signal to rewrite"),
        ("repair", chosen["repair"] != "touched", chosen["e2e"], "--e2e, to know what is protected"),
        (
            "renumber",
            chosen["renumber"],
            chosen["repair"] != "off",
            "no --repair off: a new number needs a new checksum",
        ),
        ("seed", chosen["seed"], chosen["drop"] or chosen["duplicate"], "--drop or --duplicate, which are by chance"),
        ("force", chosen["force"], chosen["out"], "--out, the file to replace"),
        ("burst", chosen["burst"], chosen["gap"], "--gap, the time from one burst to the next"),
        ("pause", chosen["pause"] != "0s", len(logs) > 1 or chosen["loop"] != "1", "several logs, or --loop"),
        (
            "e2e",
            chosen["e2e"],
            changing or len(logs) > 1 or chosen["loop"] != "1",
            "--set, --repair all, --renumber, --corrupt, --loop or several logs: nothing else touches a checksum",
        ),
    ]
    for option, given, partner, expected in needs:
        if given and not partner:
            raise InputError(Problem(f"--{option}", expected=expected))


def check_sending(chosen: Mapping[str, Any]) -> None:
    """Refuse options of a replay to a bus, a file or nowhere that do not go together. Raises InputError."""
    where = [n for n in ("interface", "out", "to_stdout", "dry_run") if chosen[n]]
    if len(where) != 1:
        found = ", ".join(f"--{n.removeprefix('to_').replace('_', '-')}" for n in where) or "none"
        raise InputError(Problem("where to", expected=WHERE, found=found))
    live = chosen["interface"] is not None
    for name in ("suppress_live", "wait_for", "bitrate", "bus_option", "route", "channel"):
        if chosen[name] and not live:
            raise InputError(Problem(f"--{name.replace('_', '-')}", expected="--interface, a bus to send on"))
    if live and not chosen["channel"]:
        raise InputError(Problem("--interface", expected="--channel, such as can0 or /dev/ttyACM0"))
    if chosen["late_limit"] and chosen["fast"] and not chosen["fit_bus"]:
        raise InputError(Problem("--late-limit", expected="due times; --fast has none"))
    if chosen["loop"].strip().lower() == "forever" and not (live or chosen["to_stdout"]):
        raise InputError(Problem("--loop forever", expected="--interface or --stdout: this would never end"))
    if chosen["golden"] is not None and not (chosen["out"] or chosen["dry_run"]):
        raise InputError(Problem("--golden", expected="--out or --dry-run: what is compared is what would be sent"))


def check_files(logs: Sequence[Path], chosen: Mapping[str, Any], record: Path | None = None) -> None:
    """No file that is read is written over, and what is written can be.

    ``record`` is a record this replay will write, if any.

    Raises:
        InputError: an output is an input, or has a name its format is not known by.
        BenchError: it cannot be written there.
    """
    out, golden = chosen["out"], chosen["golden"]
    read = [("the log", log) for log in logs]
    read += [(f"--{n}", chosen[n]) for n in ("dbc", "e2e", "expect", "bench") if chosen[n] is not None]
    read += [("--tolerance", Path(text)) for text in chosen["tolerance"] if text.endswith((".yaml", ".yml"))]
    if golden is not None and chosen["update"]:
        _apart("--golden with --update", golden, read)
    for option, path in (("--out", out), ("the new record in --results", record)):
        if path is not None:
            _apart(option, path, [*read, *([("--golden", golden)] if golden is not None else [])])
    if record is None and golden is not None:
        _kind("--golden", golden)
    if out is not None:
        _kind("--out", out)
        _place(out)
        refuse_existing(out, chosen["force"])


def _apart(option: str, path: Path, others: Sequence[tuple[str, Path]]) -> None:
    from hil.files.places import same_file

    for name, other in others:
        if same_file(path, other) or os.path.realpath(path) == os.path.realpath(other):
            what = f"{option} would overwrite {name} {other}"
            raise InputError(Problem(what, expected="a file of its own", found=str(path)))


def _kind(option: str, path: Path) -> None:
    try:
        suffix_of(path)
    except InputError as error:
        first = error.problems[0]
        raise InputError(
            Problem(f"{option} {path}", expected=first.expected, found=first.found, nearest=first.nearest)
        ) from error


def _place(path: Path) -> None:
    """Raise BenchError when ``path`` is a folder, or no file can be made there."""
    try:
        is_folder, folder = path.is_dir(), next(place for place in _upwards(path) if place.exists())
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}") from error
    if is_folder:
        raise BenchError(f"cannot write {path}: it is a folder")
    if not folder.is_dir():
        raise BenchError(f"cannot write {path}: {folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BenchError(f"cannot write {path}: no permission to write in {folder}")


def _upwards(path: Path) -> Iterator[Path]:
    yield from path.absolute().parents
