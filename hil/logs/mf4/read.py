"""CAN frames of an MDF 4 file: the records of its bus logging groups spread into the columns of a trace.

This is a reader of our own because the files that matter most are the damaged ones: nothing of the file is believed, so
that a wrong number can neither end the process nor cost more than the records it describes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.logs.log import Log
from hil.logs.mf4 import BUS_EVENT, FLAGS, KINDS, LENGTHS, NO_FRAMES
from hil.logs.mf4 import data as mf4_data
from hil.logs.mf4.blocks import FINISHED, FIRST, LINEAR, RATIONAL, UNFINISHED, Blocks, Channel, DataGroup, Group
from hil.logs.mf4.data import Matrix, Part, Stretch
from hil.logs.mf4.records import Records, records_of
from hil.logs.mf4.signal import Payloads, from_blocks, from_records
from hil.logs.moment import iso
from hil.logs.trace import Trace, concat, from_matrix
from hil.tick import FrameBits

Progress = Callable[[float], None]

EPOCH_NS = 631_152_000 * 10**9  # 1990: a start before it is no date
LATEST_NS = 5 * 10**18  # 2128: nor one behind it
LONGEST_S = 4e9  # a time in a recording beyond it is damaged
MASTER, VIRTUAL_MASTER, VARIABLE = 2, 3, 1  # types of channels
TEXT_TYPES = (6, 7, 8, 9)  # types of data that are text
REALS = (4, 5)  # floating point, the second with the most significant byte first
SWAPPED = (1, 3, 5)  # most significant byte first


@dataclass(slots=True, eq=False)
class _Source:
    """A data group with its stream: the blocks it consists of."""

    group: DataGroup
    parts: list[Part]
    broken: bool


def read_mf4(content: bytes, on_progress: Progress | None = None) -> Log:
    """Read the CAN frames of an MF4 file, also of one the recorder did not finish; groups are merged in order of time.

    Times are absolute when the file has a start time. Bus channels count from 1 in the format and from 0 here. A damaged
    block costs the records it holds or describes; it is counted and named by its byte offset.

    Raises:
        InputError: the content is no MDF 4, holds no bus logging (only measured channels), or nothing of it can be read.
    """
    blocks = Blocks(content)
    if content[FIRST : FIRST + 2] == b"HD" or content[8:9] in (b"2", b"3"):
        found = content[8:16].decode("latin-1").strip(" \0")
        raise InputError(Problem("cannot read the MF4 file", expected="ASAM MDF version 4", found=f"version {found}"))
    if content[:8] not in (FINISHED, UNFINISHED):
        blocks.skip(0, "no identification of an MDF file")
    start_ns = _start_ns(blocks)
    tree = blocks.tree()
    signals = _signals(blocks, tree)
    sources = _sources(blocks, tree)
    traces: list[Trace] = []
    buses = others = 0
    for number, source in enumerate(sources):
        for group, records in records_of(blocks, source.group, source.parts):
            kind = _kind(group)
            buses += kind is not None
            if kind is not None:
                made = _frames(blocks, group, kind, records, signals, start_ns)
                traces += [made] if made is not None else []
            elif len(records):
                others += len(records)
                _understood(blocks, group, len(records))
        if on_progress:
            on_progress((number + 1) / len(sources))
    joined = concat(traces)
    if not len(joined) and blocks.unreadable:
        told = f"{blocks.skips[0].where}: {blocks.skips[0].what}"
        raise InputError(Problem("nothing of the MF4 file can be read", expected="ASAM MDF version 4", found=told))
    if not buses:
        found = f"{sum(len(source.group.groups) for source in sources)} other groups"
        expected = "a channel group CAN_DataFrame"
        raise InputError(Problem("the MF4 file holds no CAN bus logging", expected=expected, found=found))
    trace = joined.select(np.argsort(joined.t_ns, kind="stable"))
    return Log("mf4", trace, tuple(blocks.skips), blocks.unreadable, _facts(content, start_ns, others))


def _facts(content: bytes, start_ns: int, others: int) -> dict[str, str]:
    version, program = (content[at : at + 8].decode("latin-1").strip(" \0") for at in (8, 16))
    facts = {"version": version, "program": program, "start": iso(start_ns) if start_ns else ""}
    facts["records of other groups"] = str(others) if others else ""
    return {name: text for name, text in facts.items() if text}


def _start_ns(blocks: Blocks) -> int:
    """Start of the recording in ns since 1970, 0 when the file has none; a time without zone is taken as UTC."""
    header = blocks.block(FIRST, "HD")
    if header is None:
        return 0
    (start_ns,) = struct.unpack_from("<Q", blocks.content, header.data)
    if start_ns > LATEST_NS:
        blocks.skip(header.data, "start time that is no date")
    return int(start_ns) if EPOCH_NS <= start_ns <= LATEST_NS else 0


def _sources(blocks: Blocks, tree: list[DataGroup]) -> list[_Source]:
    """The blocks of every stream; those that no list leads to belong to the stream whose list is broken, if it is one."""
    out = []
    for group in tree:
        found, broken = mf4_data.parts(blocks, group.data, group.at)
        out.append(_Source(group, found, broken))
    hurt = [source for source in out if source.broken]
    if len(hurt) == 1:
        hurt[0].parts += [Part(block.at, hurt[0].group.at) for block in blocks.stray_data()]
    return out


def _signals(blocks: Blocks, tree: list[DataGroup]) -> dict[int, list[Part]]:
    """Blocks of the payloads that lie outside their records, by the place of their channel."""
    groups = {group.at for data_group in tree for group in data_group.groups}
    out = {}
    for data_group in tree:
        for group in data_group.groups:
            for channel in group.channels:
                if channel.kind == VARIABLE and channel.data and channel.data not in groups and _kind(group):
                    out[channel.at] = mf4_data.parts(blocks, channel.data, channel.at)[0]
    return out


def _kind(group: Group) -> tuple[str, int] | None:
    """Which frames a group holds: by the name of its structure, or of what that consists of."""
    for name, bits in KINDS:
        if any(channel.name == name or channel.name.startswith(f"{name}.") for channel in group.channels):
            return name, int(bits)
    return None


def _understood(blocks: Blocks, group: Group, count: int) -> None:
    """Count the records of a group that says it holds events of a bus when its name is none of the standard."""
    names = [c.name.partition(".")[0] for c in group.channels if c.kind not in (MASTER, VIRTUAL_MASTER)]
    if not group.channels:
        blocks.skip(group.at, f"{count} records of a group without channels", count)
    elif group.flags & BUS_EVENT and not any(name.startswith(NO_FRAMES) for name in names):
        blocks.skip(group.at, f"{count} events of a bus in a group called {names[:1]}", count)


def _frames(
    blocks: Blocks,
    group: Group,
    kind: tuple[str, int],
    records: Records,
    signals: dict[int, list[Part]],
    start_ns: int,
) -> Trace | None:
    """One group's frames; flags the recorder left out are zero. None, and counted, when what makes a frame is missing."""
    name, always = kind
    n, rows = len(records), records.rows
    if not n:
        return None
    prefix = f"{name}."
    channels = {c.name.removeprefix(prefix): c for c in group.channels if c.name.startswith(prefix)}
    fields = {field: _numbers(rows, channel) for field, channel in channels.items() if field != "DataBytes"}
    known = {field: values for field, values in fields.items() if values is not None}
    master = next((c for c in group.channels if c.kind in (MASTER, VIRTUAL_MASTER)), None)
    times_s = _times_s(rows, master) if master else None
    payloads = _payloads(blocks, records, channels.get("DataBytes"), signals)
    identifiers = known.get("ID", np.zeros(n, np.int64))
    missing = "" if times_s is not None else "time"
    if not always & FrameBits.ERROR and "ID" not in known:
        missing = "identifier"
    if not always and (payloads is None or not known.keys() & {"DLC", "DataLength"}):
        missing = "payload" if payloads is None else "length"
    if missing or times_s is None:
        blocks.skip(group.at, f"{n} records {name} without {missing}", n)
        return None
    none = Payloads(np.zeros((n, 0), np.uint8), np.ones(n, np.bool_))
    data, there = (payloads or none).rows, (payloads or none).there & (np.abs(times_s) < LONGEST_S)
    bits, lengths = _bits(known, identifiers, always), _lengths(known, n, always)
    lengths = np.clip(lengths, 0, np.where(bits & FrameBits.FD, 64, np.where("DataLength" in known, 64, 8)))
    lost = n - int(there.sum())
    if lost:
        blocks.skip(group.at, f"{lost} records {name} whose time or payload is not in the file", lost)
        times_s = np.where(there, times_s, 0.0)
    numbers = known.get("BusChannel", np.zeros(n, np.int64))
    numbers = np.clip(numbers - (1 if numbers.min() > 0 else 0), 0, 255)
    t_ns = np.rint(times_s * 1e9).astype(np.int64) + start_ns
    ids = (identifiers & 0x1FFFFFFF).astype(np.int32)
    made = from_matrix(t_ns, ids, bits, lengths.astype(np.uint8), data, numbers.astype(np.uint8), bool(start_ns))
    return made.select(there) if lost else made


