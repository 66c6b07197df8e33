"""The A123 26650 from its test files: OCV at five temperatures, then the dynamic tables, each fit bounded by the one
before so that every resistance grows as the cell gets colder, at every SoC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .data import TEMPERATURES_DEGC, Trace, read_dynamic, read_ocv
from .fit import Bounds, CellFit, Part, fit_cell, part
from .model import Drive, make_drive, one_state, window
from .ocv import MIN_CURRENT_A, OcvTable, efficiency_and_capacity, ocv_table

SOC = np.linspace(0.0, 1.0, 201)
KNOTS = np.linspace(0.0, 1.0, 11)
REFERENCE_DEGC = 25
CHARGE_WEIGHT = 0.5  # of the constant-current charge s3 beside the drive cycles s1
SLOW_WEIGHT = 0.5  # of the two slow OCV branches
M_OVER_HALF_WIDTH = 1.2  # the loop of the slow tests holds all hysteresis; a fifth for what they average away
M_FULL_V = 0.012  # a rested full cell lies at OCV + M(1): 3.60 V at most
LEAST_OHM = (1e-3, 1e-3, 4e-3)  # R0, R1, R2 at 25 degC
LEAST_HOT_OHM = (1e-3, 1e-3, 2e-3)
BLOCK_S = 1500.0  # about one drive cycle: even blocks fit and odd blocks test for the held-out error


@dataclass(frozen=True)
class Tests:
    """The tests of one temperature on the model's inputs: drive cycles, charge (at 25 degC) and slow branches."""

    ocv: OcvTable
    cycles: Drive
    charge: Drive
    slow: tuple[Drive, Drive]


@dataclass(frozen=True)
class Result:
    """One temperature: OCV, dynamic tables and errors in V over 5-95 % SoC; `one_state_rmse_v` is the drive cycles with
    Plett's one-state hysteresis on the same tables."""

    ocv: OcvTable
    fit: CellFit
    rmse_v: float
    held_out_rmse_v: float
    slow_rmse_v: float
    one_state_rmse_v: float
    charge_rmse_v: float | None


def busy_part(trace: Trace) -> Trace:
    """The samples of a slow test in which current flows, less the last, which is cut short by the voltage limit."""
    busy = np.flatnonzero(np.abs(trace.current_a) > MIN_CURRENT_A)[:-1]
    return Trace(trace.time_s[busy], trace.current_a[busy], trace.voltage_v[busy])


def load_tests(folder: Path, temperature_degc: int, reference: OcvTable | None = None) -> Tests:
    """Read one temperature; the charge s3 ran at 25 degC and is read against `reference` (own table when None)."""
    scripts = read_ocv(folder, temperature_degc)
    ocv = ocv_table(scripts, SOC)
    cycles, emptying, charge = read_dynamic(folder, temperature_degc)
    efficiency, capacity_ah = efficiency_and_capacity([cycles, emptying], [charge])
    at_charge = ocv if reference is None else reference
    slow = tuple(
        make_drive(busy_part(scripts[k]), start, ocv.capacity_ah, ocv.efficiency, (SOC, ocv.ocv_v))
        for k, start in ((0, 1.0), (2, 0.0))
    )
    return Tests(
        ocv,
        make_drive(cycles, 1.0, capacity_ah, efficiency, (SOC, ocv.ocv_v)),
        make_drive(charge, 0.0, capacity_ah, efficiency, (SOC, at_charge.ocv_v)),
        (slow[0], slow[1]),
    )


def parts_of(tests: Tests, with_charge: bool, even_blocks_only: bool = False) -> list[Part]:
    """What one temperature's fit looks at; `even_blocks_only` leaves out every other block of the drive cycles."""
    used = window(tests.cycles) & (even_block(tests.cycles) if even_blocks_only else True)
    parts = [part(tests.cycles, used=used)] + [part(drive, SLOW_WEIGHT) for drive in tests.slow]
    return parts + ([part(tests.charge, CHARGE_WEIGHT)] if with_charge else [])


