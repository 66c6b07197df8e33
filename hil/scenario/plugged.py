"""A bench file with the bus it names: what is plugged in, settled before anything is assembled on it."""

from dataclasses import dataclass
from pathlib import Path

from hil.checks.spec import Uncertainty
from hil.codec import restbus
from hil.codec.e2e import Protection
from hil.codec.mapping import Bus, load_bus
from hil.codec.nouns import Message
from hil.errors import InputError, Problem
from hil.files import Document, load_model, resolve
from hil.files.shipped import located, shipped
from hil.image import Table
from hil.scenario.schema import BenchFile
from hil.units import parse_quantity

REQUEST = "VEH_Request"


@dataclass(frozen=True, slots=True)
class Plugged:
    """A bench file with the bus it names; ``rules``: what the bench sends there in the place of real nodes."""

    path: Path
    model: BenchFile
    document: Document
    bus: Bus
    rules: restbus.Rules

    def messages(self) -> dict[str, int]:
        """Identifier of every message by name."""
        return {m.name: m.id for m in self.bus.db.messages}

    def sent(self) -> list[Message]:
        """The messages the bench sends."""
        return restbus.sent_messages(self.bus.db, self.rules)

    def protections(self) -> dict[str, Protection | None]:
        """Protection of every message by name."""
        return {m.name: self.bus.e2e.of(m.name) for m in self.bus.db.messages}


def load_bench(path: Path | None) -> Plugged:
    """Load a bench file to run on, by default the virtual bench that ships with the project.

    Raises:
        InputError: the file or one it names is wrong.
    """
    plugged = load_listener(path)
    model, document, wired = plugged.model, plugged.document, plugged.bus
    rules = restbus.Rules(**model.restbus.model_dump())
    wrong = restbus.misfits(wired.db, rules)
    if wrong:
        raise InputError(
            document.problem(("restbus", *at), p.message, on_key=True, expected=p.expected, nearest=p.nearest)
            for at, p in wrong
        )
    restbus.check(wired.db, rules)
    if wired.db.find(REQUEST) is None or wired.e2e.of(REQUEST) is None:
        expected = f"a protected message {REQUEST}, by which the bench asks the BMS for its states"
        raise InputError(
            Problem(f"the bench {plugged.path.name} can judge logs alone", str(wired.db.path), expected=expected)
        )
    return plugged


def load_listener(path: Path | None, dbc: Path | None = None) -> Plugged:
    """Load a bench file to judge logs by, from whose bus nothing need be known but what is reported there.

    ``dbc`` is a database in which its quantities are looked up instead of in its own.

    Raises:
        InputError: the file or one it names is wrong.
    """
    chosen = located(path) if path is not None else shipped("scenarios/benches/virtual.yaml")
    model, document = load_model(chosen, BenchFile)
    wired = load_bus(resolve(document, ("quantities",), model.quantities), dbc)
    rules = restbus.Rules(**model.restbus.model_dump())
    if restbus.misfits(wired.db, rules):  # somebody else's bus, on which the bench of this file would send nothing
        rules = restbus.Rules(senders=())
    return Plugged(chosen, model, document, wired, rules)


def uncertainties(model: BenchFile, document: Document, table: Table) -> dict[str, Uncertainty]:
    """Half widths of value and time per quantity, from the bench file.

    Raises:
        InputError: an unknown quantity or a wrong unit.
    """
    out: dict[str, Uncertainty] = {}
    for name, channel in model.uncertainty.items():
        at = ("uncertainty", name)
        q = table.find(name)
        if q is None:
            raise InputError(document.problem(at, f"no quantity {name}", on_key=True))
        unit = "K" if q.unit == "degC" else q.unit
        try:
            amount = parse_quantity(channel.value, unit) if channel.value is not None else 0.0
        except InputError as error:
            p = error.problems[0]
            raise InputError(document.problem((*at, "value"), p.message, expected=p.expected, found=p.found)) from None
        out[name] = Uncertainty(amount, channel.time * 1e-9)
    return out
