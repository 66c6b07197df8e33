"""Flip every sign of the twin, one at a time: each must show against an independent simulation or matrix filter."""

import ast
from dataclasses import replace

import twin_judges

from hil.campaign.mutate.loading import Loader
from hil.campaign.mutate.nouns import Mutant, Status
from hil.campaign.mutate.run import mutate, population_of
from tools.mutation_targets import TARGETS

TWIN = TARGETS["twin"]


def is_sign(mutant: Mutant) -> bool:
    """A plus or a minus, between two values or before one."""
    node = next(
        n for n in ast.walk(ast.parse(mutant.original)) if isinstance(n, ast.BinOp | ast.AugAssign | ast.UnaryOp)
    )
    return isinstance(node.op, ast.Add | ast.Sub | ast.USub)


def signs() -> tuple[Mutant, ...]:
    every = population_of(TWIN).mutants
    return tuple(m for m in every if m.operator in ("arithmetic", "sign") and is_sign(m))


def test_the_twin_as_it_is_passes_every_judge() -> None:
    loader = Loader(TWIN.modules)
    for judge in twin_judges.JUDGES:
        judge(loader.load())


def test_every_flipped_sign_is_noticed() -> None:
    run = mutate(replace(population_of(TWIN), mutants=signs()))
    noticed = (Status.KILLED, Status.EQUIVALENT)
    assert [f.mutant.id for f in run.findings if f.status not in noticed] == []


def test_the_signs_are_found_at_all() -> None:
    counts = {module: sum(m.module == module for m in signs()) for module in TWIN.modules}
    assert min(counts.values()) >= 10
    assert counts["hil.twin.estimator"] > 40
