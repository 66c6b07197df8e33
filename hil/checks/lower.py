"""From a tree to operations: names, labels, units and vector widths are settled here, before anything runs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from hil.checks import dimension
from hil.checks.expression import Binary, Call, Name, Node, Number, Parameter, Unary, parse
from hil.checks.program import Code
from hil.checks.spec import Source, Uncertainty
from hil.errors import InputError, nearest
from hil.image import Labels, Quantity, Table
from hil.units import KINDS, expected_text, parse_quantity

Value = float | int | str
ResolveLimit = Callable[[str], tuple[float, str]]

_RELATION = {"<": Code.LT, "<=": Code.LE, ">": Code.GT, ">=": Code.GE, "==": Code.EQ, "!=": Code.NE}
_FLIPPED = {Code.LT: Code.GT, Code.LE: Code.GE, Code.GT: Code.LT, Code.GE: Code.LE, Code.EQ: Code.EQ, Code.NE: Code.NE}
_ARITHMETIC = {"+": Code.ADD, "-": Code.SUB, "*": Code.MUL, "/": Code.DIV}
_FUSED = Code.COLUMN_LT - Code.LT


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
    u: Uncertainty = Uncertainty()
    body: "tuple[Step, ...]" = ()


@dataclass(frozen=True, slots=True)
class Lowered:
    """Operations and what they leave.

    ``unit`` is the unit of a number; for a condition, the unit of its distance, empty when it has none. ``width`` is the
    length of a vector that still wants any/all/max/min, 0 for a scalar. ``reported_alone``: reported.* quantities
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


def condition(source: Source, scope: Scope) -> Lowered:
    """The operations of a condition. Raises InputError."""
    node = parse(source)
    made = _Lowering(source, scope).lower(node)
    if not made.condition:
        found = "a labelled quantity" if made.labels else f"a number in {made.unit}"
        hint = f"{source.text.strip()} == {made.labels[-1]}" if made.labels else ""
        raise source.problem(_start(node), "this is no condition", expected="a comparison", found=found, close=hint)
    if made.width:
        raise _vector(source, _start(node), made.width)
    if not any(_columns(step) for step in made.steps):
        raise source.problem(_start(node), "the condition names no quantity, so it never changes",
                             expected="a condition such as 'measured.pack_current < 1 A'")
    return made


def constant(source: Source, scope: Scope, unit: str) -> float:
    """The number of an expression without quantities, in ``unit``: ``limits.cell_ov.budget + 20 ms``. Raises InputError."""
    node = parse(source)
    made = _Lowering(source, scope).lower(node)
    if made.condition or made.constant is None:
        raise source.problem(_start(node), "this must be known before the run", expected=expected_text(unit),
                             found=repr(source.text.strip()))
    if not dimension.same(made.unit, unit):
        raise source.problem(_start(node), "wrong unit", expected=expected_text(unit), found=f"a value in {made.unit}")
    return made.constant


def value(source: Source, scope: Scope) -> Lowered:
    """The operations of a scalar number (with its unit), for ramps and plays that follow a quantity. Raises InputError."""
    node = parse(source)
    made = _Lowering(source, scope).lower(node)
    if made.condition:
        raise source.problem(_start(node), "this is a condition", expected="a value")
    if made.width:
        raise _vector(source, _start(node), made.width)
    return made


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
    raise source.problem(at, "unknown unit", expected="a unit such as V, mV, A, ms, degC, %", found=repr(unit),
                         close=nearest(unit, known))


def _start(node: Node) -> int:
    while isinstance(node, Binary):
        node = node.left
    return node.at


def _columns(step: Step) -> bool:
    return any(_columns(inner) for inner in step.body) or step.code not in (Code.CONSTANT,) and step.code < Code.LOOP


def _vector(source: Source, at: int, width: int) -> InputError:
    return source.problem(at, f"a vector of {width} stands where one value is needed",
                          expected="an index such as [0], any(), all(), max(), min(), or [each] with 'each: all'")


