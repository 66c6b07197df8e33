"""The scenario and bench file models; ``hil schema`` prints their JSON Schema (committed in docs/reference)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hil.errors import InputError
from hil.files import Current, Duration, Ratio, Strict, Temperature, TimeOffset, Voltage

Expression = Annotated[
    str,
    Field(
        description="comparison over shown.*, measured.*, reported.*, twin.*, residual.* and limits.*",
        examples=["shown.cell_voltage[$cell] > limits.cell_ov.MSL"],
    ),
]
Value = Annotated[
    str | int | float,
    Field(
        description="quantity with unit, label, or limits.* expression",
        examples=["4.25 V", "limits.cell_ov.MSL + 50 mV"],
    ),
]
Signal = Annotated[str, Field(description="quantity name", examples=["shown.cell_voltage[$cell]"])]
State = Literal["STANDBY", "PRECHARGE", "NORMAL", "CHARGE", "ERROR"]


class Each(Strict):
    """Every cell of the pack."""

    each: Literal["all"]


class Needs(Strict):
    """What the bench must be able to do, checked before power-on."""

    cells: str | None = Field(None, description="number of cells", examples=[">= 12"])
    faults: list[Literal["receive", "plant", "stimulus", "transmit"]] = Field(default_factory=list)


class Given(Strict):
    """Where the run starts: pack, chamber and BMS memory are set, then the BMS is driven into ``state``."""

    state: State = "NORMAL"
    soc: Ratio = 0.6
    temperature: Temperature = 25.0
    soc_in_memory: Ratio | None = Field(None, description="state of charge in the BMS's memory; default: soc")
    within: Duration = Field(10_000_000_000, description="longest preparation; not reached is a FAIL")


class Envelope(Strict):
    """What the bench may never command; leaving it trips the limiter and ends the run."""

    cell_voltage: tuple[Voltage, Voltage] = (0.0, 5.0)
    pack_current: tuple[Current, Current] = (-500.0, 500.0)
    coolant_temperature: tuple[Temperature, Temperature] = (-40.0, 80.0)


class Record(Strict):
    """Which rows are kept besides frames, events, verdicts and the columns that checks use (those always are)."""

    every: Annotated[int, Field(ge=1, description="keep each Nth full row")] = 10


class Play(Strict):
    """A CSV profile, one value a line, held for ``period`` each; a tick gets the mean over its own length."""

    play: str = Field(description="file, relative to the scenario", examples=["cycles/udds.csv"])
    scale: float = 1.0
    period: Duration = 1_000_000_000


class Ramp(Strict):
    """Move one signal from where it is."""

    signal: Signal
    to: Value
    rate: str = Field(description="per second", examples=["50 mV/s"])


class Fault(Strict):
    """One fault of the catalogue, always removed at its end and at the end of the run."""

    kind: str
    target: str = Field(
        description="cell[3], joint[3], wire[3], sensor[3], main_plus, plus, coolant, a message or a shown quantity"
    )
    for_: Duration | None = Field(None, alias="for")
    resistance: str | None = None
    current: str | None = None
    power: str | None = None
    share: Ratio | None = None
    offset: str | None = None
    probability: Ratio | None = None
    delay: str | None = None
    bit: int | None = None
    steps: int | None = None
    data_id: int | None = None


class Wait(Strict):
    """Hold the steps until an expression is true; later steps count their time from there."""

    until: Expression
    within: Duration


ACTIONS = ("set", "release", "ramp", "current", "request", "send", "fault", "wait", "mark")


class Step(Strict):
    """One action at a time after the start of the steps (or after the last wait)."""

    at: TimeOffset = 0
    set: dict[str, Value] | None = None
    release: list[Signal] | None = None
    ramp: Ramp | None = None
    current: Play | Value | None = None
    request: Literal["NONE", "STANDBY", "NORMAL", "CHARGE", "CLEAR"] | None = None
    send: str | None = Field(
        None, description="one frame of a message the bench sends, whatever its send type", examples=["VEH_Request"]
    )
    fault: Fault | None = None
    wait: Wait | None = None
    mark: str | None = Field(None, description="a note in the record; also keeps the run going until then")

    @model_validator(mode="after")
    def _one_action(self) -> "Step":
        chosen = [name for name in ACTIONS if getattr(self, name, None) is not None]
        if len(chosen) != 1:
            raise InputError(f"a step needs exactly one of {', '.join(ACTIONS)}; found {', '.join(chosen) or 'none'}")
        return self


class Expect(Strict):
    """One requirement: when/then/within/stays, never/while, or always (for a share of the time)."""

    id: str | None = None
    when: Expression | None = None
    then: Expression | None = None
    within: str | None = Field(
        None, description="time or limits.*.budget", examples=["limits.cell_ov.budget", "300 ms"]
    )
    stays: Duration | None = None
    never: Expression | None = None
    while_: Expression | None = Field(None, alias="while")
    always: Expression | None = None
    for_: Ratio | None = Field(None, alias="for", description="share of the known time", examples=["95 %"])
    each: Literal["all"] | None = Field(None, description="one instance per cell, wire or sensor, addressed as [each]")
    informational: bool = Field(False, description="a reaction that is only reported is not a safety requirement")

    @model_validator(mode="after")
    def _one_form(self) -> "Expect":
        forms = [name for name in ("when", "never", "always") if getattr(self, name) is not None]
        if len(forms) != 1:
            raise InputError(
                f"an expectation needs exactly one of when, never, always; found {', '.join(forms) or 'none'}"
            )
        if (self.when is None) != (self.then is None) or (self.when is not None and self.within is None):
            raise InputError("when needs then and within, and then needs when")
        return self


Parameter = Each | list[Value]


class Scenario(Strict):
    """A scenario file."""

    scenario: str = Field(description="one sentence: what this shows")
    requirements: list[str] = Field(default_factory=list)
    tags: list[str] = Field(default_factory=list)
    needs: Needs = Needs()
    pack: str = Field(description="pack file, relative to the scenario")
    bms: str = Field("bms/reference.limits.yaml", description="limits file of the BMS")
    tick: Duration = 10_000_000
    seed: int = 1
    duration: Duration | None = Field(
        None, description="longest run after the preparation; default: steps and checks decide"
    )
    params: dict[str, Parameter] = Field(default_factory=dict)
    given: Given = Given()
    envelope: Envelope = Envelope()
    record: Record = Record()
    steps: list[Step]
    expect: list[Expect]


class DutFile(Strict):
    """The device under test of a virtual bench."""

    level: Literal["L0"] = "L0"
    defects: list[str] = Field(default_factory=list)
    phase: Duration | None = Field(None, description="task activation after the tick; default: the limits file's")


class ChannelUncertainty(Strict):
    """Half widths of what a channel's value and time may be off by (quantisation, noise, sampling phase)."""

    value: str | None = Field(None, examples=["0.5 mV"])
    time: Duration = 0


