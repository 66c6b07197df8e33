"""The high-voltage circuit: stack, wiring, fuse, both mains, precharge, link capacitor and what hangs on the link.

Between two pole edges the circuit is linear with one capacitor, so its voltage, charge and losses are closed
forms, exact for any length of step and any ratio of step to time constant:

    v(t) = v_inf + (v_0 - v_inf) exp(-a t),  a = (1 / R + g) / C

with R the path from the stack to the link, g the conductances across the link. Losses are integrals of the square of
the same exponentials. A load current flows while both mains conduct; the link's negative terminal is the reference
of its own voltage, the stack's minus terminal that of ``behind_*``.
"""

import math

from hil.files.pack import PackModel
from hil.kernel import F64, I64, Ints, kernel
from hil.tick import Switch

PLUS = int(Switch.MAIN_PLUS)
MINUS = int(Switch.MAIN_MINUS)
PRECHARGE = int(Switch.PRECHARGE)


class CircuitParams:
    """Elements, SI. Conductances that are absent are 0."""

    wiring_ohm: F64
    fuse_ohm: F64
    contact_ohm: F64
    precharge_ohm: F64
    link_f: F64
    link_s: F64  # bleed and standing load
    active_s: F64  # active discharge, acts while both mains are open
    standing_w: F64  # constant power, flows while both mains conduct
    fusing_a2: F64  # square of the current that just melts the fuse after long
    fuse_s: F64  # melting integral over fusing_a2


class CircuitState:
    """Link voltage, fuse, and energies since ``begin``; ``mean_*`` describe the last step."""

    link_v: F64
    blown: I64
    fuse_a2: F64  # square of the current that the fuse's temperature stands for
    load_a: F64  # asked for
    mean_a: F64  # stack current of the last step
    mean_a2: F64  # mean of its square
    inrushes: I64  # closings of a main onto a link at another voltage
    inrush_a: F64  # highest peak of them
    source_j: F64  # given by the stack's EMF
    path_j: F64  # lost in stack resistance, wiring, fuse and contacts
    precharge_j: F64  # lost in the precharge resistor
    link_j: F64  # taken by bleed, standing load and active discharge
    load_j: F64  # taken by load current and standing power
    behind_plus_v: F64  # behind the plus main, above the stack's minus; NaN while it floats
    behind_minus_v: F64


@kernel
def path_ohm(s: CircuitState, p: CircuitParams, pole: Ints, source_ohm: float) -> float:
    """Resistance from the stack's EMF to the link; infinite while the path is open."""
    if s.blown != 0 or pole[MINUS] == 0 or (pole[PLUS] == 0 and pole[PRECHARGE] == 0):
        return math.inf
    return source_ohm + p.wiring_ohm + p.fuse_ohm + p.contact_ohm + upper_ohm(p, pole)


@kernel
def upper_ohm(p: CircuitParams, pole: Ints) -> float:
    """Plus main and precharge branch side by side; one of them conducts."""
    if pole[PLUS] == 0:
        return p.precharge_ohm + p.contact_ohm
    if pole[PRECHARGE] == 0:
        return p.contact_ohm
    branch = p.precharge_ohm + p.contact_ohm
    return p.contact_ohm * branch / (p.contact_ohm + branch)


@kernel
def direct(s: CircuitState, pole: Ints) -> bool:
    """True while both mains conduct and the fuse is whole."""
    return s.blown == 0 and pole[PLUS] != 0 and pole[MINUS] != 0


@kernel
def link_s(p: CircuitParams, pole: Ints) -> float:
    """All conductances across the link."""
    return p.link_s + (p.active_s if pole[PLUS] == 0 and pole[MINUS] == 0 else 0.0)


@kernel
def power_current(source_v: float, source_ohm: float, power_w: float) -> float:
    """Current of a constant-power load behind a resistance: the smaller root of R i^2 - E i + P = 0.

    A power that the source cannot give is cut to what it can (i = E / 2R).
    """
    if power_w == 0.0 or source_v <= 0.0:
        return 0.0
    root = source_v * source_v - 4.0 * source_ohm * power_w
    if root <= 0.0:
        return 0.5 * source_v / source_ohm
    return 2.0 * power_w / (source_v + math.sqrt(root))


