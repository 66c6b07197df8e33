"""End-to-end protection of messages, on frames in place: counter and checksum out, judgement and supervision in.

What a checksum runs over is in ``hil.codec.e2e.crc``; how a protection becomes a record in ``hil.codec.e2e.plan``.
Source of states and counter rules: AUTOSAR "E2E Protocol Specification", profile check functions.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated

import numpy as np

from hil.codec import bits
from hil.codec.e2e.crc import E2eConfig, Field, counter_of, covered, crc_of, plain_crc
from hil.codec.e2e.plan import Place, Protection, fill_config
from hil.errors import InputError
from hil.kernel import I32, I64, Rows, kernel, view, zeros
from hil.tick import Frame, FrameBits

__all__ = [
    "MESSAGES",
    "E2eConfig",
    "E2eState",
    "E2eStatus",
    "E2eTable",
    "Place",
    "Protection",
    "check",
    "configs",
    "counter_of",
    "crc_of",
    "fill_table",
    "find",
    "next_counter",
    "protect",
    "supervise",
    "table",
]

MESSAGES = 256  # protected messages a table can hold
UNUSABLE = int(FrameBits.LOST | FrameBits.ERROR)
EXTENDED = int(FrameBits.EXTENDED)


class E2eStatus(IntEnum):
    """What the receiver of a protected message knows after one frame, or after a silence."""

    OK = 0  # valid, and new: the counter moved by 1..max_delta, or it is the first frame, or there is no counter
    REPEATED = 1  # valid, but the counter stands
    WRONG_SEQUENCE = 2  # valid, but the counter jumped; the next frame is judged from here
    ERROR = 3  # checksum wrong, counter out of range, data id or length in the payload wrong, or too short
    NO_NEW_DATA = 4  # not a frame of this message, or lost on the way; or none came for the timeout


class E2eState:
    """What a receiver remembers of one message; all zero at the start."""

    heard: I32  # 1 = a valid frame has come
    counter: I64  # of the last valid frame
    judged: I32  # 1 = a frame of this message has come, valid or not
    status: I32  # E2eStatus of the last one
    seen_ns: I64  # its end
    good_ns: I64  # end of the last frame that was OK; meaningful once one was heard


class E2eTable:
    """All protected messages of a bus, ``n`` valid."""

    n: I64
    config: Annotated[Rows[E2eConfig], MESSAGES]


def fill_table(record: E2eTable, protections: Iterable[Protection]) -> None:
    """Write the protections into a table (a view of one record).

    Raises:
        InputError: more than ``MESSAGES``.
        ValueError: one cannot be (``hil.codec.e2e.plan.refusals``).
    """
    lines = list(protections)
    if len(lines) > MESSAGES:
        raise InputError(f"{len(lines)} protected messages, a table holds {MESSAGES}")
    record.n = len(lines)
    for index, line in enumerate(lines):
        fill_config(record.config[index], line)


def table(protections: Iterable[Protection]) -> Rows[E2eTable]:
    """A table of its own, for those who have no codec parameters (faults, a BMS)."""
    made = zeros(E2eTable)
    fill_table(view(made), protections)
    return made


def configs(protections: Iterable[Protection]) -> Rows[E2eConfig]:
    """One record for each protection, as many as there are: for those who look messages up themselves (replay).

    Raises:
        ValueError: one cannot be (``hil.codec.e2e.plan.refusals``).
    """
    lines = list(protections)
    made = zeros(E2eConfig, len(lines))
    for index, line in enumerate(lines):
        fill_config(np.asarray(made)[index], line)
    return made


@kernel
def find(t: E2eTable, frame: Frame) -> int:
    """Index of the frame's message in the table, -1 when it is not protected."""
    extended = 1 if frame.bits & EXTENDED else 0
    for index in range(t.n):
        if t.config[index].id == frame.id and t.config[index].extended == extended:
            return index
    return -1


@kernel
def next_counter(counter: int, cfg: E2eConfig) -> int:
    """The counter that follows."""
    return 0 if counter >= cfg.counter_max else counter + 1


@kernel
def write_field(frame: Frame, field: Field, value: int) -> None:
    """Write a number into its field; nothing when there is none."""
    bits.pack(frame.payload, field.start, field.width, field.big, value >> field.shift)


@kernel
def _reads(frame: Frame, field: Field, value: int) -> bool:
    """True when the field carries the number, or there is no such field."""
    if field.width == 0:
        return True
    expected = (value >> field.shift) & ((1 << field.width) - 1)
    return bits.unpack(frame.payload, field.start, field.width, field.big, 0) == expected


