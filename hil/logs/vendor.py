"""Text logs of single tools: BUSMASTER, Microchip's CAN analyser, PP2CAN."""

import re
from dataclasses import replace

import numpy as np

from hil.logs.dates import date_ns
from hil.logs.lines import (
    EXTENDED,
    REMOTE,
    SCALE,
    SECOND_NS,
    SENT,
    TIME_OF_DAY,
    Progress,
    Rows,
    clock_ns,
    data_bytes,
    hex_payload,
    read_lines,
    too_few,
)
from hil.logs.log import Log

BUSMASTER_HEADER = re.compile(r"\s*\*{3}(?:BUSMASTER|PROTOCOL CAN|\[START LOGGING|START DATE|<Time>)", re.ASCII)
BUSMASTER = re.compile(
    r"\s*(\d{1,3}):(\d{1,2}):(\d{1,2}):(\d{1,6})\s+(Rx|Tx)\s+(\d{1,3})\s+(0x)?([0-9A-Fa-f]{1,10})\s+([sx])(r?)(?:-fd)?\s+(\d{1,2})\s*(.*)$",
    re.ASCII,
)
_START = re.compile(r"\*{3}START DATE AND TIME\s+(\d{1,2}):(\d{1,2}):(\d{4})\s", re.ASCII)


class _Busmaster:
    """``22:20:14:9920 Rx 1 0x21A s 8 FE 36 ..`` below a header of ``***`` lines that say base and kind of times."""

    def __init__(self) -> None:
        self.rows = Rows("busmaster")
        self.rows.wrap = TIME_OF_DAY
        self.decimal = False
        self.of_day = True

    def take(self, line: str) -> str:
        if match := BUSMASTER.match(line):
            hours, minutes, seconds, part, direction, channel, prefix, name, kind, remote, code, rest = match.groups()
            t_ns = self._time(hours, minutes, seconds, part)
            identifier = int(name, 10 if self.decimal and not prefix else 16)
            bits = (EXTENDED if kind == "x" else 0) | (SENT if direction == "Tx" else 0)
            length, at = int(code), int(channel)
            if remote:
                return self.rows.add(t_ns, identifier, bits | REMOTE, b"", at, min(length, 8))
            payload = self._payload(rest, length)
            return too_few(rest, length) if payload is None else self.rows.add(t_ns, identifier, bits, payload, at)
        return self._header(line) if line.lstrip().startswith("***") else "not a frame"

    def _time(self, hours: str, minutes: str, seconds: str, part: str) -> int:
        # the tool itself writes four digits (0.1 ms); exporters write milliseconds without leading zeros
        within = int(part) * (SCALE[len(part)] if len(part) > 3 else 1_000_000)
        if self.of_day:
            return clock_ns(hours, minutes, seconds) + within
        return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * SECOND_NS + within

    def _payload(self, rest: str, length: int) -> bytes | None:
        if not self.decimal:
            return hex_payload(rest, length)
        tokens = rest.split(None, length)[:length]
        return (
            bytes(map(int, tokens))
            if len(tokens) == length and all(t.isdigit() and len(t) < 4 for t in tokens)
            else None
        )

    def _header(self, line: str) -> str:
        text = line.strip().strip("*").strip()
        if text == "DEC":
            self.decimal = True
        elif text == "HEX":
            self.decimal = False
        elif text in ("ABSOLUTE MODE", "RELATIVE MODE"):
            self.of_day, self.rows.wrap = False, None
            self.rows.starts.clear()
            self.rows.delta = text.startswith("RELATIVE")
        elif match := _START.search(line):
            day, month, year = map(int, match.groups())
            self.rows.facts.setdefault("start", text.removeprefix("START DATE AND TIME ") + " (taken as UTC)")
            start_ns = date_ns(year, month, day)
            if self.of_day and start_ns is not None:
                self.rows.begin(start_ns)
        elif text.startswith("BUSMASTER"):
            self.rows.facts["recorder"] = text
        return ""


def read_busmaster(content: bytes, on_progress: Progress = None) -> Log:
    """Read a BUSMASTER log. Times of day are absolute by the header's date (UTC), else as the header's mode says."""
    log = read_lines(content, _Busmaster(), on_progress)
    if len(log.trace) and log.trace.channel.min() > 0:  # the tool counts from 1, one exporter from 0
        log = replace(log, trace=replace(log.trace, channel=log.trace.channel - np.uint8(1)))
    return log


