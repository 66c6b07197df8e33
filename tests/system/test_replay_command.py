"""``hil replay`` from the command line to files, reports and exit codes."""

import json
import os
import re
import threading
from pathlib import Path

import can
import click
import pytest
from click.testing import CliRunner, Result

import hil.cli.replay  # noqa: F401  # registers the command
from hil.cli.group import Group, main

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
        (("--gap", "5ms", "--burst", "2"), [0, 0, 0.005, 0.005, 0.01]),
        (("--delay", "1s"), [1, 1.01, 1.02, 1.5, 5]),
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


def test_standard_output_keeps_directions_and_nanoseconds_as_a_file_does(tmp_path: Path) -> None:
    log, out = tmp_path / "ways.log", tmp_path / "out.log"
    frames = ["can0 123#11 T", "can1 12345678##3AABB R", "can0 124#R4 R"]
    log.write_text("".join(f"(5.00000000{k}) {frame}\n" for k, frame in enumerate(frames)))
    printed = hil_replay(log, "--stdout").stdout
    assert printed == "".join(f"(0.00000000{k}) {frame}\n" for k, frame in enumerate(frames))
    out.write_text(printed)
    assert told(out, "--dry-run", "--direction", "tx")["sent"] == 1


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


def test_a_step_goes_back_and_what_is_no_answer_is_asked_again(voltages: Path) -> None:
    result = hil_replay(voltages, "--dry-run", "--step", stdin="\n\nb\nx\n\nc\n")
    where = re.findall(r"before frame (\d+)", result.output)
    assert where == ["1", "2", "3", "2", "3"]
    assert result.output.count("quit: ") == 6
    assert "11 of 11 frames sent" in result.output
    assert "added: 1" in result.output


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
        (("--dry-run", "--tolerance", "5ms"), "--tolerance: expected --golden"),
        (("--dry-run", "--ignore", "*"), "--ignore: expected --golden"),
        (("--dry-run", "--golden", "g.log", "--tolerance", "foo"), "--tolerance: expected a number, a time"),
        (("--dry-run", "--golden", "g.mcap"), "--golden g.mcap: expected a name that ends in"),
        (("--dry-run", "--out-of-range", "wrap"), "--out-of-range: expected --set"),
        (("--dry-run", "--seed", "3"), "--seed: expected --drop"),
        (("--dry-run", "--pause", "1s"), "--pause: expected several logs"),
        (("--dry-run", "--dbc", DBC, "--repair", "all"), "--repair: expected --e2e"),
        (("--dry-run", "--dbc", DBC, "--e2e", E2E), "--e2e: expected --set"),
        (("--dry-run", "--dbc", DBC, "--e2e", E2E, "--renumber", "--repair", "off"), "--renumber: expected no"),
        (("--out", "out.xyz"), "--out out.xyz: expected a name that ends in"),
        (("--into", "virtual-bms", "--dbc", DBC), "--dbc: expected --expect"),
        (("--dry-run", "--burst", "2"), "--burst: expected --gap"),
        (("--dry-run", "--window", "1..2"), "--window: expected a time"),
        (("--dry-run", "--drop", "half"), "share 'half': expected a ratio"),
        (("--dry-run", "--dbc", DBC, "--set", "BMS_Pack.PackVoltage=3 A"), "PackVoltage=3 A': expected a voltage"),
        (
            ("--dry-run", "--dbc", DBC, "--break", "BMS_Pack.PackVoltage > 3 A"),
            "PackVoltage > 3 A': expected a voltage",
        ),
        (("--expect", "x.yaml", "--no-realtime"), "--no-realtime: expected no --expect"),
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


def test_a_file_that_is_read_is_never_written_over(log: Path, tmp_path: Path) -> None:
    golden, second = tmp_path / "golden.log", tmp_path / "second.log"
    second.write_text(LOG)
    assert hil_replay(log, "--dry-run", "--golden", golden, "--update").exit_code == 0
    for path, options in (
        (golden, ("--speed", "2", "--golden", golden, "--out", golden)),
        (golden, ("--speed", "2", "--golden", golden, "--out", golden, "--update")),
        (log, ("--window", "0s..20ms", "--out", log)),
        (log, ("--window", "0s..20ms", "--out", tmp_path / "." / "x" / ".." / "drive.log")),
        (second, (second, "--window", "0s..20ms", "--out", second)),
        (log, ("--speed", "2", "--dry-run", "--golden", log, "--update")),
    ):
        before = path.read_text()
        result = hil_replay(log, *options)
        assert result.exit_code == 2, result.output
        assert "would overwrite" in result.output
        assert path.read_text() == before


