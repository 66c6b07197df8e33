"""The bench of the twin's accuracy: what it says where data are absent, and its limits. Its figures need the data."""

import json
from pathlib import Path

import pytest

from hil.analysis.fit.judge import TestError
from tools.bench import twin_accuracy as bench

KEYS = ("a123_block_mv", "a123_leave_one_out_mv", "panasonic_mv", "lg_m50_mv", "soc_rmse_pct")


def test_absent_sets_are_null_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a123_lfp").mkdir()
    assert bench.main(["--data", str(tmp_path), "--json", "--jobs", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [told[key] for key in KEYS] == [None] * len(KEYS)
    assert "no A123 test at -25, -5, 5, 25 or 45 degC" in told["absent"]["a123 blocks"]
    assert told["absent"]["lg_m50"].endswith("lg_m50: no such folder")
    assert set(told["absent"]) == {name for name in bench.jobs(tmp_path, ()) if name != "a123 other temperatures"}
    assert told["a123_unseen_degc"] == []
    assert not told["reached"]


def test_a_folder_that_is_not_there_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--data", str(tmp_path / "gone")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_limits_are_held_against_the_figures() -> None:
    figures = {
        "a123_block_mv": {"-25": 29.6, "-5": 13.5, "5": 1.0, "25": 1.0, "45": 1.0},
        "a123_leave_one_out_mv": {"-5": 1.0, "5": 1.0, "25": 20.0, "15": 30.0},
        "a123_unseen_degc": [15.0],
        "panasonic_mv": 10.9,
        "lg_m50_mv": {"0.5C": 24.9, "1C": None},
        "soc_rmse_pct": {"clean": 0.5, "bias": 1.1, "gain": 0.9},
    }
    told = bench.report(figures, {})
    reached = {goal["figure"]: goal["reached"] for goal in told["goals"]}
    assert [name for name, good in reached.items() if not good] == [
        "a123_block_mv -5",
        "a123_leave_one_out_mv 25",
        "a123_leave_one_out_mv 15",
        "lg_m50_mv 1C",
        "soc_rmse_pct bias",
    ]
    assert told["a123_block_mean_mv"] == 9.22
    reasons = {goal["figure"]: goal["reason"] for goal in told["goals"]}
    assert reasons["a123_block_mv -5"] == "13.5 is not below 13.4"
    assert "not measured" in reasons["lg_m50_mv 1C"]
    assert list(told["a123_leave_one_out_mv"]) == ["-5", "5", "15", "25"]


def test_errors_are_pooled_by_samples() -> None:
    one, two = (TestError("x", "drive", "test", 25.0, rmse, 1.0, n) for rmse, n in ((0.003, 100), (0.005, 300)))
    assert bench.pooled([one, two]) == pytest.approx(((100 * 0.003**2 + 300 * 0.005**2) / 400) ** 0.5)
