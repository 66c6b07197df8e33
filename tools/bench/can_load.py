"""A database and a log for the benches, made by seed: 40 messages, 759 signals of every kind a DBC has.

Two messages with a 24-way and one with an 8-way multiplexer, four of CAN FD with 64 bytes, eight with 29-bit
identifiers, both byte orders, signed and unsigned, 1 to 64 bits, float32 and float64. About one frame in eighteen is FD.
"""

from dataclasses import dataclass, field

import numpy as np

from hil.logs.trace import SLACK, Trace, places
from hil.tick import FrameBits

MESSAGES, SIGNALS = 40, 759
FD_MESSAGES, EXTENDED_MESSAGES = 4, 8
FD_SHARE = 0.056
PERIOD_NS = 125_000  # mean distance of two frames


@dataclass
class Drawn:
    """One message in the making."""

    name: str
    identifier: int
    length: int
    lines: list[str] = field(default_factory=list)
    mux_values: int = 0


def _pieces(rng: np.random.Generator, first_byte: int, n_bytes: int, count: int) -> list[tuple[int, int, bool]]:
    """``count`` signals side by side in some bytes, as (start, width, big)."""
    big = bool(rng.integers(2))
    bits = 8 * n_bytes
    ends = [*sorted(rng.choice(np.arange(1, bits), min(count, bits) - 1, replace=False).tolist()), bits]
    out, at = [], 0
    for end in ends:
        width = min(end - at, 64)
        first = 8 * first_byte + at
        out.append(((first >> 3) * 8 + 7 - (first & 7) if big else first, width, big))
        at = end
    return out


def _signal(rng: np.random.Generator, name: str, place: tuple[int, int, bool], mux: str = "") -> tuple[str, str]:
    start, width, big = place
    signed = bool(rng.integers(2))
    real = width in (32, 64) and bool(rng.integers(2)) and start % 8 == (7 if big else 0)
    factor = rng.choice(["1", "0.1", "0.01", "0.001", "2", "0.0005", "1e-05", "0.625", "-0.1"])
    offset = rng.choice(["0", "0", "-40", "0.5", "-1000", "273.15"])
    sign = "-" if signed or real else "+"
    line = f' SG_ {name} {mux}: {start}|{width}@{0 if big else 1}{sign} ({factor},{offset}) [0|0] "u" Node'
    return line, f"{1 if width == 32 else 2}" if real else ""


def _split(rng: np.random.Generator, total: int, parts: int) -> list[int]:
    base = [total // parts + (1 if i < total % parts else 0) for i in range(parts)]
    for _ in range(parts):
        i, j = rng.integers(parts, size=2)
        if i != j and base[i] > 3 and base[j] < 20:
            base[i], base[j] = base[i] - 1, base[j] + 1
    return base


def database(seed: int = 1) -> str:
    """The text of the DBC."""
    rng = np.random.default_rng(seed)
    drawn, floats, n = [], [], 0
    plain = _split(rng, SIGNALS - 2 * 123 - 49 - FD_MESSAGES * 24, MESSAGES - 3 - FD_MESSAGES)
    for index in range(MESSAGES):
        extended = index % 5 == 4 and index < 5 * EXTENDED_MESSAGES
        identifier = 0x18FF0000 + 17 * index if extended else 0x100 + 13 * index
        message = Drawn(f"M{index:02d}", identifier | (0x80000000 if extended else 0), 8)
        named: list[tuple[tuple[int, int, bool], str]] = []
        if index < FD_MESSAGES:
            message.length = 64
            for part in range(8):
                named += [(place, "") for place in _pieces(rng, 8 * part, 8, 3)]
        elif index < FD_MESSAGES + 3:
            message.mux_values, each = (8, 6) if index == FD_MESSAGES + 2 else (24, 5)
            message.lines.append(f' SG_ Mux{index} M : 0|8@1+ (1,0) [0|0] "" Node')
            n += 1
            common = 2 if each == 5 else 0
            named += [(place, "") for place in _pieces(rng, 1, 1, 2)][:common]
            for value in range(message.mux_values):
                named += [(place, f"m{value} ") for place in _pieces(rng, 2, 6, each)]
        else:
            count = plain[index - FD_MESSAGES - 3]
            whole = count < 9 and bool(rng.integers(2))
            if whole:
                named += [(place, "") for place in _pieces(rng, 0, 8, count)]
            else:
                named += [(place, "") for place in _pieces(rng, 0, 4, count // 2)]
                named += [(place, "") for place in _pieces(rng, 4, 4, count - count // 2)]
        for place, mux in named:
            line, kind = _signal(rng, f"S{n}", place, mux)
            message.lines.append(line)
            if kind:
                floats.append(f"SIG_VALTYPE_ {message.identifier} S{n} : {kind};")
            n += 1
        drawn.append(message)
    assert n == SIGNALS, n
    body = [f"BO_ {m.identifier} {m.name}: {m.length} Node\n" + "\n".join(m.lines) + "\n" for m in drawn]
    return 'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: Node\n\n' + "\n".join(body) + "\n" + "\n".join(floats) + "\n"


def frames(count: int, seed: int = 1) -> Trace:
    """``count`` frames of that database with random payloads; every multiplexer value is one the database knows."""
    rng = np.random.default_rng(seed + 1000)
    message = rng.integers(FD_MESSAGES, MESSAGES, count)
    fd = rng.random(count) < FD_SHARE
    message[fd] = rng.integers(0, FD_MESSAGES, int(fd.sum()))
    extended = (message % 5 == 4) & (message < 5 * EXTENDED_MESSAGES)
    identifier = np.where(extended, 0x18FF0000 + 17 * message, 0x100 + 13 * message).astype(np.int32)
    is_fd = message < FD_MESSAGES
    dlc = np.where(is_fd, 64, 8).astype(np.uint8)
    at, total = places(dlc)
    words = np.zeros(total + SLACK, np.uint64)
    words[:total] = rng.integers(0, 1 << 64, total, np.uint64, endpoint=False)
    for index in range(FD_MESSAGES, FD_MESSAGES + 3):
        rows = at[message == index]
        values = rng.integers(0, 8 if index == FD_MESSAGES + 2 else 24, len(rows)).astype(np.uint64)
        words[rows] = (words[rows] & ~np.uint64(0xFF)) | values
    bits = extended * int(FrameBits.EXTENDED) + is_fd * int(FrameBits.FD)
    times = np.cumsum(rng.integers(1, 2 * PERIOD_NS, count))
    return Trace(times, identifier, bits.astype(np.int32), dlc, np.zeros(count, np.uint8), at, words)
