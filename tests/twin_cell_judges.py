"""Judges of the twin's cell: its tables against the cell's laws, one step of many cells against numpy and scipy.

Each takes the copies of ``tables`` and ``cells``, healthy or mutated, as plain Python, and raises where a law is broken.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from twin_rig import CAPACITY_C, DEGC, GRID, KNOTS, PARALLEL, cell

from hil.campaign.mutate.plain import as_object
from hil.kernel import zeros
from hil.twin.tables import CellTables

BETWEEN, COOLANT, DT_S = 1.5, 4.0, 2.0
ROWS_DEGC = np.arange(-40.0, 90.0, 2.5)


def warm_cell() -> SimpleNamespace:
    """The rig's cell, of little heat and with an entropy of its own."""
    of = cell()
    of.heat_capacity_j_per_k = 300.0
    of.docv_dt_v_per_k = 1e-4 * np.cos(5.0 * GRID)
    return of


def filled(twin: Any, of: Any = None, dt_s: float = DT_S, thermal: tuple[float, float] = (BETWEEN, COOLANT)) -> Any:
    """A CellTables record, as numpy has it."""
    made = np.asarray(zeros(CellTables))[0]
    twin.tables.fill(made, of or warm_cell(), PARALLEL, dt_s, thermal)
    return made


def judge_numbers(twin: Any) -> None:
    """What a group of two cells is."""
    t, of = filled(twin), warm_cell()
    assert (t["n_points"], t["n_knots"], t["dt_s"]) == (201, 11, DT_S)
    assert t["capacity_c"] == CAPACITY_C == 72000.0
    assert t["rest_a"] == 0.2, "a hundredth of 20 Ah in an hour"
    assert t["heat_j_per_k"] == 600.0
    assert (t["between_w_per_k"], t["coolant_w_per_k"]) == (BETWEEN, COOLANT)
    assert np.array_equal(t["docv_dt_v_per_k"][:201], of.docv_dt_v_per_k)
    assert not t["docv_dt_v_per_k"][201:].any()
    plain = cell()
    del plain.r3_ohm, plain.tau3_s
    bare = filled(twin, plain)
    assert not bare["ohm"][..., 2].any()
    assert np.all(bare["tau_s"][..., 2] == 1.0)
    assert not bare["docv_dt_v_per_k"].any()


def judge_grid(twin: Any) -> None:
    """The cell's tables on the rows of temperature: Arrhenius for R and tau, straight lines for the rest, held outside."""
    t, of = filled(twin), warm_cell()
    within = np.clip(ROWS_DEGC, DEGC[0], DEGC[-1])
    inverse, wanted = 1.0 / (DEGC + 273.15), 1.0 / (within + 273.15)
    for k, (ohm, tau) in enumerate(((of.r1_ohm, of.tau1_s), (of.r2_ohm, of.tau2_s), (of.r3_ohm, of.tau3_s))):
        for j in (0, 4, 10):
            for grid, got, scale in ((ohm, t["ohm"], PARALLEL), (tau, t["tau_s"], 1)):
                law = np.exp(np.interp(-wanted, -inverse, np.log(np.asarray(grid)[:, j] / scale)))
                assert np.allclose(got[:, j, k], law, rtol=1e-12, atol=0.0)
    r0 = np.exp(np.interp(-wanted, -inverse, np.log(of.r0_ohm[:, 7] / PARALLEL)))
    assert np.allclose(t["at"][:, 7, 0], r0, rtol=1e-12, atol=0.0)
    assert np.allclose(t["at"][:, 3, 7], np.interp(within, DEGC, of.hysteresis.m_v[:, 3]), rtol=1e-12, atol=0.0)
    assert np.allclose(t["ocv_v"][:, 60], np.interp(within, DEGC, of.ocv_v[:, 60]), rtol=1e-12, atol=0.0)
    for column, values in enumerate((of.hysteresis.m0_v, of.hysteresis.gamma, of.coulombic_efficiency)):
        assert np.allclose(t["of_degc"][:, column], np.interp(within, DEGC, values), rtol=1e-12, atol=0.0)
    one = SimpleNamespace(**{**vars(of), "temperatures_degc": (25.0,), "ocv_v": of.ocv_v[1:2]})
    for name in ("r0_ohm", "r1_ohm", "tau1_s", "r2_ohm", "tau2_s", "r3_ohm", "tau3_s"):
        setattr(one, name, np.asarray(getattr(of, name))[1:2])
    one.hysteresis = SimpleNamespace(m_v=of.hysteresis.m_v[1:2], gamma=(50.0,), m0_v=(0.004,))
    one.coulombic_efficiency = (0.95,)
    alone = filled(twin, one)
    assert np.all(alone["ocv_v"][:, :201] == of.ocv_v[1])
    assert np.allclose(alone["at"][:, 5, 0], of.r0_ohm[1, 5] / PARALLEL, rtol=1e-12, atol=0.0)


