"""Every CAN database of the measurement folder is loaded, and says the same as cantools where cantools is right."""

import math
import re
from pathlib import Path
from typing import Any

import cantools
import pytest

from hil.codec import database
from hil.codec.nouns import Database, Signal
from hil.errors import InputError

pytestmark = pytest.mark.shared_data
SUFFIXES = {".dbc", ".kcd", ".sym", ".arxml"}
# the only files that may be refused, and why: all were made wrong on purpose, for the tests of a library
REFUSED = {
    "system-bad-root-tag-4.2.arxml": "the root element is not AUTOSAR",
    "system-dangling-reference-4.2.arxml": "a frame is referred to that does not exist",
    "system-illegal-namespace-4.2.arxml": "an XML namespace that is not one of AUTOSAR",
    "system-illegal-root-4.2.arxml": "the root element is not AUTOSAR",
    "system-illegal-version-4.2.2.1.0.arxml": "a version of AUTOSAR that does not exist",
    "system-missing-denominator-4.2.arxml": "a scale without denominator",
    "system-missing-factor-4.2.arxml": "a scale without factor",
}


def files(shared_data: Path) -> list[Path]:
    root = shared_data / "can"
    found = [p for p in sorted(root.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not found:
        pytest.skip(f"no CAN databases under {root}")
    return found


def test_every_database_is_loaded_and_every_refusal_has_its_reason(shared_data: Path) -> None:
    refused: set[str] = set()
    for path in files(shared_data):
        try:
            loaded = database.load(path)
        except InputError:
            refused.add(path.name)
            continue
        names = [m.name for m in loaded.messages]
        assert len(set(names)) == len(names), path
        for message in loaded.messages:
            assert len({s.name for s in message.signals}) == len(message.signals), (path, message.name)
            assert all(min(s.positions()) >= 0 and max(s.positions()) < 512 for s in message.signals), path
            assert all(s.mux_signal == "" or message.signal(s.mux_signal) is not None for s in message.signals)
        if path.suffix.lower() == ".dbc":
            assert all(note.line > 0 and note.path == str(path) for note in loaded.notes), path
    assert refused <= REFUSED.keys(), sorted(refused - REFUSED.keys())


def reference(path: Path) -> Any:
    """What cantools says, None when it refuses."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    text = text.replace("\r\n", "\n")
    try:
        return cantools.database.load_string(text, database_format=path.suffix[1:].lower(), strict=True)
    except Exception:  # noqa: BLE001  # its parsers raise many unrelated types
        return None


def of_cantools(read: Any) -> tuple[Any, ...]:
    conversion = getattr(read.conversion, "_conversion", read.conversion)
    whole = type(conversion).__name__ in ("IdentityConversion", "LinearIntegerConversion")
    whole = whole or isinstance(conversion.scale, int)  # then the product is computed in whole numbers all the same
    mux = read.multiplexer_signal if read.multiplexer_ids else None
    return (
        (read.name, read.start, read.length, read.byte_order == "big_endian", read.is_signed),
        (read.conversion.is_float, read.conversion.scale, read.conversion.offset),
        whole and not read.conversion.is_float,
        [v if v is None else float(v) for v in (read.minimum, read.maximum)],
        (read.unit or "", {k: str(v) for k, v in (read.choices or {}).items()}, read.comment or ""),
        (read.is_multiplexer, mux or "", sorted(read.multiplexer_ids) if mux else []),
    )


def ours(signal: Signal) -> tuple[Any, ...]:
    values = [v for low, high in signal.mux_ranges for v in range(low, high + 1)]
    return (
        (signal.name, signal.start, signal.length, signal.big, signal.signed),
        (signal.is_float, signal.factor, signal.offset),
        signal.exact,
        [signal.minimum, signal.maximum],
        (signal.unit, dict(signal.labels), signal.comment),
        (signal.selector, signal.mux_signal, values),
    )


def differences(loaded: Database, wanted: Any) -> list[str]:
    out = []
    for message, other in zip(loaded.messages, wanted.messages, strict=True):
        mine = (message.name, message.id, message.extended, message.length, message.senders, message.comment)
        told = (other.name, other.frame_id, other.is_extended_frame, other.length, tuple(other.senders))
        cycle_ns = (other.cycle_time or 0) * 1e6
        same = mine == (*told, other.comment or "") and math.isclose(message.cycle_ns or 0, cycle_ns)
        out += [] if same and message.send_type == (other.send_type or "") else [message.name]
        for a, b in zip(message.signals, other.signals, strict=True):
            out += [] if ours(a) == of_cantools(b) else [f"{message.name}.{a.name}"]
    return out


def test_where_nothing_had_to_be_repaired_every_field_is_that_of_cantools(shared_data: Path) -> None:
    compared = 0
    for path in files(shared_data):
        if path.suffix.lower() == ".arxml" or path.name in REFUSED:
            continue
        loaded, wanted = database.load(path), reference(path)
        if loaded.notes or wanted is None:
            continue
        assert differences(loaded, wanted) == [], path
        compared += 1
    assert compared > 90


def test_what_cantools_takes_only_after_a_repair_is_told_and_what_it_takes_strictly_loses_nothing(
    shared_data: Path,
) -> None:
    for path in files(shared_data):
        if path.name in REFUSED or path.suffix.lower() != ".dbc":
            continue
        loaded, wanted = database.load(path), reference(path)
        if wanted is None:
            assert loaded.notes, path
        else:
            assert [len(m.signals) for m in loaded.messages] == [len(m.signals) for m in wanted.messages], path


def test_no_signal_of_any_dbc_is_lost(shared_data: Path) -> None:
    for path in files(shared_data):
        if path.suffix.lower() != ".dbc":
            continue
        text = path.read_bytes().decode("cp1252", errors="replace")
        blocks = re.split(r"^(?=[ \t]*BO_ )", text, flags=re.MULTILINE)
        lines = [re.findall(r"^[ \t]*SG_ .*@[01][+-]", b, re.MULTILINE) for b in blocks if "VECTOR__INDEP" not in b]
        assert sum(len(m.signals) for m in database.load(path).messages) == sum(map(len, lines)), path


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("tesla_can.dbc", 783, "unused VAL_ of a signal that does not exist: UI_driverAssistRoadSign.UI_mapSpeedLimit"),
        ("mazda_2017.dbc", 273, "2017_5: not a name; now _2017_5"),
        ("psa_aee2010_r3.dbc", 165, "STEERING_ALT.0_COUNTER: not a name; now _0_COUNTER"),
        ("hyundai_can.dbc", 1656, "FCEV_ACCELERATOR: a comment without a signal; taken as the message's"),
        ("chrysler_cusw.dbc", 182, "BSM_LEFT: the identifier has more than 11 bits but not bit 31; taken as extended"),
        ("toyota_2017_ref_pt.dbc", 387, "BDB1F01_14: the identifier has more than 29 bits; the lower 29 are taken"),
        ("ThinkCity_modified6.dbc", 1591, "EDL_History_Fault_Data.00_Bus_Voltage_AD_Fault: not a name"),
        (
            "issue_199_extended.dbc",
            45,
            "DriverDoorStatus: the identifier has more than 29 bits; the lower 29 are taken",
        ),
        ("overlapping-signals.dbc", 32, "foxBMS_State.foxBMS_AuxiliaryFuseBlown: overlaps foxBMS_Error_Insulation"),
        ("bad_message_length.dbc", 40, "Message1.Signal1: lies outside its message of 1 bytes"),
        ("issue_138.sym", 25, "M: a multiplexer of 0 bits; left out, its signals are always there"),
        ("jopp-5.0.sym", 1, "version 5 of the format; read as version 6"),
    ],
)
def test_the_known_faults_of_real_files_are_told_at_their_lines(
    shared_data: Path, name: str, line: int, told: str
) -> None:
    path = next((p for p in files(shared_data) if p.name == name), None)
    if path is None:
        pytest.skip(f"{name} is not in the measurement folder")
    notes = database.load(path).notes
    assert any(note.line == line and note.message.startswith(told) for note in notes), [str(n) for n in notes]


def test_a_version_5_sym_says_the_same_as_the_dbc_of_the_same_bus(shared_data: Path) -> None:
    folder = shared_data / "can" / "dbc" / "foxbms"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    old, dbc = (database.load(folder / f"overlapping-signals.{kind}").messages[0] for kind in ("sym", "dbc"))
    assert {(s.name, s.start, s.length, s.big) for s in old.signals} >= {
        (s.name, s.start, s.length, s.big) for s in dbc.signals if s.length > 1
    }
