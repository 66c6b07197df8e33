"""A run: all mutants of a target or a sample of them, judged, with what is declared equivalent taken out of the score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from hil.campaign.mutate.equivalents import declared_in
from hil.campaign.mutate.nouns import Finding, Mutant, Status, Target
from hil.campaign.mutate.pool import Pool, Progress
from hil.campaign.mutate.sampling import sample, wilson
from hil.campaign.mutate.sites import file_of, mutants_of
from hil.errors import InputError, Problem

PATIENCE_S = 60.0  # of one mutant under callables; healthy judges take well below a second
TESTS_PATIENCE_S = 900.0  # of one mutant under a test suite


@dataclass(frozen=True, slots=True)
class Population:
    """All mutants of a target, with the sources they are made of, and why some are declared equivalent (by id)."""

    target: Target
    sources: Mapping[str, str]
    mutants: tuple[Mutant, ...]
    equivalent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """A population, the sample that was judged (all when ``sampled`` is 0) and the findings."""

    population: Population
    sampled: int
    seed: int
    findings: tuple[Finding, ...]

    def count(self, *statuses: Status) -> int:
        """How many mutants ended so."""
        return sum(f.status in statuses for f in self.findings)

    @property
    def counted(self) -> int:
        """Mutants that the score is about: all but the equivalent ones. What timed out counts as not killed."""
        return len(self.findings) - self.count(Status.EQUIVALENT, Status.WRONGLY_DECLARED)

    @property
    def score_pct(self) -> float:
        """Killed of those counted; 100 when there are none."""
        return 100.0 * self.count(Status.KILLED) / self.counted if self.counted else 100.0

    @property
    def interval_pct(self) -> tuple[float, float] | None:
        """95 % interval of the score of all, from a sample; None when all were judged."""
        return wilson(self.count(Status.KILLED), self.counted) if self.sampled else None

    @property
    def broken(self) -> bool:
        """Whether something has to be looked at before the score means anything."""
        return self.count(Status.TIMED_OUT, Status.WRONGLY_DECLARED) > 0


def population_of(target: Target) -> Population:
    """Every mutant of a target.

    Raises InputError where it has not one kind of judges, a module is missing, a pattern of ``left_out`` fits nothing, or
    the declarations of equivalents do not fit the code.
    """
    if bool(target.judges) == bool(target.tests):
        raise InputError(
            Problem(f"target {target.name}: either judges or tests", found="both" if target.tests else "none")
        )
    root = Path(target.root)
    sources = {module: file_of(root, module).read_text("utf-8") for module in target.modules}
    mutants = [m for module, source in sources.items() for m in mutants_of(module, source)]
    for pattern in target.left_out:
        kept = [m for m in mutants if not fnmatchcase(f"{m.module}:{m.function}", pattern)]
        if len(kept) == len(mutants):
            raise InputError(Problem(f"target {target.name}: nothing to leave out", found=pattern))
        mutants = kept
    declared = declared_in(target.within(target.equivalents), mutants) if target.equivalents else {}
    return Population(target, sources, tuple(mutants), declared)


def only(population: Population, pattern: str) -> Population:
    """The mutants whose id fits a pattern of ``fnmatch``. Raises InputError where none does."""
    chosen = tuple(m for m in population.mutants if fnmatchcase(m.id, pattern))
    if not chosen:
        raise InputError(Problem(f"target {population.target.name}: no mutant fits", found=pattern))
    return replace(population, mutants=chosen)


def mutate(
    population: Population,
    count: int = 0,
    seed: int = 1,
    jobs: int = 2,
    progress: Progress = lambda done, of: None,
    patience_s: float | None = None,
) -> Run:
    """Judge ``count`` mutants of a population by ``seed``, all when 0, in ``jobs`` processes.

    Raises InputError where the judges cannot be found or do not hold on the code as it is.
    """
    target = population.target
    chosen = sample(population.mutants, count, seed) if count else population.mutants
    sampled = count if len(chosen) < len(population.mutants) else 0
    if patience_s is None:
        patience_s = TESTS_PATIENCE_S if target.tests else PATIENCE_S
    found = Pool(target, chosen, progress, patience_s).findings(jobs)
    return Run(population, sampled, seed, _declared(found, population.equivalent))


def _declared(findings: Sequence[Finding], equivalent: Mapping[str, str]) -> tuple[Finding, ...]:
    """Findings with what is declared equivalent told as that, or as wrongly declared."""
    made = []
    for finding in findings:
        if finding.mutant.id in equivalent and finding.status is not Status.TIMED_OUT:
            killed = finding.status is Status.KILLED
            finding = replace(finding, status=Status.WRONGLY_DECLARED if killed else Status.EQUIVALENT)
        made.append(finding)
    return tuple(made)