def judge_coefficients(twin: Any) -> None:
    """Decay and gain of a step from the closed form, also after another step length was asked for."""
    t = filled(twin)
    for dt_s in (DT_S, 7.0):
        twin.tables.tabulate(t, dt_s)
        assert t["dt_s"] == dt_s
        for k in range(3):
            decay = 1.0 / np.exp(dt_s / t["tau_s"][:, :11, k])
            assert np.allclose(t["at"][:, :11, 2 + 2 * k], decay, rtol=1e-12, atol=0.0)
            assert np.allclose(t["at"][:, :11, 1 + 2 * k], t["ohm"][:, :11, k] * (1.0 - decay), rtol=1e-9, atol=0.0)


def judge_longest_step(twin: Any) -> None:
    """600 J/K over 2 x 1.5 + 4 W/K is 85.7 s, half of which is too long; a chain without conductances takes any."""
    t = filled(twin)
    twin.tables.tabulate(t, 42.8)
    for dt_s in (42.9, 0.0, -1.0):
        with pytest.raises(ValueError, match=r"more than 0 s and less than 42\.86 s"):
            twin.tables.tabulate(t, dt_s)
    with pytest.raises(ValueError, match=r"42\.86"):
        twin.tables.tabulate(t, 600.0 / 7.0 * 0.5)
    filled(twin, dt_s=1e6, thermal=(0.0, 0.0))
    with pytest.raises(ValueError, match="less than inf s"):
        filled(twin, dt_s=0.0, thermal=(0.0, 0.0))


def judge_stops(twin: Any) -> None:
    """The stops' ends lie on 2 (1 - exp(-x)) up to x = 4 in eight equal rises, their sum is one."""
    rate, weight = twin.tables.stop_stack()
    assert rate.shape == weight.shape == (8,)
    assert abs(weight.sum() - 1.0) < 1e-12
    ends = 2.0 / rate
    assert np.allclose(1.0 - np.exp(-ends), np.arange(1, 9) / 8.0 * (1.0 - np.exp(-4.0)), rtol=1e-12)
    moved = np.concatenate(([0.0], ends))
    branch = (weight * np.minimum(rate * moved[:, None], 2.0)).sum(axis=1)
    goal = 2.0 * (1.0 - np.exp(-moved)) / (1.0 - np.exp(-4.0))
    assert np.allclose(branch, goal * branch[-1] / goal[-1], atol=1e-12)


def bumpy(t: Any) -> Any:
    """The tables with no row and no knot in line with the next, and nothing beyond the last knot."""
    t["at"][:, :11] *= np.random.default_rng(8).uniform(0.9, 1.1, t["at"][:, :11].shape)
    t["at"][:, 11:] = np.nan
    return t


