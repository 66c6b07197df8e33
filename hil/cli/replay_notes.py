"""Options of ``hil replay`` that met nothing in the logs: told, for a name misspelt must not look like work done."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hil.cli.replay_plan import Planned
from hil.replay.corrupt import parse_broken, parse_chance
from hil.replay.filters import parse_remap, wanted, whole_number
from hil.replay.rewrite import Span, frames_of, parse_change

_CHECKSUM = re.compile(r"crc|check_?sum|chk_?sum", re.IGNORECASE)


def idle(made: Planned, chosen: Mapping[str, Any]) -> list[str]:
    """A sentence for each option given that fits no frame played."""
    return [f"{option}: no frame of the logs played is like that" for option in _idle(made, chosen)]


def _idle(made: Planned, chosen: Mapping[str, Any]) -> Iterator[str]:
    for text in chosen["changes"]:
        change = parse_change(text, made.db)
        if not _is_there(made, change.message.id, change.message.extended, change.span):
            yield f"--set {text}"
    for text in chosen["corrupt"]:
        broken = parse_broken(text, made.e2e)
        if not _is_there(made, broken.line.id, broken.line.extended, broken.span):
            yield f"--corrupt {text}"
    for name in ("drop", "duplicate"):
        for text in chosen[name]:
            rules = parse_chance(text, made.db).rules
            if not any(wanted(plan.trace, rules).any() for plan in made.taken):
                yield f"--{name} {text}"
    for text in chosen["map_id"]:
        old = parse_remap([text], (), made.db).ids[0][0]
        if not any(old.matches(plan.trace).any() for plan in made.taken):
            yield f"--map-id {text}"
    there = {int(c) for plan in made.taken for c in np.unique(plan.trace.channel)}
    for text in chosen["map_channel"]:
        if parse_remap((), [text], made.db).channels[0][0] not in there:
            yield f"--map-channel {text}"
    sent = {int(c) for plan in made.plans for c in np.unique(plan.trace.channel)}
    for text in chosen["route"]:
        if whole_number(text.partition("=")[0]) not in sent:
            yield f"--route {text}"


def unrepaired(made: Planned, chosen: Mapping[str, Any]) -> list[str]:
    """A sentence for each rewritten message that seems to have a checksum which nothing says how to repair."""
    if chosen["repair"] == "off" or not made.rewritten:
        return []
    changes = [parse_change(text, made.db) for text in chosen["changes"]]
    met = {c.message.name: c.message for c in changes if _is_there(made, c.message.id, c.message.extended, c.span)}
    out = []
    for name, message in met.items():
        checksum = next((s.name for s in message.signals if _CHECKSUM.search(s.name)), None)
        if checksum is not None and (made.e2e is None or made.e2e.of(name) is None):
            who = "no --e2e says" if made.e2e is None else f"{chosen['e2e']} does not say"
            out.append(f"{name} was rewritten and {who} how its {checksum} is made: it stays as it was in the log")
    return out


def _is_there(made: Planned, identifier: int, extended: bool, span: Span) -> bool:
    for plan in made.taken:
        which = frames_of(plan.trace, identifier, extended)
        if span.covers(plan.log_ns[which]).any():
            return True
    return False
