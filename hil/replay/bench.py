"""A recording as a bench: what came in is fed again, tick by tick; what goes out goes nowhere."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import BenchError, InputError, Problem
from hil.image import Table
from hil.kernel import Rows, dtype_of
from hil.records.layout import BLEED, INPUTS, ROOM, SCALARS
from hil.records.reader import Inputs, Record
from hil.tick import EDGES, FRAMES, SWITCHES, Edge, Frame, FrameBits, Link

T_NS, LATE_NS, LOST, STRUCTS, COILS, POLES = range(6)  # words of a tick in ``inputs``
NOT_RECEIVED = int(FrameBits.SENT | FrameBits.FAULT)
BY_FAULT = int(FrameBits.LOST)


class ReplayBench:
    """Implements ``Bench`` from a record that holds ``inputs``.

    Frames come as the bench heard them: what receive faults took away or altered is whole again, and the fault stage
    does it once more.
    """

    def __init__(
        self,
        record: Record,
        tick_ns: int,
        mute_tx: Callable[[int, Rows[Link]], None] | None = None,
        after: BaseException | None = None,
    ) -> None:
        """``mute_tx(t_ns, link)`` takes out of what the bench sends what never reached the bus in the recorded run.

        ``after`` is raised by a read after the last recorded tick.

        Raises:
            InputError: the record has no inputs, has lost ticks, or was made with another tick.
        """
        self._inputs = tape(record, tick_ns)
        self._readings = _readings(record, self._inputs)
        self._identity = dict(record.metadata.get("dut", {}))
        self._after = after or BenchError(f"the record holds {self.ticks} ticks and this run goes on")
        self._mute_tx = mute_tx
        self._dt_ns = tick_ns
        self._cells, self._temps = record.table.cells, record.table.temps
        words = self._inputs.words
        self._edge_at = np.concatenate(([0], np.cumsum(words[:, COILS] + words[:, POLES])))
        self._edges = np.zeros(len(self._inputs.edges), dtype_of(Edge))
        for name in ("t_ns", "wire", "level"):
            self._edges[name] = self._inputs.edges[name]
        self._frames, self._frame_at = _frames(record, words[:, STRUCTS])
        self._bleed = _switches(words[:, BLEED:], self._cells)

    @property
    def ticks(self) -> int:
        """How many ticks can be fed."""
        return len(self._inputs.words)

    def open(self) -> None:
        """Nothing to claim: a recording is always there."""

    def read(self, t_ns: int, link: Rows[Link]) -> None:
        """Fill the inward half of ``link`` with what the record holds for ``t_ns``."""
        k = t_ns // self._dt_ns
        if k >= self.ticks:
            raise self._after
        into: Any = np.asarray(link)[0]
        word = self._inputs.words[k]
        first, last = self._frame_at[k], self._frame_at[k + 1]
        rx = into["rx"]
        rx["n"], rx["lost"] = last - first, word[LOST]
        rx["slot"][: last - first] = self._frames[first:last]
        first = self._edge_at[k]
        for name, n in (("coils", word[COILS]), ("poles", word[POLES])):
            into[name]["n"] = n
            if n:
                into[name]["slot"][:n] = self._edges[first : first + n]
                first += n
        into["bleed"][: self._cells] = self._bleed[k]
        self._read_instruments(t_ns, k, into["instruments"])

    def _read_instruments(self, t_ns: int, k: int, seen: Any) -> None:
        readings = self._readings[k]
        seen["t_ns"] = t_ns
        seen["cell_voltage_v"][: self._cells] = readings[: self._cells]
        seen["temperature_degc"][: self._temps] = readings[self._cells : self._cells + self._temps]
        for name, value in zip(SCALARS, readings[self._cells + self._temps :], strict=True):
            seen[name] = value

    def write(self, t_ns: int, link: Rows[Link]) -> None:
        """Nothing is there to be driven; frames that were muted in the recorded run are taken out of what was sent."""
        if self._mute_tx is not None:
            self._mute_tx(t_ns, link)

    def make_safe(self) -> None:
        """Nothing is energised."""

    def identity(self) -> dict[str, str]:
        """The identity of the device under test of the recorded run."""
        return dict(self._identity)


class RecordedClock:
    """Implements ``Clock``: no tick waits, each is as late as it was when it was recorded."""

    def __init__(self, record: Record, tick_ns: int) -> None:
        """Raises InputError like ``ReplayBench``."""
        self._late_ns = tape(record, tick_ns).words[:, LATE_NS]
        self._dt_ns = tick_ns

    def start(self) -> None:
        """Nothing to fix."""

    def wait(self, t_ns: int) -> int:
        """The recorded lateness in ns; 0 after the record's end."""
        k = t_ns // self._dt_ns
        return int(self._late_ns[k]) if k < len(self._late_ns) else 0


