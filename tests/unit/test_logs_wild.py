"""What real recorders and tools write beyond the plain form of a format, line by line."""

from pathlib import Path

import can
import pytest

from hil.logs.read import read_content, read_log
from hil.logs.trace import Trace
from hil.tick import FrameBits

EXT, RTR, FD = int(FrameBits.EXTENDED), int(FrameBits.REMOTE), int(FrameBits.FD)
BRS, ESI = int(FrameBits.BITRATE_SWITCH), int(FrameBits.ERROR_STATE)
ERR, TX = int(FrameBits.ERROR), int(FrameBits.SENT)
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
APRIL_NS = 1_397_640_073 * SECOND_NS  # 2014-04-16 09:21:13


def rows(trace: Trace) -> list[tuple[int, int, int, str]]:
    return [
        (int(trace.id[i]), int(trace.bits[i]), int(trace.dlc[i]), trace.payload(i).hex()) for i in range(len(trace))
    ]


LONG = "00 11 22 33 44 55 66 77 88 99 AA BB"


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("can0  123   [8]  11 22 33 44 55 66 77 88", (0x123, 0, 8, "1122334455667788")),
        ("can0  123  [08]  11 22 33 44 55 66 77 88", (0x123, FD, 8, "1122334455667788")),
        ("can0  123  [00] ", (0x123, FD, 0, "")),
        ("can0  RX B -  18FF50E5  [02]  11 22", (0x18FF50E5, EXT | FD | BRS, 2, "1122")),
        ("can0  TX - E  123  [12]  " + LONG, (0x123, TX | FD | ESI, 12, LONG.replace(" ", "").lower())),
        ("can0  123   {F}  11 22 33 44 55 66 77 88", (0x123, 0, 8, "1122334455667788")),
        ("can0  123   {2}  11 22", (0x123, 0, 2, "1122")),
        ("can0  123   {A}  remote request", (0x123, RTR, 8, "")),
        ("can0  123   [3]  33`22`11", (0x123, 0, 3, "112233")),
        ('can0  123   [3]  33`22`11                       `3".`', (0x123, 0, 3, "112233")),
        ("can0  123   [2]  00010001 00100010", (0x123, 0, 2, "1122")),
        ("can0  123   [2]  00100010`00010001", (0x123, 0, 2, "1122")),
        ("can0  123   [2]  11 22                     '.\"'", (0x123, 0, 2, "1122")),
        ("can0  20000004   [8]  00 04 00 00 00 00 00 00   ERRORFRAME", (4, ERR, 8, "0004000000000000")),
        ("\x1b[32mcan0  123   [2]  11 22\x1b[0m", (0x123, 0, 2, "1122")),
    ],
)
@pytest.mark.parametrize("time", ["", " (1700000000.000100)  "], ids=["untimed", "timed"])
def test_every_view_of_candump_is_read(time: str, line: str, row: tuple[int, int, int, str]) -> None:
    log = read_content(f"{time}{line}\n".encode() * 3)
    assert rows(log.trace) == [row] * 3
    assert log.unreadable == 0


def test_what_candump_tells_of_an_error_message_is_no_damage() -> None:
    line = "  can0  20000024   [8]  00 04 00 00 00 00 00 60   ERRORFRAME\n"
    log = read_content(f"{line}\tcontroller-problem{{rx-error-warning}}\n\tno-acknowledgement-on-tx\n{line}".encode())
    assert (len(log.trace), log.unreadable) == (2, 0)
    log = read_content(b"  can0  123   [1]  11\n\tcontroller-problem\n")
    assert log.unreadable == 1


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("can0 123##31122", (0x123, FD | BRS | ESI, 2, "1122")),
        ("can0 123##0", (0x123, FD, 0, "")),
        ("can0 20000080#0000", (0x80, ERR, 2, "0000")),
        ("can0 123#1122334455667788_F", (0x123, 0, 8, "1122334455667788")),
        ("can0 123#R8_F T", (0x123, RTR | TX, 8, "")),
    ],
)
@pytest.mark.parametrize("time", ["", "(1700000000.000100) "], ids=["untimed", "timed"])
def test_every_frame_of_the_log_form_is_read_with_and_without_times(
    time: str, line: str, row: tuple[int, int, int, str]
) -> None:
    log = read_content(f"{time}{line}\n".encode() * 2)
    assert rows(log.trace) == [row] * 2
    assert log.unreadable == 0


