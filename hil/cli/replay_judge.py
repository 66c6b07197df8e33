"""``hil replay`` against expectations, into the virtual BMS, through the engine, and against golden files."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.bar import busy
from hil.cli.replay_check import check_files
from hil.errors import ExitCode, InputError, Problem
from hil.logs.trace import Trace
from hil.logs.write import write_log
from hil.replay.golden import Comparison, Tolerances, accept, compare, load_tolerances
from hil.replay.rewrite import parse_span
from hil.replay.samples import put_in_place
from hil.units import NUMBER, parse_time_ns

if TYPE_CHECKING:
    from hil.campaign.judging_logs import LogOptions
    from hil.campaign.run import Outcome

SENDING = (
    "interface channel bitrate bus_option route out to_stdout dry_run fast suppress_live wait_for map_channel breakpoints "
    "step late_limit no_realtime delay"
).split()
CHANGING = "gap burst max_gap fit_bus ids direction map_id changes corrupt drop duplicate renumber".split()
DEFAULTS = {"speed": "1", "loop": "1", "pause": "0s", "repair": "touched"}
NAMING = "ids map_id changes corrupt drop duplicate start_on e2e golden".split()  # what a database is needed for
TAKING = ["window", "start_on", "channels"]
SPELLED = {
    "to_stdout": "stdout",
    "ids": "id",
    "changes": "set",
    "breakpoints": "break",
    "channels": "only-channel",
}


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
    _refuse(SENDING, chosen, "no --expect and no --into: the log is sent nowhere")
    decodes = chosen["expect"] is not None and chosen["into"] is None
    if chosen["dbc"] is not None and not decodes and not any(_is_given(name, chosen) for name in NAMING):
        expected = (
            "--expect without --into, or an option with a name of it: what the virtual BMS says is of its own database"
        )
        raise InputError(Problem("--dbc", expected=expected))
    if chosen["into"] == "engine" or _is_engine_run(logs, chosen):
        _refuse(
            [*CHANGING, *DEFAULTS, *TAKING, "e2e", "bench"], chosen, "no --into engine: a record is run again as it is"
        )
        if len(logs) != 1:
            raise InputError(Problem("--into engine", expected="one record", found=f"{len(logs)}"))
        return _again(logs[0], chosen)
    return _judged(logs, chosen)


def _refuse(names: Sequence[str], chosen: Mapping[str, Any], expected: str) -> None:
    given = [name for name in names if _is_given(name, chosen)]
    if given:
        option = f"--{SPELLED.get(given[0], given[0]).replace('_', '-')}"
        raise InputError(Problem(option, expected=expected))


def _is_given(name: str, chosen: Mapping[str, Any]) -> bool:
    return chosen[name] != DEFAULTS[name] if name in DEFAULTS else bool(chosen[name])


def _again(log: Path, chosen: Mapping[str, Any]) -> ExitCode:
    """A record run again by the bench half, compared with itself."""
    from hil.campaign.replaying import replay_record
    from hil.campaign.run import Screen

    if chosen["expect"] is not None:
        raise InputError(Problem("--into engine", expected="no --expect: the record has its own scenario"))
    with tempfile.TemporaryDirectory(prefix="hil-replay-") as folder:
        new = Path(folder) / "record.mcap"
        check_files([log], chosen, new)
        screen = Screen(quiet=chosen["as_json"])
        done = screen.follow(log.name, lambda told: replay_record(log, new, told))
        compared = None
        if chosen["golden"] is not None:
            with busy(f"comparing with {chosen['golden'].name}"):
                compared = replace(_files(chosen["golden"], new, chosen), new=Path("the record of the new run"))
    if chosen["as_json"]:
        told = {**done.as_dict(), "golden": None if compared is None else compared.as_dict()}
        click.echo(json.dumps(told, indent=1))
    else:
        for line in [*done.lines(), *([] if compared is None else compared.lines())]:
            click.echo(line)
    return ExitCode.combine([done.exit_code, *([] if compared is None else [compared.exit_code])])


def _judged(logs: Sequence[Path], chosen: Mapping[str, Any]) -> ExitCode:
    from hil.campaign.judging_logs import into_virtual, judge_log
    from hil.campaign.run import Screen

    check_files(logs, chosen, chosen["results"] / "record.mcap")
    options, notes, whole = _options(logs, chosen)
    work = into_virtual if chosen["into"] == "virtual-bms" else judge_log
    screen = Screen(quiet=chosen["as_json"])
    outcome = screen.follow(logs[0].name, lambda told: work(logs[0], chosen["expect"], options, told))
    compared = None
    if chosen["golden"] is not None:
        if len(outcome.cases) != 1:
            raise InputError(
                Problem("--golden", expected="a scenario of one case", found=f"{len(outcome.cases)} cases")
            )
        with busy(f"comparing with {chosen['golden'].name}"):
            compared = _files(chosen["golden"], outcome.folder / outcome.cases[0]["record"], chosen)
    if chosen["as_json"]:
        told: Any = outcome.cases if compared is None else {"cases": outcome.cases, "golden": compared.as_dict()}
        click.echo(json.dumps(told, indent=1))
    else:
        _show(outcome, chosen)
        told_already = {note for case in outcome.cases for note in case.get("notes", ())}
        for line in [*(n for n in notes if n not in told_already), *([] if compared is None else compared.lines())]:
            click.echo(line)
    judged = any(case["checks"] for case in outcome.cases)
    codes = [outcome.exit_code] if judged or outcome.interrupted else [ExitCode.PASS]
    if not (whole and all(case["log_whole"] for case in outcome.cases)):
        codes.append(ExitCode.UNDECIDED)
    return ExitCode.combine([*codes, *([] if compared is None else [compared.exit_code])])


def _options(logs: Sequence[Path], chosen: Mapping[str, Any]) -> "tuple[LogOptions, list[str], bool]":
    """How the log is taken: as it is, or planned as for sending; what to tell about the plan; whether all was readable."""
    from hil.campaign.judging_logs import LogOptions

    into = chosen["into"] == "virtual-bms"
    span = parse_span(chosen["window"] or "0s..", "--window")
    channel = chosen["channels"][0] if chosen["channels"] else None
    start_on = chosen["start_on"] or ""
    is_cut = span.stop_ns is not None or (into and bool(chosen["window"] or start_on))
    changing = any(_is_given(name, chosen) for name in (*CHANGING, *DEFAULTS))
    if not (changing or is_cut or len(logs) > 1 or len(chosen["channels"]) > 1):
        options = LogOptions(chosen["results"], chosen["bench"], span.start_ns * 1e-9, start_on, channel)
        return replace(options, dbc=None if into else chosen["dbc"]), [], True
    from hil.cli.replay_taken import taken

    # Expectations need what was said before their start too; the virtual BMS meets the log where it is cut.
    made = taken(logs, chosen if into else {**chosen, "start_on": None, "window": f"..{span.stop_ns} ns" * is_cut})
    start_s, trigger = (0.0, "") if into else (made.at_ns(span.start_ns) * 1e-9, start_on)
    return (
        LogOptions(
            chosen["results"],
            chosen["bench"],
            start_s,
            trigger,
            planned=made.trace,
            dbc=None if into else chosen["dbc"],
        ),
        made.notes,
        made.whole,
    )


def _show(outcome: "Outcome", chosen: Mapping[str, Any]) -> None:
    """The verdicts; of a log given to the virtual BMS without expectations, what it did."""
    from hil.campaign.reacting import lines_of
    from hil.campaign.run import Screen

    if chosen["expect"] is not None:
        Screen(quiet=False).table(outcome)
        for note in dict.fromkeys(note for case in outcome.cases for note in case["notes"]):
            click.echo(note)
        return
    for case in outcome.cases:
        for line in [*lines_of(case["name"], case["reaction"]), *(f"  {note}" for note in case["notes"])]:
            click.echo(line)
        click.echo(f"record: {outcome.folder / case['record']}")
    if outcome.report is not None:
        click.echo(f"report: {outcome.report}")


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
            try:
                time_s = parse_time_ns(text) * 1e-9
            except InputError as error:
                expected = "a number, a time such as 5ms, or a file golden.yaml"
                raise InputError(Problem("--tolerance", expected=expected, found=repr(text))) from error
    return load_tolerances(path, value, time_s, chosen["ignore"])


def _files(golden: Path, new: Path, chosen: Mapping[str, Any]) -> Comparison:
    if chosen["update"] and not golden.exists():
        put_in_place(golden, new)
    compared = compare(golden, new, tolerances_of(chosen), chosen["dbc"])
    if not chosen["update"] or compared.same:
        return compared
    accept(golden, new)
    click.echo(f"{golden}: accepted; what changed:", err=True)
    for line in compared.lines():
        click.echo(f"  {line}", err=True)
    return compare(golden, new, tolerances_of(chosen), chosen["dbc"])


def against_golden(trace: Trace, chosen: Mapping[str, Any]) -> Comparison:
    """Frames against a golden log, both as its format keeps them; see ``hil.replay.golden``."""
    golden: Path = chosen["golden"]
    with tempfile.TemporaryDirectory(prefix="hil-golden-") as folder:
        new = Path(folder) / f"replayed{''.join(golden.suffixes[-2:]) if golden.suffix == '.gz' else golden.suffix}"
        write_log(trace, new)
        return replace(_files(golden, new, chosen), new=Path("what was sent"))
