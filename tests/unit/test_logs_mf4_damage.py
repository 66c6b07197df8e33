"""MF4 files made by hand block by block, whole and damaged: asammdf tells that they are sound, then each damage its price."""

import contextlib
import struct
import zlib
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from asammdf import MDF

from hil.errors import InputError
from hil.logs.log import Log
from hil.logs.mf4 import write_mf4
from hil.logs.mf4.read import read_mf4
from hil.logs.trace import from_bytes
from tools import fuzz_seeds

N = 400
START_NS = 1_700_000_000 * 10**9
IDS = [0x100 + i % 50 for i in range(N)]
PAYLOADS = [bytes([i % 256, i // 256] + [7] * (i % 5)) for i in range(N)]
FIELDS = {"ID": (8, 32, 0), "DLC": (12, 8, 0), "DataLength": (13, 8, 0), "DataBytes": (14, 64, 10)}  # byte, bits, type


class Made:
    """A file that grows block by block; links are places of blocks made before."""

    def __init__(self, unfinished: int = 0) -> None:
        magic = b"UnFinMF 4.11    by hand " if unfinished else b"MDF     4.11    by hand "
        self.content = bytearray(magic + struct.pack("<4xH30xHH", 411, unfinished, 0))
        self.content += bytes(64 - len(self.content))
        self.header = self.block("HD", [0] * 6, struct.pack("<Qhh4B2d", START_NS, 0, 0, 2, 0, 0, 0, 0.0, 0.0))

    def block(self, kind: str, links: list[int], data: bytes) -> int:
        self.content += bytes(-len(self.content) % 8)
        at = len(self.content)
        head = struct.pack(
            f"<4s4xQQ{len(links)}Q", b"##" + kind.encode(), 24 + 8 * len(links) + len(data), len(links), *links
        )
        self.content += head + data
        return at

    def link(self, block: int, number: int, to: int) -> None:
        struct.pack_into("<Q", self.content, block + 24 + 8 * number, to)

    def text(self, text: str) -> int:
        return self.block("TX", [], text.encode().ljust(len(text) // 8 * 8 + 8, b"\0"))

    def channel(
        self, name: str, place: tuple[int, int, int], links: tuple[int, int, int] = (0, 0, 0), kind: int = 0
    ) -> int:
        """``links``: the next channel, what it is composed of, its data."""
        byte, bits, data_type = place
        data = struct.pack("<4BLL", kind, int(kind == 2), data_type, 0, byte, bits) + bytes(60)
        return self.block("CN", [links[0], links[1], self.text(name), 0, 0, links[2], 0, 0], data)

    def frames(self, size: int, fields: dict[str, tuple[int, int, int]], variable: int = 0, record_id: int = 0) -> int:
        """A group CAN_DataFrame; ``variable`` is where its payloads lie when they are not in the record."""
        inner = 0
        for name, place in reversed(fields.items()):
            apart = name == "DataBytes" and variable
            inner = self.channel(f"CAN_DataFrame.{name}", place, (inner, 0, variable if apart else 0), int(bool(apart)))
        whole = self.channel("CAN_DataFrame", (8, 8 * (size - 8), 10), (0, inner, 0))
        master = self.channel("t", (0, 64, 4), (whole, 0, 0), 2)
        data = struct.pack("<QQHH4xLL", record_id, N, 6, 46, size, 0)
        return self.block("CG", [0, master, 0, 0, 0, 0], data)

    def stream(self, first_group: int, id_size: int, data: int = 0) -> int:
        at = self.block("DG", [0, first_group, data, 0], struct.pack("<B7x", id_size))
        self.link(self.header, 0, at)
        return at


def record(i: int) -> bytes:
    return struct.pack("<dLBB8s", i * 0.001, IDS[i], len(PAYLOADS[i]), len(PAYLOADS[i]), PAYLOADS[i])


def in_blocks(pieces: list[bytes], packed: str) -> tuple[bytes, list[int]]:
    """A file of one group whose records lie in a list of blocks; and the places of these."""
    made = Made()
    stream = made.stream(made.frames(22, FIELDS), 0)
    listed = made.block("DL", [0] * (1 + len(pieces)), struct.pack("<LL", 0, len(pieces)) + bytes(8 * len(pieces)))
    made.link(stream, 2, listed)
    at, places = 0, []
    for number, piece in enumerate(pieces):
        struct.pack_into("<Q", made.content, listed + 24 + 8 * (1 + len(pieces)) + 8 + 8 * number, at)
        at += len(piece)
        places.append(data_block(made, piece, packed))
        made.link(listed, 1 + number, places[-1])
    return bytes(made.content), places


def data_block(made: Made, piece: bytes, packed: str) -> int:
    if packed == "plain":
        return made.block("DT", [], piece)
    rows = len(piece) // 22
    method = int(packed == "transposed" and rows > 1)
    flat = (
        np.frombuffer(piece, np.uint8, rows * 22).reshape(rows, 22).T.tobytes() + piece[rows * 22 :]
        if method
        else piece
    )
    body = zlib.compress(flat)
    head = struct.pack("<2sBxLQQ", b"DT", method, 22 * method, len(piece), len(body))
    return made.block("DZ", [], head + body)


RECORDS = b"".join(map(record, range(N)))
CUTS = [0, 2000, 4111, 4115, 7000, len(RECORDS)]  # blocks that do not end where a record does
PIECES = [RECORDS[a:b] for a, b in pairwise(CUTS)]


def mixed(unfinished: int = 0x25) -> tuple[bytes, list[int]]:
    """A file as a recorder leaves it that was switched off: payloads among the records; and where each pair begins."""
    made = Made(unfinished)
    payloads = made.block("CG", [0] * 6, struct.pack("<QQHH4xLL", 2, 0, 1, 0, 0, 0))
    fields = FIELDS | {"DataBytes": (14, 64, 10)}
    frames = made.frames(22, fields, payloads, 1)
    made.link(frames, 0, payloads)
    struct.pack_into("<Q", made.content, frames + 80, 0)  # number of records
    stream = made.stream(frames, 1)
    data = made.block("DT", [], b"")
    made.link(stream, 2, data)
    at, places = 0, []
    for i in range(N):
        places.append(len(made.content))
        made.content += b"\1" + record(i)[:14] + struct.pack("<Q", at)
        made.content += b"\2" + struct.pack("<L", len(PAYLOADS[i])) + PAYLOADS[i]
        at += 4 + len(PAYLOADS[i])
    return bytes(made.content), places


def outside() -> tuple[bytes, list[int]]:
    """Payloads in two blocks of their own; and the places of these."""
    made, at, offsets = Made(), 0, []
    stored = [struct.pack("<L", len(p)) + p for p in PAYLOADS]
    for one in stored:
        offsets.append(at)
        at += len(one)
    half = offsets[N // 2]
    blocks = [made.block("SD", [], b"".join(stored)[part]) for part in (slice(0, half), slice(half, None))]
    listed = made.block("DL", [0, *blocks], struct.pack("<LLQQ", 0, 2, 0, half))
    data = b"".join(record(i)[:14] + struct.pack("<Q", offsets[i]) for i in range(N))
    made.stream(made.frames(22, FIELDS, listed), 0, made.block("DT", [], data))
    return bytes(made.content), blocks


def kept(log: Log) -> list[int]:
    """Which of the frames a log has, each checked whole."""
    trace, out = log.trace, []
    for i in range(len(trace)):
        number = trace.payload(i)[0] + 256 * trace.payload(i)[1]
        assert (trace.id[i], trace.payload(i)) == (IDS[number], PAYLOADS[number])
        assert trace.t_ns[i] == START_NS + number * 10**6
        out.append(number)
    return out


def test_the_files_made_by_hand_are_sound_as_asammdf_reads_them() -> None:
    for content in (in_blocks(PIECES, "plain")[0], in_blocks(PIECES, "transposed")[0], mixed()[0], outside()[0]):
        with MDF(BytesIO(content)) as file:
            signal = file.get("CAN_DataFrame", raw=False)
            assert signal.samples["CAN_DataFrame.ID"].tolist() == IDS
            lengths = signal.samples["CAN_DataFrame.DataLength"].tolist()
            data = signal.samples["CAN_DataFrame.DataBytes"]
            assert [bytes(row[:n]) for row, n in zip(data, lengths, strict=True)] == PAYLOADS


@pytest.mark.parametrize("packed", ["plain", "deflated", "transposed"])
def test_records_across_blocks_are_read(packed: str) -> None:
    log = read_mf4(in_blocks(PIECES, packed)[0])
    assert kept(log) == list(range(N))
    assert (log.skipped, log.unreadable) == ((), 0)


@pytest.mark.parametrize("content", [mixed()[0], outside()[0]], ids=["among the records", "in blocks of their own"])
def test_payloads_outside_the_records_are_read(content: bytes) -> None:
    log = read_mf4(content)
    assert kept(log) == list(range(N))
    assert log.unreadable == 0


@pytest.mark.parametrize("packed", ["deflated", "transposed"])
@pytest.mark.parametrize("hit", range(len(PIECES)))
def test_a_block_that_cannot_be_inflated_costs_its_own_records_and_is_named(packed: str, hit: int) -> None:
    content, places = in_blocks(PIECES, packed)
    damaged = bytearray(content)
    damaged[places[hit] + 24 + 24 + 4] ^= 0x5A
    log = read_mf4(bytes(damaged))
    assert kept(log) == [i for i in range(N) if 22 * i + 22 <= CUTS[hit] or 22 * i >= CUTS[hit + 1]]
    assert log.unreadable == 1
    assert (log.skipped[0].where, log.skipped[0].what[:38]) == (
        f"byte {places[hit]}",
        "block of data that cannot be inflated "[:38],
    )


def test_a_link_to_no_block_costs_the_block_it_meant() -> None:
    content, _ = in_blocks(PIECES, "plain")
    listed = content.find(b"##DL")
    damaged = bytearray(content)
    struct.pack_into("<Q", damaged, listed + 24 + 8 * 2, 1 << 40)
    log = read_mf4(bytes(damaged))
    assert kept(log) == [i for i in range(N) if 22 * i + 22 <= CUTS[1] or 22 * i >= CUTS[2]]
    assert log.skipped[0].where == f"byte {listed}"


@pytest.mark.parametrize("packed", ["plain", "deflated", "transposed"])
def test_a_cut_costs_what_lies_behind_it(packed: str) -> None:
    content, places = in_blocks(PIECES, packed)
    for end in range(places[0] + 60, len(content), 97):
        there = sum(place < end for place in places) - 1  # the last is cut
        log = None
        if there or packed == "plain":
            log = read_mf4(content[:end])
            assert kept(log)[: CUTS[there] // 22] == list(range(CUTS[there] // 22))
            assert log.unreadable
        if packed == "plain" and log is not None:
            there_bytes = CUTS[there] + max(0, end - places[there] - 24)
            assert kept(log) == list(range(there_bytes // 22))


def test_a_damaged_record_among_others_costs_itself() -> None:
    content, places = mixed()
    for hit in (0, 1, 57, 200, N - 1):
        damaged = bytearray(content)
        damaged[places[hit]] = 0xEE
        log = read_mf4(bytes(damaged))
        assert kept(log) == [i for i in range(N) if i != hit]
        assert log.unreadable
        damaged = bytearray(content)
        damaged[places[hit] + 23 + 1] ^= 0x80  # its payload's length
        log = read_mf4(bytes(damaged))
        assert set(range(N)) - set(kept(log)) <= {hit, hit + 1}
        assert log.unreadable


def test_a_hole_among_records_costs_those_in_it() -> None:
    content, places = mixed()
    log = read_mf4(content[: places[100] + 5] + content[places[150] + 9 :])
    assert kept(log) == [*range(100), *range(151, N)]
    assert log.unreadable


def test_a_recording_cut_off_keeps_every_whole_record() -> None:
    content, places = mixed()
    for end in range(places[30] + 1, places[33]):
        log = read_mf4(content[:end])
        whole = sum(place <= end for place in places[1:])
        assert kept(log) == list(range(whole))
        assert bool(log.unreadable) == (end not in places)


def test_a_lost_block_of_payloads_costs_their_frames() -> None:
    content, places = outside()
    for hit, left in ((0, range(N // 2, N)), (1, range(N // 2))):
        damaged = bytearray(content)
        damaged[places[hit] : places[hit] + 4] = b"junk"
        log = read_mf4(bytes(damaged))
        assert kept(log) == list(left)
        assert log.unreadable == 2  # the block, and the frames


def test_a_damaged_group_does_not_cost_the_others() -> None:
    content = fuzz_seeds.mf4()[0]
    assert len(read_mf4(content).trace) == 24
    second = content.rfind(b"##CG")
    log = read_mf4(content[:second] + bytes(16) + content[second + 16 :])
    assert len(log.trace) == 20
    assert log.unreadable


def test_every_link_that_leads_nowhere_is_mended_or_counted() -> None:
    content, _ = in_blocks(PIECES, "deflated")
    for name in (b"##HD", b"##DG", b"##CG"):
        at = content.find(name)
        for link in range(3):
            damaged = bytearray(content)
            (before,) = struct.unpack_from("<Q", content, at + 24 + 8 * link)
            struct.pack_into("<Q", damaged, at + 24 + 8 * link, 3)
            log = read_mf4(bytes(damaged))
            assert kept(log) == list(range(N))
            assert log.unreadable or not before


@pytest.mark.parametrize("content", [fuzz_seeds.mf4()[0], mixed()[0][: mixed()[1][100]]], ids=["sorted", "mixed"])
def test_whatever_byte_is_flipped_what_is_lost_is_counted(content: bytes) -> None:
    whole, silent = len(read_mf4(content).trace), []
    assert (whole > 20, read_mf4(content).unreadable) == (True, 0)
    for at in range(0, len(content), 3):
        for flip in (1 << at // 3 % 8, 0xFF):
            try:
                log = read_mf4(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
            except InputError:
                continue
            if len(log.trace) < whole and not log.unreadable:
                silent.append((at, flip))
    assert silent == []


@pytest.mark.parametrize(
    "word", [bytes(8), b"\xff" * 8, (1 << 40).to_bytes(8, "little"), (1 << 31).to_bytes(8, "little")]
)
def test_no_number_in_it_is_believed(word: bytes) -> None:
    content = fuzz_seeds.mf4()[0]
    for at in range(0, len(content), 8):
        try:
            log = read_mf4(content[:at] + word + content[at + 8 :])
        except InputError:
            continue
        assert len(log.trace) == 24 or log.unreadable, at


def test_records_of_no_bytes_are_as_many_as_their_numbers() -> None:
    made = Made(1)
    empty = made.block("CG", [0] * 6, struct.pack("<QQHH4xLL", 3, 0, 0, 0, 0, 0))
    frames = made.frames(22, FIELDS, 0, 1)
    made.link(frames, 0, empty)
    made.stream(frames, 1, made.block("DT", [], b"\3" * 50_000 + b"".join(b"\1" + record(i) for i in range(N))))
    log = read_mf4(bytes(made.content))
    assert kept(log) == list(range(N))
    assert log.facts["records of other groups"] == "50000"


def test_a_block_is_read_once_however_often_it_is_linked() -> None:
    content, places = in_blocks(PIECES, "plain")
    damaged = bytearray(content)
    struct.pack_into("<Q", damaged, content.find(b"##DL") + 24 + 8 * 2, places[0])
    log = read_mf4(bytes(damaged))
    assert kept(log) == [i for i in range(N) if 22 * i + 22 <= CUTS[1] or 22 * i >= CUTS[2]]
    assert log.skipped[0].what == f"a second link to the block of data at byte {places[0]}"


def test_much_damage_at_once_ends_in_frames_or_in_a_typed_error() -> None:
    rng, read = np.random.default_rng(3), 0
    sound = [
        mixed()[0],
        outside()[0],
        *(in_blocks(PIECES, packed)[0] for packed in ("plain", "deflated", "transposed")),
    ]
    for number in range(1500):
        content = bytearray(sound[number % len(sound)])
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(0, len(content) if rng.random() < 0.5 else 1200)) & ~7
            word = (bytes(8), b"\xff" * 8, b"\0\0\0\x80", rng.bytes(1))[int(rng.integers(4))]
            content[at : at + len(word)] = word
        with contextlib.suppress(InputError):
            read += len(read_mf4(bytes(content)).trace) > 0
    assert read > 300


def test_a_file_of_which_nothing_is_left_is_refused_with_the_place(tmp_path: Path) -> None:
    content = fuzz_seeds.mf4()[0]
    with pytest.raises(InputError, match=r"nothing of the MF4 file can be read.*byte \d+"):
        read_mf4(content[:700])


def test_an_older_version_is_refused() -> None:
    with pytest.raises(InputError, match=r"version 4, found version 3.30"):
        read_mf4(b"MDF     3.30    by hand ".ljust(64, b"\0") + b"HD" + bytes(200))


def test_in_a_file_of_ours_a_flipped_bit_costs_one_block_of_many(tmp_path: Path) -> None:
    n = 40_000
    trace = from_bytes(
        [k * 500_000 for k in range(n)], [0x100] * n, [0] * n, [k.to_bytes(8, "little") for k in range(n)]
    )
    path = tmp_path / "long.mf4"
    write_mf4(trace, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    log = read_mf4(bytes(content))
    assert log.unreadable == 1
    assert n * 0.85 < len(log.trace) < n
