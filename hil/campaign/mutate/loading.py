"""Fresh copies of modules, one of them mutated, wired to each other and to nothing of the originals.

The copies run as plain Python: ``@kernel`` is taken off. Their imports go through an ``__import__`` of their own, which hands
out the copies and leaves everything else to Python, so that ``sys.modules`` never hears of them and imports inside functions
find the copies too. (``importlib.import_module`` called by the code under test gives the original.)
"""

import ast
import builtins
import importlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from hil.campaign.mutate import probes
from hil.errors import InputError, Problem

STRIPPED = frozenset({"kernel"})


class Copies:
    """The copies: ``copies["hil.plant.circuit"]``, or ``copies.circuit`` where one module alone ends so."""

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = dict(modules)

    def __getitem__(self, name: str) -> ModuleType:
        return self._modules[name]

    def __getattr__(self, name: str) -> ModuleType:
        ending = [m for m in self.__dict__.get("_modules", {}) if m.rsplit(".", 1)[-1] == name]
        if len(ending) != 1:
            raise AttributeError(f"{'no' if not ending else 'more than one'} copy of a module ends with {name!r}")
        return self._modules[ending[0]]


class Loader:
    """Makes copies of ``modules`` again and again; what is not mutated is compiled once."""

    def __init__(self, modules: Sequence[str]) -> None:
        """Find and parse the modules. Raises InputError where one is missing, or where they import each other in a
        circle."""
        self.meter = probes.Meter()
        self.sources = {name: source_of(name) for name in modules}
        for name in modules:
            importlib.import_module(name)  # the library looks up a class's module by name, as dataclass does
        self._places = {name: _place_of(name) for name in modules}
        self.order = _ordered({name: _needs(name, text, set(modules)) for name, text in self.sources.items()})
        self._compiled: dict[tuple[str, bool], CodeType] = {}

    def load(self, mutated: Mapping[str, str] | None = None, hits: Mapping[str, set[int]] | None = None) -> Copies:
        """Copies with other sources for some modules.

        ``hits`` collects the lines of the statements that functions execute from now on, by module. Raises whatever
        the code of a module raises.
        """
        wiring = _Wiring(self.order)
        for name in self.order:
            fresh = wiring.copies[name]
            fresh.__dict__.update(self._places[name])
            fresh.__dict__["__builtins__"] = {**vars(builtins), "__import__": wiring.importer}
            fresh.__dict__.update(probes.names(self.meter, hits[name].add if hits is not None else id))
            exec(self._code(name, mutated, hits is not None), fresh.__dict__)  # noqa: S102 - a copy of our own source
        return Copies(wiring.copies)

    def _code(self, name: str, mutated: Mapping[str, str] | None, statements: bool) -> CodeType:
        if mutated is not None and name in mutated:
            return _compiled(name, mutated[name], statements)
        key = (name, statements)
        if key not in self._compiled:
            self._compiled[key] = _compiled(name, self.sources[name], statements)
        return self._compiled[key]


def source_of(module: str) -> str:
    """The source of a module, by way of Python's own search; only its packages are imported.

    Raises InputError where there is no such module or it has no source.
    """
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise InputError(Problem("no such module, or one without a source", found=module))
    return Path(spec.origin).read_text("utf-8")


def _compiled(name: str, source: str, statements: bool) -> CodeType:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = [d for d in node.decorator_list if ast.unparse(d).rpartition(".")[2] not in STRIPPED]
    return compile(probes.woven(tree, statements), f"<copy of {name}>", "exec", dont_inherit=True)


def _needs(name: str, source: str, known: set[str]) -> set[str]:
    """Which of the known modules must be there before this one: what it imports outside functions."""
    found: set[str] = set()
    for node in _loaded(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(_package_of(name), node.module or "", node.level)
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= inner & known if inner <= known else {base, *inner}
    return (found & known) - {name}


def _loaded(node: ast.AST) -> Iterator[ast.AST]:
    """What is executed when a module is loaded."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _loaded(child)


def _absolute(package: str, module: str, level: int) -> str:
    """The full name of what ``from ..module import`` in a package means; level 0 is a full name."""
    if level == 0:
        return module
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def _package_of(name: str) -> str:
    spec = find_spec(name)
    return name if spec is not None and spec.submodule_search_locations is not None else name.rpartition(".")[0]


def _place_of(name: str) -> dict[str, Any]:
    """What a module knows of its own place."""
    spec = find_spec(name)
    assert spec is not None
    inside = {"__path__": spec.submodule_search_locations} if spec.submodule_search_locations is not None else {}
    return {"__file__": spec.origin, "__package__": _package_of(name), **inside}


def _ordered(needs: Mapping[str, set[str]]) -> tuple[str, ...]:
    """The modules so that each comes after what it needs, else in the order given. Raises InputError for a circle."""
    done: dict[str, None] = {}
    while len(done) < len(needs):
        ready = next((name for name in needs if name not in done and needs[name] <= done.keys()), None)
        if ready is None:
            circle = ", ".join(sorted(needs.keys() - done.keys()))
            raise InputError(Problem("modules import each other in a circle", found=circle))
        done[ready] = None
    return tuple(done)


class _Wiring:
    """One set of copies, still empty, and the ``__import__`` they share.

    Packages above the copies that are no copies themselves have a stand-in with the names of the original, so that
    ``from package import module`` and ``package.module`` give the copy.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.copies = {name: ModuleType(name) for name in names}
        above = {name.rsplit(".", k)[0] for name in names for k in range(1, name.count(".") + 1)}
        self._seen = {name: _stand_in(name) for name in sorted(above - self.copies.keys())} | self.copies
        for name, module in self._seen.items():
            package, _, last = name.rpartition(".")
            if package:
                setattr(self._seen[package], last, module)

    def importer(
        self,
        name: str,
        globals_: Mapping[str, Any] | None = None,
        locals_: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """What ``import`` in a copy calls."""
        base = _absolute(str((globals_ or {}).get("__package__")), name, level)
        top = base.partition(".")[0]
        if top not in self._seen or (fromlist and base not in self._seen):
            return builtins.__import__(name, globals_, locals_, fromlist or (), level)
        if fromlist:
            for item in fromlist:
                self._complete(base, item)
            return self._seen[base]
        for k in range(1, base.count(".") + 1):
            self._complete(".".join(base.split(".")[:k]), base.split(".")[k])
        return self._seen[top]

    def _complete(self, package: str, item: str) -> None:
        """Let a stand-in know a module of the original package that had not been imported yet."""
        seen = self._seen.get(package)
        if seen is not None and item != "*" and not hasattr(seen, item) and find_spec(f"{package}.{item}") is not None:
            setattr(seen, item, importlib.import_module(f"{package}.{item}"))


def _stand_in(package: str) -> ModuleType:
    made = ModuleType(package)
    made.__dict__.update(vars(importlib.import_module(package)))
    return made
