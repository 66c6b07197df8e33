"""Faults as laws: outside its window a fault changes nothing; ending one removes it; frames are lost, late or wrong as said."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.codec import e2e
from hil.errors import InputError
from hil.faults import catalogue, points
from hil.faults.catalogue import KINDS, Spec
from hil.faults.points import Point
from hil.image import table
from hil.kernel import copied, view, zeros
from hil.tick import FRAMES, FrameBits, Frames

TABLE = table(6, 3)
MESSAGES = {"VEH_Request": 0xF0, "BMS_State": 0x100, "BMS_Soc": 0x111}
PROTECTIONS = [
    e2e.Protection(0xF0, False, 4, 3, 8, 4, 14, 1, 0x1234, 0, 0),
    e2e.Protection(0x100, False, 8, 7, 48, 4, 14, 1, 0x0100, 0, 0),
]
LOST = int(FrameBits.LOST)
SECOND = 1_000_000_000
TARGETS = {
    "cell": "cell[2]",
    "contactor": "main_plus",
    "rail": "minus",
    "wire": "wire[all]",
    "joint": "joint[1]",
    "coolant": "coolant",
    "sensor": "sensor[1]",
    "quantity": "shown.pack_current",
    "message": "VEH_Request",
}
ARGUMENTS = {
    "resistance": 0.5,
    "offset": 3.0,
    "bit": 5.0,
    "probability": 0.5,
    "delay": 0.025,
    "steps": 5.0,
    "data_id": 153.0,
    "current": 0.2,
    "power": 5.0,
    "share": 0.5,
}


def spec(kind: catalogue.Kind, t_on_ns: int, t_off_ns: int, group: int = 1, **arguments: float) -> Spec:
    given_arguments = {name: ARGUMENTS[name] for name in kind.needs} | arguments
    return Spec(kind.name, TARGETS[kind.noun], group, t_on_ns, t_off_ns, given_arguments)


class Faults:
    """The fault stage with its records; group 1 begins at ``start_ns`` (-1 = not yet)."""

    def __init__(self, specs: list[Spec], start_ns: int = 0, seed: int = 3) -> None:
        self.p = catalogue.params(specs, TABLE, MESSAGES, PROTECTIONS, seed)
        self.s = catalogue.state()
        np.asarray(self.s)[0]["group_t_ns"][1] = start_ns

    def columns(self, point: Point, t_ns: int, row: np.ndarray) -> np.ndarray:
        out = row.copy()
        points.on_columns(self.s[0], self.p[0], int(point), t_ns, out)
        return out

    def frames(self, point: Point, t_ns: int, frames: np.ndarray) -> np.ndarray:
        points.on_frames(self.s[0], self.p[0], int(point), t_ns, frames[0])
        return frames


def ring(*frames: tuple[int, int, int]) -> np.ndarray:
    """Frames of (identifier, end of frame in ns, counter), protected where their message is."""
    made = np.asarray(zeros(Frames))
    for i, (identifier, t_ns, counter) in enumerate(frames):
        slot = made[0]["slot"][i]
        slot["id"], slot["t_ns"], slot["dlc"] = identifier, t_ns, 8 if identifier == 0x100 else 4
        slot["payload"][:3] = [identifier & 0xFF, 0, counter * 3 & 0xFF]
        for line in PROTECTIONS:
            if line.id == identifier:
                e2e.protect(slot, config(line.id), counter)
    made[0]["n"] = len(frames)
    return made


def config(identifier: int) -> np.void:
    index = next(i for i, line in enumerate(PROTECTIONS) if line.id == identifier)
    return np.asarray(e2e.table(PROTECTIONS))[0]["config"][index]


def judge(frames: np.ndarray, states: np.ndarray, identifier: int) -> list[int]:
    slots = frames[0]["slot"][: int(frames[0]["n"])]
    return [int(e2e.check(f, config(identifier), states[0])) for f in slots if f["id"] == identifier]


COLUMN_KINDS = [k for k in KINDS if k.frame is None]
FRAME_KINDS = [k for k in KINDS if k.frame is not None]
WINDOW = st.tuples(st.integers(0, 5 * SECOND), st.integers(1, 5 * SECOND))


@st.composite
def outside(draw: Callable[..., object]) -> tuple[int, int, int, int]:
    """A window and an instant that is not in it: (start of the group, on, off, now)."""
    on, length = draw(WINDOW)
    start = draw(st.integers(-1, 3 * SECOND))
    if start < 0:
        return -1, on, on + length, draw(st.integers(0, 20 * SECOND))
    before = st.integers(0, start + on - 1) if start + on > 0 else st.nothing()
    after = st.integers(start + on + length, start + on + length + 20 * SECOND)
    return start, on, on + length, draw(before | after)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(COLUMN_KINDS), outside(), st.integers(0, 2**32 - 1))
def test_a_column_fault_outside_its_window_changes_no_bit(
    kind: catalogue.Kind, window: tuple[int, int, int, int], seed: int
) -> None:
    start, on, off, now = window
    row = np.random.default_rng(seed).normal(size=TABLE.columns)
    row[::7] = np.nan
    faults = Faults([spec(kind, on, off)], start)
    for point in Point:
        assert faults.columns(point, now, row).tobytes() == row.tobytes()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(FRAME_KINDS), outside(), st.lists(st.sampled_from(list(MESSAGES.values())), max_size=8))
def test_a_frame_fault_outside_its_window_changes_no_bit(
    kind: catalogue.Kind, window: tuple[int, int, int, int], identifiers: list[int]
) -> None:
    start, on, off, now = window
    faults = Faults([spec(kind, on, off)], start)
    frames = ring(*((x, now - i, i % 15) for i, x in enumerate(identifiers)))
    before = frames.tobytes()
    for point in Point:
        assert faults.frames(point, now, frames).tobytes() == before


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(COLUMN_KINDS), st.integers(0, 2**32 - 1))
def test_a_column_fault_acts_at_its_own_point_on_its_own_columns_only(kind: catalogue.Kind, seed: int) -> None:
    row = np.random.default_rng(seed).uniform(2.0, 4.0, TABLE.columns)
    faults = Faults([spec(kind, 0, -1)])
    place = catalogue.columns_of(kind, TARGETS[kind.noun], TABLE)
    assert isinstance(place, tuple)
    first, count = place
    for point in Point:
        out = faults.columns(point, 5, row)
        changed = set(np.flatnonzero(out != row))
        if point is not kind.point:
            assert changed == set()
        elif kind.name != "stuck":  # at its first instant a stuck sensor reads what it reads
            assert changed == set(range(first, first + count))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(COLUMN_KINDS), st.integers(1, 30), st.integers(1, 30))
def test_when_a_fault_ends_the_rewritten_column_is_whole_again(kind: catalogue.Kind, on: int, length: int) -> None:
    faults = Faults([spec(kind, on * 10, (on + length) * 10)])
    for k in range(on + length + 5):
        row = np.arange(TABLE.columns) + 0.25 + k  # its stage rewrites the range each tick
        out = faults.columns(kind.point, k * 10, row)
        inside = on <= k < on + length
        if not inside:
            assert out.tobytes() == row.tobytes()
        elif kind.name != "stuck" or k > on:
            assert (out != row).any()


def test_an_ideal_short_is_one_over_its_resistance_on_top_of_what_is_there() -> None:
    kind = next(k for k in KINDS if k.name == "cell_short")
    row = np.zeros(TABLE.columns)
    quantity = TABLE.find("plant_in.short_conductance")
    assert quantity is not None
    row[quantity.start + 2] = 0.5
    assert Faults([spec(kind, 0, -1)]).columns(Point.PLANT, 0, row)[quantity.start + 2] == 2.5  # 0.5 S + 1 / 0.5 ohm


def test_a_stuck_sensor_keeps_the_value_of_its_first_instant_and_forgets_it_when_over() -> None:
    stuck = next(k for k in KINDS if k.name == "stuck")
    faults = Faults([spec(stuck, 20, 50)])
    quantity = TABLE.find("command.pack_current")
    assert quantity is not None
    seen = []
    for k in range(8):
        row = np.zeros(TABLE.columns)
        row[quantity.start] = 10.0 + k
        seen.append(faults.columns(Point.STIMULUS, k * 10, row)[quantity.start])
    assert seen == [10, 11, 12, 12, 12, 15, 16, 17]
    np.asarray(faults.s)[0]["group_t_ns"][1] = 80  # the window comes again
    row[quantity.start] = 99.0
    assert faults.columns(Point.STIMULUS, 100, row)[quantity.start] == 99.0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 14), min_size=1, max_size=10))
def test_a_wrong_crc_fails_the_check_of_every_frame_and_only_of_its_message(counters: list[int]) -> None:
    kind = next(k for k in KINDS if k.name == "frame_crc")
    frames = ring(*((0xF0, i, c) for i, c in enumerate(counters)), (0x100, 99, 4))
    other = frames[0]["slot"][len(counters)].tobytes()
    Faults([spec(kind, 0, -1)]).frames(Point.TRANSMIT, 100, frames)
    states = np.asarray(zeros(e2e.E2eState))
    assert set(judge(frames, states, 0xF0)) == {int(e2e.E2eStatus.ERROR)}
    assert frames[0]["slot"][len(counters)].tobytes() == other


def test_a_frozen_counter_passes_its_crc_but_is_a_repetition_and_heals_afterwards() -> None:
    kind = next(k for k in KINDS if k.name == "frame_counter_frozen")
    faults = Faults([spec(kind, 30, 60)])
    states = np.asarray(zeros(e2e.E2eState))
    seen, payloads = [], []
    for k in range(9):
        frames = faults.frames(Point.TRANSMIT, k * 10, ring((0xF0, k * 10, k)))
        seen += judge(frames, states, 0xF0)
        payloads.append(bytes(frames[0]["slot"][0]["payload"][:4]))
    ok, repeated, jumped = e2e.E2eStatus.OK, e2e.E2eStatus.REPEATED, e2e.E2eStatus.WRONG_SEQUENCE
    assert seen == [ok, ok, ok, ok, repeated, repeated, jumped, ok, ok]  # 3 4->3 5->3 6
    assert payloads[4] != payloads[3]  # the data of the frame goes on, only the counter stands
    assert [p[1] & 0xF for p in payloads[3:6]] == [3, 3, 3]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 14), st.integers(-14, 14).filter(bool), st.sampled_from(["frame", "received"]))
def test_a_jump_moves_the_counter_by_so_many_steps_round_its_end_and_the_crc_fits(
    counter: int, steps: int, direction: str
) -> None:
    kind = next(k for k in KINDS if k.name == f"{direction}_counter_jump")
    frames = ring((0xF0, 1, counter))
    Faults([spec(kind, 0, -1, steps=float(steps))]).frames(kind.point, 1, frames)
    slot = frames[0]["slot"][0]
    assert int(e2e.counter_of(slot, config(0xF0))) == (counter + steps) % 15
    states = np.asarray(zeros(e2e.E2eState))
    assert judge(frames, states, 0xF0) == [int(e2e.E2eStatus.OK)]  # heard first: valid


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 14), st.integers(0, 0xFFFF), st.sampled_from(["frame", "received"]))
def test_another_data_id_is_an_error_here_and_good_to_the_owner_of_that_id(
    counter: int, data_id: int, direction: str
) -> None:
    kind = next(k for k in KINDS if k.name == f"{direction}_data_id")
    owner = np.asarray(e2e.table([PROTECTIONS[0]._replace(data_id=data_id)]))[0]["config"][0]
    frames = ring((0xF0, 1, counter))
    slot = frames[0]["slot"][0]
    before = bytes(slot["payload"][:3])
    if e2e.check(slot, owner, zeros(e2e.E2eState)[0]) == e2e.E2eStatus.OK:  # eight bits do not tell the two apart
        with pytest.raises(InputError, match="gives the same checksum as its own"):
            Faults([spec(kind, 0, -1, data_id=float(data_id))])
        return
    Faults([spec(kind, 0, -1, data_id=float(data_id))]).frames(kind.point, 1, frames)
    assert bytes(slot["payload"][:3]) == before  # only the checksum, byte 3, tells
    assert e2e.check(slot, owner, zeros(e2e.E2eState)[0]) == e2e.E2eStatus.OK
    assert e2e.check(slot, config(0xF0), zeros(e2e.E2eState)[0]) == e2e.E2eStatus.ERROR


def test_a_stale_message_repeats_its_first_frame_whole_and_heals_afterwards() -> None:
    kind = next(k for k in KINDS if k.name == "frame_stale")
    faults = Faults([spec(kind, 20, 50)])
    payloads, fresh = [], []
    for k in range(7):
        frames = ring((0xF0, k * 10, k))
        fresh.append(bytes(frames[0]["slot"][0]["payload"][:4]))
        payloads.append(bytes(faults.frames(Point.TRANSMIT, k * 10, frames)[0]["slot"][0]["payload"][:4]))
    assert payloads == [fresh[0], fresh[1], fresh[2], fresh[2], fresh[2], fresh[5], fresh[6]]


def test_a_flipped_bit_is_that_bit_and_no_other() -> None:
    kind = next(k for k in KINDS if k.name == "frame_bit")
    frames = ring((0xF0, 1, 2))
    before = frames[0]["slot"][0]["payload"].copy()
    Faults([spec(kind, 0, -1, bit=21.0)]).frames(Point.TRANSMIT, 1, frames)
    changed = frames[0]["slot"][0]["payload"] ^ before
    assert changed[2] == 1 << 5
    assert changed.sum() == 1 << 5


def test_a_missing_message_stays_in_the_ring_marked_lost() -> None:
    kind = next(k for k in KINDS if k.name == "frame_missing")
    frames = ring((0x111, 1, 0), (0xF0, 2, 1), (0xF0, 3, 2))
    Faults([spec(kind, 0, -1)]).frames(Point.TRANSMIT, 3, frames)
    assert [int(f["bits"]) for f in frames[0]["slot"][:3]] == [0, LOST, LOST]
    assert int(frames[0]["n"]) == 3


def test_frames_are_lost_with_about_their_probability_and_the_same_ones_every_time() -> None:
    kind = next(k for k in KINDS if k.name == "frame_loss")

    def pattern(seed: int) -> list[int]:
        faults = Faults([spec(kind, 0, -1, probability=0.3)], seed=seed)
        return [
            int(faults.frames(Point.RECEIVE, k, ring((0xF0, k, k % 15)))[0]["slot"][0]["bits"]) for k in range(2000)
        ]

    first = pattern(3)
    assert abs(sum(x == LOST for x in first) / 2000 - 0.3) < 0.05  # five standard deviations
    assert pattern(3) == first
    assert pattern(4) != first


def delayed_run(arrivals: list[int], window: tuple[int, int], delay_ns: int, ticks: int) -> list[tuple[int, int, int]]:
    """(tick, end of frame as received, counter) of every frame that is not lost; one tick is 10 ns."""
    kind = next(k for k in KINDS if k.name == "frame_delay")
    faults = Faults([spec(kind, *window, delay=delay_ns * 1e-9)])
    out = []
    for k in range(ticks):
        now = k * 10
        mine = [(0xF0, t, i % 15) for i, t in enumerate(arrivals) if now - 10 < t <= now]
        frames = faults.frames(Point.RECEIVE, now, ring(*mine))
        for f in frames[0]["slot"][: int(frames[0]["n"])]:
            if not f["bits"] & LOST:
                out.append((k, int(f["t_ns"]), int(e2e.counter_of(f, config(0xF0)))))
    assert int(view(faults.s).n_delayed) == 0
    return out


def oracle(arrivals: list[int], window: tuple[int, int], delay_ns: int) -> list[tuple[int, int, int]]:
    """The same by definition: a frame read in a tick inside the window is read ``delay_ns`` later, else at once."""
    out = []
    for i, t in enumerate(arrivals):
        tick = -(-t // 10)
        late = window[0] <= tick * 10 < window[1]
        end = t + delay_ns if late else t
        out.append((max(tick, -(-end // 10)), end, i % 15))
    return out


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=30, unique=True).map(sorted),
    st.tuples(st.integers(0, 200), st.integers(0, 300)),
    st.integers(1, 150),
)
def test_a_delay_releases_every_frame_once_and_late_by_exactly_so_much(
    arrivals: list[int], window: tuple[int, int], delay_ns: int
) -> None:
    span = (window[0], window[0] + window[1])
    assert sorted(delayed_run(arrivals, span, delay_ns, 60)) == sorted(oracle(arrivals, span, delay_ns))


def test_frames_held_back_beyond_the_capacity_are_lost_and_none_is_invented() -> None:
    kind = next(k for k in KINDS if k.name == "frame_delay")
    faults = Faults([spec(kind, 0, 1000, delay=1.0)])
    for k in range(2):
        frames = faults.frames(Point.RECEIVE, k, ring(*((0xF0, k, i % 15) for i in range(FRAMES))))
        assert (frames[0]["slot"]["bits"] == LOST).all()
    assert int(view(faults.s).n_delayed) == points.DELAYED
    late = faults.frames(Point.RECEIVE, 2 * SECOND, ring())
    assert int(late[0]["n"]) == FRAMES
    assert int(view(faults.s).n_delayed) == 0


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(COLUMN_KINDS), st.integers(0, 100), st.integers(1, 100))
def test_a_copied_state_goes_on_as_the_original(kind: catalogue.Kind, on: int, length: int) -> None:
    faults = Faults([spec(kind, on, on + length)])
    rows = [np.arange(TABLE.columns) * 0.5 + k for k in range(6)]
    for k in range(3):
        faults.columns(kind.point, on + k, rows[k])
    other = Faults([spec(kind, on, on + length)])
    other.s = copied(faults.s)
    for k in range(3, 6):
        assert (
            faults.columns(kind.point, on + k, rows[k]).tobytes()
            == other.columns(kind.point, on + k, rows[k]).tobytes()
        )
