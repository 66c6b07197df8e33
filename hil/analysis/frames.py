"""The raw frames of a record for other tools: bus logs (.blf, .asc) and the bus group of an MDF file."""

import math
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.records.reader import Record
from hil.tick import FrameBits

Progress = Callable[[float], None]
BUS_FRAME = np.dtype(
    [
        ("CAN_DataFrame.BusChannel", "<u1"),
        ("CAN_DataFrame.ID", "<u4"),
        ("CAN_DataFrame.IDE", "<u1"),
        ("CAN_DataFrame.DLC", "<u1"),
        ("CAN_DataFrame.DataLength", "<u1"),
        ("CAN_DataFrame.DataBytes", "(64,)u1"),
        ("CAN_DataFrame.Dir", "<u1"),
        ("CAN_DataFrame.EDL", "<u1"),
        ("CAN_DataFrame.BRS", "<u1"),
        ("CAN_DataFrame.ESI", "<u1"),
    ]
)
"""The bus logging layout of ASAM MDF: one structure a frame."""


def on_the_bus(record: Record) -> NDArray[np.void]:
    """The frames in order of time, without those that a receive fault took away: the bench has not seen them."""
    seen: NDArray[np.void] = record.frames[(record.frames["bits"] & FrameBits.LOST) == 0]
    order = np.argsort(seen["t_ns"], kind="stable")
    return np.take(seen, order)


def truncating_seconds(t_ns: int) -> float:
    """Seconds from which a writer that computes ``int(s * 1e9)`` gets back exactly ``t_ns``."""
    seconds = t_ns / 1e9
    while int(seconds * 1e9) < t_ns:
        seconds = math.nextafter(seconds, math.inf)
    return seconds


def messages(frames: NDArray[np.void], progress: Progress) -> Iterator[Any]:
    """The frames as messages of the CAN library."""
    import can

    for i, frame in enumerate(frames.tolist()):
        t_ns, identifier, bits, dlc, _, payload = frame
        if i % 4096 == 0:
            progress(i / len(frames))
        yield can.Message(
            timestamp=truncating_seconds(t_ns),
            arbitration_id=identifier & 0x1FFFFFFF,
            is_extended_id=bool(bits & FrameBits.EXTENDED),
            is_error_frame=bool(bits & FrameBits.ERROR),
            is_fd=bool(bits & FrameBits.FD),
            bitrate_switch=bool(bits & FrameBits.BITRATE_SWITCH),
            is_rx=not bits & FrameBits.SENT,
            data=bytes(bytearray(payload[:dlc])),
            channel=0,
        )


def to_blf(record: Record, out: Path, progress: Progress) -> None:
    """Binary logging format, nanoseconds kept exactly; t = 0 is the start of the run."""
    import can

    with can.BLFWriter(str(out)) as writer:
        writer.start_timestamp = 0.0
        for message in messages(on_the_bus(record), progress):
            writer.on_message_received(message)


def to_asc(record: Record, out: Path, progress: Progress) -> None:
    """ASCII log; the format has microseconds. The date in it is a fixed one: a record knows no wall clock."""
    import can

    text = StringIO()
    writer = can.ASCWriter(text)
    for message in messages(on_the_bus(record), progress):
        if not writer.header_written:
            writer.log_event("Start of run", 0.0)
        writer.on_message_received(message)
    text.write("End TriggerBlock\n")
    date = "Thu Jan 01 00:00:00.000 1970"
    lines = text.getvalue().splitlines()
    for i, line in enumerate(lines[:6]):
        for start in ("date ", "Begin Triggerblock "):
            if line.startswith(start):
                lines[i] = start + date
    out.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\r\n")


def bus_samples(record: Record) -> tuple[NDArray[np.float64], NDArray[np.void]]:
    """Times in s and the structures of the bus logging layout; error frames are left out, they carry no data."""
    frames = on_the_bus(record)
    frames = frames[(frames["bits"] & FrameBits.ERROR) == 0]
    bits, made = frames["bits"], np.zeros(len(frames), BUS_FRAME)
    made["CAN_DataFrame.BusChannel"] = 1
    made["CAN_DataFrame.ID"] = frames["id"]
    made["CAN_DataFrame.IDE"] = bits & FrameBits.EXTENDED > 0
    made["CAN_DataFrame.DLC"] = _length_codes(frames["dlc"])
    made["CAN_DataFrame.DataLength"] = frames["dlc"]
    made["CAN_DataFrame.DataBytes"] = frames["payload"]
    made["CAN_DataFrame.Dir"] = bits & FrameBits.SENT > 0
    made["CAN_DataFrame.EDL"] = bits & FrameBits.FD > 0
    made["CAN_DataFrame.BRS"] = bits & FrameBits.BITRATE_SWITCH > 0
    return frames["t_ns"] / 1e9, made


def _length_codes(lengths: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Data length codes 0..15 of payload lengths 0..64 (ISO 11898-1)."""
    return np.searchsorted([*range(9), 12, 16, 20, 24, 32, 48, 64], lengths)
