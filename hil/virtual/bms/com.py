"""Communication: the vehicle request in, the BMS's messages out. The two kernels that touch frames take arrays only."""

from hil.codec import e2e, raw
from hil.kernel import Ints, Rows, kernel
from hil.tick import Frame, Node
from hil.virtual.bms.record import (
    DTC_COUNT,
    UNKNOWN_DC,
    BmsConfig,
    BmsState,
    ComConfig,
    ComState,
    Message,
    Request,
    Slot,
    State,
)
from hil.virtual.bms.rules import (
    div_round,
    reported_contactor,
    reported_dtc,
    request_corrupt,
    request_out_of_order,
    request_usable,
)
from hil.virtual.bms.vectors import latch_scan, latch_sensors

REQUEST_MESSAGE, REQUEST_SLOT = int(Message.REQUEST), int(Slot.REQUEST)
CELLS_MESSAGE, CELL_MUX = int(Message.CELLS), int(Slot.CELL_MUX)
NO_NEW_DATA, ERROR, DUT = int(e2e.E2eStatus.NO_NEW_DATA), int(e2e.E2eStatus.ERROR), int(Node.DUT)
FRAMES_A_STEP = 3  # cell frames of one activation
SCAN_STEPS = 8  # activations of one full scan: 24 groups


@kernel
def read_requests(
    states: Rows[ComState],
    fixed: Rows[ComConfig],
    frames: Rows[Frame],
    n: int,
    slots: Ints,
    status: Ints,
    request: Ints,
) -> int:
    """Judge every vehicle request among ``n`` frames; their E2E status and content in order, the result counts them."""
    line = fixed[0].protection[REQUEST_MESSAGE]
    count = 0
    for i in range(n):
        frame = frames[i]
        judged = e2e.check(frame, fixed[0].protections.config[line], states[0].request)
        if judged == NO_NEW_DATA or count >= status.shape[0]:
            continue
        request[count] = 0
        if judged != ERROR:
            raw.decode(fixed[0].plan, frame, slots)
            request[count] = slots[REQUEST_SLOT]
        status[count] = judged
        count += 1
    return count


@kernel
def send_frames(fixed: Rows[ComConfig], slots: Ints, counters: Ints, due: int, t_ns: int, frames: Rows[Frame]) -> int:
    """Encode and protect the messages of the bit set ``due`` in order; the result counts the frames."""
    n = 0
    for message in range(REQUEST_MESSAGE):
        if (due >> message) & 1 == 0:
            continue
        repeats = FRAMES_A_STEP if message == CELLS_MESSAGE else 1
        for _ in range(repeats):
            if n >= len(frames):
                return n
            frame = frames[n]
            raw.encode(fixed[0].plan, message, slots, frame)
            frame.t_ns = t_ns
            frame.source = DUT
            line = fixed[0].protection[message]
            if line >= 0:
                e2e.protect(frame, fixed[0].protections.config[line], counters[message])
                counters[message] = e2e.next_counter(counters[message], fixed[0].protections.config[line])
            if message == CELLS_MESSAGE:
                slots[CELL_MUX] += 1
            n += 1
    return n


@kernel
def receive(s: BmsState, c: BmsConfig, frames: Rows[Frame], n: int) -> None:
    """Obey the last usable request; count the damaged and the unordered ones since the last good one."""
    found = 0
    if n > 0:
        found = read_requests(s.com, c.com, frames, n, s.slots, s.rx_status, s.rx_request)
    for i in range(found):
        status = s.rx_status[i]
        if request_usable(status) != 0:
            s.request_heard = 1
            s.request_ns = s.now_ns
            if s.rx_request[i] != Request.NONE:
                s.request = s.rx_request[i]
            s.crc_bad = 0
            s.counter_bad = 0
        s.crc_bad += request_corrupt(status)
        s.counter_bad += request_out_of_order(status)


@kernel
def limited(value: int, low: int, high: int) -> int:
    """``value`` inside what a signal can carry."""
    if value < low:
        return low
    if value > high:
        return high
    return value


@kernel
def begin_scan(s: BmsState, c: BmsConfig) -> None:
    """Every eighth activation: freeze the cell image and the current of its instant for one scan."""
    if s.scan_phase == 0:
        latch_scan(s.image, c.n_cells, s.slots)
        s.scan_current_ma = s.current_ma
        s.scan_counter = (s.scan_counter + 1) % 16
        s.slots[Slot.SCAN_COUNTER] = s.scan_counter
        s.slots[Slot.CURRENT] = limited(div_round(s.scan_current_ma, 20), -32768, 32767)
    s.slots[Slot.CELL_MUX] = FRAMES_A_STEP * s.scan_phase
    s.scan_phase = (s.scan_phase + 1) % SCAN_STEPS


