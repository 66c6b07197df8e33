"""The project's own laws about its code: sizes, state, clocks, names with units, records, imports, documents."""

import ast
import importlib
import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hil
from hil.kernel import FORBIDDEN_FIELDS, dtype_of

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "hil").rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in SOURCES}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Exceptions from the size laws: "path" or "path:name" -> the reason. Keep it short.
TOO_BIG: dict[str, str] = {}

# Names that carry no unit because they have none: counts, indices, flags, ratios, identifiers, levels.
DIMENSIONLESS = frozenset(
    "n lost id bits dlc source payload slot wire level seed count index kind point group column gain protection "
    "counter hvil wake auxiliary coil bleed open_wire_test wake_hold sense_open bus_load trip element value soc".split()
)
# Names that look like a time but are a column of the row, a place in a sequence or a count. name -> what it is
NOT_A_TIME = {
    "coil_t": "columns of the edge times",
    "pole_t": "columns of the edge times",
    "dtc_t": "columns of the change times",
    "scan_phase": "number of the phase of a scan",
    "phase": "number of a phase of a step or a task",
    "period": "task activations between two frames",
}
UNITS = frozenset(
    "ns us ms s v mv uv a ma w j k degc ohm kohm hz f ah as mas uas c kwh wh m kg pct permille ppm per "
    "s2 jpk wpk siemens v2 as_ j_per_k w_per_k a_per_s v_per_k".split()
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    return ((path, node) for path, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, kind))


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {relative(p): len(p.read_text("utf-8").splitlines()) for p in SOURCES}
    assert {p: n for p, n in lengths.items() if n > 400 and p not in TOO_BIG} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    long = {f"{relative(p)}:{n.name}": n.end_lineno - n.lineno + 1 for p, n in nodes(FUNCTIONS)}
    assert {k: v for k, v in long.items() if v > 50 and k not in TOO_BIG} == {}


def test_no_class_has_more_than_10_public_methods() -> None:
    wide = {}
    for path, node in nodes(ast.ClassDef):
        methods = [m.name for m in node.body if isinstance(m, FUNCTIONS) and not m.name.startswith("_")]
        wide[f"{relative(path)}:{node.name}"] = len(methods)
    assert {k: v for k, v in wide.items() if v > 10 and k not in TOO_BIG} == {}


def test_every_size_exception_is_still_needed_and_says_why() -> None:
    for place, reason in TOO_BIG.items():
        assert (ROOT / place.split(":")[0]).is_file(), place
        assert len(reason) > 20, place


MUTATORS = frozenset("append add update extend insert pop popitem remove discard clear setdefault sort reverse".split())
CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def module_names(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {t.id for t in targets if isinstance(t, ast.Name)}
    return found


def test_no_function_reaches_for_a_global_or_a_nonlocal() -> None:
    assert [(relative(p), n.lineno) for p, n in nodes((ast.Global, ast.Nonlocal))] == []


def test_module_level_containers_are_constants_that_nothing_changes() -> None:
    found = []
    for path, tree in TREES.items():
        for node in tree.body:
            if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not isinstance(node.value, CONTAINERS):
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and not (target.id.isupper() or target.id == "__all__"):
                found.append(f"{relative(path)}:{node.lineno} {target.id}")
        found += [f"{relative(path)}:{line}" for line in changes(tree, module_names(tree))]
    assert found == []


def local_names(function: ast.AST) -> set[str]:
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}


def changes(tree: ast.Module, names: set[str]) -> Iterator[int]:
    """Lines inside functions that change a module-level object of one of these names in place."""
    for function in ast.walk(tree):
        if not isinstance(function, FUNCTIONS):
            continue
        own = names - local_names(function)
        for node in ast.walk(function):
            if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
                if isinstance(node.value, ast.Name) and node.value.id in own:
                    yield node.lineno
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
                if isinstance(node.func.value, ast.Name) and node.func.value.id in own:
                    yield node.lineno


def test_the_mutation_rule_sees_a_mutation() -> None:
    tree = ast.parse("CACHE = {}\ndef f(k):\n    CACHE[k] = 1\ndef g(k):\n    CACHE.update(k)\n")
    assert list(changes(tree, module_names(tree))) == [3, 5]


