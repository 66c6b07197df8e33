"""The fault catalogue: every kind resolves, and what is wrong with a target is said."""

import numpy as np
import pytest

from hil.codec.e2e import Protection
from hil.codec.e2e.crc import Algorithm
from hil.errors import InputError, Problem
from hil.faults import catalogue
from hil.faults.catalogue import KINDS, Spec, columns_of, kind_of
from hil.faults.points import ROWS, ColumnKind, FrameKind, Point
from hil.image import table

TABLE = table(8, 3)
MESSAGES = {"VEH_Request": 0xF0, "BMS_Soc": 0x111}
PROTECTIONS = [Protection(0xF0, False, 4, 3, 8, 4, 14, 1, 1, 0, 0)]


def kind(name: str) -> catalogue.Kind:
    found = kind_of(name)
    assert not isinstance(found, Problem)
    return found


def start(name: str) -> int:
    found = TABLE.find(name)
    assert found is not None
    return found.start


def lowered(*specs: Spec) -> np.void:
    return np.asarray(catalogue.params(specs, TABLE, MESSAGES, PROTECTIONS, 5))[0]


def test_each_injection_point_has_at_least_two_kinds_and_names_are_unique() -> None:
    names = [k.name for k in KINDS]
    assert len(set(names)) == len(names)
    for point in Point:
        assert sum(k.point is point for k in KINDS) >= 2, point
    assert all(k.meaning for k in KINDS)


def test_an_unknown_kind_names_the_nearest() -> None:
    problem = kind_of("frame_crk")
    assert isinstance(problem, Problem)
    assert problem.nearest == "frame_crc"


@pytest.mark.parametrize(
    ("name", "target", "quantity", "offset", "count"),
    [
        ("cell_short", "cell[3]", "plant_in.short_conductance", 3, 1),
        ("cell_short", "cell[all]", "plant_in.short_conductance", 0, 8),
        ("contactor_weld", "main_minus", "plant_in.weld_main_minus", 0, 1),
        ("contactor_stuck_open", "precharge", "plant_in.stuck_open_precharge", 0, 1),
        ("isolation_leak", "minus", "plant_in.leak_minus", 0, 1),
        ("sense_wire_open", "wire[8]", "command.sense_open", 8, 1),
        ("sense_wire_resistance", "wire[8]", "command.sense_resistance", 8, 1),
        ("cell_self_discharge", "cell[2]", "plant_in.self_discharge", 2, 1),
        ("cell_heating", "cell[7]", "plant_in.cell_heating", 7, 1),
        ("busbar_resistance", "joint[7]", "plant_in.busbar_resistance", 7, 1),
        ("coolant_loss", "coolant", "plant_in.coolant_share", 0, 1),
        ("thermistor_short", "sensor[2]", "command.thermistor", 2, 1),
        ("feedback_lost", "main_plus", "command.auxiliary_main_plus", 0, 1),
        ("offset", "shown.pack_current", "command.pack_current", 0, 1),
        ("stuck", "shown.cell_voltage[5]", "command.cell_voltage", 5, 1),
    ],
)
def test_a_target_becomes_its_columns(name: str, target: str, quantity: str, offset: int, count: int) -> None:
    assert columns_of(kind(name), target, TABLE) == (start(quantity) + offset, count)


@pytest.mark.parametrize(
    ("name", "target", "nearest"),
    [
        ("cell_short", "cell", ""),
        ("cell_short", "cell[8]", ""),
        ("cell_short", "wire[1]", ""),
        ("cell_short", "cell[-1]", ""),
        ("cell_short", "", ""),
        ("sense_wire_open", "wire[9]", ""),
        ("contactor_weld", "main_pluss", "main_plus"),
        ("isolation_leak", "plsu", "plus"),
        ("coolant_loss", "coolent", "coolant"),
        ("busbar_resistance", "cell[1]", ""),
        ("busbar_resistance", "joint[8]", ""),
        ("offset", "shown.pack_curent", "shown.pack_current"),
        ("offset", "truth.pack_current", "shown.pack_current"),
        ("stuck", "measured.link_voltage", "shown.link_voltage"),
    ],
)
def test_a_wrong_target_is_a_problem_not_a_column(name: str, target: str, nearest: str) -> None:
    problem = columns_of(kind(name), target, TABLE)
    assert isinstance(problem, Problem)
    assert problem.found == target
    assert problem.nearest == nearest


