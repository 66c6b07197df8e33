"""The fault catalogue: every kind by name, where it acts, what it targets, and how it becomes rows of the fault tables."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from hil.codec.e2e import Protection, fill_table
from hil.codec.e2e.corrupt import Corruption, is_idle
from hil.codec.e2e.crc import Algorithm
from hil.errors import InputError, Problem, nearest
from hil.faults.points import ROWS, ColumnKind, FaultParams, FaultState, FrameKind, Point
from hil.image import CONTACTORS, Table
from hil.kernel import Rows, view, zeros

OF_PROTECTION = frozenset(
    {FrameKind.WRONG_CRC, FrameKind.FREEZE_COUNTER, FrameKind.JUMP_COUNTER, FrameKind.WRONG_DATA_ID}
)
TARGET = re.compile(r"^(?P<noun>[a-z_.]+)(?:\[(?P<index>all|\d+)\])?$")


CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"contactor": CONTACTORS, "rail": ("plus", "minus"), "coolant": ("coolant",)}
)
"""Targets of the kinds that name them, without an index."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One fault of a scenario, all names and numbers resolved; times in ns after the start of step group ``group``."""

    kind: str
    target: str
    group: int
    t_on_ns: int
    t_off_ns: int  # -1 = until the run ends
    arguments: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the catalogue. ``noun`` is what it targets; ``needs`` its arguments with their units."""

    name: str
    point: Point
    noun: str
    meaning: str
    needs: dict[str, str] = field(default_factory=dict)
    column: str = ""  # quantity the rows act on, {target} = the noun after the dot
    gain: float = 0.0
    offset: Callable[[dict[str, float]], float] = lambda a: 1.0
    action: ColumnKind = ColumnKind.LINEAR
    frame: FrameKind | None = None
    argument: Callable[[dict[str, float]], float] = lambda a: 1.0


def _of_protection(name: str, point: Point) -> tuple[Kind, ...]:
    """Frame faults that know the end-to-end protection, for one direction."""
    return (
        Kind(f"{name}_crc", point, "message", "CRC inverted", frame=FrameKind.WRONG_CRC),
        Kind(f"{name}_counter_frozen", point, "message", "counter stands, CRC fits", frame=FrameKind.FREEZE_COUNTER),
        Kind(
            f"{name}_counter_jump",
            point,
            "message",
            "counter runs ahead by some steps, CRC fits",
            {"steps": "1"},
            frame=FrameKind.JUMP_COUNTER,
            argument=lambda a: a["steps"],
        ),
        Kind(
            f"{name}_data_id",
            point,
            "message",
            "protected under another data id",
            {"data_id": "1"},
            frame=FrameKind.WRONG_DATA_ID,
            argument=lambda a: a["data_id"],
        ),
        Kind(f"{name}_stale", point, "message", "first frame again and again, whole", frame=FrameKind.REPEAT_FIRST),
    )


KINDS: tuple[Kind, ...] = (
    Kind(
        "cell_short",
        Point.PLANT,
        "cell",
        "internal short across a cell group",
        {"resistance": "ohm"},
        "plant_in.short_conductance",
        1.0,
        lambda a: 1.0 / a["resistance"],
    ),
    Kind(
        "cell_self_discharge",
        Point.PLANT,
        "cell",
        "a cell group discharges itself, by this much at half charge",
        {"current": "A"},
        "plant_in.self_discharge",
        1.0,
        lambda a: a["current"],
    ),
    Kind(
        "cell_heating",
        Point.PLANT,
        "cell",
        "heat from outside into a cell group",
        {"power": "W"},
        "plant_in.cell_heating",
        1.0,
        lambda a: a["power"],
    ),
    Kind(
        "busbar_resistance",
        Point.PLANT,
        "joint",
        "extra resistance in the busbar joint on a group's plus side, inside its sense wires",
        {"resistance": "ohm"},
        "plant_in.busbar_resistance",
        1.0,
        lambda a: a["resistance"],
    ),
    Kind(
        "coolant_loss",
        Point.PLANT,
        "coolant",
        "only this share of the conductance to the coolant is left",
        {"share": "1"},
        "plant_in.coolant_share",
        0.0,
        lambda a: a["share"],
    ),
    Kind("contactor_weld", Point.PLANT, "contactor", "power contact welded", {}, "plant_in.weld_{target}"),
    Kind("contactor_stuck_open", Point.PLANT, "contactor", "contact cannot close", {}, "plant_in.stuck_open_{target}"),
    Kind(
        "isolation_leak",
        Point.PLANT,
        "rail",
        "leak from a rail to chassis",
        {"resistance": "ohm"},
        "plant_in.leak_{target}",
        1.0,
        lambda a: 1.0 / a["resistance"],
    ),
    Kind("sense_wire_open", Point.STIMULUS, "wire", "cut a cell sense wire", {}, "command.sense_open"),
    Kind(
        "sense_wire_resistance",
        Point.STIMULUS,
        "wire",
        "a corroded cell sense wire or joint: this much resistance more",
        {"resistance": "ohm"},
        "command.sense_resistance",
        1.0,
        lambda a: a["resistance"],
    ),
    Kind(
        "thermistor_short",
        Point.STIMULUS,
        "sensor",
        "thermistor shorted",
        {},
        "command.thermistor",
        0.0,
        lambda a: 1.0,
    ),
    Kind(
        "thermistor_open",
        Point.STIMULUS,
        "sensor",
        "thermistor wire cut",
        {},
        "command.thermistor",
        0.0,
        lambda a: 1.0e7,
    ),
    Kind(
        "feedback_lost",
        Point.STIMULUS,
        "contactor",
        "auxiliary contact reads open",
        {},
        "command.auxiliary_{target}",
        0.0,
        lambda a: 0.0,
    ),
    Kind(
        "offset",
        Point.STIMULUS,
        "quantity",
        "sensor reads an offset too much",
        {"offset": "*"},
        "{target}",
        1.0,
        lambda a: a["offset"],
    ),
    Kind("stuck", Point.STIMULUS, "quantity", "sensor stuck at its last value", {}, "{target}", action=ColumnKind.HOLD),
    *_of_protection("frame", Point.TRANSMIT),
    *_of_protection("received", Point.RECEIVE),
    Kind("frame_missing", Point.TRANSMIT, "message", "message not sent", frame=FrameKind.LOSE),
    Kind(
        "frame_bit",
        Point.TRANSMIT,
        "message",
        "one payload bit flipped",
        {"bit": "1"},
        frame=FrameKind.FLIP_BIT,
        argument=lambda a: a["bit"],
    ),
    Kind(
        "frame_loss",
        Point.RECEIVE,
        "message",
        "frames lost on the way to the bench",
        {"probability": "1"},
        frame=FrameKind.LOSE,
        argument=lambda a: a["probability"],
    ),
    Kind(
        "frame_delay",
        Point.RECEIVE,
        "message",
        "frames reach the bench late",
        {"delay": "s"},
        frame=FrameKind.DELAY,
        argument=lambda a: round(a["delay"] * 1e9),
    ),
)


def kind_of(name: str) -> Kind | Problem:
    """The kind of that name, or what to say about it."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    names = [k.name for k in KINDS]
    return Problem(
        "unknown fault kind", expected="one of " + ", ".join(names), found=name, nearest=nearest(name, names) or ""
    )


