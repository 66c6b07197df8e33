"""A log decoded with its databases, to one file for other tools."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hil.analysis.columns_out import (
    Column,
    Count,
    Progress,
    append_mcap,
    append_mf4,
    require,
    silent,
    together,
    write_csv,
    write_parquet,
)
from hil.codec.bulk import Decoded, decode
from hil.codec.nouns import Database, Message
from hil.codec.plan import compile_plan
from hil.errors import BenchError, InputError, Problem, nearest
from hil.logs import mf4
from hil.logs.trace import Trace
from hil.logs.write import moved_note

Int64 = NDArray[np.int64]
NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType({".mf4": ("can", "asammdf"), ".parquet": ("pyarrow",)})


@dataclass(frozen=True, slots=True)
class Bus:
    """A database and the channel it describes; None: every channel that has none of its own."""

    database: Database
    channel: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """Columns of a decoded log; ``times_ns`` are the times of the rows, one a frame of which something was decoded.

    ``unknown`` counts data frames of no known message, ``short`` those shorter than their message: what they do not reach is
    NaN.
    """

    times_ns: Int64
    columns: tuple[Column, ...]
    unknown: int
    short: int
    absolute: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one plan made of its frames; ``which`` are their indexes in the whole trace."""

    prefix: str
    which: Int64
    decoded: Decoded

    def names(self) -> Iterator[tuple[int, int, str]]:
        """Index, group and full name of every signal."""
        plan = self.decoded.plan
        for index, entry in enumerate(plan.listed):
            yield index, entry.group, f"{plan.messages[entry.message].name}.{entry.signal.name}"


def decode_log(trace: Trace, buses: Sequence[Bus], wanted: Sequence[str] = (), progress: Progress = silent) -> Decoding:
    """Decode every frame with the databases of its channel. ``wanted`` are patterns of signals (``*``, ``?``).

    A pattern is matched with ``Message.Signal``, one without a dot with the signal's name alone; letter case counts.
    Signals of a database with a channel get that number in front (``1:Message.Signal``). Signals that never came are left
    out.

    Raises:
        InputError: two databases of one channel have a message of the same identifier, or a pattern fits no signal.
    """
    own = sorted({bus.channel for bus in buses if bus.channel is not None})
    parts = []
    for i, channel in enumerate([*own, None]):
        messages = _joined([bus.database for bus in buses if bus.channel == channel])
        if not messages:
            continue
        which = np.flatnonzero(~np.isin(trace.channel, own) if channel is None else trace.channel == channel)
        found = decode(compile_plan(messages), trace.select(which), partial(_share, progress, i, len(own) + 1))
        parts.append(_Part("" if channel is None else f"{channel}:", which, found))
    _check(parts, wanted)
    columns, used = _columns(parts, wanted)
    unknown, short = (sum(getattr(part.decoded, name) for part in parts) for name in ("unknown", "short"))
    return Decoding(trace.t_ns[used], columns, unknown, short, trace.absolute)


def _joined(databases: Sequence[Database]) -> list[Message]:
    """The messages of all databases of one channel. Raises InputError for an identifier that two of them have."""
    owners: dict[tuple[bool, int], tuple[Database, Message]] = {}
    problems = []
    for database in databases:
        for message in database.messages:
            first, known = owners.setdefault((message.extended, message.id), (database, message))
            if first is not database:
                number = f"0x{message.id:0{8 if message.extended else 3}X}"
                problem = f"identifier {number} is in two databases: {known.name} of {first.path}, and {message.name}"
                expected = "--dbc N=FILE for each where they are of different channels, else one of the two"
                problems.append(Problem(problem, str(database.path), expected=expected))
    if problems:
        raise InputError(problems)
    return [message for database in databases for message in database.messages]


def _share(progress: Progress, done: int, of: int, share: float) -> None:
    progress((done + share) / of)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "." in pattern else name.partition(".")[2], pattern)


def _check(parts: Sequence[_Part], wanted: Sequence[str]) -> None:
    """Every pattern fits some signal."""
    every = [name for part in parts for _, _, name in part.names()]
    lost = [pattern for pattern in wanted if not any(_fits(name, pattern) for name in every)]
    if lost:
        known = every + [name.partition(".")[2] for name in every]
        raise InputError([Problem(f"no signal fits {p!r}", nearest=nearest(p, known) or "") for p in lost])


def _columns(parts: Sequence[_Part], wanted: Sequence[str]) -> tuple[tuple[Column, ...], Int64]:
    """The wanted columns that have values, and the indexes of the frames they came with."""
    chosen: list[tuple[_Part, int, int, str]] = []
    frames: dict[tuple[str, int], Int64] = {}
    for part in parts:
        row0 = part.decoded.row0
        for index, group, name in part.names():
            if row0[group] < row0[group + 1] and (not wanted or any(_fits(name, p) for p in wanted)):
                chosen.append((part, index, group, name))
                rows = part.decoded.frame[row0[group] : row0[group + 1]]
                frames.setdefault((part.prefix, group), part.which[rows])
    used = np.unique(np.concatenate(list(frames.values()))) if frames else np.zeros(0, np.int64)
    places = {key: np.searchsorted(used, rows) for key, rows in frames.items()}
    # One array of times a group: columns that share it come together.
    times = {(part.prefix, group): part.decoded.times(group) for part, _, group, _ in chosen}
    out = []
    for part, index, group, name in chosen:
        signal, key = part.decoded.plan.listed[index].signal, (part.prefix, group)
        labels = tuple(f"{raw}={text}" for raw, text in signal.labels)
        out.append(Column(part.prefix + name, signal.unit, labels, times[key], part.decoded.column(index), places[key]))
    return tuple(out), used


