"""A pack of plant cells driven through the twin, its delta filters and its tests, in one compiled loop.

Plant and twin are those of a tick (``hil.plant.pack``, ``hil.twin.step``); between them stand sensors with noise, offset,
bias and gain. ``Drive`` sets up one run; ``Drive.run`` moves it on.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from hil.files.pack import PackModel
from hil.image import Table, bind, table
from hil.kernel import F64, I64, Floats, Ints, Ints32, Rows, kernel, normal, stream_seed, zeros
from hil.plant import pack as plant
from hil.tick import CELLS, COLUMNS, TEMPS, Edges
from hil.twin import step as twin

DRIVING, EMPTY, CHARGING, FULL = range(4)
BALANCE_S = 600.0


class Sensors:
    """What stands between the pack and what is measured of it."""

    seed: I64
    noise_v: F64
    noise_a: F64
    noise_k: F64
    bias_a: F64
    gain: F64
    offset_v: Annotated[Floats, CELLS]
    offset_k: Annotated[Floats, TEMPS]
    bleed: Annotated[Floats, CELLS]  # measured balancing current over the true one


class Course:
    """Driving by a cycle from ``high`` to ``low``, rest, charge, rest, and again; and the short."""

    phase: I64
    since_s: F64
    ridden_s: F64  # of the cycle
    low: F64
    high: F64
    rest_s: F64
    charge_a: F64
    scale: F64  # of the cycle's currents
    degc: F64  # coolant: mean, and its swing over six hours
    swing_k: F64
    short_s: F64  # conductance across ``cell`` from ``from_s`` on
    heating_w: F64  # into it from then on
    coolant_share: F64  # of the conductance to the coolant that is left from then on
    from_s: F64
    cell: I64
    balanced: I64  # every so many-th group is balanced for the first ten minutes of a charge; 0: none


class Columns:
    """Columns that the loop reads and writes."""

    n_cells: I64
    n_temps: I64
    col_truth_cell_voltage: I64
    col_truth_cell_temperature: I64
    col_truth_pack_current: I64
    col_truth_cell_soc: I64
    col_intent_load_current: I64
    col_intent_coolant_temperature: I64
    col_plant_in_short_conductance: I64
    col_plant_in_cell_heating: I64
    col_plant_in_coolant_share: I64
    col_truth_gas_pressure: I64
    col_measured_gas_pressure: I64
    col_truth_cells_vented: I64
    col_measured_cell_voltage: I64
    col_measured_balancing_current: I64
    col_measured_temperature: I64
    col_measured_pack_current: I64
    col_measured_coolant_temperature: I64
    col_twin_warning: I64
    sensor_cell: Annotated[Ints, TEMPS]


class Everything:
    """All that changes in a run."""

    k: I64  # ticks done
    plant: plant.PlantState
    twin: twin.TwinState
    course: Course
    coils: Edges
    poles: Edges
    bleed: Annotated[Ints32, CELLS]
    row: Annotated[Floats, COLUMNS]


class Fixed:
    """All that does not."""

    dt_ns: I64
    plant: plant.PlantParams
    twin: twin.TwinParams
    sensors: Sensors
    at: Columns


@kernel
def _ask(c: Course, row: Floats, at: Columns, cycle: Floats, dt_s: float) -> float:
    """Load current of this tick, A, and the phase it belongs to: the lowest group ends a drive, the highest a charge."""
    c.since_s += dt_s
    lowest, highest = row[at.col_truth_cell_soc], row[at.col_truth_cell_soc]
    for k in range(at.n_cells):
        lowest, highest = min(lowest, row[at.col_truth_cell_soc + k]), max(highest, row[at.col_truth_cell_soc + k])
    if c.phase == DRIVING:
        c.ridden_s += dt_s
        if lowest < c.low:
            c.phase, c.since_s = EMPTY, 0.0
        return float(c.scale * cycle[int(c.ridden_s) % cycle.size])
    if c.phase == CHARGING:
        if highest > c.high:
            c.phase, c.since_s = FULL, 0.0
        return -c.charge_a
    if c.since_s > c.rest_s:
        c.phase, c.since_s = (CHARGING if c.phase == EMPTY else DRIVING), 0.0
    return 0.0


@kernel
def _measure(s: Everything, p: Fixed, bleed_s: float) -> None:
    """Write ``measured.*`` from ``truth.*``."""
    row, q, at, k = s.row, p.sensors, p.at, s.k
    for c in range(at.n_cells):
        volt = row[at.col_truth_cell_voltage + c]
        row[at.col_measured_cell_voltage + c] = volt + q.offset_v[c] + q.noise_v * normal(q.seed, 1, k, c)
        row[at.col_measured_balancing_current + c] = volt * bleed_s * q.bleed[c] if s.bleed[c] != 0 else 0.0
    for z in range(at.n_temps):
        degc = row[at.col_truth_cell_temperature + at.sensor_cell[z]]
        row[at.col_measured_temperature + z] = degc + q.offset_k[z] + q.noise_k * normal(q.seed, 2, k, z)
    true_a = row[at.col_truth_pack_current]
    row[at.col_measured_pack_current] = true_a * q.gain + q.bias_a + q.noise_a * normal(q.seed, 3, k, 0)
    row[at.col_measured_gas_pressure] = row[at.col_truth_gas_pressure]
    row[at.col_measured_coolant_temperature] = row[at.col_intent_coolant_temperature]


@kernel
def drive(states: Rows[Everything], fixed: Rows[Fixed], cycle: Floats, ticks: int, stop: bool) -> int:
    """Up to ``ticks`` ticks; returns how many were done, fewer where ``stop`` is set and a cell was told of."""
    s, p = states[0], fixed[0]
    at, course, dt_s, row = p.at, s.course, p.dt_ns * 1e-9, s.row
    for done in range(ticks):
        t_s = s.k * dt_s
        plant.prepare(s.plant, p.plant, row)
        if t_s >= course.from_s:
            row[at.col_plant_in_short_conductance + course.cell] = course.short_s
            row[at.col_plant_in_cell_heating + course.cell] = course.heating_w
            row[at.col_plant_in_coolant_share] = course.coolant_share
        row[at.col_intent_load_current] = _ask(course, row, at, cycle, dt_s)
        row[at.col_intent_coolant_temperature] = course.degc + course.swing_k * math.sin(2.9088820866572157e-4 * t_s)
        for c in range(at.n_cells):
            on = course.phase == CHARGING and course.since_s < BALANCE_S
            s.bleed[c] = 1 if on and course.balanced > 0 and c % max(course.balanced, 1) == 0 else 0
        plant.step(s.plant, p.plant, s.coils, s.bleed, s.poles, s.k * p.dt_ns, row)
        s.coils.n = 0
        _measure(s, p, p.plant.cells.bleed_s)
        twin.step(s.twin, p.twin, s.k * p.dt_ns, row)
        s.k += 1
        if stop and row[at.col_twin_warning] > 0.0:
            return done + 1
    return ticks


@dataclass(frozen=True, slots=True)
class Case:
    """One run. Resistance of the short in ohm for the pack's own cells; SoC and temperatures as the course begins."""

    soc: float = 0.6
    degc: float = 25.0
    swing_k: float = 0.0
    cell: int = 47
    short_ohm: float = math.inf
    heating_w: float = 0.0
    coolant_share: float = 1.0
    from_s: float = 0.0
    balanced: int = 0
    seed: int = 1
    low: float = 0.15
    high: float = 0.92
    scale: float = 1.0
    dt_ms: int = 100
    scatter: bool = True  # of the cells


