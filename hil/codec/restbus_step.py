"""The rest of the bus: frames the bench sends in the place of real nodes, with counter and CRC, under the tick.

What happens in a tick; ``hil.codec.restbus`` and ``hil.codec.sending`` plan it. Import from ``hil.codec.restbus``.

A cyclic message is due at phase, phase + period, ...; the tick that reaches or passes that instant sends it, once, so
that a late tick never sends a burst. A message that is sent on change goes out in the tick whose row first gives it
another raw number than it sent last, repetitions follow at their own distance. One that is sent while active goes out
when a raw number leaves its inactive one and then at its fast cycle. Whatever is not the plain cycle keeps the least
distance to the frame before; it waits, it is not forgotten.

Values come from ``command.*`` and are rounded to the nearest raw number (halves to even) and held inside the range the
DBC declares for the signal, else inside what its bits hold. Signals without a quantity carry their start value. A
multiplexer with a quantity brings the signals of its value; one without takes turns, a frame each.

A message that another node was heard to send is suppressed: its schedule runs on, its frames stay here.
"""

from typing import Annotated

import numpy as np

from hil.codec import bits, e2e, layout
from hil.codec.e2e import E2eTable
from hil.codec.layout import MESSAGES, SIGNALS, Layout
from hil.codec.sending import Send
from hil.kernel import F64, I32, I64, Floats, Ints, Ints32, Rows, kernel
from hil.tick import FRAMES, FrameBits, Frames, Node

RANGES = 4096  # value ranges of multiplexed signals
TURNS = 4096  # multiplexer values of all pages
SENT = int(FrameBits.SENT)
DEAF = SENT | int(FrameBits.LOST | FrameBits.ERROR | FrameBits.REMOTE)  # such a frame tells of no other sender
BENCH = int(Node.BENCH)
ON_CHANGE, IF_ACTIVE = int(Send.ON_CHANGE), int(Send.IF_ACTIVE)
REPEAT, AFTERWARDS = int(Send.REPEAT), int(Send.AFTERWARDS)
WHOLE, FLOAT, WIDE = 0, 1, 2  # kinds of raw numbers: integer, IEEE 754, unsigned integer of 64 bits
TOP = 9223372036854775808.0  # 2**63


class Source:
    """Where one listed signal comes from: raw = ((row[column] - shift) / scale - offset) / factor.

    Raw numbers are int64 as ``hil.codec.bits`` has them; ``low`` and ``high`` bound the number before it is raw.
    """

    column: I32  # -1 = the signal keeps ``otherwise``
    kind: I32  # WHOLE, FLOAT or WIDE
    send: I32  # hil.codec.sending.Send: what of it makes its message go out
    above: I32  # listed multiplexer that brings it, -1 = always there
    range_first: I32  # the values of that multiplexer, in ``range_low`` and ``range_high``
    range_count: I32
    turn: I32  # a multiplexer that takes turns: its place in a page; else -1
    home: I32  # the first page that brings it
    factor: F64
    offset: F64
    scale: F64
    shift: F64
    low: F64
    high: F64
    lowest: I64  # raw at and below ``low``
    highest: I64
    otherwise: I64  # raw while the quantity is unknown or there is none
    start: I64  # raw that counts as sent before anything was
    inactive: I64


class Rule:
    """When one message goes out. Times in ns, 0 = none."""

    period_ns: I64
    phase_ns: I64
    fast_ns: I64  # cycle while active
    repeat_ns: I64
    delay_ns: I64  # least distance of what is not the plain cycle
    resume_ns: I64  # silence after which a suppressed message is sent again
    repetitions: I32
    send: I32  # Send of all its signals
    frames: I32  # per cycle
    first: I32  # its listed signals
    count: I32
    pages: I32  # of a turn, 1 = it takes none
    page_first: I32  # in ``page_value``
    page_width: I32  # multiplexers that take turns
    protection: I32  # index in ``e2e``, -1 = none
    never: I32  # 1 = suppressed for the whole run


