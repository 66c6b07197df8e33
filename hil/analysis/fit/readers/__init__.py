"""Readers of measured cells: one small module a layout, all giving `recording.Recording`.

`read_data` knows the layouts apart by the names of their files.
"""

from collections.abc import Callable
from pathlib import Path

from hil.analysis.fit.readers.a123 import read_a123, read_a123_folder
from hil.analysis.fit.readers.leaf import read_leaf, read_leaf_folder
from hil.analysis.fit.readers.lg_m50 import read_lg_folder
from hil.analysis.fit.readers.named_csv import LAYOUT as CSV
from hil.analysis.fit.readers.named_csv import read_csv
from hil.analysis.fit.readers.panasonic import LAYOUT as PANASONIC
from hil.analysis.fit.readers.panasonic import read_panasonic_folder, read_trips
from hil.analysis.fit.readers.recording import DataSet, Kind, OcvCurve, Recording, checked
from hil.errors import InputError, Problem

__all__ = ["DataSet", "Kind", "OcvCurve", "Recording", "checked", "read_csv", "read_data"]

_FOLDERS: tuple[tuple[str, Callable[[Path], DataSet]], ...] = (
    ("A123_*.csv.gz", read_a123_folder),
    ("udds_*trips*.npz", read_panasonic_folder),
    ("LGM50_5Ah_*.mat", read_lg_folder),
    ("cell-*.csv.gz", read_leaf_folder),
)


def read_data(path: Path) -> DataSet:
    """All recordings of a folder in one of the layouts, or of one file.

    A folder of none of them is read as generic CSV files. Raises InputError when nothing is there, or a file is damaged.
    """
    if path.is_dir():
        for pattern, read in _FOLDERS:
            if any(path.glob(pattern)):
                return read(path)
        files = sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")])
        if not files:
            expected = ", ".join(pattern for pattern, _ in _FOLDERS) + " or *.csv"
            raise InputError(Problem("no data of a cell", str(path), expected=expected))
        return DataSet(CSV, tuple(read_csv(file) for file in files))
    if not path.exists():
        raise InputError(Problem("no such file or folder", str(path), expected="measurements of a cell"))
    return _one_file(path)


def _one_file(path: Path) -> DataSet:
    if path.suffix == ".npz":
        return DataSet(PANASONIC, read_trips(path))
    if path.name.startswith("A123_"):
        return DataSet("a123_lfp", (read_a123(path),))
    if path.name.startswith("cell-"):
        return DataSet("leaf_cell", (read_leaf(path),))
    if path.suffix == ".mat":
        raise InputError(Problem("one file of the LG M50", str(path), expected="the folder with all three"))
    return DataSet(CSV, (read_csv(path),))
