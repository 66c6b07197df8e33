"""Every real text log of the measurement folder: recognised, read whole, and counted a second way."""

import gzip
import re
from pathlib import Path

import can
import numpy as np
import pytest
from logs_text_samples import BRS, ERR, ESI, EXT, FD, RTR, TX, at

from hil.errors import InputError
from hil.logs.log import Log
from hil.logs.recognise import recognise
from hil.logs.text import TEXT_FORMATS
from hil.logs.trace import Trace

# file, format, and a pattern that finds each line with a frame, written without the readers' patterns
FILES = [
    ("battery-emulator/28_RenaultZoe1_base_pid.txt", "battery-emulator", rb"RX0 "),
    ("battery-emulator/28_RenaultZoe1_ov.txt", "battery-emulator", rb"RX0 "),
    ("battery-emulator/37_MgGen1_base.txt", "battery-emulator", rb"RX0 "),
    ("battery-emulator/5_BydAtto3_base.txt", "battery-emulator", rb"RX0 "),
    ("ev-canlogs/bmw_i3_akku_only.trc", "pcan-text", rb"\t0000000[0-9]\t"),
    ("ev-canlogs/env200_40kWh_startup.crtd", "crtd", rb" [12][RT]11 "),
    ("ev-canlogs/leaf_EV-CANeplus2.log", "parserflags", rb"\tRX\t"),
    ("ev-canlogs/mach_e_battery.log", "parserflags", rb"\tRX\t"),
    ("ev-canlogs/think_enerdel_broken.trc", "trc-1.1", rb"\)\s+[0-9.]+\s+Rx "),
    ("ev-canlogs/zeekr_battery.csv", "gvret", rb",false,Rx,"),
    ("foxbms/can-log.trc", "trc-1.3", rb" Rx "),
    ("leaf/errors.txt", "charger-console", rb"msgID"),
    ("leaf/sgte2.txt", "charger-console", rb"msgID"),
    ("python-can/issue_1256.asc", "asc", rb" Rx "),
    ("python-can/issue_1299.asc", "asc", rb" Tx "),
    ("python-can/logfile.asc", "asc", rb"ErrorFrame|^(?!.*J1939).* [RT]x "),
    ("python-can/logfile_errorframes.asc", "asc", rb"ErrorFrame| [RT]x "),
    ("python-can/single_frame.asc", "asc", rb" Rx "),
    ("python-can/single_frame_us_locale.asc", "asc", rb" Rx "),
    ("python-can/test_CanErrorFrames.asc", "asc", rb"ErrorFrame"),
    ("python-can/test_CanFdMessage.asc", "asc", rb"CANFD"),
    ("python-can/test_CanFdMessage64.asc", "asc", rb"CANFD"),
    ("python-can/test_CanFdRemoteMessage.asc", "asc", rb"CANFD"),
    ("python-can/test_CanMessage.asc", "asc", rb" [RT]x "),
    ("python-can/test_CanMessage.asc.gz", "asc", rb" [RT]x "),
    ("python-can/test_CanRemoteMessage.asc", "asc", rb" [RT]x "),
    ("python-can/test_CanMessage.trc", "trc-2.1", rb" DT "),
    ("python-can/test_CanMessage_V1_0_BUS1.trc", "trc-1.0", rb"^\s*\d+\)(?!.*FFFFFFFF)"),
    ("python-can/test_CanMessage_V1_1.trc", "trc-1.1", rb" [RT]x "),
    ("python-can/test_CanMessage_V1_3.trc", "trc-1.3", rb" [RT]x "),
    ("python-can/test_CanMessage_V2_0_BUS1.trc", "trc-2.0", rb" (?:DT|RR) "),
    ("python-can/test_CanMessage_V2_1.trc", "trc-2.1", rb" (?:DT|RR) "),
    ("savvycan/BusMasterLog.log", "busmaster", rb" Rx 0 "),
    ("savvycan/CRTD_Log.txt", "crtd", rb" R11 "),
    ("savvycan/CarBusAnalyzer.trc", "pcan-text", rb"\t0004\t"),
    ("savvycan/GVRET_Log.csv", "gvret", rb",false,"),
]


