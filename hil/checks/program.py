"""Conditions as postfix programs over the row, evaluated in three values with intervals and times.

An entry of the stack is ``(value, low, high, since_s, since_u_s, distance)``:

* a number: ``value`` and the interval its uncertainty allows; NaN with an infinite interval is unknown.
* a condition: ``value`` 1 true, 0 false, NaN unknown (Kleene logic); ``low`` is 1 when it holds in the worst case of
  all uncertainties, ``high`` is 1 when it holds in the best case; ``distance`` says how far from its edge, positive
  = true.
* ``since_s``: when the deciding terms last changed. A timed quantity has its own last-change time, any other the row's.
  True ``and``, false ``or``: the latest term; true ``or``, false ``and``: the earliest term that alone decides.

Two indices reach into vectors: ``element``, the instance of an ``each: all`` check, and the loop of ``any``/``all``/
``max``/``min``. The timeline uses the same programs for its wait-until.
"""

from enum import IntEnum
from typing import Annotated

import numpy as np

from hil.kernel import F64, I32, I64, Floats, Rows, kernel

OPS = 4096
DEPTH = 24

Entry = tuple[float, float, float, float, float, float]


class Code(IntEnum):
    """What an operation does. Relations appear three times: on two entries, and fused with a column and a constant."""

    CONSTANT = 0
    COLUMN = 1
    COLUMN_LT = 2
    COLUMN_LE = 3
    COLUMN_GT = 4
    COLUMN_GE = 5
    COLUMN_EQ = 6
    COLUMN_NE = 7
    LOOP = 8
    NEXT = 9
    NEG = 10
    ABS = 11
    NOT = 12
    ADD = 16
    SUB = 17
    MUL = 18
    DIV = 19
    MIN = 20
    MAX = 21
    AND = 22
    OR = 23
    LT = 24
    LE = 25
    GT = 26
    GE = 27
    EQ = 28
    NE = 29


# Kernels may hold codes, not calibration; a change of this file changes the cache key.
_CONSTANT, _COLUMN, _COLUMN_LE, _COLUMN_GE, _COLUMN_EQ, _LOOP, _NEXT = 0, 1, 3, 5, 6, 8, 9
_NEG, _ABS, _ADD, _SUB, _MUL, _DIV, _MIN, _MAX = 10, 11, 16, 17, 18, 19, 20, 21
_AND, _LT, _LE, _GT, _GE, _EQ = 22, 24, 25, 26, 27, 28


class Op:
    """One operation. ``column`` moves by ``stride`` per element and by ``loop_stride`` per turn of a loop."""

    code: I32
    column: I32
    time_column: I32  # -1: the row's time
    stride: I32
    time_stride: I32
    loop_stride: I32
    loop_time_stride: I32
    turns: I32  # NEXT: how often the loop runs
    jump: I32  # NEXT: first operation of the body
    fold: I32  # NEXT: Code that joins two turns
    number: F64  # constant
    u: F64  # half width of the column's value
    time_u_s: F64  # half width of the column's time


class Program:
    """All operations of a run; a condition is a range of them."""

    n_ops: I64
    op: Annotated[Rows[Op], OPS]


class Stack:
    """Entries below the top one."""

    entry: Annotated[Floats, DEPTH, 6]


@kernel
def evaluate(p: Program, s: Stack, start: int, stop: int, element: int, t_s: float, row: Floats) -> Entry:
    """The entry that operations ``start`` to ``stop`` (exclusive) leave, at row time ``t_s`` (seconds of the run)."""
    top = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    depth = 0
    turn = 0
    at = start
    while at < stop:
        op = p.op[at]
        code = op.code
        at += 1
        if code < _LOOP:
            if depth > 0:
                _store(s, depth - 1, top)
            depth += 1
            if code == _CONSTANT:
                top = (op.number, op.number, op.number, -np.inf, 0.0, 0.0)
            else:
                since = t_s
                if op.time_column >= 0:
                    since = row[op.time_column + element * op.time_stride + turn * op.loop_time_stride]
                    if np.isnan(since):
                        since = t_s
                top = _pushed(op, row[op.column + element * op.stride + turn * op.loop_stride], since)
        elif code == _LOOP:
            turn = 0
        elif code == _NEXT:
            if turn > 0:
                depth -= 1
                top = _binary(op.fold, _load(s, depth - 1), top)
            turn += 1
            if turn < op.turns:
                at = op.jump
            else:
                turn = 0
        elif code < _ADD:
            top = _unary(code, top)
        else:
            depth -= 1
            top = _binary(code, _load(s, depth - 1), top)
    return top


@kernel
def _store(s: Stack, at: int, e: Entry) -> None:
    for i in range(6):
        s.entry[at, i] = e[i]


@kernel
def _load(s: Stack, at: int) -> Entry:
    return (s.entry[at, 0], s.entry[at, 1], s.entry[at, 2], s.entry[at, 3], s.entry[at, 4], s.entry[at, 5])


@kernel
def _pushed(op: Op, value: float, since: float) -> Entry:
    """The entry of a column, or of a column compared with a constant."""
    if op.code != _COLUMN:
        return _against(op.code, value, op.u, op.number, since, op.time_u_s)
    if np.isnan(value):
        return (value, -np.inf, np.inf, since, op.time_u_s, 0.0)
    return (value, value - op.u, value + op.u, since, op.time_u_s, 0.0)