def even_block(drive: Drive) -> NDArray[np.bool_]:
    """Which samples lie in an even block of `BLOCK_S`."""
    return np.asarray((np.arange(drive.soc.size) * drive.dt_s // BLOCK_S) % 2 == 0)


def bounds_for(ocv: OcvTable, temperature_degc: int, fits: dict[int, CellFit]) -> Bounds:
    """The bounds at a temperature, given the fits made before it.

    Every resistance is at least that of the next hotter fit (so it never falls as the cell gets colder); above 25 degC
    it is at most that of 25 degC, where a constant-current charge pins the slow mode.
    """
    least = np.repeat(np.array([*LEAST_OHM, 0.0])[:, None], KNOTS.size, axis=1)
    greatest = np.full((4, KNOTS.size), np.inf)
    greatest[3] = np.append(M_OVER_HALF_WIDTH * 0.5 * np.interp(KNOTS[:-1], SOC, ocv.width_v), M_FULL_V)
    if temperature_degc > REFERENCE_DEGC:
        least[:3] = np.array(LEAST_HOT_OHM)[:, None]
        greatest[:3] = fits[REFERENCE_DEGC].tables[:3]
    elif temperature_degc < REFERENCE_DEGC:
        hotter = fits[min(t for t in fits if t > temperature_degc)]
        least[:3] = hotter.tables[:3]
    return Bounds(least, greatest)


def fit_temperature(tests: Tests, temperature_degc: int, fits: dict[int, CellFit]) -> Result:
    """Fit one temperature and measure its errors; `fits` holds those made before it."""
    reference = temperature_degc == REFERENCE_DEGC
    bounds = bounds_for(tests.ocv, temperature_degc, fits)
    fit = fit_cell(parts_of(tests, reference), KNOTS, bounds)
    half = fit_cell(parts_of(tests, reference, even_blocks_only=True), KNOTS, bounds)
    odd = window(tests.cycles) & ~even_block(tests.cycles)
    return Result(
        tests.ocv,
        fit,
        fit.rmse_v(tests.cycles),
        half.rmse_v(tests.cycles, odd),
        float(np.sqrt(np.mean([fit.rmse_v(drive) ** 2 for drive in tests.slow]))),
        fit.rmse_v(tests.cycles, state=one_state),
        fit.rmse_v(tests.charge) if reference else None,
    )


def fit_order(temperatures_degc: tuple[int, ...]) -> list[int]:
    """25 degC first, then colder, hotter last: every fit is bounded by one nearer to 25."""
    return sorted(temperatures_degc, key=lambda t: (t > REFERENCE_DEGC, -t if t <= REFERENCE_DEGC else t))


def fit_all(
    folder: Path, say: Callable[[str], None], temperatures_degc: tuple[int, ...] = TEMPERATURES_DEGC
) -> dict[int, Result]:
    """All temperatures from the data in `folder`, coldest first; `say` gets a line per temperature.

    Raises DataMissing when a file is absent.
    """
    results: dict[int, Result] = {}
    for temperature_degc in fit_order(temperatures_degc):
        tests = load_tests(folder, temperature_degc)
        fits = {t: r.fit for t, r in results.items()}
        result = results[temperature_degc] = fit_temperature(tests, temperature_degc, fits)
        s = result.fit.shape
        say(
            f"{temperature_degc:4d} degC: {1e3 * result.rmse_v:5.1f} mV ({1e3 * result.held_out_rmse_v:.1f} held out, "
            f"{1e3 * result.slow_rmse_v:.1f} slow), R0 {1e3 * result.fit.tables[0, 5]:.1f} mohm, "
            f"tau {s.tau1_s:.1f} / {s.tau2_s:.0f} s, gamma {s.gamma:.1f}"
        )
    return dict(sorted(results.items()))
