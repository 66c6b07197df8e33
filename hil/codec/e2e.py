"""End-to-end protection: AUTOSAR E2E profile 1, variant 1A (CRC-8 and a counter of 0..14), on frames in place.

The CRC runs over the data id (low byte, high byte), then every byte of the message but the CRC's own, polynomial 0x1D,
initial value and final exclusive-or from the configuration (0 and 0 for profile 1A; the start of 0xFF and the final
exclusive-or of SAE J1850 cancel out in it). Source: AUTOSAR "Specification of SW-C End-to-End Communication Protection
Library", profile 1 (E2E_P01), release 4.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, NamedTuple

from hil.codec import bits
from hil.kernel import I32, I64, Rows, kernel, view, zeros
from hil.tick import Frame, FrameBits

MESSAGES = 64  # protected messages a table can hold
UNUSABLE = int(FrameBits.LOST | FrameBits.ERROR)
EXTENDED = int(FrameBits.EXTENDED)
POLYNOMIAL = 0x1D


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = ((byte << 1) ^ (POLYNOMIAL if byte & 0x80 else 0)) & 0xFF
    return byte


CRC_TABLE = bytes(_crc_of_byte(byte) for byte in range(256))


class E2eStatus(IntEnum):
    """What the receiver of a protected message knows after one frame."""

    OK = 0  # valid, and new: the counter moved by 1..max_delta, or it is the first frame
    REPEATED = 1  # valid, but the counter stands
    WRONG_SEQUENCE = 2  # valid, but the counter jumped; the next frame is judged from here
    ERROR = 3  # CRC wrong, counter out of range, or too short
    NO_NEW_DATA = 4  # not a frame of this message, or lost on the way: nothing learned


class E2eConfig:
    """How one message is protected."""

    id: I32
    extended: I32
    length: I32  # bytes of the message
    crc_byte: I32
    counter_start: I32  # bit, little endian
    counter_length: I32
    counter_max: I32  # last value before 0
    max_delta: I32  # greatest counter step taken as good
    data_id: I32
    init: I32
    xor_out: I32


class E2eState:
    """What a receiver remembers of one message; all zero at the start."""

    heard: I32
    counter: I32  # of the last valid frame


class E2eTable:
    """All protected messages of a bus, ``n`` valid."""

    n: I64
    config: Annotated[Rows[E2eConfig], MESSAGES]


class Protection(NamedTuple):
    """One line of a table, before it is an array; fields as in ``E2eConfig``."""

    id: int
    extended: bool
    length: int
    crc_byte: int
    counter_start: int
    counter_length: int
    counter_max: int
    max_delta: int
    data_id: int
    init: int
    xor_out: int


def fill_table(record: E2eTable, protections: Iterable[Protection]) -> None:
    """Write the protections into a table (a view of one record).

    Raises:
        ValueError: more than ``MESSAGES``.
    """
    lines = list(protections)
    if len(lines) > MESSAGES:
        raise ValueError(f"{len(lines)} protected messages, a table holds {MESSAGES}")
    record.n = len(lines)
    for index, line in enumerate(lines):
        for name, value in line._asdict().items():
            record.config[index][name] = int(value)  # type: ignore[index]  # a numpy record at run time


def table(protections: Iterable[Protection]) -> Rows[E2eTable]:
    """A table of its own, for those who have no codec parameters (faults, a BMS)."""
    made = zeros(E2eTable)
    fill_table(view(made), protections)
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
def _crc_step(crc: int, byte: int) -> int:
    return int(CRC_TABLE[(crc ^ byte) & 0xFF])


@kernel
def crc_of(frame: Frame, cfg: E2eConfig) -> int:
    """The CRC that belongs to the frame as it stands, 0..255."""
    crc = _crc_step(cfg.init, cfg.data_id & 0xFF)
    crc = _crc_step(crc, (cfg.data_id >> 8) & 0xFF)
    for index in range(cfg.length):
        if index != cfg.crc_byte:
            crc = _crc_step(crc, int(frame.payload[index]))
    return crc ^ cfg.xor_out


@kernel
def counter_of(frame: Frame, cfg: E2eConfig) -> int:
    """The counter as the frame carries it."""
    return bits.unpack(frame.payload, cfg.counter_start, cfg.counter_length, 0, 0)


@kernel
def next_counter(counter: int, cfg: E2eConfig) -> int:
    """The counter that follows."""
    return 0 if counter >= cfg.counter_max else counter + 1


@kernel
def protect(frame: Frame, cfg: E2eConfig, counter: int) -> None:
    """Write the counter and then the CRC into the frame. A counter out of range is written as its low bits."""
    bits.pack(frame.payload, cfg.counter_start, cfg.counter_length, 0, counter)
    frame.payload[cfg.crc_byte] = crc_of(frame, cfg)


@kernel
def check(frame: Frame, cfg: E2eConfig, state: E2eState) -> int:
    """Judge one received frame (an ``E2eStatus``) and remember its counter when it is valid."""
    extended = 1 if frame.bits & EXTENDED else 0
    if frame.bits & UNUSABLE or frame.id != cfg.id or extended != cfg.extended:
        return E2eStatus.NO_NEW_DATA.value
    if frame.dlc < cfg.length:
        return E2eStatus.ERROR.value
    counter = counter_of(frame, cfg)
    if counter > cfg.counter_max or int(frame.payload[cfg.crc_byte]) != crc_of(frame, cfg):
        return E2eStatus.ERROR.value
    delta = counter - state.counter
    if delta < 0:
        delta += cfg.counter_max + 1
    first = state.heard == 0
    state.heard = 1
    state.counter = counter
    if first:
        return E2eStatus.OK.value
    if delta == 0:
        return E2eStatus.REPEATED.value
    if delta > cfg.max_delta:
        return E2eStatus.WRONG_SEQUENCE.value
    return E2eStatus.OK.value
