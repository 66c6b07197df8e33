"""A second derivation of the estimator's arithmetic, in matrices: what the twin's loops must give."""

from types import SimpleNamespace
from typing import Any

import numpy as np

ORDER = ("soc", "v1", "v2", "v3", "h", "bias", "offset", "misfit")


def propagated(
    cov: np.ndarray, f: Any, z: Any, current_a: float, left: float, dt_s: float, capacity_c: float
) -> np.ndarray:
    """F P F' + Q; the bias acts against the true current: soc' = soc - eta (i - b) dt/Q, v' = a v + R (1-a) (i - b)."""
    eta = z.efficiency if current_a < 0 else 1.0
    move = np.eye(8)
    move[0, 5] = eta * dt_s / capacity_c
    for k in range(3):
        move[1 + k, 1 + k], move[1 + k, 5] = z.decay[k], -z.gain_ohm[k]
    move[4, 4] = np.exp(-abs(z.gamma * left))
    move[5, 5], move[7, 7] = np.exp(-dt_s / f.bias_tau_s), np.exp(-abs(left) / f.misfit_soc)
    noise = np.zeros((8, 8))
    noise[4, 4] = (1 - move[4, 4] ** 2) * f.h_error**2
    noise[5, 5] = (1 - move[5, 5] ** 2) * (f.bias_sigma_a**2 + (f.gain_sigma * current_a) ** 2)
    noise[7, 7] = (1 - move[7, 7] ** 2) * f.misfit_sigma_v**2
    return np.asarray(move @ cov @ move.T + noise)


def secant(ocv: Any, soc: float, sigma: float, least: float) -> SimpleNamespace:
    """Least squares line through the OCV at the ends of the cloud, forced through the middle, and what it leaves."""
    span = max(np.sqrt(3.0) * sigma, least)
    low = soc - span if soc - span > 0.0 else min(soc - least, 0.0)
    high = soc + span if soc + span < 1.0 else max(soc + least, 1.0)
    dx = np.array([low, high]) - soc
    dv = np.array([ocv(low), ocv(high)]) - ocv(soc)
    slope = float(np.linalg.lstsq(dx[:, None], dv, rcond=None)[0][0])
    rest = dv - slope * dx
    weights = np.array([1.0, 1.0]) / 6.0  # of the unscented cloud in one dimension with kappa = 2
    return SimpleNamespace(slope=slope, bend=float(weights @ rest), scatter=float(weights @ rest**2))


def watched(slope: float, z: Any) -> np.ndarray:
    """How the mean voltage's residual hangs on the eight errors."""
    return np.array([slope, -1.0, -1.0, -1.0, z.m_v, z.r0_ohm, 1.0, 1.0])


def updated(
    cov: np.ndarray, f: Any, line: SimpleNamespace, z: Any, polarisation_v: float, dt_s: float, surprise_v: float
) -> tuple[np.ndarray, np.ndarray]:
    """(change of the state, covariance) of the Kalman update with weight taken from a surprise beyond the gate."""
    h = watched(line.slope, z)
    noise = (f.noise_v2s + f.polarisation_s * polarisation_v**2 + f.bend_s * line.scatter) / dt_s
    total = max(h @ cov @ h + noise, (surprise_v / f.gate) ** 2)
    gain = cov @ h / total
    return gain * surprise_v, cov - np.outer(gain, gain) * total


def seen(ocv: Any, soc: float, cov: np.ndarray, f: Any, z: Any, dt_s: float, off_v: float) -> tuple[float, float]:
    """(mean change, variance) of the SoC by Bayes' rule on 201 points: the guess, and a hundredth of anything."""
    grid = np.arange(201) / 200.0
    h = watched(0.0, z)
    unsure = f.noise_v2s / max(dt_s, 1.0) + float((h[1:] ** 2) @ np.diag(cov)[1:])
    away_v = np.array([ocv(x) for x in grid]) - (ocv(soc) + off_v)
    guess = 0.01 + np.exp(-0.5 * (grid - soc) ** 2 / max(cov[0, 0], f.span_least**2))
    log = -0.5 * away_v**2 / unsure
    weight = np.exp(log - log.max()) * guess
    weight /= weight.sum()
    mean = float(weight @ (grid - soc))
    return mean, max(float(weight @ (grid - soc - mean) ** 2), f.span_least**2)
