"""A record for other tools, chosen by the suffix of the file."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.analysis.columns_out import (
    CDR,
    Column,
    Count,
    Progress,
    append_mcap,
    append_mf4,
    field_names,
    require,
    ros_channel,
    silent,
    together,
    write_csv,
    write_parquet,
)
from hil.analysis.frames import to_asc, to_blf, trace_of
from hil.errors import BenchError, InputError, Problem, nearest
from hil.files.places import same_file
from hil.logs import mf4
from hil.records.reader import Record

__all__ = ["Column", "columns", "export", "field_names"]

FRAME_MESSAGE = "int64 t_ns\nuint32 id\nuint16 bits\nuint8 dlc\nuint8 source\nuint8[64] payload\n"


def export(record: Record, out: Path, progress: Progress = silent) -> None:
    """Write ``record`` to ``out`` as .mcap (named fields), .mf4, .parquet, .csv, .blf or .asc.

    ``progress`` is told the share done, 0 to 1. The file appears under its name only when it is whole.

    Raises:
        InputError: an unknown suffix, ``out`` is the record itself, or a library is not installed.
        BenchError: ``out`` cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            Problem(
                "cannot export to this kind of file",
                str(out),
                expected=f"a name that ends in one of {', '.join(FORMATS)}",
                found=repr(out.suffix),
                nearest=nearest(suffix, FORMATS) or "",
            )
        )
    if same_file(out, record.path):
        raise InputError(Problem("the export needs a name other than the record's", str(out)))
    for module in NEEDS.get(suffix, ()):
        require(module, suffix)
    partial = out.with_name(f".{out.stem}.partial{suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        FORMATS[suffix](record, partial, progress)
        partial.replace(out)
    except OSError as error:
        raise BenchError(f"cannot write the export {out}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    progress(1.0)


def columns(record: Record) -> list[Column]:
    """Every column that was recorded, in the order of the table, each at the best rate recorded."""
    labels, narrow = record.table.labels(), {c: i for i, c in enumerate(record.check_columns)}
    units: dict[int, tuple[str, tuple[str, ...]]] = {}
    for q in record.table.quantities:
        units.update(dict.fromkeys(range(q.start, q.start + q.count), (q.unit, q.labels)))
        if q.time_start >= 0:
            units.update(dict.fromkeys(range(q.time_start, q.time_start + q.time_count), ("s", ())))
    joint = joint_times_ns(record)
    checks_at, rows_at = (np.searchsorted(joint, times) for times in (record.check_times_ns, record.row_times_ns))
    out = []
    for index, label in enumerate(labels):
        if index in narrow:
            times, values, at = record.check_times_ns, record.checks[:, narrow[index]], checks_at
        elif index < record.table.recorded:
            times, values, at = record.row_times_ns, record.rows[:, index], rows_at
        else:
            continue
        out.append(Column(label, *units[index], times, values, at))
    return out


def _to_mcap(record: Record, out: Path, progress: Progress) -> None:
    from mcap.writer import CompressionType, Writer

    with out.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(profile="ros2", library="cellbench")
        for name, text in record.attachments.items():
            writer.add_attachment(0, 0, name, "text/plain", text.encode())
        for name, values in record.metadata.items():
            writer.add_metadata(name, dict(values))
        count = Count(progress, len(record.rows) + len(record.checks) + len(record.frames))
        for topic, kind, group in _topics(record):
            append_mcap(writer, topic, kind, group, count)
        channel = ros_channel(writer, "/frames", "Frame", FRAME_MESSAGE)
        for frame in record.frames:
            t_ns = max(0, int(frame["t_ns"]))
            writer.add_message(channel, t_ns, CDR + frame.tobytes(), t_ns)
        _json_messages(writer, record)
        writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it unannotated


def _topics(record: Record) -> Iterator[tuple[str, str, list[Column]]]:
    """Both rates whole, also what the rows hold in common with the checks; a rate that has no column is left out."""
    best, labels = {c.label: c for c in columns(record)}, record.table.labels()
    for topic, kind, used, times, table in (
        ("/rows", "Row", labels[: record.table.recorded], record.row_times_ns, record.rows),
        ("/checks", "Checks", [labels[c] for c in record.check_columns], record.check_times_ns, record.checks),
    ):
        if used:
            every = [replace(best[name], times_ns=times, values=table[:, i]) for i, name in enumerate(used)]
            yield topic, kind, every


def _json_messages(writer: Any, record: Record) -> None:
    schema = writer.register_schema("cellbench/Event", "jsonschema", b'{"type": "object"}')
    channel = writer.register_channel("/events", "json", schema)
    for event in record.events:
        t_ns = int(event.get("t_ns", 0))
        writer.add_message(channel, t_ns, json.dumps(event).encode(), t_ns)
    channel = writer.register_channel("/verdicts", "json", schema)
    end = int(record.check_times_ns[-1]) if len(record.check_times_ns) else 0
    for verdict in record.verdicts:
        writer.add_message(channel, end, json.dumps(verdict).encode(), end)


def _to_mf4(record: Record, out: Path, progress: Progress) -> None:
    asammdf = mf4.library()
    with asammdf.MDF(version="4.10") as file:
        for i, group in enumerate(together(columns(record))):
            progress(0.1 + 0.4 * i)
            every = "every tick" if group[0].times_ns is record.check_times_ns else "rows kept"
            append_mf4(file, group, f"quantities, {every}", comment=every)
        mf4.append_bus(file, trace_of(record))
        file.save(out, overwrite=True, compression=1)


def joint_times_ns(record: Record) -> NDArray[np.int64]:
    """The instants of a table that holds both rates."""
    return np.union1d(record.row_times_ns, record.check_times_ns)


def _to_parquet(record: Record, out: Path, progress: Progress) -> None:
    about = {"events": json.dumps(record.events), "verdicts": json.dumps(record.verdicts)}
    about |= {f"identity.{name}": json.dumps(values) for name, values in record.metadata.items()}
    about |= {"complete": json.dumps(record.complete), "digest": record.digest}
    write_parquet(out, joint_times_ns(record), columns(record), about, progress)


def _to_csv(record: Record, out: Path, progress: Progress) -> None:
    write_csv(out, joint_times_ns(record), columns(record), progress)


FORMATS: Mapping[str, Callable[[Record, Path, Progress], None]] = MappingProxyType(
    {
        ".mcap": _to_mcap,
        ".mf4": _to_mf4,
        ".parquet": _to_parquet,
        ".csv": _to_csv,
        ".blf": to_blf,
        ".asc": to_asc,
    }
)
NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType({".mf4": ("can", "asammdf"), ".parquet": ("pyarrow",)})
