"""One signal in or out of a payload, by the DBC's rules for start bit and byte order.

Little endian (Intel): ``start`` is the least significant bit, counted from bit 0 of byte 0. Big endian (Motorola):
``start`` is the most significant bit, bit ``8 * byte + bit_in_byte`` with bit 7 the highest; the signal goes on
towards bit 0 of that byte, then to bit 7 of the next one. A raw number is an int64 in two's complement: an unsigned
signal of 64 bits comes out negative when its top bit is set.

``start`` and ``length`` must lie inside the payload: whoever builds a plan checks that (``hil.codec.database``).
"""

from hil.kernel import Bytes, kernel


@kernel
def unpack(payload: Bytes, start: int, length: int, big: int, signed: int) -> int:
    """The raw number of a signal of 1 to 64 bits."""
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
