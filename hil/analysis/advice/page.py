"""Advice for people: a page with what to do and the numbers behind it, and the same as JSON fields."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil import __version__
from hil.analysis.advice.condition import Condition, known_fields
from hil.analysis.advice.rules import (
    END_CAPACITY,
    END_RESISTANCE,
    LEAD_CYCLES,
    Advice,
    Judged,
    life_below,
    life_quantile,
)
from hil.analysis.charts import Mark, Signal, chart, page
from hil.errors import BenchError

URGENCY: Sequence[tuple[str, str, str]] = (
    ("FAIL", "!", "at once"),
    ("FAIL", "!", "urgent"),
    ("INCONCLUSIVE", "●", "due"),
    ("INCONCLUSIVE", "●", "soon"),
    ("NOT_EXERCISED", "○", "advised"),
    ("NOT_EXERCISED", "○", "planned"),
)
"""For each urgency: the colour's name in the page's style, a sign, a word."""
ANSWERS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {"act": ("INCONCLUSIVE", "●", "yes"), "clear": ("PASS", "✓", "no"), "unknown": ("NOT_EXERCISED", "○", "not known")}
)


def fields(condition: Condition, advices: Sequence[Advice], judged: Sequence[Judged]) -> dict[str, Any]:
    """Everything as JSON fields: ``condition`` as known, ``advice`` in order, ``rules`` as answered."""
    return {
        "condition": known_fields(condition),
        "advice": [
            {
                "rule": a.rule,
                "urgency": URGENCY[a.urgency][2],
                "place": a.place,
                "what": a.what,
                "when": {"text": a.when.text, "hours": _rounded(a.when.hours), "cycles": _rounded(a.when.cycles)},
                "why": a.why,
                "confidence": _rounded(a.confidence),
                "source": a.source,
            }
            for a in advices
        ],
        "rules": [
            {
                "rule": j.rule,
                "question": j.question,
                "state": j.state,
                "probability": _rounded(j.probability),
                "note": j.note,
            }
            for j in judged
        ],
    }


def _rounded(x: float | None) -> float | None:
    return None if x is None else float(f"{x:.6g}")


def share(probability: float | None) -> str:
    """A probability for people: never 0 % or 100 %, for no estimate is that sure."""
    if probability is None:
        return "not known"
    if probability > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %"


def write_page(condition: Condition, advices: Sequence[Advice], judged: Sequence[Judged], out: Path) -> None:
    """Write the page. Raises BenchError when ``out`` cannot be written."""
    drawn, charts = _charts(condition)
    unknown = [j.rule for j in judged if j.state == "unknown"]
    worst = min((a.urgency for a in advices), default=None)
    overall = _mark(URGENCY[worst]) if worst is not None else {"key": "PASS", "sign": "✓", "word": "nothing to do"}
    text = page(
        "advice.html.j2",
        version=__version__,
        title=f"Maintenance of {condition.name}",
        subtitle=f"{condition.n} group{'s' if condition.n != 1 else ''} in series",
        overall=overall,
        unknown=f"Not judged, for want of data: {', '.join(unknown)}." if unknown else "",
        advices=[_row(a) for a in advices],
        judged=[_judged(j) for j in judged],
        drawn=drawn,
        charts=charts,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BenchError(f"cannot write the page {out}: {error.strerror}") from error


def _mark(entry: tuple[str, str, str]) -> dict[str, str]:
    return {"key": entry[0], "sign": entry[1], "word": entry[2]}


def _row(a: Advice) -> dict[str, Any]:
    return {
        "mark": _mark(URGENCY[a.urgency]),
        "what": a.what,
        "place": a.place,
        "when": a.when.text.replace(" %", "\u00a0%"),
        "confidence": share(a.confidence),
        "percent": None if a.confidence is None else round(100 * a.confidence, 1),
        "why": a.why.replace(" %", "\u00a0%"),
        "rule": a.rule,
        "source": a.source,
    }


def _judged(j: Judged) -> dict[str, Any]:
    told = "–" if j.state == "unknown" else share(j.probability) if j.probability is not None else "–"
    return {"rule": j.rule, "question": j.question, "mark": _mark(ANSWERS[j.state]), "note": j.note, "probability": told,
            "source": j.source}  # fmt: skip


def _charts(c: Condition) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    """What is drawn: (id, heading, text), and the charts by id."""
    drawn, charts = [], {}
    lines = (
        ("soc", "State of charge", "spread costs usable capacity", c.cell_soc, c.cell_soc_sigma),
        ("capacity", "Capacity, of new", f"end of life at {END_CAPACITY:g}", c.soh_capacity, c.soh_capacity_sigma),
        (
            "resistance",
            "Resistance, of new",
            f"end of life at {END_RESISTANCE:g}",
            c.resistance_growth,
            c.resistance_growth_sigma,
        ),
    )
    for key, heading, text, values, sigma in lines:
        if values is not None and len(values) > 1:
            band = "its standard deviation is not known" if sigma is None else "with a band of two standard deviations"
            drawn.append((key, f"{heading}, by group", f"Estimate, {band}; {text}."))
            charts[key] = chart([_by_group(heading.lower(), values, sigma)], [], None, across=("group", ""))
    if c.life is not None:
        drawn.append(("life", "Cycles left", "Probability that the end of life comes within so many cycles."))
        charts["life"] = _life_chart(c)
    return drawn, charts


def _by_group(label: str, values: NDArray[np.float64], sigma: NDArray[np.float64] | None) -> Signal:
    known = sigma is not None and bool(np.isfinite(sigma).all())
    band = 2.0 * np.broadcast_to(sigma, values.shape) if sigma is not None and known else None
    return Signal(label, "1", np.arange(1.0, len(values) + 1.0), values, band)


def _life_chart(c: Condition) -> dict[str, Any]:
    assert c.life is not None
    end = 2.0 * c.life.high if math.isfinite(c.life.high) else 4.0 * c.life.median
    cycles = np.linspace(0.0, end, 400)
    probability = np.array([life_below(c.life, n) for n in cycles.tolist()])
    last = life_quantile(c.life, 0.05)
    marks = [
        Mark(max(0.0, last - LEAD_CYCLES), "order", "t2"),
        Mark(last, "5 % risk", "deadline"),
        Mark(c.life.median, "median", "t3"),
    ]
    return chart([Signal("probability of end of life", "1", cycles, probability)], marks, None, across=("cycle", ""))
