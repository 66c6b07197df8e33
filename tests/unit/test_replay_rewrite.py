"""Rewriting, repair and corruption, judged by the receiver's own checks and by another decoder."""

from pathlib import Path

import cantools
import numpy as np
import pytest

from hil.codec import database
from hil.codec.e2e import E2eState, E2eStatus, check, table
from hil.codec.mapping import load_e2e
from hil.errors import InputError
from hil.kernel import view, zeros
from hil.logs.trace import Trace, from_bytes
from hil.replay.conditions import parse_condition, parse_trigger
from hil.replay.corrupt import break_protection, disturb, parse_broken, parse_chance
from hil.replay.filters import Filter
from hil.replay.payloads import frame_records, payload_rows, with_payloads
from hil.replay.player import Player
from hil.replay.ports import VirtualPacer
from hil.replay.rewrite import Seams, parse_change, repair, rewrite
from hil.replay.schedule import Timing, plan, turns
from hil.replay.targets import Collecting
from tests.replay_rig import random_trace, rows_of

DBC = Path(__file__).parents[2] / "dbc" / "bench.dbc"
DB = database.load(DBC)
E2E = load_e2e(DBC.with_name("bench.e2e.yaml"), DB)
THEIRS = cantools.database.load_file(DBC)
PACK = THEIRS.get_message_by_name("BMS_Pack")
LINE = E2E.of("BMS_Pack")
MS = 1_000_000
OK, REPEATED, WRONG, ERROR = (s.value for s in list(E2eStatus)[:4])


