"""The LG M50 in the layout of PyBOP's examples: three MATLAB files, a discharge counted as negative.

``*_OCV.mat``: ``T25`` with ``meanOCV`` and ``meanHys`` over ``refSoC`` (0 to 100 %). ``*_Pulse.mat``: a 10-s discharge
pulse and 10 s of rest for each temperature ``T*``, ``SoC*`` and ``Cell*``. ``*_RateTest.mat``: for each ``T*`` and
``cRate_*`` a discharge, a rest, a charge and a rest, with up to three temperatures of the surface.

At a change of current the cycler wrote some samples with the new current beside the old voltage or the other way round
(in the pulses those at the begin of a step): their voltages count as not read, their current as that of the new step.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from hil.analysis.fit.readers.edges import Samples, all_read, forward, step_begins_replaced, unmixed
from hil.analysis.fit.readers.matlab import load_mat
from hil.analysis.fit.readers.recording import DataSet, Floats, Kind, OcvCurve, Place, Recording, checked
from hil.errors import InputError, Problem

LAYOUT = "lg_m50"
SOURCE = "LG M50 5 Ah, examples of PyBOP (pybop-team/PyBOP e8165e043818)"
LICENCE = "BSD-3-Clause, Copyright (c) 2023, pybop-team"
OCV_DEGC = 25.0
_DEGC = re.compile(r"T(\d+)")
_RATE = re.compile(r"cRate_(\d+(?:p\d+)?C)")


def read_lg_ocv(path: Path) -> OcvCurve:
    """The OCV at 25 degC and half the width of its hysteresis, of several cells on average.

    Raises InputError when the file is damaged or the table is no rising one from 0 to 100 %.
    """
    place = Place(path, "T25")
    table = _fields(place, _only(path, load_mat(path))).get("T25")
    fields = _fields(place, table)
    soc, ocv_v, width_v = (
        _numbers(Place(path, f"T25.{name}"), fields, name) for name in ("refSoC", "meanOCV", "meanHys")
    )
    if not soc.shape == ocv_v.shape == width_v.shape or soc.size < 2 or not np.isfinite([ocv_v, width_v]).all():
        raise InputError(place.problem("arrays", expected="finite, of one length, at least 2 values"))
    if soc[0] != 0.0 or soc[-1] != 100.0 or not np.all(np.diff(soc) > 0.0):
        raise InputError(place.problem("refSoC", expected="rising from 0 to 100 %"))
    return OcvCurve("mean of cells", soc / 100.0, ocv_v, np.abs(width_v), OCV_DEGC, SOURCE, LICENCE)


def read_lg_pulses(path: Path) -> tuple[Recording, ...]:
    """Every pulse, named ``pulse_T25_SoC9_Cell1``. Raises InputError when the file is damaged or holds none."""
    top = Place(path)
    out = []
    for degc, of_temperature in _temperatures(path, top):
        for soc, of_soc in _fields(top, of_temperature).items():
            for cell, holder in _fields(top, of_soc).items():
                place = Place(path, f"{degc}.{soc}.{cell}")
                fields = _fields(place, _fields(place, holder).get("data"))
                out.append(_pulse(place, fields, f"pulse_{degc}_{soc}_{cell}", _nominal(degc), cell))
    if not out:
        raise InputError(top.problem("no pulse", expected="T*.SoC*.Cell*.data"))
    return tuple(out)


def read_lg_rates(path: Path) -> tuple[Recording, ...]:
    """Every rate test, named ``rate_T25_0p5C``. Raises InputError when the file is damaged or holds none."""
    top = Place(path)
    out = []
    for degc, of_temperature in _temperatures(path, top):
        for rate, held in _fields(top, of_temperature).items():
            found = _RATE.fullmatch(rate)
            if found is None:
                raise InputError(top.problem(f"{degc}.{rate}", expected="cRate_0p5C or alike"))
            place = Place(path, f"{degc}.{rate}")
            out.append(_rate(place, _fields(place, held), f"rate_{degc}_{found[1]}", _nominal(degc)))
    if not out:
        raise InputError(top.problem("no rate test", expected="T*.cRate_*"))
    return tuple(out)


def read_lg_folder(path: Path) -> DataSet:
    """OCV, pulses and rate tests of a folder. Raises InputError when a file is missing or damaged."""
    files = {part: path / f"LGM50_5Ah_{part}.mat" for part in ("OCV", "Pulse", "RateTest")}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise InputError(Problem("files of the LG M50", str(path), expected=", ".join(missing), found="no such file"))
    recordings = (*read_lg_pulses(files["Pulse"]), *read_lg_rates(files["RateTest"]))
    return DataSet(LAYOUT, recordings, (read_lg_ocv(files["OCV"]),))


def _only(path: Path, variables: dict[str, Any]) -> Any:
    if len(variables) != 1:
        raise InputError(Problem("variables", str(path), expected="one struct", found=", ".join(variables) or "none"))
    return next(iter(variables.values()))


def _fields(place: Place, struct: Any) -> dict[str, Any]:
    names = getattr(struct, "_fieldnames", None)
    if not isinstance(names, list):
        raise InputError(place.problem("no such struct", expected="a struct", found=type(struct).__name__))
    return {name: getattr(struct, name, None) for name in names}


def _temperatures(path: Path, place: Place) -> list[tuple[str, Any]]:
    return [(n, held) for n, held in _fields(place, _only(path, load_mat(path))).items() if _DEGC.fullmatch(n)]


def _nominal(temperature: str) -> float:
    return float(temperature[1:])


def _numbers(place: Place, fields: dict[str, Any], name: str) -> Floats:
    if name not in fields:
        raise InputError(place.problem(f"no array {name}", found=", ".join(fields)))
    try:
        values = np.atleast_1d(np.asarray(fields[name], dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(place.problem(name, expected="numbers", found=type(fields[name]).__name__)) from error
    if values.ndim != 1:
        raise InputError(place.problem(name, expected="one number a sample", found=f"shape {values.shape}"))
    return values


def _arrays(place: Place, fields: dict[str, Any], names: tuple[str, ...]) -> list[Floats]:
    arrays = [_numbers(place, fields, name) for name in names]
    if len({values.size for values in arrays}) > 1 or arrays[0].size < 2:
        raise InputError(
            place.problem(f"{', '.join(names)}", expected="one length, 2 or more", found=str([v.size for v in arrays]))
        )
    return arrays


def _pulse(place: Place, fields: dict[str, Any], name: str, nominal_degc: float, cell: str) -> Recording:
    names = ("Step", "StepTime", "ProgTime", "Current", "Voltage", "LogTemp001")
    step, within_s, time_s, current_a, voltage_v, degc = _arrays(place, fields, names)
    samples = step_begins_replaced(step, within_s, all_read(time_s, current_a, voltage_v))
    return _recording(place, (name, Kind.PULSE, cell, nominal_degc), samples, degc)


def _rate(place: Place, fields: dict[str, Any], name: str, nominal_degc: float) -> Recording:
    time_s, current_a, voltage_v, degc = _arrays(place, fields, ("timeVec", "currVec", "volVec", "cellTemp_mid"))
    samples = unmixed(forward(all_read(time_s, current_a, voltage_v)))
    return _recording(place, (name, Kind.CONSTANT, "rate", nominal_degc), samples, degc)


def _recording(place: Place, about: tuple[str, Kind, str, float], samples: Samples, degc: Floats) -> Recording:
    name, kind, cell, nominal_degc = about
    kept = forward(samples)
    return checked(
        Recording(
            name=name,
            kind=kind,
            cell=cell,
            time_s=kept.time_s - kept.time_s[0],
            current_a=-kept.current_a,
            voltage_v=kept.voltage_v,
            temperature_degc=_filled(place, degc)[kept.origin],
            nominal_degc=nominal_degc,
            source=SOURCE,
            licence=LICENCE,
            voltage_read=kept.read,
        ),
        place,
    )


def _filled(place: Place, degc: Floats) -> Floats:
    """Temperatures with those that were not logged put on straight lines between their neighbours."""
    known = np.flatnonzero(np.isfinite(degc))
    if not known.size:
        raise InputError(place.problem("temperature", expected="at least one sample that is a number"))
    return np.interp(np.arange(degc.size), known, degc[known])
