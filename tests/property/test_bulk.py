"""Laws of the bulk decoder and the encoder, with cantools and a bit-by-bit decoder as second implementations."""

import math
from pathlib import Path

import cantools
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.codec import bits, bulk, raw
from hil.codec.bulk import Decoder, decode
from hil.codec.database import load
from hil.codec.encode import Encoder, raw_in, value_in
from hil.codec.nouns import Database
from hil.codec.plan import MOST_MESSAGES, compile_plan, kind_of, reach_of
from hil.errors import InputError
from hil.kernel import zeros
from hil.logs.trace import from_bytes
from hil.tick import Frame, FrameBits
from tools.dbc_compare import files, oracle, per_frame, random_frames, raw_number, same

FACTORS = ["1", "0.1", "0.001", "2", "-0.5", "1e-05", "3", "0.3333"]
OFFSETS = ["0", "-40", "273.15", "1000000", "0.1"]


@st.composite
def messages(draw) -> str:
    """A DBC of one message, perhaps with multiplexers in two steps; signals may overlap, which changes nothing."""
    size = draw(st.sampled_from([1, 2, 5, 8, 8, 8, 12, 64]))
    bits = 8 * size
    lines, kinds, ranges = [], [], []

    def signal(name: str, mux: str = "", low: int = 1, high: int = 64, unsigned: bool = False) -> None:
        width = draw(st.integers(low, min(high, bits)))
        first = draw(st.integers(0, bits - width))
        big = draw(st.booleans())
        real = not unsigned and width in (32, 64) and draw(st.booleans())
        start = (first // 8) * 8 + 7 - first % 8 if big else first
        sign = "-" if not unsigned and draw(st.booleans()) else "+"
        factor = "1" if unsigned else draw(st.sampled_from(FACTORS))
        offset = "0" if unsigned else draw(st.sampled_from(OFFSETS))
        lines.append(f' SG_ {name} {mux} : {start}|{width}@{0 if big else 1}{sign} ({factor},{offset}) [0|0] "" A')
        if real:
            kinds.append(f"SIG_VALTYPE_ 1 {name} : {1 if width == 32 else 2};")

    for k in range(draw(st.integers(0, 5))):
        signal(f"S{k}")
    if draw(st.booleans()):
        signal("Mux", "M", 1, 8, unsigned=True)
        for k in range(draw(st.integers(1, 4))):
            low = draw(st.integers(0, 7))
            signal(f"X{k}", f"m{low}")
            ranges.append(f"SG_MUL_VAL_ 1 X{k} Mux {low}-{low + draw(st.integers(0, 3))};")
        if draw(st.booleans()):
            signal("Inner", f"m{draw(st.integers(0, 3))}M", 1, 4, unsigned=True)
            inner = lines[-1].split(" m")[1].split("M")[0]
            ranges.append(f"SG_MUL_VAL_ 1 Inner Mux {inner}-{inner};")
            for k in range(draw(st.integers(1, 3))):
                signal(f"Y{k}", f"m{k}")
                ranges.append(f"SG_MUL_VAL_ 1 Y{k} Inner {k}-{k + 1};")
    body = "\n".join(lines)
    tail = "\n".join(kinds + ranges)
    return f'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: A\n\nBO_ 1 M: {size} A\n{body}\n\n{tail}\n'


def loaded(tmp: Path, text: str) -> Database:
    path = tmp / "m.dbc"
    path.write_text(text)
    return load(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dbc")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=messages(), seed=st.integers(0, 2**32 - 1))
def test_any_message_decodes_bit_by_bit_and_as_cantools_does(folder, text, seed):
    db = loaded(folder, text)
    trace, _ = random_frames(db, 30, seed)
    ours = per_frame(decode(compile_plan(db.messages), trace), len(trace))
    message = cantools.database.load_string(text, "dbc", strict=False).messages[0]
    for index in range(len(trace)):
        payload = trace.payload(index)
        wanted = oracle(db.messages[0], payload)
        assert ours[index].keys() == wanted.keys()
        assert all(same(ours[index][name], value) for name, value in wanted.items())
        try:
            theirs = message.decode(payload, decode_choices=False)
        except cantools.database.DecodeError:
            continue  # a multiplexer value the file does not know: cantools gives nothing
        assert theirs.keys() == wanted.keys()
        assert all(same(ours[index][name], float(value)) for name, value in theirs.items())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=messages(), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_of_a_short_frame_all_that_it_reaches_is_decoded_and_the_rest_is_unknown(folder, text, seed, data):
    db = loaded(folder, text)
    message = db.messages[0]
    full, _ = random_frames(db, 8, seed)
    payloads = [full.payload(i)[: data.draw(st.integers(0, message.length))] for i in range(len(full))]
    trace = from_bytes(range(len(full)), full.id, full.bits, payloads)
    decoded = decode(compile_plan(db.messages), trace)
    reach = max((reach_of(s) for s in message.signals if not s.mux_signal), default=0)
    assert decoded.short == sum(len(p) < reach for p in payloads)
    for frame, values in enumerate(per_frame(decoded, len(trace))):
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        wanted = {name: v for name, v in oracle(message, payloads[frame]).items() if not math.isnan(v)}
        assert known == wanted


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=messages(), payload=st.binary(min_size=64, max_size=64))
def test_encoding_what_was_decoded_gives_the_payload_back(folder, text, payload):
    db = loaded(folder, text)
    message = db.messages[0]
    payload = payload[: message.length]
    values = {}
    for name in oracle(message, payload):
        signal = message.signal(name)
        value = value_in(payload, signal)
        assert same(value, oracle(message, payload)[name])
        exact = signal.length <= 40 and not signal.is_float
        if exact:
            values[name] = value
    for name, value in values.items():  # one by one: signals may overlap
        assert Encoder(db).encode("M", {name: value}, payload) == payload


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(1, 20),
    signed=st.booleans(),
    value=st.floats(-3e6, 3e6),
    factor=st.sampled_from([1.0, 0.1, 2.0, -0.5]),
    mode=st.sampled_from(["error", "saturate", "wrap"]),
)
def test_what_does_not_fit_is_refused_held_or_folded(folder, length, signed, value, factor, mode):
    sign = "-" if signed else "+"
    text = f'VERSION ""\nBU_: A\nBO_ 1 M: 8 A\n SG_ S : 3|{length}@1{sign} ({factor},0) [0|0] "" A\n'
    db = loaded(folder, text)
    signal = db.messages[0].signals[0]
    low, high = (-(1 << (length - 1)), (1 << (length - 1)) - 1) if signed else (0, (1 << length) - 1)
    raw = round(value / factor)
    if mode == "error" and not low <= raw <= high:
        with pytest.raises(InputError, match="out of range"):
            Encoder(db).encode("M", {"S": value}, mode=mode)
        return
    got = raw_number(Encoder(db).encode("M", {"S": value}, mode=mode), signal)
    if mode == "wrap":
        assert (got - raw) % (1 << length) == 0
    else:
        assert got == min(max(raw, low), high)


