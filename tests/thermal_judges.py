"""Judges of the plant's heat chain: no joule lost, the same from both ends, and the chain as a matrix.

Each takes the copies (``thermal``), healthy or mutated, as plain Python, and raises where a law is broken. Cheapest first.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import plant_rig
import pytest

from hil.errors import InputError

CAP = 6
SHARE = 0.6  # of the coolant's conductance that is left


def params(**changes: float) -> SimpleNamespace:
    made = {"n_cells": 5, "heat_capacity_j_per_k": 80.0, "between_w_per_k": 0.4, "coolant_w_per_k": 0.15}
    return SimpleNamespace(**{**made, "coolant_degc": 21.0, "step_ns": 1, **changes})


def chain(seed: int = 1) -> tuple[SimpleNamespace, np.ndarray]:
    """A state and heats, one element more than there are cells."""
    rng = np.random.default_rng(seed)
    s = SimpleNamespace(temperature_degc=rng.uniform(10.0, 60.0, CAP), coolant_degc=18.0, coolant_j=3.0, waited_ns=7)
    s.coolant_share, s.heating_w, s.heating_j, s.n_heated = SHARE, np.zeros(CAP), 5.0, 9
    return s, rng.uniform(0.0, 400.0, CAP)


def laplacian(p: Any) -> np.ndarray:
    """Heat that leaves each cell per kelvin of each, W/K: a path graph with the coolant at every node."""
    path = np.diag(np.ones(p.n_cells - 1), 1)
    path = path + path.T
    return p.between_w_per_k * (np.diag(path.sum(axis=0)) - path) + SHARE * p.coolant_w_per_k * np.eye(p.n_cells)


def judge_begin(copies: Any) -> None:
    s, _ = chain()
    last = s.temperature_degc[-1]
    copies.thermal.begin(s, params(), 33.0)
    assert s.temperature_degc.tolist() == [33.0] * 5 + [last]
    assert (s.coolant_degc, s.coolant_share) == (21.0, 1.0)


def judge_latch(copies: Any) -> None:
    """Heaters and the share of the cooling come from the row; a share beyond 0..1 is held there."""
    s, _ = chain()
    row = np.zeros(20)
    row[4:9] = 0.0, 3.0, -2.0, 0.0, 7.0
    for asked, share in ((0.25, 0.25), (1.5, 1.0), (-0.5, 0.0)):
        row[11] = asked
        copies.thermal.latch(s, params(), row, 4, 11)
        assert s.heating_w.tolist() == [0.0, 3.0, -2.0, 0.0, 7.0, 0.0]
        assert (s.n_heated, s.coolant_share) == (3, share)


def judge_heaters(copies: Any) -> None:
    """What heaters bring is in the groups' heat, and booked."""
    s, heat = chain()
    s.heating_w[:] = 0.0, 3.0, -2.0, 0.0, 7.0, 100.0
    before = heat.copy()
    copies.thermal.warm(s, params(), heat, 2.0)
    assert np.allclose(heat - before, [0.0, 6.0, -4.0, 0.0, 14.0, 0.0])
    assert s.heating_j == 5.0 + 16.0


def judge_balance(copies: Any) -> None:
    """What was made is in the cells or in the coolant, to rounding; it is used up; nothing beyond the chain is touched."""
    for dt_s in (0.1, 30.0, 500.0):
        (s, heat), p = chain(), params()
        before, made = s.temperature_degc.copy(), heat.copy()
        copies.thermal.advance(s, p, heat, dt_s)
        kept = 80.0 * (s.temperature_degc - before)[:5].sum()
        assert abs(made[:5].sum() - kept - (s.coolant_j - 3.0)) < 1e-8
        assert heat.tolist() == [0.0] * 5 + [made[5]]
        assert s.temperature_degc[5] == before[5]


def judge_symmetry(copies: Any) -> None:
    """The chain turned round gives the same, turned round."""
    (s, heat), (t, mirrored), p = chain(), chain(), params()
    t.temperature_degc[:5], mirrored[:5] = s.temperature_degc[4::-1].copy(), heat[4::-1].copy()
    for one, given in ((s, heat), (t, mirrored)):
        copies.thermal.advance(one, p, given, 20.0)
    assert np.abs(s.temperature_degc[:5] - t.temperature_degc[4::-1]).max() < 1e-9


def judge_matrix(copies: Any) -> None:
    """The explicit steps as powers of a matrix; their number keeps the fastest cell below a tenth of its way at a time."""
    for dt_s, cells in ((0.1, 5), (100.0, 5), (320.0, 4), (77.0, 1)):
        (s, heat), p = chain(2), params(n_cells=cells)
        pieces = int(10.0 * (2 * 0.4 + SHARE * 0.15) / 80.0 * dt_s) + 1
        move = laplacian(p) * dt_s / pieces / 80.0
        x, gone = s.temperature_degc[:cells] - 18.0, 0.0
        for _ in range(pieces):
            gone += SHARE * 0.15 * x.sum() * dt_s / pieces
            x = x - move @ x + heat[:cells] / pieces / 80.0
        copies.thermal.advance(s, p, heat, dt_s)
        assert np.abs(s.temperature_degc[:cells] - 18.0 - x).max() < 1e-9
        assert abs(s.coolant_j - 3.0 - gone) < 1e-6


def judge_file(copies: Any) -> None:
    """The params from a pack file; a chain quicker than a second is refused, one of exactly a second is not."""
    r = SimpleNamespace()
    copies.thermal.fill(r, plant_rig.model())
    assert (r.n_cells, r.heat_capacity_j_per_k, r.between_w_per_k, r.coolant_w_per_k) == (4, 75.0, 0.2, 0.1)
    assert (r.coolant_degc, r.step_ns) == (25.0, 100_000_000)
    copies.thermal.fill(r, plant_rig.model(parallel=3, thermal={"to_coolant": None}))
    assert (r.heat_capacity_j_per_k, r.coolant_w_per_k) == (225.0, pytest.approx(0.3))
    copies.thermal.fill(r, plant_rig.model(thermal={"between_groups": "37.25 W/K", "to_coolant": "0.5 W/K"}))
    with pytest.raises(InputError, match=r"75\.02 W/K"):
        copies.thermal.fill(r, plant_rig.model(thermal={"between_groups": "37.25 W/K", "to_coolant": "0.52 W/K"}))


JUDGES: tuple[Callable[[Any], None], ...] = (
    judge_begin,
    judge_latch,
    judge_heaters,
    judge_balance,
    judge_symmetry,
    judge_matrix,
    judge_file,
)
