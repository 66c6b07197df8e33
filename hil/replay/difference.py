"""Where two records part: the first tick and column, the first frame, and how much differs in all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.records.reader import Record

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One kind of difference: ``what`` with the first place it shows (s of the run), both values, and counts."""

    what: str
    time_s: float | None
    recorded: str
    replayed: str
    more: str = ""

    def __str__(self) -> str:
        """One line."""
        at = "" if self.time_s is None else f" at {self.time_s:.6f} s"
        return f"{self.what}{at}: recorded {self.recorded}, replayed {self.replayed}" + (
            f"; {self.more}" if self.more else ""
        )


def differences(recorded: Record, replayed: Record) -> list[Difference]:
    """What two records hold differently, in the order: the table, ticks, the checks' columns, full rows, frames."""
    if recorded.table != replayed.table:
        old, new = set(recorded.table.labels()), set(replayed.table.labels())
        apart = ", ".join(sorted(old ^ new)[:MOST_NAMED])
        return [
            Difference(
                "the quantity table",
                None,
                f"{recorded.table.columns} columns",
                f"{replayed.table.columns}",
                f"only in one: {apart}" if apart else "",
            )
        ]
    out: list[Difference] = []
    labels = recorded.table.labels()
    if recorded.check_columns != replayed.check_columns:
        out.append(_count("columns the checks read", recorded.check_columns, replayed.check_columns))
    else:
        names = [labels[i] for i in recorded.check_columns]
        args = (recorded.check_times_ns, recorded.checks, replayed.check_times_ns, replayed.checks)
        out += _blocks("ticks", names, *args)
    args = (recorded.row_times_ns, recorded.rows, replayed.row_times_ns, replayed.rows)
    out += _blocks("full rows", labels[: recorded.table.recorded], *args)
    out += _frames(recorded.frames, replayed.frames)
    return out


def _count(what: str, old: object, new: object) -> Difference:
    return Difference(f"number of {what}", None, str(len(old)), str(len(new)))  # type: ignore[arg-type]  # any sequence


def _blocks(
    what: str,
    names: list[str],
    old_ns: NDArray[np.int64],
    old: NDArray[np.float64],
    new_ns: NDArray[np.int64],
    new: NDArray[np.float64],
) -> list[Difference]:
    """Compared bit by bit at the instants both have; -0 and 0 differ, NaN is equal to NaN of the same bits."""
    out = [_count(what, old_ns, new_ns)] if len(old_ns) != len(new_ns) else []
    _, at_old, at_new = np.intersect1d(old_ns, new_ns, return_indices=True)
    unlike = old[at_old].view(np.int64) != new[at_new].view(np.int64)
    if unlike.any():
        row = int(np.flatnonzero(unlike.any(axis=1))[0])
        column = int(np.flatnonzero(unlike[row])[0])
        apart = np.flatnonzero(unlike.any(axis=0))
        others = [names[c] for c in np.flatnonzero(unlike[row])[1 : 1 + MOST_NAMED]]
        more = f"in all {int(unlike.sum())} values of {len(apart)} columns in {int(unlike.any(axis=1).sum())} {what}"
        more += f"; in the same row also {', '.join(others)}" if others else ""
        out.append(
            Difference(
                names[column],
                float(old_ns[at_old[row]]) * 1e-9,
                repr(float(old[at_old[row], column])),
                repr(float(new[at_new[row], column])),
                more,
            )
        )
    return out


def _frames(old: NDArray[np.void], new: NDArray[np.void]) -> list[Difference]:
    out = [_count("frames", old, new)] if len(old) != len(new) else []
    n = min(len(old), len(new))
    unlike = np.flatnonzero(old[:n] != new[:n])
    if len(unlike):
        first = int(unlike[0])
        at_s = float(old["t_ns"][first]) * 1e-9
        what = f"frame number {first}"
        out.append(Difference(what, at_s, _frame(old[first]), _frame(new[first]), f"in all {len(unlike)} frames"))
    return out


def _frame(frame: np.void) -> str:
    payload = bytes(frame["payload"][: int(frame["dlc"])]).hex(" ")
    return f"0x{int(frame['id']):X} [{payload}] bits {int(frame['bits'])} at {int(frame['t_ns']) * 1e-9:.6f} s"
