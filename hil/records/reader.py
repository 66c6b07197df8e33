"""Reading a record, whole, cut off or damaged, into memory."""

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.checks.verdict import Status
from hil.errors import InputError, Problem
from hil.image import Quantity, Table
from hil.records.layout import (
    AS_IT_IS,
    CHECKS,
    EDGE,
    EVENTS,
    FRAME,
    FRAMES,
    HEADER,
    INPUTS,
    MOST_STEPS,
    RECOVERED,
    ROWS,
    SCALARS,
    SCHEMAS,
    VERDICTS,
    WORDS,
)
from hil.records.scan import MAGIC, Scan, scan
from hil.tick import PAYLOAD

MOST_COLUMNS = 1 << 20  # far above any row; what is more is no table
INT64_MAX = 2**63 - 1
_VERDICT: Mapping[str, str | None] = MappingProxyType(
    {"reason": "", "margin_unit": "", "margin": None, **dict.fromkeys(("time_s", "t0_s", "t1_s", "t2_s", "t3_s"))}
)
"""What a verdict holds besides its id and its status, and what stands for it where it is missing."""
_NO_LAYOUT = (
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What came in, tick by tick: ``words`` (ticks, WORDS) as ``layout.take_inputs`` fills them, ``edges`` in their order.

    ``readings`` (ticks, readings) is what the instruments read; no columns when the full rows of every tick have it.
    """

    words: NDArray[np.int64]
    readings: NDArray[np.float64]
    edges: NDArray[np.void]


@dataclass(slots=True)
class Record:
    """A record in memory: ``rows`` the full rows kept, ``checks`` the checks' columns at every tick.

    ``complete`` is False when the file was cut off, damaged or recovered: then the end or a part of it is missing.
    """

    path: Path
    table: Table
    check_columns: list[int]
    row_times_ns: NDArray[np.int64]
    rows: NDArray[np.float64]
    check_times_ns: NDArray[np.int64]
    checks: NDArray[np.float64]
    frames: NDArray[np.void]
    events: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    attachments: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    complete: bool = True
    digest: str = ""  # over rows, checks and frames, as the writer makes it
    lost_bytes: int = 0  # bytes of the file that could not be trusted
    inputs: Inputs | None = None  # None: made by a version that did not record them

    def column(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s and values of one column by its label (``shown.cell_voltage[3]``), at the best rate recorded.

        Raises:
            KeyError: no such column in this record.
        """
        index = self.table.labels().index(name) if name in self.table.labels() else -1
        if index in self.check_columns:
            return self.check_times_ns / 1e9, self.checks[:, self.check_columns.index(index)]
        if 0 <= index < self.table.recorded:
            return self.row_times_ns / 1e9, self.rows[:, index]
        raise KeyError(name)


def _table(text: str) -> tuple[Table, list[int]]:
    """The quantity table and the checks' columns. Raises KeyError, TypeError or ValueError for what is no table."""
    raw = json.loads(text)
    columns = _count(raw["columns"], MOST_COLUMNS)
    lines = tuple(_quantity(q, columns) for q in raw["quantities"])
    recorded, cells, temps = (_count(raw[name], columns) for name in ("recorded", "cells", "temps"))
    _refuse_gaps(lines, columns, recorded)
    return Table(lines, columns, recorded, cells, temps), [_count(c, columns - 1) for c in raw["checks"]]


def _refuse_gaps(lines: Sequence[Quantity], columns: int, recorded: int) -> None:
    """Each column has one quantity, what is recorded comes first, and no name stands twice."""
    times = ((q.time_start, q.time_count, not q.record) for q in lines if q.time_start >= 0)
    spans = sorted([*((q.start, q.count, not q.record) for q in lines), *times])
    if [start for start, _, _ in spans] + [columns] != [0, *accumulate(count for _, count, _ in spans)]:
        raise ValueError(f"quantities that do not fill its {columns} columns")
    left_out = [out for _, _, out in spans]
    if left_out != sorted(left_out) or sum(count for _, count, out in spans if not out) != recorded:
        raise ValueError(f"recorded quantities that do not fill its first {recorded} columns")
    if len({q.name for q in lines}) != len(lines):
        raise ValueError("a quantity stands twice in the table")


def _quantity(raw: Any, columns: int) -> Quantity:
    """One line of the table, all its columns within ``columns``."""
    q = Quantity(**{**raw, "labels": tuple(raw["labels"])})
    texts = (q.name, q.unit, q.meaning, *q.labels)
    if not all(isinstance(text, str) for text in texts) or not isinstance(q.record, bool):
        raise TypeError(f"a quantity of {str(raw)[:40]}")
    ends = [_count(q.start, columns) + _count(q.count, columns)]
    if _count(q.time_start + 1, columns):
        ends.append(q.time_start + _count(q.time_count, columns))
    if max(ends) > columns:
        raise ValueError(f"{q.name[:40]} lies behind the last column")
    return q


def _count(value: Any, most: int) -> int:
    """A whole number from 0 to ``most``."""
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:40] if not isinstance(value, int) else 'a number'} outside 0 to {most}")
    return value


def _event(content: bytes) -> dict[str, Any]:
    event = json.loads(content)
    if not isinstance(event["t_ns"], int) or abs(event["t_ns"]) > INT64_MAX:
        raise ValueError("an event without a time")
    return {**event, "kind": str(event["kind"]), "text": str(event["text"])}


def _verdicts(content: bytes) -> list[dict[str, Any]]:
    verdicts = json.loads(content)
    if not isinstance(verdicts, list):
        raise TypeError("no list of verdicts")
    return [_verdict(v) for v in verdicts]


