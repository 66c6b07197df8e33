"""The engine: sends planned frames when they are due, and can say of every one what became of it.

Everything that can be done ahead is done in the waits: things to send are made some seconds before they are due, a few
at a time and only while there is time left, so that the moment of sending is a comparison and a call.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from hil.logs.trace import Int64, Trace
from hil.replay.filters import Mask
from hil.replay.lateness import Lateness, Summary
from hil.replay.ports import Answer, Controls, Pacer, ReaderGone, StopAtBreak, Target, keys_of
from hil.replay.schedule import Part

CHUNK = 32  # frames prepared at once: well below a millisecond
AHEAD = 16_384  # frames prepared ahead at most
SLACK_NS = 400_000  # a wait shorter than this is left alone
SLICE_NS = 50_000_000  # longest sleep without looking whether to stop
RETRY_NS = 200_000  # first wait after a full bus; doubles
RETRY_TOP_NS = 10_000_000
NOT_SENT = -1


class Ended(Enum):
    """Why a replay is over."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    BREAKPOINT = "breakpoint"
    QUIT = "quit"
    UNREAD = "nobody reads any more"
    DEAF = "others are not heard any more"


@dataclass(frozen=True, slots=True)
class Marks:
    """Where to stop: ``breaks(part)`` marks frames before which the replay halts; ``every`` halts before each frame."""

    breaks: Callable[[Part], Mask] | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the frames. ``planned`` = sent + suppressed + failed + unsent, always.

    ``left_out``: frames of the logs that were never planned, by reason, for each log once. ``added``: planned frames
    that are not in the logs (duplicates). ``heard``: how many identifiers others have sent.
    ``retries``: attempts repeated because the bus was full.
    """

    ended: Ended
    where: str
    planned: int
    sent: int
    suppressed: dict[str, int]
    failed: dict[str, int]
    unsent: int
    left_out: dict[str, int]
    added: int
    retries: int
    heard: int
    duration_ns: int
    turns: int
    lateness: Summary

    @property
    def adds_up(self) -> bool:
        """Every planned frame is accounted for exactly once."""
        known = self.sent + sum(self.suppressed.values()) + sum(self.failed.values()) + self.unsent
        return self.planned == known


@dataclass(slots=True)
class _Chunk:
    """A few frames ready to go; plain lists, because the loop reads them one at a time."""

    part: Part
    first: int
    due_ns: Int64
    due: list[int]
    items: Any
    keys: list[int]
    halt: list[bool] | None
    sent: list[int] = field(default_factory=list)


class _Feed:
    """Makes chunks of parts, ahead of time as far as the player allows."""

    def __init__(
        self,
        parts: Iterator[Part],
        target: Target,
        marks: Marks,
        touch: Callable[[Trace, bool], Trace] | None,
    ) -> None:
        self._parts, self._target, self._marks, self._touch = parts, target, marks, touch
        self._part: Part | None = None
        self._next = 0
        self._halts: Mask | None = None
        self._ready: deque[_Chunk] = deque()
        self._ahead = 0
        self._over = False
        self.planned = self.turns = 0
        self.left_out: Counter[str] = Counter()
        self.added = 0

    @property
    def hungry(self) -> bool:
        """There is more to prepare and room for it."""
        return not self._over and self._ahead < AHEAD

    def fill(self) -> None:
        """Prepare as far ahead as there is room."""
        while self.hungry:
            self.more()

    def more(self) -> None:
        """Prepare one chunk."""
        while self._part is None or self._next >= len(self._part.plan.due_ns):
            self._part = next(self._parts, None)
            if self._part is None:
                self._over = True
                return
            self._open(self._part)
            if not len(self._part.plan.due_ns):
                return  # whoever asks may look at the clock between empty parts
        self._ready.append(self._chunk(self._part, self._next))
        self._next += CHUNK
        self._ahead += len(self._ready[-1].due)

    def _open(self, part: Part) -> None:
        self._next = 0
        self.planned += len(part.plan.due_ns)
        self.added += part.plan.added
        self.turns = max(self.turns, part.turn + 1)
        if part.turn == 0:
            self.left_out.update(part.plan.left_out)
        self._halts = self._marks.breaks(part) if self._marks.breaks is not None else None

    def _chunk(self, part: Part, first: int) -> _Chunk:
        which = slice(first, first + CHUNK)
        frames = part.plan.trace.select(which)
        if self._touch is not None:
            frames = self._touch(frames, first == 0)
        due_ns = part.plan.due_ns[which] + part.offset_ns
        items = self._target.prepare(frames, due_ns)
        halt = self._halts[which].tolist() if self._halts is not None else None
        due = due_ns.tolist()
        return _Chunk(part, first, due_ns, due, items, keys_of(frames), halt, [NOT_SENT] * len(due))

    def take(self) -> _Chunk | None:
        """The next chunk, made now if need be; None at the end."""
        while not self._ready and not self._over:
            self.more()
        if not self._ready:
            return None
        chunk = self._ready.popleft()
        self._ahead -= len(chunk.due)
        return chunk


class _Stop(Exception):
    """The replay ends before its last frame."""

    def __init__(self, ended: Ended, where: str) -> None:
        super().__init__(ended)
        self.ended, self.where = ended, where


@dataclass(slots=True)
class Player:
    """Sends parts to a target at a pacer's times.

    ``suppress_heard``: identifiers that others send are left to them; when they are not heard any more the replay ends.
    ``retry_for_ns``: how long a frame is offered again to a full bus before it counts as failed. ``touch`` has the last
    word on the frames' bytes; it gets them in order, a few at a time, and whether they begin a log. ``on_progress`` gets
    the replay time and the frames sent, now and then. ``stop`` is asked often; True ends the replay cleanly.
    """

    target: Target
    pacer: Pacer
    lateness: Lateness = field(default_factory=Lateness)
    suppress_heard: bool = False
    retry_for_ns: int = 1_000_000_000
    marks: Marks = field(default_factory=Marks)
    controls: Controls = field(default_factory=StopAtBreak)
    touch: Callable[[Trace, bool], Trace] | None = None
    on_progress: Callable[[int, int], None] | None = None
    stop: Callable[[], bool] = lambda: False
    _suppressed: Counter[str] = field(default_factory=Counter)
    _failed: Counter[str] = field(default_factory=Counter)
    _sent: int = 0
    _retries: int = 0
    _blocked: bool = False
    _stepping: bool = False

    def play(self, parts: Iterator[Part]) -> Report:
        """Send everything; returns when the last frame is sent, a stop was asked for, or a breakpoint ends it.

        ``pacer`` is started here, after the first seconds have been prepared. Each player plays once.
        """
        feed = _Feed(parts, self.target, self.marks, self.touch)
        feed.fill()
        self._stepping = self.marks.every
        ended, where = Ended.DONE, ""
        self.pacer.restart(0)
        try:
            while (chunk := feed.take()) is not None:
                try:
                    self._send_chunk(chunk, feed)
                finally:
                    self._account(chunk)
            self.target.flush()
        except ReaderGone:
            ended = Ended.UNREAD
        except _Stop as stopped:
            ended, where = stopped.ended, stopped.where
        except KeyboardInterrupt:
            ended = Ended.INTERRUPTED
        return self._report(ended, where, feed)

    def _send_chunk(self, chunk: _Chunk, feed: _Feed) -> None:
        now_ns, send, due, sent, items = self.pacer.now_ns, self.target.send, chunk.due, chunk.sent, chunk.items
        looking = self.suppress_heard or chunk.halt is not None or self.marks.every
        heard = self.target.heard()
        for i, due_ns in enumerate(due):
            if now_ns() < due_ns:
                self._wait(due_ns, feed)
            elif i == 0 and self.stop():
                raise _Stop(Ended.INTERRUPTED, self._place(chunk, i))
            if looking:
                self._halt(chunk, i)
                if self.suppress_heard:
                    if self.target.deaf:
                        raise _Stop(Ended.DEAF, self._place(chunk, i))
                    if chunk.keys[i] in heard:
                        self._suppressed["heard live"] += 1
                        continue
            try:
                send(items[i])
            except ReaderGone:
                raise
            except OSError as error:
                if not self._again(items[i], error):
                    continue
            else:
                self._blocked = False
            sent[i] = now_ns()

    def _wait(self, due_ns: int, feed: _Feed) -> None:
        """Until ``due_ns``: prepare while there is plenty of time, look whether to stop, sleep."""
        now_ns = self.pacer.now_ns
        while feed.hungry and due_ns - now_ns() > SLACK_NS:
            feed.more()
        while True:
            left_ns = due_ns - now_ns()
            if left_ns > SLACK_NS:
                if self.stop():
                    raise _Stop(Ended.INTERRUPTED, "")
                if self.on_progress is not None:
                    self.on_progress(due_ns - left_ns, self._sent)
            if left_ns <= SLICE_NS:
                break
            self.pacer.sleep_until(due_ns - left_ns + SLICE_NS)
        self.pacer.sleep_until(due_ns)

    def _again(self, item: Any, error: OSError) -> bool:
        """Offer a frame again to a bus without room; True when it went in the end, else it is counted as failed.

        After one frame that never went, the next ones get one try each until the bus takes something again: a bus that
        is gone must not cost the whole waiting time per frame.
        """
        until_ns = self.pacer.now_ns() + (0 if self._blocked else self.retry_for_ns)
        pause_ns = RETRY_NS
        while isinstance(error, BlockingIOError) and self.pacer.now_ns() < until_ns and not self.stop():
            self.pacer.sleep_until(self.pacer.now_ns() + pause_ns)
            pause_ns = min(2 * pause_ns, RETRY_TOP_NS)
            self._retries += 1
            try:
                self.target.send(item)
            except ReaderGone:
                raise
            except OSError as next_error:
                error = next_error
            else:
                self._blocked = False
                return True
        self._blocked = True
        self._failed[str(error) or type(error).__name__] += 1
        return False

    def _halt(self, chunk: _Chunk, index: int) -> None:
        """Ask what to do before this frame, if it is one to stop at; the replay's time stands still meanwhile."""
        is_break = chunk.halt is not None and chunk.halt[index]
        if not (self._stepping or is_break):
            return
        place = self._place(chunk, index)
        self.target.flush()
        answer = self.controls.ask(place)
        if answer is Answer.QUIT:
            raise _Stop(Ended.BREAKPOINT if is_break else Ended.QUIT, place)
        self._stepping = answer is Answer.STEP
        self.pacer.restart(chunk.due[index])

    def _place(self, chunk: _Chunk, index: int) -> str:
        at = chunk.first + index
        trace = chunk.part.plan.trace
        payload = trace.payload(at).hex(" ").upper()
        frame = f"id 0x{int(trace.id[at]):X} [{int(trace.dlc[at])}] {payload}".rstrip()
        return f"frame {int(chunk.part.plan.origin[at]) + 1} of log {chunk.part.log + 1}, {chunk.due[index] / 1e9:.6f} s, {frame}"

    def _account(self, chunk: _Chunk) -> None:
        sent = np.array(chunk.sent, np.int64)
        went = sent != NOT_SENT
        self._sent += int(np.count_nonzero(went))
        self.lateness.add(chunk.due_ns[went], sent[went])

    def _report(self, ended: Ended, where: str, feed: _Feed) -> Report:
        gone = self._sent + sum(self._suppressed.values()) + sum(self._failed.values())
        return Report(
            ended,
            where,
            feed.planned,
            self._sent,
            dict(self._suppressed),
            dict(self._failed),
            feed.planned - gone,
            dict(feed.left_out),
            feed.added,
            self._retries,
            len(self.target.heard()),
            self.pacer.now_ns(),
            feed.turns,
            self.lateness.summary(),
        )
