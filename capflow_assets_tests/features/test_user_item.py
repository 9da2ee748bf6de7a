from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.features.user_item import TABLE, Params, advanced, plot, user_item
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.basket_rows import lines_of, sold
from capflow_assets_tests.features.shoppers import AS_OF, ZONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = (
    sold("ana", "2024-06-30", "tea", 3.0),
    sold("ana", "2024-06-30", "tea", 3.1, time(13), bill_id="second"),
    sold("ana", "2024-04-01", "tea", 2.0, quantity=2.0),
    sold("ana", "2024-06-29", "tea", -3.0, quantity=-1.0),
    sold("ana", "2024-02-29", "ñandú", 5.0, quantity=None),
    sold("bea", "2024-06-20", "tea", -3.0, quantity=-1.0),
    sold("bea", "2024-06-20", "post", 4.0, flags="zero_quantity,not_an_item"),
    sold(None, "2024-06-20", "tea", 9.0),
)
FUTURE = (
    sold("ana", "2024-06-30", "tea", 99.0, time(23)),
    sold("eva", "2024-07-02", "tea", 99.0),
    sold("ana", "2023-01-01", "old", 9.0) | {"billed_at": AS_OF + timedelta(microseconds=1)},
)


def test_figures_by_hand(spark: SparkSession) -> None:
    table = user_item(lines_of(spark, ROWS), AS_OF, ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("user_id", "item_id", "purchases", "pieces", "spend_item", "last_bought_days", "first_bought_on")
    assert rows_of(table, *names) == [
        ("ana", "tea", 2, 3.0, 5.1, 0, date(2024, 4, 1)),
        ("ana", "ñandú", 1, None, 5.0, 122, date(2024, 2, 29)),
        ("bea", "tea", 0, -1.0, -3.0, None, None),
    ]
    # 1 April lies 90 days back, one half-life.
    assert dict(rows_of(table.filter("item_id = 'tea'"), "user_id", "decayed_purchases")) == {"ana": 1.5, "bea": 0.0}
    old = rows_of(table.filter("purchases = 1"), "decayed_purchases")
    assert old == [(pytest.approx(2 ** (-122 / 90), abs=1e-9),)]


def test_every_half_life_and_age(spark: SparkSession) -> None:
    """Ages across the end of a period of 20 half-lives, and beyond two of them, where a purchase counts nothing."""
    for half_life in (1, 7, 90, 730):
        ages = [0, 1, half_life, 3 * half_life + 1, 19 * half_life, 21 * half_life - 1]
        days = [date(2024, 6, 30) - timedelta(days=age) for age in ages if age < 20_000]
        rows = [sold("ana", day.isoformat(), f"i{n}") for n, day in enumerate(days)]
        table = user_item(lines_of(spark, rows), AS_OF, ZONE, Params(half_life_days=half_life))
        decayed = dict(rows_of(table, "item_id", "decayed_purchases"))
        truth = {f"i{n}": 2 ** (-age / half_life) for n, age in enumerate(ages) if age < 20_000}
        assert decayed == {name: pytest.approx(value, abs=1.1e-6, rel=1e-7) for name, value in truth.items()}
    ancient = user_item(lines_of(spark, [sold("ana", "1960-02-29", "tea")]), AS_OF, ZONE)
    assert rows_of(ancient, "purchases", "decayed_purchases") == [(1, 0.0)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(user_item(lines_of(spark, ROWS), AS_OF, ZONE))
    assert rows_of(user_item(lines_of(spark, [*FUTURE, *ROWS[::-1]]), AS_OF, ZONE)) == known


def test_many_moments_are_those_of_each(spark: SparkSession) -> None:
    frame = lines_of(spark, [*ROWS, *FUTURE])
    noon = datetime(2024, 6, 30, 10, 30, tzinfo=UTC)
    moments = (AS_OF, noon, datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC))
    together = rows_of(user_item(frame, moments, ZONE))
    assert together == sorted((row for one in moments for row in rows_of(user_item(frame, one, ZONE))), key=repr)


def random_rows(seed: int, days: int = 400) -> list[dict[str, Any]]:
    random = Random(seed)
    return [
        sold(
            random.choice(["ana", "bea", "漢字"]),
            (date(2024, 8, 1) - timedelta(days=random.randrange(days))).isoformat(),
            random.choice(["tea", "ñandú", "i1"]),
            random.choice([-1.1, 0.0, 0.1, 2.675]),
            time(random.randrange(24)),
            quantity=random.choice([None, 1.0, 0.333]),
        )
        for _ in range(300)
    ]


@pytest.mark.parametrize("half_life", [1, 5, 90])
def test_carried_on_it_is_the_full_table(spark: SparkSession, half_life: int) -> None:
    """Over a day known in parts, the change of a period, and more than a period."""
    rows, params = random_rows(half_life), Params(half_life_days=half_life)
    later = datetime(2024, 7, 30, 9, tzinfo=UTC)
    full = rows_of(user_item(lines_of(spark, rows), later, ZONE, params))
    for hours in (0, 2, 24, 24 * 25, 24 * 130):
        earlier = later - timedelta(hours=hours)
        known = user_item(lines_of(spark, rows), earlier, ZONE, params)
        between = [row for row in rows if earlier < row["billed_at"] <= later]
        assert rows_of(advanced(known, lines_of(spark, between), later, ZONE, params)) == full


def test_both_engines_agree(spark: SparkSession, jvm: SparkSession) -> None:
    rows, params = [*ROWS, *random_rows(9)], Params(half_life_days=11)
    moments = (AS_OF, AS_OF + timedelta(days=20))
    one, other = (rows_of(user_item(lines_of(session, rows), moments, ZONE, params)) for session in (spark, jvm))
    assert one == other
    earlier = [user_item(lines_of(session, rows), AS_OF, ZONE, params) for session in (spark, jvm)]
    late = [row for row in rows if row["billed_at"] > AS_OF]
    carried = [
        rows_of(advanced(known, lines_of(session, late), moments[1], ZONE, params))
        for known, session in zip(earlier, (spark, jvm), strict=True)
    ]
    assert carried[0] == carried[1]


def test_no_rows(spark: SparkSession) -> None:
    table = user_item(lines_of(spark, []), AS_OF, ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title() == "0 pairs of user and item, 0 items"


def test_the_picture_counts_pairs(spark: SparkSession) -> None:
    axes = plot(user_item(lines_of(spark, ROWS), AS_OF, ZONE)).axes[0]
    assert axes.get_title() == "2 pairs of user and item, 2 items"
