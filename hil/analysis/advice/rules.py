"""The rules of advice, in one table, and the probabilities they stand on.

A rule asks one question of a condition and answers with the probability that the answer is yes. The probability comes
from the estimate and its standard deviation: normal for state of health, growth of resistance and state of charge,
lognormal for the resistance of a short and for the cycles left (both are positive and known by a factor). Without a
standard deviation there is no probability: then the estimate alone decides, and the advice says so.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hil.analysis.advice.condition import Condition, Life

Floats = NDArray[np.float64]

END_CAPACITY = 0.8
END_RESISTANCE = 2.0
WEAK = 0.05
LOOSE = 0.2
SPREAD = 0.02
SHORT_OHM_AH = 250.0
ALARM_OHM_AH = 25.0
DRAIN = 0.05
LEAD_CYCLES = 100.0
RISK = 0.05
LIKELY = 0.5
MOST_TOLD = 8
WHOLE = -1
"""Stands for the pack where a group would stand."""


@dataclass(frozen=True, slots=True)
class When:
    """A date: ``hours`` or ``cycles`` from now on where it can be counted, 0 is now, both None where ``text`` tells it."""

    text: str
    hours: float | None = None
    cycles: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, when, why, and how sure: ``confidence`` is a probability, None where the condition gives none."""

    rule: str
    urgency: int
    place: str
    what: str
    when: When
    why: str
    confidence: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Judged:
    """How a rule was answered: ``act``, ``clear`` or ``unknown``, with the greatest probability and what is missing."""

    rule: str
    question: str
    state: str
    probability: float | None
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A rule's answer for one place: ``probability`` None without a standard deviation, ``yes`` what the estimate says.

    ``always``: to be acted on whatever the probability.
    """

    group: int
    probability: float | None
    yes: bool
    what: str
    when: When
    why: str
    always: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """``answer`` gives None when the condition lacks what it ``needs``; it is acted on from ``act_at`` on.

    ``urgency`` 0 is the highest.
    """

    name: str
    urgency: int
    question: str
    needs: str
    act_at: float
    source: str
    answer: Callable[[Condition], list[Answer] | None]


def advise(condition: Condition) -> tuple[list[Advice], list[Judged]]:
    """All advice, most urgent and most probable first, and how each rule was answered."""
    advices: list[Advice] = []
    judged: list[Judged] = []
    for rule in RULES:
        answers = rule.answer(condition)
        if answers is None:
            judged.append(Judged(rule.name, rule.question, "unknown", None, f"not known: {rule.needs}", rule.source))
            continue
        acting = sorted((a for a in answers if _acts(rule, a)), key=lambda a: -_rank(a))
        advices += [_advice(rule, condition, a) for a in acting[:MOST_TOLD]]
        known = [a.probability for a in answers if a.probability is not None]
        left = len(acting) - MOST_TOLD
        note = f"{left} more places like these" if left > 0 else "" if known or not answers else "no standard deviation"
        judged.append(
            Judged(rule.name, rule.question, "act" if acting else "clear", max(known, default=None), note, rule.source)
        )
    return sorted(advices, key=lambda a: (a.urgency, -(1.0 if a.confidence is None else a.confidence))), judged


def _acts(rule: Rule, answer: Answer) -> bool:
    return answer.always or (answer.yes if answer.probability is None else answer.probability >= rule.act_at)


def _rank(answer: Answer) -> float:
    return float(answer.yes) if answer.probability is None else answer.probability


def _advice(rule: Rule, condition: Condition, answer: Answer) -> Advice:
    place = "the pack" if answer.group == WHOLE else condition.place(answer.group)
    return Advice(rule.name, rule.urgency, place, answer.what, answer.when, answer.why, answer.probability, rule.source)


def below(value: float, sigma: float, limit: float) -> float | None:
    """P(the true value is at ``limit`` or below) for a normal estimate; None when ``sigma`` is not known."""
    if not math.isfinite(sigma):
        return None
    if sigma <= 0.0:
        return float(value <= limit)
    return float(ndtr((limit - value) / sigma))


def above(value: float, sigma: float, limit: float) -> float | None:
    """P(the true value is at ``limit`` or above), as ``below``."""
    return below(-value, sigma, -limit)


def life_below(life: Life, cycles: float) -> float:
    """P(fewer than ``cycles`` are left): lognormal on either side of the median, each with the sigma of its end."""
    if cycles <= 0.0:
        return 0.0
    z = float(ndtri((1.0 + life.level) / 2.0))
    end = life.low if cycles < life.median else life.high
    if end <= 0.0 or math.isinf(end):
        return 0.5  # that side is not bounded: all that is known is the side
    sigma = abs(math.log(end / life.median)) / z
    if sigma == 0.0:
        return 0.5 if cycles == life.median else float(cycles > life.median)
    return float(ndtr(math.log(cycles / life.median) / sigma))


def life_quantile(life: Life, p: float) -> float:
    """The cycles of which fewer are left with probability ``p``; inverse of ``life_below``, p below 0.5."""
    if life.low <= 0.0:
        return 0.0
    sigma = math.log(life.median / life.low) / float(ndtri((1.0 + life.level) / 2.0))
    return life.median * math.exp(float(ndtri(p)) * sigma)


def _each(value: Floats | None, sigma: Floats | None) -> list[tuple[int, float, float]] | None:
    """(group, value, sigma) where the value is known, WHOLE for that of the pack; None when it is known nowhere."""
    if value is None or not np.isfinite(value).any():
        return None
    doubts = np.full(len(value), math.nan) if sigma is None or len(sigma) not in (1, len(value)) else sigma
    pairs = zip(value.tolist(), np.broadcast_to(doubts, value.shape).tolist(), strict=True)
    return [(WHOLE if len(value) == 1 else i, v, s) for i, (v, s) in enumerate(pairs) if math.isfinite(v)]


def _told(value: float, sigma: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" + (f" ± {sigma:.{digits}f}" if math.isfinite(sigma) else " (sigma unknown)")


def _cycles(condition: Condition, cycles: float) -> When:
    if cycles <= 0.0:
        return When("now", cycles=0.0)
    days = "" if condition.cycles_per_day is None else f" (about {cycles / condition.cycles_per_day:.0f} days)"
    return When(f"within {cycles:.0f} cycles{days}", cycles=cycles)


NOW = When("now", hours=0.0)
SERVICE = When("at the next service")


def _alarm(c: Condition) -> list[Answer] | None:
    what = "Take the pack out of service: open the contactors, do not charge, watch its temperature from a distance"
    return _shorts(c, 2, ALARM_OHM_AH, what)


def _short(c: Condition) -> list[Answer] | None:
    what = "End operation and measure the self-discharge: charge, rest 24 h, compare the cell's voltage with the others"
    return _shorts(c, 1, SHORT_OHM_AH, what)


def _shorts(c: Condition, level: int, ohm_ah: float, what: str) -> list[Answer] | None:
    if c.warning is None and c.pack_warning is None and (c.short_ohm is None or c.capacity_ah is None):
        return None
    warned = {i: state for i, state, _ in _each(c.warning, None) or [] if state >= level}
    shorts = {i: (ohm, sigma) for i, ohm, sigma in _each(c.short_ohm, c.short_log_sigma) or [] if c.capacity_ah}
    answers = []
    if c.pack_warning is not None and c.pack_warning >= level:
        answers.append(Answer(WHOLE, None, True, what, NOW, _stands(c.pack_warning), always=True))
    for i in sorted({*warned, *shorts}):
        why = [_stands(warned[i])] if i in warned else []
        probability, when = None, NOW
        if i in shorts:
            (ohm, sigma), capacity_ah = shorts[i], float(c.capacity_ah or math.nan)
            limit, hours = ohm_ah / capacity_ah, DRAIN * capacity_ah * ohm / c.voltage_v
            probability = below(math.log(ohm), sigma, math.log(limit))
            factor = f", a factor {math.exp(sigma):.2f} each way" if math.isfinite(sigma) else ""
            why.append(
                f"short of {ohm:.3g} ohm{factor}; limit {limit:.3g} ohm ({ohm_ah:g} ohm Ah / {capacity_ah:g} Ah)"
            )
            if level == 1:
                when = When(
                    f"within {hours:.1f} h, in which the short drains {100 * DRAIN:.0f} % of the charge", hours=hours
                )
        yes = i in warned or shorts[i][0] <= ohm_ah / float(c.capacity_ah or math.nan)
        answers.append(Answer(i, probability, yes, what, when, "; ".join(why), always=i in warned))
    return answers


def _stands(level: float) -> str:
    return f"the early warning stands at {'alarm' if level >= 2 else 'suspected'}"


def _capacity(c: Condition) -> list[Answer] | None:
    found = _each(c.soh_capacity, c.soh_capacity_sigma)
    if found is None:
        return None
    return [
        Answer(i, below(v, s, END_CAPACITY), v <= END_CAPACITY, "Replace: the capacity is at its end of life", SERVICE,
               f"capacity {_told(v, s)} of new; end of life at {END_CAPACITY:g}")
        for i, v, s in found
    ]  # fmt: skip


def _resistance(c: Condition) -> list[Answer] | None:
    found = _each(c.resistance_growth, c.resistance_growth_sigma)
    if found is None:
        return None
    return [
        Answer(i, above(v, s, END_RESISTANCE), v >= END_RESISTANCE,
               f"Lower the power limits by the factor {1.0 / max(v, 1e-3):.2f}, and plan the replacement", SERVICE,
               f"resistance {_told(v, s)} times new; end of life at {END_RESISTANCE:g}. Heat and drop grow with it")
        for i, v, s in found
    ]  # fmt: skip


def _doubtful(c: Condition) -> list[Answer] | None:
    """A question that the estimate cannot settle: the end-of-life probability is neither small nor large."""
    capacity, resistance = _capacity(c), _resistance(c)
    if capacity is None and resistance is None:
        return None
    what = "Measure: a full charge and discharge at a known temperature, with a pulse at half charge"
    # The chance of being wrong even with the likelier decision.
    answers = [
        Answer(a.group, min(a.probability, 1.0 - a.probability), False, what, SERVICE, f"{a.why}: not settled")
        for a in [*(capacity or []), *(resistance or [])]
        if a.probability is not None
    ]
    return answers or None


def _life(c: Condition) -> list[Answer] | None:
    if c.life is None:
        return None
    last = life_quantile(c.life, RISK)
    order = max(0.0, last - LEAD_CYCLES)
    high = f"{c.life.high:.0f}" if math.isfinite(c.life.high) else "no end in sight"
    why = (
        f"{c.life.median:.0f} cycles left, {100 * c.life.level:.0f} % interval {c.life.low:.0f} to {high}; "
        f"with {100 * RISK:.0f} % risk {last:.0f}, less {LEAD_CYCLES:.0f} for delivery"
    )
    when = _cycles(c, order)
    return [Answer(WHOLE, 1.0 - life_below(c.life, order), True, "Order the replacement and plan its day", when, why)]


def _joint(c: Condition) -> list[Answer] | None:
    found = _each(c.resistance_growth, c.resistance_growth_sigma)
    if found is None or len(found) < 4:
        return None
    values = np.array([v for _, v, _ in found])
    answers = []
    for k, (i, v, s) in enumerate(found):
        others = np.delete(values, k)
        middle, doubt = _median(others)
        if _is_weak(c, i):
            continue  # less capacity too: the cell has aged, the joint is not the first suspect
        excess = v / middle - 1.0 if middle > 0 else 0.0
        p = above(excess, math.hypot(s, v / middle * doubt) / middle if middle > 0 else math.nan, LOOSE)
        why = f"resistance {_told(v, s)} times new, the others' median {middle:.3f}: {100 * excess:+.0f} %, at no lower capacity"
        answers.append(
            Answer(i, p, excess >= LOOSE, "Check the torque and the contact faces of its busbar joints", SERVICE, why)
        )
    return answers


def _median(values: Floats) -> tuple[float, float]:
    """Median and its standard error, 1.2533 sigma / sqrt(n), sigma from the median absolute deviation."""
    middle = float(np.median(values))
    sigma = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, 1.2533 * sigma / math.sqrt(len(values))


def _is_weak(c: Condition, group: int) -> bool:
    if c.soh_capacity is None or len(c.soh_capacity) != c.n or c.n == 1:
        return False
    known = c.soh_capacity[np.isfinite(c.soh_capacity)]
    return bool(c.soh_capacity[group] < float(np.median(known)) - WEAK) if len(known) else False


def _weak(c: Condition) -> list[Answer] | None:
    found = _each(c.soh_capacity, c.soh_capacity_sigma)
    if found is None or len(found) < 4:
        return None
    values = np.array([v for _, v, _ in found])
    answers = []
    for k, (i, v, s) in enumerate(found):
        middle, doubt = _median(np.delete(values, k))
        why = f"capacity {_told(v, s)} of new, the others' median {middle:.3f}: in series the weakest sets what the pack gives"
        p = below(v - middle, math.hypot(s, doubt), -WEAK)
        answers.append(Answer(i, p, v - middle <= -WEAK, "Plan the replacement of its module", SERVICE, why))
    return answers


def _balance(c: Condition) -> list[Answer] | None:
    found = _each(c.cell_soc, c.cell_soc_sigma)
    if found is None or len(found) < 2:
        return None
    (low, v_low, s_low), (high, v_high, s_high) = min(found, key=lambda f: f[1]), max(found, key=lambda f: f[1])
    spread, sigma = v_high - v_low, math.hypot(s_low, s_high)
    why = (
        f"state of charge spread {_told(spread, sigma)}, from {c.place(low)} at {v_low:.3f} to {c.place(high)} at {v_high:.3f}; "
        "charge ends at the highest and discharge at the lowest, so this share of the capacity cannot be used"
    )
    if _under_suspicion(c, low):
        why += "; the lowest is under suspicion of a short: settle that first"
    when = When("at the next full charge")
    if c.capacity_ah is not None and c.balancing_current_a is not None:
        hours = spread * c.capacity_ah / c.balancing_current_a
        why += f"; {hours:.1f} h of balancing at {c.balancing_current_a:g} A"
    return [Answer(WHOLE, above(spread, sigma, SPREAD), spread >= SPREAD, "Balance the cells", when, why)]


def _under_suspicion(c: Condition, group: int) -> bool:
    warned = c.warning is not None and len(c.warning) > group and c.warning[group] >= 1
    return bool(warned or (c.short_ohm is not None and len(c.short_ohm) > group and math.isfinite(c.short_ohm[group])))


SERIES = "law of the series string; threshold by convention"
RULES: Sequence[Rule] = (
    Rule("alarm", 0, f"an alarm, or an internal short below {ALARM_OHM_AH:g} ohm Ah?", "warning, or shorts and capacity", LIKELY,
         "early warning; 10 ohm in a 2.5 Ah cell at 3.6 V: 1.3 W in one spot, empty in 7 h (convention)", _alarm),
    Rule("short", 1, f"a suspected short, or one below {SHORT_OHM_AH:g} ohm Ah?", "warning, or shorts and capacity", RISK,
         "early warning; 100 ohm in a 2.5 Ah cell at 3.6 V: empty in 3 days, far beyond self-discharge (convention)", _short),
    Rule("capacity end", 2, f"capacity at {END_CAPACITY:g} of new or below?", "soh_capacity", LIKELY,
         "80 % of rated capacity: IEEE 450 and 1188 (replacement criterion), USABC (end of life)", _capacity),
    Rule("resistance end", 2, f"resistance at {END_RESISTANCE:g} times new or above?", "resistance_growth", LIKELY,
         "doubled resistance, the usual end of life where power counts (convention)", _resistance),
    Rule("joint", 3, f"one resistance more than {100 * LOOSE:.0f} % above the others?", "resistance_growth of four groups or more",
         LIKELY, "IEEE 450: a connection 20 % above its reference is to be made again; here seen with its cells", _joint),
    Rule("weak group", 3, f"one capacity more than {WEAK:g} below the others?", "soh_capacity of four groups or more", LIKELY,
         SERIES, _weak),
    Rule("balance", 4, f"state of charge spread above {SPREAD:g}?", "cell_soc of at least two groups", LIKELY, SERIES, _balance),
    Rule("doubt", 4, "end of life neither likely nor unlikely?", "soh_capacity or resistance_growth with sigma", RISK,
         f"the chance of deciding wrongly, at least {100 * RISK:.0f} %", _doubtful),
    Rule("plan", 5, f"when to order, so that the risk of being late is {100 * RISK:.0f} %?", "remaining", 0.0,
         f"5 % quantile of the cycles left, less {LEAD_CYCLES:.0f} cycles for delivery (convention)", _life),
)  # fmt: skip
"""All rules. A threshold called a convention has no better source; it is a constant at the top of this module."""
