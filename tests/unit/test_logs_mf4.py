"""MF4 bus logging: python-can and asammdf as second implementations, unfinished files, damage."""

import contextlib
import sys
from pathlib import Path

import can
import numpy as np
import pytest
from asammdf import MDF, Signal

from hil.errors import InputError
from hil.logs.mf4 import append_bus, write_mf4
from hil.logs.mf4.read import read_mf4
from hil.logs.read import read_log
from hil.logs.trace import from_bytes
from hil.tick import FrameBits

E, F, B, X, T, R, S = (int(FrameBits[n]) for n in "EXTENDED FD BITRATE_SWITCH ERROR SENT REMOTE ERROR_STATE".split())


def test_what_python_can_writes_is_read_alike(tmp_path: Path) -> None:
    messages = [
        can.Message(1_700_000_000.25, 0x123, is_extended_id=False, data=b"abc", channel=1),
        can.Message(1_700_000_000.5, 0x1ABCDEF0, data=b"", channel=1, is_rx=False),
        can.Message(1_700_000_000.75, 5, is_extended_id=False, is_remote_frame=True, dlc=4, channel=2),
        can.Message(
            1_700_000_001.0, 6, is_extended_id=False, is_fd=True, bitrate_switch=True, data=bytes(48), channel=1
        ),
        can.Message(1_700_000_001.25, 7, is_extended_id=False, is_error_frame=True, data=b"x", channel=1),
    ]
    with can.MF4Writer(tmp_path / "x.mf4") as writer:
        for message in messages:
            writer.on_message_received(message)
    trace = read_log(tmp_path / "x.mf4").trace
    assert trace.id.tolist() == [0x123, 0x1ABCDEF0, 5, 6, 7]
    assert trace.bits.tolist() == [0, E | T, R, F | B, X]
    assert trace.dlc.tolist() == [3, 0, 4, 48, 1]
    assert [trace.payload(i) for i in (0, 3, 4)] == [b"abc", bytes(48), b"x"]
    assert trace.channel.tolist() == [0, 0, 1, 0, 0]
    assert trace.absolute
    assert np.diff(trace.t_ns).tolist() == pytest.approx([250_000_000] * 4, abs=1000)


@pytest.mark.shared_data
def test_unfinished_files_of_a_recorder_are_read_as_python_can_reads_them(shared_data: Path) -> None:
    found = sorted((shared_data / "can" / "logs" / "mf4").glob("*.MF4"))
    assert found
    counts = []
    for path in found:
        assert path.read_bytes()[:7] == b"UnFinMF"
        trace = read_log(path).trace
        theirs = list(can.MF4Reader(path))
        assert len(trace) == len(theirs)
        assert trace.absolute
        for i, m in enumerate(theirs):
            assert trace.id[i] == m.arbitration_id
            assert trace.payload(i) == bytes(m.data)
            assert trace.channel[i] == m.channel - 1
            assert bool(trace.bits[i] & E) == m.is_extended_id
        assert trace.t_ns.tolist() == pytest.approx([round(m.timestamp * 1e9) for m in theirs], abs=500)
        counts.append(len(trace))
    assert counts == [2010, 9600]


def test_measured_channels_without_a_bus_are_told(tmp_path: Path) -> None:
    with MDF(version="4.10") as file:
        file.append(Signal(np.arange(4.0), np.arange(4.0), "V", "U"))
        file.save(tmp_path / "x.mf4")
    with pytest.raises(InputError, match="no CAN bus logging"):
        read_log(tmp_path / "x.mf4")


def test_to_write_without_the_library_the_command_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "asammdf", None)
    with pytest.raises(InputError, match=r"pip install 'cellbench\[export\]'"):
        write_mf4(from_bytes([1], [2], [0], [b"3"]), tmp_path / "x.mf4")


@pytest.mark.parametrize("version", ["4.00", "4.10", "4.20"])
@pytest.mark.parametrize("compression", [0, 1, 2])
def test_what_asammdf_writes_is_read_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, compression: int
) -> None:
    rng = np.random.default_rng(1)
    payloads = [bytes(row) for row in rng.integers(0, 256, (3000, 8)).astype(np.uint8)]
    wanted = from_bytes(np.arange(3000) * 1_000_003, np.arange(3000) % 2048, np.zeros(3000, np.int32), payloads)
    with MDF(version=version) as file:
        append_bus(file, wanted)
        file.save(tmp_path / "x.mf4", compression=compression)
    monkeypatch.setitem(sys.modules, "asammdf", None)
    log = read_log(tmp_path / "x.mf4")
    assert log.unreadable == 0
    assert (log.trace.t_ns - log.trace.t_ns[0]).tolist() == wanted.t_ns.tolist()
    assert log.trace.id.tolist() == wanted.id.tolist()
    assert [log.trace.payload(i) for i in range(3000)] == payloads


@pytest.mark.parametrize("seed", range(6))
def test_damage_ends_in_frames_or_in_a_typed_error(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trace = from_bytes(
        np.arange(200) * 10**6, np.arange(200), np.zeros(200, np.int32), [bytes([i]) for i in range(200)]
    )
    write_mf4(trace, tmp_path / "x.mf4")
    content = bytearray((tmp_path / "x.mf4").read_bytes())
    if seed % 2:
        content = content[: int(rng.integers(64, len(content)))]
    for at in rng.integers(0, len(content), 3):
        content[int(at)] ^= int(rng.integers(1, 256))
    with contextlib.suppress(InputError):
        assert len(read_mf4(bytes(content)).trace) <= 200
