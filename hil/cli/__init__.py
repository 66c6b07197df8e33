"""The command line: ``hil``."""

from hil.cli import bpx, dbc, fit, logs, reference, replay, runs
from hil.cli.group import main

__all__ = ["bpx", "dbc", "fit", "logs", "main", "reference", "replay", "runs"]
