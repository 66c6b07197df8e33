"""The cell file that a kept folder of tests gives, against one kept in the tree: every line, every number."""

import re
from pathlib import Path

import pytest

from hil.analysis.fit.manifest import load_manifest
from hil.analysis.fit.pipeline import make

HERE = Path(__file__).parent
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")


def test_the_same_tests_give_the_same_file() -> None:
    """Numbers may differ by what another linear algebra library rounds otherwise, texts may not."""
    made = make(load_manifest(HERE / "fuzz" / "fit" / "fit.yaml")).text
    kept = (HERE / "fit" / "made_up.cell.yaml").read_text(encoding="utf-8")
    assert NUMBER.sub("#", made) == NUMBER.sub("#", kept)
    for line, expected in zip(made.splitlines(), kept.splitlines(), strict=True):
        numbers, wanted = ([float(n) for n in NUMBER.findall(text)] for text in (line, expected))
        assert numbers == pytest.approx(wanted, rel=0.02, abs=2e-5), expected


def test_twice_the_same_bytes() -> None:
    first, second = (make(load_manifest(HERE / "fuzz" / "fit" / "fit.yaml")).text for _ in range(2))
    assert first == second
