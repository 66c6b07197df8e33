"""Callables as judges: who is asked, in which order, and what counts as noticing."""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.campaign.mutate import probes
from hil.campaign.mutate.judging import LOADING, Panel
from hil.campaign.mutate.loading import Loader
from hil.campaign.mutate.nouns import Finding, Mutant, Status
from hil.campaign.mutate.sites import mutants_of
from hil.errors import InputError

SOURCE = '''"""A little room."""
START = 2.0


def up(n):
    """Counts up."""
    x = START
    while x < n:
        x += 1.0
    return x


def larger(a, b):
    if a > b:
        return a
    return b


def never(a):
    return a + 1.0
'''
Judge = Callable[[Any], object]
Make = Callable[..., Panel]


@pytest.fixture
def panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the panel of some judges on the source above, or another one."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(*judges: Judge, source: str = SOURCE) -> Panel:
        (tmp_path / "room.py").write_text(source)
        return Panel(Loader(["room"]), judges)

    yield made
    sys.modules.pop("room", None)


def mutant(text: str, source: str = SOURCE) -> Mutant:
    """The one mutant whose change reads ``original -> mutated``."""
    (found,) = (m for m in mutants_of("room", source) if f"{m.original} -> {m.mutated}" == text)
    return found


def judge_up(copies: Any) -> None:
    assert copies.room.up(3.5) == 4.0


def judge_larger(copies: Any) -> None:
    assert copies.room.larger(1.0, 2.0) == copies.room.larger(2.0, 1.0) == 2.0


def test_a_judge_that_notices_is_named_and_the_rest_is_not_asked(panel: Make) -> None:
    asked: list[str] = []

    def first(copies: Any) -> None:
        asked.append("first")
        copies.room.larger(1.0, 1.0)

    def second(copies: Any) -> None:
        asked.append("second")
        judge_larger(copies)

    def third(copies: Any) -> None:
        asked.append("third")
        judge_larger(copies)

    made = panel(first, second, third)
    asked.clear()
    found = made.finding(mutant("a > b -> a <= b"))
    assert (found.status, found.by) == (Status.KILLED, "second")
    assert found.why.startswith("AssertionError")
    assert asked == ["first", "second"]


def test_only_judges_that_execute_the_statement_are_asked(panel: Make) -> None:
    asked: list[str] = []

    def judge_other(copies: Any) -> None:
        asked.append("other")
        judge_up(copies)

    made = panel(judge_other, judge_larger)
    asked.clear()
    assert made.finding(mutant("a > b -> a <= b")).by == "judge_larger"
    assert asked == []
    assert made.finding(mutant("x += 1.0 -> x -= 1.0")).by == "judge_other"
    assert made.finding(mutant("a + 1.0 -> a - 1.0")).status is Status.UNREACHED


def test_what_nobody_notices_survives(panel: Make) -> None:
    assert panel(judge_larger).finding(mutant("a > b -> a >= b")) == Finding(mutant("a > b -> a >= b"), Status.SURVIVED)


def test_an_endless_loop_ends_by_count_at_the_same_place_each_time(panel: Make) -> None:
    made = panel(judge_up)
    found = made.finding(mutant("x += 1.0 -> x -= 1.0"))
    assert (found.status, found.by, found.why) == (Status.KILLED, "judge_up", "Endless")
    assert made.finding(mutant("x += 1.0 -> x -= 1.0")) == found
    assert made.judges[0].ticks == 3  # a call and two turns
    assert probes.limit_of(3) == probes.FACTOR * 3 + probes.SPARE


def test_a_judge_that_never_stops_asking_the_copy_ends_too(panel: Make) -> None:
    def judge_patient(copies: Any) -> None:
        while copies.room.larger(1.0, 2.0) != 2.0:
            pass

    assert panel(judge_patient).finding(mutant("a > b -> a <= b")).why == "Endless"


@pytest.mark.parametrize("swallow", ["Exception", "BaseException"])
def test_code_that_swallows_exceptions_cannot_hide_an_endless_loop(panel: Make, swallow: str) -> None:
    source = f"""
def f(n):
    x = 0
    try:
        while x < n:
            x += 1
    except {swallow}:
        pass
    return 3
"""

    def judge(copies: Any) -> None:
        assert copies.room.f(3) == 3

    found = panel(judge, source=source).finding(mutant("x += 1 -> x -= 1", source))
    assert (found.status, found.by) == (Status.KILLED, "judge")
    assert found.why == ("Endless" if swallow == "Exception" else "went on without end")


