"""Arbitration and end-of-frame times on the virtual bus, against times worked out by hand at 500 kbit/s: 2 us a bit."""

import numpy as np
import pytest
from bus_rig import checksum, covered, frames, seen, stuffed, wire_bits

from hil.errors import InputError
from hil.kernel import view, zeros
from hil.tick import FRAMES, FrameBits, Frames
from hil.virtual import bus

US = 1000
# Start of frame to the last CRC bit as on the wire, stuff bits between bars; 10 bits to the end of frame follow, and 3
# of intermission before the next.
NOTHING = "00000|1|00000|1|00000|1|00000|1|00000|1|00000|1|0000"  # 0x000, empty: 34 + 6 + 10 = 50 bits, 100 us
HIGHEST = "011111|0|11111|0|100000|1|011111|0|11111|0|11101000010101"  # 0x7FF, FF: 42 + 5 + 10 = 57 bits, 114 us
MIDDLE = "00010010001100000|1|100101010110101010001000010010101"  # 0x123, 55 AA: 50 + 1 + 10 = 61 bits, 122 us


class Wired:
    def __init__(self, **more):
        self.p, self.s, self.out = bus.params(**more), zeros(bus.BusState), zeros(Frames)
        self.state = view(self.s)

    def offer(self, *listed, **more):
        bus.offer(self.s[0], self.p[0], frames(*listed, **more)[0])

    def advance(self, until_ns):
        bus.advance(self.s[0], self.p[0], until_ns, self.out[0])
        return seen(self.out)


@pytest.mark.parametrize(
    ("identifier", "payload", "wire", "bits"),
    [(0x000, b"", NOTHING, 50), (0x7FF, b"\xff", HIGHEST, 57), (0x123, b"\x55\xaa", MIDDLE, 61)],
)
def test_the_length_is_that_of_the_bits_written_down_by_hand(identifier, payload, wire, bits):
    raw = covered(identifier, payload)
    assert stuffed(raw + checksum(raw)) == wire.replace("|", "")
    assert len(wire.replace("|", "")) + 10 == bits
    made = frames((0, identifier, payload))
    assert bus.frame_bits(bus.params()[0], np.asarray(made)[0]["slot"][0]) == bits


def test_three_nodes_arbitrate_and_end_at_the_times_worked_out_by_hand():
    wired = Wired()
    wired.offer((0, 0x7FF, b"\xff"), source=2)  # alone on the bus: 0 .. 114, free at 120
    wired.offer((10 * US, 0x123, b"\x55\xaa"), source=1)
    wired.offer((20 * US, 0x000, b""), source=0)  # came later, wins: 120 .. 220, free at 226
    assert wired.advance(1000 * US) == [(114 * US, 0x7FF), (220 * US, 0x000), (348 * US, 0x123)]  # 226 + 122
    assert list(np.asarray(wired.out)[0]["slot"]["source"][:3]) == [2, 0, 1]
    assert wired.state.busy_ns == (60 + 53 + 64) * 2 * US
    assert wired.state.sent == 3


def test_a_frame_handed_over_at_the_instant_the_bus_gets_free_takes_part_and_a_later_one_does_not():
    for handed_ns, second in ((120 * US, 0x000), (120 * US + 1, 0x123)):
        wired = Wired()
        wired.offer((0, 0x7FF, b"\xff"), (1, 0x123, b"\x55\xaa"), (handed_ns, 0x000, b""))
        assert wired.advance(1000 * US)[1][1] == second


def test_a_frame_on_the_wire_is_not_interrupted_by_a_better_one():
    wired = Wired()
    wired.offer((0, 0x7FF, b"\xff"))
    assert wired.advance(50 * US) == []
    wired.offer((50 * US, 0x000, b""))
    assert wired.advance(300 * US) == [(114 * US, 0x7FF), (220 * US, 0x000)]


def test_equal_identifiers_go_in_the_order_they_were_handed_over():
    wired = Wired()
    wired.offer(*[(0, 0x120, bytes([mux])) for mux in range(5)], (0, 0x100, b""))
    wired.advance(10_000 * US)
    record = np.asarray(wired.out)[0]
    assert list(record["slot"]["id"][:6]) == [0x100] + 5 * [0x120]
    assert list(record["slot"]["payload"][1:6, 0]) == [0, 1, 2, 3, 4]


