"""Variable projection: bounded linear least squares inside for the tables, time constants and gamma outside.

Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413: given the parameters that the model is not linear in, the best of the
others follow; only the former are searched. They are shared by all temperatures, so that tables made at different
temperatures mean the same and can be interpolated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from scipy.optimize import least_squares, lsq_linear

from hil.analysis.fit.data import Bools, Floats, Ints
from hil.analysis.fit.model import Drive, Shape, Terms, hats

TAUS_S = ((1.0, 60.0), (30.0, 600.0), (300.0, 7200.0))  # first, second, third pair; the last is the diffusion-like one
STARTS_S = (8.0, 120.0, 1500.0)
GAMMA = (2.0, 200.0)  # below 2 the hysteresis of a full sweep never saturates
GAMMA_START = 12.0
GAMMA_BESIDE = (0.6, 0.77, 1.3, 1.7)  # times what was found: the pieces of the hysteresis make shallow local minima
OCV_KNOTS = 41
OCV_ERROR_V = 0.003  # a correction of the OCV of one sigma everywhere costs as much as this error everywhere
OUTER_SAMPLES = 6000  # of each temperature while the shape is searched
FINAL_SAMPLES = 60_000


@dataclass(frozen=True)
class FitOptions:
    """How to fit.

    `pairs` RC pairs (1 to 3), `knots` of SoC; `ocv_sigma_v` is the standard deviation that a correction of the OCV is given
    (0: the OCV is taken as measured). A bend of the tables over one knot costs `smoothing` of the voltage it makes at the
    rms current, a slope `flatness`, which decides only where the data are silent. `m_full_v` bounds the hysteresis of a full
    cell, `m_v` that of a cell whose OCV branches were not measured apart. `taus_s` are the time constants, when given.
    """

    pairs: int = 3
    knots: int = 11
    ocv_sigma_v: float = 0.0
    smoothing: float = 0.05
    flatness: float = 0.005
    m_full_v: float = 0.009
    m_v: float = 0.015
    taus_s: tuple[float, ...] | None = None

    @property
    def rows(self) -> int:
        """Tables: R0, one for each pair, M."""
        return self.pairs + 2


@dataclass(frozen=True)
class Bounds:
    """Least and greatest tables, each of shape (pairs + 2, K): rows R0, R1, R2, (R3) in ohm and M in V."""

    least: Floats
    greatest: Floats

    def arrays(self, free: int) -> tuple[Floats, Floats]:
        """(lower, upper) in the order of the columns, never closed to a point; then `free` unbounded ones."""
        above = np.maximum(self.greatest, self.least + 1e-6)
        open_end = np.full(free, np.inf)
        return np.append(self.least.ravel(), -open_end), np.append(above.ravel(), open_end)


@dataclass(frozen=True)
class Linear:
    """The linear problem of one temperature solved: `parameters` (tables by rows, then the OCV correction), the
    weighted `matrix` and `error_v` it came from, the penalty rows `extra`, which samples of which drive, and which
    parameters stand at a bound."""

    parameters: Floats
    matrix: Floats
    error_v: Floats
    extra: Floats
    picks: tuple[Ints, ...]
    held: Bools

    def residuals(self) -> Floats:
        """Weighted errors in V, then those of the penalty."""
        return np.concatenate((self.error_v - self.matrix @ self.parameters, -self.extra @ self.parameters))


def penalty(options: FitOptions, rms_current_a: float, samples: int) -> Floats:
    """Rows that pull each table towards straight and, weakly, flat, and the OCV's correction to zero; in V."""
    eye = np.eye(options.knots)
    one = np.vstack(
        (options.smoothing * np.diff(eye, 2, axis=0), options.flatness * np.diff(eye, 1, axis=0))
    ) * np.sqrt(samples)
    tables = np.kron(np.diag([rms_current_a] * (options.pairs + 1) + [1.0]), one)
    if not options.ocv_sigma_v:
        return tables
    fine = np.eye(OCV_KNOTS)
    scale = OCV_ERROR_V / options.ocv_sigma_v * np.sqrt(samples / OCV_KNOTS)
    correction = np.vstack((fine, 2.0 * np.diff(fine, 2, axis=0))) * scale
    out = np.zeros((tables.shape[0] + correction.shape[0], tables.shape[1] + OCV_KNOTS))
    out[: tables.shape[0], : tables.shape[1]] = tables
    out[tables.shape[0] :, tables.shape[1] :] = correction
    return out


