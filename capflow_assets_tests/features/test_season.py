from __future__ import annotations

from datetime import UTC, datetime, time
from math import log
from typing import TYPE_CHECKING, Any

import pytest

from capflow_assets.features.season import MONTHS, PARTS, TABLE, WEEKDAYS, plot, season
from capflow_assets_doubles.engines import rows_of
from capflow_assets_tests.features.shoppers import AS_OF, FUTURE, SHOPPERS, ZONE, bill, bills_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def at(moment: datetime, day: str) -> dict[str, Any]:
    """A bill of ana at a moment in UTC, on a local day."""
    return bill("ana", day, 1.0) | {"billed_at": moment}


def test_figures_by_hand(spark: SparkSession) -> None:
    """Monday 3 June at 9 and at 12, Sunday 2 June at 23, Sunday 7 January at 5."""
    rows = [bill("ana", "2024-06-03", 1.0, time(9)), bill("ana", "2024-06-03", 2.0, time(12))]
    rows += [bill("ana", "2024-06-02", 0.0, time(23)), bill("ana", "2024-01-07", 3.0, time(5, 59))]
    rows += [bill("ana", "2024-06-05", -1.0), bill("cem", "2024-06-05", -1.0), bill(None, "2024-06-05", 1.0)]
    table = season(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert table.dtypes == [(column.name, column.type) for column in TABLE.columns]
    ana, cem = (table.filter(f"user_id = '{user}'") for user in ("ana", "cem"))
    days = ("monday_share", "wednesday_share", "sunday_share", "weekend_share", "favourite_weekday")
    assert rows_of(ana, *days) == [(0.5, 0.0, 0.5, 0.5, 1)]
    assert rows_of(ana, *(f"{part}_share" for part in PARTS)) == [(0.25, 0.25, 0.0, 0.0, 0.5)]
    months = ("january_share", "june_share", "december_share", "favourite_month", "favourite_hour")
    assert rows_of(ana, *months) == [(0.25, 0.75, 0.0, 6, 5)]
    entropies = (pytest.approx(log(2), abs=1e-5), pytest.approx(log(4), abs=1e-5))
    assert rows_of(ana, "weekday_entropy", "hour_entropy") == [entropies]
    assert set(rows_of(cem)[0][2:]) == {None}


def test_every_weekday_has_its_place(spark: SparkSession) -> None:
    """3 to 9 June 2024 are Monday to Sunday."""
    rows = [bill(f"u{n}", f"2024-06-0{n + 2}", 1.0) for n in range(1, 8)]
    table = season(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "user_id", "favourite_weekday") == [(f"u{n}", n) for n in range(1, 8)]
    for n, name in enumerate(WEEKDAYS, 1):
        assert rows_of(table.filter(f"{name}_share = 1"), "user_id") == [(f"u{n}",)]


def test_hours_are_local_on_both_sides_of_the_change_of_the_clock(spark: SparkSession) -> None:
    """In Madrid 00:30 UTC on 31 March 2024 is 1:30, 01:30 UTC is 3:30: two o'clock was left out."""
    turns = {0: 1, 1: 3}
    for hour, local in turns.items():
        row = at(datetime(2024, 3, 31, hour, 30, tzinfo=UTC), "2024-03-31")
        table = season(bills_of(spark, [row]), as_of=AS_OF, zone=ZONE)
        assert rows_of(table, "favourite_hour", "night_share") == [(local, 1.0)]
    # In autumn 2:30 comes twice.
    rows = [at(datetime(2023, 10, 29, hour, 30, tzinfo=UTC), "2023-10-29") for hour in (0, 1)]
    table = season(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "favourite_hour", "hour_entropy") == [(2, 0.0)]


def test_parts_of_the_day_are_all_hours_once(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-06-03", 1.0, time(hour)) for hour in range(24)]
    table = season(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    parts = [5 / 24, 3 / 24, 4 / 24, 4 / 24, 8 / 24]
    assert rows_of(table, *(f"{part}_share" for part in PARTS)) == [tuple(parts)]
    assert rows_of(table, "hour_entropy") == [(pytest.approx(log(24), abs=1e-4),)]


def test_a_leap_day_is_in_february(spark: SparkSession) -> None:
    table = season(bills_of(spark, [bill("ana", "2024-02-29", 1.0)]), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, *(f"{month}_share" for month in MONTHS[:3]), "thursday_share") == [(0.0, 1.0, 0.0, 1.0)]


def test_of_equal_ones_the_first_is_the_favourite(spark: SparkSession) -> None:
    rows = [bill("ana", "2024-06-09", 1.0, time(20)), bill("ana", "2024-06-04", 1.0, time(8))]
    table = season(bills_of(spark, rows), as_of=AS_OF, zone=ZONE)
    assert rows_of(table, "favourite_weekday", "favourite_hour") == [(2, 8)]


def test_the_future_changes_nothing(spark: SparkSession) -> None:
    known = rows_of(season(bills_of(spark, SHOPPERS), as_of=AS_OF, zone=ZONE))
    assert rows_of(season(bills_of(spark, [*FUTURE, *SHOPPERS[::-1]]), as_of=AS_OF, zone=ZONE)) == known


def test_several_moments_are_each_alone(spark: SparkSession) -> None:
    frame = bills_of(spark, [*SHOPPERS, *FUTURE])
    moments = [AS_OF, datetime(2024, 6, 3, 10, 30, tzinfo=UTC), datetime(2024, 7, 3, tzinfo=UTC)]
    alone = [row for moment in moments for row in rows_of(season(frame, as_of=moment, zone=ZONE))]
    assert rows_of(season(frame, as_of=moments, zone=ZONE)) == sorted(alone, key=repr)


def test_no_rows_and_the_picture(spark: SparkSession) -> None:
    table = season(bills_of(spark, []), as_of=AS_OF, zone=ZONE)
    assert rows_of(table) == []
    assert plot(table).axes[0].get_title().startswith("0 users")
    drawn = plot(season(bills_of(spark, SHOPPERS), as_of=AS_OF, zone=ZONE))
    assert drawn.axes[0].get_title().startswith("3 users")
