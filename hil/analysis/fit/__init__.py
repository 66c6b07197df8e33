"""Fits a cell file to measurements: OCV, pulse, relaxation, constant-current and drive tests; positive current discharges.

`readers` and `manifest` make `data.CellData` of files; `fitting` fits it; `judge` says whether the fit may be released.
"""