def refused(kind: Kind, arguments: Mapping[str, float]) -> Problem | None:
    """What is wrong with the size of an argument of a column fault, or None."""
    rules: dict[str, tuple[str, Callable[[float], bool]]] = {
        "resistance": ("more than 0 ohm", lambda x: x > 0.0),
        "current": ("at least 0 A", lambda x: x >= 0.0),
        "share": ("0 to 1", lambda x: 0.0 <= x <= 1.0),
    }
    for name, (expected, is_met) in rules.items():
        if name in arguments and not is_met(arguments[name]):
            return Problem(f"{kind.name}: {name}", expected=expected, found=f"{arguments[name]:g}")
    return None


def columns_of(kind: Kind, target: str, table: Table) -> tuple[int, int] | Problem:
    """First column and count that a column fault of ``kind`` on ``target`` acts on, or what is wrong with the target."""
    matched = TARGET.match(target)
    if matched is None:
        return Problem("fault target", expected=_shape(kind), found=target)
    noun, index = matched["noun"], matched["index"]
    name = kind.column
    choices = CHOICES.get(kind.noun)
    if choices is not None:
        if noun not in choices:
            return Problem(
                "fault target", expected=" or ".join(choices), found=target, nearest=nearest(noun, choices) or ""
            )
        name = name.format(target=noun)
    elif kind.noun == "quantity":
        name = noun.replace("shown.", "command.", 1)
    elif noun != kind.noun or index is None:
        return Problem("fault target", expected=_shape(kind), found=target)
    q = table.find(name)
    if q is None or not name.startswith(("command.", "plant_in.")):
        shown = [n for n in table.names() if n.startswith("shown.")]
        return Problem("fault target", expected="a shown quantity", found=target, nearest=nearest(noun, shown) or "")
    if index is None or index == "all":
        return q.start, q.count
    if int(index) >= q.count:
        return Problem("fault target", expected=f"an index 0..{q.count - 1}", found=target)
    return q.start + int(index), 1


