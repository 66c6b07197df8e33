"""End of life from capacity by cycle alone: a Bayesian average of fade laws, in closed form.

Where nothing but the capacity of each cycle is known, the trend so far is all there is to go by, and which law it
follows is the greater doubt. So the law is not chosen but averaged over:

* power laws, fade ~ n^p: p = 0.5 is a film whose growth is limited by diffusion through itself (Ploehn, Ramadass,
  White, J. Electrochem. Soc. 151 (2004) A456), 1 a constant loss per cycle, above 1 a fade that gains speed;
* exponentials, fade ~ exp(c n / N) - 1 with N the cycles seen: a fade that feeds itself (the empirical model of He et
  al., J. Power Sources 196 (2011) 10314, without its second term).

For one law the capacity is ``q0 - d g(n)`` with ``g`` 0 at the start and 1 at the last cycle seen, so that ``q0`` and
``d`` mean the same in all of them and a flat prior is the same prior. What the measurements deviate by (rests,
temperature: several cycles go up and down together) is an Ornstein-Uhlenbeck process whose length is averaged over
too. With Jeffreys' prior on its variance the capacity at any cycle is Student's t (Bayesian linear regression), and

    P(end of life by cycle n) = sum over laws of weight * P(capacity at n <= limit),

a mixture of t distributions: no sampling, no seed. The deviation belongs to it, for the end of life is met by a
measurement and not by a trend.

No cell follows one law from new to worn, so the likelihood, which takes the law for true, would soon be far too sure of
it. It is coarsened: raised to 1 / (1 + N / 20), as if no more than 20 measurements could ever speak about the law
(Miller & Dunson, J. Am. Stat. Assoc. 114 (2019) 1113). Prior: ln p normal about 0 with sigma 0.3 (95 % within 0.55 and
1.8), c half-normal with sigma 1. What it cannot see is a law not yet begun: the knee of a cell that so far fades evenly.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from hil.errors import InputError, Problem

LEAST_CYCLES = 8
POWERS = tuple(float(p) for p in np.geomspace(0.4, 2.5, 19))
POWER_SIGMA = 0.3
GROWTHS = tuple(float(c) for c in np.linspace(0.3, 3.0, 10))
GROWTH_SIGMA = 1.0
LENGTHS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""How many measurements in a row deviate together; the length in cycles is this times their usual distance."""
SPEAKING = 20.0
"""How many measurements may speak about the law."""
HORIZON = 50.0
"""No forecast goes beyond so many times the cycles seen: what would end later has no end in sight."""
WINDOW = 5
LEAST_AH, MOST_AH, MOST_CYCLE = 1e-6, 1e6, 1e9
"""What is beyond is no cell's, and squares of it might leave the range of numbers."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """Capacity in Ah by cycle, cycles rising. ``name`` says whose."""

    name: str
    cycles: Floats
    capacity_ah: Floats


@dataclass(frozen=True, slots=True)
class FadeForecast:
    """What the fade so far says about the end of life. Cycles count as the history counts them; inf: no end in sight.

    ``ended`` is the cycle at which the limit was met, None when it was not yet; then ``end_median``, ``end_low`` and
    ``end_high`` are given that it was not. ``trend_ah`` with ``low_ah`` and ``high_ah`` is the capacity at ``cycles``,
    past and to come, with the central band of probability ``level``. ``exponent`` is the geometric mean of p over the
    power laws, ``power_share`` their share of all.
    """

    limit_ah: float
    level: float
    now: float
    ended: float | None
    end_median: float
    end_low: float
    end_high: float
    exponent: float
    power_share: float
    cycles: Floats
    trend_ah: Floats
    low_ah: Floats
    high_ah: Floats


@dataclass(frozen=True, slots=True)
class _Laws:
    """All fade laws with each length of the deviations, fitted; the first axis of every array is the law.

    ``length`` is in units of the cycles seen, ``beta`` (laws, 2) q0 and -d in Ah, ``cov`` (laws, 2, 2) its scale,
    ``scale2`` the variance of the deviations; all are Student's t with ``freedom``.
    """

    power: NDArray[np.bool_]
    shape: Floats
    length: Floats
    weight: Floats
    beta: Floats
    cov: Floats
    scale2: Floats
    freedom: int
    last_ah: float


def end_of_life(history: History, limit_ah: float) -> float | None:
    """The cycle from which on the running median of five measurements stays at the limit or below; None: not yet.

    A single low reading is no end of life, nor is one after which a rest brings the capacity back for longer.
    """
    if len(history.cycles) < WINDOW:
        return None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(history.capacity_ah, WINDOW), axis=1)
    above = np.flatnonzero(medians > limit_ah)
    first = 0 if len(above) == 0 else int(above[-1]) + 1
    return float(history.cycles[first + WINDOW // 2]) if first < len(medians) else None


def forecast(history: History, limit_ah: float, level: float = 0.9) -> FadeForecast:
    """When the capacity reaches ``limit_ah``, with the central interval of probability ``level``.

    Raises:
        InputError: fewer than ``LEAST_CYCLES`` cycles, cycles that do not rise, or a capacity that is no capacity.
    """
    _refuse(history, limit_ah, level)
    laws = _fitted(history)
    first, seen = float(history.cycles[0]), float(history.cycles[-1] - history.cycles[0])
    ended = end_of_life(history, limit_ah)
    tails = (0.5, (1.0 - level) / 2.0, (1.0 + level) / 2.0)
    ends = [ended] * 3 if ended is not None else [first + seen * x for x in _ends(laws, limit_ah, tails)]
    known = [end - first for end in ends if math.isfinite(end)]
    shown = np.linspace(0.0, min(max([1.25 * seen, *known]), 4.0 * seen), 120)
    bands = [_capacity(laws, shown / seen, p) for p in tails]
    share = float(laws.weight[laws.power].sum())
    exponent = math.exp(float(laws.weight[laws.power] @ np.log(laws.shape[laws.power])) / share) if share else math.nan
    return FadeForecast(
        limit_ah=limit_ah,
        level=level,
        now=float(history.cycles[-1]),
        ended=ended,
        end_median=ends[0],
        end_low=ends[1],
        end_high=ends[2],
        exponent=exponent,
        power_share=share,
        cycles=first + shown,
        trend_ah=bands[0],
        low_ah=bands[1],
        high_ah=bands[2],
    )


def _refuse(history: History, limit_ah: float, level: float) -> None:
    """Raises InputError with all that is wrong."""
    q, n, name = history.capacity_ah, history.cycles, history.name
    problems = []
    if len(n) < LEAST_CYCLES:
        expected = f"at least {LEAST_CYCLES} cycles"
        problems.append(Problem("too little for a trend", name, expected=expected, found=f"{len(n)}"))
    if not (np.abs(n) <= MOST_CYCLE).all() or (np.diff(n) <= 0).any():
        problems.append(Problem("cycles must rise", name, expected=f"at most {MOST_CYCLE:g}"))
    if not ((q >= LEAST_AH) & (q <= MOST_AH)).all():
        problems.append(Problem("capacity", name, expected=f"{LEAST_AH:g} to {MOST_AH:g} Ah in every cycle"))
    if not LEAST_AH <= limit_ah <= MOST_AH:
        expected = f"{LEAST_AH:g} to {MOST_AH:g} Ah"
        problems.append(Problem("end of life", name, expected=expected, found=f"{limit_ah:g} Ah"))
    if not 0.0 < level < 1.0:
        problems.append(Problem("level", expected="between 0 and 1", found=f"{level:g}"))
    if problems:
        raise InputError(problems)


def _fade(power: Floats | NDArray[np.bool_], shape: Floats, x: Floats) -> Floats:
    """``g`` of the module's docstring, (laws, len(x)), at ``x`` = cycles since the first over cycles seen."""
    p = shape[:, None]
    with np.errstate(over="ignore"):
        return np.where(np.asarray(power)[:, None], x[None, :] ** p, np.expm1(np.minimum(p * x, 300.0)) / np.expm1(p))