class RestbusParams:
    """The sending side of a bus, lowered to arrays."""

    layout: Layout
    stop_when_heard: I64
    column_suppressed: I64  # where the counts of the tick go, -1 = nowhere
    column_heard: I64
    rule: Annotated[Rows[Rule], MESSAGES]
    source: Annotated[Rows[Source], SIGNALS]
    range_low: Annotated[Ints, RANGES]
    range_high: Annotated[Ints, RANGES]
    page_value: Annotated[Ints, TURNS]
    e2e: E2eTable


class RestbusState:
    """What the sender remembers; all zero at the start."""

    started: I64
    heard_all: I64  # frames of these messages heard from other nodes since the run began
    cycle: Annotated[Ints, MESSAGES]  # number of the next cycle to send
    counter: Annotated[Ints, MESSAGES]  # counter of the next frame
    page: Annotated[Ints, MESSAGES]  # of the next frame
    sent: Annotated[Ints, MESSAGES]  # frames sent (or held back) since the run began
    sent_ns: Annotated[Ints, MESSAGES]  # the last of them
    held: Annotated[Ints, MESSAGES]  # frames held back because the message is suppressed
    asked: Annotated[Ints, MESSAGES]  # 1 = triggered, not sent yet
    left: Annotated[Ints, MESSAGES]  # repetitions to come
    repeat_ns: Annotated[Ints, MESSAGES]  # the next of them
    repeat_page: Annotated[Ints, MESSAGES]
    again: Annotated[Ints, MESSAGES]  # 1 = the change at hand is one that repeats
    active: Annotated[Ints, MESSAGES]
    active_ns: Annotated[Ints, MESSAGES]  # the next frame of the fast cycle
    silent: Annotated[Ints, MESSAGES]  # 1 = suppressed because another node sends it
    heard_ns: Annotated[Ints, MESSAGES]
    raw: Annotated[Ints, SIGNALS]  # of the frame at hand
    there: Annotated[Ints32, SIGNALS]  # 1 = the frame at hand brings it
    last: Annotated[Ints, SIGNALS]  # raw sent last


@kernel
def _raw(source: Source, width: int, row: Floats) -> int:
    value = row[source.column]
    if np.isnan(value):
        return source.otherwise
    scaled = ((value - source.shift) / source.scale - source.offset) / source.factor
    if source.kind == FLOAT:
        return bits.raw_float(min(max(scaled, source.low), source.high), width)
    if scaled <= source.low:
        return source.lowest
    if scaled >= source.high:
        return source.highest
    whole = np.rint(scaled)
    if source.kind == WIDE and whole >= TOP:
        return int(whole - TOP - TOP)
    return int(whole)


@kernel
def _is_brought(s: RestbusState, p: RestbusParams, source: Source) -> int:
    if s.there[source.above] == 0:
        return 0
    value = s.raw[source.above]
    for k in range(source.range_first, source.range_first + source.range_count):
        if p.range_low[k] <= value <= p.range_high[k]:
            return 1
    return 0


@kernel
def _evaluate(s: RestbusState, p: RestbusParams, rule: Rule, page: int, row: Floats) -> None:
    """Raw number and presence of every signal of a message; a multiplexer is listed before what it brings."""
    values = rule.page_first + page * rule.page_width
    for i in range(rule.first, rule.first + rule.count):
        source = p.source[i]
        s.there[i] = _is_brought(s, p, source) if source.above >= 0 else 1
        if source.turn >= 0:
            s.raw[i] = p.page_value[values + source.turn]
        elif source.column < 0:
            s.raw[i] = source.otherwise
        else:
            s.raw[i] = _raw(source, p.layout.cut[i].width, row)


@kernel
def _first_change(s: RestbusState, p: RestbusParams, message: int) -> int:
    """First signal of the page at hand whose change is to be sent, -1 = none; notes whether one of them repeats."""
    rule, found = p.rule[message], -1
    for i in range(rule.first, rule.first + rule.count):
        if p.source[i].send & ON_CHANGE and s.there[i] and s.raw[i] != s.last[i]:
            found = i if found < 0 else found
            if p.source[i].send & REPEAT:
                s.again[message] = 1
    return found


