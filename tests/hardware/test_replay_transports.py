"""The player on real transports of this machine: every frame at the other end, in order, none lost.

Each test has its own reader of the bytes on the wire, written after the protocol's description.
"""

import json
import os
import pty
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import can
import pytest
from click.testing import CliRunner

import hil.cli.replay  # noqa: F401  # registers the command
from hil.cli.group import main
from hil.errors import BenchError
from hil.hardware.canbus import PythonCanTarget
from hil.hardware.pacer import WallPacer, undisturbed
from hil.logs.trace import Trace
from hil.replay.filters import Filter
from hil.replay.player import Ended, Player, Report
from hil.replay.schedule import Timing, plan, turns
from tests.replay_rig import EXT, Listing, Time, random_trace, wall_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Wire:
    """The other end of a serial line: takes every byte, answers what it is told to."""

    def __init__(self, answer: Callable[[bytes], bytes] = lambda data: b"") -> None:
        self.master, slave = pty.openpty()
        tty.setraw(self.master)
        tty.setraw(slave)
        self.name, self.slave, self.got, self.answer = os.ttyname(slave), slave, bytearray(), answer
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            self.got += data
            if b"\x04END" in self.got:
                return
            reply = self.answer(data)
            if reply:
                os.write(self.master, reply)

    def finish(self) -> bytes:
        """All bytes that were on the line; the mark comes after everything written before it."""
        os.write(self.slave, b"\x04END")
        self._thread.join(20)
        assert not self._thread.is_alive()
        os.close(self.slave)
        os.close(self.master)
        return bytes(self.got).removesuffix(b"\x04END")


def play(target: PythonCanTarget, trace: Trace) -> Report:
    with undisturbed(None):
        report = Player(target, WallPacer()).play(turns([plan(trace, Filter(), Timing())]))
    target.close()
    return report


def slcan_frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """LAWICEL: t iii l dd.. for 11 bits, T iiiiiiii l dd.. for 29 bits, each line ended by CR."""
    for line in data.split(b"\r"):
        if line[:1] in (b"t", b"T"):
            wide = line[:1] == b"T"
            digits = 8 if wide else 3
            length = int(line[1 + digits : 2 + digits], 16)
            payload = bytes.fromhex(line[2 + digits :].decode())
            assert len(payload) == length
            yield int(line[1 : 1 + digits], 16), EXT if wide else 0, payload


