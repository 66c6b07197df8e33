"""Contactors, precharge, fuse, loads and isolation by hand arithmetic."""

import math

import pytest
from plant_rig import PLAIN, Rig, model

from hil.plant import circuit, isolation

PLUS, MINUS, PRE = 0, 1, 2
MS = 1_000_000
STIFF = {**PLAIN, "r0_ohm": [[1e-6] * 11] * 3}


def closed(pack, soc=0.5):
    """Both mains closed for 100 ms."""
    rig = Rig(pack, soc=soc)
    rig.close(PLUS, MINUS)
    rig.run(0.1)
    return rig


def test_a_contact_touches_after_20_ms_bounces_and_stays_after_25():
    rig = Rig(model())
    rig.coils = [(3 * MS + 1, MINUS, 1)]
    rig.run(0.1)
    assert rig.poles == [(23 * MS + 1, 1, 1), (25 * MS + MS // 2 + 1, 1, 0), (28 * MS + 1, 1, 1)]
    assert rig.get("truth.pole_main_minus") == 1.0


def test_a_contactor_without_bounce_closes_once():
    rig = Rig(model(hv={"contactor": {"bounces": 0}}))
    rig.coils = [(0, PLUS, 1), (60 * MS, PLUS, 0)]
    rig.run(0.1)
    assert rig.poles == [(25 * MS, 0, 1), (70 * MS, 0, 0)]


def test_pole_edges_are_exact_whatever_the_tick():
    seen = []
    for tick_ns in (MS, 7 * MS, 10 * MS, 50 * MS):
        rig = Rig(model())
        rig.coils = [(3 * MS, PRE, 1), (61 * MS, PRE, 0), (5 * MS, MINUS, 1)]
        rig.run(0.1, tick_ns)
        seen.append(rig.poles)
    assert seen[0] == seen[1] == seen[2] == seen[3]


def test_a_pulse_shorter_than_the_operate_time_closes_nothing():
    rig = Rig(model())
    rig.coils = [(0, PLUS, 1), (15 * MS, PLUS, 0)]
    rig.run(0.1)
    assert rig.poles == []


def test_a_gap_shorter_than_the_release_time_opens_nothing():
    rig = closed(model())
    rig.poles.clear()
    rig.coils = [(rig.t_ns + MS, PLUS, 0), (rig.t_ns + 6 * MS, PLUS, 1)]
    rig.run(0.1)
    assert rig.poles == []
    assert rig.get("truth.pole_main_plus") == 1.0


def test_a_coil_that_lets_go_while_bouncing_leaves_the_contact_open():
    rig = Rig(model())
    rig.coils = [(0, PLUS, 1), (23 * MS, PLUS, 0)]  # in the open part of the bounce
    rig.run(0.1)
    assert rig.poles == [(20 * MS, 0, 1), (22 * MS + MS // 2, 0, 0)]


def test_a_welded_pole_stays_closed_without_its_coil_and_opens_when_the_weld_is_lifted():
    rig = closed(model())
    rig.inputs["plant_in.weld_main_plus"] = 1.0
    rig.open(PLUS, MINUS)
    rig.run(0.1)
    assert rig.get("truth.pole_main_plus") == 1.0
    assert rig.get("truth.pole_main_minus") == 0.0
    rig.inputs.clear()
    rig.run(0.01)
    assert rig.poles[-1] == (rig.t_ns, PLUS, 0)


def test_a_stuck_pole_does_not_close():
    rig = Rig(model())
    rig.inputs["plant_in.stuck_open_main_minus"] = 1.0
    rig.close(PLUS, MINUS)
    rig.run(0.1)
    assert rig.get("truth.pole_main_minus") == 0.0
    assert rig.get("truth.link_voltage") == 0.0


def test_precharge_follows_one_minus_exp_and_peaks_at_voltage_over_resistance():
    rig = Rig(model(cell_changes=STIFF, hv={"contactor": {"bounces": 0}, "link_bleed": "1e12 ohm"}))
    rig.close(MINUS, PRE)
    rig.run(0.025, 25 * MS)
    path = 100.0 + 4e-6 + 1e-3 + 0.3e-3 + 0.4e-3
    assert rig.get("truth.pack_current") == pytest.approx(13.2 / path, rel=1e-9)
    rig.run(0.1, 30 * MS)
    assert rig.get("truth.link_voltage") == pytest.approx(13.2 * (1 - math.exp(-0.1 / (path * 1e-3))), rel=1e-6)


def test_precharge_stops_short_of_the_pack_by_the_bleeds_share():
    rig = Rig(model(cell_changes=STIFF))
    rig.close(MINUS, PRE)
    rig.run(3.0)
    assert rig.get("truth.link_voltage") == pytest.approx(13.2 * 50e3 / (50e3 + 100.0), rel=1e-5)


def test_the_link_bleeds_down_alone_with_r_times_c():
    rig = closed(model())
    rig.inputs["intent.load_current"] = 0.0
    rig.open(PLUS, MINUS)
    rig.run(0.01)
    before = rig.get("truth.link_voltage")
    rig.run(20.0, 100 * MS)
    assert rig.get("truth.link_voltage") == pytest.approx(before * math.exp(-20.0 / 50.0), rel=1e-9)
    assert rig.get("truth.pack_current") == 0.0


def test_active_discharge_works_only_where_given_and_only_with_both_mains_open():
    rig = closed(model(cell_changes=STIFF, hv={"active_discharge": "1 kohm"}))
    assert rig.get("truth.pack_current") == pytest.approx(13.2 / 50e3, rel=1e-3)
    rig.open(PLUS, MINUS)
    rig.run(0.01)
    rig.run(1.0)
    assert rig.get("truth.link_voltage") == pytest.approx(13.2 * math.exp(-1.0 * (1 / 1e3 + 1 / 50e3) / 1e-3), rel=1e-4)


def test_the_load_current_flows_only_while_both_mains_conduct():
    rig = Rig(model())
    rig.inputs["intent.load_current"] = 5.0
    rig.close(MINUS, PRE)
    rig.run(1.0)
    assert rig.get("truth.pack_current") < 0.01
    rig.close(PLUS)
    rig.run(0.1)
    assert rig.get("truth.pack_current") == pytest.approx(5.0, abs=1e-3)
    rig.open(PLUS)
    rig.run(0.02)
    assert rig.get("truth.pack_current") == pytest.approx(0.0, abs=0.01)


def test_a_welded_main_keeps_the_load_current_flowing():
    rig = closed(model())
    rig.inputs |= {"intent.load_current": 5.0, "plant_in.weld_main_plus": 1.0, "plant_in.weld_main_minus": 1.0}
    rig.run(0.01)
    rig.open(PLUS, MINUS)
    rig.run(0.1)
    assert rig.get("truth.pack_current") == pytest.approx(5.0, abs=1e-3)


def test_voltages_and_current_of_one_row_belong_together():
    rig = closed(model(cell_changes=PLAIN))
    for load in (0.0, 20.0, -10.0):
        rig.inputs["intent.load_current"] = load
        rig.run(0.01)
        current = rig.get("truth.pack_current")
        cells_v = sum(rig.get("truth.cell_voltage", c) for c in range(4))
        assert cells_v == pytest.approx(4 * (3.3 - 0.01 * current), abs=1e-9)
        assert rig.get("truth.pack_voltage") == pytest.approx(cells_v - 1e-3 * current, abs=1e-9)
        fused_v = rig.get("truth.fused_voltage")
        assert fused_v == pytest.approx(rig.get("truth.pack_voltage") - 0.3e-3 * current, abs=1e-9)
        assert rig.get("truth.link_voltage") == pytest.approx(fused_v - 0.4e-3 * current, abs=1e-9)
        assert current == pytest.approx(load + rig.get("truth.link_voltage") / 50e3, abs=1e-9)


def test_closing_a_main_onto_an_empty_link_is_noted_as_inrush():
    rig = closed(model(cell_changes=PLAIN, hv={"contactor": {"bounces": 0}}))
    assert int(rig.s.circuit.inrushes) == 1
    # 40 mohm of cells, 1 of busbars, 0.3 of fuse, 0.4 of contacts
    assert float(rig.s.circuit.inrush_a) == pytest.approx(13.2 / 0.0417, rel=1e-9)


def test_a_fuse_melts_on_its_integral_when_it_is_quick_and_holds_its_rated_current():
    rig = closed(model(cell_changes=STIFF, wiring={"busbars": "0.1 mohm"}))
    rig.inputs["intent.load_current"] = 2000.0
    rig.run(0.01, MS)
    start_ns = rig.t_ns
    while rig.get("truth.fuse_blown") == 0.0 and rig.t_ns < start_ns + 100 * MS:
        rig.run(0.001, MS)
    # T = 60000 / 560^2 = 191 ms; -T ln(1 - (560 / 2000)^2) = 15.6 ms, of which 9 ms had passed
    assert (rig.t_ns - start_ns) * 1e-9 == pytest.approx(15.6e-3 - 9e-3, abs=1.1e-3)
    assert rig.get("truth.pack_current") == 0.0
    holding = closed(model(cell_changes=STIFF, wiring={"busbars": "0.1 mohm"}))
    holding.inputs["intent.load_current"] = 350.0
    holding.run(3.0)
    assert holding.get("truth.fuse_blown") == 0.0
    assert holding.get("truth.pack_current") == pytest.approx(350.0, abs=0.01)


def test_behind_a_blown_fuse_the_link_is_all_there_is():
    rig = closed(model())
    rig.s.circuit.blown = 1
    rig.run(0.01)
    assert rig.get("truth.fused_voltage") == rig.get("truth.link_voltage") > 10.0
    rig.open(PLUS, MINUS)
    rig.run(0.03)
    assert rig.get("truth.fused_voltage") == 0.0
    assert rig.get("truth.pack_voltage") > 13.0


def test_the_constant_power_current_solves_its_quadratic_and_is_capped_at_what_the_source_can_give():
    current = circuit.power_current(13.2, 0.05, 100.0)
    assert current * (13.2 - 0.05 * current) == pytest.approx(100.0, rel=1e-12)
    assert current < 13.2 / (2 * 0.05)
    assert circuit.power_current(13.2, 0.05, 1e6) == pytest.approx(132.0)
    assert circuit.power_current(13.2, 0.05, 0.0) == 0.0
    assert circuit.power_current(0.0, 0.05, 10.0) == 0.0


def test_a_standing_power_draws_that_power_at_the_link():
    rig = closed(model(hv={"standing_power": "20 W"}))
    bleed = rig.get("truth.link_voltage") / 50e3
    assert (rig.get("truth.pack_current") - bleed) * rig.get("truth.link_voltage") == pytest.approx(20.0, rel=1e-9)


def test_a_load_beyond_the_short_circuit_current_drags_the_link_to_zero_not_below():
    rig = closed(model())
    rig.inputs["intent.load_current"] = 1e5
    rig.run(0.01)
    assert rig.get("truth.link_voltage") == pytest.approx(0.0, abs=1e-9)
    assert rig.get("truth.cell_voltage") > 0.0


def test_coils_that_were_late_count_at_once():
    rig = Rig(model(hv={"contactor": {"bounces": 0}}))
    rig.run(0.1)
    rig.coils = [(50 * MS, PLUS, 1)]
    rig.run(0.05)
    assert rig.poles == [(125 * MS, PLUS, 1)]


def test_healthy_isolation_is_both_rails_in_parallel():
    assert Rig(model()).get("truth.isolation") == pytest.approx(5e6)


def test_a_leak_is_seen_after_the_y_capacitance_has_settled():
    rig = Rig(model())
    rig.inputs["plant_in.leak_plus"] = 1 / 200e3
    rig.run(0.01)
    assert rig.get("truth.isolation") == pytest.approx(5e6)
    tau = 1e-6 / (1 / 200e3 + 2 / 10e6)
    rig.run(0.1)
    seen = 2 / 10e6 + (1 / 200e3) * (1 - math.exp(-0.1 / tau))
    assert rig.get("truth.isolation") == pytest.approx(1 / seen, rel=1e-9)
    rig.run(3.0)
    assert rig.get("truth.isolation") == pytest.approx(1 / (1 / 200e3 + 2 / 10e6), rel=1e-5)


def test_a_leak_in_the_stack_equals_two_at_its_rails():
    plus, minus = isolation.at_position(1e-5, 0.25)
    assert plus + minus == pytest.approx(1e-5)
    assert plus / (plus + minus) == pytest.approx(0.25)  # the chassis stands at a quarter of the stack
    pack = model(
        isolation={"plus": "1e9 ohm", "minus": "1e9 ohm", "leaks": [{"position": "25 %", "resistance": "100 kohm"}]}
    )
    rig = Rig(pack)
    assert rig.get("truth.isolation") == pytest.approx(100e3, rel=1e-3)
    assert float(rig.s.isolation.chassis_v) == pytest.approx(13.2 * 0.25, rel=1e-3)
