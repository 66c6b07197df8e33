"""A test suite as judge: pytest on a copy of the source tree in which one file is changed.

For code that cannot be loaded as copies: a process of its own, or code that its tests reach by many ways. Nothing is compiled
(``HIL_INTERPRET=1``). An endless loop ends by pytest-timeout, if the tests have one, else by the wall clock.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from types import TracebackType

from hil.campaign.mutate.nouns import Finding, Mutant, Status, Target
from hil.campaign.mutate.sites import file_of
from hil.errors import InputError, Problem

ARGUMENTS = ("-x", "-q", "-rfE", "--tb=line", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist")
NOT_COPIED = ("__pycache__", "*.pyc", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")


class Tree:
    """A copy of the source tree; a context that removes it."""

    def __init__(self, target: Target) -> None:
        """Copy it and see that the tests hold. Raises InputError where they do not, or where a file is missing."""
        self._target = target
        self._folder = tempfile.TemporaryDirectory(prefix="mutate-")
        self.root = Path(self._folder.name) / "tree"
        self.sources: dict[str, str] = {}
        try:
            self._copy()
            code, output = self._run()
            if code != 0:
                raise InputError(f"the tests do not hold on the code as it is: {' '.join(_first(output))}, exit {code}")
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> "Tree":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def _copy(self) -> None:
        self.root.mkdir()
        for place in self._target.tree:
            origin = self._target.within(place)
            if origin.is_dir():
                shutil.copytree(origin, self.root / place, ignore=shutil.ignore_patterns(*NOT_COPIED))
            elif origin.is_file():
                shutil.copy2(origin, self.root / place)
            else:
                raise InputError(
                    Problem(f"target {self._target.name}: no such file or folder in the tree", str(origin))
                )
        for module in self._target.modules:
            self.sources[module] = file_of(self.root, module).read_text("utf-8")

    def finding(self, mutant: Mutant) -> Finding:
        """What becomes of a mutant."""
        path, source = file_of(self.root, mutant.module), self.sources[mutant.module]
        self._write(path, mutant.applied(source))
        try:
            code, output = self._run()
        finally:
            self._write(path, source)
        if code == 0:
            return Finding(mutant, Status.SURVIVED)
        test, what = _first(output)
        return Finding(mutant, Status.KILLED, test, what or f"pytest ended with {code}")

    def settle(self) -> None:
        """Nothing to do: each mutant has processes of its own, and its file is written back."""

    def _write(self, path: Path, source: str) -> None:
        """A source and no compiled form of an older one: what is cached is told by size and whole seconds."""
        Path(cache_from_source(str(path))).unlink(missing_ok=True)
        path.write_text(source, "utf-8")

    def _run(self) -> tuple[int, str]:
        paths = [str(self.root), *(str(self.root / p) for p in self._target.paths)]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "HIL_INTERPRET": "1",
            "PYTHONHASHSEED": "0",
            "HIL_CACHE_DIR": str(self.root.parent / "cache"),
        }
        shutil.rmtree(self.root / ".hypothesis", ignore_errors=True)  # what it remembers of the mutant before
        seeded = ["--hypothesis-seed=0"] if find_spec("hypothesis") is not None else []
        command = [sys.executable, "-m", "pytest", *ARGUMENTS, *seeded, *self._target.tests]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def _first(output: str) -> tuple[str, str]:
    """The test that failed first, without the values it was called with, and what pytest says of it."""
    found = re.search(r"^(?:FAILED|ERROR) ([^\s\[]+)(.*)$", output, re.MULTILINE)
    if found:
        return found[1], found[2].strip(" -")
    lines = output.strip().splitlines()
    return "pytest", lines[-1] if lines else ""
