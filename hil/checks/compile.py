"""Checks from text to the arrays the automata run on. All problems of all checks are found before one is raised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hil.checks import lower
from hil.checks.expression import split_while
from hil.checks.names import Lowered, ResolveLimit, Scope, Step, Value
from hil.checks.program import DEPTH, OPS, Code
from hil.checks.spec import NOWHERE, CheckSpec, Source, Uncertainty, Where
from hil.checks.watch import CHECKS, DTC_CAPACITY, WATCHES, CheckParams, CheckState, Kind, start
from hil.errors import InputError, Problem
from hil.image import Table, bind
from hil.kernel import Rows, zeros

_RESOLUTION_S = 0.5e-9  # half of the nanosecond in which times are counted
_ZERO_CURRENT_A = 1.0  # fault-handling time ends when the poles are open or the current is below this (docs: timing)


@dataclass(frozen=True, slots=True)
class CheckInfo:
    """What a verdict says about a check besides its numbers."""

    spec: CheckSpec
    kind: Kind
    unit: str  # of the margin; empty when there is none
    base: int
    instances: int
    within_s: float
    stays_s: float
    share: float


@dataclass(frozen=True, slots=True)
class Compiled:
    """Checks ready to run. ``columns`` names every quantity the checks and their milestones read."""

    params: Rows[CheckParams]
    checks: tuple[CheckInfo, ...]
    columns: tuple[str, ...]
    dtcs: tuple[str, ...]

    def state(self) -> Rows[CheckState]:
        """A fresh state, ready for the first row."""
        made = zeros(CheckState)
        start(made[0])
        return made


@dataclass(frozen=True, slots=True)
class _Made:
    spec: CheckSpec
    kind: Kind
    a: Lowered
    b: Lowered | None = None
    instances: int = 1
    within_s: float = 0.0
    stays_s: float = 0.0
    share: float = 1.0

    @property
    def unit(self) -> str:
        """Unit of the margin."""
        if self.kind == Kind.RESPONSE:
            return "s"
        return "1" if self.kind == Kind.SHARE else self.a.unit


def compile_checks(
    specs: Sequence[CheckSpec],
    table: Table,
    resolve_limit: ResolveLimit,
    params: Mapping[str, Value] | None = None,
    tick_ns: int = 10_000_000,
    uncertainties: Mapping[str, Uncertainty] | None = None,
    *,
    from_scenario: bool = True,
    overrun_ns: int | None = None,
) -> Compiled:
    """Lower all checks for one case.

    ``resolve_limit("limits.cell_ov.MSL")`` gives (value, unit) in SI and raises InputError or KeyError. ``params`` are
    the case's values (number, quantity text, label or ``"all"``). ``uncertainties`` by quantity name. Judging starts
    when ``time.scenario`` becomes known, or with the first row if not ``from_scenario``. A lateness above
    ``overrun_ns`` makes its window INCONCLUSIVE; None records it only.

    Raises:
        InputError: every problem of every check.
    """
    made: list[_Made] = []
    problems: list[Problem] = []
    used: dict[str, None] = {}
    seen: set[str] = set()
    for spec in specs:
        scope = Scope(table, resolve_limit, params or {}, uncertainties or {}, each=True)
        if spec.id in seen:
            problems.append(_at(spec.where, "two checks have the same id", "different ids", repr(spec.id)))
        seen.add(spec.id)
        try:
            made.append(_check(spec, scope, tick_ns))
        except InputError as error:
            problems += error.problems
        used |= scope.used
    if problems:
        raise InputError(problems)
    filled, infos = _filled(made, table)
    target: Any = np.asarray(filled)[0]
    target["from_scenario"] = int(from_scenario)
    target["overrun_s"] = np.inf if overrun_ns is None else overrun_ns * 1e-9
    return Compiled(filled, infos, (*used, *_own_columns(table, used)), tuple(_dtcs(table)))


def _at(where: Where, message: str, expected: str = "", found: str = "") -> Problem:
    return Problem(message, where.path, where.line, where.column, expected, found)


def _check(spec: CheckSpec, scope: Scope, tick_ns: int) -> _Made:
    forms = [name for name in ("when", "never", "always") if getattr(spec, name)]
    if len(forms) != 1:
        raise InputError(
            _at(spec.where, "a check has one form", "exactly one of when, never, always", " and ".join(forms) or "none")
        )
    if spec.each not in ("", "all"):
        raise InputError(_at(spec.place("each"), "cannot read each", "'all'", repr(spec.each)))
    _only(spec, {"when": ("then", "within", "stays"), "never": ("during",), "always": ("share",)}[forms[0]])
    scope.each = spec.each == "all" or "all" in scope.params.values()
    build = {"when": _response, "never": _never, "always": _always}[forms[0]]
    made = build(spec, scope, tick_ns)
    if spec.each and not scope.instances:
        raise InputError(
            _at(spec.place("each"), "'each: all' without anything to count", "an index [each] in the condition", "none")
        )
    return made


def _only(spec: CheckSpec, allowed: tuple[str, ...]) -> None:
    for name in ("then", "within", "stays", "during", "share"):
        if getattr(spec, name) and name not in allowed:
            shown = {"during": "while", "share": "for"}.get(name, name)
            raise InputError(
                _at(
                    spec.place(name),
                    f"'{shown}' does not belong to this form of check",
                    " and ".join(allowed),
                    repr(shown),
                )
            )


def _response(spec: CheckSpec, scope: Scope, tick_ns: int) -> _Made:
    for name in ("then", "within"):
        if not getattr(spec, name):
            raise InputError(_at(spec.where, f"'when' needs '{name}'", f"'{name}'", "nothing"))
    when = lower.condition(Source(spec.when, spec.place("when")), scope)
    then = lower.condition(Source(spec.then, spec.place("then")), scope)
    if then.reported_alone and not spec.reported_only_ok:
        raise InputError(
            _at(
                spec.place("then"),
                "what the BMS says about itself is no proof that it reacted",
                "a measured reaction, such as 'measured.contactor_main == OPEN', that must hold",
                repr(spec.then.strip()),
            )
        )
    within = lower.constant(Source(spec.within, spec.place("within")), scope, "s")
    stays = lower.constant(Source(spec.stays, spec.place("stays")), scope, "s") if spec.stays else 0.0
    if within < tick_ns * 1e-9 - _RESOLUTION_S:
        raise InputError(
            _at(
                spec.place("within"),
                "no reaction can be seen within less than one tick",
                f"at least {tick_ns / 1e6:g} ms",
                repr(spec.within),
            )
        )
    if stays < 0:
        raise InputError(_at(spec.place("stays"), "a time cannot be negative", "0 s or more", repr(spec.stays)))
    return _Made(spec, Kind.RESPONSE, when, then, scope.instances or 1, within, stays)


def _never(spec: CheckSpec, scope: Scope, _tick_ns: int) -> _Made:
    text, rest, at = split_while(spec.never)
    place = spec.place("never")
    if rest and spec.during:
        raise InputError(_at(place, "two conditions after 'while'", "one", repr(spec.during)))
    inner = place._replace(column=place.column + at) if place.column else place
    during = Source(rest, inner) if rest else Source(spec.during, spec.place("during"))
    made = lower.condition(Source(text, place), scope)
    b = lower.condition(during, scope) if during.text else None
    return _Made(spec, Kind.NEVER, made, b, scope.instances or 1)


def _always(spec: CheckSpec, scope: Scope, _tick_ns: int) -> _Made:
    made = lower.condition(Source(spec.always, spec.place("always")), scope)
    if not spec.share:
        return _Made(spec, Kind.ALWAYS, made, None, scope.instances or 1)
    share = lower.constant(Source(spec.share, spec.place("share")), scope, "1")
    if not 0 < share <= 1:
        raise InputError(_at(spec.place("share"), "a share of time", "more than 0 %, at most 100 %", repr(spec.share)))
    return _Made(spec, Kind.SHARE, made, None, scope.instances or 1, share=share)


def _filled(made: Sequence[_Made], table: Table) -> tuple[Rows[CheckParams], tuple[CheckInfo, ...]]:
    if len(made) > CHECKS:
        raise InputError(f"{len(made)} checks, at most {CHECKS} fit in one run; split the scenario")
    watches = sum(m.instances for m in made)
    if watches > WATCHES:
        raise InputError(f"'each: all' makes {watches} instances, at most {WATCHES} fit in one run; split the scenario")
    rows = zeros(CheckParams)
    p: Any = np.asarray(rows)[0]
    infos, base = [], 0
    for i, m in enumerate(made):
        place = m.spec.place("when" if m.kind == Kind.RESPONSE else "never" if m.kind == Kind.NEVER else "always")
        c = p["check"][i]
        c["kind"], c["first"], c["instances"] = m.kind, base, m.instances
        c["within_s"], c["stays_s"] = m.within_s, m.stays_s
        c["a_start"], c["a_stop"] = append(p["program"], m.a.steps, place)
        c["b_start"], c["b_stop"] = append(p["program"], m.b.steps if m.b else (), place)
        c["a_each"] = int(any(s.stride for s in flat(m.a.steps)))
        c["b_each"] = int(m.b is not None and any(s.stride for s in flat(m.b.steps)))
        c["grace_s"] = max((s.u.time_s for s in flat(m.b.steps)), default=0.0) if m.b else 0.0
        infos.append(CheckInfo(m.spec, m.kind, m.unit, base, m.instances, m.within_s, m.stays_s, m.share))
        base += m.instances
    p["n_checks"], p["n_watches"] = len(made), base
    bind(p, table)
    p["resolution_s"], p["zero_current_a"] = _RESOLUTION_S, _ZERO_CURRENT_A
    state = table.find("reported.state")
    p["error_state"] = state.labels.index("ERROR") if state else np.nan
    for i, name in enumerate(_dtcs(table)):
        code = table.find(name)
        if code is not None:
            p["dtc"][i], p["dtc_t"][i] = code.start, code.time_column(0)
            p["n_dtc"] = i + 1
    return rows, tuple(infos)


def _dtcs(table: Table) -> list[str]:
    return [name for name in table.names() if name.startswith("reported.dtc_")][:DTC_CAPACITY]


def _own_columns(table: Table, used: Mapping[str, None]) -> list[str]:
    own = [
        "time.scenario",
        "time.lateness",
        "time.frames_lost",
        "reported.state",
        *_dtcs(table),
        "measured.coil_main_plus",
        "measured.coil_main_minus",
        "measured.contactor_main",
        "measured.pack_current",
    ]
    return [name for name in own if name not in used and table.find(name)]


def flat(steps: Sequence[Step]) -> list[Step]:
    """All steps, those inside loops too."""
    return [one for step in steps for one in (step, *flat(step.body))]


def append(program: Any, steps: Sequence[Step], place: Where = NOWHERE) -> tuple[int, int]:
    """Put the steps behind the last operation of a Program record; their range (start, stop).

    Raises InputError when the program is full or the condition needs too deep a stack.
    """
    deepest = _depth(steps)
    if deepest > DEPTH:
        raise InputError(_at(place, "the condition is too deep", f"at most {DEPTH} open operands", str(deepest)))
    first = int(program["n_ops"])
    if first + 2 * len(flat(steps)) > OPS:
        raise InputError(_at(place, "the conditions of this run are too long", f"at most {OPS} operations in all"))
    program["n_ops"] = _place(program, steps, first)
    return first, int(program["n_ops"])


def _place(program: Any, steps: Sequence[Step], at: int) -> int:
    for step in steps:
        if step.body:
            program["op"][at]["code"] = Code.LOOP
            body = at + 1
            at = _place(program, step.body, body)
            op = program["op"][at]
            op["jump"], op["turns"], op["fold"] = body, step.turns, step.fold
        op = program["op"][at]
        op["code"], op["number"] = step.code, step.number
        op["column"], op["time_column"] = step.column, step.time_column
        op["stride"], op["time_stride"] = step.stride, step.time_stride
        op["loop_stride"], op["loop_time_stride"] = step.loop_stride, step.loop_time_stride
        op["u"], op["time_u_s"] = step.u
        at += 1
    return at


def _depth(steps: Sequence[Step]) -> int:
    """Largest number of entries on the stack; a loop keeps one more, its fold so far."""
    now = most = 0
    for step in steps:
        if step.body:
            most, now = max(most, now + 1 + _depth(step.body)), now + 1
        elif step.code < Code.LOOP:
            now += 1
        elif step.code >= Code.ADD:
            now -= 1
        most = max(most, now)
    return most
