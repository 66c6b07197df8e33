"""Golden samples of the text dialects (tests/golden/logs) and their frames, written out by hand."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hil.logs.trace import Trace

GOLDEN = Path(__file__).parents[1] / "golden" / "logs"
EXT, FD, BRS, ERR, TX, RTR, ESI = 1, 2, 4, 8, 32, 64, 128

Frame = tuple[int, int, int, str, int, int]  # ns, id, bits, payload as hex, channel, length


@dataclass(frozen=True)
class Sample:
    file: str
    form: str
    frames: tuple[Frame, ...]
    absolute: bool = False
    chained: bool = False  # the time of a frame depends on lines before it, or the header decides more than times

    @property
    def content(self) -> bytes:
        return (GOLDEN / self.file).read_bytes()


def at(text: str) -> int:
    """Epoch ns of an ISO second, independent of the code under test."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def frames_of(trace: Trace) -> tuple[Frame, ...]:
    return tuple(
        (
            int(trace.t_ns[i]),
            int(trace.id[i]),
            int(trace.bits[i]),
            trace.payload(i).hex(),
            int(trace.channel[i]),
            int(trace.dlc[i]),
        )
        for i in range(len(trace))
    )


_ASC = at("2025-03-04T15:06:13") + 191_000_000
_DEC = at("2014-05-27T16:09:35")
_V10 = at("2021-12-18T14:28:07") + 62_000_000
_TRC = at("2022-01-01T06:00:00")
_BUS = at("2024-12-31T00:00:00")
_DAY = 86_400_000_000_000
_LATE = 86_399_000_000_000  # 23:59:59