WORLD = frozenset(
    "time threading socket queue select selectors asyncio multiprocessing concurrent subprocess signal sched "
    "datetime random secrets socketserver http".split()
)
WORLD_ROOMS = (
    "hil/hardware/",
    "hil/virtual/servers/",
    "hil/dashboard/",
    "hil/campaign/",
    "hil/clocks.py",
    "hil/cli/",
)
WORLD_FILES = {"hil/records/writer.py": {"threading", "queue"}, "hil/pytest_plugin.py": set()}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_no_clock_thread_socket_or_random_outside_its_rooms() -> None:
    found = []
    for path, tree in TREES.items():
        if relative(path).startswith(WORLD_ROOMS):
            continue
        allowed = WORLD_FILES.get(relative(path), set())
        for line, name in imported(tree):
            top = name.split(".")[0]
            if top in WORLD and top not in allowed:
                found.append(f"{relative(path)}:{line} {name}")
    assert found == []


def test_numpy_randomness_is_always_seeded() -> None:
    found = []
    for path, node in nodes(ast.Attribute):
        text = ast.unparse(node)
        if re.match(r"(np|numpy)\.random\.\w+$", text) and text.split(".")[-1] not in ("SeedSequence", "Generator"):
            found.append(f"{relative(path)}:{node.lineno} {text}")
    assert found == []


def test_numba_is_imported_by_the_kernel_module_alone() -> None:
    importers = {
        relative(p) for p, tree in TREES.items() for _, name in imported(tree) if name.split(".")[0] == "numba"
    }
    assert importers == {"hil/kernel.py"}


def test_nobody_imports_unittest_mock() -> None:
    found = []
    for path in sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]):
        tree = ast.parse(path.read_text("utf-8"))
        found += [
            relative(path) for _, name in imported(tree) if name.startswith(("unittest.mock", "mock", "pytest_mock"))
        ]
    assert found == []


BMS_MAY_USE = frozenset("codec protocols ports tick image units kernel errors files virtual".split())


def test_the_reference_bms_stands_on_its_own_rooms_only() -> None:
    found = []
    for path, tree in TREES.items():
        if not relative(path).startswith("hil/virtual/bms/"):
            continue
        for line, name in imported(tree):
            if not name.startswith("hil."):
                continue
            bad_room = name.split(".")[1] not in BMS_MAY_USE
            bad_virtual = name.startswith("hil.virtual") and not name.startswith("hil.virtual.bms")
            files_beyond_limits = name.startswith("hil.files") and not name.startswith("hil.files.limits")
            if bad_room or bad_virtual or files_beyond_limits:
                found.append(f"{relative(path)}:{line} {name}")
    assert found == []


def test_the_guard_stands_on_the_standard_library_protocols_and_errors_only() -> None:
    guard = [p for p in SOURCES if relative(p).startswith("hil/hardware/guard")]
    for path in guard:
        for line, name in imported(TREES[path]):
            top = name.split(".")
            fine = top[0] in sys.stdlib_module_names or name.startswith(
                ("hil.protocols", "hil.errors", "hil.hardware.guard")
            )
            assert fine, f"{relative(path)}:{line} {name}"


def modules() -> list[str]:
    return sorted(m.name for m in pkgutil.walk_packages(hil.__path__, "hil.") if "_files" not in m.name)


