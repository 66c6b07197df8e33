"""From the options of ``hil replay`` to plans."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hil.cli.bar import Bar
from hil.codec.database import load
from hil.codec.e2e.plan import Protection
from hil.codec.mapping import E2e, load_e2e
from hil.codec.nouns import Database
from hil.errors import InputError, Problem
from hil.logs.trace import Trace, from_bytes
from hil.replay.conditions import breaks, parse_condition, parse_trigger
from hil.replay.corrupt import break_protection, disturb, parse_broken, parse_chance
from hil.replay.feed import Marks
from hil.replay.filters import Filter, Remap, parse_remap, parse_rules, shortened, whole_number
from hil.replay.ports import key_of, keys_of
from hil.replay.rewrite import Seams, Span, mode_of, parse_change, parse_span, repair, rewrite
from hil.replay.schedule import Cut, Plan, Timing, plan
from hil.replay.source import Source, load_source
from hil.replay.wire import BitRates
from hil.tick import FrameBits
from hil.units import NUMBER, parse_time_ns

LONGEST_SPEED = 40
_SPEED = re.compile(rf"{NUMBER}|[0-9]{{1,18}}/[0-9]{{1,18}}", re.ASCII)


@dataclass(slots=True)
class Planned:
    """What will be played, and what to tell about it."""

    plans: list[Plan]
    db: Database | None
    e2e: E2e | None
    loops: int | None
    pause_ns: int
    timing: Timing
    notes: list[str] = field(default_factory=list)
    remap: Remap = field(default_factory=Remap)
    there: set[int] = field(default_factory=set)
    taken: list[Plan] = field(default_factory=list)  # each log's frames after filters, before any change
    named: list[Trace] = field(default_factory=list)  # of each plan: its frames before they were renamed
    rewritten: int = 0
    corrupted: int = 0

    @property
    def one_log_each(self) -> bool:
        """True when no log follows another."""
        return self.loops == 1 and len(self.plans) == 1


def time_of(chosen: Mapping[str, Any], name: str) -> int | None:
    """A time option in ns; None when it is not given. Raises InputError naming the option."""
    text = chosen[name]
    if text is None:
        return None
    option = f"--{name.replace('_', '-')}"
    try:
        value = parse_time_ns(text)
    except InputError as error:
        raise InputError(Problem(option, expected=error.problems[0].expected, found=error.problems[0].found)) from error
    if value < 0:
        raise InputError(Problem(option, expected="a time from 0 s on", found=text))
    return value


def timing_of(chosen: Mapping[str, Any]) -> Timing:
    """Speed, gaps and fitting. Raises InputError for what is no number, or not above 0."""
    speed = _speed(chosen["speed"])
    gap_ns = time_of(chosen, "gap")
    if chosen["fast"] and gap_ns is not None:
        raise InputError(Problem("--fast and --gap", expected="one of them"))
    gap_ns = 0 if chosen["fast"] else gap_ns
    return Timing(speed, gap_ns, time_of(chosen, "max_gap"), _rates(chosen["fit_bus"]), chosen["burst"] or 1)


def _speed(text: str) -> Fraction:
    """An exact fraction; its length is bounded first, for a fraction holds every digit that an exponent asks for."""
    plain = text.strip().removesuffix("x")
    is_number = len(plain) <= LONGEST_SPEED and _SPEED.fullmatch(plain) is not None
    try:
        speed = Fraction(plain) if is_number else None
    except ZeroDivisionError:
        speed = None
    if speed is None:
        raise InputError(Problem("--speed", expected="a number such as 2, 0.5, 1/3", found=shortened(text)))
    if speed <= 0:
        raise InputError(Problem("--speed", expected="more than 0", found=text))
    return speed


def _rates(text: str | None) -> BitRates | None:
    if text is None:
        return None
    first, _, second = text.replace(" ", "").partition("/")
    nominal, data = whole_number(first), whole_number(second or first)
    if not nominal or not data:
        raise InputError(Problem("--fit-bus", expected="bit/s such as 500000 or 500000/2000000", found=shortened(text)))
    return BitRates(nominal, data)


def loops_of(text: str) -> int | None:
    """A count from 1, None for ever. Raises InputError for anything else."""
    if text.strip().lower() == "forever":
        return None
    loops = whole_number(text)
    if not loops:
        raise InputError(Problem("--loop", expected="a number from 1 on, or forever", found=shortened(text)))
    return loops


def sources_of(logs: Sequence[Path]) -> list[Source]:
    """The logs, read with a bar where it takes long. Raises InputError like ``load_source``."""
    out = []
    for path in logs:
        with Bar(f"reading {path.name}") as progress:
            out.append(load_source(path, progress))
    return out


def planned(sources: Sequence[Source], chosen: Mapping[str, Any]) -> Planned:
    """Everything decided before the first frame is sent.

    Raises:
        InputError: an option is wrong or needs another one.
    """
    db = load(chosen["dbc"]) if chosen["dbc"] is not None else None
    if chosen["e2e"] is not None and db is None:
        raise InputError(Problem("--e2e", expected="--dbc, which has its messages"))
    e2e = load_e2e(chosen["e2e"], db) if chosen["e2e"] is not None and db is not None else None
    timing = timing_of(chosen)
    out = Planned([], db, e2e, loops_of(chosen["loop"]), time_of(chosen, "pause") or 0, timing)
    span = parse_span(chosen["window"], "--window") if chosen["window"] else Span()
    trigger = parse_trigger(chosen["start_on"], db) if chosen["start_on"] else None
    directions = (chosen["direction"],) if chosen["direction"] else ()
    chosen_frames = Filter(parse_rules(chosen["ids"], db), directions, tuple(chosen["channels"]))
    remap = parse_remap(chosen["map_id"], chosen["map_channel"], db)
    for source in sources:
        out.notes += source.notes
        hits = trigger.begins(source.trace) if trigger is not None else None
        made = plan(source.trace, chosen_frames, timing, Cut(span.start_ns, span.stop_ns), hits)
        out.taken.append(made)
        made = _changed(made, chosen, out)
        out.named.append(made.trace)
        out.plans.append(replace(made, trace=remap.apply(made.trace)))
        out.there |= set(keys_of(made.trace)) if e2e is not None else set()
    out.remap = remap
    return out


def _changed(made: Plan, chosen: Mapping[str, Any], out: Planned) -> Plan:
    """One plan after rewriting, repair, corruption and chance, in this order; remaps come after, by the names' own ids."""
    db, e2e = out.db, out.e2e
    changes = [parse_change(text, db) for text in chosen["changes"]]
    broken = [parse_broken(text, e2e) for text in chosen["corrupt"]]
    drop = [parse_chance(text, db) for text in chosen["drop"]]
    twice = [parse_chance(text, db) for text in chosen["duplicate"]]
    if chosen["renumber"] and e2e is None:
        raise InputError(Problem("--renumber", expected="--e2e, to know the counters"))
    touched = None
    if changes and db is not None:
        done = rewrite(made, changes, db, mode_of(chosen["out_of_range"]))
        made, touched = done.plan, done.touched
        out.rewritten += int(touched.sum())
        if done.skipped:
            out.notes.append(
                f"{done.skipped} frames were too short for a signal, or did not bring it: left as they are"
            )
    if e2e is not None and chosen["repair"] != "off":
        every = chosen["repair"] == "all"
        mask = np.ones(len(made.trace), bool) if every or touched is None else touched
        if every or touched is not None or chosen["renumber"]:
            made = repair(made, mask, e2e, chosen["renumber"])
    made, count = break_protection(made, broken)
    out.corrupted += count
    return disturb(made, drop, twice, chosen["seed"])


