"""Callables as judges: each takes the copies and raises when it notices something.

The healthy copies are judged first: that all judges hold, which statements each of them executes, and how many ticks it takes.
A mutant then goes only to judges that execute its statement, in the given order, and may go on for a multiple of those ticks.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hil.campaign.mutate.loading import Copies, Loader
from hil.campaign.mutate.nouns import Finding, Mutant, Status, Target
from hil.campaign.mutate.probes import Endless, limit_of
from hil.errors import InputError, Problem

Judge = Callable[[Copies], object]
LOADING = "loading"  # the judge of a mutant that cannot even be loaded


@dataclass(frozen=True, slots=True)
class Healthy:
    """What a judge did with the healthy copies: statements executed (module, line), ticks."""

    name: str
    judge: Judge
    reached: frozenset[tuple[str, int]]
    ticks: int


class Panel:
    """The judges of a target, after they have seen the healthy code."""

    def __init__(self, loader: Loader, judges: Sequence[Judge]) -> None:
        """Raises InputError where a judge does not hold on the healthy code, or two have one name."""
        self._loader = loader
        self._load_ticks, self._loading = 0, frozenset[tuple[str, int]]()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.judges = tuple(self._survey(judge) for judge in judges)
        names = [judge.name for judge in self.judges]
        if len(set(names)) != len(names) or not names:
            raise InputError(Problem("judges", expected="at least one, each with a name of its own", found=f"{names}"))

    def _survey(self, judge: Judge) -> Healthy:
        """One judge on copies of its own: what it finds cached by another one it would not be seen to execute."""
        meter, hits = self._loader.meter, {name: set[int]() for name in self._loader.order}
        meter.begin()
        copies = self._loader.load(hits=hits)
        self._load_ticks, self._loading = meter.ticks, _taken(hits)
        meter.begin()
        name = getattr(judge, "__name__", type(judge).__name__)
        try:
            judge(copies)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise InputError(f"judge {name} does not hold on the code as it is: {_told(error)}") from error
        return Healthy(name, judge, _taken(hits), meter.ticks)

    def finding(self, mutant: Mutant) -> Finding:
        """What becomes of a mutant."""
        place = (mutant.module, mutant.statement)
        at_loading = not mutant.statement or place in self._loading  # what came of it may be anywhere
        asked = [j for j in self.judges if at_loading or place in j.reached]
        if not asked:
            return Finding(mutant, Status.UNREACHED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = mutant.applied(self._loader.sources[mutant.module])
            made: list[Copies] = []
            why = self._attempt(lambda: made.append(self._loader.load({mutant.module: source})), self._load_ticks)
            if why is not None:
                return Finding(mutant, Status.KILLED, LOADING, why)
            for judge in asked:
                why = self._attempt(lambda judge=judge: judge.judge(made[0]), judge.ticks)  # type: ignore[misc]  # a bound default
                if why is not None:
                    return Finding(mutant, Status.KILLED, judge.name, why)
        return Finding(mutant, Status.SURVIVED)

    def settle(self) -> None:
        """Judge the healthy code once more, after all mutants.

        Raises InputError where it is no longer found good: a mutant changed something that the next one met.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copies = self._loader.load()
            for judge in self.judges:
                why = self._attempt(lambda judge=judge: judge.judge(copies), judge.ticks)  # type: ignore[misc]  # a bound default
                if why is not None:
                    raise InputError(
                        f"judge {judge.name} held before the mutants and does not after them: {why}; "
                        "what it shares with the code under test was changed by a mutant"
                    )

    def _attempt(self, does: Callable[[], object], healthy_ticks: int) -> str | None:
        """What was noticed, None when nothing was."""
        meter = self._loader.meter
        meter.begin(limit_of(healthy_ticks))
        try:
            does()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a mutant may end in anything: endless, or as pytest ends a test
            return _told(error)
        return "went on without end" if meter.exceeded else None


def _taken(hits: dict[str, set[int]]) -> frozenset[tuple[str, int]]:
    """(module, line) of the hits so far, which are forgotten."""
    made = frozenset((module, line) for module, lines in hits.items() for line in lines)
    for lines in hits.values():
        lines.clear()
    return made


def _told(error: BaseException) -> str:
    """Kind and first line of an exception, addresses of objects left out: they differ from run to run."""
    lines = str(error).splitlines()
    text = re.sub(r"0x[0-9a-fA-F]+", "0x...", lines[0]) if lines else ""
    return type(error).__name__ if isinstance(error, Endless) or not text else f"{type(error).__name__}: {text}"[:200]


def panel_of(target: Target) -> Panel:
    """The panel of a target whose judges can be imported.

    Raises InputError where modules or judges are not there, or do not hold on the code as it is.
    """
    module, _, name = target.judges.partition(":")
    try:
        judges = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(Problem(f"target {target.name}: no judges", target.judges, found=str(error))) from error
    return Panel(Loader((*target.modules, *target.also)), judges)