@kernel
def write_crc(frame: Frame, cfg: E2eConfig, crc: int) -> None:
    """Put a checksum in its place."""
    if cfg.plain:
        frame.payload[cfg.crc_byte] = crc & 0xFF
    else:
        write_field(frame, cfg.crc, crc)


@kernel
def read_crc(frame: Frame, cfg: E2eConfig) -> int:
    """The checksum as the frame carries it."""
    if cfg.plain:
        return int(frame.payload[cfg.crc_byte])
    if cfg.crc.width == 0:
        return 0
    return bits.unpack(frame.payload, cfg.crc.start, cfg.crc.width, cfg.crc.big, 0)


@kernel
def write_counter(frame: Frame, cfg: E2eConfig, counter: int) -> None:
    """Put a counter in its place, as its low bits; nothing when there is none."""
    if cfg.counter_mask:
        rest = int(frame.payload[cfg.counter_byte]) & ~(cfg.counter_mask << cfg.counter_shift)
        frame.payload[cfg.counter_byte] = (rest | ((counter & cfg.counter_mask) << cfg.counter_shift)) & 0xFF
    elif cfg.counter.width > 0:
        bits.pack(frame.payload, cfg.counter.start, cfg.counter.width, cfg.counter.big, counter)


@kernel
def protect(frame: Frame, cfg: E2eConfig, counter: int) -> None:
    """Write the counter, the data id and length where they stand in the payload, and then the checksum.

    A counter out of range is written as its low bits.
    """
    write_counter(frame, cfg, counter)
    if cfg.plain:
        frame.payload[cfg.crc_byte] = plain_crc(frame, cfg) & 0xFF
    else:
        _protect_any(frame, cfg)


@kernel
def _protect_any(frame: Frame, cfg: E2eConfig) -> None:
    write_field(frame, cfg.id_field, cfg.data_id)
    write_field(frame, cfg.length_field, covered(frame, cfg))
    write_crc(frame, cfg, crc_of(frame, cfg))


@kernel
def _valid_any(frame: Frame, cfg: E2eConfig) -> bool:
    if not _reads(frame, cfg.id_field, cfg.data_id) or not _reads(frame, cfg.length_field, covered(frame, cfg)):
        return False
    return read_crc(frame, cfg) == crc_of(frame, cfg)


@kernel
def _step(cfg: E2eConfig, state: E2eState, counter: int) -> int:
    """The status of a valid frame by its counter, which is remembered."""
    delta = counter - state.counter
    if delta < 0:
        delta += cfg.counter_max + 1
    first = state.heard == 0
    state.heard = 1
    state.counter = counter
    if first or cfg.counter.width == 0:
        return E2eStatus.OK.value
    if delta == 0:
        return E2eStatus.REPEATED.value
    if delta > cfg.max_delta:
        return E2eStatus.WRONG_SEQUENCE.value
    return E2eStatus.OK.value


@kernel
def check(frame: Frame, cfg: E2eConfig, state: E2eState) -> int:
    """Judge one received frame (an ``E2eStatus``); remember its counter when it is valid, and when it came."""
    extended = 1 if frame.bits & EXTENDED else 0
    if frame.bits & UNUSABLE or frame.id != cfg.id or extended != cfg.extended:
        return E2eStatus.NO_NEW_DATA.value
    status = E2eStatus.ERROR.value
    counter = counter_of(frame, cfg)
    if frame.dlc >= cfg.length and counter <= cfg.counter_max:
        if cfg.plain:
            valid = int(frame.payload[cfg.crc_byte]) == plain_crc(frame, cfg)
        else:
            valid = _valid_any(frame, cfg)
        if valid:
            status = _step(cfg, state, counter)
    state.judged, state.status, state.seen_ns = 1, status, frame.t_ns
    if status == E2eStatus.OK.value:
        state.good_ns = frame.t_ns
    return status


@kernel
def supervise(state: E2eState, cfg: E2eConfig, t_ns: int) -> int:
    """The status at ``t_ns``: that of the last frame, or NO_NEW_DATA when none came, or none within the timeout.

    A frame exactly as old as the timeout still counts.
    """
    if not state.judged or (cfg.timeout_ns > 0 and t_ns - state.seen_ns > cfg.timeout_ns):
        return E2eStatus.NO_NEW_DATA.value
    return int(state.status)
