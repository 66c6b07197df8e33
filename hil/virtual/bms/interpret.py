"""The BMS in CPython: the same functions, on objects with slots, with some of them replaced.

Functions are rebuilt from the Python source behind each kernel, with globals in which the BMS's kernels are replaced by
such rebuilt functions. Helpers that take arrays only (``SHARED``) stay compiled: both builds call the same ones.
"""

from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from hil.errors import InputError, Problem, nearest
from hil.kernel import dtype_of, plain
from hil.tick import DutInputs, DutOutputs, Frames
from hil.virtual.bms import com, machine, protect, rules, step, vectors

MODULES: tuple[ModuleType, ...] = (rules, vectors, protect, machine, com, step)
SHARED = frozenset(
    {
        com.read_requests,
        com.send_frames,
        *(fn for fn in vars(vectors).values() if getattr(fn, "__module__", "") == vectors.__name__ and callable(fn)),
    }
)
WIDEST_LIST = 32  # shorter integer arrays become lists, unless a shared helper takes them
INPUT_NUMBERS = (
    "auxiliary",
    "hvil",
    "isolation_kohm",
    "link_voltage_mv",
    "pack_current_ma",
    "pack_voltage_mv",
    "supply_mv",
    "wake",
)
ARRAYS = frozenset({"stats", "rx_status", "rx_request", "tx_counter"})

Replacements = Mapping[str, Callable[..., Any]]


def rule_names() -> list[str]:
    """Every function that can be replaced, as ``module.function``."""
    return [f"{m.__name__.rpartition('.')[2]}.{name}" for m in MODULES for name in _own(m)]


def build(replacements: Replacements | None = None) -> Callable[..., None]:
    """``bms_step`` for CPython, with the named functions replaced (``"rules.may_open"``: one of the same arguments).

    A replacement gets the globals of the module whose function it replaces.

    Raises:
        InputError: no such function, with the nearest name.
    """
    wanted = dict(replacements or {})
    spaces: dict[str, dict[str, Any]] = {m.__name__: dict(vars(m)) for m in MODULES}
    made: dict[int, Callable[..., Any]] = {}
    for module in MODULES:
        short = module.__name__.rpartition(".")[2]
        for name, fn in _own(module).items():
            other = wanted.pop(f"{short}.{name}", None)
            if other is not None or fn not in SHARED:
                made[id(fn)] = _rehomed(other or fn, spaces[module.__name__])
    if wanted:
        unknown = next(iter(wanted))
        raise InputError(Problem(f"no rule {unknown!r} in the BMS", nearest=nearest(unknown, rule_names()) or ""))
    for space in spaces.values():
        for name, value in list(space.items()):
            space[name] = made.get(id(value), value)
    return made[id(step.bms_step)]


def _own(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions a module defines itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value) and not isinstance(value, type) and getattr(value, "__module__", "") == module.__name__
    }


def _rehomed(fn: Callable[..., Any], space: dict[str, Any]) -> Callable[..., Any]:
    source = plain(fn)
    assert isinstance(source, FunctionType)
    return FunctionType(source.__code__, space, source.__name__, source.__defaults__)


class Mirror:
    """A record as an object with slots: numbers are plain ints, short arrays lists, the rest views of the record."""

    __slots__ = ("_lists", "_record", "_scalars", "object")

    def __init__(self, record: type, array: Any) -> None:
        """``array`` is an array of one record; the object starts with what stands in it."""
        names = [name for name in dtype_of(record).names or () if not name.startswith("pad")]
        self.object = _slots_object(record)
        self._record = np.asarray(array)
        self._scalars: list[tuple[str, Any]] = []
        self._lists: list[tuple[str, Any]] = []
        for name in names:
            field = self._record[name]
            if field.ndim == 1 and field.dtype.names is None:
                self._scalars.append((name, field))
            elif field.ndim == 2 and field.dtype == np.int64 and field.shape[1] <= WIDEST_LIST and name not in ARRAYS:
                self._lists.append((name, field[0]))
            else:
                setattr(self.object, name, field[0])
        self.read()

    def read(self) -> None:
        """Take the numbers from the record."""
        for name, field in self._scalars:
            setattr(self.object, name, int(field[0]))
        for name, field in self._lists:
            setattr(self.object, name, field.tolist())

    def write(self) -> None:
        """Put the numbers into the record."""
        for name, field in self._scalars:
            field[0] = getattr(self.object, name)
        for name, field in self._lists:
            field[:] = getattr(self.object, name)


def _slots_object(*records: type) -> Any:
    """An object with a slot for every field of the records."""
    names = [name for record in records for name in dtype_of(record).names or () if not name.startswith("pad")]
    return type(records[0].__name__, (), {"__slots__": tuple(names)})()


class PortMirror:
    """A ``DutLink`` as objects with slots; ``read`` before and ``write`` after each step."""

    __slots__ = ("_inputs", "_outputs", "_rx_n", "_tx_n", "array", "rx", "tx", "wires_in", "wires_out")

    def __init__(self, array: Any) -> None:
        """``array`` is an array of one ``DutLink``."""
        self.array = array
        port = np.asarray(array)
        self.rx, self.tx = _slots_object(Frames), _slots_object(Frames)
        self.wires_in, self.wires_out = _slots_object(DutInputs), _slots_object(DutOutputs)
        self.rx.slot, self.tx.slot = port["rx"]["slot"][0], port["tx"]["slot"][0]
        self._rx_n, self._tx_n = port["rx"]["n"], port["tx"]["n"]
        inputs, outputs = port["wires_in"], port["wires_out"]
        self.wires_in.cell_code, self.wires_in.temp_code = inputs["cell_code"][0], inputs["temp_code"][0]
        self.wires_out.coil, self.wires_out.bleed = outputs["coil"][0], outputs["bleed"][0]
        self._inputs = [(n, inputs[n]) for n in INPUT_NUMBERS]
        self._outputs = [(n, outputs[n]) for n in ("open_wire_test", "wake_hold")]

    def read(self) -> None:
        """Take the inputs from the record."""
        self.rx.n = int(self._rx_n[0])
        for name, field in self._inputs:
            setattr(self.wires_in, name, field[0].tolist())

    def write(self) -> None:
        """Put the numbers among the outputs into the record; arrays were written in place."""
        self._tx_n[0] = self.tx.n
        for name, field in self._outputs:
            field[0] = getattr(self.wires_out, name)