class Oracle:
    """One step of many cells by numpy: tables by scipy, every cell at once, nothing in blocks."""

    def __init__(self, t: Any) -> None:
        self.t = t
        at = t["at"][:, :11]
        self.at = [RegularGridInterpolator((ROWS_DEGC, KNOTS), at[..., j]) for j in range(8)]
        self.of_degc = [lambda y, j=j: np.interp(y, ROWS_DEGC, t["of_degc"][:, j]) for j in range(3)]

    def look(self, x: dict[str, np.ndarray]) -> None:
        degc = np.clip(x["degc"], -40.0, 87.5)
        here = np.column_stack((degc, np.clip(x["soc"], 0.0, 1.0)))
        self.degc = degc
        self.r0, self.m = self.at[0](here), self.at[7](here)
        self.gain, self.decay = (
            [self.at[1 + 2 * k](here) for k in range(3)],
            [self.at[2 + 2 * k](here) for k in range(3)],
        )
        self.m0, self.gamma, self.eta = (f(degc) for f in self.of_degc)

    def step(
        self, x: dict[str, np.ndarray], flowed: float, now: float, sign: float, coolant: float, fresh: bool = True
    ) -> None:
        if fresh:
            self.look(x)
        flow = flowed + x["aside"]
        moved = np.where(flow < 0.0, self.eta, 1.0) * flow * self.t["dt_s"] * x["per_c"]
        for k in range(3):
            x["v"][k] = self.decay[k] * x["v"][k] + self.gain[k] * x["growth"] * flow
        x["soc"] = np.clip(x["soc"] - moved, -0.1, 1.1)
        for k in range(8):
            x["stop"][k] = np.clip(x["stop"][k] - moved * self.gamma * self.t["stop_rate"][k], -1.0, 1.0)
        heat = self.read(x, now, sign)
        between = self.t["between_w_per_k"] * np.diff(x["degc"])
        to = np.concatenate((between, [0.0])) - np.concatenate(([0.0], between))
        kept = heat + to - self.t["coolant_w_per_k"] * (x["degc"] - coolant)
        x["degc"] = x["degc"] + self.t["dt_s"] * kept / self.t["heat_j_per_k"]

    def read(self, x: dict[str, np.ndarray], now: float, sign: float) -> np.ndarray:
        """Voltage and slope into ``x``; the heat is returned."""
        row = np.clip(np.floor((self.degc + 40.0) / 2.5), 0, 50).astype(int)
        share = (self.degc + 40.0) / 2.5 - row
        table = (1.0 - share)[:, None] * self.t["ocv_v"][row, :201] + share[:, None] * self.t["ocv_v"][row + 1, :201]
        point = np.clip(np.floor(x["soc"] * 200.0), 0, 199).astype(int)
        n = np.arange(point.size)
        x["slope"] = (table[n, point + 1] - table[n, point]) * 200.0
        ocv = table[n, point] + (x["soc"] - point / 200.0) * x["slope"]
        flow = now + x["aside"]
        lag = self.m * (self.t["stop_weight"][:, None] * x["stop"]).sum(axis=0) - self.m0 * sign
        over = self.r0 * x["growth"] * flow + x["v"].sum(axis=0)
        x["voltage"] = ocv + lag - over
        entropy = self.t["docv_dt_v_per_k"][point]
        return np.asarray(flow * (over - lag) - flow * (x["degc"] + 273.15) * entropy)


def some_cells(n: int, seed: int) -> dict[str, np.ndarray]:
    """Cells in the middle of anything, some far outside the tables."""
    rng = np.random.default_rng(seed)
    x = {
        "soc": rng.uniform(-0.08, 1.08, n),
        "v": rng.normal(0.0, 0.02, (3, n)),
        "degc": rng.uniform(-50.0, 100.0, n),
        "stop": rng.uniform(-1.0, 1.0, (8, n)),
        "aside": rng.choice([0.0, 0.1, -30.0], n),
        "per_c": rng.uniform(0.9, 1.1, n) / CAPACITY_C,
        "growth": rng.uniform(0.8, 1.5, n),
        "voltage": np.zeros(n),
        "slope": np.zeros(n),
    }
    edges = np.array([0.0, 1.0, -0.1, 1.1, 0.5, 0.995])
    x["soc"][: min(n, 6)] = edges[: min(n, 6)]
    x["degc"][: min(n, 3)] = np.array([87.5, -40.0, 25.0])[: min(n, 3)]
    return x


NAMES = ("soc", "degc", "aside", "per_c", "growth", "voltage", "slope")