SAMPLES = (
    Sample(
        "asc.asc",
        "asc",
        (
            (_ASC + 1_000_125_000, 0x123, 0, "0102030405060708", 0, 8),
            (_ASC + 1_000_250_000, 0x18DAF110, EXT | TX, "aabbcc", 1, 3),
            (_ASC + 1_000_375_000, 0x200, 0, "0a0b", 0, 2),
            (_ASC + 1_000_500_000, 0x7F, 0, "1112131415161718", 0, 8),
            (_ASC + 2_500_000_000, 0x300, RTR, "", 0, 4),
            (_ASC + 2_510_000_000, 0x18FF0001, EXT | TX | RTR, "", 1, 0),
            (_ASC + 3_000_000_000, 0, ERR, "", 0, 0),
            (_ASC + 3_000_001_000, 0, ERR, "", 1, 0),
            (_ASC + 4_000_000_000, 0x321, FD | BRS, "000102030405060708090a0b", 0, 12),
            (_ASC + 4_100_000_000, 0x1C4D80A7, EXT | TX | FD | ESI, "1011121314151617", 1, 8),
            (_ASC + 4_200_000_000, 0x222, 0, "5aa5", 0, 2),
            (_ASC + 4_300_000_000, 0x50005, EXT | TX | RTR, "", 2, 5),
        ),
        absolute=True,
    ),
    Sample(
        "asc-dec.asc",
        "asc",
        (
            (_DEC + 500_000_000, 291, 0, "ff0011", 0, 3),
            (_DEC + 750_000_000, 418119424, EXT | TX, "09", 0, 1),
            (_DEC + 2_000_000_000, 0, ERR, "", 1, 0),
        ),
        absolute=True,
        chained=True,
    ),
    Sample(
        "trc-1.0.trc",
        "trc-1.0",
        (
            (_V10 + 1_841_000_000, 0x123, 0, "0001020304050607", 0, 8),
            (_V10 + 1_842_000_000, 0, ERR, "", 0, 0),
            (_V10 + 1_844_000_000, 0x18DAF110, EXT, "aabb", 0, 2),
            (_V10 + 1_845_000_000, 0x100, RTR, "", 0, 3),
        ),
        absolute=True,
    ),
    Sample(
        "trc-1.1.trc",
        "trc-1.1",
        (
            (_TRC + 7_600_000, 0x23, 0, "40", 0, 1),
            (_TRC + 17_800_000, 0x18DAF110, EXT | TX, "03e0000000000001", 0, 8),
            (_TRC + 1_349_200_000, 0, ERR, "", 0, 0),
            (_TRC + 1_352_700_000, 0x100, RTR, "", 0, 3),
        ),
        absolute=True,
    ),
    Sample(
        "trc-1.2.trc",
        "trc-1.2",
        (
            (_TRC + 1_059_900_000, 0x300, 0, "00000000040001", 0, 7),
            (_TRC + 1_298_945_000, 0x400, EXT | TX, "0002", 1, 2),
            (_TRC + 1_352_743_000, 0x100, RTR, "", 0, 3),
        ),
        absolute=True,
    ),
    Sample(
        "trc-1.3.trc",
        "trc-1.3",
        (
            (_TRC + 1_000_000, 0x243, 0, "00c7c80000000001", 0, 8),
            (_TRC + 10_001_000, 0x18FF0001, EXT | TX, "001f58", 1, 3),
            (_TRC + 1_349_222_000, 0, ERR, "", 0, 0),
            (_TRC + 1_352_743_000, 0x100, RTR, "", 0, 3),
        ),
        absolute=True,
    ),
    Sample(
        "trc-2.0.trc",
        "trc-2.0",
        (
            (_TRC + 1_059_900_000, 0x300, 0, "00000000040001", 0, 7),
            (_TRC + 1_334_416_000, 0x500, TX | FD, "0102030405060708090a0b0c", 0, 12),
            (_TRC + 1_334_522_000, 0, ERR, "", 0, 0),
            (_TRC + 1_335_156_000, 0x18EFC034, EXT | TX | FD | BRS, "0102030405060708", 0, 8),
            (_TRC + 1_336_543_000, 0x100, RTR, "", 0, 3),
        ),
        absolute=True,
    ),
    Sample(
        "trc-2.1.trc",
        "trc-2.1",
        (
            (_TRC + 1_059_900_000, 0x300, 0, "00000000040001", 0, 7),
            (_TRC + 1_334_416_000, 0x500, TX | FD | ESI, "0102030405060708090a0b0c", 1, 12),
            (_TRC + 1_334_222_000, 0, ERR, "", 0, 0),
            (_TRC + 1_335_156_000, 0x18EFC034, EXT | TX | FD | BRS | ESI, "0102030405060708", 0, 8),
            (_TRC + 1_336_543_000, 0x100, RTR, "", 0, 3),
        ),
        absolute=True,
    ),
    Sample(
        "trc-iso.trc",
        "trc-iso",
        (
            (at("2021-06-27T21:53:12") + 46_000_000, 0x23, 0, "40", 0, 1),
            (at("2021-06-27T21:53:12") + 48_123_000, 0x18DAF110, EXT | TX, "4142", 0, 2),
            (at("2021-06-28T00:00:00"), 0x24, 0, "", 0, 0),
        ),
        absolute=True,
    ),
    Sample(
        "pcan-text.trc",
        "pcan-text",
        (
            (59_641_405_000, 0x112, 0, "0020c10e01728900", 0, 8),
            (59_990_000_000, 0x2FF, 0, "0f00ffffffff", 1, 6),
            (60_010_000_000, 0x18FF0001, EXT, "0f01", 0, 2),
            (61_141_405_000, 0x112, 0, "", 0, 0),
        ),
        chained=True,
    ),
    Sample(
        "busmaster.log",
        "busmaster",
        (
            (_BUS + _LATE + 999_500_000, 0x21A, 0, "fe3612fe690507ad", 0, 8),
            (_BUS + _LATE + 999_600_000, 0x18DAF110, EXT | TX, "3700", 1, 2),
            (_BUS + _DAY + 1_000_000, 0x23, RTR, "", 0, 4),
        ),
        absolute=True,
        chained=True,
    ),
    Sample(
        "busmaster-dec.log",
        "busmaster",
        ((1_005_000_000, 538, 0, "fe36", 0, 2), (1_250_000_000, 0x21B, 0, "11", 1, 1)),
        chained=True,
    ),
    Sample(
        "microchip.txt",
        "microchip",
        (
            (20_000_000, 0x1A3, 0, "0102030405060708", 0, 8),
            (25_000_000, 0x18DAF110, EXT | TX, "aabb", 0, 2),
            (30_000_000, 0x7FF, 0, "11", 0, 1),
        ),
    ),
    Sample(
        "pp2can.log",
        "pp2can",
        (
            (_LATE + 303_000_000, 0x197, 0, "64e09ec0", 0, 4),
            (_LATE + 999_000_000, 0x18DAF110, EXT | TX, "ffffffffff7ff5ff", 1, 8),
            (_DAY + 1_000_000, 0xAD, 0, "7f", 0, 1),
        ),
        chained=True,
    ),
    Sample(
        "gvret.csv",
        "gvret",
        (
            (-1_000_500_000, 0x5C0, 0, "630000ffff102ed9", 0, 8),
            (-1_000_000_000, 0x18DAF110, EXT | TX, "010203", 1, 3),
            (1_000_001_000, 0x75A, 0, "03e803e864643839", 0, 8),
            (1_000_250_000, 0x75B, 0, "", 0, 0),
        ),
    ),
    Sample(
        "gvret-old.csv",
        "gvret",
        (
            (166_064_000_000, 0x21A, 0, "fe3612fe690507ad", 0, 8),
            (166_064_500_000, 0x27A, 0, "30300d8c091501", 2, 7),
        ),
    ),
    Sample(
        "csv-python-can.csv",
        "csv-python-can",
        (
            (1_483_389_946_197_000_000, 0xDADADA, EXT, "5b34322c20395d", 0, 7),
            (1_483_389_946_197_000_500, 0x123, 0, "010203", 0, 3),
            (1_483_389_946_250_000_000, 0x200, RTR, "", 0, 4),
            (1_483_389_947_000_000_000, 0, ERR, "", 0, 0),
        ),
        absolute=True,
    ),
    Sample(
        "parserflags.log",
        "parserflags",
        (
            (48_659_509_000_000, 0x120, 0, "08dc00dd", 0, 4),
            (48_659_511_000_000, 0x18DAF110, EXT | TX, "eec0c3ea00f7619b", 1, 8),
            (48_659_512_000_000, 0x5EC, 0, "00", 0, 1),
        ),
    ),
    Sample(
        "zlg.txt",
        "zlg",
        (
            (1_000_000_000, 0x123, 0, "0102030405060708", 0, 8),
            (1_000_100_000, 0x18DAF110, EXT | TX, "aabb", 0, 2),
            (1_000_200_000, 0x200, RTR, "", 0, 4),
        ),
        chained=True,
    ),
    Sample(
        "table.csv",
        "table",
        (
            (1_580_000_000_500_000_000, 0x123, 0, "0102030405060708", 1, 8),
            (1_580_000_000_500_250_000, 0x18DAF110, EXT | TX | FD | BRS, "000102030405060708090a0b", 1, 12),
            (1_580_000_001_000_000_000, 0x200, RTR, "", 2, 0),
        ),
        absolute=True,
        chained=True,
    ),
    Sample(
        "crtd.crtd",
        "crtd",
        (
            (1_632_509_059_541_604_000, 0x174, 0, "000000aa0f000001", 1, 8),
            (1_632_509_059_541_797_000, 0x18DAF110, EXT | TX, "ff0f", 0, 2),
            (1_632_509_059_800_000_000, 0x48C, 0, "", 0, 0),
        ),
        absolute=True,
    ),
    Sample(
        "battery-emulator.log",
        "battery-emulator",
        (
            (145_740_000_000, 0x1B00007B, EXT, "7b40010000000000", 0, 8),
            (145_751_000_000, 0x108, TX, "01af", 1, 2),
            (146_000_000_000, 0x191, 0, "", 0, 0),
        ),
    ),
    Sample(
        "candump-console.log",
        "candump-console",
        (
            (1_436_509_052_249_713_000, 0x123, 0, "1122334455667788", 0, 8),
            (1_436_509_052_249_813_000, 0x18DAF110, EXT, "010203", 1, 3),
            (1_436_509_052_250_000_000, 0x321, FD | BRS | ESI, "000102030405060708090a0b", 0, 12),
            (1_436_509_052_250_100_000, 0x200, TX | RTR, "", 0, 4),
            (1_436_509_052_250_200_000, 0x80, ERR, "0000000000000000", 0, 8),
        ),
        absolute=True,
    ),
    Sample(
        "candump-delta.log",
        "candump-console",
        (
            (0, 0x123, 0, "11", 0, 1),
            (10_000_000, 0x124, 0, "22", 0, 1),
            (10_250_000, 0x123, 0, "33", 0, 1),
            (20_250_000, 0x124, 0, "44", 0, 1),
            (20_500_000, 0x123, 0, "55", 0, 1),
        ),
        chained=True,
    ),
    Sample(
        "candump-no-time.txt",
        "candump-no-time",
        ((0, 0x120, 0, "0000049b", 0, 4), (0, 0x18DAF110, EXT, "000dad", 0, 3), (0, 0x1C2, 0, "5c", 1, 1)),
        chained=True,  # numbers of interfaces go by order
    ),
    Sample(
        "charger-console.txt",
        "charger-console",
        (
            (_LATE + 5_000_000, 0x404, 0, "066afffe00000001", 0, 8),
            (_DAY + 250_000_000, 0x505, 0, "0001", 0, 2),
        ),
        chained=True,
    ),
    Sample(
        "bare.txt",
        "bare",
        (
            (1_512_293_000_000, 0x5F1, 0, "a816650900000001", 0, 8),
            (1_512_377_000_000, 0x670, 0, "b079", 0, 2),
            (1_512_378_000_000, 0x18FF0001, EXT, "0c", 0, 1),
            (1_512_379_000_000, 0x51E, 0, "", 0, 0),
        ),
    ),
    Sample(
        "bare-minute.txt",
        "bare",
        ((59_750_000_000, 0xA2, 0, "1122", 0, 2), (60_250_000_000, 0x4000, EXT, "36", 0, 1)),
        chained=True,
    ),
)
