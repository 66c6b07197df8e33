"""``hil replay`` at work: target and pacer put together, progress shown, the report given."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import click

from hil.cli.bar import Bar, busy
from hil.cli.replay_check import check_files, check_sending
from hil.cli.replay_judge import against_golden, tolerances_of
from hil.cli.replay_notes import idle, unrepaired
from hil.cli.replay_plan import Planned, marks_of, planned, seams_of, sources_of, time_of
from hil.cli.replay_report import as_dict, exit_code, tell
from hil.errors import BenchError, ExitCode, InputError, Problem
from hil.logs.trace import Trace, from_bytes
from hil.logs.write import write_log
from hil.replay.filters import parse_rules, shortened, wanted, whole_number
from hil.replay.lateness import Lateness
from hil.replay.player import Ended, Player, Report
from hil.replay.ports import KEY_EXTENDED, Answer, Pacer, StopAtBreak, Target, VirtualPacer
from hil.replay.schedule import totals, turns
from hil.replay.source import Source
from hil.replay.targets import CandumpText, Collecting, Nowhere, Spread

POLL_S = 0.001
SHOWN_EVERY_S, IN_HASTE_S = 0.1, 1.0  # drawing takes some 0.5 ms, which is not there between close frames


class Interrupt:
    """Ctrl-C: the first one asks for a clean stop, the second one, or one at a question, ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self.at_once = False

    def __call__(self, number: int, frame: object) -> None:
        """The signal."""
        if self.asked or self.at_once:
            raise KeyboardInterrupt
        self.asked = True

    def stop(self) -> bool:
        """A clean stop was asked for."""
        return self.asked

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Installed meanwhile."""
        before = signal.signal(signal.SIGINT, self)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class Keyboard:
    """Asks at the terminal: Enter goes one frame on while stepping, else on; s, b, c and q always mean the same."""

    def __init__(self, interrupt: Interrupt, stepping: bool) -> None:
        self._interrupt, self._stepping = interrupt, stepping

    def ask(self, where: str) -> Answer:
        """One line from standard input, again while it is none of these; its end quits."""
        click.echo(f"before {where}", err=True)
        answers = {"s": Answer.STEP, "b": Answer.BACK, "c": Answer.CONTINUE, "q": Answer.QUIT}
        answers[""] = Answer.STEP if self._stepping else Answer.CONTINUE
        answer = None
        while answer is None:
            enter = "step" if self._stepping else "go on"
            click.echo(f"[Enter] {enter}, s step, b back, c go on, q quit: ", err=True, nl=False)
            answer = answers.get(self._line().strip().lower()[:1])
        self._stepping = answer is not Answer.CONTINUE
        return answer

    def _line(self) -> str:
        self._interrupt.at_once = True
        try:
            return sys.stdin.readline() or "q"
        finally:
            self._interrupt.at_once = False


def run(logs: Sequence[Path], chosen: Mapping[str, Any]) -> ExitCode:
    """Play; returns the exit code. Raises InputError and BenchError before the first frame is sent."""
    check_sending(chosen)
    check_files(logs, chosen)
    tolerances_of(chosen)
    sources = sources_of(logs)
    with busy("planning"):
        made = planned(sources, chosen)
    limit_ns = time_of(chosen, "late_limit")
    interrupt, late = Interrupt(), Lateness(limit_ns)
    kept: list[Trace] = []
    base = _base(sources, made)
    target = target_of(chosen, kept, base)
    problem = ""
    try:
        with interrupt.watching():
            report, granted = _play(made, target, chosen, late, interrupt)
    finally:
        try:
            target.close()
        except OSError as error:
            problem = str(error)
    notes = [*made.notes, *idle(made, chosen), *unrepaired(made, chosen)]
    if chosen["out"] is not None and kept:
        with Bar(f"writing {chosen['out'].name}") as progress:
            notes += [f"{chosen['out']}: {text}" for text in write_log(kept[0], chosen["out"], progress)]
    problems = [text for text in (problem, _unheard(target, chosen)) if text]
    if report.ended is Ended.UNREAD:
        _let_go(sys.stdout)
    compared = _golden(kept, chosen)
    code = exit_code(report, made, chosen, all(s.whole for s in sources), compared, problems)
    told = as_dict(report, made, sources, granted, [*problems, *notes], compared, code)
    tell(told, report, granted, [*problems, *notes], compared, chosen)
    return code


def _unheard(target: Target, chosen: Mapping[str, Any]) -> str:
    """That what others send was not heard to the end, where that matters."""
    return f"others were not heard to the end: {target.deaf}" if chosen["suppress_live"] and target.deaf else ""


def _let_go(stream: TextIO) -> None:
    """What is still buffered for a pipe without a reader goes nowhere: the interpreter would complain at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def target_of(chosen: Mapping[str, Any], kept: list[Trace], base: tuple[int, bool]) -> Target:
    """The target the options name; ``kept`` gets the trace of a target that collects."""
    if chosen["interface"]:
        return _buses(chosen)
    if chosen["to_stdout"]:
        return CandumpText(sys.stdout)
    if chosen["out"] is not None or chosen["golden"] is not None:
        return Collecting(kept.append, *base)
    return Nowhere()


