"""Received frames become reported quantities: values, times, refusals and the scan vector."""

import functools
from dataclasses import replace
from pathlib import Path

import cantools
import numpy as np
import pytest
from e2e import p01

from hil.codec import decode, mapping
from hil.errors import InputError
from hil.image import DTCS, table
from hil.kernel import zeros
from hil.tick import COLUMNS, FrameBits, Frames

MS = 1_000_000
DATA_IDS = {"BMS_State": 0x1100, "BMS_Pack": 0x1101, "BMS_Dtc": 0x1105, "BMS_Limits": 0x1110}


@functools.cache
def reference():
    return cantools.database.load_file("dbc/bench.dbc")


@functools.cache
def bench_bus():
    return mapping.load_bus("dbc/bench.quantities.yaml")


def encoded(name: str, counter: int = 0, **values: float) -> tuple[int, bytes]:
    """A frame made by cantools and the reference E2E library; what is not named is 0."""
    message = reference().get_message_by_name(name)
    mux = next((values[s.name] for s in message.signals if s.is_multiplexer), None)
    wanted = {
        s.name: values.get(s.name, 0) for s in message.signals if not s.multiplexer_ids or mux in s.multiplexer_ids
    }
    if name in DATA_IDS:
        wanted["Counter"] = counter
    data = bytearray(message.encode(wanted, scaling=False, strict=False))
    if name in DATA_IDS:
        p01.e2e_p01_protect(data, DATA_IDS[name], increment_counter=False)
    return message.frame_id, bytes(data)


class Receiver:
    """A decoder with its row."""

    def __init__(self, cells: int = 96, temps: int = 32, bus=None):
        bus = bus or bench_bus()
        self.table = table(cells, temps)
        self.p = decode.params(bus.db, bus.quantities, bus.e2e, self.table)
        self.s = zeros(decode.CodecState)
        self.row = np.full(COLUMNS, np.nan)
        self.counters: dict[str, int] = {}

    def tick(self, *frames: tuple[int, tuple[int, bytes]], bits: int = 0, t_ns: int | None = None) -> None:
        """Decode frames given as (end in ms, (identifier, data))."""
        rx = zeros(Frames)
        rx[0]["n"] = len(frames)
        for slot, (t_ms, (frame_id, data)) in zip(rx[0]["slot"], frames, strict=False):
            slot["t_ns"], slot["id"], slot["dlc"], slot["bits"] = round(t_ms * MS), frame_id, len(data), bits
            slot["payload"][: len(data)] = np.frombuffer(data, np.uint8)
        now_ns = round(max((t_ms for t_ms, _ in frames), default=0.0) * MS) if t_ns is None else t_ns
        decode.decode(self.s[0], self.p[0], now_ns, rx[0], self.row)

    def send(self, t_ms: float, name: str, **values: float) -> None:
        """One frame with the next counter."""
        counter = self.counters[name] = (self.counters.get(name, -1) + 1) % 15
        self.tick((t_ms, encoded(name, counter, **values)))

    def __getitem__(self, name: str) -> float:
        return float(self.row[self.table.find(name).start])

    def t(self, name: str) -> float:
        return float(self.row[self.table.find(name).time_start])

    def vector(self, name: str) -> np.ndarray:
        q = self.table.find(name)
        return self.row[q.start : q.start + q.count]


def test_nothing_is_known_before_the_first_frame():
    r = Receiver()
    r.tick()
    counted = [r.table.find(name) for name in ("reported.messages_silent", "reported.frames_bad")]
    known = np.flatnonzero(~np.isnan(r.row))
    assert sorted(known) == sorted(at for q in counted for at in (q.start, q.time_start))
    assert r["reported.frames_bad"] == 0


