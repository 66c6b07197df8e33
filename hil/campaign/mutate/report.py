"""A run told: as JSON, the same bytes for the same code whatever the machine, and as a table for people."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hil.campaign.mutate.nouns import Finding, Mutant, Status
from hil.campaign.mutate.run import Run

OPEN = (Status.SURVIVED, Status.UNREACHED, Status.TIMED_OUT, Status.WRONGLY_DECLARED)
"""What somebody has to look at."""


def to_dict(run: Run) -> dict[str, Any]:
    """Everything about a run in plain values; see docs/reference/mutation.md."""
    target = run.population.target
    return {
        "target": target.name,
        "population": len(run.population.mutants),
        "judged": len(run.findings),
        "sample": run.sampled,
        "seed": run.seed,
        **{status.name.lower(): run.count(status) for status in Status},
        "score_pct": round(run.score_pct, 3),
        "interval_pct": [round(x, 3) for x in run.interval_pct] if run.interval_pct else None,
        "least_pct": target.least_pct,
        "by_judge": dict(sorted(Counter(f.by for f in run.findings if f.status is Status.KILLED).items())),
        "by_operator": _shares(run, lambda m: m.operator),
        "by_function": _shares(run, lambda m: f"{m.module}:{m.function}"),
        "open": [_one(run, f) for f in run.findings if f.status in OPEN],
        "equivalents": [
            {"id": f.mutant.id, "reason": run.population.equivalent[f.mutant.id]}
            for f in run.findings
            if f.status is Status.EQUIVALENT
        ],
        "findings": {f.mutant.id: [f.status.value, f.by, f.why] for f in run.findings},
    }


def _shares(run: Run, key: Callable[[Mutant], str]) -> dict[str, list[int]]:
    """[killed, counted] of each."""
    made: dict[str, list[int]] = {}
    for finding in run.findings:
        if finding.status not in (Status.EQUIVALENT, Status.WRONGLY_DECLARED):
            share = made.setdefault(key(finding.mutant), [0, 0])
            share[0] += finding.status is Status.KILLED
            share[1] += 1
    return dict(sorted(made.items()))


def _one(run: Run, finding: Finding) -> dict[str, Any]:
    mutant = finding.mutant
    return {
        "id": mutant.id,
        "status": finding.status.value,
        "original": mutant.original,
        "mutated": mutant.mutated,
        "statement": mutant.text,
        "by": finding.by,
        "why": finding.why,
        "diff": mutant.diff(run.population.sources[mutant.module]),
    }


def to_json(run: Run) -> str:
    """The JSON text, with a line break at its end."""
    return json.dumps(to_dict(run), indent=2) + "\n"


def to_text(run: Run) -> str:
    """Score, who killed how many, operators and functions with something open, and every open mutant with its diff."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    target, made = run.population.target, to_dict(run)
    for finding in run.findings:
        if finding.status in OPEN:
            yield f"{finding.status.value}: {finding.mutant.id}" + (
                f" ({finding.by} {finding.why})" if finding.by else ""
            )
            yield from (f"    {line}" for line in _one(run, finding)["diff"].splitlines()[2:])
    for title, shares in (("operator", made["by_operator"]), ("function", made["by_function"])):
        yield f"{'killed':>10}  {title}"
        for name, (killed, counted) in shares.items():
            yield f"{killed:>4} of {counted:<4} {name}"
    yield f"{'killed':>10}  judge"
    for name, killed in made["by_judge"].items():
        yield f"{killed:>10}  {name}"
    what = f"a sample of {len(run.findings)} (seed {run.seed})" if run.sampled else f"all {len(run.findings)}"
    yield f"{target.name}: {what} of {len(run.population.mutants)} mutants of {', '.join(target.modules)}"
    yield ", ".join(f"{run.count(status)} {status.value}" for status in Status if run.count(status))
    low_high = run.interval_pct
    of_all = f" (95 % interval of all: {low_high[0]:.1f} to {low_high[1]:.1f} %)" if low_high else ""
    yield f"kill score {run.score_pct:.1f} %{of_all}, at least {target.least_pct:g} % asked for"
