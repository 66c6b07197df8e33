"""An equivalent circuit of R0 and three RC pairs from one virtual test: pulses and relaxations down a staircase of SoC.

With the time constants given the voltage is linear in the resistances, which are straight lines between knots of SoC:
a bounded linear fit inside, a search over the three time constants outside (variable projection; G. H. Golub and V.
Pereyra, Inverse Problems 19 (2003) R1).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

Floats = NDArray[np.float64]

STAIRS = 20
REST_S = 1200.0
START_TAU_S = (3.0, 40.0, 400.0)
LEAST_TAU_S, MOST_TAU_S = 0.2, 5000.0
APART = 1.5  # a time constant is at least this many times the one before
SMOOTHING = 0.03  # a bend over one knot costs this share of the voltage it makes at the rms current
FLATNESS = 0.003  # likewise for a slope; decides only where there are no data
LEAST_OHM = 1e-6
_LOAD_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0, 240.0, 360.0, 600.0, 900.0)
_RELAX_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 840.0, REST_S)
_PULSE_S = (1.0, 2.0, 5.0, 10.0)
_AFTER_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """A test of one cell at one temperature, arrays of shape (samples,).

    ``current_a`` (positive discharges) holds from its sample to the next; ``voltage_v`` is that with it flowing.
    """

    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    soc: Floats
    ocv_v: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """Resistances [R0, R1, R2, R3] x knots in ohm, the three time constants in s, ascending, and the error of the fit.

    ``least_soc`` is where the data end: below it the tables are held.
    """

    knots: Floats
    resistance_ohm: Floats
    tau_s: Floats
    rms_v: float
    least_soc: float


def staircase(capacity_ah: float, rate: float = 1.0) -> tuple[Floats, Floats]:
    """(time in s, current in A) of the test, from full to empty in 20 stairs.

    A stair is 5 % of the capacity at ``rate`` (1 = the capacity in an hour), 20 min of rest, then 10 s out and 10 s in
    with a minute of rest after each. One rate alone: the reaction's resistance falls with the current (Butler-Volmer),
    and with two of them the slow pair takes up the difference. The current holds from its sample to the next; the last
    is 0. Raises ValueError for a rate that is not within 0.05 to 5.
    """
    if not 0.05 <= rate <= 5.0:
        raise ValueError(f"a rate of {rate:g} is not within 0.05 to 5")
    stair_s = 3600.0 / STAIRS / rate
    parts = (
        (rate, (*(s for s in _LOAD_S if s < stair_s), stair_s)),
        (0.0, _RELAX_S),
        (rate, _PULSE_S),
        (0.0, _AFTER_S),
        (-rate, _PULSE_S),
        (0.0, _AFTER_S),
    )
    times, currents, now_s = [0.0], [], 0.0
    for _ in range(STAIRS):
        for share, ends_s in parts:
            times += [now_s + end_s for end_s in ends_s]
            currents += [share * capacity_ah] * len(ends_s)
            now_s += ends_s[-1]
    return np.array(times), np.array([*currents, 0.0])


def pair_current_a(time_s: Floats, current_a: Floats, tau_s: float) -> Floats:
    """The current through the resistor of an RC pair, exact for a current held between samples, 0 at the first."""
    keep = [math.exp(-dt / tau_s) for dt in np.diff(time_s).tolist()]
    out = [0.0]
    for a, i in zip(keep, current_a.tolist(), strict=False):
        out.append(a * out[-1] + (1.0 - a) * i)
    return np.array(out)


def hats(soc: Floats, knots: Floats) -> Floats:
    """Weights [sample][knot] of straight lines between knots, held beyond them."""
    return np.stack([np.interp(soc, knots, row) for row in np.eye(len(knots))], axis=1)


def columns(test: Test, knots: Floats, tau_s: Floats) -> Floats:
    """The voltage drop of each unit resistance at each knot: [sample][R0 knots, R1 knots, R2 knots, R3 knots]."""
    weights = hats(test.soc, knots)
    currents = [test.current_a, *(pair_current_a(test.time_s, test.current_a, float(tau)) for tau in tau_s)]
    return np.concatenate([weights * i[:, None] for i in currents], axis=1)


def fit(test: Test, knots: Floats) -> Circuit:
    """The circuit of one temperature. Raises ValueError for a test of fewer than 20 samples."""
    if len(test.time_s) < 20:
        raise ValueError(f"a test of {len(test.time_s)} samples is too short to fit")
    drop_v = test.ocv_v - test.voltage_v
    smooth = _smoothing(len(knots), float(np.sqrt(np.mean(test.current_a**2))) * math.sqrt(len(drop_v)))
    target = np.concatenate([drop_v, np.zeros(len(smooth))])

    def solved(log_tau: Floats) -> tuple[Floats, Floats]:
        matrix = np.concatenate([columns(test, knots, _tau(log_tau)), smooth])
        return matrix, nnls(matrix, target, maxiter=50 * matrix.shape[1])[0]

    def residual(log_tau: Floats) -> Floats:
        matrix, found = solved(log_tau)
        return np.asarray(matrix @ found - target)

    steps = [math.log(START_TAU_S[0]), *(math.log(b / a) for a, b in pairwise(START_TAU_S))]
    least = [math.log(LEAST_TAU_S), math.log(APART), math.log(APART)]
    most = [math.log(60.0), math.log(200.0), math.log(200.0)]
    best = least_squares(residual, steps, bounds=(least, most), x_scale=1.0, diff_step=1e-3, xtol=1e-5, ftol=1e-6)
    matrix, found = solved(best.x)
    error_v = (matrix @ found - target)[: len(drop_v)]
    table = np.maximum(found.reshape(4, len(knots)), LEAST_OHM)
    return Circuit(knots, table, _tau(best.x), float(np.sqrt(np.mean(error_v**2))), float(test.soc.min()))


def _tau(log_steps: Floats) -> Floats:
    """Three rising time constants from the logarithms of the first and of the ratios."""
    most: Floats = MOST_TAU_S * np.array([0.5, 0.75, 1.0])
    rising: Floats = np.exp(np.cumsum(log_steps))
    return np.minimum(rising, most)


def _smoothing(knots: int, scale: float) -> Floats:
    """Rows that keep each table smooth and, where nothing else decides, flat."""
    bends = np.diff(np.eye(knots), n=2, axis=0) * SMOOTHING * scale
    slopes = np.diff(np.eye(knots), axis=0) * FLATNESS * scale
    one = np.concatenate([bends, slopes]) / math.sqrt(knots)
    return np.asarray(np.kron(np.eye(4), one), np.float64)
