"""Writers of every format, against python-can's readers and our own; whole files only; what is lost is told."""

import gzip
from pathlib import Path
from typing import Any

import can
import numpy as np
import pytest

from hil.errors import BenchError, InputError
from hil.logs.packed import unpack
from hil.logs.read import read_log
from hil.logs.trace import Trace, from_bytes, from_matrix, to_matrix
from hil.logs.write import write_log
from hil.tick import FrameBits

E, F, B, X, T, R, S = (int(FrameBits[n]) for n in "EXTENDED FD BITRATE_SWITCH ERROR SENT REMOTE ERROR_STATE".split())
START_NS = 1_700_000_000 * 10**9 + 123_000_000


def mixed(absolute: bool, step_ns: int = 1_000_000) -> Trace:
    """Every kind of frame; lengths, identifiers and payloads that show a mix-up."""
    rng = np.random.default_rng(5)
    kinds = [0, T, E, E | T, F, F | B | E, F | S | T, F | B | S, R, R | E | T]
    n = 400
    bits = np.array([kinds[i % len(kinds)] for i in range(n)], np.int32)
    lengths = [int(rng.choice([8, 12, 16, 20, 24, 32, 48, 64])) if b & F else int(rng.integers(0, 9)) for b in bits]
    ids = [int(rng.integers(0, 1 << 29)) if b & E else int(rng.integers(0, 1 << 11)) for b in bits]
    payloads = [
        b"" if b & R else rng.integers(0, 256, k, np.uint8).tobytes() for b, k in zip(bits, lengths, strict=True)
    ]
    t_ns = (START_NS if absolute else 0) + np.cumsum(rng.integers(1, 3000, n)) * step_ns
    return from_bytes(t_ns, ids, bits, payloads, np.arange(n, dtype=np.uint8) % 3, lengths, absolute)


def rows(trace: Trace) -> list[tuple[Any, ...]]:
    columns = (trace.t_ns, trace.channel, trace.id, trace.bits, trace.dlc)
    return [(*row, trace.payload(i)) for i, row in enumerate(zip(*(c.tolist() for c in columns), strict=True))]


def classic(trace: Trace) -> Trace:
    return trace.select(trace.bits & F == 0)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("name", ["x.blf", "x.log", "x.mf4", "x.asc", "x.trc", "x.log.gz", "x.asc.gz", "x.trc.gz"])
def test_a_log_comes_back_as_it_was_written(tmp_path: Path, name: str, absolute: bool) -> None:
    trace = mixed(absolute, 1 if name in ("x.blf", "x.log", "x.mf4") else 1000)
    assert write_log(trace, tmp_path / name) == []
    again = read_log(tmp_path / name)
    assert again.skipped == ()
    expected = rows(trace)
    assert rows(again.trace) == expected
    assert again.trace.absolute == absolute


@pytest.mark.parametrize("name", ["x.blf", "x.log", "x.mf4", "x.asc", "x.trc"])
def test_python_can_reads_what_we_write(tmp_path: Path, name: str) -> None:
    trace = mixed(absolute=False, step_ns=1000)
    if name == "x.trc":  # python-can takes FE (error state) and BI (both) of TRC for each other
        trace = trace.select(trace.bits & S == 0)
    write_log(trace, tmp_path / name)
    with can.LogReader(tmp_path / name) as log:
        theirs = list(log)
    assert [m.arbitration_id for m in theirs] == trace.id.tolist()
    assert [m.is_extended_id for m in theirs] == (trace.bits & E != 0).tolist()
    assert [m.is_fd for m in theirs] == (trace.bits & F != 0).tolist()
    assert [m.bitrate_switch for m in theirs] == (trace.bits & B != 0).tolist()
    assert [m.is_remote_frame for m in theirs] == (trace.bits & R != 0).tolist()
    assert [m.is_rx for m in theirs] == (trace.bits & T == 0).tolist()
    assert [bytes(m.data) for m in theirs] == [trace.payload(i) for i in range(len(trace))]
    assert [round(m.timestamp * 1e9) for m in theirs] == pytest.approx(trace.t_ns.tolist(), abs=500)


