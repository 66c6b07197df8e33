"""BLF: python-can as second implementation in both directions, every object type by hand, and damage."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import can
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import InputError
from hil.logs.blf import read_blf
from hil.logs.blf.write import write_blf
from hil.logs.trace import Trace, from_bytes
from hil.tick import FrameBits

SECOND_NS = 1_700_000_000 * 10**9


def flags(message: can.Message) -> int:
    pairs = (
        (message.is_extended_id, FrameBits.EXTENDED),
        (message.is_fd, FrameBits.FD),
        (message.bitrate_switch, FrameBits.BITRATE_SWITCH),
        (message.error_state_indicator, FrameBits.ERROR_STATE),
        (message.is_error_frame, FrameBits.ERROR),
        (message.is_remote_frame, FrameBits.REMOTE),
        (not message.is_rx, FrameBits.SENT),
    )
    return sum(int(bit) for on, bit in pairs if on)


def shown(message: can.Message) -> tuple[Any, ...]:
    return (message.arbitration_id, flags(message), message.dlc, message.channel, bytes(message.data))


def rows(trace: Trace) -> list[tuple[Any, ...]]:
    columns = zip(trace.id.tolist(), trace.bits.tolist(), trace.dlc.tolist(), trace.channel.tolist(), strict=True)
    return [(*row, trace.payload(i)) for i, row in enumerate(columns)]


def traffic(count: int, seed: int = 1) -> list[can.Message]:
    rng = np.random.default_rng(seed)
    out, t = [], 0.0
    for i in range(count):
        t += float(rng.integers(1, 10**6)) * 1e-9
        fd, remote, fault = i % 7 == 3, i % 11 == 5, i % 13 == 6
        length = int(rng.choice([12, 16, 20, 24, 32, 48, 64])) if fd else int(rng.integers(0, 9))
        plain = not fd and not fault
        out.append(
            can.Message(
                timestamp=1_700_000_000.0 + t,
                arbitration_id=int(rng.integers(0, 1 << 29)) if i % 3 else int(rng.integers(0, 1 << 11)),
                is_extended_id=bool(i % 3),
                is_fd=fd and not fault,
                bitrate_switch=fd and not fault and bool(i & 1),
                error_state_indicator=fd and not fault and bool(i & 2),
                is_remote_frame=remote and plain,
                is_error_frame=fault,
                is_rx=fault or bool(i % 4),
                dlc=min(length, 8) if (remote and plain) or fault else length,
                data=None
                if remote and plain
                else rng.integers(0, 256, min(length, 8) if fault else length, np.uint8).tobytes(),
                channel=i % 5,
            )
        )
    return out


def written(messages: list[can.Message], **options: Any) -> bytes:
    class Kept(io.BytesIO):
        def close(self) -> None:
            self.whole = self.getvalue()
            super().close()

    stream = Kept()
    with can.BLFWriter(stream, **options) as writer:
        for message in messages:
            writer.on_message_received(message)
    return stream.whole


def blf(*containers: bytes, count: int = 0, start: tuple[int, ...] = (0,) * 8) -> bytes:
    """A file of containers, header by the book."""
    header = struct.pack("<4sL8BQQLL8H8H", b"LOGG", 144, 5, 0, 0, 0, 2, 6, 8, 1, 0, 0, count, 0, *start, *(0,) * 8)
    return header.ljust(144, b"\0") + b"".join(containers)


def container(data: bytes, method: int = 2) -> bytes:
    body = zlib.compress(data) if method == 2 else data
    size = 32 + len(body)
    return struct.pack("<4sHHLLH6xL4x", b"LOBJ", 16, 1, size, 10, method, len(data)) + body + bytes(size % 4)


def thing(kind: int, body: bytes, stamp: int = 0, time_flag: int = 2, version: int = 1) -> bytes:
    """An object with header version 1 or 2."""
    head = 32 if version == 1 else 40
    begin = struct.pack("<4sHHLLLLQ", b"LOBJ", head, version, head + len(body), kind, time_flag, 0, stamp)
    return begin + bytes(head - 32) + body


def message(i: int, payload: bytes = b"") -> bytes:
    return thing(1, struct.pack("<HBBL8s", 1, 0, len(payload), i, payload), stamp=i * 1000)


@pytest.mark.parametrize("options", [{}, {"compression_level": 0}, {"max_container_size": 200}])
def test_what_python_can_writes_is_read_alike(options: dict[str, Any]) -> None:
    messages = traffic(3000)
    content = written(messages, **options)
    log = read_blf(content)
    assert log.skipped == ()
    assert log.trace.absolute
    expected = list(can.BLFReader(io.BytesIO(content)))
    assert len(expected) == 3000
    assert rows(log.trace) == [shown(m) for m in expected]
    assert max(abs(t - round(m.timestamp * 1e9)) for t, m in zip(log.trace.t_ns.tolist(), expected, strict=True)) < 300


def test_what_we_write_python_can_reads_alike_and_we_to_the_nanosecond(tmp_path: Path) -> None:
    original = read_blf(written(traffic(3000))).trace
    write_blf(original, tmp_path / "x.blf")
    again = read_blf((tmp_path / "x.blf").read_bytes())
    assert again.skipped == ()
    assert again.trace.t_ns.tolist() == original.t_ns.tolist()
    without_way = original.bits & ~np.where(original.bits & FrameBits.ERROR, int(FrameBits.SENT), 0)
    assert rows(again.trace) == [(r[0], int(b), *r[2:]) for r, b in zip(rows(original), without_way, strict=True)]
    theirs = list(can.BLFReader(tmp_path / "x.blf"))
    assert rows(again.trace) == [shown(m) for m in theirs]
    assert [round(m.timestamp * 1e9) // 1000 for m in theirs] == pytest.approx(original.t_ns // 1000, abs=1)


def test_containers_of_ours_end_where_an_object_ends(tmp_path: Path) -> None:
    write_blf(read_blf(written(traffic(8000))).trace, tmp_path / "x.blf")
    content, at, found = (tmp_path / "x.blf").read_bytes(), 144, 0
    while at < len(content):
        size = struct.unpack_from("<L", content, at + 8)[0]
        data = zlib.decompress(content[at + 32 : at + size])
        assert data[:4] == b"LOBJ"
        assert len(data) <= 128 * 1024
        at, found = at + size + size % 4, found + 1
    assert found > 2


def test_every_type_of_frame_by_hand() -> None:
    fd64 = struct.pack("<BBBBLLLLLLLHBBL", 3, 13, 32, 0, 0x80000123, 0, 0x7000, 0, 0, 0, 0, 0, 1, 0, 0) + bytes(
        range(32)
    )
    fd64_remote = struct.pack("<BBBBLLLLLLLHBBL", 1, 8, 0, 0, 0x77, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0)
    fd64_extra = (
        struct.pack("<BBBBLLLLLLLHBBL", 1, 2, 2, 0, 0x78, 0, 0x1000, 0, 0, 0, 0, 0, 0, 74, 0) + b"ab" + bytes(8)
    )
    fd_error = struct.pack("<BBBBHHHBxLLLLLLLH2x", 2, 9, 12, 0, 0, 0, 0xE0, 0, 0x80000456, *(0,) * 6, 0) + bytes(
        range(12)
    )
    objects = [
        thing(1, struct.pack("<HBBL8s", 1, 0, 3, 0x7FF, b"abc"), 5),
        thing(86, struct.pack("<HBBL8sLBBH", 2, 0x81, 4, 0x80001234, bytes(8), 1, 2, 3, 4), 6, version=2),
        thing(2, struct.pack("<HHL", 3, 0, 0), 7, time_flag=1),
        thing(73, struct.pack("<HHLBBBxLLHxx8s", 4, 0, 0, 0, 0, 0xF2, 0, 0x80000055, 0, b"xyzzy"), 8),
        thing(100, struct.pack("<HBBLLBBB5x64sL", 1, 1, 15, 5, 0, 0, 7, 64, bytes(range(64)), 0), 9),
        thing(101, fd64, 10),
        thing(101, fd64_remote, 11),
        thing(101, fd64_extra, 12),
        thing(104, fd_error, 13),
        thing(3, bytes(8)),
        thing(96, b"a marker"),
    ]
    log = read_blf(blf(container(b"".join(objects))))
    E, F, B, X, T, R, S = (FrameBits[n] for n in "EXTENDED FD BITRATE_SWITCH ERROR SENT REMOTE ERROR_STATE".split())
    assert rows(log.trace) == [
        (0x7FF, 0, 3, 0, b"abc"),
        (0x1234, E | T | R, 4, 1, b""),
        (0, X, 0, 2, b""),
        (0x55, X | E, 2, 3, b"xy"),
        (5, F | B | S | T, 64, 0, bytes(range(64))),
        (0x123, E | F | B | S | T, 32, 2, bytes(range(32))),
        (0x77, R, 8, 0, b""),
        (0x78, F, 2, 0, b"ab"),
        (0x456, X | E | F | B | S, 12, 1, bytes(range(12))),
    ]
    assert log.trace.t_ns.tolist() == [5, 6, 70_000, 8, 9, 10, 11, 12, 13]
    assert not log.trace.absolute
    assert log.skipped == ()
    assert log.facts["objects that are no frames"] == "overload frame: 1, marker: 1"


def test_payload_bytes_that_were_not_kept_are_zero() -> None:
    body = struct.pack("<BBBBLLLLLLLHBBL", 1, 15, 64, 0, 5, 0, 0x1000, 0, 0, 0, 0, 0, 0, 0, 0) + b"\xff" * 48
    short = struct.pack("<HBBLLBBB5x64sL", 1, 0, 15, 5, 0, 0, 1, 40, b"\xee" * 64, 0)
    trace = read_blf(blf(container(thing(101, body) + thing(100, short)))).trace
    assert trace.payload(0) == b"\xff" * 48 + bytes(16)
    assert trace.payload(1) == b"\xee" * 40 + bytes(24)


@pytest.mark.parametrize("padding", [lambda n: 0, lambda n: n % 4, lambda n: -n % 4])
def test_padding_of_every_habit_is_stepped_over(padding: Any) -> None:
    objects = b""
    for n in range(20):
        marker = thing(96, bytes(n))
        objects += marker + bytes(padding(len(marker))) + message(n)
    log = read_blf(blf(container(objects)))
    assert log.trace.id.tolist() == list(range(20))
    assert log.skipped == ()


@pytest.mark.parametrize("cut", [1, 7, 31, 33, 47])
def test_objects_cross_containers(cut: int) -> None:
    data = b"".join(message(i, bytes([i])) for i in range(50))
    pieces = [data[i : i + cut] for i in range(0, len(data), cut)]
    log = read_blf(blf(*(container(piece, method=i % 2 * 2) for i, piece in enumerate(pieces))))
    assert [trace_row[0] for trace_row in rows(log.trace)] == list(range(50))
    assert [log.trace.payload(i) for i in range(50)] == [bytes([i]) for i in range(50)]
    assert log.skipped == ()


def test_objects_outside_containers_are_read() -> None:
    log = read_blf(blf(message(1) + message(2), container(message(3) + message(4)), message(5)))
    assert log.trace.id.tolist() == [1, 2, 3, 4, 5]
    assert log.skipped == ()


def test_a_start_time_makes_times_absolute() -> None:
    log = read_blf(blf(container(message(7)), start=(2023, 11, 2, 14, 22, 13, 20, 250)))
    assert log.trace.t_ns.tolist() == [SECOND_NS + 250 * 10**6 + 7000]
    assert log.facts["start"] == "2023-11-14T22:13:20.250000000Z"


def test_a_start_time_that_is_no_date_is_told() -> None:
    log = read_blf(blf(container(message(7)), start=(2023, 13, 2, 14, 22, 13, 20, 250)))
    assert (log.trace.absolute, log.unreadable, log.skipped[0].where) == (False, 1, "byte 40")


def test_a_broken_container_costs_its_own_frames_and_is_named_with_its_offset() -> None:
    parts = [container(b"".join(message(i) for i in range(100 * k, 100 * k + 100))) for k in range(3)]
    at = 144 + len(parts[0])
    broken = bytearray(parts[1])
    broken[len(broken) // 2] ^= 0x10
    log = read_blf(blf(parts[0], bytes(broken), parts[2]))
    assert log.trace.id.tolist() == [*range(100), *range(200, 300)]
    assert [s.where for s in log.skipped] == [f"byte {at}"]
    assert log.unreadable == 1


def test_a_broken_object_costs_itself_alone() -> None:
    data = bytearray(b"".join(message(i) for i in range(100)))
    data[50 * 48] = 0
    log = read_blf(blf(container(bytes(data))))
    assert log.trace.id.tolist() == [i for i in range(100) if i != 50]
    assert "2400 bytes into the data" in log.skipped[0].what
    assert log.unreadable == 1


def test_an_object_that_says_it_is_huge_does_not_swallow_the_rest() -> None:
    data = bytearray(b"".join(thing(96, bytes(8)) + message(i) for i in range(100)))
    struct.pack_into("<L", data, 40 * 88 + 8, 1 << 25)
    log = read_blf(blf(*(container(bytes(data[i : i + 1000])) for i in range(0, len(data), 1000))))
    assert log.trace.id.tolist() == list(range(100))
    assert log.unreadable == 1


def test_a_recorder_that_was_killed_leaves_all_that_was_written() -> None:
    messages = traffic(5000)
    content = written(messages)
    last = content.rfind(b"LOBJ")
    cut = bytearray(content[: last + (len(content) - last) // 2])
    cut[16:72] = bytes(56)  # counts and times are written when a recorder stops
    log = read_blf(bytes(cut))
    before = sum(1 for _ in can.BLFReader(io.BytesIO(content[:last])))
    assert before < len(log.trace) < 5000
    assert rows(log.trace) == [shown(m) for m in can.BLFReader(io.BytesIO(content))][: len(log.trace)]
    assert [s.what for s in log.skipped] == ["container cut off at the end of the file; what is there is read"]


@pytest.mark.parametrize("at", [8, 9, 12, 24, 26])
def test_a_wrong_number_in_a_container_header_costs_nothing(at: int) -> None:
    parts = [bytearray(container(b"".join(message(i) for i in range(100 * k, 100 * k + 100)))) for k in range(3)]
    parts[1][at] ^= 0x55
    assert read_blf(blf(*map(bytes, parts))).trace.id.tolist() == list(range(300))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("size", [0, 1, 16, 31, 2**32 - 1])
def test_a_container_whose_size_is_less_than_its_header_is_read_once(size: int) -> None:
    held = container(b"".join(message(i) for i in range(6)))
    damaged = held[:8] + struct.pack("<L", size) + held[12:]
    assert read_blf(blf(damaged, held)).trace.id.tolist() == 2 * list(range(6))


def test_what_is_no_blf_is_refused() -> None:
    for content in (b"", b"LOGG", b"LOBJ" * 100):
        with pytest.raises(InputError, match="not a BLF file"):
            read_blf(content)


def test_a_first_object_without_signature_is_counted() -> None:
    content = bytearray(blf(container(message(1) + message(2))))
    content[144] ^= 1
    log = read_blf(bytes(content))
    assert (len(log.trace), log.unreadable) == (0, 1)
    assert log.skipped[0].where == "byte 144"


def test_a_file_cut_between_two_objects_says_so_by_the_size_in_its_header() -> None:
    content = bytearray(blf(container(message(1)), container(message(2))))
    struct.pack_into("<Q", content, 16, len(content))
    cut = 144 + len(container(message(1)))
    log = read_blf(bytes(content[:cut]))
    assert (log.trace.id.tolist(), log.unreadable, log.skipped[0].where) == ([1], 1, f"byte {cut}")
    assert read_blf(bytes(content)).unreadable == 0


def test_a_marker_a_clock_and_statistics_are_not_taken_for_frames_of_a_damaged_type() -> None:
    objects = [thing(kind, struct.pack("<HBBL8s", 1, 0, 8, 5, bytes(8))) for kind in (4, 5, 51, 65, 96, 115)]
    log = read_blf(blf(container(b"".join(objects))))
    assert log.unreadable == 1  # type 5, a trigger, is never like this
    assert log.facts["objects that are no frames"].count(": 1") == 5


def small_files() -> list[bytes]:
    """Deflated, stored in two containers, and outside containers; the header's size of the file is right."""
    data = b"".join(message(i, bytes([i] * 8)) for i in range(8))
    files = [blf(container(data)), blf(container(data, 0), container(data, 0)), blf(data, container(data, 0))]
    return [content[:16] + struct.pack("<Q", len(content)) + content[24:] for content in files]


