"""Copies of modules: wired to each other whatever the form of the import, and unknown to everybody else."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from hil.campaign.mutate import probes
from hil.campaign.mutate.loading import Loader
from hil.errors import InputError

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules of a package ``shop`` that can be imported while the test runs."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(**modules: str) -> None:
        (tmp_path / "shop" / "back").mkdir(parents=True, exist_ok=True)
        for package in ("shop", "shop/back"):
            init = tmp_path / package / "__init__.py"
            init.write_text(init.read_text() if init.exists() else "")
        for name, text in modules.items():
            (tmp_path / "shop" / (name.replace("__", "/", 1) if "back" in name else name)).with_suffix(
                ".py"
            ).write_text(dedent(text))

    yield written
    for name in [n for n in sys.modules if n.partition(".")[0] == "shop"]:
        del sys.modules[name]


PRICE = "RATE = 2\ndef price(x):\n    return x * RATE\n"
CHEAP = {"shop.price": PRICE.replace("*", "+")}
FORMS = {
    "from a package": "from shop import price\ndef total(x): return price.price(x)\n",
    "from a module": "from shop.price import price\ndef total(x): return price(x)\n",
    "by another name": "from shop.price import price as p\ndef total(x): return p(x)\n",
    "everything": "from shop.price import *\ndef total(x): return price(x)\n",
    "whole": "import shop.price\ndef total(x): return shop.price.price(x)\n",
    "whole by another name": "import shop.price as p\ndef total(x): return p.price(x)\n",
    "relative to the package": "from . import price\ndef total(x): return price.price(x)\n",
    "relative to a module": "from .price import price\ndef total(x): return price(x)\n",
    "inside a function": "def total(x):\n    from shop.price import price\n    return price(x)\n",
    "beside an original": "import shop.other\nimport shop.price\ndef total(x): return shop.price.price(x) + shop.other.ZERO\n",
    "with an original": "from shop import other, price\ndef total(x): return price.price(x) + other.ZERO\n",
    "in a condition": "try:\n    from shop.price import price\nexcept ImportError:\n    raise\ndef total(x): return price(x)\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_imports_copies_whatever_the_form(write: Write, form: str) -> None:
    write(price=PRICE, till=FORMS[form], other="ZERO = 0\n")
    loader = Loader(["shop.till", "shop.price"])
    healthy, mutated = loader.load(), loader.load(CHEAP)
    assert healthy["shop.till"].total(5) == healthy.till.total(5) == 10
    assert mutated.till.total(5) == 7
    assert loader.load().till.total(5) == 10
    assert mutated.till.__name__ == "shop.till"


def test_the_process_never_hears_of_the_copies(write: Write) -> None:
    write(price=PRICE, till=FORMS["whole"], other="ZERO = 0\n")
    import shop.price  # type: ignore[import-not-found]
    import shop.till  # type: ignore[import-not-found]

    before = {name: module for name, module in sys.modules.items() if name.startswith("shop")}
    attributes = dict(vars(shop))
    Loader(["shop.till", "shop.price"]).load(CHEAP).till.total(5)
    assert {name: module for name, module in sys.modules.items() if name.startswith("shop")} == before
    assert {k: v for k, v in vars(shop).items() if k != "__builtins__"} == {
        k: v for k, v in attributes.items() if k != "__builtins__"
    }
    assert shop.till.total(5) == shop.price.price(5) == 10


def test_modules_are_loaded_in_the_order_of_their_imports(write: Write) -> None:
    write(
        a="from shop import b\nfrom shop.back import d\nX = b.X + d.X\n",
        b="from shop.c import X as Y\nX = Y + 1\n",
        c="X = 1\n",
        back__d="from ..c import X\nfrom shop import b\nX = X + 10 * b.X\n",
    )
    loader = Loader(["shop.a", "shop.back.d", "shop.b", "shop.c"])
    assert loader.order == ("shop.c", "shop.b", "shop.back.d", "shop.a")
    assert loader.load({"shop.c": "X = 2\n"}).a.X == 3 + 32


def test_a_package_itself_can_be_a_copy(write: Write, tmp_path: Path) -> None:
    write(price=PRICE, till="import shop\ndef total(x): return shop.price.price(x) + shop.EXTRA\n")
    (tmp_path / "shop" / "__init__.py").write_text("from shop.price import RATE\nEXTRA = 100 * RATE\n")
    loader = Loader(["shop", "shop.till", "shop.price"])
    assert loader.order == ("shop.price", "shop", "shop.till")
    assert loader.load().till.total(5) == 210
    assert loader.load({"shop.price": PRICE.replace("2", "3")}).till.total(5) == 315


def test_modules_that_import_each_other_in_a_circle_are_refused(write: Write) -> None:
    write(
        a="from shop import b\n", b="from shop import a\n", c="def f():\n    from shop import d\n", d="import shop.c\n"
    )
    with pytest.raises(InputError, match=r"circle: found shop\.a, shop\.b"):
        Loader(["shop.a", "shop.b"])
    Loader(["shop.c", "shop.d"]).load()


def test_a_module_that_is_not_there_is_told() -> None:
    for name in ("shop.nothing", "no_such_package.x", "math"):
        with pytest.raises(InputError, match=name):
            Loader([name])


def test_kernels_run_as_plain_python_and_other_decorators_stay(write: Write) -> None:
    write(
        k="""
        from functools import cache
        from hil import kernel as door
        from hil.kernel import kernel
        @kernel
        def f(x: float) -> float:
            return x + 1.0
        @door.kernel
        def g(x: float) -> float:
            return f(x) * 2.0
        @cache
        def h(x: float) -> float:
            return x
        """
    )
    copy = Loader(["shop.k"]).load().k
    assert copy.g(1.0) == 4.0
    assert type(copy.f).__name__ == "function"
    assert copy.h.cache_info().hits == 0


def test_records_of_copies_are_laid_out_like_the_originals() -> None:
    import hil.twin.pack as original
    from hil.kernel import dtype_of

    copy = Loader(["hil.twin.pack"]).load().pack
    assert copy.PackState is not original.PackState
    assert dtype_of(copy.PackState) == dtype_of(original.PackState)


def test_a_name_that_two_copies_end_with_wants_the_full_one(write: Write) -> None:
    write(price=PRICE, back__price=PRICE)
    copies: Any = Loader(["shop.price", "shop.back.price"]).load()
    with pytest.raises(AttributeError, match="more than one"):
        _ = copies.price
    with pytest.raises(AttributeError, match="no copy"):
        _ = copies.nothing
    assert copies["shop.price"].price(1) == 2


def test_the_whole_project_can_be_a_copy_and_nothing_of_the_original_is_in_it() -> None:
    import contextlib
    import pkgutil

    import hil

    every = [m.name for m in pkgutil.walk_packages(hil.__path__, "hil.")]
    names = [n for n in every if "_files" not in n and not n.endswith("__main__") and n != "hil.kernel"]
    loader = Loader(names)
    before = dict(sys.modules)
    copies = loader.load()
    assert {name: sys.modules.get(name) for name in before} == before
    assert (
        copies["hil.files.pack"].load_pack(Path(__file__).parents[2] / "scenarios/packs/a123_96s40p.yaml").series == 96
    )
    library = contextlib.__file__  # what contextmanager makes of a function is the library's code
    for name in names:
        for value in (v for k, v in vars(copies[name]).items() if k != probes.TICK):
            code = getattr(value, "__code__", None)
            if code is not None and getattr(value, "__module__", "") in names and code.co_filename != library:
                assert code.co_filename == f"<copy of {value.__module__}>"
