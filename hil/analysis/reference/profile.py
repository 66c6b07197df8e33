"""Current profiles of one cell: a sampled table, a drive cycle of one number per sample, or a recorded run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem
from hil.records.reader import is_record, read
from hil.scenario.loader import read_profile

Floats = NDArray[np.float64]
MOST_SAMPLES = 5_000_000
QUANTITY = "measured.pack_current"
TIMES = ("time", "time_s", "time [s]", "t", "t_s")
CURRENTS = ("current", "current_a", "current [a]", "i", "i_a")


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A current over time: ``current_a`` (positive discharges) holds from its sample to the next one.

    Arrays of shape (samples,), at least two; ``time_s`` begins at 0 and rises strictly.
    """

    name: str
    time_s: Floats
    current_a: Floats

    def resampled(self, step_s: float) -> "Profile":
        """The mean current of every ``step_s``, so that the charge stays; the last step may reach beyond the end.

        Raises InputError for a step that is not above 0, or longer than the profile.
        """
        span_s = float(self.time_s[-1])
        if not 0.0 < step_s <= span_s:
            raise InputError(
                Problem("step of a profile", expected=f"above 0, at most {span_s:g} s", found=f"{step_s:g} s")
            )
        if span_s / step_s > MOST_SAMPLES:
            raise _too_many(self.name)
        charge_as = np.concatenate(([0.0], np.cumsum(self.current_a[:-1] * np.diff(self.time_s))))
        edges_s = np.asarray(np.arange(math.ceil(span_s / step_s - 1e-9) + 1) * step_s, np.float64)
        mean_a = np.diff(np.interp(edges_s, self.time_s, charge_as)) / step_s
        return Profile(self.name, edges_s, np.concatenate((mean_a, self.current_a[-1:])))


def load_profile(path: Path, *, scale: float = 1.0, period_s: float = 1.0, quantity: str = QUANTITY) -> Profile:
    """The profile in a file, times ``scale``: a record (``quantity`` of it), a table ``time,current``, or a column.

    A column of one number a line, such as the drive cycles that ship, has a sample every ``period_s``. Raises
    InputError with file and line for anything else, no samples, or a time that does not rise.
    """
    if not math.isfinite(scale) or scale == 0.0:
        raise InputError(Problem("scale of a profile", expected="a finite number other than 0", found=f"{scale:g}"))
    if path.is_file() and is_record(path):
        made = _recorded(path, quantity)
    else:
        lines = _lines(path)
        separated = next((line for _, line in lines if "," in line or ";" in line), None)
        made = _table(lines, path) if separated is not None else _column(path, period_s)
    return Profile(made.name, made.time_s - made.time_s[0], np.asarray(made.current_a * scale))


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines with something on them, and their numbers; those that begin with # are notes."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot read the profile: {error}", str(path))) from error
    numbered = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1)]
    return [(n, line) for n, line in numbered if line and not line.startswith("#")]


def _column(path: Path, period_s: float) -> Profile:
    if not 0.0 < period_s < math.inf:
        raise InputError(Problem("period of a profile", expected="more than 0 s", found=f"{period_s:g} s"))
    current_a = read_profile(path)
    time_s = np.asarray(np.arange(len(current_a) + 1) * period_s, np.float64)
    return _checked(path, time_s, np.concatenate((current_a, current_a[-1:])), None)


def _table(lines: Sequence[tuple[int, str]], path: Path) -> Profile:
    """A table with or without a header; other columns than time and current are passed over."""
    comma = ";" if ";" in lines[0][1] else ","
    first = [field.strip().strip('"').lower() for field in lines[0][1].split(comma)]
    at = (0, 1)
    if not all(_number(field) is not None for field in first[:2]):
        found = [next((k for k, field in enumerate(first) if field in names), -1) for names in (TIMES, CURRENTS)]
        if -1 in found:
            expected = f"a header with {TIMES[0]} and {CURRENTS[0]} (s and A)"
            raise InputError(Problem("profile", str(path), lines[0][0], 1, expected, repr(lines[0][1][:60])))
        at, lines = (found[0], found[1]), lines[1:]
    rows: list[tuple[float, float]] = []
    for number, line in lines:
        fields = line.split(comma)
        values = [_number(fields[k]) if k < len(fields) else None for k in at]
        if values[0] is None or values[1] is None:
            raise InputError(Problem("profile", str(path), number, 1, "a finite time and current", repr(line[:60])))
        rows.append((values[0], values[1]))
    table = np.array(rows, np.float64).reshape(-1, 2)
    return _checked(path, table[:, 0], table[:, 1], [number for number, _ in lines])


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _recorded(path: Path, quantity: str) -> Profile:
    """A column of a record; what is unknown holds the value before it, and what is unknown at first is left out."""
    from hil.analysis.show import signals

    found = signals(read(path), [quantity])
    if len(found) != 1:
        raise InputError(
            Problem(f"{quantity} has {len(found)} elements", str(path), expected=f"one, such as {quantity}[0]")
        )
    signal = found[0]
    times, values = np.asarray(signal.times, np.float64), np.asarray(signal.values, np.float64)
    known = np.isfinite(values)
    if signal.unit != "A":
        raise InputError(Problem(f"{quantity} is no current", str(path), expected="a quantity in A", found=signal.unit))
    if not known.any():
        raise InputError(Problem(f"{quantity} is unknown in the whole record", str(path), expected="a current"))
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    kept = last >= 0
    return _checked(path, times[kept], values[last[kept]], None)


def _checked(path: Path, time_s: Floats, current_a: Floats, numbers: list[int] | None) -> Profile:
    if len(time_s) < 2:
        raise InputError(Problem("profile", str(path), expected="at least two samples", found=str(len(time_s))))
    if len(time_s) > MOST_SAMPLES:
        raise _too_many(str(path))
    falling = np.flatnonzero(np.diff(time_s) <= 0.0)
    if len(falling):
        at = int(falling[0]) + 1
        line = numbers[at] if numbers is not None else 0
        found = f"{time_s[at]:g} s after {time_s[at - 1]:g} s"
        raise InputError(Problem("profile", str(path), line, 1, "a time that rises", found))
    return Profile(path.name, time_s, current_a)


def _too_many(name: str) -> InputError:
    return InputError(Problem("the profile is too long", name, expected=f"at most {MOST_SAMPLES} samples"))
