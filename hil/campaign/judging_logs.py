"""Judging a CAN log by a scenario's expectations, and letting the virtual BMS react to a log."""

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hil.assemble import Assembled, Recording, lower_case, mount, mount_log, virtual_bench
from hil.campaign.reacting import reaction
from hil.campaign.replaying import JUDGED_LOG, MUTED
from hil.campaign.run import (
    ENDED,
    Options,
    Outcome,
    case_path,
    case_summary,
    check_dict,
    chosen_cases,
    run_made,
    write_results,
)
from hil.checks import lower
from hil.checks.compile import CheckInfo, append
from hil.checks.expression import split_while
from hil.checks.names import Scope
from hil.checks.spec import Source as Text
from hil.checks.spec import Where
from hil.checks.verdict import Status, Verdict, results
from hil.checks.watch import Cause
from hil.clocks import VirtualClock
from hil.errors import InputError, Problem
from hil.files.shipped import located, shipped
from hil.kernel import Rows, zeros
from hil.logs.trace import Trace
from hil.records.reader import read
from hil.replay.drive import DrivenBench, Muting
from hil.replay.judge import LogBench, LogFrames, LogState, log_state, log_tick, unknown_link
from hil.replay.source import Source, load_source
from hil.scenario.bundle import packed
from hil.scenario.cases import Case
from hil.scenario.loader import Loaded, load
from hil.scenario.lowering import scope_of, start_state
from hil.scenario.plugged import Plugged, load_bench, load_listener, uncertainties
from hil.scenario.timeline import TimelineParams
from hil.tick import Node

Progress = Callable[[int], None]
IN_A_LOG = ("reported.", "time.")
UNKNOWN_CAUSES = (Cause.UNKNOWN, Cause.DROPPED_UNKNOWN, Cause.UNSURE_TRIGGER, Cause.UNSURE_HOLD)
FOREVER_NS = 1 << 61

