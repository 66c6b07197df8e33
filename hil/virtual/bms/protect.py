"""Inputs and protections: what the BMS takes from its wires, and which trouble codes follow.

Every protection is a monitor: bad for ``debounce`` confirms it (trouble code set), clear for ``heal`` ends it; a
confirmed one that opens trips ``delay`` after its confirmation. A trip latches the code until CLEAR.
"""

from hil.kernel import kernel
from hil.tick import DutInputs, OpenWireTest, Switch
from hil.virtual.bms.record import DTC_COUNT, UNKNOWN_DC, BmsConfig, BmsState, Dtc, Stat
from hil.virtual.bms.rules import above, below, debounced, div_round, is_charging, slow
from hil.virtual.bms.vectors import copy_codes, find_open_wire, scan_cells, scan_sensors

PULL_UP, PULL_DOWN = int(OpenWireTest.PULL_UP), int(OpenWireTest.PULL_DOWN)


@kernel
def confirm(s: BmsState, d: int) -> None:
    """The fault is there: its trouble code is set."""
    s.confirmed[d] = 1
    s.confirmed_ns[d] = s.now_ns
    s.timer[d] = -1
    s.dtc[d] = 1


@kernel
def monitor(s: BmsState, c: BmsConfig, d: int, bad: int, clear: int, elapsed_ns: int) -> None:
    """One evaluation of protection ``d``; between bad and clear lies the hysteresis."""
    if s.confirmed[d] == 0:
        s.timer[d] = debounced(s.timer[d], bad, elapsed_ns, c.leaky)
        if s.timer[d] >= c.debounce_ns[d]:
            confirm(s, d)
    else:
        s.timer[d] = debounced(s.timer[d], clear, elapsed_ns, 0)
        if s.timer[d] >= c.heal_ns[d]:
            s.confirmed[d] = 0
            s.timer[d] = -1
            if s.latched[d] == 0:
                s.dtc[d] = 0


@kernel
def monitor_high(s: BmsState, c: BmsConfig, d: int, value: int, elapsed_ns: int) -> None:
    """A value that must not rise above its limit."""
    monitor(s, c, d, above(value, c.msl[d]), 1 - above(value, c.release[d]), elapsed_ns)


@kernel
def monitor_low(s: BmsState, c: BmsConfig, d: int, value: int, elapsed_ns: int) -> None:
    """A value that must not fall below its limit."""
    monitor(s, c, d, below(value, c.msl[d]), 1 - below(value, c.release[d]), elapsed_ns)


@kernel
def read_wires(s: BmsState, c: BmsConfig, wires: DutInputs, dt_ns: int) -> None:
    """Take the inputs of this activation; the cell codes only when they belong to an image or to the open-wire test."""
    s.current_ma = wires.pack_current_ma
    s.slow_current_ma = slow(s.slow_current_ma, s.current_ma, c.current_shift)
    s.pack_mv = wires.pack_voltage_mv
    s.link_mv = wires.link_voltage_mv
    s.isolation_kohm = wires.isolation_kohm
    s.auxiliary[Switch.MAIN_PLUS] = wires.auxiliary[Switch.MAIN_PLUS]
    s.auxiliary[Switch.MAIN_MINUS] = wires.auxiliary[Switch.MAIN_MINUS]
    s.auxiliary[Switch.PRECHARGE] = wires.auxiliary[Switch.PRECHARGE]
    if wires.hvil == 0 or wires.wake == 0:
        s.interlock_ns = debounced(s.interlock_ns, 1, dt_ns, 0)
    else:
        s.interlock_ns = -1
    s.image_fresh = 0
    s.open_wire_fresh = 0
    step = s.activation % c.image_every
    if step == 0:
        read_image(s, c, wires)
    elif step == 1:
        read_open_wire(s, c, wires)


