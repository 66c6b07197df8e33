"""Bus logging groups of ASAM MDF 4 through asammdf: whole groups as arrays, never frame by frame."""

import importlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.logs.log import Log
from hil.logs.moment import iso
from hil.logs.trace import Trace, concat, from_matrix, to_matrix
from hil.tick import FrameBits

Progress = Callable[[float], None]

LENGTHS = np.array([*range(9), 12, 16, 20, 24, 32, 48, 64], np.uint8)  # of data length codes, ISO 11898-1 table 5
KINDS = (("CAN_DataFrame", 0), ("CAN_ErrorFrame", FrameBits.ERROR), ("CAN_RemoteFrame", FrameBits.REMOTE))
FLAGS = (
    ("IDE", FrameBits.EXTENDED),
    ("EDL", FrameBits.FD),
    ("BRS", FrameBits.BITRATE_SWITCH),
    ("ESI", FrameBits.ERROR_STATE),
    ("Dir", FrameBits.SENT),
)
BUS_SOURCE, BUS_CAN = 2, 2  # source type and bus type of an acquisition source
EPOCH_NS = 631_152_000 * 10**9  # 1990: a start before it is no date
OFFSETS_VALID = 2  # time flag: UTC, and the offsets to local time are known


def library() -> Any:
    """The module asammdf. Raises InputError with the command that installs it when it is not there."""
    try:
        importlib.import_module("can")  # asammdf brings a stand-in of that name unless the real one is there first
        return importlib.import_module("asammdf")
    except ImportError as error:
        message = "MF4 needs the package asammdf: pip install 'cellbench[export]'"
        raise InputError(Problem(message, found=str(error))) from error


def read_mf4(content: bytes, on_progress: Progress | None = None) -> Log:
    """Read the CAN frames of an MF4 file, also of one the recorder did not finish; groups are merged in order of time.

    Times are absolute when the file has a start time. Bus channels count from 1 in the format and from 0 here.

    Raises:
        InputError: asammdf is not installed, the file is damaged, or it holds no bus logging (only measured channels).
    """
    mdf_of = library().MDF
    try:
        with mdf_of(BytesIO(content)) as file:
            return _read(file, on_progress)
    except InputError:
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}"[:200]
        raise InputError(Problem("cannot read the MF4 file", expected="ASAM MDF version 4", found=found)) from error


def _read(file: Any, on_progress: Progress | None) -> Log:
    start_ns = _start_ns(file)
    traces, buses, others = [], 0, 0
    for index, group in enumerate(file.groups):
        names = {channel.name for channel in group.channels}
        kind = next((k for k in KINDS if k[0] in names), None)
        buses += kind is not None
        if group.channel_group.cycles_nr and kind is None and names:
            others += int(group.channel_group.cycles_nr)
        elif group.channel_group.cycles_nr and kind is not None:
            traces.append(_frames(file, index, *kind, start_ns))
        if on_progress:
            on_progress((index + 1) / len(file.groups))
    if not buses:
        problem = "the MF4 file holds no CAN bus logging"
        raise InputError(
            Problem(problem, expected="a channel group CAN_DataFrame", found=f"{len(file.groups)} other groups")
        )
    joined = concat(traces)
    trace = joined.select(np.argsort(joined.t_ns, kind="stable"))
    program = getattr(file.identification, "program_identification", b"")
    facts = {"version": str(file.version), "program": bytes(program).decode("latin-1").strip(" \0")}
    if start_ns:
        facts["start"] = iso(start_ns)
    if others:
        facts["records of other groups"] = str(others)
    return Log("mf4", trace, (), 0, {name: text for name, text in facts.items() if text})


def _start_ns(file: Any) -> int:
    """Start of the recording in ns since 1970, 0 when the file has none; a time without zone is taken as UTC."""
    start_ns = int(file.header.abs_time)
    return start_ns if start_ns >= EPOCH_NS else 0


def set_start(file: Any, start_ns: int) -> None:
    """Set the start time of an open MDF file, in UTC."""
    file.header.abs_time, file.header.tz_offset, file.header.daylight_save_time = start_ns, 0, 0
    file.header.time_flags = OFFSETS_VALID


