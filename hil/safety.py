"""The limiter: the last stage that may change what goes out. It clamps to the envelope and latches a trip.

Outside its envelope a command is never shown: the value is held at the limit, the load goes to zero and stays there,
and the engine ends the run.
"""

from enum import IntEnum
from typing import Annotated

from hil.image import Table, bind
from hil.kernel import F64, I64, Floats, Ints, Rows, kernel, view, zeros
from hil.protocols.ntc import degc_of
from hil.tick import SWITCHES, TEMPS, Link, Switch


class Trip(IntEnum):
    """Why the limiter tripped."""

    NONE = 0
    CELL_VOLTAGE = 1
    PACK_CURRENT = 2
    TEMPERATURE = 3
    UNKNOWN_COMMAND = 4


CELL_VOLTAGE, PACK_CURRENT = int(Trip.CELL_VOLTAGE), int(Trip.PACK_CURRENT)
TEMPERATURE, UNKNOWN = int(Trip.TEMPERATURE), int(Trip.UNKNOWN_COMMAND)


class SafetyState:
    """The latched trip: what, which element, the offending value, when."""

    trip: I64
    element: I64
    value: F64
    t_ns: I64
    ohm: Annotated[Floats, TEMPS]  # thermistor setpoints of the last tick and what they stand for
    degc: Annotated[Floats, TEMPS]


class SafetyParams:
    """Envelope (SI) and columns."""

    n_cells: I64
    n_temps: I64
    cell_voltage_low_v: F64
    cell_voltage_high_v: F64
    pack_current_low_a: F64
    pack_current_high_a: F64
    coolant_low_degc: F64
    coolant_high_degc: F64
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
    command_auxiliary: Annotated[Ints, SWITCHES]
    col_shown_cell_voltage: I64
    col_shown_sense_open: I64
    col_shown_sense_resistance: I64
    col_shown_temperature: I64
    col_shown_thermistor: I64
    col_shown_pack_current: I64
    col_shown_pack_voltage: I64
    col_shown_link_voltage: I64
    col_shown_isolation: I64
    col_shown_coolant_temperature: I64
    col_shown_gas_pressure: I64
    col_shown_load_current: I64
    col_shown_supply: I64
    col_shown_hvil: I64
    col_shown_wake: I64
    shown_auxiliary: Annotated[Ints, SWITCHES]


def params(
    table: Table,
    cell_voltage_v: tuple[float, float] = (0.0, 5.0),
    pack_current_a: tuple[float, float] = (-500.0, 500.0),
    coolant_degc: tuple[float, float] = (-40.0, 80.0),
) -> Rows[SafetyParams]:
    """Columns from ``table`` and the envelope; the defaults are what the emulators of the virtual bench can do."""
    made = zeros(SafetyParams)
    p = view(made)
    bind(p, table)
    p["n_cells"], p["n_temps"] = table.cells, table.temps
    p["cell_voltage_low_v"], p["cell_voltage_high_v"] = cell_voltage_v
    p["pack_current_low_a"], p["pack_current_high_a"] = pack_current_a
    p["coolant_low_degc"], p["coolant_high_degc"] = coolant_degc
    for switch in Switch:
        for kind in ("command", "shown"):
            q = table.find(f"{kind}.auxiliary_{switch.name.lower()}")
            assert q is not None
            p[f"{kind}_auxiliary"][switch] = q.start
    return made


@kernel
def bounded(s: SafetyState, t_ns: int, value: float, low: float, high: float, kind: int, element: int) -> float:
    """``value`` inside [low, high]; outside or unknown trips once and returns the nearest safe value."""
    if low <= value <= high:
        return value
    if s.trip == 0:
        s.trip = UNKNOWN if value != value else kind
        s.element, s.value, s.t_ns = element, value, t_ns
    return high if value > high else low


@kernel
def show_temperatures(s: SafetyState, p: SafetyParams, row: Floats, link: Link) -> None:
    """Thermistor setpoints to the pins, and the temperature each stands for (only recomputed when it moved)."""
    for i in range(p.n_temps):
        ohm = row[p.col_command_thermistor + i]
        if ohm != s.ohm[i]:
            s.ohm[i], s.degc[i] = ohm, degc_of(ohm)
        row[p.col_shown_thermistor + i] = ohm
        row[p.col_shown_temperature + i] = s.degc[i]
        link.pins.thermistor_ohm[i] = ohm
        link.pins.temperature_degc[i] = s.degc[i]


@kernel
def limit(s: SafetyState, p: SafetyParams, t_ns: int, row: Floats, link: Link) -> int:
    """Write ``shown.*`` and ``link.pins`` from ``command.*``; returns 1 while a trip is latched."""
    pins = link.pins
    for i in range(p.n_cells):
        volt = bounded(
            s, t_ns, row[p.col_command_cell_voltage + i], p.cell_voltage_low_v, p.cell_voltage_high_v, CELL_VOLTAGE, i
        )
        row[p.col_shown_cell_voltage + i] = volt
        pins.cell_voltage_v[i] = volt
    most_ohm = 0.0
    for i in range(p.n_cells + 1):
        cut = row[p.col_command_sense_open + i]
        row[p.col_shown_sense_open + i] = cut
        pins.sense_open[i] = 1 if cut != 0.0 else 0
        added_ohm = row[p.col_command_sense_resistance + i]
        pins.sense_ohm[i] = added_ohm
        most_ohm = max(most_ohm, added_ohm)
    row[p.col_shown_sense_resistance] = most_ohm
    show_temperatures(s, p, row, link)
    load = bounded(
        s, t_ns, row[p.col_command_load_current], p.pack_current_low_a, p.pack_current_high_a, PACK_CURRENT, 0
    )
    coolant = bounded(
        s, t_ns, row[p.col_command_coolant_temperature], p.coolant_low_degc, p.coolant_high_degc, TEMPERATURE, 0
    )
    row[p.col_shown_load_current] = 0.0 if s.trip != 0 else load
    row[p.col_shown_coolant_temperature] = coolant
    pins.coolant_degc = coolant
    show_scalars(p, row, link)
    return 1 if s.trip != 0 else 0


@kernel
def show_scalars(p: SafetyParams, row: Floats, link: Link) -> None:
    """The pins that carry signals, not power: passed on as commanded."""
    pins = link.pins
    row[p.col_shown_pack_current] = pins.pack_current_a = row[p.col_command_pack_current]
    row[p.col_shown_pack_voltage] = pins.pack_voltage_v = row[p.col_command_pack_voltage]
    row[p.col_shown_link_voltage] = pins.link_voltage_v = row[p.col_command_link_voltage]
    row[p.col_shown_isolation] = pins.isolation_ohm = row[p.col_command_isolation]
    row[p.col_shown_gas_pressure] = pins.gas_pressure_pa = row[p.col_command_gas_pressure]
    row[p.col_shown_supply] = pins.supply_v = row[p.col_command_supply]
    row[p.col_shown_hvil] = row[p.col_command_hvil]
    row[p.col_shown_wake] = row[p.col_command_wake]
    pins.hvil = 1 if row[p.col_command_hvil] != 0.0 else 0
    pins.wake = 1 if row[p.col_command_wake] != 0.0 else 0
    for i in range(SWITCHES):
        level = row[p.command_auxiliary[i]]
        row[p.shown_auxiliary[i]] = level
        pins.auxiliary[i] = 1 if level != 0.0 else 0
