"""The process image: every quantity of a tick in one float64 row, one table says what is where.

A quantity is ``range.name``: its range names the one stage that writes it. Adding one is one line in ``QUANTITIES``.
Records that need columns declare fields ``col_<range>_<name>``; ``bind`` fills them from the table. A *timed* quantity
has a companion ``<name>.t``: when its value last changed, seconds of the run, exact (wire edge or end of frame), never
the row's own time.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hil.tick import COLUMNS

CELL, WIRE, SENSOR = "cells", "wires", "temps"

Labels = tuple[str, ...]
SWITCHED: Labels = ("OPEN", "CLOSED", "PARTIAL")
LEVEL: Labels = ("OFF", "ON")
STATES: Labels = ("STARTUP", "STANDBY", "PRECHARGE", "NORMAL", "CHARGE", "ERROR")
WARNINGS: Labels = ("NONE", "DIFFERENCE", "LEAK", "DEPARTURE", "HEAT", "GAS", "RUNAWAY")
REQUESTS: Labels = ("NONE", "STANDBY", "NORMAL", "CHARGE", "CLEAR")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table before the pack's size is known.

    ``size`` is a count or one of CELL, WIRE, SENSOR. ``timed`` is "" (no companion), "each" (one time per value) or
    "all" (one time for the whole vector). Lines with ``record`` False come last in the row and are not recorded.
    """

    name: str
    unit: str
    meaning: str
    size: int | str = 1
    timed: str = ""
    labels: Labels = ()
    record: bool = True


def _each(prefix: str, names: Iterable[str], unit: str, meaning: str, **more: Any) -> Iterator[Line]:
    return (Line(f"{prefix}{name}", unit, f"{meaning} ({name.replace('_', ' ')})", **more) for name in names)


CONTACTORS = ("main_plus", "main_minus", "precharge")

DTCS = (
    "cell_ov",
    "cell_uv",
    "cell_deep_uv",
    "ot_discharge",
    "ot_charge",
    "ut_discharge",
    "ut_charge",
    "oc_discharge",
    "oc_charge",
    "plausibility_sum",
    "cell_spread",
    "open_wire",
    "thermistor",
    "precharge_timeout",
    "precharge_short",
    "contactor_weld",
    "contactor_stuck_open",
    "break_inhibit",
    "request_timeout",
    "request_crc",
    "request_counter",
    "isolation_warning",
    "isolation_fault",
)
"""Diagnostic trouble codes of the reference BMS, one per protection; bit order of the DTC frame."""