def test_a_standard_frame_beats_an_extended_one_with_the_same_leading_bits():
    wired = Wired()
    same = 0x123 << 18
    wired.offer((0, same, b""), (0, 0x123, b""), (0, 0x124, b""), (0, same | 5, b""), (0, 0x122 << 18, b""))
    order = [identifier for _, identifier in wired.advance(10_000 * US)]
    assert order == [0x122 << 18, 0x123, same, same | 5, 0x124]


def test_the_end_of_frame_itself_belongs_to_the_interval():
    wired = Wired()
    wired.offer((0, 0x000, b""))
    assert wired.advance(100 * US - 1) == []
    assert wired.advance(100 * US) == [(100 * US, 0x000)]


def test_a_frame_offered_late_waits_from_the_present_on():
    wired = Wired()
    wired.advance(5000 * US)
    wired.offer((1000 * US, 0x000, b""))
    assert wired.advance(6000 * US) == [(5100 * US, 0x000)]


def test_a_full_queue_drops_and_counts_the_newcomer():
    wired = Wired(depth=3)
    wired.offer(*[(0, 0x100 + i, b"") for i in range(5)])
    assert wired.state.overflow == 2
    assert [identifier for _, identifier in wired.advance(10_000 * US)] == [0x100, 0x101, 0x102]


def test_the_largest_queue_holds_as_many_frames_as_it_says():
    wired = Wired()
    wired.offer(*[(0, i, b"") for i in range(FRAMES)])
    assert wired.state.overflow == bus.QUEUE - FRAMES
    wired.offer((0, 0x700, b""))
    assert wired.state.overflow == 1


def test_a_full_list_counts_what_it_cannot_take():
    wired = Wired()
    wired.offer(*[(0, i, b"") for i in range(100)])
    np.asarray(wired.out)[0]["n"] = FRAMES - 98
    wired.advance(100_000 * US)
    assert (np.asarray(wired.out)[0]["n"], np.asarray(wired.out)[0]["lost"]) == (FRAMES, 2)


@pytest.mark.parametrize("flag", [FrameBits.FD, FrameBits.BITRATE_SWITCH, FrameBits.ERROR])
def test_what_classic_can_cannot_carry_is_counted_not_sent(flag):
    wired = Wired()
    wired.offer((0, 0x100, b""), bits=int(flag))
    wired.offer((0, 0x101, bytes(9)))
    assert wired.advance(1000 * US) == []
    assert (wired.state.refused, wired.state.n) == (2, 0)


def test_a_frame_that_a_fault_removed_never_reaches_the_wire():
    wired = Wired()
    wired.offer((0, 0x100, b""), bits=int(FrameBits.LOST))
    assert wired.advance(1000 * US) == []
    assert wired.state.busy_ns == 0


def test_busy_time_is_split_exactly_at_the_end_of_an_interval():
    wired = Wired()
    wired.offer((90 * US, 0x000, b""))  # 90 .. 190 and intermission to 196
    busy = []
    for until_us in (100, 193, 300):
        wired.advance(until_us * US)
        busy.append(int(wired.state.busy_ns))
    assert busy == [10 * US, 103 * US, 106 * US]


def test_a_saturated_bus_is_busy_all_the_time():
    wired = Wired()
    for k in range(10):
        wired.offer(*[(k * 1000 * US, 0x100, bytes(8)) for _ in range(10)])
        wired.advance((k + 1) * 1000 * US)
        assert wired.state.busy_ns == (k + 1) * 1000 * US


def test_half_the_bit_rate_takes_twice_the_time():
    wired = Wired(bit_rate=250_000)
    wired.offer((0, 0x000, b""))
    assert wired.advance(1000 * US) == [(200 * US, 0x000)]


def test_the_frames_of_the_example_pack_load_the_bus_as_the_design_says():
    """Six frames every 10 ms (request, state, pack, three of cells): 6 x 111..135 bits are 13 to 16 %."""
    payload = bytes(range(0x31, 0x39))
    identifiers = (0x0F0, 0x100, 0x101, 0x120, 0x120, 0x120)
    wired = Wired()
    wired.offer(*[(0, identifier, payload) for identifier in identifiers])
    wired.advance(10_000 * US)
    bits = sum(wire_bits(identifier, payload) + 3 for identifier in identifiers)
    assert wired.state.busy_ns == bits * 2 * US
    assert 0.133 <= wired.state.busy_ns / 10_000_000 <= 0.162


@pytest.mark.parametrize("more", [{"bit_rate": 0}, {"bit_rate": 2_000_000}, {"depth": 0}, {"depth": bus.QUEUE + 1}])
def test_a_bus_that_cannot_be_is_refused(more):
    with pytest.raises(InputError, match="expected"):
        bus.params(**more)
