"""The pack's thermistors: resistance of a 10 kohm NTC over temperature, both ways.

Both sides of the thermistor wire need the same curve: the bench turns a temperature into the resistance it emulates,
the limiter turns it back, the BMS evaluates the divider. The B equation, R = R25 exp(B (1/T - 1/T25)) with T in kelvin,
is what data sheets state for such sensors (IEC 60539-1, 3.1). Outside -60 .. 200 degC both ways hold at the end of the
range, so that a broken wire reads -60 degC and a short 200 degC: beyond any limit, yet finite.
"""

import numpy as np

from hil.kernel import kernel

R25_OHM = 10_000.0  # 10k NTC, the usual value in battery modules
BETA_K = 3435.0  # B25/85 of the common 10k bead (for example TDK B57861S 103 F, Murata NCU15XH103, Semitec 103AT)
T0_K = 273.15
T25_K = 298.15
COLDEST_DEGC = -60.0  # 989 kohm
HOTTEST_DEGC = 200.0  # 141 ohm


@kernel
def ohm_of(degc: float) -> float:
    """Resistance in ohm at ``degc``; held at the ends of the range; NaN stays NaN."""
    held = min(max(degc, COLDEST_DEGC), HOTTEST_DEGC) if degc == degc else degc
    return R25_OHM * float(np.exp(BETA_K * (1.0 / (held + T0_K) - 1.0 / T25_K)))


@kernel
def degc_of(ohm: float) -> float:
    """Temperature in degC at ``ohm``: the inverse of ``ohm_of``. Up to 0: hottest; infinity: coldest; NaN: NaN."""
    if ohm != ohm:
        return ohm
    if ohm <= 0.0:
        return HOTTEST_DEGC
    if ohm == np.inf:
        return COLDEST_DEGC
    kelvin = 1.0 / (1.0 / T25_K + float(np.log(ohm / R25_OHM)) / BETA_K)
    if kelvin <= 0.0:  # below about 0.1 ohm the equation has no finite temperature
        return HOTTEST_DEGC
    return min(max(kelvin - T0_K, COLDEST_DEGC), HOTTEST_DEGC)
