"""Running scenarios: every case to a record and verdicts; then ``verdicts.json``, JUnit, the report and ``run.json``."""

import dataclasses
import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import hil
from hil.assemble import Assembled, assemble
from hil.campaign.warm import compile_all
from hil.checks.verdict import Status, Verdict, results
from hil.engine import Ending, Run, run, trip_text
from hil.errors import BenchError, ExitCode, InputError, Problem, nearest, printable
from hil.files.shipped import located
from hil.kernel import is_compiled
from hil.scenario.cases import Case
from hil.scenario.loader import Collector, Loaded, load
from hil.scenario.plugged import Plugged, load_bench

CODES = {
    "PASS": ExitCode.PASS,
    "FAIL": ExitCode.FAIL,
    "ERROR": ExitCode.BENCH,
    "NOT_EXERCISED": ExitCode.UNDECIDED,
    "INCONCLUSIVE": ExitCode.UNDECIDED,
}

ENDED, FAILED = "end", "failed"  # kinds of the last event of a record


@dataclass(frozen=True, slots=True)
class Options:
    """How to run."""

    out: Path
    bench: Path | None = None
    clock: str = "virtual"
    speed: float = 1.0
    defects: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """All cases as plain data (``verdicts.json``) and where things are."""

    cases: list[dict[str, Any]] = field(default_factory=list)
    folder: Path = Path()
    report: Path | None = None
    interrupted: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The one code of all checks."""
        codes = [CODES[check["status"]] for case in self.cases for check in case["checks"]]
        return ExitCode.combine([*codes, *([ExitCode.INTERRUPTED] if self.interrupted else [])])


class Screen:
    """What a person sees while cases run, and the table at the end."""

    def __init__(self, quiet: bool) -> None:
        """``quiet`` prints nothing."""
        from rich.console import Console

        self.quiet = quiet
        # Names and expressions of files are shown as they are: "[each]" is no style there, and ":on:" no picture.
        plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self._console = Console(**plain)
        if not self._console.is_terminal:
            self._console = Console(**plain, width=140)

    def note(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self._console.print(text)

    def follow(self, title: str, work: Callable[[Callable[[int], None]], Any]) -> Any:
        """Run ``work(on_progress)`` with a line that shows how far it is."""
        if self.quiet:
            return work(lambda t_ns: None)
        from rich.text import Text

        with self._console.status(Text(title)) as status:
            return work(lambda t_ns: status.update(Text(f"{title}  {t_ns * 1e-9:7.1f} s of bench time")))

    def table(self, outcome: Outcome) -> None:
        """The verdicts, and where record and report are."""
        from rich.table import Table
        from rich.text import Text

        colours = {"PASS": "green", "FAIL": "bold red", "ERROR": "bold magenta"}
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("case", "check", "verdict", "margin", "at", "why"):
            shown.add_column(name, overflow="fold", justify="right" if name in ("margin", "at") else "left")
        for case in outcome.cases:
            for check in case["checks"]:
                margin = "" if check["margin"] is None else f"{check['margin']:.3g} {check['margin_unit']}"
                verdict = Text(check["status"], style=colours.get(check["status"], "yellow"))
                at = "" if check["time_s"] is None else f"{check['time_s']:.3f} s"
                name = f"{case['name']} {case['case']}".removesuffix(" case")
                shown.add_row(
                    printable(name), printable(check["id"]), verdict, printable(margin), at, printable(check["reason"])
                )
        self._console.print(shown)
        for case in outcome.cases[:3]:
            self.note(f"record: {outcome.folder / case['record']}")
        if len(outcome.cases) > 3:
            self.note(f"        and {len(outcome.cases) - 3} more")
        if outcome.report is not None:
            self.note(f"report: {outcome.report}")


def check_dict(v: Verdict) -> dict[str, Any]:
    """One verdict as plain data; times are scenario time (seconds after the preparation)."""

    def scenario(t: float | None) -> float | None:
        return None if t is None else round(t - v.origin_s, 9)

    return {
        "id": v.id,
        "status": v.status.value,
        "time_s": scenario(v.time_s),
        "margin": v.margin,
        "margin_unit": v.margin_unit,
        "t0_s": scenario(v.t0_s),
        "t1_s": scenario(v.t1_s),
        "t2_s": scenario(v.t2_s),
        "t3_s": scenario(v.t3_s),
        "reason": v.reason,
    }


def case_path(out: Path, loaded: Loaded, case: Case, alone: bool, single: bool) -> Path:
    """Where a case's record goes: flat for one case, by scenario and case id for many."""
    if single:
        return out / "record.mcap"
    return out / case.id / "record.mcap" if alone else out / loaded.path.stem / case.id / "record.mcap"


