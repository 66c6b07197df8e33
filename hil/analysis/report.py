"""The report of many runs: one self-contained page with a table of verdicts and the signals behind each."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from hil import __version__
from hil.analysis.charts import Mark, Signal, chart, identities, page
from hil.errors import BenchError
from hil.units import format_quantity

WORST_FIRST = ("FAIL", "ERROR", "INCONCLUSIVE", "NOT_EXERCISED", "PASS")
WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "PASS": ("✓", "pass"),
        "FAIL": ("✗", "fail"),
        "NOT_EXERCISED": ("○", "not exercised"),
        "INCONCLUSIVE": ("?", "inconclusive"),
        "ERROR": ("!", "error"),
    }
)
PAGE_POINTS = 2_000_000  # samples in one page; a browser stays quick with these
SIGNAL_POINTS = 1500


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One verdict with what is needed to see why.

    All times in s after the preparation, as the verdicts count them: ``time_s`` when it was decided, ``t0_s`` the
    trigger, ``t1_s`` the trouble code or state frame, ``t2_s`` the coil wire off, ``t3_s`` the poles open or the
    current gone, ``deadline_s`` the instant by which the reaction must stand. None is unknown. ``margin`` is in
    ``margin_unit``.
    """

    id: str
    status: str
    reason: str = ""
    time_s: float | None = None
    margin: float | None = None
    margin_unit: str = ""
    t0_s: float | None = None
    t1_s: float | None = None
    t2_s: float | None = None
    t3_s: float | None = None
    deadline_s: float | None = None
    dtc: str = ""
    signals: Sequence[Signal] = ()


@dataclass(frozen=True, slots=True)
class CaseReport:
    """One run: its verdicts, its record, and who took part (``identity``: group, key, text, as a record's metadata)."""

    case_id: str
    record: Path
    status: str
    checks: Sequence[CheckReport] = ()
    scenario: str = ""
    requirements: Sequence[str] = ()
    identity: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    duration_s: float | None = None
    reason: str = ""


def worst(statuses: Sequence[str]) -> str:
    """The one status of many; nothing at all is NOT_EXERCISED, never a pass."""
    return next((status for status in WORST_FIRST if status in statuses), "NOT_EXERCISED")


def report(cases: Sequence[CaseReport], out: Path) -> None:
    """Write the page.

    Raises:
        BenchError: ``out`` cannot be written.
    """
    shown = [_case(number, case, out, _points_each(cases)) for number, case in enumerate(cases)]
    statuses = [row["status"] for case in shown for row in case["rows"]]
    text = page(
        "report.html.j2",
        version=__version__,
        cases=shown,
        overall=_status(worst([case.status for case in cases] + statuses)),
        counts=[(_status(s), statuses.count(s)) for s in WORDS],
        total=len(statuses),
        identity=identities(case.identity for case in cases),
        requirements=_requirements(cases),
        charts={row["chart_id"]: row["chart"] for case in shown for row in case["rows"] if row["chart"]},
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BenchError(f"cannot write the report {out}: {error.strerror}") from error


def _points_each(cases: Sequence[CaseReport]) -> int:
    signals = sum(len(check.signals) for case in cases for check in case.checks)
    return max(60, min(SIGNAL_POINTS, PAGE_POINTS // max(1, signals)))


def _status(status: str) -> dict[str, str]:
    sign, word = WORDS.get(status, ("!", status))
    return {"key": status if status in WORDS else "ERROR", "sign": sign, "word": word}


def _case(number: int, case: CaseReport, out: Path, points: int) -> dict[str, Any]:
    checks = case.checks or (CheckReport("run", case.status, case.reason or "no check was judged"),)
    rows = [_row(f"c{number}-{i}", check, points) for i, check in enumerate(checks)]
    return {
        "anchor": f"case-{number}",
        "id": case.case_id,
        "scenario": case.scenario,
        "status": case.status,
        "mark": _status(case.status),
        "record": os.path.relpath(case.record, out.parent).replace(os.sep, "/"),
        "href": "./" + quote(os.path.relpath(case.record, out.parent).replace(os.sep, "/")),
        "requirements": list(case.requirements),
        "duration": format_quantity(case.duration_s, "s") if case.duration_s is not None else "",
        "reason": case.reason,
        "rows": rows,
    }


def _row(chart_id: str, check: CheckReport, points: int) -> dict[str, Any]:
    return {
        "chart_id": chart_id,
        "id": check.id,
        "status": check.status,
        "mark": _status(check.status),
        "margin": _signed(check.margin, check.margin_unit),
        "time": f"{check.time_s:.3f} s" if check.time_s is not None else "–",
        "reason": check.reason,
        "bars": _bars(check),
        "chart": chart(check.signals, _marks(check), _focus(check), points) if check.signals else None,
    }


def _signed(margin: float | None, unit: str) -> str:
    if margin is None or not math.isfinite(margin):
        return "–"
    return ("+" if margin > 0 else "") + format_quantity(margin, unit or "1").replace("-", "−")


def _marks(check: CheckReport) -> list[Mark]:
    dtc = f"t1 {check.dtc}".rstrip()
    named = (
        (check.t0_s, "t0 trigger", "t0"),
        (check.t1_s, dtc if check.dtc else "t1 reported", "t1"),
        (check.t2_s, "t2 coil", "t2"),
        (check.t3_s, "t3 open", "t3"),
        (check.deadline_s, "deadline", "deadline"),
    )
    return [Mark(time_s, label, kind) for time_s, label, kind in named if time_s is not None]


def _focus(check: CheckReport) -> tuple[float, float] | None:
    """The window worth seeing first: from before the trigger to after the last of reaction and deadline."""
    start = check.t0_s if check.t0_s is not None else check.time_s
    if start is None:
        return None
    ends = [t for t in (check.t1_s, check.t2_s, check.t3_s, check.deadline_s) if t is not None and t >= start]
    span = max([t - start for t in ends] + [0.05]) if ends else 1.0
    return start - 1.5 * span, start + 2.5 * span


def _bars(check: CheckReport) -> list[dict[str, Any]]:
    """Reaction times against the deadline, as bars in per cent of the longest."""
    if check.t0_s is None:
        return []
    dtc = f"fault reported ({check.dtc})" if check.dtc else "fault reported"
    named = (
        ("t1", "t1 − t0", dtc, check.t1_s),
        ("t2", "t2 − t0", "coil off", check.t2_s),
        ("t3", "t3 − t0", "contactors open", check.t3_s),
        ("deadline", "deadline", "", check.deadline_s),
    )
    taken = [(kind, name, what, t - check.t0_s) for kind, name, what, t in named if t is not None]
    longest = max((t for *_, t in taken), default=0.0)
    if longest <= 0:
        return []
    limit = check.deadline_s - check.t0_s if check.deadline_s is not None else None
    return [
        {
            "kind": kind,
            "name": name,
            "what": what,
            "text": format_quantity(t, "s"),
            "percent": round(max(0.0, t) / longest * 100, 2),
            "late": limit is not None and kind == "t3" and t > limit,
            "limit": None if limit is None or kind == "deadline" else round(limit / longest * 100, 2),
        }
        for kind, name, what, t in taken
    ]


def _requirements(cases: Sequence[CaseReport]) -> list[dict[str, Any]]:
    """Each requirement with the cases that stand for it and their worst status."""
    by_name: dict[str, list[str]] = {}
    for case in cases:
        for name in case.requirements:
            by_name.setdefault(name, []).append(case.status)
    return [
        {"name": name, "cases": len(statuses), "mark": _status(worst(statuses))}
        for name, statuses in sorted(by_name.items())
    ]
