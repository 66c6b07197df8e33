"""Ridge regression on standardised features, its strength by cross-validation, and jackknife+ intervals.

Everything is deterministic: folds come from a hash whose values numpy promises to keep.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRENGTHS = tuple(float(x) for x in 10.0 ** np.arange(-3.0, 0.01, 0.25))
REPEATS, FOLDS, SEED = 20, 5, 1
STEADY = 1e-9
"""Below this share of its mean the spread of a feature is rounding."""


@dataclass(frozen=True, slots=True)
class Linear:
    """``intercept + sum weight (x - mean) / scale``, all (features,)."""

    intercept: float
    weight: Floats
    mean: Floats
    scale: Floats

    def at(self, x: Floats) -> Floats:
        """The prediction for each row of ``x``, (cells, features)."""
        return np.asarray(self.intercept + ((x - self.mean) / self.scale) @ self.weight)


def _standard(x: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature; 1 for one that does not change, so that it gets no weight."""
    mean, scale = x.mean(axis=0), x.std(axis=0)
    return mean, np.where(scale > STEADY * (1.0 + np.abs(mean)), scale, 1.0)


def fit(x: Floats, y: Floats, strength: float) -> Linear:
    """Least squares plus ``strength`` times the number of cells times the squared weights; the intercept is free."""
    mean, scale = _standard(x)
    z = (x - mean) / scale
    normal = z.T @ z + strength * len(y) * np.eye(x.shape[1])
    return Linear(float(y.mean()), np.linalg.solve(normal, z.T @ (y - y.mean())), mean, scale)


def choose_strength(x: Floats, y: Floats) -> tuple[float, float]:
    """The strength and its error: the greatest that is, within one standard error, as good as the best.

    The error is the root of the mean square of 10^prediction - 10^y (cycles, for y = log10 life), by repeated
    cross-validation; the standard error that of the difference between the two strengths over cells. Of two models
    that cannot be told apart the more cautious one is taken (Breiman et al., Classification and Regression Trees
    (1984), sec. 3.4.3).
    """
    squared = _squared_errors(x, y)
    best = int(squared.mean(axis=1).argmin())
    taken = best
    for k in range(best, len(STRENGTHS)):
        worse = squared[k] - squared[best]
        if worse.mean() <= worse.std(ddof=1) / math.sqrt(len(y)):
            taken = k
    return STRENGTHS[taken], math.sqrt(squared[taken].mean())


def _squared_errors(x: Floats, y: Floats) -> Floats:
    """Mean over the repeats of the squared error of each cell, predicted without its fold; (STRENGTHS, cells)."""
    total = np.zeros((len(STRENGTHS), len(y)))
    for repeat in range(REPEATS):
        order = np.argsort(np.random.SeedSequence((SEED, repeat)).generate_state(len(y), np.uint64), kind="stable")
        for fold in range(FOLDS):
            out = order[fold::FOLDS]
            kept = np.setdiff1d(order, out)
            total[:, out] += (10.0 ** _by_strength(x[kept], y[kept], x[out]) - 10.0 ** y[out]) ** 2
    return total / REPEATS


def _by_strength(x: Floats, y: Floats, at: Floats) -> Floats:
    """What ``fit`` predicts at ``at`` with each strength, (STRENGTHS, cells): one decomposition serves them all."""
    mean, scale = _standard(x)
    z = (x - mean) / scale
    values, vectors = np.linalg.eigh(z.T @ z)
    along = vectors.T @ (z.T @ (y - y.mean()))
    shrunk = along / (np.maximum(values, 0.0) + np.array(STRENGTHS)[:, None] * len(y))
    return np.asarray(y.mean() + shrunk @ (((at - mean) / scale) @ vectors).T)


def most_level(cells: int) -> float:
    """The highest level for which the jackknife+ interval of so many cells is finite."""
    return (cells - 1.0) / (cells + 1.0)


def jackknife_plus(without: Floats, residuals: Floats, level: float) -> tuple[Floats, Floats]:
    """The interval of Barber, Candes, Ramdas, Tibshirani (Ann. Statist. 49 (2021) 486), two-sided with equal tails.

    ``without`` (cells trained on, cells predicted) is what the model without each training cell predicts,
    ``residuals`` that cell's ``y`` minus what the same model predicts for it. Each side leaves out (1 - level) / 2, so
    a skew of the errors stays on its side. Guaranteed whatever the distribution, as long as cells are exchangeable:
    coverage of at least 1 - 2 (1 - level), and about ``level`` in practice. Both sides are +-inf above ``most_level``.
    """
    n, tail = len(residuals), (1.0 - level) / 2.0
    ends = np.sort(without + residuals[:, None], axis=0)
    k = math.floor(tail * (n + 1) + 1e-9)
    if k < 1:
        infinite = np.full(without.shape[1], np.inf)
        return -infinite, infinite
    return ends[k - 1], ends[n - k]
