"""A progress bar for work that takes long."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 2.0  # work longer than this shows a bar


@contextmanager
def busy(label: str) -> Iterator[None]:
    """A sign of life like ``Bar`` for work that cannot say what share of it is done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(label)
    timer = threading.Timer(PATIENCE_S, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


class Bar:
    """A progress bar on standard error for work that takes long, on a terminal only."""

    def __init__(self, label: str) -> None:
        """``label`` says what is being done."""
        from rich.console import Console
        from rich.progress import Progress

        self._began, self._started = time.monotonic(), False
        self._bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task(label, total=1.0)

    def __enter__(self) -> Callable[[float], None]:
        """Gives what shows the share that is done, 0 to 1."""
        return self._show

    def __exit__(self, *_: object) -> None:
        """The bar goes."""
        if self._started:
            self._bar.stop()

    def _show(self, share: float) -> None:
        if not self._started and time.monotonic() - self._began > PATIENCE_S:
            self._started = True
            self._bar.start()
        if self._started:
            self._bar.update(self._task, completed=share)
