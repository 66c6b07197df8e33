"""What a scenario needs is compared with the bench before anything runs; ``each: all`` judges every element."""

import json
from pathlib import Path

import pytest

from hil.assemble import problems_of
from hil.campaign.run import Options, Screen, run_all
from hil.files.shipped import shipped

SCENARIO = """
scenario: needs and each
needs: {{cells: "{cells}", faults: [plant]}}
pack: {pack}
bms: {bms}
given: {{state: STANDBY}}
steps:
  - {{at: 0 s, set: {{"shown.cell_voltage[7]": 3.5 V}}}}
  - {{at: 300 ms, mark: observed}}
expect:
  - {{id: every, always: "shown.cell_voltage[each] < {limit}", each: all}}
"""
BENCH = "bench: no plant\nquantities: {quantities}\nfaults: [stimulus, transmit, receive]\n"


def written(folder: Path, cells: str = ">= 96", limit: str = "3.6 V") -> Path:
    pack, bms = shipped("scenarios/packs/a123_96s40p.yaml"), shipped("scenarios/bms/reference.limits.yaml")
    path = folder / "needs.yaml"
    path.write_text(SCENARIO.format(pack=pack, bms=bms, cells=cells, limit=limit))
    return path


def test_a_bench_that_cannot_reach_an_injection_point_is_told_before_the_run(tmp_path: Path) -> None:
    bench = tmp_path / "bench.yaml"
    bench.write_text(BENCH.format(quantities=shipped("dbc/bench.quantities.yaml")))
    assert problems_of(written(tmp_path), None) == []
    (problem,) = problems_of(written(tmp_path), bench)
    assert "cannot inject faults at plant" in str(problem)
    assert problem.line == 3


def test_a_pack_with_too_few_cells_is_told_before_the_run(tmp_path: Path) -> None:
    (problem,) = problems_of(written(tmp_path, cells=">= 97"), None)
    assert ">= 97" in str(problem)
    assert "96 cells" in str(problem)


@pytest.mark.parametrize(("limit", "status"), [("3.6 V", "PASS"), ("3.4 V", "FAIL")])
def test_each_all_judges_every_cell(tmp_path: Path, limit: str, status: str) -> None:
    run_all([written(tmp_path, limit=limit)], Options(tmp_path / "out"), Screen(quiet=True))
    (check,) = json.loads((tmp_path / "out" / "verdicts.json").read_text())[0]["checks"]
    assert check["status"] == status, check["reason"]
    assert check["reason"].startswith("Element 7"), "the cell nearest to the limit, or over it"
