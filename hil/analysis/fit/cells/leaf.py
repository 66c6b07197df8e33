"""Cell of a 2013 Nissan Leaf (LMO blend): pulses and rests at 10 and 25 degC, judged on a 1C discharge.

Each pulse test runs from a full rested cell in steps of a tenth: 30 A for 30 s, 22.5 A of charge for 10 s, 10 A for 18
minutes, an hour of rest. The rests give the OCV at eleven SoC, a curve without bends the wrong way runs between them, and
the fit may move it where the 10-A discharges say so. The 1C discharges stand in a file without a temperature: the room's
25 degC are assumed, and that the cell warmed up is not in them.
"""

from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from hil.analysis.fit.data import SOC, CellData, Floats, OcvTable, Test, Trace
from hil.analysis.fit.ocv import monotone
from hil.analysis.fit.readers.leaf import LICENCE, SOURCE, read_leaf_folder
from hil.analysis.fit.readers.recording import Kind, Recording
from hil.analysis.fit.solve import FitOptions
from hil.errors import InputError, Problem

REST_A = 0.05
LONG_S = 1700.0  # a rest of half an hour or more counts as settled
SHORT_S = 500.0  # the rest between charge and discharge of the 1C test is ten minutes
EMPTY_V = 3.1  # rested, after 3.0 V at 10 A: 3.07 V and rising after an hour at 10 degC
FULL_V = 4.15
OPTIONS = FitOptions(pairs=3, ocv_sigma_v=0.015)
NOTES = {
    "header": "Fitted to pulses, 10-A discharges and rests at 10 and 25 degC; the 1C discharge is held out. The OCV comes from "
    "rests at eleven SoC and is moved by the fit between them; 3.1 V at 0 SoC is assumed, and nothing below 2 % SoC was "
    "fitted. Hysteresis has no data of its own: the fit may use up to 15 mV. Beyond 10 and 25 degC nothing was measured.",
    "capacity_ah": "10 A from full (4.2 V to 0.5 A) to 3.0 V at 25 degC; 33.1 Ah when new",
    "mass_kg": "assumed: about 0.8 kg, a quarter of a module's 3.8 kg less its housing",
    "heat_capacity_j_per_k": "assumed: 1000 J/(kg K), the middle of 900-1100 for pouch cells",
    "surface_heat_transfer_w_per_k": "assumed: 15 W/(m2 K) on the 0.125 m2 of a pouch of 290 x 216 mm, still to slow air",
}


def recognises(folder: Path) -> bool:
    """Whether the folder holds such files, by name."""
    return any(folder.glob("cell-*hppc*.csv.gz"))


def read(folder: Path) -> CellData:
    """The cell. Raises InputError when a file is damaged or no pulse test is there."""
    found = read_leaf_folder(folder)
    pulses = [r for r in found.recordings if r.kind is Kind.PULSE]
    if not pulses:
        raise InputError(Problem("no pulse test", str(folder), expected="cell-*hppc*.csv.gz"))
    runs = {r.nominal_degc or 0.0: from_full(r, LONG_S) for r in pulses}
    warmest = max(runs)
    capacity_ah = float(np.max(runs[warmest].discharged_ah))
    ocv = {t: OcvTable(SOC, rested_ocv(run, capacity_ah), None, capacity_ah) for t, run in sorted(runs.items())}
    tests = [_test(run, capacity_ah) for _, run in sorted(runs.items())]
    tests += [_test(one_discharge(r), capacity_ah, held=True) for r in found.recordings if r.kind is Kind.CONSTANT]
    return CellData(
        cell="Nissan Leaf 2013 cell",
        chemistry="LMO",
        source=SOURCE,
        licence=LICENCE,
        ocv=ocv,
        tests=tuple(tests),
        mass_kg=0.8,
        heat_capacity_j_per_k=800.0,
        surface_heat_transfer_w_per_k=1.9,
        notes=NOTES,
    )


def rests(recording: Recording, least_s: float) -> list[tuple[int, int]]:
    """(begin, end) of the samples of every rest of `least_s` or more, in order."""
    idle = np.concatenate(([False], np.abs(recording.current_a) < REST_A, [False]))
    edges = np.flatnonzero(np.diff(idle))
    spans = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(a, b) for a, b in spans if recording.time_s[b - 1] - recording.time_s[a] >= least_s]


def from_full(recording: Recording, least_s: float) -> Recording:
    """From the end of the first rest of a full cell. Raises InputError when it never was."""
    for _, end in rests(recording, least_s):
        if recording.voltage_v[end - 1] > FULL_V:
            return recording.part(recording.name, end - 1, recording.time_s.size)
    raise InputError(Problem(f"{recording.name}: never full and rested", expected=f"a rest above {FULL_V} V"))


def one_discharge(recording: Recording) -> Recording:
    """The first discharge from full and the rest behind it."""
    run = from_full(recording, SHORT_S)
    behind = rests(run, SHORT_S)
    return run.part(run.name, 0, behind[0][1] if behind else run.time_s.size)


def rested_ocv(run: Recording, capacity_ah: float) -> Floats:
    """OCV over `SOC` from the ends of the long rests, V: monotone cubics between them, EMPTY_V when empty."""
    ends = [0, *(end - 1 for _, end in rests(run, LONG_S))]
    soc = 1.0 - run.discharged_ah[ends] / capacity_ah
    points = {float(z): float(v) for z, v in zip(soc, run.voltage_v[ends], strict=True)} | {0.0: EMPTY_V}
    at = np.array(sorted(points))
    return monotone(PchipInterpolator(at, np.array([points[z] for z in at.tolist()]))(SOC))


def _test(run: Recording, capacity_ah: float, held: bool = False) -> Test:
    return Test(
        run.name,
        "constant_current" if held else "relaxation",
        0.0 if run.nominal_degc is None else run.nominal_degc,
        Trace(run.time_s, run.current_a, run.voltage_v),
        1.0,
        capacity_ah,
        use="test" if held else "fit",
        window=(0.05, 0.95) if held else (0.02, 1.0),
        used=run.voltage_read,
    )
