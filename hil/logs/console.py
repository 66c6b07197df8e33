"""What tools print line by line: candump's console form, CRTD, interface prefixes, bare columns, a charger's console.

None of these has a header that is needed: each line stands for itself.
"""

import re
from dataclasses import replace

import numpy as np

from hil.logs.dates import iso_ns
from hil.logs.devices import numbered
from hil.logs.lines import (
    EPOCH_NS,
    ERROR,
    EXTENDED,
    FD,
    MINUTE,
    PASSIVE,
    REMOTE,
    SECOND_NS,
    SENT,
    SWITCHED,
    TIME_OF_DAY,
    Progress,
    Rows,
    clock_ns,
    decimal_ns,
    hex_payload,
    read_lines,
    scaled_ns,
    spaced_bytes,
    too_few,
)
from hil.logs.log import Log

_BANNER = re.compile(r"\s*(?:=~=~|#|//|;|\$ |Script (?:started|done))", re.ASCII)  # terminal headers, comments

CANDUMP = re.compile(
    r"\s*(?:\(([^()]{3,40})\)\s+)?([A-Za-z][\w.-]{0,15})\s+(?:([RT]X)\s+([B-])\s+([E-])\s+)?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})\s+"
    r"(?:\[(\d{1,2})\]|\{([0-9A-F])\})\s*(.*)$",
    re.ASCII,
)
_DEVICE = r"[A-Za-z][\w.-]{0,15}\s+(?:[RT]X\s+[B-]\s+[E-]\s+)?(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})\s+(?:\[\d|\{[0-9A-F]\})"
_SWAPPED = re.compile(r"(?:[0-9A-F]{2}`){1,63}[0-9A-F]{2}(?![0-9A-F])|(?:[01]{8}`){1,63}[01]{8}", re.ASCII)
_BINARY = re.compile(r"[01]{8}(?:\s|$)", re.ASCII)
TIMED = re.compile(r"\s*\(\s*[\d.: -]{3,40}\)\s+" + _DEVICE, re.ASCII)
UNTIMED = re.compile(r"\s*" + _DEVICE, re.ASCII)
UNTIMED_LOG = re.compile(
    r"\s*([A-Za-z][\w.-]{0,15})\s+([0-9A-Fa-f]{3}|[0-9A-Fa-f]{8})#"
    r"(R(?:8_[9A-F]|[0-8])?|#[0-9A-Fa-f](?:\.?[0-9A-Fa-f]{2}){0,64}|(?:[0-9A-Fa-f]{2}\.?)*(?:_[9A-F])?)\s*([RT])?\s*$",
    re.ASCII,
)
ERROR_FLAG, CLASS = 0x20000000, 0x1FFFFFFF  # in the identifier of an error message (linux/can.h)


class _Devices:
    """Names of interfaces in the order they come, and their channel numbers once all are known."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """The name's place in the order of first appearance."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.places.setdefault(name, len(self.places))

    def numbered(self, log: Log) -> Log:
        """The log with channel numbers in place of places."""
        numbers = numbered(self.counts)
        if not numbers:
            return log
        by_place = np.array([numbers.get(name, 255) for name in self.places], np.uint8)
        log.facts["channels"] = ", ".join(f"{name}={number}" for name, number in list(numbers.items())[:16])
        return replace(log, trace=replace(log.trace, channel=by_place[log.trace.channel]))


class _Candump:
    """``(time)  can0  123   [8]  11 22 ..``, with ``RX B E`` flags of ``-x`` and the text column of ``-a``.

    The length of a CAN FD frame has two digits (``[08]``); with ``-8`` a length code stands in its place (``{F}``), with ``-i``
    bytes are binary, with ``-S`` the last comes first. Below an error message ``-e`` explains it, one indented line each.
    """

    def __init__(self, name: str) -> None:
        self.rows = Rows(name)
        self.rows.epoch = True
        self.devices = _Devices()
        self.explained = False  # an error message stands above

    def take(self, line: str) -> str:
        if self.explained and line[:1] == "\t":
            return ""
        self.explained = False
        if match := CANDUMP.match(line):
            return self._frame(*match.groups())
        if match := UNTIMED_LOG.match(line):
            return self._log_form(*match.groups())
        return "" if _BANNER.match(line) else "not a frame"

    def _frame(
        self,
        time: str | None,
        device: str,
        direction: str | None,
        switched: str,
        passive: str,
        name: str,
        given: str | None,
        code: str | None,
        rest: str,
    ) -> str:
        t_ns = self._time(time) if time else 0
        identifier, length = int(name, 16), int(given) if given else min(int(code or "0", 16), 8)
        bits = (EXTENDED if len(name) == 8 else 0) | (SENT if direction == "TX" else 0)
        bits |= (FD if given and len(given) == 2 else 0) | (SWITCHED if switched == "B" else 0)
        bits |= PASSIVE if passive == "E" else 0
        if identifier & ERROR_FLAG or rest.endswith("ERRORFRAME"):
            self.explained = True
            bits, identifier = bits & SENT | ERROR, identifier & CLASS if identifier & ERROR_FLAG else 0
        elif rest.startswith("remote request"):
            return self.rows.add(t_ns, identifier, bits | REMOTE, b"", self.devices.place(device), min(length, 8))
        payload = _viewed(rest, length)
        if payload is None:
            return too_few(rest, length)
        return self.rows.add(t_ns, identifier, bits, payload, self.devices.place(device))

    def _log_form(self, device: str, name: str, data: str, direction: str | None) -> str:
        identifier, bits = int(name, 16), (EXTENDED if len(name) == 8 else 0) | (SENT if direction == "T" else 0)
        channel = self.devices.place(device)
        if data[:1] == "R":
            return self.rows.add(0, identifier, bits | REMOTE, b"", channel, int(data[1:2] or "0"))
        if identifier & ERROR_FLAG:
            bits, identifier = bits & SENT | ERROR, identifier & CLASS
        if data[:1] == "#":
            flags, data = int(data[1], 16), data[2:]
            bits |= FD | (SWITCHED if flags & 1 else 0) | (PASSIVE if flags & 2 else 0)
        return self.rows.add(0, identifier, bits, bytes.fromhex(data.partition("_")[0].replace(".", "")), channel)

    def _time(self, text: str) -> int:
        if text[4:5] == "-":
            t_ns = iso_ns(text)
            if t_ns is None:
                raise ValueError(f"{text!r} is no date")
            return t_ns
        return scaled_ns(text)


