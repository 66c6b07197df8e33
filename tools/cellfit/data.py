"""Reads the A123 26650 test files: the slow OCV tests S1-S4 and the dynamic tests s1-s3, five temperatures.

The files are gzipped CSV. OCV files count a discharge as negative current, the dynamic ones as positive; both leave
here with positive current discharging the cell.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TEMPERATURES_DEGC = (-25, -5, 5, 25, 45)
DYNAMIC_CURRENT_SCALE = {-25: 10, -5: 30, 5: 45, 25: 50, 45: 50}  # the number in the file name


class DataMissing(Exception):
    """A file of the data set is not where it should be."""


@dataclass(frozen=True)
class Trace:
    """One test: `time_s`, `current_a` (positive discharges) and `voltage_v`, arrays of shape (n,)."""

    time_s: Floats
    current_a: Floats
    voltage_v: Floats

    def flow_ah(self, sign: int) -> float:
        """Charge in Ah that left (`sign` 1) or entered (`sign` -1) the cell, always positive."""
        flow = np.maximum(sign * self.current_a[1:], 0.0) * np.diff(self.time_s)
        return float(np.sum(flow) / 3600.0)


def tag(temperature_degc: int) -> str:
    """The data set's name of a temperature: 25 is P25, -5 is N05."""
    return f"{'N' if temperature_degc < 0 else 'P'}{abs(temperature_degc):02d}"


def ocv_path(folder: Path, temperature_degc: int, script: int) -> Path:
    """Path of OCV test S1..S4 at a temperature."""
    return folder / f"A123_OCV_{tag(temperature_degc)}_S{script}.csv.gz"


def dynamic_path(folder: Path, temperature_degc: int, script: int) -> Path:
    """Path of dynamic test s1..s3 at a temperature."""
    scale = DYNAMIC_CURRENT_SCALE[temperature_degc]
    return folder / f"A123_DYN_{scale}_{tag(temperature_degc)}_s{script}.csv.gz"


def read_trace(path: Path, current_sign: int) -> Trace:
    """Read one CSV (time, step, current, voltage, ...); `current_sign` -1 turns a charge-positive file around.

    Raises DataMissing when the file is absent and ValueError when a number in it is not finite.
    """
    if not path.is_file():
        raise DataMissing(f"{path}: no such file; expected the A123 26650 test data there")
    with gzip.open(path, "rt", encoding="ascii") as stream:
        table = np.loadtxt(stream, delimiter=",", skiprows=1, usecols=(0, 2, 3))
    if not np.all(np.isfinite(table)):
        raise ValueError(f"{path}: a value is not finite")
    return Trace(table[:, 0].copy(), current_sign * table[:, 1], table[:, 2].copy())


def read_ocv(folder: Path, temperature_degc: int) -> tuple[Trace, Trace, Trace, Trace]:
    """OCV tests S1..S4: slow discharge, emptying at 25 degC, slow charge, filling at 25 degC."""
    one, two, three, four = (read_trace(ocv_path(folder, temperature_degc, n), -1) for n in (1, 2, 3, 4))
    return one, two, three, four


def read_dynamic(folder: Path, temperature_degc: int) -> tuple[Trace, Trace, Trace]:
    """Dynamic tests s1..s3: drive cycles from full, emptying at 25 degC, charging at 25 degC."""
    one, two, three = (read_trace(dynamic_path(folder, temperature_degc, n), 1) for n in (1, 2, 3))
    return one, two, three
