"""The wires into the DUT and its converters: from what the bench shows to the integer codes every DUT computes with.

One sense wire more than cells. Wire i joins tap i of the stack to the front end through its own resistance; balancing
resistors sit between the ends of neighbouring wires; behind each end a filter resistor leads to the converter's pin.
Between neighbouring pins there is the input resistance, which matters only where a wire is open: the pin then floats
between its neighbours, and the open-wire test current, driven into every pin while it is sampled, moves it. Kirchhoff's
current law is one tridiagonal system per chain of coupled wires, for their ends and then for their pins. A wire
of raised resistance is solved like an open one. Undisturbed wires are not solved: equal shifts cancel in a cell's reading.

All is settled at the sample: filters are fast against the time since the bench changed its outputs.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from hil.errors import InputError, Problem
from hil.kernel import F64, I64, Floats, Ints32, Rows, kernel, normal, stream_seed, view, zeros
from hil.tick import CELLS, SWITCHES, TEMPS, WIRES, DutInputs, OpenWireTest, Pins

NO_CODE = 65535  # what a cleared result register of an LTC68xx holds; stands for an unknown input
NO_VALUE = -2147483648  # an unknown current or voltage: the smallest 32-bit number
TEMP_FULL = 4095  # full scale of the 12-bit divider ratio
PULL_UP, PULL_DOWN = int(OpenWireTest.PULL_UP), int(OpenWireTest.PULL_DOWN)
CELL, TEMP, SCALAR, ERROR = 0, 1, 2, 3  # random streams
CURRENT, PACK, LINK, SUPPLY = 0, 1, 2, 3  # channels of the scalar streams


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """Cell sensing of LTC6813 class. Errors are one standard deviation; the noise generator ends at 3.47 of them."""

    sense_wire_ohm: float = 0.5  # wire, connector and board fuse; the pack file says it
    filter_ohm: float = 100.0  # data sheet, typical application: 100 ohm in series with each C pin
    bleed_ohm: float = 33.0  # data sheet, typical application: 33 ohm, about 100 mA; the pack file says it
    input_ohm: float = 10e6  # 3.3 V over the sub-microampere input leakage of the data sheet
    test_current_a: float = 100e-6  # data sheet, ADOW command: 100 uA source or sink
    code_v: float = 100e-6  # data sheet: 16 bits, 100 uV each
    code_max: int = 57300  # data sheet: range -0.82 V to 5.73 V, negative readings are rounded to 0
    noise_v: float = 0.3e-3  # rms of the 7 kHz mode, assumed
    offset_v: float = 0.3e-3  # with gain_error 2.1 mV at 3.7 V and 3.47 sigma: total measurement error 2.2 mV
    gain_error: float = 80e-6


@dataclass(frozen=True, slots=True)
class Sensor:
    """A scalar input: what one count is, and its errors, one standard deviation each."""

    step: float
    noise: float = 0.0
    offset: float = 0.0
    gain_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Sensors:
    """All that is not a cell voltage, in A, V and ohm; IVT-S class: 3.47 sigma stay below 0.5 % + 0.1 A."""

    current: Sensor = Sensor(step=0.010, noise=0.020, offset=0.010, gain_error=0.001)
    pack_voltage: Sensor = Sensor(step=0.010, noise=0.020, offset=0.030, gain_error=0.001)
    link_voltage: Sensor = Sensor(step=0.010, noise=0.020, offset=0.030, gain_error=0.001)
    supply: Sensor = Sensor(step=0.010, noise=0.005)  # 12 bits over 40 V
    isolation_max_ohm: float = 50e6  # full scale of common isolation monitors
    pull_up_ohm: float = 10e3  # thermistor divider, as in the BMS's limits file
    temp_noise: float = 0.5  # counts of the 12-bit converter, assumed


class HarnessParams:
    """The wires and converters of one run, lowered to numbers."""

    n_cells: I64
    n_temps: I64
    seed: I64
    wire_s: F64
    filter_s: F64
    bleed_s: F64
    input_s: F64
    test_a: F64
    common_ohm: F64  # what the test current shifts an intact pin by: wire and filter
    code_max: F64
    noise_codes: F64
    gain_codes: Annotated[Floats, CELLS]  # codes per volt
    offset_codes: Annotated[Floats, CELLS]
    pull_up_ohm: F64
    temp_noise: F64
    isolation_max_ohm: F64
    step: Annotated[Floats, 4]  # scalars in the order CURRENT, PACK, LINK, SUPPLY; in A and V
    noise: Annotated[Floats, 4]
    offset: Annotated[Floats, 4]
    gain: Annotated[Floats, 4]


class HarnessState:
    """Working room of the sample; nothing is carried from one sample to the next."""

    input_v: Annotated[Floats, CELLS]  # between neighbouring pins
    shift_v: Annotated[Floats, WIRES]  # pin against its tap
    tap_v: Annotated[Floats, WIRES]  # tap against the chain's first
    node_v: Annotated[Floats, WIRES]  # wire end, then pin, the same
    source_v: Annotated[Floats, WIRES]  # what holds a node, by how much, and what joins it to the next
    hold_s: Annotated[Floats, WIRES]
    join_s: Annotated[Floats, WIRES]
    upper: Annotated[Floats, WIRES]  # elimination


@kernel
def _is_joined(pins: Pins, bleed: Ints32, c: int) -> bool:
    """Whether wires c and c + 1 influence each other."""
    corroded = pins.sense_ohm[c] > 0.0 or pins.sense_ohm[c + 1] > 0.0
    return bool(bleed[c] | pins.sense_open[c] | pins.sense_open[c + 1]) or corroded


@kernel
def _eliminate(s: HarnessState, first: int, last: int, test_a: float) -> None:
    """Node voltages of a chain into ``node_v``: each node held at ``source_v`` by ``hold_s``, joined by ``join_s``."""
    below_s, below_upper, below_v = 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        above_s = s.join_s[i] if i < last else 0.0
        part = 1.0 / (s.hold_s[i] + below_s * (1.0 - below_upper) + above_s)
        below_v = (s.hold_s[i] * s.source_v[i] + test_a + below_s * below_v) * part
        below_s, below_upper = above_s, above_s * part
        s.upper[i], s.node_v[i] = below_upper, below_v
    for i in range(last - 1, first - 1, -1):
        s.node_v[i] += s.upper[i] * s.node_v[i + 1]


@kernel
def _wire_ends(s: HarnessState, p: HarnessParams, pins: Pins, bleed: Ints32, first: int, last: int) -> int:
    """Lay out the chain of wire ends, held by the taps; returns how many of its wires are intact."""
    intact = 0
    s.tap_v[first] = 0.0
    for i in range(first, last + 1):
        if i > first:
            volt = pins.cell_voltage_v[i - 1]
            s.tap_v[i] = s.tap_v[i - 1] + (volt if volt == volt else 0.0)
        is_open = pins.sense_open[i] != 0
        intact += 0 if is_open else 1
        s.hold_s[i] = 0.0 if is_open else p.wire_s / (1.0 + p.wire_s * pins.sense_ohm[i])
        s.source_v[i] = s.tap_v[i]
        if i < last:
            # Between two intact wires the input resistance moves nothing and is left out.
            weak = is_open or pins.sense_open[i + 1] != 0 or pins.sense_ohm[i] + pins.sense_ohm[i + 1] > 0.0
            leak_s = p.input_s if weak else 0.0
            s.join_s[i] = leak_s + (p.bleed_s if bleed[i] != 0 else 0.0)
    return intact


@kernel
def _pins(s: HarnessState, p: HarnessParams, pins: Pins, bleed: Ints32, first: int, last: int) -> None:
    """Lay out the chain of pins, held by the wire ends just solved; an open end with no balancing holds nothing."""
    for i in range(first, last + 1):
        is_bled = (i > first and bleed[i - 1] != 0) or (i < last and bleed[i] != 0)
        is_open = pins.sense_open[i] != 0
        s.hold_s[i] = 0.0 if is_open and not is_bled else p.filter_s
        s.source_v[i] = s.node_v[i]
        if i < last:
            s.join_s[i] = p.input_s if is_open or pins.sense_open[i + 1] != 0 else 0.0


@kernel
def _disturb(s: HarnessState, p: HarnessParams, pins: Pins, bleed: Ints32, test_a: float) -> None:
    """Correct ``input_v`` for open wires and balancing.

    The ends are solved first, then the pins on them. In the first step the input resistances hang on the ends, which
    leaves out a filter against an input resistance, 1e-5 of the voltage of an open and balancing wire.
    """
    for i in range(p.n_cells + 1):
        s.shift_v[i] = test_a * p.common_ohm
    first = 0
    while first < p.n_cells:
        last = first
        while last < p.n_cells and _is_joined(pins, bleed, last):
            last += 1
        if last > first:
            intact = _wire_ends(s, p, pins, bleed, first, last)
            if intact == 0:  # only the whole stack can hang in the air
                for c in range(p.n_cells):
                    s.input_v[c] = 0.0
                return
            _eliminate(s, first, last, test_a)
            on_pin_v = test_a / p.filter_s
            if intact <= last - first:
                _pins(s, p, pins, bleed, first, last)
                _eliminate(s, first, last, test_a)
                on_pin_v = 0.0
            for i in range(first, last + 1):
                s.shift_v[i] = s.node_v[i] - s.tap_v[i] + on_pin_v
        first = last + 1
    for c in range(p.n_cells):
        s.input_v[c] += s.shift_v[c + 1] - s.shift_v[c]


@kernel
def _cells(s: HarnessState, p: HarnessParams, t_ns: int, pins: Pins, bleed: Ints32, test: int, out: DutInputs) -> None:
    disturbed = pins.sense_open[p.n_cells] != 0 or pins.sense_ohm[p.n_cells] > 0.0
    for c in range(p.n_cells):
        s.input_v[c] = pins.cell_voltage_v[c]
        disturbed |= (pins.sense_open[c] | bleed[c]) != 0 or pins.sense_ohm[c] > 0.0
    if disturbed:
        test_a = p.test_a if test == PULL_UP else (-p.test_a if test == PULL_DOWN else 0.0)
        _disturb(s, p, pins, bleed, test_a)
    for c in range(p.n_cells):
        codes = s.input_v[c] * p.gain_codes[c] + p.offset_codes[c] + p.noise_codes * normal(p.seed, CELL, t_ns, c)
        held = min(max(np.rint(codes), 0.0), p.code_max)
        out.cell_code[c] = np.int32(held) if codes == codes else NO_CODE


@kernel
def _temperatures(p: HarnessParams, t_ns: int, pins: Pins, out: DutInputs) -> None:
    for i in range(p.n_temps):
        ratio = 1.0 / (1.0 + p.pull_up_ohm / max(pins.thermistor_ohm[i], 0.0))  # 0 ohm: 0; infinite: 1
        codes = TEMP_FULL * ratio + p.temp_noise * normal(p.seed, TEMP, t_ns, i)
        held = min(max(np.rint(codes), 0.0), float(TEMP_FULL))
        out.temp_code[i] = np.int32(held) if codes == codes else TEMP_FULL


@kernel
def _milli(p: HarnessParams, t_ns: int, channel: int, value: float) -> int:
    """What a scalar input reads, in thousandths of A or V."""
    if value != value:
        return NO_VALUE
    seen = value * p.gain[channel] + p.offset[channel] + p.noise[channel] * normal(p.seed, SCALAR, t_ns, channel)
    held = min(max(np.rint(seen / p.step[channel]) * p.step[channel] * 1000.0, -2e9), 2e9)
    return int(np.rint(held))


@kernel
def sample(
    s: HarnessState,
    p: HarnessParams,
    t_ns: int,
    pins: Pins,
    bleed: Ints32,
    open_wire_test: int,
    out: DutInputs,
) -> None:
    """Fill ``out`` with what the DUT's converters read at ``t_ns``.

    ``bleed`` holds one balancing switch a cell, ``open_wire_test`` an OpenWireTest. An unknown (NaN) cell voltage reads
    NO_CODE, an unknown resistance full scale, an unknown current, voltage or isolation NO_VALUE.
    """
    out.t_ns = t_ns
    _cells(s, p, t_ns, pins, bleed, open_wire_test, out)
    _temperatures(p, t_ns, pins, out)
    out.pack_current_ma = _milli(p, t_ns, CURRENT, pins.pack_current_a)
    out.pack_voltage_mv = _milli(p, t_ns, PACK, pins.pack_voltage_v)
    out.link_voltage_mv = _milli(p, t_ns, LINK, pins.link_voltage_v)
    out.supply_mv = _milli(p, t_ns, SUPPLY, pins.supply_v)
    ohm = pins.isolation_ohm
    held = min(max(ohm, 0.0), p.isolation_max_ohm)
    out.isolation_kohm = int(np.rint(held * 1e-3)) if ohm == ohm else NO_VALUE
    for i in range(SWITCHES):
        out.auxiliary[i] = pins.auxiliary[i]
    out.hvil = pins.hvil
    out.wake = pins.wake


def params(
    n_cells: int,
    n_temps: int,
    seed: int,
    front_end: FrontEnd | None = None,
    sensors: Sensors | None = None,
) -> Rows[HarnessParams]:
    """The wires of a pack; systematic errors are drawn once and stay for the run.

    ``seed`` is the run's; the random numbers come from a stream of their own.

    Raises:
        InputError: more cells or sensors than a record holds, or a resistance or step that is not positive.
    """
    fe, sn = front_end or FrontEnd(), sensors or Sensors()
    scalars = (sn.current, sn.pack_voltage, sn.link_voltage, sn.supply)
    _refuse(n_cells, n_temps, fe, sn, scalars)
    made = zeros(HarnessParams)
    p = view(made)
    p.n_cells, p.n_temps, p.seed = n_cells, n_temps, stream_seed(seed, "harness")
    p.wire_s, p.bleed_s, p.input_s = 1.0 / fe.sense_wire_ohm, 1.0 / fe.bleed_ohm, 1.0 / fe.input_ohm
    p.filter_s, p.test_a, p.common_ohm = 1.0 / fe.filter_ohm, fe.test_current_a, fe.sense_wire_ohm + fe.filter_ohm
    p.code_max, p.noise_codes = fe.code_max, fe.noise_v / fe.code_v
    for c in range(n_cells):
        p.gain_codes[c] = (1.0 + fe.gain_error * normal(p.seed, ERROR, 0, c)) / fe.code_v
        p.offset_codes[c] = fe.offset_v * normal(p.seed, ERROR, 1, c) / fe.code_v
    p.pull_up_ohm, p.temp_noise, p.isolation_max_ohm = sn.pull_up_ohm, sn.temp_noise, sn.isolation_max_ohm
    for i, sensor in enumerate(scalars):
        p.step[i], p.noise[i] = sensor.step, sensor.noise
        p.gain[i] = 1.0 + sensor.gain_error * normal(p.seed, ERROR, 2, i)
        p.offset[i] = sensor.offset * normal(p.seed, ERROR, 3, i)
    return made


def _refuse(n_cells: int, n_temps: int, fe: FrontEnd, sn: Sensors, scalars: tuple[Sensor, ...]) -> None:
    problems = []
    for what, found, most in (("cells", n_cells, CELLS), ("temperature sensors", n_temps, TEMPS)):
        if not 1 <= found <= most:
            problems.append(Problem(f"{what} of the harness", expected=f"1 to {most}", found=str(found)))
    positive = {
        "sense_wire_ohm": fe.sense_wire_ohm,
        "filter_ohm": fe.filter_ohm,
        "bleed_ohm": fe.bleed_ohm,
        "input_ohm": fe.input_ohm,
        "code_v": fe.code_v,
        "pull_up_ohm": sn.pull_up_ohm,
        "step": min(sensor.step for sensor in scalars),
    }
    problems += [
        Problem(f"harness: {what}", expected="more than 0", found=str(found))
        for what, found in positive.items()
        if not found > 0.0
    ]
    if problems:
        raise InputError(problems)
