"""Cells that follow a law one can write down: curves of early life, and histories of fade."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.analysis.rul.curves import Curves
from hil.analysis.rul.fade import History

VOLTAGE = np.linspace(3.5, 2.0, 200)
CYCLES = np.array([2, 10, 50, 100])
NOMINAL_AH = 1.1


def noise(seed: int, n: int) -> NDArray[np.float64]:
    """Normal numbers that are the same everywhere: the sum of twelve hashed uniforms."""
    words = np.random.SeedSequence(seed).generate_state(12 * n, np.uint32) / 2.0**32
    return np.asarray(words.reshape(12, n).sum(axis=0) - 6.0)


def make_curves(n: int, seed: int = 7, scatter: float = 0.02, name: str = "made", scale: float = 1.0) -> Curves:
    """``n`` cells whose life is 900 cycles times (depth / 0.03)^-0.8, but for a lognormal ``scatter``.

    ``depth`` (Ah) is the dip of delta Q(V) at 2.9 V that the same loss leaves by cycle 100; ``scale`` multiplies every Ah.
    """
    depth = 0.03 * np.exp(0.6 * noise(seed, n))
    life = 900.0 * (depth / 0.03) ** -0.8 * np.exp(scatter * noise(seed + 1, n))
    full = 1.06 + 0.01 * noise(seed + 2, n)
    rest = full[:, None] / (1.0 + np.exp((VOLTAGE - 3.1) / 0.05))
    low = 0.3 + 0.05 * noise(seed + 4, n)
    dip = np.exp(-(((VOLTAGE - 2.9) / 0.2) ** 2)) + low[:, None] * (VOLTAGE < 2.7)
    share = np.array([0.0, 0.1, 0.5, 1.0])
    # The loss of cell i at cycle 100 against cycle 10 is its depth.
    q = rest[:, :, None] - depth[:, None, None] * dip[:, :, None] * share / 0.9
    n_end = np.arange(2, 101)
    rise = (0.004 + 0.001 * noise(seed + 3, n))[:, None] * np.minimum(n_end - 2, 20) / 20.0
    end = full[:, None] + rise - depth[:, None] * 0.1 * (n_end - 2) / 98.0
    return Curves(name, CYCLES, VOLTAGE, scale * q, scale * end, life)


def save_curves(path: Path, *sets: Curves) -> Path:
    arrays = {"cycles": sets[0].cycles, "voltage": sets[0].voltage_v}
    for one in sets:
        arrays[f"{one.name}_Q"], arrays[f"{one.name}_Qend"] = one.capacity_ah, one.discharge_ah
        if one.life is not None:
            arrays[f"{one.name}_life"] = one.life
    np.savez_compressed(path, **arrays)
    return path


def fading(p: float, end: float, upto: float, seed: int = 1, noise_ah: float = 0.002, step: float = 2.0) -> History:
    """A 2 Ah cell that loses 20 % by cycle ``end`` as n^p, seen up to cycle ``upto``; deviations last some cycles."""
    n = np.arange(0.0, upto + 0.5, step)
    white, deviation = noise(seed, len(n)), np.zeros(len(n))
    for k in range(1, len(n)):
        deviation[k] = 0.7 * deviation[k - 1] + noise_ah * white[k]
    return History("made", n, 2.0 * (1.0 - 0.2 * (n / end) ** p) + deviation)


def exponential(growth: float, end: float, upto: float, seed: int = 2, noise_ah: float = 0.002) -> History:
    """As ``fading``, the loss growing as exp(growth n / end) - 1."""
    made = fading(1.0, end, upto, seed, noise_ah)
    loss = np.expm1(growth * made.cycles / end) / np.expm1(growth)
    return History("made", made.cycles, made.capacity_ah + 0.4 * made.cycles / end - 0.4 * loss)
