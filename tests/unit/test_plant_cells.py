"""The groups against arithmetic by hand and loops written out anew."""

import math

import numpy as np
import pytest
from plant_rig import PLAIN, Rig, model, ocv

from hil.kernel import view
from hil.plant import cells, tables

PLUS, MINUS = 0, 1


def loaded(pack, current_a, soc=0.5, degc=25.0, seed=1):
    """A rig with both mains closed and a load from the next tick on."""
    rig = Rig(pack, seed, soc, degc)
    rig.close(PLUS, MINUS)
    rig.run(0.1)
    rig.inputs["intent.load_current"] = current_a
    return rig


def test_a_cell_at_rest_shows_the_open_circuit_voltage_of_its_soc_and_temperature():
    rig = Rig(model(), soc=0.5, degc=35.0)
    # table 0.0001 V per degC around 25 degC, both tables exact at a grid point
    assert rig.get("truth.cell_voltage") == pytest.approx(ocv(0.5) + 1e-3, abs=1e-9)


def test_ocv_between_grid_points_is_a_straight_line_and_goes_on_beyond_the_ends():
    rig = Rig(model())
    for soc in (0.0123, 0.777, 0.9999, 1.01, -0.01):
        rig.s.cells.soc[0] = soc
        cells.refresh(rig.states[0]["cells"], rig.fixed[0]["cells"], np.full(192, 25.0))
        low = min(max(math.floor(soc * 200), 0), 199)
        expected = ocv(low / 200) + (ocv((low + 1) / 200) - ocv(low / 200)) * (soc * 200 - low)
        assert rig.s.cells.ocv_v[0] == pytest.approx(expected, abs=1e-9)


def test_ocv_follows_the_table_while_the_soc_crosses_its_points():
    rig = loaded(model(), 2.5, soc=0.9)
    for _ in range(60):
        rig.run(1.0)
        soc = rig.get("truth.cell_soc")
        low = math.floor(soc * 200)
        weight = (float(rig.s.thermal.temperature_degc[0]) - 25.0) * 1e-4
        expected = ocv(low / 200) + (ocv((low + 1) / 200) - ocv(low / 200)) * (soc * 200 - low) + weight
        assert float(rig.s.cells.ocv_v[0]) == pytest.approx(expected, abs=2e-6)


def test_one_hour_at_one_c_empties_the_capacity():
    rig = loaded(model(cell_changes=PLAIN), 2.5 - 13.2 / 50e3, soc=1.0)
    rig.run(0.01)  # from the next row on
    rig.run(1800.0, 1_000_000_000)
    # the standing current of the bleed is part of the 2.5 A; its 13.2 V moves by the drop over 40 mohm
    assert rig.get("truth.soc") == pytest.approx(0.5, abs=2e-5)


def test_charging_stores_only_the_coulombic_efficiency():
    rig = loaded(model(cell_changes={**PLAIN, "coulombic_efficiency": [0.9] * 3}), -2.5, soc=0.2)
    before = rig.get("truth.soc")
    rig.run(0.01)
    rig.run(360.0, 1_000_000_000)
    # 2.5 A less 0.26 mA of bleed for a tenth of an hour into 2.5 Ah, nine tenths kept
    assert rig.get("truth.soc") - before == pytest.approx(0.09, abs=3e-5)


def test_the_drop_at_a_current_step_is_r0_in_the_same_row():
    rig = loaded(model(cell_changes=PLAIN), 10.0)
    before = rig.get("truth.cell_voltage")
    rig.run(0.01)
    current = rig.get("truth.pack_current")
    assert current == pytest.approx(10.0 + 13.0 / 50e3, abs=1e-4)
    assert before - rig.get("truth.cell_voltage") == pytest.approx(0.1, abs=1e-5)


def test_r0_follows_arrhenius_law_between_the_tables_and_is_held_beyond_them():
    # 20 mohm at 273.15 K, 10 mohm at 298.15 K: ln R is straight over 1/T, at 285.65 K 52.19 % of the way
    share = (1 / 273.15 - 1 / 285.65) / (1 / 273.15 - 1 / 298.15)
    assert share == pytest.approx(0.52188, abs=1e-5)
    rig = Rig(model(), degc=12.5)
    assert float(rig.s.cells.r0_ohm[0]) == pytest.approx(
        math.exp(math.log(0.02) + share * math.log(0.01 / 0.02)), rel=1e-12
    )
    assert float(Rig(model(), degc=-30.0).s.cells.r0_ohm[0]) == pytest.approx(0.02)
    assert float(Rig(model(), degc=80.0).s.cells.r0_ohm[0]) == pytest.approx(0.008)


