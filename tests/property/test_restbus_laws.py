"""Laws of the rest of the bus: send types against a plain simulation, phases, pages, suppression."""

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from restbus_rig import MS, WORDS, Oracle, Sender, message, raw_of, signal

from hil.codec import restbus, sending
from hil.codec.sending import Cycle


@st.composite
def talkers(draw, index: int):
    """A message of one of the send types, with two signals from the row."""
    word = draw(st.sampled_from(sorted(WORDS)))
    starts = [draw(st.sampled_from([None, 0, 3])) for _ in range(2)]
    signals = [signal(f"S{k}", start=8 * k, start_value=start) for k, start in enumerate(starts)]
    return word, message(
        f"M{index}",
        *signals,
        id=0x100 + index,
        send_type=word,
        cycle_ms=draw(st.sampled_from([5, 10, 20, 25])),
        fast_ms=draw(st.sampled_from([None, 2, 5])),
        repetitions=draw(st.integers(0, 3)),
        delay_ns=draw(st.sampled_from([0, 3, 7])) * MS,
        start_delay_ns=draw(st.sampled_from([0, 4])) * MS,
    )


@st.composite
def buses(draw):
    drawn = [draw(talkers(k)) for k in range(draw(st.integers(1, 4)))]
    ticks = draw(st.integers(20, 60))
    values = st.sampled_from([0, 0, 0, 3, 3, 1])
    rows = [[draw(values) for _ in range(2 * len(drawn))]]
    for _ in range(ticks):
        kept = draw(st.integers(0, 3)) > 0
        rows.append(rows[-1] if kept else [draw(values) for _ in range(2 * len(drawn))])
    triggers = draw(st.sets(st.tuples(st.integers(0, ticks), st.integers(0, len(drawn) - 1)), max_size=4))
    return drawn, rows, triggers, draw(st.sampled_from([1, 2, 3]))


@settings(max_examples=150)
@given(buses())
def test_every_send_type_sends_when_its_description_says(bus):
    drawn, rows, triggers, tick_ms = bus
    sources = {f"M{k}.S{i}": 2 * k + i for k in range(len(drawn)) for i in range(2)}
    sender = Sender(tuple(m for _, m in drawn), sources)
    oracles = [Oracle(m, WORDS[word], {s.name: int(s.start_value or 0) for s in m.signals}) for word, m in drawn]
    for k, row in enumerate(rows):
        for at, which in triggers:
            if at == k:
                restbus.trigger(sender.s[0], which)
                oracles[which].triggered = True
        sent = sender.step(k * tick_ms, dict(enumerate(row)))
        now = [{f"S{i}": row[2 * n + i] for i in range(2)} for n in range(len(drawn))]
        expected = [(f"M{n}", now[n]) for n, oracle in enumerate(oracles) if oracle.step(k * tick_ms * MS, now[n])]
        assert [name for name, _ in sent] == [name for name, _ in expected], f"tick {k}"
        for (name, payload), (_, raws) in zip(sent, expected, strict=True):
            m = sender.db.message(name)
            assert {s.name: raw_of(s, payload) for s in m.signals} == raws


CYCLES = st.builds(
    Cycle,
    period_ns=st.sampled_from([5, 7, 10, 20, 25, 40, 50, 100, 200, 500]).map(lambda ms: ms * MS),
    load=st.integers(47, 600),
    start_ns=st.sampled_from([0, 0, 0, 3, 12]).map(lambda ms: ms * MS),
)


def fullest(cycles, phases, tick_ns) -> int:
    """Bits in the fullest tick of the common period, counted frame by frame."""
    common = math.lcm(tick_ns, *(c.period_ns for c in cycles))
    load: dict[int, int] = {}
    for cycle, phase in zip(cycles, phases, strict=True):
        for due in range(phase, phase + common, cycle.period_ns):
            tick = -(-due // tick_ns) % (common // tick_ns)
            load[tick] = load.get(tick, 0) + cycle.load
    return max(load.values())


@settings(max_examples=100)
@given(st.lists(CYCLES, min_size=1, max_size=12), st.sampled_from([1, 2, 5]))
def test_phases_never_make_the_fullest_tick_fuller(cycles, tick_ms):
    chosen = sending.phases(cycles, tick_ms * MS)
    plain = [c.start_ns for c in cycles]
    assert fullest(cycles, chosen, tick_ms * MS) <= fullest(cycles, plain, tick_ms * MS)
    assert all(phase == c.start_ns for phase, c in zip(chosen, cycles, strict=True) if c.start_ns)
    assert all(0 <= phase < c.period_ns or c.start_ns for phase, c in zip(chosen, cycles, strict=True))
    assert chosen == sending.phases(cycles, tick_ms * MS)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([5, 10, 20, 50, 100]), min_size=1, max_size=20), st.sampled_from([1, 5]))
