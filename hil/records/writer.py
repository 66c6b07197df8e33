"""Writing a record: blocks cut by virtual time, lz4, flushed with CRCs, so that a kill loses the last MiB at most."""

import hashlib
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mcap.writer import CompressionType, Writer
from numpy.typing import NDArray

from hil.errors import BenchError
from hil.image import Table, bind
from hil.kernel import Floats, Rows, zeros
from hil.records.layout import (
    BLOCK,
    CHECKS,
    EDGE,
    EVENTS,
    FRAME,
    FRAMES,
    HEADER,
    INPUTS,
    NARROW,
    ROWS,
    SCALARS,
    SCHEMAS,
    STEPS,
    VERDICTS,
    WORDS,
    Block,
    collect,
)
from hil.records.scan import CHECKSUM, checksum
from hil.tick import Link

LIBRARY = "cellbench"
FLUSH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Policy:
    """Full rows kept: every Nth, and all within ``around`` ticks of an event of the same block."""

    every: int = 1
    around: int = 20


def table_json(table: Table, checks: Sequence[int]) -> str:
    """The quantity table and the columns of the ``checks`` topic as JSON."""
    lines = [
        {
            "name": q.name,
            "unit": q.unit,
            "meaning": q.meaning,
            "count": q.count,
            "start": q.start,
            "time_start": q.time_start,
            "time_count": q.time_count,
            "labels": list(q.labels),
            "record": q.record,
        }
        for q in table.quantities
    ]
    shape = {"columns": table.columns, "recorded": table.recorded, "cells": table.cells, "temps": table.temps}
    return json.dumps({"quantities": lines, "checks": list(checks), **shape}, indent=1)


def start_file(
    stream: BinaryIO, attachments: Mapping[str, bytes], metadata: Mapping[str, Mapping[str, str]]
) -> tuple[Writer, dict[str, int]]:
    """Begin an MCAP file of this project: the writer, and the channel number of each topic."""
    writer = Writer(stream, compression=CompressionType.LZ4, chunk_size=1 << 30, enable_data_crcs=True)
    writer.start(profile="", library=LIBRARY)
    topics = {}
    for topic, text in SCHEMAS.items():
        schema = writer.register_schema(f"cellbench/{topic}", "text", text.encode())
        encoding = "json" if topic in (EVENTS, VERDICTS) else "cellbench"
        topics[topic] = int(writer.register_channel(topic, encoding, schema))
    for name, content in attachments.items():
        writer.add_attachment(0, 0, name, "text/plain", content)
    for name, values in metadata.items():
        writer.add_metadata(name, {**values, CHECKSUM: checksum(name, values)})
    writer.flush()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    return writer, topics


