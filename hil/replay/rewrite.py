"""Signals rewritten by name, counters and checksums made to fit again.

A counter keeps the steps the log has, lost frames and all; only its place in a message whose contents changed gets a
checksum that fits. Where a replay joins two logs or starts one again, counters are shifted so that they go on
without a jump (``Seams``).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from hil.codec.e2e import MESSAGES, E2eTable, find, protect, read_crc, table
from hil.codec.e2e.crc import counter_of, crc_of
from hil.codec.e2e.plan import Protection
from hil.codec.encode import MODES, Encoder, Mode, is_brought, value_in
from hil.codec.mapping import E2e
from hil.codec.nouns import Database, Message, Signal
from hil.codec.plan import reach_of
from hil.errors import InputError, Problem, about
from hil.kernel import Ints, Rows, kernel
from hil.logs.trace import Int64, Trace
from hil.replay.conditions import value_of
from hil.replay.filters import Mask
from hil.replay.payloads import NO_DATA, frame_records, payload_rows, with_payloads
from hil.replay.schedule import Plan
from hil.tick import Frame, FrameBits
from hil.units import NUMBER, parse_quantity, parse_time_ns

EXTENDED = int(FrameBits.EXTENDED)
CHANGES: Mapping[str, Callable[[float, float], float]] = MappingProxyType(
    {"=": lambda old, new: new, "+=": lambda old, by: old + by, "*=": lambda old, by: old * by}
)
_SET = re.compile(r"\s*([\w]+\.[\w]+)\s*(=|\+=|\*=)\s*([^@]+?)\s*(?:@\s*(.+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Log time since the start of a log's turn: ``start_ns`` <= t < ``stop_ns``; None = to the end."""

    start_ns: int = 0
    stop_ns: int | None = None

    def covers(self, t_ns: Int64) -> Mask:
        """Which times lie in it."""
        inside: Mask = t_ns >= self.start_ns
        return inside if self.stop_ns is None else inside & (t_ns < self.stop_ns)


def parse_span(text: str, what: str) -> Span:
    """``10s..20s``, ``10s..`` or ``..20s``. Raises InputError when it is not of that form or ends before it starts."""
    left, dots, right = text.partition("..")
    if not dots or not (left.strip() or right.strip()):
        raise InputError(Problem(what, expected="FROM..TO such as 10s..20s", found=text))
    with about(what):
        start = parse_time_ns(left) if left.strip() else 0
        stop = parse_time_ns(right) if right.strip() else None
    if start < 0 or (stop is not None and stop <= start):
        raise InputError(Problem(what, expected="an end after its start, from 0 s on", found=text))
    return Span(start, stop)


@dataclass(frozen=True, slots=True)
class Change:
    """One rewrite: ``operator`` is ``=``, ``+=`` or ``*=``, ``value`` in the signal's own unit (a factor for ``*=``)."""

    message: Message
    signal: Signal
    operator: str
    value: float
    span: Span = Span()


def parse_change(text: str, db: Database | None) -> Change:
    """``Message.Signal=VALUE``, ``+=`` or ``*=``, optionally ``@FROM..TO``.

    Raises:
        InputError: not of that form, no DBC, an unknown name, a unit that does not fit, a constant out of range.
    """
    matched = _SET.fullmatch(text)
    if matched is None:
        raise InputError(Problem(f"--set {text!r}", expected="Message.Signal=VALUE, +=VALUE or *=FACTOR"))
    if db is None:
        raise InputError(Problem(f"--set {text!r}", expected="--dbc, to know the signal"))
    message, signal = db.pair(matched[1])
    operator, written = matched[2], matched[3]
    with about(f"--set {text!r}"):
        if operator == "*=":
            plain = re.fullmatch(NUMBER, written)
            value = float(written) if plain else parse_quantity(written, "1")
        else:
            value = value_of(written, signal, difference=operator == "+=")
    span = parse_span(matched[4], f"--set {text!r}") if matched[4] else Span()
    return Change(message, signal, operator, value, span)


