"""Judging a record again: by the code of the run, from the record and a scenario file alone."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hil.campaign.run import Outcome, check_dict
from hil.checks.automaton import step
from hil.checks.compile import Compiled, compile_checks
from hil.checks.verdict import results
from hil.errors import InputError, Problem
from hil.files import load_model
from hil.files.limits import load_limits, lookup
from hil.files.shipped import located
from hil.kernel import Rows, kernel
from hil.records.reader import Record, read
from hil.scenario.bundle import attached, case_of
from hil.scenario.cases import Case
from hil.scenario.loader import Collector
from hil.scenario.lowering import check_specs
from hil.scenario.plugged import uncertainties
from hil.scenario.schema import BenchFile, Scenario
from hil.tick import COLUMNS

AGAIN = "judged again"
NEEDED = ("limits.yaml", "bench.yaml")


@kernel
def judge_row(state: Rows[Any], fixed: Rows[Any], t_ns: int, row: Any) -> int:
    """One recorded row through the checks."""
    return step(state[0], fixed[0], t_ns, row)


def judge_record(record: Path, scenario: Path) -> Outcome:
    """The verdicts of a scenario on a record; what the run stood on (limits, bench) is taken from the record.

    Raises:
        InputError: record or scenario are wrong, or the record lacks a column that a check needs.
    """
    loaded = read(record)
    path = located(scenario)
    compiled, model, case = _compile(loaded, path)
    times_ns, rows = _rows(loaded, compiled)
    state = compiled.state()
    row = np.full(COLUMNS, np.nan)
    columns, values = rows
    for k, t_ns in enumerate(times_ns):
        row[columns] = values[k]
        judge_row(state, compiled.params, int(t_ns), row)
    t_end_s = float(times_ns[-1]) * 1e-9 if len(times_ns) else 0.0
    checks = [check_dict(v) for v in results(state, compiled, t_end_s)]
    kept = [c for c in loaded.verdicts if c["id"] == "given" or c["id"].startswith("wait-")]
    summary = {
        "name": path.stem,
        "scenario": model.scenario,
        "case": case.id,
        "requirements": model.requirements,
        "record": record.name,
        "digest": "",
        "dut": loaded.metadata.get("dut", {}),
        "checks": checks + kept,
    }
    return Outcome([summary])


def _compile(loaded: Record, path: Path) -> tuple[Compiled, Scenario, Case]:
    model, document = load_model(path, Scenario)
    case = case_of(loaded.attachments, loaded.path, AGAIN)
    attached(loaded.attachments, NEEDED, loaded.path, AGAIN)
    if loaded.table.columns > COLUMNS:
        raise InputError(Problem(f"the record cannot be {AGAIN}: its rows are wider than {COLUMNS}", str(loaded.path)))
    with tempfile.TemporaryDirectory() as folder:
        for name in NEEDED:
            (Path(folder) / name).write_text(loaded.attachments[name], "utf-8")
        limits = load_limits(Path(folder) / "limits.yaml")
        bench, bench_document = load_model(Path(folder) / "bench.yaml", BenchFile)
        known = uncertainties(bench, bench_document, loaded.table)
    errors = Collector()
    specs = check_specs(path, model, document, case, errors)
    errors.raise_if_any()
    compiled = compile_checks(
        specs,
        loaded.table,
        lambda name: lookup(limits, name.removeprefix("limits."), model.tick),
        dict(case.values),
        model.tick,
        known,
        overrun_ns=model.tick if bench.overrun == "judge" else None,
    )
    return compiled, model, case


def _rows(loaded: Record, compiled: Compiled) -> tuple[Any, tuple[list[int], Any]]:
    """Times, columns and values to judge: the checks' own rows where they hold every column, else full rows."""
    needed: set[int] = set()
    for name in compiled.columns:
        q = loaded.table.find(name)
        if q is not None:
            needed |= set(range(q.start, q.start + q.count))
    if needed <= set(loaded.check_columns):
        return loaded.check_times_ns, (loaded.check_columns, loaded.checks)
    if len(loaded.row_times_ns) < len(loaded.check_times_ns):
        labels = loaded.table.labels()
        missing = ", ".join(labels[i] for i in sorted(needed - set(loaded.check_columns))[:5])
        raise InputError(
            Problem(
                "the record keeps full rows only now and then, and these columns at no full rate",
                str(loaded.path),
                expected="a record with 'record: {every: 1}'",
                found=missing,
            )
        )
    return loaded.row_times_ns, (list(range(loaded.table.recorded)), loaded.rows)
