"""Cycle life from early curves: features by hand, ridge and intervals by hand, the model's file, training."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.rul.curves import Curves
from hil.analysis.rul.features import NAMES, features
from hil.analysis.rul.model import SHIPPED, load_rul_model, predict, save_rul_model
from hil.analysis.rul.ridge import STRENGTHS, _by_strength, choose_strength, fit, jackknife_plus, most_level
from hil.analysis.rul.train import Origin, score, train
from hil.errors import InputError
from tests.rul_rig import NOMINAL_AH, make_curves, noise

ORIGIN = Origin("made up", "tests", "MIT", "80 % of nominal")


def tiny(delta: list[float], end: list[float]) -> Curves:
    q = np.zeros((1, len(delta), 2))
    q[0, :, 1] = delta
    return Curves("tiny", np.array([10, 100]), np.linspace(3.0, 2.0, len(delta)), q, np.array([end]), None)


def test_the_features_are_those_of_a_hand_calculation() -> None:
    # delta Q in units of 2 Ah nominal: 0, 0, 0, -0.04; mean -0.01; deviations 0.01 x3, -0.03
    made = features(tiny([0.0, 0.0, 0.0, -0.08], [2.0, 2.02, 2.01]), 2.0).values[0]
    variance = (3 * 0.01**2 + 0.03**2) / 4  # 3e-4
    skewness = ((3 * 0.01**3 - 0.03**3) / 4) / variance**1.5
    kurtosis = ((3 * 0.01**4 + 0.03**4) / 4) / variance**2
    expected = [math.log10(variance), math.log10(0.04), math.log10(-skewness), math.log10(kurtosis), 1.0, 0.01]
    assert made == pytest.approx(expected, abs=1e-12)
    assert dict(zip(NAMES, made, strict=True))["log_variance"] == pytest.approx(math.log10(3e-4))


def test_a_glitch_of_the_cycler_is_left_out_and_counted() -> None:
    sound = features(tiny([0.0, -0.1], [2.0, 2.02, 2.01]), 2.0)
    spoilt = features(tiny([0.0, -0.1], [2.0, 2.02, 31.0, 2.01, math.nan]), 2.0)
    assert spoilt.values == pytest.approx(sound.values)
    assert (sound.glitches, spoilt.glitches) == (0, 2)


@pytest.mark.parametrize(
    ("curves", "told"),
    [
        (replace(tiny([0.0, -0.1], [2.0, 2.0]), cycles=np.array([10, 90])), "cycle 100 is missing"),
        (tiny([0.1, 0.1], [2.0, 2.0]), "the same curve"),
        (tiny([0.0, -0.1], [31.0, 2.0, 2.0, 2.0]), "cycle 2"),
        (tiny([0.0, -0.1], [math.nan, math.nan]), "no discharge capacity"),
    ],
)
def test_curves_without_the_features_are_refused(curves: Curves, told: str) -> None:
    with pytest.raises(InputError, match=told):
        features(curves, 2.0)


def test_ridge_with_one_feature_is_the_hand_calculation() -> None:
    x, y = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([0.0, 2.0, 0.0, 2.0])
    assert fit(x, y, 0.0).at(x) == pytest.approx(y)
    made = fit(x, y, 1.0)  # z = x, z'z = 4, plus 1 * 4: half the slope
    assert made.weight == pytest.approx([0.5])
    assert made.intercept == pytest.approx(1.0)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    x = np.column_stack([noise(3, 20), np.full(20, 5.0)])
    made = fit(x, x[:, 0], 0.01)
    assert made.weight[1] == 0.0
    assert np.isfinite(made.at(x)).all()


def test_more_noise_asks_for_more_strength() -> None:
    x = noise(5, 240).reshape(40, 6)
    clear = choose_strength(x, 2.5 + 0.2 * x[:, 0] + 1e-3 * noise(6, 40))[0]
    dim = choose_strength(x, 2.5 + 0.05 * x[:, 0] + 0.2 * noise(6, 40))[0]
    assert clear < dim


def test_a_feature_that_changes_by_rounding_alone_gets_no_weight() -> None:
    x = np.column_stack([noise(3, 40), 5.0 + 1e-15 * noise(4, 40)])
    y = 2.5 + 0.1 * x[:, 0] + 0.01 * noise(5, 40)
    strength, error = choose_strength(x, y)
    assert error < 60.0
    assert abs(fit(x, y, strength).weight[1]) < 1e-12


def test_the_errors_by_strength_are_those_of_the_fit_itself() -> None:
    x, y = noise(5, 240).reshape(40, 6), 2.5 + 0.1 * noise(6, 40)
    made = _by_strength(x[:30], y[:30], x[30:])
    assert made == pytest.approx(np.array([fit(x[:30], y[:30], s).at(x[30:]) for s in STRENGTHS]), abs=1e-12)


def test_jackknife_plus_takes_the_ends_a_hand_would() -> None:
    residuals = np.arange(1.0, 20.0) - 10.0  # -9 ... 9, n = 19
    without = np.zeros((19, 1))
    low, high = jackknife_plus(without, residuals, 0.8)  # tail 0.1 * 20 = 2nd from each end
    assert (low[0], high[0]) == (-8.0, 8.0)
    low, high = jackknife_plus(without, residuals, 0.9)  # 1st from each end
    assert (low[0], high[0]) == (-9.0, 9.0)
    assert most_level(19) == pytest.approx(0.9)
    low, high = jackknife_plus(without, residuals, 0.95)
    assert math.isinf(low[0])
    assert math.isinf(high[0])


def test_training_finds_the_law_that_made_the_cells_and_its_intervals_hold() -> None:
    model = train(make_curves(40), NOMINAL_AH, ORIGIN)
    assert model.left_out_errors.mape < 0.06
    assert 0.8 <= model.left_out_errors.coverage <= 1.0
    fresh = make_curves(60, seed=91, name="fresh")
    assert fresh.life is not None
    made = score(predict(model, fresh), fresh.life)
    assert made.mape < 0.06
    assert made.likely_low - 3 <= made.covered <= 60
    assert made.likely_low < 54 < made.likely_high


def test_a_file_gives_back_the_model_that_was_saved(tmp_path: Path) -> None:
    model = train(make_curves(25), NOMINAL_AH, ORIGIN)
    save_rul_model(model, tmp_path / "sub" / "m.json")
    again = load_rul_model(tmp_path / "sub" / "m.json")
    assert again == model
    assert (tmp_path / "sub" / "m.json").stat().st_size < 20_000


def test_a_cell_unlike_those_trained_on_is_told() -> None:
    curves = make_curves(40)
    model = train(curves, NOMINAL_AH, ORIGIN)
    assert not any(p.outside for p in predict(model, curves))
    q = curves.capacity_ah.copy()
    q[0, :, -1] = q[0, :, 1] + 4.0 * (q[0, :, -1] - q[0, :, 1]) - 0.3 * (curves.voltage_v < 2.5)
    told = predict(model, replace(curves, capacity_ah=q))
    assert {o.feature for o in told[0].outside} >= {"log_variance", "log_minimum"}
    assert all(not o.low <= o.value <= o.high for o in told[0].outside)
    assert not told[1].outside


def test_what_remains_is_never_below_nothing() -> None:
    model = train(make_curves(25), NOMINAL_AH, ORIGIN)
    made = predict(model, make_curves(5, seed=3))[0]
    gone = replace(made, life=50.0, life_low=20.0, life_high=150.0)
    assert gone.remaining == (0.0, 0.0, 50.0)


def test_the_shipped_model_says_where_it_comes_from() -> None:
    model = load_rul_model(SHIPPED)
    assert model.trained_on.licence == "MIT"
    assert "Severson" in model.trained_on.source
    assert model.nominal_ah == 1.1
    assert len(model.left_out) == model.trained_on.cells == 41
    assert SHIPPED.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("features",), ["log_variance"], "features"),
        (("model", "slope"), [1.0], "model.slope"),
        (("nominal_ah",), -1.0, "nominal_ah"),
        (("nominal_ah",), "1.1", "nominal_ah"),
        (("strength",), None, "strength"),
        (("left_out",), [], "left_out"),
        (("kind",), "something else", "kind"),
        (("ranges",), [{"low": 2.0, "high": 1.0}] * 6, "low at most high"),
        (("trained_on", "cells"), 40, "one per cell"),
        (("trained_on", "licence"), "", "licence"),
        (("trained_on", "extra"), 1, "extra"),
    ],
)
def test_every_field_of_a_model_file_is_checked(
    tmp_path: Path, path: tuple[str, ...], value: object, told: str
) -> None:
    content = json.loads(SHIPPED.read_text())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file = tmp_path / "m.json"
    file.write_text(json.dumps(content, indent=1))
    with pytest.raises(InputError, match=told):
        load_rul_model(file)


def test_too_few_cells_or_unknown_lives_train_nothing() -> None:
    with pytest.raises(InputError, match="too few cells"):
        train(make_curves(12), NOMINAL_AH, ORIGIN)
    with pytest.raises(InputError, match="not known"):
        train(replace(make_curves(25), life=None), NOMINAL_AH, ORIGIN)


@pytest.mark.parametrize("level", [0.0, 0.96, 1.0, math.nan])
def test_a_level_that_the_cells_cannot_tell_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="level"):
        predict(load_rul_model(SHIPPED), make_curves(3), level)
