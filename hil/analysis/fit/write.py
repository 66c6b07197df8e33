"""Writes fit results as a cell file: YAML 1.2 made by hand, so that every table is one short row per line."""

from __future__ import annotations

import numpy as np

from .a123 import KNOTS, SOC, Result
from .data import Floats
from .ocv import entropy_v_per_k

SOURCE = "G. Plett, ESC toolbox data (batterysim/esctoolbox-python e82af551ff09), fitted by tools/fit_a123.py"
MASS_KG = 0.076
SPECIFIC_HEAT_J_PER_KG_K = 960.0
SURFACE_W_PER_K = 0.1

HEADER = """\
# A123 26650 LFP cell, fitted to measurements. Made by tools/fit_a123.py: do not edit, run it again.
#
# Data: OCV tests S1-S4 and dynamic tests s1-s3 of one A123 26650 cell type at five temperatures, from the ESC
#   toolbox data of G. Plett, as published in batterysim/esctoolbox-python at e82af551ff09.
# Licence of the data: MIT, "Copyright (c) 2017 batterysim".
#
# Model, positive current discharging, R and M straight lines between soc_knots, all tables between temperatures:
#   v   = ocv(soc) + m h - r0 i - r1 i1 - r2 i2      (m0_v is 0: with it the error does not fall)
#   ik' = a ik + (1 - a) i                           a = exp(-dt / tauk)
#   h   : -1 after discharge .. +1 after charge, rate-independent with closing minor loops (Prandtl-Ishlinskii); the
#         branch after a full reversal is 2 (1 - exp(-gamma |dsoc|)); h = 0 after a dither
#   soc' = soc - i dt / Q, a charging current times the coulombic efficiency
#
# RMS voltage error over 5-95 % SoC in the drive cycles (DYN s1, repeated UDDS):
{errors}
# In the fit beside the drive cycles: the slow OCV branches at every temperature, and at 25 degC the charge at 0.77 A
# (DYN s3), which holds r2 to a constant-current value. "held out": fitted on every other 1500 s, tested on the rest.
# "one-state": the same tables with h' = g h - (1 - g) sign(i), g = exp(-gamma |dsoc|) (Plett) in place of the stack,
# which regeneration pulses drive off the major loop.
# No resistance falls as the cell gets colder, at any SoC, and those at 45 degC are at most those at 25 degC (bounds of
# the fit). Knots 0.0 and 1.0 and the OCV below 2 % SoC are extrapolated; m at knot 1.0 is held to 12 mV, so that a
# rested full cell stays below 3.61 V. Nothing was measured above 45 degC or below -25 degC: hold the last table.
"""

TAIL_NOTES = {
    "capacity_ah": "slow discharge and emptying at 25 degC, whole test by coulomb counting",
    "mass_kg": "assumed: 26650 format LFP cell of this size, not measured here",
    "heat_capacity_j_per_k": "assumed: 960 J/(kg K), the middle of 900-1100 for cylindrical LFP cells",
    "surface_heat_transfer_w_per_k": "assumed: 15 W/(m2 K) on the 65 cm2 of a 26650, still to slow air",
}


def row(values: Floats, digits: int) -> str:
    """One flow list without exponents: `[1.5, 2]`."""
    texts = (f"{value:.{digits}f}" for value in values)
    trimmed = (t.rstrip("0").rstrip(".") if "." in t else t for t in texts)
    return "[" + ", ".join("0" if t == "-0" else t for t in trimmed) + "]"


def block(values: Floats, digits: int, per_line: int = 16, indent: str = "    ") -> str:
    """One flow list over several lines."""
    lines = [row(values[k : k + per_line], digits)[1:-1] for k in range(0, values.size, per_line)]
    return "[" + f",\n{indent} ".join(lines) + "]"


def table(name: str, rows: list[Floats], digits: int, indent: str = "") -> str:
    """`name:` and one row per temperature."""
    return f"{indent}{name}:\n" + "".join(f"{indent}  - {row(values, digits)}\n" for values in rows)


def wide_table(name: str, rows: list[Floats], digits: int, indent: str = "") -> str:
    """`name:` and one many-line list per temperature."""
    return f"{indent}{name}:\n" + "".join(f"{indent}  - {block(v, digits, indent=indent + '    ')}\n" for v in rows)


def mapping(results: dict[int, float]) -> str:
    """Temperatures to numbers with two decimals, keys as text: `{"25": 11.04}`."""
    return "{" + ", ".join(f'"{t}": {value:.2f}' for t, value in results.items()) + "}"


