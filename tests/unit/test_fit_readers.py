"""Readers of measured cells: signs, units and edges on made files; damage named with its place; the shared data."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from hil.analysis.fit.readers import Kind, read_csv, read_data
from hil.analysis.fit.readers.a123 import read_a123
from hil.analysis.fit.readers.lg_m50 import read_lg_ocv, read_lg_pulses
from hil.analysis.fit.readers.panasonic import read_arrays, read_soc_ocv, read_trips
from hil.analysis.fit.readers.recording import Place, Recording, checked, voltage_response
from hil.errors import InputError
from tools.fuzz_cells import CURRENT_A, TIME_S, a123, leaf, lg_m50, packed, panasonic, voltage


def made(current_a: list[float], voltage_v: list[float], time_s: list[float] | None = None) -> Recording:
    times = np.arange(len(current_a), dtype=float) if time_s is None else np.array(time_s)
    return Recording("x", Kind.DRIVE, "1", times, np.array(current_a), np.array(voltage_v), None, 25.0, "made", "none")


def refused(recording: Recording) -> str:
    with pytest.raises(InputError) as caught:
        checked(recording, Place(Path("x.npz"), "trip01"))
    return str(caught.value)


def test_a_sound_recording_passes_and_its_charge_is_counted_forward() -> None:
    sound = checked(made([0.0, 3600.0, 0.0], [3.7, 3.6, 3.7]), Place(Path("x")))
    assert sound.discharged_ah.tolist() == [0.0, 0.0, 1.0]
    assert sound.part("y", 1, 3).time_s.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        (made([0.0, 1.0], [3.7, 3.8]), "sign of the current"),
        (made([0.0, 1.0], [3.7, 3.6], [0.0, 0.0]), "trip01[1]: time in s"),
        (made([0.0, float("nan")], [3.7, 3.6]), "trip01[1]: current"),
        (made([0.0, 1.0], [3700.0, 3600.0]), "voltage in V"),
        (made([0.0], [3.7]), "at least 2"),
        (made([0.0, 1.0, 2.0], [3.7, 3.6]), "arrays of one length"),
        (made([1.0] * 10, np.linspace(3.7, 3.9, 10).tolist()), "sign of the current"),
    ],
)
def test_what_cannot_be_a_cell_is_refused_with_its_place(recording: Recording, said: str) -> None:
    told = refused(recording)
    assert said in told
    assert told.startswith("x.npz")


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=30), st.floats(0.001, 0.1))
def test_a_resistive_cell_answers_downwards_and_turned_round_upwards(current_a: list[float], ohm: float) -> None:
    amperes = np.round(np.array(current_a), 3)
    answer = voltage_response(made(amperes.tolist(), (3.0 - ohm * amperes).tolist()))
    turned = voltage_response(made((-amperes).tolist(), (3.0 - ohm * amperes).tolist()))
    assert answer == -turned
    assert answer == (-1 if np.ptp(amperes) > 0.2 * np.max(np.abs(amperes)) else answer)
    assert answer <= 0


def test_a123_signs_differ_between_its_files(tmp_path: Path) -> None:
    a123(tmp_path)
    a123(tmp_path, "N05")
    found = read_data(tmp_path)
    assert [r.name for r in found.recordings[:2]] == ["DYN_N05_s1", "DYN_N05_s2"]
    assert len(found.recordings) == 14
    for each in found.recordings:
        np.testing.assert_array_equal(each.current_a, CURRENT_A)
        np.testing.assert_allclose(each.voltage_v, voltage(CURRENT_A))
    assert found.recording("OCV_N05_S1").nominal_degc == -5.0
    assert found.recording("OCV_N05_S2").nominal_degc == 25.0  # conditioning ran warm
    with pytest.raises(InputError, match="no recording"):
        found.recording("DYN_P45_s1")


def test_panasonic_discharge_was_negative(tmp_path: Path) -> None:
    panasonic(tmp_path)
    found = read_data(tmp_path)
    assert [r.name for r in found.recordings] == ["trip01", "trip02"]
    np.testing.assert_array_equal(found.recordings[0].current_a, CURRENT_A)
    assert found.curves[0].ocv_v.tolist() == pytest.approx((3.0 + found.curves[0].soc).tolist())


@pytest.mark.parametrize("header", [True, False])
def test_leaf_current_ends_where_the_discharge_did(tmp_path: Path, header: bool) -> None:
    """The first sample of the rest comes a minute late: without a sample at the edge 10 A would flow 60 s longer."""
    leaf(tmp_path, header)
    (found,) = read_data(tmp_path).recordings
    assert found.voltage_read is not None
    assert found.discharged_ah[-1] == pytest.approx(10.0 * 5.0 / 3600.0, rel=1e-3)
    assert found.time_s[~found.voltage_read].tolist() == pytest.approx([180.001, 185.001])
    assert found.nominal_degc == 10.0


def test_lg_samples_of_two_instants_count_as_not_read(tmp_path: Path) -> None:
    lg_m50(tmp_path)
    found = read_data(tmp_path)
    pulse = found.recording("pulse_T25_SoC5_Cell1")
    assert pulse.voltage_read is not None
    assert pulse.time_s.tolist() == pytest.approx([0.0, 0.05, 1.05, 10.05, 11.05, 20.05])
    assert pulse.current_a.tolist() == pytest.approx([0.0, 7.5, 7.5, 0.0, 0.0, 0.0])
    assert pulse.voltage_read.tolist() == [True, False, True, False, True, True]
    assert pulse.temperature_degc is not None
    assert np.isfinite(pulse.temperature_degc).all()
    rate = found.recording("rate_T25_0p5C")
    assert rate.voltage_read is not None
    assert rate.current_a[:2].tolist() == [0.0, 2.5]
    assert rate.time_s[1] == pytest.approx(1e-3)
    assert rate.discharged_ah.max() == pytest.approx(2.5 * 120.03 / 3600.0, rel=1e-3)
    assert not rate.voltage_read[rate.time_s == 120.03].any()
    assert found.curves[0].half_width_v is not None
    assert found.curves[0].half_width_v.max() == pytest.approx(0.01)


def test_csv_columns_by_header_by_name_and_by_unit(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = [
        f"{t * 1e3};{-1e3 * i};{1e3 * v};298.15" for t, i, v in zip(TIME_S, CURRENT_A, voltage(CURRENT_A), strict=True)
    ]
    path.write_text("\n".join(["Time(ms);Current [mA];U(mV);temperature_k", *rows]))
    found = read_csv(path, names={"voltage": "U(mV)"})  # the sign is told by the voltage's answer
    np.testing.assert_allclose(found.current_a, CURRENT_A, atol=1e-12)
    np.testing.assert_allclose(found.voltage_v, voltage(CURRENT_A))
    np.testing.assert_allclose(found.time_s, TIME_S)
    assert found.temperature_degc is not None
    assert found.temperature_degc[0] == pytest.approx(25.0)
    with pytest.raises(InputError, match="sign of the current"):
        read_csv(path, names={"voltage": "U(mV)"}, discharge="positive")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Time(s),Current(A),Voltage(V)\n0,0,3.7\n1,x,3.6\n",
            "x.csv:3:1: column 2: expected a finite number, found 'x'",
        ),
        ("Time(s),Current(A),Voltage(V)\n0,0,3.7\n1,1\n", "the end of the line"),
        ("Time(s),Current(A),Voltage(V)\n0,0,3.7\n1,inf,3.6\n", "x.csv:3"),
        ("Time(s),Current(A),Voltage(V)\n\n0,0,3.7\n\n0,1,3.6\n", "x.csv:5:1: time in s"),
        ("Time(s),Current,Voltage(V)\n0,0,3.7\n1,1,3.6\n", "unit of 'Current'"),
        ("Time(s),Current(V),Voltage(V)\n0,0,3.7\n1,1,3.6\n", "unit of 'Current(V)'"),
        ("Time(s),I(A),Voltage(V)\n0,0,3.7\n1,1,3.6\n", "one column named current"),
        ("Time(s),Current(A),Voltage(V)\n", "no samples"),
        ("", "the file is empty"),
        ("Time(s),Current(A),Voltage(V)\n0,1,3.7\n1,1,3.7\n", "cannot be told"),
    ],
)
def test_csv_errors_name_line_and_fix(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_csv(path)
    assert said in str(caught.value)


def test_damage_is_an_input_error_with_the_file(tmp_path: Path) -> None:
    panasonic(tmp_path)
    trips = tmp_path / "udds_25degC_trips01-02.npz"
    whole = trips.read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 30):
        trips.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="trips01-02"):
            read_trips(trips)
    np.savez(trips, trip01=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="npz"):
        read_arrays(trips)
    np.savez(trips, trip01=np.zeros((4, 2)))
    with pytest.raises(InputError, match="trip01: shape"):
        read_trips(trips)
    np.savez(tmp_path / "soc_ocv.npz", soc_ocv=np.column_stack((np.linspace(0.1, 1, 5), np.ones(5))))
    with pytest.raises(InputError, match="rising from 0 to 1"):
        read_soc_ocv(tmp_path / "soc_ocv.npz")


def test_damaged_gzip_matlab_and_names(tmp_path: Path) -> None:
    a123(tmp_path)
    path = tmp_path / "A123_DYN_50_P25_s1.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError, match="sound gzip file"):
        read_a123(path)
    packed(path, ["time,step,volts", "0,1,2"])
    with pytest.raises(InputError, match="header"):
        read_a123(path)
    with pytest.raises(InputError, match="file name"):
        read_a123(tmp_path / "other.csv.gz")
    mat = tmp_path / "LGM50_5Ah_OCV.mat"
    for content in (b"", b"MATLAB 5.0 MAT-file" + bytes(300), gzip.compress(b"no")):
        mat.write_bytes(content)
        with pytest.raises(InputError, match=r"LGM50_5Ah_OCV\.mat"):
            read_lg_ocv(mat)
    savemat(mat, {"LGM50_5Ah_OCV": {"T25": {"meanOCV": [1.0, 2.0]}}})
    with pytest.raises(InputError, match="no array refSoC"):
        read_lg_ocv(mat)
    with pytest.raises(InputError, match="a struct"):
        read_lg_pulses(mat)


def test_folders_without_data_say_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="A123_"):
        read_data(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_data(tmp_path / "absent")


@pytest.mark.shared_data
def test_shared_cells_discharge_what_they_are_known_to_hold(shared_data: Path) -> None:
    cells = shared_data / "cells"
    capacity = {"OCV_P25_S1": 2.06, "DYN_P25_s1": 1.98}
    found = read_data(cells / "a123_lfp")
    for name, ah in capacity.items():
        assert found.recording(name).discharged_ah[-1] == pytest.approx(ah, abs=0.01)
    trips = read_data(cells / "panasonic_18650pf").recordings
    assert len(trips) == 11
    assert sum(r.discharged_ah[-1] for r in trips) == pytest.approx(1.77, abs=0.01)
    lg = read_data(cells / "lg_m50")
    assert len(lg.recordings) == 4 * 9 * 6 + 16
    assert lg.recording("rate_T25_0p1C").discharged_ah.max() == pytest.approx(4.945, abs=0.002)
    cell = read_data(cells / "leaf_cell").recording("low-current-hppc-25c-2")
    assert np.ptp(cell.discharged_ah) == pytest.approx(30.5, abs=0.1)
