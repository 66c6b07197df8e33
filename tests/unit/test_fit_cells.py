"""Recordings become tests: the count of a run, the split of fitted and held out, OCV from rests, the spread of cells; and the
shipped cell files are as good on the real data as they say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.fit.cells import leaf, lg_m50, panasonic
from hil.analysis.fit.counting import count_by_ocv
from hil.analysis.fit.data import CellData, Trace
from hil.analysis.fit.judge import prediction_of
from hil.analysis.fit.readers.recording import Kind, OcvCurve, Recording
from hil.analysis.fit.spread import spread_of
from hil.errors import InputError
from hil.files.cell import load_cell
from tools import fuzz_cells

ROOT = Path(__file__).parents[2]
SOC = np.linspace(0.0, 1.0, 51)
OCV_V = 3.0 + 0.8 * SOC + 0.25 * SOC**2 + 0.08 * np.sin(9.0 * SOC)


def driven(start: float, capacity_ah: float, shift_v: float, count: int, dt_s: float = 0.5) -> Trace:
    """A cell of 30 mohm and one pair of 20 mohm, 30 s, under a made-up drive; every current flows until the next sample."""
    k = np.arange(count)
    current_a = np.where(k % 40 < 25, 4.0, -1.5) + np.where(k % 400 < 60, -2.0, 0.0)
    current_a[0] = 0.0
    soc, v1, z, pair = np.empty(count), np.empty(count), start, 0.0
    a = np.exp(-dt_s / 30.0)
    for i, amperes in enumerate(current_a.tolist()):
        soc[i], v1[i] = z, pair
        z -= amperes * dt_s / 3600.0 / capacity_ah
        pair = a * pair + (1.0 - a) * 0.02 * amperes
    return Trace(k * dt_s, current_a, np.interp(soc, SOC, OCV_V) - shift_v - 0.03 * current_a - v1)


def test_capacity_start_and_shift_are_found_from_how_the_ocv_shows() -> None:
    counted = count_by_ocv(driven(0.985, 2.75, 0.02, 2500), SOC, OCV_V, nominal_ah=2.9)
    assert counted.capacity_ah == pytest.approx(2.75, rel=0.01)
    assert counted.start_soc == pytest.approx(0.985, abs=0.004)
    assert counted.shift_v == pytest.approx(0.02, abs=0.004)
    assert counted.rmse_v < 5e-4


def trips_in(folder: Path, count: int = 7, samples: int = 1600) -> Trace:
    """One made run cut into trips, each from 0 s, with its OCV table."""
    run = driven(1.0, 2.8, 0.015, count * samples, dt_s=0.1)
    columns = np.column_stack((run.time_s, -run.current_a, run.voltage_v))
    trips = {}
    for k in range(count):
        trip = columns[k * samples : (k + 1) * samples].copy()
        trip[:, 0] -= trip[0, 0]
        trips[f"trip{k + 1:02d}"] = trip
    np.savez(folder / "udds_25degC_trips01-07.npz", **trips)
    np.savez(folder / "soc_ocv.npz", soc_ocv=np.column_stack((SOC, OCV_V)))
    return run


def test_later_trips_are_held_out_and_carry_on_where_the_fitted_ones_ended(tmp_path: Path) -> None:
    run = trips_in(tmp_path)
    data = panasonic.read(tmp_path)
    fitted, *held = data.tests
    assert fitted.use == "fit"
    assert [(t.name, t.use) for t in held] == [("trip06", "test"), ("trip07", "test")]
    assert fitted.trace.time_s.size == 5 * 1600
    last = held[-1]
    assert last.used is not None
    np.testing.assert_allclose(last.trace.current_a, run.current_a)
    np.testing.assert_allclose(last.trace.time_s, run.time_s, atol=1e-9)
    assert np.flatnonzero(last.used)[0] == 6 * 1600
    assert last.counted().sum() == 1600


def test_the_count_looks_at_fitted_trips_alone(tmp_path: Path) -> None:
    trips_in(tmp_path)
    before = panasonic.read(tmp_path)
    with np.load(tmp_path / "udds_25degC_trips01-07.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["trip06"][:, 2] += 0.1
    np.savez(tmp_path / "udds_25degC_trips01-07.npz", **arrays)
    after = panasonic.read(tmp_path)
    assert after.tests[0].capacity_ah == before.tests[0].capacity_ah
    assert after.tests[0].start_soc == before.tests[0].start_soc
    np.testing.assert_array_equal(after.ocv[25.0].ocv_v, before.ocv[25.0].ocv_v)


def test_trips_without_their_ocv_table_are_refused(tmp_path: Path) -> None:
    trips_in(tmp_path)
    (tmp_path / "soc_ocv.npz").unlink()
    with pytest.raises(InputError, match="OCV table"):
        panasonic.read(tmp_path)


def test_lg_rates_are_held_out_by_name_and_pulses_start_where_their_rest_says(tmp_path: Path) -> None:
    fuzz_cells.lg_m50(tmp_path)
    data = lg_m50.read(tmp_path)
    by_name = {t.name: t for t in data.tests}
    assert {n: t.use for n, t in by_name.items()} == {
        "pulse_T25_SoC5_Cell1": "fit",
        "rate_T25_0p1C": "fit",
        "rate_T25_0p5C": "test",
    }
    assert by_name["pulse_T25_SoC5_Cell1"].start_soc == pytest.approx((3.7 - 2.9) / 1.25)
    assert by_name["rate_T25_0p5C"].window == (0.05, 0.95)
    assert data.spread is None  # one cell has none


def test_a_test_that_begins_under_load_takes_its_soc_from_its_end() -> None:
    curve = OcvCurve("x", SOC, OCV_V, None, 25.0, "", "")
    time_s = np.arange(200, dtype=float)
    current_a = np.where(time_s < 60, 5.0, np.where(time_s < 120, 0.0, np.where(time_s < 180, -5.0, 0.0)))
    voltage_v = 4.0 - 0.03 * current_a
    under_load = Recording("rate_T25_2C", Kind.CONSTANT, "1", time_s, current_a, voltage_v, None, 25.0, "", "")
    current_b = current_a.copy()
    current_b[0] = 0.0  # logged as rest, at the voltage under load
    stale = replace(under_load, current_a=current_b)
    ends = float(np.interp(4.0, OCV_V, SOC))
    assert lg_m50.rate_test(stale, curve, 5.0, ()).start_soc == pytest.approx(ends)


def test_thinning_keeps_both_sides_of_every_change() -> None:
    time_s = np.arange(3000, dtype=float)
    current_a = np.where((time_s > 500) & (time_s < 1500), 2.0, 0.0)
    r = Recording("x", Kind.CONSTANT, "1", time_s, current_a, 3.7 - 0.01 * current_a, None, 25.0, "", "")
    keep = lg_m50.thinned(r)
    assert keep[[0, 500, 501, 1499, 1500, 2999]].all()
    assert keep.sum() < 400
    assert np.max(np.diff(time_s[keep])) <= lg_m50.SPARSE_S + 1.0


def test_spread_of_cells_is_without_their_contacts() -> None:
    """Cells whose pulse drops 6 mohm within it, one sigma of 4 %, behind contacts that differ by twice that."""
    curve = OcvCurve("x", SOC, OCV_V, None, 25.0, "", "")
    rng = np.random.default_rng(3)
    inside = 0.006 * (1.0 + 0.04 * rng.standard_normal(40))
    charge = 0.8 * (1.0 + 0.01 * rng.standard_normal(40))  # of depth: the capacity spreads by 1 %
    time_s = np.array([0.0, 0.1, 5.0, 10.0, 10.1, 20.0])
    current_a = np.array([0.0, 7.5, 7.5, 7.5, 0.0, 0.0])
    pulses = []
    for k in range(40):
        rest_v = float(np.interp(1.0 - charge[k], SOC, OCV_V))
        contact = 0.02 + 0.012 * rng.random()
        voltage_v = rest_v - contact * current_a - inside[k] * np.array([0.0, 0.0, 0.5, 1.0, 0.0, 0.0]) * 7.5
        pulses.append(Recording(f"p_{k}", Kind.PULSE, f"{k}", time_s, current_a, voltage_v, None, 25.0, "", ""))
    found = spread_of([replace(p, name=f"pulse_{p.cell}") for p in pulses], curve)
    assert found is not None
    assert found.resistance_sigma == pytest.approx(np.std(inside, ddof=1) / np.mean(inside), rel=0.02)
    assert found.capacity_sigma == pytest.approx(0.01, rel=0.4)
    assert spread_of(pulses[:3], curve) is None


def leaf_run() -> Recording:
    """From full in five equal discharges with hours of rest, at an OCV that is straight in SoC."""
    times, currents, volts, at, soc = [0.0], [0.0], [4.18], 0.0, 1.0
    for _ in range(5):
        for current_a, span_s in ((10.0, 2160.0), (0.0, 3600.0)):
            for _ in range(12):
                at += span_s / 12
                soc -= current_a * span_s / 12 / 3600.0 / 30.0
                times.append(at)
                currents.append(current_a)
                volts.append(3.1 + 1.08 * soc - 0.002 * current_a)
    shifted = [*currents[1:], 0.0]  # a current flows from its sample on
    return Recording("hppc", Kind.PULSE, "1", np.array(times), np.array(shifted), np.array(volts), None, 25.0, "", "")


def test_ocv_from_rests_is_exact_for_a_straight_one() -> None:
    run = leaf_run()
    assert np.max(run.discharged_ah) == pytest.approx(30.0)
    ocv = leaf.rested_ocv(run, 30.0)
    np.testing.assert_allclose(ocv, 3.1 + 1.08 * np.linspace(0.0, 1.0, 201), atol=0.012)
    assert np.all(np.diff(ocv) >= 0.0)


def test_a_leaf_test_that_never_was_full_is_refused() -> None:
    run = leaf_run()
    with pytest.raises(InputError, match="never full"):
        leaf.from_full(replace(run, voltage_v=run.voltage_v - 0.1), leaf.LONG_S)


def errors_mv(cell_file: str, data: CellData, names: tuple[str, ...]) -> dict[str, float]:
    cell = load_cell(ROOT / "scenarios" / "packs" / cell_file)
    out = {}
    for test in data.tests:
        if test.name in names:
            used = test.counted()
            off = prediction_of(cell, test).voltage_v - test.trace.voltage_v
            out[test.name] = 1e3 * float(np.sqrt(np.mean(off[used] ** 2)))
    assert set(out) == set(names)
    return out


@pytest.mark.shared_data
def test_panasonic_file_on_the_trips_it_never_saw(shared_data: Path) -> None:
    """Predicted once, over the run to the end of the last trip, which holds all others."""
    cell = load_cell(ROOT / "scenarios" / "packs" / "panasonic_18650pf.cell.yaml")
    held = [t for t in panasonic.read(shared_data / "cells/panasonic_18650pf").tests if t.use == "test"]
    assert [t.name for t in held] == [f"trip{k:02d}" for k in range(6, 12)]
    off_mv = 1e3 * (prediction_of(cell, held[-1]).voltage_v - held[-1].trace.voltage_v)
    trips = np.split(off_mv[-6 * 13701 :], 6)
    errors = [float(np.sqrt(np.mean(trip**2))) for trip in trips]
    assert float(np.sqrt(np.mean(np.square(errors)))) < 9.0
    assert max(errors) < 11.0


@pytest.mark.shared_data
def test_lg_file_on_the_rates_it_never_saw(shared_data: Path) -> None:
    errors = errors_mv("lg_m50.cell.yaml", lg_m50.read(shared_data / "cells/lg_m50"), ("rate_T25_0p5C", "rate_T25_1C"))
    assert max(errors.values()) < 25.0


@pytest.mark.shared_data
def test_leaf_file_on_the_discharge_it_never_saw(shared_data: Path) -> None:
    errors = errors_mv("leaf_2013.cell.yaml", leaf.read(shared_data / "cells/leaf_cell"), ("discharge-bitrode-1c",))
    assert errors["discharge-bitrode-1c"] < 15.0
