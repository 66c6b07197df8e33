"""A made-up LFP-like cell and a small pack around it, for tests that must not depend on a fit."""

import copy
import math
from typing import Any

import numpy as np

from hil.files.pack import PackModel
from hil.image import Table, table
from hil.kernel import view, zeros
from hil.plant import pack as plant
from hil.tick import COLUMNS, EDGES, Edges, Link

TICK_NS = 10_000_000


def ocv(soc: float) -> float:
    """A plateau at 3.3 V between two steep ends."""
    return 3.3 + 0.05 * (soc - 0.5) - 0.6 * math.exp(-soc / 0.03) + 0.2 * math.exp((soc - 1.0) / 0.02)


def cell(**changes: Any) -> dict[str, Any]:
    """A cell file as a mapping: 2.5 Ah, 10 mohm, two RC pairs, 20 mV of hysteresis."""
    temps, soc = [0.0, 25.0, 45.0], np.linspace(0.0, 1.0, 201)
    knots = np.linspace(0.0, 1.0, 11).tolist()
    written: dict[str, Any] = {
        "cell": "made up",
        "source": "tests",
        "licence": "CC0-1.0",
        "capacity_ah": 2.5,
        "mass_kg": 0.07,
        "heat_capacity_j_per_k": 75.0,
        "surface_heat_transfer_w_per_k": 0.1,
        "temperatures_degc": temps,
        "ocv_v": [[ocv(z) + 1e-4 * (t - 25.0) for z in soc.tolist()] for t in temps],
        "soc": soc.tolist(),
        "soc_knots": knots,
        "r0_ohm": [[0.02] * 11, [0.01] * 11, [0.008] * 11],
        "r1_ohm": [[0.01] * 11] * 3,
        "tau1_s": [[10.0] * 11] * 3,
        "r2_ohm": [[0.015] * 11] * 3,
        "tau2_s": [[200.0] * 11] * 3,
        "hysteresis": {"m_v": [[0.02] * 11] * 3, "gamma": [50.0] * 3, "m0_v": [0.002] * 3},
        "coulombic_efficiency": [0.99, 0.995, 0.998],
        "fit": {},
    }
    written.update(changes)
    return written


PLAIN: dict[str, Any] = {
    "ocv_v": [[3.3] * 201] * 3,
    "r0_ohm": [[0.01] * 11] * 3,
    "coulombic_efficiency": [1.0] * 3,
    "r1_ohm": [[1e-9] * 11] * 3,
    "r2_ohm": [[1e-9] * 11] * 3,
    "hysteresis": {"m_v": [[0.0] * 11] * 3, "gamma": [50.0] * 3, "m0_v": [0.0] * 3},
}
"""Changes that leave 3.3 V behind 10 mohm: for arithmetic by hand."""

PACK: dict[str, Any] = {
    "pack": "made up",
    "series": 4,
    "parallel": 1,
    "scatter": {"capacity_sigma": 0, "resistance_sigma": 0, "soc_sigma": 0, "source": "none"},
    "wiring": {"busbars": "1 mohm", "sense_wire": "0.5 ohm", "sense_filter": "1 ms"},
    "thermal": {"between_groups": "0.2 W/K", "to_coolant": "0.1 W/K", "coolant_temperature": "25 degC"},
    "temperature_sensors": {"count": 2, "cells": [0, 3]},
    "hv": {
        "link_capacitance": "1 mF",
        "link_bleed": "50 kohm",
        "precharge": "100 ohm",
        "contactor": {"resistance": "0.2 mohm", "operate": "20 ms", "bounce": "5 ms", "bounces": 1, "release": "10 ms"},
        "fuse": {"resistance": "0.3 mohm", "fusing_current": "560 A", "melting_integral": "60000 A^2*s"},
    },
    "isolation": {"plus": "10 Mohm", "minus": "10 Mohm", "y_capacitance": "1 uF"},
    "balancing": {"resistance": "33 ohm"},
}


def model(cell_changes: dict[str, Any] | None = None, **changes: Any) -> PackModel:
    """The pack with whole sections merged: ``hv={"precharge": "50 ohm"}`` keeps the rest of ``hv``."""
    written = copy.deepcopy(PACK)
    for key, value in changes.items():
        if isinstance(value, dict) and key != "abuse":
            for inner, new in value.items():
                old = written.setdefault(key, {}).get(inner)
                written[key][inner] = {**old, **new} if isinstance(old, dict) else new
        else:
            written[key] = value
    if written["series"] < 4:
        written["temperature_sensors"] = {"count": 1, "cells": [0]}
    return PackModel.model_validate({**written, "cell": cell(**(cell_changes or {}))})


class Rig:
    """The plant's stage with its row and wires, stepped from Python."""

    def __init__(self, pack: PackModel, seed: int = 1, soc: float = 0.5, degc: float = 25.0) -> None:
        """At rest at ``soc`` and ``degc``, the first row (t = 0) written."""
        self.table: Table = table(pack.series, pack.temperature_sensors.count)
        self.pack = pack
        self.fixed = plant.params(pack, seed, self.table)
        self.states = zeros(plant.PlantState)
        plant.start(self.states, self.fixed, soc, degc)
        self.s, self.p = view(self.states), view(self.fixed)
        self.rows = np.full((1, COLUMNS), np.nan)
        self.link = zeros(Link)
        self.coils: list[tuple[int, int, int]] = []
        self.poles: list[tuple[int, int, int]] = []
        self.inputs: dict[str, float] = {}
        self.bleed = np.zeros(192, np.int32)
        self.t_ns = 0
        self.step_to(0)

    def column(self, name: str) -> int:
        """First column of a quantity."""
        found = self.table.find(name)
        assert found is not None, name
        return found.start

    def get(self, name: str, index: int = 0) -> float:
        """A value of the row."""
        return float(self.rows[0, self.column(name) + index])

    def edges(self, listed: list[tuple[int, int, int]]) -> Any:
        """An Edges record of (t_ns, wire, level)."""
        made = zeros(Edges)
        record = view(made)
        record.n = len(listed)
        assert len(listed) <= EDGES
        for k, edge in enumerate(listed):
            record.slot[k].t_ns, record.slot[k].wire, record.slot[k].level = edge
        return made

    def step_to(self, t_ns: int) -> None:
        """One tick that ends at ``t_ns``; coil edges that lie in it go in, pole edges are collected."""
        due = sorted(edge for edge in self.coils if edge[0] <= t_ns)
        self.coils = [edge for edge in self.coils if edge[0] > t_ns]
        row, poles = self.rows[0], self.edges([])
        plant.prepare(self.states[0], self.fixed[0], row)
        for name, value in self.inputs.items():
            at, _, index = name.partition("[")
            row[self.column(at) + (int(index[:-1]) if index else 0)] = value
        plant.step(self.states[0], self.fixed[0], self.edges(due)[0], self.bleed, poles[0], t_ns, row)
        record = view(poles)
        self.poles += [(int(e.t_ns), int(e.wire), int(e.level)) for e in record.slot[: int(record.n)]]
        self.t_ns = t_ns

    def run(self, seconds: float, tick_ns: int = TICK_NS) -> None:
        """Ticks for ``seconds``."""
        end_ns = self.t_ns + round(seconds * 1e9)
        while self.t_ns < end_ns:
            self.step_to(min(self.t_ns + tick_ns, end_ns))

    def close(self, *wires: int) -> None:
        """Coils on now."""
        self.coils += [(self.t_ns, wire, 1) for wire in wires]

    def open(self, *wires: int) -> None:
        """Coils off now."""
        self.coils += [(self.t_ns, wire, 0) for wire in wires]