QUANTITIES: tuple[Line, ...] = (
    Line("time.run", "s", "start of the tick since the run began"),
    Line("time.scenario", "s", "start of the tick since the first step group began; unknown before"),
    Line("time.lateness", "s", "how late the tick started; 0 in virtual time"),
    Line("time.frames_lost", "1", "received frames the bench found no room for since the run began"),
    # shown: what the bench put on the DUT's pins, stands from this row's time on. Writer: safety.
    Line("shown.cell_voltage", "V", "cell emulator output after the fault box", CELL),
    Line("shown.sense_open", "1", "sense wire cut by the fault insertion unit", WIRE, labels=LEVEL),
    Line("shown.sense_resistance", "ohm", "most that the fault insertion unit adds to a sense wire"),
    Line("shown.temperature", "degC", "temperature the emulated thermistor stands for", SENSOR),
    Line("shown.thermistor", "ohm", "emulated thermistor resistance", SENSOR),
    Line("shown.pack_current", "A", "current in the shunt"),
    Line("shown.pack_voltage", "V", "pack voltage input of the DUT"),
    Line("shown.link_voltage", "V", "link voltage input of the DUT"),
    Line("shown.isolation", "ohm", "resistance the isolation monitor sees"),
    Line("shown.coolant_temperature", "degC", "coolant or chamber setpoint"),
    Line("shown.gas_pressure", "Pa", "pressure in the pack's enclosure, above ambient"),
    Line("shown.load_current", "A", "load setpoint; flows while both mains conduct"),
    Line("shown.supply", "V", "12 V supply of the DUT"),
    Line("shown.hvil", "1", "interlock loop closed", labels=LEVEL),
    Line("shown.wake", "1", "ignition or wake line", labels=LEVEL),
    *_each("shown.auxiliary_", CONTACTORS, "1", "feedback contact shown to the DUT", labels=("OPEN", "CLOSED")),
    # measured: what instruments and the load side say. Writer: observe.
    Line("measured.cell_voltage", "V", "cell emulator read-back, at the source", CELL),
    Line("measured.temperature", "degC", "thermistor emulator read-back", SENSOR),
    Line(
        "measured.balancing_current",
        "A",
        "drawn by the DUT's balancing resistor while its switch is on",
        CELL,
        record=False,
    ),
    Line("measured.pack_current", "A", "reference shunt, load side"),
    Line("measured.pack_voltage", "V", "pack terminals, pack side of the contactors"),
    Line("measured.link_voltage", "V", "link, load side of the contactors"),
    Line("measured.coolant_temperature", "degC", "coolant or chamber probe"),
    Line("measured.gas_pressure", "Pa", "pressure sensor in the pack's enclosure, above ambient"),
    Line("measured.supply", "V", "12 V supply read-back"),
    Line("measured.bus_load", "1", "fraction of bit time used in the last tick"),
    *_each("measured.coil_", CONTACTORS, "1", "coil wire at the DUT's pin", timed="each", labels=LEVEL),
    *_each("measured.pole_", CONTACTORS, "1", "power contact, load side", timed="each", labels=("OPEN", "CLOSED")),
    Line(
        "measured.contactor_main",
        "1",
        "CLOSED = both mains conduct; OPEN = both coils off and the path interrupted; else PARTIAL",
        timed="each",
        labels=SWITCHED,
    ),
    Line("measured.request_age", "s", "time since the bench last sent a valid vehicle request"),
    # reported: what the BMS says on the bus, last known value. Writer: codec.
    Line("reported.cell_voltage", "V", "one complete scan; its time is the instant the scan was sampled", CELL, "all"),
    Line("reported.cell_scan", "1", "scan counter of the vector above", timed="each"),
    Line("reported.temperature", "degC", "temperature sensor", SENSOR, "all"),
    Line("reported.pack_current", "A", "current, latched with the scan of the same frame", timed="each"),
    Line("reported.pack_voltage", "V", "pack voltage", timed="each"),
    Line("reported.link_voltage", "V", "link voltage", timed="each"),
    Line("reported.cell_voltage_min", "V", "lowest cell", timed="each"),
    Line("reported.cell_voltage_max", "V", "highest cell", timed="each"),
    Line("reported.temperature_min", "degC", "lowest sensor", timed="each"),
    Line("reported.temperature_max", "degC", "highest sensor", timed="each"),
    Line("reported.soc", "1", "state of charge", timed="each"),
    Line("reported.discharge_current_limit", "A", "allowed discharge current", timed="each"),
    Line("reported.charge_current_limit", "A", "allowed charge current, as a positive number", timed="each"),
    Line("reported.isolation", "ohm", "isolation resistance", timed="each"),
    Line("reported.state", "1", "state machine", timed="each", labels=STATES),
    *_each("reported.contactor_", CONTACTORS, "1", "contactor state", timed="each", labels=("OPEN", "CLOSED")),
    Line("reported.contactor_main", "1", "main contactors as the BMS reports them", timed="each", labels=SWITCHED),
    *_each("reported.dtc_", DTCS, "1", "trouble code active", timed="each", labels=LEVEL),
    Line("reported.alive", "1", "alive counter of the state frame", timed="each"),
    Line("reported.hardware_version", "1", "identity", timed="each"),
    Line("reported.software_version", "1", "identity", timed="each"),
    Line("reported.calibration_version", "1", "identity", timed="each"),
    Line("reported.messages_silent", "1", "protected messages not heard within their timeout, or ever", timed="each"),
    Line("reported.frames_bad", "1", "safety frames refused by CRC or counter since the run began", timed="each"),
    # restbus: what became of the messages the bench sends for other nodes. Writer: restbus.
    Line("restbus.suppressed", "1", "messages held back: the bench file says so, or another node sends them"),
    Line("restbus.heard", "1", "frames of the bench's own messages heard from other nodes since the run began"),
    # twin: what should be, from measured current. Writer: twin.
    Line("twin.cell_voltage", "V", "predicted cell voltage at the measurement's instant", CELL),
    Line("twin.cell_soc", "1", "state of charge estimate of each cell", CELL),
    Line("twin.cell_temperature", "degC", "estimated core temperature of each cell", CELL, record=False),
    Line("twin.soc", "1", "state of charge estimate, mean of the cells"),
    Line("twin.soc_sigma", "1", "one standard deviation of twin.soc"),
    Line(
        "twin.cell_resistance_growth",
        "1",
        "resistance of each cell over the nominal one, its peers' mean taken as 1",
        CELL,
    ),
    Line("twin.leak_current", "A", "estimated leak inside each cell: its voltage over that of an internal short", CELL),
    Line("twin.leak_sigma", "A", "one standard deviation of twin.leak_current", CELL, record=False),
    Line("twin.unexpected_heat", "W", "heat that no current accounts for, at each temperature sensor", SENSOR),
    Line(
        "twin.cell_warning",
        "1",
        "tests failed since the start, a sum: 1 departure, 2 mean difference, 4 leak, 8 heat, 16 runaway",
        CELL,
    ),
    Line("twin.warning", "1", "the gravest early warning since the start", labels=WARNINGS),
    Line("twin.warning_cell", "1", "cell of twin.warning; unknown when there is none"),
    Line("twin.warning_since", "s", "when the first early warning came, since the run began; unknown when none has"),
    Line("twin.pack_voltage", "V", "sum of the predicted cell voltages less the busbars"),
    Line("twin.capacity", "Ah", "estimated capacity of a group"),
    Line("twin.capacity_sigma", "Ah", "one standard deviation of twin.capacity"),
    Line("twin.soh_capacity", "1", "estimated capacity over the nominal one"),
    Line("twin.soh_capacity_sigma", "1", "one standard deviation of twin.soh_capacity"),
    Line("twin.resistance", "ohm", "estimated ohmic resistance of a group, mean of the cells, here and now"),
    Line("twin.resistance_sigma", "ohm", "one standard deviation of twin.resistance"),
    Line("twin.resistance_growth", "1", "estimated ohmic resistance over the nominal one, mean of the cells"),
    Line("twin.resistance_growth_sigma", "1", "one standard deviation of twin.resistance_growth"),
    # residual: aligned differences. Writer: compare.
    Line("residual.bench", "V", "measured - shown, per cell: blames the bench", CELL),
    Line("residual.bms", "V", "reported - measured, per cell, at the scan's instant: blames the BMS", CELL),
    Line("residual.cell", "V", "measured - predicted, per cell: blames the cell", CELL),
    *_each("residual.", ("bench_max", "bms_max", "cell_max"), "V", "largest magnitude over the cells"),
    # truth: the emulated pack. Writer: plant. Not allowed in expect, except truth.soc.
    Line("truth.cell_voltage", "V", "between a group's sense wires: cell and busbar joint", CELL),
    Line("truth.cell_soc", "1", "state of charge of each group", CELL),
    Line("truth.cell_temperature", "degC", "core temperature of each group", CELL),
    Line("truth.soc", "1", "state of charge of the pack: charge left over charge, lowest group"),
    Line("truth.pack_voltage", "V", "at the pack node"),
    Line("truth.fused_voltage", "V", "behind the fuse"),
    Line("truth.link_voltage", "V", "link capacitor"),
    Line("truth.pack_current", "A", "at this instant, positive in discharge"),
    Line("truth.isolation", "ohm", "plus and minus rail to chassis in parallel, leaks included"),
    Line("truth.fuse_blown", "1", "fuse open", labels=LEVEL),
    Line("truth.precharge_energy", "J", "energy lost in the precharge resistor since the run began"),
    Line("truth.heat", "W", "heat made by currents in all cells"),
    Line("truth.runaway_heat", "W", "heat of the decomposition reactions in all cells"),
    Line("truth.cells_vented", "1", "groups whose cells have vented"),
    Line("truth.gas_pressure", "Pa", "vent gas in the pack's enclosure, above ambient"),
    *_each("truth.pole_", CONTACTORS, "1", "power contact", labels=("OPEN", "CLOSED")),
    # intent: what the scenario wants. Writer: scenario. NaN = follow the plant (or the default).
    Line("intent.load_current", "A", "load current asked for"),
    Line("intent.coolant_temperature", "degC", "coolant or chamber temperature asked for"),
    Line("intent.request", "1", "vehicle request sent to the BMS", labels=REQUESTS),
    Line("intent.pack_current", "A", "override of the shunt"),
    Line("intent.pack_voltage", "V", "override of the DUT's pack voltage input"),
    Line("intent.link_voltage", "V", "override of the DUT's link voltage input"),
    Line("intent.isolation", "ohm", "override of the isolation resistance"),
    Line("intent.gas_pressure", "Pa", "override of the pressure in the enclosure"),
    Line("intent.supply", "V", "12 V supply asked for"),
    Line("intent.hvil", "1", "interlock loop", labels=LEVEL),
    Line("intent.wake", "1", "wake line", labels=LEVEL),
    Line("intent.cell_voltage", "V", "override of the cell emulator", CELL, record=False),
    Line("intent.temperature", "degC", "override of the thermistor emulator", SENSOR, record=False),
    # plant_in: where faults reach the plant; reset from Params each tick by the plant's own first step.
    Line("plant_in.short_conductance", "S", "internal short across a group", CELL, record=False),
    Line("plant_in.self_discharge", "A", "self-discharge of a group at half charge", CELL, record=False),
    Line("plant_in.busbar_resistance", "ohm", "extra, in the joint on a group's plus side", CELL, record=False),
    Line("plant_in.cell_heating", "W", "heat brought into a group from outside", CELL, record=False),
    Line("plant_in.coolant_share", "1", "share of the conductance to the coolant that is left", record=False),
    *_each("plant_in.weld_", CONTACTORS, "1", "power contact welded", labels=LEVEL, record=False),
    *_each("plant_in.stuck_open_", CONTACTORS, "1", "power contact cannot close", labels=LEVEL, record=False),
    Line("plant_in.leak_plus", "S", "extra leak from the plus rail to chassis", record=False),
    Line("plant_in.leak_minus", "S", "extra leak from the minus rail to chassis", record=False),
    # command: what plan wants to show, before the limiter. Writer: plan; faults transform it.
    Line("command.cell_voltage", "V", "cell emulator setpoint", CELL, record=False),
    Line("command.sense_open", "1", "cut this sense wire", WIRE, record=False),
    Line("command.sense_resistance", "ohm", "add to this sense wire", WIRE, record=False),
    Line("command.thermistor", "ohm", "thermistor setpoint", SENSOR, record=False),
    Line("command.pack_current", "A", "shunt setpoint", record=False),
    Line("command.pack_voltage", "V", "pack voltage setpoint", record=False),
    Line("command.link_voltage", "V", "link voltage setpoint", record=False),
    Line("command.isolation", "ohm", "isolation setpoint", record=False),
    Line("command.coolant_temperature", "degC", "coolant setpoint", record=False),
    Line("command.gas_pressure", "Pa", "pressure setpoint", record=False),
    Line("command.load_current", "A", "load setpoint", record=False),
    Line("command.supply", "V", "supply setpoint", record=False),
    Line("command.hvil", "1", "interlock loop", record=False),
    Line("command.wake", "1", "wake line", record=False),
    *_each("command.auxiliary_", CONTACTORS, "1", "feedback contact", record=False),
    Line("command.request", "1", "vehicle request", labels=REQUESTS, record=False),
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity with its place: ``count`` columns from ``start``; ``time_start`` is -1 when it is not timed."""

    name: str
    unit: str
    meaning: str
    count: int
    start: int
    time_start: int
    time_count: int
    labels: Labels
    record: bool

    def time_column(self, index: int) -> int:
        """Column of the last-change time of element ``index``; -1 when the quantity is not timed."""
        if self.time_start < 0:
            return -1
        return self.time_start + (index if self.time_count > 1 else 0)


@dataclass(frozen=True, slots=True)
class Table:
    """All quantities of one run, in column order; the first ``recorded`` columns are what a record keeps."""

    quantities: tuple[Quantity, ...]
    columns: int
    recorded: int
    cells: int
    temps: int

    def find(self, name: str) -> Quantity | None:
        """The quantity of that name, or None."""
        return next((q for q in self.quantities if q.name == name), None)

    def names(self) -> list[str]:
        """All names, in column order."""
        return [q.name for q in self.quantities]

    def labels(self) -> list[str]:
        """One name per column: ``shown.cell_voltage[3]``, ``reported.state``, ``reported.state.t``."""
        out = [""] * self.columns
        for q in self.quantities:
            for i in range(q.count):
                out[q.start + i] = f"{q.name}[{i}]" if q.count > 1 else q.name
            for i in range(q.time_count if q.time_start >= 0 else 0):
                out[q.time_start + i] = f"{q.name}[{i}].t" if q.time_count > 1 else f"{q.name}.t"
        return out


def table(cells: int, temps: int, lines: tuple[Line, ...] = QUANTITIES) -> Table:
    """Lay the quantities out for a pack of ``cells`` cells and ``temps`` temperature sensors.

    Raises:
        ValueError: the row would be wider than ``COLUMNS``, or a name stands twice.
    """
    sizes = {CELL: cells, WIRE: cells + 1, SENSOR: temps}
    out: list[Quantity] = []
    at, recorded = 0, 0
    for line in sorted(lines, key=lambda x: not x.record):
        count = sizes[line.size] if isinstance(line.size, str) else line.size
        times = {"": 0, "each": count, "all": 1}[line.timed]
        start, time_start = at, at + count if times else -1
        at += count + times
        recorded = at if line.record else recorded
        out.append(
            Quantity(line.name, line.unit, line.meaning, count, start, time_start, times, line.labels, line.record)
        )
    if at > COLUMNS:
        raise ValueError(f"the process image needs {at} columns, a row has {COLUMNS}")
    if len({q.name for q in out}) != len(out):
        raise ValueError("a quantity stands twice in the table")
    return Table(tuple(out), at, recorded, cells, temps)


COLUMN_FIELD = re.compile(r"^(col|tcol)_(.+)$")


def bind(record: Any, of: Table) -> None:
    """Fill every ``col_range_name`` field (first column) and ``tcol_range_name`` field (first time column).

    ``record`` is one record (``array[0]`` or a recarray view), changed in place; nested records are left alone.

    Raises:
        KeyError: a field names no quantity, or a time column of one that is not timed.
    """
    by_field = {q.name.replace(".", "_"): q for q in of.quantities}
    for field in record.dtype.names:
        matched = COLUMN_FIELD.match(field)
        if not matched:
            continue
        kind, name = matched.groups()
        if name not in by_field:
            raise KeyError(f"{field}: no quantity {name!r} in the table")
        column = by_field[name].start if kind == "col" else by_field[name].time_start
        if column < 0:
            raise KeyError(f"{field}: {by_field[name].name} is not timed")
        record[field] = column
