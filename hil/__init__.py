"""Cellbench: a hardware-in-the-loop test bench controller for battery management systems.

Read ``hil/tick.py`` first: the nouns of one tick in the order they come to exist.
"""

__version__ = "0.1.0"
