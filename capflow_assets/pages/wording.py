"""Figures as people write them, for pages: thousands, units, changes, months. Plain text, in English."""

from __future__ import annotations

import calendar
import math
from datetime import datetime
from zoneinfo import ZoneInfo

NOTHING = "–"


def number(value: float | None, unit: str = "") -> str:
    """A value with its unit: whole above a thousand, with two decimals below, shares with one.

    >>> [number(value, unit) for value, unit in ((1234.5, "EUR"), (9.876, "EUR"), (12.0, "users"), (3.21, "%"))]
    ['1,234 EUR', '9.88 EUR', '12 users', '3.2 %']
    >>> number(None, "EUR")
    '–'
    """
    if not is_known(value) or value is None:
        return NOTHING
    if unit == "%":
        return f"{value:,.1f} %"
    is_round = abs(value) >= 1000 or value == int(value)
    return (f"{value:,.0f} {unit}" if is_round else f"{value:,.2f} {unit}").strip()


def short(value: float) -> str:
    """A value for the edge of a picture, in three digits.

    >>> [short(value) for value in (0.034, 7.25, 412.3, 9600.0, 421720.45, 5e6)]
    ['0.034', '7.25', '412', '9.6k', '422k', '5M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{_digits(value / size)}{letter}"
    return _digits(value)


def _digits(value: float) -> str:
    text = f"{value:.3g}"
    return f"{value:.0f}" if "e" in text else text


def signed(percent: float | None) -> str:
    """A change with its direction.

    >>> [signed(change) for change in (11.2, -0.04, -3.0, None)]
    ['+11 %', '0 %', '−3 %', '–']
    """
    if not is_known(percent) or percent is None:
        return NOTHING
    rounded = round(percent) if abs(percent) >= 10 else round(percent, 1)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return f"{sign}{abs(rounded):,g} %" if abs(rounded) < 10 else f"{sign}{abs(rounded):,.0f} %"


def compared(value: float | None, usual: float | None, change_pct: float | None, unit: str) -> str:
    """How a value stands against what was usual.

    >>> compared(111.0, 100.0, 11.0, "EUR")
    '+11 % from the usual 100 EUR'
    >>> compared(0.0, 0.0, None, "%"), compared(2.0, 0.0, None, "%"), compared(2.0, None, None, "%")
    ('as usual', 'usually none', 'too few months before to say what is usual')
    """
    if not is_known(usual):
        return "too few months before to say what is usual"
    if not is_known(change_pct):
        return "as usual" if value == usual else "usually none"
    return f"{signed(change_pct)} from the usual {number(usual, unit)}"


def month(name: str) -> str:
    """A month in words.

    >>> month("2024-06")
    'June 2024'
    """
    year, place = name.split("-")
    return f"{calendar.month_name[int(place)]} {year}"


def moment(at: datetime, zone: str) -> str:
    """A moment on the customer's clock.

    >>> from datetime import UTC
    >>> moment(datetime(2024, 6, 30, 22, 30, tzinfo=UTC), "Europe/Madrid")
    '1 July 2024, 00:30'
    """
    local = at.astimezone(ZoneInfo(zone))
    return f"{local.day} {calendar.month_name[local.month]} {local.year}, {local:%H:%M}"


def day(yyyymmdd: float) -> str:
    """A day, written as one number, in words.

    >>> day(20240630.0)
    '30 June 2024'
    """
    written = f"{yyyymmdd:.0f}"
    return f"{int(written[6:])} {calendar.month_name[int(written[4:6])]} {written[:4]}"


def is_known(value: float | None) -> bool:
    """Whether there is a value at all."""
    return value is not None and not math.isnan(value)