def frames_of(trace: Trace, identifier: int, extended: bool) -> Int64:
    """Indexes of the data frames of one identifier."""
    kind = ((trace.bits & EXTENDED) != 0) == extended
    return np.flatnonzero((trace.id == identifier) & kind & ((trace.bits & NO_DATA) == 0))


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A plan after rewriting: which frames changed, and how many lines could not be applied (short or not brought)."""

    plan: Plan
    touched: Mask
    skipped: int


def rewrite(plan: Plan, changes: Sequence[Change], db: Database, mode: Mode = "error") -> Rewritten:
    """Apply changes in the order given.

    Frames too short for a signal, or whose multiplexer does not bring it, stay as they are and are counted.

    Raises:
        InputError: with ``mode`` "error", a value out of the signal's range, with the frame's place in the log.
    """
    touched = np.zeros(len(plan.trace), bool)
    encoder, skipped = Encoder(db), 0
    for change in changes:
        which = frames_of(plan.trace, change.message.id, change.message.extended)
        which = which[change.span.covers(plan.log_ns[which])]
        fits = plan.trace.dlc[which].astype(np.int64) >= reach_of(change.signal)
        skipped += int(np.count_nonzero(~fits))
        which = which[fits]
        if not len(which):
            continue
        rows = payload_rows(plan.trace, which)
        distinct, first, place = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        place = place.reshape(-1)
        changed = np.zeros(len(distinct), bool)
        for i in np.argsort(first).tolist():  # in the order of the log, so that an error names the first frame
            payload = distinct[i].tobytes()
            if not is_brought(change.message, change.signal, payload):
                continue
            changed[i] = True
            try:
                distinct[i] = np.frombuffer(_changed(change, payload, encoder, mode), np.uint8)
            except InputError as error:
                where = f"frame {int(plan.origin[which[first[i]]]) + 1}"
                raise InputError([replace(p, message=f"{where}: {p.message}") for p in error.problems]) from error
        mine = changed[place]
        skipped += int(np.count_nonzero(~mine))
        touched[which[mine]] = True
        plan = replace(plan, trace=with_payloads(plan.trace, which[mine], distinct[place[mine]]))
    return Rewritten(plan, touched, skipped)


def _changed(change: Change, payload: bytes, encoder: Encoder, mode: Mode) -> bytes:
    value = CHANGES[change.operator](value_in(payload, change.signal), change.value)
    return encoder.encode(change.message.name, {change.signal.name: value}, payload, mode)


@kernel
def _fit(t: Rows[E2eTable], frames: Rows[Frame], numbered: int) -> int:
    """Make checksums fit; ``numbered`` >= 0: count anew from there, else counters stay. Returns the next counter."""
    cfg = t[0].config[0]
    for i in range(len(frames)):
        if numbered < 0:
            protect(frames[i], cfg, counter_of(frames[i], cfg))
        else:
            protect(frames[i], cfg, numbered)
            numbered = 0 if numbered >= cfg.counter_max else numbered + 1
    return numbered


def repair(plan: Plan, touched: Mask, e2e: E2e, renumber: bool = False) -> Plan:
    """Checksums fit again in every touched frame of a protected message.

    ``renumber``: every frame of a protected message counts, from 0 and without gaps, touched or not.
    """
    trace = plan.trace
    for line in e2e.lines():
        which = frames_of(trace, line.id, line.extended)
        which = which[trace.dlc[which].astype(np.int64) >= line.length]
        if not renumber:
            which = which[touched[which]]
        if len(which):
            frames = frame_records(trace, which)
            _fit(table([line]), frames, 0 if renumber and line.counter_length else -1)
            trace = with_payloads(trace, which, np.asarray(frames)["payload"])
    return replace(plan, trace=trace)


@kernel
def _join(t: Rows[E2eTable], frames: Rows[Frame], last: Ints, offset: Ints, fresh: Ints) -> int:
    """Shift counters by each message's offset, which a fresh message gets from its first frame; returns frames changed.

    A frame whose checksum does not fit is meant to be so and stays as it is.
    """
    changed = 0
    for i in range(len(frames)):
        index = find(t[0], frames[i])
        if index < 0:
            continue
        cfg = t[0].config[index]
        if frames[i].dlc < cfg.length or cfg.counter.width == 0 or read_crc(frames[i], cfg) != crc_of(frames[i], cfg):
            continue
        counter, size = counter_of(frames[i], cfg), cfg.counter_max + 1
        if fresh[index]:
            fresh[index] = 0
            offset[index] = 0 if last[index] < 0 else (last[index] + 1 - counter) % size
        last[index] = (counter + offset[index]) % size
        if offset[index]:
            protect(frames[i], cfg, last[index])
            changed += 1
    return changed


class Seams:
    """Counters go on where one log ends and the next begins; use ``touch`` as the player's last word."""

    def __init__(self, lines: Iterable[Protection]) -> None:
        """``lines`` are the protected messages of the logs.

        Raises:
            InputError: more than a table holds.
        """
        mine = list(lines)
        if len(mine) > MESSAGES:
            raise InputError(Problem(f"{len(mine)} protected messages in the logs", expected=f"at most {MESSAGES}"))
        self._ids = np.array([line.id for line in mine], np.int32)
        self._table = table(mine)
        self._last = np.full(MESSAGES, -1, np.int64)
        self._offset, self._fresh = np.zeros(MESSAGES, np.int64), np.ones(MESSAGES, np.int64)

    def touch(self, frames: Trace, begins: bool) -> Trace:
        """The frames with counters that follow those before; ``begins``: a log starts with them."""
        if begins:
            self._fresh[:] = 1
        which = np.flatnonzero(np.isin(frames.id, self._ids) & ((frames.bits & NO_DATA) == 0))
        if not len(which):
            return frames
        records = frame_records(frames, which)
        if not _join(self._table, records, self._last, self._offset, self._fresh):
            return frames
        return with_payloads(frames, which, np.asarray(records)["payload"])


def mode_of(text: str) -> Mode:
    """One of ``MODES``. Raises InputError for any other text."""
    if text not in MODES:
        raise InputError(Problem("out of range", expected=", ".join(MODES), found=text))
    return text
