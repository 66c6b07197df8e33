"""Plan: Intent and Truth become a Command. An intent that is unknown (NaN) follows the emulated pack."""

from typing import Annotated

from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, Ints, Rows, kernel, view, zeros
from hil.protocols.ntc import ohm_of
from hil.tick import SWITCHES, TEMPS, Switch


class PlanParams:
    """Columns, the sensors' places and what an unset intent means where no plant quantity stands behind it."""

    n_cells: I64
    n_temps: I64
    sensor_cell: Annotated[Ints, TEMPS]  # which group each temperature sensor sits on
    supply_v: F64
    coolant_degc: F64
    col_intent_cell_voltage: I64
    col_intent_temperature: I64
    col_intent_pack_current: I64
    col_intent_pack_voltage: I64
    col_intent_link_voltage: I64
    col_intent_isolation: I64
    col_intent_coolant_temperature: I64
    col_intent_gas_pressure: I64
    col_intent_load_current: I64
    col_intent_supply: I64
    col_intent_hvil: I64
    col_intent_wake: I64
    col_intent_request: I64
    col_truth_cell_voltage: I64
    col_truth_cell_temperature: I64
    col_truth_pack_current: I64
    col_truth_pack_voltage: I64
    col_truth_link_voltage: I64
    col_truth_isolation: I64
    col_truth_gas_pressure: I64
    truth_pole: Annotated[Ints, SWITCHES]
    col_command_cell_voltage: I64
    col_command_sense_open: I64
    col_command_sense_resistance: I64
    col_command_thermistor: I64
    col_command_pack_current: I64
    col_command_pack_voltage: I64
    col_command_link_voltage: I64
    col_command_isolation: I64
    col_command_coolant_temperature: I64
    col_command_gas_pressure: I64
    col_command_load_current: I64
    col_command_supply: I64
    col_command_hvil: I64
    col_command_wake: I64
    col_command_request: I64
    command_auxiliary: Annotated[Ints, SWITCHES]


def params(
    table: Table, sensor_cells: list[int], supply_v: float = 12.0, coolant_degc: float = 25.0
) -> Rows[PlanParams]:
    """Columns from ``table``; ``sensor_cells`` maps sensor to group; defaults are a healthy bench (12 V, 25 degC)."""
    made = zeros(PlanParams)
    p = view(made)
    bind(p, table)
    p["n_cells"], p["n_temps"], p["supply_v"], p["coolant_degc"] = table.cells, table.temps, supply_v, coolant_degc
    p["sensor_cell"][: len(sensor_cells)] = sensor_cells
    for switch in Switch:
        truth, command = (table.find(f"{r}_{switch.name.lower()}") for r in ("truth.pole", "command.auxiliary"))
        assert truth is not None
        assert command is not None
        p["truth_pole"][switch], p["command_auxiliary"][switch] = truth.start, command.start
    return made


@kernel
def known(value: float, otherwise: float) -> float:
    """``value``, or ``otherwise`` when it is unknown."""
    return otherwise if value != value else value


@kernel
def step(p: PlanParams, row: Floats) -> None:
    """Write every ``command.*`` column from ``intent.*`` and ``truth.*`` of the same row."""
    for i in range(p.n_cells):
        row[p.col_command_cell_voltage + i] = known(
            row[p.col_intent_cell_voltage + i], row[p.col_truth_cell_voltage + i]
        )
    for i in range(p.n_cells + 1):
        row[p.col_command_sense_open + i] = 0.0
        row[p.col_command_sense_resistance + i] = 0.0
    for i in range(p.n_temps):
        truth_degc = row[p.col_truth_cell_temperature + p.sensor_cell[i]]
        row[p.col_command_thermistor + i] = ohm_of(known(row[p.col_intent_temperature + i], truth_degc))
    row[p.col_command_pack_current] = known(row[p.col_intent_pack_current], row[p.col_truth_pack_current])
    row[p.col_command_pack_voltage] = known(row[p.col_intent_pack_voltage], row[p.col_truth_pack_voltage])
    row[p.col_command_link_voltage] = known(row[p.col_intent_link_voltage], row[p.col_truth_link_voltage])
    row[p.col_command_isolation] = known(row[p.col_intent_isolation], row[p.col_truth_isolation])
    row[p.col_command_coolant_temperature] = known(row[p.col_intent_coolant_temperature], p.coolant_degc)
    row[p.col_command_gas_pressure] = known(row[p.col_intent_gas_pressure], row[p.col_truth_gas_pressure])
    row[p.col_command_load_current] = known(row[p.col_intent_load_current], 0.0)
    row[p.col_command_supply] = known(row[p.col_intent_supply], p.supply_v)
    row[p.col_command_hvil] = known(row[p.col_intent_hvil], 1.0)
    row[p.col_command_wake] = known(row[p.col_intent_wake], 1.0)
    row[p.col_command_request] = known(row[p.col_intent_request], 0.0)
    for i in range(SWITCHES):
        row[p.command_auxiliary[i]] = row[p.truth_pole[i]]
