"""Several workers at once. Findings come back in the order of the mutants, whoever was faster.

A worker that is silent for ``patience_s`` is ended, and its mutant timed out: the last resort for what no count of ticks
sees, such as a number with a thousand million digits.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import hil
from hil.campaign.mutate.nouns import Finding, Mutant, Status, Target
from hil.errors import BenchError, InputError

Progress = Callable[[int, int], None]


class Worker:
    """A worker process and the conversation with it."""

    def __init__(self, target: Target, scratch: str) -> None:
        """Start it; ``ready`` waits until it has judged the code as it is. ``scratch`` is its folder for what it writes."""
        self._target = target
        home = str(Path(hil.__file__).resolve().parents[1])
        paths = [target.root, *(str(target.within(p)) for p in target.paths), home]
        inherited = os.environ.get("PYTHONPATH")
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*paths, *([inherited] if inherited else [])]),
            "HIL_INTERPRET": "0" if target.compiled else "1",
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": scratch,
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hil.campaign.mutate.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=target.root,
            env=env,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # so that it can be ended with all that it started
        )

    def ready(self) -> None:
        """Raises InputError where the target or its judges are wrong, BenchError where the process ended."""
        answer = self._ask(self._target.to_dict())
        if answer is None:
            raise BenchError(f"target {self._target.name}: a worker ended before it began; see its last words above")
        if "error" in answer:
            raise InputError(answer["error"])

    def finding(self, mutant: Mutant, patience_s: float) -> Finding:
        """What becomes of a mutant; the process may be ``gone`` after it."""
        late = threading.Event()
        timer = threading.Timer(patience_s, self._give_up, (late,))
        timer.start()
        try:
            answer = self._ask({"id": mutant.id})
        finally:
            timer.cancel()
        if answer is None:
            code = self._process.wait()
            if late.is_set():
                return Finding(mutant, Status.TIMED_OUT, "", f"no answer within {patience_s:g} s")
            return Finding(mutant, Status.KILLED, "process", f"the process ended with {code}")
        if "error" in answer:
            raise InputError(answer["error"])
        return Finding(mutant, Status(answer["status"]), answer["by"], answer["why"])

    def settle(self) -> None:
        """Raises InputError where the mutants have left something behind that judges minded."""
        answer = self._ask({"id": None})
        if answer is not None and "error" in answer:
            raise InputError(answer["error"])

    def _give_up(self, late: threading.Event) -> None:
        late.set()
        self.end()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, None when there is nobody to give one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self._process.stdout.readline()
        made: dict[str, Any] | None = json.loads(line) if line else None
        return made

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """End it with all that it started; may be called again, and by another thread."""
        if not self.gone and hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif not self.gone:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                assert stream is not None
                stream.close()


class Pool:
    """The mutants still to be judged, shared by lanes of one worker each."""

    def __init__(self, target: Target, mutants: Sequence[Mutant], progress: Progress, patience_s: float) -> None:
        """``progress`` is told how many are done, of how many; a lane calls it, one at a time."""
        self._target, self._mutants = target, mutants
        self._progress, self._patience_s = progress, patience_s
        self._lock = threading.Lock()
        self._waiting = iter(range(len(mutants)))
        self._found: dict[int, Finding] = {}
        self._workers: list[Worker] = []

    def findings(self, jobs: int) -> tuple[Finding, ...]:
        """What became of each mutant, in their order.

        Raises InputError where the target is wrong or its judges do not hold on the code as it is.
        """
        lanes = max(1, min(jobs, len(self._mutants)))
        with tempfile.TemporaryDirectory(prefix="mutate-") as scratch, ThreadPoolExecutor(lanes) as threads:
            started = [threads.submit(self._lane, scratch) for _ in range(lanes)]
            try:
                for lane in started:
                    lane.result()
            except BaseException:  # an interruption too: nobody waits for what is still being judged
                self._stop()
                raise
        return tuple(self._found[k] for k in range(len(self._mutants)))

    def _lane(self, scratch: str) -> None:
        k = self._next()
        while k is not None:
            with Worker(self._target, scratch) as worker:
                self._workers.append(worker)
                worker.ready()
                while k is not None and not worker.gone:
                    self._done(k, worker.finding(self._mutants[k], self._patience_s))
                    k = self._next()
                if not worker.gone:
                    worker.settle()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._waiting, None)

    def _done(self, k: int, finding: Finding) -> None:
        with self._lock:
            self._found[k] = finding
            self._progress(len(self._found), len(self._mutants))

    def _stop(self) -> None:
        """The lanes find nothing more to do, and nobody to do it."""
        with self._lock:
            self._waiting = iter(range(0))
        for worker in list(self._workers):
            worker.end()
