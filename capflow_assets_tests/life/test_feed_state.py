"""The feed of a customer's bills as of moments near and far."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pyspark.sql import functions as F

from capflow_assets.erasure.erased_rows import UserRows
from capflow_assets.life.feed_state import ARRIVALS, bills_delay, feed_state
from capflow_assets.monitoring.arrivals import ON_TIME
from capflow_assets_tests.life.shop import AS_OF, SHOP, deployment


def test_a_feed_that_is_silent_for_longer_than_is_looked_at_is_stale(untrained: Path) -> None:
    """The newest bill of the shop is of 30 June 2024."""
    place = deployment(untrained)
    customer = place.customer(SHOP)
    feeds = [feed_state(place, customer, AS_OF + timedelta(days=days)) for days in (10, 58, 70, 113)]
    assert [feed and feed.days_old for feed in feeds] == [10, 58, 70, 113]
    assert [feed and feed.faults for feed in feeds] == [(), (), (), ("the newest bill is 113 days old",)]
    assert feed_state(place, customer, AS_OF - timedelta(days=365)) is None, "nothing has come yet"


def test_the_delay_of_bills_is_learned_of_what_each_night_counted(shop: Path) -> None:
    """Of each of the last four days one bill in two lands the night after; until then the day looks half empty."""
    place = deployment(shop)
    customer, bills = place.customer(SHOP), place.lake.table(SHOP, "clean/bills", version=0)
    first = AS_OF - timedelta(days=4)
    new = [
        bills.filter("billed_at < '2024-01-06'").withColumns(
            {
                "billed_at": F.lit(first + timedelta(days=day, hours=-6)),
                "billed_on": F.lit((first + timedelta(days=day)).date()),
                "bill_id": F.concat(F.lit(f"day {day}, "), F.col("bill_id")),
                "is_late": F.substring("user_id", 3, 1).cast("int") % 2 == 1,
            }
        )
        for day in range(5)
    ]
    delays = []
    for night in range(5):
        known = bills.withColumn("is_late", F.lit(False))
        for day, rows in enumerate(new[: night + 1]):
            known = known.unionByName(rows if day < night else rows.filter("not is_late"))
        place.lake.write(known.drop("is_late"), SHOP, "clean/bills")
        delays.append(bills_delay(place, customer, first + timedelta(days=night)))
    assert delays[0] == ON_TIME
    assert [(delay.days, round(delay.share(0), 6)) for delay in delays[1:]] == [(1, 0.5)] * 4
    kept = place.lake.arrow(SHOP, ARRIVALS).to_pylist()
    of_day = {row["as_of"]: row["bills"] for row in kept if row["billed_on"] == first.date()}
    assert list(dict(sorted(of_day.items())).values()) == [20, 40, 40, 40, 40]
    assert bills_delay(place, customer, first) == ON_TIME, "as of then, what later nights counted is not known"
    assert not UserRows(place.lake, place.stages, customer).tables().keys() & {ARRIVALS}, "counts name no user"