def test_csv_keeps_what_it_can_and_tells_the_rest(tmp_path: Path) -> None:
    trace = mixed(absolute=True)
    notes = write_log(trace, tmp_path / "x.csv")
    assert notes == ["CAN FD frames are not marked as such", "channels are not kept", "directions are not kept"]
    with can.LogReader(tmp_path / "x.csv") as log:
        theirs = list(log)
    assert [m.arbitration_id for m in theirs] == trace.id.tolist()
    assert [bytes(m.data) for m in theirs] == [trace.payload(i) for i in range(len(trace))]
    ours = read_log(tmp_path / "x.csv").trace
    assert ours.id.tolist() == trace.id.tolist()
    assert ours.t_ns.tolist() == trace.t_ns.tolist()
    assert write_log(classic(trace).select(slice(0, 1)), tmp_path / "x.csv") == []


@pytest.mark.parametrize("name", ["x.blf", "x.log", "x.mf4", "x.asc", "x.trc", "x.csv"])
def test_error_frames_stay_error_frames(tmp_path: Path, name: str) -> None:
    trace = from_bytes([1000, 2000, 3000], [0x10, 0x88, 0x11], [0, X, 0], [b"a", b"", b"b"])
    assert write_log(trace, tmp_path / name) == []
    again = read_log(tmp_path / name).trace
    assert (again.bits & X != 0).tolist() == [False, True, False]
    assert again.t_ns.tolist() == [1000, 2000, 3000]


@pytest.mark.parametrize("name", ["x.blf", "x.log", "x.mf4", "x.asc", "x.trc", "x.csv"])
def test_an_empty_trace_makes_a_file_that_other_tools_open(tmp_path: Path, name: str) -> None:
    write_log(from_bytes([], [], [], []), tmp_path / name)
    with can.LogReader(tmp_path / name) as log:
        assert list(log) == []


@pytest.mark.parametrize("name", ["x.blf", "x.log.gz", "x.asc", "x.trc", "x.csv.gz"])
def test_the_same_trace_makes_the_same_bytes(tmp_path: Path, name: str) -> None:
    shares: list[float] = []
    write_log(mixed(absolute=True), tmp_path / f"a{name}", shares.append)
    write_log(mixed(absolute=True), tmp_path / f"b{name}")
    assert (tmp_path / f"a{name}").read_bytes() == (tmp_path / f"b{name}").read_bytes()
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_rounding_to_the_microsecond_is_told(tmp_path: Path) -> None:
    trace = from_bytes([1001], [1], [0], [b""])
    assert write_log(trace, tmp_path / "x.asc") == ["times are rounded to the microsecond"]
    assert write_log(trace, tmp_path / "x.log") == []


def test_an_unknown_suffix_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean '\.blf'"):
        write_log(mixed(absolute=True), tmp_path / "x.blff")
    with pytest.raises(InputError, match=r"before \.gz"):
        write_log(mixed(absolute=True), tmp_path / "x.blf.gz")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.blf").mkdir()
    with pytest.raises(BenchError, match="cannot write the log"):
        write_log(mixed(absolute=True), tmp_path / "x.blf")
    assert [p.name for p in tmp_path.iterdir()] == ["x.blf"]


def test_matrix_and_trace_are_inverse_to_each_other() -> None:
    trace = mixed(absolute=False)
    matrix = to_matrix(trace)
    assert [bytes(row[: len(trace.payload(i))]) for i, row in enumerate(matrix)] == [
        trace.payload(i) for i in range(len(trace))
    ]
    dirty = matrix | np.where(np.arange(64) >= trace.dlc[:, None], 0xFF, 0).astype(np.uint8)
    again = from_matrix(trace.t_ns, trace.id, trace.bits, trace.dlc, dirty, trace.channel)
    assert rows(again) == rows(trace)
    assert again.words.tolist() == trace.words.tolist()


