"""Conditions on signals of a log: ``BMS_Pack.PackVoltage > 400 V and BMS_State.State == 3``."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from hil.codec import bulk
from hil.codec.nouns import Database, Message, Signal
from hil.codec.plan import compile_plan
from hil.errors import InputError, Problem, about
from hil.logs.trace import Trace
from hil.replay.filters import Ids, Mask, parse_rules, wanted
from hil.units import NUMBER, parse_quantity

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {"<=": np.less_equal, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal, "<": np.less, ">": np.greater}
)
_TERM = re.compile(r"\s*([A-Za-z_][\w]*\.[\w]+)\s*(<=|>=|==|!=|<|>)\s*(.+?)\s*", re.ASCII)
_VALUE = re.compile(rf"({NUMBER})\s*(\S.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a signal's physical value."""

    message: Message
    signal: Signal
    operator: str
    value: float

    def truth(self, trace: Trace) -> tuple[Any, Any]:
        """Indexes of the frames that bring the signal, and whether it holds there; unknown values do not."""
        decoded = bulk.decode(compile_plan([self.message]), trace)
        name = self.signal.name
        pairs = [(t.frame, t.columns[name]) for t in decoded.tables if name in t.columns]
        frames = np.concatenate([frame for frame, _ in pairs]) if pairs else np.zeros(0, np.int64)
        values = np.concatenate([column for _, column in pairs]) if pairs else np.zeros(0)
        order = np.argsort(frames, kind="stable")
        known = values[order]
        return frames[order], OPERATORS[self.operator](known, self.value) & ~np.isnan(known)


@dataclass(frozen=True, slots=True)
class Condition:
    """Comparisons that must all hold, each by the last value the log had brought."""

    text: str
    terms: tuple[Term, ...]

    def holds(self, trace: Trace) -> Mask:
        """Whether it holds after each frame of ``trace``, in the order given."""
        out = np.ones(len(trace), bool)
        for term in self.terms:
            frames, true = term.truth(trace)
            latest = np.full(len(trace), -1, np.int64)
            latest[frames] = np.arange(len(frames))
            latest = np.maximum.accumulate(latest) if len(latest) else latest
            out &= np.where(latest >= 0, np.append(true, False)[latest], False)
        return out

    def begins(self, trace: Trace, before: bool = False) -> Mask:
        """The frames with which it becomes true; ``before``: it held already before the first."""
        holds = self.holds(trace)
        return holds & ~np.concatenate(([before], holds[:-1])) if len(holds) else holds


@dataclass(frozen=True, slots=True)
class Arrival:
    """A trigger by identifier: any frame that a rule lets through."""

    text: str
    rules: tuple[tuple[bool, Ids], ...]

    def begins(self, trace: Trace, before: bool = False) -> Mask:
        """The frames that match."""
        return wanted(trace, self.rules)


def parse_condition(text: str, db: Database | None) -> Condition:
    """A condition as people write it; ``and`` joins several comparisons.

    Values may carry a unit (it is converted to the signal's) or be a label of the signal's value table.

    Raises:
        InputError: not such a condition, no DBC, an unknown name, a unit that does not fit.
    """
    if db is None:
        raise InputError(Problem(f"condition {text!r}", expected="--dbc, to know the signal"))
    return Condition(text, tuple(_term(part, text, db) for part in re.split(r"\s+and\s+", text)))


def _term(part: str, whole: str, db: Database) -> Term:
    matched = _TERM.fullmatch(part)
    if matched is None:
        what = "Message.Signal, one of < <= == != >= >, and a value"
        raise InputError(Problem(f"condition {whole!r}", expected=what, found=part.strip() or "nothing"))
    message, signal = db.pair(matched[1])
    with about(f"condition {whole!r}"):
        return Term(message, signal, matched[2], value_of(matched[3], signal))


def value_of(text: str, signal: Signal, difference: bool = False) -> float:
    """A physical value of ``signal``: a number, a number with a unit, or a label. ``difference``: of two such values.

    Raises:
        InputError: none of these, or a unit that does not fit the signal's.
    """
    matched = _VALUE.fullmatch(text.strip())
    if matched is None:
        raw = next((number for number, label in signal.labels if label == text.strip().strip('"')), None)
        if raw is None:
            labels = ", ".join(label for _, label in signal.labels[:8])
            expected = "a number" + (f" or one of {labels}" if labels else "")
            raise InputError(Problem(f"value of {signal.name}", expected=expected, found=text.strip()))
        return raw * signal.factor + signal.offset
    return in_unit(text, signal.unit, difference) if matched[2] else float(matched[1])


def in_unit(text: str, unit: str, difference: bool = False) -> float:
    """A number with a unit, in a signal's own unit as its database or a record spells it. Raises InputError."""
    matched = _VALUE.fullmatch(text.strip())
    if matched is not None and unit and (matched[2] or "").strip() == unit:
        return float(matched[1])
    plain = {"°C": "degC", "C": "degC", "%": "1", "": "1"}.get(unit, unit)
    value = parse_quantity(text, "K" if difference and plain == "degC" else plain)
    return value * 100.0 if unit == "%" else value


def parse_trigger(text: str, db: Database | None) -> Condition | Arrival:
    """A start trigger: a condition on signals, or identifiers as in a filter. Raises InputError when it is neither."""
    if any(sign in text for sign in ("<", ">", "==", "!=")):
        return parse_condition(text, db)
    return Arrival(text, parse_rules([text], db))


def breaks(conditions: Sequence[Condition], trace: Trace) -> Mask:
    """Frames with which any of the conditions becomes true."""
    out = np.zeros(len(trace), bool)
    for condition in conditions:
        out |= condition.begins(trace)
    return out