LINES = [f"({1_700_000_000 + i}.5) can0 123#{i:02X}" for i in range(20)]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES).encode("utf-8-sig"),
        "\r\n".join(LINES).encode("utf-16"),
        "\n".join(LINES).encode("utf-16-be"),
        "\r".join(LINES).encode(),
        "\n".join(["# recorded on the bench", "; second line", "// third", "#", *LINES]).encode(),
    ],
    ids=["mark", "utf-16", "utf-16-be", "cr", "comments"],
)
def test_a_candump_log_that_another_system_saved_is_read(content: bytes) -> None:
    log = read_content(content)
    assert (log.format, len(log.trace), log.unreadable) == ("candump", 20, 0)
    assert log.trace.absolute


def test_a_candump_log_of_nothing_but_times_before_zero_is_recognised() -> None:
    log = read_content(b"(-2.5) can0 123#11\n(-1.0) can0 123#22\n")
    assert log.trace.t_ns.tolist() == [-2_500_000_000, -1_000_000_000]


def test_a_damaged_bracket_is_no_comment() -> None:
    log = read_content("\n".join([*LINES, "#1700000000.5) can0 123#11", ";1700000000.5) can0 123#11"]).encode())
    assert (len(log.trace), log.unreadable) == (20, 2)


ASC = "date Wed Apr 16 09:21:13.000 2014\nbase hex  timestamps absolute\n"
ASC_FRAME = "   1.000100 1  123             Rx   d 1 01\n"


@pytest.mark.parametrize(
    "event",
    [
        "Li 2d Tx 8 00 f0 f0 ff ff ff ff ff checksum = 70",
        "L2 2d Rx 8 00 f0 f0 ff ff ff ff ff checksum = 70",
        "EnvCounter := 5",
        "WLAN 1 Rx 00",
        "2  CANFD OverloadFrame",
        "GM: a marker",
        "1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%",
        "CAN 1 Status:chip status error active",
    ],
)
def test_an_event_of_an_asc_file_that_is_no_frame_is_no_damage(event: str) -> None:
    log = read_content(f"{ASC}{ASC_FRAME}   1.5 {event}\n{ASC_FRAME}".encode())
    assert (len(log.trace), log.unreadable) == (2, 0)
    assert log.facts["other_events"] == "1"


def test_an_asc_file_of_python_can_has_the_times_of_its_messages(tmp_path: Path) -> None:
    """It writes its own time as the file's date, and the first message's as that of the trigger block."""
    start = 1_500_000_000.25
    with can.ASCWriter(tmp_path / "x.asc") as writer:
        for i in range(3):
            writer.on_message_received(can.Message(timestamp=start + i, arbitration_id=i, is_extended_id=False))
    log = read_log(tmp_path / "x.asc")
    theirs = list(can.ASCReader(tmp_path / "x.asc", relative_timestamp=False))
    assert log.trace.absolute
    zone_s = round((theirs[0].timestamp - int(log.trace.t_ns[0]) / 1e9) / 900) * 900  # it means local time
    assert [round((m.timestamp - zone_s) * 1e6) for m in theirs] == [t // 1000 for t in log.trace.t_ns.tolist()]


def test_the_date_of_a_later_trigger_block_moves_nothing() -> None:
    block = "Begin Triggerblock Wed Apr 16 09:21:20.000 2014\n   7.000100 1  123   Rx   d 1 02\nEnd TriggerBlock\n"
    log = read_content(f"{ASC}{ASC_FRAME}{block}".encode())
    assert log.trace.t_ns.tolist() == [APRIL_NS + 1_000_100_000, APRIL_NS + 7_000_100_000]


def at_second(content: str, n: int, after_ns: int) -> None:
    """The log joined to itself, a day later: the first ``n`` frames as they were, the others ``after_ns`` behind them."""
    log = read_content(content.encode())
    t = log.trace.t_ns.tolist()
    assert len(t) == 2 * n
    assert log.unreadable == 0
    assert [b - a for a, b in zip(t[:n], t[n:], strict=True)] == [after_ns] * n


def test_joined_asc_files_count_from_their_own_dates() -> None:
    second = ASC.replace("Apr 16", "Apr 18")
    at_second(ASC + ASC_FRAME * 2 + second + ASC_FRAME * 2, 2, 2 * DAY_NS)
    relative = "base hex  timestamps relative\n"
    at_second(ASC + relative + ASC_FRAME * 2 + second + relative + ASC_FRAME * 2, 2, 2 * DAY_NS)


def test_joined_trc_files_count_from_their_own_dates() -> None:
    one = ";$FILEVERSION=1.1\n;$STARTTIME=40000.5\n;   Start time: 06.07.2009 12:00:00.000.0\n"
    frame = "     1)      1059.9  Rx         0300  1  07\n"
    at_second(one + frame * 3 + one.replace("40000.5", "40001.5") + frame * 3, 3, DAY_NS)
    old = ";   Start time: 06.07.2009 12:00:00.000.0\n;   PCAN-Net: TestNet\n"
    frame = "     1)      1059  0300  1  07\n"
    at_second(old + frame * 3 + old.replace("06.07", "09.07") + frame * 3, 3, 3 * DAY_NS)


def test_sessions_of_a_busmaster_log_count_from_their_own_dates() -> None:
    one = "***BUSMASTER Ver 2.4.0***\n***START DATE AND TIME 23:9:2015 22:17:28:928***\n***HEX***\n***SYSTEM MODE***\n"
    frames = "23:59:59:0000 Rx 1 0x21A s 1 FE\n0:00:01:0000 Rx 1 0x21A s 1 FE\n"
    at_second(one + frames + one.replace("23:9", "29:9") + frames, 2, 6 * DAY_NS)


def test_joined_blf_files_count_from_their_own_dates(tmp_path: Path) -> None:
    parts = []
    for day in (5, 9):
        with can.BLFWriter(tmp_path / "x.blf") as writer:
            for i in range(50):
                stamp = day * 86_400 + 1_700_000_000 + i
                writer.on_message_received(can.Message(timestamp=stamp, arbitration_id=i, is_extended_id=False))
        parts.append((tmp_path / "x.blf").read_bytes())
    log = read_content(b"".join(parts))
    assert (len(log.trace), log.unreadable) == (100, 0)
    assert (log.trace.t_ns[50:] - log.trace.t_ns[:50]).tolist() == [4 * DAY_NS] * 50


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ("O,T,I,d,l,D", "1059.900 DT     0300 Rx 2  0A 0B"),
        ("O,T,B,I,d,R,L,D", "1059.900 DT 1      0300 Rx -  2    0A 0B"),
        ("O,T,B,I,d,l,D", "1059.900 DT 1      0300 Rx 2    0A 0B"),
        ("N,O,T,B,I,d,l,D", "1 1059.900 DT 1      0300 Rx 2    0A 0B"),
    ],
)
def test_a_trc_file_may_leave_columns_out(columns: str, line: str) -> None:
    version = "2.1" if "B" in columns else "2.0"
    log = read_content(
        f";$FILEVERSION={version}\n;$STARTTIME=42474.5\n;$COLUMNS={columns}\n;\n   {line}\n".encode() * 2
    )
    assert log.format == f"trc-{version}"
    assert rows(log.trace) == [(0x300, 0, 2, "0a0b")] * 2
    assert log.unreadable == 0
    assert log.trace.t_ns[0] % SECOND_NS == 59_900_000


