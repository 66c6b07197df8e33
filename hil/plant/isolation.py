"""Isolation: both rails to chassis, leaks anywhere in the stack, settling through the Y-capacitance.

A leak of conductance g at position x of the stack (0 = minus, 1 = plus) is seen from outside as g x at the plus rail
and g (1 - x) at the minus rail: same conductance in all, same chassis potential.
"""

import math

from hil.files.pack import PackModel
from hil.kernel import F64, Floats, kernel


class IsolationParams:
    """Conductances to chassis that stand from the start, and the Y-capacitance of both rails together."""

    plus_s: F64
    minus_s: F64
    y_capacitance_f: F64


class IsolationState:
    """``seen_s`` is what a monitor has settled to; ``chassis_v`` the chassis above the minus rail."""

    leak_plus_s: F64  # extra leaks in force
    leak_minus_s: F64
    seen_s: F64
    chassis_v: F64


@kernel
def advance(s: IsolationState, p: IsolationParams, dt_s: float, stack_v: float) -> None:
    """Settle over ``dt_s`` towards the values of the leaks in force, time constant Y-capacitance over conductance."""
    plus_s, minus_s = p.plus_s + s.leak_plus_s, p.minus_s + s.leak_minus_s
    total_s = plus_s + minus_s
    left = math.exp(-dt_s * total_s / p.y_capacitance_f) if p.y_capacitance_f > 0.0 else 0.0
    goal_v = stack_v * plus_s / total_s
    s.chassis_v = goal_v + (s.chassis_v - goal_v) * left
    s.seen_s = total_s + (s.seen_s - total_s) * left


@kernel
def latch(s: IsolationState, row: Floats, plus_column: int, minus_column: int) -> None:
    """Take the extra leaks of the row (S), in force from now on."""
    s.leak_plus_s = row[plus_column]
    s.leak_minus_s = row[minus_column]


@kernel
def begin(s: IsolationState, p: IsolationParams, stack_v: float) -> None:
    """Settled without extra leaks."""
    s.leak_plus_s, s.leak_minus_s = 0.0, 0.0
    s.seen_s = p.plus_s + p.minus_s
    s.chassis_v = stack_v * p.plus_s / s.seen_s


@kernel
def at_position(conductance_s: float, position: float) -> tuple[float, float]:
    """(plus, minus) conductances that stand for a leak at ``position`` of the stack, 0 = minus rail, 1 = plus rail."""
    return conductance_s * position, conductance_s * (1.0 - position)


def fill(record: IsolationParams, pack: PackModel) -> None:
    """Fill the params from the pack file, its standing leaks included."""
    record.plus_s = 1.0 / pack.isolation.plus
    record.minus_s = 1.0 / pack.isolation.minus
    for leak in pack.isolation.leaks:
        plus_s, minus_s = at_position(1.0 / leak.resistance, leak.position)
        record.plus_s += plus_s
        record.minus_s += minus_s
    record.y_capacitance_f = pack.isolation.y_capacitance
