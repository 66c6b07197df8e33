"""Writing logs as text: candump, ASC, TRC 2.1 and the CSV of python-can. One line a frame, times exact to what is shown."""

import base64
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hil.logs.mf4 import LENGTHS
from hil.logs.moment import DAY_NS, asctime
from hil.logs.trace import Trace
from hil.tick import FrameBits

EXTENDED, REMOTE, SENT = int(FrameBits.EXTENDED), int(FrameBits.REMOTE), int(FrameBits.SENT)
FD, BRS, ESI, ERROR = int(FrameBits.FD), int(FrameBits.BITRATE_SWITCH), int(FrameBits.ERROR_STATE), int(FrameBits.ERROR)
BLOCK = 8192  # frames between two reports of progress
EPOCH_DAYS = 25_569  # from 1899-12-30, where TRC counts days from, to 1970-01-01


class Row(NamedTuple):
    """One frame: ``payload`` as upper-case hexadecimal without blanks, ``length`` in bytes."""

    t_ns: int
    id: int
    bits: int
    length: int
    channel: int
    payload: str


Lines = Callable[[Trace, int], tuple[str, Callable[[Row], str], str]]
"""Of a trace and its start: the lines before, what makes a line of a frame, the lines after."""


def rows(trace: Trace) -> Iterator[Row]:
    """The frames one by one."""
    for start in range(0, len(trace), BLOCK):
        part = trace.select(slice(start, start + BLOCK))
        if not len(part):
            continue
        base = int(part.at.min())
        used = part.words[base : int(part.at.max()) + 8].astype("<u8").tobytes().hex().upper()
        columns = (part.t_ns, part.id, part.bits, part.dlc, part.channel, part.at)
        for t_ns, identifier, bits, length, channel, at in zip(*(c.tolist() for c in columns), strict=True):
            first = (at - base) * 16
            payload = "" if bits & REMOTE else used[first : first + 2 * length]
            yield Row(t_ns, identifier, bits, length, channel, payload)


def seconds(t_ns: int, digits: int) -> str:
    """A time in s with so many decimals, rounded half up; exact, unlike a floating-point number."""
    scale = 10 ** (9 - digits)
    units = (abs(t_ns) + scale // 2) // scale
    return f"{'-' if t_ns < 0 else ''}{units // 10**digits}.{units % 10**digits:0{digits}d}"


def spaced(payload: str) -> str:
    """``0A1B`` as ``0A 1B``."""
    return " ".join(payload[i : i + 2] for i in range(0, len(payload), 2))


def code_of(length: int) -> int:
    """Data length code of a payload length (ISO 11898-1, table 5); of a length in between the next higher one."""
    return int(LENGTHS.searchsorted(length))


def candump(trace: Trace, start_ns: int) -> tuple[str, Callable[[Row], str], str]:
    """``candump -l``; nanoseconds are written when the trace has them. Without frames one empty line tells the format."""
    digits = 9 if len(trace) and (trace.t_ns % 1000).any() else 6

    def line(row: Row) -> str:
        bits, where = row.bits, f"({seconds(row.t_ns + start_ns, digits)}) can{row.channel} "
        way = " T\n" if bits & SENT else " R\n"
        if bits & ERROR:
            return f"{where}{row.id & 0x1FFFFFFF | 0x20000000 if row.id else 0x20000080:08X}#{row.payload}\n"
        name = f"{row.id:08X}" if bits & EXTENDED else f"{row.id:03X}"
        if bits & REMOTE:
            return f"{where}{name}#R{row.length or ''}{way}"
        mark = f"#{(1 if bits & BRS else 0) | (2 if bits & ESI else 0)}" if bits & FD else ""
        return f"{where}{name}#{mark}{row.payload}{way}"

    return "" if len(trace) else "\n", line, ""


def asc(trace: Trace, start_ns: int) -> tuple[str, Callable[[Row], str], str]:
    """ASC with hexadecimal numbers and absolute times since its date, to the microsecond."""
    date = asctime(start_ns)
    before = f"date {date}\nbase hex  timestamps absolute\ninternal events logged\nBegin Triggerblock {date}\n"
    before += " 0.000000 Start of measurement\n"

    def line(row: Row) -> str:
        bits, channel = row.bits, row.channel + 1
        time, way = f"{seconds(row.t_ns, 6):>11}", "Tx  " if bits & SENT else "Rx  "
        name = f"{row.id:X}x" if bits & EXTENDED else f"{row.id:X}"
        if bits & ERROR:
            return f"{time} {channel}  ErrorFrame\n"
        if bits & FD:
            about = f"{int(bits & BRS > 0)} {int(bits & ESI > 0)} {code_of(row.length):x} {row.length:>2}"
            flags = 1 << 12 | (1 << 13 if bits & BRS else 0) | (1 << 14 if bits & ESI else 0)
            rest = f"{0:>8} {0:>4} {flags:>8X} {0:>8} {0:>8} {0:>8} {0:>8} {0:>8}"
            return f"{time} CANFD {channel:>3} {way} {name:>8}  {'':>32} {about} {spaced(row.payload)} {rest}\n"
        if bits & REMOTE:
            return f"{time} {channel}  {name:<15} {way} r {row.length:x}\n"
        return f"{time} {channel}  {name:<15} {way} d {row.length:x} {spaced(row.payload)}\n"

    return before, line, "End TriggerBlock\n"


def trc(trace: Trace, start_ns: int) -> tuple[str, Callable[[Row], str], str]:
    """TRC version 2.1, which also has CAN FD; times in ms to the microsecond."""
    part = -(
        -(start_ns % DAY_NS) * 10**15 // DAY_NS
    )  # 15 digits, rounded up, keep the nanosecond where readers round down
    start = f";$STARTTIME={start_ns // DAY_NS + EPOCH_DAYS}.{part:015d}\n" if start_ns else ""
    before = f";$FILEVERSION=2.1\n{start};$COLUMNS=N,O,T,B,I,d,R,L,D\n;\n"
    numbers = iter(range(1, len(trace) + 1))

    def line(row: Row) -> str:
        bits = row.bits
        kind = "DT"
        if bits & ERROR:
            kind = "ER"
        elif bits & REMOTE:
            kind = "RR"
        elif bits & FD:
            kind = ("FD", "FB", "FE", "BI")[(1 if bits & BRS else 0) | (2 if bits & ESI else 0)]
        name = f"{row.id:08X}" if bits & EXTENDED else f"{row.id:04X}"
        offset = seconds(row.t_ns * 1000, 3)  # ms
        about = f"{next(numbers):>7} {offset:>13} {kind} {row.channel + 1} {name:>8} {'Tx' if bits & SENT else 'Rx'}"
        return f"{about} -  {code_of(row.length):<2}  {spaced(row.payload)}".rstrip() + "\n"

    return before, line, ""


def csv(trace: Trace, start_ns: int) -> tuple[str, Callable[[Row], str], str]:
    """The CSV of python-can: payload in base 64; it has no field for channel, direction and CAN FD."""

    def line(row: Row) -> str:
        bits, data = row.bits, base64.b64encode(bytes.fromhex(row.payload)).decode()
        marks = f"{int(bits & EXTENDED > 0)},{int(bits & REMOTE > 0)},{int(bits & ERROR > 0)}"
        return f"{seconds(row.t_ns + start_ns, 9)},0x{row.id:x},{marks},{row.length},{data}\n"

    return "timestamp,arbitration_id,extended,remote,error,dlc,data\n", line, ""