def _fitted(history: History) -> _Laws:
    x = (history.cycles - history.cycles[0]) / (history.cycles[-1] - history.cycles[0])
    power = np.array([True] * len(POWERS) + [False] * len(GROWTHS))
    shape = np.array(POWERS + GROWTHS)
    prior = np.concatenate([_normal(np.log(POWERS), POWER_SIGMA), _normal(np.array(GROWTHS), GROWTH_SIGMA)])
    fade, step = _fade(power, shape, x), float(np.median(np.diff(x)))
    fits = [_fit(g, x, history.capacity_ah, length * step) for g in fade for length in LENGTHS]
    logs = np.repeat(np.log(prior), len(LENGTHS)) + np.array([fit[3] for fit in fits])
    weight = np.exp(logs - logs.max())
    kept = weight > 1e-4 * weight.sum()
    return _Laws(
        np.repeat(power, len(LENGTHS))[kept],
        np.repeat(shape, len(LENGTHS))[kept],
        np.tile(np.array(LENGTHS) * step, len(shape))[kept],
        weight[kept] / weight[kept].sum(),
        np.array([fit[0] for fit in fits])[kept],
        np.array([fit[1] for fit in fits])[kept],
        np.array([fit[2] for fit in fits])[kept],
        len(x) - 2,
        float(history.capacity_ah[-1]),
    )


