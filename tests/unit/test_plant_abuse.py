"""Thermal runaway against hand arithmetic, a stiff solver and the published oven test; gas, vents and separators."""

import math

import numpy as np
import pytest
from abuse_rig import CAPACITY_J_PER_K, ENCLOSURE, ROOT, in_oven, oven_pack, reference, written
from plant_rig import PLAIN, Rig, model

from hil.errors import InputError
from hil.files.abuse import AbuseModel, load_abuse
from hil.files.pack import load_pack
from hil.kernel import view, zeros
from hil.plant import abuse

SEI, ANODE, CATHODE, ELECTROLYTE = range(4)
GAS = 8.314462618
OVEN = {145: 82.0, 150: 46.6, 155: 36.7, 160: 31.3, 170: 25.1}  # minutes to runaway, research notes and Kim 2007


def records(**changes):
    """(states, params) of one 18650 cell, fresh."""
    states, fixed = zeros(abuse.AbuseState), zeros(abuse.AbuseParams)
    abuse.fill(view(fixed), oven_pack(25.0, **changes))
    abuse.begin(states[0], fixed[0])
    return states, fixed


def react(states, fixed, degc, dt_s):
    """Heat of one step, J."""
    heat = np.zeros(1)
    abuse.advance(states[0], fixed[0], np.array([degc]), heat, dt_s)
    return float(heat[0])


def test_the_reaction_rates_at_a_temperature_are_the_tables():
    states, fixed = records()
    kelvin = 120.0 + 273.15
    abuse._rates(states[0], fixed[0], 0, kelvin)
    found = view(states).rate_now_hz
    assert found[SEI] == pytest.approx(1.667e15 * math.exp(-1.3508e5 / (GAS * kelvin)), rel=1e-12)
    assert found[SEI] == pytest.approx(1.88e-3, rel=0.01)  # 8.9 minutes
    layered = 2.5e13 * math.exp(-1.0) * math.exp(-1.3508e5 / (GAS * kelvin))  # the fresh layer is its reference
    assert found[ANODE] == pytest.approx(layered, rel=1e-12)
    assert found[CATHODE] == pytest.approx(6.667e13 * math.exp(-1.396e5 / (GAS * kelvin)), rel=1e-12)
    assert found[ELECTROLYTE] == pytest.approx(5.14e25 * math.exp(-2.74e5 / (GAS * kelvin)), rel=1e-12)


def test_the_layer_hides_the_anode_as_it_grows():
    states, fixed = records()
    view(states).left[ANODE, 0] = 0.75 - 0.033
    abuse._rates(states[0], fixed[0], 0, 393.15)
    assert view(states).rate_now_hz[ANODE] == pytest.approx(2.5e13 * math.exp(-2.0 - 1.3508e5 / (GAS * 393.15)))


def test_a_step_is_the_closed_form_of_each_reaction():
    states, fixed = records()
    abuse._rates(states[0], fixed[0], 0, 393.15)
    heat_j = abuse._try(states[0], fixed[0], 0, 30.0)
    s, p = view(states), view(fixed)
    kept = np.exp(-s.rate_now_hz * 30.0)
    assert s.left_next[SEI] == pytest.approx(0.15 * kept[SEI])
    odds = 0.04 / 0.96 / kept[CATHODE]  # alpha / (1 - alpha) grows by exp(k t)
    assert 1.0 - s.left_next[CATHODE] == pytest.approx(odds / (1.0 + odds), rel=1e-12)
    assert heat_j == pytest.approx(float(np.sum(p.heat_j * (s.left[:, 0] - s.left_next))), rel=1e-12)


def test_a_whole_reactant_makes_its_heat_per_volume():
    _, fixed = records()
    volume_m3 = CAPACITY_J_PER_K / 2.58e6
    expected = [2.57e5 * 610.4, 1.714e6 * 610.4, 3.14e5 * 1221, 1.55e5 * 406.9]
    assert view(fixed).heat_j == pytest.approx(np.array(expected) * volume_m3)


