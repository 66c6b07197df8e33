"""The quantity table: columns, times, labels, binding by field name."""

import numpy as np
import pytest

from hil.image import CELL, COLUMN_FIELD, DTCS, QUANTITIES, SENSOR, WIRE, Line, bind, table
from hil.kernel import I64, zeros
from hil.tick import COLUMNS

LINES = (
    Line("a.volt", "V", "per cell", CELL, "all"),
    Line("z.hidden", "1", "not recorded", 2, record=False),
    Line("a.wire", "1", "per wire", WIRE),
    Line("b.state", "1", "timed", timed="each", labels=("OFF", "ON")),
    Line("b.pair", "1", "timed each", 2, "each"),
    Line("a.temp", "degC", "per sensor", SENSOR),
)


class Wanted:
    col_a_volt: I64
    tcol_a_volt: I64
    col_b_state: I64
    other: I64


class Wrong:
    col_a_wolt: I64


class Untimed:
    tcol_a_wire: I64


def test_columns_follow_each_other_and_unrecorded_quantities_come_last() -> None:
    # by hand: a.volt 3 + 1 time, a.wire 4, b.state 1 + 1, b.pair 2 + 2, a.temp 2, then z.hidden 2
    t = table(3, 2, LINES)
    assert [(q.name, q.start, q.count, q.time_start) for q in t.quantities] == [
        ("a.volt", 0, 3, 3),
        ("a.wire", 4, 4, -1),
        ("b.state", 8, 1, 9),
        ("b.pair", 10, 2, 12),
        ("a.temp", 14, 2, -1),
        ("z.hidden", 16, 2, -1),
    ]
    assert (t.recorded, t.columns) == (16, 18)


def test_the_time_column_of_an_element_is_its_own_or_that_of_the_vector() -> None:
    t = table(3, 2, LINES)
    volt, pair, wire = (t.find(n) for n in ("a.volt", "b.pair", "a.wire"))
    assert [volt.time_column(i) for i in range(3)] == [3, 3, 3]
    assert [pair.time_column(i) for i in range(2)] == [12, 13]
    assert wire.time_column(1) == -1


def test_labels_name_every_column_once() -> None:
    t = table(3, 2, LINES)
    labels = t.labels()
    assert labels[:10] == [
        "a.volt[0]", "a.volt[1]", "a.volt[2]", "a.volt.t",
        "a.wire[0]", "a.wire[1]", "a.wire[2]", "a.wire[3]", "b.state", "b.state.t",
    ]  # fmt: skip
    assert labels[12:14] == ["b.pair[0].t", "b.pair[1].t"]
    full = table(96, 32).labels()
    assert "" not in full
    assert len(set(full)) == len(full)


def test_a_quantity_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        table(3, 2, (*LINES, LINES[0]))


def test_a_row_that_would_be_too_wide_is_refused() -> None:
    with pytest.raises(ValueError, match=str(COLUMNS)):
        table(3, 2, (Line("a.wide", "1", "too wide", COLUMNS + 1),))


def test_the_largest_pack_fits_into_a_row() -> None:
    assert table(192, 64).columns <= COLUMNS


def test_bind_fills_columns_and_leaves_other_fields_alone() -> None:
    made = np.asarray(zeros(Wanted))
    made[0]["other"] = 77
    bind(made[0], table(3, 2, LINES))
    assert made[0].tolist() == (0, 3, 8, 77)


def test_bind_refuses_an_unknown_quantity_and_a_time_that_does_not_exist() -> None:
    with pytest.raises(KeyError, match="a_wolt"):
        bind(np.asarray(zeros(Wrong))[0], table(3, 2, LINES))
    with pytest.raises(KeyError, match="not timed"):
        bind(np.asarray(zeros(Untimed))[0], table(3, 2, LINES))


def test_every_quantity_has_a_range_a_unit_a_meaning_and_one_field_name() -> None:
    names = [line.name.replace(".", "_") for line in QUANTITIES]
    assert len(set(names)) == len(names), "two quantities would share a field name"
    for line in QUANTITIES:
        assert line.name.count(".") == 1, line.name
        assert line.unit in ("V", "A", "s", "ohm", "S", "degC", "1", "J", "W", "Pa", "Ah"), line.name
        assert len(line.meaning) > 2, line.name
        assert COLUMN_FIELD.match("col_" + line.name.replace(".", "_"))


def test_the_shown_measured_and_command_columns_of_a_pack_never_share_a_place() -> None:
    t = table(96, 32)
    taken = np.zeros(t.columns, dtype=int)
    for q in t.quantities:
        taken[q.start : q.start + q.count] += 1
        if q.time_start >= 0:
            taken[q.time_start : q.time_start + q.time_count] += 1
    assert (taken == 1).all()


def test_every_trouble_code_has_its_own_reported_quantity() -> None:
    t = table(96, 32)
    assert len(set(DTCS)) == len(DTCS)
    assert all(t.find(f"reported.dtc_{code}") is not None for code in DTCS)
