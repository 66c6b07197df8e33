"""Whole runs in worker processes: the same bytes every time, declared equivalents, time-outs, suites of tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hil.campaign.mutate import report
from hil.campaign.mutate.nouns import Status, Target
from hil.campaign.mutate.run import Run, mutate, only, population_of
from hil.errors import InputError
from tools import mutate as tool

ROOT = Path(__file__).parents[2]
CLAMP = """
STEP = 2.0


def clamp(x, low, high):
    if x < low:
        return low
    return min(x, high)


def total(values):
    out = 0.0
    for k in range(len(values)):
        out += values[k] * STEP
    return out


def unused(x):
    return -x
"""
JUDGES = """
import os
import sys


def judge_clamp(copies):
    print("judges may print")
    print("and complain", file=sys.stderr)
    assert [copies.clamp.clamp(x, 1.0, 3.0) for x in (0.0, 1.0, 2.0, 3.0, 4.0)] == [1.0, 1.0, 2.0, 3.0, 3.0]


def judge_total(copies):
    assert copies.clamp.total([1.0, 2.0, 4.0]) == 14.0


JUDGES = (judge_clamp, judge_total)


def judge_deadly(copies):
    if copies.clamp.clamp(5.0, 1.0, 3.0) != 3.0:
        os._exit(9)


def judge_sleepy(copies):
    import time
    if copies.clamp.clamp(5.0, 1.0, 3.0) != 3.0:
        time.sleep(600)


DEADLY, SLEEPY = (judge_deadly, judge_total), (judge_sleepy, judge_total)


SHARED = [1.0, 2.0]


def judge_shared(copies):
    SHARED[0] = min(SHARED[0], copies.clamp.clamp(0.0, 1.0, 3.0))
    assert SHARED[0] == 1.0


LEAKY = (judge_shared,)


def judge_wrong(copies):
    assert copies.clamp.clamp(0.0, 1.0, 3.0) == 0.0


WRONG = (judge_wrong,)


def judge_plain(copies):
    import hil.kernel
    assert hil.kernel.INTERPRET
    copies.clamp.clamp(0.0, 1.0, 3.0)


def judge_compiled(copies):
    import hil.kernel
    assert not hil.kernel.INTERPRET
    copies.clamp.clamp(0.0, 1.0, 3.0)


def judge_hungry(copies):
    copies.clamp.clamp(0.0, 1.0, 3.0)
    if copies.clamp.STEP != 2.0:
        bytearray(1 << 34)


PLAIN, COMPILED, HUNGRY = (judge_plain,), (judge_compiled,), (judge_hungry,)
"""
EQUIVALENT = """
equivalents:
  - module: room.clamp
    function: clamp
    operator: boundary
    original: x  <  low
    mutated: (x <= low)
    reason: at the bound both forms return the bound