def content_of(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def read(path: Path) -> Log:
    content = content_of(path)
    return TEXT_FORMATS[recognise(content[: 1 << 16], path.name)](content, None)


@pytest.mark.shared_data
@pytest.mark.parametrize(("file", "form", "pattern"), FILES, ids=lambda v: v if isinstance(v, str) and "/" in v else "")
def test_a_real_log_is_recognised_and_read_whole(shared_data: Path, file: str, form: str, pattern: bytes) -> None:
    path = shared_data / "can" / "logs" / file
    log = read(path)
    lines = content_of(path).replace(b"\r", b"\n").split(b"\n")
    counted = sum(re.search(pattern, line) is not None for line in lines if not line.startswith(b";"))
    assert log.format == form
    assert len(log.trace) == counted
    assert log.unreadable == 0 and log.skipped == ()


@pytest.mark.shared_data
def test_no_real_file_is_left_out_and_the_databases_among_them_are_refused_as_such(shared_data: Path) -> None:
    root = shared_data / "can" / "logs"
    named = {file for file, _, _ in FILES}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        file = path.relative_to(root).as_posix()
        if path.suffix == ".dbc":
            with pytest.raises(InputError, match="a DBC database"):
                recognise(path.read_bytes(), file)
        elif file not in named:
            assert recognise(path.read_bytes(), file) in ("blf", "mf4", "candump"), file


def assert_same_frames(trace: Trace, messages: list, start_ns: int, but: dict[int, str]) -> None:
    """Frame for frame against python-can; ``but`` names frames where python-can is wrong, and why."""
    assert len(trace) == len(messages)
    for i, message in enumerate(messages):
        if i in but:
            continue
        bits = int(trace.bits[i])
        assert abs(int(trace.t_ns[i]) - start_ns - round(message.timestamp * 1e9)) <= 1_000, i
        if message.is_error_frame:
            assert bits & ERR
            continue
        assert (int(trace.id[i]), bool(bits & EXT)) == (message.arbitration_id, message.is_extended_id), i
        assert (bool(bits & FD), bool(bits & RTR), not bits & TX) == (
            message.is_fd,
            message.is_remote_frame,
            message.is_rx,
        ), i
        assert (trace.payload(i), int(trace.dlc[i])) == (bytes(message.data), message.dlc), i


WRONG = {
    "issue_1299.asc": {2: "a classic frame with length code 13 is given 32 bytes of which 8 exist"},
    "logfile.asc": {17: "its flags lack FD, and FD knows no remote frames"},
    "test_CanFdRemoteMessage.asc": {0: "its flags lack FD, and FD knows no remote frames"},
    "single_frame.asc": {0: "56 of 64 bytes are dropped"},
}


@pytest.mark.shared_data
@pytest.mark.parametrize("file", [f for f, form, _ in FILES if form == "asc" and not f.endswith(".gz")])
def test_asc_agrees_with_python_can(shared_data: Path, file: str) -> None:
    path = shared_data / "can" / "logs" / file
    log = read(path)
    found = re.search(r"(\d{4}-\S+)", log.facts["start"])
    assert found is not None
    start_ns = at(found.group(1)[:19]) + int(found.group(1)[20:26]) * 1000
    assert_same_frames(log.trace, list(can.ASCReader(str(path))), start_ns, WRONG.get(path.name, {}))


@pytest.mark.shared_data
@pytest.mark.parametrize("file", [f for f, form, _ in FILES if form.startswith("trc")])
def test_trc_agrees_with_python_can(shared_data: Path, file: str) -> None:
    path = shared_data / "can" / "logs" / file
    log = read(path)
    start_ns = (
        at("2021-12-18T14:28:07") + 62_000_000 if log.format == "trc-1.0" else 0
    )  # there python-can leaves it out
    assert_same_frames(log.trace, list(can.TRCReader(str(path))), start_ns, {})


MESSAGES = [
    {"arbitration_id": 0x123, "is_extended_id": False, "data": bytes(range(8))},
    {"arbitration_id": 0x18DAF110, "is_extended_id": True, "data": b"\xff", "is_rx": False},
    {"arbitration_id": 0x7, "is_extended_id": True, "data": b""},
    {"arbitration_id": 0x321, "is_extended_id": False, "is_remote_frame": True, "dlc": 5},
    {"arbitration_id": 0x400, "is_extended_id": False, "is_fd": True, "bitrate_switch": True, "data": bytes(range(48))},
    {
        "arbitration_id": 0x1ABCDEF0,
        "is_fd": True,
        "error_state_indicator": True,
        "data": bytes(range(12)),
        "is_rx": False,
    },
]


@pytest.mark.parametrize(("writer", "kinds"), [("ASCWriter", 6), ("TRCWriter", 3), ("CSVWriter", 4)])
def test_what_python_can_writes_is_read_as_it_was_sent(tmp_path: Path, writer: str, kinds: int) -> None:
    path = tmp_path / {"ASCWriter": "x.asc", "TRCWriter": "x.trc", "CSVWriter": "x.csv"}[writer]
    sent = [
        can.Message(timestamp=1.7e9 + i * 0.0625, channel=0, check=True, **m)
        for i, m in enumerate(MESSAGES[:kinds] * 3)
    ]
    with getattr(can, writer)(str(path)) as log:
        for message in sent:
            log.on_message_received(message)
    trace = read(path).trace
    assert len(trace) == len(sent)
    assert np.array_equal(np.diff(trace.t_ns), np.full(len(sent) - 1, 62_500_000))
    for i, message in enumerate(sent):
        bits = int(trace.bits[i])
        assert (int(trace.id[i]), bool(bits & EXT)) == (message.arbitration_id, message.is_extended_id)
        assert bool(bits & RTR) == message.is_remote_frame and trace.payload(i) == bytes(message.data)
        assert bool(bits & FD) == message.is_fd and bool(bits & BRS) == message.bitrate_switch
        assert bool(bits & ESI) == message.error_state_indicator
        # ASC is written without the length of remote frames, TRC without their mark (not sent here), the table without direction
        assert message.is_remote_frame or int(trace.dlc[i]) == message.dlc
        assert writer == "CSVWriter" or bool(bits & TX) != message.is_rx


@pytest.mark.shared_data
def test_three_exports_of_one_recording_hold_the_same_frames(shared_data: Path) -> None:
    folder = shared_data / "can" / "logs" / "savvycan"
    logs = [read(folder / name).trace for name in ("GVRET_Log.csv", "CRTD_Log.txt", "BusMasterLog.log")]
    for trace in logs[1:]:
        assert np.array_equal(trace.id, logs[0].id) and np.array_equal(trace.dlc, logs[0].dlc)
        assert np.array_equal(trace.words, logs[0].words)
        assert np.array_equal(np.diff(trace.t_ns), np.diff(logs[0].t_ns))


@pytest.mark.shared_data
def test_the_checksum_and_the_counter_of_a_real_battery_are_right_in_what_was_read(shared_data: Path) -> None:
    trace = read(shared_data / "can" / "logs" / "ev-canlogs" / "leaf_EV-CANeplus2.log").trace
    rows = [trace.payload(int(i)) for i in np.flatnonzero(trace.id == 0x1DB)]
    assert len(rows) > 1_000
    for payload in rows:  # CRC-8, polynomial 0x85, over the first seven bytes
        crc = 0
        for byte in payload[:7]:
            crc ^= byte
            for _ in range(8):
                crc = (crc << 1 ^ 0x85) & 0xFF if crc & 0x80 else crc << 1 & 0xFF
        assert crc == payload[7]
    steps = np.diff([payload[6] & 3 for payload in rows]) % 4
    assert (steps == 1).mean() > 0.999
