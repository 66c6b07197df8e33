"""Payloads of one length among the records of an MF4 file: after damage every frame has its own, not that of a neighbour."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_logs_mf4_damage import FIELDS, Made

from hil.logs.mf4.read import read_mf4

N = 400
FRAME, PAYLOAD = 1 + 22, 1 + 4 + 8  # bytes of a record with its number


def stream(payload_first: bool) -> tuple[bytes, int]:
    """A file of ``N`` frames of 8 bytes, each telling its number, as a recorder writes it; and where its records begin."""
    made = Made(0x25)
    payloads = made.block("CG", [0] * 6, struct.pack("<QQHH4xLL", 2, 0, 1, 0, 0, 0))
    frames = made.frames(22, FIELDS, payloads, 1)
    made.link(frames, 0, payloads)
    struct.pack_into("<Q", made.content, frames + 80, 0)  # number of records
    group = made.stream(frames, 1)
    made.link(group, 2, made.block("DT", [], b""))
    begin = len(made.content)
    for i in range(N):
        frame = b"\1" + struct.pack("<dLBBQ", i * 0.001, i, 8, 8, 12 * i)
        payload = b"\2" + struct.pack("<LLL", 8, i, ~i & 0xFFFFFFFF)
        made.content += payload + frame if payload_first else frame + payload
    return bytes(made.content), begin


@pytest.mark.parametrize("payload_first", [True, False])
def test_the_file_is_sound(payload_first: bool) -> None:
    log = read_mf4(stream(payload_first)[0])
    assert log.unreadable == 0
    assert [struct.unpack("<LL", log.trace.payload(i))[0] for i in range(N)] == list(range(N)) == log.trace.id.tolist()


@settings(max_examples=150, deadline=None)
@given(
    st.booleans(),
    st.sampled_from(["zeros", "out", "twice"]),
    st.integers(3, N - 30),
    st.integers(0, 35),
    st.integers(1, 400),
)
def test_a_hole_costs_the_frames_in_it_and_gives_no_frame_the_payload_of_another(
    payload_first: bool, how: str, first: int, offset: int, size: int
) -> None:
    content, begin = stream(payload_first)
    at = begin + first * (FRAME + PAYLOAD) + offset
    filling = {"zeros": bytes(size), "out": b"", "twice": content[at : at + size] * 2}[how]
    log = read_mf4(content[:at] + filling + content[at + size :])
    trace = log.trace
    inside = range(first - 1, first + (offset + size) // (FRAME + PAYLOAD) + 2)
    own = {i for i in range(len(trace)) if trace.payload(i)[:4] == struct.pack("<L", trace.id[i])}
    assert set(range(N)) - set(inside) <= {int(trace.id[i]) for i in own}
    assert len(trace) - len(own) <= len(inside)  # a damaged number gives a wrong frame
    if how != "out" and len(trace) < N:
        assert log.unreadable
