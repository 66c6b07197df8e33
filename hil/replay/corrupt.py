"""Faults put into a replay on purpose: protection broken in exactly one way, frames lost or sent twice by seed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from hil.codec.e2e import E2eTable, table
from hil.codec.e2e.corrupt import Corruption, corrupt
from hil.codec.e2e.crc import counter_of
from hil.codec.e2e.plan import Protection
from hil.codec.mapping import E2e
from hil.codec.nouns import Database
from hil.errors import InputError, Problem, about, nearest
from hil.kernel import Floats, Rows, kernel, uniform
from hil.logs.trace import Int64
from hil.replay.filters import Ids, Mask, parse_rules, wanted
from hil.replay.payloads import frame_records, payload_rows, with_payloads
from hil.replay.rewrite import Span, frames_of, parse_span
from hil.replay.schedule import Plan
from hil.tick import Frame
from hil.units import parse_quantity

KINDS: Mapping[str, Corruption] = MappingProxyType(
    {
        "crc": Corruption.CRC,
        "counter-stuck": Corruption.STUCK,
        "counter-jump": Corruption.JUMP,
        "data-id": Corruption.DATA_ID,
        "stale": Corruption.REPEAT,
    }
)
DROP, DUPLICATE = 0, 1  # streams of chance
_FAULT = re.compile(r"\s*([\w-]+)\s*:\s*([\w*?]+)\s*(?:@\s*(.+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Broken:
    """One corruption of one protected message in a span of log time."""

    kind: Corruption
    line: Protection
    span: Span


def parse_broken(text: str, e2e: E2e | None) -> Broken:
    """``crc|counter-stuck|counter-jump|data-id|stale:Message`` with optional ``@FROM..TO``.

    Raises:
        InputError: not of that form, no e2e file, a message it does not protect, or one without what is to be broken.
    """
    what = f"--corrupt {text!r}"
    matched = _FAULT.fullmatch(text)
    if matched is None or matched[1] not in KINDS:
        close = nearest(text.partition(":")[0], KINDS) or ""
        raise InputError(Problem(what, expected=f"{'|'.join(KINDS)}:Message[@FROM..TO]", nearest=close))
    if e2e is None:
        raise InputError(Problem(what, expected="--e2e, to know how the message is protected"))
    line = e2e.of(matched[2])
    if line is None:
        close = nearest(matched[2], (name for name, _ in e2e.protections)) or ""
        raise InputError(Problem(f"{what}: {matched[2]} is not protected", nearest=close))
    kind = KINDS[matched[1]]
    if kind in (Corruption.STUCK, Corruption.JUMP) and not line.counter_length:
        raise InputError(Problem(f"{what}: the message has no counter"))
    if kind is Corruption.DATA_ID and not line.uses_data_id():
        raise InputError(Problem(f"{what}: the protection has no data id"))
    return Broken(kind, line, parse_span(matched[3], what) if matched[3] else Span())


@kernel
def _corrupt_all(t: Rows[E2eTable], frames: Rows[Frame], kind: int, argument: int) -> int:
    for i in range(len(frames)):
        corrupt(frames[i], t[0].config[0], kind, argument)
    return len(frames)


@kernel
def _first_counter(t: Rows[E2eTable], frames: Rows[Frame]) -> int:
    return counter_of(frames[0], t[0].config[0])


def break_protection(plan: Plan, broken: Sequence[Broken]) -> tuple[Plan, int]:
    """Apply corruptions in the order given; returns the plan and how many frames were corrupted.

    A stuck counter stands at that of the span's first frame; a jump goes one further than the receiver takes as good,
    for all frames of the span; another data id is the right one with its lowest bit inverted; stale frames repeat the span's
    first payload.
    """
    trace, count = plan.trace, 0
    for one in broken:
        line = one.line
        which = frames_of(trace, line.id, line.extended)
        which = which[one.span.covers(plan.log_ns[which]) & (trace.dlc[which].astype(np.int64) >= line.length)]
        if not len(which):
            continue
        count += len(which)
        if one.kind is Corruption.REPEAT:
            first = payload_rows(trace, which[:1])
            trace = with_payloads(trace, which, np.repeat(first, len(which), axis=0))
            continue
        frames, protection = frame_records(trace, which), table([line])
        _corrupt_all(protection, frames, int(one.kind), _argument(one, protection, frames))
        trace = with_payloads(trace, which, np.asarray(frames)["payload"])
    return replace(plan, trace=trace), count


def _argument(one: Broken, protection: Rows[E2eTable], frames: Rows[Frame]) -> int:
    if one.kind is Corruption.STUCK:
        return int(_first_counter(protection, frames))
    if one.kind is Corruption.JUMP:
        return one.line.max_delta + 1
    return one.line.data_id ^ 1


@dataclass(frozen=True, slots=True)
class Chance:
    """What share of the frames of ``rules`` (none: of all) is hit."""

    share: float
    rules: tuple[tuple[bool, Ids], ...] = ()


def parse_chance(text: str, db: Database | None) -> Chance:
    """``5 %`` or ``IDS:5 %`` with identifiers as in a filter. Raises InputError when it is not, or not 0 to 100 %."""
    ids, colon, share = text.rpartition(":")
    with about(f"share {text!r}"):
        value = parse_quantity(share, "1")
    if not 0.0 <= value <= 1.0:
        raise InputError(Problem(f"share {text!r}", expected="0 % to 100 %", found=share))
    return Chance(value, parse_rules([ids], db) if colon else ())


@kernel
def _draw(seed: int, stream: int, origin: Int64, out: Floats) -> int:
    for i in range(len(out)):
        out[i] = uniform(seed, stream, origin[i], 0)
    return 0


def _hit(plan: Plan, chances: Sequence[Chance], stream: int, seed: int) -> Mask:
    """Frames that are hit; a frame's luck hangs on the seed and its place in the log alone."""
    drawn = np.zeros(len(plan.trace))
    hit = np.zeros(len(plan.trace), bool)
    for index, chance in enumerate(chances):
        _draw(seed, 2 * index + stream, np.ascontiguousarray(plan.origin), drawn)
        hit |= wanted(plan.trace, chance.rules) & (drawn < chance.share)
    return hit


def disturb(plan: Plan, drop: Sequence[Chance], duplicate: Sequence[Chance], seed: int) -> Plan:
    """Leave frames out and send others twice in a row, at the same due time."""
    lost = _hit(plan, drop, DROP, seed)
    twice = _hit(plan, duplicate, DUPLICATE, seed) & ~lost
    if not (lost.any() or twice.any()):
        return plan
    index = np.repeat(np.arange(len(plan.trace)), np.where(lost, 0, np.where(twice, 2, 1)))
    left_out = dict(plan.left_out)
    if lost.any():
        left_out["dropped"] = int(np.count_nonzero(lost))
    return replace(
        plan,
        trace=plan.trace.select(index),
        due_ns=plan.due_ns[index],
        origin=plan.origin[index],
        left_out=left_out,
        added=plan.added + int(np.count_nonzero(twice)),
    )
