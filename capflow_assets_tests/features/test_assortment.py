from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import log
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.clean.items import TABLE as ITEMS
from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.features.assortment import TABLE, assortment, plot
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BILLS = (bill("ana", "2024-01-01", 1.0), bill("bea", "2024-06-01", 1.0), bill("cem", "2024-06-01", -1.0))
CATALOGUE = (
    {"item_id": "tea", "department": "food", "category": "hot", "own_brand": True},
    {"item_id": "coffee", "department": "food", "category": "hot", "own_brand": False},
    {"item_id": "bread", "department": "food", "category": "bread", "own_brand": None},
    {"item_id": "soap", "department": "home", "category": "bath", "own_brand": False},
    {"item_id": "odd", "department": "home", "category": None, "own_brand": False},
)
OLD, NEW = "2024-01-15", "2024-06-15"


def line(user: str | None, item: str, day: str, amount: float, **more: Any) -> dict[str, Any]:
    on = date.fromisoformat(day)
    at = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    row = {"bill_id": f"{user}{day}", "user_id": user, "item_id": item, "billed_on": on, "billed_at": at}
    return {**row, "amount": amount, "is_return": amount < 0, "flags": "", **more}


# Ana: tea 6 and 4, coffee 10, bread 20, soap 5, odd 3, unknown 2: 50 in all.
ANA = (
    line("ana", "tea", OLD, 6.0),
    line("ana", "tea", NEW, 4.0),
    line("ana", "coffee", NEW, 10.0),
    line("ana", "bread", OLD, 20.0),
    line("ana", "soap", NEW, 5.0),
    line("ana", "odd", NEW, 3.0),
    line("ana", "unknown", OLD, 2.0),
)


def table_of(
    spark: SparkSession, rows: Any, catalogue: Any = CATALOGUE, as_of: datetime | list[datetime] = AS_OF
) -> DataFrame:
    lines = frame_of(spark, LINES, [{"line_no": n, **row} for n, row in enumerate(rows, 1)])
    items = None if catalogue is None else frame_of(spark, ITEMS, catalogue)
    return assortment(lines, bills_of(spark, BILLS), items, as_of=as_of, zone=ZONE)


def test_items_by_hand(spark: SparkSession) -> None:
    """Lately tea, coffee, soap and odd, of them tea not for the first time. Only tea was bought on two days."""
    more = [
        line("ana", "gone", NEW, -7.0),
        line(None, "tea", NEW, 9.0),
        line("ana", "post", NEW, 9.0, flags="x,not_an_item"),
    ]
    table = table_of(spark, [*ANA, *more])
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("items_bought", "items_bought_91d", "new_item_share_91d", "repeat_item_share", "repeat_spend_share")
    assert rows_of(table, "user_id", *names, "top_item_share") == [
        ("ana", 6, 4, 0.75, 1 / 6, 0.2, 0.4),
        ("bea", 0, 0, None, None, None, None),
        ("cem", 0, 0, None, None, None, None),
    ]
    # The squares are 100 + 100 + 400 + 25 + 9 + 4.
    assert rows_of(table.filter("user_id = 'ana'"), "item_concentration") == [(638 / 2500,)]


def test_categories_by_hand(spark: SparkSession) -> None:
    """Of 45 in a category, hot and bread have 20 each, bath 5; of 48 in a department, food 40. Own brand: 10 of 28."""
    table = table_of(spark, ANA).filter("user_id = 'ana'")
    tops = ("top_category", "top_category_share", "second_category", "second_category_share", "top_department")
    assert rows_of(table, *tops, "top_department_share") == [("bread", 20 / 45, "hot", 20 / 45, "food", 40 / 48)]
    assert rows_of(table, "categories_bought", "departments_bought", "own_brand_share") == [(3, 2, 10 / 28)]
    entropy = -sum(share * log(share) for share in (4 / 9, 4 / 9, 1 / 9))
    between = -sum(share * log(share) for share in (40 / 48, 8 / 48))
    entropies = (pytest.approx(entropy, abs=1e-5), pytest.approx(between, abs=1e-5))
    assert rows_of(table, "category_entropy", "department_entropy") == [entropies]


def test_without_a_catalogue_items_remain(spark: SparkSession) -> None:
    table, whole = table_of(spark, ANA, None), table_of(spark, ANA)
    of_items = ("user_id", "items_bought", "new_item_share_91d", "repeat_spend_share", "item_concentration")
    assert rows_of(table, *of_items) == rows_of(whole, *of_items)
    assert table.dtypes == whole.dtypes
    names = [name for name in TABLE.names if "categor" in name or "department" in name or "own" in name]
    assert set(rows_of(table, *names)) == {(None,) * len(names)}


def test_categories_of_one_name_in_two_departments_are_two(spark: SparkSession) -> None:
    catalogue = [{"item_id": "a", "department": "x", "category": "other"}]
    catalogue += [{"item_id": "b", "department": "y", "category": "other"}]
    table = table_of(spark, [line("bea", "a", NEW, 1.0), line("bea", "b", NEW, 3.0)], catalogue)
    names = ("categories_bought", "top_category_share", "second_category", "second_category_share")
    assert rows_of(table.filter("user_id = 'bea'"), *names) == [(2, 0.75, "other", 0.25)]


def test_goods_for_nothing_count_and_have_no_shares(spark: SparkSession) -> None:
    table = table_of(spark, [line("bea", "tea", NEW, 0.0)]).filter("user_id = 'bea'")
    names = ("items_bought", "top_category", "top_category_share", "category_entropy", "top_item_share")
    assert rows_of(table, *names, "item_concentration") == [(1, "hot", None, None, None, None)]


def test_the_window_ends_with_its_first_day(spark: SparkSession) -> None:
    """Bought on 31 March and again on 1 April: lately, and not new."""
    rows = [line("bea", "tea", "2024-04-01", 1.0), line("bea", "soap", "2024-03-31", 1.0)]
    table = table_of(spark, rows).filter("user_id = 'bea'")
    assert rows_of(table, "items_bought_91d", "new_item_share_91d") == [(1, 1.0)]
    table = table_of(spark, [*rows, line("bea", "tea", "2024-03-31", 1.0)]).filter("user_id = 'bea'")
    assert rows_of(table, "items_bought_91d", "new_item_share_91d") == [(1, 0.0)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    late = line("ana", "soap", "2024-06-30", 99.0) | {"billed_at": AS_OF + timedelta(microseconds=1)}
    later = [late, line("bea", "tea", "2024-07-05", 9.0), line("ana", "new", "2024-07-05", 9.0)]
    assert rows_of(table_of(spark, [*later, *ANA[::-1]])) == rows_of(table_of(spark, ANA))


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    moments = [AS_OF, datetime(2024, 6, 15, 12, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)]
    rows = [*ANA, line("bea", "tea", "2024-06-15", 2.5), line("ana", "soap", OLD, 1.0)]
    alone = [row for moment in moments for row in rows_of(table_of(spark, rows, as_of=moment))]
    assert rows_of(table_of(spark, rows, as_of=moments)) == sorted(alone, key=repr)


def test_no_rows_and_the_picture(spark: SparkSession) -> None:
    table = table_of(spark, [])
    assert rows_of(table, "user_id", "items_bought", "categories_bought") == [
        ("ana", 0, 0),
        ("bea", 0, 0),
        ("cem", 0, 0),
    ]
    assert plot(table).axes[0].get_title().startswith("The 0 most")
    axes = plot(table_of(spark, ANA)).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["bread"]
