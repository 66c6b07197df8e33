"""Real measured cells run through the twin: none of them is faulty, so that every warning is a false one.

``runs`` gives what is there of the data folder (laid out like shared/data/cells) and has a cell file; ``follow`` is the
twin's own stage, a row of the process image per sample. A single cell has no peers, so that the absolute tests apply,
with the voltage model's own error; the six LG M50 make a group.
"""

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from hil.files.cell import load_cell
from hil.image import bind, table
from hil.kernel import I64, Floats, Rows, kernel, zeros
from hil.tick import COLUMNS
from hil.twin import step as twin

Array = NDArray[np.float64]
PACKS = Path(__file__).parents[2] / "scenarios" / "packs"
A123 = {-25: "10_N25", -5: "30_N05", 5: "45_P05", 25: "50_P25", 45: "50_P45"}
EDGE_S, LEAST_S = 0.5, 10.0  # a shorter log is no pulse
REST_S = 1800.0  # put between two pulses of different SoC


@dataclass(frozen=True, slots=True)
class Run:
    """``cells`` voltages [cell][sample] every ``dt_s``; current positive in discharge; starts at ``soc``."""

    name: str
    cell: Any
    dt_s: float
    current_a: Array
    voltage_v: Array
    degc: float
    soc: float


class Columns:
    """Columns read and written."""

    n_cells: I64
    col_measured_pack_current: I64
    col_measured_cell_voltage: I64
    col_measured_temperature: I64
    col_twin_warning: I64
    col_twin_warning_cell: I64
    col_twin_warning_since: I64


class Frame:
    """A row and its columns."""

    at: Columns
    row: Annotated[Floats, COLUMNS]


@kernel
def _follow(
    states: Rows[twin.TwinState], fixed: Rows[twin.TwinParams], frames: Rows[Frame], current_a: Floats, volts: Floats
) -> float:
    """Rows until the end or the first warning; returns its instant, s, else NaN."""
    s, p, row, at = states[0], fixed[0], frames[0].row, frames[0].at
    for k in range(current_a.size):
        row[at.col_measured_pack_current] = current_a[k]
        for c in range(at.n_cells):
            row[at.col_measured_cell_voltage + c] = volts[c, k]
        twin.step(s, p, k * p.dt_ns, row)
        if row[at.col_twin_warning] > 0.0:
            return float(row[at.col_twin_warning_since])
    return math.nan


def follow(run: Run, guess_off: float = 0.05) -> tuple[float, int, float]:
    """(instant of the first warning or NaN, its kind, its cell) of a run whose twin starts ``guess_off`` wrong."""
    of = table(run.voltage_v.shape[0], 1)
    fixed, states, frames = (
        twin.from_cell(run.cell, 1, (0,), of, round(run.dt_s * 1e9)),
        zeros(twin.TwinState),
        zeros(Frame),
    )
    f = np.asarray(frames)[0]
    bind(f["at"], of)
    f["at"]["n_cells"], f["row"][:] = of.cells, math.nan
    f["row"][int(f["at"]["col_measured_temperature"])] = run.degc
    twin.start(states, fixed, min(max(run.soc - guess_off, 0.0), 1.0), run.degc)
    since_s = _follow(states, fixed, frames, np.ascontiguousarray(run.current_a), np.ascontiguousarray(run.voltage_v))
    kind = int(f["row"][int(f["at"]["col_twin_warning"])])
    return float(since_s), kind, float(f["row"][int(f["at"]["col_twin_warning_cell"])])


def runs(data: Path) -> tuple[list[Run], list[str]]:
    """Every run that can be made, and what cannot be and why."""
    found, absent = list[Run](), list[str]()
    for name, make in (("a123_lfp", _a123), ("panasonic_18650pf", _panasonic), ("lg_m50", _lg_m50)):
        if not (data / name).is_dir():
            absent.append(f"{name}: no such folder in {data}")
            continue
        files = {"a123_lfp": "a123_26650", "panasonic_18650pf": "panasonic_18650pf", "lg_m50": "lg_m50"}
        path = PACKS / f"{files[name]}.cell.yaml"
        if not path.is_file():
            absent.append(f"{name}: no {path.name} in scenarios/packs")
            continue
        found.extend(make(data / name, load_cell(path)))
    return found, absent


