"""Models of files: units, strictness, and every error told at once, with its place."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator

from hil.errors import InputError, Problem
from hil.files import (
    Capacitance,
    Charge,
    Current,
    Document,
    Duration,
    Frequency,
    Quantity,
    Ratio,
    Resistance,
    Strict,
    Temperature,
    Voltage,
    VoltageRate,
    json_schema,
    load_document,
    load_model,
    load_text,
    resolve,
    validate,
)


class State(StrEnum):
    RUN = "RUNNING"
    OFF = "STANDBY"


class Ramp(Strict):
    signal: str
    rate: VoltageRate


class RampStep(Strict):
    at: Duration
    ramp: Ramp


class FaultStep(Strict):
    at: Duration
    fault: Literal["frame_crc", "frame_lost"]
    while_: str | None = Field(default=None, alias="while")


class Scenario(Strict):
    scenario: str
    state: State = State.OFF
    count: int = 1
    on: bool = True
    soc: Ratio = 0.5
    limits: dict[str, Voltage] = Field(default_factory=dict)
    window: tuple[Voltage, Voltage] | None = None
    steps: tuple[RampStep | FaultStep, ...] = ()


def model_problems(text: str, model: type[Strict] = Scenario) -> list[str]:
    with pytest.raises(InputError) as caught:
        validate(load_text(text, "f.yaml"), model)
    return str(caught.value).splitlines()


def test_a_good_file_becomes_a_model_in_si_units(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "scenario: x\nstate: RUNNING\nsoc: 60 %\nlimits: {ov: 3650 mV}\nwindow: [0 V, 5 V]\n"
        "steps:\n  - {at: 0.1 s, ramp: {signal: a, rate: 50 mV/s}}\n  - {at: 1 s, fault: frame_crc, while: on}\n"
    )

    model, document = load_model(path, Scenario)

    assert model == Scenario(
        scenario="x", state=State.RUN, soc="60 %", limits={"ov": "3.65 V"}, window=("0 V", "5 V"),
        steps=({"at": "100 ms", "ramp": {"signal": "a", "rate": "0.05 V/s"}},
               {"at": "1000 ms", "fault": "frame_crc", "while": "on"}),
    )  # fmt: skip
    assert (model.soc, model.limits, model.window) == (0.6, {"ov": 3.65}, (0.0, 5.0))
    assert model.steps[0].at == 100_000_000
    assert document.path == path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("scenario: x\nstaet: RUNNING", "2:1: unknown key 'staet' in the file; did you mean 'state'?"),
        ("soc: 1", "1:1: the file: the key 'scenario' is missing"),
        ("scenario: 5", "1:11: scenario: expected text, found 5"),
        ("scenario: x\nstate: RUNING",
         "2:8: state: expected one of 'RUNNING', 'STANDBY', found 'RUNING'; did you mean 'RUNNING'?"),
        ("scenario: x\ncount: '5'", "2:8: count: expected a whole number, found '5'"),
        ("scenario: x\ncount: true", "2:8: count: expected a whole number, found true"),
        ("scenario: x\non: yes", "2:5: on: expected true or false, found 'yes'"),
        ("scenario: x\non: 1", "2:5: on: expected true or false, found 1"),
        ("scenario: x\nlimits: {ov: 4.25 A}",
         "2:14: limits.ov: expected a voltage such as '4.25 V', found '4.25 A'"),
        ("scenario: x\nlimits: {ov: 4.25}", "2:14: limits.ov: expected a voltage such as '4.25 V', found 4.25"),
        ("scenario: x\nsteps: 5", "2:8: steps: expected a list, found 5"),
        ("scenario: x\nsteps: [5]", "2:9: steps[0]: expected a mapping, found 5"),
        ("scenario: x\nwindow: [1 V]", "2:9: window[1]: the key '1' is missing"),
        ("[1]", "1:1: the file: expected a mapping, found a list of 1"),
        ("", "1:1: the file: expected a mapping, found nothing"),
    ],
)  # fmt: skip
def test_a_wrong_file_gets_one_line_that_says_where_and_what(text: str, line: str) -> None:
    (found,) = model_problems(text)

    if "window" in text:  # the words of a tuple that is too short are the validator's
        assert found.startswith("f.yaml:2:9: window")
    else:
        assert found == f"f.yaml:{line}"


def test_every_error_of_a_file_is_told_at_once_in_file_order() -> None:
    lines = model_problems("scenario: 1\ncount: x\nsoc: 4 V\nlimits:\n  ov: 1 A\n  uv: 2\nbad: 1\n")

    assert [line.split(": ")[0] for line in lines] == [
        "f.yaml:1:11", "f.yaml:2:8", "f.yaml:3:6", "f.yaml:5:7", "f.yaml:6:7", "f.yaml:7:1",
    ]  # fmt: skip


def test_of_a_union_only_the_branch_that_was_meant_is_told() -> None:
    lines = model_problems("scenario: x\nsteps:\n  - at: 1 s\n    ramp: {signal: a, rat: 5 V/s}\n")

    assert lines == [
        "f.yaml:4:11: steps[0].ramp: the key 'rate' is missing",
        "f.yaml:4:23: unknown key 'rat' in steps[0].ramp; did you mean 'rate'?",
    ]


def test_of_a_union_the_other_branch_is_told_when_that_was_meant() -> None:
    lines = model_problems("scenario: x\nsteps:\n  - {at: 1 s, fault: frame_crk, whle: x}\n")

    assert lines == [
        "f.yaml:3:22: steps[0].fault: expected one of 'frame_crc', 'frame_lost', found 'frame_crk'; "
        "did you mean 'frame_crc'?",
        "f.yaml:3:33: unknown key 'whle' in steps[0]; did you mean 'while'?",
    ]


class Cat(Strict):
    kind: Literal["cat"]
    lives: int


class Dog(Strict):
    kind: Literal["dog"]
    dog: dict[str, int]


class Zoo(Strict):
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    level: Voltage | Current | Literal["high", "low"] = "low"


def test_a_discriminated_union_tells_only_its_own_branch() -> None:
    lines = model_problems("pets:\n  - {kind: dog, dog: {a: x}, lifes: 1}\n  - {kind: cot}\n  - {lives: 1}\n", Zoo)

    assert lines[0] == "f.yaml:2:26: pets[0].dog.a: expected a whole number, found 'x'"
    assert lines[1] == "f.yaml:2:30: unknown key 'lifes' in pets[0]: expected one of 'kind', 'dog'"
    assert lines[2].startswith("f.yaml:3:5: pets[1]: expected one of 'cat', 'dog'")
    assert lines[3].startswith("f.yaml:4:5: pets[2]: ")
    assert len(lines) == 4


def test_a_value_that_fits_no_branch_hears_all_that_would_do() -> None:
    (line,) = model_problems("pets: []\nlevel: hihg\n", Zoo)

    assert line == (
        "f.yaml:2:8: level: expected a voltage such as '4.25 V' or a current such as '100 A' or one of 'high', 'low', "
        "found 'hihg'; did you mean 'high'?"
    )


class Awkward(Strict):
    """Field names that mean something to a validator's own tables."""

    type: int
    default: int
    ref: bool = False


