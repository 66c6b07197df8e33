"""Golden compare: two records, or two CAN logs, signal by signal with tolerances of value and time.

Two samples of a signal agree when they are at most ``time`` apart and their values at most ``value + relative *
|golden value|``; NaN agrees with NaN, an infinite value only with itself. The signal is the same when every sample of
the new one agrees with some golden sample and every golden sample with some new one, so that neither too much nor too
little goes unnoticed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import ExitCode, InputError, Problem
from hil.files import Duration, Strict, load_model
from hil.replay.conditions import in_unit
from hil.replay.samples import Signals, load_signals, put_in_place

FIRST = 3  # differences told per signal
Int64 = NDArray[np.int64]
Floats = NDArray[np.float64]


class SignalTolerance(Strict):
    """Tolerances of the signals a pattern names; what is not given is the file's default."""

    value: float | str | None = None
    relative: float | None = None
    time: Duration | None = None


class GoldenFile(Strict):
    """A ``golden.yaml``: defaults, exceptions by pattern (``*`` and ``?``; the last that fits counts), and what to ignore."""

    value: float = 0.0
    relative: float = 0.0
    time: Duration = 0
    ignore: tuple[str, ...] = ()
    signals: dict[str, SignalTolerance] = {}  # noqa: RUF012  # pydantic copies it


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What one signal may be off by: ``value`` and ``relative`` (share of the golden value), and ns of time."""

    value: float = 0.0
    relative: float = 0.0
    time_ns: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for what is negative or no number."""
        for name, number in (("value", self.value), ("relative", self.relative), ("time", self.time_ns)):
            if not 0.0 <= number < float("inf"):
                raise InputError(Problem(f"tolerance of {name}", expected="0 or more", found=str(number)))


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The defaults, exceptions in file order, and patterns of signals that are not compared."""

    default: Tolerance = Tolerance()
    exceptions: tuple[tuple[str, SignalTolerance], ...] = ()
    ignore: tuple[str, ...] = ()

    def ignores(self, name: str) -> bool:
        """True when a pattern of the ignore list fits."""
        return any(fits(pattern, name) for pattern in self.ignore)

    def of(self, name: str, unit: str) -> Tolerance:
        """The tolerance of one signal; texts such as ``2 mV`` are read in its unit.

        Raises:
            InputError: a text does not fit the unit.
        """
        chosen = next((t for p, t in reversed(self.exceptions) if fits(p, name)), None)
        if chosen is None:
            return self.default
        value = self.default.value if chosen.value is None else chosen.value
        if isinstance(value, str):
            value = in_unit(value, unit, difference=True)
        return Tolerance(
            value,
            self.default.relative if chosen.relative is None else chosen.relative,
            self.default.time_ns if chosen.time is None else chosen.time,
        )


def fits(pattern: str, name: str) -> bool:
    """True when ``name`` fits ``pattern``, in which ``*`` stands for any text and ``?`` for one character."""
    first, *middle = (re.escape(piece).replace(r"\?", ".") for piece in pattern.split("*"))
    if not middle:
        return re.fullmatch(first, name, re.DOTALL) is not None
    # Each piece between two stars is taken where it stands first and never tried elsewhere ("(?>"): no later place could
    # help what follows, and trying them all takes for ever with many stars.
    wanted = first + "".join(f"(?>.*?{piece})" for piece in middle[:-1]) + ".*" + middle[-1]
    return re.fullmatch(wanted, name, re.DOTALL) is not None


def load_tolerances(
    path: Path | None = None, value: float | None = None, time_s: float | None = None, ignore: Iterable[str] = ()
) -> Tolerances:
    """Tolerances from a ``golden.yaml`` (all zero without one); ``value`` and ``time_s`` replace its defaults, ``ignore`` adds.

    Raises:
        InputError: the file is wrong or a tolerance is negative.
    """
    file = GoldenFile() if path is None else load_model(path, GoldenFile)[0]
    default = Tolerance(
        file.value if value is None else value,
        file.relative,
        file.time if time_s is None else round(time_s * 1e9),
    )
    return Tolerances(default, tuple(file.signals.items()), (*file.ignore, *ignore))


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample that agrees with none: ``got`` and ``expected`` as text, ``away`` the distance of the two values.

    ``expected`` is the closest value within the tolerance of time, or of the nearest sample with ``late_s``, how far that
    one is in time. ``side`` says whose sample it is: ``new`` or ``golden``.
    """

    time_s: float
    side: str
    got: str
    expected: str
    away: float | None
    late_s: float | None = None


