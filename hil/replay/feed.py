"""What is played, made ready in small pieces ahead of time and kept for a while behind, for those who step back."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hil.logs.trace import Int64, Trace
from hil.replay.filters import Mask
from hil.replay.ports import Target, keys_of
from hil.replay.schedule import Part

CHUNK = 32  # frames prepared at once: well below a millisecond
AHEAD = 16_384  # frames prepared ahead at most
BEHIND = 512  # chunks kept to step back into
NOT_SENT = -1


@dataclass(frozen=True, slots=True)
class Marks:
    """Where to stop: ``breaks(part)`` marks frames before which the replay halts; ``every`` halts before each frame."""

    breaks: Callable[[Part], Mask] | None = None
    every: bool = False

    @property
    def asks(self) -> bool:
        """There may be a halt."""
        return self.every or self.breaks is not None


@dataclass(slots=True)
class Chunk:
    """A few frames ready to go; plain lists, because the loop reads them one at a time."""

    part: Part
    first: int
    due_ns: Int64
    due: list[int]
    items: Any
    keys: list[int]
    halt: list[bool] | None
    sent: list[int]


class Feed:
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
        self._ready: deque[Chunk] = deque()
        self._past: deque[Chunk] = deque(maxlen=BEHIND if marks.asks else 0)
        self._ahead = 0
        self._over = False
        self.planned = self.added = self.turns = 0
        self.left_out: Counter[str] = Counter()
        self.again = 0  # frames that are to be sent once more

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

    def _chunk(self, part: Part, first: int) -> Chunk:
        which = slice(first, first + CHUNK)
        frames = part.plan.trace.select(which)
        if self._touch is not None:
            frames = self._touch(frames, first == 0)
        due_ns = part.plan.due_ns[which] + part.offset_ns
        items = self._target.prepare(frames, due_ns)
        halt = self._halts[which].tolist() if self._halts is not None else None
        due = due_ns.tolist()
        return Chunk(part, first, due_ns, due, items, keys_of(frames), halt, [NOT_SENT] * len(due))

    def take(self) -> Chunk | None:
        """The next chunk, made now if need be; None at the end."""
        while not self._ready and not self._over:
            self.more()
        if not self._ready:
            return None
        chunk = self._ready.popleft()
        self._ahead -= len(chunk.due)
        self._past.append(chunk)
        return chunk

    def back(self, chunk: Chunk, index: int) -> tuple[Chunk, int]:
        """The frame before number ``index`` of the chunk taken last; that frame itself at the start and too far back."""
        if index == 0 and len(self._past) < 2:
            return chunk, 0
        self.again += 1
        if index:
            return chunk, index - 1
        self._ready.appendleft(self._past.pop())
        self._ahead += len(chunk.due)
        return self._past[-1], len(self._past[-1].due) - 1