def pick(drives: Sequence[Drive], most: int) -> tuple[Ints, ...]:
    """Indices of the samples of each drive that are looked at, evenly thinned to about `most` in all."""
    used = [np.flatnonzero(d.used) for d in drives]
    stride = max(1, -(-sum(u.size for u in used) // most))
    return tuple(u[::stride] for u in used)


def fit_given(terms: Sequence[Terms], shape: Shape, options: FitOptions, bounds: Bounds) -> Linear:
    """The best tables of one temperature for a shape."""
    matrices: list[Floats] = []
    errors: list[Floats] = []
    currents: list[Floats] = []
    for one in terms:
        d, matrix = one.drive, one.matrix(shape)
        if options.ocv_sigma_v:
            matrix = np.hstack((matrix, hats(d.soc[one.at], OCV_KNOTS).T))
        matrices.append(d.weight * matrix)
        errors.append(d.weight * (d.voltage_v - d.ocv_v)[one.at])
        currents.append(d.weight * d.current_a[one.at])
    matrix, error_v, current_a = np.vstack(matrices), np.concatenate(errors), np.concatenate(currents)
    extra = penalty(options, float(np.sqrt(np.mean(current_a**2))), error_v.size)
    stacked = np.vstack((np.column_stack((matrix, error_v)), np.column_stack((extra, np.zeros(extra.shape[0])))))
    triangle: Floats = np.asarray(np.linalg.qr(stacked, mode="r"))
    free = OCV_KNOTS if options.ocv_sigma_v else 0
    found = lsq_linear(triangle[:, :-1], triangle[:, -1], bounds=bounds.arrays(free), method="bvls")
    held = np.asarray(found.active_mask) != 0
    return Linear(np.asarray(found.x), matrix, error_v, extra, tuple(one.at for one in terms), held)


def shape_of(log_shape: Floats) -> Shape:
    """The shape whose logarithms are `log_shape`: time constants, then gamma."""
    values = np.exp(log_shape).tolist()
    return Shape(tuple(values[:-1]), values[-1])


def search_shape(
    residuals: Callable[[Shape], Floats], options: FitOptions, progress: Callable[[float], None] = lambda share: None
) -> Shape:
    """The shape with the least sum of squares of `residuals`, within TAUS_S and GAMMA."""
    limits = np.log(np.array([*TAUS_S[: options.pairs], GAMMA]))
    begin = np.log(np.array([*STARTS_S[: options.pairs], GAMMA_START]))
    if options.taus_s is not None:
        begin[:-1] = np.log(options.taus_s)
        limits[:-1] = begin[:-1, None] + np.array([-1e-6, 1e-6])
    evaluations = count(1)

    def errors(log_shape: Floats) -> Floats:
        progress(1.0 - 1.0 / (1.0 + next(evaluations) / 25.0))
        return residuals(shape_of(log_shape))

    def settled(start: Floats) -> Floats:
        found = least_squares(
            errors,
            start,
            bounds=(limits[:, 0], limits[:, 1]),
            diff_step=[5e-3],
            ftol=1e-6,
            xtol=1e-4,
            gtol=None,
            max_nfev=30,
        )
        return np.asarray(found.x, dtype=np.float64)

    first = settled(begin)
    beside = [np.append(first[:-1], np.clip(first[-1] + np.log(f), *limits[-1])) for f in (1.0, *GAMMA_BESIDE)]
    best = min(beside, key=lambda at: float(np.sum(errors(at) ** 2)))
    return shape_of(first if best is beside[0] else settled(best))
