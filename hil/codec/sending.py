"""When the messages of a simulated node go out: the words of a DBC, the phases that spread load, multiplexed pages.

All of it is planned once, before the first tick; ``hil.codec.restbus`` carries the plan out.

The words are those of ``GenMsgSendType`` and ``GenSigSendType`` as the common attribute templates spell them; case and
punctuation do not count. A message's word and the words of its signals add up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hil.codec.nouns import Message, Signal
from hil.errors import InputError, Problem, nearest

MOST_TICKS = 200_000  # of the common period that phases are planned over; beyond it the plan sees its beginning
MOST_PAGES = 1024

Ints = NDArray[np.int64]


class Send(IntFlag):
    """What makes a message go out."""

    CYCLIC = 1  # its cycle time
    ON_CHANGE = 2  # a raw number that differs from the one sent last
    IF_ACTIVE = 4  # cyclic, only while a raw number differs from its inactive one
    REPEAT = 8  # a change is sent again, GenMsgNrOfRepetition times
    AFTERWARDS = 16  # repetitions once more after the last active value
    IF_TIMED = 32  # cyclic if the message has a cycle time


NOTHING = Send(0)
_CHANGE_CYCLIC = Send.CYCLIC | Send.ON_CHANGE
_ACTIVE_CYCLIC = Send.CYCLIC | Send.IF_ACTIVE

SPELLINGS: Mapping[str, Send] = MappingProxyType(
    {
        "Cyclic": Send.CYCLIC,
        "CyclicX": Send.CYCLIC,
        "Periodic": Send.CYCLIC,
        "FixedPeriodic": Send.CYCLIC,
        "Event": Send.ON_CHANGE,
        "OnEvent": Send.ON_CHANGE,
        "Spontaneous": Send.ON_CHANGE,
        "Spontan": Send.ON_CHANGE,
        "SpontanX": Send.ON_CHANGE,
        "SpontaneousWithDelay": Send.ON_CHANGE,
        "SpontanWithDelay": Send.ON_CHANGE,
        "SpontaneousWithRepetition": Send.ON_CHANGE | Send.REPEAT,
        "SpontanWithRepetition": Send.ON_CHANGE | Send.REPEAT,
        "SpontanWithRepitition": Send.ON_CHANGE | Send.REPEAT,
        "Sporadic": Send.ON_CHANGE,
        "Direct": Send.ON_CHANGE,
        "Triggered": Send.ON_CHANGE,
        "OnWrite": Send.ON_CHANGE | Send.IF_TIMED,
        "OnWriteWithRepetition": Send.ON_CHANGE | Send.REPEAT | Send.IF_TIMED,
        "OnChange": Send.ON_CHANGE | Send.IF_TIMED,
        "OnChangeWithRepetition": Send.ON_CHANGE | Send.REPEAT | Send.IF_TIMED,
        "OnChangeAndIfActive": Send.ON_CHANGE | Send.IF_ACTIVE,
        "OnChangeAndIfActiveWithRepetition": Send.ON_CHANGE | Send.IF_ACTIVE | Send.REPEAT | Send.AFTERWARDS,
        "IfActive": Send.IF_ACTIVE,
        "IfActiveWithRepetition": Send.IF_ACTIVE | Send.AFTERWARDS,
        "CyclicIfActive": Send.IF_ACTIVE,
        "CyclicIfActiveX": Send.IF_ACTIVE,
        "EnabledPeriodic": Send.IF_ACTIVE,
        "CyclicIfActiveFast": _ACTIVE_CYCLIC,
        "CyclicAndIfActive": _ACTIVE_CYCLIC,
        "CyclicIfActiveAndSpontaneous": Send.IF_ACTIVE | Send.ON_CHANGE,
        "CyclicIfActiveAndSpontanWD": Send.IF_ACTIVE | Send.ON_CHANGE,
        "CyclicAndSpontaneous": _CHANGE_CYCLIC,
        "CyclicAndSpontan": _CHANGE_CYCLIC,
        "CyclicAndSpontanX": _CHANGE_CYCLIC,
        "CyclicAndSpontaneousWithDelay": _CHANGE_CYCLIC,
        "CyclicAndSpontanWithDelay": _CHANGE_CYCLIC,
        "CyclicAndOnChange": _CHANGE_CYCLIC,
        "CyclicOnChange": _CHANGE_CYCLIC,
        "CyclicAndOnWrite": _CHANGE_CYCLIC,
        "CyclicAndEvent": _CHANGE_CYCLIC,
        "CyclicEvent": _CHANGE_CYCLIC,
        "EventPeriodic": _CHANGE_CYCLIC,
        "Mixed": _CHANGE_CYCLIC,
        "CyclicAndTriggered": _CHANGE_CYCLIC | Send.REPEAT,
        "NoMsgSendType": NOTHING,
        "NoSigSendType": NOTHING,
        "NotUsed": NOTHING,
        "Reserved": NOTHING,
        "None": NOTHING,
        "vector_leerstring": NOTHING,
    }
)


def _letters(word: str) -> str:
    return "".join(c for c in word.casefold() if c.isalnum())


_BY_LETTERS: Mapping[str, Send] = MappingProxyType({_letters(word): send for word, send in SPELLINGS.items()})


@dataclass(frozen=True, slots=True)
class Sending:
    """How one message goes out; times in ns, 0 = none. ``signals`` has what each of its signals does, by name."""

    send: Send
    period_ns: int
    fast_ns: int  # cycle while active
    repeat_ns: int  # between repetitions
    repetitions: int
    delay_ns: int  # least distance of what is not the plain cycle
    signals: Mapping[str, Send]


def understood(word: str, at: str) -> Send:
    """What a send type means; "" says nothing. Raises InputError with the words that are understood."""
    if not word:
        return NOTHING
    found = _BY_LETTERS.get(_letters(word))
    if found is None:
        expected = "one of " + ", ".join(SPELLINGS)
        raise InputError(
            Problem(f"{at}: unknown send type", expected=expected, found=word, nearest=nearest(word, SPELLINGS) or "")
        )
    return found


def sending(message: Message) -> Sending:
    """Understand the attributes of one message.

    A message of which neither its own word nor a signal's says anything is cyclic when it has a cycle time, else it
    waits to be triggered when its word says so ("NoMsgSendType" and the like).

    Raises:
        InputError: an unknown word; a cyclic message without a cycle time; active or repeated without a time to do it in.
    """
    own = understood(message.send_type, message.name)
    by_signal = {s.name: understood(s.send_type, f"{message.name}.{s.name}") & ~Send.IF_TIMED for s in message.signals}
    spread = _spread(own, by_signal)
    send = own
    for each in spread.values():
        send |= each
    cycle_ns = message.cycle_ns or 0
    if not message.send_type and not send:
        send = Send.CYCLIC
    elif cycle_ns and (not send or send & Send.IF_TIMED):
        send |= Send.CYCLIC
    fast_ns = (message.fast_cycle_ns or cycle_ns) if send & Send.IF_ACTIVE else 0
    if send & Send.CYCLIC and cycle_ns and fast_ns >= cycle_ns:
        fast_ns = 0  # the plain cycle is as fast
    repeats = bool(send & (Send.REPEAT | Send.AFTERWARDS)) and message.repetitions > 0
    repeat_ns = (message.fast_cycle_ns or message.delay_ns or cycle_ns) if repeats else 0
    problems = _without_time(message, send, fast_ns, repeat_ns, repeats)
    if problems:
        raise InputError(problems)
    return Sending(
        send,
        cycle_ns if send & Send.CYCLIC else 0,
        fast_ns,
        repeat_ns,
        message.repetitions if repeats else 0,
        message.delay_ns,
        MappingProxyType(spread),
    )


def _without_time(message: Message, send: Send, fast_ns: int, repeat_ns: int, repeats: bool) -> list[Problem]:
    """What the send type needs and the message does not have."""
    timed = bool(message.cycle_ns)
    problems = []
    if send & Send.CYCLIC and not timed and not send & (Send.ON_CHANGE | Send.IF_ACTIVE):
        expected = "GenMsgCycleTime above 0, a line under restbus.cycles, or the message under restbus.suppress"
        problems.append(Problem(f"{message.name}: has no cycle time", expected=expected))
    if send & Send.IF_ACTIVE and not fast_ns and not timed:
        problems.append(Problem(f"{message.name}: has no cycle time for while it is active"))
    if repeats and not repeat_ns:
        problems.append(Problem(f"{message.name}: repeats, but has no time between", expected="GenMsgCycleTimeFast"))
    return problems


def _spread(own: Send, by_signal: Mapping[str, Send]) -> dict[str, Send]:
    """The message's word on its signals: on those that say the same themselves, else the silent ones, else all."""
    out = dict(by_signal)
    for what, with_it in ((Send.ON_CHANGE, Send.REPEAT), (Send.IF_ACTIVE, Send.AFTERWARDS)):
        if not own & what:
            continue
        saying = [name for name, send in by_signal.items() if send & what]
        silent = [name for name, send in by_signal.items() if not send]
        for name in saying or silent or by_signal:
            out[name] |= own & (what | with_it)
    return out


