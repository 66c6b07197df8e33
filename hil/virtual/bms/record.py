"""The records of the reference BMS: what it remembers (BmsState) and what it is told once (BmsConfig).

Units: mV, mA, 0.1 degC (``dc``), uAs, ns of the BMS's own clock. A timer of -1 is not running.
"""

from enum import IntEnum
from typing import Annotated

from hil.codec.e2e import E2eState, E2eTable
from hil.codec.raw import RawPlan
from hil.image import DTCS
from hil.kernel import I64, Ints, Ints32, Rows
from hil.tick import CELLS, SWITCHES, TEMPS

DTC_COUNT = len(DTCS)
REQUESTS_A_STEP = 16  # vehicle requests looked at in one activation
STATS = 8
SLOTS = 256
MESSAGES = 11
UNKNOWN_DC = -32768  # temperature of a broken sensor


class State(IntEnum):
    """The state machine; numbers as in ``hil.image.STATES``."""

    STARTUP = 0
    STANDBY = 1
    PRECHARGE = 2
    NORMAL = 3
    CHARGE = 4
    ERROR = 5


class Request(IntEnum):
    """What the vehicle asks for; numbers as in ``hil.image.REQUESTS``."""

    NONE = 0
    STANDBY = 1
    NORMAL = 2
    CHARGE = 3
    CLEAR = 4


class Dtc(IntEnum):
    """Trouble codes; order as in ``hil.image.DTCS``."""

    CELL_OV = 0
    CELL_UV = 1
    CELL_DEEP_UV = 2
    OT_DISCHARGE = 3
    OT_CHARGE = 4
    UT_DISCHARGE = 5
    UT_CHARGE = 6
    OC_DISCHARGE = 7
    OC_CHARGE = 8
    PLAUSIBILITY_SUM = 9
    CELL_SPREAD = 10
    OPEN_WIRE = 11
    THERMISTOR = 12
    PRECHARGE_TIMEOUT = 13
    PRECHARGE_SHORT = 14
    CONTACTOR_WELD = 15
    CONTACTOR_STUCK_OPEN = 16
    BREAK_INHIBIT = 17
    REQUEST_TIMEOUT = 18
    REQUEST_CRC = 19
    REQUEST_COUNTER = 20
    ISOLATION_WARNING = 21
    ISOLATION_FAULT = 22


class Closing(IntEnum):
    """Steps of PRECHARGE, in order; PAUSE follows a failed try."""

    MAIN_MINUS = 0
    CHARGE_LINK = 1
    MAIN_PLUS = 2
    RELEASE = 3
    PAUSE = 4


class Message(IntEnum):
    """Messages by their number in the plan; all but the last are sent."""

    STATE = 0
    PACK = 1
    DTC = 2
    LIMITS = 3
    SOC = 4
    MINMAX = 5
    CELLS = 6
    TEMPERATURES = 7
    ISOLATION = 8
    IDENTITY = 9
    REQUEST = 10


class Stat(IntEnum):
    """Places of the results of a scan over cells or sensors."""

    LOW = 0
    HIGH = 1
    LOW_INDEX = 2
    HIGH_INDEX = 3
    TOTAL = 4
    BROKEN = 5


class Slot(IntEnum):
    """Places of the raw signals in the vector of slots; vectors follow from their first place."""

    STATE = 0
    CONTACTOR = 1  # three, by Switch
    ERROR_LATCHED = 4
    BALANCING = 5
    OPEN_WIRE_TEST = 6
    TRIES = 7
    CURRENT = 8
    PACK_VOLTAGE = 9
    LINK_VOLTAGE = 10
    SCAN_COUNTER = 11
    DISCHARGE_LIMIT = 12
    CHARGE_LIMIT = 13
    SOC = 14
    VOLTAGE_MIN = 15
    VOLTAGE_MAX = 16
    TEMPERATURE_MIN = 17
    TEMPERATURE_MAX = 18
    MIN_INDEX = 19
    MAX_INDEX = 20
    CELL_MUX = 21
    TEMPERATURE_MUX = 22
    ISOLATION = 23
    HARDWARE = 24
    SOFTWARE = 25
    CALIBRATION = 26
    REQUEST = 27
    DTC = 32  # one per trouble code
    TEMPERATURE = 64  # 35, seven groups of five
    CELL = 112  # 96, 24 groups of four


class ComState:
    """What the receiver of the vehicle request remembers."""

    request: E2eState


class ComConfig:
    """Layout and protection of the messages; ``protection`` is the line of each, -1 = none."""

    plan: RawPlan
    protections: E2eTable
    protection: Annotated[Ints, MESSAGES]


