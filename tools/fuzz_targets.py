"""Every parser of outside bytes or text, by name: what it is fed with, and how it is called.

The suite (``tests/property/test_fuzz_parsers.py``) and ``tools/fuzz.py`` share this list, so that none can be forgotten in one
of them. A parser may raise ``CellbenchError``; anything else is a bug.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hil import assemble
from hil.analysis.advice.condition import load_condition
from hil.analysis.bpx.load import load_bpx, parse_document
from hil.analysis.bpx.parameters import parameters_of
from hil.analysis.fit import manifest
from hil.analysis.fit.readers import read_csv, read_data
from hil.analysis.fit.readers.a123 import read_a123, read_a123_folder
from hil.analysis.fit.readers.leaf import read_leaf, read_leaf_folder
from hil.analysis.fit.readers.lg_m50 import read_lg_folder, read_lg_ocv, read_lg_pulses, read_lg_rates
from hil.analysis.fit.readers.matlab import load_mat
from hil.analysis.fit.readers.panasonic import read_arrays, read_panasonic_folder, read_soc_ocv, read_trips
from hil.analysis.reference.profile import load_profile
from hil.analysis.rul.curves import load_capacity, load_curves, load_history
from hil.analysis.rul.model import load_rul_model
from hil.campaign import judge, replaying
from hil.campaign.mutate.equivalents import load_equivalents
from hil.checks.compile import append  # noqa: F401  # loaded before anything is timed
from hil.checks.expression import parse, split_while
from hil.checks.names import Scope
from hil.checks.spec import Source
from hil.cli import replay_plan
from hil.codec import database
from hil.codec.e2e.file import E2e, load_e2e
from hil.codec.mapping import load_bus
from hil.codec.nouns import Database
from hil.errors import CellbenchError, InputError
from hil.files import abuse, cell, limits, load_document, pack
from hil.image import table
from hil.logs.read import read_content, readers
from hil.logs.recognise import recognise
from hil.records import reader, recover
from hil.replay import conditions, corrupt, filters, golden, rewrite, source
from hil.scenario import loader
from hil.scenario.plugged import load_bench
from hil.units import parse_quantity, parse_time_ns
from tools import fuzz_cells
from tools import fuzz_seeds as seeds

ROOT = seeds.ROOT
SMALL = "tests/golden/fuzz/"
LOGS = "tests/golden/logs/*"
Parse = Callable[[bytes, Path], Any]
Seeds = Callable[[], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. ``parse`` gets the input and a scratch folder that ``prepare`` has filled.

    ``binary``: a declared length may lie anywhere in it. ``group`` sorts the list for people.
    """

    name: str
    group: str
    parse: Parse
    seeds: Seeds
    binary: bool = False
    prepare: Callable[[Path], None] = lambda folder: None
    allowed: tuple[type[Exception], ...] = (CellbenchError,)


def written(content: bytes, folder: Path, name: str, load: Callable[[Path], Any]) -> Any:
    """Put the input into a file, and load that."""
    path = folder / name
    path.write_bytes(content)
    return load(path)


def text_of(content: bytes) -> str:
    """An argument as the shell would hand it over."""
    return content.decode("utf-8", "surrogateescape")


def _file(name: str, parse: Callable[[Path], Any]) -> Parse:
    return partial(written, name=name, load=parse)


def _argument(parse: Callable[[str], Any]) -> Parse:
    return lambda content, folder: parse(text_of(content))


def _texts(*texts: str) -> Seeds:
    return lambda: tuple(text.encode() for text in texts)


