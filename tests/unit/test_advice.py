"""Each rule of advice by hand arithmetic, the probabilities it stands on, and what a condition file may say."""

import math
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.advice.condition import Condition, Life, load_condition
from hil.analysis.advice.page import share
from hil.analysis.advice.rules import (
    RULES,
    Advice,
    Judged,
    above,
    advise,
    below,
    life_below,
    life_quantile,
)
from hil.errors import InputError

# The normal distribution at half a sigma, one, two and three, from tables.
PHI = {
    -2.0: 0.022750,
    -1.0: 0.158655,
    -0.5: 0.308538,
    0.0: 0.5,
    0.5: 0.691462,
    1.0: 0.841345,
    2.0: 0.977250,
    3.0: 0.998650,
}
GOLDEN = Path(__file__).parents[1] / "golden" / "rul"


def arrays(**values: object) -> Condition:
    made = {k: np.atleast_1d(np.array(v, float)) if k in PER_GROUP else v for k, v in values.items()}
    n = max([len(v) for k, v in made.items() if k in PER_GROUP], default=1)
    return Condition("test", n, **made)


PER_GROUP = (
    "soh_capacity soh_capacity_sigma resistance_growth resistance_growth_sigma cell_soc cell_soc_sigma warning short_ohm "
    "short_log_sigma"
).split()


def of(rule: str, condition: Condition) -> tuple[list[Advice], Judged]:
    advices, judged = advise(condition)
    return [a for a in advices if a.rule == rule], next(j for j in judged if j.rule == rule)


def test_probabilities_are_those_of_the_table() -> None:
    for z, p in PHI.items():
        assert below(0.8, 0.02, 0.8 + 0.02 * z) == pytest.approx(p, abs=1e-6)
        assert above(0.8, 0.02, 0.8 - 0.02 * z) == pytest.approx(p, abs=1e-6)
    assert below(0.79, 0.0, 0.8) == 1.0
    assert above(0.79, 0.0, 0.8) == 0.0
    assert below(0.79, math.nan, 0.8) is None


def test_life_meets_its_own_interval_and_is_lognormal_between() -> None:
    life = Life(400.0, 200.0, 1000.0, 0.9)
    assert life_below(life, 200.0) == pytest.approx(0.05)
    assert life_below(life, 400.0) == pytest.approx(0.5)
    assert life_below(life, 1000.0) == pytest.approx(0.95)
    assert life_below(life, 0.0) == 0.0
    # Half of the way in the logarithm is half of 1.644854 sigma: Phi(-0.822427) = 0.205418.
    assert life_below(life, math.sqrt(200.0 * 400.0)) == pytest.approx(0.205418, abs=1e-5)
    assert life_quantile(life, 0.05) == pytest.approx(200.0)


def test_a_life_without_an_end_in_sight_is_bounded_below_only() -> None:
    life = Life(400.0, 0.0, math.inf, 0.9)
    assert life_below(life, 100.0) == life_below(life, 5000.0) == 0.5
    assert life_quantile(life, 0.05) == 0.0


def test_capacity_at_its_end_is_replaced_and_the_chance_is_that_of_the_sigma() -> None:
    made, judged = of("capacity end", arrays(soh_capacity=0.79, soh_capacity_sigma=0.02))
    assert made[0].confidence == pytest.approx(PHI[0.5], abs=1e-6)  # (0.80 - 0.79) / 0.02
    assert made[0].place == "the pack"
    assert judged.state == "act"
    made, judged = of("capacity end", arrays(soh_capacity=0.82, soh_capacity_sigma=0.02))
    assert not made
    assert (judged.state, judged.probability) == ("clear", pytest.approx(PHI[-1.0], abs=1e-6))


def test_doubled_resistance_lowers_the_limits_by_its_own_factor() -> None:
    made, _ = of("resistance end", arrays(resistance_growth=2.1, resistance_growth_sigma=0.1))
    assert made[0].confidence == pytest.approx(PHI[1.0], abs=1e-6)
    assert "0.48" in made[0].what  # 1 / 2.1


def test_an_undecided_end_of_life_asks_for_a_measurement() -> None:
    made, _ = of("doubt", arrays(soh_capacity=0.82, soh_capacity_sigma=0.02))
    assert made[0].confidence == pytest.approx(PHI[-1.0], abs=1e-6)
    assert "Measure" in made[0].what
    made, _ = of("doubt", arrays(soh_capacity=0.86, soh_capacity_sigma=0.02))  # 3 sigma away: settled
    assert not made


def test_a_joint_is_checked_where_one_resistance_stands_out_at_full_capacity() -> None:
    growth = [1.2, 1.2, 1.2, 1.2, 1.5]  # the others do not scatter: the median has no error of its own
    made, judged = of("joint", arrays(resistance_growth=growth, resistance_growth_sigma=0.06))
    assert [a.place for a in made] == ["group 5"]
    # 1.5 / 1.2 = 1.25; (0.25 - 0.20) / (0.06 / 1.2) = 1 sigma
    assert made[0].confidence == pytest.approx(PHI[1.0], abs=1e-6)
    assert judged.probability == pytest.approx(PHI[1.0], abs=1e-6)


