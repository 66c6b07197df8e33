"""The bench's own instruments: resolution, noise, and where they are connected."""

from dataclasses import fields

import numpy as np
import pytest

from hil.errors import InputError
from hil.kernel import view, zeros
from hil.tick import CELLS, Link
from hil.virtual import instruments
from hil.virtual.instruments import Accuracy, Channel

MS = 1_000_000
QUIET = Accuracy(**{f.name: Channel(f.default.step, 0.0) for f in fields(Accuracy)})


class Desk:
    def __init__(self, n_cells=96, seed=1, accuracy=QUIET):
        self.p = instruments.params(n_cells, 32, seed, 10 * MS, accuracy)
        self.link = zeros(Link)
        self.pins = view(self.link).pins
        self.pins.cell_voltage_v[:n_cells] = 3.3
        self.pins.temperature_degc[:32] = 25.0
        self.pins.pack_current_a, self.pins.pack_voltage_v, self.pins.link_voltage_v = 100.0, 317.0, 316.0
        self.pins.supply_v, self.pins.coolant_degc, self.pins.gas_pressure_pa = 12.0, 20.0, 4996.0

    def read(self, t_ns=10 * MS, busy_ns=0):
        instruments.read(self.p[0], t_ns, busy_ns, self.link[0])
        return view(self.link).instruments


def test_every_instrument_reads_its_pin_rounded_to_its_step():
    desk = Desk()
    desk.pins.cell_voltage_v[:2] = [3.30004, 3.30006]
    desk.pins.temperature_degc[:2] = [-10.004, 55.006]
    desk.pins.pack_current_a = -99.9996
    seen = desk.read(t_ns=30 * MS)
    np.testing.assert_allclose(seen.cell_voltage_v[:3], [3.3, 3.3001, 3.3], atol=1e-12)
    np.testing.assert_allclose(seen.temperature_degc[:3], [-10.0, 55.01, 25.0], atol=1e-12)
    found = (seen.pack_current_a, seen.pack_voltage_v, seen.link_voltage_v, seen.supply_v)
    np.testing.assert_allclose(found, (-100.0, 317.0, 316.0, 12.0), atol=1e-12)
    assert seen.coolant_temperature_degc == pytest.approx(20.0)
    assert seen.gas_pressure_pa == pytest.approx(5000.0)
    assert seen.t_ns == 30 * MS


def test_a_cut_sense_wire_does_not_change_what_the_source_reads_back():
    desk = Desk()
    desk.pins.sense_open[40] = 1
    assert desk.read().cell_voltage_v[40] == pytest.approx(3.3)


def test_an_unknown_pin_reads_unknown_and_only_there():
    desk = Desk()
    desk.pins.cell_voltage_v[5] = desk.pins.pack_current_a = desk.pins.coolant_degc = np.nan
    seen = desk.read()
    assert np.isnan([seen.cell_voltage_v[5], seen.pack_current_a, seen.coolant_temperature_degc]).all()
    assert np.isfinite([seen.cell_voltage_v[4], seen.cell_voltage_v[6], seen.pack_voltage_v]).all()


def test_bus_load_is_busy_time_over_the_time_between_two_reads():
    assert Desk().read(busy_ns=1_700_000).bus_load == pytest.approx(0.17)


def test_noise_depends_on_seed_and_instant_alone_and_is_as_large_as_stated():
    first, again, other = (Desk(seed=seed, accuracy=Accuracy()) for seed in (7, 7, 8))
    first.read(t_ns=0)
    assert first.read().tobytes() == again.read().tobytes()
    assert first.read().tobytes() != other.read().tobytes()
    errors = np.array([first.read(t_ns=k)["cell_voltage_v"][:96].copy() for k in range(100)]) - 3.3
    assert 0.95e-4 < errors.std() < 1.15e-4  # 0.1 mV and 0.03 mV of rounding
    assert np.abs(errors).max() < 0.5e-3  # what the shipped bench file declares


def test_the_largest_stack_is_read_to_its_last_cell():
    assert Desk(n_cells=CELLS).read().cell_voltage_v[CELLS - 1] == pytest.approx(3.3)


@pytest.mark.parametrize(
    ("n_cells", "dt_ns", "accuracy"),
    [(0, 1, QUIET), (CELLS + 1, 1, QUIET), (4, 0, QUIET), (4, 1, Accuracy(supply=Channel(0.0, 0.0)))],
)
def test_instruments_that_cannot_be_are_refused(n_cells, dt_ns, accuracy):
    with pytest.raises(InputError):
        instruments.params(n_cells, 4, 1, dt_ns, accuracy)
