from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.features.item_features import TABLE, Params, item_features, plot
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.basket_rows import lines_of, sold
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = (
    sold("ana", "2024-06-30", "tea", 6.0, quantity=2.0, discount=2.0),
    sold("ana", "2024-06-02", "tea", 2.0, discount=0.0),  # 28 days back: in the 28 days before
    sold("bea", "2024-04-01", "tea", 4.0, quantity=2.0),  # 90 days back: the last day of 91
    sold("bea", "2024-03-31", "tea", 3.0, quantity=2.0),  # 91 days back: the first day before
    sold(None, "2024-06-29", "tea", 2.0, quantity=0.0),
    sold("ana", "2024-06-30", "tea", -2.0, quantity=-1.0),
    sold("ana", "2024-06-30", "jam", 5.0),
    sold("bea", "2024-04-01", "jam", 5.0),
    sold("cem", "2024-06-30", "back", -5.0, quantity=-1.0),
    sold("cem", "2024-06-30", "post", 5.0, flags="not_an_item"),
)
LATE = (sold("ana", "2024-06-30", "tea", 99.0, time(23)), sold("eva", "2024-07-02", "new", 99.0))


def table_of(session: SparkSession, rows: Any, as_of: Any = AS_OF, params: Params | None = None) -> Any:
    items = frame_of(session, ITEMS, [{"item_id": "tea", "price": 4.0}, {"item_id": "jam", "price": 0.0}])
    return item_features(lines_of(session, rows), items, as_of=as_of, zone=ZONE, params=params)


def test_figures_by_hand(spark: SparkSession) -> None:
    frame = table_of(spark, ROWS)
    assert frame.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert rows_of(frame, "item_id") == [("back",), ("jam",), ("tea",)]
    tea = frame.filter("item_id = 'tea'")
    counts = ("days_since_first_sold", "days_since_last_sold", "lines_sold", "lines_sold_28d", "lines_sold_91d")
    assert rows_of(tea, *counts) == [(91, 0, 5, 2, 4)]
    assert rows_of(tea, "buyers", "buyers_28d", "buyers_91d", "repeat_buyers_share") == [(2, 1, 2, 1.0)]
    # Two rows now (30 and 29 June), one before (2 June).
    assert rows_of(tea, "trend_28d", "pieces_sold", "pieces_sold_91d") == [(1 / 3, 6.0, 4.0)]
    assert rows_of(tea, "revenue", "revenue_28d", "revenue_91d") == [(15.0, 6.0, 12.0)]
    # 15 paid for 7 pieces; lately 12 for 5, before 3 for 2.
    names = ("price_avg", "price_last", "price_avg_91d", "price_change_91d_pct", "price_to_list_ratio")
    assert rows_of(tea, *names) == [(15 / 7, 3.0, 2.4, pytest.approx(60.0), 0.75)]
    assert rows_of(tea, "discount_given_share", "returned_lines_share") == [(0.2, 1 / 6)]


def test_an_item_only_brought_back_has_counts_and_no_ratios(spark: SparkSession) -> None:
    back = table_of(spark, ROWS).filter("item_id = 'back'")
    names = ("buyers", "lines_sold", "sold_rank_share", "revenue", "price_avg", "trend_28d", "co_purchased")
    # The least sold of three: half of itself.
    assert rows_of(back, *names) == [(0, 0, 0.5 / 3, -5.0, None, None, None)]


def test_a_list_price_of_nothing_gives_no_ratio(spark: SparkSession) -> None:
    assert rows_of(table_of(spark, ROWS).filter("item_id = 'jam'"), "price_to_list_ratio") == [(None,)]


def basket(number: int, *items: str) -> list[dict[str, Any]]:
    return [sold("ana", "2024-06-20", item, bill_id=f"b{number}") for item in items]


def test_what_is_bought_together(spark: SparkSession) -> None:
    """Bread is on every bill; tea and jam on the same two: 2/sqrt(2*2) = 1 beats 2/sqrt(2*4)."""
    bills = (("bread", "tea", "jam"), ("bread", "tea", "jam", "jam"), ("bread", "oil"), ("bread",))
    rows = [row for number, items in enumerate(bills) for row in basket(number, *items)]
    companions = dict(rows_of(table_of(spark, rows), "item_id", "co_purchased"))
    # Of bread: jam and tea 2/sqrt(8), in the order of what sold more (jam 3 rows), then oil 1/sqrt(4).
    assert companions == {
        "bread": ["jam", "tea", "oil"],
        "tea": ["jam", "bread"],
        "jam": ["tea", "bread"],
        "oil": ["bread"],
    }
    few = dict(rows_of(table_of(spark, rows, params=Params(co_items=2, co_purchased=1)), "item_id", "co_purchased"))
    assert few == {"bread": ["jam"], "jam": ["bread"], "tea": None, "oil": None}
    short = dict(rows_of(table_of(spark, rows, params=Params(co_items_per_bill=2)), "item_id", "co_purchased"))
    assert short == {"bread": ["jam", "oil"], "jam": ["bread"], "oil": ["bread"], "tea": None}


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    assert rows_of(table_of(spark, [*LATE, *ROWS[::-1]])) == rows_of(table_of(spark, ROWS))


def test_many_moments_and_both_engines(spark: SparkSession, jvm: SparkSession) -> None:
    moments = (AS_OF, datetime(2024, 6, 30, 10, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC))
    rows = [*ROWS, *LATE, *basket(1, "tea", "jam", "oil"), *basket(2, "tea", "oil")]
    together = rows_of(table_of(spark, rows, moments))
    assert together == sorted((row for one in moments for row in rows_of(table_of(spark, rows, one))), key=repr)
    assert rows_of(table_of(jvm, rows, moments)) == together


def test_no_rows_and_no_catalogue(spark: SparkSession) -> None:
    none = item_features(lines_of(spark, []), as_of=AS_OF, zone=ZONE)
    assert rows_of(none) == []
    assert plot(none).axes[0].get_title().startswith("0 items")


def test_the_picture_counts_items(spark: SparkSession) -> None:
    assert plot(table_of(spark, ROWS)).axes[0].get_title().startswith("2 items")
