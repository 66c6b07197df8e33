"""Compare: every difference is between two values of one instant, found in hand-built histories."""

import numpy as np
import pytest

from hil import compare
from hil.image import table
from hil.tick import COLUMNS

NAN = float("nan")
MS = 1_000_000
CELLS = 3


class Rows:
    """A row that persists from tick to tick, as in the engine: ``shown`` is written after the stage has run."""

    def __init__(self, cells: int = CELLS, dt_ms: int = 10) -> None:
        self.table = table(cells, 1)
        self.p, self.s = np.asarray(compare.params(self.table))[0], np.asarray(compare.state())[0]
        self.row, self.k, self.dt_ns = np.full(COLUMNS, NAN), -1, dt_ms * MS

    def at(self, name: str) -> np.ndarray:
        found = self.table.find(name)
        assert found is not None
        return self.row[found.start : found.start + found.count]

    def tick(self, measured: object, shown: object = NAN, twin: object = NAN) -> None:
        self.k += 1
        self.at("measured.cell_voltage")[:] = measured
        self.at("twin.cell_voltage")[:] = twin
        compare.step(self.s, self.p, self.k * self.dt_ns, self.row)
        self.at("shown.cell_voltage")[:] = shown

    def scan(self, volts: object, tau_ms: float) -> None:
        """A scan arrives; it is in the row that the next tick sees."""
        found = self.table.find("reported.cell_voltage")
        assert found is not None
        self.at("reported.cell_voltage")[:] = volts
        self.row[found.time_start] = tau_ms * 1e-3


def test_what_was_measured_is_compared_with_what_was_shown_one_row_before() -> None:
    r = Rows()
    r.tick(NAN, shown=3.0)
    r.tick([3.0, 3.001, 2.998], shown=3.9)
    assert r.at("residual.bench") == pytest.approx([0.0, 0.001, -0.002])
    assert r.at("residual.bench_max")[0] == pytest.approx(0.002)
    r.tick(3.9, shown=3.0)
    assert r.at("residual.bench") == pytest.approx([0.0] * 3, abs=1e-12), "a jump of 0.9 V leaves nothing behind"


def test_what_was_measured_is_compared_with_the_prediction_of_the_same_row() -> None:
    r = Rows()
    r.tick([3.30, 3.31, 3.25], twin=3.30)
    assert r.at("residual.cell") == pytest.approx([0.0, 0.01, -0.05])
    assert r.at("residual.cell_max")[0] == pytest.approx(0.05)


@pytest.mark.parametrize(("tau_ms", "row"), [(0.0, 0), (0.001, 1), (10.0, 1), (10.000001, 2), (27.5, 3), (50.0, 5)])
def test_a_scan_belongs_to_the_first_row_at_or_after_its_instant(tau_ms: float, row: int) -> None:
    r = Rows()
    for k in range(5):
        r.tick(3.0 + 0.1 * k)
    r.scan(3.0 + 0.1 * row + 0.004, tau_ms)
    r.tick(3.5)
    assert r.at("residual.bms") == pytest.approx([0.004] * 3, abs=1e-9)
    assert r.at("residual.bms_max")[0] == pytest.approx(0.004, abs=1e-9)


def test_the_bms_residual_stands_until_the_next_scan() -> None:
    r = Rows()
    r.tick(3.0)
    r.scan(3.01, 0.0)
    r.tick(3.0)
    r.tick(3.7)
    assert r.at("residual.bms") == pytest.approx([0.01] * 3)
    r.scan(3.70, 15.0)
    r.tick(3.9)
    assert r.at("residual.bms") == pytest.approx([0.0] * 3, abs=1e-12)


def test_the_same_voltages_in_a_newer_scan_are_compared_anew() -> None:
    r = Rows()
    r.tick(3.0)
    r.scan(3.0, 0.0)
    r.tick(3.2)
    r.scan(3.0, 10.0)
    r.tick(3.2)
    assert r.at("residual.bms") == pytest.approx([-0.2] * 3)


