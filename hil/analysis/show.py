"""What is in a record, as text, and plots of chosen quantities."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hil import __version__
from hil.analysis.charts import Signal, chart, identities, page
from hil.analysis.report import worst
from hil.errors import BenchError, InputError, Problem, nearest, printable
from hil.image import Quantity
from hil.records.reader import Record
from hil.tick import FrameBits
from hil.units import format_quantity

PLOT_POINTS = 6000
MOST_LINES = 512


def summary(record: Record) -> str:
    """What is in the record: who took part, how much, what happened, what was judged, and whether it is whole."""
    lines = [f"record    {record.path}", f"state     {_state(record)}"]
    for group, values in identities([record.metadata]):
        lines.append(f"{group[:9]:<9} " + ", ".join(f"{key} {text}" for key, text in values.items()))
    lines += [f"duration  {_duration(record)}", f"rows      {_rows(record)}", f"frames    {_frames(record)}"]
    lines.append(f"files     {', '.join(sorted(record.attachments)) or 'none'}")
    kinds = Counter(str(event.get("kind", "?")) for event in record.events)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    lines.append(f"events    {told or 'none'}")
    for event in record.events[:20]:
        lines.append(f"  {int(event.get('t_ns', 0)) / 1e9:10.3f} s  {event.get('kind', '')}: {event.get('text', '')}")
    if len(record.events) > 20:
        lines.append(f"  ... and {len(record.events) - 20} more")
    lines.append(f"verdicts  {_verdicts(record)}")
    lines += [f"  {_verdict(v)}" for v in record.verdicts]
    return "\n".join(printable(line) for line in lines)


def _state(record: Record) -> str:
    if record.complete:
        return f"complete, digest {record.digest}"
    if record.metadata.get("recovered"):
        return f"recovered from a damaged file, digest of what was kept {record.digest}"
    lost = f", {record.lost_bytes} bytes cannot be trusted" if record.lost_bytes else ""
    return f"cut off or damaged{lost}; 'hil recover' finishes the file"


def _duration(record: Record) -> str:
    times = record.check_times_ns
    if len(times) < 2:
        return f"{len(times)} tick{'' if len(times) == 1 else 's'}"
    tick_s = float(np.median(np.diff(times))) * 1e-9
    span = format_quantity(float(times[-1] - times[0]) * 1e-9 + tick_s, "s")
    return f"{span}, {len(times)} ticks of {format_quantity(tick_s, 's')}"


def _rows(record: Record) -> str:
    kept = f"{len(record.row_times_ns)} of {len(record.check_times_ns)} ticks with all {record.table.recorded} columns"
    return f"{kept}; {len(record.check_columns)} columns at every tick"


def _frames(record: Record) -> str:
    bits = record.frames["bits"]
    sent, lost = int((bits & FrameBits.SENT > 0).sum()), int((bits & FrameBits.LOST > 0).sum())
    bad = int((bits & FrameBits.ERROR > 0).sum())
    ids = len(np.unique(record.frames["id"]))
    extra = (f", {lost} removed by a fault" if lost else "") + (f", {bad} error frames" if bad else "")
    return f"{len(bits)} ({len(bits) - sent} received, {sent} sent) of {ids} identifiers{extra}"


def _verdicts(record: Record) -> str:
    if not record.verdicts:
        return "none" if record.complete else "none; the record ended before they were written"
    return worst([str(v.get("status", "ERROR")) for v in record.verdicts])


def _verdict(verdict: dict[str, object]) -> str:
    margin = verdict.get("margin")
    told = ""
    if isinstance(margin, int | float):
        told = f", margin {format_quantity(float(margin), str(verdict.get('margin_unit') or '1'))}"
    return f"{verdict.get('status', '?'):<14} {verdict.get('id', '?')}{told}  {verdict.get('reason', '')}"


def signals(record: Record, names: Sequence[str]) -> list[Signal]:
    """The named columns at the best rate recorded; a vector's name without an index means all its elements.

    Raises:
        InputError: a name is no quantity of this record, or there are too many lines; all wrong names at once.
    """
    columns = [label for name in names for label in _expanded(record, name)]
    problems = [
        Problem("no such quantity in this record", str(record.path), found=repr(name), nearest=_close(record, name))
        for name in columns
        if not _has(record, name)
    ]
    if len(columns) > MOST_LINES:
        problems.append(
            Problem(f"{len(columns)} lines are more than a plot can show", expected=f"at most {MOST_LINES}")
        )
    if problems:
        raise InputError(problems)
    return [_signal(record, name) for name in columns]


def _expanded(record: Record, name: str) -> list[str]:
    quantity = record.table.find(name)
    return [f"{name}[{i}]" for i in range(quantity.count)] if quantity and quantity.count > 1 else [name]


def _has(record: Record, name: str) -> bool:
    try:
        record.column(name)
    except KeyError:
        return False
    return True


def _close(record: Record, name: str) -> str:
    return nearest(name, record.table.names()) or nearest(name, record.table.labels()) or ""


def _signal(record: Record, name: str) -> Signal:
    times, values = record.column(name)
    quantity = _quantity(record, name)
    if quantity is None:
        return Signal(name, "s" if name.endswith(".t") else "1", times, values)
    return Signal(name, quantity.unit, times, values, None, quantity.labels)


def _quantity(record: Record, name: str) -> Quantity | None:
    return record.table.find(name.partition("[")[0])


def plot(record: Record, names: Sequence[str], out: Path) -> None:
    """Write a self-contained page with the named quantities over time.

    Raises:
        InputError: a name is no quantity of this record.
        BenchError: ``out`` cannot be written.
    """
    chosen = signals(record, names)
    text = page(
        "plot.html.j2",
        version=__version__,
        title=record.path.name,
        subtitle=f"{_duration(record)}; {'complete' if record.complete else 'incomplete record'}",
        identity=identities([record.metadata]),
        chart=chart(chosen, [], None, PLOT_POINTS),
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BenchError(f"cannot write the plot {out}: {error.strerror}") from error
