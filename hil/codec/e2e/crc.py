"""The checksum that belongs to a protected frame: CRCs of 8 to 64 bits, byte sums, nibble sums, exclusive-or.

A checksum runs over some bytes before the payload (data id, length), then the covered bytes of the payload without the
checksum's own bits, then some bytes after it. Sources: AUTOSAR "E2E Protocol Specification" and "Specification of CRC
Routines" (profiles 1 to 22); Williams, "A painless guide to CRC error detection algorithms" (tables, reflection).
"""

from enum import IntEnum
from typing import Annotated

from hil.codec import bits
from hil.kernel import I32, I64, Bytes, Ints, Ints32, kernel
from hil.tick import PAYLOAD, Frame

EXTRA = 8  # bytes beside the payload that a checksum can take in before it, and after it
DATA_IDS = 16  # data ids by counter


class Algorithm(IntEnum):
    """How the bytes become one number."""

    CRC = 0
    SUM = 1  # of bytes
    NIBBLE_SUM = 2  # of half bytes
    XOR = 3
    NONE = 4  # a counter alone


class Extra(IntEnum):
    """One byte that the checksum takes in beside the payload."""

    ID0 = 0  # data id, low byte
    ID1 = 1
    ID2 = 2
    ID3 = 3
    ZERO = 4
    ALTERNATING = 5  # low byte of the data id with an even counter, high byte with an odd one
    LISTED = 6  # the data id of this counter
    LENGTH = 7  # covered length in bytes


CRC, NONE = int(Algorithm.CRC), int(Algorithm.NONE)
NIBBLE_SUM, XOR = int(Algorithm.NIBBLE_SUM), int(Algorithm.XOR)
ID3, ZERO, ALTERNATING = int(Extra.ID3), int(Extra.ZERO), int(Extra.ALTERNATING)
LISTED = int(Extra.LISTED)
LOW_60 = (1 << 60) - 1  # makes a right shift by four of a signed number a logical one
OWN_IDS = -1


class Field:
    """Where a number stands in the payload, as ``hil.codec.bits`` takes it; ``width`` 0 = nowhere."""

    start: I64
    width: I64
    big: I64
    shift: I64  # the number is shifted right by this before it is written


class E2eConfig:
    """How one message is protected. Made by ``hil.codec.e2e.plan.fill_config``."""

    id: I32
    extended: I32
    length: I32  # bytes a frame must have
    algorithm: I32  # Algorithm
    width: I32  # bits of the checksum register
    reflected: I32
    sign: I32  # of a sum: 1 or -1
    plain: I32  # 1 = a CRC-8 in a byte of its own, its extra bytes fixed and before the payload: the fast way is taken
    crc_byte: I32  # of a plain one
    counter_byte: I32  # of a counter inside one byte: that byte, its lowest bit, and its bits from there; mask 0 = none
    counter_shift: I32
    counter_mask: I32
    init: I64
    start: I64  # of a plain one: the register after the bytes before the payload
    xor_out: I64
    mask: I64  # bits of the register
    data_id: I64
    first: I32  # covered payload bytes [first, last); last 0 = to the end of the frame
    last: I32
    skip_from: I32  # the checksum's own bytes, [from, to) are not covered
    skip_to: I32
    n_before: I32
    n_after: I32
    before: Annotated[Ints32, EXTRA]  # Extra
    after: Annotated[Ints32, EXTRA]
    crc: Field
    counter: Field
    id_field: Field
    length_field: Field
    counter_max: I64  # last value before 0
    max_delta: I64  # greatest counter step taken as good
    timeout_ns: I64  # silence after which there is no data any more; 0 = never
    keep: Annotated[Bytes, PAYLOAD]  # bits of each payload byte that are covered
    data_ids: Annotated[Bytes, DATA_IDS]
    by_byte: Annotated[Bytes, 256]  # CRC table of 8 bits
    by_nibble: Annotated[Ints, 16]  # CRC table of more bits


