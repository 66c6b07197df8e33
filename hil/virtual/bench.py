"""The virtual bench: the same two calls a tick as real hardware, with a world behind them that only moves in ``read``."""

from typing import Any

import numpy as np

from hil.kernel import Rows, zeros
from hil.ports import Dut
from hil.tick import DutLink, Link
from hil.virtual import world
from hil.virtual.bms.dut import ReferenceBms
from hil.virtual.world import World, WorldParams


class VirtualBench:
    """Implements ``Bench``: ``read`` runs bus, harness, DUT and instruments from the last write up to its instant."""

    def __init__(self, fixed: Rows[WorldParams], worlds: Rows[World], dut: Dut, nvm: bytes) -> None:
        """``dut`` is reset with ``nvm`` when the bench is opened."""
        self._fixed, self._worlds, self._dut, self._nvm = fixed, worlds, dut, nvm
        self._ports: Rows[DutLink] = zeros(DutLink)
        self._compiled = dut if isinstance(dut, ReferenceBms) and dut.compiled else None
        self._period_ns = int(np.asarray(fixed)[0]["dut_period_ns"])
        self._written_ns = -1  # instant of the write that no read has followed yet
        self._safe = False

    def open(self) -> None:
        """Power the DUT on."""
        w = np.asarray(self._worlds)[0]
        w["next_ns"] = np.asarray(self._fixed)[0]["dut_phase_ns"]
        self._dut.reset(self._nvm)

    def read(self, t_ns: int, link: Rows[Link]) -> None:
        """Move the world from the last write to ``t_ns``; before the first write nothing has happened."""
        if self._written_ns < 0:
            return
        since_ns, self._written_ns = self._written_ns, -1
        bms = self._compiled
        if bms is not None:
            world.dut_half(self._worlds, self._fixed, bms.state, bms.config, self._ports, link, since_ns)
            return
        w, p, port = self._worlds, self._fixed, self._ports
        world.begin(w, p, port, link)
        while (now_ns := world.until_step(w, p, port, link, t_ns)) >= 0:
            self._dut.step(now_ns, self._period_ns, self._ports)
            world.since_step(w, p, port, link, now_ns)
        world.end(w, p, port, link, t_ns)

    def write(self, t_ns: int, link: Rows[Link]) -> None:
        """The pins and frames of ``link`` stand from ``t_ns`` on; the next read shows what they did."""
        self._written_ns = t_ns

    def make_safe(self) -> None:
        """Take the emulated supply and coils away; nothing real is energised."""
        self._safe = True
        np.asarray(self._ports)["wires_out"]["coil"][:] = 0

    def bus_losses(self) -> tuple[int, int]:
        """Frames the bus did not carry so far: no room to wait, and not of its kind."""
        bus = np.asarray(self._worlds)[0]["bus"]
        return int(bus["overflow"]), int(bus["refused"])

    def identity(self) -> dict[str, str]:
        """The DUT's identity."""
        return self._dut.identity()


def quiet_link() -> Rows[Link]:
    """The link before the first tick: no frames, all inputs unknown, contacts open, interlock closed."""
    made = zeros(Link)
    link = np.asarray(made)[0]
    for name in dtype_floats(link["instruments"]):
        link["instruments"][name] = np.nan
    return made


def dtype_floats(record: Any) -> list[str]:
    """Names of the float fields of a record."""
    return [n for n in record.dtype.names if record.dtype[n].base == np.float64]
