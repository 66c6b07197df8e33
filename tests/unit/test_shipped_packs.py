"""Every pack file that ships loads, and its cell is a possible one."""

from pathlib import Path

import numpy as np
import pytest

from hil.files.pack import load_pack

PACKS = Path(__file__).parents[2] / "scenarios" / "packs"
VOLTS = {"LFP": (2.0, 3.65), "NMC": (2.5, 4.25), "NCA": (2.5, 4.25), "LMO": (2.5, 4.25)}
FILES = sorted(path for path in PACKS.glob("*.yaml") if not path.name.endswith((".cell.yaml", ".abuse.yaml")))


def test_there_is_a_pack_of_every_chemistry() -> None:
    assert {load_pack(path).cell.chemistry or "LFP" for path in FILES} == set(VOLTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_pack_loads_and_its_cell_is_plausible(path: Path) -> None:
    pack = load_pack(path)
    cell = pack.cell
    low, high = VOLTS[cell.chemistry or "LFP"]
    ocv = np.array(cell.ocv_v)
    assert np.all(np.diff(ocv, axis=1) >= 0.0)
    assert np.all((ocv[:, -1] > high - 0.2) & (ocv[:, -1] <= high))
    assert np.all(ocv[:, 0] >= low)
    assert 800.0 <= cell.heat_capacity_j_per_k / cell.mass_kg <= 1200.0
    r0 = np.array(cell.r0_ohm)
    drop_v = r0 * cell.capacity_ah  # at 1C
    assert np.all((drop_v > 0.01) & (drop_v < 0.6))
    assert np.all(np.diff(r0, axis=0) <= 1e-9)  # no resistance falls as the cell gets colder
    assert 300.0 < pack.series * float(np.interp(0.5, cell.soc, ocv[-1])) < 380.0
