"""The BMS's rules: small integer functions, each one decision. Defects and mutants replace these."""

from hil.codec.e2e import E2eStatus
from hil.kernel import kernel
from hil.virtual.bms.record import UNKNOWN_DC, BmsConfig, BmsState, Dtc, State


@kernel
def div_round(number: int, by: int) -> int:
    """``number / by`` to the nearest integer, halves away from zero; ``by`` > 0. The same in C."""
    if number >= 0:
        return (number + by // 2) // by
    return -((-number + by // 2) // by)


@kernel
def slow(old: int, new: int, shift: int) -> int:
    """First-order filter: a 2^shift-th of the way from ``old`` to ``new``, rounded."""
    return old + div_round(new - old, 1 << shift)


@kernel
def above(value: int, limit: int) -> int:
    """1 when the value is beyond an upper limit; standing on it is allowed."""
    if value > limit:
        return 1
    return 0


@kernel
def below(value: int, limit: int) -> int:
    """1 when the value is beyond a lower limit; standing on it is allowed."""
    if value < limit:
        return 1
    return 0


@kernel
def debounced(timer_ns: int, bad: int, elapsed_ns: int, leaky: int) -> int:
    """The debounce timer after one evaluation: the first bad one starts it at 0, later ones add the time in between.

    A good one stops it (-1), or with ``leaky`` takes the time off again.
    """
    if bad != 0:
        if timer_ns < 0:
            return 0
        return timer_ns + elapsed_ns
    if leaky != 0 and timer_ns >= elapsed_ns:
        return timer_ns - elapsed_ns
    return -1


@kernel
def ramp_down(value: int, start: int, end: int, full: int) -> int:
    """``full`` up to ``start``, linear to 0 at ``end`` and beyond (start < end), rounded down."""
    if value <= start:
        return full
    if value >= end:
        return 0
    return full * (end - value) // (end - start)


@kernel
def ramp_up(value: int, end: int, start: int, full: int) -> int:
    """0 up to ``end``, linear to ``full`` at ``start`` and beyond (end < start), rounded down."""
    if value >= start:
        return full
    if value <= end:
        return 0
    return full * (value - end) // (start - end)


@kernel
def request_usable(status: int) -> int:
    """1 when a vehicle request of that E2E status may be obeyed: only a valid and new one."""
    if status == E2eStatus.OK:
        return 1
    return 0


@kernel
def request_corrupt(status: int) -> int:
    """1 when the status says that the frame was damaged."""
    if status == E2eStatus.ERROR:
        return 1
    return 0


@kernel
def request_out_of_order(status: int) -> int:
    """1 when the status says that the counter stands or jumped."""
    if status == E2eStatus.REPEATED or status == E2eStatus.WRONG_SEQUENCE:
        return 1
    return 0


@kernel
def is_charging(s: BmsState, c: BmsConfig) -> int:
    """1 when the charge limits of temperature apply: in CHARGE, or while current flows into the pack."""
    if s.state == State.CHARGE or s.current_ma < -c.charge_seen_ma:
        return 1
    return 0


@kernel
def charge_allowed(s: BmsState, c: BmsConfig) -> int:
    """1 when charging may begin: temperatures known and inside the charge limits."""
    if s.max_dc == UNKNOWN_DC:
        return 0
    if s.min_dc < c.msl[Dtc.UT_CHARGE] or s.max_dc > c.msl[Dtc.OT_CHARGE]:
        return 0
    return 1


@kernel
def may_open(current_ma: int, limit_ma: int) -> int:
    """1 when the contactors can break this current; above it the fuse has to."""
    if current_ma > limit_ma or current_ma < -limit_ma:
        return 0
    return 1


@kernel
def wanted_in_error(switch: int, coil: int) -> int:
    """The coil level that ERROR asks for, whatever it is now: off."""
    return 0


@kernel
def reported_contactor(auxiliary: int, state: int) -> int:
    """What the state frame says of a contactor: its feedback contact."""
    return auxiliary


@kernel
def reported_dtc(code: int, dtc: int) -> int:
    """What the trouble code frame says of a code."""
    return dtc


@kernel
def moved_charge_uas(current_ma: int, dt_ns: int) -> int:
    """Charge that leaves the pack in ``dt_ns`` (whole ms) in uAs: mA times ms, exact."""
    return current_ma * (dt_ns // 1_000_000)


@kernel
def link_charged(s: BmsState, c: BmsConfig) -> int:
    """1 when the link is near enough to the pack to close the main contactor."""
    gap_mv = s.pack_mv - s.link_mv
    if gap_mv < 0:
        gap_mv = -gap_mv
    if gap_mv * 1000 <= s.pack_mv * c.precharge_end_permille:
        return 1
    return 0


@kernel
def link_shorted(s: BmsState, c: BmsConfig) -> int:
    """1 when the link is so low that something in it takes the precharge current."""
    if s.link_mv * 1000 < s.pack_mv * c.precharge_short_permille:
        return 1
    return 0


@kernel
def clear_accepted(s: BmsState) -> int:
    """1 when CLEAR may wipe the latched faults: none that opens is still there, nor the deep-discharge latch."""
    if s.pending != 0 or s.deep_latched != 0:
        return 0
    return 1
