"""Laws of the codec, with cantools as the second implementation."""

import functools

import cantools
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.codec import bits, decode, mapping, raw
from hil.image import table
from hil.kernel import zeros
from hil.tick import COLUMNS, Frame, Frames

DBC = "dbc/bench.dbc"


@functools.cache
def reference():
    return cantools.database.load_file(DBC)


@functools.cache
def bench():
    bus = mapping.load_bus("dbc/bench.quantities.yaml")
    names = [m.name for m in bus.db.messages]
    slots = {f"{m.name}.{s.name}": 0 for m in bus.db.messages for s in m.signals}
    slots = {name: slot for slot, name in enumerate(slots)}
    return bus, names, slots, raw.raw_plan(bus.db, slots, names)


def one_signal(start: int, length: int, big: bool, signed: bool):
    order, sign = ("0" if big else "1"), ("-" if signed else "+")
    return cantools.database.load_string(
        f'VERSION ""\nBU_: A\nBO_ 1 M: 64 A\n SG_ S : {start}|{length}@{order}{sign} (1,0) [0|0] "" A\n', "dbc"
    ).messages[0]


@st.composite
def layouts(draw):
    length = draw(st.integers(1, 64))
    first = draw(st.integers(0, 512 - length))
    big = draw(st.booleans())
    start = (first // 8) * 8 + 7 - first % 8 if big else first
    return start, length, big, draw(st.booleans())


def as_int64(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


@settings(max_examples=200, deadline=None)
@given(layouts(), st.binary(min_size=64, max_size=64))
def test_a_signal_of_any_layout_is_read_as_cantools_reads_it(layout, data):
    start, length, big, signed = layout
    wanted = one_signal(start, length, big, signed).decode(data)["S"]
    payload = np.frombuffer(data, np.uint8)
    assert bits.unpack(payload, start, length, int(big), int(signed)) == as_int64(wanted)


@settings(max_examples=200, deadline=None)
@given(layouts(), st.data())
def test_a_signal_of_any_layout_is_written_as_cantools_writes_it(layout, data):
    start, length, big, signed = layout
    low, high = (-(2 ** (length - 1)), 2 ** (length - 1) - 1) if signed else (0, 2**length - 1)
    number = data.draw(st.integers(low, high))
    wanted = one_signal(start, length, big, signed).encode({"S": number})
    payload = np.zeros(64, np.uint8)
    bits.pack(payload, start, length, int(big), as_int64(number))
    assert bytes(payload) == bytes(wanted)


@settings(max_examples=200, deadline=None)
@given(layouts(), st.binary(min_size=64, max_size=64), st.integers(-(2**63), 2**63 - 1))
def test_what_is_written_is_read_back_and_nothing_else_changes(layout, data, number):
    start, length, big, signed = layout
    before, payload = np.frombuffer(data, np.uint8), np.frombuffer(data, np.uint8).copy()
    held = bits.unpack(before, start, length, int(big), int(signed))
    bits.pack(payload, start, length, int(big), number)
    read = bits.unpack(payload, start, length, int(big), int(signed))
    assert (read - number) % 2**length == 0
    bits.pack(payload, start, length, int(big), held)
    assert (payload == before).all()


@st.composite
def bench_frames(draw):
    message = draw(st.sampled_from(reference().messages))
    data = bytearray(draw(st.binary(min_size=message.length, max_size=message.length)))
    if message.name == "BMS_Cells":
        data[0] = draw(st.integers(0, 23))
    if message.name == "BMS_Temperatures":
        data[0] = draw(st.integers(0, 6))
    return message, bytes(data)


def framed(frame, message, data: bytes) -> None:
    frame["id"], frame["dlc"] = message.frame_id, len(data)
    frame["payload"][: len(data)] = np.frombuffer(data, np.uint8)


@settings(max_examples=200, deadline=None)
@given(bench_frames())
def test_random_frames_of_the_bench_decode_to_the_raw_numbers_of_cantools_and_encode_back(drawn):
    message, data = drawn
    _, names, slots, plan = bench()
    frame, vector = zeros(Frame)[0], np.full(len(slots), -77, np.int64)
    framed(frame, message, data)
    assert raw.decode(plan[0], frame, vector) == names.index(message.name)
    wanted = message.decode(data, decode_choices=False, scaling=False)
    found = {s: int(vector[slots[f"{message.name}.{s}"]]) for s in wanted}
    assert found == wanted
    assert int((vector != -77).sum()) == len(wanted)
    again = zeros(Frame)[0]
    raw.encode(plan[0], names.index(message.name), vector, again)
    assert bytes(again["payload"][: len(data)]) == bytes(message.encode(wanted, scaling=False, strict=False))


PLAIN = ("BMS_Soc", "BMS_MinMax", "BMS_Temperatures", "BMS_Isolation", "BMS_Identity")


@settings(max_examples=200, deadline=None)
@given(bench_frames().filter(lambda drawn: drawn[0].name in PLAIN))
def test_random_unprotected_frames_become_the_physical_values_of_cantools_in_si(drawn):
    message, data = drawn
    bus, *_ = bench()
    of = table(96, 32)
    row, rx = np.full(COLUMNS, np.nan), zeros(Frames)
    rx[0]["n"] = 1
    framed(rx[0]["slot"][0], message, data)
    decode.decode(zeros(decode.CodecState)[0], decode.params(bus.db, bus.quantities, bus.e2e, of)[0], 0, rx[0], row)
    si = {"%": 0.01, "kohm": 1000.0}
    physical = message.decode(data, decode_choices=False)
    raw_numbers = message.decode(data, decode_choices=False, scaling=False)
    sna = {"CellVoltageMin": 8191, "CellVoltageMax": 8191, "TemperatureMin": 2047, "TemperatureMax": 2047}
    for line in bus.quantities.receive:
        name = line.signal.name
        if line.message.name != message.name or name not in physical:
            continue
        value = row[of.find(line.quantity).start + (line.index or 0)]
        unknown = sna.get(name, 2047 if name.startswith("Temperature_") else None)
        if raw_numbers[name] == unknown:
            assert np.isnan(value)
        else:
            np.testing.assert_allclose(value, physical[name] * si.get(line.signal.unit, 1.0), rtol=1e-14, atol=1e-13)
