"""Health of real cells: capacity of NASA's B0005 to B0007 over their lives, R0 of A123 cells in UDDS drives.

The NASA files hold one line per full discharge, so x is 1 by definition there and the charge is mean current times
time; partial cycles are cut out of the measured capacities, with sensor errors put on. Their means cannot give a
resistance: mean voltage moves with capacity as well, so R0 is tested on the A123 drives, second by second.
"""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from hil.files.cell import load_cell
from hil.kernel import zeros
from hil.twin import capacity, health, offline, tables

NOMINAL_AH = 2.0
A123 = Path(__file__).parents[2] / "scenarios" / "packs" / "a123_26650.cell.yaml"


def full_cycles(charge_ah, cycles=1.0):
    """Pairs of full discharges: how full and how empty is known to 1 %, mean current times time to 1 %."""
    n = len(charge_ah)
    sigmas = [np.full(n, sigma) for sigma in (0.01, 0.01, 0.01, cycles)]
    return np.column_stack([np.ones(n), np.asarray(charge_ah) / NOMINAL_AH, *sigmas])


def partial_cycles(soh, rng, anchor=0.01, zero=0.005, gain=0.005):
    """Pairs of 20 to 80 % of a cell with the given lives: noisy anchors, a zero of ``zero`` C, a gain error."""
    n = len(soh)
    x = rng.uniform(0.2, 0.8, n)
    y = soh * x * (1.0 + gain) + zero * x + 0.0005 * rng.normal(size=n)
    seen = x + anchor * (rng.normal(size=n) - rng.normal(size=n))
    return np.column_stack([seen, y, np.full(n, anchor * np.sqrt(2.0)), zero * x + 0.0005, zero * x, x])


def judged(pairs, soh):
    """(share inside 3 sigma, RMS error, largest error after 5 pairs, mean sigma), errors relative to the truth."""
    out = capacity.track(pairs)
    off = (out[:, 0] - soh) / soh
    run_in = np.arange(len(soh)) >= 5
    inside = np.abs(out[:, 0] - soh) <= 3.0 * out[:, 1]
    return np.mean(inside), np.sqrt(np.mean(off[run_in] ** 2)), np.max(np.abs(off[run_in])), np.mean(out[run_in, 1])


def made_up(n=170, drop=0.0018, rng=None):
    """A life like NASA's: a steady loss, and after pauses some capacity that comes back for a few cycles."""
    soh, back = 0.95 - drop * np.arange(n), 0.0
    for k in range(n):
        back = 0.6 * back + (rng.uniform(0.02, 0.05) if k % 17 == 16 else 0.0)
        soh[k] += back
    return soh


def nasa(folder, name):
    """(capacity Ah, mean current times time Ah) of every discharge."""
    with (folder / "cells" / "nasa" / f"{name}_processed.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["type"] == "discharge"]
    ah = [float(line["current_mean"]) * float(line["discharge_time"]) / 3600.0 for line in lines]
    return np.array([float(line["capacity"]) for line in lines]), np.array(ah)


@pytest.mark.parametrize("seed", range(4))
def test_a_life_with_recoveries_is_followed(seed):
    rng = np.random.default_rng(seed)
    soh = made_up(rng=rng)
    inside, rms, worst, sigma = judged(full_cycles(NOMINAL_AH * soh * 1.005), soh)
    assert inside >= 0.99
    assert (rms, worst, sigma) < (0.025, 0.06, 0.02)
    inside, rms, worst, sigma = judged(partial_cycles(soh, rng), soh)
    assert inside >= 0.99
    assert rms < 0.05
    assert worst < 0.09
    assert sigma < 0.03


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["B0005", "B0006", "B0007"])
def test_nasa_cells_by_full_discharges(shared_data, name):
    measured_ah, counted_ah = nasa(shared_data, name)
    assert len(measured_ah) > 100
    assert measured_ah[-1] / measured_ah[0] < 0.8
    inside, rms, worst, sigma = judged(full_cycles(counted_ah), measured_ah / NOMINAL_AH)
    print(f"{name} full: inside {inside:.3f} rms {rms:.4f} worst {worst:.4f} sigma {sigma:.4f}")
    assert inside >= 0.99
    assert rms < 0.035
    assert worst < 0.07
    assert sigma < 0.03


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["B0005", "B0006", "B0007"])
def test_nasa_cells_by_partial_cycles(shared_data, name):
    soh = nasa(shared_data, name)[0] / NOMINAL_AH
    found = np.array([judged(partial_cycles(soh, np.random.default_rng(seed)), soh) for seed in range(10)])
    print(f"{name} partial: inside {found[:, 0].mean():.3f} rms {found[:, 1].mean():.4f} worst {found[:, 2].max():.4f} "
          f"sigma {found[:, 3].mean():.4f}")  # fmt: skip
    assert found[:, 0].mean() >= 0.99
    assert found[:, 1].max() < 0.065
    assert found[:, 2].max() < 0.12
    assert found[:, 3].max() < 0.035


