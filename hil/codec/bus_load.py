"""How much of a bus the cyclic messages of a database can take."""

from hil.codec.nouns import Database


def worst_bits(length: int, extended: bool) -> int:
    """Bit times of a classic data frame with the most stuff bits, 3 bits of interframe space included.

    34 (54 when extended) bits of header and CRC and the payload can be stuffed, one bit for the first five and one for
    each further four; delimiters, acknowledge, end of frame and interframe space add 13. Source: Davis, Burns, Bril and
    Lukkien, "Controller Area Network (CAN) schedulability analysis: refuted, revisited and revised", 2007.
    """
    stuffable = (54 if extended else 34) + 8 * length
    return stuffable + 13 + (stuffable - 1) // 4


def worst_load(db: Database, bit_rate: int) -> float:
    """Fraction of the bit time that all cyclic messages take with the most stuff bits; ``bit_rate`` in bit/s."""
    bits_per_s = sum(
        worst_bits(m.length, m.extended) * m.frames_per_cycle * 1e9 / m.cycle_ns for m in db.messages if m.cycle_ns
    )
    return bits_per_s / bit_rate


def known_load(db: Database) -> float | None:
    """The same at the file's own bit rate; None without one, without a cyclic message or with one above 8 bytes.

    CAN FD frames change their bit rate inside, and messages that go out in several frames are not described.
    """
    cyclic = [m for m in db.messages if m.cycle_ns]
    if not db.bit_rate or not cyclic or any(m.fd or m.length > 8 for m in cyclic):
        return None
    return worst_load(db, db.bit_rate)
