"""Laws of the bulk decoder and the encoder, with cantools and a bit-by-bit decoder as second implementations."""

import math
from pathlib import Path

import cantools
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.codec import bulk
from hil.codec.bulk import Decoder, decode
from hil.codec.database import Database, load
from hil.codec.encode import Encoder, raw_in, value_in
from hil.codec.plan import compile_plan, reach_of
from hil.errors import InputError
from hil.logs.trace import from_bytes
from hil.tick import FrameBits
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
