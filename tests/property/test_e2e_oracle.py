"""End-to-end protection against the autosar-e2e library, and against checksums written down here a second time."""

import binascii
from collections.abc import Callable
from dataclasses import replace

import pytest
from e2e import p01, p02, p04, p05, p06, p07, p11
from e2e_rig import bytes_of, config, frame, judge, line, message, wanted
from hypothesis import given
from hypothesis import strategies as st

from hil.codec import e2e
from hil.codec.e2e import E2eStatus
from hil.codec.e2e.plan import Protection
from hil.codec.e2e.profiles import BUILT_IN, Numbers

OK, ERROR = int(E2eStatus.OK), int(E2eStatus.ERROR)
MODES = {
    "both": (p01.E2E_P01_DATAID_BOTH, p11.E2E_P11_DATAID_BOTH),
    "nibble": (p01.E2E_P01_DATAID_NIBBLE, p11.E2E_P11_DATAID_NIBBLE),
    "alt": (p01.E2E_P01_DATAID_ALT, None),
    "low": (p01.E2E_P01_DATAID_LOW, None),
}


def ours(one: Protection, body: bytes, counter: int) -> bytes:
    made = frame(body, one.id, one.extended)
    e2e.protect(made, config(one), counter)
    return bytes_of(made)


def agree(one: Protection, body: bytes, counter: int, theirs: bytearray, is_good: Callable[[bytearray], bool]) -> None:
    """Both protect to the same bytes; both take those, and both refuse them with one byte changed."""
    made = ours(one, body, counter)
    assert made.hex() == theirs.hex()
    assert judge(made, one) == OK
    assert is_good(bytearray(made))
    for index in range(len(made)):
        broken = bytearray(made)
        broken[index] ^= 0x40
        assert (judge(bytes(broken), one) == OK) == is_good(bytearray(broken)), index


bodies = st.binary(min_size=3, max_size=64)


@given(bodies, st.integers(0, 0xFFFF), st.integers(0, 14), st.sampled_from(sorted(MODES)), st.data())
def test_profiles_1_and_11_agree_in_every_data_id_mode_at_every_offset(body, data_id, counter, mode, data):
    offset = data.draw(st.integers(0, len(body) - 2))
    data_id &= 0x0FFF if mode == "nibble" else 0xFFFF
    for profile, number in zip(("autosar-p01", "autosar-p11"), MODES[mode], strict=True):
        if number is None:
            continue
        protect = p01.e2e_p01_protect if profile == "autosar-p01" else p11.e2e_p11_protect
        check = p01.e2e_p01_check if profile == "autosar-p01" else p11.e2e_p11_check
        numbers = replace(BUILT_IN[profile], data_id_mode=mode)
        one = wanted(numbers, message(0x10, len(body)), data_id=data_id, offset=offset)
        theirs = bytearray(body)
        theirs[offset + 1] = (theirs[offset + 1] & 0xF0) | counter
        more = {"data_id_mode": number, "offset": offset}
        protect(theirs, data_id, **more, increment_counter=False)

        def is_good(x: bytearray, check=check, more=more) -> bool:
            return bool(check(x, data_id, **more)) and x[more["offset"] + 1] & 15 < 15

        agree(one, body, counter, theirs, is_good)


@given(bodies, st.binary(min_size=16, max_size=16), st.integers(0, 15))
def test_profile_2_agrees_and_22_at_the_start_of_a_message_is_the_same(body, ids, counter):
    theirs = bytearray(body)
    theirs[1] = (theirs[1] & 0xF0) | counter
    p02.e2e_p02_protect(theirs, ids, increment_counter=False)
    one = line("autosar-p02", 0x10, len(body), data_ids=tuple(ids))
    agree(one, body, counter, theirs, lambda x: p02.e2e_p02_check(bytes(x), ids, length=len(x)))
    assert ours(line("autosar-p22", 0x10, len(body), data_ids=tuple(ids)), body, counter) == bytes(theirs)


@pytest.mark.parametrize(
    ("profile", "module", "header", "id_bits", "counter_at", "counter_bytes"),
    [
        ("autosar-p04", (p04.e2e_p04_protect, p04.e2e_p04_check), 12, 32, 2, 2),
        ("autosar-p05", (p05.e2e_p05_protect, p05.e2e_p05_check), 3, 16, 2, 1),
        ("autosar-p06", (p06.e2e_p06_protect, p06.e2e_p06_check), 5, 16, 4, 1),
        ("autosar-p07", (p07.e2e_p07_protect, p07.e2e_p07_check), 20, 32, 12, 4),
    ],
    ids=["p04", "p05", "p06", "p07"],
)
@given(st.data())
def test_profiles_4_to_7_agree_at_every_offset(profile, module, header, id_bits, counter_at, counter_bytes, data):
    body = data.draw(st.binary(min_size=header, max_size=64))
    offset = data.draw(st.integers(0, len(body) - header))
    data_id = data.draw(st.integers(0, (1 << id_bits) - 1))
    counter = data.draw(st.integers(0, (1 << (8 * counter_bytes)) - 1))
    protect, check = module
    theirs = bytearray(body)
    theirs[offset + counter_at : offset + counter_at + counter_bytes] = counter.to_bytes(counter_bytes, "big")
    protect(theirs, data_id, offset=offset, increment_counter=False)
    one = line(profile, 0x10, len(body), data_id=data_id, offset=offset)
    agree(one, body, counter, theirs, lambda x: bool(check(bytes(x), data_id, length=len(x), offset=offset)))


