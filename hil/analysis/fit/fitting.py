"""From tests to tables: all temperatures of a cell fitted together, each bounded by the one nearer to 25 degC, so that
no resistance falls as the cell gets colder, at any SoC.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hil.analysis.fit.data import CellData, Floats, OcvTable, Test
from hil.analysis.fit.model import KELVIN, Drive, Shape, Terms, hats, make_drive, read_ocv
from hil.analysis.fit.ocv import monotone
from hil.analysis.fit.solve import (
    FINAL_SAMPLES,
    OCV_KNOTS,
    OUTER_SAMPLES,
    Bounds,
    FitOptions,
    Linear,
    fit_given,
    pick,
    search_shape,
)
from hil.errors import InputError, Problem

REFERENCE_DEGC = 25.0
LEAST_V_PER_C = 2e-3  # floor of every resistance, as the voltage it drops at one capacity per hour
M_OVER_HALF_WIDTH = 1.2  # the loop of the slow tests holds all hysteresis; a fifth for what they average away
M_GROWTH = 1.35  # per 20 K towards the cold: what grows faster is polarisation, not hysteresis
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Row:
    """One temperature: `tables` (pairs + 2, K) by rows R0, R1, R2, (R3), M; `ocv_v` (201,) as fitted; `linear` the
    problem they solve, over `drives`."""

    tables: Floats
    ocv: OcvTable
    ocv_v: Floats
    linear: Linear
    drives: tuple[Drive, ...]


@dataclass(frozen=True)
class Fitted:
    """A cell fitted: one shape for all temperatures, one row of tables for each, rising."""

    data: CellData
    options: FitOptions
    shape: Shape
    rows: Mapping[float, Row]
    warm_slopes_k: Floats | None  # of tests in which the cell warmed up, see `fit_cell`


def drives_of(data: CellData, temperature_degc: float) -> list[Drive]:
    """The drives that the row of a temperature is fitted to."""
    ocv = data.ocv_at(temperature_degc)
    mine = [t for t in data.tests if t.use == "fit" and t.temperature_degc == temperature_degc]
    return [_at_own_temperature(data, t, make_drive(t, ocv)) for t in mine]


def _at_own_temperature(data: CellData, test: Test, drive: Drive) -> Drive:
    """The drive with the OCV of the temperature that the cell itself had, where both are known."""
    known = np.array(sorted(data.ocv))
    if test.cell_degc is None or known.size < 2:
        return drive
    degc = np.clip(test.cell_degc, known[0], known[-1])
    low = np.clip(np.searchsorted(known, degc, side="right") - 1, 0, known.size - 2)
    share = (degc - known[low]) / (known[low + 1] - known[low])
    along = np.array([read_ocv(data.ocv[t].soc, data.ocv[t].ocv_v, drive.soc) for t in known.tolist()])
    at = np.arange(degc.size)
    return replace(drive, ocv_v=(1.0 - share) * along[low, at] + share * along[low + 1, at])


def fit_order(temperatures_degc: tuple[float, ...]) -> list[float]:
    """The temperature nearest to 25 degC first, then colder, hotter last: each is bounded by one nearer to 25."""
    reference = min(temperatures_degc, key=lambda t: (abs(t - REFERENCE_DEGC), t))
    return sorted(temperatures_degc, key=lambda t: (t > reference, -t if t <= reference else t))


def bounds_for(data: CellData, options: FitOptions, temperature_degc: float, done: Mapping[float, Floats]) -> Bounds:
    """The bounds at a temperature, given the tables `done` before it."""
    ocv, knots = data.ocv_at(temperature_degc), np.linspace(0.0, 1.0, options.knots)
    least = np.zeros((options.rows, knots.size))
    least[:-1] = LEAST_V_PER_C / ocv.capacity_ah
    greatest = np.full((options.rows, knots.size), np.inf)
    loop = np.full(knots.size, options.m_v)
    if ocv.width_v is not None:
        loop = M_OVER_HALF_WIDTH * 0.5 * np.interp(knots, ocv.soc, ocv.width_v)
    loop[-1] = min(loop[-1], options.m_full_v)
    greatest[-1] = loop
    hotter = [t for t in done if t > temperature_degc]
    if hotter:
        near = min(hotter)
        least[:-1] = np.maximum(least[:-1], done[near][:-1])
        grown = M_GROWTH ** ((near - temperature_degc) / 20.0)
        greatest[-1] = np.minimum(greatest[-1], np.maximum(done[near][-1] * grown, 1e-3))
    elif done:
        colder = max(done)
        greatest[:-1] = done[colder][:-1]
        least[:-1] = np.minimum(least[:-1], 0.5 * greatest[:-1])
    return Bounds(least, greatest)


class Rows:
    """The rows of all temperatures for any shape, over at most about `most` samples each."""

    def __init__(self, data: CellData, options: FitOptions, most: int, slopes_k: Floats | None = None) -> None:
        """Raises InputError when there is nothing to fit."""
        self.data, self.options = data, options
        self.terms: dict[float, list[Terms]] = {}
        for t in data.temperatures_degc():
            drives = drives_of(data, t)
            picks = pick(drives, most)
            if not sum(at.size for at in picks):
                raise InputError(Problem(f"{data.cell}: no sample within the SoC window at {t:g} degC"))
            pairs = zip(drives, picks, strict=True)
            self.terms[t] = [Terms(d, options.knots, at, slopes_k) for d, at in pairs if at.size]
        if not self.terms:
            raise InputError(Problem(f"{data.cell}: nothing to fit", expected="a test with use: fit"))

    def solve(self, shape: Shape) -> dict[float, Linear]:
        """The best tables of every temperature."""
        done: dict[float, Floats] = {}
        out: dict[float, Linear] = {}
        for t in fit_order(tuple(self.terms)):
            out[t] = fit_given(self.terms[t], shape, self.options, bounds_for(self.data, self.options, t, done))
            done[t] = tables_of(out[t], self.options)
        return dict(sorted(out.items()))

    def residuals(self, shape: Shape) -> Floats:
        """Errors of all temperatures in V, each weighted alike whatever its number of samples."""
        parts = [one.residuals() / np.sqrt(one.error_v.size) for one in self.solve(shape).values()]
        return np.concatenate(parts)


def tables_of(linear: Linear, options: FitOptions) -> Floats:
    """The tables (pairs + 2, K) in the parameters of a solved row."""
    return linear.parameters[: options.rows * options.knots].reshape(options.rows, options.knots)


def arrhenius_slopes(tables: Mapping[float, Floats]) -> Floats:
    """d ln R / d(1/T) in K of every resistance, the mean over the knots; shape (pairs + 1,), 0 from one temperature."""
    warm = sorted(tables)
    if len(warm) < 2:
        return np.zeros(tables[warm[0]].shape[0] - 1)
    x = np.array([1.0 / (t + KELVIN) for t in warm])
    logs = np.array([np.mean(np.log(tables[t][:-1]), axis=1) for t in warm])
    return np.asarray(np.polyfit(x, logs, 1)[0], dtype=np.float64)


def fit_cell(data: CellData, options: FitOptions | None = None, progress: Progress = lambda share: None) -> Fitted:
    """Fit all temperatures together: the shape on thinned data, then the tables on all of it.

    Tests in which the cell warmed up (`cell_degc`) scale the resistances by Arrhenius' law; the slopes for that come from
    the tables themselves, so the fit is made again with them. Raises InputError when there is nothing to fit.
    """
    options = options or FitOptions()
    warmed = any(t.cell_degc is not None for t in data.tests if t.use == "fit")
    passes = 3 if warmed and len(data.temperatures_degc()) > 1 else 1
    slopes_k: Floats | None = None
    for k in range(passes):
        rows = Rows(data, options, OUTER_SAMPLES, slopes_k)
        shape = search_shape(rows.residuals, options, lambda share, k=k: progress((k + share) / passes))  # type: ignore[misc]
        if k + 1 < passes:
            slopes_k = arrhenius_slopes({t: tables_of(one, options) for t, one in rows.solve(shape).items()})
    final = Rows(data, options, FINAL_SAMPLES, slopes_k)
    out: dict[float, Row] = {}
    for t, one in final.solve(shape).items():
        ocv, drives = data.ocv_at(t), tuple(terms.drive for terms in final.terms[t])
        out[t] = Row(tables_of(one, options), ocv, corrected_ocv(ocv, one, options), one, drives)
    progress(1.0)
    return Fitted(data, options, shape, out, slopes_k)


def corrected_ocv(ocv: OcvTable, linear: Linear, options: FitOptions) -> Floats:
    """The OCV with the correction that was fitted, never falling."""
    if not options.ocv_sigma_v:
        return ocv.ocv_v
    return monotone(ocv.ocv_v + linear.parameters[-OCV_KNOTS:] @ hats(ocv.soc, OCV_KNOTS))
