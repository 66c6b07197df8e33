"""Running a record again: the bench half on what came in, compared with what was recorded, verdict by verdict."""

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import hil
from hil.assemble import Recording, lower_case, mount
from hil.campaign.run import ENDED, FAILED, run_made
from hil.engine import Ending
from hil.errors import BenchError, ExitCode, InputError, Problem, printable
from hil.files.places import same_file
from hil.records.reader import Record, is_record, read
from hil.replay.bench import RecordedClock, ReplayBench
from hil.replay.difference import Difference, differences
from hil.replay.drive import Muting
from hil.scenario.bundle import case_of, unpacked
from hil.scenario.loader import load
from hil.scenario.plugged import load_bench

MUTED, JUDGED_LOG = "muted", "log"  # metadata of runs that a log took part in
NOT_KEPT = ("quantities.json", "case.json")  # attachments the new record writes for itself


@dataclass(frozen=True, slots=True)
class Replayed:
    """What running a record again gave.

    ``differences`` say in words where the two records part, first things first; ``verdicts`` are pairs (recorded,
    replayed) that differ. ``notes`` tell what limits the comparison.
    """

    record: Path
    digest: str
    replayed_digest: str
    ticks: int
    summary: dict[str, Any]
    differences: list[Difference] = field(default_factory=list)
    verdicts: list[tuple[dict[str, Any] | None, dict[str, Any] | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """True when verdicts and digest are the recorded ones."""
        return self.digest == self.replayed_digest and not self.verdicts

    @property
    def exit_code(self) -> ExitCode:
        """PASS when the same, else FAIL."""
        return ExitCode.PASS if self.same else ExitCode.FAIL

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "record": self.record.name,
            "same": self.same,
            "ticks": self.ticks,
            "digest": self.digest,
            "replayed_digest": self.replayed_digest,
            "differences": [dataclasses.asdict(d) for d in self.differences],
            "verdicts": [{"recorded": a, "replayed": b} for a, b in self.verdicts],
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """The account for people."""
        n = len(self.summary["checks"])
        if self.same:
            told = [f"{self.record}: {self.ticks} ticks run again, the same: digest {self.digest}, {n} verdicts"]
            return told + self.notes
        told = [f"{self.record}: {self.ticks} ticks run again, NOT the same", *self.notes]
        told.append(f"  digest recorded {self.digest}, replayed {self.replayed_digest}")
        told += [f"  {d}" for d in self.differences]
        for old, new in self.verdicts:
            name = (old or new or {})["id"]
            told.append(f"  verdict {name}: recorded {_verdict_text(old)}")
            told.append(f"  {' ' * len(f'verdict {name}:')} replayed {_verdict_text(new)}")
        return [printable(line) for line in told]


def _verdict_text(verdict: dict[str, Any] | None) -> str:
    return "none" if verdict is None else f"{verdict['status']}: {verdict['reason']}"


def replay_record(
    path: Path, out: Path | None = None, on_progress: Callable[[int], None] = lambda t_ns: None
) -> Replayed:
    """Run the bench half again on what a record says came in, and compare.

    ``out`` is where the record of this run goes; without it, it is thrown away. The record alone is needed.

    Raises:
        InputError: no record of this project, or one that cannot be run again, with the reason.
        BenchError: ``out`` cannot be written.
    """
    recorded = read(path)
    with tempfile.TemporaryDirectory(prefix="hil-replay-") as folder:
        target = out if out is not None else Path(folder) / "record.mcap"
        if same_file(target, path):
            raise InputError(Problem("the new record needs a name of its own", str(target)))
        summary, ticks = _run(recorded, Path(folder), target, on_progress)
        return _compared(recorded, read(target), summary, ticks)


def _run(
    recorded: Record, folder: Path, target: Path, on_progress: Callable[[int], None]
) -> tuple[dict[str, Any], int]:
    if JUDGED_LOG in recorded.metadata:
        raise InputError(Problem("the record was made from a log; judge the log again", str(recorded.path)))
    scenario, bench_file = unpacked(recorded.attachments, folder, recorded.path)
    loaded, plugged = load(scenario), load_bench(bench_file)
    pack, table = loaded.table, recorded.table
    if (table.cells, table.temps) != (pack.cells, pack.temps):
        expected, found = (f"{t.cells} cells and {t.temps} temperatures" for t in (pack, table))
        what = "the record does not fit its own pack and cannot be run again"
        raise InputError(Problem(what, str(recorded.path), expected=expected, found=found))
    case = case_of(recorded.attachments, recorded.path, "run again")
    lowered, checks = lower_case(loaded, case, plugged)
    tick_ns = loaded.model.tick
    muting = _muting(recorded)
    bench = ReplayBench(recorded, tick_ns, None if muting is None else muting.apply, _after(recorded))
    attachments = {k: v for k, v in recorded.attachments.items() if k not in NOT_KEPT}
    kept = {k: v for k, v in recorded.metadata.items() if k not in ("dut", "versions", "scenario")}
    recording = Recording(target, attachments, False, kept)
    made = mount(loaded, case, plugged, lowered, checks, bench, RecordedClock(recorded, tick_ns), recording)
    if muting is not None:
        muting.follow(np.asarray(made.rig.states)[0]["timeline"])
    longest = made.rig.duration_ns
    if not _end(recorded) and not _failure(recorded):  # cut off: as far as it goes
        longest = min(longest, (bench.ticks - 1) * tick_ns)
    made = dataclasses.replace(made, rig=dataclasses.replace(made.rig, duration_ns=longest))
    summary, _, _ = run_made(made, loaded, case, on_progress)
    return summary, bench.ticks


def _muting(record: Record) -> Muting | None:
    """What a log took off the bus in the recorded run."""
    said = record.metadata.get(MUTED)
    if said is None:
        return None
    try:
        return Muting([int(text, 0) for text in said["identifiers"].split()], int(said["span_ns"]))
    except (KeyError, ValueError, OverflowError) as error:
        what = f"the record cannot be run again: its metadata {MUTED!r} does not say what a log took off the bus"
        raise InputError(Problem(what, str(record.path))) from error


def _end(record: Record) -> str:
    return next((str(e["text"]) for e in reversed(record.events) if e["kind"] == ENDED), "")


def _after(record: Record) -> BaseException | None:
    """What happened to the recorded run after its last tick, when something from outside ended it."""
    if _end(record) == Ending.INTERRUPTED.value:
        return KeyboardInterrupt()
    failure = _failure(record)
    return BenchError(failure) if failure else None


def _failure(record: Record) -> str:
    return next((str(e["text"]) for e in reversed(record.events) if e["kind"] == FAILED), "")


def _compared(recorded: Record, replayed: Record, summary: dict[str, Any], ticks: int) -> Replayed:
    verdicts = []
    if recorded.complete:
        old, new = ({v["id"]: v for v in r.verdicts} for r in (recorded, replayed))
        verdicts = [(old.get(i), new.get(i)) for i in dict.fromkeys([*old, *new]) if old.get(i) != new.get(i)]
    same = recorded.digest == replayed.digest and not verdicts
    notes = []
    if not recorded.complete:
        notes.append("the record was cut off or damaged: what was kept was run again, its verdicts are not compared")
    version = recorded.metadata.get("versions", {}).get("cellbench", "")
    if not same and version != hil.__version__:
        notes.append(f"the record was made by version {version or 'unknown'}, this is {hil.__version__}")
    found = [] if recorded.digest == replayed.digest else differences(recorded, replayed)
    return Replayed(recorded.path, recorded.digest, replayed.digest, ticks, summary, found, verdicts, notes)


__all__ = ["Replayed", "is_record", "replay_record"]
