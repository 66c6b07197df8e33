"""TRC: PEAK's trace files, versions 1.0 to 1.3 and 2.0 to 2.1, and the tab-separated ``@ TEXT`` traces.

In version 1 each line tells its own layout (the bus and the type stand where they can be recognised), so a damaged header
costs nothing; version 2 is read by ``$COLUMNS``, or by the version's usual columns. Types of version 2: DT data, FD without,
FB with bit rate switch, FE with error state, BI with both, RR remote, ER error; ST, EC and EV are no frames and counted.
Times are absolute by ``$STARTTIME`` (days since 1899-12-30 in local time, taken as UTC). Where a time is a date of its own,
as in ``2021-06-27 21:53:12.046``, that is used.
"""

import re
from functools import partial
from types import MappingProxyType

from hil.logs.dates import iso_ns, numeric_date_ns, serial_ns, shown
from hil.logs.lines import (
    ERROR,
    EXTENDED,
    FD,
    LENGTHS,
    MINUTE,
    PASSIVE,
    REMOTE,
    SENT,
    SWITCHED,
    Progress,
    Reader,
    Rows,
    hex_payload,
    read_lines,
    scaled_ns,
    too_few,
)
from hil.logs.log import Log

MS = 1_000_000
ISO = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?Z?"
_TIME = rf"(?:\d{{1,13}}(?:[.,]\d{{1,9}})?|{ISO})"
_ID = r"[0-9A-Fa-f]{3,8}"
_ONE = re.compile(
    rf"\s*\d+\)\s+({_TIME})\s+(?:(\d{{1,2}})\s+(?=[A-Z][a-z]))?(?:(Rx|Tx|Warng|Error)\s+)?({_ID})\s+(?:-\s+)?(\d{{1,2}})\s*(.*)$",
    re.ASCII,
)
_EVENT = re.compile(rf"\s*\d+\)\s+{_TIME}\s+(?:\d{{1,2}}\s+)?(?:Warng|Event|Status|Ovr)\b", re.ASCII)
_TWO = re.compile(rf"\s*(?:\d+\s+)?({_TIME})\s+([A-Z]{{2}})\s+(.*)$", re.ASCII)
_OTHER = frozenset(("ST", "EC", "EV", "OV"))
_BITS = MappingProxyType(
    {
        "DT": 0,
        "RR": REMOTE,
        "FD": FD,
        "FB": FD | SWITCHED,
        "FE": FD | PASSIVE,
        "BI": FD | SWITCHED | PASSIVE,
        "ER": ERROR,
    }
)
_COLUMNS = MappingProxyType({"2.0": "I,d,l,D", "2.1": "B,I,d,R,L,D"})  # behind number, time and type
_ORDER = re.compile(r"(?:N,)?O,T,((?:[BIdRlLD],)*D)$")  # of $COLUMNS; the number may be left out
_STATUS_ID = 0xFFFFFFFF  # what version 1 writes in place of an identifier for a change of bus status

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "iso")
_BODY = MappingProxyType(
    {
        "1.0": rf"\s*\d+\)\s+\d+\s+{_ID}\s+\d",
        "1.1": rf"\s*\d+\)\s+\d+[.,]\d\s+(?:Rx|Tx|Warng|Error)\s+{_ID}\s+\d",
        "1.2": rf"\s*\d+\)\s+\d+[.,]\d+\s+\d+\s+(?:Rx|Tx|Warng|Error)\s+{_ID}\s+\d",
        "1.3": rf"\s*\d+\)\s+\d+[.,]\d+\s+\d+\s+(?:Rx|Tx|Warng|Error)\s+{_ID}\s+-\s+\d",
        "2.0": rf"\s*(?:\d+\s+)?\d+[.,]\d+\s+(?:DT|FD|FB|FE|BI|RR)\s+{_ID}\s+[RT]x\s+\d",
        "2.1": rf"\s*(?:\d+\s+)?\d+[.,]\d+\s+(?:DT|FD|FB|FE|BI|RR)\s+\d+\s+{_ID}\s+[RT]x\s+-?\s*\d",
        "iso": rf"\s*\d+\)?\s+{ISO}\s+(?:\d+\s+)?(?:[A-Z][A-Za-z]\S*\s+)?(?:\d+\s+)?{_ID}\s",
    }
)
SHAPES = MappingProxyType({version: re.compile(body, re.ASCII) for version, body in _BODY.items()})
HEADERS = MappingProxyType(
    {
        version: re.compile(
            r";\s*(?:PCAN-Net:|CAN activities)" if version == "1.0" else rf";\$FILEVERSION={re.escape(version)}\s*$",
            re.ASCII,
        )
        for version in VERSIONS
    }
)


