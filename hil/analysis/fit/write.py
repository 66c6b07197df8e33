"""Writes a fit as a cell file: YAML 1.2 made by hand, so that every table is one short row per line."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hil.analysis.fit.between import file_rows
from hil.analysis.fit.data import Floats
from hil.analysis.fit.fitting import Fitted
from hil.analysis.fit.judge import HELD_OUT_MARGIN_V, HELD_OUT_RATIO, TestError, Verdict
from hil.analysis.fit.ocv import entropy_v_per_k
from hil.analysis.fit.uncertainty import Sigmas
from hil.files.cell import CellModel
from hil.files.validate import validate
from hil.files.yaml12 import load_text

WARM_DEGC = 5.0  # from here on OCV tables give dOCV/dT: colder ones hold too much polarisation
METHOD = (
    "Jacobian, each test counting n / tau samples (tau: how long its residuals stay alike), and the pull of smoothing"
)
PARTS = ("mass_kg", "heat_capacity_j_per_k", "surface_heat_transfer_w_per_k")

HEADER = """\
# {cell}, fitted to measurements. Made by hil fit: do not edit, run it again.
#
# Data: {source}
# Licence of the data: {licence}
#
# Model, positive current discharging and flowing until the next sample; tables are straight lines between soc_knots:
#   v   = ocv(soc) + m h - r0 i - {drops}      (m0_v is 0: with it the error does not fall)
#   vk' = a vk + (1 - a) rk i                   a = exp(-dt / tauk)
#   h   : -1 after discharge .. +1 after charge, rate-independent with closing minor loops (Prandtl-Ishlinskii); the
#         branch after a full reversal is 2 (1 - exp(-gamma |dsoc|)); h = 0 after a dither
#   soc' = soc - i dt / Q, a charging current times the coulombic efficiency
#
# tau and gamma are shared by all temperatures, so that the tables can be interpolated. No resistance falls as the cell gets
# colder, at any SoC (bounds of the fit). The window of a test (5-95 % SoC unless it says otherwise) is what its error is over;
# outside it the tables follow smoothness alone. Beyond the first and the last temperature hold their tables.
# Measured: {measured} degC. Rows between them lie on a smooth curve over 1/T through those.
"""


@dataclass(frozen=True)
class Report:
    """What the `fit:` section says: the verdict, what else was measured, and the uncertainty. `held_out_by` says how
    tests were held out, `whole` are the errors of the fit as written when the verdict is on one with blocks held out."""

    verdict: Verdict
    sigmas: Sigmas
    held_out_by: str
    whole: tuple[TestError, ...] | None = None


def number(value: float, digits: int) -> str:
    """A number without exponent and trailing zeros; `null` for NaN."""
    if not np.isfinite(value):
        return "null"
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def row(values: Iterable[float], digits: int) -> str:
    """One flow list: `[1.5, 2]`."""
    return "[" + ", ".join(number(value, digits) for value in values) + "]"


def block(values: Floats, digits: int, per_line: int = 16, indent: str = "    ") -> str:
    """One flow list over several lines."""
    lines = [row(values[k : k + per_line], digits)[1:-1] for k in range(0, values.size, per_line)]
    return "[" + f",\n{indent} ".join(lines) + "]"


def table(name: str, rows: Iterable[Floats], digits: int, indent: str = "") -> str:
    """`name:` and one row per temperature."""
    return f"{indent}{name}:\n" + "".join(f"{indent}  - {row(values, digits)}\n" for values in rows)


def wide_table(name: str, rows: Iterable[Floats], digits: int) -> str:
    """`name:` and one many-line list per temperature."""
    return f"{name}:\n" + "".join(f"  - {block(v, digits)}\n" for v in rows)


def quoted(text: str) -> str:
    """Text as a YAML scalar in double quotes, on one line."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def scalars(fitted: Fitted) -> str:
    """The single numbers of the cell, with where they come from."""
    data = fitted.data
    nearest = min(data.ocv, key=lambda t: abs(t - 25.0))
    values = {"capacity_ah": data.ocv[nearest].capacity_ah} | {name: getattr(data, name) for name in PARTS}
    lines = (
        f"{key}: {value:.4g}" + (f"  # {' '.join(data.notes[key].split())}" if key in data.notes else "")
        for key, value in values.items()
    )
    return "\n".join(lines) + "\n"


def ocv_text(fitted: Fitted) -> str:
    """Temperatures, SoC grid, OCV and its slope over temperature."""
    data = fitted.data
    warm = {t: data.ocv[t] for t in sorted(data.ocv) if t >= WARM_DEGC}
    soc, rows = next(iter(fitted.rows.values())).ocv.soc, file_rows(fitted)
    text = f"temperatures_degc: {row([r.temperature_degc for r in rows], 2)}\n" + f"soc: {block(soc, 4)}\n"
    text += "# one list per temperature, never falling\n"
    text += wide_table("ocv_v", [r.ocv_v for r in rows], 4)
    if len(warm) > 1:
        text += (
            f"# slope of the OCV over {min(warm):g} to {max(warm):g} degC, held within 12 % of both ends; heat only\n"
        )
        text += f"docv_dt_v_per_k: {block(entropy_v_per_k(warm), 6, 12)}\n"
    return text