def _viewed(rest: str, length: int) -> bytes | None:
    """The payload as ``candump`` was asked to show it; None when it is not whole."""
    tokens: list[str] = []
    if match := _SWAPPED.match(rest):
        tokens = match.group().split("`")[::-1]
    elif _BINARY.match(rest):
        tokens = rest.split()
    if not tokens:
        return hex_payload(rest, length)
    if len(tokens[0]) == 8:
        tokens = [f"{int(token, 2):02X}" for token in tokens[:length]]
    return hex_payload(" ".join(tokens), length)


def read_candump_untimed(content: bytes, on_progress: Progress = None) -> Log:
    """Read candump's console form without times: every frame stands at 0, the order is that of the file."""
    dialect = _Candump("candump-no-time")
    log = read_lines(content, dialect, on_progress)
    log.facts["times"] = "none in the file; all frames stand at 0"
    return dialect.devices.numbered(log)


def read_candump_console(content: bytes, on_progress: Progress = None) -> Log:
    """Read candump's console form with times: absolute, dates, from zero (``-t z``) or from the frame before (``-t d``).

    The last two look alike. Times that step back in more than one of eight frames are taken as differences.
    """
    dialect = _Candump("candump-console")
    lines = read_lines(content, dialect, on_progress)
    steps_back = int(lines.facts.get("backwards", "0"))
    if steps_back * 8 > len(lines.trace) and not lines.trace.absolute and lines.trace.t_ns.max() < EPOCH_NS:
        dialect.rows.delta = True
        del dialect.rows.facts["backwards"]
        dialect.rows.facts["times"] = "differences, added up"
        lines = dialect.rows.log()
    return dialect.devices.numbered(lines)


PREFIXED = re.compile(
    r"\s*\((\d{1,10})(?:[.,](\d{1,9}))?\)\s+([RT])X(\d{0,3})\s+([0-9A-Fa-f]{1,8})\s+\[(\d{1,2})\]\s*(.*)$", re.ASCII
)


class _Prefixed:
    """``(seconds) RX0 1DB [8] 11 22 ..``: the direction and the interface's number before the identifier."""

    def __init__(self) -> None:
        self.rows = Rows("battery-emulator")
        self.rows.epoch = True

    def take(self, line: str) -> str:
        if match := PREFIXED.match(line):
            whole, part, direction, channel, name, code, rest = match.groups()
            payload = hex_payload(rest, int(code))
            if payload is None:
                return too_few(rest, int(code))
            bits = (EXTENDED if len(name) > 4 else 0) | (SENT if direction == "T" else 0)
            return self.rows.add(decimal_ns(whole, part or ""), int(name, 16), bits, payload, int(channel or "0"))
        return "" if _BANNER.match(line) else "not a frame"


def read_battery_emulator(content: bytes, on_progress: Progress = None) -> Log:
    """Read lines ``(seconds) RX0 ID [n] ..``, also behind a terminal's header."""
    return read_lines(content, _Prefixed(), on_progress)


CRTD = re.compile(
    r"\s*(\d{1,16})(?:\.(\d{1,9}))?\s+(\d{0,3})([RT])(11|29)\s+([0-9A-Fa-f]{1,8})((?:\s+[0-9A-Fa-f]{1,2})*)\s*$",
    re.ASCII,
)
CRTD_NOTE = re.compile(r"\s*\d{1,16}(?:\.\d{1,9})?\s+\d{0,3}C([A-Z]{2})\b", re.ASCII)


