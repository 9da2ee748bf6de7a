"""Times in a declared format, read from text as every engine reads it: part by part, or as a count. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from capflow_assets.landing import time_formats
from capflow_assets.landing.time_zones import known_zones

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression

# Excel's first 60 days are off by one, since it takes 1900 for a leap year; no bill is of them.
EXCEL_FIRST, EXCEL_LAST = 61, 110_000
EPOCH_DAY = 25_569
# Of a count as text; more digits are none that a time has.
COUNT = "^[+-]?[0-9]{1,15}([.][0-9]*)?$"


def instant(written: Expression, format: str, in_utc: Callable[[Expression], Expression]) -> Expression:
    """The instant that a text in ``format`` says; null where it does not fit. ``in_utc`` is that of a local time."""
    from pyspark.sql import functions as F

    if not time_formats.is_own(format):
        read = F.try_to_timestamp(written, F.lit(format))
        here = F.when(written.rlike(f"^(?:{time_formats.fitting(format)})$"), read)
        return here if time_formats.has_offset(format) else in_utc(here)
    pattern, numbers = time_formats.groups(format)
    whole = f"^{pattern}$"
    parts = {letters: F.regexp_extract(written, whole, number) for letters, number in numbers.items()}
    local = F.concat(_day(parts), F.lit(" "), _hour(parts), F.lit(":"), *_rest(parts))
    fits = written.rlike(whole)
    if "VV" in parts:
        is_known = parts["VV"].isin(sorted(known_zones()))
        return F.when(fits & is_known, F.to_utc_timestamp(local.try_cast("timestamp"), parts["VV"]))
    if (offset := _offset(parts)) is not None:
        return F.when(fits, F.concat(local, offset).try_cast("timestamp"))
    return in_utc(F.when(fits, local.try_cast("timestamp")))


def counted(number: Expression, format: str, in_utc: Callable[[Expression], Expression]) -> Expression:
    """The instant of a count of seconds or milliseconds since 1970 in UTC, or of Excel's local days. ``number`` is a
    ``double`` for days, else a ``decimal(21,6)``; days are exact to the millisecond, as Excel's are.
    """
    from pyspark.sql import functions as F

    if format == "excel_days":
        millis = F.round((number - EPOCH_DAY) * 86_400_000.0).cast("bigint")
        is_day = number.between(EXCEL_FIRST, EXCEL_LAST)
        return in_utc(F.timestamp_micros(F.when(is_day, millis) * 1000))
    most = 10**17 // time_formats.COUNTS[format]
    micros = F.when(F.abs(number) < most, number) * time_formats.COUNTS[format]
    return F.timestamp_micros(micros.cast("bigint"))


def _day(parts: dict[str, Expression]) -> Expression:
    from pyspark.sql import functions as F

    if "yyyy" in parts:
        year = parts["yyyy"]
    else:
        is_earlier = parts["yy"] >= F.lit(str(time_formats.FIRST_OF_LAST_CENTURY))
        year = F.concat(F.when(is_earlier, F.lit("19")).otherwise(F.lit("20")), parts["yy"])
    name = parts.get("MMMM", parts.get("MMM"))
    if name is None:
        month = parts.get("MM", parts.get("M", F.lit("1")))
    else:
        months = time_formats.MONTHS.lower().replace(" ", ",")
        month = F.find_in_set(F.lower(F.substring(name, 1, 3)), F.lit(months)).cast("string")
    day = parts.get("dd", parts.get("d", F.lit("1")))
    return F.concat(year, F.lit("-"), F.lpad(month, 2, "0"), F.lit("-"), F.lpad(day, 2, "0"))


def _hour(parts: dict[str, Expression]) -> Expression:
    from pyspark.sql import functions as F

    hour = parts.get("HH", parts.get("H"))
    if hour is None:
        half = parts.get("hh", parts.get("h"))
        if half is None:
            return F.lit("00")
        noon = F.when(F.lower(parts["a"]).startswith("p"), 12).otherwise(0) if "a" in parts else F.lit(0)
        hour = (half.try_cast("int") % 12 + noon).cast("string")
    return F.lpad(hour, 2, "0")


def _rest(parts: dict[str, Expression]) -> list[Expression]:
    from pyspark.sql import functions as F

    fraction = [F.lit("."), parts["S"]] if "S" in parts else []
    return [parts.get("mm", F.lit("00")), F.lit(":"), parts.get("ss", F.lit("00")), *fraction]


def _offset(parts: dict[str, Expression]) -> Expression | None:
    from pyspark.sql import functions as F

    if "XXX" in parts:
        return parts["XXX"]
    if "z" in parts:
        cases = F.when(parts["z"] == "UTC", F.lit("+00:00"))
        for name, offset in time_formats.ZONE_OFFSETS.items():
            cases = cases.when(parts["z"] == name, F.lit(offset))
        return cases
    digits = parts.get("XX", parts.get("Z"))
    if digits is None:
        return None
    return F.when(digits == "Z", F.lit("Z")).otherwise(
        F.concat(F.substring(digits, 1, 3), F.lit(":"), F.substring(digits, 4, 2))
    )
