"""Training a model of cycle life, and judging one on cells whose life is known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.analysis.rul.curves import Curves
from hil.analysis.rul.features import NAMES, features
from hil.analysis.rul.model import (
    AffineModel,
    LeftOutModel,
    LifePrediction,
    RangeModel,
    RulModel,
    TrainedErrorModel,
    TrainedOnModel,
    affine,
)
from hil.analysis.rul.ridge import choose_strength, fit, jackknife_plus
from hil.errors import InputError, Problem

LEAST_CELLS = 19
"""With fewer no interval of 90 % is finite."""
LEVEL = 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model file says of the cells it was trained on; words for people, see ``TrainedOnModel``."""

    cell: str
    source: str
    licence: str
    end_of_life: str


@dataclass(frozen=True, slots=True)
class Score:
    """How good predictions were: ``rmse_cycles``, ``mape`` (a share), ``covered`` of ``cells`` inside their interval.

    ``likely_low`` to ``likely_high`` is what ``covered`` is in 95 of 100 cases where the level is exact (binomial).
    """

    cells: int
    rmse_cycles: float
    mape: float
    covered: int
    level: float
    likely_low: int
    likely_high: int


def train(
    curves: Curves, nominal_ah: float, origin: Origin, on_progress: Callable[[float], None] = lambda share: None
) -> RulModel:
    """Train on cells whose life is known; the whole training is repeated without each cell, for intervals and errors.

    ``on_progress`` gets the share done, 0 to 1.

    Raises:
        InputError: the lives are not known, too few cells, or the curves lack a feature.
    """
    if curves.life is None:
        raise InputError(Problem(f"{curves.name}: the lives are not known", expected=f"array {curves.name}_life"))
    if len(curves.life) < LEAST_CELLS:
        raise InputError(
            Problem(f"{curves.name}: too few cells to train on", expected=f"{LEAST_CELLS}", found=f"{len(curves.life)}")
        )
    x, y = features(curves, nominal_ah).values, np.log10(curves.life)
    strength, _ = choose_strength(x, y)
    left_out = []
    for i in range(len(y)):
        on_progress(i / len(y))
        left_out.append(_left_out(x, y, i))
    return RulModel(
        kind="cellbench cycle life 1",
        trained_on=TrainedOnModel(
            set=curves.name,
            cells=len(y),
            cell=origin.cell,
            source=origin.source,
            licence=origin.licence,
            end_of_life=origin.end_of_life,
            life_cycles=_range(curves.life),
        ),
        nominal_ah=nominal_ah,
        features=NAMES,
        ranges=tuple(_range(column) for column in x.T),
        strength=strength,
        model=affine(fit(x, y, strength)),
        left_out=tuple(left_out),
        left_out_errors=_errors(x, y, left_out),
    )


def _range(values: Floats) -> RangeModel:
    return RangeModel(low=float(f"{values.min():.12g}"), high=float(f"{values.max():.12g}"))


def _left_out(x: Floats, y: Floats, cell: int) -> LeftOutModel:
    kept = np.arange(len(y)) != cell
    strength, _ = choose_strength(x[kept], y[kept])
    made: AffineModel = affine(fit(x[kept], y[kept], strength))
    return LeftOutModel(offset=made.offset, slope=made.slope, residual=float(f"{y[cell] - made.at(x[cell]):.12g}"))


def _errors(x: Floats, y: Floats, left_out: Sequence[LeftOutModel]) -> TrainedErrorModel:
    """Each cell by the model without it; its interval from the others' residuals."""
    residuals = np.array([one.residual for one in left_out])
    life, predicted = 10.0**y, 10.0 ** (y - residuals)
    inside = 0
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        without = np.full((len(y) - 1, 1), y[i] - residuals[i])
        low, high = jackknife_plus(without, residuals[others], LEVEL)
        inside += bool(low[0] <= y[i] <= high[0])
    error = predicted - life
    return TrainedErrorModel(
        rmse_cycles=round(float(np.sqrt(np.mean(error**2))), 2),
        mape=round(float(np.mean(np.abs(error) / life)), 4),
        coverage=round(inside / len(y), 4),
    )


def score(predictions: Sequence[LifePrediction], life: Floats) -> Score:
    """Judge predictions by the lives that came true. Raises ValueError when their numbers differ."""
    predicted = np.array([p.life for p in predictions])
    error = predicted - life
    covered = sum(p.life_low <= truth <= p.life_high for p, truth in zip(predictions, life.tolist(), strict=True))
    level = predictions[0].level
    low, high = _binomial(len(life), level)
    return Score(
        len(life),
        float(np.sqrt(np.mean(error**2))),
        float(np.mean(np.abs(error) / life)),
        int(covered),
        level,
        low,
        high,
    )


def _binomial(n: int, p: float) -> tuple[int, int]:
    """The central 95 % range of a binomial count."""
    cumulative = np.cumsum([math.comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(n + 1)])
    return int(np.searchsorted(cumulative, 0.025)), int(np.searchsorted(cumulative, 0.975))
