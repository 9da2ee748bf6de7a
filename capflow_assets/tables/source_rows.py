"""The rows of a source that are to be judged: in the table's columns, hashed where personal, of no forgotten user."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from capflow_assets.expressions import ids
from capflow_assets.landing import bill_keys, row_filter, watermarks
from capflow_assets.landing.number_formats import NumberFormat
from capflow_assets.landing.personal import pseudonymized
from capflow_assets.landing.values import Reading
from capflow_assets.tables import exports
from capflow_assets.tables.landing_work import LandingWork
from capflow_assets.tables.opening import Opening
from capflow_assets.tables.query_rows import placed_by_key, query_rows, reading_options, with_unfit
from capflow_assets.tables.suppression import is_anybody_forgotten, rows_of_forgotten, without_forgotten

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def conformed(work: LandingWork) -> DataFrame:
    """The rows that are to be looked at, in the table's columns, personal ones hashed."""
    from capflow_assets.landing.canonical_rows import conform
    from capflow_assets.landing.mappings import mentioned

    declared, options = work.declared, work.options
    spark = work.lake.spark()
    if declared.query:
        as_read, work.unfit = query_rows(spark, work.sources, work.customer, work.spec.name, work.views)
        options = reading_options(work.sources, declared.inputs)
    else:
        assert work.source is not None  # noqa: S101  (only a query has none)
        opening = Opening(work.source, work.location, options, declared, work.spec.table, work.customer.time_zone)
        as_read, work.looked_at = opening.rows(spark, work.since, work.exports)
        as_read = exports.with_labels(as_read, work.source, options, work.exports)
    if declared.watermark in as_read.columns:
        work.form = as_read.schema[declared.watermark].dataType.typeName()
    name = f"[tables.{work.spec.name}] of {work.name}, {work.location}"
    reading = Reading(
        work.customer.time_zone,
        getattr(options, "timestamp_format", None),
        getattr(options, "date_format", None),
        numbers=NumberFormat.of(options),
    )
    to_conform = partial(
        conform,
        table=work.spec.table,
        mapping=declared.columns,
        zone=reading.zone,
        timestamp_format=reading.timestamp_format,
        date_format=reading.date_format,
        numbers=reading.numbers,
        name=name,
        export=exports.export(as_read, work.exports, options, work.customer.time_zone),
        also_read=[declared.where] if declared.where else [],
        personal=work.hashed,
        watermark=declared.watermark,
        looked_at=work.looked_at,
        not_a_user=work.customer.not_a_user,
        bill_key=declared.bill_key,
    )

    def newer(rows: DataFrame) -> DataFrame:
        return to_conform(rows).where(watermarks.is_new(work.since)) if work.since else to_conform(rows)

    if declared.where:
        as_read, left, is_null = row_filter.divided(as_read, declared.where, name, work.looked_at, reading)
        work.left_out = row_filter.NOTHING if work.since else row_filter.counted(declared.where, left, is_null)
    frame = with_unfit(newer(as_read), work.unfit)
    if declared.where and work.since:
        frame = frame.unionByName(row_filter.marked(newer(left)))
    elif declared.where and (parted := exports.replaced_by_nothing(frame, newer(left), work.spec, work.exports)):
        frame, replaced = parted
        if many := replaced.count():
            work.left_out = replace(work.left_out, rows=work.left_out.rows + many, replaced=many)
    if is_anybody_forgotten(work.lake, work.name):  # before anything of a forgotten user is written
        everybodys, frame = frame, without_forgotten(work.lake, work.name, frame, work.key())
        work.forgotten = rows_of_forgotten(work.lake, work.name, everybodys, work.key())
    if work.hashed:
        secret = mentioned(as_read.columns, [declared.columns[name] for name in work.hashed])
        parts = bill_keys.hashed(declared.bill_key, work.spec.table, declared.columns, work.hashed, secret)
        frame = pseudonymized(frame, (*work.hashed, *parts), secret, work.key())
    return ids.marked(placed_by_key(frame, work.told_by) if declared.query else frame, work.ids)
