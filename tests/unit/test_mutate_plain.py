"""Records as objects: views of arrays, copies of numbers, nested records and lists of records."""

from typing import Annotated

import numpy as np

from hil.campaign.mutate.plain import as_object
from hil.kernel import F64, I64, Floats, Rows, zeros


class Inner:
    """One number."""

    value_v: F64


class Outer:
    """One of each kind."""

    count: I64
    many_v: Annotated[Floats, 3]
    inner: Inner
    slot: Annotated[Rows[Inner], 2]


def test_a_record_becomes_an_object_whose_arrays_are_views() -> None:
    records = zeros(Outer)
    raw = np.asarray(records)
    raw[0]["count"], raw[0]["inner"]["value_v"], raw[0]["slot"][1]["value_v"] = 4, 2.5, 7.0
    for made in (as_object(records), as_object(raw[0])):
        assert (made.count, type(made.count)) == (4, int)
        assert (made.inner.value_v, type(made.inner.value_v)) == (2.5, float)
        assert [item.value_v for item in made.slot] == [0.0, 7.0]
        made.many_v[1] = 9.0
        assert raw[0]["many_v"].tolist() == [0.0, 9.0, 0.0]
        made.count = 5
        assert raw[0]["count"] == 4
