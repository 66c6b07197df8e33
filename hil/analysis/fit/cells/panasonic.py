"""Panasonic NCR18650PF (NCA): repeated UDDS at 25 degC from full, fitted on trips 1 to 5, judged on the later ones.

The trips are one run cut up: each is predicted from the begin of trip 1, so that its polarisation is carried over. Trips 1
to 5 go from full to 0.72 SoC, the later ones on to 0.37: judging them is judging an extrapolation. Resistances are therefore
held nearly flat over SoC (chosen on trips 1-3 against 4-5: 4 mV, with free tables as well, with one value for all SoC 5 mV), and
capacity and start of the count come from trips 1 to 5 and the OCV table alone.
"""

from pathlib import Path

import numpy as np

from hil.analysis.fit.counting import count_by_ocv
from hil.analysis.fit.data import SOC, CellData, OcvTable, Test, Trace
from hil.analysis.fit.ocv import monotone
from hil.analysis.fit.readers.panasonic import LICENCE, SOURCE, read_panasonic_folder
from hil.analysis.fit.readers.recording import Recording
from hil.analysis.fit.solve import FitOptions
from hil.errors import InputError, Problem

NOMINAL_AH = 2.9
DEGC = 25.0
FITTED = ("trip01", "trip02", "trip03", "trip04", "trip05")
GAP_S = 0.1  # between the last sample of a trip and the first of the next, the clock's step
OPTIONS = FitOptions(pairs=3, flatness=0.05, m_v=0.0)
NOTES = {
    "header": "Fitted to trips 1 to 5 (SoC 1.00 to 0.72) and the C/20 OCV table; trips 6 to 11 (to 0.37) are held out. The OCV is "
    "that table less a shift found by the fit (taken for a slow charge, which lies above the OCV). Below 0.72 SoC every resistance "
    "is extrapolated flat: real ones rise below about 0.2. Nothing was measured at another temperature than 25 degC: the "
    "tables are the same at all. Hysteresis is not told by these data and is left out.",
    "capacity_ah": "from trips 1 to 5 and the OCV table: 0.77 Ah moved the OCV along 27 % of it; nominal 2.9 Ah",
    "mass_kg": "assumed: 18650 of this energy, data sheets say 46 to 48 g",
    "heat_capacity_j_per_k": "assumed: 950 J/(kg K), the middle of 850-1050 for cylindrical NCA cells",
    "surface_heat_transfer_w_per_k": "assumed: 15 W/(m2 K) on the 42 cm2 of an 18650, still to slow air",
}


def recognises(folder: Path) -> bool:
    """Whether the folder holds such files, by name."""
    return any(folder.glob("udds_*trips*.npz"))


def read(folder: Path, fitted: tuple[str, ...] = FITTED) -> CellData:
    """The cell; trips not `fitted` are held out. Raises InputError when a file is damaged or the OCV table missing."""
    found = read_panasonic_folder(folder)
    if not found.curves:
        raise InputError(Problem("no OCV table", str(folder), expected="soc_ocv.npz beside the trips"))
    trips = [found.recording(name) for name in fitted]
    held = [r for r in found.recordings if r.name not in fitted]
    curve, whole = found.curves[0], joined(trips)
    counted = count_by_ocv(whole, curve.soc, curve.ocv_v, NOMINAL_AH)
    ocv_v = monotone(np.interp(SOC, curve.soc, curve.ocv_v) - counted.shift_v)
    tests = [Test(f"trips {fitted[0][4:]} to {fitted[-1][4:]}", "drive", DEGC, whole, counted.start_soc,
                  counted.capacity_ah, window=(0.0, 1.0))]  # fmt: skip
    for k, trip in enumerate(held):
        run = joined([*trips, *held[: k + 1]])
        used = np.arange(run.time_s.size) >= run.time_s.size - trip.time_s.size
        tests.append(Test(trip.name, "drive", DEGC, run, counted.start_soc, counted.capacity_ah, use="test", used=used))
    return CellData(
        cell="Panasonic NCR18650PF",
        chemistry="NCA",
        source=SOURCE,
        licence=LICENCE,
        ocv={DEGC: OcvTable(SOC, ocv_v, None, counted.capacity_ah)},
        tests=tuple(tests),
        mass_kg=0.047,
        heat_capacity_j_per_k=44.6,
        surface_heat_transfer_w_per_k=0.063,
        notes=NOTES,
    )


def joined(trips: list[Recording]) -> Trace:
    """Trips behind one another on one even clock: the recorded one jitters by up to 0.07 s about it, which costs a new step
    length at every sample and tells nothing."""
    times, at = [], 0.0
    for trip in trips:
        times.append(at + np.linspace(0.0, trip.time_s[-1] - trip.time_s[0], trip.time_s.size))
        at = float(times[-1][-1]) + GAP_S
    return Trace(
        np.concatenate(times),
        np.concatenate([t.current_a for t in trips]),
        np.concatenate([t.voltage_v for t in trips]),
    )
