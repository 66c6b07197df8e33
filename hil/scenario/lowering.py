"""From a case to arrays: timeline rows, fault specs and check specs; every name and unit is settled here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hil.checks import lower
from hil.checks.compile import append
from hil.checks.names import Scope
from hil.checks.program import Program
from hil.checks.spec import CheckSpec, Source, Uncertainty, Where
from hil.codec.e2e import Protection
from hil.errors import InputError, Problem, nearest
from hil.faults import catalogue
from hil.files import Document, KeyPath, resolve
from hil.files.limits import lookup
from hil.image import REQUESTS, Quantity
from hil.kernel import Rows, view, zeros
from hil.scenario.cases import Case, fill
from hil.scenario.loader import Collector, Loaded
from hil.scenario.schema import Fault, Play, Ramp, Scenario, Step
from hil.scenario.timeline import SAMPLES, STEPS, StepKind, TimelineParams, TimelineState
from hil.tick import GROUPS
from hil.units import parse_quantity, parse_time_ns

GIVEN, FIRST = 0, 1  # step groups: the preparation, the steps
OPEN_CURRENT = "intent.pack_current"


@dataclass(slots=True)
class Lowered:
    """One case as arrays and specs; ``notes`` are (group, t_ns, text) of marks and steps for the record."""

    timeline: Rows[TimelineParams]
    faults: list[catalogue.Spec]
    scope: Scope
    notes: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Work:
    """What lowering one case passes around."""

    loaded: Loaded
    case: Case
    messages: Mapping[str, Protection | None]
    sent: Sequence[str]
    params: Any
    program: Rows[Program]
    scope: Scope
    faults: list[catalogue.Spec]
    notes: list[tuple[int, int, str]]
    errors: Collector
    samples: int = 0
    group: int = FIRST

    def text(self, text: str, at: KeyPath) -> str:
        return fill(text, self.case, self.loaded.document, at)

    def source(self, text: str, at: KeyPath) -> Source:
        place = self.loaded.document.place(at)
        return Source(self.text(text, at), Where(str(self.loaded.path), place.line, place.column))

    def problem(self, at: KeyPath, problem: Problem) -> InputError:
        return InputError(
            self.loaded.document.problem(
                at, problem.message, expected=problem.expected, found=problem.found, nearest=problem.nearest
            )
        )


def lowered(
    loaded: Loaded,
    case: Case,
    messages: Mapping[str, Protection | None],
    sent: Sequence[str],
    uncertainties: Mapping[str, Uncertainty],
) -> Lowered:
    """Lower one case. ``messages`` has the bus's messages, each with its protection; ``sent`` are those of the bench.

    Raises:
        InputError: every problem of this case, with its place.
    """
    model = loaded.model
    scope = scope_of(loaded, case, uncertainties)
    made = zeros(TimelineParams)
    work = _Work(loaded, case, messages, sent, view(made), zeros(Program), scope, [], [], Collector())
    work.params["dt_ns"] = model.tick
    column = loaded.table.find("time.scenario")
    assert column is not None
    work.params["col_time_scenario"] = column.start
    _given(work)
    for index, step in enumerate(model.steps):
        with work.errors.collecting():
            _step(work, index, step)
    work.errors.raise_if_any()
    work.params["n_groups"] = work.group + 1
    work.params["program"] = np.asarray(work.program)[0]
    return Lowered(made, work.faults, scope, work.notes)


def scope_of(loaded: Loaded, case: Case, uncertainties: Mapping[str, Uncertainty]) -> Scope:
    """What names mean in the expressions of a case."""

    def limit(name: str) -> tuple[float, str]:
        return lookup(loaded.limits, name.removeprefix("limits."), loaded.model.tick)

    return Scope(loaded.table, limit, dict(case.values), uncertainties)


def start_state() -> Rows[TimelineState]:
    """No group begun, nothing expired."""
    made = zeros(TimelineState)
    s = np.asarray(made)[0]
    s["group_t_ns"][:] = -1
    s["expired"] = -1
    return made


def _given(work: _Work) -> None:
    """Group 0: requests and, where the state needs it, an override, until the BMS reports the state."""
    given = work.loaded.model.given
    ask = {"STANDBY": "STANDBY", "CHARGE": "CHARGE"}.get(given.state, "NORMAL")
    coolant = _quantity(work, "intent.coolant_temperature")
    _row(work, GIVEN, 0, StepKind.SET, coolant, 0, 1, given.temperature)
    _row(work, GIVEN, 0, StepKind.SET, _quantity(work, "intent.request"), 0, 1, float(REQUESTS.index(ask)))
    override = {"PRECHARGE": "intent.link_voltage", "ERROR": OPEN_CURRENT}.get(given.state)
    if override is not None:
        half_v = 0.5 * work.loaded.pack.series * 3.3
        value = half_v if given.state == "PRECHARGE" else lookup(work.loaded.limits, "oc_discharge.MSL", 0)[0] * 1.2
        _row(work, GIVEN, 0, StepKind.SET, _quantity(work, override), 0, 1, value)
        if given.state == "ERROR":
            _row(work, FIRST, 0, StepKind.SET, _quantity(work, override), 0, 1, np.nan)
    _wait(work, GIVEN, 0, f"reported.state == {given.state}", ("given",), given.within)


def _quantity(work: _Work, name: str) -> Quantity:
    found = work.loaded.table.find(name)
    if found is None:
        raise KeyError(name)
    return found


def _row(
    work: _Work, group: int, t_ns: int, kind: StepKind, q: Quantity, first: int, n: int, value: float, **more: Any
) -> None:
    _place(work, group, t_ns, kind, column=q.start + first, n=n, value=value, **more)


def _place(work: _Work, group: int, t_ns: int, kind: StepKind, **fields: Any) -> None:
    p = work.params
    index = int(p["n_steps"])
    if index >= STEPS:
        raise InputError(f"a scenario holds at most {STEPS} lowered steps")
    row = p["step"][index]
    for name, number in {"kind": int(kind), "group": group, "t_ns": t_ns, **fields}.items():
        row[name] = number
    p["n_steps"] = index + 1
    _until(work, group, t_ns)


def _until(work: _Work, group: int, t_ns: int) -> None:
    work.params["end_ns"][group] = max(int(work.params["end_ns"][group]), t_ns)


def _wait(work: _Work, group: int, t_ns: int, until: str, at: KeyPath, timeout_ns: int) -> None:
    work.scope.offline = False
    condition = lower.condition(work.source(until, at), work.scope)
    work.scope.offline = True
    start, stop = append(np.asarray(work.program)[0], condition.steps)
    row = work.params["wait"][group]
    row["used"], row["start"], row["stop"] = 1, start, stop
    row["t_ns"], row["timeout_ns"] = t_ns, timeout_ns


def _step(work: _Work, index: int, step: Step) -> None:
    at: KeyPath = ("steps", index)
    if step.at < 0:
        raise work.problem((*at, "at"), Problem("a step before the start", expected="a time of 0 s or later"))
    if step.wait is not None:
        if work.group + 1 >= GROUPS:
            raise work.problem(at, Problem(f"more than {GROUPS - 2} waits"))
        begins = max(step.at, int(work.params["end_ns"][work.group]))
        _wait(work, work.group, begins, step.wait.until, (*at, "wait", "until"), step.wait.within)
        work.group += 1
    elif step.set is not None:
        for name, value in step.set.items():
            with work.errors.collecting():
                _set(work, step.at, name, value, (*at, "set", name))
    elif step.release is not None:
        for i, name in enumerate(step.release):
            q, first, n = _signal(work, name, (*at, "release", i))
            _row(work, work.group, step.at, StepKind.SET, q, first, n, np.nan)
    elif step.ramp is not None:
        _ramp(work, step.at, step.ramp, (*at, "ramp"))
    elif step.current is not None:
        _current(work, step.at, step.current, (*at, "current"))
    elif step.request is not None:
        q = _quantity(work, "intent.request")
        _row(work, work.group, step.at, StepKind.SET, q, 0, 1, float(REQUESTS.index(step.request)))
    elif step.send is not None:
        _send(work, step.at, step.send, (*at, "send"))
    elif step.fault is not None:
        _fault(work, step.at, step.fault, (*at, "fault"))
    _until(work, work.group, step.at)
    action = next(iter(step.model_fields_set - {"at"}), "step")
    work.notes.append((work.group, step.at, step.mark or action))


def _signal(work: _Work, name: str, at: KeyPath) -> tuple[Quantity, int, int]:
    """The intent columns behind a shown quantity."""
    text = work.text(name, at)
    noun, _, index = text.removesuffix("]").partition("[")
    table = work.loaded.table
    q = table.find(noun.replace("shown.", "intent.", 1)) if noun.startswith("shown.") else None
    if q is None:
        choices = [n.replace("intent.", "shown.", 1) for n in table.names() if n.startswith("intent.")]
        raise work.problem(
            at,
            Problem(
                "no such signal to set", expected="a shown quantity", found=noun, nearest=nearest(noun, choices) or ""
            ),
        )
    if index in ("", "all"):
        return q, 0, q.count
    if not index.isdigit() or int(index) >= q.count:
        raise work.problem(at, Problem(f"{noun} has no such element", expected=f"0 to {q.count - 1}", found=index))
    return q, int(index), 1


def _value(work: _Work, value: str | float, q: Quantity, at: KeyPath) -> float:
    """A number in the quantity's unit from a label, a quantity with unit, or an expression of limits."""
    if isinstance(value, int | float):
        if q.unit != "1":
            raise work.problem(
                at, Problem("a number without a unit", expected=f"a value in {q.unit}", found=str(value))
            )
        return float(value)
    text = work.text(value, at)
    if q.labels and text in q.labels:
        return float(q.labels.index(text))
    return lower.constant(work.source(value, at), work.scope, q.unit)


