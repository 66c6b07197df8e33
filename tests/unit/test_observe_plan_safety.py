"""The stages observe, plan and safety on rows made by hand, and the law that a stage writes only its own range."""

import itertools
import math

import numpy as np
import pytest

from hil import observe, plan, safety
from hil.codec import e2e
from hil.image import Table, table
from hil.kernel import view, zeros
from hil.protocols.ntc import degc_of, ohm_of
from hil.tick import FrameBits, Link, Switch

CELLS, SENSORS = 4, 2
TABLE = table(CELLS, SENSORS)
REQUEST_ID = 0xF0
PROTECTION = e2e.Protection(REQUEST_ID, False, 8, 7, 8, 4, 14, 1, 0x123, 0, 0)


def column(name: str, index: int = 0, of: Table = TABLE) -> int:
    found = of.find(name)
    assert found is not None, name
    return found.start + index


def time_column(name: str) -> int:
    found = TABLE.find(name)
    assert found is not None
    assert found.time_start >= 0
    return found.time_start


def unknown_row() -> np.ndarray:
    return np.full(TABLE.columns, np.nan)


class Observer:
    """The observe stage with its records and a link to fill."""

    def __init__(self) -> None:
        self.s, self.link, self.row = observe.state(), zeros(Link), unknown_row()
        self.p = observe.params(TABLE, REQUEST_ID, np.asarray(e2e.table([PROTECTION]))[0]["config"][0], 33.0)

    def edge(self, wires: str, switch: Switch, level: int, t_ns: int) -> None:
        edges = np.asarray(self.link)[0][wires]
        n = int(edges["n"])
        edges["slot"][n]["t_ns"], edges["slot"][n]["wire"], edges["slot"][n]["level"] = t_ns, int(switch), level
        edges["n"] = n + 1

    def tick(self, t_ns: int) -> None:
        observe.step(self.s[0], self.p[0], t_ns, self.link[0], self.row)
        link = np.asarray(self.link)[0]
        link["coils"]["n"] = link["poles"]["n"] = 0

    def __getitem__(self, name: str) -> float:
        return float(self.row[column(name)])


TRUTH_TABLE = [
    (coils, poles, 1.0 if poles == (1, 1) else 0.0 if coils == (0, 0) else 2.0)
    for coils in itertools.product((0, 1), repeat=2)
    for poles in itertools.product((0, 1), repeat=2)
]


@pytest.mark.parametrize(("coils", "poles", "wanted"), TRUTH_TABLE)
def test_the_main_contactor_is_what_coils_and_poles_say(
    coils: tuple[int, int], poles: tuple[int, int], wanted: float
) -> None:
    o = Observer()
    for switch, coil, pole in zip((Switch.MAIN_PLUS, Switch.MAIN_MINUS), coils, poles, strict=True):
        o.edge("coils", switch, coil, 1_000)
        o.edge("poles", switch, pole, 2_000)
    o.tick(10_000_000)
    assert o["measured.contactor_main"] == wanted


def test_the_precharge_switch_has_no_part_in_the_main_contactor() -> None:
    o = Observer()
    o.edge("coils", Switch.PRECHARGE, 1, 0)
    o.edge("poles", Switch.PRECHARGE, 1, 0)
    o.tick(0)
    assert (o["measured.contactor_main"], o["measured.pole_precharge"]) == (0.0, 1.0)


def test_contactor_times_are_those_of_the_edges_not_of_the_tick() -> None:
    o = Observer()
    o.edge("coils", Switch.MAIN_PLUS, 1, 3_000_000)
    o.edge("coils", Switch.MAIN_MINUS, 1, 3_100_000)
    o.edge("poles", Switch.MAIN_PLUS, 1, 7_000_000)
    o.edge("poles", Switch.MAIN_MINUS, 1, 8_250_000)
    o.tick(10_000_000)
    assert o.row[time_column("measured.coil_main_plus")] == pytest.approx(3.0e-3, abs=1e-12)
    assert o.row[time_column("measured.contactor_main")] == pytest.approx(8.25e-3, abs=1e-12)
    for switch, coil, pole in ((Switch.MAIN_PLUS, 12, 15), (Switch.MAIN_MINUS, 12, 17)):
        o.edge("coils", switch, 0, coil * 1_000_000)
        o.edge("poles", switch, 0, pole * 1_000_000)
    o.tick(20_000_000)
    assert o["measured.contactor_main"] == 0.0
    # both mains are open at 15 ms; the path itself is the first pole's business, OPEN as judged is the last edge
    assert o.row[time_column("measured.contactor_main")] == pytest.approx(17e-3, abs=1e-12)