DRIVE = """\
scenario: the virtual BMS and {name}
pack: {pack}
bms: {bms}
given: {{state: STANDBY, soc: 60 %, temperature: 25 degC}}
steps:
  - at: 0 s
    request: STANDBY
  - at: {end} ns
    mark: end of the log
expect: []
"""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Where results go and how a log is taken.

    Scenario time 0 is ``start_s`` after the log's first frame, or the first tick at which the expression ``trigger`` is
    true. ``channel`` keeps the frames of one channel; ``only`` are case ids. ``planned`` are frames to take instead of the
    log's own: changed, cut, retimed; their times count from 0. ``dbc`` is a database by which a log is judged instead of the
    bench file's.
    """

    out: Path
    bench: Path | None = None
    start_s: float = 0.0
    trigger: str = ""
    channel: int | None = None
    only: tuple[str, ...] = ()
    planned: Trace | None = None
    dbc: Path | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """The log as read, the frames that are taken of it, and its time that counts as 0 (None: that of its first frame)."""

    source: Source
    trace: Trace
    zero_ns: int | None = None

    @property
    def notes(self) -> list[str]:
        """What could not be read: how much, and the first of it."""
        return list(self.source.notes[:2])

    @property
    def end_ns(self) -> int:
        """When the last frame comes."""
        return int(self.trace.t_ns.max()) if self.zero_ns is not None else self.trace.duration_ns

    def facts(self) -> dict[str, str]:
        """For the record of the run."""
        return {
            "name": self.source.path.name,
            "format": self.source.form,
            "frames": str(len(self.trace)),
            "not_understood": str(self.source.unreadable),
        }


def judge_log(log: Path, scenario: Path, options: LogOptions, on_progress: Progress = lambda t_ns: None) -> Outcome:
    """The verdicts of a scenario's ``expect`` blocks on a log, from what the BMS said in it; steps are not carried out.

    Frames are decoded by the bench file's DBC or that of ``options``. A check that stands on anything else than ``reported.*``
    is INCONCLUSIVE unless what was reported decides it. Writes the same files as a run.

    Raises:
        InputError: the log, the scenario or an option is wrong.
        BenchError: the results cannot be written.
    """
    began = time.monotonic()
    taken = _read(log, options)
    loaded, plugged = load(located(scenario)), _plugged(options)
    cases = chosen_cases(loaded, options.only)
    outcome = Outcome(folder=options.out)
    made: list[tuple[dict[str, Any], Assembled, Loaded]] = []
    for case in cases:
        record = case_path(options.out, loaded, case, True, len(cases) == 1)
        summary, assembled = _judge_case(taken, loaded, case, plugged, record, options, on_progress)
        summary["record"] = record.relative_to(options.out).as_posix()
        outcome.cases.append(summary)
        made.append((summary, assembled, loaded))
    write_results(outcome, made, Options(options.out, options.bench), time.monotonic() - began)
    return outcome


def _plugged(options: LogOptions) -> Plugged:
    try:
        return load_listener(options.bench, options.dbc)
    except InputError as error:
        if options.dbc is None:
            raise
        what = f"--dbc {options.dbc} does not have what the bench's quantities are made of"
        expected = "that database, or --bench with a quantities file of this one (docs/reference/replay.md)"
        raise InputError([Problem(what, expected=expected), *error.problems]) from error


def _read(path: Path, options: LogOptions) -> _Taken:
    source = load_source(path)
    trace = source.trace if options.planned is None else options.planned
    if options.channel is not None:
        there = sorted(int(c) for c in np.unique(trace.channel))
        if options.channel not in there:
            found = ", ".join(str(c) for c in there) or "no frames"
            raise InputError(Problem(f"no frames of channel {options.channel}", str(path), found=found))
        trace = trace.select(trace.channel == options.channel)
    if not len(trace):
        what = "the log holds no frames" if options.planned is None else "no frame of the log is left"
        raise InputError(Problem(what, str(path)))
    return _Taken(source, trace, None if options.planned is None else 0)


def _judge_case(
    log: _Taken,
    loaded: Loaded,
    case: Case,
    plugged: Plugged,
    record: Path,
    options: LogOptions,
    on_progress: Progress,
) -> tuple[dict[str, Any], Assembled]:
    lowered, checks = lower_case(loaded, case, plugged)
    line = _line(loaded, case, plugged, options)
    frames = LogFrames(log.trace, zero_ns=log.zero_ns)
    attachments = packed(loaded, plugged.path, plugged.model, plugged.document, options.dbc)
    recording = Recording(record, attachments, False, {JUDGED_LOG: log.facts()})
    bench = LogBench(frames, log.source.path.name)
    made = mount_log(loaded, case, plugged, lowered, checks, bench, line, recording)
    states = log_state(start_state(), checks.state())
    t_end_ns = _run_log(made, states, frames, options, on_progress)
    s = np.asarray(states)[0]
    began_ns = int(s["timeline"]["group_t_ns"][1])
    verdicts = results(s["checks"].reshape(1), checks, t_end_ns * 1e-9)
    scope = scope_of(loaded, case, uncertainties(plugged.model, plugged.document, loaded.table))
    told = [_as_known(v, info, s["checks"], scope) for v, info in zip(verdicts, checks.checks, strict=True)]
    dicts = [check_dict(v) for v in told]
    made.sink.event(t_end_ns, ENDED, "the end of the log")
    made.sink.verdicts(t_end_ns, dicts)
    made.sink.close()
    notes = _notes(log, frames)
    if began_ns < 0:
        why = (
            f"{options.trigger} never became true"
            if options.trigger
            else f"the log ends before {options.start_s:.9g} s"
        )
        notes.append(f"nothing was judged: {why}")
    return {**case_summary(loaded, case, made, dicts), "notes": notes, "log_whole": log.source.whole}, made


def _line(loaded: Loaded, case: Case, plugged: Plugged, options: LogOptions) -> Rows[TimelineParams]:
    """A timeline without steps that waits for the trigger."""
    made = zeros(TimelineParams)
    p = np.asarray(made)[0]
    column = loaded.table.find("time.scenario")
    assert column is not None
    p["dt_ns"], p["n_groups"], p["col_time_scenario"] = loaded.model.tick, 2, column.start
    if options.trigger:
        scope = scope_of(loaded, case, uncertainties(plugged.model, plugged.document, loaded.table))
        condition = lower.condition(Text(options.trigger, Where("start trigger", 1, 1)), scope)
        start, stop = append(p["program"], condition.steps)
        row = p["wait"][0]
        row["used"], row["start"], row["stop"], row["timeout_ns"] = 1, start, stop, FOREVER_NS
    return made


def _run_log(
    made: Assembled, states: Rows[LogState], frames: LogFrames, options: LogOptions, on_progress: Progress
) -> int:
    """Every tick of the log; the instant of the last one in ns."""
    rig, links = made.rig, unknown_link()
    s = np.asarray(states)[0]
    row, line = s["row"], s["timeline"]
    start_ns = -1 if options.trigger else round(options.start_s * 1e9)
    k = 0
    while True:
        t_ns = k * rig.dt_ns
        rig.bench.read(t_ns, links)
        if line["group"] == 0 and 0 <= start_ns <= t_ns:
            line["group_t_ns"][:2], line["group"] = t_ns, 1
        before = int(line["group"])
        decided = log_tick(states, rig.fixed, links, k)
        rig.sink.put(t_ns, row, links)
        if line["group"] != before:
            rig.sink.event(t_ns, "timeline", "judging begins")
        if decided > 0:
            rig.sink.event(t_ns, "check", "an obligation was decided")
        if frames.done and t_ns >= frames.end_ns:
            return int(t_ns)
        if k % rig.progress_ticks == 0:
            on_progress(t_ns)
        k += 1


def _as_known(verdict: Verdict, info: CheckInfo, state: Any, scope: Scope) -> Verdict:
    """INCONCLUSIVE, naming what is missing, where a check was not decided by what a log holds."""
    missing = [n for n in _names(info, scope) if not n.startswith(IN_A_LOG)]
    cause = int(state["watch"][info.base + max(verdict.element, 0)]["cause"])
    decided = verdict.status is Status.PASS or (verdict.status is Status.FAIL and cause not in UNKNOWN_CAUSES)
    if not missing or decided:
        return verdict
    several = "s" if len(missing) > 1 else ""
    reason = f"This needs {', '.join(missing)}, which a log of the bus does not hold; the quantit"
    reason += f"{'ies are' if several else 'y is'} unknown throughout."
    return dataclasses.replace(verdict, status=Status.INCONCLUSIVE, reason=reason, margin=None, margin_unit="")


def _names(info: CheckInfo, scope: Scope) -> list[str]:
    """The quantities the texts of a check name."""
    own = Scope(scope.table, scope.resolve_limit, scope.params, scope.uncertainties, each=info.spec.each is not None)
    never = split_while(info.spec.never)[:2] if info.spec.never else ()
    texts = (info.spec.when, info.spec.then, *never, info.spec.during, info.spec.always)
    for text in texts:
        if text:
            lower.condition(Text(text), own)
    return [name.split("[")[0] for name in own.used]


def _notes(log: _Taken, frames: LogFrames) -> list[str]:
    notes = log.notes
    if frames.late:
        notes.append("more frames ended in one tick than a tick holds: some were taken one or more ticks later")
    return notes


def into_virtual(
    log: Path, scenario: Path | None, options: LogOptions, on_progress: Progress = lambda t_ns: None
) -> Outcome:
    """Let the virtual BMS react to a log: what other nodes sent in it goes onto the virtual bus, the run is recorded.

    The log begins with the first step of ``scenario`` (a quiet one without), after its preparation. Frames the BMS sends
    itself are left out; what the bench would send under an identifier of the log is muted while the log lasts. Without a
    scenario there is nothing to judge; ``reaction`` of each case says what the BMS did.

    Raises:
        InputError: the log, the scenario or an option is wrong.
        BenchError: the results cannot be written.
    """
    if options.trigger or options.start_s:
        raise InputError(
            Problem("a start within the log", expected="none: the log begins with the scenario's first step")
        )
    began = time.monotonic()
    taken = _read(log, options)
    plugged = load_bench(options.bench)
    with tempfile.TemporaryDirectory(prefix="hil-drive-") as folder:
        loaded = load(located(scenario) if scenario is not None else _quiet(log, taken, Path(folder)))
        outcome = Outcome(folder=options.out)
        made: list[tuple[dict[str, Any], Assembled, Loaded]] = []
        cases = chosen_cases(loaded, options.only)
        for case in cases:
            record = case_path(options.out, loaded, case, True, len(cases) == 1)
            summary, assembled, stopped = _drive(taken, loaded, case, plugged, record, on_progress)
            summary["record"] = record.relative_to(options.out).as_posix()
            outcome.cases.append(summary)
            made.append((summary, assembled, loaded))
            outcome.interrupted = outcome.interrupted or stopped
        write_results(outcome, made, Options(options.out, options.bench), time.monotonic() - began)
    return outcome


def _quiet(path: Path, log: _Taken, folder: Path) -> Path:
    """A scenario that asks for nothing and lasts as long as the log."""
    pack, bms = shipped("scenarios/packs/a123_96s40p.yaml"), shipped("scenarios/bms/reference.limits.yaml")
    name = json.dumps(path.name).strip('"')
    text = DRIVE.format(name=name, pack=pack.as_posix(), bms=bms.as_posix(), end=log.end_ns)
    out = folder / f"{path.stem.split('.')[0] or 'log'}.yaml"
    out.write_text(text, "utf-8")
    return out


def _drive(
    log: _Taken, loaded: Loaded, case: Case, plugged: Plugged, record: Path, on_progress: Progress
) -> tuple[dict[str, Any], Assembled, bool]:
    lowered, checks = lower_case(loaded, case, plugged)
    of_bms = _own(plugged)
    theirs = ~np.isin(log.trace.id, sorted(of_bms))
    frames = LogFrames(log.trace.select(theirs), Node.OTHER, log.zero_ns)
    muted = sorted({m.id for m in plugged.bus.db.messages} & set(log.trace.id[theirs].tolist()))
    span_ns = frames.end_ns
    muting = Muting(muted, span_ns)
    timeline = np.asarray(lowered.timeline)[0]
    last = int(timeline["n_groups"]) - 1
    timeline["end_ns"][last] = max(int(timeline["end_ns"][last]), span_ns)
    inner = virtual_bench(loaded, plugged)
    bench = DrivenBench(inner, frames, muting, plugged.model.bit_rate)
    metadata = {
        MUTED: {"identifiers": " ".join(f"0x{i:X}" for i in muted), "span_ns": str(span_ns)},
        "driven_by": log.facts(),
    }
    attachments = packed(loaded, plugged.path, plugged.model, plugged.document)
    recording = Recording(record, attachments, False, metadata)
    made = mount(loaded, case, plugged, lowered, checks, bench, VirtualClock(), recording)
    muting.follow(np.asarray(made.rig.states)[0]["timeline"])
    summary, assembled, stopped = run_made(made, loaded, case, on_progress)
    summary["log_whole"] = log.source.whole
    summary["notes"] = _notes(log, frames) + _drive_notes(int((~theirs).sum()), frames, inner)
    summary["reaction"] = reaction(read(record), muting.began_ns(), frames.given).as_dict()
    return summary, assembled, stopped


def _own(plugged: Plugged) -> set[int]:
    """Identifiers the BMS sends: every message of the nodes whose messages become ``reported.*``."""
    quantities = plugged.bus.quantities
    nodes = {node for line in (*quantities.receive, *quantities.scan) for node in line.message.senders}
    return {m.id for m in plugged.bus.db.messages if nodes.intersection(m.senders)}


def _drive_notes(own: int, frames: LogFrames, inner: Any) -> list[str]:
    notes = []
    if own:
        notes.append(f"{own} frames of the log are the BMS's own and were not sent")
    if not frames.done:
        notes.append("the run ended before the log")
    for count, what in zip(
        inner.bus_losses(), ("found the bus too busy", "cannot be carried by a classic bus"), strict=True
    ):
        if count:
            notes.append(f"{count} frames {what} and were not sent")
    return notes
