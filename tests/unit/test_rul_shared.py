"""Real cells: 84 of Severson's, three of NASA's. The laws they stand for are tested on made-up cells too."""

import csv
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.rul.curves import Curves, load_curves, load_history
from hil.analysis.rul.fade import History, end_of_life, forecast
from hil.analysis.rul.model import SHIPPED, load_rul_model, predict
from hil.analysis.rul.train import Origin, score, train

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def sets(request: pytest.FixtureRequest) -> dict[str, Curves]:
    from tests.conftest import DATA

    path = DATA / "cells" / "severson" / "capacity_matrices_train_test1.npz"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set $CELLBENCH_DATA")
    return {one.name: one for one in load_curves(path)}


def test_training_on_train_alone_gives_the_shipped_model(sets: dict[str, Curves]) -> None:
    shipped = load_rul_model(SHIPPED)
    t = shipped.trained_on
    made = train(sets["train"], 1.1, Origin(t.cell, t.source, t.licence, t.end_of_life))
    assert made.strength == shipped.strength
    assert [made.model.offset, *made.model.slope] == pytest.approx(
        [shipped.model.offset, *shipped.model.slope], rel=1e-6
    )
    assert [r.residual for r in made.left_out] == pytest.approx([r.residual for r in shipped.left_out], abs=1e-6)
    assert made.left_out_errors.rmse_cycles < 95.0


def test_the_lives_of_test1_are_met_within_97_cycles_and_the_intervals_hold_them(sets: dict[str, Curves]) -> None:
    test1 = sets["test1"]
    assert test1.life is not None
    made = score(predict(load_rul_model(SHIPPED), test1), test1.life)
    assert made.cells == 43
    assert made.rmse_cycles <= 97.0
    assert made.mape <= 0.15
    assert 0.84 <= made.covered / made.cells <= 0.97
    for level in (0.5, 0.8):
        other = score(predict(load_rul_model(SHIPPED), test1, level), test1.life)
        assert other.likely_low <= other.covered <= other.likely_high


def test_without_the_shortest_lived_cell_the_errors_are_smaller_and_that_cell_is_told_as_outside(
    sets: dict[str, Curves],
) -> None:
    test1 = sets["test1"]
    assert test1.life is not None
    cells = predict(load_rul_model(SHIPPED), test1)
    shortest = int(np.argmin(test1.life))
    assert cells[shortest].outside
    rest = score([p for i, p in enumerate(cells) if i != shortest], np.delete(test1.life, shortest))
    assert rest.rmse_cycles <= 90.0
    assert rest.mape <= 0.11


@pytest.fixture
def nasa(shared_data: Path) -> dict[str, History]:
    folder = shared_data / "cells" / "nasa"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return {name: load_history(folder / f"{name}_processed.csv") for name in ("B0005", "B0006", "B0007")}


@pytest.mark.parametrize("name", ["B0005", "B0006", "B0007"])
def test_from_half_life_on_the_interval_holds_the_end_of_nasa_cells(nasa: dict[str, History], name: str) -> None:
    whole = nasa[name]
    limit_ah = 0.8 * float(whole.capacity_ah[0])
    truth = end_of_life(whole, limit_ah)
    assert truth is not None
    for share in (0.5, 0.6, 0.7, 0.8, 0.9):
        seen = whole.cycles - whole.cycles[0] <= share * (truth - whole.cycles[0])
        made = forecast(History(name, whole.cycles[seen], whole.capacity_ah[seen]), limit_ah)
        assert made.ended is None
        assert made.end_low <= truth <= made.end_high, (share, made.end_low, made.end_high, truth)
        assert made.end_high < 5.0 * truth


def test_the_reader_takes_every_row_of_the_nasa_files(nasa: dict[str, History], shared_data: Path) -> None:
    with (shared_data / "cells" / "nasa" / "B0005_processed.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert nasa["B0005"].cycles.tolist() == [float(r["cycle"]) for r in rows]
    assert nasa["B0005"].capacity_ah.tolist() == [float(r["capacity"]) for r in rows]
