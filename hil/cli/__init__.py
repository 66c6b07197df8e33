"""The command line: ``hil``."""

from hil.cli import advise, bpx, dbc, fit, logs, reference, replay, rul, runs
from hil.cli.group import main

__all__ = ["advise", "bpx", "dbc", "fit", "logs", "main", "reference", "replay", "rul", "runs"]