def _set(work: _Work, t_ns: int, name: str, value: str | float, at: KeyPath) -> None:
    q, first, n = _signal(work, name, at)
    _row(work, work.group, t_ns, StepKind.SET, q, first, n, _value(work, value, q, at))


def _ramp(work: _Work, t_ns: int, ramp: Ramp, at: KeyPath) -> None:
    q, first, n = _signal(work, ramp.signal, (*at, "signal"))
    shown = _quantity(work, q.name.replace("intent.", "shown.", 1))
    unit = "K/s" if q.unit == "degC" else f"{q.unit}/s"
    rate = abs(_located(work, (*at, "rate"), ramp.rate, unit))
    if rate == 0.0:
        raise work.problem((*at, "rate"), Problem("the ramp never ends", expected=f"a rate in {unit} that is not 0"))
    value = _value(work, ramp.to, q, (*at, "to"))
    _row(work, work.group, t_ns, StepKind.RAMP, q, first, n, value, rate=rate, source=shown.start + first)


def _located(work: _Work, at: KeyPath, text: str, unit: str) -> float:
    """``parse_quantity`` with the place of the text in its errors."""
    try:
        return parse_quantity(work.text(text, at), unit)
    except InputError as error:
        raise work.problem(at, error.problems[0]) from None


def _current(work: _Work, t_ns: int, current: Play | str | float, at: KeyPath) -> None:
    q = _quantity(work, "intent.load_current")
    if not isinstance(current, Play):
        _row(work, work.group, t_ns, StepKind.SET, q, 0, 1, _value(work, current, q, at))
        return
    path: Path = resolve(work.loaded.document, (*at, "play"), current.play)
    samples = work.loaded.profiles[path] * current.scale
    if work.samples + len(samples) + 1 > SAMPLES:
        raise work.problem(at, Problem("the profiles are too long", expected=f"at most {SAMPLES} samples in all"))
    sums = np.concatenate(([0.0], np.cumsum(samples * current.period * 1e-9)))
    first = work.samples
    work.params["integral"][first : first + len(sums)] = sums
    work.samples += len(sums)
    more = {"sample": first, "count": len(samples), "period_ns": current.period}
    _row(work, work.group, t_ns, StepKind.PLAY, q, 0, 1, 0.0, **more)
    _until(work, work.group, t_ns + len(samples) * current.period)


