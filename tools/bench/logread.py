"""How fast bulk reading of BLF and candump logs is, against python-can reading the same files in the same run.

Method. A log is made by seed: 40 identifiers (8 extended, 4 of CAN FD with up to 64 bytes) in cyclic traffic on two
channels, payloads with counters and slowly moving values as real traffic has, some remote and error frames. python-can's
writers write it as BLF and as candump log into a temporary folder. Both readers then read each file from start to end,
ours into the columns of a trace, python-can's into messages that are dropped one by one, in turns, ``--repeat`` times;
the best time of each counts. A first read of a small file compiles the kernels and is not counted.

``vs_python_can_*`` is python-can's time over ours. ``mismatches`` counts the frames of both files that differ in time,
identifier, flags, length, channel or payload from what python-can reads.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import can  # noqa: E402
import numpy as np  # noqa: E402

from hil.logs.blf import read_blf  # noqa: E402
from hil.logs.candump import read_candump  # noqa: E402
from hil.logs.trace import Trace  # noqa: E402
from hil.tick import FrameBits  # noqa: E402

START_S = 1_700_000_000.0
LENGTHS = (12, 24, 48, 64)


def messages(frames: int, seed: int) -> Iterator[can.Message]:
    """The traffic, in order of time."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (frames, 2), dtype=np.uint8)
    gaps_us = rng.integers(120, 600, frames)
    at_us = 0
    for i in range(frames):
        at_us += int(gaps_us[i])
        k = i * 7 % 40
        extended, fd = k >= 32, 28 <= k < 32
        length = LENGTHS[k - 28] if fd else 8 if k % 5 else k % 8
        turn = i // 40
        data = bytearray((k * 11 + j + (turn >> (3 * j % 17))) & 0xFF for j in range(length))
        if length >= 2:
            data[0], data[1] = int(noise[i, 0]), turn & 0x0F | int(noise[i, 1]) & 0x30
        remote, fault = i % 1009 == 0, i % 2003 == 0
        yield can.Message(
            timestamp=START_S + at_us * 1e-6,
            arbitration_id=0 if fault else 0x18FF0000 + k if extended else 0x100 + 13 * k,
            is_extended_id=extended and not fault,
            is_remote_frame=remote and not fd and not fault,
            is_error_frame=fault,
            is_fd=fd and not fault,
            bitrate_switch=fd and not fault,
            is_rx=fault or k % 4 != 0,
            dlc=0 if fault else None if not (remote and not fd) else 0,
            data=None if fault or (remote and not fd) else data,
            channel=k % 2,
        )


def write(folder: Path, frames: int, seed: int) -> dict[str, Path]:
    """Both files."""
    out = {"blf": folder / "log.blf", "candump": folder / "log.log"}
    writers = (can.BLFWriter(str(out["blf"])), can.CanutilsLogWriter(str(out["candump"])))
    for message in messages(frames, seed):
        for writer in writers:
            writer.on_message_received(message)
    for writer in writers:
        writer.stop()
    return out


def timed(call: Callable[[], Any]) -> int:
    began = perf_counter_ns()
    call()
    return perf_counter_ns() - began


def drain(path: Path) -> None:
    for _ in can.LogReader(path):
        pass


def flags(message: can.Message) -> int:
    """python-can's flags as ours."""
    pairs = (
        (message.is_extended_id and not message.is_error_frame, FrameBits.EXTENDED),
        (message.is_fd, FrameBits.FD),
        (message.bitrate_switch, FrameBits.BITRATE_SWITCH),
        (message.error_state_indicator, FrameBits.ERROR_STATE),
        (message.is_error_frame, FrameBits.ERROR),
        (message.is_remote_frame, FrameBits.REMOTE),
        (not message.is_rx, FrameBits.SENT),
    )
    return sum(int(bit) for on, bit in pairs if on)


def mismatches(path: Path, trace: Trace, names: dict[str, int]) -> int:
    """Frames that are not the same in both readings; an error frame of candump has no interface in python-can."""
    out, i = 0, 0
    for i, message in enumerate(can.LogReader(path), 1):
        if i > len(trace):
            break
        k = i - 1
        fault = message.is_error_frame
        channel = names.get(message.channel, message.channel) if message.channel is not None else trace.channel[k]
        same = (
            abs(int(trace.t_ns[k]) - round(message.timestamp * 1e9)) <= 500
            and (fault or trace.id[k] == message.arbitration_id)
            and trace.bits[k] == flags(message)
            and (fault or trace.dlc[k] == message.dlc)
            and trace.channel[k] == channel
            and trace.payload(k) == bytes(message.data)
        )
        out += not same
    return out + abs(len(trace) - i)


def measure(frames: int, seed: int, repeat: int) -> dict[str, Any]:
    """Everything the tool prints."""
    readers = {"blf": read_blf, "candump": read_candump}
    result: dict[str, Any] = {"frames": frames, "mismatches": 0}
    with tempfile.TemporaryDirectory(prefix="hil-bench-") as name:
        small, paths = Path(name) / "small", Path(name)
        small.mkdir()
        for kind, path in write(small, 100, seed).items():
            readers[kind](path.read_bytes())
        for kind, path in write(paths, frames, seed).items():
            ours, theirs = [], []
            for _ in range(repeat):
                theirs.append(timed(lambda path=path: drain(path)))
                ours.append(timed(lambda path=path, kind=kind: readers[kind](path.read_bytes())))
            log = readers[kind](path.read_bytes())
            names = {text: int(key.split()[1]) for key, text in log.facts.items() if key.startswith("channel ")}
            result[f"vs_python_can_{kind}"] = round(min(theirs) / min(ours), 2)
            result[f"ns_per_frame_{kind}"] = round(min(ours) / frames, 1)
            result[f"python_can_ns_per_frame_{kind}"] = round(min(theirs) / frames, 1)
            result[f"megabytes_{kind}"] = round(path.stat().st_size * 1e-6, 2)
            result["mismatches"] += mismatches(path, log.trace, names) + log.unreadable
    return result


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300_000, help="frames in each log (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="reads by each reader (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    chosen = parser.parse_args()
    if chosen.frames < 1000 or chosen.repeat < 1:
        parser.error("--frames is at least 1000 and --repeat at least 1")
    result = measure(chosen.frames, chosen.seed, chosen.repeat)
    if chosen.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
