"""The twin against the emulated cells: two derivations of one cell file, scatter and hysteresis model apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twin_rig import Drive

from hil.files.pack import load_pack
from hil.kernel import zeros
from hil.plant import cells, tables

PACK = Path(__file__).parents[2] / "scenarios" / "packs" / "a123_96s40p.yaml"
CURRENTS = (60.0, 60.0, 0.0, -40.0, 120.0, -80.0, 0.0, 20.0)


def worst_residual_v(soc: float, guess: float, rows: int = 3000, feed: bool = True) -> tuple[Any, Drive, np.ndarray]:
    """Largest |measured - predicted| of each row of a drive at 10 Hz, shape (rows,), with the final plant and twin."""
    pack = load_pack(PACK)
    fixed, states = np.asarray(zeros(tables.CellsParams)), np.asarray(zeros(cells.CellsState))
    tables.fill(fixed.view(np.recarray)[0], pack, 7)
    s, p = states[0], fixed[0]
    degc = np.full(pack.series, 25.0)
    cells.begin(s, p, soc, degc)
    d = Drive(
        of=pack.cell, series=pack.series, sensors=pack.temperature_sensors.cells, parallel=pack.parallel, dt_s=0.1
    )
    d.start(guess)
    out = np.empty(rows)
    current = 0.0
    for k in range(rows):
        cells.advance(s, p, 0.1 if k else 0.0, current, current * current)
        if k % 10 == 0:
            cells.refresh(s, p, degc)
        current = CURRENTS[(k // 100) % len(CURRENTS)]
        volts = np.array([cells.terminal(s, c, current) for c in range(pack.series)])
        got = d.tick(k * 0.1, current, volts if feed else np.nan, 25.0)
        out[k] = np.abs(volts - got).max()
    return s, d, out


@pytest.mark.parametrize("soc", [0.3, 0.6])
def test_with_the_right_soc_the_two_agree_without_the_filters_help(soc: float) -> None:
    s, d, residual_v = worst_residual_v(soc, soc, feed=False)
    assert residual_v.max() < 0.007, "resistance scatter of 1 % per group, and hysteresis from an unknown middle"
    assert abs(d.soc() - float(np.mean(s["soc"][:96]))) < 0.002


def test_a_wrong_start_on_the_steep_end_is_found_out_and_the_residual_falls() -> None:
    s, d, residual_v = worst_residual_v(0.10, 0.17)
    error = abs(d.soc() - float(np.mean(s["soc"][:96])))
    assert error < 2.0 * d.sigma()
    assert error < 0.02
    assert residual_v[-800:].max() < 0.030


def test_a_wrong_start_on_the_plateau_stays_within_sigma() -> None:
    s, d, residual_v = worst_residual_v(0.55, 0.61)
    assert abs(d.soc() - float(np.mean(s["soc"][:96]))) < 2.0 * d.sigma()
    assert d.sigma() > 0.02
    assert residual_v.max() < 0.030
