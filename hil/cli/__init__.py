"""The command line: ``hil``."""

from hil.cli import dbc, fit, logs, replay, runs
from hil.cli.group import main

__all__ = ["dbc", "fit", "logs", "main", "replay", "runs"]
