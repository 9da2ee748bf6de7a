from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.features.recursive_candidates import TABLE, Params, recursive_candidates
from capflow_assets.raw.stores import TABLE as STORES
from capflow_assets.synthesis.features import synthesis
from capflow_assets.synthesis.shards import shard_of
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

# Ana's bill of 28 June lies in all windows, that of 3 June is the first day of 28, that of 1 April the first of 91.
BILLS = (
    bill("ana", "2024-03-31", 4.0) | {"bill_id": "a0", "store_id": "north", "discount": 1.0},
    bill("ana", "2024-04-01", 20.0) | {"bill_id": "a1", "store_id": "north"},
    bill("ana", "2024-06-28", 30.0) | {"bill_id": "a2", "store_id": "süd"},
    bill("bea", "2024-02-29", 7.0) | {"bill_id": "b0"},
    bill(None, "2024-06-29", 99.0) | {"bill_id": "x0"},
)
# By bill: amount, quantity, discount and item of each row.
ROWS = {
    "a0": ((4.0, 1.0, 1.0, "tea"),),
    "a1": ((12.0, 2.0, 0.0, "tea"), (8.0, 1.0, 2.0, "cup")),
    "a2": ((10.0, 1.0, None, "tea"), (16.0, 4.0, 0.0, "té"), (4.0, 1.0, 0.0, "gone")),
    "x0": ((99.0, 1.0, 0.0, "tea"),),
}


def lines_of(spark: SparkSession, bills: Any = BILLS, rows: Any = None) -> DataFrame:
    heads = {row["bill_id"]: row for row in bills}
    line_rows = [
        {"bill_id": name, "line_no": number, "item_id": item, "amount": amount, "quantity": quantity}
        | {"discount": discount, "is_return": amount < 0, "flags": ""}
        | {key: heads[name][key] for key in ("user_id", "billed_at", "billed_on")}
        for name, lines in (ROWS if rows is None else rows).items()
        for number, (amount, quantity, discount, item) in enumerate(lines, 1)
    ]
    return frame_of(spark, LINES, line_rows)


def items_of(spark: SparkSession) -> DataFrame:
    rows = [
        {"item_id": "tea", "category": "drinks", "price": 11.0, "own_brand": True, "flags": ""},
        {"item_id": "té", "category": "drinks", "price": 5.0, "own_brand": False, "flags": ""},
        {"item_id": "cup", "category": "ware", "price": 8.0, "flags": ""},
    ]
    return frame_of(spark, ITEMS, rows)


def stores_of(spark: SparkSession) -> DataFrame:
    return frame_of(spark, STORES, [{"store_id": "north", "city": "Oslo"}, {"store_id": "süd", "city": "Oslo"}])


def world(spark: SparkSession, as_of: Any = AS_OF, **settings: Any) -> DataFrame:
    frames = (frame_of_bills(spark), lines_of(spark), items_of(spark), stores_of(spark))
    return recursive_candidates(*frames, as_of=as_of, zone=ZONE, params=Params(**settings))


def frame_of_bills(spark: SparkSession) -> DataFrame:
    return bills_of(spark, BILLS)


def of_user(frame: DataFrame, user: str = "ana") -> dict[str, Any]:
    (row,) = frame.filter(f"user_id = '{user}'").collect()
    return row.asDict()


