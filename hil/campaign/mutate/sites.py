"""Where a module can be changed: every mutant of a source text, in the order of the text.

A mutant is an edit of the text, so that comments and layout stay and a diff shows one place. ``check`` proves that the edited
text parses to the tree with exactly one node replaced.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hil.campaign.mutate.nouns import MODULE_LEVEL, Mutant
from hil.campaign.mutate.operators import OPERATORS, Operator, Place
from hil.errors import InputError, InternalError, Problem

Function = ast.FunctionDef | ast.AsyncFunctionDef
ATOMS = ast.Constant | ast.Name | ast.Call | ast.Attribute | ast.Subscript | ast.Tuple
LEFT_ALONE = frozenset({"annotation", "returns", "decorator_list", "type_comment"})


@dataclass(frozen=True, slots=True)
class Stand:
    """What stands around a node: the path of functions and classes, the statement, the names bound before."""

    path: tuple[str, ...] = ()
    function: Function | None = None
    statement: int = 0
    bound: frozenset[str] = frozenset()
    alone: bool = True  # a statement, or an expression that is all of a part of one


def mutants_of(module: str, source: str) -> tuple[Mutant, ...]:
    """Every mutant of a module, in the order of its text; ``source`` is that of the module ``module``."""
    lines = _Lines(source)
    found: list[Mutant] = []
    seen: set[str] = set()  # two operators, or one at two nodes, may make the same text
    numbers: Counter[tuple[int, str]] = Counter()  # two nodes may begin at one place
    for node, stand in _walk(ast.parse(source), Stand()):
        for operator in OPERATORS:
            place = Place(stand.function, stand.bound)
            for old, new in operator.variants(node, place):
                mutant = _mutant(module, lines, stand, operator, old, new)
                text = mutant.applied(source)
                if text not in seen:
                    seen.add(text)
                    found.append(replace(mutant, number=numbers[mutant.start, operator.name]))
                    numbers[mutant.start, operator.name] += 1
    return tuple(sorted(found, key=lambda m: (m.start, m.end)))


def file_of(root: Path, module: str) -> Path:
    """The file of a module below ``root``, found without importing anything. Raises InputError where there is none."""
    plain = root / Path(*module.split("."))
    for path in (plain.with_suffix(".py"), plain / "__init__.py"):
        if path.is_file():
            return path
    raise InputError(Problem("no such module", str(root), found=module))


def _walk(node: ast.AST, stand: Stand, parent: ast.AST | None = None) -> Iterator[tuple[ast.AST, Stand]]:
    """Every node that may be changed, with its stand: no annotations, decorators, texts, imports, raises, asserts."""
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Raise | ast.Assert):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
        "__name__ == '__main__'",
    ):
        return
    if isinstance(node, ast.stmt) and stand.function is not None:
        stand = replace(stand, statement=node.lineno, bound=_bound(stand.function, node))
    stand = replace(stand, alone=isinstance(node, ast.stmt) or isinstance(parent, ast.stmt))
    yield node, stand
    inside = _inside(node, stand)
    for name, value in ast.iter_fields(node):
        if name in LEFT_ALONE:
            continue
        here = inside if name == "body" and isinstance(node, Function | ast.ClassDef) else stand
        for child in value if isinstance(value, list) else (value,):
            if isinstance(child, ast.AST):
                yield from _walk(child, here, node)


def _inside(node: ast.AST, stand: Stand) -> Stand:
    if isinstance(node, Function):
        return Stand((*stand.path, node.name), node)
    if isinstance(node, ast.ClassDef):
        return replace(stand, path=(*stand.path, node.name))
    return stand


def _bound(function: Function, before: ast.stmt) -> frozenset[str]:
    """Arguments, and the names of ``function`` that are assigned above a statement."""
    names = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.lineno < before.lineno:
            names.add(node.id)
    return frozenset(names)


class _Lines:
    """A source as bytes, for the columns of a tree count bytes."""

    def __init__(self, source: str) -> None:
        self.content = source.encode()
        self.lines = self.content.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Bytes of a node."""
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def delimited(self, start: int, end: int) -> bool:
        """Whether it stands alone between brackets or commas, where nothing binds its parts to something else."""
        before, after = self.content[:start].rstrip(), self.content[end:].lstrip()
        return before[-1:] in (b"(", b"[", b"{", b",", b":") and after[:1] in (b")", b"]", b"}", b",", b":")

    def apart(self, start: int, text: str, end: int) -> str:
        """A text with a blank where it would run into the word before or after: ``return-x`` becomes ``return x``."""
        before, after = (part.decode("latin-1") for part in (self.content[:start][-1:], self.content[end : end + 1]))
        glued = f"_{before}{text[:1]}".isidentifier() and before, f"_{text[-1:]}{after}".isidentifier() and after
        return f"{' ' if glued[0] else ''}{text}{' ' if glued[1] else ''}"


def _mutant(module: str, lines: _Lines, stand: Stand, operator: Operator, old: ast.AST, new: ast.AST) -> Mutant:
    start, end = lines.span(old)
    text = ast.unparse(new)
    if not (isinstance(new, ATOMS | ast.stmt) or stand.alone or lines.delimited(start, end)):
        text = f"({text})"
    text = lines.apart(start, text, end)
    assert isinstance(old, ast.expr | ast.stmt)
    row = stand.statement or old.lineno
    return Mutant(
        module,
        ".".join(stand.path) or MODULE_LEVEL,
        old.lineno,
        start - lines.starts[old.lineno - 1] + 1,
        operator.name,
        0,
        lines.content[start:end].decode(),
        text,
        start,
        end,
        stand.statement,
        lines.lines[row - 1].decode().strip(),
    )


def check(mutant: Mutant, source: str) -> None:
    """Raises InternalError unless the edited text parses to the original tree with exactly the mutant's node replaced."""
    lines = _Lines(source)
    old: ast.AST = ast.parse(source)
    try:
        new: ast.AST = ast.parse(mutant.applied(source))
    except SyntaxError as error:
        raise InternalError(f"{mutant.id}: the mutant does not parse: {error}") from error
    while not (isinstance(old, ast.expr | ast.stmt) and lines.span(old) == (mutant.start, mutant.end)):
        apart = _apart(old, new)
        if len(apart) != 1:
            raise InternalError(f"{mutant.id}: the mutant differs in more than its own node")
        old, new = apart[0]
    if _same(old, new):
        raise InternalError(f"{mutant.id}: the mutant is the original")


def _apart(one: ast.AST, other: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
    """Children in which two nodes of one kind differ; none where they themselves do."""
    pairs: list[tuple[ast.AST, ast.AST]] = []
    if type(one) is not type(other):
        return []
    for name in one._fields:
        a, b = getattr(one, name, None), getattr(other, name, None)
        left, right = (x if isinstance(x, list) else [x] for x in (a, b))
        if len(left) != len(right):
            return []
        for x, y in zip(left, right, strict=True):
            if isinstance(x, ast.AST) and isinstance(y, ast.AST):
                pairs += [] if _same(x, y) else [(x, y)]
            elif x != y or type(x) is not type(y):
                return []
    return pairs


def _same(one: object, other: object) -> bool:
    """Whether two trees are equal, places apart."""
    if type(one) is not type(other):
        return False
    if isinstance(one, ast.AST):
        return all(_same(getattr(one, name, None), getattr(other, name, None)) for name in one._fields)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
