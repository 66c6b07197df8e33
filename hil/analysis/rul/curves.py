"""Reading capacity data: an npz of early-life curves laid out like Severson's, a CSV of capacity by cycle."""

import csv
import io
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analysis.rul.fade import LEAST_AH, MOST_AH, MOST_CYCLE, History
from hil.errors import InputError, Problem

Floats = NDArray[np.float64]

MOST_BYTES = 512 * 2**20
MOST_ROWS = 200_000
MOST_PROBLEMS = 20
CYCLE_NAMES = ("cycle", "cycle_index", "cycle_number")
CAPACITY_NAMES = ("capacity_ah", "capacity", "discharge_capacity_ah", "discharge_capacity")
_BROKEN = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError, MemoryError, RuntimeError,
    SyntaxError, UserWarning, struct.error, tokenize.TokenError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What the standard library and numpy raise for damaged archives and headers."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Cells of one set. ``capacity_ah`` (cells, voltages, cycles) is the charge given since the start of a discharge
    when it is at ``voltage_v`` (falling), in each of ``cycles``; ``discharge_ah`` (cells, cycles 2, 3, 4 ...) the charge
    of whole discharges, NaN where unknown; ``life`` (cells) in cycles, None when it is not known.
    """

    name: str
    cycles: NDArray[np.int64]
    voltage_v: Floats
    capacity_ah: Floats
    discharge_ah: Floats
    life: Floats | None


def load_capacity(path: Path) -> tuple[Curves, ...] | History:
    """Curves from ``.npz``, a history from anything else. Raises InputError as the two readers do."""
    return load_curves(path) if path.suffix.lower() == ".npz" else load_history(path)


def load_curves(path: Path) -> tuple[Curves, ...]:
    """All sets of an npz: ``cycles``, ``voltage`` (V), and for each set NAME ``NAME_Q`` (cells, voltages, cycles) and
    ``NAME_Qend`` (cells, cycles 2, 3 ...) in Ah, ``NAME_life`` (cells) in cycles where it is known.

    Raises:
        InputError: no such file, no npz, an array is missing, of the wrong shape or no number.
    """
    arrays = _arrays(path)
    names = sorted(key[:-2] for key in arrays if key.endswith("_Q"))
    missing = [key for key in ("cycles", "voltage") if key not in arrays] + ([] if names else ["NAME_Q"])
    if missing:
        found = ", ".join(sorted(arrays)[:12]) or "none"
        raise InputError([Problem(f"array {key!r} is missing", str(path), found=found) for key in missing])
    return tuple(_curves(path, name, arrays) for name in names)


def _curves(path: Path, name: str, arrays: dict[str, Floats]) -> Curves:
    q, cycles, voltage = arrays[f"{name}_Q"], arrays["cycles"].ravel(), arrays["voltage"].ravel()
    problems = []
    if q.ndim != 3 or q.shape[1:] != (len(voltage), len(cycles)) or q.shape[0] == 0:
        expected = f"(cells, {len(voltage)} voltages, {len(cycles)} cycles)"
        problems.append(Problem(f"{name}_Q", str(path), expected=expected, found=str(q.shape)))
    for key, values in (("cycles", cycles), ("voltage", voltage), (f"{name}_Q", q)):
        if not (np.abs(values) <= MOST_AH).all():
            problems.append(
                Problem(key, str(path), expected=f"numbers up to {MOST_AH:g}", found="NaN, infinite or more")
            )
    if len(voltage) < 2 or not (np.diff(voltage) < 0).all():
        problems.append(Problem("voltage", str(path), expected="at least two, falling"))
    end = arrays.get(f"{name}_Qend")
    if end is None or end.ndim != 2 or len(end) != len(q) or end.shape[1] == 0:
        found = "nothing" if end is None else str(end.shape)
        problems.append(Problem(f"{name}_Qend", str(path), expected="(cells, cycles 2, 3, 4 ...)", found=found))
    life = arrays.get(f"{name}_life")
    if life is not None and (life.shape != q.shape[:1] or not ((life <= MOST_CYCLE) & (life > 0)).all()):
        problems.append(
            Problem(f"{name}_life", str(path), expected="one number above 0 per cell", found=str(life.shape))
        )
    if problems or end is None:
        raise InputError(problems)
    return Curves(name, cycles.astype(np.int64), voltage, q, end, life)


def _arrays(path: Path) -> dict[str, Floats]:
    """The arrays of an npz as float64. Nothing of it is executed, and a size it only claims is not believed."""
    found: dict[str, Floats] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise InputError(Problem("too large", str(path), expected=f"at most {MOST_BYTES >> 20} MiB of arrays"))
            for entry in entries:
                found[entry.filename[:-4]] = _array(archive.read(entry))
    except InputError:
        raise
    except _BROKEN as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise InputError(Problem("cannot be read as npz", str(path), found=told.splitlines()[0][:120])) from None
    return found


def _array(content: bytes) -> Floats:
    """One npy array of plain numbers. Raises ValueError for anything else."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    count = math.prod(shape)
    if dtype.kind not in "fiu" or any(n < 0 for n in shape):
        raise ValueError(f"an array of {dtype}, not of numbers")
    if count * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array that ends early or late")
    values = np.frombuffer(content, dtype, count, stream.tell())
    return values.reshape(shape, order="F" if fortran else "C").astype(np.float64)


