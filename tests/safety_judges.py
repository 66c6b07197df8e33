"""Judges of the limiter: what goes out is what was commanded, or held at the envelope with a trip that stays.

Each takes the copies (``safety``), healthy or mutated, as plain Python, and raises where a law is broken. Cheapest first.
"""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from hil.campaign.mutate.plain import as_object
from hil.image import table
from hil.kernel import zeros
from hil.protocols.ntc import degc_of
from hil.tick import Pins, Switch

CELLS, SENSORS = 3, 2
TABLE = table(CELLS, SENSORS)
ENVELOPE = {"cell_voltage_v": (0.5, 4.5), "pack_current_a": (-100.0, 200.0), "coolant_degc": (-30.0, 70.0)}
COMMANDED = {
    "cell_voltage": (3.1, 3.2, 3.3),
    "sense_open": (0.0, 1.0, 0.0, 2.0),
    "thermistor": (10e3, 5e3),
    "coolant_temperature": (24.0,),
    "load_current": (51.0,),
    "pack_current": (11.0,),
    "pack_voltage": (12.0,),
    "link_voltage": (13.0,),
    "isolation": (14.0,),
    "gas_pressure": (16.0,),
    "sense_resistance": (0.0, 2.5, 0.0, 1.5),
    "supply": (15.0,),
    "hvil": (2.0,),
    "wake": (5.0,),
    "auxiliary_main_plus": (0.0,),
    "auxiliary_main_minus": (3.0,),
    "auxiliary_precharge": (4.0,),
}
LIMITED = {  # what is kept inside the envelope: bounds, kind of trip
    "cell_voltage": (*ENVELOPE["cell_voltage_v"], 1),
    "load_current": (*ENVELOPE["pack_current_a"], 2),
    "coolant_temperature": (*ENVELOPE["coolant_degc"], 3),
}


class Limiter:
    """The stage on a row and pins of its own; every column that nobody should touch holds a number of its own."""

    def __init__(self, copies: Any) -> None:
        self.stage = copies.safety
        self.s = as_object(zeros(self.stage.SafetyState))
        self.p = as_object(self.stage.params(TABLE, *ENVELOPE.values()))
        self.link = SimpleNamespace(pins=as_object(zeros(Pins)))
        self.row = 1e6 + np.arange(TABLE.columns, dtype=float)
        for name, values in COMMANDED.items():
            self.columns(f"command.{name}")[:] = values

    def columns(self, name: str) -> np.ndarray:
        found = TABLE.find(name)
        assert found is not None, name
        return self.row[found.start : found.start + found.count]

    def limit(self, t_ns: int = 40) -> int:
        return int(self.stage.limit(self.s, self.p, t_ns, self.row, self.link))

    def shown(self, name: str) -> tuple[float, ...]:
        return tuple(self.columns(f"shown.{name}").tolist())

    @property
    def trip(self) -> tuple[float, ...]:
        return self.s.trip, self.s.element, self.s.value, self.s.t_ns


def judge_passing(copies: Any) -> None:
    """A command inside the envelope is shown as it is, on the row and on the pins, and nothing else is written."""
    x = Limiter(copies)
    before = x.row.copy()
    assert x.limit() == 0
    for name, values in COMMANDED.items():
        want = (max(values),) if name == "sense_resistance" else values  # the largest stands for all wires
        assert x.shown(name) == want, name
        x.columns(f"shown.{name}")[:] = np.nan
    degc = tuple(degc_of(ohm) for ohm in COMMANDED["thermistor"])
    assert x.shown("temperature") == degc
    x.columns("shown.temperature")[:] = np.nan
    assert (x.row == before)[~np.isnan(x.row)].all()
    pins = x.link.pins
    assert tuple(pins.cell_voltage_v[: CELLS + 1]) == (3.1, 3.2, 3.3, 0.0)
    assert pins.sense_open[: CELLS + 2].tolist() == [0, 1, 0, 1, 0]
    assert tuple(pins.thermistor_ohm[: SENSORS + 1]) == (10e3, 5e3, 0.0)
    assert tuple(pins.temperature_degc[: SENSORS + 1]) == (*degc, 0.0)
    scalars = (pins.coolant_degc, pins.pack_current_a, pins.pack_voltage_v, pins.link_voltage_v, pins.isolation_ohm)
    assert scalars == (24.0, 11.0, 12.0, 13.0, 14.0)
    assert pins.gas_pressure_pa == 16.0
    assert tuple(pins.sense_ohm[: CELLS + 2]) == (*COMMANDED["sense_resistance"], 0.0)
    assert (pins.supply_v, pins.hvil, pins.wake, pins.auxiliary.tolist()) == (15.0, 1, 1, [0, 1, 1])
    for name, levels in (("hvil", (0, 1)), ("wake", (0, 0))):
        x.columns(f"command.{name}")[:] = 0.0
        x.limit()
        assert (pins.hvil, pins.wake) == levels


