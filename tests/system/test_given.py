"""The preparation reaches every state that ``given`` knows, and a state that cannot be reached is a FAIL."""

import json
from pathlib import Path

import pytest

from hil.campaign.run import Options, Screen, run_all
from hil.files.shipped import shipped

SCENARIO = """
scenario: the preparation reaches {state}
pack: {pack}
bms: {bms}
given: {{state: {state}, soc: 50 %, temperature: {temperature}, within: 10 s}}
steps:
  - at: 100 ms
    current: 0 A
expect:
  - id: there
    always: reported.state == {state}
"""


def run_given(tmp_path: Path, state: str, temperature: str = "25 degC") -> list[dict[str, object]]:
    pack, bms = shipped("scenarios/packs/a123_96s40p.yaml"), shipped("scenarios/bms/reference.limits.yaml")
    path = tmp_path / "given.yaml"
    path.write_text(SCENARIO.format(state=state, pack=pack, bms=bms, temperature=temperature))
    run_all([path], Options(tmp_path / "out"), Screen(quiet=True))
    written = json.loads((tmp_path / "out" / "verdicts.json").read_text())
    return list(written[0]["checks"])


@pytest.mark.parametrize("state", ["STANDBY", "PRECHARGE", "NORMAL", "CHARGE", "ERROR"])
def test_the_preparation_reaches(state: str, tmp_path: Path) -> None:
    (check,) = run_given(tmp_path, state)
    assert (check["id"], check["status"]) == ("there", "PASS"), check["reason"]


def test_a_state_that_is_never_reached_is_a_fail(tmp_path: Path) -> None:
    checks = run_given(tmp_path, "CHARGE", temperature="-30 degC")
    assert [c["status"] for c in checks if c["id"] == "given"] == ["FAIL"]