def test_encoding_matches_cantools_on_the_bench(folder):
    db = load("dbc/bench.dbc")
    reference = cantools.database.load_file("dbc/bench.dbc")
    rng = np.random.default_rng(5)
    for message in db.messages:
        if message.selectors:
            continue
        for _ in range(20):
            payload = rng.bytes(message.length)
            values = {s.name: value_in(payload, s) for s in message.signals}
            theirs = reference.encode_message(message.name, values, strict=False)
            assert Encoder(db).encode(message.name, values, mode="wrap") == theirs


MUX = """VERSION ""
BU_: A
BO_ 1 M: 8 A
 SG_ Always : 8|8@1+ (1,0) [0|0] "" A
 SG_ Mux M : 0|8@1+ (1,0) [0|0] "" A
 SG_ One m1 : 16|8@1+ (1,0) [0|0] "" A
 SG_ Two m2 : 16|8@1+ (1,0) [0|0] "" A
"""


def test_an_unknown_multiplexer_value_leaves_the_rest_of_the_frame(folder):
    decoded = decode(
        compile_plan(loaded(folder, MUX).messages), from_bytes([5], [1], [0], [bytes([9, 7, 3, 0, 0, 0, 0, 0])])
    )
    assert decoded.signal("M.Always")[1].tolist() == [7.0]
    assert decoded.signal("M.Mux")[1].tolist() == [9.0]
    assert decoded.signal("M.One")[1].tolist() == []
    with pytest.raises(InputError, match=r"no signal 'M.Onne'.*M.One"):
        decoded.signal("M.Onne")


