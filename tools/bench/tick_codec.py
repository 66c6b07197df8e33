"""What CAN costs in a tick: 30 frames of the BMS into the process image, 10 frames of 6 signals out of it.

Counter and CRC are checked and written on both sides; cantools does its part with the autosar-e2e library. Ours also
sends the bench's own VEH_Request, an eleventh frame that cantools is spared; in turn it reads only the signals that the
process image holds (105 of 114), as a bench does, and cantools reads all.
"""

import sys
from pathlib import Path
from time import perf_counter_ns
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import cantools  # noqa: E402
import numpy as np  # noqa: E402
from e2e import p01  # noqa: E402

from hil.codec import decode, mapping, restbus  # noqa: E402
from hil.image import table  # noqa: E402
from hil.kernel import Rows, kernel, zeros  # noqa: E402
from hil.tick import COLUMNS, Frames  # noqa: E402

SENT, SIGNALS, TICKS = 10, 6, 300
TICK_NS = 10_000_000
RECEIVED = ("BMS_State", "BMS_Pack", "BMS_Cells", "BMS_Cells", "BMS_Cells") * 6
DATA_IDS = {"BMS_State": 0x1100, "BMS_Pack": 0x1101}


class Tick:
    """Records of one tick."""

    codec: decode.CodecState
    restbus: restbus.RestbusState
    tx: Frames


@kernel
def one_tick(
    s: Rows[Tick],
    p: Rows[decode.CodecParams],
    q: Rows[restbus.RestbusParams],
    rx: Rows[Frames],
    row: Any,
    k: int,
    t_ns: int,
) -> int:
    """Decode the frames of tick ``k`` and send what is due."""
    decode.decode(s[0].codec, p[0], t_ns, rx[k], row)
    s[0].tx.n = 0
    restbus.step(s[0].restbus, q[0], t_ns, row, s[0].tx)
    return s[0].tx.n


def bus_files(folder: Path) -> Path:
    """The bench's bus with ten more messages to send; the path of its quantities file."""
    dbc = folder / "bench.dbc"
    lines, quantities, protected = [], [], []
    for k in range(SENT):
        signals = [f' SG_ V_{i:03} : {16 + 8 * i}|8@1+ (0.02,0) [0|5.1] "V" BMS' for i in range(SIGNALS)]
        fixed = [' SG_ Crc : 0|8@1+ (1,0) [0|255] "" BMS', ' SG_ Counter : 8|4@1+ (1,0) [0|14] "" BMS']
        lines += [f"BO_ {0x200 + k} Rest_{k}: 8 Bench", *fixed, *signals, ""]
        quantities.append(f"  Rest_{k}.V_*: {{quantity: command.cell_voltage}}")
        protected.append(
            f"  Rest_{k}: {{profile: 1A, data_id: {0x2000 + k}, crc: Crc, counter: Counter, max_delta: 3}}"
        )
    cycles = [f'BA_ "GenMsgCycleTime" BO_ {0x200 + k} 10;' for k in range(SENT)]
    text = (ROOT / "dbc" / "bench.dbc").read_text()
    text = text.replace("BO_ 240 VEH_Request", "\n".join(lines) + "\nBO_ 240 VEH_Request", 1)
    dbc.write_text(text.rstrip() + "\n" + "\n".join(cycles) + "\n")
    told = (ROOT / "dbc" / "bench.quantities.yaml").read_text()
    own = "  VEH_Request.Request: {quantity: command.request, otherwise: 0}\n"
    assert own in told
    out = folder / "bench.quantities.yaml"
    out.write_text(told.replace(own, own + "\n".join(quantities) + "\n"))
    known = (ROOT / "dbc" / "bench.e2e.yaml").read_text().rstrip()
    (folder / "bench.e2e.yaml").write_text(known + "\n" + "\n".join(protected) + "\n")
    return out