def test_heat_released_is_what_the_fallen_reactants_held_and_nothing_else():
    states, fixed = records()
    released = sum(react(states, fixed, degc, 10.0) for degc in np.linspace(60.0, 400.0, 50))
    s, p = view(states), view(fixed)
    assert released == pytest.approx(float(np.sum(p.heat_j * (p.start - s.left[:, 0]))), rel=1e-12)
    assert released == pytest.approx(float(s.released_j[0]), rel=1e-12)


@pytest.mark.parametrize("degc", [-273.0, -40.0, 43.0, 150.0, 300.0, 900.0, 5000.0, math.nan])
@pytest.mark.parametrize("dt_s", [0.01, 0.1, 10.0, 3600.0])
def test_no_temperature_and_no_length_of_step_leaves_zero_to_one(degc, dt_s):
    states, fixed = records()
    for _ in range(3):
        heat_j = react(states, fixed, degc, dt_s)
        assert math.isfinite(heat_j)
        assert heat_j >= 0.0
    left = view(states).left[:, 0]
    assert np.all((left >= 0.0) & (left <= view(fixed).start))


def test_a_cold_group_is_passed_over_where_it_would_warm_itself_by_a_microkelvin_a_second():
    states, fixed = records()
    cold = float(view(fixed).cold_degc)
    assert 40.0 < cold < 50.0
    assert react(states, fixed, cold - 0.01, 1.0) == 0.0
    assert react(states, fixed, cold + 0.01, 1.0) / CAPACITY_J_PER_K == pytest.approx(1e-6, rel=0.01)


@pytest.mark.parametrize("oven_degc", sorted(OVEN))
def test_the_oven_test_runs_away_when_the_published_one_does(oven_degc):
    seconds = OVEN[oven_degc] * 60.0 + 120.0
    found, rig = in_oven(oven_degc, seconds, 1_000_000_000)
    hottest = int(found[:, 1].argmax())
    assert found[hottest, 0] / 60.0 == pytest.approx(OVEN[oven_degc], rel=0.01)
    wanted = reference(oven_degc, seconds)
    peak = int(wanted.y[0].argmax())
    assert found[hottest, 0] == pytest.approx(wanted.t[peak], rel=0.002, abs=1.5)  # read once a second
    assert found[hottest, 1] == pytest.approx(wanted.y[0, peak] - 273.15, abs=1.5)
    assert rig.s.abuse.left[ELECTROLYTE, 0] < 1e-6


def test_an_oven_of_140_degc_is_survived():
    found, rig = in_oven(140, 7200.0, 1_000_000_000)
    assert found[:, 1].max() == pytest.approx(148.0, abs=0.5)
    assert found[-1, 1] < 145.0
    assert rig.s.abuse.left[ELECTROLYTE, 0] > 0.999


@pytest.mark.parametrize(("tick_ns", "bound_k"), [(100_000_000, 0.05), (1_000_000_000, 0.4)])
def test_the_whole_course_in_the_oven_is_the_stiff_solvers(tick_ns, bound_k):
    """Up to 182 degC, two minutes before the peak, where it gains 0.15 K/s."""
    found, rig = in_oven(150, 2700.0, tick_ns)
    wanted = reference(150, 2700.0)
    at = np.interp(found[:, 0], wanted.t, wanted.y[0] - 273.15)
    assert np.abs(found[:, 1] - at).max() < bound_k
    left = rig.s.abuse.left[:, 0]
    assert left[SEI] == pytest.approx(wanted.y[1, -1], abs=1e-4)
    assert left[ANODE] == pytest.approx(wanted.y[2, -1], abs=1e-3)
    assert 1.0 - left[CATHODE] == pytest.approx(wanted.y[4, -1], abs=2e-3)


