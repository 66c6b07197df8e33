"""One process that judges mutants: a target comes in, then one mutant's id after the other, None last; findings go out.

A line of JSON each way. What judges print goes to standard error.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from hil.campaign.mutate.judging import panel_of
from hil.campaign.mutate.nouns import Finding, Mutant, Target
from hil.campaign.mutate.sites import file_of, mutants_of
from hil.campaign.mutate.trees import Tree
from hil.errors import InputError, InternalError

MEMORY_BYTES = 8 << 30  # of addresses; numpy, scipy and a compiler take about 2 GB of them


class Examiner(Protocol):
    """Tells what becomes of a mutant."""

    def finding(self, mutant: Mutant) -> Finding:
        """Of this one."""
        ...

    def settle(self) -> None:
        """Raises InputError where the mutants so far have left something behind."""
        ...


@contextmanager
def examiner(target: Target) -> Iterator[Examiner]:
    """Whoever judges the target, after the code as it is has been found good.

    Raises InputError where it has not, or where the target names what is not there.
    """
    if target.tests:
        with Tree(target) as tree:
            yield tree
    else:
        yield panel_of(target)


def serve(lines: IO[str], answers: IO[str]) -> None:
    """Answer until the lines end."""

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    target = Target.from_dict(json.loads(lines.readline()))
    try:
        with examiner(target) as judge:
            sources = {name: file_of(Path(target.root), name).read_text("utf-8") for name in target.modules}
            mutants = {m.id: m for name, source in sources.items() for m in mutants_of(name, source)}
            answer(ready=len(mutants))
            for line in lines:
                wanted = json.loads(line)["id"]
                if wanted is None:
                    judge.settle()
                    answer(settled=True)
                    continue
                mutant = mutants.get(wanted)
                if mutant is None:
                    raise InternalError(f"no such mutant: {line.strip()}; was the code changed meanwhile?")
                found = judge.finding(mutant)
                answer(status=found.status.value, by=found.by, why=found.why)
    except InputError as error:
        answer(error=str(error))


def bound_memory() -> None:
    """A mutant that asks for all the memory there is gets a MemoryError; where the system has no such limit, it has none."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def main() -> None:
    """Speak over what were standard input and output."""
    bound_memory()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with answers:
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
