"""The speed tools of the CAN side run, say everything and compare equal work; how fast the machine is, is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def told(*command: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_decoding_is_measured_and_equal_to_cantools() -> None:
    result = told("tools/bench/decode.py", "--json", "--frames", "20000", "--sample", "3000", "--repeat", "1")
    assert (result["frames"], result["mismatches"]) == (20000, 0)
    for key in ("ns_per_frame", "vs_cantools", "vs_asammdf", "vs_memcpy", "us_per_tick", "tick_vs_cantools"):
        assert result[key] > 0


def test_reading_of_logs_is_measured_and_every_frame_compared() -> None:
    result = told("tools/bench/logread.py", "--json", "--frames", "3000", "--repeat", "1")
    assert result["mismatches"] == 0
    assert result["vs_python_can_blf"] > 0 and result["vs_python_can_candump"] > 0


def test_replay_is_measured_and_loses_nothing() -> None:
    result = told("tools/bench/replay.py", "--json", "--seconds", "0.3", "--rounds", "1")
    assert (result["lost"], result["sent"] > 0) == (0, True)
    for key in ("p50_us", "p99_us", "vs_python_can_p99"):
        assert result[key] > 0
