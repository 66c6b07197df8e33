"""Every protection of the reference BMS: trips at debounce + delay, not a sample earlier; hysteresis, latch, clear."""

from collections.abc import Callable

import pytest
from bms_rig import CELLS, Rig, code_of, limits

from hil.image import DTCS, REQUESTS, STATES
from hil.tick import OpenWireTest, Switch
from hil.virtual.bms.record import Dtc, Request, State

Fault = Callable[[Rig], None]


def cell(code: int) -> Fault:
    def apply(rig: Rig) -> None:
        rig.wires.cell_code[47] = code

    return apply


def sensor(temperature_degc: float) -> Fault:
    def apply(rig: Rig) -> None:
        rig.wires.temp_code[5] = code_of(temperature_degc)

    return apply


def wire(name: str, value: int) -> Fault:
    def apply(rig: Rig) -> None:
        setattr(rig.wires, name, value)

    return apply


def broken(code: int) -> Fault:
    def apply(rig: Rig) -> None:
        rig.wires.temp_code[31] = code

    return apply


# code, state, fault, milliseconds to the trouble code, to ERROR: written by hand from the limits file
TRIPS = [
    (Dtc.CELL_OV, State.NORMAL, cell(37_506), 500, 700),
    (Dtc.CELL_OV, State.STANDBY, cell(37_506), 500, 700),
    (Dtc.CELL_OV, State.CHARGE, cell(45_000), 500, 700),
    (Dtc.CELL_UV, State.NORMAL, cell(21_994), 500, 700),
    (Dtc.CELL_DEEP_UV, State.NORMAL, cell(19_994), 100, 200),
    (Dtc.OT_DISCHARGE, State.NORMAL, sensor(60.5), 5000, 6000),
    (Dtc.UT_DISCHARGE, State.NORMAL, sensor(-25.5), 5000, 6000),
    (Dtc.OT_CHARGE, State.CHARGE, sensor(55.5), 5000, 6000),
    (Dtc.UT_CHARGE, State.CHARGE, sensor(-0.5), 5000, 6000),
    (Dtc.OC_DISCHARGE, State.NORMAL, wire("pack_current_ma", 280_001), 100, 200),
    (Dtc.OC_CHARGE, State.NORMAL, wire("pack_current_ma", -150_001), 100, 200),
    (Dtc.PLAUSIBILITY_SUM, State.NORMAL, wire("pack_voltage_mv", 3300 * CELLS + 5001), 100, 200),
    (Dtc.PLAUSIBILITY_SUM, State.NORMAL, wire("pack_voltage_mv", 3300 * CELLS - 5001), 100, 200),
    (Dtc.THERMISTOR, State.NORMAL, broken(4095), 100, 150),
    (Dtc.THERMISTOR, State.NORMAL, broken(0), 100, 150),
    (Dtc.ISOLATION_FAULT, State.NORMAL, wire("isolation_kohm", 199), 5000, 6000),
]


