"""candump -l: python-can as second implementation in both directions, the notations it lacks by hand, and damage."""

import io
from pathlib import Path
from typing import Any

import can
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.logs.candump import read_candump
from hil.logs.read import read_content
from hil.logs.trace import Trace
from hil.logs.write import write_log
from hil.tick import FrameBits

E, F, B, X, T, R, S = (FrameBits[n] for n in "EXTENDED FD BITRATE_SWITCH ERROR SENT REMOTE ERROR_STATE".split())


def rows(trace: Trace) -> list[tuple[Any, ...]]:
    columns = (trace.t_ns, trace.channel, trace.id, trace.bits, trace.dlc)
    return [(*row, trace.payload(i)) for i, row in enumerate(zip(*(c.tolist() for c in columns), strict=True))]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("(1.5) can0 123#0102", (1_500_000_000, 0, 0x123, 0, 2, b"\x01\x02")),
        ("(0.000001) vcan0 00000123#", (1000, 0, 0x123, E, 0, b"")),
        ("(12.123456789) can0 7FF#ff T", (12_123_456_789, 0, 0x7FF, T, 1, b"\xff")),
        ("(12.1234567891) can0 7fF#aB R", (12_123_456_789, 0, 0x7FF, 0, 1, b"\xab")),
        ("(1.0) can0 1FFFFFFF#R", (1_000_000_000, 0, 0x1FFFFFFF, E | R, 0, b"")),
        ("(1.0) can0 123#R8 T", (1_000_000_000, 0, 0x123, R | T, 8, b"")),
        ("(1.0) can0 123##3" + "11" * 12, (1_000_000_000, 0, 0x123, F | B | S, 12, b"\x11" * 12)),
        ("(1.0) can0 123##0", (1_000_000_000, 0, 0x123, F, 0, b"")),
        ("(1.0) can0 123##1" + "FE" * 64 + " R", (1_000_000_000, 0, 0x123, F | B, 64, b"\xfe" * 64)),
        ("(1.0) can0 20000088#0000800000000000", (1_000_000_000, 0, 0x88, X, 8, bytes([0, 0, 128, 0, 0, 0, 0, 0]))),
        ("(1.0) can0 123#11.22.33", (1_000_000_000, 0, 0x123, 0, 3, b"\x11\x22\x33")),
        ("(1.0) can0 123#1122334455667788_F", (1_000_000_000, 0, 0x123, 0, 8, bytes.fromhex("1122334455667788"))),
        ("(7) can0 123#", (7_000_000_000, 0, 0x123, 0, 0, b"")),
        ("\t(7.25)  can0\t123#11  ", (7_250_000_000, 0, 0x123, 0, 1, b"\x11")),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_each_notation_is_understood(line: str, row: tuple[Any, ...], end: str) -> None:
    log = read_candump((line + end).encode())
    assert rows(log.trace) == [row]
    assert log.unreadable == 0


@pytest.mark.parametrize(
    "line",
    [
        "1.5 can0 123#01",
        "(1.5 can0 123#01",
        "(x) can0 123#01",
        "(1.5) 123#01",
        "(1.5) can0 #01",
        "(1.5) can0 12g#01",
        "(1.5) can0 800#01",
        "(1.5) can0 123456789#01",
        "(1.5) can0 123#0",
        "(1.5) can0 123#0x",
        "(1.5) can0 123#112233445566778899",
        "(1.5) can0 123##",
        "(1.5) can0 123##0" + "00" * 65,
        "(1.5) can0 123#R9",
        "(1.5) can0 123#01 X",
        "(1.5) can0 123#01 T T",
        "(1.5) can0 123 01",
        "(99999999999.0) can0 123#01",
    ],
)
def test_a_damaged_line_costs_itself_and_is_named(line: str) -> None:
    log = read_candump(f"(1) can0 001#\n\n{line}\r\n(2) can1 002#\n".encode())
    assert log.trace.id.tolist() == [1, 2]
    assert log.trace.channel.tolist() == [0, 1]
    assert [(s.where, log.unreadable) for s in log.skipped] == [("line 3", 1)]


