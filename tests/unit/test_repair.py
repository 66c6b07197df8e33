"""The DBC loader repairs what vendors' programs open, tells each repair with its line, and refuses when strict."""

from pathlib import Path

import pytest

from hil.codec import database
from hil.codec.nouns import Database
from hil.codec.plan import compile_plan
from hil.errors import InputError

HEAD = 'VERSION ""\nBU_: A B\n'
GOOD = 'BO_ 1 M: 8 A\n SG_ S : 0|8@1+ (0.5,-4) [0|255] "V" B\n'


def load(tmp_path: Path, body: str | bytes, head: str = HEAD) -> Database:
    path = tmp_path / "file.dbc"
    path.write_bytes(body if isinstance(body, bytes) else (head + body).encode())
    return database.load(path)


def told(db: Database) -> list[str]:
    return [str(note).removeprefix(str(db.path) + ":") for note in db.notes]


def signals(db: Database) -> list[str]:
    return [s.name for s in db.messages[0].signals]


def test_a_good_file_has_no_notes_and_strict_takes_it(tmp_path):
    db = load(tmp_path, GOOD)
    assert told(db) == []
    assert database.load(db.path, strict=True) == db
    signal = db.messages[0].signals[0]
    assert (signal.factor, signal.offset, signal.unit, signal.exact) == (0.5, -4.0, "V", False)


def test_duplicate_signal_names_give_two_signals_and_the_value_table_is_the_first_ones(tmp_path):
    body = (
        "BO_ 1714 Cells: 8 A\n"
        ' SG_ Low_Cell_Voltage : 7|16@0+ (0.0001,0) [0|6] "V" B\n'
        ' SG_ Low_Cell_Voltage : 23|8@0+ (0.001,0) [0|1] "V" B\n'
        'VAL_ 1714 Low_Cell_Voltage 65535 "SNA" ;\n'
    )
    db = load(tmp_path, body)
    first, second = db.message("Cells").signals
    assert (first.name, second.name) == ("Low_Cell_Voltage", "Low_Cell_Voltage_2")
    assert (first.start, first.length, second.start, second.length) == (7, 16, 23, 8)
    assert (first.labels, second.labels) == (((65535, "SNA"),), ())
    assert told(db) == ["5:2: Cells.Low_Cell_Voltage: the name stands twice; this one is now Low_Cell_Voltage_2"]


def test_strict_refuses_with_all_notes_at_once(tmp_path):
    body = GOOD + 'VAL_ 1 T 0 "x" ;\nCM_ BO_ 2 "no";\n'
    path = load(tmp_path, body).path
    with pytest.raises(InputError) as caught:
        database.load(path, strict=True)
    assert [p.line for p in caught.value.problems] == [5, 6]


