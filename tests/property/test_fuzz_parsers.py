"""Whatever is done to an input, its parser answers with what it makes of it or with a typed error, soon, in little memory.

The parsers are those of ``tools/fuzz_targets.py``; ``tools/fuzz.py`` feeds the same list with coverage as guide.
"""

import re
import time
import tracemalloc
from contextlib import suppress
from dataclasses import astuple
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hil.errors import CellbenchError, InputError
from hil.logs.log import Log
from hil.logs.read import read_content, readers
from hil.logs.text import TEXT_FORMATS
from tools import fuzz_seeds
from tools.fuzz_edits import EDITS, HUGE, OPENERS, WORDS, Edit, edited
from tools.fuzz_targets import TARGETS, Target

LONGEST_S = 10.0  # of processor time for at most 128 kB; the slowest takes a tenth of it
LARGEST = 96 << 20  # bytes a parser may hold for so little
EXAMPLES = {"argument": 60, "database": 25, "yaml": 12, "log": 25, "cells": 10, "record": 8}
MARKS = [b"\0", b"\n", b"\r", b'"', b"#", b":", b"@", b"..", b"!", b"*", b"=", b"%", b"-", b"/", b",", b" and ", b"1_0"]
ODD = [
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe9",
    b"\xd9\xa3",
    b"\xed\xa0\x80",
    b"LOBJ",
    b"\x1f\x8b\x08",
    b"&#49;",
    b"<<: *x",
]
PIECES = st.sampled_from([*MARKS, *ODD, *HUGE, *WORDS, *OPENERS]) | st.binary(max_size=4)
DAMAGE = st.lists(
    st.builds(Edit, st.sampled_from(sorted(EDITS)), st.floats(0, 1), st.integers(0, 255), PIECES),
    min_size=1,
    max_size=4,
)
NAMES = list(TARGETS)
QUICK = (Phase.explicit, Phase.generate)  # an input that takes long would take as long for each step of shrinking


@cache
def seeds_of(name: str) -> tuple[bytes, ...]:
    return TARGETS[name].seeds()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


def folder_of(target: Target, made: dict[str, Path], factory: pytest.TempPathFactory) -> Path:
    if target.group not in made:
        made[target.group] = factory.mktemp(target.group)
        target.prepare(made[target.group])
    return made[target.group]


def answers(target: Target, content: bytes, folder: Path) -> object:
    """What the parser made, None when it refused. Any other exception is the bug looked for."""
    began = time.process_time()
    try:
        return target.parse(content, folder)
    except target.allowed as error:
        told = str(error)
    finally:
        assert time.process_time() - began < LONGEST_S
    assert told
    return None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", NAMES)
def test_damaged_input_is_parsed_or_refused_with_a_typed_error_in_bounded_time(
    name: str, prepared: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    target, seeds = TARGETS[name], seeds_of(name)
    folder = folder_of(target, prepared, tmp_path_factory)
    for seed in seeds[:1]:
        with suppress(CellbenchError):
            target.parse(seed, folder)  # compiles and loads what it needs

    @settings(max_examples=EXAMPLES[target.group], deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(seeds), st.sampled_from(seeds), DAMAGE)
    def hold(seed: bytes, other: bytes, damage: list[Edit]) -> None:
        answers(target, edited(seed, other, damage), folder)

    hold()


@pytest.mark.parametrize("name", [name for name in NAMES if TARGETS[name].group != "argument"])
def test_any_bytes_at_all_are_parsed_or_refused_with_a_typed_error(
    name: str, prepared: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = TARGETS[name]
    folder = folder_of(target, prepared, tmp_path_factory)
    for content in (b"", b"\0" * 999, b"\xff" * 999, b"\n" * 999, bytes(range(256)) * 4, *(o * 3000 for o in OPENERS)):
        answers(target, content, folder)


def golden(name: str, old: bytes, new: bytes) -> bytes:
    content = (fuzz_seeds.GOLDEN / name).read_bytes()
    assert old in content
    return content.replace(old, new)


REACHED: list[tuple[str, bytes]] = [
    ("microchip", golden("logs/microchip.txt", b"0x01;", b"9" * 60 + b"x;")),
    ("log", golden("logs/microchip.txt", b"0x01;", b"9" * 60 + b"x;")),
    ("pp2can", golden("logs/pp2can.log", b"\t64\tE0", b" " * 3900 + b"\t64\tE0")),
    ("trc-2.1", b";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,l,D\n 8 1.5 RR 1 0100 Rx - -3\n"),
    ("trc-2.0", b";$FILEVERSION=2.0\n;$COLUMNS=N,O,T,I,d,l,D\n 8 1.5 DT 0100 Rx 99999999999999999999 01\n"),
    ("sym", golden("fuzz/small.sym", b'1="on"', b'1e999="on"')),
    ("sym", golden("fuzz/small.sym", b'1="on"', b"9" * 400 + b'="on"')),
    ("sym", golden("fuzz/small.sym", b"Sig=Speed 8", b"Sig=Speed 8Sig=Speed 9999999999")),
    ("sym", golden("fuzz/small.sym", b"Len=8", b"Len=" + b"9" * 60_000)),
    ("sym", (fuzz_seeds.GOLDEN / "fuzz/small.sym").read_bytes() + b"// " * 40_000),
    ("expression", b"a*" * 900 + b"a < 1"),
    ("expression", b"measured.pack_current < 1 A" + b" + 1 A" * 280),
    ("speed", b"1e999999999"),
    ("speed", b"9" * 5000),
    ("loop", b"9" * 5000),
    ("fit-bus", b"9" * 5000),
    ("map-channel", b"9" * 5000 + b"=1"),
    ("ids", b"9" * 5000),
    ("ids", b"0x" + b"f" * 5000),
    ("golden", b"ignore: ['" + b"*a" * 25 + b"*b']"),
    ("set", b"BMS_Pack.PackVoltage=" + b"9" * 5000),
    ("kcd", golden("fuzz/small.kcd", b'length="16"', b'length="1_000_000_000"')),
    ("kcd", golden("fuzz/small.kcd", b'length="16"', b'length="&#49;000000000"')),
]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "content"), REACHED, ids=[f"{name}-{i}" for i, (name, _) in enumerate(REACHED)])
def test_what_once_got_through_is_answered(name: str, content: bytes, tmp_path: Path) -> None:
    TARGETS[name].prepare(tmp_path)
    answers(TARGETS[name], content, tmp_path)


