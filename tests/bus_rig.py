"""A second, slow way to count the bits of a CAN frame: strings of 0 and 1, straight from ISO 11898-1."""

from typing import Any

import numpy as np

from hil.kernel import Rows, zeros
from hil.tick import FrameBits, Frames

GENERATOR = "1100010110011001"  # x15 + x14 + x10 + x8 + x7 + x4 + x3 + 1


def covered(identifier: int, payload: bytes, extended: bool = False) -> str:
    """Start of frame to the last payload bit."""
    if extended:
        name = f"{identifier:029b}"
        head = "0" + name[:11] + "11" + name[11:] + "0" + "00"
    else:
        head = "0" + f"{identifier:011b}" + "0" + "0" + "0"
    return head + f"{len(payload):04b}" + "".join(f"{byte:08b}" for byte in payload)


def checksum(bits: str) -> str:
    """Remainder of long division by the generator, 15 bits."""
    work = [int(bit) for bit in bits + 15 * "0"]
    for i in range(len(bits)):
        if work[i]:
            for j, bit in enumerate(GENERATOR):
                work[i + j] ^= int(bit)
    return "".join(str(bit) for bit in work[-15:])


def stuffed(bits: str) -> str:
    """After five equal bits on the wire, stuff bits included, the opposite one."""
    wire = ""
    for bit in bits:
        wire += bit
        if wire[-5:] in ("00000", "11111"):
            wire += "1" if bit == "0" else "0"
    return wire


def wire_bits(identifier: int, payload: bytes, extended: bool = False) -> int:
    """Length from start to end of frame in bits."""
    bits = covered(identifier, payload, extended)
    return len(stuffed(bits + checksum(bits))) + len("1" + "0" + "1" + "1111111")


def frames(*listed: tuple[int, int, bytes], source: int = 0, bits: int = 0) -> Rows[Frames]:
    """A list of frames, each (t_ns, identifier, payload); identifiers above 11 bits are sent extended."""
    made = zeros(Frames)
    record = np.asarray(made)[0]
    record["n"] = len(listed)
    for slot, (t_ns, identifier, payload) in zip(record["slot"], listed, strict=False):
        slot["t_ns"], slot["id"], slot["dlc"], slot["source"] = t_ns, identifier, len(payload), source
        slot["bits"] = bits | (int(FrameBits.EXTENDED) if identifier > 0x7FF else 0)
        slot["payload"][: len(payload)] = list(payload)
    return made


def seen(made: Rows[Frames]) -> list[tuple[int, int]]:
    """(end of frame, identifier) of each frame in the list."""
    record: Any = np.asarray(made)[0]
    return [(int(f["t_ns"]), int(f["id"])) for f in record["slot"][: record["n"]]]