def _frames(file: Any, index: int, name: str, always: int, start_ns: int) -> Trace:
    """One group's frames; fields the recorder left out are zero, direction is text or number."""
    signal = file.get(name, group=index, raw=False)
    samples, n = signal.samples, len(signal.samples)
    prefix = f"{name}."
    fields = {f.removeprefix(prefix): samples[f] for f in samples.dtype.names or () if f.startswith(prefix)}
    identifiers = _numbers(fields, "ID", n)
    bits = np.full(n, int(always), np.int32)
    for field, flag in FLAGS:
        bits |= np.where(_numbers(fields, field, n) != 0, np.int32(flag), np.int32(0))
    bits |= np.where(identifiers >> 31 & 1 != 0, np.int32(FrameBits.EXTENDED), np.int32(0))
    channels = _numbers(fields, "BusChannel", n)
    channels = np.clip(channels - (1 if n and channels.min() > 0 else 0), 0, 255)
    code = np.minimum(_numbers(fields, "DLC", n), 15)
    known = "DataLength" in fields and not always & FrameBits.REMOTE
    lengths = _numbers(fields, "DataLength", n) if known else LENGTHS[code].astype(np.int64)
    lengths = np.clip(lengths, 0, np.where(bits & FrameBits.FD, 64, np.where(known, 64, 8)))
    payloads = _bytes(fields.get("DataBytes"), n)
    relative_ns = np.rint(np.asarray(signal.timestamps, np.float64) * 1e9).astype(np.int64)
    return from_matrix(
        relative_ns + start_ns,
        (identifiers & 0x1FFFFFFF).astype(np.int32),
        bits,
        lengths.astype(np.uint8),
        payloads,
        channels.astype(np.uint8),
        bool(start_ns),
    )


def _numbers(fields: dict[str, NDArray[Any]], name: str, n: int) -> NDArray[np.int64]:
    values = fields.get(name)
    if values is None:
        return np.zeros(n, np.int64)
    if values.dtype.kind in "SU":
        sent = [text.strip().lower() in (b"tx", "tx", b"1", "1") for text in values.tolist()]
        return np.array(sent, np.int64)
    return values.astype(np.int64)


def _bytes(values: NDArray[Any] | None, n: int) -> NDArray[np.uint8]:
    if values is None:
        return np.zeros((n, 0), np.uint8)
    if values.dtype.kind == "S":
        return np.frombuffer(values.tobytes(), np.uint8).reshape(n, values.dtype.itemsize)
    return values.astype(np.uint8).reshape(n, -1)[:, :64]


def bus_groups(trace: Trace, zero_ns: int = 0) -> list[tuple[str, NDArray[np.float64], NDArray[np.void]]]:
    """The frames in the bus logging layout of the standard: (group, times in s since ``zero_ns``, structures) of each kind."""
    fault, remote = trace.bits & FrameBits.ERROR != 0, trace.bits & FrameBits.REMOTE != 0
    out = []
    for (name, _), which in zip(KINDS, (~fault & ~remote, fault, remote & ~fault), strict=True):
        part = trace.select(np.flatnonzero(which))
        if len(part) or name == KINDS[0][0]:
            out.append((name, (part.t_ns - zero_ns) / 1e9, _structures(name, part)))
    return out


def _structures(name: str, trace: Trace) -> NDArray[np.void]:
    fields = [
        "BusChannel:<u1",
        "ID:<u4",
        "IDE:<u1",
        "DLC:<u1",
        "DataLength:<u1",
        "Dir:<u1",
        "EDL:<u1",
        "BRS:<u1",
        "ESI:<u1",
    ]
    layout: list[Any] = [(f"{name}.{field}", code) for field, _, code in (f.partition(":") for f in fields)]
    if name != KINDS[2][0]:
        layout.insert(5, (f"{name}.DataBytes", "<u1", (64,)))
    made = np.zeros(len(trace), layout)
    made[f"{name}.BusChannel"] = np.minimum(trace.channel.astype(np.int64) + 1, 255)
    made[f"{name}.ID"] = trace.id
    made[f"{name}.DLC"] = np.searchsorted(LENGTHS, trace.dlc)
    made[f"{name}.DataLength"] = trace.dlc
    for field, flag in FLAGS:
        made[f"{name}.{field}"] = trace.bits & flag != 0
    if name != KINDS[2][0]:
        made[f"{name}.DataBytes"] = to_matrix(trace)
    return made


def append_bus(file: Any, trace: Trace, zero_ns: int = 0) -> None:
    """Append the frames to an open MDF file as bus logging groups of the channel CAN1."""
    asammdf = library()
    source = asammdf.Source("CAN1", "CAN1", "", BUS_SOURCE, BUS_CAN)
    for name, times, structures in bus_groups(trace, zero_ns):
        file.append(asammdf.Signal(structures, times, "", name, source=source), acq_name="CAN1", acq_source=source)


def write_mf4(trace: Trace, out: Path, on_progress: Progress | None = None) -> None:
    """Write the frames as MF4 with deflated blocks. A trace without absolute time starts at 1970.

    Raises:
        InputError: asammdf is not installed.
    """
    asammdf = library()
    start_s = int(trace.t_ns.min()) // 10**9 if trace.absolute and len(trace) else 0
    with asammdf.MDF(version="4.10") as file:
        set_start(file, start_s * 10**9)
        append_bus(file, trace, start_s * 10**9)
        if on_progress:
            on_progress(0.5)
        file.save(out, overwrite=True, compression=1)
