"""Compiled and CPython builds of the reference BMS agree; every defect changes what it does; imports stay inside."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bms_rig import CELLS, TASK_NS, Rig, code_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.errors import InputError
from hil.kernel import zeros
from hil.tick import DutLink, Switch
from hil.virtual.bms import interpret
from hil.virtual.bms.defects import DEFECTS, find_defects
from hil.virtual.bms.interpret import build, rule_names
from hil.virtual.bms.record import Dtc, Request, State

HERE = Path(interpret.__file__).parent

# one phase of a random run: what the wires and the bus do, for so many activations
PHASE = st.fixed_dictionaries(
    {
        "steps": st.integers(1, 130),
        "request": st.sampled_from([None, *Request]),
        "corrupt": st.booleans() | st.just(False),
        "counter_step": st.sampled_from([1, 1, 1, 0, 5]),
        "cell": st.sampled_from([33_000, 34_500, 36_200, 38_000, 26_000, 21_000, 19_000, 65_535]),
        "temperature": st.sampled_from([25.0, 25.0, 47.0, 58.0, 62.0, -3.0, -30.0]),
        "sensor_code": st.sampled_from([2048, 2048, 2048, 4095, 0]),
        "current_ma": st.sampled_from([0, 3000, -7001, 190_000, 300_000, -160_000, 1_700_000, -2_147_483_648]),
        "pack_off_mv": st.sampled_from([0, 0, 0, 4000, -9000]),
        "isolation_kohm": st.sampled_from([5000, 300, 150]),
        "supply_mv": st.sampled_from([12_000, 12_000, 12_000, 5000]),
        "hvil": st.sampled_from([1, 1, 1, 0]),
        "auxiliary": st.sampled_from([{}, {}, {Switch.MAIN_PLUS: 1}, {Switch.MAIN_MINUS: 0}]),
        "wire": st.sampled_from([0, 0, 4000]),
    }
)


def play(rig: Rig, phase: dict[str, Any]) -> None:
    rig.request, rig.corrupt, rig.counter_step = phase["request"], phase["corrupt"], phase["counter_step"]
    rig.auxiliary = phase["auxiliary"]
    wires = rig.wires
    wires.temp_code[:] = code_of(phase["temperature"])
    wires.temp_code[9] = phase["sensor_code"]
    wires.pack_current_ma, wires.isolation_kohm = phase["current_ma"], phase["isolation_kohm"]
    wires.supply_mv, wires.hvil = phase["supply_mv"], phase["hvil"]
    sign = (0, 1, -1)[int(rig.out.open_wire_test)]
    wires.cell_code[:] = 33_000
    wires.cell_code[11] = phase["cell"] - sign * phase["wire"]
    wires.pack_voltage_mv = int(wires.cell_code[:CELLS].sum()) // 10 + phase["pack_off_mv"]
    rig.step()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PHASE, min_size=1, max_size=8))
def test_the_compiled_bms_is_the_one_in_cpython_step_for_step(phases: list[dict[str, Any]]) -> None:
    compiled, plain = Rig(), Rig(compiled=False)
    assert (compiled.dut.compiled, plain.dut.compiled) == (True, False)
    easy = {"steps": 90, "request": Request.NORMAL, "corrupt": False, "counter_step": 1}
    easy |= {"cell": 33_000, "temperature": 25.0, "sensor_code": 2048, "current_ma": 0, "pack_off_mv": 0}
    easy |= {"isolation_kohm": 5000, "supply_mv": 12_000, "hvil": 1, "auxiliary": {}, "wire": 0}
    for phase in [easy, *phases]:
        for _ in range(phase["steps"]):
            play(compiled, phase)
            play(plain, phase)
            assert compiled.sent == plain.sent
            for name in ("wires_out", "tx"):
                left, right = (np.asarray(r.port)[name] for r in (compiled, plain))
                assert left.tobytes() == right.tobytes(), name
            assert np.asarray(compiled.dut.state).tobytes() == np.asarray(plain.dut.state).tobytes()
            compiled.sent.clear()
            plain.sent.clear()


def test_a_replaced_rule_is_called_wherever_the_bms_uses_it() -> None:
    rig = Rig(replacements={"rules.above": lambda value, limit: 0})
    assert rig.dut.compiled is False
    rig.drive_to(State.NORMAL)
    rig.wires.pack_current_ma = 300_000
    rig.step(40)
    assert rig.dtcs() == set()


def test_replacing_what_is_not_there_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"rules\.may_open"):
        build({"rules.may_opn": lambda a, b: 1})
    assert "protect.monitor" in rule_names()
    assert "vectors.scan_cells" in rule_names()


def test_an_unknown_defect_names_the_nearest() -> None:
    with pytest.raises(InputError, match="reports_open_but_closed"):
        find_defects(["report_open_but_closed"])


def trace(defect: str | None, scenario: str) -> list[Any]:
    """What the bench sees of a BMS with this defect in one of the stories below."""
    rig = Rig(defects=[defect] if defect else [])
    rig.drive_to(State.NORMAL)
    STORIES[scenario](rig)
    return [rig.sent, rig.coils, int(rig.state.charge_uas)]


def voltage(code: int, steps: int = 90) -> Any:
    def story(rig: Rig) -> None:
        rig.wires.cell_code[10] = code
        rig.step(steps)

    return story


def current(milliampere: int, steps: int = 60) -> Any:
    def story(rig: Rig) -> None:
        rig.wires.pack_current_ma = milliampere
        rig.step(steps)

    return story


def hot_charge(rig: Rig) -> None:
    rig.wires.pack_current_ma = -20_000
    rig.wires.temp_code[:] = code_of(57.0)
    rig.step(620)


def implausible(rig: Rig) -> None:
    rig.wires.pack_voltage_mv += 9000
    rig.step(40)


def open_wire(rig: Rig) -> None:
    for _ in range(40):
        sign = (0, 1, -1)[int(rig.out.open_wire_test)]
        rig.wires.cell_code[:] = 33_000
        rig.wires.cell_code[20] -= sign * 6000
        rig.step()


def silence(rig: Rig) -> None:
    rig.request = None
    rig.step(40)


def frozen(rig: Rig) -> None:
    rig.counter_step = 0
    rig.step(40)


def damaged(rig: Rig) -> None:
    rig.corrupt = True
    rig.step(40)


def reclose(rig: Rig) -> None:
    rig.request = Request.STANDBY
    rig.step(20)
    rig.link_mv = 0.0
    rig.request = Request.NORMAL
    rig.step(80)


def clear_under_fault(rig: Rig) -> None:
    rig.wires.cell_code[10] = 38_000
    rig.step(80)
    rig.request = Request.CLEAR
    rig.step(5)
    rig.request = Request.STANDBY
    rig.step(5)


STORIES: dict[str, Any] = {
    "ov": voltage(37_700), "ov_near": voltage(37_600), "uv": voltage(21_000), "charge": hot_charge,
    "oc": current(300_000),
    "implausible": implausible, "open_wire": open_wire, "silence": silence, "reclose": reclose, "soc": current(50_000),
    "frozen": frozen, "damaged": damaged, "clear": clear_under_fault, "short": current(1_700_000),
}  # fmt: skip

SHOWN_BY = {
    "ov_never_trips": "ov",
    "ov_debounce_10x": "ov",
    "ov_threshold_high_50mv": "ov_near",
    "uv_threshold_low_200mv": "uv",
    "uv_delay_2x": "uv",
    "ot_charge_ignored": "charge",
    "oc_discharge_only_warns": "oc",
    "plausibility_off": "implausible",
    "open_wire_off": "open_wire",
    "request_timeout_3x": "silence",
    "precharge_ends_early": "reclose",
    "soc_capacity_half": "soc",
    "contactor_stays_closed_on_error": "ov",
    "reports_open_but_closed": "ov",
    "dtc_never_sent": "ov",
    "alive_counter_ignored": "frozen",
    "crc_ignored": "damaged",
    "clear_ignores_fault": "clear",
    "opens_at_any_current": "short",
    "soc_counts_backwards": "soc",
}


def test_every_defect_has_a_story_that_shows_it() -> None:
    assert set(SHOWN_BY) == set(DEFECTS)


@pytest.mark.parametrize("name", sorted(SHOWN_BY))
def test_a_defect_changes_what_the_bench_sees(name: str) -> None:
    assert trace(name, SHOWN_BY[name]) != trace(None, SHOWN_BY[name])


def test_a_bms_that_reports_open_but_is_closed_does_exactly_that() -> None:
    rig = Rig(defects=["reports_open_but_closed"])
    rig.drive_to(State.NORMAL)
    rig.wires.cell_code[10] = 38_000
    rig.step(80)
    assert rig.coils[:2] == (1, 1)
    last = next(payload for _, number, payload in reversed(rig.sent) if number == 0x100)
    assert (last[1] >> 4 & 7, last[1] >> 7, last[2] & 3) == (State.ERROR, 0, 0)


def test_calibration_defects_stay_compiled_and_may_be_combined_with_code_defects() -> None:
    assert Rig(defects=["ov_never_trips"]).dut.compiled is True
    assert Rig(defects=["ov_never_trips", "crc_ignored"]).dut.compiled is False
    assert Rig(defects=["crc_ignored"]).dut.identity()["defects"] == "crc_ignored"


def test_the_port_may_change_between_steps() -> None:
    rig = Rig(compiled=False)
    rig.step(3)
    other = zeros(DutLink)
    np.asarray(other)[:] = np.asarray(rig.port)
    np.asarray(other)["wires_in"]["supply_mv"] = 0
    rig.dut.step(3 * TASK_NS, TASK_NS, other)
    assert np.asarray(other)["tx"]["n"][0] == 0
    assert rig.state.powered == 0


ALLOWED = {"codec", "protocols", "ports", "tick", "image", "units", "kernel", "errors", "virtual"}
ABOUT_FILES = {"config.py", "dut.py"}


def test_the_bms_imports_only_what_an_ecu_could_have() -> None:
    for source in sorted(HERE.glob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in (n for n in names if n.startswith("hil.")):
                parts = name.split(".")
                allowed = parts[1] in ALLOWED or (source.name in ABOUT_FILES and name == "hil.files.limits")
                assert allowed, f"{source.name} imports {name}"
                assert parts[1] != "virtual" or parts[2] == "bms", f"{source.name} imports {name}"


def test_dtc_numbers_fit_one_word() -> None:
    assert max(Dtc) < 63
