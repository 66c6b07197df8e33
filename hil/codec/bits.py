"""One signal in or out of a payload, by the DBC's rules for start bit and byte order.

Little endian (Intel): ``start`` is the least significant bit, counted from bit 0 of byte 0. Big endian (Motorola):
``start`` is the most significant bit, bit ``8 * byte + bit_in_byte`` with bit 7 the highest; the signal goes on
towards bit 0 of that byte, then to bit 7 of the next one. A raw number is an int64 in two's complement: an unsigned
signal of 64 bits comes out negative when its top bit is set.

``start`` and ``length`` must lie inside the payload: whoever builds a plan checks that (``hil.codec.database``).
"""

import numpy as np

from hil.codec.plan import Kind
from hil.kernel import Bytes, kernel

SIGNED, UNSIGNED = int(Kind.SIGNED), int(Kind.UNSIGNED)
WHOLE_UNSIGNED, WHOLE_SIGNED = int(Kind.WHOLE_UNSIGNED), int(Kind.WHOLE_SIGNED)
WIDE_UNSIGNED, WIDE_SIGNED = int(Kind.WIDE_UNSIGNED), int(Kind.WIDE_SIGNED)
LOW32 = 0xFFFFFFFF
FLOAT16, FLOAT32, FLOAT64 = int(Kind.FLOAT16), int(Kind.FLOAT32), int(Kind.FLOAT64)


@kernel
def unpack(payload: Bytes, start: int, length: int, big: int, signed: int) -> int:
    """The raw number of a signal of 1 to 64 bits."""
    start, length = int(start), int(length)  # interpreted, narrow numpy integers would overflow
    value = 0
    got = 0
    byte = start >> 3
    if big:
        top = start & 7  # highest bit wanted of the byte at hand
        while got < length:
            take = min(top + 1, length - got)
            part = (int(payload[byte]) >> (top + 1 - take)) & ((1 << take) - 1)
            value = (value << take) | part
            got += take
            byte += 1
            top = 7
    else:
        low = start & 7
        while got < length:
            take = min(8 - low, length - got)
            part = (int(payload[byte]) >> low) & ((1 << take) - 1)
            value |= part << got
            got += take
            byte += 1
            low = 0
    if length == 64:  # an int64 has folded already; a plain Python integer is folded here
        high = (value >> 32) & 0xFFFFFFFF
        if high >= 0x80000000:
            high -= 0x100000000
        return high * 0x100000000 + (value & 0xFFFFFFFF)
    if signed and (value >> (length - 1)) & 1:
        return value - (1 << length)
    return value


@kernel
def pack(payload: Bytes, start: int, length: int, big: int, raw: int) -> None:
    """Write the low ``length`` bits of ``raw``; all other bits of the payload stay as they are."""
    start, length, raw = int(start), int(length), int(raw)
    left = length
    byte = start >> 3
    if big:
        top = start & 7
        while left > 0:
            take = min(top + 1, left)
            mask = ((1 << take) - 1) << (top + 1 - take)
            part = ((raw >> (left - take)) << (top + 1 - take)) & mask
            payload[byte] = (int(payload[byte]) & ~mask & 0xFF) | part
            left -= take
            byte += 1
            top = 7
    else:
        low = start & 7
        done = 0
        while left > 0:
            take = min(8 - low, left)
            mask = ((1 << take) - 1) << low
            part = ((raw >> done) << low) & mask
            payload[byte] = (int(payload[byte]) & ~mask & 0xFF) | part
            done += take
            left -= take
            byte += 1
            low = 0


@kernel
def half_float(raw: int) -> float:
    """The value of an IEEE 754 half-precision bit pattern."""
    exponent, fraction = (raw >> 10) & 31, raw & 1023
    if exponent == 31:
        value = np.nan if fraction else np.inf
    elif exponent == 0:
        value = fraction * 2.0**-24
    else:
        value = (1024 + fraction) * 2.0 ** (exponent - 25)
    return -value if raw & 0x8000 else value


@kernel
def whole_part(offset: float) -> int:
    """The offset when it is a whole number, else 0: then it is added afterwards, as a float."""
    return int(offset) if offset == np.floor(offset) and abs(offset) < 2.0**62 else 0


@kernel
def wide(raw: int, signed: bool, factor: float, offset: float) -> float:
    """raw * factor + offset for whole numbers beyond 64 bits, rounded once; |factor| < 2^30, |offset| < 2^61."""
    folded = whole_part(offset)
    return _wide(raw, signed, factor, folded) + (offset - folded)


@kernel
def _wide(raw: int, signed: bool, factor: float, offset: int) -> float:
    whole, bits64 = np.int64(factor), np.int64(raw)
    upper = bits64 >> np.int64(32)
    if not signed:
        upper = upper & np.int64(LOW32)
    rest = (bits64 & np.int64(LOW32)) * whole + np.int64(offset)
    high = upper * whole + (rest >> np.int64(32))  # the result is high * 2^32 + low
    low = rest & np.int64(LOW32)
    if np.int64(-(1 << 30)) < high < np.int64(1 << 30):
        return float(high * np.int64(1 << 32) + low)
    shift = np.int64(0)
    while shift < 30 and np.int64(-(1 << 60)) < high < np.int64(1 << 60):
        high = high * np.int64(2) + (low >> np.int64(31))
        low = (low << np.int64(1)) & np.int64(LOW32)
        shift += np.int64(1)
    if np.int64(-(1 << 61)) < high < np.int64(1 << 61):
        high = high * np.int64(2) + (1 if low else 0)  # what is cut off decides a tie, and no more
        return float(high) * 2.0 ** (31 - shift)
    return float(high | np.int64(1) if low else high) * 2.0 ** (32 - shift)


@kernel
def scaled(raw: int, kind: int, factor: float, offset: float) -> float:
    """The value of a raw number as ``unpack`` gives it; ``kind`` is a ``hil.codec.plan.Kind``."""
    if kind == SIGNED:
        return raw * factor + offset
    if kind == UNSIGNED:
        value = float(np.int64(raw))
        if raw < 0:  # 64 bits, top bit set; the halving keeps the rounding to one, with the lost bit made sticky
            folded = np.int64(raw)
            half = ((folded >> np.int64(1)) & np.int64(0x7FFFFFFFFFFFFFFF)) | (folded & np.int64(1))
            value = float(half) * 2.0
        return value * factor + offset
    if kind in (FLOAT16, FLOAT32, FLOAT64):
        if kind == FLOAT32:
            real = float(np.uint32(raw & 0xFFFFFFFF).view(np.float32))
        elif kind == FLOAT64:
            real = float(np.int64(raw).view(np.float64))
        else:
            real = half_float(raw)
        return real if factor == 1.0 and offset == 0.0 else real * factor + offset  # -0.0 + 0.0 would be 0.0
    if kind in (WIDE_SIGNED, WIDE_UNSIGNED):
        return wide(raw, kind == WIDE_SIGNED, factor, offset)
    whole_offset = whole_part(offset)
    return float(np.int64(raw) * np.int64(factor) + np.int64(whole_offset)) + (offset - whole_offset)


@kernel
def raw_float(value: float, length: int) -> int:
    """The bit pattern of a value as a 32- or 64-bit IEEE 754 number; rounded to the nearest."""
    if length == 64:
        return int(np.float64(value).view(np.int64))
    return int(np.float32(value).view(np.uint32))
