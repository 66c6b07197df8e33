"""Records, byte-exact copies, the cache key, and the counter-based noise against a second implementation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.kernel import (
    F64,
    I32,
    I64,
    U8,
    Floats,
    Rows,
    cache_key,
    copied,
    dtype_of,
    hash64,
    normal,
    plain,
    stream_seed,
    uniform,
    zeros,
)

ROOT = Path(__file__).parents[2]
M64 = (1 << 64) - 1


class Inner:
    flag: U8
    x: F64


class Outer:
    small: I32
    big: I64
    inner: Inner
    items_: Annotated[Rows[Inner], 3]
    curve_v: Annotated[Floats, 5]
    tail: U8


class Taken:
    mean: F64


class Padded:
    pad0: F64


class Text:
    name: str


class ScalarWithShape:
    x: Annotated[float, "f8", 3]


def test_padding_becomes_named_zeroed_fields() -> None:
    # by hand: flag at 0, 7 bytes of padding, x at 8
    inner = dtype_of(Inner)
    assert inner.names == ("flag", "pad0", "x")
    assert (inner.itemsize, inner.fields["x"][1], inner.fields["pad0"][0].itemsize) == (16, 8, 7)


def test_a_nested_record_is_laid_out_without_a_hidden_byte() -> None:
    # by hand: 4 + 4 pad + 8 + 16 + 3*16 + 5*8 + 1 + 7 pad = 128
    outer = dtype_of(Outer)
    assert outer.names == ("small", "pad0", "big", "inner", "items_", "curve_v", "tail", "pad1")
    assert outer.itemsize == 128
    assert sum(outer.fields[n][0].itemsize for n in outer.names) == 128


@pytest.mark.parametrize(
    ("record", "why"), [(Taken, "mean"), (Padded, "pad0"), (Text, "name"), (ScalarWithShape, "scalar")]
)
def test_a_field_that_cannot_be_laid_out_is_refused_by_name(record: type, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        dtype_of(record)


def test_zeros_is_zero_in_every_byte_and_contiguous() -> None:
    made = np.asarray(zeros(Outer, 3))
    assert made.flags.c_contiguous
    assert made.tobytes() == bytes(3 * 128)


def test_a_copy_is_exact_in_every_byte_and_independent() -> None:
    made = np.zeros(2, dtype_of(Outer))
    raw = made.view(np.uint8)
    raw[:] = np.arange(raw.size) % 251  # padding bytes included
    twin = copied(made)
    assert twin.tobytes() == made.tobytes()
    assert twin.dtype == made.dtype
    twin["big"][0] = 1
    assert made["big"][0] != 1


def tree(folder: Path) -> Path:
    root = folder / "hil"
    (root / "codec").mkdir(parents=True)
    (root / "engine.py").write_text("A = 1\n")
    (root / "codec" / "bits.py").write_text("B = 2\n")
    return root


def test_the_key_changes_with_any_source_name_or_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path)
    first = cache_key(root)
    assert cache_key(root) == first
    (root / "codec" / "bits.py").write_text("B = 3\n")
    edited = cache_key(root)
    (root / "codec" / "bits.py").rename(root / "codec" / "bytes.py")
    renamed = cache_key(root)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    flagged = cache_key(root)
    assert len({first, edited, renamed, flagged}) == 4


def test_the_key_does_not_see_where_the_cache_or_the_tree_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    first = cache_key(one)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache_key(two) == first


MINI_CALLER = "from hil.kernel import kernel\nfrom hil.callee import scale\n\n\n@kernel\ndef outer(x: int) -> int:\n    return scale(x) + 1\n"
MINI_CALLEE = "from hil.kernel import kernel\n\n\n@kernel\ndef scale(x: int) -> int:\n    return x * {factor}\n"


def call_mini(package: Path, cache: Path, **flags: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "HIL_"))}
    env |= {"HIL_CACHE_DIR": str(cache), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"} | flags
    code = "from hil.caller import outer; from hil.kernel import CACHE, is_compiled; w = is_compiled(); print(outer(10), w, CACHE.name)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=package, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_edited_callee_in_another_file_takes_effect_through_the_disk_cache(tmp_path: Path) -> None:
    package, cache = tmp_path / "src", tmp_path / "cache"
    (package / "hil").mkdir(parents=True)
    shutil.copy(ROOT / "hil" / "kernel.py", package / "hil" / "kernel.py")
    (package / "hil" / "__init__.py").write_text("")
    (package / "hil" / "caller.py").write_text(MINI_CALLER)
    (package / "hil" / "callee.py").write_text(MINI_CALLEE.format(factor=2))
    cold = call_mini(package, cache).split()
    warm = call_mini(package, cache).split()
    (package / "hil" / "callee.py").write_text(MINI_CALLEE.format(factor=3))  # the caller's file stays as it was
    edited = call_mini(package, cache).split()
    checked = call_mini(package, cache, HIL_BOUNDSCHECK="1").split()
    assert cold[:2] == ["21", "False"]
    assert warm == ["21", "True", cold[2]]
    assert edited[:2] == ["31", "False"]
    assert checked[0] == "31"
    assert len({cold[2], edited[2], checked[2]}) == 3


def splitmix(seed: int, stream: int, tick: int, channel: int) -> int:
    """Two rounds of the finaliser of SplitMix64 (Steele, Lea, Flood 2014) in Python integers."""
    z = (seed + stream * 0x9E3779B97F4A7C15 + tick * 0xBF58476D1CE4E5B9 + channel * 0x94D049BB133111EB) & M64
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
        z ^= z >> 31
    return z


INT = st.integers(0, 2**62)


@settings(deadline=None)
@given(INT, INT, INT, INT)
def test_the_noise_is_that_of_an_independent_implementation(seed: int, stream: int, tick: int, channel: int) -> None:
    wanted = splitmix(seed, stream, tick, channel)
    assert int(hash64(seed, stream, tick, channel)) & M64 == wanted
    assert uniform(seed, stream, tick, channel) == (wanted >> 11) / 2**53
    halves = [(wanted >> shift) & 0xFFFF for shift in (0, 16, 32, 48)]
    assert normal(seed, stream, tick, channel) == pytest.approx((sum(halves) - 131070.0) * 3**0.5 / 65536.0, abs=1e-12)


def test_the_finaliser_is_splitmix64_by_its_published_vector() -> None:
    # one round of the published generator from state 0: 0xE220A8397B1DCDAF after one increment of the golden gamma
    z = 0x9E3779B97F4A7C15
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    z ^= z >> 31
    assert z == 0xE220A8397B1DCDAF


def test_noise_has_the_moments_it_promises_and_channels_do_not_follow_each_other() -> None:
    n = 20_000
    draws = np.array([[normal(5, 3, t, c) for t in range(n)] for c in range(2)])
    flat = np.array([uniform(5, 3, t, 0) for t in range(n)])
    assert abs(draws.mean()) < 4 / (2 * n) ** 0.5
    assert abs(draws.std() - 1.0) < 0.02
    assert np.abs(draws).max() <= 3.47
    assert flat.min() >= 0.0
    assert flat.max() < 1.0
    assert abs(flat.mean() - 0.5) < 4 * (1 / 12 / n) ** 0.5
    assert abs(np.corrcoef(draws)[0, 1]) < 4 / n**0.5
    assert abs(np.corrcoef(draws[0, 1:], draws[0, :-1])[0, 1]) < 4 / n**0.5


def test_a_stream_is_its_own_number_whatever_other_streams_there_are() -> None:
    names = ["faults", "plant.scatter", "harness", "instruments", "a", "b"]
    seeds = {(s, n): stream_seed(s, n) for s in range(50) for n in names}
    assert len(set(seeds.values())) == len(seeds)
    assert all(0 <= v < 2**63 for v in seeds.values())
    assert stream_seed(7, "faults") == stream_seed(7, "faults")


def test_plain_gives_the_python_function_behind_a_kernel() -> None:
    assert plain(uniform).__name__ == "uniform"
    assert plain(splitmix) is splitmix
