"""From a tree to operations: labels, units and vector widths are settled here, before anything runs."""

import math
from dataclasses import replace

from hil.checks import dimension
from hil.checks.expression import Binary, Call, Name, Node, Number, Parameter, Unary, parse
from hil.checks.names import Leaves, Lowered, Scope, Step, literal, number
from hil.checks.program import Code
from hil.checks.spec import Source
from hil.errors import InputError, nearest
from hil.units import expected_text

_RELATION = {"<": Code.LT, "<=": Code.LE, ">": Code.GT, ">=": Code.GE, "==": Code.EQ, "!=": Code.NE}
_FLIPPED = {Code.LT: Code.GT, Code.LE: Code.GE, Code.GT: Code.LT, Code.GE: Code.LE, Code.EQ: Code.EQ, Code.NE: Code.NE}
_ARITHMETIC = {"+": Code.ADD, "-": Code.SUB, "*": Code.MUL, "/": Code.DIV}
_FUSED = Code.COLUMN_LT - Code.LT


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
        raise source.problem(
            _start(node),
            "the condition names no quantity, so it never changes",
            expected="a condition such as 'measured.pack_current < 1 A'",
        )
    return made


def constant(source: Source, scope: Scope, unit: str) -> float:
    """The number of an expression without quantities, in ``unit``: ``limits.x.budget + 20 ms``. Raises InputError."""
    node = parse(source)
    made = _Lowering(source, scope).lower(node)
    if made.condition or made.constant is None:
        raise source.problem(
            _start(node),
            "this must be known before the run",
            expected=expected_text(unit),
            found=repr(source.text.strip()),
        )
    if not dimension.same(made.unit, unit):
        raise source.problem(_start(node), "wrong unit", expected=expected_text(unit), found=f"a value in {made.unit}")
    return made.constant


def value(source: Source, scope: Scope) -> Lowered:
    """The operations of a scalar number with its unit, for steps that follow a quantity. Raises InputError."""
    node = parse(source)
    made = _Lowering(source, scope).lower(node)
    if made.condition:
        raise source.problem(_start(node), "this is a condition", expected="a value")
    if made.width:
        raise _vector(source, _start(node), made.width)
    return made


def _start(node: Node) -> int:
    while isinstance(node, Binary):
        node = node.left
    return node.at


def _columns(step: Step) -> bool:
    return any(_columns(inner) for inner in step.body) or Code.CONSTANT < step.code < Code.LOOP


def _vector(source: Source, at: int, width: int) -> InputError:
    return source.problem(
        at,
        f"a vector of {width} stands where one value is needed",
        expected="an index such as [0], any(), all(), max(), min(), or [each] with 'each: all'",
    )


