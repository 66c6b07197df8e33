"""How late frames were: per frame, as percentiles, and against a limit. No offset is taken out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hil.logs.trace import Int64

EXACT = 4_000_000  # frames whose lateness is kept one by one; beyond, in bins
BIN_NS = 1_000
BINS = 1_000_000  # up to 1 s; later still counts in the last bin
SHARES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Summary:
    """Lateness of ``n`` frames in ns; None without frames. ``over`` counts those later than ``limit_ns``."""

    n: int
    p50_ns: int | None
    p99_ns: int | None
    p99_9_ns: int | None
    max_ns: int | None
    limit_ns: int | None
    over: int

    @property
    def within(self) -> bool:
        """No frame was later than the limit, or there is none."""
        return self.over == 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, times in microseconds."""
        made: dict[str, Any] = {"frames": self.n}
        for name in ("p50", "p99", "p99_9", "max", "limit"):
            value = getattr(self, f"{name}_ns")
            made[f"{name}_us"] = None if value is None else value / 1e3
        made["over_limit"] = self.over
        made["within_limit"] = None if self.limit_ns is None else self.within
        return made


class Lateness:
    """Collects the time each frame was sent against the time it was due, both in ns of the replay."""

    def __init__(self, limit_ns: int | None = None) -> None:
        self._limit_ns = limit_ns
        self._kept: list[Int64] = []
        self._bins = np.zeros(0, np.int64)
        self._n = self._in_list = self._over = 0
        self._max_ns: int | None = None

    def add(self, due_ns: Int64, sent_ns: Int64) -> None:
        """Take in frames that were sent."""
        if not len(due_ns):
            return
        late = np.asarray(sent_ns, np.int64) - np.asarray(due_ns, np.int64)
        self._n += len(late)
        top = int(late.max())
        self._max_ns = top if self._max_ns is None else max(self._max_ns, top)
        if self._limit_ns is not None:
            self._over += int(np.count_nonzero(late > self._limit_ns))
        self._kept.append(late)
        self._in_list += len(late)
        if self._in_list > EXACT:
            self._fold()

    def per_frame(self) -> Int64:
        """Lateness of each frame in the order sent; of a very long replay, of the last ones only."""
        return np.concatenate(self._kept) if self._kept else np.zeros(0, np.int64)

    def _fold(self) -> None:
        """From single values to bins, which are good to 1 us."""
        if not len(self._bins):
            self._bins = np.zeros(BINS, np.int64)
        places = np.clip(self.per_frame() // BIN_NS, 0, BINS - 1)
        self._bins += np.bincount(places, minlength=BINS)
        self._kept.clear()
        self._in_list = 0

    def summary(self) -> Summary:
        """Percentiles by nearest rank: the smallest lateness that this share of the frames does not exceed."""
        p50_ns, p99_ns, p99_9_ns = self._ranked() if self._n else (None, None, None)
        return Summary(self._n, p50_ns, p99_ns, p99_9_ns, self._max_ns, self._limit_ns, self._over)

    def _ranked(self) -> list[int | None]:
        if len(self._bins):
            if self._kept:
                self._fold()
            seen = np.cumsum(self._bins)
            places = [np.searchsorted(seen, int(np.ceil(share * self._n))) for share in SHARES]
            return [min(int(place + 1) * BIN_NS, self._max_ns or 0) for place in places]
        ordered = np.sort(self.per_frame())
        return [int(ordered[int(np.ceil(share * self._n)) - 1]) for share in SHARES]