def test_figures_by_hand(spark: SparkSession) -> None:
    """Ana's bills of 4, 20 and 30, whose rows are 4 | 12, 8 | 10, 16, 4."""
    features = of_user(world(spark, depth=3))
    expected = {
        "bills_count": 3,
        "bills_sum_amount": 54.0,
        "bills_mean_amount": 18.0,
        # (14^2 + 2^2 + 12^2) / 2 = 172
        "bills_std_amount": pytest.approx(172**0.5),
        "bills_last_amount": 30.0,
        "bills_n_unique_store_id": 2,
        "bills_n_unique_stores_city": 1,
        "bills_mean_of_line_items_max_amount": 32 / 3,
        "bills_max_of_line_items_min_amount": 8.0,
        "bills_mean_of_line_items_count": 2.0,
        "bills_std_of_line_items_count": 1.0,
        # One, two and three items; one, two and one category.
        "bills_mean_of_line_items_n_unique_item_id": 2.0,
        "bills_mean_of_line_items_n_unique_items_category": pytest.approx(4 / 3),
        "line_items_count": 6,
        "line_items_mean_amount": 9.0,
        "line_items_max_amount": 16.0,
        # 4, 6, 8, 10, 4, 4
        "line_items_mean_unit_price": 6.0,
        # Known of tea three times and of té; a1's is of its one known row.
        "line_items_share_true_items_own_brand": 0.75,
        "bills_mean_of_line_items_share_true_items_own_brand": pytest.approx((1 + 1 + 0.5) / 3),
        # 1/5, 0, 2/10, unknown, 0, 0
        "line_items_mean_discount_share": pytest.approx(0.08),
        "bills_mean_of_line_items_max_discount_share": pytest.approx(0.4 / 3),
        "bills_max_discount_share": 0.2,
        "bills_min_hour": 12.0,
        # Sunday, Monday, Friday.
        "bills_mean_weekday": pytest.approx(13 / 3),
        "bills_share_true_is_weekend": pytest.approx(1 / 3),
    }
    assert {name: features[name] for name in expected} == expected


def test_windows_end_with_their_first_day(spark: SparkSession) -> None:
    features = of_user(world(spark))
    names = ("bills_count", "bills_sum_amount", "bills_mean_of_line_items_max_amount", "bills_std_amount")
    assert [features[f"{name}_91d"] for name in names] == [2, 50.0, 14.0, pytest.approx(50**0.5)]
    assert [features[f"{name}_28d"] for name in names] == [1, 30.0, 16.0, None]


def test_who_has_no_line_items_has_none_and_nothing_else(spark: SparkSession) -> None:
    features = of_user(world(spark), "bea")
    assert (features["bills_count"], features["bills_count_91d"], features["bills_sum_amount_91d"]) == (1, 0, 0.0)
    assert (features["line_items_count"], features["line_items_sum_amount"], features["line_items_mean_amount"]) == (
        0,
        0.0,
        None,
    )
    assert (features["bills_mean_of_line_items_count"], features["bills_mean_of_line_items_max_amount"]) == (0.0, None)
    assert (features["bills_n_unique_store_id"], features["bills_n_unique_store_id_28d"]) == (0, 0)


def test_tables_that_are_missing_give_no_columns(spark: SparkSession) -> None:
    table = recursive_candidates(bills_of(spark, SHOPPERS), as_of=AS_OF, zone=ZONE)
    assert not [name for name in table.columns if "line_items" in name or "stores" in name]
    assert rows_of(table, "user_id", "bills_count") == [("ana", 6), ("bea", 2), ("cem", 1), ("dan", 1)]
    assert table.columns[:2] == list(TABLE.names)
    assert len(world(spark).columns) == 2 + len(synthesis(2, (91, 28))) > 202


def test_no_rows(spark: SparkSession) -> None:
    assert rows_of(recursive_candidates(bills_of(spark, []), lines_of(spark, rows={}), as_of=AS_OF, zone=ZONE)) == []


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    later = [row | {"bill_id": f"f{number}"} for number, row in enumerate(FUTURE)]
    rows = ROWS | {row["bill_id"]: ((5.0, 1.0, 0.0, "tea"),) for row in later}
    bills, lines = bills_of(spark, [*later, *BILLS]), lines_of(spark, [*later, *BILLS], rows)
    table = recursive_candidates(bills, lines, items_of(spark), stores_of(spark), as_of=AS_OF, zone=ZONE)
    assert rows_of(table) == rows_of(world(spark))


FUTURE_MOMENT = AS_OF + timedelta(days=1)
MOMENTS = (datetime(2024, 4, 1, 10, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC), AS_OF)


