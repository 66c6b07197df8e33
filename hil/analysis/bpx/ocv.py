"""What follows from two electrodes by arithmetic alone: capacity, OCV over SoC and temperature, its slope over temperature."""

from dataclasses import dataclass

import numpy as np

from hil.analysis.bpx.functions import Floats, Function

FARADAY_C_PER_MOL = 96485.33212
KELVIN = 273.15


@dataclass(frozen=True, slots=True, eq=False)
class Electrode:
    """One porous electrode: ``ocp_v`` and ``entropy_v_per_k`` are functions of the stoichiometry.

    ``at_empty`` and ``at_full`` are its stoichiometries at 0 and 100 % SoC of the cell; ``capacity_ah`` is the charge
    between them.
    """

    ocp_v: Function
    entropy_v_per_k: Function
    at_empty: float
    at_full: float
    capacity_ah: float

    def stoichiometry(self, soc: Floats) -> Floats:
        """The stoichiometry at a SoC of the cell: a straight line between the limits."""
        return np.asarray(self.at_empty + np.asarray(soc, np.float64) * (self.at_full - self.at_empty))


def electrode_capacity_ah(
    area_m2: float, thickness_m: float, active_fraction: float, most_mol_per_m3: float, between: tuple[float, float]
) -> float:
    """Charge between two stoichiometries in Ah: F A L eps c_max |x1 - x0| / 3600.

    A: area of all electrode pairs, L: thickness, eps: share of active material (BPX: surface area per volume times
    radius / 3), c_max: maximum concentration.
    """
    amount_mol = area_m2 * thickness_m * active_fraction * most_mol_per_m3 * abs(between[1] - between[0])
    return FARADAY_C_PER_MOL * amount_mol / 3600.0


def slope_v_per_k(positive: Electrode, negative: Electrode, soc: Floats) -> Floats:
    """dOCV/dT over SoC: the entropic coefficient of the positive electrode less that of the negative."""
    return np.asarray(
        positive.entropy_v_per_k(positive.stoichiometry(soc)) - negative.entropy_v_per_k(negative.stoichiometry(soc))
    )


def open_circuit_v(
    positive: Electrode, negative: Electrode, soc: Floats, temperature_degc: float, reference_degc: float
) -> Floats:
    """OCV over SoC at a temperature: U_p(y) - U_n(x) + (T - T_ref) dOCV/dT.

    BPX gives U at the reference temperature and dU/dT as a function of the stoichiometry alone.
    """
    at_reference = positive.ocp_v(positive.stoichiometry(soc)) - negative.ocp_v(negative.stoichiometry(soc))
    return np.asarray(at_reference + (temperature_degc - reference_degc) * slope_v_per_k(positive, negative, soc))