@kernel
def read_image(s: BmsState, c: BmsConfig, wires: DutInputs) -> None:
    """One set of cell voltages and temperatures, with the pack voltage of the same instant."""
    scan_cells(wires.cell_code, c.n_cells, s.image, s.stats)
    s.min_mv = div_round(s.stats[Stat.LOW], 10)
    s.max_mv = div_round(s.stats[Stat.HIGH], 10)
    s.sum_mv = div_round(s.stats[Stat.TOTAL], 10)
    s.min_index = s.stats[Stat.LOW_INDEX]
    s.max_index = s.stats[Stat.HIGH_INDEX]
    s.image_pack_mv = s.pack_mv
    scan_sensors(wires.temp_code, c.n_temps, c.code_dc, c.sensor_open_code, c.sensor_short_code, s.sensor_dc, s.stats)
    s.min_dc = s.stats[Stat.LOW]
    s.max_dc = s.stats[Stat.HIGH]
    s.broken_sensors = s.stats[Stat.BROKEN]
    s.image_valid = 1
    s.image_fresh = 1


@kernel
def read_open_wire(s: BmsState, c: BmsConfig, wires: DutInputs) -> None:
    """The codes under the test current: pull-up is kept, pull-down is compared with it."""
    if s.open_wire_test == PULL_UP:
        copy_codes(wires.cell_code, c.n_cells, s.pulled_up)
    elif s.open_wire_test == PULL_DOWN:
        threshold = c.msl[Dtc.OPEN_WIRE] * 10
        s.open_wire = find_open_wire(s.pulled_up, wires.cell_code, c.n_cells, threshold)
        s.open_wire_fresh = 1


