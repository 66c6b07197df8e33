"""numba's only door: records from annotated classes, compiled kernels, the cache key, counter-based noise.

A *record* is a plain annotated class; ``dtype_of`` turns it into an aligned numpy structured dtype, and kernels
take ``s: TwinState`` as that record. Nothing else in the project imports numba.

Rules that fail silently when broken (docs/decisions/0002-kernels.md): kernels hold no calibration in module
globals, no field is named like an attribute of ``np.record``, every padding byte is an explicit zeroed field, and
the compiled cache is keyed by a hash of all kernel sources because numba sees neither an edited callee in another
file nor a changed global.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

import llvmlite
import numba
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])

F64 = Annotated[float, "f8"]
I64 = Annotated[int, "i8"]
I32 = Annotated[int, "i4"]
U8 = Annotated[int, "u1"]
Floats = Annotated[NDArray[np.float64], "f8"]
Ints = Annotated[NDArray[np.int64], "i8"]
Ints32 = Annotated[NDArray[np.int32], "i4"]
Bytes = Annotated[NDArray[np.uint8], "u1"]


class Rows(Protocol[T_co]):
    """A one-dimensional array of records; indexing gives the record itself, not a copy."""

    def __getitem__(self, index: int, /) -> T_co: ...

    def __len__(self) -> int: ...


FORBIDDEN_FIELDS = frozenset(dir(np.recarray)) | frozenset(dir(np.record))


@cache
def dtype_of(record: Any) -> np.dtype[np.void]:
    """The aligned dtype of an annotated class; nested classes nest, ``Annotated[Floats, n]`` is an array field.

    Padding is made explicit (``pad0``, ``pad1`` ... of uint8), so that copies and digests see defined bytes only.

    Raises:
        TypeError: a field has an unsupported annotation or a name that ``np.record`` already uses.
    """
    fields: list[tuple[Any, ...]] = []
    offset, pads, widest = 0, 0, 1
    for name, hint in get_type_hints(record, include_extras=True).items():
        if name in FORBIDDEN_FIELDS or name.startswith("pad"):
            raise TypeError(f"{record.__name__}.{name}: the name is taken by numpy records; rename the field")
        base, shape = _field(record, name, hint)
        align = base.alignment
        gap = -offset % align
        if gap:
            fields.append((f"pad{pads}", "u1", (gap,)))
            offset, pads = offset + gap, pads + 1
        fields.append((name, base, shape) if shape else (name, base))
        offset += base.itemsize * int(np.prod(shape, dtype=np.int64))
        widest = max(widest, align)
    if -offset % widest:
        fields.append((f"pad{pads}", "u1", (-offset % widest,)))
    made = np.dtype(fields, align=True)
    if made.itemsize != offset + (-offset % widest):
        raise TypeError(f"{record.__name__}: hidden padding, itemsize {made.itemsize}, fields end at {offset}")
    return made


def _field(record: type, name: str, hint: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if get_origin(hint) is not Annotated:
        if isinstance(hint, type) and hasattr(hint, "__annotations__"):
            return dtype_of(hint), ()
        raise TypeError(f"{record.__name__}.{name}: cannot lay out {hint!r}")
    kind, *meta = get_args(hint)
    if get_origin(kind) is Rows:
        return dtype_of(get_args(kind)[0]), tuple(int(m) for m in meta)
    codes = [m for m in meta if isinstance(m, str)]
    shape = tuple(m for m in meta if isinstance(m, int))
    if len(codes) != 1:
        raise TypeError(f"{record.__name__}.{name}: wants one element type, found {codes}")
    if kind in (int, float) and shape:
        raise TypeError(f"{record.__name__}.{name}: a scalar has no shape; use Floats or Ints")
    return np.dtype(codes[0]), shape


def zeros(record: type[T], count: int = 1) -> "Rows[T]":
    """A zeroed, C-contiguous array of ``count`` records."""
    kind: Any = record
    made = np.zeros(count, dtype_of(kind))
    return cast("Rows[T]", made.view(np.recarray) if INTERPRET else made)


def view(records: Any) -> Any:
    """The first record as a recarray scalar view with named attributes: for set-up and debugging, never in a tick."""
    return np.asarray(records).view(np.recarray)[0]


def copied(records: Any) -> Any:
    """A byte-exact copy; ``ndarray.copy`` of an aligned structured dtype leaves padding undefined."""
    plain = np.asarray(records)
    return plain.view(np.uint8).copy().view(plain.dtype)


INTERPRET = os.environ.get("HIL_INTERPRET") == "1"
BOUNDSCHECK = os.environ.get("HIL_BOUNDSCHECK") == "1"


def cache_key(root: Path) -> str:
    """Hash of every source below ``root`` and of all that changes generated code."""
    digest = hashlib.blake2b(digest_size=12)
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    flags = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_") and k != "NUMBA_CACHE_DIR")
    versions = (sys.version, numba.__version__, np.__version__, llvmlite.__version__, str(BOUNDSCHECK), *flags)
    digest.update("\0".join(versions).encode())
    return digest.hexdigest()


def cache_root() -> Path:
    """Where compiled kernels live: ``$HIL_CACHE_DIR``, else ``$XDG_CACHE_HOME/cellbench``, else ~/.cache/cellbench."""
    chosen = os.environ.get("HIL_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cellbench"


def _open_cache(keep: int = 4) -> Path:
    folder = cache_root() / cache_key(Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    siblings = sorted((p for p in folder.parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for stale in siblings[:-keep]:
        shutil.rmtree(stale, ignore_errors=True)
    return folder


CACHE = _open_cache()
numba.config.CACHE_DIR = str(CACHE)  # type: ignore[attr-defined]  # numba keeps its settings in an untyped module


def is_compiled() -> bool:
    """True when an earlier process has left compiled kernels for exactly these sources."""
    return INTERPRET or any(CACHE.rglob("*.nbc"))


def kernel(fn: F) -> F:
    """Compile ``fn`` on first call (cached on disk, strict floating point, division like numpy's)."""
    if INTERPRET:
        return fn
    options: dict[str, Any] = {
        "cache": True,
        "error_model": "numpy",
        "boundscheck": BOUNDSCHECK,
        "no_cfunc_wrapper": True,  # nobody calls a kernel through C; it saves a tenth of the compilation
    }
    return cast("F", numba.njit(**options)(fn))


def plain(fn: F) -> F:
    """The Python function behind a kernel, the function itself when it is not one."""
    return cast("F", getattr(fn, "py_func", fn))


_MASK = 0xFFFFFFFFFFFFFFFF


@kernel
def hash64(seed: int, stream: int, tick: int, channel: int) -> int:
    """SplitMix64 of (seed, stream, tick, channel): the same number whatever ran before it.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z = (
        np.uint64(seed)
        + np.uint64(stream) * np.uint64(0x9E3779B97F4A7C15)
        + np.uint64(tick) * np.uint64(0xBF58476D1CE4E5B9)
        + np.uint64(channel) * np.uint64(0x94D049BB133111EB)
    )
    for _ in range(2):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return z  # type: ignore[return-value]  # an unsigned 64-bit number, which Python calls int


@kernel
def uniform(seed: int, stream: int, tick: int, channel: int) -> float:
    """A number in [0, 1) from the hash (53 bits)."""
    return float(np.uint64(hash64(seed, stream, tick, channel)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def normal(seed: int, stream: int, tick: int, channel: int) -> float:
    """A number of mean 0, standard deviation 1, |x| <= 3.47: the centred sum of four 16-bit uniforms of one hash."""
    z = np.uint64(hash64(seed, stream, tick, channel))
    low = np.uint64(0xFFFF)
    total = (
        float(z & low)
        + float((z >> np.uint64(16)) & low)
        + float((z >> np.uint64(32)) & low)
        + float(z >> np.uint64(48))
    )
    return (total - 131070.0) * (1.7320508075688772 / 65536.0)


def stream_seed(seed: int, name: str) -> int:
    """The seed of one named random stream of a run: a child of the run's one seed sequence, 63 bits.

    Streams never shift each other: adding one leaves the others' numbers as they were.
    """
    key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "little")
    state = np.random.SeedSequence(entropy=seed, spawn_key=(key,)).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])
