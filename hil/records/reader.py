"""Reading a record, whole or cut off: the standard reader where the file was finished, record by record where not."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mcap.exceptions import McapError
from mcap.records import Attachment, Channel, Message, Metadata
from mcap.stream_reader import StreamReader
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.image import Quantity, Table
from hil.records.layout import CHECKS, EVENTS, FRAME, FRAMES, HEADER, ROWS, VERDICTS


@dataclass(slots=True)
class Record:
    """A record in memory. ``rows`` is (times, values) of kept full rows; ``checks`` every tick of the checks' columns."""

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

    def column(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in s and values of one column by its label (``shown.cell_voltage[3]``), at the best rate recorded.

        Raises:
            KeyError: no such column in this record.
        """
        index = self.table.labels().index(name) if name in self.table.labels() else -1
        if index in self.check_columns:
            return self.check_times_ns * 1e-9, self.checks[:, self.check_columns.index(index)]
        if 0 <= index < self.table.recorded:
            return self.row_times_ns * 1e-9, self.rows[:, index]
        raise KeyError(name)


def _table(text: str) -> tuple[Table, list[int]]:
    raw = json.loads(text)
    lines = tuple(Quantity(**{**q, "labels": tuple(q["labels"])}) for q in raw["quantities"])
    return Table(lines, raw["columns"], raw["recorded"], raw["cells"], raw["temps"]), list(raw["checks"])


def scan(path: Path) -> tuple[list[Any], bool]:
    """All MCAP records that can be read, in order, and whether the file ended as it should.

    Raises:
        InputError: the file is missing or is no MCAP file at all.
    """
    found: list[Any] = []
    try:
        with path.open("rb") as stream:
            try:
                for record in StreamReader(stream, validate_crcs=True).records:
                    found.append(record)
            except (McapError, EOFError, ValueError, RuntimeError, OSError):
                if not found:
                    raise InputError(Problem("not an MCAP record", str(path))) from None
                return found, False
    except OSError as error:
        raise InputError(Problem(f"cannot read the record: {error.strerror}", str(path))) from error
    except Exception as error:
        if found:
            return found, False
        raise InputError(Problem("not an MCAP record", str(path), found=str(error)[:80])) from error
    return found, True


def read(path: Path) -> Record:
    """Read a record into memory.

    Raises:
        InputError: missing, not a Cellbench record, or of another layout.
    """
    found, complete = scan(path)
    attachments = {r.name: r.data.decode() for r in found if isinstance(r, Attachment)}
    metadata = {r.name: dict(r.metadata) for r in found if isinstance(r, Metadata)}
    topics = {r.id: r.topic for r in found if isinstance(r, Channel)}
    if "quantities.json" not in attachments:
        raise InputError(Problem("not a Cellbench record", str(path), expected="an attachment quantities.json"))
    table, check_columns = _table(attachments["quantities.json"])
    parts: dict[str, list[bytes]] = {name: [] for name in (ROWS, CHECKS, FRAMES, EVENTS, VERDICTS)}
    for r in found:
        if isinstance(r, Message):
            parts[topics[r.channel_id]].append(r.data)
    row_times, rows = _blocks(parts[ROWS], table.recorded)
    check_times, checks = _blocks(parts[CHECKS], len(check_columns))
    return Record(
        path,
        table,
        check_columns,
        row_times,
        rows,
        check_times,
        checks,
        np.frombuffer(b"".join(parts[FRAMES]), FRAME),
        [json.loads(e) for e in parts[EVENTS]],
        json.loads(parts[VERDICTS][-1]) if parts[VERDICTS] else [],
        attachments,
        metadata,
        complete,
    )


def _blocks(parts: list[bytes], columns: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    times, values = [], []
    for part in parts:
        _, n, width, _, _ = HEADER.unpack_from(part)
        at = HEADER.size
        times.append(np.frombuffer(part, "<i8", n, at))
        values.append(np.frombuffer(part, "<f8", n * width, at + 8 * n).reshape(n, width))
    if not times:
        return np.empty(0, np.int64), np.empty((0, columns))
    return np.concatenate(times), np.concatenate(values)