def read_trc(content: bytes, on_progress: Progress = None, *, version: str = "1.1") -> Log:
    """Read a TRC file of the given version; what the file says of its version wins. Raises nothing for what it holds."""
    return read_lines(content, _Trc(version), on_progress)


def readers() -> dict[str, Reader]:
    """The readers of this file by format name."""
    found: dict[str, Reader] = {f"trc-{version}": partial(read_trc, version=version) for version in VERSIONS}
    return {**found, "pcan-text": read_at_text}


class _Trc:
    """The state of a TRC file between its lines: columns and start."""

    def __init__(self, version: str) -> None:
        self.rows = Rows(f"trc-{version}")
        self.dates = False  # each line has a date of its own
        self._order(_COLUMNS.get(version, ""))

    def take(self, line: str) -> str:
        if line.lstrip()[:1] == ";":
            return self._header(line.lstrip())
        if self.columns and (match := _TWO.match(line)):  # first what the header makes likely
            return self._two(*match.groups())
        if match := _ONE.match(line):
            return self._one(*match.groups())
        if match := _TWO.match(line):
            return self._two(*match.groups())
        if _EVENT.match(line):
            return self.rows.count("other_events")
        return "not a frame"

    def _one(self, time: str, bus: str | None, kind: str | None, name: str, code: str, rest: str) -> str:
        identifier, number = int(name, 16), int(code)
        if kind == "Warng" or identifier == _STATUS_ID:
            return self.rows.count("other_events")
        t_ns, channel = self._time(time), int(bus) - 1 if bus else 0
        if kind == "Error" or rest[:5] == "ERROR":
            return self.rows.add(t_ns, 0, ERROR, b"", channel)
        bits = (EXTENDED if len(name) > 4 else 0) | (SENT if kind == "Tx" else 0)
        length = min(number, 8)  # codes 9 to 15 are sent with 8 bytes
        if rest[:3] == "RTR":
            return self.rows.add(t_ns, identifier, bits | REMOTE, b"", channel, length)
        payload = hex_payload(rest, length)
        return too_few(rest, length) if payload is None else self.rows.add(t_ns, identifier, bits, payload, channel)

    def _two(self, time: str, kind: str, rest: str) -> str:
        if kind in _OTHER:
            return self.rows.count("other_events")
        bits = _BITS.get(kind)
        if bits is None:
            return f"frame type {kind!r} is not known"
        t_ns = self._time(time)
        cells = rest.split(None, len(self.columns) - 1) if self.columns else []
        if kind == "ER":
            bus = cells[self.bus] if 0 <= self.bus < len(cells) else "1"
            bits |= SENT if "Tx" in cells[:-1] else 0
            return self.rows.add(t_ns, 0, bits, b"", int(bus) - 1 if bus.isdigit() else 0)
        if not cells:
            cells = self._guess(rest)
        name = cells[self.identifier]
        if len(name) > 8 or not name.isalnum():
            return f"{name[:12]!r} is no identifier"
        sent = self.direction >= 0 and cells[self.direction] == "Tx"
        bits |= (EXTENDED if len(name) > 4 else 0) | (SENT if sent else 0)
        channel = int(cells[self.bus]) - 1 if self.bus >= 0 else 0
        length = int(cells[self.length])
        if self.coded and length > 8:
            length = LENGTHS[length] if bits & FD and length < 16 else 8
        if bits & REMOTE:
            return self.rows.add(t_ns, int(name, 16), bits, b"", channel, min(length, 8))
        data = cells[self.data] if len(cells) > self.data else ""
        payload = hex_payload(data, length)
        return too_few(data, length) if payload is None else self.rows.add(t_ns, int(name, 16), bits, payload, channel)

    def _guess(self, rest: str) -> list[str]:
        """Columns of a file that lost its header, by its first frame: with a bus or without."""
        first = rest.split(None, 1)[0]
        self._order(_COLUMNS["2.1" if len(first) < 3 else "2.0"])
        return rest.split(None, len(self.columns) - 1)

    def _order(self, columns: str) -> None:
        self.columns = columns.split(",") if columns else []
        place = {name: at for at, name in enumerate(self.columns)}
        self.identifier, self.data = place.get("I", 0), place.get("D", len(self.columns) - 1)
        self.bus, self.direction = place.get("B", -1), place.get("d", -1)
        self.coded = "l" not in place  # L is a length code, l a length in bytes
        self.length = place.get("l", place.get("L", -1))

    def _time(self, text: str) -> int:
        if text[4:5] == "-":
            t_ns = iso_ns(text)
            if t_ns is None:
                raise ValueError(f"{text!r} is no date")
            if not self.dates:
                self.dates = True
                self.rows.starts = [(0, 0)]
            return t_ns
        return scaled_ns(text, MS)

    def _header(self, line: str) -> str:
        key, _, value = line[1:].strip().partition("=")
        if key == "$FILEVERSION":
            self.rows.facts["version"] = value
            if value in _COLUMNS:
                self._order(_COLUMNS[value])
        elif key == "$STARTTIME":
            self._start(serial_ns(value), value)
        elif key == "$COLUMNS" and (order := _ORDER.match(value)) and "I" in value:
            self._order(order[1])
        elif "Start time:" in line and not self.rows.begun:
            self._start(numeric_date_ns(line), line.partition("Start time:")[2].strip())
        elif "Generated by" in line:
            self.rows.facts["recorder"] = line.partition("Generated by")[2].strip()
        return ""

    def _start(self, start_ns: int | None, text: str) -> None:
        if start_ns is not None and not self.dates:
            self.rows.begin(start_ns)
        if len(self.rows.starts) < 2:
            self.rows.facts["start"] = f"{text} (not understood)" if start_ns is None else shown(start_ns)


