"""Newer rows into a raw table: those of a key that has landed take the place of what it held, the others are added.

Rows that lie there already, as those at the newest watermark do, change nothing. The change is one commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from capflow_assets.landing.rejections import REASON
from capflow_assets.landing.watermarks import has_key
from capflow_assets.stores.fingerprints import Fingerprint, fingerprint_of, halves, row_hash
from capflow_assets.stores.lake import Lake
from capflow_assets.stores.written_files import WrittenFiles, written

if TYPE_CHECKING:
    from pyspark.sql import Column as Expression
    from pyspark.sql import DataFrame

SIGN = "_sign"


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a batch: the table's version after it, and by how much the table's rows changed."""

    version: int | None
    change: Fingerprint
    replaced: int = 0


def merge(
    lake: Lake, customer: str, table: str, batch: WrittenFiles, columns: Mapping[str, str], key: Sequence[str]
) -> Merged:
    """Bring a batch (a conformed frame, written) into ``table``. No version where it changes nothing."""
    from pyspark.sql import functions as F

    frame = batch.frame
    assert frame is not None  # noqa: S101  (an empty batch has nothing to merge)
    with lake.staged(_changes(frame, lake.table(customer, table), columns, key), customer, f"{table}_changes") as keys:
        totals = keys.agg(
            F.count_if("is_changed"),
            F.count_if(~F.col("is_changed")),
            F.sum(F.when(F.col("is_changed"), F.col("replaced"))),
            *(F.sum(name) for name in ("rows", "low", "high")),
        ).collect()[0]
        changed, unchanged, replaced = (int(number or 0) for number in totals[:3])
        if not changed:
            return Merged(None, Fingerprint(0, 0))
        change = fingerprint_of(totals[3:])
        if not replaced and not unchanged and not frame.where(F.col(REASON).isNotNull()).limit(1).count():
            return Merged(batch.commit(columns, "append"), change)
        changed_keys = keys.where("is_changed").select(*key)
        good = frame.where(F.col(REASON).isNull()).select(*columns)
        rows = good.join(changed_keys, _same(good, changed_keys, key), "left_semi")
        if replaced:
            return Merged(lake.replace_keys(rows, changed_keys, customer, table), change, replaced)
        with written(lake, rows, customer, table) as files:
            return Merged(files.commit(columns, "append"), change)


def _changes(frame: DataFrame, table: DataFrame, columns: Mapping[str, str], key: Sequence[str]) -> DataFrame:
    """One row per key of the batch: whether its rows are others than the table's, how many go, and the sums of both."""
    from pyspark.sql import functions as F

    batch = frame.where(has_key(key))
    keys = batch.select(*key).distinct()
    before = table.join(keys, _same(table, keys, key), "left_semi")
    is_good = F.col(REASON).isNull().cast("int")
    signed = [
        before.select(*key, row_hash(columns.items()).alias("hash"), F.lit(-1).alias(SIGN)),
        batch.select(*key, row_hash(columns.items()).alias("hash"), is_good.alias(SIGN)),
    ]
    sign, (low, high) = F.col(SIGN), halves(F.col("hash"))
    sums = reduce(lambda one, other: one.unionByName(other), signed).groupBy(*key)
    summed = sums.agg(
        F.sum(sign).alias("rows"),
        F.sum(sign * low).alias("low"),
        F.sum(sign * high).alias("high"),
        F.count_if(sign < 0).alias("replaced"),
    )
    return summed.withColumn("is_changed", F.expr("`rows` <> 0 OR `low` <> 0 OR `high` <> 0"))


def _same(one: DataFrame, other: DataFrame, key: Sequence[str]) -> Expression:
    return reduce(and_, (one[name].eqNullSafe(other[name]) for name in key))