def _verdict(raw: dict[str, Any]) -> dict[str, Any]:
    """A verdict with all that its users look for, each of its kind."""
    made = raw | {name: value for name, value in _VERDICT.items() if name not in raw}
    Status(made["status"])
    if not isinstance(made["id"], str):
        raise TypeError("a verdict without an id")
    for name, missing in _VERDICT.items():
        value = made[name]
        if not (isinstance(value, str) if missing == "" else value is None or math.isfinite(value)):
            raise TypeError(f"a verdict whose {name} is {str(value)[:40]}")
    return made


def is_record(path: Path) -> bool:
    """True for a file that begins like a record, whatever its name; a missing or unreadable one is none, nor is a pipe.

    What is read of a pipe is gone for whoever reads it afterwards.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read(path: Path) -> Record:
    """Read a record into memory; of a damaged file, everything whose checksum is right.

    Raises:
        InputError: missing, not a Cellbench record, or of another layout.
    """
    found = scan(path)
    files = {name: content.decode(errors="replace") for name, content in found.attachments.items()}
    if "quantities.json" not in files:
        raise InputError(Problem("not a Cellbench record", str(path), expected="an attachment quantities.json"))
    try:
        table, check_columns = _table(files["quantities.json"])
        parts = messages_by_topic(found)
        row_times, rows = _blocks(parts[ROWS], table.recorded)
        check_times, checks = _blocks(parts[CHECKS], len(check_columns))
        frames = np.frombuffer(b"".join(parts[FRAMES]), FRAME)
        if frames["dlc"].max(initial=0) > PAYLOAD:
            raise ValueError(f"a frame of {frames['dlc'].max()} bytes")
        events = [_event(e) for e in parts[EVENTS]]
        verdicts = _verdicts(parts[VERDICTS][-1]) if parts[VERDICTS] else []
        inputs = _inputs(parts[INPUTS], table)
    except _NO_LAYOUT as error:
        raise InputError(Problem("a record of another layout", str(path), found=str(error)[:80])) from error
    return Record(
        path,
        table,
        check_columns,
        row_times,
        rows,
        check_times,
        checks,
        frames,
        events,
        verdicts,
        files,
        found.metadata,
        found.finished and RECOVERED not in found.metadata,
        _digest(found),
        found.lost_bytes,
        inputs,
    )


def messages_by_topic(found: Scan) -> dict[str, list[bytes]]:
    """The contents of all messages, topic by topic, in file order.

    The numbers of the topics stand in the first block; where that one is lost, the writer's own numbering holds.
    """
    names = dict(enumerate(SCHEMAS, start=1)) | found.topics
    parts: dict[str, list[bytes]] = {name: [] for name in SCHEMAS}
    for group in found.groups:
        for message in group:
            parts[names[message.channel_id]].append(message.data)
    return parts


def _digest(found: Scan) -> str:
    names = dict(enumerate(SCHEMAS, start=1)) | found.topics
    digest = hashlib.sha256()
    for group in found.groups:
        for message in group:
            if names[message.channel_id] in (ROWS, CHECKS, FRAMES):
                digest.update(message.data)
    return digest.hexdigest()


def _inputs(parts: list[bytes], table: Table) -> Inputs | None:
    if not parts:
        return None
    words, readings, edges = [], [], []
    for part in parts:
        _, n, width, wide, n_edges = HEADER.unpack_from(part)
        if width != WORDS:
            raise ValueError(f"{width} words a tick in {INPUTS}")
        at = HEADER.size
        words.append(np.frombuffer(part, "<i8", n * width, at).reshape(n, width))
        at += words[-1].nbytes
        values, at = _readings(part, at, n, wide, table)
        readings.append(values)
        edges.append(np.frombuffer(part, EDGE, n_edges, at))
    return Inputs(np.concatenate(words), np.concatenate(readings), np.concatenate(edges))


def _readings(part: bytes, at: int, n: int, wide: int, table: Table) -> tuple[NDArray[np.float64], int]:
    """Readings from changes in steps, and where they end."""
    if not wide:
        return np.empty((n, 0)), at
    kinds = np.frombuffer(part, "<f8", 3, at)
    if not (np.isfinite(kinds) & (kinds > 0.0)).all():
        raise ValueError(f"readings in steps of {kinds.tolist()}")
    steps = np.repeat(kinds, (table.cells, table.temps, len(SCALARS)))
    changes = np.frombuffer(part, "<i2", n * wide, at + 24).reshape(n, wide)
    at += 24 + changes.nbytes
    as_it_is = changes == AS_IT_IS
    count = int(as_it_is.sum())
    kept = np.frombuffer(part, "<f8", count, at)
    begins = whole_steps(kept[:wide], steps)
    numbers = np.cumsum(np.where(as_it_is, 0, changes), axis=0, dtype=np.int64) + begins
    with np.errstate(over="ignore"):
        values: NDArray[np.float64] = numbers * steps
    values[as_it_is] = kept
    return values, at + 8 * count


def whole_steps(values: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many steps each value is, 0 where that is no whole number (see ``layout.take_readings``)."""
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = np.rint(values * (1.0 / steps))
        return np.where((numbers * steps == values) & (np.abs(numbers) <= MOST_STEPS), numbers, 0.0)


def _blocks(parts: list[bytes], columns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    times, values = [], []
    for part in parts:
        _, n, width, _, _ = HEADER.unpack_from(part)
        if width != columns:
            raise ValueError(f"a block of {width} columns instead of {columns}")
        at = HEADER.size
        times.append(np.frombuffer(part, "<i8", n, at))
        values.append(np.frombuffer(part, "<f8", n * width, at + 8 * n).reshape(n, width))
    if not times:
        return np.empty(0, np.int64), np.empty((0, columns))
    return np.concatenate(times), np.concatenate(values)