@kernel
def load_current(s: CircuitState, p: CircuitParams, pole: Ints, source_v: float, path: float) -> float:
    """What the loads draw from the link, A: 0 unless both mains conduct, never more than drags the link to 0 V."""
    if not direct(s, pole):
        return 0.0
    bleed = link_s(p, pole)
    share = 1.0 / (1.0 + path * bleed)
    power = power_current((source_v - path * s.load_a) * share, path * share, p.standing_w)
    return min(s.load_a + power, source_v / path)


@kernel
def settled(s: CircuitState, p: CircuitParams, pole: Ints, source_v: float, source_ohm: float) -> tuple[float, float]:
    """(stack current, link voltage) at this instant.

    With both mains closed the link follows within tens of microseconds, so its settled value under the load now in
    force is given: current and voltages of a row belong to one instant. Else the capacitor's own voltage decides.
    """
    path = path_ohm(s, p, pole, source_ohm)
    if not direct(s, pole):
        return ((source_v - s.link_v) / path if path < math.inf else 0.0), s.link_v
    drawn = load_current(s, p, pole, source_v, path)
    link_v = (source_v - path * drawn) / (1.0 + path * link_s(p, pole))
    return (source_v - link_v) / path, link_v


@kernel
def closing(s: CircuitState, p: CircuitParams, pole: Ints, source_v: float, source_ohm: float) -> None:
    """Note the inrush when the mains have just closed: its peak is the voltage difference over the path."""
    if direct(s, pole):
        peak = abs(source_v - s.link_v) / path_ohm(s, p, pole, source_ohm)
        s.inrushes += 1
        s.inrush_a = max(s.inrush_a, peak)


@kernel
def fuse_time(s: CircuitState, p: CircuitParams, mean_a2: float, dt_s: float) -> float:
    """When the fuse melts under ``mean_a2``, s from now; ``dt_s`` or more when it holds over the step.

    One thermal lump in terms of current squared: x' = (i^2 - x) / T, melts at x = fusing_a2; a quick melt then takes
    T fusing_a2, the melting integral.
    """
    if mean_a2 <= p.fusing_a2 or s.fuse_a2 >= p.fusing_a2:
        return dt_s if s.fuse_a2 < p.fusing_a2 else 0.0
    return -p.fuse_s * math.log((mean_a2 - p.fusing_a2) / (mean_a2 - s.fuse_a2))


@kernel
def advance(s: CircuitState, p: CircuitParams, pole: Ints, source_v: float, source_ohm: float, dt_s: float) -> float:
    """Integrate over ``dt_s`` with poles as they stand. Returns the time done: less if the fuse melted in it."""
    path = path_ohm(s, p, pole, source_ohm)
    bleed = link_s(p, pole)
    if path == math.inf:
        _decay(s, p, bleed, dt_s)
        s.fuse_a2 *= math.exp(-dt_s / p.fuse_s)
        return dt_s
    drawn = load_current(s, p, pole, source_v, path)
    melts_s = dt_s
    if _may_melt(s, p, path, bleed, source_v, drawn):
        melts_s = fuse_time(s, p, _mean_a2(s, p, path, bleed, source_v, drawn, dt_s), dt_s)
    done_s = max(melts_s, 1e-9) if melts_s < dt_s else dt_s
    _charge(s, p, pole, path, bleed, source_v, drawn, done_s)
    s.fuse_a2 = s.mean_a2 + (s.fuse_a2 - s.mean_a2) * math.exp(-done_s / p.fuse_s)
    if melts_s < dt_s:
        s.blown = 1
    return done_s


@kernel
def _decay(s: CircuitState, p: CircuitParams, bleed: float, dt_s: float) -> None:
    """The link on its own."""
    before = s.link_v
    s.link_v = before * math.exp(-bleed * dt_s / p.link_f)
    s.link_j += 0.5 * p.link_f * (before * before - s.link_v * s.link_v)
    s.mean_a, s.mean_a2 = 0.0, 0.0


@kernel
def _may_melt(s: CircuitState, p: CircuitParams, path: float, bleed: float, source_v: float, drawn: float) -> bool:
    """Whether the fuse could melt at all: the current lies between its first and its settled value."""
    goal_v = (source_v / path - drawn) / (1.0 / path + bleed)
    most_a = max(abs(source_v - s.link_v), abs(source_v - goal_v)) / path
    return most_a * most_a > p.fusing_a2 or s.fuse_a2 >= p.fusing_a2


