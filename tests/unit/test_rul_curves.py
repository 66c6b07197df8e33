"""Readers of capacity data: what they take, and that what they refuse is told with its place."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.rul.curves import load_capacity, load_curves, load_history
from hil.analysis.rul.fade import History
from hil.errors import InputError
from tests.rul_rig import make_curves, save_curves


def test_sets_come_back_as_they_were_saved(tmp_path: Path) -> None:
    one, two = make_curves(4, name="one"), make_curves(3, seed=9, name="two")
    path = save_curves(tmp_path / "x.npz", two, one)
    back = load_curves(path)
    assert [c.name for c in back] == ["one", "two"]
    assert np.array_equal(back[0].capacity_ah, one.capacity_ah)
    assert back[1].life is not None
    assert two.life is not None
    assert np.array_equal(back[1].life, two.life)
    assert isinstance(load_capacity(path), tuple)


def spoil(path: Path, **arrays: np.ndarray | None) -> Path:
    curves = make_curves(3)
    content = {
        "cycles": curves.cycles, "voltage": curves.voltage_v, "made_Q": curves.capacity_ah, "made_Qend": curves.discharge_ah,
        "made_life": curves.life,
    } | arrays  # fmt: skip
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"cycles": None}, "'cycles' is missing"),
        ({"made_Q": None}, "'NAME_Q' is missing"),
        ({"made_Q": np.zeros((3, 7, 4))}, "made_Q"),
        ({"made_Q": np.full((3, 200, 4), np.nan)}, "made_Q"),
        ({"voltage": np.linspace(2.0, 3.5, 200)}, "falling"),
        ({"made_Qend": np.zeros((2, 5))}, "made_Qend"),
        ({"made_life": np.array([1.0, 2.0])}, "made_life"),
        ({"made_life": np.array([1.0, 2.0, -3.0])}, "made_life"),
        ({"made_life": np.array(["a", "b", "c"])}, "not of numbers"),
        ({"made_life": np.array([None, 1, 2], dtype=object)}, "not of numbers"),
    ],
)
def test_an_array_that_is_wrong_is_named(tmp_path: Path, arrays: dict[str, np.ndarray | None], told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_curves(spoil(tmp_path / "x.npz", **arrays))


def test_a_size_that_is_only_claimed_is_not_believed(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cycles.npy", stream.getvalue())
    with pytest.raises(InputError, match="ends early"):
        load_curves(path)


def test_no_npz_and_no_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_curves(tmp_path / "none.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(InputError, match="cannot be read as npz"):
        load_curves(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "text",
    [
        "cycle,capacity_ah\n1,2.0\n3,1.9\n",
        "\ufeffCycle; Capacity ;note\n3;1.9;later\n1;2.0;\n",
        "type\tcapacity\tcycle\nd\t9\t1\nd\t2.0\t1\nd\t1.9\t3\n\n",
    ],
)
def test_a_csv_is_read_whatever_its_separator_and_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cell.csv"
    path.write_text(text, encoding="utf-8")
    made = load_history(path)
    assert made.cycles.tolist() == [1.0, 3.0]
    assert made.capacity_ah.tolist() == [2.0, 1.9]
    assert isinstance(load_capacity(path), History)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column 'cycle' is missing"),
        ("cycle,voltage\n1,2\n", "column 'capacity_ah' is missing.*found cycle, voltage"),
        ("cycle,capacity\n1,2\n2,none\n", "cell.csv:3:2: capacity: expected 1e-06 to 1e\\+06 Ah, found 'none'"),
        ("cycle,capacity\n1,0\n", "1e-06 to 1e"),
        ("cycle,capacity\n1e300,2\n", "0 to 1e"),
        ("cycle,capacity\n1,1e-300\n", "1e-06 to 1e"),
        ("cycle,capacity\n1,1_0\n", "found '1_0'"),
        ("cycle,capacity\nx,2\n", ":2:1: cycle"),
        ("cycle,capacity\n1\n", ":2:2: capacity"),
        ("cycle,capacity\n", "no cycle"),
        ("cycle,capacity\n1,nan\n2,inf\n", "inf"),
    ],
)
def test_a_csv_that_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cell.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="(?s)" + told):
        load_history(path)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cell.csv"
    path.write_bytes(b"cycle,capacity\n\xff\xfe\n")
    with pytest.raises(InputError, match="not UTF-8"):
        load_history(path)