def test_an_edge_to_the_level_that_stands_is_no_change() -> None:
    o = Observer()
    o.edge("coils", Switch.PRECHARGE, 1, 1_000_000)
    o.tick(10_000_000)
    o.edge("coils", Switch.PRECHARGE, 1, 11_000_000)
    o.tick(20_000_000)
    assert o.row[time_column("measured.coil_precharge")] == pytest.approx(1e-3)


def test_instruments_go_into_their_columns_and_unknown_stays_unknown() -> None:
    o = Observer()
    seen = np.asarray(o.link)[0]["instruments"]
    seen["cell_voltage_v"][:CELLS] = [3.1, math.nan, 3.3, 3.4]
    seen["temperature_degc"][:SENSORS] = [21.0, 22.0]
    names = ("pack_current_a", "pack_voltage_v", "link_voltage_v", "coolant_temperature_degc", "supply_v", "bus_load")
    seen["gas_pressure_pa"] = 7.0
    for value, name in enumerate(names, 1):
        seen[name] = value
    o.tick(0)
    first = column("measured.cell_voltage")
    np.testing.assert_array_equal(o.row[first : first + CELLS], [3.1, math.nan, 3.3, 3.4])
    measured = (
        "pack_current",
        "pack_voltage",
        "link_voltage",
        "coolant_temperature",
        "supply",
        "bus_load",
        "gas_pressure",
    )
    assert [o[f"measured.{n}"] for n in measured] == [1, 2, 3, 4, 5, 6, 7]
    assert o.row[column("measured.temperature", 1)] == 22.0


def send(o: Observer, counter: int, t_ns: int, spoil: str = "") -> None:
    link = np.asarray(o.link)[0]
    frame = link["tx"]["slot"][0]
    link["tx"]["n"] = 1
    frame["t_ns"], frame["id"], frame["dlc"], frame["bits"] = t_ns, REQUEST_ID, 8, 0
    e2e.protect(frame, o.p[0]["request"], counter)
    if spoil == "crc":
        frame["payload"][7] ^= 1
    if spoil == "lost":
        frame["bits"] = int(FrameBits.LOST)
    if spoil == "other":
        frame["id"] = REQUEST_ID + 1


@pytest.mark.parametrize("spoil", ["crc", "lost", "other", "counter"])
def test_only_a_request_that_a_receiver_would_accept_resets_its_age(spoil: str) -> None:
    o = Observer()
    send(o, 3, 10_000_000)
    o.tick(20_000_000)
    assert o["measured.request_age"] == pytest.approx(0.010)
    send(o, 3 if spoil == "counter" else 4, 20_000_000, spoil)
    o.tick(30_000_000)
    assert o["measured.request_age"] == pytest.approx(0.020)


def planned(values: dict[str, float], vectors: dict[str, list[float]]) -> np.ndarray:
    row = unknown_row()
    for name, value in values.items():
        row[column(name)] = value
    for name, vector in vectors.items():
        row[column(name) : column(name) + len(vector)] = vector
    plan.step(plan.params(TABLE, [3, 1], supply_v=13.5, coolant_degc=18.0)[0], row)
    return row


PLANT = {
    "truth.pack_current": 10.0,
    "truth.pack_voltage": 13.0,
    "truth.link_voltage": 12.5,
    "truth.isolation": 4e6,
    "truth.gas_pressure": 350.0,
    "truth.pole_main_plus": 1.0,
    "truth.pole_main_minus": 0.0,
    "truth.pole_precharge": 1.0,
}
PLANT_VECTORS = {"truth.cell_voltage": [3.1, 3.2, 3.3, 3.4], "truth.cell_temperature": [20.0, 21.0, 22.0, 23.0]}


