from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from capflow_assets.clean.bills import TABLE as BILLS
from capflow_assets.clean.line_items import TABLE as LINES
from capflow_assets.raw.items import TABLE as RAW_ITEMS
from capflow_assets.validation.amounts_agree import amounts_agree
from capflow_assets.validation.feed_gaps import feed_gaps
from capflow_assets.validation.known_items import known_items
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# A Sunday's end in UTC.
AS_OF = datetime(2024, 6, 30, 20, tzinfo=UTC)


def shop(spark: SparkSession, closed: Iterable[date] = (), bills_a_day: int = 12, days: int = 100) -> DataFrame:
    """A shop that sells on every day but Sundays and those when it is closed."""
    dates = [AS_OF.date() - timedelta(days=n) for n in range(days)]
    opened = [day for day in dates if day.weekday() != 6 and day not in set(closed)]
    rows = [{"bill_id": f"{day}-{n}", "billed_on": day} for day in opened for n in range(bills_a_day)]
    return frame_of(spark, BILLS, rows)


def test_a_shop_may_close_on_sundays_and_on_two_holidays(spark: SparkSession) -> None:
    assert feed_gaps(shop(spark), AS_OF, "UTC").found["silent_days"] == 0
    holidays = [date(2024, 5, 1), date(2024, 5, 20)]
    finding = feed_gaps(shop(spark, holidays), AS_OF, "UTC")
    assert finding.passed
    assert finding.sample == ({"billed_on": "2024-05-01"}, {"billed_on": "2024-05-20"})


def test_a_silent_feed_is_found(spark: SparkSession) -> None:
    silent = [date(2024, 6, day) for day in (26, 27, 28, 29)]
    finding = feed_gaps(shop(spark, silent), AS_OF, "UTC")
    assert not finding.passed
    assert finding.severity == "warn"
    assert finding.found == {"silent_days": 4, "newest_day": "2024-06-25"}
    assert "2024-06-26" in finding.message


def test_silence_before_the_first_bill_or_of_a_small_shop_is_none(spark: SparkSession) -> None:
    assert feed_gaps(shop(spark, bills_a_day=100, days=20), AS_OF, "UTC").found["silent_days"] == 0
    silent = [date(2024, 6, day) for day in (26, 27, 28, 29)]
    assert feed_gaps(shop(spark, silent, bills_a_day=5), AS_OF, "UTC").passed
    assert feed_gaps(frame_of(spark, BILLS, []), AS_OF, "UTC").passed


def agreeing(spark: SparkSession, pairs: Iterable[tuple[float, float]]) -> tuple[DataFrame, DataFrame]:
    bills: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for n, (amount, of_lines) in enumerate(pairs):
        bills.append({"bill_id": f"b{n:03}", "amount": amount})
        lines += [{"bill_id": f"b{n:03}", "line_no": part, "amount": of_lines / 2} for part in (1, 2)]
    return frame_of(spark, BILLS, bills), frame_of(spark, LINES, lines)


def test_bills_agree_with_their_lines_within_a_percent(spark: SparkSession) -> None:
    finding = amounts_agree(*agreeing(spark, [(100.0, 101.0), (0.02, 0.03), (-50.0, -50.4), (0.0, 0.0)]))
    assert finding.passed
    assert finding.found == {"bills": 4, "disagreeing": 0, "share_pct": 0.0}


def test_bills_that_disagree_are_found(spark: SparkSession) -> None:
    one_in_fifty = [(100.0, 101.5), *[(10.0, 10.0)] * 49]
    finding = amounts_agree(*agreeing(spark, one_in_fifty))
    assert not finding.passed
    assert finding.found == {"bills": 50, "disagreeing": 1, "share_pct": 2.0}
    assert finding.sample == ({"bill_id": "b000", "amount": 100.0, "lines_amount": 101.5},)
    one_in_a_hundred = [(100.0, -100.0), *[(10.0, 10.0)] * 99]
    assert amounts_agree(*agreeing(spark, one_in_a_hundred)).passed


def test_bills_without_lines_are_not_compared(spark: SparkSession) -> None:
    bills, lines = agreeing(spark, [(1.0, 1.0)])
    more = bills.unionByName(frame_of(spark, BILLS, [{"bill_id": "alone", "amount": 5.0}]))
    assert amounts_agree(more, lines).found["bills"] == 1
    assert amounts_agree(more, lines.filter("false")).passed


def test_items_missing_from_the_catalogue_are_counted(spark: SparkSession) -> None:
    catalogue = frame_of(spark, RAW_ITEMS, [{"item_id": " tea "}, {"item_id": "milk"}])
    bought = ["tea"] * 60 + ["milk"] * 34 + ["ghost"] * 4 + ["spook"] * 2
    lines = [{"bill_id": str(n), "line_no": 1, "item_id": item} for n, item in enumerate(bought)]
    finding = known_items(frame_of(spark, LINES, lines), catalogue)
    assert not finding.passed
    assert finding.found == {"line_items": 100, "unknown": 6, "items": 2, "share_pct": 6.0}
    assert finding.sample == ({"item_id": "ghost", "lines": 4}, {"item_id": "spook", "lines": 2})
    assert known_items(frame_of(spark, LINES, lines[:99]), catalogue).found["unknown"] == 5
    assert known_items(frame_of(spark, LINES, lines[:95]), catalogue).passed
    assert known_items(frame_of(spark, LINES, []), catalogue).passed
