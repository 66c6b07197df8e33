"""The state machine: STARTUP, STANDBY, PRECHARGE, NORMAL, CHARGE, ERROR, and what the coils are wanted to be."""

from hil.kernel import kernel
from hil.tick import Switch
from hil.virtual.bms.protect import confirm
from hil.virtual.bms.record import DTC_COUNT, BmsConfig, BmsState, Closing, Dtc, Request, State
from hil.virtual.bms.rules import (
    charge_allowed,
    clear_accepted,
    link_charged,
    link_shorted,
    may_open,
    wanted_in_error,
)


@kernel
def enter(s: BmsState, state: int) -> None:
    """Change the state."""
    s.state = state
    s.opening_ns = -1
    s.cleared = 0


@kernel
def begin_closing(s: BmsState, closing: int) -> None:
    """Go to a step of PRECHARGE."""
    s.closing = closing
    s.closing_ns = s.now_ns
    s.settled = 0


@kernel
def want_open(s: BmsState) -> None:
    """All coils off."""
    s.want[Switch.MAIN_PLUS] = 0
    s.want[Switch.MAIN_MINUS] = 0
    s.want[Switch.PRECHARGE] = 0


@kernel
def interlocked(s: BmsState, c: BmsConfig) -> int:
    """1 when the interlock or the wake line has been missing for long enough."""
    if s.interlock_ns >= c.interlock_ns:
        return 1
    return 0


@kernel
def in_standby(s: BmsState, c: BmsConfig) -> None:
    """Contactors open; a request for power begins the closing sequence."""
    want_open(s)
    wanted = s.request == Request.NORMAL or (s.request == Request.CHARGE and charge_allowed(s, c) != 0)
    if wanted and s.pending == 0 and s.interlock_ns < 0:
        s.target = State.NORMAL
        if s.request == Request.CHARGE:
            s.target = State.CHARGE
        s.tries = 0
        s.link_before_mv = s.link_mv
        enter(s, State.PRECHARGE)
        begin_closing(s, Closing.MAIN_MINUS)


@kernel
def in_precharge(s: BmsState, c: BmsConfig) -> None:
    """MAIN_MINUS, PRECHARGE, wait for the link, MAIN_PLUS, precharge off; given up on request or for a fault."""
    if s.request == Request.STANDBY or interlocked(s, c) != 0:
        want_open(s)
        enter(s, State.STANDBY)
    elif s.pending != 0:
        want_open(s)
        begin_closing(s, Closing.PAUSE)
    elif s.closing == Closing.MAIN_MINUS:
        close_minus(s, c)
    elif s.closing == Closing.CHARGE_LINK:
        charge_link(s, c)
    elif s.closing == Closing.MAIN_PLUS:
        s.want[Switch.MAIN_PLUS] = 1
        if s.auxiliary[Switch.MAIN_PLUS] != 0:
            begin_closing(s, Closing.RELEASE)
    elif s.closing == Closing.RELEASE:
        s.want[Switch.PRECHARGE] = 0
        if s.auxiliary[Switch.PRECHARGE] == 0:
            enter(s, s.target)
    elif s.now_ns - s.closing_ns >= c.precharge_pause_ns:
        s.link_before_mv = s.link_mv
        begin_closing(s, Closing.MAIN_MINUS)


@kernel
def close_minus(s: BmsState, c: BmsConfig) -> None:
    """Only the minus contactor: if the link rises now, a contact on the plus side is welded."""
    s.want[Switch.MAIN_MINUS] = 1
    if s.auxiliary[Switch.MAIN_MINUS] == 0 or s.coil[Switch.MAIN_MINUS] == 0:
        return
    s.settled += 1
    if s.settled < 2:
        return
    if (s.link_mv - s.link_before_mv) * 1000 > s.pack_mv * c.weld_rise_permille:
        confirm(s, Dtc.CONTACTOR_WELD)
        want_open(s)
    else:
        s.short_checked = 0
        s.want[Switch.PRECHARGE] = 1
        begin_closing(s, Closing.CHARGE_LINK)


