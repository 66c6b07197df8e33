"""A log whose begin is damaged, or stands behind something else, is recognised by what follows and read."""

from io import BytesIO
from pathlib import Path

import can
import pytest

from hil.errors import InputError
from hil.logs.read import read_content, read_log
from hil.logs.write import write_log

LINES = [b"(%d.%06d) can0 %03X#%08X\n" % (1_700_000_000 + i, i, i % 2048, i) for i in range(500)]
TEXT = b"".join(LINES)


class Kept(BytesIO):
    """A stream that its writer does not close."""

    def close(self) -> None:
        """Stay open."""


def blf() -> bytes:
    stream = Kept()
    with can.BLFWriter(stream) as writer:
        for i in range(300):
            writer.on_message_received(can.Message(timestamp=1_700_000_000 + i, arbitration_id=i, is_extended_id=False))
    return stream.getvalue()


def test_a_blf_file_without_signature_keeps_its_frames_and_its_start() -> None:
    whole = blf()
    log = read_content(bytes([whole[0] ^ 1]) + whole[1:])
    assert (log.format, len(log.trace), log.unreadable) == ("blf", 300, 1)
    assert log.skipped[0].where == "byte 0"
    assert log.trace.t_ns.tolist() == read_content(whole).trace.t_ns.tolist()


@pytest.mark.parametrize("front", [b"", b"\0" * 144, b"HTTP/1.1 200 OK\r\n\r\n" * 20], ids=["cut", "zeros", "other"])
def test_a_blf_file_without_header_keeps_its_frames(front: bytes) -> None:
    log = read_content(front + blf()[144:])
    assert (log.format, len(log.trace)) == ("blf", 300)
    assert not log.trace.absolute


def test_a_blf_file_behind_something_else_is_read_with_its_start() -> None:
    whole = read_content(blf()).trace
    for front in (b"\0\0\0\0", b"\0" * 512, b"some bytes " * 70):
        log = read_content(front + blf())
        assert (log.format, log.trace.t_ns.tolist()) == ("blf", whole.t_ns.tolist())
        assert log.unreadable == (len(front) > 8)


@pytest.mark.parametrize("size", [1, 8, 64])
def test_an_mf4_file_without_identification_is_read(tmp_path: Path, size: int) -> None:
    pytest.importorskip("asammdf")
    write_log(read_content(TEXT).trace, tmp_path / "x.mf4")
    whole = (tmp_path / "x.mf4").read_bytes()
    log = read_content(bytes(byte ^ 1 for byte in whole[:size]) + whole[size:])
    assert (log.format, len(log.trace), log.unreadable) == ("mf4", 500, 1)
    assert log.skipped[0].where == "byte 0"


@pytest.mark.parametrize(
    ("front", "lost"),
    [
        (b"a banner\n" * 1000, 1000),
        (b"\0" * 70_000 + b"\n", 1),
        (b"x" * 200_000 + b"\n", 1),
        (b"\xff\xfe\x01" * 30_000 + b"\n", 1),
    ],
    ids=["lines", "zeros", "long", "bytes"],
)
def test_text_behind_something_else_is_read(front: bytes, lost: int) -> None:
    log = read_content(front + TEXT)
    assert (log.format, len(log.trace), log.unreadable) == ("candump", 500, lost)


def test_a_few_lines_behind_many_megabytes_are_found() -> None:
    log = read_content(b"(" + b"9" * 5_000_000 + b"\n" + TEXT)
    assert len(log.trace) == 500


def test_no_database_is_taken_for_a_log() -> None:
    found = sorted((Path(__file__).parents[2] / "dbc").rglob("*.dbc"))
    assert found
    for path in found:
        with pytest.raises(InputError):
            read_log(path)
