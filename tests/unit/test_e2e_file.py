"""The ``*.e2e.yaml``: every built-in profile by name, places by signal or by number, and errors with line and column."""

from pathlib import Path

import pytest
from e2e_rig import bytes_of, config, database, frame, message

from hil.codec import database as dbc
from hil.codec import e2e
from hil.codec.e2e.crc import Algorithm, Extra
from hil.codec.e2e.file import E2e, load_e2e
from hil.codec.e2e.plan import Place, refusals
from hil.codec.e2e.profiles import BUILT_IN
from hil.errors import InputError

BUS = """VERSION ""
BU_: A
BO_ 475 Battery: 8 A
 SG_ Checksum : 56|8@1+ (1,0) [0|255] "" A
 SG_ Alive : 48|2@1+ (1,0) [0|3] "" A
 SG_ Current : 7|11@0- (0.5,0) [0|0] "A" A
BO_ 222 Steering: 6 A
 SG_ CRC : 47|8@0+ (1,0) [0|255] "" A
 SG_ COUNTER : 35|4@0+ (1,0) [0|15] "" A
BO_ 272 Guarded: 8 A
 SG_ Crc : 0|8@1+ (1,0) [0|255] "" A
 SG_ Counter : 8|4@1+ (1,0) [0|15] "" A
 SG_ Wide : 16|16@1+ (1,0) [0|65535] "" A
"""


def loaded(tmp_path: Path, text: str) -> E2e:
    (tmp_path / "bus.dbc").write_text(BUS)
    (tmp_path / "bus.e2e.yaml").write_text(text)
    return load_e2e(tmp_path / "bus.e2e.yaml", dbc.load(tmp_path / "bus.dbc"))


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, text)
    return [str(problem).replace(str(tmp_path) + "/", "") for problem in caught.value.problems]


def test_a_built_in_profile_needs_its_name_only(tmp_path):
    made = loaded(tmp_path, "messages:\n  Battery: {profile: nissan-leaf}\n").of("Battery")
    assert made is not None
    assert (made.polynomial, made.init, made.crc, made.counter) == (0x85, 0, Place(56, 8), Place(48, 2))
    assert (made.counter_max, made.max_delta, made.before) == (3, 1, ())


def test_signals_of_either_byte_order_and_plain_places_say_where_things_are(tmp_path):
    text = "messages:\n  Steering: {profile: fca-giorgio, crc: CRC, counter: COUNTER}\n"
    by_name = loaded(tmp_path, text).of("Steering")
    text = "messages:\n  Steering: {profile: fca-giorgio, crc: {byte: 5}, counter: {start: 35, length: 4, big_endian: true}}\n"
    by_place = loaded(tmp_path, text).of("Steering")
    assert by_name is not None
    assert by_place is not None
    assert by_name.xor_out == 0x10  # by its identifier, 0xDE
    recorded = bytes.fromhex("175197c901a3")
    for one in (by_name, by_place):
        made = frame(recorded, 0xDE)
        assert e2e.counter_of(made, config(one)) == 1
        assert e2e.crc_of(made, config(one)) == 0xA3


def test_a_profile_of_the_file_may_start_from_another_and_a_message_may_differ_in_start_value(tmp_path):
    text = """profiles:
  ours: {base: sae-j1850, init: 0x12}
  theirs: {base: ours, xor_out: 0}
messages:
  Guarded: {profile: theirs, crc: Crc, counter: Counter, max_delta: 2, timeout: 150 ms}
  Battery: {profile: theirs, crc: Checksum, xor_out: 0x63}
"""
    made = loaded(tmp_path, text)
    guarded, battery = made.of("Guarded"), made.of("Battery")
    assert guarded is not None
    assert battery is not None
    assert (guarded.polynomial, guarded.init, guarded.xor_out) == (0x1D, 0x12, 0)
    assert (guarded.max_delta, guarded.timeout_ns, guarded.counter_max) == (2, 150_000_000, 15)
    assert (battery.init, battery.xor_out, battery.counter_length) == (0x12, 0x63, 0)
    assert made.of("Steering") is None
    assert made.lines() == (guarded, battery)


def test_a_profile_from_nothing_is_its_numbers(tmp_path):
    text = """profiles:
  sum: {algorithm: sum, init: 5, negative: true, data_id_mode: low, counts_length: true}
messages:
  Guarded: {profile: sum, data_id: 0x77, crc: Crc}
"""
    made = loaded(tmp_path, text).of("Guarded")
    assert made is not None
    assert (made.algorithm, made.before, made.after) == (Algorithm.SUM, (Extra.ID0,), (Extra.LENGTH,))
    sent = frame(bytes([0, 1, 2, 3, 4, 5, 6, 7]), 272)
    e2e.protect(sent, config(made), 0)
    assert bytes_of(sent)[0] == (5 - 0x77 - sum(range(8)) - 8) & 0xFF


