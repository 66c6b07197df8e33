"""Tests as judges: which are taken, in which cases, and that they see the mutant."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.campaign.mutate.judging import Panel
from hil.campaign.mutate.loading import Loader
from hil.campaign.mutate.nouns import Status
from hil.campaign.mutate.sites import mutants_of
from hil.campaign.mutate.suites import judges_of
from hil.errors import InputError

CODE = "def twice(x):\n    return 2.0 * x\n"
TESTS = """
import pytest
from suite_room import twice

def helper(): ...

def test_nothing():
    twice(0.0)

@pytest.mark.parametrize(("x", "y"), [(1.0, 2.0), pytest.param(0.0, 0.0, id="zero")])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cases(x, y, sign):
    assert twice(sign * x) == sign * y

def test_fixture(tmp_path):
    raise AssertionError("is not taken")
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "suite_room.py").write_text(CODE)
    (tmp_path / "suite_tests.py").write_text(TESTS)
    yield
    for name in ("suite_room", "suite_tests"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("suite")
def test_every_case_of_every_test_without_fixtures_judges_the_copies() -> None:
    judges = judges_of("suite_tests")
    cases = [f"suite_tests::test_cases[{k}]" for k in range(4)]
    assert [judge.__name__ for judge in judges] == ["suite_tests::test_nothing", *cases]
    panel = Panel(Loader(["suite_room", "suite_tests"]), judges)
    (halved,) = (m for m in mutants_of("suite_room", CODE) if m.operator == "arithmetic")
    found = panel.finding(halved)
    assert (found.status, found.by) == (Status.KILLED, "suite_tests::test_nothing")  # 2 / 0
    (zero,) = (m for m in mutants_of("suite_room", CODE) if m.operator == "return_zero")
    assert panel.finding(zero).by == "suite_tests::test_cases[0]"


@pytest.mark.usefixtures("suite")
def test_a_test_can_be_left_out_if_it_is_there() -> None:
    assert len(judges_of("suite_tests", without=frozenset({"test_cases"}))) == 1
    with pytest.raises(InputError, match="test_gone"):
        judges_of("suite_tests", without=frozenset({"test_gone"}))
