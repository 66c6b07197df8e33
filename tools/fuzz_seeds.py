"""Sound inputs that the fuzzers start from: files of the tree, and small binary files written when asked for."""

import gzip
import io
import json
import struct
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from hil.image import table
from hil.kernel import zeros
from hil.logs.blf.write import write_blf
from hil.logs.mf4 import write_mf4
from hil.logs.text_write import candump, rows
from hil.logs.trace import Trace, from_bytes
from hil.records.writer import McapSink, Policy
from hil.tick import COLUMNS, FrameBits, Link

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
TICK_NS = 10_000_000
FRAMES = 24


def files(*patterns: str) -> tuple[bytes, ...]:
    """The contents of all files of the tree that fit, in order of their names."""
    found = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    return tuple(path.read_bytes() for path in found)


def trace() -> Trace:
    """Frames of every kind, each with a payload of its own."""
    kinds = (0, FrameBits.EXTENDED, FrameBits.FD | FrameBits.BITRATE_SWITCH, FrameBits.SENT, FrameBits.ERROR)
    bits = [int(kinds[i % 5]) for i in range(FRAMES)]
    payloads = [bytes([i]) * (12 if kind & FrameBits.FD else 8) for i, kind in enumerate(bits)]
    t_ns = [1_700_000_000_000_000_000 + i * TICK_NS for i in range(FRAMES)]
    return from_bytes(
        t_ns, [0x100 + i for i in range(FRAMES)], bits, payloads, [i % 3 for i in range(FRAMES)], None, True
    )


@lru_cache(maxsize=1)
def blf() -> tuple[bytes, ...]:
    """A file of containers, and one of bare objects in a container that is not compressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.blf"
        write_blf(trace(), path)
        packed = path.read_bytes()
    objects = b"".join(_message(i) for i in range(FRAMES))
    head = struct.pack("<4sHHLL", b"LOBJ", 16, 1, 32 + len(objects), 10)
    stored = head + struct.pack("<H6xL4x", 0, len(objects)) + objects
    return packed, packed[:144] + stored + stored, packed[:144] + objects + stored


def _message(number: int) -> bytes:
    body = struct.pack("<HBBL8s", 1, 0, 8, 0x100 + number, bytes([number] * 8))
    return (
        struct.pack("<4sHHLL", b"LOBJ", 32, 1, 32 + len(body), 1) + struct.pack("<LHHQ", 2, 0, 0, number * 1000) + body
    )


@lru_cache(maxsize=1)
def mf4() -> tuple[bytes, ...]:
    """One finished file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mf4"
        write_mf4(trace(), path)
        return (path.read_bytes(),)


@lru_cache(maxsize=1)
def candump_log() -> bytes:
    """What the writer makes of ``trace``."""
    made = trace()
    before, line_of, after = candump(made, 0)
    return (before + "".join(line_of(row) for row in rows(made)) + after).encode()


@lru_cache(maxsize=1)
def packed() -> tuple[bytes, ...]:
    """Logs packed by gzip: one member, two members, a binary one."""
    text = candump_log()
    one = gzip.compress(text, mtime=0)
    return (
        one,
        gzip.compress(text[:700], mtime=0) + gzip.compress(text[700:], mtime=0),
        gzip.compress(blf()[0], mtime=0),
    )


@lru_cache(maxsize=1)
def curves() -> tuple[bytes, ...]:
    """Early-life curves of two cells, stored and packed."""
    cycles, voltage = np.array([2, 10, 100]), np.linspace(3.5, 2.0, 8)
    q = np.linspace(0.0, 1.0, 2 * 8 * 3).reshape(2, 8, 3)
    arrays = {
        "cycles": cycles,
        "voltage": voltage,
        "a_Q": q,
        "a_Qend": np.ones((2, 5)),
        "a_life": np.array([500.0, 900.0]),
    }
    made = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, **arrays)
        made.append(stream.getvalue())
    return tuple(made)


@lru_cache(maxsize=1)
def record() -> tuple[bytes, ...]:
    """A finished record, and one cut off."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mcap"
        layout = table(4, 2)
        columns = [layout.labels().index("measured.pack_current")]
        files_index = {"scenario.yaml": {"name": "x.yaml", "encoding": "utf-8", "refers": {}}}
        attachments = {"scenario.yaml": "scenario: x\n", "files.json": json.dumps(files_index)}
        sink = McapSink(path, layout, columns, Policy(), attachments, {"dut": {"software": "1"}})
        link = zeros(Link)
        for tick in range(1, 40):
            received = np.asarray(link)[0]["rx"]
            received["n"], received["slot"]["id"][0], received["slot"]["dlc"][0] = 1, 0x101, 8
            received["slot"]["t_ns"][0] = tick * TICK_NS
            sink.put(tick * TICK_NS, tick * 4096.0 + np.arange(COLUMNS, dtype=np.float64), link)
        sink.event(tick * TICK_NS, "step", "one")
        sink.verdicts(tick * TICK_NS, [{"id": "A", "status": "PASS"}])
        sink.close()
        whole = path.read_bytes()
    return whole, whole[: len(whole) * 2 // 3]
