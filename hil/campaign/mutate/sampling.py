"""Some of many: a sample with every function and operator in its share, and what a share of a sample is worth."""

import hashlib
import math
from collections.abc import Sequence

from hil.campaign.mutate.nouns import Mutant

Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution


def sample(mutants: Sequence[Mutant], count: int, seed: int) -> tuple[Mutant, ...]:
    """``count`` mutants in the order given, all of them when there are no more.

    Systematic sampling along function and operator: every mutant has the same chance, and a function or operator has as
    many in the sample as its share says, give or take one. The same seed gives the same sample.
    """
    if count >= len(mutants):
        return tuple(mutants)
    order = sorted(mutants, key=lambda m: (m.module, m.function, m.operator, _hash(seed, m.id)))
    step = len(order) / count
    first = _hash(seed, "first") / 2.0**64 * step
    chosen = {order[min(int(first + k * step), len(order) - 1)].id for k in range(count)}
    return tuple(m for m in mutants if m.id in chosen)


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest(), "little")


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, in per cent (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209); 0 to 100 of none."""
    if of == 0:
        return 0.0, 100.0
    share, z2 = hits / of, Z95 * Z95
    middle = (share + z2 / (2.0 * of)) / (1.0 + z2 / of)
    half = Z95 / (1.0 + z2 / of) * math.sqrt(share * (1.0 - share) / of + z2 / (4.0 * of * of))
    return 100.0 * max(middle - half, 0.0), 100.0 * min(middle + half, 1.0)
