"""Writes an imported cell as a cell file: YAML by hand, with where each number comes from beside it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hil import __version__
from hil.analysis.bpx import ecm
from hil.analysis.bpx.convert import HELD_PEAK_C, HELD_SOC, MOST_HELD_V, Heat, Row
from hil.analysis.bpx.parameters import Parameters
from hil.errors import printable

PER_LINE = 16
DIGITS = 6


def comments(
    cell: Parameters, rows: Sequence[Row], model: str, pybamm_version: str, rate: float, licence: str
) -> list[str]:
    """The lines that open the file: what it is made from, how, and how far it is from the physics model."""
    starts = ", ".join(f"{100 * s:g}" for s in HELD_SOC)
    lines = [
        f"{cell.title}, imported from BPX by Cellbench {__version__}: do not edit, import it again.",
        "",
        f"BPX file: {cell.path.name}, model {cell.model}",
        f"References: {cell.references or 'none in the BPX file'}",
        f"Licence of the parameters: {licence or 'not stated in the BPX file'}",
        "",
        "OCV: U_p - U_n between the stoichiometry limits of the file, which are 0 and 100 % SoC.",
        f"Capacity: charge between these limits ({cell.nominal_ah:g} Ah nominal in the file).",
        f"R0 and three RC pairs: fitted to virtual tests on PyBaMM {pybamm_version}, {model}, isothermal: {ecm.STAIRS} stairs",
        f"  at {rate:g}C with {ecm.REST_S / 60:g} min of rest, pulses of 10 s at {rate:g}C out and in. The reaction's resistance",
        f"  falls with the current, which this circuit cannot follow: it is right at about {rate:g}C, most wrong in the cold.",
        "Not in a BPX file, and so not here: hysteresis (0) and coulombic efficiency (1), cell-to-cell spread, ageing.",
        "",
        f"Voltage error of the twin on this file against PyBaMM, over a UDDS of {HELD_PEAK_C:g}C peak from {starts} % SoC (not",
        "fitted to), and of the fit itself:",
    ]
    lines += [
        f"  {r.temperature_degc:6g} degC: {1e3 * r.held.rms:5.1f} mV rms, {1e3 * r.held.largest:+.1f} mV at most; "
        f"fit {1e3 * r.circuit.rms_v:.1f} mV; fitted down to {100 * max(r.circuit.least_soc, 0.0):.0f} % SoC"
        + ("" if r.good else f"; LEFT OUT, more than {1e3 * MOST_HELD_V:g} mV")
        for r in rows
    ]
    if cell.notes:
        lines += ["", "Of the import:", *(f"  {note}" for note in cell.notes)]
    return [f"# {printable(line)}".rstrip() for line in lines]


def cell_text(opening: Iterable[str], fields: Mapping[str, Any], heat: Heat, rows: Sequence[Row]) -> str:
    """The whole file. ``fields`` are those of a cell file, ``rows`` the temperatures for its ``fit`` section."""
    parts = [*opening, ""]
    notes = {"capacity_ah": "between the stoichiometry limits", **heat.sources}
    for key, value in fields.items():
        if isinstance(value, Mapping):
            parts += [f"{key}:", *(line for name, inner in value.items() for line in _lines(name, inner, "  "))]
        else:
            parts += _lines(key, value, "", notes.get(key, ""))
    parts += [
        "fit:",
        f"  held_out_rmse_mv: {_errors({r.temperature_degc: 1e3 * r.held.rms for r in rows if r.good})}",
        f"  rmse_mv: {_errors({r.temperature_degc: 1e3 * r.circuit.rms_v for r in rows if r.good})}",
        '  data: "virtual tests on a physics model, no measurement"',
    ]
    return "\n".join(parts) + "\n"


def _errors(values: Mapping[float, float]) -> str:
    return "{" + ", ".join(f'"{t:g}": {v:.2f}' for t, v in values.items()) + "}"


def _lines(key: str, value: Any, indent: str, note: str = "") -> list[str]:
    if isinstance(value, str):
        return [f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"]
    if isinstance(value, float | int):
        return [f"{indent}{key}: {number(value)}" + (f"  # {note}" if note else "")]
    if value and isinstance(value[0], list):
        return [f"{indent}{key}:", *(line for row in value for line in _list(f"{indent}  - ", row))]
    return _list(f"{indent}{key}: ", value)


def _list(before: str, values: Sequence[float]) -> list[str]:
    """One flow list over as many lines as it needs."""
    texts = [number(v) for v in values]
    rows = [", ".join(texts[k : k + PER_LINE]) for k in range(0, len(texts), PER_LINE)]
    space = " " * (len(before) + 1)
    lines = [f"{before}[{rows[0]}", *(f"{space}{row}" for row in rows[1:])]
    return [line + ("]" if k == len(lines) - 1 else ",") for k, line in enumerate(lines)]


def number(value: float) -> str:
    """Six digits that matter, without an exponent that YAML 1.2 would take for text."""
    text = f"{value:.{DIGITS}g}"
    if "e" in text:
        text = f"{value:.12f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
