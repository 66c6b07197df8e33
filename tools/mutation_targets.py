"""What is mutated and who judges it, one target each: see docs/how-to/mutate.md.

A target that a test of the project holds to its score has a line in ``tests/system/test_mutation.py`` too.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from hil.campaign.mutate.nouns import Target

ROOT = str(Path(__file__).resolve().parents[1])
JUDGES = ("tests", "tests/unit")

_ALL = (
    Target(
        "twin",
        "the digital twin against an independent simulation and a filter in matrices",
        ROOT,
        ("hil.twin.model", "hil.twin.estimator", "hil.twin.step"),
        judges="twin_judges:JUDGES",
        paths=JUDGES,
    ),
)

TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _ALL})
