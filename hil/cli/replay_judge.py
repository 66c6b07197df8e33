"""``hil replay`` against expectations, into the virtual BMS, through the engine, and against golden files."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hil.errors import BenchError, ExitCode, InputError, Problem
from hil.logs.trace import Trace
from hil.logs.write import write_log
from hil.replay.golden import Comparison, Tolerances, accept, compare, load_tolerances
from hil.replay.rewrite import parse_span
from hil.units import NUMBER, parse_time_ns

SENDING = (
    "interface out to_stdout dry_run fast gap max_gap fit_bus suppress_live wait_for ids direction map_id map_channel changes "
    "corrupt drop duplicate renumber breakpoints step late_limit"
).split()
SPELLED = {"to_stdout": "stdout", "ids": "id", "changes": "set", "breakpoints": "break"}


def wants_judging(logs: Sequence[Path], chosen: Mapping[str, Any]) -> bool:
    """True when the log is not sent anywhere but judged, or given to the virtual BMS or the engine."""
    return chosen["expect"] is not None or chosen["into"] is not None or _is_engine_run(logs, chosen)


def _is_engine_run(logs: Sequence[Path], chosen: Mapping[str, Any]) -> bool:
    """A record with nowhere to go runs through the engine again."""
    from hil.campaign.replaying import is_record

    somewhere = any(chosen[name] for name in ("interface", "out", "to_stdout", "dry_run", "into", "expect"))
    return not somewhere and len(logs) == 1 and is_record(logs[0])


def judge(logs: Sequence[Path], chosen: Mapping[str, Any]) -> ExitCode:
    """Do it; returns the exit code.

    Raises:
        InputError: options that do not go together, or a file that is wrong.
    """
    given = [name for name in SENDING if chosen[name]] + [name for name in ("speed", "loop") if chosen[name] != "1"]
    if given:
        option = f"--{SPELLED.get(given[0], given[0]).replace('_', '-')}"
        raise InputError(Problem(option, expected="no --expect and no --into: the log is taken as it is"))
    if len(logs) != 1:
        raise InputError(Problem("--expect and --into", expected="one log", found=f"{len(logs)}"))
    if chosen["into"] == "engine" or _is_engine_run(logs, chosen):
        return _again(logs[0], chosen)
    return _judged(logs[0], chosen)


def _again(log: Path, chosen: Mapping[str, Any]) -> ExitCode:
    """A record run again by the bench half, compared with itself."""
    from hil.campaign.replaying import replay_record

    if chosen["expect"] is not None:
        raise InputError(Problem("--into engine", expected="no --expect: the record has its own scenario"))
    done = replay_record(log)
    compared = None if chosen["golden"] is None else _files(chosen["golden"], log, chosen)
    if chosen["as_json"]:
        told = {**done.as_dict(), "golden": None if compared is None else compared.as_dict()}
        click.echo(json.dumps(told, indent=1))
    else:
        for line in [*done.lines(), *([] if compared is None else compared.lines())]:
            click.echo(line)
    return ExitCode.combine([done.exit_code, *([] if compared is None else [compared.exit_code])])


def _judged(log: Path, chosen: Mapping[str, Any]) -> ExitCode:
    from hil.campaign.judging_logs import LogOptions, into_virtual, judge_log
    from hil.campaign.run import Screen

    span = parse_span(chosen["window"] or "0s..", "--window")
    if span.stop_ns is not None:
        raise InputError(Problem("--window", expected="a start alone, such as 10s..", found=chosen["window"]))
    start_s = span.start_ns * 1e-9
    channel = chosen["channels"][0] if chosen["channels"] else None
    options = LogOptions(chosen["results"], chosen["bench"], start_s, chosen["start_on"] or "", channel)
    if chosen["into"] == "virtual-bms":
        outcome = into_virtual(log, chosen["expect"], options)
    else:
        outcome = judge_log(log, chosen["expect"], options)
    compared = None
    if chosen["golden"] is not None:
        if len(outcome.cases) != 1:
            raise InputError(
                Problem("--golden", expected="a scenario of one case", found=f"{len(outcome.cases)} cases")
            )
        compared = _files(chosen["golden"], outcome.folder / outcome.cases[0]["record"], chosen)
    if chosen["as_json"]:
        told: Any = outcome.cases if compared is None else {"cases": outcome.cases, "golden": compared.as_dict()}
        click.echo(json.dumps(told, indent=1))
    else:
        Screen(quiet=False).table(outcome)
        for line in [] if compared is None else compared.lines():
            click.echo(line)
    judged = any(case["checks"] for case in outcome.cases)
    codes = [outcome.exit_code] if judged or outcome.interrupted else [ExitCode.PASS]
    return ExitCode.combine([*codes, *([] if compared is None else [compared.exit_code])])


def tolerances_of(chosen: Mapping[str, Any]) -> Tolerances:
    """Each ``--tolerance`` is a number (value), a time, or a file. Raises InputError for anything else."""
    path: Path | None = None
    value: float | None = None
    time_s: float | None = None
    for text in chosen["tolerance"]:
        if text.endswith((".yaml", ".yml")):
            path = Path(text)
        elif re.fullmatch(NUMBER, text.strip()):
            value = float(text)
        else:
            time_s = parse_time_ns(text) * 1e-9
    return load_tolerances(path, value, time_s, chosen["ignore"])


def _files(golden: Path, new: Path, chosen: Mapping[str, Any]) -> Comparison:
    if chosen["update"] and not golden.exists():
        _first(golden, new)
    compared = compare(golden, new, tolerances_of(chosen), chosen["dbc"])
    if not chosen["update"] or compared.same:
        return compared
    accept(golden, new)
    click.echo(f"{golden}: accepted; what changed:", err=True)
    for line in compared.lines():
        click.echo(f"  {line}", err=True)
    return compare(golden, new, tolerances_of(chosen), chosen["dbc"])


def _first(golden: Path, new: Path) -> None:
    try:
        golden.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(new, golden)
    except OSError as error:
        raise BenchError(f"cannot write {golden}: {error.strerror or error}") from error


def against_golden(trace: Trace, chosen: Mapping[str, Any]) -> Comparison:
    """Frames against a golden log, both as its format keeps them; see ``hil.replay.golden``."""
    golden: Path = chosen["golden"]
    with tempfile.TemporaryDirectory(prefix="hil-golden-") as folder:
        new = Path(folder) / f"replayed{''.join(golden.suffixes[-2:]) if golden.suffix == '.gz' else golden.suffix}"
        write_log(trace, new)
        return replace(_files(golden, new, chosen), new=Path("what was sent"))
