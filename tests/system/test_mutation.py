"""The judges of every target notice what is changed in it: kill scores, from all mutants or a sample by seed."""

import pytest

from hil.campaign.mutate import report
from hil.campaign.mutate.run import mutate, population_of
from tools.mutation_targets import TARGETS

SAMPLES = {"twin": 1500, "circuit": 200, "thermal": 0, "safety": 0, "units": 6}
"""How many mutants a test judges, 0 for all; all of every target by ``python -m tools.mutate``.

The twin's scores 98.6 % of all; one standard deviation of 1500 of them is 0.3 %, so that 95 % is no matter of luck.
"""


def test_every_target_is_held_to_its_score() -> None:
    assert TARGETS.keys() == SAMPLES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_the_judges_of_a_target_notice_what_is_changed(name: str) -> None:
    target = TARGETS[name]
    run = mutate(population_of(target), SAMPLES[name])
    assert not run.broken, report.to_text(run)
    assert run.score_pct >= target.least_pct, report.to_text(run)
