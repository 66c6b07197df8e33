"""The command line: ``hil``."""

from hil.cli import dbc, logs, replay, runs
from hil.cli.group import main

__all__ = ["dbc", "logs", "main", "replay", "runs"]