def test_only_the_covered_bytes_count(tmp_path):
    text = "messages:\n  Guarded: {profile: sae-j1850, crc: Crc, covers: [2, 5]}\n"
    one = loaded(tmp_path, text).of("Guarded")
    assert one is not None
    crcs = set()
    for index in range(1, 8):
        body = bytearray(8)
        body[index] = 0x55
        crcs.add((int(e2e.crc_of(frame(body, 272), config(one))), 2 <= index < 5))
    assert len({crc for crc, inside in crcs if inside}) == 3
    assert len({crc for crc, inside in crcs if not inside}) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "messages:\n  Guardet: {profile: autosar-p01, data_id: 1}\n",
            "2:3: no message 'Guardet'; did you mean 'Guarded'?",
        ),
        ("messages:\n  Guarded: {profile: autosar-p1, data_id: 1}\n", "2:22: no profile 'autosar-p1'; did you mean"),
        ("messages:\n  Guarded: {profile: autosar-p01}\n", "2:3: Guarded: autosar-p01 needs a data_id"),
        ("messages:\n  Guarded: {profile: autosar-p02}\n", "2:3: Guarded: autosar-p02 needs data_ids"),
        (
            "messages:\n  Guarded: {profile: autosar-p02, data_ids: [1, 2]}\n",
            "2:3: Guarded: 2 data ids: each counter value",
        ),
        (
            "messages:\n  Guarded: {profile: autosar-p01, data_id: 0x12345}\n",
            "2:44: data id: expected at most 0xFFFF, found 0x12345",
        ),
        ("messages:\n  Guarded: {profile: nissan-leaf, data_id: 1}\n", "2:44: nissan-leaf has no data id"),
        (
            "messages:\n  Guarded: {profile: autosar-p01, data_id: 1, data_ids: [1]}\n",
            "autosar-p01 has no list of data ids",
        ),
        (
            "messages:\n  Guarded: {profile: autosar-p01, data_id: 1, crc: Wide}\n",
            "2:52: Guarded.Wide is not where the profile has it: expected bits 0 to 7, unsigned, found bits 16 to 31",
        ),
        ("messages:\n  Guarded: {profile: sae-j1850}\n", "2:3: Guarded: sae-j1850 does not say where the checksum is"),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: crc}\n",
            "2:38: Guarded has no signal 'crc'; did you mean 'Crc'?",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: {length: 8}}\n",
            "2:38: either byte or start says where it is",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: {byte: 8}}\n",
            "2:3: Guarded: the checksum lies outside the message of 8 bytes",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: Crc, counter: {byte: 0}}\n",
            "the counter overlaps another field",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: Crc, counter: Counter, counter_max: 16}\n",
            "a counter of 4 bits cannot end at 16",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: Crc, covers: [3, 9]}\n",
            "the checksum covers bytes 3 to 9 of a message of 8",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: Crc, covers: [3, 3]}\n",
            "the checksum covers bytes 3 to 3 of a message of 8",
        ),
        (
            "messages:\n  Guarded: {profile: counter-only}\n",
            "2:3: Guarded: neither a checksum nor a counter: nothing is protected",
        ),
        (
            "messages:\n  Guarded: {profile: autosar-p04, data_id: 1}\n",
            "the checksum lies outside the message of 8 bytes",
        ),
        ("profiles:\n  x: {width: 8}\nmessages: {}\n", "2:3: x: a CRC needs its polynomial"),
        ("profiles:\n  x: {base: autosar-p03}\nmessages: {}\n", "2:13: no profile 'autosar-p03'; did you mean"),
        (
            "profiles:\n  x: {base: autosar-p05, polynomial: 0x8005}\nmessages: {}\n",
            "2:38: autosar-p05 has another polynomial: expected 4129, found 32773",
        ),
        (
            "profiles:\n  x: {base: autosar-p01, data_id_mode: list}\nmessages: {}\n",
            "autosar-p01 has another data_id_mode: expected both or alt or low or nibble, found list",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: {start: 0, length: 4}}\n",
            "2:3: Guarded: a CRC of 8 bits does not fit into 4 bits",
        ),
        (
            "messages:\n  Guarded: {profile: sae-j1850, crc: Crc, init: 0x100}\n",
            "2:3: Guarded: polynomial, start value and final exclusive-or do not all fit into 8 bits",
        ),
        (
            "profiles:\n  x: {base: autosar-p11, data_id_mode: alt}\nmessages: {}\n",
            "another data_id_mode: expected both or nibble, found alt",
        ),
        (
            "profiles:\n  tesla: {polynomial: 7}\nmessages: {}\n",
            "2:3: tesla is a built-in profile; another name is needed",
        ),
        (
            "profiles:\n  x: {polynomial: 7, width: 12, reflect: true}\nmessages: {}\n",
            "2:33: unknown key 'reflect' in profiles.x",
        ),
        (
            "messages:\n  Guarded: {profile: autosar-p01, data_id: 1, max_delta: 0}\n",
            "2:58: messages.Guarded.max_delta",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, problem):
    told = refused(tmp_path, text)
    assert any(problem in line for line in told), told
    assert all(line.startswith("bus.e2e.yaml:") for line in told)


