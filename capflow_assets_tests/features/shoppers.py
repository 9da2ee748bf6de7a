"""Bills to compute features of by hand, and what must not change when the future does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from capflow_assets.clean.bills import TABLE
from capflow_assets_doubles.engines import frame_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ZONE = "Europe/Madrid"
# The evening of 30 June in Madrid.
AS_OF = datetime(2024, 6, 30, 20, tzinfo=UTC)


def bill(user: str | None, day: str, amount: float, at: time = time(12)) -> dict[str, Any]:
    """A clean bill of a user on a local day."""
    local = datetime.combine(date.fromisoformat(day), at, tzinfo=ZoneInfo(ZONE))
    return {
        "user_id": user,
        "billed_at": local.astimezone(UTC),
        "billed_on": local.date(),
        "amount": amount,
        "is_return": amount < 0,
        "is_anonymous": user is None,
    }


def bills_of(spark: SparkSession, rows: Iterable[dict[str, Any]]) -> DataFrame:
    """A frame of clean bills, numbered in order."""
    return frame_of(spark, TABLE, [{"bill_id": f"b{n}", **row} for n, row in enumerate(rows)])


# Ana comes regularly and returns something; bea came once, twice that day; cem only brought back; dan paid with a gift.
SHOPPERS = (
    bill("ana", "2023-06-30", 10.0),
    bill("ana", "2024-04-01", 20.1),
    bill("ana", "2024-04-01", 0.2),
    bill("ana", "2024-06-03", 40.0),
    bill("ana", "2024-06-05", -5.0),
    bill("ana", "2024-06-28", 30.0),
    bill("bea", "2024-06-30", 7.0, time(9)),
    bill("bea", "2024-06-30", 8.0, time(21)),
    bill("cem", "2024-06-20", -3.0),
    bill("dan", "2024-06-20", 0.0),
    bill(None, "2024-06-29", 99.0),
)

_LATE = AS_OF.astimezone(ZoneInfo(ZONE)) + timedelta(seconds=1)
# One second late, a day late, and a user whom nobody has met yet.
FUTURE = (
    bill("ana", _LATE.date().isoformat(), 1000.0, _LATE.time()),
    bill("bea", "2024-07-01", 1000.0),
    bill("eva", "2024-07-02", 1000.0),
)
