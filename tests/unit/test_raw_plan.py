"""Raw plans: slots of a vector to frames and back, against cantools."""

import cantools
import numpy as np
import pytest

from hil.codec import database, raw
from hil.codec.layout import GROUPS
from hil.errors import InputError
from hil.kernel import zeros
from hil.tick import Frame, FrameBits

HEAD = 'VERSION ""\nBU_: A\n'


@pytest.fixture(scope="module")
def db():
    return database.load("dbc/bench.dbc")


@pytest.fixture(scope="module")
def reference():
    return cantools.database.load_file("dbc/bench.dbc")


def load(tmp_path, text: str):
    path = tmp_path / "small.dbc"
    path.write_text(HEAD + text)
    return database.load(path)


def test_slots_become_a_frame_and_signals_without_a_slot_stay_zero(db, reference):
    plan = raw.raw_plan(db, {"BMS_Pack.PackCurrent": 1, "BMS_Pack.LinkVoltage": 0}, ["BMS_State", "BMS_Pack"])
    frame = zeros(Frame)[0]
    frame["payload"][:], frame["bits"] = 0xFF, FrameBits.LOST
    raw.encode(plan[0], 1, np.array([1234, -500], np.int64), frame)
    assert (frame["id"], frame["dlc"], frame["bits"]) == (0x101, 8, 0)
    wanted = {"Crc": 0, "Counter": 0, "ScanCounter": 0, "PackCurrent": -500, "PackVoltage": 0, "LinkVoltage": 1234}
    assert reference.decode_message(0x101, bytes(frame["payload"][:8]), scaling=False) == wanted
    assert not frame["payload"][8:].any()


@pytest.mark.parametrize("group", [0, 7, 23])
def test_the_multiplexers_slot_chooses_the_group_that_goes_out(db, reference, group):
    names = {"BMS_Cells.CellMux": 0, "BMS_Cells.ScanCounter": 1}
    names |= {f"BMS_Cells.CellVoltage_{i:03d}": 2 + i for i in range(96)}
    plan, frame = raw.raw_plan(db, names, ["BMS_Cells"]), zeros(Frame)[0]
    slots = np.arange(98, dtype=np.int64) + 4000
    slots[0], slots[1] = group, 9
    raw.encode(plan[0], 0, slots, frame)
    wanted = {f"CellVoltage_{4 * group + i:03d}": 4002 + 4 * group + i for i in range(4)}
    sent = reference.decode_message(0x120, bytes(frame["payload"][:8]), scaling=False)
    assert sent == {"CellMux": group, "ScanCounter": 9, **wanted}
    back = np.full(98, -1, np.int64)
    assert raw.decode(plan[0], frame, back) == 0
    assert list(np.flatnonzero(back != -1)) == [0, 1, *range(2 + 4 * group, 6 + 4 * group)]


def test_a_multiplexer_value_without_group_sends_the_common_signals_only(db):
    plan = raw.raw_plan(db, {"BMS_Cells.CellMux": 0, "BMS_Cells.CellVoltage_000": 1}, ["BMS_Cells"])
    frame = zeros(Frame)[0]
    raw.encode(plan[0], 0, np.array([200, 5000], np.int64), frame)
    assert list(frame["payload"][:8]) == [200, 0, 0, 0, 0, 0, 0, 0]


def test_frames_of_other_messages_and_short_frames_touch_no_slot(db):
    plan = raw.raw_plan(db, {"BMS_Soc.Soc": 0}, ["BMS_Soc"])
    slots = np.array([7], np.int64)
    for frame_id, dlc, bits in ((0x110, 8, 0), (0x111, 1, 0), (0x111, 2, FrameBits.EXTENDED)):
        frame = zeros(Frame)[0]
        frame["id"], frame["dlc"], frame["bits"] = frame_id, dlc, bits
        assert raw.decode(plan[0], frame, slots) == -1
        assert slots[0] == 7
    frame["bits"], frame["payload"][0] = 0, 42
    assert raw.decode(plan[0], frame, slots) == 0
    assert slots[0] == 42


