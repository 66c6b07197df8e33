"""The player on real transports of this machine: every frame at the other end, in order, none lost.

Each test has its own reader of the bytes on the wire, written after the protocol's description.
"""

import os
import pty
import threading
import tty
from collections.abc import Callable, Iterator

import can
import pytest

from hil.errors import BenchError
from hil.hardware.canbus import PythonCanTarget
from hil.hardware.pacer import WallPacer, undisturbed
from hil.logs.trace import Trace
from hil.replay.filters import Filter
from hil.replay.player import Player, Report
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
