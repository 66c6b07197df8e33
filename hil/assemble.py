"""The composition root: the only module that names concrete classes. A case and a bench file become a Rig."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import hil
from hil import compare, engine, observe, plan, safety
from hil.checks.compile import Compiled, compile_checks
from hil.clocks import RealClock, VirtualClock
from hil.codec import decode, restbus
from hil.errors import InputError, Problem
from hil.faults import catalogue
from hil.files import resolve
from hil.files.shipped import located, shipped
from hil.image import Table
from hil.kernel import stream_seed, zeros
from hil.plant import pack as plant
from hil.ports import Bench, Clock
from hil.records.writer import McapSink, Policy, ThreadedSink
from hil.scenario import lowering
from hil.scenario.bundle import packed
from hil.scenario.cases import Case
from hil.scenario.loader import Collector, Loaded, load
from hil.scenario.plugged import REQUEST, Plugged, load_bench, uncertainties
from hil.twin import step as twin
from hil.virtual import bus, harness, instruments
from hil.virtual.bench import VirtualBench, quiet_link
from hil.virtual.bms.dut import ReferenceBms
from hil.virtual.world import World, WorldParams

TWIN_STARTS_OFF = 0.05  # the twin starts 5 % of state of charge wrong, as on a real bench where nobody tells it


@dataclass(frozen=True, slots=True)
class Assembled:
    """One case ready to run."""

    rig: engine.Rig
    sink: McapSink | ThreadedSink
    lowered: lowering.Lowered
    compiled: Compiled
    identity: dict[str, str]
    plugged: Plugged

    def held_back(self) -> list[str]:
        """One sentence for each message that the bench did not send as things stand, and why."""
        states = np.asarray(self.rig.states)["restbus"]
        return restbus.suppressions(states, self.plugged.sent(), self.plugged.rules)


@dataclass(frozen=True, slots=True)
class Recording:
    """Where a run is recorded, with which attachments and further metadata; ``threaded`` for real time."""

    path: Path
    attachments: dict[str, str]
    threaded: bool = False
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def compiled_checks(loaded: Loaded, case: Case, plugged: Plugged) -> Compiled:
    """The checks of a case. Raises InputError with every problem of its expressions."""
    known = uncertainties(plugged.model, plugged.document, loaded.table)
    scope = lowering.scope_of(loaded, case, known)
    errors = Collector()
    specs = lowering.check_specs(loaded.path, loaded.model, loaded.document, case, errors)
    compiled = None
    with errors.collecting():
        compiled = compile_checks(
            specs,
            loaded.table,
            scope.resolve_limit,
            scope.params,
            loaded.model.tick,
            scope.uncertainties,
            overrun_ns=loaded.model.tick if plugged.model.overrun == "judge" else None,
        )
    errors.raise_if_any()
    assert compiled is not None
    return compiled


def check_columns(compiled: Compiled, table: Table) -> list[int]:
    """Every column the checks read, values and times, in column order."""
    columns: set[int] = set()
    for name in compiled.columns:
        q = table.find(name)
        if q is not None:
            columns |= set(range(q.start, q.start + q.count))
            columns |= set(range(q.time_start, q.time_start + q.time_count)) if q.time_start >= 0 else set()
    return sorted(columns)


def lower_case(loaded: Loaded, case: Case, plugged: Plugged) -> tuple[lowering.Lowered, Compiled]:
    """Everything that can be wrong with one case, told before power-on."""
    errors = Collector()
    made = compiled = None
    for index, point in enumerate(loaded.model.needs.faults):
        if point not in plugged.model.faults:
            found = f"the bench {plugged.path.name} cannot inject faults at {point}"
            expected = "a bench file with this point under faults"
            errors.problems.append(loaded.document.problem(("needs", "faults", index), found, expected=expected))
    with errors.collecting():
        known = uncertainties(plugged.model, plugged.document, loaded.table)
        made = lowering.lowered(loaded, case, plugged.protections(), [m.name for m in plugged.sent()], known)
    with errors.collecting():
        compiled = compiled_checks(loaded, case, plugged)
    errors.raise_if_any()
    assert made is not None
    assert compiled is not None
    return made, compiled


def problems_of(path: Path, bench: Path | None) -> list[Problem]:
    """Every problem of a scenario file, of all its cases."""
    try:
        plugged = load_bench(bench)
        loaded = load(located(path))
    except InputError as error:
        return list(error.problems)
    found: list[Problem] = []
    for case in loaded.cases:
        try:
            lower_case(loaded, case, plugged)
        except InputError as error:
            found += [p for p in error.problems if p not in found]
    return found


def listing(paths: list[Path]) -> list[dict[str, Any]]:
    """What each scenario file is, with its case ids; folders are searched."""
    roots = paths or [shipped("scenarios")]
    out = []
    for path in scenario_files(roots):
        loaded = load(path)
        out.append(
            {
                "path": str(path),
                "scenario": loaded.model.scenario,
                "requirements": loaded.model.requirements,
                "tags": loaded.model.tags,
                "cases": [c.id for c in loaded.cases],
            }
        )
    return out


def scenario_files(roots: list[Path]) -> list[Path]:
    """Scenario files among paths: files as they are, folders by their ``*.yaml`` (not the ones of packs, benches, bms)."""
    out: list[Path] = []
    for root in roots:
        found = located(root)
        out += sorted(found.glob("*.yaml")) if found.is_dir() else [found]
    return out


def assemble(
    loaded: Loaded, case: Case, plugged: Plugged, record: Path, clock: str, speed: float, defects: tuple[str, ...]
) -> Assembled:
    """Build one run on the virtual bench.

    Raises:
        InputError: the case or a defect name is wrong.
        BenchError: the record cannot be written.
    """
    lowered, checks = lower_case(loaded, case, plugged)
    bench = virtual_bench(loaded, plugged, defects)
    log = Recording(record, packed(loaded, plugged.path, plugged.model, plugged.document), threaded=clock == "real")
    return mount(loaded, case, plugged, lowered, checks, bench, _clock(clock, speed), log)


def mount(
    loaded: Loaded,
    case: Case,
    plugged: Plugged,
    lowered: lowering.Lowered,
    checks: Compiled,
    bench: Bench,
    clock: Clock,
    recording: Recording,
) -> Assembled:
    """Put the bench half of one case before any bench: virtual, replayed or real.

    Raises:
        InputError: the files do not fit each other.
        BenchError: the record cannot be written.
    """
    model = loaded.model
    fixed, states = _bench_half(loaded, plugged, lowered, checks, model.seed)
    identity = bench.identity()
    sink = _sink(loaded, case, checks, identity, recording)
    # a bound for runs whose steps never end: preparation, steps, waits and the slowest reaction
    longest = model.given.within + (model.duration or _longest(lowered))
    rig = engine.Rig(states, fixed, quiet_link(), model.tick, longest, bench, clock, sink)
    return Assembled(rig, sink, lowered, checks, identity, plugged)


def mount_log(
    loaded: Loaded,
    case: Case,
    plugged: Plugged,
    lowered: lowering.Lowered,
    checks: Compiled,
    bench: Bench,
    timeline: Any,
    recording: Recording,
) -> Assembled:
    """What judges a log: decoding, a ``timeline`` of its own and checks. Nothing is sent, so the bus may be anybody's.

    Raises:
        InputError: the files do not fit each other.
        BenchError: the record cannot be written.
    """
    model, wired = loaded.model, plugged.bus
    codec = decode.params(wired.db, wired.quantities, wired.e2e, loaded.table)
    rooms = {"codec": codec, "timeline": timeline, "checks": checks.params}
    fixed = engine.params(loaded.table, model.tick, model.seed, **rooms)
    identity = bench.identity()
    sink = _sink(loaded, case, checks, identity, recording)
    rig = engine.Rig(engine.state(), fixed, quiet_link(), model.tick, 0, bench, VirtualClock(), sink)
    return Assembled(rig, sink, lowered, checks, identity, plugged)


def _longest(lowered: lowering.Lowered) -> int:
    p = np.asarray(lowered.timeline)[0]
    steps = int(p["end_ns"].sum())
    waits = int((p["wait"]["t_ns"] + p["wait"]["timeout_ns"]).sum())
    return steps + waits + 60_000_000_000


def _clock(clock: str, speed: float) -> Clock:
    return RealClock(speed) if clock == "real" else VirtualClock()


def virtual_bench(loaded: Loaded, plugged: Plugged, defects: tuple[str, ...] = ()) -> VirtualBench:
    """The virtual bench with the reference BMS in it, its memory as the case's ``given`` says.

    Raises:
        InputError: a defect is unknown or a file does not fit.
    """
    model, seed = loaded.model, loaded.model.seed
    chosen = tuple(plugged.model.dut.defects) + defects
    quantities = resolve(plugged.document, ("quantities",), plugged.model.quantities)
    dut = ReferenceBms(loaded.limits, quantities, loaded.table.cells, loaded.table.temps, defects=chosen)
    soc = model.given.soc if model.given.soc_in_memory is None else model.given.soc_in_memory
    fixed = zeros(WorldParams)
    p = np.asarray(fixed)[0]
    phase_ns = plugged.model.dut.phase
    p["dt_ns"], p["dut_period_ns"] = loaded.model.tick, dut.period_ns
    p["dut_phase_ns"] = dut.phase_ns if phase_ns is None else phase_ns
    p["bus"] = np.asarray(bus.params(plugged.model.bit_rate))[0]
    wiring, balancing = loaded.pack.wiring, loaded.pack.balancing
    front_end = harness.FrontEnd(sense_wire_ohm=wiring.sense_wire, bleed_ohm=balancing.resistance)
    p["harness"] = np.asarray(harness.params(loaded.table.cells, loaded.table.temps, seed, front_end))[0]
    p["instruments"] = np.asarray(instruments.params(loaded.table.cells, loaded.table.temps, seed, loaded.model.tick))[
        0
    ]
    return VirtualBench(fixed, zeros(World), dut, dut.nvm_for(soc))


def _bench_half(
    loaded: Loaded, plugged: Plugged, lowered: lowering.Lowered, checks: Compiled, seed: int
) -> tuple[Any, Any]:
    model, table, wired = loaded.model, loaded.table, plugged.bus
    protections = wired.e2e.lines()
    request = wired.db.message(REQUEST)
    fault_params = catalogue.params(lowered.faults, table, plugged.messages(), protections, stream_seed(seed, "faults"))
    line = next(i for i, x in enumerate(protections) if x.id == request.id)
    rooms: dict[str, Any] = {
        "faults": fault_params,
        "codec": decode.params(wired.db, wired.quantities, wired.e2e, table),
        "observe": observe.params(
            table,
            request.id,
            np.asarray(fault_params)[0]["e2e"]["config"][line],
            loaded.pack.balancing.resistance,
        ),
        "timeline": lowered.timeline,
        "plant": plant.params(loaded.pack, stream_seed(seed, "plant.scatter"), table),
        "twin": twin.params(loaded.pack, table, model.tick),
        "compare": compare.params(table),
        "plan": plan.params(
            table, list(loaded.pack.temperature_sensors.cells), coolant_degc=loaded.pack.thermal.coolant_temperature
        ),
        "restbus": restbus.params(wired.db, wired.quantities, wired.e2e, table, model.tick, plugged.rules),
        "safety": safety.params(
            table, model.envelope.cell_voltage, model.envelope.pack_current, model.envelope.coolant_temperature
        ),
        "checks": checks.params,
    }
    fixed = engine.params(table, model.tick, seed, **rooms)
    plant_state, twin_state = zeros(plant.PlantState), zeros(twin.TwinState)
    given = model.given
    plant.start(plant_state, rooms["plant"], given.soc, given.temperature)
    guess = given.soc - TWIN_STARTS_OFF if given.soc > 0.5 else given.soc + TWIN_STARTS_OFF
    twin.start(twin_state, rooms["twin"], guess, given.temperature)
    states = engine.state(
        faults=catalogue.state(),
        codec=zeros(decode.CodecState),
        observe=observe.state(),
        timeline=lowering.start_state(),
        plant=plant_state,
        twin=twin_state,
        compare=compare.state(),
        restbus=zeros(restbus.RestbusState),
        safety=zeros(safety.SafetyState),
        checks=checks.state(),
    )
    return fixed, states


def _sink(
    loaded: Loaded, case: Case, checks: Compiled, identity: dict[str, str], recording: Recording
) -> McapSink | ThreadedSink:
    attachments = {**recording.attachments, "case.json": json.dumps(dataclasses.asdict(case))}
    metadata = {
        "dut": identity,
        "versions": {"cellbench": hil.__version__},
        "scenario": {"name": loaded.path.name},
        "pack": {
            "name": loaded.pack.pack,
            "scatter": loaded.pack.group_scatter.source,
            "runaway": loaded.pack.abuse_label,
        },
        **recording.metadata,
    }
    policy = Policy(loaded.model.record.every)
    columns = check_columns(checks, loaded.table)
    sink = McapSink(recording.path, loaded.table, columns, policy, attachments, metadata)
    return ThreadedSink(sink) if recording.threaded else sink
