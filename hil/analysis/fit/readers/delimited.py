"""Delimited text, plain or gzipped, as columns of numbers, each sample with its line."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analysis.fit.readers.recording import Floats, Place
from hil.errors import InputError, Problem
from hil.logs.packed import GZIP, unpack

MOST_BYTES = 1 << 29  # unpacked; a month of a cell at 10 Hz is half of it


@dataclass(frozen=True, slots=True)
class Text:
    """A file's lines without blank ones: ``rows`` and the line number of each."""

    path: Path
    rows: tuple[str, ...]
    numbers: NDArray[np.int64]

    def below(self, rows: int) -> "Text":
        """Without its first ``rows`` rows."""
        return Text(self.path, self.rows[rows:], self.numbers[rows:])

    @property
    def place(self) -> Place:
        """Where a sample stands."""
        return Place(self.path, "", self.numbers)


def text_of(path: Path) -> Text:
    """The file's lines. Raises InputError when it cannot be read, is damaged, too large, or no text."""
    content = content_of(path)
    if content.startswith(GZIP):
        content, skips = unpack(content)
        if skips:
            raise InputError(Problem(skips[0].what, str(path), expected="a sound gzip file", found=skips[0].where))
    if len(content) > MOST_BYTES:
        raise InputError(Problem("too large", str(path), expected=f"at most {MOST_BYTES} bytes of text"))
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise InputError(Problem("no text in UTF-8", str(path), expected="delimited numbers", found=found)) from error
    kept = [(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not kept:
        raise InputError(Problem("the file is empty", str(path), expected="delimited numbers"))
    return Text(path, tuple(line for line, _ in kept), np.array([number for _, number in kept], np.int64))


def content_of(path: Path) -> bytes:
    """The file's bytes. Raises InputError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(Problem(error.strerror or "cannot be read", str(path), expected="a data file")) from error


def columns(text: Text, picks: tuple[int, ...], delimiter: str = ",") -> list[Floats]:
    """The numbers of the columns ``picks`` (from 0), each of shape (rows,).

    Raises InputError with the line of the first value that is missing or no finite number.
    """
    try:
        table = np.loadtxt(text.rows, delimiter=delimiter, usecols=picks, ndmin=2, comments=None)
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(_first_wrong(text, picks, delimiter) or Problem(str(error), str(text.path))) from error
    if not np.isfinite(table).all():
        raise InputError(_first_wrong(text, picks, delimiter) or Problem("a value is not finite", str(text.path)))
    return [np.ascontiguousarray(table[:, k]) for k in range(len(picks))]


def _first_wrong(text: Text, picks: tuple[int, ...], delimiter: str) -> Problem | None:
    for row, number in zip(text.rows, text.numbers, strict=True):
        cells = row.split(delimiter)
        for pick in picks:
            found = cells[pick].strip() if pick < len(cells) else "the end of the line"
            try:
                good = bool(np.isfinite(float(found)))
            except ValueError:
                good = False
            if not good:
                what = f"column {pick + 1}"
                return Problem(what, str(text.path), int(number), expected="a finite number", found=repr(found[:40]))
    return None