def test_the_length_of_a_tick_moves_the_runaway_by_less_than_two_seconds():
    peaks = []
    for tick_ns in (10_000_000, 1_000_000_000):
        rig = Rig(oven_pack(400.0), degc=110.0)
        hottest, at_s = 0.0, 0.0
        while rig.t_ns < 400e9:
            rig.run(1.0, tick_ns)
            if rig.get("truth.cell_temperature") > hottest:
                hottest, at_s = rig.get("truth.cell_temperature"), rig.t_ns * 1e-9
        peaks.append((hottest, at_s))
    assert peaks[0][1] == pytest.approx(peaks[1][1], abs=2.0)
    assert peaks[0][0] == pytest.approx(peaks[1][0], abs=3.0)


def chain(**changes):
    """Four 18650-sized cells in a row that can vent and short, next to no cooling."""
    cell = {**PLAIN, "heat_capacity_j_per_k": CAPACITY_J_PER_K}
    thermal = {"to_coolant": "0.005 W/K", "between_groups": "0.2 W/K"}
    return model(cell_changes=cell, thermal=thermal, **{"abuse": written(), "enclosure": ENCLOSURE, **changes})


def test_a_heated_cell_runs_away_and_its_neighbours_follow_in_order():
    rig = Rig(chain())
    rig.inputs["plant_in.cell_heating[0]"] = 20.0
    vents, peak = [math.nan] * 4, 0.0
    while rig.t_ns < 1500e9 and math.isnan(vents[3]):
        rig.run(1.0, 100_000_000)
        for c in range(4):
            if rig.s.abuse.vented[c] and math.isnan(vents[c]):
                vents[c] = rig.t_ns * 1e-9
        peak = max(peak, rig.get("truth.runaway_heat"))
        if rig.get("truth.cell_temperature") > 200.0:
            rig.inputs.clear()
    assert vents == sorted(vents)
    assert vents[0] + 5.0 < vents[1] < vents[2] < vents[3]
    assert rig.get("truth.cells_vented") == 4.0
    assert peak > 1000.0


def test_a_separator_that_gives_way_takes_the_voltage_down_and_its_heat_stays_in_the_group():
    rig = Rig(chain(abuse=written(vent=None)))
    rig.s.thermal.temperature_degc[1] = 161.0
    rig.run(0.3)
    soc = rig.get("truth.cell_soc", 1)
    assert rig.get("truth.cell_voltage", 0) == pytest.approx(3.3, abs=1e-6)
    # what empties 9000 C at 3.3 V in 10 s is 272.7 S; with 8 mohm (held above 45 degC it is 10 mohm in this cell): 3.3 / (1 + 2.727)
    assert rig.get("truth.cell_voltage", 1) == pytest.approx(3.3 / (1.0 + 0.01 * 9000.0 / 3.3 / 10.0), rel=1e-6)
    before = float(rig.s.cells.made_j[1])
    rig.run(1.0)
    spent = (soc - rig.get("truth.cell_soc", 1)) * 9000.0 * 3.3
    assert float(rig.s.cells.made_j[1]) - before == pytest.approx(spent, rel=1e-6)


def test_vent_gas_makes_the_pressure_of_an_ideal_gas_and_leaves_by_membrane_and_valve():
    rig = Rig(chain(enclosure={**ENCLOSURE, "free_volume": "100 l"}))
    rig.s.abuse.released_j[2] = 0.1 * float(np.sum(rig.p.abuse.heat_j * rig.p.abuse.start))
    rig.s.thermal.temperature_degc[2] = 151.0
    rig.run(0.1, 100_000_000)
    given = float(rig.s.abuse.given_mol[2])
    assert given == pytest.approx(0.1 * 2.5 * 0.1, rel=0.01)  # a tenth of 0.1 mol/Ah times 2.5 Ah
    # n R T / V at 25 degC in 100 l; a sixtieth of a second's share of it has left
    held = given * (1.0 - math.exp(-0.1 / 60.0)) / (0.1 / 60.0)
    assert rig.get("truth.gas_pressure") == pytest.approx(held * GAS * 298.15 / 0.1, rel=1e-9)
    assert rig.s.abuse.relief == 0
    small = Rig(chain())
    small.s.abuse.released_j[2] = float(rig.s.abuse.released_j[2])
    small.s.thermal.temperature_degc[2] = 151.0
    small.run(0.1, 100_000_000)
    assert small.get("truth.gas_pressure") > 10e3
    assert small.s.abuse.relief == 1
    high = small.get("truth.gas_pressure")
    small.run(0.1, 100_000_000)
    assert small.get("truth.gas_pressure") < 0.83 * high  # exp(-0.1 / 0.5)
    small.run(60.0, 100_000_000)
    assert small.s.abuse.relief == 0