def crc8(data: bytes) -> int:
    """Profile 1A, bit by bit: polynomial 0x1D from 0, no final exclusive-or."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ (0x1D if crc & 0x80 else 0)) & 0xFF
    return crc


def protected(counter: int, volt: float = 350.0, amp: float = 10.0) -> bytes:
    values = {
        "Crc": 0,
        "Counter": counter,
        "ScanCounter": 3,
        "PackCurrent": amp,
        "PackVoltage": volt,
        "LinkVoltage": 1.0,
    }
    payload = PACK.encode(values)
    return bytes([crc8(bytes([LINE.data_id & 0xFF, LINE.data_id >> 8]) + payload[1:])]) + payload[1:]


def drive(n: int = 40) -> Trace:
    """BMS_Pack every 10 ms, voltage 350 V rising 1 V a frame, another frame between."""
    rows = []
    for k in range(n):
        rows.append((k * 10 * MS, PACK.frame_id, protected(k % 15, 350.0 + k)))
        rows.append((k * 10 * MS + 5 * MS, 0x7F0, bytes([k])))
    t, ids, payloads = zip(*rows, strict=True)
    return from_bytes(t, ids, [0] * len(t), payloads)


def made(n: int = 40):
    return plan(drive(n), Filter(), Timing())


def statuses(trace: Trace) -> list[int]:
    """What a receiver of BMS_Pack says to each of its frames."""
    which = np.flatnonzero(trace.id == PACK.frame_id)
    frames, protections, state = frame_records(trace, which), table([LINE]), zeros(E2eState)
    return [check(frames[i], view(protections).config[0], state[0]) for i in range(len(which))]


def decoded(trace: Trace, signal: str) -> list[float]:
    which = np.flatnonzero(trace.id == PACK.frame_id)
    return [PACK.decode(trace.payload(int(i)))[signal] for i in which]


def test_the_made_log_is_good_to_begin_with() -> None:
    assert statuses(drive()) == [OK] * 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BMS_Pack.PackVoltage=420", lambda old: 420.0),
        ("BMS_Pack.PackVoltage = 0.42 kV", lambda old: 420.0),
        ("BMS_Pack.PackVoltage+=-5 V", lambda old: old - 5.0),
        ("BMS_Pack.PackVoltage*=0.5", lambda old: old * 0.5),
        ("BMS_Pack.PackVoltage*=150 %", lambda old: old * 1.5),
    ],
)
def test_a_rewritten_signal_decodes_to_its_value_and_the_protection_fits(text, expected) -> None:
    before = made()
    done = rewrite(before, [parse_change(text, DB)], DB)
    after = repair(done.plan, done.touched, E2E)
    assert decoded(after.trace, "PackVoltage") == pytest.approx([expected(350.0 + k) for k in range(40)], abs=0.005)
    for same in ("PackCurrent", "LinkVoltage", "Counter", "ScanCounter"):
        assert decoded(after.trace, same) == decoded(before.trace, same)
    assert statuses(after.trace) == [OK] * 40
    assert statuses(done.plan.trace).count(ERROR) > 30  # without the repair it would not
    others = before.trace.id == 0x7F0
    assert rows_of(after.trace.select(others)) == rows_of(before.trace.select(others))
    assert rows_of(before.trace) == rows_of(drive())  # the plan given is left alone


def test_a_rewrite_may_be_limited_to_a_span_of_log_time() -> None:
    done = rewrite(made(), [parse_change("BMS_Pack.PackCurrent=-7 A@100ms..200ms", DB)], DB)
    assert decoded(done.plan.trace, "PackCurrent") == [-7.0 if 10 <= k < 20 else 10.0 for k in range(40)]


def test_a_value_out_of_range_names_the_frame_and_can_be_held_at_the_limit() -> None:
    change = parse_change("BMS_Pack.PackVoltage+=300 V", DB)
    with pytest.raises(InputError, match=r"frame 13: BMS_Pack.PackVoltage: 656"):
        rewrite(made(), [change], DB)
    done = rewrite(made(), [change], DB, "saturate")
    assert max(decoded(done.plan.trace, "PackVoltage")) == 655.35


def test_frames_too_short_for_a_signal_stay_as_they_are_and_are_counted() -> None:
    trace = from_bytes([0, 1], [PACK.frame_id] * 2, [0, 0], [protected(0), b"\x01\x02"])
    done = rewrite(plan(trace, Filter(), Timing()), [parse_change("BMS_Pack.PackVoltage=1 V", DB)], DB)
    assert (done.skipped, done.touched.tolist(), done.plan.trace.payload(1)) == (1, [True, False], b"\x01\x02")


@pytest.mark.parametrize(
    "text", ["BMS_Pack=3", "BMS_Pack.PackVolt=3", "BMS_Pack.PackVoltage=3 A", "x", "BMS_State.State=FLY"]
)
def test_a_rewrite_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_change(text, DB)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("crc", [ERROR] * 10),
        ("counter-stuck", [OK] + [REPEATED] * 9),
        ("counter-jump", [WRONG] + [OK] * 9),
        ("data-id", [ERROR] * 10),
        ("stale", [OK] + [REPEATED] * 9),
    ],
)
def test_corruption_is_seen_by_the_receiver_exactly_as_meant(kind: str, expected: list[int]) -> None:
    broken = parse_broken(f"{kind}:BMS_Pack@100ms..200ms", E2E)
    after, count = break_protection(made(), [broken])
    got = statuses(after.trace)
    assert count == 10
    assert got[:10] == [OK] * 10
    assert got[10:20] == expected
    assert got[21:] == [OK] * 19  # at the end of a jump or a stop the counter steps once more


@pytest.mark.parametrize("text", ["crc", "crcs:BMS_Pack", "crc:BMS_Cells", "crc:Nothing", "crc:BMS_Pack@5s..1s"])
def test_a_corruption_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_broken(text, E2E)


def played(loops: int, seams: Seams | None, trace: Trace) -> Trace:
    kept = []
    target = Collecting(kept.append)
    touch = None if seams is None else seams.touch
    Player(target, VirtualPacer(), touch=touch).play(turns([plan(trace, Filter(), Timing())], loops))
    target.close()
    return kept[0]


def test_counters_go_on_where_a_loop_begins_again() -> None:
    assert statuses(played(4, None, drive(40))).count(WRONG) == 3  # 40 is no multiple of 15
    joined = played(4, Seams([LINE]), drive(40))
    assert statuses(joined) == [OK] * 160
    assert rows_of(joined.select(slice(0, 80))) == rows_of(played(1, None, drive(40)))  # the first round is the log
    assert decoded(joined, "PackVoltage") == [350.0 + k for k in range(40)] * 4


def test_what_is_broken_on_purpose_stays_broken_in_every_round() -> None:
    broken, _ = break_protection(made(), [parse_broken("crc:BMS_Pack@100ms..120ms", E2E)])
    got = statuses(played(3, Seams([LINE]), broken.trace))
    assert [k for k, s in enumerate(got) if s == ERROR] == [10, 11, 50, 51, 90, 91]
    assert got.count(WRONG) == 0  # two lost are within max_delta


def test_renumbering_closes_gaps() -> None:
    gappy = made().trace.select(np.array([0, 1, 10, 11, 30, 60, 62]))
    one = plan(gappy, Filter(), Timing())
    assert WRONG in statuses(one.trace)
    after = repair(one, np.zeros(len(one.trace), bool), E2E, renumber=True)
    assert statuses(after.trace) == [OK] * 5
    assert decoded(after.trace, "Counter") == [0, 1, 2, 3, 4]


def test_chance_hangs_on_the_seed_alone_and_every_frame_is_accounted_for() -> None:
    one = plan(random_trace(1, 5000), Filter(), Timing())
    drop, twice = [parse_chance("10%", None)], [parse_chance("5 %", None)]
    a, b, c = (disturb(one, drop, twice, seed) for seed in (1, 1, 2))
    assert a.origin.tolist() == b.origin.tolist() != c.origin.tolist()
    counts = np.bincount(a.origin, minlength=5000)
    assert a.left_out["dropped"] == int((counts == 0).sum()) == pytest.approx(500, abs=100)
    assert a.added == int((counts == 2).sum()) == pytest.approx(225, abs=70)
    assert counts.max() == 2
    assert len(a.trace) == 5000 - a.left_out["dropped"] + a.added
    nothing = disturb(one, [parse_chance("0x900:100%", None)], [], 1)
    assert len(nothing.trace) == 5000


def test_a_condition_begins_where_its_signal_passes_the_value() -> None:
    trace = drive()
    assert np.flatnonzero(parse_condition("BMS_Pack.PackVoltage > 359.5 V", DB).begins(trace)).tolist() == [20]
    both = parse_condition("BMS_Pack.PackVoltage >= 0.36 kV and BMS_Pack.Counter == 2", DB)
    assert np.flatnonzero(both.begins(trace)).tolist() == [34, 64]
    assert np.flatnonzero(parse_trigger("0x7F0", DB).begins(trace))[:2].tolist() == [1, 3]
    for text in ("BMS_Pack.PackVoltage >", "BMS_Pack.PackVoltage > 3 A", "BMS_Pack.Volts > 3", "4 > 3"):
        with pytest.raises(InputError):
            parse_condition(text, DB)


def test_other_payloads_for_some_frames_leave_the_rest_untouched() -> None:
    trace = random_trace(8, 200)
    which = np.flatnonzero(np.arange(200) % 3 == 0)
    rows = payload_rows(trace, which)
    assert [bytes(rows[k][: trace.dlc[i]]) for k, i in enumerate(which)] == [trace.payload(int(i)) for i in which]
    changed = with_payloads(trace, which, 255 - rows)
    for i in range(200):
        old = trace.payload(i)
        assert changed.payload(i) == (bytes(255 - b for b in old) if i % 3 == 0 else old)
