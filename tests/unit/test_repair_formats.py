"""KCD and SYM files: the same nouns, the same notes, typed refusals and bounded memory."""

import re
from pathlib import Path

import pytest

from hil.codec import database
from hil.codec.nouns import Database
from hil.errors import InputError

KCD = """<?xml version="1.0" encoding="UTF-8"?>
<NetworkDefinition xmlns="http://kayak.2codeornot2code.org/1.0">
  <Document/>
  <Node id="1" name="Ecu"/>
  <Bus name="Powertrain" baudrate="250000">
    <Message id="0x101" name="Status" length="2" interval="100">
      <Producer><NodeRef id="1"/></Producer>
      <Signal name="Current" offset="0" length="16"><Value type="signed" slope="0.1" unit="A"/></Signal>
      <Signal name="Late" offset="16" length="8"/>
    </Message>
  </Bus>
</NetworkDefinition>
"""
SYM = """FormatVersion=6.0 // Do not edit this line!
Title="small"

{SENDRECEIVE}

[Status]
ID=101h
Len=8
CycleTime=100
Mux=First 0,8 FDh
Var=Current signed 8,16 /u:A /f:0.1
"""


def load(tmp_path: Path, name: str, text: str) -> Database:
    path = tmp_path / name
    path.write_text(text)
    return database.load(path)


@pytest.mark.parametrize("name", ["bus.kcd", "bus.xml"])
def test_a_kcd_gives_the_same_nouns_and_notes(tmp_path: Path, name: str) -> None:
    db = load(tmp_path, name, KCD)
    message = db.message("Status")
    current = message.signals[0]
    assert (message.id, message.length, message.cycle_ns, message.senders) == (0x101, 2, 100_000_000, ("Ecu",))
    assert (current.name, current.length, current.signed, current.factor, current.unit) == (
        "Current",
        16,
        True,
        0.1,
        "A",
    )
    assert (db.bit_rate, db.nodes) == (250_000, ("Ecu",))
    assert [(n.line, n.message) for n in db.notes] == [
        (9, "Status.Late: lies outside its message of 2 bytes; read from frames of 3 bytes")
    ]


def test_a_sym_may_write_a_multiplexer_value_that_begins_with_a_letter(tmp_path: Path) -> None:
    db = load(tmp_path, "bus.sym", SYM)
    current = db.message("Status").signal("Current")
    assert current is not None
    assert len(current.mux_ranges) == 1
    assert current.mux_ranges[0] == (0xFD, 0xFD)
    assert db.notes == ()


def test_a_multiplexer_value_of_hundreds_of_digits_is_told_in_short(tmp_path: Path) -> None:
    db = load(tmp_path, "bus.sym", SYM.replace("FDh", "9" * 400 + "h"))
    (note,) = db.notes
    assert note.message == "Status.Current: no frame brings it, First never has that value"
    assert len(note.found) <= 60


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("bus.kcd", KCD.replace('length="16"', 'length="1000000000"'), 8),
        ("bus.kcd", KCD.replace('offset="16"', 'offset="1000000000"'), 9),
        ("bus.kcd", KCD.replace('length="2"', 'length="1000000000"'), 6),
        ("bus.sym", SYM.replace("8,16", "8,1000000000"), 11),
        ("bus.sym", SYM.replace("8,16", "1000000000,16"), 11),
        ("bus.sym", SYM.replace("Len=8", "Len=1000000000"), 8),
        ("bus.sym", SYM.replace("0,8 FDh", "0,1000000000 FDh"), 10),
        ("bus.sym", SYM.replace("ID=101h", "ID=101h-7FFFFFFFh"), 7),
        ("bus.sym", SYM.replace("FDh", "9" * 1_000_000 + "h"), 10),  # would take hours
    ],
)
def test_numbers_that_would_fill_the_memory_are_refused_at_their_line(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, name, text)
    assert caught.value.problems[0].line == line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bus.kcd", KCD[: len(KCD) // 2]),
        ("bus.kcd", ""),
        ("bus.sym", SYM.replace("Len=8", "Len=")),
        ("bus.sym", "FormatVersion=4.0"),
        ("bus.arxml", "<AUTOSAR/>"),
        ("bus.arxml", "no"),
    ],
)
def test_what_cannot_be_read_is_a_typed_refusal_that_names_the_file(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match=re.escape(name)):
        load(tmp_path, name, text)


@pytest.mark.parametrize(("name", "text"), [("bus.kcd", KCD), ("bus.sym", SYM)])
def test_a_file_cut_off_anywhere_gives_nouns_or_a_typed_refusal(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    read = 0
    for end in range(0, len(text), 7):
        path.write_text(text[:end])
        try:
            read += bool(database.load(path).messages)
        except InputError:
            continue
    path.write_text(text)
    assert database.load(path).messages
    assert read < len(text) // 7
