"""Golden compare: what agrees, what is told, for records, for logs by signals and for logs frame by frame."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import record_rig
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import ExitCode, InputError
from hil.replay.golden import (
    Comparison,
    SignalTolerance,
    Tolerance,
    Tolerances,
    accept,
    compare,
    compare_signals,
    fits,
    load_tolerances,
    unmatched,
)
from hil.replay.samples import Series

VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.25, 2.0, -3.0, math.nan, math.inf])
SAMPLES = st.lists(st.tuples(st.integers(0, 40), VALUES), max_size=12)


def agree(a: float, b: float, golden: float, tolerance: Tolerance) -> bool:
    """The definition, one pair at a time."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == b or math.isinf(a) or math.isinf(b):
        return a == b
    return abs(a - b) <= tolerance.value + tolerance.relative * abs(golden)


@given(
    SAMPLES,
    SAMPLES,
    st.builds(Tolerance, st.sampled_from([0.0, 0.25, 0.5, 2.0]), st.sampled_from([0.0, 0.1]), st.integers(0, 20)),
)
def test_a_sample_is_lonely_exactly_when_no_counterpart_is_near_in_time_and_value(
    golden: list[tuple[int, float]], new: list[tuple[int, float]], tolerance: Tolerance
) -> None:
    def arrays(samples: list[tuple[int, float]]) -> tuple[Any, Any]:
        return np.array([t for t, _ in samples], np.int64), np.array([v for _, v in samples], np.float64)

    def near(a: tuple[int, float], b: tuple[int, float], g: float) -> bool:
        return abs(a[0] - b[0]) <= tolerance.time_ns and agree(a[1], b[1], g, tolerance)

    lonely_new = [i for i, n in enumerate(new) if not any(near(n, g, g[1]) for g in golden)]
    lonely_golden = [i for i, g in enumerate(golden) if not any(near(n, g, g[1]) for n in new)]
    found = unmatched(arrays(golden), arrays(new), tolerance)
    assert found[0].tolist() == lonely_new
    assert found[1].tolist() == lonely_golden


def series(values: list[float], step_ns: int = 10_000_000, late_ns: int = 0, unit: str = "V") -> Series:
    times = np.arange(len(values), dtype=np.int64) * step_ns + late_ns
    return Series(times, np.array(values, np.float64), unit)


def told(old: dict[str, Series], new: dict[str, Series], tolerances: Tolerances) -> Comparison:
    return compare_signals(Path("golden"), Path("new"), old, new, tolerances)


def test_the_first_difference_tells_time_values_and_how_far() -> None:
    old, new = {"u": series([1.0, 2.0, 3.0, 4.0])}, {"u": series([1.0, 2.5, 3.0, 4.004])}
    result = told(old, new, Tolerances(Tolerance(0.01)))
    (difference,) = result.differences
    assert (difference.kind, difference.lonely_new, difference.lonely_golden) == ("differs", 1, 1)
    assert difference.worst == 0.5
    first = difference.first[0]
    assert (first.time_s, first.side, first.got, first.expected, first.away) == (0.01, "new", "2.5", "2.0", 0.5)
    assert result.exit_code == ExitCode.FAIL
    text = "\n".join(result.lines())
    assert "0.010000 s" in text
    assert "worst by 0.5 V" in text
    assert json.loads(json.dumps(result.as_dict()))["differences"][0]["name"] == "u"


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1 K", "°C", 1.0),
        ("1 K", "degC", 1.0),
        ("2 %", "%", 2.0),
        ("2 %", "1", 0.02),
        ("50 rpm", "rpm", 50.0),
        ("3", "", 3),
    ],
)
def test_a_tolerance_is_read_in_the_unit_as_the_signal_spells_it(text: str, unit: str, value: float) -> None:
    chosen = Tolerances(exceptions=(("u", SignalTolerance(value=text)),))
    assert chosen.of("u", unit).value == value


def test_a_shift_in_time_is_within_its_tolerance_or_told_with_how_far_away() -> None:
    old, new = {"u": series([1.0, 2.0, 3.0])}, {"u": series([1.0, 2.0, 3.0], late_ns=4_000_000)}
    assert told(old, new, Tolerances(Tolerance(time_ns=4_000_000))).same
    late = told(old, new, Tolerances(Tolerance(time_ns=3_999_999)))
    assert late.differences[0].lonely_new == 3
    assert late.differences[0].first[0].late_s == pytest.approx(0.004)


def test_samples_that_are_only_in_the_golden_one_are_missed_too() -> None:
    result = told({"u": series([1.0] * 5)}, {"u": series([1.0] * 3)}, Tolerances())
    assert (result.differences[0].lonely_new, result.differences[0].lonely_golden) == (0, 2)
    assert result.differences[0].first[0].side == "golden"


def test_missing_and_extra_signals_differ_unless_they_are_ignored() -> None:
    old, new = {"a": series([1.0]), "b": series([1.0])}, {"b": series([1.0]), "c": series([1.0])}
    kinds = {d.name: d.kind for d in told(old, new, Tolerances()).differences}
    assert kinds == {"a": "missing", "c": "extra"}
    ignoring = told(old, new, Tolerances(ignore=("a", "c*")))
    assert ignoring.same
    assert (ignoring.compared, ignoring.ignored) == (1, 2)
    assert told({}, {}, Tolerances()).exit_code == ExitCode.UNDECIDED