def load_history(path: Path) -> History:
    """Capacity by cycle from a CSV with columns ``cycle`` and ``capacity_ah`` (or ``capacity``); others are let be.

    Comma, semicolon or tab. Of a cycle that stands twice the last counts.

    Raises:
        InputError: no such file, a column is missing, a cycle or a capacity is no number; each with its line.
    """
    text = _text(path)
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().casefold() for name in next(rows, [])]
        columns = _column(path, names, CYCLE_NAMES), _column(path, names, CAPACITY_NAMES)
        found: dict[float, float] = {}
        problems: list[Problem] = []
        for row in rows:
            if len(problems) >= MOST_PROBLEMS or len(found) > MOST_ROWS:
                break
            if any(cell.strip() for cell in row):
                _take(path, rows.line_num, row, columns, found, problems)
    except csv.Error as error:
        raise InputError(Problem("no CSV", str(path), rows.line_num, found=str(error))) from None
    if len(found) > MOST_ROWS:
        problems.append(Problem("too many cycles", str(path), expected=f"at most {MOST_ROWS}"))
    if not found and not problems:
        problems.append(Problem("no cycle", str(path), expected="a line for each cycle"))
    if problems:
        raise InputError(problems)
    cycles = np.array(sorted(found))
    return History(path.name, cycles, np.array([found[n] for n in cycles.tolist()]))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(Problem("too large", str(path), expected=f"at most {MOST_BYTES >> 20} MiB"))
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(Problem("not UTF-8", str(path), found=f"byte 0x{error.object[error.start]:02X}")) from None
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(Problem("cannot be read", str(path), found=told)) from None


def _column(path: Path, names: list[str], wanted: tuple[str, ...]) -> int:
    for name in wanted:
        if name in names:
            return names.index(name)
    found = ", ".join(names[:12]) or "nothing"
    raise InputError(
        Problem(f"column {wanted[0]!r} is missing", str(path), 1, expected=" or ".join(wanted), found=found[:200])
    )


def _take(
    path: Path, line: int, row: list[str], columns: tuple[int, int], found: dict[float, float], problems: list[Problem]
) -> None:
    values = []
    for at, name in zip(columns, ("cycle", "capacity"), strict=True):
        text = row[at].strip() if at < len(row) else ""
        value = _number(text)
        low, high = (LEAST_AH, MOST_AH) if name == "capacity" else (0.0, MOST_CYCLE)
        if not low <= value <= high:
            expected = f"{low:g} to {high:g}" + (" Ah" if name == "capacity" else "")
            problems.append(Problem(name, str(path), line, at + 1, expected=expected, found=repr(text[:40])))
        values.append(value)
    found[values[0]] = values[1]


def _number(text: str) -> float:
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