def bitwise(data: bytes, polynomial: int, width: int, init: int, xor_out: int, reflected: bool) -> int:
    """A CRC bit by bit, by the definition of the Rocksoft model."""
    register = init
    for byte in data:
        for bit in range(8):
            one = (byte >> (bit if reflected else 7 - bit)) & 1
            top = (register >> (width - 1)) & 1
            register = (register << 1) & ((1 << width) - 1)
            if one != top:
                register ^= polynomial
    if reflected:
        register = int(f"{register:0{width}b}"[::-1], 2)
    return register ^ xor_out


@given(st.binary(min_size=9, max_size=64), st.integers(8, 32), st.booleans(), st.booleans(), st.data())
def test_any_crc_of_8_to_32_bits_is_that_of_its_definition(body, width, reflected, big, data):
    number = st.integers(0, (1 << width) - 1)
    polynomial, init, xor_out = data.draw(number) | 1, data.draw(number), data.draw(number)
    size = -(-width // 8)
    at = data.draw(st.integers(0, len(body) - size))
    place = {"start": 8 * at + 7, "length": 8 * size, "big_endian": True} if big else {"byte": at, "length": 8 * size}
    numbers = Numbers(polynomial=polynomial, width=width, init=init, xor_out=xor_out, reflected=reflected)
    made = ours(wanted(numbers, message(0x10, len(body)), crc=place), body, 0)
    crc = bitwise(body[:at] + body[at + size :], polynomial, width, init, xor_out, reflected)
    assert int.from_bytes(made[at : at + size], "big" if big else "little") == crc
    assert made[:at] + made[at + size :] == body[:at] + body[at + size :]


def test_the_check_values_of_the_catalogue_come_out():
    text = b"123456789"
    known = [  # width, polynomial, init, xor_out, reflected, check: published check values of "123456789"
        (8, 0x1D, 0xFF, 0xFF, False, 0x4B),  # SAE J1850
        (8, 0x2F, 0xFF, 0xFF, False, 0xDF),  # AUTOSAR 8H2F
        (8, 0x31, 0x00, 0x00, True, 0xA1),  # Maxim
        (16, 0x1021, 0xFFFF, 0, False, 0x29B1),  # CCITT-FALSE
        (16, 0x1021, 0, 0, False, 0x31C3),  # XMODEM
        (16, 0x8005, 0, 0, True, 0xBB3D),  # ARC
        (32, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, True, 0xCBF43926),  # Ethernet
        (32, 0xF4ACFB13, 0xFFFFFFFF, 0xFFFFFFFF, True, 0x1697D06A),  # AUTOSAR profile 4
        (32, 0x04C11DB7, 0xFFFFFFFF, 0, False, 0x0376E6E7),  # MPEG-2
    ]
    assert binascii.crc32(text) == 0xCBF43926
    for width, polynomial, init, xor_out, reflected, check in known:
        numbers = Numbers(polynomial=polynomial, width=width, init=init, xor_out=xor_out, reflected=reflected)
        size = width // 8
        made = ours(wanted(numbers, message(0x10, 9 + size), crc={"byte": 9, "length": width}), text + bytes(size), 0)
        assert int.from_bytes(made[9:], "little") == check, hex(polynomial)


@given(bodies, st.integers(0, 0xFFFF), st.integers(0, 14))
def test_release_3_of_profile_1_starts_and_ends_with_all_ones(body, data_id, counter):
    made = ours(line("autosar-p01-r3", 0x10, len(body), data_id=data_id), body, counter)
    assert made[0] == bitwise(data_id.to_bytes(2, "little") + made[1:], 0x1D, 8, 0xFF, 0xFF, False)
    release_4 = ours(line("autosar-p01", 0x10, len(body), data_id=data_id), body, counter)
    zeros = bytes(len(body) + 1)
    apart = bitwise(zeros, 0x1D, 8, 0xFF, 0xFF, False)  # a CRC is linear: the same in every frame of one length
    assert made[0] ^ release_4[0] == apart


@given(st.binary(min_size=3, max_size=8), st.sampled_from([0xDE, 0x106, 0x122, 0xFE]))
def test_crcs_of_car_makers_are_those_of_their_definitions(body, identifier):
    size = len(body)
    made = ours(line("chrysler", identifier, size), body, 0)
    assert made[-1] == bitwise(made[:-1], 0x1D, 8, 0xFF, 0xFF, False)
    made = ours(line("fca-giorgio", identifier, size), body, 0)
    last = {0xDE: 0x10, 0x106: 0xF6, 0x122: 0xF1}.get(identifier, 0x0A)
    assert made[-1] == bitwise(made[:-1], 0x1D, 8, 0, last, False)
    made = ours(line("rivian", identifier, size, xor_out=0x63), body, 3)
    assert made[0] == bitwise(made[1:], 0x1D, 8, 0, 0x63, False)
    made = ours(line("nissan-leaf", identifier, size), body, 2)
    assert made[-1] == bitwise(made[:-1], 0x85, 8, 0, 0, False)


def address_bytes(identifier: int) -> int:
    return sum(identifier.to_bytes(4, "big"))


def address_nibbles(identifier: int) -> int:
    return sum((identifier >> shift) & 15 for shift in range(0, 32, 4))


def nibbles(data: bytes) -> int:
    return sum((x >> 4) + (x & 15) for x in data)


@given(st.binary(min_size=3, max_size=8), st.integers(0, 0x1FFFFFFF), st.booleans(), st.integers(0, 3))
def test_sums_of_car_makers_are_those_of_their_formulas(body, identifier, extended, counter):
    identifier &= 0x1FFFFFFF if extended else 0x7FF
    size = len(body)

    def of(profile: str, **asked: object) -> bytes:
        return ours(line(profile, identifier, size, extended, **asked), body, counter)

    made = of("toyota")
    assert made[-1] == (size + address_bytes(identifier) + sum(body[:-1])) & 0xFF
    made = of("subaru")
    assert made[0] == (address_bytes(identifier) + sum(made[1:])) & 0xFF
    made = of("tesla", crc={"byte": 1})
    assert made[1] == ((identifier & 0xFF) + (identifier >> 8 & 0xFF) + made[0] + sum(made[2:])) & 0xFF
    made = of("orion")
    assert made[-1] == (identifier + size + sum(body[:-1])) & 0xFF
    made = of("honda")
    start = 11 if extended else 8
    rest = made[:-1] + bytes([made[-1] & 0xF0])
    assert made[-1] & 15 == (start - address_nibbles(identifier) - nibbles(rest)) & 15
    made = of("psa", crc={"start": 4, "length": 4}, counter={"start": 0, "length": 4})
    assert made[0] >> 4 == (0xB - nibbles(bytes([made[0] & 15]) + made[1:])) & 15
    made = of("vw-pq", crc={"byte": 0}, counter={"start": 12, "length": 4})
    expected = 0
    for byte in made[1:]:
        expected ^= byte
    assert made[0] == expected


@given(
    st.sampled_from([8, 16, 24, 32]), st.binary(min_size=32, max_size=32), st.integers(0, 0x7FF), st.integers(0, 255)
)
def test_the_can_fd_crc_takes_in_the_identifier_and_the_length(size, body, identifier, counter):
    made = ours(line("hyundai-canfd", identifier, size), body[:size], counter)
    crc = binascii.crc_hqx(made[2:] + identifier.to_bytes(2, "little"), 0)  # XMODEM
    assert int.from_bytes(made[:2], "little") == crc ^ {8: 0x5F29, 16: 0x041D, 24: 0x819D, 32: 0x9F5B}[size]
    assert made[2] == counter


@given(st.binary(min_size=8, max_size=8), st.integers(1, 64), st.integers(0, 2**63 - 1), st.booleans(), st.data())
def test_a_counter_comes_back_from_any_bits_in_either_byte_order(body, length, value, big, data):
    length = min(length, 32)
    start = data.draw(st.integers(0, 56 - length)) if not big else data.draw(st.integers(0, 23))
    if big:
        length = min(length, 24)
    value &= (1 << length) - 1
    place = {"start": start, "length": length, "big_endian": big}
    made = frame(body, 0x10)
    cfg = config(line("sae-j1850", 0x10, 8, crc={"byte": 7}, counter=place))
    e2e.protect(made, cfg, value)
    assert e2e.counter_of(made, cfg) == value
    assert judge(bytes_of(made), line("sae-j1850", 0x10, 8, crc={"byte": 7}, counter=place)) == OK


def test_a_frame_of_any_length_is_covered_to_its_own_end():
    one = line("sae-j1850", 0x10, 2, crc={"byte": 0}, any_length=True)
    for size in range(2, 65):
        body = bytes(range(size))
        made = ours(one, body, 0)
        assert made[0] == bitwise(body[1:], 0x1D, 8, 0xFF, 0xFF, False)
        assert judge(made, one) == OK
