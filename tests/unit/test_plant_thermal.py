"""The heat chain against closed forms."""

import math

import pytest
from plant_rig import PLAIN, Rig, model


def test_a_lone_group_cools_to_the_coolant_with_its_time_constant():
    rig = Rig(model(series=1), degc=45.0)
    rig.run(300.0, 100_000_000)
    # 75 J/K over 0.1 W/K: 750 s
    assert rig.get("truth.cell_temperature") == pytest.approx(25.0 + 20.0 * math.exp(-300.0 / 750.0), abs=2e-3)


def test_an_unknown_coolant_is_the_files_and_a_known_one_counts_from_its_row_on():
    rig = Rig(model(series=1))
    rig.run(10.0, 100_000_000)
    assert rig.get("truth.cell_temperature") == pytest.approx(25.0)
    rig.inputs["intent.coolant_temperature"] = 0.0
    rig.run(0.1, 100_000_000)
    assert rig.get("truth.cell_temperature") == pytest.approx(25.0)
    rig.run(75.0, 100_000_000)
    assert rig.get("truth.cell_temperature") == pytest.approx(25.0 * math.exp(-75.0 / 750.0), abs=0.02)


def test_a_shorted_group_warms_its_neighbours_in_order_of_distance():
    rig = Rig(model(cell_changes=PLAIN))
    rig.inputs["plant_in.short_conductance[0]"] = 0.5
    rig.run(200.0, 100_000_000)
    temps = [rig.get("truth.cell_temperature", c) for c in range(4)]
    assert temps[0] > temps[1] + 1.0 > temps[2] > temps[3] > 25.0


def test_the_chain_settles_where_the_heat_flow_balances():
    rig = Rig(model(cell_changes=PLAIN, series=2, temperature_sensors={"count": 1, "cells": [0]}))
    rig.inputs["plant_in.short_conductance[0]"] = 0.1
    rig.run(0.01)
    rig.run(6000.0, 1_000_000_000)
    heat_w = rig.get("truth.heat")
    # two nodes: 0.1 W/K each to 25 degC, 0.2 W/K between: T0 - 25 = P (0.3) / (0.3^2 - 0.2^2), T1 - 25 = P 0.2 / ...
    assert rig.get("truth.cell_temperature", 0) - 25.0 == pytest.approx(heat_w * 0.3 / 0.05, rel=0.01)
    assert rig.get("truth.cell_temperature", 1) - 25.0 == pytest.approx(heat_w * 0.2 / 0.05, rel=0.01)


def test_a_heater_warms_its_group_by_its_power_from_its_row_on():
    rig = Rig(model(thermal={"to_coolant": "0 W/K", "between_groups": "0 W/K"}))
    rig.inputs["plant_in.cell_heating[2]"] = 15.0
    rig.run(0.1)
    rig.run(10.0)
    # 15 W into 75 J/K: 0.2 K/s, from the end of the first row on
    assert rig.get("truth.cell_temperature", 2) == pytest.approx(25.0 + 0.2 * 10.09, abs=1e-9)
    assert rig.get("truth.cell_temperature", 1) == 25.0
    assert float(rig.s.thermal.heating_j) == pytest.approx(15.0 * 10.09)
    assert rig.get("truth.heat") == 0.0


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_what_is_left_of_the_cooling_sets_the_time_constant(share):
    rig = Rig(model(series=1), degc=45.0)
    rig.inputs["plant_in.coolant_share"] = share
    rig.run(300.0, 100_000_000)
    assert rig.get("truth.cell_temperature") == pytest.approx(25.0 + 20.0 * math.exp(-share * 299.9 / 750.0), abs=5e-3)


def test_a_chain_quicker_than_a_second_is_refused():
    from hil.errors import InputError

    with pytest.raises(InputError, match="per group in all"):
        Rig(model(thermal={"between_groups": "50 W/K"}))