MICROCHIP_HEADER = re.compile(r"\s*(?:Microchip|CAN BUS Analyzer)", re.ASCII | re.IGNORECASE)
MICROCHIP = re.compile(
    r"\s*(\d{1,16});\s*(RX|TX);\s*(?:0x)?([0-9A-Fa-f]{1,8})(x?);\s*(\d{1,2});?((?:\s*(?:0x)?[0-9A-Fa-f]{1,3}\s*(?:;|$)){0,64})[\s;]*$",
    re.ASCII | re.IGNORECASE,
)


class _Microchip:
    """``20;RX;0x1A3;8;0x01;0x00;..`` in ms, below a banner between ``//`` lines. Bytes without ``0x`` are decimal."""

    def __init__(self) -> None:
        self.rows = Rows("microchip")

    def take(self, line: str) -> str:
        if match := MICROCHIP.match(line):
            time, direction, name, mark, code, rest = match.groups()
            length = int(code)
            cells = [cell.strip() for cell in rest.split(";") if cell.strip()][:length]
            if len(cells) < length:
                return f"{len(cells)} data bytes given, {length} announced"
            if all(cell[:2] in ("0x", "0X") for cell in cells):
                payload = data_bytes([cell[2:] for cell in cells], length)
            else:
                payload = bytes(int(cell, 16 if cell[:2] in ("0x", "0X") else 10) for cell in cells)
            bits = (EXTENDED if mark else 0) | (SENT if direction[0] in "Tt" else 0)
            return self.rows.add(int(time) * 1_000_000, int(name, 16), bits, payload)
        stripped = line.strip()
        words = ";" not in stripped and stripped.isascii() and stripped.isprintable()
        if stripped.startswith("//") or (not self.rows.t_ns and words):
            if stripped.startswith("Logging Started"):
                self.rows.facts["start"] = stripped
            return ""
        return "not a frame"


def read_microchip(content: bytes, on_progress: Progress = None) -> Log:
    """Read a log of Microchip's CAN BUS analyser."""
    return read_lines(content, _Microchip(), on_progress)


PP2CAN_HEADER = re.compile(r"\s*CAN speed \d:", re.ASCII)
PP2CAN = re.compile(
    r"\s*([<>])\t\s*\d+\t\s*(\d{1,2}):(\d{2}):(\d{2})\.(\d{1,6})(?::[\d.,]+)?\t(\S+)\t(?:0x)?([0-9A-Fa-f]{1,8})\t([^\t]*)\t(\d{1,2})\t(.*)$",
    re.ASCII,
)
_PORT = re.compile(r"p:(\d{1,3})\s*$", re.ASCII)


class _Pp2can:
    """``>  0  17:18:39.303:4446.00  St  0x197  0  4  64 E0 9E C0 .. p:1`` between tabs; ``<`` is what the tool sent.

    The number after the milliseconds is of no one unit in real files and not used.
    """

    def __init__(self) -> None:
        self.rows = Rows("pp2can")
        self.rows.wrap = TIME_OF_DAY

    def take(self, line: str) -> str:
        if match := PP2CAN.match(line):
            way, hours, minutes, seconds, part, kind, name, remote, code, rest = match.groups()
            t_ns, length = clock_ns(hours, minutes, seconds, part), int(code)
            bits = (EXTENDED if kind[:1] in "EeXx" else 0) | (SENT if way == "<" else 0)
            port = _PORT.search(rest)
            channel = int(port[1]) - 1 if port else 0
            if remote.strip() not in ("", "0"):
                return self.rows.add(t_ns, int(name, 16), bits | REMOTE, b"", channel, min(length, 8))
            data = rest[: port.start()] if port else rest
            payload = hex_payload(data, length)
            if payload is None:
                return too_few(data, length)
            return self.rows.add(t_ns, int(name, 16), bits, payload, channel)
        if PP2CAN_HEADER.match(line):
            self.rows.facts["recorder"] = " ".join(line.split())
            return ""
        return "not a frame"


def read_pp2can(content: bytes, on_progress: Progress = None) -> Log:
    """Read a PP2CAN log; its times are times of day, to the millisecond."""
    return read_lines(content, _Pp2can(), on_progress)
