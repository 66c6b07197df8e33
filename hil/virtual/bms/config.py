"""The BMS's calibration from its limits file and the bus's DBC: the one module of the BMS that knows files."""

import math
from pathlib import Path

from hil.codec import e2e, raw
from hil.codec.mapping import load_bus
from hil.errors import InputError, Problem
from hil.files.limits import BmsLimits, Timing, load_limits
from hil.image import DTCS
from hil.kernel import Rows, view, zeros
from hil.tick import CELLS, TEMPS
from hil.virtual.bms.record import BmsConfig, ComConfig, Dtc, Message, Slot

NAMES = {
    Message.STATE: "BMS_State",
    Message.PACK: "BMS_Pack",
    Message.DTC: "BMS_Dtc",
    Message.LIMITS: "BMS_Limits",
    Message.SOC: "BMS_Soc",
    Message.MINMAX: "BMS_MinMax",
    Message.CELLS: "BMS_Cells",
    Message.TEMPERATURES: "BMS_Temperatures",
    Message.ISOLATION: "BMS_Isolation",
    Message.IDENTITY: "BMS_Identity",
    Message.REQUEST: "VEH_Request",
}

# Slow messages go out in odd activations, so that nothing delays a scan's first frame: it goes out in even ones.
PHASES = {
    Message.DTC: 1,
    Message.LIMITS: 3,
    Message.SOC: 5,
    Message.MINMAX: 7,
    Message.TEMPERATURES: 1,
    Message.ISOLATION: 9,
    Message.IDENTITY: 11,
}

SIGNALS = {
    "BMS_State.State": Slot.STATE,
    "BMS_State.ContactorMainPlus": Slot.CONTACTOR,
    "BMS_State.ContactorMainMinus": Slot.CONTACTOR + 1,
    "BMS_State.ContactorPrecharge": Slot.CONTACTOR + 2,
    "BMS_State.ErrorLatched": Slot.ERROR_LATCHED,
    "BMS_State.BalancingActive": Slot.BALANCING,
    "BMS_State.OpenWireTestActive": Slot.OPEN_WIRE_TEST,
    "BMS_State.PrechargeTries": Slot.TRIES,
    "BMS_Pack.PackCurrent": Slot.CURRENT,
    "BMS_Pack.PackVoltage": Slot.PACK_VOLTAGE,
    "BMS_Pack.LinkVoltage": Slot.LINK_VOLTAGE,
    "BMS_Pack.ScanCounter": Slot.SCAN_COUNTER,
    "BMS_Limits.DischargeCurrentLimit": Slot.DISCHARGE_LIMIT,
    "BMS_Limits.ChargeCurrentLimit": Slot.CHARGE_LIMIT,
    "BMS_Soc.Soc": Slot.SOC,
    "BMS_MinMax.CellVoltageMin": Slot.VOLTAGE_MIN,
    "BMS_MinMax.CellVoltageMax": Slot.VOLTAGE_MAX,
    "BMS_MinMax.TemperatureMin": Slot.TEMPERATURE_MIN,
    "BMS_MinMax.TemperatureMax": Slot.TEMPERATURE_MAX,
    "BMS_MinMax.CellMinIndex": Slot.MIN_INDEX,
    "BMS_MinMax.CellMaxIndex": Slot.MAX_INDEX,
    "BMS_Cells.CellMux": Slot.CELL_MUX,
    "BMS_Cells.ScanCounter": Slot.SCAN_COUNTER,
    "BMS_Temperatures.TempMux": Slot.TEMPERATURE_MUX,
    "BMS_Isolation.IsolationResistance": Slot.ISOLATION,
    "BMS_Identity.HardwareVersion": Slot.HARDWARE,
    "BMS_Identity.SoftwareVersion": Slot.SOFTWARE,
    "BMS_Identity.CalibrationVersion": Slot.CALIBRATION,
    "VEH_Request.Request": Slot.REQUEST,
    **{f"BMS_Dtc.Dtc_{code}": Slot.DTC + d for d, code in enumerate(DTCS)},
    **{f"BMS_Cells.CellVoltage_{i:03d}": Slot.CELL + i for i in range(96)},
    **{f"BMS_Temperatures.Temperature_{i:02d}": Slot.TEMPERATURE + i for i in range(32)},
}

HARDWARE, SOFTWARE = 1, 100
SAME_AS = {Dtc.CONTACTOR_WELD: "contactor_feedback", Dtc.CONTACTOR_STUCK_OPEN: "contactor_feedback"}
EVENTS = (Dtc.PRECHARGE_TIMEOUT, Dtc.PRECHARGE_SHORT)


