"""``hil rul`` and ``hil advise`` as people call them: what they print and write, their exit codes, what they refuse."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hil.analysis.rul.model import load_rul_model
from hil.cli import main
from tests.rul_rig import fading, make_curves, save_curves

GOLDEN = Path(__file__).parents[1] / "golden" / "rul"
TRAIN = ("--nominal", "1.1 Ah", "--cell", "made up", "--source", "a law", "--licence", "MIT")


def hil(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def close(found: Any, golden: Any, at: str = "") -> None:
    """Equal, numbers but for the last figures that another machine's library may give."""
    if isinstance(golden, dict):
        assert list(found) == list(golden), at
        for key in golden:
            close(found[key], golden[key], f"{at}.{key}")
    elif isinstance(golden, list):
        assert len(found) == len(golden), at
        for i, (a, b) in enumerate(zip(found, golden, strict=True)):
            close(a, b, f"{at}[{i}]")
    elif isinstance(golden, float):
        assert found == pytest.approx(golden, rel=1e-4, abs=0.11 if "end" in at or "remaining" in at else 1e-9), at
    else:
        assert found == golden, at


@pytest.mark.parametrize(
    ("command", "data", "golden", "code"),
    [("rul", "fade.csv", "fade.json", 0), ("advise", "condition.yaml", "advice.json", 1)],
)
def test_the_json_is_the_golden_one(command: str, data: str, golden: str, code: int) -> None:
    done = hil(command, GOLDEN / data, "--json")
    assert done.exit_code == code
    close(json.loads(done.output), json.loads((GOLDEN / golden).read_text()))


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    return save_curves(tmp_path / "curves.npz", make_curves(25, name="train"), make_curves(6, seed=40, name="fresh"))


def test_a_model_is_trained_saved_and_used(curves: Path, tmp_path: Path) -> None:
    model = tmp_path / "mine.json"
    done = hil("rul", curves, "--set", "train", "--train", model, *TRAIN, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["cells"] == 25
    assert load_rul_model(model).trained_on.licence == "MIT"
    told = hil("rul", curves, "--set", "fresh", "--model", model, "--level", "0.8")
    assert told.exit_code == 0
    assert told.output.count("  cell ") == 6
    assert "fresh without its shortest-lived: RMSE" in told.output
    made = json.loads(hil("rul", curves, "--model", model, "--json").output)
    assert made["model"] == {"cell": "made up", "source": "a law", "licence": "MIT"}
    assert [s["set"] for s in made["sets"]] == ["fresh", "train"]
    cell = made["sets"][0]["cells"][0]
    assert cell["remaining"]["median"] == pytest.approx(cell["life"]["median"] - 100.0)


def test_the_shipped_model_says_that_other_cells_are_outside_its_training(curves: Path) -> None:
    done = hil("rul", curves, "--set", "fresh")
    assert done.exit_code == 0
    assert "outside the training: " in done.output


def test_pages_are_written_whole_and_never_over_another(curves: Path, tmp_path: Path) -> None:
    for command, data in (("rul", curves), ("rul", GOLDEN / "fade.csv"), ("advise", GOLDEN / "condition.yaml")):
        out = tmp_path / "page.html"
        out.unlink(missing_ok=True)
        assert hil(command, data, "--out", out).exit_code in (0, 1)
        page = out.read_text()
        assert page.lstrip().startswith("<!doctype html>")
        assert page.rstrip().endswith("</html>")
        assert re.search(r"\bnan\b", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)) is None
        charts = json.loads(re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
        assert all(chart["across"]["name"] in ("voltage", "cycle", "group") for chart in charts.values())
        assert set(re.findall(r'data-chart="(\w+)"', page)) == set(charts)
        again = hil(command, data, "--out", out)
        assert again.exit_code == 2
        assert "--force" in again.output
        assert hil(command, data, "--out", out, "--force").exit_code in (0, 1)


def test_a_texts_markup_stays_text(tmp_path: Path) -> None:
    path, out = tmp_path / "x.yaml", tmp_path / "x.html"
    path.write_text("pack: <script>alert(1)</script>\nsoh_capacity: 0.9\nsoh_capacity_sigma: 0.01\n")
    assert hil("advise", path, "--out", out).exit_code == 0
    assert "<script>alert" not in out.read_text()


def test_no_end_in_sight_is_undecided(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("cycle,capacity_ah\n" + "".join(f"{n},{2.0 + 0.001 * (n % 3)}\n" for n in range(1, 60)))
    done = hil("rul", path)
    assert done.exit_code == 3
    assert "no end in sight" in done.output
    assert json.loads(hil("rul", path, "--json").output)["end"]["median"] is None


def test_an_end_that_was_met_is_told(tmp_path: Path) -> None:
    history = fading(1.0, 300.0, 400.0)
    path = tmp_path / "worn.csv"
    path.write_text(
        "cycle,capacity_ah\n" + "".join(f"{n},{q}\n" for n, q in zip(history.cycles, history.capacity_ah, strict=True))
    )
    done = hil("rul", path, "--end-of-life", "1.6 Ah")
    assert done.exit_code == 0
    assert re.search(r"met at cycle (29\d|30\d)\n", done.output)
    assert hil("rul", path, "--end-of-life", "80 %", "--nominal", "2 Ah", "--out", tmp_path / "x.html").exit_code == 0


def test_advice_without_anything_known_is_undecided(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("pack: nothing known\n")
    done = hil("advise", path)
    assert done.exit_code == 3
    assert "not judged: balance; not known: cell_soc of at least two groups" in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rul", "none.csv"], "No such file"),
        (["rul", GOLDEN / "fade.csv", "--level", "1.5"], "level: expected between 0 and 1"),
        (["rul", GOLDEN / "fade.csv", "--end-of-life", "80"], "--end-of-life"),
        (["rul", GOLDEN / "fade.csv", "--end-of-life", "much"], "--end-of-life"),
        (["rul", GOLDEN / "fade.csv", "--end-of-life", "-1 Ah"], "1 uAh to 1 MAh"),
        (["rul", GOLDEN / "fade.csv", "--nominal", "2 V"], "--nominal"),
        (["rul", GOLDEN / "fade.csv", "--train", "m.json", *TRAIN], "an .npz"),
        (["rul", "CURVES", "--set", "fres"], "did you mean 'fresh'"),
        (["rul", "CURVES", "--level", "0.96"], "0.952"),
        (["rul", "CURVES", "--set", "train", "--train", "m.json"], "--train needs --licence"),
        (["rul", "CURVES", "--train", "m.json", *TRAIN], "--train needs --set"),
        (["rul", "CURVES", "--set", "fresh", "--train", "m.json", *TRAIN], "too few cells"),
        (["rul", "CURVES", "--model", GOLDEN / "condition.yaml"], "condition.yaml"),
        (["advise", GOLDEN / "fade.csv"], "fade.csv"),
        (["advise", "none.mcap"], "none.mcap"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_exit_code_2(
    arguments: list[object], told: str, curves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = hil(*[curves if a == "CURVES" else a for a in arguments])
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "m.json").exists()
