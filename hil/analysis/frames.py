"""The raw frames of a record as the trace of a log, and from there to bus logs (.blf, .asc)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hil.logs.blf.write import write_blf
from hil.logs.trace import Trace, from_matrix
from hil.logs.write import write_text
from hil.records.reader import Record
from hil.tick import FrameBits

Progress = Callable[[float], None]


def trace_of(record: Record) -> Trace:
    """The frames in order of time, without those that a receive fault took away: the bench has not seen them."""
    seen = record.frames[(record.frames["bits"] & FrameBits.LOST) == 0]
    frames = np.take(seen, np.argsort(seen["t_ns"], kind="stable"))
    return from_matrix(
        frames["t_ns"].astype(np.int64),
        frames["id"].astype(np.int32),
        frames["bits"].astype(np.int32),
        frames["dlc"].astype(np.uint8),
        np.asarray(frames["payload"], np.uint8).reshape(len(frames), -1),
        np.zeros(len(frames), np.uint8),
    )


def to_blf(record: Record, out: Path, progress: Progress) -> None:
    """Binary logging format, nanoseconds kept exactly; t = 0 is the start of the run."""
    write_blf(trace_of(record), out, progress)


def to_asc(record: Record, out: Path, progress: Progress) -> None:
    """ASCII log; the format has microseconds. The date in it is 1970-01-01: a record knows no wall clock."""
    write_text(trace_of(record), out, ".asc", on_progress=progress)