@kernel
def counter_of(frame: Frame, cfg: E2eConfig) -> int:
    """The counter as the frame carries it; 0 when it has none."""
    if cfg.counter_mask:
        return (int(frame.payload[cfg.counter_byte]) >> cfg.counter_shift) & cfg.counter_mask
    if cfg.counter.width == 0:
        return 0
    return bits.unpack(frame.payload, cfg.counter.start, cfg.counter.width, cfg.counter.big, 0)


@kernel
def _crc_step(cfg: E2eConfig, crc: int, byte: int) -> int:
    if cfg.width == 8:
        return int(cfg.by_byte[(crc ^ byte) & 0xFF])
    if cfg.reflected:
        crc = ((crc >> 4) & LOW_60) ^ int(cfg.by_nibble[(crc ^ byte) & 15])
        return ((crc >> 4) & LOW_60) ^ int(cfg.by_nibble[(crc ^ (byte >> 4)) & 15])
    top = cfg.width - 4
    crc = ((crc << 4) & cfg.mask) ^ int(cfg.by_nibble[((crc >> top) ^ (byte >> 4)) & 15])
    return ((crc << 4) & cfg.mask) ^ int(cfg.by_nibble[((crc >> top) ^ byte) & 15])


@kernel
def _absorb(cfg: E2eConfig, register: int, byte: int) -> int:
    """The register after one more byte."""
    if cfg.algorithm == CRC:
        return _crc_step(cfg, register, byte)
    if cfg.algorithm == XOR:
        return register ^ byte
    if cfg.algorithm == NIBBLE_SUM:
        return register + cfg.sign * ((byte & 15) + (byte >> 4))
    return register + cfg.sign * byte


@kernel
def _extra(cfg: E2eConfig, what: int, counter: int, data_id: int, length: int) -> int:
    """One byte beside the payload (an ``Extra``); ``data_id`` stands in for all, OWN_IDS = the message's own."""
    single = cfg.data_id if data_id == OWN_IDS else data_id
    if what <= ID3:
        return (single >> (8 * what)) & 0xFF
    if what == ALTERNATING:
        return (single >> (8 * (counter & 1))) & 0xFF
    if what == LISTED:
        return int(cfg.data_ids[counter & 15]) if data_id == OWN_IDS else data_id & 0xFF
    if what == ZERO:
        return 0
    return length & 0xFF


@kernel
def covered(frame: Frame, cfg: E2eConfig) -> int:
    """End of the covered payload in bytes."""
    return cfg.last if cfg.last > 0 else frame.dlc


@kernel
def crc_with(frame: Frame, cfg: E2eConfig, data_id: int) -> int:
    """The checksum that belongs to the frame as it stands, made with ``data_id`` (OWN_IDS = the message's own)."""
    if cfg.algorithm == NONE:
        return 0
    counter = counter_of(frame, cfg)
    last = covered(frame, cfg)
    register = cfg.init
    for k in range(cfg.n_before):
        register = _absorb(cfg, register, _extra(cfg, cfg.before[k], counter, data_id, last))
    for i in range(cfg.first, last):
        if i < cfg.skip_from or i >= cfg.skip_to:
            register = _absorb(cfg, register, int(frame.payload[i]) & int(cfg.keep[i]))
    for k in range(cfg.n_after):
        register = _absorb(cfg, register, _extra(cfg, cfg.after[k], counter, data_id, last))
    return (register & cfg.mask) ^ cfg.xor_out


@kernel
def plain_crc(frame: Frame, cfg: E2eConfig) -> int:
    """``crc_of`` for a plain one; the way every tick takes, so it is short enough to be inlined."""
    crc = cfg.start
    for index in range(cfg.first, cfg.skip_from):
        crc = int(cfg.by_byte[(crc ^ int(frame.payload[index])) & 0xFF])
    for index in range(cfg.skip_to, cfg.last):
        crc = int(cfg.by_byte[(crc ^ int(frame.payload[index])) & 0xFF])
    return crc ^ cfg.xor_out


@kernel
def crc_of(frame: Frame, cfg: E2eConfig) -> int:
    """The checksum that belongs to the frame as it stands; one of 64 bits is a number in two's complement."""
    if cfg.plain:
        return plain_crc(frame, cfg)
    return crc_with(frame, cfg, OWN_IDS)
