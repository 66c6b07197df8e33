"""Channel numbers of interfaces that a log knows by name."""

from collections.abc import Mapping

CHANNELS = 256
DIGITS = "0123456789"


def numbered(counts: Mapping[str, int]) -> dict[str, int]:
    """The channel of each interface, of the names in order of appearance and their numbers of frames; at most 256.

    It is the number in a name (1 of ``can1``) while that is free, else the next free one. Names with a number, of the
    frequent kind (``can`` of ``can0`` and ``can1``), and frequent names choose first, so that a name with a damaged
    letter does not take the number of a real one; names without a number follow in order of appearance.
    """
    kinds: dict[str, int] = {}
    for name, count in counts.items():
        kinds[_kind(name)] = kinds.get(_kind(name), 0) + count
    places = {name: place for place, name in enumerate(counts)}

    def rank(name: str) -> tuple[bool, int, int, int]:
        if _own(name) is None:
            return True, 0, 0, places[name]
        return False, -kinds[_kind(name)], -counts[name], places[name]

    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(counts, key=rank)[:CHANNELS]:
        number = _own(name) or 0
        while number in taken:
            number = (number + 1) % CHANNELS
        numbers[name] = number
        taken.add(number)
    return numbers


def _kind(name: str) -> str:
    return name.rstrip(DIGITS)


def _own(name: str) -> int | None:
    """The number at the end of a name; None when there is none, or none that a channel can have."""
    digits = name[len(_kind(name)) :]
    return int(digits) if 0 < len(digits) < 4 and int(digits) < CHANNELS else None
