"""Observe: what instruments and wires say becomes ``measured.*``; nothing here is taken from a command or a report."""

from typing import Annotated

import numpy as np

from hil.codec.e2e import E2eConfig, E2eState, E2eStatus, check
from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, Ints, Rows, kernel, view, zeros
from hil.tick import SWITCHES, Edges, FrameBits, Link, Switch

LOST = int(FrameBits.LOST)
OK = int(E2eStatus.OK)
PLUS, MINUS = int(Switch.MAIN_PLUS), int(Switch.MAIN_MINUS)
OPEN, CLOSED, PARTIAL = 0.0, 1.0, 2.0


class ObserveState:
    """Levels of the digital wires and when they last changed, s of the run."""

    coil: Annotated[Floats, SWITCHES]
    coil_since_s: Annotated[Floats, SWITCHES]
    pole: Annotated[Floats, SWITCHES]
    pole_since_s: Annotated[Floats, SWITCHES]
    contactor: F64
    contactor_since_s: F64
    request_t_ns: I64  # when the last valid vehicle request was handed to the bus
    request: E2eState


class ObserveParams:
    """Columns written and the vehicle request's protection."""

    n_cells: I64
    n_temps: I64
    request_id: I64
    request: E2eConfig
    balancing_s: F64  # conductance of a balancing resistor
    col_measured_cell_voltage: I64
    col_measured_balancing_current: I64
    col_measured_temperature: I64
    col_measured_pack_current: I64
    col_measured_pack_voltage: I64
    col_measured_link_voltage: I64
    col_measured_coolant_temperature: I64
    col_measured_gas_pressure: I64
    col_measured_supply: I64
    col_measured_bus_load: I64
    col_measured_request_age: I64
    col_measured_contactor_main: I64
    tcol_measured_contactor_main: I64
    coil: Annotated[Ints, SWITCHES]  # columns by Switch
    coil_t: Annotated[Ints, SWITCHES]
    pole: Annotated[Ints, SWITCHES]
    pole_t: Annotated[Ints, SWITCHES]


def params(table: Table, request_id: int, request: np.void, balancing_ohm: float) -> Rows[ObserveParams]:
    """Columns from ``table``; ``request`` is the E2eConfig record of the vehicle request frame ``request_id``.

    ``balancing_ohm``: the balancing resistor across each group (pack file).
    """
    made = zeros(ObserveParams)
    p = view(made)
    bind(p, table)
    p["n_cells"], p["n_temps"], p["request_id"] = table.cells, table.temps, request_id
    p["request"], p["balancing_s"] = request, 1.0 / balancing_ohm
    for kind in ("coil", "pole"):
        for switch in Switch:
            q = table.find(f"measured.{kind}_{switch.name.lower()}")
            assert q is not None
            p[kind][switch], p[kind + "_t"][switch] = q.start, q.time_start
    return made


def state() -> Rows[ObserveState]:
    """All coils off, all contacts open, known so since the run began; no request sent yet."""
    return zeros(ObserveState)


@kernel
def follow(edges: Edges, level: Floats, since: Floats) -> None:
    """Take the level changes of one tick in time order."""
    for i in range(edges.n):
        edge = edges.slot[i]
        if level[edge.wire] != edge.level:
            level[edge.wire] = edge.level
            since[edge.wire] = edge.t_ns * 1e-9


@kernel
def main_contactor(s: ObserveState) -> float:
    """CLOSED when both mains conduct, OPEN when both coils are off and the path is interrupted, else PARTIAL."""
    conducting = s.pole[PLUS] != 0.0 and s.pole[MINUS] != 0.0
    if conducting:
        return CLOSED
    if s.coil[PLUS] == 0.0 and s.coil[MINUS] == 0.0:
        return OPEN
    return PARTIAL


@kernel
def watch_request(s: ObserveState, p: ObserveParams, link: Link) -> None:
    """Note when a vehicle request that a receiver would accept was last sent (frames of the previous tick)."""
    for i in range(link.tx.n):
        frame = link.tx.slot[i]
        if frame.id == p.request_id and frame.bits & LOST == 0 and check(frame, p.request, s.request) == OK:
            s.request_t_ns = frame.t_ns


@kernel
def step(s: ObserveState, p: ObserveParams, t_ns: int, link: Link, row: Floats) -> None:
    """Write every ``measured.*`` column for the tick at ``t_ns``."""
    seen = link.instruments
    for i in range(p.n_cells):
        row[p.col_measured_cell_voltage + i] = seen.cell_voltage_v[i]
        bled_a = seen.cell_voltage_v[i] * p.balancing_s if link.bleed[i] != 0 else 0.0
        row[p.col_measured_balancing_current + i] = bled_a
    for i in range(p.n_temps):
        row[p.col_measured_temperature + i] = seen.temperature_degc[i]
    row[p.col_measured_pack_current] = seen.pack_current_a
    row[p.col_measured_pack_voltage] = seen.pack_voltage_v
    row[p.col_measured_link_voltage] = seen.link_voltage_v
    row[p.col_measured_coolant_temperature] = seen.coolant_temperature_degc
    row[p.col_measured_gas_pressure] = seen.gas_pressure_pa
    row[p.col_measured_supply] = seen.supply_v
    row[p.col_measured_bus_load] = seen.bus_load
    follow(link.coils, s.coil, s.coil_since_s)
    follow(link.poles, s.pole, s.pole_since_s)
    for i in range(SWITCHES):
        row[p.coil[i]], row[p.coil_t[i]] = s.coil[i], s.coil_since_s[i]
        row[p.pole[i]], row[p.pole_t[i]] = s.pole[i], s.pole_since_s[i]
    now = main_contactor(s)
    if now != s.contactor:
        s.contactor = now
        s.contactor_since_s = max(
            max(s.coil_since_s[PLUS], s.coil_since_s[MINUS]), max(s.pole_since_s[PLUS], s.pole_since_s[MINUS])
        )
        if now == CLOSED:
            s.contactor_since_s = max(s.pole_since_s[PLUS], s.pole_since_s[MINUS])
        elif now == PARTIAL:
            s.contactor_since_s = t_ns * 1e-9
    row[p.col_measured_contactor_main] = s.contactor
    row[p.tcol_measured_contactor_main] = s.contactor_since_s
    watch_request(s, p, link)
    row[p.col_measured_request_age] = (t_ns - s.request_t_ns) * 1e-9
