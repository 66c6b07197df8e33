"""Traces, a target that remembers, and a wall clock that is a number: what the replay's tests stand on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hil.hardware.pacer import WallPacer
from hil.logs.trace import Int64, Trace, from_bytes
from hil.tick import FrameBits

EXT, FD, BRS = int(FrameBits.EXTENDED), int(FrameBits.FD), int(FrameBits.BITRATE_SWITCH)
REMOTE, ERROR, SENT = int(FrameBits.REMOTE), int(FrameBits.ERROR), int(FrameBits.SENT)


def trace_of(rows: Sequence[tuple[int, int, int, bytes]], channels: Sequence[int] | None = None) -> Trace:
    """(t_ns, id, bits, payload) of each frame."""
    t, ids, bits, payloads = zip(*rows, strict=True) if rows else ((), (), (), ())
    return from_bytes(list(t), list(ids), list(bits), list(payloads), None if channels is None else list(channels))


def rows_of(trace: Trace) -> list[tuple[int, int, int, bytes]]:
    return [(int(trace.t_ns[i]), int(trace.id[i]), int(trace.bits[i]), trace.payload(i)) for i in range(len(trace))]


def random_trace(seed: int, n: int, step_ns: int = 100_000, extended: bool = True) -> Trace:
    draw = np.random.default_rng(seed)
    t = np.cumsum(draw.integers(0, step_ns, n))
    bits = draw.integers(0, 2, n) * EXT if extended else np.zeros(n, int)
    ids = np.where(bits > 0, draw.integers(0, 1 << 29, n), draw.integers(0, 0x800, n))
    return from_bytes(t, ids, bits, [draw.bytes(int(k)) for k in draw.integers(0, 9, n)])


@dataclass(eq=False)
class Listing:
    """A target that writes down what came, when its clock showed what; ``trouble`` is raised before each frame."""

    trouble: list[OSError | None] = field(default_factory=list)
    others: set[int] = field(default_factory=set)
    sent: list[tuple[int, int, bytes]] = field(default_factory=list)
    tries: int = 0
    deaf: str = ""

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[Any]:
        return [(int(frames.id[i]), int(frames.bits[i]), frames.payload(i)) for i in range(len(frames))]

    def send(self, item: Any) -> None:
        self.tries += 1
        error = self.trouble.pop(0) if self.trouble else None
        if error is not None:
            raise error
        self.sent.append(item)

    def flush(self) -> None: ...

    def heard(self) -> set[int]:
        return self.others

    def close(self) -> None: ...


class Time:
    """A machine's time that passes only when somebody looks at it or sleeps, and sleeps too long on purpose."""

    def __init__(self, look_ns: int = 700, over_ns: int = 60_000) -> None:
        self.t_ns, self.look_ns, self.over_ns, self.slept = 10**12, look_ns, over_ns, 0

    def now_ns(self) -> int:
        self.t_ns += self.look_ns
        return self.t_ns

    def sleep_s(self, seconds: float) -> None:
        self.slept += 1
        self.t_ns += round(seconds * 1e9) + self.over_ns


def wall_of(time: Time) -> WallPacer:
    return WallPacer(time.now_ns, time.sleep_s)