def write_decoded(decoding: Decoding, out: Path, about: dict[str, str], progress: Progress = silent) -> list[str]:
    """Write to ``out`` as .mcap, .mf4 (a topic or group of each message), .parquet or .csv (a table of all).

    The file appears under its name only when it is whole. Returns what was changed to fit: MCAP has no times before
    zero, so that such a log is moved to begin at zero.

    Raises:
        InputError: an unknown suffix, or a library is not installed.
        BenchError: the file cannot be written.
    """
    suffix = suffix_of(out)
    for module in NEEDS.get(suffix, ()):
        require(module, suffix)
    first = int(decoding.times_ns.min()) if suffix == ".mcap" and len(decoding.times_ns) else 0
    decoding = decoding if first >= 0 else _moved(decoding, -first)
    partial_file = out.with_name(f".{out.stem}.partial{suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        FORMATS[suffix](decoding, partial_file, about, progress)
        partial_file.replace(out)
    except OSError as error:
        raise BenchError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where it could not be made it cannot be removed either
            partial_file.unlink(missing_ok=True)
    progress(1.0)
    return [moved_note(-first)] if first < 0 else []


def _moved(decoding: Decoding, by_ns: int) -> Decoding:
    """The same, later by ``by_ns``; columns that share their times share them still."""
    times = {id(group[0].times_ns): group[0].times_ns + by_ns for group in together(decoding.columns)}
    columns = tuple(replace(column, times_ns=times[id(column.times_ns)]) for column in decoding.columns)
    return replace(decoding, times_ns=decoding.times_ns + by_ns, columns=columns)


def suffix_of(out: Path) -> str:
    """The suffix, when something can be written under it; else InputError with the nearest."""
    suffix = out.suffix.lower()
    if suffix not in FORMATS:
        expected, found = f"a name that ends in one of {', '.join(FORMATS)}", repr(out.suffix)
        close = nearest(suffix, FORMATS) or ""
        raise InputError(
            Problem("cannot write this kind of file", str(out), expected=expected, found=found, nearest=close)
        )
    return suffix


def _to_csv(decoding: Decoding, out: Path, about: dict[str, str], progress: Progress) -> None:
    write_csv(out, decoding.times_ns, decoding.columns, progress)


def _to_parquet(decoding: Decoding, out: Path, about: dict[str, str], progress: Progress) -> None:
    write_parquet(out, decoding.times_ns, decoding.columns, about, progress)


def _to_mf4(decoding: Decoding, out: Path, about: dict[str, str], progress: Progress) -> None:
    start_s = int(decoding.times_ns.min()) // 10**9 if decoding.absolute and len(decoding.times_ns) else 0
    groups = together(decoding.columns)
    with mf4.library().MDF(version="4.10") as file:
        mf4.set_start(file, start_s * 10**9)
        for i, group in enumerate(groups):
            plain = [replace(c, label=c.label.partition(".")[2]) for c in group]
            append_mf4(file, plain, _topic(group), start_s * 10**9)
            progress(0.5 * i / len(groups))
        file.save(out, overwrite=True, compression=1)


def _to_mcap(decoding: Decoding, out: Path, about: dict[str, str], progress: Progress) -> None:
    from mcap.writer import CompressionType, Writer

    groups = together(decoding.columns)
    count = Count(progress, sum(len(group[0].values) for group in groups))
    with out.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(profile="ros2", library="cellbench")
        writer.add_metadata("decoded", about)
        taken: dict[str, int] = {}
        for group in groups:
            topic = _topic(group)
            taken[topic] = taken.get(topic, 0) + 1
            kind = re.sub("[^A-Za-z0-9]", "", topic.title()) + (str(taken[topic]) if taken[topic] > 1 else "")
            name = f"/{topic}" + (f"/{taken[topic]}" if taken[topic] > 1 else "")
            plain = [replace(c, label=c.label.partition(".")[2]) for c in group]
            append_mcap(writer, name, kind, plain, count)
        writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it unannotated


def _topic(group: Sequence[Column]) -> str:
    """The message's name, behind its channel if there is one."""
    return group[0].label.partition(".")[0].replace(":", "/")


FORMATS: Mapping[str, Callable[[Decoding, Path, dict[str, str], Progress], None]] = MappingProxyType(
    {".mcap": _to_mcap, ".mf4": _to_mf4, ".parquet": _to_parquet, ".csv": _to_csv}
)
