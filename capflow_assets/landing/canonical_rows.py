"""A source's rows in a raw table's columns, each with the reason where it cannot land."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from capflow_assets.contract import EXPORT, Column, Table
from capflow_assets.errors import MappingError, listed
from capflow_assets.expressions import ids
from capflow_assets.landing import bill_keys, guests, mappings, rules, totals, values, watermarks
from capflow_assets.landing.keys import generated_key, id_columns, with_generated_key
from capflow_assets.landing.number_formats import NumberFormat
from capflow_assets.landing.personal import OWNER
from capflow_assets.landing.rejections import POSITION, REASON, SOURCE_ROW
from capflow_assets.landing.values import NOTHING_SEEN

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame


def conform(
    frame: DataFrame,
    table: Table,
    mapping: Mapping[str, str],
    *,
    zone: str,
    timestamp_format: str | None = None,
    date_format: str | None = None,
    decimal_comma: bool = False,
    numbers: NumberFormat | None = None,
    name: str = "",
    personal: Collection[str] = (),
    watermark: str | None = None,
    looked_at: Mapping[str, str] = NOTHING_SEEN,
    not_a_user: Collection[str] = (),
    export: Expression | None = None,
    bill_key: Sequence[str] = (),
    also_read: Collection[str] = (),
) -> DataFrame:
    """A source's rows in a raw table's columns, each with the reason why it cannot land.

    Grain: one row per row of ``frame``. Columns: those of ``table`` (null where not mapped), then the mapped columns
    that it does not declare, as strings (open tables), then, of rows that cannot land alone, ``rejected_because`` (the
    reasons, joined by ``; ``), ``source_position`` (where the row stands, if the source tells) and ``source_row`` (JSON
    of the source columns that the mapping uses, as text). Of good rows these are null. With a ``watermark``, a column
    of the source, come its readings (see ``watermarks``); with an ``export``, the one that the row came with.

    ``mapping`` gives, for a column of the table, the name of a source column or a Spark SQL expression over one row.
    In an expression text becomes a number, a truth or a time where one is asked for, times are in ``zone``, and a row
    of which that cannot be read is rejected; ``try_`` functions, ``coalesce`` and the like say otherwise.
    Missing: blank text is null; surrounding blanks of numbers and times are nothing; NaN and infinity reject the row.
    Times: local times of ``zone`` become UTC; text with an offset and zoned timestamps are instants. Text is read by
    ``timestamp_format``, then ``date_format`` (midnight), and as ISO 8601 where neither is given.
    Ids have no blanks around them; one that is ``not_a_user`` is null. A row that nobody stands on where somebody has
    to is a guest's (``guests``).
    With a ``bill_key`` a bill's id is made of these parts (see ``bill_keys``). ``also_read`` are further texts over the
    source's columns: a value of which the source complains counts where one of them reads it.
    An unmapped bill id is made of the row's values and the count of equal rows, so landing again gives it again.
    Reasons do not show the values of ``personal`` columns. Of the columns ``looked_at`` the source has told the
    values of a type (``read_at_a_glance``).

    Raises:
        MappingError: a required column is not mapped, an expression is wrong or not over one row, a type is nested, or
            there is no such watermark.
    """
    from pyspark.sql import functions as F

    made = bill_keys.BILL if bill_keys.makes_bill(table, bill_key) else generated_key(table)
    _refuse_unmapped(frame, table, mapping, name, made)
    numbers = numbers or NumberFormat(decimal_comma)
    reading = values.Reading(zone, timestamp_format, date_format, numbers.decimal_comma, numbers)
    plain = frame.drop(*(values.SEEN + each for each in looked_at))
    readings = watermarks.readings(plain, watermark, reading, name) if watermark else {}
    readings |= {} if export is None else {EXPORT: export}
    parts = bill_keys.parts_of(bill_key, table, mapping, mappings.of_source(frame.columns, looked_at), name)
    asked = {**mapping, **bill_keys.extra_columns(parts)}
    declared = {column.name: column for column in table.columns}
    wanted = {column.name: column.type for column in table.columns}
    raw, types, held, unread = mappings.applied(
        frame,
        asked,
        name,
        readings,
        looked_at,
        [*also_read, *((watermark,) if watermark else ())],
        reading=reading,
        wanted=wanted,
    )
    joining = id_columns(table, mapping)
    columns = [declared.get(each) or Column(each, "string", "") for each in {**declared, **mapping}]
    typed, broken, reasons = [], [rules.is_unfit()], [rules.unfit_row(is_shown=not personal)]

    def value(column: Column) -> Expression:
        source, kind = mappings.source(column.name), types[column.name]
        if column.name in joining:
            id_text = ids.identifier(values.text(source, kind))
            if looked_at.get(mapping[column.name]) == values.ID:
                id_text = F.coalesce(mappings.seen(column.name), id_text)
            return guests.somebody(id_text, not_a_user) if column.name == OWNER else id_text
        is_seen = column.type == looked_at.get(mapping[column.name])
        return values.value(source, kind, column.type, reading, mappings.seen(column.name) if is_seen else None)

    of_parts = (parts, types, zone, lambda column: value(declared[column]))
    for column in columns:
        if parts and column.name == bill_keys.BILL:
            typed.append(bill_keys.bill_id(*of_parts).alias(column.name))
            broken.append(F.col(column.name).isNull())
            reasons.append(bill_keys.reason(*of_parts))
        elif column.name in mapping:
            source, kind = mappings.source(column.name), types[column.name]
            is_read = column.name not in unread
            is_shown = column.name not in personal
            typed.append(value(column).alias(column.name))
            broken += rules.broken(column, values.text(source, kind), is_read)
            reasons.append(rules.reason(column, values.text(source, kind), reading, is_shown, is_read))
        else:
            typed.append(F.lit(None).cast(column.type).alias(column.name))
    # Words cost ten times what values do: they are made for the rows that need them.
    is_bad = F.coalesce(reduce(or_, broken), F.lit(False))
    why = guests.reason(totals.reason(F.concat_ws("; ", *reasons), mapping), table, mapping, not_a_user)
    told = {REASON: why, POSITION: mappings.position(), SOURCE_ROW: mappings.row_json(held)}
    landed = raw.select("*", *typed).select(
        *(each.name for each in columns), *(F.when(is_bad, what).alias(each) for each, what in told.items()), *readings
    )
    key = generated_key(table)
    return with_generated_key(landed, key, readings) if key and key not in mapping and not parts else landed


def _refuse_unmapped(frame: DataFrame, table: Table, mapping: Mapping[str, str], name: str, made: str | None) -> None:
    lacking = [c.name for c in table.columns if c.required and c.name not in mapping and c.name != made]
    if lacking:
        came = "a mapping of " + (listed(mapping) or "nothing")
        do = "map them; the source's columns are " + listed(repr(column) for column in frame.columns)
        raise MappingError("Required columns are not mapped", expected=listed(lacking), came=came, where=name, do=do)