def test_gas_given_off_is_gas_inside_and_gas_gone():
    rig = Rig(chain())
    rig.inputs["plant_in.cell_heating[1]"] = 40.0
    rig.run(400.0, 100_000_000)
    s = rig.s.abuse
    assert float(np.sum(s.given_mol[:4])) > 0.1
    assert float(s.inside_mol + s.lost_mol) == pytest.approx(float(np.sum(s.given_mol[:4])), rel=1e-9)


def test_without_an_abuse_file_nothing_happens_however_hot_it_gets():
    rig = Rig(model(), degc=25.0)
    rig.s.thermal.temperature_degc[:4] = 300.0
    rig.run(5.0, 100_000_000)
    assert rig.get("truth.runaway_heat") == 0.0
    assert rig.get("truth.cells_vented") == 0.0
    assert rig.get("truth.gas_pressure") == 0.0


def test_identical_cells_at_one_temperature_stay_identical():
    cell = {**PLAIN, "heat_capacity_j_per_k": CAPACITY_J_PER_K}
    pack = model(cell_changes=cell, thermal={"to_coolant": "0.05 W/K"}, abuse=written(), enclosure=ENCLOSURE)
    rig = Rig(pack, degc=140.0)
    rig.inputs["intent.coolant_temperature"] = 170.0
    rig.run(900.0, 100_000_000)
    assert rig.get("truth.cells_vented") == 4.0
    temps = [rig.get("truth.cell_temperature", c) for c in range(4)]
    assert temps == [temps[0]] * 4


def test_the_shipped_file_is_the_published_table_and_the_shipped_pack_calls_it_a_surrogate():
    loaded = load_abuse(ROOT / "scenarios" / "packs" / "lco_18650.abuse.yaml")
    assert loaded.chemistry == "LCO"
    assert loaded.reactions.cathode.content == 1221.0
    pack = load_pack(ROOT / "scenarios" / "packs" / "a123_96s40p.yaml")
    assert "surrogate for" in pack.abuse_label
    assert "LFP" in pack.abuse_label
    same = model(cell_changes={"chemistry": "LCO"}, abuse=written())
    assert same.abuse_label == "LCO 18650, four reactions"
    assert model().abuse_label == "none"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("start: 0.04", "start: 0"), "more than 0"),
        (("rate: 1.667e15 1/s", "rate: 1.667e15"), "rate"),
        (("chemistry: LCO", "chemistry: LTO"), "LCO"),
        (("gas: 0.1 mol/Ah", "gas: -0.1 mol/Ah"), "at least 0"),
        (("layer: 0.033,", ""), "layer"),
    ],
)
def test_a_wrong_abuse_file_is_refused_with_its_place(tmp_path, change, said):
    text = (ROOT / "scenarios" / "packs" / "lco_18650.abuse.yaml").read_text("utf-8")
    assert change[0] in text
    path = tmp_path / "wrong.abuse.yaml"
    path.write_text(text.replace(change[0], change[1], 1), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_abuse(path)


def test_an_enclosure_whose_valve_closes_above_its_opening_is_refused():
    with pytest.raises(ValueError, match="at most opens"):
        model(enclosure={**ENCLOSURE, "closes": "12 kPa"})


def test_the_model_holds_what_the_file_says():
    assert AbuseModel.model_validate(written()).separator.collapse == 160.0
