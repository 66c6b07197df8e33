"""Files packed by gzip: all members, and of a damaged file whatever can be inflated.

A member cannot be read on behind its damage, for each of its bytes means what those before it say. The next one can: a
recorder that was killed and started again, or logs put one behind the other, leave a broken member before a sound one.
"""

import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from hil.errors import InputError, Problem
from hil.logs.log import Skip

Progress = Callable[[float], None]

GZIP = b"\x1f\x8b\x08"
STEP = 1 << 20  # bytes unpacked at once
MOST = 1 << 33  # bytes; a file that unpacks to more is refused
FREE = 1 << 28  # bytes; beyond, a file that unpacks to over ``RATIO`` times what was read of it is refused
RATIO = 200  # logs pack to a tenth or a fiftieth; only a bomb comes near gzip's own thousand
TRIED = 4096  # bytes inflated to tell the begin of a member from bytes that only look like it
BROKEN = 100  # damaged members behind which the next one is looked for; keeps the work in bounds
UNPACKING = 0.2  # share of the work, for progress


def unpack(content: bytes, on_progress: Progress | None = None) -> tuple[bytes, tuple[Skip, ...]]:
    """What a gzip file holds, all members; of a damaged one what comes before the damage, and the damage named.

    Raises:
        InputError: it unpacks to more than ``MOST`` bytes, or beyond ``FREE`` to over ``RATIO`` times its size.
    """
    return _Unpacker(content, on_progress).unpack()


class _End(NamedTuple):
    """How a member ended: the place of its damage, where it is known to end, and what is wrong ("" for nothing)."""

    place: int
    following: int
    damage: str = ""


class _Unpacker:
    def __init__(self, content: bytes, on_progress: Progress | None) -> None:
        self.content, self.on_progress = content, on_progress
        self.out: list[bytes] = []
        self.made = 0
        self.skips: list[Skip] = []

    def unpack(self) -> tuple[bytes, tuple[Skip, ...]]:
        content, at, broken = self.content, 0, 0
        while at < len(content):
            begin = at if at == 0 or content[at : at + len(GZIP)] == GZIP else self._search(at)
            if content[at:begin].strip(b"\0"):  # zeros are padding
                self.skips.append(Skip(f"byte {at}", f"{begin - at} bytes that are no gzip data", begin - at))
            if begin == len(content):
                break
            kept = len(self.out)
            end = self._member(begin)
            if end.damage:
                broken += 1
                end = self._resumed(begin, kept, end) if broken < BROKEN else end._replace(following=len(content))
                self.skips.append(Skip(f"byte {end.place}", end.damage))
            at = end.following
        return b"".join(self.out), tuple(self.skips)

    def _search(self, at: int) -> int:
        """Where a member begins from ``at`` on; the end of the file when there is none."""
        content = self.content
        while (at := content.find(GZIP, at)) >= 0:
            stream = zlib.decompressobj(31)
            with suppress(zlib.error):
                if stream.decompress(content[at : at + TRIED], STEP) or stream.eof:
                    return at
            at += 1
        return len(content)

    def _resumed(self, begin: int, kept: int, end: _End) -> _End:
        """The end of a damaged member, with the next member found. ``kept`` pieces were there before it.

        It is looked for from the begin on: what follows a cut may inflate for long, even to a sum that is wrong.
        """
        content = self.content
        following = self._search(begin + 1)
        if following <= end.place and following < len(content):
            # It was cut off there; what was inflated from there on is of another member.
            self.made -= sum(map(len, self.out[kept:]))
            del self.out[kept:]
            self._keep(zlib.decompressobj(31).decompress(content[begin:following]), following)
            end = _End(following, following, "gzip data cut off, another member begins here")
        elif end.following > end.place:
            return end
        if following < len(content):
            self.out.append(b"\n")  # so that a line cut off does not take the next member's first line with it
        return end._replace(following=following)

    def _member(self, begin: int) -> _End:
        """Inflate one member."""
        content, at, stream = self.content, begin, zlib.decompressobj(31)
        while not stream.eof:
            piece, before = content[at : at + STEP], stream.copy()
            try:
                self._keep(stream.decompress(piece, 16 * STEP) if piece else stream.flush(), at + STEP)
            except zlib.error as error:
                sound, used = _sound_part(before, piece)
                self._keep(sound, at + STEP)
                return _End(at + used, at + used + _trailer(error), _told(error))
            if not piece:
                return _End(at, at) if stream.eof else _End(at, at, "gzip data cut off")
            at += len(piece) - len(stream.unconsumed_tail) - len(stream.unused_data)
            if self.on_progress:
                self.on_progress(UNPACKING * at / len(content))
        return _End(at, at)

    def _keep(self, data: bytes, read: int) -> None:
        self.out.append(data)
        self.made += len(data)
        if self.made > MOST or (self.made > FREE and self.made > RATIO * min(read, len(self.content))):
            expected = f"at most {MOST} bytes, and beyond {FREE} at most {RATIO} times the file's size"
            raise InputError(Problem("the gzip file unpacks to too much", expected=expected))


def _told(error: zlib.error) -> str:
    """What is wrong with the packed data: what zlib says, or that only the sum at the end is wrong."""
    reason = str(error).rpartition(": ")[2]
    if _trailer(error):
        reason = "wrong checksum, any of its content may be damaged"
    return f"damaged gzip data ({reason})"


def _trailer(error: zlib.error) -> int:
    """Bytes from the one at which a member's sum or length was found wrong to the next member; 0 for other damage."""
    text = str(error)
    return 5 if text.endswith("incorrect data check") else 1 if text.endswith("incorrect length check") else 0


def _sound_part(stream: "zlib._Decompress", piece: bytes) -> tuple[bytes, int]:
    """What ``piece`` inflates to before the damage in it, to the byte, and how many of its bytes that took."""
    out, used = [], 0
    for size in (4096, 1):
        at = 0
        while at < len(piece):
            before = stream.copy()
            try:
                out.append(stream.decompress(piece[at : at + size]))
            except zlib.error:
                stream, piece = before, piece[at : at + size]
                break
            at += size
        used += at
    return b"".join(out), used