class Drive:
    """A run of ``pack`` by ``case``; ``cycle`` is a current a second, A."""

    def __init__(self, pack: PackModel, case: Case, cycle: NDArray[np.float64]) -> None:
        self.cycle, self.case, self.pack = cycle, case, pack
        of: Table = table(pack.series, pack.temperature_sensors.count)
        self.fixed, self.states = zeros(Fixed), zeros(Everything)
        self.p, self.s = np.asarray(self.fixed)[0], np.asarray(self.states)[0]
        p, s = self.p, self.s
        p["dt_ns"] = case.dt_ms * 1_000_000
        p["plant"] = np.asarray(plant.params(pack, case.seed, of))[0]
        if not case.scatter:
            own = p["plant"]["cells"]
            own["r_factor"], own["soc_offset"] = 1.0, 0.0
            own["capacity_c"][: pack.series] = pack.capacity_ah * 3600.0
        p["twin"] = np.asarray(twin.params(pack, of, int(p["dt_ns"])))[0]
        bind(p["at"], of)
        p["at"]["n_cells"], p["at"]["n_temps"] = of.cells, of.temps
        p["at"]["sensor_cell"][: of.temps] = pack.temperature_sensors.cells
        self._draw_sensors(of)
        plant.start(self.states["plant"], self.fixed["plant"], case.soc, case.degc)
        random = np.random.default_rng(stream_seed(case.seed, "bench.warning.start"))
        twin.start(s["twin"], p["twin"], case.soc + 0.03 * random.standard_normal(), case.degc)
        self.watch = s["twin"]["watch"]
        self._set_course()

    def _draw_sensors(self, of: Table) -> None:
        q, seed, ah = self.p["sensors"], self.case.seed, self.pack.capacity_ah
        random = np.random.default_rng(stream_seed(seed, "bench.warning.sensors"))
        q["seed"] = stream_seed(seed, "bench.warning.noise")
        averaged = math.sqrt(
            max(self.case.dt_ms / 100, 1.0)
        )  # a longer tick stands for the mean of ten samples a second
        q["noise_v"], q["noise_a"], q["noise_k"] = 0.001 / averaged, 0.002 * ah / averaged, 0.1 / averaged
        self.p["twin"]["watch"]["deltas"]["noise_v"] = q["noise_v"]
        q["offset_v"][: of.cells] = 0.002 * random.standard_normal(of.cells)
        q["offset_k"][: of.temps] = 0.5 * random.standard_normal(of.temps)
        q["bleed"][: of.cells] = 1.0 + 0.03 * random.standard_normal(of.cells)
        q["bias_a"], q["gain"] = 0.001 * ah * random.standard_normal(), 1.0 + 0.005 * random.standard_normal()

    def _set_course(self) -> None:
        c, case, ah = self.s["course"], self.case, self.pack.capacity_ah
        c["low"], c["high"], c["rest_s"] = case.low, case.high, 900.0
        c["charge_a"], c["scale"] = 0.4 * ah, case.scale
        c["degc"], c["swing_k"] = case.degc, case.swing_k
        c["cell"], c["from_s"] = case.cell, case.from_s
        c["coolant_share"] = case.coolant_share
        c["short_s"], c["heating_w"] = 1.0 / case.short_ohm, case.heating_w
        c["balanced"] = case.balanced
        self.s["row"][:] = math.nan
        first = int(self.p["at"]["col_truth_cell_soc"])
        self.s["row"][first : first + self.pack.series] = case.soc
        coils = self.s["coils"]
        coils["n"] = 2
        for wire in (0, 1):
            coils["slot"][wire]["wire"], coils["slot"][wire]["level"] = wire, 1

    def run(self, seconds: float, stop: bool = False) -> float:
        """Move on by ``seconds``, or until a cell is told of; the time since the beginning, s."""
        drive(self.states, self.fixed, self.cycle, round(seconds * 1000.0 / self.case.dt_ms), stop)
        return float(self.s["k"]) * self.case.dt_ms * 1e-3

    def degc(self, cell: int) -> float:
        """True temperature of a cell."""
        return float(self.s["row"][int(self.p["at"]["col_truth_cell_temperature"]) + cell])

    def vented(self) -> bool:
        """True when any cell has vented."""
        return bool(self.s["row"][int(self.p["at"]["col_truth_cells_vented"])] > 0.0)
