"""The files a run stands on, as attachments of its record, and back: a record alone is enough to run the bench half again.

Each file is attached under the part it plays (``scenario.yaml``, ``pack.yaml`` ...). ``files.json`` says under which name
each file refers to the others, so that unpacking can put them where those names lead; no path of the machine is kept.
"""

import codecs
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hil.codec.mapping import QuantityFile
from hil.errors import InputError, Problem
from hil.files import Document, load_model, resolve
from hil.files.pack import PackFile
from hil.scenario.cases import Case
from hil.scenario.loader import Loaded
from hil.scenario.schema import BenchFile, Play

INDEX, CASE = "files.json", "case.json"
SCENARIO, BENCH = "scenario.yaml", "bench.yaml"
DEEPEST, MOST_FILES = 8, 10_000  # of an index that is right: 2, and a profile for each step
DEEP = 12  # folders above an unpacked file, for names that climb ("../../dbc/bench.dbc")
DBC_ENCODINGS = ("cp1252", "latin-1")  # the second takes every byte


def packed(
    loaded: Loaded, bench_path: Path, bench: BenchFile, bench_document: Document, dbc: Path | None = None
) -> dict[str, str]:
    """The attachments of a run: every file it read, and ``files.json``. ``dbc`` was read in place of the bench's own.

    Raises:
        InputError: a file can no longer be read.
    """
    pack, pack_document = load_model(loaded.pack_path, PackFile)
    quantities_path = resolve(bench_document, ("quantities",), bench.quantities)
    quantities, quantities_document = load_model(quantities_path, QuantityFile)
    profiles = {s.current.play: s.current for s in loaded.model.steps if isinstance(s.current, Play)}
    refers: dict[str, dict[str, str]] = {
        SCENARIO: {loaded.model.pack: "pack.yaml", loaded.model.bms: "limits.yaml"}
        | {name: f"profile-{i}.csv" for i, name in enumerate(profiles)},
        "pack.yaml": {pack.cell: "cell.yaml"} | ({pack.abuse: "abuse.yaml"} if pack.abuse else {}),
        BENCH: {bench.quantities: "bench.quantities.yaml"},
        "bench.quantities.yaml": {quantities.dbc: "bench.dbc", quantities.e2e: "bench.e2e.yaml"},
    }
    paths = {
        SCENARIO: loaded.path,
        "pack.yaml": loaded.pack_path,
        "limits.yaml": loaded.limits_path,
        "cell.yaml": resolve(pack_document, ("cell",), pack.cell),
        BENCH: bench_path,
        "bench.quantities.yaml": quantities_path,
        "bench.dbc": dbc or resolve(quantities_document, ("dbc",), quantities.dbc),
        "bench.e2e.yaml": resolve(quantities_document, ("e2e",), quantities.e2e),
    }
    if pack.abuse is not None:
        paths["abuse.yaml"] = resolve(pack_document, ("abuse",), pack.abuse)
    paths |= {f"profile-{i}.csv": loaded.path.parent / name for i, name in enumerate(profiles)}
    out: dict[str, str] = {}
    index: dict[str, Any] = {}
    for name, path in paths.items():
        out[name], encoding = _text(path)
        index[name] = {"name": path.name, "encoding": encoding, "refers": refers.get(name, {})}
    return out | {INDEX: json.dumps(index, indent=1)}


def _text(path: Path) -> tuple[str, str]:
    for encoding in DBC_ENCODINGS if path.suffix.lower() == ".dbc" else ("utf-8",):
        try:
            return path.read_bytes().decode(encoding), encoding
        except UnicodeDecodeError:
            continue
        except OSError as error:
            raise InputError(Problem(f"cannot read the file: {error.strerror}", str(path))) from error
    raise InputError(Problem("the file is no UTF-8 text", str(path)))


def attached(attachments: Mapping[str, str], names: Iterable[str], record: Path, to: str) -> None:
    """See that a record holds what ``to`` do something with it ("judged again") is needed.

    Raises:
        InputError: something is missing, named; a record of a version that did not attach it.
    """
    missing = [name for name in names if name not in attachments]
    if missing:
        what = f"the record cannot be {to}: a version that did not attach all it stands on has made it"
        raise InputError(Problem(what, str(record), expected=f"the attachments {', '.join(missing)}", found="none"))


