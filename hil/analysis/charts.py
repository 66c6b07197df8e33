"""Charts for people: thinning that keeps every extreme and every gap, and the data the page's script draws."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from hil.units import format_quantity

TEMPLATES = Path(__file__).parent / "template"
PANEL_SERIES = 8  # lines that share a panel's points before each gets fewer


@dataclass(frozen=True, slots=True)
class Signal:
    """One line of a chart.

    ``times`` in s of the run, ascending; ``values`` in ``unit``, NaN where unknown. ``band`` is the half-width of the
    uncertainty in the same unit: one number, one per value, or a row for below and a row for above; None when there is
    none. ``labels`` name the values 0, 1, 2 ... of a signal that has states; it is drawn in steps.
    """

    label: str
    unit: str
    times: Sequence[float] | NDArray[np.float64]
    values: Sequence[float] | NDArray[np.float64]
    band: float | Sequence[float] | NDArray[np.float64] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at ``time_s``; ``kind`` chooses its colour: t0, t1, t2, t3 or deadline."""

    time_s: float
    label: str
    kind: str


def thin(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    points: int,
    focus: tuple[float, float] | None = None,
) -> NDArray[np.intp]:
    """Indices of at most about ``points`` samples that look the same as all of them.

    Of every stretch the first, the least, the greatest and, where there is one, an unknown value is kept. Half of the
    points go to the ``focus`` window (s).
    """
    n = len(times)
    if n <= points:
        return np.arange(n)
    if focus is None:
        return _extremes(values, 0, n, points)
    a, b = int(np.searchsorted(times, focus[0])), int(np.searchsorted(times, focus[1], "right"))
    outside = max(points // 4, 8)
    parts = [
        _extremes(values, 0, a, outside),
        _extremes(values, a, b, points // 2),
        _extremes(values, b, n, outside),
    ]
    return np.unique(np.concatenate(parts))


def _extremes(values: NDArray[np.float64], start: int, stop: int, points: int) -> NDArray[np.intp]:
    n = stop - start
    if n <= points:
        return np.arange(start, stop)
    width = math.ceil(n / max(1, points // 4))
    full = n // width * width
    block = values[start : start + full].reshape(-1, width)
    unknown = np.isnan(block)
    offsets = np.arange(start, start + full, width)
    chosen = [
        offsets,
        offsets + np.where(unknown, np.inf, block).argmin(axis=1),
        offsets + np.where(unknown, -np.inf, block).argmax(axis=1),
        offsets + unknown.argmax(axis=1),
        np.array([stop - 1]),
    ]
    if full < n:
        chosen.append(_extremes(values, start + full, stop, 4) if n - full > 4 else np.arange(start + full, stop))
    return np.unique(np.concatenate(chosen))


def changes(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices where a stepped signal takes a new value (unknown counts as one), with the first and the last sample."""
    if len(values) == 0:
        return np.empty(0, np.intp)
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return np.unique(np.concatenate(([0], np.flatnonzero(~same) + 1, [len(values) - 1])))


def chart(
    signals: Iterable[Signal],
    marks: Iterable[Mark],
    focus: tuple[float, float] | None,
    points: int = 1500,
    across: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """Data of one chart: a panel for each unit, one of its own for each signal with states.

    ``across`` is what runs across and its unit ("" for none) where that is not the time in s.
    """
    panels: dict[Any, list[Signal]] = {}
    for signal in signals:
        panels.setdefault((signal.unit, signal.label if signal.labels else ""), []).append(signal)
    return {
        "focus": list(focus) if focus else None,
        "marks": [{"t": _short(m.time_s, 9), "label": m.label, "kind": m.kind} for m in marks],
        "panels": [_panel(group, focus, points) for group in panels.values()],
        **({"across": {"name": across[0], "unit": across[1]}} if across else {}),
    }


def _panel(group: Sequence[Signal], focus: tuple[float, float] | None, points: int) -> dict[str, Any]:
    each = points if len(group) <= PANEL_SERIES else max(60, points * PANEL_SERIES // len(group))
    return {
        "unit": group[0].unit if group[0].unit != "1" else "",
        "labels": list(group[0].labels),
        "series": [_series(signal, focus, each) for signal in group],
    }


def _series(signal: Signal, focus: tuple[float, float] | None, points: int) -> dict[str, Any]:
    times, values = np.asarray(signal.times, np.float64), np.asarray(signal.values, np.float64)
    if signal.labels:
        steps = changes(values)
        times, values = times[steps], values[steps]
    kept = thin(times, values, points, focus)
    made: dict[str, Any] = {"label": signal.label, "t": _list(times[kept], 9), "v": _list(values[kept], 7)}
    if signal.band is not None and not signal.labels:
        band = np.broadcast_to(np.asarray(signal.band, np.float64), (2, *np.shape(signal.values)))[:, kept]
        made["lo"], made["hi"] = _list(values[kept] - band[0], 7), _list(values[kept] + band[1], 7)
    return made


def _list(numbers: NDArray[np.float64], digits: int) -> list[float | None]:
    return [_short(x, digits) for x in numbers.tolist()]


def _short(x: float, digits: int) -> float | None:
    if not math.isfinite(x):
        return None
    rounded = float(f"{x:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e9 else rounded


def embedded(content: Any) -> Markup:
    """JSON that stands safely inside a script element, whatever text it holds."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for char, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, code)
    return Markup(text)  # nothing that could close the element is left


def page(template: str, **content: Any) -> str:
    """A self-contained page from one of the templates; every text put in is escaped.

    The page loads nothing from anywhere: style, script and data are inside, and its own policy forbids the rest.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["asset"] = _asset
    environment.filters["quantity"] = lambda value, unit: format_quantity(value, unit) if value is not None else "–"
    environment.filters["embedded"] = embedded
    return environment.get_template(template).render(content)


def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # a file of this package


def identities(sets: Iterable[Mapping[str, Mapping[str, str]]]) -> list[tuple[str, dict[str, str]]]:
    """Identity groups of many runs merged; a value that differs between runs says so with all its values."""
    merged: dict[str, dict[str, dict[str, None]]] = {}
    for groups in sets:
        for group, values in groups.items():
            for key, text in values.items():
                merged.setdefault(group, {}).setdefault(key, {})[text] = None
    return [
        (
            group,
            {key: " | ".join(list(texts)[:6]) + (" | ..." if len(texts) > 6 else "") for key, texts in values.items()},
        )
        for group, values in merged.items()
    ]
