"""Writing BLF in blocks: exact nanoseconds, containers that end where an object ends."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.logs.blf import CONTAINER, FILE_HEADER, MAGIC, MARK, OBJECT
from hil.logs.blf.objects import BASE, ERROR_EXT, FD_MESSAGE, HEADER, MESSAGE
from hil.logs.blf.objects import CONTAINER as CONTAINER_TYPE
from hil.logs.mf4 import LENGTHS
from hil.logs.moment import moment
from hil.logs.trace import Trace, to_matrix
from hil.tick import FrameBits

Progress = Callable[[float], None]

HEADER_SIZE = 144  # bytes of the file header
LARGEST = 128 * 1024  # bytes of one container before compression, as other writers have it
BLOCK = 65_536  # frames turned into objects at once
HEAD: list[Any] = [
    ("mark", "S4"),
    ("head", "<u2"),
    ("version", "<u2"),
    ("size", "<u4"),
    ("type", "<u4"),
    ("time_flag", "<u4"),
    ("client", "<u4"),
    ("t_ns", "<u8"),
]
LAYOUTS: dict[int, list[Any]] = {
    MESSAGE: [("channel", "<u2"), ("flags", "u1"), ("code", "u1"), ("id", "<u4"), ("data", "u1", (8,))],
    ERROR_EXT: [
        ("channel", "<u2"),
        ("unused", "u1", (8,)),
        ("code", "u1"),
        ("unused_too", "u1", (5,)),
        ("id", "<u4"),
        ("flags_more", "u1", (4,)),
        ("data", "u1", (8,)),
    ],
    FD_MESSAGE: [
        ("channel", "<u2"),
        ("flags", "u1"),
        ("code", "u1"),
        ("id", "<u4"),
        ("unused", "u1", (5,)),
        ("more", "u1"),
        ("valid", "u1"),
        ("unused_too", "u1", (5,)),
        ("data", "u1", (64,)),
        ("unused_three", "u1", (4,)),
    ],
}


def write_blf(trace: Trace, out: Path, on_progress: Progress | None = None) -> None:
    """Write ``trace`` to ``out``; times count from the earliest frame's millisecond, or from 0 when not absolute.

    A frame before 0 of a trace without absolute time is written at 0. Raises OSError.
    """
    first, last = (int(trace.t_ns.min()), int(trace.t_ns.max())) if len(trace) else (0, 0)
    start_ns = first // 10**6 * 10**6 if trace.absolute else 0
    total = HEADER_SIZE
    with out.open("wb") as stream:
        stream.write(bytes(HEADER_SIZE))
        for container, done in _containers(trace, start_ns):
            body = zlib.compress(container)
            size = OBJECT.size + CONTAINER.size + len(body)
            stream.write(OBJECT.pack(MARK, BASE, 1, size, CONTAINER_TYPE) + CONTAINER.pack(2, len(container)))
            stream.write(body + bytes(size % 4))
            total += OBJECT.size + CONTAINER.size + len(container)
            if on_progress:
                on_progress(done / len(trace))
        size = stream.tell()
        stream.seek(0)
        times = (_system_time(start_ns if trace.absolute else 0), _system_time(last if trace.absolute else 0))
        counts = (size, total, len(trace), 0)
        stream.write(FILE_HEADER.pack(MAGIC, HEADER_SIZE, 5, 0, 0, 0, 2, 6, 8, 1, *counts, *times[0], *times[1]))


def _system_time(t_ns: int) -> tuple[int, ...]:
    if t_ns == 0:
        return (0,) * 8
    m = moment(t_ns)
    return (m.year, m.month, (m.weekday + 1) % 7, m.day, m.hour, m.minute, m.second, m.ns // 10**6)


def _containers(trace: Trace, start_ns: int) -> Iterator[tuple[bytes, int]]:
    """What each container holds, and how many frames are in it and before it."""
    for start in range(0, len(trace), BLOCK):
        made, ends = _objects(trace.select(slice(start, start + BLOCK)), start_ns)
        at, frame = 0, 0
        while frame < len(ends):
            following = max(frame + 1, int(np.searchsorted(ends, at + LARGEST, side="right")))
            end = int(ends[following - 1])
            yield made[at:end].tobytes(), start + following
            at, frame = end, following


def _objects(trace: Trace, start_ns: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The objects one after the other as bytes, and where each ends."""
    kinds = np.where(trace.bits & FrameBits.FD, FD_MESSAGE, MESSAGE)
    kinds = np.where(trace.bits & FrameBits.ERROR, ERROR_EXT, kinds)
    layouts = {kind: np.dtype(HEAD + fields) for kind, fields in LAYOUTS.items()}
    sizes = np.choose(np.searchsorted(sorted(layouts), kinds), [layouts[k].itemsize for k in sorted(layouts)])
    ends = np.cumsum(sizes)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for kind, layout in layouts.items():
        which = np.flatnonzero(kinds == kind)
        if len(which):
            made = _filled(trace.select(which), kind, layout, start_ns)
            places = (ends[which] - layout.itemsize)[:, None] + np.arange(layout.itemsize)
            out[places] = made.view(np.uint8).reshape(len(which), layout.itemsize)
    return out, ends


def _filled(trace: Trace, kind: int, layout: np.dtype[np.void], start_ns: int) -> NDArray[np.void]:
    made = np.zeros(len(trace), layout)
    bits = trace.bits
    made["mark"], made["head"], made["version"], made["size"], made["type"] = MARK, HEADER, 1, layout.itemsize, kind
    made["time_flag"], made["t_ns"] = 2, np.maximum(trace.t_ns - start_ns, 0)
    made["channel"] = trace.channel.astype(np.uint16) + 1
    made["code"] = np.searchsorted(LENGTHS, trace.dlc)
    made["id"] = trace.id.astype(np.uint32) | np.where(bits & FrameBits.EXTENDED, 0x80000000, 0).astype(np.uint32)
    made["data"] = to_matrix(trace, made["data"].shape[1])
    if kind != ERROR_EXT:
        made["flags"] = np.where(bits & FrameBits.SENT, 1, 0) | np.where(bits & FrameBits.REMOTE, 0x80, 0)
    if kind == FD_MESSAGE:
        switched, passive = bits & FrameBits.BITRATE_SWITCH != 0, bits & FrameBits.ERROR_STATE != 0
        made["more"], made["valid"] = 1 | switched * 2 | passive * 4, trace.dlc
    return made
