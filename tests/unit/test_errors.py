"""Errors say whose fault it was, and where."""

import pickle

import pytest

from hil.errors import BenchError, CellbenchError, ExitCode, InputError, InternalError, Problem, nearest


def test_a_problem_is_one_line_with_place_expectation_finding_and_suggestion() -> None:
    problem = Problem("steps[0].rate", "a.yaml", 3, 7, "a voltage rate", "'5 V'", "5 V/s")

    assert str(problem) == "a.yaml:3:7: steps[0].rate: expected a voltage rate, found '5 V'; did you mean '5 V/s'?"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("no such file", "a.yaml"), "a.yaml: no such file"),
        (Problem("bad"), "bad"),
        (Problem("", expected="x", found="y"), "expected x, found y"),
        (Problem("two\nlines", "a.yaml", 2), "a.yaml:2:1: two lines"),
        (Problem("gone", found="y"), "gone: found y"),
    ],
)
def test_a_problem_leaves_out_what_is_not_known(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_an_input_error_shows_all_problems_one_a_line() -> None:
    error = InputError([Problem("one", "a", 1, 1), Problem("two", "a", 2, 1)])

    assert str(error).splitlines() == ["a:1:1: one", "a:2:1: two"]
    assert [problem.message for problem in error.problems] == ["one", "two"]


def test_an_input_error_takes_a_sentence() -> None:
    assert InputError("no port given").problems == (Problem("no port given"),)


def test_an_input_error_survives_the_way_to_another_process() -> None:
    error = InputError([Problem("one", "a", 1, 1, "x", "y", "z")])

    copy = pickle.loads(pickle.dumps(error))

    assert copy.problems == error.problems
    assert str(copy) == str(error)


def test_the_type_says_whose_fault_it_was_and_which_exit_code_follows() -> None:
    assert InputError("x").exit_code is ExitCode.BAD_INPUT
    assert BenchError("x").exit_code is ExitCode.BENCH
    assert InternalError("x").exit_code is ExitCode.BENCH
    assert all(issubclass(kind, CellbenchError) for kind in (InputError, BenchError, InternalError))
    assert not issubclass(BenchError, InputError)


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 4, 0], 4),
        ([4, 1, 3], 1),
        ([1, 130, 4, 3, 0], 130),
        ([130, 2], 2),
        ([], 3),
    ],
)
def test_mixed_runs_end_with_the_worst_code_and_no_run_is_no_pass(codes: list[int], worst: int) -> None:
    assert ExitCode.combine(codes) == worst


def test_a_number_that_is_no_exit_code_is_refused() -> None:
    with pytest.raises(ValueError, match="139"):
        ExitCode.combine([0, 139])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("volage", "voltage"), ("Pack-Current", "pack_current"), ("xyzzy", None), ("", None), ("v" * 10_000, None)],
)
def test_nearest_finds_slips_and_nothing_else(name: str, expected: str | None) -> None:
    assert nearest(name, ["pack_current", "voltage", "temperature"]) == expected
