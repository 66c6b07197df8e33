"""What the twin says of single cells: delta filters by hand, laws of a group, tests against their own statistics."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.kernel import F64, Floats, Rows, kernel, zeros
from hil.twin import deltas, heat, tables, warning
from hil.twin.cells import ASIDE_A, BLOCK, CELL_ROWS, DEGC, GROWTH, PER_COULOMB, SOC
from hil.twin.tables import CellTables

CAPACITY_AH, R0_OHM = 2.5, 0.01


def line(slope_v: float) -> SimpleNamespace:
    """A cell of one resistance whose OCV rises by ``slope_v`` from empty to full, without hysteresis."""
    return SimpleNamespace(
        capacity_ah=CAPACITY_AH,
        heat_capacity_j_per_k=75.0,
        temperatures_degc=(25.0,),
        soc=tuple(np.linspace(0.0, 1.0, 201)),
        soc_knots=tuple(np.linspace(0.0, 1.0, 11)),
        ocv_v=3.0 + slope_v * np.linspace(0.0, 1.0, 201)[None],
        r0_ohm=np.full((1, 11), R0_OHM),
        hysteresis=SimpleNamespace(m_v=np.zeros((1, 11)), gamma=(50.0,), m0_v=(0.0,)),
        coulombic_efficiency=(1.0,),
    )


class Both:
    """State of the filters and of the tests."""

    deltas: deltas.DeltaState
    warning: warning.WarningState
    params: deltas.DeltaParams
    limits: warning.WarningParams
    cell: CellTables
    mean_v: F64


@kernel
def windows(both: Rows[Both], x: Floats, residual_v: Floats, current_a: Floats, leak: Floats, n: int) -> None:
    """One tick of a second for each row of ``residual_v``; ``leak`` is the SoC a cell loses in it, unseen by the twin.

    Residuals are those of a twin whose corrections have not been taken off: what it has learned is subtracted here.
    """
    b = both[0]
    slope_v = (b.cell.ocv_v[0, 1] - b.cell.ocv_v[0, 0]) * (b.cell.n_points - 1)
    seen = np.empty(n)
    for k in range(residual_v.shape[0]):
        for c in range(n):
            learned = slope_v * (x[0, SOC, c] - leak[c]) - (x[0, GROWTH, c] - 1.0) * R0_OHM * current_a[k]
            seen[c] = residual_v[k, c] - learned
        deltas.learn(b.deltas, b.params, b.cell, x, seen, b.mean_v, current_a[k], 0.0, 1.0, n)
        warning.step(b.warning, b.limits, b.deltas, b.cell, x, 1.0, n)


class Group:
    """``n`` cells at half charge and 25 degC, the pack's filter settled."""

    def __init__(self, n: int, slope_v: float = 0.5) -> None:
        self.n = n
        self.both = zeros(Both)
        self.b: Any = np.asarray(self.both)[0]
        tables.fill(self.b["cell"], line(slope_v), 1, 1.0, (0.05, 0.2))
        deltas.fill(self.b["params"], n)
        warning.fill(self.b["limits"], self.b["params"], CAPACITY_AH, n)
        self.b["limits"]["first_s"] = 0.0
        self.b["limits"]["least_inflation"] = 1.0
        deltas.start(self.b["deltas"], self.b["params"])
        self.b["deltas"]["settled"] = 1
        warning.start(self.b["warning"], self.b["limits"])
        self.x = np.zeros((2, CELL_ROWS, BLOCK))
        self.x[:, SOC], self.x[:, DEGC], self.x[:, GROWTH] = 0.5, 25.0, 1.0
        self.x[:, PER_COULOMB] = 1.0 / (CAPACITY_AH * 3600.0)

    def see(self, residual_v: np.ndarray, current_a: np.ndarray | float = 0.0, mean_v: float = 0.0) -> "Group":
        """Take residuals [second][cell]."""
        self.b["mean_v"] = mean_v
        current = np.broadcast_to(np.asarray(current_a, np.float64), residual_v.shape[:1]).copy()
        windows(self.both, self.x, np.ascontiguousarray(residual_v), current, np.full(self.n, 0.5), self.n)
        return self

    @property
    def told(self) -> np.ndarray:
        return np.asarray(self.b["warning"]["told"][: self.n])

    def learned(self) -> np.ndarray:
        """SoC, growth and offset of every cell, shape (3, n)."""
        return np.array([self.x[0, SOC, : self.n], self.x[0, GROWTH, : self.n], self.b["deltas"]["offset_v"][: self.n]])


