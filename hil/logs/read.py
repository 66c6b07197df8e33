"""Any log of CAN frames from a file: unpacked, recognised by its content, read by the reader of its format."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hil.errors import InputError, Problem
from hil.logs.blf import read_blf
from hil.logs.candump import read_candump
from hil.logs.log import Log, Skip
from hil.logs.mf4.read import read_mf4
from hil.logs.packed import GZIP, UNPACKING, unpack
from hil.logs.recognise import form_of
from hil.logs.text import TEXT_FORMATS
from hil.tick import FrameBits

Progress = Callable[[float], None]
Reader = Callable[[bytes, Progress | None], Log]

STANDARD = 0x7FF  # greatest identifier of 11 bits


def readers() -> Mapping[str, Reader]:
    """The reader of each format name that ``recognise`` gives."""
    return {**TEXT_FORMATS, "blf": read_blf, "candump": read_candump, "mf4": read_mf4}


def read_log(path: Path, on_progress: Progress | None = None) -> Log:
    """Read a log of any known format, packed by gzip or not; ``on_progress`` is told the share done.

    The name of the file does not matter. What could not be read is in ``Log.skipped``; of a damaged gzip file everything
    before the damage is read, and all members behind it.

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
        if content[:3] == GZIP:
            raise InputError(Problem("packed by gzip twice", name, expected="one time at most: unpack it by gunzip"))

    def later(share: float) -> None:
        if on_progress:
            on_progress(UNPACKING + (1 - UNPACKING) * share if packed else share)

    form = form_of(content, name)
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
