"""What the BMS did while a log was given to it: its states and trouble codes with their times, from the record."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hil.records.reader import Record

STATE, CODE = "reported.state", "reported.dtc_"


@dataclass(frozen=True, slots=True)
class Change:
    """``what`` (``state``, or a trouble code's name) became ``value`` at ``time_s`` after the log's start."""

    time_s: float
    what: str
    value: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """From the log's start, ``began_s`` into the run: how long it went on, what was put on the bus, what changed."""

    began_s: float
    duration_s: float
    frames: int
    state: str
    changes: list[Change] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)


def reaction(record: Record, began_ns: int, frames: int) -> Reaction:
    """What the BMS reported from ``began_ns`` on (-1: it never came to that); ``frames`` of the log were put on its bus.

    Times are those of the frames that reported a change. Where the record keeps rows only now and then, so are changes seen.
    """
    end_ns = int(record.check_times_ns[-1]) if len(record.check_times_ns) else 0
    if began_ns < 0:
        return Reaction(-1.0, 0.0, frames, "")
    began_s = began_ns * 1e-9
    before, changes = _changes(record, STATE, "state", began_s)
    for name in (n for n in record.table.names() if n.startswith(CODE)):
        held, found = _changes(record, name, name.removeprefix(CODE), began_s)
        at_start = [Change(0.0, name.removeprefix(CODE), held)] if held == "ON" else []
        changes += at_start + [c for c in found if c.value == "ON" or held or c is not found[0]]
    changes.sort(key=lambda change: change.time_s)
    return Reaction(began_s, end_ns * 1e-9 - began_s, frames, before, changes)


def _changes(record: Record, name: str, what: str, began_s: float) -> tuple[str, list[Change]]:
    """The value a quantity had at the start ("": not heard yet), and how it changed since."""
    quantity = record.table.find(name)
    if quantity is None:
        return "", []
    words = dict(enumerate(quantity.labels))
    times_s, values = record.column(name)
    changed_s = record.column(f"{name}.t")[1] if quantity.time_start >= 0 else times_s
    if len(changed_s) != len(values):
        changed_s = times_s
    known = np.flatnonzero(~np.isnan(values))
    held, out = "", []
    for i in known[np.flatnonzero(np.diff(values[known], prepend=np.nan) != 0)].tolist():
        word = words.get(int(values[i]), f"{values[i]:g}")
        at_s = changed_s[i] if np.isfinite(changed_s[i]) else times_s[i]
        if at_s < began_s:
            held = word
        else:
            out.append(Change(round(float(at_s - began_s), 9), what, word))
    return held, out


def lines_of(name: str, told: dict[str, Any]) -> list[str]:
    """A reaction, as ``as_dict`` gives it, for people; ``name`` is the log's."""
    if told["began_s"] < 0:
        return [f"{name}: the virtual BMS never became ready; nothing of the log was put on its bus"]
    head = f"{name}: the virtual BMS took {told['frames']} frames in {told['duration_s']:.3f} s"
    out = [head, f"  at the start: {told['state'] or 'no state reported yet'}"]
    codes = 0
    for change in told["changes"]:
        if change["what"] == "state":
            out.append(f"  {change['time_s']:10.3f} s  state {change['value']}")
        else:
            codes += 1
            what = "set" if change["value"] == "ON" else "cleared"
            out.append(f"  {change['time_s']:10.3f} s  trouble code {change['what']} {what}")
    return out if codes else [*out, "  no trouble code was set"]
