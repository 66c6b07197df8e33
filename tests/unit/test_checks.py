"""Whole checks over short hand-made traces: verdicts, the times t0 to t3, margins, and what the compiler refuses."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hil.checks.automaton import decided, step
from hil.checks.compile import Compiled, compile_checks
from hil.checks.names import Value
from hil.checks.spec import CheckSpec, Uncertainty, Where
from hil.checks.verdict import Status, Verdict, results
from hil.checks.watch import CheckState
from hil.errors import InputError
from hil.image import table
from hil.kernel import Floats, Rows, copied
from hil.tick import COLUMNS

TICK_NS = 10_000_000
TABLE = table(4, 2)
LIMITS = {"limits.cell_ov.MSL": (3.75, "V"), "limits.cell_ov.budget": (0.8, "s")}
OV = CheckSpec(
    "OV",
    when="shown.cell_voltage[$cell] > limits.cell_ov.MSL",
    then="measured.contactor_main == OPEN and reported.dtc_cell_ov == ON",
    within="limits.cell_ov.budget",
    stays="200 ms",
)
Writer = Callable[[int, "Trace"], None]


class Trace:
    """A row that is filled by names; a timed quantity's time changes with its value."""

    def __init__(self) -> None:
        self.row: Floats = np.full(COLUMNS, math.nan)
        self.set("time.scenario", 0.0).set("time.lateness", 0.0).set("time.frames_lost", 0.0)
        self.set("shown.cell_voltage", 3.3).set("measured.pack_current", 50.0)
        self.set("measured.contactor_main", 1.0, 0.0).set("reported.state", 3.0, 0.0)
        self.set("measured.coil_main_plus", 1.0, 0.0).set("measured.coil_main_minus", 1.0, 0.0)
        for name in TABLE.names():
            if name.startswith("reported.dtc_"):
                self.set(name, 0.0, 0.0)

    def set(self, name: str, value: float, at_s: float | None = None, element: int | None = None) -> "Trace":
        """One value, or one element of a vector; ``at_s`` is its last-change time."""
        quantity = TABLE.find(name)
        assert quantity is not None
        first = quantity.start if element is None else quantity.start + element
        self.row[first : first + (quantity.count if element is None else 1)] = value
        if at_s is not None:
            self.row[quantity.time_start] = at_s
        return self


def _compile(*specs: CheckSpec, u: dict[str, Uncertainty] | None = None, **params: Value) -> Compiled:
    return compile_checks(specs, TABLE, LIMITS.__getitem__, params, TICK_NS, u or {}, overrun_ns=5_000_000)


def _run(compiled: Compiled, n: int, write: Writer, first: int = 0, bench_error: str = "") -> list[Verdict]:
    return results(_state_after(compiled, n, write, first), compiled, n * 0.01, bench_error)


def _state_after(compiled: Compiled, n: int, write: Writer, first: int = 0) -> Rows[CheckState]:
    state, trace = compiled.state(), Trace()
    for k in range(n):
        trace.set("time.scenario", (k - first) * 0.01 if k >= first else math.nan)
        write(k, trace)
        step(state[0], compiled.params[0], k * TICK_NS, trace.row)
    return state


def _reaction(k: int, trace: Trace, open_at: int = 40) -> None:
    """Cell 1 rises at 0.10 s; DTC at 0.305 s, coils off at 0.381 and 0.383 s, path open at 0.393 s (row 40)."""
    if k == 10:
        trace.set("shown.cell_voltage", 3.8, element=1)
    if k == 31:
        trace.set("reported.dtc_cell_ov", 1.0, 0.305)
    if k == 39:
        trace.set("measured.coil_main_plus", 0.0, 0.381).set("measured.coil_main_minus", 0.0, 0.383)
    if k == open_at:
        trace.set("measured.contactor_main", 0.0, open_at * 0.01 - 0.007).set("measured.pack_current", 0.0)


