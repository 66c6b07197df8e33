"""Charts over something else than time, and bands that are not even."""

import numpy as np
import pytest

from hil.analysis.charts import Signal, chart

ROWS = np.array([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("band", "low", "high"),
    [
        (0.5, [0.5, 1.5, 2.5], [1.5, 2.5, 3.5]),
        (ROWS[0], [0.9, 1.8, 2.7], [1.1, 2.2, 3.3]),
        (ROWS, [0.9, 1.8, 2.7], [2.0, 4.0, 6.0]),
    ],
)
def test_a_band_is_one_number_one_per_value_or_below_and_above(
    band: object, low: list[float], high: list[float]
) -> None:
    line = chart([Signal("x", "Ah", [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], band)], [], None)["panels"][0]["series"][0]  # type: ignore[arg-type]
    assert (line["lo"], line["hi"]) == (pytest.approx(low), pytest.approx(high))


def test_what_runs_across_is_told_where_it_is_not_time() -> None:
    signal = Signal("x", "V", [0.0, 1.0], [1.0, 2.0])
    assert "across" not in chart([signal], [], None)
    assert chart([signal], [], None, across=("voltage", "V"))["across"] == {"name": "voltage", "unit": "V"}
