"""Loops over cells, sensors and slots: kernels that every build of the BMS shares, so that they take arrays only."""

from hil.kernel import Ints, Ints32, kernel
from hil.virtual.bms.record import UNKNOWN_DC, Slot, Stat

LOW, HIGH, LOW_INDEX, HIGH_INDEX = int(Stat.LOW), int(Stat.HIGH), int(Stat.LOW_INDEX), int(Stat.HIGH_INDEX)
TOTAL, BROKEN = int(Stat.TOTAL), int(Stat.BROKEN)
CELL, TEMPERATURE = int(Slot.CELL), int(Slot.TEMPERATURE)
SENT_CELLS, SENT_SENSORS = 96, 32
NO_VOLTAGE, NO_TEMPERATURE = 8191, 2047  # "signal not available"


@kernel
def scan_cells(code: Ints32, n: int, image: Ints32, stats: Ints) -> None:
    """Copy ``n`` codes of 100 uV into ``image``; LOW, HIGH, their first index, and TOTAL."""
    low, high, low_index, high_index, total = code[0], code[0], 0, 0, 0
    for i in range(n):
        value = code[i]
        image[i] = value
        total += value
        if value < low:
            low, low_index = value, i
        if value > high:
            high, high_index = value, i
    stats[LOW], stats[HIGH] = low, high
    stats[LOW_INDEX], stats[HIGH_INDEX] = low_index, high_index
    stats[TOTAL] = total


@kernel
def scan_sensors(
    code: Ints32, n: int, table: Ints32, open_code: int, short_code: int, out: Ints32, stats: Ints
) -> None:
    """Codes to 0.1 degC in ``out``; LOW and HIGH of the usable ones (UNKNOWN_DC if none), BROKEN counts the others."""
    low, high, broken = UNKNOWN_DC, UNKNOWN_DC, 0
    for i in range(n):
        if code[i] >= open_code or code[i] <= short_code:
            out[i] = UNKNOWN_DC
            broken += 1
            continue
        value = table[code[i]]
        out[i] = value
        if low == UNKNOWN_DC or value < low:
            low = value
        if high == UNKNOWN_DC or value > high:
            high = value
    stats[LOW], stats[HIGH], stats[BROKEN] = low, high, broken


@kernel
def copy_codes(code: Ints32, n: int, out: Ints32) -> None:
    """Keep ``n`` codes."""
    for i in range(n):
        out[i] = code[i]


@kernel
def find_open_wire(up: Ints32, down: Ints32, n: int, threshold: int) -> int:
    """The first of ``n + 1`` sense wires that the test currents move, -1 = none; codes and threshold in 100 uV.

    Wire k is the lower end of cell k: pulled up, that cell reads lower than pulled down. The topmost wire has no cell
    above it, so cell n - 1 reads higher. Source: LTC6813 data sheet, open wire check.
    """
    for k in range(n):
        if up[k] - down[k] < -threshold:
            return k
    if up[n - 1] - down[n - 1] > threshold:
        return n
    return -1


@kernel
def choose_bleed(image: Ints32, n: int, low: int, start: int, stop: int, difference: int, bleed: Ints32) -> int:
    """Choose the cells to bleed, in 100 uV: on above ``start``, off below ``stop``, only ``difference`` over ``low``.

    The result counts them.
    """
    count = 0
    for i in range(n):
        wanted = image[i] > start or (bleed[i] != 0 and image[i] >= stop)
        if wanted and image[i] - low > difference:
            bleed[i] = 1
            count += 1
        else:
            bleed[i] = 0
    return count


@kernel
def drive_bleed(bleed: Ints32, n: int, enabled: int, out: Ints32) -> None:
    """Put the chosen switches out, or none."""
    for i in range(n):
        out[i] = bleed[i] if enabled != 0 else 0


@kernel
def latch_scan(image: Ints32, n: int, slots: Ints) -> None:
    """Cell voltages as sent: 0.625 mV steps of 13 bits, halves up, limited to 0..8190; 8191 where there is no cell."""
    for i in range(SENT_CELLS):
        if i < n:
            slots[CELL + i] = min(8190, max(0, (image[i] * 8 + 25) // 50))
        else:
            slots[CELL + i] = NO_VOLTAGE


@kernel
def latch_sensors(sensor_dc: Ints32, n: int, slots: Ints) -> None:
    """Temperatures as sent: 0.1 degC above -60 degC, limited to 0..2046; 2047 where there is none."""
    for i in range(SENT_SENSORS):
        if i < n and sensor_dc[i] != UNKNOWN_DC:
            slots[TEMPERATURE + i] = min(2046, max(0, sensor_dc[i] + 600))
        else:
            slots[TEMPERATURE + i] = NO_TEMPERATURE
