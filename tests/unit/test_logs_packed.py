"""Files packed by gzip: every member that can be inflated is read, and what lies between is counted."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import InputError
from hil.logs.packed import unpack
from hil.logs.read import read_content

COUNT = 6000
LINES = [b"(%d.%06d) can0 %03X#%08X\n" % (1_700_000_000 + i, i, i % 2048, i * 7919 % 2**32) for i in range(COUNT)]
THIRD = COUNT // 3
PARTS = [b"".join(LINES[i * THIRD : (i + 1) * THIRD]) for i in range(3)]


def members() -> list[bytes]:
    return [gzip.compress(part, 6, mtime=0) for part in PARTS]


def test_a_member_behind_padding_is_read() -> None:
    first, second, third = members()
    content, skips = unpack(first + bytes(512) + second + bytes(1) + third + bytes(99))
    assert content == b"".join(PARTS)
    assert skips == ()


def test_what_is_no_gzip_data_between_members_and_behind_them_is_counted() -> None:
    first, second, third = members()
    content, skips = unpack(first + b"junk" + second + third + b"\0more junk\0")
    assert content == b"".join(PARTS)
    assert [(skip.where, skip.amount) for skip in skips] == [
        (f"byte {len(first)}", 4),
        (f"byte {len(first) + 4 + len(second) + len(third)}", 11),
    ]


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_a_member_whose_writer_was_killed_costs_no_member_behind_it(which: int, place: float, level: int) -> None:
    packed = [gzip.compress(part, level, mtime=0) for part in PARTS]
    packed[which] = packed[which][: 20 + int(place * (len(packed[which]) - 21))]
    content, skips = unpack(b"".join(packed))
    found = set(content.splitlines(keepends=True))
    for other in {0, 1, 2} - {which}:
        assert set(LINES[other * THIRD : (other + 1) * THIRD]) <= found
    kept = content[len(b"".join(PARTS[:which])) :]
    assert PARTS[which].startswith(kept[: kept.index(b"\n" + PARTS[which + 1][:20])])
    assert skips
    log = read_content(b"".join(packed))
    assert log.unreadable in (1, 2)  # and the line that was cut off, unless between two of its bytes


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2), st.floats(0, 1), st.integers(0, 7))
def test_a_flipped_bit_costs_no_member_behind_it_and_is_told(which: int, place: float, bit: int) -> None:
    packed = [bytearray(member) for member in members()]
    packed[which][10 + int(place * (len(packed[which]) - 11))] ^= 1 << bit
    content, skips = unpack(b"".join(map(bytes, packed)))
    found = set(content.splitlines(keepends=True))
    for other in {0, 1, 2} - {which}:
        # the first line may hang on a damaged one
        assert set(LINES[other * THIRD + 1 : (other + 1) * THIRD]) <= found
    assert skips


def test_many_broken_members_end_soon() -> None:
    rng = np.random.default_rng(1)
    piece = gzip.compress(rng.bytes(3000), 6, mtime=0)[:1500]
    content, skips = unpack(piece * 2000)
    assert skips
    assert len(content) < 2000 * 3000


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress], ids=["bzip2", "xz"])
def test_other_packers_are_named(pack: object) -> None:
    with pytest.raises(InputError, match=r"packed by (bzip2|xz).*unpack it first"):
        read_content(pack(PARTS[0]))  # type: ignore[operator]


def test_an_archive_is_named() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("drive.log", PARTS[0])
    with pytest.raises(InputError, match="this is a zip archive"):
        read_content(stream.getvalue())


def test_a_log_packed_twice_says_how_to_go_on() -> None:
    with pytest.raises(InputError, match=r"packed by gzip twice.*gunzip"):
        read_content(gzip.compress(gzip.compress(PARTS[0])))
