"""A picture of a fit: every test measured and predicted, its residual, and the tables over SoC."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from hil.analysis.charts import thin
from hil.analysis.fit.data import CellData, Test
from hil.analysis.fit.judge import prediction_of
from hil.errors import InputError, Problem
from hil.files.cell import PAIRS, CellModel

SUFFIXES = (".svg", ".png", ".pdf")
POINTS = 3000  # of each line; every extreme is kept
MOST_TESTS = 24


def need(file: Path) -> None:
    """Raises InputError when the suffix is none that can be drawn, or matplotlib is not installed."""
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(Problem("plot", str(file), expected=" or ".join(SUFFIXES), found=file.suffix or "no suffix"))
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("a plot needs matplotlib: pip install 'cellbench[plot]'")


def draw(cell: CellModel, data: CellData, file: Path) -> None:
    """Draw the fit into ``file`` by its suffix; the same fit gives the same bytes of SVG.

    One row a test (the first 24): voltage measured and predicted by the twin, and the residual with the samples that do
    not count in grey; then a row of the tables. Raises InputError as `need` does, or when the file cannot be written.
    """
    need(file)
    matplotlib = importlib.import_module("matplotlib")
    tests = data.tests[:MOST_TESTS]
    with matplotlib.rc_context({"svg.hashsalt": "cellbench", "svg.fonttype": "none", "font.size": 8.0}):
        figure = importlib.import_module("matplotlib.figure").Figure(
            figsize=(12.0, 2.2 * len(tests) + 5.0), layout="constrained"
        )
        heights = [*([1.0] * len(tests)), 1.4, 1.4]
        axes = figure.subplots(len(tests) + 2, 2, squeeze=False, gridspec_kw={"height_ratios": heights})
        for test, (left, right) in zip(tests, axes, strict=False):
            _draw_test(cell, test, left, right)
        _draw_tables(cell, axes[len(tests) :].ravel())
        dated = file.suffix.lower() in (".svg", ".pdf")
        metadata = {("Date" if file.suffix.lower() == ".svg" else "CreationDate"): None} if dated else None
        try:
            figure.savefig(file, metadata=metadata, dpi=100)
        except OSError as error:
            raise InputError(
                Problem(error.strerror or "cannot be written", str(file), expected="a place to write")
            ) from error


def _draw_test(cell: CellModel, test: Test, left: Any, right: Any) -> None:
    hours = (test.trace.time_s - test.trace.time_s[0]) / 3600.0
    predicted_v = prediction_of(cell, test).voltage_v
    error_mv, counted = 1e3 * (predicted_v - test.trace.voltage_v), test.counted()
    for values, label, width in ((test.trace.voltage_v, "measured", 0.8), (predicted_v, "twin", 0.5)):
        at = thin(hours, values, POINTS)
        left.plot(hours[at], values[at], lw=width, label=label)
    left.set(title=f"{test.name}, {test.use}", xlabel="h", ylabel="V")
    left.legend(loc="best")
    rmse = float(np.sqrt(np.mean(error_mv[counted] ** 2))) if counted.any() else float("nan")
    for values, colour in ((error_mv, "0.75"), (np.where(counted, error_mv, np.nan), "tab:red")):
        at = thin(hours, values, POINTS)
        right.plot(hours[at], values[at], lw=0.5, color=colour)
    if counted.any():
        top = 1.2 * float(np.max(np.abs(error_mv[counted])))
        right.set_ylim(-top, top)
    right.set(title=f"twin less measured: {rmse:.1f} mV where it counts", xlabel="h", ylabel="mV")


def _draw_tables(cell: CellModel, axes: Any) -> None:
    knots = np.asarray(cell.soc_knots)
    ohms = [name for name in PAIRS if name.startswith("r") and getattr(cell, name) is not None]
    styles = ("-", "--", "-.", ":")
    for k, degc in enumerate(cell.temperatures_degc):
        axes[0].plot(cell.soc, cell.ocv_v[k], lw=0.8, label=f"{degc:g} degC")
        axes[1].plot(knots, 1e3 * np.asarray(cell.hysteresis.m_v[k]), marker=".", label=f"{degc:g} degC")
        for style, name in zip(styles, ohms, strict=False):
            values = 1e3 * np.asarray(getattr(cell, name)[k])
            label = f"{name[:2].upper()}, colours as beside" if not k else None
            axes[2].plot(knots, values, style, marker=".", ms=3, lw=0.8, color=f"C{k}", label=label)
    for k, degc in enumerate(cell.temperatures_degc):
        total = np.sum([getattr(cell, name)[k] for name in ohms], axis=0)
        axes[3].plot(knots, 1e3 * total, marker=".", label=f"{degc:g} degC")
    titles = ("open-circuit voltage", "half width of the hysteresis", "resistances", "sum of the resistances")
    for axis, title, unit in zip(axes, titles, ("V", "mV", "mohm", "mohm"), strict=True):
        axis.set(title=title, xlabel="SoC", ylabel=unit)
        axis.legend(fontsize=6, ncols=2)
    for axis in axes[2:]:
        axis.set_yscale("log")
