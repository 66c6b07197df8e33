"""The A123 26650 in the layout of Plett's ESC toolbox: gzipped CSV, one file a test, five temperatures.

OCV tests S1-S4 (slow discharge, emptying at 25 degC, slow charge, filling at 25 degC) count a discharge as negative
current, the dynamic tests s1-s3 (drive cycles from full, emptying and charging at 25 degC) as positive.
"""

import re
from pathlib import Path

import numpy as np

from hil.analysis.fit.readers.delimited import columns, text_of
from hil.analysis.fit.readers.recording import DataSet, Kind, Recording, checked
from hil.errors import InputError, Problem, nearest

LAYOUT = "a123_lfp"
SOURCE = "G. Plett, ESC toolbox data (batterysim/esctoolbox-python e82af551ff09)"
LICENCE = "MIT, Copyright (c) 2017 batterysim"
ROOM_DEGC = 25.0  # tests S2, S4, s2 and s3 ran there, whatever the temperature in their name
_NAME = re.compile(r"A123_(?:OCV_([NP])(\d\d)_(S[1-4])|DYN_\d+_([NP])(\d\d)_(s[1-3]))\.csv\.gz")
_KINDS = {"S1": Kind.SLOW, "S3": Kind.SLOW, "s1": Kind.DRIVE, "s3": Kind.CONSTANT}
_HEADS = {"OCV": "Test_Time(s),Step_Index,Current(A),Voltage(V)", "DYN": "time,step,current,voltage"}


def read_a123(path: Path) -> Recording:
    """One test file, named ``OCV_P25_S1`` or ``DYN_N05_s2``.

    Raises InputError when the file name or the content is none of the layout's, or the content is damaged.
    """
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise InputError(Problem("file name", str(path), expected="A123_OCV_P25_S1.csv.gz or alike", found=path.name))
    form = "OCV" if found[1] else "DYN"
    sign, digits, script = (found[1], found[2], found[3]) if found[1] else (found[4], found[5], found[6])
    nominal_degc = float(digits) * (-1.0 if sign == "N" else 1.0)
    text = text_of(path)
    if not text.rows[0].startswith(_HEADS[form]):
        raise InputError(Problem("header", str(path), 1, expected=_HEADS[form], found=repr(text.rows[0][:60])))
    text = text.below(1)
    time_s, current_a, voltage_v = columns(text, (0, 2, 3))
    recording = Recording(
        name=f"{form}_{sign}{digits}_{script}",
        kind=_KINDS.get(script, Kind.CONDITIONING),
        cell="1",
        time_s=time_s,
        current_a=-current_a if form == "OCV" else current_a,
        voltage_v=voltage_v,
        temperature_degc=None,
        nominal_degc=nominal_degc if script in ("S1", "S3", "s1") else ROOM_DEGC,
        source=SOURCE,
        licence=LICENCE,
    )
    return checked(recording, text.place)


def read_a123_folder(path: Path) -> DataSet:
    """Every test in a folder, coldest first. Raises InputError when there is none, or for a damaged one."""
    files = [file for file in sorted(path.glob("A123_*.csv.gz")) if _NAME.fullmatch(file.name)]
    if not files:
        names = [file.name for file in sorted(path.glob("*"))]
        close = nearest("A123_OCV_P25_S1.csv.gz", names) or ""
        raise InputError(Problem("no test of the ESC toolbox", str(path), expected="A123_*.csv.gz", nearest=close))
    read = [read_a123(file) for file in files]
    return DataSet(LAYOUT, tuple(sorted(read, key=lambda r: (temperature_in(r.name), r.name))))


def temperature_in(name: str) -> float:
    """The temperature that a recording's name holds, degC: ``DYN_N05_s2`` is -5.

    It is that of the temperature a test belongs to; conditioning itself ran at 25 degC.
    """
    tag = name.split("_")[1]
    return float(np.where(tag[0] == "N", -1.0, 1.0)) * float(tag[1:])
