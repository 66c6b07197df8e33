"""The Panasonic NCR18650PF in the layout of the trips by Kollmeyer: numpy archives, a discharge counted as negative.

``udds_*trips*.npz`` holds arrays ``trip01`` ... of shape (n, 3): time s, current A, voltage V; ``soc_ocv.npz`` one array
``soc_ocv`` of shape (n, 2): SoC, V, from a C/20 test.
"""

import io
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from hil.analysis.fit.readers.delimited import content_of
from hil.analysis.fit.readers.recording import DataSet, Floats, Kind, OcvCurve, Place, Recording, checked
from hil.errors import InputError, Problem

LAYOUT = "panasonic_18650pf"
SOURCE = "P. Kollmeyer, NCR18650PF drive cycles at 25 degC (JYKIMkentech/soc_estimation 81cf64d9ca6c)"
LICENCE = "none in the repository the data were taken from: no data are kept here, only what was fitted"
NOMINAL_DEGC = 25.0
MOST_BYTES = 1 << 28  # of one array, unpacked
_TRIP = re.compile(r"trip\d+")


def read_trips(path: Path) -> tuple[Recording, ...]:
    """The trips of one archive, in order. Raises InputError when it is damaged or holds none."""
    arrays = read_arrays(path)
    names = sorted(name for name in arrays if _TRIP.fullmatch(name))
    if not names:
        raise InputError(
            Problem("arrays", str(path), expected="trip01, trip02, ...", found=", ".join(arrays) or "none")
        )
    return tuple(_trip(path, name, arrays[name]) for name in names)


def _trip(path: Path, name: str, array: Floats) -> Recording:
    place = Place(path, name)
    time_s, current_a, voltage_v = _columns(place, array, 3)
    recording = Recording(
        name=name,
        kind=Kind.DRIVE,
        cell="1",
        time_s=time_s,
        current_a=-current_a,
        voltage_v=voltage_v,
        temperature_degc=None,
        nominal_degc=NOMINAL_DEGC,
        source=SOURCE,
        licence=LICENCE,
    )
    return checked(recording, place)


def read_soc_ocv(path: Path) -> OcvCurve:
    """The OCV table. Raises InputError when the archive is damaged or the table is no rising one from 0 to 1."""
    place = Place(path, "soc_ocv")
    array = read_arrays(path).get("soc_ocv")
    if array is None:
        raise InputError(place.problem("no such array", expected="SoC and OCV, shape (n, 2)"))
    soc, ocv_v = _columns(place, array, 2)
    if soc[0] != 0.0 or soc[-1] != 1.0 or not np.all(np.diff(soc) > 0.0) or not np.isfinite(ocv_v).all():
        raise InputError(place.problem("SoC", expected="rising from 0 to 1, with a finite OCV each"))
    return OcvCurve("C/20", soc, ocv_v, None, NOMINAL_DEGC, SOURCE, LICENCE)


def read_panasonic_folder(path: Path) -> DataSet:
    """Trips and OCV table of a folder. Raises InputError when the trips are missing or a file is damaged."""
    trips = sorted(path.glob("udds_*trips*.npz"))
    if not trips:
        raise InputError(Problem("no trips of the 18650PF", str(path), expected="udds_*trips*.npz"))
    table = path / "soc_ocv.npz"
    curves = (read_soc_ocv(table),) if table.is_file() else ()
    return DataSet(LAYOUT, tuple(r for file in trips for r in read_trips(file)), curves)


def read_arrays(path: Path) -> dict[str, Floats]:
    """The arrays of a numpy archive as floats, in the order of the file; objects in it are refused, never unpickled.

    Raises InputError when the archive is damaged, too large, or holds what are no numbers.
    """
    content, name = content_of(path), ""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                name = entry.filename
                if entry.file_size > MOST_BYTES:
                    raise InputError(Problem(f"array {name}", str(path), expected=f"at most {MOST_BYTES} bytes"))
        out: dict[str, Floats] = {}
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            for name in arrays.files:
                values = np.asarray(arrays[name])
                if values.dtype.kind not in "fiu":
                    raise InputError(Problem(f"array {name}", str(path), expected="numbers", found=str(values.dtype)))
                out[name] = values.astype(np.float64)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, OSError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(Problem(f"damaged archive{f' at {name}' if name else ''}", str(path), expected="a numpy archive",
                                 found=str(error)[:120])) from error  # fmt: skip
    return out


def _columns(place: Place, array: Floats, count: int) -> list[Floats]:
    if array.ndim != 2 or array.shape[1] != count or array.shape[0] < 2:
        raise InputError(place.problem("shape", expected=f"(n, {count}), n at least 2", found=str(array.shape)))
    return [np.ascontiguousarray(array[:, k]) for k in range(count)]