def test_polarisation_follows_the_exponentials_of_both_rc_pairs():
    changes = {**PLAIN, "r1_ohm": [[0.01] * 11] * 3, "r2_ohm": [[0.015] * 11] * 3}
    rig = loaded(model(cell_changes=changes), 2.0)
    rig.run(0.01)
    start_ns = rig.t_ns
    rig.run(30.0)
    t = (rig.t_ns - start_ns) * 1e-9
    drop = 2.0 * (0.01 * (1 - math.exp(-t / 10.0)) + 0.015 * (1 - math.exp(-t / 200.0)))
    pair_v = rig.s.cells.s1_per_f * rig.s.cells.q1_c + rig.s.cells.s2_per_f * rig.s.cells.q2_c
    assert float(pair_v[0]) == pytest.approx(drop, rel=2e-3)  # the load flows from one tick before, bleed 0.26 mA


def test_the_third_pair_follows_its_own_exponential_and_none_is_no_resistance():
    changes = {**PLAIN, "r3_ohm": [[0.02] * 11] * 3, "tau3_s": [[2000.0] * 11] * 3}
    rig, without = loaded(model(cell_changes=changes), 2.0), loaded(model(cell_changes=PLAIN), 2.0)
    for each in (rig, without):
        each.run(0.01)
        each.run(600.0, 1_000_000_000)
    # 2 A for 600 s of 2000 s: 40 mV (1 - exp(-0.3)); the 0.26 mA of the bleed on top
    drop = (2.0 + 13.2 / 50e3) * 0.02 * (1.0 - math.exp(-600.0 / 2000.0))
    assert float(rig.s.cells.s3_per_f[0] * rig.s.cells.q3_c[0]) == pytest.approx(drop, rel=1e-4)
    assert without.get("truth.cell_voltage") - rig.get("truth.cell_voltage") == pytest.approx(drop, rel=1e-4)
    assert float(without.s.cells.s3_per_f[0]) == 0.0


def test_time_constants_follow_arrhenius_law_and_ocv_and_hysteresis_straight_lines():
    changes = {
        "tau2_s": [[400.0] * 11, [100.0] * 11, [50.0] * 11],
        "hysteresis": {"m_v": [[0.03] * 11, [0.01] * 11, [0.01] * 11], "gamma": [50.0] * 3, "m0_v": [0.0] * 3},
    }
    rig = Rig(model(cell_changes=changes), degc=12.5)
    share = (1 / 273.15 - 1 / 285.65) / (1 / 273.15 - 1 / 298.15)
    assert 1.0 / float(rig.s.cells.leak2_hz[0]) == pytest.approx(400.0 * 0.25**share, rel=1e-12)
    assert float(rig.s.cells.m_v[0]) == pytest.approx(0.02)
    assert float(rig.s.cells.efficiency[0]) == pytest.approx(0.9925)
    assert rig.get("truth.cell_voltage") == pytest.approx(ocv(0.5) - 1.25e-3, abs=1e-9)


def test_tables_are_read_again_before_a_resistance_has_moved_by_a_thousandth():
    rig = Rig(model())
    for degc in np.linspace(5.0, 44.0, 4000):  # by a hundredth of a kelvin, where 4 % a kelvin is much for a battery
        cells.refresh(rig.states[0]["cells"], rig.fixed[0]["cells"], np.full(192, degc))
        low, high, cold, warm = (0.02, 0.01, 0.0, 25.0) if degc < 25.0 else (0.01, 0.008, 25.0, 45.0)
        share = (1 / (cold + 273.15) - 1 / (degc + 273.15)) / (1 / (cold + 273.15) - 1 / (warm + 273.15))
        assert float(rig.s.cells.r0_ohm[0]) == pytest.approx(low * (high / low) ** share, rel=1e-3)


def test_a_bad_joint_drops_its_voltage_between_the_sense_wires_and_warms_both_groups():
    rig = loaded(model(cell_changes=PLAIN), 10.0)
    rig.inputs["plant_in.busbar_resistance[1]"] = 2e-3
    rig.run(0.02)
    current = rig.get("truth.pack_current")
    volts = [rig.get("truth.cell_voltage", c) for c in range(4)]
    assert volts[0] - volts[1] == pytest.approx(current * 2e-3, rel=1e-6)
    assert volts[2] == pytest.approx(volts[0], abs=1e-9)
    assert rig.get("truth.pack_voltage") == pytest.approx(sum(volts) - 1e-3 * current, abs=1e-6)  # wiring 1 mohm
    before = float(rig.s.cells.joint_j[1])
    rig.run(10.0)
    assert float(rig.s.cells.joint_j[1]) - before == pytest.approx(10.0 * current**2 * 2e-3, rel=1e-5)
    temps = [rig.get("truth.cell_temperature", c) for c in range(4)]
    assert temps[1] == pytest.approx(temps[2], abs=1e-3)
    assert temps[1] > temps[0] > 25.0
    rig.inputs["plant_in.busbar_resistance[1]"] = 0.0
    rig.run(0.02)
    assert rig.get("truth.cell_voltage", 1) == pytest.approx(rig.get("truth.cell_voltage", 0), abs=1e-5)


