"""Checks against brute-force oracles that look at a whole trace at once and share no code with the automata."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hil.checks import lower
from hil.checks.automaton import decided, step
from hil.checks.compile import Compiled, append, compile_checks
from hil.checks.names import Scope
from hil.checks.program import Program, Stack, evaluate
from hil.checks.spec import CheckSpec, Source, Uncertainty
from hil.checks.verdict import Status, Verdict, results
from hil.errors import InputError
from hil.image import table
from hil.kernel import zeros
from hil.tick import COLUMNS

TICK_NS = 10_000_000
TABLE = table(3, 2)
NAN = math.nan
EXAMPLES = settings(max_examples=300, deadline=None)


def _no_limit(name: str) -> tuple[float, str]:
    raise KeyError(name)


def _column(name: str) -> int:
    found = TABLE.find(name)
    assert found is not None
    return found.start


def _time_column(name: str) -> int:
    found = TABLE.find(name)
    assert found is not None
    return found.time_start


def _compile(spec: CheckSpec, u: dict[str, Uncertainty] | None = None, overrun_ns: int | None = None) -> Compiled:
    return compile_checks([spec], TABLE, _no_limit, {}, TICK_NS, u or {}, from_scenario=False, overrun_ns=overrun_ns)


def _run(compiled: Compiled, rows: list[dict[int, float]]) -> tuple[Verdict, bool]:
    """Feed rows given as {column: value}, everything else unknown; the verdict and whether nothing was left open."""
    state = compiled.state()
    row = np.full(COLUMNS, NAN)
    for k, values in enumerate(rows):
        row[:] = NAN
        for column, value in values.items():
            row[column] = value
        step(state[0], compiled.params[0], k * TICK_NS, row)
    (verdict,) = results(state, compiled, len(rows) * TICK_NS * 1e-9)
    return verdict, bool(decided(state[0]))


class Seen(NamedTuple):
    """One condition in one row: nominal (None = unknown), in the worst and best case, and since when."""

    value: bool | None
    low: bool
    high: bool
    time_ns: int
    u_ns: int


class Ended(NamedTuple):
    outcome: str
    tick: int
    delay_ns: int | None


def _standing_since(then: list[Seen], k: int) -> tuple[int, bool]:
    """Start of the stretch of True that row k belongs to, and whether a False was seen right before it."""
    while k > 0 and then[k - 1].value is True:
        k -= 1
    return then[k].time_ns, k > 0 and then[k - 1].value is False


def _sure_from(seen: list[Seen], k: int) -> int:
    """Earliest instant that what row k adds can have happened."""
    return max(seen[k].time_ns, (k - 1) * TICK_NS) if k else seen[k].time_ns


def _obligation(when: list[Seen], then: list[Seen], bad: list[bool], k: int, within: int, stays: int) -> Ended:
    """Follow the trigger of row k to its end, or to the end of the trace."""
    t0 = when[k].time_ns
    if then[k].value is True:
        since, rose = _standing_since(then, k)
        if not (rose and since >= t0):
            return Ended("STANDING", k, None)
    first = k
    while first > 0 and when[first - 1].high and when[first - 1].value is not None:
        first -= 1
    began = when[first].time_ns if when[first].value else _sure_from(when, first)
    early = min(t0 - when[k].u_ns, began - when[first].u_ns)
    late = best = None
    react: int | None = None
    for j in range(k, len(then)):
        now = j * TICK_NS
        if when[j].low and late is None:
            late = (t0 if j == k else _sure_from(when, j)) + when[j].u_ns
        fresh = then[j].value is True and react is None
        if fresh:
            react = _standing_since(then, j)[0]
            if react < t0:
                return Ended("STANDING", j, None)
        if then[j].value is not True:
            react = None
        if then[j].value is not None and then[j].high and best is None:
            best = (react if react is not None else _sure_from(then, j)) - then[j].u_ns
        maybe = best is not None and (late is None or best - late <= within)
        if then[j].low:
            assert react is not None
            sure = react if fresh else _sure_from(then, j)
            if sure + then[j].u_ns - early <= within:
                return _hold(then, bad, k, j, react, react - t0, stays)
            return _ended("INCONCLUSIVE" if maybe else "FAIL", bad, k, j, react - t0)
        deadline = (t0 + when[k].u_ns if late is None else late) + within + then[j].u_ns
        if now > deadline:
            return _ended("INCONCLUSIVE" if maybe or late is None else "FAIL", bad, k, j, None)
    return Ended("OPEN", len(then), None)


def _hold(then: list[Seen], bad: list[bool], k: int, j: int, react: int, delay: int, stays: int) -> Ended:
    unsure = False
    for i in range(j, len(then)):
        now = i * TICK_NS
        if then[i].value is None and now < react + stays:
            return _ended("FAIL", bad, k, i, delay)
        if then[i].value is False and then[i].time_ns < react + stays:
            if not then[i].high:
                return _ended("FAIL", bad, k, i, delay)
            unsure = True
        if then[i].value is True and not then[i].low and now < react + stays:
            unsure = True
        if now >= react + stays:
            return _ended("INCONCLUSIVE" if unsure else "PASS", bad, k, i, delay)
    return Ended("OPEN", len(then), None)


def _ended(outcome: str, bad: list[bool], k: int, j: int, delay: int | None) -> Ended:
    return Ended("INCONCLUSIVE" if any(bad[k : j + 1]) else outcome, j, delay)


def _edges(when: list[Seen]) -> list[int]:
    out = []
    for k, seen in enumerate(when):
        before = [s.value for s in when[:k] if s.value is not None]
        if seen.value is True and (not before or before[-1] is False):
            out.append(k)
    return out


def _worst(ended: list[Ended]) -> Status:
    kinds = {e.outcome for e in ended}
    if "FAIL" in kinds:
        return Status.FAIL
    if kinds & {"INCONCLUSIVE", "OPEN"}:
        return Status.INCONCLUSIVE
    return Status.PASS if "PASS" in kinds else Status.NOT_EXERCISED


trigger = st.sampled_from([0.0, 0.0, 9.0, 9.0, NAN])
contactor = st.sampled_from([0.0, 0.0, 1.0, 1.0, NAN])
offset_ns = st.integers(0, TICK_NS - 1)
ticks = st.lists(st.tuples(trigger, contactor, offset_ns), min_size=1, max_size=40)
late_ticks = st.lists(st.booleans() | st.just(False) | st.just(False), min_size=40, max_size=40)


@EXAMPLES
@given(ticks, st.integers(1, 6), st.integers(0, 5), st.integers(0, 400), late_ticks)
def test_every_single_trigger_is_judged_as_if_it_were_alone(
    trace: list[tuple[float, float, int]], within: int, stays: int, bench: int, late: list[bool]
) -> None:
    """A timed reaction, an untimed trigger, no uncertainty; obligations may overlap at will."""
    bad = [x and bench < 100 for x in late[: len(trace)]]
    when, then, rows = [], [], []
    changed = 0
    for k, (w, c, offset) in enumerate(trace):
        if k == 0 or not (c == trace[k - 1][1] or (math.isnan(c) and math.isnan(trace[k - 1][1]))):
            changed = max(0, k * TICK_NS - offset)
        rows.append(
            {
                _column("shown.pack_current"): w,
                _column("measured.contactor_main"): c,
                _time_column("measured.contactor_main"): changed * 1e-9,
                _column("time.lateness"): 0.02 if bad[k] else 0.0,
            }
        )
        when.append(_exactly(None if math.isnan(w) else w > 5, k * TICK_NS))
        then.append(_exactly(None if math.isnan(c) else c == 0, changed))
    spec = CheckSpec(
        "R",
        when="shown.pack_current > 5 A",
        then="measured.contactor_main == OPEN",
        within=f"{within * 10} ms",
        stays=f"{stays * 10} ms",
    )

    verdict, closed = _run(_compile(spec, overrun_ns=10_000_000), rows)

    ended = [_obligation(when, then, bad, k, within * TICK_NS, stays * TICK_NS) for k in _edges(when)]
    expected = _worst(ended)
    assert verdict.status == expected
    if expected in (Status.PASS, Status.NOT_EXERCISED):
        assert closed
    if expected == Status.PASS:
        slowest = max(e.delay_ns for e in ended if e.outcome == "PASS" and e.delay_ns is not None)
        assert verdict.margin == pytest.approx((within * TICK_NS - slowest) * 1e-9, abs=1e-9)


def _exactly(value: bool | None, time_ns: int) -> Seen:
    return Seen(value, value is True, value is not False, time_ns, 0)


def _below(value: float, limit: float, u: float, time_ns: int, u_ns: int) -> Seen:
    if math.isnan(value):
        return Seen(None, False, True, time_ns, u_ns)
    return Seen(value < limit, value + u < limit, value - u < limit, time_ns, u_ns)


def _above(value: float, limit: float, u: float, time_ns: int, u_ns: int) -> Seen:
    if math.isnan(value):
        return Seen(None, False, True, time_ns, u_ns)
    return Seen(value > limit, value - u > limit, value + u > limit, time_ns, u_ns)


near = st.sampled_from([0.0, 3.5, 4.5, 5.5, 6.5, 10.0, 10.0, 0.0, NAN])
unsure_ticks = st.lists(st.tuples(near, near), min_size=1, max_size=40)


@EXAMPLES
@given(
    unsure_ticks, st.integers(1, 6), st.integers(0, 4), st.sampled_from([0, 4_000_000, 13_000_000]), st.integers(0, 1)
)
def test_uncertain_values_and_times_are_judged_in_their_worst_and_best_case(
    trace: list[tuple[float, float]], within: int, stays: int, u_ns: int, widen: int
) -> None:
    """Triggers that come while an obligation is open belong to it."""
    u = 1.0 * widen
    when = [_above(w, 5.0, u, k * TICK_NS, u_ns) for k, (w, _) in enumerate(trace)]
    then = [_below(x, 5.0, u, k * TICK_NS, u_ns) for k, (_, x) in enumerate(trace)]
    rows = [{_column("shown.pack_current"): w, _column("measured.pack_current"): x} for w, x in trace]
    spec = CheckSpec(
        "R",
        when="shown.pack_current > 5 A",
        then="measured.pack_current < 5 A",
        within=f"{within * 10} ms",
        stays=f"{stays * 10} ms",
    )
    widths = dict.fromkeys(("shown.pack_current", "measured.pack_current"), Uncertainty(u, u_ns * 1e-9))

    verdict, _ = _run(_compile(spec, widths), rows)

    ended: list[Ended] = []
    free = -1
    for k in _edges(when):
        if k < free and ended[-1].outcome != "STANDING":
            continue
        ended.append(_obligation(when, then, [False] * len(trace), k, within * TICK_NS, stays * TICK_NS))
        free = ended[-1].tick
    assert verdict.status == _worst(ended)


number = st.sampled_from([0.0, 3.5, 4.5, 5.0, 5.5, 6.5, NAN])
samples = st.lists(st.tuples(number, number), min_size=1, max_size=60)
known_mostly = st.lists(
    st.tuples(st.sampled_from([0.0, 4.5, 5.5, 9.0]), st.sampled_from([0.0, 4.5, 5.5, 9.0])), min_size=1, max_size=60
)


def _status_of_samples(judged: list[Seen], extra_unsure: bool) -> Status:
    """From what must hold in every judged sample."""
    known = [s for s in judged if s.value is not None]
    if any(not s.high for s in known):
        return Status.FAIL
    if len(judged) - len(known) > 0.05 * len(judged):
        return Status.INCONCLUSIVE
    return Status.INCONCLUSIVE if extra_unsure or any(not s.low for s in known) else Status.PASS


@EXAMPLES
@given(samples | known_mostly, st.sampled_from([0.0, 1.0]))
def test_always_is_judged_sample_by_sample(trace: list[tuple[float, float]], u: float) -> None:
    judged = [_below(x, 5.0, u, 0, 0) for x, _ in trace]
    rows = [{_column("measured.pack_current"): x} for x, _ in trace]

    spec = CheckSpec("A", always="measured.pack_current < 5 A")
    verdict, _ = _run(_compile(spec, {"measured.pack_current": Uncertainty(u)}), rows)

    assert verdict.status == _status_of_samples(judged, False)
    distances = [5.0 - x for x, _ in trace if not math.isnan(x)]
    assert verdict.margin == (min(distances) if distances else None)


@EXAMPLES
@given(samples | known_mostly, st.sampled_from([0.0, 1.0]))
def test_never_while_looks_only_at_samples_in_which_the_while_holds(trace: list[tuple[float, float]], u: float) -> None:
    judged, unsure = [], False
    for x, y in trace:
        bad, during = _above(x, 5.0, u, 0, 0), _above(y, 5.0, u, 0, 0)
        good = Seen(None if bad.value is None else not bad.value, not bad.high, not bad.low, 0, 0)
        if during.value is True:
            judged.append(good._replace(high=good.high or not during.low))
        elif during.value is False and during.high and good.value is not None and not good.low:
            unsure = True
    rows = [{_column("measured.pack_current"): x, _column("shown.pack_current"): y} for x, y in trace]
    widths = dict.fromkeys(("shown.pack_current", "measured.pack_current"), Uncertainty(u))

    spec = CheckSpec("N", never="measured.pack_current > 5 A while shown.pack_current > 5 A")
    verdict, _ = _run(_compile(spec, widths), rows)

    if judged:
        assert verdict.status == _status_of_samples(judged, unsure)
    else:
        assert verdict.status == (Status.INCONCLUSIVE if unsure else Status.NOT_EXERCISED)


@EXAMPLES
@given(samples | known_mostly, st.sampled_from([0.0, 1.0]), st.integers(1, 100))
def test_a_share_of_time_counts_known_samples(trace: list[tuple[float, float]], u: float, share: int) -> None:
    judged = [_below(x, 5.0, u, 0, 0) for x, _ in trace]
    known = [s for s in judged if s.value is not None]
    rows = [{_column("measured.pack_current"): x} for x, _ in trace]

    spec = CheckSpec("S", always="measured.pack_current < 5 A", share=f"{share} %")
    verdict, _ = _run(_compile(spec, {"measured.pack_current": Uncertainty(u)}), rows)

    if len(judged) - len(known) > 0.05 * len(judged):
        expected = Status.INCONCLUSIVE
    elif 100 * sum(s.high for s in known) < share * len(known):
        expected = Status.FAIL
    elif 100 * sum(s.low for s in known) < share * len(known):
        expected = Status.INCONCLUSIVE
    else:
        expected = Status.PASS
    assert verdict.status == expected


# --- expressions: text, an independent three-valued value of it, and random worlds inside the uncertainty -------------

NAMES = ("shown.pack_current", "measured.pack_current", "shown.load_current")
VECTOR = "shown.cell_voltage"
World = dict[str, list[float]]


class Term(NamedTuple):
    text: str
    of: Any  # World -> value, NaN or None when unknown


def _sound(f: Any) -> Any:
    def inner(world: World) -> float:
        value = f(world)
        return float(value) if value == value and abs(value) != math.inf else NAN

    return inner


def _quotient(a: float, b: float) -> float:
    return a / b if b else NAN


plain_number = st.integers(0, 8).map(lambda n: Term(f"{n} A", lambda _, n=n: float(n)))
quantity = st.sampled_from(NAMES).map(lambda n: Term(n, lambda w, n=n: w[n][0]))
pick = st.sampled_from(["min", "max"])


def _pick(f: str, a: Term, b: Term) -> Term:
    func = min if f == "min" else max
    return Term(f"{f}({a.text}, {b.text})", lambda w: NAN if math.isnan(a.of(w) + b.of(w)) else func(a.of(w), b.of(w)))


def _grown(inner: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
    return st.one_of(
        st.tuples(inner, inner).map(lambda x: Term(f"({x[0].text} + {x[1].text})", lambda w: x[0].of(w) + x[1].of(w))),
        st.tuples(inner, inner).map(lambda x: Term(f"({x[0].text} - {x[1].text})", lambda w: x[0].of(w) - x[1].of(w))),
        st.tuples(inner, st.integers(-3, 3)).map(
            lambda x: Term(f"({x[0].text} * ({x[1]}))", lambda w: x[0].of(w) * x[1])
        ),
        st.tuples(inner, inner, inner).map(
            lambda x: Term(
                f"({x[0].text} * {x[1].text} / {x[2].text})", lambda w: _quotient(x[0].of(w) * x[1].of(w), x[2].of(w))
            )
        ),
        inner.map(lambda x: Term(f"abs({x.text})", lambda w: abs(x.of(w)))),
        inner.map(lambda x: Term(f"(-{x.text})", lambda w: -x.of(w))),
        st.tuples(pick, inner, inner).map(lambda x: _pick(*x)),
    )


numbers = st.recursive(plain_number | quantity | quantity, _grown, max_leaves=5)
relation = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
_COMPARE: dict[str, Any] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def _compared(x: tuple[Term, str, Term]) -> Term:
    a, op, b = x

    def of(w: World) -> bool | None:
        left, right = a.of(w), b.of(w)
        return None if math.isnan(left) or math.isnan(right) else _COMPARE[op](left, right)

    return Term(f"{a.text} {op} {b.text}", of)


def _vector(x: tuple[str, str, int]) -> Term:
    f, op, limit = x

    def of(w: World) -> bool | None:
        each = [None if math.isnan(v) else bool(_COMPARE[op](v, limit)) for v in w[VECTOR]]
        return _any(each) if f == "any" else _all(each)

    return Term(f"{f}({VECTOR} {op} {limit} V)", of)


def _extreme(x: tuple[str, str, int]) -> Term:
    f, op, limit = x

    def of(w: World) -> bool | None:
        if any(math.isnan(v) for v in w[VECTOR]):
            return None
        return bool(_COMPARE[op](min(w[VECTOR]) if f == "min" else max(w[VECTOR]), limit))

    return Term(f"{f}({VECTOR}) {op} {limit} V", of)


def _any(each: list[bool | None]) -> bool | None:
    return True if True in each else None if None in each else False


def _all(each: list[bool | None]) -> bool | None:
    return False if False in each else None if None in each else True


leaf = st.one_of(
    st.tuples(numbers, relation, numbers)
    .filter(lambda x: any(n in x[0].text + x[2].text for n in NAMES))
    .map(_compared),
    st.tuples(st.sampled_from(["any", "all"]), relation, st.integers(0, 5)).map(_vector),
    st.tuples(pick, relation, st.integers(0, 5)).map(_extreme),
)
conditions = st.recursive(
    leaf,
    lambda c: st.one_of(
        st.tuples(c, c).map(lambda x: Term(f"({x[0].text} and {x[1].text})", lambda w: _all([x[0].of(w), x[1].of(w)]))),
        st.tuples(c, c).map(lambda x: Term(f"({x[0].text} or {x[1].text})", lambda w: _any([x[0].of(w), x[1].of(w)]))),
        c.map(lambda x: Term(f"not ({x.text})", lambda w: None if x.of(w) is None else not x.of(w))),
    ),
    max_leaves=4,
)
level = st.sampled_from([-2.0, 0.0, 1.0, 2.0, 3.0, 5.0, 7.0, NAN])
worlds = st.fixed_dictionaries(
    {**{n: st.lists(level, min_size=1, max_size=1) for n in NAMES}, VECTOR: st.lists(level, min_size=3, max_size=3)}
)
shifts = st.lists(st.floats(-1, 1), min_size=6, max_size=6)


@settings(max_examples=500, deadline=None)
@given(conditions, worlds, st.sampled_from([0.0, 0.5]), st.lists(shifts, min_size=3, max_size=3))
def test_a_condition_has_its_three_valued_value_and_bounds_that_hold_in_every_world(
    term: Term, world: World, u: float, moved: list[list[float]]
) -> None:
    scope = Scope(TABLE, _no_limit, uncertainties={n: Uncertainty(u) for n in (*NAMES, VECTOR)})
    try:
        lowered = lower.condition(Source(term.text), scope)
    except InputError as error:
        assume("division by zero" not in str(error))
        raise
    program, stack = zeros(Program), zeros(Stack)
    start, stop = append(program[0], lowered.steps)
    row = np.full(COLUMNS, NAN)
    for name, values in world.items():
        row[_column(name) : _column(name) + len(values)] = values

    value, low, high, since, _, _ = evaluate(program[0], stack[0], start, stop, 0, 1.5, row)

    expected = term.of(world)
    assert (None if math.isnan(value) else bool(value)) == expected
    assert since == 1.5
    assert low <= high
    for shift in moved:
        other = {n: [v + u * shift[i + j] for j, v in enumerate(values)] for i, (n, values) in enumerate(world.items())}
        found = term.of(other)
        if found is not None and expected is not None:
            assert low <= float(found) <= high