def test_gzip_damage_costs_nothing_before_it(tmp_path: Path) -> None:
    trace = classic(mixed(absolute=True, step_ns=1000))
    write_log(trace, tmp_path / "x.log.gz")
    content = (tmp_path / "x.log.gz").read_bytes()
    cut = content[: len(content) // 2]
    (tmp_path / "cut").write_bytes(cut)
    log = read_log(tmp_path / "cut")
    assert 50 < len(log.trace) < len(trace)
    # The last line may be cut at a pair of digits: a shorter frame, as good as any other.
    assert rows(log.trace)[:-1] == rows(trace)[: len(log.trace) - 1]
    assert log.skipped[0].what == "gzip data cut off"
    flipped = bytearray(content)
    flipped[-8] ^= 1  # the checksum of the whole
    (tmp_path / "flipped").write_bytes(flipped)
    log = read_log(tmp_path / "flipped")
    assert rows(log.trace) == rows(trace)
    assert log.unreadable == 1
    assert "damaged gzip data" in log.skipped[0].what


def test_several_gzip_members_are_one_log(tmp_path: Path) -> None:
    parts = [gzip.compress(f"({i}.0) can0 {i:03X}#\n".encode()) for i in range(1, 4)]
    (tmp_path / "x").write_bytes(b"".join(parts) + bytes(512))
    log = read_log(tmp_path / "x")
    assert log.trace.id.tolist() == [1, 2, 3]
    assert log.skipped == ()


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_log(tmp_path / "none.blf")


SUFFIXES = ["x.blf", "x.log", "x.mf4", "x.asc", "x.trc", "x.csv"]


@pytest.mark.parametrize("name", SUFFIXES)
def test_times_before_zero_are_moved_to_begin_at_zero_and_that_is_told(tmp_path: Path, name: str) -> None:
    trace = from_bytes([-400_000_000, -100_000_000, 250_000_000], [1, 2, 3], [0, 0, 0], [b"a", b"b", b"c"])
    notes = write_log(trace, tmp_path / name)
    assert "times began 0.400000000 s before zero; all are written that much later" in notes
    again = read_log(tmp_path / name)
    assert again.trace.t_ns.tolist() == [0, 300_000_000, 650_000_000]
    assert (again.trace.id.tolist(), again.unreadable) == ([1, 2, 3], 0)


@pytest.mark.parametrize("name", SUFFIXES)
def test_remote_frames_of_can_fd_are_kept_as_far_as_the_format_can(tmp_path: Path, name: str) -> None:
    trace = from_bytes([1000, 2000], [1, 0x15555555], [R | F | B, E | R | F], [b"", b""], None, [64, 20])
    notes = write_log(trace, tmp_path / name)
    again = read_log(tmp_path / name)
    assert (again.trace.id.tolist(), again.unreadable) == ([1, 0x15555555], 0)
    assert (again.trace.bits & R != 0).all()
    if rows(again.trace) != rows(trace):
        assert notes == ["2 remote frames are written as classic ones, which ask for 8 bytes at most"]
        assert again.trace.bits.tolist() == [R, E | R]
        assert again.trace.dlc.tolist() == [8, 8]


def test_an_identifier_above_11_bits_is_read_as_extended_and_told(tmp_path: Path) -> None:
    trace = from_bytes([1000, 2000], [0x4444444, 0x7FF], [0, 0], [b"a", b"b"])
    write_log(trace, tmp_path / "x.blf")  # no bit 31 in the identifier: what some recorders write
    log = read_log(tmp_path / "x.blf")
    assert log.trace.bits.tolist() == [E, 0]
    assert log.facts["taken as extended"] == "1 frames, for their identifier has more than 11 bits"
    write_log(log.trace, tmp_path / "x.log")
    assert rows(read_log(tmp_path / "x.log").trace) == rows(log.trace)


def test_a_refusal_names_the_path_of_the_file(tmp_path: Path) -> None:
    for name, content in (("a.log", b"nothing\n"), ("b.log.gz", gzip.compress(b"nothing\n"))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_log(tmp_path / name)
        assert caught.value.problems[0].path == str(tmp_path / name)


def test_a_classic_remote_frame_asks_for_8_bytes_at_most(tmp_path: Path) -> None:
    trace = from_bytes([1000], [1], [R], [b""], None, [20])
    assert write_log(trace, tmp_path / "x.blf") == [
        "1 remote frames are written as classic ones, which ask for 8 bytes at most"
    ]
    assert rows(read_log(tmp_path / "x.blf").trace) == [(1000, 0, 1, R, 8, b"")]


@pytest.mark.parametrize("name", [*SUFFIXES, "x.log.gz"])
def test_a_log_without_frames_is_read_back_as_one(tmp_path: Path, name: str) -> None:
    write_log(from_bytes([], [], [], []), tmp_path / name)
    log = read_log(tmp_path / name)
    assert (len(log.trace), log.unreadable) == (0, 0)


def test_an_asc_log_from_zero_has_no_start_that_was_not_understood(tmp_path: Path) -> None:
    write_log(from_bytes([1000], [1], [0], [b""]), tmp_path / "x.asc")
    log = read_log(tmp_path / "x.asc")
    assert "start" not in log.facts
    assert not log.trace.absolute


def test_damage_of_a_gzip_file_is_named_by_its_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, 3 << 20, np.uint8).tobytes()  # does not deflate: stored blocks of known places
    text = b"(1.0) can0 123#11\n" * 10
    packed = bytearray(gzip.compress(text + noise, 0, mtime=0))
    place = 10  # behind the header of gzip come stored blocks, each with a head of 5 bytes
    while place < 2 << 20:
        place += 5 + int.from_bytes(packed[place + 1 : place + 3], "little")
    packed[place + 3] ^= 0xFF  # the complement of the block's length
    content, skips = unpack(bytes(packed))
    assert content == (text + noise)[: len(content)]
    assert len(content) > 1 << 20
    assert abs(int(skips[0].where.removeprefix("byte ")) - place) <= 8
    assert "damaged gzip data" in skips[0].what


def test_a_wrong_checksum_of_gzip_says_that_the_content_may_be_damaged() -> None:
    packed = bytearray(gzip.compress(b"(1.0) can0 123#11\n"))
    packed[-8] ^= 1
    content, skips = unpack(bytes(packed))
    assert content == b"(1.0) can0 123#11\n"
    assert "wrong checksum, any of its content may be damaged" in skips[0].what


def test_a_gzip_file_of_which_nothing_inflates_is_not_called_empty(tmp_path: Path) -> None:
    packed = gzip.compress(b"(1.0) can0 123#11\n")
    (tmp_path / "x.gz").write_bytes(packed[:10] + b"\xff" * 20)
    with pytest.raises(InputError, match="the gzip file cannot be inflated"):
        read_log(tmp_path / "x.gz")


def test_mf4_tells_that_it_sorts_by_time_and_has_no_channel_255(tmp_path: Path) -> None:
    trace = from_bytes([2000, 1000], [1, 2], [0, 0], [b"", b""], [0, 255])
    notes = write_log(trace, tmp_path / "x.mf4")
    assert notes == ["frames come back in the order of their times", "channel 255 is written as 254"]
    again = read_log(tmp_path / "x.mf4").trace
    assert (again.id.tolist(), again.channel.tolist()) == ([2, 1], [254, 0])


@pytest.mark.parametrize("field", [-8, -1])  # checksum and length at the end of a member
def test_a_wrong_checksum_of_one_gzip_member_costs_no_other_member(field: int) -> None:
    members = [bytearray(gzip.compress(b"(%d.0) can0 123#11\n" % i)) for i in range(3)]
    members[0][field] ^= 1
    members[1][field] ^= 1
    content, skips = unpack(b"".join(map(bytes, members)))
    assert content == b"(0.0) can0 123#11\n(1.0) can0 123#11\n(2.0) can0 123#11\n"
    first, second = len(members[0]), len(members[0]) + len(members[1])
    places = [int(skip.where.removeprefix("byte ")) for skip in skips]
    assert len(places) == 2
    assert first - 8 <= places[0] < first <= second - 8 <= places[1] < second


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.logs.packed.FREE", 1 << 22)
    bomb, log = tmp_path / "bomb.log.gz", tmp_path / "log.gz"
    bomb.write_bytes(gzip.compress(bytes(1 << 28)))
    with pytest.raises(InputError, match="unpacks to too much"):
        read_log(bomb)
    log.write_bytes(gzip.compress(b"".join(b"(%d.000000) can0 123#%016X\n" % (k, k) for k in range(200_000))))
    assert len(read_log(log).trace) == 200_000  # beyond FREE, but no bomb