def _buses(chosen: Mapping[str, Any]) -> Target:
    from hil.hardware.canbus import PythonCanTarget

    options = dict(_option(text) for text in chosen["bus_option"])
    opened: dict[tuple[str, str], PythonCanTarget] = {}
    by_channel: dict[int, Target] = {}
    try:
        key = (chosen["interface"], chosen["channel"])
        opened[key] = PythonCanTarget(*key, chosen["bitrate"], options)
        for text in chosen["route"]:
            number, _, rest = text.partition("=")
            interface, colon, channel = rest.partition(":")
            lane = whole_number(number)
            if lane is None or lane > 255 or not (colon and channel):
                raise InputError(Problem("--route", expected="LOG-CHANNEL=INTERFACE:CHANNEL", found=shortened(text)))
            there = (interface.strip(), channel.strip())
            if there not in opened:
                opened[there] = PythonCanTarget(*there, chosen["bitrate"], options)
            by_channel[lane] = opened[there]
    except (InputError, BenchError):
        for target in opened.values():
            target.close()
        raise
    first = opened[key]
    return Spread(by_channel, first) if by_channel else first


def _option(text: str) -> tuple[str, Any]:
    """``name=value``, the value a number or true/false where it looks like one."""
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise InputError(Problem("--bus-option", expected="name=value", found=text))
    words: dict[str, Any] = {"true": True, "false": False}
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, words.get(value.lower(), value)


def _base(sources: Sequence[Source], made: Planned) -> tuple[int, bool]:
    """What is added to the times of a written log: the first log's own start, and whether that is a date."""
    first = sources[0].trace
    return (made.plans[0].zero_ns, True) if len(first) and first.absolute else (0, False)


def _play(
    made: Planned, target: Target, chosen: Mapping[str, Any], late: Lateness, interrupt: Interrupt
) -> tuple[Report, str]:
    """Play in the time that fits the target: the wall clock for a bus and a terminal, virtual time for the rest."""
    from hil.hardware.pacer import PRIORITY, WallPacer, undisturbed

    on_wall = chosen["interface"] is not None or chosen["to_stdout"]
    pacer: Pacer = WallPacer() if on_wall else VirtualPacer()
    seams = seams_of(made)
    asked = chosen["step"] or (chosen["breakpoints"] and sys.stdin.isatty())
    with _progress(made, chosen) as on_progress:
        player = Player(
            target,
            pacer,
            late,
            chosen["suppress_live"],
            time_of(chosen, "send_timeout") or 0,
            marks_of(chosen, made),
            Keyboard(interrupt, chosen["step"]) if asked else StopAtBreak(),
            None if seams is None else seams.touch,
            on_progress,
            interrupt.stop,
        )
        if chosen["wait_for"]:
            wait_for(chosen["wait_for"], target, made, interrupt.stop)
        parts = turns(made.plans, made.loops, made.pause_ns, time_of(chosen, "delay") or 0)
        whole = totals(made.plans, made.loops)
        if not on_wall:
            return player.play(parts, whole), "virtual time"
        with undisturbed(None if chosen["no_realtime"] else PRIORITY) as granted:
            return player.play(parts, whole), granted


def wait_for(text: str, target: Target, made: Planned, stop: Callable[[], bool]) -> None:
    """Return when others have sent what ``text`` names, or a stop was asked for."""
    rules = () if text.strip().lower() == "traffic" else parse_rules([text], made.db)
    click.echo(f"waiting for {text}", err=True)
    while not stop():
        if target.deaf:
            raise BenchError(f"--wait-for {text}: others are not heard any more: {target.deaf}")
        keys = list(target.heard())
        ids, flags = [k & ~KEY_EXTENDED for k in keys], [int(bool(k & KEY_EXTENDED)) for k in keys]
        if keys and wanted(from_bytes([0] * len(keys), ids, flags, [b""] * len(keys)), rules).any():
            return
        time.sleep(POLL_S)


@contextmanager
def _progress(made: Planned, chosen: Mapping[str, Any]) -> Iterator[Callable[[int, bool], None] | None]:
    """A bar on a terminal, nothing elsewhere. It is drawn ten times a second, and once where frames leave no time."""
    if chosen["as_json"] or chosen["step"] or chosen["breakpoints"] or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    whole = totals(made.plans, made.loops)
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("replay", total=None if whole is None else whole.planned)
        shown_s = [time.monotonic()]

        def on_progress(sent: int, spare: bool) -> None:
            if time.monotonic() - shown_s[0] >= (SHOWN_EVERY_S if spare else IN_HASTE_S):
                bar.update(task, completed=sent, refresh=True)
                shown_s[0] = time.monotonic()

        yield on_progress


def _golden(kept: list[Trace], chosen: Mapping[str, Any]) -> Any:
    """The comparison with the golden log, or what was accepted; None without one."""
    if chosen["golden"] is None:
        return None
    with busy(f"comparing with {chosen['golden'].name}"):
        return against_golden(kept[0], chosen)
