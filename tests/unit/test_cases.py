"""Parameters become cases, and not more of them than anybody means."""

from pathlib import Path

import pytest

from hil.errors import InputError
from hil.files import load_model
from hil.scenario.cases import MOST_CASES, expand
from hil.scenario.schema import Scenario

TEXT = """\
scenario: many
pack: pack.yaml
bms: limits.yaml
params:
  a: [{a}]
  b: [{b}]
  cell: {{each: all}}
steps:
  - at: 0 s
    mark: $a $b $cell
expect: []
"""


def scenario(folder: Path, a: int, b: int) -> Path:
    path = folder / "many.yaml"
    a_text, b_text = (", ".join(str(i) for i in range(n)) for n in (a, b))
    path.write_text(TEXT.format(a=a_text, b=b_text))
    return path


def test_the_cases_are_the_product_in_file_order(tmp_path: Path) -> None:
    model, document = load_model(scenario(tmp_path, 2, 1), Scenario)
    ids = [case.id for case in expand(model, 2, document)]
    assert ids == ["a=0,b=0,cell=0", "a=0,b=0,cell=1", "a=1,b=0,cell=0", "a=1,b=0,cell=1"]


def test_more_cases_than_the_bound_are_refused_with_their_line(tmp_path: Path) -> None:
    model, document = load_model(scenario(tmp_path, 100, 100), Scenario)
    assert len(expand(model, MOST_CASES // 10_000, document)) == MOST_CASES
    with pytest.raises(InputError, match=r"many\.yaml:4:1: too many .* at most 100000 .*100 \* 100 \* 11 cases"):
        expand(model, 11, document)