@pytest.mark.parametrize("content", small_files(), ids=["deflated", "stored", "bare"])
def test_whatever_byte_is_flipped_and_wherever_it_is_cut_what_is_lost_is_counted(content: bytes) -> None:
    whole, silent = len(read_blf(content).trace), []
    assert read_blf(content).unreadable == 0
    flipped = (
        content[:at] + bytes([content[at] ^ x]) + content[at + 1 :] for at in range(4, len(content)) for x in (1, 0x90)
    )
    for damaged in (*flipped, *(content[:end] for end in range(72, len(content)))):
        log = read_blf(damaged)
        if len(log.trace) < whole and not log.unreadable:
            silent.append(damaged)
    assert silent == []


FRAMES = [container(b"".join(message(i, bytes([i % 256] * 8)) for i in range(20 * k, 20 * k + 20))) for k in range(4)]
STARTS = np.cumsum([144, *map(len, FRAMES)])


@settings(deadline=None, max_examples=300)
@given(st.integers(144, sum(map(len, FRAMES)) + 143), st.integers(1, 255))
def test_a_flipped_byte_costs_at_most_its_container(at: int, flip: int) -> None:
    content = bytearray(blf(*FRAMES))
    content[at] ^= flip
    log = read_blf(bytes(content))
    hit = int(np.searchsorted(STARTS, at, side="right")) - 1
    kept = [row for row in rows(log.trace) if not 20 * hit <= row[0] < 20 * hit + 20]
    assert kept == [row for row in rows(read_blf(blf(*FRAMES)).trace) if not 20 * hit <= row[0] < 20 * hit + 20]


