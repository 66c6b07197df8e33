"""The 2013 Nissan Leaf cell as a Bitrode cycler wrote it: gzipped CSV, with or without a header, charge positive.

The temperature is in the file's name alone, and only of the pulse tests; the constant-current test was made at room
temperature (25 degC is assumed for it).
"""

import re
from pathlib import Path

from hil.analysis.fit.readers.delimited import columns, text_of
from hil.analysis.fit.readers.edges import with_begins
from hil.analysis.fit.readers.recording import DataSet, Kind, Place, Recording, checked
from hil.errors import InputError, Problem

LAYOUT = "leaf_cell"
SOURCE = "batterysim/equiv-circ-model 34752e72792d, cell of a 2013 Nissan Leaf"
LICENCE = "MIT, Copyright (c) 2020 BatterySim"
ROOM_DEGC = 25.0
_HEAD = "Exclude,Time(s),Cycle,"
_COMMAS = 15
_TIME, _STEP, _WITHIN, _CURRENT, _VOLTAGE = 1, 6, 7, 8, 9
_DEGC = re.compile(r"-(\d+)c(?:-\d+)?\.csv(?:\.gz)?$")
_RATE = re.compile(r"bitrode-(\d+)c\.csv(?:\.gz)?$")


def read_leaf(path: Path) -> Recording:
    """One test file; its name without ``cell-`` and ending is the recording's. Raises InputError when it is damaged."""
    text = text_of(path)
    text = text.below(1) if text.rows[0].startswith(_HEAD) else text
    if not text.rows:
        raise InputError(Problem("no samples", str(path), expected="rows of a Bitrode cycler below the header"))
    if text.rows[0].count(",") != _COMMAS:
        raise InputError(Problem("columns", str(path), int(text.numbers[0]), expected="16 of a Bitrode cycler",
                                 found=str(text.rows[0].count(",") + 1)))  # fmt: skip
    time_s, step, within_s, current_a, voltage_v = columns(text, (_TIME, _STEP, _WITHIN, _CURRENT, _VOLTAGE))
    made = with_begins(step, within_s, time_s, current_a, voltage_v)
    constant = _RATE.search(path.name) is not None
    degc = _DEGC.search(path.name)
    recording = Recording(
        name=path.name.removeprefix("cell-").split(".")[0],
        kind=Kind.CONSTANT if constant else Kind.PULSE,
        cell="1",
        time_s=made.time_s,
        current_a=-made.current_a,
        voltage_v=made.voltage_v,
        temperature_degc=None,
        nominal_degc=float(degc[1]) if degc and not constant else ROOM_DEGC,
        source=SOURCE,
        licence=LICENCE,
        voltage_read=made.read,
    )
    return checked(recording, Place(path, "", text.numbers[made.origin]))


def read_leaf_folder(path: Path) -> DataSet:
    """Every test in a folder. Raises InputError when there is none, or for a damaged one."""
    files = sorted(path.glob("cell-*.csv.gz"))
    if not files:
        raise InputError(Problem("no test of the Leaf cell", str(path), expected="cell-*.csv.gz"))
    return DataSet(LAYOUT, tuple(read_leaf(file) for file in files))