def _shipped(folder: Path) -> None:
    """The shipped files, so that what a damaged one names is there."""
    for name in ("scenarios", "dbc"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    shutil.copytree(ROOT / SMALL / "fit", folder / "fuzz", dirs_exist_ok=True)


@lru_cache(maxsize=1)
def _bench_db() -> Database:
    return database.load(ROOT / "dbc" / "bench.dbc")


def _e2e(path: Path) -> Any:
    return load_e2e(path, _bench_db()).lines()


def _scenario(path: Path) -> Any:
    """The file itself, and every case before power-on."""
    return assemble.problems_of(path, None), loader.load(path).cases


def _bench(path: Path) -> Any:
    return load_bench(path).messages()


def _recovered(path: Path) -> Any:
    return recover.recover(path, path.with_name("out.mcap"))


def _judged(path: Path) -> Any:
    return judge.judge_record(path, ROOT / "scenarios" / "cell_overvoltage.yaml")


def _expression(text: str) -> Any:
    first, second, _ = split_while(text)
    scope = Scope(table(4, 2), lambda name: (3.75, "V"), {"cell": "1"})
    return [_condition(part, scope) for part in (first, second) if part]


def _condition(text: str, scope: Scope) -> Any:
    from hil.checks import lower

    parse(Source(text))
    return lower.condition(Source(text), scope)


def _names(content: bytes, folder: Path, parse: Callable[[str, Database], Any]) -> Any:
    return parse(text_of(content), _bench_db())


@lru_cache(maxsize=1)
def _protections() -> E2e:
    return load_e2e(ROOT / "dbc" / "bench.e2e.yaml", _bench_db())


def _broken(content: bytes, folder: Path) -> Any:
    return corrupt.parse_broken(text_of(content), _protections())


def _bpx(path: Path) -> Any:
    """The pure half in any case; the whole, where the package ``bpx`` is installed."""
    with suppress(InputError):
        parameters_of(parse_document(path.read_text("utf-8", "replace"), path), path)
    return load_bpx(path)


def _timing(key: str, text: str) -> Any:
    plain = {"speed": "1", "gap": None, "max_gap": None, "fit_bus": None, "fast": False, "burst": None}
    return replay_plan.timing_of({**plain, key: text})


def _golden(path: Path) -> Any:
    made = golden.load_tolerances(path)
    names = ("measured.pack_current", "shown.cell_voltage[3]", "a" * 60)
    return [(made.ignores(name), made.of(name, "V")) for name in names]


def _text_logs() -> tuple[bytes, ...]:
    return (*seeds.files(LOGS), seeds.candump_log())


def _of_format(form: str) -> tuple[bytes, ...]:
    """The golden samples of one text format; of all, when there is none of it."""
    known = {"candump": (seeds.candump_log(),), "blf": seeds.blf(), "mf4": seeds.mf4()}
    if form in known:
        return known[form]
    every = _text_logs()
    return tuple(content for content in every if _recognised(content) == form) or every


def _recognised(content: bytes) -> str:
    try:
        return recognise(content)
    except InputError:
        return ""


def _logs() -> list[Target]:
    """The reader of each format alone, whatever it is given; and what puts them together."""
    made = [
        Target(form, "log", lambda c, f, read=read: read(c, None), partial(_of_format, form), form in ("blf", "mf4"))
        for form, read in readers().items()
    ]
    made.append(Target("log", "log", lambda content, folder: read_content(content), _text_logs))
    made.append(Target("gzip", "log", lambda content, folder: read_content(content), seeds.packed, binary=True))
    return made


def _capacities() -> list[Target]:
    """Capacity by cycle and curves of early life, by the reader of each and by the one that chooses."""
    return [
        Target("capacity-csv", "log", _file("x.csv", load_history), partial(seeds.files, "tests/golden/rul/*.csv")),
        Target("capacity", "log", _file("y.csv", load_capacity), partial(seeds.files, "tests/golden/rul/*.csv")),
        Target("curves", "record", _file("x.npz", load_curves), seeds.curves, True),
    ]


def _databases() -> list[Target]:
    made = []
    for kind in ("dbc", "kcd", "sym", "arxml"):
        given = partial(seeds.files, f"{SMALL}small.{kind}", *(["dbc/bench.dbc"] if kind == "dbc" else []))
        made.append(Target(kind, "database", _file(f"x.{kind}", database.load), given))
    return made


def _yaml() -> list[Target]:
    def target(name: str, place: str, load: Callable[[Path], Any], *patterns: str) -> Target:
        return Target(name, "yaml", _file(place, load), partial(seeds.files, *patterns), False, _shipped)

    return [
        target("yaml", "x.yaml", load_document, "scenarios/*.yaml", "dbc/*.yaml"),
        target("quantities", "dbc/fuzz.yaml", load_bus, "dbc/bench.quantities.yaml"),
        target("e2e", "dbc/fuzz.yaml", _e2e, "dbc/bench.e2e.yaml"),
        target("scenario", "scenarios/fuzz.yaml", _scenario, "scenarios/*.yaml"),
        target("bench", "scenarios/benches/fuzz.yaml", _bench, "scenarios/benches/virtual.yaml"),
        target("pack", "scenarios/packs/fuzz.yaml", pack.load_pack, "scenarios/packs/a123_96s40p.yaml"),
        target("cell", "scenarios/packs/fuzz.cell.yaml", cell.load_cell, "scenarios/packs/*.cell.yaml"),
        target("abuse", "scenarios/packs/fuzz.abuse.yaml", abuse.load_abuse, "scenarios/packs/*.abuse.yaml"),
        target("limits", "scenarios/bms/fuzz.yaml", limits.load_limits, "scenarios/bms/*.yaml"),
        target("fit", "fuzz/fit.yaml", manifest.load_manifest, f"{SMALL}fit/fit.yaml"),
        target("condition", "condition.yaml", load_condition, "tests/golden/rul/condition.yaml"),
        target("rul-model", "model.json", load_rul_model, "hil/analysis/rul/severson_lfp.json"),
        target("golden", "golden.yaml", _golden, f"{SMALL}small.golden.yaml"),
        target("equivalents", "x.yaml", load_equivalents, "tests/*_equivalents.yaml"),
        target("profile", "x.csv", loader.read_profile, "scenarios/cycles/udds.csv"),
        target("bpx", "x.json", _bpx, "scenarios/packs/*.bpx.json"),
        target("current-profile", "x.csv", load_profile, "scenarios/cycles/udds.csv", f"{SMALL}small.profile.csv"),
    ]


def _cells() -> list[Target]:
    """Measurements of cells: every file of every layout alone, and within its folder."""
    files: dict[str, tuple[str, str, tuple[Callable[[Path], Any], ...]]] = {
        "a123-ocv": ("a123", "A123_OCV_P25_S1.csv.gz", (read_a123,)),
        "a123": ("a123", "A123_DYN_50_P25_s1.csv.gz", (read_a123, _of_folder(read_a123_folder))),
        "trips": (
            "panasonic",
            "udds_25degC_trips01-02.npz",
            (read_arrays, read_trips, _of_folder(read_panasonic_folder)),
        ),
        "soc-ocv": ("panasonic", "soc_ocv.npz", (read_soc_ocv,)),
        "leaf": ("leaf", "cell-low-current-hppc-10c.csv.gz", (read_leaf, _of_folder(read_leaf_folder))),
        "lg-ocv": ("lg", "LGM50_5Ah_OCV.mat", (load_mat, read_lg_ocv, _of_folder(read_lg_folder))),
        "lg-pulses": ("lg", "LGM50_5Ah_Pulse.mat", (read_lg_pulses,)),
        "lg-rates": ("lg", "LGM50_5Ah_RateTest.mat", (read_lg_rates, _of_folder(read_data))),
    }
    made = [
        Target(name, "cells", partial(_each, f"{layout}/{file}", loads), partial(fuzz_cells.seeds, layout, file), True,
               fuzz_cells.folders)
        for name, (layout, file, loads) in files.items()
    ]  # fmt: skip
    return [*made, Target("cell-csv", "cells", _file("x.csv", read_csv), fuzz_cells.csv, False, fuzz_cells.folders)]


def _of_folder(load: Callable[[Path], Any]) -> Callable[[Path], Any]:
    return lambda path: load(path.parent)


def _each(name: str, loads: tuple[Callable[[Path], Any], ...], content: bytes, folder: Path) -> Any:
    """What each reader makes of the input; the first that refuses it must not be the last that would."""
    refusals: list[CellbenchError] = []
    for load in loads:
        try:
            written(content, folder, name, load)
        except CellbenchError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _records() -> list[Target]:
    parsers = {
        "record": reader.read,
        "recover": _recovered,
        "replay-source": source.load_source,
        "judge": _judged,
        "replay-record": replaying.replay_record,
    }
    return [Target(name, "record", _file("x.mcap", load), seeds.record, True) for name, load in parsers.items()]


def _arguments() -> list[Target]:
    def named(name: str, parse: Callable[[str, Database], Any], *texts: str) -> Target:
        return Target(name, "argument", partial(_names, parse=parse), _texts(*texts))

    def plain(name: str, parse: Callable[[str], Any], *texts: str) -> Target:
        return Target(name, "argument", _argument(parse), _texts(*texts))

    voltage = "BMS_Pack.PackVoltage"
    return [
        plain("quantity", lambda text: parse_quantity(text, "V"), "4.25 V", "-1e3 mV", "5 V/s", "3 kg*m^2/s^3/A"),
        plain("ratio", lambda text: parse_quantity(text, "1"), "60 %", "0.5"),
        plain("time", parse_time_ns, "100 ms", "1.5 h", "0 s"),
        plain("expression", _expression, "measured.pack_current < 1 A", "not (reported.state == ERROR) while 1 < 2",
              "abs(shown.cell_voltage[$cell] - limits.cell_ov.MSL) >= 2 * 3.10 V and max(1 V, 2 V) > 0 V"),
        named("ids", lambda text, db: filters.parse_rules([text], db), "0x123", "!0x100-0x1FF, 5/0x7F0", "BMS_*"),
        named("map-id", lambda text, db: filters.parse_remap([text], [], db), "0x100=0x200", "BMS_State = 0x18FF50E5"),
        named("map-channel", lambda text, db: filters.parse_remap([], [text], db), "0=1"),
        named("set", rewrite.parse_change, f"{voltage} = 401 V @ 10s..20s", f"{voltage}*=1.01", f"{voltage}+=5 mV@..3s"),
        named("drop", corrupt.parse_chance, "5 %", "0x100-0x1FF:0.5", "BMS_*:1 %"),
        named("break", conditions.parse_condition, f"{voltage} > 400 V and BMS_State.State == 3"),
        named("start-on", conditions.parse_trigger, f"{voltage} >= 400", "0x123, !BMS_*"),
        Target("corrupt", "argument", _broken, _texts("crc:BMS_State", "counter-jump:BMS_Pack@1s..2 s")),
        plain("window", lambda text: rewrite.parse_span(text, "--window"), "10s..20s", "..1 min", "5 ms.."),
        plain("speed", partial(_timing, "speed"), "2", "0.5x", "1/3", "1e3"),
        plain("gap", partial(_timing, "gap"), "10 ms", "0 s"),
        plain("fit-bus", partial(_timing, "fit_bus"), "500000", "500000/2000000"),
        plain("loop", replay_plan.loops_of, "3", "forever"),
    ]  # fmt: skip


def _all() -> dict[str, Target]:
    every = (*_databases(), *_yaml(), *_logs(), *_capacities(), *_cells(), *_records(), *_arguments())
    return {t.name: t for t in every}


TARGETS: Mapping[str, Target] = MappingProxyType(_all())
