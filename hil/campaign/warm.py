"""The first run compiles the two halves of a tick once, side by side; every later run finds them in the cache."""

import subprocess
import sys

import numpy as np

from hil import engine
from hil.kernel import zeros
from hil.records.layout import Block, collect
from hil.tick import COLUMNS, DutLink, Link
from hil.virtual import world
from hil.virtual.bms.record import BmsConfig, BmsState

CHILD = "from hil.campaign.warm import compile_rest; compile_rest()"


def compile_rest() -> None:
    """Compile the DUT half and the record's buffer by running them once on zeroed records, which do nothing."""
    worlds = (zeros(world.World), zeros(world.WorldParams))
    dut = (zeros(BmsState), zeros(BmsConfig))
    worlds[1][0]["dut_period_ns"] = 1  # type: ignore[index]  # a numpy record at run time
    worlds[0][0]["next_ns"] = 1 << 62  # type: ignore[index]  # no activation inside the tick
    world.dut_half(*worlds, *dut, zeros(DutLink), zeros(Link), 0)
    collect(zeros(Block), 0, np.zeros(COLUMNS), zeros(Link))


def compile_all() -> None:
    """Compile both halves, the DUT's in a process of its own, with the record's buffer."""
    child = subprocess.Popen([sys.executable, "-c", CHILD])
    try:
        fixed, states = zeros(engine.Params), zeros(engine.State)
        fixed[0]["dt_ns"] = 1  # type: ignore[index]
        engine.bench_half(states, fixed, zeros(Link), 0, 0)
    finally:
        child.wait()