@kernel
def _changed_page(s: RestbusState, p: RestbusParams, message: int, row: Floats) -> int:
    """The page that a change wants sent, -1 when nothing has changed that this frame or another of the turn brings."""
    rule = p.rule[message]
    s.again[message] = 0
    page = s.page[message]
    _evaluate(s, p, rule, page, row)
    if _first_change(s, p, message) >= 0:
        return int(page)
    if rule.pages <= 1:
        return -1
    home = -1
    for i in range(rule.first, rule.first + rule.count):
        if p.source[i].send & ON_CHANGE and s.raw[i] != s.last[i] and p.source[i].home != page:
            home = p.source[i].home
            break
    if home < 0:
        return -1
    _evaluate(s, p, rule, home, row)
    return home if _first_change(s, p, message) >= 0 else -1


@kernel
def _is_active(s: RestbusState, p: RestbusParams, rule: Rule) -> bool:
    for i in range(rule.first, rule.first + rule.count):
        if p.source[i].send & IF_ACTIVE and s.raw[i] != p.source[i].inactive:
            return True
    return False


@kernel
def _send(s: RestbusState, p: RestbusParams, message: int, page: int, t_ns: int, row: Floats, tx: Frames) -> bool:
    """Put one frame into the list, unless the message is suppressed; False when the list is full."""
    rule = p.rule[message]
    suppressed = rule.never or s.silent[message]
    if tx.n >= FRAMES and not suppressed:
        tx.lost += 1
        return False
    _evaluate(s, p, rule, page, row)
    for i in range(rule.first, rule.first + rule.count):
        if s.there[i]:
            s.last[i] = s.raw[i]
    s.sent[message] += 1
    s.sent_ns[message] = t_ns
    if suppressed:
        s.held[message] += 1
        return True
    frame = tx.slot[tx.n]
    layout.begin(p.layout, message, frame)
    frame.t_ns = t_ns
    frame.bits |= SENT
    frame.source = BENCH
    for driven in range(2):  # start values first: where signals overlap, the one with a source stands
        for i in range(rule.first, rule.first + rule.count):
            from_row = p.source[i].column >= 0 or p.source[i].turn >= 0
            if s.there[i] and from_row == (driven == 1) and (driven == 1 or s.raw[i] != 0):
                cut = p.layout.cut[i]
                bits.pack(frame.payload, cut.start, cut.width, cut.big, s.raw[i])
    if rule.protection >= 0:
        config = p.e2e.config[rule.protection]
        e2e.protect(frame, config, s.counter[message])
        s.counter[message] = e2e.next_counter(s.counter[message], config)
    tx.n += 1
    return True


@kernel
def _cycle_is_due(s: RestbusState, rule: Rule, message: int, t_ns: int) -> bool:
    if rule.period_ns <= 0 or t_ns < rule.phase_ns + s.cycle[message] * rule.period_ns:
        return False
    s.cycle[message] = (t_ns - rule.phase_ns) // rule.period_ns + 1
    return True


@kernel
def _follow_active(s: RestbusState, p: RestbusParams, message: int, t_ns: int) -> bool:
    """Whether the message is active; the fast cycle begins when it becomes so, repetitions when it ends."""
    rule = p.rule[message]
    active = bool(rule.send & IF_ACTIVE) and _is_active(s, p, rule)
    if active and not s.active[message]:
        s.active_ns[message] = t_ns
    if s.active[message] and not active and rule.send & AFTERWARDS:
        s.left[message] = rule.repetitions
        s.repeat_ns[message] = t_ns
        s.repeat_page[message] = s.page[message]
    s.active[message] = 1 if active else 0
    return active


