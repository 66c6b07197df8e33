"""What golden compare compares: the signals of a record or of a CAN log, each with its times."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.codec import bulk, database
from hil.codec.nouns import Database
from hil.codec.plan import compile_plan
from hil.errors import BenchError, InputError, Problem
from hil.files.places import same_file
from hil.logs.read import read_log
from hil.logs.trace import Trace
from hil.records.reader import Record, is_record, read
from hil.tick import FrameBits

IDENTITY_BITS = int(FrameBits.EXTENDED | FrameBits.FD | FrameBits.BITRATE_SWITCH | FrameBits.ERROR | FrameBits.REMOTE)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One signal: times in ns, values in ``unit``. With ``texts`` the values are indexes of them.

    ``is_time``: the values are instants in s, which may be off by the tolerance of time.
    """

    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    unit: str = ""
    texts: tuple[str, ...] = ()
    is_time: bool = False


Signals = Mapping[str, Series]


def load_signals(golden: Path, new: Path, dbc: Path | None = None) -> tuple[Signals, Signals]:
    """The signals of two records or of two logs.

    Raises:
        InputError: a file cannot be read, or one is a record and the other a log.
    """
    kinds = is_record(golden), is_record(new)
    if kinds[0] != kinds[1]:
        names = ["a record" if kind else "a CAN log" for kind in kinds]
        raise InputError(Problem("a record and a log cannot be compared", str(new), expected=names[0], found=names[1]))
    if kinds[0]:
        return of_record(read(golden)), of_record(read(new))
    traces = read_log(golden).trace, read_log(new).trace
    if dbc is not None:
        db = database.load(dbc)
        return of_trace(traces[0], db), of_trace(traces[1], db)
    return of_frames(*traces)


def of_record(record: Record) -> dict[str, Series]:
    """Every column at the best rate recorded; times of last change (``.t``) are instants.

    How late a tick started is no signal of the bench or the BMS and is left out.
    """
    out: dict[str, Series] = {}
    labels = record.table.labels()
    narrow = {column: k for k, column in enumerate(record.check_columns)}
    for q in record.table.quantities:
        if q.name in ("time.lateness", "time.run") or not q.record:
            continue
        spans = [(q.start, q.count, False)] + ([(q.time_start, q.time_count, True)] if q.time_start >= 0 else [])
        for column, is_time in ((c, t) for first, n, t in spans for c in range(first, first + n)):
            fine = column in narrow
            values = record.checks[:, narrow[column]] if fine else record.rows[:, column]
            times = record.check_times_ns if fine else record.row_times_ns
            out[labels[column]] = Series(times, values, "s" if is_time else q.unit, (), is_time)
    return out


def of_trace(trace: Trace, db: Database) -> dict[str, Series]:
    """Every signal of the DBC that the log brings, as ``Message.Signal``; times from the log's first frame."""
    decoded = bulk.decode(compile_plan(db.messages), trace)
    units = {f"{m.name}.{s.name}": s.unit for m in db.messages for s in m.signals}
    parts: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    for table in decoded.tables:
        if len(table.t_ns):
            for name, values in table.columns.items():
                parts.setdefault(f"{table.message}.{name}", []).append((table.t_ns, values))
    zero = _zero(trace)
    out: dict[str, Series] = {}
    for name, pieces in parts.items():
        times, values = np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])
        order = np.argsort(times, kind="stable")
        out[name] = Series(times[order] - zero, values[order], units.get(name, ""))
    return out


def of_frames(first: Trace, second: Trace) -> tuple[dict[str, Series], dict[str, Series]]:
    """Frames by identifier (``0x123``, 29 bits ``0x00000123x``, with several channels ``0x123@1``); values are payloads."""
    channels = len(set(np.unique(first.channel)) | set(np.unique(second.channel))) > 1
    numbers: dict[bytes, int] = {}
    texts: list[str] = []
    out: list[dict[str, Series]] = []
    for trace in (first, second):
        codes = np.array([_number(trace, i, numbers, texts) for i in range(len(trace))], np.float64)
        groups = _by_identity(trace, channels)
        zero = _zero(trace)
        out.append({name: Series(trace.t_ns[at] - zero, codes[at]) for name, at in groups.items()})
    words = tuple(texts)
    named = [{name: Series(s.t_ns, s.values, "", words) for name, s in one.items()} for one in out]
    return named[0], named[1]


def _number(trace: Trace, index: int, numbers: dict[bytes, int], texts: list[str]) -> int:
    """The number of this content: kind of frame, length and bytes; the same content has the same number."""
    payload, bits = trace.payload(index), int(trace.bits[index]) & IDENTITY_BITS
    key = bits.to_bytes(4, "little") + bytes([int(trace.dlc[index])]) + payload
    if key not in numbers:
        numbers[key] = len(texts)
        kinds = [b.name for b in (FrameBits.FD, FrameBits.ERROR, FrameBits.REMOTE) if bits & b]
        words = "".join(f" {kind.lower()}" for kind in kinds)
        texts.append(f"[{payload.hex(' ')}]{words}" if payload or not words else f"[{int(trace.dlc[index])}]{words}")
    return numbers[key]


def _by_identity(trace: Trace, channels: bool) -> dict[str, NDArray[np.int64]]:
    extended = (trace.bits & FrameBits.EXTENDED) != 0
    keys = trace.id.astype(np.int64) | extended.astype(np.int64) << 32
    keys |= trace.channel.astype(np.int64) << 40 if channels else 0
    out: dict[str, NDArray[np.int64]] = {}
    for key in np.unique(keys):
        identifier = int(key) & 0xFFFFFFFF
        name = f"0x{identifier:08X}x" if int(key) >> 32 & 1 else f"0x{identifier:03X}"
        out[name + (f"@{int(key) >> 40}" if channels else "")] = np.flatnonzero(keys == key)
    return out


def _zero(trace: Trace) -> int:
    return int(trace.t_ns.min()) if len(trace) else 0


def put_in_place(golden: Path, new: Path) -> None:
    """Copy ``new`` beside ``golden`` and rename it to that name in one step; see ``golden.accept``."""
    if golden.suffix.lower() != new.suffix.lower():
        what = "the golden file would change its kind"
        raise InputError(Problem(what, str(golden), expected=golden.suffix or "no suffix", found=new.suffix))
    if same_file(golden, new):
        raise InputError(Problem("the golden file and the new one are the same", str(golden)))
    partial = golden.with_name(golden.name + ".partial")
    try:
        content = new.open("rb")
    except OSError as error:
        raise InputError(Problem(f"cannot read: {error.strerror}", str(new))) from error
    try:
        with content:
            golden.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                shutil.copyfileobj(content, stream)
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(golden)
    except OSError as error:
        raise BenchError(f"cannot write the golden file {golden}: {error.strerror}") from error