def test_naming_a_signal_that_the_multiplexer_does_not_bring_is_refused(folder):
    encoder = Encoder(loaded(folder, MUX))
    assert encoder.encode("M", {"Mux": 2, "Two": 5}) == bytes([2, 0, 5, 0, 0, 0, 0, 0])
    with pytest.raises(InputError, match=r"One: not in this frame.*Mux = 1"):
        encoder.encode("M", {"Mux": 2, "One": 5})
    with pytest.raises(InputError, match="Tow"):
        encoder.encode("M", {"Tow": 5})
    with pytest.raises(InputError, match="nan"):
        encoder.encode("M", {"Always": math.nan})


def test_error_remote_and_unknown_frames_are_passed_over_and_unknown_ones_counted(folder):
    bits = [0, int(FrameBits.ERROR), int(FrameBits.REMOTE), int(FrameBits.EXTENDED), 0]
    trace = from_bytes(range(5), [1, 1, 1, 1, 2], bits, [bytes(8)] * 5)
    decoded = decode(compile_plan(loaded(folder, MUX).messages), trace)
    assert decoded.signal("M.Always")[0].tolist() == [0]
    assert decoded.unknown == 2


@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_do_not_show(folder, monkeypatch, block):
    db = load("dbc/bench.dbc")
    trace, _ = random_frames(db, 40, 3)
    order = np.random.default_rng(1).permutation(len(trace))
    trace = trace.select(order)
    whole = per_frame(decode(compile_plan(db.messages), trace), len(trace))
    monkeypatch.setattr(bulk, "BLOCK", block)
    told: list[float] = []
    assert per_frame(decode(compile_plan(db.messages), trace, told.append), len(trace)) == whole
    assert told == sorted(told) and told[-1] == 1.0


def test_a_decoder_used_again_gives_the_same_and_an_empty_trace_gives_nothing(folder):
    db = load("dbc/bench.dbc")
    decoder = Decoder(compile_plan(db.messages))
    trace, _ = random_frames(db, 20, 3)
    first = per_frame(decoder.decode(trace), len(trace))
    empty = decoder.decode(from_bytes([], [], [], []))
    assert len(empty.values) == 0 and empty.unknown == 0
    assert per_frame(decoder.decode(trace), len(trace)) == first


def test_whole_numbers_beyond_53_bits_are_rounded_once(folder):
    text = 'VERSION ""\nBU_: A\nBO_ 1 M: 8 A\n SG_ S : 0|60@1+ (3,7) [0|0] "" A\n'
    raw = (1 << 59) + 12345
    trace = from_bytes([0], [1], [0], [raw.to_bytes(8, "little")])
    assert decode(compile_plan(loaded(folder, text).messages), trace).values.tolist() == [float(raw * 3 + 7)]


def test_raw_numbers_of_the_encoder_are_those_bit_by_bit():
    db = load("dbc/bench.dbc")
    payload = bytes(range(1, 65))
    for message in db.messages:
        for signal in message.signals:
            assert raw_in(payload, signal) == raw_number(payload, signal)
            assert raw_in(payload[:1], signal) == raw_number(payload[:1] + bytes(63), signal)