def test_on_a_flat_ocv_at_rest_only_the_offset_is_learned() -> None:
    group = Group(4, slope_v=0.0)
    p = group.b["params"]
    prior = float(p["offset_sigma_v"]) ** 2
    # the first window opens the offset by the error of a slope read at the wrong place
    prior += float(p["slope_sigma_v"]) ** 2 * max(float(p["charge_sigma"]), float(p["least_sigma"])) ** 2
    noise = float(p["noise_v"]) ** 2 + float(p["floor_v2s"])
    group.see(np.array([[0.001, -0.001, 0.0, 0.0]]))
    gain = prior / (prior + noise)
    assert group.learned()[2] == pytest.approx([0.001 * gain, -0.001 * gain, 0.0, 0.0], rel=1e-9)
    assert np.all(group.x[0, SOC, :4] == 0.5) and np.all(group.x[0, GROWTH, :4] == 1.0)


def test_with_current_a_fall_is_shared_between_resistance_and_offset_by_their_variances() -> None:
    group = Group(4, slope_v=0.0)
    p = group.b["params"]
    shows = -R0_OHM * 10.0
    offset = float(p["offset_sigma_v"]) ** 2
    offset += float(p["slope_sigma_v"]) ** 2 * float(p["charge_sigma"]) ** 2
    growth = float(p["growth_sigma"]) ** 2 + float(p["growth_per_s"])
    noise = float(p["noise_v"]) ** 2 + float(p["floor_v2s"]) + float(p["mismatch_s"]) * shows**2
    group.see(np.array([[-0.002, 0.002, 0.0, 0.0]]), 10.0)
    total = noise + offset + shows * shows * growth
    assert group.learned()[1][0] == pytest.approx(1.0 + growth * shows / total * -0.002, rel=1e-9)
    assert group.learned()[2][0] == pytest.approx(offset / total * -0.002, rel=1e-6)


