"""Fuzz one parser with coverage as guide, from the seeds of the tree; inputs that get through are kept in a folder.

    python tools/fuzz.py --list
    python tools/fuzz.py --parser dbc --minutes 5
    python tools/fuzz.py --parser dbc --input fuzz/dbc/crash-0

Needs atheris (``pip install atheris``; there are wheels for Linux and CPython 3.11). Exit codes: 0 nothing found, 1 an
input got through (it is named), 2 wrong usage, or atheris is missing.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
LONGEST_S = 20  # an input that takes longer is a finding
MEMORY_MB = 4096  # an input that takes more is a finding; compiled kernels and libraries take 700 of it
WATCHED = ("hil", "cantools", "textparser", "asammdf", "mcap", "yaml")  # of these, coverage guides


@click.command()
@click.option("--parser", "name", metavar="NAME", help="Which parser; see --list.")
@click.option("--list", "listed", is_flag=True, help="Name all parsers with the number of their seeds.")
@click.option("--minutes", type=click.FloatRange(min=0.01), default=1.0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("fuzz"), show_default=True, help="Corpus and findings."
)
@click.option(
    "--input",
    "given",
    type=click.Path(path_type=Path, exists=True),
    help="Only try this input again; a folder: all in it.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed tries the same inputs.")
def main(name: str | None, listed: bool, minutes: float, out: Path, given: Path | None, seed: int) -> None:
    """Fuzz one parser."""
    sys.path.insert(0, str(ROOT))
    if listed:
        _list()
        return
    if name is None:
        raise click.UsageError("--parser NAME or --list")
    if given is not None:
        _again(name, given)
        return
    atheris = _atheris()
    with atheris.instrument_imports(include=list(WATCHED), exclude=_with_kernels()):
        target = _target(name)
    _run(atheris, target, minutes, out / name, seed)


def _list() -> None:
    from tools.fuzz_targets import TARGETS

    for target in TARGETS.values():
        click.echo(f"{target.name:20} {target.group:10} {len(target.seeds()):3} seeds")


def _target(name: str) -> Any:
    from tools.fuzz_targets import TARGETS

    if name not in TARGETS:
        raise click.UsageError(f"no parser {name!r}; one of {', '.join(TARGETS)}")
    return TARGETS[name]


def _with_kernels() -> list[str]:
    """Modules with kernels: what atheris writes into their functions cannot be compiled."""
    sources = (ROOT / "hil").rglob("*.py")
    found = [path.relative_to(ROOT).with_suffix("") for path in sources if "@kernel" in path.read_text("utf-8")]
    return [".".join(path.parts) for path in found]


def _atheris() -> Any:
    try:
        import atheris
    except ImportError:
        raise click.UsageError("atheris is not installed: pip install atheris") from None
    return atheris


def _again(name: str, given: Path) -> None:
    """Inputs tried without atheris: the exception of the first that gets through shows where it came from."""
    target = _target(name)
    for path in sorted(given.iterdir()) if given.is_dir() else [given]:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            target.prepare(Path(folder))
            try:
                made = f"parsed: {str(target.parse(path.read_bytes(), Path(folder)))[:300]}"
            except target.allowed as error:
                made = f"refused, as it should be: {error}"
        click.echo(f"{path.name}: {time.perf_counter() - began:.2f} s, {' '.join(made.split())}")


def _run(atheris: Any, target: Any, minutes: float, out: Path, seed: int) -> None:
    corpus = out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = target.seeds()
    for number, content in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    with tempfile.TemporaryDirectory() as folder:
        target.prepare(Path(folder))
        for content in seeds:
            _once(target, content, Path(folder))  # compiles and loads before anything is timed
        arguments = [
            sys.argv[0],
            f"-max_total_time={round(minutes * 60)}",
            f"-timeout={LONGEST_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-max_len={max(4096, 2 * max(map(len, seeds)))}",
            f"-artifact_prefix={out}/",
            f"-seed={seed}",
            "-print_final_stats=1",
            str(corpus),
        ]
        atheris.Setup(arguments, _one_input(target, Path(folder)), custom_mutator=_mutator(atheris, seeds))
        atheris.Fuzz()


def _one_input(target: Any, folder: Path) -> Callable[[bytes], None]:
    return lambda content: _once(target, content, folder)


def _once(target: Any, content: bytes, folder: Path) -> None:
    try:
        target.parse(content, folder)
    except target.allowed as error:
        str(error)


def _mutator(atheris: Any, seeds: tuple[bytes, ...]) -> Callable[[bytes, int, int], bytes]:
    """Half of the time the edits of the suite, which know lines, numbers and lengths; else those of the library."""
    from tools.fuzz_edits import EDITS, HUGE, OPENERS, WORDS, Edit, edited

    kinds, pieces = sorted(EDITS), (*HUGE, *WORDS, *OPENERS, b"\n", b"\0", b'"', b":", b"@", b"=")

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            return bytes(atheris.Mutate(content, most))
        draw = seed // 2
        edits = []
        for _ in range(draw % 3 + 1):
            draw = (draw * 6364136223846793005 + 1442695040888963407) % 2**64  # Knuth's linear congruence
            high = draw >> 16
            edit = Edit(
                kinds[high % len(kinds)], (high >> 8) % 65536 / 65536, high >> 24 & 255, pieces[high % len(pieces)]
            )
            edits.append(edit)
        return edited(content, seeds[draw % len(seeds)], edits)[:most]

    return mutate


if __name__ == "__main__":
    main()
