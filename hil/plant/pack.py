"""The plant's stage: one tick of the emulated pack, cut at every pole edge.

``step`` integrates the time since the last tick with what was in force during it (load, faults, balancing), then takes
over what this row asks for and writes ``truth.*`` at this instant, so that all of one row belongs together.
"""

from typing import Annotated, cast

import numpy as np

from hil.files.pack import PackModel
from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, Ints, Ints32, Rows, kernel, plain, view, zeros
from hil.plant import abuse, cells, circuit, contactors, isolation, tables, thermal
from hil.tick import SWITCHES, Edges, Switch

PLUS, MINUS, PRECHARGE = int(Switch.MAIN_PLUS), int(Switch.MAIN_MINUS), int(Switch.PRECHARGE)


class PlantParams:
    """Params of the rooms and the columns read and written."""

    cells: tables.CellsParams
    thermal: thermal.ThermalParams
    abuse: abuse.AbuseParams
    contactors: contactors.ContactorParams
    circuit: circuit.CircuitParams
    isolation: isolation.IsolationParams
    n_cells: I64
    col_intent_load_current: I64
    col_intent_coolant_temperature: I64
    in_cells: Annotated[Ints, 3]  # first columns of shorts, self-discharge and busbar joints
    col_plant_in_short_conductance: I64
    col_plant_in_self_discharge: I64
    col_plant_in_busbar_resistance: I64
    col_plant_in_cell_heating: I64
    col_plant_in_coolant_share: I64
    col_plant_in_weld_main_plus: I64
    col_plant_in_weld_main_minus: I64
    col_plant_in_weld_precharge: I64
    col_plant_in_stuck_open_main_plus: I64
    col_plant_in_stuck_open_main_minus: I64
    col_plant_in_stuck_open_precharge: I64
    col_plant_in_leak_plus: I64
    col_plant_in_leak_minus: I64
    col_truth_cell_voltage: I64
    col_truth_cell_soc: I64
    col_truth_cell_temperature: I64
    col_truth_soc: I64
    col_truth_pack_voltage: I64
    col_truth_fused_voltage: I64
    col_truth_link_voltage: I64
    col_truth_pack_current: I64
    col_truth_isolation: I64
    col_truth_fuse_blown: I64
    col_truth_precharge_energy: I64
    col_truth_heat: I64
    col_truth_runaway_heat: I64
    col_truth_cells_vented: I64
    col_truth_gas_pressure: I64
    col_truth_pole_main_plus: I64
    col_truth_pole_main_minus: I64
    col_truth_pole_precharge: I64


class PlantState:
    """The pack as it stands at ``t_ns``; ``cells.soc`` is the true SoC of each group."""

    t_ns: I64
    tick_heat_j: F64  # made in the cells since the last tick
    cells: cells.CellsState
    thermal: thermal.ThermalState
    abuse: abuse.AbuseState
    contactors: contactors.ContactorState
    circuit: circuit.CircuitState
    isolation: isolation.IsolationState


@kernel
def prepare(s: PlantState, p: PlantParams, row: Floats) -> None:
    """Set every ``plant_in.*`` column to healthy; PLANT faults change them before ``step``. ``s`` is not changed."""
    for c in range(p.n_cells):
        row[p.col_plant_in_short_conductance + c] = 0.0
        row[p.col_plant_in_self_discharge + c] = 0.0
        row[p.col_plant_in_busbar_resistance + c] = 0.0
        row[p.col_plant_in_cell_heating + c] = 0.0
    row[p.col_plant_in_coolant_share] = 1.0
    row[p.col_plant_in_weld_main_plus] = 0.0
    row[p.col_plant_in_weld_main_minus] = 0.0
    row[p.col_plant_in_weld_precharge] = 0.0
    row[p.col_plant_in_stuck_open_main_plus] = 0.0
    row[p.col_plant_in_stuck_open_main_minus] = 0.0
    row[p.col_plant_in_stuck_open_precharge] = 0.0
    row[p.col_plant_in_leak_plus] = 0.0
    row[p.col_plant_in_leak_minus] = 0.0