"""
Make = Callable[..., Target]


@pytest.fixture
def target(tmp_path: Path) -> Make:
    """A target of its own in a folder."""

    def made(**changes: object) -> Target:
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / "__init__.py").write_text("")
        (tmp_path / "room" / "clamp.py").write_text(CLAMP)
        (tmp_path / "judges").mkdir(exist_ok=True)
        (tmp_path / "judges" / "clamp_judges.py").write_text(JUDGES)
        (tmp_path / "same.yaml").write_text(EQUIVALENT)
        usual = Target(
            "clamp", "a test", str(tmp_path), ("room.clamp",), judges="clamp_judges:JUDGES", paths=("judges",)
        )
        return replace(usual, **changes)  # type: ignore[arg-type]

    return made


def status_of(run: Run) -> dict[str, Status]:
    return {f"{f.mutant.original} -> {f.mutant.mutated}": f.status for f in run.findings}


def test_every_mutant_is_judged_and_told(target: Make) -> None:
    seen: list[tuple[int, int]] = []
    population = population_of(target())
    run = mutate(population, jobs=2, progress=lambda done, of: seen.append((done, of)))
    assert [f.mutant for f in run.findings] == list(population.mutants)
    assert seen == [(k + 1, len(population.mutants)) for k in range(len(population.mutants))]
    status = status_of(run)
    assert status["x < low -> x >= low"] is Status.KILLED
    assert status["x < low -> x <= low"] is Status.SURVIVED
    assert status["-x -> x"] is Status.UNREACHED
    assert status["2.0 -> 4.0"] is Status.KILLED
    assert {f.by for f in run.findings} == {"judge_clamp", "judge_total", ""}
    told = report.to_dict(run)
    assert told["killed"] + told["survived"] + told["unreached"] == told["judged"] == len(run.findings)
    assert told["score_pct"] == round(100.0 * told["killed"] / told["judged"], 3)
    assert told["interval_pct"] is None
    assert {o["id"] for o in told["open"]} == {
        f.mutant.id for f in run.findings if f.status in (Status.SURVIVED, Status.UNREACHED)
    }
    text = report.to_text(run)
    assert "-    if x < low:\n    +    if x <= low:" in text
    assert f"kill score {run.score_pct:.1f} %, at least 95 % asked for" in text


def test_two_runs_give_the_same_bytes_whatever_the_hash_seed_and_the_number_of_processes(target: Make) -> None:
    made = target(equivalents="same.yaml")
    code = (
        "import json, sys\n"
        "from hil.campaign.mutate.nouns import Target\n"
        "from hil.campaign.mutate.run import mutate, population_of\n"
        "from hil.campaign.mutate.report import to_json, to_text\n"
        "target = Target.from_dict(json.loads(sys.argv[1]))\n"
        "run = mutate(population_of(target), 12, 5, jobs=int(sys.argv[2]))\n"
        "sys.stdout.write(to_json(run) + to_text(run))\n"
    )
    outputs = set()
    for hash_seed, jobs in (("1", "1"), ("77", "3")):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, json.dumps(made.to_dict()), jobs]
        outputs.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(outputs) == 1
    assert '"sample": 12' in outputs.pop()


def test_a_sample_has_an_interval_around_its_score(target: Make) -> None:
    run = mutate(population_of(target()), 10, 3)
    assert (len(run.findings), run.sampled, run.seed) == (10, 10, 3)
    assert run.interval_pct is not None
    assert run.interval_pct[0] < run.score_pct < run.interval_pct[1] or run.score_pct in run.interval_pct
    assert "a sample of 10 (seed 3)" in report.to_text(run)
    whole = mutate(population_of(target()), 10_000, 3)
    assert (whole.sampled, whole.interval_pct) == (0, None)


def test_a_declared_equivalent_is_not_counted(target: Make) -> None:
    run = mutate(population_of(target(equivalents="same.yaml")))
    assert status_of(run)["x < low -> x <= low"] is Status.EQUIVALENT
    assert run.counted == len(run.findings) - 1
    assert not run.broken
    told = report.to_dict(run)
    assert [e["reason"] for e in told["equivalents"]] == ["at the bound both forms return the bound"]


def test_a_declared_equivalent_that_is_killed_breaks_the_run(target: Make, tmp_path: Path) -> None:
    made = target(equivalents="same.yaml")
    wrong = EQUIVALENT.replace("boundary", "negation").replace("<=", ">=")
    (tmp_path / "same.yaml").write_text(wrong)
    run = mutate(only(population_of(made), "*:negation:*"))
    assert status_of(run) == {"x < low -> x >= low": Status.WRONGLY_DECLARED}
    assert run.broken


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("x  <  low", "x < high", "none: out of date?"),
        ("function: clamp", "function: clampp", "did you mean 'clamp'?"),
        ("operator: boundary", "operator: boundry", "did you mean 'boundary'?"),
        ("reason: at the bound both forms return the bound", "reason: equivalent", "20"),
        ("    reason:", "    count: 2\n    reason:", "expected 2 such mutants, found room.clamp:clamp:6:8:boundary:0"),
        ("    reason:", "    statement: return low\n    reason:", "none: out of date?"),
        ("equivalents:", "equivalents:" + EQUIVALENT.split("equivalents:")[1], "declared twice"),
    ],
)
def test_a_declaration_that_does_not_fit_is_told_with_its_line(
    target: Make, tmp_path: Path, old: str, new: str, told: str
) -> None:
    made = target(equivalents="same.yaml")
    assert old in EQUIVALENT
    (tmp_path / "same.yaml").write_text(EQUIVALENT.replace(old, new))
    with pytest.raises(InputError) as caught:
        population_of(made)
    assert told in str(caught.value)
    assert "same.yaml:" in str(caught.value)


def test_a_moved_line_does_not_lose_its_declaration(target: Make, tmp_path: Path) -> None:
    made = target(equivalents="same.yaml")
    before = population_of(made)
    (tmp_path / "room" / "clamp.py").write_text("# moved\n" + CLAMP)
    after = population_of(made)
    assert before.equivalent.keys() != after.equivalent.keys()
    assert list(before.equivalent.values()) == list(after.equivalent.values())


def test_functions_can_be_left_out_with_a_reason_and_a_pattern_without_use_is_told(target: Make) -> None:
    population = population_of(target(left_out={"*:unused": "nobody calls it"}))
    assert {m.function for m in population.mutants} == {"<module>", "clamp", "total"}
    with pytest.raises(InputError, match="nothing to leave out"):
        population_of(target(left_out={"*:nothing": "is not there"}))


def test_a_mutant_that_ends_its_process_is_killed_and_the_next_one_gets_another(target: Make) -> None:
    run = mutate(population_of(target(judges="clamp_judges:DEADLY")), jobs=1)
    found = {f"{f.mutant.original} -> {f.mutant.mutated}": f for f in run.findings}
    assert found["min -> max"].status is Status.KILLED
    assert (found["min -> max"].by, found["min -> max"].why) == ("process", "the process ended with 9")
    assert found["2.0 -> 4.0"].by == "judge_total"


def test_a_mutant_that_says_nothing_times_out_and_is_not_called_killed(target: Make) -> None:
    population = only(population_of(target(judges="clamp_judges:SLEEPY")), "*:other_call:*")
    run = mutate(population, patience_s=1.0)
    assert status_of(run) == {"min -> max": Status.TIMED_OUT}
    assert (run.broken, run.score_pct) == (True, 0.0)


def test_a_mutant_that_leaves_something_behind_is_found_out(target: Make) -> None:
    with pytest.raises(InputError, match="judge_shared held before the mutants and does not after them"):
        mutate(population_of(target(judges="clamp_judges:LEAKY")), jobs=1)


@pytest.mark.parametrize(("judges", "compiled"), [("PLAIN", False), ("COMPILED", True)])
def test_what_is_not_copied_runs_as_the_target_says(target: Make, judges: str, compiled: bool) -> None:
    made = target(judges=f"clamp_judges:{judges}", compiled=compiled)
    assert len(mutate(only(population_of(made), "*:negation:*")).findings) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit of memory")
def test_a_mutant_that_wants_all_memory_does_not_get_it(target: Make) -> None:
    run = mutate(only(population_of(target(judges="clamp_judges:HUNGRY")), "*:<module>:*"))
    assert {(f.status, f.by, f.why) for f in run.findings} == {(Status.KILLED, "judge_hungry", "MemoryError")}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"judges": "", "tests": ()}, "either judges or tests: found none"),
        ({"tests": ("tests",)}, "either judges or tests: found both"),
        ({"judges": "clamp_judges:WRONG"}, "judge_wrong does not hold on the code as it is"),
        ({"judges": "no_such_judges:JUDGES"}, "no_such_judges"),
        ({"judges": "clamp_judges:NONE"}, "NONE"),
        ({"modules": ("room.nothing",)}, r"room\.nothing"),
    ],
)
def test_a_target_that_is_wrong_is_told(target: Make, changes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        mutate(population_of(target(**changes)))


SUITE = """
from room.clamp import clamp, total


