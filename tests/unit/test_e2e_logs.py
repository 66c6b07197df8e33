"""Checksums of real cars: every protected frame of two recorded logs, and their counters."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from e2e_rig import config, frame, line

from hil.codec import e2e
from hil.codec.e2e import E2eState, E2eStatus
from hil.kernel import zeros
from hil.logs.read import read_log

LINES = {
    0x1D4: line("nissan-leaf", 0x1D4, 8, counter={"start": 38, "length": 2}),
    0x1DB: line("nissan-leaf", 0x1DB, 8),
    0x1DC: line("nissan-leaf", 0x1DC, 8),
    0x55B: line("nissan-leaf", 0x55B, 8),
}


def said(path: Path) -> dict[int, Counter[str]]:
    """How often each status came, by identifier; each bus of the log has its own receiver."""
    trace = read_log(path).trace
    out: dict[int, Counter[str]] = {identifier: Counter() for identifier in LINES}
    states: dict[tuple[int, int], np.void] = {}
    for index in np.flatnonzero(np.isin(trace.id, list(LINES)) & (trace.dlc == 8)):
        identifier, channel = int(trace.id[index]), int(trace.channel[index])
        state = states.setdefault((identifier, channel), zeros(E2eState)[0])
        made = frame(trace.payload(index), identifier)
        out[identifier][E2eStatus(e2e.check(made, config_of[identifier], state)).name] += 1
    return out


config_of = {identifier: config(one) for identifier, one in LINES.items()}


@pytest.mark.shared_data
def test_every_leaf_frame_of_a_complete_log_is_good_and_no_counter_leaps(shared_data):
    path = shared_data / "can" / "logs" / "ev-canlogs" / "leaf_EV-CANeplus2.log"
    counts = said(path)
    assert {k: sum(v.values()) for k, v in counts.items()} == {0x1D4: 1898, 0x1DB: 1893, 0x1DC: 1893, 0x55B: 190}
    assert all(set(v) == {"OK"} for v in counts.values())


@pytest.mark.shared_data
def test_every_van_frame_has_a_good_checksum_and_the_gaps_of_the_log_are_seen(shared_data):
    path = shared_data / "can" / "logs" / "ev-canlogs" / "env200_40kWh_startup.crtd"
    counts = said(path)
    assert {k: sum(v.values()) for k, v in counts.items()} == {0x1D4: 1883, 0x1DB: 1911, 0x1DC: 1780, 0x55B: 165}
    assert all(v["ERROR"] == 0 for v in counts.values())
    assert all(v["OK"] > v["WRONG_SEQUENCE"] + v["REPEATED"] > 0 for v in counts.values())


def test_a_made_up_leaf_frame_is_good_and_its_checksum_is_that_of_long_division():
    payload = bytes.fromhex("ff e0 c5 aa 00 12 02".replace(" ", ""))
    remainder = int.from_bytes(payload + b"\0", "big")
    for bit in range(63, 7, -1):
        if remainder >> bit & 1:
            remainder ^= 0x185 << (bit - 8)
    made = frame(payload + bytes([remainder]), 0x1DB)
    assert e2e.check(made, config_of[0x1DB], zeros(E2eState)[0]) == E2eStatus.OK
    assert e2e.counter_of(made, config_of[0x1DB]) == 2
