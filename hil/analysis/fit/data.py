"""The nouns of a fit: tests of a cell, its open-circuit voltage, and both together.

Every reader turns its signs and units here: positive current discharges the cell, degC, V, A, s, Ah.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.files.cell import SpreadModel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
Kind = Literal["ocv", "pulse", "relaxation", "constant_current", "drive"]
Use = Literal["fit", "test"]
Chemistry = Literal["LFP", "NMC", "NCA", "LMO", "LCO"]

SOC = np.linspace(0.0, 1.0, 201)
WINDOW = (0.05, 0.95)


@dataclass(frozen=True)
class Trace:
    """A recording as it was made: `time_s`, `current_a` (positive discharges) and `voltage_v`, arrays of shape (n,)."""

    time_s: Floats
    current_a: Floats
    voltage_v: Floats

    def __post_init__(self) -> None:
        """Raises InputError for arrays of unlike length, what is not finite, and a clock that does not go forward."""
        sizes = {self.time_s.size, self.current_a.size, self.voltage_v.size}
        if len(sizes) != 1 or self.time_s.size < 2:
            raise InputError(Problem("", expected="time, current and voltage of one length, two samples or more"))
        if not all(np.all(np.isfinite(x)) for x in (self.time_s, self.current_a, self.voltage_v)):
            raise InputError(Problem("", expected="finite numbers", found="a value that is not finite"))
        if np.any(np.diff(self.time_s) <= 0.0):
            at = int(np.argmax(np.diff(self.time_s) <= 0.0)) + 1
            raise InputError(
                Problem("", expected="time that goes forward", found=f"{self.time_s[at]:g} s in sample {at + 1}")
            )

    def flow_ah(self, sign: int) -> float:
        """Charge in Ah that left (`sign` 1) or entered (`sign` -1) the cell, always positive."""
        flow = np.maximum(sign * self.current_a[:-1], 0.0) * np.diff(self.time_s)
        return float(np.sum(flow) / 3600.0)


@dataclass(frozen=True)
class Test:
    """One recording and how its state of charge is counted.

    `temperature_degc` is the nominal one, by which tests share a row of the tables; `cell_degc` (n,) the measured one
    where there is one. SoC counts from `start_soc` at the first sample with `capacity_ah` and `efficiency` (of charge).
    `use` "test" is held out: the fit never sees it. `used` (n,) marks the samples that count, all when None, of those in
    the SoC `window`. Hysteresis and polarisation are zero at the first sample: a test begins rested or after a dither.
    """

    name: str
    kind: Kind
    temperature_degc: float
    trace: Trace
    start_soc: float
    capacity_ah: float
    efficiency: float = 1.0
    use: Use = "fit"
    weight: float = 1.0
    window: tuple[float, float] = WINDOW
    cell_degc: Floats | None = None
    used: Bools | None = None

    __test__ = False  # pytest: this is a noun, no test case

    def soc(self) -> Floats:
        """State of charge at every sample, (n,): the current of a sample flows until the next."""
        current_a = self.trace.current_a
        moved = np.where(current_a < 0.0, self.efficiency, 1.0)[:-1] * current_a[:-1] * np.diff(self.trace.time_s)
        return self.start_soc - np.concatenate(([0.0], np.cumsum(moved))) / (3600.0 * self.capacity_ah)

    def counted(self) -> Bools:
        """Which samples count, (n,)."""
        soc = self.soc()
        inside = (soc >= self.window[0]) & (soc <= self.window[1])
        return inside if self.used is None else inside & self.used


@dataclass(frozen=True)
class OcvTable:
    """OCV at one temperature over `soc` (even steps from 0 to 1).

    `width_v` is charge branch less discharge branch (>= 0), which holds the hysteresis and the polarisation at the test's
    current; None where it was not measured.
    """

    soc: Floats
    ocv_v: Floats
    width_v: Floats | None
    capacity_ah: float
    efficiency: float = 1.0


@dataclass(frozen=True)
class CellData:
    """All that is known of one cell: OCV by temperature, tests, and what goes into the cell file unfitted.

    `notes` says by key of the cell file where an unfitted number comes from; the one of `header` goes into its head.
    """

    cell: str
    chemistry: Chemistry | None
    source: str
    licence: str
    ocv: Mapping[float, OcvTable]
    tests: tuple[Test, ...]
    mass_kg: float
    heat_capacity_j_per_k: float
    surface_heat_transfer_w_per_k: float
    notes: Mapping[str, str] = field(default_factory=dict)
    spread: SpreadModel | None = None

    def temperatures_degc(self) -> tuple[float, ...]:
        """Temperatures that tests to fit were made at, rising: the rows of the tables."""
        return tuple(sorted({t.temperature_degc for t in self.tests if t.use == "fit"}))

    def ocv_at(self, temperature_degc: float) -> OcvTable:
        """The OCV at a temperature: straight lines between those measured, held outside. Raises InputError without any."""
        if not self.ocv:
            raise InputError(Problem(f"{self.cell}: no open-circuit voltage", expected="an OCV table or OCV tests"))
        known = sorted(self.ocv)
        above = next((t for t in known if t >= temperature_degc), known[-1])
        below = next((t for t in reversed(known) if t <= temperature_degc), known[0])
        if above == below:
            return self.ocv[above]
        low, high, share = self.ocv[below], self.ocv[above], (temperature_degc - below) / (above - below)
        width = None if low.width_v is None or high.width_v is None else _mix(low.width_v, high.width_v, share)
        return OcvTable(
            low.soc,
            _mix(low.ocv_v, high.ocv_v, share),
            width,
            low.capacity_ah + share * (high.capacity_ah - low.capacity_ah),
            low.efficiency + share * (high.efficiency - low.efficiency),
        )


def _mix(low: Floats, high: Floats, share: float) -> Floats:
    return low + share * (high - low)
