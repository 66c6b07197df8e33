"""A fit.yaml and the CSV files it names: what is read, and every error with file and line."""

from pathlib import Path

import numpy as np
import pytest

from hil.analysis.fit.data import SOC
from hil.analysis.fit.manifest import find, load_manifest
from hil.errors import InputError
from tests import fit_rig as rig

HEAD = """\
cell: mine
source: my bench
licence: mine alone
chemistry: NMC
capacity: 5 Ah
mass: 70 g
heat_capacity: 70 J/K
surface_heat_transfer: 0.1 W/K
"""
OCV = "ocv:\n  - {file: ocv.csv, temperature: 25 degC}\n"
TEST = "  - {file: cc.csv, kind: constant_current, temperature: 25 degC, start_soc: 95 %}\n"


def write_csv(path: Path, trace: rig.Trace, header: str = "time(s),current(A),voltage(V)", sign: int = 1) -> None:
    rows = zip(trace.time_s, sign * trace.current_a, trace.voltage_v, strict=True)
    path.write_text(header + "\n" + "".join(f"{t:g},{i:g},{v:.5f}\n" for t, i, v in rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cell's own folder: OCV table, a discharge, a relaxation with its columns named otherwise."""
    soc = np.linspace(0.0, 1.0, 51)
    width = 2.0 * np.interp(soc, rig.KNOTS, rig.M_V)
    rows = zip(soc, rig.ocv_v(soc), width, strict=True)
    (tmp_path / "ocv.csv").write_text("soc,voltage,width\n" + "".join(f"{s},{v},{w}\n" for s, v, w in rows))
    write_csv(tmp_path / "cc.csv", rig.discharge(0.5, "fit").trace)
    write_csv(tmp_path / "relax.csv", rig.relaxation().trace, "t [s],I [A],U [V]", -1)
    return tmp_path


def manifest(folder: Path, tests: str = TEST, head: str = HEAD, ocv: str = OCV) -> Path:
    path = folder / "fit.yaml"
    path.write_text(head + ocv + "tests:\n" + tests)
    return path


def test_files_columns_and_signs_are_read_as_the_manifest_says(folder: Path) -> None:
    named = "columns: {time: 't [s]', current: 'I [A]', voltage: 'U [V]'}"
    tests = TEST + (
        "  - {file: relax.csv, kind: relaxation, temperature: 25 degC, start_soc: 0.95, discharge: negative, use: test, "
        f"weight: 0.5, window: [10 %, 90 %], {named}}}\n"
    )
    data = load_manifest(manifest(folder, tests))
    first, second = data.tests
    assert (first.kind, first.use, first.start_soc, first.capacity_ah) == ("constant_current", "fit", 0.95, 5.0)
    assert (second.use, second.weight, second.window) == ("test", 0.5, (0.1, 0.9))
    assert np.all(second.trace.current_a[:120] == 3.0)
    assert second.trace.voltage_v == pytest.approx(rig.relaxation().trace.voltage_v, abs=1e-5)
    assert data.ocv[25.0].ocv_v[1:] == pytest.approx(rig.ocv_v(SOC)[1:], abs=0.02)
    assert data.mass_kg == pytest.approx(0.07)
    assert data.chemistry == "NMC"


def test_the_open_circuit_voltage_may_come_from_slow_tests(folder: Path) -> None:
    down = rig.recorded([0.25] * 7200, 1.0, 10.0, 0.0)
    up = rig.recorded([-0.25] * 7200, 0.0, 10.0, 0.0)
    write_csv(folder / "down.csv", down)
    write_csv(folder / "up.csv", up)
    slow = "".join(
        f"  - {{file: {name}.csv, kind: ocv, temperature: 25 degC, start_soc: {soc}}}\n"
        for name, soc in (("down", 1), ("up", 0))
    )
    table = load_manifest(manifest(folder, slow, ocv="")).ocv[25.0]
    inner = slice(20, 180)
    assert table.ocv_v[inner] == pytest.approx(rig.ocv_v(SOC)[inner], abs=0.004)
    assert table.width_v is not None
    polarised = 2.0 * (np.interp(SOC, rig.KNOTS, rig.M_V) + 0.25 * np.interp(SOC, rig.KNOTS, rig.OHMS.sum(axis=0)))
    assert table.width_v[inner] == pytest.approx(polarised[inner], abs=0.004)
    alone = load_manifest(manifest(folder, slow.splitlines(keepends=True)[0], ocv="")).ocv[25.0]
    assert alone.width_v is None


@pytest.mark.parametrize(
    ("tests", "head", "line", "said"),
    [
        (TEST.replace("cc.csv", "gone.csv"), HEAD, 12, "no such file"),
        (TEST.replace("constant_current", "constant"), HEAD, 12, "'pulse', 'relaxation', 'constant_current'"),
        (TEST.replace("25 degC", "25"), HEAD, 12, "25 degC"),
        (TEST.replace("95 %", "150 %"), HEAD, 12, "at most"),
        (TEST.replace("start_soc", "soc"), HEAD, 12, "soc"),
        (TEST.replace("}", ", window: [90 %, 10 %]}"), HEAD, 12, "rising"),
        (TEST, HEAD.replace("capacity: 5 Ah\n", ""), 1, "capacity"),
        (TEST, HEAD.replace("5 Ah", "0 Ah"), 5, "more than"),
        (TEST, HEAD.replace("NMC", "lead"), 4, "LFP"),
        (TEST.replace("}", ", columns: {voltage: U}}"), HEAD, 0, "no column 'U'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(folder: Path, tests: str, head: str, line: int, said: str) -> None:
    with pytest.raises(InputError) as caught:
        load_manifest(manifest(folder, tests, head))
    text = str(caught.value)
    assert said in text
    if line:
        assert f"fit.yaml:{line}:" in text


def test_all_problems_of_several_tests_are_told_at_once(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_manifest(manifest(folder, TEST.replace("cc", "a") + TEST.replace("cc", "b")))
    assert [p.line for p in caught.value.problems] == [12, 13]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cc.csv", "time(s),current(A),voltage(V)\n0,1,3.7\n1,x,3.7\n", "cc.csv:3"),
        ("cc.csv", "time(s),current(A),voltage(V)\n0,1,3.7\n0,2,3.6\n", "cc.csv:3"),
        ("cc.csv", "time(s),current(A),voltage(V)\n0,1,3700\n1,2,3600\n", "0 to 6 V"),
        ("ocv.csv", "soc,volt\n0,3\n1,4\n", "ocv.csv:1:1: header: expected a column voltage"),
        ("ocv.csv", "soc,voltage\n0.3,3\n1,4\n", "soc rising from 0 to 1"),
        ("ocv.csv", "soc,voltage\n0,3\n", "two rows or more"),
        ("ocv.csv", "soc,voltage\n0,3\n1,nan\n", "ocv.csv:3"),
    ],
)
def test_damaged_data_are_told_with_their_line(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InputError) as caught:
        load_manifest(manifest(folder))
    assert said in str(caught.value)


def test_without_any_open_circuit_voltage_nothing_is_fitted(folder: Path) -> None:
    with pytest.raises(InputError, match="no open-circuit voltage"):
        load_manifest(manifest(folder, ocv=""))


def test_a_manifest_is_found_by_itself_and_by_its_folder(folder: Path, tmp_path: Path) -> None:
    path = manifest(folder)
    assert find(path) == path
    assert find(folder) == path
    empty = tmp_path / "empty"
    empty.mkdir()
    assert find(empty) is None