def test_pack_values_are_in_si_and_current_is_positive_in_discharge():
    r = Receiver()
    r.send(1, "BMS_Pack", PackCurrent=-1500, PackVoltage=31700, LinkVoltage=31650)
    assert r["reported.pack_current"] == pytest.approx(-30.0)  # -1500 * 0.02 A, charging
    assert r["reported.pack_voltage"] == pytest.approx(317.0)
    assert r["reported.link_voltage"] == pytest.approx(316.5)
    r.send(2, "BMS_Soc", Soc=6050)
    assert r["reported.soc"] == pytest.approx(0.605)
    r.send(3, "BMS_Isolation", IsolationResistance=350)
    assert r["reported.isolation"] == pytest.approx(350e3)
    r.send(4, "BMS_Limits", DischargeCurrentLimit=2000, ChargeCurrentLimit=1000)
    assert (r["reported.discharge_current_limit"], r["reported.charge_current_limit"]) == pytest.approx((200.0, 100.0))


def test_a_value_keeps_the_time_of_its_last_change_not_of_its_last_frame():
    r = Receiver()
    r.send(10.25, "BMS_State", State=1)
    r.send(20.25, "BMS_State", State=1)
    assert (r["reported.state"], r.t("reported.state")) == (1.0, pytest.approx(0.01025))
    r.send(30.25, "BMS_State", State=5)
    assert (r["reported.state"], r.t("reported.state")) == (5.0, pytest.approx(0.03025))
    assert r["reported.alive"] == 2
    assert r.t("reported.contactor_main_plus") == pytest.approx(0.01025)


def test_every_trouble_code_reaches_its_own_quantity():
    r = Receiver()
    for code in DTCS:
        r.send(1, "BMS_Dtc", **{f"Dtc_{code}": 1})
        assert [c for c in DTCS if r[f"reported.dtc_{c}"] == 1.0] == [code]


@pytest.mark.parametrize(("plus", "minus", "main"), [(0, 0, 0.0), (1, 1, 1.0), (1, 0, 2.0), (0, 1, 2.0)], ids=str)
def test_the_main_contactor_is_made_of_both_mains(plus, minus, main):
    r = Receiver()
    assert np.isnan(r["reported.contactor_main"])
    r.send(5, "BMS_State", ContactorMainPlus=plus, ContactorMainMinus=minus)
    assert (r["reported.contactor_main"], r.t("reported.contactor_main")) == (main, pytest.approx(0.005))


def test_the_main_contactor_changes_with_the_frame_that_completes_it():
    r = Receiver()
    r.send(10, "BMS_State", ContactorMainPlus=1, ContactorMainMinus=1)
    r.send(20, "BMS_State", ContactorMainPlus=0, ContactorMainMinus=1)
    assert (r["reported.contactor_main"], r.t("reported.contactor_main")) == (2.0, pytest.approx(0.02))
    r.send(30, "BMS_State")
    r.send(40, "BMS_State")
    assert (r["reported.contactor_main"], r.t("reported.contactor_main")) == (0.0, pytest.approx(0.03))


def test_frames_with_wrong_crc_or_standing_counter_are_counted_and_change_nothing():
    r = Receiver()
    r.tick((10, encoded("BMS_State", 0, State=3)))
    frame_id, data = encoded("BMS_State", 1, State=5)
    r.tick((20, (frame_id, bytes([data[0] ^ 1, *data[1:]]))))
    assert (r["reported.state"], r["reported.frames_bad"], r.t("reported.frames_bad")) == (3, 1, pytest.approx(0.02))
    r.tick((30, encoded("BMS_State", 0, State=5)))
    assert (r["reported.state"], r["reported.frames_bad"]) == (3, 2)
    r.tick((40, encoded("BMS_State", 1, State=5)))
    assert (r["reported.state"], r["reported.frames_bad"], r.t("reported.frames_bad")) == (5, 2, pytest.approx(0.03))


def test_a_counter_jump_is_refused_once_and_then_followed():
    r = Receiver()
    r.tick((10, encoded("BMS_State", 0, State=1)), (20, encoded("BMS_State", 7, State=2)))
    assert (r["reported.state"], r["reported.frames_bad"]) == (1, 1)
    r.tick((30, encoded("BMS_State", 8, State=3)))
    assert (r["reported.state"], r["reported.frames_bad"]) == (3, 1)


