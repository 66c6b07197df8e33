"""How late replayed frames are, our player against python-can's, in one process, turn by turn on the same log.

Method. A log is made by seed: 2,000 frames a second on average; every 10 ms a burst that holds 40 % of them, its frames
following each other as closely as a bus of 500 kbit/s allows (230 us), the others spread evenly with jitter. Both
players send it to python-can's ``virtual`` bus, where a second bus object receives and counts. Ours runs as ``hil replay`` runs it:
it asks for SCHED_FIFO and goes on without where that is refused (``scheduling`` tells). python-can's runs as
``can_player`` runs it: ``can.LogReader`` over the log as a candump file, ``can.MessageSync`` with that program's settings
(gap 0.1 ms, a day of skip), ``bus.send``, ordinary scheduling. Lateness is the monotonic time right after ``send`` returned
minus the time the frame was due, due times counting from the player's start, for both alike; no offset is taken out. Rounds
alternate which player goes first. Figures are medians over the rounds; ``vs_python_can_p99`` is the median of the
rounds' ratios.

``python_can_best_*`` is the same path helped as far as can be from outside: all messages in memory beforehand, no
garbage collection, finest timers, and the same SCHED_FIFO.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import can  # noqa: E402
import numpy as np  # noqa: E402

from hil.hardware.canbus import PythonCanTarget  # noqa: E402
from hil.hardware.pacer import PRIORITY, WallPacer, undisturbed  # noqa: E402
from hil.logs import text_write  # noqa: E402
from hil.logs.trace import Trace, from_bytes  # noqa: E402
from hil.replay.filters import Filter  # noqa: E402
from hil.replay.lateness import Lateness  # noqa: E402
from hil.replay.player import Player  # noqa: E402
from hil.replay.schedule import Timing, plan, turns  # noqa: E402

PERIOD_NS = 10_000_000
BURST_SHARE = 0.4
FRAME_NS = 230_000  # 8 bytes at 500 kbit/s
DAY_S = 60 * 60 * 24.0


def made(seconds: float, rate: int, seed: int) -> Trace:
    """The log: microsecond stamps, as candump writes them."""
    draw = np.random.default_rng(seed)
    per_period = rate // 100
    burst = round(per_period * BURST_SHARE)
    times: list[int] = []
    for k in range(round(seconds * 100)):
        start = k * PERIOD_NS
        close = start + np.arange(burst) * FRAME_NS
        rest = per_period - burst
        slots = start + burst * FRAME_NS + np.arange(rest) * (PERIOD_NS - burst * FRAME_NS) // rest
        times += [int(t) for t in close] + [int(t) for t in slots + draw.integers(0, 100_000, rest)]
    t_ns = np.sort(np.array(times, np.int64)) // 1000 * 1000
    payloads = [draw.bytes(8) for _ in t_ns]
    return from_bytes(t_ns - t_ns[0], draw.integers(0x80, 0x700, len(t_ns)), np.zeros(len(t_ns), np.int32), payloads)


def ours(trace: Trace, channel: str, priority: int | None) -> np.ndarray:
    """Lateness in ns of each frame with our player."""
    target = PythonCanTarget("virtual", channel)
    late = Lateness()
    with undisturbed(priority):
        report = Player(target, WallPacer(), late).play(turns([plan(trace, Filter(), Timing())]))
    target.close()
    if not report.adds_up or report.sent != len(trace):
        raise SystemExit(f"frames were not sent: {report}")
    return late.per_frame()


def theirs(messages: Callable[[], Iterable[can.Message]], due_ns: np.ndarray, channel: str) -> np.ndarray:
    """Lateness in ns of each frame with python-can's player."""
    sent = np.zeros(len(due_ns), np.int64)
    with can.Bus(interface="virtual", channel=channel, ignore_config=True) as bus:
        player = iter(can.MessageSync(messages(), timestamps=True, gap=0.0001, skip=DAY_S))
        start = time.monotonic_ns()
        for i, message in enumerate(player):
            bus.send(message)
            sent[i] = time.monotonic_ns()
    return sent - start - due_ns


def best(run: Callable[[], np.ndarray], priority: int | None) -> np.ndarray:
    """A run under the conditions our player has."""
    with undisturbed(priority):
        return run()


def p(late: np.ndarray, share: float) -> float:
    """Percentile by nearest rank, in microseconds."""
    return float(np.sort(late)[int(np.ceil(share * len(late))) - 1]) / 1e3


def measure(
    seconds: float, rate: int, rounds: int, seed: int, priority: int | None
) -> dict[str, float | int | list[float]]:
    """All figures."""
    trace = made(seconds, rate, seed)
    due_ns = trace.t_ns - trace.t_ns[0]
    names = ("ours", "python_can", "python_can_best")
    late: dict[str, list[np.ndarray]] = {name: [] for name in names}
    got = dict.fromkeys(names, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.log"
        path.write_text("".join(map(text_write.candump(trace, 0)[1], text_write.rows(trace))))
        kept = list(can.LogReader(path))
        runs: dict[str, Callable[[str], np.ndarray]] = {
            "ours": lambda channel: ours(trace, channel, priority),
            "python_can": lambda channel: theirs(lambda: can.LogReader(path), due_ns, channel),
            "python_can_best": lambda channel: best(lambda: theirs(lambda: kept, due_ns, channel), priority),
        }
        for k in range(rounds):
            for name in names if k % 2 == 0 else names[::-1]:
                channel = f"{name}{k}"
                with can.Bus(interface="virtual", channel=channel, ignore_config=True) as receiver:
                    late[name].append(runs[name](channel))
                    got[name] += sum(1 for _ in itertools.takewhile(bool, iter(lambda bus=receiver: bus.recv(0), 0)))
    out: dict[str, float | int | list[float]] = {}
    for name, prefix in zip(names, ("", "python_can_", "python_can_best_"), strict=True):
        for key, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p99_9_us", 0.999), ("max_us", 1.0)):
            out[prefix + key] = round(statistics.median(p(one, share) for one in late[name]), 1)
    for name in ("python_can", "python_can_best"):
        ratios = [p(b, 0.99) / p(a, 0.99) for a, b in zip(late["ours"], late[name], strict=True)]
        out[f"vs_{name}_p99"] = round(statistics.median(ratios), 2)
        out[f"ratios_{name}"] = [round(r, 2) for r in ratios]
    sent = rounds * len(trace)
    return {**out, "sent": sent, "lost": sent - got["ours"], "lost_python_can": sent - got["python_can"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-realtime", action="store_true", help="ordinary scheduling for ours too")
    chosen = parser.parse_args()
    priority = None if chosen.no_realtime else PRIORITY
    with undisturbed(priority) as granted:
        pass
    result = measure(chosen.seconds, chosen.rate, chosen.rounds, chosen.seed, priority)
    if chosen.json:
        print(json.dumps({**result, "scheduling": granted}))
        return
    print(f"{'scheduling':28} {granted}")
    for key, value in result.items():
        print(f"{key:28} {value}")


if __name__ == "__main__":
    main()
