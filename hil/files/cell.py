"""Cell files: the numbers of one cell that plant and twin share.

A cell file is made by a fit, so its arrays are bare numbers with the unit in the key. Between the temperatures of the
tables resistances and time constants follow Arrhenius' law (ln of the value straight over 1/T in K), OCV, hysteresis
and efficiency straight lines over T; beyond the first and the last temperature the tables are held.
"""

import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hil.errors import InputError, Problem
from hil.files.abuse import Chemistry
from hil.files.validate import Strict, load_model

MOST_TEMPERATURES = 8
MOST_SOC_POINTS = 401
MOST_KNOTS = 41

Vector = tuple[float, ...]
Grid = tuple[Vector, ...]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=0.5, allow_inf_nan=False)]
PAIRS = ("r0_ohm", "r1_ohm", "tau1_s", "r2_ohm", "tau2_s", "r3_ohm", "tau3_s")
"""Tables [temperature][soc_knots] that are positive and follow Arrhenius' law."""


def _uniform(values: Vector, what: str) -> Vector:
    """``values`` when they rise in equal steps from 0 to 1; raises InputError otherwise."""
    steps = [b - a for a, b in pairwise(values)]
    even = bool(steps) and all(abs(step - 1.0 / len(steps)) < 1e-9 for step in steps)
    if not even or abs(values[0]) > 1e-9:
        raise InputError(Problem("", expected=f"{what} in equal steps from 0 to 1", found=f"{len(values)} values"))
    return values


class HysteresisModel(Strict):
    """Hysteresis by its half width ``m_v``: the branch after a full reversal is 2 m (1 - exp(-gamma |dSoC|)).

    ``m0_v`` is the part that turns round at once.
    """

    m_v: Grid
    gamma: Vector
    m0_v: Vector


class SpreadModel(Strict):
    """Measured cell-to-cell spread, one standard deviation each, relative."""

    capacity_sigma: Share
    resistance_sigma: Share
    source: str


class CellModel(Strict):
    """One cell: OCV by temperature and SoC, and the tables of R0 and two or three RC pairs at knots of SoC.

    ``ocv_v`` is [temperature][soc]; ``r0_ohm`` ... ``tau3_s`` and ``hysteresis.m_v`` are [temperature][soc_knots];
    ``docv_dt_v_per_k`` is [soc], for the reversible heat only. The third pair is the slow, diffusion-like one; a file
    may do without.
    """

    cell: str
    source: Any
    licence: str
    chemistry: Chemistry | None = None
    capacity_ah: Positive
    mass_kg: Positive
    heat_capacity_j_per_k: Positive
    surface_heat_transfer_w_per_k: Positive
    temperatures_degc: Annotated[Vector, Field(min_length=1, max_length=MOST_TEMPERATURES)]
    soc: Annotated[Vector, Field(min_length=2, max_length=MOST_SOC_POINTS)]
    ocv_v: Grid
    docv_dt_v_per_k: Vector | None = None
    soc_knots: Annotated[Vector, Field(min_length=2, max_length=MOST_KNOTS)]
    r0_ohm: Grid
    r1_ohm: Grid
    tau1_s: Grid
    r2_ohm: Grid
    tau2_s: Grid
    r3_ohm: Grid | None = None
    tau3_s: Grid | None = None
    hysteresis: HysteresisModel
    coulombic_efficiency: Vector
    spread: SpreadModel | None = None
    fit: dict[str, Any] = Field(default_factory=dict)

    @field_validator("soc")
    @classmethod
    def _soc_even(cls, values: Vector) -> Vector:
        return _uniform(values, "SoC points")

    @field_validator("soc_knots")
    @classmethod
    def _knots_even(cls, values: Vector) -> Vector:
        return _uniform(values, "SoC knots")

    @field_validator("temperatures_degc")
    @classmethod
    def _rising(cls, values: Vector) -> Vector:
        if any(not b > a for a, b in pairwise(values)):
            raise InputError(Problem("", expected="rising temperatures", found=str(list(values))))
        return values

    @model_validator(mode="after")
    def _shapes(self) -> "CellModel":
        rows, points, knots = len(self.temperatures_degc), len(self.soc), len(self.soc_knots)
        problems = _grid_problems("ocv_v", self.ocv_v, rows, points, least=0.0)
        for name in PAIRS:
            grid = getattr(self, name)
            problems += [] if grid is None else _grid_problems(name, grid, rows, knots, least=1e-12)
        if (self.r3_ohm is None) != (self.tau3_s is None):
            problems.append(Problem("r3_ohm, tau3_s", expected="both or neither", found="one"))
        problems += _grid_problems("hysteresis.m_v", self.hysteresis.m_v, rows, knots, least=0.0)
        for name, vector in (
            ("hysteresis.gamma", self.hysteresis.gamma),
            ("hysteresis.m0_v", self.hysteresis.m0_v),
            ("coulombic_efficiency", self.coulombic_efficiency),
        ):
            problems += _vector_problems(name, vector, rows, 0.0)
        if self.docv_dt_v_per_k is not None:
            problems += _vector_problems("docv_dt_v_per_k", self.docv_dt_v_per_k, points, -1.0)
        if max(self.coulombic_efficiency, default=1.0) > 1.0:
            problems.append(Problem("coulombic_efficiency", expected="at most 1", found="more"))
        if problems:
            raise InputError(problems)
        return self


def _vector_problems(name: str, values: Vector, length: int, least: float) -> list[Problem]:
    if len(values) != length:
        return [Problem(name, expected=f"{length} values", found=f"{len(values)}")]
    wrong = [v for v in values if not (math.isfinite(v) and v >= least)]
    return [Problem(name, expected=f"finite values of at least {least:g}", found=repr(wrong[0]))] if wrong else []


def _grid_problems(name: str, grid: Grid, rows: int, columns: int, least: float) -> list[Problem]:
    if len(grid) != rows:
        return [Problem(name, expected=f"one row per temperature ({rows})", found=f"{len(grid)}")]
    return [p for k, row in enumerate(grid) for p in _vector_problems(f"{name}[{k}]", row, columns, least)]


def load_cell(path: Path | str) -> CellModel:
    """Load a cell file. Raises InputError with every problem and its place."""
    return load_model(path, CellModel)[0]
