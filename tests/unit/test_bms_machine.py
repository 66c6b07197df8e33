"""State machine, precharge, requests, outputs, state of charge and derating of the reference BMS."""

import cantools
import numpy as np
import pytest
from bms_rig import BUS, CELLS, LIMITS, ROOT, Rig, code_of

from hil.errors import InputError
from hil.image import DTCS
from hil.tick import Switch
from hil.virtual.bms.dut import ReferenceBms
from hil.virtual.bms.record import Dtc, Request, State


def test_start_up_takes_its_time_and_ends_in_standby() -> None:
    rig = Rig()
    rig.step(10)
    assert rig.state.state == State.STARTUP
    rig.step()
    assert rig.state.state == State.STANDBY


def test_closing_order_is_minus_precharge_plus_and_then_precharge_opens() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.request = Request.NORMAL
    seen = []
    for _ in range(100):
        rig.step()
        if not seen or seen[-1] != rig.coils:
            seen.append(rig.coils)
    assert seen == [(0, 0, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0)]
    assert rig.state.state == State.NORMAL


def test_the_main_contactor_closes_only_at_two_per_cent() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.request = Request.NORMAL
    while rig.coils != (1, 1, 1):
        before = int(rig.wires.link_voltage_mv)
        rig.step()
        assert rig.k < 100
    pack = 3300 * CELLS
    assert (pack - int(rig.wires.link_voltage_mv)) <= 0.02 * pack < (pack - before)


def test_a_shorted_link_is_found_at_100_ms() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.link_gain = 0.005  # 5 % after 100 ms
    rig.request = Request.NORMAL
    on = next(k for k in range(30) if (rig.step(), rig.coils[Switch.PRECHARGE])[1])
    off = next(k for k in range(30) if (rig.step(), not rig.coils[Switch.PRECHARGE])[1])
    assert on < 10
    assert off + 1 == 10
    rig.step(2)
    assert (rig.state.state, rig.dtcs()) == (State.ERROR, {"precharge_short"})


def test_three_tries_five_seconds_apart_then_a_timeout() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.link_gain = 0.014  # 13 % at 100 ms, 75 % after 1 s
    rig.request = Request.NORMAL
    edges = []
    level = 0
    while rig.state.state != State.ERROR:
        rig.step()
        if rig.coils[Switch.PRECHARGE] != level:
            level = rig.coils[Switch.PRECHARGE]
            edges.append((rig.k, level))
        assert rig.k < 3000
    on = [k for k, up in edges if up]
    off = [k for k, up in edges if not up]
    assert len(on) == 3
    assert [b - a for a, b in zip(on, off, strict=True)] == [100, 100, 100]
    assert all(500 <= b - a <= 506 for a, b in zip(off, on[1:], strict=False))
    assert rig.dtcs() == {"precharge_timeout"}
    rig.request = Request.CLEAR
    rig.step(2)
    rig.request = Request.STANDBY
    rig.step(2)
    assert (rig.state.state, rig.dtcs()) == (State.STANDBY, set())


def test_a_link_that_rises_before_precharge_is_a_weld() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.request = Request.NORMAL
    for _ in range(15):
        if rig.coils[Switch.MAIN_MINUS]:
            rig.link_mv = 3300.0 * CELLS
        rig.step()
    assert (rig.state.state, "contactor_weld" in rig.dtcs()) == (State.ERROR, True)
    assert rig.coils == (0, 0, 0)


def test_standby_while_precharging_gives_up() -> None:
    rig = Rig()
    rig.until(State.STANDBY, 20)
    rig.request = Request.NORMAL
    rig.step(10)
    assert rig.state.state == State.PRECHARGE
    rig.request = Request.STANDBY
    rig.step()
    assert (rig.state.state, rig.coils) == (State.STANDBY, (0, 0, 0))


def test_an_opening_on_request_waits_for_the_current_but_not_for_ever() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = 10_001
    rig.request = Request.STANDBY
    rig.step(20)
    assert rig.coils == (1, 1, 0)
    rig.step()
    assert rig.coils == (0, 0, 0)
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = -10_000
    rig.request = Request.STANDBY
    rig.step()
    assert rig.coils == (0, 0, 0)


