"""Heat: one lump per group, to both neighbours along the stack and to the coolant.

Stepped every ``Slow`` interval with the heat the cells made since, so that no joule is lost: what one group gives its
neighbour gets, and what goes to the coolant is booked.
"""

from typing import Annotated

from hil.errors import InputError, Problem
from hil.files.pack import PackModel
from hil.kernel import F64, I64, Floats, kernel
from hil.tick import CELLS

STEP_NS = 100_000_000  # the groups' time constants are minutes


class ThermalParams:
    """Of one group: heat capacity, conductance to each neighbour and to the coolant."""

    n_cells: I64
    heat_capacity_j_per_k: F64
    between_w_per_k: F64
    coolant_w_per_k: F64
    coolant_degc: F64  # where the scenario asks for none
    step_ns: I64


class ThermalState:
    """Temperatures of the groups' cores, the coolant in force, the heat it took since ``begin``."""

    temperature_degc: Annotated[Floats, CELLS]
    coolant_degc: F64
    coolant_share: F64  # of its conductance that is left
    coolant_j: F64
    heating_w: Annotated[Floats, CELLS]  # from a source outside the cells
    n_heated: I64
    heating_j: F64  # it brought since ``begin``
    waited_ns: I64  # since the last step


@kernel
def advance(s: ThermalState, p: ThermalParams, heat_j: Floats, dt_s: float) -> None:
    """One explicit step over ``dt_s`` with ``heat_j`` per group, which is set to 0. Keeps the energy balance exactly.

    Long steps are cut so that the fastest group moves by less than a tenth of its distance at a time.
    """
    coolant_w_per_k = p.coolant_w_per_k * s.coolant_share
    fastest_hz = (2.0 * p.between_w_per_k + coolant_w_per_k) / p.heat_capacity_j_per_k
    pieces = 1 + int(10.0 * fastest_hz * dt_s)
    piece_s = dt_s / pieces
    to_k = piece_s / p.heat_capacity_j_per_k
    for _ in range(pieces):
        from_left_w, to_coolant_w = 0.0, 0.0
        for c in range(p.n_cells):
            here = s.temperature_degc[c]
            to_right_w = 0.0
            if c + 1 < p.n_cells:
                to_right_w = p.between_w_per_k * (here - s.temperature_degc[c + 1])
            out_w = coolant_w_per_k * (here - s.coolant_degc)
            made_j = heat_j[c] / pieces
            s.temperature_degc[c] = here + (from_left_w - to_right_w - out_w) * to_k + made_j / p.heat_capacity_j_per_k
            from_left_w = to_right_w
            to_coolant_w += out_w
        s.coolant_j += to_coolant_w * piece_s
    for c in range(p.n_cells):
        heat_j[c] = 0.0


@kernel
def latch(s: ThermalState, p: ThermalParams, row: Floats, heating: int, share: int) -> None:
    """Take heaters (W from column ``heating`` on) and what is left of the cooling (column ``share``)."""
    s.n_heated = 0
    for c in range(p.n_cells):
        s.heating_w[c] = row[heating + c]
        s.n_heated += 1 if row[heating + c] != 0.0 else 0
    s.coolant_share = min(max(row[share], 0.0), 1.0)


@kernel
def warm(s: ThermalState, p: ThermalParams, heat_j: Floats, dt_s: float) -> None:
    """Add the heaters' energy over ``dt_s`` to what the groups made."""
    for c in range(p.n_cells):
        brought_j = s.heating_w[c] * dt_s
        heat_j[c] += brought_j
        s.heating_j += brought_j


@kernel
def begin(s: ThermalState, p: ThermalParams, temperature_degc: float) -> None:
    """All groups of a zeroed state at one temperature, the coolant at its default."""
    for c in range(p.n_cells):
        s.temperature_degc[c] = temperature_degc
    s.coolant_degc, s.coolant_share = p.coolant_degc, 1.0


def fill(record: ThermalParams, pack: PackModel) -> None:
    """Fill the params from the pack file.

    Raises InputError where the chain is too quick for its step: a time constant below a second is no battery.
    """
    record.n_cells = pack.series
    record.heat_capacity_j_per_k = pack.cell.heat_capacity_j_per_k * pack.parallel
    record.between_w_per_k = pack.thermal.between_groups
    chosen = pack.thermal.to_coolant
    surface = pack.cell.surface_heat_transfer_w_per_k * pack.parallel
    record.coolant_w_per_k = surface if chosen is None else chosen
    record.coolant_degc = pack.thermal.coolant_temperature
    record.step_ns = STEP_NS
    total = 2.0 * record.between_w_per_k + record.coolant_w_per_k
    if total > record.heat_capacity_j_per_k:
        raise InputError(
            Problem(
                "thermal",
                expected=f"at most {record.heat_capacity_j_per_k:.4g} W/K per group in all",
                found=f"{total:.4g} W/K",
            )
        )