@pytest.mark.shared_data
def test_every_public_database_decodes_as_cantools_does_wherever_it_does(shared_data):
    from tools.dbc_compare import compare

    results = [compare(path, frames=8) for path in files([shared_data / "can" / "dbc"])]
    assert len(results) > 120
    assert sum(r.values for r in results) > 30_000
    assert sum(r.against_oracle for r in results) > 60_000
    assert {r.path.name: r.examples for r in results if r.parted["other"]} == {}


def test_of_two_messages_with_one_identifier_the_first_takes_the_frames(folder):
    text = MUX + 'BO_ 1 Again: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] "" A\n'
    decoded = decode(compile_plan(loaded(folder, text).messages), from_bytes([0], [1], [0], [bytes(8)]))
    assert len(decoded.signal("M.Always")[1]) == 1
    assert len(decoded.signal("Again.S")[1]) == 0


def test_a_j1939_message_is_known_by_its_parameter_group(folder):
    text = (
        'VERSION ""\nBU_: A\nBO_ 2364540158 EEC1: 8 A\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] "rpm" A\n'
        'BO_ 2565734654 Ack: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] "" A\n'
        'BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";\n'
        'BA_DEF_DEF_ "VFrameFormat" "J1939PG";\n'
    )
    db = loaded(folder, text)
    assert [m.j1939 for m in db.messages] == [True, True]
    payload = bytes([0, 0, 0, 0x40, 0x1F, 0, 0, 0])  # 8000 * 0.125
    heard = [0x0CF00400, 0x18F004FE, 0x0CF00500, 0x18EE0003, 0x18EEFF03]  # EEC1, EEC1, another, Ack to 0x00, Ack to all
    extended = int(FrameBits.EXTENDED)
    decoded = decode(compile_plan(db.messages), from_bytes(range(5), heard, [extended] * 5, [payload] * 5))
    assert decoded.signal("EEC1.Speed")[0].tolist() == [0, 1]
    assert decoded.signal("EEC1.Speed")[1].tolist() == [1000.0, 1000.0]
    assert decoded.signal("Ack.S")[0].tolist() == [3, 4]
    assert decoded.unknown == 1
    standard = decode(compile_plan(db.messages), from_bytes([0], [0x400], [0], [payload]))
    assert standard.unknown == 1


def frame_of(identifier: int, payload: bytes, flags: int = 0) -> Frame:
    frame = zeros(Frame)
    frame[0]["id"], frame[0]["bits"], frame[0]["dlc"] = identifier, flags, len(payload)
    frame[0]["payload"][: len(payload)] = np.frombuffer(payload, np.uint8)
    return frame[0]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=messages(), seed=st.integers(0, 2**32 - 1))
def test_a_tick_reads_a_frame_as_the_bulk_decoder_does(folder, text, seed):
    db = loaded(folder, text)
    message = db.messages[0]
    trace, _ = random_frames(db, 12, seed)
    ours = per_frame(decode(compile_plan(db.messages), trace), len(trace))
    slots = {f"M.{s.name}": i for i, s in enumerate(message.signals)}
    plan = raw.raw_plan(db, slots, ["M"])
    for index in range(len(trace)):
        missing = 1 << 62
        out = np.full(max(len(slots), 1), missing, np.int64)
        assert raw.decode(plan[0], frame_of(1, trace.payload(index)), out) == 0
        got = {}
        for signal, number in zip(message.signals, out.tolist(), strict=False):
            if number != missing:
                got[signal.name] = float(bits.scaled(number, int(kind_of(signal)), signal.factor, signal.offset))
        assert got.keys() == ours[index].keys()
        assert all(same(got[name], value) for name, value in ours[index].items())


BEYOND = """VERSION ""
BU_: A
BO_ 1 M: 8 A
 SG_ T : 0|8@1+ (1,0) [0|0] "" A
 SG_ S : 60|8@1+ (1,0) [0|0] "" A
"""