def channels(content: str) -> list[int]:
    log = read_content(content.encode())
    assert log.unreadable == 0
    return log.trace.channel.tolist()


@pytest.mark.parametrize(
    "line",
    [
        "   1.000100 {}  123             Rx   d 1 01\n",
        "     1)      1059.900 {}  Rx        0300 -  1    07\n",
        "1320745424.066 {}R11 100 01\n",
    ],
    ids=["asc", "trc", "crtd"],
)
def test_channels_of_a_file_that_counts_from_zero_stay_apart(line: str) -> None:
    assert channels("".join(line.format(n) for n in (0, 1, 2, 1))) == [0, 1, 2, 1]
    assert channels("".join(line.format(n) for n in (1, 2, 2, 1))) == [0, 1, 1, 0]
    many = "".join(line.format(n) for n in (1, 2) * 10)
    assert channels(many + line.format(0)) == [0, 1] * 10 + [0]  # one damaged digit moves no other frame


def test_error_frames_of_a_trc_file_keep_their_direction() -> None:
    head = ";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n"
    log = read_content(f"{head} 1 1.5 ER 2 - Rx - 5 04 00 02 00 00\n 2 2.5 ER 1 - Tx - 0\n".encode())
    assert rows(log.trace) == [(0, ERR, 0, ""), (0, ERR | TX, 0, "")]
    assert log.trace.channel.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("head", "line", "kept"),
    [
        ("date Wed Apr 16 09:21:13.000 2014\nbase hex  timestamps absolute\n// version 8", ASC_FRAME, 20),
        (";$FILEVERSION=1.1\n;   Message Number", "     1)      1059.9  Rx         0300  1  07\n", 20),
        ("(1.5) can0 123#11\n# a comment", "(1.5) can0 123#11\n", 21),
        ("(2.345) RX0 1DB [1] 11\n# a comment", "(2.345) RX0 1DB [1] 11\n", 21),
        ("(2.345) RX0 1DB [1] 11", "(2.345) RX0 1DB [1] 11\n", 20),
    ],
    ids=["asc", "trc", "candump", "battery-emulator", "behind a frame"],
)
def test_zeros_that_begin_in_a_line_that_is_understood_are_counted(head: str, line: str, kept: int) -> None:
    log = read_content((head + "\0" * 600 + "\n" + line * 20).encode())
    assert (len(log.trace), log.unreadable) == (kept, 1)
