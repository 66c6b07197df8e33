"""Steps, ramps, profiles and waits as a tick follows them; every expected number is reckoned by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import InputError
from hil.files.shipped import shipped
from hil.kernel import Rows
from hil.scenario import lowering
from hil.scenario.cases import expand
from hil.scenario.loader import load
from hil.scenario.timeline import TimelineParams, TimelineState, at
from hil.tick import COLUMNS

TICK_NS = 10_000_000
SENT = ["VEH_Request", "GW_Wake"]
HEAD = """
scenario: a timeline
pack: {pack}
bms: {bms}
given: {{state: STANDBY, within: 1 s}}
steps:
{steps}
expect:
  - always: measured.pack_current < 500 A
"""


class Line:
    """A timeline whose preparation is met at once, so that scenario time 0 is tick 1."""

    def __init__(self, folder: Path, steps: str) -> None:
        path = folder / "scenario.yaml"
        pack, bms = shipped("scenarios/packs/a123_96s40p.yaml"), shipped("scenarios/bms/reference.limits.yaml")
        path.write_text(HEAD.format(pack=pack, bms=bms, steps=steps))
        self.loaded = load(path)
        (case,) = expand(self.loaded.model, self.loaded.pack.series)
        made = lowering.lowered(self.loaded, case, {}, SENT, {})
        self.params: Rows[TimelineParams] = made.timeline
        self.states: Rows[TimelineState] = lowering.start_state()
        self.row = np.full(COLUMNS, np.nan)
        self.k = 0
        self.tick()
        self.set("reported.state", 1.0)

    def column(self, name: str) -> int:
        q = self.loaded.table.find(name)
        assert q is not None
        return q.start

    def set(self, name: str, value: float) -> None:
        self.row[self.column(name)] = value

    def get(self, name: str) -> float:
        return float(self.row[self.column(name)])

    def tick(self, n: int = 1) -> None:
        for _ in range(n):
            at(np.asarray(self.states)[0], np.asarray(self.params)[0], self.k * TICK_NS, self.row)
            self.k += 1

    @property
    def state(self) -> Any:
        return np.asarray(self.states)[0]


def test_a_set_acts_at_its_time_and_a_release_gives_the_signal_back(tmp_path: Path) -> None:
    line = Line(
        tmp_path,
        "  - {at: 20 ms, set: {shown.supply: 9 V}}\n  - {at: 50 ms, release: [shown.supply]}",
    )
    line.tick(2)  # scenario times 0 and 10 ms
    assert np.isnan(line.get("intent.supply"))
    line.tick()
    assert line.get("intent.supply") == 9.0
    line.tick(3)
    assert np.isnan(line.get("intent.supply"))
    assert line.state["done"] == 1


def test_a_ramp_starts_where_the_shown_value_is_and_ends_exactly_at_its_target(tmp_path: Path) -> None:
    line = Line(tmp_path, '  - ramp: {signal: "shown.cell_voltage[3]", to: 3.4 V, rate: 2 V/s}')
    line.row[line.column("shown.cell_voltage") + 3] = 3.3
    seen = []
    for _ in range(8):
        line.tick()
        seen.append(float(line.row[line.column("intent.cell_voltage") + 3]))
    assert seen == pytest.approx([3.3, 3.32, 3.34, 3.36, 3.38, 3.4, 3.4, 3.4])
    assert seen[-1] == 3.4
    assert np.isnan(line.row[line.column("intent.cell_voltage") + 4])


def test_a_send_asks_for_its_message_in_one_tick_and_only_there(tmp_path: Path) -> None:
    line = Line(tmp_path, "  - {at: 20 ms, send: GW_Wake}\n  - {at: 25 ms, send: VEH_Request}")
    asked = []
    for _ in range(5):
        line.tick()
        asked.append(np.flatnonzero(line.state["asked"]).tolist())
    assert asked == [[], [], [1], [0], []]
    assert line.state["done"] == 1


def test_a_message_the_bench_does_not_send_is_told_with_its_place_and_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Line(tmp_path, "  - {at: 20 ms, send: GW_Wakes}")
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (7, "no such message to send")
    assert (problem.expected, problem.nearest) == ("a message the bench sends", "GW_Wake")


def test_a_wait_holds_the_next_steps_and_they_count_from_where_it_was_met(tmp_path: Path) -> None:
    line = Line(
        tmp_path,
        "  - wait: {until: reported.state == NORMAL, within: 1 s}\n  - {at: 10 ms, set: {shown.supply: 8 V}}",
    )
    line.tick(20)
    assert np.isnan(line.get("intent.supply"))
    line.set("reported.state", 3.0)
    line.tick()
    assert np.isnan(line.get("intent.supply"))
    line.tick()
    assert line.get("intent.supply") == 8.0
    assert line.get("time.scenario") == pytest.approx(0.21)


def test_a_wait_that_is_not_met_in_its_time_expires_and_is_remembered(tmp_path: Path) -> None:
    line = Line(tmp_path, "  - {at: 30 ms, wait: {until: reported.state == NORMAL, within: 50 ms}}")
    line.tick(8)  # up to 70 ms
    assert line.state["expired"] == -1
    line.tick()
    assert line.state["expired"] == 1
    assert line.state["done"] == 0


@given(
    samples=st.lists(st.floats(-200.0, 200.0), min_size=1, max_size=12),
    period=st.sampled_from(["4 ms", "10 ms", "25 ms", "1 s"]),
    scale=st.sampled_from([1.0, -0.5, 20.0]),
)
def test_a_profile_keeps_its_charge_whatever_its_period(
    samples: list[float], period: str, scale: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("profile")
    (folder / "p.csv").write_text("# amperes\n" + "\n".join(repr(x) for x in samples) + "\n")
    line = Line(folder, f"  - current: {{play: p.csv, scale: {scale}, period: {period}}}")
    period_s = {"4 ms": 0.004, "10 ms": 0.01, "25 ms": 0.025, "1 s": 1.0}[period]
    charge = 0.0
    for _ in range(int(len(samples) * period_s / 0.01) + 3):
        line.tick()
        charge += line.get("intent.load_current") * 0.01
    assert charge == pytest.approx(sum(samples) * scale * period_s, abs=1e-6)
    assert line.get("intent.load_current") == pytest.approx(0.0, abs=1e-9)
    assert line.state["done"] == 1