def test_tolerances_come_from_a_file_the_last_pattern_counts_and_units_are_read(tmp_path: Path) -> None:
    path = tmp_path / "golden.yaml"
    path.write_text(
        "value: 0.5\ntime: 20 ms\nignore: [twin.*]\n"
        'signals:\n  "shown.*": {value: 1}\n  "shown.cell_voltage[*]": {value: 2 mV, time: 0 s}\n'
    )
    chosen = load_tolerances(path, ignore=("x",))
    assert chosen.of("shown.cell_voltage[3]", "V") == Tolerance(0.002, 0.0, 0)
    assert chosen.of("shown.pack_current", "A") == Tolerance(1.0, 0.0, 20_000_000)
    assert chosen.of("reported.soc", "1") == Tolerance(0.5, 0.0, 20_000_000)
    assert chosen.ignores("twin.soc")
    assert chosen.ignores("x")
    assert load_tolerances(path, value=0.0, time_s=0.001).default == Tolerance(0.0, 0.0, 1_000_000)
    path.write_text("vale: 1\n")
    with pytest.raises(InputError, match="value"):
        load_tolerances(path)
    with pytest.raises(InputError, match="tolerance of value"):
        load_tolerances(value=-1.0)


def test_brackets_of_a_pattern_are_just_brackets() -> None:
    assert fits("shown.cell_voltage[*]", "shown.cell_voltage[12]")
    assert fits("a?c", "abc")
    assert not fits("shown.cell_voltage[1]", "shown.cell_voltage1")
    assert not fits("a.c", "abc")


def test_two_records_are_compared_by_quantity_and_a_record_is_like_itself(tmp_path: Path) -> None:
    record_rig.write(tmp_path / "a.mcap", 100)
    record_rig.write(tmp_path / "b.mcap", 100)
    record_rig.write(tmp_path / "c.mcap", 90)
    assert compare(tmp_path / "a.mcap", tmp_path / "b.mcap").same
    shorter = compare(tmp_path / "a.mcap", tmp_path / "c.mcap")
    by_name = {d.name: d for d in shorter.differences}
    assert by_name["shown.pack_current"].lonely_golden == 10
    assert "time.lateness" not in by_name


def candump(path: Path, frames: list[tuple[float, int, str]]) -> Path:
    path.write_text("".join(f"({1700000000 + t:.6f}) can0 {i:03X}#{payload}\n" for t, i, payload in frames))
    return path


def test_logs_without_a_dbc_are_compared_frame_by_frame_from_their_first_frame(tmp_path: Path) -> None:
    frames = [(0.0, 0x123, "0102"), (0.01, 0x123, "0103"), (0.02, 0x124, "FF")]
    old = candump(tmp_path / "old.log", frames)
    new = candump(tmp_path / "new.log", [(t + 5.0, i, p) for t, i, p in frames])
    assert compare(old, new).same
    frames[1] = (0.01, 0x123, "0104")
    wrong = compare(old, candump(tmp_path / "wrong.log", [*frames, (0.03, 0x200, "")]))
    told = {d.name: d for d in wrong.differences}
    assert set(told) == {"0x123", "0x200"}
    assert told["0x123"].first[0].got == "[01 04]"
    assert told["0x200"].kind == "extra"
    assert told["0x123"].worst is None


def test_logs_with_a_dbc_are_compared_by_signal(tmp_path: Path) -> None:
    dbc = Path(__file__).parents[2] / "dbc" / "bench.dbc"
    old = candump(tmp_path / "old.log", [(0.0, 0x111, "E803"), (0.1, 0x111, "E803")])  # 10.00 %
    new = candump(tmp_path / "new.log", [(0.0, 0x111, "E803"), (0.1, 0x111, "EA03")])  # 10.02 %
    (difference,) = compare(old, new, dbc=dbc).differences
    assert difference.name == "BMS_Soc.Soc"
    assert difference.worst == pytest.approx(0.02)
    assert compare(old, new, load_tolerances(value=0.05), dbc).same


def test_a_record_and_a_log_cannot_be_compared(tmp_path: Path) -> None:
    record_rig.write(tmp_path / "a.mcap", 5)
    log = candump(tmp_path / "b.log", [(0.0, 1, "00")])
    with pytest.raises(InputError, match="expected a record, found a CAN log"):
        compare(tmp_path / "a.mcap", log)


def test_accepting_puts_the_new_file_in_place_and_refuses_another_kind(tmp_path: Path) -> None:
    old, new = candump(tmp_path / "old.log", [(0.0, 1, "00")]), candump(tmp_path / "new.log", [(0.0, 2, "00")])
    accept(old, new)
    assert old.read_bytes() == new.read_bytes()
    accept(tmp_path / "fresh" / "first.log", new)
    assert compare(tmp_path / "fresh" / "first.log", new).same
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(InputError, match="change its kind"):
        accept(tmp_path / "old.asc", new)
    with pytest.raises(InputError, match="the same"):
        accept(old, old)
    with pytest.raises(InputError, match="cannot read"):
        accept(old, tmp_path / "none.log")


def like(pattern: str, name: str) -> bool:
    """The definition of a pattern, letter by letter."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(like(pattern[1:], name[i:]) for i in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and like(pattern[1:], name[1:])


@given(st.text("ab.?*[", max_size=7), st.text("ab.[", max_size=8))
def test_a_pattern_fits_what_its_definition_says(pattern: str, name: str) -> None:
    assert fits(pattern, name) == like(pattern, name)


@pytest.mark.timeout(10)
def test_a_pattern_of_many_stars_is_answered_at_once() -> None:
    assert not fits("*a" * 25 + "*b", "a" * 60)
    assert not fits("*?a" * 2000 + "b", "a" * 5000)
    assert fits("*a" * 25, "a" * 60)