@kernel
def step(s: PlantState, p: PlantParams, coils: Edges, bleed: Ints32, poles: Edges, t_ns: int, row: Floats) -> None:
    """Bring the plant from its last instant to ``t_ns`` and write ``truth.*``.

    ``coils``: coil edges since then, in time order (one that is late counts at once). ``bleed``: balancing switches,
    in force from ``t_ns`` on, like the row's ``plant_in.*`` and ``intent.*``. ``poles`` is emptied and takes the pole
    edges of this time.
    """
    poles.n, poles.lost = 0, 0
    began_ns = s.t_ns
    heat_j = cells.total(p.cells, s.cells.made_j)
    nth = 0
    while True:
        until_ns = min(t_ns, contactors.next_due(s.contactors))
        if nth < coils.n:
            until_ns = min(until_ns, coils.slot[nth].t_ns)
        _integrate(s, p, max(until_ns, s.t_ns))
        while nth < coils.n and coils.slot[nth].t_ns <= s.t_ns:
            edge = coils.slot[nth]
            if 0 <= edge.wire < SWITCHES:
                contactors.drive(s.contactors, p.contactors, edge.wire, edge.level, s.t_ns)
            nth += 1
        contactors.elapse(s.contactors, p.contactors, s.t_ns)
        _switch(s, p, poles)
        if s.t_ns >= t_ns and contactors.next_due(s.contactors) > t_ns:
            break
    _slow(s, p, t_ns - began_ns)
    _latch(s, p, bleed, row)
    _switch(s, p, poles)
    cells.source(s.cells, p.cells)
    s.tick_heat_j = cells.total(p.cells, s.cells.made_j) - heat_j
    heat_w = s.tick_heat_j / ((t_ns - began_ns) * 1e-9) if t_ns > began_ns else 0.0
    _write(s, p, heat_w, row)


@kernel
def _integrate(s: PlantState, p: PlantParams, until_ns: int) -> None:
    """Circuit and cells from ``s.t_ns`` to ``until_ns`` with the poles as they stand, cut where the fuse melts."""
    while s.t_ns < until_ns:
        dt_s = (until_ns - s.t_ns) * 1e-9
        done_s = circuit.advance(s.circuit, p.circuit, s.contactors.pole, s.cells.source_v, s.cells.source_ohm, dt_s)
        cells.advance(s.cells, p.cells, done_s, s.circuit.mean_a, s.circuit.mean_a2)
        if done_s < dt_s:
            s.t_ns = min(s.t_ns + max(int(done_s * 1e9 + 0.5), 1), until_ns)
        else:
            s.t_ns = until_ns
        cells.source(s.cells, p.cells)


@kernel
def _switch(s: PlantState, p: PlantParams, poles: Edges) -> None:
    """Set the poles and note an inrush when that closed both mains."""
    was = circuit.direct(s.circuit, s.contactors.pole)
    if contactors.settle(s.contactors, poles, s.t_ns) > 0 and not was:
        circuit.closing(s.circuit, p.circuit, s.contactors.pole, s.cells.source_v, s.cells.source_ohm)


@kernel
def _slow(s: PlantState, p: PlantParams, dt_ns: int) -> None:
    """What changes within minutes: temperatures, reactions and the tables that depend on them."""
    isolation.advance(s.isolation, p.isolation, dt_ns * 1e-9, s.cells.source_v)
    s.thermal.waited_ns += dt_ns
    if s.thermal.n_heated > 0:
        thermal.warm(s.thermal, p.thermal, s.cells.heat_j, dt_ns * 1e-9)
    if s.thermal.waited_ns >= p.thermal.step_ns:
        waited_s = s.thermal.waited_ns * 1e-9
        abuse.advance(s.abuse, p.abuse, s.thermal.temperature_degc, s.cells.heat_j, waited_s)
        thermal.advance(s.thermal, p.thermal, s.cells.heat_j, waited_s)
        abuse.settle(s.abuse, p.abuse, s.thermal.temperature_degc, s.thermal.coolant_degc, waited_s)
        s.thermal.waited_ns = 0
        cells.refresh(s.cells, p.cells, s.thermal.temperature_degc)


@kernel
def _latch(s: PlantState, p: PlantParams, bleed: Ints32, row: Floats) -> None:
    """Take over what this row asks for; unknown means no load, and the pack file's coolant."""
    load_a = row[p.col_intent_load_current]
    s.circuit.load_a = 0.0 if load_a != load_a else load_a
    coolant = row[p.col_intent_coolant_temperature]
    s.thermal.coolant_degc = p.thermal.coolant_degc if coolant != coolant else coolant
    thermal.latch(s.thermal, p.thermal, row, p.col_plant_in_cell_heating, p.col_plant_in_coolant_share)
    cells.latch(s.cells, p.cells, bleed, row, p.in_cells, s.abuse.broken_s)
    isolation.latch(s.isolation, row, p.col_plant_in_leak_plus, p.col_plant_in_leak_minus)
    weld, stuck = s.contactors.weld, s.contactors.stuck
    weld[PLUS] = row[p.col_plant_in_weld_main_plus] >= 0.5
    weld[MINUS] = row[p.col_plant_in_weld_main_minus] >= 0.5
    weld[PRECHARGE] = row[p.col_plant_in_weld_precharge] >= 0.5
    stuck[PLUS] = row[p.col_plant_in_stuck_open_main_plus] >= 0.5
    stuck[MINUS] = row[p.col_plant_in_stuck_open_main_minus] >= 0.5
    stuck[PRECHARGE] = row[p.col_plant_in_stuck_open_precharge] >= 0.5


