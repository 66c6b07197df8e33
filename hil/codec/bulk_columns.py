"""Signals of the frames of a block, one after the other in tight loops: the second pass of the bulk decoder."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.codec import bits
from hil.codec.bulk_groups import Arrays, across, swapped, widest
from hil.codec.plan import Kind, Plan
from hil.kernel import kernel

UNSIGNED, SIGNED = int(Kind.UNSIGNED), int(Kind.SIGNED)
WHOLE_UNSIGNED, WHOLE_SIGNED = int(Kind.WHOLE_UNSIGNED), int(Kind.WHOLE_SIGNED)
WIDE_UNSIGNED, WIDE_SIGNED = int(Kind.WIDE_UNSIGNED), int(Kind.WIDE_SIGNED)
FLOAT32, FLOAT64 = int(Kind.FLOAT32), int(Kind.FLOAT64)

I64s = NDArray[np.int64]
U64s = NDArray[np.uint64]


class Scratch(NamedTuple):
    """Room for one block of frames."""

    sorted_frame: NDArray[np.uint16]  # frame within the block
    group_n: I64s
    group_at: I64s
    base: I64s
    word: U64s
    joined: U64s


class Source(NamedTuple):
    """What is read of a trace."""

    t_ns: I64s
    dlc: NDArray[np.uint8]
    at: I64s
    words: U64s


class Entries(NamedTuple):
    """Which group each frame of a block brings, frames counted from the block's first."""

    group: NDArray[np.uint16]
    frame: NDArray[np.uint16]


class Output(NamedTuple):
    """Where it goes; ``position`` is how many rows of each group are filled. The rest as in ``hil.codec.bulk.Decoded``."""

    row0: I64s
    column0: I64s
    position: I64s
    t_ns: I64s
    frame: I64s
    values: NDArray[np.float64]


def scratch(plan: Plan, block: int) -> Scratch:
    """Room for blocks of ``block`` frames, at most 65536."""
    groups = len(plan.group_mux)
    return Scratch(
        np.zeros(block * widest(plan), np.uint16),
        np.zeros(groups, np.int64),
        np.zeros(groups, np.int64),
        np.zeros(block, np.int64),
        np.zeros(block, np.uint64),
        np.zeros(block, np.uint64),
    )


@kernel
def _sort(entry_group: Any, entry_frame: Any, group_n: Any, group_at: Any, out: Any) -> None:
    """Order a block's entries by group: ``out[group_at[g] - group_n[g] : group_at[g]]`` are the frames of g."""
    n = len(entry_group)
    group_n[:] = 0
    for k in range(n):
        group_n[entry_group[k]] += 1
    total = 0
    for g in range(len(group_n)):
        group_at[g] = total
        total += group_n[g]
    for k in range(n):
        g = entry_group[k]
        out[group_at[g]] = entry_frame[k]
        group_at[g] += 1


@kernel
def _gather(first: int, frames: Any, t_ns: Any, dlc: Any, at: Any, times: Any, indexes: Any, base: Any) -> int:
    """Time, index and first word of a group's frames; returns the shortest payload in bytes."""
    shortest = 255
    for r in range(len(frames)):
        i = np.uint64(first + frames[r])
        times[r] = t_ns[i]
        indexes[r] = i
        base[r] = at[i]
        shortest = min(shortest, int(dlc[i]))
    return shortest


@kernel
def _load(words: Any, base: Any, word: int, big: int, out: Any) -> None:
    """Word ``word`` of each frame; what lies behind a short frame is anything (and NaN in the end)."""
    last = np.uint64(len(words) - 1)
    for r in range(len(base)):
        out[r] = words[min(np.uint64(base[r] + word), last)]
    if big:
        for r in range(len(base)):
            out[r] = swapped(out[r])


@kernel
def _unsigned(loaded: Any, left: int, right: int, factor: float, offset: float, out: Any) -> None:
    up, down = np.uint64(left), np.uint64(right)
    if right >= 12:  # fits 52 bits: the signed conversion is the faster one
        for r in range(len(out)):
            out[r] = np.int64((loaded[r] << up) >> down) * factor + offset
    else:
        for r in range(len(out)):
            out[r] = ((loaded[r] << up) >> down) * factor + offset


@kernel
def _signed(loaded: Any, left: int, right: int, factor: float, offset: float, out: Any) -> None:
    up, down = np.uint64(left), np.int64(right)
    for r in range(len(out)):
        out[r] = (np.int64(loaded[r] << up) >> down) * factor + offset


@kernel
def _whole(loaded: Any, left: int, right: int, signed: bool, factor: float, offset: float, out: Any) -> None:
    up, down = np.uint64(left), np.uint64(right)
    whole, folded = np.int64(factor), np.int64(bits.whole_part(offset))
    rest = offset - folded
    for r in range(len(out)):
        top = loaded[r] << up
        raw = np.int64(top) >> np.int64(down) if signed else np.int64(top >> down)
        out[r] = np.float64(raw * whole + folded) + rest


