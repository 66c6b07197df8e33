"""A bench for the reference BMS alone: hand-made wires, a simple link and contactors, requests with CRC and counter."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from hil.codec import e2e
from hil.codec.mapping import load_bus
from hil.files.limits import BmsLimits, load_limits
from hil.image import DTCS
from hil.kernel import INTERPRET, view, zeros
from hil.tick import DutLink, Frame, Switch
from hil.virtual.bms.dut import ReferenceBms
from hil.virtual.bms.record import Dtc, Request, State

ROOT = Path(__file__).parents[2]
LIMITS = ROOT / "scenarios" / "bms" / "reference.limits.yaml"
BUS = ROOT / "dbc" / "bench.quantities.yaml"
TASK_NS = 10_000_000
CELLS, SENSORS = 96, 32
WARM = 2048  # divider code of 25 degC: half of 4095


@functools.cache
def limits() -> BmsLimits:
    return load_limits(LIMITS)


@functools.cache
def bus() -> Any:
    return load_bus(BUS)


def code_of(temperature_degc: float) -> int:
    """Divider code of a 10 k NTC with B 3435 K under 10 k, by hand."""
    r_ohm = 10e3 * np.exp(3435.0 * (1.0 / (temperature_degc + 273.15) - 1.0 / 298.15))
    return round(4095.0 * r_ohm / (r_ohm + 10e3))


class Rig:
    """Steps a BMS; ``request`` None sends nothing; ``auxiliary`` overrides the feedback of a Switch."""

    def __init__(self, **options: Any) -> None:
        model = options.pop("limits", limits())
        self.dut = ReferenceBms(model, BUS, CELLS, SENSORS, **options)
        self.port = zeros(DutLink)
        self.k = 0
        self.request: int | None = Request.STANDBY
        self.corrupt = False
        self.counter_step = 1
        self.counter = 0
        self.auxiliary: dict[int, int] = {}
        self.link_gain = 0.1  # share of the missing voltage a step of precharge brings
        self.link_decay = 0.05
        self.link_mv = 0.0
        self.sent: list[tuple[int, int, bytes]] = []
        self.wires = view(self.port).wires_in
        self.wires.cell_code[:] = 33_000
        self.wires.temp_code[:] = WARM
        self.wires.pack_voltage_mv = 3300 * CELLS
        self.wires.isolation_kohm, self.wires.supply_mv, self.wires.hvil, self.wires.wake = 5000, 12_000, 1, 1
        self._config = bus().e2e.of("VEH_Request")
        self._table = e2e.table([self._config])
        self._line: Any = view(self._table).config[0] if INTERPRET else np.asarray(self._table)["config"][0][0]

    @property
    def state(self) -> Any:
        return view(self.dut.state)

    @property
    def out(self) -> Any:
        return view(self.port).wires_out

    @property
    def coils(self) -> tuple[int, ...]:
        return tuple(int(x) for x in np.asarray(self.port)["wires_out"]["coil"][0])

    def dtcs(self) -> set[str]:
        return {code for code, level in zip(DTCS, self.state.dtc, strict=True) if level}

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._wires()
            self._request()
            self.dut.step(self.k * TASK_NS + 3_000_000, TASK_NS, self.port)
            tx = np.asarray(self.port)["tx"]
            for i in range(int(tx["n"][0])):
                frame = tx["slot"][0][i]
                self.sent.append((self.k, int(frame["id"]), bytes(frame["payload"][: int(frame["dlc"])])))
            self.k += 1

    def _wires(self) -> None:
        coil = self.coils
        pack_mv = float(self.wires.pack_voltage_mv)
        if coil[Switch.MAIN_MINUS] and coil[Switch.MAIN_PLUS]:
            self.link_mv = pack_mv
        elif coil[Switch.MAIN_MINUS] and coil[Switch.PRECHARGE]:
            self.link_mv += self.link_gain * (pack_mv - self.link_mv)
        else:
            self.link_mv -= self.link_decay * self.link_mv
        self.wires.link_voltage_mv = round(self.link_mv)
        for switch in Switch:
            self.wires.auxiliary[switch] = self.auxiliary.get(switch, coil[switch])

    def _request(self) -> None:
        rx = view(self.port).rx
        rx.n = 0
        if self.request is None:
            return
        frame: Any = zeros(Frame)
        f = view(frame)
        f.id, f.dlc, f.t_ns = 0x0F0, 2, self.k * TASK_NS
        f.payload[1] = (int(self.request) << 4) | self.counter
        f.payload[0] = e2e.crc_of(frame[0], self._line)
        if self.corrupt:
            f.payload[0] ^= 0x55
        np.asarray(self.port)["rx"]["slot"][0][0] = np.asarray(frame)[0]
        rx.n = 1
        self.counter = (self.counter + self.counter_step) % 15

    def until(self, wanted: int, most: int) -> int:
        """Step until the state is ``wanted``; the number of steps, or an assertion after ``most``."""
        for count in range(most + 1):
            if int(self.state.state) == wanted:
                return count
            self.step()
        raise AssertionError(f"{State(wanted).name} not reached in {most} steps; {State(int(self.state.state)).name}")

    def drive_to(self, wanted: int) -> None:
        """STANDBY, then NORMAL or CHARGE by request; ends before an activation that samples an image."""
        self.until(State.STANDBY, 20)
        if wanted != State.STANDBY:
            self.request = Request.NORMAL if wanted == State.NORMAL else Request.CHARGE
            self.until(wanted, 100)
        self.step(4 - self.k % 4)

    def first(self, most: int, code: Dtc) -> tuple[int, int]:
        """Steps until the trouble code and until ERROR, counted so that 0 is the next activation; -1 = not seen."""
        seen, error = -1, -1
        for count in range(most):
            self.step()
            s = self.state
            if seen < 0 and s.dtc[code]:
                seen = count
            if error < 0 and s.state == State.ERROR:
                error = count
        return seen, error