@pytest.mark.parametrize(
    ("code", "state", "fault", "dtc_ms", "error_ms"), TRIPS, ids=[f"{t[0].name}-{t[1].name}" for t in TRIPS]
)
def test_a_protection_trips_at_debounce_and_delay_exactly(
    code: Dtc, state: State, fault: Fault, dtc_ms: int, error_ms: int
) -> None:
    rig = Rig()
    rig.drive_to(state)
    fault(rig)
    assert rig.first(error_ms // 10 + 5, code) == (dtc_ms // 10, error_ms // 10)
    assert rig.coils == (0, 0, 0)


@pytest.mark.parametrize(
    ("code", "state", "fault", "dtc_ms", "error_ms"), TRIPS, ids=[f"{t[0].name}-{t[1].name}" for t in TRIPS]
)
def test_a_fault_one_sample_shorter_than_its_debounce_leaves_no_trace(
    code: Dtc, state: State, fault: Fault, dtc_ms: int, error_ms: int
) -> None:
    rig = Rig()
    rig.drive_to(state)
    before = rig.wires.copy()
    fault(rig)
    rig.step(dtc_ms // 10)
    rig.wires.cell_code[:] = before.cell_code
    rig.wires.temp_code[:] = before.temp_code
    for name in ("pack_current_ma", "pack_voltage_mv", "isolation_kohm"):
        setattr(rig.wires, name, int(before[name]))
    assert rig.first(error_ms // 10, code) == (-1, -1)
    assert rig.state.state == state


NOT_QUITE = [
    (Dtc.CELL_OV, State.NORMAL, cell(37_504)),
    (Dtc.CELL_UV, State.NORMAL, cell(21_996)),
    (Dtc.OT_DISCHARGE, State.NORMAL, sensor(59.5)),
    (Dtc.OT_CHARGE, State.NORMAL, sensor(57.0)),
    (Dtc.UT_CHARGE, State.NORMAL, sensor(-5.0)),
    (Dtc.OC_DISCHARGE, State.NORMAL, wire("pack_current_ma", 280_000)),
    (Dtc.OC_CHARGE, State.NORMAL, wire("pack_current_ma", -150_000)),
    (Dtc.PLAUSIBILITY_SUM, State.NORMAL, wire("pack_voltage_mv", 3300 * CELLS + 5000)),
    (Dtc.ISOLATION_FAULT, State.NORMAL, wire("isolation_kohm", 200)),
]


@pytest.mark.parametrize(("code", "state", "fault"), NOT_QUITE, ids=[t[0].name for t in NOT_QUITE])
def test_a_value_on_its_limit_or_a_charge_limit_in_discharge_is_allowed(code: Dtc, state: State, fault: Fault) -> None:
    rig = Rig()
    rig.drive_to(state)
    fault(rig)
    assert rig.first(620, code) == (-1, -1)


def test_charge_limits_of_temperature_hold_in_normal_while_current_flows_in() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = -20_000
    sensor(57.0)(rig)
    assert rig.first(605, Dtc.OT_CHARGE) == (500, 600)


def test_spread_and_isolation_warnings_never_open() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    cell(29_990)(rig)
    rig.wires.isolation_kohm = 300
    rig.step(1000)
    assert rig.dtcs() == {"cell_spread", "isolation_warning"}
    assert rig.state.state == State.NORMAL
    cell(30_300)(rig)
    rig.step(300)
    assert rig.dtcs() == {"cell_spread", "isolation_warning"}  # 270 mV: inside the hysteresis
    cell(33_000)(rig)
    rig.wires.isolation_kohm = 401
    rig.step(600)
    assert rig.dtcs() == set()


def test_an_over_voltage_does_not_hide_behind_the_spread_it_causes() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    cell(40_000)(rig)
    rig.step(72)
    assert rig.state.state == State.ERROR
    assert "cell_ov" in rig.dtcs()


def test_error_is_left_only_by_clear_after_the_fault_is_past_its_release_and_then_standby() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    cell(38_000)(rig)
    rig.until(State.ERROR, 80)
    cell(36_500)(rig)  # below MSL, above release: still there
    rig.request = Request.CLEAR
    rig.step(100)
    rig.request = Request.STANDBY
    rig.step(5)
    assert (rig.state.state, rig.dtcs()) == (State.ERROR, {"cell_ov", "cell_spread"})
    cell(36_000)(rig)
    rig.step(200)
    assert rig.state.state == State.ERROR  # gone, but nobody has cleared
    assert "cell_ov" in rig.dtcs()
    rig.request = Request.NORMAL
    rig.step(5)
    assert rig.state.state == State.ERROR
    rig.request = Request.CLEAR
    rig.step(2)
    assert (rig.state.state, rig.dtcs() - {"cell_spread"}) == (State.ERROR, set())
    rig.request = Request.STANDBY
    rig.step(2)
    assert rig.state.state == State.STANDBY


def test_a_fault_that_returns_after_clear_keeps_error() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = 300_000
    rig.until(State.ERROR, 25)
    rig.wires.pack_current_ma = 0
    rig.step(120)
    rig.request = Request.CLEAR
    rig.step(2)
    rig.wires.pack_current_ma = 300_000
    rig.step(15)
    rig.request = Request.STANDBY
    rig.step(3)
    assert rig.state.state == State.ERROR
    assert "oc_discharge" in rig.dtcs()


def test_a_leaky_debounce_adds_up_what_a_resetting_one_forgets() -> None:
    timing = limits().timing.model_copy(update={"debounce": "leaky"})
    for model, trips in ((limits(), False), (limits().model_copy(update={"timing": timing}), True)):
        rig = Rig(limits=model)
        rig.drive_to(State.NORMAL)
        for _ in range(6):  # five samples over, two under: leaky gains 20 ms or more a round
            rig.wires.pack_current_ma = 300_000
            rig.step(5)
            rig.wires.pack_current_ma = 0
            rig.step(2)
        assert ("oc_discharge" in rig.dtcs()) == trips


def test_counting_at_every_call_needs_no_new_image() -> None:
    timing = limits().timing.model_copy(update={"counts": "calls"})
    rig = Rig(limits=limits().model_copy(update={"timing": timing}))
    rig.drive_to(State.NORMAL)
    cell(38_000)(rig)
    assert rig.first(75, Dtc.CELL_OV) == (50, 70)
    rig = Rig(limits=limits().model_copy(update={"timing": timing}))
    rig.drive_to(State.NORMAL)
    rig.step(1)  # the fault comes between two images
    cell(38_000)(rig)
    assert rig.first(75, Dtc.CELL_OV) == (51, 71)


def test_deep_discharge_survives_power_loss_and_is_never_cleared_on_the_bus() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    cell(19_000)(rig)
    rig.until(State.ERROR, 25)
    cell(33_000)(rig)
    rig.request = Request.CLEAR
    rig.step(400)
    rig.request = Request.STANDBY
    rig.step(3)
    assert rig.state.state == State.ERROR
    nvm = rig.dut.nvm()
    rig.dut.reset(nvm)
    rig.step(2)
    assert (rig.state.state, "cell_deep_uv" in rig.dtcs()) == (State.ERROR, True)


@pytest.mark.parametrize("wire_number", [0, 47, 96])
def test_an_open_sense_wire_opens_the_contactors_within_its_budget(wire_number: int) -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    started = rig.k
    while rig.state.state != State.ERROR and rig.k < started + 25:
        shift = {OpenWireTest.NONE: 0, OpenWireTest.PULL_UP: 5000, OpenWireTest.PULL_DOWN: -5000}
        moved = shift[OpenWireTest(int(rig.out.open_wire_test))]
        rig.wires.cell_code[:] = 33_000
        if wire_number < CELLS:
            rig.wires.cell_code[wire_number] -= moved
        if wire_number > 0:
            rig.wires.cell_code[wire_number - 1] += moved
        rig.step()
    assert (rig.k - started) * 10 <= 250 - 25 - 30
    assert "open_wire" in rig.dtcs()
    assert rig.coils == (0, 0, 0)


def test_the_open_wire_test_alternates_and_spares_every_image() -> None:
    rig = Rig()
    seen = []
    for _ in range(8):
        rig.step()
        seen.append(OpenWireTest(int(rig.out.open_wire_test)).name)
    assert seen == ["PULL_UP", "NONE", "PULL_DOWN", "NONE"] * 2


@pytest.mark.parametrize("switch", list(Switch))
def test_a_welded_contact_is_told_by_its_feedback_after_opening(switch: Switch) -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.auxiliary = {switch: 1} if switch != Switch.PRECHARGE else {}
    rig.request = Request.STANDBY
    rig.step(3)
    rig.auxiliary = {switch: 1}
    seen, error = rig.first(25, Dtc.CONTACTOR_WELD)
    assert 8 <= seen <= 10
    assert error - seen == 5


def test_a_main_contactor_that_does_not_close_is_stuck_open() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.auxiliary = {Switch.MAIN_MINUS: 0}
    rig.request = Request.NORMAL
    seen, error = rig.first(40, Dtc.CONTACTOR_STUCK_OPEN)
    assert seen == 12  # request at 0, coil on at 1, seen wrong from 2 on: 100 ms
    assert error == 17
    assert rig.coils == (0, 0, 0)


def test_a_link_that_keeps_its_voltage_after_opening_is_a_weld_and_one_that_decays_is_not() -> None:
    for decay, welded in ((0.0, True), (0.0005, False)):  # 0.05 % a step: 9.5 % in 2 s
        rig = Rig()
        rig.drive_to(State.NORMAL)
        rig.link_decay = decay
        rig.request = Request.STANDBY
        rig.step(190)
        assert rig.dtcs() == set()
        rig.step(40)
        assert ("contactor_weld" in rig.dtcs()) == welded


def test_above_its_breaking_capacity_the_contactors_stay_until_the_fuse_has_cleared() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = 1_600_000
    rig.step(30)
    assert rig.state.state == State.ERROR
    assert rig.coils[:2] == (1, 1)
    assert {"oc_discharge", "break_inhibit"} <= rig.dtcs()
    rig.wires.pack_current_ma = 1_500_000
    rig.step()
    assert rig.coils == (0, 0, 0)


def test_numbers_of_the_records_are_those_of_the_process_image() -> None:
    assert [d.name.lower() for d in Dtc] == list(DTCS)
    assert [s.name for s in State] == list(STATES)
    assert [r.name for r in Request] == list(REQUESTS)


def test_a_lasting_clear_request_hides_no_fault() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = 300_000
    rig.until(State.ERROR, 25)
    rig.wires.pack_current_ma = 0
    rig.step(120)
    rig.request = Request.CLEAR
    rig.step(5)
    assert rig.dtcs() == set()
    rig.wires.pack_current_ma = 300_000
    assert rig.first(25, Dtc.OC_DISCHARGE)[0] == 10
