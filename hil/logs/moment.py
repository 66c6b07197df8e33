"""A point in time taken apart, in UTC."""

from typing import NamedTuple

import numpy as np

DAY_NS = 86_400 * 10**9
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Moment(NamedTuple):
    """Date and time of the day; ``weekday`` counts from Monday = 0."""

    year: int
    month: int
    day: int
    weekday: int
    hour: int
    minute: int
    second: int
    ns: int


def moment(t_ns: int) -> Moment:
    """Date and time of ``t_ns`` nanoseconds since 1970-01-01."""
    date, _, clock = iso(t_ns).removesuffix("Z").partition("T")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = clock.split(":")
    return Moment(
        year, month, day, (t_ns // DAY_NS + 3) % 7, int(hour), int(minute), int(second[:2]), int(second[3:])
    )  # 1970-01-01 was a Thursday


def iso(t_ns: int) -> str:
    """``2023-11-14T22:13:20.000000000Z``."""
    return f"{np.datetime_as_string(np.datetime64(t_ns, 'ns'))}Z"


def asctime(t_ns: int) -> str:
    """``Tue Nov 14 22:13:20.000 2023``, cut to the millisecond."""
    m = moment(t_ns)
    clock = f"{m.hour:02d}:{m.minute:02d}:{m.second:02d}.{m.ns // 10**6:03d}"
    return f"{DAYS[m.weekday]} {MONTHS[m.month - 1]} {m.day:02d} {clock} {m.year}"
