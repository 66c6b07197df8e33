"""What the twin's tests share: a small cell, a row to drive the twin by, and a second, independent simulation of it.

The simulation integrates the differential equations in small midpoint steps and reads tables with numpy and scipy; the
twin solves them exactly from sample to sample. They share the numbers of ``cell()`` and nothing else.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from hil.image import Table, table
from hil.kernel import zeros
from hil.tick import COLUMNS
from hil.twin import step as twin

SERIES, PARALLEL, SENSORS = 5, 2, (3, 1)
CAPACITY_C = 10.0 * 3600.0 * PARALLEL
KNOTS = np.linspace(0.0, 1.0, 11)
GRID = np.linspace(0.0, 1.0, 201)
DEGC = np.array([5.0, 25.0, 45.0])


def cell() -> SimpleNamespace:
    """A cell with a sloped OCV and everything different at every temperature and knot."""
    ocv = [3.0 + 0.5 * GRID + 0.04 * np.sin(6.0 * GRID) - 0.0006 * (45.0 - t) * (1.0 - GRID) for t in DEGC]
    fall = np.exp(-0.02 * (DEGC - 25.0))[:, None]
    return SimpleNamespace(
        capacity_ah=10.0,
        temperatures_degc=tuple(DEGC),
        soc=tuple(GRID),
        soc_knots=tuple(KNOTS),
        ocv_v=np.array(ocv),
        r0_ohm=0.012 * fall * (1.3 - 0.3 * KNOTS),
        r1_ohm=0.008 * fall * (1.2 - 0.2 * KNOTS),
        tau1_s=8.0 + 3.0 * KNOTS + 0.1 * DEGC[:, None],
        r2_ohm=0.006 * fall * (1.0 + 0.2 * KNOTS),
        tau2_s=60.0 - 10.0 * KNOTS + 0.2 * DEGC[:, None],
        hysteresis=SimpleNamespace(
            m_v=0.02 * fall * (1.1 - 0.2 * KNOTS), gamma=(60.0, 50.0, 45.0), m0_v=(0.005, 0.004, 0.003)
        ),
        coulombic_efficiency=(0.93, 0.95, 0.97),
    )


class Drive:
    """A twin (compiled, or any module with the same functions) and the row it reads and writes."""

    def __init__(
        self,
        stage: Any = twin,
        of: Any = None,
        series: int = SERIES,
        sensors: tuple[int, ...] = SENSORS,
        parallel: int = PARALLEL,
        as_record: Any = lambda records: np.asarray(records)[0],
    ) -> None:
        self.stage = stage
        self.table: Table = table(series, len(sensors))
        fixed, states = stage.from_cell(of or cell(), parallel, sensors, self.table), zeros(stage.TwinState)
        self.fixed, self.states, self.as_record = fixed, states, as_record
        self.row = np.full(COLUMNS, np.nan)

    def start(self, soc: float, degc: float = 25.0) -> "Drive":
        self.stage.start(self.states, self.fixed, soc, degc)
        self.s, self.p = self.as_record(self.states), self.as_record(self.fixed)
        return self

    def columns(self, name: str) -> np.ndarray:
        """A view of a quantity in the row."""
        found = self.table.find(name)
        assert found is not None
        return self.row[found.start : found.start + found.count]

    def tick(self, t_s: float, current_a: float, cells_v: Any = np.nan, degc: Any = 25.0) -> np.ndarray:
        """One row measured at ``t_s``; returns the predicted cell voltages."""
        self.columns("measured.pack_current")[:] = current_a
        self.columns("measured.cell_voltage")[:] = cells_v
        self.columns("measured.temperature")[:] = degc
        self.stage.step(self.s, self.p, round(t_s * 1e9), self.row)
        return self.columns("twin.cell_voltage").copy()

    def soc(self) -> float:
        return float(self.columns("twin.soc")[0])

    def sigma(self) -> float:
        return float(self.columns("twin.soc_sigma")[0])


class Simulation:
    """The independent one: SoC of the pack, the rest per temperature sensor, small explicit midpoint steps."""

    def __init__(
        self,
        soc: float,
        of: SimpleNamespace | None = None,
        sensors: tuple[int, ...] = SENSORS,
        series: int = SERIES,
        parallel: int = PARALLEL,
    ) -> None:
        of = of or cell()
        degc, knots = np.asarray(of.temperatures_degc), np.asarray(of.soc_knots)
        grid = lambda x, y: RegularGridInterpolator((degc, x), np.asarray(y))  # noqa: E731  # one line, used once or twice below
        self.ocv = grid(np.asarray(of.soc), of.ocv_v)
        self.ohm = [grid(knots, np.asarray(r) / parallel) for r in (of.r0_ohm, of.r1_ohm, of.r2_ohm)]
        self.tau = [grid(knots, t) for t in (of.tau1_s, of.tau2_s)]
        self.m = grid(knots, of.hysteresis.m_v)
        self.degc = degc
        self.gamma, self.m0, self.eta = of.hysteresis.gamma, of.hysteresis.m0_v, of.coulombic_efficiency
        self.capacity_c, self.rest_a = of.capacity_ah * parallel * 3600.0, of.capacity_ah * parallel / 100.0
        self.soc, self.sign = soc, 0.0
        self.v = np.zeros((2, len(sensors)))
        self.h = np.zeros(len(sensors))
        self.sensors, self.series = sensors, series

    def flow(self, current_a: float, degc: np.ndarray, dt_s: float, parts: int = 20) -> None:
        """Let a current flow."""
        small = dt_s / parts
        for _ in range(parts):
            at = np.array([(t, self.soc) for t in degc])
            eta = np.interp(degc, self.degc, self.eta) if current_a < 0.0 else np.ones(len(degc))
            pack_eta = np.interp(np.mean(degc), self.degc, self.eta) if current_a < 0.0 else 1.0
            for k in (0, 1):

                def rate(v: np.ndarray, k: int = k, at: np.ndarray = at) -> np.ndarray:
                    return (self.ohm[k + 1](at) * current_a - v) / self.tau[k](at)

                self.v[k] = self.v[k] + small * rate(self.v[k] + 0.5 * small * rate(self.v[k]))
            per_s = np.interp(degc, self.degc, self.gamma) * eta * abs(current_a) / self.capacity_c
            goal = -np.sign(current_a)
            middle = self.h + 0.5 * small * per_s * (goal - self.h)
            self.h = self.h + small * per_s * (goal - middle)
            self.soc -= pack_eta * current_a * small / self.capacity_c

    def cells(self, current_a: float, degc: np.ndarray) -> np.ndarray:
        """Terminal voltages of the groups with a current flowing."""
        if abs(current_a) > self.rest_a:
            self.sign = float(np.sign(current_a))
        at = np.array([(t, self.soc) for t in degc])
        m0 = np.interp(degc, self.degc, self.m0)
        zone = self.ocv(at) + self.m(at) * self.h - m0 * self.sign - self.ohm[0](at) * current_a - self.v.sum(axis=0)
        order = np.argsort(self.sensors)
        return np.interp(np.arange(self.series), np.asarray(self.sensors)[order], zone[order])
