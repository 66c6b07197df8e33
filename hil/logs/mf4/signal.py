"""Payloads of an MDF 4 file that lie outside their records: in blocks of their own, or in records of another group.

A record holds the offset of its payload in what would be one long stream of payloads, each behind its length (u32).
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hil.logs.mf4.data import Matrix, Stretch
from hil.logs.mf4.records import Places, Records, Stream

MOST = 64  # bytes of a frame
TRIED = 4  # first records, of the stream or behind a damage, by which payloads are found again
MOST_BESIDE = 0.8  # share of frames with a payload where one is expected, in a stream that has each beside its frame


@dataclass(frozen=True, slots=True, eq=False)
class Payloads:
    """Payloads in rows, and which of them the file has."""

    rows: Matrix
    there: NDArray[np.bool_]


def from_blocks(held: list[Stretch], offsets: NDArray[np.uint64]) -> Payloads:
    """Payloads in blocks of their own; gaps in these cost the payloads that lay there."""
    data = np.frombuffer(b"".join(stretch.data for stretch in held), np.uint8)
    if not held:
        return _gathered(
            data, np.zeros(len(offsets), np.int64), np.zeros(len(offsets), np.bool_), np.zeros(0, np.int64)
        )
    wanted = np.minimum(offsets, np.uint64(2**62)).astype(np.int64)
    starts = np.array([stretch.start for stretch in held], np.int64)
    sizes = np.array([len(stretch.data) for stretch in held], np.int64)
    bases = np.cumsum(sizes) - sizes
    index = np.clip(np.searchsorted(starts, wanted, side="right") - 1, 0, None)
    inside = wanted - starts[index]
    there = (inside >= 0) & (inside + 4 <= sizes[index])
    return _gathered(data, np.where(there, bases[index] + inside, 0), there, (bases + sizes)[index])


def from_records(records: Records, group_at: int, offsets: NDArray[np.uint64], by_order: bool) -> Payloads | None:
    """Payloads in the records of the group at ``group_at`` of the same stream; None when there is no such group.

    An offset counts the payloads before it. Where records were lost, a payload is the frame's own that lies as far from it
    as those of the first frames do; in a stream where these lie here and there the count goes on anew, by what fits the
    most records up to the next damage. ``by_order``: the recorder did not write the offsets, the payloads come in the
    frames' order.
    """
    stream = records.stream
    index = next((i for i, g in enumerate(stream.groups) if g.at == group_at), None) if stream else None
    if stream is None or index is None:
        return None
    places = stream.where[stream.which == index]
    ends = np.full(len(records), len(stream.data), np.int64)
    if not len(places):
        return _gathered(stream.data, np.zeros(len(records), np.int64), np.zeros(len(records), np.bool_), ends)
    sizes = _u32(stream.data, places) + 4
    counted = np.cumsum(sizes) - sizes
    wanted = np.minimum(offsets, np.uint64(2**62)).astype(np.int64)
    if by_order and len(places) == len(records) and not len(stream.breaks):
        return _gathered(stream.data, places, np.ones(len(records), np.bool_), ends)
    found = _by_offset(wanted, counted)
    if len(stream.breaks) or (found[:-1] < 0).any() or (np.diff(found[:-1]) <= 0).any():
        beside = _beside(records.where, places, found)
        found = _matched(stream, records.where, places, wanted, counted) if beside is None else beside
    return _gathered(stream.data, places[np.maximum(found, 0)], found >= 0, ends)


def _by_offset(asked: Places, have: Places) -> Places:
    """Index of the payload at each offset, -1 where there is none."""
    at = np.minimum(np.searchsorted(have, asked), len(have) - 1)
    return np.where(have[at] == asked, at, -1)


def _beside(frames: Places, places: Places, found: Places) -> Places | None:
    """Index of the payload as far from each frame as from the first ones, -1 where there is none; None when few are."""
    first = np.flatnonzero(found[:TRIED] >= 0)
    tried = [_by_offset(frames + far, places) for far in dict.fromkeys((places[found[first]] - frames[first]).tolist())]
    best = max(tried, key=lambda one: int((one >= 0).sum()), default=np.full(len(frames), -1, np.int64))
    return best if (best >= 0).mean() > MOST_BESIDE else None


def _matched(stream: Stream, frames: Places, places: Places, wanted: Places, counted: Places) -> Places:
    """Index of each frame's payload, -1 when it was lost."""
    out = np.full(len(frames), -1, np.int64)
    of_frame, of_place = (np.searchsorted(stream.breaks, x, side="right") for x in (frames, places))
    shift = 0
    for part in range(len(stream.breaks) + 1):
        mine = slice(*np.searchsorted(of_frame, [part, part + 1]))
        theirs = slice(*np.searchsorted(of_place, [part, part + 1]))
        asked, have = wanted[mine], counted[theirs]
        if not len(asked) or not len(have):
            continue
        pairs = (asked[:TRIED, None] - have[None, :TRIED]).ravel().tolist() if part else []
        shifts = dict.fromkeys([shift, *pairs])
        shift = max(shifts, key=lambda by: int(np.isin(asked - by, have).sum()))
        found = _by_offset(asked - shift, have)
        out[mine] = np.where(found >= 0, found + theirs.start, -1)
    return out


def _u32(data: NDArray[np.uint8], places: Places) -> Places:
    """The numbers of 4 bytes at these places, all of which lie inside."""
    return np.ascontiguousarray(sliding_window_view(data, 4)[places]).view("<u4")[:, 0].astype(np.int64)


def _gathered(data: NDArray[np.uint8], places: Places, there: NDArray[np.bool_], ends: Places) -> Payloads:
    """The payload behind the length at each place; one that goes beyond its end is not there."""
    if not len(data) or not there.any():
        return Payloads(np.zeros((len(places), 0), np.uint8), np.zeros(len(places), np.bool_))
    sizes = _u32(data, np.where(there, places, 0))
    there = there & (sizes <= MOST) & (places + 4 + sizes <= ends)
    width = int(sizes[there].max(initial=0))
    room = np.concatenate([data, np.zeros(4 + width, np.uint8)])
    rows = sliding_window_view(room, 4 + width)[np.where(there, places, 0), 4:]
    rows[np.arange(width) >= sizes[:, None]] = 0
    return Payloads(rows, there)
