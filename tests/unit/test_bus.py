"""Arbitration and end-of-frame times on the virtual bus, against times worked out by hand at 500 kbit/s (2 us a bit)."""

import numpy as np
import pytest
from bus_rig import checksum, covered, frames, seen, stuffed

from hil.errors import InputError
from hil.kernel import copied, view, zeros
from hil.tick import FRAMES, FrameBits, Frames
from hil.virtual import bus

US = 1000
# On the wire, start of frame to the last CRC bit, stuff bits between bars. 10 bits follow, then 3 of intermission.
#   0x000, no payload: 34 zeros (its CRC is 0), a stuff bit after every five: 34 + 6 + 10 = 50 bits, 100 us
NOTHING = "00000|1|00000|1|00000|1|00000|1|00000|1|00000|1|0000"
#   0x7FF, one byte FF: 0 11111|0|11111|0|1 000000.. : 42 + 5 + 10 = 57 bits, 114 us
HIGHEST = "011111|0|11111|0|100000|1|0111|1".replace("|1|0111|1", "|1|011111|0|111") + "11101000010101"
#   0x123, 55 AA: 50 + 1 + 10 = 61 bits, 122 us
MIDDLE = "000100100011000001|".replace("1|", "") + "|1|00101010110101010001000010010101"


class Bench:
    def __init__(self, **more):
        self.p, self.s, self.out = bus.params(**more), zeros(bus.BusState), zeros(Frames)

    def offer(self, *listed, **more):
        bus.offer(self.s[0], self.p[0], frames(*listed, **more)[0])

    def advance(self, until_ns):
        bus.advance(self.s[0], self.p[0], until_ns, self.out[0])
        return seen(self.out)

    @property
    def state(self):
        return view(self.s)