STORED = b"".join(message(i, bytes([i] * 8)) for i in range(60))


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(STORED) - 1), st.integers(1, 255))
def test_a_flipped_byte_in_plain_objects_costs_at_most_one(at: int, flip: int) -> None:
    data = bytearray(STORED)
    data[at] ^= flip
    log = read_blf(blf(container(bytes(data), method=0)))
    whole = rows(read_blf(blf(container(STORED))).trace)
    kept = set(rows(log.trace))
    assert all(row in kept for i, row in enumerate(whole) if i != at // 48)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_cut_keeps_every_frame_before_it(data: Any) -> None:
    content = blf(*FRAMES)
    cut = data.draw(st.integers(0, len(content)))
    if cut < 72:
        with pytest.raises(InputError):
            read_blf(content[:cut])
        return
    found = rows(read_blf(content[:cut]).trace)
    whole = rows(read_blf(content).trace)
    assert found == whole[: len(found)]
    assert len(found) >= 20 * (int(np.searchsorted(STARTS, cut, side="right")) - 1)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=600), st.integers(0, 3))
def test_anything_behind_a_header_is_read_or_refused_with_a_typed_error(rubbish: bytes, kind: int) -> None:
    bodies = (rubbish, container(rubbish), container(rubbish, 0), container(message(1) + rubbish + message(2), 0))
    log = read_blf(blf(bodies[kind]))
    assert len(log.trace) == len(log.trace.at) == len(log.trace.dlc)
    if kind == 3 and b"LOBJ" not in rubbish:
        assert {1, 2} <= set(log.trace.id.tolist())


@pytest.mark.shared_data
def test_all_blf_files_at_hand_are_read_as_python_can_reads_them(shared_data: Path) -> None:
    found = sorted((shared_data / "can" / "logs").rglob("*.blf"))
    assert found
    for path in found:
        trace = read_blf(path.read_bytes()).trace
        theirs = list(can.BLFReader(path))
        assert len(trace) == len(theirs)
        for i, m in enumerate(theirs):
            assert (trace.id[i], trace.bits[i]) == (m.arbitration_id, flags(m))
            assert trace.channel[i] == min(m.channel, 255)  # these files have impossible numbers in some fields
            assert trace.payload(i)[: len(m.data)] == bytes(m.data)[: int(trace.dlc[i])]


def test_a_file_of_ours_without_frames_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "empty.blf"
    write_blf(from_bytes([], [], [], []), path)
    log = read_blf(path.read_bytes())
    assert (len(log.trace), log.unreadable) == (0, 0)
