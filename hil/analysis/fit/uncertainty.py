"""How well the parameters of a fit are known.

One standard deviation each, from the Jacobian J at the best fit p: sigma^2 = diag(B (sum_d s_d^2 tau_d J_d' J_d) B) + b^2,
with B the inverse of J'J + P'P, P the rows of the penalty, and b = B P'P p how far smoothing has pulled a parameter. s_d is the
RMS residual of test d and tau_d its autocorrelation time: residuals of neighbouring samples are alike, so n samples count as
n / tau_d. tau = 1 + 2 sum rho(k), cut by the automatic window of A. Sokal, Monte Carlo Methods in Statistical Mechanics
(Lausanne 1989), section 3. It is the uncertainty of the parameters given the model: what the model cannot say shows in the
held-out error instead. Bounds are left out of account: a parameter at its bound has no sigma, the others have that of a fit free
to move it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hil.analysis.fit.data import Floats
from hil.analysis.fit.fitting import Fitted
from hil.analysis.fit.model import Drive, Shape, columns

WINDOW_TIMES = 5.0  # Sokal: the sum is cut at five times what it has come to
STEP = 1e-3  # relative, of a time constant or gamma, for its column of the Jacobian


@dataclass(frozen=True)
class Sigmas:
    """One standard deviation of every parameter: `tables` like those of the fit by temperature, NaN where a parameter
    stands at its bound; relative ones of the time constants and of gamma. `times` are the autocorrelation times in
    samples by test."""

    tables: Mapping[float, Floats]
    taus: tuple[float, ...]
    gamma: float
    times: Mapping[str, float]


def correlation_time(residuals: Floats) -> float:
    """Autocorrelation time in samples, at least 1; 1 for fewer than 8 samples or none that vary."""
    e = residuals - residuals.mean()
    if e.size < 8 or not np.any(e):
        return 1.0
    size = 1 << (2 * e.size - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(e, size)) ** 2
    rho = np.fft.irfft(spectrum, size)[: e.size]
    sums = 2.0 * np.cumsum(rho / rho[0]) - 1.0
    enough = np.arange(e.size) >= WINDOW_TIMES * sums
    cut = int(np.argmax(enough)) if enough.any() else e.size - 1
    return float(max(sums[cut], 1.0))


def sigmas_of(fitted: Fitted) -> Sigmas:
    """The standard deviations of a fit's parameters."""
    count, shapes = fitted.options.rows * fitted.options.knots, len(fitted.shape.taus_s) + 1
    sizes = [row.linear.parameters.size for row in fitted.rows.values()]
    total = sum(sizes) + shapes
    normal, meat = np.zeros((total, total)), np.zeros((total, total))
    pull, held, times = np.zeros(total), np.zeros(total, dtype=np.bool_), dict[str, float]()
    first = 0
    for row, size in zip(fitted.rows.values(), sizes, strict=True):
        at = np.append(np.arange(first, first + size), np.arange(total - shapes, total))
        held[at[:size]] = row.linear.held
        smoothing = row.linear.extra.T @ row.linear.extra
        normal[np.ix_(at[:size], at[:size])] += smoothing
        pull[at[:size]] += smoothing @ row.linear.parameters
        begin = 0
        for drive, pick in zip(row.drives, row.linear.picks, strict=True):
            rows = slice(begin, begin + pick.size)
            begin += pick.size
            jacobian = np.hstack((row.linear.matrix[rows], _by_shape(fitted, drive, row.tables)[pick] * drive.weight))
            error_v = row.linear.error_v[rows] - row.linear.matrix[rows] @ row.linear.parameters
            times[drive.name] = correlation_time(error_v)
            square = jacobian.T @ jacobian
            normal[np.ix_(at, at)] += square
            meat[np.ix_(at, at)] += square * float(np.mean(error_v**2)) * times[drive.name]
        first += size
    bread = np.linalg.pinv(normal, hermitian=True)
    variance = np.einsum("ij,jk,ki->i", bread, meat, bread)
    sigma = np.sqrt(np.maximum(variance, 0.0) + (bread @ pull) ** 2)
    sigma[held] = np.nan
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    tables = {
        t: sigma[s : s + count].reshape(fitted.options.rows, -1) for t, s in zip(fitted.rows, starts, strict=True)
    }
    return Sigmas(tables, tuple(sigma[-shapes:-1].tolist()), float(sigma[-1]), times)


def _by_shape(fitted: Fitted, drive: Drive, tables: Floats) -> Floats:
    """d v / d ln of each time constant and of gamma along a drive, (n, pairs + 1)."""

    def model_v(shape: Shape) -> Floats:
        out: Floats = columns(drive, shape, fitted.options.knots, fitted.warm_slopes_k) @ tables.ravel()
        return out

    base = model_v(fitted.shape)
    taus = fitted.shape.taus_s
    moved = [
        replace(fitted.shape, taus_s=(*taus[:k], taus[k] * (1.0 + STEP), *taus[k + 1 :])) for k in range(len(taus))
    ]
    moved.append(replace(fitted.shape, gamma=fitted.shape.gamma * (1.0 + STEP)))
    return np.column_stack([(model_v(shape) - base) / STEP for shape in moved])
