"""The command line: ``hil``."""

from hil.cli import bpx, dbc, logs, reference, replay, runs
from hil.cli.group import main

__all__ = ["bpx", "dbc", "logs", "main", "reference", "replay", "runs"]