def case_of(attachments: Mapping[str, str], record: Path, to: str) -> Case:
    """The case of a record: its id and the values of its parameters.

    Raises:
        InputError: ``record`` (named in errors) does not hold it, or what it holds is none; so it cannot be ``to``.
    """
    attached(attachments, (CASE,), record, to)
    try:
        raw = json.loads(attachments[CASE])
        case = Case(raw["id"], {**raw["values"]})
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(Problem(f"the record cannot be {to}: {CASE} is none", str(record))) from error
    if not all(isinstance(text, str) for text in (case.id, *case.values, *case.values.values())):
        raise InputError(Problem(f"the record cannot be {to}: {CASE} holds other things than texts", str(record)))
    return case


def unpacked(attachments: Mapping[str, str], folder: Path, record: Path) -> tuple[Path, Path]:
    """Write the files of a record into ``folder`` so that they find each other; the scenario's and the bench's path.

    Raises:
        InputError: ``record`` (named in errors) does not hold all files it stands on, or names none of them rightly.
    """
    attached(attachments, (INDEX,), record, "run again")
    try:
        index = {part: _entry(raw) for part, raw in json.loads(attachments[INDEX]).items()}
    except (AttributeError, KeyError, TypeError, ValueError, LookupError, RecursionError) as error:
        what = f"the record cannot be run again: {INDEX} does not say where its files belong"
        raise InputError(Problem(what, str(record))) from error
    others = [other for one in index.values() for other in one.refers.values()]
    attached(
        {name: "" for name in index if name in attachments}, (SCENARIO, BENCH, *index, *others), record, "run again"
    )
    out = []
    try:
        for part, root in ((SCENARIO, folder / "scenario"), (BENCH, folder / "bench")):
            home = root.joinpath(*["d"] * DEEP)
            place = _Place(index, attachments, root)
            out.append(place.put(part, home / index[part].name))
    except (OSError, ValueError) as error:
        what = f"the record cannot be run again: its files cannot be put where {INDEX} says"
        raise InputError(Problem(what, str(record), found=str(error)[:120])) from error
    return out[0], out[1]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file of the index: its plain name, its encoding, and which parts the names in it stand for."""

    name: str
    encoding: str
    refers: dict[str, str]


def _entry(raw: Any) -> _Entry:
    """Raises KeyError, TypeError, ValueError or LookupError for what is no entry; a record may come from anywhere."""
    entry = _Entry(raw["name"], codecs.lookup(raw["encoding"]).name, {**raw["refers"]})
    texts = (entry.name, *entry.refers, *entry.refers.values())
    if not all(isinstance(text, str) and text for text in texts):
        raise TypeError("a name that is no text")
    if not _is_plain(entry.name) or not all(_is_plain(other) for other in entry.refers.values()):
        raise ValueError("a name that leads elsewhere")
    return entry


def _is_plain(name: str) -> bool:
    return name not in (".", "..") and not set(name) & {"/", "\\", ":", "\0"}


@dataclass(slots=True)
class _Place:
    """Writes files below ``root``, and never elsewhere, whatever the index says."""

    index: Mapping[str, _Entry]
    attachments: Mapping[str, str]
    root: Path
    written: int = 0

    def put(self, part: str, path: Path, depth: int = 0) -> Path:
        """Write one file and, where its names for them lead, the files it refers to. Raises OSError or ValueError."""
        self.written += 1
        if depth > DEEPEST or self.written > MOST_FILES:
            raise ValueError("files that refer to each other in a circle")
        text, entry = self.attachments[part], self.index[part]
        for name, other in entry.refers.items():
            target = Path(os.path.normpath(path.parent / name))
            if PurePosixPath(name).is_absolute() or not target.is_relative_to(self.root):
                target = self.root / "elsewhere" / other / self.index[other].name
                text = text.replace(name, target.as_posix())
            self.put(other, target, depth + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(entry.encoding))
        return path