@kernel
def charge_link(s: BmsState, c: BmsConfig) -> None:
    """Through the resistor: done when near enough, a short when it hardly rises, a failed try at the timeout."""
    since_ns = s.now_ns - s.closing_ns
    if s.short_checked == 0 and since_ns >= c.precharge_short_ns:
        s.short_checked = 1
        if link_shorted(s, c) != 0:
            confirm(s, Dtc.PRECHARGE_SHORT)
            want_open(s)
            return
    if link_charged(s, c) != 0 and s.auxiliary[Switch.PRECHARGE] != 0:
        begin_closing(s, Closing.MAIN_PLUS)
        s.want[Switch.MAIN_PLUS] = 1
    elif since_ns >= c.precharge_timeout_ns:
        s.tries += 1
        want_open(s)
        if s.tries >= c.precharge_tries:
            confirm(s, Dtc.PRECHARGE_TIMEOUT)
        begin_closing(s, Closing.PAUSE)


@kernel
def in_power(s: BmsState, c: BmsConfig) -> None:
    """NORMAL or CHARGE: both mains closed; on request they open when the load has let go or the wait is over."""
    s.want[Switch.MAIN_PLUS] = 1
    s.want[Switch.MAIN_MINUS] = 1
    s.want[Switch.PRECHARGE] = 0
    if s.request != Request.STANDBY and interlocked(s, c) == 0:
        s.opening_ns = -1
        return
    if s.opening_ns < 0:
        s.opening_ns = s.now_ns
    quiet = s.current_ma <= c.opening_current_ma and s.current_ma >= -c.opening_current_ma
    if quiet or s.now_ns - s.opening_ns >= c.opening_wait_ns:
        want_open(s)
        enter(s, State.STANDBY)


@kernel
def in_error(s: BmsState, c: BmsConfig) -> None:
    """Open and latched; left by CLEAR once no fault that opens is there, then STANDBY."""
    for switch in range(3):
        s.want[switch] = wanted_in_error(switch, s.coil[switch])
    s.confirmed[Dtc.PRECHARGE_TIMEOUT] = 0
    s.confirmed[Dtc.PRECHARGE_SHORT] = 0
    accepted = clear_accepted(s)
    if accepted == 0:
        s.cleared = 0
    if s.request == Request.CLEAR and accepted != 0:
        s.cleared = 1
        for d in range(DTC_COUNT):
            if c.opens[d] != 0:
                s.confirmed[d] = 0  # a running debounce goes on: a lasting CLEAR must not hide a fault
                s.latched[d] = 0
                s.dtc[d] = 0
    elif s.request == Request.STANDBY and s.cleared != 0:
        enter(s, State.STANDBY)


@kernel
def drive_coils(s: BmsState, c: BmsConfig) -> None:
    """Wanted levels to the coils; no contact is opened against a current it cannot break."""
    s.held = 0
    was_closed = path_closed(s)
    breakable = may_open(s.current_ma, c.msl[Dtc.BREAK_INHIBIT])
    for switch in range(3):
        if s.coil[switch] != 0 and s.want[switch] == 0 and breakable == 0:
            s.held = 1
        else:
            s.coil[switch] = s.want[switch]
    if path_closed(s) != 0:
        s.opened_ns = -1
    elif was_closed != 0:
        s.opened_ns = s.now_ns


@kernel
def path_closed(s: BmsState) -> int:
    """1 when the coils connect the pack to the link."""
    if s.coil[Switch.MAIN_MINUS] != 0 and (s.coil[Switch.MAIN_PLUS] != 0 or s.coil[Switch.PRECHARGE] != 0):
        return 1
    return 0


@kernel
def machine(s: BmsState, c: BmsConfig) -> None:
    """One activation of the state machine."""
    if s.trip != 0 and s.state != State.ERROR:
        enter(s, State.ERROR)
    if s.state == State.STARTUP:
        want_open(s)
        if s.image_valid != 0 and s.now_ns >= c.startup_ns:
            enter(s, State.STANDBY)
    elif s.state == State.STANDBY:
        in_standby(s, c)
    elif s.state == State.PRECHARGE:
        in_precharge(s, c)
    elif s.state == State.ERROR:
        in_error(s, c)
    else:
        in_power(s, c)
    drive_coils(s, c)