def packed(twin: Any, x: dict[str, np.ndarray]) -> np.ndarray:
    """The cells as the kernel has them."""
    c, n = twin.cells, x["soc"].size
    out = np.zeros((-(-n // 96), c.CELL_ROWS, 96))
    rows = (c.SOC, c.DEGC, c.ASIDE_A, c.PER_COULOMB, c.GROWTH, c.VOLTAGE, c.SLOPE)
    at = np.arange(n)
    for row, name in zip(rows, NAMES, strict=True):
        out[at // 96, row, at % 96] = x[name]
    for k in range(3):
        out[at // 96, c.V1 + k, at % 96] = x["v"][k]
    for k in range(8):
        out[at // 96, c.STOP + k, at % 96] = x["stop"][k]
    return out


def agree(twin: Any, made: np.ndarray, x: dict[str, np.ndarray]) -> None:
    want = packed(twin, x)
    n = x["soc"].size
    at = np.arange(n)
    assert np.allclose(made[at // 96, :, at % 96], want[at // 96, :, at % 96], rtol=1e-9, atol=1e-12)
    rest = np.arange(n, want.shape[0] * 96)
    assert not made[rest // 96, :, rest % 96].any(), "no cell beyond the last is touched"


def judge_steps(twin: Any) -> None:
    """Steps of one, of seven and of up to three blocks of cells, both ways of the current."""
    t = bumpy(filled(twin))
    plain = as_object(t)
    for n, seed, sign in ((1, 1, 1.0), (7, 2, -1.0), (96, 4, 1.0), (98, 3, 0.0), (200, 5, 1.0)):
        x = some_cells(n, seed)
        oracle, made = Oracle(t), packed(twin, x)
        scratch = np.full((1, twin.cells.SCRATCH_ROWS, 96), 7.0)
        for flowed, now in ((20.0, -35.0), (-35.0, 4.0), (0.6, 0.0))[: 3 if n < 90 else 1]:
            oracle.step(x, flowed, now, sign, 31.0)
            twin.cells.step(plain, made, scratch, n, flowed, now, sign, 31.0, True)
            agree(twin, made, x)


def judge_aged(twin: Any) -> None:
    """A step that is not fresh takes the coefficients of the last one that was, each block its own."""
    t = bumpy(filled(twin))
    for n, seed in ((5, 6), (98, 7)):
        x = some_cells(n, seed)
        oracle, made = Oracle(t), packed(twin, x)
        scratch = np.full((-(-n // 96), twin.cells.SCRATCH_ROWS, 96), 7.0)
        for fresh in (True, False, False, True):
            x["degc"] = x["degc"] + 3.0
            x["soc"] = np.clip(x["soc"] + 0.03, 0.0, 1.0)
            at = np.arange(n)
            made[at // 96, twin.cells.DEGC, at % 96], made[at // 96, twin.cells.SOC, at % 96] = x["degc"], x["soc"]
            oracle.step(x, 30.0, -10.0, 1.0, 31.0, fresh)
            twin.cells.step(as_object(t), made, scratch, n, 30.0, -10.0, 1.0, 31.0, fresh)
            agree(twin, made, x)
    x = some_cells(98, 8)
    oracle, made, scratch = Oracle(t), packed(twin, x), np.zeros((2, twin.cells.SCRATCH_ROWS, 96))
    oracle.look(x)
    oracle.read(x, 12.0, 1.0)
    twin.cells.read(as_object(t), made, scratch, 98, 12.0, 1.0)
    x["degc"] = x["degc"] + 5.0
    made[np.arange(98) // 96, twin.cells.DEGC, np.arange(98) % 96] = x["degc"]
    oracle.step(x, 9.0, -4.0, 1.0, 31.0, False)
    twin.cells.step(as_object(t), made, scratch, 98, 9.0, -4.0, 1.0, 31.0, False)
    agree(twin, made, x)


def judge_read(twin: Any) -> None:
    """Reading moves nothing."""
    t = bumpy(filled(twin))
    for n, seed in ((3, 4), (98, 5)):
        x = some_cells(n, seed)
        made = packed(twin, x)
        oracle = Oracle(t)
        oracle.look(x)
        oracle.read(x, 12.0, 1.0)
        twin.cells.read(as_object(t), made, np.full((1, twin.cells.SCRATCH_ROWS, 96), 7.0), n, 12.0, 1.0)
        agree(twin, made, x)


JUDGES = (
    judge_numbers,
    judge_stops,
    judge_longest_step,
    judge_coefficients,
    judge_grid,
    judge_read,
    judge_aged,
    judge_steps,
)