CASES = [
    ('VAL_ 1 T 0 "x" ;\n', "5:1: unused VAL_ of a signal that does not exist: M.T; left out"),
    ('VAL_ 9 S 0 "x" ;\n', "5:1: unused VAL_ of a message that does not exist; left out: found 9"),
    ('VAL_ 1 S zero "x" ;\n', "5:1: M.S: part of the value table cannot be read; left out: found zero"),
    ('VAL_ 1 S 0.5 "x" 1 "y" ;\n', "5:1: M.S: a value that is no whole number; left out"),
    ('CM_ SG_ 1 "about it";\n', "5:1: M: a comment without a signal; taken as the message's"),
    ('CM_ 1 "about it";\n', "5:1: M: a comment without a signal; taken as the message's"),
    ('CM_ SG_ 1 T "about it";\n', "5:1: comment of a signal that does not exist: M.T; left out"),
    ('CM_ BU_ C "about it";\n', "5:1: comment of a node that does not exist; left out: found C"),
    ('CM_ BO_ 1 "he said "no" to it";\n', "5:1: a comment with quotes inside; kept"),
    ('CM_ BO_ 1 "a 5" wheel";\n', "one quote too many; taken as text"),
    ('CM_ BO_ 1 "never closed;\nBA_DEF_ "X" INT 0 1;\n', "5:11: text without closing quote"),
    ('BA_ "X" BO_ 1 5;\n', "5:1: attribute X: not defined; left out"),
    ('BA_DEF_ BO_ "X" INT 0 1;\nBA_ "X" BO_ 7 5;\n', "6:1: attribute X of a message that does not exist; left out"),
    ('BA_DEF_ BO_ "X" INT 0 1;\nBA_ "X" BO_ 1 "a";\n', "6:1: attribute X: none of its values; left out"),
    ('BA_DEF_ BO_ "X" LIST 0 1;\n', "5:1: an attribute definition that cannot be read; left out"),
    ('BA_DEF_DEF_ "X" 1;\n', "5:1: default of an attribute that is not defined; left out: found X"),
    ('BA_DEF_ BU_ "X" INT 0 1;\nBA_ "X" BU_ C 5;\n', "6:1: attribute X of a node that does not exist; left out"),
    ("SIG_VALTYPE_ 1 T : 1;\n", "5:1: SIG_VALTYPE_ of a signal that does not exist: M.T; left out"),
    ("SIG_VALTYPE_ 1 S : 1;\n", "5:1: M.S: no float has that many bits; taken as a whole number"),
    ("SG_MUL_VAL_ 1 T S 0-0;\n", "5:1: SG_MUL_VAL_ of a signal that does not exist: M.T; left out"),
    ("BO_TX_BU_ 9 : A,B;\n", "5:1: BO_TX_BU_ of a message that does not exist; left out: found 9"),
    ("WHAT_ 1 2 3;\n", "5:1: M.S: text behind it; left out: found WHAT_ 1 2 3"),
    ('VAL_ 1 S 0 "x" ;\nWHAT_ 1 2 3;\n', "6:1: text that belongs to no statement; left out: found WHAT_ 1 2 3"),
    ('VAL_ 1 S 0 "x"\nCM_ "y";\n', "5:1: no ';' at the end of the statement"),
    ('VAL_ 1 S 0 "x" 1 "', "5:1: the last statement is cut off"),
    (' SG_ T : 4|8@1+ (1,0) [0|1] "" B\n', "5:2: M.T: overlaps S: found bit 4 in both"),
    (' SG_ T : 60|8@1+ (1,0) [0|1] "" B\n', "5:2: M.T: lies outside its message of 8 bytes; read from frames of 9"),
    (' SG_ T : 510|8@1+ (1,0) [0|1] "" B\n', "5:2: M.T: left out, no frame is that long"),
    (' SG_ T : 512|8@1+ (1,0) [0|1] "" B\n', "5:2: M.T: left out, it begins behind every frame"),
    (
        ' SG_ T : 8|65@1+ (1,0) [0|1] "" B\n',
        "5:2: M.T: left out, no number is that long: expected 1 to 64 bits, found 65",
    ),
    (' SG_ T : 8|0@1+ (1,0) [0|1] "" B\n', "5:2: M.T: left out, no number is that long"),
    (' SG_ T : 8|8@1+ (x,0) [0|1] "" B\n', "5:2: M.T: left out, its factor or offset is no number"),
    (' SG_ T : 8|8@1+ (1e999,0) [0|1] "" B\n', "5:2: M.T: left out, its factor or offset is no number"),
    (" SG_ T : 8|8\n", "5:2: M: a signal that cannot be read; left out"),
    (' SG_ T m0 : 8|8@1+ (1,0) [0|1] "" B\n', "5:2: M.T: which multiplexer brings it is not said; it is always there"),
    ('BO_ 2 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|1] "" B\n', "5:1: M: the name stands twice; this one is now M_2"),
    ('BO_ 1 N: 8 A\n SG_ S : 0|8@1+ (1,0) [0|1] "" B\n', "5:1: N: identifier 0x1 is also that of M"),
    ("BO_ x N: 8 A\n SG_ S : 0|8\n", "5:1: a message that cannot be read; left out with its signals"),
    ("BO_ 2048 N: 8 A\n", "5:1: N: the identifier has more than 11 bits but not bit 31; taken as extended"),
    ("BO_ 4294967295 N: 8 A\n", "5:1: N: the identifier has more than 29 bits; the lower 29 are taken"),
    ("BO_ -2147483647 N: 8 A\n", "5:1: N: a negative identifier; taken as unsigned"),
    ("BO_ 2 N: 65 A\n", "5:1: N: the message is too long; signals within 64 bytes are kept"),
    ("BO_ 2 N: 8\n", "5:1: N: no sender; taken as Vector__XXX"),
    ("BO_ 2 2N: 8 A\n", "5:1: 2N: not a name; now _2N"),
    ("BU_: C A\n", "5:1: a node stands twice: found A"),
    ('VAL_ 1 S 0 "a" 0 "b" ;\n', "5:1: M.S: the value 0 stands twice; its last text is taken"),
    ('VAL_ 1 S 0 "a" ;\nVAL_ 1 S 1 "b" ;\n', "6:1: M.S: a second value table; the one before is left out"),
    ('VAL_ 1 S 0 "a\x01b" ;\n', "5:14: control characters; taken as blanks: found 1 of them, the first 0x01"),
]