@kernel
def next_open_wire_test(s: BmsState, c: BmsConfig) -> int:
    """The test current for the next sample: after each image, up and down in turn; none while an image is sampled."""
    if s.activation % c.image_every != 0:
        return 0
    if (s.activation // c.image_every) % 2 == 0:
        return PULL_UP
    return PULL_DOWN


@kernel
def watch_image(s: BmsState, c: BmsConfig, elapsed_ns: int) -> None:
    """Protections on cell voltages."""
    monitor_high(s, c, Dtc.CELL_OV, s.max_mv, elapsed_ns)
    monitor_low(s, c, Dtc.CELL_UV, s.min_mv, elapsed_ns)
    if s.open_wire < 0:  # a cell beside an open wire reads 0 V, and this latch is for good
        monitor_low(s, c, Dtc.CELL_DEEP_UV, s.min_mv, elapsed_ns)
    gap_mv = s.sum_mv - s.image_pack_mv
    if gap_mv < 0:
        gap_mv = -gap_mv
    monitor_high(s, c, Dtc.PLAUSIBILITY_SUM, gap_mv, elapsed_ns)
    monitor_high(s, c, Dtc.CELL_SPREAD, s.max_mv - s.min_mv, elapsed_ns)


@kernel
def watch_temperatures(s: BmsState, c: BmsConfig, elapsed_ns: int) -> None:
    """Protections on temperatures; the charge limits count only while charging."""
    broken = above(s.broken_sensors, 0)
    monitor(s, c, Dtc.THERMISTOR, broken, 1 - broken, elapsed_ns)
    if s.max_dc == UNKNOWN_DC:
        return
    monitor_high(s, c, Dtc.OT_DISCHARGE, s.max_dc, elapsed_ns)
    monitor_low(s, c, Dtc.UT_DISCHARGE, s.min_dc, elapsed_ns)
    charging = is_charging(s, c)
    d = Dtc.OT_CHARGE
    monitor(s, c, d, charging * above(s.max_dc, c.msl[d]), 1 - above(s.max_dc, c.release[d]), elapsed_ns)
    d = Dtc.UT_CHARGE
    monitor(s, c, d, charging * below(s.min_dc, c.msl[d]), 1 - below(s.min_dc, c.release[d]), elapsed_ns)


@kernel
def watch_contactors(s: BmsState, c: BmsConfig, dt_ns: int) -> None:
    """Feedback contacts against coils, and the link after opening: a welded path keeps it at the pack's voltage."""
    welded = 0
    stuck = 0
    for switch in range(3):
        if s.coil[switch] == 0 and s.auxiliary[switch] != 0:
            welded = 1
        if s.coil[switch] != 0 and s.auxiliary[switch] == 0:
            stuck = 1
    if s.opened_ns >= 0 and s.now_ns - s.opened_ns >= c.weld_settle_ns:
        gap_mv = s.pack_mv - s.link_mv
        if gap_mv * 1000 < s.pack_mv * c.weld_below_permille:
            welded = 1
    monitor(s, c, Dtc.CONTACTOR_WELD, welded, 1 - welded, dt_ns)
    monitor(s, c, Dtc.CONTACTOR_STUCK_OPEN, stuck, 1 - stuck, dt_ns)


@kernel
def watch_requests(s: BmsState, c: BmsConfig, dt_ns: int) -> None:
    """The vehicle request's age, damaged frames and counter faults; supervised from the first valid request on."""
    if s.request_heard != 0:
        age_ns = s.now_ns - s.request_ns
        late = 1 - below(age_ns, c.debounce_ns[Dtc.REQUEST_TIMEOUT])
        if late != 0 and s.confirmed[Dtc.REQUEST_TIMEOUT] == 0:
            confirm(s, Dtc.REQUEST_TIMEOUT)
        elif late == 0:
            monitor(s, c, Dtc.REQUEST_TIMEOUT, 0, 1, dt_ns)
    d = Dtc.REQUEST_CRC
    corrupt = 1 - below(s.crc_bad * c.request_period_ns, c.debounce_ns[d])
    if corrupt != 0 and s.confirmed[d] == 0:
        confirm(s, d)
    elif s.confirmed[d] != 0:
        monitor(s, c, d, 0, below(s.crc_bad, 1), dt_ns)
    d = Dtc.REQUEST_COUNTER
    unordered = 1 - below(s.counter_bad * c.request_period_ns, c.debounce_ns[d])
    if unordered != 0 and s.confirmed[d] == 0:
        confirm(s, d)
    elif s.confirmed[d] != 0:
        monitor(s, c, d, 0, below(s.counter_bad, 1), dt_ns)


@kernel
def find_trip(s: BmsState, c: BmsConfig) -> None:
    """``pending``: a fault that opens is there; ``trip``: the delay of one is over, and its code is latched."""
    s.pending = 0
    s.trip = s.deep_latched
    for d in range(DTC_COUNT):
        if s.confirmed[d] != 0 and c.opens[d] != 0:
            s.pending = 1
            if s.now_ns - s.confirmed_ns[d] >= c.delay_ns[d]:
                s.latched[d] = 1
                s.trip = 1
    if s.latched[Dtc.CELL_DEEP_UV] != 0:
        s.deep_latched = 1


@kernel
def protect(s: BmsState, c: BmsConfig, dt_ns: int) -> None:
    """Every protection once."""
    if s.image_valid != 0 and (s.image_fresh != 0 or c.per_call != 0):
        elapsed_ns = dt_ns
        if c.per_call == 0:
            elapsed_ns = dt_ns * c.image_every
        watch_image(s, c, elapsed_ns)
        watch_temperatures(s, c, elapsed_ns)
    if s.open_wire_fresh != 0:
        bad = above(s.open_wire, -1)
        monitor(s, c, Dtc.OPEN_WIRE, bad, 1 - bad, 2 * dt_ns * c.image_every)
    monitor_high(s, c, Dtc.OC_DISCHARGE, s.current_ma, dt_ns)
    monitor_high(s, c, Dtc.OC_CHARGE, -s.current_ma, dt_ns)
    monitor_low(s, c, Dtc.ISOLATION_WARNING, s.isolation_kohm, dt_ns)
    monitor_low(s, c, Dtc.ISOLATION_FAULT, s.isolation_kohm, dt_ns)
    watch_contactors(s, c, dt_ns)
    watch_requests(s, c, dt_ns)
    monitor(s, c, Dtc.BREAK_INHIBIT, s.held, 1 - s.held, dt_ns)
    find_trip(s, c)
