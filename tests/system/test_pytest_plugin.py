"""``pytest`` on scenario files: what is collected, what passes, fails and errors, and what is left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = """
scenario: a quiet bench stays quiet
tags: [{tags}]
pack: {pack}
bms: {bms}
params: {{cell: [3, 5]}}
given: {{state: STANDBY}}
steps:
  - at: 0 s
    set: {{"shown.cell_voltage[$cell]": 3.3 V}}
  - at: 100 ms
    mark: observed
expect:
  - id: quiet
    {check}
"""
PASSES = "never: reported.state == ERROR"
FAILS = "never: shown.cell_voltage[$cell] > 3.2 V"
NEVER_FIRES = "{when: 'shown.cell_voltage[$cell] > 4 V', then: measured.contactor_main == OPEN, within: 100 ms}"


def write(folder: Path, name: str, check: str, tags: str = "") -> Path:
    text = QUICK.format(
        tags=tags,
        pack=ROOT / "scenarios/packs/a123_96s40p.yaml",
        bms=ROOT / "scenarios/bms/reference.limits.yaml",
        check=check
        if not check.startswith("{")
        else check[1:-1].replace(", then", "\n    then").replace(", within", "\n    within"),
    )
    path = folder / name
    path.write_text(text)
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest in a process of its own, away from this project's settings."""
    plugin = [] if installed() else ["-p", "hil.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CI": ""}
    return subprocess.run(
        [*command, *plugin, *arguments], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )


def installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    from importlib.metadata import entry_points

    return any(e.value == "hil.pytest_plugin" for e in entry_points(group="pytest11"))


def test_every_case_of_a_healthy_scenario_passes(tmp_path: Path) -> None:
    write(tmp_path, "quiet.yaml", PASSES)
    ended = run(tmp_path, "-v")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "quiet.yaml::cell=3 PASSED" in ended.stdout
    assert "quiet.yaml::cell=5 PASSED" in ended.stdout


def test_a_failing_check_fails_the_test_with_its_sentence(tmp_path: Path) -> None:
    write(tmp_path, "loud.yaml", FAILS)
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert "2 failed" in ended.stdout
    assert "why" in ended.stdout
    assert "FAIL" in ended.stdout
    assert "Traceback" not in ended.stdout


def test_a_check_that_was_never_exercised_fails(tmp_path: Path) -> None:
    write(tmp_path, "idle.yaml", NEVER_FIRES)
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert "NOT_EXERCISED" in ended.stdout


def test_a_seeded_defect_with_no_such_name_is_an_error_of_the_test(tmp_path: Path) -> None:
    write(tmp_path, "quiet.yaml", PASSES)
    ended = run(tmp_path, "--hil-defect", "ov_never_trip")
    assert ended.returncode == 1
    assert "2 errors" in ended.stdout
    assert "ov_never_trips" in ended.stdout


def test_a_file_with_errors_is_a_collection_error_that_says_where(tmp_path: Path) -> None:
    path = write(tmp_path, "typo.yaml", PASSES)
    path.write_text(path.read_text().replace("given:", "givn:"))
    ended = run(tmp_path)
    assert ended.returncode == 2
    assert "typo.yaml:7:1" in ended.stdout
    assert "given" in ended.stdout


def test_slow_scenarios_can_be_left_out_by_their_marker(tmp_path: Path) -> None:
    write(tmp_path, "quiet.yaml", PASSES, tags="slow")
    ended = run(tmp_path, "-m", "not slow", "--strict-markers")
    assert ended.returncode == 5, ended.stdout  # nothing left to run
    assert "2 deselected" in ended.stdout


def test_files_that_are_no_scenarios_are_left_alone() -> None:
    ended = run(ROOT / "scenarios", "--collect-only", "-q", str(ROOT / "scenarios"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "cell_overvoltage.yaml::cell=47" in ended.stdout
    for folder in ("packs/", "benches/", "bms/", "cycles/"):
        assert folder not in ended.stdout


@pytest.mark.parametrize("text", ["scenario:\n  name: default\n", "steps:\n  - run: ls\n", "\x00\x01", ""])
def test_the_yaml_of_other_projects_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.yaml").write_text(text)
    ended = run(tmp_path)
    assert ended.returncode == 5, ended.stdout
    assert "no tests ran" in ended.stdout


def test_the_plugin_itself_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'numba', 'pint', 'cantools', 'yaml', 'pydantic'}"
    program = f"import sys, hil.pytest_plugin; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
