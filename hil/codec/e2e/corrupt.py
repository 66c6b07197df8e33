"""Corruption that knows the protection: exactly one thing about a frame is wrong, all else still fits.

Used by the faults of a scenario and by the log player.
"""

from enum import IntEnum

import numpy as np

from hil.codec.e2e import Protection, configs, protect, read_crc, write_crc, write_field
from hil.codec.e2e.crc import DATA_IDS, E2eConfig, counter_of, crc_with
from hil.kernel import kernel, zeros
from hil.tick import Frame


class Corruption(IntEnum):
    """What ``corrupt`` does to a protected frame."""

    CRC = 0  # every bit of the checksum inverted, all else as it was
    STUCK = 1  # the counter is ``argument``, the checksum fits
    JUMP = 2  # the counter is ``argument`` further than it was (negative: back), the checksum fits
    DATA_ID = 3  # the frame is protected under data id ``argument``: another message's contents under this identifier
    REPEAT = 4  # the payload of an earlier frame, whole; made with ``remember`` and ``repeat``


CRC, STUCK, JUMP = int(Corruption.CRC), int(Corruption.STUCK), int(Corruption.JUMP)
DATA_ID = int(Corruption.DATA_ID)


@kernel
def corrupt(frame: Frame, cfg: E2eConfig, kind: int, argument: int) -> None:
    """Corrupt one frame in place; REPEAT, or what the protection has nothing for (no counter), leaves it as it is."""
    if kind == CRC:
        write_crc(frame, cfg, ~read_crc(frame, cfg))
    elif kind == DATA_ID:
        write_field(frame, cfg.id_field, argument)
        write_crc(frame, cfg, crc_with(frame, cfg, argument))
    elif cfg.counter.width > 0:
        if kind == STUCK:
            protect(frame, cfg, argument)
        elif kind == JUMP:
            protect(frame, cfg, (counter_of(frame, cfg) + argument) % (cfg.counter_max + 1))


def is_idle(line: Protection, kind: Corruption, argument: int) -> bool:
    """True when it would leave every frame as it is: a jump once round, a data id of the same checksum as the own."""
    cfg, frames = configs([line])[0], zeros(Frame, 2)
    np.asarray(frames)["dlc"] = line.length
    payloads = np.asarray(frames)["payload"]
    for counter in range(min(line.counter_max, DATA_IDS - 1) + 1):
        protect(frames[0], cfg, counter)
        protect(frames[1], cfg, counter)
        corrupt(frames[1], cfg, int(kind), argument)
        if not np.array_equal(payloads[0], payloads[1]):
            return False
    return True


@kernel
def remember(frame: Frame, kept: Frame) -> None:
    """Keep a frame's contents for ``repeat``."""
    kept.dlc = frame.dlc
    for i in range(frame.dlc):
        kept.payload[i] = frame.payload[i]


@kernel
def repeat(frame: Frame, kept: Frame) -> None:
    """Give the frame the contents of an earlier one; its identifier and time stay."""
    frame.dlc = kept.dlc
    for i in range(kept.dlc):
        frame.payload[i] = kept.payload[i]