def test_clamp():
    assert [clamp(x, 1.0, 3.0) for x in (0.0, 2.0, 4.0)] == [1.0, 2.0, 3.0]


def test_total():
    assert total([1.0, 2.0, 4.0]) == 14.0
"""


def suite(target: Make, tmp_path: Path, text: str = SUITE) -> Target:
    made = target(judges="", tests=("tests",), tree=("room", "tests"), paths=())
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_room.py").write_text(text)
    return made


def test_a_suite_of_tests_judges_a_tree_with_one_file_changed(target: Make, tmp_path: Path) -> None:
    made = suite(target, tmp_path)
    run = mutate(only(population_of(made), "*:clamp:*:negation:*"), jobs=1)
    assert status_of(run) == {"x < low -> x >= low": Status.KILLED}
    assert run.findings[0].by == "tests/test_room.py::test_clamp"
    assert run.findings[0].why.startswith("assert ")
    survivor = mutate(only(population_of(made), "*:boundary:*"), jobs=1)
    assert status_of(survivor) == {"x < low -> x <= low": Status.SURVIVED}
    assert (tmp_path / "room" / "clamp.py").read_text() == CLAMP
    assert not (tmp_path / "room" / "__pycache__").exists()


CHILD = """
import subprocess
import sys


def test_a_process_of_its_own():
    code = "from room.clamp import clamp; print(clamp(0.0, 1.0, 3.0))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "1.0\\n"
"""


def test_a_process_that_the_tests_start_is_the_mutant_too(target: Make, tmp_path: Path) -> None:
    made = suite(target, tmp_path, CHILD)
    run = mutate(only(population_of(made), "*:clamp:*:negation:*"), jobs=1)
    assert [(f.status, f.by) for f in run.findings] == [
        (Status.KILLED, "tests/test_room.py::test_a_process_of_its_own")
    ]


def test_a_suite_that_does_not_hold_or_is_not_there_is_told(target: Make, tmp_path: Path) -> None:
    made = suite(target, tmp_path, SUITE.replace("14.0", "15.0"))
    with pytest.raises(InputError, match=r"do not hold on the code as it is: tests/test_room\.py::test_total"):
        mutate(only(population_of(made), "*:boundary:*"))
    with pytest.raises(InputError, match="no such file or folder"):
        mutate(only(population_of(replace(made, tree=("room", "nothing"))), "*:boundary:*"))


def test_the_tool_tells_score_and_exit_code(target: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "TARGETS", {"clamp": target()})
    runner = CliRunner()
    done = runner.invoke(tool.main, ["clamp", "--json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["target"]) == (1, "clamp")
    assert told["score_pct"] < 95.0
    assert runner.invoke(tool.main, ["clamp", "--least", "50"]).exit_code == 0
    assert runner.invoke(tool.main, ["clamp", "--only", "*:negation:*"]).exit_code == 0
    listed = runner.invoke(tool.main, ["--list"])
    assert listed.exit_code == 0
    assert "clamp" in listed.output
    assert "loop_exit" in listed.output
    wrong = runner.invoke(tool.main, ["klamp"])
    assert (wrong.exit_code, "did you mean 'clamp'?" in wrong.output) == (2, True)
    nothing = runner.invoke(tool.main, ["clamp", "--only", "nothing"])
    assert (nothing.exit_code, "no mutant fits" in nothing.output) == (2, True)
    assert runner.invoke(tool.main, []).exit_code == 2
