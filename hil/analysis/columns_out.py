"""Columns of values in time to files of other tools: what a record's export and a decoded log have in common."""

import importlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem

Progress = Callable[[float], None]
Int64 = NDArray[np.int64]

CDR = b"\x00\x01\x00\x00"  # little-endian plain CDR; the float64 values follow without padding
CELLS = 1 << 22  # values of a table held in memory at once
STEP = 4096  # messages between two reports of progress


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Values of one quantity. ``at`` is the row of each value in a table of all columns, ascending.

    ``times_ns`` and ``at`` are shared by all columns that come together (``together``). NaN = unknown, which is not the same
    as no value in a row.
    """

    label: str
    unit: str
    labels: tuple[str, ...]
    times_ns: Int64
    values: NDArray[np.float64]
    at: Int64

    @property
    def unit_shown(self) -> str:
        """The unit, nothing for a plain number."""
        return "" if self.unit == "1" else self.unit


def silent(_: float) -> None:
    """Tell nobody how far the work is."""


class Count:
    """Counts messages written and tells now and then which share of all they are."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, max(1, total), 0

    def __call__(self) -> None:
        """One more."""
        self._done += 1
        if self._done % STEP == 0:
            self._progress(self._done / self._total)


def require(module: str, suffix: str) -> None:
    """Raise InputError with the command that installs ``module`` unless it is there."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        message = f"export to {suffix} needs the package {module}: pip install 'cellbench[export]'"
        raise InputError(Problem(message, found=str(error))) from error


def together(columns: Iterable[Column]) -> list[list[Column]]:
    """The columns by the times they share, in the order of their first."""
    by_times: dict[int, list[Column]] = {}
    for column in columns:
        by_times.setdefault(id(column.times_ns), []).append(column)
    return list(by_times.values())


def write_csv(out: Path, times_ns: Int64, columns: Sequence[Column], progress: Progress = silent) -> None:
    """RFC 4180 with units in the header; ``nan`` is unknown, an empty field has no value in that row."""
    header = ["time [s]", *(f"{c.label} [{c.unit}]" if c.unit else c.label for c in columns)]
    block = max(16, min(1000, CELLS // len(header)))
    with out.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(map(_quoted, header)) + "\r\n")
        for start in range(0, len(times_ns), block):
            progress(start / len(times_ns))
            stop = min(start + block, len(times_ns))
            cells = [[f"{t // 10**9}.{t % 10**9:09d}" for t in times_ns[start:stop].tolist()]]
            for column in columns:
                first, last = np.searchsorted(column.at, (start, stop)).tolist()
                texts = [""] * (stop - start)
                for row, value in zip(column.at[first:last].tolist(), column.values[first:last].tolist(), strict=True):
                    texts[row - start] = repr(value)
                cells.append(texts)
            stream.writelines(",".join(row) + "\r\n" for row in zip(*cells, strict=True))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def write_parquet(
    out: Path, times_ns: Int64, columns: Sequence[Column], about: dict[str, str], progress: Progress = silent
) -> None:
    """One table with ``t_ns``, units and labels in the fields' metadata and ``about`` in the table's; null has no value."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    fields = [arrow.field("t_ns", arrow.int64(), False, {"unit": "ns"})]
    for column in columns:
        told = {"unit": column.unit} | ({"labels": json.dumps(column.labels)} if column.labels else {})
        fields.append(arrow.field(column.label, arrow.float64(), True, told))
    schema, block = arrow.schema(fields, about), max(1024, CELLS // len(fields))
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for start in range(0, max(1, len(times_ns)), block):
            progress(start / max(1, len(times_ns)))
            stop = min(start + block, len(times_ns))
            arrays = [arrow.array(times_ns[start:stop])]
            for column in columns:
                first, last = np.searchsorted(column.at, (start, stop)).tolist()
                values, absent = np.full(stop - start, np.nan), np.ones(stop - start, np.bool_)
                rows = column.at[first:last] - start
                values[rows], absent[rows] = column.values[first:last], False
                arrays.append(arrow.array(values, arrow.float64(), mask=absent, from_pandas=False))
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def append_mf4(file: Any, group: Sequence[Column], name: str, zero_ns: int = 0, comment: str = "") -> None:
    """Append columns that come together to an open MDF file as one channel group."""
    from asammdf import Signal

    times = (group[0].times_ns - zero_ns) / 1e9
    named = [Signal(c.values, times, c.unit_shown, c.label) for c in group]
    file.append(named, acq_name=name, comment=comment or name, common_timebase=True)


def field_names(labels: list[str]) -> list[str]:
    """Names that ROS 2 messages allow (lower case, digits, single underscores), unique: ``shown_cell_voltage_3``."""
    out: list[str] = []
    taken: set[str] = set()
    for label in labels:
        name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "x"
        name = name if name[0].isalpha() else f"x_{name}"
        unique, n = name, 2
        while unique in taken:
            unique, n = f"{name}_v{n}", n + 1
        taken.add(unique)
        out.append(unique)
    return out


def ros_channel(writer: Any, topic: str, kind: str, definition: str) -> int:
    """A topic of ROS 2 messages of one kind in an open MCAP file."""
    schema = writer.register_schema(f"cellbench_msgs/msg/{kind}", "ros2msg", definition.encode())
    return int(writer.register_channel(topic, "cdr", schema))


def append_mcap(writer: Any, topic: str, kind: str, group: Sequence[Column], count: Count) -> None:
    """Append columns that come together to an open MCAP file: one message a row, a named float64 field each column."""
    names = field_names([c.label for c in group])
    lines = [f"float64 {name}  # {c.unit} {c.label}" for name, c in zip(names, group, strict=True)]
    channel = ros_channel(writer, topic, kind, "\n".join(lines))
    block = max(16, CELLS // 8 // len(group))
    for start in range(0, len(group[0].values), block):
        rows = np.column_stack([c.values[start : start + block] for c in group]).astype("<f8", copy=False)
        times = group[0].times_ns[start : start + block].tolist()
        for t_ns, row in zip(times, np.ascontiguousarray(rows), strict=True):
            writer.add_message(channel, max(0, t_ns), CDR + row.tobytes(), max(0, t_ns))
            count()
