"""Laws of the twin's cell kernel: charge and energy are kept, alike cells stay alike, the step hardly matters, no NaN."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from twin_rig import CAPACITY_C, PARALLEL, cell

from hil.kernel import Floats, Rows, kernel, zeros
from hil.twin import cells, tables

MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CURRENTS = st.lists(st.floats(-40.0, 40.0), min_size=1, max_size=60)


@kernel
def walk(made: Rows[tables.CellTables], x: Floats, w: Floats, n: int, currents: Floats, coolant: float) -> None:
    """A step for each current; it flows on at the step's end."""
    for k in range(currents.size):
        cells.step(made[0], x, w, n, currents[k], currents[k], 1.0, coolant, True)


class Stack:
    """Some groups of the rig's cell with heat of their own."""

    def __init__(
        self, n: int, dt_s: float = 1.0, between: float = 2.0, coolant: float = 0.0, heat: float = 500.0
    ) -> None:
        of = cell()
        of.heat_capacity_j_per_k = heat
        self.n, self.dt_s = n, dt_s
        self.made: Any = zeros(tables.CellTables)
        self.t = np.asarray(self.made)[0]
        tables.fill(self.t, of, PARALLEL, dt_s, (between, coolant))
        self.x = np.zeros((-(-n // cells.BLOCK), cells.CELL_ROWS, cells.BLOCK))
        self.w = np.zeros((1, cells.SCRATCH_ROWS, cells.BLOCK))
        self.put(cells.SOC, 0.5)
        self.put(cells.DEGC, 25.0)
        self.put(cells.PER_COULOMB, 1.0 / CAPACITY_C)
        self.put(cells.GROWTH, 1.0)

    def put(self, row: int, values: Any) -> None:
        c = np.arange(self.n)
        self.x[c // cells.BLOCK, row, c % cells.BLOCK] = values

    def get(self, row: int) -> np.ndarray:
        c = np.arange(self.n)
        return np.asarray(self.x[c // cells.BLOCK, row, c % cells.BLOCK]).copy()

    def walk(self, currents: Any, coolant: float = 25.0) -> "Stack":
        walk(self.made, self.x, self.w, self.n, np.asarray(currents, np.float64), coolant)
        return self


@MANY
@given(CURRENTS, st.floats(0.3, 0.7))
def test_charge_is_kept(currents: list[float], soc: float) -> None:
    s = Stack(3)
    s.t["of_degc"][:, tables.EFFICIENCY] = 1.0
    s.put(cells.SOC, soc)
    s.walk(currents)
    assert s.get(cells.SOC) == pytest.approx(soc - sum(currents) / CAPACITY_C, abs=1e-12)


@MANY
@given(CURRENTS)
def test_what_the_terminals_do_not_give_becomes_heat(currents: list[float]) -> None:
    s = Stack(1, between=0.0)
    heat_j = 0.0
    for current in currents:
        s.walk([current])
        row, share = int(s.w[0, cells.ROW, 0]), s.w[0, cells.SHARE, 0]
        at = np.interp(s.get(cells.SOC)[0] * (s.t["n_points"] - 1), np.arange(401), s.t["ocv_v"][row])
        above = np.interp(s.get(cells.SOC)[0] * (s.t["n_points"] - 1), np.arange(401), s.t["ocv_v"][row + 1])
        heat_j += current * (at + share * (above - at) - s.get(cells.VOLTAGE)[0]) * s.dt_s
    warmed_j = (s.get(cells.DEGC)[0] - 25.0) * float(s.t["heat_j_per_k"])
    assert warmed_j == pytest.approx(heat_j, rel=1e-9, abs=1e-6)


@MANY
@given(st.lists(st.floats(-20.0, 60.0), min_size=2, max_size=200), st.floats(0.1, 5.0))
def test_heat_between_neighbours_is_kept_across_blocks(degc: list[float], between: float) -> None:
    s = Stack(len(degc), between=between)
    s.put(cells.DEGC, degc)
    s.walk([0.0] * 50)
    assert s.get(cells.DEGC).sum() == pytest.approx(sum(degc), abs=1e-8 * len(degc))
    assert s.get(cells.DEGC).max() <= max(degc) + 1e-9
    assert s.get(cells.DEGC).min() >= min(degc) - 1e-9


def test_heat_to_the_coolant_follows_its_time_constant() -> None:
    s = Stack(1, dt_s=0.1, between=0.0, coolant=8.0)
    s.put(cells.DEGC, 45.0)
    s.walk([0.0] * 1250, coolant=25.0)  # 125 s of 1000 J/K over 8 W/K: one time constant
    assert s.get(cells.DEGC)[0] == pytest.approx(25.0 + 20.0 * np.exp(-1.0), abs=0.01)


@MANY
@given(CURRENTS, st.integers(2, 150))
def test_alike_cells_stay_alike_to_the_last_bit(currents: list[float], n: int) -> None:
    s = Stack(n).walk(currents)
    for row in range(cells.CELL_ROWS):
        assert np.ptp(s.get(row)) <= (1e-12 if row == cells.DEGC else 1e-13)


@MANY
@given(CURRENTS, st.permutations(list(range(7))))
def test_the_order_of_cells_that_do_not_touch_does_not_matter(currents: list[float], order: list[int]) -> None:
    plain, turned = Stack(7, between=0.0), Stack(7, between=0.0)
    for row, low, high in ((cells.SOC, 0.2, 0.8), (cells.DEGC, 5.0, 45.0), (cells.GROWTH, 0.9, 1.2)):
        values = np.linspace(low, high, 7)
        plain.put(row, values)
        turned.put(row, values[order])
    plain.walk(currents)
    turned.walk(currents)
    assert turned.get(cells.VOLTAGE).tolist() == plain.get(cells.VOLTAGE)[order].tolist()


@MANY
@given(st.lists(st.floats(-40.0, 40.0), min_size=1, max_size=30), st.floats(0.2, 0.8), st.floats(5.0, 45.0))
def test_a_step_of_10_ms_and_one_of_1_s_agree_within_half_a_millivolt(
    currents: list[float], soc: float, degc: float
) -> None:
    fine, coarse = Stack(2, dt_s=0.01, coolant=1.0), Stack(2, dt_s=1.0, coolant=1.0)
    for s in (fine, coarse):
        s.put(cells.SOC, soc)
        s.put(cells.DEGC, degc)
    fine.walk(np.repeat(currents, 100))
    coarse.walk(currents)
    assert fine.get(cells.SOC) == pytest.approx(coarse.get(cells.SOC), abs=1e-6)
    assert fine.get(cells.VOLTAGE) == pytest.approx(coarse.get(cells.VOLTAGE), abs=5e-4)
    assert fine.get(cells.DEGC) == pytest.approx(coarse.get(cells.DEGC), abs=0.01)


@MANY
@given(st.floats(-0.1, 1.1), st.floats(-200.0, 900.0), st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20))
def test_no_state_however_far_out_gives_nan(soc: float, degc: float, currents: list[float]) -> None:
    s = Stack(2)
    s.put(cells.SOC, soc)
    s.put(cells.DEGC, degc)
    s.walk(currents)
    assert all(np.isfinite(s.get(row)).all() for row in range(cells.CELL_ROWS))
    assert cells.SOC_LEAST <= s.get(cells.SOC).min() <= s.get(cells.SOC).max() <= cells.SOC_MOST


@pytest.mark.parametrize(("beyond", "edge"), [(-80.0, -40.0), (300.0, 87.5)])
def test_beyond_the_tables_of_temperature_their_edge_holds(beyond: float, edge: float) -> None:
    far, near = Stack(1, between=0.0), Stack(1, between=0.0)
    far.put(cells.DEGC, beyond)
    near.put(cells.DEGC, edge)
    assert far.walk([10.0]).get(cells.VOLTAGE).tolist() == near.walk([10.0]).get(cells.VOLTAGE).tolist()


def test_a_step_too_long_for_the_heat_chain_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a step of 200 s: .* less than 41\.67 s"):
        Stack(1, dt_s=200.0, between=2.0, coolant=8.0)
    with pytest.raises(ValueError, match=r"a step of 0 s: .* more than 0 s"):
        Stack(1, dt_s=0.0, coolant=1.0)


def test_the_stops_follow_the_exponential_within_their_pieces() -> None:
    rate, weight = tables.stop_stack()
    assert weight.sum() == pytest.approx(1.0)
    assert np.all(weight > 0.0)
    x = np.linspace(0.0, 6.0, 601)
    branch = -1.0 + (weight[:, None] * np.minimum(rate[:, None] * x, 2.0)).sum(axis=0)
    assert np.abs(branch - (1.0 - 2.0 * np.exp(-x))).max() < 0.045