@kernel
def _pass_on(s: RestbusState, p: RestbusParams, message: int, page: int, t_ns: int, row: Floats, tx: Frames) -> bool:
    """Send a page; when it was its turn, the turn passes on."""
    if page == s.page[message]:
        s.page[message] = page + 1 if page + 1 < p.rule[message].pages else 0
    return _send(s, p, message, page, t_ns, row, tx)


@kernel
def _step_message(s: RestbusState, p: RestbusParams, message: int, t_ns: int, row: Floats, tx: Frames) -> None:
    rule = p.rule[message]
    plain = _cycle_is_due(s, rule, message, t_ns)
    changed, fast = -1, False
    if rule.send & (ON_CHANGE | IF_ACTIVE):
        changed = _changed_page(s, p, message, row)
        fast = _follow_active(s, p, message, t_ns) and rule.fast_ns > 0
    plain = plain and not fast  # the fast cycle stands in for the plain one
    due = fast and t_ns >= s.active_ns[message]
    repeated = s.left[message] > 0 and t_ns >= s.repeat_ns[message]
    asked = s.asked[message] != 0
    if not plain:
        if not (due or repeated or asked or changed >= 0):
            return
        if s.sent[message] and t_ns < s.sent_ns[message] + rule.delay_ns:
            return
    page = int(s.page[message])
    if not plain and changed >= 0:
        page = changed
    elif not plain and not due and not asked:
        page = int(s.repeat_page[message])
    for _ in range(rule.frames if plain else 1):
        if not _pass_on(s, p, message, page, t_ns, row, tx):
            return
        if repeated and page == s.repeat_page[message]:
            repeated = False
            s.left[message] -= 1
            s.repeat_ns[message] = t_ns + rule.repeat_ns
        if (page == changed and s.again[message]) or (asked and rule.send & REPEAT):
            s.left[message] = rule.repetitions
            s.repeat_ns[message] = t_ns + rule.repeat_ns
            s.repeat_page[message] = page
        asked = False
        s.asked[message] = 0
        page = int(s.page[message])
    if due:
        s.active_ns[message] += ((t_ns - s.active_ns[message]) // rule.fast_ns + 1) * rule.fast_ns


@kernel
def hear(s: RestbusState, p: RestbusParams, rx: Frames) -> None:
    """Notice other nodes that send a message of the bench; its own echo and frames that were lost do not count."""
    for i in range(rx.n):
        frame = rx.slot[i]
        if frame.bits & DEAF or frame.source == BENCH:
            continue
        message = layout.find(p.layout, frame)
        if message < 0:
            continue
        s.heard_all += 1
        s.heard_ns[message] = frame.t_ns
        if p.stop_when_heard:
            s.silent[message] = 1


@kernel
def trigger(s: RestbusState, message: int) -> None:
    """Ask for one frame of a message (its place in ``restbus.sent_messages``) at the next step."""
    s.asked[message] = 1


@kernel
def ask(s: RestbusState, asked: Ints) -> None:
    """Trigger every message that is 1 in ``asked`` (MESSAGES,)."""
    for message in range(MESSAGES):
        if asked[message]:
            trigger(s, message)


@kernel
def step(s: RestbusState, p: RestbusParams, t_ns: int, row: Floats, tx: Frames) -> None:
    """Append the frames that are due at ``t_ns`` to ``tx``; a full list counts them as lost.

    A lost frame of the plain cycle is gone, any other is tried again. Writes the two counts ``restbus.*`` when the
    process image has them.
    """
    if s.started == 0:
        s.started = 1
        for i in range(p.layout.n_signals):
            s.last[i] = p.source[i].start
    suppressed = 0
    for message in range(p.layout.n_messages):
        resume_ns = p.rule[message].resume_ns
        if s.silent[message] and resume_ns > 0 and t_ns - s.heard_ns[message] > resume_ns:
            s.silent[message] = 0
        suppressed += 1 if s.silent[message] or p.rule[message].never else 0
        _step_message(s, p, message, t_ns, row, tx)
    if p.column_suppressed >= 0:
        row[p.column_suppressed] = suppressed
    if p.column_heard >= 0:
        row[p.column_heard] = s.heard_all
