"""Whatever is done to the text of a database, the loader answers in bounded time, with nouns or with InputError."""

import time
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hil.codec import database
from hil.errors import InputError

WHOLE = """VERSION "1"
NS_ :
\tCM_
BS_:
BU_: A B
BO_ 1 M: 8 A
 SG_ X M : 0|8@1+ (1,0) [0|3] "" B
 SG_ Y m1M : 8|8@1+ (.25,0) [0|255] "V" B
 SG_ S m2 : 23|8@0- (1,-40) [-40|87] "degC" A,B
BO_ 2147483650 N: 64 B
 SG_ F : 0|32@1- (1,0) [0|0] "" A
 SG_ F : 32|64@1- (1e-3,0) [0|0] "" A
CM_ SG_ 1 S "of two
lines // here";
CM_ BO_ 1 "m";
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ BO_ "GenMsgSendType" ENUM "Cyclic","OnChange";
BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_DEF_DEF_ "GenMsgSendType" "Cyclic";
BA_DEF_DEF_ "SystemSignalLongSymbol" "";
BA_ "GenMsgCycleTime" BO_ 1 100;
BA_ "GenMsgSendType" BO_ 2147483650 1;
BA_ "SystemSignalLongSymbol" SG_ 1 S "ALongName";
VAL_TABLE_ T 0 "off" 1 "on" ;
VAL_ 1 S 0 "zero" 255 "SNA" ;
VAL_ 1 X T ;
SIG_VALTYPE_ 2147483650 F : 1;
SG_MUL_VAL_ 1 Y X 1-1;
SG_MUL_VAL_ 1 S Y 2-3, 9-4294967295;
BO_TX_BU_ 1 : A,B;
"""
SINGLE = ['"', "\\", ";", ":", "\n", "\r", "\0", "\x1a", "(", ")", "[", "|", "@", ",", "-", ".", "M", "0", "é"]
WORDS = ["m1", "m1M", "//", "99999999999", "1e999", "nan", "0x10", "BO_ ", "SG_ ", "CM_ ", "BA_ ", "VAL_ ", "NS_ :"]
PIECES = st.sampled_from([*SINGLE, *WORDS, "BU_:", "SG_MUL_VAL_ ", "\nBO_ 1 M: 8 A\n", "2147483650", "X", "S"])
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.lists(PIECES, max_size=4)), min_size=1, max_size=8)
RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
LONGEST_S = 10.0  # of processor time


def mutated(edits: list[tuple[float, int, list[str]]]) -> str:
    text = WHOLE
    for place, removed, added in edits:
        at = int(place * len(text))
        text = text[:at] + "".join(added) + text[at + removed :]
    return text


def answers(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    began = time.process_time()
    try:
        loaded = database.load(path)
    except InputError:
        return
    assert time.process_time() - began < LONGEST_S
    names = [m.name for m in loaded.messages]
    assert len(set(names)) == len(names)
    lines = content.count(b"\n") + content.count(b"\r") + 1
    assert all(0 < note.line <= lines for note in loaded.notes)
    for message in loaded.messages:
        assert 0 <= message.id < 1 << 29
        assert message.extended or message.id < 1 << 11
        assert len({s.name for s in message.signals}) == len(message.signals)
        for signal in message.signals:
            assert 1 <= signal.length <= 64
            assert max(signal.positions()) < 512
            assert signal.mux_signal != signal.name
            assert bool(signal.mux_signal) == bool(signal.mux_ranges)


@RELAXED
@example([(0.5, 0, ['"'])])
@example([(0.99, 40, [])])
@given(EDITS)
def test_a_mutated_dbc_gives_nouns_or_an_input_error(tmp_path: Path, edits: list[tuple[float, int, list[str]]]) -> None:
    answers(tmp_path / "x.dbc", mutated(edits).encode())


@RELAXED
@given(st.binary(max_size=300), st.sampled_from(["dbc", "kcd", "sym", "arxml", "bin"]))
def test_any_bytes_give_nouns_or_an_input_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    answers(tmp_path / f"x.{suffix}", content)


@RELAXED
@given(st.integers(0, len(WHOLE) - 1))
def test_a_dbc_cut_off_anywhere_keeps_every_whole_signal_before_the_cut(tmp_path: Path, end: int) -> None:
    path = tmp_path / "x.dbc"
    path.write_bytes(WHOLE[:end].encode())
    whole = sum(line.startswith(" SG_") for line in WHOLE[:end].split("\n")[:-1])
    try:
        loaded = database.load(path)
    except InputError:
        assert whole == 0
        return
    assert sum(len(m.signals) for m in loaded.messages) >= whole