def test_illegal_requests_change_nothing() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    for request in (Request.CHARGE, Request.NONE, Request.CLEAR):
        rig.request = request
        rig.step(5)
        assert (rig.state.state, rig.coils) == (State.NORMAL, (1, 1, 0))


def test_charging_does_not_begin_below_freezing() -> None:
    rig = Rig()
    rig.wires.temp_code[3] = code_of(-2.0)
    rig.until(State.STANDBY, 20)
    rig.request = Request.CHARGE
    rig.step(20)
    assert rig.state.state == State.STANDBY
    rig.wires.temp_code[3] = code_of(12.0)
    rig.until(State.CHARGE, 80)


@pytest.mark.parametrize("line", ["hvil", "wake"])
def test_a_missing_interlock_opens_after_100_ms_and_keeps_open(line: str) -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    setattr(rig.wires, line, 0)
    rig.step(10)
    assert rig.coils == (1, 1, 0)
    rig.step()
    assert (rig.state.state, rig.coils) == (State.STANDBY, (0, 0, 0))
    rig.step(20)
    assert rig.state.state == State.STANDBY


def test_without_supply_everything_drops_and_it_starts_anew() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.supply_mv = 6999
    sent = len(rig.sent)
    rig.step(3)
    assert rig.coils == (0, 0, 0)
    assert len(rig.sent) == sent
    rig.wires.supply_mv = 12_000
    rig.step()
    assert rig.state.state == State.STARTUP


def test_lost_requests_open_within_300_ms_and_a_short_gap_does_not() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.request = None
    seen, error = rig.first(40, Dtc.REQUEST_TIMEOUT)
    assert (seen, error) == (17, 22)  # the last request came at -1: ages of 180 and 230 ms
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.request = None
    rig.step(20)
    rig.request = Request.NORMAL
    rig.step(50)
    assert (rig.state.state, rig.dtcs()) == (State.NORMAL, set())


def test_nothing_is_missed_before_the_first_request() -> None:
    rig = Rig()
    rig.request = None
    rig.step(200)
    assert (rig.state.state, rig.dtcs()) == (State.STANDBY, set())


def test_damaged_requests_are_not_obeyed_and_have_their_own_code() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.corrupt = True
    rig.request = Request.STANDBY
    rig.step(4)
    assert rig.dtcs() == set()
    rig.step()
    assert rig.dtcs() == {"request_crc"}
    rig.step(15)
    assert rig.state.state == State.NORMAL  # 200 ms of it are ridden through
    rig.corrupt = False
    rig.request = Request.NORMAL
    rig.step(30)
    assert (rig.state.state, rig.dtcs()) == (State.NORMAL, set())
    rig.corrupt = True
    rig.step(24)
    assert (rig.state.state, rig.dtcs()) == (State.ERROR, {"request_crc", "request_timeout"})


@pytest.mark.parametrize("counter_step", [0, 7])
def test_a_frozen_or_jumping_counter_has_its_own_code_and_ends_in_error(counter_step: int) -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.counter_step = counter_step
    rig.step(30)
    assert (rig.state.state, rig.dtcs()) == (State.ERROR, {"request_counter", "request_timeout"})


def test_one_lost_request_is_no_fault() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    for _ in range(20):
        rig.counter = (rig.counter + 1) % 15
        rig.step(3)
    assert (rig.state.state, rig.dtcs()) == (State.NORMAL, set())


def test_charge_is_counted_to_the_microampere_second_from_the_nvm_image() -> None:
    rig = Rig()
    rig.dut.reset(rig.dut.nvm_for(0.6))
    rig.wires.pack_current_ma = 72_003
    rig.step(1000)
    assert int(rig.state.charge_uas) == 179_280 * 1_000_000 - 1000 * 720_030
    nvm = rig.dut.nvm()
    rig.dut.reset(nvm)
    assert int(rig.state.charge_uas) == 179_280 * 1_000_000 - 1000 * 720_030
    for image in (nvm[:-1] + bytes([nvm[-1] ^ 1]), nvm[:7], b""):
        rig.dut.reset(image)
        assert int(rig.state.charge_uas) == 149_400 * 1_000_000


