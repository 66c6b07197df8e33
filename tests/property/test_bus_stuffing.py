"""Laws of the virtual bus: exact frame lengths against long division, and time cut anywhere gives the same frames."""

import numpy as np
from bus_rig import frames, wire_bits
from hypothesis import example, given
from hypothesis import strategies as st

from hil.kernel import view, zeros
from hil.tick import Frames
from hil.virtual import bus

PARAMS = bus.params()
PAYLOADS = st.binary(max_size=8) | st.lists(st.sampled_from([0, 255, 0x1F, 0xF8, 0x7E]), max_size=8).map(bytes)
STANDARD = st.integers(0, 0x7FF)
EXTENDED = st.integers(0x800, 0x1FFFFFFF)


@given(st.one_of(STANDARD, EXTENDED), PAYLOADS)
@example(0, bytes(8))
@example(0x7FF, b"\xff" * 8)
@example(0x1FFFFFFF, b"\xff" * 8)
@example(0x78, bytes.fromhex("3c3c3c3c3c3c3c3c"))
def test_frame_length_is_that_of_the_written_out_bit_string(identifier, payload):
    slot = np.asarray(frames((0, identifier, payload)))[0]["slot"][0]
    assert bus.frame_bits(PARAMS[0], slot) == wire_bits(identifier, payload, identifier > 0x7FF)


@given(STANDARD, PAYLOADS)
def test_frame_length_stays_between_none_and_one_stuff_bit_in_four(identifier, payload):
    slot = np.asarray(frames((0, identifier, payload)))[0]["slot"][0]
    plain = 44 + 8 * len(payload)
    assert plain <= bus.frame_bits(PARAMS[0], slot) <= plain + (33 + 8 * len(payload)) // 4


OFFERS = st.lists(
    st.tuples(st.integers(0, 2_000_000), st.sampled_from([0, 1, 0x100, 0x120, 0x7FF, 0x40000]), PAYLOADS), max_size=30
)


def run(offers, cuts):
    """Offer each frame just before the bus is advanced past the instant it is handed over."""
    s, out = zeros(bus.BusState), zeros(Frames)
    waiting = sorted(offers, key=lambda frame: frame[0])
    for until_ns in [*sorted(cuts), 20_000_000]:
        due = [frame for frame in waiting if frame[0] < until_ns]
        waiting = waiting[len(due) :]
        bus.offer(s[0], PARAMS[0], frames(*due)[0])
        bus.advance(s[0], PARAMS[0], until_ns, out[0])
    return view(s), np.asarray(out)[0]


@given(OFFERS, st.lists(st.integers(0, 10_000_000), max_size=12))
def test_advancing_in_pieces_is_advancing_at_once(offers, cuts):
    once, frames_once = run(offers, [])
    pieces, frames_pieces = run(offers, cuts)
    assert frames_once.tobytes() == frames_pieces.tobytes()
    assert (once.busy_ns, once.sent, once.free_ns) == (pieces.busy_ns, pieces.sent, pieces.free_ns)


@given(OFFERS)
def test_every_frame_comes_out_once_in_order_and_none_overlap(offers):
    state, out = run(offers, [])
    slots = out["slot"][: out["n"]]
    assert sorted((int(f["id"]), bytes(f["payload"][: f["dlc"]])) for f in slots) == sorted(
        (identifier, payload) for _, identifier, payload in offers
    )
    ends = [int(f["t_ns"]) for f in slots]
    starts = [end - 2000 * int(bus.frame_bits(PARAMS[0], f)) for end, f in zip(ends, slots, strict=True)]
    assert all(start >= end + 6000 for end, start in zip(ends, starts[1:], strict=False))
    assert state.overflow == 0


@given(OFFERS)
def test_nothing_waits_while_the_bus_is_free_and_the_best_waiting_frame_wins(offers):
    """A brute-force bus: at each free instant sort all that wait by (identifier, time, order)."""
    _, out = run(offers, [])
    ranked = sorted(
        (t_ns, order, f"{identifier >> 18:011b}1{identifier & 0x3FFFF:018b}", identifier, payload)
        if identifier > 0x7FF
        else (t_ns, order, f"{identifier:011b}0", identifier, payload)
        for order, (t_ns, identifier, payload) in enumerate(sorted(offers, key=lambda frame: frame[0]))
    )
    now_ns, expected = 0, []
    while ranked:
        now_ns = max(now_ns, ranked[0][0])
        chosen = min((f for f in ranked if f[0] <= now_ns), key=lambda f: (f[2], f[0], f[1]))
        ranked.remove(chosen)
        bits = wire_bits(chosen[3], chosen[4], chosen[3] > 0x7FF)
        expected.append((now_ns + 2000 * bits, chosen[3], chosen[4]))
        now_ns += 2000 * (bits + 3)
    got = [(int(f["t_ns"]), int(f["id"]), bytes(f["payload"][: f["dlc"]])) for f in out["slot"][: out["n"]]]
    assert got == expected