def _send(work: _Work, t_ns: int, name: str, at: KeyPath) -> None:
    message = work.text(name, at)
    if message not in work.sent:
        expected, close = "a message the bench sends", nearest(message, work.sent) or ""
        raise work.problem(at, Problem("no such message to send", expected=expected, found=message, nearest=close))
    _place(work, work.group, t_ns, StepKind.SEND, column=work.sent.index(message))


def _fault(work: _Work, t_ns: int, fault: Fault, at: KeyPath) -> None:
    kind = catalogue.kind_of(fault.kind)
    if isinstance(kind, Problem):
        raise work.problem((*at, "kind"), kind)
    target = work.text(fault.target, (*at, "target"))
    arguments: dict[str, float] = {}
    for name, unit in kind.needs.items():
        given = getattr(fault, name)
        if given is None:
            raise work.problem(at, Problem(f"{kind.name} needs {name}", expected=f"{name}: a value in {unit}"))
        arguments[name] = _argument(work, given, name, unit, target, at)
    if kind.frame is not None:
        if target not in work.messages:
            close = nearest(target, work.messages) or ""
            found = Problem("no such message", expected="a message of the DBC", found=target, nearest=close)
            raise work.problem((*at, "target"), found)
        missing = catalogue.lacks(kind, work.messages[target], arguments)
        if missing:
            raise work.problem((*at, "kind"), Problem(f"{kind.name} on {target}: {missing}"))
    else:
        place = catalogue.columns_of(kind, target, work.loaded.table)
        if isinstance(place, Problem):
            raise work.problem((*at, "target"), place)
        wrong = catalogue.refused(kind, arguments)
        if wrong is not None:
            raise work.problem(at, wrong)
    end_ns = -1 if fault.for_ is None else t_ns + fault.for_
    work.faults.append(catalogue.Spec(kind.name, target, work.group, t_ns, end_ns, arguments))
    _until(work, work.group, max(t_ns, end_ns))


