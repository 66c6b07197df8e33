"""Dates as recorders write them, in the languages they come in, as nanoseconds since 1970. All are taken as UTC."""

import re
from contextlib import suppress
from types import MappingProxyType

import numpy as np

from hil.logs.lines import clock_ns
from hil.logs.moment import DAY_NS

_NAMES = (
    "jan janv januar january ene gen",
    "feb fev f\xe9v febr february fevr",
    "mar m\xe4r mrz mars maerz march",
    "apr avr april abr",
    "may mai mag mayo",
    "jun juin june juni giu",
    "jul juil july juli lug",
    "aug ao\xfb aout august ago",
    "sep sept september set",
    "oct okt october oktober ott",
    "nov november",
    "dec d\xe9c dez december dezember dic",
)
MONTHS = MappingProxyType({name: month for month, names in enumerate(_NAMES, 1) for name in names.split()})
_CLOCK = re.compile(
    r"\b(\d{1,2}):(\d{2}):(\d{2})(?:[.:,](\d{1,9}))?(?:\.\d+)?\s*(am|pm|a\.m\.|p\.m\.)?", re.ASCII | re.IGNORECASE
)
_YEAR = re.compile(r"\b(\d{4})\b", re.ASCII)
_WORD = re.compile(r"[^\W\d_]+")
_DAY = re.compile(r"\b(\d{1,2})\b", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?", re.ASCII)
_NUMERIC = re.compile(r"\b(\d{1,2})([./])(\d{1,2})\2(\d{4})\b", re.ASCII)
_SERIAL_EPOCH = 25_569  # 1970-01-01 counted in days from 1899-12-30, day 0 of spreadsheet dates, which PCAN writes


def named_date_ns(text: str) -> int | None:
    """``Sam Sep 30 15:06:13.191 2017``, ``Wed May 27 04:09:35.000 pm 2014``: any order, month by name; None if it is none."""
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")  # lines are read one character a byte
    clock = _CLOCK.search(text)
    if clock is None:
        return None
    rest = text[: clock.start()] + " " + text[clock.end() :]
    year, day = _YEAR.search(rest), _DAY.search(rest)
    months = [MONTHS[word] for word in map(str.lower, _WORD.findall(rest)) if word in MONTHS]
    if year is None or day is None or not months:
        return None
    # "Mar 3" may stand after "Mar" for Mardi: the month is the last such word
    return _join(int(year.group(1)), months[-1], int(day.group(1)), _time_ns(clock))


def numeric_date_ns(text: str) -> int | None:
    """``18.12.2021 14:28:07.062.1`` or ``27/05/2019 19:26:13``; None when day and month cannot be told apart."""
    found, clock = _NUMERIC.search(text), _CLOCK.search(text)
    if found is None or clock is None:
        return None
    first, second, year = int(found.group(1)), int(found.group(3)), int(found.group(4))
    if found.group(2) == "." or first > 12 or first == second:
        day, month = first, second
    elif second > 12:
        day, month = second, first
    else:
        return None
    return _join(year, month, day, _time_ns(clock))


def iso_ns(text: str) -> int | None:
    """``2021-06-27T21:53:12.046`` or with a space; None if it is none."""
    if (found := _ISO.match(text)) is None:
        return None
    year, month, day, hours, minutes, seconds, part = found.groups()
    try:
        return _join(int(year), int(month), int(day), clock_ns(hours, minutes, seconds, part or ""))
    except ValueError:
        return None


def serial_ns(text: str) -> int | None:
    """Days since 1899-12-30 as a decimal number (``44548.6028595139``); None outside 1954 to 2119."""
    whole, _, part = text.strip().partition(".")
    if not (whole.isascii() and whole.isdigit() and 20_000 <= int(whole[:6]) < 80_000 and len(whole) == 5):
        return None
    if part and not (part.isascii() and part.isdigit() and len(part) < 30):
        return None
    within = int(part) * DAY_NS // 10 ** len(part) if part else 0
    return (int(whole) - _SERIAL_EPOCH) * DAY_NS + within


def date_ns(year: int, month: int, day: int) -> int | None:
    """Midnight of a day; None when there is no such day."""
    return _join(year, month, day, 0)


def shown(ns: int) -> str:
    """A time as ISO text with what was assumed."""
    return f"{np.datetime64(ns // 1000, 'us')} (taken as UTC)"


def _time_ns(clock: re.Match[str]) -> int | None:
    hours, half = int(clock.group(1)), (clock.group(5) or "").replace(".", "").lower()
    if half == "pm" and hours < 12:
        hours += 12
    elif half == "am" and hours == 12:
        hours = 0
    try:
        return clock_ns(str(hours), clock.group(2), clock.group(3), clock.group(4) or "")
    except ValueError:
        return None


def _join(year: int, month: int, day: int, within_ns: int | None) -> int | None:
    if within_ns is None or not 1970 <= year <= 2200:
        return None
    try:
        return int(np.datetime64(f"{year:04d}-{month:02d}-{day:02d}", "D").astype(np.int64)) * DAY_NS + within_ns
    except ValueError:
        return None