def test_a_signal_beyond_its_message_is_unknown_and_the_rest_is_read_in_logs_and_ticks(folder):
    db = loaded(folder, BEYOND)
    payload = bytes([7, 0, 0, 0, 0, 0, 0, 0xF0])
    decoded = decode(compile_plan(db.messages), from_bytes([0], [1], [0], [payload]))
    assert decoded.signal("M.T")[1].tolist() == [7.0]
    assert np.isnan(decoded.signal("M.S")[1]).all()
    out = np.full(2, -1, np.int64)
    assert raw.decode(raw.raw_plan(db, {"M.T": 0, "M.S": 1}, ["M"])[0], frame_of(1, payload), out) == 0
    assert out.tolist() == [7, -1]


def test_a_tick_knows_a_j1939_message_by_its_parameter_group_too(folder):
    text = (
        'VERSION ""\nBU_: A\nBO_ 2364540158 EEC1: 8 A\n SG_ Speed : 24|16@1+ (0.125,0) [0|0] "rpm" A\n'
        'BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";\n'
        'BA_DEF_DEF_ "VFrameFormat" "J1939PG";\n'
    )
    plan = raw.raw_plan(loaded(folder, text), {"EEC1.Speed": 0}, ["EEC1"])
    out = np.zeros(1, np.int64)
    extended = int(FrameBits.EXTENDED)
    assert raw.decode(plan[0], frame_of(0x0CF00400, bytes([0, 0, 0, 0x40, 0x1F, 0, 0, 0]), extended), out) == 0
    assert out[0] == 8000
    assert raw.decode(plan[0], frame_of(0x0CF00500, bytes(8), extended), out) == -1


@pytest.mark.parametrize(
    ("values", "first", "brings"),
    [
        ("0-18446744073709551615", bytes(8), True),
        ("0-18446744073709551615", b"\xff" * 8, True),
        ("9223372036854775808-18446744073709551615", b"\xff" * 8, True),
        ("9223372036854775808-18446744073709551615", bytes(8), False),
        ("9223372036854775800-9223372036854775809", b"\x01" + bytes(6) + b"\x80", True),
    ],
)
def test_a_multiplexer_of_64_bits_brings_what_it_says(folder, values, first, brings):
    text = (
        'VERSION ""\nBU_: A\nBO_ 1 M: 16 A\n SG_ Mux M : 0|64@1+ (1,0) [0|0] "" A\n'
        f' SG_ X m7 : 64|8@1+ (1,0) [0|0] "" A\nSG_MUL_VAL_ 1 X Mux {values};\n'
    )
    decoded = decode(compile_plan(loaded(folder, text).messages), from_bytes([0], [1], [0], [first + bytes(8)]))
    assert (len(decoded.signal("M.X")[1]) == 1) == brings


def test_a_signed_multiplexer_with_a_factor_is_read_with_its_sign(folder):
    text = (
        'VERSION ""\nBU_: A\nBO_ 1 M: 16 A\n SG_ Mux M : 0|60@1- (3,0) [0|0] "" A\n'
        ' SG_ X m0 : 64|8@1+ (1,0) [0|0] "" A\nSG_MUL_VAL_ 1 X Mux 5-1152921504606846975;\n'
    )
    decoded = decode(compile_plan(loaded(folder, text).messages), from_bytes([0], [1], [0], [b"\xff" * 16]))
    assert len(decoded.signal("M.X")[1]) == 0  # the multiplexer reads -1


def test_a_negative_zero_keeps_its_sign(folder):
    text = (
        'VERSION ""\nBU_: A\nBO_ 1 M: 8 A\n SG_ S : 0|32@1- (1,0) [0|0] "" A\n SG_ T : 32|32@1- (2,0) [0|0] "" A\n'
        "SIG_VALTYPE_ 1 S : 1;\nSIG_VALTYPE_ 1 T : 1;\n"
    )
    db = loaded(folder, text)
    payload = bytes([0, 0, 0, 0x80] * 2)
    decoded = decode(compile_plan(db.messages), from_bytes([0], [1], [0], [payload]))
    theirs = cantools.database.load_string(text, "dbc", strict=False).messages[0].decode(payload)
    for name in ("S", "T"):
        assert same(float(decoded.signal(f"M.{name}")[1][0]), theirs[name])
        assert same(value_in(payload, db.messages[0].signal(name)), theirs[name])


