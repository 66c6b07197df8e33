"""Fit of a cell model (OCV table, hysteresis, series resistance, two RC pairs) to measured cell tests.

Used by the scripts in `tools/`, never by the bench. Signs: positive current discharges the cell. Needs numpy and
scipy only.
"""
