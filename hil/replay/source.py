"""What can be replayed: a log of any known format, or a record of this project."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hil.logs.read import read_log
from hil.logs.trace import SLACK, Trace, places
from hil.records.reader import is_record, read
from hil.tick import PAYLOAD, FrameBits

KNOWN_BITS = sum(int(bit) for bit in FrameBits if bit <= FrameBits.ERROR_STATE)


@dataclass(frozen=True, slots=True)
class Source:
    """Frames of one file. ``notes`` tell what of it could not be read; ``whole`` is False when something could not.

    ``unreadable`` counts the pieces of a log that could not be read.
    """

    path: Path
    trace: Trace
    form: str
    notes: tuple[str, ...] = ()
    whole: bool = True
    unreadable: int = 0


def load_source(path: Path, on_progress: Callable[[float], None] | None = None) -> Source:
    """Read a log or the frames of a record.

    Raises:
        InputError: not there, not of a known format, or nothing readable in it.
    """
    if is_record(path):
        record = read(path)
        notes: tuple[str, ...] = () if record.complete else (f"{path}: the record is cut off or damaged",)
        return Source(path, of_record_frames(record.frames), "record", notes, record.complete)
    log = read_log(path, on_progress)
    notes = tuple(f"{path}: {s.where}: {s.what} ({s.amount})" for s in log.skipped[:5])
    if log.unreadable:
        notes = (f"{path}: {log.unreadable} pieces could not be read", *notes)
    return Source(path, log.trace, log.format, notes, not log.unreadable, log.unreadable)


def of_record_frames(frames: "np.ndarray[tuple[int], np.dtype[np.void]]") -> Trace:
    """A trace of packed frame structs, times from the record's zero."""
    dlc = frames["dlc"].astype(np.uint8)
    at, total = places(dlc)
    rows = np.frombuffer(frames["payload"].tobytes(), "<u8").reshape(len(frames), PAYLOAD // 8)
    words = np.zeros(total + SLACK, np.uint64)
    counts = (dlc.astype(np.int64) + 7) // 8
    words[:total] = rows[np.arange(PAYLOAD // 8)[None, :] < counts[:, None]]
    bits = frames["bits"].astype(np.int32) & np.int32(KNOWN_BITS)
    identifiers = frames["id"].astype(np.int32)
    return Trace(frames["t_ns"].astype(np.int64), identifiers, bits, dlc, np.zeros(len(frames), np.uint8), at, words)
