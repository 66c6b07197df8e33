"""Which groups each frame of a log brings: the first pass of the bulk decoder."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.codec.layout import parameter_group
from hil.codec.plan import EXTENDED_KEY, Kind, Plan, first_bit
from hil.kernel import kernel
from hil.tick import FrameBits

EXTENDED = int(FrameBits.EXTENDED)
PASSED_OVER = int(FrameBits.ERROR | FrameBits.REMOTE | FrameBits.LOST)
STANDARD = 2048  # identifiers of 11 bits
NONE = -1
HARD = -2
UNSIGNED, SIGNED = int(Kind.UNSIGNED), int(Kind.SIGNED)
WHOLE_SIGNED, WIDE_SIGNED = int(Kind.WHOLE_SIGNED), int(Kind.WIDE_SIGNED)

I64s = NDArray[np.int64]
I32s = NDArray[np.int32]
F64s = NDArray[np.float64]


class Arrays(NamedTuple):
    """What the kernels need of a plan; names as there. ``inside`` is a signal's first bit within its word."""

    standard: NDArray[np.int16]  # message of each 11-bit identifier
    key: I64s  # hash table of the other identifiers, NONE = free; its length is a power of two
    key_message: NDArray[np.int16]
    group0: I32s
    mux0: I32s
    signal0: I32s
    group_mux: I32s
    group_reach: I32s
    mux_group: I32s
    mux_signal: I32s
    edge0: I32s
    edge_low: I64s
    edge_high: I64s
    branch0: I32s
    branch: I32s
    big: I32s
    kind: I32s
    word: I32s
    left: I32s
    right: I32s
    inside: I32s
    reach: I32s
    factor: F64s
    offset: F64s
    has_j1939: bool
    easy_mux: I32s  # per message: its only multiplexer when that is a plain one, HARD, or NONE when it has none
    easy_low: I64s  # per message: value that brings ``easy_group``; the next value brings the next group
    easy_count: I64s
    easy_group: I32s


def arrays(plan: Plan) -> Arrays:
    """The plan's arrays as the kernels take them."""
    standard = np.full(STANDARD, NONE, np.int16)
    table: dict[int, int] = {}
    for key, message in zip(plan.sorted_key.tolist(), plan.order.tolist(), strict=True):
        if key < STANDARD:
            standard[key] = message
        else:
            table[key] = message
    for message, described in enumerate(plan.messages):
        if described.j1939:
            table.setdefault(parameter_group(described.id), message)
    keys, key_message = _hash_table(table)
    reach = plan.reach
    ends = [reach[a:b].max(initial=0) for a, b in zip(plan.signal0, plan.signal0[1:], strict=False)]
    return Arrays(
        standard,
        keys,
        key_message,
        plan.group0,
        plan.mux0,
        plan.signal0,
        plan.group_mux,
        np.array(ends, np.int32),
        plan.mux_group,
        plan.mux_signal,
        plan.edge0,
        plan.edge_low,
        plan.edge_high,
        plan.branch0,
        plan.branch,
        plan.big,
        plan.kind,
        plan.word,
        plan.left,
        plan.right,
        np.array([first_bit(e.signal) & 63 for e in plan.listed], np.int32),
        reach,
        plan.factor,
        plan.offset,
        any(message.j1939 for message in plan.messages),
        *_easy(plan),
    )


def _hash_table(table: dict[int, int]) -> tuple[I64s, NDArray[np.int16]]:
    size = 4
    while size < 4 * len(table):
        size *= 2
    keys, messages = np.full(size, NONE, np.int64), np.full(size, NONE, np.int16)
    for key, message in table.items():
        slot = int(hashed(key, size))
        while keys[slot] != NONE:
            slot = (slot + 1) % size
        keys[slot], messages[slot] = key, message
    return keys, messages


