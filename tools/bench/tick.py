"""How fast one tick is, with everything on: plant, twin, bus, reference BMS, checks and recording.

Method. A drive scenario is assembled exactly as ``hil run`` does it and run by ``hil.engine.run`` in virtual time, its
record written to a temporary folder. ``us_per_tick`` is the wall time of the whole run (opening the bench and finishing
the record included) over its ticks: every row recorded for ``us_per_tick``, every tenth for ``us_per_tick_policy``;
the median of ``--repeat`` runs, all of them in ``runs_us`` and ``runs_policy_us``. A short run before it compiles and
warms; it is not counted. ``times_real_time`` is the tick's length over that time.

``stages_us`` comes from further runs in which each stage is a call of its own, in the order of the tick and on the live
records, timed around the call; the mean cost of calling an empty kernel with the same arguments is taken off. Written
out one by one, the stages lose what the compiler gains by seeing them together, so that their sum may be more than
``us_per_tick``. The run must leave the same row as the engine's own; the tool stops if it does not.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from hil import compare, engine, observe, plan, safety  # noqa: E402
from hil.assemble import Assembled, assemble  # noqa: E402
from hil.checks import automaton  # noqa: E402
from hil.codec import decode, restbus  # noqa: E402
from hil.engine import PLANT, RECEIVE, STIMULUS, TRANSMIT, Params, State  # noqa: E402
from hil.faults import points  # noqa: E402
from hil.kernel import Rows, kernel  # noqa: E402
from hil.plant import pack  # noqa: E402
from hil.scenario import timeline  # noqa: E402
from hil.scenario.loader import Loaded, load  # noqa: E402
from hil.scenario.plugged import Plugged, load_bench  # noqa: E402
from hil.scenario.schema import Record  # noqa: E402
from hil.tick import Link  # noqa: E402
from hil.twin import step as twin  # noqa: E402

WARM_TICKS = 200
POLICY_EVERY = 10


@kernel
def _empty(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    return k


@kernel
def _clock(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    row, q = s[0].row, p[0]
    row[q.col_time_run] = k * q.dt_ns * 1e-9
    row[q.col_time_lateness] = 0.0
    row[q.col_time_frames_lost] = links[0].rx.lost
    return 0


@kernel
def _receive(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    points.on_frames(s[0].faults, p[0].faults, RECEIVE, k * p[0].dt_ns, links[0].rx)
    return 0


@kernel
def _decode(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    decode.decode(s[0].codec, p[0].codec, k * p[0].dt_ns, links[0].rx, s[0].row)
    return 0


@kernel
def _observe(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    observe.step(s[0].observe, p[0].observe, k * p[0].dt_ns, links[0], s[0].row)
    return 0


@kernel
def _timeline(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    stepped = timeline.at(s[0].timeline, p[0].timeline, k * p[0].dt_ns, s[0].row)
    points.schedule(s[0].faults, p[0].faults, s[0].timeline.group_t_ns)
    return 1 if stepped > 0 else 0


@kernel
def _plant(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    t_ns, link, row = k * p[0].dt_ns, links[0], s[0].row
    pack.prepare(s[0].plant, p[0].plant, row)
    points.on_columns(s[0].faults, p[0].faults, PLANT, t_ns, row)
    pack.step(s[0].plant, p[0].plant, link.coils, link.bleed, link.poles, t_ns, row)
    return 0


@kernel
def _twin(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    twin.step(s[0].twin, p[0].twin, k * p[0].dt_ns, s[0].row)
    return 0


@kernel
def _compare(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    compare.step(s[0].compare, p[0].compare, k * p[0].dt_ns, s[0].row)
    return 0


@kernel
def _plan(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    plan.step(p[0].plan, s[0].row)
    points.on_columns(s[0].faults, p[0].faults, STIMULUS, k * p[0].dt_ns, s[0].row)
    return 0


@kernel
def _restbus(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    t_ns, link = k * p[0].dt_ns, links[0]
    link.tx.n = 0
    restbus.hear(s[0].restbus, p[0].restbus, link.rx)
    restbus.step(s[0].restbus, p[0].restbus, t_ns, s[0].row, link.tx)
    points.on_frames(s[0].faults, p[0].faults, TRANSMIT, t_ns, link.tx)
    return 0


@kernel
def _safety(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    return safety.limit(s[0].safety, p[0].safety, k * p[0].dt_ns, s[0].row, links[0])


@kernel
def _checks(s: Rows[State], p: Rows[Params], links: Rows[Link], k: int) -> int:
    return automaton.step(s[0].checks, p[0].checks, k * p[0].dt_ns, s[0].row)


STAGES: tuple[tuple[str, Callable[..., int]], ...] = (
    ("clock columns", _clock),
    ("faults receive", _receive),
    ("codec decode", _decode),
    ("observe", _observe),
    ("timeline", _timeline),
    ("plant", _plant),
    ("twin", _twin),
    ("compare", _compare),
    ("plan", _plan),
    ("restbus", _restbus),
    ("safety", _safety),
    ("checks", _checks),
)


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is measured: a scenario's first case on a bench, its records in ``folder``."""

    loaded: Loaded
    plugged: Plugged
    folder: Path
    ticks: int

    def assembled(self, every: int, ticks: int) -> Assembled:
        """A fresh run of at most ``ticks`` ticks that keeps every Nth row."""
        model = self.loaded.model.model_copy(update={"record": Record(every=every)})
        loaded = dataclasses.replace(self.loaded, model=model)
        record = self.folder / "record.mcap"
        made = assemble(loaded, loaded.cases[0], self.plugged, record, "virtual", 1.0, ())
        longest = min(made.rig.duration_ns, (ticks - 1) * made.rig.dt_ns)
        return dataclasses.replace(made, rig=dataclasses.replace(made.rig, duration_ns=longest))