def test_recursion_and_comprehensions_without_end_are_found(panel: Make) -> None:
    source = """
from itertools import count, takewhile
def down(n):
    return 0 if n <= 0 else down(n - 1)
def many(n):
    return sum(1 for k in takewhile(lambda k: k < n, count()))
"""

    def judge(copies: Any) -> None:
        assert copies.room.down(5) == 0
        assert copies.room.many(5) == 5

    made = panel(judge, source=source)
    assert made.finding(mutant("n - 1 -> n + 1", source)).why.startswith("RecursionError")
    assert made.finding(mutant("k < n -> k >= n", source)).status is Status.KILLED
    endless = mutant("k < n -> k >= n", source).applied(source).replace("k >= n", "k >= 0 * n")
    loader = Loader(["room"])
    loader.meter.begin(1000)
    with pytest.raises(probes.Endless):
        loader.load({"room": endless}).room.many(5)


def test_a_mutant_that_cannot_be_loaded_is_killed_by_loading(panel: Make) -> None:
    source = "A = (1, 2)\nB = A[1]\ndef f():\n    return B\n"

    def judge(copies: Any) -> None:
        assert copies.room.f() == 2

    found = panel(judge, source=source).finding(mutant("1 -> 2", source.replace("(1, 2)", "(3, 2)")))
    assert (found.status, found.by) == (Status.KILLED, LOADING)
    assert found.why.startswith("IndexError")


def test_a_module_constant_goes_to_every_judge(panel: Make) -> None:
    def judge_nothing(copies: Any) -> None:
        copies.room.larger(0.0, 0.0)

    assert panel(judge_nothing, judge_up).finding(mutant("2.0 -> 0.0")).status is Status.SURVIVED

    def judge_start(copies: Any) -> None:
        assert copies.room.START == 2.0

    assert panel(judge_nothing, judge_start).finding(mutant("2.0 -> 0.0")).by == "judge_start"


def test_what_runs_while_loading_goes_to_every_judge(panel: Make) -> None:
    source = "def made():\n    return [k + 1 for k in range(3)]\nTABLE = made()\ndef at(k):\n    return TABLE[k]\n"

    def judge_at(copies: Any) -> None:
        assert copies.room.at(1) == 2

    assert panel(judge_at, source=source).finding(mutant("k + 1 -> (k - 1)", source)).by == "judge_at"


def test_what_one_judge_caches_the_next_is_seen_to_execute(panel: Make) -> None:
    source = "from functools import cache\n@cache\ndef f(x):\n    return x + 1\n"

    def judge_first(copies: Any) -> None:
        copies.room.f(1)

    def judge_second(copies: Any) -> None:
        assert copies.room.f(1) == 2

    assert (
        panel(judge_first, judge_second, source=source).finding(mutant("x + 1 -> x - 1", source)).by == "judge_second"
    )


def test_not_a_number_and_warnings_count_only_if_a_judge_minds(panel: Make) -> None:
    source = "import numpy as np\ndef f(x):\n    return np.float64(0.0 * x) / (x + 2.0)\n"

    def judge_indulgent(copies: Any) -> None:
        copies.room.f(2.0)

    def judge_strict(copies: Any) -> None:
        assert copies.room.f(2.0) == 0.0

    divided = mutant("x + 2.0 -> x - 2.0", source)  # 0 / 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert panel(judge_indulgent, source=source).finding(divided).status is Status.SURVIVED
        assert panel(judge_strict, source=source).finding(divided).by == "judge_strict"


def test_a_judge_that_does_not_hold_on_the_healthy_code_is_refused(panel: Make) -> None:
    def judge_wrong(copies: Any) -> None:
        raise ValueError("two\nlines")

    with pytest.raises(InputError, match=r"judge_wrong does not hold on the code as it is: ValueError: two$"):
        panel(judge_up, judge_wrong)
    with pytest.raises(InputError, match="name of its own"):
        panel(judge_up, judge_up)
    with pytest.raises(InputError, match="at least one"):
        panel()


def test_what_pytest_raises_counts_and_addresses_are_left_out(panel: Make) -> None:
    def judge(copies: Any) -> None:
        if copies.room.larger(1.0, 2.0) != 2.0:
            pytest.fail(f"an {object()}")

    found = panel(judge).finding(mutant("a > b -> a <= b"))
    assert (found.status, found.why) == (Status.KILLED, "Failed: an <object object at 0x...>")


def test_hits_are_the_statements_of_functions_that_ran(panel: Make) -> None:
    made = panel(judge_up, judge_larger)
    assert made.judges[0].reached == {("room", line) for line in (7, 8, 9, 10)}
    assert made.judges[1].reached == {("room", line) for line in (14, 15, 16)}


def test_probes_leave_docstrings_results_and_tracebacks_as_they_are(panel: Make) -> None:
    panel(judge_up)
    loader = Loader(["room"])
    hits: dict[str, set[int]] = {"room": set()}
    for copies in (loader.load(), loader.load(hits=hits)):
        assert copies.room.up.__doc__ == "Counts up."
        assert copies.room.__doc__ == "A little room."
        with pytest.raises(TypeError) as caught:
            copies.room.never("a")
        assert caught.traceback[-1].lineno + 1 == 20
