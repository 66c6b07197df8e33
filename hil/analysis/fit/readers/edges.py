"""Samples at the very change of a current, for cyclers that log seldom or mix old and new at it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.analysis.fit.readers.recording import Floats

LEAST_S = 1e-3  # between the last sample of a step and the begin of the next
EDGE_S = 0.1  # samples this near to a change of current may mix old and new
EDGE_SHARE = 0.05  # of the greatest current: what counts as a change
STALE_V = 0.005  # a voltage that moved less over a change of current has not been read again
AHEAD_V = 0.02  # a voltage that moved more while the current did not has been read before it


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Arrays of shape (n,): ``read`` is False where the voltage was not read, ``origin`` the sample before any change."""

    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    read: NDArray[np.bool_]
    origin: NDArray[np.int64]


def with_begins(step: Floats, within_s: Floats, time_s: Floats, current_a: Floats, voltage_v: Floats) -> Samples:
    """The samples and one at the begin of each step that was logged later only: its current, the voltage before it.

    ``step`` numbers the cycler's steps, ``within_s`` is the time since the step's begin; all arrays of shape (n,).
    """
    first = np.flatnonzero(np.diff(step)) + 1
    begin_s = np.maximum(time_s[first] - within_s[first], time_s[first - 1] + LEAST_S)
    late = begin_s < time_s[first] - LEAST_S
    first, begin_s = first[late], begin_s[late]
    origin = np.insert(np.arange(time_s.size), first, first)
    read = np.insert(np.ones(time_s.size, dtype=np.bool_), first, False)
    return Samples(
        np.insert(time_s, first, begin_s),
        np.insert(current_a, first, current_a[first]),
        np.insert(voltage_v, first, voltage_v[first - 1]),
        read,
        origin,
    )


def step_begins_replaced(step: Floats, within_s: Floats, samples: Samples) -> Samples:
    """Of the samples logged at the begin of a step (``within_s`` 0) the last, with the current that follows in the step.

    They hold the old current beside the new voltage or the new beside the old. The first sample stays as it is.
    """
    begin = (within_s <= 0.0) & (np.arange(step.size) > 0)
    current_a, keep = samples.current_a.copy(), ~begin
    for k in np.flatnonzero(begin):
        last = k + 1 == step.size or not begin[k + 1] or step[k + 1] != step[k]
        if last and k + 1 < step.size and step[k + 1] == step[k]:
            current_a[k], keep[k] = current_a[k + 1], True
    return _kept(Samples(samples.time_s, current_a, samples.voltage_v, samples.read & ~begin, samples.origin), keep)


def unmixed(samples: Samples) -> Samples:
    """Without samples whose voltage is ahead of the current; a voltage that is behind it counts as not read."""
    change = EDGE_SHARE * np.max(np.abs(samples.current_a), initial=0.0)
    near = np.diff(samples.time_s) < EDGE_S
    turned = np.abs(np.diff(samples.current_a)) > change
    moved_v = np.abs(np.diff(samples.voltage_v))
    read, keep = samples.read.copy(), np.ones(samples.time_s.size, dtype=np.bool_)
    read[1:] &= ~(near & turned & (moved_v < STALE_V))
    keep[1:-1] = ~((near & ~turned & (moved_v > AHEAD_V))[:-1] & turned[1:])
    return _kept(Samples(samples.time_s, samples.current_a, samples.voltage_v, read, samples.origin), keep)


def forward(samples: Samples) -> Samples:
    """Of samples at one time the last; at the begin the first too, a millisecond before it."""
    time_s = samples.time_s.copy()
    at_begin = np.flatnonzero(time_s == time_s[0])
    if at_begin.size > 1:
        time_s[at_begin[-1]] += LEAST_S
    keep = np.append(np.diff(time_s) != 0.0, True)
    keep[at_begin[1:-1]] = False
    keep[0] = True
    return _kept(Samples(time_s, samples.current_a, samples.voltage_v, samples.read, samples.origin), keep)


def all_read(time_s: Floats, current_a: Floats, voltage_v: Floats) -> Samples:
    """Arrays as they were logged."""
    return Samples(time_s, current_a, voltage_v, np.ones(time_s.size, dtype=np.bool_), np.arange(time_s.size))


def _kept(samples: Samples, keep: NDArray[np.bool_]) -> Samples:
    return Samples(
        samples.time_s[keep],
        samples.current_a[keep],
        samples.voltage_v[keep],
        samples.read[keep],
        samples.origin[keep],
    )
