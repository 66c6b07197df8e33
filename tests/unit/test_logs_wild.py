"""What real recorders and tools write beyond the plain form of a format, line by line."""

import pytest

from hil.logs.read import read_content
from hil.logs.trace import Trace
from hil.tick import FrameBits

EXT, RTR, FD = int(FrameBits.EXTENDED), int(FrameBits.REMOTE), int(FrameBits.FD)
BRS, ESI = int(FrameBits.BITRATE_SWITCH), int(FrameBits.ERROR_STATE)
ERR, TX = int(FrameBits.ERROR), int(FrameBits.SENT)


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


def test_a_damaged_bracket_is_no_comment() -> None:
    log = read_content("\n".join([*LINES, "#1700000000.5) can0 123#11", ";1700000000.5) can0 123#11"]).encode())
    assert (len(log.trace), log.unreadable) == (20, 2)
