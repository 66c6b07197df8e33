"""Every known-good vector: frames recorded from cars, the expected bytes of the reference library, and real logs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_rig import bytes_of, config, frame, judge, line, message, wanted

from hil.codec import e2e
from hil.codec.e2e import E2eState, E2eStatus
from hil.codec.e2e.profiles import BUILT_IN
from hil.kernel import zeros

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "e2e"
RECORDED = json.loads((GOLDEN / "opendbc_known_good_frames.json").read_text())["vectors"]
IDS = {
    int(k, 16): v
    for k, v in json.loads((GOLDEN / "vw_mqb_meb_data_ids.json").read_text())["data_id_by_counter"].items()
}
EXPECTED = {
    v["profile"]: v["expected_bytes_in_order"]
    for v in json.loads((GOLDEN / "autosar_e2e_expected.json").read_text())["vectors"]
}
OK, ERROR = int(E2eStatus.OK), int(E2eStatus.ERROR)
MISPRINT, MENDED = "7bf0026e", "7af0026e"  # tests/golden/e2e/SOURCES.md


def recorded_line(vector: dict, length: int):
    if vector["check"] == "verify_fca_giorgio_crc":
        return line("fca-giorgio", vector["id"], length, counter={"start": 8 * length - 16, "length": 4})
    assert vector["check"] == "verify_volkswagen_mqb_crc"
    return line("vw-mqb", vector["id"], length, data_ids=tuple(IDS[vector["id"]]))


def test_all_27_sets_of_380_recorded_frames_are_here():
    assert len(RECORDED) == 27
    assert sum(len(v["frames"]) for v in RECORDED) == 380


@pytest.mark.parametrize("vector", RECORDED, ids=lambda v: v["names"][0])
def test_a_frame_recorded_in_a_car_is_good_and_comes_out_the_same_when_protected_anew(vector):
    frames = [bytes.fromhex(MENDED if text == MISPRINT else text) for text in vector["frames"]]
    one = recorded_line(vector, len(frames[0]))
    cfg, state = config(one), zeros(E2eState)[0]
    for payload in frames:
        made = frame(payload, vector["id"])
        assert e2e.check(made, cfg, state) == OK  # in order: each counter is the one before plus one
        counter = e2e.counter_of(made, cfg)
        e2e.write_crc(made, cfg, 0)
        e2e.protect(made, cfg, counter)
        assert bytes_of(made) == payload


def test_the_one_frame_misprinted_at_its_source_is_an_error_as_it_stands():
    printed = [text for v in RECORDED for text in v["frames"] if text == MISPRINT]
    assert [judge(bytes.fromhex(text), line("fca-giorgio", 0x122, 4)) for text in printed] == [ERROR]


@pytest.mark.parametrize("vector", RECORDED, ids=lambda v: v["names"][0])
def test_any_flipped_bit_of_a_recorded_frame_is_an_error(vector):
    payload = bytes.fromhex(vector["frames"][1])
    one = recorded_line(vector, len(payload))
    for bit in range(8 * len(payload)):
        broken = bytearray(payload)
        broken[bit // 8] ^= 1 << (bit % 8)
        if (broken[1] ^ payload[1]) & 0x0F and one.data_ids:
            continue  # another counter brings another data id: two changes, which a CRC of eight bits may miss
        assert judge(bytes(broken), one) == ERROR


def test_each_table_of_data_ids_gives_another_checksum_than_every_other():
    tables = {tuple(v) for v in IDS.values()}
    made = set()
    for ids in tables:
        one = line("vw-mqb", 0x100, 8, data_ids=ids)
        made.add(tuple(protected(one, c) for c in range(16)))
    assert len(made) == len(tables)


def protected(one, counter: int, payload: bytes | None = None) -> str:
    made = frame(bytes(one.length) if payload is None else payload, one.id)
    e2e.protect(made, config(one), counter)
    return bytes_of(made).hex()


@pytest.mark.parametrize("index", range(4))
def test_profile_1_gives_the_expected_bytes_in_each_data_id_mode(index):
    mode = ("both", "alt", "low", "nibble")[index]
    one = wanted(replace(BUILT_IN["autosar-p01"], data_id_mode=mode), message(0x10, 8), data_id=0x123)
    assert [protected(one, 0), protected(one, 1)] == EXPECTED["p01"][2 * index : 2 * index + 2]
    good, bad = EXPECTED["p01"][8 + 2 * index : 10 + 2 * index]
    assert (judge(bytes.fromhex(good), one), judge(bytes.fromhex(bad), one)) == (OK, ERROR)


def test_profile_2_gives_the_expected_bytes():
    zero, rising = (line("autosar-p02", 0x10, 8, data_ids=ids) for ids in ((0,) * 16, tuple(range(16))))
    made = [
        protected(zero, 1),
        protected(rising, 2, bytes(range(8))),
        protected(rising, 1, bytes(range(8))),
    ]
    assert made == EXPECTED["p02"][:3]
    good, bad = EXPECTED["p02"][3:]
    assert (judge(bytes.fromhex(good), rising), judge(bytes.fromhex(bad), rising)) == (OK, ERROR)


@pytest.mark.parametrize(
    ("profile", "data_id", "lengths"),
    [
        ("p04", 0x0A0B0C0D, (16, 24)),
        ("p05", 0x1234, (8, 16)),
        ("p06", 0x1234, (8, 16)),
        ("p07", 0x0A0B0C0D, (24, 32)),
    ],
)
def test_profiles_4_to_7_give_the_expected_bytes_at_both_offsets(profile, data_id, lengths):
    text = "".join(EXPECTED[profile])
    for length, offset in zip(lengths, (0, 8), strict=True):
        one = line(f"autosar-{profile}", 0x10, length, data_id=data_id, offset=offset)
        for counter in (0, 1):
            assert protected(one, counter) == text[: 2 * length]
            text = text[2 * length :]
    for length, offset in zip(lengths, (0, 8), strict=True):
        one = line(f"autosar-{profile}", 0x10, length, data_id=data_id, offset=offset)
        for status in (OK, ERROR):
            assert judge(bytes.fromhex(text[: 2 * length]), one) == status
            text = text[2 * length :]
    assert text == ""