@pytest.mark.parametrize("bits", [FrameBits.LOST, FrameBits.ERROR, FrameBits.EXTENDED])
def test_lost_error_and_foreign_frames_are_passed_over(bits):
    r = Receiver()
    r.tick((1, encoded("BMS_State", 0, State=3)), bits=bits)
    assert np.isnan(r["reported.state"])
    assert r["reported.frames_bad"] == 0


def test_a_short_frame_is_refused_and_a_frame_of_no_known_message_is_passed_over():
    r = Receiver()
    r.tick((1, (0x111, b"\x10")), (2, (0x7FF, bytes(8))), (3, (0x0F0, bytes(2))))
    assert np.isnan(r["reported.soc"])
    assert r["reported.frames_bad"] == 1


def test_a_value_that_is_not_available_becomes_unknown_and_that_is_a_change():
    r = Receiver()
    r.send(10, "BMS_MinMax", CellVoltageMin=3300, CellVoltageMax=8191)
    assert r["reported.cell_voltage_min"] == pytest.approx(3.3)
    assert np.isnan(r["reported.cell_voltage_max"])
    assert r.t("reported.cell_voltage_max") == pytest.approx(0.01)
    r.send(20, "BMS_MinMax", CellVoltageMin=8191, CellVoltageMax=8191)
    assert np.isnan(r["reported.cell_voltage_min"])
    assert r.t("reported.cell_voltage_min") == pytest.approx(0.02)
    assert r.t("reported.cell_voltage_max") == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("unknown", "changes", "read"),
    [
        ((1 << 64) - 1, {}, [False, True]),
        ((1 << 64) - 2, {}, [False, False]),
        (-1, {"signed": True}, [False, True]),
        ((1 << 64) - 1, {"is_float": True, "signed": True}, [False, True]),  # the bit pattern of a NaN
    ],
)
def test_the_number_for_unknown_may_be_any_of_64_bits(unknown, changes, read):
    bus = bench_bus()
    pack, state = bus.db.pair("BMS_Pack.PackVoltage")
    wide = replace(
        state, name="W", start=0, length=64, big=False, factor=1.0, offset=0.0, **{"signed": False, **changes}
    )
    only = replace(pack, signals=(wide,), length=8)
    line = mapping.Line(only, wide, "reported.pack_voltage", None, 1.0, 0.0, unknown, 0, ())
    quantities = replace(bus.quantities, file=mapping.QuantityFile(dbc="", e2e=""), receive=(line,), scan=())
    plain = replace(bus, db=replace(bus.db, messages=(only,)), quantities=quantities, e2e=mapping.E2e(None, ()))
    receiver = Receiver(bus=plain)
    found = []
    for data in (bytes(8), b"\xff" * 8):
        receiver.tick((1, (pack.id, data)))
        found.append(bool(np.isnan(receiver["reported.pack_voltage"])))
    assert found == read


def test_temperatures_arrive_group_by_group():
    r = Receiver()
    r.send(1, "BMS_Temperatures", TempMux=6, Temperature_30=850, Temperature_31=2047)
    t = r.vector("reported.temperature")
    assert t[30] == pytest.approx(25.0)
    assert np.isnan(np.delete(t, 30)).all()
    r.tick((2, (0x130, bytes([9] * 8))))  # no such group
    assert np.isnan(np.delete(r.vector("reported.temperature"), 30)).all()


def scan_frames(counter: int, t0_ms: float, groups=range(24), step: int = 0):
    for place, group in enumerate(groups):
        values = {f"CellVoltage_{4 * group + i:03d}": 5000 + 4 * group + i + step for i in range(4)}
        yield t0_ms + place, encoded("BMS_Cells", CellMux=group, ScanCounter=counter, **values)


