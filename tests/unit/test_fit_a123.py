"""The A123 26650: the cell file that ships is sane and what it says of itself is true; the data's signs and names."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.fit.cells import a123, cell_of_folder, options_of
from hil.analysis.fit.fitting import fit_cell
from hil.analysis.fit.judge import error_of
from hil.analysis.fit.solve import FitOptions
from hil.analysis.fit.write import cell_of, tables_text
from hil.errors import InputError
from hil.files.cell import CellModel, load_cell

ROOT = Path(__file__).parents[2]
OHMS = ("r0_ohm", "r1_ohm", "r2_ohm", "r3_ohm")


@pytest.fixture(scope="module")
def kept() -> CellModel:
    """The cell file that ships."""
    return load_cell(ROOT / "scenarios" / "packs" / "a123_26650.cell.yaml")


def test_the_kept_cell_is_sane_everywhere_it_can_be_asked(kept: CellModel) -> None:
    ocv_v, m_v = np.array(kept.ocv_v), np.array(kept.hysteresis.m_v)
    assert np.all(np.diff(ocv_v, axis=1) >= 0.0)
    assert 2.0 < ocv_v.min() < ocv_v.max() < 3.65
    for name in OHMS:
        values = np.array(getattr(kept, name))
        assert values.min() > 5e-4
        assert np.all(np.diff(values, axis=0) <= 2e-6), f"{name} falls as the cell gets colder"
    assert 0.008 <= kept.r0_ohm[kept.temperatures_degc.index(25.0)][5] <= 0.015
    assert m_v.min() >= 0.0
    assert (ocv_v[:, -1] + m_v[:, -1]).max() < 3.61, "a rested full cell would look overcharged"
    assert max(kept.coulombic_efficiency) <= 1.0


def test_no_two_neighbouring_knots_of_the_kept_cell_jump(kept: CellModel) -> None:
    total = sum(np.array(getattr(kept, name)) for name in OHMS)
    assert np.max(np.abs(np.diff(np.log(total), axis=1))) < math.log(1.6)


def test_time_constants_and_gamma_are_shared_so_that_tables_can_be_interpolated(kept: CellModel) -> None:
    for name in ("tau1_s", "tau2_s", "tau3_s"):
        assert np.ptp(np.array(getattr(kept, name))) == 0.0
    assert kept.tau3_s is not None
    assert kept.tau1_s[0][0] < kept.tau2_s[0][0] < kept.tau3_s[0][0]
    assert len(set(kept.hysteresis.gamma)) == 1


def test_the_kept_file_says_how_good_it_is(kept: CellModel) -> None:
    assert kept.chemistry == "LFP"
    assert kept.spread is not None
    assert kept.fit["released"] is True
    held = [e["rmse_mv"] for e in kept.fit["held_out"]]
    limits = (29.7, 13.4, 12.1, 15.2, 7.9)  # Plett's ESC toolbox on the same tests, in sample
    assert all(mv < limit for mv, limit in zip(held, limits, strict=True))
    assert sum(held) / 5.0 < 8.0
    shape = (len(kept.fit["sigma"]["temperatures_degc"]), len(kept.soc_knots))
    for name in (*OHMS, "m_v"):
        assert np.array(kept.fit["sigma"][name], dtype=float).shape == shape


@pytest.mark.shared_data
@pytest.mark.parametrize("temperature_degc", [-25.0, 25.0])
def test_the_errors_in_the_kept_file_are_those_of_the_twin_on_the_data(
    shared_data: Path, kept: CellModel, temperature_degc: float
) -> None:
    folder = shared_data / "cells" / "a123_lfp"
    error = error_of(kept, a123.drive_test(folder, temperature_degc))
    claimed = {e["test"]: e for e in kept.fit["tests"]}[error.name]
    assert 1e3 * error.rmse_v == pytest.approx(claimed["rmse_mv"], abs=0.05)
    assert error.samples == claimed["samples"]


@pytest.mark.shared_data
def test_a_quick_fit_of_one_temperature_comes_close_to_the_kept_one(shared_data: Path, kept: CellModel) -> None:
    folder = shared_data / "cells" / "a123_lfp"
    taus = (kept.tau1_s[0][0], kept.tau2_s[0][0])
    data = a123.read(folder, (25.0,))
    found = cell_of(tables_text(fit_cell(data, FitOptions(pairs=2, taus_s=taus))))
    error = error_of(found, a123.drive_test(folder, 25.0))
    assert 1e3 * error.rmse_v < 6.0
    assert found.r0_ohm[0] == pytest.approx(kept.r0_ohm[kept.temperatures_degc.index(25.0)], rel=0.1)
    shorter = replace(data, tests=tuple(t for t in data.tests if t.kind == "drive"))
    assert len(shorter.tests) == 1
    assert shorter.tests[0].capacity_ah == pytest.approx(2.04, abs=0.02)


@pytest.mark.shared_data
def test_the_folder_is_known_by_its_names_and_its_temperatures_are_read_from_them(shared_data: Path) -> None:
    folder = shared_data / "cells" / "a123_lfp"
    assert a123.recognises(folder)
    assert list(a123.temperatures(folder)) == [-25.0, -5.0, 5.0, 25.0, 45.0]
    assert isinstance(options_of(folder), FitOptions)


def test_names_of_files_are_turned_into_temperatures(tmp_path: Path) -> None:
    for name in ("A123_DYN_50_P15_s1.csv.gz", "A123_DYN_30_N15_s1.csv.gz", "A123_DYN_30_N15_s2.csv.gz", "other.csv"):
        (tmp_path / name).write_bytes(b"")
    assert a123.temperatures(tmp_path) == {-15.0: "30_N15", 15.0: "50_P15"}
    with pytest.raises(InputError, match="no drive cycles at 5 degC"):
        a123.drive_test(tmp_path, 5.0)
    with pytest.raises(InputError, match=r"A123_OCV_N15_S1\.csv\.gz"):
        cell_of_folder(tmp_path)