@kernel
def fill_fast(s: BmsState) -> None:
    """Signals of the 10 ms messages."""
    s.slots[Slot.STATE] = s.state
    for switch in range(3):
        s.slots[Slot.CONTACTOR + switch] = reported_contactor(s.auxiliary[switch], s.state)
    s.slots[Slot.ERROR_LATCHED] = 1 if s.state == State.ERROR else 0
    s.slots[Slot.BALANCING] = 1 if s.bleeding > 0 else 0
    s.slots[Slot.OPEN_WIRE_TEST] = 1 if s.open_wire_test != 0 else 0
    s.slots[Slot.TRIES] = limited(s.tries, 0, 3)
    s.slots[Slot.PACK_VOLTAGE] = limited(div_round(s.pack_mv, 10), 0, 65535)
    s.slots[Slot.LINK_VOLTAGE] = limited(div_round(s.link_mv, 10), 0, 65535)
    s.slots[Slot.DISCHARGE_LIMIT] = limited(s.discharge_limit_ma // 100, 0, 4095)
    s.slots[Slot.CHARGE_LIMIT] = limited(s.charge_limit_ma // 100, 0, 4095)


@kernel
def fill_slow(s: BmsState, c: BmsConfig, due: int) -> None:
    """Signals of the slow messages, each only when it goes out."""
    if (due >> Message.SOC) & 1 != 0:
        s.slots[Slot.SOC] = limited(s.charge_uas * 10000 // c.capacity_uas, 0, 10000)
    if (due >> Message.MINMAX) & 1 != 0:
        s.slots[Slot.VOLTAGE_MIN] = limited(s.min_mv, 0, 8190)
        s.slots[Slot.VOLTAGE_MAX] = limited(s.max_mv, 0, 8190)
        s.slots[Slot.MIN_INDEX] = s.min_index
        s.slots[Slot.MAX_INDEX] = s.max_index
        s.slots[Slot.TEMPERATURE_MIN] = 2047
        s.slots[Slot.TEMPERATURE_MAX] = 2047
        if s.min_dc != UNKNOWN_DC:
            s.slots[Slot.TEMPERATURE_MIN] = limited(s.min_dc + 600, 0, 2046)
            s.slots[Slot.TEMPERATURE_MAX] = limited(s.max_dc + 600, 0, 2046)
    if (due >> Message.TEMPERATURES) & 1 != 0:
        s.slots[Slot.TEMPERATURE_MUX] = (s.activation // c.period[Message.TEMPERATURES]) % 7
        latch_sensors(s.sensor_dc, c.n_temps, s.slots)
    if (due >> Message.ISOLATION) & 1 != 0:
        s.slots[Slot.ISOLATION] = limited(s.isolation_kohm, 0, 65535)


@kernel
def due_messages(s: BmsState, c: BmsConfig) -> int:
    """Bit set of the messages of this activation: cyclic, changed trouble codes, limits that fall to or leave zero."""
    due = 0
    for message in range(REQUEST_MESSAGE):
        if c.period[message] > 0 and s.activation % c.period[message] == c.phase[message]:
            due |= 1 << message
    word = 0
    for d in range(DTC_COUNT):
        level = reported_dtc(d, s.dtc[d])
        s.slots[Slot.DTC + d] = level
        word |= level << d
    if word != s.dtc_word:
        s.dtc_word = word
        due |= 1 << Message.DTC
    greatest = max(s.discharge_limit_ma, s.charge_limit_ma)
    if (greatest == 0) != (s.limit_sent == 0):
        due |= 1 << Message.LIMITS
    if (due >> Message.LIMITS) & 1 != 0:
        s.limit_sent = greatest
    return due


@kernel
def send(s: BmsState, c: BmsConfig, t_ns: int, frames: Rows[Frame]) -> int:
    """Hand the messages of this activation to the controller; the result counts the frames."""
    due = due_messages(s, c)
    begin_scan(s, c)
    fill_fast(s)
    fill_slow(s, c, due)
    return send_frames(c.com, s.slots, s.tx_counter, due, t_ns, frames)
