"""From a protection as numbers to the record that the kernels read: places, masks and CRC tables."""

from typing import Any, NamedTuple

from hil.codec.e2e.crc import DATA_IDS, EXTRA, Algorithm, Extra
from hil.tick import PAYLOAD

COUNTER_DEPENDENT = frozenset({Extra.ALTERNATING, Extra.LISTED})
WIDTHS = range(8, 33)  # bits of a CRC register; 64 too when reflected


class Place(NamedTuple):
    """Bits of the payload as ``hil.codec.bits`` counts them; ``shift`` drops low bits of the number first."""

    start: int
    width: int
    big: bool = False
    shift: int = 0

    def positions(self) -> frozenset[int]:
        """The bits it covers, as 8 * byte + bit in byte."""
        if not self.big:
            return frozenset(range(self.start, self.start + self.width))
        first = (self.start >> 3) * 8 + 7 - (self.start & 7)  # counted from the top of byte 0
        return frozenset((n >> 3) * 8 + 7 - (n & 7) for n in range(first, first + self.width))


class Protection(NamedTuple):
    """How one message is protected. The defaults are those of AUTOSAR profile 1, data id mode BOTH.

    The checksum starts at ``init``, takes in ``before`` (``Extra``), the payload from byte ``first`` to ``last`` (None =
    ``length``, 0 = the end of each frame) without its own bits, and ``after``; ``xor_out`` comes last. ``crc_place``
    and ``counter_big`` say more than ``crc_byte`` and ``counter_start`` can. ``counter_length`` 0 = no counter. With
    ``own_bits_are_zero`` the checksum's own bytes count as zero, else they are left out. ``negative``: sums go down.
    ``id_field`` and ``length_field``: the data id and the length stand in the payload too.
    """

    id: int
    extended: bool
    length: int  # bytes a frame must have
    crc_byte: int
    counter_start: int  # bit
    counter_length: int
    counter_max: int  # last value before 0
    max_delta: int  # greatest counter step taken as good
    data_id: int
    init: int
    xor_out: int
    algorithm: Algorithm = Algorithm.CRC
    polynomial: int = 0x1D
    width: int = 8
    reflected: bool = False
    negative: bool = False
    before: tuple[Extra, ...] = (Extra.ID0, Extra.ID1)
    after: tuple[Extra, ...] = ()
    crc_place: Place | None = None
    counter_big: bool = False
    first: int = 0
    last: int | None = None
    own_bits_are_zero: bool = False
    id_field: Place | None = None
    length_field: Place | None = None
    data_ids: tuple[int, ...] = ()
    timeout_ns: int = 0

    @property
    def crc(self) -> Place:
        """Where the checksum stands."""
        if self.algorithm is Algorithm.NONE:
            return Place(0, 0)
        return Place(8 * self.crc_byte, 8) if self.crc_place is None else self.crc_place

    @property
    def counter(self) -> Place:
        """Where the counter stands; width 0 = nowhere."""
        return Place(self.counter_start, self.counter_length, self.counter_big)

    def uses_data_id(self) -> bool:
        """True when another data id would give another checksum, or stands in the payload."""
        ids = {Extra.ID0, Extra.ID1, Extra.ID2, Extra.ID3, Extra.ALTERNATING, Extra.LISTED}
        return bool(ids.intersection((*self.before, *self.after))) or self.id_field is not None


def mirrored(value: int, width: int) -> int:
    """The same bits in the other order."""
    return int(f"{value:0{width}b}"[::-1], 2)


def crc_table(polynomial: int, width: int, reflected: bool, index_bits: int) -> list[int]:
    """What ``index_bits`` bits at the input end of an empty register turn it into, for each of their values."""
    out = []
    for index in range(1 << index_bits):
        if reflected:
            crc = index
            for _ in range(index_bits):
                crc = (crc >> 1) ^ (mirrored(polynomial, width) if crc & 1 else 0)
        else:
            crc = index << (width - index_bits)
            for _ in range(index_bits):
                crc = ((crc << 1) ^ (polynomial if crc >> (width - 1) else 0)) & ((1 << width) - 1)
        out.append(crc)
    return out


