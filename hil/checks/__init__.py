"""Temporal requirements: the language of conditions, automata over rows, verdicts."""