class _Crtd:
    """``1320745424.002 2R11 402 FA 01``: bus number, direction and kind of identifier in one word; C records are notes."""

    def __init__(self) -> None:
        self.rows = Rows("crtd")
        self.rows.epoch = True

    def take(self, line: str) -> str:
        if match := CRTD.match(line):
            whole, part, bus, direction, kind, name, data = match.groups()
            t_ns = decimal_ns(whole, part) if part else int(whole) * (1000 if len(whole) > 12 else SECOND_NS)
            bits = (EXTENDED if kind == "29" else 0) | (SENT if direction == "T" else 0)
            if kind == "11" and int(name, 16) > 0x7FF:
                return "identifier above 11 bits"
            return self.rows.add(t_ns, int(name, 16), bits, spaced_bytes(data), int(bus) - 1 if bus else 0)
        if match := CRTD_NOTE.match(line):
            return self.rows.count("error_notes" if match.group(1) == "ER" else "notes")
        return "" if _BANNER.match(line) else "not a frame"


def read_crtd(content: bytes, on_progress: Progress = None) -> Log:
    """Read CRTD (Open Vehicles). A line has no length of its own: what stands there is the payload."""
    return read_lines(content, _Crtd(), on_progress)


BARE = re.compile(
    r"\s*(\d{1,13})(?:([.,])(\d{1,9}))?\s+([0-9A-Fa-f]{1,8})\s+(\d{1,2})((?:\s+[0-9A-Fa-f]{1,2}){0,64})(?:\s.*)?$",
    re.ASCII,
)
BARE_HEADER = re.compile(r"\s*Time\s+ID\s+DLC\s+Data", re.ASCII | re.IGNORECASE)
BARE_SHAPE = re.compile(
    r"\s*\d{1,13}(?:[.,]\d{1,9})?\s+[0-9A-Fa-f]{1,8}\s+(?:0|[1-8](?:\s+[0-9A-Fa-f]{1,2})+)\s*$", re.ASCII
)


class _Bare:
    """``1512293  5F1  8  A8 16 65 9 ..``: time, identifier, length, bytes; whole times are ms, decimal ones s of a minute."""

    def __init__(self) -> None:
        self.rows = Rows("bare")

    def take(self, line: str) -> str:
        if match := BARE.match(line):
            whole, point, part, name, code, rest = match.groups()
            length = int(code)
            payload = hex_payload(rest.strip(), length)
            if payload is None:
                return too_few(rest, length)
            if point and len(whole) < 3 and self.rows.wrap is None and not self.rows.t_ns:
                self.rows.wrap = MINUTE
            elif point and len(whole) > 2:
                self.rows.wrap = None
            t_ns = decimal_ns(whole, part) if point else int(whole) * 1_000_000
            return self.rows.add(t_ns, int(name, 16), EXTENDED if len(name) > 4 else 0, payload)
        return "" if _BANNER.match(line) or BARE_HEADER.match(line) else "not a frame"


def read_bare(content: bytes, on_progress: Progress = None) -> Log:
    """Read bare columns of time, identifier, length and bytes."""
    return read_lines(content, _Bare(), on_progress)


RECEIVED = re.compile(
    r"\s*Rcvd msgID:\s*0x([0-9A-Fa-f]{1,8})((?:;\s*[0-9A-Fa-f]{1,2}){0,8})\s+(\d{1,2}):(\d{2}):(\d{2})[.,](\d{1,9})\s*$",
    re.ASCII,
)
CHARGER_HEADER = re.compile(
    r"\s*(?:(?:Starting|Stopping) chademo process|Sent parameters to EVSE|EVSE (?:requests we|reports time)|Chamdemo Mode:)",
    re.ASCII | re.IGNORECASE,
)
_STATUS = re.compile(
    r"\s*(?:-?\d+\.\d+V\s+-?\d+\.\d+A\b|\d:\s+-?\d+\.\d+\s*$|Setting begin charge|Debug= ?\d)", re.ASCII | re.IGNORECASE
)


class _Charger:
    """``Rcvd msgID: 0x404; 06; 6A; ..  00:00:43.005`` between status lines for people."""

    def __init__(self) -> None:
        self.rows = Rows("charger-console")
        self.rows.wrap = TIME_OF_DAY

    def take(self, line: str) -> str:
        if match := RECEIVED.match(line):
            name, data, hours, minutes, seconds, part = match.groups()
            t_ns = clock_ns(hours, minutes, seconds, part)
            return self.rows.add(t_ns, int(name, 16), 0, spaced_bytes(data.replace(";", " ")))
        if (
            CHARGER_HEADER.match(line) or _STATUS.match(line) or len(line.strip()) == 1
        ):  # one letter: the echo of a command key
            return self.rows.count("status_lines")
        return "" if _BANNER.match(line) else "not a frame"


def read_charger(content: bytes, on_progress: Progress = None) -> Log:
    """Read the console of a charging controller: received frames, and status lines that are counted."""
    return read_lines(content, _Charger(), on_progress)
