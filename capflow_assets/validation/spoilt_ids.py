"""Ids that a program has taken for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from capflow_assets.contract import Finding
from capflow_assets.errors import listed

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

# As Excel (1.23457E+12) and pandas (1.23457e+12) write a long number; 3E10, without a plus, may be an article.
ROUNDED = r"^[0-9]([.,][0-9]+)?[eE][+][0-9]{2,3}$|^#{3,}$"
WITH_FRACTION = "^[0-9]+[.]0+$"
SHOWN = 3


class _Column(NamedTuple):
    name: str
    rows: int
    rounded: int
    with_fraction: int


def spoilt_ids(bills: DataFrame, line_items: DataFrame | None = None, *, at_most_share_pct: float = 0.0) -> Finding:
    """Whether ids are as they were given: none rounded as a spreadsheet shows it, none twice, as ``12`` and ``12.0``.

    ``1.23457E+12`` stood for many ids, which are now one; only the source knows what it was. Ids such as ``12.0`` are
    left alone where there is no ``12``, for they may be meant. Users, bills and stores on bills are checked, and items
    on line items, and rows are counted; ``at_most_share_pct`` of the rows of a column may break it.
    """
    tables: list[tuple[str, DataFrame, tuple[str, ...]]] = [("bills", bills, ("user_id", "bill_id", "store_id"))]
    if line_items is not None:
        tables.append(("line items", line_items, ("item_id",)))
    complaints: list[str] = []
    spoilt_rows: dict[str, float] = {}
    for table, frame, names in tables:
        for column in _counted(frame, names):
            allowed = at_most_share_pct * column.rows / 100
            if column.rounded > allowed:
                spoilt_rows[f"{column.name}_rounded_rows"] = column.rounded
                what = f"{column.name} of {column.rounded:,} {table} is rounded, as a spreadsheet shows long numbers"
                complaints.append(f"{what}: {listed(_examples(frame, column.name))}")
            if column.with_fraction > allowed and (twice := _twice(frame, column.name)):
                spoilt_rows[f"{column.name}_twice_rows"] = column.with_fraction
                complaints.append(f"{column.name} of {column.with_fraction:,} {table} is there twice: {listed(twice)}")
    do = "; export these columns as text, from the system that made them" if complaints else ""
    return Finding(
        "spoilt_ids",
        not complaints,
        ("; ".join(complaints) or "no id looks like a rounded number") + do,
        "warn",
        spoilt_rows,
    )


def _is_rounded(name: str) -> Expression:
    from pyspark.sql import functions as F

    return F.col(name).rlike(ROUNDED)


def _counted(frame: DataFrame, names: tuple[str, ...]) -> Iterator[_Column]:
    from pyspark.sql import functions as F

    sums = [
        part.alias(f"{name}_{place}")
        for name in names
        for place, part in enumerate(
            (F.count(name), F.count_if(_is_rounded(name)), F.count_if(F.col(name).rlike(WITH_FRACTION)))
        )
    ]
    row = frame.agg(*sums).collect()[0]
    return (_Column(name, *(int(row[f"{name}_{place}"]) for place in range(3))) for name in names)


def _examples(frame: DataFrame, name: str) -> list[str]:
    from pyspark.sql import functions as F

    rows = frame.where(_is_rounded(name)).groupBy(name).agg(F.count(F.lit(1)).alias("rows"))
    return [row[0] for row in rows.orderBy(F.desc("rows"), name).limit(SHOWN).collect()]


def _twice(frame: DataFrame, name: str) -> list[str]:
    """Some ids that are there with a fraction of zeros and without."""
    from pyspark.sql import functions as F

    whole = F.regexp_replace(name, "[.]0+$", "")
    ids = frame.where(F.col(name).rlike(r"^[0-9]+([.]0+)?$")).select(F.col(name).alias("id"), whole.alias("whole"))
    both = ids.groupBy("whole").agg(F.count_distinct("id").alias("ids"), F.max("id").alias("other")).where("ids > 1")
    return [f"{row['other']} beside {row['whole']}" for row in both.orderBy("whole").limit(SHOWN).collect()]
