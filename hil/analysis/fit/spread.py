"""Cell-to-cell spread from pulses of several cells of one batch.

Resistance: what a pulse drops between its first and its last reading, over its current, so that the contacts, which stand
still and differ by up to 15 mohm between holders, are not in it. Capacity: cells that gave the same charge since they were
full stand at SoC 1 - Ah / Q, so the spread of 1 / (1 - SoC) is that of Q.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np

from hil.analysis.fit.data import Floats
from hil.analysis.fit.readers.recording import Kind, OcvCurve, Recording
from hil.files.cell import SpreadModel

LEAST_CELLS = 4
DEPTH = (0.1, 0.9)  # SoC: nearer to full the depth is too small to divide by, nearer to empty the voltage too steep
DEEP_SOC = 0.35  # below it the charge given is most of the capacity
MOST_DEGC = 30.0  # hotter, the polarisation is small against the readings
LEAST_S = 9.0  # a pulse that ended earlier met its voltage limit


def spread_of(recordings: Iterable[Recording], curve: OcvCurve) -> SpreadModel | None:
    """The relative spread over cells, median over temperatures and SoC; None with fewer than four cells anywhere."""
    groups: dict[tuple[float, str], list[tuple[float, float]]] = defaultdict(list)
    for r in recordings:
        measured = _measured(r, curve) if r.kind is Kind.PULSE else None
        if measured is not None and r.nominal_degc is not None and r.nominal_degc <= MOST_DEGC:
            groups[r.nominal_degc, r.name.removesuffix(r.cell)].append(measured)
    full = [np.array(group) for group in groups.values() if len(group) >= LEAST_CELLS]
    inside = [g for g in full if DEPTH[0] < g[:, 1].mean() < DEPTH[1]]
    deep = [g for g in inside if g[:, 1].mean() < DEEP_SOC]
    if not inside or not deep:
        return None
    resistance = _median(inside, lambda g: g[:, 0])
    capacity = _median(deep, lambda g: 1.0 / (1.0 - g[:, 1]))
    cells = max(g.shape[0] for g in inside)
    source = (
        f"{cells} cells, pulses at {len({t for t, _ in groups})} temperatures up to {MOST_DEGC:g} degC: resistance from the "
        f"drop within a pulse, without its first instant and so without contacts, median of {len(inside)} groups; capacity "
        f"from the SoC at rest below {DEEP_SOC:g} (the same charge given by each cell), median of {len(deep)} groups"
    )
    return SpreadModel(capacity_sigma=round(capacity, 4), resistance_sigma=round(resistance, 4), source=source)


def _measured(pulse: Recording, curve: OcvCurve) -> tuple[float, float] | None:
    """(polarisation of the pulse in ohm, SoC before it); None for one that ended early."""
    read = np.ones(pulse.time_s.size, dtype=np.bool_) if pulse.voltage_read is None else pulse.voltage_read
    busy = np.flatnonzero((pulse.current_a > 0.1 * np.max(pulse.current_a)) & read)
    if busy.size < 2 or pulse.time_s[busy[-1]] - pulse.time_s[0] < LEAST_S:
        return None
    drop_v = pulse.voltage_v[busy[0]] - pulse.voltage_v[busy[-1]]
    soc = float(np.interp(pulse.voltage_v[0], curve.ocv_v, curve.soc))
    return float(drop_v / pulse.current_a[busy[-1]]), soc


def _median(groups: list[Floats], of: Callable[[Floats], Floats]) -> float:
    """Median over groups of the relative standard deviation within a group."""
    return float(np.median([np.std(of(g), ddof=1) / np.mean(of(g)) for g in groups]))