def test_a_bad_last_joint_warms_the_last_group_alone():
    rig = loaded(model(cell_changes=PLAIN), 10.0)
    rig.inputs["plant_in.busbar_resistance[3]"] = 5e-3
    rig.run(5.0)
    temps = [rig.get("truth.cell_temperature", c) for c in range(4)]
    assert temps[3] > temps[2] > temps[1] - 1e-9
    assert rig.get("truth.cell_voltage", 2) - rig.get("truth.cell_voltage", 3) == pytest.approx(0.05, rel=1e-2)


def test_self_discharge_takes_its_current_at_half_charge_from_its_own_group():
    rig = Rig(model(cell_changes=PLAIN))
    rig.inputs["plant_in.self_discharge[2]"] = 0.1
    rig.run(0.01)
    rig.run(900.0, 100_000_000)
    lost = 0.5 - np.array([rig.get("truth.cell_soc", c) for c in range(4)])
    conductance = 0.1 / 3.3  # of what draws 0.1 A at 3.3 V, behind 10 mohm
    assert lost[2] == pytest.approx(3.3 * conductance / (1.0 + 0.01 * conductance) * 900.0 / 9000.0, rel=1e-6)
    assert lost[[0, 1, 3]] == pytest.approx([0.0] * 3, abs=1e-12)
    assert rig.get("truth.heat") == pytest.approx(0.33, rel=1e-3)  # all of it stays in the group


def test_the_hysteresis_branch_after_a_reversal_is_the_exponential_of_the_file():
    rates, weights = tables.stop_stack()
    assert sum(weights) == pytest.approx(1.0)
    for x in np.linspace(0.0, 6.0, 61):
        level = sum(w * min(-1.0 + x * r, 1.0) for r, w in zip(rates, weights, strict=True))
        assert level == pytest.approx(1.0 - 2.0 * math.exp(-x), abs=0.05)


@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_the_first_move_from_rest_follows_the_exponential_of_the_file_in_both_directions(direction):
    rig = loaded(
        model(cell_changes={**PLAIN, "hysteresis": {"m_v": [[0.04] * 11] * 3, "gamma": [4.0] * 3, "m0_v": [0.0] * 3}}),
        0.0,
    )
    for moved, level in zip((0.05, 0.15, 0.2), swing(rig, [direction * x for x in (0.05, 0.1, 0.05)]), strict=True):
        assert level == pytest.approx(direction * 0.04 * (1.0 - math.exp(-4.0 * moved)), abs=0.001)


def swing(rig, moves):
    """Move group 0 through ``moves`` of SoC (charging positive) at 1 C and return the hysteresis voltage after each."""
    out = []
    for moved in moves:
        rig.inputs["intent.load_current"] = -2.5 if moved > 0 else 2.5
        rig.run(0.01)
        rig.run(abs(moved) * 3600.0, 100_000_000)
        out.append(float(rig.s.cells.hysteresis_v[0]))
    return out


def test_hysteresis_saturates_at_its_half_width_on_both_sides():
    rig = loaded(model(cell_changes={"coulombic_efficiency": [1.0] * 3}), 0.0)
    down, up = swing(rig, [-0.15, 0.25])
    assert down == pytest.approx(-0.022, abs=1e-6)
    assert up == pytest.approx(0.022, abs=1e-6)


def test_a_minor_loop_closes_where_it_began():
    rig = loaded(model(cell_changes={"coulombic_efficiency": [1.0] * 3}), 0.0)
    _, turning, inside, back = swing(rig, [-0.15, 0.02, -0.005, 0.005])
    assert inside < turning - 0.002
    assert back == pytest.approx(turning, abs=2e-5)


def test_the_balancing_resistor_discharges_its_own_cell_only():
    rig = Rig(model(cell_changes=PLAIN))
    rig.bleed[2] = 1
    rig.run(0.01)
    rig.run(330.0, 100_000_000)
    lost = 0.5 - np.array([rig.get("truth.cell_soc", c) for c in range(4)])
    # 3.3 V over 33 ohm and 10 mohm for 330 s: 33 C of 9000 C
    assert lost[2] == pytest.approx(3.3 / 33.01 * 330.0 / 9000.0, rel=1e-6)
    assert lost[[0, 1, 3]] == pytest.approx([0.0] * 3, abs=1e-12)
    assert rig.get("truth.cell_voltage", 2) == pytest.approx(3.3 * 33.0 / 33.01, rel=1e-6)


