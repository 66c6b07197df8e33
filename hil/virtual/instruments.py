"""The bench's own instruments on a virtual bench: they read the pins as they stand, with their resolution and noise.

They are calibrated and independent of the DUT's converters, so that a difference between the two blames one of them.
Cell voltages and temperatures are the emulators' read-back at the source: a cut sense wire does not show here.
No systematic error: what calibration leaves is part of the uncertainty the bench file declares.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from hil.errors import InputError, Problem
from hil.kernel import F64, I64, Floats, Rows, kernel, normal, stream_seed, view, zeros
from hil.tick import CELLS, TEMPS, Link

CELL, TEMP, SCALAR = 0, 1, 2  # random streams
CURRENT, PACK, LINK, SUPPLY, COOLANT, GAS = 0, 1, 2, 3, 4, 5  # channels of the scalar stream


@dataclass(frozen=True, slots=True)
class Channel:
    """Resolution and noise (one standard deviation) of one kind of channel, in its own unit."""

    step: float
    noise: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What common bench instruments do; each stays inside the uncertainty the shipped bench file declares."""

    cell_voltage: Channel = Channel(0.1e-3, 0.1e-3)  # V: 16-bit read-back of a 5 V cell emulator channel
    temperature: Channel = Channel(0.01, 0.02)  # K: decade resistor read-back of 0.1 %
    pack_current: Channel = Channel(0.001, 0.010)  # A: class 0.1 reference shunt, 500 A
    pack_voltage: Channel = Channel(0.001, 0.010)  # V: 6.5-digit multimeter behind a 1:100 divider
    link_voltage: Channel = Channel(0.001, 0.010)  # V: the same
    coolant: Channel = Channel(0.01, 0.02)  # K: Pt100 probe, class A
    supply: Channel = Channel(0.001, 0.002)  # V: read-back of the 12 V supply
    gas_pressure: Channel = Channel(10.0, 10.0)  # Pa: differential sensor of 100 kPa span, assumed


class InstrumentParams:
    """Steps and noises of one run, lowered to numbers."""

    n_cells: I64
    n_temps: I64
    seed: I64
    dt_ns: I64  # time between two reads
    cell_step_v: F64
    cell_noise_v: F64
    cell_steps_per_v: F64
    temp_step_k: F64
    temp_noise_k: F64
    temp_steps_per_k: F64
    step: Annotated[Floats, 6]  # CURRENT, PACK, LINK, SUPPLY, COOLANT, GAS
    noise: Annotated[Floats, 6]


@kernel
def _scalar(p: InstrumentParams, t_ns: int, channel: int, value: float) -> float:
    noisy = value + p.noise[channel] * normal(p.seed, SCALAR, t_ns, channel)
    return float(np.rint(noisy / p.step[channel]) * p.step[channel])


@kernel
def read(p: InstrumentParams, t_ns: int, busy_ns: int, link: Link) -> None:
    """Sample every instrument at ``t_ns`` into ``link.instruments``; an unknown (NaN) pin reads NaN.

    ``busy_ns`` is the bit time the bus has used since the last read.
    """
    pins, seen = link.pins, link.instruments
    seen.t_ns = t_ns
    for c in range(p.n_cells):
        noisy = pins.cell_voltage_v[c] + p.cell_noise_v * normal(p.seed, CELL, t_ns, c)
        seen.cell_voltage_v[c] = np.rint(noisy * p.cell_steps_per_v) * p.cell_step_v
    for i in range(p.n_temps):
        noisy = pins.temperature_degc[i] + p.temp_noise_k * normal(p.seed, TEMP, t_ns, i)
        seen.temperature_degc[i] = np.rint(noisy * p.temp_steps_per_k) * p.temp_step_k
    seen.pack_current_a = _scalar(p, t_ns, CURRENT, pins.pack_current_a)
    seen.pack_voltage_v = _scalar(p, t_ns, PACK, pins.pack_voltage_v)
    seen.link_voltage_v = _scalar(p, t_ns, LINK, pins.link_voltage_v)
    seen.supply_v = _scalar(p, t_ns, SUPPLY, pins.supply_v)
    seen.coolant_temperature_degc = _scalar(p, t_ns, COOLANT, pins.coolant_degc)
    seen.gas_pressure_pa = _scalar(p, t_ns, GAS, pins.gas_pressure_pa)
    seen.bus_load = busy_ns / p.dt_ns


def params(
    n_cells: int, n_temps: int, seed: int, dt_ns: int, accuracy: Accuracy | None = None
) -> Rows[InstrumentParams]:
    """The instruments of a bench with ``n_cells`` emulated cells and ``n_temps`` thermistors, read every ``dt_ns``.

    ``seed`` is the run's; the random numbers come from a stream of their own.

    Raises:
        InputError: more cells or sensors than a record holds, or a step or ``dt_ns`` that is not positive.
    """
    chosen = accuracy or Accuracy()
    volts = (chosen.pack_voltage, chosen.link_voltage, chosen.supply)
    scalars = (chosen.pack_current, *volts, chosen.coolant, chosen.gas_pressure)
    problems = []
    for what, found, most in (("cells", n_cells, CELLS), ("temperature sensors", n_temps, TEMPS)):
        if not 1 <= found <= most:
            problems.append(Problem(f"{what} of the instruments", expected=f"1 to {most}", found=str(found)))
    if not all(channel.step > 0.0 for channel in (chosen.cell_voltage, chosen.temperature, *scalars)):
        problems.append(Problem("step of an instrument", expected="more than 0"))
    if dt_ns <= 0:
        problems.append(Problem("time between two reads", expected="more than 0 ns", found=str(dt_ns)))
    if problems:
        raise InputError(problems)
    made = zeros(InstrumentParams)
    p = view(made)
    p.n_cells, p.n_temps, p.seed = n_cells, n_temps, stream_seed(seed, "instruments")
    p.dt_ns = dt_ns
    p.cell_step_v, p.cell_noise_v = chosen.cell_voltage.step, chosen.cell_voltage.noise
    p.temp_step_k, p.temp_noise_k = chosen.temperature.step, chosen.temperature.noise
    p.cell_steps_per_v, p.temp_steps_per_k = 1.0 / p.cell_step_v, 1.0 / p.temp_step_k
    for i, channel in enumerate(scalars):
        p.step[i], p.noise[i] = channel.step, channel.noise
    return made