def test_a_scan_appears_when_its_last_group_has_arrived_with_the_instant_it_was_sampled():
    r = Receiver()
    frames = list(scan_frames(4, 100.0))
    r.tick(*frames[:23])
    assert np.isnan(r.vector("reported.cell_voltage")).all()
    assert np.isnan(r["reported.cell_scan"])
    r.tick(frames[23])
    np.testing.assert_allclose(r.vector("reported.cell_voltage"), (5000 + np.arange(96)) * 0.000625, rtol=1e-12)
    assert r.t("reported.cell_voltage") == pytest.approx(0.099)  # first frame ended at 100 ms, latency 1 ms
    assert (r["reported.cell_scan"], r.t("reported.cell_scan")) == (4.0, pytest.approx(0.123))


def test_groups_of_two_scans_never_mix():
    r = Receiver()
    r.tick(*scan_frames(1, 0.0))
    r.tick(*scan_frames(2, 100.0, range(1, 24), step=500))  # its first group was lost
    r.tick(*scan_frames(3, 200.0, range(12), step=900))
    np.testing.assert_allclose(r.vector("reported.cell_voltage"), (5000 + np.arange(96)) * 0.000625, rtol=1e-12)
    r.tick(*scan_frames(3, 212.0, range(12, 24), step=900))
    np.testing.assert_allclose(r.vector("reported.cell_voltage"), (5900 + np.arange(96)) * 0.000625, rtol=1e-12)
    assert r.t("reported.cell_voltage") == pytest.approx(0.199)


def test_a_scan_counter_that_stands_still_shows_in_its_own_time():
    r = Receiver()
    r.tick(*scan_frames(1, 0.0))
    r.tick(*scan_frames(1, 100.0, step=7))
    assert r.vector("reported.cell_voltage")[0] == pytest.approx(5007 * 0.000625)
    assert r.t("reported.cell_voltage") == pytest.approx(0.099)
    assert r.t("reported.cell_scan") == pytest.approx(0.023)


def test_a_cell_that_is_not_available_is_unknown_in_its_place_only():
    r = Receiver()
    frames = dict(scan_frames(1, 0.0))
    frames[3.0] = encoded("BMS_Cells", CellMux=3, ScanCounter=1, CellVoltage_013=8191)
    r.tick(*frames.items())
    assert list(np.flatnonzero(np.isnan(r.vector("reported.cell_voltage")))) == [13]


def test_a_pack_of_fewer_cells_waits_only_for_the_groups_that_carry_them():
    r = Receiver(cells=10, temps=3)
    r.tick(*scan_frames(1, 0.0, range(3)))
    np.testing.assert_allclose(r.vector("reported.cell_voltage"), (5000 + np.arange(10)) * 0.000625, rtol=1e-12)


def test_a_pack_of_more_cells_than_the_bus_carries_is_refused():
    bus = bench_bus()
    with pytest.raises(InputError, match=r"reported.cell_voltage\[96\] has no signal"):
        decode.params(bus.db, bus.quantities, bus.e2e, table(97, 32))


