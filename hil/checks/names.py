"""What stands at the leaves of a condition: literals, parameters, limits and columns of the row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hil.checks.expression import Name, Number, Parameter, Unary, parse
from hil.checks.program import Code
from hil.checks.spec import NONE, Source, Uncertainty
from hil.errors import InputError, nearest
from hil.image import Labels, Quantity, Table
from hil.units import KINDS, parse_quantity

Value = float | int | str
ResolveLimit = Callable[[str], tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation before it gets its place; ``turns`` > 0 makes a loop of the steps inside."""

    code: Code
    number: float = 0.0
    column: int = 0
    time_column: int = -1
    stride: int = 0
    time_stride: int = 0
    loop_stride: int = 0
    loop_time_stride: int = 0
    turns: int = 0
    fold: int = 0
    u: Uncertainty = NONE
    body: "tuple[Step, ...]" = ()


@dataclass(frozen=True, slots=True)
class Lowered:
    """Operations and what they leave.

    ``unit`` is the unit of a number; for a condition, the unit of its distance, empty when it has none. ``width`` is
    the length of a vector that still wants any/all/max/min, 0 for a scalar. ``reported_alone``: reported.* quantities
    alone can make the condition true.
    """

    steps: tuple[Step, ...]
    unit: str
    condition: bool = False
    labels: Labels = ()
    width: int = 0
    reported_alone: bool = True

    @property
    def constant(self) -> float | None:
        """The number, when it is one without any quantity."""
        only = len(self.steps) == 1 and self.steps[0].code == Code.CONSTANT
        return self.steps[0].number if only else None


@dataclass(slots=True)
class Scope:
    """What names may mean, and what lowering has found so far: the quantities used and the number of instances."""

    table: Table
    resolve_limit: ResolveLimit
    params: Mapping[str, Value] = field(default_factory=dict)
    uncertainties: Mapping[str, Uncertainty] = field(default_factory=dict)
    each: bool = False
    offline: bool = True  # only recorded quantities and no truth but truth.soc
    instances: int = 0
    used: dict[str, None] = field(default_factory=dict)


def literal(source: Source, at: int, digits: str, unit: str) -> tuple[float, str]:
    """Value and SI unit of a number as written. Raises InputError for a unit nobody knows."""
    if not unit:
        return float(digits), "1"
    short = {"%": "1", "min": "s", "h": "s"}
    fits = sorted((k for k in KINDS if unit.endswith(k)), key=len, reverse=True)
    for kind in (*([short[unit]] if unit in short else fits), *KINDS):
        try:
            return parse_quantity(f"{digits} {unit}", kind), kind
        except InputError:
            continue
    known = [*KINDS, "mV", "kV", "mA", "kA", "ms", "us", "%", "kohm", "mV/s", "kW", "min"]
    raise source.problem(
        at,
        "unknown unit",
        expected="a unit such as V, mV, A, ms, degC, %",
        found=repr(unit),
        close=nearest(unit, known),
    )


def number(size: float, unit: str) -> Lowered:
    """A constant."""
    return Lowered((Step(Code.CONSTANT, number=size),), unit)


