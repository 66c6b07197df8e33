"""The speed tool runs and says everything; how fast the machine is, is not tested."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"cells", "us_per_tick", "times_real_time", "stages_us", "times_real_time_policy", "us_per_tick_policy"}


def test_the_speed_tool_prints_every_number_as_json() -> None:
    command = [sys.executable, "tools/bench/tick.py", "--json", "--ticks", "500", "--repeat", "1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert set(result) >= KEYS
    assert result["cells"] == 96
    assert result["ticks"] == 500
    assert result["times_real_time"] > 0
    assert abs(result["us_per_tick"] * result["times_real_time"] - 10_000) < 100  # a 10 ms tick
    for stage in ("plant", "twin", "checks", "codec decode", "record every row"):
        assert result["stages_us"][stage] >= 0
