"""Laws of the plant: charge, energy, precharge loss, seeds, and that how time is cut does not matter."""

import math
from itertools import pairwise

import numpy as np
import pytest
from abuse_rig import CAPACITY_J_PER_K, ENCLOSURE, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plant_rig import PLAIN, Rig, model

from hil.kernel import view, zeros
from hil.plant import cells, circuit

MS = 1_000_000
FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def cuts(draw, whole):
    """Instants that cut ``whole`` ns into up to 12 pieces, its end included."""
    inner = draw(st.lists(st.integers(1, whole - 1), max_size=11, unique=True))
    return [*sorted(inner), whole]


def link_circuit(tau_s, capacitance_f=1e-3, source_ohm=1e-4):
    """A circuit with precharge and minus closed, bleed as good as none, and the resistance that gives ``tau_s``."""
    ohms = tau_s / capacitance_f
    pack = model(
        hv={
            "link_capacitance": f"{capacitance_f} F",
            "link_bleed": "1e15 ohm",
            "precharge": f"{ohms - source_ohm - 1e-3 - 0.3e-3 - 0.4e-3} ohm",
        }
    )
    fixed, states = zeros(circuit.CircuitParams), zeros(circuit.CircuitState)
    circuit.fill(view(fixed), pack)
    circuit.begin(states[0])
    return states, fixed, np.array([0, 1, 1])


@FEW
@given(st.floats(0.005, 0.2), st.data())
def test_precharging_costs_half_c_v_squared_for_any_time_constant_and_any_cut(tau_s, data):
    whole = round(40 * tau_s * 1e9)
    states, fixed, pole = link_circuit(tau_s)
    for begin_ns, end_ns in pairwise([0, *data.draw(cuts(whole))]):
        circuit.advance(states[0], fixed[0], pole, 317.0, 1e-4, (end_ns - begin_ns) * 1e-9)
    s = view(states)
    half = 0.5 * 1e-3 * 317.0**2
    assert s.link_v == pytest.approx(317.0, rel=1e-9)
    assert s.precharge_j + s.path_j == pytest.approx(half, rel=1e-6)
    share = fixed[0]["precharge_ohm"] / (tau_s / 1e-3)
    assert s.precharge_j == pytest.approx(half * share, rel=1e-6)


@FEW
@given(st.floats(0.005, 0.2))
def test_the_truth_of_a_precharged_pack_says_half_c_v_squared(tau_s):
    """Through the whole stage: a stiff pack, ticks of 10 ms, poles in the middle of one."""
    cell = {**PLAIN, "r0_ohm": [[1e-9] * 11] * 3}
    ohms = tau_s / 1e-3
    hv = {
        "precharge": f"{ohms} ohm",
        "link_bleed": "1e12 ohm",
        "contactor": {"resistance": "1 nohm", "bounces": 1},
        "fuse": {"resistance": "0 ohm"},
    }
    rig = Rig(model(cell_changes=cell, hv=hv, wiring={"busbars": "0 ohm"}))
    rig.coils = [(3 * MS + 17, 1, 1), (4 * MS + 3, 2, 1)]
    rig.run(30 * tau_s + 0.05)
    assert rig.get("truth.precharge_energy") == pytest.approx(0.5e-3 * 13.2**2, rel=1e-6)


@FEW
@given(
    st.floats(1.0, 400.0),
    st.floats(-300.0, 300.0),
    st.floats(0.0, 400.0),
    st.floats(1e-5, 3.0),
    st.sampled_from([(1, 1, 0), (1, 1, 1), (0, 1, 1), (1, 0, 1), (0, 0, 0)]),
)
def test_circuit_energy_is_source_less_losses_for_any_poles_and_length(source_v, load_a, link_v, dt_s, poles):
    states, fixed, _ = link_circuit(0.1)
    states["load_a"], states["link_v"] = load_a, link_v
    fixed["link_s"], fixed["fusing_a2"] = 1 / 50e3, 1e12
    fixed["fuse_s"] = 1.0
    circuit.advance(states[0], fixed[0], np.array(poles), source_v, 0.03, dt_s)
    s = view(states)
    stored = 0.5 * 1e-3 * (s.link_v**2 - link_v**2)
    taken = s.path_j + s.precharge_j + s.link_j + s.load_j + stored
    scale = max(abs(s.source_j), abs(s.load_j), s.path_j, abs(stored), 1e-6)
    assert s.source_j - taken == pytest.approx(0.0, abs=1e-9 * scale)
    assert s.path_j >= 0.0
    assert s.precharge_j >= -1e-12 * scale