def run_case(
    loaded: Loaded, case: Case, plugged: Plugged, record: Path, options: Options, on_progress: Callable[[int], None]
) -> tuple[dict[str, Any], Assembled, bool]:
    """One case: run it, judge it, finish its record; the bench's own failures become ERROR verdicts."""
    made = assemble(loaded, case, plugged, record, options.clock, options.speed, options.defects)
    return run_made(made, loaded, case, on_progress)


def run_made(
    made: Assembled, loaded: Loaded, case: Case, on_progress: Callable[[int], None]
) -> tuple[dict[str, Any], Assembled, bool]:
    """Run what is assembled, judge it and finish its record; what went wrong is an event of the record."""
    rig = dataclasses.replace(made.rig, on_progress=on_progress)
    failure = ""
    ended: Run | None = None
    try:
        ended = run(rig)
    except BenchError as error:
        failure = str(error)
    if ended is not None and ended.ending is Ending.TRIPPED:
        failure = trip_text(rig.states)
    if ended is None:
        made.sink.event(0, FAILED, failure)
    t_end_s = (ended.t_end_ns if ended is not None else 0) * 1e-9
    checks_state = np.asarray(rig.states)["checks"]
    verdicts = results(checks_state, made.compiled, t_end_s, failure)
    checks = [check_dict(v) for v in verdicts]
    if ended is not None and ended.ending is Ending.WAIT_EXPIRED:
        checks.append(_expired(rig, loaded, t_end_s))
    if ended is not None:
        _tell_steps(made, ended.t_end_ns)
        for told in made.held_back():
            made.sink.event(ended.t_end_ns, "restbus", told)
        made.sink.event(ended.t_end_ns, ENDED, ended.ending.value)
    made.sink.verdicts(round(t_end_s * 1e9), checks)
    made.sink.close()
    return case_summary(loaded, case, made, checks), made, ended is not None and ended.ending is Ending.INTERRUPTED


def case_summary(loaded: Loaded, case: Case, made: Assembled, checks: list[dict[str, Any]]) -> dict[str, Any]:
    """What verdicts.json says of one case; the record's name follows when it has one."""
    return {
        "name": loaded.path.stem,
        "scenario": loaded.model.scenario,
        "case": case.id,
        "requirements": loaded.model.requirements,
        "record": "",
        "digest": made.sink.digest(),
        "dut": made.identity,
        "checks": checks,
    }


def _tell_steps(made: Assembled, t_end_ns: int) -> None:
    """Put every step that was reached into the record, at the instant it acted."""
    began = np.asarray(made.rig.states)["timeline"]["group_t_ns"][0]
    for group, t_ns, text in made.lowered.notes:
        if began[group] >= 0 and began[group] + t_ns <= t_end_ns:
            made.sink.event(int(began[group]) + t_ns, "step", text)


def _expired(rig: Any, loaded: Loaded, t_end_s: float) -> dict[str, Any]:
    group = int(np.asarray(rig.states)["timeline"]["expired"][0])
    waits = [s.wait.until for s in loaded.model.steps if s.wait is not None]
    what = f"reported.state == {loaded.model.given.state}" if group == 0 else waits[group - 1]
    reason = f"The preparation never reached {what}." if group == 0 else f"The wait for {what} expired."
    blank = dict.fromkeys(("margin", "t0_s", "t1_s", "t2_s", "t3_s"))
    return {"id": "given" if group == 0 else f"wait-{group}", "status": "FAIL", "time_s": t_end_s, **blank} | {
        "margin_unit": "s",
        "reason": reason,
    }