@dataclass(frozen=True, slots=True)
class SignalDifference:
    """How one signal differs: ``kind`` is ``missing``, ``extra`` or ``differs``; counts of samples and of lonely ones."""

    name: str
    kind: str
    unit: str = ""
    n_new: int = 0
    n_golden: int = 0
    lonely_new: int = 0
    lonely_golden: int = 0
    worst: float | None = None
    first: tuple[Sample, ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        if self.kind != "differs":
            who = "golden" if self.kind == "missing" else "new"
            return [f"{self.name}: {self.kind} ({max(self.n_new, self.n_golden)} samples, only in the {who} one)"]
        worst = "" if self.worst is None else f", worst by {self.worst:.6g} {self.unit}".rstrip(" 1")
        told = [
            f"{self.name}: {self.lonely_new} of {self.n_new} new and {self.lonely_golden} of {self.n_golden} golden "
            f"samples have no counterpart{worst}"
        ]
        for s in self.first:
            other = "expected" if s.side == "new" else "found"
            gap = "" if s.away is None else f", off by {s.away:.6g}"
            gap += "" if s.late_s is None else f", {s.late_s * 1e3:+.6g} ms away"
            told.append(f"    {s.time_s:.6f} s  {s.side} {s.got}, {other} {s.expected}{gap}")
        return told


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome: how many signals were compared and which differ."""

    golden: Path
    new: Path
    compared: int
    ignored: int
    differences: list[SignalDifference] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """True when nothing differs."""
        return not self.differences

    @property
    def exit_code(self) -> ExitCode:
        """PASS when nothing differs, FAIL else; UNDECIDED when there was nothing to compare."""
        if self.differences:
            return ExitCode.FAIL
        return ExitCode.PASS if self.compared else ExitCode.UNDECIDED

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "same": self.same,
            "compared": self.compared,
            "ignored": self.ignored,
            "differences": [asdict(d) for d in self.differences],
        }

    def lines(self) -> list[str]:
        """The readable diff."""
        ignored = f", {self.ignored} ignored" if self.ignored else ""
        if self.same:
            return [f"{self.new} is like {self.golden}: {self.compared} signals compared{ignored}"]
        head = f"{self.new} differs from {self.golden} in {len(self.differences)} of {self.compared} signals{ignored}"
        return [head] + [f"  {line}" for d in self.differences for line in d.lines()]


def compare(golden: Path, new: Path, tolerances: Tolerances | None = None, dbc: Path | None = None) -> Comparison:
    """Compare two records of this project or two CAN logs; logs by the signals of ``dbc``, or frame by frame without.

    Times of logs count from each log's first frame.

    Raises:
        InputError: a file cannot be read, or one is a record and the other a log.
    """
    chosen = tolerances or Tolerances()
    old, found = load_signals(golden, new, dbc)
    return compare_signals(golden, new, old, found, chosen)


def compare_signals(golden: Path, new: Path, old: Signals, found: Signals, tolerances: Tolerances) -> Comparison:
    """Compare two sets of signals; the paths are for the words only."""
    differences: list[SignalDifference] = []
    names = list(dict.fromkeys([*old, *found]))
    kept = [n for n in names if not tolerances.ignores(n)]
    for name in kept:
        if name not in found or name not in old:
            there = old.get(name) or found[name]
            kind, n = ("missing", 0) if name not in found else ("extra", len(there.t_ns))
            differences.append(SignalDifference(name, kind, there.unit, n, len(there.t_ns) if not n else 0))
            continue
        a, b = old[name], found[name]
        tolerance = tolerances.of(name, a.unit)
        if a.is_time:
            tolerance = Tolerance(max(tolerance.value, tolerance.time_ns * 1e-9), 0.0, tolerance.time_ns)
        one = signal_difference(name, (a.t_ns, a.values), (b.t_ns, b.values), tolerance, a.unit, a.texts)
        if one is not None:
            differences.append(one)
    return Comparison(golden, new, len(kept), len(names) - len(kept), differences)


def signal_difference(
    name: str,
    golden: tuple[Int64, Floats],
    new: tuple[Int64, Floats],
    tolerance: Tolerance,
    unit: str = "",
    texts: Sequence[str] = (),
) -> SignalDifference | None:
    """How one signal differs, None when it does not; ``texts`` are words for values that are indexes of payloads."""
    if np.array_equal(golden[0], new[0]) and np.array_equal(golden[1], new[1], equal_nan=True):
        return None
    lonely_new, lonely_golden = unmatched(golden, new, tolerance)
    if not len(lonely_new) and not len(lonely_golden):
        return None
    told = [_told(new, int(i), golden, "new", tolerance, texts) for i in lonely_new[:FIRST]]
    told += [_told(golden, int(i), new, "golden", tolerance, texts) for i in lonely_golden[:FIRST]]
    told.sort(key=lambda s: s.time_s)
    worst = None
    if not texts:
        away = np.concatenate((_away(new, lonely_new, golden, tolerance), _away(golden, lonely_golden, new, tolerance)))
        known = away[np.isfinite(away)]
        worst = float(known.max()) if len(known) else None
    return SignalDifference(
        name,
        "differs",
        unit,
        len(new[0]),
        len(golden[0]),
        len(lonely_new),
        len(lonely_golden),
        worst,
        tuple(told[:FIRST]),
    )


def unmatched(golden: tuple[Int64, Floats], new: tuple[Int64, Floats], tolerance: Tolerance) -> tuple[Int64, Int64]:
    """Indexes of the new samples that agree with no golden one, and of the golden ones that agree with no new one.

    Times need not be sorted.
    """
    return _lonely(new, golden, tolerance, True), _lonely(golden, new, tolerance, False)


def _lonely(mine: tuple[Int64, Floats], other: tuple[Int64, Floats], tolerance: Tolerance, is_new: bool) -> Int64:
    """Indexes of my samples with no counterpart: all windows move by one sample at a time, side by side."""
    times, values = _sorted(other)
    index = np.arange(len(mine[0]))
    at = np.searchsorted(times, mine[0] - tolerance.time_ns, "left")
    end = np.searchsorted(times, mine[0] + tolerance.time_ns, "right")
    left = at < end
    lonely = index[~left]
    open_, at, end = index[left], at[left], end[left]
    while len(open_):
        v, w = mine[1][open_], values[at]
        agree = _agree(v, w, w if is_new else v, tolerance)
        at = at + 1
        over = ~agree & (at >= end)
        lonely = np.concatenate((lonely, open_[over]))
        going = ~agree & ~over
        open_, at, end = open_[going], at[going], end[going]
    return np.sort(lonely)


def _agree(a: Floats, b: Floats, golden: Floats, tolerance: Tolerance) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= tolerance.value + tolerance.relative * np.abs(golden)
    near &= np.isfinite(a) & np.isfinite(b)
    agree: NDArray[np.bool_] = near | (a == b) | (np.isnan(a) & np.isnan(b))
    return agree


def _sorted(samples: tuple[Int64, Floats]) -> tuple[Int64, Floats]:
    order = np.argsort(samples[0], kind="stable")
    return samples[0][order], samples[1][order]


def _closest(t_ns: int, value: float, other: tuple[Int64, Floats], time_ns: int) -> tuple[int, bool]:
    """Index of the other sample to name: the closest value within the time allowed, else the nearest in time; -1 = none."""
    if not len(other[0]):
        return -1, False
    apart = np.abs(other[0] - t_ns)
    inside = np.flatnonzero(apart <= time_ns)
    if len(inside):
        with np.errstate(invalid="ignore"):
            gaps = np.abs(other[1][inside] - value)
        return int(inside[int(np.argmin(np.where(np.isnan(gaps), np.inf, gaps)))]), True
    return int(np.argmin(apart)), False


def _told(
    mine: tuple[Int64, Floats],
    index: int,
    other: tuple[Int64, Floats],
    side: str,
    tolerance: Tolerance,
    texts: Sequence[str],
) -> Sample:
    t_ns, value = int(mine[0][index]), float(mine[1][index])
    at, inside = _closest(t_ns, value, other, tolerance.time_ns)

    def text(number: float) -> str:
        if texts:
            return texts[int(number)]
        return "unknown" if np.isnan(number) else repr(number)

    if at < 0:
        return Sample(t_ns * 1e-9, side, text(value), "nothing", None)
    away = abs(value - float(other[1][at]))
    late_s = None if inside else (int(other[0][at]) - t_ns) * 1e-9
    known = not texts and np.isfinite(away)
    return Sample(t_ns * 1e-9, side, text(value), text(float(other[1][at])), float(away) if known else None, late_s)


def _away(mine: tuple[Int64, Floats], lonely: Int64, other: tuple[Int64, Floats], tolerance: Tolerance) -> Floats:
    """Distance of each lonely sample from the closest value within the time allowed; NaN without one."""
    times, values = _sorted(other)
    t_ns, v = mine[0][lonely], mine[1][lonely]
    at = np.searchsorted(times, t_ns - tolerance.time_ns, "left")
    end = np.searchsorted(times, t_ns + tolerance.time_ns, "right")
    best = np.full(len(lonely), np.nan)
    while (going := at < end).any():
        here = np.flatnonzero(going)
        with np.errstate(invalid="ignore"):
            best[here] = np.fmin(best[here], np.abs(v[here] - values[at[here]]))
        at = at + 1
    return best


def accept(golden: Path, new: Path) -> None:
    """Make ``new`` the golden one: copied beside it, then put in its place in one step.

    Raises:
        InputError: ``new`` cannot be read, is the golden one itself, or is of another kind by its suffix.
        BenchError: the place cannot be written.
    """
    put_in_place(golden, new)