def config(limits: BmsLimits | Path | str, bus: Path | str, n_cells: int, n_temps: int) -> Rows[BmsConfig]:
    """The calibration of a BMS for ``n_cells`` cells and ``n_temps`` sensors; ``bus`` is a ``*.quantities.yaml``.

    Raises:
        InputError: a file is wrong, or the pack does not fit.
    """
    model = limits if isinstance(limits, BmsLimits) else load_limits(limits)
    if not 1 <= n_cells <= CELLS or not 0 <= n_temps <= TEMPS:
        raise InputError(
            Problem("pack", expected=f"1..{CELLS} cells, 0..{TEMPS} sensors", found=f"{n_cells}, {n_temps}")
        )
    timing = model.timing
    if 8 % (timing.cell_image // timing.task):
        raise InputError(
            Problem(
                "timing.cell_image",
                expected="1/4 or 1/2 of a scan's half: 2, 4 or 8 tasks",
                found=f"{timing.cell_image // timing.task} tasks",
            )
        )
    made = zeros(BmsConfig)
    c = view(made)
    c.n_cells, c.n_temps, c.task_ns, c.image_every = n_cells, n_temps, timing.task, timing.cell_image // timing.task
    c.startup_ns, c.leaky, c.per_call = timing.startup, int(timing.debounce == "leaky"), int(timing.counts == "calls")
    c.current_shift, c.request_period_ns = 3, 10_000_000
    _fill_protections(c, model)
    _fill_machine(c, model)
    _fill_sensors(c, model)
    _fill_com(c, bus)
    return made


def milli(value: float) -> int:
    """A voltage or current in mV or mA, to the nearest."""
    return round(value * 1000.0)


def deci(value: float) -> int:
    """A temperature in 0.1 degC, to the nearest."""
    return round(value * 10.0)


def _kilo(value: float) -> int:
    """A resistance in kohm, to the nearest."""
    return round(value / 1000.0)


def _fill_protections(c: BmsConfig, model: BmsLimits) -> None:
    """Tiers in the unit of what they bound, times in ns."""
    for code in Dtc:
        if code in EVENTS:
            c.opens[code] = 1
            continue
        name = SAME_AS.get(code, code.name.lower())
        entry = getattr(model.limits, name)
        assert isinstance(entry, Timing)
        c.debounce_ns[code], c.heal_ns[code], c.delay_ns[code] = entry.debounce, entry.heal, entry.delay
        c.opens[code] = int(entry.reaction == "open")
        scale = deci if name.startswith(("ot_", "ut_")) else _kilo if name.startswith("isolation") else milli
        for key, field in (("MOL", c.mol), ("RSL", c.rsl), ("MSL", c.msl), ("release", c.release)):
            if hasattr(entry, key):
                field[code] = scale(getattr(entry, key))


def _fill_machine(c: BmsConfig, model: BmsLimits) -> None:
    weld, pre, derating, balancing = model.limits.weld_check, model.precharge, model.derating, model.balancing
    c.weld_settle_ns, c.weld_below_permille, c.weld_rise_permille = weld.settle, milli(weld.below), milli(weld.rise)
    c.precharge_timeout_ns, c.precharge_end_permille = pre.timeout, milli(pre.end_within)
    c.precharge_short_ns, c.precharge_short_permille = pre.short_after, milli(pre.short_below)
    c.precharge_tries, c.precharge_pause_ns = pre.tries, pre.pause
    c.opening_wait_ns, c.opening_current_ma = model.opening.wait, milli(model.opening.current)
    c.full_discharge_ma, c.full_charge_ma = milli(derating.discharge_current), milli(derating.charge_current)
    c.charge_seen_ma = milli(derating.charge_seen_above)
    c.balance_above_mv, c.balance_release_mv = milli(balancing.above), milli(balancing.release)
    c.balance_difference_mv, c.balance_current_ma = milli(balancing.difference), milli(balancing.current_below)
    c.supply_min_mv, c.interlock_ns = milli(model.supervision.supply_min), model.supervision.interlock
    c.capacity_uas = round(model.soc.capacity * 3600.0) * 1_000_000
    c.factory_charge_uas = round(model.soc.factory * int(c.capacity_uas))
    c.hardware_version, c.software_version, c.calibration_version = HARDWARE, SOFTWARE, model.calibration


def thermistor_code(temperature_degc: float, r25_ohm: float, beta_k: float, pull_up_ohm: float) -> int:
    """The 12-bit code of a temperature: 4095 R / (R + pull-up), R = r25 exp(beta (1/T - 1/298.15 K))."""
    r_ohm = r25_ohm * math.exp(beta_k * (1.0 / (temperature_degc + 273.15) - 1.0 / 298.15))
    return round(4095.0 * r_ohm / (r_ohm + pull_up_ohm))


def _fill_sensors(c: BmsConfig, model: BmsLimits) -> None:
    """Code -> 0.1 degC by the inverted equation of ``thermistor_code``, limited to what the bus can say."""
    divider, band = model.thermistor_divider, model.limits.thermistor
    numbers = (divider.r25, divider.beta, divider.pull_up)
    c.sensor_open_code = thermistor_code(band.open_below, *numbers)
    c.sensor_short_code = thermistor_code(band.short_above, *numbers)
    for code in range(1, 4095):
        r_ohm = divider.pull_up * code / (4095.0 - code)
        kelvin = 1.0 / (1.0 / 298.15 + math.log(r_ohm / divider.r25) / divider.beta)
        c.code_dc[code] = min(1446, max(-600, deci(kelvin - 273.15)))
    c.code_dc[0], c.code_dc[4095] = 1446, -600


def _fill_com(c: BmsConfig, bus_path: Path | str) -> None:
    bus = load_bus(bus_path)
    names = [NAMES[message] for message in Message]
    com: ComConfig = c.com[0]
    com["plan"] = raw.raw_plan(bus.db, {name: int(slot) for name, slot in SIGNALS.items()}, names)[0]  # type: ignore[index]  # a numpy record at run time
    protected = [(m, bus.e2e.of(NAMES[m])) for m in Message]
    lines = [(m, protection) for m, protection in protected if protection is not None]
    com["protections"] = e2e.table(p for _, p in lines)[0]  # type: ignore[index]  # a numpy record at run time
    com["protection"][:] = -1  # type: ignore[index]  # a numpy record at run time
    for line, (message, _) in enumerate(lines):
        com["protection"][message] = line  # type: ignore[index]  # a numpy record at run time
    for message in Message:
        cycle_ns = bus.db.message(NAMES[message]).cycle_ns
        if message is not Message.REQUEST and cycle_ns is not None:
            c.period[message] = cycle_ns // c.task_ns
            c.phase[message] = PHASES.get(message, 0) % max(1, int(c.period[message]))
