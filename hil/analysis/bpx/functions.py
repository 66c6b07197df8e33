"""The functions of a BPX file: a number, an expression of x, or a table, as functions of numpy arrays.

The packages that read BPX run an expression as Python code, ``exit(x)`` included. Here it is read by a grammar of its
own, and a file is given to them only when every text in it has passed this one.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import InputError, Problem

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

LONGEST = 20_000  # characters of an expression
DEEPEST = 200  # brackets and operators inside one another
NAMES: Mapping[str, Callable[[Floats], Floats]] = MappingProxyType({"exp": np.exp, "tanh": np.tanh, "cosh": np.cosh})
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.Pow: operator.pow,
    }
)
_EXPECTED = f"numbers, x, + - * / **, brackets and {', '.join(sorted(NAMES))}"


def function_of(value: object, where: str) -> Function:
    """The function that ``value`` stands for: a number, an expression of x, or ``{"x": [...], "y": [...]}``.

    A table is straight lines between its points, held beyond its ends. Raises InputError, told at ``where``.
    """
    if isinstance(value, bool) or value is None:
        raise InputError(Problem(where, expected="a number, an expression of x or a table", found=repr(value)))
    if isinstance(value, int | float):
        return _constant(_finite(value, where))
    if isinstance(value, str):
        return expression(value, where)
    if isinstance(value, Mapping):
        return _table(value, where)
    raise InputError(Problem(where, expected="a number, an expression of x or a table", found=type(value).__name__))


def expression(text: str, where: str) -> Function:
    """The function that an expression of x stands for. Raises InputError for anything beyond the grammar."""
    if len(text) > LONGEST:
        raise InputError(Problem(where, expected=f"at most {LONGEST} characters", found=str(len(text))))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the syntax of Python, such as 1or x; refused below
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(Problem(where, expected=_EXPECTED, found=repr(text[:60]))) from error
    inner = _compiled(tree, where, 0)

    def evaluated(x: Floats) -> Floats:
        with np.errstate(all="ignore"):  # what is not finite is told by whoever evaluates, with the place
            return np.asarray(inner(np.asarray(x, np.float64)) + np.zeros_like(x, np.float64))

    return evaluated


def _compiled(node: ast.expr, where: str, depth: int) -> Function:
    """The node as a function; only what the grammar of BPX has."""
    if depth > DEEPEST:
        raise InputError(Problem(where, expected=f"an expression at most {DEEPEST} levels deep", found="a deeper one"))
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _constant(_finite(number, where))
        case ast.Name(id="x"):
            return lambda x: x
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            inner = _compiled(operand, where, depth + 1)
            return (lambda x: -inner(x)) if isinstance(sign, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            first, second = _compiled(left, where, depth + 1), _compiled(right, where, depth + 1)
            act = _OPERATORS[type(op)]
            return lambda x: np.asarray(act(first(x), second(x)), np.float64)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in NAMES:
            of, outer = _compiled(argument, where, depth + 1), NAMES[name]
            return lambda x: outer(of(x))
    raise InputError(Problem(where, expected=_EXPECTED, found=repr(_text(node))))


def _text(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:60]
    except (RecursionError, ValueError):
        return type(node).__name__


def _constant(number: float) -> Function:
    value = np.float64(number)
    return lambda x: np.full_like(np.asarray(x, np.float64), value)


def _finite(value: float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(Problem(where, expected="a finite number", found=repr(number)))
    return number


def _table(value: Mapping[str, Any], where: str) -> Function:
    """Points in any order of x, which no two may share."""
    columns = [value.get(key) for key in ("x", "y")]
    if set(value) != {"x", "y"} or not all(isinstance(c, list) and len(c) >= 2 for c in columns):
        raise InputError(Problem(where, expected='a table {"x": [...], "y": [...]}', found=f"{sorted(value)[:4]}"))
    numbers: list[Floats] = []
    for key, column in zip("xy", columns, strict=True):
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in column or ()):
            raise InputError(Problem(f"{where}, {key}", expected="numbers", found="something else"))
        numbers.append(np.array([_finite(v, f"{where}, {key}") for v in column or ()]))
    xs, ys = numbers
    if len(xs) != len(ys):
        raise InputError(Problem(where, expected="as many y as x", found=f"{len(xs)} x, {len(ys)} y"))
    order = np.argsort(xs, kind="stable")
    xs, ys = xs[order], ys[order]
    if (np.diff(xs) <= 0.0).any():
        raise InputError(Problem(f"{where}, x", expected="no value twice", found="one that is"))
    return lambda x: np.interp(np.asarray(x, np.float64), xs, ys)
