"""The report of ``hil replay``: one exit code, JSON, and the account for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from hil.cli.replay_plan import Planned, names_of
from hil.errors import ExitCode
from hil.replay.player import Ended, Report
from hil.replay.source import Source


def exit_code(
    report: Report, made: Planned, chosen: Mapping[str, Any], whole: bool, compared: Any, problems: Sequence[str] = ()
) -> ExitCode:
    """One code of all that may have gone wrong."""
    codes = [ExitCode.PASS]
    if report.ended is Ended.INTERRUPTED:
        codes.append(ExitCode.INTERRUPTED)
    if report.ended in (Ended.BREAKPOINT, Ended.QUIT) or report.planned == 0 or not whole:
        codes.append(ExitCode.UNDECIDED)
    if report.failed or problems or report.ended is Ended.DEAF:
        codes.append(ExitCode.BENCH)
    if not report.lateness.within:
        codes.append(ExitCode.FAIL)
    if compared is not None:
        codes.append(compared.exit_code)
    return ExitCode.combine(codes)


def as_dict(
    report: Report,
    made: Planned,
    sources: Sequence[Source],
    granted: str,
    notes: Sequence[str],
    compared: Any,
    code: ExitCode,
) -> dict[str, Any]:
    """The report for JSON."""
    return {
        "exit": int(code),
        "ended": report.ended.value,
        "where": report.where,
        "logs": names_of(sources),
        "planned": report.planned,
        "sent": report.sent,
        "suppressed": report.suppressed,
        "failed": report.failed,
        "unsent": report.unsent,
        "left_out": report.left_out,
        "added": report.added,
        "rewritten": made.rewritten,
        "corrupted": made.corrupted,
        "retries": report.retries,
        "heard_ids": report.heard,
        "turns": report.turns,
        "duration_s": report.duration_ns / 1e9,
        "scheduling": granted,
        "lateness": report.lateness.as_dict() if has_times(made) else None,
        "golden": None if compared is None else compared.as_dict(),
        "notes": list(notes),
    }


def has_times(made: Planned) -> bool:
    """False when everything is sent as fast as possible: then nothing can be late."""
    return made.timing.gap_ns != 0 or made.timing.fit is not None


def tell(
    told: Mapping[str, Any],
    report: Report,
    granted: str,
    notes: Sequence[str],
    compared: Any,
    chosen: Mapping[str, Any],
) -> None:
    """Print the report; to standard error where standard output has the frames."""
    if chosen["as_json"]:
        click.echo(json.dumps(told, indent=1), err=chosen["to_stdout"])
        return

    def say(text: str) -> None:
        click.echo(text, err=chosen["to_stdout"])

    say(
        f"{report.ended.value}: {report.sent} of {report.planned} frames sent in {report.duration_ns / 1e9:.3f} s ({granted})"
    )
    if report.where:
        say(f"  before {report.where}")
    for name in ("suppressed", "failed", "left_out"):
        for reason, n in told[name].items():
            say(f"  {name.replace('_', ' ')}: {n} ({reason})")
    for name in ("unsent", "added", "rewritten", "corrupted", "retries"):
        if told[name] or chosen.get({"rewritten": "changes", "corrupted": "corrupt"}.get(name, "")):
            say(f"  {name}: {told[name]}")
    late = told["lateness"]
    if late is not None and late["frames"]:
        shares = ", ".join(f"{k.replace('_', '.')} {late[f'{k}_us']:g} us" for k in ("p50", "p99", "p99_9", "max"))
        limit = "" if late["limit_us"] is None else f", {late['over_limit']} frames over {late['limit_us']:g} us"
        say(f"  late: {shares}{limit}")
    for line in [*notes, *([] if compared is None else compared.lines())]:
        say(f"  {line}")