@FEW
@given(st.floats(-200.0, 200.0), st.data())
def test_link_and_losses_do_not_depend_on_how_the_time_is_cut(load_a, data):
    ends = []
    for points in ([200 * MS], data.draw(cuts(200 * MS))):
        states, fixed, _ = link_circuit(0.05)
        states["load_a"] = load_a
        fixed["fusing_a2"] = 1e12
        fixed["fuse_s"] = 1.0
        for begin_ns, end_ns in pairwise([0, *points]):
            circuit.advance(states[0], fixed[0], np.array([1, 1, 1]), 317.0, 0.03, (end_ns - begin_ns) * 1e-9)
        s = view(states)
        ends.append([s.link_v, s.source_j, s.path_j, s.precharge_j, s.load_j])
    assert ends[1] == pytest.approx(ends[0], rel=1e-9, abs=1e-9)


def drive(rig, loads, seconds=2.0):
    """Play a list of load currents on a closed pack."""
    rig.close(0, 1)
    rig.run(0.1)
    for load in loads:
        rig.inputs["intent.load_current"] = load
        rig.run(seconds)


@FEW
@given(st.lists(st.floats(-8.0, 12.0), min_size=1, max_size=5), st.booleans(), st.integers(1, 99))
def test_charge_leaves_the_groups_through_the_terminals_and_the_balancing_resistor_only(loads, bleeding, seed):
    scatter = {"capacity_sigma": 0.01, "resistance_sigma": 0.05, "soc_sigma": 0.01}
    rig = Rig(model(cell_changes={"coulombic_efficiency": [1.0] * 3}, scatter=scatter), seed=seed)
    before = np.array(rig.s.cells.soc[:4])
    rig.bleed[1] = int(bleeding)
    drive(rig, loads)
    lost = (before - rig.s.cells.soc[:4]) * rig.p.cells.capacity_c[:4]
    through = float(rig.s.cells.throughput_c)
    assert lost[[0, 2, 3]] == pytest.approx([through] * 3, abs=1e-7)
    if bleeding:
        # about 3.2 V over 33 ohm, all the time but for the first tick
        assert lost[1] - through == pytest.approx(3.25 / 33.0 * (rig.t_ns * 1e-9 - 0.01), rel=0.06)
    else:
        assert lost[1] == pytest.approx(through, abs=1e-7)


@FEW
@given(st.lists(st.floats(-8.0, 12.0), min_size=1, max_size=5), st.floats(0.0, 2.0), st.booleans())
def test_energy_released_is_heat_bleed_and_delivery_plus_what_is_stored(loads, short_s, bleeding):
    rig = Rig(model(thermal={"to_coolant": "0.01 W/K", "between_groups": "0 W/K"}))
    rig.inputs["plant_in.short_conductance[2]"] = short_s
    rig.bleed[0] = int(bleeding)
    drive(rig, loads)
    c = rig.s.cells
    stored = cells.polarisation_j(rig.states[0]["cells"], rig.fixed[0]["cells"])
    released, made, bled, out = (float(np.sum(x)) for x in (c.chemical_j, c.made_j, c.bleed_j, c.delivered_j))
    assert released == pytest.approx(made + bled + out + stored, rel=1e-9, abs=1e-6)
    assert (bled > 0.0) == bleeding
    # and the stack's side agrees with the circuit's: EMF less what the groups' own resistance took
    circuit_j = float(rig.s.circuit.source_j - rig.s.circuit.path_j - rig.s.circuit.precharge_j)
    link = 0.5 * rig.p.circuit.link_f * rig.s.circuit.link_v**2
    assert circuit_j == pytest.approx(float(rig.s.circuit.link_j + rig.s.circuit.load_j + link), rel=1e-9, abs=1e-6)


