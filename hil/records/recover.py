"""Finishing a record that a kill, a full disk or a bad block cut off."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import BenchError, InputError, Problem
from hil.files.places import same_file
from hil.records.layout import CHECKS, HEADER, RECOVERED, SCHEMAS, VERDICTS
from hil.records.scan import Scan, scan
from hil.records.writer import start_file


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was kept and what was lost.

    ``ticks_lost`` counts the ticks missing between blocks that were kept; what came after the cut is not known.
    """

    out: Path
    untouched: bool
    blocks: int
    ticks: int
    ticks_lost: int
    bytes_lost: int
    holes: int
    has_verdicts: bool

    def __str__(self) -> str:
        """One or two sentences for people."""
        if self.untouched:
            return f"{self.out}: the record was already finished, nothing lost ({self.ticks} ticks)"
        lost = (
            f"{self.bytes_lost} bytes in {self.holes} damaged place{'' if self.holes == 1 else 's'} could not be kept"
        )
        gap = f", {self.ticks_lost} ticks are missing in between" if self.ticks_lost else ""
        end = "" if self.has_verdicts else "; the verdicts were not written, judge the record again"
        return f"{self.out}: kept {self.ticks} ticks in {self.blocks} blocks; {lost}{gap}{end}"


def recover(path: Path, out: Path) -> Recovered:
    """Rewrite ``path`` as a finished file ``out`` that any MCAP reader opens; a finished one is copied byte for byte.

    Everything whose checksum is right is kept, in order. The new file says in its metadata ``recovered`` what was lost.
    The original stays as it is: it is evidence.

    Raises:
        InputError: ``path`` cannot be read, is no record, holds no quantity table, is of another layout, or is the same
            file as ``out``.
        BenchError: ``out`` cannot be written.
    """
    if same_file(out, path):
        raise InputError(Problem("the recovered record needs a name of its own", str(out)))
    found = scan(path)
    if "quantities.json" not in found.attachments:
        raise InputError(
            Problem("nothing to recover", str(path), expected="an attachment quantities.json whose checksum is right")
        )
    times = _tick_times_ns(found)
    result = Recovered(
        out,
        found.finished,
        len(found.groups),
        len(times),
        _missing(times),
        found.lost_bytes,
        found.holes,
        any(_topic(found, m) == VERDICTS for group in found.groups for m in group),
    )
    partial = out.with_name(out.name + ".partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if found.finished:
            partial.write_bytes(path.read_bytes())
        else:
            _write(found, result, partial)
        partial.replace(out)
    except OSError as error:
        raise BenchError(f"cannot write the recovered record {out}: {error.strerror}") from error
    return result


def _write(found: Scan, result: Recovered, partial: Path) -> None:
    said = {
        "bytes_lost": str(result.bytes_lost),
        "holes": str(result.holes),
        "ticks_kept": str(result.ticks),
        "ticks_lost_in_between": str(result.ticks_lost),
    }
    with partial.open("wb") as stream:
        writer, channels = start_file(stream, found.attachments, {**found.metadata, RECOVERED: said})
        for group in found.groups:
            for message in group:
                channel = channels[_topic(found, message)]
                writer.add_message(channel, message.log_time, message.data, message.publish_time, message.sequence)
            writer.flush()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
        writer.finish()  # type: ignore[no-untyped-call]  # the library leaves it unannotated


def _topic(found: Scan, message: Any) -> str:
    known = found.topics.get(message.channel_id, dict(enumerate(SCHEMAS, 1)).get(message.channel_id))
    if known is None or known not in SCHEMAS:
        told = f"channel {message.channel_id}" if known is None else f"topic {known[:80]!r}"
        raise InputError(Problem("a record of another layout", found=told))
    return known


def _tick_times_ns(found: Scan) -> NDArray[np.int64]:
    blocks = [m.data for group in found.groups for m in group if _topic(found, m) == CHECKS]
    try:
        times = [np.frombuffer(data, "<i8", HEADER.unpack_from(data)[1], HEADER.size) for data in blocks]
    except (ValueError, struct.error) as error:
        raise InputError(Problem("a record of another layout", found=f"a block of {CHECKS!r}: {error}")) from error
    return np.concatenate(times) if times else np.empty(0, np.int64)


def _missing(times_ns: NDArray[np.int64]) -> int:
    """Ticks missing in the gaps; the tick period is the smallest step seen."""
    steps = np.diff(times_ns)
    steps = steps[steps > 0]
    if steps.size == 0:
        return 0
    return int((np.rint(steps / steps.min()) - 1).sum())
