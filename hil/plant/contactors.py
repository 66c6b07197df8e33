"""Contactors: from the coil wire to the power contact, with operate, bounce and release times, welded or stuck.

The contact touches ``operate_ns`` after its coil, chatters within ``bounce_ns`` and then stays; it opens ``release_ns``
after the coil is off. A coil that lets go before the first touch closes nothing. What conducts is the *pole*: welded,
or closed and not stuck open.
"""

from typing import Annotated

from hil.files.pack import PackModel
from hil.kernel import I64, Ints, kernel
from hil.tick import EDGES, SWITCHES, Edges

NEVER = 2**62


class ContactorParams:
    """Times of all three contactors, ns; ``bounces`` extra openings within ``bounce_ns``."""

    operate_ns: I64
    bounce_ns: I64
    bounces: I64
    release_ns: I64


class ContactorState:
    """Per Switch. ``due_ns`` is when the armature's contact changes next, NEVER when it rests."""

    coil: Annotated[Ints, SWITCHES]
    contact: Annotated[Ints, SWITCHES]  # what the armature would close
    due_ns: Annotated[Ints, SWITCHES]
    changes: Annotated[Ints, SWITCHES]  # still to come
    settled_ns: Annotated[Ints, SWITCHES]  # when the last of them falls
    weld: Annotated[Ints, SWITCHES]
    stuck: Annotated[Ints, SWITCHES]
    pole: Annotated[Ints, SWITCHES]  # 1 = conducts


@kernel
def next_due(s: ContactorState) -> int:
    """When the next contact changes, ns."""
    due = NEVER
    for k in range(SWITCHES):
        due = min(due, s.due_ns[k])
    return due


@kernel
def drive(s: ContactorState, p: ContactorParams, wire: int, level: int, t_ns: int) -> None:
    """The coil of contactor ``wire`` changes to ``level`` at ``t_ns``; a repeated level does nothing."""
    on = 1 if level != 0 else 0
    if s.coil[wire] == on:
        return
    s.coil[wire] = on
    if on == 1:
        if s.contact[wire] == 1:
            s.due_ns[wire] = NEVER
            s.changes[wire] = 0
            return
        s.settled_ns[wire] = t_ns + p.operate_ns + p.bounce_ns
        s.changes[wire] = 2 * p.bounces + 1
        s.due_ns[wire] = t_ns + p.operate_ns if p.bounces > 0 else s.settled_ns[wire]
    elif s.contact[wire] == 1:
        s.changes[wire] = 1
        s.due_ns[wire] = t_ns + p.release_ns
    else:
        s.changes[wire] = 0
        s.due_ns[wire] = NEVER


@kernel
def elapse(s: ContactorState, p: ContactorParams, t_ns: int) -> None:
    """Make all contact changes that are due at ``t_ns``."""
    for k in range(SWITCHES):
        if s.due_ns[k] > t_ns:
            continue
        s.contact[k] = 1 - s.contact[k]
        s.changes[k] -= 1
        if s.changes[k] <= 0:
            s.due_ns[k] = NEVER
        elif s.changes[k] == 1:
            s.due_ns[k] = s.settled_ns[k]
        else:
            s.due_ns[k] += p.bounce_ns // (2 * p.bounces)


@kernel
def settle(s: ContactorState, poles: Edges, t_ns: int) -> int:
    """Set the poles from contacts, welds and stuck contacts; append an edge for each that changed. Returns how many."""
    changed = 0
    for k in range(SWITCHES):
        pole = 1 if s.weld[k] != 0 or (s.contact[k] == 1 and s.stuck[k] == 0) else 0
        if pole == s.pole[k]:
            continue
        s.pole[k] = pole
        changed += 1
        if poles.n < EDGES:
            edge = poles.slot[poles.n]
            edge.t_ns = t_ns
            edge.wire = k
            edge.level = pole
            poles.n += 1
        else:
            poles.lost += 1
    return changed


@kernel
def begin(s: ContactorState) -> None:
    """All coils off, all poles open, nothing welded or stuck."""
    for k in range(SWITCHES):
        s.coil[k], s.contact[k], s.changes[k], s.settled_ns[k] = 0, 0, 0, 0
        s.weld[k], s.stuck[k], s.pole[k] = 0, 0, 0
        s.due_ns[k] = NEVER


def fill(record: ContactorParams, pack: PackModel) -> None:
    """Fill the params from the pack file."""
    written = pack.hv.contactor
    record.operate_ns, record.bounce_ns = written.operate, written.bounce
    record.bounces, record.release_ns = written.bounces, written.release
