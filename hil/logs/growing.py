"""Columns of a trace while it is being read, at a size that grows with the frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.logs.trace import SLACK, Int64, Trace

WORD = 8  # bytes


@dataclass(slots=True, eq=False)
class Growing:
    """Room for the columns of ``Trace``; a reading kernel fills them up to ``n`` frames and ``words`` words.

    ``raw`` are the payload words as little-endian bytes.
    """

    t_ns: Int64
    id: NDArray[np.int32]
    bits: NDArray[np.int32]
    dlc: NDArray[np.uint8]
    channel: NDArray[np.uint8]
    at: Int64
    raw: NDArray[np.uint8]

    @staticmethod
    def of(frames: int, words: int) -> "Growing":
        """Uninitialised columns for so many frames and payload words."""
        return Growing(
            np.empty(frames, np.int64),
            np.empty(frames, np.int32),
            np.empty(frames, np.int32),
            np.empty(frames, np.uint8),
            np.empty(frames, np.uint8),
            np.empty(frames, np.int64),
            np.empty((words + SLACK) * WORD, np.uint8),
        )

    def ensure(self, frames: int, words: int) -> None:
        """Make room for at least so many; what is there stays. Grows by half, so that the work stays linear."""
        if frames > len(self.t_ns):
            wanted = max(frames, len(self.t_ns) * 3 // 2)
            for name in ("t_ns", "id", "bits", "dlc", "channel", "at"):
                getattr(self, name).resize(wanted, refcheck=False)
        size = (words + SLACK) * WORD
        if size > len(self.raw):
            self.raw.resize(max(size, len(self.raw) * 3 // 2), refcheck=False)

    def trace(self, frames: int, words: int, absolute: bool) -> Trace:
        """The trace of the first ``frames`` frames; the room not used is given back."""
        for name in ("t_ns", "id", "bits", "dlc", "channel", "at"):
            getattr(self, name).resize(frames, refcheck=False)
        self.raw.resize((words + SLACK) * WORD, refcheck=False)
        self.raw[words * WORD :] = 0
        packed = self.raw.view("<u8").astype(np.uint64, copy=False)
        return Trace(self.t_ns, self.id, self.bits, self.dlc, self.channel, self.at, packed, absolute)
