"""Fits of the cell model to measured cells. Slow by nature, never in a tick."""