def a123(folder, tag, *scripts):
    """(time s, current A, voltage V) of DYN scripts one after the other, samples whose time stands still left out."""
    parts, begin_s = [], 0.0
    for script in scripts:
        (path,) = (folder / "cells" / "a123_lfp").glob(f"A123_DYN_*_{tag}_s{script}.csv.gz")
        text = io.StringIO(gzip.decompress(path.read_bytes()).decode())
        rows = np.loadtxt(text, delimiter=",", skiprows=1, usecols=(0, 2, 3))
        rows[:, 0] += begin_s - rows[0, 0]
        parts.append(rows[np.append(True, np.diff(rows[:, 0]) > 0.0)])
        begin_s = parts[-1][-1, 0] + 1.0
    return np.concatenate(parts).T


def polarisation(cell, row, time_s, amps, soc):
    """Voltage of the cell file's RC pairs, each sample's current held to the next."""
    out = np.zeros(time_s.size)
    for number in "123":
        ohm, tau = getattr(cell, f"r{number}_ohm"), getattr(cell, f"tau{number}_s")
        if ohm is None:
            continue
        ohms, taus = np.interp(soc, cell.soc_knots, ohm[row]), np.interp(soc, cell.soc_knots, tau[row])
        keep, v = np.exp(-np.diff(time_s) / taus[:-1]), 0.0
        for k in range(time_s.size - 1):
            v = keep[k] * v + (1.0 - keep[k]) * ohms[k] * amps[k]
            out[k + 1] += v
    return out


def followed(cell, degc, recording, aged=1.0):
    """(SoC believed, outputs) of a recording that starts full; ``aged``: its R0 over the one it is held against."""
    time_s, amps, volts = recording
    said = offline.predict(cell, time_s, amps, np.full(time_s.shape, degc), 1.0)
    row = cell.temperatures_degc.index(degc)
    r0_ohm = np.interp(said.soc, cell.soc_knots, cell.r0_ohm[row])
    ticks = np.zeros((time_s.size, health.SEEN))
    ticks[1:, 0], ticks[1:, 1], ticks[:, 2], ticks[:, 3] = np.diff(time_s), amps[:-1], amps, degc
    ticks[:, 4], ticks[:, 5] = said.soc, volts - said.voltage_v
    ticks[:, 6] = polarisation(cell, row, time_s, amps, said.soc)
    ticks[:, 7], ticks[:, 8] = r0_ohm * amps, r0_ohm / aged
    made, fixed, states = zeros(tables.CellTables), zeros(health.HealthParams), zeros(health.HealthState)
    tables.fill(np.asarray(made)[0], cell, 1, 1.0, (0.0, 1.0))
    health.fill(np.asarray(fixed)[0], cell.capacity_ah)
    health.start(np.asarray(states)[0], np.asarray(fixed)[0])
    out = np.empty((time_s.size, health.OUT))
    health.follow(states, fixed, made, ticks, out)
    return said.soc, out


@pytest.mark.shared_data
@pytest.mark.parametrize(("tag", "degc"), [("N25", -25.0), ("N05", -5.0), ("P05", 5.0), ("P25", 25.0), ("P45", 45.0)])
@pytest.mark.parametrize("aged", [1.0, 1.25])
def test_r0_of_a_new_a123_cell_in_a_drive(shared_data, tag, degc, aged):
    """Against the fitted tables it is new; against tables of a better cell it has aged."""
    recording = a123(shared_data, tag, 1)
    soc, out = followed(load_cell(A123), degc, recording, aged)
    growth, sigma = out[(soc > 0.1) & (soc < 0.95) & (recording[0] > 1500.0), 6:8].T
    print(
        f"{tag} x {aged}: growth {growth.mean():.4f} {growth.min():.4f} to {growth.max():.4f}, sigma {sigma.mean():.4f}"
    )
    if degc < -20.0:  # a sample of 1 s sees part of the fast pair, which is slow there: told in the docs, not in sigma
        assert growth.mean() == pytest.approx(aged, rel=0.11)
        return
    assert growth.mean() == pytest.approx(aged, rel=0.06)
    assert np.mean(np.abs(growth - aged) <= 3.0 * sigma) >= 0.95
    assert sigma.mean() < 0.05 * aged


@pytest.mark.shared_data
@pytest.mark.parametrize("soh", [1.0, 0.9, 0.8])
def test_capacity_of_an_a123_cell_from_its_own_rests(shared_data, soh):
    """A drive with rests, a slow end, a charge to full at 25 degC; the twin is told the capacity of a larger cell."""
    cell = load_cell(A123)
    told = cell.model_copy(update={"capacity_ah": cell.capacity_ah / soh})
    recording = a123(shared_data, "P25", 1, 2, 3)
    end = np.array([[recording[0, -1] + 1.0], [1.0], [recording[2, -1]]])  # the last rest ends
    _, out = followed(told, 25.0, np.hstack([recording, end]))
    drive, whole = out[np.searchsorted(recording[0], 36_000.0)], out[-1]
    print(f"soh {soh}: after the drive {drive[2]:.3f} +- {drive[3]:.3f}, in the end {whole[2]:.3f} +- {whole[3]:.3f}")
    assert drive[3] > 0.07  # rests on the plateau say little, and it knows
    assert abs(drive[2] - soh) < 3.0 * drive[3]
    assert whole[2] == pytest.approx(soh, abs=0.02)
    assert 0.01 < whole[3] < 0.03
