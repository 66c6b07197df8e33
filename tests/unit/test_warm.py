"""The first run's second process compiles for this package, not for a checkout in the working directory."""

import subprocess
from pathlib import Path

import hil
from hil.campaign.warm import child_command


def test_the_child_takes_this_package_though_another_lies_in_its_working_directory(tmp_path: Path) -> None:
    (tmp_path / "hil").mkdir()
    (tmp_path / "hil" / "__init__.py").write_text("raise SystemExit(7)\n")
    done = subprocess.run(
        child_command("import hil; print(hil.__file__)"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == Path(hil.__file__).resolve()
