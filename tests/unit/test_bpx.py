"""BPX without any package: functions, electrodes, what is missing, the circuit's fit and the file that is written."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.analysis.bpx import ecm
from hil.analysis.bpx.cell_file import cell_text, comments, number
from hil.analysis.bpx.convert import SOC, Heat, Row, chosen_temperatures, fields_of, heat_of
from hil.analysis.bpx.functions import expression, function_of
from hil.analysis.bpx.load import parse_document
from hil.analysis.bpx.ocv import Electrode, electrode_capacity_ah, open_circuit_v, slope_v_per_k
from hil.analysis.bpx.parameters import Parameters, parameters_of
from hil.analysis.reference.compare import Distance
from hil.errors import InputError
from hil.files.cell import load_cell
from hil.files.shipped import shipped

FILE = shipped("scenarios/packs/lg_m50_chen2020.bpx.json")
DOCUMENT = json.loads(FILE.read_text("utf-8"))


def changed(change: Callable[[dict[str, Any]], Any]) -> Parameters:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    path = Path("made.bpx.json")
    return parameters_of(parse_document(json.dumps(document), path), path)


def refused(change: Callable[[dict[str, Any]], Any]) -> str:
    with pytest.raises(InputError) as caught:
        changed(change)
    return str(caught.value)


def section(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["Parameterisation"][name]


# --- functions ---------------------------------------------------------------------------------------------------------


def test_an_expression_is_what_its_arithmetic_says() -> None:
    x = np.array([0.1, 0.5, 0.9])
    of = expression("-0.8090 * x + 4.4875 - 0.0428 * tanh(18.5138 * (x - 0.5542)) + 2 ** -x / exp(x) - cosh(x)", "f")
    by_hand = [
        -0.8090 * v + 4.4875 - 0.0428 * math.tanh(18.5138 * (v - 0.5542)) + 2**-v / math.exp(v) - math.cosh(v)
        for v in x
    ]
    assert of(x) == pytest.approx(by_hand, abs=1e-14)


def test_power_binds_to_the_right_and_stronger_than_a_sign() -> None:
    assert expression("-2 ** 3 ** 0.5", "f")(np.array([0.0]))[0] == pytest.approx(-(2 ** (3**0.5)))


LEAVES = st.sampled_from(["x", "0.5", "2", "1e-3"]).map(lambda t: (t, lambda x: x if t == "x" else float(t)))


def combined(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    signs = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}

    def two(sign: str, left: Any, right: Any) -> Any:
        return f"({left[0]}) {sign} ({right[0]})", lambda x: signs[sign](left[1](x), right[1](x))

    def call(inner: Any) -> Any:
        return f"tanh({inner[0]})", lambda x: math.tanh(inner[1](x))

    return st.builds(two, st.sampled_from(sorted(signs)), children, children) | st.builds(call, children)


@given(st.recursive(LEAVES, combined, max_leaves=12), st.floats(-1.0, 1.0))
def test_any_expression_is_its_value_built_by_other_means(made: Any, x: float) -> None:
    text, value = made
    assert expression(text, "f")(np.array([x]))[0] == pytest.approx(value(x), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    ["exit(x)", "__import__('os')", "x.real", "y", "x if x else 1", "[x]", "exp(x, x)", "exp(x=1)", "sin(x)", "x < 1",
     "lambda: x", "'a'", "True", "1e999", "", "x x", "1or x", "(" * 300 + "x" + ")" * 300, "-" * 5000 + "x", "exp", "1j"],
)  # fmt: skip
def test_what_is_no_expression_of_x_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InputError, match="Cell > OCP"):
        function_of(text, "Cell > OCP")


def test_a_table_is_straight_between_its_points_in_any_order_and_held_beyond() -> None:
    of = function_of({"x": [1.0, 0.0, 0.5], "y": [0.0, 4.0, 3.0]}, "f")
    assert of(np.array([-1.0, 0.0, 0.25, 0.75, 1.0, 2.0])).tolist() == [4.0, 4.0, 3.5, 1.5, 0.0, 0.0]


@pytest.mark.parametrize(
    "value",
    [None, True, [1.0], {"x": [0, 1]}, {"x": [0, 1], "y": [1]}, {"x": [0, 0], "y": [1, 2]}, {"x": [0, "a"], "y": [1, 2]},
     {"x": [0], "y": [1]}, {"x": [0, 1], "y": [1, float("nan")]}, 10**400],
)  # fmt: skip
def test_what_is_no_function_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="f"):
        function_of(value, "f")


def test_a_whole_number_too_large_for_a_float_is_refused_not_a_traceback() -> None:
    assert "Electrode area" in refused(lambda d: section(d, "Cell").update({"Electrode area [m2]": 10**400}))


# --- electrodes --------------------------------------------------------------------------------------------------------


def electrodes() -> tuple[Electrode, Electrode]:
    positive = Electrode(lambda y: 4.5 - y, lambda y: 1e-4 * y, at_empty=0.9, at_full=0.4, capacity_ah=2.0)
    negative = Electrode(lambda x: 0.3 - 0.2 * x, lambda x: -2e-4 * x, at_empty=0.05, at_full=0.85, capacity_ah=2.0)
    return positive, negative


def test_capacity_by_hand() -> None:
    """0.1 m2 of 100 um with 60 % of 30,000 mol/m3, over half the stoichiometry: 0.09 mol, times F / 3600."""
    made_ah = electrode_capacity_ah(0.1, 100e-6, 0.6, 30_000.0, (0.9, 0.4))
    assert made_ah == pytest.approx(0.09 * 96485.33212 / 3600.0, rel=1e-12)


def test_ocv_and_its_slope_by_hand() -> None:
    """At half charge y = 0.65, x = 0.45: 3.85 - 0.21 V; slope 1e-4 * 0.65 + 2e-4 * 0.45 = 1.55e-4 V/K."""
    half = np.array([0.5])
    assert slope_v_per_k(*electrodes(), half)[0] == pytest.approx(1.55e-4, rel=1e-12)
    assert open_circuit_v(*electrodes(), half, 25.0, 25.0)[0] == pytest.approx(3.64, abs=1e-12)
    assert open_circuit_v(*electrodes(), half, -15.0, 25.0)[0] == pytest.approx(3.64 - 40 * 1.55e-4, abs=1e-12)


def test_soc_runs_between_the_limits_of_each_electrode() -> None:
    positive, negative = electrodes()
    assert positive.stoichiometry(np.array([0.0, 1.0])) == pytest.approx([0.9, 0.4])
    assert negative.stoichiometry(np.array([0.0, 1.0])) == pytest.approx([0.05, 0.85])


def test_the_shipped_file_is_the_lg_m50_of_the_paper() -> None:
    cell = changed(lambda d: None)
    assert cell.ocv_v(np.array([0.0, 1.0]), 25.0) == pytest.approx([2.5, 4.2], abs=1e-5)
    assert cell.capacity_ah == pytest.approx(5.153, abs=1e-3)
    assert cell.negative.capacity_ah == pytest.approx(cell.positive.capacity_ah, rel=1e-6)
    assert cell.thermal.mass_kg == pytest.approx(2705.5 * 2.42e-5)
    assert cell.thermal.heat_capacity_j_per_k == pytest.approx(2705.5 * 2.42e-5 * 653.32)
    assert cell.knows_temperature
    assert not cell.knows_entropy
    assert cell.notes == ("no entropic coefficient: OCV does not change with temperature, no reversible heat",)


# --- what is missing or wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Negative electrode", "Minimum stoichiometry"),
        ("Positive electrode", "Maximum stoichiometry"),
        ("Positive electrode", "OCP [V]"),
        ("Negative electrode", "Thickness [m]"),
        ("Cell", "Electrode area [m2]"),
        ("Cell", "Nominal cell capacity [A.h]"),
        ("Cell", "Upper voltage cut-off [V]"),
    ],
)
def test_a_quantity_without_which_there_is_no_ocv_is_named(name: str, key: str) -> None:
    text = refused(lambda d: section(d, name).pop(key))
    assert key in text
    assert "nothing" in text
    assert "made.bpx.json" in text


def test_everything_missing_is_told_at_once() -> None:
    def change(d: dict[str, Any]) -> None:
        section(d, "Negative electrode").pop("Minimum stoichiometry")
        section(d, "Positive electrode")["OCP [V]"] = None
        section(d, "Cell")["Lower voltage cut-off [V]"] = -1.0

    assert len(refused(change).splitlines()) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: section(d, "Negative electrode").update({"Maximum stoichiometry": 0.01}), "Maximum stoichiometry"),
        (lambda d: section(d, "Negative electrode").update({"Maximum stoichiometry": 1.5}), "at most 1"),
        (lambda d: section(d, "Negative electrode").update({"Thickness [m]": 2e-4}), "capacities"),
        (lambda d: section(d, "Negative electrode").update({"Particle": {"a": {}, "b": {}}}), "blend"),
        (lambda d: section(d, "Positive electrode").update({"OCP [V]": "x - 1"}), "above 0 V"),
        (lambda d: section(d, "Positive electrode").update({"OCP [V]": "exp(1000 * x) * 0 + 4"}), "finite"),
        (lambda d: section(d, "Cell").update({"Lower voltage cut-off [V]": 5.0}), "Upper voltage"),
        (lambda d: section(d, "Negative electrode").update({"Thickness [m]": 1e-300}), "Ah"),
    ],
)
def test_values_that_make_no_cell_together_are_refused(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    assert told in refused(change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: section(d, "Cell").pop("Density [kg.m-3]"), "not in the file: density or volume"),
        (lambda d: section(d, "Cell").pop("External surface area [m2]"), "not in the file: external surface area"),
        (lambda d: d.pop("State"), "not in the file: heat transfer coefficient"),
        (lambda d: section(d, "Cell").pop("Reference temperature [K]"), "25 degC assumed"),
        (lambda d: d.update({"Validation": {"a": {"Time [s]": [0]}}}), "validation data are not used"),
        (lambda d: section(d, "Negative electrode").update({"OCP (lithiation) [V]": "x"}), "no hysteresis"),
        (lambda d: section(d, "Negative electrode").update({"Thickness [m]": 8.6e-5}), "the mean is taken"),
    ],
)
def test_what_is_missing_or_not_used_is_a_note(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    assert any(told in note for note in changed(change).notes)


def test_without_activation_energies_one_temperature_is_tested() -> None:
    def change(d: dict[str, Any]) -> None:
        for side in ("Negative electrode", "Positive electrode"):
            section(d, side).pop("Reaction rate constant activation energy [J.mol-1]")

    cell = changed(change)
    assert not cell.knows_temperature
    assert chosen_temperatures(cell, (0.0, 25.0)) == (25.0,)
    assert chosen_temperatures(changed(lambda d: None), (45.0, 0.0, 45.0)) == (0.0, 45.0)


@pytest.mark.parametrize("degc", [(-60.0,), tuple(float(t) for t in range(9))])
def test_temperatures_beyond_a_cell_or_a_file_are_refused(degc: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="temperatures"):
        chosen_temperatures(changed(lambda d: None), degc)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON"),
        ("[1, 2]", "no BPX file"),
        ('{"Parameterisation": {"a": NaN}}', "no number of JSON"),
        ('{"Parameterisation": {}, "Parameterisation": {}}', "stands twice"),
        ('{"Parameterisation": {"a": ' + "[" * 40 + "]" * 40 + "}}", "levels"),
        ('{"Parameterisation":\n{"Cell":\n{"a": "exit(1)"}}}', "made.json:3"),
    ],
)
def test_a_file_that_is_no_bpx_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_document(text, Path("made.json"))


def test_heat_that_is_nowhere_is_refused_with_the_options_that_give_it() -> None:
    def change(d: dict[str, Any]) -> None:
        for key in ("Density [kg.m-3]", "External surface area [m2]"):
            section(d, "Cell").pop(key)

    cell = changed(change)
    with pytest.raises(InputError) as caught:
        heat_of(cell)
    assert all(option in str(caught.value) for option in ("--mass", "--heat-capacity", "--heat-transfer"))
    given_heat = heat_of(cell, 0.068, 64.0, 0.05)
    assert (given_heat.mass_kg, given_heat.heat_capacity_j_per_k) == (0.068, 64.0)
    assert set(given_heat.sources.values()) == {"given on import"}


def test_a_missing_heat_transfer_alone_is_assumed_and_says_so() -> None:
    made = heat_of(changed(lambda d: d.pop("State")))
    assert made.surface_heat_transfer_w_per_k == pytest.approx(10.0 * 0.00531)
    assert "assumed" in made.sources["surface_heat_transfer_w_per_k"]
    assert "assumed" not in heat_of(changed(lambda d: None)).sources["surface_heat_transfer_w_per_k"]


# --- the circuit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.2, 1.0, 2.0])
def test_the_staircase_takes_the_whole_capacity(rate: float) -> None:
    time_s, current_a = ecm.staircase(3.0, rate)
    assert (np.diff(time_s) > 0.0).all()
    assert float(np.sum(current_a[:-1] * np.diff(time_s))) == pytest.approx(3.0 * 3600.0, rel=1e-12)
    assert np.abs(current_a).max() == pytest.approx(3.0 * rate)


def test_a_rate_that_is_no_test_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        ecm.staircase(3.0, 0.0)


def test_the_current_of_a_pair_is_exact_whatever_the_step() -> None:
    """1 A for 10 s at tau 5 s, then none for 5 s: 1 - e^-2, times e^-1."""
    fine_s = np.linspace(0.0, 15.0, 1501)
    fine = ecm.pair_current_a(fine_s, np.where(fine_s < 10.0 - 1e-9, 1.0, 0.0), 5.0)
    coarse = ecm.pair_current_a(np.array([0.0, 10.0, 15.0]), np.array([1.0, 0.0, 0.0]), 5.0)
    by_hand = (1.0 - math.exp(-2.0)) * math.exp(-1.0)
    assert coarse[-1] == pytest.approx(by_hand, rel=1e-12)
    assert fine[-1] == pytest.approx(by_hand, rel=1e-9)


def generated(table_ohm: np.ndarray, tau_s: np.ndarray, knots: np.ndarray) -> ecm.Test:
    """A test of a cell that is such a circuit, with an OCV of 3 V + 1 V SoC."""
    time_s, current_a = ecm.staircase(2.0)
    charge = np.concatenate(([0.0], np.cumsum(current_a[:-1] * np.diff(time_s)))) / 3600.0
    soc = 1.0 - charge / 2.0
    test = ecm.Test(time_s, current_a, np.zeros_like(time_s), soc, 3.0 + soc)
    return ecm.Test(
        time_s, current_a, test.ocv_v - ecm.columns(test, knots, tau_s) @ table_ohm.ravel(), soc, test.ocv_v
    )


def test_the_fit_finds_the_circuit_that_made_the_data() -> None:
    knots, tau_s = np.linspace(0.0, 1.0, 11), np.array([4.0, 30.0, 250.0])
    shape = 1.0 + 0.5 * np.cos(3.0 * knots)
    table = np.stack([0.03 * shape, 0.006 * shape, 0.012 * shape, 0.02 * shape])
    found = ecm.fit(generated(table, tau_s, knots), knots)
    assert found.rms_v < 3e-4
    assert found.tau_s == pytest.approx(tau_s, rel=0.1)
    assert found.resistance_ohm[0, 1:-1] == pytest.approx(table[0, 1:-1], rel=0.03)
    assert found.resistance_ohm[:, 1:-1].sum(axis=0) == pytest.approx(table[:, 1:-1].sum(axis=0), rel=0.03)


def test_a_test_that_ended_early_says_down_to_where_it_was_fitted_and_holds_the_rest() -> None:
    knots, tau_s = np.linspace(0.0, 1.0, 11), np.array([4.0, 30.0, 250.0])
    whole = generated(np.full((4, 11), 0.01), tau_s, knots)
    kept = whole.soc > 0.5
    half = ecm.Test(*(getattr(whole, name)[kept] for name in ("time_s", "current_a", "voltage_v", "soc", "ocv_v")))
    found = ecm.fit(half, knots)
    assert found.least_soc == pytest.approx(0.5, abs=0.05)
    assert found.resistance_ohm[0, 0] == pytest.approx(0.01, rel=0.1)
    with pytest.raises(ValueError, match="too short"):
        ecm.fit(ecm.Test(*(getattr(whole, n)[:5] for n in ("time_s", "current_a", "voltage_v", "soc", "ocv_v"))), knots)


def test_a_temperature_is_left_out_above_100_millivolt() -> None:
    circuit = ecm.Circuit(np.linspace(0, 1, 21), np.full((4, 21), 0.01), np.array([2.0, 30.0, 300.0]), 0.004, 0.0)
    assert Row(0.0, circuit, Distance(1, 0.1, 0.1, 0.0, 0.0)).good
    assert not Row(0.0, circuit, Distance(1, 0.1001, 0.1, 0.0, 0.0)).good
    assert not Row(0.0, circuit, Distance(1, math.nan, 0.1, 0.0, 0.0)).good


# --- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-6, 1.5e-9, 1234567.0, 1e10, 2.5, -3.25e-5, 0.1 + 0.2])
def test_a_number_is_written_without_an_exponent_and_near_enough(value: float) -> None:
    text = number(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=1e-5, abs=1e-12)


def test_the_written_file_is_a_cell_file_with_the_same_numbers_and_its_origin(tmp_path: Path) -> None:
    cell = changed(lambda d: section(d, "Positive electrode").update({"Entropic change coefficient [V.K-1]": -1e-4}))
    knots = np.linspace(0.0, 1.0, 21)
    circuit = ecm.Circuit(knots, np.full((4, 21), 0.0123456), np.array([2.0, 30.0, 300.0]), 0.004, 0.03)
    rows = (
        Row(0.0, circuit, Distance(100, 0.0205, -0.1, 10.0, 0.001)),
        Row(25.0, circuit, Distance(100, 0.0085, 0.05, 10.0, 0.0)),
        Row(-20.0, circuit, Distance(100, 0.2, 0.5, 10.0, 0.0)),
    )
    heat: Heat = heat_of(cell)
    fields = fields_of(cell, heat, [0.0, 25.0], [circuit, circuit])
    path = tmp_path / "made.cell.yaml"
    path.write_text(cell_text(comments(cell, rows, "DFN", "26.10", 1.0, "CC BY 4.0"), fields, heat, rows), "utf-8")
    made = load_cell(path)
    assert made.capacity_ah == pytest.approx(cell.capacity_ah, rel=1e-5)
    assert made.temperatures_degc == (0.0, 25.0)
    assert np.array(made.ocv_v[0]) == pytest.approx(cell.ocv_v(SOC, 0.0), abs=1e-5)
    assert np.array(made.ocv_v[0]) - np.array(made.ocv_v[1]) == pytest.approx(25e-4, abs=2e-5)
    assert made.docv_dt_v_per_k == pytest.approx([-1e-4] * 201)
    assert made.r3_ohm is not None
    assert made.r3_ohm[1][7] == pytest.approx(0.0123456, rel=1e-5)
    assert made.fit["held_out_rmse_mv"] == {"0": 20.5, "25": 8.5}
    text = path.read_text("utf-8")
    for told in ("Chen et al. 2020", "CC BY 4.0", "20.5 mV rms", "LEFT OUT", "DFN", "26.10"):
        assert told in text


def test_a_title_of_any_characters_makes_a_file_that_loads(tmp_path: Path) -> None:
    cell = changed(lambda d: d["Header"].update({"Title": 'a\n"b"\x1b[31m: # \u2028 é'}))
    circuit = ecm.Circuit(np.linspace(0, 1, 21), np.full((4, 21), 0.01), np.array([2.0, 30.0, 300.0]), 0.004, 0.0)
    rows = (Row(25.0, circuit, Distance(1, 0.01, 0.01, 0.0, 0.0)),)
    heat = heat_of(cell)
    path = tmp_path / "made.cell.yaml"
    text = cell_text(
        comments(cell, rows, "DFN", "1", 1.0, "x\ny"), fields_of(cell, heat, [25.0], [circuit]), heat, rows
    )
    path.write_text(text, "utf-8")
    assert load_cell(path).cell == 'a "b"?[31m: # é'