def test_only_the_reported_range_of_the_row_is_written():
    r = Receiver()
    r.row[:] = 12345.0
    every = [encoded(n, 0) for n in ("BMS_State", "BMS_Pack", "BMS_Dtc", "BMS_Limits", "BMS_Soc", "BMS_MinMax")]
    r.tick(*((1 + i, f) for i, f in enumerate(every)))
    r.tick(*scan_frames(1, 10.0))
    labels = r.table.labels()
    touched = {labels[i].split(".")[0] for i in np.flatnonzero(r.row[: r.table.columns] != 12345.0)}
    assert touched == {"reported"}
    assert (r.row[r.table.columns :] == 12345.0).all()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    for name in ("bench.dbc", "bench.e2e.yaml"):
        (tmp_path / name).write_text(Path("dbc", name).read_text())
    text = Path("dbc/bench.quantities.yaml").read_text()
    assert old in text
    path = tmp_path / "bench.quantities.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_scale_in_the_file_turns_a_current_of_the_other_sign(tmp_path):
    r = Receiver(bus=mapping.load_bus(changed(tmp_path, "pack_current, scale: 1}", "pack_current, scale: -1}")))
    r.send(1, "BMS_Pack", PackCurrent=500)
    assert r["reported.pack_current"] == pytest.approx(-10.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BMS_Soc.Soc:", "BMS_Soc.Sok:", r":\d+:3: no signal 'BMS_Soc.Sok'; did you mean 'BMS_Soc.Soc'"),
        ("reported.soc", "reported.socc", r":\d+:\d+: no quantity 'reported.socc'.*did you mean 'reported.soc'"),
        ("reported.soc", "truth.soc", "expected a quantity under reported"),
        ("  - BMS_Pack.ScanCounter\n", "", "BMS_Pack.ScanCounter: not handled"),
        ("  - BMS_Pack.ScanCounter\n", "  - BMS_Soc.Soc\n  - BMS_Pack.ScanCounter\n", "BMS_Soc.Soc: named 2 times"),
        ("  - BMS_Pack.ScanCounter\n", "  - BMS_Pac\n", r":\d+:5: no message 'BMS_Pac'.*did you mean 'BMS_Pack'"),
        ("  - BMS_Pack.ScanCounter\n", "  - BMS_Pack\n", "BMS_Pack.PackCurrent: named 2 times"),
        ("scale: 0.01", "scale: 0", "a scale of 0"),
        ("unknown: 2047", "unknown: 2048", "unknown 2048 does not fit"),
        ("quantity: reported.state}", "quantity: reported.contactor_precharge}", "value table"),
        ("reported.contactor_main:", "reported.state:", "its labels are not"),
        ("BMS_Cells.CellVoltage_*", "BMS_Cells.CelVoltage_*", "no such signal"),
        ("counter: BMS_Cells.ScanCounter", "counter: BMS_Pack.ScanCounter", "not in the message of the signals"),
        ("rule: all_or_partial", "rule: any", "all_or_partial"),
    ],
)
def test_a_wrong_quantities_file_is_refused_with_the_reason(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        Receiver(bus=mapping.load_bus(changed(tmp_path, old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("BMS_State:", "BMS_Stat:", "no message 'BMS_Stat'.*did you mean 'BMS_State'"),
        ("data_id: 0x1101", "data_id: 0x1100", "data id 0x1100 is also that of BMS_State"),
        (
            "counter: Counter, max_delta: 3, timeout: 50 ms}\n  BMS_P",
            "counter: State, max_delta: 3, timeout: 50 ms}\n  BMS_P",
            "expected bits 8 to 11",
        ),
        ("profile: 1A, data_id: 0x1100", "profile: 1C, data_id: 0x1100", "no profile '1C'"),
        (
            "crc: Crc, counter: Counter, max_delta: 3, timeout: 50 ms}\n  BMS_P",
            "crc: Ck, counter: Counter}\n  BMS_P",
            "no signal 'Ck'",
        ),
        ("polynomial: 0x1D", "polynomial: 0x2F", "29"),
    ],
)
def test_a_wrong_e2e_file_is_refused_with_the_reason(tmp_path, old, new, message):
    path = changed(tmp_path, "dbc: bench.dbc", "dbc: bench.dbc")
    text = Path("dbc/bench.e2e.yaml").read_text()
    assert old in text
    (tmp_path / "bench.e2e.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        mapping.load_bus(path)


def test_protected_messages_that_fall_silent_are_counted():
    r = Receiver()
    r.tick(t_ns=0)
    assert r["reported.messages_silent"] == len(DATA_IDS)  # never heard
    for name in DATA_IDS:
        r.send(10, name)
    assert (r["reported.messages_silent"], r.t("reported.messages_silent")) == (0, pytest.approx(0.01))
    r.tick(t_ns=60 * MS)
    assert r["reported.messages_silent"] == 0  # exactly as old as the timeout still counts
    r.tick(t_ns=61 * MS)
    assert (r["reported.messages_silent"], r.t("reported.messages_silent")) == (2, pytest.approx(0.061))
    r.tick(t_ns=700 * MS)
    assert r["reported.messages_silent"] == 4
    r.send(710, "BMS_State")
    assert r["reported.messages_silent"] == 3
