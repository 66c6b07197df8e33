"""What every reader gives: a test of one cell on common terms, checked, and an OCV table measured by somebody else.

Positive current discharges the cell. ``current_a[k]`` flows from ``time_s[k]`` until ``time_s[k+1]``. Steps of time differ
within most recordings.
"""

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem

Floats = NDArray[np.float64]

VOLTAGE_V = (0.0, 6.0)  # of one cell of any lithium chemistry; millivolts and packs lie outside
TEMPERATURE_DEGC = (-60.0, 200.0)  # kelvin lies outside
STEP_SHARE = 0.1  # a change of current by this share of the greatest current is a step that the voltage must answer
BALANCE_V = 0.02  # without such a step: a rise by more while charge was taken out is a sign that is wrong


class Kind(Enum):
    """What a test was made for."""

    SLOW = "slow"  # full sweep at C/20 or less, for the OCV
    PULSE = "pulse"  # pulses and the rests behind them
    CONSTANT = "constant"  # discharge or charge at one current
    DRIVE = "drive"  # a drive cycle
    CONDITIONING = "conditioning"  # dither, emptying, filling between other tests: for the charge balance


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One test of one cell, all arrays of shape (n,), n >= 2.

    ``temperature_degc`` is the measured surface, None where only the chamber's ``nominal_degc`` is known (None: not even
    that). Where a cycler logs seldom, readers put a sample at the very change of the current, whose voltage is that of the
    sample before: ``voltage_read`` (n,) is False there, None when every voltage was read. ``name`` is unique within its
    data set.
    """

    name: str
    kind: Kind
    cell: str
    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats | None
    nominal_degc: float | None
    source: str
    licence: str
    voltage_read: NDArray[np.bool_] | None = None

    @property
    def discharged_ah(self) -> Floats:
        """Charge taken out since the first sample, Ah, shape (n,)."""
        moved = self.current_a[:-1] * np.diff(self.time_s)
        return np.concatenate(([0.0], np.cumsum(moved))) / 3600.0

    def part(self, name: str, begin: int, end: int) -> "Recording":
        """The samples ``begin`` to ``end`` (exclusive) under another name, their time as it was."""
        cut = slice(begin, end)
        degc = None if self.temperature_degc is None else self.temperature_degc[cut]
        read = None if self.voltage_read is None else self.voltage_read[cut]
        return replace(
            self,
            name=name,
            time_s=self.time_s[cut],
            current_a=self.current_a[cut],
            voltage_v=self.voltage_v[cut],
            temperature_degc=degc,
            voltage_read=read,
        )


@dataclass(frozen=True, slots=True, eq=False)
class OcvCurve:
    """An OCV table as published: ``soc`` rising from 0 to 1, ``ocv_v`` beside it, shape (n,).

    ``half_width_v`` is half of the charge branch less the discharge branch, None where it is not told.
    """

    name: str
    soc: Floats
    ocv_v: Floats
    half_width_v: Floats | None
    nominal_degc: float
    source: str
    licence: str


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """All that one folder or file holds. ``layout`` is the reader's name."""

    layout: str
    recordings: tuple[Recording, ...]
    curves: tuple[OcvCurve, ...] = ()

    def recording(self, name: str) -> Recording:
        """The recording of that name. Raises InputError when the data set has none."""
        for each in self.recordings:
            if each.name == name:
                return each
        names = ", ".join(each.name for each in self.recordings[:8])
        raise InputError(Problem(f"no recording {name!r} in the {self.layout} data", found=names or "none at all"))


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where arrays came from, for messages: a file, and in it an array by name or lines (one number a sample)."""

    path: Path
    array: str = ""
    lines: NDArray[np.int64] | None = None

    def problem(self, message: str, sample: int = -1, expected: str = "", found: str = "") -> Problem:
        """What is wrong at a sample, -1 for the whole array."""
        line = int(self.lines[sample]) if self.lines is not None and sample >= 0 else 0
        index = f"[{sample}]" if self.array and sample >= 0 else ""
        what = f"{self.array}{index}: {message}" if self.array else message
        return Problem(what, str(self.path), line, expected=expected, found=found)


def checked(recording: Recording, place: Place) -> Recording:
    """The recording when it can be a cell's.

    Raises:
        InputError: fewer than two samples, arrays of unequal length, a value that is not finite or not of one cell, time
            that does not rise, or a voltage that answers the current as if its sign were wrong.
    """
    arrays = {"time": recording.time_s, "current": recording.current_a, "voltage": recording.voltage_v}
    if recording.temperature_degc is not None:
        arrays["temperature"] = recording.temperature_degc
    sizes = {name: values.shape for name, values in arrays.items()}
    if len(set(sizes.values())) > 1 or len(recording.time_s.shape) != 1:
        raise InputError(place.problem("arrays of one length", expected="one number a sample each", found=str(sizes)))
    if recording.time_s.size < 2:
        raise InputError(place.problem("samples", expected="at least 2", found=str(recording.time_s.size)))
    for name, values in arrays.items():
        _within(place, name, values, np.isfinite(values), "a finite number")
    _within(place, "voltage in V", arrays["voltage"], _between(recording.voltage_v, VOLTAGE_V), "one cell's, 0 to 6 V")
    if recording.temperature_degc is not None:
        degc = recording.temperature_degc
        _within(place, "temperature in degC", degc, _between(degc, TEMPERATURE_DEGC), "-60 to 200 degC")
    rising = np.diff(recording.time_s, prepend=-np.inf) > 0.0
    _within(place, "time in s", recording.time_s, rising, "more than the sample before")
    if voltage_response(recording) > 0:
        problem = place.problem(
            "the sign of the current", expected="a voltage that falls when the cell is discharged", found="it rises"
        )
        raise InputError(problem)
    return recording


def voltage_response(recording: Recording) -> int:
    """Sign of the voltage's answer to more discharge: -1 as a cell does, 1 the other way round, 0 when it cannot be told.

    From the steps of the current where there are any, else from the charge balance between first and last sample.
    """
    if recording.voltage_read is not None:
        read = recording.voltage_read
        recording = replace(
            recording,
            voltage_read=None,
            **{name: getattr(recording, name)[read] for name in ("time_s", "current_a", "voltage_v")},
        )
    step_a = np.diff(recording.current_a)
    large = np.abs(step_a) > STEP_SHARE * np.max(np.abs(recording.current_a), initial=0.0)
    answer = float(np.sum(step_a[large] * np.diff(recording.voltage_v)[large]))
    if answer != 0.0:
        return 1 if answer > 0.0 else -1
    rise_v = float(recording.voltage_v[-1] - recording.voltage_v[0])
    if abs(rise_v) <= BALANCE_V:
        return 0
    return int(np.sign(rise_v * recording.discharged_ah[-1]))


def _between(values: Floats, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= limits[0]) & (values <= limits[1])


def _within(place: Place, what: str, values: Floats, good: NDArray[np.bool_], expected: str) -> None:
    if not good.all():
        first = int(np.argmin(good))
        raise InputError(place.problem(what, first, expected, repr(float(values[first]))))