class McapSink:
    """A record on disk, written in the thread of the tick: for virtual time and replay."""

    def __init__(
        self,
        path: Path,
        table: Table,
        check_columns: Sequence[int],
        policy: Policy,
        attachments: Mapping[str, str],
        metadata: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Open ``path``; ``attachments`` are the files the run stands on, ``metadata`` identities and versions.

        Raises:
            BenchError: the file cannot be written.
        """
        if len(check_columns) > NARROW:
            raise BenchError(f"the checks use {len(check_columns)} columns, a record holds {NARROW}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
        except OSError as error:
            raise BenchError(f"cannot write the record {path}: {error.strerror}") from error
        self.path = path
        self._policy = policy
        self._digest = hashlib.sha256()
        self._closed = False
        self._pending_bytes = 0
        self._tick = 0
        self._events_ns: list[int] = []
        self._period_ns = 0
        self._blocks = zeros(Block)
        block = np.asarray(self._blocks)[0]
        block["recorded"], block["n_narrow"] = table.recorded, len(check_columns)
        block["n_cells"], block["n_temps"] = table.cells, table.temps
        block["readings"] = 0 if policy.every == 1 else table.cells + table.temps + len(SCALARS)
        bind(block, table)
        block["column"][: len(check_columns)] = check_columns
        files = {"quantities.json": table_json(table, check_columns), **attachments}
        self._writer, self._topics = start_file(
            self._file, {name: text.encode() for name, text in files.items()}, metadata
        )

    def put(self, t_ns: int, row: Floats, links: Rows[Link]) -> None:
        """Take one finished tick."""
        self._tick += 1
        if collect(self._blocks, t_ns, row, links) >= BLOCK:
            self._cut()

    def event(self, t_ns: int, kind: str, text: str) -> None:
        """Take one event; the rows around it are kept at full rate."""
        self._events_ns.append(t_ns)
        self._message(EVENTS, t_ns, json.dumps({"t_ns": t_ns, "kind": kind, "text": text}).encode())

    def verdicts(self, t_ns: int, verdicts: list[dict[str, Any]]) -> None:
        """Take the verdicts of the run, once, at its end."""
        self._cut()
        self._message(VERDICTS, t_ns, json.dumps(verdicts).encode())

    def _kept(self, times_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        ticks = np.arange(self._tick - len(times_ns), self._tick)
        if len(times_ns) > 1:
            self._period_ns = int(times_ns[1] - times_ns[0])
        around_ns = self._policy.around * self._period_ns
        keep: NDArray[np.bool_] = ticks % self._policy.every == 0
        for event_ns in self._events_ns:
            keep |= np.abs(times_ns - event_ns) <= around_ns
        self._events_ns = [e for e in self._events_ns if e + around_ns >= times_ns[-1]]
        return keep

    def _cut(self) -> None:
        block = np.asarray(self._blocks)[0]
        n, n_frames = int(block["n"]), int(block["n_frames"])
        if n == 0:
            return
        times, recorded, narrow = block["t_ns"][:n], int(block["recorded"]), int(block["n_narrow"])
        keep = self._kept(times)
        rows = block["rows"][: n * recorded].reshape(n, recorded)
        if keep.any():
            self._block(ROWS, times[keep], rows if keep.all() else rows[keep])
        self._block(CHECKS, times, block["narrow"][: n * narrow].reshape(n, narrow))
        if n_frames:
            packed = np.zeros(n_frames, FRAME)
            for name in FRAME.names or ():
                packed[name] = block["frame"][name][:n_frames]
            self._message(FRAMES, int(times[0]), packed.tobytes())
        self._inputs(block, n)
        block["n"] = block["n_frames"] = 0
        if self._pending_bytes >= FLUSH_BYTES:
            self._flush()

    def _block(self, topic: str, times: Any, values: Any) -> None:
        header = HEADER.pack(int(times[0]), len(times), values.shape[1], 0, 0)
        self._message(topic, int(times[0]), header + times.tobytes() + values.tobytes())

    def _inputs(self, block: Any, n: int) -> None:
        """One block of ``inputs``; the changes of readings begin anew with the next."""
        readings, edges = int(block["readings"]), int(block["n_edges"])
        t0_ns = int(block["t_ns"][0])
        parts = [block["word"][: n * WORDS]]
        if readings:
            parts += [np.array(STEPS), block["change"][: n * readings], block["as_it_is"][: int(block["n_as_it_is"])]]
        parts.append(block["edge"][:edges].astype(EDGE))
        header = HEADER.pack(t0_ns, n, WORDS, readings, edges)
        self._message(INPUTS, t0_ns, header + b"".join(part.tobytes() for part in parts))
        block["last"][:] = 0.0
        block["n_as_it_is"] = block["n_edges"] = 0

    def _message(self, topic: str, t_ns: int, content: bytes) -> None:
        if self._closed and self._file.closed:
            raise BenchError(f"the record {self.path} is closed; nothing can be added")
        if topic in (ROWS, FRAMES, CHECKS):
            self._digest.update(content)
        self._pending_bytes += len(content)
        try:
            self._writer.add_message(self._topics[topic], t_ns, content, t_ns)
        except OSError as error:
            raise BenchError(f"the record {self.path} cannot grow: {error.strerror}") from error

    def _flush(self) -> None:
        self._pending_bytes = 0
        try:
            self._writer.flush()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        except OSError as error:
            raise BenchError(f"the record {self.path} cannot grow: {error.strerror}") from error

    def lost_frames(self) -> int:
        """Frames that found no room in a block."""
        return int(np.asarray(self._blocks)[0]["lost_frames"])

    def digest(self) -> str:
        """Hash over rows and frames so far."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Write what is pending and finish the file. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._cut()
            self._writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        finally:
            self._file.close()


class ThreadedSink:
    """The same record written by a thread of its own, so that the disk never delays a tick; for real time.

    The queue is bounded: what finds no room is dropped, counted, and makes the checks of its window inconclusive.
    """

    def __init__(self, inner: McapSink, depth: int = 256) -> None:
        """Write to ``inner``; ``depth`` ticks may wait."""
        self._inner = inner
        self._queue: queue.Queue[tuple[str, tuple[Any, ...]] | None] = queue.Queue(depth)
        self._failed: list[BaseException] = []
        self.overflowed = 0
        self._thread = threading.Thread(target=self._drain, name="record-writer", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                getattr(self._inner, job[0])(*job[1])
            except Exception as error:  # noqa: BLE001  # handed to the tick's thread, which raises it
                self._failed.append(error)

    def put(self, t_ns: int, row: Floats, links: Rows[Link]) -> None:
        """Queue a copy of one finished tick. Raises what the writer failed with."""
        if self._failed:
            raise BenchError(f"recording stopped: {self._failed[0]}") from self._failed[0]
        try:
            self._queue.put_nowait(("put", (t_ns, row.copy(), np.asarray(links).copy())))
        except queue.Full:
            self.overflowed += 1

    def event(self, t_ns: int, kind: str, text: str) -> None:
        """Queue one event; events are never dropped."""
        self._queue.put(("event", (t_ns, kind, text)))

    def verdicts(self, t_ns: int, verdicts: list[dict[str, Any]]) -> None:
        """Queue the verdicts."""
        self._queue.put(("verdicts", (t_ns, verdicts)))

    def digest(self) -> str:
        """Hash over rows and frames; complete only after ``close``."""
        return self._inner.digest()

    def lost_frames(self) -> int:
        """Frames that found no room in a block."""
        return self._inner.lost_frames()

    def close(self) -> None:
        """Write everything queued and finish the file. Idempotent. Raises what the writer failed with."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            self._inner.close()
        if self._failed:
            raise BenchError(f"recording stopped: {self._failed[0]}") from self._failed[0]
