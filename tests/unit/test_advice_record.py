"""The condition out of a record: what the twin estimated, and what it did not."""

import math
from pathlib import Path

import numpy as np
import pytest

from hil.analysis.advice.condition import TWIN, condition_of, known_fields
from hil.analysis.advice.rules import RULES, advise
from hil.image import Quantity, Table
from hil.records.reader import Record, read
from tests.record_rig import write

GROUPS = 6


def make_record(values: dict[str, np.ndarray], checked: str = "", labels: tuple[str, ...] = ()) -> Record:
    """A record whose row holds these quantities alone, each (rows, count); ``checked`` is kept at every tick too."""
    quantities, columns, start = [], [], 0
    for name, rows in values.items():
        quantities.append(
            Quantity(name, "1", "", rows.shape[1], start, -1, 0, labels if name == "twin.warning" else (), True)
        )
        columns.append(rows)
        start += rows.shape[1]
    rows = np.hstack(columns) if columns else np.empty((2, 0))
    table = Table(tuple(quantities), start, start, GROUPS, 1)
    times = np.arange(len(rows)) * 10_000_000
    at = [q.start for q in quantities if q.name == checked]
    checks = np.vstack([rows[:, at], np.full((1, len(at)), 2.0)]) if at else np.empty((0, 0))
    frames = np.empty(0, np.dtype([("bits", "i8")]))
    return Record(Path("made.mcap"), table, at, times, rows, np.arange(len(checks)), checks, frames)


def test_the_last_known_value_counts_and_of_warnings_all_that_ever_came() -> None:
    capacity = np.array([[0.9] * GROUPS, [0.8] * GROUPS, [math.nan] * GROUPS])
    capacity[1, 2] = math.nan
    warning = np.zeros((3, GROUPS))
    warning[0, 4], warning[1, 4] = 8.0, 4.0  # heat first, a leak later: heat still counts
    warning[2, 5] = 3.0  # departure and mean difference: a suspicion
    made = condition_of(make_record({"twin.soh_capacity": capacity, "twin.cell_warning": warning}))
    assert made.soh_capacity is not None
    assert made.soh_capacity.tolist() == [0.8, 0.8, 0.9, 0.8, 0.8, 0.8]
    assert made.warning is not None
    assert made.warning.tolist() == [0.0, 0.0, 0.0, 0.0, 2.0, 1.0]
    assert (made.name, made.n) == ("made.mcap", GROUPS)


STATES = ("NONE", "DIFFERENCE", "LEAK", "DEPARTURE", "HEAT", "GAS", "RUNAWAY")


@pytest.mark.parametrize(
    ("state", "level"), [("NONE", 0.0), ("LEAK", 1.0), ("DEPARTURE", 1.0), ("GAS", 2.0), ("RUNAWAY", 2.0)]
)
def test_the_warning_of_the_pack_counts_by_the_name_of_its_state(state: str, level: float) -> None:
    values = {
        "twin.cell_soc": np.full((2, GROUPS), 0.5),
        "twin.warning": np.array([[float(STATES.index(state))], [0.0]]),
    }
    alone = condition_of(make_record(values, labels=STATES))
    assert (alone.pack_warning, alone.warning) == (level, None)
    acting = [a.rule for a in advise(alone)[0] if a.rule in ("alarm", "short")]
    assert acting == [[], ["short"], ["alarm", "short"]][int(level)]
    named = condition_of(make_record({**values, "twin.warning_cell": np.array([[3.0], [3.0]])}, labels=STATES))
    if level:
        assert named.warning is not None
        assert named.warning.tolist() == [0.0, 0.0, 0.0, level, 0.0, 0.0]
        assert named.pack_warning is None


def test_a_warning_seen_between_the_rows_kept_is_not_missed() -> None:
    made = condition_of(make_record({"twin.warning": np.zeros((3, 1))}, checked="twin.warning"))
    assert made.pack_warning == 1.0  # a state without a name is a suspicion


def test_a_leak_clear_of_its_doubt_is_a_short_and_any_other_is_none() -> None:
    leak = np.array([[0.36, 0.01, -0.4]])
    made = condition_of(
        make_record(
            {
                "twin.leak_current": leak,
                "twin.leak_sigma": np.full((1, 3), 0.036),
                "twin.cell_voltage": np.full((1, 3), 3.6),
            }
        )
    )
    assert made.short_ohm is not None
    assert made.short_log_sigma is not None
    assert made.short_ohm[0] == pytest.approx(10.0)  # 3.6 V / 0.36 A
    assert made.short_log_sigma[0] == pytest.approx(0.1)  # 0.036 / 0.36
    assert np.isnan(made.short_ohm[1:]).all()
    unsure = condition_of(make_record({"twin.leak_current": leak, "twin.cell_voltage": np.full((1, 3), 3.6)}))
    assert unsure.short_ohm is None


def test_what_the_record_lacks_or_never_knew_is_unknown() -> None:
    made = condition_of(make_record({"twin.cell_soc": np.full((3, GROUPS), math.nan)}))
    assert set(known_fields(made)) == {"name", "n", "voltage_v"}
    assert all(j.state == "unknown" for j in advise(made)[1])
    assert len(advise(made)[1]) == len(RULES)


def test_estimates_of_the_pack_stand_beside_those_of_groups() -> None:
    made = condition_of(
        make_record({"twin.cell_soc": np.full((1, GROUPS), 0.5), "twin.soh_capacity": np.array([[0.7]])})
    )
    assert made.n == GROUPS
    assert [(a.rule, a.place) for a in advise(made)[0]] == [("capacity end", "the pack")]


def test_a_record_of_a_run_is_read(tmp_path: Path) -> None:
    path = tmp_path / "record.mcap"
    write(path, 30)
    made = condition_of(read(path))
    known = {name for name, quantity in TWIN.items() if read(path).table.find(quantity) is not None}
    assert {k for k in known_fields(made) if k in TWIN} <= known
