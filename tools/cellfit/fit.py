"""Fits the model of `model.py` to tests: bounded linear least squares inside, tau1, tau2 and gamma outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, lsq_linear

from .data import Floats
from .model import Drive, Shape, columns, loop_state, window

TAU1_S = (1.0, 60.0)
TAU2_S = (60.0, 600.0)  # slower, and the slow mode takes the place of the hysteresis
GAMMA = (2.0, 200.0)  # below 2 the hysteresis of a full sweep never saturates
STARTS = ((8.0, 150.0, 15.0), (20.0, 480.0, 30.0), (10.0, 300.0, 5.0))
SMOOTHING = 0.05  # a bend of the tables over one knot costs this much of the voltage it makes at the rms current
FLATNESS = 0.005  # likewise for a slope; decides only where the data are silent


@dataclass(frozen=True)
class Bounds:
    """Least and greatest tables, each of shape (4, K): rows R0, R1, R2 in ohm and M in V."""

    least: Floats
    greatest: Floats

    def arrays(self) -> tuple[Floats, Floats]:
        """(lower, upper) in the order of the columns of `model.columns`, never closed to a point."""
        return self.least.ravel(), np.maximum(self.greatest, self.least + 1e-6).ravel()


@dataclass(frozen=True)
class Part:
    """A test in a fit, how much its errors count, and which samples are used (shape (n,))."""

    drive: Drive
    weight: float
    used: NDArray[np.bool_]


@dataclass(frozen=True)
class CellFit:
    """One temperature: `tables` (4, K) on the SoC `knots` (rows R0, R1, R2 in ohm, M in V) and the shape."""

    knots: Floats
    tables: Floats
    shape: Shape

    def rmse_v(
        self, drive: Drive, used: NDArray[np.bool_] | None = None, state: Callable[[Drive, float], Floats] = loop_state
    ) -> float:
        """RMS of measured less modelled voltage, V, over `used` (the window when None); `state` gives h."""
        chosen = window(drive) if used is None else used
        model_v = drive.ocv_v + columns(drive, self.shape, self.knots, state) @ self.tables.ravel()
        return float(np.sqrt(np.mean((drive.voltage_v - model_v)[chosen] ** 2)))


def part(drive: Drive, weight: float = 1.0, used: NDArray[np.bool_] | None = None) -> Part:
    """A test for the fit, by default over the whole window."""
    return Part(drive, weight, window(drive) if used is None else used)


def penalty(knots: int, rms_current_a: float, rows: int) -> Floats:
    """Rows that pull each of the four tables towards straight and, weakly, flat; scaled to volts over `rows` rows."""
    eye = np.eye(knots)
    bend = SMOOTHING * np.diff(eye, 2, axis=0)
    slope = FLATNESS * np.diff(eye, 1, axis=0)
    one = np.vstack((bend, slope)) * np.sqrt(rows)
    return np.kron(np.diag([rms_current_a, rms_current_a, rms_current_a, 1.0]), one)


def solve_linear(matrix: Floats, error_v: Floats, extra: Floats, bounds: Bounds) -> Floats:
    """Best parameters for `matrix` p = `error_v` under `bounds`, `extra` the penalty rows (towards zero)."""
    stacked = np.vstack((np.column_stack((matrix, error_v)), np.column_stack((extra, np.zeros(extra.shape[0])))))
    triangle: Floats = np.asarray(np.linalg.qr(stacked, mode="r"))
    return np.asarray(lsq_linear(triangle[:, :-1], triangle[:, -1], bounds=bounds.arrays(), method="bvls").x)


def fit_given(parts: list[Part], shape: Shape, knots: Floats, bounds: Bounds, stride: int) -> tuple[Floats, Floats]:
    """(parameters (4 K,), weighted residuals in V) with the shape fixed, over every `stride`-th used sample."""
    matrices: list[Floats] = []
    errors: list[Floats] = []
    currents: list[Floats] = []
    for p in parts:
        pick = np.flatnonzero(p.used)[::stride]
        matrices.append(p.weight * columns(p.drive, shape, knots)[pick])
        errors.append(p.weight * (p.drive.voltage_v - p.drive.ocv_v)[pick])
        currents.append(p.weight * p.drive.current_a[pick])
    matrix, error_v, current_a = np.vstack(matrices), np.concatenate(errors), np.concatenate(currents)
    extra = penalty(knots.size, float(np.sqrt(np.mean(current_a**2))), error_v.size)
    parameters = solve_linear(matrix, error_v, extra, bounds)
    return parameters, np.concatenate((error_v - matrix @ parameters, -extra @ parameters))


def shape_of(log_shape: Floats) -> Shape:
    """The shape whose logarithms are `log_shape`."""
    tau1_s, tau2_s, gamma = np.exp(log_shape)
    return Shape(float(tau1_s), float(tau2_s), float(gamma))


def fit_cell(
    parts: list[Part],
    knots: Floats,
    bounds: Bounds,
    stride: int = 9,
    starts: tuple[tuple[float, float, float], ...] = STARTS,
) -> CellFit:
    """Fit all parts together, the shape from several starts on thinned data, then the tables on all of it."""
    limits = np.log(np.array([TAU1_S, TAU2_S, GAMMA]))

    def residuals(log_shape: Floats) -> Floats:
        return fit_given(parts, shape_of(log_shape), knots, bounds, stride)[1]

    found = [
        least_squares(
            residuals,
            np.log(start),
            bounds=(limits[:, 0], limits[:, 1]),
            diff_step=[2e-3],
            ftol=1e-5,
            xtol=1e-4,
            max_nfev=40,
        )
        for start in starts
    ]
    shape = shape_of(min(found, key=lambda result: float(result.cost)).x)
    parameters, _ = fit_given(parts, shape, knots, bounds, 1)
    return CellFit(knots, parameters.reshape(4, knots.size), shape)