def test_an_output_that_is_there_already_is_replaced_by_force_alone(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.log"
    out.write_text("kept")
    result = hil_replay(log, "--out", out)
    assert result.exit_code == 2
    assert "out.log: there is such a file already: expected another name, or --force" in result.output
    assert out.read_text() == "kept"
    assert hil_replay(log, "--out", out, "--force").exit_code == 0
    assert out.read_text() != "kept"
    assert "--force: expected --out" in hil_replay(log, "--dry-run", "--force").output


def test_an_output_that_no_file_system_takes_is_told_in_one_line(log: Path, tmp_path: Path) -> None:
    result = hil_replay(log, "--out", tmp_path / ("a" * 300 + ".log"))
    assert result.exit_code == 4
    assert result.output.count("\n") == 1
    assert "File name too long" in result.output


def test_a_link_to_a_log_is_that_log(log: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.log"
    link.symlink_to(log)
    assert hil_replay(link, "--window", "0s..20ms", "--out", log).exit_code == 2
    assert log.read_text() == LOG


def test_a_breakpoint_knows_a_message_by_its_own_name_though_it_is_renamed(voltages: Path) -> None:
    options = ("--dbc", DBC, "--map-id", "BMS_Pack=0x7AB", "--break", "BMS_Pack.PackVoltage > 345 V")
    made = told(voltages, "--dry-run", *options)
    assert (made["ended"], made["sent"], made["unsent"]) == ("breakpoint", 5, 5)
    assert "id 0x7AB" in made["where"]


def test_a_place_that_cannot_be_written_is_told_before_a_frame_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = hil_replay(tmp_path / "absent.log", "--out", tmp_path / "file" / "out.log")
    assert result.exit_code == 4
    assert "is no folder" in result.output


def test_options_that_meet_nothing_in_the_log_are_told(voltages: Path) -> None:
    met = ("--map-id", "0x101=0x201", "--drop", "BMS_Pack:10%", "--set", "BMS_Pack.PackVoltage=1 V")
    assert told(voltages, "--dry-run", "--dbc", DBC, "--e2e", E2E, *met)["notes"] == []
    missed = ("--map-id", "0x7A0=0x201", "--map-channel", "3=4", "--drop", "0x7A0:10%", "--duplicate", "BMS_Soc:1%")
    signals = ("--set", "BMS_MinMax.CellVoltageMax=3 V", "--set", "BMS_Pack.PackVoltage=1 V@2s..3s")
    made = told(voltages, "--dry-run", "--dbc", DBC, *missed, *signals)
    assert made["sent"] == 10
    words = [note.partition(":  ")[0] for note in made["notes"]]
    for option, text in zip((*missed, *signals)[::2], (*missed, *signals)[1::2], strict=True):
        assert f"{option} {text}: no frame of the logs played is like that" in words
    assert "  rewritten: 0" in hil_replay(voltages, "--dry-run", "--dbc", DBC, *signals).output


def test_a_rewritten_message_whose_checksum_nothing_repairs_is_told(voltages: Path) -> None:
    change = ("--dry-run", "--dbc", DBC, "--set", "BMS_Pack.PackVoltage=1 V")
    bare = told(voltages, *change)["notes"]
    assert bare == ["BMS_Pack was rewritten and no --e2e says how its Crc is made: it stays as it was in the log"]
    assert told(voltages, *change, "--e2e", E2E)["notes"] == []
    assert told(voltages, *change, "--e2e", E2E, "--repair", "off")["notes"] == []


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no pipe has a name here")
def test_a_log_may_come_through_a_pipe(log: Path) -> None:
    end, start = os.pipe()
    os.write(start, LOG.encode())
    os.close(start)
    made = told(f"/dev/fd/{end}", "--dry-run")
    os.close(end)
    assert (made["code"], made["sent"], made["notes"]) == (0, 5, [])


def test_a_file_of_e2e_that_fits_no_frame_is_told(voltages: Path) -> None:
    made = told(voltages, "--dry-run", "--dbc", DBC, "--e2e", E2E, "--corrupt", "crc:BMS_State")
    assert made["notes"] == ["--corrupt crc:BMS_State: no frame of the logs played is like that"]


def test_an_interrupt_says_that_a_record_is_kept_only_where_one_is_made() -> None:
    group = Group(name="group")

    def stop() -> None:
        raise KeyboardInterrupt

    for name in ("run", "replay"):
        group.add_command(click.Command(name, callback=stop))
    words = {name: CliRunner().invoke(group, [name]) for name in ("run", "replay")}
    assert {name: result.exit_code for name, result in words.items()} == {"run": 130, "replay": 130}
    assert words["run"].stderr == "hil: interrupted; what was recorded is kept\n"
    assert words["replay"].stderr == "hil: interrupted\n"


def test_only_one_direction_is_played(tmp_path: Path) -> None:
    log = tmp_path / "ways.log"
    log.write_text("(1.0) can0 100#01 R\n(1.1) can0 101#02 T\n(1.2) can0 102#03 R\n")
    for way, ids in (("rx", ["100", "102"]), ("tx", ["101"])):
        assert hil_replay(log, "--out", tmp_path / f"{way}.log", "--direction", way).exit_code == 0
        assert [f[5:8] for _, f in lines((tmp_path / f"{way}.log").read_text())] == ids


def heard_on(bus: can.BusABC) -> list[int]:
    return [message.arbitration_id for message in iter(lambda: bus.recv(0), None) if message is not None]


def test_channels_go_to_the_buses_they_are_routed_to(log: Path) -> None:
    with (
        can.Bus(interface="virtual", channel="rest", ignore_config=True) as rest,
        can.Bus(interface="virtual", channel="second", ignore_config=True) as second,
    ):
        options = ("--interface", "virtual", "--channel", "rest", "--fast", "--no-realtime", "--send-timeout", "50ms")
        made = told(log, *options, "--route", "1=virtual:second", "--route", "9=virtual:second")
        assert (heard_on(rest), heard_on(second)) == ([0x123, 0x124, 0x123, 0x125], [0x12345678])
    assert made["notes"] == ["--route 9=virtual:second: no frame of the logs played is like that"]
    assert made["scheduling"] != ""
    for wrong in ("1", "1=virtual", "300=virtual:x", "x=virtual:y"):
        result = hil_replay(log, *options, "--route", wrong)
        assert (result.exit_code, "--route: expected LOG-CHANNEL" in result.output) == (2, True)


def test_a_bit_rate_and_options_reach_the_interface(log: Path) -> None:
    options = ("--interface", "virtual", "--channel", "options", "--speed", "100", "--bitrate", "500000")
    with can.Bus(interface="virtual", channel="options", ignore_config=True) as bus:
        assert hil_replay(log, *options, "--bus-option", "preserve_timestamps=true").exit_code == 0
        stamps = [message.timestamp for message in iter(lambda: bus.recv(0), None) if message is not None]
    assert stamps == pytest.approx([0, 0.0001, 0.0002, 0.005, 0.04], abs=1e-9)
    assert "--bus-option: expected name=value" in hil_replay(log, *options, "--bus-option", "novalue").output


def test_identifiers_that_someone_else_sends_are_left_to_them(log: Path) -> None:
    log.write_text("".join(f"({k / 100:.2f}) can0 {123 if k % 2 else 124}#{k:02X}\n" for k in range(60)))
    over = threading.Event()
    with can.Bus(interface="virtual", channel="live", ignore_config=True) as other:

        def speak() -> None:
            while not over.wait(0.01):
                other.send(can.Message(arbitration_id=0x123, is_extended_id=False))

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            options = ("--interface", "virtual", "--channel", "live", "--wait-for", "0x123", "--suppress-live")
            made = told(log, *options)
        finally:
            over.set()
            speaker.join()
        assert heard_on(other) == [0x124] * 30
    assert (made["sent"], made["suppressed"], made["heard_ids"]) == (30, {"heard live": 30}, 1)


def test_a_value_that_does_not_fit_is_refused_or_brought_into_range(voltages: Path, tmp_path: Path) -> None:
    import cantools

    message = cantools.database.load_file(DBC).get_message_by_name("BMS_Pack")
    signal = message.get_signal_by_name("PackVoltage")
    top = signal.scale * (2**signal.length - 1) + signal.offset
    out, change = tmp_path / "out.log", ("--dbc", DBC, "--set", "BMS_Pack.PackVoltage*=100")
    refused = hil_replay(voltages, "--out", out, *change)
    assert (refused.exit_code, out.exists()) == (2, False)
    assert hil_replay(voltages, "--out", out, *change, "--out-of-range", "saturate").exit_code == 0
    payload = bytes.fromhex(out.read_text().split("#")[1].split()[0])
    assert message.decode(payload)["PackVoltage"] in (top, signal.maximum)
    assert hil_replay(voltages, "--dry-run", *change, "--out-of-range", "guess").exit_code == 2


def test_counters_are_numbered_anew_without_gaps(voltages: Path, tmp_path: Path) -> None:
    import cantools

    message, out = cantools.database.load_file(DBC).get_message_by_name("BMS_Pack"), tmp_path / "out.log"
    options = ("--dbc", DBC, "--e2e", E2E, "--renumber")
    rows = voltages.read_text().splitlines()
    voltages.write_text("".join(f"{row}\n" for k, row in enumerate(rows) if k not in (3, 4, 7)))
    assert hil_replay(voltages, "--out", out, *options).exit_code == 0
    counters = [message.decode(bytes.fromhex(f.split("#")[1].split()[0]))["Counter"] for _, f in lines(out.read_text())]
    assert counters == list(range(7))


def test_signals_that_are_ignored_do_not_count_in_a_golden_compare(log: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.log"
    assert hil_replay(log, "--dry-run", "--golden", golden, "--update").exit_code == 0
    other = ("--dry-run", "--golden", golden, "--drop", "0x124:100%", "--seed", "1")
    assert hil_replay(log, *other).exit_code == 1
    assert hil_replay(log, *other, "--ignore", "0x124*").exit_code == 0
