"""The words for when a message is sent, phases worked out by hand, and pages of nested multiplexers."""

import re
from pathlib import Path

import pytest
from restbus_rig import MS, message, signal

from hil.codec import sending
from hil.codec.sending import Cycle, Send
from hil.errors import InputError


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("cyclic", Send.CYCLIC),
        ("cyclicX", Send.CYCLIC),
        ("spontanX", Send.ON_CHANGE),
        ("IfActive", Send.IF_ACTIVE),
        ("cyclicIfActiveX", Send.IF_ACTIVE),
        ("Cyclic_And_Spontan_With_Delay", Send.CYCLIC | Send.ON_CHANGE),
        ("CyclicAndOnChange", Send.CYCLIC | Send.ON_CHANGE),
        ("spontanWithRepitition", Send.ON_CHANGE | Send.REPEAT),
        ("noMsgSendType", Send(0)),
        ("not_used", Send(0)),
        ("vector_leerstring", Send(0)),
        ("", Send(0)),
    ],
)
def test_words_are_understood_whatever_their_case_and_punctuation(word, meaning):
    assert sending.understood(word, "M") == meaning


def test_every_word_that_is_understood_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "restbus.md").read_text("utf-8")
    assert [word for word in sending.SPELLINGS if f"`{word}`" not in text] == []


@pytest.mark.shared_data
def test_every_send_type_that_collected_databases_declare_is_understood(shared_data):
    declared = re.compile(r'BA_DEF_ +(?:BO_|SG_) +"Gen(?:Msg|Sig)SendType" +ENUM +(.*);')
    given = re.compile(r'BA_ "Gen(?:Msg|Sig)SendType" .*"(.+)";')
    words = set()
    for path in sorted((shared_data / "can" / "dbc").rglob("*.dbc")):
        text = path.read_text("cp1252", errors="replace")
        words |= {word for line in declared.findall(text) for word in re.findall('"([^"]*)"', line)}
        words |= set(given.findall(text))
    assert {"IfActive", "OnChangeAndIfActiveWithRepetition", "noMsgSendType"} <= words
    for word in words:
        sending.understood(word, "M")


def test_an_unknown_word_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"M: unknown send type.*found Spontaneus; did you mean 'Spontaneous'"):
        sending.understood("Spontaneus", "M")


def test_a_messages_word_goes_to_the_signals_that_say_it_else_to_the_silent_ones_else_to_all():
    def of(*words: str) -> dict[str, Send]:
        signals = [signal(f"S{k}", start=8 * k, send_type=word) for k, word in enumerate(words)]
        return dict(sending.sending(message("M", *signals, send_type="Spontaneous", cycle_ms=10)).signals)

    assert of("OnChange", "", "Cyclic") == {"S0": Send.ON_CHANGE, "S1": Send(0), "S2": Send.CYCLIC}
    assert of("", "Cyclic") == {"S0": Send.ON_CHANGE, "S1": Send.CYCLIC}
    assert of("Cyclic", "Cyclic") == dict.fromkeys(("S0", "S1"), Send.CYCLIC | Send.ON_CHANGE)


def test_two_equal_cycles_do_not_share_a_tick_and_the_longer_frame_chooses_first():
    assert sending.phases([Cycle(10 * MS, 100), Cycle(10 * MS, 200)], 5 * MS) == [5 * MS, 0]


def test_a_given_start_is_kept_and_others_go_around_it():
    assert sending.phases([Cycle(4 * MS, 100, 2 * MS), Cycle(2 * MS, 100)], MS) == [2 * MS, MS]


def test_where_the_choice_one_by_one_would_end_worse_nothing_is_chosen():
    # one by one: [2, 0, 1, 1] ms, whose fullest tick has 4 + 3 + 4 = 11 bits; all at 0 but the given: 6 + 4 = 10
    cycles = [Cycle(6 * MS, 6, 2 * MS), Cycle(3 * MS, 4), Cycle(2 * MS, 3, MS), Cycle(2 * MS, 4)]
    assert sending.phases(cycles, MS) == [2 * MS, 0, MS, 0]


def test_a_tick_of_the_length_of_every_cycle_leaves_nothing_to_choose():
    assert sending.phases([Cycle(10 * MS, 100)] * 3, 10 * MS) == [0, 0, 0]


def test_cycles_without_a_useful_common_period_are_planned_all_the_same():
    odd = [Cycle(ms * MS, 100) for ms in (997, 1009, 1013, 1019, 7, 11, 13)]
    assert sending.common_ticks(odd, MS) == sending.MOST_TICKS
    chosen = sending.phases(odd, MS)
    assert all(0 <= phase < cycle.period_ns for phase, cycle in zip(chosen, odd, strict=True))


def test_the_load_of_a_message_is_its_frame_and_all_frames_of_a_cycle():
    assert sending.load_of(message("M", length=8)) == 111  # 1 + 11 + 1 + 6 + 64 + 16 + 2 + 7 + 3
    assert sending.load_of(message("M", length=8, extended=True, frames_per_cycle=3)) == 393


NESTED = (
    signal("A", selector=True),
    signal("B", start=8, selector=True, mux_signal="A", mux_ranges=((1, 1),)),
    signal("A0", start=16, mux_signal="A", mux_ranges=((0, 0),)),
    signal("B0", start=16, mux_signal="B", mux_ranges=((0, 3),)),
    signal("B4", start=16, mux_signal="B", mux_ranges=((4, 4),)),
)


def test_nested_multiplexers_turn_inside_the_value_that_brings_them():
    assert sending.pages(message("M", *NESTED), ()) == [{"A": 0}, {"A": 1, "B": 0}, {"A": 1, "B": 4}]
    assert sending.pages(message("M", *NESTED), ("A",)) == [{"B": 0}, {"B": 4}]
    assert sending.pages(message("M", *NESTED), ("B",)) == [{"A": 0}, {"A": 1}]
    assert sending.pages(message("M", *NESTED), ("A", "B")) == [{}]
    assert sending.pages(message("M", signal()), ()) == [{}]


def test_multiplexers_side_by_side_turn_together():
    signals = (
        signal("A", selector=True),
        signal("B", start=8, selector=True),
        *(signal(f"A{k}", start=16, mux_signal="A", mux_ranges=((k, k),)) for k in range(3)),
        *(signal(f"B{k}", start=24, mux_signal="B", mux_ranges=((k, k),)) for k in range(2)),
    )
    made = sending.pages(message("M", *signals), ())
    assert made == [{"A": 0, "B": 0}, {"A": 1, "B": 1}, {"A": 2, "B": 0}]