def test_all_problems_are_told_at_once(tmp_path):
    text = "messages:\n  Guardet: {profile: nissan-leaf}\n  Guarded: {profile: nisan-leaf}\n  Battery: {profile: autosar-p01}\n"
    assert len(refused(tmp_path, text)) == 3


def test_a_data_id_twice_is_refused(tmp_path):
    text = """messages:
  Guarded: {profile: autosar-p01, data_id: 0x10}
  Battery: {profile: autosar-p05, data_id: 0x10}
"""
    assert "data id 0x0010 is also that of Guarded" in refused(tmp_path, text)[0]


def test_a_fixed_profile_takes_signals_of_the_other_byte_order_that_cover_the_same_bits(tmp_path):
    bus = BUS.replace("Crc : 0|8@1+", "Crc : 7|8@0+").replace("Counter : 8|4@1+", "Counter : 11|4@0+")
    (tmp_path / "bus.dbc").write_text(bus)
    (tmp_path / "bus.e2e.yaml").write_text(
        "messages:\n  Guarded: {profile: autosar-p01, data_id: 0x10, crc: Crc, counter: Counter}\n"
    )
    made = load_e2e(tmp_path / "bus.e2e.yaml", dbc.load(tmp_path / "bus.dbc")).of("Guarded")
    assert made is not None
    assert (made.crc.positions(), made.counter) == (frozenset(range(8)), Place(8, 4))


def test_the_nibble_variant_wants_a_data_id_of_twelve_bits(tmp_path):
    text = "profiles:\n  1C: {base: autosar-p01, data_id_mode: nibble}\nmessages:\n  Guarded: {profile: 1C, data_id: 0x%X}\n"
    made = loaded(tmp_path, text % 0xABC).of("Guarded")
    assert made is not None
    sent = frame(bytes(8), 272)
    e2e.protect(sent, config(made), 5)
    assert bytes_of(sent)[1] == 0xA5  # the data id's high nibble stands above the counter
    assert "at most 0xFFF" in refused(tmp_path, text % 0x1ABC)[0]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_profile_makes_a_protection_that_checks_its_own_frames(tmp_path, name):
    numbers, size = BUILT_IN[name], 32
    asked = ["profile: " + name]
    if numbers.crc is None and numbers.algorithm is not Algorithm.NONE:
        asked.append("crc: {byte: 3}")
    if numbers.counter is None:
        asked.append("counter: {start: 40, length: 4}")
    if numbers.data_id_mode == "list":
        asked.append(f"data_ids: {list(range(16))}")
    elif (numbers.data_id_mode != "none" or numbers.id_field) and not numbers.id_is_data_id:
        asked.append("data_id: 0x35")
    (tmp_path / "x.e2e.yaml").write_text("messages:\n  M: {" + ", ".join(asked) + "}\n")
    one = load_e2e(tmp_path / "x.e2e.yaml", database(message(0x123, size))).of("M")
    assert one is not None
    assert refusals(one) == []
    state = zeros_state()
    for counter in [0, 1, 2, one.counter_max, 0]:
        sent = frame(bytes(range(size)), 0x123)
        e2e.protect(sent, config(one), counter)
        assert e2e.counter_of(sent, config(one)) == counter
        said = e2e.check(sent, config(one._replace(max_delta=one.counter_max)), state)
        assert said == e2e.E2eStatus.OK


def zeros_state():
    from hil.kernel import zeros

    return zeros(e2e.E2eState)[0]
