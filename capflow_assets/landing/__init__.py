"""From a customer's own columns to a raw table's: types, times and rules, row by row, with the reason where one fails.

Belongs here: what a row must be to land.
    mappings      a customer's expression over the source's columns, held to one row
    values        what text or a typed value means as a canonical type
    rules         the words for a row that cannot land
    time_formats  how times may be written
    watermarks    which rows are newer than those that have landed, and what becomes of the older ones
    personal      which columns name a person, and what stands in their place
    declared      what a TOML may say of these, held against the table
    disguised     columns that nobody calls personal, and whose values look it
    kept_columns  columns that come from a personal one under a plain name, or that hold such values in a sample
    personal_names  names of columns that tell so, in several languages
    row_filter    which rows land at all: a customer's where
    queries       a customer's query over several inputs, judged and spelled anew
Does not belong here: duplicates and unknown keys (cleaning decides), reading, writing. Pure; the same rows on every
engine. The session's time zone is UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from capflow_assets.contract import Column, Table
from capflow_assets.errors import MappingError, listed
from capflow_assets.landing.values import NOTHING_SEEN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

REASON = "rejected_because"
POSITION = "source_position"
SOURCE_ROW = "source_row"
RESERVED = (REASON, POSITION, SOURCE_ROW)


def generated_key(table: Table) -> str | None:
    """The key that landing makes where a customer has none: a bill's id. None for every other table."""
    return "bill_id" if table.key == ("bill_id",) else None


def merge_key(table: Table, declared: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns by which newer rows replace those that have landed: those declared, else the table's key."""
    return tuple(declared) or table.key


def conform(
    frame: DataFrame,
    table: Table,
    mapping: Mapping[str, str],
    *,
    zone: str,
    timestamp_format: str | None = None,
    date_format: str | None = None,
    decimal_comma: bool = False,
    name: str = "",
    personal: Collection[str] = (),
    watermark: str | None = None,
    looked_at: Mapping[str, str] = NOTHING_SEEN,
) -> DataFrame:
    """A source's rows in a raw table's columns, each with the reason why it cannot land.

    Grain: one row per row of ``frame``. Columns: those of ``table`` (null where not mapped), then the mapped columns
    that it does not declare, as strings (open tables), then, of rows that cannot land alone, ``rejected_because`` (the
    reasons, joined by ``; ``), ``source_position`` (where the row stands, if the source tells) and ``source_row`` (JSON
    of the source columns that the mapping uses, as text). Of good rows these are null. With a ``watermark``, a column
    of the source, come its readings (see ``watermarks``).

    ``mapping`` gives, for a column of the table, the name of a source column or a Spark SQL expression over one row.
    An expression of the customer's that fails on dirty values should use the ``try_`` functions.
    Missing: blank text is null; surrounding blanks of numbers and times are nothing; NaN and infinity reject the row.
    Times: local times of ``zone`` become UTC; text with an offset and zoned timestamps are instants. Text is read by
    ``timestamp_format``, then ``date_format`` (midnight), and as ISO 8601 where neither is given.
    An unmapped bill id is made of the row's values and the count of equal rows, so landing again gives it again.
    Reasons do not show the values of ``personal`` columns. Of the columns ``looked_at`` the source has told the
    values of a type (``read_at_a_glance``).

    Raises:
        MappingError: a required column is not mapped, an expression is wrong or not over one row, a type is nested, or
            there is no such watermark.
    """
    from pyspark.sql import functions as F

    from capflow_assets.landing import mappings, rules, values, watermarks

    _refuse_unmapped(frame, table, mapping, name)
    reading = values.Reading(zone, timestamp_format, date_format, decimal_comma)
    plain = frame.drop(*(values.SEEN + each for each in looked_at))
    readings = watermarks.readings(plain, watermark, reading, name) if watermark else {}
    raw, types, held = mappings.applied(frame, mapping, name, readings, looked_at)
    declared = {column.name: column for column in table.columns}
    columns = [declared.get(each) or Column(each, "string", "") for each in {**declared, **mapping}]
    typed, broken, reasons = [], [rules.is_unfit()], [rules.unfit_row(is_shown=not personal)]
    for column in columns:
        if column.name in mapping:
            source, kind = mappings.source(column.name), types[column.name]
            is_seen = column.type == looked_at.get(mapping[column.name])
            seen = mappings.seen(column.name) if is_seen else None
            typed.append(values.value(source, kind, column.type, reading, seen).alias(column.name))
            broken += rules.broken(column, values.text(source, kind))
            reasons.append(rules.reason(column, values.text(source, kind), reading, column.name not in personal))
        else:
            typed.append(F.lit(None).cast(column.type).alias(column.name))
    # Words cost ten times what values do: they are made for the rows that need them.
    is_bad = F.coalesce(reduce(or_, broken), F.lit(False))
    told = {REASON: F.concat_ws("; ", *reasons), POSITION: mappings.position(), SOURCE_ROW: mappings.row_json(held)}
    landed = raw.select("*", *typed).select(
        *(each.name for each in columns), *(F.when(is_bad, what).alias(each) for each, what in told.items()), *readings
    )
    key = generated_key(table)
    return _with_key(landed, key, readings) if key and key not in mapping else landed


def split(frame: DataFrame) -> tuple[DataFrame, DataFrame]:
    """The good rows of a conformed frame with the table's columns alone, and the rejected ones.

    The second has one row per rejected row of the source: ``rejected_because``, ``source_position``, ``source_row``.
    """
    from pyspark.sql import functions as F

    from capflow_assets.landing import watermarks

    accepted = frame.where(F.col(REASON).isNull()).drop(*RESERVED, *watermarks.COLUMNS)
    return accepted, frame.where(F.col(REASON).isNotNull()).select(*RESERVED)


def _refuse_unmapped(frame: DataFrame, table: Table, mapping: Mapping[str, str], name: str) -> None:
    key = generated_key(table)
    lacking = [c.name for c in table.columns if c.required and c.name not in mapping and c.name != key]
    if lacking:
        came = "a mapping of " + (listed(mapping) or "nothing")
        do = "map them; the source's columns are " + listed(repr(column) for column in frame.columns)
        raise MappingError("Required columns are not mapped", expected=listed(lacking), came=came, where=name, do=do)


def _with_key(landed: DataFrame, key: str, besides: Collection[str]) -> DataFrame:
    """The rows with an id of 128 bits of their values and their number among equal rows."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    values = [F.col(column) for column in landed.columns if column not in (key, POSITION, SOURCE_ROW, *besides)]
    # A hash leaves nulls out; this tells (null, 'x') from ('x', null).
    present = F.concat(*(F.when(value.isNull(), F.lit("0")).otherwise(F.lit("1")) for value in values))
    halves = [F.lower(F.lpad(F.hex(F.xxhash64(F.lit(salt), present, *values)), 16, "0")) for salt in ("a", "b")]
    hashed = landed.withColumn(key, F.concat(*halves))
    equal = Window.partitionBy(key).orderBy(key)
    return hashed.withColumn(key, F.concat(F.col(key), F.lit("-"), F.row_number().over(equal).cast("string")))