@kernel
def _against(code: int, value: float, u: float, number: float, since: float, since_u: float) -> Entry:
    """A column compared with a constant, by the signed distance from the edge: by far the most frequent operation."""
    away = value - number
    if np.isnan(away):
        return (np.nan, 0.0, 1.0, since, since_u, np.nan)
    if code >= _COLUMN_EQ:
        equal = 1.0 if away == 0.0 else 0.0
        exact = equal if u == 0.0 else 0.0
        touch = 1.0 if abs(away) <= u else 0.0
        if code == _COLUMN_EQ:
            return (equal, exact, touch, since, since_u, np.nan)
        return (1.0 - equal, 1.0 - touch, 1.0 - exact, since, since_u, np.nan)
    if code <= _COLUMN_LE:
        away = -away
    if code in (_COLUMN_LE, _COLUMN_GE):
        return (
            1.0 if away >= 0.0 else 0.0,
            1.0 if away >= u else 0.0,
            1.0 if away >= -u else 0.0,
            since,
            since_u,
            away,
        )
    return (1.0 if away > 0.0 else 0.0, 1.0 if away > u else 0.0, 1.0 if away > -u else 0.0, since, since_u, away)


@kernel
def _unary(code: int, e: Entry) -> Entry:
    value, low, high, since, since_u, distance = e
    if code == _NEG:
        return (-value, -high, -low, since, since_u, 0.0)
    if code == _ABS:
        nearest = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
        return (abs(value), nearest, max(abs(low), abs(high)), since, since_u, 0.0)
    return (1.0 - value, 1.0 - high, 1.0 - low, since, since_u, -distance)


@kernel
def _binary(code: int, a: Entry, b: Entry) -> Entry:
    if code >= _LT:
        return _relation(code, a, b)
    if code >= _AND:
        return _logic(code == _AND, a, b)
    return _arithmetic(code, a, b)


@kernel
def _relation(code: int, a: Entry, b: Entry) -> Entry:
    since, since_u = a[3], a[4]
    if b[3] > since or (b[3] == since and b[4] > since_u):
        since, since_u = b[3], b[4]
    if np.isnan(a[0]) or np.isnan(b[0]):
        return (np.nan, 0.0, 1.0, since, since_u, np.nan)
    if code >= _EQ:
        exact = a[1] == a[2] and b[1] == b[2] and a[0] == b[0]
        touch = a[1] <= b[2] and b[1] <= a[2]
        if code == _EQ:
            return _held(a[0] == b[0], exact, touch, since, since_u, np.nan)
        return _held(a[0] != b[0], not touch, not exact, since, since_u, np.nan)
    if code == _GT:
        return _held(a[0] > b[0], a[1] > b[2], a[2] > b[1], since, since_u, a[0] - b[0])
    if code == _GE:
        return _held(a[0] >= b[0], a[1] >= b[2], a[2] >= b[1], since, since_u, a[0] - b[0])
    if code == _LT:
        return _held(a[0] < b[0], a[2] < b[1], a[1] < b[2], since, since_u, b[0] - a[0])
    return _held(a[0] <= b[0], a[2] <= b[1], a[1] <= b[2], since, since_u, b[0] - a[0])


@kernel
def _held(value: bool, low: bool, high: bool, since: float, since_u: float, distance: float) -> Entry:
    """The entry of a known condition."""
    return (1.0 if value else 0.0, 1.0 if low else 0.0, 1.0 if high else 0.0, since, since_u, distance)


@kernel
def _logic(both: bool, a: Entry, b: Entry) -> Entry:
    """``and`` when ``both``, else ``or``: one is the other with true and false exchanged."""
    decides = 0.0 if both else 1.0
    low = min(a[1], b[1]) if both else max(a[1], b[1])
    high = min(a[2], b[2]) if both else max(a[2], b[2])
    distance = b[5]
    if np.isnan(b[5]) or (not np.isnan(a[5]) and (a[5] < b[5]) == both):
        distance = a[5]
    later = a[3] > b[3] or (a[3] == b[3] and a[4] > b[4])
    since, since_u = (a[3], a[4]) if later else (b[3], b[4])
    if a[0] == decides and b[0] == decides:
        since, since_u = (b[3], b[4]) if later else (a[3], a[4])
    elif a[0] == decides:
        since, since_u = a[3], a[4]
    elif b[0] == decides:
        since, since_u = b[3], b[4]
    if a[0] == decides or b[0] == decides:
        value = decides
    elif np.isnan(a[0]) or np.isnan(b[0]):
        value = np.nan
    else:
        value = 1.0 - decides
    return (value, low, high, since, since_u, distance)


@kernel
def _arithmetic(code: int, a: Entry, b: Entry) -> Entry:
    since, since_u = a[3], a[4]
    if b[3] > since or (b[3] == since and b[4] > since_u):
        since, since_u = b[3], b[4]
    if code == _ADD:
        value, low, high = a[0] + b[0], a[1] + b[1], a[2] + b[2]
    elif code == _SUB:
        value, low, high = a[0] - b[0], a[1] - b[2], a[2] - b[1]
    elif code == _MIN:
        value, low, high = min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2])
    elif code == _MAX:
        value, low, high = max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])
    elif code == _MUL:
        value = a[0] * b[0]
        p, q, r, z = a[1] * b[1], a[1] * b[2], a[2] * b[1], a[2] * b[2]
        low, high = min(min(p, q), min(r, z)), max(max(p, q), max(r, z))
    else:
        value = a[0] / b[0] if b[0] != 0.0 else np.nan
        if b[1] <= 0.0 <= b[2]:
            low, high = -np.inf, np.inf
        else:
            p, q, r, z = a[1] / b[1], a[1] / b[2], a[2] / b[1], a[2] / b[2]
            low, high = min(min(p, q), min(r, z)), max(max(p, q), max(r, z))
    if np.isnan(a[0]) or np.isnan(b[0]):
        value = np.nan
    if np.isnan(value) or not low <= high:
        low, high = -np.inf, np.inf
    return (value, low, high, since, since_u, 0.0)