@pytest.mark.parametrize(("more", "note"), CASES)
def test_each_kind_of_mistake_is_told_with_its_line_and_the_rest_is_read(tmp_path, more, note):
    db = load(tmp_path, GOOD + more)
    assert any(line.startswith(note) or f": {note}" in line for line in told(db)), told(db)
    signal = db.message("M").signal("S")
    assert signal is not None
    assert (signal.start, signal.length, signal.factor, signal.offset) == (0, 8, 0.5, -4.0)


@pytest.mark.parametrize(
    ("text", "factor", "offset"),
    [
        ("(.25,0)", 0.25, 0),
        ("(1.,+3)", 1, 3),
        ("(-.5,-.5)", -0.5, -0.5),
        ("(0,25,1,5)", 0.25, 1.5),
        ("(1E-2,0)", 0.01, 0),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path, text, factor, offset):
    db = load(tmp_path, GOOD.replace("(0.5,-4)", text))
    signal = db.messages[0].signals[0]
    assert (signal.factor, signal.offset) == (factor, offset)
    needs = text in ("(.25,0)", "(-.5,-.5)", "(0,25,1,5)")
    assert bool(db.notes) == needs


@pytest.mark.parametrize(
    ("scale", "valtype", "exact"),
    [("2,3", "", True), ("2.0,-1", "", True), ("1,0", "", True), ("2,0.5", "", True), ("2.0,0.5", "", False), ("1,0", "SIG_VALTYPE_ 1 S : 1;", False)],
)  # fmt: skip
def test_exact_says_that_the_raw_number_is_multiplied_in_whole_numbers(tmp_path, scale, valtype, exact):
    db = load(tmp_path, f'BO_ 1 M: 8 A\n SG_ S : 0|32@1+ ({scale}) [0|0] "" B\n{valtype}\n')
    assert (db.messages[0].signals[0].exact, told(db)) == (exact, [])


@pytest.mark.parametrize(("bits", "kind"), [(16, 1), (32, 1), (64, 2)])
def test_floats_have_16_32_or_64_bits(tmp_path, bits, kind):
    db = load(tmp_path, f'BO_ 1 M: 8 A\n SG_ S : 0|{bits}@1- (1,0) [0|0] "" B\nSIG_VALTYPE_ 1 S : {kind};\n')
    assert (db.messages[0].signals[0].is_float, told(db)) == (True, [])


def test_names_that_are_none_are_made_names_and_their_tables_follow(tmp_path):
    body = 'BO_ 1 2017.5: 8 A\n SG_ 00_Bus-V : 0|8@1+ (1,0) [0|1] "" B\nVAL_ 1 00_Bus-V 1 "on" ;\nCM_ SG_ 1 00_Bus-V "c";\n'
    db = load(tmp_path, body)
    signal = db.message("_2017_5").signal("_00_Bus_V")
    assert signal is not None
    assert (signal.labels, signal.comment) == (((1, "on"),), "c")
    assert [n.line for n in db.notes] == [3, 4]


def test_a_message_without_bit_31_keeps_its_tables_and_so_does_a_table_with_the_other_bit_31(tmp_path):
    body = 'BO_ 2048 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|1] "" B\nVAL_ 2048 S 1 "on" ;\nCM_ SG_ 2147485696 S "c";\n'
    db = load(tmp_path, body)
    message = db.message("M")
    assert (message.id, message.extended) == (2048, True)
    assert (message.signals[0].labels, message.signals[0].comment) == (((1, "on"),), "c")
    assert [n.line for n in db.notes] == [3, 6]


@pytest.mark.parametrize(
    ("sign", "values", "note"),
    [
        ("+", "16-300", "expected 0 to 15, found 16-300"),
        ("-", "8-15", "expected -8 to 7, found 8-15"),
        ("+", "15-99999999999999999999", ""),
    ],
)
def test_a_value_that_the_multiplexer_never_has_is_told(tmp_path, sign, values, note):
    signals = f' SG_ X M : 0|4@1{sign} (1,0) [0|0] "" B\n SG_ P m9 : 8|8@1+ (1,0) [0|0] "" B\n'
    db = load(
        tmp_path, f"BO_ 1 M: 8 A\n{signals}SG_MUL_VAL_ 1 P X {values};\n".replace("m9", f"m{values.split('-')[0]}")
    )
    assert told(db) == ([f"5:2: M.P: no frame brings it, X never has that value: {note}"] if note else [])


def test_what_hangs_on_a_multiplexer_that_no_frame_holds_is_always_there(tmp_path):
    body = (
        'BO_ 1 M: 64 A\n SG_ X M : 504|16@1+ (1,0) [0|0] "" B\n SG_ P m1 : 8|8@1+ (1,0) [0|0] "" B\n'
        ' SG_ Q : 16|8@1+ (1,0) [0|0] "" B\n'
    )
    db = load(tmp_path, body)
    assert told(db) == [
        "4:2: M.X: left out, no frame is that long: found start 504, 16 bits",
        "5:2: M.P: its multiplexer X is left out; it is always there",
    ]
    assert [entry.signal.name for entry in compile_plan(db.messages).listed] == ["P", "Q"]


def test_huge_multiplexer_ranges_stay_ranges(tmp_path):
    body = (
        'BO_ 1 M: 8 A\n SG_ X M : 0|32@1+ (1,0) [0|1] "" B\n SG_ S m0 : 32|8@1+ (1,0) [0|1] "" B\n'
        "SG_MUL_VAL_ 1 S X 0-4294967290, 4294967292-4294967295;\n"
    )
    db = load(tmp_path, body)
    signal = db.messages[0].signal("S")
    assert signal is not None
    assert (signal.mux_signal, signal.mux_ranges) == ("X", ((0, 4294967290), (4294967292, 4294967295)))
    assert (signal.brought_by(4294967290), signal.brought_by(4294967291)) == (True, False)
    assert told(db) == []


MUXES = (
    ' SG_ X M : 0|8@1+ (1,0) [0|1] "" B\n SG_ Y m2M : 8|8@1+ (1,0) [0|1] "" B\n SG_ S m3 : 16|8@1+ (1,0) [0|1] "" B\n'
)


def test_cascaded_multiplexers_are_taken_from_their_ranges(tmp_path):
    db = load(tmp_path, f"BO_ 1 M: 8 A\n{MUXES}SG_MUL_VAL_ 1 Y X 2-2;\nSG_MUL_VAL_ 1 S Y 3-4, 7-7;\n")
    x, y, s = db.messages[0].signals
    assert [(a.selector, a.mux_signal, a.mux_ranges) for a in (x, y, s)] == [
        (True, "", ()),
        (True, "X", ((2, 2),)),
        (False, "Y", ((3, 4), (7, 7))),
    ]
    assert told(db) == []


def test_two_multiplexers_without_ranges_fall_back_to_the_root_and_say_so(tmp_path):
    db = load(tmp_path, "BO_ 1 M: 8 A\n" + MUXES)
    assert [(s.mux_signal, s.mux_ranges) for s in db.messages[0].signals] == [
        ("", ()),
        ("X", ((2, 2),)),
        ("X", ((3, 3),)),
    ]
    assert [n.line for n in db.notes] == [5, 6]


def test_multiplexers_that_bring_each_other_are_parted(tmp_path):
    body = f"BO_ 1 M: 8 A\n{MUXES}".replace("X M", "X m1M")
    db = load(tmp_path, body + "SG_MUL_VAL_ 1 Y X 2-2;\nSG_MUL_VAL_ 1 X Y 1-1;\nSG_MUL_VAL_ 1 S Y 3-3;\n")
    assert any("multiplexers bring each other" in line for line in told(db))
    assert sorted(s.mux_signal for s in db.messages[0].signals) in (["", "X", "Y"], ["", "Y", "Y"])


def test_signals_that_their_multiplexers_keep_apart_do_not_overlap(tmp_path):
    body = f"BO_ 1 M: 8 A\n{MUXES}" + ' SG_ T m4 : 16|8@1+ (1,0) [0|1] "" B\n SG_ U m5 : 16|8@1+ (1,0) [0|1] "" B\n'
    ranges = "SG_MUL_VAL_ 1 Y X 2-2;\nSG_MUL_VAL_ 1 S Y 3-3;\nSG_MUL_VAL_ 1 T Y 4-4;\nSG_MUL_VAL_ 1 U X 5-5;\n"
    assert told(load(tmp_path, body + ranges)) == []
    clash = told(load(tmp_path, body + ranges.replace("X 5-5", "X 2-5")))
    assert clash == ["8:2: M.U: overlaps S: found bit 16 in both"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end_gives_the_same_lines(tmp_path, newline):
    text = (HEAD + GOOD + 'CM_ BO_ 1 "two\nlines";\nVAL_ 1 T 0 "x" ;\n').replace("\n", newline)
    db = load(tmp_path, text.encode())
    assert [n.line for n in db.notes] == [7]
    assert db.messages[0].comment == "two\nlines"


@pytest.mark.parametrize(
    ("encoding", "unit"), [("utf-8", "°C"), ("utf-8-sig", "°C"), ("cp1252", "°C"), ("utf-16", "°C"), ("utf-8", "Ω")]
)
def test_every_encoding_that_is_met_is_read_without_a_note(tmp_path, encoding, unit):
    db = load(tmp_path, (HEAD + GOOD.replace('"V"', f'"{unit}"')).encode(encoding))
    assert (db.messages[0].signals[0].unit, told(db)) == (unit, [])


def test_bytes_that_are_no_text_are_told(tmp_path):
    db = load(tmp_path, (HEAD + GOOD).encode().replace(b'"V"', b'"\x81\xe9"'))
    assert told(db) == ["4:1: bytes that are no text; shown as \ufffd: expected UTF-8 or Windows-1252, found 1 of them"]


@pytest.mark.parametrize("head", ["", "BS_: 500 : 1,2\n", "NS_ :\n", "NS_ :\n\tCM_\n\tBA_DEF_\n\nBU_:\n", "BU_ A B\n"])
def test_a_file_without_its_usual_head_is_read(tmp_path, head):
    db = load(tmp_path, GOOD, head)
    assert signals(db) == ["S"]
    assert told(db) == []


def test_comments_of_the_text_itself_are_no_statements(tmp_path):
    db = load(tmp_path, "// BO_ 5 X: 8 A\n" + GOOD.replace(" B\n", ' B // "quoted\n') + 'CM_ "see http://x.org";\n')
    assert (signals(db), told(db)) == (["S"], [])


def test_named_value_tables_and_names_of_keywords_are_read(tmp_path):
    body = GOOD + ' SG_ FILTER : 8|8@1+ (1,0) [0|1] "" B\nVAL_TABLE_ Onoff 0 "off" 1 "on" ;\nVAL_ 1 S Onoff ;\n'
    db = load(tmp_path, body)
    assert db.messages[0].signals[0].labels == ((0, "off"), (1, "on"))
    assert signals(db) == ["S", "_FILTER"]


def test_long_names_replace_short_ones_and_stay_different(tmp_path):
    body = (
        GOOD + ' SG_ T : 8|8@1+ (1,0) [0|1] "" B\n'
        'BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;\nBA_DEF_DEF_ "SystemSignalLongSymbol" "";\n'
        'BA_ "SystemSignalLongSymbol" SG_ 1 S "AVeryLongSignalName";\n'
        'BA_ "SystemSignalLongSymbol" SG_ 1 T "AVeryLongSignalName";\nVAL_ 1 T 1 "on" ;\n'
    )
    db = load(tmp_path, body)
    assert signals(db) == ["AVeryLongSignalName", "AVeryLongSignalName_2"]
    assert db.messages[0].signals[1].labels == ((1, "on"),)
    assert told(db) == ["5:2: M.T: its long name is now AVeryLongSignalName_2"]


SENDING = """BA_DEF_ BO_ "GenMsgSendType" ENUM "Cyclic","OnChange","CyclicIfActive";
BA_DEF_ BO_ "GenMsgCycleTime" FLOAT 0 10000;
BA_DEF_ BO_ "GenMsgCycleTimeFast" INT 0 10000;
BA_DEF_ BO_ "GenMsgNrOfRepetition" INT 0 10;
BA_DEF_ BO_ "GenMsgDelayTime" INT 0 10;
BA_DEF_ BO_ "GenMsgStartDelayTime" INT 0 10;
BA_DEF_ SG_ "GenSigStartValue" INT 0 10;
BA_DEF_ SG_ "GenSigSendType" ENUM "Cyclic","OnWrite";
BA_DEF_ "Baudrate" INT 0 1000000;
BA_DEF_DEF_ "GenMsgSendType" "Cyclic";
BA_DEF_DEF_ "GenSigSendType" "Cyclic";
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_DEF_DEF_ "Baudrate" 250000;
BA_ "GenMsgSendType" BO_ 1 {send};
BA_ "GenMsgCycleTime" BO_ 1 2.5;
BA_ "GenMsgCycleTimeFast" BO_ 1 2;
BA_ "GenMsgNrOfRepetition" BO_ 1 3;
BA_ "GenMsgDelayTime" BO_ 1 4;
BA_ "GenMsgStartDelayTime" BO_ 1 5;
BA_ "GenSigStartValue" SG_ 1 S 6;
BA_ "GenSigSendType" SG_ 1 S 1;
BA_DEF_ SG_ "GenSigInactiveValue" INT 0 255;
BA_ "GenSigInactiveValue" SG_ 1 S 9;
"""


@pytest.mark.parametrize(("send", "notes"), [("2", 0), ('"CyclicIfActive"', 1)])
def test_sending_is_read_from_the_attributes_and_an_enum_may_be_written_as_text(tmp_path, send, notes):
    db = load(tmp_path, GOOD + SENDING.format(send=send))
    m = db.messages[0]
    assert (m.send_type, m.cycle_ns, m.fast_cycle_ns) == ("CyclicIfActive", 2_500_000, 2_000_000)
    assert (m.repetitions, m.delay_ns, m.start_delay_ns) == (3, 4_000_000, 5_000_000)
    assert (m.signals[0].start_value, m.signals[0].send_type, db.bit_rate) == (6.0, "OnWrite", 250_000)
    assert m.signals[0].inactive_value == 9.0
    assert len(db.notes) == notes


@pytest.mark.parametrize(("value", "cycle_ns"), [("2", 1_000_000_000), ('"100"', 100_000_000), ("3", 10_000_000)])
def test_of_an_enum_of_numbers_the_number_is_taken_and_not_its_place(tmp_path, value, cycle_ns):
    body = (
        'BA_DEF_ BO_ "GenMsgCycleTime" ENUM "10","100","1000";\nBA_DEF_DEF_ "GenMsgCycleTime" "10";\n'
        f'BA_ "GenMsgCycleTime" BO_ 1 {value};\n'
    )
    db = load(tmp_path, GOOD + body)
    assert db.messages[0].cycle_ns == cycle_ns
    assert len(db.notes) == (value == "3")  # no such place: left out, the default holds


@pytest.mark.parametrize(
    "odd",
    [
        'BA_DEF_ BO_ "GenMsgSendType" INT 0 5;\nBA_ "GenMsgSendType" BO_ 1 2;\n',
        'BA_DEF_ BO_ "VFrameFormat" INT 0 5;\nBA_ "VFrameFormat" BO_ 1 14;\n',
        'BA_DEF_ BO_ "VFrameFormat" STRING ;\nBA_ "VFrameFormat" BO_ 1 "x";\n',
        'BA_DEF_ SG_ "GenSigStartValue" STRING ;\nBA_ "GenSigStartValue" SG_ 1 S "x";\n',
        'BA_DEF_ SG_ "SPN" FLOAT 0 1;\nBA_ "SPN" SG_ 1 S 1.5;\n',
        'BA_DEF_ "DBName" INT 0 1;\nBA_ "DBName" 5;\n',
        'BA_DEF_ "Baudrate" STRING ;\nBA_ "Baudrate" "fast";\n',
        'BA_DEF_ BO_ "E" ENUM ;\nBA_ "E" BO_ 1 2;\n',
        'BA_DEF_ BO_ "I" INT ;\nBA_DEF_DEF_ "I" "";\n',
        'BA_DEF_ BO_ "H" HEX 0;\nBA_DEF_DEF_ "H" 1e99999999;\n',
        'BA_DEF_REL_ BU_SG_REL_ "R" NONE;\nBA_REL_ "R" BU_SG_REL_ A SG_ 1 Q x;\n',
        "SIG_GROUP_ 77 G 1 : Q;\nEV_ E;\nENVVAR_DATA_ E: 5;\n",
    ],
)
def test_no_attribute_and_no_unused_section_stops_a_file_from_being_read(tmp_path, odd):
    db = load(tmp_path, GOOD + odd)
    assert signals(db) == ["S"]
    assert not any("library" in line for line in told(db))


def test_a_length_that_only_can_fd_has_makes_a_can_fd_message_but_not_in_j1939(tmp_path):
    body = GOOD.replace(": 8 A", ": 16 A")
    assert load(tmp_path, body).messages[0].fd
    assert not load(tmp_path, GOOD).messages[0].fd
    j1939 = 'BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","J1939PG";\nBA_DEF_DEF_ "VFrameFormat" "J1939PG";\n'
    assert not load(tmp_path, body + j1939).messages[0].fd


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"hello, world\n", "not a DBC file"),
        (b"\x00\x01\x02" * 1000, "not a DBC file"),
        (b"BO_ oops", "1:1: not a DBC file: a message that cannot be read"),
    ],
)
def test_what_is_no_dbc_at_all_is_refused_with_a_place(tmp_path, content, reason):
    with pytest.raises(InputError, match=r"file\.dbc:1:1: ") as caught:
        load(tmp_path, content)
    assert reason in str(caught.value)


def test_the_format_is_told_by_content_when_the_suffix_says_nothing(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text(HEAD + GOOD)
    assert signals(database.load(path)) == ["S"]
    path.write_text("hello")
    with pytest.raises(InputError, match="not a CAN database"):
        database.load(path)
    with pytest.raises(InputError, match="cannot read"):
        database.load(tmp_path)
