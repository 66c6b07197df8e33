"""Text logs: each dialect read to the frame, recognised by content whatever is around it, and damage that stays local."""

import gzip

import pytest
from logs_text_samples import SAMPLES, Sample, frames_of

from hil.errors import InputError
from hil.logs.recognise import is_gzip, recognise
from hil.logs.text import FORMATS, TEXT_FORMATS

EACH = pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.file)


def read(content: bytes):
    return TEXT_FORMATS[recognise(content)](content, None)


@EACH
def test_a_golden_file_is_recognised_by_content_and_read_to_the_frame(sample: Sample) -> None:
    log = read(sample.content)
    assert log.format == sample.form
    assert frames_of(log.trace) == sample.frames
    assert log.trace.absolute == sample.absolute
    assert log.skipped == () and log.unreadable == 0


@EACH
def test_line_ends_byte_order_marks_and_wide_characters_change_nothing(sample: Sample) -> None:
    plain = sample.content.replace(b"\r", b"\n")
    text = plain.decode("latin-1")
    forms = {
        "crlf": plain.replace(b"\n", b"\r\n"),
        "cr": plain.replace(b"\n", b"\r"),
        "utf-8 mark": b"\xef\xbb\xbf" + plain,
        "utf-16": text.encode("utf-16"),
        "utf-16 without mark": text.encode("utf-16-le"),
        "utf-16 big": b"\xfe\xff" + text.encode("utf-16-be"),
        "blank lines": plain.replace(b"\n", b"\n\n"),
        "no last line end": plain.rstrip(b"\n"),
    }
    for how, content in forms.items():
        log = read(content)
        assert (how, log.format, frames_of(log.trace), log.unreadable) == (how, sample.form, sample.frames, 0)


@EACH
def test_a_banner_before_a_log_is_skipped_and_named_at_most(sample: Sample) -> None:
    banner = b"Recorded on the bench\n\nsecond line of prose, with a comma\n"
    log = read(banner + sample.content)
    assert log.format == sample.form
    assert frames_of(log.trace) == sample.frames
    assert log.unreadable <= 2


def test_every_format_has_a_golden_file() -> None:
    assert {sample.form for sample in SAMPLES} == {form.name for form in FORMATS} == set(TEXT_FORMATS)


def test_progress_ends_at_one_and_never_falls() -> None:
    shares: list[float] = []
    content = b"  can0  120   [1]  11\n" * 30_000
    log = TEXT_FORMATS["candump-no-time"](content, shares.append)
    assert len(log.trace) == 30_000
    assert len(shares) > 2 and shares[-1] == 1.0 and shares == sorted(shares)


def test_binary_logs_and_the_plain_candump_log_are_told_by_their_first_bytes() -> None:
    assert recognise(b"LOGG" + bytes(140)) == "blf"
    assert recognise(b"MDF     4.10") == recognise(b"UnFinMF 4.11") == "mf4"
    assert recognise(b"\x89MCAP0\r\n" + bytes(9)) == "mcap"
    assert recognise(b"(1436509052.249713) can0 123#AABB\n(1436509052.25) can1 18DAF110##1AABB\n") == "candump"
    assert recognise(b"(166.000000) vcan0 21A#\n") == "candump"


