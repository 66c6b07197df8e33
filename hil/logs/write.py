"""A trace to a file, in the format its suffix names."""

import gzip
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np

from hil.errors import BenchError, InputError, Problem, nearest
from hil.logs import text_write
from hil.logs.blf.write import write_blf
from hil.logs.mf4 import write_mf4
from hil.logs.text_write import BLOCK, Lines
from hil.logs.trace import Trace
from hil.tick import FrameBits

Progress = Callable[[float], None]

BINARY: Mapping[str, Callable[[Trace, Path, Progress | None], None]] = MappingProxyType(
    {".blf": write_blf, ".mf4": write_mf4}
)
TEXT: Mapping[str, Lines] = MappingProxyType(
    {".asc": text_write.asc, ".log": text_write.candump, ".trc": text_write.trc, ".csv": text_write.csv}
)
LAST_CHANNEL = 255  # MF4 counts channels from 1 in one byte
CLASSIC = 8  # bytes of a classic frame at most
FD_BITS = int(FrameBits.FD | FrameBits.BITRATE_SWITCH | FrameBits.ERROR_STATE)
FROM_ZERO = frozenset((".asc", ".trc"))  # times count from the date in the header


def suffix_of(path: Path) -> str:
    """The suffix that names the format: ``.log`` of ``x.log.gz``. Raises InputError for one that cannot be written."""
    packed = path.suffix.lower() == ".gz"
    suffix = (Path(path.stem) if packed else path).suffix.lower()
    known = TEXT if packed else {**BINARY, **TEXT}
    if suffix in known:
        return suffix
    expected = f"a name that ends in one of {', '.join(known)}" + (" before .gz" if packed else " (text also with .gz)")
    problem = "cannot write a log of this kind"
    raise InputError(
        Problem(problem, str(path), expected=expected, found=repr(suffix), nearest=nearest(suffix, known) or "")
    )


def write_log(trace: Trace, path: Path, on_progress: Progress | None = None) -> list[str]:
    """Write ``trace`` to ``path`` as .blf, .mf4, .asc, .log (candump), .trc or .csv, text also with .gz behind.

    The file appears under its name only when it is whole. Returns what the format could not hold and what was changed
    to fit, one sentence each. Times that begin before zero are moved to begin at zero.

    Raises:
        InputError: an unknown suffix, or the library a format needs is not installed.
        BenchError: the file cannot be written.
    """
    suffix = suffix_of(path)
    trace, changed = fitted(trace, suffix)
    partial = path.with_name(f".{path.name}.partial{suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix in BINARY:
            BINARY[suffix](trace, partial, on_progress)
        else:
            write_text(trace, partial, suffix, path.suffix.lower() == ".gz", on_progress)
        partial.replace(path)
    except OSError as error:
        raise BenchError(f"cannot write the log {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where it could not be made it cannot be removed either
            partial.unlink(missing_ok=True)
    if on_progress:
        on_progress(1.0)
    return changed + losses(trace, suffix)


def fitted(trace: Trace, suffix: str) -> tuple[Trace, list[str]]:
    """The trace as every reader of the format can take it, and what was changed for that, one sentence each.

    Times begin at zero or later. CAN FD has no remote frames (ISO 11898-1, 10.4.3), though BLF files hold some: text
    formats, which have no notation for them, get classic ones that ask for 8 bytes at most.
    """
    notes = []
    first = int(trace.t_ns.min()) if len(trace) else 0
    if first < 0:
        trace = replace(trace, t_ns=trace.t_ns - first)
        notes.append(moved_note(-first))
    marked = trace.bits & FrameBits.FD != 0
    wrong = ~marked & (trace.dlc > CLASSIC)
    odd = (trace.bits & FrameBits.REMOTE != 0) & (wrong | marked if suffix in TEXT else wrong)
    if odd.any():
        trace = replace(
            trace,
            bits=np.where(odd, trace.bits & ~FD_BITS, trace.bits).astype(np.int32),
            dlc=np.where(odd, np.minimum(trace.dlc, CLASSIC), trace.dlc).astype(np.uint8),
        )
        notes.append(
            f"{np.count_nonzero(odd)} remote frames are written as classic ones, which ask for 8 bytes at most"
        )
    return trace, notes


def moved_note(by_ns: int) -> str:
    """The sentence for times that began before zero and are written later."""
    return f"times began {text_write.seconds(by_ns, 9)} s before zero; all are written that much later"


def write_text(trace: Trace, out: Path, suffix: str, packed: bool = False, on_progress: Progress | None = None) -> None:
    """Write to ``out``, whatever its name, in the text format of ``suffix``, packed by gzip or not. Raises OSError."""
    start_ns = 0
    if suffix in FROM_ZERO and trace.absolute and len(trace):
        start_ns = int(trace.t_ns.min()) // 10**6 * 10**6
        trace = replace(trace, t_ns=trace.t_ns - start_ns)
    before, line_of, after = TEXT[suffix](trace, start_ns)
    newline = "\r\n" if suffix in (".asc", ".trc", ".csv") else "\n"
    with out.open("wb") as raw:
        # A fixed time in the header of gzip: the same trace makes the same bytes.
        packer = gzip.GzipFile("", "wb", 6, raw, mtime=0) if packed else raw
        stream = TextIOWrapper(cast("gzip.GzipFile", packer), "ascii", newline=newline)
        stream.write(before)
        for i, row in enumerate(text_write.rows(trace)):
            stream.write(line_of(row))
            if on_progress and i % BLOCK == 0:
                on_progress(i / len(trace))
        stream.write(after)
        stream.detach()
        if packed:
            packer.close()


def losses(trace: Trace, suffix: str) -> list[str]:
    """What a format cannot hold of this trace."""
    bits, t_ns = trace.bits, trace.t_ns
    fault, fd, sent = bits & FrameBits.ERROR != 0, bits & FrameBits.FD != 0, bits & FrameBits.SENT != 0
    found: list[tuple[np.bool_ | bool, str]] = []
    if suffix in FROM_ZERO:
        found.append((bool((t_ns % 1000).any()), "times are rounded to the microsecond"))
        found.append(((fault & (trace.dlc > 0)).any(), "error frames keep no identifier and no bytes"))
    if suffix == ".mf4":
        found.append(((np.diff(t_ns) < 0).any(), "frames come back in the order of their times"))
        found.append(
            ((trace.channel == LAST_CHANNEL).any(), f"channel {LAST_CHANNEL} is written as {LAST_CHANNEL - 1}")
        )
    if suffix == ".csv":
        found.append((fd.any(), "CAN FD frames are not marked as such"))
        found.append(((trace.channel > 0).any(), "channels are not kept"))
        found.append((sent.any(), "directions are not kept"))
    if suffix in (".blf", ".asc", ".log"):
        found.append(((fault & sent).any(), "error frames keep no direction"))
    if suffix in (".blf", ".asc", ".log", ".trc"):
        found.append(((fault & fd).any(), "error frames are not marked as CAN FD"))
    if suffix == ".log":
        found.append(((fault & (trace.id == 0)).any(), "error frames without a class are written as bus errors"))
    return [text for lost, text in found if lost]