def test_charge_stays_between_empty_and_full() -> None:
    rig = Rig()
    for soc, current_ma, left in ((0.0, 250_000, 0), (1.0, -90_000, 298_800 * 1_000_000)):
        rig.dut.reset(rig.dut.nvm_for(soc))
        rig.wires.pack_current_ma = current_ma
        rig.step(5)
        assert int(rig.state.charge_uas) == left


# lowest and highest cell in 100 uV, temperatures in degC, expected limits in mA by hand
DERATING = [
    (33_000, 33_000, 25.0, 200_000, 100_000),
    (33_000, 36_250, 25.0, 200_000, 50_000),  # half way from 3.60 to 3.65 V
    (33_000, 36_500, 25.0, 200_000, 0),
    (26_500, 33_000, 25.0, 100_000, 100_000),  # half way from 2.80 to 2.50 V
    (25_000, 33_000, 25.0, 0, 100_000),
]


@pytest.mark.parametrize(("low", "high", "temperature", "discharge_ma", "charge_ma"), DERATING)
def test_limits_fall_from_mol_to_zero_at_rsl(
    low: int, high: int, temperature: float, discharge_ma: int, charge_ma: int
) -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.cell_code[0], rig.wires.cell_code[1] = low, high
    rig.wires.temp_code[:] = code_of(temperature)
    rig.step(2)
    assert int(rig.state.charge_limit_ma) == charge_ma
    assert int(rig.state.discharge_limit_ma) == discharge_ma


@pytest.mark.parametrize(
    ("temperature", "discharge", "charge"),
    [(52.5, 0.5, 0.0), (47.5, 1.0, 0.5), (7.5, 1.0, 0.5), (-15.0, 0.5, 0.0), (56.0, 0.0, 0.0)],
)
def test_limits_follow_temperature_within_the_sensor_step(temperature: float, discharge: float, charge: float) -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.wires.temp_code[:] = code_of(temperature)
    rig.step(2)
    assert rig.state.discharge_limit_ma == pytest.approx(200_000 * discharge, abs=3000)
    assert rig.state.charge_limit_ma == pytest.approx(100_000 * charge, abs=3000)


def test_limits_are_zero_as_soon_as_a_fault_is_confirmed_and_the_frame_says_so_at_once() -> None:
    rig = Rig()
    rig.drive_to(State.NORMAL)
    rig.step(20)
    rig.wires.pack_current_ma = 300_000
    seen, _ = rig.first(12, Dtc.OC_DISCHARGE)
    k = rig.k - 12 + seen
    frame = next(payload for at, number, payload in rig.sent if at == k and number == 0x110)
    decoded = database().decode_message(0x110, frame)
    assert (decoded["DischargeCurrentLimit"], decoded["ChargeCurrentLimit"]) == (0.0, 0.0)
    assert rig.state.state == State.NORMAL


def database() -> cantools.database.Database:
    return cantools.database.load_file(ROOT / "dbc" / "bench.dbc")


def test_messages_keep_their_periods() -> None:
    rig = Rig()
    rig.step(1000)
    counts = {n: sum(1 for _, number, _ in rig.sent if number == n) for _, n, _ in rig.sent}
    extra_limits = 1  # limits leave zero when STANDBY is reached
    assert counts == {
        0x100: 1000, 0x101: 1000, 0x105: 50, 0x110: 100 + extra_limits, 0x111: 100, 0x112: 100, 0x120: 3000,
        0x130: 250, 0x140: 20, 0x1F0: 10,
    }  # fmt: skip


