from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from capflow_assets.features.recursive import recursive
from capflow_assets.features.recursive_columns import TABLE, Params, recursive_columns
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

USERS = 40
EARLIER = AS_OF - timedelta(days=30)


def candidates_of(spark: SparkSession, as_of: Any = AS_OF, turn: int = 0) -> DataFrame:
    """Forty users: of ``n`` the amounts 0 to 39, and what follows from n or does not."""
    drawn = np.random.default_rng(turn).permutation(USERS)
    rows = [
        (
            *(f"u{n:02}", as_of, n, float(n), float(n), 2.0 * n + (n % 2), float(drawn[n]), 7.0),
            *(1.0 if n == 0 else None, float(n) if n < 30 else None),
        )
        for n in range(USERS)
    ]
    columns = "bills_count int, bills_mean_amount double, bills_max_amount double, bills_sum_quantity double"
    more = "bills_std_hour double, bills_min_weekday double, bills_std_amount_28d double, bills_mean_discount double"
    return spark.createDataFrame(rows, f"user_id string, as_of timestamp, {columns}, {more}")


REASONS = [
    ("bills_count", True, None),
    ("bills_max_amount", False, "duplicate of bills_count"),
    ("bills_mean_amount", False, "duplicate of bills_count"),
    ("bills_mean_discount", False, "over-correlated with bills_count: r = 1.0000"),
    ("bills_min_weekday", False, "constant: 7 wherever it is known"),
    ("bills_std_amount_28d", False, "nearly empty: known for 2.50 % of users, below 5 %"),
    ("bills_std_hour", True, None),
    ("bills_sum_quantity", False, "over-correlated with bills_count: r = 0.9998"),
]


def test_each_reason(spark: SparkSession) -> None:
    """The amount's mean is n itself, its greatest too; the sum of quantities 2 n or 2 n + 1."""
    table = recursive_columns(candidates_of(spark), as_of=AS_OF)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert rows_of(table, "column", "is_kept", "reason") == REASONS


def test_what_is_known_for_more_users_is_not_replaced(spark: SparkSession) -> None:
    known = candidates_of(spark).select("user_id", "as_of", "bills_mean_amount", "bills_mean_discount")
    frame = known.toDF("user_id", "as_of", "bills_mean_discount", "bills_max_amount")
    kept = rows_of(recursive_columns(frame, as_of=AS_OF).filter("is_kept"), "column")
    # The largest amount, whose formula is the shorter, is known for thirty of forty users only.
    assert {("bills_max_amount",), ("bills_mean_discount",)} <= set(kept)


def test_looser_limits_keep_more(spark: SparkSession) -> None:
    loose = Params(min_fill_pct=0, max_correlation=1.0)
    table = recursive_columns(candidates_of(spark), as_of=AS_OF, params=loose)
    reasons = dict(rows_of(table, "column", "reason"))
    assert reasons["bills_sum_quantity"] is None
    assert reasons["bills_std_amount_28d"] == "constant: 1 wherever it is known"


def test_each_moment_is_judged_by_its_own_users(spark: SparkSession) -> None:
    both = candidates_of(spark).union(candidates_of(spark, EARLIER, turn=1).filter("bills_count < 20"))
    together = rows_of(recursive_columns(both, as_of=[AS_OF, EARLIER]))
    alone = [row for moment in (AS_OF, EARLIER) for row in rows_of(recursive_columns(both, as_of=moment))]
    assert together == sorted(alone, key=repr)


def test_only_what_is_kept_at_the_newest_moment_stays(spark: SparkSession) -> None:
    both = candidates_of(spark).union(candidates_of(spark, EARLIER).withColumn("bills_std_hour", unknown()))
    moments = [EARLIER, AS_OF]
    table = recursive(both, recursive_columns(both, as_of=moments), as_of=moments)
    assert table.columns == ["user_id", "as_of", "bills_count", "bills_std_hour"]
    assert table.count() == 2 * USERS


def unknown() -> Any:
    from pyspark.sql import functions as F

    return F.lit(None).cast("double")


def test_the_sample_is_bounded_and_always_the_same(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    frame = spark.range(2000).select(
        F.concat(F.lit("u"), "id").alias("user_id"), F.lit(AS_OF).alias("as_of"), F.col("id").alias("bills_count")
    )
    samples = [rows_of(recursive_columns(frame, as_of=AS_OF, params=Params(users_sampled=500))) for _ in range(2)]
    assert samples[0] == samples[1]
    assert samples[0][0][-1] == pytest.approx(500, rel=0.2)


def test_no_rows(spark: SparkSession) -> None:
    none = candidates_of(spark).filter("false")
    table = recursive_columns(none, as_of=AS_OF)
    assert set(rows_of(table, "is_kept", "fill_pct", "std", "users_sampled")) == {(False, 0.0, None, 0)}
    assert recursive(none, table, as_of=AS_OF).columns == ["user_id", "as_of"]


def test_the_formula_is_reported(spark: SparkSession) -> None:
    table = recursive_columns(candidates_of(spark), as_of=AS_OF)
    names = ("column", "formula", "depth", "window", "unit", "source_tables", "fill_pct", "users_sampled")
    rows = {row[0]: row[1:] for row in rows_of(table, *names)}
    assert rows["bills_std_amount_28d"] == ("std(bills.amount)", 1, "28 days", "currency", "clean/bills", 2.5, 40)
    assert rows["bills_std_hour"][:2] == ("std(bills.hour(billed_at))", 2)
    ((deviation,),) = rows_of(table.filter("column = 'bills_count'"), "std")
    # Of 0 to 39: 40 * 41 / 12.
    assert deviation == pytest.approx((40 * 41 / 12) ** 0.5)