def chosen_cases(loaded: Loaded, only: tuple[str, ...]) -> list[Case]:
    """The cases to run. Raises InputError for an id that no case has."""
    if not only:
        return loaded.cases
    ids = [c.id for c in loaded.cases]
    for name in only:
        if name not in ids:
            raise InputError(Problem("no such case", str(loaded.path), found=name, nearest=nearest(name, ids) or ""))
    return [c for c in loaded.cases if c.id in only]


def run_all(paths: list[Path], options: Options, screen: Screen) -> Outcome:
    """Check all files, then run every case.

    Raises:
        InputError: any file is wrong; nothing was run.
        BenchError: the results cannot be written.
    """
    began = time.monotonic()
    errors = Collector()
    plugged = load_bench(options.bench)
    scenarios: list[tuple[Loaded, list[Case]]] = []
    for path in paths:
        with errors.collecting():
            loaded = load(located(path))
            scenarios.append((loaded, chosen_cases(loaded, options.only)))
    errors.raise_if_any()
    if not is_compiled():
        screen.note("first run: compiling the kernels once, for up to a minute; later runs start at once")
        screen.follow("compiling", lambda progress: compile_all())
    outcome = Outcome(folder=options.out)
    total = sum(len(cases) for _, cases in scenarios)
    made: list[tuple[dict[str, Any], Assembled, Loaded]] = []
    for loaded, cases in scenarios:
        for case in cases:
            record = case_path(options.out, loaded, case, len(scenarios) == 1, total == 1)
            title = f"[{len(outcome.cases) + 1}/{total}] {loaded.path.stem} {case.id}"
            screen_work = _work(loaded, case, plugged, record, options)
            summary, assembled, interrupted = screen.follow(title, screen_work)
            summary["record"] = record.relative_to(options.out).as_posix()
            outcome.cases.append(summary)
            made.append((summary, assembled, loaded))
            if interrupted:
                outcome.interrupted = True
                break
        if outcome.interrupted:
            break
    write_results(outcome, made, options, time.monotonic() - began)
    return outcome


def _work(
    loaded: Loaded, case: Case, plugged: Plugged, record: Path, options: Options
) -> Callable[[Callable[[int], None]], tuple[dict[str, Any], Assembled, bool]]:
    return lambda progress: run_case(loaded, case, plugged, record, options, progress)


def write_results(
    outcome: Outcome, made: list[tuple[dict[str, Any], Assembled, Loaded]], options: Options, seconds: float
) -> None:
    """``verdicts.json`` (no wall clock in it), ``junit.xml``, ``report.html`` and ``run.json``."""
    from hil.analysis.junit import junit
    from hil.analysis.report import report
    from hil.campaign.reporting import case_report

    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "verdicts.json").write_text(json.dumps(outcome.cases, indent=1) + "\n")
    outcome.report = options.out / "report.html"
    reports = [case_report(summary, a, loaded, options.out) for summary, a, loaded in made]
    junit(reports, options.out / "junit.xml")
    report(reports, outcome.report)
    facts = {
        "started": datetime.datetime.fromtimestamp(time.time() - seconds, datetime.UTC).isoformat(),  # noqa: TID251  # run.json only
        "seconds": round(seconds, 3),
        "host": platform.node(),
        "python": sys.version.split()[0],
        "cellbench": hil.__version__,
        "arguments": sys.argv[1:],
    }
    (options.out / "run.json").write_text(json.dumps(facts, indent=1) + "\n")


__all__ = ["Options", "Outcome", "Screen", "Status", "check_dict", "run_all", "run_case", "run_made"]
