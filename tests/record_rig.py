"""Synthetic records written by the real sink: values that a reader can recompute without the code under test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hil.image import Table, table
from hil.kernel import zeros
from hil.records.writer import McapSink, Policy
from hil.tick import COLUMNS, Link

TICK_NS = 10_000_000
CELLS, TEMPS = 12, 4
UNKNOWN = 4  # the column that is unknown throughout
SHOWN = ("measured.pack_current", "reported.state", "shown.cell_voltage[3]")
IDENTITY: Mapping[str, Mapping[str, str]] = {"dut": {"level": "L0", "software": "1.2.3"}, "bench": {"name": "virtual"}}


def make_table() -> Table:
    return table(CELLS, TEMPS)


def value(tick: int, column: int) -> float:
    """What stands in a row: unique for tick and column, exact in float64; one column is unknown throughout."""
    return float("nan") if column == UNKNOWN else tick * 4096.0 + column


def row(tick: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    made = tick * 4096.0 + np.arange(COLUMNS, dtype=np.float64)
    made[UNKNOWN] = np.nan
    return made


def frame_ns(tick: int) -> int:
    return tick * TICK_NS - 1_234_567 + tick % 3


def fill_link(links: Any, tick: int) -> None:
    """One received frame with the tick number as payload, and one sent frame with a 29-bit identifier."""
    link = np.asarray(links)[0]
    rx, tx = link["rx"], link["tx"]
    rx["n"], tx["n"] = 1, 1
    rx["slot"]["t_ns"][0], rx["slot"]["id"][0], rx["slot"]["dlc"][0] = frame_ns(tick), 0x101, 8
    rx["slot"]["bits"][0], rx["slot"]["source"][0] = 0, 1
    rx["slot"]["payload"][0][:8] = np.frombuffer(tick.to_bytes(8, "little"), np.uint8)
    tx["slot"]["t_ns"][0], tx["slot"]["id"][0], tx["slot"]["dlc"][0] = tick * TICK_NS, 0x18FF50E5, 3
    tx["slot"]["bits"][0], tx["slot"]["source"][0] = 1, 0
    tx["slot"]["payload"][0][:3] = (1, 2, tick % 256)
    link["heard"]["rx"] = rx


def verdict(name: str = "OV-3", status: str = "PASS") -> dict[str, Any]:
    return {
        "id": name, "status": status, "time_s": 1.0, "margin": 0.05, "margin_unit": "s", "t0_s": 0.9, "t1_s": 0.95,
        "t2_s": 0.96, "t3_s": 0.97, "reason": "opened in time",
    }  # fmt: skip


def write(
    path: Path,
    ticks: int = 200,
    policy: Policy | None = None,
    events: Mapping[int, str] | None = None,
    close: bool = True,
) -> McapSink:
    """A record of ``ticks`` ticks, first at 1 tick; events are told after the tick they belong to."""
    layout = make_table()
    columns = [layout.labels().index(name) for name in SHOWN]
    sink = McapSink(path, layout, columns, policy or Policy(), {"scenario.yaml": "scenario: made up\n"}, IDENTITY)
    links = zeros(Link)
    for tick in range(1, ticks + 1):
        fill_link(links, tick)
        sink.put(tick * TICK_NS, row(tick), links)
        if events and tick in events:
            sink.event(tick * TICK_NS, "step", events[tick])
    if close:
        sink.verdicts(ticks * TICK_NS, [verdict()])
        sink.close()
    return sink