def test_no_joint_is_blamed_for_a_cell_that_has_aged() -> None:
    growth, capacity = [1.2, 1.2, 1.2, 1.2, 1.6], [0.95, 0.95, 0.95, 0.95, 0.85]
    made, _ = of("joint", arrays(resistance_growth=growth, resistance_growth_sigma=0.02, soh_capacity=capacity))
    assert not made


def test_a_weak_group_is_the_one_below_the_others() -> None:
    capacity = [0.95, 0.95, 0.89, 0.95, 0.95]
    condition = arrays(soh_capacity=capacity, soh_capacity_sigma=0.01, groups_per_module=2)
    made, _ = of("weak group", condition)
    assert [a.place for a in made] == ["group 3 (module 2)"]
    assert made[0].confidence == pytest.approx(PHI[1.0], abs=1e-6)  # (0.06 - 0.05) / 0.01


def test_cells_are_balanced_when_the_spread_is_more_than_noise() -> None:
    soc = [0.50, 0.52, 0.55]
    condition = arrays(cell_soc=soc, cell_soc_sigma=0.03 / math.sqrt(2.0), capacity_ah=50.0, balancing_current_a=0.1)
    made, _ = of("balance", condition)
    assert made[0].confidence == pytest.approx(PHI[1.0], abs=1e-6)  # (0.05 - 0.02) / 0.03
    assert "25.0 h of balancing" in made[0].why  # 0.05 * 50 Ah / 0.1 A
    assert "group 1 at 0.500 to group 3 at 0.550" in made[0].why
    calm, judged = of("balance", arrays(cell_soc=[0.5, 0.51], cell_soc_sigma=0.001))
    assert not calm
    assert judged.state == "clear"


def test_balancing_waits_for_the_short_that_may_have_caused_the_spread() -> None:
    made, _ = of("balance", arrays(cell_soc=[0.5, 0.6], cell_soc_sigma=0.01, warning=[1.0, 0.0]))
    assert "settle that first" in made[0].why


def test_a_suspected_short_is_inspected_before_it_has_drained_a_twentieth() -> None:
    # Limit 250 / 50 = 5 ohm; ln(5 / 2.5) / ln 2 = 1 sigma. 0.05 * 50 Ah * 2.5 ohm / 3.6 V = 1.736 h
    short = {"short_ohm": [math.nan, 2.5], "short_log_sigma": [math.nan, math.log(2.0)], "capacity_ah": 50.0}
    made, _ = of("short", arrays(**short))
    assert [a.place for a in made] == ["group 2"]
    assert made[0].confidence == pytest.approx(PHI[1.0], abs=1e-6)
    assert made[0].when.hours == pytest.approx(1.7361, abs=1e-4)
    alarm, _ = of("alarm", arrays(**short))  # limit 0.5 ohm: ln(0.5 / 2.5) / ln 2 = -2.32 sigma
    assert not alarm


def test_an_alarm_takes_the_pack_out_of_service_now_whatever_else_is_known() -> None:
    made, judged = of("alarm", arrays(warning=[0.0, 2.0, 1.0]))
    assert [a.place for a in made] == ["group 2"]
    assert made[0].confidence is None  # nobody said how sure the alarm is
    assert made[0].when.hours == 0.0
    assert judged.note == "no standard deviation"
    suspected, _ = of("short", arrays(warning=[0.0, 2.0, 1.0]))
    assert {a.place for a in suspected} == {"group 2", "group 3"}
    first = advise(arrays(warning=[2.0, 0.0], soh_capacity=[0.5, 0.9], soh_capacity_sigma=0.01))[0][0]
    assert first.rule == "alarm"


def test_a_warning_is_acted_on_even_where_the_estimate_of_the_short_doubts_it() -> None:
    made, _ = of("short", arrays(warning=[1.0], short_ohm=[100.0], short_log_sigma=[0.1], capacity_ah=50.0))
    assert len(made) == 1
    assert made[0].confidence is not None
    assert made[0].confidence < 1e-6


def test_the_replacement_is_ordered_a_hundred_cycles_before_the_risky_end() -> None:
    made, _ = of("plan", arrays(life=Life(400.0, 250.0, 600.0, 0.9), cycles_per_day=0.5))
    assert made[0].when.cycles == pytest.approx(150.0)
    assert made[0].when.text == "within 150 cycles (about 300 days)"
    # P(more than 150 left): ln(150 / 400) / (ln(400 / 250) / 1.644854) = -3.4325 sigma
    assert made[0].confidence == pytest.approx(0.999701, abs=1e-5)
    late, _ = of("plan", arrays(life=Life(90.0, 60.0, 150.0, 0.9)))
    assert (late[0].when.text, late[0].when.cycles) == ("now", 0.0)