def test_resistance_and_charge_of_a_cell_are_found_in_a_drive() -> None:
    """Cell 2 has 5 % more resistance and 1 % less charge than its peers; currents of both signs tell them apart."""
    group, steps = Group(6), 4000
    current = 6.0 * np.sign(np.sin(np.arange(steps) / 7.0))
    residual = np.zeros((steps, 6))
    residual[:, 2] = -0.05 * R0_OHM * current - 0.01 * 0.5
    soc, growth, _ = group.see(residual, current).learned()
    assert growth[2] - np.delete(growth, 2).mean() == pytest.approx(0.05, abs=0.005)
    assert soc[2] - np.delete(soc, 2).mean() == pytest.approx(-0.01, abs=0.004)
    assert not group.told.any()


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 2**32 - 1))
def test_cells_in_another_order_give_the_same_in_that_order(order: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    residual, current = 0.003 * random.standard_normal((60, 6)), 5.0 * random.standard_normal(60)
    plain = Group(6).see(residual, current)
    turned = Group(6).see(residual[:, order], current)
    assert turned.learned() == pytest.approx(plain.learned()[:, order], rel=1e-9, abs=1e-12)
    assert list(turned.told) == list(plain.told[order])


@settings(max_examples=15, deadline=None)
@given(st.floats(-0.5, 0.5), st.integers(0, 2**32 - 1))
def test_a_voltage_that_all_cells_share_says_nothing_of_any(shared_v: float, seed: int) -> None:
    residual = 0.001 * np.random.default_rng(seed).standard_normal((60, 6))
    plain = Group(6).see(residual)
    lifted = Group(6).see(residual + shared_v, mean_v=shared_v)
    assert lifted.learned() == pytest.approx(plain.learned(), rel=1e-7, abs=1e-9)
    assert not lifted.told.any()


def test_a_cell_that_is_not_known_is_left_alone_and_changes_nothing_for_the_others() -> None:
    random = np.random.default_rng(3)
    residual = 0.002 * random.standard_normal((120, 7))
    current = 5.0 * random.standard_normal(120)
    residual[:, 4] = math.nan
    with_it = Group(7).see(residual, current)
    without = Group(6).see(np.delete(residual, 4, axis=1), current)
    # it stays in the mean SoC that others are away from, which only scales a doubt
    assert np.delete(with_it.learned(), 4, axis=1) == pytest.approx(without.learned(), rel=2e-3, abs=1e-6)
    assert list(with_it.learned()[:, 4]) == [0.5, 1.0, 0.0] and not with_it.told[4]


def test_offsets_have_no_common_part_where_a_slope_changes() -> None:
    """What the cells share is the pack filter's: left in the offsets alone, it drove all of them away from zero.

    The OCV turns steep while the offsets and charges of the flat part stand against each other.
    """
    group = Group(6, slope_v=0.02)
    random = np.random.default_rng(11)
    group.see(0.004 * random.standard_normal(6) + 0.0005 * random.standard_normal((200, 6)))
    tables.fill(group.b["cell"], line(2.0), 1, 1.0, (0.05, 0.2))
    d = group.b["deltas"]
    for _ in range(5):
        kept = d["offset_v"][:6].mean()
        set_residual(group.both, group.x, 0.004 * random.standard_normal(6))
        assert abs(d["offset_v"][:6].mean() - kept) < 1e-12


@kernel
def set_residual(both: Rows[Both], x: Floats, seen_v: Floats) -> None:
    """One window in which the cells' residuals are these less their mean."""
    b = both[0]
    deltas.learn(b.deltas, b.params, b.cell, x, seen_v, seen_v.mean(), 0.0, 0.0, 1.0, seen_v.size)


def test_one_cell_far_off_is_told_and_moves_no_other() -> None:
    residual = np.zeros((60, 12))
    residual[:, 7] = -0.3
    group = Group(12).see(residual)
    assert group.told[7] & warning.DEPARTURE and not np.delete(group.told, 7).any()
    soc = group.learned()[0]
    assert np.abs(np.delete(soc, 7) - 0.5).max() < 0.4 * abs(soc[7] - 0.5) / 11


def test_a_leak_is_found_with_its_size_and_named_as_leak() -> None:
    """0.2 A from nowhere: the voltage falls by R0 I at once and then with the charge, 0.5 V from full to empty."""
    group, seconds, leak_a = Group(12), 900, 0.2
    group.see(np.zeros((300, 12)))
    residual = np.zeros((seconds, 12))
    after_s = np.arange(1, seconds + 1)
    residual[:, 5] = -leak_a * (R0_OHM + 0.5 * after_s / (CAPACITY_AH * 3600.0))
    group.see(residual)
    w = group.b["warning"]
    assert group.told[5] & warning.LEAK and not np.delete(group.told, 5).any()
    # the stage of 1200 s began 300 s too early, so that it spreads the leak over a longer time
    assert 0.7 * leak_a < w["leak_a"][5] < 1.05 * leak_a
    assert w["leak_sigma_a"][5] < 0.1 * leak_a


def test_a_leak_over_the_whole_life_of_a_stage_is_estimated_without_bias() -> None:
    group, leak_a = Group(24), 0.05
    after_s = np.arange(1, 601)
    residual = np.zeros((600, 24))
    residual[:, 3] = -leak_a * (R0_OHM + 0.5 * after_s / (CAPACITY_AH * 3600.0))
    group.see(residual)
    w = group.b["warning"]
    assert w["score"][1, 3] / w["info"][1, 3] == pytest.approx(leak_a, rel=0.06)  # 1/24 is taken for common


def test_a_balancing_current_is_the_twins_own_and_widens_only_what_is_unsure_of_it() -> None:
    """With its current in the cells' rows, a balanced cell has no residual; its charge is trusted a little less."""
    group = Group(6)
    group.x[0, ASIDE_A, 2] = 0.1
    group.see(np.zeros((600, 6)))
    cov = group.b["deltas"]["cov"][deltas.SS, :6]
    assert not group.told.any() and cov[2] > cov[1]


def test_nothing_counts_before_the_filters_have_found_their_place() -> None:
    group = Group(6)
    group.b["limits"]["first_s"] = 300.0
    residual = np.zeros((299, 6))
    residual[:, 1] = -0.05
    group.see(residual)
    assert not group.told.any() and not group.b["warning"]["info"].any()
    group.see(np.zeros((2, 6)))
    assert group.b["warning"]["info"].any()


def test_cusum_counts_what_exceeds_its_allowance() -> None:
    group = Group(4, slope_v=0.0)
    d, w, p = group.b["deltas"], group.b["warning"], group.b["limits"]
    need = math.floor(float(p["departure_limit"]) / 2.0) + 1  # three sigma less the allowance of one
    for k in range(need):
        assert not w["told"][1] & warning.DEPARTURE
        set_window(group.both, np.array([0.0, -0.003, 0.0, 0.003]), 0.001)
        assert w["departure"][1] == pytest.approx(2.0 * (k + 1), rel=0.01)  # the spread has risen
    assert w["told"][1] & warning.DEPARTURE and d["fresh"] == 1
    assert not w["told"][[0, 2, 3]].any()  # a cell that rises is no short


@kernel
def set_window(both: Rows[Both], innovation_v: Floats, sigma_v: float) -> None:
    """Hand the tests one window with these innovations."""
    b = both[0]
    for c in range(innovation_v.size):
        b.deltas.innovation_v[c], b.deltas.variance_v2[c] = innovation_v[c], sigma_v * sigma_v
        b.deltas.weight[c] = 1.0 / (sigma_v * sigma_v)
    b.deltas.fresh, b.deltas.closed_s, b.deltas.moved_c = 1, 1.0, 0.0
    b.warning.inflation[:] = 1.0
    b.warning.spread[:] = 1.0
    b.warning.alike[:] = 0.0
    x = np.full((1, CELL_ROWS, BLOCK), 0.5)
    warning.step(b.warning, b.limits, b.deltas, b.cell, x, 1.0, innovation_v.size)


def mean_run(k: float, limit: float) -> float:
    """Siegmund's mean number of windows between false alarms of a CUSUM."""
    b = limit + 1.166
    return (math.exp(2.0 * k * b) - 2.0 * k * b - 1.0) / (2.0 * k * k)


def test_the_cusum_has_the_stated_rate_of_false_alarms() -> None:
    p = Group(96).b["limits"]
    days = mean_run(float(p["departure_allowance"]), float(p["departure_limit"])) / 86400.0 / 96.0
    assert days == pytest.approx(warning.DAYS_BETWEEN, rel=0.01)
    random = np.random.default_rng(5)
    lengths = []
    for _ in range(400):  # the formula itself, where it can be waited for
        at, count = 0.0, 0
        while at <= 2.0:
            at, count = max(at + random.standard_normal() - 1.0, 0.0), count + 1
        lengths.append(count)
    assert np.mean(lengths) == pytest.approx(mean_run(1.0, 2.0), rel=0.15)


def test_white_innovations_give_scores_of_variance_one() -> None:
    group = Group(96)
    random = np.random.default_rng(7)
    for _ in range(50):
        set_window(group.both, 0.001 * random.standard_normal(96), 0.001)
    w = group.b["warning"]
    z = w["score"][1, :96] / np.sqrt(w["info"][1, :96])
    assert 0.75 < z.std() < 1.3 and abs(z.mean()) < 0.35
    assert not w["told"].any()


def test_without_peers_nothing_is_applied_and_only_a_hard_fall_counts() -> None:
    group = Group(1)
    group.see(np.full((600, 1), -0.008))
    assert group.learned()[0][0] == 0.5 and group.learned()[1][0] == 1.0
    assert not group.told.any()
    assert -0.008 < group.learned()[2][0] < -0.001  # the rest may be the charge, which is not ours to learn


class Warm:
    """State of the heat balance."""

    deltas: deltas.DeltaState
    heat: heat.HeatState
    params: heat.HeatParams
    cell: CellTables


@kernel
def warm(both: Rows[Warm], x: Floats, degc: Floats, gas_pa: float) -> None:
    """A second for each row of temperatures [second][sensor]."""
    b = both[0]
    b.deltas.fresh, b.deltas.closed_s = 1, 1.0
    for k in range(degc.shape[0]):
        for z in range(b.params.n_zones):
            x[0, DEGC, b.params.sensor_cell[z]] = degc[k, z]
        heat.step(b.heat, b.params, b.deltas, b.cell, x, degc[k], 0, 25.0, gas_pa, 1.0, 4)


def heated(degc: np.ndarray, gas_pa: float = math.nan) -> Any:
    """Heat balance of four cells of 75 J/K, 0.2 W/K to a coolant of 25 degC, none between them."""
    both = zeros(Warm)
    b: Any = np.asarray(both)[0]
    tables.fill(b["cell"], line(0.5), 1, 1.0, (0.0, 0.2))
    heat.fill(b["params"], (0, 1, 2, 3))
    heat.start(b["heat"])
    x = np.full((1, CELL_ROWS, BLOCK), 25.0)
    warm(both, x, np.ascontiguousarray(degc), gas_pa)
    return b


def test_unexpected_heat_is_capacity_times_slope() -> None:
    """A sensor that rises by 1 K/min over coolant: 75 J/K / 60 s = 1.25 W and what leaves, a quarter of it common."""
    degc = np.full((1200, 4), 25.0)
    degc[900:, 2] += np.arange(300) / 60.0
    b = heated(degc)
    left_w = 0.2 * (300 - 2 * 30.0) / 60.0  # of the smoothed temperature, two lags of 30 s
    found = b["heat"]["raw_w"][2]
    assert found == pytest.approx(1.25 + left_w, rel=0.03)
    assert b["heat"]["told"][2] == heat.HEAT and not b["heat"]["told"][[0, 1, 3]].any()


def test_heat_that_all_sensors_share_is_the_coolants() -> None:
    degc = np.full((1200, 4), 25.0)
    degc[900:] += (np.arange(300) / 30.0)[:, None]
    assert not heated(degc)["heat"]["told"].any()


def test_a_kelvin_a_second_is_a_runaway_and_gas_is_gas() -> None:
    degc = np.full((700, 4), 25.0)
    degc[680:, 1] += 1.5 * np.arange(20)
    b = heated(degc, 200.0)
    assert b["heat"]["told"][1] & heat.RUNAWAY and not b["heat"]["told_gas"]
    assert heated(np.full((5, 4), 25.0), 800.0)["heat"]["told_gas"] == 1


def test_a_sensor_not_known_is_no_heat() -> None:
    degc = np.full((1200, 4), 25.0)
    degc[700:710, 3] = math.nan
    assert not heated(degc)["heat"]["told"].any()