def dynamic_text(fitted: Fitted) -> str:
    """Tables over the SoC knots, one row per temperature."""
    rows, flat = file_rows(fitted), np.ones(fitted.options.knots)
    text = f"soc_knots: {row(np.linspace(0.0, 1.0, flat.size), 4)}\n"
    text += table("r0_ohm", [r.tables[0] for r in rows], 7)
    pairs = [*enumerate(fitted.shape.taus_s, start=1)]
    for k, tau_s in pairs:
        text += table(f"r{k}_ohm", [r.tables[k] for r in rows], 7)
        text += table(f"tau{k}_s", [tau_s * flat] * len(rows), 2)
    text += "hysteresis:\n" + table("m_v", [r.tables[-1] for r in rows], 5, "  ")
    text += f"  gamma: {row([fitted.shape.gamma] * len(rows), 3)}\n  m0_v: {row([0.0] * len(rows), 1)}\n"
    return text + f"coulombic_efficiency: {row([r.efficiency for r in rows], 5)}\n"


def tables_text(fitted: Fitted) -> str:
    """The file without its `fit:` section."""
    data = fitted.data
    drops = " - ".join(f"v{k}" for k in range(1, fitted.options.pairs + 1))
    measured = ", ".join(f"{t:g}" for t in fitted.rows)
    text = HEADER.format(cell=data.cell, source=data.source, licence=data.licence, drops=drops, measured=measured)
    text += "".join(f"# {line}\n" for line in textwrap.wrap(data.notes.get("header", ""), 120))
    text += f"\ncell: {quoted(data.cell)}\nsource: {quoted(data.source)}\nlicence: {quoted(data.licence)}\n"
    text += f"chemistry: {data.chemistry}\n" if data.chemistry else ""
    text += scalars(fitted) + ocv_text(fitted) + dynamic_text(fitted)
    if data.spread is not None:
        text += f"spread:\n  capacity_sigma: {data.spread.capacity_sigma:.4g}\n"
        text += f"  resistance_sigma: {data.spread.resistance_sigma:.4g}\n  source: {quoted(data.spread.source)}\n"
    return text


def cell_of(text: str) -> CellModel:
    """The cell that a file says, as it is read back. Raises InputError when it is none."""
    return validate(load_text(text, "the fit"), CellModel)


def cell_yaml(fitted: Fitted, report: Report) -> str:
    """The whole cell file."""
    return tables_text(fitted) + fit_text(fitted, report)


def fit_text(fitted: Fitted, report: Report) -> str:
    """How good the fit is, on what, and how well its numbers are known."""
    v = report.verdict
    text = f"fit:\n  made_by: hil fit\n  released: {str(v.released).lower()}\n"
    if v.reasons:
        text += "  reasons:\n" + "".join(f"    - {quoted(reason)}\n" for reason in v.reasons)
    text += f"  training_rmse_mv: {number(1e3 * v.training_v, 2)}\n"
    if v.held_out_v is not None:
        text += f"  held_out_rmse_mv: {number(1e3 * v.held_out_v, 2)}  # of the worst test held out\n"
    text += f"  limit_mv: {number(1e3 * v.limit_v, 2)}"
    text += f"  # {HELD_OUT_RATIO:g} times the training error, or {1e3 * HELD_OUT_MARGIN_V:g} mV above it\n"
    text += f"  held_out_by: {quoted(report.held_out_by)}\n  # by the twin's own kernel on these tables\n"
    held = [e for e in v.errors if e.use == "test"]
    seen = [e for e in (report.whole or v.errors) if e.use == "fit"]
    text += "  tests:\n" + "".join(f"    - {_test(e)}\n" for e in seen)
    text += "  held_out:\n" + "".join(f"    - {_test(e)}\n" for e in held) if held else "  held_out: []\n"
    return text + _sigma_text(fitted, report.sigmas)


def _test(e: TestError) -> str:
    rmse, worst = number(1e3 * e.rmse_v, 2), number(1e3 * e.worst_v, 1)
    return f"{{test: {quoted(e.name)}, kind: {e.kind}, rmse_mv: {rmse}, worst_mv: {worst}, samples: {e.samples}}}"


def _sigma_text(fitted: Fitted, sigmas: Sigmas) -> str:
    text = "  sigma:  # one standard deviation each, null where a parameter stands at its bound\n"
    text += f'    method: "{METHOD}"\n'
    text += f"    temperatures_degc: {row(fitted.rows, 2)}  # rows between them were not fitted\n"
    text += f"    tau_percent: {row([100.0 * s for s in sigmas.taus], 2)}\n"
    text += f"    gamma_percent: {number(100.0 * sigmas.gamma, 2)}\n"
    names = ["r0_ohm", *(f"r{k}_ohm" for k in range(1, fitted.options.pairs + 1)), "m_v"]
    for k, name in enumerate(names):
        text += table(name, [tables[k] for tables in sigmas.tables.values()], 7 if k < len(names) - 1 else 5, "    ")
    return text


def plain(report: Report) -> Mapping[str, object]:
    """The report as JSON fields: voltages in mV."""

    def errors(chosen: Iterable[TestError]) -> list[dict[str, object]]:
        return [
            {
                "test": e.name,
                "kind": e.kind,
                "use": e.use,
                "temperature_degc": e.temperature_degc,
                "rmse_mv": round(1e3 * e.rmse_v, 3),
                "worst_mv": round(1e3 * e.worst_v, 3),
                "samples": e.samples,
            }
            for e in chosen
        ]

    v = report.verdict
    held = None if v.held_out_v is None else round(1e3 * v.held_out_v, 3)
    return {
        "released": v.released,
        "reasons": list(v.reasons),
        "training_rmse_mv": round(1e3 * v.training_v, 3),
        "held_out_rmse_mv": held,
        "limit_mv": round(1e3 * v.limit_v, 3),
        "held_out_by": report.held_out_by,
        "tests": errors(e for e in (report.whole or v.errors) if e.use == "fit"),
        "held_out": errors(e for e in v.errors if e.use == "test"),
    }
