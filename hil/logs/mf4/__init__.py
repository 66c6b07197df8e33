"""Bus logging groups of ASAM MDF 4: their layout, and writing them through asammdf, whole groups as arrays."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.logs.trace import Trace, to_matrix
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
BUS_EVENT = 2  # flag of a channel group: events of a bus
NO_FRAMES = ("CAN_Overload", "LIN_", "FLX_", "MOST_", "ETH_", "KLINE_", "USB_", "GB_")  # events that are no CAN frames
OFFSETS_VALID = 2  # time flag: UTC, and the offsets to local time are known


def library() -> Any:
    """The module asammdf. Raises InputError with the command that installs it when it is not there."""
    try:
        importlib.import_module("can")  # asammdf brings a stand-in of that name unless the real one is there first
        return importlib.import_module("asammdf")
    except ImportError as error:
        message = "writing MF4 needs the package asammdf: pip install 'cellbench[export]'"
        raise InputError(Problem(message, found=str(error))) from error


def set_start(file: Any, start_ns: int) -> None:
    """Set the start time of an open MDF file, in UTC."""
    file.header.abs_time, file.header.tz_offset, file.header.daylight_save_time = start_ns, 0, 0
    file.header.time_flags = OFFSETS_VALID


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


FRAGMENT = 1 << 18  # bytes of a deflated block: a flipped bit costs one block and no more


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
        file.configure(write_fragment_size=FRAGMENT)
        set_start(file, start_s * 10**9)
        append_bus(file, trace, start_s * 10**9)
        if on_progress:
            on_progress(0.5)
        file.save(out, overwrite=True, compression=1)