def test_an_unknown_intent_follows_the_plant() -> None:
    row = planned(PLANT, PLANT_VECTORS)
    at = column("command.cell_voltage")
    assert row[at : at + CELLS].tolist() == [3.1, 3.2, 3.3, 3.4]
    for name in ("pack_current", "pack_voltage", "link_voltage", "isolation", "gas_pressure"):
        assert row[column(f"command.{name}")] == PLANT[f"truth.{name}"]
    # sensor 0 sits on group 3, sensor 1 on group 1
    assert degc_of(row[column("command.thermistor", 0)]) == pytest.approx(23.0, abs=0.01)
    assert degc_of(row[column("command.thermistor", 1)]) == pytest.approx(21.0, abs=0.01)
    assert [row[column(f"command.auxiliary_{s.name.lower()}")] for s in Switch] == [1.0, 0.0, 1.0]


def test_an_unknown_intent_without_a_plant_quantity_means_a_healthy_bench() -> None:
    row = planned(PLANT, PLANT_VECTORS)
    wanted = {
        "load_current": 0.0,
        "supply": 13.5,
        "coolant_temperature": 18.0,
        "hvil": 1.0,
        "wake": 1.0,
        "request": 0.0,
    }
    assert {n: row[column(f"command.{n}")] for n in wanted} == wanted


def test_a_known_intent_wins_and_touches_only_its_own_element() -> None:
    row = planned(PLANT | {"intent.pack_current": -5.0, "intent.hvil": 0.0, "intent.request": 2.0}, PLANT_VECTORS)
    assert [row[column(f"command.{n}")] for n in ("pack_current", "hvil", "request")] == [-5.0, 0.0, 2.0]
    one = planned(PLANT, PLANT_VECTORS | {"intent.cell_voltage": [math.nan, 4.9]})
    at = column("command.cell_voltage")
    assert one[at : at + CELLS].tolist() == [3.1, 4.9, 3.3, 3.4]


def test_cutting_a_wire_is_undone_when_the_next_tick_is_planned() -> None:
    row = unknown_row()
    row[column("command.sense_open", 2)] = 1.0
    row[column("command.sense_resistance", 4)] = 50.0
    plan.step(plan.params(TABLE, [0, 0])[0], row)
    for name in ("sense_open", "sense_resistance"):
        at = column(f"command.{name}")
        assert row[at : at + CELLS + 1].tolist() == [0.0] * (CELLS + 1)


class Limiter:
    """The limiter with a healthy command to spoil."""

    def __init__(self) -> None:
        self.s, self.link, self.row = zeros(safety.SafetyState), zeros(Link), unknown_row()
        self.p = safety.params(TABLE, (0.5, 4.5), (-100.0, 200.0), (-30.0, 70.0))
        for name, count, value in (
            ("cell_voltage", CELLS, 3.3),
            ("sense_open", CELLS + 1, 0.0),
            ("sense_resistance", CELLS + 1, 0.0),
        ):
            at = column(f"command.{name}")
            self.row[at : at + count] = value
        self.row[column("command.thermistor") : column("command.thermistor") + SENSORS] = ohm_of(25.0)
        for name, value in {"coolant_temperature": 25.0, "load_current": 50.0, "hvil": 1.0, "wake": 0.0}.items():
            self.row[column(f"command.{name}")] = value
        for switch in Switch:
            self.row[column(f"command.auxiliary_{switch.name.lower()}")] = 1.0

    def set(self, name: str, value: float, index: int = 0) -> None:
        self.row[column(f"command.{name}", index)] = value

    def limit(self, t_ns: int = 0) -> int:
        return int(safety.limit(self.s[0], self.p[0], t_ns, self.row, self.link[0]))

    def shown(self, name: str, index: int = 0) -> float:
        return float(self.row[column(f"shown.{name}", index)])

    @property
    def trip(self) -> tuple[int, int, float, int]:
        s = view(self.s)
        return int(s.trip), int(s.element), float(s.value), int(s.t_ns)


