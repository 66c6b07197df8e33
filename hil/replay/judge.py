"""A CAN log before the checks: its frames become ``reported.*`` tick by tick; all that a log cannot hold stays unknown."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from hil.checks import automaton
from hil.checks.watch import CheckState
from hil.codec import decode
from hil.engine import Params, keep
from hil.kernel import Floats, Rows, dtype_of, kernel, view, zeros
from hil.logs.trace import Trace
from hil.replay.payloads import payload_rows
from hil.scenario import timeline
from hil.tick import CELLS, COLUMNS, FRAMES, TEMPS, Frame, FrameBits, Link, Node

BLOCK = 1 << 15  # frames laid out at once
SENT = int(FrameBits.SENT)


class LogState:
    """What changes while a log is judged."""

    row: Annotated[Floats, COLUMNS]
    codec: decode.CodecState
    timeline: timeline.TimelineState
    checks: CheckState


@kernel
def log_tick(states: Rows[LogState], fixed: Rows[Params], links: Rows[Link], k: int) -> int:
    """One tick of a log: receive, decode, judge; how many checks were decided."""
    s, p, link = states[0], fixed[0], links[0]
    t_ns = k * p.dt_ns
    row = s.row
    keep(link)
    row[p.col_time_run] = t_ns * 1e-9
    row[p.col_time_lateness] = 0.0
    row[p.col_time_frames_lost] = 0.0
    decode.decode(s.codec, p.codec, t_ns, link.rx, row)
    timeline.at(s.timeline, p.timeline, t_ns, row)
    return automaton.step(s.checks, p.checks, t_ns, row)


class LogFrames:
    """The frames of a log in order of time, handed out in pieces; times count from the first frame, or ``zero_ns``.

    ``late`` counts frames handed out after their own tick because more ended in it than a tick holds: they keep their
    own times.
    """

    def __init__(self, trace: Trace, source: Node = Node.DUT, zero_ns: int | None = None) -> None:
        """``source`` is who the frames are said to come from; ``zero_ns`` is the log's time that counts as 0."""
        order = np.argsort(trace.t_ns, kind="stable")
        self._trace = trace.select(order)
        first_ns = int(self._trace.t_ns[0]) if len(trace) else 0
        self.zero_ns = first_ns if zero_ns is None else zero_ns
        self._t_ns = self._trace.t_ns - self.zero_ns
        self._source = int(source)
        self._next = self._first = 0
        self._block = np.zeros(0, dtype_of(Frame))
        self.late = 0

    @property
    def done(self) -> bool:
        """True when all frames were handed out."""
        return self._next >= len(self._t_ns)

    @property
    def given(self) -> int:
        """How many frames were handed out so far."""
        return self._next

    @property
    def end_ns(self) -> int:
        """Time of the last frame."""
        return int(self._t_ns[-1]) if len(self._t_ns) else 0

    def next_until(self, t_ns: int, most: int = FRAMES) -> NDArray[np.void]:
        """The next frames up to and including ``t_ns`` (from the log's first), at most ``most``."""
        first, room = self._next, most
        due = int(np.searchsorted(self._t_ns, t_ns, "right"))
        last = min(due, first + room)
        self.late += due - last
        self._next = last
        if last > self._first + len(self._block) or first < self._first:
            self._first = first
            self._block = laid_out(self._trace.select(slice(first, first + BLOCK)), self.zero_ns, self._source)
        return self._block[first - self._first : last - self._first]


def laid_out(trace: Trace, zero_ns: int, source: int) -> NDArray[np.void]:
    """The frames of a trace as the link holds them, sent by the recorder or not; only data frames have a payload."""
    out = np.zeros(len(trace), dtype_of(Frame))
    out["t_ns"], out["id"], out["bits"] = trace.t_ns - zero_ns, trace.id, trace.bits & ~SENT
    out["dlc"], out["source"] = trace.dlc, source
    out["payload"] = payload_rows(trace, np.arange(len(trace)))
    return out


class LogBench:
    """Implements ``Bench`` from a log: frames come in, nothing is measured, nothing goes out."""

    def __init__(self, frames: LogFrames, name: str) -> None:
        """``name`` stands for the device in records and reports: nobody knows which one the log is of."""
        self._frames, self._name = frames, name

    def open(self) -> None:
        """Nothing to claim."""

    def read(self, t_ns: int, link: Rows[Link]) -> None:
        """The frames that ended up to ``t_ns``."""
        put_frames(np.asarray(link)[0]["rx"], self._frames.next_until(t_ns))

    def write(self, t_ns: int, link: Rows[Link]) -> None:
        """Nothing is there to be driven."""

    def make_safe(self) -> None:
        """Nothing is energised."""

    def identity(self) -> dict[str, str]:
        """The log's name."""
        return {"log": self._name}


def put_frames(into: Any, frames: NDArray[np.void]) -> None:
    """Make a ``Frames`` record hold exactly these."""
    into["n"] = len(frames)
    into["slot"][: len(frames)] = frames


def log_state(line: Any, checks: Any) -> Rows[LogState]:
    """The start: nothing heard, the timeline's and the checks' own start."""
    made = zeros(LogState)
    s = np.asarray(made)[0]
    s["row"][:] = np.nan
    s["timeline"], s["checks"] = np.asarray(line)[0], np.asarray(checks)[0]
    return made


def unknown_link() -> Rows[Link]:
    """A link on which nothing is measured."""
    made = zeros(Link)
    seen = view(made).instruments
    seen.cell_voltage_v = np.full(CELLS, np.nan)
    seen.temperature_degc = np.full(TEMPS, np.nan)
    for name in (
        "pack_current_a",
        "pack_voltage_v",
        "link_voltage_v",
        "coolant_temperature_degc",
        "supply_v",
        "gas_pressure_pa",
        "bus_load",
    ):
        seen[name] = np.nan
    return made


def append_frames(into: Any, frames: NDArray[np.void]) -> None:
    """Append frames to a ``Frames`` record that has room for them."""
    n = int(into["n"])
    into["slot"][n : n + len(frames)] = frames
    into["n"] = n + len(frames)