class _Lowering(Leaves):
    """One visit of one tree."""

    def lower(self, node: Node) -> Lowered:
        """The operations of any node."""
        if isinstance(node, Number):
            return number(*literal(self.source, node.at, node.digits, node.unit))
        if isinstance(node, Parameter):
            return self.parameter(node)
        if isinstance(node, Name):
            return self.name(node)
        if isinstance(node, Unary):
            return self._unary(node)
        if isinstance(node, Call):
            return self._call(node)
        if node.op in _RELATION:
            return self._relation(node)
        return self._logic(node) if node.op in ("and", "or") else self._arithmetic(node)

    def _unary(self, node: Unary) -> Lowered:
        inner = self.lower(node.operand)
        if node.op == "not":
            self._need_condition(node.operand, inner)
            return replace(inner, steps=(*inner.steps, Step(Code.NOT)))
        self._neednumber(node.operand, inner)
        if inner.constant is not None:
            return number(-inner.constant, inner.unit)
        if inner.unit == "degC":
            raise self.source.problem(node.at, "a temperature in degC cannot be negated", expected="a difference in K")
        return replace(inner, steps=(*inner.steps, Step(Code.NEG)))

    def _arithmetic(self, node: Binary) -> Lowered:
        left, right = self.lower(node.left), self.lower(node.right)
        self._neednumber(node.left, left)
        self._neednumber(node.right, right)
        if node.op in "+-":
            unit = dimension.added(left.unit, right.unit, node.op == "-")
            if unit is None:
                raise self._mismatch(node, left, right)
        else:
            unit = dimension.multiplied(left.unit, right.unit, node.op == "/")
            if unit is None:
                raise self.source.problem(
                    node.at,
                    "these units cannot be combined",
                    expected="a plain number on one side",
                    found=f"{left.unit} {node.op} {right.unit}",
                )
        a, b = left.constant, right.constant
        if a is not None and b is not None:
            if node.op == "/" and b == 0:
                raise self.source.problem(node.at, "division by zero")
            folded = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else math.nan}[node.op]
            return number(folded, unit)
        return self._joined(node.at, left, right, Step(_ARITHMETIC[node.op]), unit)

    def _joined(
        self, at: int, left: Lowered, right: Lowered, last: Step, unit: str, condition: bool = False
    ) -> Lowered:
        if left.width and right.width and left.width != right.width:
            raise self.source.problem(
                at, "vectors of different length", expected=f"{left.width} elements", found=f"{right.width} elements"
            )
        return Lowered(
            (*left.steps, *right.steps, last),
            unit,
            condition,
            (),
            max(left.width, right.width),
            left.reported_alone and right.reported_alone,
        )

    def _relation(self, node: Binary) -> Lowered:
        left, right = self._sides(node)
        code = _RELATION[node.op]
        if left.constant is not None and right.constant is not None:
            raise self.source.problem(node.at, "both sides are constants, so this never changes", expected="a quantity")
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
        self._neednumber(node.left, left, labels=True)
        if label_right:
            return left, self._labelled(node.right, label_right, left)
        right = self.lower(node.right)
        self._neednumber(node.right, right, labels=True)
        if left.labels and right.labels:
            shorter = min(len(left.labels), len(right.labels))
            if left.labels[:shorter] != right.labels[:shorter]:
                raise self.source.problem(
                    node.at, "different labels", expected=", ".join(left.labels), found=", ".join(right.labels)
                )
        for labels, other, at in ((left.labels, right, node.right), (right.labels, left, node.left)):
            if labels and not other.labels and other.constant not in range(len(labels)):
                raise self.source.problem(
                    _start(at),
                    "no such label",
                    expected="one of " + ", ".join(labels),
                    found="a quantity" if other.constant is None else f"{other.constant:g} {other.unit}",
                )
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
            raise self.source.problem(
                node.at,
                "unknown name",
                expected=f"a value in {other.unit}",
                found=repr(label),
                close=nearest(label, self.scope.table.names()),
            )
        if label not in other.labels:
            raise self.source.problem(
                node.at,
                "no such label",
                expected="one of " + ", ".join(other.labels),
                found=repr(label),
                close=nearest(label, other.labels),
            )
        return number(float(other.labels.index(label)), "1")

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
            self._neednumber(node.args[0], inner)
            if inner.unit == "degC":
                raise self.source.problem(
                    node.at, "a temperature in degC has no magnitude", expected="a difference in K"
                )
            if inner.constant is not None:
                return number(abs(inner.constant), inner.unit)
            return replace(inner, steps=(*inner.steps, Step(Code.ABS)))
        code = Code.MIN if node.function == "min" else Code.MAX
        if len(node.args) == 1:
            return self._fold(node, self._looped(node), code)
        made = self.lower(node.args[0])
        self._neednumber(node.args[0], made)
        for argument in node.args[1:]:
            more = self.lower(argument)
            self._neednumber(argument, more)
            if not dimension.same(made.unit, more.unit):
                raise self._mismatch(Binary(argument.at, ",", node.args[0], argument), made, more)
            if made.constant is not None and more.constant is not None:
                pick = min if code == Code.MIN else max
                made = number(pick(made.constant, more.constant), made.unit)
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
            raise self.source.problem(
                node.at, "a loop over a vector inside another", expected="one any/all/max/min at a time"
            )
        self.in_loop = True
        inner = self.lower(argument)
        self.in_loop = False
        if not inner.width:
            raise self.source.problem(
                _start(argument),
                f"{node.function}() wants a vector",
                expected="a quantity with more than one element, without an index",
            )
        return inner

    def _fold(self, node: Call, inner: Lowered, code: Code) -> Lowered:
        argument = node.args[0]
        if code in (Code.AND, Code.OR):
            self._need_condition(argument, inner)
        else:
            self._neednumber(argument, inner)
        loop = Step(Code.NEXT, turns=inner.width, fold=code, body=inner.steps)
        return replace(inner, steps=(loop,), width=0)

    def _need_condition(self, node: Node, found: Lowered) -> None:
        if not found.condition:
            what = "a labelled quantity; compare it with ==" if found.labels else f"a value in {found.unit}"
            raise self.source.problem(_start(node), "a condition is needed here", expected="a comparison", found=what)

    def _neednumber(self, node: Node, found: Lowered, labels: bool = False) -> None:
        if found.condition:
            raise self.source.problem(_start(node), "a value is needed here", expected="a number", found="a condition")
        if found.labels and not labels:
            raise self.source.problem(
                _start(node),
                "labels cannot be reckoned with",
                expected="'==' or '!=' and one of " + ", ".join(found.labels),
            )

    def _mismatch(self, node: Binary, left: Lowered, right: Lowered) -> InputError:
        return self.source.problem(
            _start(node.right),
            "the units do not fit",
            expected=expected_text(left.unit),
            found=f"a value in {right.unit}" if right.unit != "1" else "a plain number",
        )
