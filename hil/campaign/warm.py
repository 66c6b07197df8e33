"""The first run compiles the two halves of a tick once, side by side; every later run finds them in the cache."""

import subprocess
import sys

from hil import engine
from hil.kernel import zeros
from hil.tick import DutLink, Link
from hil.virtual import world
from hil.virtual.bms.record import BmsConfig, BmsState

CHILD = "from hil.campaign.warm import compile_dut_half; compile_dut_half()"


def compile_dut_half() -> None:
    """Compile the DUT half by running it once on zeroed records, which do nothing."""
    worlds = (zeros(world.World), zeros(world.WorldParams))
    dut = (zeros(BmsState), zeros(BmsConfig))
    worlds[1][0]["dut_period_ns"] = 1  # type: ignore[index]  # a numpy record at run time
    worlds[0][0]["next_ns"] = 1 << 62  # type: ignore[index]  # no activation inside the tick
    world.dut_half(*worlds, *dut, zeros(DutLink), zeros(Link), 0)


def compile_all() -> None:
    """Compile both halves, the DUT's in a process of its own."""
    child = subprocess.Popen([sys.executable, "-c", CHILD])
    try:
        fixed, states = zeros(engine.Params), zeros(engine.State)
        fixed[0]["dt_ns"] = 1  # type: ignore[index]
        engine.bench_half(states, fixed, zeros(Link), 0, 0)
    finally:
        child.wait()