def test_before_the_first_scan_the_bms_residual_is_unknown() -> None:
    r = Rows()
    r.tick(3.0, shown=3.0, twin=3.0)
    assert np.isnan(r.at("residual.bms")).all()
    assert np.isnan(r.at("residual.bms_max")[0])


def test_a_scan_from_the_future_waits_for_its_row() -> None:
    r = Rows()
    r.tick(3.0)
    r.scan(3.1, 20.0)
    r.tick(3.0)
    assert np.isnan(r.at("residual.bms")).all()
    r.tick(3.05)
    assert r.at("residual.bms") == pytest.approx([0.05] * 3)


def test_unknown_parts_make_unknown_differences_and_the_largest_is_over_the_known_ones() -> None:
    r = Rows()
    r.tick(NAN, shown=[3.0, NAN, 3.0])
    r.tick([3.0, 3.0, NAN], twin=[NAN, 2.5, 3.0])
    assert np.isnan(r.at("residual.bench")).tolist() == [False, True, True]
    assert r.at("residual.bench_max")[0] == 0.0
    assert np.isnan(r.at("residual.cell")).tolist() == [True, False, True]
    assert r.at("residual.cell_max")[0] == pytest.approx(0.5)
    r.scan([NAN, 3.2, 3.2], 10.0)
    r.tick(NAN)
    assert np.isnan(r.at("residual.bms")).tolist() == [True, False, True]
    assert np.isnan(r.at("residual.bench_max")[0])
    assert np.isnan(r.at("residual.cell_max")[0])


@pytest.mark.parametrize("cells", [3, 96, 192])
def test_the_ring_finds_every_row_it_holds_and_says_unknown_beyond(cells: int) -> None:
    depth = min(compare.ROWS, compare.VALUES // cells)
    last = 2 * depth + 3  # the row in which each scan below arrives
    for place, known in ((last, True), (last - 1, True), (last - depth + 1, True), (last - depth, False)):
        r = Rows(cells)
        for k in range(last):
            r.tick(1.0 + k)
        r.scan(0.0, 10.0 * place)
        r.tick(1.0 + last)
        if known:
            assert r.at("residual.bms") == pytest.approx([-(1.0 + place)] * cells)
        else:
            assert np.isnan(r.at("residual.bms")).all()
            assert np.isnan(r.at("residual.bms_max")[0])


def test_a_millisecond_tick_still_reaches_over_a_whole_scan() -> None:
    r = Rows(96, dt_ms=1)
    for k in range(150):
        r.tick(3.0 + 0.001 * k)
    r.scan(3.0, 20.0)
    r.tick(3.0)
    assert r.at("residual.bms") == pytest.approx([-0.02] * 96)


def test_only_the_stages_own_range_of_the_row_is_written() -> None:
    r = Rows()
    r.tick(3.0, shown=3.0, twin=3.1)
    r.scan(3.0, 0.0)
    before = r.row.copy()
    r.at("shown.cell_voltage")[:] = 3.0
    compare.step(r.s, r.p, 10 * MS, r.row)
    changed = np.flatnonzero(~((r.row == before) | (np.isnan(r.row) & np.isnan(before))))
    names = {r.table.labels()[c].split("[")[0] for c in changed}
    assert names == {"residual.bench", "residual.bench_max", "residual.bms", "residual.bms_max"}


def test_the_ring_walks_any_history_as_a_plain_list_would() -> None:
    rng = np.random.default_rng(3)
    r, history, stood = Rows(), [], np.full(3, NAN)
    for k in range(400):
        v = rng.normal(3.3, 0.1, 3)
        history.append((k * r.dt_ns, v))
        if rng.random() < 0.2:
            tau_ns = int(rng.integers(max(0, k - 30) * r.dt_ns, k * r.dt_ns + 1))
            scan = rng.normal(3.3, 0.1, 3)
            stood = scan - next(m for t, m in history if t >= tau_ns)
            r.scan(scan, tau_ns * 1e-6)
        r.tick(v)
        assert np.array_equal(r.at("residual.bms"), stood, equal_nan=True)
