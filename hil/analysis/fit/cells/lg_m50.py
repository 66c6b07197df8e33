"""LG M50 (NMC 811, graphite with SiOx) at 0, 10, 25 and 45 degC: rate tests with their rests, and pulses.

Fitted are the 0.1C and the fastest test at each temperature (2C; 1.5C at 45 degC), each with the two hours of rest and the
charge behind the discharge, and the pulses of six cells; 0.5C and 1C are held out. The 10-s pulses alone, with 10 s of rest,
do not tell the slow mode. The cell warms up (57 degC at 2C from 25 degC): tests carry its measured surface temperature.

Of the pulses, those at 0 degC are of 0.5C, the others of 1.5C; at 10 degC the last one, from 2 % SoC, ends at the voltage limit
within a second and holds no relaxation. Each counts its SoC from the voltage of the rest before it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hil.analysis.fit.data import SOC, WINDOW, Bools, CellData, OcvTable, Test, Trace
from hil.analysis.fit.data import Kind as TestKind
from hil.analysis.fit.ocv import monotone
from hil.analysis.fit.readers.lg_m50 import LICENCE, SOURCE, read_lg_folder
from hil.analysis.fit.readers.recording import DataSet, Kind, OcvCurve, Recording
from hil.analysis.fit.solve import FitOptions
from hil.analysis.fit.spread import spread_of
from hil.errors import InputError, Problem

HELD_OUT = ("0p5C", "1C")
OPTIONS = FitOptions(pairs=3)
FIT_WINDOW = (0.02, 1.0)
DENSE = 0.1  # of the time since the current changed: samples nearer to the one before are left out
SPARSE_S = 20.0  # but not over longer gaps
EDGE_A = 0.25
LEAST_OHM = 0.01  # of a cell of this size; a step that shows less began under load
NOTES = {
    "header": "Fitted at each temperature to the 0.1C and the 2C test (1.5C at 45 degC) with rests and charges, measured surface "
    "temperatures given, and to the pulses of six cells; the 0.5C and 1C tests are held out at every temperature. The OCV and "
    "its hysteresis were measured at 25 degC alone and stand for all temperatures. Below 2 % SoC nothing was fitted. The "
    "contacts of the holders are in r0.",
    "capacity_ah": "0.1C discharge at 25 degC from full, and what the OCV of the rest behind it says was left",
    "mass_kg": "data sheets of the INR21700 M50: 68 to 69 g",
    "heat_capacity_j_per_k": "assumed: 1000 J/(kg K), 21700 cells are measured at 900 to 1100",
    "surface_heat_transfer_w_per_k": "assumed: 15 W/(m2 K) on the 54 cm2 of a 21700, still to slow air",
}


def recognises(folder: Path) -> bool:
    """Whether the folder holds such files, by name."""
    return any(folder.glob("LGM50_5Ah_*.mat"))


def read(folder: Path, held_out: tuple[str, ...] = HELD_OUT) -> CellData:
    """The cell; rate tests of the rates `held_out` are. Raises InputError when a file is missing or damaged."""
    found = read_lg_folder(folder)
    curve = found.curves[0]
    capacity_ah = capacity_of(found, curve)
    tests = [pulse_test(r, curve, capacity_ah) for r in found.recordings if r.kind is Kind.PULSE]
    tests += [rate_test(r, curve, capacity_ah, held_out) for r in found.recordings if r.kind is Kind.CONSTANT]
    ocv_v = monotone(np.interp(SOC, curve.soc, curve.ocv_v))
    width_v = None if curve.half_width_v is None else 2.0 * np.interp(SOC, curve.soc, curve.half_width_v)
    return CellData(
        cell="LG INR21700 M50",
        chemistry="NMC",
        source=SOURCE,
        licence=LICENCE,
        ocv={curve.nominal_degc: OcvTable(SOC, ocv_v, width_v, capacity_ah)},
        tests=tuple(tests),
        mass_kg=0.0685,
        heat_capacity_j_per_k=68.5,
        surface_heat_transfer_w_per_k=0.081,
        notes=NOTES,
        spread=spread_of(found.recordings, curve),
    )


def soc_at(curve: OcvCurve, rested_v: float) -> float:
    """SoC of a rested cell."""
    return float(np.interp(rested_v, curve.ocv_v, curve.soc))


def capacity_of(found: DataSet, curve: OcvCurve) -> float:
    """Ah from full to empty, of the slow discharge at 25 degC."""
    slow = found.recording("rate_T25_0p1C")
    begin = charge_begin(slow)
    return float(slow.discharged_ah[begin] / (1.0 - soc_at(curve, float(slow.voltage_v[begin - 1]))))


def charge_begin(rate: Recording) -> int:
    """The first sample of the charge. Raises InputError when there is none."""
    charging = np.flatnonzero(rate.current_a < -EDGE_A)
    if not charging.size or charging[0] < 2:
        raise InputError(
            Problem(f"{rate.name}: no charge behind the discharge", expected="discharge, rest, charge, rest")
        )
    return int(charging[0])


def pulse_test(pulse: Recording, curve: OcvCurve, capacity_ah: float) -> Test:
    """A pulse from rest at the SoC that its first voltage tells."""
    start = soc_at(curve, float(pulse.voltage_v[0]))
    return _test(pulse, "pulse", start, capacity_ah, thinned(pulse))


def rate_test(rate: Recording, curve: OcvCurve, capacity_ah: float, held_out: tuple[str, ...]) -> Test:
    """A rate test from the SoC that its first voltage tells; one that began under load from the voltage at its end."""
    step_v, step_a = np.diff(rate.voltage_v[:2])[0], np.diff(rate.current_a[:2])[0]
    rested_v = float(rate.voltage_v[-1] if abs(step_v) < LEAST_OHM * abs(step_a) else rate.voltage_v[0])
    test = _test(rate, "constant_current", soc_at(curve, rested_v), capacity_ah, thinned(rate))
    held = rate.name.split("_")[-1] in held_out
    return replace(test, use="test", window=WINDOW) if held else test


def thinned(recording: Recording) -> Bools:
    """Which samples are kept: all near a change of the current, and ever fewer while it stands still."""
    turned = np.abs(np.diff(recording.current_a, prepend=recording.current_a[0])) > EDGE_A
    keep = np.zeros(recording.time_s.size, dtype=np.bool_)
    edge_s = last_s = float(recording.time_s[0])
    for k, t in enumerate(recording.time_s.tolist()):
        if turned[k]:
            edge_s = t
        gap_s = min(DENSE * (t - edge_s), SPARSE_S)
        if turned[k] or t - last_s >= gap_s or k in (0, recording.time_s.size - 1):
            keep[k], last_s = True, t
    keep[:-1] |= turned[1:]
    return keep


def _test(r: Recording, kind: TestKind, start: float, capacity_ah: float, keep: Bools) -> Test:
    read = np.ones(r.time_s.size, dtype=np.bool_) if r.voltage_read is None else r.voltage_read
    return Test(
        r.name,
        kind,
        0.0 if r.nominal_degc is None else r.nominal_degc,
        Trace(r.time_s[keep], r.current_a[keep], r.voltage_v[keep]),
        start,
        capacity_ah,
        window=FIT_WINDOW,
        cell_degc=None if r.temperature_degc is None else r.temperature_degc[keep],
        used=read[keep],
    )
