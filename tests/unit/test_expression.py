"""The language of conditions: what is read, what it is lowered to, and where an error points."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.checks import dimension, lower
from hil.checks.compile import append
from hil.checks.expression import Binary, Name, Number, parse, split_while
from hil.checks.names import Scope, Value
from hil.checks.program import Entry, Program, Stack, evaluate
from hil.checks.spec import Source, Uncertainty, Where
from hil.errors import InputError
from hil.image import table
from hil.kernel import zeros
from hil.tick import COLUMNS

TABLE = table(4, 3)
LIMITS = {"limits.cell_ov.MSL": (3.75, "V"), "limits.cell_ov.budget": (0.83, "s"), "limits.ot.MSL": (60.0, "degC")}


def _limit(name: str) -> tuple[float, str]:
    return LIMITS[name]


def _scope(**params: Value) -> Scope:
    return Scope(TABLE, _limit, params)


def _column(name: str) -> int:
    found = TABLE.find(name)
    assert found is not None
    return found.start


def _evaluate(
    text: str, scope: Scope | None = None, element: int = 0, more: dict[str, float] | None = None, **values: float
) -> Entry:
    """The entry for rows in which ``shown__pack_current=3.0`` stands for that quantity, everything else unknown."""
    row = np.full(COLUMNS, math.nan)
    for name, value in (values | (more or {})).items():
        quantity = TABLE.find(name.removesuffix("__t").replace("__", "."))
        assert quantity is not None
        if name.endswith("__t"):
            row[quantity.time_start : quantity.time_start + quantity.time_count] = value
        else:
            row[quantity.start : quantity.start + quantity.count] = value
    program, stack = zeros(Program), zeros(Stack)
    start, stop = append(program[0], lower.condition(Source(text), scope or _scope()).steps)
    return evaluate(program[0], stack[0], start, stop, element, 7.0, row)


def _refused(text: str, **params: Value) -> str:
    with pytest.raises(InputError) as caught:
        lower.condition(Source(text, Where("a.yaml", 10, 5)), _scope(**params))
    return str(caught.value)


def test_comparison_binds_tighter_than_not_and_or_and_product_tighter_than_sum() -> None:
    node = parse(Source("not a < b + c * d and e == f or g > h"))

    assert isinstance(node, Binary)
    assert node.op == "or"
    assert isinstance(node.left, Binary)
    assert node.left.op == "and"


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("50 mV", 0.05, "V"),
        ("4.25V", 4.25, "V"),
        ("5 %", 0.05, "1"),
        ("-10 degC", -10, "degC"),
        ("2 degC/min", 2 / 60, "degC/s"),
        ("3 min", 180, "s"),
        ("1.5e3 A", 1500, "A"),
        ("5 K", 5, "K"),
        ("20 mAh", 0.02, "Ah"),
        (".5 kohm", 500, "ohm"),
    ],
)
def test_a_number_carries_its_unit_to_si(text: str, value: float, unit: str) -> None:
    assert lower.constant(Source(text), _scope(), unit) == pytest.approx(value, rel=1e-12)


def test_constants_are_folded_before_the_run() -> None:
    source = Source("2 * limits.cell_ov.budget + 20 ms - max(1 ms, 2 ms)")

    assert lower.constant(source, _scope(), "s") == pytest.approx(2 * 0.83 + 0.018)


def test_a_limit_plus_a_step_becomes_one_fused_operation() -> None:
    made = lower.condition(Source("limits.cell_ov.MSL + 50 mV < shown.cell_voltage[2]"), _scope())

    (only,) = made.steps
    assert only.column == _column("shown.cell_voltage") + 2
    assert only.number == pytest.approx(3.8)
    assert made.unit == "V"


def test_labels_are_resolved_by_the_other_side() -> None:
    assert _evaluate("reported.state == ERROR", reported__state=5.0)[0] == 1
    assert _evaluate("ERROR != reported.state", reported__state=4.0)[0] == 1
    assert _evaluate("reported.dtc_cell_ov == 1", reported__dtc_cell_ov=1.0)[0] == 1
    assert _evaluate("reported.state == $want", _scope(want="NORMAL"), reported__state=3.0)[0] == 1
    both = "measured.contactor_main == reported.contactor_main"
    assert _evaluate(both, measured__contactor_main=0.0, reported__contactor_main=1.0)[0] == 0


def test_unknown_is_neither_true_nor_false() -> None:
    assert math.isnan(_evaluate("measured.pack_current < 1 A")[0])
    assert _evaluate("measured.pack_current < 1 A and shown.pack_current > 5 A", shown__pack_current=1.0)[0] == 0
    assert _evaluate("measured.pack_current < 1 A or shown.pack_current > 5 A", shown__pack_current=9.0)[0] == 1
    assert math.isnan(_evaluate("not measured.pack_current < 1 A")[0])


def test_time_is_the_latest_of_the_terms_that_decide() -> None:
    text = "measured.contactor_main == OPEN and reported.dtc_cell_ov == ON"
    times = {"measured__contactor_main__t": 5.013, "reported__dtc_cell_ov__t": 5.010}

    assert _evaluate(text, measured__contactor_main=0.0, reported__dtc_cell_ov=1.0, more=times)[3] == 5.013
    assert _evaluate(text, measured__contactor_main=0.0, reported__dtc_cell_ov=0.0, more=times)[3] == 5.010
    either = text.replace(" and ", " or ")
    assert _evaluate(either, measured__contactor_main=0.0, reported__dtc_cell_ov=1.0, more=times)[3] == 5.010
    assert _evaluate("shown.pack_current > 5 A", shown__pack_current=6.0)[3] == 7.0  # untimed: the row's time


def test_each_addresses_one_element_and_a_loop_all_of_them() -> None:
    scope = _scope()
    scope.each = True
    row_values = {"shown__cell_voltage": 3.0}

    assert _evaluate("shown.cell_voltage[each] > 2 V", scope, 3, more=row_values)[0] == 1
    assert scope.instances == 4
    assert _evaluate("all(abs(shown.cell_voltage - 3 V) < 1 mV)", more=row_values)[0] == 1
    assert _evaluate("max(shown.cell_voltage) - min(shown.cell_voltage[all]) < 10 mV", more=row_values)[0] == 1


def test_uncertainty_separates_surely_from_possibly() -> None:
    scope = Scope(TABLE, _limit, uncertainties={"measured.pack_current": Uncertainty(0.5, 0.002)})

    value, low, high, _, since_u, distance = _evaluate("measured.pack_current < 1 A", scope, measured__pack_current=0.8)

    assert (value, low, high, since_u) == (1, 0, 1, 0.002)
    assert distance == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("shown.pack_current > 4 V", ["a.yaml:10:26", "expected a current such as '100 A'", "found a value in V"]),
        ("shown.pack_current > 4", ["expected a current", "a plain number"]),
        ("shown.cell_volt > 4 V", ["a.yaml:10:5", "unknown name", "did you mean 'shown.cell_voltage'?"]),
        ("reported.state == EROR", ["a.yaml:10:23", "STARTUP, STANDBY", "did you mean 'ERROR'?"]),
        ("reported.state < ERROR", ["labels have no order"]),
        ("reported.state + 1 > 2", ["labels cannot be reckoned with"]),
        ("reported.state == 9", ["no such label"]),
        ("truth.pack_current > 1 A", ["truth is not allowed", "did you mean 'measured.pack_current'?"]),
        ("command.pack_current > 1 A", ["not in the record"]),
        ("shown.cell_voltage > 3 V", ["a vector of 4", "any()"]),
        ("shown.cell_voltage[4] > 3 V", ["a.yaml:10:24", "an index from 0 to 3", "'4'"]),
        ("shown.cell_voltage[each] > 3 V", ["each: all"]),
        ("any(shown.cell_voltage > measured.temperature / 1 K * 1 V)", ["cannot be combined"]),
        (
            "any(shown.cell_voltage - residual.bench > 0 V) and any(shown.sense_open == ON) and 1 > 2",
            ["both sides are constants"],
        ),
        ("any(abs(shown.temperature - 2 K) > 3 degC)", ["degC has no magnitude"]),
        ("any(shown.cell_voltage > max(measured.cell_voltage))", ["one any/all/max/min at a time"]),
        ("any(shown.pack_current > 1 A)", ["wants a vector"]),
        ("shown.pack_current", ["this is no condition", "a number in A"]),
        ("reported.dtc_cell_ov", ["did you mean 'reported.dtc_cell_ov == ON'?"]),
        ("shown.pack_current > 1 A > 2 A", ["comparisons do not chain"]),
        ("shown.pack_current = 1 A", ["did you mean '=='?"]),
        ("shown.pack_current > 1 Voltz", ["unknown unit"]),
        ("shown.cell_voltage[$cel] > 3 V", ["unknown parameter", "did you mean 'cell'?"]),
        ("limits.cell_ov.MXL < shown.pack_voltage", ["unknown limit"]),
        ("avg(shown.cell_voltage) > 1 V", ["unknown function"]),
        ("shown.pack_current > 1 A xor", ["should end here"]),
        ("(shown.pack_current > 1 A", ["expected ')'", "the end"]),
        ("3 V + limits.ot.MSL > shown.pack_voltage", ["the units do not fit"]),
        ("", ["empty"]),
        ("(" * 60, ["nested too deeply"]),
        ("not " * 60, ["nested too deeply"]),
        ("-" * 60, ["nested too deeply"]),
        ("x" * 3000, ["too long"]),
    ],
)
def test_errors_say_where_what_was_expected_and_what_was_found(text: str, parts: list[str]) -> None:
    message = _refused(text, cell=1)

    for part in parts:
        assert part in message


def test_truth_of_soc_is_allowed() -> None:
    entry = _evaluate("abs(reported.soc - truth.soc) < 5 %", reported__soc=0.5, truth__soc=0.52)

    assert entry[0] == 1
    assert entry[5] == pytest.approx(0.03)


def test_names_keep_their_index_and_numbers_their_digits() -> None:
    node = parse(Source("shown.cell_voltage[$cell] >= 3.10 V"))

    assert node == Binary(26, ">=", Name(0, "shown.cell_voltage", "$cell", 19), Number(29, "3.10", "V"))


def test_while_splits_a_never_and_keeps_the_place() -> None:
    text = "reported.soc > 5 %  while  reported.state == ERROR"

    first, second, at = split_while(text)

    assert (first.strip(), second) == ("reported.soc > 5 %", "reported.state == ERROR")
    assert text[at:] == second


@pytest.mark.parametrize(
    ("left", "right", "divide", "unit"),
    [
        ("V", "A", False, "W"),
        ("V", "A", True, "ohm"),
        ("W", "s", False, "J"),
        ("V", "V", True, "1"),
        ("V", "s", True, "V/s"),
        ("1", "s", True, "Hz"),
        ("Ah", "1", False, "Ah"),
        ("degC", "1", False, None),
        ("Ah", "V", False, None),
        ("A", "A", False, "A^2"),
    ],
)
def test_units_multiply_like_their_dimensions(left: str, right: str, divide: bool, unit: str | None) -> None:
    assert dimension.multiplied(left, right, divide) == unit


def test_temperatures_add_only_with_differences() -> None:
    assert dimension.added("degC", "degC", True) == "K"
    assert dimension.added("degC", "K", False) == "degC"
    assert dimension.added("degC", "degC", False) is None
    assert dimension.added("K", "degC", True) is None


@given(st.text(alphabet="shown.pack_curentVA0123456789 <>=+-*/()[],$%_andornot", max_size=80) | st.text(max_size=40))
def test_any_text_is_a_condition_or_an_input_error(text: str) -> None:
    try:
        made = lower.condition(Source(text), _scope(c=1))
    except InputError:
        return

    assert made.condition
