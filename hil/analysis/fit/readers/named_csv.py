"""Any other table of a cell test: CSV with a header that names its columns and their units.

``Time(s),Current [mA],Voltage [V],T [degC]`` or ``time_s,current_a,voltage_v,temperature_degc``: the unit stands in
brackets or behind the last underscore. Columns may have any name when it is told which they are.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from hil.analysis.fit.readers.delimited import Text, columns, text_of
from hil.analysis.fit.readers.recording import Kind, Recording, checked, voltage_response
from hil.errors import InputError, Problem, nearest
from hil.units import parse_quantity

LAYOUT = "csv"
ROLES = {"time": "s", "current": "A", "voltage": "V", "temperature": "degC"}
"""Columns and what they are converted to; ``temperature`` may be missing."""
Sign = Literal["positive", "negative"]
_BRACKETS = re.compile(r"(.*?)\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]\s*")
_UNIT_SPELLINGS = {"a": "A", "ma": "mA", "v": "V", "mv": "mV", "degc": "degC", "c": "degC", "C": "degC", "k": "K"}
_DELIMITERS = (";", "\t", ",")


def read_csv(
    path: Path,
    *,
    discharge: Sign | None = None,
    names: Mapping[str, str] | None = None,
    kind: Kind = Kind.DRIVE,
    nominal_degc: float | None = None,
    licence: str = "not stated",
) -> Recording:
    """One test from a CSV file, plain or gzipped; its name is the file's.

    Args:
        path: the file.
        discharge: the sign of a discharging current in the file; None: told from the voltage's answer to it.
        names: column of a role (``time``, ``current``, ``voltage``, ``temperature``), where the header does not tell it.
        kind: what the test was made for.
        nominal_degc: temperature of the chamber, degC.
        licence: of the data.

    Raises:
        InputError: a column or its unit is not found, a value is wrong, or the sign cannot be told.
    """
    text = text_of(path)
    delimiter = next((d for d in _DELIMITERS if d in text.rows[0]), ",")
    header = [cell.strip().strip('"') for cell in text.rows[0].split(delimiter)]
    picked = {role: _column(text, header, role, dict(names or {})) for role in ROLES}
    roles = [role for role in ROLES if picked[role] is not None]
    factors = [_unit(text, header[picked[role] or 0], role) for role in roles]
    below = text.below(1)
    if not below.rows:
        raise InputError(Problem("no samples", str(path), expected="rows below the header"))
    raw = columns(below, tuple(picked[role] or 0 for role in roles), delimiter)
    held = {role: values * factor + offset for role, values, (factor, offset) in zip(roles, raw, factors, strict=True)}
    recording = Recording(
        name=path.name.split(".")[0],
        kind=kind,
        cell="1",
        time_s=held["time"] - held["time"][0],
        current_a=held["current"],
        voltage_v=held["voltage"],
        temperature_degc=held.get("temperature"),
        nominal_degc=nominal_degc,
        source=path.name,
        licence=licence,
    )
    return checked(_turned(recording, discharge, path), below.place)


def _turned(recording: Recording, discharge: Sign | None, path: Path) -> Recording:
    """The recording with a discharge positive."""
    if discharge is None:
        answer = voltage_response(recording)
        if answer == 0:
            raise InputError(
                Problem(
                    "the sign of the current cannot be told from the voltage",
                    str(path),
                    expected="discharge: positive, or negative",
                )
            )
        discharge = "positive" if answer < 0 else "negative"
    if discharge == "positive":
        return recording
    from dataclasses import replace

    return replace(recording, current_a=-recording.current_a)


def _column(text: Text, header: list[str], role: str, names: dict[str, str]) -> int | None:
    """The column's number; None only for a temperature that is not there."""
    line = int(text.numbers[0])
    if role in names:
        if names[role] not in header:
            close = nearest(names[role], header) or ""
            raise InputError(Problem(f"no column {names[role]!r}", str(text.path), line, nearest=close))
        return header.index(names[role])
    found = [k for k, name in enumerate(header) if _named(name, role) and name not in names.values()]
    if len(found) == 1:
        return found[0]
    if not found and role == "temperature":
        return None
    told = ", ".join(header[k] for k in found) or ", ".join(header)[:120]
    raise InputError(Problem(f"the {role}", str(text.path), line, expected=f"one column named {role}", found=told))


def _named(name: str, role: str) -> bool:
    plain = _BRACKETS.sub(r"\1", name).casefold()
    plain = plain.rpartition("_")[0] if plain.rpartition("_")[0] and plain == name.casefold() else plain
    return plain.replace("_", " ").strip() in {
        role,
        f"test {role}",
        f"cell {role}",
        {"temperature": "t"}.get(role, role),
    }


def _unit(text: Text, name: str, role: str) -> tuple[float, float]:
    """(factor, offset) from the column's unit to that of its role."""
    bracketed = _BRACKETS.fullmatch(name)
    written = bracketed[2] if bracketed else name.rpartition("_")[2] if "_" in name else ""
    unit = _UNIT_SPELLINGS.get(written, written)
    wanted, line = ROLES[role], int(text.numbers[0])
    if not unit:
        raise InputError(Problem(f"unit of {name!r}", str(text.path), line, expected=f"{name}({wanted}) or alike"))
    try:
        zero, one = parse_quantity(f"0 {unit}", wanted), parse_quantity(f"1 {unit}", wanted)
    except InputError as error:
        found = repr(written)
        raise InputError(
            Problem(f"unit of {name!r}", str(text.path), line, expected=f"one that {wanted} converts to", found=found)
        ) from error
    return one - zero, zero
