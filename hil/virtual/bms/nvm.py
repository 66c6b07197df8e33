"""The non-volatile image: magic, flags, charge and a CRC-32, little endian. Anything wrong with it reads as none."""

import struct
import zlib

FORMAT = struct.Struct("<4sHHq")
MAGIC, VERSION = b"BNVM", 1
DEEP = 1


def pack_nvm(charge_uas: int, deep_latched: bool = False) -> bytes:
    """An image with this charge (uAs left in the pack) and the deep-discharge latch."""
    body = FORMAT.pack(MAGIC, VERSION, DEEP if deep_latched else 0, charge_uas)
    return body + struct.pack("<I", zlib.crc32(body))


def unpack_nvm(image: bytes) -> tuple[int, bool] | None:
    """(charge in uAs, deep-discharge latch), None when the image is empty, cut, damaged or of another version."""
    if len(image) != FORMAT.size + 4 or image[FORMAT.size :] != struct.pack("<I", zlib.crc32(image[: FORMAT.size])):
        return None
    magic, version, flags, charge_uas = FORMAT.unpack(image[: FORMAT.size])
    if magic != MAGIC or version != VERSION:
        return None
    return int(charge_uas), bool(flags & DEEP)