def serial_frames(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """python-can's serial format: AA, time (4), length, id (4, little endian, bit 31 = 29 bits), data, BB."""
    at = 0
    while at < len(data):
        assert data[at] == 0xAA
        length, identifier = data[at + 5], int.from_bytes(data[at + 6 : at + 10], "little")
        assert data[at + 10 + length] == 0xBB
        yield identifier & 0x1FFFFFFF, EXT if identifier >> 31 else 0, data[at + 10 : at + 10 + length]
        at += 11 + length


def expected(trace: Trace) -> list[tuple[int, int, bytes]]:
    return [(int(trace.id[i]), int(trace.bits[i]), trace.payload(i)) for i in range(len(trace))]


@pytest.mark.parametrize("acknowledges", [False, True])
def test_every_frame_arrives_over_slcan_in_order(acknowledges: bool) -> None:
    wire = Wire((lambda data: b"z\r" * data.count(b"\r")) if acknowledges else lambda data: b"")
    trace = random_trace(1, 1500, step_ns=100_000)
    target = PythonCanTarget("slcan", wire.name, options={"sleep_after_open": 0.0})
    report = play(target, trace)
    assert list(slcan_frames(wire.finish())) == expected(trace)
    assert (report.sent, report.failed, report.unsent) == (1500, {}, 0)
    assert report.lateness.n == 1500


def test_every_frame_arrives_over_serial_in_order() -> None:
    wire = Wire()
    trace = random_trace(2, 1500, step_ns=100_000)
    report = play(PythonCanTarget("serial", wire.name), trace)
    assert list(serial_frames(wire.finish())) == expected(trace)
    assert report.sent == 1500


def test_the_wire_sees_what_a_made_up_clock_sees() -> None:
    wire, listing = Wire(), Listing()
    trace = random_trace(3, 300, step_ns=50_000)
    play(PythonCanTarget("serial", wire.name), trace)
    Player(listing, wall_of(Time())).play(turns([plan(trace, Filter(), Timing())]))
    assert list(serial_frames(wire.finish())) == listing.sent


def test_identifiers_heard_live_are_known_by_kind_and_number() -> None:
    with can.Bus(interface="virtual", channel="heard", ignore_config=True) as other:
        target = PythonCanTarget("virtual", "heard")
        other.send(can.Message(arbitration_id=0x12, is_extended_id=False))
        other.send(can.Message(arbitration_id=0x12, is_extended_id=True))
        while len(target.heard()) < 2:
            threading.Event().wait(0.001)
        assert set(target.heard()) == {0x12, 0x12 | 1 << 31}
        trace = random_trace(4, 50)
        play(target, trace)
        got = []
        while (message := other.recv(0)) is not None:
            got.append((message.arbitration_id, EXT if message.is_extended_id else 0, bytes(message.data)))
        assert got == expected(trace)


def test_a_line_that_is_cut_while_playing_is_counted_not_hidden() -> None:
    wire = Wire()
    trace = random_trace(5, 200, step_ns=50_000)
    target = PythonCanTarget("serial", wire.name, listen=False)
    wire.finish()
    made = plan(trace, Filter(), Timing())
    report = Player(target, WallPacer(), retry_for_ns=0).play(turns([made]))
    target.close()
    assert report.adds_up
    assert report.sent + sum(report.failed.values()) == 200
    assert sum(report.failed.values()) > 0


@pytest.mark.parametrize(
    ("interface", "channel"),
    [("no_such", "x"), ("serial", "/dev/no-such-line"), ("slcan", ""), ("socketcan", "no-such0")],
)
def test_an_interface_that_cannot_be_opened_is_told_in_one_sentence(interface: str, channel: str) -> None:
    with pytest.raises(BenchError, match="cannot be opened"):
        PythonCanTarget(interface, channel)


def drive(folder: Path, n: int, step_us: int) -> Path:
    log = folder / "drive.log"
    times = (k * step_us for k in range(n))
    log.write_text("".join(f"({t // 10**6}.{t % 10**6:06d}) can0 123#{t % 256:02X}\n" for t in times))
    return log


def on_a_line_that_goes_away(log: Path, after_s: float, *options: str) -> tuple[int, str, dict]:
    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    name, gone = os.ttyname(slave), threading.Event()

    def swallow() -> None:
        os.read(master, 1)  # from when it is opened on
        until_s = time.monotonic() + after_s
        os.set_blocking(master, False)
        while time.monotonic() < until_s:
            try:
                os.read(master, 4096)
            except BlockingIOError:
                time.sleep(0.005)
        os.close(master)
        os.close(slave)
        gone.set()

    threading.Thread(target=swallow, daemon=True).start()
    bus = ("--interface", "slcan", "--channel", name, "--bus-option", "sleep_after_open=0.0", "--no-realtime")
    result = CliRunner().invoke(main, ["replay", str(log), *bus, *options, "--send-timeout", "50ms", "--json"])
    assert gone.wait(5)
    return result.exit_code, result.stderr, json.loads(result.stdout) if result.stdout else {}


def test_the_frames_are_accounted_for_when_the_adapter_goes_away(tmp_path: Path) -> None:
    code, _, made = on_a_line_that_goes_away(drive(tmp_path, 200, 5_000), 0.4)
    assert code == made["exit"] == 4
    assert made["sent"] + sum(made["failed"].values()) == made["planned"] == 200
    assert made["failed"]


def test_waiting_for_traffic_ends_when_the_adapter_goes_away(tmp_path: Path) -> None:
    code, words, _ = on_a_line_that_goes_away(drive(tmp_path, 2, 1), 0.3, "--wait-for", "traffic")
    assert code == 4
    assert "--wait-for traffic: others are not heard any more" in words


def test_nothing_is_sent_in_place_of_others_who_are_not_heard_any_more(tmp_path: Path) -> None:
    trace = random_trace(4, 100)
    target = Listing(deaf="gone")
    report = Player(target, wall_of(Time()), suppress_heard=True).play(turns([plan(trace, Filter(), Timing())]))
    assert (report.ended, report.sent, report.unsent, report.adds_up) == (Ended.DEAF, 0, 100, True)
    code, _, made = on_a_line_that_goes_away(drive(tmp_path, 400, 5_000), 0.3, "--suppress-live")
    assert (code, made["ended"]) == (4, "others are not heard any more")
    assert made["unsent"] > 0


def test_a_replay_to_a_pipe_ends_quietly_with_its_reader(tmp_path: Path) -> None:
    log = drive(tmp_path, 1000, 10)
    command = [sys.executable, "-m", "hil", "replay", str(log), "--stdout", "--fast", "--loop", "forever"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("(0.000000) can0 123#00")
        process.stdout.close()
        words = process.stderr.read()
        assert process.wait(30) == 0
    assert words.startswith("nobody reads any more: ")
    assert "Traceback" not in words
    assert "BrokenPipe" not in words