class _Lowering:
    """One visit of one tree."""

    def __init__(self, source: Source, scope: Scope) -> None:
        self.source = source
        self.scope = scope
        self.in_loop = False

    def lower(self, node: Node) -> Lowered:
        """The operations of any node."""
        if isinstance(node, Number):
            number, unit = literal(self.source, node.at, node.digits, node.unit)
            return _number(number, unit)
        if isinstance(node, Parameter):
            return self._parameter(node)
        if isinstance(node, Name):
            return self._name(node)
        if isinstance(node, Unary):
            return self._unary(node)
        if isinstance(node, Call):
            return self._call(node)
        if node.op in _RELATION:
            return self._relation(node)
        return self._logic(node) if node.op in ("and", "or") else self._arithmetic(node)

    def _parameter(self, node: Parameter) -> Lowered:
        found = self._lookup(node.name, node.at)
        if not isinstance(found, str):
            return _number(float(found), "1")
        inner = parse(Source(found, self.source.where))
        negative = isinstance(inner, Unary) and inner.op == "-"
        plain = inner.operand if isinstance(inner, Unary) and negative else inner
        if not isinstance(plain, Number):
            raise self.source.problem(node.at, f"${node.name} is no value", expected="a quantity such as '4.25 V'",
                                      found=repr(found))
        number, unit = literal(self.source, node.at, plain.digits, plain.unit)
        return _number(-number if negative else number, unit)

    def _lookup(self, name: str, at: int) -> Value:
        if name not in self.scope.params:
            raise self.source.problem(at, "unknown parameter", expected="one of the scenario's params", found=f"'${name}'",
                                      close=nearest(name, self.scope.params))
        return self.scope.params[name]

    def _name(self, node: Name) -> Lowered:
        if node.text.startswith("limits."):
            return self._limit(node)
        quantity = self.scope.table.find(node.text)
        if quantity is None:
            close = nearest(node.text, self.scope.table.names())
            raise self.source.problem(node.at, "unknown name", expected="a quantity, a limit or a label beside '=='",
                                      found=repr(node.text), close=close)
        if self.scope.offline:
            self._allowed(node, quantity)
        self.scope.used[quantity.name] = None
        return self._column(node, quantity)

    def _allowed(self, node: Name, quantity: Quantity) -> None:
        if node.text.startswith("truth.") and node.text != "truth.soc":
            other = nearest(node.text.replace("truth.", "measured."), self.scope.table.names())
            raise self.source.problem(node.at, "truth is not allowed here: a real bench does not know it",
                                      expected="shown.*, measured.*, reported.* or truth.soc", found=repr(node.text), close=other)
        if not quantity.record:
            raise self.source.problem(node.at, "this quantity is not in the record, so it cannot be judged",
                                      expected="shown.*, measured.* or reported.*", found=repr(node.text))

    def _limit(self, node: Name) -> Lowered:
        if node.index:
            raise self.source.problem(node.index_at, "a limit has no index", found=repr(node.index))
        try:
            number, unit = self.scope.resolve_limit(node.text)
        except InputError as error:
            first = error.problems[0]
            raise self.source.problem(node.at, first.message or "unknown limit", expected=first.expected,
                                      found=first.found or repr(node.text), close=first.nearest or None) from None
        except KeyError:
            raise self.source.problem(node.at, "unknown limit", expected="a limit of the BMS's limits file",
                                      found=repr(node.text)) from None
        return _number(number, unit)

    def _column(self, node: Name, q: Quantity) -> Lowered:
        u = self.scope.uncertainties.get(q.name, Uncertainty())
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
            raise self.source.problem(node.index_at, f"{q.name} has no such element",
                                      expected=f"an index from 0 to {q.count - 1}", found=repr(index))
        at = int(index)
        made = replace(made, column=q.start + at, time_column=q.time_column(at))
        return Lowered((made,), q.unit, labels=q.labels, reported_alone=alone)

    def _instances(self, node: Name, q: Quantity) -> None:
        if not self.scope.each:
            raise self.source.problem(node.index_at, "an index over all elements needs 'each: all'",
                                      expected="'each: all' beside it, or any()/all() around it", found=repr(node.index))
        if self.scope.instances not in (0, q.count):
            raise self.source.problem(node.at, "quantities of different length in one 'each: all'",
                                      expected=f"{self.scope.instances} elements", found=f"{q.count} in {q.name}")
        self.scope.instances = q.count

    def _unary(self, node: Unary) -> Lowered:
        inner = self.lower(node.operand)
        if node.op == "not":
            self._need_condition(node.operand, inner)
            return replace(inner, steps=(*inner.steps, Step(Code.NOT)))
        self._need_number(node.operand, inner)
        if inner.constant is not None:
            return _number(-inner.constant, inner.unit)
        if inner.unit == "degC":
            raise self.source.problem(node.at, "a temperature in degC cannot be negated", expected="a difference in K")
        return replace(inner, steps=(*inner.steps, Step(Code.NEG)))

    def _arithmetic(self, node: Binary) -> Lowered:
        left, right = self.lower(node.left), self.lower(node.right)
        self._need_number(node.left, left)
        self._need_number(node.right, right)
        if node.op in "+-":
            unit = dimension.added(left.unit, right.unit, node.op == "-")
            if unit is None:
                raise self._mismatch(node, left, right)
        else:
            unit = dimension.multiplied(left.unit, right.unit, node.op == "/")
            if unit is None:
                raise self.source.problem(node.at, "these units cannot be combined", expected="a plain number on one side",
                                          found=f"{left.unit} {node.op} {right.unit}")
        a, b = left.constant, right.constant
        if a is not None and b is not None:
            if node.op == "/" and b == 0:
                raise self.source.problem(node.at, "division by zero")
            folded = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else math.nan}[node.op]
            return _number(folded, unit)
        return self._joined(node.at, left, right, Step(_ARITHMETIC[node.op]), unit)

    def _joined(self, at: int, left: Lowered, right: Lowered, last: Step, unit: str, condition: bool = False) -> Lowered:
        if left.width and right.width and left.width != right.width:
            raise self.source.problem(at, "vectors of different length", expected=f"{left.width} elements",
                                      found=f"{right.width} elements")
        return Lowered((*left.steps, *right.steps, last), unit, condition, (), max(left.width, right.width),
                       left.reported_alone and right.reported_alone)

    def _relation(self, node: Binary) -> Lowered:
        left, right = self._sides(node)
        code = _RELATION[node.op]
        if left.labels or right.labels:
            if node.op not in ("==", "!="):
                raise self.source.problem(node.at, "labels have no order", expected="'==' or '!='", found=repr(node.op))
            unit = ""
        else:
            if not dimension.same(left.unit, right.unit):
                raise self._mismatch(node, left, right)
            unit = "" if node.op in ("==", "!=") else left.unit
            unit = "K" if unit == "degC" else unit
        if left.constant is not None and right.constant is None:
            left, right, code = right, left, _FLIPPED[code]
        if len(left.steps) == 1 and right.constant is not None and left.steps[0].code == Code.COLUMN:
            fused = replace(left.steps[0], code=Code(code + _FUSED), number=right.constant)
            return replace(left, steps=(fused,), unit=unit, condition=True, labels=())
        return self._joined(node.at, left, right, Step(code), unit, condition=True)

    def _sides(self, node: Binary) -> tuple[Lowered, Lowered]:
        """Both operands of a comparison, a label resolved by the labels of the other."""
        label_left, label_right = self._label(node.left), self._label(node.right)
        if label_left and not label_right:
            right = self.lower(node.right)
            return self._labelled(node.left, label_left, right), right
        left = self.lower(node.left)
        self._need_number(node.left, left, labels=True)
        if label_right:
            return left, self._labelled(node.right, label_right, left)
        right = self.lower(node.right)
        self._need_number(node.right, right, labels=True)
        if left.labels and right.labels:
            shorter = min(len(left.labels), len(right.labels))
            if left.labels[:shorter] != right.labels[:shorter]:
                raise self.source.problem(node.at, "different labels", expected=", ".join(left.labels),
                                          found=", ".join(right.labels))
        for labels, other, at in ((left.labels, right, node.right), (right.labels, left, node.left)):
            if labels and not other.labels and other.constant not in range(len(labels)):
                raise self.source.problem(_start(at), "no such label", expected="one of " + ", ".join(labels),
                                          found="a quantity" if other.constant is None else f"{other.constant:g} {other.unit}")
        return left, right

    def _label(self, node: Node) -> str:
        """The label a node may be: a bare word, or a parameter holding one."""
        if isinstance(node, Name) and "." not in node.text and not node.index:
            return node.text
        if isinstance(node, Parameter):
            found = self.scope.params.get(node.name)
            return found if isinstance(found, str) and found.isidentifier() else ""
        return ""

    def _labelled(self, node: Node, label: str, other: Lowered) -> Lowered:
        if not other.labels:
            raise self.source.problem(node.at, "unknown name", expected=f"a value in {other.unit}", found=repr(label),
                                      close=nearest(label, self.scope.table.names()))
        if label not in other.labels:
            raise self.source.problem(node.at, "no such label", expected="one of " + ", ".join(other.labels),
                                      found=repr(label), close=nearest(label, other.labels))
        return _number(float(other.labels.index(label)), "1")

    def _logic(self, node: Binary) -> Lowered:
        left, right = self.lower(node.left), self.lower(node.right)
        self._need_condition(node.left, left)
        self._need_condition(node.right, right)
        unit = left.unit if left.unit == right.unit else ""
        made = self._joined(node.at, left, right, Step(Code.AND if node.op == "and" else Code.OR), unit, condition=True)
        if node.op == "or":
            made = replace(made, reported_alone=left.reported_alone or right.reported_alone)
        return made

    def _call(self, node: Call) -> Lowered:
        if node.function in ("any", "all"):
            return self._fold(node, self._looped(node), Code.OR if node.function == "any" else Code.AND)
        if node.function == "abs":
            inner = self.lower(self._only(node))
            self._need_number(node.args[0], inner)
            if inner.unit == "degC":
                raise self.source.problem(node.at, "a temperature in degC has no magnitude", expected="a difference in K")
            if inner.constant is not None:
                return _number(abs(inner.constant), inner.unit)
            return replace(inner, steps=(*inner.steps, Step(Code.ABS)))
        code = Code.MIN if node.function == "min" else Code.MAX
        if len(node.args) == 1:
            return self._fold(node, self._looped(node), code)
        made = self.lower(node.args[0])
        self._need_number(node.args[0], made)
        for argument in node.args[1:]:
            more = self.lower(argument)
            self._need_number(argument, more)
            if not dimension.same(made.unit, more.unit):
                raise self._mismatch(Binary(argument.at, ",", node.args[0], argument), made, more)
            if made.constant is not None and more.constant is not None:
                pick = min if code == Code.MIN else max
                made = _number(pick(made.constant, more.constant), made.unit)
            else:
                made = self._joined(argument.at, made, more, Step(code), made.unit)
        return made

    def _only(self, node: Call) -> Node:
        if len(node.args) != 1:
            raise self.source.problem(node.at, f"{node.function}() takes one argument", found=str(len(node.args)))
        return node.args[0]

    def _looped(self, node: Call) -> Lowered:
        argument = self._only(node)
        if self.in_loop:
            raise self.source.problem(node.at, "a loop over a vector inside another", expected="one any/all/max/min at a time")
        self.in_loop = True
        inner = self.lower(argument)
        self.in_loop = False
        if not inner.width:
            raise self.source.problem(_start(argument), f"{node.function}() wants a vector",
                                      expected="a quantity with more than one element, without an index")
        return inner

    def _fold(self, node: Call, inner: Lowered, code: Code) -> Lowered:
        argument = node.args[0]
        if code in (Code.AND, Code.OR):
            self._need_condition(argument, inner)
        else:
            self._need_number(argument, inner)
        loop = Step(Code.NEXT, turns=inner.width, fold=code, body=inner.steps)
        return replace(inner, steps=(loop,), width=0)

    def _need_condition(self, node: Node, found: Lowered) -> None:
        if not found.condition:
            what = "a labelled quantity; compare it with ==" if found.labels else f"a value in {found.unit}"
            raise self.source.problem(_start(node), "a condition is needed here", expected="a comparison", found=what)

    def _need_number(self, node: Node, found: Lowered, labels: bool = False) -> None:
        if found.condition:
            raise self.source.problem(_start(node), "a value is needed here", expected="a number", found="a condition")
        if found.labels and not labels:
            raise self.source.problem(_start(node), "labels cannot be reckoned with",
                                      expected="'==' or '!=' and one of " + ", ".join(found.labels))

    def _mismatch(self, node: Binary, left: Lowered, right: Lowered) -> InputError:
        return self.source.problem(_start(node.right), "the units do not fit", expected=expected_text(left.unit),
                                   found=f"a value in {right.unit}" if right.unit != "1" else "a plain number")


def _number(number: float, unit: str) -> Lowered:
    return Lowered((Step(Code.CONSTANT, number=number),), unit)
