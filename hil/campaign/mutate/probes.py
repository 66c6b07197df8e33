"""What copies of modules executed: statements, and how far they went, counted in calls and turns of loops.

Both come from calls woven into the tree before it is compiled, not from ``sys.settrace``: that would slow down every
function of every library below a judge, get in the way of a debugger, and count lines, whose number depends on the
version of Python. An endless loop is thus found by a count that is the same on every machine.
"""

import ast
from collections.abc import Callable
from typing import Any

TICK, HIT = "__tick__", "__hit__"
FACTOR, SPARE = 20, 10_000  # of what the healthy code takes; a mutant may well take longer, but not that much
NO_LIMIT = 1 << 62


class Endless(BaseException):
    """A mutant went on for much longer than the healthy code; no ``except Exception`` under test can hide it."""


class Meter:
    """Counts calls and turns; raises Endless when they are more than ``limit``, and goes on raising it."""

    __slots__ = ("limit", "ticks")

    def __init__(self) -> None:
        self.ticks, self.limit = 0, NO_LIMIT

    def begin(self, limit: int = NO_LIMIT) -> None:
        """Start from 0."""
        self.ticks, self.limit = 0, limit

    def tick(self) -> bool:
        """One call or one turn more; true, so that it may stand among the conditions of a comprehension."""
        self.ticks += 1
        if self.ticks > self.limit:
            raise Endless(f"went on for more than {self.limit} calls and turns of loops")
        return True

    @property
    def exceeded(self) -> bool:
        """Whether the limit was passed since ``begin``, even if somebody swallowed the exception."""
        return self.ticks > self.limit


def limit_of(healthy: int) -> int:
    """How far a mutant may go where the healthy code took ``healthy`` ticks."""
    return FACTOR * healthy + SPARE


def woven(tree: ast.Module, statements: bool) -> ast.Module:
    """The tree with ticks, and with hits before every statement of a function; changes it in place."""
    _weave(tree, False, statements)
    return tree


def names(meter: Meter, hit: Callable[[int], Any]) -> dict[str, Any]:
    """What the woven calls of one module mean."""
    return {TICK: meter.tick, HIT: hit}


def _weave(node: ast.AST, inside: bool, statements: bool) -> None:
    """Ticks at the beginning of functions, loops and comprehensions; hits before statements ``inside`` a function."""
    function = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
    first = 1 if function is not None and ast.get_docstring(function, clean=False) is not None else 0
    for name, value in ast.iter_fields(node):
        here = inside or (function is not None and name == "body")
        children = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, ast.AST)]
        for child in children:
            _weave(child, here, statements)
        if statements and here and children and all(isinstance(child, ast.stmt) for child in children):
            if isinstance(value, list):
                kept = first if name == "body" else 0
                woven_in = [x for child in value[kept:] for x in (_call(child, HIT, child.lineno), child)]
                setattr(node, name, [*value[:kept], *woven_in])
    if function is not None:
        function.body.insert(first, _call(function, TICK))
    elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
        node.body.insert(0, _call(node, TICK))
    elif isinstance(node, ast.comprehension):
        node.ifs.insert(0, _call(node.target, TICK).value)


def _call(near: ast.AST, name: str, *arguments: int) -> ast.Expr:
    made = ast.Expr(ast.Call(ast.Name(name, ast.Load()), [ast.Constant(a) for a in arguments], []))
    return ast.fix_missing_locations(ast.copy_location(made, near))
