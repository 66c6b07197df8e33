"""A trained model of cycle life: its file, and what it says about cells."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hil.analysis.rul.curves import Curves
from hil.analysis.rul.features import LATE, NAMES, features
from hil.analysis.rul.ridge import Linear, jackknife_plus, most_level
from hil.errors import BenchError, InputError, Problem
from hil.files import Strict, load_model

SHIPPED = Path(__file__).with_name("severson_lfp.json")
DIGITS = 12
ROUNDING = 1e-9
LONGEST = 6.0
"""log10 of the longest life told; what an input far outside the training gives beyond is no life."""

Floats = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1)]


class AffineModel(Strict):
    """log10 of the life in cycles: ``offset + sum slope * feature``."""

    offset: Number
    slope: tuple[Number, ...]

    def at(self, x: Floats) -> Floats:
        """For each row of ``x``, (cells, features)."""
        return np.asarray(self.offset + x @ np.array(self.slope))


class LeftOutModel(AffineModel):
    """The model trained without one cell, strength chosen anew; ``residual`` is log10 of that cell's life minus it."""

    residual: Number


class RangeModel(Strict):
    """What one feature was in the cells trained on."""

    low: Number
    high: Number


class TrainedOnModel(Strict):
    """Where the numbers come from. ``life_cycles`` is the range of lives, ``end_of_life`` what ends one."""

    set: Words
    cells: Annotated[int, Field(ge=10)]
    cell: Words
    source: Words
    licence: Words
    end_of_life: Words
    life_cycles: RangeModel


class TrainedErrorModel(Strict):
    """Errors on cells left out of the training: ``rmse_cycles``, ``mape`` (a share), ``coverage`` of 90 % intervals."""

    rmse_cycles: Positive
    mape: Positive
    coverage: Annotated[float, Field(ge=0.0, le=1.0)]


class RulModel(Strict):
    """A model of cycle life by the features of ``features.NAMES``, in their order."""

    kind: Literal["cellbench cycle life 1"]
    trained_on: TrainedOnModel
    nominal_ah: Positive
    features: tuple[str, ...]
    ranges: tuple[RangeModel, ...]
    strength: Positive
    model: AffineModel
    left_out: Annotated[tuple[LeftOutModel, ...], Field(min_length=10, max_length=5000)]
    left_out_errors: TrainedErrorModel

    @model_validator(mode="after")
    def _fits(self) -> "RulModel":
        problems = []
        if self.features != NAMES:
            problems.append(Problem("features", expected=", ".join(NAMES), found=", ".join(self.features)[:200]))
        for name, count in (("ranges", len(self.ranges)), ("model.slope", len(self.model.slope))):
            if count != len(NAMES):
                problems.append(Problem(name, expected=f"{len(NAMES)} entries", found=f"{count}"))
        if any(len(one.slope) != len(NAMES) for one in self.left_out):
            problems.append(Problem("left_out", expected=f"{len(NAMES)} slopes each"))
        if len(self.left_out) != self.trained_on.cells:
            problems.append(
                Problem("left_out", expected=f"one per cell ({self.trained_on.cells})", found=f"{len(self.left_out)}")
            )
        if any(one.low > one.high for one in (*self.ranges, self.trained_on.life_cycles)):
            problems.append(Problem("ranges", expected="low at most high"))
        if problems:
            raise InputError(problems)
        return self


@dataclass(frozen=True, slots=True)
class Outside:
    """A feature that none of the cells trained on had: the prediction is an extrapolation."""

    feature: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LifePrediction:
    """One cell. Cycles from new: ``life`` and its interval of probability ``level``; ``cycle`` those done.

    ``remaining`` etc. count from ``cycle`` on and are never below 0.
    """

    cell: int
    cycle: int
    level: float
    life: float
    life_low: float
    life_high: float
    outside: tuple[Outside, ...]

    @property
    def remaining(self) -> tuple[float, float, float]:
        """Cycles left: most likely, low, high."""
        return (
            max(0.0, self.life - self.cycle),
            max(0.0, self.life_low - self.cycle),
            max(0.0, self.life_high - self.cycle),
        )


def load_rul_model(path: Path | str) -> RulModel:
    """Load a model file. Raises InputError with every problem and its place."""
    return load_model(path, RulModel)[0]


def save_rul_model(model: RulModel, path: Path) -> None:
    """Write a model file that ``load_rul_model`` reads. Raises BenchError when it cannot be written."""
    rows = [json.dumps(one.model_dump()) for one in model.left_out]
    head = model.model_dump(exclude={"left_out"})
    text = json.dumps(head, indent=1)[:-2] + ',\n "left_out": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BenchError(f"cannot write the model {path}: {error.strerror}") from error


def affine(linear: Linear) -> AffineModel:
    """The same model on features as they are, not standardised."""
    slope = linear.weight / linear.scale
    offset = linear.intercept - float(slope @ linear.mean)
    return AffineModel(offset=_short(offset), slope=tuple(_short(float(s)) for s in slope))


def _short(x: float) -> float:
    return float(f"{x:.{DIGITS}g}")


def predict(
    model: RulModel, curves: Curves, level: float = 0.9, nominal_ah: float | None = None
) -> list[LifePrediction]:
    """What the model says of each cell; ``nominal_ah`` is that of these cells, default that of the cells trained on.

    Raises:
        InputError: the curves lack a feature, or so many cells cannot give an interval of that level.
    """
    most = most_level(len(model.left_out))
    if not 0.0 < level <= most:
        expected = f"more than 0 and at most {most:.3f}, what {len(model.left_out)} cells trained on can tell"
        raise InputError(Problem("level", expected=expected, found=f"{level:g}"))
    x = features(curves, nominal_ah or model.nominal_ah).values
    without = np.array([one.at(x) for one in model.left_out])
    low, high = jackknife_plus(without, np.array([one.residual for one in model.left_out]), level)
    centre = model.model.at(x)
    return [
        LifePrediction(i, LATE, level, _life(centre[i]), _life(low[i]), _life(high[i]), _outside(model, x[i]))
        for i in range(len(x))
    ]


def _life(log_life: float) -> float:
    return float(10.0 ** min(max(float(log_life), 0.0), LONGEST))


def _outside(model: RulModel, x: Floats) -> tuple[Outside, ...]:
    found = []
    for name, value, one in zip(NAMES, x.tolist(), model.ranges, strict=True):
        middle, half = (one.low + one.high) / 2.0, (one.high - one.low) / 2.0
        if abs(value - middle) > half + ROUNDING * (half + abs(middle)):
            found.append(Outside(name, value, one.low, one.high))
    return tuple(found)