_AT = re.compile(
    r"\s*(\d{1,2}),(\d{1,9})\t(\d{1,2})\t([0-9A-Fa-f]{1,8})\t([0-9A-Fa-f]{1,8})\t(\d{1,2})\t([0-9A-Fa-f ]*)(?:\t.*)?$",
    re.ASCII | re.DOTALL,
)
AT_HEADER = re.compile(r"@ TEXT @", re.ASCII)


def read_at_text(content: bytes, on_progress: Progress = None) -> Log:
    """Read an ``@ TEXT`` trace. Its times are seconds of a minute, counted on over the minutes here."""
    return read_lines(content, _AtText(), on_progress)


class _AtText:
    """Lines ``seconds,fraction  channel  flags  id  length  bytes  ...`` between tabs; the meaning of flags is not known."""

    def __init__(self) -> None:
        self.rows = Rows("pcan-text")
        self.rows.wrap = MINUTE

    def take(self, line: str) -> str:
        if match := _AT.match(line):
            seconds, part, channel, _, name, code, data = match.groups()
            length = int(code)
            payload = hex_payload(data.strip(), length)
            if payload is None:
                return too_few(data, length)
            bits = EXTENDED if len(name) > 4 else 0
            return self.rows.add(scaled_ns(f"{seconds}.{part}"), int(name, 16), bits, payload, int(channel) - 1)
        if line.startswith("@ TEXT"):
            cells = [cell.strip() for cell in line.split("@")]
            self.rows.facts["version"] = cells[2]
            if len(cells) > 5:
                self.rows.facts["frames_announced"] = cells[5]
            return ""
        if line.startswith("#"):
            self.rows.facts["recorder_time"] = line.strip("# \t")
            return ""
        return "not a frame"


AT_SHAPE = _AT
