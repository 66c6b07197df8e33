"""Logs that are tables: one row a frame, and a header that names the columns.

The header is read by the names tools use for time, identifier, length, data and the rest, whatever separates the cells, so
that exports of unknown tools with the usual columns are read too (format ``table``). A file that lost its header line is
read by the columns that its format usually has.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from hil.logs.dates import iso_ns
from hil.logs.lines import (
    ERROR,
    EXTENDED,
    FD,
    PASSIVE,
    REMOTE,
    SECOND_NS,
    SENT,
    SWITCHED,
    TIME_OF_DAY,
    Progress,
    Rows,
    clock_ns,
    read_lines,
    scaled_ns,
    spaced_bytes,
)
from hil.logs.log import Log

_NAMES = MappingProxyType(
    {
        "stamp": "timestamp time times timems timeus timesec abstimesec timescale timeidentifier systemtime timestampepoch "
        "timemark timeoffset timeoffsetms timestampms timestampus timestamps timesecs times0",
        "id": "id canid arbid arbitrationid frameid idhex canidhex frameidhex identifier msgid messageid identifierhex",
        "length": "datalength len length dlc datalen dlen",
        "data": "data datahex databytes databyteshex datahexadecimal payload",
        "first": "d1 b1 data0 byte0 db0 d0 b0 data1 byte1",
        "direction": "dir direction tr rxtx txrx transmitdirection tx",
        "channel": "bus ch channel canchannel buschannel chn",
        "extended": "extended ide xtd ext isextended frameformat format idtype",
        "remote": "remote rtr isremote frametype type",
        "error": "error er iserror",
        "fd": "edl fdf fd isfd",
        "switched": "brs bitrateswitch",
        "passive": "esi",
    }
)
_CLEAN = re.compile(r"[^a-z0-9]")
_TRUE = frozenset("1 true t yes y".split())
_EXTENDED = _TRUE | frozenset(("x", "e", "ext", "ext.", "extended", "extend", "extended frame", "xtd", "29", "29bit"))
_REMOTE = _TRUE | frozenset(("r", "rtr", "remote", "remote frame"))
_SENT = _TRUE | frozenset(("tx", "send", "sent", "transmit", "transmitted", "out"))
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:[.:,](\d{1,9}))?(?:\.\d+)?\s*$", re.ASCII)
_EPOCHS = (
    (10**17, 1),
    (10**14, 1_000),
    (10**11, 1_000_000),
    (10**8, SECOND_NS),
)  # whole epoch times: value, ns of a unit
_SHORTEST_NS = 40_000  # a frame of no data takes 47 bits at 1 Mbit/s
_TICK_NS = 100_000  # of hexadecimal time marks
PREAMBLE = 200  # lines that may stand before the header


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row each thing stands; -1 where the table lacks it. ``unit_ns`` is 0 where the header names no unit."""

    separator: str
    stamp: int
    id: int
    length: int = -1
    data: int = -1
    first: int = -1
    direction: int = -1
    channel: int = -1
    extended: int = -1
    remote: int = -1
    error: int = -1
    fd: int = -1
    switched: int = -1
    passive: int = -1
    unit_ns: int = 0


def columns_of(line: str) -> Columns | None:
    """The columns that a header line names; None when it is no header with at least time, identifier and data."""
    for separator in ("\t", ";", ",", "  "):
        cells = split(line, separator)
        if len(cells) < 4:
            continue
        names = [_CLEAN.sub("", cell.lower()) for cell in cells]
        places: dict[str, int] = {}
        for role, known in _NAMES.items():
            for name in known.split():  # the names of a role stand in the order of preference
                if name in names and role not in places:
                    places[role] = names.index(name)
        if {"stamp", "id"} <= places.keys() and places.keys() & {"data", "first"}:
            unit = _unit_ns(cells[places["stamp"]].lower())
            return Columns(separator, unit_ns=unit, **places)
    return None


def split(line: str, separator: str) -> list[str]:
    """The cells of a row; two spaces as separator stand for any stretch of them."""
    if separator == "  ":
        return re.split(r"\s{2,}|\t", line.strip())
    return line.replace('"', "").split(separator)


def _unit_ns(name: str) -> int:
    if "ms" in name or "millis" in name:
        return 1_000_000
    if "us" in name.replace("status", "") or "micro" in name:
        return 1_000
    return SECOND_NS if "(s" in name or "[s" in name or "sec" in name else 0


