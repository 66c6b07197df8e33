"""The engine: ``bench_half`` is one tick, ``run`` is the loop; both know the world only through the ports.

The order of the stages is the design (docs/architecture.md): data flows one way, each stage gets its own sub-records
and the row, and writes only its own range.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import numpy as np

from hil import compare, observe, plan, safety
from hil.checks import automaton
from hil.checks.watch import CheckParams, CheckState
from hil.codec import decode, restbus
from hil.faults import points
from hil.image import Table, bind
from hil.kernel import I64, Floats, Rows, kernel, view, zeros
from hil.plant import pack
from hil.ports import Bench, Clock, Sink
from hil.scenario import timeline
from hil.tick import COLUMNS, Link
from hil.twin import step as twin

RECEIVE, PLANT = int(points.Point.RECEIVE), int(points.Point.PLANT)
STIMULUS, TRANSMIT = int(points.Point.STIMULUS), int(points.Point.TRANSMIT)
TRIPPED, STEPPED, DECIDED = 1, 2, 4  # bits of what bench_half reports


class State:
    """Everything of the bench half that changes from tick to tick."""

    row: Annotated[Floats, COLUMNS]
    faults: points.FaultState
    codec: decode.CodecState
    observe: observe.ObserveState
    timeline: timeline.TimelineState
    plant: pack.PlantState
    twin: twin.TwinState
    compare: compare.CompareState
    restbus: restbus.RestbusState
    safety: safety.SafetyState
    checks: CheckState


class Params:
    """Everything of the bench half that is fixed for a run."""

    dt_ns: I64
    seed: I64
    col_time_run: I64
    col_time_scenario: I64
    col_time_lateness: I64
    col_time_frames_lost: I64
    faults: points.FaultParams
    codec: decode.CodecParams
    observe: observe.ObserveParams
    timeline: timeline.TimelineParams
    plant: pack.PlantParams
    twin: twin.TwinParams
    compare: compare.CompareParams
    plan: plan.PlanParams
    restbus: restbus.RestbusParams
    safety: safety.SafetyParams
    checks: CheckParams


def params(table: Table, dt_ns: int, seed: int, **rooms: Any) -> Rows[Params]:
    """Nest the rooms' own records (each an array of one) into one."""
    made = zeros(Params)
    p = np.asarray(made)[0]
    bind(p, table)
    p["dt_ns"], p["seed"] = dt_ns, seed
    for name, record in rooms.items():
        p[name] = np.asarray(record)[0]
    return made


def state(**rooms: Any) -> Rows[State]:
    """Nest the rooms' starting states; the row starts unknown."""
    made = zeros(State)
    s = np.asarray(made)[0]
    s["row"][:] = np.nan
    for name, record in rooms.items():
        s[name] = np.asarray(record)[0]
    return made


@kernel
def keep(link: Link) -> None:
    """Keep what came in as it came, for the record: the stages change frames and poles in place."""
    rx, heard = link.rx, link.heard.rx
    heard.n, heard.lost = rx.n, rx.lost
    for i in range(rx.n):
        heard.slot[i] = rx.slot[i]  # type: ignore[index]  # arrays of records take a record as a value
    poles, seen = link.poles, link.heard.poles
    seen.n, seen.lost = poles.n, poles.lost
    for i in range(poles.n):
        seen.slot[i] = poles.slot[i]  # type: ignore[index]  # arrays of records take a record as a value


@kernel
def bench_half(states: Rows[State], fixed: Rows[Params], links: Rows[Link], k: int, late_ns: int) -> int:
    """One tick of the bench at ``k * dt_ns``; returns the bits TRIPPED, STEPPED, DECIDED."""
    s, p, link = states[0], fixed[0], links[0]
    t_ns = k * p.dt_ns
    row = s.row
    keep(link)
    row[p.col_time_run] = t_ns * 1e-9
    row[p.col_time_lateness] = late_ns * 1e-9
    row[p.col_time_frames_lost] = link.rx.lost
    points.on_frames(s.faults, p.faults, RECEIVE, t_ns, link.rx)
    decode.decode(s.codec, p.codec, t_ns, link.rx, row)
    observe.step(s.observe, p.observe, t_ns, link, row)
    stepped = timeline.at(s.timeline, p.timeline, t_ns, row)
    points.schedule(s.faults, p.faults, s.timeline.group_t_ns)
    pack.prepare(s.plant, p.plant, row)
    points.on_columns(s.faults, p.faults, PLANT, t_ns, row)
    pack.step(s.plant, p.plant, link.coils, link.bleed, link.poles, t_ns, row)
    twin.step(s.twin, p.twin, t_ns, row)
    compare.step(s.compare, p.compare, t_ns, row)
    plan.step(p.plan, row)
    points.on_columns(s.faults, p.faults, STIMULUS, t_ns, row)
    link.tx.n = 0
    restbus.hear(s.restbus, p.restbus, link.rx)
    restbus.ask(s.restbus, s.timeline.asked)
    restbus.step(s.restbus, p.restbus, t_ns, row, link.tx)
    points.on_frames(s.faults, p.faults, TRANSMIT, t_ns, link.tx)
    tripped = safety.limit(s.safety, p.safety, t_ns, row, link)
    decided = automaton.step(s.checks, p.checks, t_ns, row)
    return tripped * TRIPPED + (STEPPED if stepped > 0 else 0) + (DECIDED if decided > 0 else 0)