def signed64(value: int) -> int:
    """The same 64 bits as a signed number."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def refusals(line: Protection) -> list[str]:
    """What the kernels cannot do, in words; empty = all is well."""
    texts = _number_refusals(line)
    last = line.length if line.last is None else line.last
    if line.algorithm is Algorithm.NONE and not line.counter_length:
        texts.append("neither a checksum nor a counter: nothing is protected")
    if not 0 <= line.length <= PAYLOAD or last > line.length or line.first >= (last or line.length):
        texts.append(f"the checksum covers bytes {line.first} to {last} of a message of {line.length}")
    fields = {"checksum": line.crc, "counter": line.counter}
    fields |= {k: v for k, v in (("data id", line.id_field), ("length", line.length_field)) if v is not None}
    taken: frozenset[int] = frozenset()
    for name, place in fields.items():
        bits = place.positions()
        if bits and (min(bits) < 0 or max(bits) >= 8 * line.length or place.width > 64):
            texts.append(f"the {name} lies outside the message of {line.length} bytes")
        if bits & taken:
            texts.append(f"the {name} overlaps another field of the protection")
        taken |= bits
    if line.counter_length > 32:
        texts.append(f"a counter of {line.counter_length} bits: at most 32")
    elif line.counter_length and not 0 < line.counter_max < 1 << line.counter_length:
        texts.append(f"a counter of {line.counter_length} bits cannot end at {line.counter_max}")
    if max(len(line.before), len(line.after)) > EXTRA or len(line.data_ids) > DATA_IDS:
        texts.append(f"more than {EXTRA} bytes before or after the payload, or {DATA_IDS} data ids")
    if Extra.LISTED in (*line.before, *line.after) and len(line.data_ids) <= min(line.counter_max, DATA_IDS - 1):
        texts.append(f"{len(line.data_ids)} data ids: each counter value 0 to {line.counter_max} needs one")
    return texts


def _number_refusals(line: Protection) -> list[str]:
    """What is wrong with the numbers of the checksum."""
    texts: list[str] = []
    if line.algorithm is Algorithm.NONE:
        return texts
    if line.algorithm is not Algorithm.CRC:
        if line.xor_out >> line.width:
            texts.append(f"the final exclusive-or does not fit into {line.width} bits")
        return texts
    if line.width not in WIDTHS and not (line.width == 64 and line.reflected):
        texts.append(f"a CRC of {line.width} bits: 8 to 32 are possible, and 64 when reflected")
    if max(line.polynomial, line.init, line.xor_out) >> line.width:
        texts.append(f"polynomial, start value and final exclusive-or do not all fit into {line.width} bits")
    if line.crc.width < line.width:
        texts.append(f"a CRC of {line.width} bits does not fit into {line.crc.width} bits")
    return texts


def fill_config(record: Any, line: Protection) -> None:
    """Write one protection into a view of an ``E2eConfig``.

    Raises:
        ValueError: the kernels cannot do it (``refusals``).
    """
    problems = refusals(line)
    if problems:
        raise ValueError(f"0x{line.id:X}: " + "; ".join(problems))
    last = line.length if line.last is None else line.last
    record["id"], record["extended"], record["length"] = line.id, int(line.extended), line.length
    record["algorithm"], record["width"] = int(line.algorithm), line.width
    record["reflected"], record["sign"] = int(line.reflected), -1 if line.negative else 1
    record["mask"] = -1 if line.width == 64 else (1 << line.width) - 1
    init = mirrored(line.init, line.width) if line.reflected else line.init
    record["init"], record["xor_out"] = signed64(init), signed64(line.xor_out)
    record["data_id"], record["first"], record["last"] = line.data_id, line.first, last
    record["n_before"], record["n_after"] = len(line.before), len(line.after)
    record["before"][: len(line.before)] = [int(e) for e in line.before]
    record["after"][: len(line.after)] = [int(e) for e in line.after]
    record["data_ids"][: len(line.data_ids)] = line.data_ids
    record["counter_max"], record["max_delta"] = line.counter_max, line.max_delta
    record["timeout_ns"] = line.timeout_ns
    _fill_place(record["crc"], line.crc)
    _fill_place(record["counter"], line.counter)
    _fill_short_counter(record, line)
    _fill_place(record["id_field"], line.id_field)
    _fill_place(record["length_field"], line.length_field)
    _fill_cover(record, line)
    _fill_tables(record, line, last)


def _fill_place(record: Any, place: Place | None) -> None:
    start, width, big, shift = place or Place(0, 0)
    record["start"], record["width"], record["big"], record["shift"] = start, width, int(big), shift


def _fill_short_counter(record: Any, line: Protection) -> None:
    """A counter inside one byte is read without a loop."""
    positions = line.counter.positions()
    if positions and min(positions) >> 3 == max(positions) >> 3:
        record["counter_byte"], record["counter_shift"] = min(positions) >> 3, min(positions) & 7
        record["counter_mask"] = (1 << line.counter_length) - 1


def _fill_cover(record: Any, line: Protection) -> None:
    """Which bits are covered: whole bytes of the checksum are skipped, of a shared byte its bits count as zero."""
    record["keep"][:] = 0xFF
    for bit in line.crc.positions():
        record["keep"][bit >> 3] &= ~(1 << (bit & 7)) & 0xFF
    own = [] if line.own_bits_are_zero else [i for i in range(PAYLOAD) if record["keep"][i] == 0]
    record["skip_from"], record["skip_to"] = (own[0], own[-1] + 1) if own else (line.first, line.first)


def _fill_tables(record: Any, line: Protection, last: int) -> None:
    if line.algorithm is not Algorithm.CRC:
        return
    if line.width > 8:
        record["by_nibble"][:] = [signed64(x) for x in crc_table(line.polynomial, line.width, line.reflected, 4)]
        return
    by_byte = crc_table(line.polynomial, 8, line.reflected, 8)
    record["by_byte"][:] = by_byte
    own = min(line.crc.positions()) >> 3
    aligned = line.crc.positions() == frozenset(range(8 * own, 8 * own + 8))
    explicit = line.id_field is not None or line.length_field is not None
    fixed = not line.after and not explicit and not COUNTER_DEPENDENT.intersection(line.before)
    if not (aligned and fixed and last > 0 and line.first <= own < last and not line.own_bits_are_zero):
        return
    crc = int(record["init"])
    for extra in line.before:
        byte = last if extra is Extra.LENGTH else 0 if extra is Extra.ZERO else line.data_id >> (8 * int(extra))
        crc = by_byte[(crc ^ byte) & 0xFF]
    record["plain"], record["crc_byte"], record["start"] = 1, own, crc
