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
        "the digital twin against the cell's laws, an independent simulation and a filter in matrices",
        ROOT,
        (
            "hil.twin.tables",
            "hil.twin.cells",
            "hil.twin.pack",
            "hil.twin.estimator",
            "hil.twin.capacity",
            "hil.twin.resistance",
            "hil.twin.health",
            "hil.twin.deltas",
            "hil.twin.warning",
            "hil.twin.heat",
            "hil.twin.watch",
            "hil.twin.step",
        ),
        judges="twin_judges:JUDGES",
        paths=JUDGES,
        equivalents="tests/twin_equivalents.yaml",
    ),
    Target(
        "circuit",
        "the plant's high-voltage circuit against Kirchhoff and small steps",
        ROOT,
        ("hil.plant.circuit",),
        judges="circuit_judges:JUDGES",
        paths=JUDGES,
        equivalents="tests/circuit_equivalents.yaml",
    ),
    Target(
        "thermal",
        "the plant's heat chain against its balance and its matrix",
        ROOT,
        ("hil.plant.thermal",),
        judges="thermal_judges:JUDGES",
        paths=JUDGES,
    ),
    Target(
        "safety",
        "the limiter: what may go out",
        ROOT,
        ("hil.safety",),
        judges="safety_judges:JUDGES",
        paths=JUDGES,
        equivalents="tests/safety_equivalents.yaml",
    ),
    Target(
        "units",
        "quantities as text, by their tests",
        ROOT,
        ("hil.units",),
        tests=("tests/unit/test_units.py",),
        least_pct=80.0,
    ),
)

TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _ALL})
