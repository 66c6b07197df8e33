"""Helpers of the system tests: the command line in a process of its own, and scenario texts written for a test."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
HIL = (sys.executable, "-c", "from hil.cli import main; main()")


def is_slow(path: Path) -> bool:
    """True for a scenario file tagged ``slow``."""
    return re.search(r"^tags:.*\bslow\b", path.read_text("utf-8"), re.MULTILINE) is not None


QUICK = [p for p in SCENARIOS if not is_slow(p)]


def environment(**more: str) -> dict[str, str]:
    """This process's environment with the tree first on the path and a plain terminal."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", **more}


def hil(*arguments: object, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run ``hil`` with these arguments to its end."""
    command = [*HIL, *(str(a) for a in arguments)]
    return subprocess.run(
        command, cwd=cwd or ROOT, env=environment(**more), capture_output=True, text=True, check=False, timeout=280
    )


def checks_of(out: Path) -> list[dict[str, Any]]:
    """All checks in a folder of results."""
    return [check for case in json.loads((out / "verdicts.json").read_text()) for check in case["checks"]]


SCENARIO = """\
scenario: written by a test
pack: {scenarios}/packs/a123_96s40p.yaml
bms: {scenarios}/bms/reference.limits.yaml
seed: 3
given: {{state: NORMAL, soc: 60 %, temperature: 25 degC}}
steps:
  - at: 0 s
    mark: begin
  - at: {length}
    current: 5 A
expect:
  - id: A-1
    {expect}
"""


def written(
    folder: Path,
    expect: str = "always: measured.pack_current < 90 A",
    length: str = "1 s",
    change: tuple[str, str] | None = None,
) -> Path:
    """A small scenario file in ``folder``; ``change`` replaces one piece of its text."""
    text = SCENARIO.format(scenarios=ROOT / "scenarios", expect=expect, length=length)
    if change is not None:
        assert change[0] in text, change[0]
        text = text.replace(change[0], change[1], 1)
    path = folder / "written.yaml"
    path.write_text(text)
    return path
