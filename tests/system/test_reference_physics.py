"""PyBaMM as the plant, and the import of a BPX file through it; skipped where the extra ``reference`` is not installed."""

import importlib.util
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hil.cli import main
from hil.errors import InputError
from hil.files.shipped import shipped

HAS = all(importlib.util.find_spec(name) is not None for name in ("pybamm", "bpx"))
needed = pytest.mark.skipif(not HAS, reason="pip install 'cellbench[reference]'")
BPX = shipped("scenarios/packs/lg_m50_chen2020.bpx.json")
A123 = shipped("scenarios/packs/a123_26650.cell.yaml")
pytestmark = pytest.mark.reference


def hil(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def chen() -> Any:
    from hil.analysis.reference.plant import parameter_set

    return parameter_set("Chen2020")


@pytest.fixture(scope="module")
def imported() -> Any:
    from hil.analysis.reference.plant import parameter_set

    return parameter_set(str(BPX))


def plant(parameters: Any, *arguments: Any, **options: Any) -> Any:
    from hil.analysis.reference.plant import ReferencePlant

    return ReferencePlant(parameters, *arguments, **options)


# --- the plant ---------------------------------------------------------------------------------------------------------


@needed
@pytest.mark.parametrize("model", ["SPM", "SPMe", "DFN"])
def test_a_discharge_is_positive_and_lowers_voltage_and_soc(chen: Any, model: str) -> None:
    cell = plant(chen, model, 0.5, 25.0)
    rest = cell.step(0.0, 10.0)
    out = cell.step(5.0, 10.0)
    assert cell.began_v < rest.voltage_v  # the current is there at once
    assert out.voltage_v < cell.began_v
    assert out.soc == pytest.approx(0.5 - 5.0 * 10.0 / 3600.0 / chen.capacity_ah, abs=1e-12)
    cell.reset(0.5, 25.0)
    assert cell.step(-5.0, 10.0).voltage_v > rest.voltage_v


@needed
def test_steps_keep_their_state_like_one_long_solution_of_pybamm(chen: Any) -> None:
    """600 s at 1C in steps of 1, 9 and 10 s against ``Simulation.solve`` of the same parameters."""
    import pybamm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = chen.values.copy()
        values.set_initial_state(1.0)
        solution = pybamm.Simulation(pybamm.lithium_ion.SPMe(), parameter_values=values).solve([0.0, 600.0])
        whole_v = float(solution["Voltage [V]"].data[-1])
    cell = plant(chen, "SPMe", 1.0, 25.0)
    for _ in range(30):
        for dt_s in (1.0, 9.0, 10.0):
            last = cell.step(5.0, dt_s)
    assert cell.time_s == pytest.approx(600.0)
    assert last.voltage_v == pytest.approx(whole_v, abs=5e-4)


@needed
@pytest.mark.parametrize("soc", [0.15, 0.5, 0.85])
def test_the_soc_is_that_of_the_open_circuit_voltage(imported: Any, soc: float) -> None:
    """From full to a SoC and ten hours of rest: the voltage is the OCV that follows from the electrodes by arithmetic."""
    from hil.analysis.bpx.load import load_bpx

    cell = plant(imported, "SPMe", 1.0, 25.0)
    cell.step(2.5, (1.0 - soc) * imported.capacity_ah / 2.5 * 3600.0)
    assert cell.step(0.0, 36_000.0).soc == pytest.approx(soc, abs=1e-9)
    rested_v = cell.step(0.0, 1.0).voltage_v
    assert rested_v == pytest.approx(load_bpx(BPX).ocv_v(np.array([soc]), 25.0)[0], abs=5e-4)


@needed
@pytest.mark.parametrize("model", ["SPMe", "DFN"])
def test_the_shipped_bpx_file_is_pybamms_own_set(chen: Any, imported: Any, model: str) -> None:
    assert imported.capacity_ah == pytest.approx(chen.capacity_ah, rel=1e-6)
    two = [plant(p, model, 0.6, 10.0, thermal="lumped") for p in (chen, imported)]
    for current_a, dt_s in ((5.0, 60.0), (0.0, 30.0), (-3.0, 60.0), (10.0, 120.0)):
        ours, theirs = (p.step(current_a, dt_s) for p in two)
        assert theirs.voltage_v == pytest.approx(ours.voltage_v, abs=1e-4)
        assert theirs.temperature_degc == pytest.approx(ours.temperature_degc, abs=2e-3)


@needed
def test_a_lumped_cell_warms_and_an_isothermal_one_does_not(chen: Any) -> None:
    warm, held = (plant(chen, "SPMe", 0.9, 15.0, thermal=t).step(10.0, 300.0) for t in ("lumped", "isothermal"))
    assert warm.temperature_degc > 17.0
    assert held.temperature_degc == pytest.approx(15.0, abs=1e-9)


@needed
def test_a_limit_ends_the_plant_until_it_is_reset(chen: Any) -> None:
    cell = plant(chen, "SPMe", 0.1, 25.0)
    last = cell.step(10.0, 3600.0)
    assert "Minimum voltage" in cell.ended
    assert last.voltage_v == pytest.approx(2.5, abs=1e-3)
    assert cell.time_s < 3600.0
    assert last.soc == pytest.approx(0.1 - 10.0 * cell.time_s / 3600.0 / chen.capacity_ah)
    with pytest.raises(InputError, match="ended"):
        cell.step(0.0, 1.0)
    cell.reset(0.9999, 25.0)
    assert cell.ended == ""
    assert math.isnan(cell.step(-20.0, 1.0).voltage_v)  # beyond 4.2 V at once
    assert "Maximum voltage" in cell.ended
    free = plant(chen, "SPMe", 0.9999, 25.0, cutoffs=False)
    assert free.step(-20.0, 1.0).voltage_v > 4.2


@needed
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("P2D",), "no such model"),
        (("SPMe", 1.5), "state of charge"),
        (("SPMe", math.nan), "state of charge"),
        (("SPMe", 0.5, -300.0), "temperature"),
        (("SPMe", 0.5, math.nan), "temperature"),
    ],
)
def test_a_start_that_is_none_is_refused(chen: Any, arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        plant(chen, *arguments)


@needed
@pytest.mark.parametrize("dt_s", [0.0, -1.0, math.nan])
def test_a_step_of_no_time_is_refused(chen: Any, dt_s: float) -> None:
    with pytest.raises(InputError, match="time step"):
        plant(chen, "SPM", 0.5, 25.0).step(1.0, dt_s)


@needed
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Chen2021", "did you mean 'Chen2020'"),
        ("Chen2020_composite", "one active material"),
        ("ECM_Example", "one active material"),
        ("Xu2019", "one active material"),
        ("none.json", "cannot read"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_with_the_reason(name: str, told: str) -> None:
    from hil.analysis.reference.plant import parameter_set

    with pytest.raises(InputError, match=re.escape(told)):
        parameter_set(name)


# --- BPX files that lack something -------------------------------------------------------------------------------------


def changed(folder: Path, section: str, **values: Any) -> Path:
    """The shipped file with keys of a section replaced, or gone where the value is None."""
    document = json.loads(BPX.read_text("utf-8"))
    at = document["Parameterisation"]
    if section:
        at = at[section]
    for name, value in values.items():
        key = name.replace("_", " ")
        key = next((k for k in at if k.startswith(key)), key)
        at.pop(key, None)
        if value is not None:
            at[key] = value
    path = folder / "changed.bpx.json"
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return path


@needed
@pytest.mark.parametrize(
    ("section", "values", "told"),
    [
        (
            "Negative electrode",
            {"Minimum_stoichiometry": None},
            "Minimum stoichiometry: expected a value, found nothing",
        ),
        ("Cell", {"Electrode_area": "abc"}, "Electrode area"),
        ("Cell", {"Electrod_area": 1.0}, "Electrod area: Extra inputs"),
        ("", {"Electrolyte": None}, "Electrolyte: expected a value, found nothing"),
        ("Positive electrode", {"OCP": "exit(x)"}, "exit(x)"),
        ("Positive electrode", {"OCP": {"x": [0, 1], "y": [4, 3, 2]}}, "same length"),
    ],
)
def test_what_the_package_refuses_is_told_with_file_line_and_field(
    tmp_path: Path, section: str, values: dict[str, Any], told: str
) -> None:
    path = changed(tmp_path, section, **values)
    done = hil("bpx", path)
    assert done.exit_code == 2, done.output
    assert told in done.output
    assert re.search(rf"hil: {re.escape(str(path))}:\d+", done.output), done.output


@needed
def test_heat_is_refused_where_the_file_has_none_and_voltage_works_without(tmp_path: Path) -> None:
    from hil.analysis.reference.plant import parameter_set

    parameters = parameter_set(str(changed(tmp_path, "Cell", Volume=None, Density=None, External_surface_area=None)))
    with pytest.raises(InputError, match="External surface area"):
        plant(parameters, "SPMe", 0.5, 25.0, thermal="lumped")
    whole = plant(parameter_set(str(BPX)), "SPMe", 0.5, 25.0).step(5.0, 100.0)
    assert plant(parameters, "SPMe", 0.5, 25.0).step(5.0, 100.0).voltage_v == pytest.approx(whole.voltage_v, abs=1e-6)


@needed
def test_a_file_of_a_single_particle_model_gives_an_ocv_and_no_cell_file(tmp_path: Path) -> None:
    document = json.loads(BPX.read_text("utf-8"))
    document["Header"]["Model"] = "SPM"
    parts = document["Parameterisation"]
    parts.pop("Electrolyte")
    parts.pop("Separator")
    for side in ("Negative electrode", "Positive electrode"):
        for key in ("Porosity", "Transport efficiency", "Conductivity [S.m-1]"):
            parts[side].pop(key)
    path = tmp_path / "spm.json"
    path.write_text(json.dumps(document), "utf-8")
    told = json.loads(hil("bpx", path, "--json").output)
    assert told["ocv_v"]["100"] == pytest.approx(4.2, abs=1e-4)
    done = hil("bpx", path, "--out", tmp_path / "cell.yaml")
    assert done.exit_code == 2
    assert "without Electrolyte, Separator" in done.output
    assert not (tmp_path / "cell.yaml").exists()


@needed
def test_a_file_of_bpx_0_is_read_and_says_so(tmp_path: Path) -> None:
    document = json.loads(BPX.read_text("utf-8"))
    document["Header"]["BPX"] = "0.4.0"
    document["Parameterisation"]["Cell"] |= {"Ambient temperature [K]": 298.15, "Initial temperature [K]": 298.15}
    document["Parameterisation"]["Electrolyte"]["Initial concentration [mol.m-3]"] = 1000.0
    document.pop("State")
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document), "utf-8")
    done = hil("bpx", path, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["capacity_ah"] == pytest.approx(5.153, abs=1e-3)
    assert "a file of BPX 0.x, converted by the package bpx" in told["notes"]


# --- commands ----------------------------------------------------------------------------------------------------------


@needed
@pytest.mark.slow
def test_an_imported_cell_follows_the_model_it_was_made_from(tmp_path: Path) -> None:
    """Two temperatures; the twin on the file over a cycle it was not fitted to, at a temperature in between."""
    from hil.files.cell import load_cell

    out = tmp_path / "cell.yaml"
    options = ("--model", "SPMe", "--temperature", "25 degC", "--temperature", "45 degC", "--licence", "CC BY 4.0")
    done = hil("bpx", BPX, "--out", out, *options, "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)["rows"]
    assert [r["temperature_degc"] for r in rows] == [25.0, 45.0]
    assert all(r["held_out_rms_mv"] < 12.0 and r["fit_rms_mv"] < 8.0 for r in rows)
    cell = load_cell(out)
    assert cell.licence == "CC BY 4.0"
    assert "Chen et al. 2020" in out.read_text("utf-8")
    assert hil("bpx", BPX, "--out", out).exit_code == 2  # not without --force
    shown = tmp_path / "compared"
    cycle = ("reference", "scenarios/cycles/udds.csv", "--soc", "60 %", "--temperature", "35 degC")
    compared = hil(*cycle, "--parameters", BPX, "--cell", out, "--out", shown, "--json")
    assert compared.exit_code == 0, compared.output
    told = json.loads(compared.output)
    assert told["ended"] is None
    assert told["voltage"]["rms_mv"] < 8.0
    assert abs(told["soc"]["max_pct"]) < 1e-3
    assert sorted(p.name for p in shown.iterdir()) == ["comparison.csv", "comparison.html", "comparison.json"]
    again = hil(*cycle, "--parameters", BPX, "--out", shown)
    assert again.exit_code == 2
    assert "--force" in again.output


@needed
def test_a_profile_beyond_a_limit_is_compared_up_to_it(tmp_path: Path) -> None:
    profile = tmp_path / "p.csv"
    profile.write_text("time,current\n" + "".join(f"{t},10\n" for t in range(0, 3600, 10)), "utf-8")
    done = hil("reference", profile, "--parameters", "Chen2020", "--soc", "20 %", "--out", tmp_path / "o")
    assert done.exit_code == 0, done.output
    assert "ended before the profile: Minimum voltage" in done.output
    told = json.loads((tmp_path / "o" / "comparison.json").read_text("utf-8"))
    assert told["duration_s"] < 3590.0
    assert told["voltage"] is None
    assert hil("reference", profile, "--parameters", "Chen2020", "--soc", "0 %", "--out", tmp_path / "p").exit_code == 2


@needed
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--scale", "1/0"), "--scale"),
        (("--scale", "x"), "--scale"),
        (("--soc", "150 %"), "state of charge"),
        (("--soc", "5 V"), "--soc"),
        (("--temperature", "25"), "--temperature"),
        (("--step", "0 s"), "--step"),
        (("--period", "1"), "--period"),
    ],
)
def test_an_option_that_is_wrong_is_named(tmp_path: Path, options: tuple[str, str], told: str) -> None:
    done = hil(
        "reference", shipped("scenarios/cycles/udds.csv"), "--parameters", "Chen2020", "--out", tmp_path, *options
    )
    assert done.exit_code == 2, done.output
    assert told in done.output


@pytest.mark.skipif(HAS, reason="the extra is installed")
def test_without_the_extra_the_command_that_installs_it_is_told(tmp_path: Path) -> None:
    for arguments in (
        ("bpx", BPX),
        ("reference", "scenarios/cycles/udds.csv", "--parameters", "Chen2020", "--out", tmp_path),
    ):
        done = hil(*arguments)
        assert done.exit_code == 2, done.output
        assert "pip install 'cellbench[reference]'" in done.output


@needed
def test_the_bench_of_pybamms_thevenin_model_gives_a_time() -> None:
    from tools.bench.pybamm_thevenin import us_per_step

    found = us_per_step(5, 0.01)
    assert found is not None
    assert found > 0.0
    with pytest.raises(ValueError, match="steps"):
        us_per_step(0, 0.01)
