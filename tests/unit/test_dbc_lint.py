"""The DBC lint: what it finds, what it leaves alone, and its exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hil.codec.bus_load import worst_bits
from tools.dbc_lint import main

HEAD = 'VERSION ""\nBU_: A B\n'
TAIL = """BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ "Baudrate" INT 0 1000000;
BA_DEF_DEF_ "GenMsgCycleTime" {cycle};
BA_DEF_DEF_ "Baudrate" 500000;
BA_ "Baudrate" 500000;
"""
GOOD = 'BO_ 1 M: 8 A\n SG_ S : 0|8@1+ (1,0) [0|255] "V" B\n'


def run(path: Path, *options: str):
    return CliRunner().invoke(main, [*options, str(path)])


def small(tmp_path: Path, body: str, cycle: int = 100) -> Path:
    path = tmp_path / "small.dbc"
    path.write_text(HEAD + body + TAIL.format(cycle=cycle))
    return path


def test_the_bench_database_is_clean_and_its_worst_load_is_that_of_hand_arithmetic():
    done = run(Path("dbc/bench.dbc"), "--json")
    told = json.loads(done.output)
    assert (done.exit_code, told["problems"]) == (0, [])
    # frames a second, bits of each with worst stuffing (8 bytes 135, 6: 115, 5: 105, 3: 85, 2: 75)
    bits_per_s = (100 + 300 + 25 + 10) * 135 + 1 * 115 + (5 + 10) * 105 + 100 * 85 + (100 + 10 + 2) * 75
    assert told["worst_load"] == pytest.approx(bits_per_s / 500_000)
    assert told["worst_load"] < 0.3


@pytest.mark.parametrize(("length", "extended", "bits"), [(8, 0, 135), (0, 0, 55), (8, 1, 160), (1, 1, 90)])
def test_the_longest_frame_has_the_published_number_of_bits(length, extended, bits):
    assert worst_bits(length, extended) == bits


def test_a_good_small_file_is_clean(tmp_path):
    assert run(small(tmp_path, GOOD)).exit_code == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (GOOD + GOOD.replace(" M:", " N:"), "small.dbc:5:1: N: identifier 0x1 is also that of M"),
        (GOOD + GOOD.replace("BO_ 1", "BO_ 2"), "M: the name stands twice"),
        (GOOD + ' SG_ T : 7|2@1+ (1,0) [0|3] "" B\n', "small.dbc:5:2: M.T: overlaps S: found bit 7 in both"),
        (GOOD + ' SG_ T : 0|9@0+ (1,0) [0|511] "" B\n', "M.T: overlaps S: found bit 0 in both"),
        (GOOD.replace("[0|255]", "[0|256]"), "the range is wider than the bits: expected within [0, 255]"),
        (GOOD.replace("[0|255]", "[-1|255]"), "the range is wider than the bits"),
        (GOOD.replace("[0|255]", "[9|3]"), "the range is upside down"),
        (GOOD.replace("[0|255]", "[0|0]"), "no range declared"),
        (GOOD.replace("(1,0)", "(0,0)"), "the factor loses the value"),
        (GOOD.replace("8 A", "8 Vector__XXX"), "has no sender"),
        (GOOD.replace("8 A", "12 A"), "the load of CAN FD frames is not computed"),
    ],
)
def test_each_mistake_is_found_and_named(tmp_path, body, reason):
    done = run(small(tmp_path, body))
    assert done.exit_code == 1
    assert reason in done.output


def test_a_value_that_does_not_fit_its_signal_is_found(tmp_path):
    path = small(tmp_path, GOOD)
    path.write_text(path.read_text() + 'VAL_ 1 S 256 "SNA" ;\n')
    assert "value 'SNA' does not fit" in run(path).output


def test_a_message_without_cycle_time_is_found(tmp_path):
    assert "M: has no cycle time" in run(small(tmp_path, GOOD, cycle=0)).output


def test_signals_of_different_groups_may_share_bits(tmp_path):
    body = 'BO_ 1 M: 8 A\n SG_ X M : 0|8@1+ (1,0) [0|1] "" B\n'
    body += ' SG_ S m0 : 8|8@1+ (1,0) [0|255] "" B\n SG_ T m1 : 8|8@1+ (1,0) [0|255] "" B\n'
    assert run(small(tmp_path, body)).exit_code == 0
    done = run(small(tmp_path, body.replace("T m1", "T m0")))
    assert "M.T: overlaps S" in done.output


def test_the_load_limit_binds(tmp_path):
    path = small(tmp_path, GOOD, cycle=1)  # 135 bits a millisecond: 27 % of 500 kbit/s
    assert run(path).exit_code == 0
    done = run(path, "--load-limit", "0.27")
    assert done.exit_code == 1
    assert "bus load in the worst case: expected below 27 %, found 27.0 %" in done.output
    assert run(path, "--bit-rate", "250000").exit_code == 1


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path):
    (tmp_path / "broken.dbc").write_text("BO_ oops")
    for name in ("broken.dbc", "absent.dbc"):
        done = run(tmp_path / name, "--json")
        assert done.exit_code == 2
        assert json.loads(done.output)["exit"] == 2
    assert run(tmp_path / "absent.dbc").exit_code == 2


def test_an_identifier_without_bit_31_is_found(tmp_path):
    done = run(small(tmp_path, GOOD.replace("BO_ 1 ", "BO_ 2048 ")))
    assert done.exit_code == 1
    assert "small.dbc:3:1: M: the identifier has more than 11 bits but not bit 31; taken as extended" in done.output


def test_a_group_that_its_multiplexer_cannot_reach_is_found(tmp_path):
    body = 'BO_ 1 M: 8 A\n SG_ X M : 0|2@1+ (1,0) [0|3] "" B\n SG_ S m4 : 8|8@1+ (1,0) [0|255] "" B\n'
    assert "M.S: the multiplexer cannot reach its group: found 4" in run(small(tmp_path, body)).output


def test_the_help_shows_an_example_and_the_exit_codes():
    told = CliRunner().invoke(main, ["--help"]).output
    assert "python -m tools.dbc_lint --json" in told
    assert "2 the file cannot be read" in told.replace("\n", " ")
