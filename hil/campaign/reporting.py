"""From a finished case to what its report shows: the signals of each check around its trigger."""

from pathlib import Path
from typing import Any

from hil.analysis.charts import Signal
from hil.analysis.report import CaseReport, CheckReport, worst
from hil.assemble import Assembled
from hil.checks import lower
from hil.checks.names import Scope
from hil.checks.spec import Source
from hil.errors import InputError
from hil.records.reader import Record, read
from hil.scenario.loader import Loaded

MOST_SIGNALS = 8


def case_report(summary: dict[str, Any], assembled: Assembled, loaded: Loaded, out: Path) -> CaseReport:
    """The report of one case, read back from its record."""
    record = read(out / summary["record"])
    checks = [_check(c, assembled, record) for c in summary["checks"]]
    duration_s = float(record.check_times_ns[-1]) * 1e-9 if len(record.check_times_ns) else 0.0
    name = f"{summary['name']} {summary['case']}"
    return CaseReport(
        name,
        out / summary["record"],
        worst([c["status"] for c in summary["checks"]]),
        checks,
        summary["scenario"],
        summary["requirements"],
        {"device under test": summary["dut"]}
        | {group: record.metadata.get(group, {}) for group in ("pack", "versions")},
        duration_s,
    )


def _check(verdict: dict[str, Any], assembled: Assembled, record: Record) -> CheckReport:
    info = next((i for i in assembled.compiled.checks if i.spec.id == verdict["id"]), None)
    if info is None:
        return CheckReport(verdict["id"], verdict["status"], verdict["reason"], verdict["time_s"])
    names: list[str] = []
    for text in (info.spec.when, info.spec.then, info.spec.never, info.spec.during, info.spec.always):
        names += [n for n in _columns(text, assembled, record) if n not in names] if text else []
    t0_s = verdict["t0_s"]
    deadline_s = t0_s + info.within_s if t0_s is not None and info.within_s > 0.0 else None
    dtc = next((n.removeprefix("reported.dtc_") for n in names if n.startswith("reported.dtc_")), "")
    return CheckReport(
        verdict["id"],
        verdict["status"],
        verdict["reason"],
        verdict["time_s"],
        verdict["margin"],
        verdict["margin_unit"],
        t0_s,
        verdict["t1_s"],
        verdict["t2_s"],
        verdict["t3_s"],
        deadline_s,
        dtc,
        [_signal(name, assembled, record) for name in names[:MOST_SIGNALS]],
    )


def _columns(text: str, assembled: Assembled, record: Record) -> list[str]:
    """The labels of the columns an expression reads; of a long vector the first and last."""
    scope = assembled.lowered.scope
    own = Scope(scope.table, scope.resolve_limit, scope.params, scope.uncertainties, each=True)
    try:
        lower.condition(Source(text.split(" while ")[0]), own)
    except InputError:
        return []
    labels = record.table.labels()
    found: list[str] = []
    for name in own.used:
        q = record.table.find(name)
        if q is None:
            continue
        indexed = [labels[i] for i in range(q.start, q.start + q.count) if labels[i] in _filled(text, assembled)]
        ends = [labels[q.start]] if q.count == 1 else [labels[q.start], labels[q.start + q.count - 1]]
        found += indexed or ends
    return found


def _filled(text: str, assembled: Assembled) -> str:
    for name, value in assembled.lowered.scope.params.items():
        text = text.replace(f"${name}", str(value))
    return text


def _signal(label: str, assembled: Assembled, record: Record) -> Signal:
    times, values = record.column(label)
    q = record.table.find(label.split("[")[0])
    unit = q.unit if q is not None else ""
    known = assembled.lowered.scope.uncertainties.get(label.split("[")[0])
    origin_s = _origin(record)
    labels = q.labels if q is not None else ()
    return Signal(label, unit, times - origin_s, values, known.amount if known is not None else None, labels)


def _origin(record: Record) -> float:
    """Run time of scenario time 0."""
    times, scenario = record.column("time.scenario")
    known = scenario == scenario
    return float(times[known][0] - scenario[known][0]) if known.any() else 0.0