def test_a_gzip_file_is_recognised_by_what_is_inside() -> None:
    content = gzip.compress(SAMPLES[0].content)
    assert is_gzip(content) and not is_gzip(SAMPLES[0].content)
    assert recognise(content) == recognise(content[:200]) == "asc"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\0" * 4096, "only zeros"),
        (b"Dear all,\nplease find enclosed\n", "'Dear all,'"),
        (b'VERSION ""\n\nNS_ :\n\nBU_: A B\nBO_ 256 Status: 8 A\n', "a DBC database"),
        (bytes(range(256)) * 8, "looked for"),
        (b"\x1f\x8b\x08\0\0broken", "cannot be inflated"),
        (b"a;b;c;d\n1;2;3;4\n", "'a;b;c;d'"),
    ],
)
def test_what_is_no_log_is_refused_with_its_first_line_and_the_formats_looked_for(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        recognise(content, "thing.asc")
    assert "thing.asc" in str(refused.value)


def test_the_refusal_names_formats() -> None:
    with pytest.raises(InputError, match=r"asc, bare, battery-emulator, blf, .*trc-2.1"):
        recognise(b"nothing like it\n")


DAMAGE = [
    ("asc", b"   1.5 1  123  Rx   d 8 01 02 03\n", "3 data bytes given, 8 announced"),
    ("asc", b"   1.5 1  123  Rx   d 2 01 0G\n", "'0G' is no data byte"),
    ("asc", b"   1.5 1  2FFFFFFFx  Rx   d 1 01\n", "identifier above 29 bits"),
    ("asc", b"   1.5 1  Name  Rx   d 1 01\n", "a name without its identifier"),
    ("asc", b"   1.5 1  123  Rx   d 1 0\0\0\0\n", "3 NUL bytes"),
    ("trc-1.1", b"     9)      1349.2  Rx         0300  8  00 19 08\n", "3 data bytes given, 8 announced"),
    ("trc-2.1", b"      9      1336.543 XX 1      0100 Rx -  3    00 00 00\n", "frame type 'XX' is not known"),
    ("gvret", b"1000001,75A,FALSE,Rx,0,8,3,E8,3\n", "3 data bytes given, 8 announced"),
    ("gvret", b"1000001,7_A,FALSE,Rx,0,1,3\n", "is no identifier"),
    ("crtd", b"1632509059.8 1R11 FFF 00\n", "identifier above 11 bits"),
    ("battery-emulator", b"(146.1) RX0 191 [8] 01 02\n", "2 data bytes given, 8 announced"),
    ("busmaster", b"23:59:59:9995 Rx 1 0x21A s 8 FE 36\n", "2 data bytes given, 8 announced"),
    ("busmaster", b"25:59:59:9995 Rx 1 0x21A s 1 FE\n", "not a frame"),
    ("csv-python-can", b"1483389946.25,0x123,0,0,0,8,AQID\n", "3 data bytes given, 8 announced"),
    ("candump-console", b" (1436509052.25)  can0  123   [8]  11 22\n", "2 data bytes given, 8 announced"),
    ("parserflags", b"1\t0\t1\tRX\t48659509\t\t0x00000120\t4\t0x08 dc\tDefault Parser\t\n", "2 data bytes given"),
    ("pp2can", b">\t2\t   00:00:00.001:2.00\tSt\t0xAD\t0\t8\t7F\t \tp:1\n", "1 data bytes given, 8 announced"),
]


@pytest.mark.parametrize(("form", "line", "said"), DAMAGE)
def test_a_damaged_line_is_skipped_and_named_with_its_number_and_costs_no_other(
    form: str, line: bytes, said: str
) -> None:
    sample = next(s for s in SAMPLES if s.form == form)
    log = TEXT_FORMATS[form](sample.content + line + b"\n", None)
    assert frames_of(log.trace) == sample.frames
    assert log.unreadable == 1
    number = len(sample.content.splitlines()) + 1
    assert log.skipped[0].where == f"line {number}"
    assert said in log.skipped[0].what


def test_only_the_first_hundred_skips_are_kept_but_all_are_counted() -> None:
    log = TEXT_FORMATS["crtd"](b"1632509059.8 1R11 123 00\n" + b"rubbish\n" * 5000, None)
    assert len(log.trace) == 1
    assert len(log.skipped) == 100 and log.unreadable == 5000


def test_a_line_of_a_megabyte_is_skipped_in_no_time() -> None:
    content = b"(1.0) RX0 123 [1] 11\n" + b"(1.0) RX0 123 [8] " + b"1 " * 600_000 + b"\n(2.0) RX0 123 [1] 22\n"
    log = read(content)
    assert [f[3] for f in frames_of(log.trace)] == ["11", "22"]
    assert "a line of 1200018 characters" in log.skipped[0].what


def test_times_that_step_back_stay_as_in_the_file_and_are_told() -> None:
    log = read(b"(2.0) RX0 123 [1] 11\n(1.5) RX0 123 [1] 22\n(3.0) RX0 123 [1] 33\n")
    assert log.trace.t_ns.tolist() == [2_000_000_000, 1_500_000_000, 3_000_000_000]
    assert log.facts["backwards"] == "1"


def test_times_are_whole_nanoseconds_of_the_text_not_of_a_float() -> None:
    log = read(
        b"1632509059.123456789 1R11 123 00\n1632509059.1234567899 1R11 123 00\n1632509059.000000001 1R11 123 00\n"
    )
    assert log.trace.t_ns.tolist() == [1632509059123456789, 1632509059000000001]  # ten digits are no CRTD time
    assert log.unreadable == 1


def test_gvret_times_that_cannot_be_microseconds_are_taken_as_milliseconds() -> None:
    rows = b"".join(b"%d,75A,FALSE,0,8,3,E8,3,E8,64,64,38,39,\n" % t for t in range(13, 133, 3))
    log = read(b"Time Stamp,ID,Extended,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n" + rows)
    assert log.trace.t_ns[:2].tolist() == [13_000_000, 16_000_000]
    assert "taken as ms" in log.facts["times"]


@pytest.mark.parametrize("file", ["gvret.csv", "gvret-old.csv", "parserflags.log", "csv-python-can.csv"])
def test_a_table_that_lost_its_header_is_read_by_its_usual_columns(file: str) -> None:
    sample = next(s for s in SAMPLES if s.file == file)
    log = read(sample.content.split(b"\n", 1)[1])
    assert log.format == sample.form and frames_of(log.trace) == sample.frames


@pytest.mark.parametrize(
    "file", ["trc-1.0.trc", "trc-1.1.trc", "trc-1.2.trc", "trc-1.3.trc", "trc-2.0.trc", "trc-2.1.trc"]
)
def test_a_trc_file_that_lost_its_header_keeps_its_frames_and_loses_only_its_start(file: str) -> None:
    sample = next(s for s in SAMPLES if s.file == file)
    log = read(b"".join(line for line in sample.content.splitlines(True) if not line.startswith(b";")))
    assert log.format == sample.form and not log.trace.absolute
    moved = sample.frames[0][0] - int(log.trace.t_ns[0])
    assert tuple((t + moved, *rest) for t, *rest in frames_of(log.trace)) == sample.frames


@pytest.mark.parametrize(
    ("date", "iso"),
    [
        ("Sam Sep 30 15:06:13.191 2017", "2017-09-30T15:06:13.191000"),
        ("Sat Sep 30 10:06:13.191 PM 2017", "2017-09-30T22:06:13.191000"),
        ("Tue May 27 04:09:35.000 pm 2014", "2014-05-27T16:09:35.000000"),
        ("Thu Apr 28 12:44:52.480 am 2022", "2022-04-28T00:44:52.480000"),
        ("Die Mai 27 04:09:35 2014", "2014-05-27T04:09:35.000000"),
        ("Mit Okt 1 23:59:59.5 2025", "2025-10-01T23:59:59.500000"),
        ("Don Dez 31 00:00:00.000 2020", "2020-12-31T00:00:00.000000"),
        ("mar. mars 4 15:06:13 2025", "2025-03-04T15:06:13.000000"),
        ("27.5.2014 16:09:35", "2014-05-27T16:09:35.000000"),
    ],
)
def test_the_date_line_of_asc_is_read_in_the_languages_it_comes_in(date: str, iso: str) -> None:
    log = read(f"date {date}\nbase hex  timestamps absolute\n 1.0 1  123  Rx   d 1 68\n".encode("latin-1"))
    assert log.facts["start"] == f"{iso} (taken as UTC)"
    assert log.trace.absolute and len(log.trace) == 1


def test_a_date_that_cannot_be_read_is_told_and_leaves_times_from_zero() -> None:
    log = read(b"date Xyz Foo 99 25:06 2017\nbase hex  timestamps absolute\n 1.0 1  123  Rx   d 1 68\n")
    assert not log.trace.absolute and log.trace.t_ns.tolist() == [1_000_000_000]
    assert "not understood" in log.facts["start"]


def test_one_damaged_second_does_not_move_the_rest_of_a_log_whose_clock_wraps() -> None:
    def log_of(seconds: list[str]) -> list[int]:
        rows = "".join(f"{s},000000\t1\t00000004\t112\t1\t00\t00000000\t \t\r" for s in seconds)
        return (read(("@ TEXT @ 3 @ 64 @ 0 @ 9 @ 0 @ 0 @\r" + rows).encode()).trace.t_ns // 10**9).tolist()

    whole = ["57", "58", "59", "00", "01", "02"]
    assert log_of(whole) == [57, 58, 59, 60, 61, 62]
    assert log_of(["20", "20", "02", "20", "21"]) == [20, 20, 2, 20, 21]
    assert log_of(["20", "20", "50", "20", "21"]) == [20, 20, 50, 20, 21]


def test_a_damaged_interface_name_does_not_take_the_number_of_a_real_one() -> None:
    log = read(b"  cbn0  120   [1]  11\n" + b"  can0  120   [1]  11\n" * 3)
    assert log.trace.channel.tolist() == [1, 0, 0, 0]


def test_candump_interfaces_keep_their_numbers_and_never_share_one() -> None:
    log = read(b"  can0  120   [1]  11\n  can2  120   [1]  11\n  vcan0  120   [1]  11\n  can0  120   [1]  11\n")
    assert log.trace.channel.tolist() == [0, 2, 1, 0]
    assert log.facts["channels"] == "can0=0, can2=2, vcan0=1"
