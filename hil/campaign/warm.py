"""The first run compiles the two halves of a tick once, side by side; every later run finds them in the cache."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import hil
from hil import engine
from hil.checks import automaton
from hil.codec import restbus
from hil.kernel import Rows, kernel, zeros
from hil.records.layout import Block, collect
from hil.tick import COLUMNS, DutLink, Link
from hil.virtual import world
from hil.virtual.bms.record import BmsConfig, BmsState


def child_command(code: str) -> list[str]:
    """A Python that runs ``code`` with this very package, whatever lies in the working directory.

    The cache knows a kernel by its file: a child that found a checkout there would compile for nothing.
    """
    home = str(Path(hil.__file__).resolve().parents[1])
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {home!r}); {code}"]


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: a compiler makes millions of objects that stay, and looking for others takes a tenth
    of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@kernel
def judging(states: Rows[engine.State], fixed: Rows[engine.Params], t_ns: int) -> int:
    """The checks, called as the bench half calls them: when it comes to them, last of all, it finds them compiled."""
    s, p = states[0], fixed[0]
    return automaton.step(s.checks, p.checks, t_ns, s.row)


@kernel
def sending(states: Rows[engine.State], fixed: Rows[engine.Params], links: Rows[Link], t_ns: int) -> None:
    """The rest of the bus, likewise."""
    s, p, link = states[0], fixed[0], links[0]
    restbus.hear(s.restbus, p.restbus, link.rx)
    restbus.step(s.restbus, p.restbus, t_ns, s.row, link.tx)


def compile_rest() -> None:
    """Compile the DUT half, the record's buffer and the last stages by running them once on zeroed records.

    Zeroed records do nothing. The checks come first: meanwhile the other process compiles what both halves need.
    """
    states, fixed, link = zeros(engine.State), zeros(engine.Params), zeros(Link)
    worlds, world_params = zeros(world.World), zeros(world.WorldParams)
    np.asarray(worlds)[0]["next_ns"] = 1 << 62  # no activation inside the tick
    with uncollected():
        judging(states, fixed, 0)
        world.dut_half(worlds, world_params, zeros(BmsState), zeros(BmsConfig), zeros(DutLink), link, 0)
        sending(states, fixed, link, 0)
        collect(zeros(Block), 0, np.zeros(COLUMNS), link)


def compile_all() -> None:
    """Compile both halves, the DUT's in a process of its own, with the record's buffer."""
    child = subprocess.Popen(child_command("from hil.campaign.warm import compile_rest; compile_rest()"))
    try:
        fixed, states = zeros(engine.Params), zeros(engine.State)
        np.asarray(fixed)[0]["dt_ns"] = 1
        with uncollected():
            engine.bench_half(states, fixed, zeros(Link), 0, 0)
    finally:
        child.wait()