def test_interfaces_keep_the_number_in_their_name_and_are_named_in_the_facts() -> None:
    log = read_candump(b"(1) vcan9 001#\n(2) can0 001#\n(3) vcan9 001#\n(4) can #broken\n(5) can 001#\n")
    assert log.trace.channel.tolist() == [9, 0, 9, 1]
    assert log.facts == {"channel 0": "can0", "channel 1": "can", "channel 9": "vcan9"}


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        (["can1", "can0", "can1"], [1, 0, 1]),
        (["can1"], [1]),
        (["can255", "can12"], [255, 12]),
        (["can300", "can1000", "can0"], [1, 2, 0]),
        (["canB", "canA", "canA"], [0, 1, 1]),
        (["can01", "can1"], [1, 2]),
    ],
)
def test_an_interface_is_the_channel_it_names_and_else_the_next_free_one(names: list[str], channels: list[int]) -> None:
    log = read_candump("".join(f"({i}) {name} 001#\n" for i, name in enumerate(names)).encode())
    assert log.trace.channel.tolist() == channels


def test_a_log_of_candump_that_begins_with_can1_is_written_with_the_same_interfaces(tmp_path: Path) -> None:
    content = b"(1.000000) can1 001# R\n(2.000000) can0 002# R\n"
    write_log(read_candump(content).trace, tmp_path / "x.log")
    assert (tmp_path / "x.log").read_bytes() == content


def test_names_that_are_no_text_stay_apart() -> None:
    log = read_candump(b"(1) \xff 001#\n(2) \xfe 001#\n")
    assert len(set(log.trace.channel.tolist())) == 2


def test_more_interfaces_than_there_are_channels_are_damage() -> None:
    log = read_candump(b"".join(b"(1) if%d 001#\n" % i for i in range(300)))
    assert log.trace.channel.tolist() == list(range(256))
    assert log.unreadable == 44
    assert log.skipped[0].where == "line 257"


def test_times_of_day_are_absolute_and_small_times_are_not() -> None:
    assert read_candump(b"(1700000000.000001) can0 001#\n").trace.absolute
    assert not read_candump(b"(166.000001) can0 001#\n").trace.absolute


def test_many_damaged_lines_are_counted_and_the_first_are_named() -> None:
    log = read_candump(b"(1) can0 001#\n" + b"rubbish\n" * 500)
    assert (log.unreadable, len(log.skipped), log.skipped[-1].where) == (500, 100, "line 101")


def test_a_file_longer_than_a_block_is_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"({i}.{i:06d}) can{i % 3} {i % 2048:03X}##1{'AB' * (i % 20)}\n" for i in range(3000)]
    whole = rows(read_candump("".join(lines).encode()).trace)
    monkeypatch.setattr("hil.logs.candump.BLOCK", 100)
    shares: list[float] = []
    assert rows(read_candump("".join(lines).encode(), shares.append).trace) == whole
    assert len(whole) == 3000
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


