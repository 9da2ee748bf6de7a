"""A source's rows in a raw table's columns, each with the reason where it cannot land."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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

    generated = bill_keys.BILL if bill_keys.makes_bill(table, bill_key) else generated_key(table)
    _refuse_unmapped(frame, table, mapping, name, generated)
    numbers = numbers or NumberFormat(decimal_comma)
    reading = values.Reading(zone, timestamp_format, date_format, numbers.decimal_comma, numbers)
    plain = frame.drop(*(values.SEEN + column for column in looked_at))
    readings = watermarks.readings(plain, watermark, reading, name) if watermark else {}
    readings |= {} if export is None else {EXPORT: export}
    parts = bill_keys.parts_of(bill_key, table, mapping, mappings.of_source(frame.columns, looked_at), name)
    applied = mappings.applied(
        frame,
        {**mapping, **bill_keys.extra_columns(parts)},
        name,
        readings,
        looked_at,
        [*also_read, *((watermark,) if watermark else ())],
        reading=reading,
        canonical_types={column.name: column.type for column in table.columns},
    )
    conversion = _Conversion(table, mapping, applied, reading, looked_at, frozenset(not_a_user), parts)
    columns = [*table.columns, *(Column(column, "string", "") for column in mapping if column not in table.names)]
    typed, broken, reasons = [], [rules.is_unfit()], [rules.unfit_row(is_shown=not personal)]
    for column in columns:
        value, conditions, reason = conversion.of(column, is_shown=column.name not in personal)
        typed.append(value.alias(column.name))
        broken += conditions
        reasons += [] if reason is None else [reason]
    # Words cost ten times what values do: they are made for the rows that need them.
    is_bad = F.coalesce(reduce(or_, broken), F.lit(False))
    why = guests.reason(totals.reason(F.concat_ws("; ", *reasons), mapping), table, mapping, not_a_user)
    said = {REASON: why, POSITION: mappings.position(), SOURCE_ROW: mappings.row_json(applied.text_columns)}
    rejection = [F.when(is_bad, expression).alias(column) for column, expression in said.items()]
    landed = applied.frame.select("*", *typed).select(*(column.name for column in columns), *rejection, *readings)
    key = generated_key(table)
    return with_generated_key(landed, key, readings) if key and key not in mapping and not parts else landed


@dataclass(frozen=True, slots=True)
class _Conversion:
    """How the columns of a table are made of the values that a mapping gives."""

    table: Table
    mapping: Mapping[str, str]
    applied: mappings.Applied
    reading: values.Reading
    looked_at: Mapping[str, str]
    not_a_user: frozenset[str]
    parts: Sequence[bill_keys.Part]

    def of(self, column: Column, *, is_shown: bool) -> tuple[Expression, list[Expression], Expression | None]:
        """The value of a column, what is true of one that breaks a rule, and why, in words; none where nothing can."""
        from pyspark.sql import functions as F

        if self.parts and column.name == bill_keys.BILL:
            by_name = (self.parts, self.applied.types, self.reading.zone, self._value_of_name)
            return bill_keys.bill_id(*by_name), [F.col(column.name).isNull()], bill_keys.reason(*by_name)
        if column.name not in self.mapping:
            return F.lit(None).cast(column.type), [], None
        written = values.text(mappings.source(column.name), self.applied.types[column.name])
        is_read = column.name not in self.applied.unread
        conditions = rules.broken(column, written, is_read)
        return self._value(column), conditions, rules.reason(column, written, self.reading, is_shown, is_read)

    def _value(self, column: Column) -> Expression:
        from pyspark.sql import functions as F

        source, kind = mappings.source(column.name), self.applied.types[column.name]
        seen_as = self.looked_at.get(self.mapping[column.name])
        if column.name in id_columns(self.table, self.mapping):
            id_text = ids.identifier(values.text(source, kind))
            if seen_as == values.ID:
                id_text = F.coalesce(mappings.seen(column.name), id_text)
            return guests.somebody(id_text, self.not_a_user) if column.name == OWNER else id_text
        seen = mappings.seen(column.name) if seen_as == column.type else None
        return values.value(source, kind, column.type, self.reading, seen)

    def _value_of_name(self, name: str) -> Expression:
        return self._value(self.table.column(name))


def _refuse_unmapped(
    frame: DataFrame, table: Table, mapping: Mapping[str, str], name: str, generated: str | None
) -> None:
    lacking = [c.name for c in table.columns if c.required and c.name not in mapping and c.name != generated]
    if lacking:
        received = "a mapping of " + (listed(mapping) or "nothing")
        do = "map them; the source's columns are " + listed(repr(column) for column in frame.columns)
        raise MappingError(
            "Required columns are not mapped", expected=listed(lacking), came=received, where=name, do=do
        )