def _bits(known: dict[str, NDArray[np.int64]], identifiers: NDArray[np.int64], always: int) -> NDArray[np.int32]:
    bits = np.full(len(identifiers), always, np.int32)
    for field, flag in FLAGS:
        if field in known:
            bits |= np.where(known[field] != 0, np.int32(flag), np.int32(0))
    return bits | np.where(identifiers >> 31 & 1 != 0, np.int32(FrameBits.EXTENDED), np.int32(0))


def _lengths(known: dict[str, NDArray[np.int64]], n: int, always: int) -> NDArray[np.int64]:
    """The payload's length; of a remote frame the one asked for."""
    if "DataLength" in known and not always & FrameBits.REMOTE:
        return known["DataLength"]
    return LENGTHS[np.clip(known.get("DLC", np.zeros(n, np.int64)), 0, 15)].astype(np.int64)


def _raw(rows: Matrix, channel: Channel) -> NDArray[np.uint64] | None:
    """The bits of a channel as numbers; None when they are not inside the record or more than 64."""
    size = (channel.bit_offset + channel.bit_count + 7) // 8
    if not 0 < channel.bit_count <= 64 or size > 8 or channel.bit_offset > 7:
        return None
    if channel.byte_offset + size > rows.shape[1]:
        return None
    wide = np.zeros((len(rows), 8), np.uint8)
    part = rows[:, channel.byte_offset : channel.byte_offset + size]
    wide[:, :size] = part[:, ::-1] if channel.data_type in SWAPPED else part
    mask = np.uint64((1 << channel.bit_count) - 1)
    return (wide.view("<u8")[:, 0] >> np.uint64(channel.bit_offset)) & mask