# --- phases ---


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cyclic message to be placed: its load (bits on the wire per cycle), and its start when that is given."""

    period_ns: int
    load: int
    start_ns: int = 0  # above 0: stays as it is


def load_of(message: Message) -> int:
    """Bits one cycle of it takes on the wire, stuff bits left out: 47 and the payload, 20 more for 29-bit identifiers."""
    return (47 + 20 * message.extended + 8 * message.length) * max(1, message.frames_per_cycle)


def common_ticks(cycles: Sequence[Cycle], tick_ns: int) -> int:
    """Ticks after which the pattern of all cycles comes again, at most ``MOST_TICKS``."""
    common = tick_ns
    for cycle in cycles:
        common = math.lcm(common, cycle.period_ns)
        if common // tick_ns > MOST_TICKS:
            return MOST_TICKS
    return common // tick_ns


def ticks_of(cycle: Cycle, phase_ns: int, tick_ns: int, n: int) -> Ints:
    """The ticks, modulo ``n``, in which a cycle falls due: the first at or after phase + k * period."""
    count = max(1, n * tick_ns // cycle.period_ns)
    due = phase_ns + np.arange(count, dtype=np.int64) * cycle.period_ns
    return -(-due // tick_ns) % n


def phases(cycles: Sequence[Cycle], tick_ns: int) -> list[int]:
    """Phases, ns, that keep the fullest tick of the common period as empty as a greedy choice can.

    Given starts come first; then the shortest cycles and the longest frames choose, each the tick that leaves the fullest
    of its ticks emptiest, then the one with the quietest neighbourhood, then the earliest. Never worse than no phases.
    """
    n = common_ticks(cycles, tick_ns)
    load = np.zeros(n, np.int64)
    out = [cycle.start_ns for cycle in cycles]
    for cycle in cycles:
        if cycle.start_ns:
            np.add.at(load, ticks_of(cycle, cycle.start_ns, tick_ns, n), cycle.load)
    plain = load.copy()
    free = [i for i, cycle in enumerate(cycles) if not cycle.start_ns]
    for i in sorted(free, key=lambda i: (cycles[i].period_ns, -cycles[i].load, i)):
        at_once = ticks_of(cycles[i], 0, tick_ns, n)
        np.add.at(plain, at_once, cycles[i].load)
        shift = _best(load, at_once, max(1, min(n, cycles[i].period_ns // tick_ns)))
        out[i] = shift * tick_ns
        np.add.at(load, (at_once + shift) % n, cycles[i].load)
    if load.max(initial=0) > plain.max(initial=0):
        return [cycle.start_ns for cycle in cycles]
    return out


def _best(load: Ints, at: Ints, shifts: int) -> int:
    """The shift of ``at`` that meets least load: greatest load met, then the load around, then the shift itself."""
    around = load * 2 + np.roll(load, 1) + np.roll(load, -1)
    places = (at[None, :] + np.arange(shifts, dtype=np.int64)[:, None]) % len(load)
    return int(np.lexsort((around[places].sum(axis=1), load[places].max(axis=1)))[0])


# --- pages of a multiplexed message ---


def pages(message: Message, driven: Sequence[str]) -> list[dict[str, int]]:
    """Values of the multiplexers that nothing drives, one dict per frame of a turn: together they bring every signal.

    Of values that bring the same signals, the smallest stands for all. Multiplexers side by side turn together. A message
    without such a multiplexer has one empty page.

    Raises:
        InputError: more than ``MOST_PAGES``.
    """
    made = _pages_below("", message, frozenset(driven), ())
    if len(made) > MOST_PAGES:
        raise InputError(f"{message.name}: a turn of {len(made)} frames, a plan holds {MOST_PAGES}")
    return made


def _pages_below(above: str, message: Message, driven: frozenset[str], path: tuple[str, ...]) -> list[dict[str, int]]:
    """Pages of the multiplexers that hang on ``above`` (of any value when that is driven)."""
    here = [s for s in message.selectors if s.mux_signal == above]
    return _together([_turn(s, message, driven, path) for s in here])


def _turn(selector: Signal, message: Message, driven: frozenset[str], path: tuple[str, ...]) -> list[dict[str, int]]:
    if selector.name in path:
        raise InputError(f"{message.name}.{selector.name}: hangs on itself")
    path = (*path, selector.name)
    if selector.name in driven:
        return _pages_below(selector.name, message, driven, path)
    below = [s for s in message.signals if s.mux_signal == selector.name]
    out: list[dict[str, int]] = []
    for value in _values(selector, below):
        inner = [_turn(s, message, driven, path) for s in below if s.selector and s.brought_by(value)]
        out += [{selector.name: value, **page} for page in _together(inner)]
    return out


def _together(turns: Sequence[list[dict[str, int]]]) -> list[dict[str, int]]:
    """Multiplexers side by side: each goes on by one a frame, the shorter turns begin again."""
    turns = [turn for turn in turns if turn]
    length = max((len(turn) for turn in turns), default=1)
    return [{k: v for turn in turns for k, v in turn[i % len(turn)].items()} for i in range(length)]


def _values(selector: Signal, below: Sequence[Signal]) -> list[int]:
    """One value for each set of signals that comes together, of those that the multiplexer can have."""
    seen: dict[tuple[str, ...], int] = {}
    least, most = selector.raw_range
    cuts = {max(low, least) for s in below for low, _ in s.mux_ranges} | {h + 1 for s in below for _, h in s.mux_ranges}
    for value in sorted(cut for cut in cuts if least <= cut <= most):
        brought = tuple(s.name for s in below if s.brought_by(value))
        if brought:
            seen.setdefault(brought, value)
    return list(seen.values())
