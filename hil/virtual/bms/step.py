"""One task activation of the reference BMS."""

from hil.kernel import Rows, kernel
from hil.tick import DutLink, Switch
from hil.virtual.bms.com import receive, send
from hil.virtual.bms.machine import machine
from hil.virtual.bms.protect import next_open_wire_test, protect, read_wires
from hil.virtual.bms.record import DTC_COUNT, UNKNOWN_DC, BmsConfig, BmsState, Dtc, Request, State
from hil.virtual.bms.rules import moved_charge_uas, ramp_down, ramp_up
from hil.virtual.bms.vectors import choose_bleed, drive_bleed


@kernel
def power_up(s: BmsState) -> None:
    """Start with nothing known but what NVM holds (charge, deep-discharge latch)."""
    s.now_ns = 0
    s.activation = 0
    s.powered = 1
    s.image_valid = 0
    s.slow_current_ma = 0
    s.interlock_ns = -1
    s.open_wire = -1
    s.open_wire_test = 0
    s.state = State.STARTUP
    s.opened_ns = -1
    s.opening_ns = -1
    s.tries = 0
    s.cleared = 0
    s.held = 0
    s.request = Request.NONE
    s.request_heard = 0
    s.crc_bad = 0
    s.counter_bad = 0
    s.scan_phase = 0
    s.dtc_word = 0
    s.limit_sent = 0
    s.bleeding = 0
    for switch in range(3):
        s.coil[switch] = 0
        s.want[switch] = 0
    for d in range(DTC_COUNT):
        s.timer[d] = -1
        s.confirmed[d] = 0
        s.latched[d] = 0
        s.dtc[d] = 0
    if s.deep_latched != 0:
        s.latched[Dtc.CELL_DEEP_UV] = 1
        s.dtc[Dtc.CELL_DEEP_UV] = 1


@kernel
def count_charge(s: BmsState, c: BmsConfig, dt_ns: int) -> None:
    """Integrate the current, between empty and full."""
    s.charge_uas -= moved_charge_uas(s.current_ma, dt_ns)
    if s.charge_uas < 0:
        s.charge_uas = 0
    if s.charge_uas > c.capacity_uas:
        s.charge_uas = c.capacity_uas


@kernel
def derate(s: BmsState, c: BmsConfig) -> None:
    """Current limits: full up to MOL, linear to zero at RSL, the least of all; zero with a fault that opens."""
    s.discharge_limit_ma = 0
    s.charge_limit_ma = 0
    if s.pending != 0 or s.state == State.ERROR or s.state == State.STARTUP or s.min_dc == UNKNOWN_DC:
        return
    d = Dtc.CELL_UV
    discharge = ramp_up(s.min_mv, c.rsl[d], c.mol[d], c.full_discharge_ma)
    d = Dtc.OT_DISCHARGE
    discharge = min(discharge, ramp_down(s.max_dc, c.mol[d], c.rsl[d], c.full_discharge_ma))
    d = Dtc.UT_DISCHARGE
    s.discharge_limit_ma = min(discharge, ramp_up(s.min_dc, c.rsl[d], c.mol[d], c.full_discharge_ma))
    d = Dtc.CELL_OV
    charge = ramp_down(s.max_mv, c.mol[d], c.rsl[d], c.full_charge_ma)
    d = Dtc.OT_CHARGE
    charge = min(charge, ramp_down(s.max_dc, c.mol[d], c.rsl[d], c.full_charge_ma))
    d = Dtc.UT_CHARGE
    s.charge_limit_ma = min(charge, ramp_up(s.min_dc, c.rsl[d], c.mol[d], c.full_charge_ma))


@kernel
def balancing_allowed(s: BmsState, c: BmsConfig) -> int:
    """1 when the pack is quiet and nothing is wrong."""
    if s.pending != 0 or s.state == State.STARTUP or s.state == State.PRECHARGE or s.state == State.ERROR:
        return 0
    if s.slow_current_ma > c.balance_current_ma or s.slow_current_ma < -c.balance_current_ma:
        return 0
    return 1


@kernel
def balance(s: BmsState, c: BmsConfig) -> None:
    """With every image choose the cells to bleed, from clean voltages: the switches are off while it is taken."""
    if s.image_fresh == 0:
        return
    if balancing_allowed(s, c) == 0:
        s.bleeding = 0
        return
    start, stop, difference = c.balance_above_mv * 10, c.balance_release_mv * 10, c.balance_difference_mv * 10
    s.bleeding = choose_bleed(s.image, c.n_cells, s.min_mv * 10, start, stop, difference, s.bleed)


@kernel
def drive_outputs(s: BmsState, c: BmsConfig, port: DutLink) -> None:
    """Coils, balancing (off before the next image is sampled), test current and wake hold."""
    s.open_wire_test = next_open_wire_test(s, c)
    port.wires_out.open_wire_test = s.open_wire_test
    port.wires_out.coil[Switch.MAIN_PLUS] = s.coil[Switch.MAIN_PLUS]
    port.wires_out.coil[Switch.MAIN_MINUS] = s.coil[Switch.MAIN_MINUS]
    port.wires_out.coil[Switch.PRECHARGE] = s.coil[Switch.PRECHARGE]
    port.wires_out.wake_hold = 0
    if s.state != State.STANDBY:
        port.wires_out.wake_hold = 1
    enabled = 0
    if s.bleeding > 0 and s.activation % c.image_every != c.image_every - 1:
        enabled = 1
    drive_bleed(s.bleed, c.n_cells, enabled, port.wires_out.bleed)


@kernel
def power_down(s: BmsState, c: BmsConfig, port: DutLink) -> None:
    """Without supply every output drops and nothing is sent."""
    s.powered = 0
    for switch in range(3):
        s.coil[switch] = 0
        port.wires_out.coil[switch] = 0
    port.wires_out.open_wire_test = 0
    port.wires_out.wake_hold = 0
    drive_bleed(s.bleed, c.n_cells, 0, port.wires_out.bleed)
    port.tx.n = 0


@kernel
def bms_step(s: BmsState, c: BmsConfig, port: DutLink, t_ns: int, dt_ns: int) -> None:
    """One activation at ``t_ns``, which is only stamped on frames: timers run on the BMS's own clock, by ``dt_ns``."""
    if port.wires_in.supply_mv < c.supply_min_mv:
        power_down(s, c, port)
        return
    if s.powered == 0:
        power_up(s)
    receive(s, c, port.rx.slot, port.rx.n)
    read_wires(s, c, port.wires_in, dt_ns)
    count_charge(s, c, dt_ns)
    protect(s, c, dt_ns)
    machine(s, c)
    derate(s, c)
    balance(s, c)
    port.tx.n = send(s, c, t_ns, port.tx.slot)
    drive_outputs(s, c, port)
    s.now_ns += dt_ns
    s.activation += 1


@kernel
def step_rows(states: Rows[BmsState], fixed: Rows[BmsConfig], ports: Rows[DutLink], t_ns: int, dt_ns: int) -> None:
    """``bms_step`` called from Python."""
    bms_step(states[0], fixed[0], ports[0], t_ns, dt_ns)