@FEW
@given(st.lists(st.floats(0.0, 3.0), min_size=4, max_size=4), st.floats(-10.0, 45.0))
def test_heat_made_is_heat_held_and_heat_given_to_the_coolant(shorts, degc):
    rig = Rig(model(), degc=degc)
    for c, short_s in enumerate(shorts):
        rig.inputs[f"plant_in.short_conductance[{c}]"] = short_s
    rig.run(10.0)
    held = 75.0 * float(np.sum(rig.s.thermal.temperature_degc[:4] - degc)) + float(np.sum(rig.s.cells.heat_j[:4]))
    made = float(np.sum(rig.s.cells.made_j))
    assert held + float(rig.s.thermal.coolant_j) == pytest.approx(made, rel=1e-9, abs=1e-7)


SLOW_PAIR = {"r3_ohm": [[0.02] * 11, [0.012] * 11, [0.009] * 11], "tau3_s": [[2000.0] * 11] * 3}
WARMED = {
    **SLOW_PAIR,
    "r1_ohm": [[0.02] * 11, [0.01] * 11, [0.006] * 11],
    "r2_ohm": [[0.03] * 11, [0.015] * 11, [0.01] * 11],
    "tau2_s": [[300.0] * 11, [200.0] * 11, [150.0] * 11],
}


@FEW
@given(
    st.lists(st.floats(-8.0, 12.0), min_size=1, max_size=4),
    st.floats(0.0, 2.0),
    st.floats(0.0, 5e-3),
    st.floats(0.0, 400.0),
)
def test_energy_is_kept_with_three_pairs_whose_tables_move_with_the_temperature(loads, leak_a, joint_ohm, heating_w):
    """Self-discharge in group 1, a bad joint behind group 2, and group 3 heated by up to 5 K/s past two table rows."""
    rig = Rig(model(cell_changes=WARMED), degc=20.0)
    rig.inputs["plant_in.self_discharge[1]"] = leak_a
    rig.inputs["plant_in.busbar_resistance[2]"] = joint_ohm
    rig.inputs["plant_in.cell_heating[3]"] = heating_w
    drive(rig, loads, seconds=3.0)
    c, t = rig.s.cells, rig.s.thermal
    stored = cells.polarisation_j(rig.states[0]["cells"], rig.fixed[0]["cells"])
    released, made, bled, out = (float(np.sum(x)) for x in (c.chemical_j, c.made_j, c.bleed_j, c.delivered_j))
    assert released == pytest.approx(made + bled + out + stored, rel=1e-9, abs=1e-6)
    joints = float(np.sum(c.joint_j))
    held = 75.0 * float(np.sum(t.temperature_degc[:4] - 20.0)) + float(np.sum(c.heat_j[:4]))
    assert held + float(t.coolant_j) == pytest.approx(made + joints + float(t.heating_j), rel=1e-9, abs=1e-6)
    circuit_j = float(rig.s.circuit.source_j - rig.s.circuit.path_j - rig.s.circuit.precharge_j)
    link = 0.5 * rig.p.circuit.link_f * rig.s.circuit.link_v**2
    assert circuit_j == pytest.approx(float(rig.s.circuit.link_j + rig.s.circuit.load_j + link), rel=1e-9, abs=1e-6)
    lost = (0.5 - np.array(c.soc[:4])) * rig.p.cells.capacity_c[:4]
    assert (
        lost[1] >= lost[0] - 0.01
    )  # what it discharged itself by comes on top; a charge is kept less well where it is cold