class RestbusFile(Strict):
    """What the bench sends in the place of real nodes (docs/reference/restbus.md)."""

    senders: tuple[str, ...] = Field(("Bench",), description="nodes of the DBC whose messages the bench sends")
    suppress: tuple[str | int, ...] = Field((), description="messages never sent, by name or identifier")
    when_heard: Literal["suppress", "resume", "ignore"] = Field(
        "suppress", description="when another node sends one of them: stop, stop until it is silent, or send on"
    )
    resume_after: Annotated[int, Field(ge=1)] = Field(5, description="silent cycles before it is sent again")
    cycles: dict[str, Duration] = Field(default_factory=dict, description="cycle times the DBC does not have")


class BenchFile(Strict):
    """A bench file: what is plugged in."""

    bench: str
    kind: Literal["virtual"] = "virtual"
    dbc: str = "../../dbc/bench.dbc"
    quantities: str = "../../dbc/bench.quantities.yaml"
    e2e: str = "../../dbc/bench.e2e.yaml"
    bit_rate: int = 500_000
    overrun: Literal["judge", "record"] = "record"
    dut: DutFile = DutFile()
    restbus: RestbusFile = RestbusFile()
    faults: tuple[Literal["receive", "plant", "stimulus", "transmit"], ...] = Field(
        ("receive", "plant", "stimulus", "transmit"),
        description="injection points this bench can reach; compared with a scenario's needs",
    )
    uncertainty: dict[str, ChannelUncertainty] = Field(default_factory=dict, description="by quantity name")
