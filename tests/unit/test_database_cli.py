"""``hil dbc``: what it prints, its JSON and its exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.cli import dbc  # noqa: F401  # registers the command
from hil.cli.group import main

GOOD = 'VERSION ""\nBU_: A B\nBO_ 1 M: 8 A\n SG_ X M : 0|8@1+ (1,0) [0|1] "" B\n SG_ S m0 : 8|8@1+ (1,0) [0|1] "" B\n'
SENT = """BA_DEF_ BO_ "GenMsgCycleTime" INT 0 1000;
BA_DEF_ "Baudrate" INT 0 1000000;
BA_DEF_DEF_ "GenMsgCycleTime" 1;
BA_DEF_DEF_ "Baudrate" 500000;
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["dbc", *map(str, arguments)])


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.dbc"
    path.write_text(GOOD + SENT)
    return path


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.dbc"
    path.write_text(GOOD + 'VAL_ 1 T 0 "x" ;\n')
    return path


def test_the_content_of_a_file_is_counted(good: Path) -> None:
    done = run(good)
    assert done.exit_code == 0
    assert f"{good}: 1 messages (1 multiplexed, 0 extended, 0 CAN FD, 1 cyclic), 2 signals" in done.output
    assert "500000 bit/s, bus load at most 27.0 %, nodes: A, B" in done.output  # 135 bits a ms
    assert "nothing to repair" in done.output


def test_a_repair_is_told_with_file_and_line_and_passes_unless_strict(odd: Path) -> None:
    done = run(odd)
    assert done.exit_code == 0
    assert f"{odd}:6:1: unused VAL_ of a signal that does not exist: M.T; left out" in done.output
    assert "  1 repair\n" in done.output
    assert "bit rate not said, bus load not known" in done.output
    strict = run("--strict", odd)
    assert strict.exit_code == 2
    assert "refused: 1 repair needed" in strict.stderr


def test_one_bad_file_does_not_hide_the_others(good: Path, odd: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.dbc").write_text("BO_ oops")
    done = run("--json", tmp_path / "bad.dbc", good, odd, tmp_path / "absent.dbc")
    assert done.exit_code == 2
    told = json.loads(done.stdout)
    assert [one["exit"] for one in told["files"]] == [2, 0, 0, 2]
    assert [one["content"] is None for one in told["files"]] == [True, False, False, True]
    assert [len(one["repairs"]) for one in told["files"]] == [0, 0, 1, 0]
    assert told["files"][0]["errors"][0]["line"] == 1
    assert told["files"][1]["content"] == {
        "messages": 1,
        "signals": 2,
        "multiplexed": 1,
        "extended": 0,
        "fd": 0,
        "cyclic": 1,
        "nodes": ["A", "B"],
        "bit_rate": 500_000,
        "worst_load": pytest.approx(0.27),
    }


def test_strict_in_json_marks_the_file(odd: Path) -> None:
    done = run("--strict", "--json", odd)
    assert (done.exit_code, json.loads(done.stdout)["files"][0]["exit"]) == (2, 2)