class Ending(Enum):
    """Why a run ended."""

    FINISHED = "all steps done and every obligation decided"
    DURATION = "the scenario's duration is over"
    WAIT_EXPIRED = "a wait expired"
    TRIPPED = "the limiter tripped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended: the last tick done, and the instant of its end in ns of the run."""

    ending: Ending
    ticks: int
    t_end_ns: int


@dataclass(frozen=True, slots=True)
class Rig:
    """One assembled run: its records, its ports and its limits."""

    states: Rows[State]
    fixed: Rows[Params]
    links: Rows[Link]
    dt_ns: int
    duration_ns: int
    bench: Bench
    clock: Clock
    sink: Sink
    on_progress: Callable[[int], None] = lambda t_ns: None
    progress_ticks: int = 200


def run(rig: Rig) -> Run:
    """Run until everything is decided, the duration is over or something stops it; the bench always ends safe.

    The sink stays open: verdicts follow, and whoever assembled the run closes it.

    Raises:
        BenchError: the bench could not do its job; the record so far is kept.
    """
    try:
        rig.bench.open()
        rig.clock.start()
        return _loop(rig)
    finally:
        rig.bench.make_safe()


def _loop(rig: Rig) -> Run:
    s = np.asarray(rig.states)[0]
    row = s["row"]
    line, checks = s["timeline"], s["checks"]
    dt_ns, last = rig.dt_ns, rig.duration_ns // rig.dt_ns
    k = 0
    try:
        while True:
            t_ns = k * dt_ns
            late_ns = rig.clock.wait(t_ns)
            rig.bench.read(t_ns, rig.links)
            happened = bench_half(rig.states, rig.fixed, rig.links, k, late_ns)
            rig.bench.write(t_ns, rig.links)
            rig.sink.put(t_ns, row, rig.links)
            if happened:
                _tell(rig, t_ns, happened)
                if happened & TRIPPED:
                    return Run(Ending.TRIPPED, k + 1, t_ns)
                if line["expired"] >= 0:
                    return Run(Ending.WAIT_EXPIRED, k + 1, t_ns)
            if line["done"] and checks["n_open"] == 0:
                return Run(Ending.FINISHED, k + 1, t_ns)
            if k >= last:
                return Run(Ending.DURATION, k + 1, t_ns)
            if k % rig.progress_ticks == 0:
                rig.on_progress(t_ns)
            k += 1
    except KeyboardInterrupt:
        return Run(Ending.INTERRUPTED, k, k * dt_ns)


def _tell(rig: Rig, t_ns: int, happened: int) -> None:
    """Put what the tick reported into the record; rows around it are kept at full rate."""
    if happened & STEPPED:
        line = np.asarray(rig.states)[0]["timeline"]
        group = int(line["group"])
        expired = int(line["expired"])
        rig.sink.event(
            t_ns, "timeline", f"wait of group {expired} expired" if expired >= 0 else f"group {group} begins"
        )
    if happened & DECIDED:
        rig.sink.event(t_ns, "check", "an obligation was decided")
    if happened & TRIPPED:
        rig.sink.event(t_ns, "trip", trip_text(rig.states))


def trip_text(states: Rows[State]) -> str:
    """One sentence on the limiter's latched trip."""
    s = view(states).safety
    kind = safety.Trip(int(s.trip)).name.lower().replace("_", " ")
    return f"the limiter tripped on {kind} (element {int(s.element)}, commanded {float(s.value):.4g}) at {int(s.t_ns) * 1e-9:.3f} s"
