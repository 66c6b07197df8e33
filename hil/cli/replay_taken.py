"""A log changed, cut and retimed by the options of ``hil replay`` before it is judged or given to the virtual BMS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hil.cli.bar import busy
from hil.cli.replay_notes import idle, unrepaired
from hil.cli.replay_plan import Planned, planned, seams_of, sources_of
from hil.errors import InputError, Problem
from hil.logs.trace import Trace
from hil.replay.player import Player, Report
from hil.replay.ports import VirtualPacer
from hil.replay.schedule import Timing, scaled, turns
from hil.replay.targets import Collecting


@dataclass(frozen=True, slots=True)
class Taken:
    """The frames with the times they are due, from 0, and what to tell about them."""

    made: Planned
    trace: Trace
    notes: list[str]
    whole: bool  # nothing of the logs was unreadable

    def at_ns(self, log_ns: int) -> int:
        """When a time of the first log comes: by the speed, or with its first frame at or after it where gaps are changed."""
        timing = self.made.timing
        if timing == Timing(timing.speed):
            return int(scaled(np.array([log_ns], np.int64), timing.speed)[0])
        plan = self.made.plans[0]
        at = np.flatnonzero(plan.log_ns >= log_ns)
        return int(plan.due_ns[at[0]]) if len(at) else plan.length_ns


def taken(logs: Sequence[Path], chosen: Mapping[str, Any]) -> Taken:
    """Plan as for sending, and play in virtual time.

    Raises:
        InputError: a log or an option is wrong.
    """
    if chosen["loop"].strip().lower() == "forever":
        raise InputError(Problem("--loop forever", expected="a number: this would never end"))
    sources = sources_of(logs)
    with busy("planning"):
        made = planned(sources, chosen)
    kept: list[Trace] = []
    target, seams = Collecting(kept.append), seams_of(made)
    player = Player(target, VirtualPacer(), touch=None if seams is None else seams.touch)
    report = player.play(turns(made.plans, made.loops, made.pause_ns))
    target.close()
    return Taken(
        made,
        kept[0],
        [*_notes(made, report), *idle(made, chosen), *unrepaired(made, chosen)],
        all(s.whole for s in sources),
    )


def _notes(made: Planned, report: Report) -> list[str]:
    counts = {"rewritten": made.rewritten, "corrupted": made.corrupted, "added": report.added}
    out = [f"left out: {n} frames ({reason})" for reason, n in report.left_out.items()]
    return [*out, *(f"{what}: {n} frames" for what, n in counts.items() if n), *made.notes]