def _even(time_s: Array, dt_s: float, *values: Array) -> list[Array]:
    """Values on an even grid, the last one before each instant."""
    at = np.searchsorted(time_s, np.arange(time_s[0], time_s[-1], dt_s), side="right") - 1
    return [v[at] for v in values]


def _a123(folder: Path, cell: Any) -> Iterator[Run]:
    """Repeated UDDS at five temperatures, from full."""
    for degc, name in A123.items():
        with gzip.open(folder / f"A123_DYN_{name}_s1.csv.gz", "rt", encoding="ascii") as stream:
            read = np.loadtxt(stream, delimiter=",", skiprows=1, usecols=(0, 2, 3))
        current, volt = _even(read[:, 0], 1.0, read[:, 1], read[:, 2])
        yield Run(f"A123 {degc} degC", cell, 1.0, current, volt[None], float(degc), 1.0)


def _panasonic(folder: Path, cell: Any) -> Iterator[Run]:
    """Eleven trips of UDDS one after the other, from full."""
    with np.load(folder / "udds_25degC_trips01-11.npz") as held:
        trips = [held[f"trip{n:02d}"] for n in range(1, 12)]
    whole = [_even(t[:, 0], 0.1, -t[:, 1], t[:, 2]) for t in trips]
    current, volt = (np.concatenate([w[k] for w in whole]) for k in (0, 1))
    yield Run("Panasonic 18650PF, 11 trips", cell, 0.1, current, volt[None], 25.0, 1.0)


def _lg_m50(folder: Path, cell: Any) -> Iterator[Run]:
    """Six cells as a group: the pulses at nine states of charge, half an hour of unknown voltages between them.

    They were measured one by one, so that their current changes at different samples: where it is not one current, and
    for ``EDGE_S`` around, voltages count as not read. The charge that was taken out between two pulses flows there, at
    the rate that takes it in ``REST_S``.
    """
    from scipy.io import loadmat

    top = loadmat(folder / "LGM50_5Ah_Pulse.mat", squeeze_me=True, struct_as_record=False)["LGM50_5Ah_Pulse"]
    for degc in top._fieldnames:
        current, volts = list[Array](), list[Array]()
        for soc in getattr(top, degc)._fieldnames:
            held = [
                getattr(getattr(getattr(top, degc), soc), name).data
                for name in getattr(getattr(top, degc), soc)._fieldnames
            ]
            times = [np.asarray(h.ProgTime, np.float64) for h in held]
            length_s = min(t[-1] - t[0] for t in times)
            if length_s < LEAST_S:
                continue
            grid = np.arange(0.0, length_s, 0.1)
            picks = [np.clip(np.searchsorted(t - t[0], grid, side="right") - 1, 0, None) for t in times]
            flows = np.array([-np.asarray(h.Current, np.float64)[k] for h, k in zip(held, picks, strict=True)])
            read = np.array([np.asarray(h.Voltage, np.float64)[k] for h, k in zip(held, picks, strict=True)])
            apart = np.ptp(flows, axis=0) > 0.01 * cell.capacity_ah
            edge = np.convolve(apart, np.ones(2 * round(EDGE_S / 0.1) + 1), "same") > 0.0
            read[:, edge] = np.nan
            volts.append(read)
            current.append(flows[0])
            steps = round(REST_S / 0.1)
            rate_a = 0.1 * cell.capacity_ah * 3600.0 / REST_S
            current.append(np.full(steps, rate_a))
            volts.append(np.full((len(held), steps), np.nan))
        yield Run(
            f"LG M50, 6 cells, {degc[1:]} degC",
            cell,
            0.1,
            np.concatenate(current),
            np.concatenate(volts, axis=1),
            float(degc[1:]),
            0.9,
        )
