"""``hil replay`` from the command line to files, reports and exit codes."""

import json
from pathlib import Path

import can
import pytest
from click.testing import CliRunner, Result

import hil.cli.replay  # noqa: F401  # registers the command
from hil.cli.group import main

ROOT = Path(__file__).parents[2]
DBC, E2E = str(ROOT / "dbc" / "bench.dbc"), str(ROOT / "dbc" / "bench.e2e.yaml")
LOG = """\
(100.000000) can0 123#1122334455667788
(100.010000) can0 124#11
(100.020000) can1 12345678#AA
(100.500000) can0 123#0022334455667788
(104.000000) can0 125#R4
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "drive.log"
    path.write_text(LOG)
    return path


def hil_replay(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)], input=stdin)


def told(*arguments: object) -> dict:
    result = hil_replay(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return {**json.loads(result.stdout), "code": result.exit_code}


def lines(text: str) -> list[tuple[float, str]]:
    out = []
    for line in text.splitlines():
        time, channel, frame = line.split(" ")[:3]
        out.append((float(time.strip("()")), f"{channel} {frame}"))
    return out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [0, 0.01, 0.02, 0.5, 4]),
        (("--speed", "4"), [0, 0.0025, 0.005, 0.125, 1]),
        (("--gap", "5ms"), [0, 0.005, 0.01, 0.015, 0.02]),
        (("--fast",), [0, 0, 0, 0, 0]),
        (("--max-gap", "100ms"), [0, 0.01, 0.02, 0.12, 0.22]),
        (("--window", "10ms..1s"), [0, 0.01, 0.49]),
        (("--start-on", "0x124"), [0, 0.01, 0.49, 3.99]),
        (("--id", "!0x124", "--only-channel", "0"), [0, 0.5, 4]),
        (("--loop", "2", "--pause", "1s", "--id", "0x123"), [0, 0.5, 1.5, 2]),
    ],
)
def test_a_log_is_written_with_the_times_the_options_ask_for(log: Path, tmp_path: Path, options, expected) -> None:
    out = tmp_path / "out.log"
    result = hil_replay(log, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert [t for t, _ in lines(out.read_text())] == expected


def test_a_playlist_is_played_in_order_with_identifiers_and_channels_renamed(log: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "second.log", tmp_path / "out.log"
    other.write_text("(7.000000) can0 700#\n")
    result = hil_replay(log, other, "--out", out, "--map-id", "0x123=0x321", "--map-channel", "1=5")
    assert result.exit_code == 0, result.output
    assert [f for _, f in lines(out.read_text())] == [
        "can0 321#1122334455667788",
        "can0 124#11",
        "can5 12345678#AA",
        "can0 321#0022334455667788",
        "can0 125#R4",
        "can0 700#",
    ]


def test_the_report_accounts_for_every_frame(log: Path) -> None:
    made = told(log, "--dry-run", "--id", "0x123", "--window", "..1s", "--duplicate", "100%")
    assert (made["planned"], made["sent"], made["added"]) == (4, 4, 2)
    assert made["left_out"] == {"window": 1, "id": 2}
    assert (made["code"], made["exit"], made["ended"]) == (0, 0, "done")


def test_frames_go_to_a_bus_of_python_can(log: Path) -> None:
    with can.Bus(interface="virtual", channel="command", ignore_config=True) as bus:
        options = ("--interface", "virtual", "--channel", "command", "--speed", "100", "--late-limit", "10s")
        made = told(log, *options)
        got = []
        while (message := bus.recv(0)) is not None:
            got.append((message.arbitration_id, message.is_extended_id, message.is_remote_frame, bytes(message.data)))
    assert made["code"] == 0
    assert made["lateness"]["within_limit"] is True
    assert got == [
        (0x123, False, False, bytes.fromhex("1122334455667788")),
        (0x124, False, False, b"\x11"),
        (0x12345678, True, False, b"\xaa"),
        (0x123, False, False, bytes.fromhex("0022334455667788")),
        (0x125, False, True, b""),
    ]


def test_a_limit_no_player_can_keep_fails(log: Path) -> None:
    made = told(log, "--interface", "virtual", "--channel", "late", "--speed", "100", "--late-limit", "1ns")
    assert (made["code"], made["lateness"]["within_limit"]) == (1, False)


def test_candump_lines_go_to_standard_output_and_the_report_does_not(log: Path) -> None:
    result = hil_replay(log, "--stdout", "--speed", "1000")
    assert [f for _, f in lines(result.stdout)] == [line.split(" ", 1)[1] for line in LOG.splitlines()]
    assert "5 of 5 frames sent" in result.stderr


def test_a_golden_log_is_made_compared_and_accepted_again(log: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.log"
    assert hil_replay(log, "--dry-run", "--golden", golden).exit_code == 2
    assert hil_replay(log, "--dry-run", "--golden", golden, "--update").exit_code == 0
    assert hil_replay(log, "--dry-run", "--golden", golden).exit_code == 0
    slower = hil_replay(log, "--dry-run", "--golden", golden, "--speed", "0.99")
    assert slower.exit_code == 1
    assert "0x123" in slower.output
    assert hil_replay(log, "--dry-run", "--golden", golden, "--speed", "0.99", "--tolerance", "50ms").exit_code == 0
    assert hil_replay(log, "--dry-run", "--golden", golden, "--speed", "0.99", "--update").exit_code == 0
    assert hil_replay(log, "--dry-run", "--golden", golden, "--speed", "0.99").exit_code == 0


@pytest.fixture
def voltages(tmp_path: Path) -> Path:
    import cantools

    message = cantools.database.load_file(DBC).get_message_by_name("BMS_Pack")
    path, rows = tmp_path / "pack.log", []
    for k in range(10):
        values = {
            "Crc": 0,
            "Counter": k,
            "ScanCounter": 0,
            "PackCurrent": 0,
            "PackVoltage": 300 + 10 * k,
            "LinkVoltage": 0,
        }
        rows.append(f"({k / 10:.6f}) can0 101#{message.encode(values).hex().upper()}\n")
    path.write_text("".join(rows))
    return path


def test_a_breakpoint_ends_the_replay_before_its_frame(voltages: Path) -> None:
    made = told(voltages, "--dry-run", "--dbc", DBC, "--break", "BMS_Pack.PackVoltage > 345 V")
    assert (made["code"], made["ended"], made["sent"], made["unsent"]) == (3, "breakpoint", 5, 5)
    assert made["where"].startswith("frame 6 of log 1, 0.500000 s, id 0x101 [8]")


def test_steps_are_taken_from_the_keyboard(voltages: Path) -> None:
    result = hil_replay(voltages, "--dry-run", "--step", stdin="\n\nc\n")
    assert "10 of 10 frames sent" in result.output
    assert result.output.count("before frame") == 3
    assert hil_replay(voltages, "--dry-run", "--step", stdin="\nq\n").exit_code == 3


def test_signals_are_rewritten_by_name_and_protected_again(voltages: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.log"
    options = ("--dbc", DBC, "--e2e", E2E, "--set", "BMS_Pack.PackVoltage=400 V")
    assert hil_replay(voltages, "--out", out, *options).exit_code == 0
    made = told(out, "--dry-run", "--dbc", DBC, "--start-on", "BMS_Pack.PackVoltage == 400 V")
    assert made["sent"] == 10
    same = tmp_path / "again.log"
    assert hil_replay(out, "--out", same, "--dbc", DBC, "--e2e", E2E, "--repair", "all").exit_code == 0
    assert same.read_text() == out.read_text()  # nothing was left to repair
    payloads = {line.split("#")[1].split()[0] for line in out.read_text().splitlines()}
    assert len({p[:2] for p in payloads}) > 5  # checksums differ with the counter


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "where to"),
        (("--dry-run", "--out", "x.log"), "where to"),
        (("--dry-run", "--speed", "0"), "more than 0"),
        (("--dry-run", "--speed", "fast"), "--speed"),
        (("--dry-run", "--gap", "5"), "--gap"),
        (("--dry-run", "--window", "5s..1s"), "--window"),
        (("--dry-run", "--loop", "forever"), "--loop"),
        (("--dry-run", "--loop", "0"), "--loop"),
        (("--dry-run", "--id", "BMS_*"), "--dbc"),
        (("--dry-run", "--set", "BMS_Pack.PackVoltage=1 V"), "--dbc"),
        (("--dry-run", "--dbc", DBC, "--corrupt", "crc:BMS_Pack"), "--e2e"),
        (("--dry-run", "--suppress-live"), "--interface"),
        (("--dry-run", "--fit-bus", "fast"), "--fit-bus"),
        (("--interface", "virtual"), "--channel"),
        (("--dry-run", "--expect", "x.yaml"), "--dry-run"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_sent(log: Path, options, words: str) -> None:
    result = hil_replay(log, *options)
    assert result.exit_code == 2, result.output
    assert words in result.output


def test_a_log_that_is_not_there_and_one_that_is_none_are_bad_input(tmp_path: Path) -> None:
    junk = tmp_path / "junk.log"
    junk.write_bytes(bytes(range(256)) * 8)
    assert hil_replay(tmp_path / "absent.log", "--dry-run").exit_code == 2
    assert hil_replay(junk, "--dry-run").exit_code == 2


def test_a_damaged_log_is_played_as_far_as_it_can_be_read_and_says_so(log: Path) -> None:
    log.write_text(LOG.replace("(100.010000) can0 124#11", "(100.0100"))
    made = told(log, "--dry-run")
    assert (made["code"], made["sent"]) == (3, 4)
    assert any("could not be read" in note for note in made["notes"])
