from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.features.stores import EARTH_KM, TABLE, plot, stores
from capflow_assets.raw.stores import TABLE as PLACES
from capflow_assets_doubles.engines import frame_of, rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A degree on a great circle.
DEGREE_KM = EARTH_KM * 3.141592653589793 / 180


def visit(user: str | None, store: str | None, day: str, amount: float = 1.0, at: time = time(12)) -> dict[str, Any]:
    return bill(user, day, amount, at) | {"store_id": store}


def test_figures_by_hand(spark: SparkSession) -> None:
    """Ana: A, A, B, A, then B and C on one day; twice at A on the 2nd is one visit, what was brought back is none."""
    rows = [visit("ana", "A", "2024-01-01"), visit("ana", "A", "2024-06-02"), visit("ana", "A", "2024-06-02")]
    rows += [visit("ana", "B", "2024-06-03"), visit("ana", "A", "2024-06-10"), visit("ana", "D", "2024-06-11", -5.0)]
    rows += [visit("ana", "C", "2024-06-20", at=time(18)), visit("ana", "B", "2024-06-20", at=time(9))]
    rows += [visit("bea", None, "2024-06-20"), visit("cem", "A", "2024-06-20", -1.0), visit(None, "A", "2024-06-20")]
    rows += [visit("dan", "Ñ", "2024-04-01")]
    table = stores(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    names = ("home_store_id", "stores_visited", "stores_visited_91d", "store_visits", "home_store_share")
    assert rows_of(table, "user_id", *names, "store_switch_rate", "home_store_recency_days") == [
        ("ana", "A", 3, 3, 6, 0.5, 4 / 5, 20),
        ("bea", None, 0, 0, 0, None, None, None),
        ("cem", None, 0, 0, 0, None, None, None),
        ("dan", "Ñ", 1, 1, 1, 1.0, None, 90),
    ]


def test_of_equal_stores_the_last_visited_is_home_then_the_first_by_id(spark: SparkSession) -> None:
    rows = [visit("ana", "A", "2024-06-01"), visit("ana", "B", "2024-06-02")]
    rows += [visit("bea", "B", "2024-06-01"), visit("bea", "A", "2024-06-01")]
    table = stores(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "user_id", "home_store_id") == [("ana", "B"), ("bea", "A")]


def test_distances_are_averaged_over_visits(spark: SparkSession) -> None:
    """Home on the equator; one visit a degree north, two visits three degrees east; a store without a place is out."""
    rows = [visit("ana", "home", f"2024-06-0{day}") for day in range(1, 6)]
    rows += [visit("ana", "north", "2024-06-10"), visit("ana", "nowhere", "2024-06-11")]
    rows += [visit("ana", "east", "2024-06-12"), visit("ana", "east", "2024-06-13"), visit("bea", "home", "2024-06-01")]
    rows += [visit("cem", "nowhere", "2024-06-01"), visit("cem", "nowhere", "2024-06-02")]
    rows += [visit("cem", "east", "2024-06-04")]
    places = [{"store_id": " home ", "latitude": 0.0, "longitude": 10.0}]
    places += [{"store_id": "home", "latitude": 5.0, "longitude": 1.0}]
    places += [{"store_id": "north", "latitude": 1.0, "longitude": 10.0}, {"store_id": "nowhere", "latitude": 1.0}]
    places += [{"store_id": "east", "latitude": 0.0, "longitude": 13.0}, {"store_id": None, "latitude": 0.0}]
    table = stores(bills_of(spark, rows), frame_of(spark, PLACES, places), as_of=AS_OF, zone=ZONE)
    close = {"abs": 0.002}
    names = ("user_id", "other_stores_distance_avg_km", "other_stores_distance_max_km")
    assert rows_of(table, *names) == [
        ("ana", pytest.approx(7 / 3 * DEGREE_KM, **close), pytest.approx(3 * DEGREE_KM, **close)),
        ("bea", None, None),
        ("cem", None, None),
    ]


def test_madrid_is_505_km_from_barcelona(spark: SparkSession) -> None:
    places = [{"store_id": "m", "latitude": 40.4168, "longitude": -3.7038}]
    places += [{"store_id": "b", "latitude": 41.3874, "longitude": 2.1686}]
    rows = [visit("ana", "m", "2024-06-01"), visit("ana", "b", "2024-06-02")]
    table = stores(bills_of(spark, rows), frame_of(spark, PLACES, places), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "other_stores_distance_avg_km") == [(pytest.approx(505.4, abs=1),)]


def test_impossible_coordinates_are_none(spark: SparkSession) -> None:
    places = [{"store_id": "m", "latitude": 91.0, "longitude": 0.0}]
    places += [{"store_id": "b", "latitude": float("nan"), "longitude": 0.0}]
    rows = [visit("ana", "m", "2024-06-01"), visit("ana", "b", "2024-06-02")]
    table = stores(bills_of(spark, rows), frame_of(spark, PLACES, places), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "other_stores_distance_max_km") == [(None,)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    past = [row | {"store_id": "A"} for row in SHOPPERS]
    later = [row | {"store_id": "B"} for row in FUTURE] * 9
    known = rows_of(stores(bills_of(spark, past), as_of=AS_OF, zone=ZONE))
    assert rows_of(stores(bills_of(spark, later + past), as_of=AS_OF, zone=ZONE)) == known


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    rows = [row | {"store_id": "AB"[n % 2]} for n, row in enumerate([*SHOPPERS, *FUTURE])]
    frame = bills_of(spark, rows)
    moments = [AS_OF, datetime(2024, 6, 3, 10, 30, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC)]
    alone = [row for moment in moments for row in rows_of(stores(frame, as_of=moment, zone=ZONE))]
    assert rows_of(stores(frame, as_of=moments, zone=ZONE)) == sorted(alone, key=repr)


def test_no_rows_and_the_picture(spark: SparkSession) -> None:
    table = stores(bills_of(spark, []), as_of=AS_OF, zone=ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title().startswith("0 users")
    axes = plot(stores(bills_of(spark, [visit("ana", "A", "2024-06-01")]), as_of=AS_OF, zone=ZONE)).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0] * 9 + [1]
