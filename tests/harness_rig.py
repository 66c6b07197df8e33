"""A harness on a small stack, and a second way to solve its wires: every node of the drawing in one dense matrix."""

from dataclasses import replace

import numpy as np

from hil.kernel import view, zeros
from hil.tick import CELLS, DutInputs, Link, OpenWireTest
from hil.virtual import harness
from hil.virtual.harness import FrontEnd, Sensor, Sensors

IDEAL = FrontEnd(noise_v=0.0, offset_v=0.0, gain_error=0.0)
EXACT = Sensors(
    current=Sensor(0.010), pack_voltage=Sensor(0.010), link_voltage=Sensor(0.010), supply=Sensor(0.010), temp_noise=0.0
)


class Wires:
    """``n`` cells and four thermistors; ``read`` gives the converters' results."""

    def __init__(self, volts, seed=1, front_end=IDEAL, sensors=EXACT, **more):
        self.n, self.front_end = len(volts), replace(front_end, **more)
        self.p = harness.params(self.n, 4, seed, self.front_end, sensors)
        self.s, self.link, self.out = zeros(harness.HarnessState), zeros(Link), zeros(DutInputs)
        self.pins = view(self.link).pins
        self.pins.cell_voltage_v[: self.n] = volts
        self.pins.thermistor_ohm[:4] = 10e3
        self.bleed = np.zeros(CELLS, np.int32)

    def read(self, t_ns=0, test=OpenWireTest.NONE):
        harness.sample(self.s[0], self.p[0], t_ns, self.link[0]["pins"], self.bleed, int(test), self.out[0])
        return view(self.out)

    def codes(self, **more):
        return [int(code) for code in self.read(**more).cell_code[: self.n]]


def dense(wires: Wires, test: OpenWireTest) -> np.ndarray:
    """Codes from nodal analysis: tap -wire- end -filter- pin, bleeds between ends, input resistances between pins."""
    fe, n = wires.front_end, wires.n
    volts, cut = np.asarray(wires.pins.cell_voltage_v[:n]), wires.pins.sense_open
    taps = np.concatenate([[0.0], np.cumsum(volts)])
    matrix, right = np.zeros((2 * n + 2, 2 * n + 2)), np.zeros(2 * n + 2)

    def join(a, b, ohm):
        for i, j in ((a, b), (b, a)):
            matrix[i, i] += 1.0 / ohm
            matrix[i, j] -= 1.0 / ohm

    driven_a = {OpenWireTest.NONE: 0.0, OpenWireTest.PULL_UP: 1.0, OpenWireTest.PULL_DOWN: -1.0}[test]
    for i in range(n + 1):
        end, pin = 2 * i, 2 * i + 1
        if not cut[i]:
            wire_ohm = fe.sense_wire_ohm + float(wires.pins.sense_ohm[i])
            matrix[end, end] += 1.0 / wire_ohm
            right[end] += taps[i] / wire_ohm
        join(end, pin, fe.filter_ohm)
        right[pin] += driven_a * fe.test_current_a
        if i < n:
            join(pin, pin + 2, fe.input_ohm)
            if wires.bleed[i]:
                join(end, end + 2, fe.bleed_ohm)
    pins = np.linalg.solve(matrix, right)[1::2]
    return np.clip(np.rint(np.diff(pins) / fe.code_v), 0, fe.code_max)
