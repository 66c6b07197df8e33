"""The engine: sends planned frames when they are due, and can say of every one what became of it.

Everything that can be done ahead is done in the waits: things to send are made some seconds before they are due, a few
at a time and only while there is time left, so that the moment of sending is a comparison and a call.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from hil.logs.trace import Trace
from hil.replay.feed import NOT_SENT, Chunk, Feed, Marks
from hil.replay.lateness import Lateness, Summary
from hil.replay.ports import Answer, Controls, Pacer, ReaderGone, StopAtBreak, Target
from hil.replay.schedule import Part, Totals

SLACK_NS = 400_000  # a wait shorter than this is left alone
SLICE_NS = 50_000_000  # longest sleep without looking whether to stop
RETRY_NS = 200_000  # first wait after a full bus; doubles
RETRY_TOP_NS = 10_000_000


class Ended(Enum):
    """Why a replay is over."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    BREAKPOINT = "breakpoint"
    QUIT = "quit"
    UNREAD = "nobody reads any more"
    DEAF = "others are not heard any more"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the frames. ``planned`` = sent + suppressed + failed + unsent, always.

    ``left_out``: frames of the logs that were never planned, by reason, for each log once. ``added``: planned frames
    that are not in the logs (duplicates, and what is sent once more after a step back). ``heard``: how many identifiers
    others have sent.
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
    the frames sent, now and then, and whether there is time to show them. ``stop`` is asked often; True ends the replay
    cleanly.
    """

    target: Target
    pacer: Pacer
    lateness: Lateness = field(default_factory=Lateness)
    suppress_heard: bool = False
    retry_for_ns: int = 1_000_000_000
    marks: Marks = field(default_factory=Marks)
    controls: Controls = field(default_factory=StopAtBreak)
    touch: Callable[[Trace, bool], Trace] | None = None
    on_progress: Callable[[int, bool], None] | None = None
    stop: Callable[[], bool] = lambda: False
    _suppressed: Counter[str] = field(default_factory=Counter)
    _failed: Counter[str] = field(default_factory=Counter)
    _sent: int = 0
    _retries: int = 0
    _blocked: bool = False
    _stepping: bool = False

    def play(self, parts: Iterator[Part], whole: Totals | None = None) -> Report:
        """Send everything; returns when the last frame is sent, a stop was asked for, or a breakpoint ends it.

        ``whole`` are the totals of all parts; without it parts that were not come to are not in the report.
        ``pacer`` is started here, after the first seconds have been prepared. Each player plays once.
        """
        feed = Feed(parts, self.target, self.marks, self.touch)
        feed.fill()
        self._stepping = self.marks.every
        ended, where = Ended.DONE, ""
        self.pacer.restart(0)
        try:
            chunk, first = feed.take(), 0
            while chunk is not None:
                try:
                    end = self._send_chunk(chunk, first, feed)
                finally:
                    self._account(chunk)
                chunk, first = (feed.take(), 0) if end == len(chunk.due) else feed.back(chunk, end)
            self.target.flush()
        except ReaderGone:
            ended = Ended.UNREAD
        except _Stop as stopped:
            ended, where = stopped.ended, stopped.where
        except KeyboardInterrupt:
            ended = Ended.INTERRUPTED
        return self._report(ended, where, feed, whole or Totals(feed.planned, feed.added, dict(feed.left_out)))

    def _send_chunk(self, chunk: Chunk, first: int, feed: Feed) -> int:
        """Send from ``first`` on; returns how many are behind: all, or those before the frame at which to step back."""
        if self.stop():  # here too, for where frames are close together there is never a wait to ask in
            raise _Stop(Ended.INTERRUPTED, self._place(chunk, first))
        if self.on_progress is not None:
            self.on_progress(self._sent, False)
        now_ns, send, due, sent, items = self.pacer.now_ns, self.target.send, chunk.due, chunk.sent, chunk.items
        looking = self.suppress_heard or chunk.halt is not None or self.marks.every
        heard = self.target.heard()
        for i in range(first, len(due)):
            if now_ns() < due[i]:
                self._wait(due[i], feed)
            if looking:
                if self._halt(chunk, i) is Answer.BACK:
                    return i
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
                if reason := self._again(items[i], error):
                    self._failed[reason] += 1
                    continue
            else:
                self._blocked = False
            sent[i] = now_ns()
        return len(due)

    def _wait(self, due_ns: int, feed: Feed) -> None:
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
                    self.on_progress(self._sent, True)
            if left_ns <= SLICE_NS:
                break
            self.pacer.sleep_until(due_ns - left_ns + SLICE_NS)
        self.pacer.sleep_until(due_ns)

    def _again(self, item: Any, error: OSError) -> str:
        """Offer a frame again to a bus without room; empty when it went in the end, else why it did not.

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
                return ""
        self._blocked = True
        return str(error) or type(error).__name__

    def _halt(self, chunk: Chunk, index: int) -> Answer:
        """Ask what to do before this frame, if it is one to stop at; the replay's time stands still meanwhile."""
        is_break = chunk.halt is not None and chunk.halt[index]
        if not (self._stepping or is_break):
            return Answer.CONTINUE
        place = self._place(chunk, index)
        self.target.flush()
        answer = self.controls.ask(place)
        if answer is Answer.QUIT:
            raise _Stop(Ended.BREAKPOINT if is_break else Ended.QUIT, place)
        self._stepping = answer is not Answer.CONTINUE
        self.pacer.restart(chunk.due[index])
        return answer

    def _place(self, chunk: Chunk, index: int) -> str:
        at = chunk.first + index
        trace = chunk.part.plan.trace
        payload = trace.payload(at).hex(" ").upper()
        frame = f"id 0x{int(trace.id[at]):X} [{int(trace.dlc[at])}] {payload}".rstrip()
        return f"frame {int(chunk.part.plan.origin[at]) + 1} of log {chunk.part.log + 1}, {chunk.due[index] / 1e9:.6f} s, {frame}"

    def _account(self, chunk: Chunk) -> None:
        sent = np.array(chunk.sent, np.int64)
        went = sent != NOT_SENT
        self._sent += int(np.count_nonzero(went))
        self.lateness.add(chunk.due_ns[went], sent[went])
        chunk.sent[:] = [NOT_SENT] * len(sent)

    def _report(self, ended: Ended, where: str, feed: Feed, whole: Totals) -> Report:
        gone = self._sent + sum(self._suppressed.values()) + sum(self._failed.values())
        return Report(
            ended,
            where,
            whole.planned + feed.again,
            self._sent,
            dict(self._suppressed),
            dict(self._failed),
            whole.planned + feed.again - gone,
            whole.left_out,
            whole.added + feed.again,
            self._retries,
            len(self.target.heard()),
            self.pacer.now_ns(),
            feed.turns,
            self.lateness.summary(),
        )