def test_a_cyclic_message_keeps_its_period_exactly_and_comes_once_a_tick(cycles_ms, tick_ms):
    messages = tuple(message(f"M{k}", signal(), id=k, cycle_ms=ms) for k, ms in enumerate(cycles_ms))
    sender = Sender(messages, tick_ns=tick_ms * MS)
    instants: dict[str, list[int]] = {m.name: [] for m in messages}
    for t in range(0, 300, tick_ms):
        sent = [name for name, _ in sender.step(t)]
        assert len(sent) == len(set(sent))
        for name in sent:
            instants[name].append(t)
    for m, ms in zip(messages, cycles_ms, strict=True):
        assert instants[m.name][0] < ms
        assert set(np.diff(instants[m.name])) == {ms}
        assert len(instants[m.name]) == 300 // ms


@st.composite
def trees(draw):
    """Signals of a message with nested multiplexers, a byte each, some multiplexers driven."""
    names = ["X", *(f"X{k}" for k in range(draw(st.integers(0, 2))))]
    above = {
        name: "" if k == 0 or draw(st.booleans()) else draw(st.sampled_from(names[:k])) for k, name in enumerate(names)
    }
    signals = []

    def ranges():
        low = draw(st.integers(0, 4))
        return tuple(sorted({(low, low + draw(st.integers(0, 2))), *draw(st.sampled_from([(), ((8, 9),)]))}))

    for name in names:
        signals.append(signal(name, selector=True, mux_signal=above[name], mux_ranges=ranges() if above[name] else ()))
    for k in range(draw(st.integers(1, 5))):
        mux = draw(st.sampled_from(["", *names]))
        signals.append(signal(f"S{k}", mux_signal=mux, mux_ranges=ranges() if mux else ()))
    placed = [
        signal(s.name, start=8 * k, selector=s.selector, mux_signal=s.mux_signal, mux_ranges=s.mux_ranges)
        for k, s in enumerate(signals)
    ]
    return placed, draw(st.sets(st.sampled_from(names)))


def brought(signals, values) -> set[str]:
    """Names of the signals that come with these values of the multiplexers, by the definition."""
    by_name = {s.name: s for s in signals}

    def comes(s) -> bool:
        if not s.mux_signal:
            return True
        return comes(by_name[s.mux_signal]) and any(a <= values[s.mux_signal] <= b for a, b in s.mux_ranges)

    return {s.name for s in signals if comes(s)}


@settings(max_examples=150)
@given(trees(), st.integers(0, 9))
def test_a_turn_brings_every_signal_that_can_come_and_frames_carry_what_their_multiplexers_say(tree, value):
    signals, driven = tree
    m = message("M", *signals, cycle_ms=10, length=len(signals))
    values = [s for s in signals if not s.selector]
    sources = {f"M.{s.name}": k for k, s in enumerate(s for s in signals if s.name in driven or not s.selector)}
    sender = Sender((m,), sources)
    row = {
        k: value if name.removeprefix("M.") in driven else 100 + k for k, name in ((k, n) for n, k in sources.items())
    }
    turn = int(sender.p[0]["rule"][0]["pages"])
    seen: set[str] = set()
    for k in range(turn):
        ((_, payload),) = sender.step(10 * k, row)
        raws = {s.name: raw_of(s, payload) for s in signals}
        here = brought(signals, raws)
        seen |= here
        for s in values:
            assert raws[s.name] == (row[sources[f"M.{s.name}"]] if s.name in here else 0)
        assert all(raws[name] == (value if name in here else 0) for name in driven)
    # what can come: some value of the free multiplexers brings it
    free = [s.name for s in signals if s.selector and s.name not in driven]
    possible: set[str] = set()
    choices = [{}]
    for name in free:
        choices = [{**c, name: v} for c in choices for v in range(12)]
    for choice in choices:
        possible |= brought(signals, {**dict.fromkeys(driven, value), **choice})
    empty = {s.name for s in signals if s.selector and not any(x.mux_signal == s.name for x in signals)}
    assert seen >= possible - empty
    assert [name for name, _ in sender.step(10 * turn, row)] == ["M"]


@settings(max_examples=60)
@example([(0, 0)], restbus.WhenHeard.RESUME)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=6), st.sampled_from(list(restbus.WhenHeard)))
def test_a_message_is_silent_exactly_while_its_rule_says(heard, when_heard):
    messages = tuple(message(f"M{k}", signal(), id=0x10 * k, cycle_ms=5) for k in range(3))
    rules = restbus.Rules(("Car",), (), when_heard, 2)
    sender = Sender(messages, rules=rules)
    for t in range(61):
        for at, which in heard:
            if at == t:
                sender.hear((0x10 * which, 0, 2), t_ms=t)
        sent = {name for name, _ in sender.step(t)}
        for k, m in enumerate(messages):
            before = [at for at, which in heard if which == k and at <= t]
            silent = bool(before) and when_heard == "suppress"
            silent = silent or (bool(before) and when_heard == "resume" and t - max(before) <= 10)
            assert (m.name in sent) == (t % 5 == 0 and not silent)
