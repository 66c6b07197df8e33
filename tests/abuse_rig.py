"""Packs that can run away, and the four reactions written out anew for a stiff solver."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from plant_rig import PLAIN, Rig, model
from scipy.integrate import solve_ivp

ROOT = Path(__file__).parents[1]
RADIUS_M, HEIGHT_M = 9e-3, 65e-3
VOLUME_M3 = math.pi * RADIUS_M**2 * HEIGHT_M
AREA_M2 = 2 * math.pi * RADIUS_M * (HEIGHT_M + RADIUS_M)
CAPACITY_J_PER_K = 2.58e6 * VOLUME_M3
CONDUCTANCE_W_PER_K = 15.0 * AREA_M2
ENCLOSURE = {"free_volume": "1 l", "breathing": "60 s", "opens": "10 kPa", "closes": "5 kPa", "relief": "500 ms"}


def written(**changes: Any) -> dict[str, Any]:
    """The shipped abuse file as a mapping, with whole sections replaced; None takes a section out."""
    path = ROOT / "scenarios" / "packs" / "lco_18650.abuse.yaml"
    raw: dict[str, Any] = {**yaml.safe_load(path.read_text("utf-8")), **changes}
    return {key: value for key, value in raw.items() if value is not None}


def reactions_only() -> dict[str, Any]:
    """No separator, no vent: the oven test as it was published."""
    return written(separator=None, vent=None)


def oven_pack(oven_degc: float, **changes: Any) -> Any:
    """One 18650 cell in an oven."""
    return model(
        series=1,
        cell_changes={**PLAIN, "heat_capacity_j_per_k": CAPACITY_J_PER_K},
        thermal={
            "to_coolant": f"{CONDUCTANCE_W_PER_K} W/K",
            "between_groups": "0 W/K",
            "coolant_temperature": f"{oven_degc} degC",
        },
        **{"abuse": reactions_only(), **changes},
    )


def in_oven(oven_degc: float, seconds: float, tick_ns: int, every_s: float = 1.0) -> tuple[np.ndarray, Rig]:
    """(time s, temperature degC) of the plant's cell in the oven, from 25 degC, and the rig at the end."""
    rig = Rig(oven_pack(oven_degc), degc=25.0)
    out = [(0.0, 25.0)]
    while rig.t_ns < seconds * 1e9:
        rig.run(every_s, tick_ns)
        out.append((rig.t_ns * 1e-9, rig.get("truth.cell_temperature")))
    return np.array(out), rig


def reference(oven_degc: float, seconds: float) -> Any:
    """The same by scipy's BDF: (K, SEI, anode, layer, cathode, electrolyte) over time, from the published table."""
    gas, oven_k = 8.314462618, oven_degc + 273.15

    def slope(t_s: float, y: np.ndarray) -> list[float]:
        kelvin, sei, anode, layer, cathode, electrolyte = y
        r_sei = 1.667e15 * sei * math.exp(-1.3508e5 / gas / kelvin)
        r_anode = 2.5e13 * math.exp(-layer / 0.033) * anode * math.exp(-1.3508e5 / gas / kelvin)
        r_cathode = 6.667e13 * cathode * (1 - cathode) * math.exp(-1.396e5 / gas / kelvin)
        r_electrolyte = 5.14e25 * electrolyte * math.exp(-2.74e5 / gas / kelvin)
        heat = 2.57e5 * 610.4 * r_sei + 1.714e6 * 610.4 * r_anode + 3.14e5 * 1221 * r_cathode
        heat += 1.55e5 * 406.9 * r_electrolyte
        lost = 15.0 * AREA_M2 / VOLUME_M3 * (kelvin - oven_k)
        return [(heat - lost) / 2.58e6, -r_sei, -r_anode, r_anode, r_cathode, -r_electrolyte]

    start = [298.15, 0.15, 0.75, 0.033, 0.04, 1.0]
    return solve_ivp(slope, (0.0, seconds), start, method="BDF", rtol=1e-8, atol=1e-10)
