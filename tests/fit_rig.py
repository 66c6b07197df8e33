"""A cell whose numbers are known, and tests made of it: by the twin's kernel, or sample by sample on its own.

`spelled_out` is written down from the equations alone, with hysteresis of very many stops.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hil.analysis.fit.data import SOC, CellData, Floats, Kind, OcvTable, Test, Trace, Use
from hil.files.cell import CellModel, HysteresisModel
from hil.twin.offline import predict

KNOTS = np.linspace(0.0, 1.0, 11)
TAUS_S = (6.0, 80.0, 1800.0)
GAMMA = 9.0
CAPACITY_AH = 5.0
OHMS = np.array([0.020 - 0.004 * KNOTS, 0.008 + 0.004 * KNOTS, 0.012 - 0.003 * KNOTS, 0.020 + 0.004 * KNOTS])
M_V = 0.014 - 0.006 * KNOTS
TABLES = np.vstack((OHMS, M_V))
ARRHENIUS_K = 2500.0


def ocv_v(soc: Any) -> Any:
    return 3.4 + 0.75 * soc - 0.35 * np.exp(-np.asarray(soc) / 0.05)


def truth(temperatures_degc: tuple[float, ...] = (25.0,)) -> CellModel:
    """The cell file that a perfect fit would write."""
    grow = [math.exp(ARRHENIUS_K * (1.0 / (t + 273.15) - 1.0 / 298.15)) for t in temperatures_degc]
    ohms = [tuple(tuple((row * g).tolist()) for g in grow) for row in OHMS]
    taus = [tuple((tau,) * KNOTS.size for _ in grow) for tau in TAUS_S]
    return CellModel(
        cell="made up",
        source="tests/fit_rig.py",
        licence="MIT",
        capacity_ah=CAPACITY_AH,
        mass_kg=0.07,
        heat_capacity_j_per_k=70.0,
        surface_heat_transfer_w_per_k=0.1,
        temperatures_degc=temperatures_degc,
        soc=tuple(SOC.tolist()),
        ocv_v=(tuple(ocv_v(SOC).tolist()),) * len(grow),
        soc_knots=tuple(KNOTS.tolist()),
        r0_ohm=ohms[0],
        r1_ohm=ohms[1],
        tau1_s=taus[0],
        r2_ohm=ohms[2],
        tau2_s=taus[1],
        r3_ohm=ohms[3],
        tau3_s=taus[2],
        hysteresis=HysteresisModel(
            m_v=(tuple(M_V.tolist()),) * len(grow), gamma=(GAMMA,) * len(grow), m0_v=(0.0,) * len(grow)
        ),
        coulombic_efficiency=(1.0,) * len(grow),
    )


def recorded(
    current_a: list[float] | Floats,
    start_soc: float,
    dt_s: float = 1.0,
    noise_v: float = 0.0005,
    temperature_degc: float = 25.0,
    cell: CellModel | None = None,
    seed: int = 1,
) -> Trace:
    """What a cycler would record of the true cell."""
    current = np.asarray(current_a, dtype=np.float64)
    time_s = dt_s * np.arange(current.size)
    said = predict(cell or truth(), time_s, current, np.full(current.size, temperature_degc), start_soc)
    noise = noise_v * np.random.default_rng(seed).standard_normal(current.size)
    return Trace(time_s, current, said.voltage_v + noise)


def made_test(name: str, kind: Kind, trace: Trace, start_soc: float, use: Use = "fit", degc: float = 25.0) -> Test:
    return Test(name, kind, degc, trace, start_soc, CAPACITY_AH, use=use, window=(0.0, 1.0))


def pulses(noise_v: float = 0.0005) -> list[Test]:
    """10-s pulses with 10-s rests at nine SoC, as HPPC tests have them; each begins rested."""
    steps = [0.0] * 5 + [5.0] * 10 + [0.0] * 10 + [-5.0] * 10 + [0.0] * 10
    at = [round(0.1 * k, 1) for k in range(1, 10)]
    return [
        made_test(f"pulse {soc:g}", "pulse", recorded(steps, soc, 1.0, noise_v, seed=10 + k), soc)
        for k, soc in enumerate(at)
    ]


def discharge(rate: float, use: Use, noise_v: float = 0.0005) -> Test:
    """A constant current from 95 % to 5 % SoC."""
    samples = int(0.9 * 3600.0 / rate / 10.0)
    trace = recorded([rate * CAPACITY_AH] * samples, 0.95, 10.0, noise_v, seed=int(100 * rate))
    return made_test(f"{rate:g}C", "constant_current", trace, 0.95, use)


def relaxation(noise_v: float = 0.0005) -> Test:
    """20 min at 0.6C down, 2 h of rest, four times."""
    steps = ([3.0] * 120 + [0.0] * 720) * 4
    return made_test("relaxation", "relaxation", recorded(steps, 0.95, 10.0, noise_v, seed=3), 0.95)


def drive_current(minutes: int, seed: int = 5) -> Floats:
    """A drive cycle by seed, a value every 10 s, that empties the cell at about C/3 with regeneration and stops."""
    rng = np.random.default_rng(seed)
    blocks = rng.normal(1.7, 4.0, 6 * minutes)
    blocks[rng.random(blocks.size) < 0.25] = 0.0
    return np.repeat(blocks, 10)


def data(tests: list[Test], ocv: Mapping[float, OcvTable] | None = None) -> CellData:
    known = OcvTable(SOC, ocv_v(SOC), 2.0 * np.interp(SOC, KNOTS, M_V), CAPACITY_AH)
    return CellData(
        cell="made up",
        chemistry="NMC",
        source="tests/fit_rig.py",
        licence="MIT",
        ocv=ocv or {25.0: known},
        tests=tuple(tests),
        mass_kg=0.07,
        heat_capacity_j_per_k=70.0,
        surface_heat_transfer_w_per_k=0.1,
    )


def branch_h(steps: list[float], gamma: float, stops: int = 400) -> list[float]:
    """Hysteresis by brute force: very many stops, one after the other, moved sample by sample (SoC rising = up)."""
    ends = -np.log(np.linspace(1.0, 1e-3, stops + 1)[1:])
    slopes = np.diff(2.0 * (1.0 - np.exp(-np.append(0.0, ends)))) / np.diff(np.append(0.0, ends))
    weights = -np.diff(np.append(slopes, 0.0)) * ends / 2.0
    weights /= weights.sum()
    state, out = np.zeros(stops), []
    for step in steps:
        state = np.clip(state + 2.0 * gamma * step / ends, -1.0, 1.0)
        out.append(float(weights @ state))
    return out


def spelled_out(current_a: list[float], dt_s: float, start_soc: float) -> Trace:
    """The model's equations, one sample after the other, with their own interpolation."""
    soc = [start_soc]
    for i in current_a[:-1]:
        soc.append(soc[-1] - i * dt_s / 3600.0 / CAPACITY_AH)
    h = branch_h([0.0, *np.diff(soc).tolist()], GAMMA)
    drops, out = [0.0, 0.0, 0.0], []
    for i, z, state in zip(current_a, soc, h, strict=True):
        r0, *ohms, m = (float(np.interp(z, KNOTS, row)) for row in TABLES)
        out.append(float(ocv_v(z)) + m * state - r0 * i - sum(drops))
        for k, (ohm, tau_s) in enumerate(zip(ohms, TAUS_S, strict=True)):
            a = math.exp(-dt_s / tau_s)
            drops[k] = a * drops[k] + (1.0 - a) * ohm * i
    return Trace(dt_s * np.arange(len(out)), np.array(current_a), np.array(out))