def test_a_command_inside_the_envelope_passes_unchanged() -> None:
    x = Limiter()
    x.set("cell_voltage", 4.5, 1)  # the bounds belong to the envelope
    x.set("cell_voltage", 0.5, 2)
    assert x.limit() == 0
    assert [x.shown("cell_voltage", i) for i in range(CELLS)] == [3.3, 4.5, 0.5, 3.3]
    assert x.shown("load_current") == 50.0
    pins = np.asarray(x.link)[0]["pins"]
    assert pins["cell_voltage_v"][:CELLS].tolist() == [3.3, 4.5, 0.5, 3.3]
    assert pins["auxiliary"].tolist() == [1, 1, 1]
    assert (int(pins["hvil"]), int(pins["wake"])) == (1, 0)


@pytest.mark.parametrize(
    ("name", "index", "value", "shown", "kind"),
    [
        ("cell_voltage", 2, 4.6, 4.5, safety.Trip.CELL_VOLTAGE),
        ("cell_voltage", 0, 0.4, 0.5, safety.Trip.CELL_VOLTAGE),
        ("cell_voltage", 3, math.inf, 4.5, safety.Trip.CELL_VOLTAGE),
        ("load_current", 0, 201.0, 0.0, safety.Trip.PACK_CURRENT),
        ("load_current", 0, -101.0, 0.0, safety.Trip.PACK_CURRENT),
        ("coolant_temperature", 0, 71.0, 70.0, safety.Trip.TEMPERATURE),
        ("coolant_temperature", 0, -31.0, -30.0, safety.Trip.TEMPERATURE),
    ],
)
def test_a_command_outside_is_held_at_the_bound_and_trips(
    name: str, index: int, value: float, shown: float, kind: safety.Trip
) -> None:
    x = Limiter()
    x.set(name, value, index)
    assert x.limit(70_000_000) == 1
    assert x.shown(name, index) == shown
    assert x.trip == (int(kind), index, value, 70_000_000)
    assert x.shown("load_current") == 0.0


@pytest.mark.parametrize(
    ("name", "shown"), [("cell_voltage", 0.5), ("load_current", 0.0), ("coolant_temperature", -30.0)]
)
def test_an_unknown_command_never_goes_out(name: str, shown: float) -> None:
    x = Limiter()
    x.set(name, math.nan)
    assert x.limit() == 1
    assert x.trip[0] == int(safety.Trip.UNKNOWN_COMMAND)
    assert x.shown(name) == shown


def test_a_trip_is_latched_with_its_first_cause_and_the_load_stays_off() -> None:
    x = Limiter()
    x.set("cell_voltage", 4.8, 1)
    x.limit(10)
    x.set("cell_voltage", 3.3, 1)
    x.set("coolant_temperature", 99.0)
    assert x.limit(20) == 1
    assert x.trip == (int(safety.Trip.CELL_VOLTAGE), 1, 4.8, 10)
    x.set("coolant_temperature", 25.0)
    assert x.limit(30) == 1
    assert x.shown("load_current") == 0.0
    assert x.shown("cell_voltage", 1) == 3.3


def test_a_cut_wire_and_a_thermistor_reach_the_pins() -> None:
    x = Limiter()
    x.set("sense_open", 1.0, 3)
    x.set("thermistor", ohm_of(60.0), 1)
    x.set("sense_resistance", 4.5, 1)
    x.set("sense_resistance", 2.0, 4)
    x.set("gas_pressure", 800.0)
    x.limit()
    pins = np.asarray(x.link)[0]["pins"]
    assert pins["sense_ohm"][: CELLS + 1].tolist() == [0.0, 4.5, 0.0, 0.0, 2.0]
    assert x.shown("sense_resistance") == 4.5
    assert pins["gas_pressure_pa"] == x.shown("gas_pressure") == 800.0
    assert pins["sense_open"][: CELLS + 1].tolist() == [0, 0, 0, 1, 0]
    assert x.shown("temperature", 1) == pytest.approx(60.0, abs=0.01)
    assert pins["temperature_degc"][0] == pytest.approx(25.0, abs=0.01)
