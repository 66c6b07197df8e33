"""``fit.yaml``: what the files of a cell's own tests are. From it and the CSV files it names, `CellData`.

The schema is in docs/reference/fit.md.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from hil.analysis.fit.data import SOC, WINDOW, CellData, Chemistry, Floats, Kind, OcvTable, Test, Trace
from hil.analysis.fit.ocv import MIN_CURRENT_A, blend, branch, last_rest_v, monotone
from hil.analysis.fit.readers.delimited import columns, text_of
from hil.analysis.fit.readers.named_csv import read_csv
from hil.analysis.fit.readers.recording import Recording
from hil.errors import InputError, Problem
from hil.files.quantities import HeatCapacity, Quantity, Temperature, ThermalConductance
from hil.files.validate import Strict, load_model, resolve
from hil.files.yaml12 import Document

FILE = "fit.yaml"
MOST_TESTS = 400
Share = Annotated[float, Quantity("1", at_least=-0.05, at_most=1.05)]
Positive = Annotated[float, Quantity("Ah", above=0.0)]
Weight = Annotated[float, Field(gt=0.0, le=100.0, allow_inf_nan=False)]
Mass = Annotated[float, Quantity("kg", above=0.0)]
Sign = Literal["positive", "negative"]


class ColumnsModel(Strict):
    """Names of the columns, where the header does not tell them."""

    time: str | None = None
    current: str | None = None
    voltage: str | None = None
    temperature: str | None = None


class TestModel(Strict):
    """One test: a CSV file and what it is. What is left out is taken from `defaults`."""

    __test__ = False

    file: str
    kind: Kind
    temperature: Temperature
    start_soc: Share
    use: Literal["fit", "test"] = "fit"
    discharge: Sign | None = None
    columns: ColumnsModel | None = None
    capacity: Positive | None = None
    weight: Weight = 1.0
    window: tuple[Share, Share] = WINDOW


class OcvModel(Strict):
    """An OCV table: a CSV file with the columns `soc` (0 to 1) and `voltage` in V, and at wish `width` in V."""

    file: str
    temperature: Temperature


class DefaultsModel(Strict):
    """What holds for every test that does not say otherwise."""

    discharge: Sign | None = None
    columns: ColumnsModel | None = None


class ManifestModel(Strict):
    """A cell and its tests."""

    cell: str
    source: str
    licence: str
    chemistry: Chemistry | None = None
    capacity: Positive
    coulombic_efficiency: Annotated[float, Quantity("1", above=0.5, at_most=1.0)] = 1.0
    mass: Mass
    heat_capacity: HeatCapacity
    surface_heat_transfer: ThermalConductance
    ocv: tuple[OcvModel, ...] = ()
    defaults: DefaultsModel = DefaultsModel()
    tests: Annotated[tuple[TestModel, ...], Field(min_length=1, max_length=MOST_TESTS)]


def load_manifest(path: Path) -> CellData:
    """The cell that a manifest describes, with all files it names read.

    Raises InputError with file and line for every problem of the manifest, or for the first damaged data file.
    """
    model, document = load_model(path, ManifestModel)
    problems: list[Problem] = []
    tests: list[Test] = []
    for k, one in enumerate(model.tests):
        try:
            tests.append(_test(model, document, k, one))
        except InputError as error:
            problems += error.problems
    ocv: dict[float, OcvTable] = {}
    for k, table in enumerate(model.ocv):
        try:
            ocv[table.temperature] = _table(model, resolve(document, ("ocv", k, "file"), table.file))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    for t in sorted({test.temperature_degc for test in tests if test.kind == "ocv"} - set(ocv)):
        ocv[t] = _measured([test for test in tests if test.kind == "ocv" and test.temperature_degc == t])
    if not ocv:
        raise InputError(
            document.problem((), "no open-circuit voltage", expected="a table under ocv:, or a test of kind: ocv")
        )
    return CellData(
        cell=model.cell,
        chemistry=model.chemistry,
        source=model.source,
        licence=model.licence,
        ocv=dict(sorted(ocv.items())),
        tests=tuple(tests),
        mass_kg=model.mass,
        heat_capacity_j_per_k=model.heat_capacity,
        surface_heat_transfer_w_per_k=model.surface_heat_transfer,
    )


def _test(model: ManifestModel, document: Document, k: int, one: TestModel) -> Test:
    if one.window[0] >= one.window[1]:
        raise InputError(document.problem(("tests", k, "window"), "window", expected="[from, to], rising"))
    path = resolve(document, ("tests", k, "file"), one.file)
    names = one.columns or model.defaults.columns or ColumnsModel()
    recording = read_csv(
        path,
        discharge=one.discharge or model.defaults.discharge,
        names={role: name for role, name in names.model_dump().items() if name is not None},
        nominal_degc=one.temperature,
        licence=model.licence,
    )
    return _as_test(recording, model, one, f"{Path(one.file).name} ({k + 1})")


def _as_test(recording: Recording, model: ManifestModel, one: TestModel, name: str) -> Test:
    used = recording.voltage_read
    if one.kind == "ocv":  # not the rests, in which the cell still relaxes from what came before
        busy = np.abs(recording.current_a) > MIN_CURRENT_A
        used = busy if used is None else busy & used
    return Test(
        name,
        one.kind,
        one.temperature,
        Trace(recording.time_s, recording.current_a, recording.voltage_v),
        one.start_soc,
        one.capacity or model.capacity,
        model.coulombic_efficiency,
        one.use,
        one.weight,
        one.window,
        recording.temperature_degc,
        used,
    )


def _table(model: ManifestModel, path: Path) -> OcvTable:
    """An OCV table from CSV with the columns soc, voltage and, at wish, width."""
    text = text_of(path)
    header = [name.strip().strip('"').casefold() for name in text.rows[0].split(",")]
    wanted = ("soc", "voltage", "width") if "width" in header else ("soc", "voltage")
    missing = [name for name in wanted if name not in header]
    if missing:
        found = ", ".join(header)[:80]
        raise InputError(
            Problem("header", str(path), int(text.numbers[0]), expected=f"a column {missing[0]}", found=found)
        )
    body = text.below(1)
    if len(body.rows) < 2:
        raise InputError(Problem("no table", str(path), expected="two rows or more below the header"))
    soc, *values = columns(body, tuple(header.index(name) for name in wanted))
    if np.any(np.diff(soc) <= 0.0) or soc[0] > 0.05 or soc[-1] < 0.95 or soc[0] < -0.001 or soc[-1] > 1.001:
        expected = "soc rising from 0 to 1 (0.05 to 0.95 at least)"
        raise InputError(
            Problem("soc", str(path), int(body.numbers[0]), expected=expected, found=f"{soc[0]:g} to {soc[-1]:g}")
        )
    wide = np.maximum(np.interp(SOC, soc, values[1]), 0.0) if len(values) > 1 else None
    return OcvTable(SOC, _spread(soc, values[0]), wide, model.capacity, model.coulombic_efficiency)


def _spread(soc: Floats, voltage_v: Floats) -> Floats:
    return monotone(np.interp(SOC, soc, voltage_v))


def _measured(tests: list[Test]) -> OcvTable:
    """The OCV from slow tests of one temperature: the mean of a discharge and a charge, else the one there is.

    Of one branch alone the hysteresis and the polarisation at its current stay in the OCV; its width is not known.
    """
    falling = [t for t in tests if t.soc()[-1] < t.soc()[0]]
    rising = [t for t in tests if t.soc()[-1] >= t.soc()[0]]
    first = tests[0]
    ways = [branch(t.trace, t.start_soc, t.capacity_ah, t.efficiency) for t in (*falling[:1], *rising[:1])]
    if len(ways) == 1:
        return OcvTable(SOC, _spread(ways[0].soc, ways[0].voltage_v), None, first.capacity_ah, first.efficiency)
    rests = tuple(
        last_rest_v(t.trace) if _begins_rested(t.trace) else end for t, end in ((rising[0], 0.0), (falling[0], 9.9))
    )
    ocv_v, width_v = blend(ways[0], ways[1], SOC, (rests[0], rests[1]))
    return OcvTable(SOC, ocv_v, width_v, first.capacity_ah, first.efficiency)


def _begins_rested(trace: Trace) -> bool:
    return bool(np.abs(trace.current_a[0]) <= MIN_CURRENT_A)


def find(path: Path) -> Path | None:
    """The manifest that DATA means: the file itself, or `fit.yaml` in the folder; None when it has none."""
    if path.is_file():
        return path
    inside = path / FILE
    return inside if inside.is_file() else None