def marks_of(chosen: Mapping[str, Any], made: Planned) -> Marks:
    """Breakpoints, on frames as they are before they are renamed, and stepping. Raises InputError for a condition that is none."""
    conditions = [parse_condition(text, made.db) for text in chosen["breakpoints"]]
    if not conditions:
        return Marks(every=chosen["step"])
    return Marks(lambda part: breaks(conditions, made.named[part.log]), chosen["step"])


def seams_of(made: Planned) -> Seams | None:
    """What joins the counters of one log and the next; None when none follows or nothing is known to be protected."""
    if made.e2e is None or made.one_log_each:
        return None
    there = [line for line in made.e2e.lines() if key_of(line.id, line.extended) in made.there]
    return Seams(_renamed(line, made.remap) for line in there) if there else None


def _renamed(line: Protection, remap: Remap) -> Protection:
    """The protection under the identifier its message is sent with."""
    flag = int(FrameBits.EXTENDED)
    sent = remap.apply(from_bytes([0], [line.id], [flag if line.extended else 0], [b""]))
    return line._replace(id=int(sent.id[0]), extended=bool(sent.bits[0] & flag))


def names_of(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """The logs, for JSON."""
    return [{"path": Path(s.path).name, "format": s.form, "frames": len(s.trace), "whole": s.whole} for s in sources]
