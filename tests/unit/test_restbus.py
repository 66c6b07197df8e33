"""What the bench sends in the place of the vehicle: when, with which value, counter and CRC."""

from dataclasses import replace
from pathlib import Path

import cantools
import numpy as np
import pytest
from e2e import p01

from hil.codec import mapping, restbus
from hil.errors import InputError
from hil.image import REQUESTS, table
from hil.kernel import zeros
from hil.tick import COLUMNS, FRAMES, FrameBits, Frames, Node

MS = 1_000_000
TABLE = table(96, 32)
REQUEST = TABLE.find("command.request").start


class Sender:
    def __init__(self, bus=None, **more):
        bus = bus or mapping.load_bus("dbc/bench.quantities.yaml")
        self.p = restbus.params(bus.db, bus.quantities, bus.e2e, TABLE, **more)
        self.s = zeros(restbus.RestbusState)
        self.row = np.full(COLUMNS, np.nan)

    def step(self, t_ms: float):
        tx = zeros(Frames)
        restbus.step(self.s[0], self.p[0], round(t_ms * MS), self.row, tx[0])
        return tx[0]["slot"][: tx[0]["n"]]


@pytest.mark.parametrize("request_", range(len(REQUESTS)))
def test_the_request_of_the_row_goes_out_protected(request_):
    sender = Sender()
    sender.row[REQUEST] = request_
    (frame,) = sender.step(0)
    data = bytes(frame["payload"][:2])
    assert (frame["id"], frame["dlc"], frame["t_ns"], frame["source"]) == (0x0F0, 2, 0, Node.BENCH)
    assert frame["bits"] == FrameBits.SENT
    assert cantools.database.load_file("dbc/bench.dbc").decode_message(0x0F0, data)["Request"] == REQUESTS[request_]
    assert p01.e2e_p01_check(bytearray(data), 0x10F0)
    assert not frame["payload"][2:].any()


def test_the_counter_moves_by_one_a_frame_and_goes_round_after_14():
    sender = Sender()
    counters = [int(sender.step(10 * k)[0]["payload"][1] & 0x0F) for k in range(31)]
    assert counters == [k % 15 for k in range(31)]


def test_a_message_goes_out_at_its_period_whatever_the_tick():
    fast, slow = Sender(), Sender()
    sent_at = [t for t in range(100) if len(fast.step(t))]
    assert sent_at == list(range(0, 100, 10))
    assert [len(slow.step(t)) for t in (0, 4, 35, 36, 39, 40, 140)] == [1, 0, 1, 0, 0, 1, 1]  # late once, never a burst


def test_a_phase_moves_the_first_frame():
    sender = Sender()
    sender.p[0]["rule"][0]["phase_ns"] = 3 * MS
    assert [t for t in range(25) if len(sender.step(t))] == [3, 13, 23]


def test_an_unknown_request_is_sent_as_the_file_says_and_values_out_of_range_are_held():
    sender = Sender()
    for value, sent in ((np.nan, 0), (-3.0, 0), (99.0, 4), (np.inf, 4), (1.6, 2)):
        sender.row[REQUEST] = value
        sender.s[0]["cycle"][0] = 0
        assert sender.step(0)[0]["payload"][1] >> 4 == sent


def test_a_full_list_counts_the_frame_as_lost():
    sender, tx = Sender(), zeros(Frames)
    tx[0]["n"] = FRAMES
    restbus.step(sender.s[0], sender.p[0], 0, sender.row, tx[0])
    assert (tx[0]["n"], tx[0]["lost"]) == (FRAMES, 1)


def test_frames_are_appended_behind_those_that_stand_there():
    sender, tx = Sender(), zeros(Frames)
    tx[0]["n"], tx[0]["slot"][0]["id"] = 1, 0x7FF
    restbus.step(sender.s[0], sender.p[0], 0, sender.row, tx[0])
    assert list(tx[0]["slot"]["id"][:2]) == [0x7FF, 0x0F0]


def test_two_senders_of_one_state_agree_so_that_a_copy_resumes_the_run():
    first, second = Sender(), Sender()
    for k in range(7):
        first.step(10 * k)
    second.s[:] = first.s
    assert first.step(70).tobytes() == second.step(70).tobytes()


def test_what_cannot_be_sent_is_refused():
    bus = mapping.load_bus("dbc/bench.quantities.yaml")
    with pytest.raises(InputError, match=r"due every 10 ms, a tick takes 20 ms"):
        Sender(tick_ns=20 * MS)
    with pytest.raises(InputError, match=r"no node 'Bensh'.*did you mean 'Bench'"):
        Sender(rules=restbus.Rules(senders=("Bensh",)))
    uncyclic = replace(bus.db, messages=tuple(replace(m, cycle_ns=None) for m in bus.db.messages))
    with pytest.raises(InputError, match="VEH_Request: has no cycle time"):
        Sender(replace(bus, db=uncyclic))
    with pytest.raises(InputError, match="VEH_Request: is sent by Bench"):
        Sender(rules=restbus.Rules(senders=("BMS",)))


def test_the_vehicle_request_keeps_its_phase_when_phases_are_chosen():
    for tick_ms in (1, 2, 10):
        assert int(Sender(tick_ns=tick_ms * MS).p[0]["rule"][0]["phase_ns"]) == 0


def test_a_request_from_a_quantity_outside_command_is_refused_with_its_place(tmp_path: Path):
    for name in ("bench.dbc", "bench.e2e.yaml"):
        (tmp_path / name).write_text(Path("dbc", name).read_text())
    text = Path("dbc/bench.quantities.yaml").read_text().replace("command.request", "intent.request")
    (tmp_path / "q.yaml").write_text(text)
    with pytest.raises(InputError, match=r"q\.yaml:\d+:\d+: no quantity 'intent.request' here"):
        Sender(mapping.load_bus(tmp_path / "q.yaml"))


def test_raw_limits_follow_the_declared_range_and_the_bits():
    db = mapping.load_bus("dbc/bench.quantities.yaml").db
    assert restbus.limits(db.pair("BMS_Pack.PackCurrent")[1]) == (-32768, 32767)
    assert restbus.limits(db.pair("BMS_MinMax.TemperatureMin")[1]) == (0, 2046)
    assert restbus.limits(db.pair("BMS_Soc.Soc")[1]) == (0, 10000)
    assert restbus.limits(replace(db.pair("BMS_Soc.Soc")[1], minimum=None)) == (0, 65535)
    assert restbus.limits(replace(db.pair("BMS_Soc.Soc")[1], factor=-0.01)) == (0, 0)
