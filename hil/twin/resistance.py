"""Growth of R0 from current steps: recursive least squares with forgetting and a bounded covariance.

What a step of the current does to the voltage at once is R0 alone. From one sample to the next

    d = change of (measured voltage less the model's voltage without R0),   u = -change of (nominal R0 times current)
    d = growth u + noise

so the nominal R0 is the table's at the same temperature and SoC, and whatever is slow cancels. Only steps of at least
``excite_a`` are learned from, and only they are forgotten by: rest does not wind the covariance up, and it never
exceeds the one at the start. Source: L. Ljung, System Identification, 2nd ed., Prentice Hall 1999, section 11.2.

Noise of the current (sigma s, white) makes growth too small: by 2 s^2 / step^2 for steps well above ``excite_a``, and
by up to 1.2 s / excite_a if all were as small as that, because noise then chooses which are used. At the noise of 0.1 %
of C for which ``fill`` is made that is 0.005 % for steps of C/5 and 1.2 % at worst. Sampling current and voltage at
different instants does the same by the share of steps that fall between them; the rows of a tick share one instant.
"""

import math
from typing import Any

from hil.kernel import F64, I64, kernel

LEAST, MOST = 0.05, 20.0  # growth is held between: a current with its sign turned round ends at the former


class ResistanceParams:
    """What is not known of R0, relative, one standard deviation each, and when a step is one."""

    prior_sigma: F64  # of the nominal resistance
    table_sigma: F64  # of the table at the temperature and SoC of now: does not average out
    gain_sigma: F64  # of the current
    noise_v: F64  # of d, before the first steps tell
    least_v: F64  # noise of d is never less: resolution of the voltage
    keep: F64  # forgetting, per step used
    keep_noise: F64  # the same for the noise
    excite_a: F64  # least step used
    longest_s: F64  # longest time between two samples: over more the model is not exact enough
    gate: F64  # surprise, in sigma, beyond which a step counts as that far


class ResistanceState:
    """Growth, its covariance over the noise's variance, and the sample before."""

    growth: F64
    spread: F64  # variance of growth over that of the noise, 1/V^2
    noise_v2: F64
    apart_v: F64  # measured less model without R0 of the sample before; NaN: none
    drop_v: F64  # nominal R0 times current then
    current_a: F64
    sigma: F64  # of growth
    steps: I64  # used so far


def fill(p: Any, capacity_ah: float) -> None:
    """Fill a ResistanceParams record for a group of ``capacity_ah``.

    Sources: a cell is worn out at twice its resistance (two sigma of 50 %); 3 %: new A123 cells driven by UDDS at
    five temperatures come out at 0.986 to 1.041 of their fitted tables; gain as in the SoC filter; C/10 is 100 times a
    noise of 0.1 % of C (IVT-S class); 500 steps are about one UDDS.
    """
    p["prior_sigma"], p["table_sigma"], p["gain_sigma"] = 0.5, 0.03, 0.005
    p["noise_v"], p["least_v"], p["gate"] = 0.002, 1e-5, 4.0
    p["keep"], p["keep_noise"] = 1.0 - 1.0 / 500.0, 1.0 - 1.0 / 100.0
    p["excite_a"], p["longest_s"] = 0.1 * capacity_ah, 2.0


def start(s: Any, p: Any) -> None:
    """Nominal resistance, known to ``prior_sigma``."""
    s["growth"], s["sigma"], s["steps"] = 1.0, p["prior_sigma"], 0
    s["noise_v2"] = p["noise_v"] ** 2
    s["spread"] = p["prior_sigma"] ** 2 / s["noise_v2"]
    s["apart_v"], s["drop_v"], s["current_a"] = math.nan, 0.0, 0.0


@kernel
def step(
    s: ResistanceState,
    p: ResistanceParams,
    dt_s: float,
    now_a: float,
    residual_v: float,
    ohmic_v: float,
    r0_ohm: float,
    corrected_v: float,
) -> bool:
    """Take a sample: current ``now_a`` and ``residual_v`` = mean of measured less predicted voltage at its instant.

    ``ohmic_v`` is the drop over R0 in that prediction, ``r0_ohm`` the nominal R0, ``corrected_v`` what a filter's
    correction has added to the model's voltage since the sample before. True when growth has learned from it.
    """
    apart_v, drop_v = residual_v - ohmic_v, r0_ohm * now_a
    moved_v, u = apart_v - s.apart_v + corrected_v, s.drop_v - drop_v
    excited = abs(now_a - s.current_a) >= p.excite_a and 0.0 < dt_s <= p.longest_s
    s.apart_v, s.drop_v, s.current_a = apart_v, drop_v, now_a
    if not (excited and math.isfinite(moved_v) and math.isfinite(u)):
        return False
    learn(s, p, moved_v, u)
    return True


@kernel
def learn(s: ResistanceState, p: ResistanceParams, moved_v: float, u: float) -> None:
    """One step of recursive least squares for ``moved_v`` = growth ``u`` + noise."""
    total = 1.0 + s.spread * u * u
    most_v = p.gate * math.sqrt(s.noise_v2 * total)
    surprise_v = min(max(moved_v - s.growth * u, -most_v), most_v)
    s.growth = min(max(s.growth + s.spread * u / total * surprise_v, LEAST), MOST)
    noise_v2 = p.keep_noise * s.noise_v2 + (1.0 - p.keep_noise) * surprise_v * surprise_v / total
    s.noise_v2 = max(noise_v2, p.least_v * p.least_v)
    most = p.prior_sigma * p.prior_sigma / s.noise_v2
    s.spread = min(s.spread / total / p.keep, most)
    s.steps += 1
    known = p.table_sigma * p.table_sigma + p.gain_sigma * p.gain_sigma
    s.sigma = math.sqrt(s.spread * s.noise_v2 + known * s.growth * s.growth)