def _normal(values: Floats, sigma: float) -> Floats:
    density = np.exp(-0.5 * (values / sigma) ** 2)
    return np.asarray(density / density.sum())


def _fit(g: Floats, x: Floats, q: Floats, length: float) -> tuple[Floats, Floats, float, float]:
    """q0 and -d, their covariance, the variance of the deviations, and the logarithm of the coarsened likelihood.

    An Ornstein-Uhlenbeck process is whitened by taking from each value what the one before it foretells.
    """
    phi = np.exp(-np.diff(x) / length) if length > 0 else np.zeros(len(x) - 1)
    spread = np.sqrt(1.0 - phi**2)
    design = np.column_stack([np.ones_like(g), g])
    rows = np.vstack([design[:1], (design[1:] - phi[:, None] * design[:-1]) / spread[:, None]])
    y = np.concatenate([q[:1], (q[1:] - phi * q[:-1]) / spread])
    normal = rows.T @ rows
    inverse = np.linalg.inv(normal)
    beta = inverse @ (rows.T @ y)
    freedom = len(q) - 2
    # Capacities without any deviation are known no better than the last figures of a number tell.
    rss = max(float(np.sum((y - rows @ beta) ** 2)), len(q) * (1e-9 * float(q[0])) ** 2)
    likelihood = -float(np.sum(np.log(spread))) - 0.5 * freedom * math.log(rss)
    coarse = likelihood / (1.0 + len(q) / SPEAKING) - 0.5 * math.log(float(np.linalg.det(normal)))
    return beta, inverse * (rss / freedom), rss / freedom, coarse


def _moments(laws: _Laws, x: Floats) -> tuple[Floats, Floats]:
    """Centre and scale in Ah of the t distributions of the capacity at ``x``, (laws, len(x)).

    Ahead of the last measurement its deviation is still there and dies away.
    """
    g = _fade(laws.power, laws.shape, x)
    safe = np.where(laws.length > 0, laws.length, 1.0)[:, None]
    kept = np.where((laws.length[:, None] > 0) & (x > 1.0), np.exp(-np.maximum(x - 1.0, 0.0) / safe), 0.0)
    one, slope = 1.0 - kept, g - kept
    centre = laws.beta[:, :1] * one + laws.beta[:, 1:] * slope + kept * laws.last_ah
    cov = laws.cov[:, :, :, None]
    variance = cov[:, 0, 0] * one**2 + 2.0 * cov[:, 0, 1] * one * slope + cov[:, 1, 1] * slope**2
    return centre, np.sqrt(variance + laws.scale2[:, None] * (1.0 - kept**2) + 1e-24)


def _below(laws: _Laws, x: Floats, limit_ah: float | Floats) -> Floats:
    """The probability that the capacity at ``x`` is at the limit or below."""
    centre, scale = _moments(laws, x)
    return np.asarray(laws.weight @ stdtr(laws.freedom, (limit_ah - centre) / scale))


def _ends(laws: _Laws, limit_ah: float, tails: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles of the end of life, in units of the cycles seen, given that it has not come by now (1)."""
    x = np.concatenate([np.linspace(1.0, 2.0, 400, endpoint=False), np.geomspace(2.0, HORIZON, 800)])
    share = np.maximum.accumulate(_below(laws, x, limit_ah))
    left = 1.0 - share[0]
    share = (share - share[0]) / left if left > 1e-12 else np.ones_like(share)
    return tuple(_crossing(share, x, p) for p in tails)


def _crossing(share: Floats, x: Floats, p: float) -> float:
    """Where the rising ``share`` first meets ``p``, inf where it never does; it may stand still, or jump."""
    if share[-1] < p:
        return math.inf
    at = max(1, int(np.searchsorted(share, p)))
    below, step = share[at - 1], share[at] - share[at - 1]
    return float(x[at - 1] + (x[at] - x[at - 1]) * ((p - below) / step if step > 0 else 0.0))


def _capacity(laws: _Laws, x: Floats, p: float) -> Floats:
    """The capacity at ``x`` below which it lies with probability ``p``, by bisection on the mixture."""
    centre, scale = _moments(laws, x)
    low, high = (centre - 60.0 * scale).min(axis=0), (centre + 60.0 * scale).max(axis=0)
    for _ in range(32):
        middle = 0.5 * (low + high)
        under = laws.weight @ stdtr(laws.freedom, (middle - centre) / scale) < p
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray(np.maximum(0.5 * (low + high), 0.0))
