"""Laws of the text readers: damage stays local, nothing but InputError comes out, what is written is read back."""

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from logs_text_samples import ERR, EXT, RTR, SAMPLES, TX, Frame, Sample, frames_of

from hil.errors import InputError
from hil.logs.log import Log
from hil.logs.recognise import recognise
from hil.logs.text import FORMATS, TEXT_FORMATS

LONE = [sample for sample in SAMPLES if not sample.chained]
NOISE = st.binary(min_size=1, max_size=6).map(lambda b: b.replace(b"\n", b"x").replace(b"\r", b"x"))


def lines_of(sample: Sample) -> list[bytes]:
    return sample.content.replace(b"\r", b"\n").split(b"\n")


def frame_lines(sample: Sample) -> list[int]:
    """Which lines carry the frames, found by taking each away: the k-th frame's line is the k-th of the result."""
    lines, found = lines_of(sample), []
    for at in range(len(lines)):
        left = TEXT_FORMATS[sample.form](b"\n".join(lines[:at] + lines[at + 1 :]), None)
        if len(left.trace) == len(sample.frames) - 1:
            found.append(at)
    assert len(found) == len(sample.frames)
    return found


PLACES = {sample.file: frame_lines(sample) for sample in LONE}


def damaged(line: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, len(line)))
    noise = data.draw(NOISE)
    how = data.draw(st.sampled_from(["over", "in", "cut", "out", "zeros"]))
    if how == "over":
        return line[:at] + noise + line[at + len(noise) :]
    if how == "in":
        return line[:at] + noise + line[at:]
    if how == "cut":
        return line[:at]
    if how == "out":
        return line[:at] + line[at + len(noise) :]
    return line[:at] + bytes(len(line) - at)


@settings(max_examples=300)
@given(st.sampled_from(LONE), st.data())
def test_damage_to_one_line_costs_at_most_the_frame_of_that_line(sample: Sample, data: st.DataObject) -> None:
    nth = data.draw(st.integers(0, len(sample.frames) - 1))
    lines = lines_of(sample)
    lines[PLACES[sample.file][nth]] = damaged(lines[PLACES[sample.file][nth]], data)
    log = TEXT_FORMATS[sample.form](b"\n".join(lines), None)
    frames = frames_of(log.trace)
    others = sample.frames[:nth] + sample.frames[nth + 1 :]
    assert len(frames) in (len(sample.frames), len(sample.frames) - 1)
    left = frames[:nth] + frames[nth + 1 :] if len(frames) == len(sample.frames) else frames
    assert left == others


@settings(max_examples=200)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_file_is_recognised_as_what_it_was_or_refused_and_read_without_an_exception(
    sample: Sample, data: st.DataObject
) -> None:
    content = sample.content
    for _ in range(data.draw(st.integers(1, 4))):
        content = damaged(content, data) if data.draw(st.booleans()) else damaged(content[::-1], data)[::-1]
    try:
        form = recognise(content, sample.file)
    except InputError:
        return
    if form in TEXT_FORMATS:
        sane(TEXT_FORMATS[form](content, None))


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_any_bytes_at_all_are_read_by_every_reader_without_an_exception(content: bytes) -> None:
    for form in FORMATS:
        sane(form.read(content, None))
    with suppress(InputError):
        recognise(content)


def test_every_reader_takes_every_sample_without_an_exception() -> None:
    for form in FORMATS:
        for sample in SAMPLES:
            sane(form.read(sample.content, None))


def sane(log: Log) -> None:
    trace = log.trace
    assert log.unreadable >= len(log.skipped)
    assert len(trace.id) == len(trace.bits) == len(trace.dlc) == len(trace.channel) == len(trace)
    if len(trace):
        assert trace.id.min() >= 0 and trace.id.max() <= 0x1FFFFFFF and trace.dlc.max() <= 64
        assert not ((trace.id > 0x7FF) & (trace.bits & EXT == 0)).any()