def test_without_a_sigma_the_estimate_decides_and_no_probability_is_made_up() -> None:
    made, judged = of("capacity end", arrays(soh_capacity=[0.75, 0.85]))
    assert [a.place for a in made] == ["group 1"]
    assert made[0].confidence is None
    assert "sigma unknown" in made[0].why
    assert judged.note == "no standard deviation"
    assert of("doubt", arrays(soh_capacity=[0.75, 0.85]))[1].state == "unknown"


def test_a_sigma_for_other_groups_than_the_values_is_none() -> None:
    condition = Condition("odd", 3, np.array([0.75]), np.array([0.01, 0.01, 0.01]))
    made, _ = of("capacity end", condition)
    assert [(a.place, a.confidence) for a in made] == [("the pack", None)]


def test_nothing_known_is_nothing_judged() -> None:
    advices, judged = advise(Condition("empty", 4))
    assert advices == []
    assert [j.state for j in judged] == ["unknown"] * len(RULES)
    assert all(j.note.startswith("not known: ") for j in judged)


def test_a_sound_pack_needs_nothing_and_all_but_the_unknown_is_clear() -> None:
    sound = arrays(
        soh_capacity=[0.95] * 6, soh_capacity_sigma=0.01, resistance_growth=[1.1] * 6, resistance_growth_sigma=0.02,
        cell_soc=[0.5] * 6, cell_soc_sigma=0.002, warning=[0.0] * 6,
    )  # fmt: skip
    advices, judged = advise(sound)
    assert advices == []
    assert {j.rule for j in judged if j.state != "clear"} == {"plan"}


def test_many_places_are_told_by_the_worst_and_counted() -> None:
    capacity = np.linspace(0.5, 0.7, 30)
    made, judged = of("capacity end", arrays(soh_capacity=capacity, soh_capacity_sigma=0.01))
    assert len(made) == 8
    assert judged.note == "22 more places like these"


def test_unknown_groups_are_passed_over() -> None:
    made, _ = of("capacity end", arrays(soh_capacity=[math.nan, 0.7], soh_capacity_sigma=[0.01, math.nan]))
    assert [(a.place, a.confidence) for a in made] == [("group 2", None)]


def test_a_probability_for_people_is_never_nothing_or_all() -> None:
    assert [share(p) for p in (None, 0.0, 1.0, 0.5)] == ["not known", "< 0.1 %", "> 99.9 %", "50.0 %"]


def test_a_condition_file_becomes_the_condition_it_says() -> None:
    made = load_condition(GOLDEN / "condition.yaml")
    assert (made.name, made.n, made.capacity_ah, made.balancing_current_a) == ("example pack", 24, 50.0, 0.1)
    assert made.short_ohm is not None
    assert np.flatnonzero(np.isfinite(made.short_ohm)).tolist() == [8]
    assert made.life == Life(640.0, 430.0, 1010.0, 0.9)
    assert made.soh_capacity_sigma is not None
    assert made.soh_capacity_sigma.tolist() == [0.012]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("soh_capacity: 0.9", "pack"),
        ("pack: a\nsoh_capacity: [0.9, 0.8]\ncell_soc: [0.5]\n", "cell_soc: expected 2 values"),
        ("pack: a\nsoh_capacity: 93\n", "soh_capacity: expected 0 to 2, found 93"),
        ("pack: a\nsoh_capacity: [0.9, .nan]\n", "x.yaml:2"),
        ("pack: a\nwarning: [0, 3]\n", "warning"),
        ("pack: a\nsoh: 0.9\n", "soh_capacity"),
        ("pack: a\ncapacity: 50\n", "capacity"),
        ("pack: a\ncapacity: -50 Ah\n", "more than 0"),
        ("pack: a\nshorts: [{group: 3, resistance: 10 ohm}]\nwarning: [0, 0]\n", "1 to 2"),
        ("pack: a\nremaining: {median: 100, low: 200, level: 0.9}\n", "low <= median <= high"),
        ("pack: a\nremaining: {median: 100, low: 50, high: 200, level: 90}\n", "level"),
    ],
)
def test_a_condition_file_that_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        load_condition(path)


def test_what_hil_rul_prints_goes_in_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"pack": "a", "remaining": {"median": 100.0, "low": 50.0, "high": null, "level": 0.9}}')
    assert load_condition(path).life == Life(100.0, 50.0, math.inf, 0.9)


def test_the_condition_in_the_documents_is_one(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "advice.md"
    path = tmp_path / "x.yaml"
    path.write_text(page.read_text("utf-8").split("```yaml\n")[1].split("```")[0])
    made = load_condition(path)
    assert made.n == 4
    assert {a.rule for a in advise(made)[0]} >= {"short", "capacity end", "weak group", "joint", "balance", "plan"}
