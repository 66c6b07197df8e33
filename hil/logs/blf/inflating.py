"""Inflating whole containers, by the faster of two libraries.

ISA-L takes half the time of zlib, and that is half of what reading a BLF costs. What it finds wrong is given to zlib, so
that the same damage is told in the same words wherever there is no ISA-L.
"""

import zlib
from contextlib import suppress
from typing import Any

try:
    from isal import isal_zlib
except ImportError:  # not made for this kind of machine
    isal_zlib = None  # type: ignore[assignment]  # told apart below


def inflate(data: memoryview, most: int) -> tuple[bytes, Any]:
    """What a zlib stream at the start of ``data`` holds, ``most`` bytes of it; the stream knows how it ended.

    Raises:
        zlib.error: the stream is damaged.
    """
    if isal_zlib is not None:
        with suppress(isal_zlib.error):  # type: ignore[arg-type]  # a class, whatever its stub says
            fast = isal_zlib.decompressobj()
            return fast.decompress(data, most), fast
    stream = zlib.decompressobj()
    return stream.decompress(data, most), stream
