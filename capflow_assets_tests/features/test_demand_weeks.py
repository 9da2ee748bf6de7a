from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.features.demand_weeks import HISTORY_WEEKS, TABLE, Params, demand_weeks, plot
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.basket_rows import lines_of, sold
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COLUMNS = ("store_id", "category", "week", "pieces", "price_avg")
# The moment is the end of 30 June 2024 in Madrid.
LISTED = {"tea": "drinks", "jam": "food", "bag": None}


def sale(store: str | None, day: str, item: str = "tea", amount: float = 6.0, **more: Any) -> dict[str, Any]:
    return sold("ana", day, item, amount, **{"quantity": 2.0, **more}) | {"store_id": store}


def weeks_of(spark: SparkSession, rows: list[dict[str, Any]], as_of: Any = AS_OF, **params: Any) -> DataFrame:
    items = [{"item_id": item, "category": category, "flags": ""} for item, category in LISTED.items()]
    params = {"params": Params(**params)} if params else {}
    return demand_weeks(lines_of(spark, rows), frame_of(spark, ITEMS, items), as_of=as_of, zone=ZONE, **params)


def test_weeks_are_counted_back_from_the_moments_day(spark: SparkSession) -> None:
    """24 June is the seventh day back, 23 June the eighth; half an hour before midnight in Madrid is still that day."""
    rows = [sale("A", "2024-06-30"), sale("A", "2024-06-24", at=time(0, 30)), sale("A", "2024-06-23", at=time(23, 30))]
    rows += [sale("A", "2024-06-24", quantity=None), sale("A", "2024-06-23", "jam", 1.5, quantity=0.5)]
    rows += [sale("B", "2024-06-30", quantity=None), sale("B", "2024-06-30", amount=-6.0), sale(None, "2024-06-30")]
    rows += [sale("B", "2024-06-30", "bag"), sale("B", "2024-06-30", "unlisted"), sale("A", "2024-07-01")]
    rows += [sale("B", "2024-06-30", flags="zero_quantity,not_an_item")]
    table = weeks_of(spark, rows)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    assert rows_of(table, *COLUMNS) == [
        ("A", "drinks", 0, 5.0, 3.0),
        ("A", "drinks", 1, 2.0, 3.0),
        ("A", "food", 1, 0.5, 3.0),
        ("B", "drinks", 0, 1.0, None),
    ]


def test_history_is_bounded_and_each_moment_has_its_own_weeks(spark: SparkSession) -> None:
    days = [(datetime(2024, 6, 30, tzinfo=UTC) - timedelta(days=7 * week)).date().isoformat() for week in (0, 1, 155)]
    rows = [sale("A", day) for day in (*days, "2021-07-04")]
    early = datetime(2024, 6, 25, tzinfo=UTC)
    table = weeks_of(spark, rows, [AS_OF, early])
    at = {moment: rows_of(table.filter(table.as_of == moment), "week", "pieces") for moment in (early, AS_OF)}
    assert at[AS_OF] == [(0, 2.0), (1, 2.0), (HISTORY_WEEKS - 1, 2.0)]
    assert at[early] == [(0, 2.0), (154, 2.0), (155, 2.0)]


@pytest.mark.parametrize(("series", "kept"), [(1, [("B", "drinks")]), (2, [("A", "drinks"), ("B", "drinks")])])
def test_of_many_pairs_the_most_sold_are_kept(spark: SparkSession, series: int, kept: list[tuple[str, str]]) -> None:
    rows = [sale("A", "2024-06-30"), sale("C", "2024-06-30"), sale("B", "2024-06-30"), sale("B", "2024-01-30")]
    table = weeks_of(spark, rows, series=series)
    assert rows_of(table.select("store_id", "category").distinct(), "store_id", "category") == kept


def test_the_plot_shows_each_category(spark: SparkSession) -> None:
    rows = [sale("A", "2024-06-30"), sale("B", "2024-06-30"), sale("B", "2024-06-20", "jam")]
    (axes,) = plot(weeks_of(spark, rows)).axes
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {"drinks": [4.0], "food": [2.0]}
    assert axes.get_title() == "What all stores sold of 2 categories"
