"""The limits file: names and budgets as scenarios use them, and what a wrong file is told."""

from pathlib import Path

import pytest

from hil.errors import InputError
from hil.files.limits import BmsLimits, Limits, Timing, budget_ns, load_limits, lookup, names

FILE = Path(__file__).parents[2] / "scenarios" / "bms" / "reference.limits.yaml"
TICK_NS = 10_000_000


@pytest.fixture(scope="module")
def limits() -> BmsLimits:
    return load_limits(FILE)


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("cell_ov.MSL", 3.75, "V"),
        ("cell_ov.RSL", 3.65, "V"),
        ("cell_ov.MOL", 3.60, "V"),
        ("cell_ov.release", 3.60, "V"),
        ("cell_ov.debounce", 0.5, "s"),
        ("cell_ov.delay", 0.2, "s"),
        ("ut_charge.MSL", 0.0, "degC"),
        ("oc_charge.MSL", 150.0, "A"),
        ("isolation_warning.MSL", 350e3, "ohm"),
        ("precharge.timeout", 1.0, "s"),
        ("precharge.end_within", 0.02, "1"),
        ("precharge.tries", 3.0, "1"),
        ("thermistor_divider.beta", 3435.0, "K"),
        ("soc.capacity", 83.0, "Ah"),
        ("timing.task", 0.01, "s"),
    ],
)
def test_a_name_gives_its_si_value_and_unit(limits: BmsLimits, name: str, value: float, unit: str) -> None:
    assert lookup(limits, name, TICK_NS) == (pytest.approx(value), unit)


def test_the_budget_is_the_sum_of_its_terms_and_follows_the_tick(limits: BmsLimits) -> None:
    # 500 + 200 + 25 + 10 + 2 x 10 + 45 ms
    assert lookup(limits, "cell_ov.budget", TICK_NS) == (0.8, "s")
    assert lookup(limits, "cell_ov.budget", 1_000_000) == (0.782, "s")
    assert budget_ns(limits.limits.oc_discharge, TICK_NS) == 300_000_000


def test_fault_handling_times_at_the_poles_are_those_of_the_safety_concept(limits: BmsLimits) -> None:
    wanted = {
        "cell_ov": 0.8,
        "cell_uv": 0.8,
        "oc_discharge": 0.3,
        "oc_charge": 0.3,
        "open_wire": 0.25,
        "thermistor": 0.25,
    }
    wanted["request_timeout"] = 0.3
    assert {n: lookup(limits, f"{n}.budget", TICK_NS)[0] for n in wanted} == wanted


def test_every_name_can_be_looked_up(limits: BmsLimits) -> None:
    listed = names(limits)
    assert len(set(listed)) == len(listed)
    assert all(lookup(limits, name, TICK_NS)[1] for name in listed)
    with_budget = {n.partition(".")[0] for n in listed if n.endswith(".budget")}
    assert with_budget == {n for n in Limits.model_fields if isinstance(getattr(limits.limits, n), Timing)}


def test_every_entry_names_its_source(limits: BmsLimits) -> None:
    assert all(getattr(limits.limits, name).source.strip() for name in Limits.model_fields)


@pytest.mark.parametrize(
    ("name", "close"),
    [("cell_ov.MLS", "cell_ov.MSL"), ("cel_uv.budget", "cell_uv.budget"), ("weld_check.budget", None)],
)
def test_an_unknown_name_is_told_the_nearest(limits: BmsLimits, name: str, close: str | None) -> None:
    with pytest.raises(InputError, match=close or "no limit"):
        lookup(limits, name, TICK_NS)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("cell_ov: {MOL: 3.60 V, RSL: 3.65 V", "cell_ov: {MOL: 3.70 V, RSL: 3.65 V", "MOL <= RSL <= MSL"),
        ("cell_image: 20 ms", "cell_image: 25 ms", "multiple of the task"),
        ("MSL: 280 A", "MSL: 280 V", "current"),
        ("debounce: reset ", "debounce: sticky ", "reset"),
        ("tries: 3", "tires: 3", "tries"),
    ],
)
def test_a_wrong_file_is_told_where_and_what(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "broken.limits.yaml"
    broken.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=told) as caught:
        load_limits(broken)
    assert all(problem.line > 0 for problem in caught.value.problems)
