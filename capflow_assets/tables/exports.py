"""A raw table that comes in several exports: which one each row came with, and whether any of them overlap.

A table that came in one is not looked at, and one whose exports share no key lands without that column: nothing that
is made of it has to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capflow_assets.blueprint.specs import TableSpec
from capflow_assets.contract import EXPORT, Finding, HasFiles, LabelsRows, Source
from capflow_assets.customers.customer import Customer, TableSource
from capflow_assets.expressions.exports import later
from capflow_assets.landing import exports
from capflow_assets.landing.mappings import LABEL, POSITION
from capflow_assets.landing.rejections import REASON
from capflow_assets.landing.values import Reading

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class Exports:
    """What is known of a table's exports before its rows are read: what that of each file is called, if there are
    several, or the column that tells."""

    table: str
    by: str | None
    labels: Mapping[str, str]
    column: str | None

    @property
    def are_several(self) -> bool:
        """Whether rows may have come with different ones."""
        return bool(self.labels or self.column)


def exports_of(source: Source | None, declared: TableSource, spec: TableSpec, location: str, options: Any) -> Exports:
    """The exports of a raw table; the files are listed where it matters alone.

    Raises:
        SourceError: the files cannot be listed.
    """
    by = declared.exports_by
    if not exports.is_overlap_possible(spec.name, declared.watermark):
        return Exports(spec.name, by, {}, None)
    column = exports.column(by)
    if column or not isinstance(source, HasFiles):
        return Exports(spec.name, by, {}, column)
    return Exports(
        spec.name, by, exports.labels(source.exports(location, options, with_times=by == exports.BY_TIME), by), None
    )


def read_in_parts(spark: SparkSession, source: Source, location: str, options: Any, known: Exports) -> DataFrame | None:
    """The rows with their exports' labels, of a source that tells no places; None where it has other ways."""
    if not known.labels or not isinstance(source, LabelsRows):
        return None
    return source.read_labelled(spark, location, options, known.labels)


def with_labels(frame: DataFrame, source: Source, options: Any, known: Exports) -> DataFrame:
    """The rows with their exports' labels, by their places."""
    from pyspark.sql import functions as F

    if not known.labels or LABEL in frame.columns or POSITION not in frame.columns or not isinstance(source, HasFiles):
        return frame
    return exports.labelled(frame, source.file_of(F.col(POSITION), options), known.labels)


def export(frame: DataFrame, known: Exports, options: Any, zone: str) -> Expression | None:
    """The export that each row of the source came with; None where there is one alone.

    ``options`` of the source say how times are written in the column that tells it, if one does.

    Raises:
        MappingError: the source has no such column.
    """
    from pyspark.sql import functions as F

    if known.column:
        reading = Reading(zone, getattr(options, "timestamp_format", None), getattr(options, "date_format", None))
        return F.coalesce(exports.reading(frame, known.column, reading, f"[tables.{known.table}]"), F.lit(""))
    return F.coalesce(F.col(LABEL), F.lit("")) if LABEL in frame.columns else None


def overlap(frame: DataFrame | None, spec: TableSpec, known: Exports) -> dict[str, Any] | None:
    """What several of the exports share; None where they share nothing. Asked of those alone that are several."""
    if frame is None or not known.are_several or EXPORT not in frame.columns:
        return None
    good = frame.where(f"{REASON} is null")
    shared = exports.overlap(good, exports.key(spec.table)).collect()[0].asDict()
    return shared if shared["shared"] else None


def replaced_by_nothing(
    kept: DataFrame, left_out: DataFrame, spec: TableSpec, known: Exports
) -> tuple[DataFrame, DataFrame] | None:
    """The conformed rows without those whose key a later export has in rows that ``where`` leaves out alone, and these.

    The later export's word holds: a bill that was paid in one and is refunded in the next is not paid. None where there
    are no several exports, or nothing says which is the later.
    """
    from pyspark.sql import functions as F

    is_order_known = known.by is not None or known.table in exports.LISTS
    if not (known.are_several and is_order_known and EXPORT in kept.columns):
        return None
    key = exports.key(spec.table)
    both = kept.select(key, EXPORT, F.lit(True).alias("stays")).unionByName(
        left_out.select(key, EXPORT, F.lit(False).alias("stays"))
    )
    newest = both.groupBy(key).agg(F.max(F.struct(later().alias("export"), "stays")).alias("newest"))
    gone = newest.where("not newest.stays").select(F.col(key).alias("_gone"))
    looked_up = kept.join(gone, kept[key] == gone["_gone"], "left")
    is_gone = F.col("_gone").isNotNull() & F.col(REASON).isNull()
    return looked_up.where(~is_gone).drop("_gone"), looked_up.where(is_gone).drop("_gone")


def finding(known: Exports, shared: Mapping[str, Any] | None) -> tuple[Finding, ...]:
    """Whether it is said which export is later; nothing of tables where it never matters."""
    if known.table not in exports.TABLES:
        return ()
    return (exports.finding(known.table, known.by, len(set(known.labels.values())), shared),)


def cleaning_values(customer: Customer) -> dict[str, Any]:
    """What a TOML says of cleaning: of equal line items, and the raw tables of which it says which export is later."""
    lines = customer.tables.get("line_items")
    ordered = frozenset(name for name, table in customer.tables.items() if table.exports_by is not None)
    return {"equal_lines": lines.equal_lines if lines else "keep", "ordered_exports": ordered}