def test_a_standard_and_an_extended_identifier_of_one_number_are_two_messages(tmp_path):
    text = 'BO_ 256 S: 1 A\n SG_ V : 0|8@1+ (1,0) [0|255] "" A\n'
    text += f'BO_ {256 + 2**31} E: 1 A\n SG_ V : 0|8@1+ (1,0) [0|255] "" A\n'
    plan = raw.raw_plan(load(tmp_path, text), {"S.V": 0, "E.V": 1}, ["E", "S"])
    frame, slots = zeros(Frame)[0], np.zeros(2, np.int64)
    raw.encode(plan[0], 0, np.array([1, 2], np.int64), frame)
    assert (frame["id"], frame["bits"], frame["payload"][0]) == (256, FrameBits.EXTENDED, 2)
    assert raw.decode(plan[0], frame, slots) == 0
    frame["bits"] = 0
    assert raw.decode(plan[0], frame, slots) == 1
    assert list(slots) == [2, 2]


def test_a_signal_of_several_multiplexer_values_comes_with_each(tmp_path):
    text = """BO_ 1 M: 2 A
 SG_ Mux M : 0|8@1+ (1,0) [0|255] "" A
 SG_ V m0 : 8|8@1+ (1,0) [0|255] "" A
SG_MUL_VAL_ 1 V Mux 0-0, 3-5;
"""
    plan = raw.raw_plan(load(tmp_path, text), {"M.V": 0}, ["M"])
    heard = []
    for mux in range(8):
        frame, slots = zeros(Frame)[0], np.full(1, -1, np.int64)
        frame["id"], frame["dlc"], frame["payload"][:2] = 1, 2, (mux, 9)
        raw.decode(plan[0], frame, slots)
        heard += [mux] if slots[0] == 9 else []
    assert heard == [0, 3, 4, 5]


@pytest.mark.parametrize(
    ("names", "messages", "reason"),
    [
        ({"BMS_Sock.Soc": 0}, ["BMS_Soc"], "no message 'BMS_Sock'; did you mean 'BMS_Soc'"),
        ({"BMS_Soc.Sok": 0}, ["BMS_Soc"], "no signal 'BMS_Soc.Sok'; did you mean 'BMS_Soc.Soc'"),
        ({"BMS_Soc.Soc": 0}, ["BMS_Pack"], "not in the plan"),
        ({"BMS_Soc.Soc": -1}, ["BMS_Soc"], "negative"),
        ({}, ["BMS_Soc", "BMS_Soc"], "stands twice"),
    ],
)
def test_a_wrong_plan_is_refused(db, names, messages, reason):
    with pytest.raises(InputError, match=reason):
        raw.raw_plan(db, names, messages)


def test_more_than_a_plan_holds_is_refused(tmp_path):
    many = "".join(f"BO_ {i} M{i}: 8 A\n" for i in range(257))
    with pytest.raises(InputError, match="257 messages, a plan holds 256"):
        raw.raw_plan(load(tmp_path, many), {}, [f"M{i}" for i in range(257)])
    bits = "".join(
        f"BO_ {m} M{m}: 64 A\n" + "".join(f' SG_ S{i} : {i}|1@1+ (1,0) [0|1] "" A\n' for i in range(512))
        for m in range(9)
    )
    with pytest.raises(InputError, match="signals, a plan holds 4096"):
        raw.raw_plan(load(tmp_path, bits), {}, [f"M{m}" for m in range(9)])
    wide = 'BO_ 1 M: 8 A\n SG_ X M : 0|16@1+ (1,0) [0|0] "" A\n'
    wide += "".join(f' SG_ V{i} m{i} : 16|8@1+ (1,0) [0|0] "" A\n' for i in range(GROUPS))
    with pytest.raises(InputError, match="multiplexed groups, a plan holds 2048"):
        raw.raw_plan(load(tmp_path, wide), {}, ["M"])


def test_a_database_that_is_none_says_where(tmp_path):
    with pytest.raises(InputError, match=r"small\.dbc:4:\d+: not a DBC file"):
        load(tmp_path, "\nBO_ oops\n")
    with pytest.raises(InputError, match="cannot read"):
        database.load(tmp_path / "absent.dbc")