def test_frames_decode_to_what_the_wires_carry() -> None:
    rig = Rig()
    rig.wires.cell_code[:CELLS] = [31_000 + 50 * i for i in range(CELLS)]
    rig.wires.pack_voltage_mv = int(rig.wires.cell_code[:CELLS].sum()) // 10 + 1000
    rig.wires.pack_current_ma = -12_345
    rig.wires.temp_code[7] = code_of(40.0)
    rig.step(60)
    bus = database()
    found: dict[str, float] = {}
    for _, number, payload in rig.sent:
        found |= bus.decode_message(number, payload, decode_choices=False)
    for i in range(CELLS):
        assert found[f"CellVoltage_{i:03d}"] == pytest.approx(3.1 + 0.005 * i, abs=0.0003126)
    assert found["PackCurrent"] == pytest.approx(-12.345, abs=0.0101)
    assert found["PackVoltage"] == pytest.approx(rig.wires.pack_voltage_mv / 1000, abs=0.0051)
    assert found["Soc"] == pytest.approx(50.0, abs=0.02)
    assert found["Temperature_07"] == pytest.approx(40.0, abs=0.1)
    assert found["Temperature_08"] == pytest.approx(25.0, abs=0.1)
    assert (found["CellVoltageMin"], found["CellVoltageMax"]) == pytest.approx((3.1, 3.575))
    assert (found["CellMinIndex"], found["CellMaxIndex"]) == (0, 95)
    assert found["IsolationResistance"] == 5000
    assert {code for code in DTCS if found[f"Dtc_{code}"]} <= {"cell_spread"}


def test_a_scan_is_eight_activations_of_one_image() -> None:
    rig = Rig()
    bus = database()
    for k in range(24):
        rig.wires.cell_code[:] = 30_000 + 100 * k
        rig.wires.pack_voltage_mv = (3000 + 10 * k) * CELLS
        rig.wires.pack_current_ma = 1000 * k
        rig.step()
    scans: dict[int, set[float]] = {}
    order: list[int] = []
    for k, number, payload in rig.sent:
        decoded = bus.decode_message(number, payload, decode_choices=False)
        if number == 0x120:
            values = {round(v, 4) for name, v in decoded.items() if name.startswith("CellVoltage")}
            scans.setdefault(decoded["ScanCounter"], set()).update(values)
            order.append(decoded["CellMux"])
        if number == 0x101:
            assert decoded["PackCurrent"] == 8 * (k // 8)
    assert order == list(range(24)) * 3
    assert {counter: len(values) for counter, values in scans.items()} == {1: 1, 2: 1, 3: 1}
    assert [next(iter(v)) for v in scans.values()] == pytest.approx([3.0, 3.08, 3.16], abs=0.0004)


def test_sent_frames_carry_a_running_counter_and_the_crc_of_the_profile() -> None:
    from e2e.p01 import e2e_p01_check

    rig = Rig()
    rig.step(40)
    frames = [payload for _, number, payload in rig.sent if number == 0x100]
    assert [payload[1] & 15 for payload in frames] == [k % 15 for k in range(40)]
    for payload in frames:
        assert e2e_p01_check(bytearray(payload), 0x1100)


def test_balancing_bleeds_the_high_cells_in_every_second_activation_and_never_while_an_image_is_taken() -> None:
    rig = Rig()
    rig.wires.cell_code[:] = 34_100
    rig.wires.cell_code[[3, 70]] = 34_300
    rig.wires.pack_voltage_mv = int(rig.wires.cell_code[:CELLS].sum()) // 10
    rig.until(State.STANDBY, 20)
    rig.step(2 - rig.k % 2)
    seen = []
    for _ in range(4):
        rig.step()
        seen.append(np.flatnonzero(rig.out.bleed).tolist())
    assert seen == [[3, 70], [], [3, 70], []]
    rig.wires.cell_code[[3, 70]] = 34_190  # 9 mV above the lowest
    rig.step(2)
    assert not rig.out.bleed.any()
    assert not rig.state.bleeding


def test_a_pack_that_does_not_fit_or_an_unknown_defect_is_an_input_error() -> None:
    with pytest.raises(InputError, match="cells"):
        ReferenceBms(LIMITS, BUS, 500, 32)
    with pytest.raises(InputError, match="ov_never_trips"):
        ReferenceBms(LIMITS, BUS, CELLS, 32, defects=["ov_never_trip"])