@kernel
def _write(s: PlantState, p: PlantParams, heat_w: float, row: Floats) -> None:
    """Every ``truth.*`` column, all at this instant."""
    pole = s.contactors.pole
    current_a, link_v = circuit.settled(s.circuit, p.circuit, pole, s.cells.source_v, s.cells.source_ohm)
    lowest = s.cells.soc[0]
    for c in range(p.n_cells):
        soc = s.cells.soc[c]
        lowest = min(lowest, soc)
        row[p.col_truth_cell_voltage + c] = cells.terminal(s.cells, c, current_a)
        row[p.col_truth_cell_soc + c] = soc
        row[p.col_truth_cell_temperature + c] = s.thermal.temperature_degc[c]
    row[p.col_truth_soc] = lowest
    pack_v = s.cells.source_v - (s.cells.source_ohm + p.circuit.wiring_ohm) * current_a
    row[p.col_truth_pack_voltage] = pack_v
    row[p.col_truth_fused_voltage] = circuit.nodes(s.circuit, p.circuit, pole, pack_v, current_a, link_v)
    row[p.col_truth_link_voltage] = link_v
    row[p.col_truth_pack_current] = current_a
    row[p.col_truth_isolation] = 1.0 / s.isolation.seen_s
    row[p.col_truth_fuse_blown] = s.circuit.blown
    row[p.col_truth_precharge_energy] = s.circuit.precharge_j
    row[p.col_truth_heat] = heat_w
    row[p.col_truth_runaway_heat] = s.abuse.power_w
    row[p.col_truth_cells_vented] = s.abuse.n_vented
    row[p.col_truth_gas_pressure] = s.abuse.pressure_pa
    row[p.col_truth_pole_main_plus] = pole[PLUS]
    row[p.col_truth_pole_main_minus] = pole[MINUS]
    row[p.col_truth_pole_precharge] = pole[PRECHARGE]


@kernel
def begin_rows(states: Rows[PlantState], fixed: Rows[PlantParams], soc: float) -> None:
    """Put the groups at rest at the temperatures that stand in ``states``; arrays of one."""
    cells.begin(states[0].cells, fixed[0].cells, soc, states[0].thermal.temperature_degc)


def params(pack: PackModel, seed: int, table: Table) -> Rows[PlantParams]:
    """The params of a run: pack file, the groups' scatter from ``seed``, columns of ``table``.

    Raises ValueError where the table was laid out for another number of cells.
    """
    if table.cells != pack.series:
        raise ValueError(f"the table has {table.cells} cells, the pack {pack.series}")
    made = zeros(PlantParams)
    record = view(made)
    bind(record, table)
    record.n_cells = pack.series
    record.in_cells[:] = (
        record.col_plant_in_short_conductance,
        record.col_plant_in_self_discharge,
        record.col_plant_in_busbar_resistance,
    )
    tables.fill(record.cells, pack, seed)
    thermal.fill(record.thermal, pack)
    abuse.fill(record.abuse, pack)
    contactors.fill(record.contactors, pack)
    circuit.fill(record.circuit, pack)
    isolation.fill(record.isolation, pack)
    return made


def start(states: Rows[PlantState], fixed: Rows[PlantParams], soc: float, temperature_degc: float) -> None:
    """Put the plant at rest at time 0: ``soc`` (0..1, each group plus its scatter) and one temperature everywhere.

    Takes arrays of one record; views into a larger record will do. Everything is open, healthy, the link discharged.
    """
    own, given = zeros(PlantState), np.ascontiguousarray(np.asarray(fixed))
    s, p = view(own), view(given)
    plain(thermal.begin)(s.thermal, p.thermal, float(temperature_degc))  # once a run: not worth compiling
    plain(abuse.begin)(s.abuse, p.abuse)
    plain(contactors.begin)(s.contactors)
    plain(circuit.begin)(s.circuit)
    begin_rows(own, cast("Rows[PlantParams]", given), float(soc))
    plain(isolation.begin)(s.isolation, p.isolation, s.cells.source_v)
    np.asarray(states)[...] = own