def _numbers(rows: Matrix, channel: Channel) -> NDArray[np.int64] | None:
    """A field as whole numbers; of a text whether it says sent."""
    if channel.data_type in TEXT_TYPES:
        first = channel.byte_offset
        return (
            np.isin(rows[:, first], (0x54, 0x74, 0x31)).astype(np.int64) if first < rows.shape[1] else None
        )  # T, t, 1
    raw = _raw(rows, channel)
    if raw is None:
        return None
    if channel.data_type in REALS or (channel.conversion and channel.conversion[0] in (LINEAR, RATIONAL)):
        values = _physical(raw, channel)
        return None if values is None else np.nan_to_num(values).clip(-(2**53), 2**53).astype(np.int64)
    return raw.astype(np.int64)


def _times_s(rows: Matrix, channel: Channel) -> NDArray[np.float64] | None:
    """Time since the start of the recording; NaN becomes a time too long for any."""
    if channel.kind == VIRTUAL_MASTER:
        raw: NDArray[np.uint64] | None = np.arange(len(rows), dtype=np.uint64)
    else:
        raw = _raw(rows, channel)
    values = None if raw is None else _physical(raw, channel)
    return None if values is None else np.nan_to_num(values, nan=np.inf, posinf=np.inf, neginf=np.inf)


def _physical(raw: NDArray[np.uint64], channel: Channel) -> NDArray[np.float64] | None:
    """Values after the channel's conversion; None for a type of data or of conversion that times do not have."""
    if channel.data_type in REALS and channel.kind != VIRTUAL_MASTER:
        if channel.bit_count not in (32, 64):
            return None
        single = channel.bit_count == 32
        values = raw.astype(np.uint32).view(np.float32).astype(np.float64) if single else raw.view(np.float64)
    elif channel.data_type in (2, 3):
        shift = np.int64(64 - channel.bit_count)
        values = (raw.view(np.int64) << shift >> shift).astype(np.float64)
    elif channel.data_type in (0, 1) or channel.kind == VIRTUAL_MASTER:
        values = raw.astype(np.float64)
    else:
        return None
    if channel.conversion is None:
        return values
    kind, numbers = channel.conversion
    with np.errstate(all="ignore"):
        if kind == LINEAR:
            return values * numbers[1] + numbers[0]
        if kind == RATIONAL:
            a, b, c, d, e, f = numbers
            return (a * values * values + b * values + c) / (d * values * values + e * values + f)
    return None


def _payloads(
    blocks: Blocks, records: Records, channel: Channel | None, signals: dict[int, list[Part]]
) -> Payloads | None:
    """Payload bytes in rows of at most 64; None when the group has none."""
    if channel is None:
        return None
    if channel.kind == VARIABLE:
        offsets = _raw(records.rows, channel)
        if offsets is None:
            return None
        if channel.at in signals:
            held: list[Stretch] = mf4_data.stretches(blocks, signals[channel.at], 1)
            return from_blocks(held, offsets)
        return from_records(records, channel.data, offsets, bool(blocks.unfinished & 0x40))
    width = min(channel.width, 64)
    if not width or channel.byte_offset + width > records.rows.shape[1]:
        return None
    rows = records.rows[:, channel.byte_offset : channel.byte_offset + width]
    return Payloads(rows, np.ones(len(rows), np.bool_))