def test_a_reaction_in_time_passes_with_exact_times_and_margin() -> None:
    (verdict,) = _run(_compile(OV, cell=1), 100, _reaction)

    assert verdict.status == Status.PASS
    assert (verdict.t0_s, verdict.t1_s, verdict.t2_s) == pytest.approx((0.10, 0.305, 0.383))
    assert verdict.t3_s == pytest.approx(0.393)
    assert verdict.margin == pytest.approx(0.8 - 0.293)
    assert verdict.margin_unit == "s"
    assert verdict.reason == "Reacted 293 ms after the trigger at 0.1 s, allowed 800 ms and held for 200 ms."


def test_a_reaction_after_the_deadline_fails_and_its_margin_is_negative() -> None:
    (verdict,) = _run(_compile(replace(OV, within="200 ms"), cell=1), 100, lambda k, t: _reaction(k, t, 31))

    assert verdict.status == Status.FAIL
    assert verdict.margin == pytest.approx(0.2 - 0.205)  # the code came last, at 0.305 s
    assert "allowed 200 ms" in verdict.reason


def test_a_missing_reaction_fails_right_after_the_deadline_and_later_milestones_are_still_seen() -> None:
    (verdict,) = _run(_compile(replace(OV, within="250 ms"), cell=1), 100, _reaction)

    assert verdict.status == Status.FAIL
    assert verdict.margin is None
    assert verdict.time_s == pytest.approx(0.36)
    assert verdict.t3_s == pytest.approx(0.393)
    assert verdict.reason == "No reaction within 250 ms of the trigger at 0.1 s."


def test_a_bms_that_says_open_with_its_path_closed_fails() -> None:
    def write(k: int, trace: Trace) -> None:
        _reaction(k, trace, open_at=10_000)

    (verdict,) = _run(_compile(OV, cell=1), 120, write)

    assert verdict.status == Status.FAIL


def test_a_reaction_that_does_not_stay_fails() -> None:
    def write(k: int, trace: Trace) -> None:
        _reaction(k, trace)
        if k == 50:
            trace.set("measured.contactor_main", 1.0, 0.495)

    (verdict,) = _run(_compile(OV, cell=1), 100, write)

    assert verdict.status == Status.FAIL
    assert "did not hold for 200 ms" in verdict.reason


def test_a_reaction_that_already_stands_is_not_exercised_and_names_its_code() -> None:
    def write(k: int, trace: Trace) -> None:
        if k == 5:
            trace.set("measured.contactor_main", 0.0, 0.045).set("reported.dtc_cell_ov", 1.0, 0.048)
            trace.set("reported.dtc_cell_uv", 1.0, 0.03)
        if k == 10:
            trace.set("shown.cell_voltage", 3.8, element=1)

    (verdict,) = _run(_compile(OV, cell=1), 100, write)

    assert verdict.status == Status.NOT_EXERCISED
    assert "since 0.048 s with reported.dtc_cell_ov, reported.dtc_cell_uv" in verdict.reason


def test_a_trigger_that_never_fires_is_never_a_pass() -> None:
    compiled = _compile(OV, cell=2)

    (verdict,) = _run(compiled, 100, _reaction)

    assert verdict.status == Status.NOT_EXERCISED
    assert verdict.margin is None
    assert verdict.reason == "The trigger never fired."


def test_a_trigger_standing_since_the_preparation_does_not_fire() -> None:
    (verdict,) = _run(_compile(OV, cell=1), 100, _reaction, first=20)

    assert verdict.status == Status.NOT_EXERCISED
    assert verdict.origin_s == pytest.approx(0.2)
    assert "already stood when judging began" in verdict.reason


def test_an_unknown_reaction_fails_when_frames_flowed_and_is_inconclusive_when_the_bench_lost_some() -> None:
    def silent(k: int, trace: Trace) -> None:
        _reaction(k, trace)
        trace.set("reported.dtc_cell_ov", math.nan, math.nan)

    def lossy(k: int, trace: Trace) -> None:
        silent(k, trace)
        trace.set("time.frames_lost", 3.0 if k >= 30 else 0.0)

    (dead,) = _run(_compile(OV, cell=1), 120, silent)
    (lost,) = _run(_compile(OV, cell=1), 120, lossy)

    assert dead.status == Status.FAIL
    assert "unknown" in dead.reason
    assert lost.status == Status.INCONCLUSIVE


