"""Targets that need no bus: nowhere, a log file, a text stream; and one that spreads channels over several."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, TextIO

import numpy as np

from hil.logs import text_write
from hil.logs.trace import Int64, Trace, concat
from hil.replay.ports import ReaderGone, Target

NOBODY: frozenset[int] = frozenset()


class _Alone:
    """A target that is no bus: nobody else sends there."""

    def heard(self) -> AbstractSet[int]:
        """Nobody else is there."""
        return NOBODY

    @property
    def deaf(self) -> str:
        """Never: there is nobody to hear."""
        return ""


class Nowhere(_Alone):
    """Takes everything: a replay that is only planned and counted."""

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[Any]:
        """Nothing to make."""
        return range(len(frames))

    def send(self, item: Any) -> None:
        """Gone."""

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


class Collecting(_Alone):
    """Keeps the frames sent, in their order, as a trace with the times they were due; ``keep`` gets it at the end.

    ``zero_ns`` is added to all times; ``absolute`` says that they then count from 1970.
    """

    def __init__(self, keep: Callable[[Trace], None], zero_ns: int = 0, absolute: bool = False) -> None:
        self._keep, self._zero_ns, self._absolute = keep, zero_ns, absolute
        self._pieces: list[tuple[Trace, Int64]] = []
        self._sent: list[list[bool]] = []

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[tuple[list[bool], int]]:
        """A place to tick off for each frame."""
        flags = [False] * len(frames)
        self._pieces.append((frames, due_ns))
        self._sent.append(flags)
        return [(flags, i) for i in range(len(frames))]

    def send(self, item: tuple[list[bool], int]) -> None:
        """Tick it off."""
        item[0][item[1]] = True

    def flush(self) -> None:
        """Everything is kept at the end."""

    def trace(self) -> Trace:
        """What was sent so far."""
        parts = []
        for (frames, due_ns), flags in zip(self._pieces, self._sent, strict=True):
            parts.append(_compact(frames, due_ns + self._zero_ns, np.array(flags, bool), self._absolute))
        return concat(parts)

    def close(self) -> None:
        """Hand the trace over."""
        self._keep(self.trace())


def _compact(frames: Trace, t_ns: Int64, sent: Any, absolute: bool) -> Trace:
    """The frames that were sent, with only the payload words they need."""
    mine = frames.select(sent)
    counts = (mine.dlc.astype(np.int64) + 7) // 8
    ends = np.cumsum(counts)
    at = ends - counts
    total = int(ends[-1]) if len(ends) else 0
    words = np.zeros(total + 2, np.uint64)
    if total:
        words[:total] = frames.words[np.repeat(mine.at - at, counts) + np.arange(total)]
    return Trace(t_ns[sent], mine.id, mine.bits, mine.dlc, mine.channel, at, words, absolute)


class CandumpText(_Alone):
    """Writes candump lines (``(12.345678) can0 123#DEADBEEF R``) to a text stream, times from the start of the replay.

    Lines are those of a written ``.log``: with directions, and with ns where times have them.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[str]:
        """The lines, complete."""
        timed = _compact(frames, due_ns, np.ones(len(frames), bool), False)
        _, line, _ = text_write.candump(timed, 0)
        return [line(row) for row in text_write.rows(timed)]

    def send(self, item: str) -> None:
        """Write one line.

        Raises:
            ReaderGone: nobody reads the stream any more.
            OSError: the stream does not take it.
        """
        try:
            self._stream.write(item)
        except BrokenPipeError as error:
            raise ReaderGone(*error.args) from error

    def flush(self) -> None:
        """Push it all out. Raises like ``send``."""
        try:
            self._stream.flush()
        except BrokenPipeError as error:
            raise ReaderGone(*error.args) from error

    def close(self) -> None:
        """Push it all out, if there is still a reader; the stream belongs to whoever opened it."""
        with suppress(BrokenPipeError):
            self._stream.flush()


class Spread:
    """Sends each channel to a target of its own, everything else to ``rest``."""

    def __init__(self, by_channel: Mapping[int, Target], rest: Target) -> None:
        self._by_channel, self._rest = dict(by_channel), rest
        self._all = list({id(target): target for target in (*self._by_channel.values(), rest)}.values())

    def prepare(self, frames: Trace, due_ns: Int64) -> Sequence[tuple[Target, Any]]:
        """Each frame with its target."""
        out: list[tuple[Target, Any]] = [(self._rest, None)] * len(frames)
        owners = [self._by_channel.get(c, self._rest) for c in frames.channel.tolist()]
        for target in self._all:
            mine = np.array([owner is target for owner in owners], bool)
            if not mine.any():
                continue
            items = target.prepare(frames.select(mine), due_ns[mine])
            for place, item in zip(np.flatnonzero(mine).tolist(), items, strict=True):
                out[place] = (target, item)
        return out

    def send(self, item: tuple[Target, Any]) -> None:
        """To the target it was prepared for."""
        item[0].send(item[1])

    def flush(self) -> None:
        """All of them."""
        for target in self._all:
            target.flush()

    def heard(self) -> AbstractSet[int]:
        """What was heard anywhere; a view that stays up to date."""
        return _Union([target.heard() for target in self._all])

    @property
    def deaf(self) -> str:
        """Of those that are, why."""
        return "; ".join(target.deaf for target in self._all if target.deaf)

    def close(self) -> None:
        """All of them, even if one fails. Raises OSError of the first that did."""
        failures: list[OSError] = []
        for target in self._all:
            try:
                target.close()
            except OSError as error:
                failures.append(error)
        if failures:
            raise failures[0]


class _Union(AbstractSet[int]):
    """Several growing sets seen as one."""

    def __init__(self, sets: Sequence[AbstractSet[int]]) -> None:
        self._sets = sets

    def __contains__(self, key: object) -> bool:
        return any(key in one for one in self._sets)

    def __iter__(self) -> Any:
        return iter(set().union(*(list(s) for s in self._sets)))

    def __len__(self) -> int:
        return len(set().union(*(list(s) for s in self._sets)))