FRAMES = st.builds(
    lambda t, n, extended, kind, data, channel, sent: can.Message(
        timestamp=t / 1e6,
        arbitration_id=n if extended else n & 0x7FF,
        is_extended_id=extended,
        is_fd=kind == "fd",
        bitrate_switch=kind == "fd" and n % 2 == 0,
        error_state_indicator=kind == "fd" and n % 3 == 0,
        is_remote_frame=kind == "remote",
        is_rx=not sent,
        data=None if kind == "remote" else data[: 64 if kind == "fd" else 8],
        channel=f"can{channel}",
    ),
    st.integers(0, 1 << 50),
    st.integers(0, (1 << 29) - 1),
    st.booleans(),
    st.sampled_from(["data", "data", "fd", "remote"]),
    st.sampled_from([0, 1, 5, 8, 12, 16, 20, 24, 32, 48, 64]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.integers(0, 3),
    st.booleans(),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(FRAMES, max_size=20))
def test_what_python_can_writes_we_read_alike_and_what_we_write_it_reads_alike(messages: list[can.Message]) -> None:
    messages.sort(key=lambda m: m.timestamp)
    text = io.StringIO()
    writer = can.CanutilsLogWriter(text)
    for message in messages:
        writer.on_message_received(message)
    trace = read_candump(text.getvalue().encode()).trace
    theirs = list(can.CanutilsLogReader(io.StringIO(text.getvalue())))
    assert [shown(m) for m in theirs] == [(i, b, n, d) for _, _, i, b, n, d in rows(trace)]
    assert [round(m.timestamp * 1e6) for m in theirs] == [t // 1000 for t in trace.t_ns.tolist()]
    from hil.logs.text_write import candump
    from hil.logs.text_write import rows as listed

    ours = "".join(map(candump(trace, 0)[1], listed(trace)))
    assert [shown(m) for m in can.CanutilsLogReader(io.StringIO(ours))] == [shown(m) for m in theirs]
    again = read_candump(ours.encode()).trace
    # Interfaces get new names when written, which have the channels as their numbers.
    assert rows(again) == rows(trace)


def shown(message: can.Message) -> tuple[int, int, int, bytes]:
    pairs = (
        (message.is_extended_id, E),
        (message.is_fd, F),
        (message.bitrate_switch, B),
        (message.error_state_indicator, S),
        (message.is_remote_frame, R),
        (not message.is_rx, T),
    )
    return (message.arbitration_id, sum(int(b) for on, b in pairs if on), message.dlc, bytes(message.data))


LINES = [f"(17{i:08d}.{i:06d}) can{i % 2} {0x100 + i:03X}#{f'{i:02X}' * (i % 9)}\n".encode() for i in range(40)]


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_flipped_byte_costs_at_most_two_lines_and_a_cut_nothing_before_it(data: Any) -> None:
    content = bytearray(b"".join(LINES))
    whole = rows(read_candump(bytes(content)).trace)
    at = data.draw(st.integers(0, len(content) - 1))
    hit = content[:at].count(b"\n")
    cut = rows(read_candump(bytes(content[:at])).trace)
    assert cut[:hit] == whole[:hit]
    content[at] ^= data.draw(st.integers(1, 255))
    found = [(r[0], *r[2:]) for r in rows(read_candump(bytes(content)).trace)]  # the flip may make a new interface
    assert {(r[0], *r[2:]) for i, r in enumerate(whole) if i not in (hit, hit + 1)} <= set(found)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(LINES)), max_size=12))
def test_rubbish_between_lines_costs_no_line(pieces: list[bytes]) -> None:
    content = b"\n".join(piece.replace(b"\n", b"") for piece in pieces)
    log = read_candump(content)
    assert len(log.trace) >= sum(piece in LINES for piece in pieces)
    assert len(log.trace) + log.unreadable <= len(pieces)


@pytest.mark.shared_data
def test_the_candump_log_at_hand_is_read_as_python_can_reads_it(shared_data: Path) -> None:
    path = shared_data / "can" / "logs" / "savvycan" / "candump.log"
    trace = read_content(path.read_bytes()).trace
    theirs = list(can.CanutilsLogReader(path))
    assert len(theirs) == 12_974
    assert [(i, b, n, d) for _, _, i, b, n, d in rows(trace)] == [shown(m) for m in theirs]


def test_nanoseconds_are_written_when_there_are_some(tmp_path: Path) -> None:
    log = read_candump(b"(1.000000001) can0 001#\n(2.5) can0 001#\n")
    write_log(log.trace, tmp_path / "x.log")
    assert (tmp_path / "x.log").read_text() == "(1.000000001) can0 001# R\n(2.500000000) can0 001# R\n"