def test_a_one_ohm_short_costs_33_mv_of_a_10_mohm_cell_and_heats_it():
    rig = Rig(model(cell_changes=PLAIN))
    healthy = rig.get("truth.cell_voltage", 1)
    rig.inputs["plant_in.short_conductance[1]"] = 1.0
    rig.run(0.01)
    assert healthy - rig.get("truth.cell_voltage", 1) == pytest.approx(3.3 - 3.3 / 1.01, abs=1e-9)
    rig.run(0.01)
    assert rig.get("truth.heat") == pytest.approx(3.3**2 / 1.01, rel=1e-6)  # the short is inside
    assert rig.get("truth.cell_voltage", 0) == pytest.approx(3.3, abs=1e-9)


def test_entropic_heat_has_the_sign_of_the_current():
    changes = {**PLAIN, "r0_ohm": [[1e-9] * 11] * 3, "docv_dt_v_per_k": [1e-4] * 201}
    rig = loaded(model(cell_changes=changes), 10.0)
    rig.run(0.02)
    # discharge with a rising OCV takes up heat: 4 cells x 10 A x 298.15 K x 0.1 mV/K
    assert rig.get("truth.heat") == pytest.approx(-4 * 10.0 * 298.15 * 1e-4, rel=1e-3)


def test_scatter_has_the_size_of_the_file_and_leaves_the_mean():
    scatter = {"capacity_sigma": 0.01, "resistance_sigma": 0.02, "soc_sigma": 0.003}
    rig = Rig(model(series=192, scatter=scatter), seed=3)
    capacity = rig.p.cells.capacity_c[:192] / 9000.0
    assert np.mean(capacity) == pytest.approx(1.0, abs=0.003)
    assert np.std(capacity) == pytest.approx(0.01, rel=0.2)
    assert np.std(rig.p.cells.r_factor[:192]) == pytest.approx(0.02, rel=0.2)
    assert np.std(rig.s.cells.soc[:192]) == pytest.approx(0.003, rel=0.2)
    assert abs(np.corrcoef(capacity, rig.p.cells.r_factor[:192])[0, 1]) < 0.2


def test_without_scatter_the_groups_have_the_measured_spread_of_cells_over_the_root_of_their_number():
    spread = {"capacity_sigma": 0.02, "resistance_sigma": 0.06, "source": "six cells"}
    pack = model(series=192, parallel=16, cell_changes={"spread": spread}, scatter=None)
    assert pack.group_scatter.capacity_sigma == pytest.approx(0.005)
    assert pack.group_scatter.resistance_sigma == pytest.approx(0.015)
    assert "six cells" in pack.group_scatter.source
    assert "16" in pack.group_scatter.source
    rig = Rig(pack, seed=3)
    assert np.std(rig.p.cells.capacity_c[:192]) / np.mean(rig.p.cells.capacity_c[:192]) == pytest.approx(0.005, rel=0.2)
    assert np.std(rig.p.cells.r_factor[:192]) == pytest.approx(0.015, rel=0.2)
    assert np.all(np.asarray(rig.p.cells.soc_offset[:192]) == 0.0)
    assert (
        model(parallel=16, cell_changes={"spread": spread}).group_scatter.source == "none"
    )  # the pack file's goes first


def test_pack_soc_is_the_lowest_groups():
    rig = Rig(model(series=8, scatter={"soc_sigma": 0.05}), seed=9)
    assert rig.get("truth.soc") == min(rig.get("truth.cell_soc", c) for c in range(8))


def test_a_group_of_parallel_cells_has_their_capacity_and_their_resistance():
    rig = Rig(model(cell_changes=PLAIN, parallel=40))
    assert float(rig.p.cells.capacity_c[0]) == pytest.approx(100.0 * 3600.0)
    assert float(rig.s.cells.r0_ohm[0]) == pytest.approx(0.25e-3)
    assert float(rig.p.thermal.heat_capacity_j_per_k) == pytest.approx(3000.0)


def test_the_plant_refuses_a_table_for_another_pack():
    from hil.image import table
    from hil.plant import pack as plant

    with pytest.raises(ValueError, match="5 cells, the pack 4"):
        plant.params(model(), 1, table(5, 2))


def test_more_cells_than_a_record_holds_are_refused_by_the_file():
    with pytest.raises(ValueError, match="192"):
        model(series=193)
    assert view(Rig(model(series=192)).fixed).n_cells == 192
