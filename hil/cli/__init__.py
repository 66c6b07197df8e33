"""The command line: ``hil``."""

from hil.cli import advise, dbc, logs, replay, rul, runs
from hil.cli.group import main

__all__ = ["advise", "dbc", "logs", "main", "replay", "rul", "runs"]