def _argument(work: _Work, given: str | float, name: str, unit: str, target: str, at: KeyPath) -> float:
    if isinstance(given, int | float):
        return float(given)
    if unit == "*":
        q = work.loaded.table.find(target.split("[")[0].replace("shown.", "command.", 1))
        unit = q.unit if q is not None else "1"
        unit = "K" if unit == "degC" else unit
    if unit == "s":
        return parse_time_ns(given) * 1e-9
    return _located(work, (*at, name), given, unit)


def check_specs(path: Path, model: Scenario, document: Document, case: Case, errors: Collector) -> list[CheckSpec]:
    """The expectations of a case with its parameters filled in; problems go to ``errors``."""
    specs: list[CheckSpec] = []

    def where(at: KeyPath) -> Where:
        place = document.place(at)
        return Where(str(path), place.line, place.column)

    for index, e in enumerate(model.expect):
        at: KeyPath = ("expect", index)
        with errors.collecting():
            texts = {
                "when": e.when,
                "then": e.then,
                "within": e.within,
                "never": e.never,
                "during": e.while_,
                "always": e.always,
            }
            keys = {"during": "while"}
            filled = {k: fill(t, case, document, (*at, keys.get(k, k))) for k, t in texts.items() if t}
            places = {k: where((*at, keys.get(k, k))) for k in filled}
            if e.stays is not None:
                filled["stays"] = f"{e.stays} ns"
            if e.for_ is not None:
                filled["share"] = f"{e.for_ * 100:.12g} %"
            if e.each is not None:
                filled["each"] = e.each
            identity = e.id or f"expect-{index + 1}"
            specs.append(
                CheckSpec(identity, reported_only_ok=e.informational, where=where(at), places=places, **filled)
            )
    return specs
