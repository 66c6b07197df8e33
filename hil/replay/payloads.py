"""Payloads of many frames at once: as the codec's frame records, as rows of bytes, and back into a trace."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.kernel import Rows, zeros
from hil.logs.trace import SLACK, Int64, Trace
from hil.tick import PAYLOAD, Frame, FrameBits

WORDS = PAYLOAD // 8
NO_DATA = int(FrameBits.ERROR | FrameBits.LOST | FrameBits.REMOTE)


def payload_rows(trace: Trace, which: Int64) -> NDArray[np.uint8]:
    """Payloads of the frames ``which`` (indexes), shape (n, 64), zeros after the end; remote frames have none."""
    counts = (trace.dlc[which].astype(np.int64) + 7) // 8
    counts[(trace.bits[which] & NO_DATA) != 0] = 0
    steps = np.arange(WORDS)
    inside = steps[None, :] < counts[:, None]
    places = np.where(inside, trace.at[which][:, None] + steps[None, :], 0)
    words = np.where(inside, trace.words[places], np.uint64(0)).astype("<u8")
    rows = np.ascontiguousarray(words).view(np.uint8).reshape(len(which), PAYLOAD)
    rows[np.arange(PAYLOAD)[None, :] >= trace.dlc[which].astype(np.int64)[:, None]] = 0
    return rows


def frame_records(trace: Trace, which: Int64) -> Rows[Frame]:
    """The frames ``which`` as records for the kernels of the codec."""
    frames: Any = zeros(Frame, len(which))
    frames["t_ns"], frames["id"] = trace.t_ns[which], trace.id[which]
    frames["bits"], frames["dlc"] = trace.bits[which], trace.dlc[which]
    frames["payload"] = payload_rows(trace, which)
    made: Rows[Frame] = frames
    return made


def with_payloads(trace: Trace, which: Int64, rows: NDArray[np.uint8]) -> Trace:
    """The trace with other payloads for the frames ``which``, lengths as they were; the given trace is left alone."""
    if not len(which):
        return trace
    counts = (trace.dlc[which].astype(np.int64) + 7) // 8
    ends = np.cumsum(counts)
    used = len(trace.words) - SLACK
    words = np.zeros(len(trace.words) + int(ends[-1]), np.uint64)
    words[:used] = trace.words[:used]
    inside = np.arange(WORDS)[None, :] < counts[:, None]
    words[used : used + int(ends[-1])] = np.ascontiguousarray(rows).view("<u8").reshape(len(which), WORDS)[inside]
    at = trace.at.copy()
    at[which] = used + ends - counts
    return replace(trace, at=at, words=words)
