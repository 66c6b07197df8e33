"""The rest of the bus under the tick: a gateway's messages in a whole run, as the record has them on the bus."""

from pathlib import Path

import cantools
import numpy as np
import pytest
from runs import ROOT, written

from hil.assemble import problems_of
from hil.campaign.replaying import replay_record
from hil.campaign.run import Options, Screen, run_all
from hil.records.reader import Record, read

MESSAGES = """
BO_ 1001 GW_Speed: 4 Gateway
 SG_ Crc : 0|8@1+ (1,0) [0|255] "" BMS
 SG_ Counter : 8|4@1+ (1,0) [0|14] "" BMS
 SG_ Supply : 16|16@1+ (0.001,0) [0|60] "V" BMS

BO_ 1002 GW_Coolant: 2 Gateway
 SG_ Temperature : 0|16@1- (0.1,0) [-100|200] "degC" BMS

BO_ 1003 GW_Wake: 2 Gateway
 SG_ Reason : 0|8@1+ (1,0) [0|255] "" BMS

BO_ 1004 GW_Clock: 2 Gateway
 SG_ Hours : 0|8@1+ (1,0) [0|255] "" BMS

"""
ATTRIBUTES = """
BA_ "GenMsgCycleTime" BO_ 1001 20;
BA_ "GenMsgSendType" BO_ 1002 2;
BA_ "GenMsgSendType" BO_ 1003 2;
BA_ "GenMsgCycleTime" BO_ 1004 20;
"""
STEPS = """\
steps:
  - {at: 100 ms, send: GW_Wake}
  - {at: 200 ms, set: {shown.coolant_temperature: 30 degC}}
  - {at: 300 ms, send: GW_Clock}
"""
TICK_NS = 10_000_000


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bench's database with a gateway beside the BMS, its companions, and a bench file that names them."""
    folder = tmp_path_factory.mktemp("bus")
    dbc = (ROOT / "dbc" / "bench.dbc").read_text()
    for old, new in {
        "BU_: Bench BMS": "BU_: Bench BMS Gateway",
        "BO_ 256 BMS_State": f"{MESSAGES.strip()}\n\nBO_ 256 BMS_State",
        '"Cyclic","CyclicAndOnChange";': '"Cyclic","CyclicAndOnChange","OnEvent";',
        'BA_ "GenMsgSendType" BO_ 261 1;': f'BA_ "GenMsgSendType" BO_ 261 1;{ATTRIBUTES.rstrip()}',
    }.items():
        assert dbc.count(old) == 1
        dbc = dbc.replace(old, new)
    (folder / "bench.dbc").write_text(dbc)
    quantities = (ROOT / "dbc" / "bench.quantities.yaml").read_text()
    lines = "  GW_Speed.Supply: {quantity: command.supply, otherwise: 0}\n"
    lines += "  GW_Coolant.Temperature: {quantity: command.coolant_temperature, otherwise: 0}\n"
    for section, new in {"transmit": lines, "unused": "  - GW_Wake\n  - GW_Clock\n"}.items():
        assert quantities.count(f"\n{section}:\n") == 1
        quantities = quantities.replace(f"\n{section}:\n", f"\n{section}:\n{new}")
    (folder / "bench.quantities.yaml").write_text(quantities)
    e2e = (ROOT / "dbc" / "bench.e2e.yaml").read_text()
    more = "  GW_Speed: {profile: 1A, data_id: 0x1234, crc: Crc, counter: Counter}\n"
    (folder / "bench.e2e.yaml").write_text(e2e + more)
    (folder / "bench.yaml").write_text(
        "bench: with a gateway\ndbc: bench.dbc\nquantities: bench.quantities.yaml\ne2e: bench.e2e.yaml\n"
        "restbus: {senders: [Bench, Gateway]}\n"
    )
    return folder