def test_an_11_bit_identifier_beyond_11_bits_is_no_message(folder):
    text = 'VERSION ""\nBU_: A\nBO_ 2147483939 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|0] "" A\n'  # 0x123, 29 bits
    trace = from_bytes([0, 1], [0x123 | 1 << 29, 0x123], [0, int(FrameBits.EXTENDED)], [bytes(8)] * 2)
    decoded = decode(compile_plan(loaded(folder, text).messages), trace)
    assert (decoded.signal("M.S")[0].tolist(), decoded.unknown) == ([1], 1)


def test_more_messages_than_a_plan_holds_are_refused(folder):
    message = loaded(folder, MUX).messages[0]
    with pytest.raises(InputError, match="32768 messages, a plan holds 32767"):
        compile_plan([message] * (MOST_MESSAGES + 1))


def test_columns_that_are_not_in_one_piece_or_may_not_be_written_decode_the_same():
    db = load("dbc/bench.dbc")
    trace, _ = random_frames(db, 8, 4)
    plan = compile_plan(db.messages)
    whole = per_frame(decode(plan, trace), len(trace))
    assert per_frame(decode(plan, trace.select(slice(None, None, 2))), (len(trace) + 1) // 2) == whole[::2]
    for column in (trace.t_ns, trace.id, trace.bits, trace.dlc, trace.at, trace.words):
        column.flags.writeable = False
    assert per_frame(decode(plan, trace), len(trace)) == whole


REAL = """VERSION ""
BU_: A
BO_ 1 M: 8 A
 SG_ Mux M : 0|8@1+ (1,0) [0|0] "" A
 SG_ R : 8|32@1- (1,0) [0|100] "V" A
 SG_ X m3 : 40|8@1+ (1,0) [0|0] "" A
 SG_ Y m3 : 48|8@1+ (1,0) [0|0] "" A
 SG_ Z : 56|8@1+ (0,0) [0|1] "" A
SIG_VALTYPE_ 1 R : 1;
BA_DEF_ SG_ "GenSigStartValue" FLOAT -1000 1000;
BA_DEF_DEF_ "GenSigStartValue" 0;
BA_ "GenSigStartValue" SG_ 1 R 1;
BA_ "GenSigStartValue" SG_ 1 X 5;
BA_ "GenSigStartValue" SG_ 1 Y 6;
"""


def test_the_declared_range_of_a_float_is_kept_and_start_values_go_where_they_belong(folder):
    db = loaded(folder, REAL)
    encoder, message = Encoder(db), db.messages[0]

    def read(payload: bytes) -> dict[str, float]:
        return {name: value for name, value in oracle(message, payload).items() if name != "Z"}

    assert read(encoder.encode("M", {})) == {"Mux": 0.0, "R": 1.0}
    assert read(encoder.encode("M", {"Mux": 3, "Y": 9})) == {"Mux": 3.0, "R": 1.0, "X": 5.0, "Y": 9.0}
    assert read(encoder.encode("M", {"R": 1000.0}, mode="saturate"))["R"] == 100.0
    assert read(encoder.encode("M", {"R": 1000.0}, mode="wrap"))["R"] == 1000.0
    with pytest.raises(InputError, match=r"R: 1000 is out of range: expected 0 to 100 V"):
        encoder.encode("M", {"R": 1000.0})
    with pytest.raises(InputError, match="its factor is 0"):
        encoder.encode("M", {"Z": 1.0})
    with pytest.raises(InputError, match="no mode 'clip'"):
        encoder.encode("M", {"R": 1.0}, mode="clip")