def test_scalars_are_strict_whatever_the_field_is_called() -> None:
    assert len(model_problems("type: '1'\ndefault: '2'\nref: 'yes'", Awkward)) == 3


class Bounded(Strict):
    gain: Annotated[float, Quantity("1", at_least=0.0, at_most=1.0)] = 0.0
    rate: Annotated[Resistance, Field(lt=10)] = 0.0
    f: Frequency = 1.0
    t: Temperature = 25.0
    c: Capacitance = 0.0
    q: Charge = 0.0

    @field_validator("q")
    @classmethod
    def _small(cls, q: float) -> float:
        if q > 100:
            raise InputError([Problem("too much"), Problem("far too much", expected="less")])
        return q


def test_bounds_are_told_with_their_unit() -> None:
    lines = model_problems("gain: 120 %\nrate: 20 ohm\nf: 0 Hz\nt: 5 K/s\nc: -1 mF\nq: 200 Ah", Bounded)

    assert lines[0] == "f.yaml:1:7: gain: expected at most 100 %, found '120 %'"
    assert lines[1].startswith("f.yaml:2:7: rate: expected less than 10")
    assert lines[2] == "f.yaml:3:4: f: expected more than 0 Hz, found '0 Hz'"
    assert lines[4] == "f.yaml:5:4: c: expected at least 0 F, found '-1 mF'"
    assert lines[5:] == ["f.yaml:6:4: q: too much", "f.yaml:6:4: q: far too much: expected less"]


def test_a_ratio_that_is_not_a_number_is_refused() -> None:
    assert model_problems("gain: .nan", Bounded) == ["f.yaml:1:7: gain: expected at least 0 %, found nan"]
    assert "a known number" in model_problems("scenario: x\nsoc: .nan")[0]


def test_a_negative_duration_is_refused() -> None:
    (line,) = model_problems("scenario: x\nsteps: [{at: -1 s, fault: frame_crc}]")

    assert line == "f.yaml:2:14: steps[0].at: expected at least 0 s, found '-1 s'"


def test_the_json_schema_is_deterministic_and_shows_units_as_text() -> None:
    schema = json_schema(Scenario)

    assert schema == json_schema(Scenario)
    assert '"4.25 V"' in schema
    assert '"additionalProperties": false' in schema
    assert '"while"' in schema


def test_files_are_found_beside_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "a123.yaml").write_text("a: 1")
    path = tmp_path / "s.yaml"
    path.write_text("scenario: x\npack: packs/a132.yaml\n")
    document = load_document(path)

    assert resolve(document, ("pack",), "packs/a123.yaml") == tmp_path / "packs" / "a123.yaml"
    with pytest.raises(InputError) as caught:
        resolve(document, ("pack",), "packs/a132.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.nearest) == (2, 7, "packs/a123.yaml")
    for bad in ("packs", "a\0b", "x" * 5000, ""):
        with pytest.raises(InputError):
            resolve(document, ("pack",), bad)


def test_the_work_of_loading_grows_with_the_lines_and_no_faster() -> None:
    step = "  - at: {} ms\n    ramp:\n      signal: a\n      rate: {} mV/s\n"

    def load(steps: int) -> int:
        """How many functions are called to load that many steps."""
        text = "scenario: x\nsteps:\n" + "".join(step.format(i, i) for i in range(steps))
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            document: Document = load_text(text)
            model = validate(document, Scenario)
        finally:
            sys.setprofile(before)
        assert len(model.steps) == steps
        return calls

    load(10)  # loads what the first load loads
    few, many = load(250), load(1250)
    assert many < 5.5 * few
    assert many < 2_000 * 1250