def mute(frames: Any, identifiers: NDArray[np.int32]) -> None:
    """Take the frames with these identifiers out of a ``Frames`` record, in place; the others keep their order."""
    n = int(frames["n"])
    kept = frames["slot"][:n][~np.isin(frames["slot"]["id"][:n], identifiers)]
    frames["slot"][: len(kept)] = kept
    frames["n"] = len(kept)


def tape(record: Record, tick_ns: int) -> Inputs:
    """The inputs of a record, without a gap.

    Raises:
        InputError: none recorded, ticks missing, another tick length, or frames that do not belong to them.
    """
    inputs, path = record.inputs, str(record.path)
    if inputs is None or not len(inputs.words):
        raise InputError(Problem("the record cannot be run again", path, expected=f"a topic {INPUTS!r}"))
    counts = inputs.words[:, [STRUCTS, COILS, POLES]]
    if (counts < 0).any() or (counts > (ROOM, EDGES, EDGES)).any():
        raise InputError(Problem("the record counts more in a tick than a tick holds; it cannot be run again", path))
    times = inputs.words[:, T_NS]
    expected = np.arange(len(times)) * tick_ns
    wrong = np.flatnonzero(times != expected)
    if len(wrong):
        at = int(wrong[0])
        what = "the record has lost ticks and cannot be run again"
        found = f"{times[at] * 1e-9:.6f} s"
        raise InputError(Problem(what, path, expected=f"tick {at} at {expected[at] * 1e-9:.6f} s", found=found))
    if int(inputs.words[:, STRUCTS].sum()) != len(record.frames):
        found = f"{len(record.frames)}, the ticks count {int(inputs.words[:, STRUCTS].sum())}"
        raise InputError(Problem("frames of the record are missing; it cannot be run again", path, found=found))
    if int(inputs.words[:, [COILS, POLES]].sum()) != len(inputs.edges):
        raise InputError(Problem("edges of the record are missing; it cannot be run again", path))
    wires = inputs.edges["wire"]
    if len(wires) and not 0 <= wires.min() <= wires.max() < SWITCHES:
        raise InputError(Problem("an edge of the record is of no known wire; it cannot be run again", path))
    return inputs


def _frames(record: Record, counts: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """The frames heard, as the link holds them, and where each tick's begin."""
    heard = record.frames["bits"] & NOT_RECEIVED == 0
    ticks = np.repeat(np.arange(len(counts)), counts)
    each = np.bincount(ticks[heard], minlength=len(counts))
    if each.max(initial=0) > FRAMES:
        what = "the record brings more frames in a tick than a tick holds; it cannot be run again"
        raise InputError(Problem(what, str(record.path), expected=f"at most {FRAMES}", found=str(each.max())))
    starts = np.concatenate(([0], np.cumsum(each)))
    taken = record.frames[heard]
    out = np.zeros(len(taken), dtype_of(Frame))
    for name in ("t_ns", "id", "dlc", "source", "payload"):
        out[name] = taken[name]
    out["bits"] = taken["bits"].astype(np.int32) & ~BY_FAULT
    return out, starts


def _switches(words: NDArray[np.int64], cells: int) -> NDArray[np.int32]:
    """One column of 0 or 1 per cell from the packed words."""
    packed = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(packed, axis=1, bitorder="little")[:, :cells].astype(np.int32)


def _readings(record: Record, inputs: Inputs) -> NDArray[np.float64]:
    """What the instruments read at every tick: recorded for itself, else the ``measured`` columns, which hold the same."""
    path, expected = str(record.path), record.table.cells + record.table.temps + len(SCALARS)
    if inputs.readings.shape[1]:
        found = inputs.readings
    elif len(record.row_times_ns) != len(inputs.words):
        raise InputError(Problem("full rows of the record are missing; it cannot be run again", path))
    else:
        columns = reading_columns(record.table)
        found = record.rows[:, [c for c in columns if c < record.table.recorded]]
    if found.shape[1] != expected:
        what = "readings of the record are missing; it cannot be run again"
        raise InputError(Problem(what, path, expected=f"{expected} a tick", found=str(found.shape[1])))
    return found


def reading_columns(table: Table) -> list[int]:
    """The columns that hold the instruments' readings, in the order of ``inputs``."""
    names = ("cell_voltage", "temperature", *(name.rsplit("_", 1)[0] for name in SCALARS[:-1]), SCALARS[-1])
    columns: list[int] = []
    for name in names:
        q = table.find(f"measured.{name}")
        if q is None:
            raise InputError(Problem("a record that cannot be run again", expected=f"a quantity measured.{name}"))
        columns += range(q.start, q.start + q.count)
    return columns