class BmsState:
    """Everything the BMS remembers from one task activation to the next."""

    now_ns: I64  # the BMS's own clock: activations times the task's period
    activation: I64
    powered: I64
    # inputs as understood
    image_valid: I64
    image_fresh: I64  # this activation brought a new image
    image_elapsed_ns: I64  # time the present evaluation of the image stands for
    min_mv: I64
    max_mv: I64
    sum_mv: I64
    image_pack_mv: I64  # pack voltage of the image's instant
    min_index: I64
    max_index: I64
    min_dc: I64  # UNKNOWN_DC when no sensor is usable
    max_dc: I64
    broken_sensors: I64
    current_ma: I64
    slow_current_ma: I64
    pack_mv: I64
    link_mv: I64
    isolation_kohm: I64
    interlock_ns: I64  # time that the interlock or wake line has been missing, -1 = both are there
    open_wire: I64  # wire found open by the last pair of samples, -1 = none
    open_wire_fresh: I64
    open_wire_test: I64
    # faults
    trip: I64
    pending: I64  # a fault that opens is confirmed, its delay may still run
    deep_latched: I64  # kept in NVM
    # state machine
    state: I64
    target: I64
    closing: I64
    closing_ns: I64
    settled: I64
    tries: I64
    link_before_mv: I64
    opened_ns: I64  # when the HV path was last opened, -1 = never
    opening_ns: I64  # since when an opening on request waits, -1 = none
    short_checked: I64
    cleared: I64
    held: I64  # an opening is inhibited by the current
    # communication
    request: I64
    request_heard: I64
    request_ns: I64
    crc_bad: I64
    counter_bad: I64
    scan_phase: I64
    scan_counter: I64
    scan_current_ma: I64
    dtc_word: I64  # as last sent
    limit_sent: I64  # greatest limit as last sent
    # results
    charge_uas: I64
    discharge_limit_ma: I64
    charge_limit_ma: I64
    bleeding: I64  # cells chosen for balancing
    coil: Annotated[Ints, SWITCHES]
    want: Annotated[Ints, SWITCHES]
    auxiliary: Annotated[Ints, SWITCHES]
    timer: Annotated[Ints, DTC_COUNT]
    confirmed: Annotated[Ints, DTC_COUNT]
    confirmed_ns: Annotated[Ints, DTC_COUNT]
    latched: Annotated[Ints, DTC_COUNT]
    dtc: Annotated[Ints, DTC_COUNT]
    # vectors that only compiled helpers touch
    stats: Annotated[Ints, STATS]
    rx_status: Annotated[Ints, REQUESTS_A_STEP]
    rx_request: Annotated[Ints, REQUESTS_A_STEP]
    tx_counter: Annotated[Ints, MESSAGES]
    slots: Annotated[Ints, SLOTS]
    image: Annotated[Ints32, CELLS]  # 100 uV
    pulled_up: Annotated[Ints32, CELLS]  # 100 uV, under the open-wire test's pull-up current
    bleed: Annotated[Ints32, CELLS]
    sensor_dc: Annotated[Ints32, TEMPS]
    com: Annotated[Rows[ComState], 1]


class BmsConfig:
    """Calibration. Arrays over trouble codes are in ``Dtc`` order; limits in the unit of what they bound."""

    n_cells: I64
    n_temps: I64
    task_ns: I64
    image_every: I64  # task activations between cell images
    startup_ns: I64
    leaky: I64
    per_call: I64
    current_shift: I64  # the slow current is a first-order filter of 2^shift activations
    msl: Annotated[Ints, DTC_COUNT]
    release: Annotated[Ints, DTC_COUNT]
    mol: Annotated[Ints, DTC_COUNT]
    rsl: Annotated[Ints, DTC_COUNT]
    debounce_ns: Annotated[Ints, DTC_COUNT]
    heal_ns: Annotated[Ints, DTC_COUNT]
    delay_ns: Annotated[Ints, DTC_COUNT]
    opens: Annotated[Ints, DTC_COUNT]  # 1 = the contactors open
    sensor_open_code: I64
    sensor_short_code: I64
    code_dc: Annotated[Ints32, 4096]  # thermistor code -> 0.1 degC
    weld_settle_ns: I64
    weld_below_permille: I64
    weld_rise_permille: I64
    precharge_timeout_ns: I64
    precharge_end_permille: I64
    precharge_short_ns: I64
    precharge_short_permille: I64
    precharge_tries: I64
    precharge_pause_ns: I64
    opening_wait_ns: I64
    opening_current_ma: I64
    full_discharge_ma: I64
    full_charge_ma: I64
    charge_seen_ma: I64
    balance_above_mv: I64
    balance_release_mv: I64
    balance_difference_mv: I64
    balance_current_ma: I64
    supply_min_mv: I64
    interlock_ns: I64
    request_period_ns: I64
    capacity_uas: I64
    factory_charge_uas: I64
    hardware_version: I64
    software_version: I64
    calibration_version: I64
    period: Annotated[Ints, MESSAGES]  # activations, 0 = not cyclic
    phase: Annotated[Ints, MESSAGES]
    com: Annotated[Rows[ComConfig], 1]
