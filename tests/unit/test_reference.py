"""The reference mode's pure halves: profiles of every kind, and the distance between two traces."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import record_rig
from hypothesis import given
from hypothesis import strategies as st

from hil.analysis.reference import compare
from hil.analysis.reference.compare import Trace, distance, fields, in_window, twin_beside, write
from hil.analysis.reference.profile import Profile, load_profile
from hil.errors import InputError
from hil.files.cell import load_cell
from hil.files.shipped import shipped

UDDS = shipped("scenarios/cycles/udds.csv")


def made(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.csv"
    path.write_text(text, "utf-8")
    return path


# --- profiles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "time,current\n5,1\n6,-2\n8,0\n",
        "# a note\n\nTime [s], Current [A]\n5,1\n6,-2\n8,0\n",
        "voltage_v;t_s;i_a\n3;5;1\n3;6;-2\n3;8;0\n",
        "5,1\n6,-2\n8,0\n",
        "\ufefftime_s,current_a\r\n5,1\r\n6,-2\r\n8,0\r\n",
    ],
)
def test_a_table_is_read_with_or_without_a_header_and_begins_at_0(tmp_path: Path, text: str) -> None:
    profile = load_profile(made(tmp_path, text), scale=0.5)
    assert profile.time_s.tolist() == [0.0, 1.0, 3.0]
    assert profile.current_a.tolist() == [0.5, -1.0, 0.0]


def test_the_shipped_cycle_is_one_sample_a_period_the_last_held_as_long() -> None:
    profile = load_profile(UDDS, period_s=0.5)
    assert len(profile.time_s) == 1371
    assert profile.time_s[-1] == pytest.approx(685.0)
    assert profile.current_a[-1] == profile.current_a[-2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,current\n0,1\n1,x\n", ":3:"),
        ("time,current\n0,1\n0,2\n", ":3:"),
        ("time,current\n0,1\n1,nan\n", ":3:"),
        ("time,current\n0,1\n1\n", ":3:"),
        ("time,voltage\n0,1\n1,2\n", "a header with time and current"),
        ("time,current\n0,1\n", "two samples"),
        ("time,current\n", "two samples"),
        ("", "empty"),
        ("1\nx\n", ":2:"),
    ],
)
def test_a_profile_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_profile(made(tmp_path, text))


def test_a_missing_file_and_a_scale_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_profile(tmp_path / "none.csv")
    for scale in (0.0, math.nan, math.inf):
        with pytest.raises(InputError, match="scale"):
            load_profile(UDDS, scale=scale)
    with pytest.raises(InputError, match="period"):
        load_profile(UDDS, period_s=0.0)


def test_the_current_of_a_record_is_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "r.mcap"
    record_rig.write(path)
    profile = load_profile(path, scale=1 / 40)
    column = record_rig.make_table().labels().index("measured.pack_current")
    assert profile.time_s[0] == 0.0
    assert np.diff(profile.time_s) == pytest.approx(0.01)
    assert profile.current_a[:3] == pytest.approx([record_rig.value(k, column) / 40 for k in (1, 2, 3)])
    with pytest.raises(InputError, match="no current"):
        load_profile(path, quantity="shown.cell_voltage[3]")
    with pytest.raises(InputError, match="elements"):
        load_profile(path, quantity="shown.cell_voltage")
    with pytest.raises(InputError, match="no such quantity"):
        load_profile(path, quantity="measured.pack_curent")


@given(st.lists(st.tuples(st.floats(0.01, 10.0), st.floats(-100, 100)), min_size=2, max_size=30), st.floats(0.05, 1.0))
def test_resampling_keeps_the_charge(rows: list[tuple[float, float]], share: float) -> None:
    time_s = np.concatenate(([0.0], np.cumsum([dt for dt, _ in rows])))
    current_a = np.array([*(i for _, i in rows), 0.0])
    again = Profile("p", time_s, current_a).resampled(share * float(time_s[-1]))
    charge_as = float(np.sum(current_a[:-1] * np.diff(time_s)))
    assert float(np.sum(again.current_a[:-1] * np.diff(again.time_s))) == pytest.approx(charge_as, abs=1e-8)
    assert again.time_s[-1] >= time_s[-1] - 1e-9


def test_a_step_longer_than_the_profile_or_none_is_refused() -> None:
    for step_s in (0.0, -1.0, 1e5, math.nan):
        with pytest.raises(InputError, match="step of a profile"):
            load_profile(UDDS).resampled(step_s)


# --- comparison --------------------------------------------------------------------------------------------------------


def trace(volts: list[float], soc: list[float] | None = None, ended: str = "") -> Trace:
    n = len(volts)
    charge = np.array(soc) if soc is not None else np.linspace(0.9, 0.8, n)
    return Trace(np.arange(n) * 2.0, np.ones(n), np.array(volts), np.full(n, 25.0), charge, ended)


def test_the_distance_by_hand() -> None:
    found = distance(np.array([0.0, 1.0, 2.0]), np.array([3.0, 3.1, 2.6]), np.array([3.0, 3.0, 3.0]))
    assert found is not None
    assert found.rms == pytest.approx(math.sqrt((0.01 + 0.16) / 3))
    assert (found.largest, found.largest_at_s, found.samples) == (pytest.approx(-0.4), 2.0, 3)
    assert found.mean == pytest.approx(-0.1)
    assert distance(np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2, np.bool_)) is None


def test_the_window_leaves_the_ends_out() -> None:
    assert in_window(trace([3.0] * 4, [0.99, 0.95, 0.05, 0.01])).tolist() == [False, True, True, False]


def test_the_json_holds_the_distances_in_their_units_and_null_where_there_are_none() -> None:
    told = fields(trace([3.0, 3.0, 3.0], [0.99, 0.98, 0.97]), trace([3.001, 3.001, 3.003], [1.0, 0.99, 0.98]))
    assert told["voltage"]["rms_mv"] == pytest.approx(math.sqrt(11 / 3))
    assert told["voltage"]["max_at_s"] == 4.0
    assert told["voltage_5_95"] is None
    assert told["soc"]["mean_pct"] == pytest.approx(1.0)
    assert told["temperature"]["rms_k"] == 0.0
    alone = fields(trace([3.0, 3.0], ended="Minimum voltage [V] at 2 s"), None)
    assert alone["voltage"] is None
    assert alone["ended"] == "Minimum voltage [V] at 2 s"


def test_the_results_are_written_whole(tmp_path: Path) -> None:
    one, two = trace([3.0, 3.1, 3.2]), trace([3.01, 3.1, 3.2])
    about = {"Profile": {"name": "<p> & co"}, "Physics model": {"model": "SPMe"}}
    write(tmp_path / "out", about, fields(one, two), one, two)
    page = (tmp_path / "out" / "comparison.html").read_text("utf-8")
    assert "&lt;p&gt; &amp; co" in page
    assert "twin - physics model" in page
    assert json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))["voltage"]["max_mv"] == pytest.approx(
        10.0
    )
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open(encoding="utf-8")))
    assert [float(r["twin_voltage_v"]) for r in rows] == [3.01, 3.1, 3.2]
    assert [float(r["time_s"]) for r in rows] == [0.0, 2.0, 4.0]


def test_the_twin_beside_a_trace_counts_the_same_charge_and_holds_its_temperature() -> None:
    cell = load_cell(shipped("scenarios/packs/a123_26650.cell.yaml"))
    n = 200
    time_s, current_a = np.arange(n) * 5.0, np.full(n, cell.capacity_ah)
    soc = 0.8 - current_a * time_s / 3600.0 / cell.capacity_ah
    degc = np.linspace(20.0, 30.0, n)
    given_trace = Trace(time_s, current_a, np.full(n, 3.2), degc, soc)
    twin = twin_beside(cell, given_trace, held=True)
    assert twin.soc == pytest.approx(soc, abs=1e-9)
    assert twin.temperature_degc == pytest.approx(degc)
    warm = twin_beside(cell, given_trace, held=False)
    assert warm.temperature_degc[0] == 20.0
    assert warm.temperature_degc[-1] > 20.5
    assert compare.in_window(twin).all()