def test_an_overrun_in_the_window_is_inconclusive_and_outside_it_harmless() -> None:
    def late(tick: int) -> Writer:
        def write(k: int, trace: Trace) -> None:
            _reaction(k, trace)
            trace.set("time.lateness", 0.02 if k == tick else 0.0)

        return write

    assert _run(_compile(OV, cell=1), 100, late(20))[0].status == Status.INCONCLUSIVE
    assert _run(_compile(OV, cell=1), 100, late(5))[0].status == Status.PASS


def test_an_open_obligation_keeps_the_run_going_and_is_inconclusive_at_its_end() -> None:
    compiled = _compile(OV, cell=1)

    state = _state_after(compiled, 41, _reaction)

    assert not decided(state[0])
    (verdict,) = results(state, compiled, 0.41)
    assert verdict.status == Status.INCONCLUSIVE
    assert "had not held long enough" in verdict.reason
    assert decided(_state_after(compiled, 61, _reaction)[0])


def test_an_open_obligation_is_an_error_when_the_bench_broke() -> None:
    compiled = _compile(OV, CheckSpec("A", always="measured.pack_current < 100 A"), cell=1)

    pending, always = _run(compiled, 41, _reaction, bench_error="the load did not answer")
    finished, _ = _run(compiled, 100, _reaction, bench_error="the load did not answer")

    assert (pending.status, always.status, finished.status) == (Status.ERROR, Status.ERROR, Status.PASS)
    assert "the load did not answer" in always.reason


@pytest.mark.parametrize(("u_ms", "status"), [(0, Status.PASS), (3, Status.PASS), (10, Status.INCONCLUSIVE)])
def test_a_time_uncertainty_wider_than_the_margin_decides_nothing(u_ms: float, status: Status) -> None:
    widths = {"measured.contactor_main": Uncertainty(0, u_ms * 1e-3)}

    (verdict,) = _run(_compile(replace(OV, within="300 ms"), u=widths, cell=1), 100, _reaction)

    assert verdict.status == status  # 293 ms of 300 ms


def test_the_slowest_of_several_triggers_decides_the_margin() -> None:
    spec = CheckSpec("C", when="shown.hvil == ON", then="measured.pack_current < 1 A", within="100 ms")

    def write(k: int, trace: Trace) -> None:
        trace.set("shown.hvil", 1.0 if k % 20 == 10 else 0.0)
        delay = 7 if 20 <= k < 40 else 3
        trace.set("measured.pack_current", 0.0 if k % 20 >= 10 + delay else 50.0)

    (verdict,) = _run(_compile(spec), 60, write)

    assert verdict.status == Status.PASS
    assert verdict.margin == pytest.approx(0.03)
    assert verdict.t0_s == pytest.approx(0.3)
    assert "longest of 3" in verdict.reason


def test_each_all_counts_every_element_and_says_which_were_not_exercised() -> None:
    spec = replace(OV, when="shown.cell_voltage[each] > limits.cell_ov.MSL", each="all")

    (verdict,) = _run(_compile(spec), 100, _reaction)

    assert (verdict.instances, verdict.exercised) == (4, 1)
    assert verdict.status == Status.NOT_EXERCISED
    assert "1 of 4 elements" in verdict.reason


def test_each_all_fails_with_the_element_that_failed() -> None:
    spec = CheckSpec("E", always="abs(shown.cell_voltage[$cell] - 3.3 V) < 400 mV")

    (verdict,) = _run(_compile(spec, cell="all"), 20, _reaction)

    assert verdict.status == Status.FAIL
    assert verdict.element == 1
    assert verdict.margin == pytest.approx(-0.1)
    assert verdict.time_s == pytest.approx(0.10)


def test_always_reports_its_worst_distance() -> None:
    def write(k: int, trace: Trace) -> None:
        trace.set("measured.pack_current", 60.0 + (30.0 if k == 7 else 0.0))

    (verdict,) = _run(_compile(CheckSpec("A", always="measured.pack_current < 100 A")), 20, write)

    assert verdict.status == Status.PASS
    assert (verdict.margin, verdict.margin_unit) == (10.0, "A")
    assert verdict.reason == "Held in all 20 known samples, closest by 10 A at 0.07 s."


