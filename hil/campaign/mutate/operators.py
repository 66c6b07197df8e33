"""What is changed: one class of mutation each, with its meaning. The order is the order of the mutants.

An operator sees one node and where it stands, and gives pairs of a node (itself or one inside it) and what may stand in
its stead: one mutant each.
Chosen so that few mutants behave like the original: text is never changed, and a first assignment to a name is
never deleted, for the NameError would say nothing about the judges.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ARITHMETIC: tuple[tuple[type[ast.operator], type[ast.operator]], ...] = (
    (ast.Add, ast.Sub),
    (ast.Sub, ast.Add),
    (ast.Mult, ast.Div),
    (ast.Div, ast.Mult),
    (ast.Pow, ast.Mult),
    (ast.FloorDiv, ast.Mult),
    (ast.Mod, ast.Mult),
    (ast.MatMult, ast.Mult),
    (ast.LShift, ast.RShift),
    (ast.RShift, ast.LShift),
    (ast.BitAnd, ast.BitOr),
    (ast.BitOr, ast.BitAnd),
    (ast.BitXor, ast.BitOr),
)
BOUNDARY: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    (ast.Lt, ast.LtE),
    (ast.LtE, ast.Lt),
    (ast.Gt, ast.GtE),
    (ast.GtE, ast.Gt),
)
NEGATION: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    (ast.Lt, ast.GtE),
    (ast.LtE, ast.Gt),
    (ast.Gt, ast.LtE),
    (ast.GtE, ast.Lt),
    (ast.Eq, ast.NotEq),
    (ast.NotEq, ast.Eq),
    (ast.Is, ast.IsNot),
    (ast.IsNot, ast.Is),
    (ast.In, ast.NotIn),
    (ast.NotIn, ast.In),
)
OTHER_CALL = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "fmin": "fmax", "fmax": "fmin",
    "argmin": "argmax", "argmax": "argmin", "floor": "ceil", "ceil": "floor", "sin": "cos", "cos": "sin",
    "any": "all", "all": "any",
}  # fmt: skip
DROPPED = frozenset(  # not float and bool, which mostly speak to the type checker
    "abs fabs absolute exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan tanh sinh cosh atan floor ceil trunc "
    "round int sorted reversed".split()
)
TYPES = frozenset("int float str bool bytes tuple list dict set object type".split())


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: its function, None at module level, and the names that are bound before it."""

    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    bound: frozenset[str]


Change = tuple[ast.AST, ast.AST]
Variants = Callable[[ast.AST, Place], Iterator[Change]]


@dataclass(frozen=True, slots=True)
class Operator:
    """A named class of mutation."""

    name: str
    meaning: str
    variants: Variants


def arithmetic(node: ast.AST, place: Place) -> Iterator[Change]:
    """Joining texts is no arithmetic."""
    if not isinstance(node, ast.BinOp | ast.AugAssign):
        return
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    if any(isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and isinstance(s.value, str)) for s in sides):
        return
    for old, new in ARITHMETIC:
        if isinstance(node.op, old):
            if isinstance(node, ast.BinOp):
                yield node, ast.BinOp(node.left, new(), node.right)
            else:
                yield node, ast.AugAssign(node.target, new(), node.value)


