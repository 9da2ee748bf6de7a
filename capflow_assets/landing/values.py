"""What a source's text or typed value means as one of the canonical types. Null where it means none.

Text is held against a pattern before an engine casts it: one engine takes ``1d`` for a number, the other does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from capflow_assets.expressions.ids import without_blanks
from capflow_assets.landing import time_formats, time_texts
from capflow_assets.landing.number_formats import PLAIN, NumberFormat

if TYPE_CHECKING:
    import pyspark.sql.types as st
    from pyspark.sql import Column as Expression

NUMBER = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
NOT_FINITE = "^[+-]?(nan|inf|infinity)$"
COMMA_NUMBER = "^[+-]?([0-9]+|[0-9]{1,3}([.][0-9]{3})+)(,[0-9]+)?$"
WHOLE_NUMBER = "^[+-]?[0-9]+([.]0*)?$"
DIGITS = "^[+-]?[0-9]+$"
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
NUMERIC = ("byte", "short", "integer", "long", "float", "double", "decimal")
FIRST_YEAR, LAST_YEAR = 1900, 2199
# Before the name of a source's column: the times or numbers that its text plainly says, as a source may tell.
SEEN = "_seen_"
# Among the kinds of such values: the normal form of an id, of what is text for all else.
ID = "id"
NOTHING_SEEN: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reading:
    """How the text of a source is to be read: the customer's zone, and the source's own ways of writing."""

    zone: str
    timestamp_format: str | None = None
    date_format: str | None = None
    decimal_comma: bool = False
    numbers: NumberFormat = PLAIN

    @property
    def formats(self) -> tuple[str, ...]:
        """The declared formats, in the order in which they are tried."""
        return tuple(format for format in (self.timestamp_format, self.date_format) if format)

    @property
    def counts(self) -> tuple[str, ...]:
        """Those of the formats that count seconds, milliseconds or days."""
        return tuple(format for format in self.formats if format in time_formats.COUNTS)


PLAIN_READING = Reading("UTC")


def text(source: Expression, kind: st.DataType) -> Expression:
    """The value as a person would write it: ids that came as ``31198570044.0`` read ``31198570044``."""
    from pyspark.sql import functions as F

    plain = source.cast("string")
    if kind.typeName() in ("double", "float"):
        whole = source.try_cast("bigint")
        return F.when(whole.cast("double") == source, whole.cast("string")).otherwise(plain)
    return F.regexp_replace(plain, "[.]0+$", "") if kind.typeName() == "decimal" else plain


def trimmed(written: Expression) -> Expression:
    """Text without the blanks around it, whatever Unicode knows of these."""
    return without_blanks(written)


def value(
    source: Expression, kind: st.DataType, to: str, reading: Reading, seen: Expression | None = None
) -> Expression:
    """The value as the canonical type ``to``; null where it is blank or means nothing of that type.

    ``seen`` is the same value where the source has told it already; the text's rules are asked where it is null alone.
    """
    from pyspark.sql import functions as F

    # What makes most texts cheap makes a plan dear: there is no need of it where few are left.
    by_rules = _value(source, kind, to, reading, is_rare=seen is not None)
    return by_rules if seen is None else F.coalesce(seen, by_rules)


def _value(source: Expression, kind: st.DataType, to: str, reading: Reading, *, is_rare: bool) -> Expression:
    from pyspark.sql import functions as F

    written = text(source, kind)
    if to == "string":
        return F.when(_is_more_than_blanks(written), written)
    if to == "double":
        is_number = kind.typeName() in NUMERIC
        return _finite(source.cast("double") if is_number else _number(written, "double", reading, is_rare))
    if to in ("int", "bigint"):
        return _number(written, to, reading, is_rare)
    if to == "boolean":
        lower = F.lower(trimmed(written))
        return F.when(lower.isin(*TRUE), F.lit(True)).when(lower.isin(*FALSE), F.lit(False))
    if to == "date":
        return _date(source, kind, reading)
    return _in_range(_instant(source, kind, reading, is_rare)).cast(to)


def _is_more_than_blanks(written: Expression) -> Expression:
    """Whether some character is not blank; where the first is of ASCII and is none, which is usual, that is told."""
    from pyspark.sql import functions as F

    begins = (written >= F.lit("!")) & (written < F.lit("\u007f"))
    return begins | (trimmed(written) != "")


def _number(written: Expression, to: str, reading: Reading, is_rare: bool) -> Expression:
    from pyspark.sql import functions as F

    bare = trimmed(written)
    if reading.numbers.has_signs:
        return _matching(reading.numbers.plain(bare), to)
    if reading.decimal_comma:
        points = F.translate(bare, ".,", "\u0000.")
        plain = F.when(bare.rlike(COMMA_NUMBER), F.replace(points, F.lit("\u0000"), F.lit("")))
        return _matching(plain, to)
    if is_rare:
        return _matching(bare, to)
    # Blanks and a fraction of zeros cost more to take off than all the rest, and few numbers have them.
    at_once = F.when(written.rlike(NUMBER if to == "double" else DIGITS), written.try_cast(to))
    return F.coalesce(at_once, _matching(bare, to))


def _matching(written: Expression, to: str) -> Expression:
    from pyspark.sql import functions as F

    plain = written if to == "double" else F.regexp_replace(written, "[.]0*$", "")
    return F.when(plain.rlike(NUMBER if to == "double" else WHOLE_NUMBER), plain.try_cast(to))


def _finite(number: Expression) -> Expression:
    from pyspark.sql import functions as F

    return F.when(~F.isnan(number) & (F.abs(number) != F.lit(float("inf"))), number)


def _date(source: Expression, kind: st.DataType, reading: Reading) -> Expression:
    from pyspark.sql import functions as F

    if kind.typeName() == "date":
        return _in_range(source.cast("timestamp")).cast("date")
    return F.from_utc_timestamp(_in_range(_instant(source, kind, reading)), reading.zone).cast("date")


def _in_range(instant: Expression) -> Expression:
    """Years that neither Python nor pandas can hold, or that stand for "never", are no times."""
    from pyspark.sql import functions as F

    first, after = (F.lit(datetime(year, 1, 1, tzinfo=UTC)) for year in (FIRST_YEAR, LAST_YEAR + 1))
    return F.when((instant >= first) & (instant < after), instant)


def _instant(source: Expression, kind: st.DataType, reading: Reading, is_rare: bool = False) -> Expression:
    from pyspark.sql import functions as F

    if kind.typeName() == "timestamp":
        return source
    if kind.typeName() in ("timestamp_ntz", "date"):
        return _in_utc(source.cast("timestamp"), reading.zone)
    written = text(source, kind)
    if kind.typeName() in NUMERIC and reading.counts:
        return F.coalesce(*(_counted(source, format, reading) for format in reading.counts))
    # Taking the blanks off costs a third of it, and few times have any.
    at_once = () if reading.formats or is_rare else (_iso_local(written, reading.zone),)
    bare = trimmed(written)
    return F.coalesce(*at_once, *(_parsed(bare, format, reading) for format in reading.formats or ("",)))


def _counted(number: Expression, format: str, reading: Reading) -> Expression:
    """The instant of a count, whose type is any of numbers."""
    type = "double" if format == "excel_days" else "decimal(21,6)"
    return time_texts.counted(number.try_cast(type), format, lambda local: _in_utc(local, reading.zone))


def _parsed(written: Expression, format: str, reading: Reading) -> Expression:
    """The instant of text in ``format`` ('' is ISO 8601 with or without an offset)."""
    from pyspark.sql import functions as F

    zone = reading.zone
    if format in time_formats.COUNTS:
        plain = F.translate(written, ",", ".") if reading.decimal_comma else written
        return _counted(F.when(plain.rlike(time_texts.COUNT), plain), format, reading)
    if format:
        return time_texts.instant(written, format, lambda local: _in_utc(local, zone))
    is_instant = written.rlike(f"^{time_formats.ISO_LOCAL}{time_formats.ISO_OFFSET}$")
    return F.coalesce(_iso_local(written, zone), F.when(is_instant, written.try_cast("timestamp")))


def _iso_local(written: Expression, zone: str) -> Expression:
    from pyspark.sql import functions as F

    return F.when(written.rlike(f"^{time_formats.ISO_LOCAL}$"), _in_utc(written.try_cast("timestamp"), zone))


def _in_utc(local: Expression, zone: str) -> Expression:
    from pyspark.sql import functions as F

    return local if zone == "UTC" else F.to_utc_timestamp(local, zone)