def test_always_with_more_than_five_percent_unknown_is_inconclusive() -> None:
    def blind(gaps: int) -> Writer:
        return lambda k, t: (t.set("measured.pack_current", math.nan if k < gaps else 1.0), None)[1]

    spec = CheckSpec("A", always="measured.pack_current < 100 A")

    assert _run(_compile(spec), 100, blind(5))[0].status == Status.PASS
    assert _run(_compile(spec), 100, blind(6))[0].status == Status.INCONCLUSIVE


def test_a_share_of_time_has_its_margin_as_a_ratio() -> None:
    def write(k: int, trace: Trace) -> None:
        trace.set("measured.pack_current", 150.0 if k < 4 else 50.0)

    (verdict,) = _run(_compile(CheckSpec("S", always="measured.pack_current < 100 A", share="95 %")), 100, write)

    assert verdict.status == Status.PASS
    assert verdict.margin == pytest.approx(0.01)


def test_never_while_without_the_while_is_not_exercised() -> None:
    spec = CheckSpec("N", never="reported.discharge_current_limit > 0 A while reported.state == ERROR")

    (verdict,) = _run(_compile(spec), 20, lambda k, t: None)

    assert verdict.status == Status.NOT_EXERCISED


def test_judging_a_copy_of_the_state_goes_on_as_the_original() -> None:
    compiled = _compile(OV, cell=1)
    state = _state_after(compiled, 30, _reaction)
    other = copied(state)
    trace = Trace().set("shown.cell_voltage", 3.8, element=1)
    for k in range(30, 120):
        step(state[0], compiled.params[0], k * TICK_NS, trace.row)
        step(other[0], compiled.params[0], k * TICK_NS, trace.row)

    assert np.asarray(state).tobytes() == np.asarray(other).tobytes()


def test_the_columns_a_record_must_hold_are_listed() -> None:
    columns = _compile(OV, cell=1).columns

    assert columns[:3] == ("shown.cell_voltage", "measured.contactor_main", "reported.dtc_cell_ov")
    assert {"time.scenario", "measured.pack_current", "reported.state"} <= set(columns)
    assert len(columns) == len(set(columns))


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        (replace(OV, then="reported.state == ERROR"), "no proof that it reacted"),
        (replace(OV, then="measured.contactor_main == OPEN or reported.state == ERROR"), "no proof that it reacted"),
        (replace(OV, then=""), "'when' needs 'then'"),
        (replace(OV, within="5 V"), "expected a time"),
        (replace(OV, within="5 ms"), "less than one tick"),
        (replace(OV, within="1 s * reported.soc"), "known before the run"),
        (replace(OV, stays="-1 s"), "cannot be negative"),
        (replace(OV, always="reported.soc > 0 %"), "when and always"),
        (CheckSpec("X"), "exactly one of when, never, always"),
        (replace(OV, each="all"), "without anything to count"),
        (replace(OV, share="95 %"), "'for' does not belong"),
        (CheckSpec("X", always="reported.soc > 0 %", share="120 %"), "at most 100 %"),
        (
            CheckSpec("X", always="shown.cell_voltage[each] > 0 V and measured.temperature[each] > 0 degC", each="all"),
            "different length",
        ),
    ],
)
def test_the_compiler_refuses_what_cannot_be_judged(spec: CheckSpec, part: str) -> None:
    with pytest.raises(InputError) as caught:
        _compile(spec, cell=1)

    assert part in str(caught.value)


def test_an_informational_requirement_may_rest_on_what_the_bms_reports() -> None:
    compiled = _compile(replace(OV, then="reported.state == ERROR", reported_only_ok=True), cell=1)

    assert len(compiled.checks) == 1


def test_all_problems_of_all_checks_are_raised_together_with_their_places() -> None:
    bad = replace(OV, when="shown.cel_voltage > 1 V", places={"when": Where("a.yaml", 12, 11)})
    worse = CheckSpec("W", never="reported.soc > 5 V while reported.stat == ERROR", where=Where("a.yaml", 20, 12))

    with pytest.raises(InputError) as caught:
        _compile(bad, worse)

    first, second = caught.value.problems
    assert (first.line, first.column, first.nearest) == (12, 11, "shown.cell_voltage")
    assert (second.line, second.column) == (20, 12 + len("reported.soc > "))