def _easy(plan: Plan) -> tuple[I32s, I64s, I64s, I32s]:
    """Messages with one plain multiplexer: values that follow each other, each bringing one group of its own."""
    n = len(plan.messages)
    mux, low, number, group = (
        np.full(n, NONE, np.int32),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int32),
    )
    for message in range(n):
        first, last = plan.mux0[message], plan.mux0[message + 1]
        if first == last:
            continue
        mux[message] = HARD
        edges = slice(plan.edge0[first], plan.edge0[last])
        count = edges.stop - edges.start
        signal = plan.mux_signal[first]
        branches = plan.branch[plan.branch0[edges.start] : plan.branch0[edges.stop]]
        lows = plan.edge_low[edges]
        follows = count > 0 and len(branches) == count and bool(np.array_equal(lows, lows[0] + np.arange(count)))
        single = bool(np.array_equal(lows, plan.edge_high[edges]))
        ordered = count > 0 and bool(np.array_equal(branches, branches[:1] + np.arange(len(branches))))
        if (
            last - first == 1
            and follows
            and single
            and ordered
            and plan.left[signal] >= 0
            and plan.kind[signal] == UNSIGNED
        ):
            mux[message], low[message], number[message], group[message] = first, lows[0], count, branches[0]
    return mux, low, number, group


def widest(plan: Plan) -> int:
    """Most groups one frame can bring."""
    most = 1
    for message in range(len(plan.messages)):
        edges = [plan.edge0[x : x + 2] for x in range(plan.mux0[message], plan.mux0[message + 1])]
        brought = (np.diff(plan.branch0[a : b + 1]).max(initial=0) for a, b in edges)
        most = max(most, 1 + sum(int(n) for n in brought))
    return most


@kernel
def swapped(word: int) -> int:
    """The word with its bytes in the opposite order."""
    w = np.uint64(word)
    even = np.uint64(0x00FF00FF00FF00FF)
    w = ((w >> np.uint64(8)) & even) | ((w & even) << np.uint64(8))
    even = np.uint64(0x0000FFFF0000FFFF)
    w = ((w >> np.uint64(16)) & even) | ((w & even) << np.uint64(16))
    return (w >> np.uint64(32)) | (w << np.uint64(32))  # type: ignore[return-value]  # an unsigned number


@kernel
def across(first: int, second: int, inside: int, big: int, right: int) -> int:
    """A signal that begins at bit ``inside`` of one word and ends in the next, moved to the top of a word."""
    a, b, n = np.uint64(first), np.uint64(second), np.uint64(inside)
    rest = np.uint64(64) - n
    if big:
        return (a << n) | (b >> rest)  # type: ignore[return-value]  # an unsigned number
    return ((a >> n) | (b << rest)) << np.uint64(right)  # type: ignore[return-value]  # an unsigned number


@kernel
def _raw(a: Arrays, words: Any, at: int, signal: int) -> int:
    """Raw number of one signal of one frame."""
    first = words[at + a.word[signal]]
    if a.big[signal]:
        first = swapped(first)
    if a.left[signal] >= 0:
        top = np.uint64(first) << np.uint64(a.left[signal])
    else:
        second = words[at + a.word[signal] + 1]
        if a.big[signal]:
            second = swapped(second)
        top = np.uint64(across(first, second, a.inside[signal], a.big[signal], a.right[signal]))
    if a.kind[signal] in (SIGNED, WHOLE_SIGNED, WIDE_SIGNED):
        return np.int64(top) >> np.int64(a.right[signal])  # type: ignore[return-value]  # a numpy integer
    return np.int64(top >> np.uint64(a.right[signal]))  # type: ignore[return-value]  # a numpy integer


@kernel
def _edge(a: Arrays, words: Any, at: int, length: int, mux: int) -> int:
    """Edge a multiplexer reads, NONE when its value brings nothing or the frame does not reach it."""
    signal = a.mux_signal[mux]
    if length < a.reach[signal]:
        return NONE
    value = _raw(a, words, at, signal)
    low, end = a.edge0[mux], a.edge0[mux + 1]
    high = end
    guess = (
        int(low) + int(value) - int(a.edge_low[low]) if low < end else int(value)
    )  # right when the values follow each other
    if low <= guess < end and a.edge_low[guess] <= value <= a.edge_high[guess]:
        return int(guess)
    while low < high:
        middle = (low + high) >> 1
        if a.edge_high[middle] < value:
            low = middle + 1
        else:
            high = middle
    return int(low) if low < end and a.edge_low[low] <= value else NONE


@kernel
def _is_there(a: Arrays, words: Any, at: int, length: int, group: int) -> bool:
    """True when the frame brings the group, by asking the multiplexers above it."""
    while a.group_mux[group] >= 0:
        mux = a.group_mux[group]
        edge = _edge(a, words, at, length, mux)
        if edge == NONE:
            return False
        found = False
        for k in range(a.branch0[edge], a.branch0[edge + 1]):
            found = found or a.branch[k] == group
        if not found:
            return False
        group = a.mux_group[mux]
    return True