@kernel
def _mean_a2(
    s: CircuitState, p: CircuitParams, path: float, bleed: float, source_v: float, drawn: float, dt_s: float
) -> float:
    """Mean of the square of the stack current over a step, A^2, without taking the step."""
    rate = (1.0 / path + bleed) / p.link_f
    goal_v = (source_v / path - drawn) / (1.0 / path + bleed)
    steady, swing = (source_v - goal_v) / path, -(s.link_v - goal_v) / path
    once, twice = -math.expm1(-rate * dt_s) / rate, -math.expm1(-2.0 * rate * dt_s) / (2.0 * rate)
    return steady * steady + (2.0 * steady * swing * once + swing * swing * twice) / dt_s


@kernel
def _charge(
    s: CircuitState, p: CircuitParams, pole: Ints, path: float, bleed: float, source_v: float, drawn: float, dt_s: float
) -> None:
    """The link through the path: exact voltage, charge and energies over ``dt_s``."""
    rate = (1.0 / path + bleed) / p.link_f
    goal_v = (source_v / path - drawn) / (1.0 / path + bleed)
    away_v = s.link_v - goal_v
    once, twice = -math.expm1(-rate * dt_s) / rate, -math.expm1(-2.0 * rate * dt_s) / (2.0 * rate)
    steady, swing = (source_v - goal_v) / path, -away_v / path
    charge_c = steady * dt_s + swing * once
    square = steady * steady * dt_s + 2.0 * steady * swing * once + swing * swing * twice
    volt_s = goal_v * dt_s + away_v * once
    volt2_s = goal_v * goal_v * dt_s + 2.0 * goal_v * away_v * once + away_v * away_v * twice
    s.link_v = goal_v + away_v * math.exp(-rate * dt_s)
    s.mean_a, s.mean_a2 = charge_c / dt_s, square / dt_s
    in_resistor = 0.0
    if pole[PRECHARGE] != 0:
        share = upper_ohm(p, pole) / (p.precharge_ohm + p.contact_ohm)
        in_resistor = share * share * p.precharge_ohm * square
    s.precharge_j += in_resistor
    s.path_j += path * square - in_resistor
    s.source_j += source_v * charge_c
    s.link_j += bleed * volt2_s
    s.load_j += drawn * volt_s


@kernel
def nodes(s: CircuitState, p: CircuitParams, pole: Ints, pack_v: float, current_a: float, link_v: float) -> float:
    """Set the nodes behind both mains and return the one behind the fuse, V above the stack's minus.

    Behind a blown fuse the link feeds back through the poles, else nothing does: 0 V through the measuring inputs.
    """
    upper = pole[PLUS] != 0 or pole[PRECHARGE] != 0
    lower = pole[MINUS] != 0
    fused_v = pack_v - p.fuse_ohm * current_a
    if s.blown != 0:
        fused_v = link_v if upper and lower else 0.0
    s.behind_plus_v, s.behind_minus_v = math.nan, math.nan
    if lower:
        s.behind_minus_v = p.contact_ohm * current_a
        s.behind_plus_v = s.behind_minus_v + link_v
    elif upper:
        s.behind_plus_v = fused_v
        s.behind_minus_v = fused_v - link_v
    return fused_v


@kernel
def begin(s: CircuitState) -> None:
    """Link discharged, fuse whole and cold, energies 0."""
    s.link_v, s.blown, s.fuse_a2, s.load_a, s.mean_a, s.mean_a2 = 0.0, 0, 0.0, 0.0, 0.0, 0.0
    s.inrushes, s.inrush_a = 0, 0.0
    s.source_j, s.path_j, s.precharge_j, s.link_j, s.load_j = 0.0, 0.0, 0.0, 0.0, 0.0
    s.behind_plus_v, s.behind_minus_v = math.nan, math.nan


def fill(record: CircuitParams, pack: PackModel) -> None:
    """Fill the params from the pack file."""
    hv = pack.hv
    record.wiring_ohm, record.fuse_ohm = pack.wiring.busbars, hv.fuse.resistance
    record.contact_ohm, record.precharge_ohm = hv.contactor.resistance, hv.precharge
    record.link_f = hv.link_capacitance
    record.link_s = 1.0 / hv.link_bleed + (1.0 / hv.standing_load if hv.standing_load is not None else 0.0)
    record.active_s = 1.0 / hv.active_discharge if hv.active_discharge is not None else 0.0
    record.standing_w = hv.standing_power
    record.fusing_a2 = hv.fuse.fusing_current**2
    record.fuse_s = hv.fuse.melting_integral / record.fusing_a2
