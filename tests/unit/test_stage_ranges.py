"""Each stage of the bench half writes only its own range of the row: everything else is poisoned and must stay, bit by bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil import compare, engine, observe, plan, safety
from hil.assemble import assemble
from hil.checks import automaton
from hil.codec import decode, restbus
from hil.faults import points
from hil.image import QUANTITIES, Table
from hil.plant import pack
from hil.scenario import timeline
from hil.scenario.loader import load
from hil.scenario.plugged import load_bench
from hil.twin import step as twin

ROOT = Path(__file__).parents[2]
TICKS = 450  # the prepared BMS is in NORMAL, contactors closed, frames of every kind have come

Stage = Callable[[Any, Any, Any, int, Any], object]

STAGES: dict[str, tuple[tuple[str, ...], Stage]] = {
    "decode": (("reported",), lambda s, p, link, t, row: decode.decode(s["codec"], p["codec"], t, link["rx"], row)),
    "observe": (("measured",), lambda s, p, link, t, row: observe.step(s["observe"], p["observe"], t, link, row)),
    "timeline": (("intent", "time"), lambda s, p, link, t, row: timeline.at(s["timeline"], p["timeline"], t, row)),
    "prepare": (("plant_in",), lambda s, p, link, t, row: pack.prepare(s["plant"], p["plant"], row)),
    "plant": (
        ("truth",),
        lambda s, p, link, t, row: pack.step(
            s["plant"], p["plant"], link["coils"], link["bleed"], link["poles"], t, row
        ),
    ),
    "twin": (("twin",), lambda s, p, link, t, row: twin.step(s["twin"], p["twin"], t, row)),
    "compare": (("residual",), lambda s, p, link, t, row: compare.step(s["compare"], p["compare"], t, row)),
    "plan": (("command",), lambda s, p, link, t, row: plan.step(p["plan"], row)),
    "faults": (("command",), lambda s, p, link, t, row: points.on_columns(s["faults"], p["faults"], 2, t, row)),
    "restbus": (("restbus",), lambda s, p, link, t, row: restbus.step(s["restbus"], p["restbus"], t, row, link["tx"])),
    "safety": (("shown",), lambda s, p, link, t, row: safety.limit(s["safety"], p["safety"], t, row, link)),
    "checks": ((), lambda s, p, link, t, row: automaton.step(s["checks"], p["checks"], t, row)),
}
WHOLE = ("observe", "prepare", "plant", "twin", "plan", "safety")  # set every column of their range in every tick


@pytest.fixture(scope="module")
def midway(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any, Table, int]:
    """State, Params and Link in the middle of a run, the table and the instant of the next tick."""
    loaded = load(ROOT / "scenarios" / "sense_wire_open.yaml")
    record = tmp_path_factory.mktemp("ranges") / "record.mcap"
    made = assemble(loaded, loaded.cases[1], load_bench(None), record, "virtual", 1.0, ())
    rig = replace(made.rig, duration_ns=TICKS * made.rig.dt_ns)
    done = engine.run(rig)
    assert done.ending is engine.Ending.DURATION
    return (
        np.asarray(rig.states),
        np.asarray(rig.fixed),
        np.asarray(rig.links),
        loaded.table,
        done.t_end_ns + rig.dt_ns,
    )


def columns_of(table: Table, ranges: tuple[str, ...]) -> np.ndarray:
    mine = np.zeros(table.columns, dtype=bool)
    for q in table.quantities:
        if q.name.split(".")[0] in ranges:
            mine[q.start : q.start + q.count] = True
            if q.time_start >= 0:
                mine[q.time_start : q.time_start + q.time_count] = True
    return mine


def after(midway: tuple[Any, Any, Any, Table, int], name: str, row: np.ndarray) -> np.ndarray:
    states, fixed, links, _, t_ns = midway
    state, link = states.copy(), links.copy()
    out = row.copy()
    STAGES[name][1](state[0], fixed[0], link[0], t_ns, out)
    return out


def poisoned(midway: tuple[Any, Any, Any, Table, int], seed: int) -> np.ndarray:
    """A row in which no column holds what any stage would write there; magnitudes stay plausible."""
    table = midway[3]
    row = np.random.default_rng(seed).uniform(2.5, 3.9, len(midway[0][0]["row"]))
    row[np.random.default_rng(seed + 1).random(len(row)) < 0.05] = np.nan
    assert len(row) >= table.columns
    return row


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_writes_nothing_outside_its_range(
    name: str, seed: int, midway: tuple[Any, Any, Any, Table, int]
) -> None:
    table = midway[3]
    before = poisoned(midway, seed)
    out = after(midway, name, before)
    changed = before.view(np.int64) != out.view(np.int64)
    mine = np.zeros(len(before), dtype=bool)
    mine[: table.columns] = columns_of(table, STAGES[name][0])
    labels = table.labels()
    assert [labels[i] if i < table.columns else i for i in np.flatnonzero(changed & ~mine)] == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_stage_sets_every_column_of_its_range(name: str, midway: tuple[Any, Any, Any, Table, int]) -> None:
    table = midway[3]
    before = midway[0][0]["row"].copy()
    mine = columns_of(table, STAGES[name][0])
    before[: table.columns][mine] = -12345.678
    out = after(midway, name, before)
    left = np.flatnonzero(mine & (out[: table.columns] == -12345.678))
    assert [table.labels()[i] for i in left] == []


def test_together_the_stages_own_every_column() -> None:
    ranges = {r for wanted, _ in STAGES.values() for r in wanted}
    assert {line.name.split(".")[0] for line in QUANTITIES} == ranges