def straddling(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """Ana's bill of 1 April is paid an hour after the first moment but for a row; bea's has all its rows days later."""
    from pyspark.sql import functions as F

    hour = timedelta(hours=1)
    rows = ROWS | {"b0": ((7.0, 1.0, 0.0, "cup"),)}
    lines = lines_of(spark, rows=rows)
    late = F.when(F.expr("bill_id = 'a1' and line_no = 1"), F.lit(MOMENTS[0] + hour))
    late = late.when(F.expr("bill_id = 'b0'"), F.lit(MOMENTS[1] + hour))
    early = [row | ({"billed_at": MOMENTS[0] - hour} if row["bill_id"] == "a1" else {}) for row in BILLS]
    first = F.when(F.expr("bill_id = 'a1'"), F.lit(MOMENTS[0] - hour))
    return bills_of(spark, early), lines.withColumn("billed_at", F.coalesce(late, first, "billed_at"))


def test_many_moments_are_as_one_by_one(spark: SparkSession) -> None:
    frames = (*straddling(spark), items_of(spark), stores_of(spark))
    params = Params(depth=3)
    together = recursive_candidates(*frames, as_of=MOMENTS, zone=ZONE, params=params)
    alone = [
        row
        for moment in MOMENTS
        for row in rows_of(recursive_candidates(*frames, as_of=moment, zone=ZONE, params=params))
    ]
    assert rows_of(together) == sorted(alone, key=repr)
    counts = rows_of(together.filter("user_id = 'ana'"), "as_of", "line_items_count", "bills_count")
    assert [count for _, *count in counts] == [[2, 2], [3, 2], [6, 3]]


def test_a_moment_that_knows_nobody_has_no_row(spark: SparkSession) -> None:
    assert rows_of(world(spark, (datetime(2000, 1, 1, tzinfo=UTC), AS_OF))) == rows_of(world(spark))


@pytest.mark.parametrize("as_of", [AS_OF, MOMENTS])
def test_without_windows_there_is_all_time_and_it_is_the_same(spark: SparkSession, as_of: Any) -> None:
    frames = (*straddling(spark), items_of(spark), stores_of(spark))
    alone, beside = (
        recursive_candidates(*frames, as_of=as_of, zone=ZONE, params=Params(windows_days=days)) for days in ((), (28,))
    )
    assert alone.columns == [name for name in beside.columns if not name.endswith("_28d")]
    assert rows_of(alone) == rows_of(beside.select(*alone.columns))


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    def candidates_on(session: SparkSession) -> list[tuple[Any, ...]]:
        frames = (*straddling(session), items_of(session), stores_of(session))
        return rows_of(recursive_candidates(*frames, as_of=MOMENTS[1:], zone=ZONE, params=Params(depth=3)))

    assert candidates_on(spark) == candidates_on(jvm)


@pytest.mark.parametrize("as_of", [AS_OF, MOMENTS])
def test_rows_that_come_one_by_one_give_the_same(
    spark: SparkSession, as_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = (*straddling(spark), items_of(spark), stores_of(spark))

    def candidates() -> list[tuple[Any, ...]]:
        return rows_of(recursive_candidates(*frames, as_of=as_of, zone=ZONE, params=Params(depth=3)))

    def one_by_one(batches: Iterable[pa.RecordBatch], plan: Any) -> Any:
        return shard_of((batch.slice(row, 1) for batch in batches for row in range(len(batch))), plan)

    at_once = candidates()
    monkeypatch.setattr("capflow_assets.synthesis.shards.ROWS_AT_ONCE", 2)
    monkeypatch.setattr("capflow_assets.synthesis.scans.KEPT_FOR", 0)
    monkeypatch.setattr("capflow_assets.synthesis.scans.shard_of", one_by_one)
    assert candidates() == at_once


def test_rows_in_any_order_give_the_same(spark: SparkSession) -> None:
    """Two bills of one moment are told apart by number, rows of a bill by theirs; other rows belong to no user."""
    twice = [*BILLS, bill("ana", "2024-06-28", 1.0) | {"bill_id": "a10"}]
    rows = ROWS | {"a10": ((0.7, 1.0, 0.0, "tea"), (0.3, 1.0, 0.0, "cup"), (0.1, 1.0, 0.0, "té"))}

    def candidates(turn: int) -> list[tuple[Any, ...]]:
        bills, lines = bills_of(spark, twice[::turn]), lines_of(spark, twice, dict(list(rows.items())[::turn]))
        frames = (bills, lines.repartition(3).orderBy("line_no", ascending=turn > 0), items_of(spark), stores_of(spark))
        return rows_of(recursive_candidates(*frames, as_of=AS_OF, zone=ZONE))

    assert candidates(1) == candidates(-1)
    newest = recursive_candidates(bills_of(spark, twice), as_of=AS_OF, zone=ZONE)
    # In the order of texts "a10" comes before "a2".
    assert of_user(newest)["bills_last_amount"] == 30.0


def test_a_line_item_of_another_user_or_none_is_left_out(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    other = F.expr("case when bill_id = 'a2' and line_no = 1 then 'bea' when bill_id = 'a1' then null else user_id end")
    frames = (frame_of_bills(spark), lines_of(spark).withColumn("user_id", other))
    table = recursive_candidates(*frames, as_of=AS_OF, zone=ZONE)
    ana, bea = of_user(table), of_user(table, "bea")
    # Of her six those of 10, and of the whole bill of 12 and 8, are gone.
    assert (ana["line_items_count"], ana["line_items_sum_amount"], ana["bills_count"]) == (3, 24.0, 3)
    assert (bea["line_items_count"], bea["bills_mean_of_line_items_count"]) == (0, 0.0)


def test_a_bill_without_a_time_is_the_first_and_in_no_window(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    timeless = (F.when(F.expr("bill_id != 'a2'"), F.col(name)).alias(name) for name in ("billed_at", "billed_on"))
    rest = [name for name in bills_of(spark, BILLS).columns if name not in ("billed_at", "billed_on")]
    bills = frame_of_bills(spark).select(*rest, *timeless)
    for as_of in (AS_OF, (AS_OF, FUTURE_MOMENT)):
        features = of_user(recursive_candidates(bills, as_of=as_of, zone=ZONE).filter(F.col("as_of") == F.lit(AS_OF)))
        assert (features["bills_count"], features["bills_sum_amount"], features["bills_last_amount"]) == (3, 54.0, 20.0)
        assert (features["bills_count_91d"], features["bills_count_28d"], features["bills_mean_hour"]) == (1, 0, 12.0)


def test_days_that_run_backwards_lie_in_their_own_windows(spark: SparkSession) -> None:
    """In some zones clocks went back over midnight: the later of two bills is then the earlier day's."""
    rows = [
        bill("ana", "2024-06-03", 5.0),
        bill("ana", "2024-06-03", 7.0, time(13)) | {"billed_on": date(2024, 6, 2)},
        bill("ana", "2024-06-03", 9.0, time(14)),
    ]
    features = of_user(recursive_candidates(bills_of(spark, rows), as_of=AS_OF, zone=ZONE))
    assert (features["bills_sum_amount"], features["bills_sum_amount_28d"]) == (21.0, 14.0)


def test_numbers_too_large_are_left_out(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-06-01", amount) for amount in (1e13, 5.0, float("nan"))]
    features = of_user(recursive_candidates(bills_of(spark, rows), as_of=AS_OF, zone=ZONE))
    assert (features["bills_sum_amount"], features["bills_mean_amount"], features["bills_count"]) == (5.0, 5.0, 3)


def test_the_hour_is_the_customers(spark: SparkSession) -> None:
    """On 31 March 2024 clocks in Madrid went from 2 to 3: 01:30 UTC is half past three."""
    row = bill("ana", "2024-03-31", 1.0) | {"billed_at": datetime(2024, 3, 31, 1, 30, tzinfo=UTC)}
    assert of_user(recursive_candidates(bills_of(spark, [row]), as_of=AS_OF, zone=ZONE))["bills_mean_hour"] == 3.0