class Leaves:
    """Lowers the leaves of one tree. ``in_loop`` is True below any/all/max/min."""

    def __init__(self, source: Source, scope: Scope) -> None:
        """For one text in one scope."""
        self.source = source
        self.scope = scope
        self.in_loop = False

    def parameter(self, node: Parameter) -> Lowered:
        """The value of a parameter of the case."""
        found = self._lookup(node.name, node.at)
        if not isinstance(found, str):
            return number(float(found), "1")
        inner = parse(Source(found, self.source.where))
        negative = isinstance(inner, Unary) and inner.op == "-"
        plain = inner.operand if isinstance(inner, Unary) and negative else inner
        if not isinstance(plain, Number):
            raise self.source.problem(
                node.at, f"${node.name} is no value", expected="a quantity such as '4.25 V'", found=repr(found)
            )
        size, unit = literal(self.source, node.at, plain.digits, plain.unit)
        return number(-size if negative else size, unit)

    def _lookup(self, name: str, at: int) -> Value:
        if name not in self.scope.params:
            raise self.source.problem(
                at,
                "unknown parameter",
                expected="one of the scenario's params",
                found=f"'${name}'",
                close=nearest(name, self.scope.params),
            )
        return self.scope.params[name]

    def name(self, node: Name) -> Lowered:
        """A limit or a quantity."""
        if node.text.startswith("limits."):
            return self._limit(node)
        quantity = self.scope.table.find(node.text)
        if quantity is None:
            close = nearest(node.text, self.scope.table.names())
            raise self.source.problem(
                node.at,
                "unknown name",
                expected="a quantity, a limit or a label beside '=='",
                found=repr(node.text),
                close=close,
            )
        if self.scope.offline:
            self._allowed(node, quantity)
        self.scope.used[quantity.name] = None
        return self._column(node, quantity)

    def _allowed(self, node: Name, quantity: Quantity) -> None:
        if node.text.startswith("truth.") and node.text != "truth.soc":
            other = nearest(node.text.replace("truth.", "measured."), self.scope.table.names())
            raise self.source.problem(
                node.at,
                "truth is not allowed here: a real bench does not know it",
                expected="shown.*, measured.*, reported.* or truth.soc",
                found=repr(node.text),
                close=other,
            )
        if not quantity.record:
            raise self.source.problem(
                node.at,
                "this quantity is not in the record, so it cannot be judged",
                expected="shown.*, measured.* or reported.*",
                found=repr(node.text),
            )

    def _limit(self, node: Name) -> Lowered:
        if node.index:
            raise self.source.problem(node.index_at, "a limit has no index", found=repr(node.index))
        try:
            size, unit = self.scope.resolve_limit(node.text)
        except InputError as error:
            first = error.problems[0]
            raise self.source.problem(
                node.at,
                first.message or "unknown limit",
                expected=first.expected,
                found=first.found or repr(node.text),
                close=first.nearest or None,
            ) from None
        except KeyError:
            raise self.source.problem(
                node.at, "unknown limit", expected="a limit of the BMS's limits file", found=repr(node.text)
            ) from None
        return number(size, unit)

    def _column(self, node: Name, q: Quantity) -> Lowered:
        u = self.scope.uncertainties.get(q.name, NONE)
        made = Step(Code.COLUMN, column=q.start, time_column=q.time_column(0), u=u)
        apart = 1 if q.time_count > 1 else 0
        alone = q.name.startswith("reported.")
        index = node.index
        if index.startswith("$"):
            found = self._lookup(index[1:], node.index_at)
            index = "each" if found == "all" else str(found)
        if index == "each" or (index == "all" and not self.in_loop and self.scope.each):
            self._instances(node, q)
            made = replace(made, stride=1, time_stride=apart)
            return Lowered((made,), q.unit, labels=q.labels, reported_alone=alone)
        if index in ("", "all"):
            if q.count > 1 or index == "all":
                made = replace(made, loop_stride=1, loop_time_stride=apart)
                return Lowered((made,), q.unit, labels=q.labels, width=q.count, reported_alone=alone)
            return Lowered((made,), q.unit, labels=q.labels, reported_alone=alone)
        if not index.isdigit() or int(index) >= q.count:
            raise self.source.problem(
                node.index_at,
                f"{q.name} has no such element",
                expected=f"an index from 0 to {q.count - 1}",
                found=repr(index),
            )
        at = int(index)
        made = replace(made, column=q.start + at, time_column=q.time_column(at))
        return Lowered((made,), q.unit, labels=q.labels, reported_alone=alone)

    def _instances(self, node: Name, q: Quantity) -> None:
        if not self.scope.each:
            raise self.source.problem(
                node.index_at,
                "an index over all elements needs 'each: all'",
                expected="'each: all' beside it, or any()/all() around it",
                found=repr(node.index),
            )
        if self.scope.instances not in (0, q.count):
            raise self.source.problem(
                node.at,
                "quantities of different length in one 'each: all'",
                expected=f"{self.scope.instances} elements",
                found=f"{q.count} in {q.name}",
            )
        self.scope.instances = q.count
