"""Does our decoder read every database as cantools does? Random frames of every message, every value to the last bit.

    python tools/dbc_compare.py ../shared/data/can/dbc
    python tools/dbc_compare.py car.dbc --frames 500 --json

Per file: messages, signals, values compared, and where the two part, by reason:

* ``refused``: cantools does not load the file at all (we do, and say what was repaired);
* ``unknown multiplexer``: cantools raises and gives nothing; we give the rest of the frame;
* ``beyond the message``: a signal lies outside its message and cantools raises; we give those that lie inside the frame;
* ``duplicate name``: two signals of one name collapse into one in cantools; we keep both;
* ``name changed``: a name that is no identifier was repaired (told in the notes); ``message left out or changed`` likewise;
* ``other``: a value that differs for none of these reasons: a bug, ours or theirs. The exit code is then 1.

Frames where cantools raises or lacks signals are compared with a plain decoder in whole numbers and fractions instead
(``oracle`` below), so that every value of ours has a second opinion.
"""

import argparse
import json
import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import cantools  # noqa: E402
import numpy as np  # noqa: E402

from hil.codec.bulk import Decoded, decode  # noqa: E402
from hil.codec.database import load  # noqa: E402
from hil.codec.nouns import Database, Message, Signal  # noqa: E402
from hil.codec.plan import compile_plan, reach_of  # noqa: E402
from hil.errors import InputError  # noqa: E402
from hil.logs.trace import Trace, from_bytes  # noqa: E402
from hil.tick import FrameBits  # noqa: E402

SUFFIXES = (".dbc", ".kcd", ".sym", ".arxml")


@dataclass
class Comparison:
    """What came out for one file."""

    path: Path
    messages: int = 0
    signals: int = 0
    repaired: int = 0
    values: int = 0
    against_oracle: int = 0
    parted: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    error: str = ""

    def part(self, reason: str, example: str) -> None:
        """Count one disagreement."""
        self.parted[reason] += 1
        if reason == "other" and len(self.examples) < 5:
            self.examples.append(example)


def raw_number(payload: bytes, signal: Signal) -> int:
    """Raw number of a signal, bit by bit."""
    value = 0
    if signal.big:
        first = (signal.start >> 3) * 8 + 7 - (signal.start & 7)
        for n in range(first, first + signal.length):
            value = value << 1 | (payload[n >> 3] >> (7 - (n & 7))) & 1
    else:
        for k in range(signal.length):
            n = signal.start + k
            value |= ((payload[n >> 3] >> (n & 7)) & 1) << k
    if signal.signed and not signal.is_float and value >> (signal.length - 1):
        value -= 1 << signal.length
    return value