def header(results: dict[int, Result]) -> str:
    """The comment that opens the file, with the error at each temperature."""
    lines = [
        f"#   {t:4d} degC: {1e3 * r.rmse_v:5.1f} mV, held out {1e3 * r.held_out_rmse_v:5.1f} mV,"
        f" slow branches {1e3 * r.slow_rmse_v:5.1f} mV"
        f", one-state {1e3 * r.one_state_rmse_v:5.1f} mV"
        + (f", charge {1e3 * r.charge_rmse_v:.1f} mV" if r.charge_rmse_v is not None else "")
        for t, r in results.items()
    ]
    return HEADER.format(errors="\n".join(lines))


def scalars(capacity_ah: float) -> str:
    """The single numbers of the cell."""
    values = {
        "capacity_ah": capacity_ah,
        "mass_kg": MASS_KG,
        "heat_capacity_j_per_k": SPECIFIC_HEAT_J_PER_KG_K * MASS_KG,
        "surface_heat_transfer_w_per_k": SURFACE_W_PER_K,
    }
    return "".join(f"{key}: {value:.4g}  # {TAIL_NOTES[key]}\n" for key, value in values.items())


def ocv_text(results: dict[int, Result]) -> str:
    """Temperatures, SoC grid, OCV and its slope over temperature."""
    warm = {t: r.ocv for t, r in results.items() if t >= 5}
    text = f"temperatures_degc: {list(results)}\n"
    text += f"soc: {block(SOC, 3)}\n"
    text += "# mean of the slow charge and discharge branches, one list per temperature, never falling\n"
    text += wide_table("ocv_v", [r.ocv.ocv_v for r in results.values()], 4)
    if len(warm) > 1:
        text += f"# slope of ocv_v over {min(warm)} to {max(warm)} degC, held within 12 % of both ends; heat only\n"
        text += f"docv_dt_v_per_k: {block(entropy_v_per_k(warm), 6, 12)}\n"
    return text


def dynamic_text(results: dict[int, Result]) -> str:
    """Tables over the SoC knots, one row per temperature."""
    fits = [r.fit for r in results.values()]
    flat = np.ones(KNOTS.size)
    text = f"soc_knots: {row(KNOTS, 1)}\n"
    text += table("r0_ohm", [f.tables[0] for f in fits], 6)
    text += table("r1_ohm", [f.tables[1] for f in fits], 6)
    text += table("tau1_s", [f.shape.tau1_s * flat for f in fits], 2)
    text += table("r2_ohm", [f.tables[2] for f in fits], 6)
    text += table("tau2_s", [f.shape.tau2_s * flat for f in fits], 1)
    text += "hysteresis:\n" + table("m_v", [f.tables[3] for f in fits], 5, "  ")
    text += f"  gamma: {row(np.array([f.shape.gamma for f in fits]), 3)}\n"
    text += f"  m0_v: {row(np.zeros(len(fits)), 1)}\n"
    efficiencies = np.array([r.ocv.efficiency for r in results.values()])
    return text + f"coulombic_efficiency: {row(efficiencies, 5)}\n"


def fit_text(results: dict[int, Result]) -> str:
    """What the errors are; a test refits and compares."""
    milli = {
        name: {t: 1e3 * getattr(r, name) for t, r in results.items()}
        for name in ("rmse_v", "held_out_rmse_v", "slow_rmse_v", "one_state_rmse_v")
    }
    charge = {t: 1e3 * r.charge_rmse_v for t, r in results.items() if r.charge_rmse_v is not None}
    text = f"fit:\n  rmse_mv: {mapping(milli['rmse_v'])}\n"
    text += f"  held_out_rmse_mv: {mapping(milli['held_out_rmse_v'])}\n"
    text += f"  slow_rmse_mv: {mapping(milli['slow_rmse_v'])}\n  charge_rmse_mv: {mapping(charge)}\n"
    text += f"  one_state_rmse_mv: {mapping(milli['one_state_rmse_v'])}\n"
    text += '  window: "5-95 % SoC"\n  data: "DYN s1 UDDS, OCV S1 and S3; at 25 degC also DYN s3"\n'
    text += "  # charge branch less discharge branch at 0.077 A (C/27): the hysteresis loop and its polarisation\n"
    return text + wide_table("ocv_width_v", [r.ocv.width_v for r in results.values()], 4, "  ")


def cell_yaml(results: dict[int, Result]) -> str:
    """The whole cell file; `results` must hold 25 degC."""
    text = header(results) + "\ncell: A123 26650 LFP\n"
    text += f'source: "{SOURCE}"\n'
    text += 'licence: "MIT, Copyright (c) 2017 batterysim"\n'
    text += scalars(results[25].ocv.capacity_ah)
    return text + ocv_text(results) + dynamic_text(results) + fit_text(results)
