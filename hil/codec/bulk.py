"""A whole log decoded to columns: the plan of ``hil.codec.plan`` run over arrays of frames.

Two passes. The first finds each frame's message and counts the rows of every group; the second goes through the frames in
blocks that fit the cache, sorts a block's frames by group and takes signal by signal in tight loops. Scaling is strict
float64 arithmetic, the same as ``cantools`` does with Python numbers, so values are equal to the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hil.codec import bulk_columns, bulk_groups
from hil.codec.plan import Plan
from hil.errors import InputError, Problem, nearest

MOST_GROUPS = 65535
BLOCK = 16384  # frames; payload words, times and scratch of a block stay in the second-level cache


class Columns(Protocol):
    """What is read of a trace (``hil.logs.trace.Trace``)."""

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """Time of each frame in ns."""
        ...

    @property
    def id(self) -> NDArray[np.int32]:
        """Identifiers."""
        ...

    @property
    def bits(self) -> NDArray[np.int32]:
        """``hil.tick.FrameBits``."""
        ...

    @property
    def dlc(self) -> NDArray[np.uint8]:
        """Payload lengths in bytes."""
        ...

    @property
    def at(self) -> NDArray[np.int64]:
        """Index of each first word in ``words``."""
        ...

    @property
    def words(self) -> NDArray[np.uint64]:
        """Payloads in padded 8-byte words."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A decoded log. Rows of a group are in the order of the trace.

    ``t_ns`` and ``frame`` hold the rows of all groups, those of group g from ``row0[g]`` to ``row0[g + 1]``; ``values``
    holds the columns, that of listed signal s from ``column0[s]``, as long as its group. ``short`` counts frames too
    short for a signal that is always there; what a frame does not reach is NaN, also of multiplexed signals.
    ``unknown`` counts data frames of no known message.
    """

    plan: Plan
    t_ns: NDArray[np.int64]
    frame: NDArray[np.int64]
    values: NDArray[np.float64]
    row0: NDArray[np.int64]
    column0: NDArray[np.int64]
    short: int
    unknown: int

    def column(self, signal: int) -> NDArray[np.float64]:
        """Values of the listed signal of that index."""
        group = self.plan.listed[signal].group
        first = int(self.column0[signal])
        return self.values[first : first + int(self.row0[group + 1] - self.row0[group])]

    def times(self, group: int) -> NDArray[np.int64]:
        """Times of a group's rows in ns."""
        return self.t_ns[self.row0[group] : self.row0[group + 1]]

    def signal(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times in ns and values of ``Message.Signal``.

        Raises:
            InputError: there is none, with the nearest name.
        """
        for index, entry in enumerate(self.plan.listed):
            if name == f"{self.plan.messages[entry.message].name}.{entry.signal.name}":
                return self.times(entry.group), self.column(index)
        close = nearest(name, (f"{self.plan.messages[e.message].name}.{e.signal.name}" for e in self.plan.listed)) or ""
        raise InputError(Problem(f"no signal {name!r}", nearest=close))

    @property
    def tables(self) -> "list[Table]":
        """One table per message and per multiplexed group of it, the empty ones too."""
        return [Table(self, group) for group in range(len(self.plan.group_mux))]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The rows of one group: signals that come with the same frames."""

    decoded: Decoded
    group: int

    @property
    def message(self) -> str:
        """Name of the message."""
        plan = self.decoded.plan
        return plan.messages[int(np.searchsorted(plan.group0, self.group, "right")) - 1].name

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """Time of each row in ns."""
        return self.decoded.times(self.group)

    @property
    def frame(self) -> NDArray[np.int64]:
        """Index in the trace of each row's frame."""
        return self.decoded.frame[self.decoded.row0[self.group] : self.decoded.row0[self.group + 1]]

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Values by signal name."""
        plan = self.decoded.plan
        signals = range(plan.signal0[self.group], plan.signal0[self.group + 1])
        return {plan.listed[s].signal.name: self.decoded.column(s) for s in signals}


class Decoder:
    """Decodes traces with one plan. Its buffers are used again, so a result holds until the next call."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._arrays = bulk_groups.arrays(plan)
        self._scratch = bulk_columns.scratch(plan, BLOCK)
        self._group_of = np.array([entry.group for entry in plan.listed], np.int64)
        self._values = np.empty(0, np.float64)
        self._rows = np.empty((2, 0), np.int64)
        self._message = np.empty(0, np.int16)
        self._widest = bulk_groups.widest(plan)
        self._entries = np.empty((2, 0), np.uint16)  # groups and frames
        if len(plan.group_mux) > MOST_GROUPS:
            raise InputError(f"{len(plan.group_mux)} multiplexed groups, a plan for logs holds {MOST_GROUPS}")

    def decode(self, trace: Columns, on_progress: Callable[[float], None] | None = None) -> Decoded:
        """Decode every data frame of a known message; error, remote and lost frames are passed over.

        ``on_progress`` is told the share done, 0 to 1.
        """
        plan, a, n = self._plan, self._arrays, len(trace.t_ns)
        if len(self._message) < n:
            self._message = np.empty(n, np.int16)
        unknown, multiplexed = bulk_groups.classify(a, trace.id, trace.bits, self._message[:n])
        room = n + multiplexed * (self._widest - 1)
        if self._entries.shape[1] < room:
            self._entries = np.empty((2, room), np.uint16)
        groups, frames = self._entries
        counts, ends = np.zeros(len(plan.group_mux), np.int64), np.zeros(n // BLOCK + 1, np.int64)
        bulk_groups.entries(a, trace.dlc, trace.at, trace.words, self._message, BLOCK, counts, ends, groups, frames)
        row0, column0 = _starts(counts), _starts(counts[self._group_of])
        if len(self._values) < column0[-1]:
            self._values = np.empty(column0[-1], np.float64)
        if self._rows.shape[1] < row0[-1]:
            self._rows = np.empty((2, row0[-1]), np.int64)
        t_ns, frame = self._rows[0, : row0[-1]], self._rows[1, : row0[-1]]
        source = bulk_columns.Source(trace.t_ns, trace.dlc, trace.at, trace.words)
        out = bulk_columns.Output(row0, column0, np.zeros(len(counts), np.int64), t_ns, frame, self._values)
        short = start = 0
        for block, end in enumerate(ends[: -(-n // BLOCK)]):
            entries = bulk_columns.Entries(groups[start:end], frames[start:end])
            short += bulk_columns.fill(a, source, entries, block * BLOCK, out, self._scratch)
            start = end
            if on_progress is not None:
                on_progress(min(n, (block + 1) * BLOCK) / n)
        return Decoded(plan, t_ns, frame, self._values[: column0[-1]], row0, column0, short, unknown)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def decode(plan: Plan, trace: Columns, on_progress: Callable[[float], None] | None = None) -> Decoded:
    """Decode one trace; the result owns its arrays."""
    return Decoder(plan).decode(trace, on_progress)
