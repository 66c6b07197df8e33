"""The stage's manners (ranges, repeatability) and the pack files."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from plant_rig import PACK, Rig, cell, model

from hil.errors import InputError
from hil.files.pack import load_pack
from hil.kernel import copied
from hil.plant import pack as plant

SHIPPED = Path(__file__).parents[2] / "scenarios" / "packs" / "a123_96s40p.yaml"


def columns_of(rig, prefix):
    return {c for q in rig.table.quantities if q.name.startswith(prefix) for c in range(q.start, q.start + q.count)}


def test_step_writes_every_truth_column_and_no_other():
    rig = Rig(model())
    plant.prepare(rig.states[0], rig.fixed[0], rig.rows[0])
    rig.rows[0, rig.column("intent.load_current")] = 1.0
    poison = 7.25e77
    kept = columns_of(rig, "plant_in.") | columns_of(rig, "intent.load_current")
    for c in range(rig.rows.shape[1]):
        if c not in kept:
            rig.rows[0, c] = poison
    rig.rows[0, rig.column("intent.coolant_temperature")] = 25.0
    before = rig.rows.copy()
    plant.step(rig.states[0], rig.fixed[0], rig.edges([])[0], rig.bleed, rig.edges([])[0], 10_000_000, rig.rows[0])
    changed = {int(c) for c in np.flatnonzero(rig.rows[0] != before[0])}
    assert changed == columns_of(rig, "truth.")
    assert np.all(np.isfinite(rig.rows[0, sorted(changed)]))


def test_prepare_writes_every_plant_in_column_and_no_other():
    rig = Rig(model())
    rig.rows[:] = 7.25e77
    plant.prepare(rig.states[0], rig.fixed[0], rig.rows[0])
    cooled = columns_of(rig, "plant_in.coolant_share")
    assert {int(c) for c in np.flatnonzero(rig.rows[0] == 0.0)} == columns_of(rig, "plant_in.") - cooled
    assert rig.get("plant_in.coolant_share") == 1.0
    assert np.count_nonzero(rig.rows[0] != 7.25e77) == len(columns_of(rig, "plant_in."))


def test_a_fault_counts_from_its_row_on_and_ends_with_it():
    rig = Rig(model())
    rig.inputs["plant_in.weld_main_minus"] = 1.0
    rig.run(0.01)
    assert rig.poles == [(10_000_000, 1, 1)]
    rig.inputs.clear()
    rig.run(0.01)
    assert rig.poles[-1] == (20_000_000, 1, 0)


def test_a_copy_of_the_state_goes_the_same_way():
    rig = Rig(model(scatter={"capacity_sigma": 0.01}))
    rig.close(0, 1)
    rig.run(0.5)
    rig.inputs["intent.load_current"] = 4.0
    other = Rig(model(scatter={"capacity_sigma": 0.01}))
    other.states[:] = copied(rig.states)
    other.inputs, other.t_ns = dict(rig.inputs), rig.t_ns
    rig.run(1.0)
    other.run(1.0)
    assert np.asarray(rig.states).tobytes() == np.asarray(other.states).tobytes()


def test_a_state_inside_a_larger_record_can_be_started():
    rig = Rig(model())
    outer = np.zeros(1, np.dtype([("lead", "f8"), ("plant", np.asarray(rig.states).dtype)]))
    plant.start(outer["plant"], rig.fixed, 0.7, 10.0)
    assert outer["plant"]["cells"]["soc"][0, 0] == 0.7
    assert outer["plant"]["thermal"]["temperature_degc"][0, 3] == 10.0


def test_more_pole_edges_than_a_tick_holds_are_counted_as_lost():
    rig = Rig(model(hv={"contactor": {"bounces": 4}}))
    coils = [(k * 60_000_000 + 1_000_000, 0, 1 - k % 2) for k in range(12)]
    poles = rig.edges([])
    plant.prepare(rig.states[0], rig.fixed[0], rig.rows[0])
    plant.step(rig.states[0], rig.fixed[0], rig.edges(coils)[0], rig.bleed, poles[0], 10**9, rig.rows[0])
    assert int(poles["n"][0]) == 32
    assert int(poles["lost"][0]) == 6 * 10 - 32  # six closings of nine changes, six openings


def test_the_shipped_pack_loads_and_stands_where_a_lithium_iron_phosphate_pack_does():
    pack = load_pack(SHIPPED)
    rig = Rig(pack, soc=0.6)
    assert (pack.series, pack.parallel, pack.temperature_sensors.count) == (96, 40, 32)
    assert 96 * 3.2 < rig.get("truth.pack_voltage") < 96 * 3.4
    assert 0.015 < float(rig.s.cells.source_ohm) + pack.wiring.busbars < 0.04


def written(folder: Path, pack_changes=None, cell_changes=None) -> Path:
    (folder / "one.cell.yaml").write_text(yaml.safe_dump(cell(**(cell_changes or {}))), encoding="utf-8")
    path = folder / "one.yaml"
    path.write_text(yaml.safe_dump({**PACK, "cell": "one.cell.yaml", **(pack_changes or {})}), encoding="utf-8")
    return path


def test_a_pack_file_names_its_cell_file(tmp_path):
    pack = load_pack(written(tmp_path))
    assert pack.capacity_ah == 2.5
    assert pack.hv.contactor.operate == 20_000_000


@pytest.mark.parametrize(
    ("pack_changes", "cell_changes", "said"),
    [
        ({"temperature_sensors": {"count": 3, "cells": [0, 1]}}, {}, "expected 3 group numbers, found 2"),
        ({"temperature_sensors": {"count": 1, "cells": [4]}}, {}, "expected groups below 4, found 4"),
        ({"series": 193}, {}, "192"),
        ({"parallel": 0}, {}, "parallel"),
        ({"scatter": None}, {}, "scatter, or a cell file with spread"),
        ({"abuse": "on.abuse.yaml"}, {}, "no such file"),
        ({}, {"r1_ohm": [[0.01] * 11] * 2}, r"r1_ohm: expected one row per temperature \(3\), found 2"),
        ({}, {"r0_ohm": [[0.01] * 10] * 3}, r"r0_ohm\[0\]: expected 11 values, found 10"),
        ({}, {"tau1_s": [[0.0] * 11] * 3}, "tau1_s"),
        ({}, {"coulombic_efficiency": [1.1] * 3}, "at most 1"),
        ({}, {"soc_knots": [0.0, 0.2, 1.0]}, "equal steps from 0 to 1"),
        ({}, {"temperatures_degc": [25.0, 0.0, 45.0]}, "rising temperatures"),
    ],
)
def test_a_wrong_pack_or_cell_is_refused_with_what_was_expected(tmp_path, pack_changes, cell_changes, said):
    with pytest.raises(InputError, match=said):
        load_pack(written(tmp_path, pack_changes, cell_changes))


def test_a_cell_file_that_is_not_there_is_named_with_the_nearest(tmp_path):
    path = written(tmp_path, {"cell": "on.cell.yaml"})
    with pytest.raises(InputError, match=r"no such file.*one\.cell\.yaml"):
        load_pack(path)