@kernel
def hashed(key: int, size: int) -> int:
    """Slot of a key below 2^32 in a hash table of ``size`` = 2^n slots (multiplicative; the product fits 63 bits)."""
    return ((key * 0x4F1BBCDD) >> 20) & (size - 1)


@kernel
def message_of(keys: Any, messages: Any, key: int) -> int:
    """Index of the message of an identifier key in the hash table, NONE when there is none."""
    slot = hashed(key, len(keys))
    while keys[slot] != key and keys[slot] != NONE:
        slot = (slot + 1) & (len(keys) - 1)
    return int(messages[slot])


@kernel
def _groups(
    a: Arrays, words: Any, at: int, length: int, message: int, frame: int, groups: Any, frames: Any, counts: Any, n: int
) -> int:
    """Append (group, frame) for every group the frame brings; how many entries there are now."""
    groups[n], frames[n] = a.group0[message], frame
    counts[a.group0[message]] += 1
    n += 1
    for mux in range(a.mux0[message], a.mux0[message + 1]):
        if a.mux_group[mux] != a.group0[message] and not _is_there(a, words, at, length, a.mux_group[mux]):
            continue
        edge = _edge(a, words, at, length, mux)
        if edge != NONE:
            for k in range(a.branch0[edge], a.branch0[edge + 1]):
                groups[n], frames[n] = a.branch[k], frame
                counts[a.branch[k]] += 1
                n += 1
    return n


@kernel
def classify(a: Arrays, identifier: Any, flags: Any, message: Any) -> tuple[int, int]:
    """Find each frame's message, NONE for those not decoded; data frames of no message, frames of multiplexed ones."""
    standard, keys, key_message, easy_mux = a.standard, a.key, a.key_message, a.easy_mux
    unknown, multiplexed = 0, 0
    for i in range(len(identifier)):
        m = NONE
        if flags[i] & PASSED_OVER == 0:
            key = np.int64(identifier[i]) + (EXTENDED_KEY if flags[i] & EXTENDED else 0)
            if flags[i] & EXTENDED:
                m = message_of(keys, key_message, int(key))
                if m < 0 and a.has_j1939:
                    m = message_of(keys, key_message, parameter_group(int(identifier[i])))
            elif 0 <= key < STANDARD:
                m = int(standard[key])
            unknown += m < 0
            multiplexed += m >= 0 and easy_mux[m] != NONE
        message[i] = m
    return unknown, multiplexed


@kernel
def entries(
    a: Arrays, dlc: Any, at: Any, words: Any, message: Any, block: int, counts: Any, ends: Any, groups: Any, frames: Any
) -> int:
    """List (group, frame within its block) of all frames, block by block, and count the rows of each group.

    ``ends[k]`` is where the entries of block k end. Returns their number.
    """
    group0, easy_mux, easy_low, easy_count, easy_group = a.group0, a.easy_mux, a.easy_low, a.easy_count, a.easy_group
    mux_signal, word, left, right, big, reach = a.mux_signal, a.word, a.left, a.right, a.big, a.reach
    n = 0
    for k in range((len(dlc) + block - 1) // block):
        first = k * block
        for inside in range(min(block, len(dlc) - first)):
            i = np.uint64(first + inside)
            m = message[i]
            if m < 0:
                continue
            mux = easy_mux[m]
            if mux == HARD:
                n = _groups(a, words, at[i], dlc[i], m, inside, groups, frames, counts, n)
                continue
            groups[n], frames[n] = group0[m], inside
            counts[group0[m]] += 1
            n += 1
            if mux >= 0:
                signal = mux_signal[mux]
                if dlc[i] >= reach[signal]:
                    whole = words[at[i] + word[signal]]
                    if big[signal]:
                        whole = np.uint64(swapped(whole))
                    value = np.int64((whole << np.uint64(left[signal])) >> np.uint64(right[signal])) - easy_low[m]
                    if 0 <= value < easy_count[m]:
                        groups[n], frames[n] = easy_group[m] + value, inside
                        counts[easy_group[m] + value] += 1
                        n += 1
        ends[k] = n
    return n