def physical(raw: int, signal: Signal) -> float:
    """The value of a raw number: whole numbers exactly, others with Python's floats."""
    if signal.is_float:
        kind = {16: np.float16, 32: np.float32, 64: np.float64}[signal.length]
        data = raw.to_bytes(signal.length // 8, "little")
        with np.errstate(all="ignore"):
            value = float(np.frombuffer(data, kind)[0])
            return value if (signal.factor, signal.offset) == (1.0, 0.0) else value * signal.factor + signal.offset
    if signal.exact:
        whole = Fraction(raw) * Fraction(signal.factor)
        if signal.offset.is_integer():
            return float(whole + Fraction(signal.offset))
        return float(whole) + signal.offset
    return float(raw) * signal.factor + signal.offset


def oracle(message: Message, payload: bytes) -> dict[str, float]:
    """Every signal that a frame brings, by the plainest code there is."""
    by_name = {s.name: s for s in message.signals}

    def there(signal: Signal) -> bool:
        if reach_of(signal) > len(payload):
            return False
        if not signal.mux_signal:
            return True
        above = by_name[signal.mux_signal]
        return there(above) and signal.brought_by(raw_number(payload, above))

    return {s.name: physical(raw_number(payload, s), s) for s in message.signals if there(s)}


def random_frames(db: Database, count: int, seed: int) -> tuple[Trace, list[Message]]:
    """``count`` frames of every message; half of the multiplexers read a value that the file knows."""
    rng = np.random.default_rng(seed)
    payloads, owners = [], []
    for message in {(m.id, m.extended): m for m in reversed(db.messages)}.values():  # the first of each identifier
        size = max([min(message.length, 64), *(reach_of(s) for s in message.signals)])
        for k in range(count):
            payload = bytearray(rng.bytes(size))
            for mux in message.selectors if k % 2 else ():
                known = sorted({low for s in message.signals if s.mux_signal == mux.name for low, _ in s.mux_ranges})
                if known:
                    _write(payload, mux, known[int(rng.integers(len(known)))])
            payloads.append(bytes(payload))
            owners.append(message)
    bits = [int(FrameBits.EXTENDED) if m.extended else 0 for m in owners]
    return from_bytes(range(len(owners)), [m.id for m in owners], bits, payloads), owners


def _write(payload: bytearray, signal: Signal, raw: int) -> None:
    for k in range(signal.length):
        if signal.big:
            n = (signal.start >> 3) * 8 + 7 - (signal.start & 7) + signal.length - 1 - k
            at, bit = n >> 3, 7 - (n & 7)
        else:
            n = signal.start + k
            at, bit = n >> 3, n & 7
        payload[at] = payload[at] & ~(1 << bit) | ((raw >> k) & 1) << bit


def per_frame(decoded: Decoded, count: int) -> list[dict[str, float]]:
    """Decoded values frame by frame; a signal that a frame does not reach is left out."""
    out: list[dict[str, float]] = [{} for _ in range(count)]
    for table in decoded.tables:
        for name, column in table.columns.items():
            for frame, value in zip(table.frame.tolist(), column.tolist(), strict=True):
                out[frame][name] = value
    return out


def same(a: float, b: float) -> bool:
    """Equal to the last bit, the sign of zero too; NaN is equal to NaN."""
    return (a == b and math.copysign(1.0, a) == math.copysign(1.0, b)) or (math.isnan(a) and math.isnan(b))


def compare(path: Path, frames: int = 40, seed: int = 1) -> Comparison:
    """Compare one file."""
    result = Comparison(path)
    try:
        db = load(path)
        plan = compile_plan(db.messages)
    except InputError as error:
        result.error = str(error).splitlines()[0]
        return result
    result.messages, result.repaired = len(db.messages), len(db.notes)
    result.signals = sum(len(m.signals) for m in db.messages)
    trace, owners = random_frames(db, frames, seed)
    ours = per_frame(decode(plan, trace), len(trace))
    for index, message in enumerate(owners):
        for name, value in oracle(message, trace.payload(index)).items():
            result.against_oracle += 1
            if name not in ours[index] or not same(ours[index][name], value):
                result.part("other", f"{message.name}.{name}: {ours[index].get(name)} ours, {value} bit by bit")
    try:
        theirs = cantools.database.load_file(path, strict=False)
        theirs = {(m.frame_id, m.is_extended_frame): m for m in reversed(theirs.messages)}
    except Exception as error:  # noqa: BLE001  # it raises a dozen types
        result.parted["refused"] += 1
        result.error = " ".join(str(error).split())[:120]
        return result
    for index, message in enumerate(owners):
        _compare_frame(result, message, theirs.get((message.id, message.extended)), trace.payload(index), ours[index])
    return result


def _compare_frame(result: Comparison, message: Message, other: Any, payload: bytes, ours: dict[str, float]) -> None:
    if other is None:
        result.parted["message left out or changed"] += 1
        return
    names = Counter(s.name for s in other.signals)
    twice = {name for name, n in names.items() if n > 1}
    try:
        values = other.decode(payload, decode_choices=False)
    except Exception as error:  # noqa: BLE001  # it raises a dozen types
        outside = "unpacking failed" in str(error)
        known = "multiplexer id" in str(error)
        reason = "unknown multiplexer" if known else "beyond the message" if outside else "other"
        result.part(reason, f"{message.name}: cantools raises {error}")
        return
    for name, value in values.items():
        result.values += 1
        if name in twice:
            result.part("duplicate name", "")
        elif name not in ours:
            result.part("name changed" if result.repaired else "other", f"{message.name}.{name}: not ours")
        elif not same(ours[name], float(value)):
            result.part("other", f"{message.name}.{name}: {ours[name]!r} ours, {value!r} cantools, {payload.hex()}")


def files(paths: list[Path]) -> list[Path]:
    """Databases among paths, folders searched."""
    out: list[Path] = []
    for path in paths:
        found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        out += [p for p in found if p.suffix.lower() in SUFFIXES]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=40, help="random frames per message")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = [compare(path, args.frames) for path in files(args.paths)]
    if args.json:
        keys = ("messages", "signals", "repaired", "values", "against_oracle", "examples", "error")
        told = [{"path": str(r.path), **{k: getattr(r, k) for k in keys}, "parted": r.parted} for r in results]
        print(json.dumps(told, indent=1))
    else:
        for r in results:
            told = ", ".join(f"{k} {n}" for k, n in sorted(r.parted.items())) or ("no" if not r.error else "")
            print(
                f"{r.path.name}: {r.messages} messages, {r.signals} signals, {r.values} values; parted: {told} {r.error}"
            )
            for example in r.examples:
                print(f"    {example}")
    sys.exit(1 if any(r.parted["other"] for r in results) else 0)


if __name__ == "__main__":
    main()
