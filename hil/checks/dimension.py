"""What units do when quantities are added, multiplied and compared. Values are SI already."""

from collections.abc import Mapping
from types import MappingProxyType

Exponents = tuple[int, int, int, int]

# Exponents of volt, ampere, second, kelvin. Units that are not coherent (Ah, Wh) or not linear (degC) stand aside.
_EXPONENTS: Mapping[str, Exponents] = MappingProxyType(
    {
        "1": (0, 0, 0, 0),
        "V": (1, 0, 0, 0),
        "A": (0, 1, 0, 0),
        "s": (0, 0, 1, 0),
        "K": (0, 0, 0, 1),
        "W": (1, 1, 0, 0),
        "J": (1, 1, 1, 0),
        "ohm": (1, -1, 0, 0),
        "S": (-1, 1, 0, 0),
        "F": (-1, 1, 1, 0),
        "H": (1, -1, 1, 0),
        "Hz": (0, 0, -1, 0),
        "V/s": (1, 0, -1, 0),
        "A/s": (0, 1, -1, 0),
        "degC/s": (0, 0, -1, 1),
        "J/K": (1, 1, 1, -1),
        "W/K": (1, 1, 0, -1),
        "K/W": (-1, -1, 0, 1),
    }
)
_NAMES: Mapping[Exponents, str] = MappingProxyType({exponents: name for name, exponents in _EXPONENTS.items()})


def same(left: str, right: str) -> bool:
    """Whether two units measure the same thing on the same scale."""
    if left == right:
        return True
    ours, theirs = _exponents(left), _exponents(right)
    return ours is not None and ours == theirs


def added(left: str, right: str, minus: bool) -> str | None:
    """Unit of a sum or difference, None when there is none: degC - degC is K, degC + K is degC, degC + degC nothing."""
    if left == "degC" and right == "degC":
        return "K" if minus else None
    if left == "degC" and right == "K":
        return "degC"
    if left == "K" and right == "degC":
        return None if minus else "degC"
    return left if same(left, right) else None


def multiplied(left: str, right: str, divide: bool) -> str | None:
    """Unit of a product or quotient, None when there is none (a temperature in degC cannot be scaled)."""
    if "degC" in (left, right):
        return None
    if right == "1":
        return left
    if left == "1" and not divide:
        return right
    if divide and left == right:
        return "1"
    ours, theirs = _exponents(left), _exponents(right)
    if ours is None or theirs is None:
        return None
    sign = -1 if divide else 1
    a, b, c, d = (x + sign * y for x, y in zip(ours, theirs, strict=True))
    return _NAMES.get((a, b, c, d)) or _written((a, b, c, d))


def _exponents(unit: str) -> Exponents | None:
    if unit in _EXPONENTS:
        return _EXPONENTS[unit]
    if unit == "1/s":
        return _EXPONENTS["Hz"]
    found = dict.fromkeys(("V", "A", "s", "K"), 0)
    for part in unit.split("*"):
        name, _, power = part.partition("^")
        if name not in found or not power.lstrip("-").isdigit():
            return None
        found[name] += int(power)
    return found["V"], found["A"], found["s"], found["K"]


def _written(exponents: Exponents) -> str:
    """A product that has no name of its own: ``V^2*s^-1``; read back by ``_exponents``."""
    return "*".join(f"{name}^{power}" for name, power in zip(("V", "A", "s", "K"), exponents, strict=True) if power)
