"""All text formats: what tells each, and who reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hil.logs import asc, console, tables, trc, vendor
from hil.logs.lines import Reader

Test = Callable[[str], object]


def _never(_: str) -> None:
    """No line has this mark."""


@dataclass(frozen=True, slots=True)
class TextFormat:
    """One text format: ``header`` matches lines only its files have, ``frame`` its lines with frames.

    ``weak``: its lines look so ordinary that most lines of a file must be of its shape.
    """

    name: str
    read: Reader
    header: Test
    frame: Test
    weak: bool = False


def _either(one: Test, other: Test) -> Test:
    return lambda line: one(line) or other(line)


def _table_header(line: str) -> object:
    return tables.columns_of(line)


def _trc() -> tuple[TextFormat, ...]:
    readers = trc.readers()
    versions = (
        TextFormat(f"trc-{v}", readers[f"trc-{v}"], trc.HEADERS[v].match, trc.SHAPES[v].match)
        for v in reversed(trc.VERSIONS)
    )
    return (*versions, TextFormat("pcan-text", trc.read_at_text, trc.AT_HEADER.match, trc.AT_SHAPE.match))


FORMATS = (
    TextFormat("asc", asc.read_asc, asc.HEADER.match, asc.SHAPE.match),
    *_trc(),
    TextFormat("busmaster", vendor.read_busmaster, vendor.BUSMASTER_HEADER.match, vendor.BUSMASTER.match),
    TextFormat("pp2can", vendor.read_pp2can, vendor.PP2CAN_HEADER.match, vendor.PP2CAN.match),
    TextFormat("microchip", vendor.read_microchip, vendor.MICROCHIP_HEADER.match, vendor.MICROCHIP.match),
    TextFormat("gvret", tables.read_gvret, tables.GVRET_HEADER.match, tables.GVRET.match),
    TextFormat("csv-python-can", tables.read_python_can_csv, tables.PYTHON_CAN_HEADER.match, tables.PYTHON_CAN.match),
    TextFormat("parserflags", tables.read_parserflags, tables.PARSERFLAGS_HEADER.match, tables.PARSERFLAGS.match),
    TextFormat("zlg", tables.read_zlg, tables.ZLG_HEADER.match, _never),
    TextFormat("crtd", console.read_crtd, console.CRTD_NOTE.match, console.CRTD.match),
    TextFormat("battery-emulator", console.read_battery_emulator, _never, console.PREFIXED.match),
    TextFormat("candump-console", console.read_candump_console, _never, console.TIMED.match),
    TextFormat(
        "candump-no-time",
        console.read_candump_untimed,
        _never,
        _either(console.UNTIMED.match, console.UNTIMED_LOG.match),
    ),
    TextFormat("charger-console", console.read_charger, console.CHARGER_HEADER.match, console.RECEIVED.match),
    TextFormat("table", tables.read_table, _table_header, _never),
    TextFormat("bare", console.read_bare, console.BARE_HEADER.match, console.BARE_SHAPE.match, weak=True),
)
TEXT_FORMATS: Mapping[str, Reader] = MappingProxyType({form.name: form.read for form in FORMATS})