def records() -> list[type]:
    """Every class of the project that ``dtype_of`` can lay out: the records."""
    found: dict[str, type] = {}
    for name in modules():
        module = importlib.import_module(name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            own = cls.__module__.startswith("hil.") and cls.__dict__.get("__annotations__")
            if (
                not own
                or hasattr(cls, "__dataclass_fields__")
                or issubclass(cls, tuple)
                or hasattr(cls, "model_fields")
            ):
                continue
            try:
                dtype_of(cls)
            except (TypeError, NameError):
                continue
            found[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return [found[k] for k in sorted(found)]


RECORDS = records()


def test_the_walk_finds_the_records_of_every_stage() -> None:
    names = {r.__name__ for r in RECORDS}
    assert {
        "State",
        "Params",
        "Link",
        "DutLink",
        "PlantState",
        "TwinParams",
        "CodecState",
        "BmsState",
        "World",
    } <= names


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r.__module__}.{r.__qualname__}")
def test_every_byte_of_a_record_belongs_to_a_field_and_no_name_is_taken(record: type) -> None:
    dtype = dtype_of(record)
    covered = np.zeros(dtype.itemsize, dtype=np.int64)
    assert dtype.names is not None
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        covered[offset : offset + field.itemsize] += 1
        assert offset % field.base.alignment == 0, name
        if not name.startswith("pad"):
            assert name not in FORBIDDEN_FIELDS, name
    assert (covered == 1).all(), "hidden padding or overlapping fields"


TIMES = re.compile(r"(^|_)(t|dt|time|period|timeout|delay|duration|phase|deadline|budget|latency|since|until|age)$")
PHYSICAL = re.compile(
    r"(^|_)(voltage|volt|current|temperature|resistance|conductance|capacitance|power|energy|charge|heat|speed_limit)$"
)


def annotated(tree: ast.Module) -> Iterator[tuple[str, ast.AnnAssign]]:
    """Fields of records and dataclasses whose annotation says float or int (not of file models: those carry units in values)."""
    for cls in ast.walk(tree):
        if not isinstance(cls, ast.ClassDef) or any(
            "Model" in ast.unparse(b) or "Part" in ast.unparse(b) for b in cls.bases
        ):
            continue
        for node in cls.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if re.fullmatch(r"F64|I64|float|int|(Annotated\[)?(Floats|Ints)\b.*", ast.unparse(node.annotation)):
                    yield cls.name, node


def lacks_unit(name: str) -> bool:
    """A physical or time word at the end of a name, with no unit after it. Words of ``DIMENSIONLESS`` never need one."""
    if (
        name.startswith(("col_", "tcol_", "n_"))
        or name in DIMENSIONLESS
        or name in NOT_A_TIME
        or name.split("_")[-1] in UNITS
    ):
        return False
    return TIMES.search(name) is not None or PHYSICAL.search(name) is not None


def test_the_unit_rule_sees_a_missing_unit() -> None:
    assert all(lacks_unit(name) for name in ("pack_current", "timeout", "t"))
    assert not any(lacks_unit(name) for name in ("pack_current_a", "period_ns", "col_shown_pack_current"))


# Fields of file models: their values carry the unit in the file and are SI inside. path prefix -> reason
FILE_MODELS = {"hil/files/": "values parsed from text with units, SI inside", "hil/scenario/schema.py": "the same"}


def test_fields_that_hold_a_time_or_a_physical_quantity_carry_their_unit_last() -> None:
    found = []
    for path, tree in TREES.items():
        if relative(path).startswith(tuple(FILE_MODELS)):
            continue
        for cls, node in annotated(tree):
            if lacks_unit(node.target.id):
                found.append(f"{relative(path)}:{node.lineno} {cls}.{node.target.id}")
    assert found == []


def test_lint_imports_passes() -> None:
    beside = Path(sys.executable).with_name("lint-imports")
    tool = str(beside) if beside.exists() else shutil.which("lint-imports")
    assert tool is not None, "import-linter is not installed"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


# Paths in documents are links or code spans that look like a path of this tree.
SPAN = re.compile(
    r"`([A-Za-z_.][\w./-]*/[\w./-]*|[A-Z]+\.md|pyproject\.toml)`|\]\((?!https?:|#|mailto:)([^)\s#]+)(?:#[^)]*)?\)"
)
OURS = ("hil/", "tests/", "tools/", "docs/", "scenarios/", "dbc/", "benches/", "firmware_stubs/", ".ci/")


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", documents(), ids=relative)
def test_every_path_in_a_document_is_real(document: Path) -> None:
    assert document.is_file(), f"{relative(document)} is missing"
    missing = []
    for span, link in SPAN.findall(document.read_text("utf-8")):
        if span and not span.startswith(OURS) and "/" in span:
            continue
        wanted = span or link
        if (
            "*" in wanted or "<" in wanted or Path(wanted).name.startswith("my_")
        ):  # patterns, and files the reader makes
            continue
        if not ((ROOT / wanted).exists() or (document.parent / wanted).exists()):
            missing.append(wanted)
    assert missing == []


def test_the_readme_maps_what_to_change_to_where_to_look() -> None:
    spans = [s for s, _ in SPAN.findall((ROOT / "README.md").read_text("utf-8")) if s.startswith(OURS)]
    assert len(set(spans)) >= 10, "the map 'to change X, open Y' of the README names too few paths"