class _Table:
    """Rows below a header; before one is seen, rows with the columns that the format usually has."""

    def __init__(self, name: str, usual: Callable[[str], Columns | None]) -> None:
        self.rows = Rows(name)
        self.rows.epoch = True
        self.usual = usual
        self.columns: Columns | None = None
        self.headed = False
        self.looked = 0  # lines searched for a header

    def take(self, line: str) -> str:
        self.looked += 1
        if not self.headed and self.looked <= PREAMBLE and (found := columns_of(line)) is not None:
            unit = self.usual("")
            self.columns, self.headed = (replace_unit(found, unit) if unit else found), True
            return ""
        columns = self.columns or self.usual(line)
        if columns is None:
            return "" if line.lstrip()[:1] in ("#", ";", "/") else "a row without a header"
        if (cells := split(line, columns.separator)) and len(cells) > max(columns.id, columns.stamp):
            return self._row(cells, columns)
        return "" if line.lstrip()[:1] == "#" or columns_of(line) else "not a frame"

    def _row(self, cells: list[str], c: Columns) -> str:
        if c.id > 0 and cells[c.id].strip().lower() in ("id", "can id"):
            return ""  # the header again: logs were joined
        t_ns = self._time(cells[c.stamp].strip(), c.unit_ns)
        name = cells[c.id].strip()
        extended = name[-1:] in "xXhH" and name[:2].lower() != "0x" and len(name) > 1
        identifier = int(name[:-1] if extended else name, 16) if "_" not in name else -1
        if identifier < 0:
            return f"{name[:12]!r} is no identifier"
        bits = EXTENDED if name[-1:] in "xX" and extended else 0
        if c.extended >= 0 and cells[c.extended].strip().lower() in _EXTENDED:
            bits |= EXTENDED
        if c.direction >= 0 and cells[c.direction].strip().lower() in _SENT:
            bits |= SENT
        channel = _channel(cells[c.channel]) if c.channel >= 0 else 0
        if c.fd >= 0:
            bits |= _flag(cells, c.fd, FD) | _flag(cells, c.switched, SWITCHED) | _flag(cells, c.passive, PASSIVE)
        if c.error >= 0 and _flag(cells, c.error, ERROR):
            return self.rows.add(t_ns, 0, bits & SENT | ERROR, b"", channel)
        length = _count(cells[c.length].strip()) if c.length >= 0 else -1
        if c.remote >= 0 and cells[c.remote].strip().lower() in _REMOTE:
            return self.rows.add(t_ns, identifier, bits | REMOTE, b"", channel, max(min(length, 8), 0))
        tokens = cells[c.first :] if c.first >= 0 else cells[c.data].replace("0x", "").replace("x|", "").split()
        if length < 0:
            tokens = [token for token in map(str.strip, tokens) if token]
            length = len(tokens)
        return self._data(t_ns, identifier, bits, tokens[:length], length, channel)

    def _data(self, t_ns: int, identifier: int, bits: int, tokens: list[str], length: int, channel: int) -> str:
        if len(tokens) == 1 and length > 1:
            payload = bytes.fromhex(tokens[0])[:length]  # digits without spaces
        else:
            payload = spaced_bytes(" ".join(tokens))
        if len(payload) != length:
            return f"{len(payload)} data bytes given, {length} announced"
        return self.rows.add(t_ns, identifier, bits, payload, channel)

    def _time(self, cell: str, unit_ns: int) -> int:
        if unit_ns and (cell.isdigit() or (cell[:1] == "-" and cell[1:].isdigit())):
            return int(cell) * unit_ns
        if match := _CLOCK.match(cell):
            self.rows.wrap = TIME_OF_DAY
            hours, minutes, seconds, part = match.groups()
            return clock_ns(hours, minutes, seconds, part or "")
        if cell[:2] in ("0x", "0X"):
            return int(cell, 16) * _TICK_NS
        if (dated := iso_ns(cell)) is not None:
            return dated
        if unit_ns or not cell.isdigit():
            return scaled_ns(cell, unit_ns or SECOND_NS)
        value = int(cell)
        return value * next((unit for least, unit in _EPOCHS if value >= least), 1_000)


def replace_unit(found: Columns, usual: Columns) -> Columns:
    """Columns as found, with the unit and the channel count of the format where the header does not say."""
    return replace(found, unit_ns=found.unit_ns or usual.unit_ns)


def _count(cell: str) -> int:
    if cell.isdigit() or cell[:2] == "0x":
        return int(cell, 16 if cell[:2] == "0x" else 10)
    raise ValueError(f"{cell!r} is no length")


def _flag(cells: list[str], at: int, bit: int) -> int:
    return bit if 0 <= at < len(cells) and cells[at].strip().lower() in _TRUE else 0


def _channel(cell: str) -> int:
    if cell.isdigit():
        return int(cell)
    digits = re.search(r"\d{1,3}", cell)
    if digits is None:
        raise ValueError(f"{cell!r} is no channel")
    return int(digits.group())