def judge_temperature(copies: Any) -> None:
    """A thermistor that did not move keeps the temperature found for it; one that moved gets a new one."""
    x = Limiter(copies)
    x.limit()
    x.s.degc[0] = 99.0
    x.columns("command.thermistor")[1] = 20e3
    x.limit()
    assert x.shown("temperature") == (99.0, degc_of(20e3))
    assert x.s.ohm[:SENSORS].tolist() == [10e3, 20e3]


def judge_bounds(copies: Any) -> None:
    """At a bound nothing happens, beyond it the value is held there and trips, whichever way; the load goes to zero."""
    for name, (low, high, kind) in LIMITED.items():
        last = len(COMMANDED[name]) - 1
        for value, held in (
            (low, low),
            (high, high),
            (low - 0.1, low),
            (high + 0.1, high),
            (math.inf, high),
            (-math.inf, low),
            (math.nan, low),
        ):
            x = Limiter(copies)
            x.columns(f"command.{name}")[last] = value
            tripped = value != held
            assert x.limit(70) == int(tripped)
            wanted = 4 if math.isnan(value) else kind
            assert not tripped or np.array_equal(x.trip, (wanted, last, value, 70), equal_nan=True)
            assert tripped or x.trip == (0, 0, 0.0, 0)
            if name != "load_current" or not tripped:
                assert x.shown(name)[last] == held
                assert x.shown("load_current") == ((0.0,) if tripped else (value if name == "load_current" else 51.0,))
            else:
                assert x.shown(name) == (0.0,)
    assert x.link.pins.coolant_degc == -30.0


def judge_latch(copies: Any) -> None:
    """The first cause stays, and the load stays off when the command is good again."""
    x = Limiter(copies)
    x.columns("command.cell_voltage")[1] = 4.8
    assert x.limit(10) == 1
    x.columns("command.coolant_temperature")[:] = 99.0
    x.columns("command.cell_voltage")[1] = 3.3
    assert x.limit(20) == 1
    assert x.trip == (1, 1, 4.8, 10)
    assert (x.shown("load_current"), x.shown("cell_voltage")[1]) == ((0.0,), 3.3)


def judge_params(copies: Any) -> None:
    """The envelope and the counts, as given and by default; where the auxiliary contacts stand."""
    p = copies.safety.params(TABLE, *ENVELOPE.values())
    one = as_object(p)
    assert (one.n_cells, one.n_temps) == (CELLS, SENSORS)
    for switch in Switch:
        for kind, columns in (("command", one.command_auxiliary), ("shown", one.shown_auxiliary)):
            found = TABLE.find(f"{kind}.auxiliary_{switch.name.lower()}")
            assert found is not None
            assert columns[switch] == found.start
    usual = as_object(copies.safety.params(TABLE))
    assert (usual.cell_voltage_low_v, usual.cell_voltage_high_v) == (0.0, 5.0)
    assert (usual.pack_current_low_a, usual.pack_current_high_a) == (-500.0, 500.0)
    assert (usual.coolant_low_degc, usual.coolant_high_degc) == (-40.0, 80.0)


def judge_codes(copies: Any) -> None:
    """The codes of a trip are part of the record: they do not move."""
    trip = copies.safety.Trip
    assert [(t.name, t.value) for t in trip] == [
        ("NONE", 0),
        ("CELL_VOLTAGE", 1),
        ("PACK_CURRENT", 2),
        ("TEMPERATURE", 3),
        ("UNKNOWN_COMMAND", 4),
    ]


JUDGES: tuple[Callable[[Any], None], ...] = (
    judge_codes,
    judge_params,
    judge_passing,
    judge_temperature,
    judge_latch,
    judge_bounds,
)