def whole(subject: Subject, every: int, ticks: int) -> tuple[float, int, Any]:
    """One run by the engine: microseconds a tick, ticks, and the last row."""
    made = subject.assembled(every, ticks)
    began = perf_counter_ns()
    ended = engine.run(made.rig)
    spent = perf_counter_ns() - began
    return spent / ended.ticks * 1e-3, ended.ticks, np.asarray(made.rig.states)[0]["row"].copy()


def by_stage(subject: Subject, ticks: int) -> tuple[dict[str, float], Any]:
    """One run with each stage called alone: microseconds a tick of each, and the last row."""
    rig = subject.assembled(1, ticks).rig
    calls = [*STAGES, ("", _empty)]
    spent = [0] * len(calls)
    dut_ns = sink_ns = 0
    row = np.asarray(rig.states)[0]["row"]
    rig.bench.open()
    for k in range(ticks):
        t_ns = k * rig.dt_ns
        began = perf_counter_ns()
        rig.bench.read(t_ns, rig.links)
        dut_ns += perf_counter_ns() - began
        for i, (_, stage) in enumerate(calls):
            began = perf_counter_ns()
            stage(rig.states, rig.fixed, rig.links, k)
            spent[i] += perf_counter_ns() - began
        rig.bench.write(t_ns, rig.links)
        began = perf_counter_ns()
        rig.sink.put(t_ns, row, rig.links)
        sink_ns += perf_counter_ns() - began
    rig.bench.make_safe()
    rig.sink.close()
    cost = spent.pop()
    out = {name: max(0.0, (s - cost) / ticks * 1e-3) for (name, _), s in zip(STAGES, spent, strict=True)}
    out["DUT half (bus, harness, BMS, instruments)"] = dut_ns / ticks * 1e-3
    out["record every row"] = sink_ns / ticks * 1e-3
    return {name: round(us, 3) for name, us in out.items()}, row.copy()


def measure(subject: Subject, repeat: int) -> dict[str, Any]:
    """Everything the tool prints."""
    whole(subject, 1, min(WARM_TICKS, subject.ticks))
    whole(subject, POLICY_EVERY, min(WARM_TICKS, subject.ticks))
    by_stage(subject, min(WARM_TICKS, subject.ticks))
    full = [whole(subject, 1, subject.ticks) for _ in range(repeat)]
    policy = [whole(subject, POLICY_EVERY, subject.ticks) for _ in range(repeat)]
    ticks = full[0][1]
    stages, row = by_stage(subject, ticks)
    if not np.array_equal(row, full[0][2], equal_nan=True):
        sys.exit("tick: the stages called one by one do not do what the engine does; the numbers would mean nothing")
    us, us_policy = (statistics.median(r[0] for r in runs) for runs in (full, policy))
    tick_us = subject.loaded.model.tick * 1e-3
    return {
        "cells": subject.loaded.table.cells,
        "columns": subject.loaded.table.columns,
        "recorded_columns": subject.loaded.table.recorded,
        "tick_ms": tick_us * 1e-3,
        "ticks": ticks,
        "us_per_tick": round(us, 3),
        "times_real_time": round(tick_us / us, 1),
        "us_per_tick_policy": round(us_policy, 3),
        "times_real_time_policy": round(tick_us / us_policy, 1),
        "runs_us": [round(r[0], 3) for r in full],
        "runs_policy_us": [round(r[0], 3) for r in policy],
        "stages_us": stages,
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", type=Path, default=ROOT / "scenarios" / "udds_drive.yaml")
    parser.add_argument("--ticks", type=int, default=30_000, help="ticks a run at most (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    chosen = parser.parse_args()
    if chosen.ticks < 1 or chosen.repeat < 1:
        parser.error("--ticks and --repeat are at least 1")
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as folder:
        subject = Subject(load(chosen.scenario), load_bench(None), Path(folder), chosen.ticks)
        result = measure(subject, chosen.repeat)
    if chosen.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        if name != "stages_us":
            print(f"{name:24} {value}")
    for name, value in result["stages_us"].items():
        print(f"  {name:44} {value:8.3f} us")


if __name__ == "__main__":
    main()