@FEW
@given(st.floats(60.0, 260.0), st.integers(1, 20), st.floats(0.0, 1.0))
def test_a_runaway_makes_no_heat_that_its_reactants_did_not_hold(degc, steps, share):
    cell = {**PLAIN, "heat_capacity_j_per_k": CAPACITY_J_PER_K}
    rig = Rig(model(cell_changes=cell, abuse=written(), enclosure=ENCLOSURE))
    rig.s.thermal.temperature_degc[:4] = [degc, 25.0, degc - 20.0, 25.0]
    rig.inputs["plant_in.coolant_share"] = share
    start = np.array(rig.s.thermal.temperature_degc[:4])
    for k in range(steps):
        rig.run(1.0, (10_000_000, 100_000_000, 1_000_000_000)[k % 3])
    a, t, c = rig.s.abuse, rig.s.thermal, rig.s.cells
    fell = float(np.sum(rig.p.abuse.heat_j[:, None] * (rig.p.abuse.start[:, None] - a.left[:, :4])))
    assert float(np.sum(a.released_j)) == pytest.approx(fell, rel=1e-9, abs=1e-6)
    held = CAPACITY_J_PER_K * float(np.sum(t.temperature_degc[:4] - start)) + float(np.sum(c.heat_j[:4]))
    made = float(np.sum(c.made_j)) + fell
    assert held + float(t.coolant_j) == pytest.approx(made, rel=1e-9, abs=1e-5)
    assert float(np.sum(a.given_mol)) == pytest.approx(float(a.inside_mol + a.lost_mol), rel=1e-9, abs=1e-12)
    assert np.all((a.left[:, :4] >= 0.0) & (a.left[:, :4] <= rig.p.abuse.start[:, None]))


@FEW
@given(st.floats(-60.0, 900.0), st.floats(0.0, 1.0), st.floats(-12.0, 12.0))
def test_no_temperature_no_soc_and_no_current_makes_a_truth_unknown(degc, soc, load_a):
    rig = Rig(model(abuse=written(), enclosure=ENCLOSURE, scatter={"soc_sigma": 0.05}), soc=soc, degc=25.0)
    rig.s.thermal.temperature_degc[:4] = degc
    drive(rig, [load_a], seconds=1.0)
    truth = [q for q in rig.table.quantities if q.name.startswith("truth.")]
    assert np.all(np.isfinite(np.concatenate([rig.rows[0, q.start : q.start + q.count] for q in truth])))


@FEW
@given(st.integers(0, 2**31))
def test_the_scatter_is_the_seeds_and_a_groups_own(seed):
    scatter = {"capacity_sigma": 0.01, "resistance_sigma": 0.02, "soc_sigma": 0.01}
    first, again = Rig(model(scatter=scatter), seed=seed), Rig(model(scatter=scatter), seed=seed)
    longer, other = Rig(model(scatter=scatter, series=9), seed=seed), Rig(model(scatter=scatter), seed=seed + 1)
    assert np.asarray(first.fixed).tobytes() == np.asarray(again.fixed).tobytes()
    assert np.array_equal(first.p.cells.capacity_c[:4], longer.p.cells.capacity_c[:4])
    assert not np.array_equal(first.p.cells.capacity_c[:4], other.p.cells.capacity_c[:4])


@FEW
@given(st.data())
def test_the_end_of_a_run_does_not_depend_on_its_ticks(data):
    ends = []
    for points in ([*range(5 * MS, 2001 * MS, 5 * MS)], None):
        rig = Rig(model(), soc=0.6)
        rig.inputs["intent.load_current"] = 6.0
        rig.coils = [(3 * MS, 0, 1), (4 * MS, 1, 1), (1500 * MS, 1, 0)]
        chosen = points or [*range(10 * MS, 1501 * MS, 10 * MS), *(1500 * MS + x for x in data.draw(cuts(500 * MS)))]
        for t_ns in chosen:
            rig.step_to(t_ns)
        names = ("truth.cell_soc", "truth.cell_voltage", "truth.link_voltage")
        ends.append((rig.poles, [rig.get(name) for name in names]))
    assert ends[0][0] == ends[1][0]
    (soc, cell_v, link_v), (other_soc, other_cell_v, other_link_v) = ends[0][1], ends[1][1]
    assert other_soc == pytest.approx(soc, abs=1e-9)
    assert other_cell_v == pytest.approx(cell_v, abs=2e-5)
    assert other_link_v == pytest.approx(link_v, abs=5e-4)  # the EMF stands within a piece: 24 mV/s for 10 ms


@FEW
@given(st.floats(0.05, 0.95), st.floats(0.5, 12.0))
def test_discharge_lowers_and_charge_raises_the_voltage(soc, current_a):
    volts = []
    for load in (-current_a, 0.0, current_a):
        rig = Rig(model(), soc=soc)
        drive(rig, [load], seconds=1.0)
        volts.append(rig.get("truth.cell_voltage"))
    assert volts[0] > volts[1] > volts[2]
    assert math.isfinite(sum(volts))