def _shape(kind: Kind) -> str:
    if kind.noun in CHOICES:
        return CHOICES[kind.noun][0]
    examples = {"cell": "cell[3]", "joint": "joint[3]", "wire": "wire[3]", "sensor": "sensor[3]"}
    return examples.get(kind.noun, "shown.pack_current")


def params(
    specs: Sequence[Spec], table: Table, messages: dict[str, int], protections: Sequence[Protection], seed: int
) -> Rows[FaultParams]:
    """Lower faults to rows. ``messages`` maps a message name to its identifier; specs were checked by the loader.

    Raises:
        InputError: a fault of the protection that would change nothing (``lacks``).
        ValueError: more faults than the tables hold, or a target that the loader should have refused.
    """
    made = zeros(FaultParams)
    p = view(made)
    p["seed"] = seed
    fill_table(p["e2e"], protections)
    protected = {int(line.id): index for index, line in enumerate(protections)}
    for spec in specs:
        kind = kind_of(spec.kind)
        if isinstance(kind, Problem):
            raise ValueError(str(kind))
        window = {"group": spec.group, "t_on_ns": spec.t_on_ns, "t_off_ns": spec.t_off_ns, "point": int(kind.point)}
        if kind.frame is not None:
            identifier = messages[spec.target]
            line = protections[protected[identifier]] if identifier in protected else None
            missing = lacks(kind, line, spec.arguments)
            if missing:
                raise InputError(f"fault {kind.name} on {spec.target}: {missing}")
            values: dict[str, Any] = {
                "kind": int(kind.frame),
                "id": identifier,
                "protection": protected.get(identifier, -1),
                "argument": kind.argument(spec.arguments),
            }
            _append(p, "n_frames", "on_frames", window | values)
        else:
            place = columns_of(kind, spec.target, table)
            if isinstance(place, Problem):
                raise ValueError(str(place))
            values = {"kind": int(kind.action), "column": place[0], "n": place[1], "gain": kind.gain}
            _append(p, "n_columns", "on_columns", window | values | {"offset": kind.offset(spec.arguments)})
    return made


def lacks(kind: Kind, line: Protection | None, arguments: Mapping[str, float]) -> str:
    """Why a fault of the protection would change nothing of a message, in words; "" = it does."""
    if kind.frame not in OF_PROTECTION:
        return ""
    if line is None:
        return "the message has no end-to-end protection"
    if kind.frame is FrameKind.WRONG_CRC and line.algorithm is Algorithm.NONE:
        return "its protection has no checksum"
    if kind.frame is FrameKind.WRONG_DATA_ID and not line.uses_data_id():
        return "its protection has no data id"
    if kind.frame in (FrameKind.FREEZE_COUNTER, FrameKind.JUMP_COUNTER) and line.counter_length == 0:
        return "its protection has no counter"
    if kind.frame is FrameKind.JUMP_COUNTER and is_idle(line, Corruption.JUMP, int(arguments["steps"])):
        return f"a counter from 0 to {line.counter_max} does not change by {int(arguments['steps'])} steps"
    if kind.frame is FrameKind.WRONG_DATA_ID and is_idle(line, Corruption.DATA_ID, int(arguments["data_id"])):
        return f"data id 0x{int(arguments['data_id']):X} gives the same checksum as its own"
    return ""


def _append(p: Any, count: str, rows: str, values: dict[str, Any]) -> None:
    index = int(p[count])
    if index >= ROWS:
        raise ValueError(f"a scenario holds at most {ROWS} faults of one table")
    for name, value in values.items():
        p[rows][index][name] = value
    p[count] = index + 1


def state() -> Rows[FaultState]:
    """Nothing begun, nothing remembered."""
    made = zeros(FaultState)
    s = np.asarray(made)[0]
    s["group_t_ns"][:] = -1
    s["counter"][:] = -1
    return made