def received(db: Any) -> list[list[tuple[int, bytearray]]]:
    """The frames of every tick, with running counters."""
    rng = np.random.default_rng(3)
    counters = dict.fromkeys(DATA_IDS, 0)
    out = []
    for _ in range(TICKS):
        frames = []
        for n, name in enumerate(RECEIVED):
            message = db.get_message_by_name(name)
            data = bytearray(rng.bytes(message.length))
            if name == "BMS_Cells":
                data[0] = n % 24
            if name in DATA_IDS:
                data[1] = data[1] & 0xF0 | counters[name]
                counters[name] = (counters[name] + 1) % 15
                p01.e2e_p01_protect(data, DATA_IDS[name], increment_counter=False)
            frames.append((message.frame_id, data))
        out.append(frames)
    return out


def with_cantools(db: Any, ticks: list[list[tuple[int, bytearray]]], row: np.ndarray, first: int) -> float:
    """Time per tick in ns of the same work."""
    incoming = {m.frame_id: (m, DATA_IDS.get(m.name)) for m in db.messages}
    outgoing = [db.get_message_by_name(f"Rest_{k}") for k in range(SENT)]
    names = [f"V_{i:03}" for i in range(SIGNALS)]
    counter = 0
    image: dict[str, float] = {}
    began = perf_counter_ns()
    for frames in ticks:
        for identifier, data in frames:
            message, data_id = incoming[identifier]
            if data_id is None or p01.e2e_p01_check(data, data_id):
                image.update(message.decode(data, decode_choices=False))
        for k, message in enumerate(outgoing):
            values = {name: float(row[first + i]) for i, name in enumerate(names)}
            payload = bytearray(message.encode({**values, "Crc": 0, "Counter": counter}, strict=False))
            p01.e2e_p01_protect(payload, 0x2000 + k, increment_counter=False)
        counter = (counter + 1) % 15
    return (perf_counter_ns() - began) / len(ticks)


def measure(folder: Path, repeat: int) -> dict[str, float]:
    """``us_per_tick`` and ``tick_vs_cantools``, best of ``repeat`` rounds each, interleaved."""
    bus = mapping.load_bus(bus_files(folder))
    image = table(96, 32)
    p = decode.params(bus.db, bus.quantities, bus.e2e, image)
    q = restbus.params(bus.db, bus.quantities, bus.e2e, image, TICK_NS)
    db = cantools.database.load_file(folder / "bench.dbc")
    ticks = received(db)
    rx = zeros(Frames, TICKS)
    plain = np.asarray(rx)
    for k, frames in enumerate(ticks):
        plain[k]["n"] = len(frames)
        for slot, (identifier, data) in zip(plain[k]["slot"], frames, strict=False):
            slot["id"], slot["dlc"], slot["t_ns"] = identifier, len(data), k * TICK_NS
            slot["payload"][: len(data)] = np.frombuffer(data, np.uint8)
    row = np.full(COLUMNS, np.nan)
    cells = image.find("command.cell_voltage")
    assert cells is not None
    row[cells.start : cells.start + cells.count] = np.linspace(3.0, 4.2, cells.count)
    ours, theirs = [], []
    for round_ in range(repeat + 1):  # the first compiles
        s = zeros(Tick)
        sent = 0
        began = perf_counter_ns()
        for k in range(TICKS):
            sent += one_tick(s, p, q, rx, row, k, (k + 1) * TICK_NS)
        took = (perf_counter_ns() - began) / TICKS
        if round_ == 0:
            bad = int(np.asarray(s)[0]["codec"]["bad"])
            if sent < (TICKS - 1) * SENT or bad:
                raise SystemExit(f"tick_codec: {sent} frames sent, {bad} refused: not the work that was to be measured")
            continue
        ours.append(took)
        theirs.append(with_cantools(db, ticks, row, cells.start))
    return {
        "us_per_tick": round(min(ours) * 1e-3, 3),
        "tick_cantools_us": round(min(theirs) * 1e-3, 1),
        "tick_vs_cantools": round(min(theirs) / min(ours), 1),
    }