def sign(node: ast.AST, place: Place) -> Iterator[Change]:
    """``-x`` to ``x``, ``~x`` to ``x``."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        yield node, node.operand


def _compared(node: ast.AST, table: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...]) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            for old, new in table:
                if isinstance(op, old):
                    yield node, ast.Compare(node.left, [*node.ops[:k], new(), *node.ops[k + 1 :]], node.comparators)


def boundary(node: ast.AST, place: Place) -> Iterator[Change]:
    """Each comparison of a chain on its own."""
    return _compared(node, BOUNDARY)


def negation(node: ast.AST, place: Place) -> Iterator[Change]:
    """Each comparison of a chain on its own."""
    return _compared(node, NEGATION)


def logic(node: ast.AST, place: Place) -> Iterator[Change]:
    """``and`` to ``or`` and back, ``not x`` to ``x``."""
    if isinstance(node, ast.BoolOp):
        yield node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, node.operand


def number(value: float) -> ast.expr:
    """A number as Python writes it: a negative one is a minus before a constant."""
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def constant(node: ast.AST, place: Place) -> Iterator[Change]:
    """Truth is flipped, a whole number moved by one both ways, a real one doubled and zeroed (0 becomes 1)."""
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield node, ast.Constant(not value)
    elif isinstance(value, int):
        yield from ((node, number(value + 1)), (node, number(value - 1)))
    elif isinstance(value, float):
        yield from ((node, number(new)) for new in ((value * 2.0, 0.0) if value != 0.0 else (1.0,)))


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def other_call(node: ast.AST, place: Place) -> Iterator[Change]:
    """``min`` to ``max``, ``floor`` to ``ceil`` and the like, also of a module or an array."""
    name = OTHER_CALL.get(_called(node))
    if isinstance(node, ast.Call) and name is not None:
        if isinstance(node.func, ast.Name):
            yield node.func, ast.Name(name, ast.Load())
        elif isinstance(node.func, ast.Attribute):
            yield node.func, ast.Attribute(node.func.value, name, ast.Load())


def drop_call(node: ast.AST, place: Place) -> Iterator[Change]:
    """``abs(x)`` to ``x``: functions of one number, in functions: module constants only change their type by it."""
    if (
        place.function is not None
        and isinstance(node, ast.Call)
        and _called(node) in DROPPED
        and len(node.args) == 1
        and not node.keywords
    ):
        if not isinstance(node.args[0], ast.Starred):
            yield node, node.args[0]


def _zero_of(value: ast.expr, place: Place) -> ast.expr:
    """What stands for nothing: zeros for a tuple, False, 0 or an empty text where the annotation says so."""
    if isinstance(value, ast.Tuple):
        return ast.Tuple([ast.Constant(0.0) for _ in value.elts], ast.Load())
    returns = place.function.returns if place.function is not None else None
    name = ast.unparse(returns) if returns is not None else ""
    if name == "bool" or isinstance(value, ast.Compare | ast.BoolOp):
        return ast.Constant(False)
    if name in ("int", "str"):
        return ast.Constant(0 if name == "int" else "")
    return ast.Constant(0.0 if name in ("", "float") else None)


def return_zero(node: ast.AST, place: Place) -> Iterator[Change]:
    """What is zero, False, empty or None already stays."""
    if isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and not node.value.value):
            yield node.value, _zero_of(node.value, place)


def _names(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _names(part)
    else:
        yield target.value if isinstance(target, ast.Starred) else target


def delete(node: ast.AST, place: Place) -> Iterator[Change]:
    """Assignments to fields, elements and names that are bound before, augmented ones, and calls for their effect."""
    if place.function is None:
        return
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield node, ast.Pass()
    if isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        leaves = [leaf for target in targets for leaf in _names(target)]
        if all(not isinstance(leaf, ast.Name) or leaf.id in place.bound for leaf in leaves):
            yield node, ast.Pass()


def loop_exit(node: ast.AST, place: Place) -> Iterator[Change]:
    """``break`` to ``continue`` and back."""
    if isinstance(node, ast.Break | ast.Continue):
        yield node, ast.Continue() if isinstance(node, ast.Break) else ast.Break()


def _indices(at: ast.expr | None) -> Iterator[ast.expr]:
    """The parts of an index. A constant, as in ``i + 1``, is the business of ``constant``; text and types are none."""
    plain = at.operand if isinstance(at, ast.UnaryOp) else at.right if isinstance(at, ast.BinOp) else at
    if isinstance(at, ast.Slice):
        yield from (*_indices(at.lower), *_indices(at.upper))
    elif isinstance(at, ast.Tuple):
        for part in at.elts:
            yield from _indices(part)
    elif not isinstance(plain, ast.Constant | ast.JoinedStr | ast.Starred | None):
        if not (isinstance(at, ast.Name) and at.id in TYPES):
            assert at is not None
            yield at


def index(node: ast.AST, place: Place) -> Iterator[Change]:
    """Each index of several, and each end of a slice, on its own."""
    if isinstance(node, ast.Subscript):
        for at in _indices(node.slice):
            yield at, ast.BinOp(at, ast.Add(), ast.Constant(1))
            yield at, ast.BinOp(at, ast.Sub(), ast.Constant(1))


def branch(node: ast.AST, place: Place) -> Iterator[Change]:
    """Always and never; a loop only never."""
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Constant):
        for always in (False,) if isinstance(node, ast.While) else (True, False):
            yield node.test, ast.Constant(always)


OPERATORS: tuple[Operator, ...] = (
    Operator(
        "arithmetic", "+ and - swapped, * and / swapped; **, //, % and @ become *; << >> & | ^ swapped", arithmetic
    ),
    Operator("sign", "a minus (or ~) before a value removed", sign),
    Operator("boundary", "< and <= swapped, > and >= swapped", boundary),
    Operator("negation", "a comparison turned into its opposite", negation),
    Operator("logic", "and / or swapped, not removed", logic),
    Operator(
        "constant", "whole numbers +1 and -1, real numbers doubled and zeroed (0.0 to 1.0), truth flipped", constant
    ),
    Operator("other_call", "min / max, floor / ceil, sin / cos, any / all swapped", other_call),
    Operator("drop_call", "abs, exp, log, sqrt, sin, round, ... of x replaced by x", drop_call),
    Operator(
        "return_zero", "a returned value replaced by 0, False, an empty text, None or zeros of a tuple", return_zero
    ),
    Operator("delete", "an assignment, an augmented assignment or a call for its effect left out", delete),
    Operator("loop_exit", "break and continue swapped", loop_exit),
    Operator("index", "an index or an end of a slice moved by one, both ways", index),
    Operator("branch", "the condition of if, while and a if b else c forced to true and to false", branch),
)
