"""Any log of CAN frames from a file: unpacked, recognised by its content, read by the reader of its format."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hil.errors import InputError, Problem
from hil.logs.blf import read_blf
from hil.logs.candump import read_candump
from hil.logs.log import Log, Skip
from hil.logs.mf4.read import read_mf4
from hil.logs.recognise import recognise
from hil.logs.text import TEXT_FORMATS
from hil.tick import FrameBits

Progress = Callable[[float], None]
Reader = Callable[[bytes, Progress | None], Log]

GZIP = b"\x1f\x8b\x08"
HEAD = 1 << 16  # bytes a format is recognised by
STEP = 1 << 20  # bytes unpacked at once
MOST = 1 << 33  # bytes; a file that unpacks to more is refused
FREE = 1 << 28  # bytes; beyond, a file that unpacks to over ``RATIO`` times what was read of it is refused
RATIO = 200  # logs pack to a tenth or a fiftieth; only a bomb comes near gzip's own thousand
STANDARD = 0x7FF  # greatest identifier of 11 bits
UNPACKING = 0.2  # share of the work, for progress


def readers() -> Mapping[str, Reader]:
    """The reader of each format name that ``recognise`` gives."""
    return {**TEXT_FORMATS, "blf": read_blf, "candump": read_candump, "mf4": read_mf4}


def read_log(path: Path, on_progress: Progress | None = None) -> Log:
    """Read a log of any known format, packed by gzip or not; ``on_progress`` is told the share done.

    The name of the file does not matter. What could not be read is in ``Log.skipped``; of a damaged gzip file everything
    before the damage is read.

    Raises:
        InputError: the file is not there, is of no known format, or nothing of it can be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(Problem("cannot read the log", str(path), found=error.strerror or str(error))) from error
    try:
        return read_content(content, str(path), on_progress)
    except InputError as error:
        raise InputError([replace(p, path=p.path or str(path)) for p in error.problems]) from error


def read_content(content: bytes, name: str = "", on_progress: Progress | None = None) -> Log:
    """Read a log from bytes; see ``read_log``."""
    skips: tuple[Skip, ...] = ()
    packed = content[:3] == GZIP
    if packed:
        content, skips = unpack(content, on_progress)
        if skips and not content:
            raise InputError(
                Problem("the gzip file cannot be inflated", name, expected="a CAN log", found=skips[0].what)
            )

    def later(share: float) -> None:
        if on_progress:
            on_progress(UNPACKING + (1 - UNPACKING) * share if packed else share)

    form = recognise(content[:HEAD], name)
    reader = readers().get(form)
    if reader is None:
        raise InputError(Problem("a record, not a log", name, expected="a CAN log", found=f"a file of format {form}"))
    log = promoted(reader(content, later))
    if not skips:
        return log
    return replace(log, skipped=skips + log.skipped, unreadable=log.unreadable + len(skips))


def promoted(log: Log) -> Log:
    """The log with identifiers above 11 bits as extended ones; a fact tells how many were not marked so."""
    trace = log.trace
    wide = (trace.id > STANDARD) & (trace.bits & (FrameBits.EXTENDED | FrameBits.ERROR) == 0)
    if not wide.any():
        return log
    bits = np.where(wide, trace.bits | FrameBits.EXTENDED, trace.bits).astype(np.int32)
    told = f"{np.count_nonzero(wide)} frames, for their identifier has more than 11 bits"
    return replace(log, trace=replace(trace, bits=bits), facts={**log.facts, "taken as extended": told})


def unpack(content: bytes, on_progress: Progress | None = None) -> tuple[bytes, tuple[Skip, ...]]:
    """What a gzip file holds, all members; of a damaged one what comes before the damage, and the damage named.

    Raises:
        InputError: it unpacks to more than ``MOST`` bytes, or beyond ``FREE`` to over ``RATIO`` times its size.
    """
    out: list[bytes] = []
    skips: list[Skip] = []
    at, made, stream = 0, 0, zlib.decompressobj(31)
    while at < len(content):
        before = stream.copy()
        piece = stream.unconsumed_tail or content[at : at + STEP]
        try:
            out.append(stream.decompress(piece, 16 * STEP))
        except zlib.error as error:
            sound, used = _sound_part(before, piece)
            place = min(at + STEP, len(content)) - len(piece) + used
            out.append(sound)
            skips.append(Skip(f"byte {place}", _told(error)))
            at = place + _trailer(error)
            if at == place or content[at : at + len(GZIP)] != GZIP:
                return b"".join(out), tuple(skips)
            stream = zlib.decompressobj(31)
            continue
        made += len(out[-1])
        if made > MOST or (made > FREE and made > RATIO * min(at + STEP, len(content))):
            expected = f"at most {MOST} bytes, and beyond {FREE} at most {RATIO} times the file's size"
            raise InputError(Problem("the gzip file unpacks to too much", expected=expected))
        if stream.unconsumed_tail:
            continue
        at = min(at + STEP, len(content)) - len(stream.unused_data)
        if stream.eof:
            if content[at : at + 2] != GZIP[:2]:
                break  # what follows is padding
            stream = zlib.decompressobj(31)
        if on_progress:
            on_progress(UNPACKING * at / len(content))
    if not stream.eof:
        skips.append(Skip(f"byte {len(content)}", "gzip data cut off"))
    return b"".join(out), tuple(skips)


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
