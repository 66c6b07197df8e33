"""What is known of each cell that is fitted: recordings made into tests with their SoC, and what no test tells."""

from pathlib import Path

from hil.analysis.fit.cells import a123, leaf, lg_m50, panasonic
from hil.analysis.fit.data import CellData
from hil.analysis.fit.solve import FitOptions
from hil.errors import InputError, Problem

CELLS = (a123, panasonic, lg_m50, leaf)
"""One module a data set, each with `recognises(folder)` by file names and `read(folder)`."""


def cell_of_folder(folder: Path) -> CellData:
    """The cell whose data a folder holds. Raises InputError when it is none of `CELLS`, or damaged."""
    for each in CELLS:
        if each.recognises(folder):
            data: CellData = each.read(folder)
            return data
    names = ", ".join(each.__name__.rpartition(".")[2] for each in CELLS)
    raise InputError(
        Problem(
            "data of no known cell",
            str(folder),
            expected=f"a fit.yaml that says what the files are, or the layout of one of {names}",
        )
    )


def options_of(folder: Path) -> FitOptions:
    """How the cell of a folder is fitted best: the `OPTIONS` of its module, else the usual ones."""
    for each in CELLS:
        if each.recognises(folder):
            options: FitOptions = getattr(each, "OPTIONS", FitOptions())
            return options
    return FitOptions()
