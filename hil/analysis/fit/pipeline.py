"""From data to a cell file that is judged: fit, hold out, predict by the twin, release or not."""

from dataclasses import dataclass

from hil.analysis.fit.data import CellData
from hil.analysis.fit.fitting import Fitted, Progress, fit_cell
from hil.analysis.fit.judge import BLOCK_S, errors_of, halved, judge
from hil.analysis.fit.solve import FitOptions
from hil.analysis.fit.uncertainty import sigmas_of
from hil.analysis.fit.write import Report, cell_of, cell_yaml, tables_text
from hil.files.cell import CellModel

BY_TEST = "tests marked use: test"
BY_BLOCK = f"every other {BLOCK_S:g} s of the drive tests, in a fit of its own"


@dataclass(frozen=True)
class Outcome:
    """A fit made: the file's text, the cell it says, and what there is to say about it."""

    fitted: Fitted
    cell: CellModel
    report: Report
    text: str


def make(data: CellData, options: FitOptions | None = None, progress: Progress = lambda share: None) -> Outcome:
    """Fit a cell and judge the fit.

    Tests of use "test" are held out. Where there are none, a fit of its own leaves out every other block of the drive
    tests and is judged on these; the file then has the fit on everything. `progress` gets the share done, 0 to 1.
    Raises InputError when there is nothing to fit or no OCV.
    """
    options = options or FitOptions()
    half = None if any(t.use == "test" for t in data.tests) else halved(data)
    whole = 0.0 if half is None else 0.5
    verdict = None
    if half is not None:
        part = fit_cell(half, options, lambda share: progress(0.95 * whole * share))
        verdict = judge(errors_of(cell_of(tables_text(part)), half))
    fitted = fit_cell(data, options, lambda share: progress(0.95 * (whole + (1.0 - whole) * share)))
    cell = cell_of(tables_text(fitted))
    errors = errors_of(cell, data)
    report = Report(verdict or judge(errors), sigmas_of(fitted), BY_BLOCK if verdict else BY_TEST, errors)
    progress(1.0)
    text = cell_yaml(fitted, report)
    return Outcome(fitted, cell_of(text), report, text)
