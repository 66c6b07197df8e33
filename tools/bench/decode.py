"""How fast a log becomes columns, and a tick its frames, against cantools, asammdf and plain copying.

Method. ``can_load`` makes by seed a database of 40 messages and 759 signals of every kind, and ``--frames`` frames of it.
All figures come from one run, interleaved, best of ``--repeat`` rounds each (cantools on a sample, its time per frame):

* ``ns_per_frame``: ``hil.codec.bulk`` over the whole log, times and frame numbers included, buffers used again;
* ``vs_cantools``: ``Message.decode`` with ``decode_choices=False`` on frames spread over the log, message looked up by id, each
  result dropped as soon as it is there;
* ``vs_asammdf``: ``MDF.extract_bus_logging`` on the same frames in an MF4 file, classic and FD frames in a group each, which
  is faster for it (opening not counted);
* ``vs_memcpy``: copying as many bytes as the decoder reads and writes;
* ``mismatches``: values of the cantools sample that are not equal to the last bit, plus names one side lacks.

``us_per_tick``: 30 frames of the bench's BMS decoded into the process image, checks of counter and CRC included, and 10 frames
of 6 signals each encoded from it with counter and CRC; ``tick_vs_cantools`` is the same work done with cantools and the
autosar-e2e library.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, Path(__file__).resolve().parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import can_load  # noqa: E402
import cantools  # noqa: E402
import numpy as np  # noqa: E402

from hil.codec.bulk import Decoded, Decoder  # noqa: E402
from hil.codec.database import load  # noqa: E402
from hil.codec.plan import compile_plan  # noqa: E402
from hil.logs.trace import Trace  # noqa: E402


def bytes_moved(trace: Trace, decoded: Decoded) -> int:
    """Bytes the decoder must read and write."""
    read = (trace.t_ns, trace.id, trace.bits, trace.dlc, trace.at, trace.words)
    return sum(x.nbytes for x in (*read, decoded.t_ns, decoded.frame, decoded.values))


def cantools_time(db: Any, trace: Trace, rows: np.ndarray) -> float:
    """Time per frame in ns."""
    wanted = [(int(trace.id[i]), trace.payload(i)) for i in rows]
    by_id = {m.frame_id: m for m in db.messages}
    began = perf_counter_ns()
    for identifier, payload in wanted:
        by_id[identifier].decode(payload, decode_choices=False)
    return (perf_counter_ns() - began) / len(rows)


def cantools_values(db: Any, trace: Trace, rows: np.ndarray) -> list[dict[str, Any]]:
    """The values of the frames of ``rows``."""
    by_id = {m.frame_id: m for m in db.messages}
    return [by_id[int(trace.id[i])].decode(trace.payload(i), decode_choices=False) for i in rows]


def mismatches(decoded: Decoded, rows: np.ndarray, expected: list[dict[str, Any]]) -> int:
    """Values of the sample that differ, in bits or in being there."""
    place = {int(row): k for k, row in enumerate(rows)}
    left = [dict(values) for values in expected]
    wrong = 0
    for table in decoded.tables:
        hits = np.flatnonzero(np.isin(table.frame, rows))
        frames = [place[int(f)] for f in table.frame[hits]]
        for name, column in table.columns.items():
            for k, value in zip(frames, column[hits].tolist(), strict=True):
                other = left[k].pop(name, None)
                wrong += other is None or not same(float(other), value)
    return wrong + sum(len(values) for values in left)


def same(a: float, b: float) -> bool:
    """Equal to the last bit, the sign of zero too; NaN is equal to NaN."""
    return (a == b and math.copysign(1.0, a) == math.copysign(1.0, b)) or (math.isnan(a) and math.isnan(b))


def samples_of(trace: Trace, length: int) -> np.ndarray:
    """The frames of one payload length as bus logging wants them."""
    n = len(trace)
    kind = np.dtype(
        [
            ("CAN_DataFrame.BusChannel", "<u1"),
            ("CAN_DataFrame.ID", "<u4"),
            ("CAN_DataFrame.IDE", "<u1"),
            ("CAN_DataFrame.DLC", "<u1"),
            ("CAN_DataFrame.DataLength", "<u1"),
            ("CAN_DataFrame.DataBytes", f"({length},)u1"),
        ]
    )
    samples = np.zeros(n, kind)
    samples["CAN_DataFrame.BusChannel"] = 1
    samples["CAN_DataFrame.ID"] = trace.id
    samples["CAN_DataFrame.IDE"] = trace.bits & 1
    samples["CAN_DataFrame.DLC"] = 15 if length == 64 else length
    samples["CAN_DataFrame.DataLength"] = length
    places = (trace.at * 8)[:, None] + np.arange(length)
    samples["CAN_DataFrame.DataBytes"] = trace.words.view(np.uint8)[places]
    return samples


def mf4(trace: Trace, folder: Path) -> Path:
    """The frames as MF4 bus logging, one group per payload length."""
    from asammdf import MDF, Signal
    from asammdf.blocks.source_utils import Source
    from asammdf.blocks.v4_constants import BUS_TYPE_CAN, SOURCE_BUS

    source = Source("CAN", "CAN1", "", SOURCE_BUS, BUS_TYPE_CAN)
    with MDF(version="4.10") as mdf:
        for length in np.unique(trace.dlc).tolist():
            part = trace.select(trace.dlc == length)
            signal = Signal(samples_of(part, length), part.t_ns * 1e-9, name="CAN_DataFrame", source=source)
            mdf.append([signal], acq_source=source)
        return Path(mdf.save(folder / "load.mf4", overwrite=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2_000_000)
    parser.add_argument(
        "--sample", type=int, default=100_000, help="frames that cantools decodes and that are compared"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, nothing else")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), args)
    if args.json:
        print(json.dumps(figures, indent=1))
    else:
        for key, value in figures.items():
            print(f"{key:22} {value}")


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All figures of one run."""
    import tick_codec
    from asammdf import MDF

    dbc = folder / "load.dbc"
    dbc.write_text(can_load.database(args.seed))
    plan = compile_plan(load(dbc).messages)
    trace = can_load.frames(args.frames, args.seed)
    decoder = Decoder(plan)
    decoded = decoder.decode(trace)
    reference = cantools.database.load_file(dbc, strict=False)
    rows = np.unique(np.linspace(0, len(trace) - 1, args.sample).astype(np.int64))
    source = np.ones(bytes_moved(trace, decoded), np.uint8)
    target = source.copy()
    ours, copied, theirs, bulk = [], [], [], []
    measurement = mf4(trace, folder)
    with MDF(measurement) as mdf:
        for _ in range(args.repeat):
            began = perf_counter_ns()
            decoded = decoder.decode(trace)
            ours.append((perf_counter_ns() - began) / len(trace))
            began = perf_counter_ns()
            np.copyto(target, source)
            copied.append((perf_counter_ns() - began) / len(trace))
            theirs.append(cantools_time(reference, trace, rows))
            began = perf_counter_ns()
            mdf.extract_bus_logging({"CAN": [(str(dbc), 0)]}).close()
            bulk.append((perf_counter_ns() - began) / len(trace))
    best = min(ours)
    return {
        "frames": len(trace),
        "values_per_frame": round(len(decoded.values) / len(trace), 2),
        "ns_per_frame": round(best, 2),
        "cantools_ns": round(min(theirs), 1),
        "asammdf_ns": round(min(bulk), 1),
        "memcpy_ns": round(min(copied), 2),
        "vs_cantools": round(min(theirs) / best, 1),
        "vs_asammdf": round(min(bulk) / best, 1),
        "vs_memcpy": round(best / min(copied), 2),
        "mismatches": mismatches(decoded, rows, cantools_values(reference, trace, rows)),
        **tick_codec.measure(folder, args.repeat),
    }


if __name__ == "__main__":
    main()