@pytest.fixture(scope="module")
def record(bus: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    return ran(bus / "bench.yaml", tmp_path_factory.mktemp("run"))


def ran(bench: Path, folder: Path) -> Record:
    """The record of a run with the steps above on a bench."""
    scenario = written(folder, length="1 s", change=("steps:\n", STEPS))
    run_all([scenario], Options(folder / "out", bench=bench), Screen(quiet=True))
    return read(folder / "out" / "record.mcap")


def frames(record: Record, identifier: int) -> tuple[list[int], list[bytes]]:
    """Times since the steps began, ns, and payloads of all frames with this identifier."""
    begun = next(e["t_ns"] for e in record.events if e["text"] == "group 1 begins")
    found = record.frames[record.frames["id"] == identifier]
    return [int(t) - begun for t in found["t_ns"]], [bytes(f["payload"][: f["dlc"]]) for f in found]


def test_an_event_message_goes_out_when_a_step_sends_it_and_never_else(record: Record) -> None:
    times, _ = frames(record, 1003)
    assert len(times) == 1
    assert 100_000_000 <= times[0] < 100_000_000 + TICK_NS


def test_a_change_goes_out_once_with_the_new_value(bus: Path, record: Record) -> None:
    db = cantools.database.load_file(bus / "bench.dbc")
    times, payloads = frames(record, 1002)
    late = [(t, p) for t, p in zip(times, payloads, strict=True) if t >= 0]
    assert len(late) == 1
    assert 200_000_000 <= late[0][0] < 200_000_000 + TICK_NS
    assert db.decode_message(1002, late[0][1])["Temperature"] == 30.0


def test_a_cycle_keeps_its_grid_its_counter_and_its_checksum(bus: Path, record: Record) -> None:
    times, payloads = frames(record, 1001)
    assert len(times) > 50
    assert set(np.diff([t // TICK_NS for t in times])) == {2}
    counters = [p[1] & 0x0F for p in payloads]
    assert counters == [(counters[0] + i) % 15 for i in range(len(counters))]
    assert all(p[0] == crc(p[1:]) for p in payloads)
    db = cantools.database.load_file(bus / "bench.dbc")
    assert db.decode_message(1001, payloads[-1])["Supply"] == 12.0


def test_a_step_sends_a_cyclic_message_once_more_and_its_grid_stays(record: Record) -> None:
    times, _ = frames(record, 1004)
    extra = [t for t in times if 300_000_000 <= t < 300_000_000 + TICK_NS]
    on_grid = [t // TICK_NS for t in times if (t // TICK_NS) % 2 == (times[0] // TICK_NS) % 2]
    assert len(extra) == 1
    assert set(np.diff(on_grid)) == {2}
    assert len(times) == len(on_grid) + (extra[0] // TICK_NS % 2 != times[0] // TICK_NS % 2)


def test_cycles_of_one_length_take_turns(record: Record) -> None:
    speed, clock = (frames(record, i)[0][5] // TICK_NS % 2 for i in (1001, 1004))
    assert speed != clock


def test_what_the_bench_file_suppresses_is_not_sent_by_a_step_either_and_is_told(bus: Path, tmp_path: Path) -> None:
    text = (
        (bus / "bench.yaml").read_text().replace("[Bench, Gateway]", "[Bench, Gateway], suppress: [GW_Wake, GW_Clock]")
    )
    (bus / "quiet.yaml").write_text(text)
    quiet = ran(bus / "quiet.yaml", tmp_path)
    assert [frames(quiet, i)[0] for i in (1003, 1004)] == [[], []]
    told = [e["text"] for e in quiet.events if e["kind"] == "restbus"]
    assert told[0] == "GW_Wake: suppressed by the bench file, 1 frames held back"
    assert told[1].startswith("GW_Clock: suppressed by the bench file, ")


def test_a_bench_without_its_request_says_what_it_can_do(bus: Path, tmp_path: Path) -> None:
    e2e = (bus / "bench.e2e.yaml").read_text().splitlines(keepends=True)
    (bus / "deaf.e2e.yaml").write_text("".join(line for line in e2e if "VEH_Request:" not in line))
    quantities = (bus / "bench.quantities.yaml").read_text().replace("bench.e2e.yaml", "deaf.e2e.yaml")
    (bus / "deaf.quantities.yaml").write_text(f"{quantities}  - VEH_Request.Crc\n  - VEH_Request.Counter\n")
    text = (bus / "bench.yaml").read_text().replace("bench.quantities.yaml", "deaf.quantities.yaml")
    (bus / "deaf.yaml").write_text(text)
    (problem,) = problems_of(written(tmp_path), bus / "deaf.yaml")
    assert problem.message == "the bench deaf.yaml can judge logs alone"
    assert problem.expected == "a protected message VEH_Request, by which the bench asks the BMS for its states"


def test_the_record_gives_the_same_digest_again(record: Record) -> None:
    assert replay_record(record.path).same


def crc(payload: bytes) -> int:
    """AUTOSAR profile 1A over data id 0x1234: CRC-8 with polynomial 0x1D, bit by bit."""
    value = 0
    for byte in (0x34, 0x12, *payload):
        value ^= byte
        for _ in range(8):
            value = (value << 1) ^ (0x11D if value & 0x80 else 0)
    return value
