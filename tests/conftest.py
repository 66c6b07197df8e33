"""Markers by path, the shared kernel cache, and the rule that a skip for a missing system part fails in CI."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A first call compiles: no test asserts a wall-clock time, hypothesis included. CI draws the same examples every time.
settings.register_profile("cellbench", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("cellbench")

KINDS = ("unit", "property", "golden", "system", "architecture", "faults", "hardware")
DATA = Path(os.environ.get("CELLBENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = Path(str(item.path)).relative_to(Path(__file__).parent).parts[0]
        if folder in KINDS:
            item.add_marker(getattr(pytest.mark, folder))


@pytest.fixture
def shared_data() -> Path:
    """The folder of measurements that are not part of the project; skips, saying so, where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"measurement folder {DATA} is absent; set $CELLBENCH_DATA")
    return DATA


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Under CI=true a skipped test is a failure, except for absent shared data and the large extra ``reference``."""
    outcome = yield
    report = outcome.get_result()
    allowed = any(item.get_closest_marker(name) is not None for name in ("shared_data", "reference"))
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true" and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
