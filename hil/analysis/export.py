"""A record for other tools, chosen by the suffix of the file."""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.analysis.frames import Progress, bus_samples, to_asc, to_blf
from hil.errors import BenchError, InputError, Problem, nearest
from hil.records.reader import Record

CDR = b"\x00\x01\x00\x00"  # little-endian plain CDR; the float64 values follow without padding
FRAME_MESSAGE = "int64 t_ns\nuint32 id\nuint16 bits\nuint8 dlc\nuint8 source\nuint8[64] payload\n"


@dataclass(frozen=True, slots=True)
class Column:
    """One column at the best rate recorded; ``times_ns`` is shared by all columns of that rate."""

    label: str
    unit: str
    labels: tuple[str, ...]
    times_ns: NDArray[np.int64]
    values: NDArray[np.float64]


def silent(_: float) -> None:
    """Tell nobody how far the work is."""


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
    if out.exists() and record.path.exists() and out.samefile(record.path):
        raise InputError(Problem("the export needs a name other than the record's", str(out)))
    for module in NEEDS.get(suffix, ()):
        _require(module, suffix)
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


def _require(module: str, suffix: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        message = f"export to {suffix} needs the package {module}: pip install 'cellbench[export]'"
        raise InputError(Problem(message, found=str(error))) from error


def columns(record: Record) -> list[Column]:
    """Every column that was recorded, in the order of the table, each at the best rate recorded."""
    labels, narrow = record.table.labels(), {c: i for i, c in enumerate(record.check_columns)}
    units: dict[int, tuple[str, tuple[str, ...]]] = {}
    for q in record.table.quantities:
        units.update(dict.fromkeys(range(q.start, q.start + q.count), (q.unit, q.labels)))
        if q.time_start >= 0:
            units.update(dict.fromkeys(range(q.time_start, q.time_start + q.time_count), ("s", ())))
    out = []
    for index, label in enumerate(labels):
        if index in narrow:
            times, values = record.check_times_ns, record.checks[:, narrow[index]]
        elif index < record.table.recorded:
            times, values = record.row_times_ns, record.rows[:, index]
        else:
            continue
        out.append(Column(label, *units[index], times, values))
    return out


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


def _to_mcap(record: Record, out: Path, progress: Progress) -> None:
    from mcap.writer import CompressionType, Writer

    labels = record.table.labels()
    full = labels[: record.table.recorded]
    narrow = [labels[c] for c in record.check_columns]
    unit_of = {c.label: c.unit for c in columns(record)}
    with out.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(profile="ros2", library="cellbench")
        for name, text in record.attachments.items():
            writer.add_attachment(0, 0, name, "text/plain", text.encode())
        for name, values in record.metadata.items():
            writer.add_metadata(name, dict(values))
        done, total = 0, len(record.rows) + len(record.checks) + len(record.frames) or 1
        for topic, kind, used, times, table in (
            ("/rows", "Row", full, record.row_times_ns, record.rows),
            ("/checks", "Checks", narrow, record.check_times_ns, record.checks),
        ):
            if not used:
                continue
            names = field_names(used)
            lines = [f"float64 {name}  # {unit_of[label]} {label}" for name, label in zip(names, used, strict=True)]
            channel = _ros_channel(writer, topic, kind, "\n".join(lines))
            for t_ns, row in zip(times.tolist(), np.ascontiguousarray(table, "<f8"), strict=True):
                writer.add_message(channel, t_ns, CDR + row.tobytes(), t_ns)
                done += 1
                if done % 4096 == 0:
                    progress(done / total)
        channel = _ros_channel(writer, "/frames", "Frame", FRAME_MESSAGE)
        for frame in record.frames:
            t_ns = max(0, int(frame["t_ns"]))
            writer.add_message(channel, t_ns, CDR + frame.tobytes(), t_ns)
        _json_messages(writer, record)
        writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it unannotated


def _ros_channel(writer: Any, topic: str, kind: str, definition: str) -> int:
    schema = writer.register_schema(f"cellbench_msgs/msg/{kind}", "ros2msg", definition.encode())
    return int(writer.register_channel(topic, "cdr", schema))


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
    import can  # noqa: F401  # asammdf brings a stand-in of that name unless the real one is there first
    from asammdf import MDF, Signal, Source

    bus_type_can, source_type_bus = 2, 2
    by_rate: dict[int, list[Column]] = {}
    for column in columns(record):
        by_rate.setdefault(id(column.times_ns), []).append(column)
    with MDF(version="4.10") as file:
        for i, group in enumerate(by_rate.values()):
            progress(0.1 + 0.4 * i)
            times = group[0].times_ns / 1e9
            named = [Signal(c.values, times, c.unit if c.unit != "1" else "", c.label) for c in group]
            every = "every tick" if group[0].times_ns is record.check_times_ns else "rows kept"
            file.append(named, acq_name=f"quantities, {every}", comment=every, common_timebase=True)
        times, samples = bus_samples(record)
        source = Source("CAN1", "CAN1", "", source_type_bus, bus_type_can)
        file.append(Signal(samples, times, "", "CAN_DataFrame", source=source), acq_name="CAN1", acq_source=source)
        file.save(out, overwrite=True, compression=1)


def joint_times_ns(record: Record) -> NDArray[np.int64]:
    """The instants of a table that holds both rates."""
    return np.union1d(record.row_times_ns, record.check_times_ns)


def _joint(column: Column, times_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The column on the joint instants and where nothing was recorded (which is not the same as unknown)."""
    if len(column.times_ns) == len(times_ns):
        return column.values, np.zeros(len(times_ns), np.bool_)
    at = np.searchsorted(times_ns, column.times_ns)
    values, absent = np.full(len(times_ns), np.nan), np.ones(len(times_ns), np.bool_)
    values[at], absent[at] = column.values, False
    return values, absent


def _to_parquet(record: Record, out: Path, progress: Progress) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    times_ns = joint_times_ns(record)
    fields, arrays = [arrow.field("t_ns", arrow.int64(), False, {"unit": "ns"})], [arrow.array(times_ns)]
    every = columns(record)
    for i, column in enumerate(every):
        values, absent = _joint(column, times_ns)
        about = {"unit": column.unit} | ({"labels": json.dumps(column.labels)} if column.labels else {})
        fields.append(arrow.field(column.label, arrow.float64(), True, about))
        arrays.append(arrow.array(values, arrow.float64(), mask=absent, from_pandas=False))
        progress(0.8 * i / len(every))
    about = {"events": json.dumps(record.events), "verdicts": json.dumps(record.verdicts)}
    about |= {f"identity.{name}": json.dumps(values) for name, values in record.metadata.items()}
    about |= {"complete": json.dumps(record.complete), "digest": record.digest}
    parquet.write_table(arrow.Table.from_arrays(arrays, schema=arrow.schema(fields, about)), out, compression="zstd")


def _to_csv(record: Record, out: Path, progress: Progress) -> None:
    """RFC 4180 with units in the header; ``nan`` is unknown, an empty field was not recorded at that instant."""
    times_ns, every = joint_times_ns(record), columns(record)
    header = ["time [s]", *(f"{c.label} [{c.unit}]" for c in every)]
    with out.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(header) + "\r\n")
        rows_at, checks_at = np.isin(times_ns, record.row_times_ns), np.isin(times_ns, record.check_times_ns)
        narrow = [c.times_ns is record.check_times_ns for c in every]
        joint = [_joint(c, times_ns)[0] for c in every]
        for start in range(0, len(times_ns), 1000):
            progress(start / len(times_ns))
            block = np.column_stack([values[start : start + 1000] for values in joint])
            for i, row in enumerate(block.tolist(), start):
                present = (checks_at[i] if is_narrow else rows_at[i] for is_narrow in narrow)
                cells = (repr(x) if there else "" for x, there in zip(row, present, strict=True))
                t_ns = int(times_ns[i])
                stream.write(f"{t_ns // 10**9}.{t_ns % 10**9:09d}," + ",".join(cells) + "\r\n")


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
