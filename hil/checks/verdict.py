"""What the automata found, as verdicts people read: one status, one margin, one plain sentence."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np

from hil.checks.compile import CheckInfo, Compiled
from hil.checks.watch import Cause, CheckState, Kind, Outcome, Phase
from hil.kernel import Rows
from hil.units import format_quantity

Clock = Callable[[Any], str]
"""Words for a run time, as the reader counts it (from the first step)."""

UNKNOWN_SHARE = 0.05
"""More unknown samples than this make ``always``, ``never`` and a share of time INCONCLUSIVE (docs: verdicts)."""


class Status(Enum):
    """The five verdicts."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_EXERCISED = "NOT_EXERCISED"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


_WORST_FIRST = (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE, Status.NOT_EXERCISED, Status.PASS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's result. Times are seconds of the run (subtract ``origin_s`` for scenario time), None = not seen.

    ``margin`` is the deadline minus the reaction in s, or the worst distance from the limit in ``margin_unit``
    (negative = violated). t0 trigger, t1 reported, t2 coils off, t3 path open or current interrupted, of the obligation
    that decided. ``element`` is the instance that decided an ``each: all`` check, -1 otherwise.
    """

    id: str
    status: Status
    time_s: float
    margin: float | None
    margin_unit: str
    t0_s: float | None
    t1_s: float | None
    t2_s: float | None
    t3_s: float | None
    reason: str
    origin_s: float = 0.0
    element: int = -1
    instances: int = 1
    exercised: int = 0


def results(state: Rows[CheckState], compiled: Compiled, t_end_s: float, bench_error: str = "") -> list[Verdict]:
    """The verdicts as they stand at ``t_end_s`` (seconds of the run), in the order of the checks.

    ``bench_error`` says why the bench could not finish: what was not decided by then is ERROR.
    """
    s: Any = np.asarray(state)[0]
    return [_verdict(s, info, compiled, t_end_s, bench_error) for info in compiled.checks]


def _verdict(s: Any, info: CheckInfo, compiled: Compiled, t_end_s: float, bench_error: str) -> Verdict:
    judge = _judge_response if info.kind == Kind.RESPONSE else _judge_samples
    origin_s = 0.0 if math.isnan(float(s["origin_s"])) else float(s["origin_s"])

    def at_time(seconds: Any) -> str:
        return _s(float(seconds) - origin_s)

    found = []
    for i in range(info.instances):
        w = s["watch"][info.base + i]
        status, reason = judge(w, info, compiled, int(s["rows"]), at_time)
        if bench_error and not _is_settled(status, w, info):
            status, reason = Status.ERROR, f"the bench could not finish: {bench_error}"
        found.append((_WORST_FIRST.index(status), _margin_key(w), i, status, reason))
    _, _, i, status, reason = min(found, key=lambda one: one[:3])
    exercised = sum(_is_exercised(s["watch"][info.base + j], info) for j in range(info.instances))
    if info.instances > 1:
        reason = f"element {i}: {reason}"
        if status == Status.NOT_EXERCISED:
            reason += f"; {exercised} of {info.instances} elements were exercised"
    w = s["watch"][info.base + i]
    margin = _margin(w, info)
    t0, t1, t2, t3 = _times(w, info)
    closed = status in (Status.FAIL, Status.PASS) or (status == Status.INCONCLUSIVE and not _undecided(w))
    at = float(w["decided_s"]) if closed else math.nan
    return Verdict(
        info.spec.id,
        status,
        t_end_s if math.isnan(at) else at,
        margin,
        info.unit if margin is not None else "",
        t0,
        t1,
        t2,
        t3,
        _sentence(reason),
        origin_s,
        i if info.instances > 1 else -1,
        info.instances,
        exercised,
    )


def _sentence(reason: str) -> str:
    return reason[0].upper() + reason[1:] + "."


def _margin_key(w: Any) -> float:
    """NaN never reaches here: an untouched margin is infinite."""
    return float(w["margin"])


def _is_settled(status: Status, w: Any, info: CheckInfo) -> bool:
    return status == Status.FAIL or (info.kind == Kind.RESPONSE and w["phase"] == Phase.IDLE and w["outcome"] > 0)


def _is_exercised(w: Any, info: CheckInfo) -> bool:
    return bool(w["outcome"] > 0 if info.kind == Kind.RESPONSE else w["n_samples"] > 0)


def _number(x: Any) -> float | None:
    return float(x) if math.isfinite(x) else None


def _margin(w: Any, info: CheckInfo) -> float | None:
    if info.kind == Kind.SHARE:
        return float(w["n_passed"] / w["n_known"] - info.share) if w["n_known"] else None
    return _number(w["margin"]) if info.unit else None


def _times(w: Any, info: CheckInfo) -> tuple[float | None, ...]:
    if info.kind != Kind.RESPONSE:
        return (None, None, None, None)
    times = w["kept_t_s"] if w["outcome"] > 0 and not _undecided(w) else w["open_t_s"]
    return tuple(_number(t) for t in times)


def _undecided(w: Any) -> bool:
    return bool(w["phase"] != Phase.IDLE and w["outcome"] < Outcome.INCONCLUSIVE)


def _s(seconds: Any) -> str:
    """A time with all its milliseconds."""
    return f"{float(seconds):.6f}".rstrip("0").rstrip(".") + " s"


def _judge_response(w: Any, info: CheckInfo, compiled: Compiled, _rows: int, at: Clock) -> tuple[Status, str]:
    if w["outcome"] == Outcome.FAIL:
        return Status.FAIL, _cause(w, info, at)
    if _undecided(w):
        what = "the reaction had not come" if w["phase"] == Phase.PENDING else "the reaction had not held long enough"
        return Status.INCONCLUSIVE, f"{what} after the trigger at {at(w['open_t_s'][0])} when the run ended"
    if w["outcome"] == Outcome.INCONCLUSIVE:
        return Status.INCONCLUSIVE, _cause(w, info, at)
    if w["outcome"] == Outcome.PASS:
        t0 = w["kept_t_s"][0]
        delay = info.within_s - float(w["margin"])
        held = f" and held for {format_quantity(info.stays_s, 's')}" if info.stays_s else ""
        more = f" (longest of {int(w['n_passed'])})" if w["n_passed"] > 1 else ""
        return Status.PASS, (
            f"reacted {format_quantity(delay, 's')} after the trigger at {at(t0)}{more}, "
            f"allowed {format_quantity(info.within_s, 's')}{held}"
        )
    if w["n_standing"]:
        codes = [name for i, name in enumerate(compiled.dtcs) if int(w["standing_dtc"]) >> i & 1]
        by = " with " + ", ".join(codes) if codes else ""
        return Status.NOT_EXERCISED, (
            f"the reaction already stood at the trigger at {at(w['standing_s'])}, since {at(w['standing_since_s'])}{by}"
        )
    if w["stood"]:
        return Status.NOT_EXERCISED, "the trigger already stood when judging began and did not fire again"
    if w["when_last"] < 0:
        return Status.NOT_EXERCISED, "the trigger was never known"
    return Status.NOT_EXERCISED, "the trigger never fired"


_CAUSES: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.LATE: "reacted {delay} after the trigger at {t0}, allowed {within}",
        Cause.MISSING: "no reaction within {within} of the trigger at {t0}",
        Cause.UNKNOWN: "the reaction was unknown {within} after the trigger at {t0}, while the bench lost nothing",
        Cause.DROPPED: "reacted {delay} after the trigger at {t0} but did not hold for {stays}",
        Cause.DROPPED_UNKNOWN: "reacted {delay} after the trigger at {t0} but was unknown before it had held {stays}",
        Cause.TROUBLE: "the bench overran or lost frames after the trigger at {t0}",
        Cause.UNSURE_TRIGGER: "no reaction within {within} of {t0}, but the trigger is within its uncertainty",
        Cause.UNSURE_TIME: "the uncertainty leaves open whether the reaction to the trigger at {t0} met {within}",
        Cause.UNSURE_HOLD: "reacted {delay} after the trigger at {t0}, its uncertainty leaves open if it held {stays}",
    }
)


def _cause(w: Any, info: CheckInfo, at: Clock) -> str:
    delay = info.within_s - float(w["margin"])
    shown = {
        "t0": at(w["kept_t_s"][0]),
        "within": format_quantity(info.within_s, "s"),
        "stays": format_quantity(info.stays_s, "s"),
        "delay": format_quantity(delay, "s") if math.isfinite(delay) else "an unknown time",
    }
    return _CAUSES[Cause(int(w["cause"]))].format(**shown)


def _judge_samples(w: Any, info: CheckInfo, compiled: Compiled, rows: int, at: Clock) -> tuple[Status, str]:
    samples, known = int(w["n_samples"]), int(w["n_known"])
    if not samples:
        if not rows:
            return Status.NOT_EXERCISED, "no row was judged"
        if w["unsure"]:
            return Status.INCONCLUSIVE, "the 'while' condition may have held within its uncertainty"
        return Status.NOT_EXERCISED, "the 'while' condition never held"
    if info.kind == Kind.SHARE and known:
        return _judge_share(w, info, samples, known)
    word = "violated" if info.kind == Kind.NEVER else "not met"
    if w["outcome"] == Outcome.FAIL:
        worst = (
            f", worst by {format_quantity(-float(w['margin']), info.unit)} at {at(w['worst_s'])}"
            if _has_distance(w, info)
            else ""
        )
        return (
            Status.FAIL,
            f"{word} from {at(w['standing_s'])} on{worst}, in {known - int(w['n_possible'])} of {known} samples",
        )
    if samples - known > UNKNOWN_SHARE * samples:
        return Status.INCONCLUSIVE, f"unknown in {samples - known} of {samples} samples, more than {UNKNOWN_SHARE:.0%}"
    if w["n_sure"] < known or w["unsure"]:
        return (
            Status.INCONCLUSIVE,
            f"within its uncertainty it may be {word} in {known - int(w['n_sure'])} of {known} samples",
        )
    away = (
        f", closest by {format_quantity(float(w['margin']), info.unit)} at {at(w['worst_s'])}"
        if _has_distance(w, info)
        else ""
    )
    return Status.PASS, f"held in all {known} known samples{away}"


def _has_distance(w: Any, info: CheckInfo) -> bool:
    return bool(info.unit) and math.isfinite(w["margin"])


def _judge_share(w: Any, info: CheckInfo, samples: int, known: int) -> tuple[Status, str]:
    shown = f"held for {int(w['n_passed']) / known:.2%} of {known} known samples, needed {info.share:.2%}"
    enough = info.share * known - 1e-9 * known
    if samples - known > UNKNOWN_SHARE * samples:
        return Status.INCONCLUSIVE, f"unknown in {samples - known} of {samples} samples, more than {UNKNOWN_SHARE:.0%}"
    if w["n_possible"] < enough:
        return Status.FAIL, shown
    if w["n_sure"] < enough:
        return Status.INCONCLUSIVE, shown + ", within its uncertainty"
    return Status.PASS, shown
