"""The DUT half of a tick: bus, harness, DUT and instruments over (t_k, t_k+1], in the bench's virtual time.

A compiled DUT runs inside one kernel; any other runs between ``before_step`` and ``after_step``.
"""

from typing import Annotated

from hil.kernel import I64, Ints, Rows, kernel
from hil.tick import EDGES, FRAMES, SWITCHES, DutLink, Frame, Frames, Link, Node
from hil.virtual import bus, harness, instruments
from hil.virtual.bms.record import BmsConfig, BmsState
from hil.virtual.bms.step import bms_step

BENCH, DUT = int(Node.BENCH), int(Node.DUT)


class World:
    """Everything behind the bench's plugs except the DUT's own state."""

    bus: bus.BusState
    harness: harness.HarnessState
    heard: Frames  # frames that ended in this tick, all senders
    busy_ns: I64  # bit time the bus had used when this tick began
    n_passed: I64  # how many of them the DUT has been given
    next_ns: I64  # next task activation of the DUT
    activation: I64  # number of that activation
    coil: Annotated[Ints, SWITCHES]


class WorldParams:
    """Fixed numbers of the world; the DUT's task has a period, a phase off the tick and a clock drift."""

    dt_ns: I64
    dut_period_ns: I64
    dut_phase_ns: I64
    dut_drift_ppm: I64
    bus: bus.BusParams
    harness: harness.HarnessParams
    instruments: instruments.InstrumentParams


@kernel
def copy_frame(source: Frame, frames: Frames) -> None:
    """Append one frame; a full list counts it as lost."""
    if frames.n >= FRAMES:
        frames.lost += 1
        return
    target = frames.slot[frames.n]
    target.t_ns, target.id, target.bits = source.t_ns, source.id, source.bits
    target.dlc, target.source = source.dlc, source.source
    for i in range(64):
        target.payload[i] = source.payload[i]
    frames.n += 1


@kernel
def activation_ns(p: WorldParams, number: int) -> int:
    """Instant of the DUT's task activation ``number``, by its own drifting clock."""
    span = number * p.dut_period_ns
    return p.dut_phase_ns + span + span * p.dut_drift_ppm // 1_000_000


@kernel
def open_tick(w: World, p: WorldParams, link: Link) -> None:
    """Hand the bench's frames to the bus; edges and deliveries of the last interval are over."""
    w.heard.n = 0
    w.n_passed = 0
    link.coils.n = 0
    bus.offer(w.bus, p.bus, link.tx)


@kernel
def pass_on(w: World, port: DutLink) -> None:
    """Give the DUT the frames that ended since it was last given some; it has them until its next step is over."""
    for i in range(w.n_passed, w.heard.n):
        if w.heard.slot[i].source != DUT:
            copy_frame(w.heard.slot[i], port.rx)
    w.n_passed = w.heard.n


@kernel
def before_step(w: World, p: WorldParams, link: Link, port: DutLink, until_ns: int) -> int:
    """Advance to the DUT's next activation and fill its inputs; its instant, or -1 when it is after ``until_ns``."""
    if w.next_ns > until_ns:
        return -1
    t_ns = w.next_ns
    bus.advance(w.bus, p.bus, t_ns, w.heard)
    pass_on(w, port)
    wires_out = port.wires_out
    harness.sample(w.harness, p.harness, t_ns, link.pins, wires_out.bleed, wires_out.open_wire_test, port.wires_in)
    port.tx.n = 0
    return t_ns


@kernel
def after_step(w: World, p: WorldParams, link: Link, port: DutLink, t_ns: int) -> None:
    """Take over the DUT's coil edges and frames; what it had received is read."""
    port.rx.n = 0
    for i in range(SWITCHES):
        level = port.wires_out.coil[i]
        if level != w.coil[i]:
            w.coil[i] = level
            if link.coils.n < EDGES:
                edge = link.coils.slot[link.coils.n]
                edge.t_ns, edge.wire, edge.level = t_ns, i, level
                link.coils.n += 1
            else:
                link.coils.lost += 1
    for i in range(port.tx.n):
        port.tx.slot[i].source = DUT
        port.tx.slot[i].t_ns = t_ns
    bus.offer(w.bus, p.bus, port.tx)
    w.activation += 1
    w.next_ns = activation_ns(p, w.activation)


@kernel
def close_tick(w: World, p: WorldParams, link: Link, port: DutLink, until_ns: int) -> None:
    """Run the bus to the end of the tick and let the bench's receiver and instruments take their samples."""
    bus.advance(w.bus, p.bus, until_ns, w.heard)
    link.rx.n = 0
    for i in range(w.heard.n):
        if w.heard.slot[i].source != BENCH:
            copy_frame(w.heard.slot[i], link.rx)
    pass_on(w, port)
    for i in range(len(link.bleed)):
        link.bleed[i] = port.wires_out.bleed[i]
    instruments.read(p.instruments, until_ns, w.bus.busy_ns - w.busy_ns, link)
    w.busy_ns = w.bus.busy_ns


@kernel
def dut_half(
    worlds: Rows[World],
    fixed: Rows[WorldParams],
    states: Rows[BmsState],
    configs: Rows[BmsConfig],
    ports: Rows[DutLink],
    links: Rows[Link],
    t_ns: int,
) -> None:
    """One tick of the world with the compiled reference BMS in it, over (t_ns, t_ns + dt]."""
    w, p, link, port = worlds[0], fixed[0], links[0], ports[0]
    until_ns = t_ns + p.dt_ns
    open_tick(w, p, link)
    while True:
        now_ns = before_step(w, p, link, port, until_ns)
        if now_ns < 0:
            break
        bms_step(states[0], configs[0], port, now_ns, p.dut_period_ns)
        after_step(w, p, link, port, now_ns)
    close_tick(w, p, link, port, until_ns)


@kernel
def begin(worlds: Rows[World], fixed: Rows[WorldParams], ports: Rows[DutLink], links: Rows[Link]) -> None:
    """``open_tick`` for a DUT stepped from Python."""
    open_tick(worlds[0], fixed[0], links[0])


@kernel
def until_step(
    worlds: Rows[World], fixed: Rows[WorldParams], ports: Rows[DutLink], links: Rows[Link], until_ns: int
) -> int:
    """``before_step`` for a DUT stepped from Python."""
    return before_step(worlds[0], fixed[0], links[0], ports[0], until_ns)


@kernel
def since_step(
    worlds: Rows[World], fixed: Rows[WorldParams], ports: Rows[DutLink], links: Rows[Link], t_ns: int
) -> None:
    """``after_step`` for a DUT stepped from Python."""
    after_step(worlds[0], fixed[0], links[0], ports[0], t_ns)


@kernel
def end(worlds: Rows[World], fixed: Rows[WorldParams], ports: Rows[DutLink], links: Rows[Link], until_ns: int) -> None:
    """``close_tick`` for a DUT stepped from Python."""
    close_tick(worlds[0], fixed[0], links[0], ports[0], until_ns)
