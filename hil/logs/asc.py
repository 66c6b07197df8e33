"""ASC: the text log of measurement tools, as a line parser that survives damage.

Read are classic, remote, error and CAN FD frames (``CANFD`` lines carry classic frames too; their flags tell), hex and
decimal, absolute and relative times, symbolic names. Other events (statistics, chip status, J1939 transport, LIN...) are
counted, not skipped. Times are absolute when the ``date`` line can be read: the start counts as UTC, for the file names no
zone.
"""

import re

from hil.logs.dates import named_date_ns, numeric_date_ns, shown
from hil.logs.lines import (
    DEC,
    ERROR,
    EXTENDED,
    FD,
    LENGTHS,
    PASSIVE,
    REMOTE,
    SENT,
    SWITCHED,
    Progress,
    Rows,
    decimal_ns,
    hex_payload,
    read_lines,
    too_few,
)
from hil.logs.log import Log
from hil.logs.moment import DAY_NS

_FLAGS = re.ASCII | re.IGNORECASE
_TIME = r"\s*(-?)(\d{1,10})[.,](\d{1,12})\s+"
_CLASSIC = re.compile(
    _TIME + r"(\d{1,3})\s+(\S+)\s+(Rx|Tx)\s+([dr])(?:\s+([0-9A-Fa-f]{1,2}))?(?:\s+(\S.*))?\s*$", _FLAGS
)
_FD = re.compile(
    _TIME
    + r"CANFD\s+(\d{1,3})\s+(Rx|Tx)\s+([0-9A-Fa-f]+x?)\s+(?:(?![01]\s+[01]\s)\S+\s+)?"
    + r"([01])\s+([01])\s+([0-9A-Fa-f]{1,2})\s+(\d{1,2})(?:\s+(\S.*))?\s*$",
    _FLAGS,
)
_ERROR = re.compile(_TIME + r"(?:(CANFD)\s+)?(\d{1,3})\s+(?:(Rx|Tx)\s+)?ErrorFrame\b", _FLAGS)
_STAMP = re.compile(_TIME + r"(.*)$", re.ASCII)
_EVENT = re.compile(
    r"(?:Start of|Stop of|End of|CAN\s+\d+\s+Status|\d+\s+Statistic|\d+\s+\S+\s+TxRq\b|CANFD\s+\d+\s+TxRq\b|CANXL\b|log\b|SV:|"
    r"(?:\d+\s+)?J1939TP\b|TFS:|L(?:i|IN|\d{1,2})\b|Fr\b|FlexRay|Eth|WLAN|MN\b|MOST|GPS|Gps|Trigger|TE\b|AFDX|A429|"
    r"K-?Line|J1708|(?:CAN\s+)?\d+\s+(?:CAN ?FD\s+)?(?:OverloadFrame|Overload|DataLost|Transceiver|BusStatistic)|%|//|"
    r"Comment|GM:|(?:Begin|End) of log|[A-Za-z_]\w*::|[A-Za-z_]\w*\s+:=\s)",
    _FLAGS,
)
_HEADER = re.compile(
    r"\s*(?:date\b|base\b|(?:no\s+)?internal events|//|begin\s+triggerblock|end\s+triggerblock|previous log file|#)",
    _FLAGS,
)
_BASE = re.compile(r"\s*base\s+(hex|dec)(?:\s+timestamps\s+(absolute|relative))?", _FLAGS)
_DATE = re.compile(r"\s*(date|begin\s+triggerblock)\s+(.*\S)", _FLAGS)
_NAMED_ID = re.compile(r"\bID\s*=\s*(\d{1,10})(x?)", _FLAGS)

FLAG_REMOTE = 1 << 4
FLAG_FD = 1 << 12

HEADER = re.compile(
    r"\s*(?:date\s+\S+\s|base\s+(?:hex|dec)\b|(?:no\s+)?internal events logged|begin triggerblock)", _FLAGS
)
SHAPE = re.compile(
    _TIME
    + r"(?:\d+\s+\S+\s+[RT]x\s+[dr]\b|CANFD\s+\d+\s+[RT]x\s|(?:CANFD\s+)?\d+\s+(?:[RT]x\s+)?ErrorFrame|\d+\s+Statistic)",
    _FLAGS,
)


def read_asc(content: bytes, on_progress: Progress = None) -> Log:
    """Read an ASC file. Raises nothing for what it holds: lines that are not understood are skipped and named."""
    return read_lines(content, _Asc(), on_progress)


