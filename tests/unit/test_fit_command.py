"""`hil fit` as a person runs it: files, exit codes, JSON, what is not overwritten."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.files.cell import load_cell
from tests import fit_rig as rig
from tests.unit.test_fit_manifest import folder as folder
from tests.unit.test_fit_manifest import manifest, write_csv

SOUND = """\
  - {file: relax.csv, kind: relaxation, temperature: 25 degC, start_soc: 95 %, discharge: negative, columns: {time: 't [s]', current: 'I [A]', voltage: 'U [V]'}}
  - {file: cc.csv, kind: constant_current, temperature: 25 degC, start_soc: 95 %}
  - {file: fast.csv, kind: constant_current, temperature: 25 degC, start_soc: 95 %, use: test}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["fit", *map(str, arguments)])


@pytest.fixture
def sound(folder: Path) -> Path:
    write_csv(folder / "fast.csv", rig.discharge(1.0, "test").trace)
    manifest(folder, SOUND)
    return folder


@pytest.fixture
def poor(folder: Path) -> Path:
    """Pulses alone, and the discharge they cannot tell."""
    write_csv(folder / "fast.csv", rig.discharge(1.0, "test").trace)
    lines = []
    for k, test in enumerate(rig.pulses()):
        write_csv(folder / f"pulse{k}.csv", test.trace)
        lines.append(f"  - {{file: pulse{k}.csv, kind: pulse, temperature: 25 degC, start_soc: {test.start_soc}}}\n")
    manifest(folder, "".join(lines) + SOUND.splitlines(keepends=True)[2])
    return folder


def test_a_sound_fit_is_written_and_told(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.cell.yaml"
    done = run(sound, "--out", out)
    assert done.exit_code == 0, done.output
    assert "fast.csv (3): 0." in done.output
    assert f"written: {out}" in done.output
    cell = load_cell(out)
    assert cell.cell == "mine"
    assert cell.fit["released"] is True
    assert cell.chemistry == "NMC"
    again = run(sound, "--out", out)
    assert again.exit_code == 2
    assert "--force" in again.output
    text = out.read_text()
    assert run(sound / "fit.yaml", "--out", out, "--force").exit_code == 0
    assert out.read_text() == text


def test_a_poor_fit_is_not_written_unless_allowed_and_then_marked(poor: Path, tmp_path: Path) -> None:
    out = tmp_path / "poor.cell.yaml"
    done = run(poor, "--out", out)
    assert done.exit_code == 1, done.output
    assert "not released: fast.csv" in done.output
    assert not out.exists()
    allowed = run(poor, "--out", out, "--allow-poor", "--json")
    assert allowed.exit_code == 1
    told = json.loads(allowed.stdout)
    assert told["released"] is False
    assert told["held_out_rmse_mv"] > 10.0 * told["training_rmse_mv"]
    assert load_cell(out).fit["released"] is False


def test_json_says_all_that_the_lines_say(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.cell.yaml"
    told = json.loads(run(sound, "--out", out, "--pairs", 2, "--json").stdout)
    assert told["released"] is True
    assert len(told["taus_s"]) == 2
    assert [e["test"] for e in told["held_out"]] == ["fast.csv (3)"]
    assert told["out"] == str(out)
    assert told["plot"] is None


@pytest.mark.parametrize(
    ("data", "said"), [("gone", "no such file or folder"), (".", "fit.yaml"), ("fit.yaml", "fit.yaml:2:1: not YAML")]
)
def test_bad_input_is_told_and_nothing_written(data: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    target = {"gone": tmp_path / "gone", ".": tmp_path / "empty", "fit.yaml": tmp_path / "fit.yaml"}[data]
    if data == "fit.yaml":
        target.write_text("cell: [")
    done = run(target, "--out", tmp_path / "x.cell.yaml")
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert not (tmp_path / "x.cell.yaml").exists()


def test_a_place_that_cannot_be_written_is_told(sound: Path, tmp_path: Path) -> None:
    done = run(sound, "--out", tmp_path / "no" / "such" / "x.cell.yaml")
    assert done.exit_code == 2
    assert "x.cell.yaml" in done.output


def test_a_plot_needs_a_suffix_and_matplotlib(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.cell.yaml"
    assert "expected .svg or .png or .pdf" in run(sound, "--out", out, "--plot", tmp_path / "x.gif").output
    if importlib.util.find_spec("matplotlib") is None:
        done = run(sound, "--out", out, "--plot", tmp_path / "x.svg")
        assert done.exit_code == 2
        assert "pip install 'cellbench[plot]'" in done.output
        assert not out.exists()
        return
    plots = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for plot in plots:
        assert run(sound, "--out", out, "--plot", plot, "--force").exit_code == 0
    first, second = (plot.read_bytes() for plot in plots)
    assert first == second
    assert b"twin less measured" in first