def test_a_column_fault_becomes_one_row_with_its_window_and_numbers() -> None:
    p = lowered(Spec("cell_short", "cell[3]", 2, 100, 900, {"resistance": 0.25}))
    row = p["on_columns"][0]
    assert (int(p["n_columns"]), int(p["n_frames"])) == (1, 0)
    assert [int(row[n]) for n in ("point", "kind", "group", "t_on_ns", "t_off_ns", "n")] == [
        int(Point.PLANT),
        int(ColumnKind.LINEAR),
        2,
        100,
        900,
        1,
    ]
    assert int(row["column"]) == start("plant_in.short_conductance") + 3
    assert (float(row["gain"]), float(row["offset"])) == (1.0, 4.0)


def test_a_frame_fault_becomes_one_row_that_knows_its_protection() -> None:
    p = lowered(
        Spec("frame_crc", "VEH_Request", 1, 0, -1),
        Spec("frame_delay", "BMS_Soc", 1, 5, 6, {"delay": 0.02}),
    )
    crc, delay = p["on_frames"][0], p["on_frames"][1]
    assert (int(crc["id"]), int(crc["kind"]), int(crc["protection"])) == (0xF0, int(FrameKind.WRONG_CRC), 0)
    assert (int(delay["id"]), int(delay["protection"]), float(delay["argument"])) == (0x111, -1, 20_000_000.0)
    assert int(delay["point"]) == int(Point.RECEIVE)


def test_more_faults_than_rows_are_refused() -> None:
    one = Spec("sense_wire_open", "wire[1]", 1, 0, -1)
    assert int(lowered(*[one] * ROWS)["n_columns"]) == ROWS
    with pytest.raises(ValueError, match=str(ROWS)):
        lowered(*[one] * (ROWS + 1))


def test_nothing_has_begun_at_the_start() -> None:
    s = np.asarray(catalogue.state())[0]
    assert (s["group_t_ns"] == -1).all()
    assert (s["counter"] == -1).all()
    assert int(s["n_delayed"]) == 0


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("frame_counter_jump", {"steps": 0.0}, "a counter from 0 to 14 does not change by 0 steps"),
        ("received_counter_jump", {"steps": -30.0}, "does not change by -30 steps"),
        ("frame_data_id", {"data_id": 1.0}, "data id 0x1 gives the same checksum as its own"),
        (
            "frame_data_id",
            {"data_id": 65537.0},
            "gives the same checksum as its own",
        ),  # the profile takes 16 bits of it
    ],
)
def test_a_fault_that_would_change_no_frame_is_refused(name: str, arguments: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        lowered(Spec(name, "VEH_Request", 1, 0, -1, arguments))
    lowered(Spec(name, "VEH_Request", 1, 0, -1, {key: value + 1 for key, value in arguments.items()}))


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("frame_crc", "BMS_Soc", "no end-to-end protection"),
        ("received_counter_jump", "Checked", "no counter"),
        ("frame_counter_frozen", "Checked", "no counter"),
        ("received_data_id", "Checked", "no data id"),
        ("frame_crc", "Counted", "no checksum"),
    ],
)
def test_a_fault_of_a_protection_that_the_message_lacks_is_refused(name: str, target: str, words: str) -> None:
    checked = PROTECTIONS[0]._replace(id=0x20, counter_length=0, before=())
    counted = PROTECTIONS[0]._replace(id=0x21, algorithm=Algorithm.NONE)
    arguments = {"steps": 2.0, "data_id": 3.0}
    with pytest.raises(InputError, match=f"{name} on {target}: .*{words}"):
        catalogue.params(
            [Spec(name, target, 1, 0, -1, arguments)],
            TABLE,
            MESSAGES | {"Checked": 0x20, "Counted": 0x21},
            [*PROTECTIONS, checked, counted],
            5,
        )


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("cell_short", {"resistance": 0.0}, "more than 0 ohm"),
        ("sense_wire_resistance", {"resistance": -1.0}, "more than 0 ohm"),
        ("cell_self_discharge", {"current": -0.1}, "at least 0 A"),
        ("coolant_loss", {"share": 1.5}, "0 to 1"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(name: str, arguments: dict[str, float], expected: str) -> None:
    problem = catalogue.refused(kind(name), arguments)
    assert problem is not None
    assert problem.expected == expected


def test_an_argument_within_its_range_is_taken() -> None:
    assert catalogue.refused(kind("coolant_loss"), {"share": 0.0}) is None
    assert catalogue.refused(kind("cell_short"), {"resistance": 1e-3}) is None
    assert catalogue.refused(kind("cell_heating"), {"power": 600.0}) is None


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("contactor_weld", "main_plus"),
        ("isolation_leak", "plus"),
        ("coolant_loss", "coolant"),
        ("cell_heating", "cell[3]"),
    ],
)
def test_a_target_of_no_shape_is_answered_with_one_of_the_kind(name: str, example: str) -> None:
    problem = columns_of(kind(name), "", TABLE)
    assert isinstance(problem, Problem)
    assert problem.expected == example
