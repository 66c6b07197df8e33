"""What the twin's tests share: a small cell, a row to drive the twin by, and a second, independent simulation of it.

The simulation integrates the differential equations in small midpoint steps, reads tables with numpy and scipy, and
makes hysteresis of play operators; the twin solves exactly from sample to sample. They share the numbers of ``cell()``
and nothing else.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from hil.image import Table, table
from hil.kernel import zeros
from hil.tick import COLUMNS
from hil.twin import cells
from hil.twin import step as twin

SERIES, PARALLEL, SENSORS = 5, 2, (3, 1)
CAPACITY_C = 10.0 * 3600.0 * PARALLEL
KNOTS = np.linspace(0.0, 1.0, 11)
GRID = np.linspace(0.0, 1.0, 201)
DEGC = np.array([5.0, 25.0, 45.0])


def cell() -> SimpleNamespace:
    """A cell with a sloped OCV and everything different at every temperature and knot; it hardly warms by itself."""
    ocv = [3.0 + 0.5 * GRID + 0.04 * np.sin(6.0 * GRID) - 0.0006 * (45.0 - t) * (1.0 - GRID) for t in DEGC]
    fall = np.exp(-0.02 * (DEGC - 25.0))[:, None]
    return SimpleNamespace(
        capacity_ah=10.0,
        heat_capacity_j_per_k=1e9,
        surface_heat_transfer_w_per_k=1.0,
        temperatures_degc=tuple(DEGC),
        soc=tuple(GRID),
        soc_knots=tuple(KNOTS),
        ocv_v=np.array(ocv),
        r0_ohm=0.012 * fall * (1.3 - 0.3 * KNOTS),
        r1_ohm=0.008 * fall * (1.2 - 0.2 * KNOTS),
        tau1_s=8.0 + 3.0 * KNOTS + 0.1 * DEGC[:, None],
        r2_ohm=0.006 * fall * (1.0 + 0.2 * KNOTS),
        tau2_s=60.0 - 10.0 * KNOTS + 0.2 * DEGC[:, None],
        r3_ohm=0.004 * fall * (1.0 + 0.4 * KNOTS),
        tau3_s=400.0 - 80.0 * KNOTS + 1.0 * DEGC[:, None],
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
        dt_s: float = 1.0,
    ) -> None:
        self.stage = stage
        self.table: Table = table(series, len(sensors))
        fixed = stage.from_cell(of or cell(), parallel, sensors, self.table, round(dt_s * 1e9))
        self.fixed, self.states, self.as_record = fixed, zeros(stage.TwinState), as_record
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

    def cell_row(self, row: int, c: int = 0) -> float:
        """A row of a group's state (see ``hil.twin.cells``)."""
        rows = np.asarray(self.states)["pack"]["rows"][0]
        return float(rows[c // cells.BLOCK, row, c % cells.BLOCK])

    def soc(self) -> float:
        return float(self.columns("twin.soc")[0])

    def sigma(self) -> float:
        return float(self.columns("twin.soc_sigma")[0])


class Plays:
    """Play operators (Krejci 1996): the OCV branch as a sum of backlashes, for any number of cells.

    A backlash of half width r lags behind x by at most r; x less it, over r, is the matching stop.
    """

    def __init__(self, cells: int, count: int = 8, reach: float = 4.0) -> None:
        ends = -np.log(np.linspace(1.0, np.exp(-reach), count + 1))[1:]
        branch = 2.0 * (1.0 - np.exp(-np.concatenate(([0.0], ends))))
        slopes = np.append(np.diff(branch) / np.diff(np.concatenate(([0.0], ends))), 0.0)
        weights = -np.diff(slopes) * ends / 2.0
        self.half, self.weights = (ends / 2.0)[:, None], (weights / weights.sum())[:, None]
        self.x, self.lag = np.zeros(cells), np.zeros((count, cells))

    def move(self, dx: np.ndarray) -> None:
        """Move by ``dx``, one value per cell."""
        self.x = self.x + dx
        self.lag = np.maximum(self.x - self.half, np.minimum(self.x + self.half, self.lag))

    def h(self) -> np.ndarray:
        return np.asarray((self.weights * (self.x - self.lag) / self.half).sum(axis=0))


class Simulation:
    """The independent one: every group by itself, small explicit midpoint steps."""

    def __init__(
        self,
        soc: float,
        of: Any = None,
        sensors: tuple[int, ...] = SENSORS,
        series: int = SERIES,
        parallel: int = PARALLEL,
    ) -> None:
        of = of or cell()
        degc, knots = np.asarray(of.temperatures_degc), np.asarray(of.soc_knots)
        self.degc, self.kelvin = degc, 1.0 / (degc + 273.15)
        self.ocv = RegularGridInterpolator((degc, np.asarray(of.soc)), np.asarray(of.ocv_v))
        law = lambda y: RegularGridInterpolator((-self.kelvin, knots), np.log(np.asarray(y)))  # noqa: E731
        numbers = [n for n in "123" if getattr(of, f"r{n}_ohm", None) is not None]
        self.ohm = [law(np.asarray(getattr(of, f"r{n}_ohm")) / parallel) for n in "0" + "".join(numbers)]
        self.tau = [law(getattr(of, f"tau{n}_s")) for n in numbers]
        self.m = RegularGridInterpolator((degc, knots), np.asarray(of.hysteresis.m_v))
        self.gamma, self.m0, self.eta = of.hysteresis.gamma, of.hysteresis.m0_v, of.coulombic_efficiency
        self.capacity_c, self.rest_a = of.capacity_ah * parallel * 3600.0, of.capacity_ah * parallel / 100.0
        self.socs, self.sign = np.full(series, soc), 0.0
        self.v = np.zeros((len(numbers), series))
        self.plays = Plays(series)
        self.sensors, self.series = sensors, series

    @property
    def soc(self) -> float:
        """Mean of the groups."""
        return float(np.mean(self.socs))

    def spread(self, degc: np.ndarray) -> np.ndarray:
        """Temperature of every group, within the tables."""
        order = np.argsort(self.sensors)
        at = np.interp(np.arange(self.series), np.asarray(self.sensors)[order], np.asarray(degc)[order])
        return np.clip(at, self.degc[0], self.degc[-1])

    def _value(self, law: Any, degc: np.ndarray) -> np.ndarray:
        inside = np.clip(self.socs, 0.0, 1.0)
        return np.exp(law(np.column_stack((-1.0 / (degc + 273.15), inside))))

    def flow(self, current_a: float, degc: np.ndarray, dt_s: float, parts: int = 20) -> None:
        """Let a current flow; ``degc`` per sensor."""
        small, at = dt_s / parts, self.spread(degc)
        for _ in range(parts):
            eta = np.interp(at, self.degc, self.eta) if current_a < 0.0 else np.ones(self.series)
            for k, tau in enumerate(self.tau):
                ohm_a, tau_s = self._value(self.ohm[k + 1], at) * current_a, self._value(tau, at)
                middle = self.v[k] + 0.5 * small * (ohm_a - self.v[k]) / tau_s
                self.v[k] = self.v[k] + small * (ohm_a - middle) / tau_s
            moved = -eta * current_a * small / self.capacity_c
            self.plays.move(np.interp(at, self.degc, self.gamma) * moved)
            self.socs = self.socs + moved

    def cells(self, current_a: float, degc: np.ndarray) -> np.ndarray:
        """Terminal voltages of the groups with a current flowing."""
        if abs(current_a) > self.rest_a:
            self.sign = float(np.sign(current_a))
        at = self.spread(degc)
        here = np.column_stack((at, self.socs))
        m0 = np.interp(at, self.degc, self.m0)
        lag = self.m(here) * self.plays.h() - m0 * self.sign
        return np.asarray(self.ocv(here) + lag - self._value(self.ohm[0], at) * current_a - self.v.sum(axis=0))
