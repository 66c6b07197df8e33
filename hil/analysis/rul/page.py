"""Remaining life for people: pages of predictions from early curves and of forecasts from fade, and JSON fields."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hil import __version__
from hil.analysis.charts import Mark, Signal, chart, page
from hil.analysis.rul.curves import Curves
from hil.analysis.rul.fade import FadeForecast, History
from hil.analysis.rul.features import MEANINGS, delta_q
from hil.analysis.rul.model import LifePrediction, RulModel
from hil.analysis.rul.train import Score, score
from hil.errors import BenchError

MOST_CURVES = 8
MOST_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Predicted:
    """One set of cells and what a model says of each."""

    curves: Curves
    cells: Sequence[LifePrediction]

    def scores(self) -> list[tuple[str, Score]]:
        """Where the lives are known: of all cells, and without the one that lived shortest."""
        life, name = self.curves.life, self.curves.name
        if life is None:
            return []
        made = [(name, score(self.cells, life))]
        if len(life) > 2:
            shortest = int(np.argmin(life))
            rest = [p for i, p in enumerate(self.cells) if i != shortest]
            made.append((f"{name} without its shortest-lived", score(rest, np.delete(life, shortest))))
        return made


def prediction_fields(sets: Sequence[Predicted]) -> list[dict[str, Any]]:
    """One JSON object per set."""
    return [
        {
            "set": one.curves.name,
            "scores": [{"cells_of": name, **_score_fields(s)} for name, s in one.scores()],
            "cells": [_cell_fields(p, one.curves) for p in one.cells],
        }
        for one in sets
    ]


def _score_fields(s: Score) -> dict[str, Any]:
    return {
        "cells": s.cells,
        "rmse_cycles": round(s.rmse_cycles, 2),
        "mape_pct": round(100.0 * s.mape, 2),
        "level": s.level,
        "covered": s.covered,
        "likely_covered": [s.likely_low, s.likely_high],
    }


def _cell_fields(p: LifePrediction, curves: Curves) -> dict[str, Any]:
    left = p.remaining
    return {
        "cell": p.cell,
        "life": {
            "median": round(p.life, 1),
            "low": round(p.life_low, 1),
            "high": round(p.life_high, 1),
            "level": p.level,
        },
        "remaining": {
            "median": round(left[0], 1),
            "low": round(left[1], 1),
            "high": round(left[2], 1),
            "level": p.level,
        },
        "after_cycle": p.cycle,
        "known_life": None if curves.life is None else float(curves.life[p.cell]),
        "outside_training": [
            {"feature": o.feature, "value": float(f"{o.value:.6g}"), "low": o.low, "high": o.high} for o in p.outside
        ],
    }


def forecast_fields(history: History, f: FadeForecast) -> dict[str, Any]:
    """A forecast as JSON fields; null where no end is in sight."""
    left = [_finite(max(0.0, end - f.now)) for end in (f.end_median, f.end_low, f.end_high)]
    return {
        "history": history.name,
        "cycles": len(history.cycles),
        "now": f.now,
        "end_of_life_ah": float(f"{f.limit_ah:.6g}"),
        "ended_at": f.ended,
        "end": {
            "median": _finite(f.end_median),
            "low": _finite(f.end_low),
            "high": _finite(f.end_high),
            "level": f.level,
        },
        "remaining": {"median": left[0], "low": left[1], "high": left[2], "level": f.level},
        "exponent": _finite(f.exponent, 3),
        "power_law_share": round(f.power_share, 3),
    }


def _finite(x: float, digits: int = 1) -> float | None:
    return round(x, digits) if math.isfinite(x) else None


def cycles_text(x: float) -> str:
    """A number of cycles for people."""
    return f"{x:.0f}" if math.isfinite(x) else "no end in sight"


def write_predictions(model: RulModel, sets: Sequence[Predicted], out: Path) -> None:
    """Write the page of predictions. Raises BenchError when ``out`` cannot be written."""
    level = sets[0].cells[0].level
    ends = [
        x
        for one in sets
        for p in one.cells
        for x in (p.life_high, *(one.curves.life if one.curves.life is not None else ()))
    ]
    longest = _round_up(max(ends))
    rows = [_row(p, one.curves, longest, len(sets) > 1) for one in sets for p in one.cells][:MOST_ROWS]
    count = sum(len(one.cells) for one in sets)
    outside = sum(bool(p.outside) for one in sets for p in one.cells)
    notes = [f"{outside} of {count} cells have a feature that no cell trained on had: their prediction is an extrapolation, "
             "and the interval no promise."] if outside else []  # fmt: skip
    _write(
        out,
        title=f"Cycle life of {count} cell{'s' if count != 1 else ''}",
        subtitle=f"from cycles 2 to 100, with intervals of {100 * level:.0f} %",
        notes=notes,
        scores=[_score_row(name, s) for one in sets for name, s in one.scores()],
        rows=rows,
        longest=f"{longest:.0f}",
        drawn=[(f"dq{i}", f"What cycle 100 gives less than cycle 10: {one.curves.name}",
                f"Q100(V) − Q10(V) of up to {MOST_CURVES} cells, spread over the predicted lives: a deeper dip, a shorter life.")
               for i, one in enumerate(sets)],
        charts={f"dq{i}": _delta_chart(one) for i, one in enumerate(sets)},
        identity=_identity(model),
    )  # fmt: skip


def _round_up(x: float) -> float:
    step = 10.0 ** math.floor(math.log10(x)) / 2.0
    return math.ceil(x / step) * step


def _row(p: LifePrediction, curves: Curves, longest: float, named: bool) -> dict[str, Any]:
    truth = None if curves.life is None else float(curves.life[p.cell])
    high = min(p.life_high, longest)
    return {
        "name": f"{curves.name} {p.cell}" if named else f"{p.cell}",
        "life": f"{p.life:.0f}",
        "interval": f"{p.life_low:.0f} to {p.life_high:.0f}",
        "left": f"{p.remaining[0]:.0f}",
        "truth": "–" if truth is None else f"{truth:.0f}",
        "missed": truth is not None and not p.life_low <= truth <= p.life_high,
        "from": round(100.0 * p.life_low / longest, 2),
        "width": round(100.0 * max(0.0, high - p.life_low) / longest, 2),
        "at": round(100.0 * min(p.life / longest, 1.0), 2),
        "true_at": None if truth is None else round(100.0 * min(truth / longest, 1.0), 2),
        "told": f"outside the training: {', '.join(o.feature for o in p.outside)}" if p.outside else "",
    }


def _score_row(name: str, s: Score) -> dict[str, Any]:
    return {
        "name": name,
        "cells": s.cells,
        "rmse": f"{s.rmse_cycles:.1f} cycles",
        "mape": f"{100 * s.mape:.1f} %",
        "covered": f"{s.covered} ({100 * s.covered / s.cells:.1f} %)",
        "likely": f"{s.likely_low} to {s.likely_high}",
    }


def _delta_chart(one: Predicted) -> dict[str, Any]:
    delta = 1000.0 * delta_q(one.curves)
    order = np.argsort([p.life for p in one.cells], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(MOST_CURVES, len(order))).round().astype(int))]
    voltage = one.curves.voltage_v[::-1]
    lines = [
        Signal(f"cell {i}: {one.cells[i].life:.0f} cycles", "mAh", voltage, delta[i][::-1]) for i in chosen.tolist()
    ]
    return chart(lines, [], None, 800, ("voltage", "V"))


def _identity(model: RulModel) -> list[tuple[str, dict[str, str]]]:
    t, e = model.trained_on, model.left_out_errors
    return [
        ("trained on", {"cells": f"{t.cells} of set {t.set}", "cell": t.cell, "source": t.source, "licence": t.licence,
                        "end of life": t.end_of_life, "lives": f"{t.life_cycles.low:.0f} to {t.life_cycles.high:.0f} cycles"}),
        ("each of these left out", {"RMSE": f"{e.rmse_cycles:.1f} cycles", "mean error": f"{100 * e.mape:.1f} %",
                                    "in the 90 % interval": f"{100 * e.coverage:.1f} %"}),
        ("features", {name: f"{text}; {r.low:.4g} to {r.high:.4g}"
                      for (name, text), r in zip(MEANINGS.items(), model.ranges, strict=True)}),
    ]  # fmt: skip


def write_forecast(history: History, f: FadeForecast, out: Path) -> None:
    """Write the page of a forecast. Raises BenchError when ``out`` cannot be written."""
    if f.ended is not None:
        subtitle = f"the end of life, {f.limit_ah:.4g} Ah, was met at cycle {f.ended:.0f}"
    else:
        subtitle = (
            f"{f.limit_ah:.4g} Ah are met at cycle {cycles_text(f.end_median)}; {100 * f.level:.0f} % interval "
            f"{cycles_text(f.end_low)} to {cycles_text(f.end_high)}; now at cycle {f.now:.0f}"
        )
    named = ((f.end_low, "earliest", "t1"), (f.end_median, "likely", "t3"), (f.end_high, "latest", "t1"))
    marks = [Mark(f.now, "now", "t0")] + (
        [] if f.ended is not None else [Mark(x, text, kind) for x, text, kind in named if math.isfinite(x)]
    )
    floor = max(
        0.0, f.limit_ah - 0.6 * (float(history.capacity_ah.max()) - f.limit_ah)
    )  # what lies deeper hides the rest
    low, trend, high = (np.maximum(x, floor) for x in (f.low_ah, f.trend_ah, f.high_ah))
    lines = [
        Signal("forecast", "Ah", f.cycles, trend, np.vstack([trend - low, high - trend])),
        Signal("measured", "Ah", history.cycles, history.capacity_ah),
        Signal("end of life", "Ah", [float(f.cycles[0]), float(f.cycles[-1])], [f.limit_ah, f.limit_ah]),
    ]
    law = {
        "laws": "power laws and exponentials, averaged by how well they fit",
        "power laws": f"{100 * f.power_share:.0f} % of the weight, mean exponent {f.exponent:.2f} (1 is a constant loss per cycle)",
        "not seen": "a fade that has not begun yet: no trend foretells a knee",
    }
    _write(
        out,
        title=f"Fade of {history.name}",
        subtitle=subtitle,
        notes=[],
        scores=[],
        rows=[],
        longest="",
        drawn=[
            (
                "fade",
                "Capacity by cycle",
                f"Band: where the capacity of a cycle lies with {100 * f.level:.0f} % probability, and its median; "
                f"drawn down to {floor:.3g} Ah.",
            )
        ],
        charts={"fade": chart(lines, marks, None, 3000, ("cycle", ""))},
        identity=[("trend", law)],
    )


def _write(out: Path, **content: Any) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page("rul.html.j2", version=__version__, **content), encoding="utf-8", newline="\n")
    except OSError as error:
        raise BenchError(f"cannot write the page {out}: {error.strerror}") from error
