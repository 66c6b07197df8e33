"""``pytest scenarios/``: every scenario file is a collector, every case of it a test.

A case runs on the bench while the test is set up and is judged when it is called: a bench that could not do its job is
an error of the test, a check that is not PASS is a failure. Heavy imports wait until a scenario file is met, so that
other projects' test runs pay nothing for an installed Cellbench.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hil.scenario.cases import Case
    from hil.scenario.loader import Loaded
    from hil.scenario.plugged import Plugged

SNIFFED = 1 << 16
SCENARIO = re.compile(r"^scenario[ \t]*:", re.MULTILINE)
BODY = re.compile(r"^(steps|expect)[ \t]*:", re.MULTILINE)  # a bare `scenario:` key is used by other tools too
COLUMNS = ("check", "verdict", "margin", "at", "why")
PLUGGED: "pytest.StashKey[Plugged]" = pytest.StashKey()


class CaseFailed(Exception):
    """A case with a check that is not PASS; its text is the table of verdicts."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which bench, and which seeded defects."""
    group = parser.getgroup("cellbench", "Cellbench scenarios")
    group.addoption("--hil-bench", metavar="FILE", help="bench file; default: the virtual bench")
    group.addoption(
        "--hil-defect",
        metavar="NAME",
        action="append",
        default=[],
        help="seed this defect into the virtual BMS; repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker of slow scenarios known."""
    config.addinivalue_line("markers", "slow: a scenario tagged slow")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "ScenarioFile | None":
    """Take the files that are scenarios; benches, packs, limits and everybody else's YAML are not."""
    if file_path.suffix not in (".yaml", ".yml") or not is_scenario(file_path):
        return None
    made: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return made


def is_scenario(path: Path) -> bool:
    """Whether the beginning of a file has the top-level keys of a scenario."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(SNIFFED)
    except OSError:
        return False
    return SCENARIO.search(head) is not None and BODY.search(head) is not None


class ScenarioFile(pytest.File):
    """One scenario file."""

    def collect(self) -> Iterator["CaseItem"]:
        """One test per case. A file with errors is a collection error that tells all of them."""
        from hil.errors import InputError
        from hil.scenario.loader import load

        try:
            loaded = load(self.path)
        except InputError as error:
            raise self.CollectError(str(error)) from None
        for case in loaded.cases:
            item: CaseItem = CaseItem.from_parent(self, name=case.id, loaded=loaded, case=case)
            if "slow" in loaded.model.tags:
                item.add_marker(pytest.mark.slow)
            yield item


class CaseItem(pytest.Item):
    """One case of a scenario."""

    def __init__(self, *, loaded: "Loaded", case: "Case", **more: Any) -> None:
        """``loaded`` is the file this ``case`` is from."""
        super().__init__(**more)
        self._loaded, self._case = loaded, case
        self._checks: list[dict[str, Any]] = []

    def setup(self) -> None:
        """Run the case.

        Raises:
            BenchError: the bench could not do its job and nothing failed before.
            InputError: the case does not fit the bench, or a defect has no such name.
            KeyboardInterrupt: the run was interrupted.
        """
        from hil.campaign.run import Options, run_case
        from hil.errors import BenchError

        folder = _folder(self.config)
        options = Options(folder, defects=tuple(self.config.getoption("--hil-defect")))
        record = folder / "record.mcap"
        summary, _, interrupted = run_case(
            self._loaded, self._case, _plugged(self.config), record, options, lambda t_ns: None
        )
        if interrupted:
            raise KeyboardInterrupt
        self._checks = summary["checks"]
        self.add_report_section("setup", "record", str(record))
        found = {check["status"] for check in self._checks}
        if "ERROR" in found and "FAIL" not in found:
            raise BenchError(verdict_table(self._checks))

    def runtest(self) -> None:
        """Judge: every check must be PASS. Raises CaseFailed."""
        if any(check["status"] != "PASS" for check in self._checks):
            raise CaseFailed(verdict_table(self._checks))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The verdicts or the problems as they are; a traceback only for our own mistakes."""
        from hil.errors import BenchError, InputError

        if isinstance(excinfo.value, CaseFailed | BenchError | InputError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The heading of a failure: the scenario's sentence and the case."""
        return self.path, None, f"{self._loaded.model.scenario} [{self._case.id}]"


def _plugged(config: pytest.Config) -> "Plugged":
    """The bench, loaded once a session."""
    if PLUGGED not in config.stash:
        from hil.scenario.plugged import load_bench

        chosen = config.getoption("--hil-bench")
        config.stash[PLUGGED] = load_bench(Path(chosen) if chosen else None)
    return config.stash[PLUGGED]


def _folder(config: pytest.Config) -> Path:
    """A fresh folder under pytest's own temporary one (kept for the last three runs)."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None:  # pytest runs without its tmpdir plugin
        return Path(tempfile.mkdtemp(prefix="hil-"))
    made: Path = factory.mktemp("hil")
    return made


def verdict_table(checks: Sequence[dict[str, Any]]) -> str:
    """The checks of a case as aligned text, one line each."""
    lines = [COLUMNS]
    for check in checks:
        margin = "" if check["margin"] is None else f"{check['margin']:.3g} {check['margin_unit']}"
        at = "" if check["time_s"] is None else f"{check['time_s']:.3f} s"
        lines.append((check["id"], check["status"], margin, at, check["reason"]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS) - 1)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[-1]]) for line in lines
    )