SIZES: list[tuple[str, bytes]] = [
    ("sym", golden("fuzz/small.sym", b"unsigned 16 -m", b"unsigned 99999 -m")),
    ("sym", golden("fuzz/small.sym", b"signed 8,16", b"signed\n8,\n99999")),
    ("sym", golden("fuzz/small.sym", b"Sig=Speed 8", b"Sig=Speed\n99999")),
    ("sym", golden("fuzz/small.sym", b"Mux=First 0,8", b"Mux=" + b"F" * 400 + b" 0,99999")),
    ("sym", golden("fuzz/small.sym", b"ID=101h", b"ID=000000101h -000002101h")),
    ("sym", golden("fuzz/small.sym", b"ID=101h", b"ID=0h -800h").replace(b"ID=18FF50E5h", b"ID=10000h -10801h")),
    ("kcd", golden("fuzz/small.kcd", b'length="16"', b'length="1000&#48;"')),
    ("kcd", golden("fuzz/small.kcd", b'length="16"', 'length="\u0661\u0660\u0660\u0660\u0660"'.encode())),
    ("arxml", golden("fuzz/small.arxml", b"<LENGTH>8<", b"<LENGTH>0xfffff<")),
    ("arxml", golden("fuzz/small.arxml", b"<LENGTH>8<", b"<LENGTH>1e6<")),
    ("arxml", golden("fuzz/small.arxml", b"<LENGTH>8<", b"<LENGTH x='1'>999999<")),
    ("arxml", golden("fuzz/small.arxml", b"<LENGTH>8<", b"<LENGTH>99<!-- -->9999<x/>1<")),
    ("arxml", golden("fuzz/small.arxml", b"<UNIT>", b"<X><VALUE>999999</VALUE><DEFINITION-REF>/a/ComBitSize"
                     b"</DEFINITION-REF></X><UNIT>")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content"), SIZES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(SIZES)])
def test_a_size_that_no_frame_has_is_refused_however_it_is_written(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no CAN frame has|too wide"):
        TARGETS[name].parse(content, tmp_path)


BINARY = [name for name in NAMES if TARGETS[name].binary or TARGETS[name].group == "database"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BINARY)
def test_a_declared_length_reserves_no_memory(
    name: str, prepared: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    target, seeds = TARGETS[name], seeds_of(name)
    folder = folder_of(target, prepared, tmp_path_factory)
    lengths = st.builds(Edit, st.sampled_from(["word", "number"]), st.floats(0, 1), st.integers(0, 255))
    with suppress(CellbenchError):
        target.parse(seeds[0], folder)

    @settings(max_examples=EXAMPLES[target.group], deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(seeds), st.lists(lengths, min_size=1, max_size=2))
    def hold(seed: bytes, damage: list[Edit]) -> None:
        tracemalloc.start()
        try:
            answers(target, edited(seed, b"", damage), folder)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < LARGEST

    hold()


def frames_of(log: Log) -> list[tuple[int, int, int, int, bytes]]:
    t = log.trace
    return [(int(t.t_ns[i]), int(t.id[i]), int(t.bits[i]), int(t.channel[i]), t.payload(i)) for i in range(len(t))]


def untimed(log: Log) -> list[tuple[int, int, bytes]]:
    """Without time and channel: where times go on from line to line, and interfaces are numbered, these may move."""
    return [(identifier, bits, payload) for _, identifier, bits, _, payload in frames_of(log)]


@cache
def lines_with_frames(form: str) -> list[tuple[bytes, list[int]]]:
    """Golden samples of a format with the lines that bear one frame each, found by damaging each line."""
    read, out = readers()[form], []
    for content in seeds_of(form):
        lines, whole = content.split(b"\n"), untimed(read(content, None))
        found = []
        for at in range(len(lines)):
            left = untimed(read(b"\n".join([*lines[:at], RUBBISH, *lines[at + 1 :]]), None))
            if len(left) == len(whole) - 1 and left == [*whole[: len(found)], *whole[len(found) + 1 :]]:
                found.append(at)
        if len(found) == len(whole) > 2:
            out.append((content, found))
    return out


RUBBISH = b"\x01 damaged \xfe here"
LINES = [form for form in (*TEXT_FORMATS, "candump") if lines_with_frames(form)]


def test_most_text_formats_are_under_the_law_of_lines() -> None:
    assert len(LINES) > 12


@pytest.mark.parametrize("form", LINES)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_lines_cost_their_own_frames_alone_and_are_counted(form: str, data: st.DataObject) -> None:
    content, places = data.draw(st.sampled_from(lines_with_frames(form)))
    hit = data.draw(st.sets(st.integers(0, len(places) - 1), min_size=1, max_size=len(places)))
    lines, read = content.split(b"\n"), readers()[form]
    whole = frames_of(read(content, None))
    for nth in hit:
        lines[places[nth]] = RUBBISH * data.draw(st.integers(1, 3))
    log = read(b"\n".join(lines), None)
    assert untimed(log) == [frame[1:3] + frame[4:] for nth, frame in enumerate(whole) if nth not in hit]
    assert log.unreadable == read(content, None).unreadable + len(hit)
    assert len(log.skipped) >= 1


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(fuzz_seeds.packed()[:2]), st.floats(0, 1), st.integers(1, 255), st.booleans())
def test_a_damaged_gzip_gives_what_lies_before_the_damage_and_says_so(
    content: bytes, place: float, flip: int, cut: bool
) -> None:
    at = 10 + int(place * (len(content) - 11))  # behind the header, without which it is no gzip file
    whole = frames_of(read_content(content))
    damaged = content[:at] if cut else content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
    try:
        log = read_content(damaged)
    except CellbenchError:
        assert at < 300  # too little for one line
        return
    found = frames_of(log)
    if len(found) < len(whole):
        assert log.unreadable
    if cut:
        assert found[:-1] == whole[: len(found) - 1]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2), DAMAGE)
def test_what_a_damaged_blf_lacks_is_counted(which: int, damage: list[Edit]) -> None:
    content = fuzz_seeds.blf()[which]
    sound = readers()["blf"](content, None)
    whole = frames_of(sound)
    kept = [edit for edit in damage if edit.how in ("flip", "nul", "over")]
    body = edited(content[144:], b"", kept)[: len(content) - 144]
    log = readers()["blf"](content[:144] + body, None)
    lost = [frame for frame in whole if frame not in frames_of(log)]
    if len(lost) > len(whole) - len(log.trace.id) or len(log.trace.id) >= len(whole):
        return  # a frame with a changed field is no lost one: these containers have no checksum
    other = "objects that are no frames"  # a damaged type makes a frame one of them, and the facts count it
    assert log.unreadable or log.facts.get(other) != sound.facts.get(other), f"{len(lost)} frames lost without a word"


def test_every_edit_changes_something() -> None:
    content = b"line 1 of 3\nline 2 of 3\nline 3 of 3\n"
    for how in EDITS:
        assert edited(content, b"other", [Edit(how, 0.4, 9, b"piece")]) != content, how


def test_every_parser_of_a_log_a_file_and_an_option_is_in_the_list() -> None:
    """A reader that takes a path or bytes, or an option's text, and is called by no target, is missing from the list."""
    called = re.findall(
        r"\b((?:parse|load|read|recover)_\w+|recover|scan)\b",
        Path(fuzz_seeds.ROOT, "tools/fuzz_targets.py").read_text(),
    )
    defined = {
        name
        for path in (fuzz_seeds.ROOT / "hil").rglob("*.py")
        for name in re.findall(
            r"^def ((?:parse|load|read)_\w+)\((?:path|text|texts|ids)\b", path.read_text(), re.MULTILINE
        )
    }
    inside = {
        "load_model",
        "load_text",
        "load_signals",
        "load_listener",
        "read_log",
    }  # by way of load_document, read_content, load_source, load_bench
    assert defined - set(called) - inside == set()


def test_edits_are_plain_data() -> None:
    assert astuple(Edit("flip", 0.5, 3)) == ("flip", 0.5, 3, b"")
