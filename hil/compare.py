"""Compare: differences of what was shown, measured, reported and predicted, each at one instant.

Row k's ``measured.*`` sampled the pins at t_k as they have stood since t_(k-1). So ``shown.*``, which the limiter has
not yet rewritten when this stage runs, is exactly what was measured. A reported scan was sampled at its companion
time tau, one or more rows ago: it belongs to the first row with t_k >= tau, found in a ring of measured vectors.
"""

from typing import Annotated

import numpy as np

from hil.image import Table, bind
from hil.kernel import I64, Floats, Ints, Rows, kernel, view, zeros
from hil.tick import CELLS

ROWS = 1024  # most rows the ring can hold, whatever the number of cells
VALUES = 128 * CELLS  # 128 rows of the largest pack, 256 rows of 96 cells (2.56 s at 10 ms)
NEVER = -(2**63) + 1


class CompareState:
    """A ring of measured cell voltages by time, and the scan last compared."""

    newest: I64  # place in the ring of the last row; the one before it is older
    held: I64  # rows in the ring
    scan_ns: I64  # instant of the scan that residual.bms stands for; NEVER before the first
    row_ns: Annotated[Ints, ROWS]
    measured_v: Annotated[Floats, VALUES]  # [row][cell], ``n_cells`` values a row


class CompareParams:
    """Columns, and how many rows the ring keeps."""

    n_cells: I64
    rows: I64
    col_measured_cell_voltage: I64
    col_shown_cell_voltage: I64
    col_reported_cell_voltage: I64
    tcol_reported_cell_voltage: I64
    col_twin_cell_voltage: I64
    col_residual_bench: I64
    col_residual_bms: I64
    col_residual_cell: I64
    col_residual_bench_max: I64
    col_residual_bms_max: I64
    col_residual_cell_max: I64


def params(table: Table) -> Rows[CompareParams]:
    """Columns from ``table``; the ring keeps as many rows as fit for its number of cells."""
    made = zeros(CompareParams)
    p = view(made)
    bind(p, table)
    p.n_cells = table.cells
    p.rows = min(ROWS, VALUES // max(table.cells, 1))
    return made


def state() -> Rows[CompareState]:
    """Nothing measured and no scan heard yet."""
    made = zeros(CompareState)
    view(made).scan_ns = NEVER
    return made


@kernel
def step(s: CompareState, p: CompareParams, t_ns: int, row: Floats) -> None:
    """Write ``residual.*`` (V); a difference with an unknown part is unknown (NaN).

    ``residual.bms`` is made once for each reported scan and stands until the next; unknown when the scan is older
    than the ring. ``*_max`` is the largest magnitude over the known values, NaN when none is known.
    """
    _keep(s, p, t_ns, row)
    measured = p.col_measured_cell_voltage
    row[p.col_residual_bench_max] = _difference(p, row, measured, p.col_shown_cell_voltage, p.col_residual_bench)
    row[p.col_residual_cell_max] = _difference(p, row, measured, p.col_twin_cell_voltage, p.col_residual_cell)
    sampled_s = row[p.tcol_reported_cell_voltage]
    if sampled_s == sampled_s:
        scan_ns = int(np.rint(sampled_s * 1e9))
        if scan_ns != s.scan_ns and scan_ns <= t_ns:
            s.scan_ns = scan_ns
            row[p.col_residual_bms_max] = _against_scan(s, p, row, _find(s, p, scan_ns))


@kernel
def _keep(s: CompareState, p: CompareParams, t_ns: int, row: Floats) -> None:
    """Put this row's measured vector into the ring, over the oldest."""
    s.newest = (s.newest + 1) % p.rows
    s.held = min(s.held + 1, p.rows)
    s.row_ns[s.newest] = t_ns
    start = s.newest * p.n_cells
    for c in range(p.n_cells):
        s.measured_v[start + c] = row[p.col_measured_cell_voltage + c]


@kernel
def _find(s: CompareState, p: CompareParams, instant_ns: int) -> int:
    """Place of the first row at or after ``instant_ns``; -1 when the ring cannot tell (the instant is too old)."""
    found = -1
    for back in range(s.held):
        place = (s.newest - back + p.rows) % p.rows
        if s.row_ns[place] < instant_ns:
            return found
        found = place
    # All rows kept lie at or after the instant: the oldest is the first one only if it is that very instant, or if
    # nothing has been dropped yet.
    if found >= 0 and s.held == p.rows and s.row_ns[found] != instant_ns:
        return -1
    return found


@kernel
def _difference(p: CompareParams, row: Floats, minuend: int, subtrahend: int, to: int) -> float:
    """Write row[minuend] - row[subtrahend] per cell; returns the largest magnitude."""
    most = -1.0
    for c in range(p.n_cells):
        difference = row[minuend + c] - row[subtrahend + c]
        row[to + c] = difference
        most = max(most, abs(difference)) if difference == difference else most
    return most if most >= 0.0 else np.nan


@kernel
def _against_scan(s: CompareState, p: CompareParams, row: Floats, place: int) -> float:
    """Write reported - measured of the row at ``place`` of the ring (-1 = unknown); returns the largest magnitude."""
    most = -1.0
    for c in range(p.n_cells):
        measured_v = s.measured_v[place * p.n_cells + c] if place >= 0 else np.nan
        difference = row[p.col_reported_cell_voltage + c] - measured_v
        row[p.col_residual_bms + c] = difference
        most = max(most, abs(difference)) if difference == difference else most
    return most if most >= 0.0 else np.nan
