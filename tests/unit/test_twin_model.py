"""The twin's cell model: hand arithmetic for every term, the sign of each, and what is not known stays unknown."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from twin_rig import SERIES, Drive, Simulation, cell

from hil.image import table
from hil.twin import cells
from hil.twin import step as twin

NAN = float("nan")


def bare(**more: object) -> SimpleNamespace:
    """A 1 Ah cell of 3 V + 1 V per SoC, 10 mohm, RC 20 mohm 10 s and 30 mohm 100 s, no hysteresis, no warming."""
    flat = lambda v: np.full((1, 2), v)  # noqa: E731  # one line, used once or twice below
    made = SimpleNamespace(
        capacity_ah=1.0,
        heat_capacity_j_per_k=1e9,
        surface_heat_transfer_w_per_k=1.0,
        temperatures_degc=(25.0,),
        soc=(0.0, 1.0),
        soc_knots=(0.0, 1.0),
        ocv_v=[[3.0, 4.0]],
        r0_ohm=flat(0.01),
        r1_ohm=flat(0.02),
        tau1_s=flat(10.0),
        r2_ohm=flat(0.03),
        tau2_s=flat(100.0),
        hysteresis=SimpleNamespace(m_v=flat(0.0), gamma=(0.0,), m0_v=(0.0,)),
        coulombic_efficiency=(1.0,),
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def one(of: SimpleNamespace, soc: float = 0.5, parallel: int = 1, dt_s: float = 1.0) -> Drive:
    return Drive(of=of, series=1, sensors=(0,), parallel=parallel, dt_s=dt_s).start(soc)


def test_at_rest_the_prediction_is_the_open_circuit_voltage() -> None:
    assert one(bare()).tick(0.0, 0.0)[0] == pytest.approx(3.5, abs=1e-12)


def test_a_discharge_current_drops_the_voltage_by_r0_in_the_same_row() -> None:
    assert one(bare()).tick(0.0, 2.0)[0] == pytest.approx(3.5 - 0.02, abs=1e-12)


def test_a_third_pair_answers_a_step_beside_the_others() -> None:
    d = one(bare(capacity_ah=1e9, r3_ohm=np.full((1, 2), 0.05), tau3_s=np.full((1, 2), 1000.0)))
    d.tick(0.0, 2.0)
    got = d.tick(500.0, 2.0)[0]
    by_hand = 3.5 - 2.0 * (0.01 + 0.02 + 0.03 * (1.0 - math.exp(-5.0)) + 0.05 * (1.0 - math.exp(-0.5)))
    assert got == pytest.approx(by_hand, abs=1e-9)


def test_both_rc_pairs_answer_a_step_with_their_exact_exponentials() -> None:
    d = one(bare(capacity_ah=1e9))
    d.tick(0.0, 2.0)
    for k in range(1, 31):
        got = d.tick(float(k), 2.0)[0]
    by_hand = 3.5 - 2.0 * (0.01 + 0.02 * (1.0 - math.exp(-3.0)) + 0.03 * (1.0 - math.exp(-0.3)))
    assert got == pytest.approx(by_hand, abs=1e-9)


def test_after_the_current_stops_the_polarisation_decays() -> None:
    d = one(bare(capacity_ah=1e9))
    d.tick(0.0, 2.0)
    for k in range(1, 11):
        d.tick(float(k), 2.0 if k < 10 else 0.0)
    got = d.tick(20.0, 0.0)[0]
    v1, v2 = 0.04 * (1.0 - math.exp(-1.0)) * math.exp(-1.0), 0.06 * (1.0 - math.exp(-0.1)) * math.exp(-0.1)
    assert got == pytest.approx(3.5 - v1 - v2, abs=1e-9)


def test_the_current_of_a_row_does_not_act_before_that_row() -> None:
    d = one(bare())
    d.tick(0.0, 0.0)
    d.tick(10.0, 36.0)
    assert d.soc() == 0.5
    d.tick(20.0, 0.0)
    assert d.soc() == pytest.approx(0.5 - 36.0 * 10.0 / 3600.0, abs=1e-12)


@pytest.mark.parametrize(("current_a", "moved"), [(3.6, -0.001), (-3.6, 0.001 * 0.9)])
def test_discharge_lowers_soc_and_charge_raises_it_by_the_coulombic_efficiency(current_a: float, moved: float) -> None:
    d = one(bare(coulombic_efficiency=(0.9,)))
    d.tick(0.0, current_a)
    d.tick(1.0, current_a)
    assert d.soc() == pytest.approx(0.5 + moved, abs=1e-12)


def test_cells_in_parallel_share_the_current() -> None:
    d = one(bare(), parallel=4)
    assert d.tick(0.0, 8.0)[0] == pytest.approx(3.5 - 0.02, abs=1e-12)
    d.tick(9.0, 8.0)
    assert d.soc() == pytest.approx(0.5 - 8.0 * 9.0 / (4.0 * 3600.0), abs=1e-12)


def hysteretic() -> SimpleNamespace:
    flat = np.full((1, 2), 0.02)
    return bare(
        hysteresis=SimpleNamespace(m_v=flat, gamma=(100.0,), m0_v=(0.003,)),
        ocv_v=[[3.5, 3.5]],
        r0_ohm=np.full((1, 2), 1e-12),
        r1_ohm=np.full((1, 2), 1e-12),
        r2_ohm=np.full((1, 2), 1e-12),
    )


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_hysteresis_lowers_the_voltage_after_discharge_lifts_it_after_charge_and_saturates(direction: float) -> None:
    d = one(hysteretic())
    assert d.tick(0.0, 0.0)[0] == pytest.approx(3.5)
    d.tick(1.0, 36.0 * direction)
    one_per_cent = d.tick(2.0, 36.0 * direction)[0]
    virgin = 1.0 - math.exp(-2.0)  # from the middle half the branch at twice the way: Masing's rule
    assert one_per_cent == pytest.approx(3.5 - direction * (0.003 + 0.02 * virgin), abs=0.02 * 0.02)
    for k in range(3, 23):
        last = d.tick(float(k), 36.0 * direction)[0]
    assert last == pytest.approx(3.5 - direction * 0.023, abs=1e-6)
    assert d.tick(23.0, 0.0)[0] == pytest.approx(last, abs=1e-6), "rest keeps both parts"
    back = [d.tick(24.0 + k, -36.0 * direction)[0] for k in range(3)]
    branch = -1.0 + 2.0 * (1.0 - math.exp(-2.0))  # after a full reversal, two per cent of SoC moved
    assert back[2] == pytest.approx(3.5 + direction * (0.003 + 0.02 * branch), abs=0.02 * 0.03)


def test_a_minor_loop_of_the_hysteresis_closes() -> None:
    d = one(hysteretic())
    currents = [36.0] * 20 + [-36.0] * 5 + [36.0] * 5 + [0.0]
    got = [d.tick(float(k), current)[0] for k, current in enumerate(currents)]
    assert abs(got[24] - got[19]) > 0.02
    assert got[30] == pytest.approx(got[19], abs=1e-6)


def test_a_trickle_below_a_hundredth_of_the_capacity_per_hour_does_not_turn_m0() -> None:
    d = one(hysteretic(), dt_s=0.001)
    d.tick(0.0, 1.0)
    assert d.tick(0.001, -0.009)[0] < 3.5
    assert d.tick(0.002, -0.011)[0] > 3.5


def test_resistance_follows_the_measured_temperature_and_is_held_beyond_the_table() -> None:
    two = bare(
        temperatures_degc=(0.0, 20.0),
        ocv_v=[[3.5, 3.5]] * 2,
        r0_ohm=[[0.03] * 2, [0.01] * 2],
        r1_ohm=np.full((2, 2), 1e-9),
        r2_ohm=np.full((2, 2), 1e-9),
        tau1_s=np.full((2, 2), 1.0),
        tau2_s=np.full((2, 2), 1.0),
        coulombic_efficiency=(1.0, 1.0),
        hysteresis=SimpleNamespace(m_v=np.zeros((2, 2)), gamma=(0.0, 0.0), m0_v=(0.0, 0.0)),
    )
    share = (1 / 278.15 - 1 / 273.15) / (1 / 293.15 - 1 / 273.15)
    between = 0.03 * (0.01 / 0.03) ** share  # Arrhenius: ln R straight over 1/T
    for degc, ohm in ((-30.0, 0.03), (0.0, 0.03), (5.0, between), (20.0, 0.01), (60.0, 0.01), (-90.0, 0.03)):
        assert one(two).tick(0.0, 1.0, degc=degc)[0] == pytest.approx(3.5 - ohm, abs=1e-12)


def test_between_the_rows_of_the_tables_arrhenius_is_kept_within_a_hundredth() -> None:
    steep = bare(
        temperatures_degc=(-25.0, 45.0),
        ocv_v=[[3.5, 3.5]] * 2,
        r0_ohm=[[math.exp(50e3 / 8.314 / 248.15 - 30.0)] * 2, [math.exp(50e3 / 8.314 / 318.15 - 30.0)] * 2],
        r1_ohm=np.full((2, 2), 1e-12),
        r2_ohm=np.full((2, 2), 1e-12),
        tau1_s=np.full((2, 2), 1.0),
        tau2_s=np.full((2, 2), 1.0),
        coulombic_efficiency=(1.0, 1.0),
        hysteresis=SimpleNamespace(m_v=np.zeros((2, 2)), gamma=(0.0, 0.0), m0_v=(0.0, 0.0)),
    )
    for degc in np.arange(-25.0, 45.0, 0.7):
        ohm = math.exp(50e3 / 8.314 / (degc + 273.15) - 30.0)
        assert 3.5 - one(steep).tick(0.0, 1.0, degc=degc)[0] == pytest.approx(ohm, rel=0.01)


def test_a_temperature_that_changes_is_followed_within_seconds() -> None:
    d = Drive().start(0.5)
    d.tick(0.0, 10.0, degc=25.0)
    for k in range(1, 6):
        d.tick(float(k), 10.0, degc=40.0)
    assert d.cell_row(cells.DEGC) == pytest.approx(40.0 - 15.0 * math.exp(-1.0), abs=1e-3)
    for k in range(6, 60):
        d.tick(float(k), 10.0, degc=40.0)
    assert d.columns("twin.cell_temperature") == pytest.approx(np.full(SERIES, 40.0), abs=1e-3)


def test_an_unknown_temperature_stays_what_it_was() -> None:
    d, same = Drive().start(0.5), Drive().start(0.5)
    for k in range(8):
        got = d.tick(k * 1.0, 10.0, degc=[31.0, 12.0] if k == 0 else [NAN, 12.0])
        want = same.tick(k * 1.0, 10.0, degc=[31.0, 12.0])
    assert got == pytest.approx(want, abs=1e-9)


def test_a_cell_between_two_sensors_lies_between_their_zones() -> None:
    d = Drive().start(0.5)
    v = d.tick(0.0, 20.0, degc=[30.0, 10.0])  # sensors sit on cells 3 and 1
    assert v[0] == v[1] < v[2] < v[3] == v[4]
    assert d.columns("twin.cell_temperature").tolist() == [10.0, 10.0, 20.0, 30.0, 30.0]


def test_an_unknown_current_makes_the_prediction_unknown_and_never_zero() -> None:
    d = Drive().start(0.5)
    d.tick(0.0, 10.0)
    assert np.isnan(d.tick(1.0, NAN)).all()
    assert np.isnan(d.columns("twin.pack_voltage")[0])
    known = d.soc()
    assert known == pytest.approx(0.5 - 10.0 / 72000.0, abs=1e-12)
    assert np.isfinite(d.tick(2.0, 10.0)).all()


def test_the_pack_voltage_is_the_sum_of_the_cells() -> None:
    d = Drive().start(0.5)
    cells_v = d.tick(0.0, 10.0, degc=[30.0, 10.0])
    assert d.columns("twin.pack_voltage")[0] == pytest.approx(sum(cells_v), abs=1e-12)


def test_soc_beyond_the_table_is_bounded() -> None:
    d = one(bare(), soc=0.01)
    for k in range(4):
        d.tick(k * 100.0, 36.0)
    assert d.soc() == pytest.approx(-0.1)
    assert d.columns("twin.cell_voltage")[0] < 3.0


def test_a_longer_step_gives_what_many_short_ones_give() -> None:
    long, short = Drive().start(0.5), Drive(dt_s=0.01).start(0.5)
    long.tick(0.0, 20.0)
    for k in range(101):
        got = short.tick(k * 0.01, 20.0)
    assert long.tick(1.0, 20.0) == pytest.approx(got, abs=2e-5), "what is left is the SoC the coefficients are read at"


def test_a_row_left_out_is_made_up_for() -> None:
    whole, gap = Drive().start(0.5), Drive().start(0.5)
    for k in range(6):
        want = whole.tick(float(k), 20.0)
    gap.tick(0.0, 20.0)
    assert gap.tick(5.0, 20.0).tolist() == want.tolist()
    assert gap.sigma() == whole.sigma()


def test_the_twin_agrees_with_an_independent_simulation_over_a_drive() -> None:
    d, sim = Drive().start(0.5), Simulation(0.5)
    degc = np.array([32.5, 12.5])
    worst, current = 0.0, 0.0
    for k in range(200):
        if k:
            sim.flow(current, degc, 1.0, parts=5)
        current = (20.0, -15.0, 0.0, 8.0, -30.0)[(k // 7) % 5]
        worst = max(worst, float(np.abs(d.tick(float(k), current, degc=degc) - sim.cells(current, degc)).max()))
    assert worst < 3e-4
    assert d.soc() == pytest.approx(sim.soc, abs=1e-4)


def test_only_the_twins_own_range_of_the_row_is_written() -> None:
    d = Drive().start(0.5)
    d.tick(0.0, 10.0, 3.3)
    before = d.row.copy()
    d.tick(1.0, 10.0, 3.3)
    own = {q.name: q for q in d.table.quantities if q.name.startswith("twin.")}
    inside = np.zeros(d.row.size, bool)
    for q in own.values():
        inside[q.start : q.start + q.count] = True
    assert np.array_equal(d.row[~inside], before[~inside], equal_nan=True)
    silent = {"twin.leak_sigma", "twin.warning_cell", "twin.warning_since"}  # nothing to say of a leak or a warning yet
    for name, q in own.items():
        assert np.isfinite(d.row[q.start : q.start + q.count]).all() != (name in silent), name


def test_two_runs_give_the_same_bytes() -> None:
    made = []
    for _ in range(2):
        d = Drive(dt_s=0.01).start(0.4)
        for k in range(50):
            d.tick(k * 0.01, 10.0 - k, 3.3 + 0.001 * np.arange(SERIES))
        made.append(np.asarray(d.states).tobytes() + d.row.tobytes())
    assert made[0] == made[1]


def test_a_table_for_another_number_of_sensors_is_refused() -> None:
    with pytest.raises(ValueError, match="3 temperature sensors, the pack 2"):
        twin.from_cell(cell(), 1, (0, 1), table(5, 3), 10**9)
    with pytest.raises(ValueError, match="a sensor sits on cell 7"):
        twin.from_cell(cell(), 1, (0, 7), table(5, 2), 10**9)
