"""A123 26650 LFP from the ESC toolbox data of G. Plett: slow OCV tests S1-S4 and dynamic tests s1-s3.

Gzipped CSV, ``A123_OCV_P25_S1.csv.gz`` and ``A123_DYN_50_P25_s1.csv.gz``: P25 is 25 degC, N05 is -5 degC, 50 a current scale.
OCV files count a discharge as negative current, the dynamic ones as positive. Tests s2, s3, S2 and S4 ran at 25 degC.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hil.analysis.fit.data import SOC, CellData, OcvTable, Test, Trace
from hil.analysis.fit.ocv import MIN_CURRENT_A, efficiency_and_capacity, ocv_table
from hil.analysis.fit.readers.a123 import read_a123
from hil.errors import InputError, Problem
from hil.files.cell import SpreadModel

_DYNAMIC = re.compile(r"A123_DYN_(\d+)_([NP])(\d\d)_s1\.csv\.gz")
CHARGE_DEGC = 25.0
CHARGE_WEIGHT = 0.5  # of the constant-current charge s3 beside the drive cycles s1
SLOW_WEIGHT = 0.5  # of the two slow OCV branches
NOTES = {
    "capacity_ah": "slow discharge and emptying at 25 degC, whole test by coulomb counting",
    "mass_kg": "assumed: 26650 format LFP cell of this size, not measured here",
    "heat_capacity_j_per_k": "assumed: 960 J/(kg K), the middle of 900-1100 for cylindrical LFP cells",
    "surface_heat_transfer_w_per_k": "assumed: 15 W/(m2 K) on the 65 cm2 of a 26650, still to slow air",
}
SPREAD = SpreadModel(
    capacity_sigma=0.009,
    resistance_sigma=0.03,
    source=(
        "capacity: 84 new A123 18650 LFP cells of Severson et al. 2019 (cycle 2, train and test1); "
        "resistance: 1-s pulses of six LG M50 cells at 0 degC, 2.6 to 3.2 %, where contacts weigh least"
    ),
)


def recognises(folder: Path) -> bool:
    """Whether the folder holds such files, by name."""
    return bool(temperatures(folder))


def temperatures(folder: Path) -> dict[float, str]:
    """Temperatures that the folder has drive cycles of, rising, with the middle of their files' names: `50_P25`."""
    found: dict[float, str] = {}
    for path in sorted(folder.glob("A123_DYN_*_s1.csv.gz")):
        match = _DYNAMIC.fullmatch(path.name)
        if match:
            found[(-1.0 if match[2] == "N" else 1.0) * float(match[3])] = f"{match[1]}_{match[2]}{match[3]}"
    return dict(sorted(found.items()))


def trace_of(path: Path) -> Trace:
    """One test file as it was recorded. Raises InputError when it is absent or damaged."""
    recording = read_a123(path)
    return Trace(recording.time_s, recording.current_a, recording.voltage_v)


def ocv_traces(folder: Path, tag: str) -> tuple[Trace, Trace, Trace, Trace]:
    """OCV tests S1..S4: slow discharge, emptying at 25 degC, slow charge, filling at 25 degC; `tag` as `P25`."""
    one, two, three, four = (trace_of(folder / f"A123_OCV_{tag}_S{n}.csv.gz") for n in (1, 2, 3, 4))
    return one, two, three, four


def dynamic_traces(folder: Path, name: str) -> tuple[Trace, Trace, Trace]:
    """Dynamic tests s1..s3: drive cycles from full, emptying at 25 degC, charging at 25 degC; `name` as `50_P25`."""
    one, two, three = (trace_of(folder / f"A123_DYN_{name}_s{n}.csv.gz") for n in (1, 2, 3))
    return one, two, three


def busy_part(trace: Trace) -> Trace:
    """The samples of a slow test in which current flows, less the last, which is cut short by the voltage limit."""
    busy = np.flatnonzero(np.abs(trace.current_a) > MIN_CURRENT_A)[:-1]
    return Trace(trace.time_s[busy], trace.current_a[busy], trace.voltage_v[busy])


def drive_test(folder: Path, temperature_degc: float) -> Test:
    """The drive cycles s1 of one temperature, from full, with the SoC of the test's own charge count (s1 to s3).

    Raises InputError when the temperature is not there.
    """
    return _dynamic(folder, temperature_degc)[0]


def _dynamic(folder: Path, temperature_degc: float) -> tuple[Test, Test]:
    """(drive cycles at the temperature, charge at 25 degC)."""
    name = temperatures(folder).get(temperature_degc)
    if name is None:
        raise InputError(Problem(f"no drive cycles at {temperature_degc:g} degC", str(folder)))
    cycles, emptying, charge = dynamic_traces(folder, name)
    efficiency, capacity_ah = efficiency_and_capacity([cycles, emptying], [charge])
    drive = Test(f"UDDS {temperature_degc:g} degC", "drive", temperature_degc, cycles, 1.0, capacity_ah, efficiency)
    filled = Test("charge", "constant_current", CHARGE_DEGC, charge, 0.0, capacity_ah, efficiency, weight=CHARGE_WEIGHT)
    return drive, filled


def read(folder: Path, only_degc: Iterable[float] | None = None) -> CellData:
    """All temperatures in the folder, or `only_degc`. Raises InputError with the file when one is absent or damaged."""
    wanted = tuple(temperatures(folder)) if only_degc is None else tuple(sorted(only_degc))
    ocv: dict[float, OcvTable] = {}
    tests: list[Test] = []
    for t in wanted:
        tag = temperatures(folder).get(t, "50_P25").split("_")[1]
        scripts = ocv_traces(folder, tag)
        ocv[t] = ocv_table(scripts, SOC)
        drive, filled = _dynamic(folder, t)
        tests += [drive, *([filled] if t == CHARGE_DEGC else [])]
        for trace, start, way in ((scripts[0], 1.0, "discharge"), (scripts[2], 0.0, "charge")):
            tests.append(
                Test(
                    f"slow {way} {t:g} degC",
                    "ocv",
                    t,
                    busy_part(trace),
                    start,
                    ocv[t].capacity_ah,
                    ocv[t].efficiency,
                    weight=SLOW_WEIGHT,
                )
            )
    return CellData(
        cell="A123 26650 LFP",
        chemistry="LFP",
        source="G. Plett, ESC toolbox data (batterysim/esctoolbox-python e82af551ff09)",
        licence="MIT, Copyright (c) 2017 batterysim",
        ocv=ocv,
        tests=tuple(tests),
        mass_kg=0.076,
        heat_capacity_j_per_k=72.96,
        surface_heat_transfer_w_per_k=0.1,
        notes=NOTES,
        spread=SPREAD,
    )