class _Asc:
    """The state of an ASC file between its lines: number base, kind of times, time of the event before."""

    def __init__(self) -> None:
        self.rows = Rows("asc")
        self.decimal = False
        self.relative = False
        self.now_ns = 0
        self.block_ns: int | None = None  # date of a trigger block that has just begun

    def take(self, line: str) -> str:
        if match := _CLASSIC.match(line):
            return self._classic(match.groups())
        if match := _FD.match(line):
            return self._fd(match.groups())
        if match := _ERROR.match(line):
            sign, whole, part, fd, channel, direction = match.groups()
            bits = ERROR | (FD if fd else 0) | (SENT if direction and direction[0] in "Tt" else 0)
            return self.rows.add(self._time(sign, whole, part), 0, bits, b"", int(channel) - 1)
        if match := _STAMP.match(line):
            t_ns = self._time(*match.group(1, 2, 3))  # the time of a broken line still counts in relative times
            if match.group(4).startswith("Start of measurement") and t_ns == 0 and self.block_ns is not None:
                # here zero is the time at which the block begins; converters write their own time as the file's date
                self._start(self.block_ns)
            if _EVENT.match(match.group(4)):
                return self.rows.count("other_events")
            return "not a frame"
        return self._header(line)

    def _time(self, sign: str, whole: str, part: str) -> int:
        t_ns = decimal_ns(whole, part)
        if sign:
            t_ns = -t_ns
        if self.relative:
            self.now_ns += t_ns
            return self.now_ns
        return t_ns

    def _classic(self, fields: tuple[str, ...]) -> str:
        sign, whole, part, channel, name, direction, kind, code, rest = fields
        t_ns = self._time(sign, whole, part)
        found = self._identifier(name, rest or "")
        if found is None:
            return "a name without its identifier"
        identifier, bits = found
        if direction[0] in "Tt":
            bits |= SENT
        number = int(code, 10 if self.decimal else 16) if code else 0
        if kind in "rR":
            return self.rows.add(t_ns, identifier, bits | REMOTE, b"", int(channel) - 1, min(number, 8))
        if code is None:
            return "a data frame without a length"
        # 9 to 15 are length codes that classic CAN sends with 8 bytes; more than that some writers mean as bytes
        length = number if number <= 8 else 8 if number <= 15 else number
        payload = self._payload(rest or "", length)
        if payload is None:
            return too_few(rest or "", length)
        return self.rows.add(t_ns, identifier, bits, payload, int(channel) - 1)

    def _fd(self, fields: tuple[str, ...]) -> str:
        sign, whole, part, channel, direction, name, switched, passive, code, given, rest = fields
        t_ns = self._time(sign, whole, part)
        found = self._identifier(name, "")
        if found is None:
            return f"{name!r} is no identifier"
        identifier, bits = found
        length, number = int(given), int(code, 16)
        tail = (rest or "").split()[length:]
        flags = int(tail[2], 16) if len(tail) > 2 and len(tail[2]) <= 8 else None
        if direction[0] in "Tt":
            bits |= SENT
        remote = length == 0 and (bool(flags & FLAG_REMOTE) if flags is not None else number > 0)
        if remote:
            return self.rows.add(t_ns, identifier, bits | REMOTE, b"", int(channel) - 1, min(number, 8))
        if switched == "1" or passive == "1" or flags is None or flags & FLAG_FD:
            bits |= FD | (SWITCHED if switched == "1" else 0) | (PASSIVE if passive == "1" else 0)
        if length not in LENGTHS:
            return f"{length} is no CAN FD length"
        payload = self._payload(rest or "", length)
        if payload is None:
            return too_few(rest or "", length)
        return self.rows.add(t_ns, identifier, bits, payload, int(channel) - 1)

    def _identifier(self, name: str, rest: str) -> tuple[int, int] | None:
        """Identifier and its bits; of a symbolic name the one that the line's end tells."""
        extended = name[-1] in "xX"
        try:
            return int(name[:-1] if extended else name, 10 if self.decimal else 16), EXTENDED if extended else 0
        except ValueError:
            named = _NAMED_ID.search(rest)
            return (int(named.group(1)), EXTENDED if named.group(2) else 0) if named else None

    def _payload(self, rest: str, length: int) -> bytes | None:
        if not self.decimal:
            return hex_payload(rest, length)
        tokens = rest.split(None, length)[:length]
        return bytes(map(DEC.__getitem__, tokens)) if len(tokens) == length else None

    def _start(self, start_ns: int) -> None:
        """The time that times count from; the first day of 1970 is what is written when there is none."""
        if start_ns >= DAY_NS:
            self.rows.begin(start_ns)
            if len(self.rows.starts) == 1:
                self.rows.facts["start"] = shown(start_ns)
        elif self.rows.begun:
            self.rows.starts.pop()
            self.rows.facts.pop("start", None)

    def _header(self, line: str) -> str:
        if match := _BASE.match(line):
            self.decimal = match.group(1).lower() == "dec"
            self.relative = (match.group(2) or "").lower() == "relative"
            self.rows.facts["base"] = line.strip()
        elif match := _DATE.match(line):
            return self._date(match.group(2), of_file=match.group(1)[0] in "dD")
        elif not _HEADER.match(line):
            return "not a frame"
        elif "version" in line:
            self.rows.facts["version"] = line.strip(" /\t")
        return ""

    def _date(self, text: str, of_file: bool) -> str:
        """A date. That of the file wins over those of trigger blocks, for times count from the start of the measurement."""
        start = named_date_ns(text)
        start = numeric_date_ns(text) if start is None else start
        self.block_ns = None if of_file else start
        if of_file and self.rows.t_ns:
            self.now_ns = 0  # a log that was joined to the first
        if start is None:
            self.rows.facts.setdefault("start", f"{text} (not understood)")
        elif (of_file and not self.rows.begun) or not self.rows.starts:
            self._start(start)
        return ""
