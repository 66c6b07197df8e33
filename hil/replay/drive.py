"""A CAN log sent to the device of another bench, as the vehicle and the other nodes of that log."""

from collections.abc import Collection
from typing import Any

import numpy as np

from hil.kernel import Rows
from hil.ports import Bench
from hil.replay.bench import mute
from hil.replay.judge import LogFrames, append_frames
from hil.tick import FRAMES, FrameBits, Link

OVERHEAD_BITS = 47  # a classic data frame without payload and stuff bits, 11-bit identifier, with intermission
EXTENDED_BITS = 20  # what 29 bits add


class Muting:
    """Takes what the bench sends with certain identifiers off the bus, from the first step on, for a span.

    Another node sends them then. Before it (preparation) and after it the bench speaks for itself.
    """

    def __init__(self, identifiers: Collection[int], span_ns: int) -> None:
        """``span_ns`` counts from the first step of the scenario."""
        self._identifiers = np.array(sorted(identifiers), np.int32)
        self.span_ns = span_ns
        self._line: Any = None

    def follow(self, line: Any) -> None:
        """``line`` is the timeline's state, which knows when the steps began."""
        self._line = line

    def began_ns(self) -> int:
        """When the steps began, -1 = not yet."""
        return -1 if self._line is None else int(self._line["group_t_ns"][1])

    def apply(self, t_ns: int, link: Rows[Link]) -> None:
        """Take the frames out of ``link.tx``."""
        began_ns = self.began_ns()
        if len(self._identifiers) and 0 <= began_ns <= t_ns <= began_ns + self.span_ns:
            mute(np.asarray(link)[0]["tx"], self._identifiers)


class DrivenBench:
    """Implements ``Bench`` around another one: the log's frames go onto its bus from the first step on.

    A frame is handed over a frame's length before it ended in the log; where the bus is busy it comes later. The bench's
    own frames of the muted identifiers are taken out.
    """

    def __init__(self, inner: Bench, frames: LogFrames, muting: Muting, bit_rate: int) -> None:
        """``frames`` are what other nodes sent."""
        self._inner, self._frames, self._muting, self._bit_rate = inner, frames, muting, bit_rate

    def open(self) -> None:
        """Open the bench inside."""
        self._inner.open()

    def read(self, t_ns: int, link: Rows[Link]) -> None:
        """Hand over the frames that are due before ``t_ns`` and let the bench inside live up to it."""
        tx = np.asarray(link)[0]["tx"]
        own, began_ns = int(tx["n"]), self._muting.began_ns()
        if began_ns >= 0:
            frames = self._frames.next_until(t_ns - began_ns, FRAMES - own).copy()
            bits = OVERHEAD_BITS + 8 * frames["dlc"] + EXTENDED_BITS * (frames["bits"] & FrameBits.EXTENDED)
            frames["t_ns"] += began_ns - bits.astype(np.int64) * 1_000_000_000 // self._bit_rate
            append_frames(tx, frames)
        self._inner.read(t_ns, link)
        tx["n"] = own

    def write(self, t_ns: int, link: Rows[Link]) -> None:
        """Send what the bench sends, without what the log sends."""
        self._muting.apply(t_ns, link)
        self._inner.write(t_ns, link)

    def make_safe(self) -> None:
        """Make the bench inside safe."""
        self._inner.make_safe()

    def identity(self) -> dict[str, str]:
        """Who is inside."""
        return self._inner.identity()
