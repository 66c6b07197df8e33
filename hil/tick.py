"""The nouns of one tick, in the order they come to exist. Read this file first.

One tick is one pass of data in one direction (docs/architecture.md): a Snapshot crosses from the bench
(``Link.rx``, ``Link.instruments``, ``Link.coils``), the stages of ``hil/engine.py`` turn it into quantities of the
process image row and finally into a Command (``Link.pins``, ``Link.tx``), which the bench applies. What crosses the DUT
port itself is ``DutLink``: frames, integer codes and wires, no physics.

Times are integer nanoseconds of the run, currents are positive in discharge, NaN is unknown.
"""

from enum import IntEnum
from typing import Annotated

from hil.kernel import F64, I32, I64, Bytes, Floats, Ints, Ints32, Rows

CELLS = 192  # most cells in series a record can hold; the runtime count is in Params
WIRES = CELLS + 1
TEMPS = 64
COLUMNS = 6144  # width of the process image row
FRAMES = 128  # frames that can end in one tick (10 ms of 500 kbit/s carry about 90)
EDGES = 32  # digital edges that can fall in one tick
PAYLOAD = 64
GROUPS = 16  # step groups of a scenario; fault windows and steps are relative to a group's start


class Frame:
    """One CAN frame on the wire."""

    t_ns: I64  # end of frame as seen by the receiver; before transmission: when it was handed to the controller
    id: I32  # identifier, 11 or 29 bits
    bits: I32  # FrameBits
    dlc: I32  # payload length in bytes
    source: I32  # Node that sent it
    payload: Annotated[Bytes, PAYLOAD]


class FrameBits(IntEnum):
    """Flags of a frame, or-ed."""

    EXTENDED = 1
    FD = 2
    BITRATE_SWITCH = 4
    ERROR = 8
    LOST = 16  # removed by a receive fault; kept in the ring so that the record shows it
    SENT = 32  # transmitted by the bench; in a log: by the device that recorded it ("Tx")
    REMOTE = 64  # remote request: ``dlc`` is the length asked for, the payload is empty
    ERROR_STATE = 128  # FD: the sender was error passive (ESI)
    FAULT = 256  # only in a record: put there by a receive fault (altered or late), never on the wire


class Node(IntEnum):
    """Who drives a wire or sends a frame."""

    BENCH = 0
    DUT = 1
    OTHER = 2


class Frames:
    """A fixed list of frames in time order; ``n`` are valid, ``lost`` counts what found no room."""

    n: I64
    lost: I64
    slot: Annotated[Rows[Frame], FRAMES]


class Switch(IntEnum):
    """The three contactors, index of every per-contactor array."""

    MAIN_PLUS = 0
    MAIN_MINUS = 1
    PRECHARGE = 2


SWITCHES = 3


class Edge:
    """A level change of one digital wire."""

    t_ns: I64
    wire: I32  # Switch
    level: I32  # level from t_ns on


class Edges:
    """Level changes of one tick in time order."""

    n: I64
    lost: I64
    slot: Annotated[Rows[Edge], EDGES]


class Instruments:
    """What the bench's instruments read, each sampled at ``t_ns`` (plane named in the quantity table)."""

    t_ns: I64
    cell_voltage_v: Annotated[Floats, CELLS]  # emulator read-back, at the source
    temperature_degc: Annotated[Floats, TEMPS]  # thermistor emulator read-back as temperature
    pack_current_a: F64  # reference shunt, load side
    pack_voltage_v: F64
    link_voltage_v: F64  # load side of the main contactors
    coolant_temperature_degc: F64
    gas_pressure_pa: F64
    supply_v: F64
    bus_load: F64  # fraction of bit time used on the bus in the last tick


class Pins:
    """What the bench puts on the DUT's pins from t_k on: the shown values in physical units."""

    cell_voltage_v: Annotated[Floats, CELLS]
    sense_open: Annotated[Ints32, WIRES]  # 1 = the fault insertion unit has cut this sense wire
    sense_ohm: Annotated[Floats, WIRES]  # added to this sense wire, 0 when healthy
    thermistor_ohm: Annotated[Floats, TEMPS]
    temperature_degc: Annotated[Floats, TEMPS]  # what the thermistors stand for
    coolant_degc: F64
    gas_pressure_pa: F64
    pack_current_a: F64
    pack_voltage_v: F64
    link_voltage_v: F64
    isolation_ohm: F64
    supply_v: F64
    auxiliary: Annotated[Ints, SWITCHES]  # feedback contact levels, 1 = closed
    hvil: I64  # 1 = loop closed
    wake: I64


class Heard:
    """What came in as it came: before receive faults touch the frames, before the emulated contacts move. For the record."""

    rx: Frames
    poles: Edges


class Link:
    """All that crosses between the bench half and the world in one tick."""

    rx: Frames  # bus -> bench, ends in (t_k-1, t_k]
    tx: Frames  # bench -> bus, offered at t_k
    instruments: Instruments
    coils: Edges  # DUT coil wires, edges in (t_k-1, t_k]
    poles: Edges  # power contacts as the load side saw them, edges in (t_k-1, t_k]
    bleed: Annotated[Ints32, CELLS]  # DUT balancing switches as they stand at t_k
    heard: Heard  # rx and poles as they came, kept by the engine
    pins: Pins


class DutInputs:
    """Wires into the DUT after the harness's ADCs: integer codes only, so that every level computes the same."""

    t_ns: I64
    cell_code: Annotated[Ints32, CELLS]  # 100 uV
    temp_code: Annotated[Ints32, TEMPS]  # 12-bit ratio of a 10 kohm pull-up divider, 0..4095
    pack_current_ma: I64
    pack_voltage_mv: I64
    link_voltage_mv: I64
    isolation_kohm: I64
    supply_mv: I64
    auxiliary: Annotated[Ints, SWITCHES]
    hvil: I64
    wake: I64


class OpenWireTest(IntEnum):
    """Current the front end drives into its cell inputs while it samples."""

    NONE = 0
    PULL_UP = 1
    PULL_DOWN = 2


class DutOutputs:
    """Wires out of the DUT."""

    coil: Annotated[Ints, SWITCHES]  # 1 = energised
    bleed: Annotated[Ints32, CELLS]  # 1 = balancing switch closed
    open_wire_test: I64  # OpenWireTest in force for the next sample
    wake_hold: I64


class DutLink:
    """All that crosses the DUT port: the same two places at every level, wires and frames."""

    rx: Frames  # frames that ended since the last step
    tx: Frames  # frames the step hands to its controller
    wires_in: DutInputs
    wires_out: DutOutputs
