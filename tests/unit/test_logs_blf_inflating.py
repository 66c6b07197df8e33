"""Containers are inflated as zlib would, whichever library does it."""

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.logs.blf import inflating
from hil.logs.blf.inflating import inflate

MOST = 1 << 16


def outcome(data: bytes, most: int = MOST) -> Any:
    """Everything a reader sees of it: data and how the stream ended, or what is wrong."""
    try:
        found, stream = inflate(memoryview(data), most)
    except zlib.error as error:
        return str(error)
    return found, stream.eof, stream.unused_data, stream.unconsumed_tail == b""


def by_zlib(data: bytes, most: int = MOST) -> Any:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, most)
    except zlib.error as error:
        return str(error)
    return found, stream.eof, stream.unused_data, stream.unconsumed_tail == b""


@given(
    st.binary(max_size=300),
    st.integers(1, 40),
    st.sampled_from([0, 1, 6, 9]),
    st.binary(max_size=20),
    st.floats(0, 1),
    st.sampled_from(["whole", "flipped", "cut", "noise"]),
)
def test_sound_or_damaged_it_is_what_zlib_makes_of_it(
    body: bytes, times: int, level: int, behind: bytes, place: float, harm: str
) -> None:
    data = bytearray(zlib.compress(body * times, level) + behind)
    at = int(place * (len(data) - 1))
    if harm == "flipped":
        data[at] ^= 1 << (at % 8)
    elif harm == "cut":
        del data[at:]
    elif harm == "noise":
        data = bytearray(body)
    assert outcome(bytes(data)) == by_zlib(bytes(data))


def test_more_than_the_most_is_left_in_the_stream() -> None:
    data = zlib.compress(bytes(100_000))
    assert outcome(data, 1000) == by_zlib(data, 1000)
    found, ended, _, took_all = outcome(data, 1000)
    assert (len(found), ended, took_all) == (1000, False, False)


def test_without_the_faster_library_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "isal_zlib", None)
    sound = zlib.compress(b"frames" * 100) + b"behind"
    assert outcome(sound) == (b"frames" * 100, True, b"behind", True)
    assert "incorrect header check" in outcome(b"no stream")
