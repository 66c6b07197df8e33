"""The files a run stands on, as attachments of its record, and back: a record alone is enough to run the bench half again.

Each file is attached under the part it plays (``scenario.yaml``, ``pack.yaml`` ...). ``files.json`` says under which name
each file refers to the others, so that unpacking can put them where those names lead; no path of the machine is kept.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hil.codec.mapping import QuantityFile
from hil.errors import InputError, Problem
from hil.files import Document, load_model, resolve
from hil.files.pack import PackFile
from hil.scenario.loader import Loaded
from hil.scenario.schema import BenchFile, Play

INDEX = "files.json"
SCENARIO, BENCH = "scenario.yaml", "bench.yaml"
DEEP = 12  # folders above an unpacked file, for names that climb ("../../dbc/bench.dbc")
DBC_ENCODINGS = ("cp1252", "latin-1")  # the second takes every byte


def packed(loaded: Loaded, bench_path: Path, bench: BenchFile, bench_document: Document) -> dict[str, str]:
    """The attachments of a run: every file it read, and ``files.json``.

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
        "pack.yaml": {pack.cell: "cell.yaml"},
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
        "bench.dbc": resolve(quantities_document, ("dbc",), quantities.dbc),
        "bench.e2e.yaml": resolve(quantities_document, ("e2e",), quantities.e2e),
    }
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


def unpacked(attachments: Mapping[str, str], folder: Path, record: Path) -> tuple[Path, Path]:
    """Write the files of a record into ``folder`` so that they find each other; the scenario's and the bench's path.

    Raises:
        InputError: ``record`` (named in errors) does not hold all files it stands on.
    """
    try:
        index = json.loads(attachments[INDEX])
        for name in index:
            attachments[name]  # told before anything is written
    except (KeyError, ValueError) as error:
        what = "the record does not hold the files it stands on"
        raise InputError(Problem(what, str(record), expected=f"an attachment {INDEX} and all it names")) from error
    out = []
    for part, root in ((SCENARIO, folder / "scenario"), (BENCH, folder / "bench")):
        home = root.joinpath(*["d"] * DEEP)
        out.append(_place(part, home / index[part]["name"], index, attachments, root))
    return out[0], out[1]


def _place(part: str, path: Path, index: Mapping[str, Any], attachments: Mapping[str, str], root: Path) -> Path:
    """Write one file and, where its names for them lead, the files it refers to."""
    text = attachments[part]
    for name, other in index[part]["refers"].items():
        target = Path(os.path.normpath(path.parent / name))
        if PurePosixPath(name).is_absolute() or not target.is_relative_to(root):
            target = root / "elsewhere" / other / index[other]["name"]
            text = text.replace(name, target.as_posix())
        _place(other, target, index, attachments, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(index[part]["encoding"]))
    return path