@kernel
def _wide(loaded: Any, left: int, right: int, signed: bool, factor: float, offset: float, out: Any) -> None:
    up, down = np.uint64(left), np.uint64(right)
    for r in range(len(out)):
        top = loaded[r] << up
        raw = np.int64(top) >> np.int64(down) if signed else np.int64(top >> down)
        out[r] = bits.wide(int(raw), signed, factor, offset)


@kernel
def _real(loaded: Any, left: int, right: int, kind: int, factor: float, offset: float, out: Any) -> None:
    up, down = np.uint64(left), np.uint64(right)
    if kind == FLOAT64:
        for r in range(len(out)):
            out[r] = np.uint64((loaded[r] << up) >> down).view(np.float64)
    elif kind == FLOAT32:
        for r in range(len(out)):
            out[r] = np.float64(np.uint32((loaded[r] << up) >> down).view(np.float32))
    else:
        for r in range(len(out)):
            out[r] = bits.half_float(int((loaded[r] << up) >> down))
    if factor != 1.0 or offset != 0.0:  # -0.0 + 0.0 would be 0.0
        for r in range(len(out)):
            out[r] = out[r] * factor + offset


@kernel
def _rare(loaded: Any, left: int, right: int, kind: int, factor: float, offset: float, out: Any) -> None:
    if kind in (WHOLE_SIGNED, WHOLE_UNSIGNED):
        _whole(loaded, left, right, kind == WHOLE_SIGNED, factor, offset, out)
    elif kind in (WIDE_SIGNED, WIDE_UNSIGNED):
        _wide(loaded, left, right, kind == WIDE_SIGNED, factor, offset, out)
    else:
        _real(loaded, left, right, kind, factor, offset, out)


@kernel
def _join(words: Any, base: Any, word: int, inside: int, big: int, right: int, loaded: Any, joined: Any) -> None:
    """Signals that reach into the next word, moved to the top of a word."""
    last = np.uint64(len(words) - 1)
    for r in range(len(joined)):
        second = words[min(np.uint64(base[r] + word + 1), last)]
        if big:
            second = np.uint64(swapped(second))
        joined[r] = across(loaded[r], second, inside, big, right)


@kernel
def _spoil(a: Arrays, dlc: Any, first: int, frames: Any, group: int, column0: Any, at: int, values: Any) -> int:
    """NaN where a frame does not reach a signal; how many frames were too short."""
    short = 0
    for r in range(len(frames)):
        length = dlc[first + frames[r]]
        if length < a.group_reach[group]:
            short += 1
            for signal in range(a.signal0[group], a.signal0[group + 1]):
                if length < a.reach[signal]:
                    values[column0[signal] + at + r] = np.nan
    return short


@kernel
def fill(a: Arrays, source: Source, entries: Entries, first: int, out: Output, s: Scratch) -> int:
    """Decode one block, its entries given, behind what stands at ``position``; returns how many were too short."""
    # plain local arrays: a tuple of arrays passed to a function costs more than the work of a short call
    t_ns, dlc, at, words = source
    row0, column0, position, out_t_ns, out_frame, values = out
    signal0, group_reach, group_mux = a.signal0, a.group_reach, a.group_mux
    word, left, right, big, kind, inside = a.word, a.left, a.right, a.big, a.kind, a.inside
    factor, offset, group_n, group_at, sorted_frame = a.factor, a.offset, s.group_n, s.group_at, s.sorted_frame
    _sort(entries.group, entries.frame, group_n, group_at, sorted_frame)
    short = 0
    for group in range(len(group_n)):
        n = group_n[group]
        if n == 0:
            continue
        frames = sorted_frame[group_at[group] - n : group_at[group]]
        base, loaded, joined = s.base[:n], s.word[:n], s.joined[:n]
        here, start = position[group], row0[group] + position[group]
        times, indexes = out_t_ns[start : start + n], out_frame[start : start + n]
        shortest = _gather(first, frames, t_ns, dlc, at, times, indexes, base)
        at_word, at_big = -1, -1
        for signal in range(signal0[group], signal0[group + 1]):
            if word[signal] != at_word or big[signal] != at_big:
                at_word, at_big = word[signal], big[signal]
                _load(words, base, at_word, at_big, loaded)
            column = values[column0[signal] + here : column0[signal] + here + n]
            cut, up, down, what = loaded, left[signal], right[signal], kind[signal]
            if up < 0:
                _join(words, base, at_word, inside[signal], at_big, down, loaded, joined)
                cut, up = joined, 0
            if what == UNSIGNED:
                _unsigned(cut, up, down, factor[signal], offset[signal], column)
            elif what == SIGNED:
                _signed(cut, up, down, factor[signal], offset[signal], column)
            else:
                _rare(cut, up, down, what, factor[signal], offset[signal], column)
        if shortest < group_reach[group]:
            spoilt = _spoil(a, dlc, first, frames, group, column0, here, values)
            short += spoilt if group_mux[group] < 0 else 0  # a frame counts once, with what is always there
        position[group] += n
    return short