HARD = [
    " ",
    "1",
    "0 ",
    "1.1 ",
    "00 1 ",
    "1 2 3 R ",
    "(1) ",
    "A:",
    ";",
    "\t",
    ",",
    "1,",
    "- ",
    "\xff",
    "2021-01-01 ",
    "x 12 [8] ",
    "1)",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", HARD)
def test_a_long_line_of_anything_takes_no_long_time(piece: str) -> None:
    line = (piece * 4096)[:4090]
    content = "\n".join(
        [line, f"1.0 {line}"[:4090], f"(1.0) can0 {line}"[:4090], f"1.0 1 123 Rx d 8 {line}"[:4090]]
    ).encode("latin-1")
    for form in FORMATS:
        form.read(content, None)
    with suppress(InputError):
        recognise(content)


IDS = st.one_of(st.integers(0, 0x7FF).map(lambda i: (i, 0)), st.integers(0, 0x1FFFFFFF).map(lambda i: (i, EXT)))


@st.composite
def frames(draw: st.DrawFn, step_ns: int, least: int = 0) -> list[Frame]:
    made: list[Frame] = []
    for _ in range(draw(st.integers(1, 12))):
        identifier, bits = draw(IDS)
        payload = draw(st.binary(max_size=8))
        t_ns = draw(st.integers(least // step_ns, 4 * 10**18 // step_ns)) * step_ns
        made.append(
            (
                t_ns,
                identifier,
                bits | draw(st.sampled_from([0, TX])),
                payload.hex(),
                draw(st.integers(0, 8)),
                len(payload),
            )
        )
    return made


def spaced(payload: str) -> str:
    return bytes.fromhex(payload).hex(" ").upper()


def crtd(f: Frame) -> str:
    word = f"{f[4] + 1}{'T' if f[2] & TX else 'R'}{29 if f[2] & EXT else 11}"
    return f"{f[0] // 10**9}.{f[0] % 10**9:09d} {word} {f[1]:X} {spaced(f[3])}"


def prefixed(f: Frame) -> str:
    name = f"{f[1]:08X}" if f[2] & EXT else f"{f[1]:03X}"
    return f"({f[0] // 10**9}.{f[0] % 10**9:09d}) {'TX' if f[2] & TX else 'RX'}{f[4]} {name} [{f[5]}] {spaced(f[3])}"


def gvret(f: Frame) -> str:
    data = ",".join(f"{b:X}" for b in bytes.fromhex(f[3]))
    return f"{f[0] // 1000},{f[1]:08X},{'true' if f[2] & EXT else 'false'},{'Tx' if f[2] & TX else 'Rx'},{f[4]},{f[5]},{data}"


def asc(f: Frame) -> str:
    name = f"{f[1]:X}{'x' if f[2] & EXT else ''}"
    return f"{f[0] // 10**9}.{f[0] % 10**9 // 1000:06d} {f[4] + 1}  {name:15} {'Tx' if f[2] & TX else 'Rx'}   d {f[5]} {spaced(f[3])}"


def trc(f: Frame) -> str:
    name = f"{f[1]:08X}" if f[2] & EXT else f"{f[1]:04X}"
    time = f"{f[0] // 10**6}.{f[0] % 10**6 // 1000:03d}"
    return f"  1 {time:>13} DT {f[4] + 1} {name:>8} {'Tx' if f[2] & TX else 'Rx'} -  {f[5]}    {spaced(f[3])}"


WRITERS = {
    "crtd": ("", crtd, 1),
    "battery-emulator": ("", prefixed, 1),
    "gvret": ("Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n", gvret, 1000),
    "asc": ("base hex  timestamps absolute\n", asc, 1000),
    "trc-2.1": (";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n", trc, 1000),
}


@pytest.mark.parametrize("form", WRITERS)
@given(data=st.data())
def test_what_is_written_in_a_dialect_is_read_back_to_the_nanosecond(form: str, data: st.DataObject) -> None:
    header, line, step_ns = WRITERS[form]
    # whole seconds of up to ten digits; median steps of real frames, so that us stay us
    written = data.draw(frames(step_ns))
    assume(form != "gvret" or len(written) < 8)
    content = (header + "\n".join(line(frame) for frame in written) + "\n").encode()
    assert recognise(content) == form
    log = TEXT_FORMATS[form](content, None)
    assert log.unreadable == 0
    assert list(frames_of(log.trace)) == written


@given(
    st.lists(
        st.tuples(st.integers(0, 10**15), IDS, st.sampled_from([0, ERR, RTR]), st.binary(max_size=8)),
        min_size=1,
        max_size=9,
    )
)
def test_the_csv_of_python_can_is_read_back(rows: list[tuple[int, tuple[int, int], int, bytes]]) -> None:
    lines, expected = ["timestamp,arbitration_id,extended,remote,error,dlc,data"], []
    for us, (identifier, extended), kind, payload in rows:
        data = b"" if kind else payload
        flags = f"{int(extended == EXT)},{int(kind == RTR)},{int(kind == ERR)}"
        lines.append(f"{us // 10**6}.{us % 10**6:06d},{identifier:#x},{flags},{len(data)},{b64encode(data).decode()}")
        expected.append(
            (us * 1000, identifier, extended | kind | (EXT if identifier > 0x7FF else 0), data.hex(), 0, len(data))
        )
    content = "\n".join(lines).encode()
    log = TEXT_FORMATS[recognise(content)](content, None)
    assert list(frames_of(log.trace)) == expected