GVRET_HEADER = re.compile(r'\W{0,4}Time ?Stamp"?,"?ID"?,"?Extended', re.ASCII | re.IGNORECASE)
GVRET = re.compile(
    r"\s*-?\d{1,19},(?:0x)?[0-9A-Fa-f]{1,8},(?:true|false),(?:[RT]x,)?\d{1,3},\d{1,2}(?:,|\s*$)",
    re.ASCII | re.IGNORECASE,
)
_GVRET_OLD = Columns(",", stamp=0, id=1, extended=2, channel=3, length=4, first=5, unit_ns=1_000)
_GVRET_NEW = Columns(",", stamp=0, id=1, extended=2, direction=3, channel=4, length=5, first=6, unit_ns=1_000)


def _gvret(line: str) -> Columns | None:
    cells = line.split(",", 4)
    return _GVRET_NEW if len(cells) > 4 and cells[3].strip().lower() in ("rx", "tx") else _GVRET_OLD


def read_gvret(content: bytes, on_progress: Progress = None) -> Log:
    """Read GVRET's CSV, with and without direction. Times are us; ms where us would be closer than frames can follow."""
    log = read_lines(content, _Table("gvret", _gvret), on_progress)
    n, t_ns = len(log.trace), log.trace.t_ns
    # the median step: a log may jump, and a file may hold joined logs
    if n >= 8 and 0 < np.median(np.diff(t_ns)) < _SHORTEST_NS:
        log.facts["times"] = "taken as ms: as us the frames would follow closer than a bus can carry them"
        log = replace(log, trace=replace(log.trace, t_ns=t_ns * 1_000))
    return log


PARSERFLAGS_HEADER = re.compile(r"\s*ParserFlags\t", re.ASCII)
PARSERFLAGS = re.compile(r"\s*\d+\t\d+\t\d+\t[RT]X\t\d+\t[^\t]*\t0x[0-9A-Fa-f]{1,8}\t\d{1,2}\t", re.ASCII)
_PARSERFLAGS = Columns("\t", stamp=4, id=6, length=7, data=8, direction=3, channel=1, unit_ns=1_000_000)


def read_parserflags(content: bytes, on_progress: Progress = None) -> Log:
    """Read CANalyst's tab-separated export, whose first column is ParserFlags; times are ms."""
    return read_lines(content, _Table("parserflags", lambda _: _PARSERFLAGS), on_progress)


ZLG_HEADER = re.compile(r"\s*\W?(?:NO|Index|Sequence)\W.*\bTime (?:Scale|Identifier|Mark)", re.ASCII | re.IGNORECASE)


def read_table(content: bytes, on_progress: Progress = None) -> Log:
    """Read a table of an unknown tool by its header."""
    return read_lines(content, _Table("table", lambda _: None), on_progress)


def read_zlg(content: bytes, on_progress: Progress = None) -> Log:
    """Read a table with a column ``Time Scale`` or ``Time Identifier``; hexadecimal ones count 0.1 ms."""
    return read_lines(content, _Table("zlg", lambda _: None), on_progress)


PYTHON_CAN_HEADER = re.compile(r"\s*timestamp,arbitration_id,extended,remote,error,dlc,data", re.ASCII)
PYTHON_CAN = re.compile(
    r"\s*([\d.eE+-]{1,40}),0x([0-9A-Fa-f]{1,8}),([01]),([01]),([01]),(\d{1,2}),([A-Za-z0-9+/]*={0,2})\s*$", re.ASCII
)


class _PythonCan:
    """``1483389946.197,0xdadada,1,0,0,6,WzQyLCA5XQ==``: the payload in base64."""

    def __init__(self) -> None:
        self.rows = Rows("csv-python-can")
        self.rows.epoch = True

    def take(self, line: str) -> str:
        if match := PYTHON_CAN.match(line):
            time, name, extended, remote, error, code, data = match.groups()
            bits = (
                (EXTENDED if extended == "1" else 0) | (REMOTE if remote == "1" else 0) | (ERROR if error == "1" else 0)
            )
            t_ns, identifier, length = scaled_ns(time), int(name, 16), int(code)
            if bits & REMOTE:
                return self.rows.add(t_ns, identifier, bits, b"", 0, min(length, 8))
            try:
                payload = b64decode(data, validate=True)
            except Base64Error:
                return "data is not base64"
            if len(payload) < length:
                return f"{len(payload)} data bytes given, {length} announced"
            return self.rows.add(t_ns, identifier, bits, payload[:length])
        return "" if PYTHON_CAN_HEADER.match(line) else "not a frame"


def read_python_can_csv(content: bytes, on_progress: Progress = None) -> Log:
    """Read python-can's CSV; it holds neither channel nor direction nor CAN FD flags."""
    return read_lines(content, _PythonCan(), on_progress)
