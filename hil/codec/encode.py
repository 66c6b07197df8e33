"""Physical values into payloads, one message at a time, for whoever is not in a tick: players, tools, tests.

What does not fit is refused, held at the limit or folded, by choice. Rounding is to the nearest raw number, halves to
even, as Python's ``round`` does.
"""

import math
import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from hil.codec import bits
from hil.codec.nouns import Database, Message, Signal
from hil.codec.plan import kind_of, reach_of
from hil.errors import InputError, Problem, nearest

Mode = Literal["error", "saturate", "wrap"]
MODES: tuple[Mode, ...] = ("error", "saturate", "wrap")
SLACK = 1e-6  # of a raw step: declared ranges such as 655.34 / 0.02 do not divide exactly
FLOAT_CODES: Mapping[int, str] = MappingProxyType({16: ">e", 32: ">f", 64: ">d"})


class Encoder:
    """Encodes messages of one database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def encode(
        self, name: str, values: Mapping[str, float], payload: bytes | None = None, mode: Mode = "error"
    ) -> bytes:
        """The payload of message ``name`` with these physical values.

        Signals not named keep what ``payload`` has, or without one their start value, else 0. Of a multiplexed message
        only signals can be named that the multiplexers' values, named or in the payload, bring. ``mode`` says what
        becomes of a value outside the declared range or beyond the bits: ``error``; ``saturate`` holds it at the nearest
        end; ``wrap`` writes the low bits of the raw number and asks for no range.

        Raises:
            InputError: no such message, signal or mode, a signal that its multiplexer does not bring or whose factor is 0,
                not a number for an integer signal, or with ``error`` a value out of range.
        """
        if mode not in MODES:
            raise InputError(
                Problem(f"no mode {mode!r}", expected=", ".join(MODES), nearest=nearest(mode, MODES) or "")
            )
        message = self._db.message(name)
        out = bytearray(message.length if payload is None else max(len(payload), message.length))
        if payload is not None:
            out[: len(payload)] = payload
        else:
            _start(out, [s for s in message.signals if not s.mux_signal])
        named = _ordered(message, values)
        for signal in named:
            _write(out, signal, raw_of(message, signal, values[signal.name], mode))
        for signal in named:
            if not is_brought(message, signal, out):
                problem = f"{name}.{signal.name}: not in this frame, {signal.mux_signal} brings other signals"
                wanted = ", ".join(f"{a}" if a == b else f"{a}..{b}" for a, b in signal.mux_ranges)
                raise InputError(Problem(problem, expected=f"{signal.mux_signal} = {wanted}"))
        if payload is None:
            taken = frozenset().union(*(s.positions() for s in named))
            left = [s for s in message.signals if s.mux_signal and not s.selector and not s.positions() & taken]
            _start(out, [s for s in left if is_brought(message, s, out)])
        return bytes(out)


def _start(out: bytearray, signals: Iterable[Signal]) -> None:
    for signal in signals:
        if signal.start_value:
            low, high = signal.raw_range
            value = signal.start_value
            _write(out, signal, _pattern(signal, value) if signal.is_float else min(max(int(value), low), high))


def _ordered(message: Message, values: Mapping[str, float]) -> list[Signal]:
    """The named signals, multiplexers first. Raises InputError for a name the message does not have."""
    by_name = {s.name: s for s in message.signals}
    for name in values:
        if name not in by_name:
            close = nearest(name, by_name) or ""
            raise InputError(Problem(f"{message.name} has no signal {name!r}", nearest=close))
    return sorted((by_name[n] for n in values), key=lambda s: not s.selector)


def is_brought(message: Message, signal: Signal, payload: bytes | bytearray) -> bool:
    """True when the multiplexers in the payload bring the signal."""
    by_name = {s.name: s for s in message.signals}
    while signal.mux_signal:
        above = by_name.get(signal.mux_signal)
        if above is None or not signal.brought_by(raw_in(payload, above)):
            return False
        signal = above
    return True


def raw_in(payload: bytes | bytearray, signal: Signal) -> int:
    """Raw number of a signal in a payload; bits beyond its end read 0. Of a float signal the bit pattern."""
    number = int.from_bytes(bytes(payload).ljust(reach_of(signal), b"\0"), "big" if signal.big else "little")
    length = max(len(payload), reach_of(signal))
    if signal.big:
        first = (signal.start >> 3) * 8 + 7 - (signal.start & 7)
        number >>= 8 * length - first - signal.length
    else:
        number >>= signal.start
    number &= (1 << signal.length) - 1
    if signal.signed and not signal.is_float and number >> (signal.length - 1):
        number -= 1 << signal.length
    return number


def value_in(payload: bytes | bytearray, signal: Signal) -> float:
    """Physical value of a signal in a payload, equal to the last bit to what the bulk decoder gives."""
    raw = raw_in(payload, signal)
    folded = raw - (1 << 64) if raw >= 1 << 63 else raw
    return float(bits.scaled(folded, int(kind_of(signal)), signal.factor, signal.offset))


def limits(signal: Signal) -> tuple[int, int]:
    """Raw limits of an integer signal: the declared physical range, never beyond what the bits hold."""
    low, high = signal.raw_range
    if signal.minimum is None or signal.maximum is None or signal.minimum >= signal.maximum or signal.factor == 0.0:
        return low, high
    ends = sorted((x - signal.offset) / signal.factor for x in (signal.minimum, signal.maximum))
    declared = [
        e if math.isinf(e) else (math.ceil(ends[0] - SLACK), math.floor(ends[1] + SLACK))[i] for i, e in enumerate(ends)
    ]
    low, high = int(max(low, declared[0])), int(min(high, declared[1]))
    return (low, high) if low <= high else signal.raw_range


def raw_of(message: Message, signal: Signal, value: float, mode: Mode) -> int:
    """The raw number for a physical value. Raises InputError as ``Encoder.encode``."""
    name = f"{message.name}.{signal.name}"
    if signal.factor == 0.0:
        raise InputError(
            Problem(f"{name}: its factor is 0, so no value has a raw number", expected="a factor other than 0")
        )
    if signal.is_float:
        return _float_raw(signal, value, name, mode)
    if math.isnan(value) or (math.isinf(value) and mode != "saturate"):
        raise InputError(Problem(f"{name}: {value} has no raw number", expected="a number"))
    low, high = limits(signal)
    scaled = _unscaled(signal, value)
    if math.isinf(scaled):
        return high if scaled > 0 else low
    raw = round(scaled)
    if mode == "wrap":
        return raw & ((1 << signal.length) - 1)
    if mode == "error" and not low <= raw <= high:
        ends = sorted(x * signal.factor + signal.offset for x in (low, high))
        raise _out_of_range(name, signal, value, ends[0], ends[1])
    return min(max(raw, low), high)


def _out_of_range(name: str, signal: Signal, value: float, low: float, high: float) -> InputError:
    expected = f"{low:g} to {high:g} {signal.unit}".rstrip()
    return InputError(Problem(f"{name}: {value:g} is out of range", expected=expected))


def _unscaled(signal: Signal, value: float) -> float:
    if signal.exact and float(value).is_integer() and signal.offset.is_integer():
        quotient, rest = divmod(int(value) - int(signal.offset), int(signal.factor))
        if rest == 0:
            return quotient  # in whole numbers nothing is lost
    return (value - signal.offset) / signal.factor


def _float_raw(signal: Signal, value: float, name: str, mode: Mode) -> int:
    low, high = signal.minimum, signal.maximum
    if mode != "wrap" and low is not None and high is not None and low < high and not low <= value <= high:
        if mode == "error" and not math.isnan(value):
            raise _out_of_range(name, signal, value, low, high)
        value = min(max(value, low), high)  # a NaN stays one
    scaled = (value - signal.offset) / signal.factor
    if mode == "error" and math.isfinite(scaled) and not math.isfinite(_value(signal, scaled)):
        raise InputError(Problem(f"{name}: {value:g} does not fit {signal.length} bits"))
    return _pattern(signal, scaled)


def _value(signal: Signal, scaled: float) -> float:
    return float(struct.unpack(FLOAT_CODES[signal.length], _packed(signal, scaled))[0])


def _packed(signal: Signal, scaled: float) -> bytes:
    try:
        return struct.pack(FLOAT_CODES[signal.length], scaled)
    except OverflowError:
        return struct.pack(FLOAT_CODES[signal.length], math.copysign(math.inf, scaled))


def _pattern(signal: Signal, scaled: float) -> int:
    return int.from_bytes(_packed(signal, scaled), "big")


def _write(out: bytearray, signal: Signal, raw: int) -> None:
    mask = (1 << signal.length) - 1
    if len(out) < reach_of(signal):
        out.extend(bytes(reach_of(signal) - len(out)))
    if signal.big:
        first = (signal.start >> 3) * 8 + 7 - (signal.start & 7)
        shift = 8 * len(out) - first - signal.length
    else:
        shift = signal.start
    order: Literal["big", "little"] = "big" if signal.big else "little"
    number = int.from_bytes(out, order) & ~(mask << shift)
    out[:] = (number | ((raw & mask) << shift)).to_bytes(len(out), order)
